"""Portraits drawn from fourteen known factors.

A picture is a stack of layers, painted from back to front (`vae_helpers.rendering.drawing`). The first covers
everything, so the shares of a pixel in which they are seen sum to one, and

    picture = sum over layers of (seen share) * (colour).

The masks of the parts are sums of the same shares: exact by construction, and so is the truth of any edit.

Coordinates: the picture spans [-1, 1] x [-1, 1], y downwards. The head has its own, (u, v): turned by the tilt about
the neck, with the origin between the eyes. Everything works on a batch at a time, on the device of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.moved import former_names
from vae_helpers.rendering import drawing, styles
from vae_helpers.rendering.drawing import Colour, Layer, along, blob, cover_, ellipse, smooth_minimum, to_edge, wave
from vae_helpers.rendering.factors import Factor, FactorTable

FACTORS = (
    Factor("skin", 0, 1, "light ... dark"),
    Factor("hair_colour", 0, 1, "black, brown, auburn, blond, silver"),
    Factor("hair_length", 0, 1, "cropped ... below the shoulders"),
    Factor("hair_texture", 0, 1, "straight ... curly"),
    Factor("fringe", 0, 1, "bare forehead ... full fringe"),
    Factor("eye_size", 0, 1, "small ... large"),
    Factor("gaze", -1, 1, "to the picture's left ... right"),
    Factor("brows", -1, 1, "low ... raised"),
    Factor("smile", 0, 1, "neutral ... broad"),
    Factor("glasses", 0, 1, "without ... with; in between they are see-through"),
    Factor("face_width", -1, 1, "narrow ... wide"),
    Factor("tilt", -1, 1, "the head leans 14 degrees to the picture's left ... right"),
    Factor("clothes", 0, 1, "navy, teal, green, mustard, coral, plum"),
    Factor("background", 0, 1, "sky, mint, cream, peach, lilac"),
)
TABLE = FactorTable(FACTORS, module="faces", picture="portrait")
NAMES = TABLE.names
PARTS = ("background", "clothes", "skin", "hair", "brows", "eyes", "mouth", "glasses")
STYLES = ("flat", "soft", "sketch", "mosaic")
MIN_SIZE, MAX_SIZE = 32, 256  # pixels
SHARE_WITH_GLASSES = 0.35  # of the portraits that `sample` draws

# Colours that a factor in [0, 1] leads along, in equal steps; sRGB in [0, 1].
SKIN = (
    (0.99, 0.88, 0.79),
    (0.95, 0.78, 0.64),
    (0.87, 0.65, 0.49),
    (0.72, 0.49, 0.34),
    (0.54, 0.35, 0.24),
    (0.38, 0.24, 0.17),
)
HAIR = (
    (0.10, 0.09, 0.11),
    (0.25, 0.15, 0.11),
    (0.44, 0.27, 0.16),
    (0.66, 0.33, 0.17),
    (0.90, 0.70, 0.40),
    (0.86, 0.86, 0.88),
)
CLOTHES = (
    (0.18, 0.26, 0.48),
    (0.12, 0.50, 0.54),
    (0.38, 0.60, 0.38),
    (0.92, 0.72, 0.28),
    (0.88, 0.43, 0.35),
    (0.55, 0.27, 0.44),
)
BACKGROUND = ((0.72, 0.84, 0.93), (0.76, 0.90, 0.82), (0.97, 0.93, 0.76), (0.98, 0.82, 0.72), (0.86, 0.78, 0.91))
WHITE, INK = (1.0, 1.0, 1.0), (0.17, 0.15, 0.20)
LASHES, IRIS, PUPIL, EYE_WHITE = (0.13, 0.09, 0.09), (0.33, 0.20, 0.13), (0.06, 0.04, 0.05), (0.99, 0.985, 0.97)
TEETH, MOUTH, FRAME = (0.98, 0.96, 0.94), (0.45, 0.14, 0.16), (0.16, 0.15, 0.20)

NECK = 0.62  # y about which the head turns
EYES_ABOVE = 0.69  # how far above it the origin of (u, v) is
HEAVIEST_INK, INK_OF_A_SKETCH = 0.03, 0.011  # half the width of a line
LARGEST_TILT = math.radians(14)
HALF_WIDTH, WIDENING = 0.40, 0.055  # of a face, and how much of it a face_width of 1 adds
EYE = 0.185  # |u| of the eyes


def sample(n: int, seed: int = 0) -> Tensor:
    """Factors of n portraits: uniform and independent; glasses are there or not (35 % have them).

    Args:
        n: how many portraits, at least 1.
        seed: a whole number from 0 to 2^63 - 1; the same seed gives the same portraits.
    Returns:
        (n, 14), columns in the order of `NAMES`. The first portraits of a larger n are those of a smaller one.
    Raises:
        ValueError: n or seed is no whole number, or out of its range.
    """
    factors = TABLE.uniform(n, seed)
    glasses = index("glasses")
    factors[:, glasses] = (factors[:, glasses] < SHARE_WITH_GLASSES).float()
    return factors


def with_factors(factors: Tensor, **values: float | Tensor) -> Tensor:
    """A copy of the factors with some set by name: `with_factors(factors, smile=1.0, tilt=0.0)`.

    Args:
        factors: (N, 14).
        values: name -> one number for all, or (N,).
    Raises:
        TypeError: a value that is not a real number or a tensor of them.
        ValueError: a name that is no factor, or a value of the wrong shape or outside the factor's range.
    """
    return TABLE.with_factors(factors, **values)


def index(name: str) -> int:
    """The column of a factor."""
    return TABLE.index(name)


def check_factors(factors: Tensor) -> Tensor:
    """Return the factors if they are (N, 14), floating point, finite and in range; explain what is wrong otherwise."""
    return TABLE.check(factors)


def render(factors: Tensor, size: int = 64, style: str | Tensor = "flat") -> Tensor:
    """The portraits with these factors.

    Args:
        factors: (N, 14), see `FACTORS`.
        size: pixels of a side, 32 to 256.
        style: "flat"; "soft", with light from the upper left; "sketch", ink lines over a wash of colour; "mosaic". Or
            factors of styles, (N, 7) or (1, 7), see `vae_helpers.rendering.styles`.
    Returns:
        `uint8` (N, 3, size, size) on the factors' device. A portrait does not depend on the others in its batch.
    Raises:
        TypeError, ValueError: factors, size or style out of their domain.
    """
    return torch.cat(_drawn(_pictures, factors, size, style))


def masks(factors: Tensor, size: int = 64, style: str | Tensor = "flat") -> dict[str, Tensor]:
    """Which share of each pixel shows which part, exactly, in a picture of this style.

    Between styles masks differ a little: ink and light widen a part a little at its edge, and tiles average.

    Args:
        factors, size, style: as for `render`.
    Returns:
        part -> (N, 1, size, size) in [0, 1], for each of `PARTS`; they sum to one.
    """
    seen = torch.cat(_drawn(_seen_parts, factors, size, style))  # (N, 8, size, size)
    return dict(zip(PARTS, seen.split(1, dim=1), strict=True))


def ranges(like: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest value of each factor, (14,) each, of the type and on the device of `like`."""
    return TABLE.ranges(like)


