"""The exercises of notebook 08: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Uniform,
)

from vae_helpers.exercises.checks import Check, Probes, close_to, compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers
from vae_helpers.exercises.isolation import seeded
from vae_helpers.models.adversarial import PatchDiscriminator


def _randn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _rand(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def price_of_blur(a, b, sigma):
    """Nats lost by painting the mean of a and b instead of the right one: (N, C, H, W) twice, number -> (N,)."""
    mean = (a + b) / 2
    return ((a - mean).square() / (2 * sigma**2)).flatten(1).sum(1)


def _blur_probes():
    """Two batches, one with four channels and numbers outside [0, 1], and one picture in double precision."""
    return [
        (_rand(1, 3, 2, 4, 3), _rand(2, 3, 2, 4, 3), 0.3),
        (2 * _rand(3, 2, 4, 5, 2) - 0.5, 2 * _rand(4, 2, 4, 5, 2) - 0.5, 1.6),
        (_rand(5, 1, 1, 3, 4, dtype=torch.float64), _rand(6, 1, 1, 3, 4, dtype=torch.float64), 0.7),
    ]


def _sharp_probes():
    """A decoder that is very sure of its pixels, and a pair of the same picture twice."""
    b = _rand(8, 3, 1, 4, 4)
    return [(torch.cat([_rand(7, 2, 1, 4, 4), b[2:]]), b, 0.003)]


SURE = (
    "it is wrong where sigma is small, or where both pictures are the same: add nothing to sigma, give it no least "
    "value, do not cut the nats off, and divide by no difference of the two"
)


PRICE_OF_BLUR = Exercise(
    id="08.1",
    title="What it costs to paint the mean",
    reference=price_of_blur,
    hints=(
        "Whichever picture it is, how far is it from the mean of the two? A decoder that knows which paints it itself.",
        "log N(x; m, sigma^2) loses (x - m)^2 / (2 sigma^2) for each number when m is painted and not x; here m is the "
        "mean of the two, half of their difference away from each.",
        "mean = SOMETHING\neach = (a - mean).square() / SOMETHING  # (N, C, H, W)\nreturn each.flatten(1).SOMETHING(1)",
    ),
    check=compares(_blur_probes, harder=[(SURE, _sharp_probes)]),
    wrong=wrong_answers(
        "it is the price of painting the wrong one of the two: their mean is half as far from each, and a half squared "
        "is a fourth",
        ("(a - mean)", "(a - b)"),
        "it is twice too large: a Gaussian's log has a one half, and of the two pictures only one is there",
        ("(2 * sigma**2)", "sigma**2"),
        "it is eight times too large: the mean is only half as far away, and a Gaussian's log has a one half",
        ("(a - mean).square() / (2 * sigma**2)", "(a - b).square() / sigma**2"),
        "it is half of what it should be: be it a or b, the mean is that far away, so there is nothing to halve",
        ("(2 * sigma**2)", "(4 * sigma**2)"),
        "it averages over the pixels: independent pixels add up their nats",
        (".sum(1)", ".mean(1)"),
        "it is a sum over the batch: give one number for each image, shape (N,)",
        (".flatten(1).sum(1)", ".sum()"),
        "it is a mean over the batch: give one number for each image, shape (N,)",
        (".flatten(1).sum(1)", ".flatten(1).sum(1).mean()"),
        "it adds up the channels only: the pixels of an image add up too, shape (N,)",
        (".flatten(1).sum(1)", ".sum(1)"),
        "sigma is not squared: the squared distance is measured in the variance",
        ("sigma**2", "sigma"),
        "sigma is missing: the surer the decoder, the more a blur costs it",
        (" / (2 * sigma**2)", " / 2"),
        "the distance is not squared: a Gaussian's log falls with the square",
        ("(a - mean).square()", "(a - mean).abs()"),
        "its sign is flipped: it asks for what is lost, which is positive",
        ("((a - mean)", "(-(a - mean)"),
        "the differences are added before they are squared: a pixel too bright would make up for one too dark",
        lambda a, b, sigma: (a - b).flatten(1).sum(1).square() / (8 * sigma**2),
        "it is the whole -log p, log sigma and all: a decoder that knows which has these too, so they are not lost",
        lambda a, b, sigma: -Normal((a + b) / 2, sigma).log_prob(a).flatten(1).sum(1),
        "it is what a decoder loses that may answer with both at once, log 2 at most: one Gaussian can paint the mean "
        "only, and pays for the distance",
        lambda a, b, sigma: math.log(2) - F.softplus(-4 * price_of_blur(a, b, sigma)),
        "this is in bits: a nat is a unit of the natural logarithm",
        lambda a, b, sigma: price_of_blur(a, b, sigma) / math.log(2),
        "the mean is a sum: it is to be divided by two",
        ("(a + b) / 2", "a + b"),
    ),
)


def _with_slopes(wanted: Callable[..., dict[str, torch.Tensor]]) -> Callable[[Callable], Callable]:
    """What a loss teaches, beside its value: its slopes by tensors that `wanted` picks out of the arguments."""

    def wrapped(function):
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            at = {f"slope by {name}": t for name, t in wanted(*args).items() if t.requires_grad}
            loss = function(*args)
            if not isinstance(loss, torch.Tensor):
                return loss
            slopes = [torch.zeros_like(t) for t in at.values()]
            if loss.requires_grad and at:
                slopes = torch.autograd.grad(loss.sum(), list(at.values()), allow_unused=True, materialize_grads=True)
            return {"loss": loss.detach(), **dict(zip(at, slopes, strict=True))}

        return call

    return wrapped


def _teaches(
    probes: Probes,
    wanted: Callable[..., dict[str, torch.Tensor]],
    harder: tuple[str, Probes],
    canonical: Callable[[Callable], Callable] = lambda function: function,
) -> Check:
    """A check of a loss: first its values, what becomes of its arguments and its dtype, then its slopes."""
    values = compares(probes, canonical=canonical, harder=[harder])
    slopes = compares(probes, canonical=_with_slopes(wanted))

    def check(answer: Any, exercise: Exercise) -> None:
        values(answer, exercise)
        slopes(answer, exercise)

    return check


def feature_nats(real, made):
    """sum over layers of (n / 2) log(mean squared error): lists of features (N, ...) -> a scalar, nats per image."""
    nats = 0.0
    for f, g in zip(real, made, strict=True):
        n = f[0].numel()  # of one picture
        error = (g - f).square().mean()  # over the batch, too
        nats = nats + n / 2 * error.log()  # eq. (8.5)
    return nats


def _maps(seed: int, n: int, sizes: tuple, dtype: torch.dtype = torch.float32, apart: float = 1.0) -> tuple:
    """Features of n real pictures and of pictures made of them, further apart from layer to layer."""
    real = [_randn(seed + k, n, *size, dtype=dtype) for k, size in enumerate(sizes)]
    noise = [_randn(seed + 50 + k, n, *size, dtype=dtype) for k, size in enumerate(sizes)]
    return real, [f + apart * (0.6 + k) * e + 0.2 * apart for k, (f, e) in enumerate(zip(real, noise, strict=True))]


def _map_probes():
    """Made by a network, by nothing (pictures that are moved themselves), and where no gradient is asked for."""
    usual, leaves = _maps(1, 4, ((2, 3, 3), (4, 2, 2), (5,))), _maps(200, 3, ((7,), (3, 2, 2)), torch.float64)
    painted = [(g - 1).requires_grad_() + 1 for g in usual[1]]  # no leaves: they come out of a graph
    return [
        (usual[0], painted),
        (leaves[0], [g.requires_grad_() for g in leaves[1]]),
        _maps(300, 1, ((3, 4, 4), (6,), (2, 2, 2), (8,))),
    ]


def _near_and_far_probes():
    """Features that are nearly right, and some in large units."""
    return [_maps(400, 3, ((2, 3, 3), (6,)), apart=3e-4), _maps(500, 3, ((2, 3, 3), (6,)), apart=3e3)]


NEAR_AND_FAR = (
    "it is wrong where features come very close or lie very far apart: clamp nothing, and add nothing to the mean "
    "squared error before its log is taken, or 1e-12 at most"
)


def _backward(real, made):
    nats = feature_nats(real, made)
    nats.backward(retain_graph=True)
    return nats


FEATURE_NATS = Exercise(
    id="08.2",
    title="Nats in a space of features",
    reference=feature_nats,
    hints=(
        "Each layer gets a Gaussian whose variance is the layer's own mean squared error. What is left of its log "
        "then, and over what is the mean taken?",
        "Equation (8.5): the sum over layers of (n / 2) log(mse), the mse being the mean over the batch and all n "
        "numbers of a picture, and the log taken of that mean.",
        "nats = 0.0\n"
        "for f, g in zip(real, made):\n"
        "    n = SOMETHING.numel()  # of one picture, not of the batch\n"
        "    error = (g - f).square().SOMETHING()\n"
        "    nats = nats + SOMETHING * error.log()\n"
        "return nats",
    ),
    check=_teaches(
        _map_probes,
        lambda real, made: {f"made[{k}]": g for k, g in enumerate(made)},
        (NEAR_AND_FAR, _near_and_far_probes),
    ),
    wrong=wrong_answers(
        "the log is inside the mean: one number that happens to be right would outweigh all others; the mean comes "
        "first",
        (".mean()  # over the batch, too", ".log().mean()", "error.log()", "error"),
        "each picture has its own log: (8.5) takes one mean over the batch too, and then one log",
        (".mean()  # over the batch, too", ".flatten(1).mean(1)", "error.log()", "error.log().mean()"),
        "each channel has its own log: (8.5) takes one mean over all numbers of a layer, and then one log",
        (".mean()  # over the batch, too", ".transpose(0, 1).flatten(1).mean(1)", "error.log()", "error.log().mean()"),
        "the squared errors are summed: the variance that fits best is their mean",
        ("square().mean()", "square().sum()"),
        "the squared errors are summed over a picture: the variance that fits best is the mean over its numbers too",
        ("square().mean()", "square().flatten(1).sum(1).mean()"),
        "n counts the whole batch: nats per image are asked for, so count the numbers of one picture, f[0].numel()",
        ("f[0].numel()", "f.numel()"),
        "n counts the channels only: all numbers that a layer has for one picture count",
        ("f[0].numel()", "f.shape[1]"),
        "n is missing: a layer of many numbers says more about a picture than one of few",
        ("n / 2 * error", "0.5 * error"),
        "the half is missing: the log of a standard deviation is half that of the variance",
        ("n / 2 * error", "n * error"),
        "the half is there twice: take the root of the mean squared error or halve its log, not both",
        ("n / 2 * error", "n / 4 * error"),
        "it averages over the layers: each of them says something of its own, and their nats add up",
        ("return nats", "return nats / len(real)"),
        "only the last layer is looked at: their nats add up",
        ("nats + n", "n"),
        "only the first layer is looked at: their nats add up",
        lambda real, made: feature_nats(real[:1], made[:1]),
        "one mean is taken over all layers together: each layer speaks in units of its own, and gets a log of its own",
        lambda real, made: feature_nats(
            [torch.cat([f.flatten(1) for f in real], 1)], [torch.cat([g.flatten(1) for g in made], 1)]
        ),
        "the mean squared errors of the layers are added before the log: each layer gets a log of its own",
        lambda real, made: (
            sum(f[0].numel() for f in real)
            / 2
            * sum((g - f).square().mean() for f, g in zip(real, made, strict=True)).log()
        ),
        "the log is missing: that is a Gaussian of the variance 1 in whatever units a layer speaks",
        ("error.log()", "error"),
        "the distances are not squared: a Gaussian's variance is the mean of squares",
        ("square()", "abs()"),
        "the mean difference is taken away, as var and std do: a colour cast is an error like any other",
        ("(g - f).square().mean()", "(g - f).var(correction=0)"),
        "its sign is flipped: it says how far apart the pictures are, and is to be lowered",
        ("return nats", "return -nats"),
        "the constants of the Gaussian are in it: (8.5) leaves out log(2 pi) and 1, which nobody can change",
        ("error.log()", "(error.log() + math.log(2 * math.pi) + 1)"),
        "log(2 pi) is in it: (8.5) leaves out the constants, which nobody can change",
        ("error.log()", "(error.log() + math.log(2 * math.pi))"),
        "the logarithm is the one to base 2, which counts bits: nats are asked for",
        ("error.log()", "error.log2()"),
        "it is divided by the number of pictures: the mean over the batch was taken before the log",
        ("return nats", "return nats / len(real[0])"),
        "it is a number without a graph: return the tensor, so that a decoder can learn from it",
        ("return nats", "return nats.item()"),
        "its values are right, but no gradient reaches `made`: whoever paints is to learn from it",
        ("return nats", "return nats.detach()"),
        "its values are right, but only the last layer's gradient reaches `made`: detach nothing but `real`",
        ("nats + n", "nats.detach() + n", "nats = 0.0", "nats = torch.tensor(0.0)"),
        "it calls backward() itself: return the tensor, and the training loop does it",
        _backward,
        "`made` is changed in place, and with it what its network goes on with: write g - f instead",
        ("(g - f)", "g.sub_(f)"),
    ),
)


MODE = "it leaves the critic in another mode, train() or eval(): the training loop, not the loss, decides that"


def _mode_kept(function: Callable) -> Callable:
    """The same function, refused where it leaves the critic in another mode."""

    @functools.wraps(function)
    def call(critic: nn.Module, *pictures: torch.Tensor) -> Any:
        modes = [part.training for part in critic.modules()]
        loss = function(critic, *pictures)
        if modes != [part.training for part in critic.modules()]:
            raise Misconception(MODE)
        return loss

    return call


def _ready(critic: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """With gradients in it that the caller has not used yet."""
    critic = critic.to(dtype)
    for weight in critic.parameters():
        weight.grad = torch.full_like(weight, 0.5)
    return critic


def _patch_critic(seed: int, scale: float = 60.0) -> nn.Module:
    """A small critic of pictures (N, 3, H, W) whose logits lie on both sides of 1 and of -1."""
    with seeded(seed):
        critic = PatchDiscriminator(3, 4)
    with torch.no_grad():
        critic.head.weight.mul_(scale)
        critic.head.bias.zero_()
    return _ready(critic)


def _dense_critic(seed: int) -> nn.Module:
    """A critic of pictures (N, 1, 3, 3), in double precision and eval mode, with logits (N, 1, 2)."""
    with seeded(seed):
        critic = nn.Sequential(
            nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 2), nn.Unflatten(1, (1, 2))
        ).eval()
    with torch.no_grad():
        critic[3].weight.mul_(8)
    return _ready(critic, torch.float64)


def _painted(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Pictures out of a graph."""
    return _rand(seed, *shape, dtype=dtype).requires_grad_().clone()


