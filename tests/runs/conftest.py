"""A folder of pictures as a learner might have it, and a run on it."""

import numpy as np
import pytest
from PIL import Image

from vae_helpers.runs import train_folder

QUICK = {"size": 16, "steps": 24, "latents": 4, "shift": 1, "seed": 3}  # some seconds


def draw(folder, n, side=20, seed=0, prefix="picture"):
    """n discs of random place and colour on a random ground, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    for i in range(n):
        ground, disc = random.integers(0, 256, (2, 3))
        cy, cx = random.uniform(5, side - 5, 2)
        inside = ((y - cy) ** 2 + (x - cx) ** 2 < 25)[..., None]
        Image.fromarray(np.where(inside, disc, ground).astype(np.uint8)).save(folder / f"{prefix}{i:03d}.png")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Decoded pictures of tests are kept apart from the user's own."""
    monkeypatch.setenv("VAE_HELPERS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """120 pictures in two classes, and what else lies in folders."""
    folder = tmp_path_factory.mktemp("pictures")
    draw(folder / "many", 100)
    draw(folder / "few", 20, seed=1)
    (folder / "notes.txt").write_text("no picture")
    (folder / "<script>alert('x')<script>.png").write_bytes(b"broken")
    (folder / ".DS_Store").write_bytes(b"hidden")
    return folder


@pytest.fixture(scope="session")
def finished(pictures, tmp_path_factory):
    """A run that is finished. Tests leave it as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_HELPERS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return train_folder(pictures, tmp_path_factory.mktemp("runs") / "run", progress=False, **QUICK)
