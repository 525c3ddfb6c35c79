"""Fill my_course/ with the notebooks that are not there yet and open JupyterLab in it: `make lab`.

A learner's copy is never overwritten, so work that is done stays done when the course moves on.
Arguments are handed to JupyterLab.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = "00_start_here.ipynb"


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
            shutil.copyfile(source / name, unfinished)
            unfinished.replace(target / name)
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
    folder = ROOT / "my_course"
    copied = fill(ROOT / "notebooks", folder)
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
