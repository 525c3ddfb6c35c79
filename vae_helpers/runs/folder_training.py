"""`train_folder`: the way from a folder of pictures to a run that is finished."""

from __future__ import annotations

import copy
import functools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_helpers import __version__, checking, checkpoints
from vae_helpers.data import Dataset
from vae_helpers.data.folder import load_folder
from vae_helpers.data.picture_file import printable
from vae_helpers.devices import adapt_threads, forked_random_state, machine
from vae_helpers.evaluation import evaluate
from vae_helpers.images import random_shift
from vae_helpers.models.learned_priors import mend_prior
from vae_helpers.models.vae import VAE
from vae_helpers.runs import folder_run
from vae_helpers.runs.folder_run import ELSEWHERE, FolderRun, RunError, in_use, picture_form
from vae_helpers.runs.measuring import measure, thinned
from vae_helpers.runs.recipe import RECIPES, begin, folder_vae, proposal, proposed_shift
from vae_helpers.runs.report import write_report
from vae_helpers.runs.settings import Settings, write_toml
from vae_helpers.runs.survey import survey
from vae_helpers.training import History, fit
from vae_helpers.training.parallel import Processes, alone_for_now

MEASURED_FOR = 3.0  # seconds, to tell how long a step takes
EPOCHS = 400  # at most, unless steps are given: a small folder is not looked at for hours
FEWEST_STEPS = 20
LOOKS = 20  # times that held-out pictures are looked at during training
HELD_OUT = 500  # pictures at each of these looks
UNEVEN = 20  # times as many pictures in the largest class as in the smallest
ALIKE = 1.0  # levels of 255 between pictures, root mean square, below which there is nothing to learn
FOR_THE_PRIOR = 10_000  # training pictures whose codes are fitted


class Interrupted(RuntimeError):
    """Training was stopped by hand; what was learned is in the run's checkpoint."""


def train_folder(
    folder: str | os.PathLike, run: str | os.PathLike = "run", *, progress: bool = True, **settings: Any
) -> FolderRun:
    """Train a VAE on a folder of pictures, and write model, report and gallery into the folder of the run.

    Called again with the same folder and run it goes on where it was stopped, even by a power cut, to the same weights
    as without a stop; a run that is finished is left as it is. Under `torchrun` its processes train one model
    together (`vae_helpers.training.parallel`).

    What is written into `run`: settings.toml (what was chosen), model.safetensors, metrics.json, report.html,
    gallery.png, and events for TensorBoard where it is installed; during training a checkpoint.

    Args:
        folder: of the pictures, see `load_folder`; nothing in it is changed.
        run: a folder of its own, made if it is missing.
        progress: whether to say what happens, with a bar.
        settings: see `Settings`; what is not given is proposed by `survey`.
    Returns:
        a FolderRun: `model`, `sample(n)`, `metrics`, `report`.
    Raises:
        RunError: the run is of another folder, or of other settings, or in use; the pictures are all alike.
        Interrupted: it was stopped by hand.
        FileNotFoundError, ValueError, TypeError, ...: as `Settings` and `load_folder`.
        OSError: the run's folder cannot be written.
    """
    asked, place = Settings(**settings), FolderRun(run)
    processes = Processes.join()
    say = print if progress and processes.first else _silent
    lock = in_use(place)
    processes.from_first(lock.__enter__)
    try:
        return _train(folder, place, asked, processes, say, progress)
    finally:
        if processes.first:
            lock.__exit__(None, None, None)


def _silent(*_: object) -> None:
    """Say nothing."""


