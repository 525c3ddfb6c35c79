"""Which device, numeric precision and thread count to train with on this machine, and why.

    VAE_HELPERS_DEVICE      cpu | cuda | mps      (default: CUDA if there is one, otherwise the CPU)
    VAE_HELPERS_PRECISION   float32 | bfloat16    (default: what is fast on the device)
    VAE_HELPERS_THREADS     a whole number        (default: measured, unless OMP_NUM_THREADS is set)

set in the environment, override the choice. On a CPU with Linux, up to half a gigabyte of memory that was freed is kept
for the next batch, unless the environment has settings for malloc (MALLOC_..., GLIBC_TUNABLES).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from vae_helpers import checking

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
USUAL = ("none", "ieee")  # what torch calls float32 that may not be computed in anything shorter
LOOKS = 0.05  # of the time with one thread, at most, goes into finding out whether more would be faster again
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h calls them
KEPT, LARGEST_KEPT = 512 * 2**20, 32 * 2**20  # bytes in all, and in one piece, which is the most that glibc takes
SMALL_MODEL = 200_000  # parameters; below it, casting to bfloat16 costs more than it saves (measured)

_single_threaded = False  # whether there is one thread now where there may be more
_look_again = 0.0  # not before this moment


@dataclass(frozen=True)
class Machine:
    """What training runs on here. `str(machine())` says it in one line."""

    device: torch.device
    precision: torch.dtype  # of matrix products and convolutions in larger models; losses stay float32
    threads: int  # OpenMP threads of the CPU, at most; one while other programs hold its cores
    channels_last: bool  # memory format that convolutions are fast in
    reason: str

    def __str__(self) -> str:
        return f"Training on {self.reason}."

    def precision_for(self, model: torch.nn.Module) -> torch.dtype:
        """The precision that is fast for this model: small ones stay in float32 on a CPU."""
        size = sum(p.numel() for p in model.parameters())
        if self.device.type == "cpu" and size < SMALL_MODEL and "VAE_HELPERS_PRECISION" not in os.environ:
            return torch.float32
        return self.precision


@functools.cache
def machine() -> Machine:
    """Look once at the machine, set torch's thread count, and return what was chosen.

    Raises:
        ValueError: an environment variable asks for something unknown.
        RuntimeError: an environment variable asks for a device that is not here.
    """
    device = _device()
    if device.type == "cuda":
        precision = _precision(torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32)
        threads, name = torch.get_num_threads(), torch.cuda.get_device_name(device)
        torch.set_float32_matmul_precision("high")  # TF32 where products stay float32
        how = f"the GPU {name} in {_name(precision)}"
    elif device.type == "mps":
        precision, threads = _precision(torch.float32), torch.get_num_threads()
        how = f"Apple's GPU (MPS) in {_name(precision)}; this course has not been tested on it"
    else:
        unit = _matrix_unit()
        precision = _precision(torch.bfloat16 if unit else torch.float32)
        threads = _threads()
        _keep_freed_memory()
        if "VAE_HELPERS_PRECISION" in os.environ:
            why = "asked for by VAE_HELPERS_PRECISION"
        elif unit:
            why = f"it has {unit}; models under {SMALL_MODEL:,} parameters in float32"
        else:
            why = "it has no unit for bfloat16 products"
        count = f"1 of {threads} threads for now" if _single_threaded else f"{threads} thread{'s' * (threads > 1)}"
        how = f"the CPU, {count}, {_name(precision)} ({why})"
    return Machine(device, precision, threads, channels_last=precision == torch.bfloat16, reason=how)


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's random numbers, on every device, so that a run can be repeated.

    Bitwise repeatable on one machine with one thread count; between processors sums round differently.

    Raises:
        ValueError: seed is not a whole number of at least 0.
    """
    import numpy as np

    seed = checking.seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextlib.contextmanager
def forked_random_state() -> Iterator[None]:
    """Random numbers that are seeded and drawn inside, on whatever device, leave the state outside as it was."""
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    with torch.random.fork_rng(devices=gpus):
        try:
            yield
        finally:
            if apple is not None:
                torch.mps.set_rng_state(apple)


def _device() -> torch.device:
    wish = os.environ.get("VAE_HELPERS_DEVICE", "").strip().lower()
    if wish not in ("", "cpu", "cuda", "mps"):
        raise ValueError(f"VAE_HELPERS_DEVICE={wish!r} is not one of cpu, cuda, mps.")
    if wish == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("VAE_HELPERS_DEVICE=cuda, but torch sees no CUDA device. Unset it to train on the CPU.")
    if wish == "mps" and not torch.backends.mps.is_available():
        raise RuntimeError("VAE_HELPERS_DEVICE=mps, but torch sees no Apple GPU. Unset it to train on the CPU.")
    kind = wish or ("cuda" if torch.cuda.is_available() else "cpu")
    return _gpu_of_this_process() if kind == "cuda" else torch.device(kind)


