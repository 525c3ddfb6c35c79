"""Train the VAE of portraits in many styles that the package carries, and write its weights (an hour of a core).

    python -m tools.train_style_vae                   what is shipped
    python -m tools.train_style_vae --steps 40 --styles 100 --to /tmp/style.safetensors    a quick try
    python -m tools.train_style_vae --checkpoint /tmp/style.pt --resume                    go on after a stop

It learns from sets of portraits that share a style, `load("faces", styles=...)`, and is told neither the factors of
styles nor those of portraits. Having written the file it prints, on validation sets, how near reconstructions and swaps
are to the truth, and which factors the judge reads in portraits that were turned into the plain style.
"""

from __future__ import annotations

import functools

import torch

from tools.training_options import options
from vae_helpers import (
    AdversarialPair,
    Phase,
    checkpoints,
    factor_r2,
    fit,
    load,
    machine,
    mean_and_error,
    pretrained,
    psnr,
    seed_everything,
    to_float,
)
from vae_helpers.data.dataset import Split
from vae_helpers.models.layers import mlp
from vae_helpers.models.style import GroupVAE, colour_of_style, linear_style
from vae_helpers.objectives import negative_elbo_without_leak, style_reading_error
from vae_helpers.rendering import faces

BATCH, BETAS, LEARNING_RATE = 32, (0.9, 0.99), 2e-3
PRICE = 300.0  # nats, for a nat that the critic reads of the style
PER_STYLE = 16


def trained(sets: torch.Tensor, steps: int, **files) -> GroupVAE:
    """The model after `steps` steps on sets of pictures (M, K, 3, S, S)."""
    seed_everything(0)
    model = pretrained.new_style_vae()
    vae = model.vae
    model.expert, _ = linear_style(sets, vae.style_dim)
    pair = AdversarialPair(vae, mlp([vae.latent_dim, 128, 128, vae.style_dim]))
    s = model.infer_style(sets).mean
    model.colour = colour_of_style(sets, s)
    s = s.repeat_interleave(sets.shape[1], 0)
    phases = [
        Phase("critic", style_reading_error, "critic", learning_rate=3e-3, betas=(0.5, 0.99), updates=2),
        Phase(
            "vae",
            functools.partial(negative_elbo_without_leak, price=PRICE),
            "vae",
            weights=lambda step: {"beta": min(1.0, (step + 1) / (0.1 * steps))},
        ),
    ]
    settings = {"batch_size": BATCH, "learning_rate": LEARNING_RATE, "betas": BETAS}
    print(machine(), fit(pair, (sets.flatten(0, 1), s), steps=steps, phases=phases, **settings, **files))
    return model


def report(model: GroupVAE, split: Split) -> None:
    """Print how good it is: own reconstructions, swaps with the set before, and what survives in the plain style."""
    x, factors = to_float(split.images), split.factors
    styles = model.infer_style(split.images.unflatten(0, (-1, PER_STYLE))).mean
    own, other = (s.repeat_interleave(PER_STYLE, 0) for s in (styles, styles.roll(1, 0)))
    wanted = factors[:, len(faces.NAMES) :].roll(PER_STYLE, 0)
    truth = to_float(faces.render(factors[:, : len(faces.NAMES)], pretrained.PORTRAIT_SIZE, wanted))
    plain = faces.render(faces.sample(64, seed=1), pretrained.PORTRAIT_SIZE)
    print("PSNR in dB, own style, decoded", mean_and_error(psnr(model.restyle(x, own, own).clamp(0, 1), x)))
    plain_style = model.infer_style(plain[None]).mean
    for name, paint in (("decoded", model.restyle), ("carried over", model.carry_over)):
        print(f"PSNR in dB, swapped, {name}", mean_and_error(psnr(paint(x, own, other).clamp(0, 1), truth)))
        plainly = paint(x, own, plain_style).clamp(0, 1)
        scores = factor_r2(plainly, factors[:, : len(faces.NAMES)], judge=True)
        print("factors read by the judge, R2:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


def main() -> None:
    """Train, write, read back, and print how good it is."""
    args, files = options(__doc__, steps=36_000, to=pretrained.STYLE_VAE, styles=3_000)
    data = load("faces", size=pretrained.PORTRAIT_SIZE, styles=args.styles)
    model = trained(data.train.images.unflatten(0, (-1, PER_STYLE)), args.steps, **files)
    checkpoints.save_shipped(args.to, model, steps=args.steps, styles=args.styles)
    report(checkpoints.load_shipped(args.to, pretrained.new_style_vae), data.validation)


if __name__ == "__main__":
    main()
