"""The exercises of notebook 04: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal

from vae_helpers.distributions import GaussianLikelihood, kl_to_standard_normal
from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers
from vae_helpers.exercises.isolation import seeded
from vae_helpers.models.vae import VAE


def _randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))  # float32, as in the notebook


def conv_cost(c_in, c_out, kernel, size, stride, padding):
    """Of nn.Conv2d on one (c_in, size, size) image: (size of the output, parameters, multiplications), all int."""
    size_out = (size + 2 * padding - kernel) // stride + 1  # eq. (4.1)
    parameters = c_out * (c_in * kernel**2 + 1)  # eq. (4.2), the 1 is the bias
    multiplications = c_out * c_in * kernel**2 * size_out**2  # the same weights at every position
    return size_out, parameters, multiplications


def _conv_probes():
    """(c_in, c_out, kernel, size, stride, padding): the division leaves a remainder in the third and the last."""
    return [(3, 8, 3, 9, 2, 1), (1, 4, 5, 28, 1, 0), (16, 32, 4, 15, 2, 1), (2, 3, 3, 10, 1, 1), (5, 7, 5, 12, 3, 2)]


CONV_COST = Exercise(
    id="04.1",
    title="What a convolution costs",
    reference=conv_cost,
    hints=(
        "Slide a kernel along one row of the padded image and count where it can sit. Then ask what one output "
        "channel has to look at, and what it does anew at each position and what not.",
        "Equation (4.1): size_out = floor((size + 2 padding - kernel) / stride) + 1. Equation (4.2): parameters = "
        "c_out (c_in kernel^2 + 1). Every weight, but no bias, multiplies once at each of size_out^2 positions.",
        "size_out = (size + SOMETHING - kernel) // stride + 1\n"
        "weights = c_out * SOMETHING * kernel**2\n"
        "return size_out, weights + BIASES, weights * POSITIONS",
    ),
    check=compares(_conv_probes, tolerance=1e-9),
    wrong=wrong_answers(
        "the padding is counted on one side only: the image grows on the left and on the right",
        ("2 * padding", "padding"),
        "the size of the output is one too small: a kernel as large as the padded image still has one place to sit",
        ("stride + 1", "stride"),
        "the stride is ignored: the kernel does not stop at every position, it jumps by the stride",
        ("// stride ", ""),
        "the size of the output is not a whole number: a last jump that does not fit is not made, so round down",
        ("//", "/"),
        "the size of the output is rounded up: a kernel that would reach over the padded edge does not count",
        ("(size + 2 * padding - kernel) // stride", "-((kernel - size - 2 * padding) // stride)"),
        "the 1 is added before the division by the stride: the first position is there whatever the stride is",
        ("kernel) // stride + 1", "kernel + 1) // stride"),
        "it takes the size divided by the stride: that holds only when the padding just makes up for the kernel",
        ("(size + 2 * padding - kernel) // stride + 1", "size // stride"),
        "the kernel is missing in the size of the output: without padding, a wide kernel has fewer places to sit",
        (" - kernel", ""),
        "the biases are missing among the parameters: each output channel has one",
        ("kernel**2 + 1", "kernel**2"),
        "the input channels are missing among the parameters: a kernel looks at all of them, with weights for each",
        ("(c_in * ", "("),
        "it counts a bias for each pair of an input and an output channel: the bias is added once, after the sum over "
        "the input channels",
        ("(c_in * ", "c_in * ("),
        "it counts a single bias for the whole layer: the output channels do not share one",
        ("(c_in * kernel**2 + 1)", "c_in * kernel**2 + 1"),
        "it counts the parameters anew at each position: a convolution shares them, and that is why it has so few",
        ("kernel**2 + 1)", "kernel**2 + 1) * size_out**2"),
        "the kernel is a square of weights, and it is counted as a line: its side enters twice",
        ("kernel**2 + 1", "kernel + 1", "kernel**2 *", "kernel *"),
        "the multiplications are counted at every pixel of the input: the kernel is applied once for each pixel of "
        "the output",
        ("size_out**2", "size**2"),
        "the input channels are missing among the multiplications: each of them has weights of its own",
        ("c_out * c_in", "c_out"),
        "the multiplications are counted along one row of the output: the output is a square of positions",
        ("size_out**2", "size_out"),
        "the biases are counted among the multiplications: they are added",
        ("c_in * kernel**2 * size_out", "(c_in * kernel**2 + 1) * size_out"),
        "the additions are counted too, as in FLOPs: multiplications alone are asked for",
        ("c_out * c_in", "2 * c_out * c_in"),
    ),
)


def gaussian_nll(x, mean, sigma):
    """-log N(x; mean, sigma^2 I) of each image in nats: (N, C, H, W), (N, C, H, W), a number sigma -> (N,)."""
    log_sigma = torch.log(torch.as_tensor(sigma))
    each = 0.5 * ((x - mean) / sigma).square() + log_sigma + 0.5 * math.log(2 * math.pi)  # (N, C, H, W), eq. (4.4)
    return each.flatten(1).sum(1)


def _far_probes():
    """As in the notebook's figure: sigma a five-hundredth of white, and errors up to white."""
    return [(_randn(5, 2, 3, 4, 4).sigmoid(), _randn(6, 2, 3, 4, 4).sigmoid(), 0.002)]


