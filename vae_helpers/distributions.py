"""The distributions of a VAE: Gaussian codes, decoder likelihoods, divergences between them, bits per dimension.

Everything is a `torch.distributions` object whose `log_prob` sums over the dimensions of one image: nats per
image, shape (N,). A *likelihood* is a small module that turns the decoder network's output into p(x | z) and
knows, by `prepare`, what stored images have to become before p(x | z) may be asked about them.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints, kl_divergence

from vae_helpers import checking
from vae_helpers.images import binarise, dequantise, levels_of, to_float

# --- codes -----------------------------------------------------------------------------------------------------


def diagonal_gaussian(mu: Tensor, log_var: Tensor) -> Independent:
    """N(mu, diag(exp(log_var))).

    Args:
        mu: means (N, D).
        log_var: natural logs of the *variances* (N, D); the standard deviation is exp(log_var / 2).
    Returns:
        batch shape (N,), event shape (D,).
    Raises:
        ValueError: the two shapes differ.
    """
    checking.floating(mu, "mu"), checking.floating(log_var, "log_var")
    if mu.shape != log_var.shape:
        raise ValueError(f"mu {tuple(mu.shape)} and log_var {tuple(log_var.shape)} must have the same shape.")
    return Independent(Normal(mu, torch.exp(0.5 * log_var)), 1)


def standard_normal(dims: int, device: torch.device | str | None = None) -> Independent:
    """The prior N(0, I) over codes of `dims` dimensions: event shape (dims,)."""
    dims = checking.integer(dims, "dims")
    return Independent(Normal(torch.zeros(dims, device=device), torch.ones(dims, device=device)), 1)


def soft_bound(raw: Tensor, bound: float = 20.0) -> Tensor:
    """Squash `raw` smoothly into (-bound, bound); the identity to first order at 0.

    Encoders put their log_var through it: exp never overflows, and the gradient is not cut off as by a clamp.
    """
    bound = checking.number(bound, "bound", 1e-3, 1e3)
    return bound * torch.tanh(checking.floating(raw, "raw") / bound)


def kl_to_standard_normal(q: Independent) -> Tensor:
    """KL(q || N(0, I)) in nats per image, summed over the latent dimensions.

    Closed form for diagonal Gaussians (Kingma & Welling 2014, appendix B).

    Args:
        q: batch shape (N,), event shape (D,).
    Returns:
        (N,), >= 0.
    """
    mu, log_var = q.base_dist.loc, 2 * q.base_dist.scale.log()
    return 0.5 * (mu.square() + torch.expm1(log_var) - log_var).sum(-1)


def kl(q: Distribution, p: Distribution) -> Tensor:
    """KL(q || p) in nats per image, in closed form.

    Between diagonal Gaussians, the sum over dimensions of [expm1(r) - r + (mu_q - mu_p)^2 / var_p] / 2 with
    r = log var_q - log var_p; for p = N(0, I) that is Kingma & Welling (2014), appendix B. expm1 keeps its digits where
    q is nearly p. For all other pairs, what torch knows.

    Args:
        q, p: distributions with the same event shape, `Independent` over the latent dimensions.
    Returns:
        (N,), >= 0.
    Raises:
        TypeError: no closed form is known for this pair.
    """
    if _is_diagonal_gaussian(q) and _is_diagonal_gaussian(p) and q.event_shape == p.event_shape:
        q, p = q.base_dist, p.base_dist
        log_ratio = 2 * (q.scale.log() - p.scale.log())
        distance = ((q.loc - p.loc) / p.scale).square()
        return 0.5 * (distance + torch.expm1(log_ratio) - log_ratio).sum(-1)
    try:
        return kl_divergence(q, p)
    except NotImplementedError as error:
        raise TypeError(
            f"no closed form is known for KL({_family(q)} || {_family(p)}). Override `elbo` in the model, or estimate "
            "it: vae_helpers.kl_monte_carlo(q, p)."
        ) from error


def _is_diagonal_gaussian(q: Distribution) -> bool:
    return isinstance(q, Independent) and type(q.base_dist) is Normal and q.reinterpreted_batch_ndims == 1


def _family(q: Distribution) -> str:
    return type(q.base_dist if isinstance(q, Independent) else q).__name__


def kl_monte_carlo(q: Distribution, p: Distribution, samples: int = 1) -> Tensor:
    """An unbiased estimate of KL(q || p) from `samples` draws of q: the mean of log q(z) - log p(z).

    A single estimate may be negative though the divergence is not.

    Args:
        q, p: distributions with the same event shape.
        samples: draws per image, >= 1.
    Returns:
        (N,), nats per image, differentiable through the samples.
    """
    z = q.rsample((checking.integer(samples, "samples"),))  # (samples, N, D)
    return (q.log_prob(z) - p.log_prob(z)).mean(0)


_in_first_batch: dict[object, bool] = {}  # of the blocks of `validate_first_batch` that are running, in all threads
_usual_validation = Distribution._validate_args  # to go back to when the last of them ends
_validation_lock = threading.Lock()


@contextlib.contextmanager
def validate_first_batch() -> Iterator[Callable[[], None]]:
    """torch.distributions checks every value it is given: here until the function that this yields is called.

    To be called once the first batch has gone through, which shows whether the data suit the likelihood; after it the
    checks would only cost time, a seventh of a likelihood's. torch has one switch for all threads: it is on while any
    block is in its first batch, and as it was before when the last one has ended, in whatever order they end.
    """
    this = object()

    def set_to(in_first_batch: bool | None) -> None:
        global _usual_validation
        with _validation_lock:
            if not _in_first_batch:
                _usual_validation = Distribution._validate_args
            if in_first_batch is None:
                del _in_first_batch[this]
            else:
                _in_first_batch[this] = in_first_batch
            validate = not _in_first_batch or any(_in_first_batch.values())
            Distribution.set_default_validate_args(_usual_validation and validate)

    set_to(True)
    try:
        yield lambda: set_to(False)
    finally:
        set_to(None)


# --- distributions over pixels that torch lacks, or computes less stably or slowly --------------------------------


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


class _Image(Independent):
    """Bernoulli pixels, black and white or grey, that make up one image: summed while they are computed."""

    def log_prob(self, value: Tensor) -> Tensor:
        """x log p + (1 - x) log(1 - p), summed over the image: (N, C, H, W) -> (N,)."""
        a = self.base_dist.logits
        if not (_is_fast(a) and value.dtype == a.dtype and value.shape[-3:] == self.event_shape):
            return super().log_prob(value)
        if self.base_dist._validate_args:
            self.base_dist._validate_sample(value)
        return _ImageLogProb.apply(a.flatten(-3), value.flatten(-3))


class ContinuousBernoulli(Distribution):
    """A density on [0, 1] proportional to exp(x * logits) (Loaiza-Ganem & Cunningham 2019).

    Their normaliser C(p) (equation 9), written in the logit a = log(p / (1 - p)), is a / tanh(a / 2) once the
    Bernoulli's own softplus(a) is divided out, which is smooth at a = 0 and does not overflow.

    Args:
        logits: any shape.
    """

    arg_constraints = {"logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _SMALL = 0.05  # below it the series of log C and of the mean is exact to float32

    def __init__(self, logits: Tensor, validate_args: bool | None = None):
        self.logits = checking.floating(logits, "logits")
        super().__init__(logits.shape, validate_args=validate_args)

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the logit is near zero, and the logit with the other half replaced by something harmless."""
        small = self.logits.abs() < self._SMALL
        return small, torch.where(small, self.logits, 0.0), torch.where(small, 1.0, self.logits)

    def log_normaliser(self) -> Tensor:
        """log C = log(a / tanh(a / 2)); log 2 at a = 0."""
        small, near, far = self._split()
        series = math.log(2) + near.square() / 12 - near.pow(4) * (7 / 1440)
        magnitude = far.abs()
        exact = magnitude.log() - torch.log(torch.tanh(magnitude / 2))
        return torch.where(small, series, exact)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) in nats, elementwise; may be positive, as densities may."""
        if self._validate_args:
            self._validate_sample(value)
        return value * self.logits - softplus(self.logits) + self.log_normaliser()

    @property
    def mean(self) -> Tensor:
        """E[x] = 1 / (1 - exp(-a)) - 1 / a; 1/2 at a = 0. Not the sigmoid of the logit."""
        small, near, far = self._split()
        series = 0.5 + near / 12 - near.pow(3) / 720
        return torch.where(small, series, 0.5 / torch.tanh(far / 2) + 0.5 - 1 / far)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draws by the inverse of the distribution function: log(1 + u (e^a - 1)) / a."""
        u = torch.rand(self._extended_shape(sample_shape), device=self.logits.device).clamp_min(1e-7)
        small, near, far = self._split()
        magnitude = far.abs()  # by symmetry: draw for |a|, and reflect where a < 0
        drawn = 1 + torch.log(u + (1 - u) * torch.exp(-magnitude)) / magnitude
        drawn = torch.where(far > 0, drawn, 1 - drawn)
        uniform = u + 0.5 * near * u * (1 - u)  # to first order in a
        return torch.where(small, uniform, drawn).clamp(0, 1)