def _critic_probes():
    """Real pictures and made ones: out of a graph and partly outside [0, 1], moved themselves, without a gradient."""
    double = {"dtype": torch.float64}
    return [
        (_patch_critic(0), 1.2 * _rand(1, 3, 3, 12, 8) - 0.1, 1.2 * _painted(2, 3, 3, 12, 8) - 0.1),
        (_dense_critic(3), _rand(4, 5, 1, 3, 3, **double), _rand(5, 5, 1, 3, 3, **double).requires_grad_()),
        (_patch_critic(6), _rand(7, 1, 3, 8, 12), _rand(8, 1, 3, 8, 12)),
    ]


def _certain_probes():
    """A critic whose logits are in the hundreds."""
    return [(_patch_critic(9, scale=6e3), _rand(10, 2, 3, 8, 8), _painted(11, 2, 3, 8, 8))]


CERTAIN = "it is wrong where the critic is very sure of itself: its logits are to be used as they are, however large"


def critic_loss(critic, x, x_hat):
    """The hinge loss of a critic, a scalar: pictures -> logits (N, ...), real ones and made ones (N, C, H, W)."""
    d_real = critic(x)
    d_made = critic(x_hat.detach())  # whoever painted it learns nothing here
    return F.relu(1 - d_real).mean() + F.relu(1 + d_made).mean()  # eq. (8.8)


