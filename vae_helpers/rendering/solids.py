"""Four kinds of solids by signed distance: a mug, a chair, a bird, a house; their sizes and their colours.

A kind says how three numbers in [0, 1] (tall, wide, detail) become its sizes, how far a point is from each of its
parts, which cylinder holds it, and how it is painted. Distances are exact or a little too short, never too long, where
a point is outside; inside they only have to be below zero. Coordinates are those of `vae_helpers.rendering.tracing`:
a solid stands on z = 0 about the z axis and looks towards -y. Sizes are lengths in the same units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vae_helpers.rendering.drawing import smooth_minimum, wave

Parts = tuple[Tensor, ...]  # the signed distance to each part, (M,); the first is the body

CREAM, AMBER, GLASS, EYE = (0.97, 0.94, 0.87), (0.90, 0.60, 0.27), (0.50, 0.64, 0.72), (0.13, 0.11, 0.13)
BRICK = (0.72, 0.44, 0.36)
WALL = 0.03  # half the thickness of a mug's wall
TUBE = 0.045  # half the thickness of its handle
DEPTH = 0.30  # half that of a chair's seat
LEAN, SPLAY = 0.18, 0.10  # of a chair's back and legs, as slopes
FRONT, REAR = (-0.08, 0.42), (0.24, 0.40)  # y and z of a bird's chest and rump
HEAD, HEAD_SIZE = -0.17, 0.175  # y of its middle; its radius
HOUSE_DEPTH, EAVES = 0.34, 0.075


class Paint(NamedTuple):
    """The colours to paint a solid with, at M points."""

    body: Tensor  # (3, M) sRGB
    part: Tensor  # (3, M)
    stripes: Tensor  # (M,) 0 ... 1, how much they show


class Solid(NamedTuple):
    """One kind of solid."""

    sizes: Callable[[Tensor, Tensor, Tensor], Tensor]  # tall, wide, detail (n,) -> (P, n)
    parts: Callable[[Tensor, Tensor], Parts]  # points (3, M), sizes (P, M) -> the distance to each part
    bounds: Callable[[Tensor], tuple[Tensor, Tensor]]  # sizes (P, M) -> radius and height of a cylinder, (M,) each
    colours: Callable[[Tensor, Tensor, Parts, Paint], Tensor]  # points, sizes, distances, paint -> (3, M)

    def distance(self, points: Tensor, sizes: Tensor) -> Tensor:
        """The signed distance to the solid, (M,)."""
        first, *others = self.parts(points, sizes)
        for other in others:
            first = torch.minimum(first, other)
        return first


# --- what solids are made of ----------------------------------------------------------------------------------------


def beyond(x: Tensor, half: Tensor | float) -> Tensor:
    """How far x is outside of [-half, half]."""
    return (x.abs() - half).clamp_(min=0)


def length(*sides: Tensor) -> Tensor:
    """The root of the sum of squares."""
    total = sides[0].square()
    for side in sides[1:]:
        total = torch.addcmul(total, side, side)
    return total.sqrt_()


def to_cone(y: Tensor, z: Tensor, start: Parts, end: Parts, sideways: Tensor, radii: tuple) -> Tensor:
    """The distance to a thick segment in the plane x = 0, its radius changing evenly along it; never too long.

    Args:
        start, end: y and z of the segment's ends.
        sideways: the distance to its plane.
        radii: at both ends.
    """
    run, rise = end[0] - start[0], end[1] - start[1]
    squared = run * run + rise * rise
    place = (((y - start[0]) * run + (z - start[1]) * rise) / squared).clamp_(0, 1)
    thinner = radii[1] - radii[0]
    gap = length(y - start[0] - place * run, z - start[1] - place * rise, sideways) - radii[0] - place * thinner
    return gap / (1 + thinner * thinner / squared) ** 0.5  # the radius changes along the way: steeper than 1 else


def inside(distance: Tensor) -> Tensor:
    """1 in a painted patch, 0 outside, a soft edge between."""
    return (0.5 - distance / 0.015).clamp_(0, 1)


def bands(turns: Tensor) -> Tensor:
    """0 and 1 in turns, each half of the time, with soft edges."""
    return (0.5 + 2.5 * wave(turns)).clamp_(0, 1)


def mixed(colour: Tensor, other: Tensor | tuple, amount: Tensor) -> Tensor:
    """Some of another colour, (3, M) each, mixed into a colour."""
    if not isinstance(other, Tensor):
        other = colour.new_tensor(other)[:, None]
    return torch.lerp(colour, other.expand_as(colour), amount.expand_as(colour))


def nearest(distances: Parts, part: int) -> Tensor:
    """1 where this part is the nearest, 0 elsewhere."""
    return (distances[part] <= torch.stack(distances).amin(0)).to(distances[0].dtype)


# --- a mug ----------------------------------------------------------------------------------------------------------


def mug_sizes(tall: Tensor, wide: Tensor, detail: Tensor) -> Tensor:
    """Radius (of the middle of the wall), height, radius of the handle."""
    return torch.stack([0.28 + 0.15 * wide, 0.64 + 0.32 * tall, 0.13 + 0.10 * detail])


def mug_parts(points: Tensor, sizes: Tensor) -> Parts:
    """Wall and bottom; handle."""
    x, y, z = points
    radius, height, ring = sizes
    out, up = length(x, y) - radius, z - height / 2
    wall = length(out, beyond(up, height / 2 - WALL))
    bottom = length(out.clamp(min=0), z - 0.05)
    loop = length(x - radius, beyond(up, 0.03)) - ring
    handle = torch.maximum(length(loop, y) - TUBE, -out)  # not into the mug
    return torch.minimum(wall, bottom) - WALL, handle


def mug_bounds(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """To the end of the handle; the rim."""
    return sizes[0] + sizes[2] + TUBE, sizes[1]


def mug_colours(points: Tensor, sizes: Tensor, distances: Parts, paint: Paint) -> Tensor:
    """Three bands around it; cream inside."""
    x, y, z = points
    colour = mixed(paint.body, CREAM, 0.75 * paint.stripes * bands(3 * z / sizes[1] - 0.25))
    within = inside(length(x, y) - sizes[0] - 0.5 * WALL)
    return mixed(mixed(colour, CREAM, within), paint.part, nearest(distances, 1))


# --- a chair --------------------------------------------------------------------------------------------------------


def chair_sizes(tall: Tensor, wide: Tensor, detail: Tensor) -> Tensor:
    """Half the seat's width, its height, the height of the back above it."""
    return torch.stack([0.27 + 0.13 * wide, 0.36 + 0.18 * tall, 0.34 + 0.20 * detail])


