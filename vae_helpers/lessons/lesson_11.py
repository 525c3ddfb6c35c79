"""The exercises of notebook 11: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _rand(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def latent_scale(codes):
    """What codes are multiplied by for a standard deviation of 1: (N, ...) -> one number."""
    return 1 / codes.std()  # eq. (11.1), of all numbers together


def _codes(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Dimensions with means and deviations of their own, and images that are louder and quieter."""
    own = (1, shape[1], *[1] * (len(shape) - 2))
    louder = 0.5 + _rand(seed, shape[0], *[1] * (len(shape) - 1), dtype=dtype)
    deviation = 0.4 + 2 * _rand(seed + 1, *own, dtype=dtype)
    return louder * deviation * _randn(seed + 2, *shape, dtype=dtype) + _randn(seed + 3, *own, dtype=dtype) + 0.7


def _scale_probes():
    """Vectors and maps, as many images as dimensions, louder than 1 and quieter."""
    return [
        (_codes(1, 6, 3),),
        (-0.3 * _codes(11, 4, 4),),
        (_codes(21, 3, 2, 4, 5, dtype=torch.float64),),
        (3 * _codes(31, 2, 5, 2),),
    ]


def _far_mean_probes():
    return [(0.5 * _codes(41, 8, 5) + 400,), (0.02 * _codes(51, 3, 4, 2, 2) - 30,)]


def _faint_code_probes():
    return [(1e-3 * _codes(61, 6, 3),), (1e-9 * _codes(71, 5, 4, dtype=torch.float64),), (1e-7 * _codes(81, 4, 2, 3),)]


def _loud_code_probes():
    return [(2e6 * _codes(91, 6, 3),), (-3e9 * _codes(101, 5, 4, dtype=torch.float64),)]


def _many_code_probes():
    """More images than one looks at, the later ones louder; and codes of more numbers than the notebook's."""
    return [(torch.linspace(0.5, 2, 1500)[:, None] * _codes(111, 1500, 1),), (_codes(121, 4, 90),)]


FAR_MEAN = (
    "its digits are gone where the mean is much larger than the standard deviation: a mean square minus a squared mean "
    "is a small difference of large numbers; subtract the mean first, then square"
)
FAINT_CODES = (
    "it is wrong where codes are very small: add nothing to their standard deviation, give it no least value, and cut "
    "the scale off nowhere"
)
LOUD_CODES = "it is wrong where codes are very large: give their standard deviation no largest value"
MANY_CODES = "it looks at some of the codes alone: all numbers of all codes count, however many there are"


def _as_number(answer: Callable) -> Callable:
    """One number in whatever form, and divided by how many there are or by one less."""

    def described(codes: Tensor) -> object:
        by_all, by_one_less = (codes.std(correction=n).item() for n in (0, 1))
        scale = answer(codes)
        if getattr(scale, "ndim", None) == 0 and not torch.as_tensor(scale).is_complex():
            scale = float(scale)
        for power in (-1, 1, -2, 2, -0.5, 0.5):  # right, or wrong in a way that has a message
            if isinstance(scale, float) and math.isclose(scale, by_all**power, rel_tol=3e-6):
                return by_one_less**power
        return scale

    return described


LATENT_SCALE = Exercise(
    id="11.1",
    title="A scale for codes",
    reference=latent_scale,
    hints=(
        "Noise has a standard deviation of 1. Which single number describes how large codes are, all of them together, "
        "whatever their mean? What happens to it when codes are multiplied by c?",
        "Equation (11.1): c times the codes has c times their standard deviation, so c is one over it. The deviations "
        "are taken from the mean of all numbers, squared, averaged, and the root of that is taken.",
        "# of all numbers, and torch knows it by name\nreturn SOMETHING / codes.SOMETHING",
    ),
    check=compares(
        _scale_probes,
        canonical=_as_number,
        harder=[
            (FAINT_CODES, _faint_code_probes),
            (FAR_MEAN, _far_mean_probes),
            (LOUD_CODES, _loud_code_probes),
            (MANY_CODES, _many_code_probes),
        ],
    ),
    wrong=wrong_answers(
        "it is the standard deviation itself: multiplied by it, large codes get larger still",
        ("1 / codes", "codes"),
        "it is one over the variance: that would make the variance one over what it was, so take its root",
        ("std", "var"),
        "it is the variance: take its root, and one over that",
        ("1 / codes.std", "codes.var"),
        "it is one over the fourth root of the variance: the standard deviation is its square root, once",
        (".std()", ".std().sqrt()"),
        "the mean is forgotten: this is one over the root of the mean square, which takes a code's distance from zero "
        "for its spread",
        (".std()", ".square().mean().sqrt()"),
        "the mean is forgotten, and the root too: take deviations from the mean, square, average, take the root",
        (".std()", ".square().mean()"),
        "it is the root of the mean square: take off the mean first, and one over it at last",
        ("1 / codes.std()", "codes.square().mean().sqrt()"),
        "every dimension's standard deviation is taken, and their mean: the dimensions' means differ as well, and all "
        "numbers together have one spread",
        lambda codes: 1 / codes.std(0).mean(),
        "it is the mean of one over each dimension's standard deviation: a dimension that hardly varies would decide "
        "it; take all numbers together",
        lambda codes: (1 / codes.std(0)).mean(),
        "each dimension's deviations are taken from its own mean: that the dimensions' means differ is part of the "
        "spread of all numbers together",
        lambda codes: 1 / (codes - codes.mean(0)).square().mean().sqrt(),
        "each image's standard deviation is taken, and their mean: the images' means differ as well, and all numbers "
        "together have one spread",
        lambda codes: 1 / codes.flatten(1).std(1).mean(),
        "it is the mean of one over each image's standard deviation: take all numbers together",
        lambda codes: (1 / codes.flatten(1).std(1)).mean(),
        "each image's deviations are taken from its own mean: that the images' means differ is part of the spread of "
        "all numbers together",
        lambda codes: 1 / (codes.flatten(1) - codes.flatten(1).mean(1, keepdim=True)).square().mean().sqrt(),
        "it is one over the standard deviation of the dimensions' means: what varies within a dimension counts, too",
        lambda codes: 1 / codes.mean(0).std(),
        "it is one over the standard deviation of the images' means: what varies within an image counts, too",
        lambda codes: 1 / codes.flatten(1).mean(1).std(),
        "it is one over the largest size: that brings codes into [-1, 1], where most are much smaller than noise, and "
        "one odd code decides for all",
        lambda codes: 1 / codes.abs().max(),
        "it is one over the largest number: a standard deviation of 1 is asked for",
        lambda codes: 1 / codes.max(),
        "it is one over the range from the smallest to the largest: a standard deviation of 1 is asked for",
        lambda codes: 1 / (codes.max() - codes.min()),
        "it is one over the mean size: a standard deviation is the root of a mean square, about the mean",
        lambda codes: 1 / codes.abs().mean(),
        "it is one over the mean size of the deviations: they are to be squared, averaged, and the root taken",
        lambda codes: 1 / (codes - codes.mean()).abs().mean(),
        "it is one over the mean: a mean of 1 is not asked for, and a standard deviation of 1 is",
        lambda codes: 1 / codes.mean(),
        "it sums squared deviations and does not average them: more codes would be scaled down further",
        lambda codes: 1 / (codes - codes.mean()).square().sum().sqrt(),
        "it is one over the norm of all codes: they are to be averaged, so that more codes have no smaller scale, and "
        "the mean is to be taken off",
        lambda codes: 1 / codes.norm(),
        "it makes the length of an image's code 1: each of its numbers is to have a standard deviation of 1, as noise "
        "has",
        lambda codes: 1 / codes.flatten(1).norm(dim=1).mean(),
        "squares are summed over an image's dimensions and averaged over the images: each number is to have a standard "
        "deviation of 1, not the whole code",
        lambda codes: 1 / (codes - codes.mean()).flatten(1).square().sum(1).mean().sqrt(),
        "it is one number for each dimension: one for all of them is asked for, which leaves their proportions as they "
        "are",
        lambda codes: 1 / codes.std(0),
        "it is one number for each image: one for all of them is asked for",
        lambda codes: 1 / codes.flatten(1).std(1),
        "it is the codes, scaled: the number that they are multiplied by is asked for",
        lambda codes: codes / codes.std(),
        "it is the codes, centred and scaled: the number that they are multiplied by is asked for",
        lambda codes: (codes - codes.mean()) / codes.std(),
        "it is Stable Diffusion's number: that was measured on the codes of its own autoencoder, so measure yours",
        lambda codes: 0.18215,
        "it takes the first image's codes alone: all codes together are asked for",
        lambda codes: 1 / codes[0].std(),
        "it is minus the scale: codes would be turned over",
        ("1 / ", "-1 / "),
    ),
)


