"""Model files: safetensors, never pickle, so that opening one cannot run code.

A file carries, besides the tensors, a header: format, the model's class, notes (plain JSON) and a SHA-256 digest of
the tensors. It is never half written (`vae_helpers.writing`), and it is read and checked whole before a model is
touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers.writing import write_whole

FORMAT = "vae_helpers/1"
LARGE = 20_000  # numbers of a tensor, from which on `save_shipped(..., eight_bits=True)` rounds it
STEP = "/step"  # ends the name under which such a tensor's steps are kept


class CheckpointError(ValueError):
    """A model file that cannot be used; the message says why and what to do."""


def save(path: str | os.PathLike, model: nn.Module, **notes: Any) -> Path:
    """Write the model's parameters and buffers to `path`, replacing what is there in one step.

    A parameter that several modules share is written under each of its names; `load` leaves it shared.

    Args:
        path: ends in .safetensors by custom; missing folders are made.
        model: any module.
        notes: plain values (JSON) to keep with it, such as `latent_dim=16`.
    Returns:
        the path.
    Raises:
        TypeError: a note that JSON cannot hold.
        OSError: the file cannot be written; one that was there is as it was.
    """
    return write(path, model.state_dict(), kind=type(model).__name__, notes=notes)


def load(path: str | os.PathLike, model: nn.Module) -> dict[str, Any]:
    """Read a file written by `save` into `model`, whole or not at all.

    Returns:
        the notes.
    Raises:
        FileNotFoundError: no such file.
        OSError: the file cannot be read.
        CheckpointError: not a checkpoint, damaged, or of another model, such as one that has different numbers where
            modules of this one share a parameter; the model is as it was.
    """
    tensors, kind, notes = read(path)
    check_fits(path, tensors, kind, model)
    model.load_state_dict(tensors)
    return notes


def write(path: str | os.PathLike, tensors: dict[str, Tensor], kind: str, notes: dict[str, Any]) -> Path:
    """Write named tensors and notes to `path`, atomically. See `save`."""
    from safetensors.torch import save as to_bytes

    tensors = _apart({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    try:
        header = {"format": FORMAT, "kind": kind, "notes": json.dumps(notes), "digest": digest(tensors)}
    except TypeError as error:
        raise TypeError(f"notes must be plain values that JSON can hold: {error}.") from error
    with contextlib.suppress(FileExistsError):  # a file in a folder's place: the writing says so
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, to_bytes(tensors, metadata=header))


def read(path: str | os.PathLike) -> tuple[dict[str, Tensor], str, dict[str, Any]]:
    """The tensors, the kind of model and the notes of a file, checked against its digest. See `load`."""
    from safetensors import safe_open

    path = Path(path)
    cure = "Use a file written by vae_helpers.checkpoints.save, or save the model again."
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}. Check the name, or train and save the model first.")
    if not path.is_file():  # a pipe would be waited for, /dev/zero never ends
        raise CheckpointError(f"{path} is {'a folder' if path.is_dir() else 'a device or a pipe'}, not a file. {cure}")
    with path.open("rb"):  # without permission to read it, this is the error that says so
        pass
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:  # safetensors raises its own error, and others on damaged headers
        raise CheckpointError(f"{path} is damaged or no safetensors file ({_short(error)}). {cure}") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not one of this package's. {cure}")
    if header.get("digest") != digest(tensors):
        raise CheckpointError(f"{path} is damaged: its numbers do not match the digest stored with them. {cure}")
    try:
        notes = json.loads(header["notes"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: its notes cannot be read. {cure}") from error
    return tensors, header.get("kind", "?"), notes


def save_shipped(
    path: str | os.PathLike, model: nn.Module, besides: Sequence[str] = (), eight_bits: bool = False, **notes: Any
) -> Path:
    """Write a network that a package is to carry: like `save`, with floating-point numbers in half precision.

    Args:
        path, model, notes: as for `save`.
        besides: names of submodules that are left out, because another file has them; see `shipped_changes`.
        eight_bits: each matrix or kernel of at least `LARGE` numbers takes half of that: it is rounded to whole
            multiples, -127 to 127, of a step of its row (output channel), 1/127 of the row's largest absolute value.
            The steps are kept with it, in `float32`.
    Raises:
        ValueError: no submodule of such a name.
    """
    for name in besides:
        if name not in dict(model.named_modules()):
            raise ValueError(f"besides names {name!r}, but the model has no submodule of that name.")
    left_out = tuple(f"{name}." for name in besides)
    kept = {name: t for name, t in model.state_dict().items() if not name.startswith(left_out)}
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in kept.items()}
    for name, t in kept.items():
        if eight_bits and t.is_floating_point() and t.dim() > 1 and t.numel() >= LARGE:
            tensors[name], tensors[name + STEP] = _in_steps(t)
    return write(path, tensors, kind=type(model).__name__, notes=notes)


def load_shipped(path: str | os.PathLike, build: Callable[[], nn.Module]) -> nn.Module:
    """The network in a file of `save_shipped`: in `float32` and eval mode, its weights frozen.

    Args:
        build: makes the network; called where no weights are drawn at random only to be replaced.
    """
    with torch.device("meta"):
        model = build()
    tensors, _, _ = read(path)
    model.load_state_dict(_whole_floats(tensors), assign=True)
    return model.requires_grad_(False).eval()


def _in_steps(t: Tensor) -> tuple[Tensor, Tensor]:
    """The tensor in steps, as `int8`, and the step of each row, (rows, 1, ...), which broadcasts."""
    largest = t.float().abs().amax(tuple(range(1, t.dim())), keepdim=True)
    step = (largest / 127).clamp_min(torch.finfo(torch.float32).tiny)  # a row of zeros, too, is divided by it
    return (t / step).round().to(torch.int8), step


def _whole_floats(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """In `float32` what is rounded, to half precision or to steps; the steps themselves are left out."""
    whole = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    for name in tensors:
        if name.endswith(STEP):
            of = name.removesuffix(STEP)
            whole[of] = whole[of] * whole.pop(name)
    return whole


def shipped(build: Callable[[], nn.Module], package: str, file: str) -> nn.Module:
    """A network that a package carries, as `load_shipped` reads it; found in an installed wheel too."""
    with resources.as_file(resources.files(package) / file) as path:
        return load_shipped(path, build)


def shipped_changes(model: nn.Module, package: str, file: str) -> nn.Module:
    """The model with the weights replaced that a file of `save_shipped(..., besides=...)` has.

    Raises:
        CheckpointError: it has weights that the model lacks, or of another shape; the model is as it was.
    """
    with resources.as_file(resources.files(package) / file) as path:
        tensors, kind, _ = read(path)
        changed = model.state_dict() | _whole_floats(tensors)
        check_fits(path, changed, kind, model)
    model.load_state_dict(changed)
    return model


def check_fits(path: str | os.PathLike, tensors: dict[str, Tensor], kind: str, model: nn.Module) -> None:
    """Raise CheckpointError unless the tensors are those of `model` in name, shape and dtype, equal where it shares."""
    own = model.state_dict(keep_vars=True)  # the parameters themselves, by which shared ones are known
    problems = [f"lacks {name}" for name in own if name not in tensors]
    problems += [f"has {name}, which the model lacks" for name in tensors if name not in own]
    for name in filter(tensors.__contains__, own):
        theirs, ours = tensors[name], own[name]
        if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
            problems.append(f"has {name} as {_kind(theirs)}, the model as {_kind(ours)}")
    if not problems:
        first: dict[int, str] = {}
        for name, t in own.items():
            other = first.setdefault(id(t), name)
            if other != name and digest({"": tensors[name]}) != digest({"": tensors[other]}):  # NaN equals itself here
                problems.append(f"has different numbers in {other} and {name}, which are one in the model")
    if problems:
        more = f", and {len(problems) - 3} more differences" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{path} holds another model (a {kind}; this is a {type(model).__name__}): "
            f"it {'; '.join(problems[:3])}{more}. "
            "Build the model with the settings it was saved with."
        )


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the tensors, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {t.dtype} {tuple(t.shape)}\n".encode())
        if t.numel():
            total.update(t.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, copied where they share memory: safetensors refuses to write those."""
    seen: set[int] = set()
    apart = {}
    for name, t in tensors.items():
        memory = t.untyped_storage().data_ptr()
        apart[name] = t.clone() if memory in seen else t
        seen.add(memory)
    return apart


def _kind(t: Tensor) -> str:
    return f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}"


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
