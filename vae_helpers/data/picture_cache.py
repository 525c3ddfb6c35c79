"""Decoded pictures kept on disk, so that a folder is decoded once and its pictures need not fit into memory.

One file for each folder, form and way of splitting. It starts with a line that names the format and a line with the
SHA-256 of the table, the number of pictures and the length of the table. Then come the pixels, picture after picture,
in the order of the splits, and then the table: of each picture the name, length and time of change of its file, the
SHA-256 of that file and that of the pixels, and its row.

A data set's pictures are this file, mapped into memory: the system reads the pages that are used, and drops them when
memory is wanted for something else. What is written to the pictures in memory stays there; it never reaches the file.

A picture is used only if its file looks unchanged. A file that is cut short, or whose table or first line is damaged,
is noticed and made anew; so are damaged pixels, in a small cache all of them and in a large one those of some pictures,
evenly spaced. The file gets its name only when all of it is on the disk, so a power cut costs time and nothing else.

    VAE_HELPERS_CACHE      a folder, or "off"      (default: vae_helpers in XDG_CACHE_HOME, or else in ~/.cache)

To have the pictures on another disk, set it to a folder there and move the files, or let them be made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from vae_helpers.data.decoding import sha256
from vae_helpers.data.picture_file import Form

CACHE_FORMAT = b"vae_helpers pictures 2\n"  # another one, too, when `folder` splits pictures otherwise
HEAD = len(CACHE_FORMAT) + 64 + 2 * 20 + 1  # bytes before the pixels
SUFFIX, UNFINISHED = ".pictures", ".partial"
MAX_CACHE_BYTES = 2**31  # of all cached folders together, unless the one in use has more; unused for longest go first
A_DAY = 86_400 * 10**9  # nanoseconds after which an unfinished file belongs to a process that was killed
ZEROS = 2**20  # bytes that are written at a time, to have them set aside
LOOKED_AT = 256  # pictures whose pixels are compared with their digests when a cache is read
LARGE = 2**30  # bytes of a file, from which on only the pages in use are read: batches are drawn at random
MOVES_MAPPED = os.name == "posix"  # whether the system renames, replaces and removes files that are mapped; not Windows
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)  # Python has it from 3.13 on


class FileState(NamedTuple):
    """A file as the folder lists it."""

    name: str  # below the folder
    length: int
    mtime_ns: int  # when it was changed last, modulo 2^63: it is compared only


@dataclass(frozen=True)
class Table:
    """What is known of the pictures of a folder, in columns: a million pictures have a million of each.

    Attributes:
        names: `uint8`, the names of the files, in their order, as UTF-8 with a zero byte between two.
        lengths: `int64` (N,) of the files.
        times: `int64` (N,), when they were changed last.
        digests: `uint8` (N, 2, 32), SHA-256 of each file and of the pixels made from it.
        order: `int64` (N,), which of these pictures each row of pixels shows.
        parts: `int64` (3,), how many rows, from the first on, are of the test, the validation and the training split;
            all 0 while pictures are missing.
        different: `int64` (1,), how many different pictures there are.
    """

    names: np.ndarray
    lengths: np.ndarray
    times: np.ndarray
    digests: np.ndarray
    order: np.ndarray
    parts: np.ndarray
    different: np.ndarray

    @classmethod
    def of(
        cls, files: Sequence[FileState], digests: np.ndarray, order: Sequence[int], parts: Sequence[int], different: int
    ) -> Table:
        """The table of these files, which are in the order of their names."""
        numbers = (np.array(column, np.int64) for column in (order, parts, [different]))
        return cls(*_columns(files), digests, *numbers)

    def __len__(self) -> int:
        return len(self.lengths)

    def file_names(self) -> list[str]:
        """Of each picture the name of its file."""
        return self.names.tobytes().decode("utf-8", "surrogatepass").split("\0")

    def files(self) -> list[FileState]:
        """Of each picture its file."""
        columns = (self.file_names(), self.lengths.tolist(), self.times.tolist())
        return list(map(FileState._make, zip(*columns, strict=True)))

    def is_of(self, files: list[FileState]) -> bool:
        """Whether these are the files, none missing or changed, and are split."""
        if not len(self) == len(files) == self.parts.sum():
            return False
        return all(map(np.array_equal, (self.names, self.lengths, self.times), _columns(files)))


def _columns(files: Sequence[FileState]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names, lengths and times of change."""
    names = "\0".join(file.name for file in files).encode("utf-8", "surrogatepass")
    lengths = np.fromiter((file.length for file in files), np.int64, len(files))
    times = np.fromiter((file.mtime_ns for file in files), np.int64, len(files))
    return np.frombuffer(names, np.uint8), lengths, times


class Stored(NamedTuple):
    """A cache that was read: its table and its pixels, `uint8` (N, C, H, W), mapped."""

    table: Table
    images: np.ndarray


