"""Layers with alpha: premultiplied colours, one laid over another, masks with a soft edge.

Pictures are floating point, (N, C, H, W), about [0, 1] and never clipped here; masks are (N, 1, H, W), in [0, 1].
Every function checks its arguments: a TypeError for what is no floating-point tensor, a ValueError for shapes that do
not match, NaN, and values out of their domain.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.images import check_pictures, check_same_size


def premultiply(rgba: Tensor) -> Tensor:
    """Straight colours to premultiplied ones: (r, g, b, a) -> (r a, g a, b a, a).

    Args:
        rgba: (N, 4, H, W), alpha last among the channels, in [0, 1].
    """
    _check_rgba(rgba, "rgba")
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)


def unpremultiply(rgba: Tensor) -> Tensor:
    """Premultiplied colours to straight ones; a pixel with alpha 0 has no colour and becomes black.

    Args:
        rgba: (N, 4, H, W), premultiplied.
    """
    _check_rgba(rgba, "rgba")
    alpha = rgba[:, 3:]
    colour = torch.where(alpha > 0, rgba[:, :3] / torch.where(alpha > 0, alpha, 1), 0)
    return torch.cat([colour, alpha], dim=1)


def over(front: Tensor, back: Tensor) -> Tensor:
    """The layer `front` laid over the layer `back`: front + (1 - alpha of front) back, in all four channels.

    Associative: over(over(a, b), c) = over(a, over(b, c)) (Porter & Duff 1984, section 4.3).

    Args:
        front, back: (N, 4, H, W) with premultiplied colours; an N of 1 serves all pictures of the other.
    Returns:
        (N, 4, H, W), premultiplied.
    """
    _check_rgba(front, "front")
    _check_rgba(back, "back")
    check_same_size(front, back, "front", "back")
    return front + (1 - front[:, 3:]) * back


def feather(mask: Tensor, radius: float) -> Tensor:
    """A mask with a soft edge: averaged with weights that fall linearly to zero beyond `radius` pixels, in each axis.

    A straight edge becomes a ramp that reaches `radius` pixels to either side; the mask is continued beyond the
    picture's border by its outermost pixels.

    Args:
        mask: (N, 1, H, W) in [0, 1].
        radius: pixels, at least 0; 0 leaves the mask as it is. At most the picture's shorter side.
    """
    check_pictures(mask, "mask", "(N, 1, H, W)")
    shorter = min(mask.shape[2:])
    radius = checking.number(radius, "radius", 0, shorter, "It counts pixels, at most those of the shorter side.")
    reach = int(radius)
    steps = torch.arange(-reach, reach + 1, dtype=mask.dtype, device=mask.device)
    weights = radius + 1 - steps.abs()
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    padded = F.pad(mask, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, weights), weights.transpose(2, 3)).clamp(0, 1)


def _check_rgba(x: Tensor, name: str) -> None:
    checking.tensor(
        x, name, "(N, 4, H, W)", "The channels are red, green, blue, alpha: torch.cat([picture, alpha], 1)."
    )
    checking.unit(x[:, 3], f"the alpha of {name}")
