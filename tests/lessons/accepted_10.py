"""Other right answers to the exercises of notebook 10, in other styles."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import nn
from torch.distributions import Categorical, Independent, Normal, Uniform

from vae_helpers.alpha import over
from vae_helpers.models import scenes


def square(x):
    """The pictures with a border of zeros to the right or below, as wide as high."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, max(height - width, 0), 0, max(width - height, 0)))


def faded_in_parts(layer, opacity):
    return torch.cat([layer[:, :3] * opacity, layer[:, 3:] * opacity], dim=1)


def faded_channel_by_channel(layer, opacity):
    r, g, b, alpha = layer.unbind(1)
    return torch.stack([opacity * r, opacity * g, opacity * b, opacity * alpha], 1)


def faded_in_place(layer, opacity):
    result = layer.clone()
    result[:, :3] *= opacity
    result[:, 3] *= opacity
    return result


def faded_by_lerp(layer, opacity):
    """A mixture with a clear layer."""
    return torch.lerp(torch.zeros_like(layer), layer, opacity)


def faded_by_loop(layer, opacity):
    result = torch.empty_like(layer)
    for n, one in enumerate(layer):
        for c, channel in enumerate(one):
            result[n, c] = channel * opacity
    return result


def faded_by_straight_colours(layer, opacity):
    """There and back again; a clear pixel has no colour."""
    alpha = layer[:, 3:]
    straight = torch.where(alpha > 0, layer[:, :3] / alpha, 0)
    return torch.cat([straight * alpha * opacity, alpha * opacity], 1)


def faded_by_numpy(layer, opacity):
    return torch.from_numpy(layer.cpu().numpy() * opacity).to(layer)


def faded_by_einsum(layer, opacity):
    return torch.einsum("nchw,->nchw", layer, torch.tensor(opacity).to(layer))


def faded_by_stacks(layer, opacity):
    """Each layer by one number for each channel, in double precision."""
    factors = torch.full((4, 1, 1), opacity, dtype=torch.float64)
    return torch.stack([one.double() * factors for one in layer]).to(layer.dtype)


class Fade(nn.Module):
    def forward(self, layer, opacity):
        return layer - (1 - opacity) * layer


def error_in_parts(e):
    r, g, b, a = e.unbind(1)
    each = sum(c**2 - c * a + a**2 / 3 for c in (r, g, b))
    return each.sum(dim=(1, 2))


def error_by_sums(e):
    """Alpha's square is in three colours."""
    colour, alpha = e[:, :3], e[:, 3]
    return (colour**2).sum((1, 2, 3)) - (colour.sum(1) * alpha).sum((1, 2)) + (alpha**2).sum((1, 2))


def error_by_mean_and_variance(e):
    """The error on mid grey, and what the ground's variance adds."""
    grey = (e[:, :3] - 0.5 * e[:, 3:]).square().sum((1, 2, 3))
    return grey + 3 * e[:, 3].square().sum((1, 2)) / 12


def error_by_einsum(e):
    A = torch.eye(4).to(e)
    A[3, :3] = A[:3, 3] = -0.5
    return torch.einsum("nchw,cd,ndhw->n", e, A, e)


def error_by_three_grounds(e):
    """Simpson's rule: exact, for the square is a quadratic function of the ground."""

    def on(b):
        return (e[:, :3] - b * e[:, 3:]).square().flatten(1).sum(1)

    return (on(0.0) + 4 * on(0.5) + on(1.0)) / 6


def error_by_two_grounds(e):
    """Gauss's rule of two points."""
    total = 0
    for b in (0.5 - 1 / 12**0.5, 0.5 + 1 / 12**0.5):
        total = total + 0.5 * torch.linalg.vector_norm(e[:, :3] - b * e[:, 3:], dim=(1, 2, 3)) ** 2
    return total


def error_by_many_grounds(e):
    """As an average over a thousand greys."""
    return torch.stack(
        [(e[:, :3] - b * e[:, 3:]).square().sum((1, 2, 3)) for b in (torch.arange(1000) + 0.5) / 1000]
    ).mean(0)


def error_by_laying_over(e):
    """A layer with errors and one without, laid over three grounds by the package."""
    true = torch.full_like(e, 0.5)
    shown = []
    for b in (0.0, 0.5, 1.0):
        ground = torch.cat([torch.full_like(e[:, :3], b), torch.ones_like(e[:, 3:])], 1)
        scale = e[:, 3].abs().max().clamp(min=0.5)  # alphas within [0, 1]
        off = over(true + 0.5 * e / scale, ground) - over(true, ground)
        shown.append((off[:, :3] * 2 * scale).square().flatten(1).sum(1))
    return (shown[0] + 4 * shown[1] + shown[2]) / 6


