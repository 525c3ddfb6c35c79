"""How much slower is training while another process keeps one core busy?

    python -m benchmarks.busy_core [--rounds 5] [--steps 60]

Two OpenMP threads wait for each other by spinning; when one of them has to share its core, both lose, and `fit` goes
down to one. In turns: the training of notebook 04's VAE on a quiet machine and beside a process that only counts, with
the threads that the package chooses and with one. (Two cores of which one is shared are worth one and a half: training
that keeps two busy cannot but take 1.33 times as long.)
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import torch

from benchmarks.measuring import description, in_turns, ratio, table
from benchmarks.options import parser
from vae_helpers import conv_vae, fit, load, machine, seed_everything

COUNTER = "while True: pass"


def measure(rounds: int = 5, steps: int = 60) -> str:
    """The section of docs/performance.md."""
    chosen = machine().threads
    images = load("faces", size=32, n=2_000).train.images

    def train(threads: int, busy: bool) -> float:
        os.environ.pop("VAE_HELPERS_THREADS", None)
        if threads != chosen:
            os.environ["VAE_HELPERS_THREADS"] = str(threads)  # fixed, regardless of other load
        torch.set_num_threads(threads)
        seed_everything(0)
        model = conv_vae(images.shape[1:], latent_dim=32)
        other = subprocess.Popen([sys.executable, "-c", COUNTER]) if busy else None
        try:
            fit(model, images, steps=3, progress=False)
            start = time.perf_counter()
            fit(model, images, steps=steps, progress=False)
            return time.perf_counter() - start
        finally:
            if other:
                other.kill()
                other.wait()
            torch.set_num_threads(chosen)

    works = {
        (threads, busy): (lambda threads=threads, busy=busy: train(threads, busy))
        for threads in sorted({1, chosen})
        for busy in (False, True)
    }
    times = in_turns(works, rounds)
    rows = [
        [
            f"{threads}, as chosen" if threads == chosen else threads,
            times[threads, False],
            times[threads, True],
            ratio(times[threads, True], times[threads, False]),
            ratio(times[threads, True], times[1, True]),
        ]
        for threads in sorted({1, chosen})
    ]
    return f"{steps} steps, {rounds} rounds in turns.\n\n" + table(
        ["threads", "quiet", "beside a busy core", "times slower than quiet", "than one thread there"], rows
    )


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, steps=60).parse_args()
    measured = measure(args.rounds, args.steps)
    print(description(), measured, sep="\n\n")
