"""A small convolutional network that reads the factors of drawn portraits from their pixels.

`tools/train_factor_reader.py` trains it, `vae_helpers.pretrained` has it trained, `vae_helpers.evaluation` asks it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers.rendering import faces

SIZE = 32  # pixels of a side that the network sees
FEATURE_DIM = 64


class FactorReader(nn.Module):
    """Portraits -> 64 features -> 14 factors, each on the scale [-1, 1]."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),  # (N, 3, 32, 32) -> (N, 12, 16, 16)
            _convolution(12, width),
            _convolution(width, 2 * width, stride=2),  # (N, 64, 8, 8)
            _convolution(2 * width, 2 * width),
            _convolution(2 * width, 3 * width, stride=2),  # (N, 96, 4, 4)
            _convolution(3 * width, 4 * width, stride=2),  # (N, 128, 2, 2)
            nn.Flatten(),
            nn.Linear(4 * width * (SIZE // 16) ** 2, FEATURE_DIM),
            nn.SiLU(),
        )
        self.head = nn.Linear(FEATURE_DIM, len(faces.FACTORS))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) in [0, 1] -> (N, 14), low ... high of each factor as -1 ... 1."""
        return self.head(self.body(x))


def to_reading_size(x: Tensor) -> Tensor:
    """Portraits as the network sees them: (N, 3, S, S) -> (N, 3, 32, 32), averaged."""
    return x if x.shape[-1] == SIZE else F.interpolate(x, size=(SIZE, SIZE), mode="area")


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1), nn.BatchNorm2d(channels_out), nn.SiLU()
    )
