"""KL divergences between any two distributions, in closed form or by sampling."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from vae_helpers import checking


def kl(q: Distribution, p: Distribution) -> Tensor:
    """KL(q || p) in nats per image, in the closed form that torch knows for the pair.

    Args:
        q, p: distributions with the same event shape, `Independent` over the latent dimensions.
    Returns:
        (N,), >= 0.
    """
    return kl_divergence(q, p)


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
