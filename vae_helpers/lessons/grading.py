"""Grades a folder of submitted notebooks: a table of student by exercise.

Submissions are programs, and grading runs them: with the rights of whoever grades, on this machine, with its
files and its network. What is here keeps one submission from costing another its marks (a process of its own,
a copy of its own, a time limit); it is no protection against a student who means harm, and a notebook that
forges its results is believed. Grade work of people you do not trust in a container or a spare account.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vae_helpers.writing import write_whole

RUNNER = Path(__file__).with_name("run_submission.py")
TIMEOUT = 600.0  # seconds per notebook
AT_ONCE = 2  # notebooks run side by side, on one thread each
MARK = "VAE_HELPERS_GRADING"  # the variable that names the results file, and marks a submission's processes
CALL = re.compile(r"\bexercise\(\s*(?:id\s*=\s*)?[\"'](\d\d\.\d+)[\"']")


class GradingError(Exception):
    """There is nothing to grade; the message says why and what to do."""


@dataclass
class Run:
    """What running one notebook gave."""

    exercises: set[str] = field(default_factory=set)  # those that the notebook holds
    solved: dict[str, bool] = field(default_factory=dict)  # those that were attempted and reached
    note: str = ""  # what went wrong, if anything


def grade(folder: str | Path, timeout: float = TIMEOUT, output: str | Path = "grades.csv") -> list[dict[str, str]]:
    """Run every submitted notebook and write the table of student by exercise.

    Each sub-folder of `folder` is a student, with any number of notebooks at any depth; a notebook that lies
    loose in `folder` is a student too. Each notebook runs in a copy, in processes of its own, which are
    killed at the time limit; what was solved until then counts. Nothing falls back to the reference. When an
    exercise is checked several times the last result counts, and of several notebooks the best one.

    Args:
        folder: the submissions; never written to.
        timeout: seconds for each notebook.
        output: the CSV file: student; per exercise 1 (solved), 0 (attempted) or nothing; total; note.
    Returns:
        the rows of the table.
    Raises:
        GradingError: the folder is missing, is no folder or holds no notebook; the time limit is not
            positive; or the table cannot be written where it is asked for.
    """
    if not timeout > 0:
        raise GradingError(f"The time limit is {timeout:g} seconds; it has to be positive.")
    folder, output = Path(folder), Path(output)
    handed_in = submissions(folder)
    _check_writable(output)
    jobs = [(student, path) for student, paths in handed_in.items() for path in paths]
    print(f"{len(handed_in)} students, {len(jobs)} notebooks, at most {timeout:g} s each, {AT_ONCE} at a time.")
    runs = _run_all(folder, jobs, timeout)
    rows = _table(handed_in, runs)
    print(f"\n{_readable(rows)}\n")
    _write(output, rows)
    print(f"Written to {output}.")
    return rows


def submissions(folder: Path) -> dict[str, list[Path]]:
    """Student -> notebooks, both in alphabetical order; links are not followed.

    Raises:
        GradingError: the folder is missing, is no folder or holds no notebook.
    """
    if not folder.exists():
        raise GradingError(f"There is no folder {folder}. Give the folder that holds the submitted notebooks.")
    if not folder.is_dir():
        raise GradingError(f"{folder} is a file. Give the folder that holds the submitted notebooks.")
    students: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            students.setdefault(path.name, []).extend(_notebooks(path))
        elif path.suffix == ".ipynb":
            students.setdefault(path.stem, []).append(path)
    if not any(students.values()):
        raise GradingError(
            f"{folder} holds no notebook. It should hold a folder for each student with that student's notebooks,"
            " or one notebook for each student, named after the student."
        )
    return students


def _notebooks(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.ipynb")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in inside):
            yield path


def _run_all(folder: Path, jobs: list[tuple[str, Path]], timeout: float) -> dict[Path, Run]:
    """Run the notebooks side by side; after Ctrl-C those that have not ended are marked as not run."""
    runs = {path: Run(_exercises_in(path), note="not run") for _, path in jobs}
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(run, folder, path, timeout, stop.is_set): path for _, path in jobs}
        try:
            for count, future in enumerate(concurrent.futures.as_completed(waiting), 1):
                path = waiting[future]
                try:
                    runs[path] = future.result()
                except Exception as error:  # costs this notebook's marks, not the others'
                    runs[path].note = f"could not be run: {path.name}: {error}"
                solved = sum(runs[path].solved.values())
                said = f"{solved} of {len(runs[path].exercises)} solved"
                said += f"; {runs[path].note}" if runs[path].note else ""
                print(f"[{count}/{len(jobs)}] {path.relative_to(folder)}: {said}", flush=True)
        except KeyboardInterrupt:
            print("\nStopped: the notebooks that have not ended are marked as not run.")
            stop.set()
            pool.shutdown(cancel_futures=True)
    return runs


def run(folder: Path, path: Path, timeout: float, stopped: Callable[[], bool] = lambda: False) -> Run:
    """Run one notebook of `folder` in a copy, under the time limit, and read what it solved."""
    result = Run(_exercises_in(path))
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as place:
        try:
            copy = _copied(folder, path, Path(place) / "work")
        except OSError as error:
            result.note = f"cannot be copied: {path.name}: {error.strerror}"
            return result
        results, report = Path(place) / "results.jsonl", Path(place) / "report.jsonl"
        ended = _run_process([sys.executable, "-P", str(RUNNER), str(copy), str(report)], place, timeout, stopped)
        result.solved = {line["id"]: bool(line["solved"]) for line in _lines(results) if _is_result(line)}
        result.note = _note(path.name, _lines(report), ended, timeout)
    result.exercises |= set(result.solved)
    return result


def _exercises_in(path: Path) -> set[str]:
    """The ids that a notebook's code names; none if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        cells = json.loads(path.read_bytes())["cells"]
        sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        return {id for source in sources for id in CALL.findall(source)}
    return set()