def error_by_uniform(e):
    """The moments of the ground, asked of torch."""
    ground = Uniform(0.0, 1.0)
    return ((e[:, :3] - ground.mean * e[:, 3:]) ** 2 + ground.variance * e[:, 3:] ** 2).sum((1, 2, 3))


class Error(nn.Module):
    def forward(self, e):
        colour, alpha = e.double().split([3, 1], 1)
        each = (colour**3 - (colour - alpha) ** 3) / (3 * torch.where(alpha == 0, 1.0, alpha))
        return torch.where(alpha == 0, colour**2, each).flatten(1).sum(1).to(e.dtype)


def shares_by_cumprod(alphas):
    through = (1 - alphas).flip(1).cumprod(1).flip(1)  # through k and all in front of it
    before = torch.cat([through[:, 1:], torch.ones_like(through[:, :1])], 1)
    return alphas * before


def shares_by_differences(alphas):
    """What the stack from k on lets through is less, by its share, than what the stack from k + 1 on does."""
    through = torch.cat([1 - alphas, torch.ones_like(alphas[:, :1])], 1).flip(1).cumprod(1).flip(1)
    return through[:, 1:] - through[:, :-1]


def shares_by_loops(alphas):
    result = torch.zeros_like(alphas)
    count = alphas.shape[1]
    for k in range(count):
        share = alphas[:, k]
        for j in range(k + 1, count):
            share = share * (1 - alphas[:, j])
        result[:, k] = share
    return result


def shares_from_the_back(alphas):
    """Each new layer hides some of all that are there."""
    shares = []
    for alpha in alphas.unbind(1):
        shares = [share * (1 - alpha) for share in shares]
        shares.append(alpha)
    return torch.stack(shares, 1)


def shares_in_place(alphas):
    shares = alphas.clone()
    for k in range(1, alphas.shape[1]):
        shares[:, :k] *= 1 - alphas[:, k : k + 1]
    return shares


def shares_by_prod(alphas):
    return torch.stack([a * (1 - alphas[:, k + 1 :]).prod(1) for k, a in enumerate(alphas.unbind(1))], dim=1)


def shares_by_numpy(alphas):
    a = alphas.cpu().numpy()[:, ::-1]
    through = np.concatenate([np.ones_like(a[:, :1]), np.cumprod(1 - a, axis=1)[:, :-1]], axis=1)
    return torch.from_numpy((a * through)[:, ::-1].copy()).to(alphas)


def shares_of_colours(alphas):
    """Layers of one colour each, the k-th the k-th of L, laid over each other: what comes out are the shares."""
    N, L, H, W = alphas.shape
    picture = alphas.new_zeros(N, L, H, W)
    for k in range(L):
        colour = F.one_hot(torch.tensor(k), L).to(alphas)[None, :, None, None]
        alpha = alphas[:, k, None]
        picture = alpha * colour + (1 - alpha) * picture
    return picture


def shares_by_the_package(alphas):
    """That of pictures as wide as high."""
    return scenes.visible_shares(square(alphas))[..., : alphas.shape[2], : alphas.shape[3]]


def shares_by_recursion(alphas):
    if alphas.shape[1] == 1:
        return alphas
    front = alphas[:, -1:]
    return torch.cat([shares_by_recursion(alphas[:, :-1]) * (1 - front), front], 1)


class Shares(nn.Module):
    def forward(self, alphas):
        a = alphas.double()
        logs = torch.log1p(-a)
        front = torch.stack([logs[:, k + 1 :].sum(1) for k in range(a.shape[1])], 1)
        return (a * front.exp()).to(alphas.dtype)


def groups_by_loops(inside, votes, centres):
    S = len(inside)
    labels = torch.zeros(S, S, dtype=torch.long)
    for i in range(S):
        for j in range(S):
            if inside[i, j]:
                labels[i, j] = 1 + ((votes[:, i, j] - centres) ** 2).sum(1).argmin()
    return labels


def groups_by_cdist(inside, votes, centres):
    return inside * (1 + torch.cdist(votes.flatten(1).T, centres).argmin(1).view_as(inside))


def groups_by_norm(inside, votes, centres):
    away = torch.stack([(votes - c[:, None, None]).norm(dim=0) for c in centres])
    labels = away.min(0).indices + 1
    labels[~inside] = 0
    return labels


def groups_of_those_inside(inside, votes, centres):
    """Only votes that count are looked at."""
    labels = torch.zeros_like(inside, dtype=torch.int64)
    chosen = votes[:, inside].T  # (M, 2)
    labels[inside] = torch.cdist(chosen, centres).argmin(-1) + 1
    return labels


