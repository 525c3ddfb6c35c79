"""A folder of pictures as people have them: each file is loaded as what it shows, or listed with the reason."""

import json
import logging
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, features

from benchmarks.folder_scale import stand_in
from vae_helpers import load
from vae_helpers.data import decoding, picture_cache, picture_file
from vae_helpers.data import folder as folder_module

PARTS = ("train", "validation", "test")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """No progress bar, and a cache of this test's own."""
    monkeypatch.setenv("VAE_HELPERS_STATIC", "1")
    monkeypatch.setenv("VAE_HELPERS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def here(tmp_path):
    """A folder with twelve good pictures, `good00.png` to `good11.png`: enough for three splits."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    fill(folder, 12)
    return folder


def fill(folder, n, name="good{:02}.png", start=0):
    for i in range(start, start + n):
        noise(i).save(folder / name.format(i))


def noise(seed, size=8):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def flat(mode, colour, size=(8, 8)):
    return Image.new(mode, size, colour)


def picture(data, name):
    """uint8 (C, H, W) of the file with this name."""
    place = data.files.index(name)
    found = [split.images[split.index == place] for split in (getattr(data, part) for part in PARTS)]
    (image,) = torch.cat(found)
    return image


def colour_of(data, name):
    """The one colour that all pixels of a picture have, up to 2 levels."""
    image = picture(data, name).flatten(1).int()
    assert (image.max(1).values - image.min(1).values).max() <= 2, f"{name} is not of one colour"
    return image.float().mean(1).tolist()


def split_of(data):
    """File name -> split."""
    return {data.files[i]: part for part in PARTS for i in getattr(data, part).index.tolist()}


def encoded(image, format, **options):
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# --- what is in a file -------------------------------------------------------------------------------------------


def test_pictures_of_the_right_size_are_what_the_files_hold(here):
    data = load("folder", here, size=8)
    assert data.image_shape == (3, 8, 8) and data.levels == 256 and data.name == "folder"
    assert sorted(data.files) == [f"good{i:02}.png" for i in range(12)] and not data.skipped
    for i in range(12):
        expected = torch.from_numpy(np.array(noise(i))).permute(2, 0, 1)
        assert torch.equal(picture(data, f"good{i:02}.png"), expected)
    assert load("folder", here).image_shape == (3, 64, 64)
    assert torch.equal(load("folder", str(here), size=8).train.images, data.train.images)


# The EXIF table: on which side of the upright picture the first row lies, and on which the first column.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
CORNERS = {("top", "left"): 250, ("top", "right"): 180, ("bottom", "left"): 100, ("bottom", "right"): 20}


def test_pictures_stand_upright_whichever_way_the_camera_was_held(here):
    for orientation, (row, column) in SIDES.items():
        corners = [
            [(row, column), (row, OPPOSITE[column])],
            [(OPPOSITE[row], column), (OPPOSITE[row], OPPOSITE[column])],
        ]
        levels = [[CORNERS.get(corner) or CORNERS[corner[::-1]] for corner in line] for line in corners]
        stored = Image.fromarray(np.kron(levels, np.ones((32, 32))).astype(np.uint8)).convert("RGB")
        exif = Image.Exif()
        exif[0x0112] = orientation
        for format in ("JPEG", "PNG", "WEBP", "TIFF"):
            stored.save(here / f"{format}{orientation}", format, exif=exif, quality=95)
    data = load("folder", here, size=16)
    for format in ("JPEG", "PNG", "WEBP", "TIFF"):
        for orientation in SIDES:
            image = picture(data, f"{format}{orientation}")[0].float()
            seen = [image[:6, :6].mean(), image[:6, 10:].mean(), image[10:, :6].mean(), image[10:, 10:].mean()]
            assert seen == pytest.approx(list(CORNERS.values()), abs=4), (format, orientation)


def test_a_damaged_exif_note_does_not_spoil_the_picture(here):
    notes = [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0no TIFF at all", b"Exif\0\0"]
    notes.append(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0abcd" + bytes(4))  # turned by "a"
    for i, note in enumerate(notes):
        for format in ("JPEG", "PNG"):
            flat("RGB", (9, 99, 199)).save(here / f"{format}{i}", format, exif=note)
    data = load("folder", here, size=8)
    for name in sorted(set(data.files) - {f"good{i:02}.png" for i in range(12)}):
        assert colour_of(data, name) == pytest.approx([9, 99, 199], abs=3)
    assert len(data.files) == 12 + 2 * len(notes)


def tiff(values, bits, zero_is_white=False):
    """A grey TIFF of one row, little-endian, by hand: Pillow does not write these."""
    if bits == 12:
        number = 0
        for value in values:
            number = number << 12 | value
        strip = number.to_bytes(len(values) * 12 // 8, "big")
    else:
        strip = struct.pack(f"<{len(values)}H", *values)
    tags = [(256, len(values)), (257, 1), (258, bits), (259, 1), (262, 0 if zero_is_white else 1)]
    tags += [(273, 8), (277, 1), (278, 1), (279, len(strip))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", tag, 4, 1, v) for tag, v in tags)
    return struct.pack("<2sHL", b"II", 42, 8 + len(strip)) + strip + directory + bytes(4)


@pytest.mark.parametrize("colour", [True, False])
def test_sixteen_bits_are_scaled_and_not_clipped(here, colour):
    for level in (0, 1, 64, 128, 200, 255):
        grey = Image.fromarray(np.full((8, 8), 257 * level, dtype=np.uint16))
        grey.save(here / f"{level}.png")
        grey.save(here / f"{level}.tif")
        grey.save(here / f"{level}.pgm")
        big_endian = Image.frombytes("I;16B", (8, 8), np.full((8, 8), 257 * level, dtype=">u2").tobytes())
        big_endian.save(here / f"{level}b.tif")
        Image.fromarray(np.full((8, 8), level / 255, dtype=np.float32)).save(here / f"{level}f.tif")
        (here / f"{level}twelve.tif").write_bytes(tiff([round(level / 255 * 4095)] * 8, 12))
        (here / f"{level}white.tif").write_bytes(tiff([65535 - 257 * level] * 8, 16, zero_is_white=True))
    Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)).save(here / "middle.png")
    data = load("folder", here, size=8, colour=colour)
    channels = 3 if colour else 1
    for level in (0, 1, 64, 128, 200, 255):
        for end in (".png", ".tif", ".pgm", "b.tif", "f.tif", "twelve.tif", "white.tif"):
            assert colour_of(data, f"{level}{end}") == pytest.approx([level] * channels, abs=0.01), end
    assert colour_of(data, "middle.png") == pytest.approx([128] * channels, abs=1)


def test_a_smooth_ramp_of_sixteen_bits_stays_smooth_when_resized(here):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(256, 0)
    Image.fromarray(ramp).save(here / "ramp.png")
    row = picture(load("folder", here, size=32), "ramp.png")[0, 16].float()
    assert row.tolist() == pytest.approx([255 * (i + 0.5) / 32 for i in range(32)], abs=3)


def test_numbers_without_a_known_white_are_listed(here):
    Image.fromarray(np.full((8, 8), 70_000, dtype=np.int32)).save(here / "science.tif")
    Image.fromarray(np.full((8, 8), -3.5, dtype=np.float32)).save(here / "height.tif")
    Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)).save(here / "nan.tif")
    skipped = load("folder", here, size=8).skipped
    assert set(skipped) == {"science.tif", "height.tif", "nan.tif"}
    assert all(reason.startswith("has numbers of unknown white") for reason in skipped.values())


RED, HALF = (255, 0, 0), (255, 0, 0, 128)  # HALF over white is (255, 127, 127)


def palette(transparency=None):
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 200, 250, 250, 250])
    return {"image": image} | ({} if transparency is None else {"transparency": transparency})


def transparent_corner():
    """Left half opaque blue of a palette, right half transparent."""
    image = palette()["image"]
    image.paste(0, (4, 0, 8, 8))
    return image


KINDS = {  # file name -> format, picture, what to save it with, the colour that it shows
    "one_bit.png": ("PNG", flat("1", 1), {}, (255, 255, 255)),
    "grey.jpg": ("JPEG", flat("L", 77), {}, (77, 77, 77)),
    "grey_alpha.png": ("PNG", flat("LA", (0, 128)), {}, (127, 127, 127)),
    "palette.png": ("PNG", palette()["image"], {}, (10, 20, 200)),
    "palette_transparent.png": ("PNG", palette()["image"], {"transparency": 1}, (255, 255, 255)),
    "palette_half.png": ("PNG", palette()["image"], {"transparency": b"\xff\x80\xff"}, (132, 137, 227)),
    "palette.gif": ("GIF", palette()["image"], {}, (10, 20, 200)),
    "palette_transparent.gif": ("GIF", palette()["image"], {"transparency": 1}, (255, 255, 255)),
    "rgb_transparent.png": ("PNG", flat("RGB", (7, 8, 9)), {"transparency": (7, 8, 9)}, (255, 255, 255)),
    "half.png": ("PNG", flat("RGBA", HALF), {}, (255, 127, 127)),
    "half.webp": ("WEBP", flat("RGBA", HALF), {"lossless": True}, (255, 127, 127)),
    "half.tif": ("TIFF", flat("RGBA", HALF), {}, (255, 127, 127)),
    "invisible.png": ("PNG", flat("RGBA", (9, 9, 9, 0)), {}, (255, 255, 255)),
    "cmyk.jpg": ("JPEG", flat("CMYK", (0, 255, 255, 0)), {}, RED),
    "cmyk.tif": ("TIFF", flat("CMYK", (0, 255, 255, 0)), {}, RED),
    "cmyk_black.jpg": ("JPEG", flat("CMYK", (0, 0, 0, 255)), {}, (0, 0, 0)),
    "ycbcr.tif": ("TIFF", flat("RGB", RED).convert("YCbCr"), {}, RED),
    "lab.tif": ("TIFF", flat("LAB", (136, 208, 195)), {}, (252, 2, 11)),
    "picture.bmp": ("BMP", flat("RGB", (1, 2, 3)), {}, (1, 2, 3)),
    "picture.ppm": ("PPM", flat("RGB", (1, 2, 3)), {}, (1, 2, 3)),
    "packed.tif": ("TIFF", flat("RGB", (1, 2, 3)), {"compression": "tiff_lzw"}, (1, 2, 3)),
    "progressive.jpg": ("JPEG", flat("RGB", (60, 160, 60)), {"progressive": True}, (60, 160, 60)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_mode_comes_out_in_its_colour(here, name):
    format, image, options, colour = KINDS[name]
    image.save(here / name, format, **options)
    data = load("folder", here, size=8)
    assert colour_of(data, name) == pytest.approx(list(colour), abs=2)


@pytest.mark.parametrize(("format", "feature"), [("AVIF", "avif"), ("JPEG2000", "jpg_2000")])
def test_formats_that_not_every_pillow_reads(here, format, feature):
    if not features.check(feature):
        pytest.skip(f"this Pillow does not read {format}")
    flat("RGB", (60, 160, 60)).save(here / "picture", format, quality=95 if format == "AVIF" else None)
    assert colour_of(load("folder", here, size=8), "picture") == pytest.approx([60, 160, 60], abs=3)


def test_a_format_that_this_pillow_lacks_is_listed(here, monkeypatch):
    flat("RGB", RED).save(here / "picture.webp")
    Image.init()
    monkeypatch.delitem(Image.OPEN, "WEBP")
    assert load("folder", here, size=8).skipped == {"picture.webp": "no picture in a format read here"}


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_of_an_animation_the_first_frame_is_taken(here, format):
    others = [flat("RGB", (0, 0, 255)), flat("RGB", (0, 255, 0))]
    options = {"lossless": True} if format == "WEBP" else {}
    flat("RGB", RED).save(here / "film", format, save_all=True, append_images=others, **options)
    assert colour_of(load("folder", here, size=8), "film") == pytest.approx(RED, abs=2)


def test_transparent_pixels_show_the_background_that_was_asked_for(here):
    transparent_corner().save(here / "corner.png", transparency=0)
    image = picture(load("folder", here, size=8, background=(1, 200, 3)), "corner.png")
    assert image[:, 4, 0].tolist() == [10, 20, 200] and image[:, 4, 7].tolist() == [1, 200, 3]
    assert picture(load("folder", here, size=8, background=40), "corner.png")[:, 4, 7].tolist() == [40] * 3


def test_colours_of_invisible_pixels_do_not_bleed_into_visible_ones(here):
    pixels = np.zeros((64, 64, 4), dtype=np.uint8)
    pixels[..., 0] = 255  # red everywhere, visible nowhere ...
    pixels[:, ::2] = (0, 0, 255, 255)  # ... but for blue stripes
    Image.fromarray(pixels).save(here / "stripes.png")
    red, green, blue = picture(load("folder", here, size=16), "stripes.png").float().mean((1, 2)).tolist()
    assert blue == pytest.approx(255, abs=2) and red == pytest.approx(green, abs=2) == pytest.approx(127, abs=4)


def test_grey_is_the_luma_of_the_colours(here):
    flat("RGB", (200, 100, 50)).save(here / "colour.png")
    data = load("folder", here, size=8, colour=False)
    assert data.image_shape == (1, 8, 8)
    assert colour_of(data, "colour.png") == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def landscape(wide=96, high=32):
    """Left third red, middle third green, right third blue."""
    pixels = np.zeros((high, wide, 3), dtype=np.uint8)
    for i in range(3):
        pixels[:, i * wide // 3 : (i + 1) * wide // 3, i] = 255
    return Image.fromarray(pixels)


def test_crop_keeps_the_middle_and_pad_keeps_all(here):
    landscape().save(here / "wide.png")
    landscape().transpose(Image.Transpose.ROTATE_270).save(here / "high.png")  # red at the top
    crop = load("folder", here, size=32)
    for name in ("wide.png", "high.png"):
        assert picture(crop, name)[:, 4:28, 4:28].flatten(1).float().mean(1).tolist() == [0, 255, 0]
    pad = load("folder", here, size=48, fit="pad", background=(9, 8, 7))
    wide, high = picture(pad, "wide.png"), picture(pad, "high.png").transpose(1, 2)
    for image in (wide, high):
        assert image[:, :16].flatten(1).unique(dim=1).tolist() == [[9], [8], [7]]
        assert image[:, 32:].flatten(1).unique(dim=1).tolist() == [[9], [8], [7]]
        assert image[:, 24, [8, 24, 40]].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_shrinking_averages_and_does_not_alias(here):
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    for mode in ("L", "RGB", "RGBA"):
        Image.fromarray(board).convert(mode).save(here / f"board{mode}.png")
    Image.fromarray(board.astype(np.uint16) * 257).save(here / "board16.png")
    data = load("folder", here, size=16)
    for name in ("boardL.png", "boardRGB.png", "boardRGBA.png", "board16.png"):
        assert colour_of(data, name) == pytest.approx([127.5] * 3, abs=2)


def test_a_large_jpeg_is_decoded_at_a_reduced_size_and_looks_the_same(here, monkeypatch):
    smooth = noise(0, 6).resize((1200, 900), Image.Resampling.BICUBIC)
    smooth.save(here / "large.jpg", quality=95)
    smooth.save(here / "large.png")
    decoded = {}

    def load_and_note(image):
        original(image)
        decoded[image.format] = image.size

    original = ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", load_and_note)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", load_and_note)
    for fit, reduced in (("crop", (150, 113)), ("pad", (150, 113))):
        data = load("folder", here, size=32, fit=fit)
        difference = picture(data, "large.jpg").float() - picture(data, "large.png").float()
        assert difference.abs().mean() < 2 and difference.abs().max() < 12
        assert decoded["JPEG"] == reduced


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_tiny_and_thin_pictures_are_taken_as_well(here, size, fit):
    for format in ("PNG", "JPEG"):
        flat("RGB", (60, 160, 60), size).save(here / f"thin.{format}", format)
    data = load("folder", here, size=16, fit=fit)
    for format, tolerance in (("PNG", 2), ("JPEG", 4)):
        assert picture(data, f"thin.{format}")[:, 7, 7].tolist() == pytest.approx([60, 160, 60], abs=tolerance)


# --- what is in a folder -----------------------------------------------------------------------------------------


def test_odd_names_are_only_names(here):
    names = [
        "Übergröße – 猫🐈.png",
        "line\nbreak.png",
        "-rf.png",
        "--help",
        "no extension",
        "UPPER.PNG",
        "wrong.txt",
        "two.dots..png",
        " space ",
        "a" * 251 + ".png",
        "%s{0}$HOME;'\"`.png",
        "\u202e\u200bgnp.png",
        os.fsdecode(b"not utf8 \xff.png"),
    ]
    for i, name in enumerate(names):
        noise(100 + i).save(here / name, "PNG")
    data = load("folder", here, size=8)
    assert set(names) < set(data.files) and not data.skipped
    for i, name in enumerate(names):
        assert torch.equal(picture(data, name), torch.from_numpy(np.array(noise(100 + i))).permute(2, 0, 1))
    again = load("folder", here, size=8)  # from the cache
    assert again.files == data.files and torch.equal(again.test.images, data.test.images)


def test_what_is_no_picture_is_listed_with_the_reason(here, tmp_path, capsys):
    good = encoded(noise(50), "PNG")
    outside = tmp_path / "outside.png"
    outside.write_bytes(encoded(noise(51), "PNG"))
    (here / "empty.png").touch()
    (here / "letter.png").write_text("Dear diary, this is not a picture.")
    (here / "half.png").write_bytes(good[: len(good) // 2])
    (here / ".hidden.png").write_bytes(good)
    (here / ".git").mkdir()
    (here / ".git" / "inside.png").write_bytes(good)
    (here / "telephone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (here / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (here / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    (here / "out.png").symlink_to(outside)
    (here / "in.png").symlink_to(here / "good00.png")
    (here / "lost.png").symlink_to(here / "nowhere")
    (here / "circle").symlink_to(here)
    os.mkfifo(here / "pipe.png")
    with open(here / "film.mp4", "wb") as film:
        film.truncate(picture_file.MAX_FILE_BYTES + 1)  # takes no space on the disk
    data = load("folder", here, size=8)
    reasons = {
        "empty.png": "empty",
        "letter.png": "no picture in a format read here",
        "half.png": "cannot be decoded (",
        ".hidden.png": "hidden",
        ".git": "hidden",
        "telephone.heic": "no picture in a format read here (HEIC, as telephones write it: export it as JPEG)",
        "drawing.svg": "no picture in a format read here",
        "page.eps": "no picture in a format read here",
        "out.png": "a link (",
        "in.png": "a link (",
        "lost.png": "a link (",
        "circle": "a link (",
        "pipe.png": "not a file (a pipe, socket or device)",
        "film.mp4": "too large (268 MB; the limit is 268 MB)",
    }
    assert data.skipped.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert data.skipped[name].startswith(reason) and (reason.endswith("(") or data.skipped[name] == reason)
    assert len(data.files) == 12
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and "12 pictures" in line and "14 other files skipped: 4 a link" in line
    assert line.strip() in str(data)


def test_sockets_and_devices_are_not_opened(here, monkeypatch):
    monkeypatch.chdir(here)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        try:
            os.mknod(here / "endless.png", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
        except PermissionError:
            (here / "endless.png").symlink_to("/dev/zero")
        data = load("folder", here, size=8)
    assert set(data.skipped) == {"socket.png", "endless.png"} and len(data.files) == 12


def test_a_pipe_that_takes_the_place_of_a_file_blocks_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path)
    for name, reason in (("pipe", "not a file"), ("link", "cannot be opened"), ("", "not a file")):
        with pytest.raises(picture_file.Unusable, match=reason):
            picture_file.read_picture(tmp_path / name, picture_file.Form(8))
    with pytest.raises(picture_file.Unusable, match="cannot be opened"):
        picture_file.read_picture(f"{tmp_path}/zero\0byte", picture_file.Form(8))


def test_folders_may_be_named_like_pictures_lie_deep_and_be_shut(here, monkeypatch):
    deep = here / "x.png" / "y.jpg" / ("z" * 200) / "w"
    deep.mkdir(parents=True)
    noise(60).save(deep / "deep.png")
    (here / "shut").mkdir()
    noise(61).save(here / "mine.png")
    scandir, opening = os.scandir, os.open

    def no_scandir(path):  # permissions do not stop the root user, who may run this test
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def no_open(path, *more, **options):
        if str(path).endswith("mine.png"):
            raise PermissionError(13, "Permission denied")
        return opening(path, *more, **options)

    monkeypatch.setattr(os, "scandir", no_scandir)
    monkeypatch.setattr(os, "open", no_open)
    data = load("folder", here, size=8)
    assert f"x.png/y.jpg/{'z' * 200}/w/deep.png" in data.files
    assert data.skipped == {
        "mine.png": "cannot be opened (Permission denied)",
        "shut": "cannot be listed (Permission denied)",
    }


def test_a_file_that_vanishes_while_the_folder_is_read_is_listed(here, monkeypatch):
    real = decoding.read_picture

    def vanishing(path, form):
        (here / "good05.png").unlink(missing_ok=True)
        return real(path, form)

    monkeypatch.setattr(decoding, "THREADS", 1)
    monkeypatch.setattr(decoding, "read_picture", vanishing)
    assert load("folder", here, size=8).skipped == {"good05.png": "cannot be opened (No such file or directory)"}


def png_of(wide, high):
    """A PNG whose header promises this much; its few bytes of data would decode to black."""

    def chunk(kind, content):
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))

    header = struct.pack(">LLBBBBB", wide, high, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_never_decoded(here, monkeypatch):
    limit = 8192 * 8192
    gif, bmp = encoded(flat("P", 1), "GIF"), encoded(flat("RGB", RED), "BMP")
    bombs = {
        "slightly.png": png_of(8193, 8192),
        "pillow_warns.png": png_of(9_900, 9_900),
        "pillow_refuses.png": png_of(60_000, 60_000),
        "long.png": png_of(limit + 1, 1),
        "wide.gif": gif[:6] + struct.pack("<HH", 60_000, 60_000) + gif[10:],
        "high.bmp": bmp[:18] + struct.pack("<ll", 30_000, 30_000) + bmp[26:],
    }  # fmt: skip
    for name, content in bombs.items():
        (here / name).write_bytes(content)
    decoded = []
    real = picture_file._decoded
    monkeypatch.setattr(picture_file, "_decoded", lambda image, *more: decoded.append(image.size) or real(image, *more))
    data = load("folder", here, size=8)
    assert set(data.skipped) == set(bombs) and set(decoded) == {(8, 8)} and len(decoded) == 12
    assert all(reason.startswith("too large (") for reason in data.skipped.values())
    assert data.skipped["slightly.png"] == "too large (8193 x 8192 pixels; the limit is 67 million)"


def test_a_bomb_whose_frame_is_larger_than_its_screen_is_not_decoded_either(here):
    content = bytearray(encoded(flat("L", 1), "GIF"))
    at = content.rindex(b",\0\0\0\0")  # the descriptor of the frame: left, top, width, height
    content[at + 5 : at + 9] = struct.pack("<HH", 50_000, 50_000)
    (here / "frame.gif").write_bytes(content)
    assert load("folder", here, size=8).skipped["frame.gif"].startswith("too large (")


# --- how much is in memory at a time -----------------------------------------------------------------------------


def test_few_pictures_are_decoded_at_a_time_and_only_one_large_one(here, monkeypatch):
    monkeypatch.setattr(picture_file, "MANY_PIXELS", 500)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for i in range(10):
        flat("RGB", (i, 0, 0), (23, 23)).save(here / f"large{i}.png")
        flat("RGB", (i, 1, 0), (40, 40)).save(here / f"reduced{i}.jpg")
        flat("RGB", (i, 2, 0), (40, 40)).save(here / f"progressive{i}.jpg", progressive=True)
    lock, open_now, most = threading.Lock(), {True: 0, False: 0}, {True: 0, False: 0}
    real = picture_file._decoded

    def watched(image, *more):
        large = image.width * image.height > 500 or bool(image.info.get("progressive"))
        with lock:
            open_now[large] += 1
            most[large] = max(most[large], open_now[large])
            most["all"] = max(most.get("all", 0), sum(open_now.values()))
        time.sleep(0.002)
        try:
            return real(image, *more)
        finally:
            with lock:
                open_now[large] -= 1

    monkeypatch.setattr(picture_file, "_decoded", watched)
    data = load("folder", here, size=8)
    assert len(data.files) == 42 and not data.skipped
    assert most[True] == 1 and 1 < most["all"] <= decoding.THREADS


def test_splits_are_parts_of_one_tensor(here):
    data = load("folder", here, size=8)
    assert len({getattr(data, part).images.untyped_storage().data_ptr() for part in PARTS}) == 1


def test_more_than_memory_holds_is_refused_before_it_is_tried(here, monkeypatch):
    import psutil

    free = type("Memory", (), {"available": 3 * 64 * 64 * 12 - 1})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert len(load("folder", here, size=65).files) == 12  # mapped: no matter
    monkeypatch.setenv("VAE_HELPERS_CACHE", "off")
    with pytest.raises(ValueError, match=r"^size=64 is too large for this folder: 12 files .* smaller size.*is off"):
        load("folder", here)
    assert len(load("folder", here, size=63).files) == 12


PEAK = """
import resource, sys
from vae_helpers import load
from vae_helpers.data import folder
folder.os.cpu_count = lambda: 64
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
load("folder", sys.argv[1], size=64)
before = peak()
data = load("folder", sys.argv[2], size=64)
print(len(data.files), peak() - before)
"""


@pytest.mark.soak
def test_the_peak_of_memory_is_bounded_with_the_largest_pictures_that_are_read(here, tmp_path):
    large = tmp_path / "large"
    large.mkdir()
    fill(large, 9)
    for i in range(4):
        flat("RGBA", (i, 1, 2, 99), (8192, 8192)).save(large / f"rgba{i}.png", compress_level=1)
        flat("CMYK", (i, 1, 2, 99), (8192, 8192)).save(large / f"cmyk{i}.jpg")
        flat("RGB", (i, 1, 2), (8192, 8192)).save(large / f"progressive{i}.jpg", progressive=True)
        flat("I;16", 300 * i, (8192, 8192)).save(large / f"deep{i}.png", compress_level=1)
        flat("RGBA", (i, 1, 2, 9), (4096, 4096)).save(large / f"many{i}.png", compress_level=1)
        flat("RGBA", (i, 1, 3, 9), (4096, 4096)).save(large / f"more{i}.webp", lossless=True, quality=0, method=0)
    result = subprocess.run([sys.executable, "-c", PEAK, here, large], capture_output=True, text=True, check=True)
    number, megabytes = map(float, result.stdout.split())
    assert number == 33 and megabytes < 1000, megabytes


# --- labels and splits -------------------------------------------------------------------------------------------


def test_sub_folders_are_classes(tmp_path):
    for k, name in enumerate(["dogs", "cats", "no pictures", "fish/salt water", "fish/fresh water"]):
        (tmp_path / "p" / name).mkdir(parents=True)
        if name != "no pictures":
            fill(tmp_path / "p" / name, 8, start=100 * k)
    fill(tmp_path / "p", 4, name="top{}.png", start=900)
    data = load("folder", tmp_path / "p", size=8)
    assert data.classes == (".", "cats", "dogs", "fish")
    for part in PARTS:
        split = getattr(data, part)
        for label, index in zip(split.labels.tolist(), split.index.tolist(), strict=True):
            name = data.files[index]
            assert data.classes[label] == (name.split("/")[0] if "/" in name else ".")
    assert torch.cat([getattr(data, part).labels for part in PARTS]).bincount().tolist() == [4, 8, 8, 16]


def test_a_folder_without_sub_folders_has_one_class(here):
    data = load("folder", here, size=8)
    assert data.classes == (".",) and set(data.train.labels.tolist()) == {0}


def many(tmp_path, n):
    folder = tmp_path / "many"
    folder.mkdir()
    fill(folder, n, "{:04}.bmp")
    return folder


@pytest.mark.parametrize("n", [100, pytest.param(2_000, marks=pytest.mark.soak)])
def test_many_pictures_are_split_once_and_for_all(tmp_path, n, capfd):
    folder = many(tmp_path, n)
    data = load("folder", folder, size=8)
    splits = split_of(data)
    assert len(splits) == n == sum(len(getattr(data, part)) for part in PARTS)
    for part, share in (("test", 0.1), ("validation", 0.1), ("train", 0.8)):
        spread = (n * share * (1 - share)) ** 0.5
        assert abs(len(getattr(data, part)) - n * share) < 4 * spread
    for i in range(0, n, 10):
        assert torch.equal(picture(data, f"{i:04}.bmp"), torch.from_numpy(np.array(noise(i))).permute(2, 0, 1))

    fill(folder, 30, "a{}.bmp", start=n)  # among the first names
    (folder / "0000.bmp").unlink()
    (folder / "elsewhere").mkdir()
    (folder / "0001.bmp").rename(folder / "elsewhere" / "renamed.xyz")
    splits["elsewhere/renamed.xyz"] = splits.pop("0001.bmp")
    del splits["0000.bmp"]
    for options in ({"size": 8}, {"size": 32}, {"size": 8, "colour": False}, {"size": 16, "fit": "pad"}):
        after = split_of(load("folder", folder, **options))
        assert len(after) == n + 29 and splits.items() <= after.items()
    assert capfd.readouterr() == ("", "")


def test_copies_never_lie_in_two_splits_whatever_they_are_called_or_encoded_as(tmp_path, capsys):
    folder = many(tmp_path, 60)
    for i in range(60):
        noise(i).save(folder / f"copy{i}.png")
        noise(i).save(folder / f"{i}again.tif")
        (folder / f"bytes{i}").write_bytes((folder / f"{i:04}.bmp").read_bytes())
    data = load("folder", folder, size=8)
    splits = split_of(data)
    for i in range(60):
        assert len({splits[name] for name in (f"{i:04}.bmp", f"copy{i}.png", f"{i}again.tif", f"bytes{i}")}) == 1
    pixels = [{image.numpy().tobytes() for image in getattr(data, part).images} for part in PARTS]
    assert not pixels[0] & pixels[1] and not pixels[0] & pixels[2] and not pixels[1] & pixels[2]
    assert sum(map(len, pixels)) == 60 and all(pixels) and "240 pictures" in data.about
    assert "180 of them copies of others" in data.about


@pytest.mark.parametrize("n", range(9, 15))
def test_a_split_of_a_small_folder_has_at_least_three_different_pictures(tmp_path, n):
    for seed in (0, 1000, 2000):
        folder = tmp_path / str(seed)
        folder.mkdir()
        fill(folder, n, start=seed)
        for name in "abc":
            noise(seed).save(folder / f"{name}.bmp")
        data = load("folder", folder, size=8)
        for part in PARTS:
            assert len(getattr(data, part).images.unique(dim=0)) >= 3
        assert len(data.files) == n + 3


def test_loading_is_the_same_each_time_and_leaves_the_random_state_alone(here, monkeypatch):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    monkeypatch.setenv("VAE_HELPERS_CACHE", "off")
    first, again = load("folder", here, size=8), load("folder", here, size=8)
    for part in PARTS:
        assert torch.equal(getattr(first, part).images, getattr(again, part).images)
        assert torch.equal(getattr(first, part).index, getattr(again, part).index)
    assert torch.equal(before, torch.get_rng_state())


def in_sub_folders(root, n, each=4, seed=0):
    """n sub-folders, `0000` and on, of a few pictures each."""
    for i in range(n):
        (root / f"{i:04}").mkdir(parents=True)
        fill(root / f"{i:04}", each, start=seed + i * each)
    return root


def parts_of_sub_folders(data):
    """Sub-folder -> the splits that it has pictures in."""
    found = {}
    for name, part in split_of(data).items():
        found.setdefault(name.rpartition("/")[0], set()).add(part)
    return found


def test_a_sub_folder_is_in_one_split_and_stays_there(tmp_path):
    folder = in_sub_folders(tmp_path / "p", 100)
    data = load("folder", folder, size=8, split_by="folder")
    parts = parts_of_sub_folders(data)
    assert len(parts) == 100 and all(len(part) == 1 for part in parts.values())
    assert len(data.files) == 400 and "split by its 100 sub-folders" in data.about
    for part, share in (("test", 0.1), ("validation", 0.1), ("train", 0.8)):
        assert abs(len(getattr(data, part)) - 400 * share) < 4 * 4 * (100 * share * (1 - share)) ** 0.5
    assert parts["0007"] == {folder_module.part_of_sub_folder("0007")} == {"train"}  # for good: the SHA-256 of the path
    assert parts["0008"] == {"test"} and parts["0017"] == {"validation"}

    in_sub_folders(tmp_path / "more", 30, seed=1000)
    for i in range(30):
        (tmp_path / "more" / f"{i:04}").rename(folder / f"0000{i}")
    shutil.rmtree(folder / "0003")
    (folder / "0004" / "good16.png").rename(folder / "0005" / "moved.png")
    after = load("folder", folder, size=9, split_by="folder")
    there = parts_of_sub_folders(after)
    assert len(there) == 129 and {path: parts[path] for path in parts if path != "0003"}.items() <= there.items()
    assert split_of(after)["0005/moved.png"] == next(iter(parts["0005"]))


def test_sub_folders_of_sub_folders_and_the_folder_itself_count(tmp_path):
    folder = in_sub_folders(tmp_path / "p", 40)
    (folder / "0000" / "below").mkdir()
    fill(folder / "0000" / "below", 4, start=5000)
    fill(folder, 4, start=6000)
    parts = parts_of_sub_folders(load("folder", folder, size=8, split_by="folder"))
    assert len(parts) == 42 and all(len(part) == 1 for part in parts.values())
    assert parts["0000/below"] == {folder_module.part_of_sub_folder("0000/below")}
    assert parts[""] == {folder_module.part_of_sub_folder(".")}


def test_sub_folders_with_a_picture_in_common_go_together(tmp_path):
    folder = in_sub_folders(tmp_path / "p", 60)
    wanted = [f"{i:04}" for i in range(60)]
    test, train = (next(p for p in wanted if folder_module.part_of_sub_folder(p) == part) for part in ("test", "train"))
    last = next(p for p in reversed(wanted) if folder_module.part_of_sub_folder(p) == "validation")
    noise(7000).save(folder / test / "one.png")
    noise(7000).save(folder / train / "the same.bmp")
    noise(7001).save(folder / train / "two.png")
    noise(7001).save(folder / last / "two.png")
    parts = parts_of_sub_folders(load("folder", folder, size=8, split_by="folder"))
    assert all(len(part) == 1 for part in parts.values())
    assert parts[test] == parts[train] == parts[last] == {folder_module.part_of_sub_folder(min(test, train, last))}


def test_ties_are_those_of_a_search_through_all(monkeypatch):
    random_state = np.random.default_rng(0)
    for n in (1, 5, 30, 60):
        names = [f"{chr(97 + a)}/{b}" for b, a in enumerate(random_state.integers(0, 26, 50))]
        pixels = random_state.integers(0, n, 50)
        pictures = [
            folder_module.Picture(picture_cache.FileState(name, 1, 1), decoding.Digests(b"", bytes([p])), 0)
            for name, p in zip(names, pixels, strict=True)
        ]
        groups = []
        for name, p in zip(names, pixels, strict=True):
            mine, others = [({name[0]}, {p})], []
            for group in groups:
                (mine if name[0] in group[0] or p in group[1] else others).append(group)
            groups = [*others, (set().union(*(g[0] for g in mine)), set().union(*(g[1] for g in mine)))]
        assert folder_module._tied(pictures) == {path: min(paths) for paths, _ in groups for path in paths}


@pytest.mark.parametrize("n", range(3, 12))
def test_with_few_sub_folders_each_split_has_one(tmp_path, n):
    data = load("folder", in_sub_folders(tmp_path / "p", n), size=8, split_by="folder")
    parts = parts_of_sub_folders(data)
    assert all(len(part) == 1 for part in parts.values()) and len(parts) == n
    assert all(len(getattr(data, part)) >= 4 for part in PARTS)


def test_too_few_sub_folders_are_told_with_their_number_and_a_cure(here, tmp_path, decoded):
    with pytest.raises(
        ValueError, match=r"pictures has no sub-folders with pictures\. Give each .* split_by='picture'"
    ):
        load("folder", here, size=8, split_by="folder")
    in_sub_folders(here / "a", 1, seed=100)
    with pytest.raises(ValueError, match=r"has pictures in 1 sub-folder and in itself: too few for three splits"):
        load("folder", here, size=8, split_by="folder")
    assert not decoded
    folder = in_sub_folders(tmp_path / "p", 40)
    (folder / "best").mkdir()
    for i in range(40):
        shutil.copy(folder / f"{i:04}" / f"good{4 * i:02}.png", folder / "best" / f"{i}.png")
    with pytest.raises(
        ValueError, match=r"in 41 sub-folders, and copies .*, such as 0000/good00.png and best/0.png, tie"
    ):
        load("folder", folder, size=8, split_by="folder")
    assert len(load("folder", folder, size=8).files) == 200
    folder = in_sub_folders(tmp_path / "q", 3, each=2)
    fill(folder / "0000", 9, start=900)
    with pytest.raises(ValueError, match=r"in 3 sub-folders: too few for three splits of at least 3 different"):
        load("folder", folder, size=8, split_by="folder")


def test_each_way_of_splitting_has_a_cache_of_its_own(tmp_path, decoded):
    folder = in_sub_folders(tmp_path / "p", 20)
    by_picture, by_folder = (load("folder", folder, size=8, split_by=way) for way in ("picture", "folder"))
    decoded.clear()
    for data, way in ((by_picture, {}), (by_folder, {"split_by": "folder"})):
        again = load("folder", folder, size=8, **way)
        for part in PARTS:
            assert torch.equal(getattr(data, part).index, getattr(again, part).index)
    assert not decoded and len(caches(tmp_path)) == 2
    assert split_of(by_picture) != split_of(by_folder)


# --- what cannot be loaded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 7}, r"size must be a whole number from 8 to 1024, not 7\. It counts pixels"),
        ({"size": 1025}, "size must be .* not 1025"),
        ({"size": True}, "size must be .* not True"),
        ({"split_by": "person"}, "split_by must be"),
        ({"fit": "stretch"}, "fit must be 'crop' .* or 'pad' .*, not 'stretch'"),
        ({"colour": "grey"}, r"colour must be True or False, not 'grey'\. False is grey"),
        ({"background": 256}, "background must be a grey 0..255 .* not 256"),
        ({"background": True}, "background must be .* not True"),
        ({"background": (1, 2)}, r"background must be .* not \(1, 2\)"),
        ({"background": (1, 2, 0.5)}, r"background must be .* not \(1, 2, 0.5\)"),
        ({"background": "white"}, "background must be .* not 'white'"),
        ({"n": 3}, "folder does not use n=3"),
    ],
)
def test_a_bad_argument_is_refused_by_name(here, options, message):
    with pytest.raises(ValueError, match=message):
        load("folder", here, **options)


def test_numbers_of_numpy_are_taken_and_cached_under_the_same_name(here, tmp_path):
    mine = load("folder", here, size=8, colour=False, background=3)
    other = load("folder", here, size=np.int64(8), colour=np.bool_(False), background=np.uint8(3))
    assert torch.equal(mine.train.images, other.train.images) and len(caches(tmp_path)) == 1
    assert load("folder", here, size=8, background=tuple(np.array([1, 2, 3]))).image_shape == (3, 8, 8)


def test_no_folder_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "picture.png"
    noise(0).save(file)
    with pytest.raises(ValueError, match=r"load\('folder', 'my_pictures'\)"):
        load("folder")
    with pytest.raises(FileNotFoundError, match=r"there is no folder absent\..*looked up in"):
        load("folder", "absent")
    with pytest.raises(NotADirectoryError, match=r"is a file, not a folder of pictures\. Give the folder that it is"):
        load("folder", file)
    for strange in ("zero\0byte", "x" * 5000):
        with pytest.raises(ValueError, match=r"^root='.*cannot be opened as a folder"):
            load("folder", strange)
    with pytest.raises(TypeError, match=r"root must be the path of a folder, not 64\. If you mean pixels: size=64"):
        load("folder", 64)
    (tmp_path / "holiday").mkdir()
    with pytest.raises(ValueError, match=r"load\('folder', 'holiday'\)"):
        load("holiday")
    with pytest.raises(ValueError, match=r"holiday is empty\. Put pictures into it"):
        load("folder", "holiday")

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError, match=r"holiday may not be read by you\. Ask its owner"):
        load("folder", "holiday")


def test_a_folder_of_no_or_few_pictures_says_what_it_has(tmp_path):
    (tmp_path / "a\nletter.txt").write_text("Dear diary")
    with pytest.raises(ValueError, match=r"has no picture .* 1 no picture in a format .*; for example a\\nletter.txt"):
        load("folder", tmp_path)
    fill(tmp_path, 8)
    noise(0).save(tmp_path / "copy.png")
    with pytest.raises(ValueError, match=r"has 8 different pictures, too few .*at least 3: add 1 or more.*Skipped"):
        load("folder", tmp_path)


def test_the_home_directory_may_be_written_as_a_tilde(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here.parent))
    assert len(load("folder", "~/pictures", size=8).files) == 12


# --- the cache ---------------------------------------------------------------------------------------------------


def contents(folder):
    """Everything that can be seen of a folder: names, lengths, times of change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in [folder, *sorted(folder.rglob("*"))]
    }


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded, in a list to be cleared."""
    names = []
    real = decoding.read_picture
    monkeypatch.setattr(decoding, "read_picture", lambda path, form: names.append(Path(path).name) or real(path, form))
    return names


def caches(tmp_path):
    return sorted((tmp_path / "cache").iterdir())


def test_nothing_is_written_into_the_folder(here):
    (here / "sub").mkdir()
    noise(99).save(here / "sub" / "x.png")
    before = contents(here)
    load("folder", here, size=8)
    load("folder", here, size=8)
    assert contents(here) == before


def test_a_cache_in_the_folder_itself_is_not_written(here, monkeypatch, capsys):
    before = contents(here)
    for place in (here, here / "cache", f"{here}/../pictures/cache"):
        monkeypatch.setenv("VAE_HELPERS_CACHE", str(place))
        assert len(load("folder", here, size=8).files) == 12
        assert contents(here) == before
        line = capsys.readouterr().out
        assert line.startswith("The decoded pictures are not cached (") and line.count("\n") == 1


def test_only_what_changed_is_decoded_again(here, tmp_path, decoded):
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    first = load("folder", here, size=8)
    assert len(decoded) == 13
    (cache,) = caches(tmp_path)
    before = cache.stat().st_ino
    decoded.clear()
    again = load("folder", here, size=8)
    assert decoded == ["broken.png"] and cache.stat().st_ino == before
    for part in PARTS:
        assert torch.equal(getattr(first, part).images, getattr(again, part).images)
        assert torch.equal(getattr(first, part).labels, getattr(again, part).labels)
    assert again.files == first.files and again.skipped == first.skipped

    decoded.clear()
    noise(77).save(here / "good03.png")  # changed
    os.utime(here / "good04.png", ns=(1, 1))  # touched
    noise(78).save(here / "new.png")
    (here / "good05.png").unlink()
    changed = load("folder", here, size=8)
    assert sorted(decoded) == ["broken.png", "good03.png", "good04.png", "new.png"]
    for name, seed in (("good03.png", 77), ("new.png", 78), ("good06.png", 6), ("good04.png", 4)):
        assert torch.equal(picture(changed, name), torch.from_numpy(np.array(noise(seed))).permute(2, 0, 1))
    assert "good05.png" not in changed.files and caches(tmp_path) == [cache]

    decoded.clear()
    length = cache.stat().st_size
    (here / "good06.png").unlink()
    load("folder", here, size=8)
    assert decoded == ["broken.png"] and cache.stat().st_size < length  # what is gone is not kept


def test_a_picture_of_the_same_length_that_is_saved_again_is_noticed(here):
    flat("RGB", (1, 2, 3)).save(here / "x.bmp")
    assert colour_of(load("folder", here, size=8), "x.bmp") == [1, 2, 3]
    time.sleep(0.02)  # a tick of the file system's clock
    flat("RGB", (4, 5, 6)).save(here / "x.bmp")
    assert colour_of(load("folder", here, size=8), "x.bmp") == [4, 5, 6]


def test_each_form_and_each_folder_has_a_cache_of_its_own(here, tmp_path, decoded):
    forms = [
        {"size": 8},
        {"size": 9},
        {"size": 8, "colour": False},
        {"size": 8, "fit": "pad"},
        {"size": 8, "background": 0},
    ]
    for i, form in enumerate(forms):
        decoded.clear()
        load("folder", here, **form)
        assert len(decoded) == 12 and len(caches(tmp_path)) == i + 1
    here.rename(tmp_path / "moved")
    load("folder", tmp_path / "moved", size=8)
    assert len(caches(tmp_path)) == 6


def test_a_damaged_cache_costs_time_and_nothing_else(here, tmp_path, decoded):
    good = load("folder", here, size=8)
    (cache,) = caches(tmp_path)
    content, choice = cache.read_bytes(), random.Random(0)
    damaged = [b"", b"\0" * 999, content[:30], content[:200], content[:-1], json.dumps([1]).encode()]
    damaged += [content.replace(b" 12 ", b" 11 ", 1), content.replace(b"  12 ", b"9912 ", 1)]
    damaged += [content.replace(b"good", b"evil"), content + b"x"]
    assert content not in damaged
    for _ in range(60):
        bad = bytearray(content)
        bad[choice.randrange(len(bad))] ^= 1 << choice.randrange(8)
        damaged.append(bytes(bad))
    for bad in damaged:
        cache.unlink()  # its pages are in use
        cache.write_bytes(bad)
        decoded.clear()
        data = load("folder", here, size=8)
        assert decoded  # it was noticed
        for part in PARTS:
            assert torch.equal(getattr(data, part).images, getattr(good, part).images)
        assert cache.read_bytes() == content  # and mended


def test_the_cache_is_found_where_the_system_keeps_caches(here, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable, value, place in [
        ("VAE_HELPERS_CACHE", "~/mine", tmp_path / "home" / "mine"),
        ("XDG_CACHE_HOME", str(tmp_path / "xdg"), tmp_path / "xdg" / "vae_helpers"),
        ("XDG_CACHE_HOME", "relative", tmp_path / "home" / ".cache" / "vae_helpers"),
    ]:
        monkeypatch.delenv("VAE_HELPERS_CACHE", raising=False)
        monkeypatch.setenv(variable, value)
        load("folder", here, size=8)
        assert [path.suffix for path in place.iterdir()] == [".pictures"]
    monkeypatch.setenv("VAE_HELPERS_CACHE", "OFF")
    monkeypatch.chdir(tmp_path)
    load("folder", here, size=9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "pictures", "xdg"]


def test_where_no_cache_can_be_written_one_line_says_so(here, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VAE_HELPERS_CACHE", str(tmp_path / "file" / "cache"))
    assert len(load("folder", here, size=8).files) == 12
    said = "The decoded pictures are not cached (Not a directory): they will be decoded again the next time.\n"
    assert capsys.readouterr() == (said, "")
    monkeypatch.delenv("VAE_HELPERS_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where there is no home directory
    assert len(load("folder", here, size=8).files) == 12
    assert "not cached (there is no home directory)" in capsys.readouterr().out


def test_a_full_disk_leaves_the_old_cache_and_no_litter(here, tmp_path, monkeypatch, capsys):
    load("folder", here, size=8)
    (cache,) = caches(tmp_path)
    before = cache.read_bytes()
    noise(44).save(here / "new.png")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert len(load("folder", here, size=8).files) == 13
    assert "not cached (No space left on device)" in capsys.readouterr().out
    assert caches(tmp_path) == [cache] and cache.read_bytes() == before


def test_the_stop_button_leaves_nothing_behind(here, tmp_path, monkeypatch):
    fill(here, 200, start=100)
    real, count = decoding.read_picture, []

    def stopped(path, form):
        count.append(path)
        if len(count) == 20:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return real(path, form)

    monkeypatch.setattr(decoding, "read_picture", stopped)
    threads, filters = threading.active_count(), list(warnings.filters)
    with pytest.raises(KeyboardInterrupt):
        load("folder", here, size=8)
    assert len(count) < 150  # those begun, not all
    assert threading.active_count() == threads and warnings.filters == filters
    assert not (tmp_path / "cache").exists()

    monkeypatch.setattr(decoding, "read_picture", real)
    monkeypatch.setattr(os, "replace", lambda *_: stopped_here())
    with pytest.raises(KeyboardInterrupt):
        load("folder", here, size=8)
    assert not (tmp_path / "cache").exists()


def stopped_here():
    raise KeyboardInterrupt


def test_the_cache_does_not_grow_without_limit(here, tmp_path, monkeypatch, capsys):
    load("folder", here, size=8)
    (first,) = caches(tmp_path)
    each = first.stat().st_size
    monkeypatch.setattr(picture_cache, "MAX_CACHE_BYTES", 3 * each + 500)
    for i, background in enumerate((0, 1)):
        load("folder", here, size=8, background=background)
        os.utime(max(caches(tmp_path), key=lambda path: path.stat().st_mtime_ns), (i + 2, i + 2))
    os.utime(first, (1, 1))
    load("folder", here, size=8)  # used: it is the newest now
    (tmp_path / "cache" / "foreign").write_text("not ours")
    (tmp_path / "cache" / "killed.partial").write_text("x")
    (tmp_path / "cache" / "running.partial").write_text("x")
    os.utime(tmp_path / "cache" / "killed.partial", (1, 1))
    load("folder", here, size=8, background=2)
    left = caches(tmp_path)
    assert first in left and sum(path.suffix == ".pictures" for path in left) == 3
    assert {path.name for path in left if path.suffix != ".pictures"} == {"foreign", "running.partial"}
    monkeypatch.setattr(picture_cache, "MAX_CACHE_BYTES", each - 1)
    load("folder", here, size=8, background=3)  # the one in use is kept, however large
    (last,) = {path for path in caches(tmp_path) if path.suffix == ".pictures"}
    assert last not in left and capsys.readouterr() == ("", "")


def test_what_is_written_to_the_pictures_never_reaches_the_cache(here, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load("folder", here, size=8)
        (cache,) = caches(tmp_path)
        content = cache.read_bytes()
        for part in PARTS:
            getattr(data, part).images.fill_(7)
    assert cache.read_bytes() == content and (data.test.images == 7).all()
    assert torch.equal(
        picture(load("folder", here, size=8), "good03.png"), torch.tensor(np.array(noise(3))).permute(2, 0, 1)
    )


def test_the_cache_holds_the_pictures_in_the_order_of_the_splits(here, tmp_path):
    data = load("folder", here, size=8)
    (cache,) = caches(tmp_path)
    rows = torch.cat([data.test.images, data.validation.images, data.train.images]).numpy().tobytes()
    assert cache.read_bytes()[128:].startswith(rows)


def test_pictures_need_no_memory_of_their_own(here):
    """More are mapped than Linux would set memory aside for, unless it is told to set aside all (2)."""
    rule = Path("/proc/sys/vm/overcommit_memory")
    if not rule.exists() or rule.read_text().strip() == "2":
        pytest.skip("this system maps no more than it has memory for, or does not say so")
    with open(here.parent / "huge", "w+b") as file:
        try:
            file.truncate(2**42 + picture_cache.HEAD)
        except OSError:
            pytest.skip("this disk has no files of 4 TB")
        images = picture_cache._mapped(file, 2**30, (1, 64, 64))
    assert images.nbytes == 2**42 and images[-1].max() == 0


MEMORY = """
import sys
from vae_helpers import evaluate, fit, load, mlp_vae
def look(*_):
    lines = open("/proc/self/status").read().splitlines()
    most.append(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024)