def to_unit(factors: Tensor) -> Tensor:
    """Factors in their own units (..., 14) -> low ... high of each as -1 ... 1."""
    return TABLE.to_unit(factors)


def from_unit(unit: Tensor) -> Tensor:
    """The inverse of `to_unit`."""
    return TABLE.from_unit(unit)


def _drawn(
    draw: Callable[[Tensor, int, str | Tensor], Tensor], factors: Tensor, size: int, style: str | Tensor
) -> list[Tensor]:
    """`draw` of some portraits at a time, their arguments checked."""
    check_factors(factors)
    size, factors = checking.integer(size, "size", MIN_SIZE, MAX_SIZE), factors.detach().float()
    if not isinstance(style, Tensor):
        style = checking.choice(style, "style", STYLES)
        return drawing.in_chunks(lambda chunk: draw(chunk, size, style), factors, size)
    style = styles.for_portraits(style, len(factors)).to(factors)
    both = torch.cat([factors, style], 1)  # (N, 14 + 7)
    return drawing.in_chunks(lambda chunk: draw(chunk[:, : len(FACTORS)], size, chunk[:, len(FACTORS) :]), both, size)


def _pictures(factors: Tensor, size: int, style: str | Tensor) -> Tensor:
    layers = list(_portrait(_Scene.of(factors, size, style)))
    picture = drawing.painted(layers, drawing.seen(layers, size))  # (N, 3, size, size)
    if isinstance(style, Tensor):
        picture = styles.coloured(styles.hatched(styles.lit(picture, style), style), style)
    elif style == "mosaic":
        picture = drawing.tiles(picture, laid=True)
    return picture.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _seen_parts(factors: Tensor, size: int, style: str | Tensor) -> Tensor:
    layers = list(_portrait(_Scene.of(factors, size, style)))
    shares = drawing.seen(layers, size)  # (N, L, size, size)
    parts = shares.new_zeros(len(factors), len(PARTS), size, size)
    for i, layer in enumerate(layers):
        parts[:, PARTS.index(layer.part)] += shares[:, i]
    return drawing.tiles(parts, laid=False) if isinstance(style, str) and style == "mosaic" else parts


