"""`fit`: one robust and fast training loop for every model with one optimiser.

It is the dozen lines of notebook 01 - draw a batch, compute the loss, step downhill - plus what a learner should not
have to write each time: a learning-rate schedule, a progress bar, validation, stopping and going on later.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers import checking, checkpoints
from vae_helpers.devices import adapt_threads, machine
from vae_helpers.distributions import validate_first_batch
from vae_helpers.images import check_images, to_float
from vae_helpers.objectives import negative_elbo

Objective = Callable[..., dict[str, Tensor]]


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient became NaN or infinite; the message says where and names likely causes."""


@dataclass
class History:
    """What happened during training, as plain data.

    Attributes:
        step: steps at which `train` was recorded; a record is the mean over the steps since the one before.
        train: for each part of the loss, and "grad_norm", its records; nats per image where the loss is.
        validation_step, validation: the same on validation images, at fewer steps.
        seconds: wall-clock time spent, over all sessions of a resumed run.
        stopped: why training ended early, or "".
    """

    step: list[int] = field(default_factory=list)
    train: dict[str, list[float]] = field(default_factory=dict)
    validation_step: list[int] = field(default_factory=list)
    validation: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return cls(**data)

    def __repr__(self) -> str:
        steps = self.step[-1] if self.step else 0
        text = f"History: {steps} steps in {self.seconds:.1f} s"
        for where, values in (("train", self.train), ("validation", self.validation)):
            if values.get("loss"):
                text += f", {where} loss {values['loss'][-1]:.2f}"
        return text + (f" ({self.stopped})" if self.stopped else "")


