"""The command line of a benchmark."""

from __future__ import annotations

import argparse


def parser(text: str, **options: int | float | bool) -> argparse.ArgumentParser:
    """A parser with the script's own text, an optional FOLDER, and one option for each keyword, with its default."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", nargs="?", help="MNIST as torchvision keeps it; a stand-in is used without it")
    for name, default in options.items():
        if isinstance(default, bool):
            made.add_argument(f"--{name}", action="store_true", default=default)
        else:
            made.add_argument(f"--{name}", type=type(default), default=default)
    return made
