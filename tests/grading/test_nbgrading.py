"""The course under nbgrader: what is released, and that its marks are those of `grade`."""

import csv
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.exercises import made_up  # noqa: F401 - makes lesson 99 known
from vae_helpers.__main__ import main
from vae_helpers.exercises import exercise
from vae_helpers.exercises.judging import NotSolved
from vae_helpers.grading import grade_folder
from vae_helpers.grading.exercise_cells import locate, paste
from vae_helpers.grading.grade_folder import Run
from vae_helpers.grading.limits import GradingError
from vae_helpers.grading.nbgrading import assignment, note_verdicts, release

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "notebooks" / "00_start_here.ipynb"
KL = '# a note\ndef kl(mu, log_var):\n    ...  # your code here\n\n\nkl = exercise("99.1", kl)'
MEAN = 'mean = None\nmean = exercise("99.2", mean)'


def lesson():
    cells = [new_markdown_cell("# 99"), *map(new_code_cell, ["import made_up", KL, "kl", MEAN])]
    return new_notebook(cells=cells)


def test_an_exercise_becomes_an_answer_and_a_locked_check():
    cells = assignment(lesson()).cells
    assert [cell.source for cell in cells[2:4]] == [KL.rpartition("\n\n\n")[0], 'kl = exercise("99.1", kl)']
    answer, check = (cell.metadata["nbgrader"] for cell in cells[2:4])
    assert answer == {
        "schema_version": 3,
        "grade_id": "answer-99-1",
        "solution": True,
        "grade": False,
        "locked": False,
        "task": False,
    }
    assert check == answer | {
        "grade_id": "exercise-99-1",
        "solution": False,
        "grade": True,
        "locked": True,
        "points": 1,
    }
    assert [cell.source for cell in cells[5:]] == ["mean = None", 'mean = exercise("99.2", mean)']
    assert "nbgrader" not in cells[0].metadata and "nbgrader" not in cells[4].metadata
    nbformat.validate(assignment(lesson()))


def code_of(notebook):
    return "\n".join(line for cell in notebook.cells for line in cell.source.splitlines() if line.strip())


