"""What is true of model files whatever is in them."""

import tempfile
from pathlib import Path

import torch
from hypothesis import strategies as st

from tests.properties.ground import DTYPES, property_of
from vae_helpers import checkpoints

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


@property_of(tensors=named_tensors(), notes=notes)
def test_what_is_written_is_read_to_the_bit(tensors, notes):
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoints.write(Path(folder) / "deep" / "model.safetensors", tensors, "kind", notes)
        found, kind, told = checkpoints.read(path)
    assert kind == "kind" and told == notes and checkpoints.digest(found) == checkpoints.digest(tensors)
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {k: (v.dtype, v.shape) for k, v in tensors.items()}
