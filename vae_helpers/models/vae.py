"""The variational autoencoder (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Independent

from vae_helpers import checking
from vae_helpers.distributions import BernoulliLikelihood, diagonal_gaussian, soft_bound
from vae_helpers.models.layers import mlp, not_halved
from vae_helpers.models.protocol import LatentVariableModel


class VAE(LatentVariableModel):
    """p(z) = N(0, I), p(x | z) from a decoder network and a likelihood, q(z | x) from an encoder network.

    Args:
        encoder: (N, C, H, W) -> (N, 2 D): the means, then the logs of the variances.
        decoder: (N, D) -> (N, C, H, W): what the likelihood makes a distribution of.
        likelihood: a `Likelihood` of `vae_helpers.distributions`, such as `BernoulliLikelihood()`.
        latent_dim: D.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, likelihood: nn.Module, latent_dim: int):
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent_dim = checking.integer(latent_dim, "latent_dim")

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) as the data that the likelihood is defined on."""
        return self.likelihood.prepare(images).to(self.dtype)

    def encode(self, x: Tensor) -> Independent:
        """(N, C, H, W) -> q(z | x), batch shape (N,), event shape (D,)."""
        mu, raw_log_var = not_halved(self.encoder(self.likelihood.encoder_input(x))).chunk(2, dim=-1)  # (N, D) each
        return diagonal_gaussian(mu, soft_bound(raw_log_var))

    def decode(self, z: Tensor) -> Independent:
        """Codes (..., D) -> p(x | z), batch shape (...), event shape (C, H, W)."""
        flat = not_halved(self.decoder(z.reshape(-1, self.latent_dim)))  # (prod(...), C, H, W)
        return self.likelihood(flat.reshape(*z.shape[:-1], *flat.shape[1:]))


def mlp_vae(
    image_shape: Sequence[int],
    latent_dim: int,
    hidden: Sequence[int] = (256,),
    likelihood: nn.Module | None = None,
) -> VAE:
    """A VAE of fully connected layers.

    Args:
        image_shape: (C, H, W).
        latent_dim: D.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them.
        likelihood: by default `BernoulliLikelihood()`.
    """
    image_shape = checking.integers(image_shape, "image_shape", "(C, H, W)")
    hidden = checking.integers(hidden, "hidden", fewest=0)
    latent_dim, likelihood = checking.integer(latent_dim, "latent_dim"), likelihood or BernoulliLikelihood()
    painted = (getattr(likelihood, "outputs", 1) * image_shape[0], *image_shape[1:])  # numbers that the decoder gives
    encoder = nn.Sequential(nn.Flatten(), mlp([math.prod(image_shape), *hidden, 2 * latent_dim]))
    decoder = nn.Sequential(mlp([latent_dim, *reversed(hidden), math.prod(painted)]), nn.Unflatten(-1, painted))
    return VAE(encoder, decoder, likelihood, latent_dim)
