"""PSNR, SSIM and sharpness against their definitions written out in numpy, and against scikit-image."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import metrics

from vae_helpers.evaluation import pictures, psnr, sharpness, ssim
from vae_helpers.images import to_float

SHAPES = [(3, 1, 11, 11), (2, 3, 11, 17), (2, 1, 32, 32), (2, 3, 64, 40), (1, 4, 23, 12)]


def rough(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator)
    return x, (x + 0.2 * torch.randn(shape, generator=generator)).clamp(0, 1)


def smooth(shape, seed=0):
    """Nearly flat, near white: where a variance as a difference of means loses its digits in float32."""
    n, c, h, w = shape
    rows, columns = torch.linspace(0, 1, h)[:, None], torch.linspace(0, 2, w)
    wave = 0.95 + 0.03 * torch.sin(3 * rows + columns**2 + torch.arange(n * c).view(n, c, 1, 1))
    return wave, (wave + 0.002 * rough(shape, seed)[0]).clamp(0, 1)


def ssim_by_definition(x, y):
    """Wang et al. 2004 window by window, with moments about the window's own mean, for one channel (H, W)."""
    d = np.arange(-5, 6)
    weights = np.exp(-(d[:, None] ** 2 + d**2) / (2 * 1.5**2))
    weights /= weights.sum()
    places = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (image[top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            cov = (weights * (a - mean_a) * (b - mean_b)).sum()
            brightness = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            places.append(brightness * (2 * cov + 0.03**2) / (var_a + var_b + 0.03**2))
    return np.mean(places)


@pytest.mark.parametrize("kind", [rough, smooth])
@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_is_its_definition(kind, shape):
    x, y = kind(shape)
    expected = [
        np.mean([ssim_by_definition(a, b) for a, b in zip(*pair, strict=True)])
        for pair in zip(x.double().numpy(), y.double().numpy(), strict=True)
    ]
    assert ssim(x, y).shape == shape[:1]
    assert np.abs(ssim(x, y).numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("kind", [rough, smooth])
@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_and_psnr_are_those_of_scikit_image(kind, shape):
    x, y = kind(shape)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    for i, (a, b) in enumerate(zip(x.double().numpy(), y.double().numpy(), strict=True)):
        theirs = metrics.structural_similarity(a, b, channel_axis=0, **settings)
        assert abs(ssim(x, y)[i] - theirs) < 1e-5
        assert abs(psnr(x, y)[i] - metrics.peak_signal_noise_ratio(a, b, data_range=1)) < 1e-4


def test_ssim_of_flat_images_compares_their_brightness():
    a, b = 0.25, 0.75
    x, y = torch.full((1, 1, 12, 12), a), torch.full((1, 1, 12, 12), b)
    assert math.isclose(ssim(x, y).item(), (2 * a * b + 1e-4) / (a * a + b * b + 1e-4), rel_tol=1e-6)


def test_ssim_of_an_image_and_its_negative_is_negative():
    x, _ = rough((2, 1, 16, 16))
    assert (ssim(x, 1 - x) < -0.8).all()


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_a_measure_is_symmetric_turns_with_the_image_and_sees_each_image_by_itself(measure):
    x, y = rough((5, 3, 14, 19))
    values = measure(x, y)
    assert values.dtype == torch.float32
    assert torch.allclose(values, measure(y, x))
    assert torch.allclose(values, measure(x.mT, y.mT), atol=1e-6)
    assert torch.allclose(values, measure(x.flip(1), y.flip(1)), atol=1e-6)  # channels in another order
    assert torch.allclose(values, torch.cat([measure(x[i : i + 1], y[i : i + 1]) for i in range(5)]))


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_memory_is_bounded_by_pieces_and_the_result_is_not_changed(measure, monkeypatch):
    x, y = rough((7, 1, 12, 12))
    whole = measure(x, y)
    monkeypatch.setattr(pictures, "VALUES_AT_A_TIME", 2 * 144)
    pieces = list(pictures._pieces(x, y))
    assert [len(a) for a, _ in pieces] == [2, 2, 2, 1]
    assert torch.allclose(measure(x, y), whole)
    monkeypatch.setattr(pictures, "VALUES_AT_A_TIME", 1)  # never less than one image
    assert torch.allclose(measure(x, y), whole)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_stored_images_count_as_their_floats(measure):
    x, y = torch.randint(0, 256, (2, 4, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(measure(x, y), measure(to_float(x), to_float(y)), rtol=1e-5)


def test_psnr_of_a_known_error_is_known():
    x = torch.full((2, 3, 4, 5), 0.5, dtype=torch.float64)
    y = x.clone()
    y[0] += 0.1
    y[1, 0] += 0.1  # one channel of three
    assert torch.allclose(psnr(x, y), torch.tensor([20.0, 20 + 10 * math.log10(3)]), rtol=1e-6)
    black, white = torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    assert psnr(black, white).item() == 0


def test_equal_images_have_infinite_psnr_and_an_ssim_of_one():
    x, y = rough((2, 1, 12, 12))
    y[0] = x[0]
    assert psnr(x, y)[0] == math.inf and psnr(x, y)[1] < 30
    assert abs(ssim(x, y)[0] - 1) < 1e-6 and ssim(x, y)[1] < 1


def test_a_mean_of_decibels_is_above_the_decibels_of_the_mean():
    x = torch.full((2, 1, 4, 4), 0.5)
    y = x + torch.tensor([0.01, 0.1]).view(2, 1, 1, 1)
    of_the_mean = -10 * math.log10((x - y).square().mean())
    assert psnr(x, y).mean() > of_the_mean + 5


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_bad_pairs_are_named(measure):
    x, y = rough((2, 1, 12, 12))
    with pytest.raises(ValueError, match="same shape"):
        measure(x, y[:1])
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        measure(x[0], y[0])
    with pytest.raises(ValueError, match="empty"):
        measure(x[:0], y[:0])
    broken = y.clone()
    broken[1, 0, 2, 3] = math.nan
    with pytest.raises(ValueError, match="y holds 1 values that are NaN"):
        measure(x, broken)
    with pytest.raises(ValueError, match="x must lie in"):
        measure(255 * x, y)
    with pytest.raises(TypeError, match="same type"):
        measure(x, (255 * y).to(torch.uint8))
    with pytest.raises(TypeError, match="same type"):
        measure(x, y.double())
    with pytest.raises(TypeError, match="floating-point"):
        measure(x.long(), y.long())
    with pytest.raises(TypeError, match="ndarray"):
        measure(x.numpy(), y.numpy())


@pytest.mark.parametrize("size", [(10, 20), (20, 10)])
def test_ssim_refuses_images_smaller_than_its_window(size):
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(*rough((1, 1, *size)))


# --- sharpness --------------------------------------------------------------------------------------------------------


def test_sharpness_is_the_variance_of_a_laplacian_worked_out_by_hand():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = 0.5  # the Laplacian of the four inner pixels: 2, -0.5, -0.5, 0
    assert sharpness(x).item() == pytest.approx((4 + 0.25 + 0.25) / 4 - (1 / 4) ** 2)
    colours = torch.cat([x, 0 * x, 0 * x], 1)  # of which brightness is the mean
    assert sharpness(colours).item() == pytest.approx(sharpness(x).item() / 9)
    assert sharpness(torch.cat([x, x, x], 1)).item() == pytest.approx(sharpness(x).item())


def test_sharpness_is_that_of_a_convolution():
    x, _ = rough((3, 1, 9, 13))
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])[None, None]
    expected = F.conv2d(x, kernel).flatten(1).var(1, correction=0)
    assert sharpness(x).dtype == torch.float32 and torch.allclose(sharpness(x), expected, rtol=1e-5)


def test_flat_pictures_and_ramps_have_no_sharpness():
    ramp = torch.linspace(0, 1, 12)[:, None] / 2 + torch.linspace(0, 1, 9) / 2
    for x in (torch.full((1, 3, 5, 5), 0.3), ramp[None, None]):
        assert sharpness(x).item() < 1e-12
    assert sharpness(torch.zeros(1, 1, 3, 3)).item() == 0  # one place


def test_blur_lowers_sharpness_and_noise_raises_it():
    x, _ = smooth((4, 3, 32, 32))
    _, noisy = rough((4, 3, 32, 32), seed=1)
    edges = (x > x.mean()).float()
    blurred = [edges]
    for _ in range(3):
        blurred.append(F.avg_pool2d(F.pad(blurred[-1], (1,) * 4, mode="replicate"), 3, stride=1))
    scores = torch.stack([sharpness(one) for one in blurred])  # (4, N)
    assert (scores[1:] < 0.7 * scores[:-1]).all()
    grain = 0.1 * (noisy - 0.5)
    assert (sharpness((0.5 + 0.2 * (x - 0.5) + grain).clamp(0, 1)) > 10 * sharpness(0.5 + 0.2 * (x - 0.5))).all()


def test_sharpness_is_of_each_picture_by_itself_and_grows_with_the_square_of_contrast():
    x, _ = rough((5, 3, 14, 19))
    assert torch.allclose(sharpness(x), torch.cat([sharpness(x[i : i + 1]) for i in range(5)]))
    assert torch.allclose(sharpness(0.5 * x + 0.2), 0.25 * sharpness(x), rtol=1e-4)
    for same in (x.mT, x.flip(1), x.flip(3)):
        assert torch.allclose(sharpness(same), sharpness(x), rtol=1e-5)


def test_stored_pictures_are_as_sharp_as_their_floats_and_pieces_change_nothing(monkeypatch):
    x = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = sharpness(x)
    assert torch.allclose(whole, sharpness(to_float(x)), rtol=1e-5)
    monkeypatch.setattr(pictures, "VALUES_AT_A_TIME", 2 * 3 * 144)
    assert torch.equal(sharpness(x), whole)


def test_pictures_without_a_laplacian_are_refused():
    for dtype in (torch.float32, torch.uint8):
        for shape in ((2, 3, 2, 5), (2, 3, 5, 2)):
            with pytest.raises(ValueError, match=r"x must have shape \(N, C, H, W\) .* H and W of at least 3, not"):
                sharpness(torch.zeros(shape, dtype=dtype))
        with pytest.raises(ValueError, match=r"x must have shape \(N, C, H, W\)"):
            sharpness(torch.zeros(3, 5, 5, dtype=dtype))
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        sharpness(torch.full((1, 1, 4, 4), 255.0))
    with pytest.raises(ValueError, match="NaN"):
        sharpness(torch.full((1, 1, 4, 4), math.nan))
    with pytest.raises(TypeError, match=r"x must be .*floating-point"):
        sharpness(torch.zeros(1, 1, 4, 4).long())
