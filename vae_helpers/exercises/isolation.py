"""Runs a check without side effects: random states and torch settings are restored, output is suppressed."""

from __future__ import annotations

import contextlib
import io
import random
import warnings
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Restore random states, gradient mode and default dtype afterwards; gradients are on within."""
    python, arrays, dtype = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.inference_mode(False):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
            torch.set_default_dtype(dtype)


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