@dataclass
class _View:
    """A window of the picture and the coordinates of its pixels' centres."""

    window: tuple[slice, slice]
    x: Tensor  # (1, 1, w)
    y: Tensor  # (1, h, 1)
    u: Tensor  # (N, h, w)
    v: Tensor  # (N, h, w)


@dataclass
class _Scene:
    """The factors of a batch of portraits by name, and what all layers need."""

    factor: dict[str, Tensor]  # name -> (N, 1, 1)
    size: int
    sketched: bool = False  # a wash of colour, fewer tones
    ink: Tensor | None = None  # (N, 1, 1), half the width of the lines along edges
    light: Tensor | None = None  # (N, 1, 1), -1 ... 1 for light from the upper left ... right

    @classmethod
    def of(cls, factors: Tensor, size: int, style: str | Tensor) -> _Scene:
        columns = factors.T[:, :, None, None]  # (14, N, 1, 1)
        scene, one = cls(dict(zip(NAMES, columns, strict=True)), size), torch.ones_like(columns[0])
        if isinstance(style, Tensor):
            ink, light = (style[:, styles.TABLE.index(name), None, None] for name in ("ink", "light"))
            scene.ink, scene.light = (HEAVIEST_INK * ink if ink.any() else None), (light if light.any() else None)
        elif style == "sketch":
            scene.sketched, scene.ink = True, INK_OF_A_SKETCH * one
        elif style == "soft":
            scene.light = -one
        return scene

    def __getitem__(self, name: str) -> Tensor:
        return self.factor[name]

    def along(self, name: str, path: Sequence[Colour]) -> Tensor:
        """The colour at a factor's place on a path of colours, (N, 3)."""
        return along(path, self[name].flatten())

    def fixed(self, colour: Colour) -> Tensor:
        """One colour for all portraits, (N, 3)."""
        return self["skin"].new_tensor(colour).expand(len(self["skin"]), 3)

    def view(self, left: float = -1, right: float = 1, top: float = -1, bottom: float = 1) -> _View:
        """The pixels of a part of the picture."""
        size, tilt = self.size, self["tilt"] * LARGEST_TILT
        more = 1 if self.ink is not None else 0  # for the slopes in `to_edge`, which need the pixels around
        rows, columns = (
            slice(max(0, math.floor((low + 1) / 2 * size) - more), min(size, math.ceil((high + 1) / 2 * size) + more))
            for low, high in ((top, bottom), (left, right))
        )
        centres = drawing.centres(size, tilt)
        x, y = centres[None, None, columns], centres[None, rows, None]
        u = x * tilt.cos() + (y - NECK) * tilt.sin()
        v = (y - NECK) * tilt.cos() - x * tilt.sin() + EYES_ABOVE
        return _View((rows, columns), x, y, u, v)

    def cover(self, distance: Tensor) -> Tensor:
        """The share of a pixel inside a shape, see `cover_`. Changes its argument."""
        return cover_(distance, self.size)

    def shape(self, part: str, at: _View, distance: Tensor, colour: Tensor, outlined: bool = True) -> Iterator[Layer]:
        """A filled shape, in a sketch a wash of its colour, and ink along its edge where there is any."""
        inked = self.ink is not None and outlined
        edge = to_edge(distance, self.size).sub_(self.ink) if inked else None
        if self.sketched:
            colour = torch.lerp(colour.pow(0.7) if outlined else colour, self.fixed(styles.PAPER), 0.15)
        yield Layer(part, colour, self.cover(distance), at.window)
        if inked:
            fading = (self.ink / INK_OF_A_SKETCH).clamp(max=1)  # of lines too thin for pixels
            yield Layer(part, self.fixed(INK), self.cover(edge) * fading, at.window)

    def tint(self, part: str, at: _View, amount: Tensor, colour: Tensor) -> Iterator[Layer]:
        """A tone over what is there: `amount` (N, h, w) in [0, 1] of `colour`. A sketch has fewer."""
        if self.sketched:
            amount = amount * 0.4
        yield Layer(part, colour, amount, at.window)

    def lit(self, part: str, at: _View, inside: Tensor, x: Tensor, y: Tensor, colour: Tensor) -> Iterator[Layer]:
        """Where there is light: shade on the far side of a form and shine on the near one, x and y in [-1, 1]."""
        if self.light is not None:
            facing = 0.55 * self.light.sign() * x - 0.60 * y  # the cosine between the surface and the light, roughly
            shade, shine = (0.75 * (-facing - 0.1)).clamp_(0, 0.6), (0.6 * (facing - 0.1)).clamp_(0, 0.5)
            inside = inside * self.light.abs()
            yield Layer(part, colour * 0.45, inside * shade, at.window)
            yield Layer(part, colour.sqrt(), inside * shine, at.window)


