"""Scenes taken apart: layers, votes and orders against values worked out by hand, and scenes whose truth is known."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vae_helpers import fit, mlp_vae, pretrained, to_float
from vae_helpers.alpha import over, unpremultiply
from vae_helpers.distributions import GaussianLikelihood
from vae_helpers.models.scenes import (
    MOST,
    REACHES,
    Apart,
    Groups,
    SceneModel,
    VoteNetwork,
    compose,
    cut,
    group_votes,
    in_order,
    order_log_likelihood,
    paste,
    pixel_places,
    seen_of,
    sprite_vae,
    visible_shares,
)
from vae_helpers.objectives import negative_elbo, negative_elbo_of_hidden, vote_error
from vae_helpers.rendering import scenes

SIDE = 16  # of windows; pictures have twice as many pixels
SIZE = 2 * SIDE


def drawn(n, seed=0, kind="transparent", size=32):
    """The factors, layers and pictures of scenes."""
    factors = scenes.sample(n, seed, kind)
    layers = scenes.layers(factors, size)
    return factors, layers, compose(layers)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# --- layers -----------------------------------------------------------------------------------------------------------


def test_layers_are_laid_over_each_other_from_back_to_front():
    factors, layers, pictures = drawn(6)
    by_hand = layers[:, 0]
    for k in range(1, 5):
        by_hand = over(layers[:, k], by_hand)
    torch.testing.assert_close(pictures, by_hand[:, :3])
    torch.testing.assert_close(255 * pictures, scenes.render(factors, 32).float(), atol=0.51, rtol=0.0)
    torch.testing.assert_close(compose(layers[:, :1]), layers[:, 0, :3])


def test_visible_shares_are_those_of_the_drawing_and_mix_the_picture_from_straight_colours():
    factors, layers, pictures = drawn(6)
    shares = visible_shares(layers[:, :, 3])
    torch.testing.assert_close(shares, scenes.masks(factors, 32).visible)
    torch.testing.assert_close(shares.sum(1), torch.ones(6, 32, 32))
    straight = unpremultiply(layers.flatten(0, 1)).unflatten(0, (6, 5))[:, :, :3]
    torch.testing.assert_close((shares[:, :, None] * straight).sum(1), pictures)
    by_hand = torch.tensor([1 * 0.5 * 0.8, 0.5 * 0.8, 0.2])  # half clear, then a fifth covered
    torch.testing.assert_close(visible_shares(torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1)).flatten(), by_hand)


def test_what_was_taken_apart_knows_its_pictures_shares_and_labels():
    _, layers, pictures = drawn(3)
    apart = Apart(
        layers, torch.zeros(3, 4, 2), torch.ones(3, 4, dtype=torch.bool), torch.zeros(3, 4, 1), torch.zeros(3)
    )
    torch.testing.assert_close(apart.pictures, pictures)
    torch.testing.assert_close(apart.visible, visible_shares(layers[:, :, 3]))
    assert torch.equal(apart.labels, apart.visible.max(1).indices) and set(apart.labels.unique().tolist()) > {0, 1}


def by_loops(picture, column, row, side):
    """The window (C, side, side) whose middle is the corner above and left of this pixel."""
    window = torch.zeros(len(picture), side, side)
    for r, c in itertools.product(range(side), repeat=2):
        y, x = row - side // 2 + r, column - side // 2 + c
        if 0 <= y < picture.shape[1] and 0 <= x < picture.shape[2]:
            window[:, r, c] = picture[:, y, x]
    return window


PLACES = (  # x and y, and the column and row that this is, of 16
    ((0.5, -0.25), (12, 6)),
    ((0.0, 0.0), (8, 8)),
    ((-1.0, 1.0), (0, 16)),
    ((0.9, -0.95), (15, 0)),  # 15.2 and 0.4 are rounded
    ((0.07, 0.19), (9, 10)),  # as are 8.56 and 9.52
    ((3.0, -1.7), (16, 0)),  # what lies beyond is moved to the border
)


def test_windows_are_cut_about_places_of_which_x_is_the_column():
    pictures, centres = random(len(PLACES), 2, 16, 16), torch.tensor([place for place, _ in PLACES])
    found = cut(pictures, centres, 6)
    for picture, window, (_, at) in zip(pictures, found, PLACES, strict=True):
        assert torch.equal(window, by_loops(picture, *at, 6)), at


def test_to_paste_is_the_inverse_of_to_cut():
    windows, centres = random(len(PLACES), 3, 6, 6), torch.tensor([place for place, _ in PLACES])
    pasted = paste(windows, centres, 16)
    assert pasted.shape == (len(PLACES), 3, 16, 16)
    inside = cut(torch.ones(len(PLACES), 3, 16, 16), centres, 6)  # 0 beyond the border
    assert torch.equal(cut(pasted, centres, 6), windows * inside)
    assert torch.equal(pasted.count_nonzero((1, 2, 3)), inside.count_nonzero((1, 2, 3)))  # clear elsewhere
    assert inside.flatten(1).all(1).tolist() == [True, True, False, False, True, False]
    pictures = random(2, 3, 16, 16, seed=1)
    where = paste(torch.ones(2, 3, 6, 6), centres[:2], 16)
    assert torch.equal(paste(cut(pictures, centres[:2], 6), centres[:2], 16), where * pictures)


def test_a_gradient_goes_through_what_is_pasted():
    windows, centres = random(1, 4, 6, 6).requires_grad_(), torch.tensor([[1.0, 0.0]], requires_grad=True)
    paste(windows, centres, 16).sum().backward()
    assert windows.grad[..., :3].eq(1).all() and windows.grad[..., 3:].eq(0).all() and centres.grad is None


# --- who is in front --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("things", range(5))
def test_every_order_is_tried_once(things):
    layers = drawn(2)[1][:, : 1 + things]
    orders, log_likelihood = order_log_likelihood(compose(layers), layers)
    assert orders.dtype == torch.long and log_likelihood.shape == (2, math.factorial(things))
    assert sorted(map(tuple, orders.tolist())) == sorted(itertools.permutations(range(1, things + 1)))


def test_the_likelihood_of_an_order_is_that_of_its_picture_under_gaussian_noise():
    _, layers, pictures = drawn(3)
    x = pictures + 0.1 * random(3, 3, 32, 32)
    orders, log_likelihood = order_log_likelihood(x, layers, sigma=0.3)
    for o in (0, 7, 23):
        composed = layers[:, 0]
        for k in orders[o].tolist():
            composed = over(layers[:, k], composed)
        by_hand = -(x - composed[:, :3]).square().flatten(1).sum(1) / (2 * 0.3**2)
        torch.testing.assert_close(log_likelihood[:, o], by_hand)
    torch.testing.assert_close(order_log_likelihood(x, layers, 0.1)[1], 9 * log_likelihood)
    torch.testing.assert_close(order_log_likelihood(x, layers)[1], 9 * log_likelihood)


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_where_things_overlap_their_true_order_is_all_but_certain(kind):
    factors, layers, pictures = drawn(30, 1, kind, 64)
    noise = 0.1 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    orders, log_likelihood = order_log_likelihood(pictures + noise, layers)
    place = orders.argsort(1)  # (24, 4): the place of each layer in the order
    right = (place[:, :, None] < place[:, None]) | ~scenes.overlaps(factors, 64)[:, None]  # (N, 24, 4, 4)
    share = (log_likelihood.softmax(1) * right.flatten(2).all(2)).sum(1)  # of the orders that have all such pairs right
    assert share.median() > 0.999 and share.mean() > 0.95


def test_an_order_is_one_for_all_pictures_or_one_for_each():
    layers = drawn(3)[1]
    assert torch.equal(in_order(layers, torch.tensor([3, 1, 4, 2])), layers[:, [0, 3, 1, 4, 2]])
    each = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1], [2, 1, 4, 3]])
    found = in_order(layers, each)
    for one, picture, order in zip(found, layers, each.tolist(), strict=True):
        assert torch.equal(one, picture[[0, *order]])
    assert torch.equal(in_order(layers, torch.tensor([4, 2])), layers[:, [0, 4, 2]])  # some are left out


# --- where things are -------------------------------------------------------------------------------------------------


def test_places_are_middles_of_pixels():
    assert pixel_places(torch.zeros(1, 3, 4, 4))[0, 2].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert pixel_places(torch.zeros(1, 3, 4, 4))[1, :, 3].tolist() == [-0.75, -0.25, 0.25, 0.75]


def vote_network(width=3):
    torch.manual_seed(0)
    return VoteNetwork(width)


def test_a_pixel_votes_for_a_place_relative_to_its_own():
    network, x = vote_network(), random(2, 3, 32, 32)
    last = network.said[0]
    nn.init.zeros_(last.weight)
    with torch.no_grad():  # 3 numbers for each of 4 x 4 pixels
        last.bias.copy_(torch.tensor([2.0, 0.3, -0.4]).repeat_interleave(16))
    logits, votes = network(x)
    assert torch.equal(logits, torch.full((2, 32, 32), 2.0))
    places = pixel_places(x)
    torch.testing.assert_close(votes[1], torch.stack([places[0] + 0.15, places[1] - 0.2]))


def test_votes_move_with_the_picture():
    network, x = vote_network().double(), random(1, 3, 224, 224).double()
    for move in ((16, 0), (0, 16), (-16, 32)):  # rows and columns; as far as the network halves the places
        logits, votes = network(x)
        moved_logits, moved_votes = network(x.roll(move, (2, 3)))
        inner = slice(96, 128)  # which no border reaches
        torch.testing.assert_close(moved_logits[:, inner, inner], logits.roll(move, (1, 2))[:, inner, inner])
        by = torch.tensor([move[1], move[0]]).double().view(1, 2, 1, 1) * 2 / 224
        there = (votes + by).roll(move, (2, 3))[..., inner, inner]
        torch.testing.assert_close(moved_votes[..., inner, inner], there)
        assert there.std() > 0.01 and logits.std() > 1e-3  # they say something


def test_every_weight_is_used_and_far_pixels_count():
    network, x = vote_network(), random(1, 3, 64, 64).requires_grad_()
    logits, votes = network(x)
    (logits.sum() + votes.sum()).backward()
    assert all(p.grad.flatten(2).abs().sum((0, 2)).all() for p in network.parameters() if p.dim() == 4)  # all inputs
    assert all(p.grad.any() for p in network.parameters())
    x.grad = None
    network(x)[0][0, 32, 32].backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.min() <= 4 and rows.max() >= 60  # a thing is seen whole


def ballot(*crowds, size=32, seed=0, noise=0.02):
    """Logits and votes of one picture: of each crowd's pixels, (slices of rows and columns, (x, y))."""
    logits = torch.full((1, size, size), -1.0)
    votes = 2 * random(1, 2, size, size, seed=seed) - 1  # of those that show nothing: wild
    for rows, columns, place in crowds:
        logits[0, rows, columns] = 1.0
        votes[0, :, rows, columns] = torch.tensor(place).view(2, 1, 1)
    votes = torch.where(logits[:, None] > 0, votes + noise * (2 * random(1, 2, size, size, seed=1) - 1), votes)
    return logits, votes


