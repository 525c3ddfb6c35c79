"""An exercise is checked when it is defined, and a lesson is found by the id of its exercise."""

import dataclasses
import inspect
import sys
import types

import pytest
import torch

from tests.exercises import made_up
from tests.exercises.made_up import EXERCISES, gaussian_kl
from vae_helpers.exercises import UnknownExercise, Wrong, registry, wrong_answers
from vae_helpers.exercises.changes import changed


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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Wrong("no answer"), "99.1: 'no answer' needs either an answer or a change"),
        (Wrong("two answers", abs, ("0.5", "1")), "needs either an answer or a change"),
        (Wrong("half a change", change=("0.5",)), "'half a change': a change is a row of texts"),
        (Wrong("not texts", change=("0.5", 1)), "a change is a row of texts"),
        (Wrong("absent", change=("0.25", "1")), "'absent': '0.25' occurs nowhere in the code of gaussian_kl"),
        (Wrong("of the docstring", change=("summed", "averaged")), "'summed' occurs nowhere in the code"),
        (Wrong("twice", change=("log_var", "v")), "'log_var' occurs 2 times .* take in more of what stands around it"),
        (Wrong("in turn", change=("0.5", "2", "0.5", "3")), "'0.5' occurs nowhere"),
        (Wrong("no Python", change=("sum(-1)", "sum(-1")), "gaussian_kl is not Python after the change"),
    ],
)
def test_a_wrong_answer_that_is_none_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(EXERCISES[0], wrong=(wrong,))


def test_a_wrong_value_is_no_change():
    with pytest.raises(ValueError, match=r"99\.2: 'five' has to be a value, not a change"):
        dataclasses.replace(EXERCISES[1], wrong=(Wrong("five", change=("6", "5")),))


def test_a_change_gives_the_reference_with_one_thing_wrong():
    x = torch.tensor([[1.0, 2.0]])
    (wrong,) = dataclasses.replace(EXERCISES[0], wrong=(Wrong("mean", change=("sum", "mean")),)).wrong
    assert torch.allclose(wrong.answer(x, x), gaussian_kl(x, x) / 2)
    assert inspect.signature(wrong.answer) == inspect.signature(gaussian_kl)
    assert made_up.gaussian_kl is gaussian_kl, "the module is as it was"
    (again,) = dataclasses.replace(EXERCISES[0], wrong=(wrong,)).wrong
    assert again is wrong


def test_a_changed_answer_finds_what_its_module_has():
    """Helpers and imports of the lesson, those too that are made below the reference."""
    made = changed(with_helper, ("double(x)", "double(double(x))"))
    assert with_helper(3) == 6 and made(3) == 12


def with_helper(x):
    # A comment above the code, and no docstring.
    return double(x)


def double(x):
    return 2 * x


def test_wrong_answers_are_written_in_turn():
    given = wrong_answers("it is a change", ("2", "3"), "it is a function", abs)
    assert given == (Wrong("it is a change", change=("2", "3")), Wrong("it is a function", abs))
    with pytest.raises(ValueError, match="the last message has no answer: 'it is alone'"):
        wrong_answers("it is a function", abs, "it is alone")
    with pytest.raises(ValueError, match="stands where a message is expected"):
        wrong_answers(abs, "it is a function")


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
