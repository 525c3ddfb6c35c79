"""How good and how fast is the denoiser that the package carries, beside BM3D and non-local means?

    python benchmarks/denoising.py                         what docs quote: some minutes
    python benchmarks/denoising.py --split validation      the photographs that choices were made with
    python benchmarks/denoising.py --seeds 1 --pixels 128  a quick look

The photographs of a split in grey, their upper left 512 x 512 pixels, with Gaussian noise of known sigma = 25/255, not
clipped; estimates are clipped to [0, 1]. For each photograph the mean over seeds of the noise, and the standard
deviation. Methods take turns, so that other work on the machine meets all of them; of the seconds the median is given,
and of their ratio.

BM3D (Dabov et al. 2007) comes from its authors' package, `pip install bm3d`. Its licence is for non-commercial use
only, so it is no dependency of this project, and only this script calls it; without it, its row is left out.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from vae_helpers import ResidualDenoiser, machine, pretrained, psnr, to_float
from vae_helpers.data.photos import photographs

SIGMA = 25 / 255


def non_local_means(y: Tensor) -> Tensor:
    """scikit-image's, with sigma given and h = 0.8 sigma as its documentation suggests."""
    from skimage.restoration import denoise_nl_means

    pixels = y[0, 0].numpy()
    clean = denoise_nl_means(pixels, patch_size=5, patch_distance=6, h=0.8 * SIGMA, sigma=SIGMA, fast_mode=True)
    return torch.from_numpy(clean)[None, None]


@functools.cache
def network(device: torch.device) -> ResidualDenoiser:
    """The denoiser with the shipped weights, read once."""
    return pretrained.denoiser(device)


def residual_network(y: Tensor) -> Tensor:
    """The denoiser with the shipped weights, on the machine's device and in its precision."""
    device, precision = machine().device, machine().precision
    with torch.no_grad(), torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32):
        return network(device)(y.to(device), SIGMA).cpu()


def in_two_positions(y: Tensor) -> Tensor:
    """The mean of two estimates, one of them of the picture upside down: what the two do not share was error."""
    return (residual_network(y) + residual_network(torch.rot90(y, 2, (-2, -1))).rot90(2, (-2, -1))) / 2


def bm3d_method() -> Callable[[Tensor], Tensor] | None:
    """BM3D if its package is there."""
    try:
        import bm3d
    except ImportError:
        return None
    return lambda y: torch.from_numpy(bm3d.bm3d(y[0, 0].double().numpy(), SIGMA)).float()[None, None]


def main() -> None:
    """Run all methods on all photographs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pixels", type=int, default=512)
    args = parser.parse_args()
    print(machine())
    methods = {
        "residual network": residual_network,
        "... in two positions": in_two_positions,
        "non-local means": non_local_means,
        "BM3D": bm3d_method(),
    }
    methods = {name: method for name, method in methods.items() if method}
    residual_network(torch.rand(1, 1, 64, 64))  # reads the weights
    decibels, seconds = defaultdict(list), defaultdict(list)
    for name, image in photographs(args.split, colour=False).items():
        x = to_float(image)[..., : args.pixels, : args.pixels]
        for seed in range(args.seeds):
            y = x + SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
            for method, clean in methods.items():
                start = time.perf_counter()
                x_hat = clean(y)
                seconds[method].append(time.perf_counter() - start)
                decibels[method, name].append(psnr(x, x_hat.clamp(0, 1)).item())
    names = list(dict.fromkeys(name for _, name in decibels))
    print(f"PSNR in dB, {args.split}:", ", ".join(names))
    slowest = list(methods)[-1]
    for method in methods:
        rows = [decibels[method, name] for name in names]
        cells = [f"{statistics.mean(row):.2f} ± {statistics.pstdev(row):.2f}" for row in rows]
        mean = statistics.mean(value for row in rows for value in row)
        ratio = statistics.median(a / b for a, b in zip(seconds[slowest], seconds[method], strict=True))
        spent = statistics.median(seconds[method])
        print(f"{method:20}", *cells, f"| mean {mean:.3f} dB, {spent:.3g} s a photograph, 1/{ratio:.1f} of {slowest}")


if __name__ == "__main__":
    main()