UNDERFLOW = (
    "it is right only near the mean: many sigmas away the density is too small for float32 and becomes 0, with "
    "infinite nats, or an epsilon or a clamp takes over; write the log out, as in the equation, and never the density"
)

GAUSSIAN_NLL = Exercise(
    id="04.2",
    title="The Gaussian likelihood of an image",
    reference=gaussian_nll,
    hints=(
        "First the negative log-density of a single pixel: it has three terms, and every pixel has all three. "
        "Then ask what independent pixels do to a log-density.",
        "Equation (4.4): sum over channels and pixels of (x - mean)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2.",
        "each = 0.5 * ((x - mean) / SOMETHING).square() + math.log(sigma) + CONSTANT  # (N, C, H, W)\n"
        "return each.flatten(1).SOMETHING(1)",
    ),
    check=compares(
        lambda: [
            (0.2 * _randn(1, 3, 2, 4, 5), 0.2 * _randn(2, 3, 2, 4, 5), 0.3),
            (_randn(3, 4, 1, 3, 3), _randn(4, 4, 1, 3, 3), 1.7),
        ],
        gradients=("mean",),
        harder=[(UNDERFLOW, _far_probes)],
    ),
    wrong=wrong_answers(
        "it averages over the pixels: independent pixels multiply their densities, so their logs add up; a mean "
        "weighs the likelihood down against the KL, a beta that nobody chose",
        ("sum(1)", "mean(1)"),
        "log sigma is missing: without it nothing keeps a learned sigma from growing for ever",
        (" + log_sigma", ""),
        "the squared error lacks its one half",
        ("each = 0.5 * ", "each = "),
        "it divides the squared error by sigma: a squared distance is measured in units of the variance",
        ("((x - mean) / sigma).square()", "(x - mean).square() / sigma"),
        "it reads sigma as the variance: it is the standard deviation, in both places where it stands",
        ("((x - mean) / sigma).square() + log_sigma", "(x - mean).square() / sigma + 0.5 * log_sigma"),
        "log sigma is halved: one half belongs to the log of the variance",
        ("+ log_sigma", "+ 0.5 * log_sigma"),
        "it adds the log of the variance without its one half: the normaliser divides by sigma, not by sigma^2",
        ("+ log_sigma", "+ 2 * log_sigma"),
        "the constant log(2 pi) of the normaliser is missing: training would not notice, but the nats it reports are "
        "not those of a density",
        (" + 0.5 * math.log(2 * math.pi)", ""),
        "the constant log(2 pi) lacks its one half: the normaliser holds the root of 2 pi",
        ("0.5 * math", "math"),
        "its sign is flipped: this is the log-density; a loss has to rise as x moves away from the mean",
        ("return each", "return -each"),
        "log sigma enters with the wrong sign: a wide Gaussian is a low one, and low densities cost nats",
        ("+ log_sigma", "- log_sigma"),
        "the normaliser is counted once for each image: every pixel is a Gaussian with a normaliser of its own",
        (
            " + log_sigma + 0.5 * math.log(2 * math.pi)",
            "",
            ".sum(1)",
            ".sum(1) + log_sigma + 0.5 * math.log(2 * math.pi)",
        ),
        "log sigma is counted once for each image: it belongs to every pixel, like the constant beside it",
        (" + log_sigma", "", ".sum(1)", ".sum(1) + log_sigma"),
        "it sums over the images too: keep one number for each image, shape (N,)",
        ("flatten(1).sum(1)", "sum()"),
        "it keeps the channels apart: sum over them as well as over rows and columns",
        ("flatten(1).sum(1)", "sum((2, 3))"),
        "it gives a value for each pixel: the density of a whole image is asked for, so sum within each image",
        (".flatten(1).sum(1)", ""),
        "this is the summed squared error: sigma does not occur in it, so it says how far but not how likely",
        lambda x, mean, sigma: (x - mean).square().flatten(1).sum(1),
        "this is half the squared error: it silently sets sigma to one and leaves out the normaliser",
        lambda x, mean, sigma: 0.5 * (x - mean).square().flatten(1).sum(1),
        "torch.log wants a tensor, and sigma comes as a plain number: take the log with math, or make a tensor of it",
        ("torch.as_tensor(sigma)", "sigma"),
        UNDERFLOW,
        lambda x, mean, sigma: -Normal(mean, sigma).log_prob(x).exp().log().flatten(1).sum(1),
    ),
)


