"""What happened during training, as plain data, and how it is collected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class History:
    """What happened during training, as plain data.

    Attributes:
        step: steps at which `train` was recorded; a record is the mean over the updates since the one before.
        train: for each part of the loss, and "grad_norm", its records, one for each of `step`; nats per image where the
            loss is. With several phases a part has its phase's name before it: "critic.loss". NaN where a part was not
            computed.
        validation_step, validation: the same on validation data, at fewer steps.
        seconds: wall-clock time spent, over all sessions of a resumed run.
        stopped: why training ended early, or "".
    """

    step: list[int] = field(default_factory=list)
    train: dict[str, list[float]] = field(default_factory=dict)
    validation_step: list[int] = field(default_factory=list)
    validation: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return cls(**data)

    def add(self, step: int, values: dict[str, float]) -> None:
        """A record of the training parts after `step` steps."""
        self.step.append(step)
        _extend(self.train, values, len(self.step))

    def add_validation(self, step: int, values: dict[str, float]) -> None:
        """A record of the parts on validation data."""
        self.validation_step.append(step)
        _extend(self.validation, values, len(self.validation_step))

    def losses(self, where: str = "train") -> dict[str, float]:
        """The last record of each phase's loss: {"loss": 12.3} with one phase."""
        series = getattr(self, where)
        return {name: values[-1] for name, values in series.items() if name.rpartition(".")[2] == "loss"}

    def __repr__(self) -> str:
        steps = self.step[-1] if self.step else 0
        text = f"History: {steps} steps in {self.seconds:.1f} s"
        for where in ("train", "validation"):
            text += "".join(f", {where} {name} {value:.2f}" for name, value in self.losses(where).items())
        return text + (f" ({self.stopped})" if self.stopped else "")


def _extend(series: dict[str, list[float]], values: dict[str, float], length: int) -> None:
    """One more value for each name; NaN for a name that has none this time, or had none so far."""
    for name in [*series, *(name for name in values if name not in series)]:
        records = series.setdefault(name, [])
        records += [math.nan] * (length - 1 - len(records))
        records.append(values.get(name, math.nan))


class Pending:
    """The numbers of the updates since the last record: what stays on the device until they are looked at."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, tuple[str, ...], Tensor]] = []  # (step, names, values)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, step: int, names: tuple[str, ...], values: Tensor) -> None:
        """The parts of one update at a step, values (len(names),)."""
        self.rows.append((step, names, values))

    def take_means(self) -> dict[str, float]:
        """For each name the mean over the updates that have it; nothing is pending afterwards."""
        together: dict[tuple[str, ...], list[Tensor]] = {}
        for _, names, values in self.rows:
            together.setdefault(names, []).append(values)
        self.rows.clear()
        totals: dict[str, tuple[float, int]] = {}
        for names, rows in together.items():
            for name, value in zip(names, torch.stack(rows).mean(0).tolist(), strict=True):
                total, count = totals.get(name, (0.0, 0))
                totals[name] = (total + value * len(rows), count + len(rows))
        return {name: total / count for name, (total, count) in totals.items()}

    def first_not_finite(self, newest: int | None = None) -> tuple[int, dict[str, float]] | None:
        """The step and the parts of the first update with a NaN or an infinity among its numbers, if there is one.

        Args:
            newest: how many updates to look at, from the end; all if None.
        """
        rows = self.rows if newest is None else self.rows[-newest:]
        if not rows or math.isfinite(_total([values for _, _, values in rows])):
            return None
        for step, names, values in rows:
            if not torch.isfinite(values).all():
                return step, dict(zip(names, values.tolist(), strict=True))
        return None  # finite numbers whose sum is not


def _total(rows: Sequence[Tensor]) -> float:
    """The sum of all values; NaN or infinite if one of them is."""
    values = rows[0] if len(rows) == 1 else torch.cat(list(rows))
    return values.sum(dtype=torch.float64).item() if values.device.type != "mps" else values.sum().item()
