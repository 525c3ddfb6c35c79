"""Other right answers to the exercises of notebook 03, in other styles."""

import math

import numpy as np
import torch
from torch.distributions import Categorical, Normal


def surrogate_without_grad(f, log_q):
    with torch.no_grad():
        weights = f.clone()
    return torch.mean(weights * log_q)


def surrogate_by_dot_product(f_z, log_q):
    return (f_z.data @ log_q) / len(log_q)


def surrogate_of_value_zero(f_z, log_q):
    return (f_z.detach() * (log_q - log_q.detach())).mean()


def surrogate_by_ratio(f_z, log_q):
    return torch.mean(torch.exp(log_q - log_q.detach()) * f_z.detach())


def surrogate_with_a_constant(f_z, log_q):
    return torch.tensor(f_z.tolist(), dtype=log_q.dtype) @ log_q / len(f_z) + 7


def reparameterize_by_rsample(mu, log_var):
    return Normal(mu, log_var.exp().sqrt()).rsample()


def reparameterize_by_normal(mu, logvar):
    std = (logvar / 2).exp()
    eps = torch.normal(torch.zeros(mu.shape), torch.ones(mu.shape))
    return eps.mul(std).add(mu)


def reparameterize_by_numpy_noise(mu, log_var):
    eps = torch.tensor(np.random.standard_normal(mu.shape), dtype=mu.dtype)
    return torch.addcmul(mu, torch.sqrt(log_var.exp()), eps)


def reparameterize_by_rows(mu, log_var):
    return torch.stack([m + s * torch.randn(len(m)) for m, s in zip(mu, torch.exp(log_var / 2), strict=True)])


def reparameterize_by_box_muller(mu, log_var):
    u, v = 1 - torch.rand_like(mu), torch.rand_like(mu)
    return mu + (log_var / 2).exp() * torch.sqrt(-2 * u.log()) * torch.cos(2 * math.pi * v)


def pathwise_by_autograd(df, mu, log_var, eps):
    mu, log_var = (t.detach().expand_as(eps).clone().requires_grad_() for t in (mu, log_var))
    z = mu + torch.exp(log_var / 2) * eps
    return torch.autograd.grad((df(z.detach()) * z).sum(), (mu, log_var))


def pathwise_by_steps(df, mu, log_var, eps):
    step = torch.exp(log_var).sqrt() * eps
    g = df(mu + step)
    return g, g * step / 2


def pathwise_by_numpy(df, mu, log_var, eps):
    sigma = torch.from_numpy(np.asarray(np.exp(log_var.numpy() / 2)))
    slope = df(torch.addcmul(mu, sigma, eps))
    return [slope, 0.5 * slope * sigma * eps]


def baseline_by_sums(f_z, score):
    weights = score**2
    return torch.sum(weights * f_z) / torch.sum(weights)


def baseline_by_weights(f_z, score):
    return (score * score / (score @ score)) @ f_z


def baseline_by_numpy(f_z, score):
    return torch.tensor(np.average(f_z.numpy(), weights=score.numpy() ** 2))


def baseline_by_least_squares(f_z, score):
    return torch.linalg.lstsq(score[:, None], (f_z * score)[:, None]).solution.squeeze()


def relaxed_by_shift(logits, gumbel, temperature):
    noisy = logits + gumbel
    return torch.softmax((noisy - noisy.amax(-1, keepdim=True)) / temperature, dim=-1)


def relaxed_by_distribution(logits, gumbel, temperature):
    return Categorical(logits=(logits + torch.from_numpy(gumbel.numpy())) / temperature).probs


def relaxed_by_logsumexp(logits, g, tau):
    y = logits / tau + g / tau
    return torch.exp(y - torch.logsumexp(y, dim=-1, keepdim=True))


ACCEPTED = {
    "03.1": [
        surrogate_without_grad,
        surrogate_by_dot_product,
        surrogate_of_value_zero,
        surrogate_by_ratio,
        surrogate_with_a_constant,
    ],
    "03.2": [
        reparameterize_by_rsample,
        reparameterize_by_normal,
        reparameterize_by_numpy_noise,
        reparameterize_by_rows,
        reparameterize_by_box_muller,
    ],
    "03.3": [pathwise_by_autograd, pathwise_by_steps, pathwise_by_numpy],
    "03.4": [1122, torch.tensor(1122.0), math.prod((66, 68)) / 4, np.float64(1122)],
    "03.5": [baseline_by_sums, baseline_by_weights, baseline_by_numpy, baseline_by_least_squares],
    "03.6": [relaxed_by_logsumexp, relaxed_by_shift, relaxed_by_distribution],
}
