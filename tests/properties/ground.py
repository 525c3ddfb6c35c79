"""What the property tests stand on: how they are declared, what they are fed, and what counts as documented.

A property test is run with few examples by `make test`, always the same ones, and with many by `make soak`.
"""

from __future__ import annotations

import inspect
import math
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Distribution

import vae_helpers

FEW, MANY = 8, 250  # examples
PACKAGE = str(Path(vae_helpers.__file__).parent)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
DTYPES = (*FLOATS, torch.uint8, torch.int64, torch.bool)
REFUSED = object()  # what `documented` returns for arguments that were refused in the documented way
NUMBERS = (0, 1, 0.5, -1, math.nan, math.inf, -math.inf, 1e30, 1e-40, 255)


def property_of(few: int = FEW, many: int = MANY, **strategies: st.SearchStrategy) -> Callable:
    """A test that is given examples drawn from `strategies`."""

    def declare(check: Callable) -> Callable:
        @pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.soak)], ids=["few", "many"])
        def test(examples: int) -> None:
            try_out(check, examples, **strategies)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return declare


def try_out(check: Callable, examples: int, **strategies: st.SearchStrategy) -> None:
    """Call `check` with so many examples, the same ones each time."""
    chosen = settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given(**strategies)(check))()


# --- what functions are fed -----------------------------------------------------------------------------------------


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _sliced(x: Tensor) -> Tensor:
    """Every second number of a larger tensor."""
    return torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)[..., ::2] if x.dim() else x


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _transposed(x: Tensor) -> Tensor:
    return x.transpose(-1, -2).contiguous().transpose(-1, -2) if x.dim() > 1 else x


def _broadcast(x: Tensor) -> Tensor:
    """Equal rows stand in memory once."""
    return x[:1].expand_as(x) if x.dim() and len(x) > 1 and (x == x[:1]).all() else x


LAYOUTS = (_as_it_is, _sliced, _channels_last, _transposed, _broadcast)  # ways to hold the same numbers in memory


def pictures(
    channels: tuple[int, ...] = (1, 3, 4), sides: tuple[int, int] = (1, 7), dtypes: tuple[torch.dtype, ...] = FLOATS
) -> st.SearchStrategy[Tensor]:
    """Float pictures in [0, 1], (N, C, H, W), in any layout; some are all black, all white, tiny or all alike."""

    @st.composite
    def draw_pictures(draw: Callable) -> Tensor:
        shape = draw(st.integers(1, 3)), draw(st.sampled_from(channels)), draw(st.integers(*sides))
        shape = (*shape, draw(st.integers(*sides)))
        kind = draw(st.sampled_from(["random", "random", "random", "black", "white", "tiny", "alike"]))
        x = torch.rand(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**20))))
        x = {"black": 0 * x, "white": 0 * x + 1, "tiny": x * 1e-38, "alike": x[:1].expand(shape)}.get(kind, x)
        return draw(st.sampled_from(LAYOUTS))(x.to(draw(st.sampled_from(dtypes))))

    return draw_pictures()


def stored(channels: tuple[int, ...] = (1, 3, 4), sides: tuple[int, int] = (1, 7)) -> st.SearchStrategy[Tensor]:
    """Stored pictures, `uint8` (N, C, H, W), in any layout."""
    return pictures(channels, sides, (torch.float32,)).map(lambda x: x.mul(255).round().to(torch.uint8))


def square(x: Tensor) -> Tensor:
    """Cut to its shorter side."""
    side = min(x.shape[2:])
    return x[..., :side, :side]


def tensors() -> st.SearchStrategy[Tensor]:
    """Tensors of any type, of few numbers, of shapes that are seldom wanted, filled with one number."""
    shapes = [(), (0,), (1,), (2,), (2, 3), (0, 3), (2, 14), (1, 1, 1), (2, 1, 4, 4), (2, 3, 5, 4), (0, 1, 4, 4)]
    shapes += [(1, 4, 8, 8), (2, 3, 32, 32), (1, 1, 1, 1), (1, 1, 2, 2, 2)]
    make = lambda shape, value, dtype: torch.full(shape, value, dtype=torch.float64).to(dtype)  # noqa: E731
    return st.builds(make, st.sampled_from(shapes), st.sampled_from(NUMBERS), st.sampled_from(DTYPES))


