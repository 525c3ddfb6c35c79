"""docs/gallery.md shows what tools/gallery.py makes, with the numbers that were measured, and the script runs."""

import re
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tools import gallery
from vae_helpers.data import faces as drawn_faces
from vae_helpers.models.scenes import compose, visible_shares
from vae_helpers.rendering import captions, faces, scenes

PAGE = (gallery.ROOT / "docs" / "gallery.md").read_text("utf-8")
SHOWN = {m[2]: m[1] for m in re.finditer(r"!\[([^\]]*)\]\(images/gallery_(\w+)\.png\)", PAGE)}
ELSEWHERE = {"celeba"}  # its licence keeps pictures of it out of the repository
each_picture = pytest.mark.parametrize("name", SHOWN)


def section(name):
    """The part of the page that shows a picture, as one line."""
    (part,) = (part for part in re.split(r"^#+ ", PAGE, flags=re.M) if f"gallery_{name}.png)" in part)
    return " ".join(part.split())


def path(name):
    return gallery.IMAGES / f"gallery_{name}.png"


def test_the_page_shows_all_pictures_that_the_script_makes():
    assert set(SHOWN) == set(gallery.PICTURES) - ELSEWHERE
    assert {file.stem for file in gallery.IMAGES.glob("gallery_*")} == {f"gallery_{name}" for name in SHOWN}


@each_picture
def test_a_picture_is_small_and_described_in_words(name):
    with Image.open(path(name)) as picture:
        assert picture.format == "PNG" and picture.width >= 900
    assert path(name).stat().st_size <= 150_000
    assert 40 <= len(SHOWN[name]) <= 600


def test_all_pictures_together_are_small():
    assert sum(path(name).stat().st_size for name in SHOWN) <= 950_000


@each_picture
def test_its_numbers_are_those_that_were_measured_when_it_was_made(name):
    with Image.open(path(name)) as picture:
        measured, seconds = picture.text["Measured"], picture.text["Seconds"]
    assert f"Measured: {measured}." in section(name), f"the page has to say of {name}: Measured: {measured}."
    assert f"{seconds} s" in section(name), f"{name} took {seconds} s"


@each_picture
def test_the_command_that_makes_it_is_understood(name):
    (command,) = re.findall(rf"`python -m tools\.gallery ([^`]*--only {name})`", section(name)) or [""]
    options = gallery.parser().parse_args(command.split())
    assert options.only == [name], f"the page does not say how {name} is made"
    assert gallery.PICTURES[name].data in gallery.given(options)


def test_readme_leads_to_the_page():
    assert "](docs/gallery.md)" in (gallery.ROOT / "README.md").read_text("utf-8")


# --- the script ---


@pytest.fixture
def few_portraits(monkeypatch):
    """Sixty portraits to test on in place of two thousand."""
    monkeypatch.setattr(drawn_faces, "SIZES", {"train": 60, "validation": 20, "test": 60})


