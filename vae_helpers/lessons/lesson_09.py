"""The exercises of notebook 09: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributions import Beta, Distribution, Independent, MultivariateNormal, Normal

from vae_helpers.distributions import diagonal_gaussian
from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _rand(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def within_and_between(f):
    """S and B B^T, the covariances within sets and between them: thumbnails (M, K, F) -> (F, F), (F, F)."""
    sets, members = f.shape[:2]
    centres = f.mean(1)  # (M, F)
    within = (f - centres[:, None]).flatten(0, 1)  # (M K, F)
    S = within.T @ within / (sets * (members - 1))
    between = centres - centres.mean(0)  # (M, F)
    return S, between.T @ between / (sets - 1) - S / members  # of a mean of K members S / K is left


def _sets(seed: int, *shape: int, apart: float = 1.5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Thumbnails (M, K, F) about a mean that is not 0, sets `apart` times as far from it as their members from them."""
    (M, K, F), d = shape, 2
    own, shared = _randn(seed, F, F, dtype=dtype), _randn(seed + 1, F, d, dtype=dtype)
    styles, noise = _randn(seed + 2, M, 1, d, dtype=dtype), _randn(seed + 3, M, K, F, dtype=dtype)
    return 0.7 + apart * styles @ shared.T + 0.4 * noise @ own


def _set_probes():
    """M, K and F all different, the fewest sets of the fewest members, and all alike."""
    alike = _sets(34, 4, 4, 4, apart=3.0)
    return [(_sets(1, 6, 3, 4),), (_sets(10, 2, 2, 3, apart=3.0),), (_sets(20, 3, 5, 6),), (alike,)]


def _faint_probes():
    """In double precision: sets that do not differ, so that the difference is negative somewhere, and large units."""
    alike = _sets(40, 3, 4, 3, apart=0.0, dtype=torch.float64)
    return [(alike,), (1e-4 * _sets(50, 5, 3, 4, dtype=torch.float64),)]


FAINT = (
    "it is wrong where sets, or all thumbnails, hardly differ: B B^T is a difference that may come out negative, and "
    "that is how it stays unbiased; clamp nothing, add nothing, and compute in the dtype of f"
)


def _cut(f):
    S, BBt = within_and_between(f)
    values, vectors = torch.linalg.eigh(BBt)
    return S, vectors * values.clamp(min=0) @ vectors.mT


def _less(S, f):
    """With another S, taken off as it should be."""
    return S, torch.cov(f.mean(1).T) - S / f.shape[1]


WITHIN_AND_BETWEEN = Exercise(
    id="09.1",
    title="Within sets and between them",
    reference=within_and_between,
    hints=(
        "How far is a member from its own set's mean, and a set's mean from that of all? Would the means of sets "
        "differ if all sets had one style?",
        "S = the sum over all members of (f - mean of its set)(f - mean of its set)^T, over M (K - 1): each set has "
        "spent one degree of freedom on its mean. The covariance of the M means, with M - 1, has the expectation "
        "B B^T + S / K.",
        "centres = f.mean(SOMETHING)  # (M, F)\n"
        "within = (f - SOMETHING).flatten(0, 1)  # (M K, F)\n"
        "S = within.T @ within / SOMETHING\n"
        "between = centres - SOMETHING\n"
        "return S, between.T @ between / (len(f) - 1) - SOMETHING",
    ),
    check=compares(_set_probes, tolerance=1e-10, harder=[(FAINT, _faint_probes)]),
    wrong=wrong_answers(
        "S / K is not taken off: the means of sets of K differ by that much even where all sets have one style",
        (" - S / members", ""),
        "all of S is taken off: a mean of K members varies by S / K only, for independent noises average out",
        (" - S / members", " - S"),
        "S K is taken off: a mean of K members varies less than they do, by S / K",
        (" - S / members", " - S * members"),
        "S / (K - 1) is taken off: S is without bias already, and a mean of K members varies by S / K",
        (" - S / members", " - S / (members - 1)"),
        "S / M is taken off: a set's mean is one of K members, whatever the number of sets",
        (" - S / members", " - S / sets"),
        "S / K is added: the covariance of the means contains it, so take it off",
        (" - S / members", " + S / members"),
        "S is divided by M K: each set has spent one degree of freedom on its own mean, so M (K - 1) are left",
        ("(sets * (members - 1))", "(sets * members)"),
        "S is divided by M K - 1, as if one mean had been fitted: there are M of them, so M (K - 1) degrees are left",
        ("(sets * (members - 1))", "(sets * members - 1)"),
        "S is divided by K - 1 alone, which is the sum of the sets' covariances: pool them, with M (K - 1) degrees",
        ("(sets * (members - 1))", "(members - 1)"),
        "S is divided by (M - 1) K: it is each set that spends a degree of freedom, so M (K - 1) are left",
        ("(sets * (members - 1))", "((sets - 1) * members)"),
        "S is divided by (M - 1)(K - 1): the mean of all is not used within sets, so M (K - 1) degrees are left",
        ("(sets * (members - 1))", "((sets - 1) * (members - 1))"),
        "the means' covariance is divided by M: their own mean has spent one degree of freedom, so M - 1 are left",
        ("/ (sets - 1)", "/ sets"),
        "both are divided by how many there are, M K and M: a mean that is taken off spends a degree of freedom, so "
        "M (K - 1) and M - 1 are left",
        ("(sets * (members - 1))", "(sets * members)", "/ (sets - 1)", "/ sets"),
        "S is not divided: it is a sum of squares, and a covariance is their mean",
        (" / (sets * (members - 1))", ""),
        "S is taken about the mean of all thumbnails: what sets share is in it; use each set's own mean",
        ("f - centres[:, None]", "f - f.mean((0, 1))"),
        "S is the covariance of all thumbnails: what sets share is in it; use each set's own mean",
        lambda f: _less(torch.cov(f.flatten(0, 1).T), f),
        "S is the covariance of all thumbnails, divided by M K: what sets share is in it; use each set's own mean",
        lambda f: _less(torch.cov(f.flatten(0, 1).T, correction=0), f),
        "no mean is taken off within sets: these are second moments; use each set's own mean",
        ("f - centres[:, None]", "f"),
        "the means are not centred: take the mean of all sets off, or what all of them share counts as style",
        ("centres - centres.mean(0)", "centres"),
        "the second is the covariance of all thumbnails: what members differ by within their set is in it",
        lambda f: (within_and_between(f)[0], torch.cov(f.flatten(0, 1).T)),
        "the second is the covariance of all thumbnails less S: the K members of a set have one style together, so "
        "count sets: take the covariance of their M means",
        lambda f: (within_and_between(f)[0], torch.cov(f.flatten(0, 1).T) - within_and_between(f)[0]),
        "the second is K times too large, the mean square of an analysis of variance: divide by K, too",
        lambda f: (within_and_between(f)[0], f.shape[1] * within_and_between(f)[1]),
        "sets and members have changed places: f[i, k] is member k of set i, so the mean of a set is f.mean(1)",
        lambda f: within_and_between(f.transpose(0, 1)),
        "the two have changed places: S, within sets, comes first",
        lambda f: within_and_between(f)[::-1],
        "these are variances alone: how two numbers of a thumbnail vary together is asked for too, (F, F)",
        lambda f: tuple(C.diagonal() for C in within_and_between(f)),
        "only the diagonals are kept: how two numbers of a thumbnail vary together counts too",
        lambda f: tuple(C.diagonal().diag() for C in within_and_between(f)),
        "these are correlations: covariances keep the units of the thumbnails",
        lambda f: tuple(C / C.diagonal().outer(C.diagonal()).sqrt() for C in within_and_between(f)),
        "what is negative in B B^T is cut off: a covariance may be negative, and so may an estimate of a variance",
        lambda f: (within_and_between(f)[0], within_and_between(f)[1].clamp(min=0)),
        "negative eigenvalues of B B^T are cut off: then it is too large on average; leave the difference as it is",
        _cut,
    ),
)


