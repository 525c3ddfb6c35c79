"""How long does an epoch of the 784-400-20 VAE take, beside the loop of pytorch/examples and beside a bare loop?

    python -m benchmarks.mlp_epoch [FOLDER] [--rounds 5] [--epochs 5] [--validation]

One thread. Grey values under the Bernoulli formula, as in vae/main.py of pytorch/examples, whose loop is reimplemented
in `benchmarks/peers.py`. In each round four trainings take their turns: that loop; `fit` with the same batch size and
as many epochs; a bare loop over tensors in memory with the same settings (it does not look at the gradient's norm, by
which `fit` stops before a bad step, and keeps no record); and `fit` with a higher learning rate, for as few epochs as
it needs to be as good as the examples' loop. Learning rates were chosen on validation images (--validation); all
batches hold 128 images, larger ones were no better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.measuring import description, in_turns, mnist_like, one_thread, ratio, table
from benchmarks.options import parser
from benchmarks.peers import BATCH, ExamplesVAE, examples_loop
from vae_helpers import (
    GreyBernoulliLikelihood,
    evaluate,
    fit,
    machine,
    mlp_vae,
    negative_elbo,
    seed_everything,
    to_float,
)
from vae_helpers.distributions import validate_first_batch
from vae_helpers.models.vae import VAE
from vae_helpers.training import warm_up_and_cosine

SAME = {"batch_size": BATCH, "learning_rate": 2e-3}
BEST = {"batch_size": BATCH, "learning_rate": 1.3e-2, "betas": (0.9, 0.97)}
BEST_EPOCHS = 1.45


def vae() -> VAE:
    """The package's VAE of the same sizes."""
    return mlp_vae((1, 28, 28), 20, (400,), GreyBernoulliLikelihood())


def bare_loop(model: VAE, images: Tensor, steps: int) -> None:
    """What `fit` does at each step, by hand: the same precision, schedule and optimiser, and nothing around it."""
    precision = machine().precision_for(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=SAME["learning_rate"], fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_and_cosine(step, steps))
    torch.set_flush_denormal(True)
    with validate_first_batch() as enough_checks:
        enough_checks()
        for step in range(steps):
            first = step * BATCH % len(images)
            if first == 0:
                order = torch.randperm(len(images))
            x = to_float(images.index_select(0, order[first : first + BATCH]))
            with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
                loss = negative_elbo(model, x)["loss"].mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    torch.set_flush_denormal(False)


def measure(folder: str | None, rounds: int = 5, epochs: int = 5, validation: bool = False) -> str:
    """The section of docs/performance.md."""
    one_thread()
    train, test, name = mnist_like(folder)
    if validation:
        train, test = train[:-5000], train[-5000:]
    steps = epochs * math.ceil(len(train) / BATCH)
    found: dict[str, list[float]] = {}

    def timed(kind: str, model: nn.Module, train_it: Callable[[nn.Module], object]) -> float:
        start = time.perf_counter()
        train_it(model)
        seconds = time.perf_counter() - start
        found.setdefault(kind, []).append(evaluate(model.eval(), test)["elbo"].mean)
        return seconds

    def peer() -> float:
        seed_everything(len(found.get("examples", [])))
        return timed(
            "examples", ExamplesVAE(), lambda m: examples_loop(m, m.loss, train, lambda done, _: done == epochs)
        )

    def engine() -> float:
        seed_everything(len(found.get("fit", [])))
        return timed("fit", vae(), lambda m: fit(m, train, steps=steps, progress=False, **SAME))

    def bare() -> float:
        seed_everything(len(found.get("bare", [])))
        return timed("bare", vae(), lambda m: bare_loop(m, train, steps))

    def best() -> float:
        seed_everything(len(found.get("best", [])))
        count = round(BEST_EPOCHS * len(train) / BEST["batch_size"])
        return timed("best", vae(), lambda m: fit(m, train, steps=count, progress=False, **BEST))

    times = in_turns({"examples": peer, "fit": engine, "bare": bare, "best": best}, rounds)
    names = {
        "examples": f"loop of pytorch/examples, {epochs} epochs",
        "fit": f"`fit`, {epochs} epochs",
        "bare": f"bare loop, settings of `fit`, {epochs} epochs",
        "best": f"`fit`, learning rate {BEST['learning_rate']:g}, {BEST_EPOCHS} epochs",
    }
    rows = [
        [
            names[kind],
            times[kind],
            ratio(times["examples"], times[kind]),
            f"{min(values):.2f} to {max(values):.2f}",
        ]
        for kind, values in found.items()
    ]
    split = "validation" if validation else "test"
    return (
        f"The 784-400-20 VAE on {name}, grey values under the Bernoulli formula, batches of {BATCH}, one thread, "
        f"{rounds} rounds in turns: median, lowest and highest.\n\n"
        + table(["training", "seconds", "times faster", f"{split} ELBO, nats"], rows)
        + f"\n\n`fit` takes {ratio(times['fit'], times['bare'])} times as long as the bare loop."
    )


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, epochs=5, validation=False).parse_args()
    measured = measure(args.folder, args.rounds, args.epochs, args.validation)
    print(description(), measured, sep="\n\n")
