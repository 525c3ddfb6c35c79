"""`make lab`: the learner's copy is filled and never overwritten, and JupyterLab is opened in it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from tools import my_course


@pytest.fixture
def course(tmp_path):
    source = tmp_path / "notebooks"
    source.mkdir()
    for name in ("00_start_here.ipynb", "01_next.ipynb"):
        (source / name).write_text(f"new {name}")
    return source, tmp_path / "a place with spaces"


def test_the_copy_is_filled(course):
    source, target = course
    assert my_course.fill(source, target) == ["00_start_here.ipynb", "01_next.ipynb"]
    assert (target / "01_next.ipynb").read_text() == "new 01_next.ipynb"
    assert sorted(path.name for path in target.iterdir()) == ["00_start_here.ipynb", "01_next.ipynb"]


def test_what_is_there_is_never_overwritten(course):
    source, target = course
    target.mkdir()
    (target / "01_next.ipynb").write_text("my work")
    assert my_course.fill(source, target) == ["00_start_here.ipynb"]
    assert (target / "01_next.ipynb").read_text() == "my work"
    assert my_course.fill(source, target) == []


def test_a_link_that_leads_nowhere_is_left_alone(course):
    source, target = course
    target.mkdir()
    (target / "01_next.ipynb").symlink_to("gone")
    my_course.fill(source, target)
    assert (target / "01_next.ipynb").is_symlink()


def test_a_copy_that_breaks_off_leaves_no_notebook(course, monkeypatch):
    source, target = course

    def break_off(source, target):
        target.write_text("half")
        raise OSError("the disk is full")

    monkeypatch.setattr(my_course.shutil, "copyfile", break_off)
    with pytest.raises(OSError, match="disk is full"):
        my_course.fill(source, target)
    assert list(target.iterdir()) == []


def test_a_checkout_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        my_course.fill(tmp_path, tmp_path / "my_course")


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
