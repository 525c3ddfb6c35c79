"""One good call of every public function: what it is given, and what has to be true of whatever it returns."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_helpers import alpha, blending, data, evaluation, images, inference, models, noise, objectives, patches
from vae_helpers import distributions as d
from vae_helpers.attributes import Attributes, fit_attributes
from vae_helpers.rendering import faces
from vae_helpers.rendering.alignment import align

FLOAT32 = torch.float32


@dataclass(frozen=True)
class Call:
    """A function with good arguments."""

    name: str  # "images.grid"
    function: Callable
    good: Callable[[], dict[str, Any]]  # fresh arguments
    holds: Callable[..., bool]  # called with the result and all arguments, good or surprising
    own: tuple[str, ...] = ()  # arguments that are the caller's own objects (models, functions), never attacked
    also: tuple[str, ...] = ()  # what errors may name besides arguments
    elementwise: bool = False  # see `documented`
    in_memory_order: bool = False  # its random numbers follow the order in which the pictures stand in memory

    @property
    def attacked(self) -> tuple[str, ...]:
        """The arguments that may be exchanged."""
        return tuple(name for name in self.good() if name not in self.own)


def unit(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def bytes_(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers 0 ... 255."""
    return unit(*shape, seed=seed).mul(255).round().to(torch.uint8)


@functools.cache
def vae() -> models.VAE:
    """A small VAE, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.mlp_vae((1, 4, 4), 2, (8,), d.GreyBernoulliLikelihood())


@functools.cache
def gaussian_vae() -> models.VAE:
    """One with a density, as `infer_code` wants it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.mlp_vae((1, 4, 4), 2, (8,), d.GaussianLikelihood(0.2))


@functools.cache
def linear_vae() -> models.LinearGaussianVAE:
    """A model whose evidence is known."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.LinearGaussianVAE(5, 2).double()


@functools.cache
def small_denoiser() -> models.ResidualDenoiser:
    """A network of 30 channels, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.ResidualDenoiser(1, (4, 6)).eval()


def q() -> torch.distributions.Independent:
    """Two codes of three dimensions."""
    return d.diagonal_gaussian(unit(2, 3), unit(2, 3, seed=1) - 0.5)


def within(x: Tensor, low: float, high: float) -> bool:
    return bool((x >= low).all() and (x <= high).all())


def like(result: Tensor, x: Tensor) -> bool:
    """Same shape and type."""
    return result.shape == x.shape and result.dtype == x.dtype


def is_grid(result: Any, images: Tensor, columns: int | None, padding: int, **_: Any) -> bool:
    n, c, h, w = images.shape
    columns = min(n, columns or math.isqrt(n - 1) + 1)
    rows = -(-n // columns)
    size = rows * (h + padding) - padding, columns * (w + padding) - padding, max(c, 3)
    return result.shape == size and result.dtype == "float32" and 0 <= result.min() <= result.max() <= 1


def noise_holds(result: Tensor, x: Tensor, clip: bool = False, **_: Any) -> bool:
    return like(result, x) and (not clip or within(result, 0, 1))


def premultiplied(seed: int) -> Tensor:
    rgba = unit(2, 4, 3, 5, seed=seed)
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)


