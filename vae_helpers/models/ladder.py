"""Hierarchies: codes at several levels, z_1 next to the picture ... z_L at the top, each the prior of the one below.

    p(z) = p(z_L) p(z_{L-1} | z_L) ... p(z_1 | z_2),        p(x | z) = p(x | z_1)

Two ways to infer them, in which the generative half is the same:

- `BottomUpVAE`: q(z | x) = q(z_1 | x) q(z_2 | z_1) ... (Rezende, Mohamed & Wierstra 2014; Burda et al. 2016);
- `LadderVAE`: q(z | x) = q(z_L | x) ... q(z_1 | z_2, x), where each q(z_l | z_{l+1}, x) is the product of what the
  level above expects, p(z_l | z_{l+1}), and what the picture says of this level (Sonderby et al. 2016, equations 10 to
  12): the product of Gaussians that also fuses several views of one picture (`vae_helpers.models.experts`).

A code of the whole hierarchy is one vector, z_1 first, so that everything that works with `encode`, `decode` and
`prior` works here; both distributions are chains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints

from vae_helpers import checking
from vae_helpers.distributions import (
    GaussianFactor,
    diagonal_gaussian,
    kl,
    soft_bound,
    standard_normal,
)
from vae_helpers.models.layers import mlp, not_halved
from vae_helpers.models.protocol import Elbo, LatentVariableModel, evaluating


class GaussianChain(Distribution):
    """Levels drawn one after the other, each a diagonal Gaussian given the one drawn before.

    Args:
        conditional: `conditional(level, parent)` -> q(z_level | parent) for parent (..., D of it), None for the first.
        sizes: D of each level, z_1 first: how a code (..., sum of sizes) is cut.
        order: of drawing, as indices into `sizes`.
        batch_shape: of the first one drawn.
    """

    arg_constraints: dict = {}
    has_rsample = True

    def __init__(
        self,
        conditional: Callable[[int, Tensor | None], Independent],
        sizes: Sequence[int],
        order: Sequence[int],
        batch_shape: torch.Size = torch.Size(),
    ):
        self.conditional, self.sizes, self.order = conditional, list(sizes), list(order)
        super().__init__(batch_shape, torch.Size([sum(sizes)]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """All vectors."""
        return constraints.real_vector

    def rsample(self, sample_shape: torch.Size | tuple = torch.Size()) -> Tensor:
        """Reparameterised draws, (*sample_shape, *batch_shape, D)."""
        return self._walk(lambda q, first: q.rsample(sample_shape) if first else q.rsample())

    @property
    def mean(self) -> Tensor:
        """Each level's mean given the mean of the one before: a typical code. (The mean over draws is another one.)"""
        return self._walk(lambda q, first: q.mean)

    def _walk(self, draw: Callable[[Independent, bool], Tensor]) -> Tensor:
        levels: list[Tensor | None] = [None] * len(self.sizes)
        parent = None
        for place, level in enumerate(self.order):
            parent = levels[level] = draw(self.conditional(level, parent), place == 0)
        return torch.cat(levels, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log density of codes (..., D), summed over the levels: (...)."""
        levels, parent = z.split(self.sizes, -1), None
        total = torch.zeros((), dtype=z.dtype, device=z.device)
        for level in self.order:
            total = total + self.conditional(level, parent).log_prob(levels[level])
            parent = levels[level]
        return total


class ByLevel(NamedTuple):
    """The two sides of the ELBO, the second one level by level; nats per image."""

    log_likelihood: Tensor  # (N,)
    kl: Tensor  # (L, N), z_1 first


class HierarchicalVAE(LatentVariableModel):
    """The generative half, which both ways of inference share.

    Args:
        top_down: L - 1 networks, that of z_1 first: z_{l+1} -> mean and log-variance of z_l, (..., 2 D_l).
        decoder: z_1 (N, D_1) -> what the likelihood makes a distribution of.
        likelihood: a `Likelihood`.
        sizes: (D_1, ..., D_L).
    """

    def __init__(self, top_down: Sequence[nn.Module], decoder: nn.Module, likelihood: nn.Module, sizes: Sequence[int]):
        super().__init__()
        self.sizes = checking.integers(sizes, "sizes")
        if len(top_down) != len(self.sizes) - 1:
            raise ValueError(
                f"{len(self.sizes)} levels need {len(self.sizes) - 1} networks from one level to the next, "
                f"not {len(top_down)}."
            )
        self.top_down, self.decoder, self.likelihood = nn.ModuleList(top_down), decoder, likelihood
        self.latent_dim = sum(self.sizes)

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) as the data that the likelihood is defined on."""
        return self.likelihood.prepare(images).to(self.dtype)

    def from_above(self, level: int, parent: Tensor | None) -> Independent:
        """p(z_l | z_{l+1}); N(0, I) at the top. `level` counts from 0 here, as indices do."""
        if parent is None:
            return standard_normal(self.sizes[level], self.device, self.dtype)
        mu, raw_log_var = not_halved(self.top_down[level](parent)).chunk(2, -1)
        return diagonal_gaussian(mu, soft_bound(raw_log_var))

    @property
    def prior(self) -> GaussianChain:
        """p(z), from the top down."""
        return GaussianChain(self.from_above, self.sizes, range(len(self.sizes) - 1, -1, -1))

    def decode(self, z: Tensor) -> Independent:
        """Codes (..., D) of all levels -> p(x | z_1), batch shape (...), event shape (C, H, W)."""
        bottom = z[..., : self.sizes[0]]
        flat = not_halved(self.decoder(bottom.reshape(-1, self.sizes[0])))
        return self.likelihood(flat.reshape(*z.shape[:-1], *flat.shape[1:]))

    def by_level(self, x: Tensor, samples: int = 1) -> ByLevel:
        """The log-likelihood and each level's share of KL(q(z | x) || p(z)), estimated with `samples` draws of q."""
        raise NotImplementedError(f"{type(self).__name__} does not define by_level.")

    def elbo(self, x: Tensor, samples: int = 1) -> Elbo:
        """The bound, with the KL of all levels together."""
        log_likelihood, divergences = self.by_level(x, samples)
        total = divergences.sum(0)
        return Elbo(log_likelihood - total, log_likelihood, total)

    @torch.no_grad()
    def redraw(self, z: Tensor, below: int, temperature: float = 1.0) -> Tensor:
        """The same upper levels, the lower ones drawn again: what a level decides by itself, and what it leaves open.

        Args:
            z: codes (..., D).
            below: levels z_1 ... z_below get fresh draws given those above; 0 changes nothing, L draws all anew.
            temperature: times the standard deviation of these draws; 0 takes their means.
        """
        below = checking.integer(below, "below", 0, len(self.sizes))
        temperature = checking.number(temperature, "temperature", 0, 1e6)
        if checking.finite(checking.floating(z, "z"), "z").shape[-1:] != (self.latent_dim,):
            raise ValueError(f"z must have shape (..., {self.latent_dim}), all levels together, not {tuple(z.shape)}.")
        levels = list(z.split(self.sizes, -1))
        with evaluating(self):
            for level in range(below - 1, -1, -1):
                top = level == len(levels) - 1
                p = self.from_above(level, None if top else levels[level + 1]).expand(z.shape[:-1])
                levels[level] = p.mean + temperature * p.stddev * torch.randn(
                    p.mean.shape, dtype=z.dtype, device=z.device
                )
        return torch.cat(levels, -1)


class LadderVAE(HierarchicalVAE):
    """q from the top down, each level the product of p(z_l | z_{l+1}) and a message from the picture.

    Args:
        features: (N, C, H, W) -> a list of L tensors, what the levels are told by, z_1's first.
        messages: L networks: feature -> shift and raw precision of a Gaussian factor over z_l, (N, 2 D_l).
        top_down, decoder, likelihood, sizes: see `HierarchicalVAE`.
    """

    def __init__(
        self,
        features: nn.Module,
        messages: Sequence[nn.Module],
        top_down: Sequence[nn.Module],
        decoder: nn.Module,
        likelihood: nn.Module,
        sizes: Sequence[int],
    ):
        super().__init__(top_down, decoder, likelihood, sizes)
        self.features, self.messages = features, nn.ModuleList(_one_for_each_level(messages, "messages", sizes))

    def messages_of(self, x: Tensor) -> list[GaussianFactor]:
        """What the picture says of each level, z_1 first."""
        features = self.features(self.likelihood.encoder_input(x))
        return [as_factor(message(f)) for message, f in zip(self.messages, features, strict=True)]

    def encode(self, x: Tensor) -> GaussianChain:
        """(N, C, H, W) -> q(z | x), batch shape (N,), event shape (D,)."""
        said = self.messages_of(x)

        def conditional(level: int, parent: Tensor | None) -> Independent:
            return (GaussianFactor.of(self.from_above(level, parent)) * said[level]).normalised()

        return GaussianChain(conditional, self.sizes, range(len(self.sizes) - 1, -1, -1), torch.Size([len(x)]))

    def by_level(self, x: Tensor, samples: int = 1) -> ByLevel:
        """See `HierarchicalVAE.by_level`; each KL in closed form given the draw of the level above."""
        samples, said, parent = checking.integer(samples, "samples"), self.messages_of(x), None
        levels, divergences = [], []
        for level in range(len(self.sizes) - 1, -1, -1):
            p = self.from_above(level, parent)
            q = (GaussianFactor.of(p) * said[level]).normalised()  # Sonderby et al., equations 11 and 12
            parent = q.rsample((samples,)) if parent is None else q.rsample()  # (samples, N, D_l)
            divergences.insert(0, kl(q, p).expand(samples, len(x)).mean(0))
            levels.insert(0, parent)
        return ByLevel(self.decode(torch.cat(levels, -1)).log_prob(x).mean(0), torch.stack(divergences))


class BottomUpVAE(HierarchicalVAE):
    """q from the picture up: q(z_1 | x), then q(z_{l+1} | z_l).

    Args:
        encoders: L networks, x -> mean and log-variance of z_1, then z_l -> those of z_{l+1}.
        top_down, decoder, likelihood, sizes: see `HierarchicalVAE`.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        top_down: Sequence[nn.Module],
        decoder: nn.Module,
        likelihood: nn.Module,
        sizes: Sequence[int],
    ):
        super().__init__(top_down, decoder, likelihood, sizes)
        self.encoders = nn.ModuleList(_one_for_each_level(encoders, "encoders", sizes))

    def encode(self, x: Tensor) -> GaussianChain:
        """(N, C, H, W) -> q(z | x), batch shape (N,), event shape (D,)."""
        picture = self.likelihood.encoder_input(x)

        def conditional(level: int, parent: Tensor | None) -> Independent:
            mu, raw_log_var = not_halved(self.encoders[level](picture if parent is None else parent)).chunk(2, -1)
            return diagonal_gaussian(mu, soft_bound(raw_log_var))

        return GaussianChain(conditional, self.sizes, range(len(self.sizes)), torch.Size([len(x)]))

    def by_level(self, x: Tensor, samples: int = 1) -> ByLevel:
        """See `HierarchicalVAE.by_level`; a share is log q(z_l | z_{l-1}) - log p(z_l | z_{l+1}) at the draws."""
        samples, q, parent = checking.integer(samples, "samples"), self.encode(x), None
        levels, log_q = [], []
        for level in range(len(self.sizes)):
            given = q.conditional(level, parent)
            parent = given.rsample((samples,)) if parent is None else given.rsample()  # (samples, N, D_l)
            levels.append(parent)
            log_q.append(given.log_prob(parent))
        log_p = [
            self.from_above(level, above).log_prob(z)
            for level, (z, above) in enumerate(zip(levels, [*levels[1:], None], strict=True))
        ]
        shares = torch.stack([a - b for a, b in zip(log_q, log_p, strict=True)]).mean(1)  # (L, N)
        return ByLevel(self.decode(torch.cat(levels, -1)).log_prob(x).mean(0), shares)


def _one_for_each_level(networks: Sequence[nn.Module], name: str, sizes: Sequence[int]) -> Sequence[nn.Module]:
    if len(networks) != len(sizes):
        raise ValueError(f"{name} must hold a network for each of the {len(sizes)} levels, not {len(networks)}.")
    return networks


SCALE = 10.0  # of shifts and precisions: a posterior a third as wide as the prior has a precision of ten


def as_factor(raw: Tensor) -> GaussianFactor:
    """A network's output (..., 2 D) as a Gaussian factor (..., D): its shift, and a precision that is positive.

    The network gives the shift itself and not a mean, which would be multiplied by the precision: where a message is
    faint a mean then has no gradient, precision and mean wait for each other, and the level dies (notebook 07).
    """
    shift, raw_precision = (SCALE * not_halved(raw)).chunk(2, -1)
    return GaussianFactor(shift, F.softplus(raw_precision))


class Stages(nn.Module):
    """Networks one after another, of which all results are wanted: x -> [d_1, ..., d_L]."""

    def __init__(self, stages: Sequence[nn.Module]):
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x -> [stage_1(x), stage_2(stage_1(x)), ...]."""
        results = []
        for stage in self.stages:
            x = stage(x)
            results.append(x)
        return results


def mlp_hierarchy(
    image_shape: Sequence[int], sizes: Sequence[int], hidden: int, likelihood: nn.Module, bottom_up: bool = False
) -> HierarchicalVAE:
    """A hierarchy of fully connected layers, each network with one hidden layer.

    Args:
        image_shape: (C, H, W).
        sizes: (D_1, ..., D_L), z_1 next to the picture.
        hidden: units of each hidden layer.
        likelihood: a `Likelihood`.
        bottom_up: a `BottomUpVAE` in place of a `LadderVAE`.
    """
    image_shape, sizes = checking.integers(image_shape, "image_shape", "(C, H, W)"), checking.integers(sizes, "sizes")
    hidden, bottom_up = checking.integer(hidden, "hidden"), checking.flag(bottom_up, "bottom_up")
    painted = (getattr(likelihood, "outputs", 1) * image_shape[0], *image_shape[1:])
    pixels = math.prod(image_shape)
    decoder = nn.Sequential(mlp([sizes[0], hidden, math.prod(painted)]), nn.Unflatten(-1, painted))
    top_down = [mlp([above, hidden, 2 * below]) for below, above in pairwise(sizes)]
    if bottom_up:
        first = nn.Sequential(nn.Flatten(), mlp([pixels, hidden, 2 * sizes[0]]))
        encoders = [first, *(mlp([below, hidden, 2 * above]) for below, above in pairwise(sizes))]
        return BottomUpVAE(encoders, top_down, decoder, likelihood, sizes)
    stages = [nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.SiLU())]
    stages += [nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU()) for _ in sizes[1:]]
    messages = [nn.Linear(hidden, 2 * d) for d in sizes]
    return LadderVAE(Stages(stages), messages, top_down, decoder, likelihood, sizes)
