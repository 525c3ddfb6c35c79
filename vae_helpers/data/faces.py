"""Drawn portraits with the factors that they were drawn from."""

from __future__ import annotations

import torch

from vae_helpers import checking
from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.rendering import faces, styles

UNLESS_TOLD = 10_000  # training portraits
SIZES = {"train": UNLESS_TOLD, "validation": 1_000, "test": 2_000}
SEEDS = {"train": 2001, "validation": 2002, "test": 2003}  # of `faces.sample`; learners' own are 0, 1, 2 ...
FIRST = {"validation": 0, "test": 10_000, "train": 20_000}  # index; train has no upper end
GLASSES = faces.index("glasses")
STYLE_SEEDS = {"train": 2011, "validation": 2012, "test": 2013}  # of `styles.sample`
PER_STYLE = 16
ABOUT_SETS = "Sets of them share a style, which is uniform and independent of who is shown."
ABOUT = (
    "Portraits of nobody, drawn by vae_helpers.rendering.faces from fourteen factors, which are uniform and "
    "independent, as those of photographs are not. Licence: that of the code."
)


def load_faces(
    size: int = 64,
    style: str = "flat",
    n: int = UNLESS_TOLD,
    styles: int | None = None,
    per_style: int = PER_STYLE,
) -> Dataset:
    """Portraits with known factors; the label says whether there are glasses.

    With `styles`, sets of portraits in one style each, a set after the other, and the label is the number of the set:
    `images.unflatten(0, (-1, per_style))` has a row for each. No style occurs in two splits, and no person in two sets.
    The columns of the factors are those of the portrait, then those of its style (`vae_helpers.rendering.styles`).

    Every size and style shows the same portraits. Drawing takes some seconds.

    Args:
        size: pixels of a side, 32 to 256.
        style: one of `vae_helpers.rendering.faces.STYLES`.
        n: training portraits; those of a smaller n are the first of a larger one. Validation and test have
            always 1,000 and 2,000.
        styles: how many sets to train with, of `per_style` portraits each, in place of `style` and `n`. Validation and
            test have as many whole sets as 1,000 and 2,000 portraits make.
        per_style: portraits of a set, at most 1,000.
    Raises:
        ValueError: an argument out of its domain.
    """
    if styles is None and per_style != PER_STYLE:
        raise ValueError(
            f"per_style = {per_style} says how many portraits share a style: give the number of styles too."
        )
    if styles is not None and (style != "flat" or n != UNLESS_TOLD):
        raise ValueError("sets have styles of their own, and styles * per_style portraits: leave out style and n.")
    if styles is not None:
        return _load_sets(size, checking.integer(styles, "styles"), checking.integer(per_style, "per_style", 1, 1000))
    counts = {**SIZES, "train": n}
    drawn = {part: faces.sample(count, SEEDS[part]) for part, count in counts.items()}
    splits = {}
    for part, factors in drawn.items():
        labels, index = factors[:, GLASSES].long(), FIRST[part] + torch.arange(len(factors))
        splits[part] = Split(faces.render(factors, size, style), labels, index, factors)
    classes = ("without glasses", "with glasses")
    return Dataset("faces", **splits, levels=256, classes=classes, about=ABOUT, factor_names=faces.NAMES)


def _load_sets(size: int, styles_to_train: int, per_style: int) -> Dataset:
    """Sets of portraits in one style each."""
    held_out = {part: SIZES[part] // per_style for part in ("validation", "test")}
    splits = {}
    for part, count in {"train": styles_to_train, **held_out}.items():
        people = faces.sample(count * per_style, SEEDS[part])
        style = styles.sample(count, STYLE_SEEDS[part]).repeat_interleave(per_style, 0)
        labels, index = torch.arange(count).repeat_interleave(per_style), FIRST[part] + torch.arange(len(people))
        splits[part] = Split(faces.render(people, size, style), labels, index, torch.cat([people, style], 1))
    names = (*faces.NAMES, *styles.NAMES)
    return Dataset("faces", **splits, levels=256, classes=(), about=f"{ABOUT} {ABOUT_SETS}", factor_names=names)
