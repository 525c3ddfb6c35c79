"""Scenes of up to four sprites over a soft background, drawn from known factors.

A scene is a stack of layers from back to front: the background, which covers everything, then the sprites, each with a
shape, a place, a surface of two colours and an opacity. The picture is these layers laid over each other
(`vae_helpers.alpha.over`), so what taking a picture apart has to find is known exactly: the layers, their order, which
share of a pixel shows which, and what is hidden.

Coordinates: the picture spans [-1, 1] x [-1, 1], y downwards. A sprite has its own, (u, v): turned by its angle about
its place, in units of its size, so that it lies within the unit circle. Everything works on a batch at a time, on the
device of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.rendering import drawing
from vae_helpers.rendering.drawing import along, centres, smooth_minimum
from vae_helpers.rendering.factors import Factor, FactorTable

SHAPES = ("disc", "ring", "square", "triangle", "star", "heart", "moon")
TEXTURES = ("plain", "stripes", "checks", "dots", "gradient")
BACKGROUNDS = ("gradient", "waves")
KINDS = ("plain", "textured", "transparent")
SPRITES = 4  # places for sprites in a scene; those not wanted are absent

SPRITE_FACTORS = (
    Factor("there", 0, 1, "absent, present", whole=True),
    Factor("shape", 0, len(SHAPES) - 1, ", ".join(SHAPES), whole=True),
    Factor("x", -1, 1, "left ... right"),
    Factor("y", -1, 1, "top ... bottom"),
    Factor("size", 0.1, 1, "the radius of the circle around it, of which the picture has 1"),
    Factor("angle", -0.5, 0.5, "half a turn anticlockwise ... clockwise"),
    Factor("colour", 0, 1, "navy, teal, green, mustard, coral, plum"),
    Factor("second", 0, 1, "the other colour of its texture, on the same path"),
    Factor("texture", 0, len(TEXTURES) - 1, ", ".join(TEXTURES), whole=True),
    Factor("opacity", 0, 1, "clear ... opaque"),
)
BACKGROUND_FACTORS = (
    Factor("background_colour", 0, 1, "sky, mint, cream, peach, lilac"),
    Factor("background_second", 0, 1, "the colour that it turns into, on the same path"),
    Factor("background_kind", 0, len(BACKGROUNDS) - 1, ", ".join(BACKGROUNDS), whole=True),
    Factor("background_angle", -0.5, 0.5, "half a turn anticlockwise ... clockwise"),
)
FACTORS = (
    *(factor._replace(name=f"sprite{k}_{factor.name}") for k in range(1, SPRITES + 1) for factor in SPRITE_FACTORS),
    *BACKGROUND_FACTORS,
)
TABLE = FactorTable(FACTORS, module="scenes", picture="scene")
SPRITE_TABLE = FactorTable(SPRITE_FACTORS, "scenes", "sprite", "sample_sprites", "with_sprite_factors")
NAMES, SPRITE_NAMES = TABLE.names, SPRITE_TABLE.names
index, check_factors, with_factors = TABLE.index, TABLE.check, TABLE.with_factors
with_sprite_factors = SPRITE_TABLE.with_factors
MIN_SIZE, MAX_SIZE = 32, 256  # pixels

# What `sample` draws.
PLACES = 0.65  # x and y lie within -0.65 ... 0.65
SIZES = (0.30, 0.48)
ALONE = (0.6, 0.9)  # sizes of sprites that have a picture of their own
LEAN = 1 / 12  # of a turn, the largest angle
LEAST_OPACITY, SHARE_OPAQUE = 0.35, 0.5
LEAST_DIFFERENCE = 0.3  # between a sprite's two colours, on their path
APART = 0.75  # between two centres, of the larger size: what lies behind is not quite hidden
TRIES = 12  # places drawn for a scene, of which the first that are apart are taken

# Colours that a factor in [0, 1] leads along, in equal steps; sRGB in [0, 1].
COLOURS = (
    (0.20, 0.29, 0.55),
    (0.10, 0.52, 0.56),
    (0.40, 0.62, 0.38),
    (0.93, 0.70, 0.24),
    (0.89, 0.41, 0.34),
    (0.56, 0.27, 0.46),
)
BACKGROUND = ((0.70, 0.83, 0.93), (0.74, 0.89, 0.82), (0.97, 0.93, 0.78), (0.98, 0.82, 0.72), (0.85, 0.77, 0.91))


class Masks(NamedTuple):
    """Where the things of a scene are, as shares of a pixel in [0, 1]."""

    visible: Tensor  # (N, 1 + SPRITES, size, size): how much of a pixel's colour is that layer's; they sum to one
    amodal: Tensor  # (N, SPRITES, size, size): how much of a pixel a sprite covers, seen or hidden, of any opacity


# --- factors -----------------------------------------------------------------------------------------------------


def sample(
    n: int, seed: int = 0, kind: str = "plain", fewest: int = 2, most: int = SPRITES, shapes: Sequence[str] = SHAPES
) -> Tensor:
    """Factors of n scenes, independent but for this: no sprite is quite hidden, and a sprite's two colours differ.

    Equal seeds give the same scenes in every kind: the same sprites, with or without their textures and transparency.

    Args:
        n: how many scenes, at least 1.
        seed: a whole number from 0 to 2^63 - 1.
        kind: "plain", opaque sprites of one colour; "textured", opaque; "transparent", textured, and half of the
            sprites let through up to 0.65 of what is behind them.
        fewest, most: sprites in a scene, 1 to 4; each number is as likely.
        shapes: those that may occur, of `SHAPES`. Scenes of other shapes than those that a model was trained on show
            whether it has learned what a thing is.
    Returns:
        (n, 44), columns in the order of `NAMES`. The first scenes of a larger n are those of a smaller one.
    Raises:
        ValueError: an argument out of its domain.
    """
    n, seed = checking.integer(n, "n"), checking.seed(seed)
    most = checking.integer(most, "most", 1, SPRITES)
    fewest = checking.integer(fewest, "fewest", 1, most, "It is at most as large as `most`.")
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(n, len(FACTORS) + 1 + 2 * SPRITES * TRIES, generator=generator, device="cpu")  # a row for each scene
    chosen, number, tries = u.split([len(FACTORS), 1, 2 * SPRITES * TRIES], dim=1)
    count = fewest + (number * (most - fewest + 1)).floor()  # (n, 1)
    things, background = parts(chosen)
    things = _sprites_from(things, kind, shapes, SIZES)  # (n, SPRITES, 10)
    there = (torch.arange(SPRITES) < count).float()  # (n, SPRITES)
    at = (2 * tries.view(n, TRIES, SPRITES, 2) - 1) * PLACES
    x = SPRITE_NAMES.index("x")
    things[..., SPRITE_NAMES.index("there")] = there
    things[..., x : x + 2] = _apart(at, things[..., SPRITE_NAMES.index("size")], there)
    return scene(things, _background_from(background))


def sample_sprites(n: int, seed: int = 0, kind: str = "plain", shapes: Sequence[str] = SHAPES) -> Tensor:
    """Factors of n single sprites in the middle of a picture that they nearly fill; arguments as for `sample`.

    Returns:
        (n, 10), columns in the order of `SPRITE_NAMES`.
    """
    n, seed = checking.integer(n, "n"), checking.seed(seed)
    u = torch.rand(n, len(SPRITE_FACTORS), generator=torch.Generator().manual_seed(seed), device="cpu")
    return _sprites_from(u, kind, shapes, ALONE)


def parts(factors: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of the sprites, (N, 4, 10), and of the background, (N, 4), from those of scenes, (N, 44)."""
    TABLE.check_form(factors)
    sprites, background = factors.split([SPRITES * len(SPRITE_FACTORS), len(BACKGROUND_FACTORS)], dim=1)
    return sprites.unflatten(1, (SPRITES, -1)).clone(), background.clone()


