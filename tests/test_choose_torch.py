"""Which build of PyTorch `make` installs, whatever the machine, and that a pair that does not work is found at once.

The indexes are servers on this machine, the packages a few lines each; nothing is fetched from elsewhere.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import venv
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

import pip
import pytest
import torch
from packaging.tags import sys_tags

from tools import check_torch, choose_torch
from tools.choose_torch import PAIR, Choice, Machine, Refused, asked_before, choose, fetch, nvidia_driver

ROOT = Path(__file__).resolve().parent.parent
LINUX = Machine("linux-x86_64", "cp312-cp312")
MAC = Machine("macosx-14.0-arm64", "cp312-cp312")
PINS = {"torch": "2.15.0", "torchvision": "0.29.2"}
CPU = {name: f"{version}+cpu" for name, version in PINS.items()}
PACKAGE_INDEX = PAIR  # its lines for pip ask for no build


# --- stand-ins for indexes ------------------------------------------------------------------------------------------


class Index(ThreadingHTTPServer):
    """A package index: `files` has the contents by file name; `how` is what it does instead of answering."""

    daemon_threads = True

    def __init__(self, files, how=""):
        self.files, self.how, self.closing, self.asked = files, how, threading.Event(), []
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/whl/cpu"

    def page(self, name):
        links = (f'<a href="/files/{quote(file)}">{file}</a><br>' for file in self.files if file.startswith(f"{name}-"))
        return "\n".join(["<!DOCTYPE html><html><body>", *links, "</body></html>"]).encode()


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.how == "hangs":
            self.server.closing.wait(60)
            return
        *folders, last = [unquote(part) for part in self.path.split("/") if part]
        if self.server.how == "404" or (folders == ["files"] and last not in self.server.files):
            self.send_error(404)
            return
        body = self.server.files[last] if folders == ["files"] else self.server.page(last)
        self.send_response(200)
        self.send_header("Content-Type", "application/zip" if folders == ["files"] else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.how == "drips":
            for byte in body:
                self.wfile.write(bytes([byte]))
                if self.server.closing.wait(0.05):
                    return
            return
        self.wfile.write(body)


@contextmanager
def serving(files=(), how=""):
    index = Index(dict.fromkeys(files, b"") if not isinstance(files, dict) else files, how)
    threading.Thread(target=index.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield index
    finally:
        index.closing.set()
        index.shutdown()
        index.server_close()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Nothing that this machine has set for pip or for its network, or that a `make test` hands on to each `make`."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "MAKE", "MFLAGS")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def wheels(*versions, python="cp312-cp312", platform="manylinux_2_28_x86_64"):
    """File names for versions of torch and torchvision in turn."""
    return [f"{PAIR[n % 2]}-{v}-{python}-{platform}.whl" for n, v in enumerate(versions)]


# --- the choice -----------------------------------------------------------------------------------------------------


def test_without_a_driver_the_pair_is_taken_from_pytorchs_index():
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu", "2.16.0+cpu", "0.30.0+cpu")) as index:
        choice = choose("", LINUX, index.url, PINS)
    assert choice.lines == (f"--extra-index-url {index.url}", "torch==2.15.0+cpu", "torchvision==0.29.2+cpu")
    assert str(choice) == (
        "PyTorch: its CPU build (torch 2.15.0+cpu, torchvision 0.29.2+cpu), because there is no NVIDIA driver here "
        "(TORCH=default takes the package index's)."
    )


def test_without_constraints_the_newest_pair_is_taken():
    files = wheels("2.9.0+cpu", "0.9.1+cpu", "2.16.0+cpu", "0.30.0+cpu", "2.15.0+cpu", "0.29.2+cpu")
    not_for_us = wheels("2.17.0+cpu", "0.31.0+cpu", platform="win_amd64") + wheels("2.18.0.dev2+cpu", "0.32.0")
    with serving(files + not_for_us) as index:
        choice = choose("", LINUX, index.url, {})
    assert choice.lines[1:] == ("torch==2.16.0+cpu", "torchvision==0.30.0+cpu")


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (wheels("2.15.0+cpu"), "torchvision 0.29.2"),  # half a pair
        (wheels("2.15.0", "0.29.2"), "torch 2.15.0"),  # not told from the package index's
        (wheels("2.15.0+cpu", "0.29.2+cpu", python="cp311-cp311"), "torch 2.15.0"),
        (wheels("2.15.0+cpu", "0.29.2+cpu", python="cp312-cp312t"), "torch 2.15.0"),
        (wheels("2.15.0+cpu", "0.29.2+cpu", platform="manylinux_2_28_aarch64"), "torch 2.15.0"),
        (wheels("2.15.0+cpu", "0.29.2+cpu", platform="macosx_14_0_x86_64"), "torch 2.15.0"),
        (wheels("2.13.0+cpu", "0.28.0+cpu"), "torch 2.15.0"),
        ([], "torch 2.15.0"),
    ],
)
def test_an_index_without_the_pair_for_this_machine_is_not_taken(files, missing):
    with serving(files) as index:
        choice = choose("", LINUX, index.url, PINS)
        with pytest.raises(Refused, match=f"^TORCH=cpu: 127.0.0.1 has no CPU build of {missing} for cp312 on l"):
            choose("cpu", LINUX, index.url, PINS)
    assert choice.lines == PACKAGE_INDEX
    assert f"has no CPU build of {missing} for cp312 on linux-x86_64" in choice.because


def test_another_processor_gets_its_own_builds():
    files = wheels("2.15.0+cpu", "0.29.2+cpu", platform="manylinux_2_17_aarch64.manylinux2014_aarch64")
    with serving(files) as index:
        choice = choose("", replace(LINUX, platform="linux-aarch64"), index.url, PINS)
    assert choice.lines[1:] == ("torch==2.15.0+cpu", "torchvision==0.29.2+cpu")


@pytest.mark.parametrize(("how", "why"), [("404", "HTTP Error 404"), ("hangs", "nothing in 0.3 s")])
def test_an_index_that_does_not_answer_is_not_taken(how, why, monkeypatch):
    if how == "hangs":
        monkeypatch.setattr(choose_torch, "fetch", partial(fetch, answer=0.3))
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu"), how) as index:
        choice = choose("", LINUX, index.url, PINS)
        with pytest.raises(Refused, match=rf"does not answer \({why}.*\)\. TORCH=default takes the build of "):
            choose("cpu", LINUX, index.url, PINS)
    assert choice.lines == PACKAGE_INDEX
    assert str(choice).startswith("PyTorch: the build of the package index, because PyTorch's index of CPU builds, 127")
    assert why in choice.because


def test_nobody_at_the_address_is_no_answer():
    with serving() as index:
        pass
    assert choose("", LINUX, index.url, PINS).lines == PACKAGE_INDEX
    assert choose("", LINUX, "no address", PINS).lines == PACKAGE_INDEX


@pytest.mark.parametrize(("how", "said"), [("hangs", "nothing in 0.5 s"), ("drips", "not a whole page in 0.7 s")])
def test_a_page_is_waited_for_no_longer_than_said(how, said):
    started = time.monotonic()
    with serving(how=how) as index, pytest.raises(TimeoutError, match=said):
        fetch(f"{index.url}/torch/", answer=0.5, whole=0.7)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("machine", "because"),
    [
        (MAC, "on macosx-14.0-arm64 it brings no CUDA libraries"),
        (replace(LINUX, driver="/dev/nvidia0"), "there is an NVIDIA driver (/dev/nvidia0)"),
        (replace(LINUX, setting="PIP_INDEX_URL"), "PIP_INDEX_URL names an index of PyTorch's, and pip looks there too"),
        (replace(LINUX, installed=PINS), "the environment has it already, torch 2.15.0"),
        (replace(LINUX, installed={"torch": "2.14.0+rocm6.4"}), "the environment has it already, torch 2.14.0+rocm6.4"),
    ],
)
def test_where_it_is_not_for_us_pytorchs_index_is_not_even_asked(machine, because):
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu")) as index:
        assert choose("", machine, index.url, PINS) == Choice(PACKAGE_INDEX, because)
    assert index.asked == []


def test_cpu_overrides_what_the_machine_has():
    machine = replace(LINUX, driver="/dev/nvidia0", setting="PIP_INDEX_URL")
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu")) as index:
        choice = choose("cpu", machine, index.url, PINS)
    assert choice.lines[1:] == ("torch==2.15.0+cpu", "torchvision==0.29.2+cpu")
    assert choice.because == "TORCH=cpu asks for it"


@pytest.mark.parametrize("asked", ["cuda", "default"])
def test_cuda_and_default_are_the_package_indexs_without_a_look(asked):
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu")) as index:
        assert choose(asked, LINUX, index.url, PINS) == Choice(PACKAGE_INDEX, f"TORCH={asked} asks for it")
    assert index.asked == []


def test_on_a_mac_the_package_indexs_is_the_cpu_build_and_there_is_no_other():
    assert choose("cpu", MAC, "no address", PINS).lines == PACKAGE_INDEX
    with pytest.raises(Refused, match=r"no CUDA build for macosx-14\.0-arm64; leave TORCH out"):
        choose("cuda", MAC, "no address", PINS)


def test_an_unknown_word_is_refused():
    with pytest.raises(Refused, match=r"TORCH=gpu is not known; it is cpu, cuda or default"):
        choose("gpu", LINUX, "no address", PINS)


@pytest.mark.parametrize("asked", ["", "cpu"])
def test_the_pair_that_is_there_stays_and_nothing_is_asked(asked):
    machine = replace(LINUX, installed=CPU, driver="")
    choice = choose(asked, machine, "no address", PINS)
    assert choice.lines == ("torch==2.15.0+cpu", "torchvision==0.29.2+cpu")
    assert choice.because == "the environment has it already"


def test_new_constraints_bring_the_new_pair_of_the_same_build():
    old = {"torch": "2.14.0+cpu", "torchvision": "0.29.0+cpu"}
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu")) as index:
        assert choose("", replace(LINUX, installed=old), index.url, PINS).lines[1] == "torch==2.15.0+cpu"
    assert choose("", replace(LINUX, installed={"torch": "2.14.0"}), index.url, PINS).lines == PACKAGE_INDEX


@pytest.mark.parametrize(
    ("asked", "there"), [("cpu", PINS), ("cpu", {"torch": "2.15.0+cu130"}), ("cuda", CPU), ("default", CPU)]
)
def test_another_build_than_the_one_that_is_there_wants_a_new_environment(asked, there):
    with pytest.raises(Refused, match=rf"torch {there['torch'].replace('+', '.')}\. .*: make clean lab TORCH={asked}$"):
        choose(asked, replace(LINUX, installed=there), "no address", PINS)


# --- what the machine is --------------------------------------------------------------------------------------------


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def nothing_on_the_path(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.usefixtures("nothing_on_the_path")
@pytest.mark.parametrize("name", ["proc/driver/nvidia/version", "dev/nvidia0", "dev/nvidia3"])
def test_a_driver_is_known_by_its_files(name, tmp_path):
    assert nvidia_driver(tmp_path) == ""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert nvidia_driver(tmp_path) == f"/{name}"


@pytest.mark.usefixtures("nothing_on_the_path")
@pytest.mark.parametrize(("name", "wsl"), [("bin/nvidia-smi", False), ("usr/lib/wsl/lib/nvidia-smi", True)])
def test_a_driver_is_known_by_a_program_that_lists_a_gpu(name, wsl, tmp_path):
    program(tmp_path / name, 'test "$*" = -L && echo "GPU 0: NVIDIA T4 (UUID: GPU-1)"')
    assert nvidia_driver(tmp_path) == f"{tmp_path / name} lists a GPU"


@pytest.mark.usefixtures("nothing_on_the_path")
@pytest.mark.parametrize(
    "text", ['echo "GPU 0: gone"; exit 9', 'echo "NVIDIA-SMI has failed: no driver"', 'echo "No devices were found"']
)
def test_a_program_that_lists_none_is_no_driver(text, tmp_path):
    program(tmp_path / "bin" / "nvidia-smi", text)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert nvidia_driver(tmp_path) == ""


@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({}, ""),
        ({"PIP_INDEX_URL": "https://example.org/simple"}, ""),
        ({"PIP_EXTRA_INDEX_URL": "https://download.pytorch.org/whl/rocm6.4"}, "PIP_EXTRA_INDEX_URL"),
        ({"PIP_INDEX_URL": "https://example.org/PyTorch-wheels/cpu"}, "PIP_INDEX_URL"),
    ],
)
def test_a_setting_that_leads_to_an_index_of_pytorchs_is_seen(environment, setting):
    assert choose_torch.index_setting(environment) == setting


def test_this_machine_is_described_as_wheels_are_named():
    machine = choose_torch.this_machine()
    assert machine.installed == {name: metadata.version(name) for name in PAIR}
    assert f"{machine.python}-{machine.platform.replace('-', '_').replace('.', '_')}" in map(str, sys_tags())


def test_what_was_asked_for_is_kept_until_something_else_is(tmp_path, capsys):
    file = tmp_path / "torch.txt"
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# a == b\nabc==1; python_version=='3'\ntorch==2.15.0\ntorchvision==0.29.2\n")
    assert asked_before(file) == ""
    with serving(wheels("2.15.0+cpu", "0.29.2+cpu")) as index:
        command = [str(file), "--constraints", str(constraints), "--index", index.url]
        assert choose_torch.main([*command, "--torch", "cpu"], LINUX) == 0
        kept = file.read_text("utf-8")
        assert choose_torch.main(command, replace(LINUX, driver="/dev/nvidia0")) == 0
    address, *pair = kept.splitlines()[1:]
    assert (address, pair) == (f"--extra-index-url {index.url}", ["torch==2.15.0+cpu", "torchvision==0.29.2+cpu"])
    assert file.read_text("utf-8") == kept and asked_before(file) == "cpu"
    assert capsys.readouterr().out.count("because TORCH=cpu asks for it.\n") == 2
    # What is refused is not kept.
    assert choose_torch.main([*command, "--torch", "gpu"], LINUX) == 1
    assert file.read_text("utf-8") == kept
    assert capsys.readouterr().err.startswith("make: TORCH=gpu is not known")
    assert choose_torch.main([*command, "--torch", "default"], LINUX) == 0
    assert file.read_text("utf-8") == "# TORCH=default\ntorch\ntorchvision\n"


# --- the check after the install ------------------------------------------------------------------------------------


def package(folder, operator):
    """A torch and a torchvision of a few lines below `folder`."""
    for name, text in pair_of_modules(operator).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pair_of_modules(operator, cuda=None):
    return {
        "torch/__init__.py": "from torch import version\n\n\ndef tensor(values):\n    return values\n",
        "torch/version.py": f"cuda = {cuda!r}\n",
        "torchvision/__init__.py": "",
        "torchvision/ops.py": f"class Kept(list):\n    tolist = list.copy\n\n\ndef nms(*arguments):\n    {operator}\n",
    }


WORKS = "return Kept([1])"


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "RuntimeError: operator torchvision"),
        ("return Kept([0])", "AssertionError: nms kept [0]"),
        ("import os; os.kill(os.getpid(), 11)", "Python ended with status -11"),
    ],
)
def test_a_pair_that_does_not_work_is_found_with_the_cure(operator, said, tmp_path, monkeypatch):
    package(tmp_path, operator)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    complaint = check_torch.complaint("", cpu=True)
    assert f" do not work together: {said}" in complaint and complaint.count("\n") == 0
    assert complaint.endswith(". To take the pair of the package index: make clean lab TORCH=default")
    assert " To install both anew: make clean lab. " in check_torch.complaint("default", cpu=False)


def test_a_pair_that_works_is_passed_over_in_silence(tmp_path, monkeypatch, capsys):
    package(tmp_path, WORKS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "torch.txt").write_text("# TORCH=\ntorch\ntorchvision\n")
    assert check_torch.main(str(tmp_path / "torch.txt")) == 0
    assert capsys.readouterr() == ("", "")
    (tmp_path / "torch.txt").write_text("# TORCH=cuda\ntorch\ntorchvision\n")
    assert check_torch.main(str(tmp_path / "torch.txt")) == 1
    assert "make: TORCH=cuda: the package index has no CUDA build for this machine" in capsys.readouterr().err
    (tmp_path / "torch" / "version.py").write_text("cuda = '13.0'\n")
    assert check_torch.main(str(tmp_path / "torch.txt")) == 0


def test_torchvision_itself_keeps_the_box_that_the_check_expects(capsys):
    exec(check_torch.OPERATOR, {})
    assert capsys.readouterr().out in ("no CUDA\n", f"{torch.version.cuda}\n")


# --- make, with packages and indexes of a few lines -----------------------------------------------------------------

BACKEND = '''
"""Lays a tree as an editable package, with nothing that would have to be fetched."""
import zipfile


def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/course-1-py3-none-any.whl", "w") as wheel:
        info = "Name: course\\nVersion: 1\\nProvides-Extra: test\\nProvides-Extra: site\\n"
        info += "Requires-Dist: torch>=2.11\\nRequires-Dist: torchvision\\n"
        wheel.writestr("course-1.dist-info/METADATA", f"Metadata-Version: 2.1\\n{info}")
        wheel.writestr("course-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("course-1.dist-info/RECORD", "")
    return "course-1-py3-none-any.whl"
'''
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def stand_in(name, version, operator=WORKS):
    """A wheel for this machine, as its file name and its bytes; torchvision wants a torch, and not which."""
    machine = choose_torch.this_machine()
    tags = f"{machine.python}-{machine.platform.replace('-', '_').replace('.', '_')}"
    info = f"{name}-{version}.dist-info"
    modules = {file: text for file, text in pair_of_modules(operator).items() if file.startswith(f"{name}/")}
    modules[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        "Requires-Dist: torch>=2.11\n" if name == "torchvision" else ""
    )
    modules[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n"
    modules[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*modules, f"{info}/RECORD"])
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as wheel:
        for file, text in modules.items():
            wheel.writestr(file, text)
    return f"{name}-{version}-{tags}.whl", held.getvalue()


def stand_ins(*versions, **settings):
    return dict(stand_in(PAIR[n % 2], version, **settings) for n, version in enumerate(versions))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment with pip, which is copied: to let ensurepip build one takes ten times as long."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    shutil.copytree(Path(pip.__file__).parent, site / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def course(bare, tmp_path):
    """A tree with our Makefile and tools, and a package that needs torch and torchvision only."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    if sys.platform != "linux" or nvidia_driver():
        pytest.skip("CPU builds are chosen on Linux without an NVIDIA driver")
    tree = tmp_path / "tree"
    (tree / "tools").mkdir(parents=True)
    for name in ("Makefile", "tools/choose_torch.py", "tools/check_torch.py", "tools/jupyterlab_settings.json"):
        shutil.copy(ROOT / name, tree / name)
    (tree / "tools" / "my_course.py").write_text('print("JupyterLab opens")\n')
    (tree / "backend.py").write_text(BACKEND)
    (tree / "pyproject.toml").write_text(f'{PYPROJECT}[project]\nname = "course"\nversion = "1"\n')
    (tree / "constraints.txt").write_text("torch==2.15.0\ntorchvision==0.29.2\n")
    shutil.copytree(bare, tree / ".venv", symlinks=True)
    # Another place that pip has been told to look in, with CPU builds that nobody asked for.
    (tree / "links").mkdir()
    for file, held in stand_ins("2.13.0+cpu", "0.28.0+cpu", "2.99.0+cpu").items():
        (tree / "links" / file).write_bytes(held)
    return tree


