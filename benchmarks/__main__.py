"""Measure again what docs/performance.md says: all of it, or the sections that are named.

    python -m benchmarks [FOLDER] [--only mlp_epoch busy_core]        `make bench DATA=FOLDER` does the same

FOLDER holds MNIST as torchvision keeps it; without it a stand-in is used, and the tables say so. Close other programs
first: a benchmark gives up where others hold the cores. All of it takes the better part of an hour.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
SECTIONS = {
    "mlp_epoch": "An epoch of a small VAE",
    "time_to_quality": "Time to quality",
    "likelihood_speed": "Importance-weighted likelihood",
    "peak": "Share of the machine's peak",
    "scaling": "Growth of the cost",
    "busy_core": "Beside a busy core",
    "folder_scale": "A folder of pictures",
    "gpu": "On a GPU",
}


def with_section(page: str, heading: str, text: str) -> str:
    """The page with this text under this heading, replacing what stood there, or at the end."""
    section = f"## {heading}\n\n{text.strip()}\n"
    found = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if found.search(page):
        return found.sub(lambda _: section + "\n", page).rstrip() + "\n"
    return f"{page.rstrip()}\n\n{section}"


def main() -> None:
    """Measure section by section; each is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="NAME")
    args = parser.parse_args()
    folder = [] if args.folder is None else [args.folder]
    for name in args.only:
        command = [sys.executable, "-m", f"benchmarks.{name}", *folder]  # each chooses its own number of threads
        measured = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True).stdout
        text = f"`python -m benchmarks.{name}`. {measured}"
        PAGE.write_text(with_section(PAGE.read_text("utf-8"), SECTIONS[name], text), "utf-8")
        print(text, flush=True)


if __name__ == "__main__":
    main()
