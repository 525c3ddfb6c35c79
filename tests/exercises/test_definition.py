"""An exercise is checked when it is defined, and a lesson is found by the id of its exercise."""

import dataclasses
import sys
import types

import pytest

from tests.exercises.made_up import EXERCISES
from vae_helpers.exercises import UnknownExercise, registry


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "3.2"}, "of the form '03.2'"),
        ({"id": 99.1}, "of the form '03.2'"),
        ({"kind": "number"}, "'number' is not one of"),
        ({"reference": 3.5}, "written with def"),
        ({"reference": lambda: 3.5}, "written with def"),
        ({"hints": ("one", "two")}, "three hints are needed, got 2"),
        ({"check": None}, "check"),
    ],
)
def test_an_exercise_that_is_not_one_is_refused(change, said):
    with pytest.raises((ValueError, TypeError), match=said):
        dataclasses.replace(EXERCISES[0], **change)


def test_a_lesson_is_imported_when_it_is_asked_for(monkeypatch):
    assert registry.find("99.2") is EXERCISES[1]
    assert registry.exercises_of("98") == ()
    with pytest.raises(UnknownExercise, match=r"There is no exercise '98\.1'"):
        registry.find("98.1")


def test_the_lessons_are_the_files_of_that_name(tmp_path, monkeypatch):
    import vae_helpers.lessons

    for name in ("lesson_07.py", "lesson_05.py", "lesson_x.py", "lesson_005.py", "other.py"):
        (tmp_path / name).write_text("EXERCISES = ()")
    monkeypatch.setattr(vae_helpers.lessons, "__path__", [str(tmp_path)])
    assert registry.lesson_numbers() == ("05", "07")


def test_what_a_lesson_itself_misses_is_not_hidden(monkeypatch, tmp_path):
    import vae_helpers.lessons

    (tmp_path / "lesson_97.py").write_text("import no_such_module")
    monkeypatch.setattr(vae_helpers.lessons, "__path__", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        registry.find("97.1")
    assert not isinstance(sys.modules.get("vae_helpers.lessons.lesson_97"), types.ModuleType)
