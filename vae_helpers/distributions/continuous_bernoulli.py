"""The continuous Bernoulli, a density on grey values, stable where torch's is not."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_helpers import checking


class ContinuousBernoulli(Distribution):
    """A density on [0, 1] proportional to exp(x * logits) (Loaiza-Ganem & Cunningham 2019).

    Their normaliser C(p) (equation 9), written in the logit a = log(p / (1 - p)), is a / tanh(a / 2) once the
    Bernoulli's own softplus(a) is divided out, which is smooth at a = 0 and does not overflow.

    Args:
        logits: any shape.
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _SMALL = 0.05  # below it the series of log C and of the mean is exact to float32

    def __init__(self, logits: Tensor, validate_args: bool | None = None):
        self.logits = checking.floating(logits, "logits")
        super().__init__(logits.shape, validate_args=validate_args)

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the logit is near zero, and the logit with the other half replaced by something harmless."""
        small = self.logits.abs() < self._SMALL
        return small, torch.where(small, self.logits, 0.0), torch.where(small, 1.0, self.logits)

    def log_normaliser(self) -> Tensor:
        """log C = log(a / tanh(a / 2)); log 2 at a = 0."""
        small, near, far = self._split()
        series = math.log(2) + near.square() / 12 - near.pow(4) * (7 / 1440)
        magnitude = far.abs()
        exact = magnitude.log() - torch.log(torch.tanh(magnitude / 2))
        return torch.where(small, series, exact)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) in nats, elementwise; may be positive, as densities may."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits + F.logsigmoid(-self.logits) + self.log_normaliser()

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 - exp(-a)) - 1 / a; 1/2 at a = 0. Not the sigmoid of the logit."""
        small, near, far = self._split()
        series = 0.5 + near / 12 - near.pow(3) / 720
        return torch.where(small, series, 0.5 / torch.tanh(far / 2) + 0.5 - 1 / far)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draws by the inverse of the distribution function: log(1 + u (e^a - 1)) / a."""
        u = torch.rand(self._extended_shape(sample_shape), device=self.logits.device).clamp_min(1e-7)
        small, near, far = self._split()
        magnitude = far.abs()  # by symmetry: draw for |a|, and reflect where a < 0
        drawn = 1 + torch.log(u + (1 - u) * torch.exp(-magnitude)) / magnitude
        drawn = torch.where(far > 0, drawn, 1 - drawn)
        uniform = u + 0.5 * near * u * (1 - u)  # to first order in a
        return torch.where(small, uniform, drawn).clamp(0, 1)