def use(train, validation, checkpoint):
    most.clear()
    options = {"batch_size": 100, "checkpoint": checkpoint, "callback": look, "callback_every": 5, "progress": False}
    fit(model, train, steps=10, validation=validation, **options)
    evaluate(model, validation)
    look()
    return max(most)
data, most = load("folder", sys.argv[1], size=64), []
model = mlp_vae(data.image_shape, 2, (4,))
few = use(data.train.images[:200], data.validation.images[:1000], sys.argv[2])  # two batches are alive at a time
again = load("folder", sys.argv[1], size=64)
all = use(again.train.images, again.validation.images, sys.argv[3])
print(len(again.files), again.train.images.nbytes / 2**20, all - few)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory is whose")
def test_memory_does_not_grow_with_the_folder(tmp_path):
    stand_in(folder := tmp_path / "many", 20_000)
    command = [sys.executable, "-c", MEMORY, folder, tmp_path / "few", tmp_path / "all"]
    given_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is no longer counted
    result = subprocess.run(command, env=given_back, capture_output=True, text=True, check=True)
    number, megabytes, more = map(float, result.stdout.split())
    assert number == 20_000 and megabytes > 180 and more < 20, more


def test_many_files_are_decoded_by_processes_to_the_same_pictures(here, monkeypatch):
    fill(here, 80, start=100)
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    by_threads = load("folder", here, size=8)
    monkeypatch.setattr(decoding, "MANY", 50)
    monkeypatch.setattr(decoding, "_processes", lambda: 2)
    monkeypatch.setattr(decoding, "_in_threads", None)
    monkeypatch.setenv("VAE_HELPERS_CACHE", f"{here.parent}/other")
    by_processes = load("folder", here, size=8)
    for part in PARTS:
        assert torch.equal(getattr(by_threads, part).images, getattr(by_processes, part).images)
        assert torch.equal(getattr(by_threads, part).index, getattr(by_processes, part).index)
    assert by_threads.files == by_processes.files and by_threads.skipped == by_processes.skipped


