"""Gaussians by their natural parameters, in which a product of densities is a sum of numbers.

    N(z; m, Lambda^-1)  =  constant * exp(h . z - z . Lambda z / 2),    precision Lambda,  shift h = Lambda m

Several views of one picture, or several levels of a hierarchy, are put together by such products. The posterior of z
given views that are independent given z is the prior times what each view says beyond the prior:

    prior = GaussianFactor.of(standard_normal(2))
    q = (prior * (GaussianFactor.of(q_left) / prior) * (GaussianFactor.of(q_right) / prior)).normalised()

Wu & Goodman (2018), "Multimodal generative models for scalable weakly-supervised learning", section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_helpers import checking
from vae_helpers.distributions.divergences import is_diagonal_gaussian


@dataclass(frozen=True, eq=False)
class GaussianFactor:
    """exp(h . z - z . Lambda z / 2), a Gaussian over z up to a constant.

    It need not be a density: what a view says beyond the prior may leave directions of z open (precision 0), and a
    quotient may have a negative precision. Products, quotients and powers are then still defined.

    Args:
        shift: h, (..., D).
        precision: Lambda, (..., D) where it is diagonal, (..., D, D) otherwise.
    Raises:
        ValueError: the shapes do not belong together.
    """

    shift: Tensor
    precision: Tensor

    def __post_init__(self) -> None:
        checking.floating(self.shift, "shift"), checking.floating(self.precision, "precision")
        shape = tuple(self.shift.shape)
        if not shape or tuple(self.precision.shape) not in (shape, (*shape, shape[-1])):
            raise ValueError(
                f"precision {tuple(self.precision.shape)} does not belong to shift {shape}: it must have the same "
                "shape where it is diagonal, or one dimension more. precision.expand(...) repeats one for a batch."
            )

    @classmethod
    def of(cls, q: Distribution) -> GaussianFactor:
        """The factor of a Gaussian: `Independent(Normal, 1)`, or a `MultivariateNormal`."""
        if is_diagonal_gaussian(q):
            precision = q.base_dist.scale.square().reciprocal()
            return cls(precision * q.base_dist.loc, precision)
        if isinstance(q, MultivariateNormal):
            return cls((q.precision_matrix @ q.loc[..., None])[..., 0], q.precision_matrix)
        raise TypeError(
            f"q must be Independent(Normal(mu, sigma), 1) or a MultivariateNormal, not {checking.shown(q)}."
        )

    @property
    def is_diagonal(self) -> bool:
        """Whether the parts of z do not depend on each other."""
        return self.precision.dim() == self.shift.dim()

    def __mul__(self, other: GaussianFactor) -> GaussianFactor:
        """The product of the two functions of z; batch shapes are broadcast."""
        a, b = self._alike(other)
        return GaussianFactor(a.shift + b.shift, a.precision + b.precision)

    def __truediv__(self, other: GaussianFactor) -> GaussianFactor:
        """Their quotient."""
        a, b = self._alike(other)
        return GaussianFactor(a.shift - b.shift, a.precision - b.precision)

    def __pow__(self, weight: Tensor | float) -> GaussianFactor:
        """The function to a power: 1 for a view that was seen and 0 for one that was not, a number or (...)."""
        weight = torch.as_tensor(weight, dtype=self.shift.dtype, device=self.shift.device)[..., None]
        return GaussianFactor(weight * self.shift, (weight if self.is_diagonal else weight[..., None]) * self.precision)

    def normalised(self) -> Independent | MultivariateNormal:
        """The density that is proportional to it, N(Lambda^-1 h, Lambda^-1); batch shape (...), event shape (D,).

        Raises:
            ValueError: a precision is not positive (definite), so that there is none.
        """
        if self.is_diagonal:
            if (self.precision <= 0).any():  # NaN passes: it is for whoever trains to see, as everywhere
                raise ValueError(_NO_DENSITY)
            return Independent(Normal(self.shift / self.precision, self.precision.rsqrt()), 1)
        factor, failed = torch.linalg.cholesky_ex(self.precision)
        if failed.any() or not torch.isfinite(factor).all():
            raise ValueError(_NO_DENSITY)
        mean = torch.cholesky_solve(self.shift[..., None], factor)[..., 0]
        return MultivariateNormal(mean, precision_matrix=self.precision)

    def _alike(self, other: GaussianFactor) -> tuple[GaussianFactor, GaussianFactor]:
        """Both with matrices if one of them has one."""
        if self.is_diagonal == other.is_diagonal:
            return self, other
        return self._as_matrix(), other._as_matrix()

    def _as_matrix(self) -> GaussianFactor:
        return GaussianFactor(self.shift, torch.diag_embed(self.precision)) if self.is_diagonal else self


_NO_DENSITY = (
    "this is not a density: a precision is not positive. Multiply by the prior (once), and let what is divided by the "
    "prior be at least as precise as the prior."
)
