"""`load(name)`: the one door to every data set."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence

from vae_helpers import checking
from vae_helpers.data.dataset import Dataset
from vae_helpers.data.digits import load_digits
from vae_helpers.data.faces import load_faces
from vae_helpers.data.folder import load_folder
from vae_helpers.data.photos import load_photos
from vae_helpers.data.scenes import load_scenes
from vae_helpers.data.shapes import load_shapes
from vae_helpers.data.torchvision_sets import SOURCES, load_torchvision

BUILT_IN = {
    "digits": load_digits,
    "faces": load_faces,
    "photos": load_photos,
    "scenes": load_scenes,
    "shapes": load_shapes,
}
DATA_SETS = (*BUILT_IN, *SOURCES, "folder")
ARGUMENTS = {
    "digits": ("size",),
    "faces": ("size", "style", "n", "styles", "per_style"),
    "photos": ("size", "colour", "n"),
    "scenes": ("size", "kind", "unseen", "n"),
    "shapes": ("size", "n"),
    **dict.fromkeys(SOURCES, ("size", "root", "download")),
    "folder": ("root", "size", "fit", "colour", "background", "split_by"),
}


def load(
    name: str,
    root: str | os.PathLike | None = None,
    *,
    size: int | None = None,
    download: bool = False,
    style: str | None = None,
    kind: str | None = None,
    unseen: Sequence[str] | None = None,
    n: int | None = None,
    styles: int | None = None,
    per_style: int | None = None,
    colour: bool | None = None,
    fit: str | None = None,
    background: int | tuple[int, int, int] | None = None,
    split_by: str | None = None,
) -> Dataset:
    """Load a data set by name, with disjoint train, validation and test splits.

    Args:
        name: "digits", "faces", "photos", "scenes" or "shapes" (they need no files), or one that torchvision reads:
            "mnist", "fashion-mnist", "kmnist", "cifar10"; or "folder" for pictures of your own, whatever they are:
            load("folder", "my_pictures"). `vae_helpers.data.folder.load_folder` says how those are treated.
        root: of "folder", the folder of your pictures. Of the others, the folder that torchvision's files are in
            or go to; by default the environment variable VAE_HELPERS_DATA, or else ./data.
        size: pixels of a side. Faces, scenes and shapes are drawn and photos cut at this size (64 unless told; 32 to
            256, for photos 8 to 256); your own pictures are brought to it (64 unless told; 8 to 1024); the others are
            resized to it, or stay as they are with None.
        download: fetch torchvision's missing files (never done unless asked for).
        style: of the faces, "flat" unless told; `vae_helpers.rendering.faces.STYLES` lists them.
        kind: of the scenes, "plain" unless told, "textured" or "transparent".
        unseen: of the scenes, shapes that the test split alone shows, such as ("star", "heart"); none unless told.
        n: training images of faces or scenes (10,000 unless told) or photos (2,000 unless told); training objects of
            shapes (1,000 unless told), each in four pictures.
        styles: number of sets of faces to train with, each in a style of its own (`vae_helpers.data.faces`).
        per_style: faces in a set (16 unless told).
        colour: False for photos in grey, more of them, or for your own pictures in grey; True unless told.
        fit: of your own pictures: "crop" for their middle square (unless told), "pad" for all of them.
        background: of your own pictures: grey or (red, green, blue) behind what is transparent or padded; 255, white,
            unless told.
        split_by: of your own pictures: "folder" to have all pictures of a sub-folder in one split; "picture" unless
            told.
    Returns:
        a Dataset; images are `uint8` (N, C, H, W).
    Raises:
        ValueError: unknown name (the message lists the names), a value out of its domain, or an argument that
            this data set does not use.
        TypeError: a root that is no path.
        FileNotFoundError: files missing; the message says what was tried and what to do.
    """
    if not isinstance(name, str) or name not in DATA_SETS:
        guess = difflib.get_close_matches(str(name).lower().replace("_", "-"), DATA_SETS, n=1)
        hint = f" Did you mean {guess[0]!r}?" if guess else ""
        if isinstance(name, str) and os.path.isdir(name):
            hint = f" For the pictures in that folder: load('folder', {name!r})."
        raise ValueError(f"there is no data set of the name {name!r}.{hint} The names are: {', '.join(DATA_SETS)}.")
    if root is not None and not isinstance(root, (str, os.PathLike)):
        hint = f" If you mean pixels: size={root}." if checking.is_integer(root) else ""
        raise TypeError(f"root must be the path of a folder, not {root!r}.{hint}")
    asked = {
        "size": None if size is None else checking.integer(size, "size", cure="It counts pixels."),
        "root": root,
        "download": checking.flag(download, "download") or None,
        "style": style,
        "kind": kind,
        "unseen": unseen,
        "n": n,
        "styles": styles,
        "per_style": per_style,
        "colour": colour,
        "fit": fit,
        "background": background,
        "split_by": split_by,
    }
    given = {argument: value for argument, value in asked.items() if value is not None}
    for argument, value in given.items():
        if argument not in ARGUMENTS[name]:
            users = ", ".join(user for user in DATA_SETS if argument in ARGUMENTS[user])
            raise ValueError(
                f"{name} does not use {argument}={value!r}: leave it out. "
                f"{name} takes {', '.join(ARGUMENTS[name])}; {argument} is for {users}."
            )
    if name in BUILT_IN:
        return BUILT_IN[name](**given)
    if name == "folder":
        return load_folder(**given)
    return load_torchvision(name, **given)
