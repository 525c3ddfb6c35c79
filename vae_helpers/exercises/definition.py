"""What an exercise is: its reference answer, its hints, its check, and the wrong answers it knows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KINDS = ("function", "value")
ID = re.compile(r"\d\d\.\d+")  # notebook, number in it: "03.2"


class Misconception(Exception):
    """Raised by a check: what the answer shows to be misunderstood. The message is shown to the learner.

    The message is a clause without a full stop, which ends the sentence "Exercise 02.1 is not right yet: ...".
    """


class NotAttempted(Exception):
    """Raised when an answer turns out to be empty: it returns nothing or says that it is not implemented."""


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer and the message for a learner who gives it."""

    message: str
    answer: Any  # a function for an exercise of kind "function", otherwise a value


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook.

    Raises:
        ValueError, TypeError: a field is not what it has to be; the message says which.
    """

    id: str  # "03.2": the second exercise of notebook 03
    title: str
    reference: Callable[..., Any]  # the answer; for kind "value" a function without arguments that computes it
    hints: tuple[str, str, str]  # a nudge, the formula, near-code
    check: Callable[[Any], None]  # raises Misconception when the answer is not right
    wrong: tuple[Wrong, ...]  # five or more
    kind: str = "function"

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not ID.fullmatch(self.id):
            raise ValueError(f"Exercise: id={self.id!r} is not of the form '03.2'.")
        if self.kind not in KINDS:
            raise ValueError(f"Exercise {self.id}: kind={self.kind!r} is not one of {KINDS}.")
        if not inspect.isfunction(self.reference) or self.reference.__name__ == "<lambda>":
            raise TypeError(f"Exercise {self.id}: the reference must be a function written with def.")
        if len(self.hints) != 3:
            raise ValueError(f"Exercise {self.id}: three hints are needed, got {len(self.hints)}.")
        if not callable(self.check):
            raise TypeError(f"Exercise {self.id}: the check must be callable, got {type(self.check).__name__}.")