def _gpu_of_this_process() -> torch.device:
    """The one GPU, or under torchrun that of this process: processes and GPUs of a machine are numbered alike."""
    if "LOCAL_RANK" not in os.environ:
        return torch.device("cuda")
    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if count == 1 and "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ","):
        number = 0  # a cluster's launcher shows each process the GPU that is its own
    if number >= count:
        raise RuntimeError(
            f"torchrun has started a process number {number} on a machine with {count} GPU{'s' * (count > 1)}: give "
            f"--nproc-per-node {count}, or train on the CPU with VAE_HELPERS_DEVICE=cpu."
        )
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device


def _precision(default: torch.dtype) -> torch.dtype:
    wish = os.environ.get("VAE_HELPERS_PRECISION", "").strip().lower()
    if wish and wish not in PRECISIONS:
        raise ValueError(f"VAE_HELPERS_PRECISION={wish!r} is not one of {', '.join(PRECISIONS)}.")
    return PRECISIONS.get(wish, default)


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def _matrix_unit() -> str:
    """The CPU's fast path for bfloat16 products, or an empty string."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in ("SSE41", "AVX", "AVX2", "AVX512_CORE"):
        return ""  # the library that would use it is told not to
    probes = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
    for unit, probe in probes.items():
        if getattr(torch.cpu, probe, lambda: False)():
            return unit
    return ""


def _threads() -> int:
    """The CPU's thread count: as asked for, or torch's own; one is used for now where more prove to be no faster."""
    wish = os.environ.get("VAE_HELPERS_THREADS")
    if wish is not None:
        if not wish.isdigit() or int(wish) < 1:
            raise ValueError(f"VAE_HELPERS_THREADS={wish!r} is not a whole number of at least 1.")
        torch.set_num_threads(int(wish))
    many = torch.get_num_threads()
    _choose_threads(many, min_speedup=1.25)
    return many


def adapt_threads() -> None:
    """Go down to one CPU thread while other programs hold the cores, and up again to those of `machine()` when not.

    Threads wait for each other by spinning: beside a busy program two of them can be ten times slower than one. Does
    nothing where the environment settles the number. Looking takes a tenth of a second; where the cores were held when
    it was last done, it takes longer, and is done less often.
    """
    many, now = machine().threads, torch.get_num_threads()
    if now == many or (now == 1 and _single_threaded):  # a number that was set by hand stays
        _choose_threads(many, min_speedup=1.4 if _single_threaded else 1.15)  # hysteresis: in between nothing changes


def _choose_threads(many: int, min_speedup: float) -> None:
    """Compute on one thread where `many` are less than so many times faster, and on all of them otherwise."""
    global _single_threaded, _look_again
    start, settled = time.perf_counter(), {"VAE_HELPERS_THREADS", "OMP_NUM_THREADS"} & set(os.environ)
    if many == 1 or settled or (_single_threaded and start < _look_again):
        return
    _single_threaded = _speedup(many) < min_speedup
    torch.set_num_threads(1 if _single_threaded else many)
    now = time.perf_counter()
    _look_again = now + (now - start) / LOOKS


def _keep_freed_memory() -> None:
    """Have the C library keep memory that was freed, up to `KEPT`, in place of giving it back to the system at once.

    A training step or an evaluation frees buffers of megabytes and asks for the same again. In between glibc gives them
    back, and the system clears every page anew: half the time of a likelihood, as measured. What the environment says
    of malloc stays; other C libraries than glibc are left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        for option, size in ((M_TRIM_THRESHOLD, KEPT), (M_MMAP_THRESHOLD, LARGEST_KEPT)):
            c.mallopt(option, size)


@contextlib.contextmanager
def fast_float32_products() -> Iterator[None]:
    """Inside, torch leaves a CPU's float32 matrix products to oneDNN, which on AMD's processors is twice as fast.

    torch does so where oneDNN may compute them in bfloat16. Without matrix units oneDNN makes no use of that, and the
    results are float32's; with them, and where there is no AVX512-BF16, nothing is touched. For products of hundreds of
    rows: small ones take longer to hand over than to compute.
    """
    products = torch.backends.mkldnn.matmul
    if machine().device.type != "cpu" or _matrix_unit() != "AVX512-BF16" or products.fp32_precision not in USUAL:
        yield
        return
    usual, products.fp32_precision = products.fp32_precision, "bf16"
    try:
        yield
    finally:
        products.fp32_precision = usual


def _speedup(many: int) -> float:
    """How many times faster a small training step is with so many threads than with one."""
    now = torch.get_num_threads()
    one, several = _step_seconds(1), _step_seconds(many)
    torch.set_num_threads(now)
    return one / several


def _step_seconds(threads: int, seconds: float = 0.06) -> float:
    """Seconds that a small training step takes with this many threads: the mean over a while.

    The median over a few steps would not see that another program takes a core away for milliseconds at a time.
    """
    torch.set_num_threads(threads)
    x, w = torch.ones(256, 512), torch.ones(512, 512)
    steps, start = -2, time.perf_counter()  # two that are not counted
    while (spent := time.perf_counter() - start) < seconds:
        torch.relu(x @ w) @ w
        steps += 1
        if steps == 0:
            start = time.perf_counter()
    return spent / max(1, steps)


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Median wall-clock seconds of `work()` over `rounds` calls, after two that are not counted."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])
