"""What is true of model files, data sets, random seeds and training runs."""

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from tests.properties.calls import bytes_, vae
from tests.properties.ground import DTYPES, property_of
from vae_helpers import checkpoints, data, devices, models, pretrained, training

names = st.text("abc.", min_size=1, max_size=5)


@st.composite
def named_tensors(draw):
    """Tensors of any type and shape, also empty ones, in any layout, with any numbers."""
    found = {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        x = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))) * 10
        if draw(st.booleans()) and x.numel():
            x.view(-1)[0] = draw(st.sampled_from([float("nan"), float("inf"), 1e-45, -0.0]))
        x = x.to(draw(st.sampled_from(DTYPES)))
        found[name] = x.transpose(0, -1) if x.dim() > 1 and draw(st.booleans()) else x
    return found


notes = st.dictionaries(
    names, st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()), max_size=3
)


@property_of("checkpoints.write", "checkpoints.read", "checkpoints.digest", tensors=named_tensors(), notes=notes)
def test_what_is_written_is_read_to_the_bit(tensors, notes):
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.write(Path(folder) / "deep" / "model.safetensors", tensors, "kind", notes)
        found, kind, told = checkpoints.read(path)
    assert kind == "kind" and told == notes and checkpoints.digest(found) == checkpoints.digest(tensors)
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {k: (v.dtype, v.shape) for k, v in tensors.items()}


@property_of("checkpoints.digest", place=st.integers(0, 7), bit=st.integers(0, 7))
def test_a_digest_feels_every_bit(place, bit):
    x = torch.arange(8, dtype=torch.uint8)
    y = x.clone()
    y[place] ^= 1 << bit
    assert checkpoints.digest({"x": x}) != checkpoints.digest({"x": y})
    assert checkpoints.digest({"x": x}) != checkpoints.digest({"y": x})


@property_of(
    "checkpoints.save",
    "checkpoints.load",
    "checkpoints.check_fits",
    "checkpoints.CheckpointError",
    place=st.integers(0, 10**6),
    change=st.integers(1, 255),
    cut=st.booleans(),
)
def test_a_damaged_file_is_refused_and_the_model_as_it_was(place, change, cut):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.save(Path(folder) / "model.safetensors", model, width=3)
        assert checkpoints.load(path, other) == {"width": 3} and torch.equal(other.weight, model.weight)
        with pytest.raises(checkpoints.CheckpointError, match="another model"):
            checkpoints.load(path, nn.Linear(2, 3))
        content = bytearray(path.read_bytes())
        place %= len(content)
        content[place] ^= change
        path.write_bytes(content[:place] if cut else content)
        before = {name: value.clone() for name, value in other.state_dict().items()}
        try:
            checkpoints.load(path, other)  # a changed letter in the notes or of the kind may be harmless
        except checkpoints.CheckpointError as error:
            assert str(path) in str(error)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@property_of("checkpoints.save_shipped", "checkpoints.load_shipped", "checkpoints.shipped", width=st.integers(1, 5))
def test_a_shipped_network_is_rounded_and_frozen(width):
    model = nn.Linear(width, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.save_shipped(Path(folder) / "model.safetensors", model)
        found = checkpoints.load_shipped(path, lambda: nn.Linear(width, 2))
    assert torch.equal(found.weight, model.weight.half().float())
    assert not found.training and not any(p.requires_grad for p in found.parameters())
    whole = checkpoints.shipped(
        lambda: models.ResidualDenoiser(widths=pretrained.DENOISER_WIDTHS), "vae_helpers", pretrained.DENOISER
    )
    assert not whole.training


@property_of("data.Split", "data.Dataset", n=st.integers(3, 9), first=st.integers(0, 3), step=st.integers(1, 3))
def test_parts_of_a_split_keep_what_belongs_together(n, first, step):
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 3)
    split = data.Split(images, torch.arange(n), torch.arange(n), torch.arange(n).float()[:, None])
    first = min(first, n - 1)
    part = split[first::step]
    assert torch.equal(part.images[:, 0, 0, 0].long(), part.labels) and torch.equal(
        part.factors[:, 0].long(), part.index
    )
    parts = [split[torch.arange(n) % 3 == k] for k in range(3)]
    whole = data.Dataset("made up", *parts, levels=256, classes=("a",), about="Nothing.")
    assert whole.image_shape == (1, 2, 3) and len(whole.train) + len(whole.validation) + len(whole.test) == n
    assert str(n - len(parts[1]) - len(parts[2])) in str(whole) and whole.to("cpu").levels == 256
    with pytest.raises(ValueError, match="disjoint"):
        data.Dataset("made up", parts[0], parts[0], parts[1], levels=256, classes=("a",), about="Nothing.")


@property_of("data.load", "data.photographs", "data.photo_credits", few=3, many=10, size=st.none() | st.integers(1, 20))
def test_digits_of_any_size_are_the_same_digits(size):
    found, native = data.load("digits", size=size), data.load("digits")
    assert torch.equal(found.test.labels, native.test.labels) and found.image_shape == (1, size or 8, size or 8)
    assert all(name in data.photo_credits() for name in data.photographs("validation"))


@property_of("devices.seed_everything", seed=st.integers(0, 2**32))
def test_a_seed_gives_the_same_numbers_everywhere(seed):
    state = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        devices.seed_everything(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
    random.setstate(state[0]), np.random.set_state(state[1]), torch.random.set_rng_state(state[2])
    assert drawn[0] == drawn[1]


@property_of("devices.machine", "devices.Machine", "devices.median_seconds", few=2, many=5, rounds=st.integers(1, 5))
def test_a_machine_is_looked_at_once_and_work_is_done_twice_more_than_counted(rounds):
    assert isinstance(devices.machine(), devices.Machine) and devices.machine() is devices.machine()
    assert str(devices.machine()).startswith("Training on ")
    done = []
    assert devices.median_seconds(lambda: done.append(1), rounds) >= 0 and len(done) == rounds + 2


@property_of(
    "training.fit",
    "training.History",
    "training.TrainingDiverged",
    few=3,
    many=20,
    steps=st.integers(1, 8),
    n=st.integers(1, 9),
    batch=st.integers(1, 12),
)
def test_training_leaves_images_and_the_random_state_alone_and_records_numbers(steps, n, batch):
    images = bytes_(n, 1, 4, 4)
    kept, before = images.clone(), torch.random.get_rng_state()
    history = training.fit(
        models.mlp_vae((1, 4, 4), 2, (3,), vae().likelihood), images, steps=steps, batch_size=batch, progress=False
    )
    assert isinstance(history, training.History) and torch.equal(images, kept)
    assert history.step[-1] == steps and all(len(v) == len(history.step) for v in history.train.values())
    assert all(np.isfinite(v).all() for v in history.train.values()) and before is not None
    with pytest.raises(training.TrainingDiverged, match="loss"):
        bad = lambda model, x: {"loss": model(x).flatten(1).sum(1) * float("nan")}  # noqa: E731
        training.fit(models.Autoencoder((1, 4, 4), 2, (3,)), images, steps=2, objective=bad, progress=False)
