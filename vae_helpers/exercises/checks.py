"""Ready-made checks: a function is compared with the reference at probes, a value with the reference's value.

The exercise hands its reference and its wrong answers to the check.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch

from vae_helpers.exercises import effects
from vae_helpers.exercises.definition import Exercise, Misconception
from vae_helpers.exercises.guarding import describe
from vae_helpers.exercises.isolation import seed_cpu
from vae_helpers.exercises.outcomes import (
    SINGLE,
    Leaf,
    Outcome,
    allowed,
    as_asked,
    as_numbers,
    both_slopes,
    kind,
    near,
    outcome,
    parameter_names,
    same,
    same_outcome,
    shape,
    take_apart,
)

Check = Callable[[Any, Exercise], None]
Parts = Sequence[tuple[str, Leaf]]  # (where, what)
Probes = Callable[[], Sequence[tuple]]
_Calls = list[tuple[Outcome, Outcome, str]]  # of each probe: the answer's, the reference's, the arguments
_FEW_DIGITS = (
    "it is right to five digits or more, but not to the sixteen of float64: a number in it has too few, typed or "
    "rounded to float32 (torch.tensor(2 * math.pi) is, math.log(2 * math.pi) is not), or an epsilon is added"
)


def compares(
    probes: Probes,
    *,
    tolerance: float = 1e-5,
    gradients: bool | Collection[str] = False,
    canonical: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function,
    harder: Sequence[tuple[str, Probes]] = (),
) -> Check:
    """A check for functions: same outputs as the exercise's reference at every probe.

    On a mismatch the wrong answer of the exercise that does the same as the learner's at every probe, whatever its
    dtype, gives its message; if there is none, the message says what differs: the type, the shape, the values (or only
    their last digits), what becomes of the arguments, the gradient, and last the dtype. Functions may return tensors,
    numbers, texts, torch distributions (compared by mean and standard deviation) and tuples, lists or dictionaries of
    them.

    Args:
        probes: returns a fresh list of tuples of arguments, the same ones each time it is called (seed it;
            the global generator is seeded for it). Choose probes at which the wrong answers differ from the
            reference and from each other, in the dtypes and shapes that the notebook uses.
        tolerance: |given - right| <= tolerance * (1 + |right|); in float32 at least 1e-5 is allowed. A small one
            shows an answer that computes in float32 where a claim below wants double precision.
        gradients: also compare gradients with respect to these arguments of the reference (True: to every floating
            tensor), so that an answer that leaves the graph (.item(), .detach(), torch.no_grad) is not right. Name
            those that the notebook differentiates: an answer may do with the others what it likes.
        canonical: wraps a function so that results that are equally right become equal; the learner's answer, the
            reference and the wrong answers are compared as wrapped by it.
        harder: pairs of a message and more probes, tried in turn by answers that are right at all before them: far out,
            where a clamp, an epsilon or an overflow shows. What goes wrong there, in whatever way, gets the message.
    Returns:
        a function of the answer and the exercise that raises Misconception (or NotAttempted) if the answer is not
        right, and otherwise returns None.
    """

    def outcomes(function: Callable[..., Any], reference: Callable[..., Any], probes: Probes) -> Iterator[Outcome]:
        for index in itertools.count():
            seed_cpu(0)  # the same probes each time, and functions that draw in the same order draw the same
            made = probes()  # anew for each call, for an answer may change its arguments
            if index == len(made):
                return
            args = tuple(made[index])
            names = parameter_names(reference, len(args))
            yield outcome(canonical(function), args, names, _wanted(gradients, names))

    def compared(answer: Callable[..., Any], reference: Callable[..., Any], probes: Probes) -> _Calls:
        right = list(outcomes(reference, reference, probes))
        given = list(map(as_asked, outcomes(answer, reference, probes), right))
        seed_cpu(0)
        return list(zip(given, right, (_said(reference, args) for args in probes()), strict=True))

    def check(answer: Callable[..., Any], exercise: Exercise) -> None:
        reference = exercise.reference
        calls = compared(answer, reference, probes)
        if finding := _first_finding(calls, tolerance):
            for candidate in exercise.wrong:
                known = outcomes(candidate.answer, reference, probes)  # most part from the answer at the first one
                if all(same_outcome(g, as_asked(k, r), tolerance) for (g, r, _), k in zip(calls, known, strict=True)):
                    raise Misconception(candidate.message)
            raise Misconception(_pattern(calls, tolerance) or _rounded(calls) or finding)
        for message, far in harder:
            more = compared(answer, reference, far)
            if _first_finding(more, tolerance):
                raise Misconception(message)
            calls += more
        if finding := next((found for given, right, _ in calls if (found := _types_differ(given, right))), None):
            raise Misconception(finding)

    return check


def close_to(*, tolerance: float = 1e-3) -> Check:
    """A check for values: the same as the value of the exercise's reference, within the tolerance.

    A number may come as a Python number, a NumPy number or a tensor without dimensions (one of shape (1,) would make a
    claim below stop), in any precision; texts are compared without regard to case; sequences part by part.

    Args:
        tolerance: |given - right| <= tolerance * (1 + |right|).
    Returns:
        a function of the answer and the exercise that raises Misconception if the answer is not right, and otherwise
        returns None.
    """
    value_of = functools.cache(lambda reference: reference())  # it may take long

    def check(answer: Any, exercise: Exercise) -> None:
        if callable(answer) and not isinstance(answer, torch.Tensor):
            raise Misconception("it is a function where its value is asked for: call it")
        right = list(take_apart(value_of(exercise.reference)))
        given = list(take_apart(answer))
        finding = _parts_differ(given, right, tolerance)
        if finding is None:
            return
        for candidate in exercise.wrong:
            if _parts_differ(given, list(take_apart(candidate.answer)), tolerance) is None:
                raise Misconception(candidate.message)
        raise Misconception(finding)

    return check


def _wanted(gradients: bool | Collection[str], names: Sequence[str]) -> Collection[str]:
    if isinstance(gradients, bool):
        return names if gradients else ()
    if unknown := set(gradients) - set(names):
        raise ValueError(f"compares: gradients={gradients!r}, but the reference has no {', '.join(sorted(unknown))}.")
    return gradients


def _results_differ(given: Outcome, right: Outcome, at: str, tolerance: float) -> str | None:
    """What sets the results of a call apart from the reference's, in words; None if nothing does."""
    if right.error:
        raise right.error  # the exercise itself is broken: do not hide it
    if given.error:
        return str(given.error) if isinstance(given.error, Misconception) else describe(given.error)
    found = _parts_differ(given.parts, right.parts, tolerance)
    return f"{found} (at {at})" if found else None


