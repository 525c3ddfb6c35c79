"""Kinds of noise, and an estimate of how much of it there is.

Every kind takes clean pictures, floating point in [0, 1] of shape (N, C, H, W), and returns noisy ones of the same
shape, type and device. They are *not* clipped unless `clip=True`: clipped Gaussian noise is neither Gaussian nor of
mean zero. Strengths are in stated units, and grey values are shares of white, so that 25 levels of 255 are 25 / 255.

Two arguments are common to all kinds:

    seed   a whole number for the same noise at each call and on every device, which leaves torch's random state
           alone; None for fresh noise from torch's own random numbers
    clip   cut the result to [0, 1], as a camera or a file does

and so are two errors: a TypeError if the pictures are no floats, a ValueError if they have another shape, leave
[0, 1] or hold NaN, or if a strength is out of its domain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_pictures

MAX_SIGMA = 2.0  # as a share of white: a larger sigma is taken for one in levels of 255
DIRECTIONS = ("horizontal", "vertical")
NORMAL_QUARTILE = 0.674489750196  # half of the values of N(0, 1) are nearer to 0 than this


class MissingBlocks(NamedTuple):
    """Pictures with holes, and where the holes are."""

    pictures: Tensor  # (N, C, H, W)
    missing: Tensor  # bool (N, 1, H, W), True where a pixel was lost


def gaussian(x: Tensor, sigma: float | Tensor, *, seed: int | None = None, clip: bool = False) -> Tensor:
    """Additive Gaussian noise, y = x + sigma eps: mean x, variance sigma^2, independent in each pixel and channel.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too.
        sigma: standard deviation as a share of white, 0 to 2; a number, or (N,) for one of each picture.
    """
    check_pictures(x)
    sigma = _checked_sigma(sigma, len(x)).to(x.device, _drawn_in(x))
    return _finished(x, x + sigma * _normal(x, x.shape, seed), clip)


def poisson(x: Tensor, photons: float, *, seed: int | None = None, clip: bool = False) -> Tensor:
    """Photon noise, y = k / photons with k ~ Poisson(photons x): mean x, variance x / photons, never below 0.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too.
        photons: how many a white pixel receives on average, > 0.
    """
    check_pictures(x)
    photons = checking.positive(photons, "photons", "It is how many a white pixel receives.")
    generator, device = _source(x, seed)
    rate = photons * x.to(device, _drawn_in(x)).clamp(min=0)
    return _finished(x, torch.poisson(rate, generator=generator) / photons, clip)


def salt_and_pepper(x: Tensor, share: float, *, seed: int | None = None, clip: bool = False) -> Tensor:
    """A share of the pixels, chosen at random, becomes black or white (in all channels), as often one as the other.

    The mean is (1 - share) x + share / 2.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too (these values never leave [0, 1]).
        share: probability that a pixel is lost, 0 to 1.
    """
    check_pictures(x)
    share = checking.number(share, "share", 0, 1)
    u = _uniform(x, (len(x), 1, *x.shape[2:]), seed)  # (N, 1, H, W): below share / 2 black, below share white
    y = torch.where(u < share, (u >= share / 2).to(x), x)
    return _finished(x, y, clip)


def speckle(x: Tensor, sigma: float, *, seed: int | None = None, clip: bool = False) -> Tensor:
    """Multiplicative noise, y = x (1 + sigma eps) with Gaussian eps: mean x, variance sigma^2 x^2.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too.
        sigma: relative standard deviation, 0 to 2: what it is in a white pixel.
    """
    check_pictures(x)
    sigma = _checked_sigma(sigma, len(x)).to(x.device, _drawn_in(x))
    return _finished(x, x * (1 + sigma * _normal(x, x.shape, seed)), clip)


def missing_blocks(
    x: Tensor, share: float, size: int = 8, fill: float = 0.0, *, seed: int | None = None, clip: bool = False
) -> MissingBlocks:
    """Square holes: each cell of a grid, laid at random over each picture, is lost with probability `share`.

    A pixel is therefore missing with probability `share`, whichever it is; cells at the border may be cut.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too.
        share: probability that a cell is lost, 0 to 1.
        size: side of a cell in pixels, >= 1.
        fill: the grey value that stands in a hole, as a share of white.
    Returns:
        the pictures, and a mask (N, 1, H, W) that is True in the holes.
    """
    check_pictures(x)
    share = checking.number(share, "share", 0, 1)
    size = checking.integer(size, "size")
    fill = checking.number(fill, "fill", 0, 1, "It is a grey value, 0 black and 1 white.")
    n, _, height, width = x.shape
    cells = (n, height // size + 2, width // size + 2)
    u = _uniform(x, (math.prod(cells) + 2 * n,), seed)
    lost = u[: -2 * n].view(cells) < share  # (N, rows of cells, columns of cells)
    top, left = (u[-2 * n :].view(2, n, 1) * size).long().clamp(max=size - 1)  # (N, 1) each, where the grid begins
    rows = (torch.arange(height, device=x.device) + top) // size  # (N, H), the row of cells that a pixel lies in
    columns = (torch.arange(width, device=x.device) + left) // size  # (N, W)
    which = torch.arange(n, device=x.device)[:, None, None]
    missing = lost[which, rows[:, :, None], columns[:, None, :]][:, None]  # (N, 1, H, W)
    return MissingBlocks(_finished(x, torch.where(missing, fill, x), clip), missing)


def stripes(
    x: Tensor, sigma: float, direction: str = "horizontal", *, seed: int | None = None, clip: bool = False
) -> Tensor:
    """Every row (or column) gets a Gaussian offset of its own, the same along its length and in all channels.

    Each pixel has mean x and variance sigma^2, as with `gaussian`; but pixels of a row are not independent.

    Args:
        x: clean pictures, see the module's text; `seed` and `clip` too.
        sigma: standard deviation of the offsets as a share of white, 0 to 2.
        direction: "horizontal" for rows, "vertical" for columns.
    """
    check_pictures(x)
    sigma = _checked_sigma(sigma, len(x)).to(x.device, _drawn_in(x))
    checking.choice(direction, "direction", DIRECTIONS)
    n, _, height, width = x.shape
    shape = (n, 1, height, 1) if direction == "horizontal" else (n, 1, 1, width)
    return _finished(x, x + sigma * _normal(x, shape, seed), clip)


def estimate_sigma(y: Tensor) -> Tensor:
    """The standard deviation of white Gaussian noise in each picture, estimated from the noisy picture alone.

    A second difference along rows and columns removes what is smooth in a picture and turns noise of deviation sigma
    into noise of 6 sigma (the mask of Immerkær 1996). The median of its absolute value, unlike its mean square, hardly
    feels the few places with edges. Fine texture is taken for noise, and clipped noise is underestimated.

    Args:
        y: noisy pictures (N, C, H, W), floating point, not clipped; H, W >= 3.
    Returns:
        (N,), as a share of white.
    Raises:
        TypeError: not floating point.
        ValueError: another shape, too small a picture, NaN or infinite values.
    """
    checking.tensor(y, "y", "(N, C, H, W)", H=3, W=3)
    second = torch.tensor([1.0, -2.0, 1.0], device=y.device)
    mask = torch.outer(second, second)[None, None]  # its squares sum to 36
    response = F.conv2d(y.detach().float().flatten(0, 1)[:, None], mask)  # (N C, 1, H - 2, W - 2)
    return response.abs().reshape(len(y), -1).median(1).values / (6 * NORMAL_QUARTILE)


def _checked_sigma(sigma: float | Tensor, n: int) -> Tensor:
    """sigma as a tensor in double precision that multiplies (N, C, H, W): of shape () or (N, 1, 1, 1)."""
    if isinstance(sigma, Tensor):
        if tuple(sigma.shape) not in ((), (n,)):
            raise ValueError(
                f"sigma must be a number or have shape ({n},), one for each picture, not {tuple(sigma.shape)}."
            )
        values = sigma.detach().cpu().double()
    else:
        values = torch.tensor(checking.number(sigma, "sigma", cure="It is a standard deviation."), dtype=torch.float64)
    low, high = values.min().item(), values.max().item()
    if not low >= 0:
        raise ValueError(f"sigma must be at least 0, but is {low:.3g}: it is a standard deviation.")
    if not high <= MAX_SIGMA:
        raise ValueError(
            f"sigma = {high:.3g} is too large: it counts white as 1, and {MAX_SIGMA:.0f} is the most. "
            "Divide levels of 255 by 255: 25 levels are 25 / 255."
        )
    return values.view(-1, 1, 1, 1) if values.dim() else values


def _source(x: Tensor, seed: int | None) -> tuple[torch.Generator | None, torch.device]:
    """Where random numbers come from: a seeded generator on the CPU, or torch's own on the pictures' device."""
    if seed is None:
        return None, x.device
    seed = checking.seed(seed, "None makes fresh noise at each call.")
    return torch.Generator().manual_seed(seed), torch.device("cpu")


def _drawn_in(x: Tensor) -> torch.dtype:
    """The type to draw in: that of x, but never a half-precision one, whose random numbers are coarse."""
    return torch.promote_types(x.dtype, torch.float32)


def _normal(x: Tensor, shape: tuple[int, ...], seed: int | None) -> Tensor:
    generator, device = _source(x, seed)
    return torch.randn(shape, generator=generator, device=device, dtype=torch.float32).to(x.device, _drawn_in(x))


def _uniform(x: Tensor, shape: tuple[int, ...], seed: int | None) -> Tensor:
    generator, device = _source(x, seed)
    return torch.rand(shape, generator=generator, device=device, dtype=torch.float32).to(x.device)


def _finished(x: Tensor, y: Tensor, clip: bool) -> Tensor:
    """y in the type and on the device of x, clipped if asked for."""
    y = y.to(x)
    return y.clamp(0, 1) if checking.flag(clip, "clip") else y
