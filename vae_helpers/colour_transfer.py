"""The colours of one set of pictures given to a picture of another: what can be done about style without learning any.

Each function makes the colours of a picture like those of its references, by moments or by ranks, and knows nothing of
what is shown. The moments are those of all pixels of a set. Those of the picture itself are its own, or, where other
pictures in its style are given as `source`, theirs, which say less about what it happens to show.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_floats

SMALLEST_VARIANCE = 1e-6  # a picture of one colour has none


def reinhard(x: Tensor, references: Tensor, source: Tensor | None = None) -> Tensor:
    """Each channel with the mean and the standard deviation of the references (Reinhard et al. 2001, in RGB).

    Args:
        x: pictures (N, C, H, W) in [0, 1].
        references: for each of them a set in the style that is wanted, (N, K, C, H, W) in [0, 1].
        source: for each of them a set in its own style, (N, L, C, H, W); by default the picture alone.
    Returns:
        (N, C, H, W), cut to [0, 1].
    """
    colours, wanted, own = _colours(x, references, source)
    variance, variance_wanted = (_moments(c)[1].diagonal(dim1=1, dim2=2)[..., None] for c in (own, wanted))  # (N, C, 1)
    scale = (variance_wanted / variance).sqrt()
    return _pictures(scale * (colours - own.mean(2, keepdim=True)) + wanted.mean(2, keepdim=True), x)


def covariance_transfer(x: Tensor, references: Tensor, source: Tensor | None = None) -> Tensor:
    """Colours with the mean and the covariance of the references, moved as little as possible.

    The optimal transport between two Gaussians, x -> n + T (x - m) with T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 for
    covariances A and B (Pitie & Kokaram 2007, equation 9).

    Args and returns:
        as of `reinhard`.
    """
    colours, wanted, own = _colours(x, references, source)
    (m, A), (n, B) = _moments(own), _moments(wanted)
    root, inverse = _root(A, 0.5), _root(A, -0.5)
    T = inverse @ _root(root @ B @ root, 0.5) @ inverse  # (N, C, C)
    return _pictures(T @ (colours - m) + n, x)


def match_histograms(x: Tensor, references: Tensor) -> Tensor:
    """Each channel with the histogram of the references: its values are replaced by theirs of the same rank.

    Args and returns:
        as of `reinhard`; equal values may become different ones, in the order of the pixels.
    """
    colours, wanted, _ = _colours(x, references, None)
    rank = colours.argsort(dim=2, stable=True).argsort(2)  # (N, C, P)
    sorted_, members = wanted.sort(2).values, references.shape[1]  # (N, C, K P)
    return _pictures(sorted_.unflatten(2, (-1, members)).mean(3).gather(2, rank), x)


def _colours(x: Tensor, references: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The colours of the pixels of each, (N, C, pixels), `float64`."""
    check_floats(checking.shape(x, "x", "(N, C, H, W)"), "x")
    sets = {"references": references, "source": x[:, None] if source is None else source}
    for name, pictures in sets.items():
        form = f"({len(x)}, K, {', '.join(map(str, x.shape[1:]))})"
        check_floats(checking.shape(pictures, name, form, "A set for each picture: pictures[None] is one set."), name)
    return x.flatten(2).double(), *(pictures.transpose(1, 2).flatten(2).double() for pictures in sets.values())


def _moments(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (N, C, 1) and covariance (N, C, C) of (N, C, P)."""
    mean = colours.mean(2, keepdim=True)
    covariance = (colours - mean) @ (colours - mean).mT / colours.shape[2]
    return mean, covariance + SMALLEST_VARIANCE * torch.eye(len(mean[0])).to(covariance)


def _root(A: Tensor, power: float) -> Tensor:
    """A symmetric positive matrix (N, C, C) to a power."""
    values, vectors = torch.linalg.eigh(A)
    return vectors * values.clamp(min=SMALLEST_VARIANCE**2)[:, None].pow(power) @ vectors.mT


def _pictures(colours: Tensor, like: Tensor) -> Tensor:
    return colours.to(like).clamp(0, 1).view_as(like)