def _effects_differ(given: Outcome, right: Outcome, at: str, tolerance: float) -> str | None:
    if spoilt := [effects.blamed(*change) for change in given.changed if change not in right.changed]:
        return spoilt[0]
    if missed := [f"`{name}`" for name, _ in right.changed if name not in dict(given.changed)]:
        return f"it leaves its argument {', '.join(missed)} as it was, which it should change in place"
    return None


def _gradients_differ(given: Outcome, right: Outcome, at: str, tolerance: float) -> str | None:
    for (name, mine), (_, other) in zip(given.gradients, right.gradients, strict=True):
        if not near(*both_slopes(mine, other), allowed(other, tolerance)):
            if mine is None:
                return f"its values are right, but no gradient reaches `{name}`"
            return f"its values are right, but its gradient with respect to `{name}` is not"
    return None


def _first_finding(calls: _Calls, tolerance: float) -> str | None:
    looks = (_results_differ, _effects_differ, _gradients_differ)  # values at every probe, then the rest
    return next((found for look in looks for call in calls if (found := look(*call, tolerance))), None)


def _types_differ(given: Outcome, right: Outcome) -> str | None:
    """Would a cell below stop at results whose values are right?"""
    for (where, mine), (_, other) in zip(given.parts, right.parts, strict=True):
        found = _type_differs(mine, other)
        if found:
            return f"its values are right, but {f'part {where}' if where else 'it'} {found}"
    return None


def _parts_differ(given: Parts, right: Parts, tolerance: float) -> str | None:
    places, wanted = [where for where, _ in given], [where for where, _ in right]
    if places != wanted:
        return f"it has {_structure(given)} where {_structure(right)} is asked for"
    for (where, mine), (_, other) in zip(given, right, strict=True):
        found = _part_differs(mine, other, tolerance)
        if found:
            return f"its part {where} {found}" if where else f"it {found}"
    return None


def _part_differs(mine: Leaf, other: Leaf, tolerance: float) -> str | None:
    asked, got = kind(other), kind(mine)
    if asked not in ("tensor", "array", "number"):
        return None if same(mine, other, tolerance) else f"is {mine!r:.60}, which is not right"
    if got not in ("tensor", "array", "number") or (asked == "tensor" and got != "tensor"):
        return f"is {_typed(mine)} where {_typed(other)} is asked for"
    if asked == "tensor" and mine.device != other.device:
        return f"is on the device {mine.device} where its arguments are on {other.device}"
    if asked == "tensor" and mine.is_floating_point() and not other.is_floating_point():
        return f"has the type {mine.dtype} where {other.dtype} is asked for"
    if shape(mine) != shape(other):
        if asked == "number" and math.prod(shape(mine)) == 1:
            return f"has the shape {shape(mine)} where one number is asked for: take it out with .item()"
        return f"has the shape {shape(mine)} where {shape(other)} is asked for"
    x, y = as_numbers(mine), as_numbers(other)
    tolerance = allowed(other, tolerance)
    if near(x, y, tolerance):
        return None
    if x.is_complex() and not y.is_complex():
        return "is complex where a real number is asked for"
    for word, test in (("NaN", torch.isnan), ("infinity", torch.isinf)):
        if (test(x) & ~test(y)).any():
            return f"is {word}" if x.ndim == 0 else f"contains {word}"
    if y.ndim == 0 and asked == "number":
        return f"is {x.item():.6g}, which is not right"
    index = tuple(int(i) for i in torch.nonzero(~torch.isclose(x, y, rtol=tolerance, atol=tolerance))[0])
    place = f" at {list(index)}" if index else ""
    mine, other = (f"{value[index].item():.5g}" for value in (x, y))
    if mine == other:
        mine, other = (f"{value[index].item():.12g}" for value in (x, y))
    return f"is {mine}{place} where {other} is right"


