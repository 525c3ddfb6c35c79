"""Splits that do not share images, and loaders that say what to do when there is nothing to load."""

import os
import re
from pathlib import Path

import pytest
import torch
import torchvision.datasets

from vae_helpers import load
from vae_helpers.data import Dataset, Split
from vae_helpers.images import levels_of


def test_digits_are_the_digits_of_scikit_learn():
    from sklearn.datasets import load_digits

    data, source = load("digits"), load_digits()
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1297, 200, 300]
    assert data.image_shape == (1, 8, 8) and data.levels == 17
    everything = torch.cat([data.train.index, data.validation.index, data.test.index])
    assert sorted(everything.tolist()) == list(range(1797))  # disjoint, and nothing lost
    for split in (data.train, data.validation, data.test):
        expected = torch.from_numpy(source.images)[split.index].long()
        assert torch.equal(levels_of(split.images, 17)[:, 0], expected)
        assert torch.equal(split.labels, torch.from_numpy(source.target)[split.index].long())
        assert set(split.labels.tolist()) == set(range(10))


def test_digits_share_no_picture_between_splits():
    data = load("digits")
    pictures = [{bytes(p.flatten().tolist()) for p in s.images} for s in (data.train, data.validation, data.test)]
    assert not pictures[0] & pictures[1] and not pictures[0] & pictures[2] and not pictures[1] & pictures[2]


def test_digits_are_the_same_each_time_and_leave_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second = load("digits"), load("digits")
    assert torch.equal(first.train.index, second.train.index)
    assert torch.equal(before, torch.get_rng_state())


def test_enlarged_digits_say_that_they_have_256_levels():
    data = load("digits", size=16)
    assert data.image_shape == (1, 16, 16) and data.levels == 256
    assert load("digits", size=8).levels == 17


def test_splits_that_share_an_image_are_refused():
    split = Split(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2).long(), torch.tensor([0, 1]))
    other = Split(split.images, split.labels, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="disjoint"):
        Dataset("made up", split, other, Split(split.images, split.labels, other.index + 9), 256, (), "")
    with pytest.raises(ValueError, match="do not match"):
        Split(split.images, torch.zeros(3).long(), split.index)


@pytest.mark.parametrize("name", ["mnits", "MNIST", "fashion_mnist", None])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match="digits, mnist, fashion-mnist") as caught:
        load(name)
    if name == "fashion_mnist":
        assert "Did you mean 'fashion-mnist'?" in str(caught.value)


@pytest.mark.parametrize("size", [0, -3, 2.5, "16"])
def test_a_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="size"):
        load("digits", size=size)


@pytest.mark.parametrize("download", [False, True])
def test_missing_files_say_what_was_tried_and_what_to_do(tmp_path, monkeypatch, download):
    import urllib.error
    import urllib.request

    def no_network(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist", root=tmp_path, download=download)
    message = str(caught.value)
    assert str(tmp_path) in message and "root=FOLDER" in message and "load('digits')" in message
    assert ("tried to download" in message) == download


def write_idx(path: Path, values: torch.Tensor):
    """The file format of MNIST: magic number with the number of axes, their lengths, the bytes."""
    shape = b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes((0x0800 + values.dim()).to_bytes(4, "big") + shape + bytes(values.flatten().tolist()))


@pytest.fixture
def made_up_mnist(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    torch.manual_seed(0)
    for part, n in (("train", 50), ("t10k", 10)):
        write_idx(raw / f"{part}-images-idx3-ubyte", torch.randint(0, 256, (n, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.randint(0, 10, (n,)))
    return tmp_path


def test_files_in_mnists_format_are_read_and_split(made_up_mnist, monkeypatch):
    data = load("mnist", root=made_up_mnist)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [45, 5, 10]
    source = torchvision.datasets.MNIST(str(made_up_mnist), train=True)
    for split in (data.train, data.validation):
        assert torch.equal(split.images[:, 0], source.data[split.index])
        assert torch.equal(split.labels, source.targets[split.index])
    test = torchvision.datasets.MNIST(str(made_up_mnist), train=False)
    assert torch.equal(data.test.images[:, 0], test.data)
    monkeypatch.setenv("VAE_HELPERS_DATA", str(made_up_mnist))
    assert load("mnist", size=14).image_shape == (1, 14, 14)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_where_they_are_given(name):
    root = os.environ.get("VAE_HELPERS_TEST_DATA")
    if not root:
        pytest.skip("VAE_HELPERS_TEST_DATA names no folder with MNIST and Fashion-MNIST")
    data = load(name, root=root)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [54_000, 6_000, 10_000]
    assert len(data.classes) == 10 and re.search(r"MIT|CC", data.about)
