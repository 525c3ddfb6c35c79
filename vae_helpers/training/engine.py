"""`fit`, and the loop over steps.

It is the dozen lines of notebook 01 - draw a batch, compute the loss, step downhill - plus what a learner should not
have to write each time: a learning-rate schedule, a progress bar, validation, stopping and going on later, several
objectives that take turns, several processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from vae_helpers import checking
from vae_helpers.devices import PRECISIONS, adapt_threads, machine
from vae_helpers.models.protocol import checked_data
from vae_helpers.training import resuming
from vae_helpers.training.history import History
from vae_helpers.training.parallel import Processes, ProcessLost
from vae_helpers.training.phases import Objective, Phase, Weights, checked, checked_betas, checked_rate, single
from vae_helpers.training.progress import ProgressBar
from vae_helpers.training.run import Run
from vae_helpers.training.surroundings import Clock, Interrupts, Pace

Data = Tensor | Sequence[Tensor]


def fit(
    model: nn.Module,
    data: Data,
    *,
    steps: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    objective: Objective | None = None,
    weights: Weights | None = None,
    phases: Sequence[Phase] | None = None,
    average: AveragedModel | None = None,
    validation: Data | None = None,
    validate_every: int | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    callback: Callable[[int, nn.Module], None] | None = None,
    callback_every: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    precision: torch.dtype | None = None,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Train `model` with Adam, linear warm-up and cosine decay of the learning rate.

    Images stay `uint8` on the training device and are made floats batch by batch, by `model.prepare`. Data that would
    take half of what a GPU has free stay in the computer's memory, and batches are copied from there. Each epoch is a
    new permutation; a batch that reaches the end of one goes on with the next, so all batches are equally large.
    Ctrl-C or the notebook's Stop button ends training after the current step: what was learned stays in the model, the
    checkpoint (if any) is written, and the History so far is returned. A second Ctrl-C interrupts at once.

    Under `torchrun --nproc-per-node N script.py` the same call trains the same model in N processes, each on its share
    of every batch; see `vae_helpers.training.parallel`.

    Args:
        model: trained in place, moved to the training device; its submodules are left in the modes they came in.
        data: pictures, `uint8` (N, C, H, W), or sets of K of them, (N, K, C, H, W); or other data with a row for each
            image, such as floating-point codes, which are taken as they are; or several tensors that belong together,
            (images, *conditions): factors, labels, captions, views, of any type and with N rows each.
        steps: in all, >= 1; a step is one update of the weights, or those of all phases.
        batch_size: images per update, of all processes together; at most N are used.
        learning_rate: its peak, reached after 5 % of the steps (at most 100), then falling to zero.
        betas: how much Adam's running means of the gradient and of its square remember from step to step. A smaller
            second one, 0.98, follows gradients whose size changes, as when a likelihood's sigma shrinks.
        objective: called as `objective(model, x, *conditions, **weights(step))`; returns a dictionary of tensors, (B,)
            or scalars, of which "loss" is minimised (its mean over the batch) and all are recorded under their names.
            `negative_elbo` unless told.
        weights: numbers for the objective that change with the step: `lambda step: {"beta": min(1, step / 500)}`.
        phases: several objectives that take turns, each with the part of the model that it trains and an optimiser of
            its own, in place of `objective` and `weights`; see `Phase`.
        average: a `weight_average(model)`, which follows the weights during training.
        validation: data of the same form for a second curve; never trained on.
        validate_every: steps between validations; by default a tenth of `steps`.
        augment: from a batch of images to one of the same shape, such as `random_shift`; of training data only, and
            conditions are not touched.
        callback: called as `callback(step, model)` before the first step, every `callback_every` steps and after the
            last, but not after a Stop; in eval mode, without gradients, and without disturbing the random numbers of
            training. In several processes only the first calls it.
        callback_every: by default a tenth of `steps`.
        checkpoint: file to keep the whole state of training in. It must not exist, unless `resume`. Where it cannot be
            written, as on a full disk, a line says so, the one before stays, and training goes on.
        checkpoint_every: steps between checkpoints; by default a tenth of `steps`. One is always written at the end.
        resume: go on from `checkpoint` if it exists, to bit-identical weights on the same machine. The data, the
            objective's name (a partial's arguments too) and parts, phases and numbers have to be those it began with;
            `weights`, `augment` and `validation` are not compared.
        precision: torch.float32 or torch.bfloat16 for matrix products; by default what is fast here (`machine()`).
        seed: of batches, noise and dropout; the random state outside is left as it was. (The model's own initial
            weights were drawn before.)
        progress: show a bar with live numbers. Never shown when notebooks are executed for committing.
    Returns:
        a History.
    Raises:
        TypeError, ValueError: an argument out of its domain, or an objective whose result is no such dictionary, or has
            other parts in one process than in another.
        FileExistsError: `checkpoint` exists and `resume` is off.
        CheckpointError: the checkpoint is damaged, or of another model, other data, objective or settings.
        TrainingDiverged: NaN or infinity in loss or gradient; the model keeps its last finite weights.
        ProcessLost: another process of the same training has ended; the last checkpoint stands.
    """
    steps, batch_size = checking.integer(steps, "steps"), checking.integer(batch_size, "batch_size")
    tenth = max(1, steps // 10)
    every = Every(
        *(
            tenth if number is None else checking.integer(number, name)
            for name, number in (
                ("validate_every", validate_every),
                ("callback_every", callback_every),
                ("checkpoint_every", checkpoint_every),
            )
        )
    )
    data = checked_data(data, "data")
    processes = Processes.join()
    run = Run(
        model=model,
        data=data,
        steps=steps,
        batch_size=_shared(min(batch_size, len(data[0])), processes),
        phases=_phases(objective, weights, phases, learning_rate, betas),
        average=_checked_average(average, model),
        validation=None if validation is None else _checked_like(checked_data(validation, "validation"), data),
        augment=augment,
        precision=_checked_precision(precision) or machine().precision_for(model),
        seed=checking.seed(seed),
        processes=processes,
    )
    if not processes.alone:
        processes.check_equal(resuming.what_must_agree(run), "data, seed and settings")
    keeper = resuming.Keeper(_checked_path(checkpoint, resume, processes))
    with run.prepared(), Interrupts(also_terminate=not processes.alone) as interrupts:
        try:
            _train(run, keeper, interrupts, every, callback if processes.first else None, progress and processes.first)
        except ProcessLost as error:
            raise ProcessLost(f"{error} {_what_is_left(run, keeper)}") from error
    if run.history.stopped and processes.first:
        print(f"Training was {run.history.stopped}; the model keeps what it learned.")
    return run.history


class Every(NamedTuple):
    """Steps between two validations, calls of the callback and checkpoints."""

    validate: int
    callback: int
    checkpoint: int


def _train(
    run: Run,
    keeper: resuming.Keeper,
    interrupts: Interrupts,
    every: Every,
    callback: Callable[[int, nn.Module], None] | None,
    progress: bool,
) -> None:
    """The loop over steps."""
    adapt_threads()
    if keeper.path is not None and run.processes.from_first(keeper.path.exists):
        resuming.resume(run, keeper.path)
    clock, pace = Clock(run.history), Pace(fixed=keeper.path is not None)
    with ProgressBar(run.steps, run.step, progress) as bar:
        if callback and run.step == 0:
            run.undisturbed(callback, 0, run.model)
        while run.step < run.steps and not run.has_to_stop(interrupts):
            run.advance(interrupts.asked)
            last = run.step == run.steps
            if last or run.step % run.log_every == 0:
                run.log()
                bar.update_to(run.step, run.history)
                pace.keep(run.step)
            if last or run.step % every.validate == 0:
                run.validate()
                bar.update_to(run.step, run.history)
            clock.read()
            if callback and (last or run.step % every.callback == 0):
                run.undisturbed(callback, run.step, run.model)
            if last or run.step % every.checkpoint == 0:  # last: what goes on from it has had its callbacks
                keeper.keep(run)
        if run.step < run.steps:
            run.log()
            run.validate()
            clock.read()
            run.history.stopped = f"stopped by hand after step {run.step} of {run.steps}"
            keeper.keep(run)
    run.finish()


def _phases(
    objective: Objective | None,
    weights: Weights | None,
    phases: Sequence[Phase] | None,
    learning_rate: float,
    betas: tuple[float, float],
) -> list[Phase]:
    learning_rate, betas = checked_rate(learning_rate), checked_betas(betas)
    if phases is None:
        return [single(objective, weights, learning_rate, betas)]
    if objective is not None or weights is not None:
        raise ValueError("give either phases, each with its objective and weights, or one objective; not both.")
    return checked(phases, learning_rate, betas)


def _checked_like(validation: tuple[Tensor, ...], data: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    theirs, mine = ([(*tensor.shape[1:],) for tensor in tensors] for tensors in (validation, data))
    if theirs != mine:
        raise ValueError(f"validation data {theirs} and training data {mine} differ in shape.")
    theirs, mine = ([checking.kind_of(tensor) for tensor in tensors] for tensors in (validation, data))
    if theirs != mine:
        raise TypeError(f"validation data {theirs} and training data {mine} differ in type.")
    return validation


def _checked_average(average: Any, model: nn.Module) -> AveragedModel | None:
    if average is None:
        return None
    fits = isinstance(average, AveragedModel) and _forms(average.module) == _forms(model)
    if not fits:
        raise ValueError("average must be made of this model: average=weight_average(model, decay=0.999).")
    return average


def _forms(model: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}


def _checked_precision(precision: torch.dtype | None) -> torch.dtype | None:
    if precision is not None and precision not in PRECISIONS.values():
        raise ValueError(f"precision must be torch.float32 or torch.bfloat16, not {precision}.")
    return precision


def _checked_path(checkpoint: str | os.PathLike | None, resume: bool, processes: Processes) -> Path | None:
    if checkpoint is None:
        if resume:
            raise ValueError("resume=True needs the file to go on from: checkpoint='run.safetensors'.")
        return None
    path = Path(checkpoint)
    if not resume and processes.from_first(path.exists):
        raise FileExistsError(f"{path} exists. Say resume=True to go on from it, or delete it to begin anew.")
    return path


def _shared(batch_size: int, processes: Processes) -> int:
    if batch_size < processes.count:
        raise ValueError(
            f"a batch of {batch_size} images cannot be shared by {processes.count} processes: give a larger "
            "batch_size, or start fewer."
        )
    return batch_size


def _what_is_left(run: Run, keeper: resuming.Keeper) -> str:
    if keeper.path is None:
        return f"It had made {run.step} of {run.steps} steps; with checkpoint=... it could go on from there."
    return f"The checkpoint {keeper.path} stands: start the same again with resume=True."
