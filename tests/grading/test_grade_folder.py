"""A folder of submissions: each costs only its own row, whatever it does."""

import csv
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.exercises import made_up  # noqa: F401 - makes lesson 99 known
from vae_helpers.grading import grade_folder
from vae_helpers.grading.exercise_cells import paste
from vae_helpers.grading.limits import Limits
from vae_helpers.grading.sandbox import protection

MADE_UP = Path(__file__).parents[1] / "exercises"  # the folder of made_up.py
SET_UP = f"""import sys
sys.path[:0] = [{str(MADE_UP)!r}, {str(MADE_UP.parents[1])!r}]
import made_up
from vae_helpers import exercise"""
RIGHT = {"99.1": "from made_up import gaussian_kl as kl", "99.2": "mean = 3.5"}
WRONG = {"99.1": "kl = made_up.WRONG_KL[0].answer", "99.2": "mean = 3"}


MEMORY = 2.0  # GB
HOGS = """import os, time
for _ in range(3):
    if os.fork() == 0:
        hog = bytearray(8 * 10**8)
        time.sleep(300)
time.sleep(300)"""
WRONG_NOTE = "interrupted after 20 s: cell 6 of wrong.ipynb; error in cell 5 of wrong.ipynb"
VANDAL = """import os, shutil
from pathlib import Path
canary = Path({canary!r})
attempts = (
    lambda: shutil.rmtree(canary),
    lambda: (canary / "of the teacher.txt").write_text("mine"),
    lambda: os.truncate(canary / "of the teacher.txt", 0),
    lambda: (canary / "new.txt").touch(),
    lambda: os.rename(canary, "stolen"),
    lambda: os.link(canary / "of the teacher.txt", "linked"),
    lambda: (os.symlink(canary, "link"), Path("link", "new.txt").touch()),
    lambda: shutil.rmtree({folder!r}),
    lambda: Path("/dev/shm/new").touch(),
    lambda: open("large", "wb").truncate(2 * 10**8),
)
succeeded = []
for number, attempt in enumerate(attempts):
    try:
        attempt()
        succeeded.append(number)
    except OSError:
        pass
assert not succeeded, succeeded
assert Path.home().is_relative_to(Path(os.environ["TMPDIR"]).parent)
Path.home().joinpath("own.txt").write_text("allowed")
"""
ENDLESS = "import time\nwhile True: time.sleep(0.1)"  # without taking the machine's time
BOMB = """import subprocess, time
for _ in range(300):  # should it not be ended, it ends
    subprocess.Popen(['sleep', '323'], start_new_session=True)
time.sleep(300)"""
FORGED = [
    "import json, os, torch\nname = next(value for key, value in os.environ.items() if key.endswith('_GRADING'))",
    "for id in ('99.1', '99.2', '99.9'):\n"
    "    line = json.dumps({'id': id, 'solved': True, 'attempted': True})\n"
    "    open(name, 'a').write(line + chr(10))",
    "exec('tor' + 'ch.allclose = lambda *a, **k: True')",
]


def lesson(answers=None, after=()):
    """The made-up lesson as a student hands it in: its exercises, answered, and code after them."""
    kl = 'def kl(mu, log_var):\n    ...\n\nkl = exercise("99.1", kl)'
    mean = 'mean = None\nmean = exercise("99.2", mean)'
    cells = [new_markdown_cell("# 99"), *map(new_code_cell, [SET_UP, kl, mean])]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": {"name": "my-own", "display_name": "My own"}})
    notebook = paste(notebook, answers or {})
    notebook.cells += map(new_code_cell, after)
    return notebook


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook), "utf-8")
    return path


