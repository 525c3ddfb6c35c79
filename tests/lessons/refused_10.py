"""Wrong answers to the exercises of notebook 10, written from the statements alone: each has to be refused.

Those of TOLD are misconceptions that a message names, in other words than the lesson's: answer, a piece of the message.
"""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Categorical, Normal


def faded(
    colour=lambda c, a, o: c * o,
    alpha=lambda a, o: a * o,
    last=lambda layer: layer,
):
    """fade with one of its steps replaced."""

    def answer(layer, opacity):
        c, a = layer[:, :3], layer[:, 3:]
        return last(torch.cat([colour(c, a, opacity), alpha(a, opacity)], 1))

    return answer


def alpha_scaled_in_place(layer, opacity):
    layer[:, 3] *= opacity
    return layer


def faded_in_place(layer, opacity):
    return layer.mul_(opacity)


def faded_there_and_back(layer, opacity):
    straight = layer[:, :3] / layer[:, 3:]
    return torch.cat([straight * layer[:, 3:] * opacity, layer[:, 3:] * opacity], 1)


def faded_by_division(layer, opacity):
    return layer / (1 / opacity)


def faded_with_an_epsilon(epsilon):
    """Straight colours and back, with a division that is kept from zero."""

    def answer(layer, opacity):
        alpha = layer[:, 3:]
        return torch.cat([layer[:, :3] / alpha.clamp(min=epsilon) * alpha * opacity, alpha * opacity], 1)

    return answer


def faded_but_for_faint_pixels(layer, opacity):
    return torch.where(layer[:, 3:] > 1e-3, layer * opacity, 0)


def faded_or_cut(layer, opacity):
    """An opacity of 1 is treated apart."""
    return layer * opacity if opacity < 1 else layer.clamp(0, 1)


def error(
    colour=lambda c: c.square(),
    cross=lambda c, a: c * a,
    alpha=lambda a: a.square() / 3,
    pool=lambda each: each.flatten(1).sum(1),
):
    """composite_error with one of its steps replaced."""

    def answer(e):
        c, a = e[:, :3], e[:, 3:]
        return pool(colour(c) - cross(c, a) + alpha(a))

    return answer


def on(*grounds):
    """The mean over a few grounds."""
    return lambda e: sum((e[:, :3] - b * e[:, 3:]).square().sum((1, 2, 3)) for b in grounds) / len(grounds)


def on_drawn_grounds(e):
    return on(*torch.rand(500).tolist())(e)


def channel_by_channel(e):
    """The last is counted, too."""
    return sum((c.square() - c * e[:, 3] + e[:, 3].square() / 3).flatten(1).sum(1) for c in e.unbind(1))


def root_of_the_mean(e):
    return error()(e).div(3 * e[0, 0].numel()).sqrt()


def error_in_place(e):
    e[:, :3] -= e[:, 3:] / 2
    return error(cross=lambda c, a: 0, alpha=lambda a: a.square() / 12)(e)


def shares(
    turned=lambda alphas: alphas.flip(1),
    before=lambda through: torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1),
    lets=lambda alphas: 1 - alphas,
    show=lambda alphas, before: alphas * before,
    back=lambda v: v.flip(1),
    last=lambda v: v,
):
    """visible_shares with one of its steps replaced."""

    def answer(alphas):
        a = turned(alphas)
        return last(back(show(a, before(lets(a).cumprod(1)))))

    return answer


def shares_by_division(alphas):
    through = (1 - alphas).flip(1).cumprod(1).flip(1)
    return alphas * through / (1 - alphas)


def shares_by_ratios(alphas):
    """Fails where something opaque stands in front."""
    behind = (1 - alphas).cumprod(1)
    return alphas * behind[:, -1:] / behind


def shares_by_logs(alphas):
    logs = (1 - alphas).log().flip(1).cumsum(1).flip(1) - (1 - alphas).log()
    return alphas * logs.exp()


def shares_with_an_opaque_back(alphas):
    v = shares()(alphas)
    return torch.cat([1 - v[:, 1:].sum(1, keepdim=True), v[:, 1:]], 1)


def shares_in_place(alphas):
    for k in range(1, alphas.shape[1]):
        alphas[:, :k] *= 1 - alphas[:, k : k + 1]
    return alphas


def shares_squeezed(alphas):
    return shares()(alphas).squeeze()


def winner(alphas):
    v = torch.zeros_like(alphas)
    left = torch.ones_like(alphas[:, 0], dtype=torch.bool)
    for k in reversed(range(alphas.shape[1])):
        v[:, k] = left & (alphas[:, k] > 0.5)
        left &= alphas[:, k] <= 0.5
    return v


def places(S):
    at = (torch.arange(S) + 0.5) * 2 / S - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y])


def grouped(
    what=lambda inside, votes: votes,
    away=lambda d: d.square().sum(0),
    pick=lambda away: away.argmin(0),
    number=lambda k, K: k + 1,
    shown=lambda inside, labels: torch.where(inside, labels, 0),
    last=lambda labels: labels,
):
    """group_pixels with one of its steps replaced."""

    def answer(inside, votes, centres):
        distances = torch.stack([away(what(inside, votes) - c[:, None, None]) for c in centres])
        return last(shown(inside, number(pick(distances), len(centres))))

    return answer


