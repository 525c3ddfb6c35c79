"""A check with a second look: at extreme arguments, where an epsilon, a clamp or the log of a rounded density shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from vae_helpers.exercises.checks import Check, compares
from vae_helpers.exercises.definition import Exercise, Misconception

Probes = Callable[[], Sequence[tuple]]
NEARLY = 2e-3  # an answer that is as near as this at ordinary arguments differs by something small


def compares_also_at(
    extremes: Probes,
    message: str,
    *,
    ordinary: Probes,
    gradients: Collection[str] = (),
    unit: float = 1.0,
    tolerance: float = 1e-3,
) -> Check:
    """A check for functions, as `compares` makes it at ordinary arguments, and then at extreme ones.

    Epsilons come in all sizes, so no list of wrong answers holds them all: whoever is right, or nearly right, at
    ordinary arguments and wrong at extreme ones gets the message.

    Args:
        extremes: returns a fresh list of tuples of extreme arguments.
        message: what an answer shows to be misunderstood that is wrong there only.
        ordinary: the same for ordinary arguments.
        gradients: as in `compares`; at ordinary arguments.
        unit: at extremes, |given - right| <= tolerance * (unit + |right|).
        tolerance: at extremes; coarser than elsewhere, for float32 is near its limits there.
    Returns:
        a check that raises Misconception if the answer is not right at both.
    """

    def in_units(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*args) / unit

    exactly = compares(ordinary, gradients=gradients)
    nearly = compares(ordinary, gradients=gradients, tolerance=NEARLY)
    far = compares(extremes, tolerance=tolerance, canonical=in_units)

    def check(answer: Any, exercise: Exercise) -> None:
        try:
            exactly(answer, exercise)
        except Misconception as found:
            known = any(str(found) == wrong.message for wrong in exercise.wrong)
            if known or not _passes(nearly, answer, exercise):
                raise
            raise Misconception(message) from found
        if not _passes(far, answer, exercise):
            raise Misconception(message)

    return check


def _passes(check: Check, answer: Any, exercise: Exercise) -> bool:
    try:
        check(answer, exercise)
    except Misconception:
        return False
    return True
