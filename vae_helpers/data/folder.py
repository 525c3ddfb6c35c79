"""A learner's own pictures: whatever lies in a folder, as a data set with disjoint splits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vae_helpers import checking
from vae_helpers.data import picture_cache
from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.data.decoding import Digests, decode, with_bar
from vae_helpers.data.picture_cache import FileState, Stored, Table, Unfinished
from vae_helpers.data.picture_file import Form, Unusable, check_is_file, formats, printable

PARTS = ("test", "validation", "train")  # in the order of their rows
SHARES = {"test": 0.1, "validation": 0.1}  # the rest is for training
SPLITS_BY = ("picture", "folder")  # what goes into one split as a whole
LEAST = 3  # different pictures of each split
WORTH_KEEPING = 30.0  # seconds of decoding that was interrupted
TOP = "."  # the class of pictures that lie in the folder itself


class Asked(NamedTuple):
    """What is asked for: the pictures of which folder, in which form, split how, and whether anything is said."""

    folder: Path
    form: Form
    split_by: str
    quiet: bool


class Picture(NamedTuple):
    """A picture that was read: its file, its digests and the row that its pixels are in."""

    file: FileState
    digests: Digests
    row: int


def load_folder(
    root: str | os.PathLike | None = None,
    size: int = 64,
    fit: str = "crop",
    colour: bool = True,
    background: int | tuple[int, int, int] = 255,
    split_by: str = "picture",
    quiet: bool = False,
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
    pictures, such as a series of shots or another section of the same photograph, may be in two: thin them out, or keep
    each series in a sub-folder. A split that is short of 3 different pictures takes some of the largest split, so in a
    folder of few pictures a few may change place when others are added. Classes are not balanced. Within a split the
    order is that of the SHA-256, which mixes classes.

    With split_by="folder" the pictures of a sub-folder stay together, so that a burst, a film or a person that has one
    of its own is never on both sides. The number is then that of the SHA-256 of the sub-folder's path below `root`, and
    a/b is another sub-folder than a; pictures that lie in `root` itself stay together too. Sub-folders that have a
    picture in common, pixel by pixel, go together as well, by the number of the first of their names: wherever the copy
    went, those beside it would have their like on the other side. A folder of copies from all others ties all together:
    leave it out. Shares are those of sub-folders, and of pictures only roughly; a split that is short of 3 different
    pictures takes sub-folders of the split that has most. A class that is one sub-folder is in one split only.

    Where the pictures are: decoded, in a file in ~/.cache/vae_helpers, or in the folder that VAE_HELPERS_CACHE names,
    on another disk for instance; nothing is written into the folder itself. The data set's tensors are that file,
    mapped into memory, so there may be more pictures than fit (a million of 64 x 64 are 12 GB), and loading them again
    takes seconds. Files that changed are read again. Writing to the tensors changes this data set and not the file.
    VAE_HELPERS_CACHE=off, or a disk without room, has all of it in memory. `vae_helpers.data.picture_cache` says more.

    Decoding: by threads, or for thousands of files by as many processes as there are cores. A thread or process has one
    decoded picture in memory; of large ones, each process has one at a time (0.7 GB were measured with the largest that
    are read). What was decoded for more than half a minute before it was stopped is kept.

    Args:
        root: the folder; "~" is the home directory.
        size: pixels of a side, 8 to 1024.
        fit: "crop" or "pad".
        colour: False for grey, one channel.
        background: a grey 0..255 or (red, green, blue).
        split_by: "picture", or "folder" for sub-folders that are not divided.
        quiet: True for no bar while pictures are decoded, and no line on what was skipped or is not cached.
    Returns:
        a Dataset. `files` has the name below `root` of each picture, by its index; `skipped` has the names of all
        other files, with the reason.
    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError: the folder cannot be opened.
        ValueError: an argument out of its domain, no picture or too few, sub-folders too few to fill three splits, or
            more than fit into memory where there is no cache.
        OSError: the disk of the cache was filled by others in the meantime.
        RuntimeError: a process that decoded pictures was ended by the system.
    """
    form, split_by = Form(size, fit, colour, background), checking.choice(split_by, "split_by", SPLITS_BY)
    folder = open_folder(root)
    files, skipped = list_files(folder)
    if not files:
        _check_number([], skipped, folder)
    if split_by == "folder":
        check_sub_folders(folder, [file.name for file in files])
    stored, trouble = _read_all(Asked(folder, form, split_by, quiet), files, skipped)
    data = _dataset(root, stored, split_by, skipped)
    if skipped and not quiet:
        print(data.about)
    if trouble and not quiet:
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
            with os.scandir(folder / below) as entries:  # not as a list: each entry keeps all that it knows of its file
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
        except OSError as error:
            skipped[below or TOP] = f"cannot be listed ({error.strerror})"
    return sorted(files, key=attrgetter("name")), skipped