def path(z, eps, t):
    """Where the straight path from eps to z is at t, and its velocity: (N, D), (N, D) and (N,) -> two of (N, D)."""
    t = t[:, None]  # (N, 1), one time for all numbers of a code
    z_t = (1 - t) * eps + t * z  # eq. (11.2)
    return z_t, z - eps  # eq. (11.3)


def _times(seed: int, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Neither at an end nor in the middle."""
    t = 0.1 + 0.35 * _rand(seed, n, dtype=dtype)
    return torch.where(torch.arange(n) % 2 == 0, t, 1 - t)


def _path_probes():
    """Codes that are not noise; as many of them as dimensions; one."""
    return [
        (1.5 * _randn(1, 5, 3) + 1, _randn(2, 5, 3), _times(3, 5)),
        (0.8 * _randn(4, 4, 4) - 0.5, _randn(5, 4, 4), _times(6, 4)),
        (1.2 * _randn(7, 1, 6) + 0.3, _randn(8, 1, 6), torch.tensor([0.3])),
        *[tuple(x.double() for x in (_randn(9, 3, 2) + 0.5, _randn(10, 3, 2), _times(11, 3)))],
    ]


def _path_end_probes():
    """Exactly at both ends and nearly so."""
    return [(_randn(12, 6, 3), _randn(13, 6, 3), torch.tensor([0.0, 1.0, 1.0, 1e-7, 1 - 1e-6, 0.0]))]


def _loud_path_probes():
    """Both of one sign, so that nothing small is left between them."""
    sign = _randn(14, 4, 3, dtype=torch.float64).sign()
    z, eps = (4e4 * sign * (1 + _rand(seed, 4, 3, dtype=torch.float64)) for seed in (15, 16))
    return [(z, eps, _times(17, 4, torch.float64))]


def _loud_end_of_path_probes():
    """Loud noise at the code's end, a loud code at that of the noise: nothing of either may be left."""
    z, eps, t = (x.double() for x in _path_end_probes()[0])
    return [((1e6 * (t < 0.5)[:, None] + 1) * z, (1e6 * (t > 0.5)[:, None] + 1) * eps, t.round())]


ENDS = (
    "it is off at the ends of the path: at t = 1 no noise is left and at t = 0 nothing of the code, and the velocity "
    "is z - eps there as everywhere; divide by neither t nor 1 - t, add nothing to them, and leave t as it is"
)
UNCUT_PATH = "it cuts something off, or squeezes it: codes and noise may be of any size"


def _trainable(answer: Callable) -> Callable:
    """Tensors that were made in inference mode stop the loop that learns from them."""

    def described(z: Tensor, eps: Tensor, t: Tensor) -> object:
        found = answer(z, eps, t)
        if isinstance(found, (tuple, list)) and any(isinstance(x, Tensor) and x.is_inference() for x in found):
            raise Misconception(
                "it is computed in torch.inference_mode(): a network cannot be trained on such tensors, and the loop "
                "below would stop; leave it out"
            )
        return found

    return described


def _on_path(of_eps: Callable, of_z: Callable, velocity: Callable = lambda z, eps, t: z - eps) -> Callable:
    """a(t) eps + b(t) z, with a velocity(z, eps, t)."""

    def answer(z, eps, t):
        t = t[:, None]
        return of_eps(t) * eps + of_z(t) * z, velocity(z, eps, t)

    return answer


def _late_velocity(velocity: Callable) -> Callable:
    """The path with a velocity made of z, eps, t and z_t."""

    def answer(z, eps, t):
        z_t, _ = path(z, eps, t)
        return z_t, velocity(z, eps, t[:, None], z_t)

    return answer


def _overwriting(z, eps, t):
    eps *= 1 - t[:, None]
    eps += t[:, None] * z
    return eps, z - eps


_QUARTER = math.pi / 2


# of a time for each row: messages and changes, as `wrong_answers` takes them
TIMES_OF_OTHERS = (
    "each row is given the times of all: (N, N, D) comes out where (N, D) is asked for; one new axis is enough, "
    "t[:, None]",
    ("t[:, None]", "t[:, None, None]"),
    "the first row's time is used for all: each row has its own",
    ("t[:, None]", "t[0]"),
    "the mean time is used for all: each row has its own",
    ("t[:, None]", "t.mean()"),
)
PATH = Exercise(
    id="11.2",
    title="A straight path from noise to a code",
    reference=path,
    hints=(
        "Where must it be at t = 0, and where at t = 1? A point that goes straight and evenly from one to the other "
        "has the same velocity all the way: how far does it get in the whole unit of time?",
        "Equation (11.2): z_t is eps with the weight 1 - t, and z with the weight t. Equation (11.3): its derivative "
        "by t. Every row has a time of its own, so t wants a second axis.",
        "t = t[:, SOMETHING]  # (N, 1)\nz_t = SOMETHING * eps + SOMETHING * z\nreturn z_t, SOMETHING  # d z_t / dt",
    ),
    check=compares(
        _path_probes,
        canonical=_trainable,
        harder=[(ENDS, _path_end_probes), (UNCUT_PATH, _loud_path_probes), (ENDS, _loud_end_of_path_probes)],
    ),
    wrong=wrong_answers(
        "code and noise are exchanged, and time runs the other way, as in papers on diffusion: here it begins with "
        "noise, at t = 0, and has the code at t = 1",
        ("(1 - t) * eps + t * z", "(1 - t) * z + t * eps", "z - eps", "eps - z"),
        "code and noise are exchanged in z_t, and the velocity still leads from eps to z: at t = 0 there is noise",
        ("(1 - t) * eps + t * z", "(1 - t) * z + t * eps"),
        "the velocity has the wrong sign: from noise to the code is z - eps",
        ("z - eps", "eps - z"),
        "the velocity is z - z_t, what is still to go, 1 - t times the velocity: that gets less on the way, and the "
        "velocity does not",
        ("z - eps", "z - z_t"),
        "the velocity is z_t - z: what is still to go, and backwards",
        ("z - eps", "z_t - z"),
        "the velocity is z_t - eps, what is done so far, t times the velocity: divided by that time it would be one",
        ("z - eps", "z_t - eps"),
        "the velocity is eps - z_t: the way back to the noise",
        ("z - eps", "eps - z_t"),
        "the velocity is z: differentiate (1 - t) eps, too",
        ("z - eps", "z.clone()"),
        "the velocity is -eps: differentiate t z, too",
        ("z - eps", "-eps"),
        "the noise stands in the velocity's place: some diffusion models learn eps, this one the derivative of z_t",
        ("z - eps", "eps.clone()"),
        "the velocity is z + eps: the derivative of 1 - t is -1",
        ("z - eps", "z + eps"),
        "the velocity is divided by t: it is the same all the way",
        ("z - eps", "(z - eps) / t"),
        "the velocity is divided by 1 - t: it is the same all the way",
        ("z - eps", "(z - eps) / (1 - t)"),
        "the place stands where the velocity is asked for: return z_t, and its derivative by t",
        ("z - eps", "z_t.clone()"),
        "the velocity's direction alone is returned, of length one: its length says how far the code is from the noise",
        ("z - eps", "torch.nn.functional.normalize(z - eps)"),
        "the two are exchanged: return z_t first, then the velocity",
        ("z_t, z - eps", "z - eps, z_t"),
        "t is lined up with the dimensions: it holds a time for each row, so give it a second axis, t[:, None] (where "
        "N = D nothing would tell you)",
        ("t = t[:, None]", "t = t"),
        "t is lined up with dimensions: give it a second axis, t[:, None], so that each row has its own time",
        lambda z, eps, t: (eps * (1 - t) + z * t, z - eps),
        *TIMES_OF_OTHERS,
        "the weights are the roots of 1 - t and t, which keep the variance as diffusion models do, and the velocity is "
        "that of the straight path: here the weights are 1 - t and t",
        _on_path(lambda t: (1 - t).sqrt(), lambda t: t.sqrt()),
        "the weights are the roots of 1 - t and t, and the velocity fits: that path is bent, and infinitely fast at "
        "its ends; a straight one is asked for",
        _on_path(
            lambda t: (1 - t).sqrt(),
            lambda t: t.sqrt(),
            lambda z, eps, t: z / (2 * t.sqrt()) - eps / (2 * (1 - t).sqrt()),
        ),
        "the weights are those of diffusion, whose squares sum to one, the root of 1 - t^2 and t: a straight path is "
        "asked for",
        _on_path(lambda t: (1 - t * t).sqrt(), lambda t: t),
        "the weights are a cosine and a sine, and the velocity fits: that path goes round in an arc, and a straight "
        "one is asked for",
        _on_path(
            lambda t: (_QUARTER * t).cos(),
            lambda t: (_QUARTER * t).sin(),
            lambda z, eps, t: _QUARTER * ((_QUARTER * t).cos() * z - (_QUARTER * t).sin() * eps),
        ),
        "the weights are a cosine and a sine, and the velocity that of the straight path: the weights are 1 - t and t",
        _on_path(lambda t: (_QUARTER * t).cos(), lambda t: (_QUARTER * t).sin()),
        "the weights are squared: they sum to one, and no longer do",
        _on_path(lambda t: (1 - t) ** 2, lambda t: t**2),
        "the noise keeps its full weight: at t = 1 it has to be gone",
        ("(1 - t) * eps", "eps"),
        "the code keeps its full weight: at t = 0 nothing may be seen of it",
        ("t * z", "z"),
        "noise is added to the code with the weight t: at t = 0 there shall be noise alone, and at t = 1 the code",
        _on_path(lambda t: t, lambda t: torch.ones_like(t)),
        "noise is added to the code with the weight 1 - t: that of the code is t",
        _on_path(lambda t: 1 - t, lambda t: torch.ones_like(t), lambda z, eps, t: -eps),
        "the noise is missing in z_t: add eps with the weight 1 - t",
        ("(1 - t) * eps + ", ""),
        "both have the weight t: that of the noise is 1 - t",
        ("(1 - t)", "t"),
        "both have the weight 1 - t: that of the code is t",
        ("t * z", "(1 - t) * z"),
        "the noise's part is subtracted: z_t is a mixture of both",
        lambda z, eps, t: (t[:, None] * z - (1 - t[:, None]) * eps, z - eps),
        "eps is changed in place before the velocity is taken of it: work on a copy, or begin with the velocity",
        _overwriting,
        "it draws noise of its own: eps is given, and the velocity has to know the same one",
        ("return", "z_t = (1 - t) * torch.randn_like(z) + t * z\n    return"),
        "it draws times of its own: they are given",
        ("t = t[:, None]", "t = torch.rand_like(t)[:, None]"),
        "it is the place alone: return the velocity, too",
        ("z_t, z - eps", "z_t"),
        "it is the velocity alone: return the place first",
        ("z_t, z - eps", "z - eps"),
        "it is the squared error of a loss: place and velocity are asked for",
        ("z_t, z - eps", "z_t, (z - eps).square()"),
        "the velocities are averaged over the rows: each path has its own",
        ("z - eps", "(z - eps).mean(0).expand_as(z)"),
        "codes are standardised here: they come as they are to be used",
        ("t = t[:, None]", "t, z = t[:, None], (z - z.mean()) / z.std()"),
    ),
)


def mean_velocity(z_t, t, means, sigma):
    """E[z - eps | z_t] for codes from an equal mixture of K Gaussians: (N,), number, (K,), number -> (N,)."""
    v = (1 - t) ** 2 + (t * sigma) ** 2  # the variance of z_t in each of them
    away = z_t[:, None] - t * means  # (N, K)
    log_p = -away.square() / (2 * v)  # but for what all share
    r = log_p.softmax(1)
    each = means + (t * sigma**2 - (1 - t)) * away / v  # (N, K)
    return (r * each).sum(1)  # eq. (11.7)


def _mixture(seed: int, n: int, k: int, t: float, sigma: float, dtype: torch.dtype = torch.float32) -> tuple:
    """Means about as far apart as the paths are wide, and places among them."""
    means = torch.linspace(-1.8, 2.2, k, dtype=dtype) + 0.3 * _randn(seed, k, dtype=dtype)
    means = means[torch.randperm(k, generator=torch.Generator().manual_seed(seed))]
    return t * 0.3 + 3.2 * _rand(seed + 1, n, dtype=dtype) - 1.6, t, means, sigma


def _velocity_probes():
    """Few means and many, as many as places; early and late; broad ones and narrow ones."""
    return [
        _mixture(1, 6, 3, 0.4, 0.5),
        _mixture(11, 4, 4, 0.7, 0.6),
        _mixture(21, 5, 2, 0.2, 1.4, torch.float64),
        _mixture(31, 3, 5, 0.6, 0.3, torch.float64),
    ]


def _far_place_probes():
    """Sixty standard deviations from all means and more, on either side; and half-way between two of them."""
    t, sigma, means = 0.6, 0.3, torch.tensor([0.5, -1.5, 2.0])
    deviation = math.sqrt((1 - t) ** 2 + (t * sigma) ** 2)
    z_t = torch.tensor([1.2 + 60 * deviation, 0.2, -0.9 - 60 * deviation, 1.2 + 90 * deviation])
    between = torch.tensor([-0.02, 0.0, 0.01], dtype=torch.float64)
    return [
        (z_t, t, means, sigma),
        (z_t.double(), t, means.double(), sigma),
        (between, 0.7, torch.tensor([-30.0, 30.0], dtype=torch.float64), 0.4),
    ]


def _velocity_end_probes():
    """At both ends, once as whole numbers."""
    z_t, _, means, _ = _mixture(41, 5, 3, 0.5, 0.5, torch.float64)
    return [(z_t, 0, means, 0.5), (z_t, 1, means, 0.5), (z_t.float(), 0.0, means.float(), 1.2), (z_t, 1.0, means, 2.0)]


def _narrow_probes():
    """Means that are nearly points, late on the way, where all variances are tiny, and far from them."""
    z_t, _, means, _ = _mixture(51, 4, 3, 0.5, 0.5, torch.float64)
    return [
        (z_t, 1, means, 1e-4),
        (4 * z_t, 0.9999, means, 1e-4),
        (z_t, 0.5, means, 1e-5),
        (4 * z_t, 0.99999, means, 2e-5),
    ]


def _wide_probes():
    """Everything a thousand times as large as noise, and one broad sigma."""
    z_t, _, means, _ = _mixture(71, 5, 3, 0.5, 0.5, torch.float64)
    return [(1e3 * z_t, 0.4, 1e3 * means, 300.0), (z_t, 0.6, means, 40.0)]


def _lone_mean_probes():
    one = torch.tensor([0.8])
    return [(_randn(61, 4), 0.4, one, 0.5), (_randn(62, 1), 0.6, one, 0.3), (_randn(63, 1), 0.3, _randn(64, 3), 0.6)]


FAR_PLACE = (
    "it fails far from all means: there all K densities are zero to a computer, and zero over zero is no number; take "
    "the softmax of their logs, of each place for itself, which neither an epsilon nor a clamp can stand in for"
)
VELOCITY_ENDS = (
    "it fails at t = 0 or at t = 1: divide by neither t nor 1 - t; the formula divides by v alone, which is never zero"
)
NARROW = (
    "it is wrong where sigma is tiny: add nothing to v, give neither v nor sigma a least value, and count on single "
    "precision for nothing that came in double"
)
WIDE = "it cuts something off: places, means and sigma may be of any size"
LONE_MEAN = "it fails where there is one mean or one place: squeeze no axes away, and give (N,)"


def _mixture_velocity(
    variance: Callable = lambda t, sigma: (1 - t) ** 2 + (t * sigma) ** 2,
    away: Callable = lambda z_t, t, m: z_t - t * m,
    weights: Callable = lambda away, v: (-away.square() / (2 * v)).softmax(1),
    each: Callable = lambda m, away, t, sigma, v: m + (t * sigma**2 - (1 - t)) * away / v,
) -> Callable:
    """The reference with one of its steps replaced."""

    def answer(z_t, t, means, sigma):
        v, far = variance(t, sigma), away(z_t[:, None], t, means)
        return (weights(far, v) * each(means, far, t, sigma, v)).sum(1)

    return answer


def _as_one_gaussian(z_t, t, means, sigma):
    """As if codes were Gaussian, with the mixture's mean and variance."""
    return mean_velocity(z_t, t, means.mean(0, keepdim=True), (sigma**2 + means.var(correction=0)).sqrt())


def _with_weights(r: Callable) -> Callable:
    """The reference with other weights, r(z_t, t, means, sigma, v)."""

    def answer(z_t, t, means, sigma):
        v = (1 - t) ** 2 + (t * sigma) ** 2
        away = z_t[:, None] - t * means
        each = means + (t * sigma**2 - (1 - t)) * away / v
        return (r(z_t[:, None], t, means, sigma, v) * each).sum(1)

    return answer


MEAN_VELOCITY = Exercise(
    id="11.3",
    title="The mean velocity of a mixture",
    reference=mean_velocity,
    hints=(
        "If you knew from which Gaussian the code came, z - eps and z_t would be jointly Gaussian: what is the mean of "
        "the one, given the other? And how likely is each of the K, given z_t? Notebook 05 had both, equation (5.6).",
        "Equation (11.7): z_t is N(t m_k, v_t) with v_t = (1 - t)^2 + t^2 sigma^2. In component k the guess is m_k "
        "plus the covariance of z - eps with z_t, which is t sigma^2 - (1 - t), over v_t, times z_t - t m_k. The "
        "weights r_k are proportional to the densities of z_t: normalise their logs.",
        "v = SOMETHING\naway = z_t[:, None] - SOMETHING  # (N, K)\nlog_p = SOMETHING / (2 * v)\n"
        "r = log_p.softmax(SOMETHING)\neach = means + SOMETHING * away / v\nreturn (r * each).sum(SOMETHING)",
    ),
    check=compares(
        _velocity_probes,
        harder=[
            (FAR_PLACE, _far_place_probes),
            (VELOCITY_ENDS, _velocity_end_probes),
            (NARROW, _narrow_probes),
            (WIDE, _wide_probes),
            (LONE_MEAN, _lone_mean_probes),
        ],
    ),
    wrong=wrong_answers(
        "all K Gaussians have the same weight, 1/K, or their mean stands for all: that was before z_t was seen, and "
        "those that z_t is likely under count for more",
        ("log_p.softmax(1)", "torch.full_like(log_p, 1 / len(means))"),
        "it is the velocity of the likeliest Gaussian alone: through z_t go paths to all of them, and their mean is "
        "asked for",
        ("log_p.softmax(1)", "torch.nn.functional.one_hot(log_p.argmax(1), len(means))"),
        "the second term is missing: within a Gaussian z_t says more about z and eps than their means",
        (" + (t * sigma**2 - (1 - t)) * away / v", " + 0 * away"),
        "the second term has the wrong sign: the covariance of z - eps with z_t is t sigma^2 - (1 - t)",
        ("means + (t", "means - (t"),
        "the covariance is t sigma^2 + (1 - t): eps is subtracted, so its part is, too",
        ("- (1 - t))", "+ (1 - t))"),
        "this is E[z | z_t], the code's part: the noise's, (1 - t) times away / v, has to be taken off",
        (" - (1 - t))", ")"),
        "the code's part t sigma^2 is missing in the second term, as if each Gaussian were a point",
        ("t * sigma**2 - (1 - t)", "-(1 - t)"),
        "this is E[eps | z_t]: the noise that is to be expected, and E[z | z_t] minus that is asked for",
        ("means + (t * sigma**2 - (1 - t))", "(1 - t)"),
        "it is E[eps - z | z_t]: the path goes from noise to the code, so the sign is flipped",
        ("return (r", "return (-r"),
        "it is E[z | z_t] - z_t, what is still to go: the velocity is that over 1 - t",
        lambda z_t, t, means, sigma: mean_velocity(z_t, t, means, sigma) * (1 - t),
        "v has 1 - t and t where their squares belong: variances are multiplied by squares",
        ("(1 - t) ** 2 + (t * sigma) ** 2", "(1 - t) + t * sigma**2"),
        "v has sigma where sigma^2 belongs: sigma is a standard deviation",
        ("(t * sigma) ** 2", "t**2 * sigma"),
        "v is the square of 1 - t + t sigma: variances of independent parts are added, standard deviations are not",
        ("(1 - t) ** 2 + (t * sigma) ** 2", "((1 - t) + t * sigma) ** 2"),
        "sigma is taken for a variance: it is a standard deviation, and is squared wherever it stands",
        lambda z_t, t, means, sigma: mean_velocity(z_t, t, means, sigma**0.5),
        "sigma is squared twice: it is a standard deviation, and sigma^2 the variance",
        lambda z_t, t, means, sigma: mean_velocity(z_t, t, means, sigma**2),
        "the noise is missing in v: z_t has (1 - t)^2 from it",
        ("(1 - t) ** 2 + (t * sigma) ** 2", "(t * sigma) ** 2"),
        "sigma is missing in v: z_t has t^2 sigma^2 from the code",
        (" + (t * sigma) ** 2", ""),
        "t is missing in v, at sigma^2: the code enters z_t with the weight t",
        ("(t * sigma) ** 2", "sigma**2"),
        "v is the root of the variance: the formula wants the variance in both places",
        ("(1 - t) ** 2 + (t * sigma) ** 2", "((1 - t) ** 2 + (t * sigma) ** 2) ** 0.5"),
        "v has t and 1 - t exchanged: the noise enters z_t with the weight 1 - t, the code with t",
        ("(1 - t) ** 2 + (t * sigma) ** 2", "t**2 + ((1 - t) * sigma) ** 2"),
        "time runs the other way: at t = 1 there is the code, at t = 0 noise",
        lambda z_t, t, means, sigma: -mean_velocity(z_t, 1 - t, means, sigma),
        "t and 1 - t are exchanged throughout: at t = 1 there is the code, at t = 0 noise",
        lambda z_t, t, means, sigma: mean_velocity(z_t, 1 - t, means, sigma),
        "z_t is compared with m_k: at the time t the path's mean is t m_k",
        ("t * means", "means"),
        "z_t is compared with m_k in the weights alone: at the time t the path's mean is t m_k in both places",
        _with_weights(lambda z_t, t, m, sigma, v: (-(z_t - m).square() / (2 * v)).softmax(1)),
        "z_t is compared with m_k in the second term alone: at the time t the path's mean is t m_k in both places",
        lambda z_t, t, means, sigma: (
            mean_velocity(z_t, t, means, sigma)
            - (t * sigma**2 - (1 - t))
            / ((1 - t) ** 2 + (t * sigma) ** 2)
            * (1 - t)
            * ((-(z_t[:, None] - t * means).square() / (2 * (1 - t) ** 2 + 2 * (t * sigma) ** 2)).softmax(1) @ means)
        ),
        "it is m_k plus the covariance over v times z_t: the mean of z_t, t m_k, has to be taken off",
        ("(t * sigma**2 - (1 - t)) * away / v", "(t * sigma**2 - (1 - t)) * z_t[:, None] / v"),
        "the weights are those of a code, N(z_t; m_k, sigma^2): z_t is a mixture with noise, N(t m_k, v)",
        _with_weights(lambda z_t, t, m, sigma, v: (-(z_t - m).square() / (2 * sigma**2)).softmax(1)),
        "the weights have sigma^2 for a variance: z_t has v, the noise's part too",
        ("(2 * v)", "(2 * sigma**2)"),
        "the weights divide by the standard deviation: a Gaussian's exponent has the variance",
        ("(2 * v)", "(2 * v**0.5)"),
        "the one half is missing in the weights: a Gaussian's exponent is -away^2 / (2 v)",
        ("(2 * v)", "v"),
        "the weights divide by 2 v^2: a Gaussian's exponent has the variance, and v is that already",
        ("(2 * v)", "(2 * v**2)"),
        "the weights are without a variance: a Gaussian's exponent is -away^2 / (2 v)",
        (" / (2 * v)", " / 2"),
        "the weights have the size of away where its square belongs",
        ("-away.square() / (2 * v)", "-away.abs() / v**0.5"),
        "the weights grow with the distance: the exponent is negative",
        ("-away", "away"),
        "the weights are normalised over the places, axis 0: for each z_t those of the K Gaussians sum to one (where "
        "N = K nothing would tell you)",
        ("softmax(1)", "softmax(0)"),
        "the weights are normalised over places and Gaussians together: for each z_t those of the K sum to one",
        ("log_p.softmax(1)", "log_p.flatten().softmax(0).view_as(log_p)"),
        "the weights are not normalised: densities are not probabilities, so divide by their sum",
        ("log_p.softmax(1)", "log_p.exp() / (2 * math.pi * v) ** 0.5"),
        "the weights are not normalised, and the densities lack their constant: divide by their sum",
        ("log_p.softmax(1)", "log_p.exp()"),
        "the weights are logs of probabilities: take the softmax, not its log",
        ("log_p.softmax(1)", "log_p.log_softmax(1)"),
        "the second term is not divided by v: it is the covariance over the variance",
        (" / v", ""),
        "the second term is divided by the root of v: it is the covariance over the variance",
        (" / v", " / v**0.5"),
        "the second term has sigma for sigma^2: the covariance of z with z_t is t sigma^2",
        ("t * sigma**2", "t * sigma"),
        "the second term has t^2 sigma^2: of z - eps and z_t only the latter has the factor t",
        ("t * sigma**2 -", "(t * sigma) ** 2 -"),
        "the second term has (1 - t)^2: of z - eps and z_t only the latter has the factor 1 - t",
        ("- (1 - t))", "- (1 - t) ** 2)"),
        "the second term has half of v's derivative with t squared in both parts, t^2 sigma^2 - (1 - t)^2: the "
        "covariance has a factor t, or 1 - t, once",
        ("t * sigma**2 - (1 - t)", "(t * sigma) ** 2 - (1 - t) ** 2"),
        "the second term has t m_k in place of m_k beside it: the mean of z - eps is m_k at every t",
        ("each = means", "each = t * means"),
        "the mixture is taken for one Gaussian with its mean and variance: that is the best guess that is linear in "
        "z_t, and the mean velocity is not linear",
        _as_one_gaussian,
        "the means are averaged with their weights before, and the weights forgotten in the second term: each "
        "Gaussian has a second term of its own",
        lambda z_t, t, means, sigma: (
            (-(z_t[:, None] - t * means).square() / (2 * (1 - t) ** 2 + 2 * (t * sigma) ** 2)).softmax(1) @ means
            + (t * sigma**2 - (1 - t)) * (z_t - t * means.mean()) / ((1 - t) ** 2 + (t * sigma) ** 2)
        ),
        "it is the velocity without z_t, the mean of all codes: paths that meet in z_t know more",
        lambda z_t, t, means, sigma: means.mean().expand_as(z_t).clone(),
        "it is the mean over the Gaussians where a sum with weights is asked for: the weights sum to one already",
        ("each).sum(1)", "each).mean(1)"),
        "it is one velocity for each Gaussian: their mean with the weights is asked for, shape (N,)",
        ("(r * each).sum(1)", "each"),
        "it is the weighted velocities, still apart: sum over the Gaussians, shape (N,)",
        ("(r * each).sum(1)", "r * each"),
        "it is summed over the places: give one number for each, shape (N,)",
        ("(r * each).sum(1)", "(r * each).sum(0)"),
        "it is the score, the slope of the log density: the velocity is made of it, and more",
        ("each = means + (t * sigma**2 - (1 - t)) * away / v", "each = -away / v"),
        "it is the Gaussians' probabilities: the velocity is asked for",
        ("(r * each).sum(1)", "r"),
        FAR_PLACE,
        ("log_p.softmax(1)", "log_p.exp() / log_p.exp().sum(1, keepdim=True)"),
    ),
)


def heun_step(velocity, z, t, h):
    """From t to t + h, along the mean of two velocities: z (N, D), numbers t and h -> (N, D)."""
    u = velocity(z, t)
    u_next = velocity(z + h * u, t + h)  # where Euler's step would end
    return z + h * (u + u_next) / 2  # eq. (11.8)


def _as_asked(z: object, t: object) -> None:
    """The notebook's velocities want (N, D) and one time, too."""
    if getattr(t, "ndim", 0):
        raise TypeError(f"velocity(z, t) takes one number for t, and was given the shape {tuple(t.shape)}")
    if getattr(z, "ndim", 0) != 2:
        raise TypeError(f"velocity(z, t) takes places (N, D), and was given the shape {tuple(getattr(z, 'shape', ()))}")


def _bent(z: Tensor, t: float) -> Tensor:
    """A velocity that changes with place and time, and mixes dimensions."""
    _as_asked(z, t)
    return (1 + 2 * t) * torch.sin(1.5 * z) - 0.7 * z.flip(-1) + math.cos(3 * t)


def _turning(z: Tensor, t: float) -> Tensor:
    _as_asked(z, t)
    return (0.5 + t * t) * z.roll(1, -1) * (1 - 0.2 * z) - 2 * t


def _step_probes():
    """Two velocities; one code and several; steps of several sizes."""
    return [
        (_bent, _randn(1, 4, 3), 0.2, 0.3),
        (_turning, _randn(2, 3, 3), 0.5, 0.25),
        (_bent, _randn(3, 1, 2, dtype=torch.float64), 0.3125, 0.609375),
    ]


def _last_step_probes():
    """The first step, the last, and the whole way at once, in whole numbers."""
    return [
        (_turning, _randn(4, 3, 2), 0.0, 0.5),
        (_bent, _randn(5, 3, 2), 0.75, 0.25),
        (_turning, _randn(6, 2, 4), 0, 1),
    ]


def _back_probes():
    return [(_bent, _randn(7, 3, 2), 0.8, -0.3), (_turning, _randn(8, 2, 3), 1, -0.5)]


def _loud_step_probes():
    return [
        (_turning, 60 * _randn(9, 3, 2, dtype=torch.float64), 0.3, 0.2),
        (lambda z, t: 0 * z, _randn(10, 2, 2), 0, 1),
        (lambda z, t: t - z, 1e4 * _randn(11, 3, 2, dtype=torch.float64), 0.3, 0.2),
    ]


def _kept_velocity_probes():
    """What velocity returns is z itself, or something that it returns again."""
    wind = _randn(12, 3, 2)
    return [(lambda z, t: z, _randn(13, 3, 2), 0.25, 0.5), (lambda z, t: wind, _randn(14, 3, 2), 0.25, 0.5)]


LAST_STEP = (
    "it goes wrong in the first step or the last: both have two velocities like all others, for u is known at t = 0 "
    "and at t = 1"
)
BACK = "it goes wrong where h is negative: a step back in time is the same formula"
LOUD_STEP = (
    "it cuts something off, divides by a velocity, or adds to it: places and velocities may be of any size, and 0"
)

KEPT_VELOCITY = (
    "it changes in place what velocity returned: that may be z itself, or something that velocity will return again; "
    "work on a copy"
)


def _by(second: Callable, last: Callable) -> Callable:
    """Of u at the beginning another velocity is made, second(velocity, z, u, t, h), and of both a step."""

    def answer(velocity, z, t, h):
        u = velocity(z, t)
        return last(z, u, second(velocity, z, u, t, h), h)

    return answer


def _mean_step(z, u, u_next, h):
    return z + h * (u + u_next) / 2


def _runge_kutta(velocity, z, t, h):
    a = velocity(z, t)
    b = velocity(z + h / 2 * a, t + h / 2)
    c = velocity(z + h / 2 * b, t + h / 2)
    d = velocity(z + h * c, t + h)
    return z + h * (a + 2 * b + 2 * c + d) / 6


def _corrected(times: int) -> Callable:
    """The trapezium rule, its end corrected several times."""

    def answer(velocity, z, t, h):
        u = velocity(z, t)
        end = z + h * u
        for _ in range(times):
            end = z + h * (u + velocity(end, t + h)) / 2
        return end

    return answer


HEUN_STEP = Exercise(
    id="11.4",
    title="A step of Heun's method",
    reference=heun_step,
    hints=(
        "Euler takes the velocity where the step begins for the whole of it. Where would it end? Ask there for another "
        "one. Which of the two would you follow?",
        "Equation (11.8): u_next is the velocity at the time t + h, in the place that Euler's step leads to; the step "
        "is h times the mean of both, and begins at z.",
        "u = velocity(z, t)\nu_next = velocity(SOMETHING, SOMETHING)\nreturn z + h * SOMETHING",
    ),
    check=compares(
        _step_probes,
        harder=[
            (LAST_STEP, _last_step_probes),
            (BACK, _back_probes),
            (LOUD_STEP, _loud_step_probes),
            (KEPT_VELOCITY, _kept_velocity_probes),
        ],
    ),
    wrong=wrong_answers(
        "this is Euler's step: ask for a second velocity where it ends, and follow the mean of both",
        ("(u + u_next) / 2", "u"),
        "this is the midpoint method: it is of second order as well, and a good one, but Heun's takes the mean of the "
        "velocities at the step's two ends, so that is what is asked for here",
        _by(lambda f, z, u, t, h: f(z + h / 2 * u, t + h / 2), lambda z, u, w, h: z + h * w),
        "this is Ralston's method, two thirds of the way: it is of second order as well, but Heun's takes the mean of "
        "the velocities at the step's two ends, so that is what is asked for here",
        _by(lambda f, z, u, t, h: f(z + 2 / 3 * h * u, t + 2 / 3 * h), lambda z, u, w, h: z + h * (u + 3 * w) / 4),
        "this is the Runge-Kutta method of fourth order: it is more exact, and asks for four velocities; the mean of "
        "two is asked for",
        _runge_kutta,
        "it corrects twice: once, with the velocity at the end of Euler's step, is Heun's method",
        _corrected(2),
        "it corrects until nothing changes any more: that is the trapezium rule, implicit; once is Heun's method",
        _corrected(60),
        "the second velocity is asked for at the time t: at the end of the step it is t + h",
        ("t + h", "t"),
        "the second velocity is asked for at z: by then the point is at z + h u",
        ("z + h * u,", "z,"),
        "the second velocity is asked for half-way in time, and at the end in place: both at the end of Euler's step",
        ("t + h", "t + h / 2"),
        "the second velocity is asked for half-way in place, and at the end in time: both at the end of Euler's step",
        ("z + h * u,", "z + h / 2 * u,"),
        "the second velocity is asked for half-way, in place and time, and the mean with the first is taken: Heun's is "
        "at the end of Euler's step",
        ("z + h * u, t + h", "z + h / 2 * u, t + h / 2"),
        "the second velocity is asked for at the time h: time goes on from t, to t + h",
        ("t + h", "h"),
        "the second velocity is asked for at the time 1: the step ends at t + h",
        ("t + h", "1.0"),
        "the second velocity is asked for at the time t - h: the step ends at t + h",
        ("t + h", "t - h"),
        "the second velocity is asked for at z + u: in the time h the point gets as far as h u",
        ("z + h * u,", "z + u,"),
        "the second velocity is asked for at z - h u: that is where the point came from",
        ("z + h * u,", "z - h * u,"),
        "the second velocity is asked for at h u: the step begins at z",
        ("z + h * u,", "h * u,"),
        "the second velocity is asked for at the velocity, in place of a place: z + h u",
        ("z + h * u,", "u,"),
        "the sum is not halved: that is two steps of Euler's, one after the other, and the point would be at t + 2 h",
        (" / 2", ""),
        "it is halved twice: the mean of both velocities, times h",
        (" / 2", " / 4"),
        "only the second velocity is followed: Heun's takes the mean of both",
        ("(u + u_next) / 2", "u_next"),
        "the two velocities have the weights 1/3 and 2/3: both count the same",
        ("(u + u_next) / 2", "(u + 2 * u_next) / 3"),
        "the two velocities have the weights 1/4 and 3/4: that goes with a second one at two thirds of the way; here "
        "both count the same",
        ("(u + u_next) / 2", "(u + 3 * u_next) / 4"),
        "the two velocities have the weights 3/2 and -1/2: those are for velocities of an earlier step",
        ("(u + u_next) / 2", "(3 * u - u_next) / 2"),
        "the difference of the velocities is taken: their mean is asked for",
        ("u + u_next", "u - u_next"),
        "only half of the velocities' change is added to z: Euler's step h u belongs to it",
        ("u + u_next", "u_next - u"),
        "h is missing in the step: a velocity times a time is a way",
        ("z + h * (u", "z + (u"),
        "h is squared: a way is velocity times time, h once",
        ("z + h * (u", "z + h**2 * (u"),
        "it is z + h u + h^2/2 u_next, like a Taylor series: u_next is a velocity, not the second derivative",
        ("h * (u + u_next) / 2", "h * u + h**2 / 2 * u_next"),
        "the step is divided by h: a way is velocity times time",
        ("z + h * (u + u_next)", "z + (u + u_next) / h"),
        "the step is multiplied by t: it lasts h",
        ("z + h * (u", "z + t * (u"),
        "the step begins where Euler's ended: it begins at z, and goes over it once",
        ("return z +", "return z + h * u +"),
        "the step goes backwards: z plus h times the velocity",
        ("return z +", "return z -"),
        "it is the way alone: add it to z",
        ("return z +", "return"),
        "it is the mean velocity: times h, and added to z",
        ("z + h * (u + u_next)", "(u + u_next)"),
        "it is the velocity at the end: the place is asked for",
        ("z + h * (u + u_next) / 2", "u_next"),
        "it goes all the way to t = 1: one step of length h is asked for",
        lambda velocity, z, t, h: heun_step(velocity, z, t, 1 - t),
        "it takes two steps of half the length: one is asked for, so that steps can be counted",
        lambda velocity, z, t, h: heun_step(velocity, heun_step(velocity, z, t, h / 2), t + h / 2, h / 2),
        "it takes half a step: h is the whole of it",
        lambda velocity, z, t, h: heun_step(velocity, z, t, h / 2),
        "noise is added: the point follows an ordinary differential equation, in which nothing is left to chance",
        ("/ 2", "/ 2 + abs(h) ** 0.5 * torch.randn_like(z)"),
        "it returns the time, too: the place is asked for",
        ("z + h * (u + u_next) / 2", "z + h * (u + u_next) / 2, t + h"),
    ),
)


def guided(velocity, z, t, tokens, w):
    """What the sentence changes in the velocity, w times over: z (N, D), numbers t and w, tokens (N, L) -> (N, D)."""
    told, untold = velocity(z, t, tokens), velocity(z, t, None)
    return untold + w * (told - untold)  # eq. (11.9)


def _listening(z: Tensor, t: float, tokens: Tensor | None = None) -> Tensor:
    """A velocity that knows a few words; that nothing was said is not the same as empty words."""
    _as_asked(z, t)
    silent = (1 + t) * torch.sin(z) - 0.4 * z.flip(-1)
    if tokens is None:
        return silent
    if not isinstance(tokens, Tensor) or tokens.is_floating_point():
        raise TypeError("velocity(z, t, tokens) takes the sentences as they came, or None")
    words = torch.cos(torch.arange(12 * z.shape[-1], dtype=z.dtype).view(12, -1) + 1)  # (12, D)
    place = 1 + 0.3 * torch.arange(tokens.shape[-1], dtype=z.dtype)  # (L,)
    return 0.8 * silent + (words[tokens] * place[:, None]).sum(-2) / 2 + t * z


def _sentences(seed: int, *shape: int) -> Tensor:
    return torch.randint(1, 12, shape, generator=torch.Generator().manual_seed(seed))


def _guided_probes():
    """Less than what was learned, more, and much more; as many codes as dimensions, and one."""
    return [
        (_listening, _randn(1, 4, 3), 0.3, _sentences(2, 4, 5), 2.5),
        (_listening, _randn(3, 3, 3), 0.7, _sentences(4, 3, 4), 0.4),
        (_listening, _randn(5, 1, 2, dtype=torch.float64), 0.5, _sentences(6, 1, 3), 4.0),
        (_listening, _randn(7, 2, 4), 0.15, _sentences(8, 2, 2), 1.5),
    ]


def _plain_guidance_probes():
    """0 and 1, once as whole numbers; and at the ends of time."""
    z, tokens = _randn(9, 3, 2), _sentences(10, 3, 4)
    return [(_listening, z, t, tokens, w) for t, w in ((0.4, 0), (0.4, 1), (0.0, 1.0), (1.0, 0.0), (1, 3))]


def _turned_guidance_probes():
    z, tokens = _randn(15, 3, 2), _sentences(16, 3, 4)
    return [(_listening, z, t, tokens, w) for t, w in ((0.3, -1), (0.6, -2.5))]


def _kept_guidance_probes():
    """What velocity returns is z itself, once with a sentence and once without."""
    return [
        (lambda z, t, tokens=None: z if tokens is None else 2 * z, _randn(17, 3, 2), 0.5, _sentences(18, 3, 4), 2.0),
        (lambda z, t, tokens=None: 2 - z if tokens is None else z, _randn(19, 3, 2), 0.5, _sentences(20, 3, 4), 2.0),
    ]


def _loud_guidance_probes():
    return [
        (_listening, 20 * _randn(11, 3, 2, dtype=torch.float64), 0.6, _sentences(12, 3, 4), 60.0),
        (
            lambda z, t, tokens=None: (0 if tokens is None else 1e-6) + 0 * z,
            _randn(13, 2, 2).double(),
            0.5,
            _sentences(14, 2, 3),
            1e6,
        ),
    ]


PLAIN_GUIDANCE = (
    "it goes wrong at the ends: w = 0 is the velocity without a sentence, w = 1 the one with it, and both are followed "
    "at t = 0 and t = 1 as elsewhere"
)
LOUD_GUIDANCE = (
    "it cuts something off, rescales it, or adds a little: velocities, their difference and w may be of any size"
)

TURNED_GUIDANCE = (
    "it goes wrong where w is negative: the formula is the same there, and leads away from what the sentence says"
)


def _of(mixture: Callable) -> Callable:
    """Something made of told, untold and w."""
    return lambda velocity, z, t, tokens, w: mixture(velocity(z, t, tokens), velocity(z, t, None), w)


GUIDED = Exercise(
    id="11.5",
    title="Listening harder",
    reference=guided,
    hints=(
        "What does the sentence change in the velocity? With w = 0 nobody should hear it, with w = 1 the velocity "
        "should be the one that was learned with sentences.",
        "Equation (11.9): from u without a sentence go w times as far as u with the sentence is from it. For w above "
        "1 that is beyond it.",
        "told, untold = velocity(z, t, tokens), velocity(z, t, None)\nreturn SOMETHING + w * SOMETHING",
    ),
    check=compares(
        _guided_probes,
        harder=[
            (PLAIN_GUIDANCE, _plain_guidance_probes),
            (LOUD_GUIDANCE, _loud_guidance_probes),
            (TURNED_GUIDANCE, _turned_guidance_probes),
            (KEPT_VELOCITY, _kept_guidance_probes),
        ],
    ),
    wrong=wrong_answers(
        "told and untold are exchanged, and w = 1 would hear nothing: it begins at the velocity without a "
        "sentence, and goes towards the one with it",
        ("untold + w * (told - untold)", "told + w * (untold - told)"),
        "it begins at the velocity with the sentence: Ho & Salimans count w so, from 0; here w = 1 is what was "
        "learned, and w = 0 hears nothing",
        ("return untold", "return told"),
        "it is w times the velocity with the sentence: that drives faster, not more to what was said",
        ("untold + w * (told - untold)", "w * told"),
        "it is w times the difference alone: the velocity without a sentence has to be added, or all that every "
        "portrait has in common is lost",
        ("untold + w", "w"),
        "w times the velocity with the sentence is added to the one without: the difference of the two is to be added",
        ("(told - untold)", "told"),
        "w times the velocity without a sentence is added to the one with it: what the sentence changes is to be added",
        ("untold + w * (told - untold)", "told + w * untold"),
        "w times the velocity without a sentence is subtracted from the one with it: the weights have to sum to one, "
        "w and 1 - w",
        ("untold + w * (told - untold)", "told - w * untold"),
        "the weights are w and w - 1: they have to sum to one, so the one without a sentence gets 1 - w",
        ("untold + w * (told - untold)", "w * told + (w - 1) * untold"),
        "the weights are 1 + w and w, both added: the difference of the velocities counts, and the weights sum to one",
        ("untold + w * (told - untold)", "(1 + w) * told + w * untold"),
        "the sentence is turned into its opposite: the difference is told - untold, with w > 0",
        ("untold + w", "untold - w"),
        "it is the velocity with the sentence: w has to be used",
        ("untold + w * (told - untold)", "told"),
        "it is the velocity without a sentence: go from there towards the one with it",
        ("untold + w * (told - untold)", "untold"),
        "it is the mean of both velocities: w says how far to go from one to the other",
        ("untold + w * (told - untold)", "(told + untold) / 2"),
        "it is the sum of both velocities: w says how far to go from one to the other",
        ("untold + w * (told - untold)", "told + untold"),
        "it is a mean with the weights w and 1, divided by 1 + w: that stays between the two; for w > 1 it is to go "
        "beyond",
        ("untold + w * (told - untold)", "(w * told + untold) / (1 + w)"),
        "it is divided by w: the larger w, the further from the velocity without a sentence",
        ("w * (told - untold)", "(told - untold) / w"),
        "w is squared: the difference counts w times",
        ("w *", "w**2 *"),
        "it takes the root of w: the difference counts w times",
        ("w *", "w**0.5 *"),
        "w is subtracted, not multiplied by the difference: (told - untold) times w",
        ("w * (told - untold)", "(told - untold) - w"),
        "w is kept below 1: with that it can be listened to less, but no harder",
        ("w *", "min(w, 1) *"),
        "w is kept above 1: below 1 the sentence is to be heard less than was learned",
        ("w *", "max(w, 1) *"),
        "w counts from the sentence: w - 1 times the difference, from the velocity without; either begin at told, or "
        "use w itself",
        ("w *", "(w - 1) *"),
        "w grows with t: it is the same at all times",
        ("w *", "w * t *"),
        "w falls with t: it is the same at all times",
        ("w *", "w * (1 - t) *"),
        "the guided velocity is given the length of the one with the sentence: guidance does lengthen it, and that is "
        "part of (11.9)",
        _of(
            lambda a, b, w: (
                (b + w * (a - b)) * a.norm(dim=1, keepdim=True) / (b + w * (a - b)).norm(dim=1, keepdim=True)
            )
        ),
        "the difference is made one long: how much the sentence changes counts",
        ("(told - untold)", "torch.nn.functional.normalize(told - untold)"),
        "the difference is averaged over the rows: each sentence changes its own velocity",
        ("(told - untold)", "(told - untold).mean(0)"),
        "the difference's size is taken: its sign says where the sentence leads to",
        ("(told - untold)", "(told - untold).abs()"),
        "it is untold times a power of the ratio: velocities are no densities; their logs' slopes are what is added",
        _of(lambda a, b, w: b * (a / b).abs() ** w),
        "empty words are passed in place of None: whether velocity takes these for no sentence is its own affair; "
        "velocity(z, t, None) is the one without",
        ("None", "torch.zeros_like(tokens)"),
        "one empty word is passed in place of None: whether velocity takes it for no sentence is its own affair; "
        "velocity(z, t, None) is the one without",
        ("None", "torch.zeros(len(z), 1, dtype=torch.long)"),
        "it takes another picture's sentence for no sentence: velocity(z, t, None) is the one without",
        ("None", "tokens.roll(1, 0)"),
        "it changes what is said in place of how much it counts: w is multiplied by the difference of velocities",
        lambda velocity, z, t, tokens, w: velocity(z, t, (tokens * w).long() % 12),
        "it multiplies z by w: the difference of velocities is to be multiplied",
        lambda velocity, z, t, tokens, w: velocity(w * z, t, tokens),
        "it multiplies the time by w: the difference of velocities is to be multiplied",
        lambda velocity, z, t, tokens, w: velocity(z, w * t, tokens),
        "it is the place that a step would lead to: the velocity is asked for",
        ("return", "return z +"),
        "it is the two velocities: one made of them is asked for",
        ("untold + w * (told - untold)", "told, untold"),
    ),
)


def expected_ends(z_t, t, u):
    """E[z | z_t] and E[eps | z_t] from the mean velocity: (N, D), (N,) and (N, D) -> two of (N, D)."""
    t = t[:, None]  # (N, 1)
    z_hat = z_t + (1 - t) * u
    eps_hat = z_t - t * u
    return z_hat, eps_hat  # eq. (11.10)


def _end_probes():
    """Velocities unlike the places; as many of them as dimensions; one."""
    return [
        (_randn(1, 5, 3) + 0.4, _times(2, 5), 1.5 * _randn(3, 5, 3)),
        (0.8 * _randn(4, 4, 4), _times(5, 4), _randn(6, 4, 4) - 1),
        (_randn(7, 1, 6), torch.tensor([0.3]), 1.2 * _randn(8, 1, 6) + 0.3),
        *[tuple(x.double() for x in (_randn(9, 3, 2), _times(10, 3), _randn(11, 3, 2) + 0.5))],
    ]


def _outermost_probes():
    """At both ends of time and nearly there."""
    return [(_randn(12, 6, 3), torch.tensor([0.0, 1.0, 1.0, 1e-7, 1 - 1e-6, 0.0]), _randn(13, 6, 3))]


def _loud_end_probes():
    """Velocities that are no match for the places, so that nothing small is left."""
    z_t, u = (_randn(seed, 4, 3, dtype=torch.float64) for seed in (14, 15))
    return [(200 * z_t.sign() * (1 + z_t.abs()), _times(16, 4, torch.float64), 40 * u)]


def _loud_outermost_probes():
    return [(_randn(17, 2, 3).double(), torch.tensor([0.0, 1.0], dtype=torch.float64), 1e6 * _randn(18, 2, 3).double())]


OUTERMOST = (
    "it is off at t = 0 or t = 1: there one end is z_t itself, and the other is all of the way ahead, or behind; "
    "divide by neither t nor 1 - t, add nothing to them, and leave t as it is"
)
UNCUT_ENDS = "it cuts something off, or squeezes it: places and velocities may be of any size"


def _both(z_hat: Callable, eps_hat: Callable) -> Callable:
    """Two ends made of z_t, t and u."""

    def answer(z_t, t, u):
        t = t[:, None]
        return z_hat(z_t, t, u), eps_hat(z_t, t, u)

    return answer


EXPECTED_ENDS = Exercise(
    id="11.6",
    title="Where it leads, and where it came from",
    reference=expected_ends,
    hints=(
        "You are on a straight road, know your velocity, and the time. How far is it to the end, at t = 1? And how far "
        "have you come since t = 0?",
        "Equation (11.10): two unknown means, E[z | z_t] and E[eps | z_t]. Their mixture with t and 1 - t is z_t, and "
        "their difference is u. Solve for both.",
        "t = t[:, None]  # (N, 1)\nz_hat = z_t + SOMETHING * u  # the time that is left\neps_hat = z_t - SOMETHING\n"
        "return SOMETHING, SOMETHING",
    ),
    check=compares(
        _end_probes,
        harder=[(OUTERMOST, _outermost_probes), (UNCUT_ENDS, _loud_end_probes), (OUTERMOST, _loud_outermost_probes)],
    ),
    wrong=wrong_answers(
        "the two are exchanged, or time runs the other way: the code lies ahead, at t = 1, and is returned first",
        ("z_hat, eps_hat  #", "eps_hat, z_hat  #"),
        "t and 1 - t are exchanged: to the code the time 1 - t is left, and since the noise t has passed",
        ("(1 - t) * u", "t * u", "z_t - t * u", "z_t - (1 - t) * u"),
        "the whole velocity is added to z_t for the code: the time that is left is 1 - t",
        ("(1 - t) * u", "u"),
        "the whole velocity is taken off z_t for the noise: the time that has passed is t",
        ("- t * u", "- u"),
        "the whole velocity is added and taken off: the time that is left is 1 - t, and t has passed",
        ("(1 - t) * u", "u", "- t * u", "- u"),
        "both have the factor t: to the code the time 1 - t is left",
        ("(1 - t)", "t"),
        "both have the factor 1 - t: since the noise the time t has passed",
        ("- t * u", "- (1 - t) * u"),
        "both signs are flipped: u leads to the code, and away from the noise",
        ("z_t + (1", "z_t - (1", "z_t - t * u", "z_t + t * u"),
        "the code's sign is flipped: u leads to it, z_t + (1 - t) u",
        ("z_t + (1", "z_t - (1"),
        "the noise's sign is flipped: u leads away from it, z_t - t u",
        ("- t * u", "+ t * u"),
        "it is divided by 1 - t: a velocity times a time is a way",
        ("(1 - t) * u", "u / (1 - t)"),
        "it is divided by t: a velocity times a time is a way",
        ("- t * u", "- u / t"),
        "it is divided by 1 - t and by t: a velocity times a time is a way",
        ("(1 - t) * u", "u / (1 - t)", "- t * u", "- u / t"),
        "the code is z_t / t: that is so without noise, and z_t has (1 - t) eps in it",
        ("z_t + (1 - t) * u", "z_t / t"),
        "the noise is z_t / (1 - t): z_t has t z in it, too",
        ("z_t - t * u", "z_t / (1 - t)"),
        "both are z_t divided by their weight: each is only a part of z_t",
        ("z_t + (1 - t) * u", "z_t / t", "z_t - t * u", "z_t / (1 - t)"),
        "u is taken for the noise, as in diffusion models that learn eps: it is the velocity z - eps",
        _both(lambda z_t, t, u: (z_t - (1 - t) * u) / t, lambda z_t, t, u: u.clone()),
        "u is taken for the code, as in models that learn to denoise: it is the velocity z - eps",
        _both(lambda z_t, t, u: u.clone(), lambda z_t, t, u: (z_t - t * u) / (1 - t)),
        "the velocity is returned for the code: z_t has to be added to its way",
        ("z_t + (1 - t) * u", "u"),
        "it is the ways alone: add them to z_t",
        ("z_t + (1 - t) * u", "(1 - t) * u", "z_t - t * u", "-t * u"),
        "the ways are right, but z_t is weighted, too: t z_t and (1 - t) z_t are no places on the path",
        ("z_t + (1 - t) * u", "t * z_t + (1 - t) * u", "z_t - t * u", "(1 - t) * z_t - t * u"),
        "z_t and u are mixed: u is no place, so it is added with the time that is left",
        ("z_t + (1 - t) * u", "t * z_t + (1 - t) * u"),
        "z_t and u are mixed the other way: u is no place, so it is added with the time that is left",
        ("z_t + (1 - t) * u", "(1 - t) * z_t + t * u"),
        "the noise is u - z_hat: their difference is u = z_hat - eps_hat, so it is z_hat - u",
        ("z_t - t * u", "u - z_hat"),
        "the noise is z_hat + u: their difference is u = z_hat - eps_hat, so it is z_hat - u",
        ("z_t - t * u", "z_hat + u"),
        "the noise is z_t - z_hat: that is minus what is left of the way",
        ("z_t - t * u", "z_t - z_hat"),
        "the noise is z_t - t z_hat: that is (1 - t) times it",
        ("z_t - t * u", "z_t - t * z_hat"),
        "the code is z_t - (1 - t) eps_hat: that is t times it",
        ("z_t + (1 - t) * u", "z_t - (1 - t) * (z_t - t * u)"),
        "the noise is z_t itself: that is so at t = 0 alone",
        ("z_t - t * u", "z_t.clone()"),
        "the code is z_t itself: that is so at t = 1 alone",
        ("z_t + (1 - t) * u", "z_t.clone()"),
        "the weights have roots, as on diffusion's path: this one is straight",
        ("(1 - t)", "(1 - t).sqrt()", "- t * u", "- t.sqrt() * u"),
        "the weights are squared: a way is velocity times time",
        ("(1 - t)", "(1 - t) ** 2", "- t * u", "- t**2 * u"),
        "t is lined up with dimensions: it holds a time for each row, so give it a second axis, t[:, None] (where "
        "N = D nothing would tell you)",
        ("t = t[:, None]", "t = t"),
        "t is lined up with the dimensions: give it a second axis, t[:, None], so that each row has its own time",
        lambda z_t, t, u: (z_t + u * (1 - t), z_t - u * t),
        *TIMES_OF_OTHERS,
        "it is the code alone: return the expected noise, too",
        ("return z_hat, eps_hat", "return z_hat"),
        "it is the noise alone: return the expected code first",
        ("return z_hat, eps_hat", "return eps_hat"),
        "the noise is scaled to a variance of 1: an expected value varies less than what it is expected of",
        ("return z_hat, eps_hat", "return z_hat, eps_hat / eps_hat.std()"),
        "the ends are averaged over the rows: each has its own",
        ("return z_hat, eps_hat", "return z_hat.mean(0).expand_as(u), eps_hat.mean(0).expand_as(u)"),
        "the velocities are averaged over the rows: each has its own",
        ("t = t[:, None]", "t, u = t[:, None], u.mean(0)"),
    ),
)


EXERCISES = (LATENT_SCALE, PATH, MEAN_VELOCITY, HEUN_STEP, GUIDED, EXPECTED_ENDS)
