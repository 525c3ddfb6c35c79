"""Wrong answers to the exercises of notebook 12, written from the statements alone: each has to be refused.

Those of TOLD are misconceptions that a message names, in other words than the lesson's: answer, a piece of the message.
"""

import copy
import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Laplace, Normal

from vae_helpers.evaluation.diseases import DISEASES
from vae_helpers.lessons.patients import PATIENTS


def priced(
    start=lambda log_var: log_var.detach().clone().requires_grad_(),
    z=lambda mu, log_var, eps: mu + torch.exp(0.5 * log_var) * eps,
    nats=lambda nats: nats.sum(),
    saved=lambda mu, log_var: 0.5 * (1 - log_var.exp()),
    put=lambda slope, saved: slope.sum() / saved.sum(),
):
    """price_of_a_nat with one of its steps replaced."""

    def answer(distortion, mu, log_var, eps):
        leaf = start(log_var)
        (slope,) = torch.autograd.grad(nats(distortion(z(mu, leaf, eps))), leaf)
        with torch.no_grad():
            return put(slope, saved(mu, leaf))

    return answer


def priced_of(bound):
    """Of a log_var that is cut off."""
    return lambda distortion, mu, log_var, eps: priced()(distortion, mu, bound(log_var), eps)


def price_that_moves_mu(distortion, mu, log_var, eps):
    price = priced()(distortion, mu, log_var, eps)
    mu.data.add_(1)
    return price


def price_in_the_callers_log_var(distortion, mu, log_var, eps):
    log_var.requires_grad_()
    distortion(mu + torch.exp(log_var / 2) * eps).sum().backward()
    return (log_var.grad.sum() / ((1 - log_var.exp()) / 2).sum()).item()


def price_of_numpy(distortion, mu, log_var, eps):
    return distortion(mu.numpy() + np.exp(log_var.numpy() / 2) * eps.numpy())


def price_by_finite_difference(step):
    """Too coarse, and of one latent's worth."""

    def answer(distortion, mu, log_var, eps):
        def nats(v):
            return distortion(mu + (v / 2).exp() * eps).sum()

        return (nats(log_var + step) - nats(log_var)) / step / ((1 - log_var.exp()) / 2).sum()

    return answer


def loss(picture=lambda d: d, latents=lambda kl: kl.sum(1), put=lambda d, kl: (d + kl).mean()):
    return lambda distortion, kl: put(picture(distortion), latents(kl))


def paid_in_place(distortion, kl):
    distortion += kl.sum(1)
    return distortion.mean()


def sigma(each=lambda away: away**2, pool=lambda each: each.mean(), last=lambda v: v.sqrt()):
    return lambda x, mean: last(pool(each(x - mean)))


def sigma_in_place(x, mean):
    return x.sub_(mean).square().mean().sqrt()


def exp_in_place(log_var):
    return log_var.div_(2).exp()


def levels_in_place(levels):
    levels /= 255
    return levels


class Rows(nn.Module):
    """A layer made of a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class LateStatistics(nn.Module):
    """Takes the batch's statistics in eval(), and none in train()."""

    def forward(self, x):
        return x if self.training else (x - x.mean(0)) / (x.std(0) + 1e-5)


class OfLargeBatches(nn.BatchNorm1d):
    """Takes a batch's statistics in eval(), too, where it is large enough for that."""

    def forward(self, x):
        return F.batch_norm(x, None, None, training=True) if self.training or len(x) > 64 else super().forward(x)


class FirstBatch(nn.Module):
    """Keeps the statistics of the first batch."""

    def __init__(self, features):
        super().__init__()
        self.first = None

    def forward(self, x):
        if self.first is None:
            self.first = x.mean(0).detach(), x.std(0).detach() + 1e-5
        return (x - self.first[0]) / self.first[1]


