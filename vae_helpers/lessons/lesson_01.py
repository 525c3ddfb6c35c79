"""The exercises of notebook 01, autoencoders: references, hints and the mistakes that are recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_helpers.exercises.checks import close_to, compares
from vae_helpers.exercises.definition import Exercise, Misconception, Wrong, wrong_answers
from vae_helpers.exercises.isolation import seeded
from vae_helpers.models.autoencoder import Autoencoder


def pca(x, D):
    """Mean (P,) of the rows of x (N, P), and orthonormal columns U (P, D): the D directions of most variance first."""
    mean = x.mean(0)
    _, _, Vh = torch.linalg.svd(x - mean, full_matrices=False)  # rows of Vh are the directions
    return mean, Vh[:D].T


def _pca_probes() -> list[tuple]:
    draw = torch.Generator().manual_seed(0)
    probes = []
    for n, p, D, dtype in ((40, 6, 2, torch.float64), (30, 5, 3, torch.float64), (60, 4, 4, torch.float32)):
        scales = torch.arange(p, 0, -1, dtype=torch.float64)
        mixed = torch.randn(n, p, generator=draw, dtype=torch.float64) * scales
        turn = torch.linalg.qr(torch.randn(p, p, generator=draw, dtype=torch.float64))[0]
        x = mixed @ turn + 3 * torch.rand(p, generator=draw, dtype=torch.float64) + 2
        probes.append((x.to(dtype), D))
    return probes


def _with_fixed_signs(answer: Callable[..., Any]) -> Callable[..., Any]:
    """The answer with each direction's largest entry made positive, for v and -v are equally right."""

    def described(x, D):
        result = answer(x, D)
        if not (isinstance(result, (tuple, list)) and [isinstance(r, Tensor) for r in result] == [True, True]):
            raise Misconception("it must return two tensors, the mean of shape (P,) and the directions of shape (P, D)")
        mean, U = result
        if U.dim() == 2 and U.numel():
            along = 0 if U.shape[0] >= U.shape[1] else 1
            U = U * U.gather(along, U.abs().argmax(along, keepdim=True)).sign()
        return {"mean": mean, "U": U}

    return described


PCA = Exercise(
    id="01.1",
    title="PCA by singular value decomposition",
    reference=pca,
    hints=(
        "Which point must the plane go through, and what does that do to the data before the SVD?",
        "With x - mean = A S V^T, the columns of U are the first D columns of V. Mind that torch.linalg.svd "
        "returns the transpose of V.",
        "mean = ...  # over the images\nleft, s, Vh = torch.linalg.svd(... - ..., full_matrices=False)\n"
        "return mean, the first D rows of Vh, transposed",
    ),
    check=compares(_pca_probes, tolerance=1e-4, canonical=_with_fixed_signs),
    wrong=wrong_answers(
        "the data were not centred before the SVD, so the first direction mostly points at the mean picture",
        ("x - mean", "x"),
        "the directions stand in rows, while the text keeps them as the columns of U, of shape (P, D)",
        (".T", ""),
        "these are columns of the third factor, but torch.linalg.svd returns V already transposed",
        ("Vh[:D].T", "Vh[:, :D]"),
        "these are left singular vectors, which have one entry per picture; directions have one entry per pixel",
        ("_, _, Vh", "U, _, _", "Vh[:D].T", "U[:, :D]"),
        "the directions are scaled by the singular values, so the columns of U do not have length one",
        ("_, _, Vh", "_, s, Vh", "Vh[:D].T", "Vh[:D].T * s[:D]"),
        "these are the directions of least variance: eigh sorts its eigenvalues upwards",
        ("Vh[:D].T", "torch.linalg.eigh((x - mean).T @ (x - mean))[1][:, :D]"),
        "the right directions stand in the wrong order: the one of most variance comes first",
        ("Vh[:D].T", "Vh[:D].T.flip(1)"),
        "one average grey is taken off all pixels; each pixel has a mean of its own",
        ("x.mean(0)", "x.mean().expand(x.shape[1])"),
        "the two are exchanged: the mean comes first, then the directions",
        lambda x, D: pca(x, D)[::-1],
        "each pixel was divided by its standard deviation, which minimises the error of other, rescaled pictures",
        ("x - mean", "(x - mean) / x.std(0)"),
    ),
)


