"""What a data set is here: three disjoint splits of stored images, with what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from vae_helpers.images import check_images


@dataclass(frozen=True)
class Split:
    """Images of one split.

    Attributes:
        images: `uint8` (N, C, H, W).
        labels: `int64` (N,), the class of each image.
        index: `int64` (N,), the place of each image in its source, by which splits are shown to be disjoint.
        factors: `float32` (N, F), what each image was drawn from, where that is known; else None.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    factors: Tensor | None = None

    def __post_init__(self) -> None:
        check_images(self.images)
        if not len(self.images) == len(self.labels) == len(self.index):
            raise ValueError(
                f"{len(self.images)} images, {len(self.labels)} labels and {len(self.index)} indices do not match."
            )
        if self.factors is not None and len(self.factors) != len(self.images):
            raise ValueError(f"{len(self.images)} images and {len(self.factors)} rows of factors do not match.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: slice | Tensor) -> Split:
        """A part of the split, chosen by a slice, a boolean mask or indices."""
        return self._each(lambda tensor: tensor[which])

    def to(self, device: torch.device | str) -> Split:
        """The same split with its tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Split:
        tensors = (self.images, self.labels, self.index, self.factors)
        return Split(*(None if tensor is None else change(tensor) for tensor in tensors))


@dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
        name: what `load` calls it.
        train, validation, test: disjoint splits. Tune on validation; use test once, for the final number.
        levels: how many grey levels a pixel can take (17 for the 8 x 8 digits, 256 usually).
        classes: the names of the labels.
        about: source, licence and what to keep in mind, in a sentence or two.
        factor_names: the names of the columns of the splits' `factors`, where these are known.
        files: of a folder, the names of the pictures' files; that of a picture is `files[its index]`.
        skipped: of a folder, the names of the files that gave no picture, each with the reason.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    levels: int
    classes: tuple[str, ...]
    about: str
    factor_names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One source may number its test images afresh, so only splits cut from the same file share numbers;
        # loaders give each file its own range.
        seen = torch.cat([self.train.index, self.validation.index, self.test.index])
        if len(seen.unique()) != len(seen):
            raise ValueError(f"the splits of {self.name!r} share images; they must be disjoint.")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return tuple(self.train.images.shape[1:])  # type: ignore[return-value]

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set with its tensors on `device`."""
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            test=self.test.to(device),
        )

    def __str__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test"
        return f"{self.name}: {sizes} images of shape {self.image_shape}, {self.levels} levels. {self.about}"
