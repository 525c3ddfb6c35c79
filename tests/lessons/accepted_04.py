"""Other right answers to the exercises of notebook 04, in other styles."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal


def conv_measured(c_in, c_out, kernel, size, stride, padding):
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding)
    height = layer(torch.zeros(1, c_in, size, size)).shape[-1]
    return height, sum(p.numel() for p in layer.parameters()), layer.weight.numel() * height * height


def conv_by_walking(c_in, c_out, k, size, stride, padding):
    places = len(range(-padding, size + padding - k + 1, stride))
    weights = c_in * c_out * k * k
    return [places, weights + c_out, weights * places**2]


def conv_by_math_floor(c_in, c_out, kernel, size, stride, padding):
    side = math.floor((size + 2 * padding - kernel) / stride + 1)
    return torch.tensor(side), c_out * c_in * kernel**2 + c_out, float(c_out * c_in * kernel**2 * side**2)


def nll_by_distribution(x, mean, sigma):
    return -Normal(mean, sigma).log_prob(x).sum((1, 2, 3))


def nll_by_independent(x, mean, sigma):
    return -Independent(Normal(mean, torch.full_like(mean, sigma)), 3).log_prob(x)


def nll_by_vectors(x, mean, sigma):
    pixels = x[0].numel()
    error = torch.einsum("nchw,nchw->n", x - mean, x - mean)
    return error / (2 * sigma**2) + pixels / 2 * np.log(2 * np.pi * sigma**2)


def nll_by_torch_loss(x, mean, sigma):
    variance = torch.ones_like(x) * sigma**2
    return F.gaussian_nll_loss(mean, x, variance, full=True, reduction="none").flatten(1).sum(-1)


def nll_with_a_tensor_of_sigma(x, mean, sigma):
    sigma = torch.tensor(sigma)
    each = -0.5 * (x - mean) ** 2 / sigma**2 - sigma.log() - math.log(math.sqrt(2 * math.pi))
    return -each.view(len(x), -1).sum(dim=1)


def sigma_by_mse(x, x_hat):
    return torch.sqrt(F.mse_loss(x_hat, x))


def sigma_by_norm(x, x_hat):
    return torch.linalg.vector_norm(x - x_hat) / math.sqrt(x.numel())


def sigma_by_two_means(x, x_hat):
    return ((x_hat - x) ** 2).mean((1, 2, 3)).mean() ** 0.5


def units_as_a_tensor(mu, threshold=0.01):
    return (torch.var(mu, dim=0) > threshold).sum()


def units_by_loop(mu, threshold=0.01):
    count = 0
    for codes in mu.T:
        count += bool(((codes - codes.mean()) ** 2).mean() > threshold)
    return count


def units_by_numpy(mu, limit=0.01):
    return np.count_nonzero(np.var(mu.numpy(), axis=0) > limit)


def moments_by_cov(mu, log_var):
    return mu.mean(0), torch.cov(mu.T, correction=0) + log_var.exp().mean(0).diag()


def moments_by_einsum(mu, log_var):
    mean = torch.mean(mu, dim=0)
    second = torch.einsum("nd,ne->de", mu, mu) / len(mu) - torch.outer(mean, mean)
    return mean, second + torch.diag_embed(log_var.exp()).mean(0)


def moments_by_loop(mu, log_var):
    mean = sum(mu) / len(mu)
    covariance = torch.zeros(mu.shape[1], mu.shape[1], dtype=mu.dtype)
    for m, s in zip(mu, log_var, strict=True):
        covariance += (torch.outer(m - mean, m - mean) + torch.diag(torch.exp(s))) / len(mu)
    return [mean, covariance]


def moments_by_mixture(mu, log_var):
    parts = Independent(Normal(mu, (log_var / 2).exp()), 1)
    q = MixtureSameFamily(Categorical(torch.ones(len(mu), dtype=mu.dtype)), parts)
    covariance = (mu - q.mean).T @ (mu - q.mean) / mu.shape[0]
    return q.mean, covariance - torch.diag(covariance.diag()) + torch.diag(q.variance)


def bits_by_relu(kl, floor):
    return (floor + F.relu(kl.mean(0) - floor)).sum()


def bits_by_maximum(kl, floor):
    return torch.maximum(kl.mean(dim=0), torch.tensor(floor, dtype=kl.dtype)).sum()


def bits_by_where(kl, free):
    average = torch.einsum("nd->d", kl) / kl.shape[0]
    return torch.where(average > free, average, torch.full_like(average, free)).sum()


def bits_by_loop(kl, floor):
    return sum(nats.mean().clamp(floor) for nats in kl.T)


def nll_without_a_graph_to_the_pictures(x, mean, sigma):  # nobody learns pictures
    x = x.detach()
    return (0.5 * ((x - mean) / sigma).square() + math.log(sigma * math.sqrt(2 * math.pi))).reshape(len(x), -1).sum(1)


def sigma_in_double(x, x_hat):
    return (x - x_hat).double().square().mean().sqrt().float()


def moments_in_numpy(mu, log_var):
    covariance = np.cov(mu.numpy(), rowvar=False, bias=True) + np.diag(np.exp(log_var.numpy()).mean(0))
    return mu.mean(0), torch.from_numpy(covariance).to(mu)


def bits_by_stacking(kl, floor):
    return torch.stack([kl.mean(0), torch.full((kl.shape[1],), floor)]).amax(0).sum()


def split_by_broadcasting(mu, log_var, eps):
    sigma = torch.exp(log_var / 2)
    z = mu + sigma * eps
    table = -0.5 * (((z[:, None] - mu) / sigma) ** 2 + log_var + math.log(2 * math.pi)).sum(-1)
    log_q = torch.logsumexp(table, dim=1) - math.log(len(mu))
    log_p = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)
    return torch.diag(table) - log_q, log_q - log_p


def split_by_mixture(mu, log_var, eps):
    each = Independent(Normal(mu, (0.5 * log_var).exp()), 1)
    crowd = MixtureSameFamily(Categorical(torch.ones(len(mu))), each)
    z = mu + each.stddev * eps
    log_p = Independent(Normal(torch.zeros_like(mu), 1.0), 1).log_prob(z)
    return each.log_prob(z) - crowd.log_prob(z), crowd.log_prob(z) - log_p


def split_by_loop(mu, log_var, eps):
    told, mismatch = [], []
    for n in range(len(mu)):
        z = mu[n] + (log_var[n] / 2).exp() * eps[n]
        under = Normal(mu, (log_var / 2).exp()).log_prob(z).sum(1)
        log_q = under.logsumexp(0) - math.log(len(mu))
        told.append(under[n] - log_q)
        mismatch.append(log_q - Normal(0.0, 1.0).log_prob(z).sum())
    return torch.stack(told), torch.stack(mismatch)


def split_by_two_kls(mu, log_var, eps):
    z = mu + (log_var / 2).exp() * eps
    cost = 0.5 * (z.square() - eps.square() - log_var).sum(1)
    pairs = torch.stack([Normal(mu, (log_var / 2).exp()).log_prob(one).sum(1) for one in z])
    told = pairs.diag() - torch.log_softmax(pairs, 1).diag()  # log of the sum
    told = pairs.diag() - (told - math.log(len(mu)))
    return [told, cost - told]


def loss_in_steps(model, x):
    q = model.encode(x)
    p = model.decode(q.base_dist.loc)
    return p.log_prob(x).neg()


def loss_by_hand(model, x):
    x_hat = model.decode(model.encode(x).mean).mean
    sigma = model.likelihood.sigma
    each = 0.5 * ((x - x_hat) / sigma).square() + sigma.log() + 0.5 * math.log(2 * math.pi)
    return each.flatten(1).sum(1)


def loss_by_normal(model, x):
    x_hat = model.decode(model.encode(x).mean).mean
    return -Normal(x_hat, model.likelihood.sigma).log_prob(x).sum((1, 2, 3))


ACCEPTED = {
    "04.1": [conv_measured, conv_by_walking, conv_by_math_floor],
    "04.2": [
        nll_by_distribution,
        nll_by_independent,
        nll_by_vectors,
        nll_by_torch_loss,
        nll_with_a_tensor_of_sigma,
        nll_without_a_graph_to_the_pictures,
    ],
    "04.3": [sigma_by_mse, sigma_by_norm, sigma_by_two_means, sigma_in_double],
    "04.4": [units_as_a_tensor, units_by_loop, units_by_numpy],
    "04.5": [moments_by_cov, moments_by_einsum, moments_by_loop, moments_by_mixture, moments_in_numpy],
    "04.6": [bits_by_relu, bits_by_maximum, bits_by_where, bits_by_loop, bits_by_stacking],
    "04.7": [split_by_broadcasting, split_by_mixture, split_by_loop, split_by_two_kls],
    "04.8": [loss_in_steps, loss_by_hand, loss_by_normal],
}