def _afterwards(loss_of: Callable, do: Callable) -> Callable:
    """A wrong answer: the right loss, but then something is done to the critic."""

    def answer(critic: nn.Module, *pictures: torch.Tensor) -> torch.Tensor:
        loss = loss_of(critic, *pictures)
        do(critic, loss)
        return loss

    return answer


def _weights_and_picture(critic, x, x_hat):
    return {f"the critic's {name}": weight for name, weight in critic.named_parameters()} | {"x_hat": x_hat}


CRITIC_LOSS = Exercise(
    id="08.4",
    title="What the critic learns from",
    reference=critic_loss,
    hints=(
        "A real picture that is sure enough, with a logit above one, costs nothing more; and a made one? Who is to "
        "learn from this loss, and who is not?",
        "Equation (8.8): the mean over images and places of max(0, 1 - d(x)) + max(0, 1 + d(x_hat)), x_hat being cut "
        "off from the graph before the critic sees it.",
        "d_real = critic(x)\nd_made = critic(x_hat.SOMETHING())\nreturn F.relu(1 - d_real).mean() + SOMETHING",
    ),
    check=_teaches(_critic_probes, _weights_and_picture, (CERTAIN, _certain_probes), _mode_kept),
    wrong=wrong_answers(
        "the gradient reaches x_hat, and through it whoever painted it: that one would learn to be caught; use "
        "x_hat.detach()",
        ("x_hat.detach()", "x_hat"),
        "its values are right, but the critic learns nothing from x_hat: cut the picture off, not what is said of it",
        ("critic(x_hat.detach())", "critic(x_hat).detach()"),
        "its values are right, but the critic learns nothing from x: only x_hat is to be cut off",
        ("critic(x)", "critic(x).detach()"),
        "its values are right, but the critic learns nothing at all: only x_hat is to be cut off, not the loss",
        lambda critic, x, x_hat: critic_loss(critic, x, x_hat).detach(),
        "it is a number without a graph: return the tensor, so that the critic can learn from it",
        lambda critic, x, x_hat: critic_loss(critic, x, x_hat).item(),
        "detach_() cuts x_hat off in place: the VAE, which goes on with it, would learn nothing any more; detach() "
        "leaves it as it is",
        ("x_hat.detach()", "x_hat.detach_()"),
        "the signs have changed places, or x and x_hat have: so the critic would learn to take made pictures for real",
        ("1 - d_real", "1 + d_real", "1 + d_made", "1 - d_made"),
        "the hinge is missing: without max(0, ...) the critic can make this as low as it likes",
        ("F.relu(1 - d_real).mean() + F.relu(1 + d_made).mean()", "(1 - d_real).mean() + (1 + d_made).mean()"),
        "the hinge and its margin are missing: without max(0, 1 ...) the critic can make this as low as it likes",
        ("F.relu(1 - d_real).mean() + F.relu(1 + d_made).mean()", "d_made.mean() - d_real.mean()"),
        "the margin of 1 is missing: a critic that says 0 of everything would have nothing to learn",
        ("1 - d_real", "-d_real", "1 + d_made", "d_made"),
        "the logits go through a sigmoid first: the hinge takes them as they are",
        ("1 - d_real", "1 - d_real.sigmoid()", "1 + d_made", "1 + d_made.sigmoid()"),
        "the logits go through a tanh first: the hinge takes them as they are",
        ("1 - d_real", "1 - d_real.tanh()", "1 + d_made", "1 + d_made.tanh()"),
        "this is the loss with log sigmoid, of (8.7): the hinge, (8.8), stops where the critic is sure enough",
        lambda critic, x, x_hat: F.softplus(-critic(x)).mean() + F.softplus(critic(x_hat.detach())).mean(),
        "x_hat is cut to [0, 1] first: equation (8.8) asks for d(x_hat), whatever was painted; who calls this may cut",
        ("x_hat.detach()", "x_hat.detach().clamp(0, 1)"),
        "the hinge's corner is rounded off: it is max(0, 1 - d), which is 0 from d = 1 on",
        ("F.relu(1 - d_real)", "F.softplus(1 - d_real)", "F.relu(1 + d_made)", "F.softplus(1 + d_made)"),
        "the hinge is squared: it grows in proportion to what is missing",
        ("d_real).mean()", "d_real).square().mean()", "d_made).mean()", "d_made).square().mean()"),
        "it is a sum: images and places are averaged, or a larger picture would count for more",
        ("d_real).mean()", "d_real).sum()", "d_made).mean()", "d_made).sum()"),
        "it adds up the places: they are averaged, as the images are",
        ("d_real).mean()", "d_real).sum() / len(x)", "d_made).mean()", "d_made).sum() / len(x)"),
        "it gives a number for each image: a scalar is asked for, so average over the images too",
        (
            "d_real).mean()",
            "d_real.reshape(len(x), -1)).mean(1)",
            "d_made).mean()",
            "d_made.reshape(len(x), -1)).mean(1)",
        ),
        "it gives a number for each place: a scalar is asked for, so average over images and places",
        ("d_real).mean()", "d_real)", "d_made).mean()", "d_made)"),
        "it is halved: the two terms are added, not averaged",
        lambda critic, x, x_hat: critic_loss(critic, x, x_hat) / 2,
        "the logits are averaged before the hinge: each place has to be sure, not their mean",
        ("d_real).mean()", "d_real.mean())", "d_made).mean()", "d_made.mean())"),
        "the made pictures are missing: a critic that takes everything for real would be right",
        (" + F.relu(1 + d_made).mean()", ""),
        "the real pictures are missing: a critic that takes nothing for real would be right",
        ("F.relu(1 - d_real).mean() + ", ""),
        "one term is subtracted from the other: both are losses, and both are to be low",
        ("mean() + F", "mean() - F"),
        "its sign is flipped: it is a loss, and the critic lowers it",
        ("return F.relu(1 - d_real).mean() + F", "return -F.relu(1 - d_real).mean() - F"),
        "the critic is left frozen: it can learn nothing from its loss any more",
        _afterwards(critic_loss, lambda critic, loss: critic.requires_grad_(False)),
        "it clears the critic's gradients, or adds to them by a backward() of its own: the training loop does both",
        _afterwards(critic_loss, lambda critic, loss: critic.zero_grad()),
    ),
)


