"""Each rule can fail: a small notebook that keeps them all is spoilt in one way at a time."""

import base64
import json
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.notebook_rules import RULES, Lesson
from tools import notebooks

OPENING = """# 07 · A small notebook

**Question.** Does it keep the rules?

**You will be able to** see.

**Before this** nothing.

**Time.** reading 5 min · run on one CPU thread 3 s · run on a GPU not measured"""
PREDICT = """**Predict.** What comes out?"""
FIGURE = """The figure shows one straight line that rises from left to right across the whole picture.

<details><summary>Answer</summary>

A line.

</details>"""


def code(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {})


def printed(text):
    return new_output("stream", name="stdout", text=text)


def picture():
    data = {"image/png": base64.b64encode(b"no real picture").decode(), "text/plain": "<Figure>"}
    return new_output("display_data", data=data)


def good_notebook():
    claims = "\n".join(f'claim("{number} is less than 7", {number} < 7)' for number in range(6))
    cells = [
        new_markdown_cell(OPENING),
        code("import math\nfrom vae_helpers import hint, progress, solution"),
        new_markdown_cell("## 1. What is to be seen?\n\n$$ y = x \\tag{7.1} $$\n\nSee [the end](#Summary)."),
        new_markdown_cell(PREDICT),
        code("explore(draw, x=(0, 1))  # eq. (7.1)", picture(), tags=["widget"]),
        new_markdown_cell(FIGURE),
        *[new_markdown_cell(f"{PREDICT}\n\n{FIGURE}") for _ in range(2)],
        code(claims, printed("".join(f"claim holds: {n} is less than 7\n" for n in range(6))),
             tags=["nbval-check-output"]),
        *[code(f'answer = None  # your number here\nanswer = exercise("07.{n}", answer)', tags=["exercise"])
          for n in range(1, 5)],
        new_markdown_cell("## Going further", metadata={"tags": ["going-further"]}),
        new_markdown_cell("## Summary\n\nBy eq. (7.1) it does."),
        new_markdown_cell("## Claims checked"),
        code("claims()", printed("holds: 1 is less than 7\n1 of 1 hold\n"), tags=["nbval-check-output"]),
        new_markdown_cell("## Where this breaks"),
        new_markdown_cell("## References"),
    ]  # fmt: skip
    notebook = new_notebook(cells=cells)
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    return notebook


@pytest.fixture
def broken_rules(tmp_path, monkeypatch):
    """Writes a notebook as 07_small.ipynb and returns {rule: what breaks it} of the rules it breaks."""
    times = tmp_path / "times.json"
    times.write_text(json.dumps({"07_small": {"reading_minutes": 5, "cpu_seconds": 3, "gpu_seconds": None}}))
    monkeypatch.setattr(notebooks, "TIMES", times)
    exercises = tuple(SimpleNamespace(id=f"07.{number}") for number in range(1, 5))
    monkeypatch.setattr("vae_helpers.exercises.registry.exercises_of", lambda number: exercises)

    def judge(notebook, normalise=True):
        path = tmp_path / "07_small.ipynb"
        nbformat.write(notebooks.normalise(notebook) if normalise else notebook, path)
        found = {rule.__name__: list(rule(Lesson(path))) for rule in RULES}
        return {name: broken for name, broken in found.items() if broken}

    return judge


def find(notebook, text):
    """The first cell that holds this text."""
    return next(cell for cell in notebook.cells if text in cell.source)


def replace(old, new):
    def spoil(notebook):
        cell = find(notebook, old)
        cell.source = cell.source.replace(old, new)

    return spoil


def drop(text):
    return lambda notebook: notebook.cells.remove(find(notebook, text))


def output(text, *outputs):
    def spoil(notebook):
        find(notebook, text).outputs = list(outputs)

    return spoil


def tag(text, *tags):
    def spoil(notebook):
        find(notebook, text).metadata["tags"] = list(tags)

    return spoil


def swap(notebook):
    cells = notebook.cells
    first, second = cells.index(find(notebook, "## Summary")), cells.index(find(notebook, "## References"))
    cells[first], cells[second] = cells[second], cells[first]


def run_twice(notebook):
    find(notebook, "import math").execution_count = 9


