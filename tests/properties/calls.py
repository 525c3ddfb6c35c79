"""Good arguments for the package's public functions, and what else the property tests are fed."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

import vae_helpers
from vae_helpers import distributions as d
from vae_helpers import models
from vae_helpers.models.scenes import VoteNetwork
from vae_helpers.rendering import captions, faces, scenes, shapes


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
def logistics() -> d.LogisticMixtureLikelihood:
    """Two logistics for each pixel."""
    return d.LogisticMixtureLikelihood(2, 8)


@functools.cache
def ladder() -> models.LadderVAE:
    """Two levels, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.mlp_hierarchy((1, 4, 4), (2, 1), 8, d.GreyBernoulliLikelihood())


@functools.cache
def gaussian_vae() -> models.VAE:
    """One with a density, as `infer_code` wants it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.mlp_vae((1, 4, 4), 2, (8,), d.GaussianLikelihood(0.2))


@functools.cache
def pair() -> models.AdversarialPair:
    """A small VAE and a critic, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.AdversarialPair(vae(), models.PatchDiscriminator(1, 2))


@functools.cache
def small_denoiser() -> models.ResidualDenoiser:
    """A network of 30 channels, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.ResidualDenoiser(1, (4, 6)).eval()


@functools.cache
def flow() -> models.Flow:
    """A flow that listens to sentences, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text_encoder = models.WordsInContext(len(captions.vocabulary()), 4)
        return models.Flow(unit(5, 3), text_encoder, width=8, blocks=1)


def varied(n: int, seed: int = 0) -> Tensor:
    """Factors of n portraits."""
    return faces.sample(n, seed)


def codes() -> torch.distributions.Independent:
    """Two codes of three dimensions."""
    return d.diagonal_gaussian(unit(2, 3), unit(2, 3, seed=1) - 0.5)


def layer(seed: int) -> Tensor:
    """Premultiplied RGBA."""
    rgba = unit(2, 4, 3, 5, seed=seed)
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)


def layers() -> Tensor:
    """A background and two things, premultiplied RGBA."""
    rgba = unit(2, 3, 4, 4, 4)
    return torch.cat([rgba[:, :, :3] * rgba[:, :, 3:], rgba[:, :, 3:]], 2)