def best_sigma(x, x_hat):
    """The sigma under which x is most likely, given the means x_hat: (N, C, H, W) twice -> a tensor of shape ()."""
    return (x - x_hat).square().mean().sqrt()  # eq. (4.6)


def _sigma_probes():
    """Images with errors of different sizes, and a mean error that is not zero."""
    x, y = _randn(1, 4, 2, 3, 3), _randn(3, 3, 1, 2, 5)
    scale = torch.tensor([0.1, 0.5, 1.0, 3.0]).reshape(4, 1, 1, 1)
    return [(x, x + scale * (_randn(2, 4, 2, 3, 3) + 0.4)), (y, 0.3 * y + 0.2 * _randn(4, 3, 1, 2, 5) - 0.5)]


def _exact_probes():
    """Errors of a ten-millionth of white."""
    return [(1e-7 * _randn(5, 2, 3, 4, 4), torch.zeros(2, 3, 4, 4))]


def _in_units(function: Callable) -> Callable:
    """The same function, but where all errors are tiny its result is a multiple of the largest."""

    @functools.wraps(function)
    def call(x: torch.Tensor, x_hat: torch.Tensor) -> Any:
        sigma, largest = function(x, x_hat), (x - x_hat).abs().max()
        return sigma / largest if largest < 1e-5 else sigma

    return call


NO_FLOOR = (
    "something small is added, or keeps the result from becoming small: a model whose means are exact has sigma 0, and "
    "one that is nearly exact a sigma as small as its errors; equation (4.6) needs no epsilon and no clamp"
)

BEST_SIGMA = Exercise(
    id="04.3",
    title="The sigma that maximises the likelihood",
    reference=best_sigma,
    hints=(
        "A small sigma makes the squared errors expensive, a large one makes log sigma expensive. Where does the "
        "derivative by sigma vanish?",
        "Equation (4.6): sigma^2 is the mean of (x - x_hat)^2 over all images, channels and pixels.",
        "variance = (x - x_hat).square().SOMETHING()\nreturn variance.SOMETHING()",
    ),
    check=compares(_sigma_probes, canonical=_in_units, harder=[(NO_FLOOR, _exact_probes)]),
    wrong=wrong_answers(
        "that is the variance: sigma has the unit of a pixel, so its square root is still to be taken",
        (".sqrt()", ""),
        "it sums where it should average: sigma would grow with every pixel and every image that is added",
        ("mean()", "sum()"),
        "it sums over the pixels and averages over the images only: this is the length of an error, and sigma is the "
        "error of one pixel",
        ("mean()", "flatten(1).sum(1).mean()"),
        "it averages the roots of the images: one sigma serves all images, so average first and take one root",
        ("mean().sqrt()", "flatten(1).mean(1).sqrt().mean()"),
        "this is the mean absolute error: it is the best scale of a Laplace distribution, and a Gaussian squares",
        ("square().mean().sqrt()", "abs().mean()"),
        "std() takes the mean error away first (and divides by one less): the likelihood measures distances from "
        "x_hat, so a constant error counts in full",
        ("square().mean().sqrt()", "std()"),
        "it takes the mean error away before it squares: the centre of the Gaussian is x_hat, whether that is right "
        "on average or not",
        ("square().mean().sqrt()", "std(correction=0)"),
        "it gives a sigma for each image: one number for all images, channels and pixels is asked for",
        ("mean()", "flatten(1).mean(1)"),
        "it gives a sigma for each pixel: that is a richer model; here one number serves them all",
        ("mean()", "mean(0)"),
        "a one half has stayed in: set the derivative of the whole likelihood to zero, log sigma included",
        ("mean()", "mean().div(2)"),
        "this is the spread of the images themselves: sigma measures what the reconstruction misses",
        lambda x, x_hat: x.std() + 0 * x_hat.sum(),
        "that is one over the answer: a large error asks for a large sigma, for a small precision",
        ("sqrt", "rsqrt"),
        NO_FLOOR,
        (".mean()", ".mean().add(1e-8)"),
    ),
)


