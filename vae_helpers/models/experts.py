"""Several views of one picture, each with an encoder of its own, and any subset of them put together.

    product    q(z | seen) = p(z) prod_v f_v(z | x_v)               Wu & Goodman (2018), section 2.2: one prior
    mixture    q(z | seen) = mean over seen v of p(z) f_v(z | x_v)  Shi et al. (2019), equation 2

`MultiViewVAE` has an expert network for each view. `LinearExpert` is the simplest one there is: a ridge regression from
a view to codes, with the covariance of what it misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal

from vae_helpers import checking
from vae_helpers.distributions import GaussianFactor
from vae_helpers.images import to_float
from vae_helpers.models.ladder import as_factor
from vae_helpers.models.protocol import Elbo, LatentVariableModel
from vae_helpers.models.vae import VAE


class Crop(nn.Module):
    """The view of a rectangle: (..., H, W) -> (..., bottom - top, right - left), and the mask of what it sees.

    Args:
        size: (H, W) of the pictures.
        rows, columns: (first, last + 1).
    """

    def __init__(self, size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]):
        super().__init__()
        self.rows, self.columns = slice(*rows), slice(*columns)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[self.rows, self.columns] = True
        if not mask.any():
            raise ValueError(f"rows {rows} and columns {columns} leave nothing of a picture of {size} pixels.")
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H, W) -> (..., h, w)."""
        return x[..., self.rows, self.columns]


def tiles(size: tuple[int, int], rows: int, columns: int) -> list[Crop]:
    """A picture cut into equal tiles, row by row: (2, 2) are quadrants, (1, 2) halves, (4, 1) row strips.

    Raises:
        ValueError: the sides cannot be cut like this.
    """
    rows, columns = checking.integer(rows, "rows"), checking.integer(columns, "columns")
    (height, width) = checking.integers(size, "size", "(H, W)")
    if height % rows or width % columns:
        raise ValueError(f"{height} x {width} pixels cannot be cut into {rows} x {columns} equal tiles.")
    h, w = height // rows, width // columns
    return [Crop(size, (r * h, (r + 1) * h), (c * w, (c + 1) * w)) for r in range(rows) for c in range(columns)]


class Edges(nn.Module):
    """The view of outlines alone, (..., C, H, W) -> (..., 1, H, W): how much brightness changes to the next pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Differences to the right and downwards, as the length of the gradient."""
        grey = x.mean(-3, keepdim=True)
        across = nn.functional.pad(grey.diff(dim=-1), (0, 1))
        down = nn.functional.pad(grey.diff(dim=-2), (0, 0, 0, 1))
        return (across.square() + down.square() + 1e-8).sqrt()


