"""The exercises of notebook 10: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch.distributions import Normal

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, wrong_answers


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _rand(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def fade(layer, opacity):
    """A layer made more transparent: premultiplied (N, 4, H, W), and a number in [0, 1] -> (N, 4, H, W)."""
    return layer * opacity  # eq. (10.2), colours like alpha


def _layer(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Premultiplied, nowhere clear and nowhere opaque."""
    straight = 0.1 + 0.8 * _rand(seed, *shape, dtype=dtype)
    return torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], 1)


def _fade_probes():
    """Several layers and one, and as many layers as there are channels, rows and columns."""
    return [
        (_layer(1, 2, 4, 3, 5), 0.3),
        (_layer(2, 1, 4, 2, 3), 0.85),
        (_layer(3, 4, 4, 4, 4, dtype=torch.float64), 0.6),
    ]


def _clear_probes():
    """Pixels that are clear, or so faint that a division needs care; and opacities that leave all or nothing."""
    layer = _layer(4, 2, 4, 3, 4, dtype=torch.float64)
    layer[:, :, 1, ::2] = 0
    faint = layer * torch.tensor([1e-3, 1e-2, 1]).to(layer)[:, None]
    return [(layer, 0.4), (layer, 0), (layer, 1), (faint, 0.7)]


def _overshooting_probes():
    """A decoder's layer: some alphas are above 1, and some colours are negative or brighter than their alpha."""
    alpha = 0.05 + 1.3 * _rand(5, 2, 1, 3, 5, dtype=torch.float64)
    return [(torch.cat([_rand(6, 2, 3, 3, 5, dtype=torch.float64) * 1.8 - 0.3, alpha], 1), o) for o in (0.9, 0.5, 1)]


CLEAR = (
    "it fails where a pixel is clear or very faint, or where the opacity is 0 or 1: premultiplied colours need no "
    "division by alpha, and so no epsilon"
)
UNCUT = (
    "it cuts something off: a decoder's layer may overshoot a little, and the picture that it makes is cut at the end, "
    "once; multiply and leave the rest"
)


def _with_alpha(alpha):
    """The colours as they came with another alpha; alpha(alpha, opacity)."""
    return lambda layer, opacity: torch.cat([layer[:, :3], alpha(layer[:, 3:], opacity)], 1)


def _covering(alpha):
    """Straight colours kept, with another alpha, and premultiplied by it; alpha(alpha, opacity)."""

    def answer(layer, opacity):
        new = alpha(layer[:, 3:], opacity)
        return torch.cat([layer[:, :3] / layer[:, 3:] * new, new], 1)

    return answer


FADE = Exercise(
    id="10.1",
    title="A layer made more transparent",
    reference=fade,
    hints=(
        "Premultiplied colours are light: what a layer adds to the picture. How much light does a layer add that is "
        "only half there? And how much does it hide?",
        "Equation (10.2): a mixture of premultiplied layers is one, and here the other layer is clear, all zeros. So "
        "each of r, g, b and alpha is multiplied by the same number.",
        "# one product, with no case for alpha\nreturn SOMETHING * opacity",
    ),
    check=compares(_fade_probes, harder=[(CLEAR, _clear_probes), (UNCUT, _overshooting_probes)]),
    wrong=wrong_answers(
        "only alpha is scaled: the colours still hold the old alpha, so the layer adds all of its light to a ground "
        "that it hides less, and glows",
        _with_alpha(lambda alpha, opacity: alpha * opacity),
        "only the colours are scaled: the layer gets darker and hides as much of what is behind it as before",
        lambda layer, opacity: torch.cat([layer[:, :3] * opacity, layer[:, 3:]], 1),
        "it scales by 1 - opacity: the opacity says what is left of the layer, not what is taken",
        ("opacity", "(1 - opacity)"),
        "1 - opacity is subtracted from alpha alone: where the layer was faint alpha gets negative, and its light is "
        "not taken back",
        _with_alpha(lambda alpha, opacity: alpha - (1 - opacity)),
        "the opacity is subtracted from alpha: the more opaque the layer shall be, the more of what is behind shows",
        _with_alpha(lambda alpha, opacity: alpha - opacity),
        "the opacity is added to alpha: the layer hides more than before, clear pixels too",
        _with_alpha(lambda alpha, opacity: alpha + opacity),
        "the opacity is subtracted from all channels: that darkens each pixel by as much, whether it is covered or not",
        ("layer * opacity", "layer - opacity"),
        "1 - opacity is subtracted from all channels: faint pixels get negative, and opaque ones keep too much",
        ("layer * opacity", "layer - (1 - opacity)"),
        "alpha is scaled and the colours are divided: that is twice too bright; both get less by the same factor",
        lambda layer, opacity: torch.cat([layer[:, :3] / opacity, layer[:, 3:] * opacity], 1),
        "it is divided by the opacity: a layer that fades has less of everything",
        ("layer * opacity", "layer / opacity"),
        "its colours are straight: premultiply them again, or better, never divide by alpha at all",
        lambda layer, opacity: torch.cat([layer[:, :3] / layer[:, 3:], layer[:, 3:] * opacity], 1),
        "its colours are straight and scaled: they have lost the old alpha, so soft edges shine",
        lambda layer, opacity: torch.cat([layer[:, :3] / layer[:, 3:] * opacity, layer[:, 3:] * opacity], 1),
        "the colours are multiplied by the new alpha: they hold the old one already, and twice is too dark",
        lambda layer, opacity: torch.cat([layer[:, :3] * layer[:, 3:] * opacity, layer[:, 3:] * opacity], 1),
        "the colours are scaled twice: once for them is enough, and alpha gets the same factor",
        lambda layer, opacity: torch.cat([layer[:, :3] * opacity**2, layer[:, 3:] * opacity], 1),
        "alpha is scaled twice: the layer hides less than its light is worth, and glows",
        lambda layer, opacity: torch.cat([layer[:, :3] * opacity, layer[:, 3:] * opacity**2], 1),
        "the opacity is squared: both the light and what is hidden are proportional to it",
        ("opacity", "opacity**2"),
        "it takes the root of the opacity: both the light and what is hidden are proportional to it",
        ("opacity", "opacity**0.5"),
        "every pixel gets the opacity as its alpha: places that were clear now hide what is behind them",
        _with_alpha(lambda alpha, opacity: torch.full_like(alpha, opacity)),
        "every pixel gets the opacity as its alpha, and colours to match: the shape of the thing is lost, for that is "
        "what alpha held",
        _covering(lambda alpha, opacity: torch.full_like(alpha, opacity)),
        "alpha is cut off at the opacity: faint pixels do not fade, and the light of the others is not taken back",
        _with_alpha(lambda alpha, opacity: alpha.clamp(max=opacity)),
        "alpha is cut off at the opacity, and colours to match: pixels fainter than that do not fade at all",
        _covering(lambda alpha, opacity: alpha.clamp(max=opacity)),
        "it thins the layer like coloured glass, 1 - (1 - alpha)^opacity: a share of the layer is asked for, and an "
        "opaque pixel has to fade too",
        _covering(lambda alpha, opacity: 1 - (1 - alpha) ** opacity),
        "it is mixed with white: what the layer loses must come from what is behind it, whatever that is",
        ("layer * opacity", "layer * opacity + (1 - opacity)"),
        "it is laid over black: the result is opaque, and hides all that is behind it",
        lambda layer, opacity: torch.cat([layer[:, :3] * opacity, torch.ones_like(layer[:, 3:])], 1),
        "it gives three channels: without its alpha the layer cannot be laid over anything",
        ("layer", "layer[:, :3]"),
        "it gives alpha alone: the colours belong to the layer, and fade like it",
        ("layer", "layer[:, 3:]"),
        "the first channel is taken for alpha, and it alone is scaled: alpha is the last of the four",
        lambda layer, opacity: torch.cat([layer[:, :1] * opacity, layer[:, 1:]], 1),
        "it is the layer as it came: nothing fades",
        lambda layer, opacity: layer.clone(),
    ),
)


