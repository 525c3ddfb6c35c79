"""The exercises of notebook 02, the VAE derived: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from vae_helpers.exercises.checks import close_to, compares
from vae_helpers.exercises.definition import Exercise, wrong_answers


def _randn(seed, dtype=torch.float64):
    """Draws of N(0, 1) of given shapes, one after the other."""
    one = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=one, dtype=torch.float64).to(dtype)


def _wide():
    """log_var (4, 1) far out, where a clamp or an epsilon shows."""
    return torch.tensor([[12.0], [-12.0], [25.0], [-25.0]], dtype=torch.float64)


_CLAMPED = "log_var is clamped, or an epsilon is added: the equation holds for every log_var as it is"


def gaussian_log_prob(x, mu, log_var):
    """log N(x; mu, exp(log_var)) in nats, summed over the last dimension: (..., D) -> (...)."""
    each = -0.5 * ((x - mu).square() / log_var.exp() + log_var + math.log(2 * math.pi))  # (..., D), eq. (2.3)
    return each.sum(-1)


def _gaussian_probes():
    randn, single = _randn(1), _randn(1, torch.float32)
    return [
        (randn(5, 3), randn(5, 3), randn(5, 3)),
        (randn(4, 1, 2), randn(6, 2), randn(2)),
        (randn(7, 3), randn(2, 7, 3), randn(1).expand(3)),
        (single(3, 2), single(3, 2), single(3, 2)),
    ]


_UNDERFLOW = "it takes the log of a density, which is zero to a computer far from mu: exp and log cancel, on paper"

GAUSSIAN_LOG_PROB = Exercise(
    id="02.1",
    title="The log-density of a Gaussian",
    reference=gaussian_log_prob,
    hints=(
        "Take the log of the density of one dimension first: an exponential becomes a square, a product a sum. "
        "Then ask what independent dimensions do to a log-density.",
        "Equation (2.3): -1/2 [ (x - mu)^2 / exp(log_var) + log_var + log(2 pi) ], summed over the last dimension.",
        "each = -0.5 * (SQUARED DISTANCE / VARIANCE + log_var + math.log(2 * math.pi))\nreturn each.SOMETHING(-1)",
    ),
    check=compares(
        _gaussian_probes,
        gradients=("mu", "log_var"),
        tolerance=1e-10,
        harder=[
            (_CLAMPED, lambda: [(torch.exp(_wide() / 2), 0 * _wide(), _wide())]),
            (_UNDERFLOW, lambda: [(10 * _wide(), 0 * _wide(), 0 * _wide())]),
        ],
    ),
    wrong=wrong_answers(
        _CLAMPED,
        lambda x, mu, log_var: gaussian_log_prob(x, mu, log_var.clamp(-5, 5)),
        _UNDERFLOW,
        ("each.sum(-1)", "each.exp().log().sum(-1)"),
        "it averages over the dimensions: independent dimensions multiply their densities, so their logs add up",
        ("sum", "mean"),
        "its sign is flipped: this is the negative log-density, a loss; a log-density falls as x moves away from mu",
        ("-0.5", "0.5"),
        "it reads log_var as the log of a standard deviation: exp(log_var) is already the variance",
        ("log_var.exp() + log_var", "(2 * log_var).exp() + 2 * log_var"),
        "the log_var term lacks its one half: the normaliser holds log sigma, and log sigma is log_var / 2",
        ("+ log_var", "+ 2 * log_var"),
        "the squared distance lacks its one half",
        ("((x - mu)", "(2 * (x - mu)"),
        "the one half in front of everything is missing",
        ("-0.5 * ", "-"),
        "the constant log(2 pi) is missing: as a loss that does no harm, but then exp of it does not integrate to one",
        (" + math.log(2 * math.pi)", ""),
        "the normaliser lacks log_var: a wide Gaussian has to be lower than a narrow one",
        (" + log_var", ""),
        "it divides the squared distance by the standard deviation: exp(log_var / 2) is not the variance",
        ("log_var.exp()", "(log_var / 2).exp()"),
        "it gives a value for each dimension: what is asked for is the log-density of the whole vector, so sum over "
        "the last dimension",
        (".sum(-1)", ""),
    ),
)


def log10_draws():
    """log10 of the draws needed for a relative standard error of 0.1, when c = 3 for each of 20 pixels."""
    c_of_one_pixel, pixels, relative_error = 3.0, 20, 0.1
    c_of_all = (1 + c_of_one_pixel) ** pixels - 1  # eq. (2.8)
    return math.log10(c_of_all / relative_error**2)  # eq. (2.7), solved for K


_C20 = 4.0**20 - 1

LOG10_DRAWS = Exercise(
    id="02.2",
    title="How many draws from the prior?",
    reference=log10_draws,
    hints=(
        "First the relative variance of a single draw for all 20 pixels together, then how many draws bring it "
        "down to what is asked for. Mind which of the two numbers is a standard error and which a variance.",
        "Equations (2.7) and (2.8): ((1 + c)^D - 1) / K = (relative standard error)^2. Solve for K.",
        "c_of_all = (1 + 3) ** 20 - 1\nmath.log10(c_of_all / SOMETHING)",
    ),
    check=close_to(tolerance=4e-4),
    wrong=wrong_answers(
        "that is rounded too far: two digits after the point are asked for",
        14,
        "this is the answer for a relative *variance* of 0.1: a standard error of 0.1 is a variance of 0.01",
        math.log10(_C20 / 0.1),
        "the relative variance does not add up over the pixels: the densities multiply, and so do the factors 1 + c",
        math.log10(60 / 0.01),
        "it multiplies c where 1 + c is multiplied: see equation (2.8)",
        math.log10((3.0**20 - 1) / 0.01),
        "this is the number of draws itself: its logarithm to base 10 is asked for",
        _C20 / 0.01,
        "this is the natural logarithm: the one to base 10 is asked for",
        math.log(_C20 / 0.01),
        "this is the relative variance of one draw: K still has to bring it down to 0.01",
        math.log10(_C20),
        "the accuracy goes the wrong way: more draws are needed than the relative variance of one, not fewer",
        math.log10(_C20 * 0.01),
    ),
    kind="value",
)


def kl_to_standard_normal(mu, log_var):
    """KL(N(mu, exp(log_var)) || N(0, I)) in nats, summed over the latent dimensions: (N, D), (N, D) -> (N,)."""
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)  # eq. (2.14)


def _kl_probes():
    randn, single = _randn(2), _randn(2, torch.float32)
    return [(randn(6, 4), randn(6, 4)), (2 * randn(3, 1), randn(3, 1) - 2), (single(5, 3), single(5, 3))]


KL_TO_STANDARD_NORMAL = Exercise(
    id="02.3",
    title="The KL from q to the prior",
    reference=kl_to_standard_normal,
    hints=(
        "It has to be zero at mu = 0, log_var = 0 and positive everywhere else. What is exp(log_var)?",
        "Equation (2.14): 1/2 sum over d of ( mu_d^2 + exp(log_var_d) - 1 - log_var_d ).",
        "each = mu.square() + VARIANCE - 1 - log_var  # (N, D)\nreturn 0.5 * each.SOMETHING(-1)",
    ),
    check=compares(_kl_probes, tolerance=1e-10, gradients=True, harder=[(_CLAMPED, lambda: [(0 * _wide(), _wide())])]),
    wrong=wrong_answers(
        _CLAMPED,
        lambda mu, log_var: kl_to_standard_normal(mu, log_var.clamp(-5, 5)),
        "it averages over the images too: keep one KL for each, shape (N,)",
        (".sum(-1)", ".sum(-1).mean()"),
        "it averages over the latents: the KL of independent dimensions is the sum of theirs; a mean weighs the KL "
        "down against a summed likelihood, a beta that nobody chose",
        ("sum", "mean"),
        "the one half is missing",
        ("0.5 * ", ""),
        "its sign is flipped: a KL divergence is never negative",
        ("0.5", "-0.5"),
        "it reads log_var as the log of a standard deviation: exp(log_var) is already the variance",
        ("log_var.exp() - 1 - log_var", "(2 * log_var).exp() - 1 - 2 * log_var"),
        "it is not zero when q is the prior itself: look for the missing -1",
        (" - 1", ""),
        "mu enters without its square: moving q to the left must cost as much as moving it to the right",
        (".square()", ""),
        "it uses the standard deviation exp(log_var / 2) where the variance belongs",
        ("log_var.exp()", "(log_var / 2).exp()"),
        "this is the divergence the other way round, KL(N(0, I) || q): the expectation has to be taken under q",
        ("mu.square() + log_var.exp() - 1 - log_var", "(1 + mu.square()) * (-log_var).exp() - 1 + log_var"),
        "it gives a value for each latent dimension: sum over the last one",
        (".sum(-1)", ""),
    ),
)


def linear_gaussian_posterior(x, W, b, sigma):
    """Mean (N, D) and covariance (D, D) of p(z | x) for x (N, P), W (P, D), b (P,) and a scalar sigma."""
    M = W.T @ W + sigma**2 * torch.eye(W.shape[1], dtype=W.dtype, device=W.device)  # (D, D)
    mean = torch.linalg.solve(M, W.T @ (x - b).T).T  # (N, D), eq. (2.21)
    covariance = sigma**2 * torch.linalg.inv(M)
    return mean, covariance


def _posterior_probes():
    randn = _randn(3)

    def probe(n, p, d, sigma, scale=1.0):
        return randn(n, p), scale * randn(p, d), randn(p), torch.tensor(sigma, dtype=torch.float64)

    return [probe(5, 4, 2, 0.7), probe(3, 6, 3, 1.6), probe(4, 5, 2, 0.05, 0.05)]


LINEAR_GAUSSIAN_POSTERIOR = Exercise(
    id="02.4",
    title="The posterior of the linear-Gaussian model",
    reference=linear_gaussian_posterior,
    hints=(
        "Precisions add: one part comes from the prior, one from the pixels. Everything else is one linear solve.",
        "Equation (2.21): M = W^T W + sigma^2 I; mean M^-1 W^T (x - b); covariance sigma^2 M^-1.",
        "M = W.T @ W + SOMETHING * torch.eye(W.shape[1], dtype=W.dtype)\n"
        "mean = torch.linalg.solve(M, W.T @ SOMETHING.T).T  # (N, D)\n"
        "return mean, SOMETHING * torch.linalg.inv(M)",
    ),
    check=compares(_posterior_probes, tolerance=1e-7),
    wrong=wrong_answers(
        "the prior is missing: without its unit precision this is least squares, which trusts the pixels alone",
        (" + sigma**2 * torch.eye(W.shape[1], dtype=W.dtype, device=W.device)", ""),
        "it adds sigma where sigma^2, a variance, belongs",
        ("sigma**2 * torch.eye", "sigma * torch.eye"),
        "it takes sigma for a variance throughout: it is the standard deviation, and sigma^2 stands in both places",
        ("sigma**2 * torch.eye", "sigma * torch.eye", "sigma**2 * torch.linalg", "sigma * torch.linalg"),
        "it adds I where sigma^2 I belongs: multiply the whole precision I + W^T W / sigma^2 by sigma^2",
        ("sigma**2 * torch.eye", "torch.eye"),
        "it forgets to take b away from x: z explains what is left over after the mean image",
        ("(x - b)", "x"),
        "the mean is right, but the covariance lacks its factor sigma^2: the less noise, the surer the code",
        ("sigma**2 * torch.linalg", "torch.linalg"),
        "the mean is right, but the second part is the precision: the covariance is its inverse",
        ("sigma**2 * torch.linalg.inv(M)", "M / sigma**2"),
        "the covariance is multiplied by sigma where it should be by sigma^2, the variance of the noise",
        ("sigma**2 * torch.linalg", "sigma * torch.linalg"),
    ),
)


def elbo_from_draws(x, logits, mu, log_var):
    """The ELBO of each image: x (N, P) of 0s and 1s, logits (S, N, P) at S draws of z, mu, log_var (N, D) -> (N,)."""
    target = x.expand_as(logits)  # (S, N, P)
    log_px = -F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)  # (S, N)
    kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)  # (N,), eq. (2.14)
    return log_px.mean(0) - kl  # eq. (2.13)


def _elbo_probe(dtype, n, s, p, d, spread=2.0):
    randn = _randn(4, dtype)
    return (randn(n, p) > 0).to(dtype), spread * randn(s, n, p), randn(n, d), randn(n, d)


def _elbo_probes():
    shapes = ((torch.float64, 5, 3, 7, 2), (torch.float64, 4, 1, 3, 4), (torch.float32, 3, 2, 5, 2))
    return [_elbo_probe(*shape) for shape in shapes]


def _sure_decoders():
    """Logits so large that the sigmoid is 0 or 1 to a computer, in both precisions."""
    return [_elbo_probe(dtype, 4, 2, 6, 2, spread=400.0) for dtype in (torch.float32, torch.float64)]


_UNSTABLE = (
    "it is right for small logits only: where the decoder is sure, the sigmoid is 0 or 1 to a computer, and its log is "
    "lost or clamped; F.logsigmoid, binary_cross_entropy_with_logits and Bernoulli(logits=...) take the logits"
)


def _bernoulli_of(p_of):
    """The ELBO with a wrong log-probability of the pixels: p_of(x, logits) -> (S, N, P)."""
    return lambda x, logits, mu, log_var: p_of(x, logits).sum(-1).mean(0) - kl_to_standard_normal(mu, log_var)


ELBO_FROM_DRAWS = Exercise(
    id="02.5",
    title="The ELBO of binary images",
    reference=elbo_from_draws,
    hints=(
        "Two terms. Ask of each dimension whether it is summed or averaged: pixels, latents, draws, images.",
        "Equation (2.13): mean over draws of [sum over pixels of x log p + (1 - x) log(1 - p)] with p = "
        "sigmoid(logits), minus the KL of equation (2.14). One number for each image.",
        "log_px = (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(SOMETHING)).sum(-1)  # (S, N)\n"
        "return log_px.SOMETHING(0) - kl_to_standard_normal(mu, log_var)",
    ),
    check=compares(
        _elbo_probes,
        gradients=("logits", "mu", "log_var"),
        harder=[
            (_UNSTABLE, _sure_decoders),
            (_CLAMPED, lambda: [(*_elbo_probe(torch.float64, 4, 2, 5, 1)[:3], _wide())]),
        ],
    ),
    wrong=wrong_answers(
        _UNSTABLE,
        _bernoulli_of(lambda x, logits: x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()),
        _CLAMPED,
        lambda x, logits, mu, log_var: elbo_from_draws(x, logits, mu, log_var.clamp(-5, 5)),
        "it takes the logits for probabilities: a logit may be any real number, and sigmoid(logit) is the probability",
        _bernoulli_of(lambda x, logits: x * logits.log() + (1 - x) * (1 - logits).log()),
        "it hands logits to binary_cross_entropy, which takes probabilities: ..._with_logits takes logits",
        _bernoulli_of(lambda x, p: -F.binary_cross_entropy(p, x.expand_as(p), reduction="none")),
        "it hands logits to Bernoulli as probabilities, its first argument: write Bernoulli(logits=logits)",
        _bernoulli_of(lambda x, logits: torch.distributions.Bernoulli(logits).log_prob(x)),
        "it squashes twice: the logits went through a sigmoid, and then into a function that takes logits",
        _bernoulli_of(lambda x, logits: torch.distributions.Bernoulli(logits=logits.sigmoid()).log_prob(x)),
        "it averages over the pixels: the log-probability of an image is the sum over its pixels; a mean makes the KL "
        "weigh as much as all pixels together, a beta that nobody chose",
        ('none").sum', 'none").mean'),
        "it sums over the draws: an expectation under q is their mean",
        ("log_px.mean", "log_px.sum"),
        "it adds the KL where the KL is a cost to be taken away",
        ("- kl", "+ kl"),
        "its sign is flipped: this is the negative ELBO, the loss of training",
        ("log_px.mean(0) - kl", "kl - log_px.mean(0)"),
        "the KL is missing: without it this is how well an autoencoder reconstructs, and no bound on log p(x)",
        (" - kl", ""),
        "it takes the log of a mean over the draws: the first term of the ELBO is the mean of the logs",
        ("log_px.mean(0)", "torch.logsumexp(log_px, 0) - math.log(len(logits))"),
        "it averages the KL over the latents while the likelihood is summed over pixels: a beta that nobody chose",
        ("log_var).sum", "log_var).mean"),
        "its KL lacks the one half",
        ("0.5 * ", ""),
        "it counts only the white pixels: a black pixel (x = 0) has a probability too, 1 - sigmoid(logit)",
        ('-F.binary_cross_entropy_with_logits(logits, target, reduction="none")', "(target * F.logsigmoid(logits))"),
        "it averages over the images too: keep one ELBO for each image, shape (N,)",
        ("log_px.mean(0) - kl", "(log_px.mean(0) - kl).mean()"),
    ),
)


def log_mean_exp(log_w):
    """log of the mean of exp(log_w) over the first dimension, without overflow: (K, ...) -> (...)."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))  # eq. (2.24)


