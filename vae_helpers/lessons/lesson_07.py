"""The exercises of notebook 07: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, wrong_answers


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def fuse(means, covariances):
    """The posterior given all views, from those given each: (V, N, D), (V, D, D) -> mean (N, D), covariance (D, D)."""
    prior = torch.eye(means.shape[-1], dtype=means.dtype, device=means.device)
    precisions = torch.linalg.inv(covariances)  # (V, D, D)
    shift = torch.einsum("vde,vne->nd", precisions, means)  # (N, D), the prior's is 0
    precision = prior + (precisions - prior).sum(0)  # eq. (7.3)
    covariance = torch.linalg.inv(precision)
    return shift @ covariance, covariance


def _covariances(seed, views, dims, dtype=torch.float32):
    root = _randn(seed, views, dims, dims, dtype=dtype)
    precision = torch.eye(dims, dtype=dtype) + root @ root.mT
    return torch.linalg.inv(precision)


def _fuse_probes():
    return [
        (_randn(1, 2, 3, 2), _covariances(2, 2, 2)),
        (_randn(3, 3, 4, 3), _covariances(4, 3, 3)),
        (torch.tensor([[[1.6]], [[2.4]]]), torch.tensor([[[0.5]], [[0.7]]])),
        (_randn(5, 1, 2, 3), _covariances(6, 1, 3)),
    ]


def _fuse_double_probes():
    """In double precision, the second with observers who know one direction each far better than the others."""
    edge = _randn(7, 2, 3, 1, dtype=torch.float64)
    sharp = torch.linalg.inv(torch.eye(3, dtype=torch.float64) + 100 * edge @ edge.mT)
    return [
        (_randn(3, 3, 4, 3, dtype=torch.float64), _covariances(4, 3, 3, torch.float64)),
        (_randn(8, 2, 4, 3, dtype=torch.float64), sharp),
    ]


INEXACT = (
    "it is right to a few digits only: compute in the dtype of the arguments, and add nothing to a matrix before you "
    "invert it, nor cut anything off"
)


FUSE = Exercise(
    id="07.1",
    title="One posterior out of several",
    reference=fuse,
    hints=(
        "Products add natural parameters. What are those of each observer, and what is the prior's share in them?",
        "Equation (7.3) with Lambda_0 = I and h_0 = 0: Lambda = I + the sum of (S_v^-1 - I), h = the sum of "
        "S_v^-1 m_v. Then the covariance is Lambda^-1 and the mean Lambda^-1 h.",
        "eye = torch.eye(means.shape[-1]).to(means)  # of the same dtype, on the same device\n"
        "precisions = torch.linalg.inv(covariances)\n"
        "shift = sum(SOMETHING for P, m in zip(precisions, means))\n"
        "precision = eye + SOMETHING\n"
        "return torch.linalg.solve(precision, shift.T).T, torch.linalg.inv(precision)",
    ),
    check=compares(_fuse_probes, tolerance=1e-10, harder=[(INEXACT, _fuse_double_probes)]),
    wrong=wrong_answers(
        "the prior is counted once for each view: every posterior contains it, so divide it out of each but one",
        ("prior + (precisions - prior).sum(0)", "precisions.sum(0)"),
        "the prior is missing: it is divided out of every posterior, and must be multiplied by once",
        ("prior + (precisions - prior).sum(0)", "(precisions - prior).sum(0)"),
        "the prior is counted once too often: each posterior contains it already",
        ("prior + (precisions - prior).sum(0)", "prior + precisions.sum(0)"),
        "the covariances are averaged: observers that agree make each other surer, so precisions add",
        lambda means, covariances: (means.mean(0), covariances.mean(0)),
        "each mean is weighted by its covariance: the surer observer, the one with the larger precision, counts more",
        ('"vde,vne->nd", precisions', '"vde,vne->nd", covariances'),
        "the means are added without their precisions: a shift is precision times mean",
        ('torch.einsum("vde,vne->nd", precisions, means)', "means.sum(0)"),
        "the second result is the precision: its inverse, the covariance, is asked for",
        ("shift @ covariance, covariance", "shift @ covariance, precision"),
        "the first result is the shift: multiply it by the covariance to get the mean",
        ("shift @ covariance, covariance", "shift, covariance"),
        "the covariance is inverted number by number: the inverse of a matrix is another one",
        ("torch.linalg.inv(covariances)", "1 / covariances"),
        "only the variances are used: what observers know of sums and differences stands in the covariances",
        lambda means, covariances: fuse(means, torch.diag_embed(torch.diagonal(covariances, dim1=1, dim2=2))),
    ),
)


def coverage(mean, sigma, truth, level):
    """The share of truths within the central `level` of Normal(mean, sigma): (N, D), (D,), (N, D), number -> number."""
    reach = math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64)).item()
    return ((truth - mean).abs() <= reach * sigma).double().mean().item()


def _coverage_probes():
    def probe(seed, n, dims, level, dtype=torch.float32):
        sigma = 0.3 + torch.rand(dims, generator=torch.Generator().manual_seed(seed + 1), dtype=dtype)
        return _randn(seed, n, dims, dtype=dtype), sigma, 1.5 * _randn(seed + 2, n, dims, dtype=dtype), level

    return [probe(1, 300, 4, 0.9), probe(11, 200, 3, 0.37), probe(21, 400, 2, 0.99, torch.float64)]


def _narrow_probes():
    """The last of them in units that are ten million times larger."""
    mean, sigma, truth, _ = _coverage_probes()[2]
    return [(1e-7 * mean, 1e-7 * sigma, 1e-7 * truth, 0.37)]


NARROW = "it is wrong where sigma is small: sigma needs no epsilon and no least value"


COVERAGE = Exercise(
    id="07.2",
    title="How often does an interval hold?",
    reference=coverage,
    hints=(
        "A central interval leaves equally much on both sides. How much is that, and how many standard deviations out?",
        "The interval reaches from the quantile (1 - level) / 2 to the quantile (1 + level) / 2 of the Gaussian; count "
        "the truths in it, over pictures and dimensions.",
        "reach = Normal(0.0, 1.0).icdf(torch.tensor(SOMETHING))\n"
        "inside = (truth - mean).abs() <= SOMETHING\n"
        "return inside.float().mean().item()",
    ),
    check=compares(_coverage_probes, tolerance=1e-6, harder=[(NARROW, _narrow_probes)]),
    wrong=wrong_answers(
        "the interval ends at the quantile `level` itself: that leaves 1 - level on each side, twice too much",
        lambda mean, sigma, truth, level: (
            ((truth - mean).abs() <= Normal(0.0, 1.0).icdf(torch.tensor(level)) * sigma).double().mean().item()
        ),
        "sigma is squared: an interval is as wide as the standard deviation says, not the variance",
        ("reach * sigma", "reach * sigma**2"),
        "the root of sigma is taken: it is a standard deviation already",
        ("reach * sigma", "reach * sigma**0.5"),
        "every interval has two standard deviations, whatever `level` is",
        ("reach * sigma", "2 * sigma"),
        "every interval has 1.96 standard deviations, as one of 95 % has: `level` is not used",
        ("reach * sigma", "1.96 * sigma"),
        "every interval has one standard deviation, whatever `level` is",
        ("reach * sigma", "sigma"),
        "the distance is not made positive: a truth far below the interval counts as inside it",
        ("(truth - mean).abs()", "(truth - mean)"),
        "it counts the truths outside: the share inside is asked for",
        ("<=", ">"),
        "it asks whether all dimensions of a picture are inside at once: each counts by itself",
        (".double().mean()", ".all(1).double().mean()"),
        "it gives the level back: count how often the truth is inside an interval that is not fitted to the truths",
        lambda mean, sigma, truth, level: level,
    ),
)


def two_diagonals(covariance):
    """Variances of the diagonals nearest to N(m, covariance), by KL(p || q) and KL(q || p): (D, D) -> (D,), (D,)."""
    precision = torch.linalg.inv(covariance)
    return covariance.diagonal(), 1 / precision.diagonal()  # eq. (7.5), (7.6)


def _unit_probes():
    """Covariances in double precision: nearly singular, and in very small and very large units."""
    line = _randn(4, 3, 1, dtype=torch.float64)
    ridge = line @ line.mT + 1e-4 * torch.eye(3, dtype=torch.float64)
    plain = _covariances(3, 1, 4, torch.float64)[0]
    return [(plain,), (ridge,), (1e-8 * plain,), (1e6 * plain,)]


UNITS = (
    "it is right to a few digits only, or only where variances are near one: compute in the covariance's dtype, add "
    "nothing before you invert or divide, and clamp nothing"
)

TWO_DIAGONALS = Exercise(
    id="07.3",
    title="Two diagonals",
    reference=two_diagonals,
    hints=(
        "Each of the two answers reads one diagonal. Of which matrices?",
        "KL(p || q) keeps the marginal variances, the diagonal of the covariance; KL(q || p) the conditional ones, one "
        "over the diagonal of the precision.",
        "precision = torch.linalg.inv(covariance)\n"
        "return torch.diagonal(SOMETHING), SOMETHING / torch.diagonal(SOMETHING)",
    ),
    check=compares(
        lambda: [(_covariances(1, 1, 3)[0],), (_covariances(2, 1, 5)[0],), (_covariances(3, 1, 2)[0],)],
        tolerance=1e-9,
        harder=[(UNITS, _unit_probes)],
    ),
    wrong=wrong_answers(
        "the two have changed places: KL(p || q) keeps the marginals",
        lambda covariance: two_diagonals(covariance)[::-1],
        "the second are precisions: one over them is the variance",
        ("1 / precision.diagonal()", "precision.diagonal()"),
        "both are the marginal variances: for KL(q || p), invert the whole matrix before its diagonal is read",
        ("1 / precision.diagonal()", "covariance.diagonal().clone()"),
        "the second are one over the variances: the diagonal of the precision is another one, invert the whole matrix",
        ("1 / precision.diagonal()", "1 / covariance.diagonal()"),
        "both are the conditional variances: KL(p || q) must cover p",
        ("covariance.diagonal(),", "1 / precision.diagonal(),"),
        "these are standard deviations: the variances are asked for",
        lambda covariance: tuple(v.sqrt() for v in two_diagonals(covariance)),
        "these are the eigenvalues, the variances along the ridge and across it: a diagonal q has the axes of z",
        lambda covariance: (torch.linalg.eigvalsh(covariance), torch.linalg.eigvalsh(covariance)),
    ),
)


def matching(model, x, seen):
    """-log q(z | x_seen) at one draw z ~ q(z | x), not differentiated: model, (N, ...), bool (N, V) -> (N,)."""
    with torch.no_grad():
        z = model.vae.encode(x).rsample()
    return -model.encode(x, seen).log_prob(z)  # eq. (7.7)


def _toy(seed, correlated=False, dtype=torch.float32):
    """A model of two views of x (N, 3, 1, 1), with weights in what it answers and in what its VAE knows of all of x."""
    own, teacher = (_randn(seed + k, 2, dtype=dtype).requires_grad_() for k in (1, 2))

    def encode(x, seen):
        mean = x[:, :2, 0, 0] * seen * own
        if correlated:
            return MultivariateNormal(mean, torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=dtype))
        return Independent(Normal(mean, 0.3 + 0.4 * (~seen).to(dtype)), 1)

    def encode_all(x):
        return Independent(Normal(x[:, 1:, 0, 0] * teacher, 0.2 + teacher.abs().expand(len(x), 2)), 1)

    return SimpleNamespace(vae=SimpleNamespace(encode=encode_all), encode=encode, weights=(own, teacher))


def _with_slopes(function):
    """The loss, and its slope by what the model answers with and by what its VAE knows."""

    @functools.wraps(function)
    def call(model, x, seen):
        loss = function(model, x, seen)
        if not isinstance(loss, torch.Tensor):
            return loss
        slopes = [torch.zeros(2, dtype=x.dtype)] * 2
        if loss.requires_grad:
            slopes = torch.autograd.grad(loss.sum(), model.weights, allow_unused=True, materialize_grads=True)
        own, teacher = slopes
        return {"loss": loss.detach(), "slope by the answer": own, "slope by the full posterior": teacher}

    return call


def _matching_probes():
    def probe(seed, n, correlated=False, dtype=torch.float32):
        return _toy(seed, correlated, dtype), _randn(seed, n, 3, 1, 1, dtype=dtype), _randn(seed + 5, n, 2) > 0

    return [probe(1, 4), probe(11, 6, True), probe(21, 3, dtype=torch.float64)]


def _surprised_probes():
    """A picture so far out that its code surprises the observers."""
    return [(_toy(31), 100 * _randn(32, 3, 3, 1, 1), _randn(36, 3, 2) > 0)]


SURPRISED = "it is wrong where the observers are surprised: a loss is large there, and nothing is to be clamped"


def _kl_to_answer(model, x, seen):
    q, answer = model.vae.encode(x), model.encode(x, seen)
    with torch.no_grad():
        z = q.rsample()
    return (q.log_prob(z) - answer.log_prob(z)).detach() - answer.log_prob(z) + answer.log_prob(z).detach()


MATCHING = Exercise(
    id="07.4",
    title="Match the full posterior",
    reference=matching,
    hints=(
        "Who draws, and who is asked how likely the draw was?",
        "Equation (7.7): z is drawn from model.vae.encode(x), inside torch.no_grad(); the loss is minus the log "
        "density of z under model.encode(x, seen).",
        "with torch.no_grad():\n    z = SOMETHING.rsample()\nreturn -SOMETHING.log_prob(z)",
    ),
    check=compares(_matching_probes, canonical=_with_slopes, harder=[(SURPRISED, _surprised_probes)]),
    wrong=wrong_answers(
        "the sign is wrong: a loss falls as the code becomes likelier under the answer",
        ("return -model", "return model"),
        "the code is drawn from the answer itself: draw it from what is known given everything, model.vae.encode(x)",
        lambda model, x, seen: -(q := model.encode(x, seen)).log_prob(q.rsample()),
        "the code is drawn from the answer itself, if without a gradient: draw it from model.vae.encode(x)",
        ("model.vae.encode(x)", "model.encode(x, seen)"),
        "the two have changed places: this asks the full posterior about draws of the answer, KL(q || p)",
        lambda model, x, seen: -model.vae.encode(x).log_prob(model.encode(x, seen).rsample()),
        "draw and density have changed places: whoever saw everything draws, and the answer is asked about the draw",
        lambda model, x, seen: -model.vae.encode(x).log_prob(model.encode(x, seen).sample()),
        "it is the KL in closed form: (7.7) asks for a draw, and of a mixture there would be no such form",
        lambda model, x, seen: kl_divergence(model.vae.encode(x), model.encode(x, seen)),
        "the gradient reaches the VAE: draw z inside torch.no_grad()",
        lambda model, x, seen: -model.encode(x, seen).log_prob(model.vae.encode(x).rsample()),
        "no gradient reaches the answer's network: only the draw belongs inside torch.no_grad()",
        lambda model, x, seen: matching(model, x, seen).detach(),
        "the mean code is used where a draw is asked for: the answer would then be too sure",
        ("model.vae.encode(x).rsample()", "model.vae.encode(x).mean"),
        "it is a number for the batch: a value for each picture is asked for",
        ("return -model.encode(x, seen).log_prob(z)", "return -model.encode(x, seen).log_prob(z).mean()"),
        "it asks the answer for the case that everything was seen: hand `seen` on",
        ("model.encode(x, seen)", "model.encode(x, torch.ones_like(seen))"),
        "what was not seen and what was have changed places",
        ("model.encode(x, seen)", "model.encode(x, ~seen)"),
        "it is a squared distance of means: how sure the answer is must count, too",
        lambda model, x, seen: (model.encode(x, seen).mean - model.vae.encode(x).mean.detach()).square().sum(-1),
        "log q(z | x) was added: it does not depend on the answer; leave it out, as (7.7) does",
        _kl_to_answer,
    ),
)


def ladder_level(mean, variance, shift, precision):
    """p's mean and variance, a message's shift and precision, (N, D) each -> q's mean and variance (N, D), KL (N,)."""
    variance_q = 1 / (1 / variance + precision)  # eq. (7.12), precisions add up
    mean_q = variance_q * (mean / variance + shift)  # and so do shifts
    ratio = variance_q / variance
    kl = 0.5 * (ratio + (mean_q - mean).square() / variance - 1 - ratio.log()).sum(-1)
    return mean_q, variance_q, kl