def _copied(folder: Path, path: Path, work: Path) -> Path:
    """Copy a loose notebook, or a student's whole folder, and return where the notebook is in the copy."""
    if path.parent == folder:
        work.mkdir()
        return Path(shutil.copyfile(path, work / path.name))
    student = folder / path.relative_to(folder).parts[0]
    shutil.copytree(student, work, ignore=_not_copied)
    return work / path.relative_to(student)


def _not_copied(directory: str, names: list[str]) -> list[str]:
    """Links (they would lead out of the copy), pipes and devices, and what Jupyter keeps for itself."""
    paths = {name: Path(directory, name) for name in names}
    plain = {name for name, path in paths.items() if not path.is_symlink() and (path.is_file() or path.is_dir())}
    return [name for name in names if name not in plain or name == ".ipynb_checkpoints"]


def _run_process(command: list[str], place: str, timeout: float, stopped: Callable[[], bool]) -> bool:
    """Run a command in a process group of its own and end everything it started; False if time ran out."""
    environment = _environment(place)
    with open(Path(place) / "messages.txt", "wb") as messages:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout
        try:
            while process.poll() is None and time.monotonic() < deadline and not stopped():
                time.sleep(0.1)
            return process.poll() is not None
        finally:
            _end(process, environment[MARK])


def _environment(place: str) -> dict[str, str]:
    """Grading mode, nothing on the screen, one thread, and none of the teacher's own Jupyter settings."""
    package = Path(__file__).parents[2]
    paths = [os.environ.get("PYTHONPATH", "")]
    if package.name != "site-packages":
        paths.insert(0, str(package))  # a checkout that is not installed
    private = Path(place) / "jupyter"
    return os.environ | {
        MARK: str(Path(place) / "results.jsonl"),
        "VAE_HELPERS_PROGRESS": "off",
        "VAE_HELPERS_STATIC": "1",
        "VAE_HELPERS_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "IPYTHONDIR": str(private / "ipython"),
        "JUPYTER_CONFIG_DIR": str(private / "config"),
        "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
    }


