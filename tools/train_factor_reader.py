"""Train the network that reads factors from portraits and write its weights into the package (a few minutes on a CPU).

    python tools/train_factor_reader.py                 what is shipped
    python tools/train_factor_reader.py --steps 200 --portraits 2000 --to /tmp/reader.safetensors    a quick try

Portraits of seeds of their own, 32 x 32 and 64 x 64 pixels averaged down; half of each batch is blurred, and some noise
is added. Having written the shipped file, it prints how well each factor is read from new portraits. Run it again when
the drawing changes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from vae_helpers import checkpoints, factor_r2, machine, pretrained, seed_everything, to_float, to_uint8
from vae_helpers.models.factor_reader import SIZE, FactorReader, to_reading_size
from vae_helpers.rendering import faces

BATCH, LEARNING_RATE, WEIGHT_DECAY = 128, 3e-3, 1e-2
SEEDS = {"training": 3001, "test": 3002}  # not those of load("faces")


def portraits(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Factors (n, 14), and pictures `uint8` (n, 3, 32, 32): every second one drawn larger and averaged down."""
    factors = faces.sample(n, seed)
    pictures = faces.render(factors, SIZE)
    larger = faces.render(factors[::2], 2 * SIZE)
    pictures[::2] = torch.cat([to_uint8(to_reading_size(to_float(part))) for part in larger.split(1000)])
    return factors, pictures


def blurred(x: Tensor, sigma: float) -> Tensor:
    """(N, 3, H, W) under a 5 x 5 Gaussian window, sigma in pixels."""
    weights = torch.exp(-0.5 * (torch.arange(-2.0, 3.0, device=x.device) / sigma).square())
    window = torch.outer(weights, weights) / weights.sum().square()
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), window.expand(3, 1, 5, 5), groups=3)


def worsened(x: Tensor) -> Tensor:
    """Half of a batch blurred, 0.3 to 1 pixel, and noise of up to 0.02 on all of it."""
    half = len(x) // 2
    sigma = 0.3 + 0.7 * torch.rand(()).item()
    x = torch.cat([blurred(x[:half], sigma), x[half:]])
    return x + 0.02 * torch.rand(len(x), 1, 1, 1, device=x.device) * torch.randn_like(x)


def train(steps: int, n: int) -> FactorReader:
    """A network after `steps` steps of AdamW on n portraits."""
    seed_everything(0)
    device, precision = machine().device, machine().precision
    network = FactorReader().to(device, memory_format=torch.channels_last).train()
    factors, pictures = (t.to(device) for t in portraits(n, SEEDS["training"]))
    targets = faces.to_unit(factors)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    bar = tqdm(range(steps))
    for _ in bar:
        chosen = torch.randint(len(pictures), (BATCH,), device=device)
        x = worsened(to_float(pictures[chosen])).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
            read = network(x)
        loss = (read.float() - targets[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    return network.eval()


def main() -> None:
    """Train, write, read back, and print how well the factors are read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = Path(pretrained.__file__).parent / pretrained.FACTOR_READER
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--portraits", type=int, default=60_000)
    parser.add_argument("--to", type=Path, default=shipped)
    args = parser.parse_args()
    network = train(args.steps, args.portraits)
    checkpoints.save_shipped(args.to, network, steps=args.steps, portraits=args.portraits)
    if args.to != shipped:
        return
    factors = faces.sample(4000, SEEDS["test"])
    for size in (32, 64):
        scores = factor_r2(faces.render(factors, size), factors)
        print(f"{size} x {size}:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