def _level_probes():
    """Two batches, variances and precisions well away from one; and a single number, as the notebook passes it."""
    return [
        (_randn(1, 3, 2), (0.7 * _randn(2, 3, 2)).exp(), _randn(3, 3, 2), _randn(4, 3, 2).exp()),
        (2 * _randn(5, 4, 3), 0.3 * _randn(6, 4, 3).exp(), 3 * _randn(7, 4, 3), 5 * _randn(8, 4, 3).exp()),
        (_randn(11, 1, 1), _randn(12, 1, 1).exp(), _randn(13, 1, 1), _randn(14, 1, 1).exp()),
    ]


def _silent_probes():
    """Messages that say nothing, the first of them or all."""
    mean, variance, shift, precision = _level_probes()[0]
    some = torch.tensor([0.0, 1.0, 1.0])[:, None]
    return [(mean, variance, some * shift, some * precision), (mean, variance, 0 * shift, 0 * precision)]


def _far_level_probes():
    """In double precision: p and the message from very vague to very sharp, and far apart."""
    mean, shift = _randn(9, 6, 3, dtype=torch.float64), _randn(10, 6, 3, dtype=torch.float64)
    variance = torch.tensor([1e-4, 1e-4, 1.0, 1.0, 1e3, 1e3], dtype=torch.float64)[:, None].expand(6, 3).clone()
    precision = torch.tensor([1e-3, 1e5, 1e-3, 1e5, 1e-3, 1e5], dtype=torch.float64)[:, None].expand(6, 3).clone()
    return [(mean, variance, (10 + shift) * precision, precision)]


