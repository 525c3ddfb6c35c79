"""When torch.distributions checks the values that it is given."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from torch.distributions import Distribution

_validating: dict[int, bool] = {}  # threads inside `validate_first_batch` -> whether in their first batch
_usual = Distribution._validate_args  # to go back to when the last of them has left
_lock = threading.Lock()


@contextlib.contextmanager
def validate_first_batch() -> Iterator[Callable[[], None]]:
    """torch.distributions checks every value it is given: here until the function that this yields is called.

    To be called once the first batch has gone through, which shows whether the data suit the likelihood; after it the
    checks would only cost time, a seventh of a likelihood's. A block inside another begins as that one is and leaves it
    so. torch has one switch for all threads: it is on while any of them is in its first batch, and as it was before
    once the last has left, in whatever order they leave.
    """
    thread = threading.get_ident()
    outside = _validating.get(thread)  # None: this block is inside no other
    _set(thread, outside is not False)
    try:
        yield lambda: _set(thread, False)
    finally:
        _set(thread, outside)


def _set(thread: int, in_first_batch: bool | None) -> None:
    global _usual
    with _lock:
        if not _validating:
            _usual = Distribution._validate_args
        if in_first_batch is None:
            del _validating[thread]
        else:
            _validating[thread] = in_first_batch
        Distribution.set_default_validate_args(_usual and (not _validating or any(_validating.values())))
