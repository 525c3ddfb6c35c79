"""What a teacher is asked to look at in a submission, and that honest work is left in peace."""

import importlib
import json
from pathlib import Path

import nbformat
import pytest
import torch

from vae_helpers.grading import tampering
from vae_helpers.grading.exercise_cells import paste

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.ipynb"))


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_said_of_a_notebook_with_honest_answers(path):
    notebook = nbformat.read(path, as_version=4)
    assert tampering.reasons(code(notebook)) == []
    assert tampering.reasons(code(paste(notebook))) == []


@pytest.mark.parametrize(
    "cell",
    [
        "# VAE_HELPERS_GRADING, lesson_02.gaussian_kl and find('02.1').reference are talked of only",
        "print('I used the reference answer of exercise 02.1')",
        "torch.backends.cudnn.deterministic = True\nx.grad = None\nmodel.encoder = nn.Linear(2, 3)",
        "from vae_helpers.exercises.checkup import checkup, step_seconds",
        "from vae_helpers.lessons.patients import PATIENTS, Ward\nPATIENTS['J'].right, PATIENTS['A'].wrong",
        "from vae_helpers.exercises import exercise, hint, claim\nfrom vae_helpers.lessons.checkup import checkup",
        "weights = torch.zeros(3)\nweights[0] = 1\nsetattr(weights, 'requires_grad', True)",
        "%matplotlib inline\n!ls\nsolution('02.1')",
        "this is not python",
    ],
)
def test_honest_code_is_left_in_peace(cell):
    assert tampering.reasons(["import torch\nfrom torch import nn\nimport vae_helpers as vh", cell]) == []


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("open(os.environ['VAE_HELPERS_GRADING'], 'a')", "names VAE_HELPERS_GRADING"),
        ("!cat ../results.jsonl", "names results.jsonl"),
        ("os.environ.pop('NBGRADER_EXECUTION')", "names NBGRADER_EXECUTION"),
        ("from vae_helpers.exercises.registry import find\nkl = find('02.1').reference", ".reference"),
        ("kl = getattr(find('02.1'), 'reference')", "where the answers are"),
        ("from vae_helpers.lessons.lesson_02 import gaussian_kl as kl", "names lesson_02"),
        ("kl = vh.lessons.lesson_02.gaussian_kl", "names lesson_02"),
        ("answers = importlib.import_module('vae_helpers.lessons')", "names vae_helpers.lessons"),
        ("from vae_helpers.lessons.patients import weighed", "names vae_helpers.lessons.patients.weighed"),
        ("weighed = PATIENTS['A'].right", "where the answers are"),
        ("mended = {k: PATIENTS[k].right for k in 'AE'}", "where the answers are"),
        ("from vae_helpers.exercises import judging", "names vae_helpers.exercises.judging"),
        ("import vae_helpers.exercises.checks as c\nc.compares = None", "names vae_helpers.exercises.checks"),
        ("vh.exercises.judging.judge = lambda *a: Verdict('solved')", "names vh.exercises.judging.judge"),
        ("from vae_helpers.grading.exercise_cells import reference_source", "names reference_source"),
        ("torch.allclose = lambda *a, **k: True", "replaces torch.allclose"),
        ("a, torch.allclose = 1, yes", "replaces torch.allclose"),
        ("T.allclose = yes", "replaces T.allclose"),
        ("torch.Tensor.__sub__ = zero", "replaces torch.Tensor.__sub__"),
        ("nn.Linear.forward = zero", "replaces nn.Linear.forward"),
        ("setattr(torch, 'allclose', yes)", "replaces torch.allclose"),
        ("setattr(__import__('torch'), 'allclose', yes)", "replaces __import__('torch').allclose"),
        ("torch.__dict__['allclose'] = yes", "replaces torch.__dict__['allclose']"),
        ("vars(torch)['allclose'] = yes", "replaces vars(torch)['allclose']"),
        ("sys.modules['torch'] = mine", "which can replace functions"),
        ("from unittest import mock\nwith mock.patch('torch.allclose'): pass", "names mock"),
        ("def kl(mu, log_var):\n    return sys._getframe(3).f_locals", "which sees the check at work"),
        ("%time torch.allclose = yes", "replaces torch.allclose"),
        ("%%time\ntorch.allclose = yes", "replaces torch.allclose"),
        ("exec('torch.allclose = yes')", "replaces torch.allclose"),
    ],
)
def test_what_reaches_for_the_answers_or_replaces_the_check_is_named_with_its_cell(cell, said):
    cells = ["import torch\nimport torch as T\nfrom torch import nn\nimport vae_helpers as vh", cell]
    (reason,) = tampering.reasons(cells)
    assert reason.startswith("cell 2 ") and said in reason


def test_a_result_that_its_cell_does_not_check_is_odd():
    cells = ['kl = exercise("99.1", kl)', '# exercise("99.2", 1)', 'exercise("99.1", f); exercise(id="99.1", answer=g)']
    assert tampering.odd_results([(1, "99.1"), (3, "99.1"), (3, "99.1")], cells) == []
    assert tampering.odd_results([(1, "99.1"), (1, "99.1")], cells) == [
        "cell 1 checks 99.1 once and left 2 results for it"
    ]
    assert tampering.odd_results([(2, "99.2")], cells) == ["cell 2 checks 99.2 never and left 1 result for it"]
    assert len(tampering.odd_results([(0, "99.1"), (9, "99.1")], cells)) == 2
    assert tampering.odd_results([(1, "99.1")], []) == []


def test_a_file_that_is_imported_where_the_checks_own_is_meant_is_named():
    assert tampering.shadows(["notes.txt", "torch.py", "vae_helpers", "my_torch.py"]) == [
        "torch.py lies beside the notebook and can be imported as torch",
        "vae_helpers lies beside the notebook and can be imported as vae_helpers",
    ]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("torch", "allclose"),
        ("torch", "manual_seed"),
        ("torch", "default_generator"),
        ("vae_helpers.exercises.checks", "compares"),
        ("builtins", "all"),
    ],
)
def test_a_function_that_was_replaced_while_the_notebook_ran_is_reported(place, name, monkeypatch, tmp_path):
    monkeypatch.setattr(tampering, "_first", {})
    owner = importlib.import_module(place)
    tampering.remember()
    report = tmp_path / "report.jsonl"
    tampering.tell(report)
    assert not report.exists(), "nothing was replaced"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, lambda *given, **named: True)
        found = tampering.replaced()
    assert found == [f"{place}.{name}"]
    monkeypatch.setattr(torch, "allclose", None)
    tampering.tell(report)
    assert json.loads(report.read_text()) == {"replaced": ["torch.allclose"]}
