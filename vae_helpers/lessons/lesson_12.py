"""The exercises of notebook 12: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from vae_helpers.distributions.gaussian import kl_by_latent
from vae_helpers.exercises import effects
from vae_helpers.exercises.checks import Probes, compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers
from vae_helpers.exercises.guarding import describe
from vae_helpers.exercises.isolation import seed_cpu
from vae_helpers.lessons import draws, patients, verdicts


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _rand(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- what a nat of code cost ----------------------------------------------------------------------------------------


def price_of_a_nat(distortion, mu, log_var, eps):
    """The beta at which gradients balance: distortion z (N, D) -> (N,) nats; mu, log_var, eps (N, D) -> a scalar."""
    log_var = log_var.detach().requires_grad_()  # a tensor of its own, whose slope is asked for
    z = mu + (log_var / 2).exp() * eps  # (N, D)
    (slope,) = torch.autograd.grad(distortion(z).sum(), log_var)  # (N, D), of each picture and latent
    saved = (1 - log_var.detach().exp()) / 2  # (N, D), by how much a wider code lowers the KL
    return slope.sum() / saved.sum()  # eq. (12.3)


def _painter(seed: int, n: int, d: int, loud: float = 1.0, dtype: torch.dtype = torch.float64) -> Callable:
    """Nats of n pictures as a decoder that is not linear has them: (n, d) -> (n,)."""
    x, weights = _randn(seed, n, 7, dtype=dtype), loud * _randn(seed + 1, d, 7, dtype=dtype)

    def distortion(z: Tensor) -> Tensor:
        return 2 * (x - (z @ weights).tanh() - 0.3 * z @ weights).square().sum(1)

    return distortion


def _codes(seed: int, n: int, d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Means, log-variances that differ from latent to latent and from picture to picture, and noise."""
    log_var = -3 * _rand(seed, n, d, dtype=dtype) - 1.5 * _rand(seed + 1, 1, d, dtype=dtype) - 0.2
    return _randn(seed + 2, n, d, dtype=dtype), log_var, _randn(seed + 3, n, d, dtype=dtype)


def _price_probes():
    """More pictures than latents, as many, one latent; of a graph; in single precision."""
    of_graph = [(2 * t.requires_grad_() / 2) for t in _codes(31, 6, 3)[:2]]
    return [
        (_painter(1, 5, 3), *_codes(3, 5, 3)),
        (_painter(11, 4, 4), *_codes(13, 4, 4)),
        (_painter(21, 8, 1), *_codes(23, 8, 1)),
        (_painter(29, 6, 3), *of_graph, _randn(41, 6, 3, dtype=torch.float64)),
        (_painter(51, 7, 4, dtype=torch.float32), *_codes(53, 7, 4, torch.float32)),
    ]


def _nearly_prior_probes():
    """Codes that carry hardly anything, some a little wider than the prior."""
    mu, log_var, eps = _codes(61, 6, 3)
    return [
        (_painter(71, 6, 3, 1e-3), 1e-4 * mu, 1e-7 * log_var, eps),
        (_painter(81, 6, 3), mu, log_var + 2.4, eps),
        (_painter(91, 6, 3, 40.0), mu, log_var, eps),
    ]


def _far_code_probes():
    """Codes much sharper than any model's, at rest; and much wider than the prior."""
    mu, log_var, eps = _codes(101, 6, 3)
    sharp = log_var - 8  # -8.2 to -12.7
    weights = _randn(111, 3, 7, dtype=torch.float64)

    def at_rest(z: Tensor) -> Tensor:
        return 1e5 * ((z - mu) @ weights).square().sum(1)

    return [(at_rest, mu, sharp, eps), (_painter(121, 6, 3, 0.1), mu, log_var + 6.5, eps)]


FAR_CODES = "it is wrong where codes are very sharp or very wide: clamp log_var nowhere, and add nothing to sigma"

NEARLY_PRIOR = (
    "it is wrong where codes carry hardly anything, are wider than the prior or matter very much: cut no slope off, "
    "add nothing to what is divided by, and take no absolute values"
)


def _as_float(answer: Callable) -> Callable:
    """One number in whatever form."""

    @functools.wraps(answer)
    def described(*args: Any) -> Any:
        price = answer(*args)
        if getattr(price, "ndim", None) == 0 and not torch.as_tensor(price).is_complex():
            return float(price)
        return price

    return described


def _priced(
    put: Callable = lambda price, slope, saved: price.sum() / saved.sum(),
    z: Callable = lambda mu, log_var, eps: mu + (log_var / 2).exp() * eps,
    by: Callable = lambda mu, log_var: log_var,
    saved: Callable = lambda mu, log_var: (1 - log_var.exp()) / 2,
    nats: Callable = lambda nats: nats.sum(),
) -> Callable:
    """price_of_a_nat with one of its steps replaced."""

    def answer(distortion, mu, log_var, eps):
        mu, log_var = (t.detach().requires_grad_() for t in (mu, log_var))
        (slope,) = torch.autograd.grad(nats(distortion(z(mu, log_var, eps))), by(mu, log_var))
        cost = saved(mu.detach(), log_var.detach())
        return put(slope, slope, cost)

    return answer


def _set_at_the_argument(distortion, mu, log_var, eps):
    log_var.requires_grad_()
    return price_of_a_nat(distortion, mu, log_var, eps)


PRICE_OF_A_NAT = Exercise(
    id="12.1",
    title="What a nat of code cost",
    reference=price_of_a_nat,
    hints=(
        "Let the noise of all codes grow a little, by a little more log_var. By how many nats do the pictures get "
        "worse, and by how many does the KL get cheaper? Training rests where beta times the one is the other.",
        "Equation (12.3): the sum over pictures and latents of the slope of the distortion by log_var, divided by the "
        "sum of (1 - sigma^2) / 2. The slope is autograd's, through z = mu + sigma eps.",
        "log_var = log_var.detach().requires_grad_()\n"
        "z = mu + SOMETHING * eps\n"
        "(slope,) = torch.autograd.grad(distortion(z).sum(), SOMETHING)\n"
        "saved = (1 - log_var.detach().SOMETHING()) / 2\n"
        "return SOMETHING.sum() / SOMETHING.sum()",
    ),
    check=compares(
        _price_probes,
        tolerance=2e-5,
        canonical=_as_float,
        harder=[(NEARLY_PRIOR, _nearly_prior_probes), (FAR_CODES, _far_code_probes)],
    ),
    wrong=wrong_answers(
        "it is upside down: beta times what is saved balances the slope of the distortion, so that slope is divided",
        ("slope.sum() / saved.sum()", "saved.sum() / slope.sum()"),
        "its sign is flipped: more noise makes pictures worse and codes cheaper, and both are counted as positive here",
        ("(1 - log_var.detach().exp())", "(log_var.detach().exp() - 1)"),
        "it is the mean of ratios, one for each number: where a code saves next to nothing such a ratio says nothing, "
        "and would decide; sum first, then divide",
        ("slope.sum() / saved.sum()", "(slope / saved).mean()"),
        "it is the sum of ratios, one for each number: sum first, then divide, once",
        ("slope.sum() / saved.sum()", "(slope / saved).sum()"),
        "every picture has a ratio of its own, and their mean is taken: sum over pictures too, then divide",
        ("slope.sum() / saved.sum()", "(slope.sum(1) / saved.sum(1)).mean()"),
        "every latent has a ratio of its own, and their mean is taken: sum over latents too, then divide",
        ("slope.sum() / saved.sum()", "(slope.sum(0) / saved.sum(0)).mean()"),
        "it is a number for each latent: one for all of them is asked for",
        ("slope.sum() / saved.sum()", "slope.sum(0) / saved.sum(0)"),
        "it is a number for each picture: one for all of them is asked for",
        ("slope.sum() / saved.sum()", "slope.sum(1) / saved.sum(1)"),
        "it is a number for each picture and latent: sum both sides, then divide",
        ("slope.sum() / saved.sum()", "slope / saved"),
        "it is half of what it should be: the KL has a one half, so that (1 - sigma^2) / 2 is saved",
        (".exp()) / 2", ".exp())"),
        "it is twice what it should be: is the slope by log_var, or by log sigma, which is half of it? Is the one half "
        "of the KL taken twice",
        (".exp()) / 2", ".exp()) / 4"),
        "the slope is taken by the variance: what is saved belongs to a slope by its log",
        ("slope.sum()", "(slope / log_var.detach().exp()).sum()"),
        "the slope is taken by sigma: what is saved belongs to a slope by log_var",
        ("slope.sum()", "(2 * slope / (log_var.detach() / 2).exp()).sum()"),
        "the noise is scaled by exp(log_var), which is the variance: sigma is its root",
        ("(log_var / 2).exp()", "log_var.exp()"),
        "the noise is scaled by log_var itself: sigma is exp(log_var / 2)",
        ("(log_var / 2).exp() * eps", "log_var * eps"),
        "log_var is added to the mean beside the noise: z is mu + sigma eps",
        ("(log_var / 2).exp() * eps", "(log_var / 2).exp() + eps"),
        "what is saved takes sigma, exp(log_var / 2), where the KL has the variance, exp(log_var)",
        ("log_var.detach().exp()", "(log_var.detach() / 2).exp()"),
        "what is saved takes log_var where the KL's slope has exp(log_var)",
        ("log_var.detach().exp()", "log_var.detach()"),
        "mu^2 is in what is saved: the means stay where they are, only the noise grows",
        ("(1 - log_var.detach().exp()) / 2", "(1 - log_var.detach().exp() - mu.detach().square()) / 2"),
        "it is divided by the KL: what is asked for is the KL's slope by log_var",
        _priced(saved=kl_by_latent),
        "the 1 is missing: the slope of -log sigma^2 / 2 belongs to what is saved",
        ("(1 - log_var.detach().exp())", "-log_var.detach().exp()"),
        "sigma^2 is missing: the KL's slope has that of -log sigma^2 and that of sigma^2",
        ("(1 - log_var.detach().exp())", "torch.ones_like(log_var)"),
        "the slope is by mu, which says where the means rest: here the noise is asked",
        _priced(by=lambda mu, log_var: mu),
        "the KL is in what is differentiated: its slope stands below the line already, and the price is one too low",
        ("slope.sum() / saved.sum()", "slope.sum() / saved.sum() - 1"),
        "the KL's sign is flipped and it is in what is differentiated: only the distortion is",
        ("slope.sum() / saved.sum()", "slope.sum() / saved.sum() + 1"),
        "only the first latent is asked: sum over all of them",
        ("slope.sum() / saved.sum()", "slope[:, 0].sum() / saved[:, 0].sum()"),
        "only the first picture is asked: sum over all of them",
        ("slope.sum() / saved.sum()", "slope[0].sum() / saved[0].sum()"),
        "the distortion is averaged over the pictures and what is saved is summed over them: the same on both sides",
        ("distortion(z).sum()", "distortion(z).mean()"),
        "the slope is summed over the pictures and what is saved is averaged over them: the same on both sides",
        ("saved.sum()", "saved.sum(1).mean()"),
        "the slope is averaged and what is saved is summed: the same on both sides",
        ("slope.sum()", "slope.mean()"),
        "the slope is summed and what is saved is averaged: the same on both sides",
        ("saved.sum()", "saved.mean()"),
        "the slope is averaged over latents and what is saved is summed over them: the same on both sides",
        ("slope.sum()", "slope.mean(1).sum()"),
        "the slope is summed over latents and what is saved is averaged over them: the same on both sides",
        ("saved.sum()", "saved.mean(1).sum()"),
        "absolute values are taken: where a little more noise makes a picture better, that counts against the rest",
        ("slope.sum()", "slope.abs().sum()"),
        "the slopes are squared: they are added as they are",
        ("slope.sum() / saved.sum()", "(slope.square().sum() / saved.square().sum()).sqrt()"),
        "it draws noise of its own: the noise comes in as eps",
        ("* eps", "* torch.randn_like(mu)"),
        "z is made before log_var asks for a gradient, or of another tensor: none reaches it through this z",
        ("z = mu + (log_var / 2).exp() * eps", "z = mu + (log_var.detach() / 2).exp() * eps"),
        "the noise is left out, and with it log_var: z is mu + sigma eps",
        ("z = mu + (log_var / 2).exp() * eps", "z = mu + 0 * log_var"),
        "it asks for the gradient at the caller's own log_var, who finds requires_grad set: detach it first",
        _set_at_the_argument,
    ),
)


