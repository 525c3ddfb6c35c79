"""Is a folder's model better than what is simplest, and are the gains of more pictures foretold rightly?

    python -m benchmarks.folders FOLDER [FOLDER ...] [--steps 400] [--seed 0]         about a minute a folder
    python -m benchmarks.folders FOLDER [FOLDER ...] --sizes 150 300 600 1200         more pictures instead

Each FOLDER is trained on as `python -m vae_helpers train FOLDER --steps 400` would, with the recipe's own proposals,
and its held-out bits per dimension are set beside those of its opponents. With --sizes, models are trained on so many
of its training pictures, 32 x 32, and each gain that notebook 13's (13.4) foretells is set beside what came. One
thread. Runs are written into a temporary folder, TMPDIR's or the system's.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.measuring import description, one_thread, table
from vae_helpers import VAE, evaluate, fit, load, seed_everything, train_folder
from vae_helpers.lessons.lesson_13 import more_pictures
from vae_helpers.runs import bits_of
from vae_helpers.runs.recipe import LATENTS, begin, folder_vae, proposal

COLUMNS = ("folder", "training pictures", "side", "transform", "VAE", "±", "Gaussian", "mean picture", "PNG", "WebP")
LOOKS = 10  # at held-out pictures in a training, of which the best counts
SIDE, HELD_OUT, OWN = 32, 500, 300  # pixels; pictures


def against_opponents(folder: str, into: str, steps: int, seed: int) -> list[str]:
    """A row: what a run on the folder has measured, and what was found by it."""
    run = train_folder(folder, os.path.join(into, "run"), steps=steps, seed=seed, progress=False)
    numbers, plan = run.metrics, run.plan
    bits = numbers["bits_per_dim"]
    costs = [f"{bits[name]['mean']:.2f}" for name in COLUMNS[6:]]
    spread = f"{bits['VAE']['standard_error']:.2f}"
    found = "; ".join(finding["name"] for finding in numbers["diagnosis"]["findings"])
    first = [f"{numbers['pictures']['training']:,}", plan["size"], plan["model"], f"{bits['VAE']['mean']:.2f}", spread]
    return [*map(str, first), *costs, f"{numbers['near_copies']:.0%}", found or "–"]


def foretold_and_came(folder: str, sizes: Sequence[int], steps: int, seed: int) -> Iterator[str]:
    """For each size but the first: bits per dimension that the one before foretold to be gained, and the gain."""
    data = load("folder", folder, size=SIDE)
    held_out, train = data.validation.images[:HELD_OUT], data.train.images
    train = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))]
    chosen, before = proposal(train, held_out), None
    for n in sizes:
        if n > len(train):
            return
        now = _costs(train[:n], held_out, chosen, steps, seed)
        if before is not None:
            last, held, own = before
            foretold = held - more_pictures(held, own, n / last)[0]
            yield f"{last:,} to {n:,}: {foretold:.2f}, came {held - now[0]:.2f}"
        before = n, *now


def _costs(images: Tensor, held_out: Tensor, chosen: dict, steps: int, seed: int) -> tuple[float, float]:
    """Bits per dimension of held-out and of own pictures at the best look of a training."""
    seed_everything(seed)
    model = begin(folder_vae(images.shape[1:], chosen["model"], LATENTS // 2), images)
    best = (math.inf, math.inf)

    def look(_: int, model: VAE) -> None:
        nonlocal best
        bounds = ((part, evaluate(model, part, samples=1)["elbo"]) for part in (held_out, images[:OWN]))
        best = min(best, tuple(bits_of(model, bound, part[0].numel()).mean for part, bound in bounds))

    look(0, model)
    fit(
        *(model, images),
        steps=steps,
        batch_size=min(chosen["batch_size"], len(images)),
        learning_rate=chosen["learning_rate"],
        seed=seed,
        progress=False,
        callback=look,
        callback_every=max(1, steps // LOOKS),
    )
    return best


def main() -> None:
    """Train on each folder, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="of training sets, from small to large")
    args = parser.parse_args()
    one_thread()
    rows = []
    for folder in args.folders:
        name = os.path.basename(os.path.abspath(folder))
        if args.sizes:
            rows += [[name, gain] for gain in foretold_and_came(folder, args.sizes, args.steps, args.seed)]
        else:
            with tempfile.TemporaryDirectory() as into:
                rows.append([name, *against_opponents(folder, into, args.steps, args.seed)])
        print(f"{name} done", flush=True)
    header = ["folder", "foretold"] if args.sizes else [*COLUMNS, "near copies", "found"]
    print(f"\n{description()}\n\n{args.steps} steps, seed {args.seed}; bits per dimension of held-out pictures.\n")
    print(table(header, rows))


if __name__ == "__main__":
    main()
