"""What a learner meets: claims that are checked, exercises that answer back, hints, solutions and progress.

The exercises themselves are in `vae_helpers/lessons/`, a file a lesson. Names are resolved when first used
(PEP 562), so that grading and the check of the machine start without torch.
"""

import importlib
from typing import Any

from vae_helpers.exercises import name_errors

_HOMES: dict[str, tuple[str, ...]] = {
    "claiming": ("claim", "claims"),
    "definition": ("Exercise", "Misconception", "NotAttempted", "Wrong", "wrong_answers"),
    "checks": ("close_to", "compares"),
    "judging": ("exercise",),
    "hints": ("hint", "solution"),
    "progress_record": ("progress",),
    "registry": ("UnknownExercise",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"vae_helpers.exercises has no {name!r}; it has: {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]


name_errors.install()
