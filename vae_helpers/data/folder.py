"""A learner's own pictures: whatever lies in a folder, as a data set with disjoint splits."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vae_helpers.data import picture_cache
from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.data.picture_cache import Digests, FileState
from vae_helpers.data.picture_file import Form, Unusable, check_is_file, formats, printable, read_picture

SHARES = {"test": 0.1, "validation": 0.1}  # the rest is for training
LEAST = 3  # different pictures of each split
THREADS = 4  # at most; decoders run side by side
TOP = "."  # the class of pictures that lie in the folder itself


@dataclass(frozen=True)
class Picture:
    """A picture that was read: its row among all files, its file and its digests."""

    row: int
    file: FileState
    digests: Digests

    @property
    def label(self) -> str:
        """The first sub-folder on the way to it."""
        first, _, below = self.file.name.partition("/")
        return first if below else TOP


def load_folder(
    root: str | os.PathLike | None = None,
    size: int = 64,
    fit: str = "crop",
    colour: bool = True,
    background: int | tuple[int, int, int] = 255,
) -> Dataset:
    """The pictures in a folder and its sub-folders. Files that give no picture are listed, never fatal.

    What counts as a picture: a file that holds JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000 or AVIF, whatever its
    name; of an animation, the first frame. Hidden files (.name), links, pipes and devices are not opened. A file of
    more than 268 MB, or a picture whose header tells of more than 67 million pixels, is not decoded.

    How it is brought to `size`: put upright as its EXIF note says; its largest middle square cut out, or all of it
    kept with `background` beside it (fit="pad"); resized bicubically with anti-aliasing, smaller ones enlarged;
    transparent pixels laid over `background`; 16-bit numbers scaled to 8; CMYK and palettes turned into colours.
    Colour profiles are not applied: every picture is taken for sRGB.

    Labels: the first sub-folder on the way to a picture is its class; "." is the folder itself.

    Splits: about 80 % training, 10 % validation, 10 % test. The SHA-256 of each *file*, read as a number from 0 to
    1, decides: below 0.1 test, below 0.2 validation, above that training. So a picture keeps its split when others
    come or go, when it is renamed or moved, in every `size` and on every machine. (A position in a list would not
    survive another picture, a name would not survive a move, and decoded pixels differ between sizes.) Pictures whose
    pixels come out equal, such as copies, share a split, that of the smallest of their numbers; *nearly* equal
    pictures, such as a series of shots or another section of the same photograph, may be in two: thin them out. A
    split that is short of 3 different pictures takes some of the largest split, so in a folder of few pictures a few
    may change place when others are added. Classes are not balanced. Within a split the order is that of the
    SHA-256, which mixes classes.

    Memory: the result, and beside it at most a few decoded pictures, only one of them large (0.7 GB were measured
    with the largest ones that are read). Nothing is written into the folder. Decoded pictures are cached (see
    `vae_helpers.data.picture_cache`), and files that changed are read again.

    Args:
        root: the folder; "~" is the home directory.
        size: pixels of a side, 8 to 1024.
        fit: "crop" or "pad".
        colour: False for grey, one channel.
        background: a grey 0..255 or (red, green, blue).
    Returns:
        a Dataset. `files` has the name below `root` of each picture, by its index; `skipped` has the names of all
        other files, with the reason.
    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: the folder cannot be opened.
        ValueError: an argument out of its domain, no picture or too few, or more than fit into memory.
    """
    form, folder = Form(size, fit, colour, background), open_folder(root)
    files, skipped = list_files(folder)
    images = _room_for(len(files), form)
    pictures, trouble = _read_all(folder, files, form, images, skipped)
    _check_number(pictures, len(files), skipped, folder)
    data = _dataset(root, pictures, images, skipped)
    if skipped:
        print(_summary(root, pictures, skipped))
    if trouble:
        print(f"The decoded pictures are not cached ({trouble}): they will be decoded again the next time.")
    return data


def open_folder(root: str | os.PathLike | None) -> Path:
    """The folder's real path, if it can be listed."""
    if root is None:
        raise ValueError("load('folder') needs to know where your pictures are: load('folder', 'my_pictures').")
    path = Path(os.path.expanduser(os.fspath(root)))
    try:
        path = path.resolve(strict=True)
        os.scandir(path).close()
    except FileNotFoundError as error:
        cure = f"Check its name; relative names are looked up in {Path.cwd()}."
        raise FileNotFoundError(f"there is no folder {printable(path)}. {cure}") from error
    except NotADirectoryError as error:
        cure = f"Give the folder that it is in: {printable(path.parent)}."
        raise NotADirectoryError(f"{printable(path)} is a file, not a folder of pictures. {cure}") from error
    except PermissionError as error:
        cure = "Ask its owner for permission to read, or copy the pictures."
        raise PermissionError(f"the folder {printable(path)} may not be read by you. {cure}") from error
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte in it, links in a circle
        raise ValueError(f"root={str(root)!r:.200} cannot be opened as a folder ({error!s:.200}).") from error
    return path


