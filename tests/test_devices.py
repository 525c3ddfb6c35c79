"""What is chosen follows the environment, and is said."""

import math
import os
import platform
import subprocess
import sys

import pytest
import torch

from vae_helpers import devices


@pytest.fixture
def fresh(monkeypatch):
    for name in ("DEVICE", "PRECISION", "THREADS"):
        monkeypatch.delenv(f"VAE_HELPERS_{name}", raising=False)
    threads = torch.get_num_threads()
    monkeypatch.setattr(devices, "_single_threaded", False)
    monkeypatch.setattr(devices, "_look_again", 0.0)
    devices.machine.cache_clear()
    yield monkeypatch
    devices.machine.cache_clear()
    torch.set_num_threads(threads)


def test_one_line_says_what_is_used(fresh):
    text = str(devices.machine())
    assert text.startswith("Training on ") and "\n" not in text and len(text) < 160


def test_the_environment_overrides(fresh):
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    fresh.setenv("VAE_HELPERS_PRECISION", "bfloat16")
    fresh.setenv("VAE_HELPERS_THREADS", "2")
    m = devices.machine()
    assert m.device.type == "cpu" and m.precision == torch.bfloat16 and m.threads == 2 == torch.get_num_threads()
    assert m.precision_for(torch.nn.Linear(2, 2)) == torch.bfloat16  # asked for: even for small models


def test_small_models_stay_in_float32_on_a_cpu(fresh):
    m = devices.Machine(torch.device("cpu"), torch.bfloat16, 1, True, "")
    assert m.precision_for(torch.nn.Linear(10, 10)) == torch.float32
    assert m.precision_for(torch.nn.Linear(1000, 1000)) == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("DEVICE", "tpu", ValueError),
        ("PRECISION", "float8", ValueError),
        ("THREADS", "0", ValueError),
        ("THREADS", "many", ValueError),
    ],
)
def test_nonsense_in_the_environment_is_named(fresh, name, value, error):
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    fresh.setenv(f"VAE_HELPERS_{name}", value)
    with pytest.raises(error, match=f"VAE_HELPERS_{name}='{value}'"):
        devices.machine()


def test_a_device_that_is_not_here_is_named(fresh):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    fresh.setenv("VAE_HELPERS_DEVICE", "cuda")
    with pytest.raises(RuntimeError, match="no CUDA device"):
        devices.machine()


def test_under_torchrun_each_process_has_the_gpu_of_its_number(fresh):
    taken = []
    fresh.setattr(torch.cuda, "is_available", lambda: True)
    fresh.setattr(torch.cuda, "device_count", lambda: 2)
    fresh.setattr(torch.cuda, "set_device", taken.append)
    assert devices._device() == torch.device("cuda") and not taken
    fresh.setenv("LOCAL_RANK", "1")
    assert devices._device() == torch.device("cuda", 1) and taken == [torch.device("cuda", 1)]
    fresh.setenv("LOCAL_RANK", "2")
    with pytest.raises(RuntimeError, match="process number 2 on a machine with 2 GPUs: give --nproc-per-node 2"):
        devices._device()


def test_a_processor_told_to_stay_with_avx2_is_taken_at_its_word(fresh):
    fresh.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    assert devices.machine().precision == torch.float32


def test_the_thread_count_that_is_measured_to_be_faster_is_taken(fresh):
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    fresh.delenv("OMP_NUM_THREADS", raising=False)
    fresh.setattr(devices, "LOOKS", math.inf)
    for seconds, taken in (({1: 1.0, 2: 0.6}, 2), ({1: 1.0, 2: 5.0}, 1), ({1: 1.0, 2: 0.95}, 1)):
        torch.set_num_threads(2)
        fresh.setattr(devices, "_step_seconds", seconds.get)
        devices.machine.cache_clear()
        m = devices.machine()
        assert m.threads == 2 and torch.get_num_threads() == taken
        assert ("the CPU, 2 threads," if taken == 2 else "the CPU, 1 of 2 threads for now,") in str(m)
    fresh.setenv("OMP_NUM_THREADS", "2")  # the user has spoken: nothing is measured
    fresh.setattr(devices, "_step_seconds", None)
    torch.set_num_threads(2)
    devices.machine.cache_clear()
    assert devices.machine().threads == 2


def test_a_machine_that_was_busy_at_first_gets_all_its_threads_later(fresh):
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    fresh.delenv("OMP_NUM_THREADS", raising=False)
    fresh.setattr(devices, "LOOKS", math.inf)
    torch.set_num_threads(2)
    fresh.setattr(devices, "_speedup", lambda many: 0.3)
    devices.machine()
    assert torch.get_num_threads() == 1
    fresh.setattr(devices, "_speedup", lambda many: 1.8)
    devices.adapt_threads()
    assert torch.get_num_threads() == 2


def test_seeds_repeat_all_three_sources():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    devices.seed_everything(7)
    first = draw()
    devices.seed_everything(7)
    assert draw() == first
    devices.seed_everything(8)
    assert draw() != first


