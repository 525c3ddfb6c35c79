"""How well a scene was taken apart: pixels grouped by thing, masks matched to the true ones, and their order.

Each function gives one number for each picture or pair, of which `mean_and_error` takes the mean with its error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking

SMALLEST_AREA = 1e-6  # of pixels; a mask of less is empty


class Matching(NamedTuple):
    """Which mask of a picture stands for which true one."""

    of: Tensor  # `int64` (N, K): the index of the found mask, -1 where there is none
    iou: Tensor  # `float64` (N, K): intersection over union of the two, 0 where there is none
    there: Tensor  # bool (N, K): whether the true mask is not empty


def ari(labels: Tensor, others: Tensor) -> Tensor:
    """The adjusted Rand index of two groupings of each picture's pixels (Hubert & Arabie 1985).

    1 for the same groups, whatever they are called, and 0 on average for random ones; it may be negative. The
    background counts like a thing, and mostly decides: see `foreground_ari`.

    Args:
        labels, others: whole numbers (N, H, W), the group of each pixel.
    Returns:
        `float64` (N,).
    """
    _check_labels(labels, others, "others")
    return torch.tensor([_rand_index(a, b) for a, b in zip(_rows(labels), _rows(others), strict=True)]).double()


def foreground_ari(labels: Tensor, found: Tensor) -> Tensor:
    """The adjusted Rand index of the pixels in which the truth shows a thing, not the background.

    Usual for scenes (Greff et al. 2019), and blind to two errors: things found where there are none, and, in a scene
    of one thing, everything but its splitting. Take `mean_iou` with it.

    Args:
        labels: whole numbers (N, H, W), the true things; 0 is the background, which each picture may have or not.
        found: whole numbers (N, H, W), the groups found; in these 0 is a group like any other.
    Returns:
        `float64` (N,).
    Raises:
        ValueError: a picture without foreground.
    """
    _check_labels(labels, found, "found")
    empty = (labels != 0).flatten(1).any(1).logical_not()
    if empty.any():
        raise ValueError(f"labels has no foreground, all 0, in picture {int(empty.nonzero()[0])}.")
    pairs = zip(_rows(labels), _rows(found), strict=True)
    return torch.tensor([_rand_index(a[a != 0], b[a != 0]) for a, b in pairs]).double()


def match(masks: Tensor, found: Tensor) -> Matching:
    """One found mask at most for each true one, so that the sum of intersections over unions is largest.

    With shares a and b of a pixel the intersection is min(a, b) and the union max(a, b), summed over the picture.

    Args:
        masks: (N, K, H, W) in [0, 1], the true shares, without the background; an empty one is an absent thing.
        found: (N, L, H, W) in [0, 1].
    """
    from scipy.optimize import linear_sum_assignment

    _check_masks(masks, found)
    true, other = (x.detach().cpu().double().flatten(2) for x in (masks, found))  # (N, K, pixels), (N, L, pixels)
    both = torch.stack([torch.minimum(true, mask).sum(2) for mask in other.split(1, dim=1)], dim=2)  # (N, K, L)
    union = true.sum(2)[:, :, None] + other.sum(2)[:, None] - both  # min + max = a + b
    there = true.sum(2) > SMALLEST_AREA
    iou = torch.where(union > SMALLEST_AREA, both / union.clamp(min=SMALLEST_AREA), 0)
    of, best = torch.full(there.shape, -1), torch.zeros(there.shape, dtype=torch.float64)
    for i, values in enumerate(iou):
        rows, columns = linear_sum_assignment(values.numpy(), maximize=True)
        of[i, rows], best[i, rows] = torch.from_numpy(columns), values[rows, columns]
    return Matching(of.masked_fill(best == 0, -1), best, there)


def mean_iou(masks: Tensor, found: Tensor) -> Tensor:
    """The mean over a picture's true things of the intersection over union with the mask matched to each.

    A thing without a mask counts as 0. A mask without a thing costs nothing.

    Args:
        masks, found: as for `match`.
    Returns:
        `float64` (N,).
    Raises:
        ValueError: a picture without a true thing.
    """
    _, iou, there = match(masks, found)
    if not there.any(1).all():
        raise ValueError(f"masks are all empty in picture {int((~there.any(1)).nonzero()[0])}.")
    return (iou * there).sum(1) / there.sum(1)


def order_accuracy(masks: Tensor, found: Tensor, depth: Tensor, overlaps: Tensor) -> Tensor:
    """Whether the order of things that overlap was found.

    A pair is right if both its things have a mask and the one in front the greater depth; equal depths are wrong.

    Args:
        masks, found: as for `match`.
        depth: (N, L), floating point, larger for a found mask nearer to the front.
        overlaps: bool (N, K, K), whether thing j is in front of thing i and overlaps it, as from
            `vae_helpers.rendering.scenes.overlaps`.
    Returns:
        `float64` (P,): 1 or 0 for each overlapping pair of all pictures. Guessing gives 1/2 of those that are matched.
    Raises:
        ValueError: no pair overlaps.
    """
    of = match(masks, found).of
    checking.tensor(depth, "depth", _form(found.shape[:2]), "depth.float() converts whole numbers.")
    checking.shape(overlaps, "overlaps", _form((*masks.shape[:2], masks.shape[1])))
    if overlaps.dtype != torch.bool:
        raise TypeError(f"overlaps must hold True and False, not {checking.kind_of(overlaps)}.")
    if not overlaps.any():
        raise ValueError("overlaps has no True: there is no pair of which one is in front.")
    nearness = depth.detach().cpu().double().gather(1, of.clamp(min=0)).masked_fill(of < 0, math.nan)  # (N, K)
    right = nearness[:, None, :] > nearness[:, :, None]  # (N, K, K); False for what has no mask
    return right[overlaps.cpu()].double()


def _rand_index(labels: Tensor, others: Tensor) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels.numpy(), others.numpy()))


def _rows(labels: Tensor) -> Tensor:
    return labels.detach().cpu().flatten(1)


def _check_labels(labels: Tensor, others: Tensor, name: str) -> None:
    for value, what in ((labels, "labels"), (others, name)):
        checking.shape(value, what, "(N, H, W)")
        if value.is_floating_point() or value.is_complex():
            raise TypeError(f"{what} must be whole numbers, not {checking.kind_of(value)}; {what}.long() makes some.")
    checking.shape(others, name, _form(labels.shape))


def _check_masks(masks: Tensor, found: Tensor) -> None:
    for value, name, form in ((masks, "masks", "(N, K, H, W)"), (found, "found", "(N, L, H, W)")):
        checking.unit(checking.tensor(value, name, form), name)
    if (len(masks), *masks.shape[2:]) != (len(found), *found.shape[2:]):
        raise ValueError(
            f"masks and found must be as many and as large, not {tuple(masks.shape)} and {tuple(found.shape)}."
        )


def _form(extents: Sequence[int]) -> str:
    return f"({', '.join(map(str, extents))})"
