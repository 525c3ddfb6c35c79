"""The exercises of notebook 05: references, hints and the mistakes that are recognised."""

from __future__ import annotations

import math

import torch

from vae_helpers.exercises.checks import compares
from vae_helpers.exercises.definition import Exercise, Misconception, wrong_answers
from vae_helpers.patches import window


def _rand(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))  # float32, as in the notebook


def _randn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def expected_errors(x, sigma, photons, share):
    """The expected squared error per pixel of noisy versions of x: (Gaussian, photons, salt and pepper), numbers."""
    gaussian = sigma**2  # eq. (5.2)
    poisson = (x / photons).mean().item()  # the variance of a count of mean n is n; then divide by photons squared
    salt_and_pepper = (share * ((1 - x) ** 2 + x**2) / 2).mean().item()  # eq. (5.3)
    return gaussian, poisson, salt_and_pepper


EXPECTED_ERRORS = Exercise(
    id="05.1",
    title="How far noise moves a pixel",
    reference=expected_errors,
    hints=(
        "Take one pixel of value x. What values can its noisy version take, how likely are they, and how far is "
        "each from x? Then average over the pixels.",
        "Gaussian: E[(sigma eps)^2]. Photons: y = k / photons, and a Poisson count k of mean photons x has the "
        "variance photons x. Salt and pepper: share / 2 times (1 - x)^2, plus share / 2 times x^2.",
        "gaussian = sigma**SOMETHING\npoisson = (x / SOMETHING).mean().item()\n"
        "salt_and_pepper = (share * (WHITE**2 + BLACK**2) / SOMETHING).mean().item()",
    ),
    check=compares(lambda: [(_rand(1, 2, 1, 5, 6), 0.1, 20, 0.3), (0.3 * _rand(2, 3, 1, 4, 4), 0.37, 6, 0.08)]),
    wrong=wrong_answers(
        "the Gaussian part is sigma, the size of a typical error: the mean of the squares is asked for",
        ("sigma**2", "sigma"),
        "the Gaussian part is a PSNR: the squared error itself is asked for, before any logarithm",
        ("sigma**2", "-20 * math.log10(sigma)"),
        "the Gaussian part is halved: one half belongs to the log-density, the variance is sigma^2",
        ("sigma**2", "sigma**2 / 2"),
        "the photons multiply: more light would make more noise, but relative to white it makes less",
        ("(x / photons)", "(x * photons)"),
        "the photon part is divided by the photons twice: the count's variance is photons times x, and one of the two "
        "divisions cancels against it",
        ("(x / photons)", "(x / photons**2)"),
        "the photon part does not depend on the picture: a count's variance equals its mean, so bright pixels are "
        "noisier and black ones not at all",
        ("(x / photons).mean().item()", "1 / photons"),
        "the photon part is a standard deviation: a count's *variance* equals its mean",
        ("(x / photons)", "(x / photons).sqrt()"),
        "a lost pixel is made black and white at once: half of the lost ones become black, the other half white",
        (" / 2)", ")"),
        "only the white pixels are counted: a pixel that turns black is off by x",
        ("((1 - x) ** 2 + x**2)", "(1 - x) ** 2"),
        "only the black pixels are counted: a pixel that turns white is off by 1 - x",
        ("((1 - x) ** 2 + x**2)", "x**2"),
        "the share is forgotten in the salt and pepper: pixels that are not lost make no error",
        ("share * ", ""),
        "the share is squared: it is a probability, which multiplies the squared error of a lost pixel once",
        ("share * ", "share**2 * "),
        "the salt and pepper part averages x before it squares: the mean of squares is not the square of the mean",
        ("(share * ((1 - x) ** 2 + x**2) / 2).mean()", "(share * ((1 - x.mean()) ** 2 + x.mean() ** 2) / 2)"),
        "the salt and pepper part is a variance, with the mean error taken away: such noise has no mean of zero, and "
        "the error counts in full",
        (
            "(share * ((1 - x) ** 2 + x**2) / 2)",
            "((1 - share) * x**2 + share / 2 - ((1 - share) * x + share / 2) ** 2)",
        ),
        "it sums over the pixels: the error per pixel is asked for, a mean",
        ("sigma**2", "sigma**2 * x.numel()", "photons).mean()", "photons).sum()", "2).mean()", "2).sum()"),
        "it gives an error for every single pixel: average over all of them, so that each kind of noise has one number",
        ("photons).mean().item()", "photons)", "2).mean().item()", "2)"),
        "it gives decibels: the squared error itself is asked for, before any logarithm",
        lambda *given: tuple(-10 * math.log10(error) for error in expected_errors(*given)),
    ),
)


