"""What a function gives at one probe, taken apart so that two functions can be compared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from vae_helpers.exercises.definition import Misconception, NotAttempted
from vae_helpers.exercises.effects import effect, snapshot

Leaf = Any  # a tensor, a NumPy array, a number, a text, or an object that is compared with ==
Slopes = tuple[tuple[str, torch.Tensor | None], ...]  # (argument's name, d output / d argument)
NUMBERS = (int, float, complex, np.number, np.bool_)  # tensors cannot be added to the others, such as fractions
SINGLE = 1e-5  # two right ways to compute in float32 differ by less
LARGEST = 10**7  # more numbers in one result are a broadcast gone wrong, and would fill the memory


@dataclass(frozen=True)
class Outcome:
    """One call: the parts that came back, the gradients, the arguments it changed; or the exception."""

    parts: tuple[tuple[str, Leaf], ...] = ()  # (where, what): ("", tensor) or ("[0]", ...), (".mean", ...)
    gradients: Slopes = ()  # (argument's name, d output / d argument)
    changed: tuple[tuple[str, str], ...] = ()  # (argument's name, effects.VALUES or .FLAG or .GRAD)
    error: Exception | None = None


def outcome(function: Callable[..., Any], args: tuple, names: tuple[str, ...], wanted: Collection[str]) -> Outcome:
    """Call the function and take apart what comes back.

    Args:
        function: anything callable; a NotAttempted that it raises is passed on.
        args: fresh arguments, which the call may change.
        names: the arguments' names, for messages.
        wanted: names of arguments by which a fixed weighted sum of the output is differentiated too, if they are
            floating tensors.
    """
    args = tuple(
        a.detach().requires_grad_() if name in wanted and _is_floating(a) else a
        for name, a in zip(names, args, strict=True)
    )
    before = [snapshot(arg) for arg in args]
    try:
        parts = tuple(take_apart(function(*args)))
        _refuse_floods(parts)
        changed = tuple(
            (name, found)
            for name, arg, old in zip(names, args, before, strict=True)
            if (found := effect(arg, old)) is not None
        )
        slopes = _gradients(parts, [(n, a) for n, a in zip(names, args, strict=True) if n in wanted])
    except NotAttempted:
        raise
    except Exception as error:
        return Outcome(error=error)
    return Outcome(tuple((where, _kept(x)) for where, x in parts), slopes, changed)


def take_apart(value: Any, where: str = "") -> Iterator[tuple[str, Leaf]]:
    """The parts of a value with their places: of tuples, lists, dictionaries and torch distributions."""
    if isinstance(value, torch.distributions.Distribution):
        yield f"{where}.mean", value.mean
        yield f"{where}.stddev", value.stddev
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            yield from take_apart(value[key], f"{where}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            yield from take_apart(part, f"{where}[{index}]")
    else:
        yield where, value


def parameter_names(function: Callable[..., Any], count: int) -> tuple[str, ...]:
    """The names of a function's first `count` arguments."""
    names = tuple(inspect.signature(function).parameters)[:count]
    return names + tuple(f"argument {i + 1}" for i in range(len(names), count))


def same(mine: Leaf, other: Leaf, tolerance: float) -> bool:
    """Are two parts of one type, shape and (within the tolerance, relative plus absolute) value?"""
    if kind(mine) != kind(other):
        return False
    if kind(mine) not in ("tensor", "array", "number"):
        return _equal(mine, other)
    if kind(mine) == "tensor" and mine.device != other.device:
        return False
    return shape(mine) == shape(other) and near(as_numbers(mine), as_numbers(other), allowed(other, tolerance))


def same_outcome(mine: Outcome, other: Outcome, tolerance: float) -> bool:
    """Did two functions do the same at a probe: same exception, or same parts, gradients and changes?"""
    if mine.error or other.error:
        return _name_of_error(mine.error) == _name_of_error(other.error)
    if [where for where, _ in mine.parts] != [where for where, _ in other.parts] or mine.changed != other.changed:
        return False
    parts = zip(mine.parts, other.parts, strict=True)
    slopes = zip(mine.gradients, other.gradients, strict=True)
    return all(same(x, y, tolerance) for (_, x), (_, y) in parts) and all(
        near(*both_slopes(x, y), allowed(y, tolerance)) for (_, x), (_, y) in slopes
    )


