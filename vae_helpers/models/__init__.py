"""Model families, one file each."""

from vae_helpers.models.autoencoder import Autoencoder
from vae_helpers.models.convolutional import ConvDecoder, ConvEncoder, PaletteDecoder, conv_vae
from vae_helpers.models.denoiser import ResidualDenoiser, denoising_error, shipped_denoiser
from vae_helpers.models.ppca import LinearGaussianVAE, ProbabilisticPCA
from vae_helpers.models.protocol import Elbo, LatentVariableModel
from vae_helpers.models.vae import VAE, mlp_vae

__all__ = [
    "VAE",
    "Autoencoder",
    "ConvDecoder",
    "ConvEncoder",
    "Elbo",
    "LatentVariableModel",
    "LinearGaussianVAE",
    "PaletteDecoder",
    "ProbabilisticPCA",
    "ResidualDenoiser",
    "conv_vae",
    "denoising_error",
    "mlp_vae",
    "shipped_denoiser",
]
