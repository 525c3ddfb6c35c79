"""Gaussian codes: q(z | x) and the prior N(0, I)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_helpers import checking


def diagonal_gaussian(mu: Tensor, log_var: Tensor) -> Independent:
    """N(mu, diag(exp(log_var))).

    Args:
        mu: means (N, D).
        log_var: natural logs of the *variances* (N, D); the standard deviation is exp(log_var / 2).
    Returns:
        batch shape (N,), event shape (D,).
    Raises:
        ValueError: the two shapes differ.
    """
    checking.floating(mu, "mu"), checking.floating(log_var, "log_var")
    if mu.shape != log_var.shape:
        raise ValueError(f"mu {tuple(mu.shape)} and log_var {tuple(log_var.shape)} must have the same shape.")
    return Independent(Normal(mu, torch.exp(0.5 * log_var)), 1)


def standard_normal(
    dims: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Independent:
    """The prior N(0, I) over codes of `dims` dimensions, of torch's usual `dtype` unless told: event shape (dims,)."""
    mean = torch.zeros(checking.integer(dims, "dims"), device=device, dtype=dtype)
    return Independent(Normal(mean, torch.ones_like(mean)), 1)


def soft_bound(raw: Tensor, bound: float = 20.0) -> Tensor:
    """Squash `raw` smoothly into (-bound, bound); the identity to first order at 0.

    Encoders put their log_var through it: exp never overflows, and the gradient is not cut off as by a clamp.
    """
    bound = checking.number(bound, "bound", 1e-3, 1e3)
    return bound * torch.tanh(checking.floating(raw, "raw") / bound)


def kl_by_latent(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu_d, exp(log_var_d)) || N(0, 1)) in nats, of each latent for itself: two tensors (N, D) -> (N, D), >= 0."""
    return 0.5 * (mu.square() + torch.expm1(log_var) - log_var)


def kl_to_standard_normal(q: Independent) -> Tensor:
    """KL(q || N(0, I)) in nats per image, summed over the latent dimensions.

    Closed form for diagonal Gaussians (Kingma & Welling 2014, appendix B).

    Args:
        q: batch shape (N,), event shape (D,).
    Returns:
        (N,), >= 0.
    """
    return kl_by_latent(q.base_dist.loc, 2 * q.base_dist.scale.log()).sum(-1)
