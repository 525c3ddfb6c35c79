"""Bounds on log p(x) over held-out images, each with its standard error, in nats per image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.devices import fast_float32_products, forked_random_state
from vae_helpers.distributions import validate_first_batch
from vae_helpers.models.protocol import checked_data, device_of, evaluating, prepared
from vae_helpers.objectives import elbo, importance_weighted_bound


class Estimate(NamedTuple):
    """A mean over images and the standard error of that mean."""

    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f}"

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % confidence interval, 1.96 standard errors to each side: for means of some dozens of values or more."""
        return self.mean - 1.96 * self.standard_error, self.mean + 1.96 * self.standard_error


def mean_and_error(values: Tensor) -> Estimate:
    """The mean of independent values and its standard error, the sample deviation over root n.

    Args:
        values: (N,), N >= 2, finite.
    Raises:
        TypeError, ValueError: they are not.
    """
    values = checking.finite(checking.shape(values, "values", "(N,)", N=2), "values").detach().double()
    return Estimate(values.mean().item(), (values.std() / math.sqrt(len(values))).item())


@torch.no_grad()
def evaluate(
    model: Any, data: Tensor | Sequence[Tensor], samples: int = 10, batch_size: int | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """Held-out ELBO and its parts, of the model in eval mode; its mode and its state are left as they are.

    Args:
        model: a VAE.
        data: stored images, `uint8` (N, C, H, W), prepared once by `model.prepare`, or floating-point data that are
            taken as they are; or several tensors, (images, *conditions), as for `fit`.
        samples: draws of z per image; more make the estimate for each image, not the set of images, more exact.
        batch_size: images at a time; by default as many as make 500 pictures with their samples, which stay in a CPU's
            caches, or 5,000 on a GPU.
        seed: of preparation and draws.
    Returns:
        "elbo", "distortion" (= -E_q[log p(x | z)]) and "kl", nats per image, with the standard error over images.
    Raises:
        TypeError, ValueError: not such data, fewer than two images, or numbers that are NaN or infinite.
    """
    bound, log_likelihood, kl = map(mean_and_error, elbo_of_each(model, data, samples, batch_size, seed).unbind(-1))
    return {
        "elbo": bound,
        "distortion": Estimate(-log_likelihood.mean, log_likelihood.standard_error),
        "kl": kl,
    }


@torch.no_grad()
def elbo_of_each(
    model: Any, data: Tensor | Sequence[Tensor], samples: int = 10, batch_size: int | None = None, seed: int = 0
) -> Tensor:
    """What `evaluate` averages: the ELBO, E_q[log p(x | z)] and the KL of each image, (N, 3), in nats.

    Two models are compared on the same images by the differences of their columns: how hard an image is for both
    drops out, and with it most of the spread.

    Args and Raises: as for `evaluate`.
    """
    if batch_size is None:
        batch_size = max(1, pictures_at_once(model) // checking.integer(samples, "samples"))

    def bound_and_parts(x: Tensor, *conditions: Tensor) -> Tensor:
        return torch.stack(elbo(model, x, *conditions, samples=samples), -1)  # (N, 3)

    return over_batches(bound_and_parts, model, data, batch_size, seed)


@torch.no_grad()
def log_likelihood(
    model: Any,
    data: Tensor | Sequence[Tensor],
    samples: int = 500,
    batch_size: int = 100,
    chunk: int | None = None,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
) -> Estimate:
    """Importance-weighted estimate of the held-out log p(x) (Burda et al. 2016), a lower bound in expectation.

    Memory grows with batch_size * chunk, not with the number of images or samples.

    Args:
        model, data, seed: as for `evaluate`.
        samples: K, draws per image.
        batch_size: images at a time.
        chunk: draws at a time; by default as many as make 500 pictures with those of a batch, or 5,000 on a GPU.
        precision: of matrix products and convolutions. torch.bfloat16 is several times as fast on some machines, and
            near enough for Bernoulli pixels (`benchmarks/likelihood_speed.py`); a Gaussian with a small sigma weighs
            the rounding of its means by 1 / sigma^2, and needs torch.float32.
    Returns:
        nats per image, with the standard error over images.
    Raises:
        TypeError, ValueError: as for `evaluate`.
    """
    at_once = pictures_at_once(model)

    def bound(x: Tensor, *conditions: Tensor) -> Tensor:
        draws = max(1, at_once // len(x)) if chunk is None else chunk
        with torch.autocast(x.device.type, dtype=precision, enabled=precision != torch.float32):
            return importance_weighted_bound(model, x, *conditions, samples=samples, chunk=draws)[:, None]

    return mean_and_error(over_batches(bound, model, data, batch_size, seed)[:, 0])


def over_batches(
    measure: Callable[..., Tensor], model: Any, data: Tensor | Sequence[Tensor], batch_size: int, seed: int
) -> Tensor:
    """`measure(x, *conditions)` of all rows, batch by batch, with the model in eval mode and seeded noise.

    The model, its mode and the random state outside are left as they are.
    """
    data = checked_data(data, "data")
    if data[0].dim() < 2:
        raise ValueError(
            f"data must begin with pictures or rows of numbers, not {checking.shown(data[0])}. Labels come after the "
            "pictures, (images, labels); one row becomes a batch with row[None], N numbers with numbers[:, None]."
        )
    batch_size, seed = checking.integer(batch_size, "batch_size"), checking.seed(seed)
    device = device_of(model)
    parts = []
    with forked_random_state(), evaluating(model), fast_float32_products(), validate_first_batch() as enough:
        torch.manual_seed(seed)
        for batch in zip(*(tensor.split(batch_size) for tensor in data), strict=True):
            x, *conditions = (tensor.detach().to(device, copy=True) for tensor in batch)
            parts.append(measure(prepared(model, x), *conditions).cpu())
            enough()
    return torch.cat(parts)


def pictures_at_once(model: Any) -> int:
    """How many pictures, with their samples, a model is best given together."""
    return 500 if device_of(model).type == "cpu" else 5_000