def groups_by_products(inside, votes, centres):
    """|v - c|^2 but for |v|^2, which all centres share."""
    score = torch.einsum("kd,dij->kij", centres, votes) - centres.square().sum(1)[:, None, None] / 2
    return torch.where(inside, score.argmax(0) + 1, torch.zeros((), dtype=torch.long))


def groups_by_coordinates(inside, votes, centres):
    x, y = votes
    away = torch.hypot(x - centres[:, 0, None, None], y - centres[:, 1, None, None])
    return away.argsort(0)[0].add(1).masked_fill(~inside, 0)


def groups_with_a_background(inside, votes, centres):
    """Pixels that show no thing are at no distance from thing 0, and infinitely far from all others."""
    away = (votes.permute(1, 2, 0)[:, :, None] - centres).square().sum(-1)  # (S, S, K)
    away = away.masked_fill(~inside[..., None], math.inf)
    zero = torch.where(inside, math.inf, 0.0).to(away)[..., None]
    return torch.cat([zero, away], -1).argmin(-1)


def groups_by_comparison(inside, votes, centres):
    best, labels = torch.full(inside.shape, math.inf).to(votes), torch.zeros(inside.shape).long()
    for k, (x, y) in enumerate(centres, 1):
        away = (votes[0] - x) ** 2 + (votes[1] - y) ** 2
        nearer = away < best
        best, labels = torch.where(nearer, away, best), torch.where(nearer, k, labels)
    return labels * inside


def groups_by_numpy(inside, votes, centres):
    v, c = votes.numpy(), centres.numpy()
    away = ((v[None] - c[:, :, None, None]) ** 2).sum(1)
    return torch.from_numpy(np.where(inside.numpy(), away.argmin(0) + 1, 0))


def groups_by_density(inside, votes, centres):
    """The likeliest of Gaussians about the centres."""
    about = Independent(Normal(centres[:, None, None], 1.0), 1)
    return (about.log_prob(votes.permute(1, 2, 0)).argmax(0) + 1) * inside


def groups_by_a_tree(inside, votes, centres):
    _, nearest = cKDTree(centres.numpy()).query(votes.flatten(1).T.numpy())
    return torch.from_numpy(nearest + 1).long().view_as(inside) * inside


class Groups(nn.Module):
    def forward(self, inside, votes, centres):
        return (inside.long() * F.pairwise_distance(votes.permute(1, 2, 0)[None], centres[:, None, None]).argmin(0)) + (
            inside.long()
        )


def orders_by_normal(x, pictures, sigma):
    log_p = Normal(pictures, sigma).log_prob(x.unsqueeze(1)).sum((2, 3, 4))
    return log_p - log_p.logsumexp(1, keepdim=True)


def orders_by_loops(x, pictures, sigma):
    rows = []
    for seen, shown in zip(x, pictures, strict=True):
        log_p = torch.stack([-0.5 * (((seen - one) / sigma) ** 2).sum() for one in shown])
        rows.append(log_p - torch.logsumexp(log_p, 0))
    return torch.stack(rows)


def orders_by_bayes(x, pictures, sigma):
    """With the prior, and what p(x) is under it."""
    N, count = pictures.shape[:2]
    prior = torch.full((N, count), -math.log(count)).to(x)
    joint = prior + Independent(Normal(pictures, sigma), 3).log_prob(x[:, None].expand_as(pictures))
    return joint - joint.logsumexp(1)[:, None]


def orders_by_cdist(x, pictures, sigma):
    away = torch.cdist(
        x.flatten(1)[:, None].double(),
        pictures.flatten(2).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )[:, 0]
    return F.log_softmax(-(away**2) / (2 * sigma**2), dim=1).to(x.dtype)


def orders_by_categorical(x, pictures, sigma):
    misses = torch.einsum("nochw,nochw->no", *[pictures - x[:, None]] * 2)
    return Categorical(logits=-misses / sigma**2 / 2).logits


def orders_by_the_best(x, pictures, sigma):
    """Shifted by hand, so that exp stays in range."""
    log_p = -((x[:, None] - pictures) ** 2).sum(dim=(-3, -2, -1)) / (2 * sigma * sigma)
    log_p = log_p - log_p.max(dim=1, keepdim=True).values
    return log_p - log_p.exp().sum(1, keepdim=True).log()


def orders_in_place(x, pictures, sigma):
    d = pictures.clone()
    d -= x[:, None]
    d /= sigma
    return d.square_().flatten(2).sum(2).mul_(-0.5).log_softmax(-1)


