"""What a trained model says about the loss that trained it: at a minimum the gradients of its parts balance.

Let the noise of all codes grow a little: the pictures get worse and the codes get cheaper. Where training has come to
rest the two cancel, at the price that the KL really had in the loss, whatever the loss was meant to be. Nothing but
the model and pictures is needed to read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.distributions.divergences import is_diagonal_gaussian
from vae_helpers.distributions.gaussian import kl_by_latent
from vae_helpers.evaluation.bounds import Estimate, over_batches, pictures_at_once

SILENT = 0.02  # nats of a latent on average, below which it has no say in the price


class Prices(NamedTuple):
    """What a nat of KL cost in the loss that a model was trained by, in nats of reconstruction; 1 for the ELBO."""

    of_noise: Estimate  # read from the variances of q(z | x)
    of_means: Estimate  # read from its means: they come to rest later, and batch norm and dropout move them, too
    by_latent: Tensor  # (D,), that of the noise; NaN where a latent carries less than `SILENT` nats


@torch.no_grad()
def kl_price(
    model: Any, data: Tensor | Sequence[Tensor], samples: int = 8, batch_size: int | None = None, seed: int = 0
) -> Prices:
    """Read from a trained model by which factor its KL was weighted: the beta that its gradients balance at.

    Let delta = -log p(x | z) be the distortion of a picture x at z = mu + sigma eps, where q(z | x) = N(mu, sigma^2)
    and KL = (mu^2 + sigma^2 - 1 - log sigma^2) / 2. A loss E[delta + beta KL] is at rest when
    E[d delta / d log sigma^2] = beta E[1 - sigma^2] / 2 (the noise) and E[(mu - m) d delta / d mu] =
    -beta E[(mu - m) mu] with m = E[mu] (the means): notebook 12, equations (12.3) and (12.4). The prices are the
    ratios of the two sides, with sums over latents and pictures taken before dividing. The noise has to be learned: of
    a sigma that no weight moves, the first says nothing.

    Args:
        model: encode, whose q(z | x) is a diagonal Gaussian and gives mu and sigma, a prior N(0, I), and decode, whose
            p(x | z) gives delta and lets its gradient through to the codes.
        data: what it was trained on, as for `evaluate`; some hundred pictures are enough. On others the noise bends by
            some per cent, and the means by anything.
        samples: pairs of draws z for each picture.
        batch_size, seed: as for `evaluate`; a picture has 2 x samples draws.
    Returns:
        Prices, NaN where all codes are silent. Their errors are those of the choice of pictures and draws; how far the
        model is from rest they do not know.
    Raises:
        TypeError: not such data, q(z | x) or the prior is none of these, or no gradient comes through.
        ValueError: fewer than two pictures.
    """
    samples = checking.integer(samples, "samples")
    if len(checking.together(data, "data")[0]) < 2:
        raise ValueError("data must hold at least two images, for the spread over them; there is only one.")

    if not is_standard_normal(model.prior):
        raise TypeError("model.prior must be N(0, I), Independent(Normal(zeros, ones), 1): its nats are priced.")
    if batch_size is None:
        batch_size = max(1, pictures_at_once(model) // (2 * samples))

    def gradients(x: Tensor, *conditions: Tensor) -> Tensor:
        return _gradients(model, x, conditions, samples)

    by_log_var, by_mu, variance, mu = over_batches(gradients, model, data, batch_size, seed).unbind(1)  # (N, D) each
    cost = (1 - variance) / 2  # of the noise: -dKL / dlog sigma^2
    spread = mu - mu.mean(0)
    nats = kl_by_latent(mu, variance.log()).mean(0)
    by_latent = torch.where(nats > SILENT, by_log_var.mean(0) / cost.mean(0), torch.nan)
    of_means = _ratio((-spread * by_mu).sum(1), (spread * mu).sum(1))
    return Prices(_ratio(by_log_var.sum(1), cost.sum(1)), of_means, by_latent)


def is_standard_normal(p: Any) -> bool:
    """Whether p is N(0, I), as `Independent(Normal, 1)`."""
    return is_diagonal_gaussian(p) and bool((p.mean == 0).all() and (p.stddev == 1).all())


def _gradients(model: Any, x: Tensor, conditions: Sequence[Tensor], samples: int) -> Tensor:
    """Of each picture and latent dd / dlog sigma^2, dd / dmu, sigma^2 and mu: (N, 4, D), float64."""
    q = model.encode(x, *conditions)
    if not is_diagonal_gaussian(q):
        raise TypeError(
            f"model.encode must return a diagonal Gaussian, Independent(Normal, 1), not {type(q).__name__}."
        )
    mu, log_var = q.base_dist.loc.detach(), 2 * q.base_dist.scale.detach().log()  # (N, D) each
    eps = torch.randn(samples, *mu.shape, device=mu.device, dtype=mu.dtype)
    with torch.enable_grad():
        mu.requires_grad_(), log_var.requires_grad_()
        z = mu + (log_var / 2).exp() * torch.cat([eps, -eps])  # (2 S, N, D); in pairs, for less noise
        distortion = -model.decode(z, *conditions).log_prob(x).mean(0).sum()
        if not distortion.requires_grad:
            raise TypeError("model.decode must let a gradient through: it uses no_grad, or .detach() or .data.")
        by_mu, by_log_var = torch.autograd.grad(distortion, [mu, log_var], allow_unused=True, materialize_grads=True)
    moments = [by_log_var, by_mu, log_var.detach().exp(), mu.detach()]
    return torch.stack([one.cpu().double() for one in moments], 1)  # Apple's GPU has no float64


def _ratio(top: Tensor, bottom: Tensor) -> Estimate:
    """mean(top) / mean(bottom) over pictures, with the error of a ratio of means (the delta method)."""
    ratio = top.mean() / bottom.mean()  # NaN where no code says anything
    error = (top - ratio * bottom).std() / len(top) ** 0.5 / bottom.mean().abs()
    return Estimate(ratio.item(), error.item())
