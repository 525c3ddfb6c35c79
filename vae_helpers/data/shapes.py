"""Lit solids, each seen by several cameras in several lights, with the factors that they were drawn from."""

from __future__ import annotations

import torch

from vae_helpers import checking
from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.rendering import shapes

VIEWS = 4  # pictures of each object, one after the other: up to three to look at and one to tell
OBJECTS = {"train": 1_000, "validation": 50, "test": 100}
SEEDS = {"train": 3001, "validation": 3002, "test": 3003}  # of the objects; those of the views are 1000 more
FIRST = {"validation": 0, "test": 10_000, "train": 20_000}  # index, multiples of VIEWS; train has no upper end
ABOUT = (
    "Mugs, chairs, birds and houses, drawn by vae_helpers.rendering.shapes from twelve factors, which are uniform and "
    "independent. Each object is seen four times, by another camera in another light: its pictures follow each other. "
    "Splits share no object. Licence: that of the code."
)


def load_shapes(size: int = 64, n: int = OBJECTS["train"]) -> Dataset:
    """Solids with known factors, each seen four times; the label says which kind it is.

    The four pictures of an object are consecutive rows: `images.unflatten(0, (-1, 4))` has an object in each row, and
    `index // 4` is the object's number. They share the factors `shapes.OBJECT`; camera and lamp (`shapes.VIEW`) are
    drawn anew for each picture. Every size shows the same objects. Drawing the 4,600 pictures of 64 pixels takes
    about 20 seconds on one thread, a quarter of that at 32.

    Args:
        size: pixels of a side, 32 to 256.
        n: training objects; those of a smaller n are the first of a larger one. Validation and test have always
            50 and 100.
    Raises:
        ValueError: size or n out of its domain.
    """
    counts = {**OBJECTS, "train": checking.integer(n, "n", cure="It counts objects.")}
    splits = {}
    for part, count in counts.items():
        factors = shapes.with_views(shapes.sample(count, SEEDS[part]), VIEWS, SEEDS[part] + 1000)
        labels, index = factors[:, 0].long(), FIRST[part] + torch.arange(len(factors))
        splits[part] = Split(shapes.render(factors, size), labels, index, factors)
    return Dataset("shapes", **splits, levels=256, classes=shapes.KINDS, about=ABOUT, factor_names=shapes.NAMES)