def composite_error(e):
    """Mean of |e_colour - e_alpha b|^2 over grounds b, uniform in [0, 1]: errors (N, 4, H, W) -> (N,)."""
    colour, alpha = e[:, :3], e[:, 3:]
    each = colour.square() - colour * alpha + alpha.square() / 3  # eq. (10.4), for E b = 1/2 and E b^2 = 1/3
    return each.flatten(1).sum(1)


def _error_probes():
    """Several layers' errors and one's, of either sign and about as large as numbers of a picture."""
    return [
        (0.4 * _randn(1, 3, 4, 2, 5) + 0.1,),
        (0.3 * _randn(2, 1, 4, 3, 2),),
        (0.3 * _randn(3, 4, 4, 4, 4, dtype=torch.float64) - 0.05,),
    ]


def _any_error_probes():
    """Errors of a hundredth, in many pixels; none at all; and far beyond what a picture can hold."""
    small = 0.01 * _randn(4, 2, 4, 48, 48, dtype=torch.float64)
    return [(small,), (0 * small,), (3 * _randn(5, 2, 4, 3, 4),)]


ANY_ERROR = (
    "it is wrong where errors are tiny, or larger than 1: add nothing to them, cut nothing off, and divide by none"
)


COMPOSITE_ERROR = Exercise(
    id="10.2",
    title="What a layer's errors do to the picture",
    reference=composite_error,
    hints=(
        "Write out the square of e_colour - e_alpha b. Which parts of it depend on b, and what are their means?",
        "Equation (10.4). For b uniform in [0, 1], E b = 1/2 and E b^2 = 1/3. Alpha's error has its part in each of "
        "the three colours.",
        "colour, alpha = e[:, :3], e[:, 3:]\n"
        "each = colour.square() - SOMETHING + SOMETHING  # (N, 3, H, W)\n"
        "return each.flatten(1).SOMETHING(1)",
    ),
    check=compares(_error_probes, harder=[(ANY_ERROR, _any_error_probes)]),
    wrong=wrong_answers(
        "E b^2 is taken for 1/4: the ground is held at mid grey, and that it may be lighter or darker costs more",
        ("/ 3", "/ 4"),
        "E b^2 is taken for 1/2: that is E b, or E b^2 if grounds were black or white and nothing between; it is 1/3",
        ("alpha.square() / 3", "alpha.square() / 2"),
        "E b^2 is taken for 1/12: that is the variance of b, and its mean squared has to be added, 1/3",
        ("/ 3", "/ 12"),
        "E b^2 is taken for 1, as on white, while E b is 1/2: the mean of squares is 1/3",
        (" / 3", ""),
        "E b^2 is taken for 2/3: the integral of b^2 from 0 to 1 is 1/3",
        ("/ 3", "* 2 / 3"),
        "the cross term is added: where alpha comes out too large the ground is hidden too much, which takes the "
        "ground's light away",
        ("- colour * alpha", "+ colour * alpha"),
        "the cross term is halved: the square has it twice, and E b = 1/2, which makes one",
        ("- colour * alpha", "- colour * alpha / 2"),
        "the cross term is doubled: the square has it twice, but E b = 1/2",
        ("- colour * alpha", "- 2 * colour * alpha"),
        "the cross term is missing, which leaves the plain sum of squares of the four channels: in the picture the "
        "errors of colour and of alpha make up for each other, or add up",
        (" - colour * alpha", ""),
        "the cross term is missing, and alpha's error counts in full: on most grounds less of it is seen",
        (" - colour * alpha", "", " / 3", ""),
        "the cross term has the absolute value: whether two errors add up or cancel depends on their signs",
        ("- colour * alpha", "- (colour * alpha).abs()"),
        "alpha's error is left out: that is a black ground, on which nobody sees what shines through",
        (" - colour * alpha + alpha.square() / 3", ""),
        "it is the error on white alone: grounds are anything between black and white",
        ("- colour * alpha", "- 2 * colour * alpha", " / 3", ""),
        "alpha's square is counted once, a third in all: its error shows in each of the three colours, a third each",
        ("/ 3", "/ 9"),
        "it gives alpha's error the weight 1/3 in a sum over four channels: it shows in three colours, and together "
        "with their own errors",
        lambda e: e[:, :3].square().flatten(1).sum(1) + e[:, 3].square().flatten(1).sum(1) / 3,
        "the colours' errors are averaged before they are squared: red that is too strong does not make up for green "
        "that is too weak",
        lambda e: composite_error(torch.cat([e[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1), e[:, 3:]], 1)),
        "it is a mean over channels and pixels: they are to be summed",
        ("flatten(1).sum(1)", "flatten(1).mean(1)"),
        "it is a mean over pixels: they are to be summed, as the channels are",
        ("flatten(1).sum(1)", "sum(1).mean((1, 2))"),
        "it is a mean over the channels: they are to be summed, as the pixels are",
        ("flatten(1).sum(1)", "mean(1).sum((1, 2))"),
        "it is a sum over the layers too: give one number for each, shape (N,)",
        ("flatten(1).sum(1)", "sum()"),
        "it is a mean over the layers: give one number for each, shape (N,)",
        ("flatten(1).sum(1)", "flatten(1).sum(1).mean()"),
        "it keeps the channels apart: they are to be summed, shape (N,)",
        ("flatten(1).sum(1)", "sum((2, 3))"),
        "it keeps the pixels apart: they are to be summed, shape (N,)",
        ("flatten(1).sum(1)", "sum(1)"),
        "it is the root of it: the squared error itself is asked for",
        ("flatten(1).sum(1)", "flatten(1).sum(1).sqrt()"),
        "it is half of it: the one half belongs to a log-likelihood, not to a squared error",
        ("flatten(1).sum(1)", "flatten(1).sum(1) / 2"),
        "the errors are added up before they are squared: a pixel too bright does not make up for one too dark",
        lambda e: composite_error(e.sum((2, 3), keepdim=True)),
        "the first channel is taken for alpha: it is the last of the four",
        ("e[:, :3], e[:, 3:]", "e[:, 1:], e[:, :1]"),
        "the errors are not squared: their signs cancel in the sum",
        lambda e: (e[:, :3] - e[:, 3:] / 2).flatten(1).sum(1),
    ),
)


