"""What is maximised: the ELBO and importance-weighted bounds on log p(x), in nats per image.

Each works with any model of the protocol in `vae_helpers.models.protocol`, also one that only has `encode`, `decode`
and `prior`, such as a learner writes. Whether the model is in train or eval mode does not change what is computed here.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.distributions import validate_first_batch
from vae_helpers.models.protocol import Elbo, standard_elbo, standard_log_weights


def elbo(model: Any, x: Tensor, *conditions: Tensor, samples: int = 1) -> Elbo:
    """Evidence lower bound E_q[log p(x | z)] - KL(q(z | x) || p(z)) (Kingma & Welling 2014, equation 7).

    Unbiased for the ELBO; differentiable through reparameterised samples.

    Args:
        model: see the module's text.
        x: data as the likelihood wants it (`model.prepare`), (N, ...).
        conditions: what the model is told beside x, a row for each image.
        samples: draws of z per image, >= 1.
    Returns:
        Elbo of (N,) tensors.
    Raises:
        TypeError: no closed form is known for the KL between the model's q and its prior.
    """
    _check_conditions(conditions)
    bound = getattr(model, "elbo", functools.partial(standard_elbo, model))
    return bound(x, *conditions, samples=samples)


def importance_weighted_bound(model: Any, x: Tensor, *conditions: Tensor, samples: int = 50, chunk: int = 50) -> Tensor:
    """log (1/K) sum_k p(x, z_k) / q(z_k | x), z_k ~ q: a tighter bound (Burda et al. 2016, equation 8).

    Its expectation does not decrease in K and tends to log p(x); K = 1 is the ELBO with a sampled KL. The log is
    taken of the mean, not the mean of logs.

    Args:
        model, x, conditions: as for `elbo`.
        samples: K >= 1.
        chunk: how many samples are held in memory at a time; the result does not depend on it (up to rounding),
            though which random numbers are drawn may.
    Returns:
        (N,), nats per image.
    Raises:
        ValueError: the model's `log_weights` are not of shape (K, N).
    """
    _check_conditions(conditions)
    samples, chunk = checking.integer(samples, "samples"), checking.integer(chunk, "chunk")
    weights_of = getattr(model, "log_weights", functools.partial(standard_log_weights, model))
    draw = weights_of(x, *conditions)  # K -> (K, N)
    parts = []
    with validate_first_batch() as enough:
        for start in range(0, samples, chunk):
            count = min(chunk, samples - start)
            parts.append(torch.logsumexp(_checked_log_weights(draw(count), count, len(x)), 0))  # (N,)
            enough()
    return torch.logsumexp(torch.stack(parts), 0) - math.log(samples)


def negative_elbo(
    model: Any, x: Tensor, *conditions: Tensor, beta: float | Tensor = 1.0, samples: int = 1
) -> dict[str, Tensor]:
    """The training loss of a VAE and its parts.

    With beta other than 1 the loss is -(log_likelihood - beta kl) (Higgins et al. 2017), which is not an ELBO; the part
    called "elbo" always is.

    Args:
        model, x, conditions, samples: as for `elbo`.
        beta: weight of the KL, >= 0; a number, or (N,) for one of each image.
    Returns:
        "loss", "elbo", "distortion" (= -log_likelihood) and "kl", each (N,), nats per image.
    """
    if not isinstance(beta, Tensor):
        beta = checking.number(beta, "beta", 0)
    elif tuple(beta.shape) not in ((), (len(x),)):
        raise ValueError(
            f"beta must be a number or have shape ({len(x)},), one for each image, not {tuple(beta.shape)}."
        )
    bound, log_likelihood, kl = elbo(model, x, *conditions, samples=samples)
    return {"loss": beta * kl - log_likelihood, "elbo": bound, "distortion": -log_likelihood, "kl": kl}


def negative_elbo_by_level(
    model: Any, x: Tensor, beta: float = 1.0, free_nats: float = 0.0, samples: int = 1
) -> dict[str, Tensor]:
    """The training loss of a hierarchy and its parts, with each level's share of the KL under its own name.

    Free bits (Kingma et al. 2016, equation 15): the mean over the batch of a level's KL costs nothing below
    `free_nats`, so that no level gains anything by falling silent.

    Args:
        model: with `by_level(x, samples)`, such as a `LadderVAE`.
        x: data as the likelihood wants it, (N, ...).
        beta: weight of the KL, >= 0.
        free_nats: of each level, >= 0. With 0 the loss is the negative beta-ELBO.
        samples: draws of z per image.
    Returns:
        "loss", "elbo", "distortion" and "kl", and "kl 1" for z_1, "kl 2" ...; each (N,), nats per image.
    """
    beta, free_nats = checking.number(beta, "beta", 0), checking.number(free_nats, "free_nats", 0, 1e6)
    if not hasattr(model, "by_level"):
        raise TypeError(
            f"model must have by_level(x, samples), as a LadderVAE has; a {type(model).__name__} has none. "
            "negative_elbo trains every model."
        )
    log_likelihood, by_level = model.by_level(x, samples)  # (N,), (L, N)
    paid = by_level.sum(0) if free_nats == 0 else by_level.mean(1).clamp_min(free_nats).sum()
    kl = by_level.sum(0)
    parts = {"loss": beta * paid - log_likelihood, "elbo": log_likelihood - kl, "distortion": -log_likelihood, "kl": kl}
    return parts | {f"kl {level}": share for level, share in enumerate(by_level, 1)}


def squared_error(model: Any, x: Tensor) -> dict[str, Tensor]:
    """The training loss of an autoencoder: squared error summed over pixels.

    Args:
        model: maps (N, C, H, W) to a reconstruction of the same shape.
        x: (N, C, H, W).
    Returns:
        "loss" (N,), summed over the pixels of an image.
    """
    if checking.floating(x, "x").dim() < 2:
        raise ValueError(f"x must have shape (N, C, H, W), not {tuple(x.shape)}: an image for each row.")
    return {"loss": (model(x) - x).square().flatten(1).sum(-1)}


DENOISING_SIGMAS = (0.0, 55 / 255)  # as Zhang et al. (2017, DnCNN) train one network for all levels


def denoising_error(model: Any, x: Tensor, sigma: float | tuple[float, float] = DENOISING_SIGMAS) -> dict[str, Tensor]:
    """An objective for `fit`: squared error of the estimates for pictures with fresh Gaussian noise.

    Its minimum over all functions is the posterior mean E[x | y].

    Args:
        model: called as `model(y, sigma)`, a `ResidualDenoiser` for instance.
        x: clean pictures (B, C, H, W) in [0, 1].
        sigma: standard deviation of the noise, or the range from which each picture's is drawn uniformly.
    Returns:
        "loss": (B,), summed over pixels and channels.
    """
    checking.floating(checking.shape(x, "x", "(B, C, H, W)"), "x")
    low, high = sigma if isinstance(sigma, tuple) and len(sigma) == 2 else (sigma, sigma)
    if not (checking.is_number(low) and checking.is_number(high) and 0 <= low <= high):
        raise ValueError(
            f"sigma must be a number of at least 0, or a range (low, high) of such, not {checking.shown(sigma)}."
        )
    levels = low + (high - low) * torch.rand(len(x), device=x.device)  # (B,)
    noise = torch.randn(x.shape, dtype=x.dtype, device=x.device)  # the same draws whatever the layout of x in memory
    y = x + levels[:, None, None, None] * noise
    return {"loss": (model(y, levels) - x).square().flatten(1).sum(1)}


def _checked_log_weights(log_weights: Any, samples: int, n: int) -> Tensor:
    shape = tuple(log_weights.shape) if isinstance(log_weights, Tensor) else checking.shown(log_weights)
    if shape != (samples, n):
        raise ValueError(
            f"what a model's log_weights(x) returns must give a tensor (K, N) for K draws of each of N images, "
            f"{(samples, n)}, not {shape}."
        )
    return log_weights


def _check_conditions(conditions: tuple) -> None:
    for condition in conditions:
        if not isinstance(condition, Tensor):
            raise TypeError(
                f"a condition must be a tensor with a row for each image, not {checking.shown(condition)}. "
                "The other arguments are given by name: samples=10."
            )
