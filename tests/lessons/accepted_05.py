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
    step, at = 1e-5, y.double()  # float32 has not the digits for it
    return (at + sigma**2 * (log_density(at + step) - log_density(at - step)) / (2 * step)).to(y.dtype)


def clean_by_sum(loss, pixels, sigma):
    return (loss - pixels * sigma * sigma) / pixels


def clean_by_parts(loss, pixels, sigma):
    unpredictable = pixels * sigma**2
    return 1 / pixels * (loss - unpredictable)


def sigma_by_a_plain_mask(y):
    mask = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    response = F.conv2d(y, mask.expand(y.shape[1], 1, 3, 3), groups=y.shape[1])
    return response.abs().flatten(1).median(1).values / (6 * 0.6745)


def sigma_by_windows(y):
    c = torch.tensor([1.0, -2.0, 1.0])
    windows = y.unfold(2, 3, 1).unfold(3, 3, 1)  # (N, C, H - 2, W - 2, 3, 3)
    d = torch.einsum("nchwab,a,b->nchw", windows, c, c)
    return 1.4826 * d.abs().reshape(len(y), -1).median(1).values / 6


def energy_without_a_graph_to_the_noisy(y, decoded, z, sigma, sigma_model):
    misses = (y.detach() - decoded).square().sum((1, 2, 3))
    return 0.5 * (misses / (sigma**2 + sigma_model**2) + z.square().sum(1))


def overlap_by_index(blocks, places, weights, height, width):
    size = len(weights)
    top, left = torch.tensor(places).T[:, :, None, None]
    index = ((top + torch.arange(size)[:, None]) * width + left + torch.arange(size)).flatten()
    total, share = torch.zeros(height * width), torch.zeros(height * width)
    total.index_add_(0, index, (weights * blocks).flatten())
    share.index_add_(0, index, weights.expand_as(blocks).flatten())
    return (total / share).view(height, width)


def overlap_with_a_harmless_epsilon(blocks, places, weights, height, width):
    total, share = torch.zeros(height, width), torch.full((height, width), 1e-8)
    for block, (top, left) in zip(blocks, places, strict=True):
        rows, columns = slice(top, top + len(weights)), slice(left, left + len(weights))
        total[rows, columns] += weights * block
        share[rows, columns] += weights
    return total / share


def tweedie_by_vjp(y, sigma, log_density):
    _, pull = torch.func.vjp(log_density, y)
    return y + sigma**2 * pull(torch.ones_like(y))[0]


def clean_as_a_float(loss, pixels, sigma):
    return float(loss) / pixels - sigma**2


def clean_as_a_tensor(loss, pixels, sigma):
    return torch.as_tensor(loss) / pixels - torch.tensor(sigma) ** 2


def code_by_autograd_grad(energy, start, steps, learning_rate):
    z = start.clone().detach().requires_grad_(True)
    adam = torch.optim.Adam(params=[z], lr=learning_rate)
    for _ in range(steps):
        (z.grad,) = torch.autograd.grad(energy(z).sum(), z)
        adam.step()
    return z.detach()


def code_by_a_parameter(energy, start, steps, learning_rate):
    z = torch.nn.Parameter(start.detach().clone())
    adam, left = torch.optim.Adam([z], learning_rate), steps
    while left:
        adam.zero_grad(set_to_none=False)
        energy(z).mean().backward()  # Adam does not care by how much the gradient is scaled
        adam.step()
        left -= 1
    return z.data


def code_by_func(energy, start, steps, learning_rate):
    z, downhill = start.detach().clone(), torch.func.grad(lambda z: energy(z).sum())
    adam = torch.optim.Adam([{"params": [z], "lr": learning_rate}])
    for _ in range(steps):
        z.grad = downhill(z)
        adam.step()
    return z


def code_by_our_own_adam(energy, start, steps, learning_rate):
    z, mean, square = start.detach().clone(), torch.zeros_like(start), torch.zeros_like(start)
    for t in range(1, steps + 1):
        at = z.clone().requires_grad_()
        (g,) = torch.autograd.grad(energy(at).sum(), at)
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        z = z - learning_rate * (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
    return z


def code_of_least_energy(energy, start, steps, learning_rate):
    """The best that was seen of each code: no higher than where the steps end."""
    z, best = start.detach().clone().requires_grad_(), start.detach().clone()
    optimiser, least = torch.optim.Adam([z], lr=learning_rate), torch.full((len(start),), math.inf)
    for step in range(steps + 1):
        now = energy(z)
        best = torch.where((now < least)[:, None], z, best).detach()
        least = torch.minimum(now, least).detach()
        if step < steps:
            optimiser.zero_grad()
            now.sum().backward()
            optimiser.step()
    return best


ACCEPTED = {
    "05.1": [errors_as_tensors, errors_by_numpy, errors_by_algebra],
    "05.2": [mean_by_distributions, mean_by_tweedie, mean_by_loop],
    "05.3": [
        sigma_by_convolution,
        sigma_by_diff,
        sigma_by_quantile,
        sigma_by_a_plain_mask,
        sigma_by_windows,
    ],
    "05.4": [energy_by_distributions, energy_by_einsum, energy_by_loop, energy_without_a_graph_to_the_noisy],
    "05.5": [overlap_by_fold, overlap_by_padding, overlap_by_index, overlap_with_a_harmless_epsilon],
    "05.6": [tweedie_by_backward, tweedie_by_func, tweedie_by_differences, tweedie_by_vjp],
    "05.7": [clean_by_sum, clean_by_parts, clean_as_a_float, clean_as_a_tensor],
    "05.8": [code_by_autograd_grad, code_by_a_parameter, code_by_func, code_of_least_energy, code_by_our_own_adam],
}