def visible_shares(alphas):
    """Which share of a pixel's colour is each layer's: alphas (N, L, H, W), from back to front -> (N, L, H, W)."""
    through = torch.ones_like(alphas[:, 0])  # what the layers further in front let through
    shares = []
    for alpha in alphas.flip(1).unbind(1):  # from the front
        shares.append(alpha * through)
        through = through * (1 - alpha)  # eq. (10.6)
    return torch.stack(shares[::-1], 1)


def _alpha_probes():
    """More layers or fewer, and as many as pictures, rows and columns; none covers all."""
    return [
        (0.05 + 0.9 * _rand(1, 2, 3, 4, 5),),
        (0.1 + 0.8 * _rand(2, 3, 3, 3, 3),),
        (0.05 + 0.9 * _rand(3, 2, 5, 2, 3, dtype=torch.float64),),
    ]


def _sharp_alpha_probes():
    """Layers that are clear here and opaque there, as drawn things are; with a background that covers all, and not."""
    alphas = _rand(4, 2, 4, 5, 6)
    alphas[alphas < 0.35], alphas[alphas > 0.65] = 0, 1
    alphas[:, :, 0, 0] = 0
    alphas[:, :, 0, 1] = 1
    alphas[:, :, 0, 2] = torch.tensor([1.0, 1e-4, 1.0, 0.0])
    grounded = alphas.double()
    grounded[:, 0] = 1
    return [(alphas,), (grounded,)]


def _one_layer_probes():
    return [(_rand(5, 2, 1, 3, 4),), (_rand(6, 1, 2, 1, 1),)]


SHARP_ALPHA = (
    "it fails where a layer is wholly clear or opaque: divide by no 1 - alpha and by no sum, and ask for no bound of "
    "alpha, or logs of zero and 0 / 0 come in"
)
ONE_LAYER = "it fails where there is one layer, of which all is seen, or one picture of a single pixel"


def _winner(alphas):
    """All of a pixel goes to the frontmost layer with an alpha above 1/2."""
    covers = (alphas > 0.5).flip(1)
    return (covers & (covers.cumsum(1) == 1)).flip(1).to(alphas)


def _one_hot(values):
    return torch.zeros_like(values).scatter(1, values.argmax(1, keepdim=True), 1)


