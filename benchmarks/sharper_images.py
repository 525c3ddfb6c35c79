"""What makes a VAE's portraits sharper, by a judge that no loss has seen? Equal CPU seconds, three seeds.

    python -m benchmarks.sharper_images                        what docs quote: an hour of one core
    python -m benchmarks.sharper_images --sweep                when may the critic start?
    python -m benchmarks.sharper_images --seeds 1 --seconds 5 --start 300 --split validation         a quick look

Portraits of 32 x 32, float32, one thread. A VAE is trained on pixels; every row goes on from it, for as many CPU
seconds as the others, measured before it begins. Settings were chosen on validation portraits.
"""

from __future__ import annotations

import argparse
import copy
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from benchmarks.measuring import description, one_thread, table
from vae_helpers import (
    VAE,
    AdversarialPair,
    Features,
    PatchDiscriminator,
    Phase,
    conv_vae,
    critic_error,
    face_distance,
    factor_r2,
    fit,
    kl,
    load,
    negative_elbo,
    negative_elbo_with_critic,
    negative_elbo_with_features,
    pretrained,
    psnr,
    seed_everything,
    sharpness,
    to_float,
)
from vae_helpers.models.factor_reader import FactorReader
from vae_helpers.training.phases import Objective

SIZE, LATENTS, WIDTH = 32, 48, 48
SETTINGS = {"batch_size": 32, "learning_rate": 3e-3, "betas": (0.9, 0.99), "progress": False}
READER_LAYERS = (4, 5, 8)  # of `FactorReader.body`: 96 x 4 x 4, 128 x 2 x 2 and 64 numbers
CRITIC_ALONE, PRICE = 200, 600.0  # steps before the VAE listens; nats for a unit of disbelief
JUDGED = ("smile", "brows", "eye_size", "fringe")
COLUMNS = (
    "PSNR, dB",
    *(f"{name.replace('_', ' ')}, R²" for name in JUDGED),
    "judge's distance",
    "of samples",
    "sharpness",
)


def new_vae() -> VAE:
    """The model of all rows."""
    return conv_vae((3, SIZE, SIZE), LATENTS, WIDTH)


# --- what pictures are compared by ------------------------------------------------------------------------------------


def laplace(model: VAE, x: Tensor) -> dict[str, Tensor]:
    """Absolute errors of pixels in place of squared ones, at the scale that makes them most likely."""
    q = model.encode(x)
    divergence = kl(q, model.prior)
    error = (model.decode(q.rsample()).mean - x).abs().mean()
    return {"loss": divergence + x[0].numel() * error.log()}


class Differences(nn.Module):
    """Features without a network: each pixel less its neighbours, at four scales."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, S, S) -> four tensors (N, 2 C, s - 1, s - 1)."""
        maps = []
        for _ in range(4):
            here = x[..., :-1, :-1]
            maps.append(torch.cat([x[..., 1:, :-1] - here, x[..., :-1, 1:] - here], 1))
            x = nn.functional.avg_pool2d(x, 2)
        return maps


def random_reader(images: Tensor) -> nn.Sequential:
    """The factor reader's layers with weights as they were drawn, its normalisation fitted to the portraits."""
    reader = FactorReader().train()
    with torch.no_grad():
        for x in images[:2000].split(100):
            reader(to_float(x))
    return reader.body


def spaces(start: VAE, images: Tensor) -> dict[str, nn.Module]:
    """Name -> features."""
    artist = pretrained.portrait_vae().encoder
    seen_twice_as_large = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *artist)
    return {
        "differences of neighbours": Differences(),
        "random weights": Features(random_reader(images), READER_LAYERS, images),
        "the model's own encoder": Features(copy.deepcopy(start.encoder)[:], (4, 7, 8), images),
        "the encoder of a VAE trained for an hour": Features(seen_twice_as_large, (7, 10, 11), images),
        "the reader": Features(pretrained.factor_reader().body, READER_LAYERS, images),
    }


# --- training ---------------------------------------------------------------------------------------------------------


def trained_on(model: VAE, images: Tensor, objective: Objective, seconds: float, seed: int) -> VAE:
    """A copy of the model, trained for about so many CPU seconds."""
    steps = steps_in(
        seconds, lambda steps: fit(copy.deepcopy(model), images, steps=steps, objective=objective, **SETTINGS)
    )
    model = copy.deepcopy(model)
    fit(model, images, steps=steps, objective=objective, seed=seed, **SETTINGS)
    return model


def with_critic(
    model: VAE, images: Tensor, steps: int, seed: int, features: nn.Module | None = None, alone: int = CRITIC_ALONE
) -> VAE:
    """A copy of the model, trained so many steps beside a critic, which learns alone for the first of them."""
    seed_everything(seed)
    pair = AdversarialPair(copy.deepcopy(model), PatchDiscriminator())
    sharpen = functools.partial(negative_elbo_with_critic, features=features, price=PRICE)
    phases = [
        Phase("critic", critic_error, "critic", learning_rate=1e-3, betas=(0.5, 0.99)),
        Phase("vae", sharpen, "vae", start=alone),
    ]
    fit(pair, images, steps=steps, phases=phases, seed=seed, **SETTINGS)
    return pair.vae


