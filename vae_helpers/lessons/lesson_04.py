"""The exercises of notebook 04: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Wrong


def _randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- 04.1 what a convolution costs -------------------------------------------------------------------------------


def conv_cost(c_in, c_out, kernel, size, stride, padding):
    """Of nn.Conv2d on one (c_in, size, size) image: (size of the output, parameters, multiplications), all int."""
    size_out = (size + 2 * padding - kernel) // stride + 1  # eq. (4.1)
    parameters = c_out * (c_in * kernel**2 + 1)  # eq. (4.2), the 1 is the bias
    multiplications = c_out * c_in * kernel**2 * size_out**2  # the same weights at every position
    return size_out, parameters, multiplications


def _conv_probes():
    """(c_in, c_out, kernel, size, stride, padding): the division leaves a remainder in the third and the last."""
    return [(3, 8, 3, 9, 2, 1), (1, 4, 5, 28, 1, 0), (16, 32, 4, 15, 2, 1), (2, 3, 3, 10, 1, 1), (5, 7, 5, 12, 3, 2)]


def _size_out(size, kernel, stride, padding):
    return (size + 2 * padding - kernel) // stride + 1


def _conv_with(size_out=None, parameters=None, multiplications=None):
    """The reference with one of its three formulas exchanged; arguments are named as the reference's."""

    def cost(c_in, c_out, kernel, size, stride, padding):
        out = (size_out or _size_out)(size, kernel, stride, padding)
        weights = c_out * c_in * kernel**2
        count = parameters(c_in, c_out, kernel, out) if parameters else weights + c_out
        work = multiplications(c_in, c_out, kernel, size, out) if multiplications else weights * out**2
        return out, count, work

    return cost