SILENT = (
    "it fails where a message has no precision, as one that says nothing does: q is then p and the KL is 0; do not "
    "divide by the message's precision nor clamp it, and use its shift as it is"
)
FAR_LEVEL = (
    "it is right only where variances, precisions and the KL are moderate: compute in the arguments' dtype, add no "
    "epsilon and clamp nothing"
)

LADDER_LEVEL = Exercise(
    id="07.5",
    title="One level of the ladder",
    reference=ladder_level,
    hints=(
        "This is section 1 once more, with two who speak: the level above and the picture. Which two numbers of each "
        "are added? Then the KL of two Gaussians, of which neither is N(0, I).",
        "Equation (7.12): the precisions add up, 1 / variance_q = 1 / variance + precision, and so do the shifts, "
        "mean_q / variance_q = mean / variance + shift. KL = sum_d (r - 1 - log r + (mean_q - mean)^2 / variance) / 2 "
        "with r = variance_q / variance.",
        "variance_q = 1 / (1 / variance + SOMETHING)\n"
        "mean_q = variance_q * (mean / variance + SOMETHING)\n"
        "ratio = variance_q / variance\n"
        "kl = 0.5 * (ratio - 1 - ratio.log() + DISTANCE)  # (N, D)\n"
        "return mean_q, variance_q, kl.SOMETHING(-1)",
    ),
    check=compares(
        _level_probes,
        tolerance=1e-4,  # gradients in single precision
        gradients=True,
        harder=[(SILENT, _silent_probes), (FAR_LEVEL, _far_level_probes)],
    ),
    wrong=wrong_answers(
        "it takes the shift for a mean and multiplies it by the precision: the message's shift is that product already",
        ("mean / variance + shift", "mean / variance + precision * shift"),
        "the shift from above is missing its precision: p's shift is its mean divided by its variance",
        ("mean / variance + shift", "mean + shift"),
        "it adds the variance and the precision: turn p's variance into a precision first",
        ("1 / (1 / variance + precision)", "1 / (variance + precision)"),
        "it adds variances, as for a sum of two noises: in a product of Gaussians precisions add up",
        ("1 / (1 / variance + precision)", "variance + 1 / precision"),
        "this is the new precision and not the variance: turn it over",
        ("variance_q = 1 / (1 / variance + precision)", "variance_q = 1 / variance + precision"),
        "p is missing: this is the message alone; the level above has a say too, and is counted once",
        ("1 / (1 / variance + precision)", "1 / precision", "mean / variance + shift", "shift"),
        "the prior is taken for N(0, I): what is expected of this level comes from the level above",
        ("1 / (1 / variance + precision)", "1 / (1 + precision)", "mean / variance + shift", "shift"),
        "the sum of the shifts is still to be divided by the new precision",
        ("variance_q * (mean / variance + shift)", "mean / variance + shift"),
        "the KL is taken to N(0, I): each level pays for its distance from what the level above expected",
        (
            "ratio + (mean_q - mean).square() / variance - 1 - ratio.log()",
            "variance_q + mean_q.square() - 1 - variance_q.log()",
        ),
        "the KL is taken the other way round: q comes first",
        lambda mean, variance, shift, precision: (
            *(level := ladder_level(mean, variance, shift, precision))[:2],
            0.5
            * (variance / level[1] + (level[0] - mean).square() / level[1] - 1 - (variance / level[1]).log()).sum(-1),
        ),
        "the KL lacks its one half",
        ("0.5 * (ratio", "(ratio"),
        "the distance of the means is measured in q's variance: it is p whose width says what is surprising",
        ("square() / variance", "square() / variance_q"),
        "the distance of the means lacks its unit, p's variance",
        ("(mean_q - mean).square() / variance", "(mean_q - mean).square()"),
        "it reads the variances as standard deviations: log r has no factor 2, and r is not squared",
        ("ratio + (", "ratio.square() + (", "- ratio.log()", "- 2 * ratio.log()"),
        "the KL takes the variances for standard deviations: a Normal of torch is given the root, Normal(mean, scale)",
        (
            "ratio + (mean_q - mean).square() / variance",
            "ratio.square() + ((mean_q - mean) / variance).square()",
            "- ratio.log()",
            "- 2 * ratio.log()",
        ),
        "the log has the wrong sign: as written the KL of a Gaussian to itself would be 0, but a narrow q would gain",
        ("- ratio.log()", "+ ratio.log()"),
        "the 1 is missing: where the message says nothing the KL has to be 0",
        (" - 1 - ratio", " - ratio"),
        "the KL is averaged over the dimensions: independent dimensions add up",
        (".sum(-1)", ".mean(-1)"),
        "the KL is summed over the images too: give one number for each, shape (N,)",
        (".sum(-1)", ".sum()"),
        "the KL is given for each dimension: sum over them, one number for each image",
        (".sum(-1)", ""),
        "it gives the standard deviation where the variance is asked for",
        ("return mean_q, variance_q,", "return mean_q, variance_q.sqrt(),"),
    ),
)


