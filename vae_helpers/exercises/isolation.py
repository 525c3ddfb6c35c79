"""Runs a check without side effects: random states and settings are restored, output is suppressed."""

from __future__ import annotations

import contextlib
import io
import os
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was deleted


# What holds for the whole process: how to read it, how to set it.
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    # None, unlike torch.device("cpu"), costs the calls of torch nothing.
    "torch's default device": (
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device == torch.device("cpu") else device),
    ),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's deterministic mode": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    **{
        f"torch.backends.cudnn.{flag}": (
            partial(getattr, torch.backends.cudnn, flag),
            partial(setattr, torch.backends.cudnn, flag),
        )
        for flag in ("deterministic", "benchmark")
    },
    "NumPy's answer to errors (np.seterr)": (np.geterr, lambda answers: np.seterr(**answers)),
    "the working directory": (_folder, lambda folder: folder and os.chdir(folder)),
}
_WITHIN = {"torch's default dtype": torch.float32, "torch's default device": torch.device("cpu")}


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Restore random states, gradient mode and settings afterwards.

    Within, gradients are on and torch makes float32 tensors on the CPU, whatever the notebook has set.
    """
    python, arrays = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.inference_mode(False), settings_kept(_WITHIN):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)


@contextlib.contextmanager
def settings_kept(within: Mapping[str, Any] = MappingProxyType({})) -> Iterator[list[str]]:
    """Restore the settings afterwards; the list is filled then with those that were changed within.

    Args:
        within: settings, by their names in `_SETTINGS`, that are to be others meanwhile.
    """
    before = {name: read() for name, (read, _) in _SETTINGS.items()}
    changed: list[str] = []
    try:
        _set(before | within)
        yield changed
    finally:
        changed += _set(before | within)
        _set(before)


def _set(wanted: Mapping[str, Any]) -> list[str]:
    """Set what is not as wanted, and name it."""
    other = [name for name, (read, _) in _SETTINGS.items() if read() != wanted[name]]
    for name in other:
        _SETTINGS[name][1](wanted[name])
    return other


def seed_cpu(seed: int) -> None:
    """Seed the generator of the CPU, where checks compute.

    torch.manual_seed also keeps, for a GPU that may be used later, each call with a listing of the stack: thousands of
    calls cost seconds, and ever more memory.
    """
    torch.default_generator.manual_seed(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw as after `seed_cpu(seed)`; afterwards the generator goes on from where it was."""
    with torch.random.fork_rng(()):
        seed_cpu(seed)
        yield


class _Sink(io.TextIOBase):
    """Counts characters and drops them, so that an answer that prints without end does not fill the memory."""

    written = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written += len(text)
        return len(text)


@contextlib.contextmanager
def silenced() -> Iterator[_Sink]:
    """Suppress warnings and what is printed to stdout and stderr; the sink counts the characters."""
    sink = _Sink()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield sink
