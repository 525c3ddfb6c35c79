"""The probability of grey levels under a Gaussian."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_helpers import checking

FAR_TAIL = -50.0  # beyond it torch's log_ndtr has a gradient of rounding errors


def log_ndtr(x: Tensor) -> Tensor:
    """log of the standard normal's distribution function, with a finite gradient however far out.

    Beyond `FAR_TAIL` by the first term of the asymptotic series, phi(x) / -x, whose relative error is 1 / x^2.
    """
    if checking.floating(x, "x").dtype in (torch.float16, torch.bfloat16):  # which torch cannot do on every device
        return log_ndtr(x.float()).to(x)
    far = x < FAR_TAIL
    tail = torch.where(far, x, FAR_TAIL)
    series = -0.5 * tail.square() - torch.log(-tail) - 0.5 * math.log(2 * math.pi)
    return torch.where(far, series, torch.special.log_ndtr(torch.where(far, 0.0, x)))


class DiscretisedGaussian(Distribution):
    """A Gaussian's probability mass in each of `levels` bins; the outermost bins reach to infinity, so it sums to 1.

    Level k stands at (k + 1/2) / levels, the centre of its bin [k / levels, (k + 1) / levels). (The same
    construction with a logistic density: Salimans et al. 2017, equation 2.)

    Args:
        mean: any shape, on the scale [0, 1]; half precision is made `float32`.
        sigma: standard deviation on the same scale, > 0, broadcast against `mean`.
        levels: number of levels, >= 2.
    """

    arg_constraints = {"loc": constraints.real, "sigma": constraints.positive}

    def __init__(self, mean: Tensor, sigma: Tensor | float, levels: int = 256, validate_args: bool | None = None):
        self.levels = checking.integer(levels, "levels", 2)
        mean = checking.floating(mean, "mean").to(torch.promote_types(mean.dtype, torch.float32))
        sigma = sigma if isinstance(sigma, Tensor) else checking.positive(sigma, "sigma")
        sigma = torch.as_tensor(sigma, dtype=mean.dtype).to(mean.device)
        try:
            self.loc, self.sigma = torch.broadcast_tensors(mean, sigma)
        except RuntimeError as error:
            shapes = f"sigma {tuple(sigma.shape)} and mean {tuple(mean.shape)}"
            raise ValueError(f"{shapes} cannot be broadcast against each other: give one number for all.") from error
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Whole numbers 0 .. levels - 1."""
        return constraints.integer_interval(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """The mean of the Gaussian before rounding, on the scale [0, 1]."""
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of level `value` (a whole number, as float or int), elementwise, <= 0."""
        if self._validate_args:
            self._validate_sample(value)
        low, high = (
            (value / self.levels - self.loc) / self.sigma,
            ((value + 1) / self.levels - self.loc) / self.sigma,
        )
        # By symmetry every bin is moved to the left tail, where log_ndtr keeps its digits.
        flip = low + high > 0
        low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
        first, last = (value == 0), (value == self.levels - 1)
        open_left = torch.where(flip, last, first)  # the bin reaches to -infinity (after the flip)
        open_right = torch.where(flip, first, last)
        low = torch.where(open_left, high - 1.0, low)  # any finite edge: it is not used
        log_high = torch.where(open_right, 0.0, log_ndtr(torch.where(open_right, 0.0, high)))
        # log(exp(log_high) - exp(log_low)); far out, log_high - log_low without subtracting two huge numbers
        far = (high < FAR_TAIL) & ~open_right
        far_high, far_low = torch.where(far, high, FAR_TAIL), torch.where(far, low, 2 * FAR_TAIL)
        far_gap = 0.5 * (far_low - far_high) * (far_low + far_high) + torch.log(far_low / far_high)
        gap = torch.where(far, far_gap, log_high - log_ndtr(low)).clamp_min(1e-7)
        return log_high + torch.where(open_left, 0.0, torch.log(-torch.expm1(-gap)))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Levels as float: a Gaussian draw put into its bin."""
        shape = self._extended_shape(sample_shape)
        x = self.loc.expand(shape) + self.sigma.expand(shape) * torch.randn(shape, device=self.loc.device)
        return torch.floor(x * self.levels).clamp(0, self.levels - 1)