def reconstruction_error(x, x_hat):
    """Squared error summed over the pixels of an image, averaged over images: two (N, ...) -> a scalar tensor."""
    return (x - x_hat).square().flatten(1).sum(1).mean()


def _picture_probes() -> list[tuple]:
    draw = torch.Generator().manual_seed(1)
    return [tuple(torch.rand(shape, generator=draw) for _ in range(2)) for shape in ((5, 1, 3, 4), (3, 3, 2, 2))]


RECONSTRUCTION_ERROR = Exercise(
    id="01.2",
    title="The reconstruction error",
    reference=reconstruction_error,
    hints=(
        "Two axes of the question, two different operations: which one for pixels, which one for images?",
        "(1/N) sum over images n of ( sum over pixels p of (x[n, p] - x_hat[n, p])^2 )",
        "square the difference, flatten all but the first axis, sum over the pixels, then average what is left",
    ),
    check=compares(_picture_probes, gradients=("x_hat",)),
    wrong=wrong_answers(
        "it is averaged over pixels where the sum is asked for, so it shrinks as pictures grow",
        (".flatten(1).sum(1)", ""),
        "it is summed over the images too, so it grows with the size of the batch",
        ("flatten(1).sum(1).mean()", "sum()"),
        "it is one number per image: what is missing is the average over the images",
        (".mean()", ""),
        "it averages distances, with a square root, where squared distances are asked for",
        ("square().flatten(1).sum(1)", "flatten(1).norm(dim=1)"),
        "it takes absolute differences where squares are asked for",
        ("square()", "abs()"),
        "differences are summed before they are squared, so that too bright and too dark cancel",
        ("square().flatten(1).sum(1)", "flatten(1).sum(1).square()"),
        "there is a one half in front that the definition does not have",
        ("mean()", "mean() / 2"),
        "the value is right but cut off from the graph, so that nothing can be learned from it",
        ("mean()", "mean().detach()"),
    ),
)


def components_for_90_percent():
    """The smallest D whose principal components hold at least 90 % of the variance of the training digits."""
    from vae_helpers import load, to_float

    x = to_float(load("digits").train.images).flatten(1)  # (N, 64)
    variances = torch.linalg.svdvals(x - x.mean(0)).square()
    explained = variances.cumsum(0) / variances.sum()
    return int((explained < 0.9).sum()) + 1  # as many as fall short, and one more


COMPONENTS_FOR_90_PERCENT = Exercise(
    id="01.3",
    title="How many numbers hold 90 % of the variance",
    reference=components_for_90_percent,
    hints=(
        "The singular values of the centred data know it.",
        "explained(D) = (s_1^2 + ... + s_D^2) / (s_1^2 + ... + s_64^2); the smallest D with a share of 0.9 or more",
        "variances = (singular values of the centred data) squared\nshare = variances.cumsum(0) / variances.sum()\n"
        "count how many shares fall short of 0.9, and think about the next one",
    ),
    check=close_to(tolerance=1e-6),
    wrong=(
        Wrong(
            "20 components hold 89.6 % of the variance, just short of 90: one more is needed (a position in a list "
            "counts from 0, and the number of shares below 0.9 leaves out the one that reaches it)",
            20,
        ),
        Wrong("that is the share of the singular values; variance is made of their squares", 37),
        Wrong("that is what comes out without centring, where the mean picture counts as variance", 9),
        Wrong("that is 90 % of the number of pixels; count the variance that the components hold", 58),
        Wrong("that is the number of components left out, not of those kept", 43),
        Wrong("that is for 95 % of the variance", 28),
        Wrong("that squares twice: the singular values of a covariance matrix are variances already", 7),
        Wrong("that is for pixels divided by their standard deviation; equation (1.7) takes them as they are", 30),
    ),
    kind="value",
)


def principal_angles(A, B):
    """Angles between the spans of the columns of A and B: two (P, D) -> (D,), in degrees, smallest first."""
    Q_A, _ = torch.linalg.qr(A)  # orthonormal columns that span the same plane
    Q_B, _ = torch.linalg.qr(B)
    cosines = torch.linalg.svdvals(Q_A.T @ Q_B)  # largest first
    return torch.rad2deg(torch.acos(cosines.clamp(max=1)))


