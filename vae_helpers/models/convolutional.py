"""Convolutional networks for pictures, small enough to train in a minute on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.distributions import GaussianLikelihood
from vae_helpers.models.layers import not_halved
from vae_helpers.models.vae import VAE

PATCH = 4  # pixels of a side that the decoder's last layer paints at once
COARSEST = 8  # places of a side at which the decoder starts, at most


class ConvEncoder(nn.Sequential):
    """(N, C, S, S) -> (N, outputs): convolutions that halve the sides, then two dense layers.

    Args:
        image_shape: (C, S, S), S as for `conv_vae`.
        outputs: numbers per image: 2 D for a Gaussian over D latents.
        width: channels of the first convolution; the others have twice as many.
        hidden: units of the dense layer.
    """

    def __init__(self, image_shape: Sequence[int], outputs: int, width: int = 64, hidden: int = 256):
        channels, places, doublings = check_shape(image_shape)
        outputs, width, hidden = counts(outputs=outputs, width=width, hidden=hidden)
        stages = [width, *[2 * width] * (doublings + 1)]
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]  # (N, 4 C, S/2, S/2): all pixels, at a quarter of the places
        for c_in, c_out in zip([4 * channels, *stages], stages, strict=False):
            layers += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.SiLU()]  # half as many places a side
        places = -(-places // 2)
        layers += [nn.Flatten(), nn.Linear(stages[-1] * places**2, hidden), nn.SiLU(), nn.Linear(hidden, outputs)]
        super().__init__(*layers)

    def __getitem__(self, index: int | slice) -> nn.Module:
        """A layer, or some of them in a row: `encoder[:3]` is the first stage."""
        return nn.Sequential(*list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)


class ConvDecoder(nn.Module):
    """(N, D) -> (N, C, S, S), one number per pixel and channel, not bounded.

    Args:
        image_shape, width, hidden: as for `ConvEncoder`.
        latent_dim: D.
    """

    def __init__(self, image_shape: Sequence[int], latent_dim: int, width: int = 64, hidden: int = 256):
        super().__init__()
        channels, _, _ = check_shape(image_shape)
        self.body = _grow(image_shape, latent_dim, width, hidden, channels_out=channels)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, C, S, S)."""
        return self.body(z)


class PaletteDecoder(nn.Module):
    """(N, D) -> (N, C, S, S), painted with K colours that the code chooses.

    One head of the network says which K colours there are, one layer for all pixels. The other says for each pixel in
    which shares they are mixed. A picture of n areas in n colours is a product of where and which; a network that adds
    needs many units to imitate a product, this one has it built in.

    Args:
        image_shape, latent_dim, width, hidden: as for `ConvDecoder`.
        colours: K.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, width: int = 64, hidden: int = 256, colours: int = 16
    ):
        super().__init__()
        channels, _, _ = check_shape(image_shape)
        latent_dim, colours = counts(latent_dim=latent_dim, colours=colours)
        self.to_colours = nn.Sequential(nn.Linear(latent_dim, channels * colours), nn.Unflatten(1, (-1, colours)))
        self.to_shares = _grow(image_shape, latent_dim, width, hidden, channels_out=colours)

    def palette(self, z: Tensor) -> Tensor:
        """The K colours: (N, D) -> (N, C, K), about [0, 1] but not bounded."""
        with torch.autocast(z.device.type, enabled=False):  # colours keep their digits
            return 0.5 + not_halved(self.to_colours(z.to(next(self.to_colours.parameters()))))

    def shares(self, z: Tensor) -> Tensor:
        """How much of each colour is in each pixel: (N, D) -> (N, K, S, S); over the colours they sum to one."""
        return not_halved(self.to_shares(z)).softmax(1)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, C, S, S)."""
        palette, shares = self.palette(z), self.shares(z)
        with torch.autocast(z.device.type, enabled=False):
            picture = torch.bmm(palette, shares.flatten(2))  # (N, C, K) (N, K, S S) -> (N, C, S S)
        return picture.unflatten(2, shares.shape[2:])


def conv_vae(
    image_shape: Sequence[int],
    latent_dim: int = 32,
    width: int = 64,
    hidden: int = 256,
    colours: int | None = 16,
    likelihood: nn.Module | None = None,
) -> VAE:
    """A VAE of convolutions for square pictures.

    Args:
        image_shape: (C, S, S); S is 16, 20, 24, 28 or 32, or one of these doubled once or more (40, 48, 56, 64, ...).
        latent_dim: D.
        width: channels; the number of weights grows with its square.
        hidden: units of the dense layers beside the code.
        colours: K of a `PaletteDecoder`; None for a `ConvDecoder`, whose output suits logits too.
        likelihood: by default a Gaussian whose sigma, one number, is learned: 0.05 to begin with, floor 0.01.
    Raises:
        ValueError: a shape that this does not divide, or a number below one.
    """
    latent_dim = checking.integer(latent_dim, "latent_dim")
    encoder = ConvEncoder(image_shape, 2 * latent_dim, width, hidden)
    if colours is None:
        decoder: nn.Module = ConvDecoder(image_shape, latent_dim, width, hidden)
    else:
        decoder = PaletteDecoder(image_shape, latent_dim, width, hidden, colours)
    return VAE(encoder, decoder, likelihood or GaussianLikelihood(0.05, learn_sigma=True), latent_dim)


