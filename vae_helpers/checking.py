"""Arguments checked at the door, so that a mistake is named where it was made: `size = checking.integer(size, "size")`.

Each check returns a valid argument (numbers converted to Python's own types). For any other, the error names the
argument, says what it must be and what it is, and ends in a cure where the caller knows one.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_INTEGER = 2**63 - 1  # the largest whole number of torch


def integer(value: Any, name: str, low: int = 1, high: int = MAX_INTEGER, cure: str = "") -> int:
    """A whole number from `low` to `high`; NumPy's are accepted, True and 2.0 are not."""
    if not is_integer(value) or not low <= value <= high:
        span = (
            f"from {low} to {high}"
            if high < MAX_INTEGER or (is_integer(value) and value > high)
            else f"of at least {low}"
        )
        raise ValueError(_sentences(f"{name} must be a whole number {span}, not {shown(value)}.", cure))
    return int(value)


def integers(values: Any, name: str, form: str = "", fewest: int = 1, cure: str = "") -> tuple[int, ...]:
    """Whole numbers of at least 1: as many as `form` has letters, such as "(C, H, W)", or `fewest` and more."""
    fits = isinstance(values, Sequence) and all(is_integer(n) and 1 <= n <= MAX_INTEGER for n in values)
    if not fits or (len(values) != len(re.findall(r"\w+", form)) if form else len(values) < fewest):
        wanted = form or f"a sequence of at least {fewest}"
        raise ValueError(
            _sentences(f"{name} must be {wanted}, whole numbers of at least 1, not {shown(values)}.", cure)
        )
    return tuple(map(int, values))


def seed(value: Any, cure: str = "") -> int:
    """What torch's generators take as a seed."""
    return integer(value, "seed", 0, cure=cure)


def number(value: Any, name: str, low: float = -math.inf, high: float = math.inf, cure: str = "") -> float:
    """A finite number from `low` to `high`."""
    if not is_number(value) or not low <= value <= high:
        least = "" if math.isinf(low) else f" of at least {low}"
        span = f"finite number{least}" if math.isinf(high) else f"number from {low} to {high}"
        raise ValueError(_sentences(f"{name} must be a {span}, not {shown(value)}.", cure))
    return float(value)


def positive(value: Any, name: str, cure: str = "") -> float:
    """A finite number above 0."""
    if not is_number(value) or not value > 0:
        raise ValueError(_sentences(f"{name} must be a positive number, not {shown(value)}.", cure))
    return float(value)


def is_integer(value: Any) -> bool:
    """Whether this is one whole number, Python's or NumPy's; True and 2.0 are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether this is one real number that a float can hold; True, NaN and tensors are not."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def flag(value: Any, name: str, cure: str = "") -> bool:
    """True or False; not 1, "yes" or None."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(_sentences(f"{name} must be True or False, not {shown(value)}.", cure))
    return bool(value)


def choice(value: Any, name: str, choices: Collection[str]) -> str:
    """One of some names; for a misspelt one the message suggests the nearest."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            _sentences(f"{name} must be one of {', '.join(choices)}, not {shown(value)}.", guess(value, choices))
        )
    return value


def guess(value: Any, choices: Collection[str]) -> str:
    """For a message: which of some names may have been meant, or nothing."""
    nearest = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    return f"Did you mean {nearest[0]!r}?" if nearest else ""


def tensor(x: Any, name: str, form: str, cure: str = "", **least: int) -> Tensor:
    """A tensor of finite floating-point numbers; `form` and `least` as for `shape`."""
    floating(x, name, form, cure)
    return finite(shape(x, name, form, cure, **least), name)


def floating(x: Any, name: str, form: str = "", cure: str = "") -> Tensor:
    """A tensor of floating-point numbers; `form` says in the message what else it must be."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        wanted = f"a floating-point tensor {form}".rstrip()
        raise TypeError(_sentences(f"{name} must be {wanted}, not {kind_of(x)}.", cure))
    return x


def shape(x: Any, name: str, form: str, cure: str = "", **least: int) -> Tensor:
    """A tensor of a shape such as "(N, 3, S, S)": a letter is the same number wherever it stands, and never 0.

    Args:
        least: the smallest number that a letter may be, such as S=32.
    """
    if not isinstance(x, Tensor):
        raise TypeError(_sentences(f"{name} must be a torch tensor {form}, not {kind_of(x)}.", cure))
    axes = re.findall(r"\w+", form)
    extents = dict(zip(axes, x.shape, strict=False))
    if x.dim() != len(axes) or any(
        n != (int(axis) if axis.isdigit() else extents[axis]) or n < least.get(axis, 1)
        for axis, n in zip(axes, x.shape, strict=True)
    ):
        limits = "".join(
            f", {' and '.join(axis for axis in least if least[axis] == limit)} of at least {limit}"
            for limit in dict.fromkeys(least.values())
        )
        text = f"{name} must have shape {form} with no empty axis{limits}, not {tuple(x.shape)}."
        batch = "A single image (C, H, W) becomes a batch with image[None]." if (x.dim(), len(axes)) == (3, 4) else ""
        raise ValueError(_sentences(text, batch, cure))
    return x


def together(data: Any, name: str) -> tuple[Tensor, ...]:
    """One tensor, or several that have a row for each image: always as a tuple."""
    tensors = (data,) if isinstance(data, Tensor) else data
    if not isinstance(tensors, tuple | list) or not tensors or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(
            f"{name} must be a tensor of pictures, or several tensors with a row for each picture, such as "
            f"(images, factors), not {shown(data)}."
        )
    counts = [len(x) if x.dim() else 0 for x in tensors]
    if len(set(counts)) > 1 or not counts[0]:
        raise ValueError(f"{name} must have as many rows in each tensor, at least one, not {counts}.")
    return tuple(tensors)


def finite(x: Tensor, name: str) -> Tensor:
    """A tensor without NaN and infinity."""
    fine = torch.isfinite(x)
    if not fine.all():
        raise ValueError(f"{name} holds {int((~fine).sum())} values that are NaN or infinite.")
    return x


def unit(x: Tensor, name: str) -> Tensor:
    """A tensor of numbers within [0, 1], up to rounding (1e-6)."""
    low, high = (x.min().item(), x.max().item()) if x.numel() else (0, 1)
    if not -1e-6 <= low <= high <= 1 + 1e-6:
        raise ValueError(f"{name} must lie in [0, 1], but runs from {low:.3g} to {high:.3g}. Divide or clip it first.")
    return x


def kind_of(value: object) -> str:
    """What to call a value in a message: a tensor by its dtype ("float32"), anything else by its class."""
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__


def shown(value: object) -> str:
    """A value as it stands in a message: a tensor by dtype and shape, anything else by its repr, shortened."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    try:
        text = repr(value)
    except Exception:  # such as a whole number of more digits than Python writes out
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