def _state(entry: os.DirEntry, name: str) -> FileState:
    """A file as it is listed, without opening it. Raises Unusable if it should not be opened."""
    if entry.name.startswith("."):
        raise Unusable("hidden")
    if entry.is_symlink():
        raise Unusable("a link (links are not followed: copy the picture into the folder)")
    about = entry.stat(follow_symlinks=False)
    check_is_file(about)
    return FileState(name, about.st_size, about.st_mtime_ns % 2**63)


def _read_all(asked: Asked, files: list[FileState], skipped: dict[str, str]) -> tuple[Stored, str]:
    """The pictures, from the cache where it has them; adds to `skipped`, and brings the cache up to date.

    Returns:
        the pictures; and why they are not cached, or "".
    """
    cache, trouble, form = None, "", asked.form
    try:
        cache = picture_cache.place(asked.folder, form, asked.split_by)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        trouble = str(error)
    old = None if cache is None else picture_cache.read(cache, form.shape)
    if old and old.table.is_of(files):
        return old, ""
    with picture_cache.one_at_a_time(asked.folder, asked.quiet) as waited:
        if waited and cache is not None:
            old = picture_cache.read(cache, form.shape)
            if old and old.table.is_of(files):
                return old, ""
        rows = {} if old is None else _rows(old.table)
        missing = [file for file in files if file not in rows]
        if cache is not None:
            try:
                new = Unfinished(cache, form.shape, max(1, len(missing)), len(files))
            except OSError as error:
                cache, trouble = None, error.strerror or str(error)
        if cache is None:
            new = InMemory(form, len(missing), trouble)
        try:
            kept = {file: rows[file] for file in files if file in rows}
            pictures = _update(asked, old, kept, new, missing, skipped)
            if pictures is None:
                new.discard()
                return old, ""
            _check_number(pictures, skipped, asked.folder)
            table = _arranged(pictures, _split(pictures, asked.split_by, asked.folder), new)
            del old  # Windows does not replace a file that is mapped
            images, trouble = new.finish(table)
            return Stored(table, images), trouble
        except BaseException:
            new.discard()
            raise


def _rows(table: Table) -> dict[FileState, int]:
    """In which row the picture of each file is."""
    places = np.argsort(table.order)  # the inverse of a permutation
    return dict(zip(table.files(), places.tolist(), strict=True))