def test_pixels_are_grouped_by_what_they_vote_for():
    low, high, wide = slice(2, 14), slice(16, 28), slice(3, 30)
    logits, votes = ballot((low, slice(3, 20), (-0.5, 0.1)), (high, wide, (0.4, -0.3)))
    groups = group_votes(logits, votes)
    expected = torch.zeros(1, 32, 32, dtype=torch.long)
    expected[:, high, wide], expected[:, low, 3:20] = 1, 2  # the larger crowd is found first
    assert torch.equal(groups.labels, expected) and groups.labels.dtype == torch.long
    assert groups.there.tolist() == [[True, True, False, False]] and groups.there.dtype == torch.bool
    torch.testing.assert_close(groups.centres[0, :2], torch.tensor([[0.4, -0.3], [-0.5, 0.1]]), atol=0.005, rtol=0.0)
    assert not groups.centres[0, 2:].any()


def test_a_vote_far_from_all_joins_the_nearest_group():
    logits, votes = ballot(
        (slice(0, 10), slice(0, 32), (-0.5, 0.0)), (slice(12, 22), slice(0, 32), (0.5, 0.0)), noise=0
    )
    votes[0, :, 5, 5], votes[0, :, 15, 7] = torch.tensor([0.1, 0.9]), torch.tensor([-0.1, -0.9])
    labels = group_votes(logits, votes).labels[0]
    assert labels[5, 5] == labels[15, 8] != labels[15, 7] == labels[5, 6] and labels[25].eq(0).all()


