"""The exercises of notebook 03, the reparameterization trick: references, hints and the mistakes recognised."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from vae_helpers.exercises.checks import close_to, compares
from vae_helpers.exercises.definition import Exercise, Misconception, Wrong, wrong_answers
from vae_helpers.lessons import draws


def _randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score_surrogate(f_z, log_q):
    """A scalar whose gradient is the score-function estimate: f_z (K,) and log q(z) (K,) at K draws of q."""
    return (f_z.detach() * log_q).mean()  # eq. (3.7)


def _as_gradients(answer: Callable) -> Callable:
    """The answer with its gradients for its value, which means nothing."""

    def described(f_z: torch.Tensor, log_q: torch.Tensor) -> dict:
        leaves = [f_z.detach().requires_grad_(), log_q.detach().requires_grad_()]
        surrogate = answer(*leaves)
        if not isinstance(surrogate, torch.Tensor) or not surrogate.is_floating_point():
            raise Misconception(f"it is of type {type(surrogate).__name__} where a scalar tensor is asked for")
        found: tuple = (None, None)
        if surrogate.requires_grad:
            found = torch.autograd.grad(surrogate.sum(), leaves, allow_unused=True)
        by_f, by_log_q = (torch.zeros_like(f_z) if slope is None else slope for slope in found)
        return {
            "gradient with respect to f_z": by_f,
            "gradient with respect to log_q": by_log_q,
            "surrogate": torch.zeros_like(surrogate.detach()),
        }

    return described


SCORE_SURROGATE = Exercise(
    id="03.1",
    title="A loss whose gradient is the score-function estimate",
    reference=score_surrogate,
    hints=(
        "What has to be differentiated in equation (3.5), and what is only a weight?",
        "The mean over draws of f(z_k) times the gradient of log q(z_k), with f(z_k) held fixed.",
        "A tensor is held fixed by .detach(); multiply draw by draw, then average.",
    ),
    check=compares(
        lambda: [(_randn(1, 6) + 1, _randn(2, 6) - 2), (3 * _randn(3, 4), _randn(4, 4))],
        tolerance=1e-9,
        canonical=_as_gradients,
    ),
    wrong=wrong_answers(
        "it also sends a gradient through f: in this estimator f(z) is a number that weighs "
        "the score, so take it out of the graph",
        (".detach()", ""),
        "it holds the wrong factor fixed: f(z) is the number that weighs, and log q is what is differentiated",
        ("f_z.detach() * log_q", "f_z * log_q.detach()"),
        "its sign is flipped: the gradient of this goes downhill; whoever wants that may negate it afterwards",
        ("(f_z", "-(f_z"),
        "it differentiates the density q, not log q: the draws already carry the weight q, see equation (3.5)",
        ("log_q)", "log_q.exp())"),
        "it adds up over the draws: an expectation is estimated by their mean",
        ("mean()", "sum()"),
        "nothing in it can be differentiated: f(z) leaves the graph, log q has to stay in it",
        ("log_q)", "log_q.detach())"),
        "f does not occur in it: the score alone has an expectation of zero",
        lambda f_z, log_q: log_q.mean() + 0 * f_z.detach().mean(),
        "it gives one number for each draw: a loss is one number, their mean",
        (".mean()", ""),
        "it multiplies two averages: the average of a product is asked for, draw by draw",
        ("(f_z.detach() * log_q).mean()", "f_z.detach().mean() * log_q.mean()"),
    ),
)


def reparameterize(mu, log_var):
    """A draw z ~ N(mu, diag(exp(log_var))) that gradients can pass through: (N, D), (N, D) -> (N, D)."""
    eps = torch.randn_like(mu)  # (N, D), from a distribution without parameters
    return mu + torch.exp(0.5 * log_var) * eps  # eq. (3.9)


REPARAMETERIZE = Exercise(
    id="03.2",
    title="A draw that gradients can pass through",
    reference=reparameterize,
    hints=(
        "Where does the randomness come from, and does that place know mu or log_var?",
        "z = mu + sigma * eps with eps ~ N(0, I), and sigma is the root of exp(log_var).",
        "torch.randn_like(mu) gives eps; the root of an exponential is the exponential of half its argument.",
    ),
    check=draws.check,
    wrong=(
        Wrong(draws.VARIANCE, change=("0.5 * log_var", "log_var")),
        Wrong(draws.NO_GRAPH, lambda mu, log_var: torch.distributions.Normal(mu, torch.exp(0.5 * log_var)).sample()),
        Wrong(draws.LOG, change=("torch.exp(0.5 * log_var)", "log_var")),
        Wrong(draws.UNIT, change=("torch.exp(0.5 * log_var) * eps", "eps + 0 * log_var")),
        Wrong(draws.UNIFORM, change=("randn_like", "rand_like")),
        Wrong(draws.ONE_SIDED, change=("randn_like(mu)", "randn_like(mu).abs()")),
        Wrong(draws.SHARED_ROWS, change=("randn_like(mu)", "randn(mu.shape[-1])")),
        Wrong(draws.SHARED_COLUMNS, change=("randn_like(mu)", "randn(len(mu), 1)")),
        Wrong(draws.FROZEN, change=("randn_like(mu)", "randn(mu.shape, generator=torch.Generator().manual_seed(0))")),
        Wrong(draws.NO_NOISE, lambda mu, log_var: mu),
        Wrong(draws.MEAN, change=("mu + torch.exp(0.5 * log_var) * eps", "torch.exp(0.5 * log_var) * (mu + eps)")),
        Wrong(draws.NO_GRADIENT_LOG_VAR, change=("* log_var)", "* log_var.detach())")),
        Wrong(
            draws.NUMPY,
            change=("randn_like(mu)", "randn(mu.shape, dtype=torch.float64)"),
        ),
        Wrong(draws.NOT_NORMAL, change=("torch.randn_like(mu)", "(torch.rand_like(mu) - 0.5) * 12**0.5")),
        Wrong(draws.NOT_INDEPENDENT, change=("eps  #", "(eps - eps.mean(0)) / eps.std(0)  #")),
        Wrong(draws.CLAMPED, change=("* log_var)", "* log_var.clamp(-5, 5))")),
    ),
)


def pathwise_gradient(df, mu, log_var, eps):
    """d f(z) / d mu and d f(z) / d log_var at z = mu + sigma eps, by the chain rule; df is the derivative of f."""
    sigma = torch.exp(0.5 * log_var)
    slope = df(mu + sigma * eps)  # f'(z), at the draw
    return slope, slope * 0.5 * sigma * eps  # eq. (3.11)


def _pathwise_probes():
    mu, log_var, eps = _randn(1, 5), _randn(2, 5), _randn(3, 5)
    return [
        (torch.cos, mu, log_var, eps),
        (lambda z: 3 * z.square(), mu + 1, log_var - 1, eps.flip(0)),
        (lambda z: 2 * z, mu[0], log_var[0], eps),  # as the notebook calls it: many draws of one Gaussian
    ]


def _far_variances():
    return [(torch.sin, torch.zeros(4), torch.tensor([-25.0, -12.0, 8.0, 12.0]), torch.tensor([0.5, -1.0, 2.0, 1.0]))]


def _summed(df, mu, log_var, eps):
    return tuple(slope.sum_to_size(mu.shape) for slope in pathwise_gradient(df, mu, log_var, eps))


_CLAMPED_SIGMA = "log_var is clamped, or an epsilon is added to sigma: the chain rule holds for every log_var as it is"

PATHWISE_GRADIENT = Exercise(
    id="03.3",
    title="The pathwise gradient by hand",
    reference=pathwise_gradient,
    hints=(
        "Write z as a function of mu and log_var with eps fixed, and use the chain rule on f(z).",
        "dz/dmu = 1, and dz/dlog_var = dsigma/dlog_var * eps with sigma = exp(log_var / 2).",
        "Compute sigma, then z, then the slope df(z); return the slope and the slope times dz/dlog_var.",
    ),
    check=compares(_pathwise_probes, harder=[(_CLAMPED_SIGMA, _far_variances)]),
    wrong=wrong_answers(
        _CLAMPED_SIGMA,
        lambda df, mu, log_var, eps: pathwise_gradient(df, mu, log_var.clamp(-5, 5), eps),
        "it adds up the slopes of draws that share mu and log_var, as autograd does: each draw has its own, as eps has",
        _summed,
        "the one half is missing: sigma is exp(log_var / 2), and its derivative keeps that factor",
        ("slope * 0.5", "slope"),
        "it takes the slope of f at the mean: the draw is where f was evaluated, and a different place each time",
        ("mu + sigma * eps", "mu"),
        "it takes the slope of f at the noise, not at z = mu + sigma eps",
        ("mu + sigma * eps", "eps"),
        "eps is missing in the second: how far the draw moves with log_var depends on the noise it was made of",
        ("0.5 * sigma * eps", "0.5 * sigma"),
        "the second is the gradient with respect to sigma: log_var is the parameter, so the chain has one more link",
        ("0.5 * sigma * eps", "eps"),
        "it uses exp(log_var), the variance, where the standard deviation belongs",
        ("0.5 * log_var", "log_var"),
        "it reads log_var as the log of the standard deviation, in the draw and in its derivative: sigma is "
        "exp(log_var / 2)",
        ("0.5 * log_var", "log_var", "slope * 0.5", "slope"),
        "sigma is upside down: exp(-log_var / 2) is one over the standard deviation",
        ("0.5 * log_var", "-0.5 * log_var"),
        "the second is scaled by exp(log_var), the variance: the derivative of sigma = exp(log_var / 2) is half of "
        "sigma",
        ("0.5 * sigma * eps", "log_var.exp() * eps"),
        "the second is scaled by half the variance: what sigma's derivative is half of is sigma itself",
        ("0.5 * sigma * eps", "0.5 * log_var.exp() * eps"),
        "the first is right, the sign of the second is flipped: with a larger log_var the draw moves away from mu, to "
        "the side where eps has put it",
        ("slope * 0.5", "-slope * 0.5"),
        "both signs are flipped: these are the gradients of -f(z), the loss of somebody who climbs",
        ("= df(", "= -df("),
        "it takes the slope of f at mu - sigma eps: the draw is on the other side of mu",
        ("mu + sigma", "mu - sigma"),
        "it follows the draw mu - sigma eps all the way: one of the same distribution, but not the one that eps makes",
        ("mu + sigma", "mu - sigma", "slope * 0.5", "-slope * 0.5"),
        "the two are exchanged: first the gradient with respect to mu, then with respect to log_var",
        ("slope, slope * 0.5 * sigma * eps", "slope * 0.5 * sigma * eps, slope"),
    ),
)


def draws_for_one():
    """How many score-function draws are as precise as one pathwise draw, at D = 64."""
    D = 64
    score_variance = (D + 2) * (D + 4)  # eq. (3.13)
    pathwise_variance = 4  # eq. (3.12)
    return score_variance / pathwise_variance


DRAWS_FOR_ONE = Exercise(
    id="03.4",
    title="What one pathwise draw is worth",
    reference=draws_for_one,
    hints=(
        "The mean of K independent draws has the variance of one draw divided by K.",
        "Set the score function's variance, divided by K, equal to the pathwise variance, and solve for K.",
        "Divide equation (3.13) at D = 64 by equation (3.12).",
    ),
    check=close_to(),
    wrong=wrong_answers(
        "that is the variance of the score-function estimate itself: compare it with the pathwise one",
        4488,
        "that is the ratio of the standard deviations; K draws divide the variance by K, so variances are compared",
        math.sqrt(1122),
        "that is the ratio upside down: the noisier estimator needs more draws, not fewer",
        4 / 4488,
        "the variance does not grow like D: both f and the product with the score grow with it",
        64,
        "that leaves out the terms below the square of D, which are not small yet",
        1024,
        "that is the answer for D = 32: look at the number of dimensions again",
        306,
    ),
    kind="value",
)


def optimal_baseline(f_z, score):
    """The constant c that makes (f(z) - c) * score least noisy: f_z (K,) and score (K,) at K draws -> scalar."""
    return (f_z * score.square()).mean() / score.square().mean()  # eq. (3.17)


OPTIMAL_BASELINE = Exercise(
    id="03.5",
    title="The baseline with the least variance",
    reference=optimal_baseline,
    hints=(
        "The variance is a parabola in c. Where is its lowest point?",
        "c = E[f s^2] / E[s^2] with s the score: an average of f with weights s^2.",
        "Both expectations are means over the draws; score.square() appears above and below.",
    ),
    check=compares(lambda: [(_randn(1, 50).exp(), 2 * _randn(2, 50)), (_randn(3, 9) - 3, _randn(4, 9) + 0.5)]),
    wrong=wrong_answers(
        "that is the mean of f: a good and popular baseline, but not the best; draws with a large score matter more",
        lambda f_z, score: f_z.mean() + 0 * score.sum(),
        "it is a covariance over a variance: both subtract the mean of the score, which is zero already in the "
        "expectation, and (3.17) does not",
        lambda f_z, score: torch.cov(torch.stack([f_z * score, score]))[0, 1] / score.var(),
        "it weighs f with the size of the score: the variance asks for its square",
        lambda f_z, score: (f_z * score.abs()).mean() / score.abs().mean(),
        "it is not divided by the mean of the squared score, so it is no average of f",
        (" / score.square().mean()", ""),
        "it weighs f with the score, which may be negative: the variance asks for its square",
        ("f_z * score.square()", "f_z * score", "score.square()", "score"),
        "the weight above is the score, below its square: the same weight belongs in both",
        ("f_z * score.square()", "f_z * score"),
        "it multiplies two averages: f and the squared score are not independent",
        ("(f_z * score.square()).mean() /", "f_z.mean() *"),
        "its sign is flipped: the baseline is subtracted from f already",
        ("(f_z", "-(f_z"),
        "it squares f too: the weight is the squared score, and f enters as it is",
        ("(f_z", "(f_z.square()"),
    ),
)


def relaxed_one_hot(logits, gumbel, temperature):
    """The Gumbel-softmax draw: logits (K,) or (..., K), Gumbel noise of the same shape -> weights that sum to one."""
    return F.softmax((logits + gumbel) / temperature, dim=-1)  # eq. (3.21)


def _relaxed_probes():
    shapes, temperatures = ((4, 4), (5, 5), (6,), (2, 3, 4)), (0.5, 2.0, 0.05, 1.0)
    return [(_randn(1, *shape), _randn(2, *shape), tau) for shape, tau in zip(shapes, temperatures, strict=True)]


def _cold_draws():
    """Exponents of hundreds in float32 and of thousands in float64, where exp is infinite."""
    logits, gumbel = torch.tensor([2.0, -1.0, 0.5, 4.0]), torch.tensor([1.5, 3.0, -1.0, -2.0])
    return [(logits, gumbel, 0.02), (logits.double(), gumbel.double(), 0.001)]


_OVERFLOWS = (
    "it overflows: at a low temperature the exponents are large, their exp is infinity, and infinity over infinity "
    "NaN; F.softmax takes the largest away before the exp, which changes no weight"
)


def _straight_through(y):
    return F.one_hot(y.argmax(-1), y.shape[-1]) + y - y.detach()


def _by_exponentials(y):
    return y.exp() / y.exp().sum(-1, keepdim=True)


RELAXED_ONE_HOT = Exercise(
    id="03.6",
    title="The Gumbel-softmax draw",
    reference=relaxed_one_hot,
    hints=(
        "Replace the hard argmax of logits plus noise by a soft one.",
        "Weight k is exp((logits_k + gumbel_k) / temperature), divided by the sum of these over k.",
        "F.softmax does the exponentials and the sum; give it the noisy logits over the temperature, last axis.",
    ),
    check=compares(_relaxed_probes, gradients=("logits",), harder=[(_OVERFLOWS, _cold_draws)]),
    wrong=wrong_answers(
        _OVERFLOWS,
        lambda logits, gumbel, temperature: _by_exponentials((logits + gumbel) / temperature),
        "it divides only the noise by the temperature: the sum of logits and noise is divided, so mind the brackets",
        ("(logits + gumbel) / temperature", "logits + gumbel / temperature"),
        "it draws noise of its own: the noise comes in as gumbel, and the same noise has to give the same draw",
        lambda logits, gumbel, temperature: F.gumbel_softmax(logits, temperature),
        "its values are one-hot, with the gradient of the soft weights (straight-through): (3.21) is the soft weights",
        lambda logits, gumbel, temperature: _straight_through(relaxed_one_hot(logits, gumbel, temperature)),
        "its values are right, but they have left the graph: no gradient reaches the logits",
        ("dim=-1)", "dim=-1).detach()"),
        "these are the logs of the weights",
        ("F.softmax", "F.log_softmax"),
        "it divides only the logits by the temperature: the noise has to shrink and grow with them",
        ("(logits + gumbel) / temperature", "logits / temperature + gumbel"),
        "it multiplies by the temperature: a low temperature should make the draw hard, not soft",
        ("/ temperature", "* temperature"),
        "the noise is missing: this is a softened argmax of the logits, the same at every draw",
        ("(logits + gumbel) / temperature", "logits / temperature + 0 * gumbel"),
        "it divides after the softmax: the weights no longer sum to one",
        (" / temperature, dim=-1)", ", dim=-1) / temperature"),
        "it normalises along the first axis: the categories are along the last one",
        ("dim=-1", "dim=0"),
        "it is the hard one-hot vector: that is the exact draw, and it has no gradient",
        lambda logits, gumbel, temperature: F.one_hot((logits + gumbel).argmax(-1), logits.shape[-1]).to(logits),
        "it subtracts the noise: Gumbel noise is not symmetric, so its sign matters",
        ("+ gumbel", "- gumbel"),
    ),
)

EXERCISES = (SCORE_SURROGATE, REPARAMETERIZE, PATHWISE_GRADIENT, DRAWS_FOR_ONE, OPTIMAL_BASELINE, RELAXED_ONE_HOT)