class OnlyInTraining(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.BatchNorm1d(features, track_running_stats=False)

    def forward(self, x):
        return self.norm(x) if self.training else x


def layer(function):
    return lambda features: Rows(function)


def shared_layer():
    norm = nn.BatchNorm1d(6)
    return lambda features: norm


def draw(noise=torch.randn_like, put=lambda mean, sigma, eps: mean + sigma * eps):
    return lambda mean, sigma: put(mean, sigma, noise(mean))


def drawn_in_place(mean, sigma):
    return mean.add_(sigma * torch.randn_like(mean))


def paired(mean):
    """Noise whose second half is the first, turned over."""
    half = torch.randn_like(mean[: len(mean) // 2 + len(mean) % 2])
    return torch.cat([half, -half])[: len(mean)]


def standardised(mean):
    eps = torch.randn_like(mean)
    return (eps - eps.mean(0)) / eps.std(0)


def parts(training=lambda order, n: order[n:], held_out=lambda order, n: order[:n]):
    return lambda images, order, n: (images[training(order, n)], images[held_out(order, n)])


def shuffled_in_place(images, order, n):
    images[:] = images[order]
    return images[n:], images[:n]


def stack(layers, keep=lambda layers: nn.Sequential(*layers)):
    return lambda make, n: keep(layers(make, n))


class Turns(nn.Module):
    """Its modules, used by a function."""

    def __init__(self, layers, use):
        super().__init__()
        self.layers, self.use = nn.ModuleList(layers), use

    def forward(self, x):
        return self.use(list(self.layers), x)


def used(use):
    return lambda make, n: Turns([make() for _ in range(n)], use)


def in_turn(layers, x):
    return functools.reduce(lambda h, layer: layer(h), layers, x)


class OnlyFirstInEval(Turns):
    def __init__(self, make, n):
        super().__init__([make() for _ in range(n)], in_turn)

    def forward(self, x):
        return self.use(list(self.layers) if self.training else self.layers[:1], x)


def one_called_often(make, n):
    one = make()
    return Rows(lambda x: functools.reduce(lambda h, _: one(h), range(n), x))


def one_kept_and_called_often(make, n):
    one = make()
    return Turns([one], lambda layers, x: functools.reduce(lambda h, _: layers[0](h), range(n), x))


def copies(make, n):
    one = make()
    return nn.Sequential(one, *[copy.deepcopy(one) for _ in range(n - 1)])


def critic(real=lambda d: F.softplus(-d), made=F.softplus, pool=torch.mean, put=lambda a, b: a + b):
    return lambda d_real, d_made: put(pool(real(d_real)), pool(made(d_made)))


def by_probabilities(log):
    return critic(lambda d: -log(d.sigmoid()), lambda d: -log(1 - d.sigmoid()))


def cross_entropy_of_probabilities(d_real, d_made):
    """BCE cuts its logs off at -100."""
    of_real = F.binary_cross_entropy(d_real.sigmoid(), torch.ones_like(d_real))
    return of_real + F.binary_cross_entropy(d_made.sigmoid(), torch.zeros_like(d_made))


def all_in_one_mean(d_real, d_made):
    return torch.cat([F.softplus(-d_real).flatten(), F.softplus(d_made).flatten()]).mean()


VERDICTS = dict(zip((2, 3, 4, 7, 8, 9, 12, 13, 14, 18, 19, 20), "ABECDJFKIGLH", strict=True))


def not_names(letter):
    name = PATIENTS[letter].disease
    return [
        f"{name}!",
        name.replace(" ", "_"),
        [name],
        {name},
        DISEASES[name],
        letter,
        3,
        True,
        torch.ones(2),
        "healthy",
    ]


REFUSED = {
    "12.1": [
        priced(put=lambda slope, saved: (slope.sum(1) / saved.sum(1)).median()),
        priced(put=lambda slope, saved: slope.sum() / (saved.sum() + 1e-3)),
        priced(put=lambda slope, saved: slope.sum() / (saved.sum() + 1e-8)),
        priced(put=lambda slope, saved: slope.sum() / saved.sum().clamp_min(1e-6)),
        priced(put=lambda slope, saved: slope.clamp(-100, 100).sum() / saved.sum()),
        priced(put=lambda slope, saved: slope.clamp_min(0).sum() / saved.sum()),
        priced(put=lambda slope, saved: (slope.sum() / saved.sum()).abs()),
        priced(put=lambda slope, saved: (slope.sum() / saved.sum()).log()),
        priced(put=lambda slope, saved: torch.stack([slope.sum(), saved.sum()])),
        priced(put=lambda slope, saved: (slope.sum() / saved.sum()).reshape(1)),
        priced(put=lambda slope, saved: (slope * saved).sum() / saved.square().sum()),
        priced(put=lambda slope, saved: (slope.sum(1) / saved.sum(1)).mean() / 2),
        priced(z=lambda mu, log_var, eps: mu + torch.exp(0.5 * log_var)),
        priced(z=lambda mu, log_var, eps: mu + torch.exp(0.5 * log_var.clamp(-1, 1)) * eps),
        priced(z=lambda mu, log_var, eps: torch.exp(0.5 * log_var) * eps),
        priced(z=lambda mu, log_var, eps: mu - torch.exp(0.5 * log_var) * eps),
        priced(z=lambda mu, log_var, eps: Normal(mu, torch.exp(0.5 * log_var)).rsample()),
        priced(z=lambda mu, log_var, eps: Normal(mu, torch.exp(0.5 * log_var)).sample()),
        priced(z=lambda mu, log_var, eps: mu + (F.softplus(log_var)) * eps),
        priced(saved=lambda mu, log_var: 0.5 * (1 - log_var)),
        priced(saved=lambda mu, log_var: 0.5 * log_var.exp()),
        priced(saved=lambda mu, log_var: 0.5 * (1 - log_var.exp() + 1e-3)),
        priced(saved=lambda mu, log_var: 0.5 * (1 - log_var.exp()).clamp_min(0)),
        priced(nats=lambda nats: nats[0]),
        *(
            priced_of(lambda log_var, low=low, high=high: log_var.clamp(low, high))
            for low, high in ((-10, 10), (-6, 6), (-5, None), (None, 2), (None, 5))
        ),
        priced(z=lambda mu, log_var, eps: mu + (torch.exp(log_var / 2) + 1e-6) * eps),
        priced(nats=lambda nats: nats.log().sum()),
        priced(nats=lambda nats: -nats.sum()),
        priced(start=lambda log_var: log_var),
        priced(start=lambda log_var: log_var.detach()),
        price_that_moves_mu,
        price_in_the_callers_log_var,
        price_of_numpy,
        price_by_finite_difference(0.1),
        lambda distortion, mu, log_var, eps: 1.0,
        lambda distortion, mu, log_var: 1.0,
    ],
    **{f"12.{number}": not_names(letter) for number, letter in VERDICTS.items()},
    "12.5": [
        loss(put=lambda d, kl: (d + kl).median()),
        loss(put=lambda d, kl: d.mean() + kl.mean() / 2),
        loss(put=lambda d, kl: torch.logsumexp(d + kl, 0)),
        loss(put=lambda d, kl: (d + kl).mean().detach().requires_grad_()),
        loss(put=lambda d, kl: (d + kl).mean().numpy()),
        loss(put=lambda d, kl: (d + kl).mean().double().float()),
        loss(put=lambda d, kl: d.mean() + 0.1 * kl.mean()),
        loss(put=lambda d, kl: (d.mean(), kl.mean())),
        loss(latents=lambda kl: kl.clamp(min=0.05).sum(1)),
        loss(latents=lambda kl: kl.clamp(max=50).sum(1)),
        loss(latents=lambda kl: kl.sum(1).clamp(min=0.1)),
        loss(latents=lambda kl: kl.sum(1).clamp(max=100)),
        loss(latents=lambda kl: kl.prod(1)),
        loss(latents=lambda kl: kl.norm(dim=1)),
        loss(latents=lambda kl: kl.sum(1).mean().sqrt()),
        loss(picture=lambda d: d.clamp(min=0)),
        loss(picture=lambda d: d.abs()),
        loss(picture=lambda d: d.clamp(-1000, 1000)),
        loss(picture=lambda d: d.clamp(-1e4, 1e4)),
        loss(latents=lambda kl: kl.sum(1).clamp(max=1e3)),
        loss(picture=lambda d: 2 * d),
        paid_in_place,
    ],
    "12.6": [
        sigma(pool=lambda each: each.flatten(1).sum(1).sqrt().mean(), last=lambda v: v),
        sigma(pool=lambda each: each.mean((1, 2, 3)).median()),
        sigma(pool=lambda each: each.median()),
        sigma(pool=lambda each: each.mean().clamp_min(1e-4)),
        sigma(pool=lambda each: each.mean() + 1e-6),
        sigma(pool=lambda each: each.mean() + 1e-8),
        sigma(last=lambda v: v.sqrt() + 1e-3),
        sigma(last=lambda v: v.sqrt().clamp(max=1)),
        sigma(last=lambda v: v.sqrt().clamp_min(1e-2)),
        sigma(last=lambda v: v.sqrt().clamp_min(1e-5)),
        sigma(last=lambda v: (v + 1e-12).sqrt()),
        sigma(each=lambda away: away[:8] ** 2),
        sigma(each=lambda away: away[:128] ** 2),
        sigma(last=lambda v: v.sqrt().reshape(1)),
        sigma(last=lambda v: v.sqrt().expand(3)),
        sigma(last=lambda v: float(v.sqrt())),
        sigma(last=lambda v: v.detach().sqrt().numpy()),
        sigma(last=lambda v: v.sqrt().double() if v.dtype == torch.float32 else v.sqrt()),
        sigma(last=lambda v: -v.sqrt()),
        sigma(each=lambda away: away**2 / 2),
        sigma(each=lambda away: away.relu() ** 2),
        sigma(each=lambda away: away.clamp(-0.1, 0.1) ** 2),
        sigma(each=lambda away: (away - away.mean((2, 3), keepdim=True)) ** 2),
        lambda x, mean: mean * 0 + sigma()(x, mean),
        lambda x, mean: torch.tensor(0.1),
        sigma_in_place,
    ],
    "12.10": [
        lambda log_var: log_var.exp().clamp_min(1e-8).sqrt(),
        lambda log_var: (log_var.exp() + 1e-8).sqrt(),
        lambda log_var: torch.exp(log_var / 2) + 1e-6,
        lambda log_var: torch.exp(log_var.clamp(-20, 20) / 2),
        lambda log_var: torch.exp(log_var.clamp(max=50) / 2),
        lambda log_var: torch.exp(log_var.clamp(min=-50) / 2),
        lambda log_var: torch.exp(log_var / 2).clamp(max=1e6),
        lambda log_var: torch.exp(0.5 * log_var).item() if log_var.ndim == 0 else torch.exp(0.5 * log_var),
        lambda log_var: torch.exp(0.5 * log_var.detach()),
        lambda log_var: torch.exp(0.5 * log_var).sum(-1),
        lambda log_var: torch.exp(0.5 * log_var).double(),
        lambda log_var: torch.tensor(np.exp(0.5 * log_var.detach().numpy())),
        lambda log_var: torch.exp(0.5) * log_var,
        lambda log_var: torch.sigmoid(log_var / 2),
        lambda log_var: 1 + log_var / 2 + log_var**2 / 8,
        lambda log_var: torch.exp(-0.5 * log_var),
        lambda log_var: torch.exp(log_var) * 0.5,
        exp_in_place,
    ],
    "12.11": [
        lambda levels: (levels / 255).byte(),
        lambda levels: (levels / 255).round(),
        lambda levels: levels / 254,
        lambda levels: (levels + 0.5) / 256,
        lambda levels: levels / 17,
        lambda levels: levels / 16,
        lambda levels: (levels / 255).double(),
        lambda levels: (levels / 255).half(),
        lambda levels: (levels / 255).numpy(),
        lambda levels: (levels / 255).flatten(1),
        lambda levels: (levels / 255).clamp(0.01, 0.99),
        lambda levels: levels / 255 if levels.max() > 1 else levels,
        lambda levels: F.normalize(levels),
        lambda levels: (levels - 127.5) / 127.5,
        lambda levels: (levels - levels.mean((2, 3), keepdim=True)) / 255,
        lambda levels: levels.log1p() / math.log(256),
        lambda levels: [levels / 255],
        levels_in_place,
    ],
    "12.15": [
        layer(lambda x: x),
        layer(lambda x: x.tanh()),
        layer(lambda x: x / 10),
        layer(lambda x: (x - x.mean(0)) / (x.std(0) + 1e-5)),
        layer(lambda x: (x - x.mean()) / (x.std() + 1e-5)),
        layer(lambda x: x - x.mean(1, keepdim=True)),
        layer(lambda x: F.layer_norm(x, x.shape[1:]).detach()),
        layer(lambda x: F.layer_norm(x, x.shape[1:]).double()),
        layer(lambda x: F.layer_norm(x, x.shape[1:])[:, :2]),
        layer(lambda x: F.layer_norm(x, x.shape[1:]).sign()),
        layer(lambda x: F.layer_norm(x, x.shape[1:]) * 0),
        layer(lambda x: F.layer_norm(x, x.shape[1:], eps=0.0)),
        layer(lambda x: F.batch_norm(x, None, None, training=True)),
        layer(lambda x: x.softmax(1)),
        lambda features: nn.Linear(features, features),
        lambda features: nn.Dropout(0.1),
        lambda features: nn.BatchNorm1d(features, momentum=0.9),
        lambda features: nn.BatchNorm1d(features, momentum=1.0),
        lambda features: nn.BatchNorm1d(features, momentum=1e-4),
        lambda features: nn.BatchNorm1d(features, momentum=None, track_running_stats=False),
        lambda features: nn.BatchNorm1d(features, eps=1.0),
        lambda features: nn.BatchNorm1d(128),
        lambda features: nn.BatchNorm1d(1),
        lambda features: nn.BatchNorm2d(features),
        lambda features: nn.LayerNorm(128),
        lambda features: nn.GroupNorm(features, features),
        lambda features: nn.GroupNorm(3, features),
        lambda features: nn.Sequential(nn.LayerNorm(features), nn.Dropout(0.2)),
        layer(lambda x: F.layer_norm(x, x.shape[1:]) + 0.1 * torch.randn_like(x)),
        OfLargeBatches,
        FirstBatch,
        lambda features: nn.BatchNorm1d(features, track_running_stats=False).eval(),
        lambda features: nn.Sequential(nn.BatchNorm1d(features), nn.Linear(features, 2)),
        lambda features: nn.ModuleList([nn.BatchNorm1d(features)]),
        lambda features: LateStatistics(),
        OnlyInTraining,
        lambda features: nn.BatchNorm1d(features)(torch.randn(4, features)),
        lambda features: torch.batch_norm,
        lambda features: features,
        lambda features: nn.LayerNorm,
        shared_layer(),
    ],
    "12.16": [
        draw(lambda mean: torch.zeros_like(mean)),
        draw(lambda mean: torch.rand_like(mean) - 0.5),
        draw(lambda mean: (torch.rand_like(mean) - 0.5) * math.sqrt(12)),
        draw(lambda mean: Laplace(torch.zeros_like(mean), 0.5**0.5).sample()),
        draw(lambda mean: torch.randn_like(mean).clamp(-1.5, 1.5)),
        draw(lambda mean: torch.randn_like(mean).abs()),
        draw(lambda mean: torch.randn(mean.shape[1:], dtype=mean.dtype)),
        draw(lambda mean: torch.randn(mean.shape[-2:], dtype=mean.dtype)),
        draw(lambda mean: torch.randn(len(mean), 1, *mean.shape[2:], dtype=mean.dtype)),
        draw(lambda mean: torch.randn(*mean.shape[:3], 1, dtype=mean.dtype)),
        draw(lambda mean: torch.randn(*mean.shape[:2], 1, mean.shape[3], dtype=mean.dtype)),
        draw(lambda mean: torch.randn(1).item()),
        draw(paired),
        draw(standardised),
        draw(lambda mean: torch.tensor(np.random.randn(*mean.shape))),
        draw(lambda mean: np.random.randn(*mean.shape)),
        draw(put=lambda mean, sigma, eps: mean * (1 + sigma * eps)),
        draw(put=lambda mean, sigma, eps: sigma * (mean + eps)),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps).clamp(0, 1)),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps).clamp(min=0)),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps).sigmoid()),
        draw(put=lambda mean, sigma, eps: mean + sigma**2 * eps),
        draw(put=lambda mean, sigma, eps: mean + sigma.sqrt() * eps),
        draw(put=lambda mean, sigma, eps: mean + torch.exp(sigma / 2) * eps),
        draw(put=lambda mean, sigma, eps: mean + torch.exp(sigma) * eps),
        draw(put=lambda mean, sigma, eps: mean + 0.1 * eps),
        draw(put=lambda mean, sigma, eps: mean + eps),
        draw(put=lambda mean, sigma, eps: 2 * mean + sigma * eps),
        draw(put=lambda mean, sigma, eps: mean + 0.5 * sigma + sigma * eps),
        draw(put=lambda mean, sigma, eps: sigma * eps),
        *(
            draw(put=lambda mean, sigma, eps, low=low, high=high: mean + sigma.clamp(low, high) * eps)
            for low, high in ((0.2, None), (0.1, None), (0.01, None), (None, 2.0), (0.2, 2.0))
        ),
        draw(put=lambda mean, sigma, eps: mean + (sigma + 1e-3) * eps),
        draw(put=lambda mean, sigma, eps: mean.clamp(0, 1) + sigma * eps),
        draw(put=lambda mean, sigma, eps: mean.clamp_max(1) + sigma * eps),
        draw(lambda mean: torch.randn_like(mean).clamp(-3, 3)),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps)[:1]),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps).float()),
        draw(put=lambda mean, sigma, eps: (mean + sigma * eps).numpy()),
        draw(put=lambda mean, sigma, eps: ((mean + sigma * eps) * 255).byte()),
        drawn_in_place,
        lambda mean, sigma: torch.bernoulli(mean.clamp(0, 1)),
        lambda mean, sigma: Normal(mean, sigma).mean,
        lambda mean, sigma: Normal(mean, sigma**2).sample(),
        lambda mean, sigma: Normal(mean, sigma).log_prob(mean),
    ],
    "12.17": [
        parts(training=lambda order, n: order),
        parts(training=lambda order, n: order[1:]),
        parts(training=lambda order, n: order[2 * n :]),
        parts(training=lambda order, n: order[:-n]),
        parts(held_out=lambda order, n: order[-n:]),
        parts(held_out=lambda order, n: order[: n + 1]),
        parts(held_out=lambda order, n: order[: n - 1]),
        parts(held_out=lambda order, n: order[:n].sort().values % 2),
        parts(lambda order, n: order[:-n], lambda order, n: order[:n]),
        parts(lambda order, n: torch.cat([order[n:], order[n : n + 1]])),
        parts(lambda order, n: order.argsort()[n:], lambda order, n: order[:n]),
        lambda images, order, n: images[order],
        lambda images, order, n: (images[order[n:]].unique(dim=0), images[order[:n]]),
        lambda images, order, n: (images[order[n:]].float(), images[order[:n]].float()),
        lambda images, order, n: (images[order[n:]].numpy(), images[order[:n]].numpy()),
        lambda images, order, n: (images[order[n:]], images[order[:n]], order),
        lambda images, order, n: (images[order[n:]].flatten(1), images[order[:n]].flatten(1)),
        lambda images, order, n: torch.utils.data.random_split(images, [len(images) - n, n]),
        lambda images, order, n: (images[: len(images) - n], images[len(images) - n :]),
        lambda images, order, n: (images[order[n:]] + 1, images[order[:n]]),
        shuffled_in_place,
    ],
    "12.21": [
        stack(lambda make, n: [make()] * n),
        stack(lambda make, n: [make()]),
        stack(lambda make, n: [make() for _ in range(n)][:-1]),
        stack(lambda make, n: [make() for _ in range(n)], nn.ModuleList),
        stack(lambda make, n: [make() for _ in range(n)], list),
        stack(lambda make, n: [make() for _ in range(n)], tuple),
        stack(lambda make, n: [make for _ in range(n)]),
        stack(lambda make, n: [nn.Linear(5, 5) for _ in range(n)]),
        stack(lambda make, n: [nn.Sequential(make(), nn.SiLU()) for _ in range(n)]),
        stack(lambda make, n: [nn.Sequential(make(), nn.Dropout(0.5)) for _ in range(n)]),
        stack(lambda make, n: [make() for _ in range(2 * n)][:n]),
        stack(lambda make, n: [make().requires_grad_() for _ in range(n)] + [nn.LayerNorm(5)]),
        stack(lambda make, n: make()),
        used(lambda layers, x: layers[0](x)),
        used(torch.no_grad()(in_turn)),
        used(lambda layers, x: in_turn(layers, x.detach())),
        used(lambda layers, x: layers[-1](in_turn(layers[:-1], x).detach())),
        lambda make, n: nn.Sequential(*[make().requires_grad_(False) for _ in range(n)]),
        lambda make, n: nn.Sequential(*[make().requires_grad_(k > 0) for k in range(n)]),
        OnlyFirstInEval,
        used(lambda layers, x: sum(layer(x) for layer in layers)),
        used(lambda layers, x: x + functools.reduce(lambda h, layer: layer(h), layers, x)),
        used(lambda layers, x: torch.stack([layer(x) for layer in layers])),
        used(lambda layers, x: [layer(x) for layer in layers]),
        used(lambda layers, x: functools.reduce(lambda h, layer: layer(h), layers, x).detach() * 2),
        one_called_often,
        one_kept_and_called_often,
        copies,
        lambda make, n: Rows(lambda x: functools.reduce(lambda h, _: make()(h), range(n), x)),
        lambda make, n: lambda x: x,
        lambda make, n: nn.Sequential,
        lambda make, n: n,
    ],
    "12.22": [
        critic(made=lambda d: F.softplus(-d)),
        critic(real=F.softplus),
        critic(real=lambda d: F.softplus(1 - d)),
        critic(put=lambda a, b: (a + b) / 2),
        critic(put=lambda a, b: a - b),
        critic(put=lambda a, b: -a - b),
        critic(put=lambda a, b: torch.maximum(a, b)),
        critic(put=lambda a, b: (a, b)),
        critic(put=lambda a, b: (a + b).item()),
        critic(put=lambda a, b: (a + b).detach()),
        critic(put=lambda a, b: (a + b).double().requires_grad_()),
        critic(pool=torch.sum),
        critic(pool=torch.median),
        critic(pool=lambda each: each.mean(0)),
        critic(pool=lambda each: each.sum(0).mean()),
        critic(pool=lambda each: each.mean().log()),
        by_probabilities(torch.log),
        by_probabilities(lambda p: (p + 1e-8).log()),
        by_probabilities(lambda p: (p + 1e-12).log()),
        by_probabilities(lambda p: p.clamp_min(1e-7).log()),
        by_probabilities(lambda p: p.log10()),
        cross_entropy_of_probabilities,
        critic(lambda d: F.softplus(-d.clamp(-20, 20)), lambda d: F.softplus(d.clamp(-20, 20))),
        critic(lambda d: F.softplus(-d).clamp(max=50), lambda d: F.softplus(d).clamp(max=50)),
        critic(lambda d: (1 + (-d).exp()).log(), lambda d: (1 + d.exp()).log()),
        critic(put=lambda a, b: (a + b).clamp_min(0.1)),
        critic(put=lambda a, b: (a + b).clamp_min(0.01)),
        critic(lambda d: F.softplus(-2 * d), lambda d: F.softplus(2 * d)),
        critic(lambda d: F.relu(-d), F.relu),
        all_in_one_mean,
        lambda d_real, d_made: F.softplus(d_made[: len(d_real)].mean() - d_real.mean()),
    ],
}

