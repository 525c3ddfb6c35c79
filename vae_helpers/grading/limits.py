"""What one submitted notebook may use."""

from __future__ import annotations

from dataclasses import dataclass

GIGABYTE = 10**9


class GradingError(Exception):
    """There is nothing to grade, or it cannot be graded like this; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one notebook may use, all its processes together.

    Raises:
        GradingError: a limit is not positive; the message names it.
    """

    seconds: float = 600.0
    cell_seconds: float = 200.0  # then the cell is interrupted, as by the stop button, and the next one runs
    memory: float = 4.0  # GB
    disk: float = 1.0  # GB in its folder, and in files that it has open
    processes: int = 64
    files: int = 20_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise GradingError(f"The limit {name}={value:g} has to be positive.")

    def __str__(self) -> str:
        return (
            f"{self.seconds:g} s ({self.cell_seconds:g} s a cell), {self.memory:g} GB of memory, "
            f"{self.disk:g} GB on disk and {self.processes} processes"
        )
