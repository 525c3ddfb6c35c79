import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.exercises import made_up  # noqa: F401 - makes lesson 99 known
from vae_helpers.grading.exercise_cells import locate, paste

KL_CELL = '''# an exercise
@torch.no_grad()
def kl(mu, log_var):
    """KL."""
    ...  # your code here

assert callable(kl)
kl = exercise("99.1", kl)'''
DICE_CELL = 'mean = None  # your number here\nmean = exercise("99.2", mean)'


def notebook():
    return new_notebook(
        cells=[
            new_markdown_cell('# NN\n`kl = exercise("99.1", kl)`'),
            new_code_cell("import torch\nfrom vae_helpers import exercise"),
            new_code_cell(KL_CELL, metadata={"tags": ["exercise"]}),
            new_code_cell(DICE_CELL),
            new_code_cell("%matplotlib inline\nkl(torch.zeros(1, 2), torch.ones(1, 2))"),
        ]
    )


def test_references_are_pasted_and_the_rest_is_left_alone():
    before = notebook()
    after = paste(before)
    assert before.cells[2].source == KL_CELL, "the notebook itself stays as it is"
    changed = [a.source != b.source for a, b in zip(before.cells, after.cells, strict=True)]
    assert changed == [False, False, True, True, False]
    assert after.cells[2].source == (
        "# an exercise\ndef gaussian_kl(mu, log_var):\n"
        '    """KL(N(mu, exp(log_var)) || N(0, 1)) summed over latents: (N, D), (N, D) -> (N,)."""\n'
        "    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)\n\n\n"
        'kl = gaussian_kl\n\nassert callable(kl)\nkl = exercise("99.1", kl)'
    )
    assert after.cells[3].source == (
        'def dice_mean():\n    """The expectation of a die."""\n    return sum(range(1, 7)) / 6\n\n\n'
        'mean = dice_mean()\nmean = exercise("99.2", mean)'
    )
    assert after.cells[2].metadata.tags == ["exercise"]


def test_pasted_answers_pass(capsys):
    names = {}
    for cell in paste(notebook()).cells[1:4]:
        exec(cell.source, names)
    assert capsys.readouterr().out.count("solved. Your answer is used below.") == 2


def test_other_answers_can_be_pasted():
    after = paste(notebook(), {"99.2": "mean = 3"})
    assert after.cells[2].source == KL_CELL
    assert after.cells[3].source == 'mean = 3\nmean = exercise("99.2", mean)'


def test_an_answer_to_an_exercise_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no exercise 99\.3"):
        paste(notebook(), {"99.3": "x = 1"})


@pytest.mark.parametrize(
    "source",
    [
        'x: float = None\nx = exercise("99.2", x)',
        'x = 1\nx = None\n\nx = exercise("99.2", x)\n',
        'class x: ...\nx = vae_helpers.exercise("99.2", x)',
    ],
)
def test_an_exercise_is_found(source):
    id, name, first, last = locate(source)
    assert (id, name, first == last) == ("99.2", "x", True)
    assert source.splitlines()[first - 1].startswith(("x: float", "x = None", "class x"))


@pytest.mark.parametrize("source", ["", "x = 1", "my_exercise(3)", "# exercise(", "from vae_helpers import exercise"])
def test_a_cell_without_an_exercise_is_left_alone(source):
    assert locate(source) is None


@pytest.mark.parametrize(
    "source",
    [
        'x = exercise("99.2", x)',
        'x = None\nexercise("99.2", x)',
        'x = None\ny = exercise("99.2", x)',
        "x = None\nx = exercise(id, x)",
        'x = None\nx = exercise("99.2", x)\nprint(x)',
        'x = None\nx = exercise("99.2", x)\nx = exercise("99.2", x)',
        'x = None\nx = exercise("99.2", x',
    ],
)
def test_an_exercise_in_another_form_is_refused(source):
    with pytest.raises(ValueError, match="exercise"):
        locate(source)
