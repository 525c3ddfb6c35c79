"""Other right answers to the exercises of notebook 07, in other styles."""

import math

import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vae_helpers.distributions import GaussianFactor


def fuse_by_solving(means, covariances):
    eye = torch.eye(means.shape[-1]).to(means)
    precisions = [S.inverse() for S in covariances]
    shift = sum((P @ m.T).T for P, m in zip(precisions, means, strict=True))
    precision = sum(precisions) - (len(precisions) - 1) * eye
    return torch.linalg.solve(precision, shift.T).T, torch.linalg.inv(precision)


def fuse_one_by_one(means, covariances):
    eye = torch.eye(means.shape[-1], dtype=means.dtype)
    precision, shift = eye, torch.zeros_like(means[0])
    for m, S in zip(means, covariances, strict=True):
        P = torch.linalg.solve(S, eye)
        precision, shift = precision + P - eye, shift + m @ P
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return shift @ covariance, covariance


class FuseByLoops(nn.Module):
    def forward(self, means, covariances):
        views, count, dims = means.shape
        precision, shift = torch.eye(dims).to(means), torch.zeros(count, dims).to(means)
        for v in range(views):
            P = MultivariateNormal(means[v], covariances[v]).precision_matrix[0]
            precision = precision + P - torch.eye(dims)
            for n in range(count):
                shift[n] += P @ means[v, n]
        return [torch.linalg.lstsq(precision, shift.T).solution.T, torch.linalg.inv(precision)]


def coverage_by_quantiles(mean, sigma, truth, level):
    q = Normal(mean, sigma)
    low, high = q.icdf(torch.tensor((1 - level) / 2)), q.icdf(torch.tensor((1 + level) / 2))
    return ((low <= truth) & (truth <= high)).float().mean().item()


def coverage_by_probability(mean, sigma, truth, level):
    distance = ((truth - mean) / sigma).abs()
    return float((torch.erf(distance / math.sqrt(2)) < level).double().mean())


def coverage_by_cdf(mean, sigma, truth, level):
    rank = Normal(mean, sigma).cdf(truth)
    return ((rank > (1 - level) / 2) & (rank < (1 + level) / 2)).float().mean()


def diagonals_by_loop(covariance):
    precision = covariance.inverse()
    count = len(covariance)
    return (
        torch.stack([covariance[i, i] for i in range(count)]),
        torch.stack([1 / precision[i, i] for i in range(count)]),
    )


def diagonals_by_torch(covariance):
    return torch.diagonal(covariance).clone(), torch.linalg.inv(covariance).diag().reciprocal()


def diagonals_by_regression(covariance):
    left = []  # what the others leave open of each number
    for i in range(len(covariance)):
        rest = [j for j in range(len(covariance)) if j != i]
        b = covariance[rest, i]
        left.append(covariance[i, i] - b @ torch.linalg.solve(covariance[rest][:, rest], b))
    return torch.einsum("ii->i", covariance), torch.stack(left)


def matching_by_sample(model, x, seen):
    z = model.vae.encode(x).sample()
    return -model.encode(x, seen).log_prob(z)


def matching_by_detaching(model, x, seen):
    q = model.vae.encode(x)
    return -model.encode(x, seen).log_prob(q.rsample((1,)).detach())[0]


def matching_by_hand(model, x, seen):
    answer, q = model.encode(x, seen), model.vae.encode(x)
    z = (q.mean + q.stddev * torch.randn_like(q.mean)).detach()
    return answer.log_prob(z).neg()


def level_by_factors(mean, variance, shift, precision):
    p = Independent(Normal(mean, variance.sqrt()), 1)
    q = (GaussianFactor.of(p) * GaussianFactor(shift, precision)).normalised()
    return q.mean, q.variance, kl_divergence(q, p)


def level_by_gain(mean, variance, shift, precision):
    gain = 1 / (1 + variance * precision)  # how much of p's width is left
    m, v = gain * (mean + variance * shift), gain * variance
    kl = 0.5 * torch.sum(gain - 1 + torch.log1p(variance * precision) + (m - mean) ** 2 / variance, dim=1)
    return [m, v, kl]


def level_by_precisions(mean, variance, shift, precision):
    total = torch.reciprocal(variance) + precision
    m = (mean / variance + shift) / total
    each = (total.reciprocal() / variance) + (m - mean).pow(2) / variance - 1 + torch.log(total * variance)
    return m, total.reciprocal(), each.sum(1) / 2


def level_by_entropies(mean, variance, shift, precision):
    v = 1 / (1 / variance + precision)
    m = v * (mean / variance + shift)
    entropy = 0.5 * (1 + v.log()).sum(-1)
    cross = 0.5 * (variance.log() + (v + (m - mean) ** 2) / variance).sum(-1)
    return m, v, cross - entropy


def shares_by_loop(draws, q, p):
    rows = []
    for level in range(len(draws)):
        rows.append(q[level].log_prob(draws[level]) - p[level].log_prob(draws[level]))
    return torch.stack(rows, dim=0)


def shares_by_hand(draws, q, p):
    def log_density(z, at):
        return (-0.5 * ((z - at.mean) / at.stddev) ** 2 - at.stddev.log()).sum(-1)  # the constants cancel

    return torch.cat([(log_density(z, a) - log_density(z, b))[None] for z, a, b in zip(draws, q, p, strict=True)])


def shares_into_zeros(draws, q, p):
    out = torch.zeros(len(draws), len(draws[0]))
    for level, z in enumerate(draws):
        out[level] += q[level].log_prob(z)
        out[level] -= p[level].log_prob(z)
    return out


def redraw_by_recursion(levels, below, from_above, noise):
    if below == 0:
        return [*levels]
    level = below - 1
    p = from_above(level, levels[below] if below < len(levels) else None)
    drawn = [*levels[:level], torch.addcmul(p.mean, p.stddev, noise[level]), *levels[below:]]
    return redraw_by_recursion(drawn, level, from_above, noise)


def redraw_from_the_top(levels, below, from_above, noise):
    kept, parent = [], None
    for level in reversed(range(len(levels))):
        if level >= below:
            parent = levels[level]
        else:
            p = from_above(level, parent)
            parent = p.base_dist.loc + noise[level] * p.base_dist.scale
        kept.insert(0, parent)
    return kept


def redraw_into_a_tuple(levels, below, from_above, noise):
    new = [*levels, None]
    while below:
        below -= 1
        p = from_above(below, new[below + 1])
        new[below] = noise[below] * p.variance.sqrt() + p.mean
    return tuple(new[:-1])


ACCEPTED = {
    "07.1": [fuse_by_solving, fuse_one_by_one, FuseByLoops()],
    "07.2": [coverage_by_quantiles, coverage_by_probability, coverage_by_cdf],
    "07.3": [diagonals_by_loop, diagonals_by_torch, diagonals_by_regression],
    "07.4": [matching_by_sample, matching_by_detaching, matching_by_hand],
    "07.5": [level_by_factors, level_by_gain, level_by_precisions, level_by_entropies],
    "07.6": [shares_by_loop, shares_by_hand, shares_into_zeros],
    "07.7": [redraw_by_recursion, redraw_from_the_top, redraw_into_a_tuple],
}
