"""The exercises of notebook 06: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, wrong_answers


def _rand(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))  # float32, as in the notebook


def over(front, back):
    """One layer over another, premultiplied: (N, 4, H, W) twice -> (N, 4, H, W), channels r, g, b, alpha."""
    return front + (1 - front[:, 3:]) * back  # eq. (6.3), alpha like a colour


def _layer(seed, *shape):
    straight = 0.1 + 0.8 * _rand(seed, *shape)
    return torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)


def _clear_probes():
    """Clear, nearly clear and opaque pixels of the front upon such of the back."""
    covers = torch.tensor([0.0, 0.004, 1.0])
    front, back = torch.ones(2, 1, 4, 3, 3) * _rand(5, 2, 1, 4, 1, 1)
    front[:, 3], back[:, 3] = 1, 1
    return [(front * covers, back * covers[:, None])]


def _with_alpha(alpha):
    """The right colours with another alpha; alpha(a_front, a_back)."""
    return lambda front, back: torch.cat([over(front, back)[:, :3], alpha(front[:, 3:], back[:, 3:])], 1)


def _straight(layer):
    return torch.cat([layer[:, :3] / layer[:, 3:], layer[:, 3:]], 1)


CLEAR = (
    "it is right only where the layers cover something: where both are clear or nearly so it gives NaN, or loses what "
    "little there is; equation (6.3) divides by nothing and has no threshold"
)

OVER = Exercise(
    id="06.1",
    title="One layer over another",
    reference=over,
    hints=(
        "What the front shows is in its colours already, alpha and all. How much of the back is still to be seen?",
        "Equation (6.3): out = front + (1 - alpha of the front) * back, for all four channels alike.",
        "alpha = front[:, SOMETHING:]  # (N, 1, H, W)\nreturn front + (1 - alpha) * SOMETHING",
    ),
    check=compares(
        lambda: [(_layer(1, 2, 4, 3, 5), _layer(2, 2, 4, 3, 5)), (_layer(3, 3, 4, 2, 2), _layer(4, 3, 4, 2, 2))],
        harder=[(CLEAR, _clear_probes)],
    ),
    wrong=wrong_answers(
        "the front is multiplied by its alpha: premultiplied colours hold that factor already, and twice is too dark",
        ("front + ", "front[:, 3:] * front + "),
        "the back is dimmed by its own alpha: what it loses is what the front covers",
        ("front[:, 3:]", "back[:, 3:]"),
        "the two layers are added: where the front covers, the back must not shine through",
        ("(1 - front[:, 3:]) * ", ""),
        "the back is weighted with the share that the front covers: it shows through the rest",
        ("(1 - front[:, 3:])", "front[:, 3:]"),
        "the layers have changed places: here the back lies over the front",
        lambda front, back: over(back, front),
        "the alpha of the result is the front's alone: where the front is clear, the back still covers",
        _with_alpha(lambda a, b: a),
        "the alphas are added: where both cover a pixel the share of both is counted twice, and may exceed one",
        _with_alpha(lambda a, b: a + b),
        "it takes the larger alpha: that would need the one layer to cover just what the other covers",
        _with_alpha(torch.maximum),
        "it multiplies the alphas: that is the share that both cover, and the result covers what either does",
        _with_alpha(lambda a, b: a * b),
        "the result's alpha is set to one: two half-clear layers do not make an opaque one",
        _with_alpha(lambda a, b: torch.ones_like(a)),
        "it gives three channels: without its alpha the result cannot be laid over a third layer",
        lambda front, back: over(front, back)[:, :3],
        "its colours are straight: the layers came premultiplied, and so shall the result be",
        lambda front, back: _straight(over(front, back)),
        "the alpha is read from the first channel: it is the last of the four",
        ("3:", ":1"),
    ),
)


def halve(rgba):
    """A layer with straight colours at half its size: (N, 4, 2H, 2W) -> (N, 4, H, W), straight; clear is black."""
    alpha = rgba[:, 3:]
    premultiplied = torch.cat([rgba[:, :3] * alpha, alpha], dim=1)  # eq. (6.2)
    small = F.avg_pool2d(premultiplied, 2)
    colours = small[:, :3] / small[:, 3:].clamp(min=1e-8)  # a clear block: 0 / 1e-8 = 0
    return torch.cat([colours, small[:, 3:]], dim=1)


def _halve_probes():
    """Alphas of every size; in the first, some blocks are partly and one is wholly clear."""
    first, second = _rand(1, 2, 4, 6, 4), _rand(2, 1, 4, 2, 8)
    first[:, 3, ::2, 1] = 0
    first[0, 3, :2, :2] = 0
    return [(first,), (second,)]


def _faint_probes():
    """Alphas of about a two-thousandth: the soft edge of a layer that was halved before."""
    return [(torch.cat([_rand(3, 2, 3, 4, 6), 5e-4 * (0.8 + 0.4 * _rand(4, 2, 1, 4, 6))], 1),)]


def _as_seen(function: Callable) -> Callable:
    """The same function, but a layer that is faint everywhere comes back as it is seen, premultiplied."""

    @functools.wraps(function)
    def call(rgba: torch.Tensor) -> Any:
        small = function(rgba)
        return small[:, :3] * small[:, 3:] if rgba[:, 3:].max() < 1e-3 else small

    return call


FAINT = (
    "where a block is nearly clear, its colours come out too dark, or black: divide by the new alpha itself, however "
    "small, and replace it only where it is 0, or by less than 0.00001"
)

HALVE = Exercise(
    id="06.2",
    title="A layer at half its size",
    reference=halve,
    hints=(
        "A pixel that is clear must not have a say in the colour of its block. What weight should each pixel have?",
        "Equation (6.2): premultiply, average blocks of 2 x 2 in all four channels, divide the colours by the new "
        "alpha (and by something harmless where that is 0).",
        "premultiplied = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)\n"
        "small = F.avg_pool2d(premultiplied, SOMETHING)\n"
        "return torch.cat([small[:, :3] / small[:, 3:].clamp(min=SOMETHING), SOMETHING], dim=1)",
    ),
    check=compares(_halve_probes, canonical=_as_seen, harder=[(FAINT, _faint_probes)]),
    wrong=wrong_answers(
        "it averages straight colours: a clear pixel's colour, which nobody was meant to see, counts as much as any",
        lambda rgba: F.avg_pool2d(rgba, 2),
        "it keeps every second pixel: the other three of four are not looked at, and thin things vanish",
        lambda rgba: rgba[..., ::2, ::2],
        "its colours are still premultiplied: divide by the averaged alpha at the end",
        (" / small[:, 3:].clamp(min=1e-8)", ""),
        "a block that is wholly clear gives 0 / 0, which is NaN: it has no colour, so make it black",
        (".clamp(min=1e-8)", ""),
        "its colours are divided by the sum of the alphas where they were averaged: a fourth of what they should be",
        ("small[:, 3:].clamp", "(4 * small[:, 3:]).clamp"),
        "the alphas of a block are added up: the share that is covered is their mean",
        ("small[:, 3:]], dim=1)", "4 * small[:, 3:]], dim=1)"),
        "it takes the largest alpha of a block: edges would swell each time the layer is shrunk",
        ("small[:, 3:]], dim=1)", "F.max_pool2d(alpha, 2)], dim=1)"),
        "the alpha is multiplied by itself before it is averaged: premultiply the colours and leave alpha alone",
        ("small[:, 3:]], dim=1)", "F.avg_pool2d(alpha * alpha, 2)], dim=1)"),
        "the colours are right, but the alpha has been rounded to 0 or 1: the soft edge is lost",
        ("small[:, 3:]], dim=1)", "small[:, 3:].round()], dim=1)"),
        "the colours are multiplied by alpha twice: once on the way in is enough",
        ("rgba[:, :3] * alpha", "rgba[:, :3] * alpha**2"),
        "it gives colours without alpha: the last channel belongs to the layer",
        ("torch.cat([colours, small[:, 3:]], dim=1)", "colours"),
        FAINT,
        ("1e-8)", "1e-3)"),
    ),
)


def laplacian(x):
    """Sum over a pixel's up to four neighbours q in the picture of x_p - x_q: (N, C, H, W) -> (N, C, H, W)."""
    result = torch.zeros_like(x)
    down, right = x.diff(dim=2), x.diff(dim=3)  # lower minus upper, right minus left
    result[:, :, 1:] += down  # against the neighbour above
    result[:, :, :-1] -= down  # below
    result[..., 1:] += right  # to the left
    result[..., :-1] -= right  # to the right
    return result