def chair_parts(points: Tensor, sizes: Tensor) -> Parts:
    """Seat and panel of the back; legs and posts."""
    x, y, z = points
    width, height, back = sizes
    x, above = x.abs(), z - height
    seat = length(beyond(x, width - 0.04), beyond(y, DEPTH - 0.04), above + 0.04) - 0.04
    leaning = y - (DEPTH - 0.05) - LEAN * above
    panel = length(beyond(x, width - 0.04), leaning, beyond(above - 0.66 * back, 0.34 * back - 0.04)) - 0.04
    apart = SPLAY * above
    legs = length(x - width + 0.07 + apart, y.abs() - DEPTH + 0.07 + apart, (above + 0.05).clamp_(min=0)) - 0.036
    posts = length(x - width + 0.07, leaning, beyond(above - 0.2 * back, 0.3 * back)) - 0.028
    return torch.minimum(seat, 0.91 * panel), 0.91 * torch.minimum(legs, posts)  # slopes make distances too long


def chair_bounds(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """To the corners of the seat, the feet or the top of the back; the top."""
    width, height, back = sizes
    behind = DEPTH + LEAN * back + 0.05
    feet = length(width + SPLAY * height, DEPTH + SPLAY * height)
    return torch.maximum(length(width, behind), feet), height + back


def chair_colours(points: Tensor, sizes: Tensor, distances: Parts, paint: Paint) -> Tensor:
    """Four pale bands over seat and back; wooden legs."""
    colour = mixed(paint.body, CREAM, 0.75 * paint.stripes * bands(2 * points[0] / sizes[0] - 0.25))
    return mixed(colour, paint.part, nearest(distances, 1))


# --- a bird ---------------------------------------------------------------------------------------------------------


def bird_sizes(tall: Tensor, wide: Tensor, detail: Tensor) -> Tensor:
    """Radius of the chest, height of the head, length of the tail."""
    return torch.stack([0.22 + 0.08 * wide, 0.70 + 0.22 * tall, 0.08 + 0.26 * detail])


def bird_parts(points: Tensor, sizes: Tensor) -> Parts:
    """Body and head; tail; beak, legs and feet."""
    x, y, z = points
    chest, height, tail = sizes
    x = x.abs()
    body = to_cone(y, z, FRONT, REAR, x, (chest, 0.55 * chest))
    head = length(x, y - HEAD, z - height) - HEAD_SIZE
    feathers = to_cone(y, z, REAR, (REAR[0] + 0.10 + tail, REAR[1] + 0.3 * tail), beyond(x, 0.08), (0.05, 0.03))
    beak = to_cone(y, z, (HEAD - 0.14, height), (HEAD - 0.30, height - 0.03), x, (0.06, 0.012))
    legs = length(x - 0.10, y - 0.05, (z - 0.3).clamp_(min=0)) - 0.022
    feet = length(x - 0.10, beyond(y + 0.02, 0.07), z - 0.015) - 0.028
    return smooth_minimum(head, body, 0.16), feathers, torch.minimum(torch.minimum(beak, legs), feet)


def bird_bounds(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """To the end of the tail or the beak; the top of the head."""
    chest, height, tail = sizes
    return torch.maximum(REAR[0] + 0.14 + tail, chest + 0.24), height + HEAD_SIZE + 0.01


def bird_colours(points: Tensor, sizes: Tensor, distances: Parts, paint: Paint) -> Tensor:
    """A pale belly, wings (banded) and tail of the second colour, dark eyes with a glint."""
    x, y, z = points
    chest, height, _ = sizes
    x = x.abs()
    belly = (1.1 - length(0.8 * x, 0.75 * (y + 0.38), z - 0.30) / (0.8 * chest)).clamp_(0, 1)
    colour = mixed(paint.body, CREAM, 0.8 * belly)
    feathers = mixed(paint.part, CREAM, 0.7 * paint.stripes * bands(5.5 * (y + 0.4 * z)))
    along, across = y - 0.10 + 0.25 * (z - 0.45), z - 0.45 - 0.25 * (y - 0.10)
    wing = 0.13 * ((along / 0.26).square() + (across / 0.15).square() - 1)
    colour = mixed(colour, feathers, inside(torch.maximum(wing, 0.09 - x)))
    eye = length(x - 0.145, y - HEAD + 0.085, z - height - 0.045)
    colour = mixed(colour, EYE, inside(eye - 0.048))
    glint = length(x - 0.150, y - HEAD + 0.105, z - height - 0.068)
    colour = mixed(colour, (1.0, 1.0, 1.0), inside(glint - 0.018))
    return mixed(mixed(colour, feathers, nearest(distances, 1)), AMBER, nearest(distances, 2))


# --- a house --------------------------------------------------------------------------------------------------------


def house_sizes(tall: Tensor, wide: Tensor, detail: Tensor) -> Tensor:
    """Half its width, height of its walls, how much higher the ridge is."""
    return torch.stack([0.27 + 0.12 * wide, 0.36 + 0.24 * tall, 0.22 + 0.24 * detail])


def house_parts(points: Tensor, sizes: Tensor) -> Parts:
    """Walls; roof; chimney."""
    x, y, z = points
    width, walls, rise = sizes
    side, y_side, below = x.abs(), y.abs(), z - walls - rise  # the ridge is at below = 0
    slope = (width.square() + rise.square()).sqrt()
    under = (side * rise + below * width) / slope  # distance to the plane of the roof
    house = torch.maximum(torch.maximum(side - width, y_side - HOUSE_DEPTH), under)
    reach = slope * (1 + EAVES / width)  # from ridge to eaves
    down = ((side * width - below * rise) / slope).clamp_(min=0)
    place = torch.minimum(down, reach)
    roof = length(
        side - place * width / slope, below + place * rise / slope, (y_side - HOUSE_DEPTH - EAVES + 0.03).clamp_(min=0)
    )
    chimney = length(
        beyond(x - 0.55 * width, 0.05), beyond(y - 0.12, 0.05), beyond(z - walls - 0.5 * rise, 0.5 * rise + 0.07)
    )
    return house, roof - 0.035, chimney - 0.02


def house_bounds(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """To the corners of the roof; the top of the chimney."""
    width, walls, rise = sizes
    return length(width + EAVES + 0.04, torch.full_like(width, HOUSE_DEPTH + EAVES + 0.01)), walls + rise + 0.09


def house_colours(points: Tensor, sizes: Tensor, distances: Parts, paint: Paint) -> Tensor:
    """Planks, a door in front, windows in frames on each side, the roof in the second colour."""
    x, y, z = points
    width, walls, rise = sizes
    colour = mixed(paint.body, CREAM, 0.6 * paint.stripes * bands(6 * z))
    front, flank = inside(y + HOUSE_DEPTH - 0.03), inside(width - 0.03 - x.abs())
    behind = inside(HOUSE_DEPTH - 0.03 - y)
    panes = torch.maximum((y.abs() - 0.16).abs(), (z - 0.55 * walls).abs())
    window = torch.maximum(x.abs(), (z - 0.55 * walls).abs())
    attic = length(x, z - walls - 0.18 * rise)
    for pane, wall, half in (
        (panes, flank, 0.085),
        (window, behind, 0.10),
        (attic, torch.maximum(front, behind), 0.07),
    ):
        colour = mixed(colour, CREAM, wall * inside(pane - half))
        colour = mixed(colour, GLASS, wall * inside(pane - half + 0.028))
    door = torch.maximum(x.abs() - 0.085, z - 0.27)
    colour = mixed(colour, CREAM, front * inside(door - 0.028))
    colour = mixed(colour, paint.part * 0.85, front * inside(door))
    return mixed(mixed(colour, paint.part, nearest(distances, 1)), BRICK, nearest(distances, 2))


SOLIDS = {
    "mug": Solid(mug_sizes, mug_parts, mug_bounds, mug_colours),
    "chair": Solid(chair_sizes, chair_parts, chair_bounds, chair_colours),
    "bird": Solid(bird_sizes, bird_parts, bird_bounds, bird_colours),
    "house": Solid(house_sizes, house_parts, house_bounds, house_colours),
}
