"""Train the denoiser that the package carries and write its weights (half an hour on one core).

    python tools/train_denoiser.py                  what is shipped
    python tools/train_denoiser.py --steps 200 --patches 400 --to /tmp/denoiser.safetensors    a quick try

Grey patches of the training photographs of load("photos"), turned and mirrored; noise of any sigma up to 55/255 is
added afresh at each step. Having written the file, the tool prints the PSNR of the whole validation photographs at
sigma = 25/255. The test photographs are not used. (Also tried, and no better on the validation photographs: pictures of
dead leaves and drawn portraits beside the patches, patches of smaller and larger copies, of single colour channels, and
of empty places.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from vae_helpers import checkpoints, fit, load, machine, psnr, seed_everything, to_float
from vae_helpers.data.photos import photographs
from vae_helpers.models import denoiser

SETTINGS = {"batch_size": 16, "learning_rate": 1e-3, "betas": (0.9, 0.98)}


def turned(images: Tensor) -> Tensor:
    """The batch in one of the eight positions of a square."""
    if torch.rand(()) < 0.5:
        images = images.flip(-1)
    return torch.rot90(images, int(torch.randint(4, ())), (-2, -1))


def cleaned(model: torch.nn.Module, sigma: float) -> dict[str, float]:
    """The PSNR in dB of each whole validation photograph, cleaned of noise of this sigma."""
    found = {}
    for name, image in photographs("validation", colour=False).items():
        x = to_float(image)
        y = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            found[name] = psnr(x, model(y.to(machine().device), sigma).clamp(0, 1).cpu()).item()
    return found


def main() -> None:
    """Train, write, read back, and print how well new photographs are cleaned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = Path(denoiser.__file__).with_name(denoiser.WEIGHTS)
    parser.add_argument("--steps", type=int, default=24_000)
    parser.add_argument("--patches", type=int, default=10_000)
    parser.add_argument("--to", type=Path, default=shipped)
    args = parser.parse_args()
    patches = load("photos", size=64, colour=False, n=args.patches).train.images
    seed_everything(0)
    model = denoiser.ResidualDenoiser(widths=denoiser.SHIPPED_WIDTHS)
    objective = denoiser.denoising_error
    print(machine(), fit(model, patches, steps=args.steps, objective=objective, augment=turned, **SETTINGS))
    checkpoints.save_shipped(args.to, model, steps=args.steps, patches=args.patches)
    print("PSNR in dB of the validation photographs at sigma = 25/255:", cleaned(model.eval(), 25 / 255))


if __name__ == "__main__":
    main()
