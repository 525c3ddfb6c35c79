"""What does a GPU make of it: images a second, share of the card's peak, with and without torch.compile?

    python -m benchmarks.gpu [--rounds 5] [--steps 50]

A large convolutional VAE (256 channels) of colour pictures of 64 and 128 pixels a side, trained by `fit` in the
precision that the package chooses, beside the same step written out, plain and under torch.compile. The card's
peak is that of products of 8192 x 8192 matrices in bfloat16, measured in the same run. Without a GPU it says so and
measures nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import description, in_turns, table
from benchmarks.options import parser
from vae_helpers import conv_vae, fit, machine, negative_elbo, seed_everything
from vae_helpers.distributions import validate_first_batch

SIDES, WIDTH, BATCH = (64, 128), 256, 256


def waited(work: Callable[[], object], repeats: int) -> float:
    """Seconds of so many calls, until the GPU has finished them."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def stepper(model: nn.Module, images: Tensor, compiled: bool) -> Callable[[], None]:
    """One optimiser step, written out, so that torch.compile can have the whole of the loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    x = model.prepare(images)

    def loss() -> Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return negative_elbo(model, x)["loss"].mean()

    whole = torch.compile(loss) if compiled else loss

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        whole().backward()
        optimizer.step()

    for _ in range(3):
        step()
    return step


def measure(rounds: int = 5, steps: int = 50) -> str:
    """The section of docs/performance.md."""
    if machine().device.type != "cuda":
        return "Not measured: the machine has no GPU that torch can use."
    rows = [line for side in SIDES for line in at_size(side, rounds, steps)]
    return table(["pixels a side", "", "images a second", "TFLOP/s", "of the peak"], rows)


def at_size(side: int, rounds: int, steps: int) -> list[list[str]]:
    """The lines of the table for pictures of one size."""
    device = machine().device
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    images = torch.randint(256, (1024, 3, side, side), dtype=torch.uint8, device=device)
    seed_everything(0)
    model = conv_vae((3, side, side), latent_dim=128, width=WIDTH, hidden=1024).to(device)
    model.to(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        negative_elbo(model, model.prepare(images[:BATCH]))["loss"].mean().backward()
    with validate_first_batch() as enough_checks:
        enough_checks()
        plain, compiled = (stepper(model, images[:BATCH], choice) for choice in (False, True))
        times = in_turns(
            {
                "products of matrices, the peak": lambda: waited(lambda: a @ a, steps),
                "`fit`": lambda: waited(lambda: fit(model, images, steps=steps, batch_size=BATCH, progress=False), 1),
                "bare step": lambda: waited(plain, steps),
                "bare step, torch.compile": lambda: waited(compiled, steps),
            },
            rounds,
        )
    operations = dict.fromkeys(times, counter.get_total_flops()) | {next(iter(times)): 2 * 8192**3}
    rates = {kind: operations[kind] * steps / timing.median for kind, timing in times.items()}
    peak = next(iter(rates.values()))
    return [
        [
            str(side),
            kind,
            "" if rate is peak else f"{BATCH * steps / times[kind].median:,.0f}",
            f"{rate / 1e12:.0f}",
            f"{rate / peak:.0%}",
        ]
        for kind, rate in rates.items()
    ]


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, steps=50).parse_args()
    measured = measure(args.rounds, args.steps)
    print(description(), measured, sep="\n\n")
