"""Reversible transforms, the Student on whole numbers, and the likelihood of both."""

import math

import pytest
import torch
from scipy.stats import t as student

from vae_helpers.distributions.discretised_student import DiscretisedStudent
from vae_helpers.distributions.lifting import Lifting
from vae_helpers.distributions.likelihoods import LiftedLikelihood


def levels(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_lifting_is_undone_to_the_last_level_and_makes_whole_numbers(halvings, colours, channels):
    lifting, x = Lifting(halvings, colours), levels(4, channels, 16, 24)
    before = x.clone()
    y = lifting(x)
    assert torch.equal(x, before) and torch.equal(y, y.round())
    assert torch.equal(lifting.inverse(y), x)
    assert torch.equal(lifting(x[0]), y[0])  # leading dimensions are whatever they are


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 1, 1)])
def test_no_two_small_pictures_have_the_same_coefficients(shape):
    lifting, n = Lifting(1 if shape[0] == 1 else 0, colours=True), math.prod(shape)
    every = torch.cartesian_prod(*[torch.arange(8.0)] * n).reshape(-1, *shape) * 36
    assert len(lifting(every).flatten(1).unique(dim=0)) == len(every) == 8**n


def test_without_rounding_the_inverse_is_linear_and_near_the_exact_one():
    lifting, y, other = Lifting(2, True), Lifting(2, True)(levels(2, 3, 16, 16)), levels(2, 3, 16, 16, seed=1)
    sums = lifting.inverse(2 * y - 3 * other, exact=False)
    parts = 2 * lifting.inverse(y, exact=False) - 3 * lifting.inverse(other, exact=False)
    torch.testing.assert_close(sums, parts, rtol=1e-4, atol=1e-2)
    assert (lifting.inverse(y, exact=False) - lifting.inverse(y)).abs().max() < 4


def test_grey_and_smooth_pictures_have_small_differences():
    grey = levels(1, 1, 8, 8).expand(1, 3, 8, 8)
    y = Lifting(0, True)(grey)
    assert torch.equal(y[:, 0], grey[:, 0]) and not y[:, 1:].any()
    ramp = (4.0 * torch.arange(16)).expand(1, 1, 16, 16)
    fine = Lifting(1, False)(ramp)[..., 1::2]
    assert not fine[..., :-1].any()  # a line is foretold by its neighbours


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.7), (100.0, 3.0), (-5.2, 0.06), (254.6, 40.0)])
def test_the_students_masses_are_those_of_its_distribution_function(loc, scale):
    k = torch.arange(-300.0, 600.0, dtype=torch.float64)
    d = DiscretisedStudent(torch.tensor(loc, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))
    inside = (k - loc).abs() < 100 * scale + 1  # scipy's own differences lose their digits in the tails
    expected = student.cdf((k + 0.5 - loc) / scale, 2) - student.cdf((k - 0.5 - loc) / scale, 2)
    torch.testing.assert_close(d.log_prob(k).exp()[inside], torch.from_numpy(expected)[inside], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.7), (100.0, 3.0), (-50.0, 0.06), (300.0, 1.0), (128.0, 500.0)])
def test_with_ends_the_masses_sum_to_one_and_single_precision_keeps_its_digits(loc, scale):
    k = torch.arange(256.0)
    d = DiscretisedStudent(torch.tensor(loc), torch.tensor(scale), 0, 255)
    double = DiscretisedStudent(torch.tensor(loc).double(), torch.tensor(scale).double(), 0, 255)
    assert double.log_prob(k.double()).exp().sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(d.log_prob(k).double(), double.log_prob(k.double()), rtol=1e-3, atol=1e-3)


def test_draws_have_the_masses_shares():
    torch.manual_seed(0)
    d = DiscretisedStudent(torch.tensor(3.4), torch.tensor(1.5), 0, 9)
    drawn = d.sample((100_000,))
    shares = torch.bincount(drawn.long(), minlength=10) / 100_000
    masses = d.log_prob(torch.arange(10.0)).exp()
    assert ((shares - masses).abs() < 4.5 * (masses / 100_000).sqrt()).all()


@pytest.mark.parametrize("lifting", [Lifting(0, False), Lifting(2, True)])
def test_zeros_of_the_decoder_mean_the_usual_and_the_gradient_is_finite(lifting):
    images = levels(200, 3, 8, 8).to(torch.uint8) // 4 + 60
    likelihood = LiftedLikelihood((3, 8, 8), lifting)
    likelihood.begin(images)
    y = lifting(images.float())
    d = likelihood(torch.zeros(6, 8, 8))
    torch.testing.assert_close(d.coefficients.loc, y.median(0).values, rtol=1e-4, atol=1e-3)
    raw = (5 * torch.randn(4, 6, 8, 8, generator=torch.Generator().manual_seed(1))).requires_grad_()
    log_p = likelihood(raw).log_prob(likelihood.prepare(images[:4]))
    log_p.sum().backward()
    assert log_p.shape == (4,) and torch.isfinite(log_p).all() and torch.isfinite(raw.grad).all()


def test_its_log_probability_is_that_of_the_coefficients_and_begins_near_the_best():
    images = (levels(300, 1, 8, 8) / 8 + 100).to(torch.uint8)
    likelihood = LiftedLikelihood((1, 8, 8), Lifting(1, False))
    likelihood.begin(images)
    x = likelihood.prepare(images)
    d = likelihood(torch.zeros(2, 8, 8))
    by_hand = d.coefficients.log_prob(Lifting(1, False)(x)).sum((1, 2, 3))
    torch.testing.assert_close(d.log_prob(x), by_hand)
    begun = by_hand.mean()
    for shift in (-0.7, 0.7):  # of the logarithm of all scales
        other = torch.cat([torch.zeros(1, 8, 8), torch.full((1, 8, 8), shift)])
        assert likelihood(other).log_prob(x).mean() < begun


@pytest.mark.parametrize("lifting", [Lifting(0, False), Lifting(2, True)])
def test_samples_are_pictures_and_the_mean_is_where_they_are(lifting):
    images = (levels(300, 3, 8, 8) / 8 + 100).to(torch.uint8)
    likelihood = LiftedLikelihood((3, 8, 8), lifting)
    likelihood.begin(images)
    d = likelihood(torch.zeros(6, 8, 8))
    torch.manual_seed(0)
    drawn = d.sample((500,))
    assert drawn.shape == (500, 3, 8, 8) and torch.equal(drawn, drawn.round())
    assert drawn.min() >= 0 and drawn.max() <= 255
    middle = ((drawn + 0.5) / 256).median(0).values
    assert (middle - d.mean).abs().mean() < 0.02
