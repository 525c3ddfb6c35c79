"""The residual denoiser: what it promises whatever its weights, and that it learns the posterior mean."""

import functools
import math

import pytest
import torch

from vae_helpers import ResidualDenoiser, denoising_error, fit, seed_everything, to_float


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small(channels=1):
    seed_everything(0)
    return ResidualDenoiser(channels, widths=(4, 6))


# --- what holds for any weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (33, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_any_size_comes_back_in_its_size(size, channels):
    y = noise(2, channels, *size)
    x_hat = small(channels)(y, 0.1)
    assert x_hat.shape == y.shape and x_hat.dtype == torch.float32


def test_without_noise_the_picture_is_returned_as_it_is():
    y = noise(3, 1, 12, 12)
    assert torch.equal(small()(y, 0.0), y)


def test_what_is_taken_away_grows_with_sigma_at_fixed_features():
    """y - x_hat = sigma * eps: with features that ignore sigma, doubling it doubles what is removed."""
    model, y = small(), noise(1, 1, 8, 8)
    with torch.no_grad():
        model.enter.weight[:, -1] = 0  # the channel that carries sigma
    once, twice = (y - model(y, sigma) for sigma in (0.1, 0.2))
    torch.testing.assert_close(twice, 2 * once)


def test_each_picture_has_its_own_sigma():
    model, y = small(), noise(3, 1, 9, 9)
    together = model(y, torch.tensor([0.0, 0.1, 0.3]))
    alone = torch.cat([model(y[i : i + 1], sigma) for i, sigma in enumerate((0.0, 0.1, 0.3))])
    torch.testing.assert_close(together, alone)


def test_the_network_is_told_sigma():
    model, y = small(), noise(1, 1, 8, 8)
    assert not torch.allclose((y - model(y, 0.1)) / 0.1, (y - model(y, 0.2)) / 0.2, atol=1e-4)


def test_a_shift_by_the_coarsest_step_shifts_the_answer():
    model, y = small(), noise(1, 1, 64, 64)
    here, there = model(y, 0.1), model(y.roll((4, 8), (2, 3)), 0.1)
    torch.testing.assert_close(there[..., 28:40, 28:40], here[..., 24:36, 20:32])


def test_all_scales_of_the_network_take_part():
    model, y = small(), noise(1, 1, 16, 16).requires_grad_()
    model(y, 0.1).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "sigma", "error", "message"),
    [
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 0.1, TypeError, "floating-point tensor .*, not uint8"),
        ("picture", 0.1, TypeError, "not str"),
        (torch.zeros(1, 3, 8, 8), 0.1, ValueError, r"\(N, 1, H, W\).*three grey ones"),
        (torch.zeros(1, 8, 8), 0.1, ValueError, r"not \(1, 8, 8\)"),
        (torch.zeros(0, 1, 8, 8), 0.1, ValueError, r"not \(0, 1, 8, 8\)"),
        (torch.full((1, 1, 8, 8), math.nan), 0.1, ValueError, "64 values that are NaN"),
        (torch.zeros(1, 1, 8, 8), -0.1, ValueError, "sigma must be a finite number of at least 0, not -0.1"),
        (torch.zeros(1, 1, 8, 8), math.nan, ValueError, "sigma must be a finite number"),
        (torch.zeros(1, 1, 8, 8), math.inf, ValueError, "sigma must be a finite number"),
        (torch.zeros(2, 1, 8, 8), torch.tensor([0.1, 0.1, 0.1]), ValueError, r"shape \(2,\), not \(3,\)"),
        (torch.zeros(2, 1, 8, 8), torch.full((2, 1), 0.1), ValueError, r"not \(2, 1\)"),
    ],
)
def test_bad_pictures_and_levels_are_refused_by_name(y, sigma, error, message):
    with pytest.raises(error, match=message):
        small()(y, sigma)


@pytest.mark.parametrize("arguments", [{"channels": 0}, {"channels": 1.5}, {"widths": ()}, {"widths": (8, 0)}])
def test_networks_that_cannot_be_built_are_refused(arguments):
    name = next(iter(arguments))
    with pytest.raises(ValueError, match=f"{name} must be"):
        ResidualDenoiser(**arguments)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_it_learns_the_posterior_mean_where_that_is_known():
    """Pictures of one random grey value v ~ N(1/2, s^2): the posterior mean shrinks the mean pixel towards 1/2."""
    n, s, sigma = 4000, 0.15, 0.5
    value = (0.5 + s * noise(n, 1, 1, 1)).clamp(0, 1)
    images = (255 * value.expand(n, 1, 8, 8)).round().byte()
    seed_everything(0)
    model = ResidualDenoiser(widths=(16, 16, 16))
    objective = functools.partial(denoising_error, sigma=sigma)
    fit(model, images, steps=400, batch_size=128, learning_rate=3e-3, objective=objective, progress=False)
    x = to_float(images[:1000])
    y = x + sigma * noise(*x.shape, seed=1)
    gain = s**2 / (s**2 + sigma**2 / 64)
    posterior_mean = (0.5 + gain * (y.mean((1, 2, 3), keepdim=True) - 0.5)).expand_as(x)
    with torch.no_grad():
        x_hat = model(y, sigma)
    best, reached = ((estimate - x).square().mean().item() for estimate in (posterior_mean, x_hat))
    assert best < reached < 1.25 * best < 0.02 * sigma**2