def _portrait(scene: _Scene) -> Iterator[Layer]:
    """All layers, from back to front."""
    whole = scene.view()
    hair = _hair_outline(scene, whole)
    yield from _backdrop(scene, whole)
    yield from scene.shape("hair", whole, hair.clone(), 0.78 * scene.along("hair_colour", HAIR))
    yield from _body(scene)
    yield from _head(scene)
    yield from _eyes(scene)
    yield from _mouth(scene)
    yield from _hair_in_front(scene, whole, hair)
    yield from _brows_and_glasses(scene)


def _backdrop(scene: _Scene, at: _View) -> Iterator[Layer]:
    colour = scene.along("background", BACKGROUND)
    n, size = len(colour), scene.size
    yield Layer("background", colour * 0.93, colour.new_ones(n, size, size), at.window)
    disc = ellipse(at.x, at.y + 0.05, 0.86, 0.86).expand(n, size, size).clone()
    yield from scene.shape("background", at, disc, torch.lerp(colour, scene.fixed(WHITE), 0.35), outlined=False)


def _body(scene: _Scene) -> Iterator[Layer]:
    n, clothes, skin = len(scene["skin"]), scene.along("clothes", CLOTHES), scene.along("skin", SKIN)
    at = scene.view(top=0.58)
    shoulders = ellipse(at.x, at.y - 1.18, 0.80, 0.56).expand(n, -1, -1)
    yield from scene.shape("clothes", at, shoulders.clone(), clothes)
    inside = scene.cover(shoulders.clone())
    yield from scene.lit("clothes", at, inside, at.x / 0.8, (at.y - 1.18) / 0.56 + 0.6, clothes)
    at = scene.view(-0.36, 0.36, 0.05, 0.86)
    collar = torch.maximum(ellipse(at.x, at.y - 0.66, 0.27, 0.17), ellipse(at.x, at.y - 1.18, 0.80, 0.56))
    yield from scene.shape("clothes", at, collar.expand(n, -1, -1).clone(), clothes * 0.8)
    lean = (scene["tilt"] * LARGEST_TILT).sin()
    leaning = at.x - 0.6 * (NECK - at.y).clamp(min=0) * lean  # the neck follows half-way
    neck = torch.maximum(leaning.abs() - 0.155, torch.maximum(at.y - 0.70, 0.1 - at.y))
    neckline = ellipse(at.x, at.y - 0.66, 0.21, 0.11)
    yield from scene.shape("skin", at, smooth_minimum(neck, neckline, 0.07), skin * 0.86)