def scene(sprites: Tensor, background: Tensor) -> Tensor:
    """The inverse of `parts`: `scene(sprites[:, [1, 0, 2, 3]], background)` puts the first sprite before the second."""
    form = f"(N, {SPRITES}, {len(SPRITE_FACTORS)})"
    checking.shape(checking.floating(sprites, "sprites", form), "sprites", form)
    form = f"({len(sprites)}, {len(BACKGROUND_FACTORS)})"
    checking.shape(checking.floating(background, "background", form), "background", form)
    return torch.cat([sprites.flatten(1), background], dim=1)


def check_shapes(shapes: Sequence[str], name: str = "shapes") -> tuple[str, ...]:
    """Some of `SHAPES`, each once and in their order there."""
    if not isinstance(shapes, Sequence) or isinstance(shapes, str):
        raise ValueError(f"{name} must be a tuple of some of {', '.join(SHAPES)}, not {checking.shown(shapes)}.")
    wanted = [checking.choice(shape, f"each of {name}", SHAPES) for shape in shapes]
    return tuple(shape for shape in SHAPES if shape in wanted)


def _sprites_from(u: Tensor, kind: str, shapes: Sequence[str], sizes: tuple[float, float]) -> Tensor:
    """Sprites in the middle from numbers in [0, 1), both (..., 10)."""
    checking.choice(kind, "kind", KINDS)
    value = dict(zip(SPRITE_NAMES, u.unbind(-1), strict=True))
    allowed = u.new_tensor([SHAPES.index(shape) for shape in check_shapes(shapes)])
    if not len(allowed):
        raise ValueError(f"shapes must name at least one of {', '.join(SHAPES)}.")
    value["there"] = torch.ones_like(value["there"])
    value["shape"] = allowed[(value["shape"] * len(allowed)).long()]
    value["x"], value["y"] = torch.zeros_like(value["x"]), torch.zeros_like(value["y"])
    value["size"] = sizes[0] + (sizes[1] - sizes[0]) * value["size"]
    value["angle"] = LEAN * (2 * value["angle"] - 1)
    shift = LEAST_DIFFERENCE + (1 - 2 * LEAST_DIFFERENCE) * value["second"]
    value["second"] = (value["colour"] + shift) % 1
    value["texture"] = (value["texture"] * (len(TEXTURES) if kind != "plain" else 1)).floor()
    through = (1 - value["opacity"] / (1 - SHARE_OPAQUE)).clamp(min=0)  # 0 for the opaque
    value["opacity"] = 1 - (1 - LEAST_OPACITY) * through * (kind == "transparent")
    return torch.stack([value[name] for name in SPRITE_NAMES], dim=-1)


