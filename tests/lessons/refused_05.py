"""Wrong answers to the exercises of notebook 05, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from vae_helpers.exercises.changes import changed
from vae_helpers.lessons.lesson_05 import best_code, code_energy, expected_errors, overlap_add, posterior_mean
from vae_helpers.lessons.lesson_05 import tweedie as right_tweedie


def differences(y):
    return torch.diff(torch.diff(y, n=2, dim=-1), n=2, dim=-2)


def median(d):
    return d.abs().flatten(1).median(1).values


def conv(y, mask):
    n, channels, height, width = y.shape
    out = F.conv2d(y.reshape(n * channels, 1, height, width), torch.tensor(mask)[None, None])
    return out.reshape(n, channels, height - 2, width - 2)


MASK = [[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]


def slope(y, function, reduce="sum"):
    at = y.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(getattr(function(at), reduce)(), at)
    return found


def bwd_arg(y, sigma, log_density):
    y.requires_grad_()
    log_density(y).sum().backward()
    return (y + sigma**2 * y.grad).detach()


def arg_grad(y, sigma, log_density):
    y.requires_grad_(True)
    (score,) = torch.autograd.grad(log_density(y).sum(), y)
    return (y + sigma**2 * score).detach()


def arg_attr(y, sigma, log_density):
    y.requires_grad = True
    log_density(y).sum().backward()
    return y.detach() + sigma**2 * y.grad


def stops_early(energy, start, steps, learning_rate):
    z, least = start.detach().clone().requires_grad_(), math.inf
    optimiser = torch.optim.Adam([z], lr=learning_rate)
    for _ in range(steps):
        optimiser.zero_grad()
        now = energy(z).sum()
        if now.item() > least:
            break
        least = now.item()
        now.backward()
        optimiser.step()
    return z.detach()


def errors(gaussian=lambda s: s**2, photons=lambda x, n: x / n, lost=lambda x, s: s / 2 * ((1 - x) ** 2 + x**2)):
    """expected_errors with one of its parts replaced, and with tensors where the lesson's have numbers."""
    return lambda x, sigma, n, share: (gaussian(sigma), photons(x, n).mean(), lost(x, share).mean())


EXPECTED_ERRORS = (
    ("sigma**2", "sigma"),
    ("sigma**2", "-20 * math.log10(sigma)"),
    ("sigma**2", "sigma**2 / 2"),
    ("sigma**2", "2 * sigma"),
    ("sigma**2", "(sigma**2 * x).mean().item()"),
    ("sigma**2", "(sigma * x).square().mean().item()"),
    ("sigma**2", "torch.full_like(x, sigma**2)"),
    ("sigma**2", "torch.tensor([sigma**2])"),
    ("(x / photons).mean().item()", "x / photons"),
    ("(x / photons)", "(x * photons)"),
    ("(x / photons)", "(x / photons**2)"),
    ("(x / photons)", "(x / photons).sqrt()"),
    ("(x / photons)", "(x**2 / photons)"),
    ("(x / photons)", "((x / photons) ** 2)"),
    ("(x / photons)", "x"),
    ("(x / photons).mean().item()", "1 / photons"),
    ("(x / photons).mean().item()", "(x / photons).mean((1, 2, 3))"),
    (" / 2)", ")"),
    (" / 2)", " / 4)"),
    ("(1 - x) ** 2 + x**2", "(1 - x) ** 2"),
    ("(1 - x) ** 2 + x**2", "x**2"),
    ("(1 - x) ** 2 + x**2", "(1 - x) ** 2 - x**2"),
    ("(1 - x) ** 2 + x**2", "1 - x + x"),
    ("share * ", ""),
    ("share * ", "share**2 * "),
    ("/ 2).mean().item()", "/ 2)"),
    ("gaussian, poisson, salt_and_pepper\n", "gaussian, salt_and_pepper, poisson\n"),
    ("gaussian, poisson, salt_and_pepper\n", "gaussian, poisson\n"),
    ("gaussian, poisson, salt_and_pepper\n", "torch.tensor([gaussian, poisson, salt_and_pepper])\n"),
)