def _update(
    asked: Asked,
    old: Stored | None,
    kept: dict[FileState, int],
    new: Unfinished | InMemory,
    missing: list[FileState],
    skipped: dict[str, str],
) -> list[Picture] | None:
    """What `_read_all` does where files are new or have changed: decode `missing`, and keep some rows of `old`.

    Returns:
        the pictures that are in rows of `new` now, by name; None if all that can be read is in `old` and nothing else.
    """
    found: list[Picture] = []
    names, began = [file.name for file in missing], time.monotonic()
    try:
        with contextlib.closing(decode(asked.folder, names, asked.form, new.images)) as outcomes:
            for row, outcome in enumerate(outcomes if asked.quiet else with_bar(outcomes, len(missing))):
                if isinstance(outcome, Digests):
                    found.append(Picture(missing[row], outcome, row))
                else:
                    skipped[missing[row].name] = outcome
    except BaseException:
        if found and isinstance(new, Unfinished) and time.monotonic() - began > WORTH_KEEPING:
            with contextlib.suppress(OSError):
                kept_now = _keep_unsplit(_with_kept(found, old, kept, new, len(missing)), new)
                if kept_now and not asked.quiet:
                    print(f"{kept_now:,} pictures are decoded and kept; the next time goes on with the others.")
        raise
    if not found and old and old.table.parts.sum() == len(kept) == len(old.table):
        return None  # what could not be read before cannot be read now
    return _with_kept(found, old, kept, new, len(missing))


def _keep_unsplit(pictures: list[Picture], new: Unfinished) -> int:
    """Put what was decoded before an interruption into the cache, from which the next time takes it: how many."""
    by_row = sorted(range(len(pictures)), key=lambda place: pictures[place].row)
    _, trouble = new.finish(_arranged(pictures, {"": by_row}, new))
    return 0 if trouble else len(pictures)


class InMemory:
    """What `Unfinished` is where there is no cache: the pictures in memory.

    Args:
        form: of the pictures.
        rows: for how many pictures there is to be room; those that are never filled take none.
        trouble: why there is no cache, or "" if none is wanted.
    Attributes:
        images: `uint8` (rows, C, H, W).
    Raises:
        ValueError: so many do not fit into memory.
    """

    def __init__(self, form: Form, rows: int, trouble: str):
        self.form, self.trouble = form, trouble
        self.images = np.empty((0, *form.shape), dtype=np.uint8)
        self.grow(rows)

    def grow(self, rows: int) -> None:
        """Make room for so many pictures; those that are there stay."""
        import psutil

        before = len(self.images)
        if rows == before:
            return
        needed, free = rows * int(np.prod(self.form.shape)), psutil.virtual_memory().available
        if needed > free:
            raise ValueError(
                f"size={self.form.size} is too large for this folder: {rows:,} files of pictures may need "
                f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free. Take a smaller size, or a folder "
                f"with fewer files. With a cache they need no memory ({self.trouble or 'VAE_HELPERS_CACHE is off'})."
            )
        images = np.empty((rows, *self.form.shape), dtype=np.uint8)
        images[:before] = self.images
        self.images = images

    def finish(self, table: Table) -> tuple[np.ndarray, str]:
        """The pictures, and why they are not cached."""
        return self.images[: len(table)], self.trouble

    def discard(self) -> None:
        """Nothing has been written anywhere."""


def _with_kept(
    found: list[Picture], old: Stored | None, kept: dict[FileState, int], new: Unfinished | InMemory, first: int
) -> list[Picture]:
    """The pictures that were decoded and those in some rows of `old`, copied to rows from `first` on; by name."""
    new.grow(max(1, first + len(kept)))
    pictures, images = list(found), np.asarray(new.images)
    for row, (file, before) in enumerate(kept.items(), first):
        images[row] = old.images[before]
        digests = old.table.digests[old.table.order[before]]
        pictures.append(Picture(file, Digests(*(digest.tobytes() for digest in digests)), row))
    return sorted(pictures, key=attrgetter("file.name"))


def _arranged(pictures: list[Picture], parts: dict[str, list[int]], new: Unfinished | InMemory) -> Table:
    """Bring the rows of `new` into the order of the parts, and say what is where.

    Args:
        pictures: in the order of their names.
        parts: for each split, which of them it has; or one part without a name, of all of them, not split yet.
        new: what their rows are in.
    """
    order = [place for part in parts.values() for place in part]
    _reorder(np.asarray(new.images), [pictures[place].row for place in order])
    return Table.of(
        [picture.file for picture in pictures],
        np.frombuffer(b"".join(d for p in pictures for d in p.digests), np.uint8).reshape(-1, 2, 32),
        order,
        (0, 0, 0) if "" in parts else tuple(map(len, parts.values())),
        len({picture.digests.pixels for picture in pictures}),
    )


