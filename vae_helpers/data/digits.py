"""The 1,797 handwritten digits that scikit-learn installs: 8 x 8 pixels, 17 grey levels."""

from __future__ import annotations

import torch

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.images import enlarge

SIZES = {"train": 1297, "validation": 200, "test": 300}
ABOUT = (
    "Handwritten digits by E. Alpaydin and C. Kaynak (UCI, CC BY 4.0), as installed with scikit-learn. "
    "They were written by 13 people, whom all three splits share: a score says how well a model does on new "
    "digits of these writers, not on new writers."
)


def load_digits(size: int | None = None) -> Dataset:
    """The digits, split 1,297 / 200 / 300 at random, the same way each time.

    Args:
        size: None for the native 8 x 8 pixels with 17 levels; a larger whole number for smoothly enlarged ones
            (256 levels). Those suit Bernoulli models and the eye; a density on them is degenerate.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    source = sklearn_digits()
    images = torch.from_numpy(source.images).mul(255 / 16).round().to(torch.uint8)[:, None]  # (1797, 1, 8, 8)
    levels = 17
    if size is not None and size != images.shape[-1]:
        images, levels = enlarge(images, size), 256
    labels = torch.from_numpy(source.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = [Split(images[i], labels[i], i) for i in order.split(list(SIZES.values()))]
    return Dataset("digits", *parts, levels=levels, classes=tuple("0123456789"), about=ABOUT)