def _train(
    folder: str | os.PathLike,
    place: FolderRun,
    asked: Settings,
    processes: Processes,
    say: Callable[..., None],
    progress: bool,
) -> FolderRun:
    plan, news = processes.from_first(lambda: _planned(folder, place, asked))
    say(news)
    say(machine())
    start = time.perf_counter()
    data = _loaded(plan, processes, quiet=not (progress and processes.first))
    say(
        f"{' + '.join(f'{n:,}' for n in _counts(data))} pictures for training, validation and test, read in "
        f"{time.perf_counter() - start:.1f} s.{_unevenness(data)}"
    )
    processes.from_first(lambda: _check_pictures(data, plan, place))
    if processes.from_first(lambda: place.finished):
        say(f"This run is finished: {place.report}")
        return place
    if not processes.from_first(lambda: place.trained):
        if "about" not in plan:
            found = processes.from_first(lambda: proposal(data.train.images, data.validation.images))
            plan = found | plan
        vae = _new_model(plan, data)
        plan = processes.from_first(lambda: _with_steps(plan, vae, data, place))
        say(_what_is_trained(vae, plan, data))
        history, step = _fitted(vae, plan, data, place, progress)
        if history.stopped:
            raise Interrupted(f"Training was {history.stopped}. The same command goes on from there: {place.command}")
        if processes.first:
            _keep_model(vae, plan, data, history, step, place)
    if processes.first:
        _report(place, data, say)
    processes.from_first(lambda: None)  # the others wait for the files
    return place


def _planned(folder: str | os.PathLike, place: FolderRun, asked: Settings) -> tuple[dict[str, Any], str]:
    """All settings: those that the run was begun with, or what is asked for with what the survey proposes for the rest.

    Returns:
        the plan, and what to say about it.
    """
    if place.begun:
        plan = place.plan
        _check_same_folder(folder, plan, place)
        then = plan | plan["about"]
        differing = {k: v for k, v in asked.given.items() if _plain(v) != then.get(k)}
        if differing:
            theirs = ", ".join(f"{k} = {then.get(k)}, not {v}" for k, v in differing.items())
            raise RunError(
                f"{printable(place.path)} was begun with {theirs}. Leave that out to go on with it, or {ELSEWHERE}."
            )
        return plan, f"Going on with {place.path}."
    if place.trained:
        raise RunError(f"{printable(place.path)} has a model but no {folder_run.SETTINGS}: {ELSEWHERE}.")
    if place.path.is_dir() and any(file.name != folder_run.LOCK for file in place.path.iterdir()):
        raise RunError(f"{printable(place.path)} exists and is no run: it holds other files; {ELSEWHERE}.")
    if asked.model is not None:
        checking.choice(asked.model, "model", RECIPES)
    found = survey(folder, asked)
    if Path(found.folder) == place.path.resolve() or Path(found.folder) in place.path.resolve().parents:
        raise RunError(
            f"the run's folder {printable(place.path)} lies in the folder of the pictures, where nothing is written; "
            f"{ELSEWHERE}."
        )
    plan = {"folder": found.folder} | {k: _plain(v) for k, v in found.proposed.given.items()}
    return plan, str(found)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _check_same_folder(folder: str | os.PathLike, plan: dict[str, Any], place: FolderRun) -> None:
    here = os.path.realpath(os.path.expanduser(os.fspath(folder)))
    if here != plan["folder"]:
        raise RunError(
            f"{printable(place.path)} is a run on the folder {printable(plan['folder'])}, not on {printable(here)}; "
            f"{ELSEWHERE}."
        )


def _loaded(plan: dict[str, Any], processes: Processes, quiet: bool) -> Dataset:
    """The pictures. Rank 0 decodes them first, then one process of each machine, then the others find them decoded."""
    turn = 0 if processes.first else 1 if os.environ.get("LOCAL_RANK", "0") == "0" else 2
    data = None
    for now in range(3 if not processes.alone else 1):
        trouble = None
        if turn == now:
            try:
                data = load_folder(plan["folder"], **picture_form(plan), quiet=quiet)
            except (OSError, ValueError) as error:
                if processes.alone:
                    raise
                trouble = error
        for error in processes.gather(None if trouble is None else str(trouble)):
            if error is not None:
                raise trouble or RunError(f"another process could not read the pictures: {error}")
    assert data is not None
    return data


