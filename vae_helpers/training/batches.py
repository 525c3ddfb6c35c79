"""Which rows make up the batch of each update."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

DIGESTED_WHOLE = 2**28  # bytes of a tensor, half a second's worth; of a larger one, evenly spaced rows are digested
AT_A_TIME = 2**22  # bytes that are copied while they are digested
SHARE_OF_MEMORY = 0.5  # of a GPU's free memory that data may take; the rest is for the model and its steps


def home_of(tensors: Sequence[Tensor], device: torch.device) -> torch.device:
    """Where a run's data are kept: on the training device, or on the CPU where they would crowd a GPU.

    Args:
        tensors: all of the data, wherever they are now.
        device: what trains.
    """
    if device.type != "cuda":
        return device
    more = sum(tensor.nbytes for tensor in tensors if tensor.device.type != "cuda")
    free, _ = torch.cuda.mem_get_info(device)
    return device if more <= SHARE_OF_MEMORY * free else torch.device("cpu")


class Batches:
    """The batches of a run: each epoch is a new permutation, and all batches are equally large.

    A batch that reaches the end of an epoch goes on with the next. Which rows it has is a function of the seed and of
    its number alone, so that a run can be resumed.

    Args:
        data: tensors with a row for each image, on one device. Of tensors in memory, or mapped from a file, only the
            rows of a batch are ever copied.
        size: rows of a batch.
        seed: of the permutations.
        device: where batches are wanted; by default where the data are.
    """

    def __init__(self, data: tuple[Tensor, ...], size: int, seed: int, device: torch.device | None = None):
        self.data, self.size, self.seed = data, size, seed
        self.device = data[0].device if device is None else device
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def get(self, number: int, share: slice = slice(None)) -> list[Tensor]:
        """The rows of batch `number` = 0, 1, ... of each tensor; of these only a share, where several share a batch."""
        rows = self._rows(number)[share]
        return [self._sent(tensor.index_select(0, rows)) for tensor in self.data]

    def _sent(self, batch: Tensor) -> Tensor:
        if batch.device.type == self.device.type:
            return batch
        if self.device.type == "cuda":
            return batch.pin_memory().to(self.device, non_blocking=True)  # copied while the last step still computes
        return batch.to(self.device)

    def _rows(self, number: int) -> Tensor:
        n, first, parts = len(self.data[0]), number * self.size, []
        while (missing := self.size - sum(map(len, parts))) > 0:
            epoch, offset = divmod(first, n)
            if epoch != self._epoch:
                generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
                self._epoch, self._order = epoch, torch.randperm(n, generator=generator).to(self.data[0].device)
            parts.append(self._order[offset : offset + missing])
            first += len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @functools.cached_property
    def digest(self) -> str:
        """What tells these data from others of the same shapes."""
        total = hashlib.sha256()
        for tensor in self.data:
            total.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            rows = tensor[:: max(1, -(-tensor.nbytes // DIGESTED_WHOLE))]
            for some in rows.split(max(1, AT_A_TIME // max(1, rows[0].nbytes))):
                content = some.resolve_conj().resolve_neg().cpu().contiguous()
                total.update(content.reshape(-1).view(torch.uint8).numpy())
        return total.hexdigest()[:16]