def posterior_mean(y, sigma, weights, means, deviations):
    """E[x | y] for y = x + sigma eps and x from a mixture of K Gaussians: y (N,), the mixture (K,) each -> (N,)."""
    variance = deviations**2 + sigma**2  # (K,), of y within a component
    distance = y[:, None] - means  # (N, K)
    share = (weights.log() - 0.5 * variance.log() - 0.5 * distance**2 / variance).softmax(1)  # (N, K), p(k | y)
    each = means + deviations**2 / variance * distance  # (N, K), E[x | y, k]
    return (share * each).sum(1)  # eq. (5.6)


def _mixture_probes():
    def of(*numbers):
        return torch.tensor(numbers)

    y = torch.linspace(-1.2, 2.1, 23)
    return [
        (y, 0.3, of(0.3, 0.7), of(-0.2, 0.9), of(0.1, 0.25)),
        (y, 0.8, of(0.2, 0.5, 0.3), of(-1.0, 0.4, 1.5), of(0.3, 0.05, 0.6)),
    ]


POSTERIOR_MEAN = Exercise(
    id="05.2",
    title="The posterior mean under a mixture",
    reference=posterior_mean,
    hints=(
        "Two questions in turn. Which component is x from, given y? And if it is from component k, what is the "
        "best guess of x? Then average the guesses.",
        "Equation (5.6): p(k | y) is proportional to w_k N(y; m_k, s_k^2 + sigma^2), and E[x | y, k] = m_k + "
        "s_k^2 / (s_k^2 + sigma^2) (y - m_k).",
        "variance = deviations**2 + SOMETHING  # (K,)\n"
        "share = (weights.log() - 0.5 * variance.log() - SOMETHING).softmax(1)  # (N, K)\n"
        "each = means + SOMETHING * (y[:, None] - means)  # (N, K)\nreturn (SOMETHING).sum(1)",
    ),
    check=compares(_mixture_probes),
    wrong=wrong_answers(
        "it weighs the components as the prior does: once y is seen, those that explain it gain",
        ("(share * each)", "(weights * each)"),
        "the prior weights of the components are missing in p(k | y): a rare component needs more evidence",
        ("weights.log() - 0.5 * variance", "-0.5 * variance"),
        "p(k | y) uses the spread of x, and y is noisier than x: its variance within a component is s_k^2 + sigma^2",
        ("variance.log() - 0.5 * distance**2 / variance", "(deviations**2).log() - 0.5 * distance**2 / deviations**2"),
        "p(k | y) uses the noise alone: its variance within a component is s_k^2 + sigma^2",
        (" - 0.5 * variance.log() - 0.5 * distance**2 / variance", " - 0.5 * distance**2 / sigma**2"),
        "p(k | y) lacks the normaliser of its Gaussians: a wide component is a low one, and the widths differ",
        (" - 0.5 * variance.log()", ""),
        "p(k | y) adds the standard deviations: of independent parts the variances add up",
        (
            "0.5 * variance.log() - 0.5 * distance**2 / variance",
            "(deviations + sigma).log() - 0.5 * (distance / (deviations + sigma)) ** 2",
        ),
        "the one half is missing in the exponent of p(k | y)",
        ("0.5 * distance", "distance"),
        "it averages the components' means: within a component, y still says on which side of the mean x lies",
        ("share * each", "share * means"),
        "within a component it trusts y by the share of the noise: the less noise, the more y is to be trusted",
        ("deviations**2 / variance", "sigma**2 / variance"),
        "it shrinks by standard deviations: in the weight of y stand variances",
        ("deviations**2 / variance", "deviations / (deviations + sigma)"),
        "it shrinks towards zero: within a component, what x is drawn to is the component's mean",
        ("means + deviations**2 / variance * distance", "deviations**2 / variance * y[:, None]"),
        "it takes the likeliest component only: this is nearer to the mode, and jumps where two components tie",
        ("(share * each).sum(1)", "each.gather(1, share.argmax(1, keepdim=True))[:, 0]"),
        "it averages the components' answers as if all were as likely",
        ("(share * each).sum(1)", "each.mean(1)"),
        "that is y: the prior has not been used",
        lambda y, sigma, weights, means, deviations: y + 0 * sigma,
        "it normalises over the values of y: for each y the components' shares sum to one, and these lie along axis 1",
        ("softmax(1)", "softmax(0)"),
    ),
)