WIDGET = new_output("display_data", data={notebooks.WIDGET: {"model_id": "1"}, "text/plain": "IntSlider()"})
SPOILT = [
    ("executed_in_order", run_twice),
    ("clean_outputs", output("import math", new_output("error", ename="E", evalue="", traceback=[]))),
    ("clean_outputs", output("import math", new_output("stream", name="stderr", text="a warning"))),
    ("clean_outputs", output("import math", printed("10 %\r20 %"))),
    ("clean_outputs", output("import math", WIDGET)),
    ("clean_outputs", output("claim(", printed("claim DOES NOT HOLD: 9 is less than 7\n"))),
    ("known_tags", tag("import math", "nbval-check-ouptut")),
    ("plain_python", replace("import math", "%matplotlib inline")),
    ("size", replace("import math", "x = 1\n" * 36)),
    ("narrow_code", replace("import math", "x = " + "1 + " * 21 + "1")),
    ("size", output("explore", new_output("display_data", data={"image/png": "A" * 4_000_000}))),
    ("no_path_of_a_machine", output("import math", printed("/".join(["", "home", "me", "course"])))),
    ("no_path_of_a_machine", replace("import math", "x = 'C:" + "\\\\data'")),
    ("opening", replace("# 07 ·", "# 06 ·")),
    ("opening", replace("**Before this**", "Before this")),
    ("opening", replace("**Question.**", "**You will be able to** ask\n\n**Question.**")),
    ("time_line", replace("3 s", "4 s")),
    ("headings_in_order", replace("## 1. What", "#### 1. What")),
    ("headings_in_order", replace("seen?", "seen.")),
    ("headings_in_order", replace("## 1. What", "## 2. What")),
    ("headings_in_order", drop("## Where this breaks")),
    ("headings_in_order", drop("## Going further")),
    ("headings_in_order", swap),
    ("going_further_is_marked", tag("## Going further")),
    ("links_resolve", replace("#Summary", "#summary-of-all")),
    ("links_resolve", replace("#Summary", "06_none.ipynb")),
    ("links_resolve", replace("#Summary", "http://example.org")),
    ("predictions", replace("**Predict.** What", "What")),
    ("predictions", replace("</summary>\n\n", "</summary>\n")),
    ("predictions", replace("</details>", "")),
    ("equations", replace("7.1", "7.2")),
    ("equations", replace("  # eq. (7.1)", "")),
    ("equations", replace("By eq. (7.1)", "By eq. (7.3)")),
    ("claims_are_compared", tag("claim(")),
    ("claims_are_compared", tag("import math", "nbval-check-output")),
    ("claims_are_compared", output("claim(", printed("claim holds: a\n0.123\n"))),
    ("claims_are_compared", replace('claim("0 is', 'print("0 is')),
    ("claims_are_compared", drop("claims()")),
    ("exercises_are_known", drop('"07.2"')),
    ("exercises_are_known", replace('"07.2"', '"07.9"')),
    ("exercises_are_known", replace('answer = exercise("07.2"', 'other = exercise("07.2"')),
    ("exercises_are_known", tag('"07.2"')),
    ("figures_are_described", drop("The figure shows")),
    ("figures_are_described", replace("The figure shows one straight line that rises from", "From")),
    ("figures_are_described", replace("The figure shows", "## 2. And what is that?\n\nThe figure shows")),
    ("help_is_at_hand", replace("hint, ", "")),
    ("something_to_explore", replace("explore(draw, x=(0, 1))", "draw(0)")),
    ("something_to_explore", output("explore(")),
    ("something_to_explore", tag("explore(")),
]  # fmt: skip


def test_a_good_notebook_keeps_every_rule(broken_rules):
    assert broken_rules(good_notebook()) == {}


def test_each_rule_is_spoilt_by_something():
    assert {rule.__name__ for rule in RULES} == {name for name, _ in SPOILT} | {"normal_form"}


@pytest.mark.parametrize(("name", "spoil"), SPOILT)
def test_a_spoilt_notebook_breaks_the_rule(broken_rules, name, spoil):
    notebook = good_notebook()
    spoil(notebook)
    assert name in broken_rules(notebook)


def test_metadata_of_an_editor_breaks_the_normal_form(broken_rules):
    notebook = notebooks.normalise(good_notebook())
    notebook.cells[1].metadata["execution"] = {"iopub.execute_input": "now"}
    assert list(broken_rules(notebook, normalise=False)) == ["normal_form"]
