"""The progress bar."""

from __future__ import annotations

import os

from vae_helpers.training.history import History


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

    def update_to(self, step: int, history: History) -> None:
        """Show `step` and the history's last records."""
        if self.bar is None:
            return
        numbers = {name: f"{v[-1]:.2f}" for name, v in history.train.items() if not name.endswith("grad_norm")}
        for name, value in history.losses("validation").items():
            numbers[f"validation {name}" if "." in name else "validation"] = f"{value:.2f}"
        self.bar.set_postfix(numbers, refresh=False)
        self.bar.update(step - self.bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away, also where training ends in an error."""
        if self.bar is not None:
            self.bar.close()
