"""How near pictures are to those of a training set, which may be large: it is looked through in parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

NUMBERS_AT_A_TIME = 2**24  # of pictures and of distances in memory
NEAR_COPY = 0.15  # of the usual distance between two pictures; of what is no near copy 2 % or fewer are so near


def fingerprints(images: Tensor) -> list[bytes]:
    """16 bytes for each picture of (N, ...), the same for pictures that are the same and for no others."""
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in images.flatten(1).cpu().numpy()]


class Neighbours(NamedTuple):
    """The nearest of some pictures, the nearest first."""

    distances: Tensor  # (M, n), Euclidean
    rows: Tensor  # (M, n), int64: which they are


def nearest(
    wanted: Tensor, images: Tensor, n: int = 1, as_seen: Callable[[Tensor], Tensor] = torch.Tensor.float
) -> Neighbours:
    """The n pictures nearest to each of some others.

    Args:
        wanted: (M, ...), floating-point.
        images: (N, ...), N >= n.
        as_seen: what makes them comparable to `wanted`.
    Returns:
        Neighbours: `distances` (M, n) and `rows` (M, n) of `images`.
    """
    wanted = wanted.flatten(1)
    best = wanted.new_full((len(wanted), n), math.inf)
    rows = torch.full(best.shape, -1, device=best.device)
    first = 0
    for part in images.split(max(1, NUMBERS_AT_A_TIME // max(len(wanted), images[0].numel()))):
        distances = torch.cdist(wanted, as_seen(part).flatten(1).to(wanted))  # (M, of this part)
        here = torch.arange(first, first + len(part), device=best.device).expand(len(wanted), -1)
        best, order = torch.cat([best, distances], 1).topk(n, largest=False)
        rows = torch.cat([rows, here], 1).gather(1, order)
        first += len(part)
    return Neighbours(best, rows)


def near_copies(train: Tensor, held_out: Tensor, share: float = NEAR_COPY) -> float:
    """Share of held-out pictures that have a near copy among training pictures: notebook 13, eq. (13.5).

    Near is what is less than a share of the median distance between two training pictures. Of drawn portraits, of
    handwritten digits and of clothes 2 % or fewer are so near; of a thousand frames of one scene 97 %
    (`docs/performance.md`).

    Args:
        train, held_out: stored pictures `uint8` (N, C, H, W), N >= 2; of the former 1,000 give the median.
        share: of the median distance.
    Returns:
        from 0 to 1.
    """
    some = train[:: max(1, -(-len(train) // 1000))].float().flatten(1)
    usual = torch.pdist(some).median()
    return (nearest(held_out.float(), train).distances[:, 0] < share * usual).float().mean().item()
