"""Fill my_course/ with the notebooks that are not there yet and open JupyterLab in it: `make lab`.

A learner's copy is never overwritten, so work that is done stays done when the course moves on. Where the checkout
cannot be written, as one that a class shares, the copy is kept in the home folder. Arguments are handed to JupyterLab.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = "00_start_here.ipynb"


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


def fill(source: Path, target: Path) -> list[str]:
    """Copy each notebook of `source` that is not in `target`; return the names of those copied.

    Raises:
        FileNotFoundError: there is no notebook in `source`.
    """
    names = sorted(path.name for path in source.glob("*.ipynb"))
    if not names:
        raise FileNotFoundError(f"there are no notebooks in {source}; is this a whole copy of the course?")
    target.mkdir(exist_ok=True)
    copied = []
    for name in names:
        if not os.path.lexists(target / name):
            unfinished = target / f".{name}.unfinished"
            try:
                shutil.copyfile(source / name, unfinished)
                unfinished.replace(target / name)
            except OSError:
                unfinished.unlink(missing_ok=True)  # a full disk is not filled further
                raise
            copied.append(name)
    return copied


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
    """Fill my_course/, say what was copied, and open JupyterLab."""
    home, passing = home_folder()
    folder = course_folder(ROOT, home)
    if folder.parent != ROOT:
        print(f"The course's folder cannot be written here: your notebooks are kept in {folder}.")
    if passing:
        print(f"There is no home folder that can be written: {home} serves for this session. Download what is to last.")
        os.environ["HOME"] = str(home)  # for what JupyterLab, its kernels and matplotlib keep
    try:
        copied = fill(ROOT / "notebooks", folder)
    except OSError as error:
        print(f"The notebooks could not be copied: {error}", file=sys.stderr)
        return 1
    print(f"New in my_course/: {', '.join(copied)}" if copied else "my_course/ has every notebook already.")
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