def test_nothing_shown_is_no_thing_and_neither_is_a_crowd_that_is_too_small():
    logits, votes = ballot((slice(0, 10), slice(0, 32), (-0.5, 0.0)), noise=0)
    none = group_votes(-logits.abs(), votes)
    assert not none.labels.any() and not none.there.any() and not none.centres.any()
    for rows, found in ((2, 1), (4, 2)):  # one vote in four is counted: 1 and 2 of them, where 0.006 * 256 are needed
        few = ballot(
            (slice(0, 10), slice(0, 32), (-0.5, 0.0)), (slice(20, 20 + rows), slice(20, 22), (0.5, 0.5)), noise=0
        )
        groups = group_votes(*few)
        assert groups.there.sum() == found and (groups.labels[0, 20, 20] == found)
    alone = group_votes(*ballot((slice(20, 22), slice(20, 22), (0.5, 0.5))))
    assert not alone.there.any() and not alone.labels.any()  # shown, but by too few


def test_of_more_crowds_than_there_may_be_the_largest_are_taken():
    crowds = [(slice(8 * k, 8 * k + 8), slice(0, 32 - 4 * k), (0.4 * k - 0.6, 0.0)) for k in range(4)]
    logits, votes = ballot(*crowds)
    assert group_votes(logits, votes).there.all()
    groups = group_votes(logits, votes, most=2)
    assert groups.centres.shape == (1, 2, 2) and groups.there.tolist() == [[True, True]]
    torch.testing.assert_close(groups.centres[0, :, 0], torch.tensor([-0.6, -0.2]), atol=0.01, rtol=0.0)
    assert groups.labels[0, ::8, 0].tolist() == [1, 2, 2, 2]


def test_how_near_votes_are_of_one_thing():
    """Votes within 0.12 make its middle, and what is within 0.216 of that belongs to it."""
    large, small = (slice(0, 16), slice(0, 32)), (slice(16, 24), slice(0, 32))
    for apart, middles in ((0.11, [0.11 / 3]), (0.13, [0.0]), (0.21, [0.0]), (0.22, [0.0, 0.22])):
        groups = group_votes(*ballot((*large, (0.0, 0.0)), (*small, (0.0, apart)), noise=0), reach=0.12)
        assert groups.centres[0, groups.there[0], 1].tolist() == pytest.approx(middles, abs=1e-3), apart


def test_votes_that_were_taken_out_do_not_count_again():
    rows = slice(0, 16), slice(16, 24), slice(24, 28)
    places = (0.0, 0.2, 0.3)  # the second belongs to the first, though it is near to the third
    groups = group_votes(
        *ballot(*((r, slice(0, 32), (place, 0.0)) for r, place in zip(rows, places, strict=True)), noise=0), reach=0.12
    )
    assert groups.centres[0, groups.there[0], 0].tolist() == pytest.approx([0.0, 0.3], abs=1e-3)

    few = (*((r, slice(0, 32), (place, 0.0)) for r, place in zip(rows[:2], places, strict=False)),)
    alone = ballot(
        *few, (slice(30, 32), slice(30, 32), (0.3, 0.0)), noise=0
    )  # one counted vote, near to many taken out
    assert group_votes(*alone, reach=0.12).there.sum() == 1


