"""How long does an epoch of the 784-400-20 VAE take, beside the loop of pytorch/examples and beside the plainest loop?

    python -m benchmarks.mlp_epoch [FOLDER] [--rounds 5] [--epochs 5] [--validation]

One thread. Grey values under the Bernoulli formula, as in vae/main.py of pytorch/examples, whose loop is reimplemented
in `benchmarks/peers.py`. In each round five trainings take their turns: that loop; `fit` with the same batch size and
as many epochs; a bare loop over tensors in memory with the package's objective and the same settings (it does not look
at the gradient's norm, by which `fit` stops before a bad step, and keeps no record); the plainest loop, fifteen lines
without a distribution, a schedule or a check; and `fit` with a higher learning rate, for as few epochs as it needs to
be as good as the examples' loop. Learning rates were chosen on validation images (--validation); all batches hold 128
images, larger ones were no better. Ratios are of CPU seconds, so that they can be measured beside other work too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
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


def plain_loop(model: VAE, data: Tensor, steps: int) -> None:
    """The same networks by torch alone: pixels as floats in memory, the loss in closed form, a constant rate."""
    precision = machine().precision_for(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=SAME["learning_rate"], fused=True)
    torch.set_flush_denormal(True)
    for step in range(steps):
        first = step * BATCH % len(data)
        if first == 0:
            order = torch.randperm(len(data))
        x = data[order[first : first + BATCH]]
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            mu, log_var = model.encoder(x).float().chunk(2, -1)
            logits = model.decoder(mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)).float().flatten(1)
        error = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum()
        optimizer.zero_grad()
        ((error + kl) / len(x)).backward()
        optimizer.step()
    torch.set_flush_denormal(False)


def measure(folder: str | None, rounds: int = 5, epochs: int = 5, validation: bool = False) -> str:
    """The section of docs/performance.md."""
    one_thread()
    train, test, name = mnist_like(folder)
    if validation:
        train, test = train[:-5000], train[-5000:]
    steps = epochs * math.ceil(len(train) / BATCH)
    trained: dict[str, list[nn.Module]] = {}

    def work(kind: str, build: Callable[[], nn.Module], train_it: Callable[[nn.Module], object]) -> Callable[[], None]:
        def train_another() -> None:
            models = trained.setdefault(kind, [])
            seed_everything(len(models))
            models.append(build())
            train_it(models[-1])

        return train_another

    as_floats = to_float(train).flatten(1)
    best_steps = round(BEST_EPOCHS * len(train) / BEST["batch_size"])
    works = [
        work("examples", ExamplesVAE, lambda m: examples_loop(m, m.loss, train, lambda done, _: done == epochs)),
        work("fit", vae, lambda m: fit(m, train, steps=steps, progress=False, **SAME)),
        work("bare", vae, lambda m: bare_loop(m, train, steps)),
        work("plain", vae, lambda m: plain_loop(m, as_floats, steps)),
        work("best", vae, lambda m: fit(m, train, steps=best_steps, progress=False, **BEST)),
    ]
    times = in_turns(dict(zip(("examples", "fit", "bare", "plain", "best"), works, strict=True)), rounds, shared=True)
    found = {kind: [evaluate(model, test)["elbo"].mean for model in models] for kind, models in trained.items()}
    names = {
        "examples": f"loop of pytorch/examples, {epochs} epochs",
        "fit": f"`fit`, {epochs} epochs",
        "bare": f"bare loop, settings of `fit`, {epochs} epochs",
        "plain": f"the plainest loop, {epochs} epochs",
        "best": f"`fit`, learning rate {BEST['learning_rate']:g}, {BEST_EPOCHS} epochs",
    }
    rows = [
        [
            names[kind],
            times[kind].cpu,
            times[kind],
            ratio(times["examples"].cpu, times[kind].cpu),
            f"{min(values):.2f} to {max(values):.2f}",
        ]
        for kind, values in found.items()
    ]
    split = "validation" if validation else "test"
    return (
        f"The 784-400-20 VAE on {name}, grey values under the Bernoulli formula, batches of {BATCH}, one thread, "
        f"{rounds} rounds in turns: median, lowest and highest.\n\n"
        + table(["training", "CPU seconds", "wall seconds", "times faster", f"{split} ELBO, nats"], rows)
        + f"\n\nThe plainest loop takes {ratio(times['plain'].cpu, times['fit'].cpu)} of the time of `fit`, "
        f"the bare loop {ratio(times['bare'].cpu, times['fit'].cpu)}."
    )


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, epochs=5, validation=False).parse_args()
    measured = measure(args.folder, args.rounds, args.epochs, args.validation)
    print(description(), measured, sep="\n\n")