POSTERIOR_MEAN = (
    ("share * each", "weights * each"),
    ("share * each", "share * means"),
    ("weights.log() - 0.5 * variance", "-0.5 * variance"),
    ("weights.log()", "weights"),
    (" - 0.5 * variance.log()", ""),
    ("0.5 * variance.log()", "variance.log()"),
    ("0.5 * distance", "distance"),
    ("deviations**2 + sigma**2", "deviations**2"),
    ("deviations**2 + sigma**2", "deviations**2 + sigma"),
    ("deviations**2 + sigma**2", "deviations + sigma**2"),
    ("deviations**2 + sigma**2", "(deviations + sigma) ** 2"),
    ("deviations**2 / variance", "sigma**2 / variance"),
    ("deviations**2 / variance", "deviations / (deviations + sigma)"),
    ("means + deviations**2 / variance * distance", "deviations**2 / variance * y[:, None]"),
    ("means + dev", "means - dev"),
    ("variance * distance", "variance * y[:, None]"),
    ("softmax(1)", "softmax(0)"),
    ("(share * each).sum(1)", "each.mean(1)"),
    ("(share * each).sum(1)", "each.sum(1)"),
    ("(share * each).sum(1)", "each.max(1).values"),
    ("(share * each).sum(1)", "share * each"),
    ("(share * each).sum(1)", "(share * each).sum(1, keepdim=True)"),
    ("(share * each).sum(1)", "(share * each).sum()"),
    ("(share * each).sum(1)", "(share * each).sum(1).double()"),
    ("(share * each).sum(1)", "(share * each).sum(1).numpy()"),
    ("(share * each).sum(1)", "(share * each).sum(1).requires_grad_()"),
    ("(share * each).sum(1)", "each.gather(1, share.argmax(1, keepdim=True))[:, 0]"),
    ("(share * each).sum(1)", "y.clone()"),
    ("(share * each).sum(1)", "(weights * means).sum().expand_as(y)"),
)

CODE_ENERGY = (
    ("flatten(1).sum(1)", "flatten(1).mean(1)"),
    ("z.square().sum(1)", "z.square().mean(1)"),
    ("z.square().sum(1)", "z.square().sum(0)"),
    ("z.square().sum(1)", "z.norm(dim=1)"),
    ("z.square().sum(1)", "z.abs().sum(1)"),
    (" + sigma_model**2", ""),
    ("sigma**2 + sigma_model**2", "sigma_model**2"),
    ("sigma**2 + sigma_model**2", "sigma + sigma_model"),
    ("sigma**2 + sigma_model**2", "(sigma + sigma_model) ** 2"),
    ("sigma**2 + sigma_model**2", "sigma**2 * sigma_model**2"),
    ("sigma**2 + sigma_model**2", "max(sigma, sigma_model) ** 2"),
    ("sigma**2 + sigma_model**2", "sigma**2 + sigma_model**2 + 1e-3"),
    ("(2 * variance)", "variance"),
    ("sum(1) / 2", "sum(1)"),
    ("fit_to_y + z.square().sum(1) / 2", "fit_to_y"),
    ("fit_to_y + z", "fit_to_y - z"),
    ("fit_to_y + z", "-fit_to_y - z"),
    ("(2 * variance)", "2 * variance"),
    ("return fit_to_y + z.square().sum(1) / 2", "return (fit_to_y + z.square().sum(1) / 2).sum()"),
    ("return fit_to_y + z.square().sum(1) / 2", "return (fit_to_y + z.square().sum(1) / 2).mean()"),
    ("return fit_to_y + z.square().sum(1) / 2", "return (fit_to_y + z.square().sum(1) / 2).detach()"),
    ("return fit_to_y + z.square().sum(1) / 2", "return (fit_to_y + z.square().sum(1) / 2)[:, None]"),
    ("return fit_to_y + z.square().sum(1) / 2", "return (fit_to_y + z.square().sum(1) / 2).double()"),
    ("return fit_to_y + z.square().sum(1) / 2", "return torch.exp(-fit_to_y - z.square().sum(1) / 2)"),
    ("z.square()", "z.detach().square()"),
    ("y - decoded", "y - decoded.detach()"),
    ("square().flatten(1).sum(1)", "square().sum((2, 3))"),
    ("(y - decoded).square()", "(y - decoded).abs()"),
    ("(y - decoded).square()", "(y - decoded).square().clamp(max=4)"),
    ("return fit", "return math.log(variance) + fit"),
)

