"""`make lab`: the learner's copy is brought up to date, what was edited is never touched, and JupyterLab is opened."""

import errno
import itertools
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import my_course

FIRST, NEXT = NAMES = ["00_start_here.ipynb", "01_next.ipynb"]


@pytest.fixture
def course(tmp_path):
    """(the course's notebooks, a copy that is not there yet)."""
    source = tmp_path / "notebooks"
    source.mkdir()
    for name in NAMES:
        write(source / name, f"version 1 of {name}")
    return source, tmp_path / "a place with spaces"


def write(path, *sources, outputs=(), count=None):
    cells = [new_code_cell(source, outputs=list(outputs), execution_count=count) for source in sources]
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Title\n\n**Time.** 3 min"), *cells]), path)


def read(path):
    return nbformat.read(path, as_version=4).cells[1].source


def run_all(path):
    """What running does to a notebook: outputs, counts, the line of times, and an empty cell at the end."""
    write(path, read(path), "", outputs=[new_output("stream", text="ran")], count=7)
    path.write_text(path.read_text().replace("3 min", "4 min"))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_copy_is_filled(course):
    source, target = course
    assert my_course.fill(source, target).copied == NAMES
    assert read(target / FIRST) == "version 1 of 00_start_here.ipynb"
    assert files(target) == [".copied.json", *NAMES]
    assert str(my_course.fill(source, target)) == ""


def test_what_was_only_run_is_brought_up_to_date(course):
    source, target = course
    my_course.fill(source, target)
    run_all(target / NEXT)
    ran = (target / NEXT).read_bytes()
    assert str(my_course.fill(source, target)) == "" and (target / NEXT).read_bytes() == ran, "the course is the same"
    write(source / NEXT, "version 2")
    said = my_course.fill(source, target)
    assert said.replaced == [NEXT] and said == my_course.Filled(replaced=[NEXT])
    assert str(said) == f"Brought up to date, for you had changed nothing in them: {NEXT}"
    assert (target / NEXT).read_bytes() == (source / NEXT).read_bytes()
    write(source / NEXT, "version 3")
    assert my_course.fill(source, target).replaced == [NEXT], "the record knows the second version"


def test_what_was_edited_is_never_touched_and_the_newer_version_lies_beside_it(course):
    source, target = course
    my_course.fill(source, target)
    write(target / NEXT, "my work")
    mine = (target / NEXT).read_bytes()
    assert str(my_course.fill(source, target)) == "", "the course is the same"
    for version in ("version 2", "version 3"):
        write(source / NEXT, version)
        for _ in range(2):  # it is said each time
            said = my_course.fill(source, target)
            assert said == my_course.Filled(beside=["01_next.newer.ipynb"])
        assert (target / NEXT).read_bytes() == mine and read(target / "01_next.newer.ipynb") == version
    assert "01_next.newer.ipynb\nTo go over to a newer version, rename or delete yours" in str(said)
    (target / NEXT).unlink()
    assert my_course.fill(source, target) == my_course.Filled(copied=[NEXT])
    assert read(target / NEXT) == "version 3"


def test_work_in_the_newer_version_is_not_touched_either(course):
    source, target = course
    my_course.fill(source, target)
    for number, name in enumerate(["01_next.newer.ipynb", "01_next.newer-2.ipynb"], start=2):
        write(target / NEXT, "my work")
        write(source / NEXT, f"version {number}")
        assert my_course.fill(source, target).beside == [name]
        write(target / name, f"my work in {name}")
    assert read(target / "01_next.newer.ipynb") == "my work in 01_next.newer.ipynb"
    os.replace(target / "01_next.newer-2.ipynb", target / NEXT)
    assert my_course.fill(source, target).beside == ["01_next.newer-2.ipynb"]
    assert read(target / NEXT) == "my work in 01_next.newer-2.ipynb"


def test_going_over_to_the_newer_version_is_noticed(course):
    source, target = course
    my_course.fill(source, target)
    write(target / NEXT, "my work")
    write(source / NEXT, "version 2")
    my_course.fill(source, target)
    os.replace(target / "01_next.newer.ipynb", target / NEXT)
    assert str(my_course.fill(source, target)) == ""
    write(source / NEXT, "version 3")
    assert my_course.fill(source, target).replaced == [NEXT]


@pytest.mark.parametrize("damage", [None, b"", b"[1, 2]", b'{"01_next.ipynb": 3}', b"\xff", b"[" * 100_000])
def test_without_a_record_nothing_is_lost_and_it_is_said_once(course, damage):
    source, target = course
    my_course.fill(source, target)
    write(target / NEXT, "my work, or an old version")
    mine = (target / NEXT).read_bytes()
    (target / ".copied.json").unlink()
    if damage is not None:
        (target / ".copied.json").write_bytes(damage)
    assert my_course.fill(source, target) == my_course.Filled(beside=["01_next.newer.ipynb"])
    assert str(my_course.fill(source, target)) == ""
    write(source / FIRST, "version 2")
    assert my_course.fill(source, target).replaced == [FIRST], "that one was seen to be the course's"
    assert (target / NEXT).read_bytes() == mine


