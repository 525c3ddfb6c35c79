"""Other right answers to the exercises of notebook 08, in other styles."""

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence


def blur_by_densities(a, b, sigma):
    painted = Normal((a + b) / 2, sigma)
    knowing, blurred = Normal(a, sigma).log_prob(a), painted.log_prob(a)
    return (knowing - blurred).sum(dim=(1, 2, 3))


def blur_by_both_pictures(a, b, sigma):
    mean = torch.lerp(a, b, 0.5)
    lost = ((a - mean) ** 2 / (2 * sigma**2) + (b - mean) ** 2 / (2 * sigma**2)) / 2
    return lost.flatten(1).sum(1)


def blur_by_kl(a, b, sigma):
    """The KL of two Gaussians that are equally wide."""
    return kl_divergence(Normal(a, sigma), Normal((a + b) / 2, sigma)).flatten(1).sum(-1)


def blur_by_loop(a, b, sigma):
    nats = []
    for one, other in zip(a, b, strict=True):
        nats.append(torch.linalg.vector_norm((one - other) / (2 * sigma)) ** 2 / 2)
    return torch.stack(nats)


def blur_by_einsum(a, b, sigma):
    d = a - b
    return torch.einsum("nchw,nchw->n", d, d) / (8 * sigma**2)


class Blur(nn.Module):
    def forward(self, a, b, sigma):
        each = F.mse_loss(a, b, reduction="none").double().view(len(a), -1)  # (N, C H W)
        return (each.sum(-1) * 0.125 / sigma**2).to(a.dtype)


def _squares(a, b, sigma, share):
    return torch.cdist(a.flatten(1)[:, None], b.flatten(1)[:, None]).flatten().square() * share / sigma**2


blur_by_partial = functools.partial(_squares, share=1 / 8)


def nats_by_loop(real, made):
    total = 0
    for f, g in zip(real, made, strict=True):
        total = total + f[0].numel() / 2 * torch.log(F.mse_loss(g, f))
    return total


def nats_by_roots(real, made):
    """(n / 2) log(mse) is n log of its root."""
    parts = []
    for k in range(len(real)):
        rms = ((made[k] - real[k].detach()) ** 2).mean().sqrt()
        parts.append(math.prod(real[k].shape[1:]) * rms.log())
    return torch.stack(parts).sum()


def nats_with_a_floor(real, made):
    pairs = zip(real, made, strict=True)
    return sum(g[0].numel() / 2 * (g - f).square().mean().clamp_min(1e-12).log() for f, g in pairs)


def nats_with_an_epsilon(real, made):
    return sum(g[0].numel() / 2 * ((g - f).square().mean() + 1e-12).log() for f, g in zip(real, made, strict=True))


def nats_by_densities(real, made):
    nats = []
    for f, g in zip(real, made, strict=True):
        s = (f - g).flatten().square().mean().sqrt()  # the most likely
        n = f.numel() / len(f)
        nats.append(-Normal(g, s).log_prob(f).flatten(1).sum(1).mean() - n / 2 * (math.log(2 * math.pi) + 1))
    return sum(nats)


class Nats(nn.Module):
    def forward(self, real, made):
        with torch.no_grad():
            fixed = [f.flatten(1) for f in real]
        errors = torch.stack([torch.einsum("nd,nd->", d, d) / d.numel() for d in self.differences(fixed, made)])
        sizes = torch.tensor([f.shape[1] for f in fixed]).to(errors)
        return 0.5 * sizes @ errors.log()

    def differences(self, real, made):
        return [g.flatten(1) - f for f, g in zip(real, made, strict=True)]


def _nats(real, made, half):
    return torch.stack(list(map(lambda f, g: half * f[0].numel() * (f - g).pow(2).mean().log(), real, made))).sum()


nats_by_partial = functools.partial(_nats, half=0.5)


def hinge_by_relu(critic, x, x_hat):
    return F.relu(1 - critic(x)).mean() + F.relu(1 + critic(x_hat.detach())).mean()


def hinge_by_clamp(critic, x, x_hat):
    with torch.no_grad():
        made = x_hat.clone()
    return ((1 - critic(x)).clamp(min=0) + (1 + critic(made)).clamp(min=0)).mean()


