"""tools/notebooks.py: a notebook is written whole, in a normal form, or not at all."""

import base64
import dataclasses
import json
import os
import shutil
import struct
import subprocess

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import vae_helpers
from tools import executed, notebook_text, notebooks

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
    monkeypatch.setattr(executed, "RECORD", tmp_path / "executed.json")
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
    (folder / "elsewhere").mkdir()
    draft, path, back = folder / "draft.py", folder / "elsewhere" / "07_small.ipynb", folder / "back.py"
    draft.write_text(DRAFT, "utf-8")
    notebooks.main(["from-draft", str(draft), str(path)])
    assert nbformat.read(path, as_version=4).cells[1].metadata.tags == ["nbval-check-output"]
    notebooks.main(["to-draft", str(path), str(back)])
    assert back.read_text("utf-8").endswith('print("claim holds: it was a draft")\n')
    assert executed.read_record() == {}, "what is not of the course is not recorded"


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


@pytest.mark.parametrize(
    ("precision", "cpu", "runs"),
    [(torch.bfloat16, "AVX512", 3), (torch.float32, "AVX512", 3), (torch.float32, "AVX2", 2)],
)
def test_claims_are_counted_on_every_kind_of_machine(folder, capsys, monkeypatch, precision, cpu, runs):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: cpu)
    chosen = dataclasses.replace(vae_helpers.machine(), precision=precision)
    monkeypatch.setattr(vae_helpers, "machine", lambda: chosen)
    path = folder / "07_small.ipynb"
    source = "import os\nword = 'holds' if os.environ['OMP_NUM_THREADS'] == '1' else 'DOES NOT HOLD'\n"
    notebooks.write(small(source + "print(f'claim {word}: one thread')"), path)
    assert not notebooks.check_claims([path])
    table = capsys.readouterr().out
    assert table.count("claim DOES NOT HOLD: one thread") == runs
    assert [line.split()[4:6] for line in table.splitlines() if line.startswith("07")] == (
        [["1", "0"]] * runs + [["0", "1"]] * runs
    )


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_bfloat16_is_emulated_where_there_is_no_unit_for_it(folder, monkeypatch, precision):
    chosen = dataclasses.replace(vae_helpers.machine(), precision=precision)
    monkeypatch.setattr(vae_helpers, "machine", lambda: chosen)
    question = small("import torch\nprint(torch.nn.functional.linear.__name__)")
    for kind in (notebooks.Kind(1, "float32", "AVX2"), notebooks.Kind(1, "bfloat16", "native")):
        said = notebooks.run(question, kind.environment).cells[1].outputs[0].text.strip()
        emulates = kind.precision == "bfloat16" and precision == torch.float32
        assert said == ("call" if emulates else "linear")


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


# --- which notebooks are out of date --------------------------------------------------------------------------------


@pytest.fixture
def package(folder, monkeypatch):
    """A package of three modules and some weights; a notebook that was executed with two of the modules."""
    home = folder / "vae_helpers"
    (home / "models").mkdir(parents=True)
    for name in ("__init__.py", "models/__init__.py", "other.py"):
        (home / name).write_text("A = 1\n")
    (home / "models" / "vae.py").write_text('"""About."""\n\n\ndef f(x):\n    """F."""\n    return x  # "w.bin"\n')
    (home / "models" / "w.bin").write_bytes(b"weights")
    (home / "models" / "v.bin").write_bytes(b"others")
    monkeypatch.setattr(executed, "PACKAGE", home)
    notebooks.write(small("print(1)", "f(2)"), folder / "07_small.ipynb")
    executed.note(folder / "07_small.ipynb", ["vae_helpers", "vae_helpers.models", "vae_helpers.models.vae"])
    return home


def test_a_notebook_just_executed_is_up_to_date(package, folder):
    (entry,) = executed.read_record().values()
    assert list(entry["package"]) == ["models/__init__.py", "models/vae.py", "models/w.bin"]
    assert executed.reasons(folder / "07_small.ipynb") == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("other.py", b"A = 2", []),
        ("__init__.py", b"A = 2", []),
        ("models/v.bin", b"new", []),
        ("models/w.bin", b"new", ["models/w.bin"]),
        ("models/__init__.py", b"A = 2", ["models/__init__.py"]),
        ("models/vae.py", b"def f( x ):\n    'Another docstring.'\n    return (x)\n", []),
        ("models/vae.py", b"def f(x):\n    return -x\n", ["models/vae.py"]),
        ("models/vae.py", b"def f(x, y=None):\n    return x\n", ["models/vae.py"]),
        ("models/vae.py", b"def f(x):\n    x = 'no docstring'\n    return x\n", ["models/vae.py"]),
    ],
)
def test_what_makes_a_notebook_stale(package, folder, name, content, why):
    (package / name).write_bytes(content)
    assert executed.reasons(folder / "07_small.ipynb") == why