FAR_TAIL = -50.0  # beyond it torch's log_ndtr has a gradient of rounding errors


def log_ndtr(x: Tensor) -> Tensor:
    """log of the standard normal's distribution function, with a finite gradient however far out.

    Beyond `FAR_TAIL` by the first term of the asymptotic series, phi(x) / -x, whose relative error is 1 / x^2.
    """
    if checking.floating(x, "x").dtype in (torch.float16, torch.bfloat16):  # which torch cannot do on every device
        return log_ndtr(x.float()).to(x)
    far = x < FAR_TAIL
    tail = torch.where(far, x, FAR_TAIL)
    series = -0.5 * tail.square() - torch.log(-tail) - 0.5 * math.log(2 * math.pi)
    return torch.where(far, series, torch.special.log_ndtr(torch.where(far, 0.0, x)))


class DiscretisedGaussian(Distribution):
    """A Gaussian's probability mass in each of `levels` bins; the outermost bins reach to infinity, so it sums to 1.

    Level k stands at (k + 1/2) / levels, the centre of its bin [k / levels, (k + 1) / levels). (The same
    construction with a logistic density: Salimans et al. 2017, equation 2.)

    Args:
        mean: any shape, on the scale [0, 1]; half precision is made `float32`.
        sigma: standard deviation on the same scale, > 0, broadcast against `mean`.
        levels: number of levels, >= 2.
    """

    arg_constraints = {"loc": constraints.real, "sigma": constraints.positive}

    def __init__(self, mean: Tensor, sigma: Tensor | float, levels: int = 256, validate_args: bool | None = None):
        self.levels = checking.integer(levels, "levels", 2)
        mean = checking.floating(mean, "mean").to(torch.promote_types(mean.dtype, torch.float32))
        sigma = sigma if isinstance(sigma, Tensor) else checking.positive(sigma, "sigma")
        sigma = torch.as_tensor(sigma, dtype=mean.dtype).to(mean.device)
        try:
            self.loc, self.sigma = torch.broadcast_tensors(mean, sigma)
        except RuntimeError as error:
            shapes = f"sigma {tuple(sigma.shape)} and mean {tuple(mean.shape)}"
            raise ValueError(f"{shapes} cannot be broadcast against each other: give one number for all.") from error
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Whole numbers 0 .. levels - 1."""
        return constraints.integer_interval(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """The mean of the Gaussian before rounding, on the scale [0, 1]."""
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of level `value` (a whole number, as float or int), elementwise, <= 0."""
        if self._validate_args:
            self._validate_sample(value)
        low, high = (
            (value / self.levels - self.loc) / self.sigma,
            ((value + 1) / self.levels - self.loc) / self.sigma,
        )
        # By symmetry every bin is moved to the left tail, where log_ndtr keeps its digits.
        flip = low + high > 0
        low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
        first, last = (value == 0), (value == self.levels - 1)
        open_left = torch.where(flip, last, first)  # the bin reaches to -infinity (after the flip)
        open_right = torch.where(flip, first, last)
        low = torch.where(open_left, high - 1.0, low)  # any finite edge: it is not used
        log_high = torch.where(open_right, 0.0, log_ndtr(torch.where(open_right, 0.0, high)))
        # log(exp(log_high) - exp(log_low)); far out, log_high - log_low without subtracting two huge numbers
        far = (high < FAR_TAIL) & ~open_right
        far_high, far_low = torch.where(far, high, FAR_TAIL), torch.where(far, low, 2 * FAR_TAIL)
        far_gap = 0.5 * (far_low - far_high) * (far_low + far_high) + torch.log(far_low / far_high)
        gap = torch.where(far, far_gap, log_high - log_ndtr(low)).clamp_min(1e-7)
        return log_high + torch.where(open_left, 0.0, torch.log(-torch.expm1(-gap)))

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Levels as float: a Gaussian draw put into its bin."""
        shape = self._extended_shape(sample_shape)
        x = self.loc.expand(shape) + self.sigma.expand(shape) * torch.randn(shape, device=self.loc.device)
        return torch.floor(x * self.levels).clamp(0, self.levels - 1)


# --- decoder likelihoods -----------------------------------------------------------------------------------------


class Likelihood(nn.Module):
    """What turns a decoder's output into a distribution over images; `prepare` makes the data it is defined on."""

    def encoder_input(self, x: Tensor) -> Tensor:
        """Prepared data on the scale that networks like, about [0, 1]."""
        return x


