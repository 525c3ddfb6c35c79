"""The progress bar, in `fit` and around loops of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vae_helpers import checking
from vae_helpers.devices import adapt_threads
from vae_helpers.training.history import History
from vae_helpers.training.surroundings import Pace

LOOK_EVERY = 20  # steps, between two movements of the bar around a loop of one's own


class ProgressBar:
    """tqdm's progress bar with the last numbers of the history, or nothing.

    Args:
        steps, done: in all, and before this session.
        wanted: whether to show it. Never when notebooks are executed for committing (VAE_HELPERS_STATIC=1).
    """

    def __init__(self, steps: int, done: int, wanted: bool):
        self.bar = None
        if wanted and os.environ.get("VAE_HELPERS_STATIC") != "1":
            from tqdm.auto import tqdm

            self.bar = tqdm(total=steps, initial=done, unit="step", leave=False)

    def update_to(self, step: int, history: History | None = None) -> None:
        """Show `step` and, where there is a history, its last records."""
        if self.bar is None:
            return
        if history is not None:
            self._show_numbers(history)
        self.bar.update(step - self.bar.n)

    def _show_numbers(self, history: History) -> None:
        numbers = {name: f"{v[-1]:.2f}" for name, v in history.train.items() if not name.endswith("grad_norm")}
        for name, value in history.losses("validation").items():
            numbers[f"validation {name}" if "." in name else "validation"] = f"{value:.2f}"
        self.bar.set_postfix(numbers, refresh=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away, also where training ends in an error."""
        if self.bar is not None:
            self.bar.close()


def steps(number: int, progress: bool = True) -> Iterator[int]:
    """0, 1, ..., `number` - 1: what `for step in range(number)` gives to a training loop of one's own, looked after.

    As `fit` does, it shows a progress bar, and computes on one thread while other programs hold the cores: on several,
    small steps can take ten times as long then.

    Args:
        number: of steps, at least 1.
        progress: whether to show the bar.
    """
    return _looked_after(checking.integer(number, "number"), progress)


def _looked_after(number: int, progress: bool) -> Iterator[int]:
    adapt_threads()
    pace = Pace(fixed=False)
    with ProgressBar(number, 0, wanted=progress) as bar:
        for step in range(number):
            yield step
            if (step + 1) % LOOK_EVERY == 0:
                bar.update_to(step + 1)
                pace.keep(step + 1)
