"""A whole picture from blocks: what works on squares of one size, applied to pictures of any size.

A picture is cut into square blocks that overlap, each block is treated by itself, and the results are averaged with
weights that fade towards the border of a block (overlap-add). Where blocks do not overlap their borders show as seams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking


def window(size: int, device: torch.device | str | None = None) -> Tensor:
    """Weights of a block's pixels that fade smoothly from its middle to its border: a product of two raised cosines.

    w(i) = sin^2(pi (i + 1/2) / size) along each axis. Copies that are shifted by half a block sum to one.

    Args:
        size: side of the block in pixels, >= 1.
        device: where the weights are put.
    Returns:
        (size, size), > 0.
    """
    size = checking.integer(size, "size")
    line = torch.sin(math.pi * (torch.arange(size, device=device) + 0.5) / size).square()  # (size,)
    return torch.outer(line, line)


@torch.no_grad()
def blockwise(
    treat: Callable[[Tensor], Tensor],
    pictures: Tensor,
    size: int,
    stride: int | None = None,
    batch_size: int = 4096,
) -> Tensor:
    """Treat pictures block by block and put them together again.

    The picture is continued beyond its borders by reflection, so that every pixel is covered by as many blocks as any
    other. Each pixel is the mean of what the blocks over it say, weighted by `window`.

    Args:
        treat: (B, C, size, size) -> the same shape; called with at most `batch_size` blocks.
        pictures: floating point (N, C, H, W), H, W >= size.
        size: side of a block in pixels.
        stride: pixels from one block to the next, 1 to size; by default half a block. `stride = size` means no overlap.
        batch_size: blocks at a time; no more are ever cut out, so that pictures of any size fit into memory.
    Returns:
        (N, C, H, W), of the type and on the device of `pictures`.
    Raises:
        TypeError: not floating point.
        ValueError: another shape, pictures smaller than a block, a stride out of its range, or a `treat` that changes
            the shape of the blocks.
    """
    size, batch_size = checking.integer(size, "size"), checking.integer(batch_size, "batch_size")
    stride = max(1, size // 2) if stride is None else checking.integer(stride, "stride")
    if stride > size:
        raise ValueError(f"stride = {stride} leaves gaps between blocks of {size} pixels: it must be at most {size}.")
    checking.floating(pictures, "pictures", "(N, C, H, W)")
    checking.shape(pictures, "pictures", "(N, C, H, W)", "A block must fit in.", H=size, W=size)
    n, channels, height, width = pictures.shape
    before = size - stride  # what stands over the border at the top and on the left
    bottom, right = (_after(extent, size, stride) for extent in (height, width))
    padded = F.pad(pictures, (before, right, before, bottom), mode="reflect")
    exact = torch.promote_types(pictures.dtype, torch.float32)  # half precision rounds the weights of a corner to zero
    weights = window(size, pictures.device).to(exact)
    shape = n, channels + 1, *padded.shape[2:]  # weighted answers; in the last channel the weights
    total = torch.zeros(shape, dtype=exact, device=pictures.device)
    rows, columns = (1 + (extent - size) // stride for extent in padded.shape[2:])
    for some, r, c in _groups(n, rows, columns, batch_size):
        tall, wide = (slice(s.start * stride, (s.stop - 1) * stride + size) for s in (r, c))
        blocks = F.unfold(padded[some, :, tall, wide], size, stride=stride)  # (n, C size^2, L)
        count, _, places = blocks.shape
        blocks = blocks.transpose(1, 2).reshape(count * places, channels, size, size)
        answers = _same_shape(treat(blocks), blocks).to(weights) * weights
        answers = torch.cat([answers, weights.expand(len(answers), 1, size, size)], dim=1)
        answers = answers.reshape(count, places, -1).transpose(1, 2)  # (n, (C + 1) size^2, L)
        part = total[some, :, tall, wide]
        part += F.fold(answers, part.shape[2:], size, stride=stride)
    total = total[..., before : before + height, before : before + width]
    return (total[:, :-1] / total[:, -1:]).to(pictures.dtype)


def _groups(pictures: int, rows: int, columns: int, most: int) -> Iterator[tuple[slice, ...]]:
    """Share out a grid of blocks in boxes of at most `most`: slices of pictures, of rows and of columns of blocks."""
    wide = min(columns, most)
    tall = min(rows, most // wide)
    steps = (most // (tall * wide), tall, wide)
    counts = (pictures, rows, columns)
    for starts in product(*(range(0, count, step) for count, step in zip(counts, steps, strict=True))):
        yield tuple(slice(i, min(i + step, n)) for i, step, n in zip(starts, steps, counts, strict=True))


def _after(extent: int, size: int, stride: int) -> int:
    """Pixels to add at the end, so that the last pixel is covered by as many blocks as one in the middle."""
    return (size - stride) + (-extent - (size - stride)) % stride


def _same_shape(treated: Tensor, blocks: Tensor) -> Tensor:
    if treated.shape != blocks.shape:
        raise ValueError(f"treat made blocks of shape {tuple(treated.shape)} out of {tuple(blocks.shape)}.")
    return treated