def test_the_reasons_are_printed(package, folder, capsys):
    path = folder / "07_small.ipynb"
    (package / "models" / "w.bin").unlink()
    notebooks.write(small("print(2)"), path)
    notebooks.write(small("print(1)"), folder / "08_new.ipynb")
    with pytest.raises(SystemExit, match="1"):
        notebooks.main(["stale"])
    assert capsys.readouterr().out.splitlines() == [
        "07_small: its own cells, models/w.bin is gone",
        "08_new: it was not executed since this is recorded",
        "2 of 2 to be executed again: make notebooks CHANGED=1",
    ]


def test_times_and_outputs_make_no_notebook_stale(package, folder):
    path = folder / "07_small.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebooks.set_time_line(notebook, "07_small")
    notebook.cells[1].outputs = [new_output("stream", text="1")]
    notebooks.write(notebook, path)
    assert executed.reasons(path) == []


def test_only_what_is_stale_is_executed_and_the_package_that_it_imports_is_traced(folder, capsys):
    path = folder / "07_small.ipynb"
    notebooks.write(small("from vae_helpers import claim", "claim('one is one', True)"), path)
    notebooks.main(["changed"])
    package = executed.read_record()["07_small"]["package"]
    assert {"exercises/claiming.py", "exercises/__init__.py"} <= set(package) and "training.py" not in package
    assert len(nbformat.read(path, as_version=4).cells) == 3, "the cell that asked is not kept"
    assert capsys.readouterr().out.startswith("07_small.ipynb: ")
    notebooks.main(["changed"])
    assert capsys.readouterr().out == ""
    notebooks.write(small("print(1)"), folder / "08_other.ipynb")
    executed.note(folder / "08_other.ipynb", [])
    path.unlink()
    executed.note(folder / "08_other.ipynb", [])
    assert set(executed.read_record()) == {"08_other"}, "a notebook that is gone is forgotten"


def test_the_weights_that_a_module_names_are_traced_with_it():
    files = {path.relative_to(executed.PACKAGE).as_posix() for path in executed.files_of(["vae_helpers.pretrained"])}
    portraits = ("denoiser", "factor_reader", "portrait_judge", "portrait_vae", "sharp_portrait_vae", "style_vae")
    assert files == {
        "pretrained.py",
        *(f"pretrained_weights/{name}.safetensors" for name in (*portraits, "scene_model", "view_vae")),
    }


# --- a diff for reading ---------------------------------------------------------------------------------------------


def test_a_notebook_as_text(folder):
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480)).decode()
    notebook = small("print(1)\n\nprint(2)")
    notebook.cells[1].metadata.tags = ["exercise"]
    notebook.cells[1].outputs = [
        new_output("stream", text="1\n2\n"),
        new_output("stream", name="stderr", text="careful"),
        new_output("display_data", data={"image/png": picture, "text/plain": "<Figure size 640x480>"}),
        new_output("execute_result", data={"text/plain": "tensor(3)", "text/html": "<b>3</b>"}),
        new_output("error", ename="ValueError", evalue="no"),
    ]
    path = folder / "07_small.ipynb"
    notebooks.write(notebook, path)
    assert notebook_text.as_text(path.read_bytes()) == (
        "# %% [markdown]\n# # 07 · Small\n#\n# **Question.** Why?\n#\n# **Time.** to be filled in\n\n"
        "# %% tags=['exercise']\nprint(1)\n\nprint(2)\n"
        "# > 1\n# > 2\n# > (stderr) careful\n# > picture, 640 x 480, e506e2cf\n# > tensor(3)\n# > ValueError: no\n\n"
    )


def git(folder, *arguments):
    who = ["-c", "user.name=N", "-c", "user.email=n@example.org"]
    return subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_diff_shows_lines_of_cells_not_of_json(folder, monkeypatch, capfd):
    monkeypatch.setattr(notebook_text, "ROOT", folder)
    shutil.copy(notebooks.ROOT / ".gitattributes", folder)
    path = folder / "notebooks" / "07_small.ipynb"
    notebooks.write(small("print(1)", "a = 1"), path)
    git(folder, "init")
    git(folder, "add", "notebooks", ".gitattributes")
    git(folder, "commit", "-m", "one")
    notebooks.write(small("print(1)", "a = 2"), path)
    notebooks.write(small("print(1)", "a = 3"), folder / "mine.ipynb")
    for arguments, before, after in ([], "a = 1", "a = 2"), ([path, folder / "mine.ipynb"], "a = 2", "a = 3"):
        with pytest.raises(SystemExit):
            notebooks.main(["diff", *map(str, arguments)])
        changes = [line for line in capfd.readouterr().out.splitlines() if line[:1] in "+-" and line[1:3] not in "++--"]
        assert changes == [f"-{before}", f"+{after}"]
