"""Likelihoods: what they prepare, what they accept, and their sigma."""

import math

import pytest
import torch

from vae_helpers import distributions as d
from vae_helpers import evaluate, fit
from vae_helpers.models import mlp_vae

LIKELIHOODS = {
    "bernoulli": d.BernoulliLikelihood(),
    "grey": d.GreyBernoulliLikelihood(),
    "continuous": d.ContinuousBernoulliLikelihood(),
    "gaussian": d.GaussianLikelihood(0.1),
    "discretised": d.DiscretisedGaussianLikelihood(0.1),
    "logistics": d.LogisticMixtureLikelihood(2),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_accept_what_they_prepare_and_sum_over_pixels(name):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    likelihood = LIKELIHOODS[name]
    parameters = torch.rand(4, 3 * likelihood.outputs, 5, 6)
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
    for likelihood in (LIKELIHOODS[name] for name in ("gaussian", "discretised", "logistics", "grey")):
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


# --- mixtures of logistics ----------------------------------------------------------------------------------------


def test_the_levels_of_a_mixture_of_logistics_sum_to_one_in_each_pixel():
    torch.manual_seed(0)
    p = d.LogisticMixtureLikelihood(3, 17)(2 * torch.randn(4, 2 * 9, 5, 6)).base_dist  # (4, 2, 5, 6) pixels
    every = torch.stack([p.log_prob(torch.full((4, 2, 5, 6), float(level))) for level in range(17)])
    assert torch.logsumexp(every, 0).abs().max() < 1e-5


def test_one_logistic_is_the_discretised_logistic():
    raw = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0)).double()  # logit, mean, log-scale
    x = torch.randint(0, 17, (4, 1, 5, 6), generator=torch.Generator().manual_seed(1)).double()
    alone = d.DiscretisedLogistic(raw[:, 1:2] + 0.5, torch.nn.functional.softplus(raw[:, 2:] - 2) + 1e-3, 17)
    found = d.LogisticMixtureLikelihood(1, 17).double()(raw).log_prob(x)
    torch.testing.assert_close(found, alone.log_prob(x).sum((1, 2, 3)), rtol=1e-12, atol=0)


def test_where_the_decoder_says_nothing_the_logistics_stand_side_by_side():
    p = d.LogisticMixtureLikelihood(4, 17)(torch.zeros(1, 12, 1, 1)).base_dist
    assert torch.allclose(p.component_distribution.mean.flatten(), torch.tensor([1, 3, 5, 7]) / 8)
    assert torch.allclose(p.mixture_distribution.probs, torch.tensor(0.25))
    assert torch.allclose(p.component_distribution.scale, torch.tensor(0.128), atol=1e-3)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_each_channel_and_pixel_has_its_own_numbers(channel):
    """3 K numbers stand together for a channel: K logits, K means, K scales. They move its mean, and no other's."""
    likelihood, raw = d.LogisticMixtureLikelihood(2, 17), torch.zeros(2, 3, 3 * 2, 4, 5)
    raw[1, channel, 2:4, 3, 1] = 0.4  # both means, of one channel of one pixel of the second picture
    moved = likelihood(raw.flatten(1, 2)).mean - 0.5
    assert moved.shape == (2, 3, 4, 5) and moved[1, channel, 3, 1].item() == pytest.approx(0.4)
    assert moved.abs().gt(1e-6).sum() == 1
    raw[1, channel, 0, 3, 1] = 50.0  # the logit of the first of the two, which began at a quarter
    assert likelihood(raw.flatten(1, 2)).mean[1, channel, 3, 1].item() == pytest.approx(0.25 + 0.4)


def test_a_vae_of_logistics_decodes_all_their_numbers_and_learns():
    torch.manual_seed(0)
    images = (255 * (torch.rand(60, 3, 4, 5) < torch.rand(60, 1, 1, 1))).byte()
    model = mlp_vae((3, 4, 5), 2, (16,), d.LogisticMixtureLikelihood(2, 17))
    assert model.decoder(torch.zeros(7, 2)).shape == (7, 3 * 2 * 3, 4, 5)
    p = model.decode(torch.zeros(6, 7, 2))
    assert p.batch_shape == (6, 7) and p.event_shape == (3, 4, 5)
    drawn = model.sample(50)
    assert drawn.shape == (50, 3, 4, 5) and set(drawn.unique().tolist()) <= set(range(17))
    before = evaluate(model, images)["elbo"].mean
    fit(model, images, steps=150, batch_size=30, learning_rate=1e-2, progress=False)
    after = evaluate(model, images)["elbo"].mean
    assert after > before + 50 and after > -60 * math.log(17) / 2


def test_a_mixture_of_logistics_says_what_is_wrong():
    with pytest.raises(ValueError, match="components must be a whole number of at least 1"):
        d.LogisticMixtureLikelihood(0)
    with pytest.raises(ValueError, match=r"raw .* 6 numbers for each channel, .* not \(2, 5, 4, 4\)"):
        d.LogisticMixtureLikelihood(2)(torch.zeros(2, 5, 4, 4))
    with pytest.raises(ValueError, match="support"):
        d.LogisticMixtureLikelihood(2, 17)(torch.zeros(1, 6, 1, 1)).log_prob(torch.full((1, 1, 1, 1), 17.0))
