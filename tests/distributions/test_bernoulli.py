"""Bernoulli pixels, black and white or grey, against torch; finite at extremes."""

import math

import pytest
import torch

from vae_helpers import distributions as d

EXTREME_LOGITS = torch.tensor([-1e4, -100.0, -20.0, -0.0501, -0.0499, 0.0, 1e-6, 0.05, 3.0, 100.0, 1e4])


def test_grey_bernoulli_is_cross_entropy_and_not_a_density():
    logits = torch.tensor([0.7], dtype=torch.float64)
    x = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    p = torch.sigmoid(logits)
    value = d.GreyBernoulli(logits).log_prob(x)
    assert torch.allclose(value, x * p.log() + (1 - x) * (1 - p).log())
    assert torch.trapezoid(value.exp(), x) < 0.9  # it does not integrate to one, and the docstring says so


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 5), (3, 28, 28)])
@pytest.mark.parametrize("likelihood, grey", [(d.BernoulliLikelihood(), False), (d.GreyBernoulliLikelihood(), True)])
def test_an_images_log_probability_is_the_sum_over_its_pixels(shape, likelihood, grey):
    generator = torch.Generator().manual_seed(0)
    logits = 10 * torch.randn(6, 2, *shape, generator=generator, dtype=torch.float64)  # 6 draws for each of 2 images
    x = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
    x = x if grey else x.round()
    exact = (x * logits - torch.logaddexp(logits, torch.zeros_like(logits))).sum((-3, -2, -1))
    assert torch.allclose(likelihood(logits).log_prob(x), exact, atol=1e-12, rtol=1e-12)
    in_float = likelihood(logits.float()).log_prob(x.float())
    # a pixel's term is rounded to half an ulp of the logit, its sigmoid to a few ulps of 1
    assert (in_float - exact).abs().max() <= 6e-8 * (logits.abs().sum((-3, -2, -1)).max() + 5 * math.prod(shape))
    assert (in_float <= 0).all() and in_float.shape == (6, 2)


def test_an_images_log_probability_has_the_slopes_of_its_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(3, 2, 1, 2, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    x = torch.rand(2, 1, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()

    def log_prob(logits, x):
        return d.GreyBernoulliLikelihood()(logits).log_prob(x)

    assert torch.autograd.gradcheck(log_prob, (logits, x)) and torch.autograd.gradgradcheck(log_prob, (logits, x))
    (slope,) = torch.autograd.grad(log_prob(logits, x).sum(), logits)
    assert torch.allclose(slope, x - torch.sigmoid(logits))


def test_an_images_log_probability_survives_extremes_and_still_checks():
    a = torch.stack([EXTREME_LOGITS, -EXTREME_LOGITS])[:, None, None, :]
    p = d.BernoulliLikelihood()(a)
    sure = p.log_prob((a > 0).float())  # each pixel is what it is sure of, so that the sum is that of softplus(-|a|)
    assert torch.allclose(sure, -torch.log1p(torch.exp(-a.abs())).sum((1, 2, 3)), atol=1e-6)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(torch.full_like(a, 0.5))
    assert type(p.expand((3, 2))).__name__ == type(p).__name__
    assert torch.allclose(p.expand((3, 2)).log_prob((a > 0).float()), sure.expand(3, 2))
    assert torch.allclose(p.log_prob(torch.ones(())), p.base_dist.log_prob(torch.ones(())).sum((1, 2, 3)))  # broadcast
    assert p.log_prob((a > 0).double()).shape == (2,)


def test_grey_bernoulli_is_finite_at_extreme_logits():
    for x in (0.0, 0.5, 1.0):
        logits = EXTREME_LOGITS.clone().requires_grad_()
        value = d.GreyBernoulli(logits).log_prob(torch.full_like(logits, x))
        value.sum().backward()
        assert torch.isfinite(value).all() and torch.isfinite(logits.grad).all(), x


def test_values_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="support"):
        d.GreyBernoulli(torch.zeros(2)).log_prob(torch.tensor([0.5, 1.5]))
