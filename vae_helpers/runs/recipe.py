"""The model for a folder of anybody's pictures: what was found best in two minutes on one core, over unlike folders.

A convolutional VAE whose likelihood is a Student for each coefficient of a reversible transform: of the pixels
themselves, or of the 5/3 wavelet of grey and two colour differences. Beside the networks runs a straight path, a
linear map to the code and back that begins as the pictures' principal directions: the model begins as its strongest
simple opponent, probabilistic PCA, and learns from there. (`docs/performance.md` has what was tried.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.devices import forked_random_state
from vae_helpers.distributions import bits_per_dim
from vae_helpers.distributions.lifting import Lifting
from vae_helpers.distributions.likelihoods import LiftedLikelihood
from vae_helpers.evaluation import mean_and_error
from vae_helpers.evaluation.bounds import elbo_of_each
from vae_helpers.images import random_shift
from vae_helpers.models import ProbabilisticPCA
from vae_helpers.models.convolutional import ConvDecoder, ConvEncoder
from vae_helpers.models.layers import not_halved
from vae_helpers.models.vae import VAE

RECIPES = {"pixels": 0, "wavelet": 2}  # name -> levels of the wavelet
WIDTH, HIDDEN, LATENTS = 48, 256, 64
BATCH = 32
RATE = 2e-3  # at twice that, units of the encoder die, and of five trainings of 1,000 steps one broke
LOOKED_AT = 2000  # pictures that the beginning is computed from
CHOSEN_BY = 1000  # pictures that choose the transform
COARSE = 32  # places of a side that the straight path goes through, at most
FEW = 4  # pictures for each direction of the straight path, at least
LARGEST = 10.0  # of a coefficient in units of the usual
MOVED_BY = 32  # parts of a side, of which training pictures are moved by one
OFTEN = 16  # times that each picture is seen: before, training does not know them by heart
ALIGNED = 0.04  # bits per dimension by which moved pictures are dearer, where it matters where things lie
MOVED = 200  # pictures that this is measured on


def folder_vae(image_shape: Sequence[int], model: str = "wavelet", latents: int = LATENTS) -> VAE:
    """The untrained model of a recipe; `begin` gives it its beginning.

    Args:
        image_shape: (C, S, S), as for `conv_vae`.
        model: "pixels", or "wavelet".
        latents: D.
    """
    levels = RECIPES[checking.choice(model, "model", RECIPES)]
    channels, side, _ = image_shape = checking.integers(image_shape, "image_shape", "(C, S, S)")
    likelihood = LiftedLikelihood(image_shape, Lifting(levels, colours=levels > 0))
    encoder = _Encoder(ConvEncoder(image_shape, 2 * latents, WIDTH, HIDDEN), likelihood, latents)
    decoder = _Decoder(ConvDecoder((2 * channels, side, side), latents, WIDTH, HIDDEN), image_shape, latents)
    return VAE(encoder, decoder, likelihood, latents)


def proposal(images: Tensor, held_out: Tensor) -> dict[str, Any]:
    """The recipe for pictures, and its numbers.

    The transform is the one whose coefficients, independent and with the usual place and scale each, code held-out
    pictures in fewer bits.

    Args:
        images, held_out: training and validation pictures, `uint8` (N, C, S, S), or some of them.
    Returns:
        "model", "latents", "batch_size", "learning_rate".
    """
    images, held_out = (x[:: max(1, -(-len(x) // CHOSEN_BY))] for x in (images, held_out))
    bits = {}
    for name, levels in RECIPES.items():
        usual = LiftedLikelihood(images.shape[1:], Lifting(levels, colours=levels > 0))
        usual.begin(images)
        zeros = torch.zeros(2 * images.shape[1], *images.shape[2:])
        with torch.no_grad():
            bits[name] = -mean_and_error(usual(zeros).log_prob(usual.prepare(held_out))).mean
    return {
        "model": min(bits, key=bits.get),
        "latents": LATENTS,
        "batch_size": min(BATCH, len(images)),
        "learning_rate": RATE,
    }


@torch.no_grad()
def begin(vae: VAE, images: Tensor) -> VAE:
    """Give a new model its beginning: the usual coefficients, and the principal directions of the coarse ones.

    Args:
        vae: of `folder_vae`.
        images: training pictures, `uint8` (N, C, S, S), of which some thousands are looked at.
    Returns:
        the same model.
    """
    likelihood, images = vae.likelihood, images[:: max(1, -(-len(images) // LOOKED_AT))].to(vae.device)
    likelihood.begin(images)
    coarse = vae.encoder.coarse(likelihood.coefficients(likelihood.prepare(images)))  # (n, P)
    directions = min(vae.latent_dim, len(images) // FEW, coarse.shape[1] - 2)
    if not likelihood.lifting.levels or directions < 1:
        return vae
    pca = ProbabilisticPCA.maximum_likelihood(coarse.cpu(), directions)
    noise = pca.sigma.square()
    spread = pca.W.square().sum(0) + noise  # (K,), of what is seen along each direction
    vae.encoder.straight.begin((pca.W / spread).T.to(coarse))  # E[z | x] of probabilistic PCA
    vae.encoder.log_var[:directions] = (noise / spread).log().to(coarse)
    vae.decoder.straight.weight.zero_()
    vae.decoder.straight.weight[:, :directions] = pca.W.to(coarse)
    for layer in (vae.encoder.network[-1], vae.decoder.network.body[-2]):  # the networks begin small beside it
        layer.weight.mul_(0.1), layer.bias.zero_()
    return vae


def proposed_shift(vae: VAE, held_out: Tensor, seen: float) -> int:
    """By how many pixels, at most, training pictures are best moved at random: by a few, or none.

    A small folder is soon known by heart, and its pictures moved a little are more pictures, if they are as likely as
    the others. Photographs and scans are; portraits whose eyes lie where all others' do are not. The model at its
    beginning tells: by it moved pictures of a folder whose places matter are dearer.

    Args:
        vae: as `begin` leaves it.
        held_out: validation pictures, `uint8` (N, C, S, S).
        seen: how often training will see each picture.
    Returns:
        a 32nd of a side, or 0.
    """
    pixels = max(1, held_out.shape[-1] // MOVED_BY)
    some = held_out[:: max(1, -(-len(held_out) // MOVED))]
    if seen < OFTEN or len(some) < 2:
        return 0
    with forked_random_state():
        torch.manual_seed(0)
        moved = random_shift(some, pixels)
    as_they_are, elsewhere = (elbo_of_each(vae, images, samples=2)[:, 0].mean().item() for images in (some, moved))
    return pixels if bits_per_dim(as_they_are - elsewhere, some[0].numel()) < ALIGNED else 0


class _Straight(nn.Module):
    """A linear map of very many numbers, that a step of Adam moves as little as one of few.

    Adam moves every weight by the learning rate, whatever its size, and what P of them move together adds up: after
    ten steps nothing would be left of the beginning. So what is trained is the weights times sqrt(P) (Karras et al.
    2018, 4.1, "equalized learning rate").
    """

    def __init__(self, wide: int, latents: int):
        super().__init__()
        self.scaled = nn.Parameter(torch.zeros(latents, wide))

    @torch.no_grad()
    def begin(self, weights: Tensor) -> None:
        """Weights (k, P) of the first k outputs; 0 for the others."""
        self.scaled.zero_()
        self.scaled[: len(weights)] = weights * self.scaled.shape[1] ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        """(N, P) -> (N, D)."""
        return nn.functional.linear(x, self.scaled) / self.scaled.shape[1] ** 0.5


class _Encoder(nn.Module):
    """A convolutional encoder, and beside it the straight path from coarse coefficients to the means."""

    def __init__(self, network: nn.Module, likelihood: LiftedLikelihood, latents: int):
        super().__init__()
        channels, side, _ = likelihood.usual.shape
        self.network, self.apart = network, max(1, side // COARSE)
        self.straight = _Straight(channels * (side // self.apart) ** 2, latents)
        self.log_var = nn.Parameter(torch.zeros(latents))
        self._likelihood = [likelihood]  # the VAE's own: not a module of this one

    def coarse(self, coefficients: Tensor) -> Tensor:
        """(N, C, S, S) -> (N, P): those that lie `apart` places apart, bounded."""
        return coefficients[..., :: self.apart, :: self.apart].clamp(-LARGEST, LARGEST).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Levels in (0, 1), (N, C, S, S) -> (N, 2 D)."""
        likelihood = self._likelihood[0]
        coarse = self.coarse(likelihood.coefficients(torch.round(x * likelihood.levels - 0.5)))
        mu, log_var = not_halved(self.network(x)).chunk(2, -1)
        return torch.cat([mu + not_halved(self.straight(coarse)), log_var + self.log_var], -1)


class _Decoder(nn.Module):
    """A convolutional decoder, and beside it the straight path from the code to coarse coefficients."""

    def __init__(self, network: nn.Module, image_shape: Sequence[int], latents: int):
        super().__init__()
        self.channels, self.side, _ = image_shape
        self.network, self.apart = network, max(1, self.side // COARSE)
        places = self.side // self.apart
        self.straight = nn.Linear(latents, self.channels * places**2, bias=False)
        nn.init.zeros_(self.straight.weight)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, 2 C, S, S)."""
        raw = not_halved(self.network(z))
        coarse = not_halved(self.straight(z)).unflatten(-1, (self.channels, *2 * (self.side // self.apart,)))
        spread = raw.new_zeros(len(z), self.channels, self.side, self.side)
        spread[..., :: self.apart, :: self.apart] = coarse
        return torch.cat([raw[:, : self.channels] + spread, raw[:, self.channels :]], 1)