# --- verdicts -------------------------------------------------------------------------------------------------------


def patient_a():
    """Twice the nats, at an eighth of their price: sharper than it should be, and behind on digits it has not seen."""
    return "the KL weighs too little"


def patient_b():
    """Soft pictures, few nats at 64 times their price, and a sigma that equals the error."""
    return "the KL weighs too much"


def patient_e():
    """Soft pictures and few nats at the right price, beside a sigma of 1 where the error is a fourth of it."""
    return "sigma is not the error"


def patient_c():
    """Nearly well, but a nat costs about a half by the noise and about 1 by the means: two different variances."""
    return "log_var and log_std confused"


def patient_d():
    """log_var out of hand from the first steps on, and a first layer that sees numbers up to 255."""
    return "pictures out of scale"


def patient_j():
    """Inputs in [0, 1], a loss that jumps by orders of magnitude and then lies flat, dead units."""
    return "training broke"


def patient_f():
    """The same picture has another reconstruction in other company, in eval(), too."""
    return "the batch or the mode matters"


def patient_k():
    """A sigma of a tenth, and samples without any pixel noise."""
    return "means returned as samples"


def patient_i():
    """A small training set, a validation curve as low as its own, and every held-out picture found in it."""
    return "held-out pictures in training"


def patient_g():
    """All looks well, and there are fewer parameters than the layers say."""
    return "layers share their weights"


def patient_l():
    """All looks well but the picture of the code 0, which is one flat grey."""
    return "no biases"


def patient_h():
    """A critic whose share of right answers stays at a half, a guess's."""
    return "the critic never learned"


def _verdict(id: str, reference: Callable, *hints: str) -> Exercise:
    """An exercise that asks for the name of a patient's disease."""
    letter = reference.__name__[-1].upper()
    return Exercise(
        id, f"Patient {letter}", reference, hints, verdicts.check, verdicts.wrong_verdicts(letter), kind="value"
    )


PATIENT_A = _verdict(
    "12.2",
    patient_a,
    "Its codes hold many nats. Hold them beside those of the seven models whose weight is known: between which two of "
    "them would it stand?",
    "Read the KL and the price of a nat, exercise 12.1. In the ELBO a nat of code and a nat of picture weigh the same, "
    "and the price is 1: on which side of it is this one?",
    'patient_a = "the KL SOMETHING"',
)
PATIENT_B = _verdict(
    "12.3",
    patient_b,
    "Two patients have soft pictures and codes of few nats. What did a nat cost the one, and what the other? And which "
    "of them has a sigma that fits its errors?",
    "Read the price of a nat, exercise 12.1: in the ELBO it is 1. On which side of it is this one, and what does a "
    "model do about something so dear?",
    'patient_b = "the KL SOMETHING"',
)
PATIENT_E = _verdict(
    "12.4",
    patient_e,
    "Soft pictures and few nats, as its neighbour has, but a nat of code costs what it should. What decides how many "
    "nats a better picture is worth?",
    "The distortion is (x - mean)^2 / (2 sigma^2), summed: a sigma four times too large makes it sixteen times too "
    "small. Hold the decoder's sigma beside the root of its mean squared error.",
    'patient_e = "SOMETHING is not SOMETHING"',
)
PATIENT_C = _verdict(
    "12.7",
    patient_c,
    "It looks nearly well, and a weight of the KL would be felt by noise and means alike. What is it that only the "
    "noise feels?",
    "The noise is what a sigma scales and a KL charges for. If the one takes exp(a) where the other takes exp(a / 2), "
    "the slopes by a differ by a factor of two.",
    'patient_c = "SOMETHING and SOMETHING confused"',
)
PATIENT_D = _verdict(
    "12.8",
    patient_d,
    "Much is wrong at once, and all of it from the first steps on. Go back to the very beginning: what goes into the "
    "network?",
    "Layers are made for numbers about 1. Read the largest number that the first layer sees, and compare it with those "
    "of the other patients.",
    'patient_d = "pictures SOMETHING"',
)
PATIENT_J = _verdict(
    "12.9",
    patient_j,
    "It began as a healthy model does. At which step did it cease to, and what happened to its units then?",
    "One step was too large: the loss rose by orders of magnitude, and a unit that says the same of every picture gets "
    "no slope to come back by. Its inputs are in [0, 1], so ask what came first.",
    'patient_j = "training SOMETHING"',
)
PATIENT_F = _verdict(
    "12.12",
    patient_f,
    "Nothing but the company of a picture was changed. What in a network can tell in which company a picture is, and "
    "is it meant to, once training is over?",
    "A batch normalisation takes mean and variance of whatever is in the batch while it is trained, and should use "
    "those that it learned in eval().",
    'patient_f = "the SOMETHING or the mode SOMETHING"',
)
PATIENT_K = _verdict(
    "12.13",
    patient_k,
    "Hold its samples beside pictures of the training set, enlarged, pixel by pixel. What have those that its samples "
    "have not? What does its sigma say?",
    "A draw of p(x | z) is its mean and noise of the standard deviation sigma. How much neighbouring pixels differ "
    "tells how much of that noise there is.",
    'patient_k = "SOMETHING returned as SOMETHING"',
)
PATIENT_I = _verdict(
    "12.14",
    patient_i,
    "A few pictures were trained on for long, and those held out are fitted just as well. Is the model that good? "
    "What else could make it so?",
    "Look for each held-out picture in the training set, byte by byte: in two parts that were properly made none is "
    "found.",
    'patient_i = "held-out pictures SOMETHING"',
)
PATIENT_G = _verdict(
    "12.18",
    patient_g,
    "Neither curves nor pictures show anything. So count: how many weights do its layers say that there are, and how "
    "many does an optimiser get?",
    "named_parameters(remove_duplicate=False) names every place, parameters() every tensor once. What does it mean if "
    "there are more places than tensors?",
    'patient_g = "layers SOMETHING"',
)
PATIENT_L = _verdict(
    "12.19",
    patient_l,
    "Of all codes, one is special: the middle of the prior. What does the decoder paint there, and what do the layers "
    "on the way have to make it of?",
    "A layer makes W 0 + b of the code 0. If that comes out as 0 at every layer, the last one paints one grey, "
    "sigmoid(0), and training cannot change it.",
    'patient_l = "no SOMETHING"',
)
PATIENT_H = _verdict(
    "12.20",
    patient_h,
    "Somebody here has a task of its own, to tell real pictures from made ones. How well does it do so, at the "
    "beginning and at the end?",
    "Who guesses is right half of the time. Its loss went down all the while: so what did it learn instead, if it says "
    "the same of all?",
    'patient_h = "the critic SOMETHING"',
)


