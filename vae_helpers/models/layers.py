"""Stacks of layers that several families share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae_helpers import checking


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes with SiLU between them: `mlp([64, 256, 2])` maps (N, 64) to (N, 2).

    Raises:
        ValueError: fewer than two sizes, or one below 1.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(checking.integers(sizes, "sizes", fewest=2)):
        layers += [nn.Linear(n_in, n_out), nn.SiLU()]
    return nn.Sequential(*layers[:-1])  # no activation after the last


def not_halved(x: Tensor) -> Tensor:
    """What a network returns as `float32` where half precision was used inside, as by `fit`; `float64` stays."""
    return x if x.dtype == torch.float64 else x.float()
