"""The networks that the package carries, trained: one door for all, found in an installed wheel too.

Each call reads the file again and returns a network of the caller's own, in `float32` and eval mode, its weights
frozen: `.half()`, `.train()` or `.requires_grad_()` change that one alone.
"""

from __future__ import annotations

import functools

import torch

from vae_helpers import checkpoints
from vae_helpers.models.convolutional import conv_vae
from vae_helpers.models.denoiser import ResidualDenoiser
from vae_helpers.models.factor_reader import FactorReader, PortraitJudge
from vae_helpers.models.scenes import SceneModel, VoteNetwork, sprite_vae
from vae_helpers.models.style import ColourOfStyle, GroupVAE, LinearStyle, StyleVAE
from vae_helpers.models.vae import VAE
from vae_helpers.models.views import ViewVAE

# Where the tools write and this module reads; beside it, so that a wheel has them.
DENOISER = "pretrained_weights/denoiser.safetensors"
FACTOR_READER = "pretrained_weights/factor_reader.safetensors"
PORTRAIT_JUDGE = "pretrained_weights/portrait_judge.safetensors"
PORTRAIT_VAE = "pretrained_weights/portrait_vae.safetensors"
SCENE_MODEL = "pretrained_weights/scene_model.safetensors"
SHARP_PORTRAIT_VAE = "pretrained_weights/sharp_portrait_vae.safetensors"
STYLE_VAE = "pretrained_weights/style_vae.safetensors"
VIEW_VAE = "pretrained_weights/view_vae.safetensors"
DENOISER_WIDTHS = (40, 64, 64, 64)
PORTRAIT_SIZE = 64  # pixels of a side
SHAPE_SIZE = 64
LARGEST_LAYERS = ("encoder.8", "decoder.to_shares.2")  # of the portrait VAE; the sharp one has them as they are


def denoiser(device: torch.device | str = "cpu") -> ResidualDenoiser:
    """A `ResidualDenoiser` for grey pictures.

    Trained by `tools/train_denoiser.py` on the training photographs of `load("photos")` and nine more, at any sigma up
    to 55/255. Beyond that, and on noise of other kinds, it is not to be trusted.

    Args:
        device: where it is put.
    """
    build = functools.partial(ResidualDenoiser, widths=DENOISER_WIDTHS)
    return checkpoints.shipped(build, __package__, DENOISER).to(device, memory_format=torch.channels_last)


def factor_reader(device: torch.device | str = "cpu") -> FactorReader:
    """A `FactorReader` of flat drawn portraits; `vae_helpers.read_factors` asks one of its own.

    Trained by `tools/train_factor_reader.py` on portraits that no data set of the course has.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(FactorReader, __package__, FACTOR_READER).to(device)


def portrait_judge(device: torch.device | str = "cpu") -> PortraitJudge:
    """A `PortraitJudge` of flat drawn portraits, to score what a loss with the factor reader's features has made.

    Trained by `tools/train_factor_reader.py --judge` on portraits that neither the reader nor a data set of the course
    has. Keep it out of losses.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(PortraitJudge, __package__, PORTRAIT_JUDGE).to(device)


def portrait_vae(device: torch.device | str = "cpu") -> VAE:
    """A `conv_vae` of flat drawn portraits, 64 x 64, with a code of 48 numbers.

    Trained by `tools/train_portrait_vae.py` on the training portraits of `load("faces", size=64, n=20_000)`.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(new_portrait_vae, __package__, PORTRAIT_VAE).to(device)


def scene_model(device: torch.device | str = "cpu") -> SceneModel:
    """A `SceneModel` for the scenes of `load("scenes", size=64)`, of all kinds, that has seen no heart and no star.

    Trained by `tools/train_scene_model.py` on 14,000 textured scenes and as many with transparent things.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(new_scene_model, __package__, SCENE_MODEL).to(device)


def sharp_portrait_vae(device: torch.device | str = "cpu") -> VAE:
    """The same VAE trained on, with features of the factor reader and a critic: sharper, and no density of pixels.

    Trained by `tools/train_sharp_portrait_vae.py` on the same portraits.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped_changes(portrait_vae(), __package__, SHARP_PORTRAIT_VAE).to(device)


def style_vae(device: torch.device | str = "cpu") -> GroupVAE:
    """A `GroupVAE` of portraits in the styles of `load("faces", styles=...)`, 64 x 64.

    Trained by `tools/train_style_vae.py` on 3,000 sets of 16 portraits, without their factors.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(new_style_vae, __package__, STYLE_VAE).to(device)


def new_scene_model() -> SceneModel:
    """What `scene_model` gives, before it has learned anything."""
    return SceneModel(VoteNetwork(), sprite_vae())


def view_vae(device: torch.device | str = "cpu") -> ViewVAE:
    """A `ViewVAE` of lit solids, 64 x 64, each seen in up to four pictures; views are `shapes.VIEW`, six numbers.

    Trained by `tools/train_view_vae.py` on the training objects of `load("shapes", size=64, n=16_000)`.

    Args:
        device: where it is put.
    """
    return checkpoints.shipped(new_view_vae, __package__, VIEW_VAE).to(device)


def new_view_vae() -> ViewVAE:
    """What `view_vae` gives, before it has learned anything."""
    return ViewVAE((3, SHAPE_SIZE, SHAPE_SIZE), latent_dim=48, width=44, hidden=120)


def new_style_vae() -> GroupVAE:
    """What `style_vae` gives, before it has learned anything."""
    vae = StyleVAE((3, PORTRAIT_SIZE, PORTRAIT_SIZE), latent_dim=48, style_dim=8, width=40, hidden=128)
    return GroupVAE(LinearStyle(vae.style_dim), vae, ColourOfStyle(vae.style_dim))


def new_portrait_vae() -> VAE:
    """What `portrait_vae` gives, before it has learned anything."""
    return conv_vae((3, PORTRAIT_SIZE, PORTRAIT_SIZE), latent_dim=48, width=64, hidden=512)