def half(n: int = 1, h: int = 4, w: int = 4) -> Tensor:
    mask = torch.zeros(n, 1, h, w)
    mask[..., : w // 2] = 1
    return mask


CALLS = (
    # --- images
    Call(
        "images.check_images",
        images.check_images,
        lambda: {"images": bytes_(2, 3, 4, 5)},
        lambda r, images: r is images,
    ),
    Call(
        "images.check_drawable",
        images.check_drawable,
        lambda: {"images": unit(2, 3, 4, 5)},
        lambda r, images: r is images,
    ),
    Call(
        "images.check_same_size",
        images.check_same_size,
        lambda: {"a": unit(2, 3, 4, 5), "b": unit(1, 1, 4, 5), "name_a": "a", "name_b": "b"},
        lambda r, **_: r is None,
        own=("a", "b", "name_a", "name_b"),  # the caller has checked that a and b are pictures
    ),
    Call(
        "images.mask_weights",
        images.mask_weights,
        lambda: {"mask": half(), "n": 2, "like": unit(2, 3, 4, 4), "name": "mask"},
        lambda r, n, like, **_: r.shape == (n, 1, *like.shape[2:]) and within(r, 0, 1),
        own=("n", "like", "name"),
    ),
    Call("images.check_floats", images.check_floats, lambda: {"x": unit(2, 3)}, lambda r, x: r is x),
    Call("images.check_pictures", images.check_pictures, lambda: {"x": unit(2, 1, 3, 4)}, lambda r, x: r is x),
    Call(
        "images.to_float",
        images.to_float,
        lambda: {"images": bytes_(2, 3, 4, 5)},
        lambda r, images: r.shape == images.shape and r.dtype == FLOAT32 and within(r, 0, 1),
    ),
    Call(
        "images.to_uint8",
        images.to_uint8,
        lambda: {"x": unit(2, 3, 4, 5)},
        lambda r, x: r.shape == x.shape and r.dtype == torch.uint8,
    ),
    Call(
        "images.levels_of",
        images.levels_of,
        lambda: {"images": bytes_(2, 1, 4, 5), "levels": 256},
        lambda r, images, levels: r.shape == images.shape and r.dtype == torch.int64 and within(r, 0, levels - 1),
    ),
    Call(
        "images.dequantise",
        images.dequantise,
        lambda: {"images": bytes_(2, 1, 4, 5), "levels": 256},
        lambda r, images, levels: r.shape == images.shape and r.dtype == FLOAT32 and within(r, 0, 1),
    ),
    Call(
        "images.binarise",
        images.binarise,
        lambda: {"images": bytes_(2, 1, 4, 5)},
        lambda r, images: r.shape == images.shape and r.dtype == FLOAT32 and bool(((r == 0) | (r == 1)).all()),
    ),
    Call(
        "images.enlarge",
        images.enlarge,
        lambda: {"images": bytes_(2, 1, 4, 5), "size": 6},
        lambda r, images, size: r.shape == (*images.shape[:2], size, size) and r.dtype == torch.uint8,
    ),
    Call(
        "images.random_shift",
        images.random_shift,
        lambda: {"images": bytes_(2, 3, 4, 5), "pixels": 1},
        lambda r, images, pixels: like(r, images),
        elementwise=True,
    ),
    Call(
        "images.random_turn",
        images.random_turn,
        lambda: {"images": bytes_(2, 3, 4, 4)},
        lambda r, images: like(r, images),
        elementwise=True,
    ),
    Call(
        "images.grid",
        images.grid,
        lambda: {"images": unit(3, 3, 4, 5), "columns": 2, "padding": 1, "fill": 1.0},
        is_grid,
    ),
    # --- distributions
    Call(
        "distributions.diagonal_gaussian",
        d.diagonal_gaussian,
        lambda: {"mu": unit(2, 3), "log_var": unit(2, 3)},
        lambda r, mu, log_var: r.mean.shape == mu.shape and within(r.variance, 0, math.inf),
        also=("torch.distributions",),
        elementwise=True,
    ),
    Call(
        "distributions.standard_normal",
        d.standard_normal,
        lambda: {"dims": 3},
        lambda r, dims: r.event_shape == (dims,),
    ),
    Call(
        "distributions.soft_bound",
        d.soft_bound,
        lambda: {"raw": unit(2, 3), "bound": 20.0},
        lambda r, raw, bound: like(r, raw) and within(r, -bound, bound),
        elementwise=True,
    ),
    Call(
        "distributions.log_ndtr",
        d.log_ndtr,
        lambda: {"x": unit(2, 3)},
        lambda r, x: like(r, x) and within(r, -math.inf, 0),
        elementwise=True,
    ),
    Call(
        "distributions.kl_to_standard_normal",
        d.kl_to_standard_normal,
        lambda: {"q": q()},
        lambda r, q: r.shape == (2,) and within(r, 0, math.inf),
        own=("q",),
    ),
    Call(
        "distributions.kl",
        d.kl,
        lambda: {"q": q(), "p": d.standard_normal(3)},
        lambda r, q, p: r.shape == (2,) and within(r, 0, math.inf),
        own=("q", "p"),
    ),
    Call(
        "distributions.kl_monte_carlo",
        d.kl_monte_carlo,
        lambda: {"q": q(), "p": d.standard_normal(3), "samples": 3},
        lambda r, q, p, samples: r.shape == (2,),
        own=("q", "p"),
    ),
    Call(
        "distributions.GreyBernoulli",
        d.GreyBernoulli,
        lambda: {"logits": unit(2, 3)},
        lambda r, logits: r.mean.shape == logits.shape and within(r.mean, 0, 1),
        also=("torch.distributions",),
        elementwise=True,
    ),
    Call(
        "distributions.ContinuousBernoulli",
        d.ContinuousBernoulli,
        lambda: {"logits": unit(2, 3)},
        lambda r, logits: r.mean.shape == logits.shape and within(r.mean, 0, 1),
        also=("torch.distributions",),
        elementwise=True,
    ),
    Call(
        "distributions.DiscretisedGaussian",
        d.DiscretisedGaussian,
        lambda: {"mean": unit(2, 3), "sigma": 0.2, "levels": 8},
        lambda r, mean, sigma, levels: within(r.log_prob(torch.zeros_like(r.mean)), -math.inf, 0),
        also=("torch.distributions",),
        elementwise=True,
    ),
    Call(
        "distributions.GaussianLikelihood",
        d.GaussianLikelihood,
        lambda: {"sigma": 0.2, "learn_sigma": False, "floor": 0.01, "levels": 256},
        lambda r, sigma, **_: math.isclose(r.sigma.item(), sigma, rel_tol=1e-3),
    ),
    Call(
        "distributions.DiscretisedGaussianLikelihood",
        d.DiscretisedGaussianLikelihood,
        lambda: {"sigma": 0.2, "learn_sigma": True, "floor": 0.01, "levels": 256},
        lambda r, sigma, **_: math.isclose(r.sigma.item(), sigma, rel_tol=1e-3),
    ),
    Call(
        "distributions.bits_per_dim",
        d.bits_per_dim,
        lambda: {"nll": unit(4), "dims": 3, "levels": 256},
        lambda r, nll, **_: isinstance(r, float) or like(r, nll),
        elementwise=True,
    ),
    # --- models
    Call(
        "models.mlp_vae",
        models.mlp_vae,
        lambda: {"image_shape": (1, 3, 4), "latent_dim": 2, "hidden": (5,)},
        lambda r, image_shape, latent_dim, hidden: r.sample_means(2).shape == (2, *image_shape),
    ),
    Call(
        "models.Autoencoder",
        models.Autoencoder,
        lambda: {"image_shape": (1, 3, 4), "latent_dim": 2, "hidden": (5,)},
        lambda r, image_shape, latent_dim, hidden: r(torch.zeros(2, *image_shape)).shape == (2, *image_shape),
    ),
    Call(
        "models.conv_vae",
        models.conv_vae,
        lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3, "colours": 2},
        lambda r, image_shape, latent_dim, **_: r.sample_means(2).shape == (2, *image_shape),
    ),
    Call(
        "models.ConvEncoder",
        models.ConvEncoder,
        lambda: {"image_shape": (1, 16, 16), "outputs": 2, "width": 2, "hidden": 3},
        lambda r, image_shape, outputs, **_: r(torch.zeros(2, *image_shape)).shape == (2, outputs),
    ),
    Call(
        "models.ConvDecoder",
        models.ConvDecoder,
        lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3},
        lambda r, image_shape, latent_dim, **_: r(torch.zeros(2, latent_dim)).shape == (2, *image_shape),
    ),
    Call(
        "models.PaletteDecoder",
        models.PaletteDecoder,
        lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3, "colours": 2},
        lambda r, image_shape, latent_dim, **_: r(torch.zeros(2, latent_dim)).shape == (2, *image_shape),
    ),
    Call(
        "models.LinearGaussianVAE",
        models.LinearGaussianVAE,
        lambda: {"data_dim": 5, "latent_dim": 2},
        lambda r, data_dim, latent_dim: r.decode(torch.zeros(3, latent_dim)).mean.shape == (3, data_dim),
    ),
    Call(
        "models.ProbabilisticPCA",
        models.ProbabilisticPCA,
        lambda: {"W": unit(5, 2), "b": unit(5), "sigma": 0.3},
        lambda r, W, b, sigma: r.evidence(torch.zeros(3, len(b))).shape == (3,),
    ),
    Call(
        "models.ProbabilisticPCA",
        models.ProbabilisticPCA.maximum_likelihood,
        lambda: {"x": unit(9, 5), "latent_dim": 2},
        lambda r, x, latent_dim: r.W.shape == (x.shape[1], latent_dim),
    ),
    Call(
        "models.ResidualDenoiser",
        models.ResidualDenoiser,
        lambda: {"channels": 1, "widths": (4, 6)},
        lambda r, channels, widths: r(torch.zeros(1, channels, 5, 3), 0.1).shape == (1, channels, 5, 3),
    ),
    Call(
        "models.ResidualDenoiser",
        lambda y, sigma: small_denoiser()(y, sigma),
        lambda: {"y": unit(2, 1, 5, 3), "sigma": 0.1},
        lambda r, y, sigma: r.shape == y.shape and r.dtype == FLOAT32,
    ),
    Call(
        "objectives.denoising_error",
        objectives.denoising_error,
        lambda: {"model": small_denoiser(), "x": unit(2, 1, 8, 8), "sigma": (0.1, 0.2)},
        lambda r, x, **_: r["loss"].shape == (len(x),) and within(r["loss"], 0, math.inf),
        own=("model",),
        also=("y",),
        in_memory_order=True,
    ),
    # --- objectives
    Call(
        "objectives.elbo",
        objectives.elbo,
        lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "samples": 2},
        lambda r, x, **_: all(part.shape == (len(x),) for part in r),
        own=("model", "x"),
    ),
    Call(
        "objectives.importance_weighted_bound",
        objectives.importance_weighted_bound,
        lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "samples": 5, "chunk": 2},
        lambda r, x, **_: r.shape == (len(x),),
        own=("model", "x"),
    ),
    Call(
        "objectives.negative_elbo",
        objectives.negative_elbo,
        lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "beta": 0.5, "samples": 2},
        lambda r, x, **_: all(part.shape == (len(x),) for part in r.values()),
        own=("model", "x"),
        elementwise=True,
    ),
    Call(
        "objectives.squared_error",
        objectives.squared_error,
        lambda: {"model": torch.sigmoid, "x": unit(3, 1, 4, 4)},
        lambda r, x, **_: r["loss"].shape == (len(x),) and within(r["loss"], 0, math.inf),
        own=("model",),
        elementwise=True,
    ),
    # --- evaluation
    Call(
        "evaluation.psnr",
        evaluation.psnr,
        lambda: {"x": unit(2, 3, 4, 5), "y": unit(2, 3, 4, 5, seed=1)},
        lambda r, x, y: r.shape == (len(x),) and r.dtype == FLOAT32,
    ),
    Call(
        "evaluation.ssim",
        evaluation.ssim,
        lambda: {"x": unit(2, 1, 11, 12), "y": unit(2, 1, 11, 12, seed=1)},
        lambda r, x, y: r.shape == (len(x),) and r.dtype == FLOAT32 and within(r, -1 - 1e-6, 1 + 1e-6),
    ),
    Call(
        "evaluation.mean_and_error",
        evaluation.mean_and_error,
        lambda: {"values": unit(5)},
        lambda r, values: isinstance(r.mean, float) and r.standard_error >= 0,
    ),
    Call(
        "evaluation.frechet_distance",
        evaluation.frechet_distance,
        lambda: {"features_a": unit(5, 3), "features_b": unit(4, 3, seed=1)},
        lambda r, **_: isinstance(r, float) and r >= 0,
    ),
    Call(
        "evaluation.evaluate",
        evaluation.evaluate,
        lambda: {"model": vae(), "images": bytes_(3, 1, 4, 4), "samples": 2, "batch_size": 2, "seed": 0},
        lambda r, **_: set(r) == {"elbo", "distortion", "kl"},
        own=("model",),
        also=("torch.nn", "values"),
    ),
    Call(
        "evaluation.log_likelihood",
        evaluation.log_likelihood,
        lambda: {"model": vae(), "images": bytes_(3, 1, 4, 4), "samples": 4, "batch_size": 2, "chunk": 3, "seed": 0},
        lambda r, **_: r.standard_error >= 0,
        own=("model",),
        also=("torch.nn", "values"),
    ),
    Call(
        "evaluation.active_units",
        evaluation.active_units,
        lambda: {"model": vae(), "images": bytes_(3, 1, 4, 4), "threshold": 0.01, "batch_size": 2, "seed": 0},
        lambda r, **_: r.variances.shape == (2,) and 0 <= r.count <= 2,
        own=("model",),
        also=("torch.nn", "values"),
    ),
    Call(
        "evaluation.aggregate_posterior",
        evaluation.aggregate_posterior,
        lambda: {"model": vae(), "images": bytes_(3, 1, 4, 4), "batch_size": 2, "seed": 0},
        lambda r, **_: r.covariance.shape == (2, 2) and r.moment_matched_kl >= 0,
        own=("model",),
        also=("torch.nn", "values"),
    ),
    Call(
        "evaluation.kl_decomposition",
        evaluation.kl_decomposition,
        lambda: {"model": vae(), "images": bytes_(3, 1, 4, 4), "samples": 2, "batch_size": 2, "seed": 0},
        lambda r, images, **_: r.mutual_information.mean <= math.log(len(images)) + 1e-9,
        own=("model",),
        also=("torch.nn", "values"),
    ),
    Call(
        "evaluation.read_factors",
        evaluation.read_factors,
        lambda: {"images": bytes_(2, 3, 32, 32), "batch_size": 3},
        lambda r, images, batch_size: r.shape == (len(images), 14),
    ),
    Call(
        "evaluation.factor_features",
        evaluation.factor_features,
        lambda: {"images": unit(2, 3, 32, 32), "batch_size": 3},
        lambda r, images, batch_size: r.shape == (len(images), 64),
    ),
    Call(
        "evaluation.face_distance",
        evaluation.face_distance,
        lambda: {"images": bytes_(2, 3, 32, 32), "others": unit(3, 3, 34, 34)},
        lambda r, **_: isinstance(r, float) and r >= 0,
    ),
    Call(
        "evaluation.factor_r2",
        evaluation.factor_r2,
        lambda: {"images": bytes_(9, 3, 32, 32), "factors": varied(9)},
        lambda r, **_: list(r) == list(faces.NAMES) and all(value <= 1 for value in r.values()),
        also=faces.NAMES,
    ),
    # --- noise
    Call(
        "noise.gaussian",
        noise.gaussian,
        lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "seed": 0, "clip": True},
        noise_holds,
    ),
    Call(
        "noise.poisson",
        noise.poisson,
        lambda: {"x": unit(2, 3, 4, 5), "photons": 9, "seed": 0, "clip": True},
        noise_holds,
    ),
    Call(
        "noise.salt_and_pepper",
        noise.salt_and_pepper,
        lambda: {"x": unit(2, 3, 4, 5), "share": 0.5, "seed": 0, "clip": True},
        noise_holds,
    ),
    Call(
        "noise.speckle",
        noise.speckle,
        lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "seed": 0, "clip": True},
        noise_holds,
    ),
    Call(
        "noise.missing_blocks",
        noise.missing_blocks,
        lambda: {"x": unit(2, 3, 4, 5), "share": 0.5, "size": 2, "fill": 0.5, "seed": 0, "clip": True},
        lambda r, x, clip, **_: noise_holds(r.pictures, x, clip) and r.missing.shape == (len(x), 1, *x.shape[2:]),
    ),
    Call(
        "noise.stripes",
        noise.stripes,
        lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "direction": "vertical", "seed": 0, "clip": True},
        noise_holds,
    ),
    Call(
        "noise.estimate_sigma",
        noise.estimate_sigma,
        lambda: {"y": unit(2, 3, 4, 5)},
        lambda r, y: r.shape == (len(y),) and within(r, 0, math.inf),
    ),
    # --- patches
    Call(
        "patches.window",
        patches.window,
        lambda: {"size": 5},
        lambda r, size: r.shape == (size, size) and bool((r > 0).all()),
    ),
    Call(
        "patches.blockwise",
        patches.blockwise,
        lambda: {"treat": torch.clone, "pictures": unit(2, 3, 6, 7), "size": 4, "stride": 2, "batch_size": 3},
        lambda r, pictures, **_: like(r, pictures),
        own=("treat",),
        elementwise=True,
    ),
    # --- layers, blends, codes, attributes
    Call(
        "alpha.premultiply",
        alpha.premultiply,
        lambda: {"rgba": unit(2, 4, 3, 5)},
        lambda r, rgba: like(r, rgba),
    ),
    Call(
        "alpha.unpremultiply",
        alpha.unpremultiply,
        lambda: {"rgba": premultiplied(0)},
        lambda r, rgba: like(r, rgba),
    ),
    Call(
        "alpha.over",
        alpha.over,
        lambda: {"front": premultiplied(0), "back": premultiplied(1)},
        lambda r, front, back: r.shape == torch.broadcast_shapes(front.shape, back.shape),
    ),
    Call(
        "alpha.feather",
        alpha.feather,
        lambda: {"mask": half(2, 6, 5), "radius": 1.5},
        lambda r, mask, radius: like(r, mask) and within(r, 0, 1),
    ),
    Call(
        "blending.poisson_blend",
        blending.poisson_blend,
        lambda: {"source": unit(2, 3, 4, 4), "target": unit(2, 3, 4, 4, seed=1), "mask": half(), "guidance": "mixed"},
        lambda r, target, **_: r.dtype == target.dtype and r.shape[1:] == target.shape[1:],
    ),
    Call(
        "blending.fill_smoothly",
        blending.fill_smoothly,
        lambda: {"pictures": unit(2, 3, 4, 4), "hole": half()},
        lambda r, pictures, hole: like(r, pictures),
    ),
    Call(
        "blending.interior_mask",
        blending.interior_mask,
        lambda: {"mask": half(), "n": 2, "like": unit(2, 3, 4, 4), "name": "mask"},
        lambda r, n, like, **_: r.shape == (n, *like.shape[2:]) and r.dtype == torch.bool and not r.all(),
        own=("n", "like", "name"),
    ),
    Call(
        "rendering.alignment.align",
        align,
        lambda: {"pictures": unit(2, 3, 8, 8), "factors_from": varied(2), "factors_to": varied(2, 1)},
        lambda r, pictures, **_: like(r, pictures),
        also=("factors",),
    ),
    Call(
        "inference.infer_code",
        inference.infer_code,
        lambda: {
            "model": gaussian_vae(),
            "pictures": [unit(3, 1, 4, 4)],
            "masks": [half()],
            "start": unit(3, 1, 4, 4, seed=1),
            "steps": 2,
            "learning_rate": 0.05,
            "seed": 0,
            "batch_size": 2,
        },
        lambda r, pictures, **_: r.mean.shape == (len(pictures[0]), 2),
        own=("model",),
    ),
    Call(
        "attributes.fit_attributes",
        fit_attributes,
        lambda: {"codes": unit(20, 3), "factors": varied(20), "features": "linear", "ridge": 1.0},
        lambda r, codes, factors, **_: r.predict(factors).shape == codes.shape,
    ),
    Call(
        "attributes.Attributes",
        lambda **given: attributes().edit(**given),
        lambda: {"z": unit(2, 3), "factors_from": varied(2), "factors_to": varied(2, 1)},
        lambda r, z, **_: like(r, z),
        also=("factors", "z", "factors_from", "factors_to"),
    ),
    # --- data
    Call(
        "data.load",
        data.load,
        lambda: {"name": "digits", "size": 9},
        lambda r, name, size: r.image_shape == (1, size or 8, size or 8),
        own=("name",),
    ),
    Call(
        "data.photographs",
        data.photographs,
        lambda: {"split": "validation", "colour": False},
        lambda r, split, colour: all(x.dtype == torch.uint8 and x.shape[1] == (3 if colour else 1) for x in r.values()),
    ),
)


def varied(n: int, seed: int = 0) -> Tensor:
    """Factors of n portraits."""
    return faces.sample(n, seed)


@functools.cache
def attributes() -> Attributes:
    """How codes of three dimensions depend on factors."""
    return fit_attributes(unit(20, 3), varied(20), "linear")