def level_shares(draws, q, p):
    """Each level's share of the KL at one draw: draws (N, D_l) and distributions q, p, lists, z_1 first -> (L, N)."""
    shares = [a.log_prob(z) - b.log_prob(z) for z, a, b in zip(draws, q, p, strict=True)]  # eq. (7.11)
    return torch.stack(shares)


def _gaussian(seed: int, *shape: int) -> Independent:
    return Independent(Normal(_randn(seed, *shape), (0.5 * _randn(seed + 1, *shape)).exp()), 1)


def _share_probes():
    """Two levels whose top has the prior N(0, I), which has no batch, three of one size, and two of one picture."""
    draws, q, p = _levels(1, 4, (3, 2))
    p[-1] = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    return [(draws, q, p), _levels(50, 2, (2, 2, 2)), _levels(70, 1, (2, 3))]


def _levels(seed: int, n: int, sizes: tuple[int, ...]) -> tuple:
    q, p = ([_gaussian(seed + 10 * i + k, n, d) for i, d in enumerate(sizes)] for k in (0, 5))
    return [_randn(seed + 100 + i, n, d) for i, d in enumerate(sizes)], q, p


def _many_numbers():
    """Levels of so many numbers that no density can be written without its log."""
    return [_levels(90, 3, (150, 200))]