def with_critic_for(model: VAE, images: Tensor, seconds: float, seed: int, features: nn.Module | None = None) -> VAE:
    """The same for about so many CPU seconds."""
    steps = steps_in(seconds, lambda steps: with_critic(model, images, steps, seed, features, alone=0))
    return with_critic(model, images, steps, seed, features)


def steps_in(seconds: float, train: Callable[[int], object]) -> int:
    """How many steps take so long, by a trial of 50 after one of 10."""
    train(10)
    begun = time.process_time()
    train(50)
    return max(1, int(seconds * 50 / (time.process_time() - begun)))


def rows(images: Tensor, start_steps: int, seconds: float, seed: int) -> Iterator[tuple[str, VAE]]:
    """Name -> a trained model, from the simplest on."""
    seed_everything(seed)
    start = new_vae()
    fit(start, images, steps=start_steps, seed=seed, **SETTINGS)
    yield "the start", start
    pixels = trained_on(start, images, negative_elbo, seconds, seed + 10)
    yield "pixels for as long", pixels
    yield "absolute errors of pixels", trained_on(start, images, laplace, seconds, seed + 10)
    found = spaces(start, images)
    models = {
        name: trained_on(start, images, with_features(features), seconds, seed + 10) for name, features in found.items()
    }
    yield from models.items()
    yield "pixels twice as long", trained_on(pixels, images, negative_elbo, seconds, seed + 20)
    reader, read = found["the reader"], models["the reader"]
    yield "the reader twice as long", trained_on(read, images, with_features(reader), seconds, seed + 20)
    yield "the reader, then a critic too", with_critic_for(read, images, seconds, seed + 20, reader)
    yield "pixels, then a critic too", with_critic_for(pixels, images, seconds, seed + 20)
    yield "a critic from the start on", with_critic_for(start, images, seconds, seed + 10)


def with_features(features: nn.Module) -> Objective:
    """The objective that also compares by these features."""
    return functools.partial(negative_elbo_with_features, features=features)


def sweep(images: Tensor, steps: int, seconds: float, seed: int) -> Iterator[tuple[str, VAE]]:
    """The critic starts after a share of the VAE's steps, equally many in all rows; `seconds` is not used."""
    for share in (0.0, 0.2, 0.5, 0.8):
        seed_everything(seed)
        model, before = new_vae(), int(share * steps)
        if before:
            fit(model, images, steps=before, seed=seed, **SETTINGS)
        for alone in (0, CRITIC_ALONE):
            name = f"after {before} of {steps} steps, the critic {alone} steps ahead"
            yield name, with_critic(model, images, steps - before + alone, seed + 10, alone=alone)
    fit(model, images, steps=steps - before, seed=seed + 10, **SETTINGS)
    yield "no critic", model


# --- the table --------------------------------------------------------------------------------------------------------


def scores(model: VAE, train: Tensor, real: Tensor, factors: Tensor) -> list[float]:
    """The columns for one model; real are portraits that it has not seen."""
    x = to_float(real)
    seen = model.reconstruct(x).clamp(0, 1)
    made = portraits_made(model, train, len(x))
    return [
        *compared(seen, x, factors),
        face_distance(made, x, judge=True),
        (sharpness(seen) / sharpness(x)).mean().item(),
    ]


@torch.no_grad()
def portraits_made(model: VAE, train: Tensor, n: int, components: int = 30, seed: int = 0) -> Tensor:
    """Mean pictures at draws from a mixture of Gaussians fitted to codes of training portraits: (n, 3, S, S)."""
    seed_everything(seed)
    codes = torch.cat([model.encode(to_float(x)).sample() for x in train.split(500)])
    drawn, _ = GaussianMixture(components, random_state=seed).fit(codes.double().numpy()).sample(n)
    parts = torch.from_numpy(drawn).float().split(500)
    return torch.cat([model.decode(z).mean.clamp(0, 1) for z in parts])


def compared(seen: Tensor, x: Tensor, factors: Tensor) -> list[float]:
    """PSNR, the factors that the judge reads, its distance."""
    read = factor_r2(seen, factors, judge=True)
    return [psnr(seen, x).mean().item(), *(read[name] for name in JUDGED), face_distance(seen, x, judge=True)]


def main() -> None:
    """Train everything with each seed, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--start", type=int, default=2400, help="steps of the pixel training that all begin with")
    parser.add_argument("--seconds", type=float, default=34, help="CPU seconds of a row")
    parser.add_argument("--sweep", action="store_true", help="when the critic starts, instead")
    args = parser.parse_args()
    os.environ["VAE_HELPERS_PRECISION"] = "float32"
    one_thread()
    data = load("faces", size=SIZE)
    train, judged = data.train.images, getattr(data, args.split)
    found: dict[str, list[list[float]]] = {}
    for seed in range(args.seeds):
        for name, model in (sweep if args.sweep else rows)(train, args.start, args.seconds, seed):
            found.setdefault(name, []).append(scores(model, train, judged.images, judged.factors))
            print(seed, name, [round(score, 3) for score in found[name][-1]], flush=True)
    print(
        f"\n{description()}\n\n{len(judged.images)} {args.split} portraits, {args.seeds} seeds, {args.seconds:g} s.\n"
    )
    print(
        table(["", *COLUMNS], [[name, *map(spread, zip(*of_seeds, strict=True))] for name, of_seeds in found.items()])
    )


def spread(values: tuple[float, ...]) -> str:
    """Mean ± standard deviation over seeds."""
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


if __name__ == "__main__":
    main()
