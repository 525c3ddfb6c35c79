"""Two processes on a CPU, started by torch's own launcher, train the model of one."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vae_helpers import checkpoints

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("in_processes.py")


def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD", "LOCAL"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | {"PYTHONPATH": path, "OUT": str(tmp_path), "OMP_NUM_THREADS": "1", "VAE_HELPERS_THREADS": "1"}


def start(tmp_path, what, processes=2):
    """What `SCRIPT` does, in so many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, str(SCRIPT), what],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, fine=True):
    said, _ = process.communicate(timeout=200)
    assert (process.returncode == 0) == fine, said
    assert not fine or set(re.findall(r"threads of gloo: (\d+)", said)) == {"0"}, said
    return said


def saved(tmp_path, name):
    return torch.load(tmp_path / name, weights_only=True)


def test_two_processes_train_the_model_of_one(tmp_path):
    """A VAE with phases, an average, conditions and an odd batch, 100 steps in float32; noise comes with the data."""
    (tmp_path / "one").mkdir()
    said = ended(start(tmp_path, "train"))
    ended(start(tmp_path / "one", "train", processes=1))
    ranks, one = [saved(tmp_path, f"train-{rank}.pt") for rank in (0, 1)], saved(tmp_path / "one", "train-0.pt")
    assert one["moved"] > 0.1
    for name in ("weights", "average"):
        assert torch.equal(ranks[0][name], ranks[1][name])
        assert (ranks[0][name] - one[name]).abs().max() < 1e-5
    for name, values in one["history"].items():
        assert torch.allclose(torch.tensor(ranks[1]["history"][name]), torch.tensor(values), atol=1e-3), name
    assert said.count("called back") == 2 and ranks[0]["validated"] and not ranks[1]["validated"]


def test_complex_and_double_weights_and_parts_that_come_and_go_are_those_of_one_process(tmp_path):
    (tmp_path / "one").mkdir()
    ended(start(tmp_path, "widest"))
    ended(start(tmp_path / "one", "widest", processes=1))
    ranks, one = [saved(tmp_path, f"widest-{rank}.pt") for rank in (0, 1)], saved(tmp_path / "one", "widest-0.pt")
    for name in ("turn", "bias"):
        assert torch.equal(ranks[0][name], ranks[1][name]) and (ranks[0][name] - one[name]).abs().max() < 1e-12
    assert torch.equal(ranks[0]["buffers"], ranks[1]["buffers"])
    late = torch.tensor([one["late"], ranks[0]["late"]])
    assert late[0].isnan().tolist() == [True, False] * 4 and torch.allclose(*late, equal_nan=True)


def test_each_process_draws_noise_of_its_own(tmp_path):
    ended(start(tmp_path, "noise"))
    zero, one = (saved(tmp_path, f"noise-{rank}.pt") for rank in (0, 1))
    assert zero["drawn"] != one["drawn"] and torch.equal(zero["weights"], one["weights"])
    assert all(zero["heeded"] + one["heeded"])  # SIGTERM ends training after the step


def test_stopped_in_one_process_all_stop_and_resume_to_the_same_bits(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    ended(start(tmp_path / "whole", "whole"))
    said = ended(start(tmp_path / "parts", "stop"))
    stopped = [saved(tmp_path / "parts", f"stop-{rank}.pt") for rank in (0, 1)]
    assert stopped[0]["step"] == stopped[1]["step"] < 40 and said.count("stopped by hand") == 1
    ended(start(tmp_path / "parts", "whole"))
    for rank in (0, 1):
        again, whole = (saved(tmp_path / name, f"whole-{rank}.pt") for name in ("parts", "whole"))
        assert torch.equal(again["weights"], whole["weights"]) and again["step"] == 40
    said = ended(start(tmp_path / "parts", "whole", processes=1), fine=False)
    assert "processes (there 2, here 1)" in said


def test_divergence_in_one_share_reaches_all_processes(tmp_path):
    said = ended(start(tmp_path, "diverge"))
    assert said.count("diverged at step 3") == 2


def test_a_killed_process_ends_the_others_with_a_clear_line_and_the_checkpoint_stands(tmp_path):
    process = start(tmp_path, "endless")
    file, deadline = tmp_path / "endless.safetensors", time.monotonic() + 120
    while not file.exists() or not (tmp_path / "rank-1.pid").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(int((tmp_path / "rank-1.pid").read_text()), signal.SIGKILL)
    said = ended(process, fine=False)
    assert re.search(r"another of the 2 processes of this training has ended, so rank 0 ends too.*resume=True", said)
    assert checkpoints.read(file)[2]["step"] > 0


def test_a_fit_in_a_callback_trains_in_the_first_process_alone(tmp_path):
    assert ended(start(tmp_path, "inner")).count("trained inside") == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("small", "a batch of 1 images cannot be shared by 2 processes"),
        (
            "one_sided",
            "3 the processes must have the same parts of the loss: rank 0 has ('distortion', 'elbo', 'kl', 'loss'), ",
        ),
        ("exists", "exists. Say resume=True to go on"),
        ("differ", "the processes must have the same data, seed and settings"),
    ],
)
def test_what_cannot_begin_says_so_in_every_process(tmp_path, what, words):
    (tmp_path / "exists.safetensors").write_bytes(b"something")
    said = ended(start(tmp_path, what))
    assert said.count(words) == 2
