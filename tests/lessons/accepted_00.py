"""Other right answers to the exercises of notebook 00, in other styles."""

import math

import torch
from torch.distributions import Normal

from vae_helpers import to_float


def floats_by_true_division(images):
    return torch.true_divide(images, 255)


def floats_by_scaling(images):
    return images.to(torch.float32).mul(1 / 255)


def square_by_distribution(mu, log_var):
    z = Normal(mu, (0.5 * log_var).exp())
    return z.variance + z.mean.square()


def square_by_standard_deviation(mu, log_var):
    sigma = torch.exp(log_var / 2)
    return mu * mu + sigma * sigma


def gap_by_logsumexp(w):
    log_w = w.log()
    return torch.logsumexp(log_w, 0) - math.log(len(w)) - log_w.mean()


def gap_by_ratio(w):
    return -torch.log(w / w.mean()).mean()


def slope_by_steps(w, z, x):
    a = w * z
    p = 1 / (1 + torch.exp(-a))
    return (2 * p - 2 * x) * torch.exp(-a) * p.square() * z


def slope_by_reflection(w, z, x):
    outer = 2.0 * (torch.sigmoid(w * z) - x)
    return outer * torch.sigmoid(w * z) * torch.sigmoid(-w * z) * z


ACCEPTED = {
    "00.1": [floats_by_true_division, floats_by_scaling, to_float],
    "00.2": [square_by_distribution, square_by_standard_deviation],
    "00.3": [
        Normal(0.5, 0.1).log_prob(torch.full((64,), 0.5)).sum(),
        -32 * math.log(2 * math.pi * 0.01),
        88.55,
    ],
    "00.4": [gap_by_logsumexp, gap_by_ratio],
    "00.5": [slope_by_steps, slope_by_reflection],
}