OVERLAP_ADD = (
    (" / share", ""),
    ("+= weights\n", "+= 1\n"),
    ("weights * block", "block"),
    ("weights * block", "weights**2 * block"),
    ("weights * block", "weights**2 * block", "+= weights\n", "+= weights**2\n"),
    ("/ share", "/ len(blocks)"),
    ("/ share", "/ weights.sum()"),
    ("/ share", "/ total.max()"),
    ("total / share", "total * share"),
    ("total / share", "(total / share).T"),
    ("total / share", "(total / share).clamp(0, 1)"),
    ("total / share", "(total / share).double()"),
    ("total / share", "(total / share)[None, None]"),
    ("total / share", "total / (share + 1e-3)"),
    ("total / share", "total / (share + 1e-6)"),
    ("total / share", "total / share.clamp(min=1)"),
    ("total / share", "total / share.clamp(min=1e-2)"),
    ("total / share", "total / share.clamp(min=1e-3)"),
    ("+= weights * block", "= weights * block"),
    ("size = len(weights)", "size = 4"),
    ("size = len(weights)", "size = len(weights)\n    blocks *= 1.5"),
    ("size = len(weights)", "size = len(weights)\n    weights /= weights.sum()"),
    ("size = len(weights)", "size = len(weights)\n    weights = window(size)"),
    ("size = len(weights)", "size = len(weights)\n    places.reverse()\n    blocks = blocks.flip(0)"),
    ("torch.zeros(2, height, width", "torch.zeros(2, width, width"),
)


BEST_CODE = (
    ("        optimiser.zero_grad()\n", ""),
    ("energy(z).sum()", "(-energy(z)).sum()"),
    ("optim.Adam([z], lr=learning_rate)", "optim.Adam([z], lr=learning_rate, maximize=True)"),
    ("optim.Adam", "optim.SGD"),
    ("optim.Adam", "optim.RMSprop"),
    ("optim.Adam", "optim.AdamW"),
    ("optim.Adam([z], lr=learning_rate)", "optim.Adam([z], lr=learning_rate, betas=(0.9, 0.9))"),
    ("optim.Adam([z], lr=learning_rate)", "optim.Adam([z], lr=learning_rate, weight_decay=0.1)"),
    (", lr=learning_rate", ""),
    ("lr=learning_rate", "lr=0.05"),
    ("range(steps)", "range(steps - 1)"),
    ("range(steps)", "range(steps + 1)"),
    ("range(steps)", "range(1)"),
    ("range(steps)", "range(100)"),
    ("energy(z).sum()", "energy(z)[0]"),
    ("energy(z).sum()", "energy(z).max()"),
    ("energy(z).sum()", "energy(z).min()"),
    ("energy(z).sum()", "energy(z).square().sum()"),
    ("energy(z).sum()", "(energy(z) + z.square().sum(1) / 2).sum()"),
    ("energy(z).sum()", "energy(z).exp().sum()"),
    ("energy(z).sum().backward()", "energy(z).backward()"),
    ("energy(z).sum().backward()", "energy(z.detach()).sum().backward()"),
    ("energy(z).sum().backward()", "energy(start).sum().backward()"),
    ("start.detach().clone()", "start"),
    ("start.detach().clone()", "start.detach()"),
    ("start.detach().clone()", "torch.zeros_like(start)"),
    ("start.detach().clone()", "torch.randn_like(start)"),
    ("start.detach().clone()", "start.detach().mean(0).repeat(len(start), 1)"),
    (".requires_grad_()", ""),
    ("return z.detach()", "return z"),
    ("return z.detach()", "return start"),
    ("return z.detach()", "return energy(z).detach()"),
    ("return z.detach()", "return z.detach().mean(0)"),
    ("return z.detach()", "return z.detach()[energy(z).argmin()]"),
    ("return z.detach()", "return z.detach().double()"),
    ("return z.detach()", "return z.detach().clamp(-1, 1)"),
    ("return z.detach()", "return z.detach().numpy()"),
    ("return z.detach()", "return z.detach(), energy(z)"),
)


