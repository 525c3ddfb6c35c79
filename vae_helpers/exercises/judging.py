"""`exercise`: judges an answer, says in one paragraph what it shows, and returns what the notebook goes on with."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_helpers.exercises import progress_record
from vae_helpers.exercises.blanks import is_blank
from vae_helpers.exercises.definition import Exercise, Misconception, NotAttempted
from vae_helpers.exercises.guarding import Guard, describe
from vae_helpers.exercises.isolation import isolated, silenced
from vae_helpers.exercises.registry import find

_handed_back: dict[str, list[Any]] = {}  # exercise id -> the references that this kernel's notebook got for an answer
_RETURNED = (
    "Exercise {id}: this is the reference answer that was handed back before, not yours, and it counts for nothing. "
    'Run the cell with your own answer again. Help: hint("{id}")'
)


class NotSolved(Exception):
    """Raised by `exercise` under nbgrader, which takes an error in a check's cell for no points."""


@dataclass(frozen=True)
class Verdict:
    """What a check found out about an answer."""

    status: str  # "solved", "wrong" or "open" (not attempted)
    message: str = ""  # for "wrong": the misconception; for "open": what makes it look unfinished, if anything
    printed: int = 0  # characters that the answer printed while it was checked


def exercise(id: str, answer: Any) -> Any:
    """Check an answer, print what it shows, and return the answer if it is right and the reference until then.

    Write `name = exercise("03.2", name)` below the answer: the notebook runs on, solved or not. While grading
    (the environment variable VAE_HELPERS_GRADING names a file) the result is appended to that file as one
    line of JSON and the answer comes back as it is. nbgrader, when it grades or validates a notebook, is told by an
    error. The reference that came back for an answer is not checked when it is passed again.

    Args:
        id: the exercise, for example "03.2".
        answer: a function or a value; None, `...` or a function without a body is not attempted yet.
    Raises:
        UnknownExercise: there is no exercise of that id.
        NotSolved: the answer is not right, and nbgrader runs the notebook.
    """
    task = find(id)
    if any(answer is reference for reference in _handed_back.get(id, ())):
        print(_RETURNED.format(id=id))
        return answer
    verdict = judge(task, answer)
    if os.environ.get("NBGRADER_EXECUTION"):
        return _for_nbgrader(task, verdict, answer)
    results = os.environ.get("VAE_HELPERS_GRADING")
    if results:
        _append(results, task, verdict)
    else:
        progress_record.note_result(task.id, verdict.status)
    print(_paragraph(task, verdict, falls_back=not results))
    if results or verdict.status == "solved":
        return answer
    reference = task.reference if task.kind == "function" else _value_of(task)
    _handed_back.setdefault(id, []).append(reference)
    return reference


def _value_of(task: Exercise) -> Any:
    """The value of an exercise's reference; a whole number as NumPy's, which no number that a learner types is."""
    with isolated():
        value = task.reference()
    return np.int64(value) if type(value) is int else value


def _for_nbgrader(task: Exercise, verdict: Verdict, answer: Any) -> Any:
    said = _paragraph(task, verdict, falls_back=False)
    if verdict.status != "solved":
        raise NotSolved(said)
    print(said)
    return answer


def judge(task: Exercise, answer: Any) -> Verdict:
    """Run the exercise's check on an answer. No exception of the answer gets out, except KeyboardInterrupt."""
    if is_blank(answer):
        return Verdict("open")
    if task.kind == "function" and not callable(answer):
        return Verdict("wrong", f"it is of type {type(answer).__name__} where a function is asked for")
    guard = Guard(answer, task.reference) if task.kind == "function" else None
    status, message = "solved", ""
    with isolated(), silenced():
        try:
            task.check(guard or answer, task)
        except NotAttempted as empty:
            status, message = "open", str(empty)
        except Misconception as misconception:
            status, message = "wrong", str(misconception)
        except Exception as error:  # the answer is so odd that the check itself trips
            status, message = "wrong", f"the check cannot use what it gives: {describe(error)}"
    if status == "solved" and guard and guard.settings:
        settings = " and ".join(sorted(guard.settings))
        status, message = (
            "wrong",
            f"its values are right, but it changes {settings} for all that the notebook does below",
        )
    return Verdict(status, message, guard.printed if guard else 0)


def _paragraph(task: Exercise, verdict: Verdict, falls_back: bool) -> str:
    name, below = f"Exercise {task.id}", "the reference answer is used below" if falls_back else ""
    if verdict.status == "solved":
        text = f"{name} solved. Your answer is used below."
    elif verdict.status == "open":
        text = f"{name} is not attempted yet" + (f": {below}." if falls_back else ".")
        text += f" {_sentence(verdict.message)}" if verdict.message else ""
        text += f' A nudge: hint("{task.id}")'
    else:
        text = f"{name} is not right yet: {_sentence(verdict.message, capital=False)}"
        text += f" {_sentence(below)}" if falls_back else ""
        text += f' Help: hint("{task.id}")'
    if verdict.printed:
        text += " (What your function printed during the check is not shown.)"
    return text


def _sentence(clause: str, capital: bool = True) -> str:
    clause = clause.strip()
    clause = clause[:1].upper() + clause[1:] if capital else clause
    return clause if clause.endswith((".", "!", "?")) else clause + "."


def _append(results: str, task: Exercise, verdict: Verdict) -> None:
    line = {
        "id": task.id,
        "solved": verdict.status == "solved",
        "attempted": verdict.status != "open",
        "message": verdict.message,
    }
    with open(results, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