def fit(
    model: nn.Module,
    images: Tensor,
    *,
    steps: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    objective: Objective = negative_elbo,
    weights: Callable[[int], dict[str, float]] | None = None,
    validation: Tensor | None = None,
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
    """Train `model` on `images` with Adam, linear warm-up and cosine decay of the learning rate.

    Images stay `uint8` on the training device and are made floats batch by batch, by `model.prepare`. Each epoch is a
    new permutation; a batch that reaches the end of one goes on with the next, so all batches are equally large.
    Ctrl-C or the notebook's Stop button ends training after the current step: what was learned stays in the model, the
    checkpoint (if any) is written, and the History so far is returned. A second Ctrl-C interrupts at once.

    Args:
        model: trained in place, moved to the training device, left in the mode (train or eval) it came in.
        images: `uint8` (N, C, H, W).
        steps: optimiser steps in all, >= 1.
        batch_size: images per step; at most N are used.
        learning_rate: its peak, reached after 5 % of the steps (at most 100), then falling to zero.
        betas: how much Adam's running means of the gradient and of its square remember from step to step. A smaller
            second one, 0.98, follows gradients whose size changes, as when a likelihood's sigma shrinks.
        objective: called as `objective(model, x, **weights(step))`; returns a dict of (B,) tensors, of which "loss" is
            minimised (its mean over the batch) and all are recorded.
        weights: numbers for the objective that change with the step: `lambda step: {"beta": min(1, step / 500)}`.
        validation: `uint8` images for a second curve; never trained on.
        validate_every: steps between validations; by default a tenth of `steps`.
        augment: from a `uint8` batch to a `uint8` batch, such as `random_shift`; training images only.
        callback: called as `callback(step, model)` before the first step, every `callback_every` steps and after the
            last; in eval mode, without gradients, and without disturbing the random numbers of training.
        callback_every: by default a tenth of `steps`.
        checkpoint: file to keep the whole state of training in. It must not exist, unless `resume`. Where it cannot be
            written, as on a full disk, a line says so, the one before stays, and training goes on.
        checkpoint_every: steps between checkpoints; by default a tenth of `steps`. One is always written at the end.
        resume: go on from `checkpoint` if it exists, to bit-identical weights on the same machine.
        precision: torch.float32 or torch.bfloat16 for matrix products; by default what is fast here (`machine()`).
        seed: of batches, noise and dropout; the random state outside is left as it was. (The model's own initial
            weights were drawn before.)
        progress: show a bar with live numbers. Never shown when notebooks are executed for committing.
    Returns:
        a History.
    Raises:
        TypeError, ValueError: an argument out of its domain.
        FileExistsError: `checkpoint` exists and `resume` is off.
        CheckpointError: the checkpoint is damaged, or of another model or run.
        TrainingDiverged: NaN or infinity in loss or gradient; the model keeps its last finite weights.
    """
    steps, batch_size = checking.integer(steps, "steps"), checking.integer(batch_size, "batch_size")
    seed = checking.seed(seed)
    learning_rate = checking.positive(learning_rate, "learning_rate", "1e-3 is a good one to begin with.")
    _check_betas(betas)
    tenth = max(1, steps // 10)
    validate_every, callback_every, checkpoint_every = (
        tenth if every is None else checking.integer(every, name)
        for name, every in (
            ("validate_every", validate_every),
            ("callback_every", callback_every),
            ("checkpoint_every", checkpoint_every),
        )
    )
    _check_images(images, validation)
    run = _Run(
        model=model,
        images=images,
        steps=steps,
        batch_size=min(batch_size, len(images)),
        learning_rate=learning_rate,
        betas=betas,
        objective=objective,
        weights=weights or (lambda step: {}),
        validation=validation,
        augment=augment,
        precision=precision or machine().precision_for(model),
        seed=seed,
    )
    path = Path(checkpoint) if checkpoint is not None else None
    with run.prepared(), _Interrupts() as interrupts:
        adapt_threads()
        if path is not None and path.exists():
            if not resume:
                raise FileExistsError(f"{path} exists. Say resume=True to go on from it, or delete it to begin anew.")
            run.resume_from(path)
        bar, pace = _ProgressBar(steps, run.step, progress), _Pace(fixed=path is not None)
        before, start = run.history.seconds, time.perf_counter()
        if callback and run.step == 0:
            run.undisturbed(callback, 0, model)
        while run.step < steps:
            stop = interrupts.asked
            if not stop:
                run.advance()
            last = stop or run.step == steps
            if last or run.step % run.log_every == 0:
                run.log()
                bar.update_to(run.step, run.history)
                pace.keep(run.step)
            if validation is not None and (last or run.step % validate_every == 0):
                run.validate()
                bar.update_to(run.step, run.history)
            run.history.seconds = before + time.perf_counter() - start
            if stop:
                run.history.stopped = f"stopped by hand after step {run.step} of {steps}"
            if path is not None and (last or run.step % checkpoint_every == 0):
                run.keep_at(path)
            if callback and not stop and (last or run.step % callback_every == 0):
                run.undisturbed(callback, run.step, model)
            if stop:
                break
        bar.close()
    if run.history.stopped:
        print(f"Training was {run.history.stopped}; the model keeps what it learned.")
    return run.history


def warm_up_and_cosine(step: int, steps: int) -> float:
    """The learning rate as a share of its peak: linear warm-up, then half a cosine (Loshchilov & Hutter 2017)."""
    warm_up = min(100, max(1, steps // 20))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _check_betas(betas: tuple[float, float]) -> None:
    two = isinstance(betas, tuple | list) and len(betas) == 2 and all(map(checking.is_number, betas))
    if not two or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers of at least 0 and below 1, such as (0.9, 0.999), not {betas!r}.")


def _check_images(images: Tensor, validation: Tensor | None) -> None:
    check_images(images, "images")
    if validation is not None:
        check_images(validation, "validation")
        if validation.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"validation images {tuple(validation.shape[1:])} and training images {tuple(images.shape[1:])} "
                "differ in shape."
            )


class _Run:
    """The state of one training run: everything that a checkpoint has to hold, and the step that changes it."""

    def __init__(
        self,
        *,
        model: nn.Module,
        images: Tensor,
        steps: int,
        batch_size: int,
        learning_rate: float,
        betas: tuple[float, float],
        objective: Objective,
        weights: Callable[[int], dict[str, float]],
        validation: Tensor | None,
        augment: Callable[[Tensor], Tensor] | None,
        precision: torch.dtype,
        seed: int,
    ):
        self.device = machine().device
        self.model = model.to(self.device)
        if machine().channels_last and any(p.dim() == 4 for p in model.parameters()):
            model.to(memory_format=torch.channels_last)
        self.images = images.to(self.device)
        self.validation = None if validation is None else validation.to(self.device)
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.betas = learning_rate, betas
        self.objective, self.weights, self.augment = objective, weights, augment
        self.precision, self.seed = precision, seed
        self.prepare = getattr(model, "prepare", to_float)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError("the model has no parameter that requires a gradient, so there is nothing to train.")
        self.optimizer = torch.optim.Adam(self.parameters, lr=learning_rate, betas=betas, fused=True)
        self.step = 0
        self.history = History()
        self.log_every = max(1, steps // 200)
        self.threads: int | None = None  # of the CPU, to go back to after a run that was resumed
        self.unwritten = False  # whether the latest checkpoint could not be written
        self.pending: list[Tensor] = []  # one row of loss parts for each step since the last record
        self.names: list[str] = []
        self.epoch, self.order = -1, torch.empty(0, dtype=torch.long)
        # Looking at a number makes a GPU wait, so there it is done only when steps are recorded, and the weights of
        # that moment are kept to go back to.
        self.check_each_step = self.device.type == "cpu"
        self.last_finite = {} if self.check_each_step else self._copy_of_weights()

    # --- one step ------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """One optimiser step."""
        batch = self.images.index_select(0, self.indices())
        if self.augment:
            batch = self.augment(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * warm_up_and_cosine(self.step, self.steps)
        parts = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        parts["loss"].mean().backward()
        self.names = [*parts, "grad_norm"]
        with torch.no_grad():
            row = [value.mean().float() for value in parts.values()]
            norms = [torch.linalg.vector_norm(p.grad).float() for p in self.parameters if p.grad is not None]
            self.pending.append(torch.stack([*row, torch.linalg.vector_norm(torch.stack(norms))]))
        if self.check_each_step:
            self.check_finite(self.pending[-1:])
        self.optimizer.step()
        self.step += 1
        self.enough_checks()  # of values by torch.distributions: they went through the first batch

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        """The parts of the loss on a `uint8` batch, each (B,)."""
        x = self.prepare(batch)
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            return self.objective(self.model, x, **self.weights(self.step))

    def indices(self) -> Tensor:
        """Which images make up the batch of this step: a function of seed and step alone, so it can be resumed."""
        n, first = len(self.images), self.step * self.batch_size
        parts = []
        while len(parts) == 0 or sum(map(len, parts)) < self.batch_size:
            epoch, offset = divmod(first, n)
            if epoch != self.epoch:
                generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
                self.epoch, self.order = epoch, torch.randperm(n, generator=generator).to(self.device)
            part = self.order[offset : offset + self.batch_size - sum(map(len, parts))]
            parts.append(part)
            first += len(part)
        return torch.cat(parts)

    def check_finite(self, rows: list[Tensor]) -> None:
        """Stop, with an explanation, if one of the latest steps was not finite."""
        values = torch.stack(rows)
        if math.isfinite(values.sum(dtype=torch.float64).item()):
            return
        if self.last_finite:
            self.model.load_state_dict(self.last_finite)
        first = int((~torch.isfinite(values)).any(1).nonzero()[0])
        recorded = self.history.step[-1] if self.history.step else 0
        step = recorded + len(self.pending) - len(rows) + first + 1
        named = zip(self.names, values[first].tolist(), strict=True)
        parts = ", ".join(f"{name} = {value:.4g}" for name, value in named)
        raise TrainingDiverged(
            f"training stopped at step {step} of {self.steps}: {parts}. The model keeps its last finite weights. "
            "Likely causes: a learning rate that is too high (try a tenth), exp of an unbounded log-variance, a log or "
            "square root of zero, a sigma that ran to zero on flat images, or NaN in the weights the model came with."
        )

    def _copy_of_weights(self) -> dict[str, Tensor]:
        return {name: t.clone() for name, t in self.model.state_dict().items()}

    # --- records -------------------------------------------------------------------------------------------------

    def log(self) -> None:
        """Record the mean of the pending steps."""
        if not self.pending:
            return
        if not self.check_each_step:
            self.check_finite(self.pending)
            self.last_finite = self._copy_of_weights()
        means = torch.stack(self.pending).mean(0).tolist()
        self.pending.clear()
        self.history.step.append(self.step)
        for name, value in zip(self.names, means, strict=True):
            self.history.train.setdefault(name, []).append(value)

    def validate(self) -> None:
        """Record the loss on the validation images; with the same noise each time, so that curves compare."""
        if self.history.validation_step[-1:] == [self.step]:
            return
        totals = self.undisturbed(self._validation_means)
        self.history.validation_step.append(self.step)
        for name, value in totals.items():
            self.history.validation.setdefault(name, []).append(value)

    def _validation_means(self) -> dict[str, float]:
        torch.manual_seed(self.seed)
        totals: dict[str, float] = {}
        for batch in self.validation.split(500):
            for name, value in self.loss(batch).items():
                totals[name] = totals.get(name, 0.0) + value.sum().item() / len(self.validation)
        return totals

    def undisturbed(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call `work` in eval mode, without gradients, and with the random state put back afterwards."""
        mode = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), _forked_random_state(self.device):
                return work(*arguments)
        finally:
            self.model.train(mode)

    # --- surroundings --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Seeded random numbers inside, and everything global put back as it was afterwards.

        Numbers below 1e-38 become zero: Adam's means fill with them where a pixel is always black, and a processor
        takes many times as long over each.
        """
        mode = self.model.training
        flushed = bool(torch.tensor(1e-40) * 1 == 0)
        torch.set_flush_denormal(True)
        self.model.train()
        try:
            with _forked_random_state(self.device), validate_first_batch() as self.enough_checks:
                torch.manual_seed(self.seed)
                yield
        finally:
            torch.set_flush_denormal(flushed)
            if self.threads:
                torch.set_num_threads(self.threads)
            self.model.train(mode)
            self.optimizer.zero_grad(set_to_none=True)

    # --- checkpoints ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        return {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "betas": list(self.betas),
            "seed": self.seed,
            "precision": str(self.precision),
            "images": list(self.images.shape),
        }

    def keep_at(self, path: Path) -> None:
        """Write a checkpoint; where that fails, as on a full disk, say so once and leave the one before as it is."""
        try:
            self.save_to(path)
            self.unwritten = False
        except OSError as error:
            if not self.unwritten:
                print(f"The checkpoint {path} could not be written after step {self.step} ({error}); training goes on.")
            self.unwritten = True

    def save_to(self, path: Path) -> None:
        """Write model, optimiser, random state and history."""
        self.log()
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": t for name, t in state.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        notes = {
            "step": self.step,
            "settings": self.settings,
            "history": self.history.to_dict(),
            "threads": torch.get_num_threads(),
        }
        checkpoints.write(path, tensors, kind=type(self.model).__name__, notes=notes)

    def resume_from(self, path: Path) -> None:
        """Take up the state that `save_to` wrote."""
        tensors, kind, notes = checkpoints.read(path)
        if "settings" not in notes:
            raise checkpoints.CheckpointError(
                f"{path} holds a model, but not the state of a training run. Load it with vae_helpers.checkpoints.load."
            )
        mine, theirs = json.loads(json.dumps(self.settings)), notes["settings"]
        differing = [f"{k} (there {theirs.get(k)}, here {mine[k]})" for k in mine if mine[k] != theirs.get(k)]
        if differing:
            raise checkpoints.CheckpointError(
                f"{path} is of a run with other settings: {', '.join(differing)}. Use the same, or another file."
            )
        own = {k.removeprefix("model."): t for k, t in tensors.items() if k.startswith("model.")}
        checkpoints.check_fits(path, own, kind, self.model)
        self.model.load_state_dict(own)
        optimizer = self.optimizer.state_dict()
        for key, t in tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".", 2)
                optimizer["state"].setdefault(int(i), {})[name] = t
        self.optimizer.load_state_dict(optimizer)
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        if self.device.type == "cpu" and torch.get_num_threads() != notes["threads"]:
            self.threads = torch.get_num_threads()
            torch.set_num_threads(notes["threads"])  # sums are rounded in another order otherwise
        self.step, self.history = notes["step"], History.from_dict(notes["history"])
        self.history.stopped = ""
        if self.step:
            self.enough_checks()


def _forked_random_state(device: torch.device) -> contextlib.AbstractContextManager:
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


class _Interrupts:
    """Turns the first Ctrl-C (or Stop button) into a flag that is looked at between steps."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Interrupts:
        self.mine = threading.current_thread() is threading.main_thread()
        if self.mine:
            self.before = signal.signal(signal.SIGINT, self.note)
        return self

    def __exit__(self, *_: object) -> None:
        if self.mine:
            signal.signal(signal.SIGINT, self.before)

    def note(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class _Pace:
    """Notices that training has become slow, as when another program has started, and has the threads chosen anew.

    With another number of threads, sums are rounded in another order; a run that is to be resumed keeps the number that
    it began with.
    """

    PATIENCE = 5.0  # seconds between two looks

    def __init__(self, fixed: bool):
        self.fixed, self.best = fixed, math.inf
        self.looked = self.before = time.perf_counter()
        self.step = 0

    def keep(self, step: int) -> None:
        """To be called now and then with the number of steps done."""
        now = time.perf_counter()
        seconds = (now - self.before) / max(1, step - self.step)
        self.best, self.before, self.step = min(self.best, seconds), now, step
        if not self.fixed and seconds > 1.5 * self.best and now - self.looked > self.PATIENCE:
            adapt_threads()
            self.looked = time.perf_counter()


class _ProgressBar:
    """tqdm's progress bar with the last numbers of the history, or nothing."""

    def __init__(self, steps: int, done: int, wanted: bool):
        self.bar = None
        if wanted and os.environ.get("VAE_HELPERS_STATIC") != "1":
            from tqdm.auto import tqdm

            self.bar = tqdm(total=steps, initial=done, unit="step", leave=False)

    def update_to(self, step: int, history: History) -> None:
        if self.bar is None:
            return
        numbers = {name: f"{values[-1]:.2f}" for name, values in history.train.items() if name != "grad_norm"}
        if history.validation.get("loss"):
            numbers["validation"] = f"{history.validation['loss'][-1]:.2f}"
        self.bar.set_postfix(numbers, refresh=False)
        self.bar.update(step - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