@pytest.fixture
def folders(tmp_path):
    """Files in Fashion-MNIST's format and a folder of drawn faces in place of CelebA."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, n in (("train", 40), ("t10k", 30)):
        for kind, values in (
            ("images-idx3", torch.randint(0, 256, (n, 28, 28), generator=generator)),
            ("labels-idx1", torch.arange(n) % 10),
        ):
            head = struct.pack(f">BBBB{values.dim()}I", 0, 0, 8, values.dim(), *values.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(head + values.to(torch.uint8).numpy().tobytes())
    (tmp_path / "people").mkdir()
    for place, picture in enumerate(faces.render(faces.sample(60), 32)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / "people" / f"{place:06}.jpg")
    return ["--fashion", str(tmp_path), "--celeba", str(tmp_path / "people")]


def test_the_quick_mode_makes_every_picture(few_portraits, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_HELPERS_CACHE", "off")
    gallery.main(["--quick", "--folder", str(tmp_path / "made"), *folders])
    made = {file.stem.removeprefix("gallery_"): file for file in (tmp_path / "made").iterdir()}
    assert set(made) == set(gallery.PICTURES)
    for name, file in made.items():
        with Image.open(file) as picture:
            assert {"Measured", "Seconds"} <= set(picture.text) and len(picture.convert("RGB").getcolors(10**6)) > 20
            assert re.search(r"\d\.\d\d", picture.text["Measured"]) and "nan" not in picture.text["Measured"], name


def test_a_picture_looks_the_same_at_each_making(few_portraits, tmp_path):
    for folder in ("one", "two"):
        gallery.main(["--quick", "--only", "walk", "--folder", str(tmp_path / folder)])
    first, second = (Image.open(tmp_path / folder / "gallery_walk.png") for folder in ("one", "two"))
    assert first.text["Measured"] == second.text["Measured"] and first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "fashion"], "needs --fashion FOLDER"),
        (["--quick"], "needs --folder"),
        (["--only", "sculpture"], "invalid choice"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_trained(arguments, message, capsys):
    with pytest.raises(SystemExit):
        gallery.main(arguments)
    assert message in capsys.readouterr().err


def test_pixels_are_enlarged_whole_and_rows_are_filled_with_paper():
    row = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    picture = gallery.as_image(row, most=3, enlarged=2)
    assert picture.size == (3 * 8 + 2 * gallery.GAP, 8)
    pixels = torch.from_numpy(np.array(picture)).float() / 255
    assert torch.allclose(pixels[::2, :8:2, 0], row[0, 0], atol=0.003)
    assert torch.equal(pixels[::2, :8:2], pixels[1::2, 1:8:2])
    assert (pixels[:, -8:] == 1).all()


def test_four_pictures_become_one_of_twice_their_size_and_one_is_doubled():
    sets = torch.arange(2 * 4 * 3 * 2 * 5.0).view(2, 4, 3, 2, 5)
    one = gallery.in_fours(sets)
    quarters = [one[:, :, :2, :5], one[:, :, :2, 5:], one[:, :, 2:, :5], one[:, :, 2:, 5:]]
    assert one.shape == (2, 3, 4, 10) and all(torch.equal(q, sets[:, k]) for k, q in enumerate(quarters))
    twice = gallery.doubled(sets[:, 0])
    assert twice.shape == one.shape
    assert all(torch.equal(twice[..., i::2, j::2], sets[:, 0]) for i in (0, 1) for j in (0, 1))


def test_a_portrait_is_seen_in_the_company_it_is_given():
    class Follower:
        """Paints each picture less the mean of its batch, and a half."""

        def encode(self, x):
            return SimpleNamespace(mean=x - x.mean(0) + 0.5)

        def decode(self, z):
            return SimpleNamespace(mean=z)

    own, others = torch.full((2, 1, 2, 2), 200, dtype=torch.uint8), torch.full((7, 1, 2, 2), 100, dtype=torch.uint8)
    assert torch.allclose(gallery.among(Follower(), own, None), torch.full((2, 1, 2, 2), 0.5))
    assert torch.allclose(gallery.among(Follower(), own, others), torch.full((2, 1, 2, 2), 0.5 + 7 / 8 * 100 / 255))


def test_a_layer_is_taken_away_or_raised_and_the_background_stays():
    layers = torch.arange(2 * 4.0).view(2, 4, 1, 1, 1).expand(2, 4, 4, 2, 2) + 1
    one, none = torch.tensor([2, 0])
    gone = gallery.without(layers, torch.stack([one, none]))
    assert (gone[0, 2] == 0).all() and torch.equal(gone[0, [0, 1, 3]], layers[0, [0, 1, 3]])
    raised = gallery.to_front(layers, torch.stack([one, none]))
    assert torch.equal(raised[0], layers[0, [0, 1, 3, 2]])
    assert torch.equal(gone[1], layers[1]) and torch.equal(raised[1], layers[1])


def test_what_is_carried_over_makes_the_picture_again_where_one_layer_is_seen():
    true = scenes.layers(gallery.overlapping("textured", 3, 1), 64)
    x = compose(true)
    layers = torch.cat([0.9 * true[:, :, :3], true[:, :, 3:]], 2)  # darker than they are
    alone = visible_shares(true[:, :, 3]).amax(1, keepdim=True) > 0.9
    made = compose(gallery.carried(x, layers))
    assert (
        alone.float().mean() > 0.9
        and ((made - x) * alone).abs().max() < 0.02 < ((compose(layers) - x) * alone).abs().max()
    )
    assert torch.equal(gallery.carried(x, layers)[:, :, 3], true[:, :, 3])


def test_scenes_of_the_gallery_have_three_things_and_two_pairs_that_overlap():
    factors = gallery.overlapping("plain", 5, 2)
    assert len(factors) == 5 and (scenes.parts(factors)[0][..., 0].sum(1) == 3).all()
    assert (scenes.overlaps(factors, 64).flatten(1).sum(1) >= 2).all()


def test_a_sentence_stands_above_each_row_in_letters_that_fit():
    row = torch.full((2, 3, 64, 64), 0.5)
    plain = gallery.drawn(gallery.Board([row, row], ""))
    told = gallery.drawn(gallery.Board([row, row], "", sentences=("a portrait with glasses", "a portrait")))
    over = (told.height - plain.height) // 2
    assert told.width == plain.width and over >= gallery.LETTERS
    ink = np.array(told.convert("L")) < 100
    high = plain.height // 2
    for top in (0, over + high + gallery.GAP):
        assert ink[top : top + over].any() and not ink[top + over : top + over + high - gallery.GAP].any()
    assert not ink[:, :4].any() and not ink[:, -4:].any(), "the letters are cut off"


def test_the_sentences_of_the_gallery_are_understood():
    asked = [captions.read(sentence) for sentence in gallery.SENTENCES]
    assert len(asked) == 4 and all(len(things) >= 3 for things in asked)
