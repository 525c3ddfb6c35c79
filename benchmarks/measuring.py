"""How the benchmarks measure: in turns, within one run, away from other work, and as ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vae_helpers import load, machine
from vae_helpers.images import random_shift

OTHERS = 0.1  # of one core: a sample beside more work than that is thrown away
Work = Callable[[], float | None]


class MachineBusy(RuntimeError):
    """Other processes kept the cores busy, so that no sample could be used."""


@dataclass(frozen=True)
class Timing:
    """The seconds of several rounds."""

    rounds: tuple[float, ...]
    cpu_rounds: tuple[float, ...] = ()

    @property
    def cpu(self) -> Timing:
        """The seconds that this process computed, on all its threads; other processes hardly change them."""
        return Timing(self.cpu_rounds)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        return f"{self.median:.3g} s ({min(self.rounds):.3g} to {max(self.rounds):.3g})"


def ratio(slower: Timing, faster: Timing) -> str:
    """How many times the seconds of one are those of the other: the median over rounds, the lowest, the highest."""
    ratios = [a / b for a, b in zip(slower.rounds, faster.rounds, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def in_turns(works: dict[str, Work], rounds: int = 5, patience: int = 10, shared: bool = False) -> dict[str, Timing]:
    """Each work once, then each once again, and so on, so that drift in the machine's speed affects all alike.

    Args:
        works: name -> a function; it returns the seconds that count, or None where all of its time counts.
        rounds: undisturbed samples of each.
        patience: how often a disturbed sample is taken again before giving up.
        shared: keep every sample: what is compared is `Timing.cpu`, which can be measured beside other work too.
    Raises:
        MachineBusy: other processes took more than a tenth of a core each time. (Only Linux tells; elsewhere nothing
            is thrown away.)
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(_sample(name, work, patience, shared))
    return {name: Timing(*zip(*values, strict=True)) for name, values in seconds.items()}


def _sample(name: str, work: Work, patience: int, shared: bool) -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    for _ in range(patience + 1):
        others, start, cpu = cpu_seconds_of_others(), time.perf_counter(), time.process_time()
        counted = work()
        took, computed = time.perf_counter() - start, time.process_time() - cpu
        disturbed = others is not None and cpu_seconds_of_others() - others > OTHERS * took + 0.02  # counted in 0.01 s
        if shared or not disturbed:
            return took if counted is None else counted, computed
    raise MachineBusy(
        f"while {name!r} was measured, other processes held the cores {patience + 1} times. Close them and start again."
    )


def cpu_seconds_of_others() -> float | None:
    """CPU time that other processes (and other machines on the same hardware) have taken since boot, or None."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, stolen = (int(field) for field in fields)
    everyone = (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK")
    return everyone - sum(os.times()[:4])


def one_thread() -> None:
    """Compute on one thread from here on, regardless of other load."""
    os.environ["VAE_HELPERS_THREADS"] = "1"
    torch.set_num_threads(1)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def description() -> str:
    """The machine and the versions, in one sentence."""
    return (
        f"{os.cpu_count()} cores of {_processor()}, Python {platform.python_version()}, torch {torch.__version__}. "
        f"{machine()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def mnist_like(folder: str | None) -> tuple[Tensor, Tensor, str]:
    """Training and test images, uint8 (N, 1, 28, 28), 60,000 and 10,000 of them, and what to call them in a table.

    Args:
        folder: holds MNIST as torchvision keeps it. None: scikit-learn's digits, enlarged and moved at random, as many.
    """
    if folder is not None:
        data = load("mnist", root=folder)
        train = torch.cat([data.train.images, data.validation.images])
        return train, data.test.images, "MNIST"
    data = load("digits", size=28)
    generator = torch.Generator().manual_seed(0)

    def many(images: Tensor, n: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return random_shift(images[torch.randint(len(images), (n,), generator=generator)], 3)

    return many(data.train.images, 60_000), many(data.test.images, 10_000), "enlarged digits in place of MNIST"