@functools.cache
def votes() -> VoteNetwork:
    """A network of votes, not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VoteNetwork(2)


def half(n: int = 1, h: int = 4, w: int = 4) -> Tensor:
    """A mask of the left half."""
    mask = torch.zeros(n, 1, h, w)
    mask[..., : w // 2] = 1
    return mask


@functools.cache
def public() -> dict[str, list[Any]]:
    """Name -> the public functions and classes of that name, wherever they stand; without answers and grading."""
    found = defaultdict(list)
    for module in pkgutil.walk_packages(vae_helpers.__path__, "vae_helpers."):
        if not re.match(r"vae_helpers\.(__main__|lessons|exercises|grading)", module.name):
            home = importlib.import_module(module.name)
            for name, value in vars(home).items():
                if not name.startswith("_") and getattr(value, "__module__", "") == home.__name__:
                    found[name].append(value)
    return found


def function_of(name: str) -> Callable:
    """The function, the method of a class, or the function of a module, that an entry of `GOOD` is about."""
    first, _, rest = name.partition(".")
    if first not in public():  # a module's, where several have one of that name
        (value,) = (value for value in public()[rest] if value.__module__.endswith(f".{first}"))
        return value
    (value,) = public()[first]
    return attrgetter(rest)(value) if rest else value


# Name -> fresh arguments.
GOOD: dict[str, Callable[[], dict[str, Any]]] = {
    # pictures
    "check_images": lambda: {"images": bytes_(2, 3, 4, 5)},
    "check_drawable": lambda: {"images": unit(2, 3, 4, 5)},
    "check_floats": lambda: {"x": unit(2, 3)},
    "check_pictures": lambda: {"x": unit(2, 1, 3, 4)},
    "to_float": lambda: {"images": bytes_(2, 3, 4, 5)},
    "to_uint8": lambda: {"x": unit(2, 3, 4, 5)},
    "levels_of": lambda: {"images": bytes_(2, 1, 4, 5), "levels": 256},
    "dequantise": lambda: {"images": bytes_(2, 1, 4, 5), "levels": 256},
    "binarise": lambda: {"images": bytes_(2, 1, 4, 5)},
    "enlarge": lambda: {"images": bytes_(2, 1, 4, 5), "size": 6},
    "random_shift": lambda: {"images": bytes_(2, 3, 4, 5), "pixels": 1},
    "random_turn": lambda: {"images": bytes_(2, 3, 4, 4)},
    "grid": lambda: {"images": unit(3, 3, 4, 5), "columns": 2, "padding": 1, "fill": 1.0},
    # distributions
    "diagonal_gaussian": lambda: {"mu": unit(2, 3), "log_var": unit(2, 3)},
    "standard_normal": lambda: {"dims": 3},
    "soft_bound": lambda: {"raw": unit(2, 3), "bound": 20.0},
    "log_ndtr": lambda: {"x": unit(2, 3)},
    "kl_to_standard_normal": lambda: {"q": codes()},
    "kl": lambda: {"q": codes(), "p": d.standard_normal(3)},
    "kl_monte_carlo": lambda: {"q": codes(), "p": d.standard_normal(3), "samples": 3},
    "GreyBernoulli": lambda: {"logits": unit(2, 3)},
    "ContinuousBernoulli": lambda: {"logits": unit(2, 3)},
    "DiscretisedGaussian": lambda: {"mean": unit(2, 3), "sigma": 0.2, "levels": 8},
    "DiscretisedLogistic": lambda: {"loc": unit(2, 3), "scale": unit(2, 3, seed=1) + 0.1, "levels": 8},
    "LogisticMixtureLikelihood": lambda: {"components": 2, "levels": 8},
    "LogisticMixtureLikelihood.forward": lambda: {"self": logistics(), "raw": unit(2, 6, 3, 4)},
    "GaussianLikelihood": lambda: {"sigma": 0.2, "learn_sigma": False, "floor": 0.01, "levels": 256},
    "DiscretisedGaussianLikelihood": lambda: {"sigma": 0.2, "learn_sigma": True, "floor": 0.01, "levels": 256},
    "bits_per_dim": lambda: {"nll": unit(4), "dims": 3, "levels": 256},
    # models
    "mlp_vae": lambda: {"image_shape": (1, 3, 4), "latent_dim": 2, "hidden": (5,)},
    "mlp_hierarchy": lambda: {
        "image_shape": (1, 3, 4),
        "sizes": (2, 1),
        "hidden": 5,
        "likelihood": logistics(),
        "bottom_up": False,
    },
    "HierarchicalVAE.redraw": lambda: {"self": ladder(), "z": unit(4, 3), "below": 1, "temperature": 0.5},
    "MixturePriorVAE": lambda: {"vae": vae(), "components": 3},
    "VampPriorVAE": lambda: {"vae": vae(), "pictures": unit(3, 1, 4, 4)},
    "Autoencoder": lambda: {"image_shape": (1, 3, 4), "latent_dim": 2, "hidden": (5,)},
    "conv_vae": lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3, "colours": 2},
    "ConvEncoder": lambda: {"image_shape": (1, 16, 16), "outputs": 2, "width": 2, "hidden": 3},
    "ConvDecoder": lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3},
    "PaletteDecoder": lambda: {"image_shape": (1, 16, 16), "latent_dim": 2, "width": 2, "hidden": 3, "colours": 2},
    "LinearGaussianVAE": lambda: {"data_dim": 5, "latent_dim": 2},
    "ProbabilisticPCA": lambda: {"W": unit(5, 2), "b": unit(5), "sigma": 0.3},
    "ProbabilisticPCA.maximum_likelihood": lambda: {"x": unit(9, 5), "latent_dim": 2},
    "ResidualDenoiser": lambda: {"channels": 1, "widths": (4, 6)},
    "ResidualDenoiser.forward": lambda: {"self": small_denoiser(), "y": unit(2, 1, 5, 3), "sigma": 0.1},
    "Features": lambda: {"network": torch.nn.Sequential(torch.nn.Tanh()), "layers": (0,), "images": unit(3, 1, 4, 4)},
    "PatchDiscriminator": lambda: {"channels": 1, "width": 2},
    "WordsInContext": lambda: {"words": 7, "dim": 3, "reach": 1},
    "Flow": lambda: {"codes": unit(5, 3), "text_encoder": None, "width": 8, "blocks": 2},
    "Flow.sample": lambda: {
        "self": flow(),
        "n": 2,
        "tokens": captions.tokens(["glasses", "no smile"]),
        "steps": 2,
        "guidance": 2.0,
        "eps": unit(2, 3),
    },
    "Flow.log_prob": lambda: {"self": flow(), "codes": unit(2, 3), "steps": 2},
    # objectives
    "elbo": lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "samples": 2},
    "importance_weighted_bound": lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "samples": 5, "chunk": 2},
    "negative_elbo": lambda: {"model": vae(), "x": unit(3, 1, 4, 4), "beta": 0.5, "samples": 2},
    "negative_elbo_by_level": lambda: {
        "model": ladder(),
        "x": unit(3, 1, 4, 4),
        "beta": 0.5,
        "free_nats": 0.1,
        "samples": 2,
    },
    "feature_nats": lambda: {
        "x": unit(3, 1, 4, 4),
        "x_hat": unit(3, 1, 4, 4, seed=1),
        "features": pair().critic.features,
    },
    "negative_elbo_with_features": lambda: {
        "model": vae(),
        "x": unit(3, 1, 4, 4),
        "features": pair().critic.features,
        "price": 2.0,
        "beta": 0.5,
    },
    "critic_error": lambda: {"pair": pair(), "x": unit(3, 1, 4, 4), "loss": "hinge"},
    "negative_elbo_with_critic": lambda: {
        "pair": pair(),
        "x": unit(3, 1, 4, 4),
        "price": 10.0,
        "features": pair().critic.features,
        "loss": "non-saturating",
        "beta": 0.5,
    },
    "squared_error": lambda: {"model": torch.sigmoid, "x": unit(3, 1, 4, 4)},
    "denoising_error": lambda: {"model": small_denoiser(), "x": unit(2, 1, 8, 8), "sigma": (0.1, 0.2)},
    "flow_matching_error": lambda: {"flow": flow(), "z": unit(2, 3), "untold": 0.5},
    # evaluation
    "psnr": lambda: {"x": unit(2, 3, 4, 5), "y": unit(2, 3, 4, 5, seed=1)},
    "sharpness": lambda: {"x": unit(2, 3, 4, 5)},
    "ssim": lambda: {"x": unit(2, 1, 11, 12), "y": unit(2, 1, 11, 12, seed=1)},
    "mean_and_error": lambda: {"values": unit(5)},
    "frechet_distance": lambda: {"features_a": unit(5, 3), "features_b": unit(4, 3, seed=1)},
    "evaluate": lambda: {"model": vae(), "data": bytes_(3, 1, 4, 4), "samples": 2, "batch_size": 2, "seed": 0},
    "log_likelihood": lambda: {
        "model": vae(),
        "data": bytes_(3, 1, 4, 4),
        "samples": 4,
        "batch_size": 2,
        "chunk": 3,
        "seed": 0,
    },
    "active_units": lambda: {
        "model": vae(),
        "data": bytes_(3, 1, 4, 4),
        "threshold": 0.01,
        "batch_size": 2,
        "seed": 0,
    },
    "aggregate_posterior": lambda: {"model": vae(), "data": bytes_(3, 1, 4, 4), "batch_size": 2, "seed": 0},
    "kl_decomposition": lambda: {
        "model": vae(),
        "data": bytes_(3, 1, 4, 4),
        "samples": 2,
        "batch_size": 2,
        "seed": 0,
    },
    "read_factors": lambda: {"images": bytes_(2, 3, 32, 32), "batch_size": 3, "judge": True},
    "factor_features": lambda: {"images": unit(2, 3, 32, 32), "batch_size": 3, "judge": True},
    "face_distance": lambda: {"images": bytes_(2, 3, 32, 32), "others": unit(3, 3, 34, 34), "judge": True},
    "factor_r2": lambda: {"images": bytes_(9, 3, 32, 32), "factors": varied(9), "judge": True},
    "redrawn": lambda: {"images": bytes_(2, 3, 32, 32), "judge": True},
    "read_portraits": lambda: {"images": bytes_(2, 3, 32, 32), "judge": True},
    "obeyed": lambda: {"images": bytes_(2, 3, 32, 32), "sentences": captions.write(varied(2), 0, unit(2, 14) >= 0)},
    "freedom": lambda: {"images": bytes_(2, 3, 3, 32, 32), "sentences": ["a portrait", "a portrait with glasses"]},
    "ari": lambda: {"labels": bytes_(2, 3, 4), "others": bytes_(2, 3, 4, seed=1)},
    "foreground_ari": lambda: {"labels": bytes_(2, 3, 4), "found": bytes_(2, 3, 4, seed=1)},
    "mean_iou": lambda: {"masks": unit(2, 3, 4, 5), "found": unit(2, 2, 4, 5, seed=1)},
    "order_accuracy": lambda: {
        "masks": unit(2, 3, 4, 5),
        "found": unit(2, 2, 4, 5, seed=1),
        "depth": unit(2, 2),
        "overlaps": unit(2, 3, 3) > 0.5,
    },
    # sentences
    "captions.classes": lambda: {"factors": varied(3)},
    "shows": lambda: {"factors": varied(3), "smile": "broad"},
    "captions.write": lambda: {"factors": varied(3), "seed": 0, "asked": unit(3, 14) < 0.5},
    "say": lambda: {"smile": "broad"},
    "captions.one_hot": lambda: {"asked": captions.wanted(captions.write(varied(3)))},
    "captions.read": lambda: {"sentence": "a portrait with no smile and glasses"},
    "wanted": lambda: {"sentences": captions.write(varied(3))},
    "captions.draw": lambda: {"sentences": captions.write(varied(3)), "seed": 0},
    "tokens": lambda: {"sentences": captions.write(varied(3))},
    # scenes
    "sample_sprites": lambda: {"n": 2, "seed": 0, "kind": "textured", "shapes": ("star", "disc")},
    "sprites": lambda: {"factors": scenes.sample_sprites(2), "size": 32},
    "scenes.layers": lambda: {"factors": scenes.sample(2), "size": 32},
    "labels": lambda: {"factors": scenes.sample(2), "size": 32},
    "overlaps": lambda: {"factors": scenes.sample(2), "size": 32, "least": 0.1},
    "parts": lambda: {"factors": scenes.sample(2)},
    "scene": lambda: {"sprites": unit(2, 4, 10), "background": unit(2, 4)},
    # scenes taken apart
    "compose": lambda: {"layers": layers()},
    "visible_shares": lambda: {"alphas": unit(2, 3, 4, 4)},
    "cut": lambda: {"pictures": unit(2, 3, 8, 8), "centres": unit(2, 2), "side": 4},
    "paste": lambda: {"windows": unit(2, 3, 4, 4), "centres": unit(2, 2), "size": 8},
    "order_log_likelihood": lambda: {"x": unit(2, 3, 4, 4), "layers": layers(), "sigma": 0.1},
    "in_order": lambda: {"layers": layers(), "order": torch.tensor([2, 1])},
    "VoteNetwork": lambda: {"width": 2},
    "VoteNetwork.forward": lambda: {"self": votes(), "x": unit(2, 3, 16, 16)},
    "group_votes": lambda: {"logits": unit(2, 8, 8) - 0.2, "votes": 2 * unit(2, 2, 8, 8) - 1, "most": 3, "reach": 0.1},
    "sprite_vae": lambda: {"side": 16, "latent_dim": 2, "width": 2, "hidden": 3, "colours": 2},
    "SceneModel": lambda: {"votes": votes(), "sprites": vae(), "side": 16, "sigma": 0.1},
    # shapes
    "shapes.layers": lambda: {"factors": shapes.sample(2), "size": 32},
    "with_views": lambda: {"factors": shapes.sample(2), "views": 2, "seed": 0},
    "as_inputs": lambda: {"factors": shapes.sample(3), "names": shapes.VIEW},
    # noise and blocks
    "gaussian": lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "seed": 0, "clip": True},
    "poisson": lambda: {"x": unit(2, 3, 4, 5), "photons": 9, "seed": 0, "clip": True},
    "salt_and_pepper": lambda: {"x": unit(2, 3, 4, 5), "share": 0.5, "seed": 0, "clip": True},
    "speckle": lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "seed": 0, "clip": True},
    "missing_blocks": lambda: {"x": unit(2, 3, 4, 5), "share": 0.5, "size": 2, "fill": 0.5, "seed": 0, "clip": True},
    "stripes": lambda: {"x": unit(2, 3, 4, 5), "sigma": 0.1, "direction": "vertical", "seed": 0, "clip": True},
    "estimate_sigma": lambda: {"y": unit(2, 3, 4, 5)},
    "window": lambda: {"size": 5},
    "blockwise": lambda: {"treat": torch.clone, "pictures": unit(2, 3, 6, 7), "size": 4, "stride": 2, "batch_size": 3},
    # layers, blends and codes
    "premultiply": lambda: {"rgba": unit(2, 4, 3, 5)},
    "unpremultiply": lambda: {"rgba": layer(0)},
    "over": lambda: {"front": layer(0), "back": layer(1)},
    "feather": lambda: {"mask": half(2, 6, 5), "radius": 1.5},
    "poisson_blend": lambda: {
        "source": unit(2, 3, 4, 4),
        "target": unit(2, 3, 4, 4, seed=1),
        "mask": half(),
        "guidance": "mixed",
    },
    "fill_smoothly": lambda: {"pictures": unit(2, 1, 4, 4).double(), "hole": half()},
    "align": lambda: {"pictures": unit(2, 3, 8, 8), "factors_from": varied(2), "factors_to": varied(2, 1)},
    "infer_code": lambda: {
        "model": gaussian_vae(),
        "pictures": [unit(3, 1, 4, 4)],
        "masks": [half()],
        "start": unit(3, 1, 4, 4, seed=1),
        "steps": 2,
        "learning_rate": 0.05,
        "seed": 0,
        "batch_size": 2,
    },
    "fit_attributes": lambda: {"codes": unit(20, 3), "factors": varied(20), "features": "linear", "ridge": 1.0},
}
