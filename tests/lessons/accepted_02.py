"""Other right answers to the exercises of notebook 02, in other styles."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence


def gaussian_by_distribution(x, mu, log_var):
    return Normal(mu, torch.exp(0.5 * log_var)).log_prob(x).sum(-1)


def gaussian_by_standardising(x, mu, log_var):
    sigma = (log_var / 2).exp()
    t = (x - mu) / sigma
    return torch.sum(-(t**2) / 2 - torch.log(sigma * math.sqrt(2 * math.pi)), dim=-1)


def gaussian_with_x_as_numbers(x, mu, log_var):
    x = torch.from_numpy(x.numpy())
    return -(F.gaussian_nll_loss(*torch.broadcast_tensors(mu, x), torch.exp(log_var).expand_as(x - mu), eps=0.0,
                                 full=True, reduction="none")).sum(-1)  # fmt: skip


def gaussian_by_matrix(x, mu, log_var):
    return MultivariateNormal(mu, scale_tril=torch.diag_embed(torch.exp(log_var / 2))).log_prob(x)


def kl_by_distribution(mu, log_var):
    return kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(-1)


def kl_by_expm1(mean, logvar):
    return (mean * mean + torch.expm1(logvar) - logvar).sum(dim=1) / 2


def kl_by_loop(mu, log_var):
    total = torch.zeros_like(mu[:, 0])
    for m, v in zip(mu.T, log_var.T, strict=True):
        total = total + (m**2 + v.exp() - v - 1) / 2
    return total


def posterior_by_cholesky(x, W, b, sigma):
    L = torch.linalg.cholesky(W.T @ W + sigma.square() * torch.eye(W.shape[1]))
    M_inverse = torch.cholesky_inverse(L)
    return torch.einsum("ij,pj,np->ni", M_inverse, W, x - b), sigma.square() * M_inverse


def posterior_by_inverse(x, W, b, sigma):
    precision = torch.eye(W.size(1)).to(W) + W.T @ W / sigma**2
    covariance = precision.inverse()
    return (x - b) @ W @ covariance / sigma**2, covariance


def posterior_by_conditioning(x, W, b, sigma):
    C = W @ W.T + sigma**2 * torch.eye(len(W), dtype=W.dtype)
    gain = W.T @ torch.linalg.inv(C)
    return (x - b) @ gain.T, torch.eye(W.shape[1], dtype=W.dtype) - gain @ W


def elbo_by_distribution(x, logits, mu, log_var):
    q = Independent(Normal(mu, torch.exp(log_var / 2)), 1)
    kl = -q.entropy() + 0.5 * (mu**2 + log_var.exp() + math.log(2 * math.pi)).sum(
        -1
    )  # minus the entropy, plus E[-log p]
    return Bernoulli(logits=logits).log_prob(x).sum(-1).mean(0) - kl


def elbo_with_where(x, logits, mu, log_var):
    log_p = torch.where(x.bool(), F.logsigmoid(logits), F.logsigmoid(-logits))
    return log_p.sum(-1).mean(0) - kl_by_distribution(mu, log_var)


def elbo_by_loop(x, logits, mu, log_var):
    draws = [-F.binary_cross_entropy_with_logits(each, x, reduction="none").sum(1) for each in logits]
    return sum(draws) / len(draws) - kl_by_loop(mu, log_var)


def elbo_by_softplus(x, logits, mu, log_var):
    kl = 0.5 * torch.sum(mu**2 + torch.exp(log_var) - log_var - 1, 1)
    return torch.mean(torch.sum(x * logits - F.softplus(logits), 2) - kl, 0)


def log_mean_by_shift(log_w):
    top = log_w.max(0, keepdim=True).values.detach()
    return top.squeeze(0) + torch.log(torch.mean(torch.exp(log_w - top), 0))


def log_mean_of_numbers(log_w):
    top = log_w.detach().amax(0)
    return torch.from_numpy(np.log(np.exp((log_w - top).numpy()).mean(0)) + top.numpy())


def log_mean_by_logaddexp(log_w):
    total = log_w[0]
    for row in log_w[1:]:
        total = torch.logaddexp(total, row)
    return total - np.log(len(log_w))


def log_mean_inside(log_w):
    return torch.logsumexp(log_w - math.log(log_w.shape[0]), dim=0)


ACCEPTED = {
    "02.1": [gaussian_by_distribution, gaussian_by_matrix, gaussian_by_standardising, gaussian_with_x_as_numbers],
    "02.2": [14.04, 2 + 20 * math.log10(4), torch.tensor(14.0412), np.log10((4.0**20 - 1) * 100)],
    "02.3": [kl_by_distribution, kl_by_expm1, kl_by_loop],
    "02.4": [posterior_by_inverse, posterior_by_conditioning, posterior_by_cholesky],
    "02.5": [elbo_by_distribution, elbo_by_softplus, elbo_with_where, elbo_by_loop],
    "02.6": [log_mean_by_shift, log_mean_inside, log_mean_of_numbers, log_mean_by_logaddexp],
}
