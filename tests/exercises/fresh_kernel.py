import pytest

from vae_helpers.exercises import claiming, hints, progress_record


@pytest.fixture(autouse=True)
def fresh_kernel(tmp_path, monkeypatch):
    """Nothing claimed, hinted or solved yet; the working directory is empty, and progress is kept in it."""
    monkeypatch.setattr(claiming, "_made", {})
    monkeypatch.setattr(hints, "_shown", {})
    monkeypatch.setattr(progress_record, "_memory", {})
    monkeypatch.setattr(progress_record, "_said", set())
    monkeypatch.delenv("VAE_HELPERS_PROGRESS", raising=False)
    monkeypatch.delenv("VAE_HELPERS_GRADING", raising=False)
    monkeypatch.chdir(tmp_path)
