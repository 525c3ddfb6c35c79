"""How near one picture is to another, pixel by pixel and window by window: measures, not losses (no gradient)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_images, check_pictures

WINDOW_SIGMA = 1.5  # of SSIM's Gaussian window, in pixels
WINDOW_RADIUS = 5  # 3.5 sigma, rounded: the window is 11 x 11
K1, K2 = 0.01, 0.03
VALUES_AT_A_TIME = 2**17  # pixels compared at a time: bounds the memory, and keeps it in a processor's cache


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, -10 log10(MSE), for pixels in [0, 1].

    Equal images have infinite PSNR, and so has any mean they enter. A mean of decibels is not the decibels of the
    mean error: by Jensen's inequality it is never lower, and a few near-perfect images can lift it. Say which it is.

    Args:
        x, y: two batches (N, C, H, W) of the same shape and type, `uint8` or floating point in [0, 1].
    Returns:
        (N,), decibels, `float32`, on the device of x; the mean runs over all pixels and channels of an image.
    Raises:
        TypeError: types differ, or are neither `uint8` nor floating point.
        ValueError: shapes differ or are not (N, C, H, W), NaN, values outside [0, 1].
    """
    _check_pair(x, y)
    errors = [(a - b).square().mean((1, 2, 3)) for a, b in _pieces(x, y)]  # (n,) each
    return (-10 * torch.log10(torch.cat(errors))).float().to(x.device)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each image, for pixels in [0, 1] (Wang et al. 2004, equation 13).

    An 11 x 11 Gaussian window with sigma = 1.5 pixels, K1 = 0.01, K2 = 0.03, covariances under the window without
    a correction for the sample size. Averaged over the places where the window lies wholly inside the image, and
    over channels, each compared by itself (an alpha channel counts like a colour). The number depends on all of
    these choices; it agrees with scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)`.

    Args:
        x, y: two batches (N, C, H, W) of the same shape and type, `uint8` or floating point in [0, 1], H, W >= 11.
    Returns:
        (N,), in [-1, 1], 1 for equal images; `float32`, on the device of x.
    Raises:
        TypeError: types differ, or are neither `uint8` nor floating point.
        ValueError: shapes differ or are not (N, C, H, W), images smaller than the window, NaN, values outside [0, 1].
    """
    _check_pair(x, y)
    side = 2 * WINDOW_RADIUS + 1
    if min(x.shape[2:]) < side:
        raise ValueError(
            f"SSIM's window is {side} x {side} pixels, the images only {x.shape[2]} x {x.shape[3]}. "
            "Enlarging images first changes what is measured; psnr has no smallest size."
        )
    return torch.cat([_ssim_map(a, b).mean((1, 2, 3)) for a, b in _pieces(x, y)]).float().to(x.device)


def sharpness(x: Tensor) -> Tensor:
    """The variance of the Laplacian of the brightness of each picture, (N,): blur lowers it, and noise raises it.

    The Laplacian is 4 times a pixel less its four neighbours; brightness is the mean of the channels. To be read beside
    that of the true picture, and with the eye: speckle is sharp too.

    Args:
        x: (N, C, H, W), `uint8` or floating point in [0, 1], H, W >= 3.
    Returns:
        (N,), `float32`, on the device of x; in squared units of brightness, of which black is 0 and white 1.
    Raises:
        TypeError: neither `uint8` nor floating point.
        ValueError: another shape, NaN, values outside [0, 1].
    """
    _check_one(x, "x")
    checking.shape(x, "x", "(N, C, H, W)", H=3, W=3)
    variances = [_laplacian(a.mean(1)).flatten(1).var(1, correction=0) for (a,) in _pieces(x)]  # (n,) each
    return torch.cat(variances).float().to(x.device)


def _laplacian(grey: Tensor) -> Tensor:
    """Four times each pixel less its neighbours: (N, H, W) -> (N, H - 2, W - 2)."""
    neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return 4 * grey[:, 1:-1, 1:-1] - neighbours


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """SSIM at each place of the window: (N, C, H, W) -> (N, C, H - 10, W - 10).

    In float64: a variance as the difference of two means loses in float32 the digits that flat areas need.
    """
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _window_means(torch.stack([x, y, x * x, y * y, x * y]))
    var_x, var_y, cov = mean_xx - mean_x.square(), mean_yy - mean_y.square(), mean_xy - mean_x * mean_y
    c1, c2 = K1**2, K2**2  # times the data range, 1, squared
    brightness = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return brightness * (2 * cov + c2) / (var_x + var_y + c2)


def _window_means(maps: Tensor) -> Tensor:
    """Means under the Gaussian window where it fits: (..., H, W) -> (..., H - 10, W - 10)."""
    return _means_along(_means_along(maps, -2), -1)  # the window is a product: columns, then rows


def _means_along(maps: Tensor, axis: int) -> Tensor:
    """Weighted sums of 11 neighbours along one axis, ten shorter; several times faster on a CPU than a convolution."""
    weights = [math.exp(-0.5 * (offset / WINDOW_SIGMA) ** 2) for offset in range(-WINDOW_RADIUS, WINDOW_RADIUS + 1)]
    length = maps.shape[axis] - len(weights) + 1
    total = maps.narrow(axis, 0, length) * (weights[0] / sum(weights))
    for start, weight in enumerate(weights[1:], 1):
        total.add_(maps.narrow(axis, start, length), alpha=weight / sum(weights))
    return total


def _pieces(*batches: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The batches, a few images at a time, as float64 in [0, 1]; on the CPU where the device has no float64."""
    batches = tuple(x.cpu() if x.device.type == "mps" else x for x in batches)
    images_at_a_time = max(1, VALUES_AT_A_TIME // math.prod(batches[0].shape[1:]))
    for pieces in zip(*(x.split(images_at_a_time) for x in batches), strict=True):
        yield tuple(map(_double, pieces))


def _double(x: Tensor) -> Tensor:
    return x.double() / 255 if x.dtype == torch.uint8 else x.detach().double()


def _check_one(x: Tensor, name: str) -> None:
    stored = isinstance(x, Tensor) and x.dtype == torch.uint8
    check_images(x, name) if stored else check_pictures(x, name)


def _check_pair(x: Tensor, y: Tensor) -> None:
    _check_one(x, "x"), _check_one(y, "y")
    if x.dtype != y.dtype:
        raise TypeError(f"x and y must have the same type, not {x.dtype} and {y.dtype}. See vae_helpers.to_float.")
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same shape, not {tuple(x.shape)} and {tuple(y.shape)}.")
