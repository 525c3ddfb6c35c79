"""How good is the package's convolutional VAE on dynamically binarised MNIST? Test log-likelihood in nats per image.

    python benchmarks/mnist_likelihood.py FOLDER                what docs and notes quote: about a quarter of an hour
    python benchmarks/mnist_likelihood.py FOLDER --minutes 1 --images 500 --samples 50      a quick look

FOLDER holds MNIST as torchvision keeps it. Training takes as many steps as fit into its minutes, with settings tried on
validation images (--validation). Then log p(x) is estimated once, by the importance-weighted bound (Burda et al. 2016)
on the test images, binarised once with a fixed seed. The spread given is the standard error over images.
"""

from __future__ import annotations

import argparse
import time

import torch

from vae_helpers import (
    BernoulliLikelihood,
    active_units,
    conv_vae,
    evaluate,
    fit,
    load,
    log_likelihood,
    machine,
    seed_everything,
)


def steps_in(minutes: float, images: torch.Tensor, settings: dict) -> int:
    """How many steps fit into the time, from the speed of the later half of two hundred."""
    seed_everything(0)
    model = conv_vae(images.shape[1:], colours=None, likelihood=BernoulliLikelihood(), **settings["model"])
    fit(model, images, steps=100, progress=False, **settings["training"])
    start = time.perf_counter()
    fit(model, images, steps=100, progress=False, **settings["training"])
    return int(60 * minutes * 100 / (time.perf_counter() - start))


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--validation", action="store_true", help="measure on validation images, to tune settings")
    args = parser.parse_args()
    print(machine())
    data = load("mnist", root=args.folder).to(machine().device)
    settings = {
        "model": {"latent_dim": 40, "width": 48, "hidden": 512},
        "training": {"batch_size": 128, "learning_rate": 2e-3, "betas": (0.9, 0.99)},
    }
    steps = steps_in(args.minutes, data.train.images, settings)
    seed_everything(0)
    model = conv_vae(data.image_shape, colours=None, likelihood=BernoulliLikelihood(), **settings["model"])
    history = fit(
        model,
        data.train.images,
        steps=steps,
        weights=lambda step: {"beta": min(1.0, 10 * step / steps)},
        **settings["training"],
    )
    model.eval()
    weights = sum(p.numel() for p in model.parameters())
    print(f"{weights:,} weights, {steps} steps in {history.seconds / 60:.1f} minutes")
    split = data.validation if args.validation else data.test
    images = split.images[: args.images]
    parts = evaluate(model, images, samples=4)
    print(f"ELBO {parts['elbo']}, KL {parts['kl']}, {active_units(model, images).count} latents in use")
    start = time.perf_counter()
    bound = log_likelihood(model, images, samples=args.samples)
    print(f"log p(x) >= {bound} nats, K = {args.samples}, {len(images)} images, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