def _weights_probes():
    randn = _randn(5)
    return [(2 * randn(5, 4),), (randn(3, 2, 4),), (randn(1, 3),), (randn(6, 1),), (randn(4, 2).float(),)]


def _weights_of_images():
    return [(3 * _randn(6)(10, 3) - 900,), (_randn(7)(4, 2, 3) + 900,)]


def _spread_weights():
    """The largest log-weight now comes first, now last, and each image's lie far from the others'."""
    column = torch.tensor([0.0, 900.0, 901.0, -900.0, 30.0], dtype=torch.float64)
    return [(torch.stack([column.roll(k) - 2000 * k for k in range(5)], 1),)]


_OVERFLOW = "exp leaves the range of numbers here: at log-weights near -900 it gives 0, near 900 infinity; keep to logs"
_SHIFT = "it shifts the log-weights, but not by the largest of each column, so that exp still gives infinity, or zeros"


LOG_MEAN_EXP = Exercise(
    id="02.6",
    title="The log of a mean",
    reference=log_mean_exp,
    hints=(
        "The log of a mean is not the mean of the logs. And exp(-900) is zero to a computer.",
        "Equation (2.24): log (1/K) sum_k exp(log w_k) = logsumexp(log w) - log K.",
        "torch.logsumexp(log_w, 0) - SOMETHING",
    ),
    check=compares(_weights_probes, harder=[(_OVERFLOW, _weights_of_images), (_SHIFT, _spread_weights)]),
    wrong=wrong_answers(
        _SHIFT,
        lambda log_w: log_w.mean(0) + (log_w - log_w.mean(0)).exp().mean(0).log(),
        "this is the mean of the logs, which is the ELBO again: the bound gets tighter only when the log is taken of "
        "the mean",
        lambda log_w: log_w.mean(0),
        "this is the log of the sum: divide by K inside the log, or the bound grows by log K and is none",
        (" - math.log(len(log_w))", ""),
        _OVERFLOW,
        lambda log_w: log_w.exp().mean(0).log(),
        "it divides the log by K: a division inside the log is a subtraction of log K outside",
        ("- math.log(len(log_w))", "/ len(log_w)"),
        "it keeps the largest log-weight only",
        lambda log_w: log_w.max(0).values,
        "log K goes in with the wrong sign",
        ("- math", "+ math"),
        "it goes over the last dimension, the images: the K draws lie along the first",
        ("0) - math.log(len(log_w))", "-1) - math.log(log_w.shape[-1])"),
        "it gives the mean weight, not its log",
        lambda log_w: log_w.exp().mean(0),
    ),
)

EXERCISES = (
    GAUSSIAN_LOG_PROB,
    LOG10_DRAWS,
    KL_TO_STANDARD_NORMAL,
    LINEAR_GAUSSIAN_POSTERIOR,
    ELBO_FROM_DRAWS,
    LOG_MEAN_EXP,
)
