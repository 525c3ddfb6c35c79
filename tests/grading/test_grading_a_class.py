"""A class of thirty hands in notebook 01, and some of them mean harm: the others get the marks that are theirs."""

import contextlib
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell

from vae_helpers.grading import grade_folder, watchdog
from vae_helpers.grading.exercise_cells import locate, paste, reference_source
from vae_helpers.grading.limits import Limits
from vae_helpers.grading.sandbox import protection

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_autoencoders.ipynb"
CLASS, MINUTES = 30, 10
LIMITS = Limits(memory=3, cell_seconds=120)
# name -> (code of a last cell, what the note has to say)
HARMFUL = {
    "endless": ("while True: pass", "interrupted after 120 s"),
    "greedy": ("hog = []\nwhile True: hog.append(bytearray(10**8))", "error in cell"),
    "greedy family": (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0: hog = bytearray(10**9); time.sleep(300)\n"
        "time.sleep(300)",
        "ended at the memory limit of 3 GB",
    ),
    "vandal": (
        "import os\nfor folder in (CANARY, FOLDER):\n    for place, _, names in os.walk(folder):\n"
        "        for name in names: os.remove(os.path.join(place, name))",
        "error in cell",
    ),
    "bomb": ("import os, time\nfor _ in range(9): os.fork()\ntime.sleep(300)", "ended at the limit of 64 processes"),
    "hoarder": (
        "for n in range(4): open(f'{n}', 'wb').write(bytes(4 * 10**8))\nimport time; time.sleep(300)",
        "ended at the disk limit of 1 GB",
    ),
}


@pytest.fixture
def lesson():
    """The notebook, and where its answers go: exercise id -> name of the answer."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    places = [locate(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    return notebook, {place[0]: place[1] for place in places if place}


def answered(lesson, pattern):
    """The notebook with the exercise at each place right ("1"), wrong ("0") or left as it is (" ")."""
    notebook, names = lesson
    sources = {}
    for (id, name), mark in zip(names.items(), pattern, strict=True):
        if mark != " ":
            sources[id] = reference_source(id, name) if mark == "1" else f"{name} = lambda *given: given[0]"
    return paste(notebook, sources)


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook), "utf-8")


@pytest.fixture
def burnt(monkeypatch):
    """CPU seconds of each process that was watched, as last seen."""
    seconds = {}

    def look(family, really=watchdog._Family.look):
        really(family)
        for process in family.living:
            with contextlib.suppress(psutil.Error):
                seconds[process] = sum(process.cpu_times()[:2])

    monkeypatch.setattr(watchdog._Family, "look", look)
    return seconds


@pytest.mark.soak
def test_a_class_of_thirty_is_graded_whatever_some_of_them_do(lesson, burnt, tmp_path, capsys):
    folder, canary, output = tmp_path / "handed in", tmp_path / "canary", tmp_path / "grades.csv"
    canary.mkdir()
    (canary / "file.txt").write_text("alive")
    ids = list(lesson[1])
    patterns = {name: "1" * len(ids) for name in HARMFUL}
    for name, (code, _) in HARMFUL.items():
        notebook = answered(lesson, patterns[name])
        notebook.cells.append(new_code_cell(f"CANARY, FOLDER = {str(canary)!r}, {str(folder)!r}\n{code}"))
        write(folder / name / NOTEBOOK.name, notebook)
    for n in range(CLASS - len(HARMFUL) - 1):
        pattern = (
            "".join("10 1"[(n + place * (1 + n // 4)) % 4] for place in range(len(ids))) if n > 2 else "1 0"[n] * 6
        )
        patterns[f"student {n:02}"] = pattern
        write(folder / f"student {n:02}" / NOTEBOOK.name, answered(lesson, pattern))
    (folder / "broken").mkdir()
    (folder / "broken" / NOTEBOOK.name).write_text('{"cells": [')

    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    started = time.monotonic()
    rows = {row.pop("student"): row for row in grade_folder.grade(folder, LIMITS, output)}
    wall = time.monotonic() - started
    with capsys.disabled():
        print(f"\n{CLASS} submissions: {wall:.0f} s, {sum(burnt.values()):.0f} CPU seconds")

    assert len(rows) == CLASS and rows["broken"]["note"].startswith("not a readable notebook")
    for name, pattern in patterns.items():
        marks = "".join(rows[name][id] or " " for id in ids)
        assert marks == pattern, (name, rows[name])
    for name, (_, said) in HARMFUL.items():
        assert said in rows[name]["note"], name
    if protection()[0]:
        assert (canary / "file.txt").read_text() == "alive"
        assert before == {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
    # The clock on the wall depends on what else the machine does; two cores have to share out this much.
    assert sum(burnt.values()) / grade_folder.AT_ONCE < MINUTES * 60
