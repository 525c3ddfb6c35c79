"""The check of exercise 03.2: what is said of draws that are not those of N(mu, exp(log_var)), and how it is found."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from vae_helpers.exercises.definition import Exercise, Misconception
from vae_helpers.exercises.effects import blamed, effect, snapshot
from vae_helpers.exercises.isolation import seed_cpu

SHAPE = "it does not return one number for each entry of mu, in a tensor of the same shape"
NUMPY = (
    "NumPy's noise does not go together with tensors here: it comes in double precision, as float64, and knows nothing "
    "of gradients; torch.randn_like(mu) draws the same noise in mu's own type"
)
DTYPE = "its draws are not of the type of mu: a cell below that puts the two together would stop"
NO_NOISE = "it returns the mean itself: without noise there is nothing to average over"
FROZEN = "it gives the same draw at every call: the noise has to be fresh each time"
SHARED_ROWS = "all images share one draw of the noise: eps needs the whole shape of mu"
SHARED_COLUMNS = "all latent dimensions of an image share one number of noise: eps needs the whole shape of mu"
NO_GRAPH = "the draw has left the graph: no gradient reaches mu or log_var, as with a plain .sample()"
UNIFORM = "the noise is uniform, as torch.rand gives it: standard normal noise is asked for, torch.randn"
ONE_SIDED = (
    "the noise has one sign only: standard normal noise is below zero as often as above, so that mu is the mean of the "
    "draws"
)
VARIANCE = "it scales the noise by the variance: exp(log_var) is that, and its root is asked for"
LOG = "it scales the noise by log_var itself: a log is not a scale, and may be negative"
UNIT = "it does not scale the noise: every draw has a standard deviation of one"
MEAN = "the mean of the draws is not mu: shift after scaling, not before"
SPREAD = "the standard deviation of the draws is not the root of exp(log_var)"
CLAMPED = (
    "log_var is clamped, or an epsilon is added: at log_var = -12 or 12 the spread of the draws is no longer right"
)
NOT_NORMAL = (
    "mean and spread are right, but the noise is not normal (uniform? Laplace? plus or minus one?): eps ~ N(0, I)"
)
NOT_INDEPENDENT = (
    "the noise of a batch cancels exactly (pairs of eps and -eps, or noise that was standardised): every image needs a "
    "draw of its own, independent of the others'"
)
NO_GRADIENT_LOG_VAR = "no gradient reaches log_var: the encoder could never learn how uncertain it is"
NO_GRADIENT_MU = "no gradient reaches mu"
GRADIENT = "the draws are right, but their gradients are not those of mu + sigma eps"
_MU, _LOG_VAR = (-1.0, 0.5, 2.0, 0.0, 0.0), (-2.0, 0.3, 1.4, -12.0, 12.0)  # the last two are far out
_N = 5_000  # images


def check(answer: Callable, exercise: Exercise) -> None:
    """Raise Misconception if the answer, a function of mu and log_var, does not draw from N(mu, exp(log_var))."""
    _check_one_batch(answer)
    mu, log_var = (torch.tensor(row).repeat(_N, 1).requires_grad_() for row in (_MU, _LOG_VAR))
    seed_cpu(0)
    z, again = answer(mu, log_var), answer(mu, log_var)
    x, means, right = z.detach(), torch.tensor(_MU), torch.exp(0.5 * torch.tensor(_LOG_VAR))
    if not torch.isfinite(x).all():
        raise Misconception("some of the draws are NaN or infinite")
    if torch.allclose(x, mu.detach(), atol=1e-6):
        raise Misconception(NO_NOISE)
    if torch.equal(x, again.detach()):
        raise Misconception(FROZEN)
    if (x.std(0)[:3] < 1e-4).all():
        raise Misconception(SHARED_ROWS)
    if torch.corrcoef(x.T).fill_diagonal_(0).abs().max() > 0.1:
        raise Misconception(SHARED_COLUMNS)
    if not z.requires_grad:
        raise Misconception(NO_GRAPH)
    _check_uniform(x, right)
    if (x >= means).all() or (x <= means).all():
        raise Misconception(ONE_SIDED)
    _check_spread(x.std(0), right)
    if ((x.mean(0) - means).abs() > 6 * right / math.sqrt(_N)).any():
        raise Misconception(MEAN)
    check_noise((x - means) / right)
    by_mu, by_log_var = torch.autograd.grad(z.sum(), (mu, log_var), allow_unused=True)
    if by_log_var is None:
        raise Misconception(NO_GRADIENT_LOG_VAR)
    if by_mu is None:
        raise Misconception(NO_GRADIENT_MU)
    half = 0.5 * (x - means)
    if not (torch.allclose(by_mu, torch.ones_like(mu)) and torch.allclose(by_log_var, half, rtol=1e-4, atol=1e-4)):
        raise Misconception(GRADIENT)


def _check_one_batch(answer: Callable) -> None:
    """Types, shapes and arguments, at a batch so small that a mistake costs no memory."""
    for gradients in (False, True):
        mu, log_var = (torch.linspace(-1, 1, 21).reshape(7, 3).requires_grad_(gradients) for _ in range(2))
        before = [snapshot(mu), snapshot(log_var)]
        try:
            z = answer(mu, log_var)
        except Misconception as raised:
            raise Misconception(NUMPY) if "numpy" in str(raised.__cause__).lower() else raised from None
        if isinstance(z, np.ndarray):
            raise Misconception(NUMPY)
        if not isinstance(z, torch.Tensor) or z.shape != mu.shape or not z.is_floating_point():
            raise Misconception(SHAPE)
        for name, arg, old in (("mu", mu, before[0]), ("log_var", log_var, before[1])):
            if found := effect(arg, old):
                raise Misconception(blamed(name, found))
        if z.dtype != mu.dtype:
            raise Misconception(NUMPY if z.dtype == torch.float64 else DTYPE)


def _check_uniform(x: torch.Tensor, right: torch.Tensor) -> None:
    """Noise of torch.rand, or of 2 torch.rand - 1, has the spread of a flat density, and its fourth moment too."""
    spread = x.std(0)
    fourth = (((x - x.mean(0)) / spread)[:, :3] ** 4).mean()  # 9/5 for a uniform distribution, 3 for a Gaussian
    if (fourth - 1.8).abs() < 0.1 and any(_close(spread, right / math.sqrt(k)) for k in (3, 12)):
        raise Misconception(UNIFORM)


def _check_spread(spread: torch.Tensor, right: torch.Tensor) -> None:
    known = ((VARIANCE, right.square()), (LOG, torch.tensor(_LOG_VAR).abs()), (UNIT, torch.ones(5)))
    for message, wrong in known:
        if _close(spread, wrong):
            raise Misconception(message)
    if not _close(spread, right):
        raise Misconception(SPREAD)
    if not _close(spread, right, 5):
        raise Misconception(CLAMPED)


def _close(spread: torch.Tensor, wanted: torch.Tensor, first: int = 3) -> bool:
    return torch.allclose(spread[:first], wanted[:first], rtol=0.06, atol=0.0)


def check_noise(eps: torch.Tensor) -> None:
    """Is it standard normal, and independent from row to row? eps (N, D); a right answer fails once in a million."""
    if (eps.mean(0).abs() * math.sqrt(len(eps)) < 0.01).sum() > 2:
        raise Misconception(NOT_INDEPENDENT)
    ordered = eps.flatten().double().sort().values
    steps = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    distance = (torch.special.ndtr(ordered) - steps).abs().max()  # Kolmogorov and Smirnov's
    heavy_tails = (ordered**4).mean() / (ordered**2).mean() ** 2 - 3  # 0 for a Gaussian
    if distance * math.sqrt(len(ordered)) > 2.7 or abs(heavy_tails) > 0.25:
        raise Misconception(NOT_NORMAL)
