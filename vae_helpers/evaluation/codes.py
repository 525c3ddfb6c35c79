"""What a trained encoder does with its latent dimensions, and how far its codes as a whole are from the prior.

For models whose q(z | x) and prior are diagonal Gaussians. Everything here is about the images
that are given, and is computed in `float64` on the CPU from the means and variances of their q(z | x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_helpers import checking
from vae_helpers.distributions import kl
from vae_helpers.distributions.divergences import is_diagonal_gaussian
from vae_helpers.evaluation.bounds import Estimate, over_batches

PAIRS_AT_A_TIME = 2**21  # densities of codes under components in memory, as float64


@dataclass(frozen=True, eq=False)
class ActiveUnits:
    """How far the mean code moves from image to image, by latent dimension."""

    variances: Tensor  # (D,): Var_x(E_q[z_d | x]); the prior's variance is 1
    threshold: float

    @property
    def active(self) -> Tensor:
        """Which dimensions are in use, bool (D,)."""
        return self.variances > self.threshold

    @property
    def count(self) -> int:
        """How many dimensions are in use."""
        return int(self.active.sum())


class AggregatePosterior(NamedTuple):
    """The first two moments of q(z), the mean of q(z | x) over images. q(z) itself is a mixture, not a Gaussian."""

    mean: Tensor  # (D,)
    covariance: Tensor  # (D, D)

    @property
    def moment_matched_kl(self) -> float:
        """KL(N(mean, covariance) || N(0, I)) in nats, >= 0.

        The Gaussian with the moments of q(z), not q(z): KL(q(z) || N(0, I)) is at least this large, and larger by
        exactly KL(q(z) || N(mean, covariance)). Zero does not mean that q(z) is the prior.
        """
        variances = torch.linalg.eigvalsh(self.covariance).clamp_min(0)  # (D,), along the principal axes
        return 0.5 * (self.mean.square().sum() + (variances - 1 - variances.log()).sum()).item()


class KLDecomposition(NamedTuple):
    """mean_kl = mutual_information + marginal_kl, all in nats; the errors are those of the draws of z alone."""

    mean_kl: float  # the mean over images of KL(q(z | x) || p(z)), in closed form
    mutual_information: Estimate  # between the index of the image and z; at most log N
    marginal_kl: Estimate  # KL(q(z) || p(z))


@torch.no_grad()
def active_units(
    model: Any, data: Tensor | Sequence[Tensor], threshold: float = 0.01, batch_size: int = 500, seed: int = 0
) -> ActiveUnits:
    """Which latent dimensions depend on the image: Var_x(E_q[z_d | x]) > threshold (Burda et al. 2016, section 5.2).

    Args:
        model: a VAE.
        data: stored images, `uint8` (N, C, H, W), or (images, *conditions), as for `evaluate`; N >= 2, and the variance
            over them divides by N.
        threshold: on the scale of the prior's variance, 1; theirs is 0.01.
        batch_size: images at a time.
        seed: of preparation (dequantisation, binarisation).
    Returns:
        ActiveUnits: `variances` (D,), `active` (D,), `count`.
    Raises:
        TypeError: not such data, or q(z | x) is not a diagonal Gaussian.
        ValueError: fewer than two images.
    """
    threshold = checking.number(threshold, "threshold", 0)
    if len(checking.together(data, "data")[0]) < 2:
        raise ValueError("data must hold at least two images, for the variance over them; there is only one.")
    q = posteriors(model, data, batch_size, seed)
    return ActiveUnits(q.mean.var(0, correction=0), threshold)


@torch.no_grad()
def aggregate_posterior(
    model: Any, data: Tensor | Sequence[Tensor], batch_size: int = 500, seed: int = 0
) -> AggregatePosterior:
    """Mean and covariance of q(z) = (1/N) sum_n q(z | x_n), exactly: Cov(means) + the mean of the covariances.

    Args:
        model, batch_size, seed: as for `active_units`.
        data: stored images, `uint8` (N, C, H, W), or (images, *conditions), as for `evaluate`.
    Returns:
        AggregatePosterior: `mean` (D,), `covariance` (D, D), `moment_matched_kl` in nats.
    Raises:
        TypeError: not such data, or q(z | x) is not a diagonal Gaussian.
    """
    q = posteriors(model, data, batch_size, seed)
    mean = q.mean.mean(0)  # (D,)
    centred = q.mean - mean  # (N, D)
    return AggregatePosterior(mean, centred.T @ centred / len(centred) + q.variance.mean(0).diag())


@torch.no_grad()
def kl_decomposition(
    model: Any, data: Tensor | Sequence[Tensor], samples: int = 10, batch_size: int = 500, seed: int = 0
) -> KLDecomposition:
    """The KL term of the ELBO in two parts (Hoffman & Johnson 2016, "ELBO surgery").

    E_n[KL(q(z | x_n) || p(z))] = I(n; z) + KL(q(z) || p(z)), with q(z) = (1/N) sum_n q(z | x_n) over the N given
    images: what a code tells about its image, and what keeps draws of the prior from being like codes.

    I is estimated by the mean of log q(z | x_n) - log q(z) over `samples` draws z ~ q(z | x_n) for every image, with
    all N components in q(z); the marginal KL is the rest. Both are unbiased, and may come out slightly negative.
    No draw exceeds log N, so I never does: near log N it says that N is too small, not how much z knows. For the
    same reason compare decompositions at equal N only. The standard errors hold the N images fixed.

    Time grows with N^2 * samples; memory does not.

    Args:
        model, data, batch_size: as for `aggregate_posterior`.
        samples: draws of z per image, >= 2 (their spread is the standard error).
        seed: of preparation and draws.
    Returns:
        KLDecomposition, nats.
    Raises:
        TypeError: not such data, or q(z | x) is not a diagonal Gaussian.
        ValueError: samples < 2.
    """
    samples = checking.integer(samples, "samples", 2, cure="Their spread gives the standard error.")
    seed = checking.seed(seed)  # torch's generators take no NumPy number
    q = posteriors(model, data, batch_size, seed)
    excess = _log_excess(q, samples, torch.Generator().manual_seed(seed))  # (S, N)
    information = excess.mean().item()
    error = (excess.var(0) / samples).sum().sqrt().item() / len(q.mean)  # the images are strata of the draws
    mean_kl = kl(q, _diagonal(model.prior, "model.prior must be")).mean().item()
    return KLDecomposition(mean_kl, Estimate(information, error), Estimate(mean_kl - information, error))


def _log_excess(q: Independent, samples: int, generator: torch.Generator) -> Tensor:
    """log q(z | x_n) - log q(z) at `samples` draws z ~ q(z | x_n) for each n: (S, N), each <= log N."""
    mu, sigma = q.base_dist.loc, q.base_dist.scale  # (N, D)
    z = mu + sigma * torch.randn(samples, *mu.shape, generator=generator, dtype=mu.dtype)  # (S, N, D)
    return q.log_prob(z) - _log_mixture(q, z.flatten(0, 1)).unflatten(0, (samples, -1))


def _log_mixture(q: Independent, z: Tensor) -> Tensor:
    """log (1/N) sum_n q(z | x_n): codes (M, D) -> (M,); the log of a mean, not the mean of logs.

    A Gaussian's log density is linear in (z, z^2), so that all pairs of codes and components are one product of
    matrices. The codes are centred first: the product's terms stay small where all codes lie far from 0.
    """
    centre = q.mean.mean(0)  # (D,)
    mu, variance = q.mean - centre, q.variance  # (N, D)
    slopes = torch.cat([mu / variance, -0.5 / variance], -1)  # (N, 2 D)
    constants = -0.5 * (mu.square() / variance + torch.log(2 * math.pi * variance)).sum(-1)  # (N,)
    parts = []
    for piece in (z - centre).split(max(1, PAIRS_AT_A_TIME // len(mu))):  # (m, D)
        log_densities = torch.cat([piece, piece.square()], -1) @ slopes.T + constants  # (m, N)
        parts.append(torch.logsumexp(log_densities, -1))
    return torch.cat(parts) - math.log(len(mu))


def posteriors(model: Any, data: Tensor | Sequence[Tensor], batch_size: int = 500, seed: int = 0) -> Independent:
    """q(z | x) of all images as one batch of diagonal Gaussians, float64 on the CPU: batch (N,), event (D,)."""

    def moments(x: Tensor, *conditions: Tensor) -> Tensor:
        q = _diagonal(model.encode(x, *conditions), "model.encode must return")
        return torch.stack([q.base_dist.loc, q.base_dist.scale], 1)  # (n, 2, D)

    mu, sigma = over_batches(moments, model, data, batch_size, seed).unbind(1)  # (N, D) each
    return Independent(Normal(mu, sigma), 1)


def _diagonal(q: Any, must: str) -> Independent:
    """A diagonal Gaussian in `float64` on the CPU."""
    if not is_diagonal_gaussian(q):
        raise TypeError(f"{must} a diagonal Gaussian, Independent(Normal, 1), not {type(q).__name__}.")
    mu, sigma = (parameter.cpu().double() for parameter in (q.base_dist.loc, q.base_dist.scale))
    return Independent(Normal(mu, sigma), 1)
