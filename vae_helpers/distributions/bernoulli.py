"""Black-and-white pixels, and the Bernoulli formula on grey ones, in a faster form than torch's."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from vae_helpers import checking


class _Softplus(torch.autograd.Function):
    """log(1 + exp(a)) = max(a, 0) - log sigmoid |a|: torch's own takes up to nine times as long with AVX-512.

    Where exp(-|a|) is too small to change 1, the logarithm is 0, wrong by less than the rounding of one pixel's term.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        return a.relu().sub_(a.abs().sigmoid_().log_())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return gradient * torch.sigmoid(a)


def _is_fast(a: Tensor) -> bool:
    """Whether `_Softplus` and `_ImageLogProb` compute this on the CPU as exactly as torch does."""
    return a.device.type == "cpu" and a.dtype in (torch.float32, torch.float64)


def softplus(a: Tensor) -> Tensor:
    """log(1 + exp(a)), elementwise, without overflow: -log p(0) of a pixel whose logit is a.

    Args:
        a: floats of any shape.
    """
    return _Softplus.apply(a) if _is_fast(checking.floating(a, "a")) else F.softplus(a)


class Bernoulli(torch.distributions.Bernoulli):
    """torch's distribution of black-and-white pixels, with the logarithm of its probabilities in a fast form."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p) = x a - softplus(a) for a logit a, elementwise, <= 0."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - softplus(self.logits)


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
        """x log p + (1 - x) log(1 - p), elementwise, <= 0."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - softplus(self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Black or white pixels, white with probability p."""
        p = self.mean.expand(self._extended_shape(sample_shape))
        return torch.bernoulli(p)


class _ImageLogProb(torch.autograd.Function):
    """The sum of x a - softplus(a) over the last dimension, for logits a, in half to two thirds of the time.

    With m = |a|, x a - softplus(a) = (x - 1/2) a - m/2 + log sigmoid(m). A logarithm takes as long as all the rest, so
    one is taken of the product of every sixteen sigmoids, each of which is at least 1/2.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, x: Tensor) -> Tensor:
        m = a.abs()  # (..., D)
        without_log = ((x - 0.5) * a).sub_(m, alpha=0.5).sum(-1)
        s = m.sigmoid_()
        for _ in range(4):  # fold the second half onto the first
            half = (s.shape[-1] + 1) // 2
            s[..., : s.shape[-1] - half].mul_(s[..., half:])
            s = s[..., :half]
        return without_log + s.log().sum(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (a, x), (for_a, for_x) = ctx.saved_tensors, ctx.needs_input_grad
        gradient = gradient[..., None]
        return gradient * (x - torch.sigmoid(a)) if for_a else None, gradient * a if for_x else None


class BernoulliImage(Independent):
    """Bernoulli pixels, black and white or grey, that make up one image: summed while they are computed."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p), summed over the image: (N, C, H, W) -> (N,)."""
        a = self.base_dist.logits
        if not (_is_fast(a) and value.dtype == a.dtype and value.shape[-3:] == self.event_shape):
            return super().log_prob(value)
        if self.base_dist._validate_args:
            self.base_dist._validate_sample(value)
        return _ImageLogProb.apply(a.flatten(-3), value.flatten(-3))
