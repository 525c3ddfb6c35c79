"""Drawn scenes of two to four sprites with the factors that they were drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.rendering import scenes

SIZES = {"train": 10_000, "validation": 1_000, "test": 2_000}
SEEDS = {"train": 3001, "validation": 3002, "test": 3003}  # of `scenes.sample`; learners' own are 0, 1, 2 ...
FIRST = {"validation": 0, "test": 10_000, "train": 20_000}  # index; train has no upper end
FEWEST, MOST = 2, scenes.SPRITES  # sprites in a scene
THERE = [scenes.index(f"sprite{k}_there") for k in range(1, scenes.SPRITES + 1)]
ABOUT = (
    "Sprites over soft backgrounds, drawn by vae_helpers.rendering.scenes from known factors, so that layers, order "
    "and what is hidden are known. Licence: that of the code."
)


def load_scenes(size: int = 64, kind: str = "plain", unseen: Sequence[str] = (), n: int = SIZES["train"]) -> Dataset:
    """Scenes with known factors; the label says how many sprites there are, 0 for two to 2 for four.

    Every size shows the same scenes, and so does every kind, without or with textures and transparency.

    Args:
        size: pixels of a side, 32 to 256.
        kind: one of `vae_helpers.rendering.scenes.KINDS`.
        unseen: shapes that no training or validation scene shows, and the sprites of the test split alone; without
            any, all splits show all shapes.
        n: training scenes; those of a smaller n are the first of a larger one. Validation and test have always
            1,000 and 2,000.
    Raises:
        ValueError: an argument out of its domain.
    """
    seen, tested = _shapes(unseen)
    counts = {**SIZES, "train": n}
    splits = {}
    for part, count in counts.items():
        shapes = tested if part == "test" else seen
        factors = scenes.sample(count, SEEDS[part], kind, FEWEST, MOST, shapes)
        labels, index = factors[:, THERE].sum(1).long() - FEWEST, FIRST[part] + torch.arange(len(factors))
        splits[part] = Split(scenes.render(factors, size), labels, index, factors)
    classes = ("two sprites", "three sprites", "four sprites")
    return Dataset("scenes", **splits, levels=256, classes=classes, about=ABOUT, factor_names=scenes.NAMES)


def _shapes(unseen: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The shapes of training and validation, and those of the test."""
    unseen = scenes.check_shapes(unseen, "unseen")
    seen = tuple(shape for shape in scenes.SHAPES if shape not in unseen)
    if not seen:
        raise ValueError(f"unseen must leave a shape to train on, but names all: {', '.join(unseen)}.")
    return seen, unseen or scenes.SHAPES