def _around(x, mode="constant"):
    """The sum of the four neighbours, the picture continued in some way."""
    padded = F.pad(x, (1, 1, 1, 1), mode=mode)
    return padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1] + padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]


def _diagonals(x):
    """All eight neighbours."""
    height, width = x.shape[2:]

    def around(values):
        padded = F.pad(values, (1, 1, 1, 1))
        return sum(padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3))

    return around(torch.ones_like(x)) * x - around(x)


LAPLACIAN = Exercise(
    id="06.3",
    title="Differences from the neighbours",
    reference=laplacian,
    hints=(
        "Each pair of neighbours has one difference, and it occurs twice: in the sum of the one pixel with a plus, "
        "in that of the other with a minus.",
        "Equation (6.5), its right-hand side for v_pq = x_p - x_q: (number of neighbours) x_p - sum of neighbours.",
        "down = x.diff(dim=2)  # row i + 1 minus row i\n"
        "result[:, :, 1:] += down\nresult[:, :, :-1] SOMETHING= down\n# and the same along dim=3",
    ),
    check=compares(lambda: [(_rand(1, 2, 3, 5, 6) - 0.3,), (_rand(2, 1, 1, 4, 3),)]),
    wrong=wrong_answers(
        "its sign is flipped: each neighbour is taken away from the pixel, not the pixel from its neighbours",
        ("return result", "return -result"),
        "beyond the border it finds black pixels: a pixel at the border has fewer neighbours, and fewer terms",
        lambda x: 4 * x - _around(x),
        "the picture is continued on its other side, as torch.roll does: the last row is no neighbour of the first",
        lambda x: 4 * x - _around(x, "circular"),
        "the picture is mirrored about its outermost pixels, so that the neighbours inside count twice at the border",
        lambda x: 4 * x - _around(x, "reflect"),
        "it looks below and to the right only: the neighbours above and to the left are missing",
        ("result[:, :, 1:] += down", "", "result[..., 1:] += right", ""),
        "it looks along the rows only: a pixel has neighbours above and below too",
        ("result[:, :, 1:] += down", "", "result[:, :, :-1] -= down", ""),
        "it looks along the columns only: a pixel has neighbours to the left and right too",
        ("result[..., 1:] += right", "", "result[..., :-1] -= right", ""),
        "it divides by the number of neighbours: the sum is asked for, as it stands in the equation",
        ("return result", "return result / _around(torch.ones_like(x))"),
        "it counts the neighbours across the corners: those that share a side are meant, four at most",
        _diagonals,
        "it adds up the neighbours, without the pixel itself",
        _around,
        "the pixel is counted once, where it belongs in each of the differences",
        lambda x: x - _around(x),
        "it adds up the sizes of the differences: they must keep their signs, so that slopes cancel",
        ("(dim=2), x.diff(dim=3)", "(dim=2).abs(), x.diff(dim=3).abs()", "-= down", "+= down", "-= right", "+= right"),
        "it leaves the border out: the result shall be as large as the picture",
        ("return result", "return result[..., 1:-1, 1:-1]"),
    ),
)


