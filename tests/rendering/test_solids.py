"""Distances to solids against known lengths and brute force; tracing rests on their never being too long."""

import pytest
import torch

from vae_helpers.rendering import solids
from vae_helpers.rendering.solids import SOLIDS, beyond, length, to_cone

KINDS = tuple(SOLIDS)


def draws(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def somewhere(kind, m, seed=0):
    """Points around solids of all sizes, (3, m), and the sizes, (P, m)."""
    points = 1.6 * draws(3, m, seed=seed) - 0.8
    points[2] += 0.8
    return points, SOLIDS[kind].sizes(*draws(3, m, seed=seed + 1))


def one(kind, tall=0.5, wide=0.5, detail=0.5):
    """The sizes of one solid, (P, 1)."""
    return SOLIDS[kind].sizes(*(torch.tensor([value], dtype=torch.float64) for value in (tall, wide, detail)))


def distance(kind, sizes, *point):
    return SOLIDS[kind].distance(torch.tensor(point, dtype=torch.float64)[:, None], sizes).item()


@pytest.mark.parametrize("kind", KINDS)
def test_distances_grow_no_faster_than_points_move(kind):
    points, sizes = somewhere(kind, 200_000)
    points.requires_grad_()
    found = SOLIDS[kind].distance(points, sizes)
    (slope,) = torch.autograd.grad(found.sum(), points)
    steepness = slope.square().sum(0).sqrt()
    assert steepness.max() < 1 + 1e-6
    assert steepness[found > 0].min() > 0.25  # or tracing would crawl
    assert (found < 0).any() and (found > 0.3).any()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_nearer_than_the_distance(kind):
    points, sizes = somewhere(kind, 3000, seed=5)
    found = SOLIDS[kind].distance(points, sizes).clamp(min=0)
    for trial in range(60):
        step = torch.randn(3, 3000, generator=torch.Generator().manual_seed(trial), dtype=torch.float64)
        step = step / step.square().sum(0).sqrt() * found * draws(3000, seed=trial) ** (1 / 3)
        assert SOLIDS[kind].distance(points + step, sizes)[found > 0].min() > -1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_a_solid_is_within_its_cylinder_and_fills_most_of_it(kind):
    points, sizes = somewhere(kind, 400_000, seed=9)
    inside = (SOLIDS[kind].distance(points, sizes) < 0) & (points[2] > 0)
    radius, top = SOLIDS[kind].bounds(sizes)
    share_out, share_up = length(points[0], points[1])[inside] / radius[inside], (points[2] / top)[inside]
    assert 0.85 < share_out.max() < 1 and 0.97 < share_up.max() < 1


def test_a_mug_has_its_sizes():
    sizes = one("mug")
    radius, height, ring = sizes[:, 0].tolist()
    assert distance("mug", sizes, radius, 0, height + 0.5) == pytest.approx(0.5)
    assert distance("mug", sizes, -radius - 0.5, 0, height / 2) == pytest.approx(0.5 - solids.WALL)
    assert distance("mug", sizes, -radius + 0.1, 0, height / 2) == pytest.approx(0.1 - solids.WALL)  # from inside
    assert distance("mug", sizes, 0, 0, 0.05 + 0.11) == pytest.approx(0.11 - solids.WALL)  # above its bottom
    assert distance("mug", sizes, 0, 0, height + 1) == pytest.approx((1.03**2 + radius**2) ** 0.5 - solids.WALL)
    handle = radius + ring + solids.TUBE
    assert distance("mug", sizes, handle + 0.2, 0, height / 2) == pytest.approx(0.2)
    assert distance("mug", sizes, radius + ring / 2, 0, height / 2) > 0.02  # a finger goes through
    assert distance("mug", sizes, radius - ring, 0, height / 2) > 0.03  # the handle ends at the wall
    larger = one("mug", detail=1.0)
    assert larger[2] > ring and torch.equal(larger[:2], sizes[:2])


def test_a_chair_has_a_seat_four_legs_and_a_back():
    sizes = one("chair")
    width, height, back = sizes[:, 0].tolist()
    assert distance("chair", sizes, 0, -0.1, height + 0.1) == pytest.approx(0.1)
    assert distance("chair", sizes, 0, 0, height - 0.08 - 0.1) == pytest.approx(0.1)
    for x in (-1, 1):
        for y in (-1, 1):
            foot = (x * (width - 0.07 + solids.SPLAY * height), y * (solids.DEPTH - 0.07 + solids.SPLAY * height), 0)
            assert distance("chair", sizes, *foot) == pytest.approx(-0.91 * 0.036)
    assert distance("chair", sizes, 0, 0, 0.05) > 0.2  # nothing in the middle
    behind = solids.DEPTH - 0.05 + solids.LEAN * back
    assert distance("chair", sizes, 0, behind - solids.LEAN * 0.04, height + back - 0.04) < -0.03
    assert distance("chair", sizes, 0, behind, height + back + 0.2) > 0.17
    assert distance("chair", sizes, 0, solids.DEPTH - 0.04, height + 0.16 * back) > 0.01  # light between seat and back


def test_a_bird_has_a_head_a_tail_and_a_beak_in_front():
    sizes = one("bird")
    chest, height, tail = sizes[:, 0].tolist()
    assert distance("bird", sizes, 0, solids.HEAD, height + solids.HEAD_SIZE + 0.5) == pytest.approx(0.5)
    beak = solids.HEAD - 0.30
    assert distance("bird", sizes, 0, beak, height - 0.03) == pytest.approx(-0.012, abs=1e-3)
    assert distance("bird", sizes, 0, beak - 0.2, height - 0.03) == pytest.approx(0.2 - 0.012, abs=0.01)
    assert distance("bird", sizes, -chest - 0.3, *solids.FRONT) < 0.3 + 1e-6
    end = (solids.REAR[0] + 0.10 + tail, solids.REAR[1] + 0.3 * tail)
    parts = SOLIDS["bird"].parts(torch.tensor([0, *end], dtype=torch.float64)[:, None], sizes)
    assert parts[1] < -0.02 and parts[0] > 0 and parts[2] > 0  # the tail alone
    for side in (-0.10, 0.10):
        assert distance("bird", sizes, side, 0.05, 0.15) == pytest.approx(-0.022)


def test_a_house_has_walls_a_roof_that_reaches_over_them_and_a_chimney():
    sizes = one("house")
    width, walls, rise = sizes[:, 0].tolist()
    assert distance("house", sizes, 0, -solids.HOUSE_DEPTH - 0.05, 0.1) == pytest.approx(0.05)
    assert distance("house", sizes, width + 0.1, 0, 0.1) == pytest.approx(0.1)
    assert distance("house", sizes, 0, 0, walls + rise + 0.5) == pytest.approx(0.5 - 0.035, abs=0.2)
    top = walls + rise + 0.09
    assert distance("house", sizes, 0.55 * width, 0.12, top + 0.5) == pytest.approx(0.5)
    eaves = (width + solids.EAVES, 0, walls - rise * solids.EAVES / width)
    assert distance("house", sizes, *eaves) == pytest.approx(-0.035)
    ridge = (0, solids.HOUSE_DEPTH + solids.EAVES - 0.03, walls + rise)
    assert distance("house", sizes, *ridge) == pytest.approx(-0.035)
    half_way = SOLIDS["house"].parts(torch.tensor([[width / 2], [0], [walls + rise / 2]], dtype=torch.float64), sizes)
    assert half_way[1].item() == pytest.approx(-0.035)  # in the middle of the roof's slab


def test_a_segment_of_one_thickness_is_a_capsule():
    y, z, x = 2 * draws(3, 500) - 1
    start, end = (-0.3, 0.2), (0.5, 0.6)
    along = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None]
    exact = length(y - start[0] - along * 0.8, z - start[1] - along * 0.4, x.expand(4001, -1)).amin(0) - 0.1
    assert (to_cone(y, z, start, end, x, (0.1, 0.1)) - exact).abs().max() < 1e-6


