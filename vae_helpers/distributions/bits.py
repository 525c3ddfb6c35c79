"""Bits per dimension."""

from __future__ import annotations

import math

from torch import Tensor

from vae_helpers import checking


def bits_per_dim(nll: Tensor | float, dims: int, levels: int | None = None) -> Tensor | float:
    """Negative log-likelihood in nats per image as bits per dimension.

    Args:
        nll: -log p(x), nats per image.
        dims: C * H * W.
        levels: given for a density on images dequantised to [0, 1]: each pixel's bin is 1 / levels wide, which
            adds log2(levels) bits. None for the probability of a discrete image (no constant).
    Returns:
        bits per dimension, of the type of `nll`. The uniform distribution over levels has log2(levels).
    Raises:
        ValueError: dims < 1 or levels < 2.
    """
    nll = checking.floating(nll, "nll") if isinstance(nll, Tensor) else checking.number(nll, "nll")
    constant = 0.0 if levels is None else math.log2(checking.integer(levels, "levels", 2))
    return nll / (checking.integer(dims, "dims") * math.log(2)) + constant
