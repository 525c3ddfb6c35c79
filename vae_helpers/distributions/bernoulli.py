"""The Bernoulli formula on grey values. (For black-and-white pixels there is torch's `Bernoulli`.)"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_helpers import checking


class GreyBernoulli(Distribution):
    """The Bernoulli formula x log p + (1 - x) log(1 - p) applied to grey values x in [0, 1].

    Not a distribution over [0, 1]: it does not integrate to one. As a loss (cross-entropy) it is popular and
    useful; its values may not be ranked against densities. For a true density on [0, 1] see
    `ContinuousBernoulli`; for a true probability, binarise and use torch's `Bernoulli`.

    Args:
        logits: any shape; p = sigmoid(logits).
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, validate_args: bool | None = None):
        self.logits = checking.floating(logits, "logits")
        super().__init__(logits.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The expected pixel: p."""
        return torch.sigmoid(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p), elementwise, <= 0; from the logits, so that it does not overflow."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = torch.broadcast_tensors(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Black or white pixels, white with probability p."""
        p = self.mean.expand(self._extended_shape(sample_shape))
        return torch.bernoulli(p)
