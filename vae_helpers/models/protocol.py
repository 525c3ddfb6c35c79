"""What every model with latent variables has, so that one engine trains it and one set of functions evaluates it.

    prior                      p(z), a distribution over one code
    prepare(images)            stored pictures `uint8` -> the data x that the likelihood is defined on
    encode(x, *conditions)     q(z | x), batch shape (N,)
    decode(z, *conditions)     p(x | z), batch shape (...) for codes (..., D)
    elbo(x, *conditions, samples=1)            the bound and its two parts
    log_weights(x, *conditions)                a function of K: log p(x, z) - log q(z | x) at K draws of q

`LatentVariableModel` derives the last two from the others. A model whose code is not one vector from one distribution,
such as a hierarchy, overrides these two and nothing else has to know. Conditions are tensors with a row for each image
(factors, labels, captions, views); a model without conditions is called without any.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_helpers import checking
from vae_helpers.distributions import kl, standard_normal
from vae_helpers.images import check_images, to_float


class Elbo(NamedTuple):
    """The bound and its two parts, elbo = log_likelihood - kl; each (N,), nats per image."""

    elbo: Tensor
    log_likelihood: Tensor  # E_q[log p(x | z)], estimated by sampling
    kl: Tensor  # KL(q(z | x) || p(z)), in closed form


class LatentVariableModel(nn.Module):
    """The protocol above, with what follows from `prior`, `encode` and `decode`.

    A subclass sets `latent_dim` (D) and defines `encode` and `decode`.
    """

    latent_dim: int

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What data and codes are made of: `float64` where the parameters are, `float32` otherwise."""
        return torch.float64 if next(self.parameters()).dtype == torch.float64 else torch.float32

    @property
    def prior(self) -> Distribution:
        """p(z) = N(0, I), event shape (D,)."""
        return standard_normal(self.latent_dim, self.device, self.dtype)

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) as the data x: of the model's `dtype`, in [0, 1]."""
        return to_float(images).to(self.dtype)

    def encode(self, x: Tensor, *conditions: Tensor) -> Distribution:
        """(N, ...) -> q(z | x), batch shape (N,), event shape (D,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define encode.")

    def decode(self, z: Tensor, *conditions: Tensor) -> Distribution:
        """Codes (..., D) -> p(x | z), batch shape (...), event shape that of one x."""
        raise NotImplementedError(f"{type(self).__name__} does not define decode.")

    def elbo(self, x: Tensor, *conditions: Tensor, samples: int = 1) -> Elbo:
        """See `vae_helpers.elbo`."""
        return standard_elbo(self, x, *conditions, samples=samples)

    def log_weights(self, x: Tensor, *conditions: Tensor) -> Callable[[int], Tensor]:
        """A function of K that gives log p(x, z) - log q(z | x) at K fresh draws of q for each image: (K, N), nats."""
        return standard_log_weights(self, x, *conditions)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, *conditions: Tensor) -> Tensor:
        """The decoder's mean image at the mean of q(z | x): (N, C, H, W). No sampling, in train and eval mode alike."""
        with evaluating(self):
            return self.decode(self.encode(x, *conditions).mean, *conditions).mean

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n draws of the model: z ~ p(z), then x ~ p(x | z), pixel noise and all. (n, C, H, W)."""
        with evaluating(self):
            return self.decode(self.prior.sample((n,))).sample()

    @torch.no_grad()
    def sample_means(self, n: int) -> Tensor:
        """The mean images E[x | z] at n draws z ~ p(z), (n, C, H, W): smoother than samples, and not samples."""
        with evaluating(self):
            return self.decode(self.prior.sample((n,))).mean


def standard_elbo(model: Any, x: Tensor, *conditions: Tensor, samples: int = 1) -> Elbo:
    """E_q[log p(x | z)] - KL(q(z | x) || p(z)) from a model's `encode`, `decode` and `prior`.

    Raises:
        TypeError: no closed form is known for the KL between these two distributions, or the model has not all three.
    """
    check_latent_variables(model)
    samples = checking.integer(samples, "samples")
    q = model.encode(x, *conditions)
    z = q.rsample((samples,))  # (samples, N, D), mu + sigma eps: notebook 03, eq. (3.9)
    log_likelihood = _for_each_image(model.decode(z, *conditions).log_prob(x), samples, x).mean(0)  # (N,)
    divergence = kl(q, model.prior)  # (N,)
    return Elbo(log_likelihood - divergence, log_likelihood, divergence)  # notebook 02, eq. (2.10) as (2.13)


def standard_log_weights(model: Any, x: Tensor, *conditions: Tensor) -> Callable[[int], Tensor]:
    """log p(x | z) + log p(z) - log q(z | x) at K draws z ~ q(z | x), as a function of K; x is encoded once."""
    check_latent_variables(model)
    q, prior = model.encode(x, *conditions), model.prior

    def draw(samples: int) -> Tensor:
        z = q.rsample((samples,))  # (K, N, D)
        log_likelihood = _for_each_image(model.decode(z, *conditions).log_prob(x), samples, x)
        return log_likelihood + prior.log_prob(z) - q.log_prob(z)

    return draw


def check_latent_variables(model: Any) -> None:
    """Whether a model has what an ELBO is made of: `encode`, `decode` and `prior`.

    Raises:
        TypeError: it lacks some of them.
    """
    parts = ("encode", "decode", "prior")
    lacks = [name for name in parts if not hasattr(type(model), name) and not hasattr(model, name)]
    if lacks:
        raise TypeError(
            f"model must have encode, decode and prior: a {type(model).__name__} has no {' and no '.join(lacks)}, so "
            "it has no ELBO. Give fit the objective that trains it: objective=flow_matching_error for a Flow, "
            "quantised_error for a VQVAE, negative_log_likelihood_of_tokens for a CausalPrior, squared_error for a "
            "plain autoencoder."
        )


def _for_each_image(log_prob: Tensor, samples: int, x: Tensor) -> Tensor:
    """Log-probabilities of images, (samples, N); of single pixels they would be added up wrongly without a word."""
    if log_prob.shape != (samples, len(x)):
        raise ValueError(
            f"log p(x | z) must have a number for each draw and image, {(samples, len(x))}, not "
            f"{tuple(log_prob.shape)}. Let decode return a distribution over whole images, such as "
            "Independent(Normal(mean, sigma), 3)."
        )
    return log_prob


def checked_data(data: Tensor | Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
    """What a model is trained on or measured by, as a tuple: pictures or other data, then conditions.

    Args:
        data: (images, *conditions), or images alone: `uint8` (N, C, H, W), or (N, K, C, H, W) for sets of K; or data
            of another type with N rows.
        name: what the caller calls them.
    Raises:
        TypeError, ValueError: they are not such tensors, or hold NaN or infinity.
    """
    data = checking.together(data, name)
    for tensor in data:
        if tensor.is_floating_point():
            checking.finite(tensor, name)
    if data[0].dtype == torch.uint8:
        check_images(data[0].flatten(0, 1) if data[0].dim() == 5 else data[0], name)
    return data


def prepared(model: Any, x: Tensor) -> Tensor:
    """A batch as the model's objective takes it: stored pictures go through `model.prepare`, the rest is left as it is.

    Args:
        model: with `prepare`, or without, in which case pictures become `float32` in [0, 1].
        x: pictures, `uint8` (N, C, H, W), or data such as codes, of another type and (N, ...).
    """
    return getattr(model, "prepare", to_float)(x) if x.dtype == torch.uint8 else x


def device_of(model: Any) -> torch.device:
    """Where a model computes: its `device`, or that of its first parameter, or the CPU."""
    if hasattr(model, "device"):
        return model.device
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))


@contextlib.contextmanager
def modes_kept(model: Any) -> Iterator[None]:
    """Whatever is done inside, each submodule is afterwards in the mode, training or evaluation, that it was in."""
    modes = [(module, module.training) for module in model.modules()] if isinstance(model, nn.Module) else []
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in eval mode inside, and each submodule in the mode it was in afterwards.

    In training mode a batch normalisation would move its running statistics, and so change the model that is evaluated.
    """
    with modes_kept(model):
        if isinstance(model, nn.Module):
            model.eval()
        yield
