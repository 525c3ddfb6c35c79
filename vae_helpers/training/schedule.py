"""The learning rate, from step to step."""

from __future__ import annotations

import math


def warm_up_and_cosine(step: int, steps: int) -> float:
    """The learning rate as a share of its peak: linear warm-up, then half a cosine (Loshchilov & Hutter 2017)."""
    warm_up = min(100, max(1, steps // 20))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