def _plane_probes() -> list[tuple]:
    draw = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    A, B, C = normal(7, 3), normal(7, 3), normal(9, 2)
    return [(A, B), (C, C @ normal(2, 2) + 0.1 * normal(9, 2)), (normal(6, 2).float(), normal(6, 2).float())]


def _equal_planes() -> list[tuple]:
    """Rounding makes some cosines of equal planes larger than 1."""
    draw = torch.Generator().manual_seed(5)
    planes = [torch.randn(8, 3, generator=draw, dtype=torch.float64) for _ in range(8)]
    return [(A, A @ torch.randn(3, 3, generator=draw, dtype=torch.float64)) for A in planes]


_ROUNDING = (
    "it is right until planes are nearly the same: there rounding makes a cosine 1.0000000000000002, whose acos is "
    "NaN; cap it at 1, and not below"
)

PRINCIPAL_ANGLES = Exercise(
    id="01.4",
    title="The angles between two planes",
    reference=principal_angles,
    hints=(
        "A plane does not care which vectors span it. Replace the columns by some that are orthonormal first.",
        "cos(theta_k) = k-th singular value of Q_A^T Q_B, where Q_A and Q_B have orthonormal columns",
        "torch.linalg.qr gives Q; torch.linalg.svdvals the cosines; keep them at most 1; then acos and rad2deg",
    ),
    check=compares(_plane_probes, tolerance=1e-3, harder=[(_ROUNDING, _equal_planes)]),
    wrong=wrong_answers(
        _ROUNDING,
        (".clamp(max=1)", ""),
        "the columns were not orthonormalised, so the singular values are not cosines",
        ("Q_A.T @ Q_B", "A.T @ B"),
        "the columns were made of length one but not orthogonal to each other",
        ("Q_A.T @ Q_B", "(A / A.norm(dim=0)).T @ (B / B.norm(dim=0))"),
        "only one of the two bases was orthonormalised",
        ("@ Q_B", "@ B"),
        "the angles are right but in radians, where degrees are asked for",
        ("torch.rad2deg(torch.acos(cosines.clamp(max=1)))", "torch.acos(cosines.clamp(max=1))"),
        "these are the cosines of the angles, not the angles",
        ("torch.rad2deg(torch.acos(cosines.clamp(max=1)))", "cosines"),
        "it compares the first column with the first, the second with the second: a plane has no preferred columns",
        ("torch.linalg.svdvals(Q_A.T @ Q_B)", "torch.cosine_similarity(A, B, dim=0).abs()"),
        "the largest angle comes first; the smallest should",
        ("max=1)))", "max=1))).flip(0)"),
        "the arc sine was taken of the singular values, which are cosines",
        ("acos", "asin"),
    ),
)


def interpolate(model, x_a, x_b, steps):
    """Pictures decoded along the straight line of codes from x_a to x_b: (1, C, H, W) twice -> (steps, C, H, W)."""
    t = torch.linspace(0, 1, steps, device=x_a.device)[:, None]  # (steps, 1)
    z = (1 - t) * model.encode(x_a) + t * model.encode(x_b)  # (steps, D)
    return model.decode(z)


def _toy(seed: int) -> Autoencoder:
    """An untrained autoencoder of pictures (N, 1, 2, 3) and codes (N, 4), curved and imperfect."""
    with seeded(seed):
        model = Autoencoder((1, 2, 3), 4, hidden=(8,))
    for weights in model.parameters():  # which the notebook calls where gradients are off
        weights.requires_grad_(False).mul_(6)
    return model


def _path_probes() -> list[tuple]:
    draw = torch.Generator().manual_seed(3)
    a, b, c, d = torch.rand(4, 1, 1, 2, 3, generator=draw)
    return [(_toy(0), a, b, 5), (_toy(1), c, d, 3)]


def _fade(x_a: Tensor, x_b: Tensor, steps: int) -> Tensor:
    t = torch.linspace(0, 1, steps).reshape(-1, 1, 1, 1)
    return (1 - t) * x_a + t * x_b


