import pytest

from vae_helpers.exercises import claiming, hints, judging, progress_record


@pytest.fixture(autouse=True)
def fresh_kernel(tmp_path, monkeypatch):
    """Nothing claimed, hinted or solved yet; the working directory is empty, and progress is kept in it."""
    monkeypatch.setattr(claiming, "_made", {})
    monkeypatch.setattr(hints, "_shown", {})
    monkeypatch.setattr(judging, "_handed_back", {})
    monkeypatch.setattr(progress_record, "_memory", {})
    monkeypatch.setattr(progress_record, "_said", set())
    monkeypatch.delenv("VAE_HELPERS_PROGRESS", raising=False)
    monkeypatch.delenv("VAE_HELPERS_GRADING", raising=False)
    monkeypatch.chdir(tmp_path)