def anything() -> st.SearchStrategy[Any]:
    """What a learner may pass by mistake. (No number so large that only the memory is too small for it.)"""
    plain = [None, True, False, "x", "", [], [1.0], (), (1, 2), {}, 1j, object(), 10, 2, 3.5, 1e-9, 1e300, 10**400]
    plain += [*NUMBERS, np.int64(2), np.float32(0.5), np.float64(math.nan), np.bool_(True), np.zeros((1, 1, 4, 4))]
    return st.sampled_from(plain) | tensors()


# --- what counts as documented --------------------------------------------------------------------------------------


def documented(
    function: Callable, *args: Any, also: tuple[str, ...] = (), elementwise: bool = False, **kwargs: Any
) -> Any:
    """The result of a call, or REFUSED if our own code raised an error that names an argument; nothing else will do.

    The arguments must be as they were, and the result must hold no NaN.

    Args:
        also: what an error may name instead of an argument; "torch.distributions", whose own checks will do;
            "torch.nn", for a network that is itself an argument may refuse a shape that it was not built for.
        elementwise: NaN and infinity in make NaN out. What stands in a training step looks at no values: that would
            make a GPU wait, and `fit` stops at the first NaN.
    """
    before = [copied(value) for value in (*args, *kwargs.values())]
    try:
        result = function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = frame.filename.startswith(PACKAGE) and (frame.line or "").startswith("raise ")
        theirs = "torch.distributions" in also and "torch/distributions" in Path(frame.filename).as_posix()
        assert ours or theirs, f"not refused by a check: {error!r} in {frame.filename}, line {frame.lineno}"
        names = [
            *inspect.signature(function).parameters,
            *also,
            *(("loc", "scale", "logits", "value") if theirs else ()),
        ]
        assert any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in names), f"names no argument: {error}"
        result = REFUSED
    except RuntimeError as error:
        frames = traceback.extract_tb(error.__traceback__)
        assert "torch.nn" in also and any("torch/nn/modules" in Path(frame.filename).as_posix() for frame in frames), (
            error
        )
        result = REFUSED
    for old, new in zip(before, (*args, *kwargs.values()), strict=True):
        assert equal(old, new), f"an argument was changed by {function}"
    excused = elementwise and any(not number_is_finite(leaf) for leaf in leaves((*args, *kwargs.values())))
    if result is not REFUSED and not excused:
        assert not any(number_is_nan(leaf) for leaf in leaves(result)), f"NaN in {result}"
    return result


def copied(value: Any) -> Any:
    """A copy of tensors, arrays and lists of them; anything else is taken for unchangeable."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, list | tuple):
        return [copied(v) for v in value]
    return {k: copied(v) for k, v in value.items()} if isinstance(value, dict) else value


def equal(a: Any, b: Any) -> bool:
    """Whether a copy still is as its original; NaN is equal to itself."""
    if isinstance(a, Tensor):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and torch.equal(a.double().nan_to_num(7), b.double().nan_to_num(7))
        )
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a) if isinstance(a, dict) else a is b


def leaves(result: Any) -> Iterator[Any]:
    """The tensors, arrays and numbers in a result."""
    if isinstance(result, Mapping):
        result = tuple(result.values())
    if isinstance(result, Distribution):
        result = (result.mean,)
    if isinstance(result, list | tuple):
        for part in result:
            yield from leaves(part)
    elif isinstance(result, Tensor | np.ndarray | float):
        yield result


def number_is_nan(leaf: Any) -> bool:
    """Whether a tensor, an array or a number holds NaN."""
    if isinstance(leaf, Tensor):
        return bool(leaf.isnan().any()) if leaf.is_floating_point() else False
    return bool(np.isnan(leaf).any()) if np.asarray(leaf).dtype.kind == "f" else False


def number_is_finite(leaf: Any) -> bool:
    """Whether no number in it is NaN or infinite."""
    return bool(torch.as_tensor(leaf).isfinite().all())