class Course:
    """`make` in a tree, with a package index and PyTorch's index of CPU builds, both stand-ins."""

    def __init__(self, tree, packages, cpu):
        self.tree, self.packages, self.cpu = tree, packages, cpu

    def make(self, *arguments):
        environment = {**os.environ, "PIP_INDEX_URL": self.packages.url, "PIP_FIND_LINKS": str(self.tree / "links")}
        command = ["make", f"TORCH_INDEX={self.cpu.url}", f"PYTHON={sys._base_executable}", *arguments]
        return subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, timeout=250)

    def pair(self):
        found = self.tree.glob(".venv/lib/*/site-packages/torch*.dist-info")
        return sorted(path.name.removesuffix(".dist-info") for path in found)

    def stamps(self):
        return sorted(path.name for path in self.tree.glob(".venv/installed-*"))


@contextmanager
def making(tree, cpu):
    with serving(stand_ins("2.15.0", "0.29.2", "2.17.0", "0.31.0")) as packages, serving(cpu) as index:
        yield Course(tree, packages, index)


def test_make_takes_the_pair_from_pytorchs_index_and_keeps_it(course):
    with making(course, stand_ins("2.15.0+cpu", "0.29.2+cpu", "2.16.0+cpu", "0.30.0+cpu")) as here:
        built = here.make("lab")
        assert built.returncode == 0, built.stderr
        assert "PyTorch: its CPU build (torch 2.15.0+cpu, torchvision 0.29.2+cpu), because there is no" in built.stdout
        assert built.stdout.endswith("\nJupyterLab opens\n")
        pair = ["torch-2.15.0+cpu", "torchvision-0.29.2+cpu"]
        assert (here.pair(), here.stamps()) == (pair, ["installed-tested"])

        here.cpu.how = "404"  # all of what follows goes without that index
        assert here.make("lab").stdout == "JupyterLab opens\n"
        more = here.make(".venv/installed-tested-site")
        assert (more.returncode, here.pair()) == (0, pair), more.stderr
        (course / "pyproject.toml").touch()
        again = here.make("lab", "TORCH=cpu")
        assert "because the environment has it already." in again.stdout and here.pair() == pair, again.stderr
        assert here.make("lab", "TORCH=cpu").stdout == "JupyterLab opens\n"
        other = here.make("lab", "TORCH=cuda")
        assert other.returncode and other.stderr.startswith("make: TORCH=cuda: the environment has another build, t")
        assert " To build it anew: make clean lab TORCH=cuda\n" in other.stderr
        assert (here.pair(), here.stamps()) == (pair, ["installed-tested"])


