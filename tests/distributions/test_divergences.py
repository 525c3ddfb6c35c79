"""KL divergences by sampling, against the closed form."""

import math

import pytest
import torch

from tests.distributions.test_gaussian import some_gaussians
from vae_helpers import distributions as d


def test_monte_carlo_kl_agrees_with_the_closed_form_within_its_error():
    torch.manual_seed(0)
    q, p = d.diagonal_gaussian(*some_gaussians(seed=1)), d.diagonal_gaussian(*some_gaussians(seed=2))
    draws = torch.stack([d.kl_monte_carlo(q, p, 500) for _ in range(40)])  # (40, N)
    error = draws.std(0) / math.sqrt(40)
    assert ((draws.mean(0) - d.kl(q, p)).abs() < 4 * error).all()
    assert (draws.std(0) > 0).all()


def test_monte_carlo_kl_is_differentiable_through_the_samples():
    mu = torch.tensor([[1.0, -2.0]], requires_grad=True)
    torch.manual_seed(0)
    q = d.diagonal_gaussian(mu, torch.zeros(1, 2))
    d.kl_monte_carlo(q, d.standard_normal(2), 20_000).sum().backward()
    assert torch.allclose(mu.grad, mu.detach(), atol=0.05)  # d/dmu of mu^2 / 2


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="samples"):
        d.kl_monte_carlo(d.standard_normal(2), d.standard_normal(2), 0)
