"""Choose the build of PyTorch that `make` installs, and write it down for pip: PyTorch's CPU build, or the index's own.

    python tools/choose_torch.py .venv/torch.txt [--torch cpu|cuda|default] [--constraints FILE] [--index URL]

On Linux the build of the package index brings gigabytes of CUDA libraries, of no use without an NVIDIA GPU. There the
CPU build is chosen if PyTorch's own index answers within seconds and lists both torch and torchvision in the versions
that the constraints name, or else its newest, for this Python and processor. Otherwise it is the package index's. One
line says what was chosen and why.

The file is a list of requirements. A CPU build is asked for with its suffix, `torch==2.15.0+cpu`, so that no other
place that pip has been told to look in can give another. The file's first line keeps what was asked for, which stays
in force when the environment is brought up to date, until it is removed. Only the standard library is needed, and the
Python has to be that of the environment, for what it has installed decides too.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

PAIR = ("torch", "torchvision")
ASKED = ("cpu", "cuda", "default")
INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS_TO_ANSWER = 5.0
SECONDS_FOR_A_PAGE = 30.0  # a slow line needs the small build most


class Refused(Exception):
    """What was asked for cannot be had; the message says what can be done."""


class NoBuild(Exception):
    """The CPU index does not have the builds; the message is a clause that says why."""


@dataclass(frozen=True)
class Machine:
    """What the choice depends on."""

    platform: str  # as sysconfig names it, linux-x86_64
    python: str  # the tags of its Python in the name of a wheel, cp311-cp311
    driver: str = ""  # what shows that there is an NVIDIA driver
    setting: str = ""  # the variable that leads pip to an index of PyTorch's
    installed: Mapping[str, str] = field(default_factory=dict)  # the versions that the environment has of the pair

    @property
    def other_build(self) -> str:
        """The environment's torch if that is no CPU build of PyTorch's index, else ""."""
        version = self.installed.get("torch", "")
        return "" if version.endswith("+cpu") else version


@dataclass(frozen=True)
class Choice:
    """Lines for pip, and what they are and why, for a reader."""

    lines: tuple[str, ...]
    because: str

    def __str__(self) -> str:
        """The one line that `make` prints."""
        exact = [line.replace("==", " ") for line in self.lines if "==" in line]
        what = f"its CPU build ({', '.join(exact)})" if exact else "the build of the package index"
        return f"PyTorch: {what}, because {self.because}."


# --- the machine ----------------------------------------------------------------------------------------------------


def this_machine() -> Machine:
    """The machine and the environment that this Python belongs to."""
    number = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return Machine(
        sysconfig.get_platform(),
        f"{number}-{number}{getattr(sys, 'abiflags', '')}",
        nvidia_driver(),
        index_setting(os.environ),
        installed(),
    )


def nvidia_driver(root: Path = Path("/")) -> str:
    """What shows that there is an NVIDIA driver: a file below `root`, or nvidia-smi; "" if nothing does."""
    for pattern in ("proc/driver/nvidia/version", "dev/nvidia[0-9]*"):
        for path in root.glob(pattern):
            return f"/{path.relative_to(root)}"
    for program in (shutil.which("nvidia-smi"), root / "usr/lib/wsl/lib/nvidia-smi"):  # the second is WSL's
        if program and lists_a_gpu(program):
            return f"{program} lists a GPU"
    return ""


def lists_a_gpu(nvidia_smi: str | Path) -> bool:
    """Whether the program runs and names a GPU; one that hangs for 10 s has none."""
    try:
        ran = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return False
    return ran.returncode == 0 and ran.stdout.startswith("GPU ")


def index_setting(environment: Mapping[str, str]) -> str:
    """The variable that leads pip to an index of PyTorch's, such as that of its builds for AMD; "" if none does."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    return next((name for name in names if "pytorch" in environment.get(name, "").lower()), "")


def installed() -> dict[str, str]:
    """The versions that this Python's environment has of the pair."""
    found = {}
    for name in PAIR:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


# --- the index ------------------------------------------------------------------------------------------------------


def fetch(url: str, answer: float = SECONDS_TO_ANSWER, whole: float = SECONDS_FOR_A_PAGE) -> str:
    """A page, if its server begins to answer within `answer` seconds, names and handshakes included.

    Raises:
        OSError: it does not, or the answer is an error, or takes more than `whole` seconds.
    """
    came: queue.SimpleQueue[bool | str | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=whole) as response:
                came.put(True)
                came.put(response.read().decode("utf-8", "replace"))
        except Exception as error:  # urlopen raises more than OSError, and all of it means the same here
            came.put(error)

    # In a thread, because a time limit of a socket covers neither the look-up of a name nor a page that drips.
    threading.Thread(target=work, daemon=True).start()
    for seconds, missing in ((answer, "nothing"), (whole, "not a whole page")):
        try:
            said = came.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"{missing} in {seconds:g} s") from None
        if isinstance(said, Exception):
            raise OSError(said if isinstance(said, HTTPError) else getattr(said, "reason", said)) from said
    return str(said)


def builds(page: str, name: str, machine: Machine) -> Iterator[str]:
    """The versions of a package whose CPU build for this machine is on its page of the index."""
    processor = re.escape(machine.platform.removeprefix("linux-").replace("-", "_"))
    tags = rf"{re.escape(machine.python)}-[\w.]*linux[\w.]*_{processor}"
    return (found[1] for found in re.finditer(rf"\b{name}-(\d+(?:\.\d+)*)\+cpu-{tags}\.whl", unquote(page)))


