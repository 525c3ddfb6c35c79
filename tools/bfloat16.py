"""bfloat16 as a processor with a unit for it computes, on one without, in the time of float32.

Under `torch.autocast` the products of matrices and convolutions take operands rounded to bfloat16, add in float32 and
round the sum. Without a unit for such products torch's own kernels take up to sixty times as long; here the operands
are rounded, float32's kernels multiply, and the sum is rounded: only the order of additions is another.
`tools/notebooks.py claims` runs kernels so, to see that claims hold in bfloat16 on any machine. This file imports
nothing from the course: as a kernel's start-up file it is read alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

PRODUCTS = (
    *((F, name) for name in ("linear", "conv2d", "conv_transpose2d")),
    *((torch, name) for name in ("matmul", "bmm", "mm", "addmm")),
    (Tensor, "__matmul__"),
)


def _rounded(value: Any) -> Any:
    """A float32 or bfloat16 tensor in float32, with bfloat16's digits; anything else as it is."""
    if isinstance(value, Tensor) and value.dtype in (torch.float32, torch.bfloat16):
        return value.bfloat16().float()
    return value


def emulated(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The product as autocast to bfloat16 computes it on the CPU; outside of that, unchanged."""

    def call(*args: Any, **kwargs: Any) -> Tensor:
        if not (torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16):
            return product(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            result = product(*map(_rounded, args), **{name: _rounded(value) for name, value in kwargs.items()})
        return result.bfloat16() if result.dtype == torch.float32 else result

    return call


def install() -> None:
    """Put the emulated products in the place of torch's, in this process."""
    for place, name in PRODUCTS:
        setattr(place, name, emulated(getattr(place, name)))


if __name__ == "__main__":  # an IPython start-up file is run as one
    install()
