"""The committed notebooks keep the rules; that they run is seen by nbval, which runs each of their cells."""

import importlib
import json
import os
import subprocess
import sys

import nbformat
import pytest

from tests.notebook_rules import RULES, Lesson
from tools import notebooks
from vae_helpers.grading.exercise_cells import paste

NOTEBOOKS = sorted(notebooks.NOTEBOOKS.glob("*.ipynb"))


def by_name(value):
    return getattr(value, "stem", None) or getattr(value, "__name__", None)


def first_now_the_rest_in_the_soak(paths):
    return [pytest.param(path, marks=[pytest.mark.soak] if path != paths[0] else []) for path in paths]


def test_the_notebooks_are_numbered_from_00():
    assert NOTEBOOKS, f"there are no notebooks in {notebooks.NOTEBOOKS}"
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02d}_" for number in range(len(NOTEBOOKS))]


@pytest.mark.parametrize("rule", RULES, ids=by_name)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_keeps_the_rules(path, rule):
    broken = list(rule(Lesson(path)))
    assert not broken, "\n  ".join([f"{path.name} breaks the rule {rule.__name__}:", *broken])


@pytest.mark.parametrize("path", first_now_the_rest_in_the_soak(NOTEBOOKS), ids=by_name)
def test_the_reference_answers_solve_every_exercise(path, tmp_path):
    record = tmp_path / "grades.jsonl"
    answered = paste(nbformat.read(path, as_version=4))
    done = notebooks.run(answered, {"VAE_HELPERS_GRADING": str(record)}, folder=tmp_path / "elsewhere")
    assert notebooks.problems(done) == []
    grades = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    assert [grade["message"] for grade in grades if not grade["solved"]] == []
    assert [grade["id"] for grade in grades] == [call.args[0].value for *_, call in Lesson(path).calls("exercise")]


def other_answers(path, variant):
    """Exercise id -> code that binds its name to a right answer other than the reference."""
    number = path.name[:2]
    accepted = importlib.import_module(f"tests.lessons.accepted_{number}").ACCEPTED
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(notebooks.ROOT)!r})\n"
        f"{{name}} = importlib.import_module('tests.lessons.accepted_{number}').ACCEPTED['{{id}}'][{{place}}]"
    )
    calls = [call for *_, call in Lesson(path).calls("exercise")]
    names = {call.args[0].value: call.args[1].id for call in calls}
    return {id: code.format(name=name, id=id, place=variant % len(accepted[id])) for id, name in names.items()}


@pytest.mark.parametrize("variant", [2, -1])
@pytest.mark.parametrize("path", first_now_the_rest_in_the_soak(NOTEBOOKS), ids=by_name)
def test_other_right_answers_break_nothing_below(path, variant, tmp_path):
    """What a check accepts makes no cell below stop, and no claim false."""
    record = tmp_path / "grades.jsonl"
    answered = paste(nbformat.read(path, as_version=4), other_answers(path, variant))
    done = notebooks.run(answered, {"VAE_HELPERS_GRADING": str(record)}, folder=tmp_path / "elsewhere")
    assert notebooks.problems(done) == []
    grades = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    assert [grade["message"] for grade in grades if not grade["solved"]] == []


ALL_KINDS = [
    pytest.param(kind, marks=pytest.mark.alone if kind.threads > 1 else [], id="-".join(map(str, kind)))
    for kind in notebooks.KINDS
]


@pytest.mark.soak
@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_passes_on_every_kind_of_machine(path, kind):
    if kind not in notebooks.kinds_here():
        pytest.skip("the processor has nothing beyond AVX2")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", str(path)]
    result = subprocess.run(
        command, cwd=notebooks.ROOT, env=os.environ | kind.environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-3000:]