SCRIPT = """
print("a script without a guard")
import sys
from vae_helpers import load
from vae_helpers.data import decoding
decoding.MANY, decoding._processes = 10, lambda: 2
print(len(load("folder", sys.argv[1], size=8).files))
"""


def test_processes_do_not_run_the_script_and_import_no_torch(here, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command, found = [sys.executable, tmp_path / "script.py", here], os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=found, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["a script without a guard", "12"] and not result.stderr
    imported = "import sys, vae_helpers.data.decoding; print([m for m in sys.modules if m in ('torch', 'matplotlib')])"
    assert subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no system call for it")
def test_no_more_processes_than_there_are_cores_for():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.cpu_count = lambda: 64\n"
    code += "from vae_helpers.data import decoding; print(decoding._processes())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"


def test_a_process_that_the_system_ends_is_told_with_a_cure(here, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MANY", 10)
    monkeypatch.setattr(decoding, "_processes", lambda: 2)
    monkeypatch.setattr(decoding, "_decode_for_another", ends_its_process)
    with pytest.raises(RuntimeError, match=r"has ended before its time.*close other programs"):
        load("folder", here, size=8)
    assert not (tmp_path / "cache").exists()


def ends_its_process(*_):
    os.kill(os.getpid(), 9)


def test_a_long_decoding_that_is_stopped_goes_on_from_there(here, tmp_path, monkeypatch, decoded, capsys):
    fill(here, 100, start=100)
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    stop, real = ["good150.png"], decoding.read_picture

    def stopped(path, form):
        if Path(path).name in stop:
            raise KeyboardInterrupt
        return real(path, form)

    monkeypatch.setattr(decoding, "read_picture", stopped)
    monkeypatch.setattr(folder_module, "WORTH_KEEPING", 0)
    kept = []
    for later in ("good180.png", None):
        decoded.clear()
        with pytest.raises(KeyboardInterrupt):
            load("folder", here, size=8)
        number, line = capsys.readouterr().out.split(" ", 1)
        assert line == "pictures are decoded and kept; the next time goes on with the others.\n"
        kept.append(int(number))
        stop[:] = [later]
    decoded.clear()
    data = load("folder", here, size=8)
    assert 12 < kept[0] < kept[1] < 112 and len(data.files) == 112 and len(decoded) == 112 - kept[1] + 1
    assert all(part in split_of(data).values() for part in PARTS)
    for i in (0, 3, 100, 149, 150, 151, 199):
        assert torch.equal(picture(data, f"good{i:02}.png"), torch.tensor(np.array(noise(i))).permute(2, 0, 1))
    monkeypatch.setenv("VAE_HELPERS_CACHE", "off")
    whole = load("folder", here, size=8)
    for part in PARTS:
        assert torch.equal(getattr(data, part).images, getattr(whole, part).images)


def test_what_was_kept_of_a_stopped_decoding_is_split_even_if_the_rest_is_gone(here, monkeypatch, decoded):
    real = decoding.read_picture

    def stopped(path, form):
        if Path(path).name == "good11.png":
            raise KeyboardInterrupt
        return real(path, form)

    monkeypatch.setattr(decoding, "PATIENCE", 1)
    monkeypatch.setattr(decoding, "read_picture", stopped)
    monkeypatch.setattr(folder_module, "WORTH_KEEPING", 0)
    with pytest.raises(KeyboardInterrupt):
        load("folder", here, size=8)
    (here / "good11.png").unlink()
    decoded.clear()
    data = load("folder", here, size=8)
    assert not decoded and len(data.files) == 11 and min(len(getattr(data, part)) for part in PARTS) >= 3
    for i in range(11):
        assert torch.equal(picture(data, f"good{i:02}.png"), torch.tensor(np.array(noise(i))).permute(2, 0, 1))


def test_a_disk_without_room_is_told_before_anything_is_decoded(here, tmp_path, monkeypatch, capsys, decoded):
    load("folder", here, size=8, background=1)
    load("folder", here, size=8, background=2)
    first, second = sorted(caches(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    os.utime(first, (1, 1))
    each, needed = first.stat().st_size, picture_cache.HEAD + 12 * 3 * 64
    free = type("Usage", (), {"free": needed - 1 - 2 * each})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    decoded.clear()
    assert len(load("folder", here, size=8).files) == 12  # in memory
    said = capsys.readouterr().out
    assert "not cached (the pictures need 0.0 GB in " in said and "set VAE_HELPERS_CACHE to a folder on another" in said
    assert caches(tmp_path) == sorted([first, second]) and len(decoded) == 12
    free.free = needed - 1  # with the one that was not used for longest out of the way
    assert len(load("folder", here, size=8).files) == 12
    assert capsys.readouterr().out == "" and not first.exists() and second.exists()


def test_a_file_that_is_no_picture_needs_no_room_for_all_the_others(here, tmp_path, monkeypatch, capsys, decoded):
    load("folder", here, size=8, background=1)
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    good = load("folder", here, size=8)
    before = caches(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 500}))
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 500}))
    decoded.clear()
    for other in (False, True):  # a cache that could make room; none
        if other:
            before.remove(
                next(path for path in before if path != picture_cache.place(here, picture_file.Form(8), "picture"))
            )
            for path in set(caches(tmp_path)) - set(before):
                path.unlink()
        data = load("folder", here, size=8)
        assert torch.equal(data.train.images, good.train.images) and data.skipped.keys() == {"broken.png"}
        assert caches(tmp_path) == before and "not cached" not in capsys.readouterr().out
    assert decoded == ["broken.png"] * 2
    noise(44).save(here / "new.png")
    with pytest.raises(ValueError, match=r"14 files of pictures may need .* \(the pictures need 0\.0 GB in "):
        load("folder", here, size=8)


