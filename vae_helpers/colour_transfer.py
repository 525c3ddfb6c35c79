"""The colours of one set of pictures given to a picture of another: what can be done about style without learning any.

Each function makes the colours of a picture like those of its references, by moments or by ranks, and knows nothing of
what is shown. The moments are those of all pixels of a set. Those of the picture itself are its own, or, where other
pictures in its style are given as `source`, theirs, which say less about what it happens to show.
"""

from __future__ import annotations

from torch import Tensor

from vae_helpers import checking
from vae_helpers.distributions import gaussian_transport
from vae_helpers.images import check_floats


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
    deviation, wanted_deviation = (c.std(2, correction=0, keepdim=True) for c in (own, wanted))  # (N, C, 1)
    scale = wanted_deviation / deviation.clamp(min=1e-3)  # a picture of one colour has no deviation
    return _pictures(scale * (colours - own.mean(2, keepdim=True)) + wanted.mean(2, keepdim=True), x)


def covariance_transfer(x: Tensor, references: Tensor, source: Tensor | None = None) -> Tensor:
    """Colours with the mean and the covariance of the references, moved as little as possible.

    The optimal transport between two Gaussians, x -> n + T (x - m), with T of `gaussian_transport` (Pitie & Kokaram
    2007).

    Args and returns:
        as of `reinhard`.
    """
    colours, wanted, own = _colours(x, references, source)
    (m, A), (n, B) = _moments(own), _moments(wanted)
    return _pictures(gaussian_transport(A, B) @ (colours - m) + n, x)


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
    flat = (x.flatten(2), *(pictures.transpose(1, 2).flatten(2) for pictures in sets.values()))
    return tuple((c.cpu() if c.device.type == "mps" else c).double() for c in flat)  # MPS has no float64


def _moments(colours: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (N, C, 1) and covariance (N, C, C) of (N, C, P)."""
    mean = colours.mean(2, keepdim=True)
    return mean, (colours - mean) @ (colours - mean).mT / colours.shape[2]


def _pictures(colours: Tensor, like: Tensor) -> Tensor:
    return colours.to(like).clamp(0, 1).view_as(like)