MANY = (
    "it fails where a level has many numbers, so that densities underflow and shares are large: subtract logs, and "
    "clamp nothing"
)


LEVEL_SHARES = Exercise(
    id="07.6",
    title="What a level costs, at a draw",
    reference=level_shares,
    hints=(
        "Two densities know the same draw of a level: q, which drew it, and p, which expected it.",
        "Equation (7.11): the share of level l is log q(z_l | ...) - log p(z_l | ...) at the draw z_l itself.",
        "shares = []\n"
        "for z, a, b in zip(draws, q, p):\n"
        "    shares.append(SOMETHING - SOMETHING)  # (N,)\n"
        "return torch.SOMETHING(shares)  # (L, N)",
    ),
    check=compares(_share_probes, harder=[(MANY, _many_numbers)]),
    wrong=wrong_answers(
        "it takes the KL in closed form: that averages over z_1 with p(z_1 | z_2) held fixed, but here z_2 was drawn "
        "from z_1 and moves with it; only the densities at the draws average to the right sum",
        lambda draws, q, p: torch.stack([kl_divergence(a, b) for a, b in zip(q, p, strict=True)]),
        "its sign is flipped: the KL is E[log q - log p], and q is the one that drew",
        ("a.log_prob(z) - b.log_prob(z)", "b.log_prob(z) - a.log_prob(z)"),
        "p is missing: this is log q alone, and what a level costs is what q says more than p expected",
        ("a.log_prob(z) - b.log_prob(z)", "a.log_prob(z)"),
        "q is missing: the noise of a draw is not charged, which is what + log q gives back",
        ("a.log_prob(z) - b.log_prob(z)", "-b.log_prob(z)"),
        "it compares densities and not their logs",
        ("a.log_prob(z) - b.log_prob(z)", "a.log_prob(z).exp() - b.log_prob(z).exp()"),
        "negative shares are cut off: at one draw p may well be the larger; only the mean over draws is a KL",
        ("a.log_prob(z) - b.log_prob(z)", "(a.log_prob(z) - b.log_prob(z)).clamp(min=0)"),
        "it is evaluated at the means of q: the draws are what the average is taken over",
        ("a.log_prob(z) - b.log_prob(z)", "a.log_prob(a.mean) - b.log_prob(a.mean)"),
        "the levels are added up: keep them apart, z_1's first, shape (L, N)",
        ("torch.stack(shares)", "sum(shares)"),
        "the images stand where the levels should: shape (L, N), a row for each level",
        ("torch.stack(shares)", "torch.stack(shares, 1)"),
        "it averages over the images: keep one number for each",
        ("torch.stack(shares)", "torch.stack(shares).mean(1)"),
        "z_L comes first: the order is that of the lists, z_1 first",
        ("torch.stack(shares)", "torch.stack(shares[::-1])"),
    ),
)


