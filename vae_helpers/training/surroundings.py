"""What is global while a run trains, and is as it was afterwards: signals, tiny numbers, threads."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator

import torch

from vae_helpers.devices import adapt_threads
from vae_helpers.training.history import History


@contextlib.contextmanager
def tiny_numbers_as_zero() -> Iterator[None]:
    """Numbers below 1e-38 become zero inside.

    Adam's means fill with them where a pixel is always black, and a processor takes many times as long over each.
    """
    flushed = bool(torch.tensor(1e-40) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


class Interrupts:
    """Turns the first Ctrl-C (or Stop button) into a flag that is looked at between steps; a second one interrupts.

    Args:
        also_terminate: treat SIGTERM likewise. torchrun, and a cluster that takes a machine back, send it to a process
            some seconds before they kill it.
    """

    def __init__(self, also_terminate: bool = False) -> None:
        self.asked = False
        self.signals = [signal.SIGINT, *([signal.SIGTERM] if also_terminate else [])]

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()  # no other thread may handle signals
        self.before = {number: signal.signal(number, self.note) for number in self.signals} if main else {}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if kind is not None and issubclass(kind, Exception) and signal.SIGTERM in self.before:
            # torchrun ends all processes as soon as one of them fails: the error of this one is told before that.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def note(self, number: int, _: object) -> None:
        """Handle a signal."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


class Clock:
    """Adds the wall-clock time of this session to a history's seconds.

    Args:
        history: of a new or of a resumed run.
    """

    def __init__(self, history: History):
        self.history, self.before, self.start = history, history.seconds, time.perf_counter()

    def read(self) -> None:
        """Bring the history's seconds up to date."""
        self.history.seconds = self.before + time.perf_counter() - self.start


class Pace:
    """Notices that training has become slow, as when another program has started, and has the threads chosen anew.

    With another number of threads, sums are rounded in another order; a run that is to be resumed keeps the number that
    it began with.
    """

    PATIENCE = 5.0  # seconds between two looks

    def __init__(self, fixed: bool):
        self.fixed, self.best = fixed, math.inf
        self.looked = self.before = time.perf_counter()
        self.step = 0

    def keep(self, step: int) -> None:
        """To be called now and then with the number of steps done."""
        now = time.perf_counter()
        seconds = (now - self.before) / max(1, step - self.step)
        self.best, self.before, self.step = min(self.best, seconds), now, step
        if not self.fixed and seconds > 1.5 * self.best and now - self.looked > self.PATIENCE:
            adapt_threads()
            self.looked = time.perf_counter()
