"""Gradient-domain blending: a part of one picture in another, by its differences instead of its values.

Pictures are floating point, (N, C, H, W), about [0, 1] and never clipped here; masks are (N, 1, H, W) or (1, 1, H, W),
in [0, 1], 1 where a picture counts. Every function checks its arguments: a TypeError for what is no floating-point
tensor, a ValueError for shapes that do not match, NaN, and values out of their domain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_same_size, mask_weights

UNKNOWNS_AT_A_TIME = 100_000  # pixels solved for in one factorisation, bounds the memory
GUIDANCE = ("source", "mixed")


def poisson_blend(source: Tensor, target: Tensor, mask: Tensor, guidance: str = "source") -> Tensor:
    """Put a part of one picture into another by its differences, not its values (Perez, Gangnet & Blake 2003).

    Inside the mask the result f has, as nearly as squares allow, the differences v between neighbours that `guidance`
    names; outside it is the target. In each pixel p inside, with its neighbours q in the picture (their equation 7),

        sum over q of (f_p - f_q) = sum over q of v_pq.

    At the picture's own border nothing is held. The sparse linear system is factorised exactly.

    Args:
        source, target: (N, C, H, W); an N of 1 serves all pictures of the other.
        mask: (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; inside is where it is above 1/2. A picture with nothing
            inside stays the target.
        guidance: "source" for the source's differences; "mixed" for the source's or the target's, whichever is larger
            in size at each pair of neighbours and in each channel (their equation 12).
    Returns:
        (N, C, H, W) like the target, not clipped: it may leave [0, 1] a little.
    Raises:
        ValueError: also where a mask covers a whole picture, so that no target pixel holds the result.
    """
    checking.tensor(source, "source", "(N, C, H, W)")
    checking.tensor(target, "target", "(N, C, H, W)")
    if source.shape[1] != target.shape[1]:
        raise ValueError(f"source has {source.shape[1]} channels and target {target.shape[1]}: give both the same.")
    check_same_size(source, target, "source", "target")
    checking.choice(guidance, "guidance", GUIDANCE)
    n = max(len(source), len(target))
    return _blend(source, target, interior_mask(mask, n, target, "mask"), guidance)


def _blend(source: Tensor, target: Tensor, inside: Tensor, guidance: str) -> Tensor:
    """What `poisson_blend` says, for checked pictures; inside is bool (n, H, W)."""
    n = len(inside)
    source, target = (x.expand(n, -1, -1, -1) for x in (source, target))
    pieces = zip(
        *(x.split(max(1, UNKNOWNS_AT_A_TIME // inside[0].numel())) for x in (source, target, inside)), strict=True
    )
    return torch.cat([_solve_poisson(s, t, m, guidance) for s, t, m in pieces])


def fill_smoothly(pictures: Tensor, hole: Tensor) -> Tensor:
    """Fill holes from their edges, as smoothly as possible: each pixel is the mean of its neighbours (a membrane).

    This is `poisson_blend` with no differences at all.

    Args:
        pictures: (N, C, H, W).
        hole: (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; what is above 1/2 is filled.
    """
    checking.tensor(pictures, "pictures", "(N, C, H, W)")
    return _blend(torch.zeros_like(pictures), pictures, interior_mask(hole, len(pictures), pictures, "hole"), "source")


def _solve_poisson(source: Tensor, target: Tensor, inside: Tensor, guidance: str) -> Tensor:
    """The solution for some pictures at once: source, target (n, C, H, W), inside bool (n, H, W)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    count = int(inside.sum())
    if count == 0:
        return target.clone()
    on_cpu = inside.cpu()
    number = torch.full(on_cpu.shape, -1)
    number[on_cpu] = torch.arange(count)
    known, wanted = target.detach().cpu().double(), source.detach().cpu().double()
    diagonal, right = torch.zeros(count, dtype=torch.float64), torch.zeros(count, target.shape[1], dtype=torch.float64)
    rows, columns = [], []
    for axis in (1, 2):  # neighbours in a column, then in a row
        length = on_cpu.shape[axis] - 1
        for p, q in ((0, 1), (1, 0)):  # each pair serves both of its pixels
            number_p, number_q = number.narrow(axis, p, length), number.narrow(axis, q, length)
            v = wanted.narrow(axis + 1, p, length) - wanted.narrow(axis + 1, q, length)  # (n, C, ...)
            own = known.narrow(axis + 1, p, length) - known.narrow(axis + 1, q, length)
            if guidance == "mixed":
                v = torch.where(own.abs() > v.abs(), own, v)
            here = number_p >= 0
            i, j = number_p[here], number_q[here]
            diagonal.index_add_(0, i, torch.ones(len(i), dtype=torch.float64))
            held = torch.where(j[:, None] < 0, known.narrow(axis + 1, q, length).movedim(1, -1)[here], 0.0)
            right.index_add_(0, i, v.movedim(1, -1)[here] + held)
            rows.append(i[j >= 0])
            columns.append(j[j >= 0])
    i, j = torch.cat(rows), torch.cat(columns)
    index = torch.arange(count)
    values = torch.cat([diagonal, -torch.ones(len(i), dtype=torch.float64)])
    places = (torch.cat([index, i]).numpy(), torch.cat([index, j]).numpy())
    matrix = coo_matrix((values.numpy(), places), shape=(count, count)).tocsc()
    solved = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right.numpy())
    result = known.movedim(1, -1).clone()  # (n, H, W, C); a copy even where float64 on the CPU needs no conversion
    result[on_cpu] = torch.from_numpy(solved)
    return result.movedim(-1, 1).to(target).contiguous()


def interior_mask(mask: Tensor, n: int, like: Tensor, name: str) -> Tensor:
    """Where a mask is above one half: somewhere in each picture it is not, and what is known holds the rest.

    Args:
        mask, n, like, name: as for `vae_helpers.images.mask_weights`.
    Returns:
        bool (n, H, W).
    Raises:
        TypeError, ValueError: no mask of these pictures, or one that covers a whole picture.
    """
    inside = mask_weights(mask, n, like, name)[:, 0] > 0.5
    whole = inside.flatten(1).all(1)
    if whole.any():
        raise ValueError(
            f"{name} covers the whole of picture {int(whole.nonzero()[0])}: no pixel is left to hold the result. "
            "Leave out at least one pixel."
        )
    return inside
