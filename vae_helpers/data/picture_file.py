"""One file of a learner's, of any kind and in any state, as a small square picture - or the reason why not.

What is opened is a regular file of bounded length; what is decoded is one of the formats listed here, first frame
only, after its header has shown that it is not too large. JPEG is decoded at a reduced size where that is enough.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# EPS and its like are not here on purpose: reading them runs another program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
FITS = ("crop", "pad")
MIN_SIDE, MAX_SIDE = 8, 1024  # pixels of a side
MOST_PIXELS = 2**26  # of a picture in its file; 8192 x 8192
MANY_PIXELS = 2**24  # pictures with more are decoded one at a time
MAX_FILE_BYTES = 2**28  # of a file
GAP = 2.0  # a picture may be reduced coarsely to this many times the wanted size before it is resized smoothly
ORIENTATION = 0x0112  # the EXIF tag; its values 2..8 name what puts the picture upright
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
TIFF_BITS, TIFF_MEANING, TIFF_ZERO_IS_WHITE = 258, 262, 0  # tags BitsPerSample and PhotometricInterpretation
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

_one_large_picture = threading.Lock()


class Unusable(Exception):
    """A file that gives no picture; the message is the reason: its kind, and in brackets the particulars."""


@dataclass(frozen=True)
class Form:
    """What every picture is brought to.

    Attributes:
        size: pixels of a side.
        fit: "crop" keeps the largest square in the middle; "pad" keeps all, with background beside it.
        colour: True for red, green, blue; False for grey (ITU-R BT.601 luma).
        background: grey or (red, green, blue), 0..255, seen through transparent pixels and beside padded pictures.
    """

    size: int = 64
    fit: str = "crop"
    colour: bool = True
    background: int | tuple[int, int, int] = 255

    def __post_init__(self) -> None:
        from vae_helpers import checking  # and with it torch, which processes that only decode do without

        size = checking.integer(self.size, "size", MIN_SIDE, MAX_SIDE, "It counts pixels.")
        if self.fit not in FITS:
            raise ValueError(f"fit must be 'crop' (the middle square) or 'pad' (all of it), not {self.fit!r}.")
        colour = checking.flag(self.colour, "colour", "False is grey.")
        levels = self.background if isinstance(self.background, (tuple, list)) else (self.background,) * 3
        if len(levels) != 3 or not all(checking.is_integer(v) and 0 <= v <= 255 for v in levels):
            raise ValueError(
                f"background must be a grey 0..255 or three such numbers (red, green, blue), not {self.background!r}."
            )
        for name, value in (("size", size), ("colour", colour), ("background", tuple(map(int, levels)))):
            object.__setattr__(self, name, value)  # Python's own: they are part of the cache's key, as JSON

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        return (3 if self.colour else 1, self.size, self.size)


class Header(NamedTuple):
    """What a file says of its picture before anything is decoded."""

    wide: int  # pixels, upright
    high: int
    kind: str  # one of FORMATS
    transparent: bool  # whether it has transparency
    turned: bool  # whether an EXIF note says how it is put upright


def formats() -> list[str]:
    """Those of FORMATS that the installed Pillow can read. Call it once before reading in several threads."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def read_picture(path: str | os.PathLike, form: Form) -> tuple[np.ndarray, str]:
    """The picture in a file, and the file's SHA-256.

    Args:
        path: any path at all.
        form: what the picture is brought to.
    Returns:
        `uint8` (C, H, W), and 64 hexadecimal digits.
    Raises:
        Unusable: there is no picture to read; the message says why.
    """
    with _regular_file(path) as file:
        try:
            with _opened(file) as image:
                stored, reduction = image.size, _reduce(image, form)
                extent = (stored[0] / reduction, stored[1] / reduction) if reduction > 1 else None
                with _turn(image, reduction):
                    pixels = _decoded(image, form, extent)
            file.seek(0)
            return pixels, hashlib.file_digest(file, "sha256").hexdigest()
        except Unusable:
            raise
        except Exception as error:  # decoders raise all kinds of errors on damaged data
            raise Unusable(f"cannot be decoded ({_short(error)})") from error


def read_header(path: str | os.PathLike) -> Header:
    """What a file says of its picture.

    Raises:
        Unusable: as `read_picture`, as far as the header shows it.
    """
    with _regular_file(path) as file:
        try:
            with _opened(file) as image:
                orientation = _orientation(image)
                sides = image.size[::-1] if orientation >= 5 else image.size  # 5 to 8 lie on their side
                return Header(*sides, image.format or "", image.has_transparency_data, orientation in UPRIGHT)
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(f"cannot be decoded ({_short(error)})") from error


@contextlib.contextmanager
def _regular_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file opened for reading, without waiting at a pipe and without following a link."""
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):  # where the system has them
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be opened ({_short(error)})") from error
    try:
        check_is_file(os.fstat(handle))
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    with file:
        yield file


def check_is_file(about: os.stat_result) -> None:
    """Raise Unusable for anything but a regular file, and for one of no bytes or of too many."""
    if not stat.S_ISREG(about.st_mode):
        raise Unusable("not a file (a pipe, socket or device)")
    length = about.st_size
    if length == 0:
        raise Unusable("empty")
    if length > MAX_FILE_BYTES:
        raise Unusable(f"too large ({length / 1e6:,.0f} MB; the limit is {MAX_FILE_BYTES / 1e6:,.0f} MB)")


def _opened(file: BinaryIO) -> Image.Image:
    """The picture's header read and found to promise no more than MOST_PIXELS; nothing is decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=formats())
    except UnidentifiedImageError:
        file.seek(0)
        start = file.read(12)
        heif = start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS
        more = " (HEIC, as telephones write it: export it as JPEG)" if heif else ""
        raise Unusable(f"no picture in a format read here{more}") from None
    except Image.DecompressionBombError as error:
        raise Unusable(f"too large ({_short(error)})") from error
    _check_extent(image)
    return image


