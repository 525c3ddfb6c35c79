"""How a picture is written down as numbers: checks, conversions, and grids of pictures.

A batch of stored images is a `uint8` tensor of shape (N, C, H, W), 0 = black and 255 = white; a model sees
`float32` in [0, 1]. What lies between the two - scaling, dequantising, binarising - stands here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking

if TYPE_CHECKING:
    import numpy as np

CHANNELS = (1, 3, 4)  # grey, red-green-blue, red-green-blue-alpha
CHUNK = 2**19  # floats, 2 MB: at most so many at a time while stored images are turned into other stored images


def check_images(images: Tensor, name: str = "images") -> Tensor:
    """Return `images` unchanged if it is a batch of stored images, and say what is wrong if it is not.

    Args:
        images: `uint8` of shape (N, C, H, W) with C in {1, 3, 4} and N, H, W >= 1.
        name: what the caller calls the argument; it stands in the message.
    Raises:
        TypeError: not a tensor, or not `uint8`.
        ValueError: not four axes, an axis of length zero, or an unusual number of channels.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a torch tensor (N, C, H, W), not {type(images).__name__}.")
    if images.dtype != torch.uint8:
        raise TypeError(
            f"{name} must hold uint8 values 0..255, not {checking.kind_of(images)}. "
            "Floats in [0, 1] become uint8 with vae_helpers.to_uint8."
        )
    return _check_channels(checking.shape(images, name, "(N, C, H, W)"), name)


def _check_channels(images: Tensor, name: str = "images") -> Tensor:
    if images.shape[1] not in CHANNELS:
        raise ValueError(
            f"{name} has {images.shape[1]} channels; expected 1 (grey), 3 (RGB) or 4 (RGBA) on axis 1 of "
            f"{tuple(images.shape)}. Channels-last images are turned with images.permute(0, 3, 1, 2)."
        )
    return images


def check_floats(x: Tensor, name: str = "x") -> Tensor:
    """Return `x` unchanged if it is floating point, finite and within [0, 1]; otherwise say what is wrong.

    Args:
        x: any shape.
        name: what the caller calls the argument; it stands in the message.
    Raises:
        TypeError: not a floating-point tensor.
        ValueError: NaN, infinity, or a value outside [0, 1] (beyond rounding, 1e-6).
    """
    checking.floating(x, name, "in [0, 1]", "See vae_helpers.to_float.")
    return checking.unit(checking.finite(x, name), name)


def check_pictures(x: Tensor, name: str = "x", shape: str = "(N, C, H, W)", **least: int) -> Tensor:
    """Return `x` unchanged if it is a batch of float pictures in [0, 1]; otherwise say what is wrong.

    Args:
        x, name: as for `check_floats`.
        shape, least: as for `vae_helpers.checking.shape`.
    Raises:
        TypeError: not floating point.
        ValueError: NaN, values outside [0, 1], or another shape.
    """
    checking.floating(x, name, f"in [0, 1] {shape}", "See vae_helpers.to_float.")
    return check_floats(checking.shape(x, name, shape, **least), name)


def check_same_size(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    """Two batches of pictures that can be laid over each other.

    Args:
        a, b: (N, C, H, W), checked to be pictures; an N of 1 serves all pictures of the other.
        name_a, name_b: what the caller calls them.
    Raises:
        ValueError: H, W or N differ.
    """
    if a.shape[2:] != b.shape[2:] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise ValueError(
            f"{name_a} {tuple(a.shape)} and {name_b} {tuple(b.shape)} must be of one size and equally many (or one for "
            "all). vae_helpers.enlarge or torch.nn.functional.interpolate changes a size."
        )


def mask_weights(mask: Tensor, n: int, like: Tensor, name: str) -> Tensor:
    """A mask as weights in [0, 1] for each pixel of n pictures.

    Args:
        mask: (n, 1, H, W), or (1, 1, H, W) for all pictures; bool or in [0, 1].
        n: how many pictures there are.
        like: the pictures, (N, C, H, W), whose size, type and device the weights have.
        name: what the caller calls the mask.
    Returns:
        (n, 1, H, W).
    Raises:
        TypeError: neither bool nor floating point.
        ValueError: another shape, NaN or values outside [0, 1].
    """
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        mask = mask.to(like.dtype)
    check_pictures(mask, name, "(N, 1, H, W)")
    if mask.shape[2:] != like.shape[2:] or len(mask) not in (1, n):
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}, but there are {n} pictures of {like.shape[2]} x {like.shape[3]} "
            f"pixels: give ({n}, 1, {like.shape[2]}, {like.shape[3]}), or one mask for all."
        )
    return mask.to(like).expand(n, -1, -1, -1)


