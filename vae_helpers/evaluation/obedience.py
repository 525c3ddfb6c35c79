"""Does a portrait do what a sentence asks, and what does it do with what the sentence leaves open?

The judge of `vae_helpers.evaluation.reader` reads the factors, the grammar of `vae_helpers.rendering.captions` says to
which words they belong. Real portraits are read right in 96 of 100 cases: the judge errs where two classes meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.evaluation.reader import read_portraits
from vae_helpers.rendering import captions, faces


def obeyed(images: Tensor, sentences: Sequence[str]) -> Tensor:
    """For each portrait and factor: 1 where it does what its sentence asks, 0 where not, NaN where nothing is asked.

    `obeyed(...).nanmean()` is the share of all that was asked, `.nanmean(0)` that of each factor.

    Args:
        images: (N, 3, S, S), see `read_factors`.
        sentences: N of them.
    Returns:
        (N, 14), on the images' device.
    Raises:
        TypeError, ValueError: arguments of another kind, other numbers of images and sentences, or a sentence that is
            not understood.
    """
    checking.shape(images, "images", "(N, 3, S, S)")
    _check_counts(images, sentences, "images")
    wanted = captions.wanted(sentences).to(images.device)
    found = captions.classes(read_portraits(images))
    right = found == wanted
    return torch.where(wanted < 0, torch.nan, right.float())


def freedom(images: Tensor, sentences: Sequence[str]) -> Tensor:
    """How much the portraits of one sentence vary in what it leaves open: 1 as portraits at large do, 0 not at all.

    The variance of each open factor within the set, over that of `faces.sample`, averaged over the open factors.

    Args:
        images: (M, K, 3, S, S), K >= 2 portraits of each sentence.
        sentences: M of them.
    Returns:
        (M,), NaN for a sentence that leaves nothing open; a little above 1 at times, for K portraits are few.
    Raises:
        TypeError, ValueError: as `obeyed`.
    """
    checking.shape(images, "images", "(M, K, 3, S, S)", K=2)
    _check_counts(images, sentences, "sets of images")
    wanted = captions.wanted(sentences).to(images.device)  # (M, 14)
    factors = read_portraits(images.flatten(0, 1)).unflatten(0, images.shape[:2])  # (M, K, 14)
    spread = factors.var(1) / faces.sample(10_000).var(0).to(images.device)
    return torch.where(wanted < 0, spread, torch.nan).nanmean(1)


def _check_counts(images: Tensor, sentences: Sequence[str], what: str) -> None:
    """As many sentences as images, before anything is read."""
    if len(images) != len(captions.check_sentences(sentences)):
        raise ValueError(
            f"{len(images)} {what} and {len(sentences)} sentences do not match: give a sentence for each, "
            "[sentence] * n if it is the same."
        )