# --- mends: how the KL is weighed -----------------------------------------------------------------------------------


def _loss_probes():
    """As many pictures as latents, more, fewer; in both precisions."""
    return [
        (3 * _randn(1, 4) + 20, _rand(2, 4, 4)),
        (_randn(3, 7, dtype=torch.float64) - 5, 2 * _rand(4, 7, 3, dtype=torch.float64)),
        (2 * _randn(5, 2), 3 * _rand(6, 2, 5)),
    ]


def _any_size_loss_probes():
    double = {"dtype": torch.float64}
    return [
        (1e4 * _randn(7, 3, **double), 300 * _rand(8, 3, 4, **double)),
        (_randn(9, 3, **double), 1e-2 * _rand(10, 3, 4, **double)),
        (1e20 * _randn(11, 3, **double), _rand(12, 3, 4, **double)),
        (_randn(13, 3, **double), 1e20 * _rand(14, 3, 4, **double)),
    ]


ANY_SIZE = "it cuts something off: nats of pictures and of latents may be of any size, and nothing is free"

WEIGHED = Exercise(
    id="12.5",
    title="The mend of A and B",
    reference=patients.weighed,
    hints=(
        "What does one picture cost, of which distortion is a number already? Only then comes the batch.",
        "The loss is the mean over pictures of (distortion + KL), where the KL of a picture is the sum over its "
        "latents.",
        "per_picture = distortion + kl.SOMETHING  # (N,)\nreturn per_picture.SOMETHING()",
    ),
    check=compares(_loss_probes, tolerance=1e-5, gradients=True, harder=[(ANY_SIZE, _any_size_loss_probes)]),
    wrong=wrong_answers(
        "it is patient A's own line: kl.mean() is over latents, too, and makes a nat of code cheaper by their number",
        patients.averaged,
        "it is patient B's own line: kl.sum() is over the batch, too, and every picture pays for the codes of all",
        patients.summed_over_all,
        "the whole is summed over the batch: average over pictures, so that a larger batch has no larger loss",
        ("per_picture.mean()", "per_picture.sum()"),
        "it is a loss for each picture: average over the batch, for a scalar is asked for",
        ("return per_picture.mean()", "return per_picture"),
        "it sums over the pictures, and leaves a number for each latent: the sum is over latents, kl.sum(1)",
        ("kl.sum(1)", "kl.sum(0)"),
        "it sums over the pictures and averages over the latents: the other way round",
        ("return per_picture.mean()", "return distortion.mean() + kl.sum(0).mean()"),
        "the distortion is summed over the batch and the KL averaged: the same on both sides",
        ("return per_picture.mean()", "return distortion.sum() + kl.sum(1).mean()"),
        "the distortion is summed over the batch and the KL averaged over all: sum over latents, average over pictures",
        ("return per_picture.mean()", "return distortion.sum() + kl.mean()"),
        "its sign is flipped: a loss is lowered, and both nats are to go down",
        ("return per_picture", "return -per_picture"),
        "the KL is subtracted: training would make it larger without end",
        ("distortion + kl", "distortion - kl"),
        "the distortion is subtracted: training would make pictures worse without end",
        ("distortion + kl", "-distortion + kl"),
        "the KL is left out: this is an autoencoder's loss",
        (" + kl.sum(1)", ""),
        "the distortion is left out: the codes would go to the prior, and say nothing",
        ("distortion + kl.sum(1)", "kl.sum(1)"),
        "the KL is halved: the one half is in it already, so it is to be summed as it is",
        ("kl.sum(1)", "kl.sum(1) / 2"),
        "the KL is doubled: it has its one half already, and is to be summed as it is",
        ("kl.sum(1)", "2 * kl.sum(1)"),
        "only the first latent is paid for: sum over all of them",
        ("kl.sum(1)", "kl[:, 0]"),
        "only the dearest latent is paid for: sum over all of them",
        ("kl.sum(1)", "kl.amax(1)"),
        "it is a number without a graph: return the tensor, so that the model can learn from it",
        ("per_picture.mean()", "per_picture.mean().item()"),
        "its values are right, but no gradient reaches the model: detach nothing",
        ("per_picture.mean()", "per_picture.mean().detach()"),
        "the KL is added to the distortion in place, as += does: whoever passed it finds it changed",
        ("per_picture = distortion + kl.sum(1)", "per_picture = distortion.add_(kl.sum(1))"),
        "its values are right, but no gradient reaches `kl`: it has to be paid for, too",
        ("kl.sum(1)", "kl.detach().sum(1)"),
        "its values are right, but no gradient reaches `distortion`: the pictures are to be learned, too",
        ("distortion + kl", "distortion.detach() + kl"),
    ),
)


# --- what the decoder says ------------------------------------------------------------------------------------------