def style_posterior(f, m, B, S):
    """q(s | f_1 ... f_K) where f_i = m + B s + e_i: (K, F), (F,), (F, d), (F, F) -> mean (d,), covariance (d, d)."""
    prior = torch.eye(B.shape[1], dtype=B.dtype, device=B.device)
    reading = torch.linalg.solve(S, B)  # S^-1 B, (F, d)
    precision = prior + len(f) * B.T @ reading  # each member says as much, the prior is counted once
    shift = (f - m).sum(0) @ reading  # (d,)
    covariance = torch.linalg.inv(precision)
    return covariance @ shift, covariance


def _set_and_model(seed: int, *sizes: int, dtype: torch.dtype = torch.float32) -> tuple:
    """K members of one set, and m, B and S of a model with F numbers a thumbnail and d a style."""
    K, F, d = sizes
    m, B = 1 + _randn(seed, F, dtype=dtype), _randn(seed + 1, F, d, dtype=dtype)
    root = _randn(seed + 2, F, F, dtype=dtype)
    S = 0.5 * torch.eye(F, dtype=dtype) + root @ root.T / F
    return m + B @ _randn(seed + 3, d, dtype=dtype) + _randn(seed + 4, K, F, dtype=dtype), m, B, S


def _posterior_probes():
    """Several members, one, and styles of one number."""
    return [
        _set_and_model(1, 4, 5, 2),
        _set_and_model(11, 3, 4, 3),
        _set_and_model(21, 1, 6, 2),
        _set_and_model(31, 7, 2, 1),
    ]


def _wide_probes():
    """Styles of more numbers than a thumbnail has."""
    return [_set_and_model(41, 3, 2, 4), _set_and_model(51, 1, 1, 3)]


def _sharp_and_vague_probes():
    """In double precision: thumbnails that say nearly all about the style, and hardly anything; a style far out."""
    f, m, B, S = _set_and_model(71, 3, 4, 2, dtype=torch.float64)
    near = m + 0.03 * (f - m)
    far = m + 100 * (f - m)
    return [(near, m, B, 1e-3 * S), (f, m, B, 1e6 * S), (m + 1e-3 * (f - m), m, 1e-3 * B, 1e-6 * S), (far, m, B, S)]


WIDE = (
    "it fails where a style has more numbers than a thumbnail, d > F: B^T S^-1 B has no inverse then, and needs none; "
    "add I first and invert the sum"
)
INEXACT = (
    "it is right to a few digits only: compute in the dtype of the arguments, add nothing to a matrix before you "
    "invert it, and cut nothing off"
)


STYLE_POSTERIOR = Exercise(
    id="09.2",
    title="The style of a set",
    reference=style_posterior,
    hints=(
        "Each member says something about s, and the prior says something once. Which two numbers of a Gaussian add "
        "up when Gaussians are multiplied?",
        "A member has the precision B^T S^-1 B and the shift B^T S^-1 (f_i - m). With the prior: precision "
        "I + K B^T S^-1 B, shift B^T S^-1 sum_i (f_i - m). Then the covariance is the precision's inverse, and the "
        "mean is the covariance times the shift.",
        "reading = torch.linalg.solve(S, B)  # S^-1 B\n"
        "precision = torch.eye(B.shape[1]).to(B) + SOMETHING * B.T @ reading\n"
        "shift = reading.T @ SOMETHING  # (d,)\n"
        "covariance = torch.linalg.inv(precision)\n"
        "return SOMETHING, covariance",
    ),
    check=compares(
        _posterior_probes, tolerance=1e-9, harder=[(WIDE, _wide_probes), (INEXACT, _sharp_and_vague_probes)]
    ),
    wrong=wrong_answers(
        "the prior is counted once for each member: they share one style, which was drawn once",
        ("prior + len(f)", "len(f) * prior + len(f)"),
        "the prior is missing: s ~ N(0, I) says something before any member is seen, the precision I",
        ("prior + len(f)", "len(f)"),
        "the members' shifts are averaged where the precisions are added: both are sums over the members",
        ("(f - m).sum(0)", "(f - m).mean(0)"),
        "the mean of the members counts as one member: K of them say K times as much",
        ("(f - m).sum(0)", "(f - m).mean(0)", "len(f) * B.T", "B.T"),
        "the shifts are added, but the precision is that of one member: both are sums over the members",
        ("len(f) * B.T", "B.T"),
        "the precision of a member is divided by K: members that agree make each other surer, so precisions add up",
        ("prior + len(f) * B.T @ reading", "prior + B.T @ reading / len(f)"),
        "only the first member is used: each of them says something about the style",
        lambda f, m, B, S: style_posterior(f[:1], m, B, S),
        "S is not inverted: a number of the thumbnail that varies much within a set says little about its style",
        ("torch.linalg.solve(S, B)", "S @ B"),
        "S is inverted number by number: the inverse of a matrix is another one",
        ("torch.linalg.solve(S, B)", "(1 / S) @ B"),
        "S is missing, as if the noise had the variance 1: how surely a number is seen stands in S",
        ("torch.linalg.solve(S, B)", "B"),
        "only the diagonal of S is used: noises that vary together do not say the same thing twice",
        ("torch.linalg.solve(S, B)", "B / S.diagonal()[:, None]"),
        "S is taken for a standard deviation, and squared: it is a covariance already",
        ("torch.linalg.solve(S, B)", "torch.linalg.solve(S @ S, B)"),
        "the root of S is inverted: the precision of a member has S^-1 itself",
        ("torch.linalg.solve(S, B)", "torch.linalg.solve(_root(S), B)"),
        "m is forgotten: what a thumbnail says of its style is its difference from m",
        ("(f - m).sum(0)", "f.sum(0)"),
        "m is taken off once: it is in each of the K members",
        ("(f - m).sum(0)", "(f.sum(0) - m)"),
        "the members' own mean is taken off: that leaves nothing of what they share; m is the mean of all sets",
        ("(f - m).sum(0)", "(f - f.mean(0)).sum(0)"),
        "m is added: what a thumbnail says of its style is its difference from m",
        ("(f - m).sum(0)", "(f + m).sum(0)"),
        "the second result is the precision: its inverse, the covariance, is asked for",
        ("@ shift, covariance", "@ shift, precision"),
        "the first result is the shift: multiply it by the covariance to get the mean",
        ("covariance @ shift, covariance", "shift, covariance"),
        "the shift is multiplied by the precision: the mean is the covariance times the shift",
        ("covariance @ shift, covariance", "precision @ shift, covariance"),
        "the two have changed places: the mean comes first",
        lambda f, m, B, S: style_posterior(f, m, B, S)[::-1],
        "the second are variances: the whole covariance is asked for, (d, d)",
        ("@ shift, covariance", "@ shift, covariance.diagonal()"),
        "the second are standard deviations: the whole covariance is asked for, (d, d)",
        ("@ shift, covariance", "@ shift, covariance.diagonal().sqrt()"),
        "the second is a root of the covariance: the covariance itself is asked for",
        ("@ shift, covariance", "@ shift, torch.linalg.cholesky(covariance)"),
        "the second is only the covariance's diagonal: how two numbers of a style are known together counts too",
        ("@ shift, covariance", "@ shift, covariance.diagonal().diag()"),
        "the second is the precision inverted number by number: the inverse of a matrix is another one",
        ("torch.linalg.inv(precision)", "1 / precision"),
        "only the diagonal of the precision is inverted: one choice of B makes it diagonal, and here B is any",
        ("torch.linalg.inv(precision)", "(1 / precision.diagonal()).diag()"),
        "it gives the distribution: return its mean and its covariance, two tensors",
        lambda f, m, B, S: MultivariateNormal(*style_posterior(f, m, B, S)),
        "it gives each member a style of its own, (K, d): the members of a set share one, so sum over them",
        ("(f - m).sum(0) @ reading", "(f - m) @ reading", "covariance @ shift", "shift @ covariance"),
        "it fits the members without the prior, by least squares: the prior draws the style towards 0",
        lambda f, m, B, S: (
            torch.linalg.lstsq(torch.linalg.solve(S, B).T @ B, torch.linalg.solve(S, B).T @ (f.mean(0) - m)).solution,
            style_posterior(f, m, B, S)[1],
        ),
    ),
)