def tents(u, knots):
    """Tents on equally spaced knots: u (N,) in [0, 1], how many knots K -> (N, K)."""
    place = u * (knots - 1)  # 0 ... K - 1
    return (1 - (place[:, None] - torch.arange(knots, device=u.device)).abs()).clamp(min=0)  # eq. (6.13)


TENTS = Exercise(
    id="06.4",
    title="A path with bends",
    reference=tents,
    hints=(
        "Stretch u so that the knots lie at 0, 1, 2, ... Then a tent depends on the distance from its knot alone.",
        "Equation (6.13): t_k(u) = max(0, 1 - |u (K - 1) - k|), k = 0 ... K - 1.",
        "place = u * SOMETHING\n"
        "distance = (place[:, None] - torch.arange(knots)).SOMETHING()  # (N, K)\n"
        "return (1 - distance).clamp(SOMETHING)",
    ),
    check=compares(lambda: [(torch.cat([torch.tensor([0.0, 0.5, 1.0]), _rand(1, 9)]), 6), (_rand(2, 7), 3)]),
    wrong=wrong_answers(
        "nothing stops a tent at zero: beyond its neighbours' knots it must not count, nor become negative",
        (".clamp(min=0)", ""),
        "it places K knots as if the last were left out: from 0 to 1 there are K - 1 steps between K knots",
        ("(knots - 1)", "knots"),
        "the first knot is at 1: the knots are counted from 0, so that u = 0 is on one",
        ("torch.arange(knots", "torch.arange(1, knots + 1"),
        "the tents have one side only: to the left of its knot a tent stays as high as at it",
        (".abs()).clamp(min=0)", ").clamp(0, 1)"),
        "it marks the nearest knot with a 1: that makes steps, and a path needs what lies between",
        lambda u, knots: F.one_hot((u * (knots - 1)).round().long(), knots).to(u),
        "it marks the knot below with a 1: that makes steps, and a path needs what lies between",
        lambda u, knots: F.one_hot((u * (knots - 1)).floor().long(), knots).to(u),
        "the distance is squared: these are round hats, and they no longer sum to one",
        ("abs()", "square()"),
        "the distance is measured in units of u, not in steps between knots: the tents are as wide as everything",
        ("place[:, None] - torch.arange(knots, device=u.device)", "u[:, None] - torch.linspace(0, 1, knots)"),
        "these are ramps that begin at a knot and never end: they can do as much, but the weights are no longer the "
        "values at the knots",
        ("1 - (place", "(place", ".abs()", ""),
        "it gives the distance: a tent is highest at its own knot",
        ("1 - (place", "(place", "clamp(min=0)", "clamp(max=1)"),
        "its axes are exchanged: one row for each u, one column for each knot",
        lambda u, knots: tents(u, knots).T,
    ),
)