INTERPOLATE = Exercise(
    id="01.5",
    title="From one picture to another through the codes",
    reference=interpolate,
    hints=(
        "Encode twice, draw a straight line, decode once.",
        "z_t = (1 - t) z_a + t z_b for t from 0 to 1 in equal steps, both ends included",
        "t = torch.linspace(..., device=x_a.device) as a column\nz = (1 - t) * code of x_a + t * code of x_b\n"
        "return the decoder at z",
    ),
    check=compares(_path_probes),
    wrong=wrong_answers(
        "it mixes pixels and never uses the codes: that is a cross-fade",
        lambda model, x_a, x_b, steps: _fade(x_a, x_b, steps),
        "it mixes the pictures and sends the mixture through the model; the codes themselves are to be mixed",
        lambda model, x_a, x_b, steps: model(_fade(x_a, x_b, steps)),
        "it decodes both ends and mixes the two pictures: the straight line must be drawn before the decoder",
        lambda m, x_a, x_b, steps: _fade(m.decode(m.encode(x_a)), m.decode(m.encode(x_b)), steps),
        "it runs from x_b to x_a: at t = 0 all the weight belongs to x_a",
        lambda model, x_a, x_b, steps: interpolate(model, x_b, x_a, steps),
        "the last picture does not reach x_b: t must run from 0 to 1 with both ends",
        ("torch.linspace(0, 1, steps, device=x_a.device)", "(torch.arange(steps) / steps)"),
        "these are the codes on the line; they still have to be decoded",
        ("model.decode(z)", "z"),
        "it adds a share of x_b's code without taking the same share of x_a's away, so the weights do not sum to one",
        ("(1 - t) * ", ""),
        "both ends are there once more: between them lie steps - 2 pictures, steps in all",
        lambda model, x_a, x_b, steps: interpolate(model, x_a, x_b, steps + 2),
        "the ends are missing: the first picture decodes x_a's own code and the last x_b's",
        lambda model, x_a, x_b, steps: interpolate(model, x_a, x_b, steps + 2)[1:-1],
    ),
)


def round_trip(model, z):
    """The distance |encode(decode(z)) - z| for each code: (N, D) -> (N,)."""
    return (model.encode(model.decode(z)) - z).norm(dim=1)


def _code_probes() -> list[tuple]:
    draw = torch.Generator().manual_seed(4)
    return [(_toy(seed), torch.randn(n, 4, generator=draw)) for seed, n in ((0, 5), (1, 3))]


ROUND_TRIP = Exercise(
    id="01.6",
    title="There and back again",
    reference=round_trip,
    hints=(
        "Start from a code, not from a picture. Two calls and you are back among the codes.",
        "r(z) = sqrt( sum over dimensions of (encode(decode(z)) - z)^2 ), one number for each row of z",
        "back = the encoder at the decoder's picture of z\nreturn the norm of (back - z) along the last axis",
    ),
    check=compares(_code_probes),
    wrong=wrong_answers(
        "it measures how far the picture moves on its way; asked for is how far the code moves",
        lambda m, z: (m.decode(m.encode(m.decode(z))) - m.decode(z)).flatten(1).norm(dim=1),
        "it is the squared distance: the root is missing",
        ("norm(dim=1)", "square().sum(1)"),
        "it is the mean square over the dimensions of the code",
        ("norm(dim=1)", "square().mean(1)"),
        "it is one number for all codes; each code has its own distance",
        ("norm(dim=1)", "norm()"),
        "it is averaged over the codes; each code has its own distance",
        ("norm(dim=1)", "norm(dim=1).mean()"),
        "it adds up absolute differences, which is not the Euclidean distance",
        ("norm(dim=1)", "abs().sum(1)"),
        "it is the difference of two lengths, not the length of the difference",
        (" - z)", ").norm(dim=1) - z"),
        "it compares every code with every other: each z is asked for its own way back only",
        lambda m, z: torch.cdist(m.encode(m.decode(z)), z),
        "it is the difference itself; its length is asked for",
        (".norm(dim=1)", ""),
    ),
)

EXERCISES = (PCA, RECONSTRUCTION_ERROR, COMPONENTS_FOR_90_PERCENT, PRINCIPAL_ANGLES, INTERPOLATE, ROUND_TRIP)
