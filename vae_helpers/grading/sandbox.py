"""Confines this process to a folder, under limits, and then executes a command; submissions are run through it.

    python -I sandbox.py FOLDER MEMORY DISK -- COMMAND ...

From then on the command, and everything it starts, can read what its user can read, but can write, make and delete
files only below FOLDER. The kernel enforces it (Landlock: Linux 5.13 and newer; no privileges are needed). Without
Landlock only the limits hold; `protection` says which it is. MEMORY and DISK are in bytes: no process gets more memory
of its own, no file gets larger. This file imports only the standard library, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import sys
from pathlib import Path

# From linux/landlock.h. Each right is the number of its bit; what is not "handled" stays allowed.
WRITE_FILE, REMOVE_DIR, REMOVE_FILE, REFER, TRUNCATE = 1 << 1, 1 << 4, 1 << 5, 1 << 13, 1 << 14
MAKE = sum(1 << bit for bit in range(6, 13))  # devices, folders, files, sockets, pipes, links
SIGNAL, ABSTRACT_SOCKET = 1 << 1, 1 << 0
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor that PyTorch runs on
VERSION_PLEASE, PATH_BENEATH = 1, 1
HAS_REFER, HAS_TRUNCATE, HAS_SCOPES = 2, 3, 6  # the versions of Landlock that brought them

NO_NEW_PRIVILEGES, CHILD_SUBREAPER = 38, 36  # from linux/prctl.h
# Devices that programs write to: nothing, pseudo-terminals for `!command`, and accelerators.
DEVICES = ("null", "zero", "full", "ptmx", "pts", "nvidia*", "dri", "kfd")
SPARE_PROCESSES = 512  # how many more than now this user may have; watchdog.py counts exactly


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what _pack_ means, said outright as Python 3.14 wants it
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def protection() -> tuple[bool, str]:
    """Does this machine keep submissions from writing elsewhere? And a sentence that says so to a teacher."""
    version = _landlock_version()
    if not version:
        why = "this Linux has no Landlock" if sys.platform == "linux" else "it takes Linux"
        return False, (
            f"NOT ENFORCED here ({why}): a submission can change and delete any file of yours. "
            "Grade work of people you do not trust in a container or a spare account."
        )
    holes = ""
    if version < HAS_TRUNCATE:
        holes = " But this kernel (older than 6.2) still lets it empty your files: use a container or a spare account."
    elif version < HAS_SCOPES:
        holes = " But this kernel (older than 6.12) still lets it end your processes."
    return True, f"Each can write only into a folder of its own (Landlock, version {version}).{holes}"


def confine(folder: str, memory: int, disk: int) -> None:
    """Restrict this process and all that it will start; there is no way back.

    Args:
        folder: where it may still write, with everything below it.
        memory: bytes of its own that each process may have (Linux, and only where no CUDA device asks for more).
        disk: bytes of the largest file.
    """
    _limit(memory, disk)
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans come to this process, where the watcher finds them
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, this goes first
    if _landlock_version():
        _shut_in(library, folder)


def _limit(memory: int, disk: int) -> None:
    if os.name != "posix":
        return
    import resource

    def lower(which: int, value: int) -> None:
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))

    os.nice(5)  # the watchdog comes first
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, disk)
    if sys.platform == "linux":
        lower(resource.RLIMIT_NPROC, _own_threads() + SPARE_PROCESSES)  # Linux does not hold root to it
        if not glob.glob("/dev/nvidia*"):  # a CUDA driver claims address space that it never fills
            lower(resource.RLIMIT_DATA, memory)


def _own_threads() -> int:
    """How many threads this user has, as RLIMIT_NPROC counts them."""
    count = 0
    for status in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            if os.stat(status).st_uid == os.getuid():
                count += len(os.listdir(f"{status}/task"))
    return count


def _landlock_version() -> int:
    """The version of Landlock's interface, 0 if there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, VERSION_PLEASE))


def _shut_in(library: ctypes.CDLL, folder: str) -> None:
    version = _landlock_version()
    in_files = WRITE_FILE | (TRUNCATE if version >= HAS_TRUNCATE else 0)
    in_folders = in_files | REMOVE_DIR | REMOVE_FILE | MAKE | (REFER if version >= HAS_REFER else 0)
    scopes = SIGNAL | ABSTRACT_SOCKET if version >= HAS_SCOPES else 0
    rules = _Ruleset(in_folders, 0, scopes)
    ruleset = _call(library.syscall, CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    _allow(library, ruleset, folder, in_folders)
    for device in [path for name in DEVICES for path in glob.glob(f"/dev/{name}")]:
        _allow(library, ruleset, device, in_files)
    _call(library.prctl, NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call(library.syscall, RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(library: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(library.syscall, ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(_PathBeneath(rights, place)), 0)
    finally:
        os.close(place)


def _call(function, *arguments) -> int:
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    _, place, most_memory, largest_file, _, *command = sys.argv
    confine(place, int(most_memory), int(largest_file))
    os.execv(command[0], command)
