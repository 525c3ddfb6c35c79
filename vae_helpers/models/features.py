"""Features of a trained network as a space to compare pictures in (Hou et al. 2017; Johnson et al. 2016).

Pixels far apart may show the same face, and pixels close together two different ones. Layers of a network that has
learned to tell faces apart weigh a difference by what it means there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.images import check_images, check_pictures, to_float
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import device_of

LOOKED_AT = 1000  # pictures, at most, from which the scale of a channel is taken
SMALLEST_SCALE = 1e-3  # of a channel that says the same of all pictures, as a share of its layer's largest

VGG16_FILE = "vgg16-397923af.pth"  # as torchvision names it
VGG16_LAYERS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3 and relu4_3, as in Johnson et al. (2016)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Features(nn.Module):
    """What some layers of a network say of pictures, each channel divided by its standard deviation.

    Without that division a channel with large numbers would outvote the rest. The network is frozen and in eval mode;
    gradients pass through it to the pictures.

    Args:
        network: layers in a row, such as `factor_reader().body`.
        layers: which of them are looked at, by their index; their maps come in the network's order.
        images: pictures `uint8` or floats in [0, 1], (N, C, S, S), N >= 2, on which the scales are measured; the first
            1,000 count.
    Raises:
        TypeError: a network without layers in a row, or images that are no pictures.
        ValueError: no such layer, no such pictures, or a layer that says the same of all of them.
    """

    def __init__(self, network: nn.Sequential, layers: Sequence[int], images: Tensor):
        super().__init__()
        if not isinstance(network, nn.Sequential):
            raise TypeError(
                f"network must be an nn.Sequential, whose layers have indices, not {checking.kind_of(network)}. "
                "nn.Sequential(*modules) makes one."
            )
        self.layers = _checked_layers(layers, len(network))
        _check_looked_at(images)
        self.network = network.requires_grad_(False).eval()
        for module in network.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # it would write over the map of the layer before
        looked_at = images[:LOOKED_AT].to(device_of(network))
        with torch.no_grad():
            maps = self._maps(to_float(looked_at) if looked_at.dtype == torch.uint8 else looked_at)
        for k, (index, one) in enumerate(zip(self.layers, maps, strict=True)):
            if len(one) == len(images[:LOOKED_AT]) and torch.equal(one, one[:1].expand_as(one)):
                raise ValueError(f"layer {index} says the same of all images, and has no scale: give varied pictures.")
            spread = one.std([axis for axis in range(one.dim()) if axis != 1], keepdim=True)[0]  # (F, 1, 1) or (F,)
            self.register_buffer(f"scale{k}", spread.clamp_min(SMALLEST_SCALE * spread.max().item() + 1e-12))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, S, S) in [0, 1] -> a tensor for each layer looked at: (N, F, s, s), or (N, F) of a dense one."""
        return [one / getattr(self, f"scale{k}") for k, one in enumerate(self._maps(x))]

    def _maps(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, layer in zip(range(max(self.layers) + 1), self.network, strict=False):
            x = layer(x)
            if index in self.layers:
                maps.append(not_halved(x))
        return maps

    def train(self, mode: bool = True) -> Features:
        """Stays in eval mode: a judge whose normalisation follows what it judges is none."""
        return super().train(False)


def _checked_layers(layers: Any, n: int) -> list[int]:
    if not isinstance(layers, Sequence) or isinstance(layers, str) or not layers:
        raise ValueError(f"layers must be indices of layers, such as (4, 5, 8), not {checking.shown(layers)}.")
    return sorted({checking.integer(index, "layers", 0, n - 1) for index in layers})


def _check_looked_at(images: Any) -> None:
    stored = isinstance(images, Tensor) and images.dtype == torch.uint8
    check_images(images) if stored else check_pictures(images, "images")
    if len(images) < 2:
        raise ValueError("images must be at least two pictures: the scale of a channel is measured on them.")


class Standardised(nn.Module):
    """(x - mean) / std, channel by channel: what a network trained on ImageNet wants to see."""

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> the same shape."""
        return (x - self.mean) / self.std


def vgg16_features(folder: str | os.PathLike, images: Tensor, layers: Sequence[int] = VGG16_LAYERS) -> Features:
    """Features of VGG16 (Simonyan & Zisserman 2015), as the articles on perceptual losses have it, from its weights.

    They are torchvision's, trained on photographs with labels; half a gigabyte, nothing of which is downloaded here.

    Args:
        folder: where `vgg16-397923af.pth` is; torchvision keeps it in `~/.cache/torch/hub/checkpoints`.
        images: see `Features`; RGB.
        layers: of `torchvision.models.vgg16().features`.
    Raises:
        FileNotFoundError: no such file in that folder; the message says how to get it.
        ValueError: the file does not hold VGG16.
    """
    from torchvision.models.vgg import cfgs, make_layers

    path = Path(folder).expanduser() / VGG16_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}. With a network, torchvision.models.vgg16(weights='IMAGENET1K_V1') downloads it into "
            "torch.hub.get_dir() + '/checkpoints'; or copy it from a machine that has it."
        )
    network = make_layers(cfgs["D"], batch_norm=False)
    indices = _checked_layers(layers, len(network))
    try:
        stored = torch.load(path, weights_only=True, map_location="cpu")  # an old file, which cannot be mapped
        network.load_state_dict({name: stored[f"features.{name}"] for name in network.state_dict()})
    except (EOFError, LookupError, RuntimeError, TypeError, UnpicklingError) as error:
        raise ValueError(f"{path} does not hold torchvision's VGG16: {error}") from error
    return Features(nn.Sequential(Standardised(), *network), [1 + index for index in indices], images)