def list_files(folder: Path) -> tuple[list[FileState], dict[str, str]]:
    """Regular files of some length below the folder, in the order of their names; and all else, with the reason."""
    files, skipped, pending = [], {}, [""]
    while pending:
        below = pending.pop()
        try:
            entries = list(os.scandir(folder / below))
        except OSError as error:
            skipped[below or TOP] = f"cannot be listed ({error.strerror})"
            continue
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    pending.append(name)
                else:
                    files.append(_state(entry, name))
            except Unusable as reason:
                skipped[name] = str(reason)
            except OSError as error:
                skipped[name] = f"cannot be opened ({error.strerror})"
    return sorted(files), skipped


def _state(entry: os.DirEntry, name: str) -> FileState:
    """A file as it is listed, without opening it. Raises Unusable if it should not be opened."""
    if entry.name.startswith("."):
        raise Unusable("hidden")
    if entry.is_symlink():
        raise Unusable("a link (links are not followed: copy the picture into the folder)")
    about = entry.stat(follow_symlinks=False)
    check_is_file(about)
    return FileState(name, about.st_size, about.st_mtime_ns)


def _room_for(n: int, form: Form) -> np.ndarray:
    """uint8 (n, C, H, W), not yet touched: rows that are never filled take no memory."""
    import psutil

    needed, free = n * int(np.prod(form.shape)), psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f"size={form.size} is too large for this folder: {n:,} files of pictures may need {needed / 1e9:.1f} GB, "
            f"and {free / 1e9:.1f} GB of memory are free. Take a smaller size, or a folder with fewer files."
        )
    return np.empty((n, *form.shape), dtype=np.uint8)


def _read_all(
    folder: Path, files: list[FileState], form: Form, images: np.ndarray, skipped: dict[str, str]
) -> tuple[list[Picture], str]:
    """Fill the rows of `images`, from the cache where it has them; add to `skipped`; rewrite the cache.

    Returns:
        the pictures in the order of their rows, which are 0, 1, 2, ... now; and why there is no cache, or "".
    """
    cache, trouble = None, ""
    try:
        cache = picture_cache.place(folder, form)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        trouble = str(error)
    cached, known = picture_cache.read(cache, files, images) if cache else ({}, 0)
    missing = [row for row in range(len(files)) if row not in cached]
    found = dict(cached)
    for row, outcome in _decode(folder, files, missing, form, images).items():
        if isinstance(outcome, Digests):
            found[row] = outcome
        else:
            skipped[files[row].name] = outcome
    pictures = [Picture(new, files[row], found[row]) for new, row in enumerate(sorted(found))]
    _move_up(images, sorted(found))
    if cache and pictures and not len(cached) == known == len(pictures):
        try:
            picture_cache.write(cache, ((p.file, p.digests) for p in pictures), images[: len(pictures)])
        except OSError as error:
            trouble = error.strerror or str(error)
    return pictures, trouble


def _decode(
    folder: Path, files: list[FileState], rows: list[int], form: Form, images: np.ndarray
) -> dict[int, Digests | str]:
    """Row -> digests, or the reason why there is no picture. A worker writes its pixels in place."""

    def work(row: int) -> Digests | str:
        try:
            images[row], digest = read_picture(folder / files[row].name, form)
        except Unusable as reason:
            return str(reason)
        return Digests(digest, picture_cache.sha256(images[row]))

    formats()  # Pillow's list of formats is filled here, not by several threads at once
    pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    with quiet_decoders():
        try:
            return dict(zip(rows, _with_bar(pool.map(work, rows), len(rows)), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)  # the Stop button waits for pictures in progress only


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence Pillow's warnings about single files: `skipped` has those that matter."""
    log = logging.getLogger("PIL")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)


def _with_bar(outcomes: Iterable, n: int) -> Iterable:
    if not n or os.environ.get("VAE_HELPERS_STATIC") == "1":
        return outcomes
    from tqdm.auto import tqdm

    return tqdm(outcomes, total=n, unit="picture", leave=False)


