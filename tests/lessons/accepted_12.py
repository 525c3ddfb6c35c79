"""Other right answers to the exercises of notebook 12, in other styles."""

import copy
import functools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from vae_helpers.evaluation.diseases import DISEASES, Finding
from vae_helpers.lessons.patients import PATIENTS


def price_by_backward(distortion, mu, log_var, eps):
    log_var = log_var.clone().detach().requires_grad_(True)
    std = torch.exp(0.5 * log_var)
    distortion(mu.detach() + std * eps).sum().backward()
    return (log_var.grad.sum() / (0.5 * (1 - log_var.exp())).sum()).item()


def price_by_log_std(distortion, mu, log_var, eps):
    """Both slopes by log sigma, where the one half is gone."""
    log_std = (log_var / 2).detach().requires_grad_()
    (slope,) = torch.autograd.grad(distortion(mu + log_std.exp() * eps).sum(), log_std)
    return slope.sum() / (1 - torch.exp(2 * log_std.detach())).sum()


def price_by_two_gradients(distortion, mu, log_var, eps):
    """The KL's slope by autograd, too; a ratio with a graph."""
    log_var = log_var.clone().detach().requires_grad_()
    q = Normal(mu, (log_var / 2).exp())
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), 1)).sum()
    (worse,) = torch.autograd.grad(distortion(q.mean + q.stddev * eps).sum(), log_var, retain_graph=True)
    (cheaper,) = torch.autograd.grad(kl, log_var)
    return -worse.mean() / cheaper.mean() + 0 * log_var.sum()


def price_by_hand(distortion, mu, log_var, eps):
    """The chain rule: the slope by z times half of sigma eps."""
    std = (log_var / 2).exp()
    z = (mu + std * eps).detach().requires_grad_()
    (by_z,) = torch.autograd.grad(distortion(z).sum(), z)
    return float((by_z * std * eps / 2).sum() / (-torch.expm1(log_var) / 2).sum())


def price_by_functional(distortion, mu, log_var, eps):
    slope = torch.func.grad(lambda v: distortion(mu + torch.exp(v / 2) * eps).sum())(log_var)
    return slope.detach().sum() / ((1 - log_var.detach().exp()) / 2).sum()


def price_by_jacobian(distortion, mu, log_var, eps):
    J = torch.autograd.functional.jacobian(lambda v: distortion(mu.detach() + (v / 2).exp() * eps), log_var.detach())
    slope = torch.einsum("nmd->md", J)
    saved = -torch.autograd.functional.jacobian(lambda v: ((v.exp() - v) / 2).sum(), log_var.detach())
    return slope.sum().numpy() / saved.sum().numpy()


def price_where_gradients_are_off(distortion, mu, log_var, eps):
    with torch.no_grad():
        variance = log_var.exp()
        with torch.enable_grad():
            leaf = log_var.detach().clone().requires_grad_()
            total = distortion(mu + leaf.mul(0.5).exp() * eps).sum()
        (slope,) = torch.autograd.grad(total, leaf)
        return slope.sum() / (1 - variance).sum() * 2


class Price(nn.Module):
    def forward(self, distortion, mu, log_var, eps):
        variance = log_var.detach().exp().requires_grad_()
        (by_variance,) = torch.autograd.grad(distortion(mu + variance.sqrt() * eps).sum(), variance)
        variance = variance.detach()
        return (by_variance * variance).sum() / ((1 - variance) / 2).sum()


def weighed_by_parts(distortion, kl):
    return distortion.mean() + kl.sum(-1).mean()


def weighed_by_number(distortion, kl):
    return (distortion.sum() + kl.sum()) / len(kl)


def weighed_by_loop(distortion, kl):
    total = torch.zeros((), dtype=kl.dtype)
    for one, latents in zip(distortion, kl, strict=True):
        total = total + one
        for nats in latents:
            total = total + nats
    return total / len(distortion)


def weighed_by_einsum(distortion, kl):
    return torch.mean(distortion + torch.einsum("nd->n", kl))


def weighed_by_latents(distortion, kl):
    return kl.mean(0).sum() + distortion.mean(dim=0)


class Weighed(nn.Module):
    def forward(self, distortion, kl):
        return torch.cat([distortion[:, None], kl], dim=1).sum(1).mean(0)


def error_by_mse(x, mean):
    return F.mse_loss(mean, x).sqrt()


def error_by_norm(x, mean):
    return torch.linalg.vector_norm(x - mean) / math.sqrt(x.numel())


def error_by_moments(x, mean):
    away = x - mean
    return (away.var(correction=0) + away.mean() ** 2) ** 0.5


