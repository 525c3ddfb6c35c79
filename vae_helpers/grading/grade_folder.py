"""Grades a folder of submitted notebooks: a table of student by exercise.

Submissions are programs, and grading runs them. Each runs in processes of its own, on a copy of its own, under limits
(limits.py, watchdog.py). Where the system supports it (sandbox.py) each is confined to the folder of that copy, and can
neither affect the marks of another nor delete anyone's files. It can still read what its user can read and use the
network. A notebook that reaches for the answers, or for its own results, is marked for the teacher's eye
(tampering.py); one that hides it well is believed: see docs/teaching.md.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import io
import json
import os
import shutil
import site
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vae_helpers.exercises.definition import ID
from vae_helpers.exercises.registry import exercises_of
from vae_helpers.grading import tampering
from vae_helpers.grading.limits import GIGABYTE, GradingError, Limits
from vae_helpers.grading.sandbox import protection
from vae_helpers.grading.watchdog import MARK, MESSAGES, run_watched, weigh
from vae_helpers.writing import write_whole

RUNNER = Path(__file__).with_name("run_submission.py")
AT_ONCE = 2  # notebooks run side by side, on one thread each
# A notebook can hold, and a submission can write, anything: what is read of it here has an end.
LARGEST_NOTEBOOK = 50_000_000  # bytes
LONGEST_REPORT = 4_000_000  # bytes
LONGEST_MESSAGE = 600  # characters
MOST_EXERCISES = 50
MOST_CELLS = 10_000
MOST_MARKS = 4  # clauses on what to look at
INTERRUPTED = "the cell that checks it was interrupted, so nothing is known about this answer"


@dataclass
class Run:
    """What running one notebook gave."""

    exercises: set[str] = field(default_factory=set)  # those that the notebook holds
    solved: dict[str, bool] = field(default_factory=dict)  # those that were attempted and reached
    note: str = ""  # what went wrong, if anything
    messages: dict[str, str] = field(default_factory=dict)  # what the check said of those that are wrong
    marks: list[str] = field(default_factory=list)  # what a teacher should look at

    def said(self) -> str:
        """The note, and before it what a teacher should look at."""
        marks = self.marks[:MOST_MARKS] + [f"and {len(self.marks) - MOST_MARKS} more"] * (len(self.marks) > MOST_MARKS)
        return "; ".join([*([f"LOOK: {', '.join(marks)}"] if marks else []), *([self.note] if self.note else [])])


def grade(folder: str | Path, limits: Limits | None = None, output: str | Path = "grades.csv") -> list[dict[str, str]]:
    """Run every submitted notebook and write the table of student by exercise.

    Each sub-folder of `folder` is a student, with any number of notebooks at any depth; a notebook that lies
    loose in `folder` is a student too. Each notebook runs in a copy, in processes of its own, which are
    killed at a limit; what was solved until then counts. Nothing falls back to the reference. When an
    exercise is checked several times the last result counts, and of several notebooks the best one. The note of a
    notebook that reaches for the answers or for its results begins with LOOK, and says why; its marks stay.

    Args:
        folder: the submissions; never written to.
        limits: what each notebook may use.
        output: the CSV file: student; per exercise 1 (solved), 0 (attempted) or nothing; total; note.
    Returns:
        the rows of the table.
    Raises:
        GradingError: the folder is missing, is no folder or holds no notebook; or the table cannot be written
            where it is asked for.
    """
    limits = limits or Limits()
    folder, output = Path(folder), Path(output)
    handed_in = submissions(folder)
    _check_writable(output)
    jobs = [(student, path) for student, paths in handed_in.items() for path in paths]
    print(f"{len(handed_in)} students, {len(jobs)} notebooks, {AT_ONCE} at a time. Each has at most {limits}.")
    print(protection()[1], flush=True)
    runs = _run_all(folder, jobs, limits)
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


def _run_all(folder: Path, jobs: list[tuple[str, Path]], limits: Limits) -> dict[Path, Run]:
    """Run the notebooks side by side; after Ctrl-C those that have not ended are marked as not run."""
    runs = {path: Run(_exercises_in(_cells(path)), note="not run") for _, path in jobs}
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(run, folder, path, limits, stop.is_set): path for _, path in jobs}
        try:
            for count, future in enumerate(concurrent.futures.as_completed(waiting), 1):
                path = waiting[future]
                try:
                    runs[path] = future.result()
                except Exception as error:  # costs this notebook's marks, not the others'
                    runs[path].note = f"could not be run: {path.name}: {error}"
                solved = sum(runs[path].solved.values())
                said = "; ".join(filter(None, [f"{solved} of {len(runs[path].exercises)} solved", runs[path].said()]))
                print(f"[{count}/{len(jobs)}] {path.relative_to(folder)}: {said}", flush=True)
        except KeyboardInterrupt:
            print("\nStopped: the notebooks that have not ended are marked as not run.")
            stop.set()
            pool.shutdown(cancel_futures=True)
    return runs


def run(folder: Path, path: Path, limits: Limits, stopped: Callable[[], bool] = lambda: False) -> Run:
    """Run one notebook of `folder` in a copy, under the limits, and read what it solved."""
    cells = _cells(path)
    result = Run(_exercises_in(cells))
    with tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        result.note = _too_large(folder, path, limits)
        if result.note:
            return result
        try:
            copy = _copied(folder, path, place / "work")
        except OSError as error:
            result.note = f"cannot be copied: {path.name}: {error.strerror}"
            return result
        results, report = place / "results.jsonl", place / "report.jsonl"
        command = [sys.executable, "-P", str(RUNNER), str(copy), str(report), str(limits.cell_seconds)]
        ended = run_watched(command, place, _environment(place, results), limits, stopped)
        told = _lines(report)
        result.marks = tampering.shadows(entry.name for entry in copy.parent.iterdir()) + tampering.reasons(cells)
        _take_results(result, _placed_lines(results), told, cells)
        result.note = _note(path.name, told, ended, limits)
        if result.note == _not_run(path.name):
            result.note += f": {_last_line(place / MESSAGES)}"
    result.exercises |= set(result.solved)
    return result


def _take_results(result: Run, lines: list[tuple[int, dict]], report: list[dict], cells: list[str]) -> None:
    """Enter what the checks found, and mark what they cannot have found.

    Args:
        result: gets the verdicts and the marks.
        lines: those of the results file, in order, each with the byte at which it begins.
        report: what the runner said: with each cell that starts, how many bytes the results file had by then.
        cells: the notebook's code.
    """
    starts = [(line["results"], line["cell"]) for line in report if _has_counts(line, "cell", "results")]
    interrupted = {line[key] for line in report for key in ("interrupted", "gave up") if _has_counts(line, key)}
    verdicts = [(_cell_at(byte, starts), line) for byte, line in lines if _is_result(line)]
    known = [(number, line["id"]) for number, line in verdicts if _exists(line["id"])]
    for number in sorted({number for number, _ in verdicts} | interrupted):
        for line in (line for at, line in verdicts if at == number and _exists(line["id"])):
            result.solved[line["id"]] = line["solved"] is True
            result.messages[line["id"]] = _plain(str(line.get("message", "")))
        if number in interrupted and 0 < number <= len(cells):
            for id in filter(_exists, tampering.calls(cells[number - 1])):
                if (number, id) not in known:
                    result.solved[id], result.messages[id] = False, INTERRUPTED
    unknown = sorted({line["id"] for _, line in verdicts} - {id for _, id in known})
    replaced = [name for line in report for name in _texts(line.get("replaced"))]
    result.marks += tampering.odd_results(known, cells)
    result.marks += [f"it reports {id}, an exercise that does not exist" for id in unknown[:3]]
    result.marks += [f"in the end {_plain(name)} is not the function that it was" for name in replaced[:3]]


def _cell_at(byte: int, starts: list[tuple[int, int]]) -> int:
    """The cell that was running when the results file reached this byte."""
    return max((number for first, number in starts if first <= byte), default=0)


def _exists(id: str) -> bool:
    return any(task.id == id for task in exercises_of(id[:2]))


def _has_counts(line: dict, *keys: str) -> bool:
    return all(type(line.get(key)) is int and 0 <= line[key] < LONGEST_REPORT for key in keys)


def _too_large(folder: Path, path: Path, limits: Limits) -> str:
    """Why this is not even copied; "" if it is."""
    if path.stat().st_size > LARGEST_NOTEBOOK:
        return f"not a readable notebook: {path.name}: larger than {LARGEST_NOTEBOOK // 10**6} MB"
    if path.parent != folder:
        size, files = weigh(_student(folder, path), limits.files)
        if size > limits.disk * GIGABYTE or files > limits.files:
            return (
                f"cannot be copied: {path.name}: its folder is larger than {limits.disk:g} GB or {limits.files} files"
            )
    return ""


def _cells(path: Path) -> list[str]:
    """The code of a notebook's cells, those that are run; none if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        if path.stat().st_size <= LARGEST_NOTEBOOK:
            cells = json.loads(path.read_bytes())["cells"]
            sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
            return [source for source in sources if source.strip()][:MOST_CELLS]
    return []