@pytest.fixture
def four_threads(monkeypatch):
    """A machine on which four threads were chosen, and how many times faster they are than one, to be set."""
    for name in ("VAE_HELPERS_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before, state = torch.get_num_threads(), {"gain": 3.0}
    chosen = devices.Machine(torch.device("cpu"), torch.float32, 4, False, "a machine")
    monkeypatch.setattr(devices, "machine", lambda: chosen)
    monkeypatch.setattr(devices, "_speedup", lambda many: state["gain"])
    monkeypatch.setattr(devices, "_single_threaded", False)
    monkeypatch.setattr(devices, "_look_again", 0.0)
    monkeypatch.setattr(devices, "LOOKS", math.inf)
    torch.set_num_threads(4)
    yield state
    torch.set_num_threads(before)


def test_beside_busy_programs_one_thread_is_used_and_afterwards_all_again(four_threads):
    seen = []
    for gain in (2.0, 1.0, 1.2, 1.3, 1.5, 1.2):
        four_threads["gain"] = gain
        devices.adapt_threads()
        seen.append(torch.get_num_threads())
    assert seen == [4, 1, 1, 1, 4, 4]  # between 1.15 and 1.4 nothing changes: hysteresis


def test_looking_takes_a_small_part_of_the_time_with_one_thread(four_threads, monkeypatch):
    clock, looks = {"now": 100.0}, []

    def look(many):
        looks.append(clock["now"])
        clock["now"] += 2.0  # as slow as where many threads share one core
        return gain["now"]

    gain = {"now": 0.5}
    monkeypatch.setattr(devices, "LOOKS", 0.05)
    monkeypatch.setattr(devices, "_speedup", look)
    monkeypatch.setattr(devices.time, "perf_counter", lambda: clock["now"])
    while clock["now"] < 300:
        devices.adapt_threads()
        clock["now"] += 1.0
    assert 3 <= len(looks) <= 6 and 2.0 * len(looks) <= 0.06 * 200
    gain["now"], clock["now"] = 2.0, 1000.0
    for _ in range(3):  # with all threads it looks each time, so that no training begins beside a busy program
        devices.adapt_threads()
    assert looks[-3:] == [1000.0, 1002.0, 1004.0]


@pytest.mark.parametrize("by_hand", [1, 3])
def test_a_number_of_threads_set_by_hand_stays(four_threads, by_hand):
    torch.set_num_threads(by_hand)
    devices.adapt_threads()
    assert torch.get_num_threads() == by_hand


@pytest.mark.parametrize("name", ["VAE_HELPERS_THREADS", "OMP_NUM_THREADS"])
def test_a_number_of_threads_asked_for_in_the_environment_stays(four_threads, monkeypatch, name):
    monkeypatch.setenv(name, "4")
    four_threads["gain"] = 0.1
    devices.adapt_threads()
    assert torch.get_num_threads() == 4


HELD = """
import os, sys
import torch
from vae_helpers import machine

if sys.argv[1] == "machine":
    machine()
pictures = torch.ones(2000, 784)

def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def work():
    buffers = [pictures.abs() for _ in range(16)]

before = held()
work()
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_is_kept_for_the_next_batch(fresh):
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")

    def megabytes_held(*arguments):
        run = [sys.executable, "-c", HELD, *arguments]
        return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        fresh.delenv(name)
    assert megabytes_held("nothing") < 50 < 90 < megabytes_held("machine") < 110  # of a hundred that were freed
    fresh.setenv("MALLOC_TRIM_THRESHOLD_", "131072")  # the user has spoken
    assert megabytes_held("machine") < 50


@pytest.mark.parametrize("unit", ["", "AVX512-BF16", "AMX"])
def test_fast_products_are_float32s_and_only_where_they_stay_so(fresh, unit):
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    fresh.setenv("VAE_HELPERS_DEVICE", "cpu")
    really = devices._matrix_unit()
    fresh.setattr(devices, "_matrix_unit", lambda: unit)
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(256, 784, generator=generator), torch.randn(784, 400, generator=generator)
    with pytest.raises(KeyError), devices.fast_float32_products():
        assert products.fp32_precision == ("bf16" if unit == "AVX512-BF16" else before)
        if unit == really:  # bfloat16 would be wrong by 1e-1
            assert (x @ w - (x.double() @ w.double())).abs().max() < 1e-3
        raise KeyError
    assert products.fp32_precision == before


def test_what_the_user_allowed_for_float32_products_stays(fresh):
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    fresh.setattr(devices, "_matrix_unit", lambda: "AVX512-BF16")
    try:
        products.fp32_precision = "tf32"
        with devices.fast_float32_products():
            assert products.fp32_precision == "tf32"
        assert products.fp32_precision == "tf32"
    finally:
        products.fp32_precision = before


def test_importing_the_package_does_not_import_what_is_heavy():
    code = (
        "import sys, vae_helpers; print([m for m in ('torch', 'sklearn', 'matplotlib', 'IPython') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert out.stdout.strip() == "[]"


def test_work_is_timed_after_two_rounds_that_do_not_count():
    done = []
    assert devices.median_seconds(lambda: done.append(1), rounds=3) >= 0 and len(done) == 5
