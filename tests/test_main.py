"""python -m vae_helpers: its three commands, as typed."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vae_helpers.__main__ import main
from vae_helpers.exercises import checkup, progress_record

ROOT = Path(__file__).resolve().parent.parent


def test_check_says_what_is_here_and_how_fast(capsys):
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    for package in checkup.PACKAGES:
        assert re.search(rf"^{package} +\d+\.\d", said, re.MULTILINE), package
    assert "Training on " in said and re.search(r"training step takes \d+\.\d\d ms", said)
    assert said.endswith("All is well.\n")


def test_check_looks_for_what_the_package_declares():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[\w-]+", requirement)[0]: requirement for requirement in declared["dependencies"]}
    assert set(names) <= set(checkup.PACKAGES)
    assert names["torch"] == f"torch>={'.'.join(map(str, checkup.TORCH))}"
    assert declared["requires-python"] == f">={'.'.join(map(str, checkup.PYTHON))}"


@pytest.mark.parametrize(("version", "status"), [("2.10.1", 1), ("2.9.0+cpu", 1), ("2.11.0", 0), ("3.0.0a0+git1", 0)])
def test_check_wants_a_torch_that_is_new_enough(version, status, monkeypatch, capsys):
    real = importlib.metadata.version
    monkeypatch.setattr(checkup.metadata, "version", lambda name: version if name == "torch" else real(name))
    assert main(["check"]) == status
    said = capsys.readouterr().out
    assert ('-m pip install --upgrade "torch>=2.11"' in said) == bool(status)


def test_check_gives_the_cure_for_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(checkup, "PACKAGES", {"numpy": "numpy", "no-such-package": "no_such_module"})
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"^no-such-package missing$", said, re.MULTILINE)
    assert '-m pip install --upgrade "no-such-package"' in said and "All is well" not in said


def test_check_gives_the_cure_for_what_is_broken(monkeypatch, capsys, tmp_path):
    (tmp_path / "broken_module.py").write_text("import no_such_part")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(checkup, "PACKAGES", {"numpy": "broken_module"})
    assert main(["check"]) == 1
    said = capsys.readouterr().out
    assert "No module named 'no_such_part'" in said and '--force-reinstall "numpy"' in said


def test_check_runs_where_torch_is_not(tmp_path):
    """As someone finds who forgot to install it: a module of that name that cannot be imported stands in."""
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch is not there')")
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
         "from vae_helpers.__main__ import main; sys.exit(main(['check']))"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 1 and "libtorch is not there" in result.stdout and "TO DO" in result.stdout
    assert "Traceback" not in result.stderr


def test_check_reports_training_that_fails(monkeypatch, capsys):
    def fails():
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(checkup, "step_seconds", fails)
    assert main(["check"]) == 1
    assert "training does not work here (RuntimeError: the driver is too old)" in capsys.readouterr().out


def test_check_leaves_the_random_generator_as_it_was():
    import torch

    before = torch.get_rng_state()
    checkup.step_seconds(rounds=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("arguments", [["progress", "my_course"], ["progress"]])
def test_progress_is_read_in_the_folder_named_or_in_my_course(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("VAE_HELPERS_PROGRESS", raising=False)
    monkeypatch.setattr(progress_record, "_memory", {})
    monkeypatch.chdir(tmp_path)  # main changes it, and pytest changes it back
    (tmp_path / "my_course").mkdir()
    (tmp_path / "my_course" / "progress.json").write_text('{"exercises": {"00.1": {"solved": true}}}')
    assert main(arguments) == 0
    if progress_record.lesson_numbers():
        assert re.search(r"^  00\.1 +solved ", capsys.readouterr().out, re.MULTILINE)


def test_progress_in_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["progress", str(tmp_path / "no")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_grade_passes_its_options_on(monkeypatch):
    from vae_helpers.grading import grade_folder
    from vae_helpers.grading.limits import Limits

    calls = []
    monkeypatch.setattr(grade_folder, "grade", lambda *given: calls.append(given))
    assert main(["grade", "here"]) == 0
    assert main(["grade", "here", "--timeout", "60", "--memory", "2", "--output", "marks.csv"]) == 0
    limits = Limits(seconds=60, cell_seconds=20, memory=2)
    assert calls == [("here", Limits(), "grades.csv"), ("here", limits, "marks.csv")]


@pytest.mark.parametrize("limit", ["--timeout", "--memory"])
def test_grade_wants_limits_that_are_positive(limit, tmp_path, capsys):
    assert main(["grade", str(tmp_path), limit, "0"]) == 2
    assert "has to be positive" in capsys.readouterr().err


def test_grade_explains_a_folder_with_nothing_to_grade(tmp_path, capsys):
    assert main(["grade", str(tmp_path / "no")]) == 2
    assert main(["grade", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "There is no folder" in said and "holds no notebook" in said and "Traceback" not in said


def test_the_help_warns_that_submissions_are_programs(capsys):
    with pytest.raises(SystemExit):
        main(["grade", "--help"])
    assert "Submissions are programs" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [[], ["mark"], ["grade"], ["grade", "here", "--timeout", "soon"]])
def test_anything_else_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage: python -m vae_helpers" in capsys.readouterr().err
