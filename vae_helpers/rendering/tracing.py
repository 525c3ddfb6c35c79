"""Sphere tracing: where rays meet a solid that is known by its signed distance, and what light reaches a point.

The distance from a point to the nearest surface is how far a ray may go in any direction without missing something
(Hart 1996). A cone may go so far less its own radius: one cone stands for all rays in it, and only a cone that comes
near a surface is split. Rays of many pictures are traced at once; those that are through are left out after every few
steps. Distances must not grow faster than a point moves, |gradient| <= 1, or a ray could step through a surface.

World coordinates: x to the right, y away from who stands in front, z up; the floor is z = 0, and nothing reaches
beyond a cylinder about the z axis. Everything works on the device of what it is given. Arguments are not checked
here: `vae_helpers.rendering.shapes` checks what its callers give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]  # points (3, M), sizes of the solid at each (P, M) -> (M,)

STEPS = 2  # between two looks at which rays are through
CONE_ROUNDS, RAY_ROUNDS = 5, 100  # of so many steps, at most; few rays need more than ten
NEAR = 0.0007  # a surface so near is met; a thirtieth of a pixel at 64 pixels
SLOPE = 5e-3  # over which differences of distances give the normal
SHORTEST_STEP = 0.03  # towards the light
SHARPEST, SOFTENING, SOFTEST = 0.02, 0.09, 0.12  # half the width of a shadow's edge: at its object, growth, most


@dataclass
class Rays:
    """Rays from points in directions, each gone some way; M of them."""

    picture: Tensor  # (M,) which one each belongs to
    place: Tensor  # (2, M) where it passes the picture, each in [-1, 1]
    origin: Tensor  # (3, M)
    way: Tensor  # (3, M) of length one
    sizes: Tensor  # (P, M) of the solid that it may meet
    gone: Tensor  # (M,)

    def points(self) -> Tensor:
        """Where they are, (3, M)."""
        return torch.addcmul(self.origin, self.way, self.gone)

    def __getitem__(self, which: Tensor) -> Rays:
        """Some of them, by a boolean mask."""
        which = which.nonzero()[:, 0]
        return Rays(*(tensor.index_select(-1, which) for tensor in vars(self).values()))

    @staticmethod
    def together(several: list[Rays]) -> Rays:
        """All of them, one group after the other."""
        return Rays(
            *(torch.cat(tensors, -1) for tensors in zip(*(vars(rays).values() for rays in several), strict=True))
        )


def approach(rays: Rays, distance: Distance, cone: float, reach: float) -> Rays:
    """Those cones that come near a surface, gone as far as they may. Those that creep along one count as near.

    Args:
        cone: the radius of a cone at distance one from its origin.
        reach: how far to go at most.
    """
    arrived = []
    for _ in range(CONE_ROUNDS if cone else RAY_ROUNDS):
        for _ in range(STEPS):
            gap = distance(rays.points(), rays.sizes).sub_(rays.gone, alpha=cone)
            rays.gone = rays.gone + gap.clamp(min=0)
        met = gap < NEAR
        arrived.append(rays[met])
        rays = rays[~met & (rays.gone < reach)]
        if not len(rays.gone):
            break
    return Rays.together([*arrived, rays])


def normals(points: Tensor, sizes: Tensor, distance: Distance) -> Tensor:
    """The directions in which the distance grows, (3, M), by differences between the corners of a tetrahedron."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    slope = sum(corner[:, None] * distance(points + SLOPE * corner[:, None], sizes) for corner in corners)  # (3, M)
    return slope / slope.square().sum(0).sqrt_().clamp_(min=1e-9)


def light_reaching(rays: Rays, distance: Distance, radius: Tensor, top: Tensor) -> Tensor:
    """The share of a lamp's light that reaches the rays' origins, (M,): 0 in shadow, 1 in the open, soft between.

    A ray that passes a surface closer than half the width of the shadow's edge loses light in proportion; the width
    grows with the distance to what throws the shadow. (Quilez 2010 has the idea.)

    Args:
        rays: from surfaces to the lamp, upwards.
        radius, top: (M,), of the cylinder that the solid is in.
    """
    light = torch.ones_like(rays.gone)
    enter, leave = through_cylinder(rays, radius + SOFTEST, top + SOFTEST)
    rays.gone = enter
    which = (enter < leave).nonzero()[:, 0]
    rays, leave = rays[enter < leave], leave[which]
    share = torch.ones_like(rays.gone)
    while len(which):
        for _ in range(STEPS):
            gap = distance(rays.points(), rays.sizes)
            share = torch.minimum(share, gap / (SHARPEST + SOFTENING * rays.gone).clamp_(max=SOFTEST))
            rays.gone = rays.gone + gap.clamp_(min=SHORTEST_STEP)
        light[which] = share.clamp(min=0)
        go_on = (share > 0.01) & (rays.gone < leave)
        kept = go_on.nonzero()[:, 0]
        rays, share, leave, which = rays[go_on], share[kept], leave[kept], which[kept]
    return light.square() * (3 - 2 * light)


def through_cylinder(rays: Rays, radius: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays that rise enter and leave an upright cylinder about the z axis, (M,) each; enter >= leave: nowhere.

    Args:
        radius, top: (M,) of the cylinder, which begins at the floor or below.
    """
    x, y, z = rays.origin
    across, along, up = rays.way
    steepness = (across.square() + along.square()).clamp_(min=1e-9)
    middle = -(x * across + y * along) / steepness
    half = (middle.square() - (x.square() + y.square() - radius.square()) / steepness).clamp_(min=0).sqrt_()
    enter = (middle - half).clamp_(min=0)
    return enter, torch.minimum(middle + half, (top - z) / up)
