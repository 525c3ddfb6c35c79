"""A name that is not there yet: one sentence below the error, for the learner's own names alone."""

import contextlib
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools import notebooks
from vae_helpers import exercise
from vae_helpers.exercises import name_errors


def error_of(source, name="__main__"):
    with contextlib.suppress(StopIteration):
        try:
            exec(source, {"__name__": name})
        except Exception as error:
            return error
    return None


@pytest.mark.parametrize(
    "source",
    [
        "model(3)",
        "del model",
        "class A: size = model",
        "def f(): return model\nf()",
        "[model for _ in range(2)]",
        "list(map(lambda x: model, [1]))",
    ],
)
def test_a_name_that_nothing_has_made_is_named(source):
    said = name_errors.advice(error_of(source))
    assert "`model`" in said and "If a cell above makes it" in said and "\n" not in said


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 / 0",
        "raise NameError('model')",
        "{}['model']",
        "import no_such_module",
        "def f():\n    print(x)\n    x = 1\nf()",
        "def f():\n    def g(): return x\n    g()\n    x = 1\nf()",
    ],
)
def test_every_other_error_is_left_to_speak_for_itself(source):
    assert name_errors.advice(error_of(source)) == ""


def test_a_mistake_in_a_package_is_not_the_learners():
    assert name_errors.advice(error_of("model", name="somewhere")) == ""


def test_an_exercise_says_which_name_its_answer_lacks(capsys):
    space = {"__name__": "__main__"}
    exec("def answer(*arguments): return earlier_answer(*arguments)", space)
    exercise("00.1", space["answer"])
    said = capsys.readouterr().out
    assert "`earlier_answer`" in said and "cell above" in said and "reference answer is used" in said


def test_outside_a_notebook_nothing_is_installed():
    code = "import sys, vae_helpers.exercises; print(sorted({'IPython', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_in_a_kernel_the_error_stays_as_it_was_and_the_sentence_stands_below():
    def outputs(setup, source="model(3)"):
        cells = [new_code_cell(setup), new_code_cell(source, metadata={"tags": ["raises-exception"]})]
        return notebooks.run(new_notebook(cells=cells)).cells[1].outputs

    plain, (error, sentence) = outputs("pass"), outputs("from vae_helpers import claim")
    assert [error] == plain and error.ename == "NameError"
    assert nbformat.from_dict(sentence) == {
        "output_type": "stream",
        "name": "stdout",
        "text": name_errors.advice(error_of("model")) + "\n",
    }
    assert [output.output_type for output in outputs("from vae_helpers import claim", "1 / 0")] == ["error"]
