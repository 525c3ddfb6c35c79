"""Helpers for the course on variational autoencoders for image synthesis.

Everything a notebook needs can be imported from here: `from vae_helpers import load, fit, claim`. Names are
resolved when first used (PEP 562), so that importing the package costs next to nothing: torch, too, is imported with
the first name that needs it.
"""

import importlib
from typing import Any

from vae_helpers.moved import former_names

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "images": (
        "binarise",
        "check_images",
        "dequantise",
        "enlarge",
        "grid",
        "levels_of",
        "random_shift",
        "random_turn",
        "to_float",
        "to_uint8",
    ),
    "devices": ("Machine", "machine", "seed_everything"),
    "data": ("Dataset", "Split", "load"),
    "distributions": (
        "BernoulliLikelihood",
        "ContinuousBernoulli",
        "ContinuousBernoulliLikelihood",
        "DiscretisedGaussian",
        "DiscretisedGaussianLikelihood",
        "GaussianFactor",
        "GaussianLikelihood",
        "GreyBernoulli",
        "GreyBernoulliLikelihood",
        "LogisticMixtureLikelihood",
        "bits_per_dim",
        "diagonal_gaussian",
        "kl",
        "kl_monte_carlo",
        "kl_to_standard_normal",
        "standard_normal",
    ),
    "models": (
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
    ),
    "objectives": (
        "critic_error",
        "denoising_error",
        "elbo",
        "feature_nats",
        "flow_matching_error",
        "importance_weighted_bound",
        "negative_elbo",
        "negative_elbo_by_level",
        "negative_elbo_with_critic",
        "negative_elbo_with_features",
        "negative_log_likelihood_of_tokens",
        "quantised_error",
        "squared_error",
    ),
    "checkpoints": ("CheckpointError",),
    "training": ("History", "Phase", "TrainingDiverged", "fit", "steps", "weight_average"),
    "evaluation": (
        "Diagnosis",
        "Estimate",
        "Finding",
        "active_units",
        "aggregate_posterior",
        "ari",
        "diagnose",
        "evaluate",
        "face_distance",
        "factor_features",
        "factor_r2",
        "foreground_ari",
        "frechet_distance",
        "freedom",
        "kl_decomposition",
        "kl_price",
        "log_likelihood",
        "mean_and_error",
        "mean_iou",
        "obeyed",
        "order_accuracy",
        "psnr",
        "read_factors",
        "redrawn",
        "sharpness",
        "ssim",
    ),
    "runs": ("compare_runs", "load_run", "survey", "train_folder"),
    "widgets": ("explore",),
    "exercises": ("claim", "claims", "exercise", "hint", "progress", "solution"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = (
    *_HOMES,
    "alpha",
    "attributes",
    "blending",
    "diagrams",
    "inference",
    "lessons",
    "noise",
    "patches",
    "plots",
    "pretrained",
)

__all__ = sorted([*_HOME_OF, *_MODULES])


def _find(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
        globals()[name] = value  # the next access does not come here
        return value
    if name in (*_MODULES, "compositing"):  # the latter is left for its former names
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"vae_helpers has no {name!r}; it has: {', '.join(__all__)}")


__getattr__ = former_names(__name__, _find, shipped_denoiser="vae_helpers.pretrained.denoiser")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
