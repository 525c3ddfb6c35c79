"""A finished run of this format is read by all versions that have it, and says what it said."""

import gzip
import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.runs.keep_run import KEPT, answers
from vae_helpers.data.folder import SPLITS_BY
from vae_helpers.runs import compare_runs, load_run
from vae_helpers.runs.folder_run import FORMAT
from vae_helpers.runs.settings import NAMES, read_toml


@pytest.fixture
def kept(tmp_path):
    """The run that `python -m tests.runs.keep_run` made, in a folder as a run has it."""
    for name in ("settings.toml", "metrics.json"):
        shutil.copy(KEPT / name, tmp_path / name)
    (tmp_path / "model.safetensors").write_bytes(gzip.decompress((KEPT / "model.safetensors.gz").read_bytes()))
    return load_run(tmp_path)


def test_a_kept_run_says_what_it_said(kept):
    """Made by `python -m tests.runs.keep_run`; most of its weights are 0, see there.

    Where this fails, runs that people have can no longer be read, or their models give something else. If it is meant,
    raise FORMAT in `vae_helpers.runs.folder_run` and run that command again.
    """
    then, now = load_file(KEPT / "answers.safetensors"), answers(kept)
    assert then.keys() == now.keys()
    for name, value in now.items():
        torch.testing.assert_close(value, then[name], rtol=1e-3, atol=1e-3, msg=lambda m, name=name: f"{name}: {m}")
    assert (
        then["reconstructions"].std() > 0.01 and (then["pictures of codes"][1] - then["pictures of codes"][2]).std() > 0
    )
    assert kept.sample(2).shape == (2, 1, 16, 16)


def test_what_a_kept_run_tells_is_read(kept):
    assert "bits per dimension" in compare_runs(kept.path, kept.path)
    assert kept.notes["run_format"] == FORMAT and "Healthy" in kept.metrics["verdict"]
    assert kept.history.step == list(range(1, 25)) and kept.notes["step"] in kept.history.step
    settings, places = read_toml(kept.path / "settings.toml")
    assert places["folder"].endswith("pictures") and settings.given.keys() <= set(NAMES)
    assert settings.size == 16 and settings.grey is True and settings.split_by in SPLITS_BY


def test_kept_files_are_small():
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 50_000
