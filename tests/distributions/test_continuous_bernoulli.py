"""The continuous Bernoulli, against quadrature, sampling and torch; finite at extremes."""

import math

import pytest
import torch
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from tests.distributions.test_bernoulli import EXTREME_LOGITS
from vae_helpers import distributions as d


@pytest.mark.parametrize("logit", [-30.0, -3.0, -0.06, -0.01, 0.0, 0.01, 0.04, 0.06, 1.0, 30.0])
def test_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    p = d.ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))
    density = p.log_prob(x).exp()
    assert math.isclose(torch.trapezoid(density, x).item(), 1, rel_tol=1e-6)
    assert math.isclose(torch.trapezoid(density * x, x).item(), p.mean.item(), rel_tol=1e-5)


def test_continuous_bernoulli_is_torchs_where_torch_is_stable():
    logits, x = torch.tensor([-4.0, -1.0, 0.5, 3.0]), torch.tensor([0.1, 0.9, 0.3, 0.7])
    ours, torchs = d.ContinuousBernoulli(logits), TorchContinuousBernoulli(logits=logits)
    assert torch.allclose(ours.log_prob(x), torchs.log_prob(x), atol=1e-4)
    assert torch.allclose(ours.mean, torchs.mean, atol=1e-4)


@pytest.mark.parametrize("logit", [-8.0, -0.04, 0.0, 0.03, 2.0])
def test_continuous_bernoulli_samples_have_its_mean(logit):
    torch.manual_seed(0)
    p = d.ContinuousBernoulli(torch.full((100_000,), logit))
    x = p.rsample()
    assert x.min() >= 0 and x.max() <= 1
    assert abs(x.mean() - p.mean[0]) < 0.004


def test_continuous_bernoulli_gradient_is_smooth_across_the_series():
    logits = torch.tensor([0.0499, 0.0501], dtype=torch.float64, requires_grad=True)
    d.ContinuousBernoulli(logits).log_prob(torch.tensor(0.3)).sum().backward()
    assert abs(logits.grad[0] - logits.grad[1]) < 1e-4


def test_continuous_bernoulli_is_finite_at_extreme_logits():
    for x in (0.0, 0.5, 1.0):
        logits = EXTREME_LOGITS.clone().requires_grad_()
        value = d.ContinuousBernoulli(logits).log_prob(torch.full_like(logits, x))
        value.sum().backward()
        assert torch.isfinite(value).all() and torch.isfinite(logits.grad).all(), x


def test_values_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match="support"):
        d.ContinuousBernoulli(torch.zeros(2)).log_prob(torch.tensor([0.5, 1.5]))
