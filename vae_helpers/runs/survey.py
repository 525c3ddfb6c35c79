"""What lies in a folder, and what to make of it: looked at before anything is decoded."""

from __future__ import annotations

import os
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_helpers.data.decoding import THREADS, quiet_decoders
from vae_helpers.data.folder import (
    PARTS,
    TOP,
    check_sub_folders,
    list_files,
    open_folder,
    part_of_sub_folder,
    sub_folder,
)
from vae_helpers.data.picture_cache import FileState
from vae_helpers.data.picture_file import Form, Unusable, formats, printable, read_header, read_picture
from vae_helpers.models.convolutional import check_shape
from vae_helpers.runs.settings import MINUTES, Settings

LOOKED_AT = 200  # files, drawn from all: every twelfth would be of one format where formats take turns
GLANCE = 32  # pixels of a side at which their colours are looked at
SMALL, USUAL = 32, 64  # pixels of a side
PALE = (2.0, 16.0)  # levels between the channels, on average and in the most colourful hundredth, of a grey picture
LONG = 2.0  # long side to short side, from which on the middle square shows less than half
FEW = 500  # pictures


class Look(NamedTuple):
    """One file: what it holds."""

    wide: int
    high: int
    kind: str  # "JPEG"
    transparent: bool
    turned: bool  # an EXIF note says how it is put upright
    grey: bool
    contrast: tuple[float, float]  # standard deviation of its pixels over white and over black


@dataclass(frozen=True)
class Survey:
    """What was found in a folder, and what is proposed.

    Attributes:
        folder: its path.
        files: regular files in it and below; `skipped` others that are not opened.
        looked_at: how many of them were opened; `unreadable` of these give no picture.
        sides: (width, height) of each that could be read, upright or not.
        kinds: format -> how many of those.
        grey, transparent, turned: shares of those.
        classes: first sub-folder -> files.
        proposed: Settings, filled but for those that the recipe knows: model, latents, batch_size, learning_rate,
            shift.
        remarks: what to keep in mind, in sentences.
    """

    folder: str
    files: int
    skipped: int
    looked_at: int
    unreadable: int
    sides: tuple[tuple[int, int], ...]
    kinds: dict[str, int]
    grey: float
    transparent: float
    turned: float
    classes: dict[str, int]
    proposed: Settings
    remarks: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """Some lines to read."""
        read = len(self.sides)
        lines = [f"{printable(self.folder)}: {self.files:,} files, of which {self.looked_at} were looked at."]
        if read:
            short = sorted(min(side) for side in self.sides)
            kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(self.kinds).most_common())
            lines += [
                f"  formats     {kinds}" + (f"; {self.unreadable} give no picture" if self.unreadable else ""),
                f"  short side  {short[0]} to {short[-1]} pixels, half of them {short[len(short) // 2]} or more",
                f"  kind        {self.grey:.0%} grey, {self.transparent:.0%} with transparency, "
                f"{self.turned:.0%} turned by EXIF",
            ]
        if len(self.classes) > 1:
            named = sorted(self.classes.items(), key=lambda item: -item[1])
            more = f", and {len(named) - 5} more" if len(named) > 5 else ""
            lines.append("  classes     " + ", ".join(f"{printable(c)[:30]} {n:,}" for c, n in named[:5]) + more)
        if read:
            chosen = self.proposed.given
            lines.append("  proposed    " + ", ".join(f"{name} = {value}" for name, value in chosen.items()))
        return "\n".join([*lines, *(f"  note        {remark}" for remark in self.remarks)])


def survey(folder: str | os.PathLike, asked: Settings | None = None) -> Survey:
    """Look at a folder of pictures: some files are opened, none is changed, nothing is written.

    Args:
        folder: "~" is the home directory.
        asked: settings that are fixed; the others are proposed.
    Returns:
        a Survey; print it.
    Raises:
        FileNotFoundError, NotADirectoryError, PermissionError, ValueError: as `load_folder`.
    """
    asked = asked or Settings()
    root = open_folder(folder)
    files, skipped = list_files(root)
    if asked.split_by == "folder":
        check_sub_folders(root, [file.name for file in files])
    rows = sorted(random.Random(0).sample(range(len(files)), min(LOOKED_AT, len(files))))
    chosen = [files[row] for row in rows]
    looks = [look for look in _looks(root, [file.name for file in chosen]) if look is not None]
    classes = Counter(name.partition("/")[0] if "/" in name else TOP for name in (file.name for file in files))
    return Survey(
        folder=str(root),
        files=len(files),
        skipped=len(skipped),
        looked_at=len(chosen),
        unreadable=len(chosen) - len(looks),
        sides=tuple((look.wide, look.high) for look in looks),
        kinds=dict(Counter(look.kind for look in looks)),
        grey=_share([look.grey for look in looks]),
        transparent=_share([look.transparent for look in looks]),
        turned=_share([look.turned for look in looks]),
        classes=dict(classes),
        proposed=asked.over(_proposed(looks)),
        remarks=(*_remarks(looks, len(files), asked), *_sub_folders(files, asked)),
    )


