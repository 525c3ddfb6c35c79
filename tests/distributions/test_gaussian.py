"""Gaussian codes and their KL, against torch and by hand; finite at extremes."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vae_helpers import distributions as d


def some_gaussians(n=6, dims=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    mu = 3 * torch.randn(n, dims, generator=g, dtype=torch.float64) + 2  # away from (0, 1)
    log_var = 2 * torch.randn(n, dims, generator=g, dtype=torch.float64) - 1
    return mu, log_var


def test_log_var_is_the_log_of_the_variance_for_the_sampler_and_for_the_kl():
    mu, log_var = torch.full((200_000, 1), 1.5), torch.full((200_000, 1), math.log(4.0))
    q = d.diagonal_gaussian(mu, log_var)
    z = q.rsample()
    assert abs(z.std() - 2.0) < 0.02 and abs(z.mean() - 1.5) < 0.02
    # KL(N(1.5, 4) || N(0, 1)) by hand: (1.5^2 + 4 - 1 - log 4) / 2
    assert math.isclose(d.kl_to_standard_normal(q)[0].item(), (2.25 + 4 - 1 - math.log(4)) / 2, rel_tol=1e-5)


def test_the_kl_of_each_latent_is_torchs():
    mu, log_var = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    told = d.gaussian.kl_by_latent(mu, log_var)
    each = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0))
    assert told.shape == (6, 3) and torch.allclose(told, each, atol=1e-6)
    assert d.gaussian.kl_by_latent(torch.zeros(1), torch.full((1,), 1e-4)) > 0  # expm1 keeps its digits


def test_kl_to_standard_normal_is_torchs_and_is_summed_over_dimensions():
    q = d.diagonal_gaussian(*some_gaussians())
    closed = d.kl_to_standard_normal(q)
    assert closed.shape == (6,)
    assert torch.allclose(closed, kl_divergence(q, d.standard_normal(5)), rtol=1e-9)
    per_dimension = kl_divergence(q.base_dist, Normal(0.0, 1.0))
    assert torch.allclose(closed, per_dimension.sum(-1), rtol=1e-9)


def test_kl_is_zero_at_the_prior_and_nowhere_negative():
    assert d.kl_to_standard_normal(d.diagonal_gaussian(torch.zeros(1, 4), torch.zeros(1, 4))).item() == 0
    mu, log_var = 1e-4 * torch.randn(1000, 3), 1e-4 * torch.randn(1000, 3)
    assert (d.kl_to_standard_normal(d.diagonal_gaussian(mu, log_var)) >= -1e-7).all()


@pytest.mark.parametrize("log_var", [-80.0, -20.0, 0.0, 20.0, 80.0])
def test_kl_and_gradient_are_finite_at_extreme_log_variances(log_var):
    mu, lv = torch.full((1, 3), 1e3, requires_grad=True), torch.full((1, 3), log_var, requires_grad=True)
    value = d.kl_to_standard_normal(d.diagonal_gaussian(mu, lv))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(mu.grad).all() and torch.isfinite(lv.grad).all()
    assert torch.allclose(lv.grad, 0.5 * (torch.exp(lv.detach()) - 1), rtol=1e-3)


def test_soft_bound_keeps_small_values_and_never_overflows():
    raw = torch.tensor([-1e6, -1.0, 0.0, 1.0, 1e6], requires_grad=True)
    bounded = d.soft_bound(raw)
    bounded.sum().backward()
    assert bounded.abs().max() <= 20 and torch.isfinite(torch.exp(bounded)).all()
    assert torch.allclose(bounded[1:4], raw[1:4].detach(), atol=2e-3)
    assert torch.isfinite(raw.grad).all() and raw.grad[2] == 1


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        d.diagonal_gaussian(torch.zeros(2, 3), torch.zeros(3))