def best_logit(x, real, made):
    """The best critic's logit at x, of which sigmoid makes the probability that x is real: (N, ...) -> (N,)."""
    return real.log_prob(x) - made.log_prob(x)  # eq. (8.7)


def _two_humps(dtype: torch.dtype = torch.float32) -> Distribution:
    means = torch.tensor([-1.5, 1.0], dtype=dtype)
    return MixtureSameFamily(Categorical(torch.tensor([0.4, 0.6], dtype=dtype)), Normal(means, 0.6 + 0 * means))


def _planar(seed: int) -> Distribution:
    root = _randn(seed, 2, 2)
    return MultivariateNormal(0.5 * _randn(seed + 1, 2), torch.eye(2) + 0.5 * root @ root.mT)


def _logit_probes():
    """Two humps against one, in both precisions; one x; points of a plane, and a grid of them."""
    one, double = Normal(torch.tensor(0.2), torch.tensor(1.7)), {"dtype": torch.float64}
    wide = Normal(torch.tensor(0.3, **double), torch.tensor(1.4, **double))
    square = Independent(Normal(torch.tensor([0.3, -0.2]), torch.tensor([1.5, 0.8])), 1)
    return [
        (1.5 * _randn(1, 7), _two_humps(), one),
        (1.5 * _randn(2, 5, **double), wide, _two_humps(torch.float64)),
        (_randn(3, 1), one, Normal(torch.tensor(-0.4), torch.tensor(0.9))),
        (_randn(4, 6, 2), _planar(5), square),
        (_randn(7, 3, 4, 2), square, _planar(8)),
    ]


