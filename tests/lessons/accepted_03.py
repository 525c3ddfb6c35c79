"""Other right answers to the exercises of notebook 03, in other styles."""

import math

import torch
from torch.distributions import Normal


def surrogate_without_grad(f, log_q):
    with torch.no_grad():
        weights = f.clone()
    return torch.mean(weights * log_q)


def surrogate_by_dot_product(f_z, log_q):
    return (f_z.data @ log_q) / len(log_q)


def reparameterize_by_rsample(mu, log_var):
    return Normal(mu, log_var.exp().sqrt()).rsample()


def reparameterize_by_normal(mu, logvar):
    std = (logvar / 2).exp()
    eps = torch.normal(torch.zeros(mu.shape), torch.ones(mu.shape))
    return eps.mul(std).add(mu)


def pathwise_by_autograd(df, mu, log_var, eps):
    mu, log_var = mu.detach().requires_grad_(), log_var.detach().requires_grad_()
    z = mu + torch.exp(log_var / 2) * eps
    return torch.autograd.grad((df(z.detach()) * z).sum(), (mu, log_var))


def pathwise_by_steps(df, mu, log_var, eps):
    step = torch.exp(log_var).sqrt() * eps
    g = df(mu + step)
    return g, g * step / 2


def baseline_by_sums(f_z, score):
    weights = score**2
    return torch.sum(weights * f_z) / torch.sum(weights)


def baseline_by_weights(f_z, score):
    return (score * score / (score @ score)) @ f_z


def relaxed_by_exponentials(logits, gumbel, temperature):
    e = torch.exp((logits + gumbel) / temperature)
    return e / e.sum(-1, keepdim=True)


def relaxed_by_logsumexp(logits, g, tau):
    y = logits / tau + g / tau
    return torch.exp(y - torch.logsumexp(y, dim=-1, keepdim=True))


ACCEPTED = {
    "03.1": [surrogate_without_grad, surrogate_by_dot_product],
    "03.2": [reparameterize_by_rsample, reparameterize_by_normal],
    "03.3": [pathwise_by_autograd, pathwise_by_steps],
    "03.4": [1122, torch.tensor(1122.0), math.prod((66, 68)) / 4],
    "03.5": [baseline_by_sums, baseline_by_weights],
    "03.6": [relaxed_by_exponentials, relaxed_by_logsumexp],
}