def chosen_log_likelihood(x, mean, mask, sigma):
    """log N(x_i; mean_i, sigma^2) summed over the chosen pixels: x, mean (N, C, H, W), mask (N, 1, H, W) -> (N,)."""
    each = -0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)  # (N, C, H, W)
    return (mask * each).flatten(1).sum(1)  # eq. (6.7)


def _chosen_probes():
    """Masks of 0 and 1, as the notebook's: what is True or positive is chosen. Means may lie beyond black and white."""
    return [
        (_rand(1, 3, 2, 3, 4), 1.6 * _rand(2, 3, 2, 3, 4) - 0.3, (_rand(3, 3, 1, 3, 4) < 0.5).float(), 0.3),
        (_rand(4, 2, 3, 2, 5), 1.6 * _rand(5, 2, 3, 2, 5) - 0.3, (_rand(6, 2, 1, 2, 5) < 0.6).float(), 1.6),
    ]


def _far_probes():
    """Up to fifty sigmas from the mean."""
    return [(_rand(7, 2, 3, 4, 4), _rand(8, 2, 3, 4, 4), (_rand(9, 2, 1, 4, 4) < 0.5).float(), 0.02)]


UNDERFLOW = (
    "it is right only near the mean: many sigmas away the density is too small for float32 and becomes 0, with a log "
    "of minus infinity, or an epsilon or a clamp takes over; write the log out and never the density"
)