class MultiViewVAE(LatentVariableModel):
    """A VAE that can be asked with any of its views: `encode(x, seen)`.

    Args:
        vae: its prior, decoder and likelihood are taken over, not copied; its own encoder, which sees all, stays there
            as `vae.encode`.
        views: V modules, from pictures to what an expert sees.
        experts: V networks, from a view to shift and raw precision of a factor over z, (N, 2 D).
        fusion: "product" or "mixture".
    """

    def __init__(
        self,
        vae: VAE,
        views: Sequence[nn.Module],
        experts: Sequence[nn.Module],
        fusion: Literal["product", "mixture"] = "product",
    ):
        super().__init__()
        if len(views) != len(experts) or not len(views):
            raise ValueError(f"each view needs an expert; there are {len(views)} views and {len(experts)} experts.")
        if fusion not in ("product", "mixture"):
            raise ValueError(f'fusion must be "product" or "mixture", not {checking.shown(fusion)}.')
        self.vae, self.views, self.experts = vae, nn.ModuleList(views), nn.ModuleList(experts)
        self.fusion, self.latent_dim = fusion, vae.latent_dim

    @property
    def prior(self) -> Distribution:
        """That of the VAE."""
        return self.vae.prior

    def prepare(self, images: Tensor) -> Tensor:
        """As the VAE does."""
        return self.vae.prepare(images)

    def factors(self, x: Tensor) -> GaussianFactor:
        """What each view says beyond the prior: shift and precision (N, V, D)."""
        picture = self.vae.likelihood.encoder_input(x)
        raw = [expert(view(picture)) for view, expert in zip(self.views, self.experts, strict=True)]
        return as_factor(torch.stack(raw, 1))

    def encode(self, x: Tensor, seen: Tensor) -> Distribution:
        """q(z | the seen views of x).

        Args:
            x: (N, C, H, W).
            seen: bool (N, V); a row without any is the prior.
        Returns:
            batch shape (N,), event shape (D,): `Independent(Normal)` of a product, a mixture of V of them otherwise.
        """
        said = self.factors(x)
        seen = checked_seen(seen, len(x), len(self.experts))
        if self.fusion == "product":
            return fused(self.prior, said, seen)
        prior = GaussianFactor.of(self.prior)
        nobody = ~seen.any(1, keepdim=True)  # (N, 1): then all of the mixture is the prior
        heard = said ** (~nobody).to(said.shift.dtype)
        weights = (seen | nobody).to(said.shift.dtype)  # (N, V)
        return MixtureSameFamily(Categorical(probs=weights), (prior * heard).normalised())

    def decode(self, z: Tensor, seen: Tensor | None = None) -> Independent:
        """p(x | z) of the VAE, whatever was seen."""
        return self.vae.decode(z)

    def elbo(self, x: Tensor, seen: Tensor, samples: int = 1) -> Elbo:
        """E_q[log p(x_seen | z)] - KL(q(z | seen) || p(z)), a bound on the log-probability of the seen pixels alone.

        The views have to be crops, for their masks say which pixels count. In a mixture each expert that was seen gets
        `samples` draws of its own (Shi et al. 2019, equation 3).
        """
        q = self.encode(x, seen)
        mask = self.seen_pixels(seen)[:, None]  # (N, 1, H, W)
        z = _stratified(q, samples)  # (draws, N, D)
        weights = _weights(q, samples).to(z.dtype)  # (draws, N), over the draws of an image they sum to one
        by_pixel = self.decode(z).base_dist.log_prob(x)  # (draws, N, C, H, W)
        log_likelihood = (weights * (by_pixel * mask).sum((-3, -2, -1))).sum(0)
        divergence = (weights * (q.log_prob(z) - self.prior.log_prob(z))).sum(0)
        return Elbo(log_likelihood - divergence, log_likelihood, divergence)

    def seen_pixels(self, seen: Tensor) -> Tensor:
        """Which pixels the seen views show: bool (N, V) -> bool (N, H, W)."""
        masks = torch.stack([view.mask for view in self.views])  # (V, H, W)
        return (seen[:, :, None, None] & masks).any(1)


def fused(prior: Distribution, said: GaussianFactor, seen: Tensor | None = None) -> Distribution:
    """p(z) prod_v f_v(z): the prior once, times what each of those that were seen says beyond it (notebook 07).

    Args:
        prior: p(z), event shape (D,).
        said: batch shape (..., V).
        seen: bool (..., V), which of them count; all by default. None of a row: the prior.
    Returns:
        batch shape (...), event shape (D,).
    """
    if seen is not None:
        said = said ** seen.to(said.shift.dtype)  # those that were not seen say nothing
    return (GaussianFactor.of(prior) * GaussianFactor(said.shift.sum(-2), said.precision.sum(-2))).normalised()