def _background_from(u: Tensor) -> Tensor:
    """Backgrounds from numbers in [0, 1), both (n, 4)."""
    colour, second, kind, angle = u.unbind(1)
    return torch.stack([colour, second, (kind * len(BACKGROUNDS)).floor(), angle - 0.5], dim=1)


def _apart(at: Tensor, sizes: Tensor, there: Tensor) -> Tensor:
    """Of several tries at places, (n, TRIES, K, 2), the first in which sprites are apart, or the best: (n, K, 2)."""
    distance = (at[:, :, :, None] - at[:, :, None]).norm(dim=-1)  # (n, TRIES, K, K)
    apart = distance / torch.maximum(sizes[:, :, None], sizes[:, None])[:, None]
    pairs = (there[:, :, None] * there[:, None]).triu(1).bool()[:, None]
    closest = apart.masked_fill(~pairs, math.inf).flatten(2).amin(2)  # (n, TRIES)
    earlier_is_better = 1e-3 * torch.arange(TRIES) / TRIES
    best = (closest.clamp(max=APART) - earlier_is_better).argmax(1)
    return at[torch.arange(len(at)), best]


# --- pictures ----------------------------------------------------------------------------------------------------


def render(factors: Tensor, size: int = 64) -> Tensor:
    """The scenes with these factors.

    Args:
        factors: (N, 44), see `FACTORS`; sprites stand from back to front.
        size: pixels of a side, 32 to 256.
    Returns:
        `uint8` (N, 3, size, size) on the factors' device. A scene does not depend on the others in its batch.
    Raises:
        TypeError, ValueError: factors or size out of their domain.
    """
    return torch.cat(_drawn(_pictures, factors, size))


