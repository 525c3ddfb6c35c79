"""The mathematics of the distributions, against torch, quadrature and sampling; and finite values at extremes."""

import math

import pytest
import torch
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Normal, kl_divergence

from vae_helpers import distributions as d
from vae_helpers.models import mlp_vae

EXTREME_LOGITS = torch.tensor([-1e4, -100.0, -20.0, -0.0501, -0.0499, 0.0, 1e-6, 0.05, 3.0, 100.0, 1e4])


def some_gaussians(n=6, dims=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    mu = 3 * torch.randn(n, dims, generator=g, dtype=torch.float64) + 2  # away from (0, 1)
    log_var = 2 * torch.randn(n, dims, generator=g, dtype=torch.float64) - 1
    return mu, log_var


# --- codes and KL -------------------------------------------------------------------------------------------------


def test_log_var_is_the_log_of_the_variance_for_the_sampler_and_for_the_kl():
    mu, log_var = torch.full((200_000, 1), 1.5), torch.full((200_000, 1), math.log(4.0))
    q = d.diagonal_gaussian(mu, log_var)
    z = q.rsample()
    assert abs(z.std() - 2.0) < 0.02 and abs(z.mean() - 1.5) < 0.02
    # KL(N(1.5, 4) || N(0, 1)) by hand: (1.5^2 + 4 - 1 - log 4) / 2
    assert math.isclose(d.kl_to_standard_normal(q)[0].item(), (2.25 + 4 - 1 - math.log(4)) / 2, rel_tol=1e-5)


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
    with pytest.raises(ValueError, match="samples"):
        d.kl_monte_carlo(d.standard_normal(2), d.standard_normal(2), 0)


# --- pixels -------------------------------------------------------------------------------------------------------


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


def test_continuous_bernoulli_and_grey_bernoulli_are_finite_at_extreme_logits():
    for family in (d.ContinuousBernoulli, d.GreyBernoulli):
        for x in (0.0, 0.5, 1.0):
            logits = EXTREME_LOGITS.clone().requires_grad_()
            value = family(logits).log_prob(torch.full_like(logits, x))
            value.sum().backward()
            assert torch.isfinite(value).all() and torch.isfinite(logits.grad).all(), (family, x)


def test_continuous_bernoulli_gradient_is_smooth_across_the_series():
    logits = torch.tensor([0.0499, 0.0501], dtype=torch.float64, requires_grad=True)
    d.ContinuousBernoulli(logits).log_prob(torch.tensor(0.3)).sum().backward()
    assert abs(logits.grad[0] - logits.grad[1]) < 1e-4


def test_grey_bernoulli_is_cross_entropy_and_not_a_density():
    logits = torch.tensor([0.7], dtype=torch.float64)
    x = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    p = torch.sigmoid(logits)
    value = d.GreyBernoulli(logits).log_prob(x)
    assert torch.allclose(value, x * p.log() + (1 - x) * (1 - p).log())
    assert torch.trapezoid(value.exp(), x) < 0.9  # it does not integrate to one, and the docstring says so


@pytest.mark.parametrize("family", [d.ContinuousBernoulli, d.GreyBernoulli])
def test_values_outside_the_unit_interval_are_refused(family):
    with pytest.raises(ValueError, match="support"):
        family(torch.zeros(2)).log_prob(torch.tensor([0.5, 1.5]))


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


# --- likelihoods --------------------------------------------------------------------------------------------------

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


# --- softplus and the Bernoulli of pixels -------------------------------------------------------------------------


def test_softplus_is_log_of_one_plus_exp_and_its_slope_the_sigmoid():
    a = torch.cat([torch.linspace(-30, 30, 6001), EXTREME_LOGITS, torch.tensor([-math.inf, math.inf])])
    exact = torch.logaddexp(a.double(), torch.zeros(()).double())
    found = d.softplus(a)
    assert (found >= a.relu()).all()  # so that no log-probability is positive
    error = torch.where(exact.isinf(), 0.0, found - exact).abs()
    assert found[-1] == math.inf and (error <= 1.2e-7 * (1 + exact.clamp(max=1e5))).all()

    logits = torch.tensor([-3.0, 0.0, 0.7, 90.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(d.softplus(logits).sum(), logits)
    assert torch.allclose(slope, torch.sigmoid(logits)) and slope[1] == 0.5
    assert torch.autograd.gradcheck(d.softplus, logits) and torch.autograd.gradgradcheck(d.softplus, logits)
    assert torch.allclose(torch.func.vmap(d.softplus)(logits.detach()[:, None])[:, 0], d.softplus(logits))
    assert torch.isnan(d.softplus(torch.tensor(math.nan)))


def test_bernoulli_is_torchs_and_refuses_grey():
    logits = 5 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    x = (torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    ours, torchs = d.Bernoulli(logits=logits), torch.distributions.Bernoulli(logits=logits)
    assert torch.allclose(ours.log_prob(x), torchs.log_prob(x), atol=1e-6)
    assert ours.expand((2, 50, 3)).log_prob(x).shape == (2, 50, 3) and type(ours.expand((2, 50, 3))) is d.Bernoulli
    with pytest.raises(ValueError, match="support"):
        ours.log_prob(x + 0.5)


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
    one_by_one = torch.func.vmap(lambda a: d._ImageLogProb.apply(a, x[0].flatten()))(logits[:, 0].flatten(1))
    assert torch.allclose(one_by_one, log_prob(logits, x)[:, 0])


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
