"""Does the cost grow linearly: with the number of images, with their pixels, with the samples K of log p(x)?

    python -m benchmarks.scaling [--rounds 5] [--picture docs/images/scaling.png]

Three curves: an evaluation of 1,000 to 60,000 images of 28 x 28; ten training steps of notebook 04's VAE with portraits
of 32, 64 and 128 pixels a side; log p(x) of 20 images with K of 1 to 5,000. A straight line of slope one on the doubly
logarithmic paper is linear growth; the exponent is the slope between the two largest values.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.measuring import Timing, description, in_turns, table
from benchmarks.options import parser
from vae_helpers import conv_vae, evaluate, fit, load, log_likelihood, machine, mlp_vae, seed_everything
from vae_helpers.plots import finish

IMAGES, SIDES, SAMPLES = (1_000, 4_000, 15_000, 60_000), (32, 64, 128), (1, 10, 100, 1_000, 5_000)


def works() -> dict[str, dict[int, Callable[[], float]]]:
    """For each quantity, its values and what is done for them; seconds are returned."""
    machine()
    seed_everything(0)
    small = mlp_vae((1, 28, 28), 20, (400,))
    digits = torch.randint(256, (60_000, 1, 28, 28), dtype=torch.uint8)

    def seconds(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def train(side: int) -> float:
        images = portraits[side]
        model = conv_vae(images.shape[1:], latent_dim=32)
        fit(model, images, steps=1, batch_size=32, progress=False)
        return seconds(lambda: fit(model, images, steps=10, batch_size=32, progress=False))

    portraits = {side: load("faces", size=side, n=64).train.images for side in SIDES}
    return {
        "images evaluated": {n: lambda n=n: seconds(lambda: evaluate(small, digits[:n], samples=1)) for n in IMAGES},
        "pixels trained on": {side**2: lambda side=side: train(side) for side in SIDES},
        "samples K of log p(x)": {
            k: lambda k=k: seconds(lambda: log_likelihood(small, digits[:20], samples=k)) for k in SAMPLES
        },
    }


def exponent(values: dict[int, Timing]) -> float:
    """p of seconds = c n^p between the two largest n, where the fixed cost of a call no longer shows."""
    low, high = sorted(values)[-2:]
    return float(np.log(values[high].median / values[low].median) / np.log(high / low))


def measure(rounds: int = 5, picture: str = "docs/images/scaling.png") -> str:
    """The section of docs/performance.md; draws its picture."""
    import matplotlib.pyplot as plt

    flat = {(what, n): work for what, values in works().items() for n, work in values.items()}
    times = in_turns(flat, rounds)
    by_quantity: dict[str, dict[int, Timing]] = {}
    for (what, n), timing in times.items():
        by_quantity.setdefault(what, {})[n] = timing
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
    for ax, (what, values) in zip(axes, by_quantity.items(), strict=True):
        n = np.array(sorted(values))
        seconds = np.array([values[k].median for k in n])
        ax.loglog(n, seconds, "o-", label="measured")
        ax.loglog(n, seconds[-1] * n / n[-1], "--", label="linear")
        ax.set(xlabel=what, ylabel="seconds")
    axes[0].legend()
    finish(figure).savefig(picture, dpi=120)
    rows = []
    for what, values in by_quantity.items():
        least, most = min(values), max(values)
        rows.append([what, f"{least:,} to {most:,}", values[least], values[most], f"{exponent(values):.2f}"])
    return (
        f"{rounds} rounds in turns.\n\n"
        + table(["grows", "from, to", "seconds at the least", "at the most", "exponent at the end (1: linear)"], rows)
        + f"\n\n![Seconds against images, pixels and samples, beside straight lines](images/{Path(picture).name})"
    )


if __name__ == "__main__":
    options = parser(__doc__, rounds=5, picture="docs/images/scaling.png").parse_args()
    measured = measure(options.rounds, options.picture)
    print(description(), measured, sep="\n\n")
