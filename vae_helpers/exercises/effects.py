"""What a call did to its arguments beside reading them: a check compares it with what the reference does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

VALUES, FLAG, GRAD = "values", "flag", "grad"


@dataclass(frozen=True)
class _Leaf:
    """A tensor, or anything else, as it was before a call."""

    found: Any
    values: torch.Tensor | None = None
    requires_grad: bool = False
    grad: torch.Tensor | None = None


def snapshot(arg: Any) -> list[_Leaf]:
    """An argument as it is now: its tensors, those of lists and dictionaries, a module's parameters and buffers."""
    return [_remembered(leaf) for leaf in _leaves(arg)]


def effect(arg: Any, before: list[_Leaf]) -> str | None:
    """What became of an argument: VALUES (or shape, or type) changed, requires_grad did (FLAG), .grad did (GRAD)."""
    now = [_remembered(leaf) for leaf in _leaves(arg)]
    pairs = list(zip(now, before, strict=False))
    if len(now) != len(before) or any(a.found is not b.found or not _same(a.values, b.values) for a, b in pairs):
        return VALUES
    if any(a.requires_grad != b.requires_grad for a, b in pairs):
        return FLAG
    return None if all(_same(a.grad, b.grad) for a, b in pairs) else GRAD


def blamed(name: str, kind: str) -> str:
    """The clause that tells a learner what the answer did to the argument called `name`."""
    copy = f"work on a copy, `{name}.detach().clone()` of a tensor or `copy.deepcopy({name})` of a module"
    return {
        VALUES: f"it changes its argument `{name}` in place: whoever passed it finds it changed",
        FLAG: f"it sets requires_grad at its argument `{name}`, and whoever passed it finds it so: {copy}",
        GRAD: f"it leaves a gradient in its argument `{name}`, to which the caller's own would be added: {copy}, or "
        "call torch.autograd.grad, which stores none",
    }[kind]


def _leaves(arg: Any) -> list[Any]:
    if isinstance(arg, torch.nn.Module):
        return [*arg.parameters(), *arg.buffers()]
    if isinstance(arg, dict):
        arg = list(arg.values())
    return [leaf for part in arg for leaf in _leaves(part)] if isinstance(arg, (list, tuple)) else [arg]


def _remembered(leaf: Any) -> _Leaf:
    if not isinstance(leaf, torch.Tensor):
        return _Leaf(leaf)
    grad = leaf.grad.clone() if leaf.is_leaf and leaf.grad is not None else None
    return _Leaf(leaf, leaf.detach().clone(), leaf.requires_grad, grad)


def _same(mine: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if mine is None or other is None:
        return mine is other
    return mine.dtype == other.dtype and torch.equal(_filled(mine), _filled(other))


def _filled(x: torch.Tensor) -> torch.Tensor:
    return x.nan_to_num(nan=math.pi) if x.is_floating_point() else x  # NaN is not equal to itself
