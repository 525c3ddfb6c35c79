"""When torch.distributions checks the values that it is given."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from torch.distributions import Distribution

_in_first_batch: dict[object, bool] = {}  # of the blocks of `validate_first_batch` that are running, in all threads
_usual_validation = Distribution._validate_args  # to go back to when the last of them ends
_validation_lock = threading.Lock()


@contextlib.contextmanager
def validate_first_batch() -> Iterator[Callable[[], None]]:
    """torch.distributions checks every value it is given: here until the function that this yields is called.

    To be called once the first batch has gone through, which shows whether the data suit the likelihood; after it the
    checks would only cost time, a seventh of a likelihood's. torch has one switch for all threads: it is on while any
    block is in its first batch, and as it was before when the last one has ended, in whatever order they end.
    """
    this = object()

    def set_to(in_first_batch: bool | None) -> None:
        global _usual_validation
        with _validation_lock:
            if not _in_first_batch:
                _usual_validation = Distribution._validate_args
            if in_first_batch is None:
                del _in_first_batch[this]
            else:
                _in_first_batch[this] = in_first_batch
            validate = not _in_first_batch or any(_in_first_batch.values())
            Distribution.set_default_validate_args(_usual_validation and validate)

    set_to(True)
    try:
        yield lambda: set_to(False)
    finally:
        set_to(None)
