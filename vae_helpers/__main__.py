"""python -m vae_helpers check | progress | grade FOLDER | nbgrader FOLDER."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit status, 0 if all is well."""
    chosen = _parser().parse_args(arguments)
    return chosen.run(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_helpers", description="Helpers of the course, from outside.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="does this machine have what the course needs, and how fast is it?")
    check.set_defaults(run=_check)

    progress = commands.add_parser("progress", help="which exercises are solved")
    progress.add_argument("folder", nargs="?", help="the folder of your notebooks (default: this one, or my_course)")
    progress.set_defaults(run=_progress)

    grade = commands.add_parser(
        "grade",
        help="run submitted notebooks and tabulate who solved what",
        description="Run submitted notebooks and tabulate who solved what. Submissions are programs: each runs under "
        "limits and, on Linux, shut into a folder of its own, but may read your files and use the network: see "
        "docs/teaching.md.",
    )
    grade.add_argument("folder", metavar="FOLDER", help="holds a folder, or a notebook, for each student")
    grade.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="per notebook (default: 600); a cell is interrupted after a third of it",
    )
    grade.add_argument("--memory", type=float, default=4.0, metavar="GB", help="per notebook (default: 4)")
    grade.add_argument("--output", default="grades.csv", metavar="FILE", help="the table (default: grades.csv)")
    grade.set_defaults(run=_grade)

    nbgrader = commands.add_parser(
        "nbgrader",
        help="make a course folder for nbgrader",
        description="Make a course folder for nbgrader: each notebook is an assignment, each exercise a cell for the "
        "answer and a locked one that checks it. See docs/teaching.md.",
    )
    nbgrader.add_argument("folder", metavar="FOLDER", help="is made; what it holds already stays as it is")
    nbgrader.add_argument("notebooks", metavar="NOTEBOOK", nargs="*", help="which notebooks (default: all)")
    nbgrader.set_defaults(run=_nbgrader)
    return parser


def _check(chosen: argparse.Namespace) -> int:
    from vae_helpers.exercises.checkup import checkup

    return 0 if checkup() else 1


def _progress(chosen: argparse.Namespace) -> int:
    folder = chosen.folder or (
        "." if os.path.exists("progress.json") or not os.path.isdir("my_course") else "my_course"
    )
    if not os.path.isdir(folder):
        return _complain(f"There is no folder {folder}. Give the one that holds your notebooks.")
    os.chdir(folder)
    from vae_helpers.exercises import progress

    progress()
    return 0


def _grade(chosen: argparse.Namespace) -> int:
    from vae_helpers.grading.grade_folder import grade
    from vae_helpers.grading.limits import GradingError, Limits

    try:
        limits = Limits(seconds=chosen.timeout, cell_seconds=chosen.timeout / 3, memory=chosen.memory)
        grade(chosen.folder, limits, chosen.output)
    except GradingError as error:
        return _complain(str(error))
    return 0


def _nbgrader(chosen: argparse.Namespace) -> int:
    from vae_helpers.grading.limits import GradingError
    from vae_helpers.grading.nbgrading import release

    try:
        release(chosen.folder, chosen.notebooks)
    except GradingError as error:
        return _complain(str(error))
    return 0


def _complain(message: str) -> int:
    print(f"vae_helpers: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