class LinearExpert:
    """q(z | view) = N(W f + b, S): a ridge regression from a view's pixels f to codes, and how far it is off.

    The maximum-likelihood answer among all affine means with one covariance, so no training is missing; S is taken from
    pictures that W has not seen, for on its own it would look too good, and is cut where it exceeds the covariance of
    the codes, so that what a view says beyond the prior has no negative precision.

    Args:
        view: from pictures to a view.
        images: `uint8` (N, C, H, W).
        codes: (N, D), of the same pictures.
        ridge: penalty, as a share of the number of pictures, > 0.
        held_out: the last share of the pictures, which S is taken from.
    Raises:
        ValueError: too few pictures for a covariance of D numbers.
    """

    def __init__(self, view: nn.Module, images: Tensor, codes: Tensor, ridge: float = 3e-4, held_out: float = 0.2):
        self.view = view
        fitted = len(images) - round(checking.number(held_out, "held_out", 0, 1) * len(images))
        if not 1 < fitted < len(images) - codes.shape[1]:
            raise ValueError(
                f"{len(images) - fitted} of {len(images)} pictures are held out for a covariance of {codes.shape[1]} "
                "numbers: it takes more of them than that, and two at least to fit. Give more pictures."
            )
        f = self._pixels(images)  # (N, P)
        self.centre, self.b = f[:fitted].mean(0), codes[:fitted].mean(0)
        centred = f[:fitted] - self.centre
        normal = centred.T @ centred
        normal.diagonal().add_(checking.positive(ridge, "ridge") * fitted)
        self.W = torch.linalg.solve(normal, centred.T @ (codes[:fitted] - self.b))  # (P, D)
        missed = codes[fitted:] - self._mean(f[fitted:])
        self.S = _at_most(missed.T @ missed / len(missed), torch.cov(codes.T).reshape(codes.shape[1], -1))

    def __call__(self, images: Tensor) -> MultivariateNormal:
        """`uint8` (N, C, H, W) -> q(z | view), batch shape (N,), event shape (D,)."""
        return MultivariateNormal(self._mean(self._pixels(images)), self.S)

    def _mean(self, f: Tensor) -> Tensor:
        return (f - self.centre) @ self.W + self.b

    def _pixels(self, images: Tensor) -> Tensor:
        return self.view(to_float(images)).flatten(1)


def _at_most(S: Tensor, largest: Tensor) -> Tensor:
    """The covariance S (D, D), cut where it exceeds another one: whoever saw something knows no less than nothing."""
    root = torch.linalg.cholesky(largest)
    relative = torch.linalg.solve_triangular(root, torch.linalg.solve_triangular(root, S, upper=False).mT, upper=False)
    shares, axes = torch.linalg.eigh((relative + relative.mT) / 2)
    cut = root @ (axes * shares.clamp(max=1).sqrt())  # (D, D), S = cut cut^T
    return cut @ cut.mT


def random_subsets(n: int, views: int, device: torch.device | str | None = None) -> Tensor:
    """For each of n pictures one of the 2^V - 1 subsets that are not empty, all equally likely: bool (n, V)."""
    number = torch.randint(1, 2 ** checking.integer(views, "views"), (n, 1), device=device)
    return (number >> torch.arange(views, device=device)) % 2 == 1


def checked_seen(seen: Tensor, n: int, views: int) -> Tensor:
    """`seen`, if it is bool (n, views); it says which views of each picture, or pictures of each thing, count."""
    if not isinstance(seen, Tensor) or seen.dtype != torch.bool or seen.shape != (n, views):
        raise ValueError(f"seen must be a bool tensor ({n}, {views}), a row for each x, not {checking.kind_of(seen)}.")
    return seen


def _stratified(q: Distribution, samples: int) -> Tensor:
    """Reparameterised draws: `samples` of a Gaussian, or of each part of a mixture: (draws, N, D)."""
    if isinstance(q, MixtureSameFamily):
        return q.component_distribution.rsample((samples,)).movedim(2, 1).flatten(0, 1)  # (samples V, N, D)
    return q.rsample((samples,))


def _weights(q: Distribution, samples: int) -> Tensor:
    """What each of those draws counts: (draws, N)."""
    if isinstance(q, MixtureSameFamily):
        return q.mixture_distribution.probs.T.repeat(samples, 1) / samples
    return torch.full((samples, *q.batch_shape), 1 / samples, device=q.mean.device)
