"""Each kind of noise has the mean, variance and (in)dependence that its formula says, and nothing is clipped."""

import math

import pytest
import torch

from vae_helpers import noise

GREYS = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
KINDS = {
    "gaussian": lambda x, **how: noise.gaussian(x, 0.3, **how),
    "poisson": lambda x, **how: noise.poisson(x, 12, **how),
    "salt_and_pepper": lambda x, **how: noise.salt_and_pepper(x, 0.2, **how),
    "speckle": lambda x, **how: noise.speckle(x, 0.4, **how),
    "missing_blocks": lambda x, **how: noise.missing_blocks(x, 0.25, 2, 0.7, **how).pictures,
    "horizontal stripes": lambda x, **how: noise.stripes(x, 0.2, **how),
    "vertical stripes": lambda x, **how: noise.stripes(x, 0.2, "vertical", **how),
}
MEANS = {
    "salt_and_pepper": lambda x: 0.8 * x + 0.2 * 0.5,
    "missing_blocks": lambda x: 0.75 * x + 0.25 * 0.7,
}
VARIANCES = {
    "gaussian": lambda x: 0.09 + 0 * x,
    "poisson": lambda x: x / 12,
    "salt_and_pepper": lambda x: 0.8 * x**2 + 0.1 - (0.8 * x + 0.1) ** 2,
    "speckle": lambda x: 0.16 * x**2,
    "missing_blocks": lambda x: 0.25 * 0.75 * (x - 0.7) ** 2,
    "horizontal stripes": lambda x: 0.04 + 0 * x,
    "vertical stripes": lambda x: 0.04 + 0 * x,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def flat(grey=0.5, n=1, channels=1, height=8, width=8):
    return torch.full((n, channels, height, width), grey)


def correlation(a, b):
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


@each_kind
def test_mean_and_variance_are_those_of_theory_at_each_grey_value(kind):
    for grey in GREYS.tolist():
        y = KINDS[kind](flat(grey, n=4000), seed=3).double()
        draws = 4000 * (8 if "stripes" in kind else 16 if kind == "missing_blocks" else 64)  # independent ones
        mean, variance = MEANS.get(kind, lambda x: x)(grey), VARIANCES[kind](grey)
        assert abs(y.mean().item() - mean) <= 5 * math.sqrt(variance / draws) + 1e-6
        fourth = (y - y.mean()).pow(4).mean().item()  # the variance of an estimated variance, to first order
        tolerance = 5 * math.sqrt(max(fourth - variance**2, 0) / draws) + 1e-6
        assert abs(y.var().item() - variance) <= tolerance


@each_kind
def test_a_seed_repeats_the_noise_and_leaves_torchs_random_state_alone(kind):
    x = flat(n=2, height=9, width=7)
    before = torch.get_rng_state()
    first, second, other = KINDS[kind](x, seed=0), KINDS[kind](x, seed=0), KINDS[kind](x, seed=1)
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@each_kind
def test_without_a_seed_the_noise_is_fresh_and_follows_torchs_seed(kind):
    x = flat(n=3)
    torch.manual_seed(5)
    first, second = KINDS[kind](x), KINDS[kind](x)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(KINDS[kind](x), first)


@each_kind
def test_shape_and_type_stay_and_the_input_is_untouched(kind):
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = torch.rand(2, 3, 6, 11).to(dtype)
        kept = x.clone()
        y = KINDS[kind](x, seed=1)
        assert y.shape == x.shape and y.dtype == dtype and torch.equal(x, kept)
    assert torch.allclose(KINDS[kind](x.double(), seed=1), KINDS[kind](x.float(), seed=1).double(), atol=1e-5)


@each_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_only_the_result_is_rounded(kind, dtype):
    x = torch.rand(2, 3, 20, 20).to(dtype)
    assert torch.equal(KINDS[kind](x, seed=1), KINDS[kind](x.float(), seed=1).to(dtype))


@each_kind
def test_clipping_is_asked_for_and_is_the_only_change(kind):
    x = torch.rand(20, 1, 16, 16)
    noisy, clipped = KINDS[kind](x, seed=2), KINDS[kind](x, seed=2, clip=True)
    assert torch.equal(clipped, noisy.clamp(0, 1))
    if kind not in ("salt_and_pepper", "missing_blocks", "poisson"):
        assert noisy.min() < 0
    if kind not in ("salt_and_pepper", "missing_blocks"):
        assert noisy.max() > 1


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "speckle"])
def test_pixels_channels_and_pictures_are_independent(kind):
    e = KINDS[kind](flat(n=40, channels=2, height=50, width=50), seed=4) - 0.5
    limit = 5 / math.sqrt(40 * 2 * 49 * 50)
    assert abs(correlation(e[..., 1:, :], e[..., :-1, :])) < limit
    assert abs(correlation(e[..., 1:], e[..., :-1])) < limit
    assert abs(correlation(e[:, 0], e[:, 1])) < 1.5 * limit
    assert abs(correlation(e[1:], e[:-1])) < limit