def table_of(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def marks(row):
    return row["99.1"], row["99.2"], row["total"]


def everything_in(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """One run over submissions of every kind (each test below looks at one of them)."""
    place = tmp_path_factory.mktemp("grading")
    folder = place / "handed in"
    write(folder / "good" / "week 1" / "99_made_up.ipynb", lesson(RIGHT))
    write(folder / "good" / ".ipynb_checkpoints" / "99_made_up-checkpoint.ipynb", "not a notebook")
    write(folder / "wrong.ipynb", lesson(WRONG, after=["print(kl)", "1 / 0", ENDLESS, "2 + 2"]))
    write(folder / "blank.ipynb", lesson(after=["mean + 1"]))
    stray = (
        "import subprocess\n"
        "hidden = dict(start_new_session=True, env={'PATH': '/bin:/usr/bin'})\n"
        "subprocess.Popen(['sleep', '321'], **hidden)\n"
        "subprocess.run(['sh', '-c', 'sleep 322 &'], **hidden)"  # outlives its parent
    )
    stubborn = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{ENDLESS}"
    endless = [stray, stubborn]
    write(folder / "endless" / "99.ipynb", lesson(RIGHT, after=endless))
    write(folder / "broken.ipynb", '{"cells": [')
    write(folder / "killer.ipynb", lesson(RIGHT, after=["import os\nos._exit(1)", "1 / 0"]))
    meddler = [
        "open('made.txt', 'w').write('x')\nopen('notes.txt', 'a').write('more')",
        "print(open('notes.txt').read())",
        "import os; assert os.environ['OMP_NUM_THREADS'] == '1' and os.environ['VAE_HELPERS_STATIC'] == '1'",
        "import matplotlib; assert matplotlib.get_backend().lower() == 'agg'",
        "assert not os.path.exists('progress.json')",
        "input('name?')",
        'mean = exercise("99.2", 3)',
    ]
    write(folder / "meddler" / "99.ipynb", lesson(RIGHT, after=meddler))
    write(folder / "meddler" / "notes.txt", "the notes")
    write(folder / "greedy.ipynb", lesson(RIGHT, after=["hog = bytearray(10**10)", "2 + 2", HOGS]))
    write(folder / "bomb.ipynb", lesson(RIGHT, after=[BOMB]))
    write(place / "canary" / "of the teacher.txt", "alive")
    vandal = VANDAL.format(canary=str(place / "canary"), folder=str(folder))
    write(folder / "vandal.ipynb", lesson(RIGHT, after=[vandal]))
    write(folder / "forger.ipynb", lesson(after=FORGED))
    write(folder / "gives up.ipynb", lesson({**RIGHT, "99.1": "def kl(mu, log_var):\n    raise KeyboardInterrupt"}))
    write(folder / "slow.ipynb", lesson({**RIGHT, "99.1": "def kl(mu, log_var):\n    while True: pass"}))
    (folder / "=absent").mkdir()
    before = everything_in(folder)
    output = place / "grades.csv"
    started = time.monotonic()
    limits = Limits(seconds=60, cell_seconds=20, memory=MEMORY, disk=0.1, processes=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade_folder.tempfile, "tempdir", str(place))
        rows = grade_folder.grade(folder, limits, output)
    seconds = time.monotonic() - started
    assert (place / "canary" / "of the teacher.txt").read_text() == "alive"
    return table_of(output), rows, before, everything_in(folder), seconds, place


def test_the_good_one_has_all_marks(graded):
    row = graded[0]["good"]
    assert (*marks(row), row["note"]) == ("1", "1", "2", "")


def test_wrong_is_0_and_not_attempted_is_empty(graded):
    row = graded[0]["wrong"]
    assert (*marks(row), row["note"]) == ("0", "0", "0", WRONG_NOTE)
    row = graded[0]["blank"]
    assert (*marks(row), row["note"]) == ("", "", "0", "error in cell 4 of blank.ipynb")


def test_the_endless_one_ends_at_the_time_limit_and_keeps_what_it_solved(graded):
    row = graded[0]["endless"]
    assert marks(row) == ("1", "1", "2")
    assert row["note"] == "ended at the time limit of 60 s in cell 5 of 99.ipynb"
    assert graded[4] < 240, "the one without an end holds up the others"


def test_nothing_of_it_goes_on_running(graded):
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not any(["sleep", seconds] in commands for seconds in ("321", "322", "323"))
    assert not [command for command in commands if any(str(graded[5]) in part for part in command)]
    assert not list(graded[5].glob("grading-*"))


def test_the_broken_one_says_so(graded):
    row = graded[0]["broken"]
    assert marks(row) == ("", "", "0")
    assert row["note"].startswith("not a readable notebook: broken.ipynb: ")


def test_the_killer_keeps_what_it_solved_before(graded):
    row = graded[0]["killer"]
    assert (*marks(row), row["note"]) == ("1", "1", "2", "the kernel died in cell 4 of killer.ipynb")


def test_a_submission_sees_its_own_files_and_changes_only_a_copy(graded):
    row = graded[0]["meddler"]
    assert row["note"] == "error in cell 9 of 99.ipynb", "input() cannot be answered; all else works"
    assert graded[2] == graded[3]


def test_the_greedy_one_ends_at_the_memory_limit(graded):
    row = graded[0]["greedy"]
    assert marks(row) == ("1", "1", "2")
    ended = f"ended at the memory limit of {MEMORY:g} GB in cell"
    if sys.platform == "linux":  # one process alone is refused what is too much
        assert row["note"] == f"{ended} 6 of greedy.ipynb; error in cell 4 of greedy.ipynb"
    else:
        assert row["note"].startswith(ended)


def test_the_bomb_ends_at_the_limit_of_processes(graded):
    row = graded[0]["bomb"]
    assert (*marks(row), row["note"]) == ("1", "1", "2", "ended at the limit of 20 processes in cell 4 of bomb.ipynb")


@pytest.mark.skipif(not protection()[0], reason="this system cannot shut a process into a folder")
def test_the_vandal_destroys_nothing(graded):
    row = graded[0]["vandal"]
    assert (*marks(row), row["note"]) == ("1", "1", "2", "")


def test_the_forger_is_marked_for_the_teachers_eye(graded):
    row = graded[0]["forger"]
    assert "99.9" not in row and marks(row) == ("1", "1", "2"), "what does not exist makes no column and no mark"
    assert row["note"] == (
        "LOOK: cell 5 checks 99.1 never and left 1 result for it, cell 5 checks 99.2 never and left 1 result for it, "
        "it reports 99.9, an exercise that does not exist, in the end torch.allclose is not the function that it was"
    )
    assert not any("LOOK" in row["note"] for name, row in graded[0].items() if name != "forger")


def test_an_interrupted_check_costs_its_own_exercise_and_says_so(graded):
    row = graded[0]["gives up"]
    assert (*marks(row), row["note"]) == ("0", "1", "1", "KeyboardInterrupt raised in cell 2 of gives up.ipynb")
    row = graded[0]["slow"]
    assert (*marks(row), row["note"]) == ("0", "1", "1", "interrupted after 20 s: cell 2 of slow.ipynb")


def test_the_last_result_counts(graded):
    assert marks(graded[0]["meddler"]) == ("1", "0", "1")


def test_who_hands_in_nothing_has_a_row_and_no_name_is_a_formula(graded):
    row = graded[0]["'=absent"]
    assert (*marks(row), row["note"]) == ("", "", "0", "no notebook handed in")
    names = ["=absent", "blank", "bomb", "broken", "endless", "forger", "gives up", "good", "greedy", "killer"]
    assert [row["student"] for row in graded[1]] == [*names, "meddler", "slow", "vandal", "wrong"]


def test_several_notebooks_make_one_row_and_the_best_result_counts(tmp_path, monkeypatch, capsys):
    def pretended(folder, path, limits, stopped):
        if path.stem == "breaks":
            raise OSError("the disk is full")
        odd = ["cell 3 is odd"] * 6 if path.parent.name == "bob" else []
        note = "late" if path.stem == "second" else ""
        return grade_folder.Run({"98.10", "98.9"}, {"98.9": path.stem == "first"}, note, marks=odd)

    monkeypatch.setattr(grade_folder, "run", pretended)
    for name in ("ann/first", "ann/second", "bob/second", "eve/breaks"):
        write(tmp_path / "in" / f"{name}.ipynb", "{}")
    rows = grade_folder.grade(tmp_path / "in", output=tmp_path / "out.csv")
    assert [list(row.values()) for row in rows] == [
        ["ann", "1", "", "1", "late"],
        ["bob", "0", "", "0", f"LOOK: {4 * 'cell 3 is odd, '}and 2 more; late"],
        ["eve", "", "", "0", "could not be run: breaks.ipynb: the disk is full"],
    ]
    assert list(rows[0]) == ["student", "98.9", "98.10", "total", "note"]
    said = capsys.readouterr().out
    assert "student  98.9  98.10  total  note" in said and "ann      1            1      late" in said
    assert "3 students, 4 notebooks" in said and "[4/4]" in said


def test_links_are_not_followed(tmp_path):
    secret = write(tmp_path / "elsewhere" / "secret.ipynb", "{}")
    folder = tmp_path / "in"
    write(folder / "ann" / "own.ipynb", "{}")
    try:
        (folder / "ann" / "linked.ipynb").symlink_to(secret)
        (folder / "ann" / "folder").symlink_to(secret.parent)
        (folder / "bob").symlink_to(secret.parent)
    except OSError:
        pytest.skip("this system makes no links")
    assert grade_folder.submissions(folder) == {"ann": [folder / "ann" / "own.ipynb"]}
    copy = grade_folder._copied(folder, folder / "ann" / "own.ipynb", tmp_path / "copy")
    assert sorted(path.name for path in copy.parent.iterdir()) == ["own.ipynb"]


def test_a_runner_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(grade_folder, "RUNNER", tmp_path / "no_such_file.py")
    path = write(tmp_path / "in" / "ann.ipynb", lesson())
    note = grade_folder.run(path.parent, path, Limits()).note
    assert note.startswith("could not be run: ann.ipynb: ") and "no_such_file.py" in note


@pytest.mark.parametrize("trick", ["link", "pipe", "folder", "endless"])
def test_what_a_submission_puts_in_the_place_of_its_results_is_not_followed(trick, tmp_path):
    path = tmp_path / "results.jsonl"
    if trick == "link":
        path.symlink_to(write(tmp_path / "secret.jsonl", '{"id": "99.1"}'))
    elif trick == "pipe":
        os.mkfifo(path)
    elif trick == "folder":
        path.mkdir()
    else:
        path.write_bytes(b'{"id": "99.1"}\n' + bytes(2 * grade_folder.LONGEST_REPORT))
    assert grade_folder._lines(path) == ([{"id": "99.1"}] if trick == "endless" else [])


def test_forged_results_make_no_odd_columns_and_no_odd_notes():
    forged = [{"id": "=cmd()", "attempted": True, "solved": True}, {"id": "99.1", "attempted": "yes", "solved": True}]
    assert not any(map(grade_folder._is_result, forged))
    report = [{"cell": "\x1b[2J"}, {"error": "=1"}, {"error": 10**99}, {"unreadable": 3}, {"done": True}]
    assert grade_folder._note("a.ipynb", report, "", Limits()) == ""
    assert grade_folder._note("a.ipynb", [{"unreadable": "\x1b[2Jno"}], "", Limits()).endswith(": [2Jno")


def test_a_notebook_without_end_and_a_folder_without_end_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(grade_folder, "LARGEST_NOTEBOOK", 1000)
    path = write(tmp_path / "in" / "ann" / "ann.ipynb", '"' + 2000 * " " + '"')
    assert "larger than" in grade_folder.run(path.parents[1], path, Limits()).note
    write(path, "{}")
    for n in range(9):
        write(path.parent / f"{n}.txt", "x")
    assert "5 files" in grade_folder.run(path.parents[1], path, Limits(files=5)).note


def test_lines_cut_off_or_odd_are_left_out(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"id": "99.1", "solved": true}\n3\n\xff\n{"id": "99.2", "sol')
    assert grade_folder._lines(path) == [{"id": "99.1", "solved": True}]
    assert grade_folder._lines(tmp_path / "absent") == []


def test_ctrl_c_ends_what_runs_and_still_writes_the_table(tmp_path, monkeypatch, capsys):
    ended = threading.Event()

    def endless(folder, path, limits, stopped):
        while not stopped():
            time.sleep(0.01)
        ended.set()
        return grade_folder.Run()

    def interrupted(waiting):
        raise KeyboardInterrupt

    monkeypatch.setattr(grade_folder, "run", endless)
    monkeypatch.setattr(grade_folder.concurrent.futures, "as_completed", interrupted)
    for name in ("ann", "bob", "eve"):
        write(tmp_path / "in" / f"{name}.ipynb", "{}")
    rows = grade_folder.grade(tmp_path / "in", output=tmp_path / "out.csv")
    assert ended.is_set() and [row["note"] for row in rows] == ["not run"] * 3
    assert len(table_of(tmp_path / "out.csv")) == 3


def test_a_folder_with_nothing_to_grade_is_explained(tmp_path):
    file = write(tmp_path / "file.ipynb", "{}")
    (tmp_path / "empty" / "ann").mkdir(parents=True)
    for folder, said in ((tmp_path / "no", "no folder"), (file, "is a file"), (tmp_path / "empty", "no notebook")):
        with pytest.raises(grade_folder.GradingError, match=said):
            grade_folder.grade(folder, output=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_is_positive(limit):
    for name in ("seconds", "memory"):
        with pytest.raises(grade_folder.GradingError, match=f"{name}=.* has to be positive"):
            Limits(**{name: limit})


def test_a_table_that_cannot_be_written_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(grade_folder, "run", lambda *_: pytest.fail("a notebook was run"))
    write(tmp_path / "in" / "ann.ipynb", "{}")
    os.mkfifo(tmp_path / "pipe")
    bad = (
        (tmp_path / "in", "is a folder"),
        (tmp_path / "no" / "out.csv", "cannot be written"),
        (tmp_path / "pipe", "pipe"),
    )
    for output, said in bad:
        with pytest.raises(grade_folder.GradingError, match=said):
            grade_folder.grade(tmp_path / "in", output=output)


def test_the_exercises_of_a_notebook_are_found_without_running_it(tmp_path):
    path = write(tmp_path / "a.ipynb", lesson())
    cells = grade_folder._cells(path)
    assert len(cells) == 3 and grade_folder._exercises_in(cells) == {"99.1", "99.2"}
    assert grade_folder._exercises_in(['exercise("99.9", f)']) == set()
    for text in ("", "[]", "{}", '{"cells": [{}]}', '{"cells": 3}'):
        assert grade_folder._cells(write(tmp_path / "b.ipynb", text)) == []


def test_grading_starts_from_a_process_that_needs_no_torch():
    code = "import sys, vae_helpers.grading.grade_folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=MADE_UP.parents[1], env=os.environ).returncode == 0


def test_a_table_that_cannot_be_written_was_printed_before(tmp_path, monkeypatch, capsys):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(grade_folder, "write_whole", full)
    monkeypatch.setattr(
        grade_folder, "_run_all", lambda folder, jobs, limits: {path: grade_folder.Run() for _, path in jobs}
    )
    (tmp_path / "ada.ipynb").touch()
    with pytest.raises(
        grade_folder.GradingError, match=r"stands above; it cannot be written .* No space left on device"
    ):
        grade_folder.grade(tmp_path, output=tmp_path / "grades.csv")
    assert "ada" in capsys.readouterr().out