def test_where_files_cannot_be_set_aside_they_are_written(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # a Mac, where a file made longer takes no room yet
    monkeypatch.setattr(picture_cache, "ZEROS", 1000)
    new = picture_cache.Unfinished(tmp_path / "x", (3, 64, 64), 2, 9)
    new.images[1] = 7
    del new.images
    new.grow(9)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == picture_cache.HEAD + 9 * 3 * 64 * 64 <= 512 * file.stat().st_blocks
    assert [int(image.max()) for image in new.images] == [0, 7] + 7 * [0]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_where_mapped_files_cannot_be_moved_they_are_not_mapped_when_they_are(here, tmp_path, monkeypatch, capsys):
    """As on Windows, where a file that is open or mapped is neither renamed nor replaced."""
    real = os.replace

    def windows(source, target):
        open_now = "".join(
            os.readlink(f"/proc/self/fd/{n}")
            for n in os.listdir("/proc/self/fd")
            if Path(f"/proc/self/fd/{n}").exists()
        )
        if any(str(path) in open_now + Path("/proc/self/maps").read_text() for path in (source, target)):
            raise PermissionError(13, "Access is denied")
        real(source, target)

    monkeypatch.setattr(picture_cache, "MOVES_MAPPED", False)
    monkeypatch.setattr(os, "replace", windows)
    load("folder", here, size=8)
    noise(44).save(here / "new.png")
    data = load("folder", here, size=8)  # the old pictures are no longer in use
    assert capsys.readouterr().out == "" and len(caches(tmp_path)) == 1
    noise(45).save(here / "newer.png")
    assert len(load("folder", here, size=8).files) == len(data.files) + 1  # now they are
    assert "not cached (Access is denied)" in capsys.readouterr().out
    assert torch.equal(picture(data, "new.png"), torch.from_numpy(np.array(noise(44))).permute(2, 0, 1))


def test_a_disk_that_others_fill_in_the_meantime_loses_nothing(here, tmp_path, monkeypatch, capsys):
    load("folder", here, size=8)
    (cache,) = caches(tmp_path)
    content = cache.read_bytes()
    noise(44).save(here / "new.png")
    real, count = picture_cache._allocate, [0]

    def full(file, length):
        count[0] += 1
        if count[0] == fails:
            raise OSError(28, "No space left on device")
        real(file, length)

    monkeypatch.setattr(picture_cache, "_allocate", full)
    fails = 1
    assert len(load("folder", here, size=8).files) == 13
    assert "not cached (the pictures need" in capsys.readouterr().out
    count[0], fails = 0, 2
    with pytest.raises(OSError, match=r"the pictures need .* set VAE_HELPERS_CACHE to a folder on another disk"):
        load("folder", here, size=8)
    assert caches(tmp_path) == [cache] and cache.read_bytes() == content


def test_pixels_of_a_large_cache_are_looked_at_here_and_there(here, tmp_path, monkeypatch, decoded):
    good = load("folder", here, size=8)
    (cache,) = caches(tmp_path)
    content = cache.read_bytes()
    monkeypatch.setattr(picture_cache, "LOOKED_AT", 3)
    for row, noticed in ((0, True), (1, False), (5, True), (11, True)):
        bad = bytearray(content)
        bad[picture_cache.HEAD + row * 192 + 100] ^= 1
        cache.unlink()
        cache.write_bytes(bad)
        decoded.clear()
        load("folder", here, size=8)
        assert bool(decoded) == noticed
    assert torch.equal(good.train.images, load("folder", here, size=8).train.images)


BESIDE = """
import sys, time
from pathlib import Path
from vae_helpers import load
from vae_helpers.data import decoding
real = decoding.read_picture
def slow(path, form):
    if not count: print("decoding", flush=True)
    count.append(path)
    while not Path(sys.argv[2]).exists() and time.monotonic() < start + 60: time.sleep(0.01)
    return real(path, form)
start, count, decoding.read_picture, decoding.THREADS = time.monotonic(), [], slow, 1
load("folder", sys.argv[1], size=8)
print(len(count))
"""


def test_of_several_processes_one_decodes_and_the_others_wait(here, tmp_path):
    command = [sys.executable, "-c", BESIDE, here, tmp_path / "go"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "decoding\n"
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert second.stdout.readline() == "Another process is decoding this folder: waiting for it.\n"
    (tmp_path / "go").touch()
    assert first.communicate()[0] == "12\n" and second.communicate()[0] == "0\n"


def test_names_that_are_no_text_and_times_out_of_this_world_are_cached(here, decoded):
    for name in (b"\xff\xfe.png", "\U0001f600 \n.png".encode()):
        (here / os.fsdecode(name)).write_bytes(encoded(noise(len(name)), "PNG"))
    os.utime(here / "good01.png", ns=(0, -(10**9)))  # 1969
    os.utime(here / "good02.png", ns=(0, 10**19))  # 2286, on file systems that last so long
    first = load("folder", here, size=8)
    decoded.clear()
    assert load("folder", here, size=8).files == first.files and len(first.files) == 14 and not decoded


def test_decoders_keep_their_opinions_to_themselves(here, monkeypatch, caplog):
    real = decoding.read_picture

    def talkative(path, form):
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
        logging.getLogger("PIL.TiffImagePlugin").error("More samples per pixel than can be decoded")
        return real(path, form)

    monkeypatch.setattr(decoding, "read_picture", talkative)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(load("folder", here, size=8).files) == 12
    assert not caught and not caplog.records
    logging.getLogger("PIL").error("heard again")
    assert len(caplog.records) == 1


def test_the_progress_bar_can_be_seen_and_switched_off(here, monkeypatch, capsys):
    load("folder", here, size=8)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("VAE_HELPERS_STATIC", "0")
    load("folder", here, size=9)
    assert "12" in capsys.readouterr().err
    load("folder", here, size=9)  # from the cache
    assert capsys.readouterr().err == ""
    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    monkeypatch.setenv("VAE_HELPERS_CACHE", str(here / "cache"))
    folder_module.load_folder(here, size=10, quiet=True)
    assert capsys.readouterr() == ("", "")
    folder_module.load_folder(here, size=10)
    out, err = capsys.readouterr()
    assert "1 other files skipped" in out and "not cached" in out and "13" in err


# --- damage ------------------------------------------------------------------------------------------------------


def victims():
    """Good files of many kinds, to be damaged."""
    image = noise(1, 24)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [noise(2, 24)]}
    return [
        encoded(image, "JPEG", exif=exif),
        encoded(image, "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image, "PNG"),
        encoded(image.convert("P"), "PNG", transparency=3),
        encoded(Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24)), "PNG"),
        encoded(image, "GIF", **frames),
        encoded(image, "WEBP"),
        encoded(image.convert("RGBA"), "WEBP", lossless=True, **frames),
        encoded(image, "BMP"),
        encoded(image.convert("P"), "BMP"),
        encoded(image, "TIFF"),
        encoded(image, "TIFF", compression="tiff_lzw"),
        encoded(image, "TIFF", compression="jpeg"),
        encoded(image.convert("1"), "TIFF", compression="group4"),
        encoded(image, "PPM"),
        *(encoded(image, name) for name in ("AVIF", "JPEG2000") if name in picture_file.formats()),
    ]