VISIBLE_SHARES = Exercise(
    id="10.3",
    title="What is seen of each layer",
    reference=visible_shares,
    hints=(
        "Look at the stack from the front. Of the layer nearest to you all is seen that it has. What is left for the "
        "next one?",
        "Equation (10.6): v_k = alpha_k times the product of (1 - alpha_j) over the layers j > k, which stand further "
        "in front. Of the last layer that product is empty, one.",
        "through = torch.ones_like(alphas[:, 0])\nshares = []\n"
        "for alpha in alphas.SOMETHING.unbind(1):  # from the front\n"
        "    shares.append(SOMETHING)\n"
        "    through = SOMETHING\n"
        "return torch.stack(shares[::-1], 1)",
    ),
    check=compares(_alpha_probes, harder=[(SHARP_ALPHA, _sharp_alpha_probes), (ONE_LAYER, _one_layer_probes)]),
    wrong=wrong_answers(
        "it counts from the back: the background would hide what stands before it",
        (".flip(1).unbind(1)", ".unbind(1)", "shares[::-1]", "shares"),
        "the shares come out from front to back: turn them round at the end",
        ("shares[::-1]", "shares"),
        "it begins at the back and turns the result round: begin at the front, the last of the layers",
        (".flip(1).unbind(1)", ".unbind(1)"),
        "the layer's own 1 - alpha is a factor too: a layer does not hide itself, and of an opaque one nothing is left",
        lambda alphas: visible_shares(alphas) * (1 - alphas),
        "these are the alphas: what stands in front hides some of that",
        lambda alphas: alphas.clone(),
        "the alphas are divided by their sum: that treats the layers alike, whoever stands in front",
        lambda alphas: alphas / alphas.sum(1, keepdim=True),
        "this is a softmax of the alphas: that treats the layers alike, and gives a share to one that is clear",
        lambda alphas: alphas.softmax(1),
        "the shares are divided by their sum: where light comes through the whole stack, that part is no layer's",
        lambda alphas: visible_shares(alphas) / visible_shares(alphas).sum(1, keepdim=True),
        "it multiplies the alphas of what is in front: what counts is what these let through, 1 - alpha",
        ("(1 - alpha)", "alpha"),
        "it is what reaches a layer, the light that those in front let through: of that the layer shows its alpha",
        ("alpha * through", "through"),
        "it is what the layer and those in front let through: of what reaches the layer its alpha is asked for",
        ("alpha * through", "(1 - alpha) * through"),
        "it is what a layer and all in front of it cover together: each one's own part is asked for",
        lambda alphas: 1 - (1 - alphas).flip(1).cumprod(1).flip(1),
        "it is what those in front cover, times alpha: what they let through is 1 minus that",
        lambda alphas: alphas - visible_shares(alphas),
        "a pixel goes wholly to the frontmost layer that covers more than half of it: a soft edge shows two layers",
        _winner,
        "a pixel goes wholly to the layer that has the largest share: each keeps its own part",
        lambda alphas: _one_hot(visible_shares(alphas)),
        "a pixel goes wholly to the layer with the largest alpha: who stands in front has its say first",
        _one_hot,
        "the product goes over all other layers: what is behind a layer hides nothing of it",
        lambda alphas: torch.stack(
            [
                alphas[:, k] * (1 - alphas[:, [j for j in range(alphas.shape[1]) if j != k]]).prod(1)
                for k in range(alphas.shape[1])
            ],
            1,
        ),
        "the product goes over all layers: only those in front hide, and no layer hides itself",
        lambda alphas: alphas * (1 - alphas).prod(1, keepdim=True),
        "only the next layer hides: all that stand further in front do",
        lambda alphas: alphas * F.pad(1 - alphas[:, 1:], (0, 0, 0, 0, 0, 1), value=1.0),
        "only the frontmost layer hides: all that stand between hide, too",
        lambda alphas: torch.cat([alphas[:, :-1] * (1 - alphas[:, -1:]), alphas[:, -1:]], 1),
        "the alphas in front are added up: two layers of one half each let a fourth through, not nothing",
        lambda alphas: alphas * (1 - (alphas.flip(1).cumsum(1).flip(1) - alphas)),
        "the alphas in front are added up and cut off at 1: two layers of one half each let a fourth through, not "
        "nothing",
        lambda alphas: alphas * (1 - (alphas.flip(1).cumsum(1).flip(1) - alphas)).clamp(min=0),
        "it takes the largest alpha in front: each layer hides some of what the others let through",
        lambda alphas: torch.cat(
            [
                alphas[:, :-1] * (1 - alphas.flip(1).cummax(1).values.flip(1)[:, 1:]),
                alphas[:, -1:],
            ],
            1,
        ),
        "the backmost layer gets all that is left: it may let light through as well, so it shows its alpha's part",
        lambda alphas: torch.cat(
            [(1 - alphas[:, 1:]).prod(1, keepdim=True), visible_shares(alphas)[:, 1:]],
            1,
        ),
        "it is the share of all layers together: give one number for each layer, shape (N, L, H, W)",
        lambda alphas: visible_shares(alphas).sum(1),
        "it is averaged over the pixels: give one number for each pixel, shape (N, L, H, W)",
        lambda alphas: visible_shares(alphas).mean((2, 3)),
        "it is the number of the layer of which most is seen: the shares themselves are asked for",
        lambda alphas: visible_shares(alphas).argmax(1),
        "the frontmost layer is left out: all that it has is seen",
        lambda alphas: torch.cat([visible_shares(alphas)[:, :-1], torch.zeros_like(alphas[:, -1:])], 1),
    ),
)


def group_pixels(inside, votes, centres):
    """Which thing a pixel shows, 0 for none: bool (S, S), votes (2, S, S), centres (K, 2) -> whole numbers (S, S)."""
    away = votes - centres[:, :, None, None]  # (K, 2, S, S), from each centre
    nearest = away.square().sum(1).argmin(0)  # (S, S), counted from 0
    return torch.where(inside, nearest + 1, 0)  # eq. (10.7)


def _votes(seed: int, size: int, things: int, dtype: torch.dtype = torch.float32) -> tuple:
    """Votes all over the picture, each with its nearest centre clearly nearer than the second."""
    inside, votes = _rand(seed, size, size) < 0.7, 2 * _rand(seed + 1, 2, size, size, dtype=dtype) - 1
    centres = 2 * _rand(seed + 2, things, 2, dtype=dtype) - 1
    away = torch.cdist(votes.flatten(1).double().T, centres.double())
    first, second = away.topk(2, largest=False).values.unbind(1)
    clear = (second - first > 0.02).view(size, size)
    return inside, votes.where(clear, centres[0, :, None, None]), centres


