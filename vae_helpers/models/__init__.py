"""Model families, one file each."""

from vae_helpers.models.adversarial import AdversarialPair, PatchDiscriminator
from vae_helpers.models.autoencoder import Autoencoder
from vae_helpers.models.convolutional import ConvDecoder, ConvEncoder, PaletteDecoder, conv_vae, spatial_vae
from vae_helpers.models.denoiser import ResidualDenoiser
from vae_helpers.models.features import Features
from vae_helpers.models.flow import Flow, WordsInContext
from vae_helpers.models.ladder import BottomUpVAE, GaussianChain, HierarchicalVAE, LadderVAE, mlp_hierarchy
from vae_helpers.models.learned_priors import MendedVAE, MixturePriorVAE, VampPriorVAE, mend_prior
from vae_helpers.models.ppca import LinearGaussianVAE, ProbabilisticPCA
from vae_helpers.models.protocol import Elbo, LatentVariableModel
from vae_helpers.models.quantised import VQVAE, CausalPrior, VectorQuantiser
from vae_helpers.models.vae import VAE, mlp_vae
from vae_helpers.moved import former_names

__all__ = [
    "VAE",
    "VQVAE",
    "AdversarialPair",
    "Autoencoder",
    "BottomUpVAE",
    "CausalPrior",
    "ConvDecoder",
    "ConvEncoder",
    "Elbo",
    "Features",
    "Flow",
    "GaussianChain",
    "HierarchicalVAE",
    "LadderVAE",
    "LatentVariableModel",
    "LinearGaussianVAE",
    "MendedVAE",
    "MixturePriorVAE",
    "PaletteDecoder",
    "PatchDiscriminator",
    "ProbabilisticPCA",
    "ResidualDenoiser",
    "VampPriorVAE",
    "VectorQuantiser",
    "WordsInContext",
    "conv_vae",
    "mend_prior",
    "mlp_hierarchy",
    "mlp_vae",
    "spatial_vae",
]

__getattr__ = former_names(
    __name__,
    denoising_error="vae_helpers.objectives.denoising_error",
    shipped_denoiser="vae_helpers.pretrained.denoiser",
)
