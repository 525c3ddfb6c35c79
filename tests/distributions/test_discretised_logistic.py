"""The probability of grey levels under a logistic, against differences of sigmoids and sampling; finite far out."""

import math

import pytest
import torch

from vae_helpers.distributions import DiscretisedLogistic

K = torch.arange(17.0).double()


def logistic(loc, scale, levels=17):
    return DiscretisedLogistic(*torch.tensor([loc, scale], dtype=torch.float64), levels)


@pytest.mark.parametrize(("loc", "scale"), [(0.5, 0.1), (0.0, 0.002), (1.3, 0.05), (-2.0, 0.3), (0.37, 5.0)])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_levels_probabilities_sum_to_one(loc, scale, levels):
    total = torch.logsumexp(logistic(loc, scale, levels).log_prob(torch.arange(levels).double()), 0)
    assert abs(total) < 1e-12


@pytest.mark.parametrize(("loc", "scale"), [(0.5, 0.1), (0.05, 0.03), (0.9, 0.06), (1.2, 0.2)])
def test_a_level_has_the_difference_of_two_sigmoids_and_the_outermost_bins_are_open(loc, scale):
    edges = torch.sigmoid((torch.arange(1, 17).double() / 17 - loc) / scale)
    mass = torch.cat([edges, torch.ones(1)]) - torch.cat([torch.zeros(1), edges])
    torch.testing.assert_close(logistic(loc, scale).log_prob(K).exp(), mass, rtol=1e-9, atol=1e-15)


def test_far_out_it_keeps_the_digits_that_a_difference_of_sigmoids_loses():
    """In the tail the mass is exp((b - loc) / scale) - exp((a - loc) / scale); for one wide bin it is the density's."""
    p, b = logistic(40.0, 0.5), (K[1:-1] + 1) / 17
    torch.testing.assert_close(p.log_prob(K[1:-1]), (b - 40) / 0.5 + math.log(-math.expm1(-1 / 17 / 0.5)))
    flat = DiscretisedLogistic(torch.tensor(0.5), torch.tensor(1e8), 256)
    assert flat.log_prob(torch.tensor(7.0)).item() == pytest.approx(-math.log(4 * 256 * 1e8), rel=1e-5)


@pytest.mark.parametrize("loc", [-50.0, -1.0, 0.0, 0.5, 1.0, 50.0])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 100.0])
def test_values_and_gradients_are_finite_far_out(loc, scale):
    loc, scale = torch.full((256,), loc, requires_grad=True), torch.tensor(scale, requires_grad=True)
    value = DiscretisedLogistic(loc, scale).log_prob(torch.arange(256.0))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(loc.grad).all() and torch.isfinite(scale.grad)
    assert (value <= 1e-6).all()


def test_the_gradient_far_out_still_pulls_towards_the_level():
    loc = torch.tensor([-50.0, 50.0], requires_grad=True)
    DiscretisedLogistic(loc, torch.tensor(0.1), 17).log_prob(torch.tensor([9.0, 9.0])).sum().backward()
    torch.testing.assert_close(loc.grad, torch.tensor([10.0, -10.0]))  # 1 / scale


def test_samples_follow_its_probabilities():
    torch.manual_seed(0)
    p = DiscretisedLogistic(torch.tensor([0.9, 0.3]), torch.tensor(0.1), 5)
    draws = p.sample((100_000,))
    assert draws.shape == (100_000, 2)
    for column, expected in zip(draws.unbind(1), p.log_prob(torch.arange(5.0)[:, None]).exp().unbind(1), strict=True):
        assert torch.allclose(torch.bincount(column.long(), minlength=5) / 100_000, expected, atol=0.006)
    assert torch.corrcoef(draws.T)[0, 1].abs() < 0.02  # each pixel has its own draw


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="support"):
        logistic(0.5, 0.1).log_prob(torch.tensor(17.0))
    with pytest.raises(ValueError, match=r"scale \(3,\) and loc \(2,\) cannot be broadcast"):
        DiscretisedLogistic(torch.zeros(2), torch.ones(3))
    with pytest.raises(ValueError, match="scale"):
        logistic(0.5, 0.0)
    with pytest.raises(ValueError, match="levels must be a whole number of at least 2"):
        logistic(0.5, 0.1, 1)
    with pytest.raises(TypeError, match="loc must be a floating-point tensor"):
        DiscretisedLogistic(0.5, torch.tensor(0.1))