def _far_out_probes():
    """Where both densities are too small for a float, and where one of the two never occurs: the logit is infinite."""
    sharp, wide = Normal(torch.tensor(0.5), torch.tensor(0.6)), Normal(torch.tensor(0.2), torch.tensor(1.7))
    far, unit = torch.tensor([-60.0, -30.0, 25.0, 90.0]), Uniform(0.0, 1.0, validate_args=False)
    at = torch.tensor([-0.5, 0.4, 1.5])
    return [(far, _two_humps(), wide), (far, wide, sharp), (at, unit, wide), (at, wide, unit)]


FAR_OUT = (
    "it is right only near the middle of the two: far out both densities become 0 in a float, or a sigmoid becomes 0 "
    "or 1, and an epsilon or a clamp takes over; stay in logs throughout, and leave an infinite logit infinite"
)


def _left_alone(function: Callable) -> Callable:
    """The same function, refused where it changes one of the two distributions."""

    @functools.wraps(function)
    def call(x: torch.Tensor, real: Distribution, made: Distribution) -> Any:
        at = x.detach().clone()
        before = [p.log_prob(at) for p in (real, made)]
        logit = function(x, real, made)
        if not all(torch.equal(old, p.log_prob(at)) for old, p in zip(before, (real, made), strict=True)):
            raise Misconception("it changes one of the distributions that it was given: whoever passed it finds it so")
        return logit

    return call