def _head(scene: _Scene) -> Iterator[Layer]:
    skin, width = scene.along("skin", SKIN), _face_width(scene)
    at = scene.view(-0.72, 0.72, -0.30, 0.34)
    ears = ellipse(at.u.abs() - width + 0.005, at.v - 0.06, 0.075, 0.115)
    yield from scene.shape("skin", at, ears, skin * 0.88)
    at = scene.view(-0.66, 0.66, -0.66, 0.58)
    narrowing = width * (1 - 0.30 * at.v.clamp(min=0))  # towards the chin
    face = ellipse(at.u / narrowing, at.v - 0.02, 1.0, 0.52, scale=0.42)
    yield from scene.shape("skin", at, face.clone(), skin)
    inside = scene.cover(face)
    yield from scene.lit("skin", at, inside, at.u / width, at.v / 0.52, skin)
    cheeks = blob(at.u.abs() - 0.24, at.v - 0.19, 0.17, 0.13)
    yield from scene.tint("skin", at, 0.5 * cheeks * inside, skin * skin.new_tensor([1.0, 0.72, 0.68]))
    at = scene.view(-0.26, 0.26, -0.10, 0.34)
    nose = ellipse(at.u, at.v - 0.145, 0.052, 0.032)
    yield from scene.shape("skin", at, nose, skin * skin.new_tensor([0.86, 0.76, 0.72]), outlined=False)


def _eyes(scene: _Scene) -> Iterator[Layer]:
    at, larger = scene.view(-0.56, 0.56, -0.34, 0.22), 0.80 + 0.42 * scene["eye_size"]
    across, side = at.u.abs() - EYE, at.u.sign()  # `across` is measured from the middle of each eye, outwards
    looking = 0.048 * scene["gaze"]
    lashes = ellipse(across, at.v + 0.022, 0.112 * larger, 0.105 * larger)
    yield from scene.shape("eyes", at, lashes, scene.fixed(LASHES), outlined=False)
    white = ellipse(across, at.v + 0.002, 0.100 * larger, 0.092 * larger)
    yield from scene.shape("eyes", at, white.clone(), scene.fixed(EYE_WHITE), outlined=False)
    from_iris = ((across - looking * side).square() + (at.v + 0.004).square()).sqrt()
    for radius, colour in ((0.066, IRIS), (0.036, PUPIL)):
        disc = torch.maximum(from_iris - radius * larger, white)
        yield from scene.shape("eyes", at, disc, scene.fixed(colour), outlined=False)
    glint = ellipse(across * side - looking + 0.022, at.v + 0.030, 0.018 * larger, 0.018 * larger)
    yield from scene.shape("eyes", at, glint, scene.fixed(WHITE), outlined=False)


def _mouth(scene: _Scene) -> Iterator[Layer]:
    at, smile, skin = scene.view(-0.40, 0.40, 0.06, 0.52), scene["smile"], scene.along("skin", SKIN)
    half, rise, opening = 0.115 + 0.085 * smile, 0.006 + 0.079 * smile, 0.115 * smile * smile.sqrt()
    q = (at.u / half).square()  # 0 in the middle, 1 at the corners
    upper = 0.292 - rise * (q - 0.5)
    lower = upper + opening * (1 - q)
    inside = torch.maximum(torch.maximum(upper - at.v, at.v - lower), at.u.abs() - half) + 0.03 * (1 - smile).square()
    lips = torch.maximum(torch.maximum(upper - at.v, at.v - lower) - 0.019, at.u.abs() - half - 0.012)
    colour = skin * skin.new_tensor([0.78, 0.50, 0.48]) + skin.new_tensor([0.08, 0.0, 0.01])
    yield from scene.shape("mouth", at, lips, colour, outlined=False)
    yield from scene.shape("mouth", at, inside.clone(), scene.fixed(TEETH), outlined=False)
    below = torch.maximum(inside, upper + 0.62 * opening - at.v)
    yield from scene.shape("mouth", at, below, scene.fixed(MOUTH), outlined=False)


