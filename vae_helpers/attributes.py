"""Attribute arithmetic: how codes depend on known factors, and codes moved by what a change of factors means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.rendering import faces
from vae_helpers.rendering.faces import to_unit

KNOTS = 6  # places of each factor at which a fitted attribute may bend: those of the paths of colours, and more
FEATURES = ("linear", "knots", "products")


@dataclass(frozen=True)
class Attributes:
    """How codes depend on known factors, on average; made by `fit_attributes`."""

    features: Callable[[Tensor], Tensor]  # factors (N, 14) -> (N, F)
    weights: Tensor  # (F, D)

    def predict(self, factors: Tensor) -> Tensor:
        """The mean code of portraits with these factors: (N, 14) -> (N, D)."""
        faces.check_factors(factors)
        return self.features(factors.to(self.weights)) @ self.weights

    def edit(self, z: Tensor, factors_from: Tensor, factors_to: Tensor) -> Tensor:
        """Move codes by the difference of the mean codes: z + predict(factors_to) - predict(factors_from).

        What a code holds beyond its factors is kept.

        Args:
            z: (N, D), codes of portraits with `factors_from`.
            factors_from, factors_to: (N, 14).
        """
        checking.tensor(z, "z", f"(N, {self.weights.shape[1]})")
        for name, factors in (("factors_from", factors_from), ("factors_to", factors_to)):
            if len(faces.check_factors(factors)) != len(z):
                raise ValueError(f"{name} has {len(factors)} rows for {len(z)} codes: give one row for each.")
        return z + self.predict(factors_to) - self.predict(factors_from)


def fit_attributes(codes: Tensor, factors: Tensor, features: str = "products", ridge: float = 1.0) -> Attributes:
    """Learn the mean code of each combination of factors, by ridge regression.

    Args:
        codes: (N, D), such as the means that an encoder gives to training portraits.
        factors: (N, 14), those of the same portraits.
        features: what the mean code is linear in. "linear": the factors, so that each has one direction in the space
            of codes. "knots": each factor's path may bend at six places (piecewise linear). "products": besides, a
            factor's path may depend on each other factor (products of the two).
        ridge: weight of the squared regression weights, >= 0, against a sum over portraits of squared errors; the
            factors are scaled to [-1, 1].
    Raises:
        ValueError: also with fewer than two portraits, or features that a ridge of 0 cannot determine.
    """
    checking.tensor(codes, "codes", "(N, D)")
    faces.check_factors(factors)
    if len(codes) != len(factors) or len(codes) < 2:
        raise ValueError(
            f"codes has {len(codes)} rows, factors {len(factors)}: give two or more of each, equally many."
        )
    checking.choice(features, "features", FEATURES)
    ridge = checking.number(ridge, "ridge", 0)
    describe = {"linear": _linear, "knots": _knots, "products": _products}[features]
    x, y = describe(factors.detach().cpu().double()), codes.detach().cpu().double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = x - x_mean
    gram = centred.T @ centred + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    if ridge == 0 and torch.linalg.matrix_rank(gram, hermitian=True) < len(gram):
        raise ValueError(
            f"ridge = 0 leaves the {len(gram)} weights undetermined by these factors: give a positive ridge."
        )
    slopes = torch.linalg.solve(gram, centred.T @ (y - y_mean))  # (F, D)
    weights = torch.cat([slopes, (y_mean - x_mean @ slopes)[None]])  # the mean itself is not shrunk
    return Attributes(lambda f: F.pad(describe(f), (0, 1), value=1.0), weights.to(codes))


def _linear(factors: Tensor) -> Tensor:
    """The factors on [-1, 1], (N, 14)."""
    return to_unit(factors)


def _knots(factors: Tensor) -> Tensor:
    """For each factor a tent about each of its six knots, 1 at its own and 0 at the others: (N, 14 * 6)."""
    place = (to_unit(factors) + 1) * ((KNOTS - 1) / 2)  # 0 ... 5
    knots = torch.arange(KNOTS, dtype=factors.dtype, device=factors.device)
    return (1 - (place[:, :, None] - knots).abs()).clamp(min=0).flatten(1)


def _products(factors: Tensor) -> Tensor:
    """The tents, and each of them times each of the factors: (N, 84 * 15)."""
    tents, others = _knots(factors), F.pad(to_unit(factors), (0, 1), value=1.0)
    return (tents[:, :, None] * others[:, None, :]).flatten(1)
