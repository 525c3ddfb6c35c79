"""Shapes, edges and layers against their definitions."""

import math

import pytest
import torch

from vae_helpers.rendering import drawing
from vae_helpers.rendering.drawing import Layer, along, blob, centres, cover_, ellipse, smooth_minimum, to_edge, wave


def plane(size=64):
    """Coordinates of the pixels' centres, (1, 1, size) and (1, size, 1)."""
    line = centres(size, torch.zeros(()))
    return line[None, None, :], line[None, :, None]


def test_centres_are_half_a_pixel_from_the_border_and_two_over_size_apart():
    line = centres(8, torch.zeros((), dtype=torch.float64))
    assert line.dtype == torch.float64
    assert line.tolist() == [-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.7, 0.4)])
def test_a_covered_ellipse_has_its_area_and_its_edge_its_slope(a, b):
    x, y = plane(256)
    distance = ellipse(x, y, a, b)
    inside = cover_(distance.clone(), 256)
    assert inside.mean().item() * 4 == pytest.approx(math.pi * a * b, rel=0.002)
    assert torch.equal(inside > 0.5, (x / a) ** 2 + (y / b) ** 2 < 1)
    if a == b:  # the mean radius is then the radius: a length, to first order
        near = (distance.abs() < 0.02).nonzero(as_tuple=True)
        exact = ((x**2 + y**2).sqrt() - a)[near]
        assert (distance[near] - exact).abs().max() < 0.02**2 / a
    assert torch.allclose(ellipse(x, y, a, b, scale=1.0) * (a * b) ** 0.5, distance, atol=1e-6)


def test_the_distance_to_an_edge_is_a_length_whatever_the_slope_of_what_it_is_given():
    x, y = plane(64)
    steep = 3 * (0.6 * x + 0.8 * y - 0.1).expand(2, -1, -1)  # a straight edge; three times the distance to it
    assert torch.allclose(to_edge(steep, 64), steep.abs() / 3, atol=1e-5)


def test_a_smooth_union_is_the_union_but_near_the_corner_where_it_is_more():
    a, b = torch.meshgrid(torch.linspace(-1, 1, 41), torch.linspace(-1, 1, 41), indexing="ij")
    union, smooth = torch.minimum(a, b), smooth_minimum(a, b, 0.2)
    far = (a - b).abs() >= 0.2
    assert torch.allclose(smooth[far], union[far], atol=1e-6)
    assert (smooth <= union + 1e-6).all()
    assert (union - smooth)[a == b].sub(0.05).abs().max() < 1e-6  # a quarter of the width, at most


def test_a_blob_is_one_in_the_middle_and_nothing_beyond_its_half_axes():
    x, y = torch.tensor([0.0, 0.3, 0.0, 0.15, 1.0]), torch.tensor([0.0, 0.0, 0.2, 0.0, 1.0])
    assert torch.allclose(blob(x, y, 0.3, 0.2), torch.tensor([1.0, 0.0, 0.0, 0.5625, 0.0]), atol=1e-6)


def test_a_wave_is_nearly_a_sine():
    turns = torch.linspace(-2, 2, 401)
    assert (wave(turns) - torch.sin(2 * math.pi * turns)).abs().max() < 0.06
    assert torch.allclose(wave(torch.tensor([0.0, 0.25, 0.5, 0.75])).abs(), torch.tensor([0.0, 1.0, 0.0, 1.0]))


def test_colours_follow_their_path():
    path = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0))
    found = along(path, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    wanted = [[0, 0, 1], [0.5, 0, 0.5], [1, 0, 0], [1, 0.5, 0], [1, 1, 0]]
    assert torch.allclose(found, torch.tensor(wanted))


def layers(n=2, size=8):
    """A background, and over it a half-covered upper half and an opaque square."""
    everywhere, upper = (slice(0, size), slice(0, size)), (slice(0, size // 2), slice(0, size))
    square = (slice(2, 5), slice(3, 6))
    colours = torch.rand(3, n, 3, generator=torch.Generator().manual_seed(0))
    return [
        Layer("back", colours[0], torch.ones(n, size, size), everywhere),
        Layer("middle", colours[1], torch.full((n, size // 2, size), 0.5), upper),
        Layer("front", colours[2], torch.ones(n, 3, 3), square),
    ]


def test_what_is_seen_sums_to_one_and_paints_as_layer_over_layer():
    stack = layers()
    shares = drawing.seen(stack, 8)
    assert shares.shape == (2, 3, 8, 8) and torch.equal(shares.sum(1), torch.ones(2, 8, 8))
    assert (shares[:, 2, 2:5, 3:6] == 1).all() and shares[:, 2].sum() == 2 * 9
    assert (shares[:, 1, :2] == 0.5).all() and (shares[:, 1, 2:4, 3:6] == 0).all()
    canvas = torch.zeros(2, 3, 8, 8)
    for layer in stack:
        cover = torch.zeros(2, 1, 8, 8)
        cover[..., *layer.window] = layer.coverage[:, None]
        canvas = torch.lerp(canvas, layer.colour[:, :, None, None], cover)
    assert torch.allclose(drawing.painted(stack, shares), canvas, atol=1e-6)


@pytest.mark.parametrize("size", [64, 100, 128])
def test_tiles_are_even_and_keep_the_mean(size):
    picture = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    tile = max(2, size // 32)
    even = drawing.tiles(picture, laid=False)
    assert even.shape == picture.shape
    assert torch.equal(even[..., 0, 0], even[..., tile - 1, tile - 1])
    assert torch.allclose(even[..., 0, 0], picture[..., :tile, :tile].mean((2, 3)), atol=1e-6)
    laid = drawing.tiles(picture, laid=True)
    ratio = (laid / even)[..., 0, 0]
    assert ratio.min() >= 0.93 and ratio.max() <= 1.05


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_drawn_in_order_however_many_at_a_time(threads, monkeypatch):
    monkeypatch.setattr(drawing, "PIXELS_AT_A_TIME", {"cpu": 3 * 32**2})
    rows, before, counts = torch.arange(10.0)[:, None], torch.get_num_threads(), []
    try:
        torch.set_num_threads(threads)
        drawn = drawing.in_chunks(lambda chunk: counts.append(len(chunk)) or 2 * chunk, rows, 32)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.cat(drawn), 2 * rows) and sorted(counts) == [1, 3, 3, 3]
