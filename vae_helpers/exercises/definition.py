"""What an exercise is: its reference answer, its hints, its check, and the wrong answers it knows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vae_helpers.exercises.changes import changed

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
    """A plausible wrong answer and the message for a learner who gives it.

    The answer is given as it is, or as a change of the reference; an `Exercise` turns the change into the answer.
    """

    message: str
    answer: Any = None  # a function for an exercise of kind "function", otherwise a value
    change: tuple[str, ...] = ()  # OLD, NEW, OLD, NEW, ...: what to replace in the reference's code (changes.py)


def wrong_answers(*messages_and_answers: Any) -> tuple[Wrong, ...]:
    """Wrong answers written as message, answer, message, answer, ...

    Args:
        messages_and_answers: each message is followed by what gives it: a change of the reference, as a tuple of texts
            (OLD, NEW, OLD, NEW, ...), or the answer itself. An answer that is itself a tuple: `Wrong(message, answer)`.
    Raises:
        ValueError: a message has no answer, or something else than text is where a message is expected.
    """
    messages, answers = messages_and_answers[::2], messages_and_answers[1::2]
    if len(messages) != len(answers):
        raise ValueError(f"wrong_answers: the last message has no answer: {messages[-1]!r:.200}")
    for message in messages:
        if not isinstance(message, str):
            raise ValueError(f"wrong_answers: {message!r:.200} stands where a message is expected.")
    return tuple(
        Wrong(message, change=answer) if isinstance(answer, tuple) else Wrong(message, answer)
        for message, answer in zip(messages, answers, strict=True)
    )


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
    check: Callable[[Any, Exercise], None]  # of an answer and this exercise; raises Misconception if it is not right
    wrong: tuple[Wrong, ...]  # five or more, each with its answer once the exercise is made
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
        object.__setattr__(self, "wrong", tuple(self._with_answer(wrong) for wrong in self.wrong))

    def _with_answer(self, wrong: Wrong) -> Wrong:
        if (wrong.answer is None) == (not wrong.change):
            raise ValueError(f"Exercise {self.id}: {wrong.message!r} needs either an answer or a change.")
        if not wrong.change:
            return wrong
        if self.kind == "value":
            raise ValueError(f"Exercise {self.id}: {wrong.message!r} has to be a value, not a change.")
        try:
            return Wrong(wrong.message, changed(self.reference, wrong.change))
        except ValueError as error:
            raise ValueError(f"Exercise {self.id}: {wrong.message!r}: {error}.") from error
