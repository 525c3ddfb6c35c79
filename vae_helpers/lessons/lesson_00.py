"""The exercises of notebook 00, start here: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import math

import torch

from vae_helpers.exercises.checks import close_to, compares
from vae_helpers.exercises.definition import Exercise, wrong_answers


def as_floats(images):
    """Stored images, uint8 (N, C, H, W), as float32 in [0, 1] of the same shape: 0 -> 0.0 and 255 -> 1.0."""
    return images.float() / 255  # (N, C, H, W), eq. (0.1)


def _image_probes():
    one = torch.Generator().manual_seed(1)
    # No white pixel in the second batch, so that dividing by the brightest one shows.
    return [
        (torch.randint(0, 256, (5, 1, 8, 8), generator=one, dtype=torch.uint8),),
        (torch.randint(0, 180, (2, 3, 4, 6), generator=one, dtype=torch.uint8),),
        (torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16),),
    ]


AS_FLOATS = Exercise(
    id="00.1",
    title="Stored images as numbers in [0, 1]",
    reference=as_floats,
    hints=(
        "Black is stored as 0 and white as 255. What must white be divided by to become exactly 1?",
        "x = stored / (the largest value a uint8 can hold)",
        "return images.float() / ...    # with the largest value that a uint8 can hold",
    ),
    check=compares(_image_probes),
    wrong=wrong_answers(
        "it divides by 256, the number of levels, where the highest level is 255: white would come out as 0.996, just "
        "short of 1",
        ("255", "256"),
        "it changes the type and not the scale: the values still run up to 255",
        (" / 255", ""),
        "it divides whole numbers, which throws every grey away: only full white is left",
        ("images.float() / 255", "(images // 255).float()"),
        "it divides by the brightest pixel of the batch, so the same picture gets other values in other company",
        ("255", "images.max()"),
        "it stretches each batch from its darkest to its brightest pixel: in other company a picture gets other values",
        ("images.float() / 255", "(images.float() - images.min()) / (images.max() - images.min())"),
        "it maps to [-1, 1], as some models want; in this course black is 0 and white is 1",
        ("255", "127.5 - 1"),
        "it turns black and white round: 0 is black",
        ("images", "1 - images"),
        "it moves the channels to the end: torch's layers want (N, C, H, W)",
        ("images.float() / 255", "(images.float() / 255).permute(0, 2, 3, 1)"),
    ),
)


def expected_square(mu, log_var):
    """E[z^2] for z ~ N(mu, exp(log_var)), elementwise: (N,), (N,) -> (N,)."""
    return mu**2 + torch.exp(log_var)  # eq. (0.3)


def _square_probes():
    one = torch.Generator().manual_seed(2)

    def randn(*shape):
        return torch.randn(shape, generator=one, dtype=torch.float64)

    return [(randn(6), randn(6)), (3 * randn(4), randn(4) - 2), (randn(3).float(), randn(3).float())]


def _far_variances():
    return [(torch.tensor([1.0, 0.0, 0.5, 2.0]), torch.tensor([25.0, -12.0, 12.0, 8.0]))]


_CLAMPED = "log_var is clamped, or an epsilon is added to the variance: equation (0.3) holds for every log_var as it is"

EXPECTED_SQUARE = Exercise(
    id="00.2",
    title="The expectation of a square",
    reference=expected_square,
    hints=(
        "The variance is the mean of z^2 minus the square of the mean of z. You know the variance and the mean.",
        "var = E[z^2] - mu^2, and var = exp(log_var)",
        "square_of_the_mean = mu**2\nvariance = ...    # from log_var\nreturn their sum",
    ),
    check=compares(_square_probes, harder=[(_CLAMPED, _far_variances)]),
    wrong=wrong_answers(
        _CLAMPED,
        ("torch.exp(log_var)", "torch.exp(log_var.clamp(-5, 5))"),
        "this is the square of the mean: the value of the function at the mean of z, not the mean of its values; the "
        "spread of z is missing",
        (" + torch.exp(log_var)", ""),
        "this is the variance: it would be the answer if mu were 0",
        ("mu**2 + ", ""),
        "it adds the log of the variance as if it were the variance: undo the log first",
        ("torch.exp(log_var)", "log_var"),
        "it reads log_var as the log of the standard deviation: exp(log_var) is already the variance",
        ("log_var", "2 * log_var"),
        "it adds the standard deviation where the variance belongs: exp(log_var / 2) still has to be squared",
        ("log_var", "log_var / 2"),
        "it subtracts the variance: var = E[z^2] - mu^2, so look on which side of the equation it stands",
        ("+", "-"),
        "this squares one point, a standard deviation above the mean; an average is taken over all points",
        ("mu**2 + torch.exp(log_var)", "(mu + torch.exp(log_var / 2)) ** 2"),
        "mu enters without its square",
        ("mu**2", "mu"),
    ),
)


def peak_nats():
    """The log-density, in nats, of 64 independent pixels N(0.5, 0.1^2) at the point where all of them are 0.5."""
    pixels, sigma = 64, 0.1
    return -pixels * (math.log(sigma) + 0.5 * math.log(2 * math.pi))  # eq. (0.6) at x = mu


_ONE = -math.log(0.1) - 0.5 * math.log(2 * math.pi)  # one pixel, nats

PEAK_NATS = Exercise(
    id="00.3",
    title="The log-density of 64 pixels, in nats",
    reference=peak_nats,
    hints=(
        "Begin with one pixel. At x = mu the squared distance is zero, so only the normaliser is left.",
        "log N(mu; mu, sigma^2) = -log sigma - (1/2) log(2 pi) for one pixel; 64 independent ones add up",
        "one = -math.log(0.1) - ...    # half the log of 2 pi\npeak = 64 * one",
    ),
    check=close_to(),
    wrong=wrong_answers(
        "this is the log-density of one pixel: independent densities multiply, so their logs add up",
        _ONE,
        "its sign is flipped: here the density is larger than one, so that its log is positive",
        -64 * _ONE,
        "this uses the logarithm to base 10: a nat is a unit of the natural one",
        64 * _ONE / math.log(10),
        "this uses the logarithm to base 2, which counts bits: nats are asked for",
        64 * _ONE / math.log(2),
        "it takes 0.1 for the variance: it is the standard deviation",
        -32 * (math.log(0.1) + math.log(2 * math.pi)),
        "the constant, half of log(2 pi) for each pixel, is missing: without it the density does not integrate to one",
        -64 * math.log(0.1),
        "the one half in front of log(2 pi) is missing: the normaliser holds a square root",
        -64 * (math.log(0.1) + math.log(2 * math.pi)),
        "it adds log sigma where it is to be subtracted: a narrow Gaussian is high, a wide one low",
        64 * (math.log(0.1) - 0.5 * math.log(2 * math.pi)),
        "this is the density of one pixel itself: take its log, and think of 64 of them",
        math.exp(_ONE),
        "this is the density of all 64 pixels itself: its log is asked for",
        math.exp(64 * _ONE),
    ),
    kind="value",
)


def jensen_gap(w):
    """The log of the mean of the positive numbers w, minus the mean of their logs: (N,) -> a scalar tensor >= 0."""
    return torch.log(w.mean()) - torch.log(w).mean()  # eq. (0.9)


def _weight_probes():
    one = torch.Generator().manual_seed(3)

    def weights(count, spread):
        return torch.exp(spread * torch.randn(count, generator=one, dtype=torch.float64))

    return [(weights(50, 1.0),), (weights(7, 0.3) + 2,), (weights(400, 2.0) / 10,), (weights(20, 1.0).float(),)]


def _tiny_weights():
    return [(torch.exp(15 * torch.randn(400, generator=torch.Generator().manual_seed(3), dtype=torch.float64)),)]


_FLOOR = (
    "an epsilon or a clamp keeps small numbers from the log: they are positive already, and the gap comes out too small"
)

JENSEN_GAP = Exercise(
    id="00.4",
    title="Jensen's gap",
    reference=jensen_gap,
    hints=(
        "Two numbers are compared. Both take a log and a mean, in a different order.",
        "gap = log( (1/N) sum_i w_i ) - (1/N) sum_i log w_i",
        "log_of_mean = w.mean() and then its log\nmean_of_logs = the same two calls the other way round\n"
        "return the first minus the second",
    ),
    check=compares(_weight_probes, harder=[(_FLOOR, _tiny_weights)]),
    wrong=wrong_answers(
        _FLOOR,
        ("- torch.log(w)", "- torch.log(w + 1e-8)"),
        "its sign is flipped: the log of the mean is the larger of the two",
        ("torch.log(w.mean()) - torch.log(w).mean()", "torch.log(w).mean() - torch.log(w.mean())"),
        "it takes the mean of the logs on both sides: one of them is the log of the mean, and the order matters",
        ("torch.log(w.mean())", "torch.log(w).mean()"),
        "it takes the log of the sum: without dividing by their number it is log N too large",
        ("w.mean()", "w.sum()"),
        "it adds the logs up where their mean is asked for",
        ("(w).mean()", "(w).sum()"),
        "it compares the mean itself with a mean of logs: take the log of the mean first",
        ("torch.log(w.mean())", "w.mean()"),
        "it takes logarithms to base 10: in this course they are natural ones, and the unit is the nat",
        ("torch.log(w.mean()) - torch.log(w)", "torch.log10(w.mean()) - torch.log10(w)"),
        "it takes logarithms to base 2, which count bits: in this course they are natural ones",
        ("torch.log(w.mean()) - torch.log(w)", "torch.log2(w.mean()) - torch.log2(w)"),
        "it takes the log of each number and no mean: one gap belongs to the whole set",
        ("(w).mean()", "(w)"),
        "this is half the variance of the logs: that is the gap if the logs are Gaussian, and w may be any positive "
        "numbers",
        lambda w: torch.log(w).var(unbiased=False) / 2,
    ),
)


def slope(w, z, x):
    """d loss / d w for the loss (sigmoid(w z) - x)^2, elementwise and without autograd: (N,), (N,), (N,) -> (N,)."""
    p = torch.sigmoid(w * z)  # (N,)
    return 2 * (p - x) * p * (1 - p) * z  # eq. (0.12)


def _slope_probes():
    one = torch.Generator().manual_seed(4)

    def randn(count):
        return torch.randn(count, generator=one, dtype=torch.float64)

    one_step = tuple(torch.tensor(number) for number in (-1.0, 1.0, 0.8))  # as the notebook walks downhill
    return [
        (randn(6), randn(6), torch.rand(6, generator=one, dtype=torch.float64)),
        one_step,
        ((2 * randn(5)).requires_grad_(), randn(5), randn(5)),
        (4 * randn(9), 4 * randn(9), randn(9)),
    ]


SLOPE = Exercise(
    id="00.5",
    title="A gradient by hand",
    reference=slope,
    hints=(
        "Name what stands inside what: a = w z, then p = sigmoid(a), then the square. Three links, three factors.",
        "d loss/d w = (d loss/d p) (d p/d a) (d a/d w), where the slope of the sigmoid is p (1 - p)",
        "p = torch.sigmoid(w * z)\nouter = 2 * (p - x)\nmiddle = ...    # the slope of the sigmoid, from p\n"
        "inner = ...     # d (w z) / d w\nreturn outer * middle * inner",
    ),
    check=compares(_slope_probes, tolerance=1e-7),
    wrong=wrong_answers(
        "the factor 2 of the square is missing",
        ("2 * ", ""),
        "the slope of the sigmoid is missing: the chain has three links, and the middle one is p (1 - p)",
        (" * p * (1 - p)", ""),
        "the innermost link is missing: how fast does w z change with w?",
        ("(1 - p) * z", "(1 - p)"),
        "its sign is flipped: when the pixel is too bright, p > x, and z > 0, a larger w makes the loss larger",
        ("(p - x)", "(x - p)"),
        "this is the derivative with respect to z: w is what changes here",
        ("(1 - p) * z", "(1 - p) * w"),
        "the slope of the sigmoid is p (1 - p), with p the sigmoid's value, not its argument w z",
        ("p * (1 - p)", "(w * z) * (1 - w * z)"),
        "it averages: each z and x has a slope of its own here",
        ("2 * (p - x) * p * (1 - p) * z", "(2 * (p - x) * p * (1 - p) * z).mean()"),
        "this is the loss itself, not its slope",
        ("2 * (p - x) * p * (1 - p) * z", "(p - x) ** 2"),
    ),
)

EXERCISES = (AS_FLOATS, EXPECTED_SQUARE, PEAK_NATS, JENSEN_GAP, SLOPE)
