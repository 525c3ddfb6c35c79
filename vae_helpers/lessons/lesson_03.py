"""The exercises of notebook 03, the reparameterization trick: references, hints and the mistakes recognised."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from vae_helpers.exercises.checks import close_to, compares
from vae_helpers.exercises.definition import Exercise, Misconception, Wrong


def _randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- 03.1 the score-function surrogate ---------------------------------------------------------------------------


def score_surrogate(f_z, log_q):
    """A scalar whose gradient is the score-function estimate: f_z (K,) and log q(z) (K,) at K draws of q."""
    return (f_z.detach() * log_q).mean()  # eq. (3.7)


def _surrogate_probes():
    return [(_randn(1, 6) + 1, _randn(2, 6) - 2), (3 * _randn(3, 4), _randn(4, 4))]


_SURROGATE_WRONG = (
    Wrong(
        "its value is right, but it also sends a gradient through f: in this estimator f(z) is a number that weighs "
        "the score, so take it out of the graph",
        lambda f_z, log_q: (f_z * log_q).mean(),
    ),
    Wrong(
        "its sign is flipped: the gradient of this goes downhill; whoever wants that may negate it afterwards",
        lambda f_z, log_q: -(f_z.detach() * log_q).mean(),
    ),
    Wrong(
        "it differentiates the density q, not log q: the draws already carry the weight q, see equation (3.5)",
        lambda f_z, log_q: (f_z.detach() * log_q.exp()).mean(),
    ),
    Wrong(
        "it adds up over the draws: an expectation is estimated by their mean",
        lambda f_z, log_q: (f_z.detach() * log_q).sum(),
    ),
    Wrong(
        "nothing in it can be differentiated: f(z) leaves the graph, log q has to stay in it",
        lambda f_z, log_q: (f_z.detach() * log_q.detach()).mean(),
    ),
    Wrong(
        "f does not occur in it: the score alone has an expectation of zero",
        lambda f_z, log_q: log_q.mean() + 0 * f_z.detach().mean(),
    ),
    Wrong(
        "it multiplies two averages: the average of a product is asked for, draw by draw",
        lambda f_z, log_q: f_z.detach().mean() * log_q.mean(),
    ),
)

# --- 03.2 reparameterize -----------------------------------------------------------------------------------------


def reparameterize(mu, log_var):
    """A draw z ~ N(mu, diag(exp(log_var))) that gradients can pass through: (N, D), (N, D) -> (N, D)."""
    eps = torch.randn_like(mu)  # (N, D), from a distribution without parameters
    return mu + torch.exp(0.5 * log_var) * eps  # eq. (3.9)


_SHAPE = "it does not return one number for each entry of mu, in a tensor of the same shape"
_NO_NOISE = "it returns the mean itself: without noise there is nothing to average over"
_FROZEN = "it gives the same draw at every call: the noise has to be fresh each time"
_SHARED_ROWS = "all images share one draw of the noise: eps needs the whole shape of mu"
_SHARED_COLUMNS = "all latent dimensions of an image share one number of noise: eps needs the whole shape of mu"
_NO_GRAPH = "the draw has left the graph: no gradient reaches mu or log_var, as with a plain .sample()"
_UNIFORM = "the noise is uniform on [0, 1]: standard normal noise is asked for"
_VARIANCE = "it scales the noise by the variance: exp(log_var) is that, and its root is asked for"
_LOG = "it scales the noise by log_var itself: a log is not a scale, and may be negative"
_UNIT = "it does not scale the noise: every draw has a standard deviation of one"
_MEAN = "the mean of the draws is not mu: shift after scaling, not before"
_SPREAD = "the standard deviation of the draws is not the root of exp(log_var)"
_NO_GRADIENT_LOG_VAR = "no gradient reaches log_var: the encoder could never learn how uncertain it is"
_NO_GRADIENT_MU = "no gradient reaches mu"
_GRADIENT = "the draws are right, but their gradients are not those of mu + sigma eps"


def _check_reparameterize(answer: Callable, exercise: Exercise) -> None:
    n = 20_000
    mu = torch.tensor([-1.0, 0.5, 2.0]).repeat(n, 1).requires_grad_()
    log_var = torch.tensor([-2.0, 0.3, 1.4]).repeat(n, 1).requires_grad_()
    torch.manual_seed(0)
    z, again = answer(mu, log_var), answer(mu, log_var)
    if not isinstance(z, torch.Tensor) or z.shape != mu.shape or not z.is_floating_point():
        raise Misconception(_SHAPE)
    x, right = z.detach(), torch.exp(0.5 * log_var.detach())[0]
    if not torch.isfinite(x).all():
        raise Misconception("some of the draws are NaN or infinite")
    if torch.allclose(x, mu.detach(), atol=1e-6):
        raise Misconception(_NO_NOISE)
    if torch.equal(x, again.detach()):
        raise Misconception(_FROZEN)
    spread, mean = x.std(0), x.mean(0)
    if (spread < 1e-4).all():
        raise Misconception(_SHARED_ROWS)
    if torch.corrcoef(x.T).fill_diagonal_(0).abs().max() > 0.5:
        raise Misconception(_SHARED_COLUMNS)
    if not z.requires_grad:
        raise Misconception(_NO_GRAPH)

    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        return torch.allclose(a, b, rtol=0.05, atol=0.0)

    known = {_UNIFORM: right / math.sqrt(12), _VARIANCE: right.square(), _LOG: log_var.detach()[0].abs()}
    for message, wrong in (known | {_UNIT: torch.ones(3)}).items():
        if close(spread, wrong):
            raise Misconception(message)
    if not close(spread, right):
        raise Misconception(_SPREAD)
    if ((mean - mu.detach()[0]).abs() > 6 * right / math.sqrt(n)).any():
        raise Misconception(_MEAN)
    by_mu, by_log_var = torch.autograd.grad(z.sum(), (mu, log_var), allow_unused=True)
    if by_log_var is None:
        raise Misconception(_NO_GRADIENT_LOG_VAR)
    if by_mu is None:
        raise Misconception(_NO_GRADIENT_MU)
    half = 0.5 * (x - mu.detach())
    if not (torch.allclose(by_mu, torch.ones_like(mu)) and torch.allclose(by_log_var, half, atol=1e-4)):
        raise Misconception(_GRADIENT)


def _frozen(mu, log_var):
    return mu + torch.exp(0.5 * log_var) * torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))


_REPARAMETERIZE_WRONG = (
    Wrong(_VARIANCE, lambda mu, log_var: mu + torch.exp(log_var) * torch.randn_like(mu)),
    Wrong(_NO_GRAPH, lambda mu, log_var: torch.distributions.Normal(mu, torch.exp(0.5 * log_var)).sample()),
    Wrong(_LOG, lambda mu, log_var: mu + log_var * torch.randn_like(mu)),
    Wrong(_UNIT, lambda mu, log_var: mu + torch.randn_like(mu) + 0 * log_var),
    Wrong(_UNIFORM, lambda mu, log_var: mu + torch.exp(0.5 * log_var) * torch.rand_like(mu)),
    Wrong(_SHARED_ROWS, lambda mu, log_var: mu + torch.exp(0.5 * log_var) * torch.randn(mu.shape[-1])),
    Wrong(_SHARED_COLUMNS, lambda mu, log_var: mu + torch.exp(0.5 * log_var) * torch.randn(len(mu), 1)),
    Wrong(_FROZEN, _frozen),
    Wrong(_NO_NOISE, lambda mu, log_var: mu),
    Wrong(_MEAN, lambda mu, log_var: torch.exp(0.5 * log_var) * (mu + torch.randn_like(mu))),
    Wrong(_NO_GRADIENT_LOG_VAR, lambda mu, log_var: mu + torch.exp(0.5 * log_var.detach()) * torch.randn_like(mu)),
)

# --- 03.3 the pathwise gradient by hand --------------------------------------------------------------------------


def pathwise_gradient(df, mu, log_var, eps):
    """d f(z) / d mu and d f(z) / d log_var at z = mu + sigma eps, by the chain rule; df is the derivative of f."""
    sigma = torch.exp(0.5 * log_var)
    slope = df(mu + sigma * eps)  # f'(z), at the draw
    return slope, slope * 0.5 * sigma * eps  # eq. (3.11)


def _pathwise_probes():
    mu, log_var, eps = _randn(1, 5), _randn(2, 5), _randn(3, 5)
    return [(torch.cos, mu, log_var, eps), (lambda z: 3 * z.square(), mu + 1, log_var - 1, eps.flip(0))]


def _sigma(log_var):
    return torch.exp(0.5 * log_var)


_PATHWISE_WRONG = (
    Wrong(
        "the one half is missing: sigma is exp(log_var / 2), and its derivative keeps that factor",
        lambda df, mu, log_var, eps: (
            df(mu + _sigma(log_var) * eps),
            df(mu + _sigma(log_var) * eps) * _sigma(log_var) * eps,
        ),
    ),
    Wrong(
        "it takes the slope of f at the mean: the draw is where f was evaluated, and a different place each time",
        lambda df, mu, log_var, eps: (df(mu), df(mu) * 0.5 * _sigma(log_var) * eps),
    ),
    Wrong(
        "it takes the slope of f at the noise, not at z = mu + sigma eps",
        lambda df, mu, log_var, eps: (df(eps), df(eps) * 0.5 * _sigma(log_var) * eps),
    ),
    Wrong(
        "eps is missing in the second: how far the draw moves with log_var depends on the noise it was made of",
        lambda df, mu, log_var, eps: (
            df(mu + _sigma(log_var) * eps),
            df(mu + _sigma(log_var) * eps) * 0.5 * _sigma(log_var),
        ),
    ),
    Wrong(
        "the second is the gradient with respect to sigma: log_var is the parameter, so the chain has one more link",
        lambda df, mu, log_var, eps: (
            df(mu + _sigma(log_var) * eps),
            df(mu + _sigma(log_var) * eps) * eps,
        ),
    ),
    Wrong(
        "it uses exp(log_var), the variance, where the standard deviation belongs",
        lambda df, mu, log_var, eps: (
            df(mu + log_var.exp() * eps),
            df(mu + log_var.exp() * eps) * 0.5 * log_var.exp() * eps,
        ),
    ),
    Wrong(
        "the two are exchanged: first the gradient with respect to mu, then with respect to log_var",
        lambda df, mu, log_var, eps: (
            df(mu + _sigma(log_var) * eps) * 0.5 * _sigma(log_var) * eps,
            df(mu + _sigma(log_var) * eps),
        ),
    ),
)

# --- 03.4 what one pathwise draw is worth ------------------------------------------------------------------------


def draws_for_one():
    """How many score-function draws are as precise as one pathwise draw, at D = 64."""
    D = 64
    score_variance = (D + 2) * (D + 4)  # eq. (3.13)
    pathwise_variance = 4  # eq. (3.12)
    return score_variance / pathwise_variance


_DRAWS_WRONG = (
    Wrong("that is the variance of the score-function estimate itself: compare it with the pathwise one", 4488),
    Wrong(
        "that is the ratio of the standard deviations; K draws divide the variance by K, so variances are compared",
        math.sqrt(1122),
    ),
    Wrong("that is the ratio upside down: the noisier estimator needs more draws, not fewer", 4 / 4488),
    Wrong("the variance does not grow like D: both f and the product with the score grow with it", 64),
    Wrong("that leaves out the terms below the square of D, which are not small yet", 1024),
    Wrong("that is the answer for D = 32: look at the number of dimensions again", 306),
)

# --- 03.5 the best baseline --------------------------------------------------------------------------------------


def optimal_baseline(f_z, score):
    """The constant c that makes (f(z) - c) * score least noisy: f_z (K,) and score (K,) at K draws -> scalar."""
    return (f_z * score.square()).mean() / score.square().mean()  # eq. (3.17)


def _baseline_probes():
    return [(_randn(1, 50).exp(), 2 * _randn(2, 50)), (_randn(3, 9) - 3, _randn(4, 9) + 0.5)]


_BASELINE_WRONG = (
    Wrong(
        "that is the mean of f: a good and popular baseline, but not the best; draws with a large score matter more",
        lambda f_z, score: f_z.mean() + 0 * score.sum(),
    ),
    Wrong(
        "it is not divided by the mean of the squared score, so it is no average of f",
        lambda f_z, score: (f_z * score.square()).mean(),
    ),
    Wrong(
        "it weighs f with the score, which may be negative: the variance asks for its square",
        lambda f_z, score: (f_z * score).mean() / score.mean(),
    ),
    Wrong(
        "the weight above is the score, below its square: the same weight belongs in both",
        lambda f_z, score: (f_z * score).mean() / score.square().mean(),
    ),
    Wrong(
        "it multiplies two averages: f and the squared score are not independent",
        lambda f_z, score: f_z.mean() * score.square().mean(),
    ),
    Wrong(
        "its sign is flipped: the baseline is subtracted from f already",
        lambda f_z, score: -(f_z * score.square()).mean() / score.square().mean(),
    ),
    Wrong(
        "it squares f too: the weight is the squared score, and f enters as it is",
        lambda f_z, score: (f_z.square() * score.square()).mean() / score.square().mean(),
    ),
)

# --- 03.6 the relaxed one-hot vector -----------------------------------------------------------------------------


def relaxed_one_hot(logits, gumbel, temperature):
    """The Gumbel-softmax draw: logits (K,) or (..., K), Gumbel noise of the same shape -> weights that sum to one."""
    return F.softmax((logits + gumbel) / temperature, dim=-1)  # eq. (3.21)


def _relaxed_probes():
    return [(_randn(1, 4, 4), _randn(2, 4, 4), 0.5), (_randn(3, 5, 5), _randn(4, 5, 5), 2.0)]


_RELAXED_WRONG = (
    Wrong(
        "it divides only the logits by the temperature: the noise has to shrink and grow with them",
        lambda logits, gumbel, temperature: F.softmax(logits / temperature + gumbel, -1),
    ),
    Wrong(
        "it multiplies by the temperature: a low temperature should make the draw hard, not soft",
        lambda logits, gumbel, temperature: F.softmax((logits + gumbel) * temperature, -1),
    ),
    Wrong(
        "the noise is missing: this is a softened argmax of the logits, the same at every draw",
        lambda logits, gumbel, temperature: F.softmax(logits / temperature + 0 * gumbel, -1),
    ),
    Wrong(
        "it divides after the softmax: the weights no longer sum to one",
        lambda logits, gumbel, temperature: F.softmax(logits + gumbel, -1) / temperature,
    ),
    Wrong(
        "it normalises along the first axis: the categories are along the last one",
        lambda logits, gumbel, temperature: F.softmax((logits + gumbel) / temperature, 0),
    ),
    Wrong(
        "it is the hard one-hot vector: that is the exact draw, and it has no gradient",
        lambda logits, gumbel, temperature: F.one_hot((logits + gumbel).argmax(-1), logits.shape[-1]).to(logits),
    ),
    Wrong(
        "it subtracts the noise: Gumbel noise is not symmetric, so its sign matters",
        lambda logits, gumbel, temperature: F.softmax((logits - gumbel) / temperature, -1),
    ),
)

EXERCISES = (
    Exercise(
        id="03.1",
        title="A loss whose gradient is the score-function estimate",
        reference=score_surrogate,
        hints=(
            "What has to be differentiated in equation (3.5), and what is only a weight?",
            "The mean over draws of f(z_k) times the gradient of log q(z_k), with f(z_k) held fixed.",
            "A tensor is held fixed by .detach(); multiply draw by draw, then average.",
        ),
        check=compares(_surrogate_probes, gradients=True),
        wrong=_SURROGATE_WRONG,
    ),
    Exercise(
        id="03.2",
        title="A draw that gradients can pass through",
        reference=reparameterize,
        hints=(
            "Where does the randomness come from, and does that place know mu or log_var?",
            "z = mu + sigma * eps with eps ~ N(0, I), and sigma is the root of exp(log_var).",
            "torch.randn_like(mu) gives eps; the root of an exponential is the exponential of half its argument.",
        ),
        check=_check_reparameterize,
        wrong=_REPARAMETERIZE_WRONG,
    ),
    Exercise(
        id="03.3",
        title="The pathwise gradient by hand",
        reference=pathwise_gradient,
        hints=(
            "Write z as a function of mu and log_var with eps fixed, and use the chain rule on f(z).",
            "dz/dmu = 1, and dz/dlog_var = dsigma/dlog_var * eps with sigma = exp(log_var / 2).",
            "Compute sigma, then z, then the slope df(z); return the slope and the slope times dz/dlog_var.",
        ),
        check=compares(_pathwise_probes),
        wrong=_PATHWISE_WRONG,
    ),
    Exercise(
        id="03.4",
        title="What one pathwise draw is worth",
        reference=draws_for_one,
        hints=(
            "The mean of K independent draws has the variance of one draw divided by K.",
            "Set the score function's variance, divided by K, equal to the pathwise variance, and solve for K.",
            "Divide equation (3.13) at D = 64 by equation (3.12).",
        ),
        check=close_to(),
        wrong=_DRAWS_WRONG,
        kind="value",
    ),
    Exercise(
        id="03.5",
        title="The baseline with the least variance",
        reference=optimal_baseline,
        hints=(
            "The variance is a parabola in c. Where is its lowest point?",
            "c = E[f s^2] / E[s^2] with s the score: an average of f with weights s^2.",
            "Both expectations are means over the draws; score.square() appears above and below.",
        ),
        check=compares(_baseline_probes),
        wrong=_BASELINE_WRONG,
    ),
    Exercise(
        id="03.6",
        title="The Gumbel-softmax draw",
        reference=relaxed_one_hot,
        hints=(
            "Replace the hard argmax of logits plus noise by a soft one.",
            "Weight k is exp((logits_k + gumbel_k) / temperature), divided by the sum of these over k.",
            "F.softmax does the exponentials and the sum; give it the noisy logits over the temperature, last axis.",
        ),
        check=compares(_relaxed_probes),
        wrong=_RELAXED_WRONG,
    ),
)
