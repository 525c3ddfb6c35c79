"""Decoder likelihoods: small modules that turn a decoder's output into p(x | z).

Each knows, by `prepare`, what stored images have to become before p(x | z) may be asked about them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    constraints,
)

from vae_helpers import checking
from vae_helpers.distributions.bernoulli import GreyBernoulli
from vae_helpers.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_helpers.distributions.discretised_gaussian import DiscretisedGaussian
from vae_helpers.distributions.discretised_logistic import DiscretisedLogistic
from vae_helpers.distributions.discretised_student import DiscretisedStudent
from vae_helpers.distributions.lifting import Lifting
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


class LiftedLikelihood(Likelihood):
    """p(x | z) = a Student for each coefficient of a reversible transform, of which the decoder gives place and scale.

    Where the transform is a wavelet, the noise of neighbouring pixels is not independent, which is what a decoder that
    paints all pixels at once otherwise has to say. The decoder speaks in units of what was usual in training pictures
    (`begin`): it gives 2 C numbers for each place, and zeros mean the usual.

    Args:
        image_shape: (C, H, W).
        lifting: the transform.
    """

    outputs = 2
    FLOOR = 0.05  # of a scale, in levels
    REACH = 3.0  # of a scale, each way, as a logarithm: 20 times; with more, few pictures are learnt by heart

    def __init__(self, image_shape: tuple[int, ...], lifting: Lifting):
        super().__init__()
        self.lifting, self.levels = lifting, 256
        self.place = nn.Parameter(torch.zeros(tuple(image_shape)))  # in units of the usual scale
        self.log_scale = nn.Parameter(torch.zeros(tuple(image_shape)))  # against it
        self.register_buffer("usual", torch.ones(tuple(image_shape)))

    @torch.no_grad()
    def begin(self, images: Tensor) -> None:
        """Take median and spread of each coefficient of training pictures, `uint8` (N, C, H, W), to begin with."""
        y = self.lifting(levels_of(images).float())
        median = y.median(0).values
        away = (y - median).abs().mean(0)
        usual = (len(y) * away + 20 * away.mean((-1, -2), keepdim=True)) / (len(y) + 20) / math.sqrt(2)
        self.usual.copy_(usual.clamp_min(0.3))  # E|t| = sqrt(2) for two degrees of freedom
        self.place.copy_(median / self.usual)
        self.log_scale.zero_()

    def forward(self, raw: Tensor) -> LiftedStudent:
        """Decoder output (..., 2 C, H, W) -> distribution over levels, batch shape (...), event shape (C, H, W)."""
        place, log_scale = raw.unflatten(-3, (2, -1)).unbind(-4)  # (..., C, H, W) each
        reach = (self.log_scale + log_scale).clamp(-self.REACH, self.REACH)
        scale = self.usual * reach.exp() + self.FLOOR
        ends = (None, None) if self.lifting.levels or self.lifting.colours else (0, 255)
        coefficients = DiscretisedStudent((self.place + place) * self.usual, scale, *ends, validate_args=False)
        return LiftedStudent(coefficients, self.lifting)

    def coefficients(self, x: Tensor) -> Tensor:
        """Levels (..., C, H, W) as coefficients, from the usual place and in units of the usual scale."""
        return self.lifting(x) / self.usual - self.place.detach()

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> levels 0 .. 255 as `float32`."""
        return levels_of(images).float()

    def encoder_input(self, x: Tensor) -> Tensor:
        """Levels as the centres of their bins, in (0, 1)."""
        return (x + 0.5) / self.levels


class LiftedStudent(Distribution):
    """Pictures of levels whose coefficients are independent Students.

    Some of its mass lies on coefficients that are of no picture with levels 0 .. 255: bits per dimension are no less
    than they could be.

    Args:
        coefficients: batch shape (..., C, H, W).
        lifting: what makes coefficients of levels.
    """

    arg_constraints: dict = {}
    support = constraints.independent(constraints.real, 3)

    def __init__(self, coefficients: DiscretisedStudent, lifting: Lifting):
        self.coefficients, self.lifting = coefficients, lifting
        shape = coefficients.batch_shape
        super().__init__(shape[:-3], shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Levels (..., C, H, W) -> nats (...)."""
        return self.coefficients.log_prob(self.lifting(value)).flatten(-3).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The picture of the coefficients' medians, on the scale [0, 1]."""
        return ((self.lifting.inverse(self.coefficients.loc, exact=False) + 0.5) / 256).clamp(0, 1)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Levels as float."""
        return self.lifting.inverse(self.coefficients.sample(sample_shape)).clamp(0, 255)
