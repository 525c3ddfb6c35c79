"""Between two Gaussians: the linear map that makes one of the other and moves it least."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_helpers import checking

SMALLEST_VARIANCE = 1e-6  # added to both, in squared units of the data: a variance of zero has no inverse


def gaussian_transport(A: Tensor, B: Tensor) -> Tensor:
    """T with T A T = B, symmetric: of all maps that turn N(0, A) into N(0, B) the one with the least E|Tx - x|^2.

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 (Olkin & Pukelsheim 1982, theorem 4; Pitie & Kokaram 2007, equation 9).

    Args:
        A, B: covariances (..., D, D).
    Returns:
        (..., D, D), of their type, computed in `float64`.
    """
    for name, covariance in (("A", A), ("B", B)):
        checking.floating(covariance, name, "(..., D, D)")
        if covariance.dim() < 2 or covariance.shape[-1] != covariance.shape[-2]:
            raise ValueError(f"{name} must have shape (..., D, D), a covariance, not {tuple(covariance.shape)}.")
    first, second = (C.cpu().double() if C.device.type == "mps" else C.double() for C in (A, B))  # MPS has no float64
    least = SMALLEST_VARIANCE * torch.eye(A.shape[-1]).to(first)
    root, inverse = _root(first + least, 0.5), _root(first + least, -0.5)
    return (inverse @ _root(root @ (second + least) @ root, 0.5) @ inverse).to(A)


def _root(A: Tensor, power: float) -> Tensor:
    """A symmetric positive matrix to a power."""
    values, vectors = torch.linalg.eigh(A)
    return vectors * values.clamp(min=SMALLEST_VARIANCE**2)[..., None, :].pow(power) @ vectors.mT
