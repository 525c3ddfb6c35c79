"""The state of a run in a checkpoint, and what a checkpoint continues."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_helpers import checking, checkpoints
from vae_helpers.checkpoints import CheckpointError
from vae_helpers.training.history import History
from vae_helpers.training.run import Run


def what_must_agree(run: Run) -> dict[str, Any]:
    """What must be the same for a run to be continued, as JSON gives it back."""
    names = {p: name for name, p in run.model.named_parameters()}
    phases = {
        trainer.phase.name: {
            "objective": _name_of(trainer.phase.objective),
            "trained weights": [names[p] for p in trainer.parameters],
            "learning_rate": trainer.phase.learning_rate,
            "betas": trainer.phase.betas,
            "trains": trainer.phase.trains,
            "updates": trainer.phase.updates,
            "start": trainer.phase.start,
        }
        for trainer in run.trainers
    }
    found = {
        "steps": run.steps,
        "batch_size": run.batches.size,
        **{f"{name}.{key}".lstrip("."): value for name, phase in phases.items() for key, value in phase.items()},
        "phases": list(phases),
        "seed": run.seed,
        "precision": str(run.precision),
        "average": None if run.average is None else getattr(run.average, "decay", "another"),
        "processes": run.processes.count,
        "shapes": [tensor.shape for tensor in run.batches.data],
        "data": run.batches.digest,
    }
    return json.loads(json.dumps(found))


def _name_of(objective: Any) -> str:
    """The name of an objective, or of its class; "" for a lambda, which cannot be told from another.

    A partial is named with its arguments, "negative_elbo(beta=4.0)".
    """
    if isinstance(objective, functools.partial):
        given = [_argument(value) for value in objective.args]
        given += [f"{name}={_argument(value)}" for name, value in sorted(objective.keywords.items())]
        return f"{_name_of(objective.func)}({', '.join(given)})"
    name = getattr(objective, "__qualname__", type(objective).__qualname__)
    return "" if "<lambda>" in name else name


def _argument(value: Any) -> str:
    """An argument of a partial: numbers and texts as they are written, a tensor by its digest, others by their kind."""
    if checking.is_number(value):
        return repr(float(value))  # 2, 2.0 and NumPy's are the same
    if value is None or isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_argument, value))})"
    if isinstance(value, Tensor) and value.layout == torch.strided:
        return f"{checking.shown(value)} {checkpoints.digest({'': value.resolve_conj().resolve_neg()})[:8]}"
    return _name_of(value)


class Keeper:
    """Writes a run's checkpoints; rank 0 does, for all processes.

    Args:
        path: the file, or None for no checkpoints.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.failed = False  # whether the latest could not be written

    def keep(self, run: Run) -> None:
        """Write a checkpoint, if one is wanted; where that fails, as on a full disk, say so once and keep the last."""
        if self.path is None:
            return
        run.log()
        random_states = run.processes.gather(_random_state(run))
        if not run.processes.first:
            return
        try:
            _write(run, self.path, random_states)
            self.failed = False
        except OSError as error:
            if not self.failed:
                what = f"The checkpoint {self.path} could not be written after step {run.step}"
                print(f"{what} ({error}); training goes on.")
            self.failed = True


def _write(run: Run, path: Path, random_states: list[dict[str, Tensor]]) -> None:
    tensors = {f"model.{name}": t for name, t in run.model.state_dict().items()}
    if run.average is not None:
        tensors |= {f"average.{name}": t for name, t in run.average.state_dict().items()}
    for k, trainer in enumerate(run.trainers):
        for i, state in trainer.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{k}.{i}.{name}": t for name, t in state.items()}
    for rank, state in enumerate(random_states):
        tensors |= {f"random.{rank}.{name}": t for name, t in state.items()}
    notes = {
        "step": run.step,
        "updates": run.updates,
        "settings": what_must_agree(run),
        "parts": run.parts,
        "history": run.history.to_dict(),
        "threads": torch.get_num_threads(),
    }
    checkpoints.write(path, tensors, kind=type(run.model).__name__, notes=notes)


def _random_state(run: Run) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if run.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(run.device)
    return state


def resume(run: Run, path: Path) -> None:
    """Take up the state that a `Keeper` wrote.

    Raises:
        CheckpointError: the file is damaged, or of another model, other data or other settings; the run is as it was.
            That the objective has other parts shows at its first updates, when the model has the checkpoint's weights.
    """
    tensors, kind, notes = run.processes.from_first(lambda: checkpoints.read(path))
    if "settings" not in notes:
        raise CheckpointError(
            f"{path} holds a model, but not the state of a training run. Load it with vae_helpers.checkpoints.load."
        )
    _check_same(path, notes["settings"], what_must_agree(run))
    own = _under("model", tensors)
    checkpoints.check_fits(path, own, kind, run.model)
    run.model.load_state_dict(own)
    if run.average is not None:
        run.average.load_state_dict(_under("average", tensors))
    for k, trainer in enumerate(run.trainers):
        state = trainer.optimizer.state_dict()
        for key, t in _under(f"optimizer.{k}", tensors).items():
            i, name = key.split(".", 1)
            state["state"].setdefault(int(i), {})[name] = t
        trainer.optimizer.load_state_dict(state)
        for p, moments in trainer.optimizer.state.items():  # in the layout of p: the fused Adam walks through memory
            moments |= {name: torch.empty_like(p).copy_(t) for name, t in moments.items() if name != "step"}
    _set_random_state(run, _under(f"random.{run.processes.rank}", tensors))
    if run.device.type == "cpu" and torch.get_num_threads() != notes["threads"]:
        run.threads = torch.get_num_threads()
        torch.set_num_threads(notes["threads"])  # sums are rounded in another order otherwise
    run.step, run.updates, run.history = notes["step"], notes["updates"], History.from_dict(notes["history"])
    run.parts, run.parts_in_checkpoint = notes["parts"], dict(notes["parts"])
    run.history.stopped = ""
    run.keep_finite()
    if run.step:
        run.stop_validating()


def _check_same(path: Path, theirs: dict[str, Any], mine: dict[str, Any]) -> None:
    """Raise unless the settings agree, and say which do not."""
    differing = {name for name in {*theirs, *mine} if theirs.get(name) != mine.get(name)}
    if differing == {"data"}:
        raise CheckpointError(
            f"{path} is of a run on other data of the same shape. Give the data that it began with, in the same order, "
            "or another file."
        )
    if differing:
        said = [
            f"{k} (there {theirs.get(k)}, here {mine.get(k)})" for k in {**mine, **theirs} if k in differing - {"data"}
        ]
        raise CheckpointError(
            f"{path} is of a run with other settings: {', '.join(said)}. Use the same, or another file."
        )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def _set_random_state(run: Run, state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if run.device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], run.device)