_CONV_WRONG = (
    Wrong(
        "the padding is counted on one side only: the image grows on the left and on the right",
        _conv_with(size_out=lambda size, kernel, stride, padding: (size + padding - kernel) // stride + 1),
    ),
    Wrong(
        "the size of the output is one too small: a kernel as large as the padded image still has one place to sit",
        _conv_with(size_out=lambda size, kernel, stride, padding: (size + 2 * padding - kernel) // stride),
    ),
    Wrong(
        "the stride is ignored: the kernel does not stop at every position, it jumps by the stride",
        _conv_with(size_out=lambda size, kernel, stride, padding: size + 2 * padding - kernel + 1),
    ),
    Wrong(
        "the size of the output is not a whole number: a last jump that does not fit is not made, so round down",
        _conv_with(size_out=lambda size, kernel, stride, padding: (size + 2 * padding - kernel) / stride + 1),
    ),
    Wrong(
        "the size of the output is rounded up: a kernel that would reach over the padded edge does not count",
        _conv_with(size_out=lambda size, kernel, stride, padding: -((kernel - size - 2 * padding) // stride) + 1),
    ),
    Wrong(
        "the 1 is added before the division by the stride: the first position is there whatever the stride is",
        _conv_with(size_out=lambda size, kernel, stride, padding: (size + 2 * padding - kernel + 1) // stride),
    ),
    Wrong(
        "it takes the size divided by the stride: that holds only when the padding just makes up for the kernel",
        _conv_with(size_out=lambda size, kernel, stride, padding: size // stride),
    ),
    Wrong(
        "the kernel is missing in the size of the output: without padding, a wide kernel has fewer places to sit",
        _conv_with(size_out=lambda size, kernel, stride, padding: (size + 2 * padding) // stride + 1),
    ),
    Wrong(
        "the biases are missing among the parameters: each output channel has one",
        _conv_with(parameters=lambda c_in, c_out, kernel, out: c_out * c_in * kernel**2),
    ),
    Wrong(
        "the input channels are missing among the parameters: a kernel looks at all of them, with weights for each",
        _conv_with(parameters=lambda c_in, c_out, kernel, out: c_out * (kernel**2 + 1)),
    ),
    Wrong(
        "it counts a bias for each pair of an input and an output channel: the bias is added once, after the sum "
        "over the input channels",
        _conv_with(parameters=lambda c_in, c_out, kernel, out: c_out * c_in * (kernel**2 + 1)),
    ),
    Wrong(
        "it counts a single bias for the whole layer: the output channels do not share one",
        _conv_with(parameters=lambda c_in, c_out, kernel, out: c_out * c_in * kernel**2 + 1),
    ),
    Wrong(
        "it counts the parameters anew at each position: a convolution shares them, and that is why it has so few",
        _conv_with(parameters=lambda c_in, c_out, kernel, out: c_out * (c_in * kernel**2 + 1) * out**2),
    ),
    Wrong(
        "the kernel is a square of weights, and it is counted as a line: its side enters twice",
        lambda c_in, c_out, kernel, size, stride, padding: (
            _size_out(size, kernel, stride, padding),
            c_out * (c_in * kernel + 1),
            c_out * c_in * kernel * _size_out(size, kernel, stride, padding) ** 2,
        ),
    ),
    Wrong(
        "the multiplications are counted at every pixel of the input: the kernel is applied once for each pixel of "
        "the output",
        _conv_with(multiplications=lambda c_in, c_out, kernel, size, out: c_out * c_in * kernel**2 * size**2),
    ),
    Wrong(
        "the input channels are missing among the multiplications: each of them has weights of its own",
        _conv_with(multiplications=lambda c_in, c_out, kernel, size, out: c_out * kernel**2 * out**2),
    ),
    Wrong(
        "the multiplications are counted along one row of the output: the output is a square of positions",
        _conv_with(multiplications=lambda c_in, c_out, kernel, size, out: c_out * c_in * kernel**2 * out),
    ),
    Wrong(
        "the biases are counted among the multiplications: they are added",
        _conv_with(multiplications=lambda c_in, c_out, kernel, size, out: c_out * (c_in * kernel**2 + 1) * out**2),
    ),
    Wrong(
        "the additions are counted too, as in FLOPs: multiplications alone are asked for",
        _conv_with(multiplications=lambda c_in, c_out, kernel, size, out: 2 * c_out * c_in * kernel**2 * out**2),
    ),
)

# --- 04.2 the Gaussian likelihood of an image --------------------------------------------------------------------


def gaussian_nll(x, mean, sigma):
    """-log N(x; mean, sigma^2 I) of each image in nats: (N, C, H, W), (N, C, H, W), a number sigma -> (N,)."""
    log_sigma = torch.log(torch.as_tensor(sigma))
    each = 0.5 * ((x - mean) / sigma).square() + log_sigma + 0.5 * math.log(2 * math.pi)  # (N, C, H, W), eq. (4.4)
    return each.flatten(1).sum(1)


def _nll_probes():
    return [(_randn(1, 3, 2, 4, 5), _randn(2, 3, 2, 4, 5), 0.3), (_randn(3, 4, 1, 3, 3), _randn(4, 4, 1, 3, 3), 1.7)]


_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _per_image(each):
    return each.flatten(1).sum(1)


def _scaled(x, mean, sigma):
    return 0.5 * ((x - mean) / sigma) ** 2


_NLL_WRONG = (
    Wrong(
        "it averages over the pixels: independent pixels multiply their densities, so their logs add up; a mean "
        "weighs the likelihood down against the KL, a beta that nobody chose",
        lambda x, mean, sigma: (_scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI).flatten(1).mean(1),
    ),
    Wrong(
        "log sigma is missing: without it nothing keeps a learned sigma from growing for ever",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "the squared error lacks its one half",
        lambda x, mean, sigma: _per_image(2 * _scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "it divides the squared error by sigma: a squared distance is measured in units of the variance",
        lambda x, mean, sigma: _per_image(0.5 * (x - mean) ** 2 / sigma + math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "it reads sigma as the variance: it is the standard deviation, in both places where it stands",
        lambda x, mean, sigma: _per_image(0.5 * (x - mean) ** 2 / sigma + 0.5 * math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "log sigma is halved: one half belongs to the log of the variance",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + 0.5 * math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "it adds the log of the variance without its one half: the normaliser divides by sigma, not by sigma^2",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + 2 * math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "the constant log(2 pi) of the normaliser is missing: training would not notice, but the nats it reports are "
        "not those of a density",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + math.log(sigma)),
    ),
    Wrong(
        "the constant log(2 pi) lacks its one half: the normaliser holds the root of 2 pi",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + math.log(sigma) + 2 * _HALF_LOG_2PI),
    ),
    Wrong(
        "its sign is flipped: this is the log-density; a loss has to rise as x moves away from the mean",
        lambda x, mean, sigma: -_per_image(_scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "log sigma enters with the wrong sign: a wide Gaussian is a low one, and low densities cost nats",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) - math.log(sigma) + _HALF_LOG_2PI),
    ),
    Wrong(
        "the normaliser is counted once for each image: every pixel is a Gaussian with a normaliser of its own",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma)) + math.log(sigma) + _HALF_LOG_2PI,
    ),
    Wrong(
        "log sigma is counted once for each image: it belongs to every pixel, like the constant beside it",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + _HALF_LOG_2PI) + math.log(sigma),
    ),
    Wrong(
        "it sums over the images too: keep one number for each image, shape (N,)",
        lambda x, mean, sigma: (_scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI).sum(),
    ),
    Wrong(
        "it keeps the channels apart: sum over them as well as over rows and columns",
        lambda x, mean, sigma: (_scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI).sum((2, 3)),
    ),
    Wrong(
        "it gives a value for each pixel: the density of a whole image is asked for, so sum within each image",
        lambda x, mean, sigma: _scaled(x, mean, sigma) + math.log(sigma) + _HALF_LOG_2PI,
    ),
    Wrong(
        "this is the summed squared error: sigma does not occur in it, so it says how far but not how likely",
        lambda x, mean, sigma: _per_image((x - mean) ** 2),
    ),
    Wrong(
        "this is half the squared error: it silently sets sigma to one and leaves out the normaliser",
        lambda x, mean, sigma: _per_image(0.5 * (x - mean) ** 2),
    ),
    Wrong(
        "torch.log wants a tensor, and sigma comes as a plain number: take the log with math, or make a tensor of it",
        lambda x, mean, sigma: _per_image(_scaled(x, mean, sigma) + torch.log(sigma) + _HALF_LOG_2PI),
    ),
)

# --- 04.3 the best sigma -----------------------------------------------------------------------------------------


def best_sigma(x, x_hat):
    """The sigma under which x is most likely, given the means x_hat: (N, C, H, W) twice -> a tensor of shape ()."""
    return (x - x_hat).square().mean().sqrt()  # eq. (4.6)


def _sigma_probes():
    """Images with errors of different sizes, and a mean error that is not zero."""
    x, y = _randn(1, 4, 2, 3, 3), _randn(3, 3, 1, 2, 5)
    scale = torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64).reshape(4, 1, 1, 1)
    return [(x, x + scale * (_randn(2, 4, 2, 3, 3) + 0.4)), (y, 0.3 * y + 0.2 * _randn(4, 3, 1, 2, 5) - 0.5)]


_SIGMA_WRONG = (
    Wrong(
        "that is the variance: sigma has the unit of a pixel, so its square root is still to be taken",
        lambda x, x_hat: (x - x_hat).square().mean(),
    ),
    Wrong(
        "it sums where it should average: sigma would grow with every pixel and every image that is added",
        lambda x, x_hat: (x - x_hat).square().sum().sqrt(),
    ),
    Wrong(
        "it sums over the pixels and averages over the images only: this is the length of an error, and sigma is the "
        "error of one pixel",
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean().sqrt(),
    ),
    Wrong(
        "it averages the roots of the images: one sigma serves all images, so average first and take one root",
        lambda x, x_hat: (x - x_hat).square().flatten(1).mean(1).sqrt().mean(),
    ),
    Wrong(
        "this is the mean absolute error: it is the best scale of a Laplace distribution, and a Gaussian squares",
        lambda x, x_hat: (x - x_hat).abs().mean(),
    ),
    Wrong(
        "std() takes the mean error away first (and divides by one less): the likelihood measures distances from "
        "x_hat, so a constant error counts in full",
        lambda x, x_hat: (x - x_hat).std(),
    ),
    Wrong(
        "it takes the mean error away before it squares: the centre of the Gaussian is x_hat, whether that is right "
        "on average or not",
        lambda x, x_hat: (x - x_hat).std(correction=0),
    ),
    Wrong(
        "it gives a sigma for each image: one number for all images, channels and pixels is asked for",
        lambda x, x_hat: (x - x_hat).square().flatten(1).mean(1).sqrt(),
    ),
    Wrong(
        "it gives a sigma for each pixel: that is a richer model; here one number serves them all",
        lambda x, x_hat: (x - x_hat).square().mean(0).sqrt(),
    ),
    Wrong(
        "a one half has stayed in: set the derivative of the whole likelihood to zero, log sigma included",
        lambda x, x_hat: (0.5 * (x - x_hat).square().mean()).sqrt(),
    ),
    Wrong(
        "this is the spread of the images themselves: sigma measures what the reconstruction misses",
        lambda x, x_hat: x.std() + 0 * x_hat.sum(),
    ),
    Wrong(
        "that is one over the answer: a large error asks for a large sigma, for a small precision",
        lambda x, x_hat: (x - x_hat).square().mean().rsqrt(),
    ),
)

# --- 04.4 how many latents are in use ----------------------------------------------------------------------------


def active_units(mu, threshold=0.01):
    """How many latents have a variance of the posterior means mu (N, D), over the N images, above the threshold."""
    variances = mu.var(0, correction=0)  # (D,), over the images
    return int((variances > threshold).sum())  # eq. (4.11)


def _unit_probes():
    """Codes whose variances are far from the threshold, so that dividing by N - 1 counts the same dimensions."""

    def codes(seed, n, std, mean):
        raw = _randn(seed, n, len(std))
        raw = (raw - raw.mean(0)) / raw.std(0, correction=0)
        return raw * torch.tensor(std, dtype=torch.float64) + torch.tensor(mean, dtype=torch.float64)

    first = codes(1, 40, (1.0, 0.5, 0.12, 0.05, 0.03, 0.02, 0.001, 0.001), (0, 0.5, 0, 1, 0, 0, 2, 0.3))
    second = codes(2, 12, (2.0, 0.6, 0.6, 0.05, 0.3), (0, 0, 0, 1.5, 0.2))
    third = codes(3, 30, (1.2, 0.9, 0.02), (0.05, 0, 0.05))
    return [(first,), (second, 0.2), (third,), (third, 1.0)]


_UNITS_WRONG = (
    Wrong(
        "it compares the standard deviation with the threshold, which is meant for the variance",
        lambda mu, threshold=0.01: (mu.std(0) > threshold).sum(),
    ),
    Wrong(
        "it takes the variance over the latents and counts images: a unit is active if it differs from image to image",
        lambda mu, threshold=0.01: (mu.var(1) > threshold).sum(),
    ),
    Wrong(
        "it looks at the mean of the codes: a unit that says the same about every image says nothing, however large",
        lambda mu, threshold=0.01: (mu.mean(0).abs() > threshold).sum(),
    ),
    Wrong(
        "it takes the mean square around zero: a unit that sits still away from zero is not active, so centre first",
        lambda mu, threshold=0.01: (mu.square().mean(0) > threshold).sum(),
    ),
    Wrong(
        "it counts the units that are not active: those above the threshold are asked for",
        lambda mu, threshold=0.01: (mu.var(0) < threshold).sum(),
    ),
    Wrong(
        "it gives the fraction of the units that are active: their number is asked for",
        lambda mu, threshold=0.01: (mu.var(0) > threshold).double().mean(),
    ),
    Wrong(
        "it says of each unit whether it is active: count how many are",
        lambda mu, threshold=0.01: mu.var(0) > threshold,
    ),
    Wrong(
        "it returns the sum of the variances: each of them has to be compared with the threshold, then counted",
        lambda mu, threshold=0.01: mu.var(0, correction=0).sum(),
    ),
    Wrong(
        "it takes one variance of all the codes together: each latent dimension has its own, over the images",
        lambda mu, threshold=0.01: (mu.var() > threshold).sum(),
    ),
    Wrong(
        "it counts single codes above the threshold: take the variance of each dimension first",
        lambda mu, threshold=0.01: (mu.abs() > threshold).sum(),
    ),
    Wrong(
        "it compares with 0.01 whatever threshold it is given: use the argument",
        lambda mu, threshold=0.01: (mu.var(0) > 0.01).sum(),
    ),
)


def _numbers(function: Callable) -> Callable:
    """The same function, but a tensor without dimensions comes back as a Python number."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        value = function(*args)
        return value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value

    return call


# --- 04.5 the moments of the aggregate posterior -----------------------------------------------------------------


def aggregate_moments(mu, log_var):
    """Mean and covariance of q(z) = (1/N) sum_n N(z; mu_n, diag(exp(log_var_n))): (N, D), (N, D) -> (D,), (D, D)."""
    mean = mu.mean(0)  # (D,)
    of_means = (mu - mean).T @ (mu - mean) / len(mu)  # (D, D)
    return mean, of_means + torch.diag(log_var.exp().mean(0))  # eq. (4.12)


def _moment_probes():
    mixing = torch.tensor([[1.0, 0.8, 0.0], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return [(_randn(1, 7, 3) @ mixing + 0.7, _randn(2, 7, 3) - 1), (2 * _randn(3, 5, 2) - 1, _randn(4, 5, 2))]


def _of_means(mu):
    return torch.cov(mu.T, correction=0)


_MOMENTS_WRONG = (
    Wrong(
        "the covariance is that of the means alone: each image's posterior is a cloud, not a point, and its own "
        "width counts",
        lambda mu, log_var: (mu.mean(0), _of_means(mu)),
    ),
    Wrong(
        "the covariance is the average width alone: the clouds also lie in different places, so their means spread",
        lambda mu, log_var: (mu.mean(0), torch.diag(log_var.exp().mean(0))),
    ),
    Wrong(
        "the covariances are dropped: each posterior is diagonal, yet a mixture of them is not, as their means may "
        "vary together",
        lambda mu, log_var: (mu.mean(0), torch.diag(mu.var(0, correction=0) + log_var.exp().mean(0))),
    ),
    Wrong(
        "the second part holds one variance for each dimension: a covariance matrix, shape (D, D), is asked for",
        lambda mu, log_var: (mu.mean(0), mu.var(0, correction=0) + log_var.exp().mean(0)),
    ),
    Wrong(
        "it adds log_var itself: a log may be negative, a variance never is",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + torch.diag(log_var.mean(0))),
    ),
    Wrong(
        "it takes the exponential of the mean of log_var: variances are averaged, not their logs",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + torch.diag(log_var.mean(0).exp())),
    ),
    Wrong(
        "it adds standard deviations: exp(log_var / 2) is not the variance, and only variances add up",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + torch.diag((0.5 * log_var).exp().mean(0))),
    ),
    Wrong(
        "it reads log_var as the log of a standard deviation: exp(log_var) is already the variance",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + torch.diag((2 * log_var).exp().mean(0))),
    ),
    Wrong(
        "it averages over the latents: both parts describe the images, where D numbers and a D by D matrix are "
        "asked for",
        lambda mu, log_var: (mu.mean(1), torch.cov(mu, correction=0) + torch.diag(log_var.exp().mean(1))),
    ),
    Wrong(
        "its covariance is one between images, N by N: torch.cov takes rows as variables, and yours stand in columns",
        lambda mu, log_var: (mu.mean(0), torch.cov(mu) + torch.diag(log_var.exp().mean(0))),
    ),
    Wrong(
        "the covariance of the means is divided by N - 1: q(z) is an exact mixture over these N images, nothing is "
        "estimated from a sample, so divide by N",
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T) + torch.diag(log_var.exp().mean(0))),
    ),
    Wrong(
        "the covariance of the means is a sum over the images: every image has the weight 1/N in the mixture",
        lambda mu, log_var: (mu.mean(0), len(mu) * _of_means(mu) + torch.diag(log_var.exp().mean(0))),
    ),
    Wrong(
        "the variances are summed over the images: every image has the weight 1/N in the mixture",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + torch.diag(log_var.exp().sum(0))),
    ),
    Wrong(
        "this is the second moment around zero: a covariance is measured from the mean of q(z)",
        lambda mu, log_var: (mu.mean(0), mu.T @ mu / len(mu) + torch.diag(log_var.exp().mean(0))),
    ),
    Wrong(
        "the variances are added to every entry of the matrix: noise that is independent in each dimension belongs "
        "on the diagonal",
        lambda mu, log_var: (mu.mean(0), _of_means(mu) + log_var.exp().mean(0)),
    ),
    Wrong(
        "this is the covariance of the average of N draws, one from each image: a draw from a mixture comes from one "
        "image, chosen at random",
        lambda mu, log_var: (mu.mean(0), torch.diag(log_var.exp().mean(0)) / len(mu)),
    ),
)

# --- 04.6 free bits ----------------------------------------------------------------------------------------------


def free_bits(kl, floor):
    """The KL term with free bits: kl (N, D) in nats of each image and dimension, a number floor -> shape ()."""
    return kl.mean(0).clamp(min=floor).sum()  # eq. (4.16)


def _bits_probes():
    """In two, some dimensions lie above the floor and others below; in the last, even their sum lies below it."""
    first = _randn(1, 6, 4).square() * torch.tensor([2.0, 0.3, 1.0, 0.05], dtype=torch.float64)
    second = _randn(2, 4, 3).square() * torch.tensor([0.1, 3.0, 1.0], dtype=torch.float64)
    collapsed = 0.05 * _randn(3, 5, 2).square()
    return [(first, 0.5), (second, 1.2), (collapsed, 0.3)]


_BITS_WRONG = (
    Wrong(
        "it applies the floor to each image before it averages: images that need few nats should be balanced by those "
        "that need many, so average first",
        lambda kl, floor: kl.clamp(min=floor).mean(0).sum(),
    ),
    Wrong(
        "one floor is put under the total: one dimension could then use it all and the others be shut down; give "
        "each dimension its own",
        lambda kl, floor: kl.mean(0).sum().clamp(min=floor),
    ),
    Wrong(
        "the floors are added up and put under the total: a dimension that uses much then pays for those that "
        "collapse; compare dimension by dimension",
        lambda kl, floor: kl.mean(0).sum().clamp(min=floor * kl.shape[1]),
    ),
    Wrong(
        "it takes the smaller of the two: that is a ceiling, and a KL above it would cost nothing more",
        lambda kl, floor: kl.mean(0).clamp(max=floor).sum(),
    ),
    Wrong(
        "the floor is added to each KL: a constant changes no gradient, and nothing would be free",
        lambda kl, floor: (kl.mean(0) + floor).sum(),
    ),
    Wrong(
        "the floor is subtracted: its gradients are the right ones, but the loss counts only the nats above the floor",
        lambda kl, floor: (kl.mean(0) - floor).clamp(min=0).sum(),
    ),
    Wrong(
        "the floor is subtracted, and there is no maximum: a constant changes no gradient, and nothing would be free",
        lambda kl, floor: (kl.mean(0) - floor).sum(),
    ),
    Wrong(
        "dimensions below the floor are counted as zero: they cost the floor, and the loss must not jump there",
        lambda kl, floor: (kl.mean(0) * (kl.mean(0) > floor)).sum(),
    ),
    Wrong(
        "it averages over the dimensions: the KL of independent dimensions is the sum of theirs",
        lambda kl, floor: kl.mean(0).clamp(min=floor).mean(),
    ),
    Wrong(
        "it averages over the latents and sums over the images: images lie along the first dimension",
        lambda kl, floor: kl.mean(1).clamp(min=floor).sum(),
    ),
    Wrong(
        "it sums over the images before it compares: the floor is meant for their mean, whatever the batch size is",
        lambda kl, floor: kl.sum(0).clamp(min=floor).sum(),
    ),
    Wrong(
        "the floor does not occur in it: this is the plain KL term of the ELBO",
        lambda kl, floor: kl.mean(0).sum(),
    ),
    Wrong(
        "it gives a value for each image: with free bits the images of a batch are averaged before the comparison",
        lambda kl, floor: kl.clamp(min=floor).sum(1),
    ),
    Wrong(
        "it gives a value for each dimension: sum over them",
        lambda kl, floor: kl.mean(0).clamp(min=floor),
    ),
    Wrong(
        "its value is right, but a dimension below the floor still gets a gradient: free nats are those that cost "
        "nothing, so nothing may push them down",
        lambda kl, floor: kl.mean(0).sum() + F.relu(floor - kl.mean(0)).sum().detach(),
    ),
    Wrong(
        "torch.maximum wants two tensors, and floor comes as a plain number: clamp takes one",
        lambda kl, floor: torch.maximum(kl.mean(0), floor).sum(),
    ),
    Wrong(
        "torch.max compares a tensor with a tensor, and floor comes as a plain number: clamp takes one",
        lambda kl, floor: torch.max(kl.mean(0), floor).sum(),
    ),
    Wrong(
        "Python's max hands back the plain number where the floor wins: if that happens in every dimension, the loss "
        "is no tensor and backward() has nothing to start from; torch has comparisons that keep the tensor",
        lambda kl, floor: sum(max(nats, floor) for nats in kl.mean(0)),
    ),
)

EXERCISES = (
    Exercise(
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
        wrong=_CONV_WRONG,
    ),
    Exercise(
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
        check=compares(_nll_probes, gradients=True),
        wrong=_NLL_WRONG,
    ),
    Exercise(
        id="04.3",
        title="The sigma that maximises the likelihood",
        reference=best_sigma,
        hints=(
            "A small sigma makes the squared errors expensive, a large one makes log sigma expensive. Where does the "
            "derivative by sigma vanish?",
            "Equation (4.6): sigma^2 is the mean of (x - x_hat)^2 over all images, channels and pixels.",
            "variance = (x - x_hat).square().SOMETHING()\nreturn variance.SOMETHING()",
        ),
        check=compares(_sigma_probes),
        wrong=_SIGMA_WRONG,
    ),
    Exercise(
        id="04.4",
        title="How many latent dimensions are in use",
        reference=active_units,
        hints=(
            "A dimension that is in use tells images apart. What do its posterior means do from image to image?",
            "Equation (4.11): the number of dimensions d with Var_n[mu_nd] > threshold, the variance over the images.",
            "variances = mu.var(SOMETHING)  # (D,)\nreturn (variances > SOMETHING).SOMETHING()",
        ),
        check=compares(_unit_probes, canonical=_numbers),
        wrong=_UNITS_WRONG,
    ),
    Exercise(
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
        wrong=_MOMENTS_WRONG,
    ),
    Exercise(
        id="04.6",
        title="Free bits",
        reference=free_bits,
        hints=(
            "Three operations: over images, over dimensions, and the comparison. Their order is the whole exercise.",
            "Equation (4.16): sum over d of max( mean over the images of kl_nd, floor ).",
            "each = kl.SOMETHING(0)  # (D,)\nreturn each.clamp(SOMETHING=floor).SOMETHING()",
        ),
        check=compares(_bits_probes, gradients=True),
        wrong=_BITS_WRONG,
    ),
)
