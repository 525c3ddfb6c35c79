"""What a run on a folder is asked for: arguments in Python, options on the command line, or a file in TOML."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vae_helpers import checking
from vae_helpers.data.folder import SPLITS_BY
from vae_helpers.data.picture_file import FITS, MAX_SIDE, MIN_SIDE

MINUTES = 10.0  # of training, unless told


class RunError(ValueError):
    """A run that cannot be begun, gone on with or read; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What is asked for; None is for what the survey of the folder proposes.

    Attributes:
        size: pixels of a side, a size that `conv_vae` takes.
        fit: "crop" for the middle square, "pad" for all of a picture.
        grey: whether colour is taken away.
        background: behind what is transparent or padded: a grey, or [red, green, blue], 0..255.
        split_by: "picture", or "folder" for sub-folders that are not divided, see `load_folder`.
        model: a recipe, "wavelet" or "pixels", see `folder_vae`.
        latents: D, numbers of a code.
        minutes: of training, on this machine as it is now; measured at the start and turned into steps.
        steps: in their place; with steps a run is the same on every day.
        batch_size: pictures of a step, of all processes together.
        learning_rate: its peak.
        shift: pixels by which training pictures are moved at random, at most; 0 for not at all. See `proposed_shift`.
        seed: of the weights, batches and draws.
    """

    size: int | None = None
    fit: str | None = None
    grey: bool | None = None
    background: int | tuple[int, int, int] | None = None
    split_by: str | None = None
    model: str | None = None
    latents: int | None = None
    minutes: float | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    shift: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        checks = {
            "size": lambda v: checking.integer(v, "size", MIN_SIDE, MAX_SIDE, "It counts pixels of a side."),
            "fit": lambda v: checking.choice(v, "fit", FITS),
            "grey": lambda v: checking.flag(v, "grey"),
            "background": _checked_background,
            "split_by": lambda v: checking.choice(v, "split_by", SPLITS_BY),
            "latents": lambda v: checking.integer(v, "latents"),
            "minutes": lambda v: float(checking.positive(v, "minutes")),
            "steps": lambda v: checking.integer(v, "steps"),
            "batch_size": lambda v: checking.integer(v, "batch_size"),
            "learning_rate": lambda v: float(checking.positive(v, "learning_rate")),
            "shift": lambda v: checking.integer(v, "shift", 0, MAX_SIDE, "It counts pixels."),
            "seed": checking.seed,
        }
        for name, check in checks.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check(value))
        if self.minutes is not None and self.steps is not None:
            raise ValueError(f"give minutes ({self.minutes:g}) or steps ({self.steps}), not both.")

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, others: Settings) -> Settings:
        """These settings, and where they are None the others; steps and minutes stand for each other."""
        theirs = others.given
        if self.minutes is not None or self.steps is not None:
            theirs = {name: value for name, value in theirs.items() if name not in ("minutes", "steps")}
        return Settings(**(theirs | self.given))


NAMES = tuple(field.name for field in fields(Settings))


def _checked_background(value: Any) -> int | tuple[int, int, int]:
    levels = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(levels) not in (1, 3) or not all(checking.is_integer(v) and 0 <= v <= 255 for v in levels):
        raise ValueError(f"background must be a grey 0..255 or three such numbers (red, green, blue), not {value!r}.")
    return int(levels[0]) if len(levels) == 1 else tuple(map(int, levels))


def read_toml(path: str | os.PathLike) -> tuple[Settings, dict[str, str]]:
    """The settings in a file, and the folder and run that it may name.

    Args:
        path: of a TOML file with a line for each setting, such as `size = 64`; `folder` and `run` are taken as seen
            from the file's own folder.
    Returns:
        Settings, and {"folder": ..., "run": ...} as far as they are named.
    Raises:
        RunError: it cannot be read, is no TOML, or holds something else; the message says what.
    """
    path = Path(os.path.expanduser(os.fspath(path)))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"the settings {path} cannot be read ({error.strerror}). Check the name.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} is not TOML ({error}). A line of it looks like this: size = 64") from error
    content.pop("about", None)  # what a finished run adds to its own
    places = {name: content.pop(name) for name in ("folder", "run") if name in content}
    for name, value in places.items():
        if not isinstance(value, str):
            raise RunError(f'{path}: {name} must be the path of a folder, in quotes: {name} = "pictures".')
        places[name] = str(path.parent / os.path.expanduser(value))
    unknown = [name for name in content if name not in NAMES]
    if unknown:
        raise RunError(
            f"{path}: there is no setting {unknown[0]!r}. {checking.guess(unknown[0], NAMES)} There are: "
            f"folder, run, {', '.join(NAMES)}."
        )
    try:
        return Settings(**content), places
    except (TypeError, ValueError) as error:
        raise RunError(f"{path}: {error}") from error


def write_toml(settings: dict[str, Any], about: dict[str, Any]) -> str:
    """Settings as TOML, a line for each, and a table of what is told beside them.

    JSON's texts, numbers, truth values and lists are written alike in TOML.
    """

    def lines(values: dict[str, Any]) -> list[str]:
        return [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]

    head = "# What this run was begun with. A copy of it is a beginning for --config.\n"
    return "".join([head, *lines(settings), "\n[about]\n", *lines(about)])
