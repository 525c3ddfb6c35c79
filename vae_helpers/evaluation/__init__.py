"""Numbers about trained models and about their pictures, each saying what it measures and how sure it is."""

from vae_helpers.evaluation.balance import Prices, kl_price
from vae_helpers.evaluation.bounds import Estimate, evaluate, log_likelihood, mean_and_error
from vae_helpers.evaluation.codes import active_units, aggregate_posterior, kl_decomposition
from vae_helpers.evaluation.diagnosis import diagnose
from vae_helpers.evaluation.diseases import Diagnosis, Finding
from vae_helpers.evaluation.frechet import frechet_distance
from vae_helpers.evaluation.obedience import freedom, obeyed
from vae_helpers.evaluation.pictures import psnr, sharpness, ssim
from vae_helpers.evaluation.reader import face_distance, factor_features, factor_r2, read_factors, redrawn
from vae_helpers.evaluation.scenes import ari, foreground_ari, mean_iou, order_accuracy

__all__ = [
    "Diagnosis",
    "Estimate",
    "Finding",
    "Prices",
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
]