REFUSED = {
    "05.1": [
        *(changed(expected_errors, change) for change in EXPECTED_ERRORS),
    ],
    "05.2": [
        *(changed(posterior_mean, change) for change in POSTERIOR_MEAN),
    ],
    "05.3": [
        lambda y: (differences(y).abs().flatten(2).median(2).values / (6 * 0.6745)).mean(1),
        lambda y: differences(y).flatten(1).std(1) / 6,
        lambda y: differences(y).flatten(1).square().mean(1).sqrt() / 6,
        lambda y: differences(y).abs().flatten(1).mean(1) / 6 * math.sqrt(math.pi / 2),
        lambda y: differences(y).abs().flatten(1).mean(1) / 6 / 0.6745,
        lambda y: median(differences(y)) / 6,
        lambda y: median(differences(y)) / 6 * 0.6745,
        lambda y: median(differences(y)) / 0.6745,
        lambda y: median(differences(y)) / 36 / 0.6745,
        lambda y: median(differences(y)) / 16 / 0.6745,
        lambda y: differences(y).flatten(1).median(1).values / (6 * 0.6745),
        lambda y: y.abs().flatten(1).median(1).values / 0.6745,
        lambda y: median(torch.diff(y, n=2, dim=-1)) / (6 * 0.6745),
        lambda y: median(torch.diff(y, n=2, dim=-1)) / (6**0.5 * 0.6745),
        lambda y: differences(y).abs().median() / (6 * 0.6745),
        lambda y: differences(y).abs().flatten(2).median(2).values / (6 * 0.6745),
        lambda y: differences(y).abs().flatten(1).median(1),
        lambda y: (
            median(F.conv2d(y.reshape(-1, 1, *y.shape[2:]), torch.tensor(MASK)[None, None], padding=1).reshape(y.shape))
            / (6 * 0.6745)
        ),
        lambda y: median(torch.diff(torch.diff(y, dim=-1), dim=-2)) / (2 * 0.6745),
        lambda y: median(torch.diff(torch.diff(y, dim=-1), dim=-2)) / (6 * 0.6745),
        lambda y: median(conv(y, [[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])) / (6 * 0.6745),
        lambda y: median(conv(y, [[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])) / (20**0.5 * 0.6745),
        lambda y: (
            median(torch.diff(y, n=2, dim=-1)[..., 1:-1, :] + torch.diff(y, n=2, dim=-2)[..., 1:-1]) / (6 * 0.6745)
        ),
        lambda y: (median(differences(y)) / 4.047).tolist(),
        lambda y: median(differences(y.double())) / 4.047,
        lambda y: differences(y).abs().flatten(1).median(1, keepdim=True).values / 4.047,
        lambda y: (differences(y).abs().median() / 4.047).item(),
        lambda y: median(differences(y.mean(1, keepdim=True))) / 4.047,
        lambda y: (
            (lambda d: (d - d.median(1, keepdim=True).values).abs().median(1).values)(differences(y).flatten(1)) / 6
        ),
        lambda y: 255 * median(differences(y)) / 4.047,
        lambda y: torch.from_numpy(np.median(differences(y.double()).abs().flatten(1).numpy(), axis=1)) / 4.047,
        lambda y: differences(y).abs().median(-1).values.flatten(1).median(1).values / 4.047,
        lambda y: (median(differences(y)) / 4.047) ** 2,
        lambda y: (median(torch.diff(y, n=2, dim=-1)) + median(torch.diff(y, n=2, dim=-2))) / 2 / (6 * 0.6745),
        lambda y: median(differences(y.clamp(0, 1))) / 4.047,
        lambda y: (y - F.avg_pool2d(y, 3, 1, 1)).abs().flatten(1).median(1).values / 0.6745,
        lambda y: median(differences(y)) / 4.047 + 0.001,
        lambda y: (median(differences(y)) / 4.047).clamp(min=0.001),
        lambda y: (median(differences(y)) / 4.047).clamp(max=1),
    ],
    "05.4": [
        *(changed(code_energy, change) for change in CODE_ENERGY),
    ],
    "05.8": [
        *(changed(best_code, change) for change in BEST_CODE),
        stops_early,
    ],
    "05.5": [
        *(changed(overlap_add, change) for change in OVERLAP_ADD),
    ],
    "05.6": [
        bwd_arg,
        arg_grad,
        arg_attr,
        lambda y, sigma, log_density: (lambda a: a + sigma**2 * torch.autograd.grad(log_density(a).sum(), a)[0])(
            y.detach().clone().requires_grad_()
        ),
        lambda y, sigma, log_density: y - sigma**2 * slope(y, log_density),
        lambda y, sigma, log_density: y + sigma * slope(y, log_density),
        lambda y, sigma, log_density: y + slope(y, log_density),
        lambda y, sigma, log_density: y + 0.5 * sigma**2 * slope(y, log_density),
        lambda y, sigma, log_density: y + sigma**2 * slope(y, lambda a: log_density(a).exp()),
        lambda y, sigma, log_density: y + sigma**2 * slope(y, lambda a: log_density(a).exp().log().exp()),
        lambda y, sigma, log_density: y + sigma**2 * slope(y, lambda a: log_density(a).exp()) / log_density(y).exp(),
        lambda y, sigma, log_density: sigma**2 * slope(y, log_density),
        lambda y, sigma, log_density: slope(y, log_density),
        lambda y, sigma, log_density: y + sigma**2 * log_density(y),
        lambda y, sigma, log_density: y + slope(y, log_density) / sigma**2,
        lambda y, sigma, log_density: y + sigma**2 * slope(y, log_density, "mean"),
        lambda y, sigma, log_density: y,
        lambda y, sigma, log_density: y + sigma**2 * (log_density(y + 0.1) - log_density(y - 0.1)) / 0.2,
        lambda y, sigma, log_density: y + sigma**2 * (log_density(y + 0.01) - log_density(y)) / 0.01,
        lambda y, sigma, log_density: y + sigma**2 * (log_density(y + 0.01) - log_density(y - 0.01)) / 0.02,
        lambda y, sigma, log_density: y + sigma**2 * (log_density(y + 1e-05) - log_density(y - 1e-05)) / 2e-05,
        lambda y, sigma, log_density: y + sigma**2 * torch.gradient(log_density(y), spacing=(y,))[0],
        lambda y, sigma, log_density: y + sigma**2 * torch.from_numpy(np.gradient(log_density(y).numpy(), y.numpy())),
        lambda y, sigma, log_density: right_tweedie(y.double(), sigma, log_density),
        lambda y, sigma, log_density: right_tweedie(y, sigma, log_density).tolist(),
        lambda y, sigma, log_density: (right_tweedie(y, sigma, log_density),),
        lambda y, sigma, log_density: (lambda a: y + sigma**2 * torch.autograd.grad(log_density(a), a)[0])(
            y.clone().requires_grad_()
        ),
        lambda y, sigma, log_density: y + sigma**2 * torch.autograd.grad(log_density(y).sum(), y)[0],
        lambda y, sigma, log_density: y + 0.5 * sigma**2 * slope(y, log_density) + sigma * torch.randn_like(y),
        lambda y, sigma, log_density: right_tweedie(right_tweedie(y, sigma, log_density), sigma, log_density),
        lambda y, sigma, log_density: y.add_(sigma**2 * slope(y, log_density)),
        lambda y, sigma, log_density: right_tweedie(y, sigma, log_density).clamp(0, 1),
        lambda y, sigma, log_density: y + sigma**2 * slope(y, log_density).clamp(-5, 5),
    ],
    "05.7": [
        lambda loss, pixels, sigma: loss / pixels,
        lambda loss, pixels, sigma: loss / pixels - sigma,
        lambda loss, pixels, sigma: loss - sigma**2,
        lambda loss, pixels, sigma: (loss - sigma**2) / pixels,
        lambda loss, pixels, sigma: loss - pixels * sigma**2,
        lambda loss, pixels, sigma: loss / pixels + sigma**2,
        lambda loss, pixels, sigma: loss / pixels - 2 * sigma**2,
        lambda loss, pixels, sigma: loss / pixels - sigma**2 / 2,
        lambda loss, pixels, sigma: (loss / pixels - sigma**2) ** 0.5,
        lambda loss, pixels, sigma: loss // pixels - sigma**2,
        lambda loss, pixels, sigma: round(float(loss) / pixels - sigma**2, 3),
        lambda loss, pixels, sigma: loss / pixels - sigma**2 / pixels,
        lambda loss, pixels, sigma: [loss / pixels - sigma**2],
        lambda loss, pixels, sigma: torch.tensor([float(loss)]) / pixels - sigma**2,
        lambda loss, pixels, sigma: f"{float(loss) / pixels - sigma**2}",
        lambda loss, pixels, sigma: -10 * math.log10(abs(float(loss) / pixels - sigma**2)),
        lambda loss, pixels, sigma: loss * pixels - sigma**2,
        lambda loss, pixels, sigma: loss / pixels**0.5 - sigma**2,
        lambda loss, pixels, sigma: loss / pixels / 3 - sigma**2,
        lambda loss, pixels, sigma: (loss.mean() if torch.is_tensor(loss) else loss) - sigma**2,
    ],
}

TOLD = {
    "05.1": [
        (errors(gaussian=lambda s: torch.tensor(s)), "is sigma, the size of a typical error"),
        (errors(photons=lambda x, n: x / n**2), "divided by the photons twice"),
        (errors(photons=lambda x, n: x * n), "the photons multiply"),
        (errors(lost=lambda x, s: s * ((1 - x) ** 2 + x**2)), "black and white at once"),
        (errors(lost=lambda x, s: s / 2 * (1 - x) ** 2), "only the white pixels"),
        (errors(lost=lambda x, s: s / 2 * ((1 - x.mean()) ** 2 + x.mean() ** 2)), "averages x before it squares"),
    ],
    "05.7": [(lambda loss, pixels, sigma: torch.tensor(loss) - pixels * sigma**2, "this is the summed error")],
    "05.8": [(stops_early, "stop only when all are taken")],
}
