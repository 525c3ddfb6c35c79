"""Claims: sentences of the text that rest on a number, and fail the build when the number no longer holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

_made: dict[str, bool] = {}  # text -> does it hold; in the order in which the claims were first made


def claim(text: str, condition: Any) -> None:
    """Print `claim holds: text` or `claim DOES NOT HOLD: text`; the notebook goes on either way.

    A claim made again, by running its cell again, replaces the earlier one.

    Args:
        text: what is claimed, in one line, with its threshold: "the KL is at least 0.1 nats".
        condition: one bool; a NumPy bool or a bool tensor without dimensions will do.
    Raises:
        TypeError: `text` is not text, or `condition` is not exactly one bool (a number or a tensor of
            several bools would be a claim about something else than it says).
    """
    if not isinstance(text, str):
        raise TypeError(f"claim(text, condition): the text comes first, as a str; got {type(text).__name__}.")
    holds = _one_bool(condition)
    text = " ".join(text.split())
    _made[text] = holds
    print(f"claim holds: {text}" if holds else f"claim DOES NOT HOLD: {text}")


def claims() -> None:
    """Print every claim made so far in this kernel and whether it holds, then how many do."""
    if not _made:
        print("No claim has been made in this kernel yet: run the cells above first.")
        return
    for text, holds in _made.items():
        print(f"holds: {text}" if holds else f"DOES NOT HOLD: {text}")
    print(f"{sum(_made.values())} of {len(_made)} hold")


def _one_bool(condition: Any) -> bool:
    if isinstance(condition, (bool, np.bool_)):
        return bool(condition)
    if isinstance(condition, (torch.Tensor, np.ndarray)):
        if condition.dtype in (torch.bool, np.bool_) and condition.ndim == 0:
            return bool(condition)
        got = f"{type(condition).__name__} of {condition.dtype} with shape {tuple(condition.shape)}"
        raise TypeError(f"claim: the condition must be one bool, got a {got}; say .all() or .any(), or compare it.")
    got = f"{type(condition).__name__} {condition!r:.60}"
    raise TypeError(f"claim: the condition must be one bool, got {got}; compare it with something.")