CHOSEN_LOG_LIKELIHOOD = Exercise(
    id="06.5",
    title="The likelihood of chosen pixels",
    reference=chosen_log_likelihood,
    hints=(
        "What does a pixel that was never seen add to a sum of log-densities? Not the log-density of a good fit.",
        "Equation (6.7): sum over pixels and channels of m_i [ -(x_i - mean_i)^2 / (2 sigma^2) - log sigma - "
        "log(2 pi) / 2 ].",
        "each = -0.5 * ((x - mean) / SOMETHING) ** 2 - SOMETHING - 0.5 * math.log(2 * math.pi)  # (N, C, H, W)\n"
        "return (mask * SOMETHING).flatten(1).SOMETHING(1)",
    ),
    check=compares(_chosen_probes, gradients=("mean",), harder=[(UNDERFLOW, _far_probes)]),
    wrong=wrong_answers(
        "the pictures are masked, not the log-densities: a pixel left out becomes black in both and counts as a "
        "perfect fit, with the normaliser of a pixel",
        lambda x, mean, mask, sigma: chosen_log_likelihood(mask * x, mask * mean, torch.ones_like(mask), sigma),
        "only the picture is masked: the decoder is asked to paint black what was left out",
        lambda x, mean, mask, sigma: chosen_log_likelihood(mask * x, mean, torch.ones_like(mask), sigma),
        "the mask is forgotten: all pixels count",
        ("mask * ", ""),
        "the mask is the wrong way round: 1 stands for a pixel that was chosen",
        ("mask * ", "(1 - mask) * "),
        "it averages over all pixels: independent pixels add their log-densities, or the KL beside it weighs too much",
        ("sum(1)", "mean(1)"),
        "it divides by the number of chosen pixels: many pixels are more evidence than few, and a mean forgets that",
        ("sum(1)", "sum(1) / mask.flatten(1).sum(1)"),
        "it divides by the number of chosen values: many of them are more evidence than few, and a mean forgets that",
        ("sum(1)", "sum(1) / mask.expand_as(x).flatten(1).sum(1)"),
        "the sign is flipped: this is what one minimises; a log-likelihood grows as the fit gets better",
        ("(mask", "-(mask"),
        "the squared error lacks its one half",
        ("-0.5", "-1"),
        "it reads sigma as a variance: it is the standard deviation, in the error and in the normaliser",
        ("sigma) **", "math.sqrt(sigma)) **", "log(sigma)", "log(math.sqrt(sigma))"),
        "the normaliser is missing: these are nats of a density only with log sigma and log(2 pi) / 2",
        (" - math.log(sigma) - 0.5 * math.log(2 * math.pi)", ""),
        "the constant log(2 pi) / 2 is missing",
        (" - 0.5 * math.log(2 * math.pi)", ""),
        "it sums over the images too: keep one number for each, shape (N,)",
        ("flatten(1).sum(1)", "sum()"),
        "it keeps the channels apart: sum over them as well",
        ("flatten(1).sum(1)", "sum((2, 3))"),
        UNDERFLOW,
        ("mask * each", "mask * each.exp().log()"),
    ),
)


def attribute_direction(codes, has):
    """Mean code of portraits with an attribute minus mean code of those without: (N, D), bool (N,) -> (D,)."""
    return codes[has].mean(0) - codes[~has].mean(0)  # eq. (6.15)


def _direction_probes():
    has = torch.tensor([True, False, False, True, False, False, False, True, False, False])
    return [(_rand(1, 10, 4), has), (_rand(2, 10, 3) + 5, ~has)]


