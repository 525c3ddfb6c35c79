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
        ValueError: other numbers of images and sentences, or one that is not understood.
    """
    found, wanted = captions.classes(read_portraits(images)), captions.wanted(sentences).to(images.device)
    if len(wanted) != len(found):
        raise ValueError(f"{len(found)} images and {len(wanted)} sentences do not match.")
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
    """
    checking.shape(images, "images", "(M, K, 3, S, S)", K=2)
    wanted = captions.wanted(sentences).to(images.device)  # (M, 14)
    if len(wanted) != len(images):
        raise ValueError(f"{len(images)} sets of images and {len(wanted)} sentences do not match.")
    factors = read_portraits(images.flatten(0, 1)).unflatten(0, images.shape[:2])  # (M, K, 14)
    spread = factors.var(1) / faces.sample(10_000).var(0).to(images.device)
    return torch.where(wanted < 0, spread, torch.nan).nanmean(1)