def estimate_sigma(y):
    """The deviation of white noise in each picture, from the noisy pictures alone: (N, C, H, W) -> (N,)."""
    rows = y[..., 2:, :] - 2 * y[..., 1:-1, :] + y[..., :-2, :]  # second difference down the columns
    both = rows[..., 2:] - 2 * rows[..., 1:-1] + rows[..., :-2]  # and along the rows: (N, C, H - 2, W - 2)
    return both.abs().flatten(1).median(1).values / (6 * 0.6745)  # eq. (5.12)


def _sigma_probes():
    """Odd numbers of differences, and noise from the weakest to far too much.

    The second's channels are mirrored, so that their medians are those of all together; the third's are unlike.
    """
    ramp = torch.linspace(0, 1, 25)
    smooth = (ramp[:, None] * ramp)[None, None].expand(3, 1, 25, 25)
    noisy = smooth + torch.tensor([0.0003, 0.1, 2.0]).reshape(3, 1, 1, 1) * _randn(5, 3, 1, 25, 25)
    edge = torch.zeros(15, 17)
    edge[7:] = 1
    one = edge + 0.05 * _randn(6, 15, 17)
    unlike = torch.tensor([0.01, 0.1, 0.3])[:, None, None] * _randn(7, 2, 3, 15, 19)  # channels of unlike noise
    return [(noisy,), (torch.stack([one, one.flip(0), one.flip(1)])[None],), (unlike,)]


ESTIMATE_SIGMA = Exercise(
    id="05.3",
    title="How strong is the noise?",
    reference=estimate_sigma,
    hints=(
        "Take away what is smooth, and look at what is left. Then ask for its typical size in a way that does not "
        "care about a few very large values.",
        "Equation (5.12): the median of |second difference along both axes|, divided by 6 (its amplification of "
        "the noise) and by 0.6745 (the median of |eps|).",
        "rows = y[..., 2:, :] - 2 * y[..., 1:-1, :] + y[..., :-2, :]\nboth = SOMETHING  # the same along the last "
        "axis\nreturn both.abs().flatten(1).SOMETHING(1).values / SOMETHING",
    ),
    check=compares(_sigma_probes),
    wrong=wrong_answers(
        "it takes the root of the mean square: edges are few, but their squares are large; the median does not feel "
        "them",
        ("both.abs().flatten(1).median(1).values / (6 * 0.6745)", "both.square().flatten(1).mean(1).sqrt() / 6"),
        "it takes the mean of the absolute values: a few edges with large values move a mean, not a median",
        ("median(1).values / (6 * 0.6745)", "mean(1) / (6 * math.sqrt(2 / math.pi))"),
        "the factor 0.6745 is missing: the median of |eps| is not the standard deviation of eps",
        ("(6 * 0.6745)", "6"),
        "it multiplies by 0.6745: half of the values lie within 0.6745 sigma, so the median is to be divided by it",
        ("(6 * 0.6745)", "6 * 0.6745"),
        "the factor 6 is missing: second differences amplify the noise by the root of the sum of their squared weights",
        ("(6 * 0.6745)", "0.6745"),
        "it divides by 36: that is the amplification of the variance",
        ("(6 *", "(36 *"),
        "it divides by 16, the sum of the absolute weights: independent noise adds up by squares",
        ("(6 *", "(16 *"),
        "the absolute value is missing: the median of values that are as often positive as negative is about zero",
        (".abs()", ""),
        "it looks at the pixels and not at their second differences: the picture itself is taken for noise",
        ("both.abs()", "(y - y.flatten(1).median(1).values.reshape(-1, 1, 1, 1)).abs()", "(6 * 0.6745)", "0.6745"),
        "it differences along one axis only: there the amplification is the root of 6, and edges across it remain",
        ("both.abs()", "rows.abs()"),
        "it gives one number for all pictures: each may have its own noise",
        ("flatten(1).median(1).values", "median()"),
        "it keeps the channels apart: one number for each picture is asked for",
        ("flatten(1).median(1)", "flatten(2).median(2)"),
        "it averages the medians of the channels: one median of all differences of a picture is asked for",
        ("flatten(1).median(1).values", "flatten(2).median(2).values.mean(1)"),
        "median along an axis returns values and places: take its .values",
        (".values", ""),
    ),
)


