"""Keeps what a learner has solved in progress.json, and shows it.

The file is in the working directory; VAE_HELPERS_PROGRESS=<path> puts it elsewhere, and
VAE_HELPERS_PROGRESS=off keeps the record in memory. Nothing about this file ever stops a notebook.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vae_helpers.exercises.definition import ID
from vae_helpers.exercises.registry import exercises_of, lesson_numbers
from vae_helpers.writing import write_whole

NAME = "progress.json"
EMPTY = {"solved": False, "attempts": 0, "hints": 0, "solution": False}

_memory: dict[str, dict[str, Any]] = {}  # what this kernel knows, written or not
_said: set[str] = set()  # the complaints printed so far; each is printed once


def note_result(id: str, status: str) -> None:
    """Note the outcome of a check: "solved", "wrong" or "open". What was solved once stays solved."""
    if status == "open":
        return  # running a fresh notebook writes nothing
    entry = _entry(id)
    if not entry["solved"]:
        entry["attempts"] += 1
        entry["solved"] = status == "solved"
        _keep(id, entry)


def note_hint(id: str, level: int) -> None:
    """Note that this hint (1, 2 or 3) was read."""
    entry = _entry(id)
    entry["hints"] = max(entry["hints"], level)
    _keep(id, entry)


def note_solution(id: str) -> None:
    """Note that the reference answer was read."""
    _keep(id, _entry(id) | {"solution": True})


def progress() -> None:
    """Print which exercises are solved, per notebook, and how many."""
    entries = _all()
    solved = total = 0
    for number in lesson_numbers():
        tasks = exercises_of(number)
        done = sum(entries.get(task.id, EMPTY)["solved"] for task in tasks)
        solved, total = solved + done, total + len(tasks)
        print(f"Notebook {number}: {done} of {len(tasks)} solved")
        for task in tasks:
            print(f"  {task.id:5} {_words(entries.get(task.id, EMPTY)):22} {task.title}")
    print(f"{solved} of {total} exercises solved." if total else "This package holds no exercise.")


def _words(entry: dict[str, Any]) -> str:
    if entry["solved"]:
        return "solved" + (" (solution read)" if entry["solution"] else "")
    if entry["attempts"]:
        return f"tried {entry['attempts']} time{'s' * (entry['attempts'] > 1)}"
    return "-"


def _path() -> Path | None:
    wish = os.environ.get("VAE_HELPERS_PROGRESS", "").strip()
    if wish.lower() == "off":
        return None
    # os.path, unlike pathlib, raises nothing where there is no home or no right to look.
    wish = os.path.expanduser(wish or NAME)
    return Path(wish, NAME) if os.path.isdir(wish) else Path(wish)


def _entry(id: str) -> dict[str, Any]:
    return EMPTY | _all().get(id, {})


def _all() -> dict[str, dict[str, Any]]:
    """What the file holds, merged with what this kernel knows."""
    path = _path()
    return _merged(_memory, _read(path) if path else {})


def _merged(*records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every exercise with the most that any of the records says about it (False < True)."""
    ids = sorted({id for record in records for id in record})
    return {id: {key: max(record.get(id, EMPTY)[key] for record in records) for key in EMPTY} for id in ids}


def _keep(id: str, entry: dict[str, Any]) -> None:
    _memory[id] = entry
    path = _path()
    if path is None:
        return
    entries = _merged(_memory, _read(path))  # read again: another notebook may have written since
    try:
        write_whole(path, _text(entries))
    except OSError as error:
        _say_once(f"Your progress cannot be written to {path} ({error.strerror}): it is kept while this kernel runs.")


def _text(entries: dict[str, dict[str, Any]]) -> bytes:
    return (json.dumps({"version": 1, "exercises": entries}, indent=1) + "\n").encode()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not os.path.isfile(path):  # /dev/null must not be renamed, and a pipe would block
        return {}
    try:
        text = path.read_bytes()
    except OSError:
        return {}
    try:
        exercises = json.loads(text)["exercises"]
        return {id: _checked(id, entry) for id, entry in exercises.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _set_aside(path)
        return {}


def _checked(id: str, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry that is what it should be, or ValueError."""
    entry = EMPTY | entry
    if not ID.fullmatch(id) or any(type(entry[key]) is not type(value) for key, value in EMPTY.items()):
        raise ValueError(id)
    return entry


def _set_aside(path: Path) -> None:
    aside = path.with_name(path.name + ".unreadable")
    try:
        os.replace(path, aside)
        _say_once(f"{path} is not a record of progress: it was renamed to {aside.name} and a new one is begun.")
    except OSError:
        _say_once(f"{path} is not a record of progress and cannot be renamed: progress is kept in memory.")


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        print(message)
