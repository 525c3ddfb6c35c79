"""When torch.distributions checks the values that it is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch.distributions import Distribution


@contextlib.contextmanager
def validate_first_batch() -> Iterator[Callable[[], None]]:
    """torch.distributions checks every value it is given: here until the function that this yields is called.

    To be called once the first batch has gone through, which shows whether the data suit the likelihood; after it the
    checks would only cost time, a seventh of a likelihood's. Afterwards they are done, or not, as they were before.
    """
    before = Distribution._validate_args
    try:
        yield lambda: Distribution.set_default_validate_args(False)
    finally:
        Distribution.set_default_validate_args(before)
