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

from benchmarks.measuring import description, in_turns, table
from benchmarks.options import parser
from vae_helpers import conv_vae, fit, load, machine, negative_elbo, seed_everything

BATCH = 128


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the products and convolutions in `work()`."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


class Repeated:
    """Something done again and again, its operations counted."""

    def __init__(self, work: Callable[[], object], times: int):
        self.work, self.times = work, times
        self.operations = times * operations(work)

    def __call__(self) -> float:
        """Do it; the seconds that it took."""
        start = time.perf_counter()
        for _ in range(self.times):
            self.work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start


def probes(precision: torch.dtype) -> dict[str, Repeated]:
    """What the machine's peak is measured with: the faster of the two."""
    device = machine().device
    a = torch.randn(1024, 1024, device=device, dtype=precision)
    x = torch.randn(BATCH, 64, 32, 32, device=device, dtype=precision).to(memory_format=torch.channels_last)
    w = torch.randn(64, 64, 3, 3, device=device, dtype=precision).to(memory_format=torch.channels_last)
    return {
        "products of matrices": Repeated(lambda: a @ a, 100),
        "a convolution": Repeated(lambda: F.conv2d(x, w, padding=1), 20),
    }


def measure(rounds: int = 5, steps: int = 60) -> str:
    """The section of docs/performance.md."""
    precisions = dict.fromkeys([torch.float32, machine().precision])
    rows = [row for precision in precisions for row in shares(precision, rounds, steps)]
    return f"Portraits of 32 x 32, batches of {BATCH}, {rounds} rounds in turns, medians.\n\n" + table(
        ["precision", "", "billion operations a second", "of the peak"], rows
    )


def shares(precision: torch.dtype, rounds: int, steps: int) -> list[list[str]]:
    """The lines of the table for one precision."""
    images = load("faces", size=32, n=2_000).train.images
    seed_everything(0)
    model = conv_vae(images.shape[1:], latent_dim=32)

    def one_step() -> None:
        negative_elbo(model, model.prepare(images[:BATCH]))["loss"].mean().backward()

    def train() -> None:
        fit(model, images, steps=steps, batch_size=BATCH, precision=precision, progress=False)

    fit(model, images, steps=5, batch_size=BATCH, precision=precision, progress=False)
    peak_works = probes(precision)
    counts = {name: work.operations for name, work in peak_works.items()} | {"training": steps * operations(one_step)}
    times = in_turns(peak_works | {"training": train}, rounds)
    rates = {kind: counts[kind] / timing.median / 1e9 for kind, timing in times.items()}
    peak = max(rates[kind] for kind in peak_works)
    name = str(precision).removeprefix("torch.")
    return [[name, kind, f"{value:,.0f}", f"{value / peak:.0%}"] for kind, value in rates.items()]


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, steps=60).parse_args()
    measured = measure(args.rounds, args.steps)
    print(description(), measured, sep="\n\n")
