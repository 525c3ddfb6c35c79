"""Make docs/images/digits_plane.png, the picture at the top of README.md, from nothing but the package.

    python tools/readme_picture.py [PICTURE.png]

A VAE with a code of two numbers is trained on the enlarged digits, and its decoder's mean image is drawn at each
point of a grid over the plane of codes. The grid is even in the prior's probability, not in the codes themselves
(Kingma & Welling 2014, appendix A). Takes a minute or two on a CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imsave
from torch import Tensor

from vae_helpers import fit, load, mlp_vae, plots, seed_everything

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "digits_plane.png"
ROWS, COLUMNS, SIZE, ENLARGED = 8, 20, 24, 2
BESIDE, ABOVE = 1, 4  # pixels of paper beside and above each digit
EDGE = 0.03  # of the prior's probability, left out on each side of the plane
PAPER = "#0B1B2B"
TINTS = ("sky", "yellow", "vermilion")  # of plots.COLOURS, from left to right


def plane(rows: int, columns: int) -> Tensor:
    """Codes (rows * columns, 2) on a grid that is even in the probability of N(0, I), row by row."""
    normal = torch.distributions.Normal(0.0, 1.0)
    down = normal.icdf(torch.linspace(1 - EDGE, EDGE, rows))
    across = normal.icdf(torch.linspace(EDGE, 1 - EDGE, columns))
    return torch.stack([across.repeat(rows), down.repeat_interleave(columns)], -1)


def coloured(means: Tensor, rows: int, columns: int) -> np.ndarray:
    """Mean images (rows * columns, 1, H, W) as one picture, tinted by their place: (H', W', 3)."""
    means = torch.nn.functional.pad(means, (BESIDE, BESIDE, ABOVE, ABOVE))
    _, _, h, w = means.shape
    ink = means.reshape(rows, columns, h, w).permute(0, 2, 1, 3).reshape(rows * h, columns * w, 1)
    tints = torch.tensor([to_rgb(plots.COLOURS[name]) for name in TINTS])  # (3, 3)
    tint = torch.nn.functional.interpolate(tints.T[None], size=columns * w, mode="linear", align_corners=True)
    tint = tint[0].T  # (columns * W, 3), one colour for each column of pixels
    paper = torch.tensor(to_rgb(PAPER))
    return (paper + ink * (tint - paper)).numpy()


def main(target: Path = PICTURE) -> None:
    """Train, draw and write the picture."""
    digits = load("digits", size=SIZE)
    seed_everything(0)
    vae = mlp_vae(digits.image_shape, latent_dim=2, hidden=(512, 256))
    print(fit(vae, digits.train.images, steps=5000))
    with torch.no_grad():
        means = vae.decode(plane(ROWS, COLUMNS).to(vae.device)).mean.cpu()
    picture = coloured(means, ROWS, COLUMNS).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    imsave(target, np.rint(picture * 255).astype(np.uint8))
    print(f"{target.name}: {picture.shape[1]} x {picture.shape[0]} pixels, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