def _group_probes():
    """Few things and many, as many as rows, and two, which is as many as coordinates."""
    return [_votes(1, 6, 3), _votes(11, 5, 5), _votes(21, 8, 2, torch.float64), _votes(31, 7, 4)]


def _lone_probes():
    """One thing; one that is seen in no pixel; one that fills the picture; a picture of two pixels a side."""
    inside, votes, centres = _votes(41, 6, 3)
    none, everywhere = torch.zeros_like(inside), torch.ones_like(inside)
    return [
        (inside, votes, centres[:1]),
        (none, votes, centres),
        (everywhere, votes, centres[1:2]),
        (everywhere[:2, :2], votes[:, :2, :2], centres),
    ]


def _far_vote_probes():
    """Things beyond the picture's border, and votes far from all of them."""
    (inside, votes, centres), (_, wide, _) = _votes(51, 6, 3), _votes(61, 6, 4)
    return [
        (inside, 30 * votes, 30 * centres),
        (inside, votes + 80, 30 * centres.flip(0)),
        (inside, 20 * wide, 20 * centres),
    ]


def _close_vote_probes():
    """Things about a hundredth apart, and votes between them."""
    inside, votes, centres = _votes(71, 8, 4, torch.float64)
    return [(inside, 0.6 + votes / 100, 0.6 + centres / 100)]


LONE = "it fails where there is one thing, or none of it is seen, or where a thing fills a small picture"
FAR_VOTES = (
    "it is wrong where votes lie far from every thing, or a thing's middle beyond the border: whichever is nearest "
    "gets the pixel, however far it is"
)
CLOSE_VOTES = "it is wrong where things lie close together: round no vote, and keep all of its digits"


def _places(inside):
    """x and y of pixels' middles, (2, S, S)."""
    line = (torch.arange(len(inside)) + 0.5) * 2 / len(inside) - 1
    return torch.stack([line.expand(len(line), -1), line[:, None].expand(-1, len(line))])


GROUP_PIXELS = Exercise(
    id="10.4",
    title="Pixels that vote for the same thing",
    reference=group_pixels,
    hints=(
        "How far is a pixel's vote from each of the things? It makes no difference where the pixel itself is.",
        "Equation (10.7): the smallest of |vote - centre_k|^2 = (vote_x - centre_kx)^2 + (vote_y - centre_ky)^2 says "
        "which k. Counted from 1, so that 0 is left for pixels that show no thing.",
        "away = votes - centres[:, :, None, None]  # (K, 2, S, S)\n"
        "nearest = away.square().SOMETHING.SOMETHING(0)  # (S, S), from 0\n"
        "return torch.where(inside, SOMETHING, SOMETHING)",
    ),
    check=compares(
        _group_probes, harder=[(LONE, _lone_probes), (FAR_VOTES, _far_vote_probes), (CLOSE_VOTES, _close_vote_probes)]
    ),
    wrong=wrong_answers(
        "things are counted from 0: the first cannot be told from the background",
        ("nearest + 1", "nearest"),
        "things are counted from 0, and the background is -1: it shall be 0, and things counted from 1",
        ("nearest + 1, 0", "nearest, -1"),
        "the background is -1: it shall be 0",
        ("nearest + 1, 0", "nearest + 1, -1"),
        "things are counted from 2: the first is 1",
        ("nearest + 1", "nearest + 2"),
        "the background is the last number, K + 1: it shall be 0",
        ("nearest + 1, 0", "nearest + 1, len(centres) + 1"),
        "things are counted from the last: the k-th centre has the number k",
        ("nearest + 1", "len(centres) - nearest"),
        "a pixel joins the thing that is nearest to the pixel itself: where things overlap that cuts them with a "
        "straight line; its vote says whose it is",
        lambda inside, votes, centres: group_pixels(inside, _places(inside).to(votes), centres),
        "the votes are taken for steps from the pixel: they are places in the picture already",
        lambda inside, votes, centres: group_pixels(inside, votes + _places(inside).to(votes), centres),
        "the pixel's own place is taken off its vote: votes and centres are places in one picture, so compare them",
        lambda inside, votes, centres: group_pixels(inside, votes - _places(inside).to(votes), centres),
        "it takes the farthest centre: the vote names the thing that it is nearest to",
        ("argmin", "argmax"),
        "all pixels are grouped: those that show no thing get 0",
        ("torch.where(inside, nearest + 1, 0)", "nearest + 1"),
        "inside is the wrong way round: True stands for a pixel that shows a thing",
        ("(inside,", "(~inside,"),
        "votes of the background are set to 0 and grouped with the rest: those pixels get 0, whatever is there",
        ("votes -", "inside * votes -", "torch.where(inside, nearest + 1, 0)", "nearest + 1"),
        "x and y are exchanged: votes[0] is x, as centres[:, 0] is",
        ("votes -", "votes.flip(0) -"),
        "rows and columns are exchanged: the picture comes out mirrored about its diagonal",
        lambda inside, votes, centres: group_pixels(inside, votes, centres).T.contiguous(),
        "the votes' rows and columns are exchanged: each pixel would get its mirror image's vote",
        ("votes -", "votes.mT -"),
        "only the pixels inside are returned, in one list: give the whole picture, (S, S)",
        ("torch.where(inside, nearest + 1, 0)", "(nearest + 1)[inside]"),
        "it is one long row of pixels: give it the shape of the picture, (S, S)",
        ("torch.where(inside, nearest + 1, 0)", "torch.where(inside, nearest + 1, 0).flatten()"),
        "it compares x alone: two things above each other would be one",
        ("square().sum(1)", "square()[:, 0]"),
        "it compares y alone: two things side by side would be one",
        ("square().sum(1)", "square()[:, 1]"),
        "it adds up the distances in x and in y, as one walks in a town: the distance itself is the root of the sum of "
        "squares",
        ("square().sum(1)", "abs().sum(1)"),
        "it takes the larger of the distances in x and in y: add up the squares of both",
        ("square().sum(1)", "square().amax(1)"),
        "it takes the smaller of the distances in x and in y: a vote has to agree in both",
        ("square().sum(1)", "square().amin(1)"),
        "it multiplies the distances in x and in y: a vote has to agree in both",
        ("square().sum(1)", "prod(1).abs()"),
        "the differences are not squared: a negative one is no nearness",
        ("square().sum(1)", "sum(1)"),
        "the differences in x and y are added before they are squared: they may cancel",
        ("square().sum(1)", "sum(1).square()"),
        "centres are added to the votes: a distance is a difference",
        ("votes -", "votes +"),
        "votes are compared with centres by their product: that says in which direction from the middle of the picture "
        "they lie, and not whether they are near",
        ("away.square().sum(1).argmin", "torch.einsum('kd,dij->kij', centres, votes).argmax"),
        "it gives the distances: the number of the nearest thing is asked for",
        ("torch.where(inside, nearest + 1, 0)", "away.square().sum(1).sqrt().amin(0)"),
        "it gives the place of the nearest centre: its number is asked for",
        ("torch.where(inside, nearest + 1, 0)", "centres[nearest].permute(2, 0, 1)"),
        "it gives a mask for each thing: one whole number for each pixel is asked for, (S, S)",
        ("torch.where(inside, nearest + 1, 0)", "F.one_hot(nearest, len(centres)).permute(2, 0, 1) * inside"),
        "it says only whether a pixel shows a thing: which one is asked for",
        ("nearest + 1, 0", "1, 0"),
        "it gives each thing the pixel whose vote is nearest to it: each pixel is to be given a thing",
        lambda inside, votes, centres: torch.cdist(centres, votes.flatten(1).T).argmin(1),
    ),
)