def _picture_probes():
    """Means that are off, more in some pictures and channels than in others; a few pictures, or many."""

    def pictures(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        x, mean = _rand(seed, *shape, dtype=dtype), _rand(seed + 1, *shape, dtype=dtype)
        share = 0.1 + 0.8 * _rand(seed + 2, shape[0], shape[1], 1, 1, dtype=dtype)
        return x, x + share * (mean - x) + 0.1

    return [
        pictures(1, 3, 2, 4, 5),
        pictures(11, 4, 4, 3, 3, dtype=torch.float64),
        pictures(41, 150, 1, 2, 3),
        (*pictures(21, 1, 1, 6, 2)[:1], pictures(21, 1, 1, 6, 2)[1].requires_grad_() + 0.2),
    ]


def _small_error_probes():
    x = _rand(31, 3, 1, 4, 4, dtype=torch.float64)
    return [(x, x + 10.0**power * _randn(32, 3, 1, 4, 4, dtype=torch.float64)) for power in (-6, -4, 3)]


def _in_units_of(right: Callable) -> Callable[[Callable], Callable]:
    """Results relative to the right ones, so that what is wrong shows where they are small."""

    def wrapped(answer: Callable) -> Callable:
        @functools.wraps(answer)
        def described(*args: Any) -> Any:
            given = answer(*args)
            return given / right(*args).detach() if isinstance(given, Tensor) else given

        return described

    return wrapped


def _also_in_units(probes: Probes, message: str, far: Probes, right: Callable, **settings: Any) -> Callable:
    """A check that compares at the probes, and relative to the right results far out."""
    near = compares(probes, **settings)
    relative = compares(probes, canonical=_in_units_of(right), harder=[(message, far)])

    def check(answer: Any, exercise: Exercise) -> None:
        near(answer, exercise)
        relative(answer, exercise)

    return check


ANY_ERROR = "it is wrong where the error is small, or large: clamp nothing, and add nothing to the mean square"

ERROR = Exercise(
    id="12.6",
    title="The mend of E",
    reference=patients.error,
    hints=(
        "Of all Gaussians about these means, under which sigma are the pictures likeliest? What does sigma say of a "
        "pixel?",
        "sigma^2 is the mean squared error, over pictures, channels and pixels together; sigma is its root.",
        "each = (x - mean).SOMETHING()  # (N, C, H, W)\nreturn each.mean().SOMETHING()",
    ),
    check=_also_in_units(_picture_probes, ANY_ERROR, _small_error_probes, patients.error),
    wrong=wrong_answers(
        "it is patient E's own line: a sigma of 1, whatever the error",
        patients.one,
        "it is the mean squared error, which is the variance: sigma is its root",
        (".sqrt()", ""),
        "it is the mean size of the errors: square first, average, then take the root",
        lambda x, mean: (x - mean).abs().mean(),
        "the mean error is taken away, as std and var do: a shift of all pixels is an error, too",
        lambda x, mean: (x - mean).std(correction=0),
        "the mean error is taken away, as std does, which also divides by one less: a shift of all pixels is an error, "
        "too",
        lambda x, mean: (x - mean).std(),
        "squares are summed: the variance that fits best is their mean over all pixels",
        (".mean()", ".sum()"),
        "squares are summed over a picture and averaged over pictures: average over pixels, too",
        (".mean()", ".flatten(1).sum(1).mean()"),
        "every picture has a sigma of its own: one for all is asked for",
        (".mean()", ".flatten(1).mean(1)"),
        "the root is taken for each picture, and then the mean: average over pictures, too, before the root",
        (".mean().sqrt()", ".flatten(1).mean(1).sqrt().mean()"),
        "every pixel has a sigma of its own: one for all is asked for",
        (".mean()", ".mean(0)"),
        "every channel has a sigma of its own: one for all is asked for",
        (".mean()", ".mean((0, 2, 3))"),
        "it is a number for each pixel of each picture: average, then take the root",
        (".mean()", ""),
        "it is halved before the root: (x - mean)^2 / 2 is a Gaussian's distortion, not its variance",
        (".mean()", ".mean().div(2)"),
        "it is the spread of the pictures: sigma is that of their errors",
        lambda x, mean: x.std(),
        "it is the spread of the means: sigma is that of the errors",
        lambda x, mean: mean.std(),
        "it is the largest error: sigma is the root of the mean square",
        lambda x, mean: (x - mean).abs().max(),
        "it is the log of sigma: sigma itself is asked for",
        (".sqrt()", ".sqrt().log()"),
        "it is one over sigma: sigma itself is asked for",
        (".sqrt()", ".rsqrt()"),
        "the two are added where their difference is the error",
        ("x - mean", "x + mean"),
        "it is a Python number: the lines below want sigma as a tensor",
        (".sqrt()", ".sqrt().item()"),
        "it is 0.71, the sigma that a sum of squares without one has: ask the errors",
        lambda x, mean: torch.tensor(0.5).sqrt(),
    ),
)


# --- how codes are drawn, and what the encoder sees -----------------------------------------------------------------


def _log_var_probes():
    return [
        (2 * _randn(1, 5, 3),),
        (_randn(2, 4, dtype=torch.float64) - 3,),
        (torch.tensor(-1.3),),
        (1.5 * _randn(3, 2, 3, 4) + 1,),
    ]


def _far_log_var_probes():
    return [(torch.tensor([-60.0, -30.0, 30.0, 60.0]),), (torch.tensor([[-80.0, 80.0]], dtype=torch.float64),)]


FAR_LOG_VAR = (
    "it is wrong where log_var is far out: clamp nothing, add nothing to sigma, and keep to log_var's own precision"
)

SCALE = Exercise(
    id="12.10",
    title="The mend of C",
    reference=patients.scale,
    hints=(
        "The KL takes log_var for the log of a variance. What has the noise to be scaled by, then?",
        "sigma = exp(log sigma), and log sigma^2 is twice log sigma.",
        "log_std = SOMETHING\nreturn torch.exp(log_std)",
    ),
    check=_also_in_units(_log_var_probes, FAR_LOG_VAR, _far_log_var_probes, patients.scale, gradients=True),
    wrong=wrong_answers(
        "it is patient C's own line: exp(log_var) is the variance, and its root is asked for",
        patients.scale_without_half,
        "it is log_var itself: a log is no scale, and may be negative",
        ("torch.exp(log_var / 2)", "1 * log_var"),
        "it is log sigma: take its exponential",
        ("torch.exp(log_var / 2)", "log_var / 2"),
        "it is half of the variance: the half belongs in the exponent, where it takes the root",
        ("torch.exp(log_var / 2)", "torch.exp(log_var) / 2"),
        "its exponent is twice log_var: the root is asked for, which halves a log",
        ("log_var / 2", "2 * log_var"),
        "its sign is flipped in the exponent: this is one over sigma",
        ("log_var / 2", "-log_var / 2"),
        "it is one over the variance: sigma is the root of exp(log_var)",
        ("log_var / 2", "-log_var"),
        "the root of log_var is taken: the root of its exponential is asked for",
        ("log_var / 2", "log_var.abs().sqrt()"),
        "the root is taken twice: half of log_var is enough",
        ("log_var / 2", "log_var / 4"),
        "the exponential is to base 2: log_var is a natural log",
        ("torch.exp(log_var / 2)", "torch.exp2(log_var / 2)"),
        "the exponential is to base 10: log_var is a natural log",
        ("torch.exp(log_var / 2)", "10 ** (log_var / 2)"),
        "it is a softplus: log_var is a log, so its exponential is taken",
        ("torch.exp(log_var / 2)", "F.softplus(log_var)"),
        "it is a softplus of half of log_var: log_var is a log, so the exponential is taken",
        ("torch.exp(log_var / 2)", "F.softplus(log_var / 2)"),
        "it adds noise of its own: only the scale is asked for",
        ("torch.exp(log_var / 2)", "torch.exp(log_var / 2) * torch.randn_like(log_var)"),
        "its values are right, but no gradient reaches log_var: the encoder could never learn how uncertain it is",
        ("torch.exp(log_var / 2)", "torch.exp(log_var / 2).detach()"),
        "it is one number for all: every latent has a scale of its own",
        ("torch.exp(log_var / 2)", "torch.exp(log_var / 2).mean()"),
        "log_var is halved in place: whoever passed it finds it changed",
        lambda log_var: torch.exp(log_var.data.div_(2)),
        "log_var itself is changed in place: whoever passed it would find it so, and PyTorch refuses it where a "
        "gradient is wanted; make a new tensor",
        ("torch.exp(log_var / 2)", "torch.exp(log_var.mul_(0.5))"),
    ),
)


def _level_probes():
    """Levels with fractions, as dequantisation makes them; not all of them up to 255."""
    return [
        (255 * _rand(1, 3, 1, 4, 4),),
        (torch.arange(256.0).reshape(2, 2, 8, 8),),
        (60 * _rand(2, 2, 3, 5, 4) + 9,),
        (0.9 * _rand(3, 1, 1, 3, 3),),
    ]


OF_ONE = Exercise(
    id="12.11",
    title="The mend of D",
    reference=patients.of_one,
    hints=(
        "A network likes numbers about 1. Which of the numbers that levels can be is to become 1?",
        "Levels run from 0 to 255, whatever the largest of this batch is.",
        "return levels / SOMETHING",
    ),
    check=compares(_level_probes, tolerance=1e-6),
    wrong=wrong_answers(
        "it is patient D's own line: levels as they are in the file",
        lambda levels: levels.clone(),
        "it divides by 256: the largest level is 255, and that is to become 1",
        ("255", "256"),
        "it divides by the largest level of this batch: a dark batch would be made as bright as any other",
        ("255", "levels.max()"),
        "it divides by each picture's own largest level: how bright a picture is would be lost",
        ("255", "levels.amax((1, 2, 3), keepdim=True)"),
        "it stretches the batch from its own smallest to its largest level: how bright it is would be lost",
        ("levels / 255", "(levels - levels.min()) / (levels.max() - levels.min())"),
        "it takes the batch's own mean and deviation: how bright it is would be lost, and each picture would depend on "
        "its company",
        ("levels / 255", "(levels - levels.mean()) / levels.std()"),
        "it divides twice: there would be next to nothing left",
        ("255", "255**2"),
        "it multiplies: levels are too large already",
        ("levels / 255", "levels * 255"),
        "it runs from -1 to 1: pictures in [0, 1] are asked for, as the decoder paints them",
        ("levels / 255", "levels / 127.5 - 1"),
        "it runs from -1/2 to 1/2: pictures in [0, 1] are asked for, as the decoder paints them",
        ("levels / 255", "levels / 255 - 0.5"),
        "levels are cut off at 1: all but black would be white",
        ("levels / 255", "levels.clamp(0, 1)"),
        "levels go through a sigmoid: all but the darkest would be white",
        ("levels / 255", "levels.sigmoid()"),
        "the division rounds down: only 0 and 1 would be left",
        ("levels / 255", "levels // 255"),
        "levels are cut to whole numbers first: fractions are theirs since they were dequantised",
        ("levels / 255", "levels.byte().float() / 255"),
        "levels are rounded to whole numbers first: dequantised ones have fractions, here as in the notebook, and "
        "these are to be kept",
        ("levels / 255", "levels.round() / 255"),
        "black and white are exchanged: 255 is to become 1, and 0 to stay 0",
        ("levels / 255", "1 - levels / 255"),
        "it is 255 over the level: the other way round",
        ("levels / 255", "255 / levels"),
        "levels are divided in place: whoever passed them finds them changed",
        ("levels / 255", "levels.div_(255)"),
        "the quotient's root is taken: it is pictures as they are that the decoder paints",
        ("levels / 255", "(levels / 255).sqrt()"),
    ),
)


# --- a layer that normalises ----------------------------------------------------------------------------------------

NO_LAYER = "it returns no layer: a module is asked for, such as torch.nn has them, made for so many features"
CLASS = "it returns a class of layers: call it, with the number of features, so that there is a layer"
ONE_LAYER = "it gives the same layer at every call: all places would share it; make a new one each time"
OTHER_SHAPE = "its layer does not give numbers of the shape and type of what goes in, (N, features)"
COMPANY = (
    "in eval() its layer still takes the statistics of whatever is in the batch, as patient F's does: a row gets other "
    "numbers in other company"
)
ALONE = "in eval() its layer cannot take a row that is alone, or gives it other numbers than in company"
NOT_NORMAL = (
    "its layer does not normalise: what goes in thirty times as large comes out so, too, or cut off, instead of as "
    "large as ever"
)
NEVER_LEARNED = (
    "in eval() its layer does not normalise, though in train() it does: its running statistics are those it began "
    "with, altogether or in part; look at its momentum, which in PyTorch is the share of the newest batch"
)
LAST_BATCH = (
    "in eval() its layer normalises by the last batch or two: in PyTorch momentum is the share of the newest batch, "
    "0.1, where elsewhere it is that of the past, 0.9"
)
BEHIND = (
    "in eval() its layer normalises by an average over all of training, as with momentum=None: while a network learns, "
    "what goes in moves, and the average is far behind; let it forget, as momentum=0.1 does"
)
RANDOM = "its layer gives other numbers each time for the same rows, as noise or dropout does: it is only to normalise"
OTHER_IN_EVAL = "in eval() its layer gives other numbers than in train(), though it has seen hundreds of batches"
TOO_SMALL = "what its layer gives is not of the size of 1: with one feature in a group, say, nothing is left but zeros"
SIGNS_ONLY = "its layer gives hardly more than signs, +1 and -1, as where two features make a group: the rest is lost"
NO_SLOPE = "no gradient passes its layer: what stands before it could never learn"
NOT_FINITE = (
    "its layer gives NaN or infinity, or such gradients, where a feature or a row is the same everywhere: the standard "
    "deviation is 0 there, so add a small number to the variance before its root is taken"
)
IN_PLACE = "its layer changes what goes into it in place: what stands before it could not learn"
_FEATURES = 128  # as wide as the notebook's hidden layers


def _rows(seed: int, n: int, features: int = _FEATURES) -> Tensor:
    """Of features with means and deviations of their own: (n, features)."""
    ramp = torch.linspace(-1, 1, features)
    return 1 + 0.4 * ramp * _randn(seed, n, features) + ramp.flip(0) * 0.7 + 0.5 * _randn(seed + 1, n, features)


def _through(layer: nn.Module, x: Tensor) -> Tensor:
    """What a layer gives, with what goes wrong in it said in words."""
    before = x.detach().clone()
    try:
        y = layer(x)
    except Exception as error:
        raise Misconception(f"its layer is not made for (N, features): {describe(error)}") from error
    if not isinstance(y, Tensor) or y.shape != x.shape or y.dtype != x.dtype:
        raise Misconception(OTHER_SHAPE)
    if not torch.equal(before, x):
        raise Misconception(IN_PLACE)
    return y


def _new_layer(answer: Callable, features: int = _FEATURES) -> nn.Module:
    seed_cpu(0)
    layer = answer(features)
    if isinstance(layer, type):
        raise Misconception(CLASS)
    if not isinstance(layer, nn.Module):
        raise Misconception(NO_LAYER)
    return layer.train()


def _trained(answer: Callable, times: float, drift: float = 4.0) -> nn.Module:
    """A layer that has seen 600 batches of eight, of numbers so many times as large, which first came down."""
    layer = _new_layer(answer)
    batches = _rows(5, 4800).unflatten(0, (600, 8))
    above = drift * (1 - torch.arange(600) / 150).clamp_min(0)  # of each batch
    with torch.no_grad():
        for batch, shift in zip(batches, above, strict=True):
            _through(layer, times * (batch + shift))
    return layer


def _check_layer(answer: Callable, exercise: Exercise) -> None:
    """Does it normalise rows, each by itself or by what training has shown, and lets gradients pass?"""
    if _new_layer(answer) is _new_layer(answer):
        raise Misconception(ONE_LAYER)
    _through(_new_layer(answer, 2 * _FEATURES), _rows(3, 8, 2 * _FEATURES))
    layer, louder = _trained(answer, 1.0), _trained(answer, 30.0)
    x = _rows(7, 500)
    _check_repeats(layer, x)
    with torch.no_grad():
        in_train, in_train_louder = (
            _through(copy.deepcopy(one), times * x) for one, times in ((layer, 1), (louder, 30))
        )
        if not 0.3 < in_train.square().mean().sqrt() < 3 and _alike(in_train, in_train_louder, 0.02):
            raise Misconception(TOO_SMALL)
        if ((in_train.abs() - 1).abs() < 0.05).double().mean() > 0.9:
            raise Misconception(SIGNS_ONLY)
        layer.eval(), louder.eval()
        row, others = x[:2], x[2:40]
        first, *again = (_through(layer, torch.cat([row, they]))[:2] for they in (others, 9 * others + 5, x[2:]))
        if not all(torch.allclose(first, other, rtol=1e-4, atol=1e-4) for other in again):
            raise Misconception(COMPANY)
        try:
            alone = torch.cat([_through(layer, one[None]) for one in row])
        except Misconception as error:
            raise Misconception(ALONE) from error
        if not torch.allclose(first, alone, rtol=1e-4, atol=1e-4):
            raise Misconception(ALONE)
        in_eval, in_eval_louder = _through(layer, x), _through(louder, 30 * x)
    if not _alike(in_train, in_train_louder, 0.02):
        raise Misconception(NOT_NORMAL)
    if not _alike(in_eval, in_eval_louder, 0.1):
        raise Misconception(NEVER_LEARNED)
    if not _alike(in_eval, in_train, 0.13):
        raise Misconception(LAST_BATCH if _follows(answer) else BEHIND if _is_behind(answer, x) else OTHER_IN_EVAL)
    _check_slopes(answer)


def _check_repeats(layer: nn.Module, x: Tensor) -> None:
    """Does it give the same for the same, in both modes?"""
    for mode in (True, False):
        with torch.no_grad():
            seed_cpu(0)
            one, other = (_through(copy.deepcopy(layer).train(mode), x) for _ in range(2))
        if not torch.equal(one.nan_to_num(), other.nan_to_num()):
            raise Misconception(RANDOM)


def _is_behind(answer: Callable, x: Tensor) -> bool:
    """Would it be right in eval() if nothing had moved?"""
    layer = _trained(answer, 1.0, drift=0.0)
    with torch.no_grad():
        in_train = _through(copy.deepcopy(layer), x)
        return _alike(_through(layer.eval(), x), in_train, 0.13)


def _alike(y: Tensor, other: Tensor, share: float) -> bool:
    """Is the root of the mean squared difference less than that share of 1 and of the numbers' size?"""
    size = 1 + other.square().mean().sqrt()
    return bool((y - other).square().mean().sqrt() < share * size)


def _follows(answer: Callable) -> bool:
    """Does one batch of other numbers change what the layer does in eval() by more than half?"""
    layer = _trained(answer, 1.0)
    x, shift = _rows(9, 64), 10.0
    with torch.no_grad():
        before = _through(layer.eval(), x)
        _through(layer.train(), x + shift)
        after = _through(layer.eval(), x)
    return bool((after - before).abs().mean() > 0.3)


def _check_slopes(answer: Callable) -> None:
    """Gradients of a usual batch, of one with a feature that is the same in all rows, of rows that are flat."""
    constant, flat = _rows(11, 8), _rows(13, 8)
    constant[:, 2], flat[3] = 0.7, 0.2
    for x in (_rows(15, 8), constant, flat, torch.zeros(8, _FEATURES)):
        layer = _new_layer(answer)
        x = (0 + x).requires_grad_()
        y = _through(layer, x)
        if not y.requires_grad:
            raise Misconception(NO_SLOPE)
        wanted = [x, *(weight for weight in layer.parameters() if weight.requires_grad)]
        slopes = torch.autograd.grad((y * _randn(17, *y.shape)).sum(), wanted, allow_unused=True)
        if not all(t.isfinite().all() for t in (y, *slopes) if t is not None):
            raise Misconception(NOT_FINITE)
        if slopes[0] is None or (x.std() > 0.1 and slopes[0].abs().max() == 0):
            raise Misconception(NO_SLOPE)


class _Standardised(nn.Module):
    """Of each row or each feature, without anything added to the deviation."""

    def __init__(self, axis: int):
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(self.axis, keepdim=True)) / x.std(self.axis, keepdim=True)