def _root(S: torch.Tensor) -> torch.Tensor:
    """The symmetric root of a covariance."""
    values, vectors = torch.linalg.eigh(S)
    return vectors * values.sqrt() @ vectors.mT


def carry_over(x, base, new_base, T):
    """A new base and what x has beyond its own, eq. (9.6): (N, C, H, W) three times, (N, C, C) -> (N, C, H, W)."""
    left = x - base  # what the base does not show
    turned = torch.einsum("nij,njhw->nihw", T, left)  # the colours of each pixel
    return new_base + turned


def _to_carry(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> tuple:
    """Pictures (N, C, H, W) with values in [0, 1], and a T for each that is neither symmetric nor near I."""
    x, base, new_base = (_rand(seed + k, *shape, dtype=dtype) for k in range(3))
    N, C = shape[:2]
    return x, base, new_base, torch.eye(C, dtype=dtype) + 0.7 * _randn(seed + 3, N, C, C, dtype=dtype)


def _carry_probes():
    """N, C, H and W all different and all alike, and one picture of four colours."""
    return [_to_carry(1, 2, 3, 4, 5), _to_carry(11, 3, 3, 3, 3), _to_carry(21, 1, 4, 2, 3)]


def _one_colour_probes():
    return [_to_carry(31, 3, 1, 2, 4), _to_carry(41, 1, 1, 1, 1)]


def _large_and_small_probes():
    """In double precision: colours that all but vanish in T or grow in it, and pictures far outside [0, 1]."""
    x, base, new_base, T = _to_carry(51, 2, 3, 2, 4, dtype=torch.float64)
    near = base + 1e-5 * (x - base)
    return [(x, base, new_base, 1e-4 * T), (near, base, new_base, 1e3 * T), (5 * x, -5 * base, new_base, T)]


ONE_COLOUR = "it fails at pictures of one colour: T is (N, 1, 1) then, and all is as with three"
LARGE_AND_SMALL = (
    "it is right to a few digits only, or for pictures in 0 ... 1 alone: compute in the dtype of the arguments, add "
    "nothing to T, and cut nothing off what is left, however large or small it is"
)


CARRY_OVER = Exercise(
    id="09.3",
    title="What the base does not show",
    reference=carry_over,
    hints=(
        "What has the picture that its own base does not show? And why would that look wrong beside the colours of the "
        "new base, if it were added as it is?",
        "In each pixel p of picture n, with its C colours as a vector: y_p = new_base_p + T_n (x_p - base_p). Row i of "
        "T_n says what colour i of the result takes from each colour of what is left.",
        "left = SOMETHING  # (N, C, H, W)\n"
        'turned = torch.einsum("nij,nSOMETHINGhw->nSOMETHINGhw", T, left)  # sum over j\n'
        "return SOMETHING + turned",
    ),
    check=compares(
        _carry_probes,
        tolerance=1e-9,
        harder=[(ONE_COLOUR, _one_colour_probes), (LARGE_AND_SMALL, _large_and_small_probes)],
    ),
    wrong=wrong_answers(
        "T is forgotten: what is left has the colours of the old style, so turn them before you add it",
        ("new_base + turned", "new_base + left"),
        "T is transposed: row i of T says what colour i takes from each, so sum over the second index of T (a T that "
        "is symmetric, as the notebook's, would hide this)",
        ('"nij,njhw->nihw"', '"nji,njhw->nihw"'),
        "the base is forgotten: all of x is added to the new base, which shows most of it already; add what is left",
        ("x - base", "x"),
        "T is applied to x before the base is taken off: T turns what is left, T (x - base)",
        ("T, left", "T, x", "new_base + turned", "new_base + turned - base"),
        "T is applied to the new base, too: that is in the new colours already, so turn only what is left",
        ("T, left", "T, new_base + left", "new_base + turned", "turned"),
        "the new base is forgotten: this is only what is left, turned; it is to be added to the new base",
        ("new_base + turned", "turned"),
        "it starts from the old base: what is left is turned and put back where it came from; add it to the new base",
        ("new_base + turned", "base + turned"),
        "the new base is taken off x: x was painted on its own base, and what that does not show is left",
        ("x - base", "x - new_base"),
        "the two bases have changed places: take x's own off, and add to the new one",
        ("x - base", "x - new_base", "new_base + turned", "base + turned"),
        "the new base is added to x itself: what is left is x - base, turned by T",
        ("new_base + turned", "x + turned"),
        "the sign of what is left is flipped: what x has more of than its base, the result is to have more of",
        ("x - base", "base - x"),
        "T turns the whole picture, and no base is used: turn what is left and add it to the new base",
        ("T, left", "T, x", "new_base + turned", "turned"),
        "T is applied to the difference of the bases: that is what the styles change; what is left is x - base",
        ("x - base", "new_base - base"),
        "T turns the change of the bases, and that is added to x: turn what is left, x - base, and add it to the new "
        "base",
        ("x - base", "new_base - base", "new_base + turned", "x + turned"),
        "what is left is added twice, as it is and turned: T turns it and leaves nothing behind",
        ("new_base + turned", "new_base + left + turned"),
        "only the change that T makes is added, (T - I) (x - base): the whole of what is left is to be carried over",
        ("new_base + turned", "new_base + turned - left"),
        "the first picture's T is used for all: each picture has its own, T[n]",
        ("T, left", "T[:1].expand_as(T), left"),
        "the mean of all T is used: each picture has its own, T[n]",
        ("T, left", "T.mean(0, keepdim=True).expand_as(T), left"),
        "only the diagonal of T is used: what a colour takes from the others counts, too",
        ('"nij,njhw->nihw"', '"nii,nihw->nihw"'),
        "each row of T is summed, so that a colour is only made stronger: sum T[n, i, j] times colour j, over j",
        ('"nij,njhw->nihw"', '"nij,nihw->nihw"'),
        "each column of T is summed, so that a colour is only made stronger: sum T[n, i, j] times colour j, over j",
        ('"nij,njhw->nihw"', '"nji,nihw->nihw"'),
        "T is multiplied number by number with pixels: it is a matrix that turns the C colours of each pixel",
        ('torch.einsum("nij,njhw->nihw", T, left)', "T[:, None] * left"),
        "T is applied along the rows of pixels, axis 2, as T[:, None] @ left does: colours are axis 1 (where H = C "
        "nothing would tell you)",
        ('"nij,njhw->nihw"', '"nij,ncjw->nciw"'),
        "T is applied along the columns of pixels, axis 3, as left @ T.mT does: colours are axis 1 (where W = C "
        "nothing would tell you)",
        ('"nij,njhw->nihw"', '"nij,nchj->nchi"'),
        "T is multiplied from the right along the columns of pixels, axis 3: colours are axis 1, and T stands before "
        "them",
        ('"nij,njhw->nihw"', '"nji,nchj->nchi"'),
        "T @ left takes the T of picture c for colour c, along the rows of pixels: flatten the pixels first, (N, C, "
        "H W), or name the axes in an einsum",
        ('torch.einsum("nij,njhw->nihw", T, left)', "T @ left"),
        "reshape has mixed colours and pixels: (N, C, H, W) holds colour by colour, so first move the axis C to the "
        "end",
        (
            'torch.einsum("nij,njhw->nihw", T, left)',
            "(left.reshape(len(x), -1, x.shape[1]) @ T.mT).reshape(x.shape)",
        ),
        "reshape has mixed colours and pixels on the way back: the colours stand last there, so move them to axis 1",
        ('torch.einsum("nij,njhw->nihw", T, left)', "(left.flatten(2).mT @ T.mT).reshape(x.shape)"),
        "the inverse of T is applied: T leads from the old style to the new one as it is",
        ("T, left", "torch.linalg.inv(T), left"),
        "T is applied twice: once leads from the old style to the new one",
        ("T, left", "T @ T, left"),
        "T is made symmetric first: use it as it is",
        ("T, left", "(T + T.mT) / 2, left"),
        "what is left has lost its mean: where all of x is lighter than its base, the result is to be lighter, too",
        ("x - base", "x - base - (x - base).mean((2, 3), keepdim=True)"),
        "the mean of what is left is not turned, only what goes beyond it, as a transfer of colours does: T turns all "
        "of what is left",
        lambda x, base, new_base, T: (
            carry_over(x, base, new_base, T)
            + (torch.eye(x.shape[1]).to(T) - T).matmul((x - base).mean((2, 3))[..., None])[..., None]
        ),
        "what is left is averaged over the picture: each pixel keeps its own",
        ("x - base", "(x - base).mean((2, 3), keepdim=True)"),
        "what is left is made positive: where x is darker than its base, the result is to be darker, too",
        ("x - base", "(x - base).abs()"),
        "what is left is cut at 0: where x is darker than its base, the result is to be darker, too",
        ("x - base", "(x - base).clamp(min=0)"),
        "the result is clamped: it is a picture or nearly one, and what exceeds 0 ... 1 is cut where it is shown, not "
        "here",
        ("return new_base + turned", "return (new_base + turned).clamp(0, 1)"),
        "what is left is clamped to 0 ... 1 once it is turned: it may have either sign, and nothing is cut here",
        ("+ turned", "+ turned.clamp(0, 1)"),
        "what is left is clamped to -1 ... 1 once it is turned: what exceeds 0 ... 1 is cut where it is shown, "
        "not here",
        ("+ turned", "+ turned.clamp(-1, 1)"),
    ),
)


def group_elbo(log_px, kl_z, kl_s):
    """The bound of a set: log p of its pictures and the contents' KLs (M, K), the style's KL (M,) -> (M,), in nats."""
    members = log_px - kl_z  # (M, K), what each picture brings
    return members.sum(1) - kl_s  # the style was drawn once


def _elbo_probes():
    """M and K different and alike, one member, one set; log densities of either sign."""

    def probe(seed: int, M: int, K: int, dtype: torch.dtype = torch.float32, shift: float = 0.0) -> tuple:
        log_px = shift + 2 * _randn(seed, M, K, dtype=dtype)
        return log_px, 0.1 + _rand(seed + 1, M, K, dtype=dtype), 0.5 + 2 * _rand(seed + 2, M, dtype=dtype)

    return [
        probe(1, 4, 3, shift=-3.0),
        probe(11, 3, 3),
        probe(21, 5, 1, shift=4.0),
        probe(31, 1, 6, dtype=torch.float64),
        probe(41, 2, 5),
    ]


def _far_elbo_probes():
    """Nats as real pictures have them, in both directions, and KLs of 0."""
    up, down = ((6000 + 500 * _randn(seed, 3, 4)).double() for seed in (1, 2))
    kl_z, kl_s = 60 * _rand(3, 3, 4).double(), 30 * _rand(4, 3).double()
    return [(up, kl_z, kl_s), (-down, kl_z, kl_s), (up, 0 * kl_z, 0 * kl_s)]


FAR_ELBO = (
    "it is wrong where the nats are many, or a KL is 0: a bound is used as it is, of either sign and however large; "
    "clamp nothing"
)


GROUP_ELBO = Exercise(
    id="09.4",
    title="A bound for a set",
    reference=group_elbo,
    hints=(
        "How often is a content drawn for a set, and how often a style? Each draw is paid for once.",
        "log p(x_1 ... x_K) >= sum_i (E log p(x_i | z_i, s) - KL(q(z_i) || p(z_i))) - KL(q(s) || p(s)): the last term "
        "stands outside the sum.",
        "members = log_px - SOMETHING  # (M, K)\nreturn members.SOMETHING(1) - SOMETHING  # (M,)",
    ),
    check=compares(_elbo_probes, gradients=True, harder=[(FAR_ELBO, _far_elbo_probes)]),
    wrong=wrong_answers(
        "the style's KL is paid for each member: the style is drawn once for a set, so it is paid once",
        ("log_px - kl_z", "log_px - kl_z - kl_s[:, None]", "sum(1) - kl_s", "sum(1)"),
        "it is divided by K: that is nats for each picture, those of each set are asked for",
        ("return members.sum(1) - kl_s", "return (members.sum(1) - kl_s) / log_px.shape[1]"),
        "the members are averaged: given the style they are independent, so their nats add up",
        ("members.sum(1)", "members.mean(1)"),
        "the style's KL is divided by K: that is a picture's share, and a set pays all of it",
        ("- kl_s", "- kl_s / log_px.shape[1]"),
        "its sign is flipped: this is a loss, the bound itself is asked for",
        ("return members.sum(1) - kl_s", "return kl_s - members.sum(1)"),
        "the contents' KLs are added: a KL is a price, and is taken off",
        ("log_px - kl_z", "log_px + kl_z"),
        "the style's KL is added: a KL is a price, and is taken off",
        ("sum(1) - kl_s", "sum(1) + kl_s"),
        "both KLs are added: a KL is a price, and is taken off",
        ("log_px - kl_z", "log_px + kl_z", "sum(1) - kl_s", "sum(1) + kl_s"),
        "it is one sum over the sets: give one number for each set, shape (M,)",
        ("return members.sum(1) - kl_s", "return members.sum() - kl_s.sum()"),
        "it is one mean over the sets: give one number for each set, shape (M,)",
        ("return members.sum(1) - kl_s", "return (members.sum(1) - kl_s).mean()"),
        "kl_s is lined up with the members: its M numbers belong to the sets, the first axis; sum over the members "
        "first (where M = K nothing would tell you)",
        ("log_px - kl_z", "log_px - kl_z - kl_s", "sum(1) - kl_s", "sum(1)"),
        "it sums over the sets: axis 0 counts sets, axis 1 their members",
        ("members.sum(1)", "members.sum(0)"),
        "it gives each set the nats of all sets: sum over the members alone, axis 1",
        ("members.sum(1)", "members.sum()"),
        "it gives each set the style's KLs of all sets: kl_s has one number for each set already",
        ("- kl_s", "- kl_s.sum()"),
        "the style's KL is averaged over the sets: kl_s has one number for each set already",
        ("- kl_s", "- kl_s.mean()"),
        "it has the shape (M, M), each set with each: sum over the members without keepdim",
        ("members.sum(1)", "members.sum(1, keepdim=True)"),
        "the style's KL is missing: the style was drawn too, once for the set",
        ("members.sum(1) - kl_s", "members.sum(1)"),
        "the contents' KLs are missing: each picture pays for its content",
        ("log_px - kl_z", "log_px"),
        "the contents' KLs are averaged over the members: each picture pays for its own content",
        lambda log_px, kl_z, kl_s: log_px.sum(1) - kl_z.mean(1) - kl_s,
        "the contents' KLs are taken off for each member but only one log p is kept: sum both over the members",
        lambda log_px, kl_z, kl_s: log_px.mean(1) - kl_z.sum(1) - kl_s,
        "it adds up probabilities, as a mixture does: the pictures of a set come together, so their logs add up",
        ("members.sum(1)", "members.logsumexp(1)"),
        "it gives a number for each picture: sum over the members, one number for each set",
        ("members.sum(1) - kl_s", "members - kl_s[:, None]"),
        "this is in bits: a nat is a unit of the natural logarithm",
        ("return members.sum(1) - kl_s", "return (members.sum(1) - kl_s) / math.log(2)"),
        "its values are right, but no gradient reaches the terms: the bound is what one climbs, so detach nothing",
        ("return members.sum(1) - kl_s", "return (members.sum(1) - kl_s).detach()"),
    ),
)


def restyle(vae, x, own, wanted):
    """The content of x in another style, the mean picture: a StyleVAE, (N, C, H, W), (N, style_dim) twice -> as x."""
    z = vae.encode(x, own).mean  # what is shown, once how is known
    return vae.decode(z, wanted).mean


class _Painter(nn.Module):
    """A StyleVAE in two lines, whose pictures lie in (0, 1)."""

    def __init__(self, seed: int, shape: tuple, latent_dim: int, style_dim: int, dtype: torch.dtype, picture: Callable):
        super().__init__()
        self.shape, self.picture, pixels = shape, picture, math.prod(shape)
        self.look = nn.Parameter(0.7 * _randn(seed, pixels + style_dim, 2 * latent_dim, dtype=dtype))
        self.paint = nn.Parameter(_randn(seed + 1, latent_dim + style_dim, pixels, dtype=dtype))

    def encode(self, x: torch.Tensor, s: torch.Tensor) -> Distribution:
        mean, log_std = (torch.cat([x.flatten(1), s.expand(len(x), -1)], 1) @ self.look).tanh().chunk(2, 1)
        return diagonal_gaussian(1.5 * mean, log_std - 1)

    def decode(self, z: torch.Tensor, s: torch.Tensor) -> Distribution:
        both = torch.cat([z, s.expand(*z.shape[:-1], -1)], -1)
        return Independent(self.picture((both @ self.paint).sigmoid().unflatten(-1, self.shape)), 3)


def _of_gaussians(mean: torch.Tensor) -> Distribution:
    return Normal(mean, 0.1)


def _of_skewed(mean: torch.Tensor) -> Distribution:
    return Beta(4 * mean, 4 * (1 - mean))


def _to_restyle(
    seed: int, n: int, *sizes: Any, dtype: torch.dtype = torch.float32, picture: Callable = _of_gaussians
) -> tuple:
    shape, latent_dim, style_dim = sizes
    own, wanted = (_randn(seed + k, n, style_dim, dtype=dtype) for k in (3, 4))
    vae = _Painter(seed, shape, latent_dim, style_dim, dtype, picture)
    return vae, _rand(seed + 2, n, *shape, dtype=dtype), own, wanted


def _restyle_probes():
    """Contents and styles of several sizes, one picture alone, double precision; in both modes, train() and eval()."""
    double = _to_restyle(20, 3, (1, 2, 3), 2, 4, dtype=torch.float64)
    double[0].eval()
    return [_to_restyle(1, 5, (3, 4, 2), 4, 2), _to_restyle(10, 1, (2, 3, 3), 3, 3), double]


def _skewed_probes():
    return [_to_restyle(30, 4, (3, 2, 2), 3, 2, picture=_of_skewed)]


SKEWED = (
    "it is right only where the picture is Gaussian: ask the decoder's distribution for its own `.mean`, whatever its "
    "family; its mode or one of its parameters is another picture in general"
)
MODE = "it leaves the VAE in another mode, train() or eval(): whoever passed it finds it so"


def _mode_kept(function: Callable) -> Callable:
    """The same function, refused where it leaves the VAE in another mode."""

    @functools.wraps(function)
    def call(vae: nn.Module, *tensors: torch.Tensor) -> Any:
        before = vae.training
        picture = function(vae, *tensors)
        if vae.training != before:
            raise Misconception(MODE)
        return picture

    return call


RESTYLE = Exercise(
    id="09.5",
    title="The same content, in another style",
    reference=restyle,
    hints=(
        "First undo how the picture was made, then make it anew. Which of the two styles does the encoder have to "
        "know, and which the decoder?",
        "z = the mean of q(z | x, own), with nothing drawn; the picture is the mean of p(x | z, wanted).",
        "z = vae.encode(SOMETHING).mean\nreturn vae.decode(SOMETHING).SOMETHING",
    ),
    check=compares(_restyle_probes, canonical=_mode_kept, harder=[(SKEWED, _skewed_probes)]),
    wrong=wrong_answers(
        "the encoder is told the wanted style: the picture is still in its own, so what is shown would be misread",
        ("encode(x, own)", "encode(x, wanted)"),
        "the decoder is told the picture's own style: this is a reconstruction, in no other style",
        ("decode(z, wanted)", "decode(z, own)"),
        "the two styles have changed places: encode in the picture's own, decode in the wanted one",
        lambda vae, x, own, wanted: restyle(vae, x, wanted, own),
        "the decoder's two arguments have changed places: the content comes first, decode(z, s)",
        ("decode(z, wanted)", "decode(wanted, z)"),
        "the encoder is told one style for all pictures: each row of `own` is that of one picture",
        ("encode(x, own)", "encode(x, own.mean(0, keepdim=True))"),
        "the content is drawn: take the mean of q(z | x, own), or the face changes from call to call",
        ("encode(x, own).mean", "encode(x, own).rsample()"),
        "the picture is drawn: take the mean of the decoder's distribution, without a draw's noise in each pixel",
        ("decode(z, wanted).mean", "decode(z, wanted).sample()"),
        "both the content and the picture are drawn: take the means of both distributions",
        ("encode(x, own).mean", "encode(x, own).rsample()", "decode(z, wanted).mean", "decode(z, wanted).sample()"),
        "it decodes in the mean of both styles: that is half way, the wanted style is asked for",
        ("decode(z, wanted)", "decode(z, (own + wanted) / 2)"),
        "it decodes in the difference of the styles: the decoder is told a style, not a change of one",
        ("decode(z, wanted)", "decode(z, wanted - own)"),
        "it decodes in the sum of the styles: the picture's own is to be left behind",
        ("decode(z, wanted)", "decode(z, own + wanted)"),
        "it encodes in the mean of both styles: the picture is in its own, and that is what the encoder has to know",
        ("encode(x, own)", "encode(x, (own + wanted) / 2)"),
        "the encoder is told a style of zeros: it has to know the picture's own",
        ("encode(x, own)", "encode(x, 0 * own)"),
        "the two pictures are averaged: only the one in the wanted style is asked for",
        lambda vae, x, own, wanted: (restyle(vae, x, own, wanted) + restyle(vae, x, own, own)) / 2,
        "what the VAE changes is added to x: that carries along, in the old style, what the code has lost; the "
        "decoder's mean itself is asked for",
        lambda vae, x, own, wanted: x + restyle(vae, x, own, wanted) - restyle(vae, x, own, own),
        "all contents are 0: what each picture shows is to be kept",
        ("encode(x, own).mean", "encode(x, own).mean * 0"),
        "one style is used for all pictures: each row of `wanted` is that of one picture",
        ("decode(z, wanted)", "decode(z, wanted[:1])"),
        "the styles are averaged over the batch: each row of `wanted` is that of one picture",
        ("decode(z, wanted)", "decode(z, wanted.mean(0, keepdim=True))"),
        "it gives the decoder's distribution: the picture is its mean",
        ("decode(z, wanted).mean", "decode(z, wanted)"),
        "it gives the decoder's standard deviations: the picture is the mean",
        ("decode(z, wanted).mean", "decode(z, wanted).stddev"),
        "it gives the content: that is what is kept; paint it in the wanted style",
        ("vae.decode(z, wanted).mean", "z"),
        "the content is the encoder's standard deviation: what is shown is in the mean",
        ("encode(x, own).mean", "encode(x, own).stddev"),
        "it restyles twice: the picture was in the wanted style after the first time",
        lambda vae, x, own, wanted: restyle(vae, restyle(vae, x, own, wanted), wanted, wanted),
        "the picture is turned upside down in value, 1 minus the mean: the mean as it is shows the picture",
        ("vae.decode(z, wanted).mean", "1 - vae.decode(z, wanted).mean"),
    ),
)


def leak_in_nats(guessed, s):
    """What a reader knows of the styles, in nats: its guesses and the styles, (N, d) each -> a scalar, >= 0."""
    error = (guessed - s).square().mean(0)  # (d,)
    variance = s.var(0, correction=0)  # the error of whoever guesses the mean
    nats = (variance / error).log() / 2
    return nats.clamp(min=0).sum()  # worse than the mean: nothing is known


def _guesses(seed: int, errors: list[float], n: int, dtype: torch.dtype = torch.float32) -> tuple:
    """Styles (N, d) that are not centred and differently wide, and guesses as wrong as `errors` says, and biased."""
    d = len(errors)
    s = 2 + _randn(seed, n, d, dtype=dtype) * (0.5 + torch.arange(d)).to(dtype)
    wrong = _randn(seed + 1, n, d, dtype=dtype) + 0.5
    return s + torch.tensor(errors, dtype=dtype) * wrong, s


def _leak_probes():
    """Some numbers guessed well and some worse than by the mean, in many and in few pictures; one number alone."""
    return [
        _guesses(1, [1.0, 0.4, 0.6], 40),
        _guesses(11, [1.5, 0.3, 3.0, 0.5], 5, torch.float64),
        _guesses(49, [0.4], 3),
        _guesses(31, [4.0, 9.0], 8),
    ]


def _nearly_known_probes():
    """Guesses that are almost right, and styles in large units."""
    guessed, s = _guesses(51, [1.0, 0.4, 0.6], 20, torch.float64)
    return [_guesses(41, [1e-4, 2e-4], 20, torch.float64), (1e-4 * guessed, 1e-4 * s)]


NEARLY_KNOWN = (
    "it is wrong where a style is guessed nearly exactly, or is measured in large units: a ratio needs no epsilon, or "
    "1e-12 at most, nor an upper bound"
)


LEAK_IN_NATS = Exercise(
    id="09.6",
    title="What a reader knows",
    reference=leak_in_nats,
    hints=(
        "Before reading, the mean is the best guess: how wrong is it? And how wrong is the reader? What of a number "
        "that is read worse than that?",
        "The entropy of a Gaussian falls by log(var / mse) / 2 when its variance falls from var to mse. Of each number "
        "of the style that much is known, 0 at least, and independent numbers add up.",
        "error = (guessed - s).square().SOMETHING(0)  # (d,)\n"
        "variance = s.var(0, correction=SOMETHING)\n"
        "nats = SOMETHING  # (d,)\n"
        "return nats.clamp(min=SOMETHING).sum()",
    ),
    check=compares(_leak_probes, harder=[(NEARLY_KNOWN, _nearly_known_probes)]),
    wrong=wrong_answers(
        "it is a mean over the numbers of the style: what is known of each adds up",
        ("clamp(min=0).sum()", "clamp(min=0).mean()"),
        "the half is missing: the log of a standard deviation is half that of the variance",
        ("log() / 2", "log()"),
        "the half is there twice: take the roots or halve the log, not both",
        ("log() / 2", "log() / 4"),
        "the ratio is upside down: the smaller the reader's error, the more it knows",
        ("variance / error", "error / variance"),
        "variances and errors are summed before the ratio: each number of the style has a log of its own",
        ("(variance / error)", "(variance.sum() / error.sum())"),
        "variances and errors are pooled over the numbers of the style: each has a log of its own, and these add up",
        ("(variance / error)", "(variance.sum() / error.sum()).expand(s.shape[1])"),
        "the clamp is missing: where a guess is worse than the mean, nothing is known, and that is not less than 0",
        (".clamp(min=0)", ""),
        "the sum is clamped: a number read worse than by its mean must not hide what is known of another; clamp each",
        ("clamp(min=0).sum()", "sum().clamp(min=0)"),
        "the absolute value is taken: a guess worse than the mean knows nothing, which is 0",
        ("clamp(min=0)", "abs()"),
        "the variance is divided by N - 1 and the error by N: the mean squared error of the mean has N, correction=0",
        ("correction=0", "correction=1"),
        "the error is divided by N - 1 and the variance by N: both are means over the N",
        ("square().mean(0)", "square().sum(0) / (len(s) - 1)"),
        "the error's root is compared with the variance: take the root of both or of neither",
        ("square().mean(0)", "square().mean(0).sqrt()"),
        "the variance's root is compared with the error: take the root of both or of neither",
        ("s.var(0, correction=0)", "s.std(0, correction=0)"),
        "the logarithm is the one to base 2, which counts bits: nats are asked for",
        ("log() / 2", "log2() / 2"),
        "the logarithm is the one to base 10: nats are asked for",
        ("log() / 2", "log10() / 2"),
        "this is R2, the share of the variance that is explained: in nats it is -log(1 - R2) / 2",
        ("(variance / error).log() / 2", "1 - error / variance"),
        "this is the mean R2, a share of the variance: in nats it is -log(1 - R2) / 2, and nats add up",
        ("(variance / error).log() / 2", "1 - error / variance", "clamp(min=0).sum()", "clamp(min=0).mean()"),
        "the log is missing: this is how many times smaller the variance has become",
        ("(variance / error).log() / 2", "(variance / error)"),
        "this is log(1 + var / mse) / 2, the capacity of a channel: the error is what is left after reading, so the "
        "ratio has no 1",
        ("(variance / error).log() / 2", "(1 + variance / error).log() / 2"),
        "it makes no use of the size of the guesses, only of their correlation: a reader that is to be told how to "
        "stretch its guesses knows less",
        lambda guessed, s: (
            -0.5
            * torch.log1p(
                -((guessed - guessed.mean(0)) * (s - s.mean(0))).mean(0).square()
                / (guessed.var(0, correction=0) * s.var(0, correction=0))
            )
        ).sum(),
        "the variance is that of the guesses: how much there was to know stands in the styles",
        ("s.var(0", "guessed.var(0"),
        "the styles are not centred: the best guess without reading is their mean, not 0",
        ("s.var(0, correction=0)", "s.square().mean(0)"),
        "the styles are taken for N(0, I): how wide they are is to be measured, over the N",
        ("s.var(0, correction=0)", "torch.ones_like(error)"),
        "the error's own mean is forgiven, as var and std do: a guess that is always too large is wrong",
        ("(guessed - s).square().mean(0)", "(guessed - s).var(0, correction=0)"),
        "the errors are not squared: a Gaussian's variance is the mean of squares",
        ("(guessed - s).square()", "(guessed - s).abs()"),
        "the errors are summed over the pictures: take their mean",
        ("square().mean(0)", "square().sum(0)"),
        "one variance and one error are taken over all numbers: each number of the style has its own",
        ("square().mean(0)", "square().mean()", "s.var(0, correction=0)", "s.var(correction=0)"),
        "one variance is taken over all numbers of the style: each has its own, over the N",
        ("s.var(0, correction=0)", "s.var(correction=0)"),
        "rows and columns have changed places: means are taken over the N pictures, axis 0",
        ("square().mean(0)", "square().mean(1)", "s.var(0, correction=0)", "s.var(1, correction=0)"),
        "the log is inside the mean: one lucky guess would outweigh all others; the mean comes first",
        ("square().mean(0)", "square().log().mean(0).exp()"),
        "it gives each number of the style apart: what is known of them adds up, a scalar",
        ("clamp(min=0).sum()", "clamp(min=0)"),
        "it is divided by N: the means over the pictures were taken before the log",
        ("clamp(min=0).sum()", "clamp(min=0).sum() / len(s)"),
        "it is a Python number: return the scalar tensor, without .item()",
        ("clamp(min=0).sum()", "clamp(min=0).sum().item()"),
    ),
)


def word_direction(s, rating):
    """How much a style's expected code changes when its rating rises by one: (N, d), (N,) -> (d,)."""
    codes = s - s.mean(0)  # (N, d)
    about = rating - rating.mean()  # (N,)
    return about @ codes / about.square().sum()  # cov(s, rating) / var(rating)


def _rated(seed: int, n: int, d: int, dtype: torch.dtype = torch.float32, scale: float = 1.7) -> tuple:
    """Codes that follow a rating, more or less; neither is centred."""
    rating = scale * (1.3 + _randn(seed, n, dtype=dtype))
    way = _randn(seed + 1, d, dtype=dtype) / scale
    return 0.8 + rating[:, None] * way + 0.7 * _randn(seed + 2, n, d, dtype=dtype), rating


def _rating_probes():
    """Many rated and few, two at least; codes of one number."""
    return [_rated(1, 12, 3), _rated(11, 4, 2), _rated(21, 2, 1), _rated(31, 50, 5, scale=0.4)]


def _fine_rating_probes():
    """In double precision: ratings that differ little, near 0 and far from it, and two styles of many numbers."""
    s, rating = _rated(41, 9, 3, torch.float64)
    return [(s, 1e-4 * rating), (s, 300 + 1e-2 * rating), _rated(51, 2, 4, torch.float64)]


FINE_RATING = (
    "it is wrong where ratings differ little, or only two styles are rated: compute in the dtype of the arguments, add "
    "nothing to the variance, and clamp nothing"
)


def _by_halves(s: torch.Tensor, rating: torch.Tensor) -> torch.Tensor:
    high = rating > rating.mean()
    return s[high].mean(0) - s[~high].mean(0)


def _per_unit_by_halves(s: torch.Tensor, rating: torch.Tensor) -> torch.Tensor:
    return _by_halves(s, rating) / _by_halves(rating[:, None], rating)


WORD_DIRECTION = Exercise(
    id="09.7",
    title="A direction for a word",
    reference=word_direction,
    hints=(
        "Draw one number of the code over the rating. What is the slope of the line through those points?",
        "Least squares: the covariance of each number of the code with the rating, divided by the rating's variance. "
        "In both, N or N - 1 alike: it cancels.",
        "codes = s - SOMETHING  # (N, d)\nabout = rating - SOMETHING  # (N,)\nreturn about @ codes / SOMETHING  # (d,)",
    ),
    check=compares(_rating_probes, tolerance=1e-9, harder=[(FINE_RATING, _fine_rating_probes)]),
    wrong=wrong_answers(
        "it is the regression the other way round, of the rating on each number of the code: the code is to follow",
        ("about.square().sum()", "codes.square().sum(0)"),
        "it is the regression the other way round, of the rating on the whole code: its weights read a rating off, and "
        "are no way to walk",
        lambda s, rating: torch.linalg.lstsq(s - s.mean(0), (rating - rating.mean())[:, None]).solution[:, 0],
        "neither is centred: a line through 0 is fitted, and the mean code counts as a change",
        ("s - s.mean(0)", "s", "rating - rating.mean()", "rating"),
        "Cov(s, rating) is not centred: it is E[s rating] less the product of both means",
        lambda s, rating: rating @ s / len(s) / rating.var(correction=0),
        "the rating is not centred: its mean square is not its variance",
        ("rating - rating.mean()", "rating"),
        "it is the correlation: divide by the rating's variance alone, so that the codes keep their unit",
        ("about.square().sum()", "(about.square().sum() * codes.square().sum(0)).sqrt()"),
        "it is the covariance, over N - 1: divide by the rating's variance to have it for a rating higher by one",
        ("about.square().sum()", "(len(s) - 1)"),
        "it is the covariance, over N: divide by the rating's variance to have it for a rating higher by one",
        ("about.square().sum()", "len(s)"),
        "it is a sum of products: divide by the sum of the rating's squares to have it for a rating higher by one",
        (" / about.square().sum()", ""),
        "it is divided by the rating's standard deviation: that is the change for one deviation, not for a rating "
        "higher by one",
        ("about.square().sum()", "(about.square().sum() * (len(s) - 1)).sqrt()"),
        "it is divided by the rating's standard deviation, made with N: that is the change for one deviation, not for "
        "a rating higher by one",
        ("about.square().sum()", "(about.square().sum() * len(s)).sqrt()"),
        "the covariance has N - 1 and the variance N: take either in both, it cancels",
        ("about.square().sum()", "(about.square().mean() * (len(s) - 1))"),
        "the covariance has N and the variance N - 1: take either in both, it cancels",
        ("about.square().sum()", "(about.var() * len(s))"),
        "it is the mean code of high ratings less that of low ones: how far these are apart is the rating's affair; "
        "ask for the change when it rises by one",
        _by_halves,
        "it joins the mean codes of high and of low ratings: each rating is to count by itself, as least squares does",
        _per_unit_by_halves,
        "it joins the codes of the highest and the lowest rating: all the others say something, too",
        lambda s, rating: (s[rating.argmax()] - s[rating.argmin()]) / (rating.max() - rating.min()),
        "it has been given the length one: how far to walk for a rating higher by one is asked for",
        lambda s, rating: torch.nn.functional.normalize(word_direction(s, rating), dim=0),
        "it is the change from the lowest rating to the highest: for a rating higher by one, leave its unit as it is",
        lambda s, rating: word_direction(s, rating) * (rating.max() - rating.min()),
        "its sign is flipped: it is to point where the rating rises",
        ("return about", "return -about"),
        "it is the mean code, weighted by the ratings: that is a place, the way that codes change is asked for",
        lambda s, rating: rating @ s / rating.sum(),
        "the mean is taken over each code's own numbers: take it over the N styles, axis 0",
        ("s - s.mean(0)", "s - s.mean(1, keepdim=True)"),
        "the codes are divided by their standard deviations: the way is asked for in the unit of the codes",
        ("about @ codes", "about @ (codes / codes.square().mean(0).sqrt())"),
        "it is upside down, how much the rating is worth in each number of the code: the code's change is asked for",
        lambda s, rating: 1 / word_direction(s, rating),
        "it is what the code would be at the rating 0, the line's intercept: its slope is asked for",
        lambda s, rating: s.mean(0) - word_direction(s, rating) * rating.mean(),
        "it gives each style's own change: the sum over the styles is missing, shape (d,)",
        ("about @ codes", "about[:, None] * codes"),
        "it adds up the numbers of the code: each has a slope of its own, shape (d,)",
        ("about @ codes", "(about @ codes).sum()"),
    ),
)


EXERCISES = (WITHIN_AND_BETWEEN, STYLE_POSTERIOR, CARRY_OVER, GROUP_ELBO, RESTYLE, LEAK_IN_NATS, WORD_DIRECTION)
