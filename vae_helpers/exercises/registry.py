"""Finds an exercise by its id; a lesson's file is imported when one of its exercises is asked for."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

from vae_helpers.exercises.definition import ID, Exercise

LESSONS = "vae_helpers.lessons"  # looked up by name: that room imports this one


class UnknownExercise(LookupError):
    """No lesson has an exercise of this id."""


def find(id: str) -> Exercise:
    """The exercise called `id`, for example "03.2", defined in lesson_03.

    Raises:
        UnknownExercise: there is none; the message lists those that exist.
    """
    if isinstance(id, str) and ID.fullmatch(id):
        for exercise in exercises_of(id[:2]):
            if exercise.id == id:
                return exercise
    known = ", ".join(exercise.id for exercise in all_exercises()) or "none (this package holds no lesson)"
    how = "" if isinstance(id, str) else ' An id is written in quotes: "03.2".'
    raise UnknownExercise(f"There is no exercise {id!r}.{how} Known exercises: {known}.")


def lesson_numbers() -> tuple[str, ...]:
    """The notebooks that have exercises, as ("00", "01", ...)."""
    names = (module.name for module in pkgutil.iter_modules(importlib.import_module(LESSONS).__path__))
    return tuple(sorted(found[1] for name in names if (found := re.fullmatch(r"lesson_(\d\d)", name))))


def exercises_of(number: str) -> tuple[Exercise, ...]:
    """The exercises of notebook `number`, in order; none if no such lesson exists."""
    lesson = _lesson(number)
    return tuple(lesson.EXERCISES) if lesson else ()


def all_exercises() -> tuple[Exercise, ...]:
    """Every exercise of the course, in order."""
    return tuple(exercise for number in lesson_numbers() for exercise in exercises_of(number))


def _lesson(number: str) -> ModuleType | None:
    name = f"{LESSONS}.lesson_{number}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise  # the lesson exists and misses something itself
