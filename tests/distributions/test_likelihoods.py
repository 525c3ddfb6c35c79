"""Likelihoods: what they prepare, what they accept, and their sigma."""

import math

import pytest
import torch

from vae_helpers import distributions as d
from vae_helpers.models import mlp_vae

LIKELIHOODS = {
    "bernoulli": d.BernoulliLikelihood(),
    "grey": d.GreyBernoulliLikelihood(),
    "continuous": d.ContinuousBernoulliLikelihood(),
    "gaussian": d.GaussianLikelihood(0.1),
    "discretised": d.DiscretisedGaussianLikelihood(0.1),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_accept_what_they_prepare_and_sum_over_pixels(name):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    likelihood, parameters = LIKELIHOODS[name], torch.rand(4, 3, 5, 6)
    x = likelihood.prepare(images)
    p = likelihood(parameters)
    whole = p.log_prob(x)
    assert whole.shape == (4,) and p.mean.shape == images.shape and p.sample().shape == images.shape
    pixels = p.base_dist.log_prob(x)
    assert torch.allclose(whole, pixels.sum((1, 2, 3)), rtol=1e-5)
    alone = torch.cat([likelihood(parameters[i : i + 1]).log_prob(x[i : i + 1]) for i in range(4)])
    assert torch.allclose(whole, alone, rtol=1e-5)  # no image's value depends on the batch


def test_the_bernoulli_refuses_grey_values():
    with pytest.raises(ValueError, match="support"):
        d.BernoulliLikelihood()(torch.zeros(1, 1, 2, 2)).log_prob(torch.full((1, 1, 2, 2), 0.5))


def test_sigma_starts_where_it_is_told_and_stays_above_its_floor():
    for sigma in (0.011, 0.1, 1.0):
        fixed, learned = d.GaussianLikelihood(sigma), d.GaussianLikelihood(sigma, learn_sigma=True)
        assert math.isclose(fixed.sigma.item(), sigma, rel_tol=1e-3)
        assert not list(fixed.parameters()) and len(list(learned.parameters())) == 1
        assert "raw_sigma" in fixed.state_dict()
        with torch.no_grad():
            learned.raw_sigma.fill_(-1e4)
        assert math.isclose(learned.sigma.item(), 0.01, rel_tol=1e-5)
    with pytest.raises(ValueError, match="floor"):
        d.GaussianLikelihood(0.005)


def test_learned_sigma_finds_the_deviation_of_the_data():
    torch.manual_seed(0)
    likelihood = d.GaussianLikelihood(0.5, learn_sigma=True)
    x = 0.5 + 0.07 * torch.randn(2000, 1, 4, 4)
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-likelihood(torch.full_like(x, 0.5)).log_prob(x).mean()).backward()
        optimizer.step()
    assert abs(likelihood.sigma.item() - 0.07) < 0.003


def test_an_encoder_sees_every_kind_of_data_on_the_same_scale():
    images = torch.randint(0, 256, (20, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for likelihood in (d.GaussianLikelihood(0.1), d.DiscretisedGaussianLikelihood(0.1), d.GreyBernoulliLikelihood()):
        seen = likelihood.encoder_input(likelihood.prepare(images))
        assert (seen - images / 255).abs().max() < 1 / 255


def test_a_vae_of_levels_encodes_the_picture_not_the_levels():
    images = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    of_levels = mlp_vae((1, 4, 4), 2, (8,), d.DiscretisedGaussianLikelihood(0.1))
    torch.manual_seed(0)
    of_density = mlp_vae((1, 4, 4), 2, (8,), d.GaussianLikelihood(0.1))
    codes = [m.encode(m.prepare(images)).mean for m in (of_levels, of_density)]
    assert (codes[0] - codes[1]).abs().max() < 0.02
