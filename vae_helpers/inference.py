"""Codes found by search, where an encoder cannot be used: only parts of several pictures are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vae_helpers import checking
from vae_helpers.blending import fill_smoothly
from vae_helpers.distributions import diagonal_gaussian, kl
from vae_helpers.images import mask_weights
from vae_helpers.models.protocol import evaluating

RUNAWAY = 80.0  # log-variances beyond it are no search for a code any more, and overflow soon


def infer_code(
    model: nn.Module,
    pictures: Sequence[Tensor],
    masks: Sequence[Tensor],
    start: Tensor | None = None,
    steps: int = 30,
    learning_rate: float = 0.05,
    seed: int = 0,
    batch_size: int = 250,
) -> Independent:
    """q(z) for codes whose picture agrees with chosen regions of several pictures at once.

    Maximises, by Adam on the mean and log-variance of one Gaussian for each composite, the bound

        E_q[ sum over sources s and pixels i of m_si log p(x_si | z) ] - KL(q || p),

    the ELBO of the pixels that the masks choose; the others are left out, as if never seen. A pixel chosen in two
    sources counts twice.

    Args:
        model: a `VAE` whose likelihood treats pixels as independent given z.
        pictures: sources, (N, C, H, W) each, on the scale that the likelihood is defined on (Gaussian: [0, 1]).
        masks: a mask for each source, (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; they may overlap.
        start: (N, C, H, W), pictures whose encoding q starts at; by default the sources, averaged by their masks, with
            `fill_smoothly` where there is none.
        steps: of Adam, its rate falling linearly.
        learning_rate: the first step's.
        seed: of the samples of q; the same seed gives the same q. torch's random state is left alone.
        batch_size: composites at a time, bounds the memory.
    Returns:
        q, batch shape (N,), event shape (D,): `q.mean` is the best code, `q.sample()` draws others as plausible.
    Raises:
        ValueError: also where the masks choose no pixel at all for some composite.
    """
    sources, weights = _check_sources(pictures, masks)
    steps, batch_size = checking.integer(steps, "steps"), checking.integer(batch_size, "batch_size")
    learning_rate, seed = checking.number(learning_rate, "learning_rate", 1e-9, 1e3), checking.seed(seed)
    if start is None:
        start = _pasted(sources, weights)
    checking.tensor(start, "start", "(N, C, H, W)")
    if start.shape != sources[0].shape:
        raise ValueError(
            f"start has shape {tuple(start.shape)}, the pictures {tuple(sources[0].shape)}: give equal ones."
        )
    generator, found = torch.Generator().manual_seed(seed), []
    with evaluating(model):
        for first in range(0, len(start), batch_size):
            part = slice(first, first + batch_size)
            found.append(
                _ascend(
                    model,
                    [x[part] for x in sources],
                    [m[part] for m in weights],
                    start[part],
                    steps,
                    learning_rate,
                    generator,
                )
            )
    mu, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
    return diagonal_gaussian(mu, log_var)


def _ascend(
    model: nn.Module,
    sources: list[Tensor],
    weights: list[Tensor],
    start: Tensor,
    steps: int,
    learning_rate: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean and log-variance (n, D) each of the best q for some composites."""
    with torch.no_grad():
        q, prior = model.encode(start), model.prior
    parameters = [q.mean.clone().requires_grad_(), q.variance.log().requires_grad_()]
    optimiser = torch.optim.Adam(parameters, learning_rate, betas=(0.9, 0.98))
    with torch.enable_grad():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = learning_rate * (1 - 0.95 * step / steps)
            mu, log_var = parameters
            eps = torch.randn(mu.shape, generator=generator).to(mu)
            p = model.decode(mu + eps * torch.exp(0.5 * log_var)).base_dist  # pixels one by one
            fit = sum((m * p.log_prob(x)).flatten(1).sum(1) for x, m in zip(sources, weights, strict=True))
            loss = (kl(diagonal_gaussian(mu, log_var), prior) - fit).sum()
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            optimiser.step()
            if not (mu.isfinite().all() and log_var.abs().max() < RUNAWAY):
                raise ValueError(
                    f"learning_rate = {learning_rate:g} is too large: the search ran away at step {step + 1}."
                )
    return parameters[0].detach(), parameters[1].detach()


def _pasted(sources: list[Tensor], weights: list[Tensor]) -> Tensor:
    """The sources averaged by their masks, holes filled smoothly: (N, C, H, W)."""
    total = sum(weights)
    mean = sum(m * x for x, m in zip(sources, weights, strict=True)) / total.clamp(min=1e-12)
    return fill_smoothly(mean, total == 0)


def _check_sources(pictures: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The sources and their masks (N, 1, H, W), all of the same size."""
    for name, value in (("pictures", pictures), ("masks", masks)):
        if isinstance(value, Tensor) or not isinstance(value, Sequence):
            raise TypeError(f"{name} must be a list with one tensor for each source, not {checking.shown(value)}.")
    if len(pictures) != len(masks) or not pictures:
        raise ValueError(f"{len(pictures)} pictures and {len(masks)} masks: give one mask for each, and at least one.")
    for k, x in enumerate(pictures):
        checking.tensor(x, f"pictures[{k}]", "(N, C, H, W)")
        if x.shape != pictures[0].shape:
            raise ValueError(
                f"pictures[{k}] has shape {tuple(x.shape)}, pictures[0] {tuple(pictures[0].shape)}: all sources need "
                "the same size and number. torch.nn.functional.interpolate changes a size."
            )
    first = pictures[0]
    weights = [mask_weights(m, len(first), first, f"masks[{k}]") for k, m in enumerate(masks)]
    nothing = sum(weights).flatten(1).sum(1) == 0
    if nothing.any():
        raise ValueError(
            f"the masks choose no pixel at all for composite {int(nothing.nonzero()[0])}: choose a region, or leave "
            "this one out; without any pixel the posterior is the prior."
        )
    return list(pictures), weights
