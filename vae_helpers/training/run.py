"""The state of one training run, and the step that changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vae_helpers import checking
from vae_helpers.checkpoints import CheckpointError
from vae_helpers.devices import forked_random_state, machine
from vae_helpers.distributions import validate_first_batch
from vae_helpers.models.protocol import evaluating, modes_kept, prepared
from vae_helpers.training.batches import Batches, home_of
from vae_helpers.training.history import History, Pending
from vae_helpers.training.parallel import Processes, alone_for_now
from vae_helpers.training.phases import Phase, Trainer, checked_parts
from vae_helpers.training.schedule import warm_up_and_cosine
from vae_helpers.training.surroundings import Interrupts, tiny_numbers_as_zero

VALIDATED_AT_A_TIME = 500  # rows


class TrainingDiverged(ArithmeticError):
    """The loss or its gradient became NaN or infinite; the message says where and names likely causes."""


def weight_average(model: nn.Module, decay: float = 0.999) -> AveragedModel:
    """A running average of a model's weights, to be given to `fit(model, ..., average=average)`.

    After each step every weight of the average w becomes decay w + (1 - decay) (the model's weight), beginning with the
    model's weights after the first step; the last 1 / (1 - decay) steps count. `average.module` is a model like
    the first: `evaluate(average.module, images)`. Running statistics of batch normalisation are averaged likewise;
    whole numbers and truth values among the buffers, such as a count or an order, are the model's latest.

    Args:
        model: what is to be trained.
        decay: at least 0 and below 1.
    Returns:
        torch's `AveragedModel`.
    """
    if not 0 <= checking.number(decay, "decay") < 1:
        raise ValueError(f"decay must be at least 0 and below 1, such as 0.999, not {decay}.")
    average = AveragedModel(model, multi_avg_fn=_following(decay), use_buffers=True)
    average.decay = decay  # for the checkpoint, which goes on with the same only
    return average


def _following(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """How an average follows: torch's own, except that it would cut averages of whole numbers, even 3 and 3, to 2."""
    average_numbers = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def follow(averages: Sequence[Tensor], latest: Sequence[Tensor], count: Any) -> None:
        if averages[0].is_floating_point() or averages[0].is_complex():  # all of them are of one type
            average_numbers(averages, latest, count)
        else:
            for mine, theirs in zip(averages, latest, strict=True):
                mine.copy_(theirs)

    return follow


def _augmented(augment: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    result = augment(x)
    if not isinstance(result, Tensor) or (result.shape, result.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"augment must return a batch like the one that it is given, {checking.shown(x)}, not "
            f"{checking.shown(result)}."
        )
    return result


def _is_frozen(module: nn.Module) -> bool:
    """Whether it has parameters and none of them is trained."""
    flags = [p.requires_grad for p in module.parameters()]
    return bool(flags) and not any(flags)


def looks_at_each_update(device: torch.device) -> bool:
    """Whether numbers can be looked at without making the device wait."""
    return device.type == "cpu"


class Run:
    """One training run: its state, and the step that changes it.

    Args: those of `fit`, checked; `phases` as `phases.checked` returns them.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        data: tuple[Tensor, ...],
        steps: int,
        batch_size: int,
        phases: list[Phase],
        average: AveragedModel | None,
        validation: tuple[Tensor, ...] | None,
        augment: Callable[[Tensor], Tensor] | None,
        precision: torch.dtype,
        seed: int,
        processes: Processes,
    ):
        self.device = machine().device
        self.model, self.average = model.to(self.device), average
        if machine().channels_last and any(p.dim() == 4 for p in model.parameters()):
            model.to(memory_format=torch.channels_last)
        if average is not None:
            average.to(self.device)
        home = home_of([*data, *(validation or ())], self.device)
        self.batches = Batches(tuple(tensor.detach().to(home) for tensor in data), batch_size, seed, self.device)
        self.validation = None if validation is None else tuple(tensor.detach().to(home) for tensor in validation)
        self.steps, self.seed, self.precision, self.augment = steps, seed, precision, augment
        self.processes, self.share = processes, processes.share(batch_size)
        self.trainers = [Trainer(phase, model) for phase in phases]
        self.step = self.updates = 0
        self.stop_validating: Callable[[], None] = lambda: None  # set while the run is `prepared`
        self.stopping = False  # in several processes: one of them was asked to stop
        self.history, self.pending = History(), Pending()
        self.log_every = max(1, steps // 200)
        self.parts: dict[str, list[str]] = {}  # phase -> the parts of its latest loss
        self.agreed: dict[str, tuple[str, ...]] = {}  # phase -> the parts of its latest loss, in all processes
        self.parts_in_checkpoint: dict[str, list[str]] = {}  # of a resumed run, until its first updates
        self.threads: int | None = None  # of the CPU, to go back to after a run that was resumed
        # Looking at a number makes a GPU wait, so there it is done only when steps are recorded, and all that training
        # changes is kept to go back to. On a CPU only what changes before the look has to be kept: buffers.
        self.check_each_update = looks_at_each_update(self.device)
        processes.copy_from_first([*model.parameters(), *model.buffers()])
        if average is not None:
            processes.copy_from_first(list(average.state_dict().values()))
        self.keep_finite()

    # --- one step ------------------------------------------------------------------------------------------------

    def advance(self, asked_to_stop: bool = False) -> None:
        """One step: the updates of each phase in turn."""
        for trainer in self.trainers:
            if self.step < trainer.phase.start:
                continue
            trainer.set_learning_rate(warm_up_and_cosine(self.step, self.steps))
            for _ in range(trainer.phase.updates):
                self.update(trainer, asked_to_stop)
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.step += 1
        self.stop_validating()  # the first batch went through torch.distributions' checks

    def has_to_stop(self, interrupts: Interrupts) -> bool:
        """Whether the user, or another process of the run, has asked to stop; all processes agree on the step."""
        return interrupts.asked if self.processes.alone else self.stopping

    def update(self, trainer: Trainer, asked_to_stop: bool) -> None:
        """One update of one phase's parameters."""
        if self.check_each_update and self.kept_buffers:
            self.keep_finite()
        x, *conditions = self.batches.get(self.updates, self.share)
        self.updates += 1
        if self.augment:
            x = _augmented(self.augment, x)
        with trainer.others_frozen():
            parts = self.loss(trainer, x, conditions)
            self._check_parts(trainer, parts)
            loss = parts["loss"].mean()
            if not self.processes.alone:
                loss = loss * (len(x) / self.batches.size)  # its part of the mean: notebook 13, eq. (13.6)
            loss.backward()
        with torch.no_grad():
            if not self.processes.alone:
                parts = dict(sorted(parts.items()))  # they are added up in the same order in all processes
            row = torch.stack([value.float().mean() for value in parts.values()])
            if not self.processes.alone:
                row = self._added_up(trainer, tuple(parts), row * (len(x) / self.batches.size), asked_to_stop)
            names = tuple(map(trainer.named, (*parts, "grad_norm")))
            self.pending.add(self.step + 1, names, torch.cat([row, trainer.gradient_norm()[None]]))
        if self.check_each_update:
            self.check_finite(newest=1)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)

    def loss(self, trainer: Trainer, x: Tensor, conditions: list[Tensor]) -> dict[str, Tensor]:
        """The parts of a phase's loss on a batch, each (B,) or a scalar."""
        x = prepared(self.model, x)
        with self.shorter_products():
            parts = trainer.phase.objective(self.model, x, *conditions, **trainer.weights(self.step))
        return checked_parts(parts, len(x))

    def shorter_products(self) -> contextlib.AbstractContextManager:
        """Inside, matrix products and convolutions are computed in `precision`."""
        if self.precision == torch.float32:
            return contextlib.nullcontext()  # a tenth of a millisecond less
        return torch.autocast(self.device.type, dtype=self.precision)

    def _added_up(self, trainer: Trainer, names: tuple[str, ...], row: Tensor, asked_to_stop: bool) -> Tensor:
        """The batch's gradients and parts from those of all shares; notes whether any process was asked to stop.

        Numbers can be added up only if all processes send equally many. So each sends those of the parts that all had
        last time, and whether it has others now; then they compare their parts, and add these up by themselves.
        """
        agreed = self.agreed.get(trainer.phase.name, ())
        usual = row if names == agreed else row.new_zeros(len(agreed))
        signs = row.new_tensor([float(asked_to_stop), float(names != agreed)])
        *_, asked, changed = numbers = self.processes.add_up(trainer.parameters, torch.cat([usual, signs]))
        self.stopping |= bool(asked > 0)
        if changed > 0:
            self.processes.check_equal(names, "parts of the loss")
            self.agreed[trainer.phase.name] = names
            return self.processes.add_up([], row)
        return numbers[:-2]

    def check_finite(self, newest: int | None = None) -> None:
        """Stop, with an explanation, if one of the pending updates, or of the newest of them, was not finite."""
        found = self.pending.first_not_finite(newest)
        if found is None:
            return
        self._go_back()
        step, values = found
        parts = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
        raise TrainingDiverged(
            f"training stopped at step {step} of {self.steps}: {parts}. The model keeps its last finite weights. "
            "Likely causes: a learning rate that is too high (try a tenth), exp of an unbounded log-variance, a log or "
            "square root of zero, a sigma that ran to zero on flat images, or NaN in the weights the model came with."
        )

    def keep_finite(self) -> None:
        """Remember what a divergence has to go back to: all that has changed by the time that it is noticed."""
        self.kept_buffers = [
            (module, name, buffer, buffer.detach().clone())
            for module in self.model.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        others: list[Tensor] = []
        if not self.check_each_update:
            others += [p.detach() for p in self.model.parameters()]
            others += [] if self.average is None else self.average.state_dict().values()
        self.kept = [(tensor, tensor.clone()) for tensor in others]

    def _go_back(self) -> None:
        for module, name, buffer, kept in self.kept_buffers:
            module._buffers[name] = buffer  # where the module has put another in its place
            if buffer.is_contiguous():
                buffer.copy_(kept)
            else:
                module._buffers[name] = kept
        for tensor, kept in self.kept:
            tensor.copy_(kept)

    def _check_parts(self, trainer: Trainer, parts: dict[str, Tensor]) -> None:
        expected = self.parts_in_checkpoint.pop(trainer.phase.name, None)
        if expected is not None and not set(expected) <= set(parts):
            raise CheckpointError(
                f"the checkpoint is of another objective: its loss had the parts {', '.join(expected)}, this one has "
                f"{', '.join(parts)}. Use the same objective, or another file."
            )
        self.parts[trainer.phase.name] = list(parts)

    # --- records -------------------------------------------------------------------------------------------------

    def log(self) -> None:
        """Record the means of the pending updates."""
        if not self.pending:
            return
        if not self.check_each_update:
            self.check_finite()
            self.keep_finite()
        self.history.add(self.step, self.pending.take_means())

    def validate(self) -> None:
        """Record the parts on the validation data, if any; with the same noise each time, so that curves compare."""
        due = self.validation is not None and self.processes.first and self.history.validation_step[-1:] != [self.step]
        if due:
            self.history.add_validation(self.step, self.undisturbed(self._validation_means))

    def _validation_means(self) -> dict[str, float]:
        torch.manual_seed(self.seed)
        totals: dict[str, float] = {}
        count = len(self.validation[0])
        for x, *conditions in zip(*(tensor.split(VALIDATED_AT_A_TIME) for tensor in self.validation), strict=True):
            for trainer in self.trainers:
                copies = [
                    tensor.to(self.device, copy=True) for tensor in (x, *conditions)
                ]  # an objective may change what it is given
                for part, value in self.loss(trainer, copies[0], copies[1:]).items():
                    name = trainer.named(part)
                    totals[name] = totals.get(name, 0.0) + value.float().mean().item() * len(x) / count
        return totals

    def undisturbed(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call `work` in eval mode, without gradients, and with the random state put back afterwards."""
        with evaluating(self.model), torch.no_grad(), forked_random_state(), alone_for_now():
            return work(*arguments)

    # --- surroundings --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """The model in training mode and seeded random numbers inside, and everything put back as it was afterwards."""
        with modes_kept(self.model), tiny_numbers_as_zero(), torch.enable_grad():
            self._train_mode()
            try:
                with forked_random_state(), validate_first_batch() as self.stop_validating:
                    for trainer in self.trainers:  # gradients of the learner's own are no part of the first batch's
                        trainer.optimizer.zero_grad(set_to_none=True)
                    torch.manual_seed((self.seed + self.processes.rank * 1_000_000_007) % 2**63)
                    yield
            finally:
                if self.threads:
                    torch.set_num_threads(self.threads)
                for trainer in self.trainers:
                    trainer.optimizer.zero_grad(set_to_none=True)

    def _train_mode(self) -> None:
        """Training mode; but a frozen network that came in eval mode, such as a judge with batch norm, stays in it."""
        judges = [module for module in self.model.modules() if not module.training and _is_frozen(module)]
        self.model.train()
        for module in judges:
            module.eval()

    def finish(self) -> None:
        """Leave all processes with the same model: buffers are those of rank 0, as in the checkpoint."""
        averaged = [] if self.average is None else list(self.average.buffers())
        self.processes.copy_from_first([*self.model.buffers(), *averaged])