def test_a_vote_that_was_taken_out_begins_no_group():
    places = ((0.0, 0.0), (0.2, 0.0), (0.23, 0.1), (0.23, -0.1))  # the second, of the first, is near to both others
    rows = slice(0, 16), slice(16, 24), slice(24, 28), slice(28, 31)
    groups = group_votes(
        *ballot(*((r, slice(0, 32), place) for r, place in zip(rows, places, strict=True)), noise=0), reach=0.12
    )
    expected = torch.tensor([[0.0, 0.0], [0.23, 0.1]])
    torch.testing.assert_close(groups.centres[0, groups.there[0]], expected, atol=1e-3, rtol=0.0)


def test_pictures_are_grouped_one_by_one():
    ballots = [ballot((slice(0, 9), slice(0, 9 + 4 * i), (0.3 * i, 0.2)), seed=i) for i in range(3)]
    logits, votes = (torch.cat(parts) for parts in zip(*ballots, strict=True))
    together = group_votes(logits, votes)
    for i, one in enumerate(ballots):
        for a, b in zip(group_votes(*one), together, strict=True):
            assert torch.equal(a[0], b[i])


# --- what things look like --------------------------------------------------------------------------------------------


def test_what_is_seen_of_a_thing_is_the_picture_about_it_its_pixels_and_those_of_others():
    x = random(2, 3, 8, 8)
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[0, 2:5, 1:4], labels[0, 3:7, 3:6], labels[1, 0:2, 0:2] = 1, 2, 1
    centres = torch.tensor([[[-0.5, 0.0], [0.0, 0.25], [0, 0]], [[-0.75, -0.75], [0, 0], [0, 0]]])
    there = torch.tensor([[True, True, False], [True, False, False]])
    seen, picture, k = seen_of(x, Groups(labels, centres, there), 4)
    assert picture.tolist() == [0, 0, 1] and k.tolist() == [0, 1, 0] and seen.shape == (3, 5, 4, 4)
    for window, i, j, (column, row) in zip(seen, picture, k, ((2, 4), (4, 5), (1, 1)), strict=True):
        own, others = labels[i] == j + 1, (labels[i] != j + 1) & (labels[i] != 0)
        expected = by_loops(torch.cat([x[i], own[None], others[None]]), column, row, 4)
        assert torch.equal(window, expected)
    nothing, picture, k = seen_of(x, Groups(labels, centres, torch.zeros_like(there)), 4)
    assert nothing.shape == (0, 5, 4, 4) and len(picture) == len(k) == 0


def test_the_vae_of_sprites_sees_five_channels_and_draws_four():
    torch.manual_seed(0)
    vae = sprite_vae(16, latent_dim=3, width=4, hidden=8, colours=3)
    q = vae.encode(random(2, 5, 16, 16))
    assert q.batch_shape == (2,) and q.event_shape == (3,)
    p = vae.decode(q.mean)
    assert p.event_shape == (4, 16, 16) and vae.likelihood.sigma.requires_grad
    assert vae.likelihood.sigma.item() == pytest.approx(0.05)


# --- scenes taken apart -----------------------------------------------------------------------------------------------

RED, BLUE, GREEN, GREY = (0.9, 0.2, 0.1), (0.1, 0.3, 0.9), (0.2, 0.8, 0.2), (0.3, 0.3, 0.3)
# Of each thing, from back to front: top, left, height and width, colour, alpha.
KNOWN = {
    "one": [(4, 6, 8, 10, RED, 0.6)],
    "two, one before the other": [(4, 6, 8, 10, RED, 1.0), (8, 10, 10, 12, BLUE, 0.5)],
    "the same, the smaller in front": [(8, 10, 10, 12, BLUE, 1.0), (4, 6, 8, 10, RED, 0.5)],
    "two apart": [(4, 4, 8, 8, RED, 1.0), (18, 18, 8, 10, BLUE, 1.0)],
    "a row": [(4, 4, 8, 8, RED, 1.0), (8, 8, 10, 10, BLUE, 0.7), (14, 14, 8, 14, GREEN, 1.0)],
    "two behind one": [(4, 4, 8, 8, RED, 1.0), (14, 14, 8, 10, GREEN, 1.0), (8, 8, 10, 10, BLUE, 0.7)],
    "two, and one apart": [(4, 4, 8, 8, RED, 1.0), (8, 8, 10, 10, BLUE, 1.0), (22, 20, 8, 10, GREEN, 1.0)],
    "four": [(2, 2, 8, 8, RED, 1.0), (6, 6, 10, 8, BLUE, 1.0), (12, 10, 8, 12, GREEN, 0.8), (16, 16, 12, 10, GREY, 1)],
    "none": [],
}
# Of the orders of the things of each, the share that the picture tells apart from none.
POSSIBLE = (1, 1, 1, 2, 1, 2, 3, 1, 1)


