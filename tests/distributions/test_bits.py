"""Bits per dimension, and what dequantisation has to do with them."""

import math

import pytest
import torch
from torch.distributions import Normal

from vae_helpers import distributions as d


def test_bits_per_dim_of_the_uniform_is_the_log_of_the_levels():
    dims, levels = 12, 256
    assert math.isclose(d.bits_per_dim(dims * math.log(levels), dims), 8)  # a probability: each level has 1 / 256
    assert math.isclose(d.bits_per_dim(0.0, dims, levels), 8)  # a density: 1 on [0, 1], so its log is 0
    with pytest.raises(ValueError, match="dims"):
        d.bits_per_dim(1.0, 0)


def test_a_dequantised_density_bounds_the_probability_of_the_levels():
    """E_u[log p(k + u)] - log(levels) <= log P(k), by Jensen; and they meet where the density is flat in a bin."""
    levels, mean, sigma = 16, 0.4, 0.2
    u = torch.linspace(0, 1, 2001, dtype=torch.float64)
    mass = d.DiscretisedGaussian(torch.tensor(mean, dtype=torch.float64), sigma, levels)
    for k in range(1, 15):
        log_density = Normal(mean, sigma).log_prob((k + u) / levels)
        bound = torch.trapezoid(log_density, u) - math.log(levels)
        exact = mass.log_prob(torch.tensor(float(k)))
        assert bound <= exact + 1e-9 and exact - bound < 0.1
