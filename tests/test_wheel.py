"""A lesson runs from an installed wheel: everything that the checkout has and a lesson needs is in it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tools import notebooks

ROOT = Path(__file__).resolve().parent.parent
FIRST = ROOT / "notebooks" / "00_start_here.ipynb"


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: what an earlier build left in the checkout must not get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for path in [ROOT / "pyproject.toml", *ROOT.glob("LICENSE*"), *ROOT.glob("README.md")]:
        shutil.copy(path, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "vae_helpers", source / "vae_helpers", ignore=ignored)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    (built,) = folder.glob("vae_helpers-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "vae_helpers").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == package
    assert {"LICENSE", "LICENSE-prose"} <= {name.rpartition("/")[2] for name in names}


def test_a_lesson_runs_from_the_wheel(installed, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    notebook = nbformat.read(FIRST, as_version=4)
    notebook.cells.append(new_code_cell("import vae_helpers\nprint('package:', vae_helpers.__file__)"))
    done = notebooks.run(notebook, {"PYTHONPATH": str(installed)}, folder=elsewhere)
    assert f"package: {installed}" in done.cells[-1].outputs[0].text
    assert notebooks.problems(done) == []


def test_shipped_weights_are_in_the_wheel_and_below_twelve_megabytes_in_all(wheel):
    shipped = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "vae_helpers").rglob("*.safetensors")}
    names = {
        "denoiser",
        "factor_reader",
        "portrait_judge",
        "portrait_vae",
        "scene_model",
        "sharp_portrait_vae",
        "style_vae",
        "view_vae",
    }
    assert {Path(name).stem for name in shipped} == names
    assert sum(path.stat().st_size for path in shipped.values()) < 12e6
    archive = zipfile.ZipFile(wheel)
    assert all(archive.read(name) == path.read_bytes() for name, path in shipped.items())


def test_the_wheel_reads_factors_with_the_weights_that_it_carries(installed, tmp_path):
    script = (
        "import vae_helpers\n"
        "from vae_helpers.rendering import faces\n"
        "factors = faces.sample(300, 4713)\n"
        "print(vae_helpers.__file__, min(vae_helpers.factor_r2(faces.render(factors, 32), factors).values()))"
    )
    surroundings = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=surroundings)
    assert done.returncode == 0, done.stderr
    file, worst = done.stdout.rsplit(maxsplit=1)
    assert Path(file).is_relative_to(installed) and float(worst) > 0.9
