"""Sharpen the VAE of portraits that the package carries, and write what changed (half an hour to two hours of a core).

    python -m tools.train_sharp_portrait_vae              what is shipped
    python -m tools.train_sharp_portrait_vae --steps 40 --portraits 2000 --to /tmp/sharp.safetensors    a quick try
    python -m tools.train_sharp_portrait_vae --checkpoint /tmp/sharp.pt --resume       go on after a stop

It goes on from `tools/train_portrait_vae.py` with the same portraits, the factor reader's features and a critic
(notebook 08); what is shipped began where that tool's further steps, on pixels alone, begin. The two layers that hold
most of the weights stay as they are, so that only a sixth has to be shipped anew. Having written the file it prints,
on validation portraits, what the judge reads and how sharp they are.
"""

from __future__ import annotations

import functools

from torch import nn

from tools.training_options import options
from vae_helpers import (
    AdversarialPair,
    Features,
    PatchDiscriminator,
    Phase,
    checkpoints,
    critic_error,
    face_distance,
    factor_r2,
    fit,
    load,
    machine,
    mean_and_error,
    negative_elbo_with_critic,
    pretrained,
    psnr,
    seed_everything,
    sharpness,
    to_float,
)

BATCH, BETAS = 32, (0.9, 0.99)
CRITIC_ALONE = 200  # steps
PRICE = 1000.0  # nats for a unit of the critic's disbelief


def sharpened(images, steps: int, **files) -> AdversarialPair:
    """The portrait VAE and its critic after `steps` steps on stored portraits."""
    seed_everything(0)
    pair = AdversarialPair(pretrained.portrait_vae().requires_grad_(), PatchDiscriminator()).train()
    for name in pretrained.LARGEST_LAYERS:
        pair.vae.get_submodule(name).requires_grad_(False)
    reader = nn.Sequential(nn.AvgPool2d(2), *pretrained.factor_reader(machine().device).body)
    features = Features(reader, (5, 6, 9), images)
    sharpen = functools.partial(negative_elbo_with_critic, features=features, price=PRICE)
    phases = [
        Phase("critic", critic_error, "critic", learning_rate=1e-3, betas=(0.5, 0.99)),
        Phase("vae", sharpen, "vae", learning_rate=1e-3, betas=BETAS, start=CRITIC_ALONE),
    ]
    print(machine(), fit(pair, images, steps=steps, batch_size=BATCH, phases=phases, **files))
    return pair


def main() -> None:
    """Train, write, read back, and print how good it is."""
    args, files = options(__doc__, steps=14_000, to=pretrained.SHARP_PORTRAIT_VAE, every=500, portraits=20_000)
    portraits = load("faces", size=pretrained.PORTRAIT_SIZE, n=args.portraits)
    model = sharpened(portraits.train.images, args.steps, **files).vae
    notes = {"steps": args.steps, "portraits": args.portraits}
    checkpoints.save_shipped(args.to, model, besides=pretrained.LARGEST_LAYERS, **notes)
    validation, factors = to_float(portraits.validation.images), portraits.validation.factors
    for name, one in (("before", pretrained.portrait_vae()), ("after", model.cpu())):
        seen = one.reconstruct(validation).clamp(0, 1)
        print(f"{name}: PSNR in dB {mean_and_error(psnr(seen, validation))}")
        print("sharpness, as a share:", mean_and_error(sharpness(seen) / sharpness(validation)))
        print("squared Frechet distance by the judge:", face_distance(seen, validation, judge=True))
        scores = factor_r2(seen, factors, judge=True)
        print("factors read by the judge, R2:", ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


if __name__ == "__main__":
    main()