class _WithoutGraph(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class _Squeezed(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.squeeze())


class _OtherInEval(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 if self.training else 0.5)


class _InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x -= x.mean(1, keepdim=True)
        return x / (x.var(1, keepdim=True) + 1e-5).sqrt()


STATISTICS_OF_TRAINING = Exercise(
    id="12.15",
    title="The mend of F",
    reference=patients.statistics_of_training,
    hints=(
        "What may a layer know of the company of a picture when training is over? By which mean and deviation could it "
        "normalise without asking that company?",
        "Either by running statistics, which a batch normalisation keeps unless told otherwise and uses in eval(); or "
        "by those of the row itself, as layer and group normalisation do.",
        "return torch.nn.SOMETHING(features)  # look at its switches, or leave them as they are",
    ),
    check=_check_layer,
    wrong=wrong_answers(
        COMPANY,
        patients.statistics_of_the_batch,
        NOT_NORMAL,
        lambda features: nn.Identity(),
        NEVER_LEARNED,
        lambda features: nn.BatchNorm1d(features, momentum=0.0),
        BEHIND,
        lambda features: nn.BatchNorm1d(features, momentum=None),
        RANDOM,
        lambda features: nn.Sequential(nn.LayerNorm(features), nn.Dropout(0.1)),
        LAST_BATCH,
        lambda features: nn.BatchNorm1d(features, momentum=0.95),
        TOO_SMALL,
        lambda features: nn.GroupNorm(features, features),
        SIGNS_ONLY,
        lambda features: nn.GroupNorm(features // 2, features),
        NOT_FINITE,
        lambda features: _Standardised(1),
        NO_SLOPE,
        lambda features: _WithoutGraph(features),
        CLASS,
        lambda features: nn.BatchNorm1d,
        ONE_LAYER,
        functools.partial(lambda made, features: made, nn.LayerNorm(_FEATURES)),
        NO_LAYER,
        lambda features: F.layer_norm,
        ALONE,
        lambda features: _Squeezed(features),
        OTHER_IN_EVAL,
        lambda features: _OtherInEval(features),
        OTHER_SHAPE,
        lambda features: nn.Sequential(nn.LayerNorm(features), nn.Linear(features, 1)),
        IN_PLACE,
        lambda features: _InPlace(),
    ),
)


# --- what is called a sample ----------------------------------------------------------------------------------------

NO_PICTURES = "it does not return one picture for each mean, as a tensor of the same shape"
OTHER_TYPE = "its draws are not of the type of mean: what puts the two together below would stop"
MEANS = "it is patient K's own line: the means themselves, without any noise"
SAME_AGAIN = "it gives the same noise at every call: it has to be fresh each time"
CUT = (
    "draws are cut to [0, 1]: p(x | z) is a Gaussian, whose draws go beyond, and a cut takes noise off black and white"
)
CUT_AT_ONE_END = "draws are cut off at one end: p(x | z) is a Gaussian, whose draws go beyond, below 0 and above 1"
MEAN_CUT = "means are cut to [0, 1] before the noise is added: they are the decoder's, wherever they lie"
NO_MEAN = "the mean is left out: a draw is the mean and noise"
COIN = "every pixel is drawn as 0 or 1, as of a Bernoulli: p(x | z) is a Gaussian of standard deviation sigma"
SIGMA_CUT = "sigma is cut off, or something is added to it: the spread is wrong where sigma is small, or large"
ONE_NUMBER = "one number of noise is added to all pixels of all pictures: every pixel has its own"
ONE_A_PICTURE = "every picture is shifted as a whole, by one number of noise: every pixel has its own"
ONE_A_CHANNEL = "every channel of a picture is shifted as a whole, by one number of noise: every pixel has its own"
GREY = "all channels of a pixel share their noise: each has its own"
SHARED = "all pictures share one picture of noise: each has its own"
STREAKS = "neighbouring pixels share their noise: each pixel has its own"
SCALED_MEAN = "the noise grows with the mean, or the mean is scaled, too: sigma is the same for bright and dark pixels"
SHIFTED = "the mean of its draws is not the mean: noise that is added has the mean 0"
SQUARED = "it scales the noise by sigma^2, the variance: sigma is the standard deviation"
ROOTED = "it scales the noise by the root of sigma: sigma is the standard deviation already"
UNSCALED = "it does not scale the noise: every draw has a standard deviation of 1"
DIVIDED = "it divides the noise by sigma: multiply"
SPREAD = "the standard deviation of its draws about the mean is not sigma"
_SIGMAS = (0.2, 2.0)
_FAR_SIGMAS = (0.005, 30.0)


def _check_pixels(answer: Callable, exercise: Exercise) -> None:
    """Are its draws those of independent Gaussians about the means, fresh at each call?"""
    for sigma, dtype in zip(_SIGMAS, (torch.float32, torch.float64), strict=True):
        _check_draws(answer, _rand(1, 7, 2, 3, 5, dtype=dtype).round(), torch.tensor(sigma, dtype=dtype))
    _check_middle(answer)
    noises = [
        _noise_of(answer, sigma, dtype) for sigma, dtype in zip(_SIGMAS, (torch.float32, torch.float64), strict=True)
    ]
    for noise in noises:
        _check_sharing(noise - noise.mean())
    if not all(0.95 < noise[::2].std() / noise[1::2].std() < 1.05 for noise in noises):
        raise Misconception(SCALED_MEAN)
    _check_size([noise.std().item() for noise in noises], [noise.mean().item() for noise in noises])
    for noise in noises:
        draws.check_noise(noise.reshape(-1, 5))
    if max(noise.abs().max() for noise in noises) < 3.2:  # where some 65 of 48,000 are beyond it
        raise Misconception(draws.NOT_NORMAL)
    if not all(abs(_noise_of(answer, sigma, torch.float64).std() - 1) < 0.05 for sigma in _FAR_SIGMAS):
        raise Misconception(SIGMA_CUT)


def _noise_of(answer: Callable, sigma: float, dtype: torch.dtype) -> Tensor:
    """What it adds to means, of dark pictures and bright ones, in units of sigma: (400, 3, 5, 4)."""
    mean = _rand(3, 400, 3, 5, 4, dtype=dtype)
    mean[::2] *= 0.1
    seed_cpu(0)
    return (answer(mean, torch.tensor(sigma, dtype=dtype)) - mean).double() / sigma


def _check_middle(answer: Callable) -> None:
    """Where draws lie if the mean is beyond 1, and if it is below 0."""
    for middle, edge in ((1.5, 1.0), (-0.5, 0.0)):
        seed_cpu(0)
        given = answer(torch.full((300, 3, 4, 4), middle), torch.tensor(0.01))
        away = 5 * given.std() / math.sqrt(given.numel())
        if not 1e-6 < given.std() < 2:
            return
        if middle > 0 and given.mean().abs() <= away:
            raise Misconception(NO_MEAN)
        if (given.mean() - edge).abs() <= away:
            raise Misconception(MEAN_CUT)


def _check_draws(answer: Callable, mean: Tensor, sigma: Tensor) -> None:
    """Shape, type, arguments, and that there is noise, a new one at each call."""
    before = [effects.snapshot(mean), effects.snapshot(sigma)]
    given, again = answer(mean, sigma), answer(mean, sigma)
    if not isinstance(given, Tensor) or given.shape != mean.shape or not given.is_floating_point():
        raise Misconception(NO_PICTURES)
    for name, arg, old in (("mean", mean, before[0]), ("sigma", sigma, before[1])):
        if found := effects.effect(arg, old):
            raise Misconception(effects.blamed(name, found))
    if given.dtype != mean.dtype:
        raise Misconception(OTHER_TYPE)
    if not given.isfinite().all():
        raise Misconception("some of its numbers are NaN or infinite")
    grey = answer(torch.full_like(mean, 0.4), sigma)
    if ((grey == 0) | (grey == 1)).all():
        raise Misconception(COIN)
    if torch.allclose(given, mean, atol=1e-6):
        raise Misconception(MEANS)
    if torch.equal(given, again):
        raise Misconception(SAME_AGAIN)
    if given.min() >= 0 and given.max() <= 1:
        raise Misconception(CUT)
    if any((given == end).double().mean() > 0.1 for end in given.aminmax() if end in (0, 1)):
        raise Misconception(CUT_AT_ONE_END)


def _check_sharing(noise: Tensor) -> None:
    """Along which axes the noise repeats, (N, C, H, W)."""
    power = noise.square().mean()
    if power < 1e-12:
        raise Misconception(ONE_NUMBER)
    alike = [axis for axis in range(4) if (noise * noise.roll(1, axis)).mean() > 0.3 * power]
    if alike:
        known = {(1, 2, 3): ONE_A_PICTURE, (2, 3): ONE_A_CHANNEL, (1,): GREY}
        raise Misconception(known.get(tuple(alike), SHARED if 0 in alike else STREAKS))


def _check_size(spreads: list[float], means: list[float]) -> None:
    """Standard deviations and means of the noise, in units of sigma."""

    def close(*wanted: float) -> bool:
        return all(abs(spread / right - 1) < 0.05 for spread, right in zip(spreads, wanted, strict=True))

    for share in (12**-0.5, 3**-0.5):
        if close(share, share):
            raise Misconception(draws.UNIFORM)
    if any(abs(mean) > 0.05 * spread for mean, spread in zip(means, spreads, strict=True)):
        raise Misconception(SHIFTED)
    known = {SQUARED: 1, ROOTED: -0.5, UNSCALED: -1, DIVIDED: -2}
    for message, power in known.items():
        if close(*(sigma**power for sigma in _SIGMAS)):
            raise Misconception(message)
    if not close(1, 1):
        raise Misconception(SPREAD)


def _noisy(noise: Callable = lambda mean, sigma: sigma * torch.randn_like(mean)) -> Callable:
    """with_noise with other noise."""
    return lambda mean, sigma: mean + noise(mean, sigma)


WITH_NOISE = Exercise(
    id="12.16",
    title="The mend of K",
    reference=patients.with_noise,
    hints=(
        "The decoder says of each pixel a mean and how far off a pixel may be. How does one draw from that?",
        "x = mean + sigma eps, with eps ~ N(0, 1) drawn for each pixel of each channel of each picture.",
        "eps = torch.SOMETHING(mean)  # (N, C, H, W)\nreturn mean + SOMETHING",
    ),
    check=_check_pixels,
    wrong=wrong_answers(
        MEANS,
        patients.means_only,
        CUT,
        lambda mean, sigma: patients.with_noise(mean, sigma).clamp(0, 1),
        CUT_AT_ONE_END,
        lambda mean, sigma: patients.with_noise(mean, sigma).clamp_min(0),
        MEAN_CUT,
        lambda mean, sigma: patients.with_noise(mean.clamp(0, 1), sigma),
        NO_MEAN,
        lambda mean, sigma: sigma * torch.randn_like(mean),
        COIN,
        lambda mean, sigma: torch.bernoulli(mean.clamp(0, 1)),
        SIGMA_CUT,
        lambda mean, sigma: patients.with_noise(mean, sigma.clamp_min(0.1)),
        SAME_AGAIN,
        _noisy(
            lambda mean, sigma: (
                sigma * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0), dtype=mean.dtype)
            )
        ),
        ONE_NUMBER,
        _noisy(lambda mean, sigma: sigma * torch.randn((), dtype=mean.dtype)),
        ONE_A_PICTURE,
        _noisy(lambda mean, sigma: sigma * torch.randn(len(mean), 1, 1, 1, dtype=mean.dtype)),
        ONE_A_CHANNEL,
        _noisy(lambda mean, sigma: sigma * torch.randn(*mean.shape[:2], 1, 1, dtype=mean.dtype)),
        GREY,
        _noisy(lambda mean, sigma: sigma * torch.randn_like(mean[:, :1])),
        SHARED,
        _noisy(lambda mean, sigma: sigma * torch.randn_like(mean[0])),
        STREAKS,
        _noisy(lambda mean, sigma: sigma * torch.randn_like(mean[..., :1])),
        SCALED_MEAN,
        _noisy(lambda mean, sigma: 2 * mean * sigma * torch.randn_like(mean)),
        SHIFTED,
        lambda mean, sigma: (mean + 1) + sigma * torch.randn_like(mean),
        SQUARED,
        _noisy(lambda mean, sigma: sigma**2 * torch.randn_like(mean)),
        ROOTED,
        _noisy(lambda mean, sigma: sigma.sqrt() * torch.randn_like(mean)),
        UNSCALED,
        _noisy(lambda mean, sigma: torch.randn_like(mean)),
        DIVIDED,
        _noisy(lambda mean, sigma: torch.randn_like(mean) / sigma),
        SPREAD,
        _noisy(lambda mean, sigma: 2 * sigma * torch.randn_like(mean)),
        draws.UNIFORM,
        _noisy(lambda mean, sigma: sigma * torch.rand_like(mean)),
        draws.NOT_NORMAL,
        _noisy(lambda mean, sigma: sigma * torch.randn_like(mean).sign()),
        OTHER_TYPE,
        lambda mean, sigma: patients.with_noise(mean.double(), sigma).to(torch.float32),
        NO_PICTURES,
        lambda mean, sigma: Normal(mean, sigma),
    ),
)


