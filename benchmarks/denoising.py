"""How good and how fast is the denoiser that the package carries, beside BM3D and non-local means? And on portraits?

    python benchmarks/denoising.py                         what docs quote: some minutes
    python benchmarks/denoising.py --split validation      the photographs that choices were made with
    python benchmarks/denoising.py --seeds 1 --pixels 128  a quick look
    python benchmarks/denoising.py --portraits             the Gaussian of notebook 05 with all directions: some minutes

The photographs of a split in grey, their upper left 512 x 512 pixels, with Gaussian noise of known sigma = 25/255, not
clipped; estimates are clipped to [0, 1]. For each photograph the mean over seeds of the noise, and the standard
deviation. Methods take turns, so that other work on the machine meets all of them; of the seconds the median is given,
and of their ratio.

BM3D (Dabov et al. 2007) comes from its authors' package, `pip install bm3d`. Its licence is for non-commercial use
only, so it is no dependency of this project, and only this script calls it; without it, its row is left out.

With --portraits, the contest of notebook 05: its 24 test portraits, its five levels and draws of noise, the filters
that it chose on validation portraits. The Gaussian has the mean and the whole covariance matrix of 10,000 training
portraits, 12,288 directions and no shrinkage; the notebook computes 1,000. Memory below 4 GB.
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

from vae_helpers import (
    ProbabilisticPCA,
    ResidualDenoiser,
    load,
    machine,
    mean_and_error,
    noise,
    pretrained,
    psnr,
    to_float,
)
from vae_helpers.data.photos import photographs
from vae_helpers.inference import infer_code

SIGMA = 25 / 255
FILTERS = {0.02: (0.6, 3), 0.05: (0.6, 3), 0.1: (0.6, 5), 0.2: (0.4, 5), 0.4: (0.4, 5)}  # what notebook 05 chose


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


def portrait_filter(y: Tensor, sigma: float, strength: float, patch: int) -> Tensor:
    """Non-local means of notebook 05 on portraits (N, 3, H, W), with h in units of sigma."""
    from skimage.restoration import denoise_nl_means

    options = {"h": strength * sigma, "sigma": sigma, "patch_size": patch, "patch_distance": 7, "channel_axis": 2}
    clean = [denoise_nl_means(array, **options) for array in y.permute(0, 2, 3, 1).double().numpy()]
    return torch.stack([torch.from_numpy(array) for array in clean]).permute(0, 3, 1, 2).float()


def mean_and_covariance(images: Tensor) -> tuple[Tensor, Tensor]:
    """Of `uint8` images (N, ...) of P numbers each: (P,) and (P, P), over N, as in notebook 05."""
    x = to_float(images).flatten(1)
    b = x.mean(0)
    x -= b
    return b, x.T @ x / len(x)


def gaussian_mean(y: Tensor, sigma: float, b: Tensor, covariance: Tensor) -> Tensor:
    """E[x | y] under N(b, covariance), equation (5.7): (N, C, H, W) of the same shape, by one Cholesky factor."""
    spread = covariance.clone()
    spread.diagonal().add_(sigma**2)
    factor = torch.linalg.cholesky(spread)
    del spread
    off = torch.cholesky_solve((y.flatten(1) - b).T, factor)
    return (b + (covariance @ off).T).view_as(y)


def portrait_vae(images: Tensor) -> Callable[[Tensor, float, Tensor], Tensor]:
    """(noisy, sigma, start) -> the best code decoded, and with it the remainders by (5.10), of training images."""
    model = pretrained.portrait_vae()
    missed = model.likelihood.sigma.item() ** 2
    with torch.no_grad():
        left = torch.cat([x - model.decode(model.encode(x).mean).mean for x in to_float(images[:3000]).split(250)])
    rest, spot = left.mean(0), left.var(0)

    def restore(y: Tensor, sigma: float, start: Tensor) -> Tensor:
        trust = torch.full_like(y[:, :1], missed / (missed + sigma**2))
        with torch.no_grad():
            drawn = model.decode(infer_code(model, [y], [trust], start.clamp(0, 1), steps=80).mean).mean + rest
        return drawn + spot / (spot + sigma**2) * (y - drawn)

    return restore


def portraits() -> None:
    """Print mean PSNR and standard error over the portraits, a row a level, and paired differences."""
    data = load("faces", size=64, n=10_000)
    clean = to_float(data.test.images[:24])
    cut = ProbabilisticPCA.maximum_likelihood(to_float(data.train.images).flatten(1), latent_dim=1000)
    b, covariance = mean_and_covariance(data.train.images)
    by_vae = portrait_vae(data.train.images)
    for seed, (sigma, choice) in enumerate(FILTERS.items()):
        y = noise.gaussian(clean, sigma, seed=seed)
        x_hat = {
            "filter": portrait_filter(y, sigma, *choice),
            "1,000 directions": cut.restore(y.flatten(1), sigma).view_as(y),
            "all directions": gaussian_mean(y, sigma, b, covariance),
        }
        x_hat["VAE, (5.10)"] = by_vae(y, sigma, x_hat["1,000 directions"])
        x_hat["mean of filter and all"] = (x_hat["filter"] + x_hat["all directions"]) / 2
        dB = {name: psnr(clean, x.clamp(0, 1)) for name, x in x_hat.items()}
        print(f"sigma {sigma}:", ", ".join(f"{name} {mean_and_error(each)}" for name, each in dB.items()))
        others = ("filter", "1,000 directions", "VAE, (5.10)")
        ahead = [f"{name} {mean_and_error(dB['all directions'] - dB[name])}" for name in others]
        print("    all directions ahead of:", ", ".join(ahead), flush=True)


def main() -> None:
    """Run all methods on all photographs and print a table, or do so with portraits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--portraits", action="store_true")
    args = parser.parse_args()
    print(machine())
    if args.portraits:
        return portraits()
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