def code_energy(y, decoded, z, sigma, sigma_model):
    """-log p(z) p(y | z) without its constants, for each picture: y, decoded (N, C, H, W), z (N, D) -> (N,), nats."""
    variance = sigma**2 + sigma_model**2  # what noise and decoder leave unexplained in a pixel
    fit_to_y = (y - decoded).square().flatten(1).sum(1) / (2 * variance)
    return fit_to_y + z.square().sum(1) / 2  # eq. (5.9)


CODE_ENERGY = Exercise(
    id="05.4",
    title="The energy of a code",
    reference=code_energy,
    hints=(
        "Two Gaussians multiply, so two quadratic terms add up: how far the decoded picture is from y, and how far "
        "the code is from zero. Each is measured in units of its own variance.",
        "Equation (5.9): ||y - decoded||^2 / (2 (sigma^2 + sigma_model^2)) + ||z||^2 / 2, for each picture.",
        "variance = SOMETHING + SOMETHING\nfit_to_y = (y - decoded).square().flatten(1).SOMETHING(1) / (2 * "
        "variance)\nreturn fit_to_y + SOMETHING",
    ),
    check=compares(
        lambda: [
            (_randn(1, 3, 1, 4, 5), _randn(2, 3, 1, 4, 5), _randn(3, 3, 6), 0.5, 0.2),
            (_randn(4, 2, 3, 3, 3), _randn(5, 2, 3, 3, 3), _randn(6, 2, 4), 0.1, 0.05),
        ],
        gradients=("decoded", "z"),
    ),
    wrong=wrong_answers(
        "the picture's error is averaged over its pixels and the code's is summed: the prior is then weighted "
        "thousands of times too heavily",
        ("flatten(1).sum(1)", "flatten(1).mean(1)"),
        "it averages over the latents: log p(z) is a sum over them",
        ("z.square().sum(1)", "z.square().mean(1)"),
        "sigma_model is missing: it asks the decoder to be exact, and where there is little noise the code is bent to "
        "fit what the decoder cannot draw",
        (" + sigma_model**2", ""),
        "the noise is missing: the code will fit it, as if y were a clean portrait",
        ("sigma**2 + sigma_model**2", "sigma_model**2"),
        "it adds the standard deviations: noise and model error are independent, so their variances add up",
        ("sigma**2 + sigma_model**2", "(sigma + sigma_model) ** 2"),
        "it multiplies the variances: y differs from the decoded picture by two independent errors, which add up",
        ("sigma**2 + sigma_model**2", "sigma**2 * sigma_model**2"),
        "it divides by the standard deviation: a squared distance is measured in units of the variance",
        ("sigma**2 + sigma_model**2", "(sigma**2 + sigma_model**2) ** 0.5"),
        "the picture's error lacks its one half, so the prior is weighted by half",
        ("(2 * variance)", "variance"),
        "the prior lacks its one half, so it is weighted twice",
        ("sum(1) / 2", "sum(1)"),
        "both lack their one half: the minimum is the same, but these are not nats",
        ("(2 * variance)", "variance", "sum(1) / 2", "sum(1)"),
        "the prior is missing: this is the likeliest picture for y alone, and strong noise will be fitted",
        ("z.square()", "0 * z.square()"),
        "the prior is subtracted: codes far from zero would be rewarded",
        ("fit_to_y + z", "fit_to_y - z"),
        "its sign is flipped: minus the logarithm is asked for, which is smallest at the best code",
        ("fit_to_y + z", "-fit_to_y - z"),
        "it takes the log of a density: for a whole picture that density is too small for float32, and its log is "
        "minus infinity; the logs of both Gaussians are quadratic, so add those",
        ("return fit_to_y + z.square().sum(1) / 2", "return -torch.log(torch.exp(-fit_to_y - z.square().sum(1) / 2))"),
        "the prior is divided by the noise too: the width of p(z) is 1, whatever the noise",
        ("sum(1) / 2", "sum(1) / (2 * variance)"),
        "it sums over the pictures too: keep one number for each, shape (N,)",
        ("fit_to_y + z.square().sum(1) / 2", "(fit_to_y + z.square().sum(1) / 2).sum()"),
        "it averages over the pictures: keep one number for each, shape (N,); a mean would shrink each one's gradient",
        ("fit_to_y + z.square().sum(1) / 2", "(fit_to_y + z.square().sum(1) / 2).mean()"),
    ),
)