def test_a_thinning_segment_has_its_radius_at_each_place():
    place = torch.linspace(0, 1, 11, dtype=torch.float64)
    radius = 0.3 - 0.2 * place
    y, z = 0.8 * place, 0 * place
    on_it = to_cone(y, radius, (0.0, 0.0), (0.8, 0.0), z, (0.3, 0.1))
    assert on_it.abs().max() < 1e-9
    assert (to_cone(y, radius + 0.2, (0.0, 0.0), (0.8, 0.0), z, (0.3, 0.1)) <= 0.2).all()


def test_what_is_beyond_an_interval():
    x = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.5])
    assert beyond(x, 1.0).tolist() == [1.0, 0.0, 0.0, 0.0, 0.5]


def test_bands_are_half_and_half_and_patches_have_soft_edges():
    turns = torch.linspace(0, 3, 3001)
    share = solids.bands(turns)
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert ((share == 0) | (share == 1)).float().mean() > 0.8
    assert solids.bands(torch.tensor([0.25, 0.75])).tolist() == [1, 0]
    assert solids.inside(torch.tensor([-0.1, 0.0, 0.1])).tolist() == [1, 0.5, 0]


def test_the_nearest_part_and_no_other_has_its_colour():
    distances = (torch.tensor([0.0, 0.2, -0.1]), torch.tensor([0.3, 0.1, 0.5]))
    assert solids.nearest(distances, 0).tolist() == [1, 0, 1] and solids.nearest(distances, 1).tolist() == [0, 1, 0]
    colour = solids.mixed(torch.zeros(3, 2), (1.0, 0.5, 0.25), torch.tensor([0.0, 1.0]))
    assert colour.T.tolist() == [[0, 0, 0], [1, 0.5, 0.25]]
