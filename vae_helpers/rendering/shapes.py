"""Lit solids (mugs, chairs, birds, houses) drawn from twelve known factors: what they are, a camera and a lamp.

A solid is known by its signed distance (`vae_helpers.rendering.solids`) and met by sphere tracing
(`vae_helpers.rendering.tracing`). Each pixel is seen along four rays. Their mean is a layer, premultiplied colours
and the share of the pixel that shows the solid; the floor, which fades into a light background, lies behind it:

    picture = layer + (1 - share) * floor.

Angles are degrees. Azimuths turn about the upright axis, counter-clockwise seen from above, and -180 and 180 are the
same: at 0 the camera is in front of the solid (or the lamp shines from there), at 90 to the right of it. They do not
depend on each other: the lamp stays where it is when the camera goes round. Elevations are above the horizon.

World coordinates: x to the right, y away, z up, for who stands in front; the floor is z = 0. The picture spans
[-1, 1] x [-1, 1], y downwards. Everything works on a batch at a time, on the device of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.rendering import drawing
from vae_helpers.rendering.drawing import along
from vae_helpers.rendering.factors import Factor, FactorTable
from vae_helpers.rendering.solids import SOLIDS, Paint, Solid
from vae_helpers.rendering.tracing import SHARPEST, Rays, approach, light_reaching, normals

KINDS = tuple(SOLIDS)
AROUND = "degrees: 0 in front, 90 to the right; beyond, (angle + 180) % 360 - 180"
FACTORS = (
    Factor("kind", 0, len(KINDS) - 1, ", ".join(KINDS), whole=True),
    Factor("tall", 0, 1, "low ... tall: the mug, the chair's seat, the bird's head, the walls"),
    Factor("wide", 0, 1, "narrow ... wide: the mug, the seat, the bird's chest, the house"),
    Factor("detail", 0, 1, "small ... large: handle, back, tail, roof"),
    Factor("body_colour", 0, 1, "navy, teal, sage, mustard, coral, plum"),
    Factor("part_colour", 0, 1, "cream, oak, terracotta, mulberry, slate: handle, legs, wings, roof"),
    Factor("stripes", 0, 1, "plain ... striped"),
    Factor("gloss", 0, 1, "matt ... glossy"),
    Factor("camera_azimuth", -180, 180, AROUND),
    Factor("camera_elevation", 8, 50, "degrees above the horizon"),
    Factor("light_azimuth", -180, 180, AROUND),
    Factor("light_elevation", 30, 70, "degrees above the horizon"),
)
TABLE = FactorTable(FACTORS, module="shapes", picture="picture")
NAMES = TABLE.names
index, check_factors, with_factors = TABLE.index, TABLE.check, TABLE.with_factors
OBJECT, VIEW = NAMES[:8], NAMES[8:]  # what a solid is; what it is seen by
MIN_SIZE, MAX_SIZE = 32, 256  # pixels

# Colours that a factor in [0, 1] leads along, in equal steps; sRGB in [0, 1].
BODY = (
    (0.27, 0.36, 0.58),
    (0.20, 0.55, 0.58),
    (0.50, 0.68, 0.48),
    (0.93, 0.74, 0.36),
    (0.90, 0.50, 0.42),
    (0.62, 0.36, 0.52),
)
PART = ((0.96, 0.91, 0.80), (0.82, 0.62, 0.42), (0.76, 0.42, 0.32), (0.50, 0.26, 0.32), (0.36, 0.42, 0.50))
FLOOR, BACKGROUND = (0.90, 0.875, 0.84), (0.955, 0.955, 0.95)
SKY, LAMP, SHINE = (0.65, 0.65, 0.68), (0.41, 0.385, 0.34), (0.55, 0.54, 0.52)  # light on what faces it
SHADE = (0.70, 0.71, 0.76)  # of the floor's colour, in full shadow

AWAY = 5.0  # of the camera, from what it looks at
MIDDLE = 0.52  # height of what it looks at
HALF = 0.82 / AWAY  # half the picture's width at distance one
REACH = AWAY + 1.2  # nothing is farther from the camera
CELL = 8  # pixels of the side of the first cones
SAMPLES = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))  # in a pixel: no two in line


def sample(n: int, seed: int = 0) -> Tensor:
    """Factors of n pictures: uniform and independent.

    Args:
        n: how many pictures, at least 1.
        seed: a whole number from 0 to 2^63 - 1; the same seed gives the same pictures.
    Returns:
        (n, 12), columns in the order of `NAMES`. The first pictures of a larger n are those of a smaller one.
    Raises:
        ValueError: n or seed is no whole number, or out of its range.
    """
    return TABLE.uniform(n, seed)


def with_views(factors: Tensor, views: int, seed: int = 0) -> Tensor:
    """Each solid seen several times, each time by another camera in another light, uniform and independent.

    Args:
        factors: (N, 12); what they say of camera and lamp is not used.
        views: pictures of each solid, at least 1.
        seed: as for `sample`.
    Returns:
        (N * views, 12); the pictures of a solid follow each other. Those of the first solids do not depend on N.
    """
    check_factors(factors)
    views = checking.integer(views, "views")
    result = factors.repeat_interleave(views, dim=0)
    result[:, len(OBJECT) :] = sample(len(result), seed)[:, len(OBJECT) :].to(result)
    return result


def as_inputs(factors: Tensor, names: tuple[str, ...] = NAMES) -> Tensor:
    """Factors as a network takes them: kinds one-hot, azimuths as cosine and sine, the others from -1 to 1.

    Args:
        factors: (N, 12).
        names: which factors, such as `OBJECT` or `VIEW`.
    Returns:
        (N, ...): 17 columns for all, 11 for `OBJECT`, 6 for `VIEW`.
    Raises:
        TypeError, ValueError: factors out of their domain, or names that are no factors.
    """
    check_factors(factors)
    if not isinstance(names, tuple | list) or not names:
        raise TypeError(f"names must be factors such as shapes.VIEW, not {checking.shown(names)}.")
    unit, columns = TABLE.to_unit(factors), []
    for name in names:
        column = NAMES.index(checking.choice(name, "each of names", NAMES))
        value = factors[:, column]
        if name == "kind":
            columns.append(torch.nn.functional.one_hot(value.long(), len(KINDS)).to(factors))
        elif "azimuth" in name:
            columns.append(torch.stack([value.deg2rad().cos(), value.deg2rad().sin()], 1))
        else:
            columns.append(unit[:, column, None])
    return torch.cat(columns, 1)


def render(factors: Tensor, size: int = 64) -> Tensor:
    """The pictures with these factors.

    Args:
        factors: (N, 12), see `FACTORS`.
        size: pixels of a side, 32 to 256.
    Returns:
        `uint8` (N, 3, size, size) on the factors' device. A picture does not depend on the others in its batch.
    Raises:
        TypeError, ValueError: factors or size out of their domain.
    """
    return _drawn(_pictures, factors, size)


def layers(factors: Tensor, size: int = 64) -> Tensor:
    """The solids alone, without floor and shadow on it, to be laid over another picture (`vae_helpers.alpha.over`).

    Args:
        factors, size: as for `render`.
    Returns:
        `float32` (N, 4, size, size): premultiplied red, green, blue, and alpha, in [0, 1].
    """
    return _drawn(_layers, factors, size)


def masks(factors: Tensor, size: int = 64) -> Tensor:
    """Which share of each pixel shows the solid: the alpha of `layers`, (N, 1, size, size)."""
    return layers(factors, size)[:, 3:]


def _drawn(draw: Callable[[_Scene, int], Tensor], factors: Tensor, size: int) -> Tensor:
    """`draw` of some pictures of one kind at a time, their arguments checked."""
    check_factors(factors)
    size, factors = checking.integer(size, "size", MIN_SIZE, MAX_SIZE), factors.detach().float()
    side = size if factors.device.type == "cpu" else 4 * size  # other devices draw more at a time; a ray takes memory
    order, drawn = [], []
    for kind, solid in enumerate(SOLIDS.values()):
        rows = (factors[:, 0] == kind).nonzero()[:, 0]
        if len(rows):
            order.append(rows)
            drawn += drawing.in_chunks(lambda chunk, s=solid: draw(_Scene.of(chunk, s), size), factors[rows], side)
    return torch.cat(drawn)[torch.cat(order).argsort()]


@dataclass
class _Scene:
    """Solids of one kind, a camera and a lamp for each; n of them."""

    solid: Solid
    factor: dict[str, Tensor]  # name -> (n,)
    sizes: Tensor  # (P, n)
    camera: Tensor  # (3, n) where it is
    axes: Tensor  # (3, 3, n): to the picture's right, down, and into it
    lamp: Tensor  # (3, n) direction to it

    @classmethod
    def of(cls, factors: Tensor, solid: Solid) -> _Scene:
        factor = dict(zip(NAMES, factors.T, strict=True))
        back = _direction(factor["camera_azimuth"], factor["camera_elevation"])  # (3, n)
        azimuth = _radians(factor["camera_azimuth"])
        right = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)])
        down = torch.linalg.cross(right, back, dim=0)
        camera = AWAY * back
        camera[2] += MIDDLE
        return cls(
            solid,
            factor,
            solid.sizes(factor["tall"], factor["wide"], factor["detail"]),
            camera,
            torch.stack([right, down, -back]),
            _direction(factor["light_azimuth"], factor["light_elevation"]),
        )

    def rays(self, picture: Tensor, place: Tensor) -> Rays:
        """From the camera through places (2, M) of some pictures (M,)."""
        right, down, ahead = self.axes.index_select(2, picture)
        way = ahead + HALF * (place[0] * right + place[1] * down)
        way = way * (1 + HALF**2 * place.square().sum(0)).rsqrt_()
        origin, sizes = self.camera.index_select(1, picture), self.sizes.index_select(1, picture)
        return Rays(picture, place, origin, way, sizes, torch.zeros_like(place[0]))

    def light_at(self, picture: Tensor, points: Tensor) -> Tensor:
        """The share of the lamp's light that reaches points (3, M) of some pictures (M,)."""
        sizes, lamp = self.sizes.index_select(1, picture), self.lamp.index_select(1, picture)
        rays = Rays(picture, points[:2], points, lamp, sizes, torch.zeros_like(points[0]))
        return light_reaching(rays, self.solid.distance, *self.solid.bounds(sizes))