def known_layers(things):
    """(1 + 4, 4, SIZE, SIZE), premultiplied; the background is of one colour."""
    layers = torch.zeros(1 + MOST, 4, SIZE, SIZE)
    layers[0] = torch.tensor([0.8, 0.7, 0.6, 1.0]).view(4, 1, 1)
    for layer, (top, left, height, width, colour, alpha) in zip(layers[1:], things, strict=False):
        rgba = torch.tensor([*(alpha * c for c in colour), alpha])
        layer[:, top : top + height, left : left + width] = rgba.view(4, 1, 1)
    return layers


class Truth:
    """The known scenes, and where their things are."""

    def __init__(self):
        self.layers = torch.stack([known_layers(things) for things in KNOWN.values()])
        self.x = compose(self.layers)
        number = torch.arange(1, 1 + MOST)[:, None, None]
        self.labels = ((self.layers[:, 1:, 3] > 0) * number).amax(1)
        self.centres, self.there = torch.zeros(len(KNOWN), MOST, 2), torch.zeros(len(KNOWN), MOST, dtype=torch.bool)
        for i, things in enumerate(KNOWN.values()):
            for k, (top, left, height, width, *_) in enumerate(things):
                self.there[i, k] = True
                self.centres[i, k] = torch.tensor([left + width / 2, top + height / 2]) * 2 / SIZE - 1
        self.seen, picture, k = seen_of(self.x, Groups(self.labels, self.centres, self.there), SIDE)
        self.windows = cut(self.layers[picture, k + 1], self.centres[picture, k], SIDE)
        self.code = torch.full((len(KNOWN), MOST), -1)
        self.code[picture, k] = torch.arange(len(k))

    def votes_of(self, x):
        of = (x[:, None] - self.x).abs().flatten(2).amax(2).argmin(1)
        which = (self.labels[of] - 1).clamp(min=0).flatten(1)
        votes = self.centres[of].gather(1, which[:, :, None].expand(-1, -1, 2)).mT.unflatten(2, (SIZE, SIZE))
        return self.labels[of] - 0.5, votes


class KnowsVotes(nn.Module):
    """In place of a network: the true votes."""

    def __init__(self, truth):
        super().__init__()
        self.truth, self.modes = truth, []

    def forward(self, x):
        self.modes.append(self.training)
        return self.truth.votes_of(x)


class KnowsSprites(nn.Module):
    """In place of a VAE: a thing's code is its number, and its picture the true one; nothing else has been seen."""

    latent_dim = 1

    def __init__(self, truth):
        super().__init__()
        self.truth, self.modes = truth, []

    def encode(self, seen):
        self.modes.append(self.training)
        distance, code = (seen[:, None] - self.truth.seen).abs().flatten(2).amax(2).min(1)
        assert distance.max() == 0
        return SimpleNamespace(mean=code[:, None].float())

    def decode(self, z):
        return SimpleNamespace(mean=self.truth.windows[z[:, 0].long()])


@pytest.fixture(scope="module")
def truth():
    return Truth()


@pytest.fixture
def knowing(truth):
    return SceneModel(KnowsVotes(truth), KnowsSprites(truth), side=SIDE)


def test_with_true_votes_and_true_sprites_a_scene_is_its_layers_in_order(knowing, truth):
    apart = knowing.take_apart(truth.x)
    torch.testing.assert_close(apart.pictures, truth.x)
    for i, (name, possible) in enumerate(zip(KNOWN, POSSIBLE, strict=True)):
        here = apart.there[i]
        count = int(truth.there[i].sum())
        assert here.sum() == count, name
        assert apart.log_order[i].item() == pytest.approx(-math.log(possible), abs=1e-3), name
        torch.testing.assert_close(apart.layers[i, 0], truth.layers[i, 0])
        assert not apart.layers[i, 1:][~here].any() and not apart.codes[i][~here].any()
        places = [truth.code[i].tolist().index(int(code)) for code in apart.codes[i][here]]  # which of the true ones
        assert sorted(places) == list(range(count))
        assert possible > 1 or places == sorted(places), name
        torch.testing.assert_close(apart.layers[i, 1:][here], truth.layers[i, 1:][places])
        torch.testing.assert_close(apart.centres[i][here], truth.centres[i][places])
    assert apart.log_order.max() < 1e-5
    crossing = list(KNOWN).index("two behind one")
    assert apart.codes[crossing][apart.there[crossing]][-1] == truth.code[crossing, 2]


def test_the_probability_of_an_order_counts_no_order_of_things_that_are_not_there(knowing, truth):
    """Of blurred layers and a large sigma no order is certain; only the things that are there are permuted by hand."""
    knowing.sprites.truth = SimpleNamespace(
        seen=truth.seen, windows=0.8 * truth.windows + 0.1 * random(*truth.windows.shape)
    )
    knowing.sigma = 1.5
    apart = knowing.take_apart(truth.x)
    for i in range(len(KNOWN)):
        layers = torch.cat([apart.layers[i, :1], apart.layers[i, 1:][apart.there[i]]])[None]
        orders, log_likelihood = order_log_likelihood(truth.x[i, None], layers, 1.5)
        expected = log_likelihood.log_softmax(1)[0, orders.eq(orders.sort(1).values).all(1)]
        assert (
            apart.log_order[i].item() == pytest.approx(expected.item(), abs=1e-4) == log_likelihood.log_softmax(1).max()
        )
    assert (apart.log_order < -0.05).sum() >= 5