def _end(process: subprocess.Popen, mark: str) -> None:
    """Kill the process, its kernel (which is a session of its own) and whatever those started and left.

    They are known by descent, and by the results file that their environment names, which is theirs alone.
    """
    import psutil

    for _ in range(5):  # a process may start another while it is looked for
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                _kill(child)
        if process.poll() is None:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        left = [other for other in psutil.process_iter() if _is_marked(other, mark)]
        if not left:
            return
        for other in left:
            _kill(other)
        psutil.wait_procs(left, timeout=1)


def _kill(process) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        process.kill()


def _is_marked(process, mark: str) -> bool:
    import psutil

    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False  # someone else's, or gone


def _lines(path: Path) -> list[dict]:
    """The lines of JSON in a file; a line cut off by a kill, or that is no object, is left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


def _is_result(line: dict) -> bool:
    return isinstance(line.get("id"), str) and bool(line.get("attempted"))


def _note(name: str, report: list[dict], ended: bool, timeout: float) -> str:
    """What a teacher should know about a run, in one line; empty if all went well."""
    last = {key: value for line in report for key, value in line.items()}
    notes = []
    if "unreadable" in last:
        return f"not a readable notebook: {name}: {last['unreadable']}"
    if not ended:
        notes.append(f"ended at the time limit of {timeout:g} s in cell {last.get('cell', 1)} of {name}")
    elif "died" in last:
        notes.append(f"the kernel died in cell {last['died']} of {name}")
    elif "done" not in last:
        notes.append(f"could not be run: {name}")
    errors = [str(line["error"]) for line in report if "error" in line]
    if errors:
        shown = ", ".join(errors[:8]) + (f" and {len(errors) - 8} more" if len(errors) > 8 else "")
        notes.append(f"error{'s' * (len(errors) > 1)} in cell{'s' * (len(errors) > 1)} {shown} of {name}")
    return "; ".join(notes)


def _table(handed_in: dict[str, list[Path]], runs: dict[Path, Run]) -> list[dict[str, str]]:
    columns = sorted({id for run in runs.values() for id in run.exercises}, key=_order)
    rows = []
    for student, paths in handed_in.items():
        solved: dict[str, bool] = {}
        for path in paths:
            for id, right in runs[path].solved.items():
                solved[id] = solved.get(id, False) or right
        marks = {id: str(int(solved[id])) if id in solved else "" for id in columns}
        notes = "; ".join(runs[path].note for path in paths if runs[path].note)
        note = notes if paths else "no notebook handed in"
        rows.append({"student": student, **marks, "total": str(sum(solved.values())), "note": note})
    return rows


def _order(id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in id.split(".") if part.isdigit())


def _check_writable(output: Path) -> None:
    if output.is_dir():
        raise GradingError(f"--output {output} is a folder. Name a file, such as {output / 'grades.csv'}.")
    if output.exists() and not output.is_file():
        raise GradingError(f"--output {output} is a device or a pipe. Name a file; the table is printed as well.")
    try:
        with output.open("a"):
            pass
    except OSError as error:
        raise GradingError(f"The table cannot be written to {output}: {error.strerror}. Is it open?") from error


def _write(output: Path, rows: list[dict[str, str]]) -> None:
    """Write the table; a cell that a spreadsheet would take for a formula is marked as text."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({key: f"'{text}" if text[:1] in ("=", "+", "-", "@") else text for key, text in row.items()})
    try:
        write_whole(output, table.getvalue().encode("utf-8-sig"))  # the signature tells Excel that it is UTF-8
    except OSError as error:
        raise GradingError(f"The table stands above; it cannot be written to {output}: {error.strerror}.") from error


def _readable(rows: list[dict[str, str]]) -> str:
    columns = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    rows = [{name: name for name in columns}, *rows]
    lines = ["  ".join(f"{text:{widths[name]}}" for name, text in row.items()) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
