"""KL divergences between any two distributions, in closed form or by sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from vae_helpers import checking


def kl(q: Distribution, p: Distribution) -> Tensor:
    """KL(q || p) in nats per image, in closed form.

    Between diagonal Gaussians, the sum over dimensions of [expm1(r) - r + (mu_q - mu_p)^2 / var_p] / 2 with
    r = log var_q - log var_p; for p = N(0, I) that is Kingma & Welling (2014), appendix B. expm1 keeps its digits where
    q is nearly p. For all other pairs, what torch knows.

    Args:
        q, p: distributions with the same event shape, `Independent` over the latent dimensions.
    Returns:
        (N,), >= 0.
    Raises:
        ValueError: their event shapes differ.
        TypeError: no closed form is known for this pair.
    """
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"q and p must have the same event shape, not {tuple(q.event_shape)} and {tuple(p.event_shape)}: both "
            "Independent(Normal(mu, sigma), 1), say, with equally many dimensions."
        )
    if is_diagonal_gaussian(q) and is_diagonal_gaussian(p):
        q, p = q.base_dist, p.base_dist
        log_ratio = 2 * (q.scale.log() - p.scale.log())
        distance = ((q.loc - p.loc) / p.scale).square()
        return 0.5 * (distance + torch.expm1(log_ratio) - log_ratio).sum(-1)
    try:
        return kl_divergence(q, p)
    except NotImplementedError as error:
        raise TypeError(
            f"no closed form is known for KL({_family(q)} || {_family(p)}). Override `elbo` in the model, or estimate "
            "it: vae_helpers.kl_monte_carlo(q, p)."
        ) from error


def kl_monte_carlo(q: Distribution, p: Distribution, samples: int = 1) -> Tensor:
    """An unbiased estimate of KL(q || p) from `samples` draws of q: the mean of log q(z) - log p(z).

    A single estimate may be negative though the divergence is not.

    Args:
        q, p: distributions with the same event shape.
        samples: draws per image, >= 1.
    Returns:
        (N,), nats per image, differentiable through the samples.
    """
    z = q.rsample((checking.integer(samples, "samples"),))  # (samples, N, D)
    return (q.log_prob(z) - p.log_prob(z)).mean(0)


def is_diagonal_gaussian(q: Any) -> bool:
    """Whether q is `Independent(Normal, 1)`: a Gaussian over vectors whose parts do not depend on each other."""
    return isinstance(q, Independent) and type(q.base_dist) is Normal and q.reinterpreted_batch_ndims == 1


def _family(q: Distribution) -> str:
    return type(q.base_dist if isinstance(q, Independent) else q).__name__
