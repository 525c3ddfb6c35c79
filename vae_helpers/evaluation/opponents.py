"""The simplest opponents of a model of pictures, by the bits per dimension that each needs for held-out pictures.

Three that learn nothing but numbers of the training pictures, or nothing at all: the mean picture, with a spread for
each pixel; a Gaussian over whole pictures; and the files that anybody writes without a model, PNG and WebP. A model
that one took the time to train should beat the first two. The files are a harder mark: they code each pixel given the
pixels before it, which a decoder that paints all pixels at once cannot.
"""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.distributions import DiscretisedLogistic, bits_per_dim
from vae_helpers.images import check_images, dequantise, levels_of
from vae_helpers.models.ppca import LARGEST_COVARIANCE, principal_directions

MOST_NUMBERS = 5_000 * 64 * 64 * 3  # of training pictures that a Gaussian is fitted to: 250 MB as float32
MOST_DIRECTIONS = 400  # of a Gaussian over more than 2,048 numbers
MOST_FILES = 500  # pictures that are written as files
SMALLEST_VARIANCE = 1e-9  # dequantisation alone gives a pixel a thousand times as much
ROWS = 100  # pictures at a time
FILES = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP": {"format": "WEBP", "lossless": True, "exact": True, "quality": 100, "method": 4},  # 5: 20 times as long
}


class Gaussian(NamedTuple):
    """What a Gaussian needs for held-out pictures, and which Gaussian was chosen."""

    bits: Tensor  # (N,), bits per dimension of each picture
    latents: int  # directions that have a variance of their own; all others share one
    scaled: bool  # whether each pixel was first divided by its own standard deviation