def active_units(mu, threshold=0.01):
    """How many latents have a variance of the posterior means mu (N, D), over the N images, above the threshold."""
    variances = mu.var(0, correction=0)  # (D,), over the images
    return int((variances > threshold).sum())  # eq. (4.9)


def _unit_probes():
    """Codes whose variances are far from the threshold, so that dividing by N - 1 counts the same dimensions.

    In the last there are more latents than the notebook's models have, most of them constant, and nothing is rounded.
    """

    def codes(seed, n, std, mean):
        raw = _randn(seed, n, len(std))
        raw = (raw - raw.mean(0)) / raw.std(0, correction=0)
        return raw * torch.tensor(std) + torch.tensor(mean)

    first = codes(1, 40, (1.0, 0.5, 0.12, 0.05, 0.03, 0.02, 0.001, 0.001), (0, 0.5, 0, 1, 0, 0, 2, 0.3))
    second = codes(2, 12, (2.0, 0.6, 0.6, 0.05, 0.3), (0, 0, 0, 1.5, 0.2))
    third = codes(3, 30, (1.2, 0.9, 0.02), (0.05, 0, 0.05))
    still = torch.tensor([[0.5, -2.0, 0.0], [0.5, -2.0, 1.0]]).repeat(4, 20)
    return [(first,), (second, 0.2), (third,), (third, 1.0), (still, 0.0)]


ACTIVE_UNITS = Exercise(
    id="04.4",
    title="How many latent dimensions are in use",
    reference=active_units,
    hints=(
        "A dimension that is in use tells images apart. What do its posterior means do from image to image?",
        "Equation (4.9): the number of dimensions d with Var_n[mu_nd] > threshold, the variance over the images.",
        "variances = mu.var(SOMETHING)  # (D,)\nreturn (variances > SOMETHING).SOMETHING()",
    ),
    check=compares(_unit_probes),
    wrong=wrong_answers(
        "it compares the standard deviation with the threshold, which is meant for the variance",
        ("mu.var", "mu.std"),
        "it takes the variance over the latents and counts images: a unit is active if it differs from image to image",
        ("var(0, correction=0)", "var(1)"),
        "it looks at the mean of the codes: a unit that says the same about every image says nothing, however large",
        ("var(0, correction=0)", "mean(0).abs()"),
        "it takes the mean square around zero: a unit that sits still away from zero is not active, so centre first",
        ("var(0, correction=0)", "square().mean(0)"),
        "it counts the units that are not active: those above the threshold are asked for",
        (">", "<"),
        "it gives the fraction of the units that are active: their number is asked for",
        ("int((variances > threshold).sum())", "(variances > threshold).float().mean()"),
        "it says of each unit whether it is active: count how many are",
        ("int((variances > threshold).sum())", "variances > threshold"),
        "it returns the sum of the variances: each of them has to be compared with the threshold, then counted",
        ("int((variances > threshold).sum())", "variances.sum()"),
        "it takes one variance of all the codes together: each latent dimension has its own, over the images",
        ("var(0, correction=0)", "var()"),
        "it counts single codes above the threshold: take the variance of each dimension first",
        ("var(0, correction=0)", "abs()"),
        "it compares with 0.01 whatever threshold it is given: use the argument",
        ("> threshold", "> 0.01"),
    ),
)


def aggregate_moments(mu, log_var):
    """Mean and covariance of q(z) = (1/N) sum_n N(z; mu_n, diag(exp(log_var_n))): (N, D), (N, D) -> (D,), (D, D)."""
    mean = mu.mean(0)  # (D,)
    of_means = (mu - mean).T @ (mu - mean) / len(mu)  # (D, D)
    return mean, of_means + torch.diag(log_var.exp().mean(0))  # eq. (4.12)