def orders_by_the_package(x, pictures, sigma):
    """Each picture as a background that covers all, with one clear layer before it: of one order."""
    x, columns = square(x), []
    for picture in square(pictures).unbind(1):
        ground = torch.cat([picture, torch.ones_like(picture[:, :1])], 1)
        layers = torch.stack([ground, torch.zeros_like(ground)], 1)
        columns.append(scenes.order_log_likelihood(x, layers, sigma)[1])
    return torch.cat(columns, 1).log_softmax(1)


def orders_by_odds(x, pictures, sigma):
    """One over the sum of all orders' odds against this one."""
    log_p = -(x[:, None] - pictures).square().sum((2, 3, 4)) / (2 * sigma**2)
    return -torch.logsumexp(log_p[:, None] - log_p[:, :, None], 2)


class Orders(nn.Module):
    def forward(self, x, pictures, sigma):
        mse = F.mse_loss(pictures, x[:, None].expand_as(pictures), reduction="none").mean((2, 3, 4))
        return (-mse * x[0].numel() / (2 * sigma**2)).log_softmax(1)


def predictive_by_the_best(log_p):
    best = log_p.max(0).values
    return best + (log_p - best).exp().mean(0).log()


def predictive_by_weights(log_p):
    """1/K goes into each draw."""
    return torch.logsumexp(log_p - math.log(log_p.shape[0]), dim=0)


def predictive_by_logaddexp(log_p):
    total = log_p[0]
    for one in log_p[1:]:
        total = torch.logaddexp(total, one)
    return total - math.log(len(log_p))


def predictive_picture_by_picture(log_p):
    return torch.stack([torch.logsumexp(column, 0) for column in log_p.T]) - math.log(len(log_p))


def predictive_by_softmax(log_p):
    """log p_k minus its log_softmax is the log of the sum, whichever k."""
    return (log_p - log_p.log_softmax(0))[0] - math.log(len(log_p))


def predictive_by_numpy(log_p):
    return torch.from_numpy(np.logaddexp.reduce(log_p.numpy(), axis=0) - np.log(len(log_p))).to(log_p)


def predictive_by_cumulation(log_p):
    return log_p.logcumsumexp(0)[-1] - torch.tensor(float(len(log_p))).to(log_p).log()


def predictive_by_mixture(log_p):
    """Each draw has the weight 1/K, in logs."""
    weights = Categorical(logits=torch.zeros(len(log_p)).to(log_p)).logits
    return torch.logsumexp(weights[:, None] + log_p, 0)


class Predictive(nn.Module):
    def forward(self, log_p):
        return (log_p.double().logsumexp(dim=0) - math.log(log_p.size(0))).to(log_p.dtype)


ACCEPTED = {
    "10.1": [
        faded_in_parts,
        faded_channel_by_channel,
        faded_in_place,
        faded_by_lerp,
        faded_by_loop,
        faded_by_straight_colours,
        faded_by_numpy,
        faded_by_einsum,
        faded_by_stacks,
        Fade(),
    ],
    "10.2": [
        error_in_parts,
        error_by_sums,
        error_by_mean_and_variance,
        error_by_einsum,
        error_by_three_grounds,
        error_by_two_grounds,
        error_by_many_grounds,
        error_by_laying_over,
        error_by_uniform,
        Error(),
    ],
    "10.3": [
        shares_by_the_package,
        shares_by_cumprod,
        shares_by_differences,
        shares_by_loops,
        shares_from_the_back,
        shares_in_place,
        shares_by_prod,
        shares_by_numpy,
        shares_of_colours,
        shares_by_recursion,
        Shares(),
    ],
    "10.4": [
        groups_by_loops,
        groups_by_cdist,
        groups_by_norm,
        groups_of_those_inside,
        groups_by_products,
        groups_by_coordinates,
        groups_with_a_background,
        groups_by_comparison,
        groups_by_numpy,
        groups_by_density,
        groups_by_a_tree,
        Groups(),
    ],
    "10.5": [
        orders_by_the_package,
        orders_by_normal,
        orders_by_loops,
        orders_by_bayes,
        orders_by_cdist,
        orders_by_categorical,
        orders_by_the_best,
        orders_in_place,
        orders_by_odds,
        Orders(),
    ],
    "10.6": [
        predictive_by_the_best,
        predictive_by_weights,
        predictive_by_logaddexp,
        predictive_picture_by_picture,
        predictive_by_softmax,
        predictive_by_numpy,
        predictive_by_cumulation,
        predictive_by_mixture,
        Predictive(),
    ],
}