def log_posterior_of_orders(x, pictures, sigma):
    """log p(order | x), all orders alike beforehand: x (N, 3, H, W), pictures (N, O, 3, H, W), number -> (N, O)."""
    misses = (pictures - x[:, None]).square().flatten(2).sum(2)  # (N, O)
    log_p = -misses / (2 * sigma**2)  # but for what all orders share
    return log_p.log_softmax(1)  # eq. (10.9)


def _scenes(seed: int, *sizes: int, sigma: float, dtype: torch.dtype = torch.float32) -> tuple:
    """N noisy pictures of H x W pixels, and what each would look like in O orders."""
    N, orders, H, W = sizes
    pictures = _rand(seed, N, orders, 3, H, W, dtype=dtype)
    return pictures[:, 0] + sigma * _randn(seed + 1, N, 3, H, W, dtype=dtype) / 3, pictures, sigma


def _order_probes():
    """Pictures and orders in different numbers and in the same; noise of about one and of less."""
    return [
        _scenes(1, 2, 4, 3, 2, sigma=0.6),
        _scenes(11, 3, 3, 3, 3, sigma=0.8),
        _scenes(21, 1, 6, 2, 4, sigma=1.4, dtype=torch.float64),
        _scenes(31, 4, 2, 2, 2, sigma=0.45),
    ]


def _sure_order_probes():
    """Thousands of nats, as real pictures have them; orders that look the same, for their things do not touch."""
    x, pictures, sigma = _scenes(41, 3, 6, 12, 10, sigma=0.05, dtype=torch.float64)
    pictures[:, 1] = pictures[:, 0]
    pictures[1, 4] = pictures[1, 3]
    return [(x, pictures, sigma), (x, pictures, 0.002), (x, pictures, 50.0), (x, pictures[:, :1], 0.1)]


def _overshooting_order_probes():
    """Pictures of layers that overshoot: many of their numbers are below 0 or above 1."""
    x, pictures, sigma = _scenes(51, 2, 5, 3, 4, sigma=0.7, dtype=torch.float64)
    return [(2 * x - 0.5, 2 * pictures - 0.5, sigma)]


SURE_ORDER = (
    "it is right only where every order is about as likely: a picture's pixels add up to thousands of nats, exp makes "
    "zeros of them, and a log, an epsilon or a clamp cannot bring them back; keep to logs"
)
UNCUT_ORDER = (
    "it cuts pictures off: decoded layers overshoot a little, and so do the pictures that they make; they are cut when "
    "they are shown, and compared as they are"
)


def _log_likelihood(x, pictures, sigma):
    return Normal(pictures, sigma).log_prob(x[:, None]).flatten(2).sum(2)


