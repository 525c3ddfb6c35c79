"""Files that are written whole or not at all, whatever stops the writing: a full disk, Ctrl-C, a kill, a power cut."""

from __future__ import annotations

import errno
import itertools
import os
import secrets
from pathlib import Path


def write_whole(path: str | os.PathLike, content: bytes) -> Path:
    """Put `content` into the file `path` in one step; a reader finds the old file or the new one, never a part.

    Args:
        path: the file, in a folder that exists. A link is followed: the file that it leads to is replaced.
        content: all of the file.
    Returns:
        the path.
    Raises:
        OSError: of the kind that the system gave (a full disk, no permission, no such folder), naming `path`. A file
            that was there is as it was, and nothing else is left behind.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.unfinished")
    try:
        _check_replaceable(target)
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    return path


def unused(*paths: Path) -> tuple[Path, ...]:
    """The paths, or their first name-2, name-3, ... of which none exists yet; the number is the same for all."""
    for number in itertools.count(1):
        numbered = tuple(path.with_stem(f"{path.stem}-{number}") if number > 1 else path for path in paths)
        if not any(os.path.lexists(path) for path in numbered):
            return numbered


def _check_replaceable(target: Path) -> None:
    """Replace regular files only: root could replace even /dev/null."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file in it")
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "this is a device or a pipe, not a file; choose another name")
