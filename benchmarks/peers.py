"""What the package is compared with: a training loop as public tutorials have it, reimplemented from its settings."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from vae_helpers import GreyBernoulli, standard_normal, to_float

BATCH, LEARNING_RATE = 128, 1e-3  # published with vae/main.py of pytorch/examples


class PilImages(Dataset):
    """Images as torchvision's MNIST serves them: each becomes a PIL image and then a float tensor, one at a time."""

    def __init__(self, images: Tensor, binary: bool = False):
        self.images, self.binary, self.to_tensor = images[:, 0], binary, ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        x = self.to_tensor(Image.fromarray(self.images[i].numpy()))  # (1, 28, 28)
        return torch.bernoulli(x) if self.binary else x


class ExamplesVAE(nn.Module):
    """The 784-400-20 VAE: ReLU, two heads, sigmoid. `encode`, `decode` and `prior` serve the package's `evaluate`."""

    latent_dim = 20

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mu, self.log_var = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.back, self.pixels = nn.Linear(20, 400), nn.Linear(400, 784)
        self.prior, self.device, self.prepare = standard_normal(20), torch.device("cpu"), to_float

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, 28, 28) -> means and log-variances (N, 20)."""
        h = F.relu(self.hidden(x.flatten(1)))
        return self.mu(h), self.log_var(h)

    def logits(self, z: Tensor) -> Tensor:
        """(..., 20) -> (..., 784)."""
        return self.pixels(F.relu(self.back(z)))

    def encode(self, x: Tensor) -> Independent:
        """q(z | x)."""
        mu, log_var = self.heads(x)
        return Independent(Normal(mu, torch.exp(0.5 * log_var)), 1)

    def decode(self, z: Tensor) -> Independent:
        """p(x | z), grey values under the Bernoulli formula."""
        return Independent(GreyBernoulli(self.logits(z).unflatten(-1, (1, 28, 28))), 3)

    def loss(self, x: Tensor) -> Tensor:
        """Cross-entropy and KL, summed over the batch."""
        mu, log_var = self.heads(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        error = F.binary_cross_entropy(torch.sigmoid(self.logits(z)), x.flatten(1), reduction="sum")
        return error - 0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())


def examples_loop(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    until: Callable[[int, float], bool],
    binary: bool = False,
) -> float:
    """The loop of vae/main.py of pytorch/examples: a DataLoader over PIL images, Adam, the loss read at each step.

    Args:
        loss: of a batch (B, 1, 28, 28), summed over it.
        until: called as `until(epochs done, seconds since the start)` after each step.
    Returns:
        seconds.
    """
    loader = DataLoader(PilImages(images, binary), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train()
    start, total, epochs = time.perf_counter(), 0.0, 0
    while True:
        for x in loader:
            optimizer.zero_grad()
            value = loss(x)
            value.backward()
            total += value.item()
            optimizer.step()
            if until(epochs, time.perf_counter() - start):
                return time.perf_counter() - start
        epochs += 1
        if until(epochs, time.perf_counter() - start):
            return time.perf_counter() - start


def binary_loss(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same loss, summed over the batch, for a VAE of the package and binary images."""

    def loss(x: Tensor) -> Tensor:
        q = model.encode(x)
        logits = model.decode(q.rsample()).base_dist.logits
        mu, log_var = q.base_dist.loc, 2 * q.base_dist.scale.log()
        error = F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")
        return error - 0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())

    return loss