# --- two parts ------------------------------------------------------------------------------------------------------


def _part_probes():
    """Pictures that differ, in a random order; in the last, no picture more in one part than in the other."""

    def pictures(seed: int, n: int, *shape: int) -> tuple[Tensor, Tensor]:
        draw = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (n, *shape), generator=draw, dtype=torch.uint8)
        images[:, 0, 0, 0] = 17 * torch.arange(n)  # so that no two are alike
        return images, torch.randperm(n, generator=draw)

    return [(*pictures(1, 10, 1, 3, 3), 3), (*pictures(2, 13, 3, 2, 4), 5), (*pictures(3, 8, 1, 2, 2), 4)]


def _twin_probes():
    """Two of the images to train on are alike."""
    images, order, n = _part_probes()[1]
    images[order[n]] = images[order[n + 1]]
    return [(images, order, n)]


TWINS = "of images that are alike only one is kept: each of them belongs to one of the two parts"


def _in_any_order(answer: Callable) -> Callable:
    """The order within a part does not matter, nor whether the first or the last n of the order are held out."""

    @functools.wraps(answer)
    def described(images: Tensor, order: Tensor, n: int) -> Any:
        given = answer(images, order, n)
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            return given
        parts = [_numbers(part, images) for part in given]
        for held_out in (order[:n], order[-n:]):
            rest = sorted(set(range(len(images))) - set(held_out.tolist()))
            if parts == [_numbers(images[of], images) for of in (rest, held_out)]:
                return patients.two_parts(images, order, n)
        return given

    return described