def place(folder: Path, form: Form, split_by: str) -> Path | None:
    """The file that keeps this folder's pictures, whether or not it exists; None when caching is off.

    Raises:
        OSError: there is no home directory to have a cache in, or the cache would lie in the learner's folder.
    """
    from PIL import __version__ as decoder

    wish = os.environ.get("VAE_HELPERS_CACHE", "").strip()
    if wish.lower() == "off":
        return None
    home = Path(os.path.abspath(os.path.expanduser(wish))) if wish else _default()
    if home.resolve().is_relative_to(folder):
        raise OSError(f"{home} is in the folder of the pictures, where nothing is written")
    key = json.dumps([CACHE_FORMAT.decode(), decoder, str(folder), asdict(form), split_by])
    return home / (hashlib.sha256(key.encode()).hexdigest()[:32] + SUFFIX)


def _default() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # unset; or relative, which the XDG specification says to ignore
        root = Path(os.path.expanduser("~")) / ".cache"
    if not root.is_absolute():
        raise OSError("there is no home directory")
    return root / "vae_helpers"


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path, shape: tuple[int, int, int]) -> Stored | None:
    """The cache, if there is one and it is whole.

    Args:
        path: of the file; it need not exist.
        shape: (C, H, W) of a picture.
    """
    try:
        with open(path, "rb") as file:
            table = _read_table(file, shape)
            _look_at_pixels(file, table, shape)
            images = _mapped(file, len(table), shape)
    except (OSError, ValueError, TypeError, OverflowError, EOFError):
        return None  # none there, or damaged
    with contextlib.suppress(OSError):
        os.utime(path)  # used just now; see `_trim`
    return Stored(table, images)


def _read_table(file: BinaryIO, shape: tuple[int, int, int]) -> Table:
    """Raises ValueError and the like if the file is damaged."""
    head = file.read(HEAD)
    if not head.startswith(CACHE_FORMAT):
        raise ValueError("another format")
    count, length = (int(number) for number in head[len(CACHE_FORMAT) + 64 :].split())
    start = HEAD + count * int(np.prod(shape))
    if min(count, length) < 0 or os.fstat(file.fileno()).st_size != start + length:
        raise ValueError("length")
    file.seek(start)
    content = file.read(length)
    if head != _head(count, content):
        raise ValueError("digest of the table")
    stream = BytesIO(content)
    return Table(*(np.load(stream, allow_pickle=False) for _ in fields(Table)))


def _head(count: int, table: bytes) -> bytes:
    return b"%s%s %19d %19d\n" % (CACHE_FORMAT, hashlib.sha256(table).hexdigest().encode(), count, len(table))


def _packed(table: Table) -> bytes:
    stream = BytesIO()
    for column in fields(Table):
        np.save(stream, getattr(table, column.name), allow_pickle=False)
    return stream.getvalue()


def _look_at_pixels(file: BinaryIO, table: Table, shape: tuple[int, int, int]) -> None:
    """Compare some rows, or all of few, with their digests. By reading: a mapping could not say that a disk fails."""
    pixels = np.empty(shape, np.uint8)
    count = len(table)
    for row in np.linspace(0, count - 1, min(count, LOOKED_AT)).astype(int).tolist():
        file.seek(HEAD + row * pixels.nbytes)
        file.readinto(memoryview(pixels).cast("B"))
        if sha256(pixels) != table.digests[table.order[row], 1].tobytes():
            raise ValueError("digest of pixels")