def best_code(energy, start, steps, learning_rate):
    """Codes (N, D) of low energy: so many steps of Adam downhill from start (N, D), on a function (N, D) -> (N,)."""
    z = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([z], lr=learning_rate)
    for _ in range(steps):
        optimiser.zero_grad()
        energy(z).sum().backward()  # each code's gradient is that of its own energy
        optimiser.step()
    return z.detach()


def _bowl(z):
    floor = 2 * torch.cos(torch.arange(len(z)) + 1.0)[:, None]  # of each code another
    return (torch.linspace(0.5, 3, z.shape[1]) * (z - floor)).square().sum(1)


def _valleys():
    """Two landscapes whose floor is not reached in the steps given: bowls, and bowls with ripples."""

    def ripples(z):
        return 3 + (0.3 * z.square() + torch.cos(2 * z)).sum(1)

    def flat(z):  # so flat that an epsilon of one's own shows
        return 1e-3 * _bowl(z)

    return [
        (_bowl, _randn(7, 3, 4), 12, 0.1),
        (ripples, 1 + 0.3 * _randn(8, 2, 5), 25, 0.03),
        (flat, 5 + _randn(9, 3, 4), 15, 0.2),
    ]


def _check_search(answer, exercise):
    """Where the steps lead; and that all are taken where they are so long that the energies rise."""
    compares(_valleys, tolerance=1e-4)(answer, exercise)
    steps, seen = 60, []

    def energy(z):
        seen.append(z)
        return _bowl(z)

    answer(energy, _randn(10, 3, 4), steps, 1.0)
    if len(seen) < steps:
        raise Misconception(
            f"of {steps} steps it takes {len(seen)}: the energies may rise for some steps and fall again, so stop only "
            "when all are taken"
        )


