"""Scenes taken apart: which thing each pixel shows, what the thing looks like where it is hidden, and who is in front.

A scene is a stack of layers, and what a thing looks like in its own window is drawn by a VAE:

    z_k ~ N(0, I),    layer_k = decoder(z_k), put at place_k
    x = layer_n over ... over layer_1 over the background, and noise

Of this posterior nothing is known in closed form but its last part, the order of given layers. The places are voted for
by each pixel (`VoteNetwork`), codes are inferred from what is seen of a thing (`sprite_vae`), orders are counted
(`order_log_likelihood`). `SceneModel` does all three.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.blending import fill_smoothly
from vae_helpers.distributions import GaussianLikelihood
from vae_helpers.images import check_pictures
from vae_helpers.models.convolutional import PATCH, ConvEncoder, PaletteDecoder, counts
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import evaluating
from vae_helpers.models.vae import VAE

SEEN = 5  # channels of what a sprite's encoder sees: the picture, which pixels are its own, and which are others'
MOST = 4  # things in a scene
MOST_IN_ORDER = 7  # things whose orders are all tried: 5,040
REACHES = (0.06, 0.10, 0.15)  # votes nearer to each other than this, of the picture's half side, speak of one thing
EDGE = 2  # pixels about a thing that are not taken for background
SMALLEST = 0.006  # of the picture: fewer votes than this are no thing


class Groups(NamedTuple):
    """Pixels by the thing they voted for."""

    labels: Tensor  # `int64` (N, S, S): 0 for the background, k for the k-th thing found
    centres: Tensor  # (N, K, 2): x and y of what it voted for, each in [-1, 1]
    there: Tensor  # bool (N, K): whether so many things were found


class Apart(NamedTuple):
    """A scene's layers from back to front, as many for each picture; those not there are clear, and last."""

    layers: Tensor  # (N, 1 + K, 4, S, S), premultiplied; the first is the background, with alpha 1
    centres: Tensor  # (N, K, 2), of the things
    there: Tensor  # bool (N, K)
    codes: Tensor  # (N, K, D), the means of q(z)
    log_order: Tensor  # (N,): log of the posterior probability of this order, of all orders of these layers

    @property
    def pictures(self) -> Tensor:
        """The layers laid over each other, (N, 3, S, S)."""
        return compose(self.layers)

    @property
    def visible(self) -> Tensor:
        """Which share of a pixel's colour is each layer's, (N, 1 + K, S, S)."""
        return visible_shares(self.layers[:, :, 3])

    @property
    def labels(self) -> Tensor:
        """The layer of which each pixel shows most, (N, S, S)."""
        return self.visible.argmax(1)


# --- layers ------------------------------------------------------------------------------------------------------


def compose(layers: Tensor) -> Tensor:
    """Layers laid over each other, from back to front: (N, L, 4, S, S), premultiplied -> pictures (N, 3, S, S)."""
    return _laid(_checked_layers(layers).unbind(1))


def _laid(layers: Iterable[Tensor]) -> Tensor:
    """The same of single layers, (N, 4, S, S) each, not checked; the first one covers everything."""
    picture, *fronts = layers
    picture = picture[:, :3]
    for front in fronts:
        picture = front[:, :3] + (1 - front[:, 3:]) * picture
    return picture


def _checked_layers(layers: Tensor) -> Tensor:
    checking.tensor(layers, "layers", "(N, L, 4, S, S)", "One picture's layers become a batch with layers[None].")
    checking.unit(layers[:, :, 3], "the alpha of layers")
    return layers


def visible_shares(alphas: Tensor) -> Tensor:
    """Which share of each pixel's colour is each layer's: its alpha, times what those in front let through.

    Args:
        alphas: (N, L, S, S) in [0, 1], from back to front. Where the first is 1 they sum to one.
    """
    checking.unit(checking.tensor(alphas, "alphas", "(N, L, S, S)", "That of layers is layers[:, :, 3]."), "alphas")
    through = (1 - alphas).flip(1).cumprod(1)  # (N, L, S, S): from the front, through the first one, two, ...
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1).flip(1)
    return alphas * before


