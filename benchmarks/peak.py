"""What share of the machine's peak does the training of notebook 04's VAE reach?

    python -m benchmarks.peak [--rounds 5] [--steps 60]

In float32, and in the precision that the package chooses here, each beside its own peak: that of products of
1024 x 1024 matrices and of a convolution of 64 channels, with the threads chosen here, measured in turns with the
training. torch counts the operations, two for a multiply-add, forwards and backwards; what a step does besides (noise,
likelihood, Adam) counts as time only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import Timing, description, in_turns, table
from benchmarks.options import parser
from vae_helpers import conv_vae, fit, load, machine, negative_elbo, seed_everything

BATCH = 128


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the products and convolutions in `work()`."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def measure(rounds: int = 5, steps: int = 60) -> str:
    """The section of docs/performance.md."""
    precisions = dict.fromkeys([torch.float32, machine().precision])
    rows = [row for precision in precisions for row in shares(precision, rounds, steps)]
    return f"Portraits of 32 x 32, batches of {BATCH}, {rounds} rounds in turns, medians.\n\n" + table(
        ["precision", "", "billion operations a second", "of the peak"], rows
    )


def shares(precision: torch.dtype, rounds: int, steps: int) -> list[list[str]]:
    """The lines of the table for one precision."""
    device = machine().device
    images = load("faces", size=32, n=2_000).train.images
    seed_everything(0)
    model = conv_vae(images.shape[1:], latent_dim=32)

    def one_step() -> None:
        negative_elbo(model, model.prepare(images[:BATCH]))["loss"].mean().backward()

    a = torch.randn(1024, 1024, device=device, dtype=precision)
    x = torch.randn(BATCH, 64, 32, 32, device=device, dtype=precision).to(memory_format=torch.channels_last)
    w = torch.randn(64, 64, 3, 3, device=device, dtype=precision).to(memory_format=torch.channels_last)
    repeats = {"products of matrices": 100, "a convolution": 20, "training": steps}
    per_repeat = {
        "products of matrices": operations(lambda: a @ a),
        "a convolution": operations(lambda: F.conv2d(x, w, padding=1)),
        "training": operations(one_step),
    }

    def repeated(kind: str, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(repeats[kind]):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def train() -> float:
        start = time.perf_counter()
        fit(model, images, steps=steps, batch_size=BATCH, precision=precision, progress=False)
        return time.perf_counter() - start

    fit(model, images, steps=5, batch_size=BATCH, precision=precision, progress=False)
    works = {
        "products of matrices": lambda: repeated("products of matrices", lambda: a @ a),
        "a convolution": lambda: repeated("a convolution", lambda: F.conv2d(x, w, padding=1)),
        "training": train,
    }
    times = in_turns(works, rounds)

    def rate(kind: str, timing: Timing) -> float:
        return per_repeat[kind] * repeats[kind] / timing.median / 1e9

    rates = {kind: rate(kind, timing) for kind, timing in times.items()}
    peak = max(rates["products of matrices"], rates["a convolution"])
    name = str(precision).removeprefix("torch.")
    return [[name, kind, f"{value:,.0f}", f"{value / peak:.0%}"] for kind, value in rates.items()]


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, steps=60).parse_args()
    measured = measure(args.rounds, args.steps)
    print(description(), measured, sep="\n\n")
