"""Real photographs that scikit-image and scikit-learn install, whole or in patches. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import islice

import torch
from torch import Tensor

from vae_helpers import checking
from vae_helpers.data.dataset import Dataset, Split


@dataclass(frozen=True)
class Photograph:
    """One photograph: where it is, which split it belongs to, and its credit."""

    name: str
    file: str  # package/path in the package
    split: str
    colour: bool
    credit: str
    licence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.credit} ({self.licence})"


# Credits and licences are those stated by the docstrings of skimage.data and by sklearn/datasets/images/README.txt
# (which links the flower to vultilion's page but repeats the author of the other). Photographs whose licence these do
# not state, or whose licence is disputed, are not here.
PHOTOGRAPHS = (
    Photograph("astronaut", "skimage/data/astronaut.png", "train", True, "NASA", "public domain"),
    Photograph("china", "sklearn/datasets/images/china.jpg", "train", True, "danielbuechele on Flickr", "CC BY 2.0"),
    Photograph("hubble", "skimage/data/hubble_deep_field.jpg", "train", True, "NASA, ESA, HUDF09", "public domain"),
    Photograph("retina", "skimage/data/retina.jpg", "train", True, "Mikael Häggström", "CC0"),
    Photograph("brick", "skimage/data/brick.png", "train", False, "CC0Textures, Bricks25", "CC0"),
    Photograph("coins", "skimage/data/coins.png", "train", False, "Brooklyn Museum", "no known copyright restrictions"),
    Photograph("grass", "skimage/data/grass.png", "train", False, "linolafett on DeviantArt", "CC0"),
    Photograph("flower", "sklearn/datasets/images/flower.jpg", "validation", True, "vultilion on Flickr", "CC BY 2.0"),
    Photograph("gravel", "skimage/data/gravel.png", "validation", False, "CC0Textures, Gravel04", "CC0"),
    Photograph("chelsea", "skimage/data/chelsea.png", "test", True, "Stefan van der Walt", "CC0"),
    Photograph("coffee", "skimage/data/coffee.png", "test", True, "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    Photograph("camera", "skimage/data/camera.png", "test", False, "Lav Varshney", "CC0"),
)  # fmt: skip
SIZES = {"train": 2_000, "validation": 200, "test": 400}  # patches
MIN_PATCH, MAX_PATCH = 8, 256  # pixels of a patch; the lowest photograph has 300 rows
LEAST_CONTRAST = 8  # grey levels, the standard deviation within a patch; empty sky and blur have less
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue as they are stored
ABOUT = (
    "Patches of photographs that scikit-image and scikit-learn install; each photograph is in one split only. "
    "Patches of little contrast, such as empty sky, are left out. Those of one photograph overlap and are not "
    "independent. Credits: "
)


def photo_credits() -> str:
    """Name, author and licence of every photograph, one a line."""
    return "\n".join(map(str, PHOTOGRAPHS))


def photographs(split: str, colour: bool = True) -> dict[str, Tensor]:
    """The whole photographs of a split, as large as they are installed.

    Args:
        split: "train", "validation" or "test".
        colour: True for the colour photographs; False for all of them in grey, where the colour ones become
            0.299 R + 0.587 G + 0.114 B of the stored values (ITU-R BT.601), rounded.
    Returns:
        name -> `uint8` (1, 3, H, W), or (1, 1, H, W) in grey. `PHOTOGRAPHS` has the credits.
    Raises:
        ValueError: an unknown split, or a colour that is not a truth value.
        FileNotFoundError: the installed scikit-image or scikit-learn lacks a photograph.
    """
    checking.choice(split, "split", SIZES)
    return {photo.name: _read(photo, colour) for photo in _chosen(colour) if photo.split == split}


def load_photos(size: int = 64, colour: bool = True, n: int = SIZES["train"]) -> Dataset:
    """Patches of photographs at random places, taken from the photographs in turn; the label says from which.

    An index is (row in `PHOTOGRAPHS`) * 10^8 + (top) * 10^4 + (left), in pixels of the photograph.

    Args:
        size: pixels of a patch's side, 8 to 256.
        colour: as for `photographs`.
        n: training patches; those of a smaller n are the first of a larger one. Validation and test have always
            200 and 400.
    Raises:
        ValueError: size, colour or n out of its domain, or more patches than there are.
        FileNotFoundError: as for `photographs`.
    """
    size, n = checking.integer(size, "size", MIN_PATCH, MAX_PATCH), checking.integer(n, "n")
    chosen = _chosen(colour)
    classes = tuple(photo.name for photo in chosen)
    splits = {
        part: _patches(photographs(part, colour), classes, size, count) for part, count in {**SIZES, "train": n}.items()
    }
    return Dataset("photos", **splits, levels=256, classes=classes, about=ABOUT + "; ".join(map(str, chosen)) + ".")


def _chosen(colour: bool) -> list[Photograph]:
    colour = checking.flag(colour, "colour", "False is grey.")
    return [photo for photo in PHOTOGRAPHS if photo.colour or not colour]


def _read(photo: Photograph, colour: bool) -> Tensor:
    from skimage.io import imread

    # By path: the functions of skimage.data would download a file that a later version no longer installs.
    package, _, path = photo.file.partition("/")
    file = resources.files(package) / path
    if not file.is_file():
        raise FileNotFoundError(
            f"the photograph {photo.name!r} is not among the installed files ({photo.file} is missing). Install the "
            "versions of scikit-image and scikit-learn that the course was tested with; constraints.txt has them."
        )
    pixels = torch.from_numpy(imread(str(file)))
    image = pixels[None, None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)[None].contiguous()  # (1, C, H, W)
    return image if colour else _grey(image)


def _grey(image: Tensor) -> Tensor:
    if image.shape[1] == 1:
        return image
    weights = torch.tensor(LUMA, dtype=torch.double)[:, None, None]
    return (image * weights).sum(1, keepdim=True).round().byte()  # (1, 1, H, W)


def _patches(images: dict[str, Tensor], classes: tuple[str, ...], size: int, n: int) -> Split:
    """The first n of: a patch of the first photograph, one of the second, ..., another one of the first, ..."""
    found = [None] * n
    for turn, (name, image) in enumerate(images.items()):
        row, label = [photo.name for photo in PHOTOGRAPHS].index(name), classes.index(name)
        asked = len(found[turn :: len(images)])
        places = list(islice(_places(_grey(image)[0, 0].float(), size, seed=row), asked))
        if len(places) < asked:
            raise ValueError(
                f"n={n} is too large: {name} has {len(places)} patches of {size} x {size} pixels with contrast, "
                f"and {asked} are asked of it."
            )
        found[turn :: len(images)] = [
            (image[0, :, top : top + size, left : left + size], label, row * 10**8 + top * 10**4 + left)
            for top, left in places
        ]
    patches, labels, index = zip(*found, strict=True)
    return Split(torch.stack(patches), torch.tensor(labels), torch.tensor(index))


def patches_of(image: Tensor, size: int, n: int, seed: int = 0) -> Tensor:
    """The first n patches of one picture, at random places of contrast. uint8 (1, C, H, W) -> (n, C, size, size).

    Raises:
        ValueError: there are fewer.
    """
    places = list(islice(_places(_grey(image)[0, 0].float(), size, seed), n))
    if len(places) < n:
        raise ValueError(
            f"n={n} is too large: there are {len(places)} patches of {size} x {size} pixels with contrast."
        )
    return torch.stack([image[0, :, top : top + size, left : left + size] for top, left in places])


def _places(grey: Tensor, size: int, seed: int) -> Iterator[tuple[int, int]]:
    """Top and left of all patches with contrast, in an order that is random but always the same."""
    high, wide = (extent - size + 1 for extent in grey.shape)
    for place in torch.randperm(high * wide, generator=torch.Generator().manual_seed(seed)).tolist():
        top, left = divmod(place, wide)
        if grey[top : top + size, left : left + size].std() >= LEAST_CONTRAST:
            yield top, left