def damage(content, choice):
    bad = bytearray(content)
    if choice.random() < 0.3:
        return bytes(bad[: choice.randrange(len(bad))])
    for _ in range(choice.randint(1, 3)):
        at = choice.randrange(min(len(bad), choice.choice([128, 10**6])))  # headers more often than data
        action = choice.randrange(4)
        if action == 0:
            bad[at] = choice.randrange(256)
        elif action == 1:
            bad[at : at + 4] = choice.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
        elif action == 2:
            del bad[at : at + choice.randint(1, 9)]
        else:
            bad[at:at] = choice.randbytes(choice.randint(1, 9))
        if not bad:
            break
    return bytes(bad)


@pytest.mark.parametrize("n", [200, pytest.param(5_000, marks=pytest.mark.soak)])
def test_damaged_files_are_loaded_or_listed_and_never_raise(here, n, capfd, caplog):
    good, choice = victims(), random.Random(0)
    for i in range(n):
        (here / f"bad{i:04}").write_bytes(damage(good[i % len(good)], choice))
    data = load("folder", here, size=8)
    assert not set(data.files) & set(data.skipped) and len(data.files) + len(data.skipped) == n + 12
    assert set(split_of(data)) == set(data.files) >= {f"good{i:02}.png" for i in range(12)}
    assert all(data.skipped.values()) and len(data.skipped) > n / 5 and len(data.files) - 12 > n / 10
    out, err = capfd.readouterr()
    assert out.count("\n") == 1 and "Traceback" not in err and "Warning" not in err  # libtiff has its say in C
    assert not caplog.records
