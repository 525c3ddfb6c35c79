"""How far apart two sets of pictures are, by the features of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_helpers import checking


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """The squared Frechet (2-Wasserstein) distance between the Gaussians fitted to two sets of features.

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2) with S the sample covariances, which divide by
    N - 1 (Dowson & Landau 1982). Scoring generated pictures by it is the idea of Heusel et al. (2017),
    whose FID is this distance between features of one particular Inception network. Any other features give other
    values and another order of models: this number is no FID, and says nothing without the name of its features.

    Two sets from the same distribution are still some distance apart, the more so the fewer they are: compare
    distances only at equal N, M and F. Covariances of low rank (N <= F) are fine.

    Args:
        features_a: (N, F), N >= 2, floating point, finite.
        features_b: (M, F), M >= 2, likewise.
    Returns:
        >= 0, in squared units of the features; computed in `float64`.
    Raises:
        TypeError: not floating-point tensors.
        ValueError: not two axes, fewer than two rows, different F, NaN or infinity.
    """
    checking.tensor(features_a, "features_a", "(N, F)", N=2)
    checking.tensor(features_b, "features_b", "(N, F)", N=2)
    if features_a.shape[1] != features_b.shape[1]:
        raise ValueError(
            f"features_a and features_b must have the same F, not {features_a.shape[1]} and {features_b.shape[1]}."
        )
    (mean_a, root_a), (mean_b, root_b) = _mean_and_root(features_a), _mean_and_root(features_b)
    # With S = R^T R for both, tr (S_a^1/2 S_b S_a^1/2)^1/2 is the sum of the singular values of R_a R_b^T. No
    # covariance is formed or inverted, and no root is taken of an eigenvalue that rounding has made negative.
    overlap = torch.linalg.svdvals(root_a @ root_b.T).sum()
    squared = (mean_a - mean_b).square().sum() + root_a.square().sum() + root_b.square().sum() - 2 * overlap
    return max(squared.item(), 0.0)  # rounding may leave -1e-16 of the traces


def _mean_and_root(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (F,) of the rows, and R (min(N, F), F) with R^T R their sample covariance."""
    features = features.detach().cpu().double()
    mean = features.mean(0)
    centred = (features - mean) / math.sqrt(len(features) - 1)  # (N, F)
    return mean, torch.linalg.qr(centred, mode="r").R