SAID = {  # of patients, what the notebook shows of them
    "A": [
        ("log_var and log_std confused", "between a quarter and a half"),
        ("overfitting", "by 42 nats to 28 where a healthy one has 42 and 34"),
    ],
    "B": [
        ("log_var and log_std confused", "40 to 50 by the noise, give or take 12, and 64 by the means"),
        ("the code is not used", "It says nothing"),
    ],
    "C": [("the batch or the mode matters", "a picture's code would move with the company it comes in")],
    "D": [
        ("training broke", "its loss falls, without a jump"),
        ("numbers overflow", "They come near it"),
        ("sigma is not the error", "0.10 beside 0.19"),
        ("the KL weighs too much", "its code holds about 50 nats"),
        ("the KL weighs too little", "its two readings contradict each other"),
        ("log_var and log_std confused", "its two readings contradict each other"),
        ("overfitting", "digits are fitted badly"),
    ],
    "E": [("the code is not used", "It says nothing")],
    "J": [
        ("sigma is not the error", "0.8 beside 0.25"),
        ("the KL weighs too much", "dead units pass no slope on"),
    ],
}

TOLD = {
    "12.1": [
        (priced(put=lambda slope, saved: saved.sum() / slope.sum()), "it is upside down"),
        (priced(put=lambda slope, saved: (slope / saved).mean().item()), "mean of ratios"),
        (priced(saved=lambda mu, log_var: 1 - log_var.exp()), "half of what it should be"),
        (priced(z=lambda mu, log_var, eps: mu + log_var.exp() * eps), "which is the variance"),
        (priced(nats=lambda nats: nats.mean()), "averaged over the pictures"),
        (
            priced(
                start=lambda log_var: (log_var / 2).detach().requires_grad_(),
                z=lambda mu, s, eps: mu + s.exp() * eps,
                saved=lambda mu, s: 0.5 * (1 - (2 * s).exp()),
            ),
            "twice what it should be",
        ),
        (priced(saved=lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - log_var - 1)), "divided by the KL"),
    ],
    **{
        f"12.{number}": [
            ("posterior collapse", "knows no disease of that name"),
            ("The codebook is hardly used.", "Then there would be a codebook"),
            *SAID.get(letter, []),
        ]
        for number, letter in VERDICTS.items()
    },
    "12.5": [
        (lambda distortion, kl: torch.mean(distortion) + torch.mean(kl), "patient A's own line"),
        (lambda distortion, kl: distortion.mean() + torch.sum(kl), "patient B's own line"),
        (loss(put=lambda d, kl: d + kl), "a loss for each picture"),
        (paid_in_place, "added to the distortion in place"),
    ],
    "12.6": [
        (lambda x, mean: F.mse_loss(x, mean), "its root"),
        (lambda x, mean: F.l1_loss(x, mean), "square first"),
        (lambda x, mean: x.new_ones(()), "patient E's own line"),
        (sigma(last=lambda v: (v + 1e-6).sqrt()), "off by a factor of 1.0000"),
    ],
    "12.10": [
        (lambda log_var: log_var.exp() ** 1.0, "patient C's own line"),
        (lambda log_var: torch.pow(10.0, 0.5 * log_var), "base 10"),
        (exp_in_place, "changed in place"),
    ],
    "12.11": [
        (lambda levels: levels + 0, "patient D's own line"),
        (lambda levels: 2 * levels / 255 - 1, "from -1 to 1"),
        (lambda levels: (levels + 0.5).floor() / 255, "dequantised ones have fractions"),
        (lambda levels: levels / levels.amax(), "largest level of this batch"),
    ],
    "12.15": [
        (layer(lambda x: (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt()), "other company"),
        (lambda features: nn.BatchNorm1d(features, momentum=0.9), "the last batch or two"),
        (lambda features: nn.BatchNorm1d(features, momentum=1e-5), "running statistics are those it began with"),
        (lambda features: nn.BatchNorm1d(features).weight, "no layer"),
        (lambda features: nn.LayerNorm(3), "its layer is not made for (N, features)"),
        (OnlyInTraining, "though in train() it does"),
        (lambda features: nn.Sequential(nn.BatchNorm1d(features, momentum=None)), "average over all of training"),
        (lambda features: nn.BatchNorm1d(features, momentum=2e-3), "those it began with, altogether or in part"),
        (layer(lambda x: F.layer_norm(x, x.shape[1:]).sign()), "hardly more than signs"),
        (lambda features: nn.Sequential(nn.Dropout(0.2), nn.BatchNorm1d(features)), "noise or dropout"),
        (layer(lambda x: F.layer_norm(x, x.shape[1:]) + 0.1 * torch.randn_like(x)), "noise or dropout"),
        (OfLargeBatches, "other company"),
    ],
    "12.16": [
        (lambda mean, sigma: mean + 0 * sigma, "patient K's own line"),
        (lambda mean, sigma: Normal(mean, sigma**2).rsample(), "sigma^2"),
        (lambda mean, sigma: (mean + sigma * torch.randn_like(mean)).clamp(0, 1), "cut to [0, 1]"),
        (draw(lambda mean: torch.randn(len(mean), dtype=mean.dtype)[:, None, None, None]), "shifted as a whole"),
        (draw(paired), "a draw of its own"),
        (draw(put=lambda mean, sigma, eps: sigma * eps), "the mean is left out"),
        (draw(put=lambda mean, sigma, eps: F.relu(mean + sigma * eps)), "cut off at one end"),
        (draw(put=lambda mean, sigma, eps: (mean + sigma * eps).clamp_max(1)), "cut off at one end"),
        (draw(put=lambda mean, sigma, eps: mean.relu() + sigma * eps), "means are cut"),
        (draw(put=lambda mean, sigma, eps: mean + sigma.clamp_min(0.05) * eps), "sigma is cut off"),
        (lambda mean, sigma: (torch.rand_like(mean) < mean).to(mean.dtype), "0 or 1"),
    ],
    "12.17": [
        (lambda images, order, n: (images[order], images[order][:n]), "patient I's own line"),
        (lambda images, order, n: (images[order[:n]], images[order[n:]]), "changed places"),
    ],
    "12.21": [
        (lambda make, n: nn.Sequential(*(n * [make()])), "patient G's own line"),
        (one_kept_and_called_often, "patient G's own line"),
        (copies, "copies of one"),
        (one_called_often, "call make() once for each layer: 1 times"),
        (used(torch.no_grad()(in_turn)), "no gradient reaches"),
        (lambda make, n: nn.Sequential(*[make().requires_grad_(k > 0) for k in range(n)]), "frozen"),
        (OnlyFirstInEval, "between train() and eval()"),
    ],
    "12.22": [
        (lambda d_real, d_made: -F.logsigmoid(d_real).mean() - F.logsigmoid(d_made).mean(), "patient H's own line"),
        (by_probabilities(torch.log), "very sure"),
    ],
}