def test_salt_and_pepper_takes_whole_pixels_independently():
    y = noise.salt_and_pepper(flat(n=40, channels=3, height=50, width=50), 0.3, seed=0)
    assert set(y.unique().tolist()) == {0.0, 0.5, 1.0}
    assert (y == y[:, :1]).all()  # all channels of a pixel share its fate
    lost = (y[:, 0] != 0.5).float()
    assert abs(correlation(lost[:, 1:], lost[:, :-1])) < 0.02 and abs(correlation(lost[1:], lost[:-1])) < 0.02
    x = torch.rand(5, 1, 9, 9)
    assert torch.equal(noise.salt_and_pepper(x, 0), x)
    assert set(noise.salt_and_pepper(x, 1).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_stripes_are_constant_along_and_independent_across(direction):
    e = noise.stripes(flat(n=500, channels=3, height=20, width=30), 0.1, direction, seed=1) - 0.5
    along, across = (-1, -2) if direction == "horizontal" else (-2, -1)
    first = e.select(along, 0).unsqueeze(along)
    assert torch.allclose(e, first.expand_as(e)) and torch.allclose(e, e[:, :1].expand_as(e))
    line = e.select(along, 0)[:, 0]  # (N, lines), for across is what remains
    assert line.shape[1] == e.shape[across]
    assert abs(correlation(line[:, 1:], line[:, :-1])) < 0.06 and abs(correlation(line[1:], line[:-1])) < 0.06


def test_missing_blocks_tells_where_they_are_and_they_are_squares_laid_at_random():
    x = 0.1 + 0.8 * torch.rand(300, 3, 30, 42)
    y, missing = noise.missing_blocks(x, 0.2, size=6, fill=1.0, seed=0)
    assert missing.shape == (300, 1, 30, 42) and missing.dtype == torch.bool
    assert torch.equal(y == 1, missing.expand_as(y)) and torch.equal(y[~missing.expand_as(y)], x[~missing.expand_as(x)])
    for hole in missing[:40, 0]:  # changes happen every six pixels only, at an offset of the picture's own
        for axis in (0, 1):
            edges = (hole.diff(dim=axis).any(1 - axis)).nonzero().flatten()
            assert len({edge % 6 for edge in edges.tolist()}) <= 1
    offsets = [m[0].diff(dim=0).any(1).nonzero().flatten() % 6 for m in missing]
    assert {o[0].item() for o in offsets if len(o)} == set(range(6))
    each = missing.float().mean((0, 1))  # of every pixel, over the pictures: no place is spared
    assert (each - 0.2).abs().max() < 5 * math.sqrt(0.2 * 0.8 / 300)
    assert abs(each.mean() - 0.2) < 0.01


def test_the_grid_of_missing_blocks_lies_at_an_offset_of_its_own_along_each_axis():
    missing = noise.missing_blocks(flat(n=200, height=40, width=40), 0.3, 5, seed=0).missing[:, 0]
    starts = [
        (hole.diff(dim=0).any(1).nonzero()[0].item() % 5, hole.diff(dim=1).any(0).nonzero()[0].item() % 5)
        for hole in missing
    ]
    assert len(set(starts)) == 25


def test_missing_blocks_at_the_ends():
    x = torch.rand(2, 1, 8, 8)
    none, everything = noise.missing_blocks(x, 0), noise.missing_blocks(x, 1, fill=0.3)
    assert torch.equal(none.pictures, x) and not none.missing.any()
    assert everything.missing.all() and torch.allclose(everything.pictures, torch.tensor(0.3))


def test_a_sigma_for_each_picture():
    x = flat(n=3, height=100, width=100)
    y = noise.gaussian(x, torch.tensor([0.0, 0.1, 0.4]), seed=0)
    assert torch.equal(y[0], x[0])
    assert torch.allclose(y.std((1, 2, 3)), torch.tensor([0.0, 0.1, 0.4]), rtol=0.03)
    assert torch.equal(noise.gaussian(x, torch.tensor(0.1), seed=0), noise.gaussian(x, 0.1, seed=0))


def test_without_strength_nothing_happens():
    x = torch.rand(2, 3, 5, 4)
    assert torch.equal(noise.gaussian(x, 0), x) and torch.equal(noise.speckle(x, 0), x)
    assert torch.equal(noise.stripes(x, 0), x)


def test_photons_are_counted():
    y = noise.poisson(flat(0.3, n=50), 7, seed=0) * 7
    assert torch.allclose(y, y.round(), atol=1e-4) and y.min() >= 0
    assert noise.poisson(flat(0.0), 7).eq(0).all()
    rounded = flat(0.0) - 1e-7  # still counts as black, as check_floats has it
    assert noise.poisson(rounded, 7).eq(0).all()


def test_a_constant_psnr():
    """Gaussian noise of sigma has a PSNR of -20 log10 sigma, whatever the picture."""
    from vae_helpers import psnr

    x = 0.5 + 0.1 * torch.rand(4, 1, 200, 200)
    y = noise.gaussian(x, 10 / 255, seed=0)
    assert torch.allclose(psnr(x, y), torch.tensor(-20 * math.log10(10 / 255)), atol=0.1)


# --- how much noise there is --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.3])
def test_sigma_is_found_in_smooth_pictures(sigma):
    ramp = torch.linspace(0.1, 0.9, 128)
    smooth = (ramp[:, None] + ramp**2)[None, None].expand(3, 2, 128, 128) / 2
    found = noise.estimate_sigma(noise.gaussian(smooth, sigma, seed=0))
    assert found.shape == (3,) and torch.allclose(found, torch.full((3,), sigma), rtol=0.05)


def test_stripes_and_columns_are_no_white_noise():
    """What is the same along rows, plus what is the same along columns, is removed without a rest."""
    pattern = torch.rand(2, 1, 40, 1) + torch.rand(2, 1, 1, 50)
    assert noise.estimate_sigma(pattern).max() < 1e-6


def test_edges_hardly_disturb_the_estimate_and_pictures_have_their_own():
    halves = torch.zeros(2, 1, 128, 128)
    halves[..., 40:, 60:] = 1.0
    y = noise.gaussian(halves, torch.tensor([0.02, 0.2]), seed=0)
    assert torch.allclose(noise.estimate_sigma(y), torch.tensor([0.02, 0.2]), rtol=0.06)
    assert noise.estimate_sigma(halves).eq(0).all()


# --- bad input ----------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        (torch.zeros(1, 1, 4, 4, dtype=torch.uint8), TypeError, "x must be a floating-point tensor in .*uint8"),
        ([0.5], TypeError, "x must be a floating-point tensor in .*list"),
        (torch.full((1, 1, 4, 4), math.nan), ValueError, "x holds 16 values that are NaN"),
        (torch.full((1, 1, 4, 4), 128.0), ValueError, r"x must lie in \[0, 1\], but runs from 128"),
        (torch.zeros(1, 4, 4), ValueError, r"x must have shape .* not \(1, 4, 4\).*image\[None\]"),
        (torch.zeros(0, 1, 4, 4), ValueError, "no empty axis"),
    ],
)
def test_pictures_that_are_none_are_refused(kind, x, error, said):
    with pytest.raises(error, match=said):
        KINDS[kind](x)


