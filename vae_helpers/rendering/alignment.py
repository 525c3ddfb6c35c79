"""Drawn heads turned and widened in the picture, so that a part of one portrait fits on another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.rendering import drawing, faces


def align(pictures: Tensor, factors_from: Tensor, factors_to: Tensor) -> Tensor:
    """Turn and widen drawn heads, from the tilt and face width that they have to those that they shall have.

    A warp of the plane by the drawing's own geometry: back about the neck by the old tilt, stretched along the face's
    axis, forward by the new tilt; bilinear. Everything in the picture turns, as if it were head, so what belongs to
    the body (clothes, background) is wrong afterwards; take only parts of the head from the result. A wider drawn face
    has wider hair and ears, but its eyes and mouth stay in place: for these, give both the same face_width.

    Args:
        pictures: (N, C, H, W), portraits or masks of their parts, H = W.
        factors_from, factors_to: (N, 14), see `vae_helpers.rendering.faces`; only tilt and face_width matter.
    Returns:
        (N, C, H, W); beyond the old picture's border its outermost pixels are repeated.
    """
    checking.tensor(pictures, "pictures", "(N, C, S, S)", "Drawn portraits are square.")
    width = pictures.shape[3]
    for name, factors in (("factors_from", factors_from), ("factors_to", factors_to)):
        faces.check_factors(factors)
        if len(factors) != len(pictures):
            raise ValueError(f"{name} has {len(factors)} rows for {len(pictures)} pictures: give one row for each.")
    tilt_from, width_from = _pose(factors_from.to(pictures))
    tilt_to, width_to = _pose(factors_to.to(pictures))
    centres = drawing.centres(width, pictures)
    x, y = centres[None, None, :], centres[None, :, None] - faces.NECK
    u = (x * tilt_to.cos() + y * tilt_to.sin()) * width_from / width_to  # across the head, (N, H, W)
    v = y * tilt_to.cos() - x * tilt_to.sin()  # along it
    x, y = u * tilt_from.cos() - v * tilt_from.sin(), u * tilt_from.sin() + v * tilt_from.cos() + faces.NECK
    places = torch.stack([x, y], dim=-1)  # where to look in the old picture, (N, H, W, 2)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)


def _pose(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Tilt in radians and half the width of the face, (N, 1, 1) each."""
    tilt, width = (factors[:, faces.index(name), None, None] for name in ("tilt", "face_width"))
    return tilt * faces.LARGEST_TILT, faces.HALF_WIDTH + faces.WIDENING * width
