"""Names that have moved: a learner's older notebook still finds them, and is told where they are now.

    __getattr__ = former_names(__name__, changed="vae_helpers.rendering.faces.with_factors")

at the end of a module (PEP 562) keeps `module.changed` for one release; docs/maintaining.md says when it may go.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def former_names(module: str, otherwise: Callable[[str], Any] | None = None, /, **homes: str) -> Callable[[str], Any]:
    """A module's `__getattr__` that finds what has moved, with a FutureWarning that says the new name.

    Args:
        module: the module's `__name__`.
        otherwise: finds any other name, or raises AttributeError; by default there is none.
        homes: former name -> where it is now, written in full: "package.module.name".
    """

    def getattr_of_module(name: str) -> Any:
        if name not in homes:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = homes[name].rpartition(".")
        warnings.warn(
            f"{module}.{name} is now {homes[name]}; the former name goes with the next release.",
            FutureWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(home), new)

    return getattr_of_module
