"""`hint` and `solution`: help in three steps, then the reference answer."""

from __future__ import annotations

import inspect
import textwrap
from numbers import Integral

from vae_helpers.exercises import progress_record
from vae_helpers.exercises.name_errors import notebook_shell
from vae_helpers.exercises.registry import find

STAGES = ("a nudge", "the formula", "nearly the code")

_shown: dict[str, int] = {}  # exercise id -> the last hint shown in this kernel


def hint(id: str, level: int | None = None) -> None:
    """Print the next hint for an exercise: first a nudge, then the formula, then nearly the code.

    Args:
        id: the exercise, for example "03.2".
        level: 1, 2 or 3 for that very hint; without it each call shows the next one.
    Raises:
        UnknownExercise: there is no exercise of that id.
        ValueError: `level` is not 1, 2 or 3.
    """
    task = find(id)
    if level is None:
        level = min(_shown.get(id, 0) + 1, 3)
    if not isinstance(level, Integral) or isinstance(level, bool) or level not in (1, 2, 3):
        raise ValueError(f"hint: level={level!r:.80} is not 1, 2 or 3.")
    _shown[id] = level
    progress_record.note_hint(id, level)
    text = textwrap.dedent(task.hints[level - 1]).strip()
    gap = "\n" if "\n" in text else " "
    print(f"Hint {level} of 3 for exercise {id} ({STAGES[level - 1]}):{gap}{text}")


def solution(id: str) -> None:
    """Show the reference answer's source: as a code block in a notebook, as plain text elsewhere.

    Raises:
        UnknownExercise: there is no exercise of that id.
    """
    task = find(id)
    progress_record.note_solution(id)
    source = source_of(task.reference)
    plain = f"Exercise {id}, the reference answer:\n\n{source}"
    if notebook_shell():
        from IPython.display import display

        markdown = f"**Exercise {id}, the reference answer**\n\n```python\n{source}\n```"
        display({"text/markdown": markdown, "text/plain": plain}, raw=True)
    else:
        print(plain)


def source_of(function: object) -> str:
    """The source of a function, unindented, without a newline at its end."""
    return textwrap.dedent(inspect.getsource(function)).rstrip()
