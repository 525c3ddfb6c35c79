"""Several processes that train one model, on several GPUs or machines, started by torch's own launcher:

    torchrun --nproc-per-node 2 script.py

Each process (rank) has the whole data, takes its share of every batch, and the gradients of the shares are added up to
that of the batch: one all-reduce of one flat tensor for each update, which also carries the parts of the loss and
whether a process was asked to stop, so that all of them record the same numbers, stop and diverge at the same step.

Why not DistributedDataParallel: it hooks the parameters that need gradients when it wraps a `forward`. Models here are
called by `encode` and `decode`, and phases train parts of a model in turns, each time freezing the others. A flat
all-reduce does not care, and networks of some millions of weights leave little communication to hide.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vae_helpers.devices import machine

_alone_for_now = False


@contextlib.contextmanager
def alone_for_now() -> Iterator[None]:
    """Inside, `join` joins nobody: a `fit` in a callback, which rank 0 alone calls, trains by itself."""
    global _alone_for_now
    before, _alone_for_now = _alone_for_now, True
    try:
        yield
    finally:
        _alone_for_now = before


class ProcessLost(RuntimeError):
    """Another process of the same training has ended, so this one cannot go on; the message says what is left."""


class Processes:
    """The processes that train together; `Processes.join()` says which of them this is.

    Attributes:
        rank: 0 ... count - 1. Rank 0 writes, prints and shows the bar.
        count: how many.
    """

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank, self.count = rank, count

    @classmethod
    def join(cls) -> Processes:
        """Join the process group that torchrun describes in the environment; alone if there is none."""
        if not dist.is_available() or _alone_for_now:
            return cls()
        if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
            machine()  # chooses this process's GPU
            # Its functions take the group that exists as a default argument when they are imported, and an optimiser
            # imports them: the group would outlive `_leave`, and its threads abort the interpreter's end now and then.
            import torch.distributed.nn.functional

            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(_leave)
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def alone(self) -> bool:
        """Whether one process trains."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Which rows of a batch are this process's; the shares differ by one row at most."""
        return slice(self.rank * batch_size // self.count, (self.rank + 1) * batch_size // self.count)

    @torch.no_grad()
    def add_up(self, parameters: Sequence[nn.Parameter], numbers: Tensor) -> Tensor:
        """Replace the parameters' gradients by their sums over the processes, and return the sum of `numbers` (K,).

        A parameter that no process has a gradient for keeps none.
        """
        there = numbers.new_tensor([float(p.grad is not None) for p in parameters])
        gradients = [_as_reals(torch.zeros_like(p) if p.grad is None else p.grad) for p in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), there, numbers])  # of the widest type
        self._reached(dist.all_reduce, flat)
        sums, there, numbers = flat.split([flat.numel() - len(there) - len(numbers), len(there), len(numbers)])
        start = 0
        for p, gradient, has in zip(parameters, gradients, there.tolist(), strict=True):
            p.grad = torch.empty_like(p) if has else None  # in the layout and type of p
            if has:
                _as_reals(p.grad).copy_(sums[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return numbers

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Give every process rank 0's values of these tensors, in place."""
        if self.alone:
            return
        for tensor in tensors:
            contiguous = tensor.detach().contiguous()
            self._reached(dist.broadcast, contiguous, 0)
            tensor.detach().copy_(contiguous)

    def from_first(self, work: Callable[[], Any]) -> Any:
        """What `work()` returns in rank 0, for every process; an error that it raises there is raised everywhere."""
        if self.alone:
            return work()
        outcome: list[Any] = [None, None]
        if self.first:
            try:
                outcome[0] = work()
            except Exception as error:
                outcome[1] = _as_sent(error)
        self._reached(dist.broadcast_object_list, outcome, 0)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def check_equal(self, value: Any, what: str) -> None:
        """Raise in every process unless the value is the same in all of them."""
        values = self.gather(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise ValueError(
                    f"the processes must have the same {what}: rank 0 has {values[0]}, rank {rank} {other}."
                )

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks, for every process."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.count
        self._reached(dist.all_gather_object, values, value)
        return values

    def _reached(self, communicate: Callable[..., Any], *arguments: Any) -> None:
        try:
            communicate(*arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # of which gloo and NCCL raise several kinds
            raise ProcessLost(
                f"another of the {self.count} processes of this training has ended, so rank {self.rank} ends too "
                f"({error})."
            ) from error


def _as_reals(x: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones; others as they are."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def _as_sent(error: Exception) -> Exception:
    """The error if it can be sent to other processes, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