def _moment_probes():
    """In the second, log-variances reach far: from -8.6 to 6.3."""
    mixing = torch.tensor([[1.0, 0.8, 0.0], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    far = torch.tensor([[-8.6, 0.4], [-7.0, 6.3], [-6.5, 1.0], [-8.0, -5.5], [-7.7, 2.0]])
    return [(_randn(1, 7, 3) @ mixing + 0.7, _randn(2, 7, 3) - 1), (0.1 * _randn(3, 5, 2) - 1, far)]


AGGREGATE_MOMENTS = Exercise(
    id="04.5",
    title="The moments of the aggregate posterior",
    reference=aggregate_moments,
    hints=(
        "To draw from q(z), choose an image at random, then draw from its posterior. Two things vary: which image "
        "it is, and where in its cloud the draw lies.",
        "Equation (4.12), the law of total covariance: (1/N) sum_n (mu_n - mean)(mu_n - mean)^T + the diagonal "
        "matrix of (1/N) sum_n exp(log_var_n).",
        "centred = mu - mu.mean(0)  # (N, D)\n"
        "of_means = centred.T @ SOMETHING / len(mu)  # (D, D)\n"
        "return mu.mean(0), of_means + torch.diag(SOMETHING)",
    ),
    check=compares(_moment_probes),
    wrong=wrong_answers(
        "the covariance is that of the means alone: each image's posterior is a cloud, not a point, and its own width "
        "counts",
        (" + torch.diag(log_var.exp().mean(0))", ""),
        "the covariance is the average width alone: the clouds also lie in different places, so their means spread",
        ("of_means + ", ""),
        "the covariances are dropped: each posterior is diagonal, yet a mixture of them is not, as their means may "
        "vary together",
        ("mean, of_means", "mean, of_means.diag().diag()"),
        "the second part holds one variance for each dimension: a covariance matrix, shape (D, D), is asked for",
        ("of_means + torch.diag(log_var.exp().mean(0))", "of_means.diag() + log_var.exp().mean(0)"),
        "it adds log_var itself: a log may be negative, a variance never is",
        (".exp()", ""),
        "it takes the exponential of the mean of log_var: variances are averaged, not their logs",
        ("exp().mean(0)", "mean(0).exp()"),
        "it adds standard deviations: exp(log_var / 2) is not the variance, and only variances add up",
        ("log_var.exp()", "(0.5 * log_var).exp()"),
        "it reads log_var as the log of a standard deviation: exp(log_var) is already the variance",
        ("log_var.exp()", "(2 * log_var).exp()"),
        "it averages over the latents: both parts describe the images, where D numbers and a D by D matrix are asked "
        "for",
        lambda mu, log_var: aggregate_moments(mu.T, log_var.T),
        "its covariance is one between images, N by N: torch.cov takes rows as variables, and yours stand in columns",
        ("of_means + ", "torch.cov(mu) + "),
        "the covariance of the means is divided by N - 1: q(z) is an exact mixture over these N images, nothing is "
        "estimated from a sample, so divide by N",
        ("/ len(mu)", "/ (len(mu) - 1)"),
        "the covariance of the means is a sum over the images: every image has the weight 1/N in the mixture",
        (" / len(mu)", ""),
        "the variances are summed over the images: every image has the weight 1/N in the mixture",
        ("exp().mean(0)", "exp().sum(0)"),
        "this is the second moment around zero: a covariance is measured from the mean of q(z)",
        ("(mu - mean).T @ (mu - mean)", "mu.T @ mu"),
        "the variances are added to every entry of the matrix: noise that is independent in each dimension belongs on "
        "the diagonal",
        ("torch.diag(log_var.exp().mean(0))", "log_var.exp().mean(0)"),
        "log_var is clamped: a dimension that the posterior knows well has a log-variance far below",
        ("log_var.exp()", "log_var.clamp(-5, 5).exp()"),
        "this is the covariance of the average of N draws, one from each image: a draw from a mixture comes from one "
        "image, chosen at random",
        ("of_means + ", "1 / len(mu) * "),
    ),
)


def free_bits(kl, floor):
    """The KL term with free bits: kl (N, D) in nats of each image and dimension, a number floor -> shape ()."""
    return kl.mean(0).clamp(min=floor).sum()  # eq. (4.16)


def _bits_probes():
    """In two, some dimensions lie far above the floor and others below; even their sum below it; all near it."""
    first = _randn(1, 6, 4).square() * torch.tensor([2.0, 0.3, 1.0, 0.05])
    second = _randn(2, 4, 3).square() * torch.tensor([0.1, 30.0, 1.0])
    collapsed = 0.05 * _randn(3, 5, 2).square()
    return [(first, 0.5), (second, 1.2), (collapsed, 0.3), (0.31 + 0.01 * _randn(4, 6, 3), 0.31)]


FREE_BITS = Exercise(
    id="04.6",
    title="Free bits",
    reference=free_bits,
    hints=(
        "Three operations: over images, over dimensions, and the comparison. Their order is the whole exercise.",
        "Equation (4.16): sum over d of max( mean over the images of kl_nd, floor ).",
        "each = kl.SOMETHING(0)  # (D,)\nreturn each.clamp(SOMETHING=floor).SOMETHING()",
    ),
    check=compares(_bits_probes, gradients=True),
    wrong=wrong_answers(
        "it applies the floor to each image before it averages: images that need few nats should be balanced by those "
        "that need many, so average first",
        ("mean(0).clamp(min=floor)", "clamp(min=floor).mean(0)"),
        "one floor is put under the total: one dimension could then use it all and the others be shut down; give each "
        "dimension its own",
        ("clamp(min=floor).sum()", "sum().clamp(min=floor)"),
        "the floors are added up and put under the total: a dimension that uses much then pays for those that "
        "collapse; compare dimension by dimension",
        ("clamp(min=floor).sum()", "sum().clamp(min=floor * kl.shape[1])"),
        "it takes the smaller of the two: that is a ceiling, and a KL above it would cost nothing more",
        ("min=", "max="),
        "the floor is added to each KL: a constant changes no gradient, and nothing would be free",
        ("clamp(min=floor)", "add(floor)"),
        "the floor is subtracted: its gradients are the right ones, but the loss counts only the nats above the floor",
        ("clamp(min=floor)", "sub(floor).clamp(min=0)"),
        "the floor is subtracted, and there is no maximum: a constant changes no gradient, and nothing would be free",
        ("clamp(min=floor)", "sub(floor)"),
        "dimensions below the floor are counted as zero: they cost the floor, and the loss must not jump there",
        lambda kl, floor: (kl.mean(0) * (kl.mean(0) > floor)).sum(),
        "it averages over the dimensions: the KL of independent dimensions is the sum of theirs",
        ("sum()", "mean()"),
        "it averages over the latents and sums over the images: images lie along the first dimension",
        ("mean(0)", "mean(1)"),
        "it sums over the images before it compares: the floor is meant for their mean, whatever the batch size is",
        ("mean(0)", "sum(0)"),
        "the floor does not occur in it: this is the plain KL term of the ELBO",
        (".clamp(min=floor)", ""),
        "it gives a value for each image: with free bits the images of a batch are averaged before the comparison",
        ("mean(0).clamp(min=floor).sum()", "clamp(min=floor).sum(1)"),
        "it gives a value for each dimension: sum over them",
        (".sum()", ""),
        "its value is right, but a dimension below the floor still gets a gradient: free nats are those that cost "
        "nothing, so nothing may push them down",
        lambda kl, floor: kl.mean(0).sum() + F.relu(floor - kl.mean(0)).sum().detach(),
        "torch.maximum wants two tensors, and floor comes as a plain number: clamp takes one",
        lambda kl, floor: torch.maximum(kl.mean(0), floor).sum(),
        "torch.max compares a tensor with a tensor, and floor comes as a plain number: clamp takes one",
        lambda kl, floor: torch.max(kl.mean(0), floor).sum(),
        "Python's max hands back the plain number where the floor wins: if that happens in every dimension, the loss "
        "is no tensor and backward() has nothing to start from; torch has comparisons that keep the tensor",
        lambda kl, floor: sum(max(nats, floor) for nats in kl.mean(0)),
    ),
)


def split_kl(mu, log_var, eps):
    """One draw z_n = mu_n + exp(log_var_n / 2) eps_n for each portrait, all three (N, D) -> (N,), (N,) in nats.

    First log q(z_n | x_n) - log q(z_n), what the code tells; then log q(z_n) - log p(z_n), the mismatch.
    """
    width = (0.5 * log_var).exp()
    z = mu + width * eps  # (N, D)
    log_p = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)  # (N,), the prior's
    far = torch.stack([((one - mu) / width).square() for one in z])  # (N, N, D): draw n from the middle of cloud k
    pairs = -0.5 * (far + log_var + math.log(2 * math.pi)).sum(2)  # (N, N): log q(z_n | x_k)
    log_q = pairs.logsumexp(1) - math.log(len(z))  # (N,), the log of a mean
    return pairs.diagonal() - log_q, log_q - log_p  # eq. (4.13) and (4.14)


def _split_probes():
    """Clouds that overlap, of different widths."""
    return [
        (_randn(1, 6, 3), 0.5 * _randn(2, 6, 3) - 0.5, _randn(3, 6, 3)),
        (0.6 * _randn(4, 9, 2) + 1, _randn(5, 9, 2) - 1, _randn(6, 9, 2)),
    ]


def _apart_probes():
    """As in the notebook: many dimensions, in which densities are too large or too small for float32."""
    mu, log_var, eps = 2 * _randn(7, 40, 32), 0.5 * _randn(8, 40, 32), _randn(9, 40, 32)
    return [(mu, log_var - 10, eps), (9 * mu, log_var + 5, eps)]


ONE_CROWD = (
    "it is right only in a few dimensions: in many, densities are too large or too small for a float, and an epsilon "
    "or a clamp takes over; never leave the logs, logsumexp takes the log of the sum"
)

SPLIT_KL = Exercise(
    id="04.7",
    title="What a code tells, and what is mismatch",
    reference=split_kl,
    hints=(
        "You need the log-density of every draw under every portrait's cloud: a table of N rows and N columns. What "
        "stands on its diagonal? What is the density of a draw under the whole crowd?",
        "Equation (4.13), at one draw z_n of each q(z | x_n): log q(z_n | x_n) - log q(z_n), and log q(z_n) - "
        "log p(z_n), with q(z) = (1/N) sum_k q(z | x_k).",
        "pairs = ...  # (N, N): log q(z_n | x_k), summed over the D latents; (N, 1, D) and (1, N, D) broadcast\n"
        "log_q = pairs.logsumexp(SOMETHING) - math.log(SOMETHING)\n"
        "return pairs.diagonal() - SOMETHING, log_q - SOMETHING",
    ),
    check=compares(_split_probes, tolerance=1e-4, harder=[(ONE_CROWD, _apart_probes)]),
    wrong=wrong_answers(
        "log N is missing: q(z) is the mean of N densities, not their sum, and each has the weight 1/N",
        (" - math.log(len(z))", ""),
        "log N has the wrong sign: to divide by N is to subtract its log",
        ("- math.log(len(z))", "+ math.log(len(z))"),
        "it is the mean of the logs: q(z) is a mean of densities, so first exp and mean, then the log",
        ("pairs.logsumexp(1) - math.log(len(z))", "pairs.mean(1)"),
        "it takes the nearest cloud for the whole crowd: the other clouds count too, however little",
        ("pairs.logsumexp(1) - math.log(len(z))", "pairs.amax(1) - math.log(len(z))"),
        "the table is summed along the wrong axis: one draw under all clouds is wanted, not all draws under one cloud",
        ("logsumexp(1)", "logsumexp(0)"),
        "it reads log_var as the log of a standard deviation: sigma is exp(log_var / 2)",
        ("0.5 * log_var", "log_var"),
        "it averages over the latents: independent latents multiply their densities, so their logs add up",
        (".sum(2)", ".mean(2)", ".sum(-1)", ".mean(-1)"),
        "the draw is left out: at mu itself the density is highest, and the KL asks for its mean over draws",
        (" * eps", " * 0"),
        "the noise is not scaled: a draw of q(z | x_n) is mu_n + sigma_n eps_n",
        ("width * eps", "eps"),
        "the two come in the wrong order: first what the code tells, then the mismatch",
        lambda mu, log_var, eps: split_kl(mu, log_var, eps)[::-1],
        "the signs are flipped: both are a KL on average, so neither is negative on average",
        lambda mu, log_var, eps: tuple(-part for part in split_kl(mu, log_var, eps)),
        "the second is the whole cost, log q(z_n | x_n) - log p(z_n): the mismatch is what is left of it when the "
        "first is taken away",
        ("log_q - log_p", "pairs.diagonal() - log_p"),
        "these are means over the portraits: give one number for each of them, shape (N,)",
        lambda mu, log_var, eps: tuple(part.mean() for part in split_kl(mu, log_var, eps)),
        "the prior has the wrong normaliser: the log of N(0, 1) holds -log(2 pi) / 2 for each latent, as the others do",
        lambda mu, log_var, eps: (
            (parts := split_kl(mu, log_var, eps))[0],
            parts[1] - 0.5 * mu.shape[1] * math.log(2 * math.pi),
        ),
    ),
)


def autoencoder_loss(model, x):
    """-log p(x | z) at the mean code: no noise, no KL. A VAE, pictures (N, C, H, W) -> (N,) nats."""
    return -model.decode(model.encode(x).mean).log_prob(x)


def _tiny(seed: int, sigma: float = 0.4) -> VAE:
    """An untrained VAE of pictures (N, 1, 2, 3) and codes (N, 2), whose q(z | x) is wide enough to notice."""
    with seeded(seed):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))
        decoder = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (1, 2, 3)))
    return VAE(encoder, decoder, GaussianLikelihood(sigma, learn_sigma=True), 2)


