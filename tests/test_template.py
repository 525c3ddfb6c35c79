"""A lesson begun with `make lesson` runs and keeps every rule before a word of it is rewritten."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tools import new_lesson
from tools.notebooks import ROOT

NAME = f"{len(list((ROOT / 'notebooks').glob('*.ipynb'))):02d}_a_new_one"
NUMBER = NAME[:2]
LEFT_OUT = shutil.ignore_patterns(".*", "my_course", "__pycache__", "build", "*.egg-info")  # git and .venv among them


@pytest.fixture(scope="module")
def files():
    return {path.name: text for path, text in new_lesson.plan(NAME).items()}


def test_the_files_are_named_after_the_lesson(files):
    assert list(files) == [f"{NAME}.ipynb", f"lesson_{NUMBER}.py", f"accepted_{NUMBER}.py"]


def test_no_placeholder_is_left(files):
    for name, text in files.items():
        for placeholder in ("NN", "TITLE", "NUMBER", "(N.", "{N."):
            assert placeholder not in text, f"{name} holds {placeholder}"
        assert NUMBER in text
    assert f"# {NUMBER} · A new one\n" in files[f"{NAME}.ipynb"]


def test_the_files_are_in_the_standard_layout(files, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder, name in ("vae_helpers", f"lesson_{NUMBER}.py"), ("tests", f"accepted_{NUMBER}.py"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder / name).write_text(files[name], "utf-8")
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", "--exclude=__init__.py", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "NAME= must be two digits and a few lower-case words"),
        ("7_short", "must be two digits"),
        (f"{NUMBER}_Capital", "must be two digits"),
        ("../07_away", "must be two digits"),
        ("00_again", f"the next notebook has the number {NUMBER}"),
        ("98_too_far", f"the next notebook has the number {NUMBER}"),
    ],
)
def test_another_name_is_refused(name, said):
    with pytest.raises(ValueError, match=said):
        new_lesson.plan(name)


def test_a_lesson_that_is_there_is_not_written_over(tmp_path):
    for folder in ("notebooks", "vae_helpers/lessons", "tests/lessons"):
        (tmp_path / folder).mkdir(parents=True)
    assert len(new_lesson.plan("00_first", tmp_path)) == 3
    (tmp_path / "vae_helpers" / "lessons" / "lesson_00.py").touch()
    with pytest.raises(ValueError, match=r"lesson_00\.py is there already"):
        new_lesson.plan("00_first", tmp_path)


@pytest.mark.soak
def test_a_lesson_just_begun_passes_the_tests_of_lessons(tmp_path):
    copy = tmp_path / "course"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    environment = os.environ | {"PYTHONPATH": str(copy)}

    def run(*command):
        done = subprocess.run([sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    assert f"vae_helpers/lessons/lesson_{NUMBER}.py" in run("tools/new_lesson.py", NAME).replace("\\", "/")
    assert json.loads((copy / "docs" / "times.json").read_text())[NAME]["cpu_seconds"] > 0
    run("-m", "ruff", "check", "--no-cache", f"notebooks/{NAME}.ipynb", f"vae_helpers/lessons/lesson_{NUMBER}.py")
    run("tools/notebooks.py", "stale", f"notebooks/{NAME}.ipynb")
    test = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-m", "soak or not soak"]
    run(*test, f"notebooks/{NAME}.ipynb")
    run(*test, "tests/test_notebooks.py", "-k", f"{NAME} and (rules or reference)")
    run(*test, "tests/test_accessibility.py", "-k", NAME)
    run(*test, "tests/lessons/test_exercises.py", "tests/lessons/test_hints.py", "-k", f"{NUMBER} or id")