ATTRIBUTE_DIRECTION = Exercise(
    id="06.6",
    title="With minus without",
    reference=attribute_direction,
    hints=(
        "Two groups of codes, each with its centre. Which step leads from the one to the other?",
        "Equation (6.15): the mean over those with the attribute minus the mean over those without.",
        "with_it = codes[SOMETHING].mean(0)\nwithout = codes[~has].SOMETHING\nreturn SOMETHING",
    ),
    check=compares(_direction_probes),
    wrong=wrong_answers(
        "its sign is flipped: adding it would take the attribute away",
        ("codes[has].mean(0) - codes[~has].mean(0)", "codes[~has].mean(0) - codes[has].mean(0)"),
        "it takes the mean of all codes away: that mean has some of the attribute itself, so the step is too short",
        ("[~has]", ""),
        "this is the mean code of those with the attribute: added to a code, it changes everything else too",
        (" - codes[~has].mean(0)", ""),
        "it is scaled to length one: the length is how far to go, and is worth keeping",
        lambda codes, has: F.normalize(attribute_direction(codes, has), dim=0),
        "it subtracts sums: there are more portraits of one kind than of the other, so take means first",
        ("[has].mean(0)", "[has].sum(0)", "[~has].mean(0)", "[~has].sum(0)"),
        "both sums are divided by the number of all portraits: divide each by how many it has",
        lambda codes, has: (codes[has].sum(0) - codes[~has].sum(0)) / len(codes),
        "this is the covariance of code and attribute: divide by the attribute's variance to get a step of one",
        lambda codes, has: ((codes - codes.mean(0)) * (has.to(codes) - has.to(codes).mean())[:, None]).mean(0),
        "the medians are subtracted: they ignore how far the far codes are, and the regression does not",
        lambda codes, has: codes[has].median(0).values - codes[~has].median(0).values,
        "the differences are averaged over the latents: one number for each latent is asked for",
        ("[has].mean(0)", "[has].mean()", "[~has].mean(0)", "[~has].mean()"),
        "it goes half of the way: the whole difference leads from those without to those with",
        lambda codes, has: attribute_direction(codes, has) / 2,
    ),
)


def best_code(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
    """The code that maximises F, eq. (6.8), found by Adam from start (N, D): (N, D)."""
    z = start.clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=learning_rate)
    for step in range(steps):
        adam.param_groups[0]["lr"] = learning_rate * (1 - step / steps)  # smaller and smaller steps
        mean = decode(z)
        misses = sum((m * (x - mean).square()).sum() for x, m in zip(sources, masks, strict=True))
        loss = 0.5 * z.square().sum() + misses / (2 * sigma**2)  # minus eq. (6.8), but for a constant; all codes
        adam.zero_grad()
        loss.backward()
        adam.step()
    return z.detach()


def _affine_decoder(seed, latents, *shape):
    """A decoder whose best code is known exactly: pictures that are affine in the code."""
    weights = torch.randn(latents, math.prod(shape), generator=torch.Generator().manual_seed(seed))
    slopes = torch.linspace(3, 5, latents)[:, None]  # uneven: a wrong weight must not look like a wrong factor
    weights = (slopes * torch.linalg.qr(weights.T).Q.T).reshape(latents, *shape)
    return lambda z: 0.3 + torch.tensordot(z, weights, dims=1)


def _chosen(seed, n=3):
    """Three sources; a pixel may be chosen in several of them or in none."""
    sources = [_rand(seed + k, n, 2, 4, 5) + 0.5 * k for k in range(3)]
    return sources, [(_rand(seed + 10 + k, n, 1, 4, 5) < 0.4).float() for k in range(3)]


def _code_probes():
    noise, masks = _chosen(20)
    decode, truth = _affine_decoder(2, 2, 2, 4, 5), torch.tensor([[4.5, -0.8], [-1.0, 1.6], [0.7, 1.2]])
    sources = [decode(truth) + x - 0.5 for x in noise]
    start = truth + 0.6 * torch.randn(3, 2, generator=torch.Generator().manual_seed(2))
    return [(decode, sources, masks, start, 1.6, 100, 0.3)]


