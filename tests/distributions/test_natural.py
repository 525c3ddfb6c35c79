"""Products of Gaussians against densities that are multiplied point by point, and against exact posteriors."""

import pytest
import torch
from torch.distributions import MultivariateNormal, Uniform

from tests.distributions.test_gaussian import some_gaussians
from vae_helpers import distributions as d
from vae_helpers.distributions import GaussianFactor
from vae_helpers.models import ProbabilisticPCA


def diagonal(seed, n=5, dims=3):
    g = torch.Generator().manual_seed(seed)
    draws = torch.randn(2, n, dims, generator=g, dtype=torch.float64)
    return d.diagonal_gaussian(draws[0], draws[1])


def full(seed, n=5, dims=3):
    g = torch.Generator().manual_seed(seed)
    root = torch.randn(n, dims, dims, generator=g, dtype=torch.float64)
    return MultivariateNormal(
        torch.randn(n, dims, generator=g, dtype=torch.float64), root @ root.mT + 0.3 * torch.eye(dims)
    )


def differs_by_a_constant(log_density, log_product, n=5, dims=3):
    z = torch.randn(50, n, dims, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    gap = log_density(z) - log_product(z)  # (50, n)
    return (gap - gap[:1]).abs().max() < 1e-9


@pytest.mark.parametrize("a", [diagonal(1), full(1)])
@pytest.mark.parametrize("b", [diagonal(2), full(2)])
def test_a_product_is_the_product_of_the_densities_up_to_a_constant(a, b):
    product = (GaussianFactor.of(a) * GaussianFactor.of(b)).normalised()
    assert differs_by_a_constant(product.log_prob, lambda z: a.log_prob(z) + b.log_prob(z))
    assert product.batch_shape == (5,) and product.event_shape == (3,)


def test_two_numbers_that_one_can_check_in_the_head():
    """Weights of 1/4 and 4/4: the mean lies a fifth of the way from the sharper one."""
    wide = d.diagonal_gaussian(torch.tensor([[0.0]]), torch.tensor([[4.0]]).log())
    sharp = d.diagonal_gaussian(torch.tensor([[5.0]]), torch.tensor([[1.0]]).log())
    product = (GaussianFactor.of(wide) * GaussianFactor.of(sharp)).normalised()
    assert torch.allclose(product.mean, torch.tensor([[4.0]])) and torch.allclose(
        product.variance, torch.tensor([[0.8]])
    )


@pytest.mark.parametrize("q", [diagonal(1), full(1)])
def test_of_and_normalised_undo_each_other_and_a_quotient_undoes_a_product(q):
    factor, other = GaussianFactor.of(q), GaussianFactor.of(full(3))
    for same in (factor, factor * other / other):
        back = same.normalised()
        assert torch.allclose(back.mean, q.mean, atol=1e-9) and torch.allclose(back.variance, q.variance, atol=1e-9)


def test_a_power_of_zero_says_nothing_and_one_of_two_says_it_twice():
    prior, view = GaussianFactor.of(d.standard_normal(3, dtype=torch.float64)), GaussianFactor.of(full(1))
    seen = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0])
    q = (prior * view**seen).normalised()
    assert torch.equal(q.mean[0], torch.zeros(3)) and torch.allclose(q.variance[3], torch.ones(3).double())
    once, twice = (prior * view).normalised(), (prior * view * view).normalised()
    assert torch.allclose(q.mean[1], once.mean[1]) and torch.allclose(q.mean[2], twice.mean[2])
    diagonal_view = GaussianFactor.of(diagonal(1))
    assert torch.allclose((prior * diagonal_view**2.0).precision, 1 + 2 * diagonal_view.precision)


def test_views_of_a_linear_gaussian_model_fuse_to_its_exact_posterior():
    """Each view by itself knows p(z | view); their product with the prior counted once is p(z | all views)."""
    g = torch.Generator().manual_seed(0)
    W, b = torch.randn(12, 3, generator=g, dtype=torch.float64), torch.randn(12, generator=g, dtype=torch.float64)
    x = torch.randn(7, 12, generator=g, dtype=torch.float64)
    exact = ProbabilisticPCA(W, b, 0.7).posterior(x)
    prior = GaussianFactor.of(d.standard_normal(3, dtype=torch.float64))
    parts = (slice(0, 2), slice(2, 7), slice(7, 12))  # the first sees less than z has dimensions
    alone = [ProbabilisticPCA(W[rows], b[rows], 0.7).posterior(x[:, rows]) for rows in parts]
    views = [GaussianFactor.of(q.expand((7,))) for q in alone]
    fused = prior
    for view in views:
        fused = fused * (view / prior)
    q = fused.normalised()
    assert (q.mean - exact.mean).abs().max() < 1e-12
    assert (q.covariance_matrix - exact.covariance_matrix).abs().max() < 1e-12
    counted_thrice = (views[0] * views[1] * views[2]).normalised()
    assert (counted_thrice.variance < q.variance).all()  # overconfident


def test_gradients_reach_both_factors():
    shift, precision = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    q = (GaussianFactor(shift, precision) * GaussianFactor.of(d.standard_normal(3))).normalised()
    q.log_prob(torch.ones(3)).sum().backward()
    assert torch.allclose(shift.grad, torch.ones(2, 3)) and precision.grad.abs().min() > 0


@pytest.mark.parametrize("precision", [torch.zeros(2, 3), torch.tensor([[1.0, 1.0, -1.0]] * 2)])
@pytest.mark.parametrize("matrix", [False, True])
def test_what_is_no_density_is_said_to_be_none(precision, matrix):
    factor = GaussianFactor(torch.zeros(2, 3), torch.diag_embed(precision) if matrix else precision)
    with pytest.raises(ValueError, match=r"not a density.*prior"):
        factor.normalised()


def test_shapes_and_kinds_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"precision \(3, 3\) does not belong to shift \(2, 3\)"):
        GaussianFactor(torch.zeros(2, 3), torch.eye(3))
    with pytest.raises(TypeError, match="MultivariateNormal, not"):
        GaussianFactor.of(Uniform(0.0, 1.0))
    with pytest.raises(TypeError, match="MultivariateNormal, not"):
        GaussianFactor.of(torch.zeros(3))


def test_in_float32_a_product_lies_between_its_factors_and_is_narrower_than_either():
    a, b = (d.diagonal_gaussian(*(part.float() for part in some_gaussians(seed=seed))) for seed in (1, 2))
    product = (GaussianFactor.of(a) * GaussianFactor.of(b)).normalised()
    assert product.mean.dtype == torch.float32
    low, high = torch.minimum(a.mean, b.mean), torch.maximum(a.mean, b.mean)
    assert ((low - 1e-5 <= product.mean) & (product.mean <= high + 1e-5)).all()
    assert (product.variance <= torch.minimum(a.variance, b.variance) * (1 + 1e-5)).all()