BEST_LOGIT = Exercise(
    id="08.3",
    title="The best critic there is",
    reference=best_logit,
    hints=(
        "At one x the loss depends on d(x) alone, and on how often x comes as a real and as a made picture. Which "
        "d(x) makes it least?",
        "sigmoid(d) = p / (p + q), p being the density of real pictures at x and q that of made ones. Solve for d: it "
        "is the log of p / q, eq. (8.7).",
        "log_p = SOMETHING.log_prob(x)\nlog_q = SOMETHING.log_prob(x)\nreturn SOMETHING",
    ),
    check=compares(_logit_probes, canonical=_left_alone, harder=[(FAR_OUT, _far_out_probes)]),
    wrong=wrong_answers(
        "its sign is flipped: the logit is to be large where real pictures are likelier",
        lambda x, real, made: best_logit(x, made, real),
        "it is the probability that x is real: the logit is asked for, of which the sigmoid makes that probability",
        lambda x, real, made: best_logit(x, real, made).sigmoid(),
        "it is the log of the probability that x is real, log sigmoid(d): the logit d itself is asked for",
        lambda x, real, made: F.logsigmoid(best_logit(x, real, made)),
        "it is the probability that x is made: the logit is asked for, and a large one says real",
        lambda x, real, made: best_logit(x, made, real).sigmoid(),
        "it is the ratio of the densities: the logit is the log of that",
        lambda x, real, made: best_logit(x, real, made).exp(),
        "it is the difference of the densities: subtract their logs",
        ("real.log_prob(x) - made.log_prob(x)", "real.log_prob(x).exp() - made.log_prob(x).exp()"),
        "real pictures are compared with an even mixture of both, as a Jensen-Shannon divergence has it: the logit "
        "compares them with the made ones",
        lambda x, real, made: F.logsigmoid(best_logit(x, real, made)) + math.log(2),
        "it says how likely x is as a real picture: how likely it is as a made one counts too",
        (" - made.log_prob(x)", ""),
        "it says how unlikely x is as a made picture: how likely it is as a real one counts too",
        ("real.log_prob(x) - made", "-made"),
        "the logs are added: the critic weighs the one against the other",
        ("(x) - made", "(x) + made"),
        "the logs are divided by each other: the log of a ratio is their difference",
        ("(x) - made", "(x) / made"),
        "it lies between -1 and 1, twice the probability minus one: a logit knows no bounds",
        lambda x, real, made: (best_logit(x, real, made) / 2).tanh(),
        "it is the sign of the logit, which is what the hinge's best critic says: with log sigmoid it also says how "
        "sure it is",
        lambda x, real, made: best_logit(x, real, made).sign(),
        "it is the loss that the best critic has at x: its logit is asked for",
        lambda x, real, made: F.softplus(-best_logit(x, real, made)) + F.softplus(best_logit(x, real, made)),
        "it is half the logit: that is a tanh's argument, and a sigmoid has no half",
        lambda x, real, made: best_logit(x, real, made) / 2,
        "it averages over x, which makes it an estimate of a KL: give a number for each x",
        lambda x, real, made: best_logit(x, real, made).mean(),
        "it adds up over x: give a number for each x",
        lambda x, real, made: best_logit(x, real, made).sum(),
        "the logarithm is the one to base 10: a sigmoid wants natural ones",
        lambda x, real, made: best_logit(x, real, made) / math.log(10),
        "the logarithm is the one to base 2: a sigmoid wants natural ones",
        lambda x, real, made: best_logit(x, real, made) / math.log(2),
        "it asks Gaussians of the same mean and width: the distributions may have any shape, so ask themselves",
        lambda x, real, made: (
            Normal(real.mean, real.stddev).log_prob(x) - Normal(made.mean, made.stddev).log_prob(x)
            if not real.event_shape
            else best_logit(x, *(Independent(Normal(p.mean, p.stddev), 1) for p in (real, made)))
        ),
    ),
)


