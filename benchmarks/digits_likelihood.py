"""How likely are handwritten digits under the package's models, from the simplest to the best? Nats per image.

    python -m benchmarks.digits_likelihood                         what docs quote: some minutes
    python -m benchmarks.digits_likelihood --split validation      the digits that settings were chosen with
    python -m benchmarks.digits_likelihood --seeds 2 --samples 20 --share 0.05      a quick look

scikit-learn's digits of 8 x 8 pixels with their 17 levels: each model gives every picture a probability, and -log P(x)
is to be small. One thread. A VAE's is the importance-weighted bound (Burda et al. 2016), and that of probabilistic PCA
is bounded by its density of dequantised digits (Theis et al. 2016): both can only be too large. Steps, sizes, numbers
of components and pseudo-counts were or are chosen on the validation digits.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measuring import description, one_thread, table
from vae_helpers import (
    LatentVariableModel,
    LogisticMixtureLikelihood,
    MixturePriorVAE,
    ProbabilisticPCA,
    VampPriorVAE,
    fit,
    importance_weighted_bound,
    load,
    mean_and_error,
    mlp_hierarchy,
    mlp_vae,
    seed_everything,
)
from vae_helpers.images import dequantise, levels_of

LEVELS, SHAPE = 17, (1, 8, 8)
PIXELS = math.prod(SHAPE)
Costs = Callable[[Tensor], Tensor]  # stored pictures (N, 1, 8, 8) -> -log P(x), (N,)


# --- without a network ------------------------------------------------------------------------------------------------


def one_hot(images: Tensor) -> Tensor:
    """(N, 1, 8, 8) -> (N, 64 * 17)."""
    return F.one_hot(levels_of(images, LEVELS).long().flatten(1), LEVELS).flatten(1).float()


def mixture_of_categoricals(train: Tensor, components: int, pseudo_count: float, steps: int = 40) -> Costs:
    """P(x) = sum_k pi_k prod_i P_k(x_i), by EM from random responsibilities; the pseudo-count is added to each level's.

    One component: independent pixels.
    """
    x = one_hot(train)
    shares = torch.distributions.Dirichlet(torch.full((components,), 0.1)).sample((len(x),))  # (N, K)
    for _ in range(steps if components > 1 else 1):
        counts = (shares.T @ x).view(components, PIXELS, LEVELS) + pseudo_count
        log_p = (counts / counts.sum(-1, keepdim=True)).log().flatten(1)  # (K, 64 * 17)
        log_weights = ((shares.sum(0) + 1) / (len(x) + components)).log()
        shares = (x @ log_p.T + log_weights).softmax(-1)
    return lambda images: -torch.logsumexp(one_hot(images) @ log_p.T + log_weights, -1)


def dequantised_ppca(train: Tensor, latent_dim: int, draws: int = 20) -> Costs:
    """-log P(x) <= -E log p(x + u), u uniform within the level; p has the maximal likelihood of such draws."""

    def drawn(images: Tensor) -> Tensor:
        pictures = dequantise(images.repeat(draws, 1, 1, 1), LEVELS)
        return pictures.flatten(1).double()

    model = ProbabilisticPCA.maximum_likelihood(drawn(train), latent_dim)
    return lambda images: PIXELS * math.log(LEVELS) - model.evidence(drawn(images)).view(draws, -1).mean(0)


def chosen(fits: Callable[..., Costs], validation: Tensor, *grid: tuple) -> Costs:
    """The fit with the smallest mean cost on the validation digits."""
    return min((fits(*values) for values in product(*grid)), key=lambda costs: costs(validation).mean())


# --- VAEs -------------------------------------------------------------------------------------------------------------


def flat() -> LatentVariableModel:
    """A code of 16 numbers, prior N(0, I)."""
    return mlp_vae(SHAPE, 16, (400,), LogisticMixtureLikelihood(2, LEVELS))


def models(train: Tensor) -> dict[str, tuple[Callable[[], LatentVariableModel], int]]:
    """Name -> how the model is made, and its steps: five to ten seconds of one core."""
    likelihood = LogisticMixtureLikelihood(2, LEVELS)

    def vamp(pictures: int) -> VampPriorVAE:
        vae = flat()
        return VampPriorVAE(vae, vae.prepare(train[torch.randperm(len(train))[:pictures]]))

    return {
        "flat VAE, prior N(0, I)": (flat, 1300),
        "... learned mixture of 50 as prior": (lambda: MixturePriorVAE(flat(), 50), 900),
        "... VampPrior of 20": (lambda: vamp(20), 900),
        "... VampPrior of 50": (lambda: vamp(50), 1000),
        "two levels, inferred bottom-up": (lambda: mlp_hierarchy(SHAPE, (16, 8), 400, likelihood, bottom_up=True), 900),
        "two levels, ladder": (lambda: mlp_hierarchy(SHAPE, (16, 8), 400, likelihood), 1000),
    }


def trained(make: Callable[[], LatentVariableModel], train: Tensor, steps: int, seed: int) -> LatentVariableModel:
    """The model after its steps."""
    seed_everything(seed)
    model = make()
    fit(model, train, steps=steps, batch_size=128, learning_rate=5e-3, seed=seed, progress=False)
    return model


def costs_of(model: LatentVariableModel, samples: int) -> Costs:
    """The importance-weighted bound, a hundred pictures at a time."""

    def costs(images: Tensor) -> Tensor:
        seed_everything(0)
        with torch.no_grad():
            bounds = [
                importance_weighted_bound(model, model.prepare(x), samples=samples, chunk=5) for x in images.split(100)
            ]
        return -torch.cat(bounds)

    return costs


# --- the table --------------------------------------------------------------------------------------------------------


def methods(
    train: Tensor, validation: Tensor, args: argparse.Namespace
) -> Iterator[tuple[str, Callable[[int], Costs]]]:
    """Name -> a training with a seed, from the simplest on."""
    yield "all levels alike", lambda seed: lambda images: torch.full((len(images),), PIXELS * math.log(LEVELS))

    def mixture(*components: int) -> Callable[[int], Costs]:
        def fits(k: int, pseudo_count: float) -> Costs:
            return mixture_of_categoricals(train, k, pseudo_count)

        return lambda seed: chosen(fits, validation, components, (0.03, 0.1, 0.3, 1.0))

    yield "independent pixels", mixture(1)
    yield "mixture of categoricals", mixture(10, 20, 40, 80)
    yield (
        "probabilistic PCA, dequantised (at most)",
        lambda seed: chosen(lambda dims: dequantised_ppca(train, dims), validation, (40, 50, 60, 63)),
    )
    for name, (make, steps) in models(train).items():
        yield (
            name,
            lambda seed, make=make, steps=steps: costs_of(
                trained(make, train, max(1, int(steps * args.share)), seed), args.samples
            ),
        )


def main() -> None:
    """Train everything with each seed, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    args = parser.parse_args()
    one_thread()
    data = load("digits")
    train, validation, images = data.train.images, data.validation.images, getattr(data, args.split).images
    costs, seconds = {}, {}
    for name, train_with in methods(train, validation, args):
        costs[name], seconds[name] = [], []
        for seed in range(args.seeds):
            seed_everything(seed)
            start = time.process_time()
            cost = train_with(seed)
            seconds[name].append(time.process_time() - start)
            costs[name].append(cost(images).double())
    last = torch.stack(costs[name]).mean(0)  # (N,)
    rows = []
    for name, found in costs.items():
        means = [cost.mean().item() for cost in found]
        more = mean_and_error(torch.stack(found).mean(0) - last)
        spent = statistics.mean(seconds[name])
        rows.append(
            [
                name,
                f"{statistics.mean(means):.2f} ± {statistics.stdev(means):.2f}",
                more,
                f"{spent:.2g}" if spent > 0.01 else "-",
            ]
        )
    print(description(), f"\n\n{len(images)} {args.split} digits, {args.seeds} seeds, K = {args.samples}.\n")
    print(table(["", "-log P(x), nats", "more than the ladder", "CPU seconds"], rows))


if __name__ == "__main__":
    main()
