"""What `diagnose` examines: a model with pictures, and what more than one check wants to know of them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_helpers.distributions.divergences import is_diagonal_gaussian
from vae_helpers.distributions.likelihoods import Likelihood
from vae_helpers.evaluation.balance import is_standard_normal
from vae_helpers.evaluation.codes import posteriors
from vae_helpers.evaluation.neighbours import fingerprints
from vae_helpers.models.protocol import device_of, prepared
from vae_helpers.training.history import History

DRAWS = 300  # of the prior


class Skipped(Exception):
    """A check that cannot be made of this model or these data; its text says why."""


class Case:
    """A model with the pictures that it is examined by, and what more than one check wants to know of them."""

    def __init__(
        self,
        model: Any,
        seen: tuple[Tensor, ...],
        held_out: tuple[Tensor, ...] | None,
        history: History | None,
        beta: float,
        pictures: int,
        seed: int,
    ):
        self.model, self.history, self.beta, self.seed = model, history, beta, seed
        self.all_seen, self.all_held_out = seen, held_out
        self.seen = tuple(tensor[_spread(len(seen[0]), pictures)] for tensor in seen)
        self.held_out = held_out and tuple(tensor[_spread(len(held_out[0]), pictures)] for tensor in held_out)
        self.measured: dict[str, Any] = {}

    @functools.cached_property
    def x(self) -> Tensor:
        """The training pictures as the model sees them, (N, C, H, W)."""
        return self.prepared(self.seen[0])

    @functools.cached_property
    def pictures(self) -> Tensor:
        """The training pictures on the scale of the decoder's means, (N, C, H, W)."""
        return self.on_means_scale(self.x)

    def on_means_scale(self, x: Tensor) -> Tensor:
        """Pictures that the model sees, or draws of p(x | z), on the scale of its means: [0, 1] where x are levels."""
        likelihood = getattr(self.model, "likelihood", None)
        return likelihood.encoder_input(x) if isinstance(likelihood, Likelihood) else x

    def mean_of(self, p: Any) -> Tensor:
        """Means of p(x | z)."""
        return self.within(p.mean)

    def within(self, means: Tensor) -> Tensor:
        """Those of levels may lie beyond [0, 1], where they stand for the first or last level."""
        return means if self.pictures is self.x else means.clamp(0, 1)

    @functools.cached_property
    def conditions(self) -> list[Tensor]:
        """Their conditions, on the model's device."""
        return [tensor.to(device_of(self.model)) for tensor in self.seen[1:]]

    def prepared(self, images: Tensor) -> Tensor:
        """Stored pictures as the model sees them, on its device."""
        return prepared(self.model, images.to(device_of(self.model)))

    @functools.cached_property
    def posterior(self) -> Distribution:
        """q(z | x) of the training pictures, (N, D), in float64 on the CPU; a diagonal Gaussian."""
        self.check_posterior()
        return posteriors(self.model, self.seen, 100, self.seed)

    @property
    def recorded(self) -> dict[str, list[float]]:
        """What was recorded of the training, nothing without a history."""
        return self.history.train if self.history else {}

    @functools.cached_property
    def fingerprints(self) -> list[bytes]:
        """Those of all training pictures as they are stored."""
        return fingerprints(self.all_seen[0])

    @functools.cached_property
    def decoded(self) -> tuple[Tensor, Tensor | None]:
        """Mean and variance of p(x | z) at a draw of q for each training picture, (N, C, H, W) each."""
        means, variances = [], []
        for x, *conditions in zip(self.x.split(100), *(c.split(100) for c in self.conditions), strict=True):
            p = self.model.decode(self.model.encode(x, *conditions).sample(), *conditions)
            means.append(self.mean_of(p))
            variances.append(_variance(p))
        return torch.cat(means), None if variances[0] is None else torch.cat(variances)

    @functools.cached_property
    def drawn(self) -> tuple[Tensor, Tensor]:
        """Means of p(x | z) at draws of the prior, and a draw of each, on the means' scale: (M, C, H, W) each."""
        if self.conditions:
            raise Skipped("the model wants conditions, and draws of the prior have none")
        torch.manual_seed(self.seed)  # as before sample(n), which then most often decodes the same codes
        p = self.model.decode(self.model.prior.sample((DRAWS,)))
        return self.mean_of(p), self.on_means_scale(p.sample())

    def meet(self) -> None:
        """Calls encode and decode once, so that a mistake in them is told as such.

        Raises:
            TypeError: they return something else than distributions.
        """
        conditions = [c[:2] for c in self.conditions]
        try:
            q = _distribution(self.model.encode(self.x[:2], *conditions), "encode")
            _distribution(self.model.decode(q.sample(), *conditions), "decode")
        except ValueError as error:
            if not of_numbers(error):  # which are looked at next
                raise
        except TypeError as error:
            if not conditions and "argument" in str(error):
                error.add_note("Pictures came without conditions. Does it want some? Give data=(images, *conditions).")
            raise

    def rebuild(self, n: int) -> Distribution:
        """p(x | z) at a draw of q for the first n training pictures."""
        conditions = [c[:n] for c in self.conditions]
        return self.model.decode(self.model.encode(self.x[:n], *conditions).sample(), *conditions)

    def check_held_out(self) -> None:
        """Skipped where there are none."""
        if self.held_out is None:
            raise Skipped("there are no held-out pictures: give held_out, or a Dataset")

    def check_posterior(self) -> None:
        """Skipped where q(z | x) is not a diagonal Gaussian."""
        q = self.model.encode(self.x[:2], *(c[:2] for c in self.conditions))
        if not is_diagonal_gaussian(q):
            raise Skipped(f"q(z | x) is not a diagonal Gaussian, Independent(Normal, 1), but a {type(q).__name__}")

    def check_prior(self) -> None:
        """Skipped where the prior is not N(0, I), too, by which nats are priced."""
        self.check_posterior()
        if not is_standard_normal(self.model.prior):
            raise Skipped("the prior is not N(0, I), an Independent(Normal, 1), by which nats are counted here")

    def note(self, name: str, value: Any) -> Any:
        """Keeps a number for the report, and gives it back."""
        self.measured[name] = [float(v) for v in value] if isinstance(value, Tensor) else value
        return value


def of_numbers(error: ValueError) -> bool:
    """Whether torch says of a distribution that its parameters are not finite."""
    return "invalid values" in str(error)


def _variance(p: Any) -> Tensor | None:
    """That of the pixels, None where the distribution has none to compare errors with."""
    try:
        return p.variance
    except NotImplementedError:  # such as a Bernoulli's on greys
        return None


def _distribution(given: Any, name: str) -> Distribution:
    if not isinstance(given, Distribution):
        raise TypeError(
            f"model.{name} must return a torch Distribution, not a {type(given).__name__}: notebook 12, section 9, "
            "wraps a VAE that returns tensors."
        )
    return given


def _spread(n: int, wanted: int) -> Tensor:
    """Indices of at most so many of n, evenly over them all."""
    return torch.linspace(0, n - 1, min(n, wanted)).round().long()