def _loss_probes():
    """In train and eval mode; pictures that hold 0 and 1; codes far out, as without a KL they get.

    The last decoder is near its pictures, as a trained one is: the density is above 1, and the loss below 0.
    """
    usual, far, near = _tiny(0), _tiny(1).eval(), _tiny(2, sigma=0.05)
    with torch.no_grad():
        far.encoder[1].weight.mul_(20)
        near.decoder[0].weight.mul_(0.2)
        near.decoder[0].bias.fill_(0.5)
    return [
        (usual, (_randn(20, 5, 1, 2, 3) + 0.5).clamp(0, 1)),
        (far, (_randn(21, 3, 1, 2, 3) + 0.5).clamp(0, 1)),
        (near, 0.5 + 0.05 * _randn(22, 4, 1, 2, 3)),
    ]


def _check_loss(answer, exercise):
    """The values, what they teach each weight of the model, sigma too, and the model's mode."""
    compares(_loss_probes, gradients=("x",))(answer, exercise)
    for (model, x), (twin, _) in zip(_loss_probes(), _loss_probes(), strict=True):
        mode, (names, weights) = model.training, zip(*model.named_parameters(), strict=True)
        how = {"allow_unused": True, "materialize_grads": True}
        mine = torch.autograd.grad(answer(model, x).sum(), weights, **how)
        right = torch.autograd.grad(exercise.reference(twin, x).sum(), list(twin.parameters()), **how)
        if model.training != mode:
            raise Misconception(
                "it leaves the model in another mode, train() or eval(): the training loop, not the loss, decides that"
            )
        for name, one, other in zip(names, mine, right, strict=True):
            if not torch.allclose(one, other, rtol=1e-4, atol=1e-4):
                raise Misconception(
                    f"its values are right, but not its gradient at the model's `{name}`: all that the VAE learns, "
                    "sigma too, the opponent has to learn"
                )