def cpu_pair(index: str, machine: Machine, pins: Mapping[str, str]) -> tuple[str, ...]:
    """The lines that ask for the CPU builds of both packages, in the versions of `pins` or else the newest.

    Raises:
        NoBuild: the index does not answer, or not with these.
    """
    host = urlsplit(index).hostname or index
    lines = [f"--extra-index-url {index}"]
    for name in PAIR:
        try:
            page = fetch(f"{index.rstrip('/')}/{name}/")
        except OSError as error:
            raise NoBuild(f"PyTorch's index of CPU builds, {host}, does not answer ({error})") from error
        there = set(builds(page, name, machine))
        version = pins.get(name) or max(there, key=release, default="")
        if version not in there:
            raise NoBuild(
                f"{host} has no CPU build of {' '.join([name, version]).strip()} "
                f"for {machine.python.partition('-')[2]} on {machine.platform}"
            )
        lines.append(f"{name}=={version}+cpu")
    return tuple(lines)


def release(version: str) -> tuple[int, ...]:
    """2.15.0 as numbers that compare."""
    return tuple(map(int, version.split(".")))


# --- the choice -----------------------------------------------------------------------------------------------------


def choose(asked: str, machine: Machine, index: str, pins: Mapping[str, str]) -> Choice:
    """The build to install.

    Args:
        asked: "cpu", "cuda", "default", or "" to decide by the machine.
        index: the address of PyTorch's CPU index.
        pins: the versions of the pair that the constraints name; empty for the newest.
    Raises:
        Refused: it is not to be had, or the environment has another build than the one asked for.
    """
    refuse_what_cannot_be(asked, machine)
    if against := against_cpu(asked, machine):
        return Choice(PAIR, against)
    cpu = {name: f"{version}+cpu" for name, version in pins.items()}
    if cpu and machine.installed == cpu:
        return Choice(tuple(f"{name}=={version}" for name, version in cpu.items()), "the environment has it already")
    try:
        lines = cpu_pair(index, machine, pins)
    except NoBuild as reason:
        if asked == "cpu":
            raise Refused(f"TORCH=cpu: {reason}. TORCH=default takes the build of the package index.") from reason
        return Choice(PAIR, f"{reason}; without an NVIDIA GPU the CUDA libraries that it may bring are not used")
    no_driver = "there is no NVIDIA driver here (TORCH=default takes the package index's)"
    return Choice(lines, "TORCH=cpu asks for it" if asked else no_driver)


def refuse_what_cannot_be(asked: str, machine: Machine) -> None:
    """Raise Refused for a word that is none of ours, for CUDA where there is none, and for a second build."""
    if asked and asked not in ASKED:
        raise Refused(f"TORCH={asked} is not known; it is cpu, cuda or default, or left out to let make look.")
    if not machine.platform.startswith("linux-"):
        if asked == "cuda":
            raise Refused(f"TORCH=cuda: the package index has no CUDA build for {machine.platform}; leave TORCH out.")
    elif asked and "torch" in machine.installed and bool(machine.other_build) == (asked == "cpu"):
        raise Refused(
            f"TORCH={asked}: the environment has another build, torch {machine.installed['torch']}. "
            f"To build it anew: make clean lab TORCH={asked}"
        )


def against_cpu(asked: str, machine: Machine) -> str:
    """Why PyTorch's CPU index need not be asked, as a clause; "" if it has to be."""
    if asked in ("cuda", "default"):
        return f"TORCH={asked} asks for it"
    if not machine.platform.startswith("linux-"):
        return f"on {machine.platform} it brings no CUDA libraries"
    if asked == "cpu":
        return ""
    if machine.setting:
        return f"{machine.setting} names an index of PyTorch's, and pip looks there too"
    if machine.other_build:
        return f"the environment has it already, torch {machine.other_build}"
    if machine.driver:
        return f"there is an NVIDIA driver ({machine.driver})"
    return ""


# --- the files ------------------------------------------------------------------------------------------------------


def read_pins(path: Path | None) -> dict[str, str]:
    """The versions of the pair that a file of constraints names exactly; none without a file."""
    if path is None:
        return {}
    return dict(re.findall(rf"^({'|'.join(PAIR)})\s*==\s*(\d+(?:\.\d+)*)", path.read_text("utf-8"), flags=re.MULTILINE))


def asked_before(path: Path) -> str:
    """What an earlier call was asked for, kept in the first line of the file that it wrote."""
    first = path.read_text("utf-8").partition("\n")[0] if path.exists() else ""
    return first.removeprefix("# TORCH=") if first.startswith("# TORCH=") else ""


def main(arguments: list[str] | None = None, machine: Machine | None = None) -> int:
    """Write the file, and print what was chosen and why."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where to write the requirements")
    parser.add_argument("--torch", default="", help="cpu, cuda or default; else what the file keeps, or the machine")
    parser.add_argument("--constraints", default="", help="a file that names the versions; without it, the newest")
    parser.add_argument("--index", default="", help=f"PyTorch's index of CPU builds, {INDEX}")
    given = parser.parse_args(arguments)
    asked = given.torch or asked_before(given.file)
    pins = read_pins(Path(given.constraints) if given.constraints else None)
    try:
        choice = choose(asked, machine or this_machine(), given.index or INDEX, pins)
    except Refused as reason:
        print(f"make: {reason}", file=sys.stderr)
        return 1
    given.file.write_text("\n".join([f"# TORCH={asked}", *choice.lines, ""]), "utf-8")
    print(choice)
    return 0


if __name__ == "__main__":
    sys.exit(main())
