"""The autoencoder: a code and a reconstruction, no probabilities yet (Hinton & Salakhutdinov 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.images import to_float
from vae_helpers.models.layers import mlp, not_halved


class Autoencoder(nn.Module):
    """x -> z -> x_hat through a bottleneck of `latent_dim` numbers.

    Args:
        image_shape: (C, H, W).
        latent_dim: D, the size of the bottleneck.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them. Empty: no hidden layer.

    With `hidden=()` encoder and decoder are affine maps, and the best such model spans the principal subspace
    (Bourlard & Kamp 1988); otherwise the output goes through a sigmoid into (0, 1).
    """

    def __init__(self, image_shape: Sequence[int], latent_dim: int, hidden: Sequence[int] = (256, 128)):
        super().__init__()
        image_shape = checking.integers(image_shape, "image_shape", "(C, H, W)")
        hidden = checking.integers(hidden, "hidden", fewest=0)
        dims = math.prod(image_shape)
        self.latent_dim = latent_dim = checking.integer(latent_dim, "latent_dim")
        self.encoder = nn.Sequential(nn.Flatten(), mlp([dims, *hidden, latent_dim]))
        squash = [nn.Sigmoid()] if hidden else []
        self.decoder = nn.Sequential(mlp([latent_dim, *reversed(hidden), dims]), *squash, nn.Unflatten(-1, image_shape))

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) -> `float32` in [0, 1]."""
        return to_float(images)

    def encode(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> codes z (N, D)."""
        return not_halved(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """Codes (N, D) -> images (N, C, H, W)."""
        return not_halved(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x, (N, C, H, W)."""
        return self.decode(self.encode(x))