def error_by_pictures(x, mean):
    """Pictures are equally large, so that a mean of means is the mean."""
    each = torch.stack([((one - m) ** 2).mean() for one, m in zip(x, mean, strict=True)])
    return each.mean().sqrt()


def error_without_graph(x, mean):
    with torch.no_grad():
        return torch.sqrt(((mean - x) ** 2).sum() / x.numel())


def scale_by_root(log_var):
    return log_var.exp().sqrt()


def scale_by_power(log_var):
    return math.e ** (0.5 * log_var)


def scale_by_distribution(log_var):
    return Normal(torch.zeros_like(log_var), torch.exp(log_var * 0.5)).stddev


def scale_by_log_std(log_var):
    log_std = log_var.div(2)
    return log_std.exp()


class Scale(nn.Module):
    def forward(self, log_var):
        return torch.exp(log_var) * torch.exp(-log_var / 2)


def _power(log_var, base):
    return base ** (log_var / 2)


scale_by_partial = functools.partial(_power, base=math.e)


def levels_by_product(levels):
    return levels * (1 / 255)


def levels_by_loop(levels):
    return torch.stack([torch.div(picture, 255.0) for picture in levels])


def levels_by_copy(levels):
    x = levels.clone()
    x /= 255
    return x


def levels_in_double(levels):
    return (levels.double() / 255).float()


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("white", torch.tensor(255.0))

    def forward(self, levels):
        return levels / self.white


class ByHand(nn.Module):
    """A batch normalisation written out."""

    def __init__(self, features):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))

    def forward(self, x):
        if self.training:
            mean, variance = x.mean(0), x.var(0, correction=0)
            self.mean.lerp_(mean.detach(), 0.05)
            self.variance.lerp_(x.var(0).detach(), 0.05)
        else:
            mean, variance = self.mean, self.variance
        return self.gain * (x - mean) / (variance + 1e-5).sqrt() + self.shift


class OfRows(nn.Module):
    def forward(self, x):
        away = x - x.mean(1, keepdim=True)
        return away / (away.square().mean(1, keepdim=True) + 1e-6).sqrt()


def noise_by_distribution(mean, sigma):
    return Normal(mean, sigma).sample()


def noise_by_independent(mean, sigma):
    return Independent(Normal(mean, sigma.expand_as(mean)), 3).rsample()


def noise_by_normal(mean, sigma):
    return torch.normal(mean, sigma.item())


def noise_by_pictures(mean, sigma):
    return torch.stack([one + float(sigma) * torch.randn(one.shape, dtype=one.dtype) for one in mean])


def noise_in_place(mean, sigma):
    return torch.empty_like(mean).normal_().mul_(sigma).add_(mean)


GENERATOR = torch.Generator().manual_seed(7)


def noise_of_its_own_generator(mean, sigma):
    return mean + sigma * torch.randn(mean.shape, generator=GENERATOR, dtype=mean.dtype)


def parts_from_the_end(images, order, n):
    return images[order[:-n]], images[order[-n:]]


def parts_of_shuffled(images, order, n):
    shuffled = images[order]
    return shuffled[n:], shuffled[:n]


def parts_by_split(images, order, n):
    held_out, training = order.split([n, len(order) - n])
    return [images.index_select(0, training), images.index_select(0, held_out)]


def parts_by_mask(images, order, n):
    held_out = torch.zeros(len(images), dtype=torch.bool)
    held_out[order[:n]] = True
    return images[~held_out], images[held_out]


def parts_by_loop(images, order, n):
    held_out = set(order[:n].tolist())
    training = [image for k, image in enumerate(images) if k not in held_out]
    return torch.stack(training), torch.stack([images[k] for k in sorted(held_out)])


def stacked_by_loop(make, n):
    stack = nn.Sequential()
    for _ in range(n):
        stack.append(make())
    return stack


def stacked_by_map(make, n):
    return nn.Sequential(*map(lambda _: make(), range(n)))


def stacked_by_recursion(make, n):
    return make() if n == 1 else nn.Sequential(stacked_by_recursion(make, n - 1), make())


def stacked_of_copies(make, n):
    """A copy of each, which is as good."""
    return nn.Sequential(*(copy.deepcopy(make()) for _ in range(n)))


class Stack(nn.Module):
    def __init__(self, make, n):
        super().__init__()
        self.layers = nn.ModuleList(make() for _ in range(n))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Named(nn.Module):
    def __init__(self, make, n):
        super().__init__()
        self.n = n
        for k in range(n):
            self.add_module(f"layer_{k}", make())

    def forward(self, x):
        return functools.reduce(lambda h, k: getattr(self, f"layer_{k}")(h), range(self.n), x)