def grouped_within_reach(reach):
    """Votes far from all things are left out."""

    def answer(inside, votes, centres):
        away = torch.stack([(votes - c[:, None, None]).norm(dim=0) for c in centres])
        return torch.where(inside & (away.amin(0) < reach), away.argmin(0) + 1, 0)

    return answer


def grouped_by_nearness(inside, votes, centres):
    near = torch.stack([(-(votes - c[:, None, None]).square().sum(0)).exp() for c in centres])
    return torch.where(inside, near.argmax(0) + 1, 0)


def grouped_in_place(inside, votes, centres):
    votes[:, ~inside] = math.inf
    return grouped()(inside, votes, centres)


def regrouped(inside, votes, centres):
    """One more step of k-means."""
    labels = grouped()(inside, votes, centres)
    means = [votes[:, labels == k].mean(1) for k in range(1, len(centres) + 1)]
    return grouped()(inside, votes, torch.stack(means))


def in_order_of_appearance(inside, votes, centres):
    labels = grouped()(inside, votes, centres)
    seen, new = [], torch.zeros_like(labels)
    for k in labels.flatten().tolist():
        if k and k not in seen:
            seen.append(k)
            new[labels == k] = len(seen)
    return new


def squeezed_groups(inside, votes, centres):
    """Fails where there is one thing."""
    c = centres.squeeze()
    return torch.where(inside, (votes - c[:, :, None, None]).square().sum(1).argmin(0) + 1, 0)


def each_thing_in_turn(inside, votes, centres):
    """The last thing that is nearer than half of the picture."""
    labels = torch.zeros(inside.shape).long()
    for k, c in enumerate(centres, 1):
        labels[(votes - c[:, None, None]).norm(dim=0) < 0.5] = k
    return labels * inside


def posterior(
    miss=lambda d: d.square(),
    pool=lambda misses: misses.flatten(2).sum(2),
    scale=lambda total, sigma: -total / (2 * sigma**2),
    normalise=lambda log_p: log_p.log_softmax(1),
):
    """log_posterior_of_orders with one of its steps replaced."""
    return lambda x, pictures, sigma: normalise(scale(pool(miss(x[:, None] - pictures)), sigma))


def by_density(last=torch.log):
    def answer(x, pictures, sigma):
        p = Normal(pictures, sigma).log_prob(x[:, None]).flatten(2).sum(2).exp()
        return last(p / p.sum(1, keepdim=True))

    return answer


def by_softmax(last):
    return posterior(normalise=lambda log_p: last(log_p.softmax(1)))


def with_x_in_place(x, pictures, sigma):
    return posterior()(x.div_(sigma), pictures / sigma, 1)


def with_pictures_in_place(x, pictures, sigma):
    pictures -= x[:, None]
    return (-pictures.square().flatten(2).sum(2) / (2 * sigma**2)).log_softmax(1)


def lined_up(x, pictures, sigma):
    return (-(x - pictures).square().sum((2, 3, 4)) / (2 * sigma**2)).log_softmax(1)


def pixelwise(x, pictures, sigma):
    each = Normal(pictures, sigma).log_prob(x[:, None]).sum(2)
    return (each - each.logsumexp(1, keepdim=True)).flatten(2).sum(2)


def predictive(
    before=lambda log_p: log_p,
    pool=lambda log_p: log_p.logsumexp(0),
    over=lambda total, log_p: total - math.log(log_p.shape[0]),
):
    """predictive_log_likelihood with one of its steps replaced."""
    return lambda log_p: over(pool(before(log_p)), log_p)


def shifted(by):
    return lambda log_p: by(log_p) + (log_p - by(log_p)).exp().mean(0).log()


def predictive_in_place(log_p):
    best = log_p.max(0).values
    log_p -= best
    return best + log_p.exp().mean(0).log()


