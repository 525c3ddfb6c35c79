"""The course for nbgrader: a release made from the same notebooks, and a grader that gives the same marks as `grade`.

`release` writes a course folder: in each exercise's cell the answer and the line that checks it become two cells, which
nbgrader knows by their metadata (its format, version 3), and everything else stays as it is. The folder's
nbgrader_config.py calls `configure`, which makes `grader()` the step in which `nbgrader autograde` runs a
notebook. nbgrader itself is optional: `pip install vae-helpers[nbgrader]`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from vae_helpers.grading.exercise_cells import locate
from vae_helpers.grading.grade_folder import Run, run
from vae_helpers.grading.limits import GradingError, Limits
from vae_helpers.writing import write_whole

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"  # in a checkout
POINTS = 1  # for each exercise, as in `grade`
CONFIG = '''\
"""nbgrader's settings for this course; add your own below."""

c = get_config()  # noqa: F821 - nbgrader provides it
c.CourseDirectory.course_id = "vae"
# c.Exchange.root = "/srv/nbgrader/exchange"  # a folder that the class and you can reach; see nbgrader's manual

c.ClearSolutions.enabled = False  # nbgrader would replace the head of a function by a blank of its own

from vae_helpers.grading.nbgrading import configure  # noqa: E402

configure(c)  # `autograde` runs submissions under limits, shut into a folder, and gives the marks that `grade` gives
# c.Exercises.seconds = 600  # the limits of a notebook
# c.Exercises.memory = 4.0  # GB
'''


def release(folder: str | Path, notebooks: Sequence[str | Path] = ()) -> list[Path]:
    """Write a course folder for nbgrader: an assignment for each notebook, and the settings.

    Args:
        folder: made if it is not there. What it holds already stays as it is, and a line says so.
        notebooks: those to release; all of the course if none is named.
    Returns:
        the files written.
    Raises:
        GradingError: there is no such notebook, or it holds no exercise, or the folder cannot be written.
    """
    folder = Path(folder)
    paths = [Path(path) for path in notebooks] or sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    if not paths:
        raise GradingError("This package came without the notebooks. Name them: nbgrader FOLDER notebooks/*.ipynb")
    files = {folder / "source" / path.stem / path.name: nbformat.writes(assignment(_read(path))) for path in paths}
    files[folder / "nbgrader_config.py"] = CONFIG
    written = []
    for path, text in files.items():
        if path.exists():
            print(f"Kept as it is: {path} (to have it made anew, delete it first).")
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(write_whole(path, text.encode()))
        except OSError as error:
            raise GradingError(f"{error.filename} cannot be written: {error.strerror}.") from error
    print(f"{len(written)} files written to {folder}. Next: cd {folder} && nbgrader generate_assignment NAME")
    return written


def assignment(notebook: NotebookNode) -> NotebookNode:
    """A copy of a notebook in which each exercise is two cells: one for the answer, and a locked one that checks it.

    Raises:
        GradingError: the notebook holds no exercise.
    """
    notebook = copy.deepcopy(notebook)
    cells, exercises = [], 0
    for cell in notebook.cells:
        place = locate(cell.source) if cell.cell_type == "code" else None
        if place is None:
            cells.append(cell)
        else:
            exercises += 1
            cells += _answer_and_check(cell, place[0])
    if not exercises:
        raise GradingError("A notebook without exercises cannot be graded.")
    notebook.cells = cells
    return notebook


def _answer_and_check(cell: NotebookNode, id: str) -> list[NotebookNode]:
    lines = cell.source.splitlines()
    last = ast.parse(cell.source).body[-1].lineno - 1
    name = id.replace(".", "-")
    answer = new_code_cell("\n".join(lines[:last]).rstrip(), id=cell.id, metadata={"tags": ["exercise"]})
    answer.metadata["nbgrader"] = _metadata(f"answer-{name}", solution=True)
    check = new_code_cell("\n".join(lines[last:]), id=f"{cell.id}-check")
    check.metadata["nbgrader"] = _metadata(f"exercise-{name}", grade=True, locked=True, points=POINTS)
    return [answer, check]


def _metadata(grade_id: str, **what: Any) -> dict[str, Any]:
    plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False, "task": False}
    return plain | {"grade_id": grade_id} | what


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise GradingError(f"There is no notebook {path}.") from None
    except Exception as error:  # nbformat raises many kinds
        raise GradingError(f"{path} is not a readable notebook: {error}") from error


def configure(settings: Any) -> None:
    """Let `nbgrader autograde` run submissions as `grade` does; `settings` is the `c` of an nbgrader_config.py.

    Without this the marks are the same, for `exercise` raises where nbgrader runs it; but nothing holds a submission
    to limits or keeps it from writing elsewhere, and one whose kernel dies is not graded at all.
    """
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import Execute

    steps = Autograde().autograde_preprocessors
    settings.Autograde.autograde_preprocessors = [grader() if step is Execute else step for step in steps]


def grader() -> type:
    """The step of `nbgrader autograde` that runs a notebook as `grade` does: under limits, and shut into a folder."""
    from nbgrader.preprocessors import NbGraderPreprocessor
    from traitlets import Float

    class Exercises(NbGraderPreprocessor):
        """Runs a submission and writes into each check's cell what came out; outputs of other cells are left out."""

        seconds = Float(Limits.seconds, help="Time limit of a notebook; a cell has a third of it.").tag(config=True)
        memory = Float(Limits.memory, help="Memory limit of a notebook in GB.").tag(config=True)

        def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
            """Run the file that nbgrader has just made of a submission, and note the verdicts in `nb`."""
            place = Path(resources["metadata"]["path"]).resolve()
            limits = Limits(seconds=self.seconds, cell_seconds=self.seconds / 3, memory=self.memory)
            outcome = run(place.parent, place / f"{resources['metadata']['name']}.ipynb", limits)
            if said := outcome.said():
                self.log.warning("%s", said)
            note_verdicts(nb, outcome)
            return nb, resources

    return Exercises


def note_verdicts(notebook: NotebookNode, outcome: Run) -> None:
    """Put into each check's cell what nbgrader takes for full marks (a text) or none (an error)."""
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "code" or not meta.get("grade"):
            continue
        id = meta["grade_id"].removeprefix("exercise-").replace("-", ".")
        if outcome.solved.get(id):
            cell.outputs = [new_output("stream", text=f"Exercise {id} solved.\n")]
        else:
            said = "it was not attempted, or not reached"
            said += f" ({outcome.note})" if outcome.note else ""
            if id in outcome.solved:
                said = outcome.messages.get(id) or "it is wrong"
            line = f"Exercise {id} is not solved: {said}"
            cell.outputs = [new_output("error", ename="NotSolved", evalue=line, traceback=[line])]