def _check_pictures(data: Dataset, plan: dict[str, Any], place: FolderRun) -> None:
    """Raise RunError where there is nothing to learn, or where the pictures are not those that the run began with."""
    some = thinned(data.train.images, 1000).float()
    differing = (some - some.mean(0)).square().mean().sqrt().item()
    if differing < ALIKE:
        raise RunError(
            f"the pictures are all alike: they differ by {differing:.2g} levels of 255 (root mean square). A model of "
            "them has nothing to learn; give a folder with different pictures."
        )
    then = plan.get("about", {}).get("pictures")
    if then is not None and then != _counts(data):
        raise RunError(
            f"the pictures in {printable(plan['folder'])} have changed since {printable(place.path)} was begun: "
            f"{then} for training, validation and test then, {_counts(data)} now; {ELSEWHERE}."
        )


def _unevenness(data: Dataset) -> str:
    """A sentence, where one class has many times as many pictures as another."""
    counts = torch.bincount(data.train.labels, minlength=len(data.classes))
    there = counts.nonzero()[:, 0]  # split by sub-folders, a class may have none for training
    most, least = (int(there[choice]) for choice in (counts[there].argmax(), counts[there].argmin()))
    if counts[most] < UNEVEN * counts[least]:
        return ""
    return (
        f" Of {data.classes[most]} there are {counts[most]:,} for training, of {data.classes[least]} "
        f"{counts[least]:,}: what is rare in the folder is rare in what the model makes, and is known less well."
    )


def _counts(data: Dataset) -> list[int]:
    return [len(split) for split in (data.train, data.validation, data.test)]


def _new_model(plan: dict[str, Any], data: Dataset) -> VAE:
    with forked_random_state():
        torch.manual_seed(plan["seed"])
        return begin(folder_vae(**_recipe(plan, data)), data.train.images)


