"""Styles of portraits, drawn from seven known factors: how a portrait is shown, whatever it shows.

Four of them make the palette, an affine map of colours; the others are ink along the outlines, light from one side, and
hatching. `vae_helpers.rendering.faces.render` draws any portrait in any style.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_helpers.rendering.drawing import centres, wave
from vae_helpers.rendering.factors import Factor, FactorTable

FACTORS = (
    Factor("hue", -1, 1, "all colours turned by a tenth of a turn, towards violet ... towards green"),
    Factor("saturation", -1, 1, "nearly grey ... vivid; 0 leaves colours as they are"),
    Factor("warmth", -1, 1, "bluish ... yellowish light"),
    Factor("paleness", 0, 1, "full colours ... half-way to white paper"),
    Factor("ink", 0, 1, "no outlines ... heavy ones"),
    Factor("light", -1, 1, "from the upper left ... from the upper right; 0 is from everywhere"),
    Factor("hatching", 0, 1, "no strokes ... dark strokes in dark places; for 64 pixels and more"),
)
TABLE = FactorTable(FACTORS, module="styles", picture="style", setting="TABLE.with_factors")
NAMES = TABLE.names
TURN = math.radians(36)  # of the hue, at most
LEAST, MOST = 0.25, 1.4  # saturation
STROKES = 16  # along a side
PAPER = (0.98, 0.97, 0.94)


def sample(n: int, seed: int = 0, hatching: bool = False) -> Tensor:
    """Factors of n styles: uniform and independent.

    Args:
        n: how many styles, at least 1.
        seed: a whole number from 0 to 2^63 - 1; the same seed gives the same styles.
        hatching: without it, none of them is hatched.
    Returns:
        (n, 7), columns in the order of `NAMES`. The first styles of a larger n are those of a smaller one.
    Raises:
        ValueError: n or seed is no whole number, or out of its range.
    """
    styles = TABLE.uniform(n, seed)
    return styles if hatching else TABLE.with_factors(styles, hatching=0.0)


def plain(n: int = 1) -> Tensor:
    """The style of `faces.render` without any: (n, 7) zeros."""
    return torch.zeros(n, len(FACTORS))


def for_portraits(styles: Tensor, n: int) -> Tensor:
    """Styles (n, 7), or one (1, 7) for all of n portraits, checked."""
    TABLE.check(styles)
    if len(styles) not in (1, n):
        raise ValueError(f"there are {n} portraits and {len(styles)} styles: give one style for each, or one for all.")
    return styles.expand(n, -1)


def palette(styles: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of colours in these styles: colour -> A colour + b.

    Args:
        styles: (N, 7).
    Returns:
        A (N, 3, 3) and b (N, 3).
    """
    hue, saturation, warmth, paleness = styles[:, :4, None, None].unbind(1)  # (N, 1, 1) each
    grey = styles.new_full((3, 3), 1 / 3)  # the projection on the axis of greys
    turned = (TURN * hue).cos() * (torch.eye(3).to(styles) - grey) + (TURN * hue).sin() * _about_grey(styles)
    kept = torch.where(saturation < 0, 1 + (1 - LEAST) * saturation, 1 + (MOST - 1) * saturation)
    blue, yellow = (-warmth).clamp(min=0), warmth.clamp(min=0)
    light = torch.cat([1 - 0.2 * blue, 1 - 0.06 * (blue + yellow), 1 - 0.24 * yellow], 1)  # (N, 3, 1)
    share = 1 - 0.5 * paleness
    return share * light * (grey + kept * turned), ((1 - share) * styles.new_tensor(PAPER)[:, None])[..., 0]


def coloured(pictures: Tensor, styles: Tensor) -> Tensor:
    """The pictures (N, 3, H, W) in the palettes of the styles (N, 7): A colour + b in each pixel."""
    A, b = palette(styles)
    return torch.baddbmm(b[..., None], A, pictures.flatten(2)).unflatten(2, pictures.shape[2:])


def lit(pictures: Tensor, styles: Tensor) -> Tensor:
    """The pictures (N, 3, S, S) in the light of the styles (N, 7): brighter towards the side that it comes from."""
    light = styles[:, TABLE.index("light"), None, None, None]  # (N, 1, 1, 1)
    return pictures * (1 + 0.22 * light * centres(pictures.shape[-1], pictures) - 0.06 * light.abs())


def hatched(pictures: Tensor, styles: Tensor) -> Tensor:
    """The pictures (N, 3, S, S) in the hatching of the styles (N, 7): diagonal strokes, broader where it is darker."""
    hatching = styles[:, TABLE.index("hatching"), None, None, None]  # (N, 1, 1, 1)
    if not hatching.any():
        return pictures
    at = centres(pictures.shape[-1], pictures)
    stroke = wave(STROKES * (at[:, None] + at) / 2)  # (S, S)
    dark = 1 - pictures.mean(1, keepdim=True)  # (N, 1, S, S)
    inked = (1.5 * (stroke - 1 + 2.2 * dark) + 0.5).clamp(0, 1)
    drawn = torch.lerp(torch.lerp(pictures, torch.ones_like(pictures), 0.3), pictures * 0.5, inked)
    return torch.lerp(pictures, drawn, hatching)


def _about_grey(like: Tensor) -> Tensor:
    """The cross product with the unit vector of greys, as a matrix (3, 3): a quarter of a turn of the hue."""
    return like.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