def as_asked(given: Outcome, right: Outcome) -> Outcome:
    """The same outcome, with a plain number for each single value of a tensor or an array where `right` has one."""
    numbers = {where for where, part in right.parts if kind(part) == "number"}
    return replace(given, parts=tuple((at, _as_number(part) if at in numbers else part) for at, part in given.parts))


def kind(leaf: Leaf) -> str:
    """What a part is: "tensor", "array", "number", "text" or else the name of its type."""
    if isinstance(leaf, torch.Tensor):
        return "tensor"
    if isinstance(leaf, np.ndarray):
        return "array"
    if isinstance(leaf, NUMBERS):
        return "number"
    return "text" if isinstance(leaf, str) else type(leaf).__name__


def shape(leaf: Leaf) -> tuple[int, ...]:
    """The shape of a tensor, an array or a number."""
    return tuple(getattr(leaf, "shape", ()))


def as_numbers(leaf: Leaf) -> torch.Tensor:
    """A tensor, array or number as a tensor of doubles (complex ones as complex doubles) on the CPU."""
    if isinstance(leaf, int):  # of any length
        leaf = float(min(max(leaf, -(10**300)), 10**300))
    tensor = torch.as_tensor(leaf).detach().cpu().to_dense()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def near(mine: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    """|mine - other| <= tolerance * (1 + |other|) everywhere; NaN equals NaN."""
    if mine.is_complex() != other.is_complex():
        return False
    return torch.allclose(mine, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def allowed(right: Leaf, tolerance: float) -> float:
    """The tolerance for a part: single precision cannot be held to more than SINGLE."""
    single = isinstance(right, torch.Tensor) and right.is_floating_point() and right.dtype != torch.float64
    return max(tolerance, SINGLE) if single else tolerance


def both_slopes(mine: torch.Tensor | None, other: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Two gradients as tensors; a gradient that does not exist is one of zeros."""
    known = [slope for slope in (mine, other) if slope is not None]
    zeros = torch.zeros_like(known[0]) if known else torch.zeros(())
    return as_numbers(zeros if mine is None else mine), as_numbers(zeros if other is None else other)


def _gradients(parts: tuple, wanted: list[tuple[str, Any]]) -> Slopes:
    wanted = [(name, a) for name, a in wanted if _is_floating(a)]
    total = 0.0
    for _, x in parts:
        if isinstance(x, torch.Tensor) and x.is_floating_point() and x.requires_grad:
            weights = torch.linspace(0.5, 1.5, x.numel(), dtype=x.dtype, device=x.device).reshape(x.shape)
            total = total + (weights * x).sum()
    if not isinstance(total, torch.Tensor) or not wanted:
        return tuple((name, None) for name, _ in wanted)
    slopes = torch.autograd.grad(total, [a for _, a in wanted], allow_unused=True)
    return tuple((name, slope) for (name, _), slope in zip(wanted, slopes, strict=True))


def _refuse_floods(parts: tuple) -> None:
    for _, x in parts:
        if isinstance(x, torch.Tensor) and x.numel() > LARGEST:
            raise Misconception(f"it returns a tensor of shape {tuple(x.shape)}: far more numbers than are asked for")


def _kept(x: Leaf) -> Leaf:
    """A part as it came, for later calls may change it; whether it hung on a graph is kept too."""
    return x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x


def _as_number(part: Leaf) -> Leaf:
    return as_numbers(part).item() if kind(part) in ("tensor", "array") and shape(part) == () else part


def _is_floating(arg: Any) -> bool:
    return isinstance(arg, torch.Tensor) and arg.is_floating_point()


def _equal(mine: Any, other: Any) -> bool:
    if isinstance(mine, str) and isinstance(other, str):
        return mine.strip().casefold() == other.strip().casefold()
    try:
        return bool(mine == other)
    except Exception:
        return False


def _name_of_error(error: Exception | None) -> str | None:
    """Type and text of what a learner's function raised, found through the guard that caught it."""
    if error is None:
        return None
    cause = error.__cause__ if isinstance(error, Misconception) and error.__cause__ else error
    return f"{type(cause).__name__}: {cause}"
