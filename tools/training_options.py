"""The options that the tools have in common which train a network for the package to carry."""

from __future__ import annotations

import argparse
from pathlib import Path

from vae_helpers import pretrained


def options(text: str | None, steps: int, to: str, every: int = 1000, **counts: int) -> tuple[argparse.Namespace, dict]:
    """What the command line says.

    Args:
        text: the tool's own, for --help.
        steps: as many as what is shipped took.
        to: the file that is shipped, as `vae_helpers.pretrained` names it.
        every: steps between checkpoints.
        counts: further options that count something, and what is shipped took: portraits=20_000.
    Returns:
        the options; and for `fit`, where the state of training is kept.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps)
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--to", type=Path, default=Path(pretrained.__file__).parent / to)
    parser.add_argument("--checkpoint", type=Path, help="where the state of training is kept")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    args = parser.parse_args()
    return args, {"checkpoint": args.checkpoint, "checkpoint_every": every, "resume": args.resume}