def redraw(levels, below, from_above, noise):
    """z_1 ... z_below drawn anew from the top down, the others kept: lists of L tensors (N, D_l), z_1 first."""
    levels = list(levels)
    for level in range(below - 1, -1, -1):
        above = None if level == len(levels) - 1 else levels[level + 1]
        p = from_above(level, above)  # p(z_l | z_{l+1}), eq. (7.9)
        levels[level] = p.mean + p.stddev * noise[level]
    return levels


class _FromAbove(nn.Module):
    """p(z_l | z_{l+1}) of a small model of three levels with 2, 3 and 2 numbers; N(0.5, 1.5^2) at the top."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.register_buffer("one", _randn(seed, 3, 4))
        self.register_buffer("two", _randn(seed + 1, 2, 6))

    def forward(self, level: int, parent: torch.Tensor | None) -> Independent:
        if parent is None:
            return Independent(Normal(torch.full((2,), 0.5), torch.full((2,), 1.5)), 1)  # not N(0, I): ask it
        mean, log_std = (parent @ (self.one, self.two)[level]).tanh().chunk(2, -1)
        return Independent(Normal(mean, (3 * log_std).exp()), 1)


def _redraw_probes():
    """One, two, all three and none of the levels drawn anew."""

    def codes(seed: int) -> list[torch.Tensor]:
        return [_randn(seed + i, 4, d) for i, d in enumerate((2, 3, 2))]

    return [(codes(10), below, _FromAbove(3), codes(20)) for below in (1, 2, 3, 0)]


REDRAW = Exercise(
    id="07.7",
    title="The lower levels drawn again",
    reference=redraw,
    hints=(
        "Nature draws the top first. Which level can be drawn next, once the kept ones are known? What does its "
        "distribution need to know?",
        "For l = below, below - 1, ..., 1: z_l = mean + std eps_l of p(z_l | z_{l+1}), with the z_{l+1} that was just "
        "drawn, or kept. Indices count from 0. The top level's distribution is from_above(L - 1, None).",
        "levels = list(levels)  # the learner's own list stays as it was\n"
        "for level in reversed(range(SOMETHING)):\n"
        "    above = None if level == len(levels) - 1 else SOMETHING\n"
        "    p = from_above(level, above)\n"
        "    levels[level] = p.mean + SOMETHING\n"
        "return levels",
    ),
    check=compares(_redraw_probes),
    wrong=wrong_answers(
        "the level above is the old one: go from the top down, and give each level the one above that was just drawn",
        ("range(below - 1, -1, -1)", "range(below)"),
        "one level too few is drawn: z_1 ... z_below, which are the indices 0 ... below - 1",
        ("range(below - 1, -1, -1)", "range(below - 1, 0, -1)"),
        "it stops above z_below: `below` levels are drawn anew",
        ("range(below - 1, -1, -1)", "range(below - 2, -1, -1)"),
        "the upper levels are drawn and the lower ones kept: it is the upper ones that decide what the rest depends on",
        ("range(below - 1, -1, -1)", "range(len(levels) - 1, len(levels) - 1 - below, -1)"),
        "all levels are drawn anew: those above z_below are kept",
        ("range(below - 1, -1, -1)", "range(len(levels) - 1, -1, -1)"),
        "no noise: these are the means, one and the same each time; draw, with the noise that is given",
        ("p.mean + p.stddev * noise[level]", "p.mean"),
        "it draws noise of its own: use the noise that is given, so that who calls can draw the same again",
        ("p.mean + p.stddev * noise[level]", "p.rsample(noise[level].shape[:1] if above is None else ())"),
        "it samples p as it is, at the top one code for all pictures: use the noise that is given",
        ("p.mean + p.stddev * noise[level]", "p.sample()"),
        "the top is the noise itself, as if its p were N(0, I): of the top it is from_above(L - 1, None)",
        ("p.mean + p.stddev * noise[level]", "noise[level] if above is None else p.mean + p.stddev * noise[level]"),
        "the noise is not scaled: a draw is the mean plus the standard deviation times the noise",
        ("p.stddev * noise[level]", "noise[level]"),
        "the noise is multiplied by the variance: a draw is the mean plus the standard deviation times the noise",
        ("p.stddev", "p.variance"),
        "the noise is added to the old code: the old lower levels are to be forgotten",
        ("p.mean + p.stddev", "levels[level] + p.stddev"),
        "the mean of p is missing: the level above has no say then",
        ("p.mean + p.stddev", "p.stddev"),
        "the top is drawn given itself: above it there is nothing, and its p is from_above(L - 1, None)",
        (
            "above = None if level == len(levels) - 1 else levels[level + 1]",
            "above = levels[min(level + 1, len(levels) - 1)]",
        ),
        "it gives the lowest level alone: return all levels, z_1 first",
        ("return levels", "return levels[0]"),
        "z_L comes first in the result: the order is that of the lists, z_1 first",
        ("return levels", "return levels[::-1]"),
        "it joins the levels into one vector: return a list, as you were given one",
        ("return levels", "return torch.cat(levels, -1)"),
    ),
)


EXERCISES = (FUSE, COVERAGE, TWO_DIAGONALS, MATCHING, LADDER_LEVEL, LEVEL_SHARES, REDRAW)