def _move_up(images: np.ndarray, rows: list[int]) -> None:
    """Close the gaps: row rows[i] becomes row i, in place. `rows` increases."""
    for new, old in enumerate(rows):
        if new != old:
            images[new] = images[old]


def _check_number(pictures: list[Picture], n: int, skipped: Mapping[str, str], folder: Path) -> None:
    """Raise ValueError unless there are pictures enough for three splits."""
    name = printable(folder)
    if not n and not skipped:
        raise ValueError(f"the folder {name} is empty. Put pictures into it, or give another one.")
    reasons = f" Skipped: {_kinds(skipped)}; for example {_example(skipped)}." if skipped else ""
    if not pictures:
        raise ValueError(
            f"the folder {name} has no picture that can be read.{reasons} "
            f"Give a folder with pictures in one of these formats: {', '.join(formats())}."
        )
    different = len({p.digests.pixels for p in pictures})
    if different < 3 * LEAST:
        raise ValueError(
            f"the folder {name} has {different} different pictures, too few for three splits of at least {LEAST}: "
            f"add {3 * LEAST - different} or more.{reasons}"
        )


def _dataset(
    root: str | os.PathLike, pictures: list[Picture], images: np.ndarray, skipped: Mapping[str, str]
) -> Dataset:
    """The splits, as parts of the one tensor that `images` is reordered to be."""
    classes = tuple(sorted({p.label for p in pictures}))
    parts = _split(pictures)
    ordered = [p for part in parts.values() for p in part]
    _reorder(images, [p.row for p in ordered])
    labels = torch.tensor([classes.index(p.label) for p in ordered])
    index = torch.tensor([p.row for p in ordered])
    everything = Split(torch.from_numpy(images[: len(ordered)]), labels, index)
    splits, start = {}, 0
    for name, part in parts.items():
        splits[name] = everything[start : start + len(part)]
        start += len(part)
    return Dataset(
        "folder",
        **splits,
        levels=256,
        classes=tuple(map(printable, classes)),
        about=_summary(root, pictures, skipped),
        files=tuple(p.file.name for p in pictures),
        skipped=dict(sorted(skipped.items())),
    )


def _split(pictures: list[Picture]) -> dict[str, list[Picture]]:
    """Test, validation, train; pictures with equal pixels in one of them. See `load_folder`."""
    alike = defaultdict(list)
    for picture in sorted(pictures, key=lambda p: (p.digests.file, p.file)):
        alike[picture.digests.pixels].append(picture)
    parts = {"test": [], "validation": [], "train": []}
    for group in alike.values():  # in the order of their smallest digests
        share = int(group[0].digests.file[:13], 16) / 16**13
        name = "test" if share < SHARES["test"] else "validation" if share < sum(SHARES.values()) else "train"
        parts[name].append(group)
    for part in parts.values():
        while len(part) < LEAST:
            part.append(max(parts.values(), key=len).pop(0))
    return {name: [picture for group in part for picture in group] for name, part in parts.items()}


def _reorder(images: np.ndarray, order: list[int]) -> None:
    """Row order[i] becomes row i, in place, with one picture's memory; `order` is a permutation."""
    content = list(range(len(order)))  # content[i]: which picture is in row i now
    where = list(range(len(order)))  # where[k]: in which row picture k is now
    for row, wanted in enumerate(order):
        other, present = where[wanted], content[row]
        if other != row:
            images[[row, other]] = images[[other, row]]
            content[row], content[other] = wanted, present
            where[wanted], where[present] = row, other


def _summary(root: str | os.PathLike, pictures: list[Picture], skipped: Mapping[str, str]) -> str:
    copies = len(pictures) - len({p.digests.pixels for p in pictures})
    repeated = f", {copies} of them copies of others" if copies else ""
    text = f"{len(pictures)} pictures from the folder {printable(os.fspath(root))}{repeated}"
    if skipped:
        text += f"; {len(skipped)} other files skipped: {_kinds(skipped)} (`skipped` has them all with the reason)"
    return text + "."


def _kinds(skipped: Mapping[str, str]) -> str:
    """How many files were skipped for which kind of reason: "3 empty, 2 hidden"."""
    kinds = Counter(reason.partition(" (")[0] for reason in skipped.values())
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _example(skipped: Mapping[str, str]) -> str:
    name, reason = min(skipped.items(), key=lambda item: (item[1] == "hidden", item))
    return f"{printable(name)[:80]}: {reason}"
