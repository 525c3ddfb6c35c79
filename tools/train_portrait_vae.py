"""Train the VAE of portraits that the package carries, and write its weights (an hour or two on a CPU).

    python -m tools.train_portrait_vae                 what is shipped
    python -m tools.train_portrait_vae --steps 300 --portraits 2000 --to /tmp/vae.safetensors    a quick try
    python -m tools.train_portrait_vae --checkpoint /tmp/vae.pt --resume                         go on after a stop

It learns from the training portraits of `load("faces")`, as many as one asks for; the validation and test
portraits of that data set are new to it. Having written the file it prints, on validation portraits, how near
reconstructions are, which factors they keep, and the ELBO. Run it again when the drawing changes.
"""

from __future__ import annotations

from tools.training_options import options
from vae_helpers import (
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

SETTINGS = {"batch_size": 32, "learning_rate": 1.5e-3, "betas": (0.9, 0.99)}


def main() -> None:
    """Train, write, read back, and print how good it is."""
    args, files = options(__doc__, steps=14_000, to=pretrained.PORTRAIT_VAE, portraits=20_000)
    portraits = load("faces", size=pretrained.PORTRAIT_SIZE, n=args.portraits)
    seed_everything(0)
    model = pretrained.new_portrait_vae()
    validation = portraits.validation.images
    print(machine(), fit(model, portraits.train.images, steps=args.steps, validation=validation, **files, **SETTINGS))
    checkpoints.save_shipped(args.to, model, eight_bits=True, steps=args.steps, portraits=args.portraits)
    model = checkpoints.load_shipped(args.to, pretrained.new_portrait_vae)
    seen = model.reconstruct(to_float(validation)).clamp(0, 1)
    print(f"sigma {model.likelihood.sigma:.4f},", evaluate(model, validation))
    print("PSNR of reconstructions in dB:", mean_and_error(psnr(seen, to_float(validation))))
    scores = factor_r2(seen, portraits.validation.factors)
    print("factors read from them, R2:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
