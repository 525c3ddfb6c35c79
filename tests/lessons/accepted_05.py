"""Other right answers to the exercises of notebook 05, in other styles."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, MixtureSameFamily, Normal


def errors_as_tensors(x, sigma, photons, share):
    white, black = (x - 1).square().mean(), x.square().mean()
    return torch.tensor(sigma**2), x.mean() / photons, share / 2 * (white + black)


def errors_by_numpy(x, sigma, photons, share):
    x = x.numpy()
    counts = photons * x  # mean and variance of the counts
    lost = 0.5 * (1 - x) ** 2 + 0.5 * x**2
    return [sigma * sigma, np.mean(counts / photons**2), share * lost.mean()]


def errors_by_algebra(x, sigma, photons, share):
    return sigma**2, float(x.mean()) / photons, share * (0.5 - float(x.mean()) + float((x * x).mean()))


def mean_by_distributions(y, sigma, weights, means, deviations):
    spread = (deviations.square() + sigma**2).sqrt()
    shares = weights * Normal(means, spread).log_prob(y[:, None]).exp()
    shares = shares / shares.sum(1, keepdim=True)
    precision = 1 / deviations**2 + 1 / sigma**2
    each = (means / deviations**2 + y[:, None] / sigma**2) / precision
    return torch.einsum("nk,nk->n", shares, each)


def mean_by_tweedie(y, sigma, weights, means, deviations):
    mixture = MixtureSameFamily(Categorical(weights), Normal(means, torch.hypot(deviations, torch.tensor(sigma))))
    with torch.enable_grad():
        at = y.detach().clone().requires_grad_()
        (score,) = torch.autograd.grad(mixture.log_prob(at).sum(), at)
    return y + sigma**2 * score


def mean_by_loop(y, sigma, weights, means, deviations):
    top, bottom = torch.zeros_like(y), torch.zeros_like(y)
    for w, m, s in zip(weights.tolist(), means.tolist(), deviations.tolist(), strict=True):
        v = s * s + sigma * sigma
        likelihood = w * torch.exp(-((y - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        top += likelihood * (m * sigma**2 + y * s**2) / v
        bottom += likelihood
    return top / bottom


def sigma_by_convolution(y):
    mask = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=y.dtype)[None, None]
    n, channels = y.shape[:2]
    response = F.conv2d(y.reshape(n * channels, 1, *y.shape[2:]), mask).reshape(n, -1)
    return torch.median(response.abs(), dim=1)[0] / 6 / 0.674490


def sigma_by_diff(y):
    second = torch.diff(torch.diff(y, n=2, dim=-1), n=2, dim=-2)
    return second.flatten(1).abs().median(dim=-1).values / (0.6745 * math.sqrt(36))


def sigma_by_quantile(y):  # the mean of the two middle values where there are two: here there are none
    second = torch.diff(torch.diff(y, n=2, dim=-1), n=2, dim=-2)
    return torch.quantile(second.flatten(1).abs(), 0.5, dim=1) / (0.6745 * 6)


def energy_by_distributions(y, decoded, z, sigma, sigma_model):
    deviation = math.sqrt(sigma**2 + sigma_model**2)
    pixels = Normal(decoded, deviation).log_prob(y).flatten(1).sum(-1)
    codes = Normal(0.0, 1.0).log_prob(z).sum(-1)
    constants = y[0].numel() * math.log(deviation * math.sqrt(2 * math.pi)) + z[0].numel() * math.log(2 * math.pi) / 2
    return -(pixels + codes) - constants


def energy_by_einsum(y, decoded, z, sigma, sigma_model):
    r = (y - decoded) / (sigma * sigma + sigma_model * sigma_model) ** 0.5
    return 0.5 * (torch.einsum("nchw,nchw->n", r, r) + torch.einsum("nd,nd->n", z, z))


def energy_by_loop(y, decoded, z, sigma, sigma_model):
    v = sigma_model**2 + sigma**2
    return torch.stack(
        [((a - b) ** 2).sum() / (2 * v) + (c**2).sum() / 2 for a, b, c in zip(y, decoded, z, strict=True)]
    )


def overlap_by_fold(blocks, places, weights, height, width):
    total = blocks.new_zeros(height, width)
    share = torch.zeros_like(total)
    for block, place in zip(blocks, places, strict=True):
        rows = torch.arange(len(weights))[:, None] + place[0]
        columns = torch.arange(len(weights)) + place[1]
        total[rows, columns] = total[rows, columns] + block * weights
        share[rows, columns] = share[rows, columns] + weights
    return total.div(share)


def overlap_by_padding(blocks, places, weights, height, width):
    size = weights.shape[0]
    pads = [(left, width - size - left, top, height - size - top) for top, left in places]
    layers = torch.stack([F.pad(block * weights, pad) for block, pad in zip(blocks, pads, strict=True)])
    masks = torch.stack([F.pad(weights, pad) for pad in pads])
    return layers.sum(0) / masks.sum(0)


def tweedie_by_backward(y, sigma, log_density):
    at = y.clone().detach()
    at.requires_grad = True
    log_density(at).sum().backward()
    return y + at.grad * sigma * sigma


def tweedie_by_func(y, sigma, log_density):
    return y + sigma**2 * torch.func.grad(lambda at: log_density(at).sum())(y)


def tweedie_by_differences(y, sigma, log_density):
    step = 1e-5
    return y + sigma**2 * (log_density(y + step) - log_density(y - step)) / (2 * step)


def clean_by_sum(loss, pixels, sigma):
    return (loss - pixels * sigma * sigma) / pixels


def clean_by_parts(loss, pixels, sigma):
    unpredictable = pixels * sigma**2
    return 1 / pixels * (loss - unpredictable)


ACCEPTED = {
    "05.1": [errors_as_tensors, errors_by_numpy, errors_by_algebra],
    "05.2": [mean_by_distributions, mean_by_tweedie, mean_by_loop],
    "05.3": [sigma_by_convolution, sigma_by_diff, sigma_by_quantile],
    "05.4": [energy_by_distributions, energy_by_einsum, energy_by_loop],
    "05.5": [overlap_by_fold, overlap_by_padding],
    "05.6": [tweedie_by_backward, tweedie_by_func, tweedie_by_differences],
    "05.7": [clean_by_sum, clean_by_parts],
}
