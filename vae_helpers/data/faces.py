"""Drawn portraits with the factors that they were drawn from."""

from __future__ import annotations

import torch

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.rendering import faces

SIZES = {"train": 10_000, "validation": 1_000, "test": 2_000}
SEEDS = {"train": 2001, "validation": 2002, "test": 2003}  # of `faces.sample`; learners' own are 0, 1, 2 ...
FIRST = {"validation": 0, "test": 10_000, "train": 20_000}  # index; train has no upper end
GLASSES = faces.index("glasses")
ABOUT = (
    "Portraits of nobody, drawn by vae_helpers.rendering.faces from fourteen factors, which are uniform and "
    "independent, as those of photographs are not. Licence: that of the code."
)


def load_faces(size: int = 64, style: str = "flat", n: int = SIZES["train"]) -> Dataset:
    """Portraits with known factors; the label says whether there are glasses.

    Every size and style shows the same portraits. Drawing takes some seconds.

    Args:
        size: pixels of a side, 32 to 256.
        style: one of `vae_helpers.rendering.faces.STYLES`.
        n: training portraits; those of a smaller n are the first of a larger one. Validation and test have
            always 1,000 and 2,000.
    Raises:
        ValueError: size, style or n out of its domain.
    """
    counts = {**SIZES, "train": n}
    drawn = {part: faces.sample(count, SEEDS[part]) for part, count in counts.items()}
    splits = {}
    for part, factors in drawn.items():
        labels, index = factors[:, GLASSES].long(), FIRST[part] + torch.arange(len(factors))
        splits[part] = Split(faces.render(factors, size, style), labels, index, factors)
    classes = ("without glasses", "with glasses")
    return Dataset("faces", **splits, levels=256, classes=classes, about=ABOUT, factor_names=faces.NAMES)
