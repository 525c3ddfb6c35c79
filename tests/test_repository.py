"""What stands around the course: the commands, the versions, the workflows, and nothing of one machine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vae_helpers

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["soak"]]
# Where links may lead: publishers and archives that keep their addresses, and the projects we stand on.
HOSTS = {
    "aclanthology.org",
    "arxiv.org",
    "colab.research.google.com",
    "creativecommons.org",
    "distill.pub",
    "doi.org",
    "docs.pytorch.org",
    "download.pytorch.org",
    "en.wikipedia.org",
    "github.com",
    "ipywidgets.readthedocs.io",
    "jmlr.org",
    "localhost",
    "matplotlib.org",
    "mml-book.github.io",
    "mybinder.org",
    "numpy.org",
    "openreview.net",
    "papers.nips.cc",
    "proceedings.mlr.press",
    "proceedings.neurips.cc",
    "pytorch.org",
    "scikit-learn.org",
    "szeliski.org",
    "udlbook.github.io",
    "www.deeplearningbook.org",
    "www.inference.org.uk",
    "www.jmlr.org",
    "www.w3.org",
}


def constraints():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def committed_files():
    """The text files that git tracks, or would if they were added."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git repository")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in names:
        path = ROOT / name
        if name and path.is_file() and path.suffix not in {".png", ".svg", ".safetensors", ".gz"}:
            yield name, path.read_text("utf-8")


def make(*arguments, **environment):
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    return subprocess.run(
        ["make", "-C", str(ROOT), *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def test_constraints_are_exact_versions_without_an_address():
    for line in constraints():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


def test_constraints_pin_every_direct_dependency_to_a_version_that_we_accept():
    pins = dict(line.split("==") for line in constraints())
    for requirement in DIRECT:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} is not {requirement}"


def test_constraints_leave_alone_what_torch_pins_itself_and_this_package():
    for line in constraints():
        assert not re.match(r"nvidia|cuda|triton|setuptools|vae", line), line


def test_environment_yml_is_python_pip_and_this_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["name"] == PROJECT["name"]
    assert environment["dependencies"] == [
        f"python{PROJECT['requires-python']}",
        "pip",
        {"pip": ["-e ."]},
    ]


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[1]
    assert citation["version"] == newest == vae_helpers.__version__
    assert citation["title"].startswith(PROJECT["name"])


def test_no_file_holds_a_path_of_a_machine():
    for name, text in committed_files():
        found = re.search(r"(?<![\w.~])/(?:home|root|Users|work)/\w+", text)
        assert not found, f"{name} holds {found[0]}"


def test_links_lead_to_known_hosts():
    for name, text in committed_files():
        for host in re.findall(r"\bhttps?://([\w.-]+)", text):
            if host not in {"example.org", "127.0.0.1", "HUB"}:  # HUB stands for a teacher's own
                assert host in HOSTS, f"{name} names the host {host}; if it is to stay, add it to HOSTS"


def test_importing_the_package_imports_nothing_heavy_not_even_torch():
    heavy = ["torch", "numpy", "sklearn", "skimage", "scipy", "matplotlib", "torchvision", "IPython", "ipywidgets"]
    code = f"import sys, vae_helpers; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "commands"), [("test", ["make test"]), ("soak", ["make test", "make soak"])])
def test_workflows_call_make(name, commands):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))
    scripts = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    for command in commands:
        assert command in scripts
    assert ("CONSTRAINTS=" in scripts) == (name == "soak")


def test_the_workflow_tests_the_oldest_supported_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert all(f"Programming Language :: Python :: {version}" in PROJECT["classifiers"] for version in versions)


def test_ci_runs_make_test_and_ends_with_its_exit_code(tmp_path):
    fake = tmp_path / "make"
    fake.write_text('#!/bin/sh\necho "make $*"\nexit 3\n')
    fake.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    command = ["bash", str(ROOT / ".ci" / "run")]
    result = subprocess.run(command, env={"PATH": path}, cwd=tmp_path, capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("make test\n", 3)


def test_make_lists_its_commands():
    result = make("help")
    assert result.returncode == 0, result.stderr
    for name in ("lab", "test", "soak", "notebooks", "format", "clean"):
        assert f"make {name}" in result.stdout


def test_make_knows_its_commands():
    result = make("--dry-run", "lab", "test", "soak", "notebooks", "format", "lint", "clean")
    assert result.returncode == 0, result.stderr


def test_make_says_what_to_do_when_python_is_too_old(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = make("test", f"VENV={tmp_path / 'venv'}", f"PYTHON={old}")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer" in result.stderr
    assert "PYTHON=" in result.stderr


def test_a_half_finished_install_is_not_taken_for_a_whole_one(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    fake = venv / "bin" / "python"
    # Starts, has pip, but pip's install breaks off.
    fake.write_text('#!/bin/sh\ncase "$*" in *" install "*) exit 7;; *print*) echo 1;; esac\n')
    fake.chmod(0o755)
    (venv / "installed-newest").write_text("")
    first = make("test", f"VENV={venv}")
    second = make("test", f"VENV={venv}")
    assert first.returncode != 0
    assert "Installing" in second.stdout
    assert not list(venv.glob("installed-*"))


def test_a_warning_of_ours_is_an_error_and_one_of_another_package_is_not():
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("ours", DeprecationWarning, "fit.py", 1, module="vae_helpers.training")
    with pytest.raises(UserWarning):
        warnings.warn("in a test", UserWarning, stacklevel=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn_explicit("theirs", UserWarning, "nn.py", 1, module="torch.nn")
    assert [str(warning.message) for warning in caught] == ["theirs"]


def test_the_environment_has_what_pyproject_asks_for():
    for requirement in DIRECT:
        if requirement.name not in {Requirement(line).name for line in EXTRAS["soak"]}:
            version = metadata.version(requirement.name)
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version}"