def hinge_in_one_call(critic, x, x_hat):
    d_real, d_made = critic(torch.cat([x, x_hat.detach()])).chunk(2)
    return torch.mean(torch.maximum(1 - d_real, torch.zeros_like(d_real)) + d_made.add(1).relu())


def hinge_by_margins(critic, x, x_hat):
    target = torch.ones_like(critic(x))
    real = F.hinge_embedding_loss(critic(x.detach()), -target, margin=1.0)
    return real + F.margin_ranking_loss(torch.zeros_like(target), critic(x_hat.data), target, margin=1.0)


def hinge_by_loop(critic, x, x_hat):
    losses = []
    for real, made in zip(x, x_hat.detach(), strict=True):
        d, d_hat = critic(real[None]).flatten(), critic(made[None]).flatten()
        losses.append(torch.where(d < 1, 1 - d, 0).mean() + torch.where(d_hat > -1, 1 + d_hat, 0).mean())
    return torch.stack(losses).mean()


class Hinge(nn.Module):
    def forward(self, critic, x, x_hat):
        logits = torch.stack([-critic(x), critic(x_hat.detach())])
        return 2 * (1 + logits).relu().mean()


def logit_by_stack(x, real, made):
    return torch.stack([made.log_prob(x), real.log_prob(x)]).diff(dim=0)[0]


def logit_by_odds(x, real, made):
    """log of sigmoid(d) / sigmoid(-d), with p / (p + q) for sigmoid(d)."""
    both = torch.logaddexp(real.log_prob(x), made.log_prob(x))
    return (real.log_prob(x) - both) - (made.log_prob(x) - both)


def logit_one_by_one(x, real, made):
    return torch.stack([real.log_prob(one) - made.log_prob(one) for one in x])


class Logit(nn.Module):
    def forward(self, x, real, made):
        with torch.no_grad():
            return real.log_prob(x).double().sub(made.log_prob(x).double()).to(x.dtype)


def logit_by_sum(x, real, made):
    return sum(sign * p.log_prob(x) for sign, p in ((1, real), (-1, made)))


def logit_by_einsum(x, real, made):
    logs = torch.stack([real.log_prob(x), made.log_prob(x)])
    return torch.einsum("k...,k->...", logs, torch.tensor([1.0, -1.0]).to(logs))


def disbelief_by_mean(critic, x_hat):
    return -critic(x_hat).mean()


def disbelief_by_sums(critic, x_hat):
    d = critic(x_hat)
    return d.neg().sum() / d.numel()


def disbelief_frozen(critic, x_hat):
    """The critic's weights are frozen while it judges, and given back as they were."""
    weights = [w for w in critic.parameters() if w.requires_grad]
    for w in weights:
        w.requires_grad_(False)
    loss = critic(x_hat).mean().neg()
    for w in weights:
        w.requires_grad_(True)
    return loss


def disbelief_by_functional_call(critic, x_hat):
    weights = {name: w.detach() for name, w in critic.named_parameters()}
    return torch.func.functional_call(critic, weights, x_hat).flatten(1).mean(1).mean(0) * -1


class Disbelief(nn.Module):
    def forward(self, critic, x_hat):
        return torch.stack([-critic(one.unsqueeze(0)).mean() for one in x_hat]).mean()


ACCEPTED = {
    "08.1": [
        blur_by_densities,
        blur_by_both_pictures,
        blur_by_kl,
        blur_by_loop,
        blur_by_einsum,
        Blur(),
        blur_by_partial,
    ],
    "08.2": [
        nats_by_loop,
        nats_by_roots,
        nats_with_a_floor,
        nats_with_an_epsilon,
        nats_by_densities,
        Nats(),
        nats_by_partial,
    ],
    "08.4": [hinge_by_relu, hinge_by_clamp, hinge_in_one_call, hinge_by_margins, hinge_by_loop, Hinge()],
    "08.3": [logit_by_stack, logit_by_odds, logit_one_by_one, Logit(), logit_by_sum, logit_by_einsum],
    "08.5": [disbelief_by_mean, disbelief_by_sums, disbelief_frozen, disbelief_by_functional_call, Disbelief()],
    "08.6": [3.01, 3, 3.0103, 3.05, 2.97, np.float64(3.0103), torch.tensor(3.01), -10 * math.log10(0.5)],
}
