import pytest
import torch

from tests.exercises import made_up  # noqa: F401 - makes lesson 99 known
from vae_helpers import hint, solution
from vae_helpers.exercises import UnknownExercise


def test_hints_come_one_by_one_and_the_last_stays(capsys):
    for _ in range(4):
        hint("99.2")
    hint("99.1")
    assert capsys.readouterr().out == (
        "Hint 1 of 3 for exercise 99.2 (a nudge): Six faces.\n"
        "Hint 2 of 3 for exercise 99.2 (the formula): E[x] = sum of x p(x)\n"
        "Hint 3 of 3 for exercise 99.2 (nearly the code): sum(range(1, 7)) / 6\n"
        "Hint 3 of 3 for exercise 99.2 (nearly the code): sum(range(1, 7)) / 6\n"
        "Hint 1 of 3 for exercise 99.1 (a nudge): Which sum?\n"
    )


def test_a_hint_can_be_asked_for_by_its_number(capsys):
    hint("99.1", 3)
    hint("99.1", level=1)
    hint("99.1")
    shown = capsys.readouterr().out
    assert [line[:10] for line in shown.splitlines() if line.startswith("Hint")] == [
        "Hint 3 of ",
        "Hint 1 of ",
        "Hint 2 of ",
    ]
    assert "(nearly the code):\n0.5 * (...).sum(-1)\nwith one more\n" in shown


@pytest.mark.parametrize("level", [0, 4, -1, "2", True, 1.5, torch.zeros(0), torch.ones(2)])
def test_there_is_no_other_hint(level):
    with pytest.raises(ValueError, match="is not 1, 2 or 3"):
        hint("99.1", level)


def test_an_unknown_exercise_has_neither_hint_nor_solution():
    for ask in (hint, solution):
        with pytest.raises(UnknownExercise):
            ask("98.1")


def test_a_solution_is_the_references_source(capsys):
    assert solution("99.2") is None
    assert capsys.readouterr().out == (
        "Exercise 99.2, the reference answer:\n\n"
        'def dice_mean():\n    """The expectation of a die."""\n    return sum(range(1, 7)) / 6\n'
    )


def test_in_a_notebook_a_solution_is_a_block_of_code(monkeypatch, capsys):
    import IPython
    import IPython.display

    class Shell:
        kernel = object()

    shown = []
    monkeypatch.setattr(IPython, "get_ipython", Shell)
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: shown.append(data))
    solution("99.2")
    (block,) = shown
    assert "```python\ndef dice_mean():" in block["text/markdown"] and block["text/markdown"].endswith("\n```")
    assert block["text/plain"].endswith("return sum(range(1, 7)) / 6")
    assert capsys.readouterr().out == ""