def test_batches_do_not_matter(knowing, truth):
    whole = knowing.take_apart(truth.x)
    for size in (1, 4):
        for a, b in zip(knowing.take_apart(truth.x, batch_size=size), whole, strict=True):
            torch.testing.assert_close(a, b)
    only_nothing = knowing.take_apart(truth.x[-1:])
    for a, b in zip(only_nothing, whole, strict=True):
        torch.testing.assert_close(a[0], b[-1])


def test_where_nothing_is_found_the_background_is_the_picture(truth):
    nothing = lambda x: (torch.full_like(x[:, 0], -1.0), torch.zeros_like(x[:, :2]))  # noqa: E731
    model, x = SceneModel(votes_saying(nothing), KnowsSprites(truth), side=SIDE), random(3, 3, SIZE, SIZE)
    apart = model.take_apart(x)
    assert (
        torch.equal(apart.layers[:, 0, :3], x) and apart.layers[:, 0, 3].eq(1).all() and torch.equal(apart.pictures, x)
    )
    assert not apart.layers[:, 1:].any() and not apart.there.any() and not apart.labels.any()
    assert apart.log_order.tolist() == pytest.approx([0] * 3, abs=1e-5)


def votes_saying(answer):
    module = nn.Module()
    module.forward = answer
    return module


def test_a_picture_full_of_things_is_taken_apart_too(truth):
    x = random(2, 3, SIZE, SIZE)
    everywhere = lambda x: (torch.ones_like(x[:, 0]), pixel_places(x).expand(len(x), -1, -1, -1).mul(0.02))  # noqa: E731
    torch.manual_seed(0)
    model = SceneModel(votes_saying(everywhere), sprite_vae(SIDE, 2, 2, 4, 2), side=SIDE)
    apart = model.take_apart(x)
    assert torch.equal(apart.layers[:, 0, :3], x) and apart.there.sum(1).tolist() == [1, 1]
    labels = torch.ones(2, SIZE, SIZE, dtype=torch.long)
    labels[1, 4:, 4:] = 0
    background = model.background(x, labels)  # another beside it is filled all the same
    assert torch.equal(background[0], x[0]) and not torch.equal(background[1], x[1])


def test_the_background_begins_two_pixels_from_a_thing(truth):
    model = SceneModel(KnowsVotes(truth), KnowsSprites(truth), side=SIDE)
    ramp = torch.linspace(0.2, 0.8, 12).expand(1, 3, 12, 12).clone()
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[0, 5:7, 4:8] = 3
    hidden = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    hidden[..., 3:9, 2:10] = True
    x = torch.where(hidden, 1.0, ramp)
    torch.testing.assert_close(model.background(x, labels), ramp, atol=1e-5, rtol=0.0)  # a plane is smooth
    torch.testing.assert_close(model.background(ramp, 0 * labels), ramp)
    x = random(1, 3, 12, 12)
    kept = (model.background(x, labels) == x).all(1)[0]
    assert torch.equal(~kept, hidden[0, 0])  # and not one pixel further


def test_it_is_in_eval_mode_meanwhile_and_afterwards_as_it_was(knowing, truth):
    knowing.train()
    knowing.votes.eval()
    apart = knowing.take_apart(truth.x, batch_size=4)
    assert knowing.training and knowing.sprites.training and not knowing.votes.training
    assert not any(knowing.votes.modes + knowing.sprites.modes) and len(knowing.votes.modes) == 3
    assert apart.layers.shape == (len(KNOWN), 5, 4, SIZE, SIZE)


def test_no_gradient_is_kept_and_no_random_number_drawn(monkeypatch):
    monkeypatch.setattr("vae_helpers.models.scenes.REACHES", (0.12,))  # of several answers it would keep the empty one
    torch.manual_seed(0)
    model = SceneModel(VoteNetwork(3), sprite_vae(SIDE, 2, 2, 4, 2), side=SIDE)
    nn.init.constant_(model.votes.said[0].bias, 0.5)  # so that something is found
    x, state = random(2, 3, SIZE, SIZE).double(), torch.get_rng_state()
    first, again = model.take_apart(x), model.take_apart(x.float())
    assert first.there.any() and not any(part.requires_grad for part in first)
    assert torch.equal(torch.get_rng_state(), state) and all(map(torch.equal, first, again))


def test_of_several_answers_the_one_is_kept_that_explains_the_picture_best(monkeypatch):
    model, chosen = pretrained.scene_model(), scenes.sample(12, 3, "textured")
    x = to_float(scenes.render(chosen, 64))
    together, alone = model.take_apart(x), []
    for reach in REACHES:
        monkeypatch.setattr("vae_helpers.models.scenes.REACHES", (reach,))
        alone.append(model.take_apart(x))
    error = torch.stack([(apart.pictures - x).square().flatten(1).sum(1) for apart in alone], 1)  # (N, tries)
    assert (error.amin(1) < error.amax(1) - 1).any(), "the tries must differ somewhere"
    for i, best in enumerate(error.argmin(1).tolist()):
        assert all(torch.equal(a[i], b[i]) for a, b in zip(together, alone[best], strict=True))


