"""The probability of grey levels, against quadrature and sampling; finite far out."""

import math

import pytest
import torch
from torch.distributions import Normal

from vae_helpers import distributions as d


@pytest.mark.parametrize(("mean", "sigma"), [(0.5, 0.1), (0.0, 0.01), (1.3, 0.05), (-2.0, 0.3), (0.37, 5.0)])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretised_gaussian_sums_to_one(mean, sigma, levels):
    p = d.DiscretisedGaussian(torch.tensor(mean, dtype=torch.float64), sigma, levels)
    total = torch.logsumexp(p.log_prob(torch.arange(levels, dtype=torch.float64)), 0)
    assert abs(total) < 1e-6


def test_discretised_gaussian_is_the_mass_in_each_bin():
    levels, mean, sigma = 17, 0.4, 0.08
    p = d.DiscretisedGaussian(torch.tensor(mean, dtype=torch.float64), sigma, levels)
    for k in (3, 6, 7, 12):
        x = torch.linspace(k / levels, (k + 1) / levels, 20_001, dtype=torch.float64)
        mass = torch.trapezoid(Normal(mean, sigma).log_prob(x).exp(), x)
        assert math.isclose(p.log_prob(torch.tensor(float(k))).exp().item(), mass.item(), rel_tol=1e-5)


@pytest.mark.parametrize("mean", [-50.0, -1.0, 0.0, 0.5, 1.0, 50.0])
@pytest.mark.parametrize("sigma", [1e-3, 0.1, 100.0])
def test_discretised_gaussian_is_finite_far_out(mean, sigma):
    loc = torch.full((256,), mean, requires_grad=True)
    scale = torch.tensor(sigma, requires_grad=True)
    value = d.DiscretisedGaussian(loc, scale).log_prob(torch.arange(256.0))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(loc.grad).all() and torch.isfinite(scale.grad)
    assert (value <= 1e-6).all()


def test_discretised_gaussian_samples_follow_its_probabilities():
    torch.manual_seed(0)
    p = d.DiscretisedGaussian(torch.tensor(0.9), 0.2, 5)
    counts = torch.bincount(p.sample((100_000,)).long(), minlength=5) / 100_000
    assert torch.allclose(counts, p.log_prob(torch.arange(5.0)).exp(), atol=0.006)