BEST_CODE = Exercise(
    id="05.8",
    title="Search for the best code",
    reference=best_code,
    hints=(
        "It is the training loop of notebook 01, but what moves is not the weights of a network. Which tensor is it, "
        "and which of its copies may move?",
        "z starts as a copy of `start` that requires a gradient, and is all that Adam is given. In each step: clear "
        "the old gradient, compute the energies, sum them, go backward, step. At the end, detach z.",
        "z = start.detach().clone().SOMETHING()\noptimiser = torch.optim.Adam([SOMETHING], lr=learning_rate)\n"
        "for _ in range(steps):\n    optimiser.SOMETHING()\n    energy(z).SOMETHING().backward()\n"
        "    optimiser.step()\nreturn z.SOMETHING()",
    ),
    check=_check_search,
    wrong=wrong_answers(
        "old gradients are not cleared: backward() adds to what is there, and the code flies past the floor",
        ("        optimiser.zero_grad()\n", ""),
        "it climbs: the best code has the *smallest* energy",
        ("energy(z).sum()", "(-energy(z)).sum()"),
        "it takes plain gradient steps: Adam is asked for, which sets the length of a step by itself",
        ("optim.Adam", "optim.SGD"),
        "a new Adam is made in each step: it then forgets the gradients before, and every step has the same length",
        (
            "        optimiser.zero_grad()\n",
            "        z.grad, optimiser = None, torch.optim.Adam([z], lr=learning_rate)\n",
        ),
        "it takes one step too few: `steps` are asked for",
        ("range(steps)", "range(steps - 1)"),
        "only one step is made: the loop is missing",
        ("range(steps)", "range(1)"),
        "only the first code moves: sum the energies, and each code gets the gradient of its own",
        ("energy(z).sum()", "energy(z)[0]"),
        "only the worst code moves in each step: sum the energies, and each code gets the gradient of its own",
        ("energy(z).sum()", "energy(z).max()"),
        "all codes start at the same place, the mean of the starts: each picture has a start of its own",
        ("start.detach().clone()", "start.detach().mean(0).repeat(len(start), 1)"),
        "the search begins at zero: it is to begin at `start`",
        ("start.detach().clone()", "torch.zeros_like(start)"),
        "the learning rate is not used: Adam's own of 0.001 would need fifty times the steps",
        (", lr=learning_rate", ""),
        "it returns the energies: the codes are asked for",
        ("return z.detach()", "return energy(z).detach()"),
        "these are the starts: what moved is z, a copy of them",
        ("return z.detach()", "return start.detach().clone()"),
    ),
)


def overlap_add(blocks, places, weights, height, width):
    """Blocks (L, S, S) at places [(top, left), ...], averaged with weights (S, S) -> a picture (height, width)."""
    size = len(weights)
    total, share = torch.zeros(2, height, width, dtype=blocks.dtype, device=blocks.device)
    for block, (top, left) in zip(blocks, places, strict=True):
        total[top : top + size, left : left + size] += weights * block
        share[top : top + size, left : left + size] += weights
    return total / share  # eq. (5.13)


def _overlap_probes():
    """Steps of half a block's side, of a quarter of it, and blocks in no order, with any weights and values."""
    half = [(top, left) for top in (0, 2, 4) for left in (0, 2, 4, 6)]
    quarter = [(top, left) for top in (0, 2, 4) for left in (0, 2)]
    uneven = [(3, 3), (0, 0), (1, 2), (0, 4), (3, 0), (0, 3), (2, 1), (3, 4)]
    return [
        (_rand(1, 12, 4, 4), half, window(4), 8, 10),
        (_randn(4, 6, 8, 8), quarter, 0.2 + _rand(6, 8, 8), 12, 10),
        (_randn(2, 8, 3, 3), uneven, 0.2 + _rand(3, 3, 3), 6, 7),
    ]


def _touching_probes():
    """Dark blocks that do not overlap: at their corners nothing but a weight of less than a three-thousandth."""
    return [(0.1 * (1 + _rand(5, 2, 12, 12)), [(0, 0), (0, 12)], window(12), 12, 24)]


def _on_a_grid(blocks, places, weights, height, width):
    """Where blocks would lie that are shifted by half their side."""
    size, step = len(weights), len(weights) // 2
    grid = [(t, u) for t in range(0, height - size + 1, step) for u in range(0, width - size + 1, step)]
    return overlap_add(blocks[: len(grid)], grid[: len(blocks)], weights, height, width)


FADED = (
    "something small is added to the sum of the weights, or it is clamped: where only the border of a block reaches, "
    "the weights are as small as that, and the picture fades; the sum of the weights is never 0, so just divide"
)


