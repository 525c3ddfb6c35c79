"""Data sets read by torchvision's own loaders, from a folder that exists or by download."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.images import enlarge

VALIDATION_SHARE = 0.1  # of the training file


@dataclass(frozen=True)
class Source:
    """Where torchvision keeps a data set and what is known about it."""

    loader: str  # class in torchvision.datasets
    about: str


SOURCES = {
    "mnist": Source("MNIST", "MNIST by Y. LeCun, C. Cortes and C. Burges (CC BY-SA 3.0)."),
    "fashion-mnist": Source("FashionMNIST", "Fashion-MNIST by Zalando SE (MIT)."),
    "kmnist": Source("KMNIST", "Kuzushiji-MNIST by ROIS-DS CODH (CC BY-SA 4.0)."),
    "cifar10": Source("CIFAR10", "CIFAR-10 by A. Krizhevsky, V. Nair and G. Hinton; no licence stated."),
}


def load_torchvision(
    name: str, size: int | None = None, root: str | os.PathLike | None = None, download: bool = False
) -> Dataset:
    """Read one of `SOURCES`; a tenth of the training file, chosen at random but always alike, is validation.

    Raises:
        FileNotFoundError: the files are not in `root`, and `download` is off or did not work. The message says
            what was tried and what to do.
    """
    source = SOURCES[name]
    folder = Path(root or os.environ.get("VAE_HELPERS_DATA", "data"))
    train, test = (_read(name, source, folder, part, download) for part in (True, False))
    images, labels = _tensors(train)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    n_validation = round(VALIDATION_SHARE * len(images))
    chosen = {"train": order[n_validation:], "validation": order[:n_validation]}
    splits = {part: Split(images[i], labels[i], i) for part, i in chosen.items()}
    test_images, test_labels = _tensors(test)
    splits["test"] = Split(test_images, test_labels, len(images) + torch.arange(len(test_images)))
    if size is not None and size != images.shape[-1]:
        splits = {part: Split(enlarge(s.images, size), s.labels, s.index) for part, s in splits.items()}
    return Dataset(name, **splits, levels=256, classes=tuple(train.classes), about=source.about)


def _read(name: str, source: Source, folder: Path, train: bool, download: bool) -> Any:
    import torchvision.datasets

    loader = getattr(torchvision.datasets, source.loader)
    try:
        return loader(str(folder), train=train, download=download)
    except (RuntimeError, OSError) as error:  # torchvision: files missing; urllib: no network
        tried = f"looked in {folder.resolve()}" + (" and tried to download it there" if download else "")
        cure = (
            f"Where there is a network, load({name!r}, download=True) fetches it once; "
            f"where there is none, copy the folder {source.loader} of a machine that has it and say "
            f"load({name!r}, root=FOLDER) or set VAE_HELPERS_DATA. Built in, with no files: load('digits')."
        )
        raise FileNotFoundError(f"{name} could not be loaded: {tried} ({_first_line(error)}). {cure}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _tensors(dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as uint8 (N, C, H, W) and labels as int64 (N,), from torchvision's array without per-image work."""
    pixels = torch.from_numpy(np.ascontiguousarray(dataset.data))
    pixels = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return pixels, torch.as_tensor(dataset.targets).long()