def test_an_answer_without_a_thing_is_not_kept_where_another_has_one():
    """The background of a scene without things is the picture itself, and explains it perfectly."""
    crowd = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    crowd[4:8, 4:8] = True  # four counted votes, 0.09 from each other: for the smallest reach each stands alone

    def scattered(x):
        places = pixel_places(x)
        votes = 0.09 * (torch.stack([places[0] > places[0, 0, 5], places[1] > places[1, 5, 0]])).float() - 0.6
        return torch.where(crowd, 1.0, -1.0).expand(len(x), -1, -1), votes.expand(len(x), -1, -1, -1)

    torch.manual_seed(0)
    model = SceneModel(votes_saying(scattered), sprite_vae(SIDE, 2, 2, 4, 2), side=SIDE)
    x = random(3, 3, SIZE, SIZE)
    found = [group_votes(*scattered(x), reach=reach).there.sum(1).tolist() for reach in REACHES]
    assert found == [[0] * 3, [1] * 3, [1] * 3]
    assert group_votes(*scattered(x)).there.any()  # the middle one is usual
    assert model.take_apart(x).there.sum(1).tolist() == [1] * 3


def test_things_have_an_alpha_within_bounds_and_colours_as_they_are(truth):
    model = SceneModel(KnowsVotes(truth), KnowsSprites(truth), side=SIDE)
    raw = 3 * random(2, 4, SIDE, SIDE) - 1
    model.sprites.decode = lambda z: SimpleNamespace(mean=raw)
    found = model.things(torch.zeros(2, 1))
    assert torch.equal(found[:, :3], raw[:, :3]) and torch.equal(found[:, 3], raw[:, 3].clamp(0, 1))


# --- objectives -------------------------------------------------------------------------------------------------------


def test_the_error_of_votes_by_hand():
    logits, votes = 4 * random(2, 3, 3) - 2, 2 * random(2, 2, 3, 3, seed=1) - 1
    labels = torch.tensor([[[0, 1, 1], [0, 2, 1], [0, 0, 0]], [[0] * 3] * 3])  # the second shows nothing
    centres = torch.tensor([[[0.1, 0.2], [-0.3, 0.4]], [[9.0, 9.0], [9.0, 9.0]]])
    for stored in (labels, labels.byte()):
        parts = vote_error(lambda x: (logits, votes), torch.zeros(2, 3, 3, 3), stored, centres)
        for i in range(2):
            wrong, off = 0.0, []
            for r, c in itertools.product(range(3), repeat=2):
                p, k = torch.sigmoid(logits[i, r, c]).item(), int(labels[i, r, c])
                wrong -= math.log(p if k else 1 - p) / 9
                if k:
                    off.append((votes[i, :, r, c] - centres[i, k - 1]).abs().sum().item())
            miss = sum(off) / max(len(off), 1)
            assert parts["miss"][i].item() == pytest.approx(miss, rel=1e-5)
            assert parts["loss"][i].item() == pytest.approx(wrong + 4 * miss, rel=1e-5)


def test_a_vote_network_learns():
    factors = scenes.sample(64, 3)
    data = (scenes.render(factors, 32), scenes.labels(factors, 32), scenes.parts(factors)[0][..., 2:4])
    network = vote_network(4)
    x = data[0].float() / 255
    before = vote_error(network, x, *data[1:])["loss"].mean()
    fit(network, data, objective=vote_error, steps=100, batch_size=16, learning_rate=1e-2, progress=False)
    assert vote_error(network, x, *data[1:])["loss"].mean() < 0.7 * before


def test_where_all_is_seen_the_bound_is_that_of_every_vae():
    torch.manual_seed(0)
    vae, x = mlp_vae((1, 4, 4), 2, (8,), GaussianLikelihood(0.3)), random(5, 1, 4, 4)
    torch.manual_seed(1)
    usual = negative_elbo(vae, x, beta=0.7)
    torch.manual_seed(1)
    hidden = negative_elbo_of_hidden(vae, x, x, beta=0.7)
    assert set(hidden) == set(usual)
    for name, value in usual.items():
        torch.testing.assert_close(hidden[name], value)


def test_what_is_hidden_is_to_be_drawn():
    torch.manual_seed(0)
    vae = sprite_vae(16, latent_dim=3, width=4, hidden=8, colours=3)
    whole, seen = random(4, 4, 16, 16), random(4, 5, 16, 16, seed=1)
    torch.manual_seed(1)
    parts = negative_elbo_of_hidden(vae, whole, seen, beta=0.5)
    torch.manual_seed(1)
    q = vae.encode(seen)
    torch.testing.assert_close(parts["distortion"], -vae.decode(q.rsample()).log_prob(whole))
    by_hand = 0.5 * (q.mean.square() + q.variance - q.variance.log() - 1).sum(1)
    torch.testing.assert_close(parts["kl"], by_hand)
    torch.testing.assert_close(parts["loss"], parts["distortion"] + 0.5 * by_hand)
    torch.testing.assert_close(parts["elbo"], -parts["distortion"] - by_hand)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_layers_that_are_none_are_refused():
    layers = drawn(2)[1]
    with pytest.raises(ValueError, match=r"layers must have shape \(N, L, 4, S, S\).*layers\[None\]"):
        compose(layers[0])
    with pytest.raises(ValueError, match=r"the alpha of layers must lie in \[0, 1\]"):
        compose(2 * layers)
    with pytest.raises(ValueError, match=r"alphas must have shape \(N, L, S, S\).*layers\[:, :, 3\]"):
        visible_shares(layers)
    with pytest.raises(ValueError, match=r"alphas must lie in \[0, 1\]"):
        visible_shares(layers[:, :, 3] + 1)


