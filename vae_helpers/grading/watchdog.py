"""Runs a command that may do anything, watches every process that it starts, and kills them all at a limit."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from vae_helpers.grading.limits import GIGABYTE, Limits

MARK = "VAE_HELPERS_GRADING"  # the variable that names the results file, and marks a submission's processes
MESSAGES = "messages.txt"  # what a command says, in its folder
SANDBOX = Path(__file__).with_name("sandbox.py")
LOOK = 0.2  # seconds between two looks at the processes
WEIGH = 1.0  # seconds between two looks at the files


def run_watched(
    command: list[str], place: Path, environment: dict[str, str], limits: Limits, stopped: Callable[[], bool]
) -> str:
    """Run a command, shut into the folder `place`, and end everything it started.

    Args:
        command: the program's path and its arguments.
        place: its working directory, and the only folder in which it may write, where the system can see to that.
        environment: its environment, with MARK.
        limits: what it may use.
        stopped: says whether to end it now; asked several times a second.
    Returns:
        "" if it ended by itself, else what it was ended for, as in "ended at the time limit of 600 s".
    """
    if os.name == "posix":  # elsewhere a process cannot become another one
        bounds = (str(int(size * GIGABYTE)) for size in (limits.memory, limits.disk / 2))
        command = [sys.executable, "-I", str(SANDBOX), str(place), *bounds, "--", *command]
    with open(place / MESSAGES, "wb") as messages:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
    family = _Family(process, environment[MARK])
    try:
        return _watch(family, place, limits, stopped)
    finally:
        family.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _watch(family: _Family, place: Path, limits: Limits, stopped: Callable[[], bool]) -> str:
    started = weighed = time.monotonic()
    while family.first.poll() is None:
        time.sleep(LOOK)
        now = time.monotonic()
        if stopped():
            return "stopped"
        if now - started > limits.seconds:
            return f"ended at the time limit of {limits.seconds:g} s"
        family.look()
        if len(family.living) > limits.processes:
            return f"ended at the limit of {limits.processes} processes"
        if family.has_more_memory_than(limits.memory * GIGABYTE):
            return f"ended at the memory limit of {limits.memory:g} GB"
        if now - weighed > WEIGH:
            size, files = weigh(place, limits.files)
            if size + family.held() > limits.disk * GIGABYTE:
                return f"ended at the disk limit of {limits.disk:g} GB"
            if files > limits.files:
                return f"ended at the limit of {limits.files} files"
            weighed = time.monotonic()
    return ""


class _Family:
    """A process and all its descendants, including those that have lost their parent or changed their session.

    They are known by descent, by having been seen before, and by the results file that their environment names.
    """

    def __init__(self, first: subprocess.Popen, mark: str) -> None:
        self.first, self.mark = first, mark
        self.living: set[psutil.Process] = set()
        self.look()

    def look(self) -> None:
        """Update the set of living processes."""
        with contextlib.suppress(psutil.Error):
            if self.first.poll() is None:
                first = psutil.Process(self.first.pid)
                self.living.update([first, *first.children(recursive=True)])
        self.living = {process for process in self.living if _runs(process)}

    def has_more_memory_than(self, most: float) -> bool:
        """Do they use more than so many bytes? Pages that they share are told apart only when it may matter."""
        if sum(_ask(process, lambda p: p.memory_info().rss, 0) for process in self.living) <= most:
            return False
        return sum(_ask(process, _own_share, 0) for process in self.living) > most

    def held(self) -> int:
        """Bytes in files that are open and have no name any more (Linux)."""
        sizes: dict[tuple[int, int], int] = {}
        for process in self.living:
            for file in _open_files(process.pid):
                if stat.S_ISREG(file.st_mode) and file.st_nlink == 0:
                    sizes[file.st_dev, file.st_ino] = file.st_blocks * 512
        return sum(sizes.values())

    def end(self) -> None:
        """Kill them all; they are stopped first, so that none starts another while the others are killed."""
        for _ in range(20):
            self._hold()
            if not self.living:
                return
            _tell(self.living, "SIGKILL")
            self._wait(seconds=1)

    def _hold(self) -> None:
        """Find and stop them all, including those started meanwhile."""
        held: set[psutil.Process] = set()
        for _ in range(100):
            self.look()
            self.living |= _with_descendants(self.living, self.mark)
            new = self.living - held
            if not new:
                return
            _tell(new, "SIGSTOP")
            held |= new

    def _wait(self, seconds: float) -> None:
        """Wait until none is left, but not long."""
        deadline = time.monotonic() + seconds
        while self.living and time.monotonic() < deadline:
            time.sleep(0.01)
            self.look()


def _own_share(process: psutil.Process) -> int:
    """Bytes of memory; of a page that n processes share, the n-th part (Linux; elsewhere all of it)."""
    share = _ask(process, lambda p: p.memory_full_info().pss, None) if sys.platform == "linux" else None
    return process.memory_info().rss if share is None else share


def _tell(processes: set[psutil.Process], name: str) -> None:
    """Send a signal to processes and to their groups: a group takes it at once, however many it has by now."""
    if os.name != "posix":
        name = {"SIGSTOP": "suspend", "SIGKILL": "kill"}[name]
        for process in processes:
            _ask(process, getattr(psutil.Process, name), None)
        return
    number = getattr(signal, name)
    groups = {_ask(process, lambda p: os.getpgid(p.pid), None) for process in processes}
    for group in groups - {None, os.getpgrp()}:
        with contextlib.suppress(OSError):
            os.killpg(group, number)
    for process in processes:
        _ask(process, lambda p: p.send_signal(number), None)


def _with_descendants(processes: set[psutil.Process], mark: str) -> set[psutil.Process]:
    """These processes, those that carry the mark, and all their descendants."""
    children: dict[int, list[psutil.Process]] = {}
    found, known = [], {process.pid for process in processes}
    for process in psutil.process_iter():
        children.setdefault(_ask(process, psutil.Process.ppid, 0), []).append(process)
        if process.pid in known or _is_marked(process, mark):
            found.append(process)
    family: set[psutil.Process] = set()
    while found:
        process = found.pop()
        if process not in family and _runs(process):
            family.add(process)
            found += children.get(process.pid, [])
    return family


def _runs(process: psutil.Process) -> bool:
    """Is it alive? A zombie, which has ended and waits for its parent, is not."""
    return _ask(process, lambda p: p.is_running() and p.status() != psutil.STATUS_ZOMBIE, False)


def _ask(process: psutil.Process, question: Callable, otherwise):
    """The result of a question to a process; `otherwise` if it has exited or belongs to another user."""
    try:
        return question(process)
    except (psutil.Error, OSError):
        return otherwise


def _is_marked(process: psutil.Process, mark: str) -> bool:
    return process.pid != os.getpid() and _ask(process, lambda p: p.environ().get(MARK), None) == mark


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield entry.stat()


def weigh(folder: Path, most_files: int) -> tuple[int, int]:
    """(bytes on disk, number of files and folders) below a folder; it stops counting above `most_files`."""
    size = count = 0
    folders = [str(folder)]
    while folders and count <= most_files:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    size += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.path)
                if count > most_files:
                    break
    return size, count