class BernoulliLikelihood(Likelihood):
    """p(x | z) = Bernoulli for black-and-white images; stored grey images are dynamically binarised."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (N, C, H, W), as logits, -> distribution over images, batch shape (N,)."""
        return _Image(Bernoulli(logits=logits), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> `float32` of zeros and ones; a fresh draw at each call."""
        return binarise(images)


class GreyBernoulliLikelihood(Likelihood):
    """Cross-entropy on grey values, named as what it is: see `GreyBernoulli`. Not a density."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (N, C, H, W), as logits, -> pseudo-likelihood, batch shape (N,)."""
        return _Image(GreyBernoulli(logits), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> `float32` in [0, 1]."""
        return to_float(images)


class ContinuousBernoulliLikelihood(Likelihood):
    """p(x | z) = continuous Bernoulli, a density on grey values in [0, 1]."""

    def forward(self, logits: Tensor) -> Independent:
        """Decoder output (N, C, H, W), as logits, -> distribution over images, batch shape (N,)."""
        return Independent(ContinuousBernoulli(logits), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> `float32` in [0, 1]."""
        return to_float(images)


SMALLEST_FLOOR, LARGEST_SIGMA = 1e-6, 100.0  # what float32 still tells from zero and from infinity, generously


class _WithSigma(Likelihood):
    """A likelihood with one standard deviation for all pixels, fixed or learned, never below a floor."""

    def __init__(self, sigma: float = 0.1, learn_sigma: bool = False, floor: float = 0.01, levels: int = 256):
        super().__init__()
        sigma, floor = (
            checking.number(sigma, "sigma", high=LARGEST_SIGMA),
            checking.number(floor, "floor", SMALLEST_FLOOR),
        )
        levels, learn_sigma = checking.integer(levels, "levels", 2), checking.flag(learn_sigma, "learn_sigma")
        if not sigma > floor:
            raise ValueError(f"sigma = {sigma} must be above its floor = {floor}: give a larger one, or a lower floor.")
        raw = torch.tensor(math.log(math.expm1(sigma - floor)))  # softplus(raw) + floor = sigma
        self.floor, self.levels = floor, levels
        if learn_sigma:
            self.raw_sigma = nn.Parameter(raw)
        else:
            self.register_buffer("raw_sigma", raw)

    @property
    def sigma(self) -> Tensor:
        """The standard deviation of a pixel, on the scale [0, 1]; a scalar tensor."""
        return F.softplus(self.raw_sigma) + self.floor


class GaussianLikelihood(_WithSigma):
    """p(x | z) = N(decoder output, sigma^2), a density on dequantised images.

    Args:
        sigma: the standard deviation, or where it starts when learned; on the scale [0, 1].
        learn_sigma: make it a parameter: one scalar for all pixels.
        floor: sigma never falls below it. Flat areas would otherwise drive it to zero.
        levels: grey levels of the stored images, for dequantisation.
    """

    def forward(self, mean: Tensor) -> Independent:
        """Decoder output (N, C, H, W), as means on [0, 1], -> distribution over images, batch shape (N,)."""
        return Independent(Normal(mean, self.sigma), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> dequantised `float32` in [0, 1]; a fresh draw at each call."""
        return dequantise(images, self.levels)


class DiscretisedGaussianLikelihood(_WithSigma):
    """p(x | z) = probability of each grey level under a Gaussian; arguments as in `GaussianLikelihood`."""

    def forward(self, mean: Tensor) -> Independent:
        """Decoder output (N, C, H, W), as means on [0, 1], -> distribution over levels, batch shape (N,)."""
        return Independent(DiscretisedGaussian(mean, self.sigma, self.levels), 3)

    def prepare(self, images: Tensor) -> Tensor:
        """`uint8` (N, C, H, W) -> levels 0 .. levels - 1 as `float32`."""
        return levels_of(images, self.levels).float()

    def encoder_input(self, x: Tensor) -> Tensor:
        """Levels as the centres of their bins, in (0, 1)."""
        return (x + 0.5) / self.levels


def bits_per_dim(nll: Tensor | float, dims: int, levels: int | None = None) -> Tensor | float:
    """Negative log-likelihood in nats per image as bits per dimension.

    Args:
        nll: -log p(x), nats per image.
        dims: C * H * W.
        levels: given for a density on images dequantised to [0, 1]: each pixel's bin is 1 / levels wide, which
            adds log2(levels) bits. None for the probability of a discrete image (no constant).
    Returns:
        bits per dimension, of the type of `nll`. The uniform distribution over levels has log2(levels).
    Raises:
        ValueError: dims < 1 or levels < 2.
    """
    nll = checking.floating(nll, "nll") if isinstance(nll, Tensor) else checking.number(nll, "nll")
    constant = 0.0 if levels is None else math.log2(checking.integer(levels, "levels", 2))
    return nll / (checking.integer(dims, "dims") * math.log(2)) + constant
