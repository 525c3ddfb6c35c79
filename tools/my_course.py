"""Fill my_course/ with the course's notebooks, bring it up to date, and open JupyterLab in it: `make lab`.

What a learner has written is never touched. A notebook that is not there yet is copied. One whose cells are still
those of the course is replaced when the course has a newer version; running it, which changes its outputs, is not
editing. Beside one that was edited, a newer version is laid as NAME.newer.ipynb: in the same folder, so that progress,
links and saved figures are the same. The record of what was copied, my_course/.copied.json, may be lost or damaged:
what is not known to be untouched counts as edited.

Where the checkout cannot be written, as one that a class shares, the copy is kept in the home folder. Arguments are
handed to JupyterLab.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # whether the package is installed is for JupyterLab's kernels to find out

from vae_helpers.exercises.notebook_digest import digest  # noqa: E402
from vae_helpers.writing import write_whole  # noqa: E402

FIRST = "00_start_here.ipynb"
RECORD = ".copied.json"


@dataclass
class Filled:
    """What happened to the notebooks of a learner's copy, by name."""

    copied: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)  # not edited, and out of date
    beside: list[str] = field(default_factory=list)  # newer versions of edited ones
    failed: list[str] = field(default_factory=list)  # with the reason

    def __str__(self) -> str:
        """A line for each kind of thing that happened."""
        lines = {
            "New in my_course/:": self.copied,
            "Brought up to date, for you had changed nothing in them:": self.replaced,
            "Yours are edited and stay as they are; newer versions lie beside them:": self.beside,
            "Could not be written:": self.failed,
        }
        said = [f"{what} {', '.join(names)}" for what, names in lines.items() if names]
        if self.beside:
            said.append("To go over to a newer version, rename or delete yours and start again.")
        return "\n".join(said)


def home_folder() -> tuple[Path, bool]:
    """The home folder; a new temporary one, and True, where there is none that can be written."""
    with contextlib.suppress(RuntimeError):  # this user has none
        if os.access(Path.home(), os.W_OK):
            return Path.home(), False
    return Path(tempfile.mkdtemp(prefix="vae_course_")), True


def course_folder(root: Path, home: Path) -> Path:
    """Where the learner's copy is kept: in the checkout, or in the home folder if the checkout cannot be written."""
    folder = root / "my_course"
    return folder if os.access(folder if folder.exists() else root, os.W_OK) else home / folder.name


def fill(source: Path, target: Path) -> Filled:
    """Bring the notebooks of `source` into `target` without touching what was edited there.

    A notebook that cannot be written, as on a full disk, is named in the result, and the others go on.

    Raises:
        FileNotFoundError: there is no notebook in `source`.
        OSError: `target` cannot be made.
    """
    paths = sorted(source.glob("*.ipynb"))
    if not paths:
        raise FileNotFoundError(f"there are no notebooks in {source}; is this a whole copy of the course?")
    target.mkdir(exist_ok=True)
    known = read_record(target)
    result = Filled()
    for path in paths:
        try:
            bring(path, target, known, result)
        except OSError as error:
            result.failed.append(f"{path.name} ({error.strerror})")
    with contextlib.suppress(OSError):  # then all are compared again next time
        write_whole(target / RECORD, (json.dumps(known, indent=1) + "\n").encode())
    return result


def bring(path: Path, target: Path, known: dict[str, str], result: Filled) -> None:
    """Bring one notebook into `target`, and note in `known` which version the learner has, or was told of."""
    name, content = path.name, path.read_bytes()
    course, before, mine = digest(content), known.get(name), digest_of_copy(target / name)
    if mine is None or mine in (course, before):
        if mine != course:
            write_whole(target / name, content)
            (result.replaced if mine else result.copied).append(name)
        known[name] = course
    elif course != before:
        result.beside.append(lay_beside(target / name, content, known))
        known.setdefault(name, course)  # there is no telling whether this one is newer: say so once


def lay_beside(copy: Path, content: bytes, known: dict[str, str]) -> str:
    """Write a newer version beside an edited copy and return its name; one in which the learner works stays too."""
    for number in itertools.count(1):
        path = copy.with_name(f"{copy.stem}.newer{f'-{number}' if number > 1 else ''}.ipynb")
        there, course = digest_of_copy(path), digest(content)
        if there is None or there in (course, known.get(path.name)):
            if there != course:
                write_whole(path, content)
            known[path.name] = course
            return path.name


def digest_of_copy(path: Path) -> str | None:
    """The digest of a learner's file; None if nothing is there, "" for what is no plain notebook, such as a link."""
    if not os.path.lexists(path):
        return None
    return digest(path.read_bytes()) if path.is_file() and not path.is_symlink() else ""


def read_record(folder: Path) -> dict[str, str]:
    """File name -> digest of the version that was copied there; empty if there is no record, or a damaged one."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        return {name: version for name, version in record.items() if isinstance(version, str) and version}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def screen(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser can be opened here: on Linux that takes a display, elsewhere there is one."""
    return not platform.startswith("linux") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def lab_command(folder: Path, arguments: list[str], has_screen: bool, as_root: bool) -> list[str]:
    """The command that opens JupyterLab on the first notebook of `folder`."""
    # The address that is printed leads to the notebook, as the browser that is opened does.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    command += [f"--LabApp.default_url=/lab/tree/{FIRST}"]
    command += [] if has_screen else ["--no-browser"]
    command += ["--allow-root"] if as_root else []
    return command + arguments


def main(arguments: list[str]) -> int:
    """Bring my_course/ up to date, say what changed, and open JupyterLab."""
    home, passing = home_folder()
    folder = course_folder(ROOT, home)
    if folder.parent != ROOT:
        print(f"The course's folder cannot be written here: your notebooks are kept in {folder}.")
    if passing:
        print(f"There is no home folder that can be written: {home} serves for this session. Download what is to last.")
        os.environ["HOME"] = str(home)  # for what JupyterLab, its kernels and matplotlib keep
    try:
        result = fill(ROOT / "notebooks", folder)
    except OSError as error:
        print(f"The notebooks could not be copied: {error}", file=sys.stderr)
        return 1
    if not any(folder.glob("*.ipynb")):
        print(result, file=sys.stderr)
        return 1
    print(str(result) or "my_course/ has every notebook already.")
    has_screen = screen(os.environ, sys.platform)
    if not has_screen:
        print("There is no screen here: open the address that JupyterLab prints below in a browser.")
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    sys.stdout.flush()
    try:
        return subprocess.run(lab_command(folder, arguments, has_screen, as_root), check=False).returncode
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