def _check_extent(image: Image.Image) -> None:
    wide, high = image.size
    if wide * high > MOST_PIXELS:
        raise Unusable(f"too large ({wide} x {high} pixels; the limit is {MOST_PIXELS / 1e6:.0f} million)")


def _reduce(image: Image.Image, form: Form) -> float:
    """Ask for a reduced decoding, where the format has one, that leaves GAP times the size. Returns the reduction."""
    stored, least = image.size, GAP * form.size
    scale = least / (min(stored) if form.fit == "crop" else max(stored))
    drafted = image.draft(None, (max(1, int(scale * stored[0])), max(1, int(scale * stored[1]))))
    return stored[0] / drafted[1][2] if drafted else 1.0


def _turn(image: Image.Image, reduction: float) -> contextlib.AbstractContextManager:
    """A lock for pictures with much to decode, so that one of them is in memory at a time."""
    pixels = image.width * image.height
    if image.info.get("progressive"):  # such a JPEG holds all its coefficients, whatever the size it is decoded at
        pixels *= reduction**2
    return _one_large_picture if pixels > MANY_PIXELS else contextlib.nullcontext()


def _decoded(image: Image.Image, form: Form, extent: tuple[float, float] | None) -> np.ndarray:
    """uint8 (C, H, W): decoded, resized, put upright, laid over the background, in this order.

    Only decoding and resizing touch all pixels of a large picture; in another order the result would be the same up to
    rounding.

    Args:
        extent: width and height of a picture decoded at a reduced size, of which the last column and row may be
            only partly covered; None where every pixel is whole.
    """
    from PIL import Image

    image.load()
    _check_extent(image)
    white, inverted = _meaning_of_numbers(image)
    orientation = _orientation(image)
    small = _resized(_smooth(image, white), form, extent or image.size)
    if small.mode == "F":
        small = _levels(small, white, inverted)
    if orientation in UPRIGHT:
        small = small.transpose(Image.Transpose[UPRIGHT[orientation]])
    canvas = Image.new("RGB", (form.size, form.size), form.background)
    place = ((form.size - small.width) // 2, (form.size - small.height) // 2)
    canvas.paste(small, place, small if small.mode == "RGBA" else None)
    pixels = np.asarray(canvas if form.colour else canvas.convert("L"))
    return np.ascontiguousarray(pixels.reshape(form.size, form.size, -1).transpose(2, 0, 1))  # (H, W, C) -> (C, H, W)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF is no reason to refuse the picture
        return 1


def _meaning_of_numbers(image: Image.Image) -> tuple[float, bool]:
    """What number is white in a picture of more than 8 bits, and whether a TIFF counts from white to black."""
    if image.mode == "F":
        return 1.0, False
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(TIFF_BITS, 16)
    bits = bits[0] if isinstance(bits, tuple) else bits
    return (4095.0 if bits == 12 else 65535.0), tags.get(TIFF_MEANING) == TIFF_ZERO_IS_WHITE


def _smooth(image: Image.Image, white: float) -> Image.Image:
    """In a mode whose pixels can be averaged: L, RGB, RGBA, or F for more than 8 bits (convert("RGB") would clip)."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        wide = image.convert("F")
        low, high = wide.getextrema()
        if not (low >= 0 and high <= white):
            raise Unusable(f"has numbers of unknown white (from {low:.4g} to {high:.4g}; 0 to {white:g} is read)")
        return wide
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _resized(image: Image.Image, form: Form, extent: tuple[float, float]) -> Image.Image:
    """Bicubic, over as many pixels as an output pixel covers (Parmar et al. 2022: resizing that does not alias)."""
    from PIL import Image

    wide, high = extent
    if form.fit == "crop":
        side = min(wide, high)
        left, top = (wide - side) / 2, (high - side) / 2
        if extent == image.size:
            left, top = int(left), int(top)  # whole pixels stay whole
        box, size = (left, top, left + side, top + side), (form.size, form.size)
    else:
        scale = form.size / max(wide, high)
        box, size = (0, 0, wide, high), (max(1, round(scale * wide)), max(1, round(scale * high)))
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=GAP)


def _levels(small: Image.Image, white: float, inverted: bool) -> Image.Image:
    """Numbers 0 .. white as 256 levels of grey, rounded."""
    from PIL import Image

    share = np.asarray(small, dtype=np.float64) / white
    if not np.isfinite(share).all():
        raise Unusable("has numbers of unknown white (NaN)")
    share = share.clip(0, 1)
    return Image.fromarray(np.rint(255 * (1 - share if inverted else share)).astype(np.uint8))


def _short(error: Exception) -> str:
    """The first words of an error: the system's own words without the path, which stands beside them anyway."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:100]


def printable(path: str | Path) -> str:
    """A path on one line, whatever is in it: newlines and undecodable bytes are written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