def _check_number(pictures: list[Picture], skipped: Mapping[str, str], folder: Path) -> None:
    """Raise ValueError unless there are pictures enough for three splits."""
    name = printable(folder)
    if not pictures and not skipped:
        raise ValueError(f"the folder {name} is empty. Put pictures into it, or give another one.")
    reasons = f" Skipped: {_kinds(skipped)}; for example {_example(skipped)}." if skipped else ""
    if not pictures:
        raise ValueError(
            f"the folder {name} has no picture that can be read.{reasons} "
            f"Give a folder with pictures in one of these formats: {', '.join(formats())}."
        )
    different = len({picture.digests.pixels for picture in pictures})
    if different < 3 * LEAST:
        raise ValueError(
            f"the folder {name} has {different} different pictures, too few for three splits of at least {LEAST}: "
            f"add {3 * LEAST - different} or more.{reasons}"
        )


def _dataset(root: str | os.PathLike, stored: Stored, split_by: str, skipped: Mapping[str, str]) -> Dataset:
    """The splits, as parts of the one tensor that shares memory with `stored.images`."""
    table = stored.table
    names, numbers = table.file_names(), defaultdict(lambda: len(numbers))
    found = torch.tensor([numbers[_label(name)] for name in names])  # numbered as they are met
    classes = sorted(numbers)
    labels = torch.tensor([classes.index(label) for label in numbers])[found]
    index = torch.from_numpy(table.order)
    everything = Split(torch.from_numpy(stored.images), labels[index], index)
    splits, start = {}, 0
    for name, count in zip(PARTS, table.parts.tolist(), strict=True):
        splits[name] = everything[start : start + count]
        start += count
    return Dataset(
        "folder",
        **splits,
        levels=256,
        classes=tuple(map(printable, classes)),
        about=_summary(root, table, split_by, skipped),
        files=tuple(names),
        skipped=dict(sorted(skipped.items())),
    )


def _label(name: str) -> str:
    """The first sub-folder on the way to a picture."""
    first, _, below = name.partition("/")
    return first if below else TOP


def sub_folder(name: str) -> str:
    """The path of the sub-folder that a file is in, below the folder; TOP for the folder itself."""
    return name.rpartition("/")[0] or TOP


def part_of_sub_folder(path: str) -> str:
    """The split that a sub-folder of this path has with split_by="folder", unless copies or a lack decide otherwise."""
    return _part(hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest())


def _part(digest: bytes) -> str:
    """The split of a SHA-256, read as a number from 0 to 1."""
    share = (int.from_bytes(digest[:7]) >> 4) / 2**52  # notebook 13, eq. (13.1): as many bits as a float has
    return "test" if share < SHARES["test"] else "validation" if share < sum(SHARES.values()) else "train"


def _split(pictures: list[Picture], split_by: str, folder: Path) -> dict[str, list[int]]:
    """Which pictures are of each split, those with equal pixels of the same one. See `load_folder`."""
    order = sorted(range(len(pictures)), key=lambda place: pictures[place].digests.file)
    if split_by == "folder":
        return _split_by_sub_folder(pictures, order, folder)
    alike = defaultdict(list)
    for place in order:
        alike[pictures[place].digests.pixels].append(place)
    parts = {name: [] for name in PARTS}
    for group in alike.values():  # in the order of their smallest digests
        parts[_part(pictures[group[0]].digests.file)].append(group)
    for part in parts.values():
        while len(part) < LEAST:
            part.append(max(parts.values(), key=len).pop(0))
    return {name: [place for group in part for place in group] for name, part in parts.items()}


