"""The probability of grey levels under a logistic density."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_helpers import checking


class DiscretisedLogistic(Distribution):
    """A logistic density's probability mass in each of `levels` bins, the outermost open (Salimans et al. 2017, eq. 2).

    The distribution function is a sigmoid, and a difference of sigmoids is a product,
    sigmoid(b) - sigmoid(a) = (1 - exp(a - b)) sigmoid(b) sigmoid(-a), so that its logarithm loses no digits anywhere.

    Level k stands at (k + 1/2) / levels, the centre of its bin [k / levels, (k + 1) / levels).

    Args:
        loc: the mean, any shape, on the scale [0, 1].
        scale: of the logistic, > 0, on the same scale; its standard deviation is scale pi / sqrt(3).
        levels: number of levels, >= 2.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Tensor, scale: Tensor, levels: int = 256, validate_args: bool | None = None):
        self.levels = checking.integer(levels, "levels", 2)
        numbers = checking.floating(loc, "loc"), checking.floating(scale, "scale")
        loc, scale = (number.to(torch.promote_types(number.dtype, torch.float32)) for number in numbers)
        try:
            self.loc, self.scale = torch.broadcast_tensors(loc, scale)
        except RuntimeError as error:
            shapes = f"scale {tuple(scale.shape)} and loc {tuple(loc.shape)}"
            raise ValueError(f"{shapes} cannot be broadcast against each other: give one number for all.") from error
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Whole numbers 0 .. levels - 1."""
        return constraints.integer_interval(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """The mean of the logistic before rounding, on the scale [0, 1]."""
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of level `value` (a whole number, as float or int), elementwise, <= 0."""
        if self._validate_args:
            self._validate_sample(value)
        low, high = ((edge / self.levels - self.loc) / self.scale for edge in (value, value + 1))
        first, last = value == 0, value == self.levels - 1
        above_low = torch.where(first, 0.0, F.logsigmoid(-low))
        below_high = torch.where(last, 0.0, F.logsigmoid(high))
        width = 1 / (self.levels * self.scale)  # high - low, without subtracting them
        return above_low + below_high + torch.where(first | last, 0.0, torch.log(-torch.expm1(-width)))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Levels as float: a logistic draw put into its bin."""
        loc = self.loc.expand(self._extended_shape(sample_shape))
        noise = torch.logit(torch.rand_like(loc), eps=1e-6)
        return torch.floor((loc + self.scale * noise) * self.levels).clamp(0, self.levels - 1)