LOG_POSTERIOR_OF_ORDERS = Exercise(
    id="10.5",
    title="Who stands in front of whom",
    reference=log_posterior_of_orders,
    hints=(
        "How likely is the picture that was seen, in each of the orders? What has to be done to these numbers so that "
        "the orders' probabilities sum to one?",
        "Equation (10.9): log p(x | order) = -|x - picture|^2 / (2 sigma^2) and a constant that all orders share; from "
        "it take the log of the sum over the orders of its exponential.",
        "misses = (pictures - SOMETHING).square().flatten(2).SOMETHING(2)  # (N, O)\n"
        "log_p = -misses / SOMETHING\n"
        "return log_p.log_softmax(SOMETHING)",
    ),
    check=compares(_order_probes, harder=[(SURE_ORDER, _sure_order_probes), (UNCUT_ORDER, _overshooting_order_probes)]),
    wrong=wrong_answers(
        "it is a mean over pixels and channels: each pixel is a witness of its own, so their nats add up; a mean "
        "hardly tells orders apart",
        ("sum(2)", "mean(2)"),
        "it is a mean over the pixels: each of them is a witness of its own, so their nats add up",
        ("flatten(2).sum(2)", "sum(2).mean((2, 3))"),
        "it is a mean over the channels: each has noise of its own, so their nats add up",
        ("flatten(2).sum(2)", "mean(2).sum((2, 3))"),
        "sigma is not squared: squared errors are measured in the variance",
        ("sigma**2", "sigma"),
        "sigma is missing: the less noise there is, the surer one can be of the order",
        ("(2 * sigma**2)", "2"),
        "it is multiplied by sigma^2: the less noise there is, the surer one can be of the order",
        ("/ (2 * sigma**2)", "/ 2 * sigma**2"),
        "sigma^2 is squared again: sigma is the standard deviation",
        ("sigma**2", "sigma**4"),
        "the half is missing: the log of a Gaussian is -error^2 / (2 sigma^2)",
        ("(2 * sigma**2)", "sigma**2"),
        "the half is there twice, or the 2 is squared with sigma: the log of a Gaussian is -error^2 / (2 sigma^2)",
        ("(2 * sigma**2)", "(2 * sigma) ** 2"),
        "it is not normalised: the probabilities of a picture's orders sum to one, so take off the log of their sum",
        ("log_p.log_softmax(1)", "log_p"),
        "it is the log-likelihood, normaliser and all: that is log p(x | order), and the other way round is asked for",
        _log_likelihood,
        "it is log p(x, order), with the prior of the orders in it: divide by p(x), for the order given x is asked for",
        lambda x, pictures, sigma: _log_likelihood(x, pictures, sigma) - math.log(pictures.shape[1]),
        "these are probabilities: their logs are asked for",
        ("log_softmax(1)", "softmax(1)"),
        "it is normalised over the images: the probabilities of one picture's orders sum to one, axis 1",
        ("log_softmax(1)", "log_softmax(0)"),
        "it is normalised over images and orders together: each picture has a posterior of its own",
        ("log_p.log_softmax(1)", "(log_p - log_p.flatten().logsumexp(0))"),
        "the errors count for an order: the sign is flipped, and the worst order comes out as the likeliest",
        ("-misses", "misses"),
        "it is minus the log: a log-probability is at most 0",
        ("return log_p.log_softmax(1)", "return -log_p.log_softmax(1)"),
        "it takes the sizes of the errors: a Gaussian's log falls with their squares",
        ("square()", "abs()"),
        "it takes the distance of the pictures, a root: a Gaussian's log falls with the square",
        ("-misses", "-misses.sqrt()"),
        "the errors are added up before they are squared: a pixel too bright does not make up for one too dark",
        ("square().flatten(2).sum(2)", "flatten(2).sum(2).square()"),
        "log O is taken off the posterior: the prior is the same for all orders, so it drops out when one normalises",
        ("log_p.log_softmax(1)", "log_p.log_softmax(1) - math.log(pictures.shape[1])"),
        "log O is added to the posterior: that is how much more likely an order has become, log p(order | x) itself is "
        "asked for",
        ("log_p.log_softmax(1)", "log_p.log_softmax(1) + math.log(pictures.shape[1])"),
        "it is compared with the likeliest order: all of them have to sum to one, so take off the log of their sum",
        ("log_p.log_softmax(1)", "log_p - log_p.amax(1, keepdim=True)"),
        "it is compared with the mean order: take off the log of the sum of all, so that they sum to one",
        ("log_p.log_softmax(1)", "log_p - log_p.mean(1, keepdim=True)"),
        "the logs are divided by their sum: it is the probabilities that sum to one",
        ("log_p.log_softmax(1)", "log_p / log_p.sum(1, keepdim=True)"),
        "it is normalised in each pixel: the scene has one order, to which all pixels bear witness",
        lambda x, pictures, sigma: (
            (-(pictures - x[:, None]).square().sum(2) / (2 * sigma**2)).log_softmax(1).sum((2, 3))
        ),
        "pictures are lined up with orders: x has no axis for these, so give it one, x[:, None] (where N = O nothing "
        "would tell you)",
        ("x[:, None]", "x"),
        "x lacks an axis for the orders: give it one, x[:, None], so that each picture is compared with all of its own",
        ("(pictures - x[:, None])", "(x - pictures)"),
        "the first picture is compared with the orders of all: each has its own",
        ("x[:, None]", "x[:1, None]"),
        "only the first channel is looked at: each of the three says something",
        ("square().flatten(2).sum(2)", "square()[:, :, 0].flatten(2).sum(2)"),
        "the colours are averaged to grey first: things that differ in hue alone look the same then",
        lambda x, pictures, sigma: log_posterior_of_orders(
            x.mean(1, keepdim=True), pictures.mean(2, keepdim=True), sigma
        ),
        "it is in bits: a nat is a unit of the natural logarithm",
        ("log_p.log_softmax(1)", "log_p.log_softmax(1) / math.log(2)"),
        "it says which order is the likeliest: how likely each of them is is asked for",
        ("log_p.log_softmax(1)", "log_p.argmax(1)"),
        "it gives the likeliest order's log alone: one number for each order is asked for, (N, O)",
        ("log_p.log_softmax(1)", "log_p.log_softmax(1).amax(1)"),
    ),
)


def predictive_log_likelihood(log_p):
    """log of the mean over draws of p(x_hidden | z_k): logs (K, N) -> (N,), in nats."""
    return log_p.logsumexp(0) - math.log(len(log_p))  # eq. (10.13)


def _draw_probes():
    """Draws and pictures in different numbers and in the same; one draw; one picture."""
    return [
        (2 * _randn(1, 5, 3),),
        (_randn(2, 4, 4) - 1,),
        (_randn(3, 1, 3, dtype=torch.float64),),
        (1.5 * _randn(4, 7, 1, dtype=torch.float64) + 2,),
    ]