def cut(pictures: Tensor, centres: Tensor, side: int) -> Tensor:
    """Windows of `side` pixels about places, rounded to whole pixels; beyond the border there is zero.

    Args:
        pictures: (M, C, S, S), one for each place.
        centres: (M, 2), x and y in [-1, 1]; what lies beyond is moved to the border.
        side: an even number.
    Returns:
        (M, C, side, side).
    """
    _check_places(centres, side, len(checking.tensor(pictures, "pictures", "(M, C, S, S)")), "pictures")
    padded = F.pad(pictures, [side // 2] * 4)
    return padded[_window(padded, centres, side)]


def paste(windows: Tensor, centres: Tensor, size: int) -> Tensor:
    """The windows at their places in clear pictures: the inverse of `cut`, (M, C, side, side) -> (M, C, size, size)."""
    side, size = checking.tensor(windows, "windows", "(M, C, side, side)").shape[-1], checking.integer(size, "size")
    _check_places(centres, side, len(windows), "windows")
    canvas = windows.new_zeros(*windows.shape[:2], size + side, size + side)
    canvas[_window(canvas, centres, side)] = windows
    inner = slice(side // 2, side // 2 + size)
    return canvas[..., inner, inner]


def _check_places(centres: Tensor, side: int, n: int, name: str) -> None:
    _even(side)
    if len(checking.tensor(centres, "centres", "(M, 2)")) != n:
        raise ValueError(f"centres must have a row for each of the {n} {name}, not {len(centres)}.")


def _even(side: int) -> int:
    if checking.integer(side, "side", 2) % 2:
        raise ValueError(f"side must be even, so that the middle lies between two pixels, not {side}.")
    return int(side)


def _window(padded: Tensor, centres: Tensor, side: int) -> tuple[Tensor, ...]:
    """The index of windows in pictures that were padded by half a window."""
    size = padded.shape[-1] - side
    at = ((centres.detach() + 1) * (size / 2)).round().long().clamp(0, size)  # (M, 2), column and row
    line = torch.arange(side, device=padded.device)
    picture, channel = (torch.arange(n, device=padded.device) for n in padded.shape[:2])
    rows, columns = at[:, 1, None] + line, at[:, 0, None] + line  # (M, side)
    return picture[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]


# --- who is in front ---------------------------------------------------------------------------------------------


def order_log_likelihood(x: Tensor, layers: Tensor, sigma: float = 0.1) -> tuple[Tensor, Tensor]:
    """log p(x | layers in an order), of all orders; under a uniform prior its softmax is the orders' posterior.

    Args:
        x: pictures (N, 3, S, S).
        layers: (N, 1 + K, 4, S, S), premultiplied; the first is the background, which stays at the back.
        sigma: standard deviation of the noise.
    Returns:
        `int64` (K!, K), the orders: which layer, 1 to K, stands first, second, ... from the back; and (N, K!), nats
        but for the constant that all orders share.
    """
    sigma, things = checking.positive(sigma, "sigma"), range(1, _checked_layers(layers).shape[1])
    if len(things) > MOST_IN_ORDER:
        raise ValueError(
            f"layers holds {len(things)} things, and so many orders are not tried; {MOST_IN_ORDER} at most."
        )
    _check_same(checking.tensor(x, "x", "(N, 3, S, S)"), layers, "x", "layers")
    orders = list(itertools.permutations(things))
    pictures = (_laid(layers[:, k] for k in (0, *order)) for order in orders)
    error = torch.stack([(picture - x).square().flatten(1).sum(1) for picture in pictures], 1)  # (N, K!)
    return torch.tensor(orders, dtype=torch.long, device=x.device), -0.5 * error / sigma**2


def _check_same(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    if (len(a), a.shape[-1]) != (len(b), b.shape[-1]):
        raise ValueError(f"{name_a} {tuple(a.shape)} and {name_b} {tuple(b.shape)} must be as many and as large.")


def in_order(layers: Tensor, order: Tensor) -> Tensor:
    """The background, then the other layers in an order, which may be another one for each picture.

    Args:
        layers: (N, 1 + K, 4, S, S).
        order: `int64` (K,) or (N, K), from 1 to K: which layer stands first, second, ... from the back. One that is
            left out is not among the result.
    """
    n, count = checking.tensor(layers, "layers", "(N, L, 4, S, S)").shape[:2]
    if not isinstance(order, Tensor) or order.dtype != torch.long:
        raise TypeError(f"order must be an int64 tensor such as torch.tensor([2, 1]), not {checking.shown(order)}.")
    if order.shape[:-1] not in ((), (n,)) or not order.dim() or not ((order > 0) & (order < count)).all():
        raise ValueError(
            f"order must hold numbers of layers from 1 to {count - 1}, the background being 0, in a row, or in one for "
            f"each of {n} pictures, not {checking.shown(order.tolist())}."
        )
    order = torch.cat([torch.zeros_like(order[..., :1]), order], -1).expand(n, -1)  # (N, 1 + K)
    return layers[torch.arange(n, device=order.device)[:, None], order]


# --- where things are --------------------------------------------------------------------------------------------


class VoteNetwork(nn.Module):
    """Each pixel says whether it shows a thing, and where that thing's middle is.

    A thing's pixels agree about its middle, and those of two things do not: pixels are grouped by what they vote for
    (Hough voting, Leibe, Leonardis & Schiele 2004; by a network, Kendall, Gal & Cipolla 2018). The network sees 4 x 4
    pixels at a place, halves the places twice, and grows back with the finer ones beside it (Ronneberger et al. 2015).

    Args:
        width: channels of the finest places are twice as many.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        (width,) = counts(width=width)
        fine, middle, coarse = 2 * width, 3 * width, 4 * width
        self.fine = nn.Sequential(nn.PixelUnshuffle(PATCH), *_conv(3 * PATCH**2, fine), *_conv(fine, fine))
        self.middle = nn.Sequential(*_conv(fine, middle, stride=2), *_conv(middle, middle))
        self.coarse = nn.Sequential(
            *_conv(middle, coarse, stride=2), *_conv(coarse, coarse), nn.Upsample(scale_factor=2)
        )
        self.middle_again = nn.Sequential(*_conv(middle + coarse, middle), nn.Upsample(scale_factor=2))
        self.fine_again = nn.Sequential(*_conv(fine + middle, fine))
        self.said = nn.Sequential(nn.Conv2d(fine, 3 * PATCH**2, 1), nn.PixelShuffle(PATCH))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, S, S), S a multiple of 16 -> logits of showing a thing (N, S, S), and votes (N, 2, S, S)."""
        form = "(N, 3, S, S)"
        size = checking.shape(checking.floating(x, "x", form, "See vae_helpers.to_float."), "x", form).shape[-1]
        if size % 16:
            raise ValueError(
                f"x must have sides of a multiple of 16 pixels, which are halved four times, not {size}. "
                'Load pictures at such a size: load("scenes", size=64).'
            )
        fine = self.fine(x)
        middle = self.middle(fine)
        again = self.middle_again(torch.cat([middle, self.coarse(middle)], 1))
        said = not_halved(self.said(self.fine_again(torch.cat([fine, again], 1))))
        return said[:, 0], pixel_places(x) + 0.5 * said[:, 1:]


def _conv(c_in: int, c_out: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1), nn.SiLU()


def pixel_places(pictures: Tensor) -> Tensor:
    """x and y of the middles of pixels, in [-1, 1]: (2, S, S) on the pictures' device."""
    size = pictures.shape[-1]
    line = (torch.arange(size, device=pictures.device) + 0.5) * (2 / size) - 1
    return torch.stack([line.expand(size, size), line[:, None].expand(size, size)])


def group_votes(logits: Tensor, votes: Tensor, most: int = MOST, reach: float = REACHES[1]) -> Groups:
    """Pixels by the thing they vote for.

    The vote with the most votes near it begins a group; those near it belong to it, and are taken out; so on, until
    too few are left. Then each pixel joins the group whose middle its vote is nearest to.

    Args:
        logits: (N, S, S), above zero where a thing is shown.
        votes: (N, 2, S, S).
        most: things in a picture, at most.
        reach: how near, of the picture's half side.
    """
    reach = checking.positive(reach, "reach")
    most, form = checking.integer(most, "most"), "(N, S, S)"
    _check_same(
        checking.tensor(logits, "logits", form), checking.tensor(votes, "votes", "(N, 2, S, S)"), "logits", "votes"
    )
    labels = torch.zeros(logits.shape, dtype=torch.long, device=logits.device)
    centres, there = votes.new_zeros(len(votes), most, 2), torch.zeros(len(votes), most, dtype=torch.bool)
    for i, (inside, vote) in enumerate(zip(logits > 0, votes, strict=True)):
        found = _crowds(vote[:, ::2, ::2][:, inside[::2, ::2]].T, most, SMALLEST * inside.numel() / 4, reach)
        if len(found):  # one vote in four was counted
            labels[i] = inside * (1 + torch.cdist(vote.flatten(1).T, found).argmin(1).view_as(inside))
            centres[i, : len(found)], there[i, : len(found)] = found, True
    return Groups(labels, centres, there.to(votes.device))


def _crowds(votes: Tensor, most: int, fewest: float, reach: float) -> Tensor:
    """The middles of the places where votes (M, 2) crowd: (K, 2), K <= most."""
    near = torch.cdist(votes, votes) < reach  # (M, M)
    left, found = torch.ones(len(votes), dtype=torch.bool, device=votes.device), []
    while len(found) < most and left.any():
        count = (near & left).sum(1) * left
        best = count.argmax()
        if count[best] < fewest:
            break
        middle = votes[near[best] & left].mean(0)
        found.append(middle)
        left &= (votes - middle).norm(dim=1) >= 1.8 * reach
    return torch.stack(found) if found else votes.new_zeros(0, 2)


# --- what things look like ---------------------------------------------------------------------------------------


def sprite_vae(side: int = 32, latent_dim: int = 40, width: int = 40, hidden: int = 256, colours: int = 12) -> VAE:
    """A VAE of things with transparency, whose encoder sees a picture in which others may stand before them.

    `encode` takes windows (N, 5, side, side), see `seen_of`; `decode` gives whole things, (N, 4, side, side), colours
    premultiplied. The decoder mixes a few such colours in each pixel, one of which may be clear, and a mixture of
    premultiplied colours is one (notebook 10, eq. (10.2)). The likelihood is a Gaussian with one sigma for colours and
    alpha: laid over a ground b, errors e of them make an error e_colour - e_alpha b of the picture.
    """
    side, latent_dim = counts(side=side, latent_dim=latent_dim)
    encoder = ConvEncoder((SEEN, side, side), 2 * latent_dim, width, hidden)
    decoder = PaletteDecoder((4, side, side), latent_dim, width, hidden, colours)
    return VAE(encoder, decoder, GaussianLikelihood(0.05, learn_sigma=True), latent_dim)


def seen_of(x: Tensor, groups: Groups, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """What is seen of each thing found: the picture about it, which pixels are its own, and which are others'.

    Args:
        x: pictures (N, 3, S, S).
        groups: of their pixels.
        side: of the windows.
    Returns:
        windows (M, 5, side, side); and for each the picture and the thing's number in it, (M,) each, from 0.
    """
    _check_same(
        checking.tensor(x, "x", "(N, C, S, S)"),
        checking.shape(groups.labels, "groups.labels", "(N, S, S)"),
        "x",
        "the labels of groups",
    )
    picture, k = groups.there.nonzero().T
    if not len(k):
        return x.new_zeros(0, x.shape[1] + 2, _even(side), side), picture, k
    labels = groups.labels[picture]  # (M, S, S)
    own = labels == (k + 1)[:, None, None]
    marks = torch.stack([own, (labels > 0) & ~own], 1).to(x)
    return cut(torch.cat([x[picture], marks], 1), groups.centres[picture, k], side), picture, k


class SceneModel(nn.Module):
    """A scene's things: where each is, what it looks like where it is hidden, and who stands in front of whom.

    Args:
        votes: a `VoteNetwork`.
        sprites: a `sprite_vae`, or what has its `latent_dim`, and `encode` and `decode` with a `mean`.
        side: of its windows; for scenes twice as large.
        sigma: of the noise, when orders are compared.
    """

    def __init__(self, votes: nn.Module, sprites: nn.Module, side: int = 32, sigma: float = 0.1):
        super().__init__()
        self.votes, self.sprites, self.side, self.sigma = votes, sprites, _even(side), checking.positive(sigma, "sigma")

    @torch.no_grad()
    def take_apart(self, x: Tensor, batch_size: int = 100) -> Apart:
        """The layers of pictures.

        How near votes must be to speak of one thing differs from scene to scene: of several answers (`REACHES`) that
        is kept whose layers are likeliest to have made the picture; one without any thing only where all are.

        Args:
            x: (N, 3, S, S) in [0, 1], S twice the windows' side.
            batch_size: pictures at a time; the result does not depend on it.
        """
        check_pictures(x, "x", "(N, 3, S, S)")
        if x.shape[-1] != 2 * self.side:
            raise ValueError(
                f"x must have sides of {2 * self.side} pixels, for which the model was made, not {x.shape[-1]}. Load "
                f'pictures at that size: load("scenes", size={2 * self.side}).'
            )
        x = x.float()
        with evaluating(self):
            parts = [self._apart(pictures) for pictures in x.split(checking.integer(batch_size, "batch_size"))]
        return Apart(*map(torch.cat, zip(*parts, strict=True)))

    def _apart(self, x: Tensor) -> Apart:
        said, row = self.votes(x), torch.arange(len(x), device=x.device)
        tries = [self._explained(x, group_votes(*said, reach=reach)) for reach in REACHES]
        best = torch.stack([log_likelihood for _, log_likelihood in tries], 1).argmax(1)  # (N,)
        return Apart(*(torch.stack(parts, 1)[row, best] for parts in zip(*(apart for apart, _ in tries), strict=True)))

    def _explained(self, x: Tensor, groups: Groups) -> tuple[Apart, Tensor]:
        """The layers of pictures with these groups, in their best order, and its log-likelihood, (N,).

        Without a thing the background explains all of the picture, and nothing: there it is minus infinity.
        """
        seen, picture, k = seen_of(x, groups, self.side)
        layers = x.new_zeros(len(x), 1 + MOST, 4, *x.shape[2:])
        codes = x.new_zeros(len(x), MOST, self.sprites.latent_dim)
        layers[:, 0, :3], layers[:, 0, 3] = self.background(x, groups.labels), 1
        if len(seen):
            codes[picture, k] = self.sprites.encode(seen).mean
            layers[picture, k + 1] = paste(self.things(codes[picture, k]), groups.centres[picture, k], x.shape[-1])
        orders, log_likelihood = order_log_likelihood(x, layers, self.sigma)
        order = orders[log_likelihood.argmax(1)]  # (N, K), the first of equals: what is not there comes last
        alike = math.lgamma(MOST + 1) - torch.lgamma(groups.there.sum(1) + 1.0)  # orders that differ in nothing seen
        log_order = log_likelihood.log_softmax(1).amax(1) + alike
        row = torch.arange(len(x), device=x.device)[:, None]
        of = order - 1  # the things' numbers, from back to front
        apart = Apart(
            in_order(layers, order), groups.centres[row, of], groups.there[row, of], codes[row, of], log_order
        )
        return apart, log_likelihood.amax(1).masked_fill(~groups.there.any(1), -math.inf)

    def background(self, x: Tensor, labels: Tensor) -> Tensor:
        """What is behind all things: the picture, filled smoothly where they are and as far as their edges reach.

        Args:
            x: (N, 3, S, S).
            labels: (N, S, S), 0 for the background. Where they leave nothing of it, the result is the picture.
        """
        _check_same(x, checking.shape(labels, "labels", "(N, S, S)"), "x", "labels")
        hole = F.max_pool2d((labels > 0).to(x)[:, None], 2 * EDGE + 1, stride=1, padding=EDGE)  # (N, 1, S, S)
        return fill_smoothly(x, hole * (hole == 0).flatten(1).any(1)[:, None, None, None])

    def things(self, z: Tensor) -> Tensor:
        """Codes (M, D) -> things in their windows, (M, 4, side, side), premultiplied, alpha in [0, 1]."""
        rgba = self.sprites.decode(z).mean
        return torch.cat([rgba[:, :3], rgba[:, 3:].clamp(0, 1)], 1)