OVERLAP_ADD = Exercise(
    id="05.5",
    title="Overlap-add",
    reference=overlap_add,
    hints=(
        "Keep two pictures: the sum of the weighted blocks, and the sum of the weights. What do they have to do "
        "with a mean?",
        "Equation (5.13): the sum over the blocks that cover a pixel of weight times value, divided by the sum of "
        "their weights.",
        "for block, (top, left) in zip(blocks, places):\n"
        "    total[top : top + size, left : left + size] += SOMETHING\n"
        "    share[top : top + size, left : left + size] += SOMETHING\nreturn SOMETHING",
    ),
    check=compares(_overlap_probes, harder=[(FADED, _touching_probes)]),
    wrong=wrong_answers(
        "it does not divide by the weights: near the border, or where they do not sum to one, the picture is darker",
        (" / share", ""),
        "it divides by how many blocks cover a pixel: each counts by its weight, so divide by the sum of the weights",
        ("+= weights\n", "+= 1\n"),
        "the weights are not used: all blocks count alike, up to their borders",
        ("weights * block", "block", "+= weights\n", "+= 1\n"),
        "the weights are missing in the sum, though it is divided by them",
        ("weights * block", "block"),
        "a later block overwrites an earlier one: overlapping blocks are added up",
        ("+= weights * block", "= weights * block", "+= weights\n", "= weights\n"),
        "it divides by the number of all blocks: a pixel lies in a few of them only",
        ("/ share", "/ len(blocks)"),
        "the weights enter the sum squared, and the divisor once",
        ("weights * block", "weights**2 * block"),
        "it divides each block by its weights before it adds: the weights cancel, and the borders count as the middle",
        ("weights * block", "block / weights", "+= weights\n", "+= 1 / weights\n"),
        "it divides by the sum of one block's weights: each pixel has a sum of its own, over the blocks that cover it",
        ("/ share", "/ weights.sum()"),
        "top and left are mixed up: the first number of a place counts rows",
        ("(top, left) in", "(left, top) in", "height, width", "width, height"),
        "it works out where the blocks lie, as if each were shifted by half its side: their places are given, and the "
        "steps between them may be others",
        _on_a_grid,
        FADED,
        ("/ share", "/ (share + 1e-6)"),
    ),
)


def tweedie(y, sigma, log_density):
    """E[x | y] from the log-density of noisy values alone, a function (N,) -> (N,): y (N,) -> (N,)."""
    y = y.detach().clone().requires_grad_()
    (score,) = torch.autograd.grad(log_density(y).sum(), y)  # (N,), d log p(y) / dy
    return y.detach() + sigma**2 * score  # eq. (5.14)


def _normal_density(mean, deviation):
    return lambda y: -0.5 * ((y - mean) / deviation) ** 2 - math.log(deviation * math.sqrt(2 * math.pi))


def _two_bumps(y):
    parts = torch.stack([_normal_density(-0.5, 0.4)(y), _normal_density(0.8, 0.6)(y) - 0.3], -1)
    return parts.logsumexp(-1)


def _tweedie_probes():
    """Values of all kinds, some so far out that their density is zero in float32."""
    y = torch.cat([torch.linspace(-1.3, 1.7, 11), torch.tensor([-9.0, 11.0])])
    return [(y, 0.3, _normal_density(0.4, 0.7)), (y, 0.4, _two_bumps)]