def check_drawable(images: Tensor, name: str = "images") -> Tensor:
    """Return `images` unchanged if they can be drawn: stored images, or finite floats of any range (N, C, H, W).

    Raises:
        TypeError: neither `uint8` nor floating point.
        ValueError: another shape, an unusual number of channels, NaN or infinity.
    """
    if isinstance(images, Tensor) and images.dtype == torch.uint8:
        return check_images(images, name)
    return _check_channels(checking.tensor(images, name, "(N, C, H, W)", "Or give uint8."), name)


def to_float(images: Tensor) -> Tensor:
    """Stored images as `float32` in [0, 1]: 0 -> 0.0, 255 -> 1.0.

    Args:
        images: `uint8` (N, C, H, W).
    Returns:
        `float32` (N, C, H, W).
    """
    return check_images(images).float().div_(255)


def to_uint8(x: Tensor) -> Tensor:
    """Float images in [0, 1] as stored images, rounded to the nearest of 256 levels; the inverse of `to_float`.

    Args:
        x: floating point, any shape; values outside [0, 1] or NaN are refused (clip first, on purpose).
    Returns:
        `uint8` of the same shape.
    """
    return check_floats(x).mul(255).round().to(torch.uint8)


def levels_of(images: Tensor, levels: int = 256) -> Tensor:
    """The grey level of each pixel as a whole number 0 .. levels - 1.

    Pictures with few levels are stored stretched over 0..255 (17 levels: 0, 16, 32, 48, ...); this undoes it.

    Args:
        images: `uint8` (N, C, H, W).
        levels: how many levels the data has, 2..256.
    Returns:
        `int64` (N, C, H, W).
    Raises:
        ValueError: `levels` out of range, or the images do not lie on that many levels.
    """
    check_images(images)
    levels = checking.integer(levels, "levels", 2, 256)
    level = torch.round(images.double() * ((levels - 1) / 255)).long()
    exact = level.double() * (255 / (levels - 1))
    if (exact - images).abs().max() > 0.5 + 1e-6:  # one half may have been rounded either way
        raise ValueError(
            f"these images do not lie on {levels} evenly spaced levels between 0 and 255, so they have more. "
            "Give the level count of the data set (dataset.levels)."
        )
    return level


def dequantise(images: Tensor, levels: int = 256, generator: torch.Generator | None = None) -> Tensor:
    """Uniform dequantisation: spread each level over its own bin, so that a density can be fitted.

    Level k of `levels` becomes (k + u) / levels with u ~ U[0, 1). The mean log-density of these values, minus
    D log(levels), is a lower bound on the mean log-probability of the levels (Theis et al. 2016, section 3.1).

    Args:
        images: `uint8` (N, C, H, W).
        levels: how many levels the data has.
        generator: where u comes from; by default torch's own.
    Returns:
        `float32` (N, C, H, W) in [0, 1].
    """
    level = levels_of(images, levels).float()
    u = torch.rand(level.shape, device=level.device, generator=generator)
    return (level + u) / levels


