"""What a run writes into its folder, and how it is read again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_helpers import checkpoints
from vae_helpers.data import Dataset
from vae_helpers.data.folder import load_folder
from vae_helpers.data.picture_file import printable
from vae_helpers.devices import forked_random_state, machine
from vae_helpers.models.learned_priors import MendedVAE
from vae_helpers.runs.recipe import folder_vae
from vae_helpers.runs.settings import RunError
from vae_helpers.training import History
from vae_helpers.writing import write_whole

FORMAT = 2  # of a run's model file; one that is read years later says by this number how it was written
SETTINGS, MODEL, METRICS = "settings.toml", "model.safetensors", "metrics.json"
REPORT, GALLERY, EVENTS = "report.html", "gallery.png", "tensorboard"
CHECKPOINT, BEST, LOCK = "checkpoint.safetensors", "best.safetensors", ".in_use"  # while it trains
ELSEWHERE = "give another folder for the run (--into, or run= in Python)"


class FolderRun:
    """A run on a folder of pictures, as it lies in its own folder.

    Args:
        path: of the run's folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(os.path.expanduser(os.fspath(path)))

    @property
    def begun(self) -> bool:
        """Whether its settings are written."""
        return (self.path / SETTINGS).exists()

    @property
    def trained(self) -> bool:
        """Whether its model is written."""
        return (self.path / MODEL).exists()

    @property
    def finished(self) -> bool:
        """Whether its report is written, which comes last."""
        return self.trained and (self.path / REPORT).exists()

    @property
    def report(self) -> Path:
        """The report's file."""
        return self.path / REPORT

    @functools.cached_property
    def plan(self) -> dict[str, Any]:
        """Its settings and the folder it is about, all filled.

        Raises:
            RunError: they cannot be read.
        """
        path = self.path / SETTINGS
        try:
            plan = tomllib.loads(path.read_text(encoding="utf-8"))
            return {"split_by": "picture"} | plan  # older runs had no choice
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(
                f"{printable(path)} cannot be read ({error}). Give another folder for the run, or take this one away."
            ) from error

    @functools.cached_property
    def model(self) -> MendedVAE:
        """The trained model with its mended prior, in eval mode, on the device of this machine.

        Raises:
            RunError: it is not there, damaged, or of a later version of this package.
        """
        notes = self.notes
        model = MendedVAE(folder_vae(**notes["recipe"]), notes["components"])
        try:
            checkpoints.load(self.path / MODEL, model)
        except checkpoints.CheckpointError as error:
            raise RunError(str(error)) from error
        return model.to(machine().device).eval()

    @functools.cached_property
    def notes(self) -> dict[str, Any]:
        """What stands in the model's file beside its weights."""
        path = self.path / MODEL
        if not path.exists():
            raise RunError(f"{printable(self.path)} has no model yet. {self._how_to_go_on()}")
        try:
            _, _, notes = checkpoints.read(path)
        except checkpoints.CheckpointError as error:
            raise RunError(str(error)) from error
        if notes.get("run_format") != FORMAT:
            raise RunError(
                f"{printable(path)} is of format {notes.get('run_format')}, written by vae_helpers "
                f"{notes.get('vae_helpers')}; this version reads format {FORMAT}. Use that version, or train again."
            )
        return notes

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """What was measured, as plain values."""
        path = self.path / METRICS
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{printable(self.path)} has no {METRICS} yet. {self._how_to_go_on()}") from error
        except (OSError, ValueError) as error:
            raise RunError(f"{printable(path)} cannot be read ({error}).") from error

    @property
    def history(self) -> History:
        """Of the training."""
        return History.from_dict(self.notes["history"])

    def data(self, quiet: bool = False) -> Dataset:
        """The folder's pictures, as they were made for this run; `quiet` as for `load_folder`."""
        return load_folder(self.plan["folder"], quiet=quiet, **picture_form(self.plan))

    def sample(self, n: int = 16, seed: int = 0) -> Tensor:
        """The decoder's mean pictures at n draws of the mended prior: (n, C, H, W), `float32` in [0, 1]."""
        model = self.model  # read before the seed is set: new weights are drawn first
        with forked_random_state():
            torch.manual_seed(seed)
            return model.sample_means(n).clamp(0, 1).cpu()

    def write(self, name: str, content: bytes | str) -> Path:
        """One of its files, whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        return write_whole(self.path / name, content.encode() if isinstance(content, str) else content)

    @property
    def command(self) -> str:
        """What one types to go on with the training, as a shell takes it."""
        return shlex.join(["python", "-m", "vae_helpers", "train", self.plan["folder"], "--into", str(self.path)])

    def _how_to_go_on(self) -> str:
        if self.begun:
            return f"Go on with: {self.command}"
        return "Begin one with: python -m vae_helpers train FOLDER --into RUN"

    def __repr__(self) -> str:
        state = "finished" if self.finished else "trained" if self.trained else "begun" if self.begun else "not begun"
        return f"FolderRun({str(self.path)!r}): {state}"


def load_run(path: str | os.PathLike) -> FolderRun:
    """A run that `train_folder`, or `python -m vae_helpers train`, has made: `load_run("run").model`.

    Args:
        path: of the run's folder.
    Returns:
        a FolderRun with `model`, `sample(n)`, `metrics`, `history`, `data()`, `report`.
    Raises:
        RunError: there is no such run.
    """
    run = FolderRun(path)
    if not run.begun and not run.trained:
        what = "holds no run" if run.path.is_dir() else "does not exist"
        raise RunError(f"{printable(run.path)} {what}. {run._how_to_go_on()}")
    return run


def picture_form(plan: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `load_folder` that a plan fixes."""
    background = plan["background"]
    return {
        "size": plan["size"],
        "fit": plan["fit"],
        "colour": not plan["grey"],
        "background": tuple(background) if isinstance(background, list) else background,
        "split_by": plan["split_by"],
    }


@contextlib.contextmanager
def in_use(run: FolderRun) -> Iterator[None]:
    """Inside, no other process trains in the run's folder; the system lets go of it however this one ends.

    Raises:
        RunError: another one does.
    """
    try:
        import fcntl
    except ImportError:  # Windows: two at once would overwrite each other's checkpoint
        yield
        return
    made = not run.path.exists()
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.path / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process is training in {printable(run.path)}. Wait for it, or {ELSEWHERE}."
            ) from error
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            (run.path / LOCK).unlink(missing_ok=True)  # while it is held
            if made:
                with contextlib.suppress(OSError):  # something was written
                    run.path.rmdir()
