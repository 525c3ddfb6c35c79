"""`load(name)`: the one door to every data set."""

from __future__ import annotations

import difflib
import os

from vae_helpers.data.dataset import Dataset
from vae_helpers.data.digits import load_digits
from vae_helpers.data.torchvision_sets import SOURCES, load_torchvision

NAMES = ("digits", *SOURCES)


def load(name: str, size: int | None = None, root: str | os.PathLike | None = None, download: bool = False) -> Dataset:
    """Load a data set by name, with disjoint train, validation and test splits.

    Args:
        name: "digits" (built in, needs no files), or one that torchvision reads: "mnist", "fashion-mnist",
            "kmnist", "cifar10".
        size: resize to size x size pixels; None leaves the images as they are.
        root: the folder that torchvision's files are in or go to. By default the environment variable
            VAE_HELPERS_DATA, or else ./data. "digits" does not need it.
        download: fetch missing files (never done unless asked for).
    Returns:
        a Dataset; images are `uint8` (N, C, H, W).
    Raises:
        ValueError: unknown name (the message lists the names), or a size below 1.
        FileNotFoundError: files missing; the message says what was tried and what to do.
    """
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"size must be a whole number of pixels of at least 1, or None, not {size!r}.")
    if name == "digits":
        return load_digits(size)
    if name in SOURCES:
        return load_torchvision(name, size, root, download)
    guess = difflib.get_close_matches(str(name).lower().replace("_", "-"), NAMES, n=1)
    hint = f" Did you mean {guess[0]!r}?" if guess else ""
    raise ValueError(f"there is no data set {name!r}.{hint} The names are: {', '.join(NAMES)}.")
