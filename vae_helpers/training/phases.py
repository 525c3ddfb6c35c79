"""A phase of training: an objective, the part of the model that it trains, and an optimiser of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.objectives import negative_elbo

Objective = Callable[..., dict[str, Tensor]]
Weights = Callable[[int], dict[str, float]]


@dataclass(frozen=True)
class Phase:
    """One of several objectives that take turns in training a model: `fit(model, data, steps=..., phases=[...])`.

    In each step every phase makes its updates, in the order in which the phases are given. While it does, only the
    parameters of the submodules it trains get gradients: whatever else the objective uses passes gradients on but
    cannot be changed by them, so a missing detach does no harm. (Running statistics of batch normalisation follow what
    goes through it, whichever phase it is.)

    Attributes:
        name: stands before its parts in the History: "critic.loss".
        objective: called as `objective(model, x, *conditions, **weights(step))`, see `fit`.
        trains: the submodule, or several, as in `model.named_modules()`: "critic", ("encoder", "decoder"); all of the
            model if empty.
        learning_rate, betas: of its Adam; those of `fit` if None.
        updates: of this phase in each step, each with a batch of its own.
        start: the step from which on it takes part. The learning rate is by then where the schedule of the run has it:
            a phase that starts late has no warm-up of its own.
        weights: numbers for the objective that change with the step.
    """

    name: str
    objective: Objective
    trains: str | Sequence[str] = ()
    learning_rate: float | None = None
    betas: tuple[float, float] | None = None
    updates: int = 1
    start: int = 0
    weights: Weights | None = None


def single(
    objective: Objective | None, weights: Weights | None, learning_rate: float, betas: tuple[float, float]
) -> Phase:
    """The phase of a run that has one objective."""
    _check_callable(objective, "objective"), _check_callable(weights, "weights")
    return Phase("", objective or negative_elbo, (), learning_rate, betas, weights=weights)


def checked(phases: Sequence[Phase], learning_rate: float, betas: tuple[float, float]) -> list[Phase]:
    """The phases with their numbers checked and the learning rates of `fit` filled in."""
    if not isinstance(phases, Sequence) or not phases or not all(isinstance(phase, Phase) for phase in phases):
        raise TypeError(f"phases must be a list of Phase(name, objective, ...), not {checking.shown(phases)}.")
    names = [phase.name for phase in phases]
    words = all(isinstance(name, str) and name and "." not in name for name in names)
    if len(set(names)) < len(names) or not words:
        raise ValueError(f"phases must have names that differ, such as 'critic' and 'generator', not {names}.")
    for phase in phases:
        _check_callable(phase.objective, "objective"), _check_callable(phase.weights, "weights")
    return [
        replace(
            phase,
            trains=(phase.trains,) if isinstance(phase.trains, str) else tuple(phase.trains),
            learning_rate=checked_rate(learning_rate if phase.learning_rate is None else phase.learning_rate),
            betas=checked_betas(betas if phase.betas is None else phase.betas),
            updates=checking.integer(phase.updates, "updates"),
            start=checking.integer(phase.start, "start", 0),
        )
        for phase in phases
    ]


def _check_callable(function: Any, name: str) -> None:
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be a function, not {checking.shown(function)}.")


LARGEST_RATE = 1e30  # Adam's step is some times as large; weights in float32 overflow at 3e38, before any loss shows it


def checked_rate(learning_rate: float) -> float:
    """A positive learning rate."""
    cure = "1e-3 is a good one to begin with."
    if checking.positive(learning_rate, "learning_rate", cure) > LARGEST_RATE:
        raise ValueError(f"learning_rate must be at most {LARGEST_RATE:g}, not {checking.shown(learning_rate)}. {cure}")
    return float(learning_rate)


def checked_betas(betas: Sequence[float]) -> tuple[float, float]:
    """Adam's two betas, in [0, 1)."""
    two = isinstance(betas, tuple | list) and len(betas) == 2 and all(map(checking.is_number, betas))
    if not two or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers of at least 0 and below 1, such as (0.9, 0.999), not {betas!r}.")
    return tuple(map(float, betas))


class Trainer:
    """A phase bound to a model: its parameters and its optimiser.

    Args:
        phase: as `checked` or `single` returns it.
        model: what it trains a part of.
    Raises:
        ValueError: no submodule of that name, or nothing to train in it.
    """

    def __init__(self, phase: Phase, model: nn.Module):
        self.phase = phase
        modules = [_submodule(model, name) for name in phase.trains] or [model]
        mine = {p: None for module in modules for p in module.parameters() if p.requires_grad}  # each once, in order
        if not mine:
            what = f"{', '.join(phase.trains)} has" if phase.trains else "the model has"
            raise ValueError(f"{what} no parameter that requires a gradient, so there is nothing to train.")
        self.parameters = list(mine)
        self.others = [p for p in model.parameters() if p.requires_grad and p not in mine]
        fused = all(
            _is_dense(p) for p in self.parameters
        )  # the fused Adam walks through memory from the first number on
        self.optimizer = torch.optim.Adam(self.parameters, lr=phase.learning_rate, betas=phase.betas, fused=fused)

    def named(self, part: str) -> str:
        """The name of a part of the loss in the History."""
        return f"{self.phase.name}.{part}" if self.phase.name else part

    def weights(self, step: int) -> dict[str, Any]:
        """The objective's weights at this step."""
        return self.phase.weights(step) if self.phase.weights else {}

    def set_learning_rate(self, share: float) -> None:
        """The learning rate, as a share of its peak."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.phase.learning_rate * share

    @contextlib.contextmanager
    def others_frozen(self) -> Iterator[None]:
        """Inside, only this phase's parameters get gradients."""
        frozen = [p for p in self.others if p.requires_grad]
        for p in frozen:
            p.requires_grad_(False)
        try:
            yield
        finally:
            for p in frozen:
                p.requires_grad_(True)

    def gradient_norm(self) -> Tensor:
        """The norm of all gradients together, a scalar."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return nn.utils.get_total_norm(gradients).to(self.parameters[0].device, torch.float32)


def _is_dense(p: Tensor) -> bool:
    """Whether a tensor's numbers lie side by side in memory, in whatever order; a slice of another tensor's do not."""
    return p.is_floating_point() and torch.empty_like(p).stride() == p.stride()


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        known = ", ".join(child for child, _ in model.named_children())
        raise ValueError(f"the model has no submodule {name!r} to train; it has: {known}.") from error


def checked_parts(parts: Any, n: int) -> dict[str, Tensor]:
    """What an objective returned for a batch of n images, if it is what `fit` can work with."""
    what = 'an objective must return a dictionary of tensors with the key "loss"'
    if not isinstance(parts, dict) or "loss" not in parts:
        raise TypeError(f"{what}, not {checking.shown(parts)}.")
    for name, value in parts.items():
        if not isinstance(value, Tensor) or value.is_complex():
            raise TypeError(f"{what}, of real numbers; its {name!r} is {checking.shown(value)}.")
        if not isinstance(name, str) or name == "grad_norm" or "." in name:
            raise ValueError(f"{what}; {name!r} cannot be the name of a part: a word without a dot, not grad_norm.")
        if value.shape not in ((), (n,)):
            raise ValueError(
                f"{what}, each a number for each image, ({n},), or one number, (); its {name!r} has shape "
                f"{tuple(value.shape)}. Sum over the pixels or latents of an image: .flatten(1).sum(1)."
            )
    return parts