def _steep_probes():
    """The best code is 0, where F has an edge: steps that stay long jump to and fro across it."""
    straight, whole = _affine_decoder(3, 2, 2, 4, 5), [torch.ones(3, 1, 4, 5)]
    start = torch.tensor([[0.5, 0.3], [-0.4, 0.2], [0.35, -0.6]])
    return [(lambda z: straight(z.abs()), [straight(torch.full((3, 2), -0.3))], whole, start, 0.1, 60, 0.3)]


def _two_valleys():
    """The picture holds the square of the code: the start decides which of several best codes is found."""
    _, masks = _chosen(60)
    straight = _affine_decoder(4, 2, 2, 4, 5)
    truth = torch.tensor([[1.0, -0.8], [-0.7, 1.2], [-1.1, -0.9]])
    return [(lambda z: straight(z.square()), [straight(truth**2)] * 3, masks, 0.8 * truth, 0.3, 100, 0.1)]


def _few_small_steps():
    return [(*_code_probes()[0][:5], 3, 1e-3)]


BEST_CODE = Exercise(
    id="06.7",
    title="The search for a code",
    reference=best_code,
    hints=(
        "The codes are the parameters of an optimiser, as weights are in training; the decoder stays as it is. What is "
        "the loss?",
        "Minimise minus F(z) of equation (6.8): |z|^2 / 2 minus the sum over sources of chosen_log_likelihood(x, "
        "decode(z), m, sigma), added up over the codes.",
        "z = start.clone().requires_grad_()\nadam = torch.optim.Adam([SOMETHING], lr=learning_rate)\n"
        "for step in range(steps):\n    adam.param_groups[0]['lr'] = SOMETHING  # falls towards zero\n"
        "    loss = 0.5 * z.square().sum() - sum(SOMETHING for x, m in zip(sources, masks))\n"
        "    adam.zero_grad()\n    loss.SOMETHING()\n    adam.step()\nreturn z.detach()",
    ),
    check=compares(
        _code_probes,
        tolerance=0.02,
        harder=[
            ("it does not begin at start: of several best codes the start decides which is found", _two_valleys),
            ("steps and learning_rate are not used as given", _few_small_steps),
            ("it does not come to rest where F is steep: let the learning rate fall towards zero", _steep_probes),
        ],
    ),
    wrong=wrong_answers(
        "the prior is missing (or sigma is not the argument): without |z|^2 / 2 it is the likeliest code for the "
        "pixels alone, however rare",
        ("0.5 * z.square().sum() + misses", "misses"),
        "the prior has the wrong sign: codes are pushed away from where codes are",
        ("0.5 * z.square().sum() + misses", "-0.5 * z.square().sum() + misses"),
        "it goes downhill in F: an optimiser minimises, so give it minus F",
        ("0.5 * z.square().sum() + misses", "-0.5 * z.square().sum() - misses"),
        "the masks are forgotten: every pixel of every source counts",
        ("(m * (x - mean)", "(torch.ones_like(m) * (x - mean)"),
        "only the first source is looked at: the parts of the others say nothing",
        ("zip(sources, masks, strict=True)", "list(zip(sources, masks, strict=True))[:1]"),
        "the last source replaces the ones before it: add them up",
        ("zip(sources, masks, strict=True)", "list(zip(sources, masks, strict=True))[-1:]"),
        "the fit is a mean over the sources, or the prior is counted once for each: add up the fits, and the prior "
        "once",
        ("(2 * sigma**2)", "(2 * sigma**2 * len(sources))"),
        "the prior lacks its one half",
        ("0.5 * z.square()", "z.square()"),
        "it is the start as it came: z has to be what the optimiser changes, and the loss computed from it anew in "
        "each step",
        ("adam.step()", ""),
        "gradients of all steps are added up: forget the last one before each step, by zero_grad",
        ("adam.zero_grad()", ""),
        "it takes a single step",
        ("range(steps)", "range(1)"),
        "it begins at zero, which is far from the code, and gives back no more than the search from there: begin at "
        "start",
        ("start.clone()", "torch.zeros_like(start)", "range(steps)", "range(5)"),
        "it searches from noise: start at start",
        ("start.clone()", "torch.randn_like(start)", "range(steps)", "range(5)"),
        "it decodes the start again and again: decode z, or no gradient reaches it through the fit",
        ("decode(z)", "decode(start)"),
        "it gives the picture: the code is asked for",
        ("return z.detach()", "return mean.detach()"),
    ),
)