TOLD = {
    "10.1": [
        (faded(colour=lambda c, a, o: c), "only alpha is scaled"),
        (faded(alpha=lambda a, o: a), "only the colours are scaled"),
        (lambda layer, opacity: layer - layer * opacity, "scales by 1 - opacity"),
        (faded(colour=lambda c, a, o: c, alpha=lambda a, o: a + o - 1), "1 - opacity is subtracted from alpha"),
        (faded(colour=lambda c, a, o: c, alpha=lambda a, o: a - o), "the opacity is subtracted from alpha"),
        (faded(colour=lambda c, a, o: c, alpha=lambda a, o: a + o), "the opacity is added to alpha"),
        (faded(colour=lambda c, a, o: c / o), "the colours are divided"),
        (faded(colour=lambda c, a, o: c / a), "its colours are straight: premultiply"),
        (faded(colour=lambda c, a, o: c / a * o), "straight and scaled"),
        (faded(colour=lambda c, a, o: c * (a * o)), "multiplied by the new alpha"),
        (faded(colour=lambda c, a, o: c * o * o), "the colours are scaled twice"),
        (faded(alpha=lambda a, o: a * o * o), "alpha is scaled twice"),
        (faded(colour=lambda c, a, o: c, alpha=lambda a, o: 0 * a + o), "the opacity as its alpha: places"),
        (faded(colour=lambda c, a, o: c / a * o, alpha=lambda a, o: 0 * a + o), "and colours to match: the shape"),
        (faded(alpha=lambda a, o: a / a, last=lambda y: y), "laid over black"),
        (lambda layer, opacity: opacity * layer + 1 - opacity, "mixed with white"),
        (lambda layer, opacity: (opacity * layer)[:, :3], "three channels"),
        (lambda layer, opacity: layer * opacity**2, "the opacity is squared"),
        (faded_there_and_back, "where a pixel is clear"),
        (faded_by_division, "where the opacity is 0 or 1"),
        (faded_with_an_epsilon(1e-2), "no epsilon"),
        (faded_but_for_faint_pixels, "very faint"),
        (faded_or_cut, "cuts something off"),
        (faded(last=lambda y: y.clamp(0, 1)), "cuts something off"),
        (faded(last=lambda y: y.relu()), "cuts something off"),
        (faded(last=lambda y: torch.cat([y[:, :3].minimum(y[:, 3:]), y[:, 3:]], 1)), "cuts something off"),
        (faded_in_place, "changes its argument `layer` in place"),
    ],
    "10.2": [
        (error(alpha=lambda a: a.square() / 4), "mid grey"),
        (on(0.5), "mid grey"),
        (on(0, 1), "black or white and nothing between"),
        (on(1), "on white alone"),
        (on(0), "a black ground"),
        (error(alpha=lambda a: a.square() / 12), "the variance of b"),
        (error(alpha=lambda a: a.square()), "E b^2 is taken for 1,"),
        (error(cross=lambda c, a: -c * a), "the cross term is added"),
        (error(cross=lambda c, a: c * a / 2), "the cross term is halved"),
        (error(cross=lambda c, a: 2 * c * a), "the cross term is doubled"),
        (lambda e: (e**2).sum((1, 2, 3)), "the plain sum of squares of the four channels"),
        (lambda e: error(alpha=lambda a: 0 * a)(e) + e[:, 3].square().sum((1, 2)) / 3, "counted once"),
        (error(pool=lambda each: each.mean((1, 2, 3))), "a mean over channels and pixels"),
        (error(pool=lambda each: each.mean((2, 3)).sum(1)), "a mean over pixels"),
        (error(pool=torch.sum), "a sum over the layers too"),
        (error(pool=lambda each: each.sum() / len(each)), "a mean over the layers"),
        (error(pool=lambda each: each.flatten(2).sum(2)), "keeps the channels apart"),
        (error(pool=lambda each: each.sum(dim=1)), "keeps the pixels apart"),
        (error(pool=lambda each: each.sum((1, 2, 3)) ** 0.5), "the root of it"),
        (error(pool=lambda each: 0.5 * each.sum((1, 2, 3))), "half of it"),
        (lambda e: error()(e.roll(-1, 1)), "the first channel is taken for alpha"),
        (lambda e: error()(e.clamp(-2, 2)), "larger than 1"),
        (error(pool=lambda each: (each + 1e-6).flatten(1).sum(1)), "errors are tiny"),
        (error_in_place, "changes its argument `e` in place"),
    ],
    "10.3": [
        (shares(turned=lambda a: a, back=lambda v: v), "counts from the back"),
        (shares(back=lambda v: v), "come out from front to back"),
        (shares(turned=lambda a: a), "begins at the back and turns"),
        (shares(before=lambda through: through), "the layer's own 1 - alpha"),
        (lambda alphas: 1 * alphas, "these are the alphas"),
        (lambda alphas: alphas / alphas.sum(1)[:, None], "divided by their sum: that treats"),
        (lambda alphas: torch.softmax(alphas, 1), "a softmax of the alphas"),
        (shares(last=lambda v: v / v.sum(1, keepdim=True)), "the shares are divided by their sum"),
        (shares(lets=lambda a: a), "multiplies the alphas"),
        (shares(show=lambda a, before: before), "what reaches a layer"),
        (shares(show=lambda a, before: (1 - a) * before), "what the layer and those in front let through"),
        (winner, "frontmost layer that covers more than half"),
        (lambda alphas: shares_with_an_opaque_back(alphas), "the backmost layer gets all"),
        (lambda alphas: alphas * (1 - alphas).prod(1)[:, None] / (1 - alphas), "over all other layers"),
        (lambda alphas: alphas * (1 - alphas).prod(1)[:, None], "over all layers: only"),
        (shares_by_division, "wholly clear or opaque"),
        (shares_by_logs, "wholly clear or opaque"),
        (shares(last=lambda v: v.sum(1)), "of all layers together"),
        (shares(last=lambda v: v.flatten(2).mean(2)), "averaged over the pixels"),
        (shares(last=lambda v: v.max(1).indices), "the number of the layer"),
        (shares_squeezed, "there is one layer"),
        (shares_in_place, "changes its argument `alphas` in place"),
    ],
    "10.4": [
        (grouped(what=lambda inside, v: v.round(decimals=2)), "close together"),
        (
            lambda inside, votes, centres: grouped()(inside, votes.bfloat16(), centres.bfloat16()),
            "keep all of its digits",
        ),
        (grouped(number=lambda k, K: k), "things are counted from 0: the first"),
        (grouped(number=lambda k, K: k, shown=lambda inside, k: k.where(inside, -1)), "the background is -1: it shall"),
        (grouped(shown=lambda inside, k: k.masked_fill(~inside, -1)), "the background is -1: it shall be 0"),
        (grouped(what=lambda inside, v: places(len(inside)).to(v)), "nearest to the pixel itself"),
        (grouped(what=lambda inside, v: v + places(len(inside)).to(v)), "taken for steps"),
        (grouped(what=lambda inside, v: v - places(len(inside)).to(v)), "taken off its vote"),
        (grouped(pick=lambda away: away.argmax(0)), "the farthest centre"),
        (grouped(shown=lambda inside, k: k), "all pixels are grouped"),
        (grouped(shown=lambda inside, k: k * ~inside), "inside is the wrong way round"),
        (lambda inside, votes, centres: grouped()(inside, votes, centres.flip(1)), "x and y are exchanged"),
        (lambda inside, votes, centres: grouped()(inside, votes[[1, 0]], centres), "x and y are exchanged"),
        (grouped(last=lambda labels: labels.mT), "mirrored about its diagonal"),
        (grouped(shown=lambda inside, k: k[inside]), "in one list"),
        (grouped(last=lambda labels: labels.reshape(-1)), "one long row"),
        (grouped(away=lambda d: d[0].abs()), "compares x alone"),
        (grouped(away=lambda d: d[1].abs()), "compares y alone"),
        (grouped(away=lambda d: d.norm(p=1, dim=0)), "as one walks in a town"),
        (grouped(away=lambda d: d.abs().max(0).values), "the larger of the distances"),
        (grouped(away=lambda d: d.sum(0)), "not squared"),
        (grouped(away=lambda d: d.sum(0).abs()), "before they are squared"),
        (
            lambda inside, votes, centres: (votes.permute(1, 2, 0)[:, :, None] - centres).norm(dim=3).min(2).values,
            "it gives the distances",
        ),
        (grouped(last=lambda labels: labels.clamp(max=1)), "only whether a pixel shows a thing"),
        (grouped(last=torch.Tensor.float), "torch.float32 where torch.int64"),
        (grouped(last=torch.Tensor.int), "the type torch.int32"),
        (squeezed_groups, "it fails where there is one thing"),
        (grouped_within_reach(3), "however far it is"),
        (grouped_by_nearness, "however far it is"),
        (grouped_in_place, "changes its argument `votes` in place"),
    ],
    "10.5": [
        (lambda x, pictures, sigma: posterior()(x, pictures.clamp(0, 1), sigma), "cuts pictures off"),
        (lambda x, pictures, sigma: posterior()(x, pictures.clamp(max=1), sigma), "cuts pictures off"),
        (lambda x, pictures, sigma: posterior()(x, pictures.relu(), sigma), "cuts pictures off"),
        (posterior(pool=lambda m: m.mean((2, 3, 4))), "a mean over pixels and channels"),
        (posterior(pool=lambda m: m.mean((3, 4)).sum(2)), "a mean over the pixels"),
        (posterior(scale=lambda t, s: -t / (2 * s)), "sigma is not squared"),
        (posterior(scale=lambda t, s: -t / 2), "sigma is missing"),
        (posterior(scale=lambda t, s: -0.5 * t * s**2), "multiplied by sigma^2"),
        (posterior(scale=lambda t, s: -t / s**2), "the half is missing"),
        (posterior(scale=lambda t, s: -0.25 * t / s**2), "the half is there twice"),
        (posterior(normalise=lambda log_p: log_p), "not normalised"),
        (
            lambda x, pictures, sigma: Normal(pictures, sigma).log_prob(x[:, None]).sum((2, 3, 4)),
            "it is the log-likelihood, normaliser and all",
        ),
        (by_softmax(lambda p: p), "these are probabilities"),
        (posterior(normalise=lambda log_p: log_p - log_p.logsumexp(0)), "normalised over the images"),
        (posterior(normalise=lambda log_p: log_p - log_p.exp().sum().log()), "over images and orders together"),
        (posterior(scale=lambda t, s: t / (2 * s**2)), "the sign is flipped"),
        (posterior(normalise=lambda log_p: -log_p.log_softmax(1)), "minus the log"),
        (posterior(miss=torch.abs), "the sizes of the errors"),
        (posterior(pool=lambda m: m.flatten(2).sum(2).sqrt()), "the distance of the pictures"),
        (
            posterior(normalise=lambda log_p: log_p.log_softmax(1) - math.log(log_p.shape[1])),
            "log O is taken off the posterior",
        ),
        (posterior(normalise=lambda log_p: log_p - log_p.max(1, keepdim=True).values), "the likeliest order: all"),
        (pixelwise, "normalised in each pixel"),
        (lined_up, "x lacks an axis for the orders"),
        (
            lambda x, pictures, sigma: (-0.5 * (pictures - x).square().sum((2, 3, 4)) / sigma**2).log_softmax(1),
            "lined up with orders",
        ),
        (posterior(normalise=lambda log_p: log_p.max(1).indices), "which order is the likeliest"),
        (posterior(normalise=lambda log_p: log_p.log_softmax(1) / math.log(2)), "in bits"),
        (by_density(), "keep to logs"),
        (by_softmax(torch.log), "keep to logs"),
        (by_softmax(lambda p: (p + 1e-12).log()), "keep to logs"),
        (with_x_in_place, "changes its argument `x` in place"),
        (with_pictures_in_place, "changes its argument `pictures` in place"),
    ],
    "10.6": [
        (lambda log_p: log_p.mean(dim=0), "by Jensen's inequality"),
        (predictive(over=lambda total, log_p: total), "log K is forgotten"),
        (predictive(over=lambda total, log_p: total + math.log(len(log_p))), "log K is added"),
        (predictive(over=lambda total, log_p: total / len(log_p)), "it is divided by K"),
        (predictive(over=lambda total, log_p: total - len(log_p)), "K is taken off, and not its log"),
        (lambda log_p: log_p.max(0).values, "the best draw alone"),
        (lambda log_p: log_p.sort(0).values[(len(log_p) - 1) // 2], "the median draw"),
        (lambda log_p: torch.log(torch.exp(log_p).sum(0) / len(log_p)), "exp leaves the range"),
        (predictive(pool=lambda log_p: log_p.exp().sum(0).add(1e-300).log()), "exp leaves the range"),
        (shifted(lambda log_p: log_p.max()), "not by the largest of each picture's own"),
        (shifted(lambda log_p: log_p.mean(0)), "not by the largest of each picture's own"),
        (lambda log_p: predictive()(log_p.T), "it goes over the pictures"),
        (lambda log_p: predictive()(log_p).mean(), "a mean over the pictures"),
        (lambda log_p: predictive()(log_p).sum(), "a sum over the pictures"),
        (lambda log_p: log_p.exp().mean(0), "the mean probability"),
        (lambda log_p: -predictive()(log_p), "its sign is flipped"),
        (lambda log_p: predictive()(log_p) * math.log2(math.e), "in bits"),
        (lambda log_p: (log_p * F.softmax(log_p, 0)).sum(0), "weighted by how well"),
        (predictive_in_place, "changes its argument `log_p` in place"),
    ],
}


REFUSED = {
    "10.1": [
        alpha_scaled_in_place,
        faded_with_an_epsilon(1e-3),
        faded(alpha=lambda a, o: a**o),
        faded(alpha=lambda a, o: a ** (1 / o)),
        faded(alpha=lambda a, o: 1 - a * o),
        faded(alpha=lambda a, o: a * (1 - o)),
        faded(alpha=lambda a, o: a.minimum(torch.tensor(o).to(a))),
        faded(alpha=lambda a, o: (a - (1 - o)).relu()),
        faded(alpha=lambda a, o: (a + o) / 2),
        faded(alpha=lambda a, o: torch.where(a > 0, o, 0.0).to(a)),
        faded(alpha=lambda a, o: a.round() * o),
        faded(colour=lambda c, a, o: c * (1 - o)),
        faded(colour=lambda c, a, o: c + 1 - o),
        faded(colour=lambda c, a, o: c * o + (1 - o) / 2),
        faded(colour=lambda c, a, o: c * a * o),
        faded(colour=lambda c, a, o: c * o / a.clamp(min=1e-8)),
        faded(colour=lambda c, a, o: c.mean(1, keepdim=True) * o + 0 * c),
        faded(colour=lambda c, a, o: c.flip(1) * o),
        faded(last=lambda y: y.clamp(min=0)),
        faded(last=lambda y: y.clamp(max=1)),
        faded(last=lambda y: torch.cat([y[:, :3], y[:, 3:].clamp(0, 1)], 1)),
        faded(last=lambda y: (255 * y).round() / 255),
        faded(last=lambda y: (255 * y).to(torch.uint8)),
        faded(last=lambda y: y.permute(0, 2, 3, 1)),
        faded(last=lambda y: y[0]),
        faded(last=lambda y: y.squeeze()),
        faded(last=lambda y: y.mean(0)),
        faded(last=lambda y: y.double()),
        faded(last=lambda y: y.float()),
        faded(last=lambda y: y.numpy()),
        faded(last=lambda y: [y]),
        faded(last=lambda y: (y[:, :3], y[:, 3:])),
        faded(last=lambda y: y.requires_grad_()),
        lambda layer, opacity: opacity,
        lambda layer, opacity: layer * (torch.rand_like(layer[:, 3:]) < opacity),
        lambda layer, opacity: layer * opacity + (1 - opacity) * layer.mean((2, 3), keepdim=True),
        lambda layer, opacity: layer * (layer[:, 3:] * opacity),
        lambda layer, opacity: layer * opacity / layer[:, 3:].amax(),
    ],
    "10.2": [
        on_drawn_grounds,
        on(0, 0.5, 1),
        on(0, 0.25, 0.5, 0.75, 1),
        channel_by_channel,
        root_of_the_mean,
        error(colour=lambda c: c.abs()),
        error(colour=lambda c: c.square() / 3),
        error(cross=lambda c, a: c.abs() * a.abs()),
        error(cross=lambda c, a: c * a.square()),
        error(cross=lambda c, a: c.sum(1, keepdim=True) * a),
        error(alpha=lambda a: a.square() / 2 / 3),
        error(alpha=lambda a: a.square() / 6),
        error(alpha=lambda a: a / 3),
        error(alpha=lambda a: a.abs().pow(3) / 3),
        error(alpha=lambda a: -a.square() / 3),
        error(pool=lambda each: each.amax((1, 2, 3))),
        error(pool=lambda each: each.flatten(1).mean(1) * each[0, 0].numel()),
        error(pool=lambda each: each.sum((1, 2, 3)) / 4),
        error(pool=lambda each: each.sum((1, 2, 3))[:, None]),
        error(pool=lambda each: each.sum((1, 2, 3)).squeeze()),
        error(pool=lambda each: each.sum((1, 2, 3)).double()),
        error(pool=lambda each: each.sum((1, 2, 3)).float()),
        error(pool=lambda each: each.sum((1, 2, 3)).tolist()),
        error(pool=lambda each: each.sum((1, 2, 3)).numpy()),
        error(pool=lambda each: -each.sum((1, 2, 3))),
        error(pool=lambda each: each.clamp(max=1).sum((1, 2, 3))),
        error(pool=lambda each: (each + 1e-3).sum((1, 2, 3))),
        error(pool=lambda each: each.sum((1, 2, 3)).requires_grad_()),
        error(pool=lambda each: each.sum(0)),
        lambda e: error()(e[:, :, ::2, ::2]),
        lambda e: error()(e) / e.shape[1],
        lambda e: (e[:, :3] - e[:, 3:] / 2).square().flatten(1).sum(1),
        lambda e: (e[:, :3] - e[:, 3:] / 3).square().flatten(1).sum(1),
        lambda e: (e[:, :3] - e[:, 3:] / 3**0.5).square().flatten(1).sum(1),
        lambda e: (e[:, :3] * (1 - e[:, 3:])).square().flatten(1).sum(1),
        lambda e: error()(torch.cat([e[:, :3] * e[:, 3:], e[:, 3:]], 1)),
        lambda e: error()(e - e.mean((2, 3), keepdim=True)),
        lambda e: F.mse_loss(e, torch.zeros_like(e)),
    ],
    "10.3": [
        shares_by_ratios,
        shares(lets=lambda a: 1 - a**2),
        shares(lets=lambda a: 1 - a.sqrt()),
        shares(lets=lambda a: 1 - a / 2),
        shares(lets=lambda a: 1 + a),
        shares(lets=lambda a: (1 - a).round()),
        shares(lets=lambda a: 1 - a + 1e-3),
        shares(lets=lambda a: (-a).exp()),
        shares(before=lambda through: torch.cat([torch.zeros_like(through[:, :1]), through[:, :-1]], 1)),
        shares(before=lambda through: torch.cat([through[:, :1], through[:, :-1]], 1)),
        shares(before=lambda through: torch.cat([through[:, 1:], through[:, :1]], 1)),
        shares(before=lambda through: through.roll(1, 1)),
        shares(before=lambda through: through[:, -1:]),
        shares(show=lambda a, before: a + before),
        shares(show=lambda a, before: a * (1 - before)),
        shares(show=lambda a, before: a.square() * before),
        shares(show=lambda a, before: a.minimum(before)),
        shares(turned=lambda a: a.flip(0), back=lambda v: v.flip(0)),
        shares(turned=lambda a: a.flip(2), back=lambda v: v.flip(2)),
        shares(turned=lambda a: a.mT.flip(1)),
        shares(turned=lambda a: a.sort(1, descending=True).values),
        shares(last=lambda v: v.softmax(1)),
        shares(last=lambda v: v.log()),
        shares(last=lambda v: v.round()),
        shares(last=lambda v: v.clamp(0.01, 0.99)),
        shares(last=lambda v: v + 1e-3),
        shares(last=lambda v: v[:, 1:]),
        shares(last=lambda v: torch.cat([v, 1 - v.sum(1, keepdim=True)], 1)),
        shares(last=lambda v: v.amax(1)),
        shares(last=lambda v: v.permute(0, 2, 3, 1)),
        shares(last=lambda v: v.transpose(0, 1)),
        shares(last=lambda v: v[:, :, None]),
        shares(last=lambda v: v[0]),
        shares(last=lambda v: v.double()),
        shares(last=lambda v: v.float()),
        shares(last=lambda v: v.numpy()),
        shares(last=lambda v: list(v.unbind(1))),
        shares(last=lambda v: v.half().to(v.dtype)),
        shares(last=lambda v: v.requires_grad_()),
        lambda alphas: alphas * (1 - alphas.roll(-1, 1)),
        lambda alphas: alphas.flip(1).cumprod(1).flip(1),
        lambda alphas: (1 - alphas).cumprod(1),
        lambda alphas: alphas.diff(dim=1, prepend=torch.zeros_like(alphas[:, :1])),
        lambda alphas: (alphas - alphas.flip(1).cumsum(1).flip(1) + alphas).clamp(min=0),
    ],
    "10.4": [
        grouped_within_reach(0.5),
        grouped_within_reach(1.5),
        regrouped,
        in_order_of_appearance,
        each_thing_in_turn,
        grouped(number=lambda k, K: k % K),
        grouped(number=lambda k, K: (k + 1) % K),
        grouped(number=lambda k, K: K - k - 1),
        grouped(number=lambda k, K: k + 1.0),
        grouped(number=lambda k, K: (k + 1) / K),
        grouped(pick=lambda away: away.argmin()),
        grouped(pick=lambda away: away.flatten(1).argmin(1)),
        grouped(pick=lambda away: away.argmin(1)),
        grouped(pick=lambda away: away.argmin(2)),
        grouped(pick=lambda away: away.min(0)),
        grouped(pick=lambda away: away.softmax(0).argmax(0)),
        grouped(pick=lambda away: away.round().argmin(0)),
        grouped(pick=lambda away: torch.zeros_like(away[0]).long()),
        grouped(away=lambda d: d.square().mean()),
        grouped(away=lambda d: d.square().sum(0).round()),
        grouped(away=lambda d: d.prod(0)),
        grouped(away=lambda d: d[0].square() - d[1].square()),
        grouped(away=lambda d: d[0].abs() + 2 * d[1].abs()),
        grouped(away=lambda d: d.norm(p=0.5, dim=0)),
        grouped(away=lambda d: d.norm(p=4, dim=0)),
        grouped(away=lambda d: torch.atan2(d[1], d[0])),
        grouped(what=lambda inside, v: (v + places(len(inside)).to(v)) / 2),
        grouped(what=lambda inside, v: v / v.norm(dim=0)),
        grouped(what=lambda inside, v: v.round()),
        grouped(what=lambda inside, v: v.abs()),
        grouped(what=lambda inside, v: -v),
        grouped(what=lambda inside, v: v.flip(1)),
        grouped(what=lambda inside, v: v.flip(2)),
        grouped(what=lambda inside, v: (v + 1) / 2),
        grouped(what=lambda inside, v: (v + 1) * len(inside) / 2),
        grouped(what=lambda inside, v: v.clamp(-0.5, 0.5)),
        grouped(what=lambda inside, v: v.mean((1, 2), keepdim=True).expand_as(v)),
        grouped(shown=lambda inside, k: torch.where(inside, k, 0.0)),
        grouped(shown=lambda inside, k: torch.where(inside, k, math.nan)),
        grouped(shown=lambda inside, k: k + inside),
        grouped(shown=lambda inside, k: inside.long()),
        grouped(last=lambda labels: labels[None]),
        grouped(last=lambda labels: labels.flip(0)),
        grouped(last=lambda labels: labels.byte()),
        grouped(last=lambda labels: labels.double()),
        grouped(last=lambda labels: labels.numpy()),
        grouped(last=lambda labels: labels.tolist()),
        grouped(last=lambda labels: (labels, labels.amax())),
        grouped(last=lambda labels: F.one_hot(labels)),
        grouped(last=lambda labels: labels.unique()),
        grouped(last=lambda labels: labels.bincount() if labels.ndim == 1 else labels.flatten().bincount()),
        lambda inside, votes, centres: grouped()(inside, votes.clamp(-1, 1), centres.clamp(-1, 1)),
        lambda inside, votes, centres: grouped()(inside, votes, centres - centres.mean(0)),
        lambda inside, votes, centres: grouped()(inside, votes, centres.flip(0)),
    ],
    "10.5": [
        posterior(miss=lambda d: d.square().clamp(max=0.1)),
        posterior(miss=lambda d: d.square() > 0.05),
        posterior(miss=lambda d: d.pow(4)),
        posterior(miss=lambda d: F.huber_loss(d, 0 * d, reduction="none", delta=0.1)),
        posterior(pool=lambda m: m.amax((2, 3, 4))),
        posterior(pool=lambda m: m.sum((2, 3))),
        posterior(pool=lambda m: m.sum((1, 3, 4))),
        posterior(pool=lambda m: m.flatten(1).sum(1)),
        posterior(pool=lambda m: m.sum()),
        posterior(pool=lambda m: m.flatten(2).sum(2, keepdim=True)),
        posterior(pool=lambda m: m.flatten(2).median(2).values * m[0, 0].numel()),
        posterior(pool=lambda m: m.flatten(2).sum(2) / (m[0, 0].numel() - 1)),
        posterior(scale=lambda t, s: -t),
        posterior(scale=lambda t, s: -t / s),
        posterior(scale=lambda t, s: -t / (2 * math.pi * s**2)),
        posterior(scale=lambda t, s: -t / (2 * s**2) / 2),
        posterior(scale=lambda t, s: (-t / (2 * s**2)).clamp(min=-3)),
        posterior(scale=lambda t, s: -(t / (2 * s**2)).log()),
        posterior(scale=lambda t, s: (-t / (2 * s**2)).exp()),
        posterior(normalise=lambda p: p - p.exp().sum(1)[:, None]),
        posterior(normalise=lambda p: p.softmax(1) / p.shape[1]),
        posterior(normalise=lambda p: p - p.logsumexp(1)[:, None] + math.log(2)),
        posterior(normalise=lambda p: p.softmax(1).clamp(min=1e-8).log()),
        posterior(normalise=lambda p: (p.softmax(1) + 1e-8).log()),
        posterior(normalise=lambda p: p.log_softmax(1).clamp(min=-100)),
        posterior(normalise=lambda p: p.log_softmax(1).clamp(min=-20)),
        posterior(normalise=lambda p: p.log_softmax(1).exp()),
        posterior(normalise=lambda p: torch.logit(p.softmax(1))),
        posterior(normalise=lambda p: F.logsigmoid(p)),
        posterior(normalise=lambda p: p - p.min(1, keepdim=True).values),
        posterior(normalise=lambda p: p / p.abs().amax(1, keepdim=True)),
        posterior(normalise=lambda p: F.one_hot(p.argmax(1), p.shape[1]).to(p)),
        posterior(normalise=lambda p: p.log_softmax(1).sort(1, descending=True).values),
        posterior(normalise=lambda p: p.log_softmax(1).mT),
        posterior(normalise=lambda p: p.log_softmax(1).mean(0)),
        posterior(normalise=lambda p: p.log_softmax(1).squeeze()),
        posterior(normalise=lambda p: p.log_softmax(1).double()),
        posterior(normalise=lambda p: p.log_softmax(1).float()),
        posterior(normalise=lambda p: p.log_softmax(1).numpy()),
        posterior(normalise=lambda p: p.log_softmax(1).tolist()),
        posterior(normalise=lambda p: p.log_softmax(1).requires_grad_()),
        posterior(normalise=lambda p: Categorical(logits=p)),
        posterior(normalise=lambda p: Categorical(logits=p).probs),
        posterior(normalise=lambda p: Categorical(logits=p).entropy()),
        lambda x, pictures, sigma: posterior()(x, pictures, sigma + 1e-2),
        lambda x, pictures, sigma: posterior()(x, pictures, max(sigma, 0.1)),
        lambda x, pictures, sigma: posterior()(x.clamp(0, 1), pictures, sigma),
        lambda x, pictures, sigma: posterior()(x.round(), pictures.round(), sigma),
        lambda x, pictures, sigma: posterior()(x.mT.reshape(x.shape), pictures, sigma),
        lambda x, pictures, sigma: posterior()(pictures[:, 0], pictures, sigma),
        lambda x, pictures, sigma: posterior()(x, pictures - pictures.mean(1, keepdim=True), sigma),
        lambda x, pictures, sigma: F.cosine_similarity(x[:, None].flatten(2), pictures.flatten(2), dim=2).log_softmax(
            1
        ),
        lambda x, pictures, sigma: torch.einsum("nchw,nochw->no", x, pictures).log_softmax(1),
        by_density(lambda p: p),
        by_density(lambda p: p.clamp(min=1e-30).log()),
    ],
    "10.6": [
        predictive(before=lambda a: a.clamp(min=-100)),
        predictive(before=lambda a: a.clamp(-700, 700)),
        predictive(before=lambda a: a.log_softmax(0)),
        predictive(before=lambda a: a.log_softmax(1)),
        predictive(before=lambda a: a / len(a)),
        predictive(before=lambda a: a.exp()),
        predictive(before=lambda a: -a),
        predictive(before=lambda a: a[1:]),
        predictive(before=lambda a: a.topk(min(2, len(a)), 0).values),
        predictive(pool=lambda a: a.sum(0)),
        predictive(pool=lambda a: a.logsumexp((0, 1))),
        predictive(pool=lambda a: a.logsumexp(0, keepdim=True)),
        predictive(pool=lambda a: a.logcumsumexp(0)),
        predictive(pool=lambda a: a.min(0).values),
        predictive(pool=lambda a: a.exp().sum(0)),
        predictive(pool=lambda a: a.softmax(0).sum(0)),
        predictive(pool=lambda a: F.softplus(a).sum(0)),
        predictive(over=lambda t, a: t - math.log10(len(a))),
        predictive(over=lambda t, a: t - math.log2(len(a))),
        predictive(over=lambda t, a: t - math.log(a.numel())),
        predictive(over=lambda t, a: t - math.log(len(a) + 1)),
        predictive(over=lambda t, a: t - math.log(len(a)) / 2),
        predictive(over=lambda t, a: (t - math.log(len(a))) / len(a)),
        predictive(over=lambda t, a: (t - math.log(len(a))).clamp(max=0)),
        predictive(over=lambda t, a: (t - math.log(len(a))).clamp(min=-1000)),
        predictive(over=lambda t, a: (t - math.log(len(a))).exp()),
        predictive(over=lambda t, a: (t - math.log(len(a))).double()),
        predictive(over=lambda t, a: (t - math.log(len(a))).float()),
        predictive(over=lambda t, a: (t - math.log(len(a))).numpy()),
        predictive(over=lambda t, a: (t - math.log(len(a))).tolist()),
        predictive(over=lambda t, a: (t - math.log(len(a))).squeeze()),
        predictive(over=lambda t, a: (t - math.log(len(a)))[:, None]),
        predictive(over=lambda t, a: (t - math.log(len(a))).expand_as(a)),
        predictive(over=lambda t, a: (t - math.log(len(a))).requires_grad_()),
        shifted(lambda a: a.amax()),
        shifted(lambda a: a.min(0).values),
        shifted(lambda a: a.median(0).values),
        shifted(lambda a: a[0]),
        shifted(lambda a: a.amax(1, keepdim=True).mean()),
        lambda log_p: log_p[0],
        lambda log_p: log_p.mean(),
        lambda log_p: log_p.mean(0) + math.log(len(log_p)),
        lambda log_p: log_p.mean(0) - math.log(len(log_p)),
        lambda log_p: log_p.mean(0) + log_p.var(0) / 2,
        lambda log_p: (log_p.mean(0) + log_p.amax(0)) / 2,
        lambda log_p: (log_p.exp().mean(0) + 1e-12).log(),
        lambda log_p: log_p.exp().double().mean(0).log().to(log_p),
        lambda log_p: (log_p / 100).exp().mean(0).log() * 100,
    ],
}