def _radians(degrees: Tensor) -> Tensor:
    """An angle, -180 and 180 made the same."""
    return (degrees % 360).deg2rad()


def _direction(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """The direction to what stands there, (3, n) of length one; the angles in degrees."""
    azimuth, elevation = _radians(azimuth), elevation.deg2rad()
    return torch.stack([azimuth.sin() * elevation.cos(), -azimuth.cos() * elevation.cos(), elevation.sin()])


def _pictures(scene: _Scene, size: int) -> Tensor:
    layer = _layers(scene, size)
    picture = layer[:, :3] + (1 - layer[:, 3:]) * _floor(scene, layer[:, 3])
    return picture.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _layers(scene: _Scene, size: int) -> Tensor:
    """What the rays see of the solids, premultiplied, (n, 4, size, size)."""
    rays = _met(scene, size)
    seen = torch.cat([_lit(scene, rays), torch.ones_like(rays.gone)[None]])  # (4, M)
    n, count = scene.camera.shape[1], len(SAMPLES)
    column, row = ((rays.place + 1) * (size / 2)).floor().long()
    inside = (rays.place + 1) * (size / 2) - torch.stack([column, row])  # of the pixel, in [0, 1]
    which = (inside[1] * count).long()  # samples differ in y
    layer = seen.new_zeros(4, n * size * size * count)
    layer[:, ((rays.picture * size + row) * size + column) * count + which] = seen
    return layer.view(4, n, size, size, count).mean(-1).transpose(0, 1)


def _met(scene: _Scene, size: int) -> Rays:
    """The rays through four places of each pixel, as far as they meet a solid."""
    pixel = 2 / size
    n, count = scene.camera.shape[1], math.ceil(size / CELL)
    line = (torch.arange(count, device=scene.camera.device, dtype=scene.camera.dtype) + 0.5) * (CELL * pixel) - 1
    places = torch.stack([line.repeat(count), line.repeat_interleave(count)])  # (2, count^2)
    picture = torch.arange(n, device=line.device).repeat_interleave(count**2)
    rays, side = scene.rays(picture, places.repeat(1, n)), float(CELL)
    rays.gone += AWAY - 1.2
    corners = places.new_tensor([(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)])
    while True:
        rays = approach(rays, scene.solid.distance, side * pixel * HALF * 0.7072, REACH)
        if side == 1:
            break
        rays, side = _split(scene, rays, side * pixel * corners), side / 2
    rays = rays[(rays.place < 1).all(0)]  # cones may lie beyond the picture's border
    rays = _split(scene, rays, pixel * places.new_tensor(SAMPLES))
    rays = approach(rays, scene.solid.distance, 0.0, REACH)
    return rays[rays.points()[2] > 0]  # distances need not end at the floor


def _split(scene: _Scene, rays: Rays, steps: Tensor) -> Rays:
    """Each ray as several, as far on: (K, 2) says where they pass the picture from where it did."""
    place = (rays.place[:, :, None] + steps.T[:, None, :]).flatten(1)  # (2, M K)
    split = scene.rays(rays.picture.repeat_interleave(len(steps)), place)
    split.gone = rays.gone.repeat_interleave(len(steps))
    return split


def _lit(scene: _Scene, rays: Rays) -> Tensor:
    """The colours of solids where rays meet them, (3, M)."""
    points, picture, solid = rays.points(), rays.picture, scene.solid
    normal = normals(points, rays.sizes, solid.distance)
    body, part = (along(path, scene.factor[name]).T for path, name in ((BODY, "body_colour"), (PART, "part_colour")))
    paint = Paint(*(colour.index_select(1, picture) for colour in (body, part)), scene.factor["stripes"][picture])
    colour = solid.colours(points, rays.sizes, solid.parts(points, rays.sizes), paint)
    lamp, gloss = scene.lamp.index_select(1, picture), scene.factor["gloss"][picture]
    facing = (normal * lamp).sum(0)
    share, towards = torch.zeros_like(facing), (facing > 0).nonzero()[:, 0]
    share[towards] = scene.light_at(picture[towards], (points + SHARPEST * normal)[:, towards])
    half = lamp - rays.way
    half = half / half.square().sum(0).sqrt_()
    shine = (normal * half).sum(0).clamp_(min=0).square_().square_().square_().square_().square_()  # to the 32
    sky = (0.82 + 0.28 * normal[2]) * (0.75 + 0.25 * (points[2] / 0.25).clamp(0, 1))  # less near the floor
    lit = colour * (_column(colour, SKY) * sky + _column(colour, LAMP) * (facing * share))
    return (lit + _column(colour, SHINE) * (gloss * shine * share)).clamp_(0, 1)


def _floor(scene: _Scene, covered: Tensor) -> Tensor:
    """The floor behind the solids, in the shadow that they throw, fading into the background: (n, 3, size, size).

    Args:
        covered: (n, size, size), the share of each pixel in which the floor is not seen.
    """
    size = covered.shape[-1]
    line = drawing.centres(size, covered)
    places = torch.stack([line.repeat(size), line.repeat_interleave(size)])  # (2, size^2)
    right, down, ahead = (axis[:, :, None] for axis in scene.axes)  # (3, n, 1) each
    way = ahead + HALF * (places[0] * right + places[1] * down)  # (3, n, size^2)
    gone = scene.camera[2, :, None] / (-way[2]).clamp(min=1e-3)
    points = scene.camera[:, :, None] + gone * way
    from_middle = points[:2].square().sum(0)  # squared
    fade = 1 / (1 + (from_middle / 6).square())
    shadow = torch.ones_like(fade)
    picture, pixel = ((covered.flatten(1) < 1) & (from_middle < 9)).nonzero(as_tuple=True)
    here = points[:, picture, pixel]
    here[2] = 0
    light = scene.light_at(picture, here)
    gap = scene.solid.distance(here, scene.sizes.index_select(1, picture))
    light *= 1 - 0.3 * (1 - gap / 0.25).clamp(0, 1).square()  # the sky that a solid hides from the floor
    shadow[picture, pixel] = light
    shade = points.new_tensor(SHADE)[:, None, None]
    floor = points.new_tensor(FLOOR)[:, None, None] * (shade + (1 - shade) * shadow)  # (3, n, size^2)
    background = points.new_tensor(BACKGROUND)[:, None, None]
    faded = torch.lerp(background.expand_as(floor), floor, fade.expand_as(floor))
    return faded.transpose(0, 1).unflatten(2, (size, size))


def _column(like: Tensor, colour: drawing.Colour) -> Tensor:
    return like.new_tensor(colour)[:, None]
