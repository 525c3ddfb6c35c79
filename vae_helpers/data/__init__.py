"""Data sets: `load(name)` gives disjoint train, validation and test images with their labels.

Names are resolved when first used, as in `vae_helpers` itself: processes that decode pictures import `decoding` from
here, and no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_helpers.data.dataset import Dataset, Split
    from vae_helpers.data.loading import load
    from vae_helpers.data.photos import PHOTOGRAPHS, photo_credits, photographs

_HOMES = {
    "Dataset": "dataset",
    "Split": "dataset",
    "load": "loading",
    "PHOTOGRAPHS": "photos",
    "photo_credits": "photos",
    "photographs": "photos",
}
__all__ = ["PHOTOGRAPHS", "Dataset", "Split", "load", "photo_credits", "photographs"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
