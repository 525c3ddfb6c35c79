"""Other right answers to the exercises of notebook 07, in other styles."""

import math

import torch
from torch.distributions import Normal


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


def coverage_by_quantiles(mean, sigma, truth, level):
    q = Normal(mean, sigma)
    low, high = q.icdf(torch.tensor((1 - level) / 2)), q.icdf(torch.tensor((1 + level) / 2))
    return ((low <= truth) & (truth <= high)).float().mean().item()


def coverage_by_probability(mean, sigma, truth, level):
    distance = ((truth - mean) / sigma).abs()
    return float((torch.erf(distance / math.sqrt(2)) < level).double().mean())


def diagonals_by_loop(covariance):
    precision = covariance.inverse()
    count = len(covariance)
    return (
        torch.stack([covariance[i, i] for i in range(count)]),
        torch.stack([1 / precision[i, i] for i in range(count)]),
    )


def diagonals_by_torch(covariance):
    return torch.diagonal(covariance).clone(), torch.linalg.inv(covariance).diag().reciprocal()


def matching_by_sample(model, x, seen):
    z = model.vae.encode(x).sample()
    return -model.encode(x, seen).log_prob(z)


def matching_by_detaching(model, x, seen):
    q = model.vae.encode(x)
    return -model.encode(x, seen).log_prob(q.rsample((1,)).detach())[0]


ACCEPTED = {
    "07.1": [fuse_by_solving, fuse_one_by_one],
    "07.2": [coverage_by_quantiles, coverage_by_probability],
    "07.3": [diagonals_by_loop, diagonals_by_torch],
    "07.4": [matching_by_sample, matching_by_detaching],
}