TWEEDIE = Exercise(
    id="05.6",
    title="Tweedie's formula",
    reference=tweedie,
    hints=(
        "torch can take the slope of log_density at y. In which direction does it point, and how far does one go?",
        "Equation (5.14): E[x | y] = y + sigma^2 times the derivative of log p(y) with respect to y.",
        "y = y.detach().clone().requires_grad_()\n"
        "(score,) = torch.autograd.grad(SOMETHING.sum(), y)\nreturn y.detach() + SOMETHING * score",
    ),
    check=compares(_tweedie_probes),
    wrong=wrong_answers(
        "it steps down the density: the score points to where values are likelier, and that is the way to go",
        ("detach() + sigma", "detach() - sigma"),
        "the step is sigma long where it should be sigma squared: a score is one over a grey value",
        ("sigma**2", "sigma"),
        "sigma is missing: without noise there is nothing to correct, so the step must vanish with it",
        ("sigma**2 * ", ""),
        "the step is halved: Tweedie's formula has no one half",
        ("sigma**2", "0.5 * sigma**2"),
        "it takes the slope of the density: the slope of its logarithm is asked for",
        ("log_density(y).sum()", "log_density(y).exp().sum()"),
        "this is the step alone: it is to be added to y",
        ("y.detach() + ", ""),
        "this is the score: it is to be multiplied by sigma squared and added to y",
        ("y.detach() + sigma**2 * ", ""),
        "it adds the log-density and not its slope",
        ("* score", "* log_density(y.detach())"),
        "it divides by sigma squared: that way round one gets a score from a denoiser",
        ("sigma**2 * score", "score / sigma**2"),
        "it takes the slope of the mean of the log-densities: every value then gets only 1/N of its own",
        ("sum()", "mean()"),
        "it goes over the density itself, which far out is zero in float32, and zero divided by zero is NaN: "
        "log_density has a slope of its own",
        ("log_density(y).sum()", "log_density(y).exp().sum()", "* score", "* score / log_density(y).exp().detach()"),
        "it takes the difference of two values: that is near the slope, with the error of the step and of float32; "
        "autograd has the slope itself",
        lambda y, sigma, log_density: y + sigma**2 * (log_density(y + 0.01) - log_density(y - 0.01)) / 0.02,
        "that is y: the density of the noisy values has not been used",
        lambda y, sigma, log_density: y + 0,
    ),
)


def clean_error(loss, pixels, sigma):
    """Expected squared error per pixel against the clean picture, from a loss summed over `pixels` noisy targets."""
    return loss / pixels - sigma**2  # eq. (5.15)


CLEAN_ERROR = Exercise(
    id="05.7",
    title="The error behind a noisy loss",
    reference=clean_error,
    hints=(
        "A noisy target is off by its own noise, whatever the network says. How much does that add to a squared "
        "error, and what is left without it?",
        "Equation (5.15): E ||f(y) - x'||^2 = E ||f(y) - x||^2 + (number of pixels) sigma^2. Solve it for the "
        "error per pixel.",
        "return loss / SOMETHING - SOMETHING",
    ),
    check=compares(lambda: [(50.0, 4096, 0.1), (30.0, 256, 0.3), (12.0, 100, 0.2), (20.0, 100, 0.2)]),
    wrong=wrong_answers(
        "it does not take the targets' own noise away: no network can predict that, and it stays in the loss",
        (" - sigma**2", ""),
        "it takes sigma away: noise adds its variance to a squared error",
        ("sigma**2", "sigma"),
        "the sum over the pixels has not been divided: the noise of one pixel is taken from the error of all",
        (" / pixels", ""),
        "the noise is divided by the number of pixels: each pixel of a target has its own sigma^2",
        ("loss / pixels - sigma**2", "(loss - sigma**2) / pixels"),
        "this is the summed error: divide it by the number of pixels",
        ("loss / pixels - sigma", "loss - pixels * sigma"),
        "the noise is added: it is in the loss already",
        ("- sigma", "+ sigma"),
        "it takes the noise away twice: the noise of the input is no part of the loss, only that of the target",
        ("sigma**2", "2 * sigma**2"),
        "the noise is halved: one half belongs to a log-density, not to a squared error",
        ("sigma**2", "sigma**2 / 2"),
        "this is a root: the squared error is asked for",
        ("loss / pixels - sigma**2", "(loss / pixels - sigma**2) ** 0.5"),
    ),
)

EXERCISES = (  # as they stand in the notebook
    EXPECTED_ERRORS,
    POSTERIOR_MEAN,
    CODE_ENERGY,
    BEST_CODE,
    ESTIMATE_SIGMA,
    OVERLAP_ADD,
    TWEEDIE,
    CLEAN_ERROR,
)
