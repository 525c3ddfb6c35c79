"""`load(name)`: the one door to every data set."""

from __future__ import annotations

import difflib
import os

from vae_helpers.data.dataset import Dataset
from vae_helpers.data.digits import load_digits
from vae_helpers.data.faces import load_faces
from vae_helpers.data.photos import load_photos
from vae_helpers.data.torchvision_sets import SOURCES, load_torchvision

BUILT_IN = {"digits": load_digits, "faces": load_faces, "photos": load_photos}
NAMES = (*BUILT_IN, *SOURCES)
ARGUMENTS = {
    "digits": ("size",),
    "faces": ("size", "style", "n"),
    "photos": ("size", "colour", "n"),
    **dict.fromkeys(SOURCES, ("size", "root", "download")),
}


def load(
    name: str,
    size: int | None = None,
    root: str | os.PathLike | None = None,
    download: bool = False,
    style: str | None = None,
    n: int | None = None,
    colour: bool | None = None,
) -> Dataset:
    """Load a data set by name, with disjoint train, validation and test splits.

    Args:
        name: "digits", "faces" or "photos" (they need no files), or one that torchvision reads: "mnist",
            "fashion-mnist", "kmnist", "cifar10".
        size: pixels of a side. Faces are drawn and photos cut at this size (64 unless told; 32 to 256 for faces,
            8 to 256 for photos); the others are resized to it, or stay as they are with None.
        root: the folder that torchvision's files are in or go to. By default the environment variable
            VAE_HELPERS_DATA, or else ./data.
        download: fetch torchvision's missing files (never done unless asked for).
        style: of the faces, "flat" unless told; `vae_helpers.rendering.faces.STYLES` lists them.
        n: training images of faces (10,000 unless told) or photos (2,000 unless told).
        colour: False for photos in grey, more of them; True unless told.
    Returns:
        a Dataset; images are `uint8` (N, C, H, W).
    Raises:
        ValueError: unknown name (the message lists the names), a value out of its domain, or an argument that
            this data set does not use.
        FileNotFoundError: files missing; the message says what was tried and what to do.
    """
    if name not in NAMES:
        guess = difflib.get_close_matches(str(name).lower().replace("_", "-"), NAMES, n=1)
        hint = f" Did you mean {guess[0]!r}?" if guess else ""
        raise ValueError(f"there is no data set {name!r}.{hint} The names are: {', '.join(NAMES)}.")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"size must be a whole number of pixels of at least 1, or None, not {size!r}.")
    asked = {"size": size, "root": root, "download": download or None, "style": style, "n": n, "colour": colour}
    given = {argument: value for argument, value in asked.items() if value is not None}
    for argument, value in given.items():
        if argument not in ARGUMENTS[name]:
            users = ", ".join(user for user in NAMES if argument in ARGUMENTS[user])
            raise ValueError(
                f"{name} does not use {argument}={value!r}: leave it out. "
                f"{name} takes {', '.join(ARGUMENTS[name])}; {argument} is for {users}."
            )
    if name in BUILT_IN:
        return BUILT_IN[name](**given)
    return load_torchvision(name, size, root, download)
