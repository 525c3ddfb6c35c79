"""What learners write once, and the package does for good: both give the same numbers."""

import itertools

import pytest
import torch

from vae_helpers.lessons import lesson_10
from vae_helpers.models import scenes
from vae_helpers.rendering import scenes as drawn


@pytest.fixture(scope="module")
def things():
    """Layers of eight scenes, each with four things."""
    return drawn.layers(drawn.sample(8, 1), 32)


def test_shares_of_drawn_layers(things):
    alphas = things[:, :, 3]
    shares = lesson_10.visible_shares(alphas)
    torch.testing.assert_close(shares, scenes.visible_shares(alphas))
    colours = torch.where(alphas[:, :, None] > 0, things[:, :, :3] / alphas[:, :, None], 0)
    torch.testing.assert_close((shares[:, :, None] * colours).sum(1), scenes.compose(things))


def test_pixels_grouped_by_votes_about_places():
    """Votes crowd about three places, and one in ten lies anywhere."""
    generator = torch.Generator().manual_seed(1)
    places = torch.tensor([[-0.5, -0.4], [0.6, -0.2], [0.0, 0.55]])
    mine = torch.randint(3, (1, 48, 48), generator=generator)
    votes = places[mine].permute(0, 3, 1, 2) + 0.04 * torch.randn(1, 2, 48, 48, generator=generator)
    astray = torch.rand(1, 1, 48, 48, generator=generator) < 0.1
    votes = torch.where(astray, 2 * torch.rand(1, 2, 48, 48, generator=generator) - 1, votes)
    logits = torch.randn(1, 48, 48, generator=generator)
    labels, centres, there = scenes.group_votes(logits, votes)
    assert there.sum() == 3
    torch.testing.assert_close(lesson_10.group_pixels(logits[0] > 0, votes[0], centres[0, there[0]]), labels[0])


def test_the_posterior_of_orders(things):
    x = scenes.compose(things) + 0.1 * torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    orders, log_likelihood = scenes.order_log_likelihood(x, things, sigma=0.1)
    assert orders.tolist() == [list(order) for order in itertools.permutations(range(1, things.shape[1]))]
    pictures = torch.stack([scenes.compose(things[:, [0, *order]]) for order in orders.tolist()], 1)
    mine = lesson_10.log_posterior_of_orders(x, pictures, 0.1)
    torch.testing.assert_close(mine, log_likelihood.log_softmax(1), rtol=1e-4, atol=1e-3)


def test_the_mean_error_of_a_layer_on_any_ground():
    """Against a million grounds, drawn."""
    e = 0.3 * torch.randn(2, 4, 1, 1, generator=torch.Generator().manual_seed(1))
    b = torch.rand(10**6, 3, generator=torch.Generator().manual_seed(2))
    for one, mean in zip(e[:, :, 0, 0], lesson_10.composite_error(e), strict=True):
        assert (one[:3] - one[3] * b).square().sum(1).mean().item() == pytest.approx(mean.item(), rel=5e-3)
