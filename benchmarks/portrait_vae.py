"""Which factors does a VAE of portraits keep, after how many steps, and at which size? A judge reads them.

    python -m benchmarks.portrait_vae --steps 1000 4000 --sizes 32 64     the network of notebook 04, longer and larger
    python -m benchmarks.portrait_vae --shipped                           the strong model that the package carries
    python -m benchmarks.portrait_vae --steps 100 --sizes 32 --seeds 1    a quick look

Float32, one thread. Each row is a training of its own, its rate falling to the end. The judge has seen no loss, and the
first rows are what it reads in the portraits themselves and in somebody else's. Samples come from a mixture of ten
Gaussians on codes of 10,000 training portraits; their distance to as many held-out portraits stands beside that of
other real ones. Validation portraits; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.measuring import description, one_thread, table
from benchmarks.sharper_images import portraits_made, spread
from vae_helpers import VAE, conv_vae, face_distance, factor_r2, fit, load, pretrained, psnr, seed_everything, to_float
from vae_helpers.rendering import faces

SETTINGS = {"batch_size": 32, "learning_rate": 6e-3, "betas": (0.9, 0.98)}  # notebook 04's
NAMES = tuple(name.replace("_", " ") for name in faces.NAMES)
COLUMNS = ("PSNR, dB", "distance of samples", *(f"{name}, R²" for name in NAMES), "CPU seconds")


def small_vae(size: int) -> VAE:
    """The network that notebook 04 trains, for portraits of another size too."""
    return conv_vae((3, size, size), latent_dim=32, width=40, hidden=192)


def trained(size: int, images: Tensor, steps: int, seed: int) -> tuple[VAE, float]:
    """It after so many steps, as notebook 04 trains it, and the CPU seconds that they took."""
    seed_everything(seed)
    model, begun = small_vae(size), time.process_time()
    fit(model, images, steps=steps, seed=seed, weights=warm_up, progress=False, **SETTINGS)
    return model, time.process_time() - begun


def warm_up(step: int) -> dict[str, float]:
    """Of beta, as in the notebook."""
    return {"beta": min(1.0, step / 200)}


@torch.no_grad()
def scores(model: VAE, train: Tensor, held_out: Tensor, factors: Tensor, seed: int = 0) -> list[float]:
    """PSNR, distance of samples, and how well the judge reads each factor from reconstructions."""
    x = to_float(held_out)
    seen = torch.cat([model.reconstruct(part) for part in x.split(250)]).clamp(0, 1)
    made = portraits_made(model, train, len(x), components=10, seed=seed)
    read = factor_r2(seen, factors, judge=True)
    return [psnr(seen, x).mean().item(), face_distance(made, x, judge=True), *read.values()]


def yardsticks(train: Tensor, held_out: Tensor, factors: Tensor, size: int) -> Iterator[tuple[str, list[float]]]:
    """What the judge says of the portraits themselves, of others, and of somebody else's factors."""
    x, others = to_float(held_out), to_float(train[: len(held_out)])
    nan = float("nan")
    read = factor_r2(x, factors, judge=True)
    yield f"portraits, {size} x {size}", [nan, face_distance(others, x, judge=True), *read.values(), nan]
    shifted = factor_r2(x, factors.roll(1, 0), judge=True)
    yield f"somebody else's, {size} x {size}", [nan, nan, *shifted.values(), nan]


def rows(sizes: Sequence[int], steps: Sequence[int], seeds: int, shipped: bool) -> Iterator[tuple[str, list[float]]]:
    """Name and columns, once for each seed; of the shipped model only the samples differ."""
    for size in (pretrained.PORTRAIT_SIZE,) if shipped else sizes:
        data = load("faces", size=size)
        train, judged = data.train.images, (data.validation.images, data.validation.factors)
        yield from yardsticks(train, *judged, size)
        for seed in range(seeds):
            if shipped:
                model = pretrained.portrait_vae()
                yield "the strong model", [*scores(model, train, *judged, seed), float("nan")]
                continue
            for count in steps:
                model, seconds = trained(size, train, count, seed)
                yield f"small, {size} x {size}, {count:,} steps", [*scores(model, train, *judged, seed), seconds]


def told(values: tuple[float, ...]) -> str:
    """Mean ± standard deviation over seeds, or that there is none."""
    return "–" if math.isnan(values[0]) else spread(values)


def main() -> None:
    """Train, judge, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shipped", action="store_true", help="the model that the package carries, instead")
    args = parser.parse_args()
    os.environ["VAE_HELPERS_PRECISION"] = "float32"
    one_thread()
    found: dict[str, list[list[float]]] = {}
    for name, columns in rows(args.sizes, args.steps, args.seeds, args.shipped):
        found.setdefault(name, []).append(columns)
        print(name, [round(number, 3) for number in columns], flush=True)
    lines = [[name, *map(told, zip(*of_seeds, strict=True))] for name, of_seeds in found.items()]
    print(f"\n{description()}\n\nValidation portraits, {args.seeds} seeds.\n")
    print(table(["", *COLUMNS], lines))


if __name__ == "__main__":
    main()