def disbelief(critic, x_hat):
    """-d(x_hat), averaged over images and places, with a gradient at x_hat: (N, C, H, W) -> a scalar."""
    return -critic(x_hat).mean()


def _disbelief_probes():
    """Made pictures, some numbers of the first just outside [0, 1]."""
    outside = 1.2 * _painted(1, 3, 3, 12, 8) - 0.1
    return [
        (_patch_critic(0), outside),
        (_dense_critic(3), _rand(5, 5, 1, 3, 3, dtype=torch.float64).requires_grad_()),
        (_patch_critic(6), _painted(8, 1, 3, 8, 12)),
    ]


def _certain_disbelief_probes():
    return [(_patch_critic(9, scale=6e3), _painted(11, 2, 3, 8, 8))]


DISBELIEF = Exercise(
    id="08.5",
    title="What the painter learns from",
    reference=disbelief,
    hints=(
        "The VAE wants the critic to say what of its pictures? And through what does the gradient have to pass?",
        "The mean over images and places of -d(x_hat), with nothing cut off.",
        "d = critic(SOMETHING)  # (N, ...), a logit for each place\nreturn SOMETHING d.SOMETHING()",
    ),
    check=_teaches(
        _disbelief_probes,
        lambda critic, x_hat: {"x_hat": x_hat},
        (CERTAIN, _certain_disbelief_probes),
        _mode_kept,
    ),
    wrong=wrong_answers(
        "its values are right, but no gradient reaches x_hat: here the painter learns, so nothing is to be cut off",
        ("critic(x_hat)", "critic(x_hat.detach())"),
        "it is a number without a graph: return the tensor, so that the painter can learn from it",
        (".mean()", ".mean().item()"),
        "detach_() cuts x_hat off in place: here the gradient has to reach it, so leave it as it is",
        ("critic(x_hat)", "critic(x_hat.detach_())"),
        "its sign is flipped: the VAE would learn to paint what the critic sees through",
        ("-critic", "critic"),
        "it is 1 - d(x_hat): a constant more teaches nothing, but it moves the number; -d(x_hat) alone is asked for",
        ("-critic(x_hat)", "(1 - critic(x_hat))"),
        "it is hinged, max(0, 1 - d): the VAE has to go on where the critic is fooled already, for the critic goes on",
        ("-critic(x_hat)", "F.relu(1 - critic(x_hat))"),
        "it is hinged, max(0, -d): the VAE has to go on where the critic is fooled already, for the critic goes on",
        ("-critic(x_hat)", "F.relu(-critic(x_hat))"),
        "it is the critic's own loss on made pictures: the VAE wants the opposite",
        ("-critic(x_hat)", "F.relu(1 + critic(x_hat))"),
        "it is minus the critic's loss: where the critic is sure, its hinge has no slope, and the VAE needs one there",
        ("-critic(x_hat)", "-F.relu(1 + critic(x_hat))"),
        "it is -log sigmoid(d), what goes with the other loss: beside a hinge critic the VAE lowers -d",
        ("-critic(x_hat)", "F.softplus(-critic(x_hat))"),
        "the logits go through a sigmoid: where the critic is sure, it would have no slope",
        ("critic(x_hat)", "critic(x_hat).sigmoid()"),
        "the logits go through a tanh: where the critic is sure, it would have no slope",
        ("critic(x_hat)", "critic(x_hat).tanh()"),
        "the probability of being made is taken, sigmoid(-d): where the critic is sure, it has no slope",
        ("-critic(x_hat)", "(-critic(x_hat)).sigmoid()"),
        "it is a sum: images and places are averaged, or a larger picture would count for more",
        (".mean()", ".sum()"),
        "it adds up the places: they are averaged, as the images are",
        (".mean()", ".sum() / len(x_hat)"),
        "it gives a number for each image: a scalar is asked for, so average over the images too",
        (".mean()", ".reshape(len(x_hat), -1).mean(1)"),
        "it gives a number for each place: a scalar is asked for, so average over images and places",
        (".mean()", ""),
        "x_hat is cut to [0, 1] first: what lies outside gets no gradient then, and stays there",
        ("critic(x_hat)", "critic(x_hat.clamp(0, 1))"),
        "the critic is left frozen: it could not learn afterwards; the VAE's optimizer moves the VAE alone anyway",
        _afterwards(disbelief, lambda critic, loss: critic.requires_grad_(False)),
        "it clears the critic's gradients, or adds to them by a backward() of its own: the training loop does both",
        _afterwards(disbelief, lambda critic, loss: critic.zero_grad()),
        "it calls backward() itself and leaves gradients in the critic: return the loss, and the training loop does it",
        _afterwards(disbelief, lambda critic, loss: loss.backward(retain_graph=True)),
    ),
)


