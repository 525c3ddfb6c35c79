"""The probability of whole numbers under Student's t with two degrees of freedom."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_helpers import checking


class DiscretisedStudent(Distribution):
    """A Student density's mass between k - 1/2 and k + 1/2, for whole numbers k; the tails go on without end.

    With two degrees of freedom the share above x has a closed form, S(x) = 1 / (r (r + x)) with r = sqrt(2 + x^2). Its
    tail falls as 1 / (2 x^2): a number that nobody expected costs some bits, and not the square of its distance.

    Args:
        loc: the median, any shape.
        scale: > 0, in the same unit.
        low, high: whole numbers at which it ends: they get all of what lies beyond. None: no end.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        low: int | None = None,
        high: int | None = None,
        validate_args: bool | None = None,
    ):
        self.loc, self.scale = torch.broadcast_tensors(checking.floating(loc, "loc"), checking.floating(scale, "scale"))
        self.low, self.high = low, high
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The median, which is the mean before rounding."""
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of whole numbers, elementwise, <= 0."""
        away, half = (value - self.loc) / self.scale, 0.5 / self.scale
        mirrored = away < 0  # both shares are taken in the tail that is theirs, where no digits are lost
        near, far = away.abs() - half, away.abs() + half
        inner, outer = _above(near), _above(far)
        if self.low is not None:
            last, first = value == self.low, value == self.high
            inner = torch.where(torch.where(mirrored, first, last), 1.0, inner)
            outer = torch.where(torch.where(mirrored, last, first), 0.0, outer)
        return torch.log(inner - outer)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Whole numbers as floats: a draw of the density, rounded."""
        u = torch.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        u = u.clamp(1e-6, 1 - 1e-6)
        t = (2 * u - 1) * math.sqrt(0.5) / (u * (1 - u)).sqrt()  # the inverse of 1 - S
        drawn = torch.round(self.loc + self.scale * t)
        return drawn if self.low is None else drawn.clamp(self.low, self.high)


def _above(x: Tensor) -> Tensor:
    """S(x): the share of Student's t with two degrees of freedom above x."""
    r = torch.sqrt(2 + x.square())
    tail = 1 / (r * (r + x.abs()))
    return torch.where(x >= 0, tail, 1 - tail)
