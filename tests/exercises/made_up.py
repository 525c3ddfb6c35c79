"""A lesson 99 with two small exercises, for the tests of the machinery: importing this file makes it known.

It can be imported in a notebook too, from this folder.
"""

import sys

import torch

from vae_helpers.exercises import Exercise, Wrong, close_to, compares


def gaussian_kl(mu, log_var):
    """KL(N(mu, exp(log_var)) || N(0, 1)) summed over latents: (N, D), (N, D) -> (N,)."""
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)


def probes():
    draw = torch.Generator().manual_seed(0)
    return [tuple(torch.randn(shape, generator=draw) for _ in range(2)) for shape in ((4, 3), (2, 5))]


WRONG_KL = (
    Wrong("it is the mean over the latents where the sum is asked for", lambda m, v: gaussian_kl(m, v) / m.shape[-1]),
    Wrong("it reads log_var as a log standard deviation", lambda m, v: gaussian_kl(m, 2 * v)),
    Wrong("the one half in front is missing", lambda m, v: 2 * gaussian_kl(m, v)),
    Wrong("it leaves the graph, so nothing can be learned from it", lambda m, v: gaussian_kl(m, v).detach()),
    Wrong("it changes mu in place", lambda m, v: gaussian_kl(m.mul_(2), v)),
    Wrong("it calls numpy on a tensor that needs gradients", lambda m, v: torch.tensor(m.numpy())),
)


def dice_mean():
    """The expectation of a die."""
    return sum(range(1, 7)) / 6


WRONG_DICE = (
    Wrong("it is the middle face, not the mean", 3.0),
    Wrong("it is the sum of the faces: divide by their number", 21),
    Wrong("it divides by five", 4.2),
    Wrong("it is the variance", 35 / 12),
    Wrong("it is the largest face", 6),
)

EXERCISES = (
    Exercise(
        id="99.1",
        title="The KL of two Gaussians",
        reference=gaussian_kl,
        hints=("Which sum?", "KL = 1/2 sum(mu^2 + sigma^2 - 1 - log sigma^2)", "0.5 * (...).sum(-1)\nwith one more"),
        check=compares(probes, gradients=True),
        wrong=WRONG_KL,
    ),
    Exercise(
        id="99.2",
        title="The mean of a die",
        reference=dice_mean,
        hints=("Six faces.", "E[x] = sum of x p(x)", "sum(range(1, 7)) / 6"),
        check=close_to(tolerance=0.01),
        wrong=WRONG_DICE,
        kind="value",
    ),
)

sys.modules["vae_helpers.lessons.lesson_99"] = sys.modules[__name__]
