"""How soon is a convolutional VAE as good as after two minutes of the loop of pytorch/examples?

    python -m benchmarks.time_to_quality [FOLDER] [--rounds 3] [--seconds 120] [--share 0.3] [--validation]

The same network on dynamically binarised images, with all the threads of the machine for the peer and those that the
package chooses for `fit`. The peer trains for the given seconds; `fit` for a share of them, with as many steps as its
schedule then has time for, measured first. Each round has its own seed.
"""

from __future__ import annotations

import os
import time

import torch

from benchmarks.measuring import description, in_turns, mnist_like, ratio, table
from benchmarks.options import parser
from benchmarks.peers import binary_loss, examples_loop
from vae_helpers import BernoulliLikelihood, conv_vae, evaluate, fit, machine, seed_everything
from vae_helpers.models.vae import VAE

SETTINGS = {"batch_size": 128, "learning_rate": 4e-3, "betas": (0.9, 0.99)}  # found on validation images


def vae() -> VAE:
    """The network that both train."""
    return conv_vae((1, 28, 28), latent_dim=20, width=32, hidden=256, colours=None, likelihood=BernoulliLikelihood())


def measure(folder: str | None, rounds: int = 3, seconds: float = 120, share: float = 0.3, validation=False) -> str:
    """The section of docs/performance.md."""
    threads = machine().threads
    train, test, name = mnist_like(folder)
    if validation:
        train, test = train[:-5000], train[-5000:]
    fit(vae(), train, steps=20, progress=False, **SETTINGS)
    start = time.perf_counter()
    fit(vae(), train, steps=100, progress=False, **SETTINGS)
    steps = int(share * seconds * 100 / (time.perf_counter() - start))
    nats: dict[str, list[float]] = {"examples": [], "fit": []}

    def keep(kind: str, model: VAE, taken: float) -> float:
        nats[kind].append(evaluate(model.eval(), test)["elbo"].mean)
        return taken

    def peer() -> float:
        seed_everything(len(nats["examples"]))
        torch.set_num_threads(os.cpu_count() or 1)
        model = vae()
        taken = examples_loop(model, binary_loss(model), train, lambda _, spent: spent >= seconds, binary=True)
        torch.set_num_threads(threads)
        return keep("examples", model, taken)

    def engine() -> float:
        seed_everything(len(nats["fit"]))
        model = vae()
        start = time.perf_counter()
        fit(model, train, steps=steps, progress=False, **SETTINGS)
        return keep("fit", model, time.perf_counter() - start)

    times = in_turns({"examples": peer, "fit": engine}, rounds, patience=3)
    rows = [
        [kind, times[key], ", ".join(f"{value:.2f}" for value in nats[key])]
        for kind, key in (("loop of pytorch/examples", "examples"), (f"`fit`, {steps:,} steps", "fit"))
    ]
    return (
        f"{name}, dynamically binarised. {rounds} rounds in turns. `fit` takes 1 / "
        f"{ratio(times['examples'], times['fit'])} of the time.\n\n"
        + table(["", "seconds", f"{'validation' if validation else 'test'} ELBO of each round, nats"], rows)
    )


if __name__ == "__main__":
    args = parser(__doc__, rounds=3, seconds=120.0, share=0.3, validation=False).parse_args()
    measured = measure(args.folder, args.rounds, args.seconds, args.share, args.validation)
    print(description(), measured, sep="\n\n")
