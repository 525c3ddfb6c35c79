"""What is true of distributions, estimates and models whatever their parameters, however extreme."""

import math

import torch
from hypothesis import strategies as st

from tests.properties.ground import property_of
from vae_helpers import distributions as d
from vae_helpers import evaluation, models
from vae_helpers.training import warm_up_and_cosine

moderate = st.floats(-8, 8)


@property_of(
    mean=st.floats(-1e4, 1e4),
    sigma=st.floats(1e-4, 1e3),
    levels=st.integers(2, 256),
)
def test_the_levels_of_a_discretised_gaussian_have_probabilities_that_sum_to_one(mean, sigma, levels):
    p = d.DiscretisedGaussian(torch.full((levels,), mean, dtype=torch.float64), sigma, levels)
    log_p = p.log_prob(torch.arange(levels).double())
    assert log_p.max() <= 1e-12 and math.isclose(log_p.exp().sum(), 1, abs_tol=1e-4)


@property_of(logit=st.floats(-60, 60))
def test_a_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    p = d.ContinuousBernoulli(torch.full((20_001,), logit, dtype=torch.float64))
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    density = p.log_prob(x).exp()
    assert math.isclose(torch.trapezoid(density, x), 1, rel_tol=1e-4)
    assert math.isclose(torch.trapezoid(density * x, x), p.mean[0], abs_tol=1e-4)


@property_of(logit=st.floats(-1e4, 1e4), x=st.floats(0, 1, width=32))
def test_cross_entropy_is_never_positive(logit, x):
    assert d.GreyBernoulli(torch.tensor([logit])).log_prob(torch.tensor([x])).max() <= 1e-6


@property_of(steps=st.integers(1, 10_000), data=st.data())
def test_the_learning_rate_rises_to_its_peak_and_falls(steps, data):
    at = data.draw(st.integers(0, steps - 1))
    rates = [warm_up_and_cosine(step, steps) for step in range(steps)]
    peak = max(range(steps), key=rates.__getitem__)
    assert 0 < rates[at] <= 1 == rates[peak] and peak <= min(100, max(1, steps // 20))
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)


@property_of(
    x=st.floats(-1e15, 1e15),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_a_log_probability_grows_with_its_argument_and_has_a_gradient(x, dtype):
    x = torch.tensor([x, x + abs(x) / 8 + 1]).clamp(-6e4, 6e4).to(dtype).requires_grad_()
    y = d.log_ndtr(x)
    assert y.dtype == dtype and y[0] <= y[1] <= 0
    assert torch.autograd.grad(y.float().sum(), x)[0].ge(0).all()


@property_of(x=moderate, step=st.floats(1e-3, 5), bound=st.floats(0.5, 100))
def test_a_soft_bound_is_odd_increasing_and_kept(x, step, bound):
    a, b = d.soft_bound(torch.tensor([x, x + step]).double(), bound)
    assert -bound <= a <= b <= bound
    assert math.isclose(d.soft_bound(torch.tensor([-x]).double(), bound), -a, abs_tol=1e-12)


@property_of(seed=st.integers(0, 10**6), n=st.integers(6, 30))
def test_no_other_parameters_have_more_evidence_than_those_of_maximum_likelihood(seed, n):
    torch.manual_seed(seed)
    x = torch.randn(n, 4, dtype=torch.float64) * torch.tensor([3.0, 2, 1, 0.5]).double()
    best = models.ProbabilisticPCA.maximum_likelihood(x, 2)
    other = models.ProbabilisticPCA(best.W + 0.1 * torch.randn_like(best.W), best.b + 0.1, 1.1 * best.sigma)
    assert other.evidence(x).sum() <= best.evidence(x).sum()


@property_of(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    shift=st.floats(-100, 100),
)
def test_a_mean_moves_with_its_values_and_its_error_does_not(values, shift):
    first, second = (evaluation.mean_and_error(torch.tensor(values).double() + s) for s in (0, shift))
    assert math.isclose(first.mean + shift, second.mean, abs_tol=1e-6)
    assert math.isclose(first.standard_error, second.standard_error, rel_tol=1e-6, abs_tol=1e-6)
    low, high = first.interval
    assert low <= first.mean <= high and isinstance(str(first), str)