def critic_by_cross_entropy(d_real, d_made):
    real = F.binary_cross_entropy_with_logits(d_real, torch.ones_like(d_real))
    return real + F.binary_cross_entropy_with_logits(d_made, torch.zeros_like(d_made))


def critic_by_logsigmoid(d_real, d_made):
    return -F.logsigmoid(d_real).mean() - F.logsigmoid(-d_made).mean()


def critic_by_logaddexp(d_real, d_made):
    zero = torch.zeros((), dtype=d_real.dtype)
    return torch.logaddexp(zero, -d_real).mean() + torch.logaddexp(zero, d_made).mean()


def critic_by_distribution(d_real, d_made):
    real = Bernoulli(logits=d_real).log_prob(torch.ones_like(d_real))
    made = Bernoulli(logits=d_made).log_prob(torch.zeros_like(d_made))
    return -(real.mean() + made.mean())


def critic_by_places(d_real, d_made):
    return F.softplus(-d_real).mean(1).mean() + nn.Softplus()(d_made).mean(0).mean()


class Critic(nn.Module):
    def forward(self, d_real, d_made):
        return nn.BCEWithLogitsLoss()(d_real, d_real * 0 + 1) + nn.BCEWithLogitsLoss()(d_made, 0 * d_made)


def names(letter):
    """A patient's disease as it may be typed or found."""
    name = PATIENTS[letter].disease
    return [
        name,
        name.upper(),
        f"  {name}\n",
        name.replace(" ", "  ") + ".",
        Finding(name, "as it was found").name,
        list(DISEASES)[list(DISEASES).index(name)],
        " ".join(word for word in name.split() if word != "the"),
    ]


ACCEPTED = {
    "12.1": [
        price_by_backward,
        price_by_log_std,
        price_by_two_gradients,
        price_by_hand,
        price_by_functional,
        price_by_jacobian,
        price_where_gradients_are_off,
        Price(),
    ],
    **{
        f"12.{number}": names(letter)
        for number, letter in zip((2, 3, 4, 7, 8, 9, 12, 13, 14, 18, 19, 20), "ABECDJFKIGLH", strict=True)
    },
    "12.5": [weighed_by_parts, weighed_by_number, weighed_by_loop, weighed_by_einsum, weighed_by_latents, Weighed()],
    "12.6": [
        error_by_mse,
        error_by_norm,
        error_by_moments,
        error_by_pictures,
        error_without_graph,
    ],
    "12.10": [scale_by_root, scale_by_power, scale_by_distribution, scale_by_log_std, Scale(), scale_by_partial],
    "12.11": [levels_by_product, levels_by_loop, levels_by_copy, levels_in_double, Levels(), lambda x: x.mul(1 / 255)],
    "12.15": [
        nn.BatchNorm1d,
        nn.LayerNorm,
        functools.partial(nn.RMSNorm, elementwise_affine=False),  # pasted in by the soak: with weights PyTorch warns
        nn.RMSNorm,  # of its own speed in bfloat16, which is none of the learner's faults
        functools.partial(nn.GroupNorm, 2),
        functools.partial(nn.GroupNorm, 1),
        functools.partial(nn.GroupNorm, 4),
        functools.partial(nn.GroupNorm, 8),
        functools.partial(nn.GroupNorm, 16),
        functools.partial(nn.GroupNorm, 32),
        functools.partial(nn.BatchNorm1d, momentum=0.03),
        functools.partial(nn.BatchNorm1d, momentum=0.01),
        functools.partial(nn.BatchNorm1d, affine=False),
        functools.partial(nn.LayerNorm, elementwise_affine=False),
        lambda features: nn.Sequential(nn.BatchNorm1d(features)),
        lambda features: nn.BatchNorm1d(num_features=features, eps=1e-3),
        ByHand,
        lambda features: OfRows(),
    ],
    "12.16": [
        noise_by_distribution,
        noise_by_independent,
        noise_by_normal,
        noise_by_pictures,
        noise_in_place,
        noise_of_its_own_generator,
    ],
    "12.17": [
        lambda images, order, n: (images[order[n:].sort().values], images[order[:n]]),
        parts_from_the_end,
        parts_of_shuffled,
        parts_by_split,
        parts_by_mask,
        parts_by_loop,
    ],
    "12.21": [stacked_by_loop, stacked_by_map, stacked_by_recursion, stacked_of_copies, Stack, Named],
    "12.22": [
        critic_by_cross_entropy,
        critic_by_logsigmoid,
        critic_by_logaddexp,
        critic_by_distribution,
        critic_by_places,
        Critic(),
    ],
}
