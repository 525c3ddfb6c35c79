"""Does a code know what it should not? A network that is trained to tell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.models.layers import mlp
from vae_helpers.training import fit

HIDDEN = 128  # units of each of two layers
BATCH, LEARNING_RATE = 256, 3e-3


def probe_r2(
    codes: Tensor, targets: Tensor, other_codes: Tensor, other_targets: Tensor, steps: int = 1500, seed: int = 0
) -> Tensor:
    """How much of each target a small network reads from codes that it was not trained on.

    R2 = 1 - (mean squared error) / (variance): 0 where the codes tell nothing, below 0 where it learned by heart. It is
    a lower bound on what can be read: a better reader may find more. Give draws of q(z | x) and not its means to ask
    what a decoder is told, which sees draws; from means more can be read.

    Args:
        codes, targets: to train on, (N, D) and (N, T).
        other_codes, other_targets: to be judged by, (M, D) and (M, T); of other pictures.
        steps: of training.
        seed: of the network and its training.
    Returns:
        (T,).
    Raises:
        TypeError, ValueError: not such tensors, or a target that does not vary.
    """
    given = {"codes": codes, "targets": targets, "other_codes": other_codes, "other_targets": other_targets}
    for name, tensor in given.items():
        checking.tensor(tensor, name, "(N, D)", N=2)
    pairs = ((codes, other_codes, 1), (targets, other_targets, 1), (codes, targets, 0), (other_codes, other_targets, 0))
    for one, two, axis in pairs:
        if one.shape[axis] != two.shape[axis]:
            shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
            raise ValueError(f"these do not belong together: {shapes}. Wanted: (N, D), (N, T), (M, D), (M, T).")
    varies = torch.stack([targets.std(0), other_targets.std(0)]).amin(0)
    if (varies == 0).any():
        raise ValueError(
            f"target {int((varies == 0).nonzero()[0])} does not vary: its R2 is not defined. Leave it out."
        )
    scaled, wanted = _standardised(codes, codes), _standardised(targets, targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(checking.seed(seed))
        network = mlp([codes.shape[1], HIDDEN, HIDDEN, targets.shape[1]])
    settings = {"batch_size": BATCH, "learning_rate": LEARNING_RATE, "progress": False, "precision": torch.float32}
    fit(network, (scaled, wanted), steps=steps, objective=_error, seed=seed, **settings)
    with torch.no_grad():
        guessed = network.cpu()(_standardised(other_codes, codes).cpu()).to(codes.device)
    error = (guessed - _standardised(other_targets, targets)).square().mean(0)
    return 1 - error / _standardised(other_targets, targets).var(0, correction=0)


def _error(network: nn.Module, codes: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {"loss": (network(codes) - targets).square().sum(1)}


def _standardised(x: Tensor, like: Tensor) -> Tensor:
    """x in units of the spread of `like`, column by column."""
    return ((x - like.mean(0)) / like.std(0).clamp(min=1e-6)).float()