def layers(factors: Tensor, size: int = 64) -> Tensor:
    """What the scenes are made of; laid over each other (`vae_helpers.alpha.over`) they are the picture.

    Args:
        factors, size: as for `render`.
    Returns:
        (N, 1 + 4, 4, size, size), `float32`: RGBA with premultiplied colours, from back to front. The first is the
        background, with alpha 1; that of an absent sprite is zero.
    """
    return torch.cat(_drawn(_layers, factors, size))


def sprites(factors: Tensor, size: int = 64) -> Tensor:
    """Single sprites on nothing.

    Args:
        factors: (N, 10), see `SPRITE_FACTORS`; `sample_sprites` draws some, and `parts` has those of scenes.
        size: pixels of a side, 32 to 256.
    Returns:
        (N, 4, size, size), `float32`: RGBA with premultiplied colours.
    """
    SPRITE_TABLE.check(factors)
    side = _side(size)
    return torch.cat(drawing.in_chunks(lambda chunk: _rgba(chunk, side), factors.detach().float(), side))


def masks(factors: Tensor, size: int = 64) -> Masks:
    """Which share of each pixel shows what, and where the sprites are, hidden or not.

    Args:
        factors, size: as for `render`.
    Returns:
        Masks: `visible` (N, 1 + 4, size, size), `amodal` (N, 4, size, size). Where a pixel's picture is a sum of
        colours, the visible shares are their weights: a transparent sprite shares its pixels with what is behind it.
    """
    return Masks(*map(torch.cat, zip(*_drawn(_masks, factors, size), strict=True)))


def labels(factors: Tensor, size: int = 64) -> Tensor:
    """Which thing is in front in each pixel: 0 for the background, k for sprite k, however transparent.

    Args:
        factors, size: as for `render`.
    Returns:
        `int64` (N, size, size); a sprite has the pixels of which it covers more than half.
    """
    inside = masks(factors, size).amodal > 0.5  # (N, SPRITES, size, size)
    number = torch.arange(1, SPRITES + 1, device=inside.device)[:, None, None]
    return (inside * number).amax(1)  # the one in front has the highest number


def overlaps(factors: Tensor, size: int = 64, least: float = 0.05) -> Tensor:
    """Which pairs of sprites overlap, so that the picture tells which of them is in front.

    Args:
        factors, size: as for `render`.
        least: the part of the smaller sprite that must be common to both.
    Returns:
        bool (N, 4, 4): whether sprite i, behind, and sprite j, in front, overlap; False unless i < j.
    """
    least = checking.number(least, "least", 0, 1)
    inside = masks(factors, size).amodal.flatten(2)  # (N, SPRITES, pixels)
    area = inside.sum(2)
    smaller = torch.minimum(area[:, :, None], area[:, None])
    return (inside @ inside.mT > least * smaller).triu(1)


def _side(size: int) -> int:
    return checking.integer(size, "size", MIN_SIZE, MAX_SIZE)


def _drawn(draw: Callable[[Tensor, int], Tensor], factors: Tensor, size: int) -> list:
    """`draw` of some scenes at a time, their arguments checked."""
    check_factors(factors)
    side = _side(size)
    return drawing.in_chunks(lambda chunk: draw(chunk, side), factors.detach().float(), 2 * side)  # of four sprites


def _pictures(factors: Tensor, size: int) -> Tensor:
    back, *fronts = _layers(factors, size).unbind(1)
    picture = back[:, :3]
    for front in fronts:
        picture = front[:, :3] + (1 - front[:, 3:]) * picture
    return picture.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _layers(factors: Tensor, size: int) -> Tensor:
    things, background = parts(factors)
    result = factors.new_ones(len(factors), 1 + SPRITES, 4, size, size)
    result[:, 0, :3] = _ground(background, size)
    result[:, 1:] = _rgba(things.flatten(0, 1), size).unflatten(0, (-1, SPRITES))
    return result