def _hair_outline(scene: _Scene, at: _View) -> Tensor:
    """Signed distance to all hair, (N, size, size): a cap, hanging down at the sides as far as its length."""
    texture, length = scene["hair_texture"], -0.12 + 0.98 * scene["hair_length"]
    volume, roundness = 0.075 + 0.055 * texture, 0.14
    width, height = _face_width(scene) + volume, 0.60 + volume
    flare = width + 0.10 * at.v.clamp(min=0)
    sides = ellipse(at.u / flare, (at.v + 0.02).clamp(max=0), 1.0, height, scale=0.5).add_(roundness)
    end = at.v - (length - roundness)
    rounded = (sides.clamp(min=0).square() + end.clamp(min=0).square()).sqrt()
    outline = rounded + torch.maximum(sides, end).clamp(max=0) - roundness
    return outline + 0.05 * texture * _curls(at)


def _hair_in_front(scene: _Scene, at: _View, outline: Tensor) -> Iterator[Layer]:
    texture, colour = scene["hair_texture"], scene.along("hair_colour", HAIR)
    hairline, height = -0.46 + 0.22 * scene["fringe"], 0.36
    down = (at.v - hairline - height).clamp(max=0)
    opening = ellipse(at.u, down, _face_width(scene) * (0.97 - 0.03 * texture), height)
    front = torch.maximum(outline, -(opening + 0.02 * texture * wave(3.2 * at.u)))
    inside = scene.cover(front.clone())
    yield from scene.shape("hair", at, front, colour)
    strands = torch.lerp(wave(5.4 * at.u + texture * at.v), _curls(at), texture).clamp_(min=0)
    yield from scene.tint("hair", at, 0.16 * strands * inside, colour * 0.55)
    shine = 0.32 * inside * blob(at.u + 0.12, at.v + 0.47, 0.36, 0.11)
    yield from scene.tint("hair", at, shine, torch.lerp(colour, scene.fixed(WHITE), 0.5))
    yield from scene.lit("hair", at, inside, at.u / 0.5, at.v / 0.6, colour)


def _brows_and_glasses(scene: _Scene) -> Iterator[Layer]:
    at, raised = scene.view(-0.70, 0.70, -0.52, 0.24), scene["brows"]
    across, u = at.u.abs() - EYE, at.u.abs()
    q = across / 0.115
    middle = -0.200 - 0.055 * raised - 0.02 * scene["eye_size"] + 0.026 * (q.square() - 0.6)
    brows = torch.maximum((at.v - middle).abs() - 0.020 * (1.12 - 0.32 * q), across.abs() - 0.115)
    hair, skin = scene.along("hair_colour", HAIR), scene.along("skin", SKIN)
    yield from scene.shape("brows", at, brows, 0.62 * hair + 0.08 * skin, outlined=False)
    rims = ellipse(across, at.v - 0.005, 0.150, 0.130).abs_() - 0.015
    bar = (at.v + 0.03).abs() - 0.013
    bridge = torch.maximum(bar, u - 0.045)
    temples = torch.maximum(bar, torch.maximum(u - _face_width(scene), 0.325 - u))
    frame = scene.cover(torch.minimum(rims, torch.minimum(bridge, temples)))
    yield Layer("glasses", scene.fixed(FRAME), frame * scene["glasses"], at.window)


def _face_width(scene: _Scene) -> Tensor:
    """Half the width of the face, (N, 1, 1)."""
    return HALF_WIDTH + WIDENING * scene["face_width"]


def _curls(at: _View) -> Tensor:
    """A pattern of bumps in [-1.25, 1.25]."""
    return wave(2.9 * at.u + 0.16) * wave(2.9 * at.v) + 0.25 * wave(4.7 * at.u) * wave(4.4 * at.v + 0.32)


__getattr__ = former_names(__name__, changed="vae_helpers.rendering.faces.with_factors")
