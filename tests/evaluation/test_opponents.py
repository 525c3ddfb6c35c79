"""The opponents against their definitions, written out, and against what is known exactly."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vae_helpers.evaluation import opponents
from vae_helpers.evaluation.opponents import FILES, best_gaussian, mean_picture, of_files, simplest_opponents
from vae_helpers.models import ProbabilisticPCA


def correlated(n, seed, shape=(1, 6, 6)):
    """Pictures whose levels are a Gaussian of known covariance, rounded; and the covariance of the levels."""
    p = math.prod(shape)
    places = torch.arange(p, dtype=torch.double)
    covariance = 900 * torch.exp(-(places[:, None] - places).abs() / 6) + 4 * torch.eye(p)
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randn(n, p, generator=generator, dtype=torch.double) @ torch.linalg.cholesky(covariance).T + 128
    return levels.round().clamp(0, 255).byte().view(n, *shape), covariance


def test_the_mean_picture_is_a_logistic_for_each_pixel():
    train, held_out = correlated(30, 0)[0], correlated(5, 1)[0]
    x, y = train.numpy().reshape(30, -1).astype(float), held_out.numpy().reshape(5, -1).astype(float)
    variance = (30 * x.var(0) + x.var(0).mean()) / 31 + 1 / 12
    scale = np.sqrt(3 * variance) / math.pi

    def below(edge):  # P(level < edge + 1/2)
        return np.where(edge < 0, 0.0, np.where(edge > 254, 1.0, 1 / (1 + np.exp(-(edge + 0.5 - x.mean(0)) / scale))))

    bits = -np.log2(below(y) - below(y - 1)).mean(1)
    np.testing.assert_allclose(mean_picture(train, held_out), bits, rtol=1e-4)


def test_the_mean_picture_survives_a_pixel_that_never_changed_before():
    train, held_out = correlated(500, 0)[0], correlated(50, 1)[0]
    usual = mean_picture(train, held_out)
    train[:, :, 0, 0] = 255
    more = 36 * (mean_picture(train, held_out) - usual).mean()  # bits of that pixel
    assert 100 < more < 400  # with the variance of its bin alone: 1,160


@pytest.mark.parametrize("limit", [opponents.LARGEST_COVARIANCE, 10])  # by the covariance, and by svd_lowrank
def test_all_numbers_of_directions_come_from_one_decomposition(limit, monkeypatch):
    monkeypatch.setattr(opponents, "LARGEST_COVARIANCE", limit)
    monkeypatch.setattr("vae_helpers.models.ppca.LARGEST_COVARIANCE", limit)
    x, y = (correlated(n, seed)[0].flatten(1).double() / 256 for n, seed in ((200, 0), (7, 1)))
    found = opponents._Evidence(x, 34)(y)
    assert found.shape == (7, 34)
    for k in (1, 2, 12, 34):
        by_itself = ProbabilisticPCA.maximum_likelihood(x, k).evidence(y)
        assert torch.allclose(found[:, k - 1], by_itself, rtol=1e-9 if limit > 36 else 1e-3), k


def test_the_gaussian_finds_the_entropy_of_gaussian_pictures():
    train, covariance = correlated(20_000, 0)
    validation, held_out = correlated(500, 1)[0], correlated(2_000, 2)[0]
    p = len(covariance)
    with_bins = covariance + torch.eye(p) / 6  # rounding has spread the levels by 1/12, and dequantisation does again
    entropy = 0.5 * (p * math.log2(2 * math.pi * math.e) + torch.logdet(with_bins).item() / math.log(2)) / p
    found = best_gaussian(train, validation, held_out)
    assert abs(found.bits.mean() - entropy) < 4 * found.bits.std() / len(held_out) ** 0.5 + 0.01
    assert found.latents > 6


def test_pixels_of_different_spread_are_scaled_first_where_that_helps():
    spread = torch.linspace(0, 40, 36).view(1, 6, 6)  # of pixels that know nothing of each other
    noise = torch.randn(210, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    images = (128 + spread * noise).round().clamp(0, 255).byte()
    assert best_gaussian(images[:10], images[10:110], images[110:]).scaled
    alike = (128 + 20 * noise).round().clamp(0, 255).byte()  # pictures that would have wanted otherwise
    assert best_gaussian(images[:10], images[10:110], alike).scaled
    assert not best_gaussian(images[:10], alike, images[10:110]).scaled
    assert not best_gaussian(*(correlated(n, n)[0] for n in (300, 200, 201))).scaled


def test_the_gaussian_is_chosen_on_validation_pictures():
    train, validation, other = (correlated(n, n)[0] for n in (60, 100, 101))
    other[:] = other[0]
    chosen, again = best_gaussian(train, validation, validation), best_gaussian(train, validation, other)
    assert chosen[1:] == again[1:]
    assert best_gaussian(train, other, validation)[1:] != chosen[1:]
    brightness = torch.randn(130, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(130, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    one_direction = (128 + 30 * brightness + noise).round().clamp(0, 255).byte()
    assert best_gaussian(one_direction[:30], one_direction[30:], train).latents == 1
    assert not torch.equal(best_gaussian(train, validation, validation, seed=1).bits, chosen.bits)  # other noise


def test_the_gaussian_is_fitted_to_some_of_many(monkeypatch):
    train, validation = correlated(400, 0)[0], correlated(100, 1)[0]
    monkeypatch.setattr(opponents, "MOST_NUMBERS", 50 * 36)
    some = best_gaussian(train, validation, validation)
    assert some.latents <= 48
    train[300:] = 0  # a sorted folder: the choice is from all of it
    assert not torch.equal(best_gaussian(train, validation, validation).bits, some.bits)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_files_hold_the_pictures_without_loss(kind, channels):
    images = torch.randint(0, 256, (4, channels, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    images[1] = 9
    sizes = []
    for image in images:
        file = io.BytesIO()
        pixels = image.permute(1, 2, 0).numpy() if channels > 1 else image[0].numpy()
        Image.fromarray(pixels).save(file, **FILES[kind])
        sizes.append(len(file.getvalue()) * 8 / image.numel())
        again = np.asarray(Image.open(file).convert(Image.fromarray(pixels).mode))
        assert (again == pixels).all()
    np.testing.assert_allclose(of_files(images, kind), sizes, rtol=1e-6)
    assert sizes[0] >= 8 > sizes[1]


def test_all_opponents_together_and_the_few_pictures_that_they_need():
    train, validation, held_out = (correlated(n, n)[0] for n in (3, 2, 5))
    found = simplest_opponents(train, validation, held_out)
    assert list(found) == ["mean picture", "Gaussian", "PNG", "WebP"]
    assert all(bits.shape == (5,) and bits.min() > 0 and bits.max() < 300 for bits in found.values())
    assert torch.equal(found["Gaussian"], best_gaussian(train, validation, held_out).bits)


def test_pictures_of_one_flat_colour_cost_next_to_nothing():
    flat = torch.full((20, 3, 16, 16), 200, dtype=torch.uint8)
    found = simplest_opponents(flat, flat, flat)
    assert found["mean picture"].max() < 1
    assert found["Gaussian"].max() < 0.5  # the noise of dequantisation, which is no Gaussian


def test_what_is_wrong_is_said():
    pictures, other = correlated(5, 0)[0], correlated(5, 0, (1, 4, 9))[0]
    with pytest.raises(ValueError, match="train, held_out must be pictures of one shape"):
        mean_picture(pictures, other)
    with pytest.raises(ValueError, match=r"train must have shape .* N of at least 3"):
        best_gaussian(pictures[:2], pictures, pictures)
    with pytest.raises(TypeError, match="held_out must hold uint8"):
        of_files(pictures.float(), "PNG")
    with pytest.raises(ValueError, match="kind must be one of PNG, WebP"):
        of_files(pictures, "JPEG")
