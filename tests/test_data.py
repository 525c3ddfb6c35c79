"""Splits that do not share images, and loaders that say what to do when there is nothing to load."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from vae_helpers import load
from vae_helpers.data import PHOTOGRAPHS, Dataset, Split, photo_credits, photographs
from vae_helpers.data import faces as drawn_faces
from vae_helpers.data import scenes as drawn_scenes
from vae_helpers.data import shapes as drawn_shapes
from vae_helpers.images import levels_of
from vae_helpers.rendering import faces, scenes, shapes, styles

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("train", "validation", "test")


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
    with pytest.raises(
        ValueError, match="digits, faces, photos, scenes, shapes, mnist, fashion-mnist, kmnist, cifar10, folder"
    ) as caught:
        load(name)
    if name == "fashion_mnist":
        assert "Did you mean 'fashion-mnist'?" in str(caught.value)


def test_whole_numbers_and_truth_values_of_numpy_are_taken(few_faces):
    assert load("digits", size=np.int64(16)).image_shape == (1, 16, 16)
    assert len(load("faces", size=np.uint8(32), n=np.int32(5)).train) == 5
    assert load("photos", size=np.int64(16), n=np.int64(3), colour=np.bool_(False)).image_shape == (1, 16, 16)


@pytest.mark.parametrize("download", ["no", 1, None])
def test_a_download_is_asked_for_by_true_alone(tmp_path, download):
    with pytest.raises(ValueError, match=f"download must be True or False, not {download!r}"):
        load("mnist", root=tmp_path, download=download)


@pytest.mark.parametrize("size", [0, -3, 2.5, "16", True])
def test_a_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="size"):
        load("digits", size=size)


def test_pixels_given_where_the_folder_stands_are_told_by_what_name_to_go():
    for size in (16, np.int64(16)):
        with pytest.raises(TypeError, match=r"root must be the path of a folder, not .*16.*mean pixels: size=16"):
            load("digits", size)


@pytest.mark.parametrize(
    ("name", "argument", "value", "cure"),
    [
        ("digits", "style", "flat", "style is for faces"),
        ("digits", "n", 10, "n is for faces, photos, scenes, shapes"),
        ("faces", "kind", "plain", "kind is for scenes"),
        ("scenes", "style", "flat", "scenes takes size, kind, unseen, n"),
        ("shapes", "kind", "mug", "kind is for scenes"),
        ("digits", "fit", "pad", "fit is for folder"),
        ("photos", "background", 0, "background is for folder"),
        ("folder", "download", True, "folder takes root, size, fit, colour, background"),
        ("faces", "root", "somewhere", "root is for mnist"),
        ("faces", "colour", False, "colour is for photos"),
        ("photos", "download", True, "photos takes size, colour, n"),
        ("shapes", "style", "flat", "shapes takes size, n"),
        ("mnist", "style", "flat", "mnist takes size, root, download"),
    ],
)
def test_an_argument_that_a_data_set_does_not_use_is_refused(name, argument, value, cure):
    with pytest.raises(
        ValueError, match=re.escape(f"{name} does not use {argument}={value!r}: leave it out")
    ) as caught:
        load(name, **{argument: value})
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("name", "argument", "values"),
    [
        ("faces", "size", [31, 257, 64.0]),
        ("faces", "style", ["cubist", 3]),
        ("faces", "n", [0, -1, 2.5, "10"]),
        ("scenes", "size", [31, 257, 64.0]),
        ("scenes", "kind", ["easy", 3]),
        ("scenes", "n", [0, -1, 2.5, "10"]),
        ("photos", "size", [7, 257, 64.0]),
        ("photos", "colour", ["grey", 1]),
        ("photos", "n", [0, -1, 2.5, "10"]),
        ("shapes", "size", [31, 257, 64.0]),
        ("shapes", "n", [0, -1, 2.5, "10"]),
    ],
)
def test_a_value_out_of_its_domain_is_refused_by_name(name, argument, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{argument} must be.* not {re.escape(repr(value))}"):
            load(name, **{argument: value})


def test_more_patches_than_a_photograph_has_are_refused(monkeypatch):
    few = [photo for photo in PHOTOGRAPHS if photo.name in {"coins", "gravel", "camera"}]
    monkeypatch.setattr("vae_helpers.data.photos.PHOTOGRAPHS", few)
    places = (303 - 255) * (384 - 255)
    with pytest.raises(ValueError, match=f"n={places + 1} is too large: coins has {places} patches of 256 x 256"):
        load("photos", size=256, colour=False, n=places + 1)


def test_a_split_carries_its_factors_along():
    factors = torch.rand(3, 2)
    split = Split(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(3).long(), torch.arange(3), factors)
    assert torch.equal(split[1:].factors, factors[1:])
    assert torch.equal(split[torch.tensor([True, False, True])].factors, factors[[0, 2]])
    assert torch.equal(split.to("cpu").factors, factors)
    assert Split(split.images, split.labels, split.index)[:2].factors is None
    with pytest.raises(ValueError, match="3 images and 2 rows of factors do not match"):
        Split(split.images, split.labels, split.index, factors[:2])


@pytest.fixture
def few_faces(monkeypatch):
    """Makes `load("faces", n=40)` quick: 20 validation and 30 test portraits."""
    monkeypatch.setattr(drawn_faces, "SIZES", {"train": 40, "validation": 20, "test": 30})


def test_faces_are_as_many_as_promised():
    data = load("faces", size=32, n=5)
    assert [len(getattr(data, part)) for part in PARTS] == [5, 1000, 2000]
    assert drawn_faces.load_faces.__defaults__ == (64, "flat", 10_000, None, 16)
    assert data.levels == 256 and data.classes == ("without glasses", "with glasses")


def test_the_factors_of_a_face_draw_exactly_its_picture(few_faces):
    data = load("faces", size=48, style="soft", n=40)
    assert data.image_shape == (3, 48, 48) and data.factor_names == faces.NAMES
    for part in PARTS:
        split = getattr(data, part)
        assert torch.equal(faces.render(split.factors, 48, "soft"), split.images)
        assert torch.equal(split.labels, split.factors[:, faces.NAMES.index("glasses")].long())
        assert set(split.labels.tolist()) == {0, 1}


def test_faces_of_two_splits_have_no_factors_in_common(few_faces):
    data = load("faces", size=32, n=40)
    rows = torch.cat([getattr(data, part).factors for part in PARTS])
    assert len(rows) == 90 == len(rows.unique(dim=0))
    columns = [i for i, name in enumerate(faces.NAMES) if name != "glasses"]
    for i in columns:
        assert len(rows[:, i].unique()) == 90, faces.NAMES[i]


def test_sets_of_faces_share_a_style_that_no_other_set_has_and_nobody_is_in_two(few_faces):
    data = load("faces", size=32, styles=7, per_style=5)
    assert [len(getattr(data, part)) for part in PARTS] == [35, 20, 30]
    assert data.factor_names == (*faces.NAMES, *styles.NAMES) and data.classes == ()
    people, ways = [], []
    for part in PARTS:
        split = getattr(data, part)
        factors, shown = split.factors.tensor_split([14], 1)
        assert torch.equal(faces.render(factors, 32, shown), split.images)
        assert torch.equal(split.labels, torch.arange(len(split) // 5).repeat_interleave(5))
        by_set = shown.unflatten(0, (-1, 5))
        assert torch.equal(by_set, by_set[:, :1].expand_as(by_set)) and (shown[:, -1] == 0).all()  # nothing is hatched
        people.append(factors), ways.append(by_set[:, 0])
    assert len(torch.cat(people).unique(dim=0)) == 85 and len(torch.cat(ways).unique(dim=0)) == 17
    flat = load("faces", size=32, n=40)
    assert torch.equal(flat.test.factors, people[-1]) and torch.equal(flat.train.factors[:35], people[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"styles": 3, "style": "soft"}, "leave out style and n"),
        ({"styles": 3, "n": 10}, "leave out style and n"),
        ({"per_style": 4}, "give the number of styles too"),
        ({"styles": 0}, "styles must be a whole number"),
        ({"styles": 2, "per_style": 1001}, "per_style must be a whole number from 1 to 1000"),
    ],
)
def test_sets_of_faces_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        load("faces", size=32, **given)


def test_faces_are_the_same_each_time_in_every_size_and_style_and_leave_the_random_state_alone(few_faces):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again = load("faces", size=32, n=40), load("faces", size=32, n=40)
    other = load("faces", size=40, style="mosaic", n=40)
    assert torch.equal(before, torch.get_rng_state())
    for part in PARTS:
        a, b, c = (getattr(data, part) for data in (first, again, other))
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.factors, c.factors) and torch.equal(a.index, c.index)
        small = torch.nn.functional.adaptive_avg_pool2d(torch.cat([a.images, a.images.flip(0)]).float(), 4)
        large = torch.nn.functional.adaptive_avg_pool2d(torch.cat([c.images, c.images]).float(), 4)
        same, mixed = (small - large).abs().mean((1, 2, 3)).chunk(2)
        assert same.mean() < mixed.mean() / 2  # the same portraits, drawn otherwise


def test_fewer_faces_are_the_first_of_more(few_faces):
    more, fewer = load("faces", size=32, n=40), load("faces", size=32, n=7)
    assert torch.equal(fewer.train.images, more.train.images[:7])
    assert torch.equal(fewer.train.index, more.train.index[:7])
    assert torch.equal(fewer.test.images, more.test.images)


@pytest.fixture
def few_scenes(monkeypatch):
    """Makes `load("scenes", n=40)` quick: 20 validation and 30 test scenes."""
    monkeypatch.setattr(drawn_scenes, "SIZES", {"train": 40, "validation": 20, "test": 30})


def shapes_of(split):
    things = scenes.parts(split.factors)[0]
    there, shape = (things[..., scenes.SPRITE_NAMES.index(name)] for name in ("there", "shape"))
    return {scenes.SHAPES[int(i)] for i in shape[there > 0].unique()}


def test_scenes_are_as_many_as_promised():
    data = load("scenes", size=32, n=5)
    assert [len(getattr(data, part)) for part in PARTS] == [5, 1000, 2000]
    assert drawn_scenes.load_scenes.__defaults__ == (64, "plain", (), 10_000)
    assert data.levels == 256 and data.image_shape == (3, 32, 32) and data.factor_names == scenes.NAMES


def test_the_factors_of_a_scene_draw_exactly_its_picture_and_its_label_counts_sprites(few_scenes):
    data = load("scenes", size=48, kind="transparent", n=40)
    for part in PARTS:
        split = getattr(data, part)
        assert torch.equal(scenes.render(split.factors, 48), split.images)
        count = (scenes.masks(split.factors, 32).amodal.sum((2, 3)) > 0).sum(1)
        words = [data.classes[label] for label in split.labels.tolist()]
        assert words == [f"{('two', 'three', 'four')[c - 2]} sprites" for c in count.tolist()]
        assert set(split.labels.tolist()) == {0, 1, 2}


def test_scenes_of_two_splits_differ_and_are_the_same_each_time_in_every_kind(few_scenes):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    data, again, fewer = load("scenes", size=32, n=40), load("scenes", size=32, n=40), load("scenes", size=32, n=7)
    other = load("scenes", size=40, kind="transparent", n=40)
    assert torch.equal(before, torch.get_rng_state())
    places = torch.cat([getattr(data, part).factors[:, scenes.index("sprite1_x")] for part in PARTS])
    assert len(places.unique()) == 90
    for part in PARTS:
        a, b, c = (getattr(d, part) for d in (data, again, other))
        assert torch.equal(a.images, b.images) and torch.equal(a.index, c.index)
        changed = {scenes.NAMES[i].split("_")[1] for i in (a.factors != c.factors).any(0).nonzero().flatten()}
        assert changed == {"texture", "opacity"}
    assert torch.equal(fewer.train.images, data.train.images[:7])
    assert torch.equal(fewer.test.images, data.test.images)


def test_unseen_shapes_are_in_the_test_split_alone(few_scenes):
    assert shapes_of(load("scenes", size=32).test) == set(scenes.SHAPES)
    data = load("scenes", size=32, unseen=("heart", "star"), n=40)
    assert shapes_of(data.test) == {"heart", "star"}
    assert shapes_of(data.train) == shapes_of(data.validation) == set(scenes.SHAPES) - {"heart", "star"}
    with pytest.raises(ValueError, match=r"each of unseen must be one of disc.*Did you mean 'heart'"):
        load("scenes", unseen=("hart",))
    with pytest.raises(ValueError, match="unseen must be a tuple of some of disc"):
        load("scenes", unseen="heart")
    with pytest.raises(ValueError, match="unseen must leave a shape to train on"):
        load("scenes", unseen=scenes.SHAPES)


@pytest.fixture
def few_shapes(monkeypatch):
    """Makes `load("shapes", n=20)` quick: 8 validation and 10 test objects."""
    monkeypatch.setattr(drawn_shapes, "OBJECTS", {"train": 20, "validation": 8, "test": 10})


def test_shapes_are_as_many_as_promised():
    data = load("shapes", size=32, n=3)
    assert [len(getattr(data, part)) for part in PARTS] == [4 * 3, 4 * 50, 4 * 100]
    assert drawn_shapes.load_shapes.__defaults__ == (64, 1000)
    assert data.levels == 256 and data.classes == ("mug", "chair", "bird", "house")


def test_the_factors_of_a_shape_draw_exactly_its_picture_and_four_views_in_a_row_show_one_object(few_shapes):
    data = load("shapes", size=40, n=20)
    assert data.image_shape == (3, 40, 40) and data.factor_names == shapes.NAMES
    for part in PARTS:
        split = getattr(data, part)
        assert torch.equal(shapes.render(split.factors, 40), split.images)
        assert torch.equal(split.labels, split.factors[:, 0].long())
        objects = split.factors[:, : len(shapes.OBJECT)].unflatten(0, (-1, 4))
        assert torch.equal(objects, objects[:, :1].expand_as(objects))
        assert torch.equal(split.index // 4, split.index[::4].div(4).long().repeat_interleave(4))
        views = split.factors[:, len(shapes.OBJECT) :]
        assert len(views.unique(dim=0)) == len(split)


def test_shapes_of_two_splits_have_no_object_and_no_view_in_common(few_shapes):
    data = load("shapes", size=32, n=20)
    rows = torch.cat([getattr(data, part).factors for part in PARTS])
    assert len(rows[:, 1 : len(shapes.OBJECT)].unique(dim=0)) == 38
    for i, name in enumerate(shapes.NAMES[1:], 1):
        assert len(rows[:, i].unique()) == (38 if name in shapes.OBJECT else 4 * 38), name
    assert len(torch.cat([getattr(data, part).index // 4 for part in PARTS]).unique()) == 38


def test_fewer_shapes_are_the_first_of_more_and_the_same_each_time_and_in_every_size(few_shapes):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    more, fewer, other = load("shapes", size=32, n=20), load("shapes", size=32, n=7), load("shapes", size=48, n=20)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(fewer.train.images, more.train.images[: 4 * 7])
    assert torch.equal(fewer.train.index, more.train.index[: 4 * 7])
    assert torch.equal(fewer.test.images, more.test.images)
    for part in PARTS:
        assert torch.equal(getattr(more, part).factors, getattr(other, part).factors)
        assert torch.equal(getattr(more, part).index, getattr(other, part).index)


def test_every_photograph_is_there_in_one_split_with_its_credit_and_licence():
    names = [photo.name for photo in PHOTOGRAPHS]
    assert len(set(names)) == len({photo.file for photo in PHOTOGRAPHS}) == len(names)
    found = {part: photographs(part, colour=False) for part in PARTS}
    assert sorted(name for images in found.values() for name in images) == sorted(names)
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    about = load("photos", colour=False, n=1).about
    for photo in PHOTOGRAPHS:
        assert photo.credit and re.fullmatch(
            r"CC0|CC BY 2\.0|public domain|no known copyright restrictions", photo.licence
        )
        assert photo.name in found[photo.split]
        assert str(photo) in photo_credits().splitlines() and str(photo) in about
        assert str(photo) in readme, f"README.md does not credit {photo}"


def test_photographs_are_those_that_the_packages_show():
    import skimage.data
    from sklearn.datasets import load_sample_image

    train, test = photographs("train"), photographs("test")
    assert list(train) == ["astronaut", "china", "hubble", "retina"] and list(test) == ["chelsea", "coffee"]
    assert torch.equal(train["astronaut"][0].permute(1, 2, 0), torch.from_numpy(skimage.data.astronaut()))
    assert torch.equal(test["chelsea"][0].permute(1, 2, 0), torch.from_numpy(skimage.data.chelsea()))
    assert torch.equal(train["china"][0].permute(1, 2, 0), torch.tensor(load_sample_image("china.jpg")))
    camera = photographs("test", colour=False)["camera"]
    assert torch.equal(camera[0, 0], torch.from_numpy(skimage.data.camera()))


def test_grey_is_the_luma_of_the_stored_colours():
    colour, grey = photographs("test")["chelsea"].double(), photographs("test", colour=False)["chelsea"]
    luma = 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2]
    assert grey.shape == (1, 1, *colour.shape[2:]) and grey.dtype == torch.uint8
    assert (grey[:, 0].double() - luma).abs().max() <= 0.5 + 1e-9


def test_an_unknown_split_of_photographs_is_refused():
    with pytest.raises(ValueError, match="split must be one of train, validation, test, not 'tset'"):
        photographs("tset")


@pytest.mark.parametrize("colour", [True, False])
def test_a_patch_is_cut_from_its_photograph_at_the_place_that_its_index_names(colour):
    data = load("photos", size=40, colour=colour, n=70)
    assert [len(getattr(data, part)) for part in PARTS] == [70, 200, 400]
    for part in PARTS:
        split, whole = getattr(data, part), photographs(part, colour)
        counts = split.labels.bincount(minlength=len(data.classes))
        assert {data.classes[i] for i in counts.nonzero().flatten()} == set(whole)
        assert counts[counts > 0].max() - counts[counts > 0].min() <= 1  # spread evenly
        for image, label, index in zip(split.images, split.labels.tolist(), split.index.tolist(), strict=True):
            row, top, left = index // 10**8, index // 10**4 % 10**4, index % 10**4
            name = data.classes[label]
            assert PHOTOGRAPHS[row].name == name and PHOTOGRAPHS[row].split == part
            assert torch.equal(image, whole[name][0, :, top : top + 40, left : left + 40])


def test_patches_have_contrast_and_are_spread_over_the_photograph():
    data = load("photos", n=200)
    for part in PARTS:
        split = getattr(data, part)
        luma = torch.einsum("nchw,c->nhw", split.images.double(), torch.tensor([0.299, 0.587, 0.114]).double())
        assert luma.flatten(1).std(dim=1).min() > 8 - 0.3  # the rounding of grey values
        for label in split.labels.unique():
            index = split.index[split.labels == label]
            height, width = photographs(part)[data.classes[label]].shape[2:]
            for start, extent in ((index // 10**4 % 10**4, height), (index % 10**4, width)):
                assert start.min() < 0.25 * extent and start.max() + 64 > 0.75 * extent


def test_patches_are_the_same_each_time_fewer_are_the_first_and_the_random_state_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    more, fewer = load("photos", n=50), load("photos", n=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(fewer.train.images, more.train.images[:3])
    assert torch.equal(fewer.test.images, more.test.images)


def test_built_in_data_ask_for_no_network(few_faces, few_scenes, monkeypatch):
    import socket

    def no_network(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr("skimage.data._fetchers._fetch", no_network)  # what downloads, where pooch is installed
    for name, n in (("digits", None), ("faces", 5), ("photos", 5), ("scenes", 5), ("shapes", 5)):
        assert load(name, n=n).name == name


def test_a_photograph_that_is_not_installed_is_named_with_a_cure(monkeypatch):
    missing = dataclasses.replace(PHOTOGRAPHS[0], file="skimage/data/absent.png")
    monkeypatch.setattr("vae_helpers.data.photos.PHOTOGRAPHS", (missing, *PHOTOGRAPHS[1:]))
    with pytest.raises(FileNotFoundError, match=r"'astronaut'.*skimage/data/absent\.png.*constraints\.txt"):
        photographs("train")


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
