"""What is true of pictures whatever is in them: conversions, grids, augmentations, distances, noise, blocks."""

import math

import pytest
import torch
from hypothesis import assume
from hypothesis import strategies as st

from tests.properties.ground import layouts, pictures, property_of, square, stored
from vae_helpers import evaluation, images, noise, patches

KINDS = {
    "gaussian": lambda x, seed: noise.gaussian(x, 0.1, seed=seed),
    "poisson": lambda x, seed: noise.poisson(x, 30, seed=seed),
    "speckle": lambda x, seed: noise.speckle(x, 0.2, seed=seed),
    "stripes": lambda x, seed: noise.stripes(x, 0.1, seed=seed),
    "salt and pepper": lambda x, seed: 2 * noise.salt_and_pepper(x, 0.5, seed=seed) - 0.5,  # mean x / 2 + 1 / 4
    "missing blocks": lambda x, seed: 2 * noise.missing_blocks(x, 0.5, 2, seed=seed).pictures,  # mean x / 2
}


@property_of("images.to_float", "images.to_uint8", x=stored())
def test_there_and_back_again(x):
    assert torch.equal(images.to_uint8(images.to_float(x)), x)


@property_of("images.levels_of", "images.dequantise", x=stored(), levels=st.integers(2, 256))
def test_a_level_is_found_again_and_dequantised_within_its_bin(x, levels):
    level = x.long() * (levels - 1) // 255
    shown = (level * 255 / (levels - 1)).round().to(torch.uint8)
    assert torch.equal(images.levels_of(shown, levels), level)
    u = images.dequantise(shown, levels) * levels - level
    assert u.min() > -1e-4 and u.max() < 1 + 1e-4


@property_of("images.binarise", x=stored())
def test_black_and_white_pixels_are_kept_by_binarising(x):
    drawn = images.binarise(x)
    assert not drawn[x == 0].any() and drawn[x == 255].all()


@property_of("images.enlarge", x=stored().map(square), size=st.integers(1, 20))
def test_enlarging_keeps_what_needs_no_change(x, size):
    assert torch.equal(images.enlarge(x, x.shape[-1]), x)
    flat = x[..., :1, :1].expand_as(x)
    assert torch.equal(images.enlarge(flat, size), x[..., :1, :1].expand(*x.shape[:2], size, size))


@property_of("images.random_shift", x=pictures(), pixels=st.integers(0, 9))
def test_a_shifted_picture_has_no_new_pixels(x, pixels):
    moved = images.random_shift(x, pixels)
    assert torch.equal(images.random_shift(x, 0), x)
    for before, after in zip(x.flatten(1), moved.flatten(1), strict=True):
        assert torch.isin(after.double(), before.double()).all()


@property_of("images.random_turn", x=pictures().map(square))
def test_a_turned_picture_has_the_same_pixels(x):
    turned = images.random_turn(x)
    assert torch.equal(turned.flatten(2).double().sort().values, x.flatten(2).double().sort().values)


@property_of("images.grid", x=pictures(), columns=st.none() | st.integers(1, 5), padding=st.integers(0, 3))
def test_a_grid_contains_every_picture(x, columns, padding):
    n, c, h, w = x.shape
    picture = torch.from_numpy(images.grid(x, columns, padding))
    columns = min(n, columns or math.isqrt(n - 1) + 1)
    for i, image in enumerate(x.float()):
        top, left = (i // columns) * (h + padding), (i % columns) * (w + padding)
        place = picture[top : top + h, left : left + w].permute(2, 0, 1)
        assert torch.equal(place, image.expand(max(c, 3), h, w))


@property_of("images.check_images", x=stored(), layout=layouts())
def test_a_check_returns_its_argument(x, layout):
    x = layout(x)
    assert images.check_images(x) is x


@property_of(
    "images.check_floats",
    "images.check_pictures",
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


@property_of("evaluation.psnr", x=pictures(), seed=st.integers(0, 9))
def test_psnr_is_symmetric_and_infinite_for_equal_pictures_only(x, seed):
    y = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)).to(x.dtype)
    assert torch.equal(evaluation.psnr(x, y), evaluation.psnr(y, x))
    assert evaluation.psnr(x, x).eq(math.inf).all()
    different = (x != y).flatten(1).any(1)
    assert torch.equal(evaluation.psnr(x, y).isfinite(), different)


@property_of("evaluation.ssim", x=pictures(sides=(11, 13)), y=pictures(sides=(11, 13)))
def test_ssim_is_symmetric_and_one_for_equal_pictures(x, y):
    assert torch.allclose(evaluation.ssim(x, x), torch.ones(len(x)), atol=1e-6)
    assume(x.shape == y.shape and x.dtype == y.dtype)
    assert torch.allclose(evaluation.ssim(x, y), evaluation.ssim(y, x), atol=1e-6)


@property_of(
    "noise.gaussian",
    "noise.poisson",
    "noise.speckle",
    "noise.stripes",
    "noise.salt_and_pepper",
    "noise.missing_blocks",
    "noise.MissingBlocks",
    x=pictures(sides=(2, 7)),
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_seed_gives_the_same_noise_however_pictures_are_held_and_leaves_torch_alone(x, kind, seed):
    before = torch.random.get_rng_state()
    noisy = KINDS[kind](x, seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(KINDS[kind](x.contiguous(), seed), noisy)
    assert noisy.shape == x.shape and noisy.dtype == x.dtype and noisy.isfinite().all()


@property_of(
    "noise.gaussian", few=6, many=40, grey=st.floats(0, 1), kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 99)
)
def test_noise_is_unbiased(grey, kind, seed):
    x = torch.full((40, 1, 50, 50), grey)
    error = (KINDS[kind](x, seed) - x).double().mean((1, 2, 3))
    assert abs(error.mean()) <= 6 * error.std() / math.sqrt(len(error)) + 1e-6


@property_of("noise.estimate_sigma", grey=st.floats(0, 1), slope=st.floats(-0.01, 0.01))
def test_no_noise_is_found_in_an_even_slope(grey, slope):
    y = grey + slope * torch.arange(9.0)[:, None] + torch.zeros(2, 1, 9, 8)
    assert noise.estimate_sigma(y).max() < 1e-6


@property_of(
    "patches.blockwise",
    "patches.window",
    x=pictures(sides=(1, 12), dtypes=(torch.float32, torch.float64)),
    size=st.integers(1, 12),
    data=st.data(),
)
def test_blocks_that_are_left_alone_make_the_same_picture(x, size, data):
    size = min(size, *x.shape[2:])
    stride = data.draw(st.integers(1, size))
    same = patches.blockwise(torch.clone, x, size, stride, batch_size=data.draw(st.integers(1, 30)))
    torch.testing.assert_close(same, x, rtol=1e-5, atol=1e-6)


@property_of("patches.window", half=st.integers(1, 20))
def test_windows_shifted_by_half_a_block_sum_to_one(half):
    w = patches.window(2 * half)
    total = w[:half, :half] + w[half:, :half] + w[:half, half:] + w[half:, half:]
    assert torch.allclose(total, torch.ones(half, half), atol=1e-6)
