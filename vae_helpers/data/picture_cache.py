"""Decoded pictures kept from one session to the next, so that a folder is decoded once.

One file for each folder and form. It starts with a line that names the format, then a line with the SHA-256 and the
length of the table, then the table (JSON), then the pixels, picture after picture. The table has for each picture the
name, length and time of change of its file, the SHA-256 of that file and the SHA-256 of the pixels. A picture is used
only if its file looks unchanged and its pixels have their digest, so that a damaged cache costs time and nothing else.

    VAE_HELPERS_CACHE      a folder, or "off"      (default: vae_helpers in XDG_CACHE_HOME, or else in ~/.cache)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vae_helpers.data.picture_file import Form

CACHE_FORMAT = b"vae_helpers pictures 1\n"
SUFFIX, UNFINISHED = ".pictures", ".partial"
MAX_CACHE_BYTES = 2**31  # of all cached folders together; those unused for longest go first
A_DAY = 86_400 * 10**9  # nanoseconds after which an unfinished file belongs to a process that was killed


@dataclass(frozen=True, order=True)
class FileState:
    """A file as the folder lists it: its name below the folder, its length, and when it was changed last."""

    name: str
    length: int
    mtime_ns: int


@dataclass(frozen=True)
class Digests:
    """SHA-256 of a file's bytes and of the pixels made from it."""

    file: str
    pixels: str


def place(folder: Path, form: Form) -> Path | None:
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
    key = json.dumps([CACHE_FORMAT.decode(), decoder, str(folder), asdict(form)])
    return home / (hashlib.sha256(key.encode()).hexdigest()[:32] + SUFFIX)


def _default() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # unset; or relative, which the XDG specification says to ignore
        root = Path(os.path.expanduser("~")) / ".cache"
    if not root.is_absolute():
        raise OSError("there is no home directory")
    return root / "vae_helpers"


def read(path: Path, files: list[FileState], images: np.ndarray) -> tuple[dict[int, Digests], int]:
    """Fill the rows of `images` whose files are as they were when they were cached.

    Args:
        path: of the cache; it need not exist.
        files: what the folder holds now.
        images: `uint8` (len(files), C, H, W), written to.
    Returns:
        row -> digests for the rows that were filled, and the number of pictures in the cache.
    """
    try:
        with open(path, "rb") as file:
            table, start = _table(file, os.fstat(file.fileno()).st_size)
            filled = {}
            for row, state in enumerate(files):
                if state in table:
                    number, digests = table[state]
                    file.seek(start + number * images[row].nbytes)
                    file.readinto(memoryview(images[row]).cast("B"))
                    if sha256(images[row]) == digests.pixels:
                        filled[row] = digests
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now; see `_trim`
        return filled, len(table)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}, 0  # none there, or damaged


def _table(file, length: int) -> tuple[dict[FileState, tuple[int, Digests]], int]:
    """The table, and where the pixels start. Raises ValueError, TypeError or KeyError if it is damaged."""
    if file.readline(len(CACHE_FORMAT)) != CACHE_FORMAT:
        raise ValueError("another format")
    digest, size = file.readline(100).split()
    if not 0 <= int(size) <= length:
        raise ValueError("length of the table")
    content = file.read(int(size))
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("digest of the table")
    rows = json.loads(content)
    return {FileState(*state): (i, Digests(*digests)) for i, (state, digests) in enumerate(rows)}, file.tell()


def write(path: Path, pictures: Iterable[tuple[FileState, Digests]], images: np.ndarray) -> None:
    """Replace the cache by these pictures, in one step, and make room by dropping other folders.

    Args:
        pictures: as many as there are images, in their order.
        images: `uint8` (N, C, H, W).
    Raises:
        OSError: it cannot be written (no permission, no space); what was there before is still there.
    """
    content = json.dumps([[[s.name, s.length, s.mtime_ns], [d.file, d.pixels]] for s, d in pictures]).encode()
    head = b"%s%s %d\n%s" % (CACHE_FORMAT, hashlib.sha256(content).hexdigest().encode(), len(content), content)
    if len(head) + images.nbytes > MAX_CACHE_BYTES:
        raise OSError(f"{images.nbytes / 1e9:.1f} GB are more than the {MAX_CACHE_BYTES / 1e9:.1f} GB that are kept")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(head)
            for image in images:
                file.write(memoryview(image).cast("B"))
        # No fsync: what a power cut damages is noticed when it is read, and rebuilt.
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):
        _trim(path.parent)


def _trim(home: Path) -> None:
    """Remove what was used least recently until MAX_CACHE_BYTES are kept, and what killed processes left behind."""
    states = []
    for file in home.iterdir():
        with contextlib.suppress(OSError):
            states.append((file.stat().st_mtime_ns, file.stat().st_size, file))
    kept = 0
    for used, length, file in sorted(states, reverse=True):
        kept += length * (file.suffix == SUFFIX)
        too_many = file.suffix == SUFFIX and kept > MAX_CACHE_BYTES
        abandoned = file.suffix == UNFINISHED and used < time.time_ns() - A_DAY
        if too_many or abandoned:
            with contextlib.suppress(OSError):
                file.unlink()


def sha256(pixels: np.ndarray) -> str:
    """64 hexadecimal digits that name these pixels (C-contiguous)."""
    return hashlib.sha256(memoryview(pixels).cast("B")).hexdigest()