def _numbers(part: Any, images: Tensor) -> list[int] | None:
    """Which images these are, sorted; None if they are none."""
    if not isinstance(part, Tensor) or part.dtype != images.dtype or part.shape[1:] != images.shape[1:]:
        return None
    same = (part[:, None] == images).flatten(2).all(2)  # (n, N)
    return sorted(same.int().argmax(1).tolist()) if same.any(1).all() else None


TWO_PARTS = Exercise(
    id="12.17",
    title="The mend of I",
    reference=patients.two_parts,
    hints=(
        "A picture that is held out may not be trained on. Which numbers of the order are left when n are taken away?",
        "Two slices of `order` that have nothing in common and are all of it together; images[numbers] are the images "
        "of such numbers.",
        "held_out = images[order[:n]]\ntraining = images[order[SOMETHING]]\nreturn training, held_out",
    ),
    check=compares(_part_probes, canonical=_in_any_order, harder=[(TWINS, _twin_probes)]),
    wrong=wrong_answers(
        "it is patient I's own line: all images are trained on, and those held out are among them",
        patients.held_out_of_all,
        "all images are trained on, as they lie in the file, and those held out are among them",
        ("images[order[n:]]", "images"),
        "the two have changed places: training images come first, those held out second, and these are n",
        ("images[order[n:]], images[order[:n]]", "images[order[:n]], images[order[n:]]"),
        "both are the images that are held out: train on the others",
        ("order[n:]", "order[:n]"),
        "both are the images to train on: hold out the others",
        ("order[:n]", "order[n:]"),
        "one image is in both parts: begin where the other part ends",
        ("order[n:]", "order[n - 1 :]"),
        "one image is in neither part: begin where the other part ends",
        ("order[n:]", "order[n + 1 :]"),
        "the order is not used: images lie in a file as they were made, and its first n are not like the rest",
        ("images[order[n:]], images[order[:n]]", "images[n:], images[:n]"),
        "the order is not used: images lie in a file as they were made, and its last n are not like the rest",
        ("images[order[n:]], images[order[:n]]", "images[:-n], images[-n:]"),
        "one part follows the order and the other does not, so that some images are in both and some in neither",
        ("order[:n]", ":n"),
        "one part follows the order and the other does not, so that images are in both parts or in neither: use it for "
        "those to train on, too",
        ("images[order[n:]]", "images[n:]"),
        "it draws an order of its own: the order comes in, so that two runs hold out the same",
        lambda images, order, n: patients.two_parts(images, torch.randperm(len(images)), n),
        "it is their numbers: the images of these numbers are asked for",
        ("images[order[n:]], images[order[:n]]", "order[n:], order[:n]"),
        "n is the number to train on here: n is how many to hold out",
        ("images[order[n:]], images[order[:n]]", "images[order[:n]], images[order[n : 2 * n]]"),
        "only the images to train on are returned: those held out are asked for, too",
        ("images[order[n:]], images[order[:n]]", "images[order[n:]]"),
        "only the images that are held out are returned: those to train on come first",
        ("images[order[n:]], images[order[:n]]", "images[order[:n]]"),
        "the images are floats now: leave them as they are, uint8",
        ("images[order[n:]], images[order[:n]]", "images[order[n:]] / 255, images[order[:n]] / 255"),
        "images are drawn with replacement, so that some are twice there and some not at all",
        lambda images, order, n: (
            images[order[n:][torch.randint(len(order) - n, (len(order) - n,))]],
            images[order[:n]],
        ),
    ),
)


# --- one layer after the other --------------------------------------------------------------------------------------

NO_MODULE = "it returns no module: the layers are to be one module, whose parameters an optimiser finds"
ONE_FOR_ALL = (
    "it is patient G's own line, or like it: one layer stands at every place, so that there are the weights of one; "
    "make a new one for each"
)
COPIES = "the layers are copies of one: they begin with the same weights; call make() for each"
MADE = "it does not call make() once for each layer"
NOT_FOUND = (
    "not all weights of its layers are among parameters(): kept in a plain list they are out of the optimiser's sight; "
    "nn.Sequential or nn.ModuleList registers them"
)
FOREIGN = "there are parameters in it that are none of the layers that make() made"
NOT_CALLED = "it cannot be called with (N, features), as a list of modules cannot: nn.Sequential puts one after another"
NOT_IN_TURN = "what it gives is not what the layers give one after the other, each taking what the one before it gave"
ONLY_LAST = "only the last layer decides: each takes what the one before it gave, not the input"
ADDED = "the layers stand side by side, and what they give is added: they are to come one after the other"
FROZEN = "its weights are frozen (requires_grad is False): an optimiser could not move them"
CUT_OFF = (
    "what it gives is right, but no gradient reaches all of its weights and what stands before them: no detach, no "
    "torch.no_grad"
)
MODES = "what it gives differs between train() and eval(): all layers are to be used in both"
RESIDUAL = "what goes into a layer is added to what it gives: one after the other is asked for, without a way around"


def _check_stack(answer: Callable, exercise: Exercise) -> None:
    """n layers of their own, registered, one after the other."""
    for n in (3, 1, 4):
        seed_cpu(n)
        made: list[nn.Module] = []

        def make(made: list[nn.Module] = made) -> nn.Module:
            made.append(nn.Sequential(nn.Linear(5, 5), nn.Tanh()))
            return made[-1]

        stack = answer(make, n)
        if not isinstance(stack, nn.Module):
            raise Misconception(NO_MODULE)
        _check_weights(stack, made, n)
        _check_turns(stack, made)
        _check_learning(stack)


def _check_weights(stack: nn.Module, made: list[nn.Module], n: int) -> None:
    values, theirs = ([tuple(w.flatten().tolist()) for w in of] for of in (stack.parameters(), _weights(made)))
    places = len(list(stack.named_parameters(remove_duplicate=False)))
    if places > len(values) or (n > 1 and len(made) == 1 and len(values) == 2):
        raise Misconception(ONE_FOR_ALL)
    if len(set(values)) < len(values):
        raise Misconception(COPIES)
    if len(made) != n:
        raise Misconception(f"{MADE}: {len(made)} times, where n is {n}")
    if set(theirs) - set(values):  # a copy of each layer is as good
        raise Misconception(NOT_FOUND)
    if set(values) - set(theirs):
        raise Misconception(FOREIGN)


def _weights(layers: list[nn.Module]) -> Iterator[Tensor]:
    return (weight for layer in layers for weight in layer.parameters())


def _check_turns(stack: nn.Module, made: list[nn.Module]) -> None:
    x = _randn(1, 4, 5)
    try:
        given = stack(x)
    except Exception as error:
        raise Misconception(NOT_CALLED) from error

    def is_given(*orders: Tensor) -> bool:
        return any(given.shape == y.shape and torch.allclose(given, y, atol=1e-5) for y in orders)

    if not isinstance(given, Tensor):
        raise Misconception(NOT_IN_TURN)
    if is_given(*(functools.reduce(lambda h, layer: layer(h), layers, x) for layers in (made, made[::-1]))):
        return
    each = [layer(x) for layer in made]
    if is_given(each[-1], each[0]):
        raise Misconception(ONLY_LAST)
    if is_given(sum(each), sum(each) / len(each)):
        raise Misconception(ADDED)
    if is_given(functools.reduce(lambda h, layer: h + layer(h), made, x)):
        raise Misconception(RESIDUAL)
    raise Misconception(NOT_IN_TURN)