AUTOENCODER_LOSS = Exercise(
    id="04.8",
    title="The fair opponent",
    reference=autoencoder_loss,
    hints=(
        "Write down minus the ELBO. Which two things does an autoencoder not have? Take away these, and nothing else.",
        "-log p(x | z) at z = mu(x): the likelihood with its learned sigma stays, the draw and the KL go.",
        "q = model.encode(x)\np = model.decode(SOMETHING of q)\nreturn SOMETHING log_prob(x)",
    ),
    check=_check_loss,
    wrong=wrong_answers(
        "a code is drawn: the noise on the codes is one of the two things that make the VAE, so the opponent must not "
        "have it",
        ("model.encode(x).mean", "model.encode(x).rsample()"),
        "the KL is still in it: then only the noise is missing, and a code of no width costs without end",
        lambda model, x: autoencoder_loss(model, x) + kl_to_standard_normal(model.encode(x)),
        "this is minus the ELBO, the VAE's own loss: the opponent has neither noise nor KL",
        lambda model, x: kl_to_standard_normal(q := model.encode(x)) - model.decode(q.rsample()).log_prob(x),
        "its sign is flipped: fit makes a loss small, and this would make the likelihood small",
        ("-model", "model"),
        "this is the summed squared error: another likelihood, with a sigma that nobody chose, is a third difference",
        lambda model, x: (model.decode(model.encode(x).mean).mean - x).square().flatten(1).sum(1),
        "this is the mean squared error: another likelihood, with a sigma that nobody chose, is a third difference",
        lambda model, x: (model.decode(model.encode(x).mean).mean - x).square().flatten(1).mean(1),
        "it averages over the images: give one number for each, shape (N,)",
        ("log_prob(x)", "log_prob(x).mean()"),
        "it averages over the pixels: the VAE sums over them, and the opponent is to differ in two things only",
        ("log_prob(x)", "log_prob(x) / x[0].numel()"),
        "the code is cut off from the graph: the encoder would learn nothing",
        (".mean)", ".mean.detach())"),
        "it decodes the widths of the clouds: the code of an autoencoder is where the cloud's middle was",
        ("model.encode(x).mean", "model.encode(x).stddev"),
    ),
)

EXERCISES = (
    CONV_COST,
    GAUSSIAN_NLL,
    BEST_SIGMA,
    ACTIVE_UNITS,
    AGGREGATE_MOMENTS,
    SPLIT_KL,
    AUTOENCODER_LOSS,
    FREE_BITS,
)
