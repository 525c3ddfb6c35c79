"""Train the denoiser that the package carries and write its weights (an hour on one quiet core).

    apt-get download lomiri-wallpapers-16.04 && dpkg-deb -x lomiri-wallpapers-16.04_*.deb wallpapers
    python tools/train_denoiser.py --further wallpapers/usr/share/backgrounds                   what is shipped
    python tools/train_denoiser.py --steps 200 --patches 400 --to /tmp/denoiser.safetensors    a quick try

Grey patches of the training photographs of load("photos") and, with --further, of nine more that Debian distributes,
made smaller; turned and mirrored; noise of any sigma up to 55/255 is added afresh at each step. Having written the
file, the tool reads it back and prints the PSNR of the whole validation photographs at sigma = 25/255. The test
photographs are not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_helpers import (
    ResidualDenoiser,
    checkpoints,
    denoising_error,
    fit,
    load,
    machine,
    pretrained,
    psnr,
    random_turn,
    seed_everything,
    to_float,
)
from vae_helpers.data.photos import patches_of, photographs

SETTINGS = {"batch_size": 16, "betas": (0.9, 0.98)}
CYCLES = (3, 1e-3), (1, 5e-4)  # shares of the steps, and the peak of the learning rate in each


# Of the wallpapers in Debian's lomiri-wallpapers-16.04, the photographs whose licence asks for no more than thanks;
# authors and licences as in the package's copyright file.
FURTHER = {
    "aitzgorri_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "friends_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "life_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "sunset_by_Aitzol_Berasategi.jpg": "Aitzol Berasategi, CC BY 4.0",
    "Picture_0B_by_freespace.jpg": 'Trevor "Freespace", CC BY 4.0',
    "Picture_1A_by_freespace.jpg": 'Trevor "Freespace", CC BY 4.0',
    "Wine_by_Jakkub_Mede.jpg": "Jakub Mede, CC BY 4.0",
    "seeding_by_Clements_Engelhardt.jpg": "Clemens Engelhardt, CC0",
}
SHORTER_SIDES = 400, 800  # pixels to which each of these is reduced: its grain and the traces of JPEG disappear


def further(folder: Path, size: int, n: int) -> Tensor:
    """About n grey patches of the photographs in FURTHER, as many of each. uint8 (N, 1, size, size)."""
    found = []
    for name in FURTHER:
        with Image.open(folder / name) as picture:
            grey = picture.convert("L")
        for side in SHORTER_SIDES:
            scale = side / min(grey.size)
            small = grey.resize([round(scale * extent) for extent in grey.size], Image.Resampling.LANCZOS)
            image = torch.from_numpy(np.array(small))[None, None]  # (1, 1, H, W)
            found.append(patches_of(image, size, n // (len(FURTHER) * len(SHORTER_SIDES))))
    return torch.cat(found)


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
    shipped = Path(pretrained.__file__).parent / pretrained.DENOISER
    parser.add_argument("--steps", type=int, default=64_000)
    parser.add_argument("--patches", type=int, default=10_000, help="of the photographs of load('photos')")
    parser.add_argument(
        "--further", type=Path, metavar="FOLDER", help="with the photographs of Debian; as many patches"
    )
    parser.add_argument("--to", type=Path, default=shipped)
    args = parser.parse_args()
    patches = load("photos", size=64, colour=False, n=args.patches).train.images
    if args.further:
        patches = torch.cat([patches, further(args.further, 64, args.patches)])
    seed_everything(0)
    model = ResidualDenoiser(widths=pretrained.DENOISER_WIDTHS)
    for cycle, (share, rate) in enumerate(CYCLES):
        steps = max(1, share * args.steps // sum(share for share, _ in CYCLES))
        settings = SETTINGS | {"steps": steps, "learning_rate": rate, "seed": cycle}
        print(machine(), fit(model, patches, objective=denoising_error, augment=random_turn, **settings))
    checkpoints.save_shipped(args.to, model, steps=args.steps, patches=len(patches))
    model = checkpoints.load_shipped(args.to, lambda: ResidualDenoiser(widths=pretrained.DENOISER_WIDTHS))
    print("PSNR in dB of the validation photographs at sigma = 25/255:", cleaned(model, 25 / 255))


if __name__ == "__main__":
    main()