def _recipe(plan: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """The arguments of `folder_vae`, which are written into the model's file."""
    return {"image_shape": list(data.image_shape), "model": plan["model"], "latents": plan["latents"]}


def _with_steps(plan: dict[str, Any], vae: VAE, data: Dataset, place: FolderRun) -> dict[str, Any]:
    """The plan with a number of steps, written into the run's folder: from now on it is fixed."""
    if "about" not in plan:
        about = {"pictures": _counts(data), "vae_helpers": __version__}
        plan = dict(plan)
        if "steps" not in plan:
            about["minutes"] = plan.pop("minutes")
            plan["steps"] = _steps_for(about["minutes"], vae, plan, data)
        if "shift" not in plan:
            plan["shift"] = proposed_shift(vae, data.validation.images, _times_seen(plan, data))
        place.write(folder_run.SETTINGS, write_toml(plan, about))
        plan["about"] = about
    return plan


def _steps_for(minutes: float, vae: VAE, plan: dict[str, Any], data: Dataset) -> int:
    """How many steps take so many minutes: some are made with a copy of the model, and timed."""
    adapt_threads()
    trained = _training_arguments(plan)
    some = thinned(data.train.images, 4 * plan["batch_size"])

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        with alone_for_now():
            fit(copy.deepcopy(vae), some, steps=steps, progress=False, **trained)
        return time.perf_counter() - start

    first = seconds(3)
    some_steps = max(3, min(200, int(3 * MEASURED_FOR / max(first, 1e-3))))
    step = max(1e-5, (seconds(3 + some_steps) - seconds(3)) / some_steps)
    most = max(FEWEST_STEPS, math.ceil(EPOCHS * len(data.train) / plan["batch_size"]))
    return min(most, max(FEWEST_STEPS, int(60 * minutes / step)))


def _training_arguments(plan: dict[str, Any]) -> dict[str, Any]:
    shift = plan.get("shift", 0)  # before its steps are known, and in a run of an earlier version, there is none
    return {name: plan[name] for name in ("batch_size", "learning_rate", "seed")} | {
        "augment": functools.partial(random_shift, pixels=shift) if shift else None
    }


def _what_is_trained(vae: VAE, plan: dict[str, Any], data: Dataset) -> str:
    weights = sum(p.numel() for p in vae.parameters())
    shift = plan.get("shift", 0)
    moved = f", moved at random by up to {shift} {'pixel' if shift == 1 else 'pixels'}" if shift else ""
    return (
        f"A VAE of {weights:,} weights with {plan['latents']} latents; {plan['steps']:,} steps of {plan['batch_size']} "
        f"pictures, each seen {_times_seen(plan, data):.1f} times{moved}."
    )


def _times_seen(plan: dict[str, Any], data: Dataset) -> float:
    return plan["steps"] * min(plan["batch_size"], len(data.train)) / len(data.train)


@dataclass
class Best:
    """The weights under which held-out pictures were likeliest so far, kept in a file, so that a stop loses nothing.

    Attributes:
        path: of the file.
        pictures: held out, `uint8` (N, C, H, W).
        seed: of the noise, the same at each look.
        events: where the numbers are written for TensorBoard, or None.
    """

    path: Path
    pictures: Tensor
    seed: int
    events: Any = None

    def look(self, step: int, model: VAE) -> None:
        """Measure the model and keep it, if it is better than at all earlier looks."""
        measured = evaluate(model, self.pictures, samples=1, seed=self.seed)
        if self.events is not None:
            for name, estimate in measured.items():
                self.events.add_scalar(f"held out/{name}", estimate.mean, step)
        if self.path.exists():
            _, _, notes = checkpoints.read(self.path)
            if notes["step"] < step and notes["elbo"] >= measured["elbo"].mean:
                return
        try:
            checkpoints.save(self.path, model, step=step, elbo=measured["elbo"].mean)
        except OSError as error:
            print(f"The best weights so far could not be kept ({error}); training goes on.")


def _fitted(vae: VAE, plan: dict[str, Any], data: Dataset, place: FolderRun, progress: bool) -> tuple[History, int]:
    """Train the model, and give it the weights of its best look; what happened, and the step of that look."""
    held_out = thinned(data.validation.images, HELD_OUT)
    every = max(1, plan["steps"] // LOOKS)
    events = _events(place)
    best = Best(place.path / folder_run.BEST, held_out, plan["seed"], events)
    checkpoint = place.path / folder_run.CHECKPOINT
    history = fit(
        vae,
        data.train.images,
        steps=plan["steps"],
        validation=held_out,
        validate_every=every,
        callback=best.look,
        callback_every=every,
        checkpoint=checkpoint,
        checkpoint_every=every,
        resume=True,
        progress=progress,
        **_training_arguments(plan),
    )
    if events is not None:
        for name, values in history.train.items():
            for step, value in zip(history.step, values, strict=True):
                events.add_scalar(f"training/{name}", value, step)
        events.close()
    step = plan["steps"]
    if best.path.exists() and not history.stopped:
        step = checkpoints.load(best.path, vae)["step"]
    return history, step


def _events(place: FolderRun) -> Any:
    """What writes for TensorBoard, where it is installed."""
    if not Processes.join().first:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(place.path / folder_run.EVENTS))


def _keep_model(vae: VAE, plan: dict[str, Any], data: Dataset, history: History, step: int, place: FolderRun) -> None:
    """Write the model with its mended prior; the checkpoint is not needed any more."""
    some = thinned(data.train.images, FOR_THE_PRIOR)
    mended = mend_prior(vae, some, thinned(data.validation.images, 2 * HELD_OUT), seed=plan["seed"])
    checkpoints.save(
        place.path / folder_run.MODEL,
        mended,
        run_format=folder_run.FORMAT,
        vae_helpers=__version__,
        recipe=_recipe(plan, data),
        components=len(mended.logits),
        history=history.to_dict(),
        step=step,
    )
    for name in (folder_run.CHECKPOINT, folder_run.BEST):
        (place.path / name).unlink(missing_ok=True)


def _report(place: FolderRun, data: Dataset, say: Callable[..., None]) -> None:
    """Measure the model and write what was found."""
    start = time.perf_counter()
    say("Measuring on pictures that it has not seen ...")
    measured = measure(place, data)
    write_report(place, data, measured)
    say(f"{measured.verdict}\nReport: {place.report} (measured and written in {time.perf_counter() - start:.0f} s)")
