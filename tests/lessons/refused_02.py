"""Wrong answers to the exercises of notebook 02, written from the statements alone: each has to be refused."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal, kl_divergence

LOG_2_PI = math.log(2 * math.pi)


def each_log_prob(x, mu, log_var):
    return -0.5 * ((x - mu).square() / log_var.exp() + log_var + LOG_2_PI)


def gaussian_with(constant):
    return lambda x, mu, log_var: (-0.5 * ((x - mu).square() / log_var.exp() + log_var + constant)).sum(-1)


def density(x, mu, log_var):
    return torch.exp(-((x - mu) ** 2) / (2 * log_var.exp())) / torch.sqrt(2 * math.pi * log_var.exp())


def kl(mu, log_var):
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)


def posterior(x, W, b, sigma, jitter=0.0):
    M = W.T @ W + (sigma**2 + jitter) * torch.eye(W.shape[1]).to(W)
    return torch.linalg.solve(M, W.T @ (x - b).T).T, sigma**2 * torch.linalg.inv(M)


def posterior_with_sigma_throughout(x, W, b, sigma):
    M = W.T @ W + sigma * torch.eye(W.shape[1]).to(W)
    return torch.linalg.solve(M, W.T @ (x - b).T).T, sigma * torch.linalg.inv(M)


def elbo(log_px, mu, log_var):
    return log_px.sum(-1).mean(0) - kl(mu, log_var)


def white_and_black(x, p, floor=0.0):
    return x * torch.log(p + floor) + (1 - x) * torch.log(1 - p + floor)


REFUSED = {
    "02.1": [
        lambda x, mu, log_var: density(x, mu, log_var).log().sum(-1),
        lambda x, mu, log_var: density(x, mu, log_var).prod(-1).log(),
        lambda x, mu, log_var: (density(x, mu, log_var) + 1e-12).log().sum(-1),
        lambda x, mu, log_var: density(x, mu, log_var).clamp(min=1e-30).log().sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var.clamp(-5, 5)).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var.clamp(-10, 10)).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var.clamp(max=20)).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, (log_var.exp() + 1e-6).log()).sum(-1),
        lambda x, mu, log_var: (-0.5 * ((x - mu).square() / (log_var.exp() + 1e-3) + log_var + LOG_2_PI)).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).mean(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(0),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(-1, keepdim=True),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var),
        lambda x, mu, log_var: -each_log_prob(x, mu, log_var).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(-1).exp(),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(-1).detach(),
        lambda x, mu, log_var: each_log_prob(x, mu.detach(), log_var).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var.detach()).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(-1).float(),
        lambda x, mu, log_var: each_log_prob(x.float(), mu.float(), log_var.float()).sum(-1),
        lambda x, mu, log_var: each_log_prob(x.double(), mu, log_var).sum(-1),
        lambda x, mu, log_var: each_log_prob(x.float(), mu.float(), log_var.float()).sum(-1).to(mu),
        lambda x, mu, log_var: Normal(mu, log_var.exp()).log_prob(x).sum(-1),
        lambda x, mu, log_var: Normal(mu, log_var).log_prob(x).sum(-1),
        lambda x, mu, log_var: Normal(mu, (log_var / 2).exp()).log_prob(x),
        lambda x, mu, log_var: Normal(mu, (log_var / 2).exp()).log_prob(x).mean(-1),
        lambda x, mu, log_var: -F.gaussian_nll_loss(mu, x, log_var.exp(), reduction="none").sum(-1),
        lambda x, mu, log_var: (each_log_prob(x, mu, log_var) / math.log(2)).sum(-1),
        lambda x, mu, log_var: each_log_prob(x, mu, log_var).sum(-1) - 0.5 * LOG_2_PI,
        lambda x, mu, log_var: (-0.5 * ((x - mu).square() / log_var.exp() + log_var)).sum(-1) - 0.5 * LOG_2_PI,
    ],
    "02.2": [
        14,
        14.0,
        14.1,
        14.05,
        13.04,
        12.04,
        10.04,
        15.04,
        16.04,
        1.0995e14,
        32.33,
        3.78,
        11.54,
        9.54,
        12,
        40,
        2,
        100,
        torch.tensor([14.0412]),
        [14.04],
        "14.04",
        6.02,
        7.02,
        13.54,
        14.02,
        lambda: 14.0412,
    ],
    "02.3": [
        lambda mu, log_var: kl(mu, log_var.clamp(-5, 5)),
        lambda mu, log_var: kl(mu, log_var.clamp(-10, 10)),
        lambda mu, log_var: kl(mu, log_var.clamp(-20, 20)),
        lambda mu, log_var: kl(mu, (log_var.exp() + 1e-8).log()),
        lambda mu, log_var: kl(mu, log_var).clamp(min=0.5),
        lambda mu, log_var: kl(mu, log_var).sum(),
        lambda mu, log_var: kl(mu, log_var).mean(),
        lambda mu, log_var: kl(mu, log_var)[:, None],
        lambda mu, log_var: kl(mu, log_var) / mu.shape[-1],
        lambda mu, log_var: -kl(mu, log_var),
        lambda mu, log_var: 2 * kl(mu, log_var),
        lambda mu, log_var: kl(mu, 2 * log_var),
        lambda mu, log_var: kl(mu, log_var / 2),
        lambda mu, log_var: kl(mu, -log_var),
        lambda mu, log_var: 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(0),
        lambda mu, log_var: 0.5 * (mu.square() + log_var.exp() - 1 + log_var).sum(-1),
        lambda mu, log_var: 0.5 * (mu.square() + log_var.exp() + 1 - log_var).sum(-1),
        lambda mu, log_var: 0.5 * (mu.square() + log_var.exp() - log_var).sum(-1) - 1,
        lambda mu, log_var: 0.5 * (mu.square() + log_var.exp() - 1 - log_var),
        lambda mu, log_var: 0.5 * (mu + log_var.exp() - 1 - log_var).sum(-1),
        lambda mu, log_var: 0.5 * (mu.square() + log_var - 1 - log_var.log()).sum(-1),
        lambda mu, log_var: kl(mu, log_var).detach(),
        lambda mu, log_var: kl(mu.detach(), log_var),
        lambda mu, log_var: kl(mu, log_var.detach()),
        lambda mu, log_var: kl(mu, log_var).float(),
        lambda mu, log_var: kl(mu.float(), log_var.float()).to(mu),
        lambda mu, log_var: kl(mu, log_var).double(),
        lambda mu, log_var: kl(mu, log_var).tolist(),
        lambda mu, log_var: kl_divergence(Normal(mu, log_var.exp()), Normal(0.0, 1.0)).sum(-1),
        lambda mu, log_var: kl_divergence(Normal(0.0, 1.0), Normal(mu, (log_var / 2).exp())).sum(-1),
        lambda mu, log_var: (Normal(mu, (log_var / 2).exp()).log_prob(mu) - Normal(0.0, 1.0).log_prob(mu)).sum(-1),
    ],
    "02.4": [
        posterior_with_sigma_throughout,
        lambda x, W, b, sigma: posterior(x, W, b, sigma, jitter=1e-4),
        lambda x, W, b, sigma: posterior(x, W, b, sigma, jitter=1e-6),
        lambda x, W, b, sigma: posterior(x, W, b, sigma.sqrt()),
        lambda x, W, b, sigma: posterior(x, W, b, sigma**2),
        lambda x, W, b, sigma: posterior(x, W, b, torch.ones_like(sigma)),
        lambda x, W, b, sigma: posterior(x + b, W, b, sigma),
        lambda x, W, b, sigma: posterior(x - b, W, b, sigma),
        lambda x, W, b, sigma: posterior(x, W, x.mean(0), sigma),
        lambda x, W, b, sigma: posterior(x, W, b, sigma)[0],
        lambda x, W, b, sigma: posterior(x, W, b, sigma)[::-1],
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0].T, posterior(x, W, b, sigma)[1]),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0], posterior(x, W, b, sigma)[1].diagonal()),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0], posterior(x, W, b, sigma)[1].inverse()),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0], posterior(x, W, b, sigma)[1] / sigma),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0], torch.linalg.cholesky(posterior(x, W, b, sigma)[1])),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0], posterior(x, W, b, sigma)[1].expand(len(x), -1, -1)),
        lambda x, W, b, sigma: (posterior(x, W, b, sigma)[0] / sigma**2, posterior(x, W, b, sigma)[1]),
        lambda x, W, b, sigma: tuple(part.float() for part in posterior(x, W, b, sigma)),
        lambda x, W, b, sigma: posterior(x.float(), W.float(), b.float(), sigma.float()),
        lambda x, W, b, sigma: ((x - b) @ torch.linalg.pinv(W).T, sigma**2 * torch.linalg.inv(W.T @ W)),
        lambda x, W, b, sigma: (
            (x - b) @ W,
            sigma**2 * torch.linalg.inv(W.T @ W + sigma**2 * torch.eye(W.shape[1]).to(W)),
        ),
        lambda x, W, b, sigma: posterior(x.sub_(b), W, 0 * b, sigma),
    ],
    "02.5": [
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits), mu, log_var),
        lambda x, logits, mu, log_var: elbo(
            -F.binary_cross_entropy(logits, x.expand_as(logits), reduction="none"), mu, log_var
        ),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits.sigmoid()), mu, log_var),
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits.sigmoid(), 1e-8), mu, log_var),
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits.sigmoid(), 1e-3), mu, log_var),
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits.sigmoid().clamp(1e-3, 1 - 1e-3)), mu, log_var),
        lambda x, logits, mu, log_var: elbo(white_and_black(x, logits.sigmoid().clamp(1e-6, 1 - 1e-6)), mu, log_var),
        lambda x, logits, mu, log_var: elbo(
            torch.where(x == 1, logits.sigmoid().log(), (1 - logits.sigmoid()).log()), mu, log_var
        ),
        lambda x, logits, mu, log_var: elbo(
            -F.binary_cross_entropy(logits.sigmoid(), x.expand_as(logits), reduction="none"), mu, log_var
        ),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits.sigmoid()).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits.clamp(-10, 10)).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits.sigmoid()).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=-logits).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var.clamp(-5, 5)),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, 2 * log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var).mean(),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var).sum(),
        lambda x, logits, mu, log_var: -elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var).detach(),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits.detach()).log_prob(x), mu, log_var),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu.detach(), log_var.detach()),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var).double(),
        lambda x, logits, mu, log_var: elbo(Bernoulli(logits=logits).log_prob(x), mu, log_var).float(),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1) - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1)[0] - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits.mean(0)).log_prob(x).sum(-1) - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1).sum(0) - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).mean(-1).mean(0) - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).mean((0, -1)) - kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1).mean(0) + kl(mu, log_var),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1).mean(0),
        lambda x, logits, mu, log_var: (
            -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits)) - kl(mu, log_var)
        ),
        lambda x, logits, mu, log_var: (
            -F.mse_loss(logits.sigmoid(), x.expand_as(logits), reduction="none").sum(-1).mean(0) - kl(mu, log_var)
        ),
        lambda x, logits, mu, log_var: (
            torch.logsumexp(Bernoulli(logits=logits).log_prob(x).sum(-1), 0) - math.log(len(logits)) - kl(mu, log_var)
        ),
        lambda x, logits, mu, log_var: Bernoulli(logits=logits).log_prob(x).sum(-1).mean(0) - kl(mu, log_var).mean(),
    ],
    "02.6": [
        lambda log_w: log_w.exp().mean(0).log(),
        lambda log_w: log_w.mean(0) + (log_w - log_w.mean(0)).exp().mean(0).log(),
        lambda log_w: log_w.min(0).values + (log_w - log_w.min(0).values).exp().mean(0).log(),
        lambda log_w: log_w[0] + (log_w - log_w[0]).exp().mean(0).log(),
        lambda log_w: log_w[-1] + (log_w - log_w[-1]).exp().mean(0).log(),
        lambda log_w: log_w.median(0).values + (log_w - log_w.median(0).values).exp().mean(0).log(),
        lambda log_w: log_w.max() + (log_w - log_w.max()).exp().mean(0).log(),
        lambda log_w: log_w.max(0).values + (log_w - log_w.max(0).values).exp().mean(0).add(1e-3).log(),
        lambda log_w: log_w.clamp(-500, 500).exp().mean(0).log(),
        lambda log_w: (log_w.exp().mean(0) + 1e-12).log(),
        lambda log_w: log_w.mean(0),
        lambda log_w: log_w.min(0).values,
        lambda log_w: log_w.max(0).values,
        lambda log_w: log_w[0],
        lambda log_w: torch.logsumexp(log_w, 0),
        lambda log_w: torch.logsumexp(log_w, 0) / len(log_w),
        lambda log_w: torch.logsumexp(log_w, 0) - len(log_w),
        lambda log_w: torch.logsumexp(log_w, 0) - math.log(log_w.numel()),
        lambda log_w: torch.logsumexp(log_w, 0) - math.log(log_w.shape[-1]),
        lambda log_w: torch.logsumexp(log_w, 0) - math.log10(len(log_w)),
        lambda log_w: torch.logsumexp(log_w, -1) - math.log(log_w.shape[-1]),
        lambda log_w: torch.logsumexp(log_w, 0, keepdim=True) - math.log(len(log_w)),
        lambda log_w: torch.logsumexp(log_w.flatten(), 0) - math.log(log_w.numel()),
        lambda log_w: (torch.logsumexp(log_w, 0) - math.log(len(log_w))).squeeze(),
        lambda log_w: (torch.logsumexp(log_w, 0) - math.log(len(log_w))).mean(),
        lambda log_w: (torch.logsumexp(log_w, 0) - math.log(len(log_w))).float(),
        lambda log_w: (torch.logsumexp(log_w, 0) - math.log(len(log_w))).double(),
        lambda log_w: (torch.logsumexp(log_w, 0) - math.log(len(log_w))).exp(),
        lambda log_w: log_w.sub_(log_w.max(0).values).exp().mean(0).log() + log_w.max(0).values,
    ],
}

TOLD = {
    "02.1": [
        (gaussian_with(torch.log(torch.tensor(2 * math.pi))), "to float32"),
        (gaussian_with(torch.tensor(LOG_2_PI)), "to float32"),
        (gaussian_with(1.8379), "too few, typed or rounded"),
        (lambda x, mu, log_var: each_log_prob(x.float(), mu.float(), log_var.float()).sum(-1).to(mu), "to float32"),
    ],
    "02.3": [(lambda mu, log_var: kl(mu.float(), log_var.float()).to(mu), "to float32")],
}