def test_windows_and_places_that_do_not_fit_are_refused():
    pictures, centres = random(3, 2, 8, 8), torch.zeros(3, 2)
    for side in (5, 0, 4.0):
        with pytest.raises(ValueError, match="side must be"):
            cut(pictures, centres, side)
    with pytest.raises(ValueError, match="side must be even, so that the middle lies between two pixels, not 7"):
        paste(pictures[..., :7, :7], centres, 16)
    with pytest.raises(ValueError, match="centres must have a row for each of the 3 pictures, not 2"):
        cut(pictures, centres[:2], 4)
    with pytest.raises(ValueError, match="centres must have a row for each of the 3 windows, not 2"):
        paste(pictures, centres[:2], 16)
    with pytest.raises(ValueError, match="centres holds 6 values that are NaN"):
        cut(pictures, centres / 0, 4)
    with pytest.raises(TypeError, match="pictures must be a floating-point tensor"):
        cut(pictures.byte(), centres, 4)


def test_orders_that_are_none_are_refused():
    layers, pictures = drawn(2)[1:]
    with pytest.raises(ValueError, match=r"x \(2, 3, 16, 16\) and layers \(2, 5, 4, 32, 32\) must be as many"):
        order_log_likelihood(pictures[..., ::2, ::2], layers)
    with pytest.raises(ValueError, match=r"x \(1, 3, 32, 32\) and layers"):
        order_log_likelihood(pictures[:1], layers)
    with pytest.raises(ValueError, match="sigma must be a positive number, not 0"):
        order_log_likelihood(pictures, layers, 0)
    with pytest.raises(ValueError, match="layers holds 8 things, and so many orders are not tried; 7 at most"):
        order_log_likelihood(pictures, layers[:, [0, 1, 2, 3, 4, 1, 2, 3, 4]])
    for order in ([0, 1], [1, 5], [[1, 2]] * 3, 1):
        with pytest.raises(ValueError, match=r"order must hold numbers of layers from 1 to 4.* 2 pictures"):
            in_order(layers, torch.tensor(order))
    for order in ([2, 1], torch.tensor([2.0, 1.0])):
        with pytest.raises(TypeError, match=r"order must be an int64 tensor such as torch.tensor\(\[2, 1\]\)"):
            in_order(layers, order)


def test_pictures_that_the_networks_do_not_take_are_refused(knowing, truth):
    network = vote_network()
    with pytest.raises(ValueError, match=r"sides of a multiple of 16 pixels.*not 40.*load\("):
        network(random(1, 3, 40, 40))
    with pytest.raises(TypeError, match=r"x must be a floating-point tensor .*not uint8.*to_float"):
        network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3, S, S\)"):
        network(random(1, 3, 32, 48))
    with pytest.raises(TypeError, match=r"x must be a floating-point tensor in \[0, 1\].*not uint8.*to_float"):
        knowing.take_apart((255 * truth.x).byte())
    with pytest.raises(ValueError, match=r"sides of 32 pixels, for which the model was made, not 48.*size=32"):
        knowing.take_apart(random(1, 3, 48, 48))
    with pytest.raises(ValueError, match=r"A single image \(C, H, W\) becomes a batch"):
        knowing.take_apart(truth.x[0])
    with pytest.raises(ValueError, match="batch_size must be"):
        knowing.take_apart(truth.x, batch_size=0)
    for wrong in ({"side": 31}, {"sigma": 0.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            SceneModel(network, sprite_vae(), **wrong)
    with pytest.raises(ValueError, match="width must be"):
        VoteNetwork(0)


def test_votes_and_groups_that_do_not_fit_are_refused(truth):
    logits, votes = ballot((slice(0, 9), slice(0, 9), (0.0, 0.0)))
    with pytest.raises(
        ValueError, match=r"logits \(1, 16, 16\) and votes \(1, 2, 32, 32\) must be as many and as large"
    ):
        group_votes(logits[:, ::2, ::2], votes)
    with pytest.raises(ValueError, match="most must be"):
        group_votes(logits, votes, most=0)
    with pytest.raises(ValueError, match=r"votes holds .* NaN"):
        group_votes(logits, votes * math.nan)
    groups = group_votes(logits, votes)
    with pytest.raises(ValueError, match=r"x .* and the labels of groups \(1, 32, 32\) must be as many"):
        seen_of(random(2, 3, 32, 32), groups, 16)
    with pytest.raises(ValueError, match="side must be even"):
        seen_of(random(1, 3, 32, 32), groups, 15)
    x, labels, centres = random(1, 3, 32, 32), torch.zeros(1, 32, 32), torch.zeros(1, 4, 2)
    with pytest.raises(ValueError, match=r"labels must have shape \(1, 32, 32\)"):
        vote_error(vote_network(), x, labels[:, :16], centres)
    with pytest.raises(ValueError, match=r"centres must have shape \(1, K, 2\)"):
        vote_error(vote_network(), x, labels, centres[0])
    with pytest.raises(ValueError, match="x and seen must have as many rows, not 2 and 1"):
        negative_elbo_of_hidden(sprite_vae(16, 2, 2, 4), random(2, 4, 16, 16), random(1, 5, 16, 16))
