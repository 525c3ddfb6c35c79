"""Train the networks that read factors from portraits and write their weights into the package (minutes on a CPU).

    python tools/train_factor_reader.py                 the reader that is shipped
    python tools/train_factor_reader.py --judge         the judge that is shipped, which no loss has seen
    python tools/train_factor_reader.py --steps 200 --portraits 2000 --to /tmp/reader.safetensors    a quick try

Portraits of seeds of their own, 32 x 32 and 64 x 64 pixels averaged down. Of the reader's, half of each batch is
blurred, and some noise is added; of the judge's, half has lost pixels and been enlarged again, and all of it is lit
from one side. Having written the shipped file, it prints how well each factor is read from new portraits. Run it again
when the drawing changes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from vae_helpers import checkpoints, factor_r2, machine, pretrained, seed_everything, to_float, to_uint8
from vae_helpers.models.factor_reader import SIZE, FactorReader, PortraitJudge, to_reading_size
from vae_helpers.rendering import faces

BATCH, LEARNING_RATE, WEIGHT_DECAY = 128, 3e-3, 1e-2
SEEDS = {"reader": 3001, "test": 3002, "judge": 3003}  # not those of load("faces")


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


def rescaled(x: Tensor) -> Tensor:
    """Half of a batch at 20 to 31 pixels a side and back, all of it lit from one side and grained a little."""
    half, side = len(x) // 2, int(torch.randint(20, SIZE, ()))
    fewer = F.interpolate(x[:half], size=(side, side), mode="bilinear", antialias=True)
    x = torch.cat([F.interpolate(fewer, size=(SIZE, SIZE), mode="bicubic"), x[half:]])
    across = torch.linspace(-1, 1, SIZE, device=x.device)
    light = 1 + 0.03 * torch.randn(len(x), 1, 1, 1, device=x.device) * across
    return x * light + 0.03 * torch.rand(len(x), 1, 1, 1, device=x.device) * torch.randn_like(x)


class Task(NamedTuple):
    """What there is to train."""

    build: Callable[[], nn.Module]
    file: str  # beside pretrained.py
    seed: int  # of its portraits
    spoil: Callable[[Tensor], Tensor]  # what a batch goes through


READER = Task(FactorReader, pretrained.FACTOR_READER, SEEDS["reader"], worsened)
JUDGE = Task(PortraitJudge, pretrained.PORTRAIT_JUDGE, SEEDS["judge"], rescaled)


def train(steps: int, n: int, task: Task = READER) -> nn.Module:
    """A network after `steps` steps of AdamW on n portraits."""
    seed_everything(0)
    device, precision = machine().device, machine().precision
    network = task.build().to(device, memory_format=torch.channels_last).train()
    factors, pictures = (t.to(device) for t in portraits(n, task.seed))
    targets = faces.to_unit(factors)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    bar = tqdm(range(steps))
    for _ in bar:
        chosen = torch.randint(len(pictures), (BATCH,), device=device)
        x = task.spoil(to_float(pictures[chosen])).contiguous(memory_format=torch.channels_last)
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
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--portraits", type=int, default=60_000)
    parser.add_argument("--to", type=Path, help="another file than the shipped one")
    parser.add_argument("--judge", action="store_true", help="train the judge")
    args = parser.parse_args()
    task = JUDGE if args.judge else READER
    network = train(args.steps, args.portraits, task)
    to = args.to or Path(pretrained.__file__).parent / task.file
    checkpoints.save_shipped(to, network, steps=args.steps, portraits=args.portraits)
    if args.to:
        return
    factors = faces.sample(4000, SEEDS["test"])
    for size in (32, 64):
        scores = factor_r2(faces.render(factors, size), factors, judge=args.judge)
        print(f"{size} x {size}:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
