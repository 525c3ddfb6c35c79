"""A VAE and a critic that tells its pictures from real ones (Goodfellow et al. 2014; Larsen et al. 2016).

The critic is a second network with an objective of its own; `fit` trains the two in turns, as `phases` says. The VAE
stays a VAE: `pair.vae` is evaluated and saved like any other, and the critic is thrown away in the end.
"""

from __future__ import annotations

from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import LatentVariableModel, prepared


class PatchDiscriminator(nn.Module):
    """Pictures -> logits, one for each place: is the patch of 18 x 18 pixels around it real? (Isola et al. 2017).

    It sees texture and edges, not the whole: that a face has two eyes is not for it to say.

    Args:
        channels: C of the pictures.
        width: channels of the first convolution; the others have twice as many.
    """

    def __init__(self, channels: int = 3, width: int = 32):
        super().__init__()
        channels, width = checking.integer(channels, "channels"), checking.integer(width, "width")
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, width, 3, padding=1), nn.LeakyReLU(0.2)),
                nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)),
                nn.Sequential(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.LeakyReLU(0.2)),
            ]
        )
        self.head = nn.Conv2d(2 * width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> logits (N, H/4, W/4), above 0 where it takes the patch for real.

        H and W must be even; their quarters are rounded up.
        """
        return not_halved(self.head(self.features(x)[-1]).squeeze(1))

    def features(self, x: Tensor) -> list[Tensor]:
        """What its three stages say, for feature matching (Larsen et al. 2016, equation 7): (N, F, h, w) each."""
        maps = [x - 0.5]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return [not_halved(one) for one in maps[1:]]


class AdversarialPair(nn.Module):
    """A VAE and its critic, to be trained in turns.

    Args:
        vae: a model of the protocol whose decoder's mean is a picture.
        critic: (N, C, H, W) -> logits (N, ...), such as a `PatchDiscriminator`.
    """

    def __init__(self, vae: LatentVariableModel, critic: nn.Module):
        super().__init__()
        self.vae, self.critic = vae, critic

    def prepare(self, images: Tensor) -> Tensor:
        """As the VAE does."""
        return prepared(self.vae, images)
