"""Factors read from the pixels of drawn portraits, by small networks (`vae_helpers.models.factor_reader`).

They read pictures that have no known factors: reconstructions, samples, composites. What a model's pictures kept of a
factor is what the reader still finds in them, and the Frechet distance between its features compares sets of pictures.

Its weights are shipped (`vae_helpers.pretrained`). It learned from flat portraits, half of them a little blurred or
noisy, so that a soft picture is not read worse than it must be. It is no judge of photographs, of other styles, or of
whether a picture is pretty. Where the reader's own features are part of a loss, another network has to judge:
`judge=True` asks one that differs in layers, portraits and treatment.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from vae_helpers import checking, pretrained
from vae_helpers.evaluation.frechet import frechet_distance
from vae_helpers.images import check_floats, to_float
from vae_helpers.models.factor_reader import SIZE, FactorReader, PortraitJudge, to_reading_size
from vae_helpers.moved import former_names
from vae_helpers.rendering import faces


@torch.no_grad()
def read_factors(images: Tensor, batch_size: int = 500, judge: bool = False) -> Tensor:
    """The factors that the network reads from pictures.

    Args:
        images: (N, 3, S, S), `uint8` or floats in [0, 1]; larger than 32 x 32 pixels they are averaged down to it.
        batch_size: images at a time.
        judge: ask the second network, which no loss has seen.
    Returns:
        (N, 14) on the images' device, in the units and the order of `faces.FACTORS`; a little beyond a factor's range
        now and then.
    Raises:
        TypeError, ValueError: not such pictures.
    """
    seen, reader = _seen(images, batch_size), _reader(images.device, checking.flag(judge, "judge"))
    return faces.from_unit(torch.cat([reader(x) for x in seen]).clamp(-1.5, 1.5))


def read_portraits(images: Tensor, judge: bool = True) -> Tensor:
    """The same as factors that can be drawn: within their ranges, glasses there or not. (N, 14)."""
    factors = read_factors(images, judge=judge)
    low, high = faces.ranges(factors)
    glasses = faces.index("glasses")
    factors[:, glasses] = factors[:, glasses].clamp(0, 1).round()
    return torch.minimum(torch.maximum(factors, low), high)


def redrawn(images: Tensor, judge: bool = True) -> Tensor:
    """The portraits that the network sees in the pictures, drawn anew from the factors that it reads.

    A picture is near to it, in PSNR, if it is a portrait at all, and one that is well drawn: a check that no Frechet
    distance makes, which compares sets and forgives what its features do not see.

    Args:
        images, judge: as for `read_factors`.
    Returns:
        `uint8` (N, 3, S, S).
    """
    return faces.render(read_portraits(images, judge), images.shape[-1])


@torch.no_grad()
def factor_features(images: Tensor, batch_size: int = 500, judge: bool = False) -> Tensor:
    """The 64 features that the network reads factors from; arguments as for `read_factors`. (N, 64)."""
    seen, reader = _seen(images, batch_size), _reader(images.device, checking.flag(judge, "judge"))
    return torch.cat([reader.body(x) for x in seen])


def face_distance(images: Tensor, others: Tensor, judge: bool = False) -> float:
    """The squared Frechet distance between two sets of portraits, in the features of a reading network. No FID.

    Args:
        images, others: as for `read_factors`, at least two each. Compare distances at equal numbers of pictures only,
            see `frechet_distance`.
        judge: as for `read_factors`; the two networks' distances have different units.
    """
    for name, pictures in (("images", images), ("others", others)):
        _check_portraits(pictures, name, fewest=2)
    return frechet_distance(factor_features(images, judge=judge), factor_features(others, judge=judge))


def factor_r2(images: Tensor, factors: Tensor, judge: bool = False) -> dict[str, float]:
    """How much of each factor's variance is read back from pictures that should show these factors.

    R2 = 1 - (mean squared error of reading) / (variance of the factor): 1 when a factor is read exactly, 0 when no
    better than by guessing its mean, negative when worse.

    Args:
        images: (N, 3, S, S), see `read_factors`.
        factors: (N, 14), what the pictures should show.
        judge: as for `read_factors`.
    Returns:
        factor -> R2.
    Raises:
        ValueError: numbers of pictures and factors differ, or a factor does not vary.
    """
    _check_portraits(images)
    faces.check_factors(factors)
    if len(images) != len(factors):
        raise ValueError(f"{len(images)} images and {len(factors)} rows of factors do not match.")
    constant = (factors == factors[0]).all(0)  # exact, whatever rounding does to a variance
    if constant.any():
        name = faces.NAMES[int(constant.nonzero()[0])]
        raise ValueError(f"{name} is the same in all rows of factors: its R2 is not defined. Give varied portraits.")
    error = (read_factors(images, judge=judge) - factors.to(images.device)).square().mean(0)
    variance = factors.var(0, correction=0).to(error)
    return dict(zip(faces.NAMES, (1 - error / variance).tolist(), strict=True))


def _seen(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The pictures as the network sees them, some at a time; they are checked at once."""
    _check_portraits(images)
    batches = images.split(checking.integer(batch_size, "batch_size"))
    return (to_reading_size(to_float(x) if x.dtype == torch.uint8 else x.float()) for x in batches)


def _check_portraits(images: Tensor, name: str = "images", fewest: int = 1) -> None:
    if not isinstance(images, Tensor) or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise TypeError(
            f"{name} must be a torch tensor (N, 3, S, S), uint8 or floats in [0, 1], not {checking.kind_of(images)}. "
            "torch.from_numpy makes a tensor of an array, faces.render draws portraits."
        )
    checking.shape(images, name, "(N, 3, S, S)", "The network reads drawn portraits only.", N=fewest, S=SIZE)
    if images.dtype != torch.uint8:
        check_floats(images, name)


@functools.cache
def _reader(device: torch.device, judge: bool) -> FactorReader | PortraitJudge:
    """One network of each kind on each device; nobody outside is handed it, so it stays as it is."""
    return pretrained.portrait_judge(device) if judge else pretrained.factor_reader(device)


__getattr__ = former_names(
    __name__,
    to_unit="vae_helpers.rendering.faces.to_unit",
    from_unit="vae_helpers.rendering.faces.from_unit",
)
