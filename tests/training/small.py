"""Pictures, models and runs that are small enough to train in a moment."""

import os
import signal

import torch

from vae_helpers.distributions import GreyBernoulliLikelihood
from vae_helpers.models import mlp_vae
from vae_helpers.training import fit


def some_images(n=60, size=4):
    return torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def vae(seed=0):
    torch.manual_seed(seed)
    return mlp_vae((1, 4, 4), 2, (8,), GreyBernoulliLikelihood())


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def quiet(model, data, **settings):
    return fit(model, data, **({"steps": 30, "batch_size": 16, "progress": False} | settings))


def interrupt_at(n):
    """A callback that presses Stop at step n."""
    return lambda step, model: os.kill(os.getpid(), signal.SIGINT) if step == n else None
