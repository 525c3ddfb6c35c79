"""tools/notebooks.py: a notebook is written whole, in a normal form, or not at all."""

import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import notebooks

OPENING = "# 07 · Small\n\n**Question.** Why?\n\n**Time.** to be filled in"
DRAFT = """# %% [markdown]
# # 07 · Small
#
# **Time.** to be filled in

# %% tags=["nbval-check-output"]
print("claim holds: it was a draft")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of notebooks and its docs/times.json."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(notebooks, "TIMES", tmp_path / "times.json")
    times = {"07_small": {"reading_minutes": 50, "cpu_seconds": 12, "gpu_seconds": None}}
    (tmp_path / "times.json").write_text(json.dumps(times))
    return tmp_path


def small(*sources):
    return new_notebook(cells=[new_markdown_cell(OPENING), *map(new_code_cell, sources)])


def text_of(notebook):
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_executing_writes_outputs_and_the_time_line(folder):
    path = folder / "07_small.ipynb"
    source = "import os\nprint(os.environ['VAE_HELPERS_STATIC'], os.environ['OMP_NUM_THREADS'])\nprint('two')"
    notebooks.execute(small(source, "print('claim holds: yes')"), path)
    written = nbformat.read(path, as_version=4)
    assert text_of(written) == "1 1\ntwo\nclaim holds: yes\n"
    line = "**Time.** reading 50 min · run on one CPU thread 12 s · run on a GPU not measured"
    assert written.cells[0].source.splitlines()[-1] == line


def test_executing_twice_writes_the_same_bytes(folder):
    path = folder / "07_small.ipynb"
    notebooks.execute(small("print(1)", "print(1)"), path)
    first = path.read_bytes()
    notebooks.execute(nbformat.read(path, as_version=4), path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings; warnings.warn('careful')", "wrote to stderr.*careful"),
        ("print('claim DOES NOT HOLD: two is odd')", "does not hold: claim DOES NOT HOLD: two is odd"),
        ("import os; os._exit(1)", "[Kk]ernel died"),
        ("import ipywidgets; display(ipywidgets.IntSlider())", "live widget"),
        ("", "was not run"),
    ],
)
def test_a_notebook_that_did_not_run_well_is_not_written(folder, source, message):
    path = folder / "07_small.ipynb"
    path.write_text("as it was")
    with pytest.raises(SystemExit, match=f"(?s){message}"):
        notebooks.execute(small(source), path)
    assert path.read_text() == "as it was"


def test_a_cell_that_does_not_end_is_stopped(folder):
    with pytest.raises(SystemExit, match=r"(?i)timed out"):
        notebooks.run(small("while True: pass"), folder=folder, timeout=2)


def test_an_edit_changes_the_identity_of_the_edited_cell_alone():
    before, after = small("a = 1", "b = 2", "c = 3"), small("a = 1", "b = 20", "c = 3")
    ids = [[cell.id for cell in notebooks.normalise(notebook).cells] for notebook in (before, after)]
    assert [one == other for one, other in zip(*ids, strict=True)] == [True, True, False, True]


def test_a_draft_becomes_a_notebook_and_comes_back(folder):
    draft, path, back = folder / "draft.py", folder / "07_small.ipynb", folder / "back.py"
    draft.write_text(DRAFT, "utf-8")
    notebooks.main(["from-draft", str(draft), str(path)])
    assert nbformat.read(path, as_version=4).cells[1].metadata.tags == ["nbval-check-output"]
    notebooks.main(["to-draft", str(path), str(back)])
    assert back.read_text("utf-8").endswith('print("claim holds: it was a draft")\n')


def test_timing_keeps_what_was_edited_by_hand(folder):
    path = folder / "07_small.ipynb"
    notebooks.execute(small("print('claim holds: yes')"), path)
    before = text_of(nbformat.read(path, as_version=4))
    notebooks.main(["time", str(path)])
    times = notebooks.read_times()["07_small"]
    assert (times["reading_minutes"], times["gpu_seconds"]) == (50, None)
    assert 0 < times["cpu_seconds"] < 12
    written = nbformat.read(path, as_version=4)
    assert notebooks.time_line(times) in written.cells[0].source
    assert text_of(written) == before


def test_claims_are_counted_under_every_setting(folder, capsys):
    path = folder / "07_small.ipynb"
    source = "import os\nword = 'holds' if os.environ['OMP_NUM_THREADS'] == '1' else 'DOES NOT HOLD'\n"
    notebooks.write(small(source + "print(f'claim {word}: one thread')"), path)
    assert not notebooks.check_claims([path])
    table = capsys.readouterr().out
    assert table.count("claim DOES NOT HOLD: one thread") == 4
    assert [line.split()[4:6] for line in table.splitlines() if line.startswith("07")] == (
        [["1", "0"]] * 4 + [["0", "1"]] * 4
    )


def test_memory_is_the_kernels_peak_not_what_it_holds_at_the_end(folder, capsys):
    path = folder / "07_small.ipynb"
    notebooks.write(small("print(1)"), path)
    notebooks.main(["memory", str(path)])
    name, number, unit = capsys.readouterr().out.split()
    assert (name, unit) == ("07_small", "GB") and 0.02 < float(number) < 1
    peaks = [notebooks.peak_memory(small(source)) for source in ("a = 1", "a = b'x' * 300_000_000\ndel a")]
    assert 290e6 < peaks[1] - peaks[0] < 330e6


def test_figures_are_saved_with_their_cells_number(folder, capsys):
    path = folder / "07_small.ipynb"
    draw = "import matplotlib.pyplot as plt\nfigure, _ = plt.subplots()\nplt.close(figure)\nfigure"
    notebooks.execute(small("print(1)", draw), path)
    notebooks.main(["figures", str(path), str(folder / "figures")])
    assert os.listdir(folder / "figures") == ["cell_002_0.png"]
    assert (folder / "figures" / "cell_002_0.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_not_there_is_named(folder, capsys):
    with pytest.raises(SystemExit):
        notebooks.main(["execute", str(folder / "none.ipynb")])
    assert "none.ipynb" in capsys.readouterr().err