def _exercises_in(cells: list[str]) -> set[str]:
    """The exercises of the course that a notebook's code names."""
    named = sorted({id for cell in cells for id in tampering.CALL.findall(cell)})[:MOST_EXERCISES]
    return set(filter(_exists, named))


def _copied(folder: Path, path: Path, work: Path) -> Path:
    """Copy a loose notebook, or a student's whole folder, and return where the notebook is in the copy."""
    if path.parent == folder:
        work.mkdir()
        return Path(shutil.copyfile(path, work / path.name))
    student = _student(folder, path)
    shutil.copytree(student, work, ignore=_not_copied)
    return work / path.relative_to(student)


def _student(folder: Path, path: Path) -> Path:
    return folder / path.relative_to(folder).parts[0]


def _not_copied(directory: str, names: list[str]) -> list[str]:
    """Links (they would lead out of the copy), pipes and devices, and what Jupyter keeps for itself."""
    paths = {name: Path(directory, name) for name in names}
    plain = {name for name, path in paths.items() if not path.is_symlink() and (path.is_file() or path.is_dir())}
    return [name for name in names if name not in plain or name == ".ipynb_checkpoints"]


def _environment(place: Path, results: Path) -> dict[str, str]:
    """Grading mode, one thread, nothing on the screen, a home of its own, and none of the teacher's own settings."""
    package = Path(__file__).parents[2]
    paths = [os.environ.get("PYTHONPATH", "")]
    if package.name != "site-packages":
        paths.insert(0, str(package))  # a checkout that is not installed
    home, temporary = place / "home", place / "tmp"
    _furnish(home)
    temporary.mkdir()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    for name in ("VAE_HELPERS_CACHE", "NBGRADER_EXECUTION"):
        mine.pop(name, None)
    return mine | {
        MARK: str(results),
        "VAE_HELPERS_PROGRESS": "off",
        "VAE_HELPERS_STATIC": "1",
        "VAE_HELPERS_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUSERBASE": site.getuserbase(),  # it hangs on HOME otherwise
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(temporary)),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter" / "runtime"),
    }


