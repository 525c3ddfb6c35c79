"""What is true of pictures whatever is in them: levels, sizes, grids, checks, noise."""

import math

import pytest
import torch
from hypothesis import strategies as st

from tests.properties.ground import pictures, property_of, square, stored
from vae_helpers import images, noise


@property_of(x=stored(), levels=st.integers(2, 256))
def test_a_level_is_found_again_and_dequantised_within_its_bin(x, levels):
    level = x.long() * (levels - 1) // 255
    shown = (level * 255 / (levels - 1)).round().to(torch.uint8)
    assert torch.equal(images.levels_of(shown, levels), level)
    u = images.dequantise(shown, levels) * levels - level
    assert u.min() > -1e-4 and u.max() < 1 + 1e-4


@property_of(x=stored().map(square), size=st.integers(1, 20))
def test_enlarging_keeps_what_needs_no_change(x, size):
    assert torch.equal(images.enlarge(x, x.shape[-1]), x)
    flat = x[..., :1, :1].expand_as(x)
    assert torch.equal(images.enlarge(flat, size), x[..., :1, :1].expand(*x.shape[:2], size, size))


@property_of(x=pictures(), columns=st.none() | st.integers(1, 5), padding=st.integers(0, 3))
def test_a_grid_contains_every_picture(x, columns, padding):
    n, c, h, w = x.shape
    picture = torch.from_numpy(images.grid(x, columns, padding))
    columns = min(n, columns or math.isqrt(n - 1) + 1)
    for i, image in enumerate(x.float()):
        top, left = (i // columns) * (h + padding), (i % columns) * (w + padding)
        place = picture[top : top + h, left : left + w].permute(2, 0, 1)
        assert torch.equal(place, image.expand(max(c, 3), h, w))


@property_of(
    x=pictures(),
    place=st.integers(0, 10**6),
    bad=st.sampled_from([math.nan, math.inf, -0.1, 1.1]),
)
def test_one_bad_pixel_is_seen_wherever_it_is(x, place, bad):
    assert images.check_floats(x) is x and images.check_pictures(x) is x
    x = x.clone(memory_format=torch.contiguous_format)
    x.view(-1)[place % x.numel()] = bad
    for check in (images.check_floats, images.check_pictures):
        with pytest.raises(ValueError, match=r"^x .*(NaN|\[0, 1\])"):
            check(x)


@property_of(grey=st.floats(0, 1), slope=st.floats(-0.01, 0.01))
def test_no_noise_is_found_in_an_even_slope(grey, slope):
    y = grey + slope * torch.arange(9.0)[:, None] + torch.zeros(2, 1, 9, 8)
    assert noise.estimate_sigma(y).max() < 1e-6