def simplest_opponents(train: Tensor, validation: Tensor, held_out: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Bits per dimension of each held-out picture by each opponent.

    Args:
        train, validation, held_out: stored pictures, `uint8` (N, C, H, W), of at least three, two and two. Choices are
            made on `validation`; for numbers to choose a model by, it may be given as `held_out` too.
        seed: of dequantisation, and of the pictures that are taken where there are more than are needed.
    Returns:
        "mean picture", "Gaussian", "PNG", "WebP", (N,) each; of the files at most 500 pictures.
    Raises:
        TypeError, ValueError: they are not such pictures.
    """
    return {
        "mean picture": mean_picture(train, held_out),
        "Gaussian": best_gaussian(train, validation, held_out, seed).bits,
        **{kind: of_files(held_out, kind, seed) for kind in FILES},
    }


def mean_picture(train: Tensor, held_out: Tensor) -> Tensor:
    """Bits per dimension, (N,), by one logistic for each pixel and channel, put into 256 bins; all pixels independent.

    Its mean and variance are those of the training pictures. To the variance comes that of a level's bin, 1/12, and to
    the pictures one more, whose squared distance from the mean is the mean one everywhere: a pixel that was the same in
    all training pictures may be another in the next.

    Args:
        train, held_out: stored pictures, `uint8` (N, C, H, W), at least two.
    Raises:
        TypeError, ValueError: they are not such pictures.
    """
    _check_alike(train=(train, 2), held_out=(held_out, 2))
    n, total, squares = len(train), 0.0, 0.0
    for rows in train.split(ROWS):
        levels = rows.double()
        total, squares = total + levels.sum(0), squares + levels.square().sum(0)
    mean = total / n
    variance = (squares / n - mean.square()).clamp_min(0)  # sums of whole numbers: exact
    variance = (n * variance + variance.mean()) / (n + 1) + 1 / 12
    pixel = DiscretisedLogistic((mean + 0.5) / 256, variance.sqrt() * (math.sqrt(3) / math.pi / 256))
    log_p = [pixel.log_prob(levels_of(rows)).flatten(1).sum(1) for rows in held_out.split(ROWS)]
    return bits_per_dim(-torch.cat(log_p), mean.numel())


def best_gaussian(train: Tensor, validation: Tensor, held_out: Tensor, seed: int = 0) -> Gaussian:
    """Bits per dimension by a Gaussian over dequantised pictures: probabilistic PCA (Tipping & Bishop 1999).

    How many directions have a variance of their own, from one to as many as there are pictures (at most 400 where a
    picture has more than 2,048 numbers), and whether each pixel is first divided by its own standard deviation, are
    chosen on validation pictures. It is fitted to 5,000 pictures at most, and to fewer of more than 64 x 64 pixels.

    Args:
        train, validation, held_out, seed: as for `simplest_opponents`.
    Raises:
        TypeError, ValueError: they are not such pictures.
    """
    _check_alike(train=(train, 3), validation=(validation, 2), held_out=(held_out, 2))
    generator = torch.Generator().manual_seed(checking.seed(seed))
    some = _some(train, MOST_NUMBERS // train[0].numel(), generator)
    x, *others = (_dequantised(images, generator) for images in (some, _some(validation, 1000, generator), held_out))
    n, p = x.shape
    latents = min(p, n) - 2 if p <= LARGEST_COVARIANCE else min(n - 2, MOST_DIRECTIONS)
    chosen: tuple[float, int, bool, Tensor] | None = None
    for scaled in (False, True):
        spread = (x.var(0) + 1e-6).sqrt() if scaled else torch.ones(p)
        evidence = _Evidence(x / spread, max(1, latents))
        on_validation, on_held_out = (evidence(y / spread) - spread.double().log().sum() for y in others)
        best = on_validation.mean(0).argmax().item()
        if chosen is None or on_validation[:, best].mean().item() > chosen[0]:
            chosen = on_validation[:, best].mean().item(), best + 1, scaled, on_held_out[:, best]
    return Gaussian(bits_per_dim(-chosen[3], p, levels=256), *chosen[1:3])


def of_files(held_out: Tensor, kind: str, seed: int = 0) -> Tensor:
    """Bits of a picture's file, all that is in it, per dimension of the picture, (N,); without loss.

    Args:
        held_out: stored pictures, `uint8` (N, C, H, W), at least two; 500 of them where there are more.
        kind: "PNG" or "WebP", as Pillow writes them.
        seed: of the choice of 500.
    Raises:
        TypeError, ValueError: they are not such pictures, or the kind is another.
    """
    from PIL import Image

    _check_alike(held_out=(held_out, 2))
    checking.choice(kind, "kind", FILES)
    bits = []
    for image in _some(held_out, MOST_FILES, torch.Generator().manual_seed(checking.seed(seed))):
        pixels, file = image.cpu().permute(1, 2, 0).squeeze(-1).numpy(), io.BytesIO()
        Image.fromarray(pixels).save(file, **FILES[kind])
        bits.append(8 * len(file.getvalue()) / image.numel())
    return torch.tensor(bits)


class _Evidence:
    """log p(x) by probabilistic PCA with each number of directions from one to K, from one decomposition."""

    def __init__(self, x: Tensor, most: int):
        p = x.shape[1]
        x = x.double() if p <= LARGEST_COVARIANCE else x  # of a large decomposition float32 is enough
        mean = x.mean(0)
        variances, self.directions, rest = (part.double() for part in principal_directions(x - mean, most))
        self.mean, self.variances = mean.double(), variances.clamp_min(SMALLEST_VARIANCE)
        self.others = p - torch.arange(1, most + 1)  # directions that share a variance, for each K
        later = variances.sum() - variances.cumsum(0) + (p - most) * rest
        self.shared = (later / self.others).clamp_min(SMALLEST_VARIANCE)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, P) -> (N, K), nats per row."""
        return torch.cat([self._of_some(rows.double() - self.mean) for rows in x.split(ROWS)])

    def _of_some(self, centred: Tensor) -> Tensor:
        squares = (centred @ self.directions).square()  # (n, K)
        inside = (squares / self.variances + self.variances.log()).cumsum(1)
        outside = (centred.square().sum(1, keepdim=True) - squares.cumsum(1)).clamp_min(0)
        constant = self.others * self.shared.log() + centred.shape[1] * math.log(2 * math.pi)
        return -0.5 * (inside + outside / self.shared + constant)


def _dequantised(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) -> (N, C H W)."""
    return torch.cat([dequantise(rows.cpu(), generator=generator).flatten(1) for rows in images.split(ROWS)])


def _some(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """All pictures, or so many of them, chosen at random."""
    if len(images) <= max(3, most):
        return images
    return images[torch.randperm(len(images), generator=generator)[: max(3, most)].sort().values.to(images.device)]


def _check_alike(**groups: tuple[Tensor, int]) -> None:
    """Whether these are stored pictures of one shape, of each group as many as are needed at least."""
    shapes = set()
    for name, (images, least) in groups.items():
        check_images(images, name)
        checking.shape(images, name, "(N, C, H, W)", N=least)
        shapes.add(tuple(images.shape[1:]))
    if len(shapes) > 1:
        raise ValueError(f"{', '.join(groups)} must be pictures of one shape, not {sorted(shapes)}.")
