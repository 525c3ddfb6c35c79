"""Decoder likelihoods: small modules that turn a decoder's output into p(x | z).

Each knows, by `prepare`, what stored images have to become before p(x | z) may be asked about them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal

from vae_helpers import checking
from vae_helpers.distributions.bernoulli import GreyBernoulli
from vae_helpers.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_helpers.distributions.discretised_gaussian import DiscretisedGaussian
from vae_helpers.distributions.discretised_logistic import DiscretisedLogistic
from vae_helpers.images import binarise, dequantise, levels_of, to_float


class Likelihood(nn.Module):
    """What turns a decoder's output into a distribution over images; `prepare` makes the data it is defined on."""

    outputs = 1  # numbers that the decoder gives for each pixel and channel

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> `float32` in [0, 1]."""
        return to_float(images)

    def encoder_input(self, x: Tensor) -> Tensor:
        """Prepared data on the scale that networks like, about [0, 1]."""
        return x


class BernoulliLikelihood(Likelihood):
    """p(x | z) = Bernoulli for black-and-white images; stored grey images are dynamically binarised."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (..., C, H, W), as logits, -> distribution over images, batch shape (...)."""
        return Independent(Bernoulli(logits=logits), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> `float32` of zeros and ones; a fresh draw at each call."""
        return binarise(images)


class GreyBernoulliLikelihood(Likelihood):
    """Cross-entropy on grey values, named as what it is: see `GreyBernoulli`. Not a density."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (..., C, H, W), as logits, -> pseudo-likelihood, batch shape (...)."""
        return Independent(GreyBernoulli(logits), 3)


class ContinuousBernoulliLikelihood(Likelihood):
    """p(x | z) = continuous Bernoulli, a density on grey values in [0, 1]."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (..., C, H, W), as logits, -> distribution over images, batch shape (...)."""
        return Independent(ContinuousBernoulli(logits), 3)


SMALLEST_FLOOR, LARGEST_SIGMA = 1e-6, 100.0  # what float32 still tells from zero and from infinity, generously


class _WithSigma(Likelihood):
    """A likelihood with one standard deviation for all pixels, fixed or learned, never below a floor."""

    def __init__(self, sigma: float = 0.1, learn_sigma: bool = False, floor: float = 0.01, levels: int = 256):
        super().__init__()
        sigma, floor = (
            checking.number(sigma, "sigma", high=LARGEST_SIGMA),
            checking.number(floor, "floor", SMALLEST_FLOOR),
        )
        levels, learn_sigma = checking.integer(levels, "levels", 2), checking.flag(learn_sigma, "learn_sigma")
        if not sigma > floor:
            raise ValueError(f"sigma = {sigma} must be above its floor = {floor}: give a larger one, or a lower floor.")
        raw = torch.tensor(math.log(math.expm1(sigma - floor)))  # softplus(raw) + floor = sigma
        self.floor, self.levels = floor, levels
        if learn_sigma:
            self.raw_sigma = nn.Parameter(raw)
        else:
            self.register_buffer("raw_sigma", raw)

    @property
    def sigma(self) -> Tensor:
        """The standard deviation of a pixel, on the scale [0, 1]; a scalar tensor."""
        return F.softplus(self.raw_sigma) + self.floor


class GaussianLikelihood(_WithSigma):
    """p(x | z) = N(decoder output, sigma^2), a density on dequantised images.

    Args:
        sigma: the standard deviation, or where it starts when learned; on the scale [0, 1].
        learn_sigma: make it a parameter: one scalar for all pixels.
        floor: sigma never falls below it. Flat areas would otherwise drive it to zero.
        levels: grey levels of the stored images, for dequantisation.
    """

    def forward(self, mean: Tensor) -> Independent:
        """Decoder output (..., C, H, W), as means on [0, 1], -> distribution over images, batch shape (...)."""
        return Independent(Normal(mean, self.sigma), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> dequantised `float32` in [0, 1]; a fresh draw at each call."""
        return dequantise(images, self.levels)


class DiscretisedGaussianLikelihood(_WithSigma):
    """p(x | z) = probability of each grey level under a Gaussian; arguments as in `GaussianLikelihood`."""

    def forward(self, mean: Tensor) -> Independent:
        """Decoder output (..., C, H, W), as means on [0, 1], -> distribution over levels, batch shape (...)."""
        return Independent(DiscretisedGaussian(mean, self.sigma, self.levels), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> levels 0 .. levels - 1 as `float32`."""
        return levels_of(images, self.levels).float()

    def encoder_input(self, x: Tensor) -> Tensor:
        """Levels as the centres of their bins, in (0, 1)."""
        return (x + 0.5) / self.levels


class LogisticMixtureLikelihood(Likelihood):
    """p(x | z) = for each pixel a mixture of discretised logistics, of which the decoder gives all numbers.

    Salimans et al. (2017), "PixelCNN++", equation 2, without the dependence between channels. Unlike one Gaussian it
    can say that a pixel is either ink or paper; unlike a table of all levels it knows that neighbours are alike.

    Args:
        components: K; the decoder gives 3 K numbers for each pixel and channel.
        levels: grey levels of the stored images.
    """

    def __init__(self, components: int = 3, levels: int = 256):
        super().__init__()
        self.components, self.levels = checking.integer(components, "components"), checking.integer(levels, "levels", 2)
        self.outputs = 3 * self.components
        self.register_buffer("centres", (torch.arange(self.components) + 0.5) / self.components)  # where they begin

    def forward(self, raw: Tensor) -> Independent:
        """Decoder output (..., 3 K C, H, W) -> distribution over levels, batch shape (...), event shape (C, H, W)."""
        if checking.floating(raw, "raw").dim() < 3 or raw.shape[-3] % self.outputs:
            raise ValueError(
                f"raw must have shape (..., C, H, W) with {self.outputs} numbers for each channel, 3 K of them, not "
                f"{tuple(raw.shape)}."
            )
        by_pixel = raw.unflatten(-3, (-1, self.outputs)).movedim(-3, -1)  # (..., C, H, W, 3 K)
        logits, means, log_scales = by_pixel.chunk(3, -1)
        scale = F.softplus(log_scales - 2.0) + 1e-3  # 0.13 where the decoder says 0
        mixture = MixtureSameFamily(
            Categorical(logits=logits), DiscretisedLogistic(means + self.centres, scale, self.levels)
        )
        return Independent(mixture, 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> levels 0 .. levels - 1 as `float32`."""
        return levels_of(images, self.levels).float()

    def encoder_input(self, x: Tensor) -> Tensor:
        """Levels as the centres of their bins, in (0, 1)."""
        return (x + 0.5) / self.levels
