"""Epsilons, clamps and logs of densities, of whatever size: wrong where they show, and said so in one sentence."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from vae_helpers.exercises.definition import Misconception
from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import find
from vae_helpers.lessons import lesson_04, lesson_05, lesson_06
from vae_helpers.lessons.extremes import compares_also_at


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
        *(lambda x, x_hat, e=e: ((x - x_hat).square().mean() + e).sqrt() for e in (1e-5, 1e-8, 1e-12)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt() + e for e in (1e-4, 1e-6, 1e-8)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt().clamp(min=e) for e in (0.05, 1e-3, 1e-6)),
    ),
    "05.5": (
        lesson_05.FADED,
        *(overlap(lambda total, share, e=e: total / (share + e)) for e in (1e-5, 1e-6)),
        *(overlap(lambda total, share, e=e: total / share.clamp(min=e)) for e in (1e-3, 1e-4)),
    ),
    "06.2": (
        lesson_06.FAINT,
        *(halve(lambda colours, alpha, e=e: colours / (alpha + e)) for e in (1e-3, 1e-4, 1e-5)),
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


def test_what_is_wrong_elsewhere_gets_its_own_message():
    task = find("04.3")
    verdict = judge(task, lambda x, x_hat: ((x - x_hat).square().mean() + 1e-8).item() ** 0.5)
    assert "is a number (float) where a tensor of shape () is asked for" in verdict.message
    verdict = judge(task, lambda x, x_hat: 0.3 * (x - x_hat).square().mean().sqrt())
    assert "where" in verdict.message and "something small" not in verdict.message
    verdict = judge(find("04.2"), lambda x, mean, sigma: -Normal(mean.detach(), sigma).log_prob(x).sum((1, 2, 3)))
    assert verdict.message == "its values are right, but no gradient reaches `mean`"


def test_both_looks_are_taken():
    check = compares_also_at(lambda: [(torch.ones(3),)], "an epsilon", ordinary=lambda: [(torch.full((3,), 0.3),)])
    task = SimpleNamespace(reference=lambda x: x + 0, wrong=())
    check(torch.clone, task)
    for answer, said in (
        (lambda x: x.clamp(max=0.5), "an epsilon"),  # wrong at the extreme only
        (lambda x: torch.where(x < 0.5, x + 1e-4, x), "an epsilon"),  # nearly right, and not exactly
        (lambda x: x.clamp(min=0.5), r"0\.2 too large everywhere"),  # wrong at the ordinary only
    ):
        with pytest.raises(Misconception, match=said):
            check(answer, task)
