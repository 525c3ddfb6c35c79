"""Other right answers to the exercises of made_up.py."""

import torch
from torch.distributions import Normal, kl_divergence


def by_torch(mu, log_var):
    q = Normal(mu, (0.5 * log_var).exp())
    return kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(-1)


def by_loop(mu, log_var):
    total = torch.zeros(len(mu))
    for d in range(mu.shape[1]):
        total = total + (mu[:, d] ** 2 + torch.exp(log_var[:, d]) - log_var[:, d] - 1) / 2
    return total


ACCEPTED = {"99.1": [by_torch, by_loop], "99.2": [7 / 2, torch.tensor(3.5)]}
