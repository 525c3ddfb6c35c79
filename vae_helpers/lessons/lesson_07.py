"""The exercises of notebook 07: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace

import torch
from torch.distributions import Independent, MultivariateNormal, Normal

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
        (_randn(3, 3, 4, 3, dtype=torch.float64), _covariances(4, 3, 3, torch.float64)),
        (torch.tensor([[[1.6]], [[2.4]]]), torch.tensor([[[0.5]], [[0.7]]])),
        (_randn(5, 1, 2, 3), _covariances(6, 1, 3)),
    ]


FUSE = Exercise(
    id="07.1",
    title="One posterior out of several",
    reference=fuse,
    hints=(
        "Products add natural parameters. What are those of each observer, and what is the prior's share in them?",
        "Equation (7.3) with Lambda_0 = I and h_0 = 0: Lambda = I + the sum of (S_v^-1 - I), h = the sum of "
        "S_v^-1 m_v. Then the covariance is Lambda^-1 and the mean Lambda^-1 h.",
        "precisions = torch.linalg.inv(covariances)\n"
        "shift = sum(SOMETHING for P, m in zip(precisions, means))\n"
        "precision = eye + SOMETHING\n"
        "return torch.linalg.solve(precision, shift.T).T, torch.linalg.inv(precision)",
    ),
    check=compares(_fuse_probes),
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

    return [probe(1, 300, 4, 0.9), probe(11, 200, 3, 0.5), probe(21, 400, 2, 0.8, torch.float64)]


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
    check=compares(_coverage_probes, tolerance=1e-6),
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
        "every interval has one standard deviation, whatever `level` is",
        ("reach * sigma", "sigma"),
        "the distance is not made positive: a truth far below the interval counts as inside it",
        ("(truth - mean).abs()", "(truth - mean)"),
        "it counts the truths outside: the share inside is asked for",
        ("<=", ">"),
        "it asks whether all dimensions of a picture are inside at once: each counts by itself",
        (".double().mean()", ".all(1).double().mean()"),
        "it gives the level back: count how often the truth is inside",
        lambda mean, sigma, truth, level: level,
    ),
)


def two_diagonals(covariance):
    """Variances of the diagonals nearest to N(m, covariance), by KL(p || q) and KL(q || p): (D, D) -> (D,), (D,)."""
    precision = torch.linalg.inv(covariance)
    return covariance.diagonal(), 1 / precision.diagonal()  # eq. (7.5), (7.6)


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
        lambda: [(_covariances(1, 1, 3)[0],), (_covariances(2, 1, 5)[0],), (_covariances(3, 1, 2, torch.float64)[0],)]
    ),
    wrong=wrong_answers(
        "the two have changed places: KL(p || q) keeps the marginals",
        lambda covariance: two_diagonals(covariance)[::-1],
        "the second are precisions: one over them is the variance",
        ("1 / precision.diagonal()", "precision.diagonal()"),
        "both are the marginal variances: for KL(q || p), invert the whole matrix before its diagonal is read",
        ("1 / precision.diagonal()", "covariance.diagonal().clone()"),
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
    """A model of two views of x (N, 3), with a weight in what it answers and one in what its VAE knows of all of x."""
    own, teacher = (_randn(seed + k, 2, dtype=dtype).requires_grad_() for k in (1, 2))

    def encode(x, seen):
        mean = x[:, :2] * seen * own
        if correlated:
            return MultivariateNormal(mean, torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=dtype))
        return Independent(Normal(mean, 0.3 + 0.4 * (~seen).to(dtype)), 1)

    def encode_all(x):
        return Independent(Normal(x[:, 1:] * teacher, 0.2 + teacher.abs().expand(len(x), 2)), 1)

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
        return loss.detach(), *slopes

    return call


def _matching_probes():
    def probe(seed, n, correlated=False, dtype=torch.float32):
        return _toy(seed, correlated, dtype), _randn(seed, n, 3, dtype=dtype), _randn(seed + 5, n, 2) > 0

    return [probe(1, 4), probe(11, 6, True), probe(21, 3, dtype=torch.float64)]


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
    check=compares(_matching_probes, canonical=_with_slopes),
    wrong=wrong_answers(
        "the sign is wrong: a loss falls as the code becomes likelier under the answer",
        ("return -model", "return model"),
        "the code is drawn from the answer itself: draw it from what is known given everything, model.vae.encode(x)",
        lambda model, x, seen: -(q := model.encode(x, seen)).log_prob(q.rsample()),
        "the two have changed places: this asks the full posterior about draws of the answer, KL(q || p)",
        lambda model, x, seen: -model.vae.encode(x).log_prob(model.encode(x, seen).rsample()),
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

EXERCISES = (FUSE, COVERAGE, TWO_DIAGONALS, MATCHING)