def _pictures_of_nats():
    """What many hidden pixels have, thousands of nats of either sign, in both precisions."""
    return [
        (30 * _randn(5, 8, 3, dtype=torch.float64) - 4000,),
        (_randn(6, 6, 2, dtype=torch.float64) + 5000,),
        (_randn(7, 5, 2) - 900,),
    ]


def _pictures_far_apart():
    """The best draw now comes first, now last, and each picture's draws lie far from the others'."""
    column = torch.tensor([0.0, 900.0, 901.0, -900.0, 30.0], dtype=torch.float64)
    return [(torch.stack([column.roll(k) - 2000 * k for k in range(5)], 1),)]


NATS = (
    "exp leaves the range of numbers: hidden pixels add up to thousands of nats, of which it makes 0 or infinity, and "
    "neither an epsilon nor a clamp brings them back; keep to logs"
)
APART = "it shifts the logs, but not by the largest of each picture's own, so that exp still gives infinity, or zeros"


PREDICTIVE_LOG_LIKELIHOOD = Exercise(
    id="10.6",
    title="How likely is what was hidden?",
    reference=predictive_log_likelihood,
    hints=(
        "Each draw is a guess of what is hidden, and one good guess among many is worth something. Is the mean taken "
        "of the probabilities, or of their logs? And exp(-4000) is zero to a computer.",
        "Equation (10.13): log of (1/K) sum_k p(x_hidden | z_k). The 1/K leaves the log as a subtraction of log K.",
        "log_p.logsumexp(SOMETHING) - SOMETHING",
    ),
    check=compares(_draw_probes, harder=[(NATS, _pictures_of_nats), (APART, _pictures_far_apart)]),
    wrong=wrong_answers(
        "it is the mean of the logs: by Jensen's inequality that is less, as if every guess had to be good",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "log_p.mean(0)"),
        "log K is forgotten: this is the log of a sum, which grows with every further draw and is no probability",
        (" - math.log(len(log_p))", ""),
        "log K is added: a mean is the sum divided by K",
        ("- math", "+ math"),
        "log K is taken off twice: a mean is the sum divided by K, once",
        ("- math", "- 2 * math"),
        "it is divided by K: a division inside the log is a subtraction of log K outside",
        ("- math.log(len(log_p))", "/ len(log_p)"),
        "it is divided by log K: a division inside the log is a subtraction of log K outside",
        lambda log_p: log_p.logsumexp(0) / max(math.log(len(log_p)), 1e-9),
        "K is taken off, and not its log: a division inside the log is a subtraction of log K outside",
        ("math.log(len(log_p))", "len(log_p)"),
        "the sum is divided by K - 1: that is for variances, a mean has K",
        ("len(log_p)", "max(len(log_p) - 1, 1)"),
        "it keeps the best draw alone: nobody who has not seen what is hidden can know which it is",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "log_p.amax(0)"),
        "it keeps the best draw, divided by K: all the other draws have their share of the mean",
        ("log_p.logsumexp(0)", "log_p.amax(0)"),
        "it is the median draw: in a mean of probabilities the best guesses weigh most",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "log_p.median(0).values"),
        NATS,
        ("log_p.logsumexp(0) - math.log(len(log_p))", "log_p.exp().mean(0).log()"),
        "it goes over the pictures, axis 1: the K draws lie along axis 0 (where K = N nothing would tell you)",
        ("logsumexp(0) - math.log(len(log_p))", "logsumexp(1) - math.log(log_p.shape[1])"),
        "it sums over the pictures and divides by the number of draws: the draws lie along axis 0",
        ("logsumexp(0)", "logsumexp(1)"),
        "it divides by the number of pictures: the mean goes over the K draws",
        ("len(log_p)", "log_p.shape[1]"),
        "it is a mean over the pictures: give one number for each, shape (N,)",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "(log_p.logsumexp(0) - math.log(len(log_p))).mean()"),
        "it is a sum over the pictures: give one number for each, shape (N,)",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "(log_p.logsumexp(0) - math.log(len(log_p))).sum()"),
        "pictures and draws are put into one mean: give one number for each picture, shape (N,)",
        lambda log_p: log_p.flatten().logsumexp(0) - math.log(log_p.numel()),
        "it is the mean probability: its log is asked for",
        ("log_p.logsumexp(0) - math.log(len(log_p))", "log_p.exp().mean(0)"),
        "its sign is flipped: that is a loss, the log-likelihood itself is asked for",
        ("return log_p.logsumexp(0) - math.log(len(log_p))", "return math.log(len(log_p)) - log_p.logsumexp(0)"),
        "it is in bits: a nat is a unit of the natural logarithm",
        lambda log_p: predictive_log_likelihood(log_p) / math.log(2),
        "the draws are weighted by how well they predict: they come from q(z | what was seen), so all of them count "
        "the same, and the weights have looked at what is hidden",
        lambda log_p: (log_p.softmax(0) * log_p).sum(0),
        "this is an approximation, the mean of the logs and half their variance: the mean of the probabilities itself "
        "can be had",
        lambda log_p: log_p.mean(0) + log_p.var(0, correction=0) / 2,
        "it is the log of p + 1: for small p that is p itself, and no log",
        lambda log_p: log_p.exp().mean(0).log1p(),
        "it gives each draw its share of the sum: one number for each picture is asked for, shape (N,)",
        lambda log_p: log_p.log_softmax(0),
    ),
)


EXERCISES = (
    FADE,
    COMPOSITE_ERROR,
    VISIBLE_SHARES,
    GROUP_PIXELS,
    LOG_POSTERIOR_OF_ORDERS,
    PREDICTIVE_LOG_LIKELIHOOD,
)