def _looks(root: Path, names: Sequence[str]) -> list[Look | None]:
    """A look at each file; None where there is no picture."""
    formats()
    with quiet_decoders(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda name: _look(root / name), names))


def _look(path: Path) -> Look | None:
    try:
        header = read_header(path)
        over_white, _ = read_picture(path, Form(GLANCE, "pad"))
        over_black = read_picture(path, Form(GLANCE, "pad", background=0))[0] if header.transparent else over_white
    except Unusable:
        return None
    spread = np.ptp(over_white.astype(np.int16), axis=0)  # (H, W): largest channel minus smallest
    grey = spread.mean() <= PALE[0] and np.quantile(spread, 0.99) <= PALE[1]
    return Look(*header, bool(grey), (float(over_white.std()), float(over_black.std())))


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _proposed(looks: Sequence[Look]) -> Settings:
    """The settings that suit what was seen."""
    white, black = (statistics.fmean(look.contrast[i] for look in looks) if looks else 0.0 for i in (0, 1))
    return Settings(
        size=_proposed_size(looks),
        fit="pad" if looks and statistics.median(_length(look) for look in looks) >= LONG else "crop",
        grey=bool(looks) and all(look.grey for look in looks),
        background=0 if black > 1.25 * white else 255,
        split_by="picture",
        minutes=MINUTES,
        seed=0,
    )


def _proposed_size(looks: Sequence[Look]) -> int:
    """The pictures' own size, if all have the same and a network takes it; 32 where they are small, else 64."""
    sides = {side for look in looks for side in (look.wide, look.high)}
    if len(sides) == 1 and min(sides) <= USUAL and _is_taken(min(sides)):
        return min(sides)
    return SMALL if looks and statistics.median(min(look.wide, look.high) for look in looks) <= 40 else USUAL


def _is_taken(side: int) -> bool:
    try:
        check_shape((1, side, side))
    except ValueError:
        return False
    return True


def _length(look: Look) -> float:
    return max(look.wide, look.high) / max(1, min(look.wide, look.high))


def _sub_folders(files: Sequence[FileState], asked: Settings) -> list[str]:
    """How many sub-folders, and files in them, each split would have, if whole ones are asked for."""
    if asked.split_by != "folder":
        return []
    numbers = Counter(sub_folder(file.name) for file in files)
    parts = {name: [n for path, n in numbers.items() if part_of_sub_folder(path) == name] for name in PARTS}
    told = ", ".join(f"{len(ns):,} for {name} ({sum(ns):,} files)" for name, ns in reversed(parts.items()))
    return [f"Of {len(numbers):,} sub-folders there are {told}, before copies and splits with too few are seen to."]


def _remarks(looks: Sequence[Look], n: int, asked: Settings) -> list[str]:
    """What the learner should know before minutes are spent."""
    said = []
    if looks and asked.fit in (None, "crop"):
        lost = 1 - statistics.median(1 / _length(look) for look in looks)
        if lost > 0.2 and statistics.median(_length(look) for look in looks) < LONG:
            said.append(f"The middle square leaves out {lost:.0%} of a picture; --fit pad would keep all of it.")
    if looks and n < FEW:
        said.append(f"{n} files are few: the model will know them better than others of their kind. See the report.")
    if _share([look.transparent for look in looks]) > 0.1:
        said.append("Transparent pixels show the background: --background 0 is black, 255 white.")
    mixed = _share([look.grey for look in looks])
    if 0.02 < mixed < 0.98:
        said.append(f"{mixed:.0%} of the pictures are grey among coloured ones; --grey makes them all alike.")
    return said