def _split_by_sub_folder(pictures: list[Picture], order: list[int], folder: Path) -> dict[str, list[int]]:
    """Which pictures are of each split, whole sub-folders, each in this order."""
    tied = _tied(pictures)
    firsts = sorted(set(tied.values()))
    parts = {name: [first for first in firsts if part_of_sub_folder(first) == name] for name in PARTS}

    def different(part: list[str]) -> int:
        return len(set().union(*(pixels[first] for first in part)))

    pixels = defaultdict(set)
    for picture in pictures:
        pixels[tied[sub_folder(picture.file.name)]].add(picture.digests.pixels)
    for part in parts.values():
        while different(part) < LEAST and len(most := max(parts.values(), key=len)) > 1 and most is not part:
            part.append(most.pop(0))
    if min(map(different, parts.values())) < LEAST:
        raise _too_few_sub_folders(folder, set(tied), len(firsts), _tying(pictures))
    part_of = {first: name for name, part in parts.items() for first in part}
    found = {name: [] for name in PARTS}
    for place in order:
        found[part_of[tied[sub_folder(pictures[place].file.name)]]].append(place)
    return found


def _tied(pictures: list[Picture]) -> dict[str, str]:
    """Of each sub-folder the first by name of those that copies tie it to, itself if there are none."""
    before: dict[str, str] = {}  # each leads to the first over others that come before it

    def first(path: str) -> str:
        while path != before.setdefault(path, path):
            before[path] = path = before[before[path]]
        return path

    with_pixels: dict[bytes, str] = {}
    for picture in pictures:
        here = sub_folder(picture.file.name)
        one, other = sorted((first(here), first(with_pixels.setdefault(picture.digests.pixels, here))))
        before[other] = one
    return {path: first(path) for path in list(before)}


def _tying(pictures: list[Picture]) -> str:
    """Two files with equal pixels in different sub-folders, for a message; "" if there are none."""
    names: dict[bytes, str] = {}
    for picture in pictures:
        name, other = picture.file.name, names.setdefault(picture.digests.pixels, picture.file.name)
        if sub_folder(name) != sub_folder(other):
            return f"{printable(other)[:80]} and {printable(name)[:80]}"
    return ""


def check_sub_folders(folder: Path, names: Iterable[str]) -> None:
    """Raise ValueError if these files, below the folder, lie in too few sub-folders to fill three splits."""
    paths = set(map(sub_folder, names))
    if len(paths) < len(PARTS):
        raise _too_few_sub_folders(folder, paths)


def _too_few_sub_folders(folder: Path, paths: set[str], groups: int = 0, copies: str = "") -> ValueError:
    cure = "Give each series of pictures a sub-folder of its own"
    if paths == {TOP}:
        has = "has no sub-folders with pictures"
    else:
        n = len(paths - {TOP})
        has = f"has pictures in {n} sub-folder{'s' * (n != 1)}{' and in itself' * (TOP in paths)}"
        if copies:
            has += f", and copies in several of these, such as {copies}, tie them together to {groups}"
            cure += ", without copies from the others"
        has += f": too few for three splits of at least {LEAST} different pictures"
    return ValueError(f"split_by='folder': the folder {printable(folder)} {has}. {cure}, or take split_by='picture'.")


def _reorder(images: np.ndarray, order: list[int]) -> None:
    """Row order[i] becomes row i, in place, with one picture's memory; in the rows after them is what is left."""
    content = list(range(len(images)))  # content[i]: which picture is in row i now
    where = list(range(len(images)))  # where[k]: in which row picture k is now
    for row, wanted in enumerate(order):
        other, present = where[wanted], content[row]
        if other != row:
            images[[row, other]] = images[[other, row]]
            content[row], content[other] = wanted, present
            where[wanted], where[present] = row, other


def _summary(root: str | os.PathLike, table: Table, split_by: str, skipped: Mapping[str, str]) -> str:
    copies = len(table) - int(table.different.item())
    repeated = f", {copies} of them copies of others" if copies else ""
    text = f"{len(table)} pictures from the folder {printable(os.fspath(root))}{repeated}"
    if split_by == "folder":
        text += f", split by its {len(set(map(sub_folder, table.file_names()))):,} sub-folders"
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