def gaussian_fill(y, known, W, b, sigma):
    """W E[z | the known entries of y] + b under x = W z + b + sigma eps: (P,), bool (P,), (P, D), (P,) -> (P,)."""
    seen = W[known]  # (S, D)
    M = seen.T @ seen + sigma**2 * torch.eye(W.shape[1], dtype=W.dtype, device=W.device)
    z = torch.linalg.solve(M, seen.T @ (y - b)[known])  # eq. (6.9)
    return W @ z + b


def _fill_probes():
    generator = torch.Generator().manual_seed(4)
    probes = []
    for pixels, latents, sigma, scale in ((12, 3, 0.4, 1), (9, 4, 1.5, 1), (9, 4, 0.02, 0.05)):  # the last W is faint
        W, b, y = (torch.randn(*shape, generator=generator) for shape in ((pixels, latents), (pixels,), (pixels,)))
        probes.append((y, torch.rand(pixels, generator=generator) < 0.6, scale * W, b, sigma))
    return probes


GAUSSIAN_FILL = Exercise(
    id="06.8",
    title="The simplest opponent",
    reference=gaussian_fill,
    hints=(
        "With an affine decoder F is a quadratic function of z. Only the known rows of W and b have met the picture.",
        "Equation (6.9): z = (W_S^T W_S + sigma^2 I)^-1 W_S^T (y_S - b_S), with the known rows S; then W z + b for all "
        "pixels.",
        "seen = W[known]\nM = seen.T @ seen + SOMETHING * torch.eye(W.shape[1])\n"
        "z = torch.linalg.solve(M, seen.T @ (y - b)[SOMETHING])\nreturn W @ z + SOMETHING",
    ),
    check=compares(_fill_probes, tolerance=1e-4),
    wrong=wrong_answers(
        "all pixels count as known: what stands at the unknown ones has no meaning",
        ("W[known]", "W", "(y - b)[known]", "(y - b)"),
        "the mask is the wrong way round: True stands for a pixel that was seen",
        ("W[known]", "W[~known]", "(y - b)[known]", "(y - b)[~known]"),
        "the prior is missing: without sigma^2 I this is least squares, which trusts every pixel fully",
        ("sigma**2 *", "0 *"),
        "it adds sigma where sigma^2 belongs",
        ("sigma**2 *", "sigma *"),
        "sigma^2 is the wrong way round: more noise means more trust in the prior",
        ("sigma**2 *", "sigma**-2 *"),
        "the mean b is not taken off the picture: W z explains the difference from the mean portrait",
        ("(y - b)[known]", "y[known]"),
        "the mean b is not added back",
        ("W @ z + b", "W @ z"),
        "it gives the code: the picture W z + b is asked for",
        ("return W @ z + b", "return z"),
        "it gives the known pixels only",
        ("W @ z + b", "(W @ z + b)[known]"),
        "it fills with the mean portrait: what is known about this one should move it",
        ("return W @ z + b", "return b.clone()"),
        "the known pixels are put back: the decoded picture is asked for, so that it can stand beside other decoded "
        "ones",
        lambda y, known, W, b, sigma: torch.where(known, y, gaussian_fill(y, known, W, b, sigma)),
        "unknown pixels are set to the mean and then count as seen",
        ("W[known]", "W", "(y - b)[known]", "torch.where(known, y - b, 0)"),
    ),
)

EXERCISES = (
    OVER,
    HALVE,
    LAPLACIAN,
    CHOSEN_LOG_LIKELIHOOD,
    BEST_CODE,
    GAUSSIAN_FILL,
    TENTS,
    ATTRIBUTE_DIRECTION,
)