@pytest.mark.parametrize("path", sorted(START.parent.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_release_shows_what_the_notebook_shows_and_no_more(path):
    notebook = nbformat.read(path, as_version=4)
    released = assignment(notebook)
    assert code_of(released) == code_of(notebook)
    checks = [cell for cell in released.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert len(checks) == sum('exercise("' in cell.source and cell.cell_type == "code" for cell in notebook.cells)
    assert len({cell.id for cell in released.cells}) == len(released.cells)


def test_a_release_leaves_what_is_there(tmp_path, capsys):
    assert main(["nbgrader", str(tmp_path / "class"), str(START)]) == 0
    made = tmp_path / "class" / "source" / START.stem / START.name
    assert made.exists() and "2 files written" in capsys.readouterr().out
    made.write_text("mine")
    assert release(tmp_path / "class", [START]) == [] and made.read_text() == "mine"
    assert f"Kept as it is: {made}" in capsys.readouterr().out


def test_without_notebooks_a_release_is_of_the_whole_course(tmp_path):
    written = release(tmp_path)
    assert [path.name for path in written[:-1]] == [path.name for path in sorted(START.parent.glob("*.ipynb"))]


def test_what_cannot_be_released_is_explained(tmp_path, monkeypatch, capsys):
    plain = tmp_path / "plain.ipynb"
    plain.write_text(nbformat.writes(new_notebook(cells=[new_code_cell("1")])))
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    (tmp_path / "file").touch()
    for path, said in ((plain, "without exercises"), (broken, "not a readable"), (tmp_path / "no", "no notebook")):
        with pytest.raises(GradingError, match=said):
            release(tmp_path / "class", [path])
    assert main(["nbgrader", str(tmp_path / "file"), str(START)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    monkeypatch.setattr("vae_helpers.grading.nbgrading.NOTEBOOKS", tmp_path / "nowhere")
    with pytest.raises(GradingError, match="Name them"):
        release(tmp_path / "class")


def test_verdicts_are_what_nbgrader_reads_scores_from():
    notebook = assignment(lesson())
    note_verdicts(notebook, Run(solved={"99.1": True}, note="ended at the time limit"))
    _, right, _, _, missing = notebook.cells[2:]
    assert [output.output_type for output in right.outputs] == ["stream"]
    assert missing.outputs[0].output_type == "error" and "ended at the time limit" in missing.outputs[0].evalue
    note_verdicts(notebook, Run(solved={"99.1": False}, messages={"99.1": "a half is missing"}))
    assert "a half is missing" in right.outputs[0].evalue


@pytest.mark.parametrize("mode", ["autograde", "validate"])
def test_where_nbgrader_runs_a_notebook_only_a_right_answer_passes(mode, monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", mode)
    assert exercise("99.2", 3.5) == 3.5 and "solved" in capsys.readouterr().out
    for answer, said in ((3, "not right yet"), (None, "not attempted")):
        with pytest.raises(NotSolved, match=said):
            exercise("99.2", answer)


# The whole way, with nbgrader itself.

ANSWERS = {  # student -> (exercises that get the reference, those that get a wrong answer, code at the end)
    "right": (5, 0, ""),
    "wrong": (0, 5, ""),
    "empty": (0, 0, ""),
    "mixed": (2, 2, ""),
    "endless": (3, 0, "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"),
    "dies": (4, 1, "import os; os._exit(1)"),
}


def answered(path, right, wrong, after):
    """A released notebook, filled in."""
    notebook = nbformat.read(START, as_version=4)
    places = [locate(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    names = {place[0]: place[1] for place in places if place}
    reference = assignment(paste(notebook))
    answers = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell.source for cell in reference.cells}
    released = nbformat.read(path, as_version=4)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in released.cells}
    for number, (id, name) in enumerate(names.items()):
        cell = f"answer-{id.replace('.', '-')}"
        if number < right:
            cells[cell].source = answers[cell]
        elif number < right + wrong:
            cells[cell].source = f"{name} = lambda *given: -1e9"
    if after:
        released.cells.append(new_code_cell(after))
    return released


@pytest.fixture
def nbgrader(tmp_path, monkeypatch):
    """Runs an nbgrader command in a course folder, with nothing of this user's own settings."""
    course, home = tmp_path / "course", tmp_path / "home"
    home.mkdir()
    settings = {"HOME": home, "JUPYTER_CONFIG_DIR": home, "JUPYTER_DATA_DIR": home, "JUPYTER_RUNTIME_DIR": home}
    environment = os.environ | {name: str(value) for name, value in settings.items()}
    scripts = sysconfig.get_path("scripts")  # nbgrader calls a program of its environment by its bare name
    environment["PATH"] = os.pathsep.join([scripts, environment.get("PATH", os.defpath)])

    def command(*arguments):
        call = [sys.executable, "-m", "nbgrader", *arguments]
        result = subprocess.run(call, cwd=course, env=environment, capture_output=True, text=True, timeout=1200)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    command.course = course
    return command


@pytest.mark.soak
def test_nbgrader_gives_the_marks_that_grade_gives(nbgrader, tmp_path):
    course, exchange = nbgrader.course, tmp_path / "exchange"
    exchange.mkdir(mode=0o777)
    exchange.chmod(0o777)
    assert main(["nbgrader", str(course), str(START)]) == 0
    with open(course / "nbgrader_config.py", "a") as settings:
        settings.write(f'c.Exchange.root = "{exchange}"\nc.Exercises.seconds = 90\n')
    nbgrader("generate_assignment", START.stem)
    released = course / "release" / START.stem / START.name
    assert code_of(nbformat.read(released, as_version=4)) == code_of(nbformat.read(START, as_version=4))
    nbgrader("release_assignment", START.stem)

    # One hands in over the exchange, as learners do; the others' work is laid where `collect` lays it.
    nbgrader("fetch_assignment", START.stem, "--course=vae")
    fetched = course / START.stem / START.name
    fetched.write_text(nbformat.writes(answered(fetched, *ANSWERS["right"])))
    nbgrader("submit", START.stem, "--course=vae")
    nbgrader("collect", START.stem)
    (collected,) = course.glob(f"submitted/*/{START.stem}/{START.name}")
    me = collected.parents[1].name
    for student, what in ANSWERS.items():
        if student != "right":
            place = course / "submitted" / student / START.stem
            place.mkdir(parents=True)
            (place / START.name).write_text(nbformat.writes(answered(released, *what)))

    shorn = course / "submitted" / "mixed" / START.stem / START.name
    notebook = nbformat.read(shorn, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if 'exercise("00.2"' not in cell.source]
    shorn.write_text(nbformat.writes(notebook))  # who deletes a check gets nothing for it

    nbgrader("autograde", START.stem)
    nbgrader("export")
    with open(course / "grades.csv", newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    expected = {me if student == "right" else student: what[0] for student, what in ANSWERS.items()}
    assert scores == expected | {"mixed": 1}

    rows = grade_folder.grade(
        course / "submitted", grade_folder.Limits(seconds=90, cell_seconds=18), tmp_path / "grades.csv"
    )
    assert {row["student"]: float(row["total"]) for row in rows} == scores

    feedback = nbgrader("generate_feedback", START.stem)
    assert "ERROR" not in feedback
    page = (course / "feedback" / "wrong" / START.stem / f"{START.stem}.html").read_text("utf-8")
    assert "is not solved" in page


@pytest.mark.soak
def test_without_our_settings_the_marks_are_the_same(nbgrader):
    """A teacher who keeps settings of their own must not hand out marks for nothing."""
    course = nbgrader.course
    release(course, [START])
    (course / "nbgrader_config.py").write_text(
        'c = get_config()\nc.CourseDirectory.course_id = "vae"\nc.ClearSolutions.enabled = False\n'
        "c.Execute.timeout = 60\n"
    )
    nbgrader("generate_assignment", START.stem)
    said = nbgrader("validate", f"release/{START.stem}/{START.name}")
    assert said.count("NotSolved") >= 5, "an answer that is not there does not pass"
    for student in ("right", "wrong", "empty", "mixed"):
        place = course / "submitted" / student / START.stem
        place.mkdir(parents=True)
        path = course / "release" / START.stem / START.name
        (place / START.name).write_text(nbformat.writes(answered(path, *ANSWERS[student])))
    nbgrader("autograde", START.stem)
    nbgrader("export")
    with open(course / "grades.csv", newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {student: ANSWERS[student][0] for student in scores}