def _masks(factors: Tensor, size: int) -> tuple[Tensor, Tensor]:
    things = parts(factors)[0]  # (n, SPRITES, 10)
    amodal = _covered(_Sprites(things.flatten(0, 1), size)).unflatten(0, (-1, SPRITES))
    alpha = amodal * things[..., SPRITE_NAMES.index("opacity"), None, None]
    visible, uncovered = [], torch.ones_like(alpha[:, 0])
    for share in reversed(alpha.unbind(1)):  # from the front
        visible.append(share * uncovered)
        uncovered = uncovered - visible[-1]
    return torch.stack([uncovered, *reversed(visible)], dim=1), amodal


class _Sprites:
    """The factors of sprites by name, (N, 1, 1) each, and the coordinates of pixels in the sprites' own units."""

    def __init__(self, factors: Tensor, size: int) -> None:
        self.factor = dict(zip(SPRITE_NAMES, factors.T[:, :, None, None], strict=True))
        line, turn = centres(size, factors), 2 * math.pi * self["angle"]
        x, y = line[None, None, :] - self["x"], line[None, :, None] - self["y"]
        cos, sin = turn.cos() / self["size"], turn.sin() / self["size"]
        self.u = x * cos + y * sin  # (N, size, size)
        self.v = y * cos - x * sin
        self.pixel = 2 / size / self["size"]  # (N, 1, 1), the width of a pixel in these units

    def __getitem__(self, name: str) -> Tensor:
        return self.factor[name]

    def along(self, name: str) -> Tensor:
        """A colour of each, (N, 3, 1, 1)."""
        return along(COLOURS, self[name].flatten())[:, :, None, None]

    def by_kind(self, functions: Sequence[Callable], kind: Tensor) -> Tensor:
        """What the function of each sprite's kind gives for it; zero for a kind of -1. (N, size, size)."""
        result = torch.zeros_like(self.u)
        for i, function in enumerate(functions):
            rows = (kind.flatten() == i).nonzero().flatten()
            if len(rows):
                result[rows] = function(self.u[rows], self.v[rows], self.pixel[rows])
        return result


def _rgba(factors: Tensor, size: int) -> Tensor:
    """(N, 10) -> (N, 4, size, size), premultiplied."""
    sprite = _Sprites(factors, size)
    alpha = _covered(sprite) * sprite["opacity"]
    textured = torch.where(sprite["there"] > 0, sprite["texture"], -1)
    colour = torch.lerp(sprite.along("colour"), sprite.along("second"), sprite.by_kind(_TEXTURES, textured)[:, None])
    return torch.cat([colour * alpha[:, None], alpha[:, None]], dim=1)


def _covered(sprite: _Sprites) -> Tensor:
    """The share of each pixel inside the sprites, (N, size, size); none of one that is absent."""
    return sprite.by_kind(_SHAPES, torch.where(sprite["there"] > 0, sprite["shape"], -1))


def _ground(factors: Tensor, size: int) -> Tensor:
    """(N, 4) -> (N, 3, size, size)."""
    colour, second, kind, angle = factors.unbind(1)
    turn, line = 2 * math.pi * angle[:, None, None], centres(size, factors)
    x, y = line[None, None, :], line[None, :, None]
    down, across = y * turn.cos() - x * turn.sin(), x * turn.cos() + y * turn.sin()  # (N, size, size)
    gradient = 0.5 + 0.5 * down / math.sqrt(2)
    waves = 0.5 + 0.5 * torch.sin(math.pi * (1.5 * down + 0.3 * torch.sin(math.pi * across)))
    share = torch.where(kind[:, None, None] == BACKGROUNDS.index("waves"), waves, gradient)
    ends = (along(BACKGROUND, place)[:, :, None, None] for place in (colour, second))
    return torch.lerp(*ends, share[:, None])


# --- shapes and textures, in a sprite's own units ----------------------------------------------------------------