def test_progress_and_other_files_stay(course):
    source, target = course
    my_course.fill(source, target)
    (target / "progress.json").write_text("solved")
    (target / "notes.ipynb").write_text("mine")
    write(source / NEXT, "version 2")
    my_course.fill(source, target)
    assert (target / "progress.json").read_text() == "solved" and (target / "notes.ipynb").read_text() == "mine"


def test_what_is_no_notebook_is_left_alone(course):
    source, target = course
    target.mkdir()
    (target / FIRST).symlink_to("gone")
    (target / NEXT).write_text("half a noteb")
    said = my_course.fill(source, target)
    assert said.beside == ["00_start_here.newer.ipynb", "01_next.newer.ipynb"]
    assert (target / FIRST).is_symlink() and (target / NEXT).read_text() == "half a noteb"


def test_a_full_disk_costs_nothing_but_the_update(course, monkeypatch):
    source, target = course
    my_course.fill(source, target)
    write(source / NEXT, "version 2")
    write(source / "02_new.ipynb", "new")
    before = {path: path.read_bytes() for path in target.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = my_course.fill(source, target)
    assert str(said) == (
        "Could not be written: 01_next.ipynb (No space left on device), 02_new.ipynb (No space left on device)"
    )
    assert {path: path.read_bytes() for path in target.iterdir()} == before
    assert my_course.fill(source, target) == my_course.Filled(copied=["02_new.ipynb"], replaced=[NEXT])


@pytest.mark.parametrize("kill_at", range(1, 5))
def test_a_kill_at_any_write_leaves_whole_files_and_the_next_start_goes_on(course, monkeypatch, kill_at):
    source, target = course
    my_course.fill(source, target)
    write(target / FIRST, "my work")
    for number, name in enumerate([FIRST, NEXT, "02_new.ipynb"]):
        write(source / name, f"version 2, {number}")
    writes = itertools.count(1)

    def killed(*arguments):
        if next(writes) == kill_at:
            raise KeyboardInterrupt
        my_course_write(*arguments)

    my_course_write = my_course.write_whole
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(my_course, "write_whole", killed)
        my_course.fill(source, target)
    assert my_course.fill(source, target).beside == ["00_start_here.newer.ipynb"]
    assert [read(target / name) for name in (FIRST, NEXT, "02_new.ipynb", "00_start_here.newer.ipynb")] == [
        "my work", "version 2, 1", "version 2, 2", "version 2, 0",
    ]  # fmt: skip
    write(source / NEXT, "version 3")
    assert my_course.fill(source, target).replaced == [NEXT], "it is known that nobody edited it"


def test_a_checkout_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        my_course.fill(tmp_path, tmp_path / "my_course")


@pytest.mark.parametrize("full", [False, True])
def test_the_command_says_what_happened_and_opens_the_lab_if_there_is_a_notebook(course, monkeypatch, capsys, full):
    source = course[0]
    opened = []
    monkeypatch.setattr(my_course, "ROOT", source.parent)
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: opened.append(command) or SimpleNamespace(returncode=5)
    )
    if full:
        monkeypatch.setattr(my_course, "write_whole", lambda path, _: (_ for _ in ()).throw(OSError(28, "full", path)))
    assert my_course.main([]) == (1 if full else 5) and len(opened) == (not full)
    said = capsys.readouterr()
    assert said.err.startswith("Could not be written: 00") == full
    assert said.out.startswith(f"New in my_course/: {FIRST}, {NEXT}\n") != full
    if not full:
        my_course.main([])
        assert capsys.readouterr().out.startswith("my_course/ has every notebook already.")


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_whether_there_is_a_screen(environment, platform, expected):
    assert my_course.screen(environment, platform) is expected


def test_the_command(tmp_path):
    plain = my_course.lab_command(tmp_path, ["--port", "9"], has_screen=True, as_root=False)
    assert plain == [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={tmp_path}",
        "--LabApp.default_url=/lab/tree/00_start_here.ipynb", "--port", "9",
    ]  # fmt: skip
    headless = my_course.lab_command(tmp_path, [], has_screen=False, as_root=True)
    assert headless[-2:] == ["--no-browser", "--allow-root"]


@pytest.mark.soak
def test_jupyterlab_answers_and_serves_the_copy(tmp_path, monkeypatch):
    """The real server, on a free port that it finds itself, for a copy in a folder with a space."""
    folder = tmp_path / "my course"
    my_course.fill(my_course.ROOT / "notebooks", folder)
    command = my_course.lab_command(folder, [], has_screen=False, as_root=os.geteuid() == 0)
    with (tmp_path / "log").open("w+") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(120):
                log.seek(0)
                if found := re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)\S*token=(\w+)", log.read()):
                    break
                time.sleep(0.5)
            assert found, "the server printed no address"
            with urllib.request.urlopen(f"{found[1]}/api/contents?token={found[2]}", timeout=30) as reply:
                assert b"00_start_here.ipynb" in reply.read()
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