def _furnish(home: Path) -> None:
    """Make a home and put matplotlib's list of fonts into it, which takes seconds to compile."""
    import matplotlib

    (home / "matplotlib").mkdir(parents=True)
    for fonts in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        with contextlib.suppress(OSError):
            shutil.copyfile(fonts, home / "matplotlib" / fonts.name)


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _lines(path: Path) -> list[dict]:
    """The lines of JSON in a file that a submission wrote; one that is cut off, or is no object, is left out."""
    return [line for _, line in _placed_lines(path)]


def _placed_lines(path: Path) -> list[tuple[int, dict]]:
    """The same, each with the byte at which it begins."""
    found, byte = [], 0
    for text in _beginning(path).splitlines(keepends=True):
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(text)
            if isinstance(line, dict):
                found.append((byte, line))
        byte += len(text)
    return found


def _beginning(path: Path) -> bytes:
    """What a file holds, up to a length; nothing if a submission has put a link, a pipe or a device in its place."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(number, "rb") as file:
            if stat.S_ISREG(os.fstat(number).st_mode):
                return file.read(LONGEST_REPORT)
    return b""


def _is_result(line: dict) -> bool:
    return (
        isinstance(line.get("id"), str)
        and bool(ID.fullmatch(line["id"]))
        and line.get("attempted") is True
        and "solved" in line
    )


def _note(name: str, report: list[dict], ended: str, limits: Limits) -> str:
    """What a teacher should know about a run, in one line; empty if all went well."""
    told = [(key, value) for line in report for key, value in line.items()]
    cells: dict[str, list[int]] = {}
    for key, value in told:
        if isinstance(value, int) and value < MOST_CELLS:  # the report lies where a submission can write
            cells.setdefault(key, []).append(value)
    unreadable = [value for key, value in told if key == "unreadable" and isinstance(value, str)]
    if unreadable:
        return f"not a readable notebook: {name}: {_plain(unreadable[0])}"
    notes = []
    if ended:
        notes.append(f"{ended} in cell {cells.get('cell', [1])[-1]} of {name}")
    elif "died" in cells:
        notes.append(f"the kernel died in cell {cells['died'][0]} of {name}")
    elif "done" not in cells:
        notes.append(_not_run(name))
    if "gave up" in cells:
        notes.append(f"KeyboardInterrupt raised in {_listed(cells['gave up'])} of {name}")
    if "interrupted" in cells:
        notes.append(f"interrupted after {limits.cell_seconds:g} s: {_listed(cells['interrupted'])} of {name}")
    if "error" in cells:
        notes.append(f"error{'s' * (len(cells['error']) > 1)} in {_listed(cells['error'])} of {name}")
    return "; ".join(notes)


def _not_run(name: str) -> str:
    return f"could not be run: {name}"


def _last_line(messages: Path) -> str:
    """What a program said last, which is the reason if it could not start."""
    lines = _beginning(messages).decode(errors="replace").split("\n")
    return next((_plain(line) for line in reversed(lines) if line.strip()), "it says nothing")


def _listed(cells: list[int]) -> str:
    shown = ", ".join(map(str, cells[:8])) + (f" and {len(cells) - 8} more" if len(cells) > 8 else "")
    return f"cell{'s' * (len(cells) > 1)} {shown}"


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:LONGEST_MESSAGE]


def _table(handed_in: dict[str, list[Path]], runs: dict[Path, Run]) -> list[dict[str, str]]:
    columns = sorted({id for run in runs.values() for id in run.exercises}, key=_order)
    rows = []
    for student, paths in handed_in.items():
        solved: dict[str, bool] = {}
        for path in paths:
            for id, right in runs[path].solved.items():
                solved[id] = solved.get(id, False) or right
        marks = {id: str(int(solved[id])) if id in solved else "" for id in columns}
        notes = "; ".join(said for path in paths if (said := runs[path].said()))
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