def decibels_of_a_draw():
    """By how many decibels the PSNR falls when the mean squared error doubles."""
    return 10 * math.log10(2)


DECIBELS = Exercise(
    id="08.6",
    title="The price of a draw",
    reference=decibels_of_a_draw,
    hints=(
        "A factor of the mean squared error is a number of decibels. Of which factor does section 7 speak?",
        "PSNR = 10 log10(1 / mse), pixels lying in [0, 1]: the PSNRs of two mean squared errors differ by ten times "
        "the log10 of their ratio.",
        "ratio = SOMETHING  # of the mean squared errors\n10 * math.log10(ratio)",
    ),
    check=close_to(tolerance=0.0124),  # of 1 + 3.01: within 0.05
    wrong=wrong_answers(
        "its sign is flipped: it asks by how much the PSNR falls, a positive number",
        -10 * math.log10(2),
        "that is the factor of the mean squared error: decibels are ten times its log10",
        2,
        "that is the factor of the mean squared error upside down: decibels are ten times its log10",
        0.5,
        "that would double the amplitude of the error, and so make its square four times as large: the mean square "
        "doubles",
        20 * math.log10(2),
        "that takes the root first, as if the PSNR were made of root mean squared errors: ten goes with the square",
        5 * math.log10(2),
        "that is the factor of the root mean squared error: decibels are ten times the log10 of the mean square's",
        math.sqrt(2),
        "the ten is missing: these are bels",
        math.log10(2),
        "that takes the natural logarithm: decibels are made with log10",
        10 * math.log(2),
        "that is the natural logarithm of the factor: decibels are ten times its log10",
        math.log(2),
        "that takes the logarithm to base 2: decibels are made with log10",
        10,
        "that is the logarithm of the factor to base 2: decibels are ten times its log10",
        1,
        "that is for four times the amplitude: the mean square doubles, no more",
        40 * math.log10(2),
        "it does fall: the noise of a draw comes on top of what the mean cannot know",
        0,
    ),
    kind="value",
)


EXERCISES = (PRICE_OF_BLUR, FEATURE_NATS, BEST_LOGIT, CRITIC_LOSS, DISBELIEF, DECIBELS)