def _type_differs(mine: Leaf, other: Leaf) -> str | None:
    """What is unlike in two parts with the same values: the dtype, a graph behind it, the layout."""
    if kind(other) != "tensor":  # a number is right in whatever precision it comes
        return None
    if mine.dtype != other.dtype:
        return f"has the type {mine.dtype} where {other.dtype} is asked for: {_trouble(mine.dtype, other.dtype)}"
    if mine.requires_grad and not other.requires_grad:
        return "hangs on a graph of your own (requires_grad): what draws or converts it would stop; add .detach()"
    return None if mine.layout == other.layout else f"is of the layout {mine.layout} where {other.layout} is asked for"


def _trouble(mine: torch.dtype, other: torch.dtype) -> str:
    """What another dtype would do to the cells below."""
    if not (mine.is_floating_point and other.is_floating_point):
        return "a cell below that counts, indexes or compares with it would stop or go wrong"
    if torch.finfo(mine).bits > torch.finfo(other).bits:
        return f"NumPy and .double() make such numbers, and a cell below that puts them beside {other} would stop"
    return "it has lost digits, and a cell below that puts it beside the others would stop"


def _pattern(calls: _Calls, tolerance: float) -> str | None:
    """Is the answer wrong by one factor, or by one number added, at every probe?"""
    if any(given.error or len(given.parts) != 1 or len(right.parts) != 1 for given, right, _ in calls):
        return None
    pairs = [(given.parts[0][1], right.parts[0][1]) for given, right, _ in calls]
    if any(kind(x) != kind(y) or kind(x) not in ("tensor", "number") for x, y in pairs):
        return None
    if any(getattr(x, "device", None) != getattr(y, "device", None) for x, y in pairs):
        return None
    pairs, tolerance = [(as_numbers(x), as_numbers(y)) for x, y in pairs], max(tolerance, SINGLE)
    if any(x.shape != y.shape or x.is_complex() or y.is_complex() for x, y in pairs):
        return None
    x, y = (torch.cat([pair[side].flatten() for pair in pairs]) for side in (0, 1))
    if x.numel() < 3 or not (x.isfinite().all() and y.isfinite().all()) or y.abs().max() <= tolerance:
        return None
    if near(x, y, tolerance):
        return None  # the gradients or something else differ
    factor = ((x * y).sum() / (y * y).sum()).item()
    if abs(factor) > tolerance and near(x, factor * y, tolerance):
        if abs(factor + 1) < tolerance:
            return "its sign is flipped"
        said = f"{factor:.4g}"
        return f"it is {said} times what it should be" if said != "1" else f"it is off by a factor of {factor:.8g}"
    shift = (x - y).mean().item()
    if near(x, y + shift, tolerance):
        return f"it is {abs(shift):.4g} too {'large' if shift > 0 else 'small'} everywhere"
    return None


def _rounded(calls: _Calls) -> str | None:
    """Is everything right, but only to the digits of single precision?"""
    return None if _first_finding(calls, SINGLE) else _FEW_DIGITS


def _structure(parts: Parts) -> str:
    if len(parts) == 1 and not parts[0][0]:
        return _typed(parts[0][1])
    return f"{len(parts)} parts ({', '.join(where for where, _ in parts[:6])})" if parts else "no part"


def _typed(leaf: Leaf) -> str:
    name = kind(leaf)
    if name in ("tensor", "array"):
        return f"a{'n' * (name == 'array')} {name} of shape {tuple(leaf.shape)}"
    if name == "number":
        return f"a number ({type(leaf).__name__})"
    return "a text" if name == "text" else f"something of type {name}"


def _said(reference: Callable[..., Any], args: tuple) -> str:
    """The arguments of a probe in words: small ones by value, others by shape."""
    names = parameter_names(reference, len(args))
    return ", ".join(f"{name} {_shown(arg)}" for name, arg in zip(names, args, strict=True)) or "every call"


def _shown(arg: Any) -> str:
    if isinstance(arg, torch.Tensor):
        if arg.numel() <= 3:
            return f"= {[round(v, 4) if isinstance(v, float) else v for v in arg.flatten().tolist()]}"
        return f"of shape {tuple(arg.shape)}"
    return f"= {arg!r:.40}" if kind(arg) in ("number", "text") else f"({type(arg).__name__})"
