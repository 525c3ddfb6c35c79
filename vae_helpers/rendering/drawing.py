"""What drawn pictures are made of: shapes by signed distance, smooth edges, and layers from back to front.

A shape is a signed distance, below zero inside; a picture spans [-1, 1] x [-1, 1], y downwards, and distances are
lengths in it. How much of a pixel a shape covers follows from the distance at the pixel's centre, which smooths its
edge. What is seen of a layer is its coverage times what the layers in front leave uncovered, so the seen shares of all
layers sum to one in each pixel if the one at the back covers everything.

Everything works on a batch at a time, on the device of what it is given. Arguments are not checked here, where each is
used hundreds of times for a picture: the modules that draw with it check what their callers give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Colour = tuple[float, float, float]  # sRGB in [0, 1]

PIXELS_AT_A_TIME = {"cpu": 2**18, "cuda": 2**24, "mps": 2**22}  # few calls, little memory; measured


class Layer(NamedTuple):
    """A shape in one colour, in a window of the picture."""

    part: str  # what it belongs to
    colour: Tensor  # (N, 3)
    coverage: Tensor  # (N, h, w) in [0, 1], in the window
    window: tuple[slice, slice]  # rows and columns


# --- shapes ------------------------------------------------------------------------------------------------------


def centres(size: int, like: Tensor) -> Tensor:
    """The coordinates of the pixels' centres along one axis, (size,), of the type and on the device of `like`."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2 / size) - 1


def ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float, scale: Tensor | float | None = None) -> Tensor:
    """Signed distance to an ellipse about the origin with half-axes a and b, exact to first order near its edge.

    With r^2 = (x/a)^2 + (y/b)^2, r - 1 is (r^2 - 1) / 2 near r = 1, which saves a square root; `scale` turns it into a
    length, the mean radius by default.

    Args:
        x, y: coordinates of the pixels, shapes that broadcast.
    """
    if scale is None:
        scale = (a * b) ** 0.5
    return ((x / a).square() + (y / b).square()).sub_(1).mul_(0.5 * scale)


def smooth_minimum(a: Tensor, b: Tensor, width: float) -> Tensor:
    """The distance to the union of two shapes, the corner between them filled over `width`."""
    blend = (0.5 + 0.5 * (b - a) / width).clamp(0, 1)
    return torch.lerp(b, a, blend) - width * blend * (1 - blend)


def blob(x: Tensor, y: Tensor, a: float, b: float) -> Tensor:
    """A soft spot about the origin: 1 in the middle, 0 from half-axes a and b on."""
    return (1 - (x / a).square() - (y / b).square()).clamp_(min=0).square_()


def wave(turns: Tensor) -> Tensor:
    """Much like sin(2 pi turns), made of parabolas, at a third of the cost."""
    t = turns - turns.round()
    return 8 * t * (1 - 2 * t.abs())


# --- edges -------------------------------------------------------------------------------------------------------


def cover_(distance: Tensor, size: int) -> Tensor:
    """The share of a pixel inside a shape, in [0, 1], from the signed distance at its centre. Changes its argument.

    Args:
        distance: any shape.
        size: pixels of the picture's side.
    """
    return distance.mul_(-size / 2).add_(0.5).clamp_(0, 1)


def to_edge(distance: Tensor, size: int) -> Tensor:
    """How far a pixel is from a shape's edge, also where the distance does not grow by one per unit of length.

    Args:
        distance: (N, h, w), signed, of neighbouring pixels.
        size: pixels of the picture's side.
    Returns:
        (N, h, w), >= 0.
    """
    rise, run = torch.gradient(distance, spacing=2 / size, dim=(1, 2))
    return distance.abs() / (rise.square() + run.square()).sqrt_().clamp_(min=0.3)


# --- colours -----------------------------------------------------------------------------------------------------


def along(path: Sequence[Colour], place: Tensor) -> Tensor:
    """The colours at places on a path of colours that follow each other in equal steps.

    Args:
        place: (N,) in [0, 1].
    Returns:
        (N, 3).
    """
    stops = place.new_tensor(path)
    place = place * (len(path) - 1)
    before = place.floor().clamp(max=len(path) - 2).long()
    return torch.lerp(stops[before], stops[before + 1], (place - before)[:, None])


# --- pictures ----------------------------------------------------------------------------------------------------


def seen(layers: Sequence[Layer], size: int) -> Tensor:
    """The share of each pixel in which a layer is seen.

    Args:
        layers: from back to front.
        size: pixels of the picture's side.
    Returns:
        (N, L, size, size) in [0, 1].
    """
    like = layers[0].colour
    shares = like.new_zeros(len(like), len(layers), size, size)
    uncovered = like.new_ones(len(like), size, size)
    for i in reversed(range(len(layers))):  # from the front
        here = (slice(None), *layers[i].window)
        share = torch.mul(layers[i].coverage, uncovered[here], out=shares[:, i][here])
        uncovered[here] -= share
    return shares


def painted(layers: Sequence[Layer], shares: Tensor) -> Tensor:
    """The sum over layers of (seen share) * (colour): (N, L, H, W) -> (N, 3, H, W)."""
    colours = torch.stack([layer.colour for layer in layers], dim=2)  # (N, 3, L)
    return torch.bmm(colours, shares.flatten(2)).unflatten(2, shares.shape[2:])


def tiles(picture: Tensor, laid: bool) -> Tensor:
    """The mean over each square tile; `laid` tiles differ a little in brightness and, if large enough, show joints.

    Args:
        picture: (N, C, size, size).
    Returns:
        the same shape.
    """
    size = picture.shape[-1]
    tile = max(2, size // 32)
    means = F.avg_pool2d(picture, tile, ceil_mode=True, count_include_pad=False)  # (N, C, T, T)
    if laid:
        count = means.shape[-1]
        shades = torch.rand(count, count, generator=torch.Generator().manual_seed(0)).to(picture)
        means = means * (0.93 + 0.12 * shades)
    result = means.repeat_interleave(tile, 2).repeat_interleave(tile, 3)[..., :size, :size].contiguous()
    if laid and tile >= 4:
        joint = torch.arange(size, device=picture.device) % tile == tile - 1
        result[..., joint, :] *= 0.86
        result[..., :, joint] *= 0.86
    return result


def in_chunks(draw: Callable[[Tensor], Tensor], factors: Tensor, size: int) -> list[Tensor]:
    """`draw` of some rows of factors at a time, which bounds the memory, on as many threads as torch may use.

    Args:
        draw: (n, F) -> what is drawn of n pictures.
        factors: (N, F), a row for each picture.
        size: pixels of a picture's side.
    """
    chunks = factors.split(max(1, PIXELS_AT_A_TIME.get(factors.device.type, 2**18) // size**2))
    threads = torch.get_num_threads() if factors.device.type == "cpu" else 1
    if threads == 1 or len(chunks) == 1:
        return [draw(chunk) for chunk in chunks]
    torch.set_num_threads(1)  # a thread draws whole pictures: sharing each small operation would cost more
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(draw, chunks))
    finally:
        torch.set_num_threads(threads)
