"""Train the VAE of portraits that the package carries, and write its weights (two hours or so on a CPU).

    python -m tools.train_portrait_vae                 what is shipped
    python -m tools.train_portrait_vae --steps 300 --more 100 --portraits 2000 --to /tmp/vae.safetensors    a quick try
    python -m tools.train_portrait_vae --checkpoint /tmp/vae.pt --resume                         go on after a stop

It learns from the training portraits of `load("faces")`, as many as one asks for; the validation and test
portraits of that data set are new to it. The weights are rounded as the package carries them; then all but the two
layers that hold most of them, which `tools/train_sharp_portrait_vae.py` keeps too, learn for `--more` steps.
Having written the file it prints, on validation portraits, how near reconstructions are, which factors they
keep, and the ELBO. Run it again when the drawing changes.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from tools.training_options import options
from vae_helpers import (
    VAE,
    checkpoints,
    evaluate,
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

SETTINGS = {"batch_size": 32, "betas": (0.9, 0.99)}


def written(model: VAE, path: Path, args: Namespace) -> VAE:
    """Write the file that is shipped; the model as it is read back, in 8 bits."""
    counts = {"steps": args.steps, "more": args.more, "portraits": args.portraits}
    checkpoints.save_shipped(path, model, eight_bits=True, **counts)
    return checkpoints.load_shipped(path, pretrained.new_portrait_vae)


def main() -> None:
    """Train, round, train on, write, read back, and print how good it is."""
    args, files = options(__doc__, steps=14_000, to=pretrained.PORTRAIT_VAE, more=10_000, portraits=20_000)
    portraits = load("faces", size=pretrained.PORTRAIT_SIZE, n=args.portraits)
    train, validation = portraits.train.images, portraits.validation.images
    seed_everything(0)
    model = pretrained.new_portrait_vae()
    print(machine(), fit(model, train, steps=args.steps, learning_rate=1.5e-3, **files, **SETTINGS))
    model = written(model, args.to, args).requires_grad_().train()
    for name in pretrained.LARGEST_LAYERS:
        model.get_submodule(name).requires_grad_(False)
    seed_everything(0)
    if args.checkpoint:
        files["checkpoint"] = args.checkpoint.with_suffix(".more" + args.checkpoint.suffix)
    print(fit(model, train, steps=args.more, learning_rate=1e-3, validation=validation, **files, **SETTINGS))
    model = written(model, args.to, args)
    seen = model.reconstruct(to_float(validation)).clamp(0, 1)
    print(f"sigma {model.likelihood.sigma:.4f},", evaluate(model, validation))
    print("PSNR of reconstructions in dB:", mean_and_error(psnr(seen, to_float(validation))))
    scores = factor_r2(seen, portraits.validation.factors)
    print("factors read from them, R2:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