@each_kind
@pytest.mark.parametrize("seed", [-1, 0.5, "now", True])
def test_a_seed_must_be_a_whole_number(kind, seed):
    with pytest.raises(ValueError, match=f"seed must be a whole number of at least 0, not {seed!r}. None"):
        KINDS[kind](flat(), seed=seed)


@pytest.mark.parametrize("kind", [noise.gaussian, noise.speckle, noise.stripes])
@pytest.mark.parametrize(
    ("sigma", "said"),
    [
        (-0.1, "sigma must be at least 0, but is -0.1: it is a standard deviation"),
        (math.nan, "sigma must be a finite number, not nan"),
        ("0.1", "sigma must be a finite number, not '0.1'"),
        (True, "sigma must be a finite number"),
        (25, "sigma = 25 is too large.*25 / 255"),
        (torch.tensor([0.1, 0.2, 0.3]), r"shape \(2,\), one for each picture, not \(3,\)"),
        (torch.tensor([0.1, math.nan]), "at least 0, but is nan"),
        (torch.tensor([0.1, -0.2]), "at least 0, but is -0.2"),
    ],
)
def test_a_sigma_that_is_none_is_refused(kind, sigma, said):
    with pytest.raises(ValueError, match=said):
        kind(flat(n=2), sigma)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: noise.poisson(x, 0), "photons must be a positive number.* not 0"),
        (lambda x: noise.poisson(x, -3), "photons must be a positive number.* not -3"),
        (lambda x: noise.poisson(x, math.inf), "photons must be a positive number.* not inf"),
        (lambda x: noise.salt_and_pepper(x, 1.5), "share must be a number from 0 to 1.* not 1.5"),
        (lambda x: noise.salt_and_pepper(x, None), "share must be a number from 0 to 1.* not None"),
        (lambda x: noise.missing_blocks(x, -0.1), "share must be a number from 0 to 1.* not -0.1"),
        (lambda x: noise.missing_blocks(x, 0.1, 0), "size must be a whole number of at least 1, not 0"),
        (lambda x: noise.missing_blocks(x, 0.1, 2.5), "size must be a whole number.* not 2.5"),
        (lambda x: noise.missing_blocks(x, 0.1, 4, fill=9), "fill must be a number from 0 to 1, not 9.* grey value"),
        (lambda x: noise.stripes(x, 0.1, "up"), "direction must be one of horizontal, vertical, not 'up'"),
    ],
)
def test_other_strengths_out_of_their_domain_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(flat())


@pytest.mark.parametrize(
    ("y", "error", "said"),
    [
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), TypeError, "y must be a floating-point tensor .* uint8"),
        (torch.zeros(1, 1, 2, 8), ValueError, r"H and W of at least 3, not \(1, 1, 2, 8\)"),
        (torch.full((1, 1, 8, 8), math.inf), ValueError, "y holds 64 values that are NaN or infinite"),
    ],
)
def test_sigma_is_not_estimated_from_what_is_no_picture(y, error, said):
    with pytest.raises(error, match=said):
        noise.estimate_sigma(y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@each_kind
def test_a_seed_gives_the_same_noise_on_a_gpu(kind):
    x = torch.rand(2, 3, 20, 20)
    assert torch.allclose(KINDS[kind](x.cuda(), seed=1).cpu(), KINDS[kind](x, seed=1), atol=1e-6)
    assert KINDS[kind](x.cuda()).device.type == "cuda"