def binarise(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Dynamic binarisation: each pixel is white with a probability equal to its grey value.

    Fresh binary pictures at every call, x ~ Bernoulli(grey) (Salakhutdinov & Murray 2008, section 5).

    Args:
        images: `uint8` (N, C, H, W).
        generator: where the randomness comes from; by default torch's own.
    Returns:
        `float32` (N, C, H, W), each value 0 or 1.
    """
    grey = to_float(images)
    u = torch.rand(grey.shape, device=grey.device, generator=generator)
    return (u < grey).float()


def enlarge(images: Tensor, size: int) -> Tensor:
    """Smoothly resized images, bilinear with anti-aliasing.

    Enlarged pixels are mixtures of their neighbours: the rank of the data does not grow with its dimension, and
    a Gaussian density fitted to it is degenerate. For Bernoulli models and for looking at, not for densities.

    Args:
        images: `uint8` (N, C, H, W).
        size: the new height and width in pixels, >= 1.
    Returns:
        `uint8` (N, C, size, size).
    """
    size = checking.integer(size, "size")
    n, channels, height, width = check_images(images).shape
    result = images.new_empty(n, channels, size, size)
    at_a_time = max(1, CHUNK // (channels * max(height * width, size * size)))
    for small, large in zip(images.split(at_a_time), result.split(at_a_time), strict=True):
        x = F.interpolate(to_float(small), size=(size, size), mode="bilinear", antialias=True, align_corners=False)
        large.copy_(to_uint8(x.clamp(0, 1)))
    return result


def random_shift(images: Tensor, pixels: int = 1) -> Tensor:
    """Each image moved by its own random whole number of pixels, up to `pixels` each way; an augmentation.

    What leaves on one side is gone, and edge pixels are repeated on the other.

    Args:
        images: (N, C, H, W), any dtype and device.
        pixels: largest shift along each axis, >= 0.
    Returns:
        same shape and dtype.
    """
    n, _, h, w = checking.shape(images, "images", "(N, C, H, W)").shape
    pixels = checking.integer(pixels, "pixels", 0)
    dy, dx = torch.randint(-pixels, pixels + 1, (2, n, 1, 1), device=images.device)
    rows = (torch.arange(h, device=images.device)[None, :, None] + dy).clamp(0, h - 1)  # (N, H, 1)
    columns = (torch.arange(w, device=images.device)[None, None, :] + dx).clamp(0, w - 1)  # (N, 1, W)
    which = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2).contiguous()


def random_turn(images: Tensor) -> Tensor:
    """Each image in its own one of the eight positions of a square, turned and mirrored; an augmentation.

    Args:
        images: (N, C, S, S), any dtype and device.
    Returns:
        same shape and dtype.
    Raises:
        ValueError: the images are not square.
    """
    n = len(checking.shape(images, "images", "(N, C, S, S)", "Only square images can be turned in place."))
    transposed, mirrored, upended = torch.randint(2, (3, n, 1, 1, 1), device=images.device).bool()
    images = torch.where(transposed, images.transpose(-2, -1), images)
    images = torch.where(mirrored, images.flip(-1), images)
    return torch.where(upended, images.flip(-2), images)


def grid(images: Tensor, columns: int | None = None, padding: int = 1, fill: float = 1.0) -> np.ndarray:
    """Many images as one picture, row by row, ready for matplotlib's `imshow`.

    Args:
        images: (N, C, H, W) with C in {1, 3, 4}; `uint8`, or floating point (clipped to [0, 1] for display).
        columns: images in a row; by default a nearly square grid.
        padding: pixels between images.
        fill: grey value of the padding and of empty places.
    Returns:
        `float32` array (H', W', 3), or (H', W', 4) for RGBA, in [0, 1].
    Raises:
        TypeError, ValueError: see `check_drawable`; columns, padding or fill out of their domain.
    """
    check_drawable(images)
    x = to_float(images) if images.dtype == torch.uint8 else images.detach().float().clamp(0, 1)
    n, c, h, w = x.shape
    columns = min(n, math.isqrt(n - 1) + 1 if columns is None else checking.integer(columns, "columns"))
    padding, fill = checking.integer(padding, "padding", 0), checking.number(fill, "fill", 0, 1)
    rows = -(-n // columns)
    c = max(c, 3)
    canvas = torch.full((c, rows * (h + padding) - padding, columns * (w + padding) - padding), fill)
    for i, image in enumerate(x.cpu()):
        top, left = (i // columns) * (h + padding), (i % columns) * (w + padding)
        canvas[:, top : top + h, left : left + w] = image  # grey spreads over the three channels
    return canvas.permute(1, 2, 0).numpy()  # (C, H', W') -> (H', W', C)
