"""Two small networks that read the factors of drawn portraits from their pixels, as unlike each other as may be.

A `FactorReader` may lend its features to a loss; a `PortraitJudge` scores what came of it.
`tools/train_factor_reader.py` trains them, `vae_helpers.pretrained` has them trained, `vae_helpers.evaluation` asks
them.
"""

from __future__ import annotations

from itertools import pairwise

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


class PortraitJudge(nn.Module):
    """The same task by other means: residual blocks from full resolution on, averaged down, normalised by groups.

    No feature of it is a feature of `FactorReader`: another first layer, depth, activation and normalisation, and it is
    trained on other portraits, spoiled in other ways.
    """

    def __init__(self, width: int = 16):
        super().__init__()
        stages = (width, 2 * width, 4 * width, 6 * width)  # at 32, 16, 8 and 4 places a side
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1)]
        for c_in, c_out in pairwise(stages):
            layers += [_Residual(c_in), nn.Conv2d(c_in, c_out, 1), nn.AvgPool2d(2)]
        layers += [_Residual(stages[-1]), nn.Conv2d(stages[-1], 2 * width, 1), nn.GELU(), nn.Flatten()]
        self.body = nn.Sequential(*layers, nn.Linear(2 * width * (SIZE // 8) ** 2, FEATURE_DIM), nn.GELU())
        self.head = nn.Linear(FEATURE_DIM, len(faces.FACTORS))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) in [0, 1] -> (N, 14), low ... high of each factor as -1 ... 1."""
        return self.head(self.body(x))


class _Residual(nn.Module):
    """x + two convolutions of x, each after a normalisation: (N, width, h, w) -> the same shape."""

    def __init__(self, width: int):
        super().__init__()
        steps = [(nn.GroupNorm(4, width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)) for _ in range(2)]
        self.steps = nn.Sequential(*(layer for step in steps for layer in step))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.steps(x)


def to_reading_size(x: Tensor) -> Tensor:
    """Portraits as the network sees them: (N, 3, S, S) -> (N, 3, 32, 32), averaged."""
    return x if x.shape[-1] == SIZE else F.interpolate(x, size=(SIZE, SIZE), mode="area")


def _convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1), nn.BatchNorm2d(channels_out), nn.SiLU()
    )