def _inside(distance: Tensor, pixel: Tensor) -> Tensor:
    """The share of a pixel inside a shape, from the signed distance at its centre."""
    return (0.5 - distance / pixel).clamp_(0, 1)


def _disc(u: Tensor, v: Tensor) -> Tensor:
    return (u.square() + v.square()).sqrt() - 0.90


def _ring(u: Tensor, v: Tensor) -> Tensor:
    return ((u.square() + v.square()).sqrt() - 0.70).abs() - 0.26


def _square(u: Tensor, v: Tensor) -> Tensor:
    across, down = u.abs() - 0.62, v.abs() - 0.62
    outside = (across.clamp(min=0).square() + down.clamp(min=0).square()).sqrt()
    return outside + torch.maximum(across, down).clamp(max=0) - 0.12


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    side = math.sqrt(3) / 2 * (u.square() + 0.01).sqrt() - 0.5 * v - 0.50
    return -smooth_minimum(-side, 0.50 - v, 0.15)


def _star(u: Tensor, v: Tensor) -> Tensor:
    """Five points, of which the plane is folded into half a one; the outermost is at 1, the corners between at 0.5."""
    fifth = 2 * math.pi / 5
    turn = torch.atan2(u, -v)
    turn = (turn - fifth * (turn / fifth).round()).abs()  # from a point, 0, to the corner beside it, half a fifth
    radius = (u.square() + v.square()).sqrt()
    along_, across = radius * turn.cos(), radius * turn.sin()
    corner = 0.5 * math.cos(fifth / 2), 0.5 * math.sin(fifth / 2)
    length = math.hypot(1 - corner[0], corner[1])
    return (corner[1] * (along_ - 1) + (1 - corner[0]) * across) / length


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """A square on its corner with half discs on its upper sides."""
    scale = 1.45
    a, b = u.abs() / scale, 0.55 - v / scale  # from the lower tip, upwards
    lobe = ((a - 0.25).square() + (b - 0.75).square()).sqrt() - math.sqrt(2) / 4
    corner = 0.5 * (a + b).clamp(min=0)
    sides = torch.minimum(a.square() + (b - 1).square(), (a - corner).square() + (b - corner).square()).sqrt()
    return scale * torch.where(a + b > 1, lobe, sides * (a - b).sign())


def _moon(u: Tensor, v: Tensor) -> Tensor:
    """A disc without another."""
    bite = 0.72 - ((u - 0.45).square() + (v + 0.12).square()).sqrt()
    return torch.maximum((u.square() + v.square()).sqrt() - 0.95, bite)


def _shape(distance: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda u, v, pixel: _inside(distance(u, v), pixel)


def _bands(u: Tensor, period: float) -> Tensor:
    """Signed distance to bands as wide as the gaps between them, one of them about 0."""
    return ((u / period - (u / period).round()).abs() - 0.25) * period


def _plain(u: Tensor, v: Tensor, pixel: Tensor) -> Tensor:
    return torch.zeros_like(u)


def _stripes(u: Tensor, v: Tensor, pixel: Tensor) -> Tensor:
    return _inside(_bands(v, 0.95), pixel)


def _checks(u: Tensor, v: Tensor, pixel: Tensor) -> Tensor:
    one, other = _bands(u - 0.28, 1.12), _bands(v - 0.28, 1.12)
    both = torch.maximum(torch.minimum(one, other), -torch.maximum(one, other))  # in one alone
    return _inside(both, pixel)


def _dots(u: Tensor, v: Tensor, pixel: Tensor) -> Tensor:
    period = 0.80
    across, down = (w - period * (w / period).round() for w in (u, v))
    return _inside((across.square() + down.square()).sqrt() - 0.25, pixel)


def _gradient(u: Tensor, v: Tensor, pixel: Tensor) -> Tensor:
    return (0.5 + 0.6 * v).clamp_(0, 1)


_SHAPES = tuple(map(_shape, (_disc, _ring, _square, _triangle, _star, _heart, _moon)))
_TEXTURES = (_plain, _stripes, _checks, _dots, _gradient)
