"""A residual convolutional denoiser: a network that predicts the noise in a picture, given how strong it is.

No autoencoder: nothing forces the picture through a narrow code, and it cannot make pictures. It learns the posterior
mean E[x | y] of a clean picture x given a noisy one y. To predict the noise instead of the picture is the idea of
Zhang et al. (2017, DnCNN), to tell the network the noise's level that of Zhang et al. (2018, FFDNet); the coarse levels
with shortcuts between them are those of a U-net (Ronneberger et al. 2015).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.moved import former_names


class ResidualDenoiser(nn.Module):
    """Noisy pictures and the noise's standard deviation -> estimates of the clean pictures.

    Args:
        channels: C of the pictures.
        widths: channels of the network at a half, a quarter, an eighth, ... of the pictures' resolution.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 48, 64)):
        super().__init__()
        channels, widths = checking.integer(channels, "channels"), checking.integers(widths, "widths")
        self.channels, self.step = channels, 2 ** len(widths)  # sides are made multiples of `step`
        steps = list(itertools.pairwise(widths))
        self.enter = nn.Conv2d(4 * channels + 1, widths[0], 3, padding=1)
        self.before = nn.ModuleList(_Block(width) for width, _ in steps)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.coarsest = _Block(widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps)
        self.after = nn.ModuleList(_Block(width) for width, _ in steps)
        self.leave = nn.Conv2d(widths[0], 4 * channels, 3, padding=1)

    def forward(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """Estimates of E[x | y] for y = x + sigma * eps.

        Args:
            y: noisy pictures, not clipped, (N, C, H, W), floating point; H and W are free.
            sigma: standard deviation of the noise on the scale [0, 1] of the pictures, a number or (N,); 0 returns y.
        Returns:
            (N, C, H, W) `float32`, not clipped.
        Raises:
            TypeError, ValueError: not such pictures, NaN, or a sigma that is negative or infinite.
        """
        sigma = self._checked(y, sigma)
        height, width = y.shape[2:]
        padded = F.pad(y.float(), (0, -width % self.step, 0, -height % self.step), mode="replicate")
        x = F.pixel_unshuffle(padded - 0.5, 2)  # (N, 4 C, H/2, W/2)
        x = torch.cat([x, sigma.expand(len(x), 1, *x.shape[2:])], 1)
        eps = F.pixel_shuffle(self._body(x).float(), 2)[..., :height, :width]  # of variance 1, about
        return y.float() - sigma * eps

    def _body(self, x: Tensor) -> Tensor:
        x, shortcuts = self.enter(x), []
        for block, down in zip(self.before, self.down, strict=True):
            shortcuts.append(block(x))
            x = down(shortcuts[-1])
        x = self.coarsest(x)
        for up, block, shortcut in reversed(list(zip(self.up, self.after, shortcuts, strict=True))):
            x = block(up(x) + shortcut)
        return self.leave(x)

    def _checked(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """Sigma as (N, 1, 1, 1) or (1, 1, 1, 1) beside y."""
        grey = "A grey network takes a colour picture as three grey ones: y.flatten(0, 1)[:, None]."
        checking.tensor(y, "y", f"(N, {self.channels}, H, W)", grey if self.channels == 1 else "")
        if not isinstance(sigma, Tensor):
            sigma = checking.number(sigma, "sigma", 0)
        sigma = torch.as_tensor(sigma, device=y.device, dtype=torch.float32)
        if sigma.dim() > 1 or len(sigma.reshape(-1)) not in (1, len(y)):
            raise ValueError(f"sigma must be a number or have shape ({len(y)},), not {tuple(sigma.shape)}.")
        if not ((sigma >= 0) & torch.isfinite(sigma)).all():
            raise ValueError(f"sigma must be finite and at least 0, not {sigma.tolist()}.")
        return sigma.reshape(-1, 1, 1, 1)


class _Block(nn.Module):
    """x + two convolutions of x: (N, width, h, w) -> the same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


__getattr__ = former_names(
    __name__,
    denoising_error="vae_helpers.objectives.denoising_error",
    shipped_denoiser="vae_helpers.pretrained.denoiser",
)