def _mapped(file: BinaryIO, count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """`uint8` (count, C, H, W), from the file; what is written to it never reaches the file.

    Not `numpy.memmap`: for that, as for all memory that may be written to, Linux wants to have as much in reserve, and
    refuses a file larger than its memory.
    """
    length = HEAD + count * int(np.prod(shape))
    if os.name == "posix":
        memory = mmap.mmap(file.fileno(), length, mmap.MAP_PRIVATE | NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    else:
        memory = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY)
    if length > LARGE and hasattr(mmap, "MADV_RANDOM"):
        memory.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(memory, np.uint8, offset=HEAD).reshape(count, *shape)


# --- writing ----------------------------------------------------------------------------------------------------------


class Unfinished:
    """A cache in the making: rows to be filled, in a file of another name beside the one that it will replace.

    Args:
        path: of the cache.
        shape: (C, H, W) of a picture.
        rows: for how many pictures there is to be room now.
        later: for how many there may have to be.
    Attributes:
        images: `numpy.memmap` (rows, C, H, W), shared with the file, so that other processes can fill it too.
    Raises:
        OSError: it cannot be written, or the disk has too little room even without all other caches.
    """

    images: np.memmap

    def __init__(self, path: Path, shape: tuple[int, int, int], rows: int, later: int):
        self.path, self.shape = path, shape
        self._made = [folder for folder in (path.parent, *path.parents) if not folder.exists()]
        self._temporary: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _check_room(path, HEAD + later * int(np.prod(shape)))
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=UNFINISHED)
            os.close(handle)
            self._temporary = Path(name)
            self.grow(rows)
        except BaseException:
            self.discard()
            raise

    def grow(self, rows: int) -> None:
        """Make room for so many pictures; those that are there stay."""
        length = HEAD + rows * int(np.prod(self.shape))
        with open(self._temporary, "r+b") as file:
            _make_room(self.path, length - os.fstat(file.fileno()).st_size)
            try:
                _allocate(file, length)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise _no_room(self.path.parent, length) from error
        self.images = np.memmap(self._temporary, np.uint8, "r+", HEAD, (rows, *self.shape))

    def finish(self, table: Table) -> tuple[np.ndarray, str]:
        """Put the cache in its place: the first rows of `images`, which must be in the table's order, and the table.

        Returns:
            `uint8` (N, C, H, W), mapped; and why it could not be put there, or "".
        """
        images, place, trouble = None, self.path, ""
        del self.images
        try:
            try:
                with open(self._temporary, "r+b") as file:
                    _complete(file, table, self.shape)
                    if MOVES_MAPPED:  # before others see it, who might put another one in its place
                        images = _mapped(file, len(table), self.shape)
                os.replace(self._temporary, self.path)
            except OSError as error:
                place, trouble = self._temporary, error.strerror or str(error)
            if images is None:
                with open(place, "rb") as file:
                    images = _mapped(file, len(table), self.shape)
        except BaseException:
            self.discard()
            raise
        if trouble:
            self.discard()  # the name goes; the pixels stay while they are mapped
        else:
            with contextlib.suppress(OSError):
                _trim(self.path)
        return images, trouble

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)
            for folder in self._made:
                folder.rmdir()


def _complete(file: BinaryIO, table: Table, shape: tuple[int, int, int]) -> None:
    """Write what belongs before and after the pixels, and see it to the disk."""
    content, end = _packed(table), HEAD + len(table) * int(np.prod(shape))
    file.truncate(end)
    file.seek(end)
    file.write(content)
    file.seek(0)
    file.write(_head(len(table), content))
    file.flush()
    os.fsync(file.fileno())


def _allocate(file: BinaryIO, length: int) -> None:
    """Have the disk set so much aside. A mapped file that finds the disk full would end the process by a signal."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, length)
        return
    file.seek(0, os.SEEK_END)
    while (missing := length - file.tell()) > 0:  # a file that is only made longer has nothing set aside on a Mac
        file.write(bytes(min(missing, ZEROS)))
    file.flush()


def _others(path: Path) -> list[tuple[int, int, Path]]:
    """Time of last use, length and path of the other caches and unfinished files beside this one, oldest first."""
    found = []
    for file in path.parent.iterdir():
        if file.suffix in (SUFFIX, UNFINISHED) and file != path:
            with contextlib.suppress(OSError):
                found.append((file.stat().st_mtime_ns, file.stat().st_size, file))
    return sorted(found)


def _check_room(path: Path, needed: int) -> None:
    """Raise OSError if the disk has too little room, even without the other caches. Nothing is removed."""
    others = sum(length for _, length, file in _others(path) if file.suffix == SUFFIX)
    if needed > shutil.disk_usage(path.parent).free + others:
        raise _no_room(path.parent, needed)


def _make_room(path: Path, needed: int) -> None:
    """Remove as many other caches as it takes to have so much room, those first that were unused for longest."""
    free = shutil.disk_usage(path.parent).free
    for _, length, file in _others(path):
        if needed > free and file.suffix == SUFFIX:
            with contextlib.suppress(OSError):  # Windows keeps a file that is mapped
                file.unlink(missing_ok=True)
                free += length


def _no_room(home: Path, needed: int) -> OSError:
    free = shutil.disk_usage(home).free
    return OSError(
        errno.ENOSPC,
        f"the pictures need {needed / 1e9:.1f} GB in {home}, where {free / 1e9:.1f} GB are free: set VAE_HELPERS_CACHE "
        "to a folder on another disk, or take a smaller size",
    )


def _trim(path: Path) -> None:
    """Keep MAX_CACHE_BYTES at most: the cache in use, however large, and others that were used since.

    What killed processes left behind goes too.
    """
    kept = path.stat().st_size
    for used, length, file in reversed(_others(path)):
        kept += length * (file.suffix == SUFFIX)
        too_many = file.suffix == SUFFIX and kept > MAX_CACHE_BYTES
        abandoned = file.suffix == UNFINISHED and used < time.time_ns() - A_DAY
        if too_many or abandoned:
            with contextlib.suppress(OSError):
                file.unlink()


@contextlib.contextmanager
def one_at_a_time(folder: Path, quiet: bool) -> Iterator[bool]:
    """Inside, no other process decodes the same folder, where the system can tell; yields whether one was waited for.

    The lock is on the folder itself, in which nothing is written, and ends with the process.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        waited = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not quiet:
                print("Another process is decoding this folder: waiting for it.", flush=True)
            waited = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield waited
    finally:
        os.close(handle)