def _check_learning(stack: nn.Module) -> None:
    """Do gradients pass, in either mode of which it gives the same?"""
    weights = list(stack.parameters())
    if not all(weight.requires_grad for weight in weights):
        raise Misconception(FROZEN)
    x = _randn(1, 4, 5).requires_grad_()
    given = [stack.train(mode)(x) for mode in (True, False)]
    if not torch.allclose(*given, atol=1e-5):
        raise Misconception(MODES)
    for y in given:
        slopes = torch.autograd.grad(y.square().sum(), [x, *weights], allow_unused=True) if y.requires_grad else [None]
        if any(slope is None or slope.abs().max() == 0 for slope in slopes):
            raise Misconception(CUT_OFF)


class _Layers(nn.Module):
    """n layers made and kept by one function, used by another."""

    def __init__(self, layers: Any, use: Callable):
        super().__init__()
        self.layers, self.use = layers, use

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self.layers, x)


def _in_turn(layers: Any, x: Tensor) -> Tensor:
    return functools.reduce(lambda h, layer: layer(h), layers, x)


def _stacked(use: Callable, keep: Callable = nn.ModuleList) -> Callable:
    return lambda make, n: _Layers(keep([make() for _ in range(n)]), use)


def _copied(make: Callable, n: int) -> nn.Module:
    layer = make()
    return nn.Sequential(*[copy.deepcopy(layer) for _ in range(n)])


def _one_at_each_place(make: Callable, n: int) -> nn.Module:
    layer = make()
    return _Layers(layer, lambda layer, x: functools.reduce(lambda h, _: layer(h), range(n), x))


STACKED = Exercise(
    id="12.21",
    title="The mend of G",
    reference=patients.stacked,
    hints=(
        "How often is make() called in [make()] * n, and what does a list times n hold?",
        "n calls make n layers: write the call where it is repeated, in a comprehension or a loop, not before it.",
        "layers = [SOMETHING for _ in range(n)]\nreturn torch.nn.Sequential(SOMETHING)",
    ),
    check=_check_stack,
    wrong=wrong_answers(
        ONE_FOR_ALL,
        patients.repeated,
        COPIES,
        _copied,
        f"{MADE}: 2 times, where n is 3",
        lambda make, n: nn.Sequential(*[make() for _ in range(n - 1)]),
        f"{MADE}: 4 times, where n is 3",
        lambda make, n: nn.Sequential(*[make() for _ in range(n + 1)]),
        NOT_FOUND,
        _stacked(_in_turn, keep=list),
        FOREIGN,
        lambda make, n: nn.Sequential(*[make() for _ in range(n)], nn.Linear(5, 5)),
        NOT_CALLED,
        lambda make, n: nn.ModuleList([make() for _ in range(n)]),
        NO_MODULE,
        lambda make, n: [make() for _ in range(n)],
        NOT_IN_TURN,
        lambda make, n: nn.Sequential(*[nn.Sequential(make(), nn.ReLU()) for _ in range(n)]),
        ONLY_LAST,
        _stacked(lambda layers, x: [layer(x) for layer in layers][-1]),
        ADDED,
        _stacked(lambda layers, x: sum(layer(x) for layer in layers)),
        RESIDUAL,
        _stacked(lambda layers, x: functools.reduce(lambda h, layer: h + layer(h), layers, x)),
        FROZEN,
        lambda make, n: patients.stacked(make, n).requires_grad_(False),
        CUT_OFF,
        _stacked(lambda layers, x: _in_turn(layers, x.detach())),
    ),
)


# --- what a critic learns from --------------------------------------------------------------------------------------


def _logit_probes():
    """Several places, one, as many as pictures; unequal numbers of pictures."""
    return [
        (1.5 * _randn(1, 6, 3) + 0.5, 1.2 * _randn(2, 6, 3) - 0.8),
        (_randn(3, 5, 1, dtype=torch.float64), 2 * _randn(4, 5, 1, dtype=torch.float64) + 0.3),
        (1.3 * _randn(5, 4, 4), _randn(6, 4, 4) + 1),
        (2 * _randn(7, 3, 2), _randn(8, 5, 2) - 0.4),
    ]


def _sure_probes():
    """Right and wrong beyond doubt."""
    far = torch.tensor([[200.0, -200.0], [30.0, -30.0]])
    right = far.abs().double()
    return [(far, far.flip(1)), (far.double(), -3 * far.double()), (far[:1], far[1:]), (right, -right)]


SURE = (
    "it is wrong where the critic is very sure: log(sigmoid(d)) loses its digits or is infinite there, and an epsilon "
    "or a clamp only hides it; softplus, logsigmoid and binary_cross_entropy_with_logits are exact"
)

REAL_AND_MADE = Exercise(
    id="12.22",
    title="The mend of H",
    reference=patients.real_and_made,
    hints=(
        "Which pictures should get a large logit, and which a small one? Put a critic that says the same of all in "
        "this patient's line: what does it pay?",
        "The mean of -log sigmoid(d) over real pictures, and that of -log(1 - sigmoid(d)) over made ones; -log "
        "sigmoid(d) = softplus(-d), and 1 - sigmoid(d) = sigmoid(-d).",
        "of_real = F.softplus(SOMETHING).mean()\nof_made = F.softplus(SOMETHING).mean()\nreturn of_real + of_made",
    ),
    check=compares(_logit_probes, gradients=True, harder=[(SURE, _sure_probes)]),
    wrong=wrong_answers(
        "it is patient H's own line: made pictures are to be called real, too, and a critic that says so of all has "
        "learned it",
        patients.both_real,
        "real and made have changed places: the critic would learn to take the one for the other",
        ("F.softplus(-d_real).mean() + F.softplus(d_made)", "F.softplus(d_real).mean() + F.softplus(-d_made)"),
        "both are called made: a critic that says so of all has learned it",
        ("F.softplus(-d_real)", "F.softplus(d_real)"),
        "its sign is flipped: it is a loss, which the critic lowers",
        ("return F.softplus(-d_real).mean() + F", "return -F.softplus(-d_real).mean() - F"),
        "one term is subtracted from the other: both are losses, and both are to be low",
        (".mean() + F", ".mean() - F"),
        "it is halved: the two means are added",
        lambda d_real, d_made: patients.real_and_made(d_real, d_made) / 2,
        "it is a sum: pictures and places are averaged, or a larger picture would count for more",
        ("(-d_real).mean()", "(-d_real).sum()", "(d_made).mean()", "(d_made).sum()"),
        "it adds up the places: they are averaged, as the pictures are",
        ("(-d_real).mean()", "(-d_real).sum(1).mean()", "(d_made).mean()", "(d_made).sum(1).mean()"),
        "it gives a number for each picture: a scalar is asked for, so average over pictures, too",
        ("(-d_real).mean()", "(-d_real).mean(1)", "(d_made).mean()", "(d_made).mean(1)"),
        "it gives a number for each place: a scalar is asked for, so average over places and pictures",
        ("(-d_real).mean()", "(-d_real)", "(d_made).mean()", "(d_made)"),
        "the made pictures are left out: a critic that takes everything for real would be right",
        (" + F.softplus(d_made).mean()", ""),
        "the real pictures are left out: a critic that takes nothing for real would be right",
        ("F.softplus(-d_real).mean() + ", ""),
        "logits are averaged before softplus: each place has to be sure, not their mean",
        ("F.softplus(-d_real).mean()", "F.softplus(-d_real.mean())", "(d_made).mean()", "(d_made.mean())"),
        "it is the hinge loss of notebook 08: here each picture is to be more and more certain, -log sigmoid(d)",
        lambda d_real, d_made: F.relu(1 - d_real).mean() + F.relu(1 + d_made).mean(),
        "softplus is left out: without it the critic can make this as low as it likes",
        lambda d_real, d_made: d_made.mean() - d_real.mean(),
        "it is the probability of being wrong: where the critic is wrong and sure of it, that has no slope; take -log",
        lambda d_real, d_made: (-d_real).sigmoid().mean() + d_made.sigmoid().mean(),
        "a sigmoid stands before softplus: the logits are used as they are",
        ("(-d_real)", "(-d_real.sigmoid())", "(d_made)", "(d_made.sigmoid())"),
        "it is the squared distance from 1 and 0: the logits are those of probabilities, -log sigmoid(d)",
        lambda d_real, d_made: (d_real - 1).square().mean() + d_made.square().mean(),
        "it is in bits: nats are asked for",
        lambda d_real, d_made: patients.real_and_made(d_real, d_made) / math.log(2),
        "it is a number without a graph: return the tensor, so that the critic can learn from it",
        (".mean() + F.softplus(d_made).mean()", ".mean().item() + F.softplus(d_made).mean().item()"),
        "its values are right, but the critic learns nothing at all: detach nothing",
        lambda d_real, d_made: patients.real_and_made(d_real, d_made).detach(),
        "its values are right, but the critic learns nothing from made pictures: it is they that were cut off from "
        "their painter, not what is said of them",
        ("softplus(d_made)", "softplus(d_made.detach())"),
        "its values are right, but the critic learns nothing from real pictures: detach nothing",
        ("(-d_real)", "(-d_real.detach())"),
    ),
)


EXERCISES = (
    *(PRICE_OF_A_NAT, PATIENT_A, PATIENT_B, PATIENT_E, WEIGHED, ERROR),
    *(PATIENT_C, PATIENT_D, PATIENT_J, SCALE, OF_ONE),
    *(PATIENT_F, PATIENT_K, PATIENT_I, STATISTICS_OF_TRAINING, WITH_NOISE, TWO_PARTS),
    *(PATIENT_G, PATIENT_L, PATIENT_H, STACKED, REAL_AND_MADE),
)
