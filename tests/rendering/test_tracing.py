"""Rays, cones and shadows against spheres and planes, where the truth is known in closed form."""

import pytest
import torch

from vae_helpers.rendering import tracing
from vae_helpers.rendering.solids import length
from vae_helpers.rendering.tracing import Rays, approach, light_reaching, normals, through_cylinder

RADIUS = 0.5


def ball(points, sizes):
    """A ball about (0, 0, 1) with the radius in `sizes`."""
    return length(points[0], points[1], points[2] - 1) - sizes[0]


def rays(origin, way, radius=RADIUS):
    m = way.shape[1]
    way = way / way.square().sum(0).sqrt()
    origin = torch.tensor(origin)[:, None].expand(3, m) if not isinstance(origin, torch.Tensor) else origin
    return Rays(torch.arange(m), torch.zeros(2, m), origin, way, torch.full((1, m), radius), torch.zeros(m))


def fan(n=60, spread=0.3):
    """Rays from (0, -4, 1) around the ball."""
    line = torch.linspace(-spread, spread, n)
    return rays((0.0, -4.0, 1.0), torch.stack([line.repeat(n), torch.ones(n * n), line.repeat_interleave(n)]))


def to_ball(fan):
    """How far it is to the ball along each ray; infinite where it passes by."""
    towards = 4 * fan.way[1]  # the place nearest to the ball's centre
    squared = RADIUS**2 - (16 - towards.square())
    return torch.where(squared > 0, towards - squared.clamp(min=0).sqrt(), torch.inf)


def test_rays_stop_where_they_meet_a_ball_and_the_others_are_left_out():
    start = fan()
    true = to_ball(start)
    met = approach(start, ball, 0.0, 6.0)
    assert (met.gone - true[met.picture])[true[met.picture].isfinite()].abs().max() < 0.03  # where they graze it
    assert ball(met.points(), met.sizes).abs().max() < 1.1 * tracing.NEAR
    assert (met.gone - true[met.picture]).abs().median() < tracing.NEAR
    missed = torch.ones(len(true), dtype=torch.bool)
    missed[met.picture] = False
    assert true[missed].isinf().all()
    assert true[met.picture].isinf().float().mean() < 0.01  # within NEAR of the ball


def test_a_cone_that_is_left_out_holds_no_ray_that_meets_and_none_goes_too_far():
    n, side = 12, 0.3 / 12  # half the side of a cell at distance one
    centres = (torch.arange(n) + 0.5) * 2 * side - 0.3
    ones = torch.ones(n * n)
    cones = rays((0.0, -4.0, 1.0), torch.stack([centres.repeat(n), ones, centres.repeat_interleave(n)]))
    near = approach(cones, ball, side * 2**0.5, 6.0)
    gone = torch.full((n * n,), torch.inf)
    gone[near.picture] = near.gone
    thin = fan(600)
    column, row = (((thin.way[i] / thin.way[1] + 0.3) / (2 * side)).floor().clamp(0, n - 1).long() for i in (0, 2))
    assert (gone[row * n + column] <= to_ball(thin)).all()
    assert 0.2 < gone.isfinite().float().mean() < 0.7  # some are left out
    assert near.gone.min() > 3.2  # and the others have come near: the ball begins at 3.5


def test_the_order_and_the_company_of_rays_do_not_matter():
    together = approach(fan(), ball, 0.0, 6.0)
    some = fan()[torch.arange(3600) % 7 == 0]
    alone = approach(some, ball, 0.0, 6.0)
    gone = dict(zip(together.picture.tolist(), together.gone.tolist(), strict=True))
    assert all(gone[i] == far for i, far in zip(alone.picture.tolist(), alone.gone.tolist(), strict=True))


def test_normals_of_a_ball_point_from_its_centre():
    way = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    way = way / way.square().sum(0).sqrt()
    centre = torch.tensor([0.0, 0.0, 1.0])[:, None]
    assert (normals(centre + RADIUS * way, torch.full((1, 200), RADIUS), ball) - way).abs().max() < 0.006


def shadow(x, tilt=0.0, radius=0.6, top=1.6):
    """The light that reaches the floor at (x, 0, 0) from above, the ball between."""
    points = torch.stack([x, torch.zeros_like(x), torch.zeros_like(x)])
    way = torch.tensor([tilt, 0.0, 1.0])[:, None].expand(3, len(x))
    m = len(x)
    return light_reaching(rays(points, way), ball, torch.full((m,), radius), torch.full((m,), top))


def test_a_ball_throws_a_round_shadow_with_a_soft_edge():
    x = torch.linspace(0, 1.2, 241)
    light = shadow(x)
    assert (light[x < RADIUS - 0.02] < 1e-3).all() and (light[x > RADIUS + 0.12] == 1).all()
    edge = light[(x > RADIUS) & (x < RADIUS + 0.11)]
    assert (edge.diff() >= -1e-6).all() and 0 < edge[1] < 0.2 and edge[-1] > 0.8
    slanted = shadow(torch.linspace(-2.2, 0, 221), tilt=1.0)  # from the right: the shadow lies to the left, at x = -1
    dark = torch.linspace(-2.2, 0, 221)[slanted < 0.5]
    assert (dark.min() + dark.max()) / 2 == pytest.approx(-1, abs=0.02)
    assert dark.max() - dark.min() == pytest.approx(2 * RADIUS * 2**0.5, abs=0.2)


def test_the_edge_of_a_shadow_is_sharper_near_what_throws_it():
    def width(height):
        x = torch.linspace(0, 1.2, 1201)
        points = torch.stack([x, torch.zeros_like(x), torch.full_like(x, 1 - height)])
        up = torch.tensor([0.0, 0.0, 1.0])[:, None].expand(3, 1201)
        light = light_reaching(rays(points, up), ball, torch.full((1201,), 0.6), torch.full((1201,), 1.6))
        return ((light > 0.02) & (light < 0.98)).float().mean()

    assert width(0.2) < 0.6 * width(1.0)


def test_a_wider_cylinder_changes_no_shadow():
    x = torch.linspace(-1.5, 1.5, 301)
    for tilt in (0.0, 0.7):
        assert (shadow(x, tilt) - shadow(x, tilt, radius=3.0, top=3.0)).abs().max() < 0.15
        assert (shadow(x, tilt) - shadow(x, tilt, radius=3.0, top=3.0)).abs().mean() < 0.01


def test_where_rays_enter_and_leave_a_cylinder():
    generator = torch.Generator().manual_seed(1)
    origin, way = (torch.rand(3, 400, generator=generator) * 2 - 1 for _ in range(2))
    origin[2], way[2] = origin[2].abs(), way[2].abs() + 0.1
    some = rays(origin, way)
    enter, leave = through_cylinder(some, torch.full((400,), 0.6), torch.full((400,), 0.9))
    steps = torch.linspace(0, 6, 6001)
    points = some.origin[:, :, None] + some.way[:, :, None] * steps
    inside = (length(points[0], points[1]) < 0.6) & (points[2] < 0.9)
    for i in range(400):
        if inside[i].sum() < 5:
            assert not enter[i] < leave[i] - 0.006
        else:
            found = steps[inside[i]]
            assert enter[i].item() == pytest.approx(found[0].item(), abs=0.002)
            assert leave[i].item() == pytest.approx(found[-1].item(), abs=0.002)
