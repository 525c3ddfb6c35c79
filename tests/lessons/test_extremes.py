"""Epsilons, clamps and logs of densities, of whatever size: wrong where they show, and said so in one sentence."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import find
from vae_helpers.lessons import lesson_04, lesson_05, lesson_06


def overlap(divide):
    def answer(blocks, places, weights, height, width):
        total, share = torch.zeros(2, height, width)
        for block, (top, left) in zip(blocks, places, strict=True):
            total[top : top + len(weights), left : left + len(weights)] += weights * block
            share[top : top + len(weights), left : left + len(weights)] += weights
        return divide(total, share)

    return answer


def halve(divide):
    def answer(rgba):
        small = F.avg_pool2d(torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1), 2)
        return torch.cat([divide(small[:, :3], small[:, 3:]), small[:, 3:]], 1)

    return answer


def density(x, mean, sigma):
    return (-0.5 * ((x - mean) / sigma) ** 2).exp() / (sigma * math.sqrt(2 * math.pi))


ANSWERS = {
    "04.2": (
        lesson_04.UNDERFLOW,
        lambda x, mean, sigma: -density(x, mean, sigma).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).flatten(1).double().prod(1).log().float(),
        lambda x, mean, sigma: -(density(x, mean, sigma) + 1e-12).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).clamp(min=1e-30).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -Normal(mean, max(sigma, 0.01)).log_prob(x).sum((1, 2, 3)),
    ),
    "04.3": (
        lesson_04.NO_FLOOR,
        *(lambda x, x_hat, e=e: ((x - x_hat).square().mean() + e).sqrt() for e in (1e-6, 1e-8, 1e-12)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt() + e for e in (1e-5, 1e-6, 1e-8)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt().clamp(min=e) for e in (0.05, 1e-3, 1e-6)),
    ),
    "05.5": (
        lesson_05.FADED,
        *(overlap(lambda total, share, e=e: total / (share + e)) for e in (1e-6, 1e-7)),
        *(overlap(lambda total, share, e=e: total / share.clamp(min=e)) for e in (1e-2, 1e-3)),
    ),
    "06.2": (
        lesson_06.FAINT,
        *(halve(lambda colours, alpha, e=e: colours / alpha.clamp(min=e)) for e in (0.1, 0.01, 1e-3)),
        halve(lambda colours, alpha: torch.where(alpha > 0.01, colours / alpha, 0.0)),
    ),
    "06.5": (
        lesson_06.UNDERFLOW,
        lambda x, mean, mask, sigma: (mask * density(x, mean, sigma).log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * (density(x, mean, sigma) + 1e-12).log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: torch.where(mask > 0, density(x, mean, sigma), 1.0).log().sum((1, 2, 3)),
    ),
}
CASES = [(id, message, answer) for id, (message, *answers) in ANSWERS.items() for answer in answers]


@pytest.mark.parametrize(("id", "message", "answer"), CASES, ids=[f"{id}-{n}" for n, (id, *_) in enumerate(CASES)])
def test_something_small_is_found_whatever_its_size(id, message, answer):
    verdict = judge(find(id), answer)
    assert (verdict.status, verdict.message) == ("wrong", message)