def spatial_vae(
    image_shape: Sequence[int],
    channels: int = 4,
    places: int = 8,
    width: int = 64,
    likelihood: nn.Module | None = None,
) -> VAE:
    """A VAE of convolutions whose code is a small picture, for latent diffusion (Rombach et al. 2022, section 3.1).

    No layer is dense: a place of the code speaks of its neighbourhood in the picture and knows little of the rest. To
    the protocol the code is a vector as every other's; z.unflatten(-1, (channels, places, places)) is the picture.

    Args:
        image_shape: (C, S, S); S is 4, 8, 16, ... times `places`.
        channels: numbers of the code at each place.
        places: of a side of the code, which has D = channels * places^2 numbers, channel by channel, row by row.
        width: channels of all convolutions; the number of weights grows with its square.
        likelihood: by default a Gaussian whose sigma, one number, is learned: 0.05 to begin with, floor 0.01.
    Raises:
        ValueError: a shape that this does not divide, or a number below one.
    """
    channels, places = counts(channels=channels, places=places)
    likelihood = likelihood or GaussianLikelihood(0.05, learn_sigma=True)
    encoder = nn.Sequential(spatial_encoder(image_shape, 2 * channels, places, width), nn.Flatten())
    painted = getattr(likelihood, "outputs", 1) * image_shape[0]  # numbers that the decoder gives for a pixel
    body = spatial_decoder((painted, *image_shape[1:]), channels, places, width)
    decoder = nn.Sequential(nn.Unflatten(1, (channels, places, places)), body)
    return VAE(encoder, decoder, likelihood, channels * places**2)


def spatial_encoder(image_shape: Sequence[int], channels: int, places: int = 8, width: int = 64) -> nn.Sequential:
    """Layers (N, C, S, S) -> (N, channels, places, places); arguments as for `spatial_vae`."""
    channels, places, width = counts(channels=channels, places=places, width=width)
    picture_channels, halvings = _check_places(image_shape, places)
    layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
    for c_in in (4 * picture_channels, *[width] * (halvings - 2)):
        layers += [nn.Conv2d(c_in, width, 3, stride=2, padding=1), nn.SiLU()]  # half as many places a side
    return nn.Sequential(*layers, _Residual(width), _Residual(width), nn.Conv2d(width, channels, 1))


def spatial_decoder(image_shape: Sequence[int], channels: int, places: int = 8, width: int = 64) -> nn.Sequential:
    """Layers (N, channels, places, places) -> (N, C, S, S), not bounded; arguments as for `spatial_vae`."""
    channels, places, width = counts(channels=channels, places=places, width=width)
    painted, halvings = _check_places(image_shape, places)
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), _Residual(width), _Residual(width), nn.SiLU()]
    for _ in range(halvings - 2):
        layers += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]  # twice the places a side
    layers += [nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
    layers += [nn.Conv2d(width, painted * PATCH**2, 1), nn.PixelShuffle(PATCH)]  # each place paints 4 x 4 pixels
    return nn.Sequential(*layers)


class _Residual(nn.Module):
    """x + two convolutions of x: (N, width, h, w) -> the same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


def _check_places(image_shape: Sequence[int], places: int) -> tuple[int, int]:
    """C, and how often the sides of a picture are halved until there are `places`."""
    cure = "The shape of one image is images.shape[1:]."
    shape = channels, height, width = checking.integers(image_shape, "image_shape", "(C, S, S)", cure=cure)
    times = height // places
    if height != width or height % places or times < PATCH or times & (times - 1):
        raise ValueError(
            f"image_shape = {shape}: the pictures must be square, 4, 8, 16, ... times as many pixels a side as the "
            f"code has places ({places}). Load them at such a size, load(name, size={8 * places}), or give other "
            "places."
        )
    return channels, times.bit_length() - 1


def _grow(image_shape: Sequence[int], latent_dim: int, width: int, hidden: int, channels_out: int) -> nn.Sequential:
    """Layers (N, D) -> (N, channels_out, S, S)."""
    _, places, doublings = check_shape(image_shape)
    latent_dim, width, hidden = counts(latent_dim=latent_dim, width=width, hidden=hidden)
    layers: list[nn.Module] = [nn.Linear(latent_dim, hidden), nn.SiLU(), nn.Linear(hidden, width * places**2)]
    layers += [nn.Unflatten(1, (width, places, places)), nn.SiLU()]
    for _ in range(doublings):
        layers += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]  # twice the places a side
    layers += [nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
    layers += [nn.Conv2d(width, channels_out * PATCH**2, 1), nn.PixelShuffle(PATCH)]  # each place paints 4 x 4 pixels
    return nn.Sequential(*layers)


def check_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """C, the places of a side at which the decoder starts, and how often these are doubled before it paints."""
    cure = "The shape of one image is images.shape[1:]."
    shape = channels, height, width = checking.integers(image_shape, "image_shape", "(C, S, S)", cure=cure)
    places, doublings = height // PATCH, 0
    while places > COARSEST and places % 2 == 0:
        places, doublings = places // 2, doublings + 1
    if height != width or height % PATCH or not COARSEST // 2 <= places <= COARSEST:
        raise ValueError(
            f"image_shape = {shape}: the pictures must be square, of 16, 20, 24, 28 or 32 pixels a side or one of "
            "these doubled once or more. Load them at such a size: load(name, size=32)."
        )
    return channels, places, doublings


def counts(**counts: int) -> Iterator[int]:
    """Numbers that count something, checked under their names."""
    return (checking.integer(value, name) for name, value in counts.items())
