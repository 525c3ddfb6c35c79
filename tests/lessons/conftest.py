import pytest

from vae_helpers.lessons import claiming, helping, record


@pytest.fixture(autouse=True)
def fresh_kernel(tmp_path, monkeypatch):
    """Nothing claimed, hinted or solved yet; the working directory is empty, and progress is kept in it."""
    monkeypatch.setattr(claiming, "_made", {})
    monkeypatch.setattr(helping, "_shown", {})
    monkeypatch.setattr(record, "_memory", {})
    monkeypatch.setattr(record, "_said", set())
    monkeypatch.delenv("VAE_HELPERS_PROGRESS", raising=False)
    monkeypatch.delenv("VAE_HELPERS_GRADING", raising=False)
    monkeypatch.chdir(tmp_path)