def test_make_without_constraints_takes_the_newest_pair_of_that_index(course):
    with making(course, stand_ins("2.15.0+cpu", "0.29.2+cpu", "2.16.0+cpu", "0.30.0+cpu")) as here:
        built = here.make("lab", "CONSTRAINTS=")
        assert built.returncode == 0, built.stderr
        assert here.pair() == ["torch-2.16.0+cpu", "torchvision-0.30.0+cpu"]


@pytest.mark.soak
def test_make_takes_the_package_indexs_where_pytorchs_does_not_answer(course):
    with making(course, stand_ins("2.15.0+cpu", "0.29.2+cpu")) as here:
        here.cpu.how = "404"
        refused = here.make("lab", "TORCH=cpu")
        assert refused.returncode and "does not answer (HTTP Error 404: Not Found). TORCH=default" in refused.stderr
        assert (here.pair(), here.stamps()) == ([], [])
        built = here.make("lab")
        assert built.returncode == 0, built.stderr
        assert "PyTorch: the build of the package index, because PyTorch's index of CPU builds, 127" in built.stdout
        pair = ["torch-2.15.0", "torchvision-0.29.2"]
        assert here.pair() == pair
        here.cpu.how = ""  # that it answers now changes nothing
        (course / "constraints.txt").touch()
        assert "because the environment has it already, torch 2.15.0." in here.make("lab").stdout
        assert here.pair() == pair


@pytest.mark.soak
def test_make_finds_a_pair_that_does_not_work_and_its_cure_cures(course):
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    with making(course, stand_ins("2.15.0+cpu", "0.29.2+cpu", operator=broken)) as here:
        built = here.make("lab")
        assert built.returncode and "JupyterLab" not in built.stdout and here.stamps() == []
        wrong, _, cure = built.stderr.splitlines()[0].partition(" To take the pair of the package index: make ")
        assert wrong == (
            "make: torch 2.15.0+cpu and torchvision 0.29.2+cpu do not work together: "
            "RuntimeError: operator torchvision::nms does not exist."
        )
        cured = here.make(*cure.split())
        assert cured.returncode == 0, cured.stderr
        assert "PyTorch: the build of the package index, because TORCH=default asks for it.\n" in cured.stdout
        assert cured.stdout.endswith("\nJupyterLab opens\n")
        assert here.pair() == ["torch-2.15.0", "torchvision-0.29.2"]
