"""python -m vae_helpers train FOLDER | look | sample | compare | check | progress | grade | nbgrader."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

TRAINING = ("model", "latents", "minutes", "steps", "batch_size", "learning_rate", "shift", "seed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit status, 0 if all is well."""
    chosen = _parser().parse_args(arguments)
    return chosen.run_command(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_helpers", description="Helpers of the course, from outside.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_runs(commands)
    check = commands.add_parser("check", help="does this machine have what the course needs, and how fast is it?")
    check.set_defaults(run_command=_check)

    progress = commands.add_parser("progress", help="which exercises are solved")
    progress.add_argument("folder", nargs="?", help="the folder of your notebooks (default: this one, or my_course)")
    progress.set_defaults(run_command=_progress)

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
    grade.set_defaults(run_command=_grade)

    nbgrader = commands.add_parser(
        "nbgrader",
        help="make a course folder for nbgrader",
        description="Make a course folder for nbgrader: each notebook is an assignment, each exercise a cell for the "
        "answer and a locked one that checks it. See docs/teaching.md.",
    )
    nbgrader.add_argument("folder", metavar="FOLDER", help="is made; what it holds already stays as it is")
    nbgrader.add_argument("notebooks", metavar="NOTEBOOK", nargs="*", help="which notebooks (default: all)")
    nbgrader.set_defaults(run_command=_nbgrader)
    return parser


def _add_runs(commands: argparse._SubParsersAction) -> None:
    """The commands for a folder of one's own pictures."""
    train = commands.add_parser(
        "train",
        help="a folder of pictures in; a model, a report and a gallery out",
        description="Train a VAE on the pictures in a folder. The same command goes on where it was stopped. "
        "Under torchrun its processes train one model together. What is not asked for is chosen by what the pictures "
        "are like, and `look` says how.",
    )
    train.add_argument("folder", metavar="FOLDER", nargs="?", help="of the pictures; nothing in it is changed")
    train.add_argument("--into", metavar="RUN", dest="run", help="the folder that is written (default: run)")
    train.add_argument("--config", metavar="FILE", help="settings in TOML; options given here count more")
    train.add_argument("--minutes", type=float, metavar="M", help="of training (default: 10)")
    train.add_argument("--steps", type=int, metavar="N", help="of training, in place of minutes")
    _add_form(train)
    train.add_argument("--model", metavar="NAME", help="wavelet or pixels (default: what suits the pictures)")
    train.add_argument("--latents", type=int, metavar="D", help="numbers of a code")
    train.add_argument("--batch-size", type=int, metavar="B", help="pictures of a step, of all processes together")
    train.add_argument("--learning-rate", type=float, metavar="R", help="its peak")
    train.add_argument(
        "--shift", type=int, metavar="P", help="pixels to move pictures by in training (default: what suits them)"
    )
    train.add_argument("--seed", type=int, metavar="S", help="of weights, batches and draws (default: 0)")
    train.add_argument("--device", choices=("cpu", "cuda", "mps"), help="(default: a GPU where there is one)")
    train.add_argument("--quiet", action="store_true", help="say nothing but errors")
    train.set_defaults(run_command=_train)

    look = commands.add_parser(
        "look",
        help="what is in a folder of pictures, and what train would do",
        description="Look at a folder of pictures: what is readable, sizes, colour, classes, and what is proposed. "
        "Nothing is trained and nothing written.",
    )
    look.add_argument("folder", metavar="FOLDER")
    _add_form(look)
    look.set_defaults(run_command=_look)

    sample = commands.add_parser("sample", help="pictures drawn from the model of a run")
    sample.add_argument("run", metavar="RUN", help="the folder of a run")
    sample.add_argument("--number", type=int, default=64, metavar="N", help="of pictures (default: 64)")
    sample.add_argument("--to", metavar="FILE", help="a PNG (default: samples.png in the run's folder)")
    sample.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws (default: 0)")
    sample.add_argument("--device", choices=("cpu", "cuda", "mps"), help="(default: a GPU where there is one)")
    sample.set_defaults(run_command=_sample)

    compare = commands.add_parser(
        "compare",
        help="two runs or more side by side",
        description="Set runs side by side: settings, times, bits per dimension with the differences of each test "
        "picture. Runs that were tested on different pictures are not compared.",
    )
    compare.add_argument("runs", metavar="RUN", nargs="+", help="folders of runs")
    compare.set_defaults(run_command=_compare)


def _add_form(parser: argparse.ArgumentParser) -> None:
    """What pictures are brought to, and how they are split."""
    parser.add_argument("--size", type=int, metavar="S", help="pixels of a side")
    parser.add_argument("--fit", choices=("crop", "pad"), help="the middle square, or all of a picture")
    parser.add_argument(
        "--grey", action=argparse.BooleanOptionalAction, default=None, help="take colour away, or keep it"
    )
    parser.add_argument(
        "--background",
        type=int,
        nargs="+",
        metavar="LEVEL",
        help="behind what is transparent or padded: a grey 0..255, or red green blue",
    )
    parser.add_argument(
        "--split-by",
        choices=("picture", "folder"),
        help="what is in training, validation or test as a whole: each picture, or each sub-folder",
    )


def _form(chosen: argparse.Namespace) -> dict:
    background = chosen.background if chosen.background is None or len(chosen.background) > 1 else chosen.background[0]
    asked = {name: getattr(chosen, name) for name in ("size", "fit", "grey", "split_by")}
    return asked | {"background": background}


def _on_device(chosen: argparse.Namespace) -> None:
    """Before torch looks for one."""
    if chosen.device:
        os.environ["VAE_HELPERS_DEVICE"] = chosen.device


def _train(chosen: argparse.Namespace) -> int:
    _on_device(chosen)
    from vae_helpers.runs import RunError, Settings, train_folder
    from vae_helpers.runs.settings import read_toml

    def work() -> None:
        asked, places = Settings(**_form(chosen), **{name: getattr(chosen, name) for name in TRAINING}), {}
        if chosen.config:
            in_file, places = read_toml(chosen.config)
            asked = asked.over(in_file)
        folder = chosen.folder or places.get("folder")
        if not folder:
            raise RunError("which folder? python -m vae_helpers train FOLDER")
        train_folder(folder, chosen.run or places.get("run", "run"), progress=not chosen.quiet, **asked.given)

    return _told(work)


def _look(chosen: argparse.Namespace) -> int:
    from vae_helpers.runs import Settings, survey

    return _told(lambda: print(survey(chosen.folder, Settings(**_form(chosen)))))


def _sample(chosen: argparse.Namespace) -> int:
    _on_device(chosen)
    from vae_helpers.runs import load_run
    from vae_helpers.runs.report import write_samples

    return _told(lambda: print(write_samples(load_run(chosen.run), chosen.number, chosen.to, chosen.seed)))


def _compare(chosen: argparse.Namespace) -> int:
    from vae_helpers.runs import compare_runs

    return _told(lambda: print(compare_runs(*chosen.runs)))


def _told(work: Callable[[], object]) -> int:
    """Do it; an error that its reader can mend is told in a sentence, without the lines of code it came through."""
    from vae_helpers.runs.folder_training import Interrupted
    from vae_helpers.training import ProcessLost, TrainingDiverged

    try:
        work()
    except (Interrupted, KeyboardInterrupt) as stop:
        _complain(str(stop) or "interrupted.")
        return 130
    except (ValueError, OSError, TrainingDiverged, ProcessLost) as error:
        if os.environ.get("VAE_HELPERS_TRACEBACK"):
            raise
        return _complain(str(error))
    return 0


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
