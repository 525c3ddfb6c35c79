"""Active units, q(z) and the two parts of the KL, for encoders whose every q(z | x) is written down in a table."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from vae_helpers.distributions import GreyBernoulliLikelihood, diagonal_gaussian, kl_to_standard_normal, standard_normal
from vae_helpers.evaluation import active_units, aggregate_posterior, codes, evaluate, kl_decomposition
from vae_helpers.models import mlp_vae


class Table:
    """An encoder that looks up q(z | x_n); image n is two pixels that spell n."""

    device = torch.device("cpu")

    @property
    def prior(self):
        return standard_normal(self.mu.shape[1])

    def __init__(self, mu, variance):
        self.mu, self.variance = torch.broadcast_tensors(torch.as_tensor(mu).double(), torch.as_tensor(variance))
        self.batches = []

    @property
    def images(self):
        n = torch.arange(len(self.mu))
        return torch.stack([n // 256, n % 256], -1).to(torch.uint8)[:, None, None]  # (N, 1, 1, 2)

    def prepare(self, images):
        self.batches.append(len(images))
        high, low = images.long().flatten(1).unbind(-1)
        return 256 * high + low

    def encode(self, n):
        return diagonal_gaussian(self.mu[n], self.variance[n].double().log())

    @property
    def mixture(self):
        components = Independent(Normal(self.mu, self.variance.double().sqrt()), 1)
        return MixtureSameFamily(Categorical(torch.ones(len(self.mu))), components)


def random_table(n=40, d=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    mu = torch.randn(n, d, generator=g, dtype=torch.float64) * torch.tensor([1.0, 0.5, 0.01])[:d] + 0.3
    return Table(mu, 0.05 + torch.rand(n, d, generator=g, dtype=torch.float64))


def linear_gaussian(n=2000, slope=0.8, variance=0.3):
    """q(z | x) = N(slope x, variance) for x ~ N(0, 1), at quantiles of x in place of draws."""
    x = Normal(0.0, 1.0).icdf((torch.arange(n).double() + 0.5) / n)
    return Table(slope * x[:, None], variance)


def near(estimate, truth, slack=0.0):
    return abs(estimate.mean - truth) < 4 * estimate.standard_error + slack


# --- active units -------------------------------------------------------------------------------------------------


def test_a_unit_is_active_where_its_mean_moves_by_more_than_the_threshold():
    step = torch.tensor([-1.0, 1.0, -1.0, 1.0]).double()[:, None]
    model = Table(7 + step * torch.tensor([0.0, 0.09, 0.11, 1.0]).double(), torch.tensor([1.0, 5.0, 0.1, 1e-3]))
    units = active_units(model, model.images)
    assert torch.allclose(units.variances, torch.tensor([0.0, 0.0081, 0.0121, 1.0]).double())  # divided by N
    assert units.active.tolist() == [False, False, True, True] and units.count == 2 and units.threshold == 0.01
    assert active_units(model, model.images, threshold=0.5).count == 1
    assert active_units(model, model.images, threshold=0.0).count == 3  # more than, not at least


def test_the_variance_of_one_image_is_refused():
    model = random_table()
    with pytest.raises(ValueError, match="at least two"):
        active_units(model, model.images[:1])
    assert torch.isfinite(aggregate_posterior(model, model.images[:1]).covariance).all()


# --- q(z) ---------------------------------------------------------------------------------------------------------


def test_moments_of_the_mixture_are_those_of_its_draws():
    torch.manual_seed(0)
    model = random_table()
    q = aggregate_posterior(model, model.images)
    z = model.mixture.sample((200_000,))
    assert torch.allclose(q.mean, z.mean(0), atol=0.01)
    assert torch.allclose(q.covariance, z.T.cov(), atol=0.02)
    assert torch.allclose(q.mean, model.mixture.mean)
    assert torch.allclose(q.covariance.diag(), model.mixture.variance)


def test_correlated_codes_show_in_the_covariance():
    step = torch.tensor([-1.0, 1.0]).double()[:, None]
    model = Table(step * torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 0.25]))
    q = aggregate_posterior(model, model.images)
    assert torch.allclose(q.covariance, torch.tensor([[1.5, -2.0], [-2.0, 4.25]]).double())
    gaussian = MultivariateNormal(q.mean, q.covariance)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    assert math.isclose(q.moment_matched_kl, torch.distributions.kl_divergence(gaussian, prior).item(), rel_tol=1e-9)


def test_the_variance_splits_into_that_of_the_means_and_the_mean_of_those():
    model = random_table()
    units, q = active_units(model, model.images), aggregate_posterior(model, model.images)
    assert torch.allclose(q.covariance.diag(), units.variances + model.variance.mean(0))


def test_the_moment_matched_kl_is_below_that_of_the_mixture_and_zero_only_says_moments():
    two = Table(torch.tensor([[-0.9], [0.9]]), 1 - 0.9**2)  # mean 0, variance 1, far from Gaussian
    q, parts = aggregate_posterior(two, two.images), kl_decomposition(two, two.images, samples=5000)
    assert abs(q.moment_matched_kl) < 1e-7
    assert parts.marginal_kl.mean > 10 * parts.marginal_kl.standard_error
    table = random_table()
    exact = kl_decomposition(table, table.images, samples=2000).marginal_kl
    assert 0 < aggregate_posterior(table, table.images).moment_matched_kl < exact.mean + 4 * exact.standard_error


def test_a_shifted_gaussian_has_its_closed_form():
    q = codes.AggregatePosterior(torch.tensor([1.0, 2.0]).double(), torch.tensor([4.0, 1.0]).double().diag())
    assert math.isclose(q.moment_matched_kl, 0.5 * (5 + 4 - 1 - math.log(4)))
    assert codes.AggregatePosterior(torch.zeros(1), torch.zeros(1, 1)).moment_matched_kl == math.inf


# --- the KL and its parts -------------------------------------------------------------------------------------------


def test_a_linear_gaussian_encoder_has_the_information_of_a_gaussian_channel():
    slope, variance = 0.8, 0.3
    model = linear_gaussian(slope=slope, variance=variance)
    parts, q = kl_decomposition(model, model.images, samples=4), aggregate_posterior(model, model.images)
    total = slope**2 + variance
    information, marginal = 0.5 * math.log(total / variance), 0.5 * (total - 1 - math.log(total))
    assert near(parts.mutual_information, information, 0.002)  # the slack: 2,000 quantiles for a Gaussian
    assert near(parts.marginal_kl, marginal, 0.002)
    assert abs(parts.mean_kl - 0.5 * (total - 1 - math.log(variance))) < 0.002
    assert abs(q.moment_matched_kl - marginal) < 0.002
    assert parts.marginal_kl.standard_error < 0.02


def test_a_collapsed_posterior_has_no_active_unit_no_kl_and_no_information():
    model = Table(torch.zeros(50, 4), 1.0)
    assert active_units(model, model.images).count == 0
    assert aggregate_posterior(model, model.images).moment_matched_kl < 1e-9
    parts = kl_decomposition(model, model.images)
    assert parts.mean_kl < 1e-9
    for part in (parts.mutual_information, parts.marginal_kl):
        assert abs(part.mean) < 1e-9 and part.standard_error < 1e-9


def test_codes_that_ignore_the_image_but_not_the_prior_are_all_marginal_kl():
    model = Table(torch.tensor([1.0, -2.0]).expand(30, 2), torch.tensor([0.25, 4.0]))
    parts = kl_decomposition(model, model.images)
    assert abs(parts.mutual_information.mean) < 1e-9
    assert math.isclose(parts.marginal_kl.mean, parts.mean_kl, rel_tol=1e-9)
    assert math.isclose(parts.mean_kl, aggregate_posterior(model, model.images).moment_matched_kl, rel_tol=1e-9)


def test_codes_far_apart_know_their_image_and_no_more_than_log_n():
    model = Table(100 * torch.arange(60.0)[:, None], 1.0)
    parts = kl_decomposition(model, model.images)
    assert math.isclose(parts.mutual_information.mean, math.log(60), rel_tol=1e-9)
    draws = codes._log_excess(model.encode(torch.arange(60)), 50, torch.Generator().manual_seed(0))
    assert draws.max() <= math.log(60) + 1e-6


def test_both_parts_are_the_integrals_of_a_tiny_example():
    model = Table(torch.tensor([[-0.7], [0.4], [1.5]]), torch.tensor([[0.2], [0.5], [0.1]]))
    z = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    log_q = model.mixture.log_prob(z[:, None])
    each = Normal(model.mu, model.variance.double().sqrt()).log_prob(z)  # (3, 20001)
    marginal = torch.trapezoid(log_q.exp() * (log_q - Normal(0.0, 1.0).log_prob(z)), z).item()
    information = torch.trapezoid(each.exp() * (each - log_q), z).mean().item()
    parts = kl_decomposition(model, model.images, samples=20_000)
    assert parts.marginal_kl.standard_error < 0.01
    assert near(parts.marginal_kl, marginal) and near(parts.mutual_information, information)
    assert math.isclose(parts.mean_kl, marginal + information, rel_tol=1e-6)


def test_the_marginal_kl_is_that_of_draws_of_the_mixture():
    torch.manual_seed(0)
    model = random_table()
    z = model.mixture.sample((100_000,))
    prior = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    values = model.mixture.log_prob(z) - prior.log_prob(z)
    parts = kl_decomposition(model, model.images, samples=500)
    spread = math.hypot(parts.marginal_kl.standard_error, values.std().item() / math.sqrt(100_000))
    assert abs(parts.marginal_kl.mean - values.mean().item()) < 4 * spread


def test_the_parts_add_up():
    model = random_table()
    parts = kl_decomposition(model, model.images, samples=2)
    q = model.encode(model.prepare(model.images))
    assert math.isclose(parts.mean_kl, kl_to_standard_normal(q).mean().item(), rel_tol=1e-9)
    assert math.isclose(parts.mean_kl, parts.mutual_information.mean + parts.marginal_kl.mean, rel_tol=1e-9)


def test_the_error_covers_the_spread_over_seeds():
    """Images that differ much in their share: an error that took the spread over images would be far too wide."""
    model = Table(torch.cat([torch.zeros(15, 1), torch.tensor([[3.0], [6.0], [9.0]])]), 1.0)
    runs = [kl_decomposition(model, model.images, samples=4, seed=seed).mutual_information for seed in range(200)]
    spread = torch.tensor([run.mean for run in runs]).std().item()
    errors = torch.tensor([run.standard_error for run in runs])
    assert 0.85 < errors.square().mean().sqrt().item() / spread < 1.15


@pytest.mark.parametrize("shift", [0.0, 1e4])
@pytest.mark.parametrize("variance", [1e-8, 1.0, 1e8])
def test_the_product_of_matrices_keeps_the_digits_of_the_densities(shift, variance):
    model = random_table()
    model.mu, model.variance = model.mu + shift, model.variance * variance
    q = model.encode(torch.arange(40))
    z = torch.cat([q.mean, model.mixture.sample((20,))])
    assert torch.allclose(codes._log_mixture(q, z), model.mixture.log_prob(z), rtol=1e-6, atol=1e-5)


# --- all of them --------------------------------------------------------------------------------------------------


def everything(model, images, **settings):
    q = aggregate_posterior(model, images, **settings)
    parts = kl_decomposition(model, images, **settings)
    numbers = [parts.mean_kl, *parts.mutual_information, *parts.marginal_kl, q.moment_matched_kl]
    variances = active_units(model, images, **settings).variances
    return torch.cat([variances, q.mean, q.covariance.flatten(), torch.tensor(numbers, dtype=torch.float64)])


@pytest.mark.parametrize("size", [1, 7, 40])
def test_nothing_depends_on_the_size_of_the_batches(size, monkeypatch):
    model = random_table()
    whole = everything(model, model.images)
    model.batches.clear()
    monkeypatch.setattr(codes, "PAIRS_AT_A_TIME", 40 * size)
    assert torch.allclose(everything(model, model.images, batch_size=size), whole, rtol=1e-9)
    assert max(model.batches) == size


def test_memory_is_bounded_by_the_pairs_at_a_time(monkeypatch):
    largest, logsumexp = 0, torch.logsumexp

    def spy(x, dim):
        nonlocal largest
        largest = max(largest, x.numel())
        return logsumexp(x, dim)

    monkeypatch.setattr(codes.torch, "logsumexp", spy)
    monkeypatch.setattr(codes, "PAIRS_AT_A_TIME", 210)
    model = random_table()
    kl_decomposition(model, model.images)
    assert largest == 200  # five codes against forty components


def test_a_real_vae_is_measured_and_the_random_state_left_alone():
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), 2, (16,), GreyBernoulliLikelihood())
    images = torch.randint(0, 256, (70, 1, 4, 4), dtype=torch.uint8)
    before = torch.get_rng_state()
    first, again = everything(vae, images), everything(vae, images)
    assert torch.equal(first, again) and torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, everything(vae, images, seed=1))
    assert not first.requires_grad
    assert active_units(vae, images).variances.dtype == aggregate_posterior(vae, images).mean.dtype == torch.float64
    assert math.isclose(kl_decomposition(vae, images).mean_kl, evaluate(vae, images)["kl"].mean, rel_tol=1e-4)


@pytest.mark.parametrize("measure", [active_units, aggregate_posterior, kl_decomposition])
def test_bad_input_is_named(measure):
    model = random_table()
    with pytest.raises(TypeError, match="data must be a tensor"):
        measure(model, "images")
    model.encode = lambda n: MultivariateNormal(torch.zeros(len(n), 2), torch.eye(2))
    with pytest.raises(TypeError, match=r"encode must return a diagonal Gaussian.*MultivariateNormal"):
        measure(model, model.images)


def test_a_seed_may_be_a_numpy_number():
    model = random_table()
    assert kl_decomposition(model, model.images, seed=np.int64(2)) == kl_decomposition(model, model.images, seed=2)


def test_a_single_draw_has_no_error_and_is_refused():
    model = random_table()
    with pytest.raises(ValueError, match="samples must be a whole number of at least 2"):
        kl_decomposition(model, model.images, samples=1)
