"""Many files decoded side by side: each picture is written into its row, whichever thread or process decodes it.

Few files are decoded by threads. For many, processes are worth the second that it takes to start them, where the rows
lie in a file that all of them can map. They are joblib's and not multiprocessing's, which would begin by running the
learner's script once more in each process, unless the script guards against it. They import what stands in this file,
and no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_helpers.data.picture_file import Form, Unusable, formats, read_picture

THREADS = 4  # at most; decoders run side by side
MANY = 5_000  # files for which processes are started: it takes as long as a thread needs for 300 to 4,000
BYTES_OF_A_PROCESS = 2**30  # that must be free for it: a little, or 0.7 GB with one of the largest pictures
CHUNK = 32  # files that a process is given at a time
PATIENCE = 8  # files that a thread is given at a time: those begun are finished when it is stopped


class Digests(NamedTuple):
    """SHA-256 of a file's bytes and of the pixels made from it, 32 bytes each."""

    file: bytes
    pixels: bytes


Outcome = Digests | str  # the picture's digests, or the reason why there is none


def decode(folder: Path, names: Sequence[str], form: Form, images: np.ndarray) -> Iterator[Outcome]:
    """Decode files into the first rows of `images`, and yield what came of each, in their order.

    Args:
        folder: where the files are.
        names: of the files, below the folder.
        form: what each picture is brought to.
        images: `uint8` (at least as many rows as names, C, H, W), written to. Processes are used only where this is
            a `numpy.memmap` that is shared with its file.
    """
    work = partial(_decode_chunk, folder, form=form)
    count = _processes() if isinstance(images, np.memmap) and len(names) >= MANY else 1
    if count > 1:
        rows = [(images.filename, images.offset + i * images[0].nbytes) for i in range(0, len(names), CHUNK)]
        return _in_processes(work, list(_chunks(names, CHUNK)), rows, count)
    return _in_threads(work, list(_chunks(names, PATIENCE)), list(_chunks(images[: len(names)], PATIENCE)))


def _chunks(items: Sequence, size: int) -> Iterator[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _processes() -> int:
    """As many as there are memory and cores for: those that this process may use, which in a container can be few."""
    import psutil
    from joblib import cpu_count

    return min(cpu_count(), psutil.virtual_memory().available // BYTES_OF_A_PROCESS)


def _in_threads(work: Callable, names: list[Sequence[str]], rows: list[np.ndarray]) -> Iterator[Outcome]:
    formats()  # Pillow's list of formats is filled here, not by several threads at once
    pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    with quiet_decoders():
        try:
            yield from itertools.chain.from_iterable(pool.map(work, names, rows))
        finally:
            pool.shutdown(cancel_futures=True)  # the Stop button waits for pictures in progress only


def _in_processes(
    work: Callable, names: list[Sequence[str]], rows: list[tuple[str, int]], count: int
) -> Iterator[Outcome]:
    from joblib import Parallel, delayed
    from joblib.externals.loky import BrokenProcessPool, get_reusable_executor

    quiet = delayed(partial(_decode_for_another, work))
    tasks = (quiet(*chunk) for chunk in zip(names, rows, strict=True))
    try:
        yield from itertools.chain.from_iterable(Parallel(count, "loky", return_as="generator", batch_size=1)(tasks))
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a process that decodes pictures has ended before its time, most likely because the system had no memory "
            "left for it: close other programs and start again. VAE_HELPERS_CACHE=off decodes without other processes."
        ) from error
    finally:
        get_reusable_executor().shutdown(kill_workers=True)  # they would wait for minutes for more to do


def _decode_for_another(work: Callable, names: Sequence[str], place: tuple[str, int]) -> list[Outcome]:
    """A chunk in a process of its own, into the rows that begin at some byte of a file."""
    formats()
    path, offset = place
    shape = (len(names), *work.keywords["form"].shape)
    with quiet_decoders():
        return work(names, np.memmap(path, np.uint8, "r+", offset, shape))


def _decode_chunk(folder: Path, names: Sequence[str], rows: np.ndarray, form: Form) -> list[Outcome]:
    return [_decode(folder / name, row, form) for name, row in zip(names, rows, strict=True)]


def _decode(path: Path, row: np.ndarray, form: Form) -> Outcome:
    try:
        row[...], digest = read_picture(path, form)
    except Unusable as reason:
        return str(reason)
    return Digests(bytes.fromhex(digest), sha256(row))


def sha256(pixels: np.ndarray) -> bytes:
    """32 bytes that name these pixels (C-contiguous)."""
    return hashlib.sha256(memoryview(pixels).cast("B")).digest()


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


def with_bar(outcomes: Iterable, n: int) -> Iterable:
    """The same, with a bar that shows how many of n there were, unless notebooks are executed for committing."""
    if not n or os.environ.get("VAE_HELPERS_STATIC") == "1":
        return outcomes
    from tqdm.auto import tqdm

    return tqdm(outcomes, total=n, unit="picture", leave=False)
