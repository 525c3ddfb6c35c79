"""Wrong answers to the exercises of notebook 03, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Laplace, Normal, Uniform


def scaled(noise):
    """The reparameterized draw with other noise."""
    return lambda mu, log_var: mu + torch.exp(0.5 * log_var) * noise(mu)


def antithetic(mu):
    half = torch.randn((len(mu) + 1) // 2, *mu.shape[1:])
    return torch.cat([half, -half])[: len(mu)]


def whitened(mu):
    eps = torch.randn_like(mu)
    return (eps - eps.mean(0)) / eps.std(0)


def in_place(mu, log_var):
    mu += torch.exp(0.5 * log_var) * torch.randn_like(mu)
    return mu


def seeded(mu):
    torch.manual_seed(0)
    return torch.randn_like(mu)


def seeded_by_numpy(mu):
    np.random.seed(0)
    return torch.from_numpy(np.random.randn(*mu.shape)).float()


def too_large(mu, log_var):
    return mu[:, None] + torch.exp(0.5 * log_var) * torch.randn_like(mu)


def slopes_by_autograd(df, mu, log_var, eps):
    mu, log_var = mu.detach().requires_grad_(), log_var.detach().requires_grad_()
    z = mu + torch.exp(log_var / 2) * eps
    return torch.autograd.grad((df(z.detach()) * z).sum(), (mu, log_var))


def slopes(df, mu, log_var, eps):
    sigma = torch.exp(0.5 * log_var)
    return df(mu + sigma * eps), df(mu + sigma * eps) * 0.5 * sigma * eps


def slopes_by_loop(df, mu, log_var, eps):
    each = [slopes(df, mu[k], log_var[k], eps[k]) for k in range(len(mu))]
    return torch.stack([first for first, _ in each]), torch.stack([second for _, second in each])


def weights(logits, gumbel, temperature):
    return F.softmax((logits + gumbel) / temperature, -1)


def straight_through(logits, gumbel, temperature):
    y = weights(logits, gumbel, temperature)
    return F.one_hot(y.argmax(-1), y.shape[-1]) + y - y.detach()


def relaxed_by_exponentials(logits, gumbel, temperature):
    e = torch.exp((logits + gumbel) / temperature)
    return e / e.sum(-1, keepdim=True)


def slopes_of_another_sign(first, second):
    """The gradients of 03.3 with other signs."""

    def answer(df, mu, log_var, eps):
        by_mu, by_log_var = slopes(df, mu, log_var, eps)
        return first * by_mu, second * by_log_var

    return answer


def slopes_by_the_variance(df, mu, log_var, eps):
    variance = log_var.exp()
    return df(mu + variance * eps), df(mu + variance * eps) * variance * eps


REFUSED = {
    "03.1": [
        lambda f_z, log_q: (f_z * log_q).mean(),
        lambda f_z, log_q: -(f_z.detach() * log_q).mean(),
        lambda f_z, log_q: (f_z.detach() * log_q).sum(),
        lambda f_z, log_q: f_z.detach() * log_q,
        lambda f_z, log_q: (f_z.detach() * log_q).mean(0, keepdim=True),
        lambda f_z, log_q: (f_z.detach() * log_q).mean().detach(),
        lambda f_z, log_q: (f_z.detach() * log_q).mean().item(),
        lambda f_z, log_q: (f_z * log_q.detach()).mean(),
        lambda f_z, log_q: (f_z.detach() * log_q.exp()).mean(),
        lambda f_z, log_q: (f_z.detach() + log_q).mean(),
        lambda f_z, log_q: f_z.detach().mean() * log_q.mean(),
        lambda f_z, log_q: f_z.mean() * log_q.mean(),
        lambda f_z, log_q: log_q.mean(),
        lambda f_z, log_q: f_z.mean(),
        lambda f_z, log_q: ((f_z - f_z.mean()).detach() * log_q).mean(),
        lambda f_z, log_q: (f_z.detach() * log_q).mean() + f_z.mean(),
        lambda f_z, log_q: (f_z.detach() * log_q / log_q.detach()).mean(),
        lambda f_z, log_q: (f_z.detach() * log_q.exp().log()).mean().float(),
        lambda f_z, log_q: 0.5 * (f_z.detach() * log_q).mean(),
        lambda f_z, log_q: (f_z.detach().abs() * log_q).mean(),
        lambda f_z, log_q: (f_z.detach() * log_q.square()).mean(),
        lambda f_z, log_q: torch.tensor((f_z.detach() * log_q.detach()).mean().item(), requires_grad=True),
        lambda f_z, log_q: np.mean(f_z.detach().numpy() * log_q.detach().numpy()),
    ],
    "03.2": [
        scaled(lambda mu: math.sqrt(3) * (2 * torch.rand_like(mu) - 1)),
        scaled(lambda mu: Uniform(-1.0, 1.0).sample(mu.shape)),
        scaled(lambda mu: Uniform(-math.sqrt(3), math.sqrt(3)).sample(mu.shape)),
        scaled(lambda mu: Laplace(0.0, 1.0).sample(mu.shape)),
        scaled(lambda mu: Laplace(0.0, 1 / math.sqrt(2)).sample(mu.shape)),
        scaled(lambda mu: torch.randint(0, 2, mu.shape) * 2.0 - 1),
        scaled(lambda mu: torch.randn_like(mu).sign()),
        scaled(lambda mu: torch.randn_like(mu).abs()),
        scaled(lambda mu: torch.randn_like(mu).clamp(-2, 2)),
        scaled(lambda mu: torch.distributions.StudentT(5.0).sample(mu.shape) * math.sqrt(3 / 5)),
        scaled(lambda mu: torch.distributions.Exponential(1.0).sample(mu.shape) - 1),
        scaled(lambda mu: torch.distributions.Gumbel(0.0, 1.0).sample(mu.shape)),
        scaled(lambda mu: torch.tan(math.pi * (torch.rand_like(mu) - 0.5))),
        scaled(antithetic),
        scaled(whitened),
        scaled(seeded),
        scaled(seeded_by_numpy),
        scaled(torch.rand_like),
        scaled(torch.zeros_like),
        scaled(torch.ones_like),
        scaled(lambda mu: torch.randn(())),
        scaled(lambda mu: torch.randn(mu.shape[-1])),
        scaled(lambda mu: torch.randn(len(mu), 1)),
        scaled(lambda mu: torch.from_numpy(np.random.randn(*mu.shape))),
        scaled(lambda mu: torch.tensor(np.random.normal(size=mu.shape))),
        scaled(lambda mu: np.random.randn(*mu.shape)),
        lambda mu, log_var: np.random.normal(mu, torch.exp(0.5 * log_var)),
        lambda mu, log_var: torch.from_numpy(np.random.normal(mu.detach(), torch.exp(0.5 * log_var).detach())),
        too_large,
        in_place,
        lambda mu, log_var: mu + log_var * torch.randn_like(mu),
        lambda mu, log_var: mu + log_var.exp() * torch.randn_like(mu),
        lambda mu, log_var: mu + log_var.exp().square() * torch.randn_like(mu),
        lambda mu, log_var: mu + log_var.abs().sqrt() * torch.randn_like(mu),
        lambda mu, log_var: mu + torch.randn_like(mu),
        lambda mu, log_var: mu + torch.exp(0.5 * log_var),
        lambda mu, log_var: mu * torch.exp(0.5 * log_var) + torch.randn_like(mu),
        lambda mu, log_var: torch.exp(0.5 * log_var) * torch.randn_like(mu),
        lambda mu, log_var: torch.exp(0.5 * log_var) * (mu + torch.randn_like(mu)),
        lambda mu, log_var: mu + torch.exp(0.5 * log_var.clamp(-5, 5)) * torch.randn_like(mu),
        lambda mu, log_var: mu + torch.exp(0.5 * log_var.clamp(-10, 10)) * torch.randn_like(mu),
        lambda mu, log_var: mu + (torch.exp(0.5 * log_var) + 1e-2) * torch.randn_like(mu),
        lambda mu, log_var: Normal(mu, torch.exp(0.5 * log_var)).sample(),
        lambda mu, log_var: Normal(mu, torch.exp(log_var)).rsample(),
        lambda mu, log_var: Normal(mu, torch.exp(0.5 * log_var)),
        lambda mu, log_var: Normal(mu, torch.exp(0.5 * log_var)).rsample((1,)),
        lambda mu, log_var: torch.normal(mu, torch.exp(0.5 * log_var)),
        lambda mu, log_var: (mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)).double(),
        lambda mu, log_var: (mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)).detach(),
        lambda mu, log_var: mu.detach() + torch.exp(0.5 * log_var) * torch.randn_like(mu),
        lambda mu, log_var: mu + torch.exp(0.5 * log_var).detach() * torch.randn_like(mu),
        lambda mu, log_var: (mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)).mean(0),
    ],
    "03.3": [
        slopes_by_autograd,
        lambda df, mu, log_var, eps: tuple(part.mean() for part in slopes(df, mu, log_var, eps)),
        lambda df, mu, log_var, eps: tuple(part.sum() for part in slopes(df, mu, log_var, eps)),
        lambda df, mu, log_var, eps: slopes(df, mu, log_var, eps)[0],
        lambda df, mu, log_var, eps: slopes(df, mu, log_var, eps)[::-1],
        lambda df, mu, log_var, eps: torch.stack(slopes(df, mu, log_var, eps)),
        lambda df, mu, log_var, eps: tuple(part.float() for part in slopes(df, mu, log_var, eps)),
        lambda df, mu, log_var, eps: slopes(df, mu, log_var.clamp(-5, 5), eps),
        lambda df, mu, log_var, eps: slopes(df, mu, 2 * log_var, eps),
        lambda df, mu, log_var, eps: slopes(df, mu, log_var, eps * 0 + 1),
        lambda df, mu, log_var, eps: (slopes(df, mu, log_var, eps)[0], slopes(df, mu, log_var, eps)[1] * 2),
        lambda df, mu, log_var, eps: (slopes(df, mu, log_var, eps)[0], slopes(df, mu, log_var, eps)[1] / 2),
        lambda df, mu, log_var, eps: (slopes(df, mu, log_var, eps)[0], slopes(df, mu, log_var, eps)[0] * eps),
        lambda df, mu, log_var, eps: (slopes(df, mu, log_var, eps)[0], slopes(df, mu, log_var, eps)[0] * 0.5 * eps),
        lambda df, mu, log_var, eps: (df(mu), df(mu) * 0.5 * (0.5 * log_var).exp() * eps),
        lambda df, mu, log_var, eps: (df(eps), df(eps) * 0.5 * (0.5 * log_var).exp() * eps),
        lambda df, mu, log_var, eps: (torch.ones_like(eps), 0.5 * (0.5 * log_var).exp() * eps),
        lambda df, mu, log_var, eps: (slopes(df, mu, log_var, eps)[0] * mu, slopes(df, mu, log_var, eps)[1]),
        lambda df, mu, log_var, eps: (
            slopes(df, mu, log_var, eps)[0],
            slopes(df, mu, log_var, eps)[0] * log_var.exp() * eps,
        ),
        lambda df, mu, log_var, eps: slopes(df, mu, log_var, eps.neg_()),
        lambda df, mu, log_var, eps: tuple(part.clone().requires_grad_() for part in slopes(df, mu, log_var, eps)),
        slopes_by_loop,
    ],
    "03.4": [
        4488,
        33.5,
        33,
        34,
        1120,
        1024,
        64,
        4096,
        2244,
        561,
        306,
        66,
        4,
        1 / 1122,
        1088,
        1156,
        torch.tensor([1122]),
        [1122],
        "1122",
        67.0,
        1122**0.5,
        256,
        lambda: 1122,
        -1122,
        1122j,
    ],
    "03.5": [
        lambda f_z, score: f_z.mean(),
        lambda f_z, score: f_z.median(),
        lambda f_z, score: (f_z * score).mean() / score.square().mean(),
        lambda f_z, score: (f_z * score).mean() / score.mean(),
        lambda f_z, score: (f_z * score.abs()).mean() / score.abs().mean(),
        lambda f_z, score: (f_z * score.square()).mean(),
        lambda f_z, score: (f_z * score.square()).sum() / score.square().mean(),
        lambda f_z, score: (f_z * score.square()).mean() / score.var(),
        lambda f_z, score: (f_z * score.square()).mean() / score.var(unbiased=False),
        lambda f_z, score: (f_z * score.square()).mean() / score.mean().square(),
        lambda f_z, score: (f_z * score).square().mean() / score.square().mean(),
        lambda f_z, score: f_z.mean() * score.square().mean(),
        lambda f_z, score: -(f_z * score.square()).mean() / score.square().mean(),
        lambda f_z, score: score.square().mean() / (f_z * score.square()).mean(),
        lambda f_z, score: torch.cov(torch.stack([f_z * score, score]))[0, 1] / score.var(),
        lambda f_z, score: torch.cov(torch.stack([f_z, score]))[0, 1] / score.var(),
        lambda f_z, score: ((f_z * score.square()).mean() / score.square().mean()).item(),
        lambda f_z, score: ((f_z * score.square()).mean() / score.square().mean()).float(),
        lambda f_z, score: ((f_z * score.square()).mean() / score.square().mean())[None],
        lambda f_z, score: f_z * score.square() / score.square().mean(),
        lambda f_z, score: (f_z * score.square()).mean() / (score.square().mean() + 1e-2),
        lambda f_z, score: f_z.mul_(score.square()).mean() / score.square().mean(),
        lambda f_z, score: (f_z * score.square() / score.square()).mean(),
    ],
    "03.6": [
        relaxed_by_exponentials,
        lambda logits, gumbel, temperature: F.softmax(logits + gumbel / temperature, -1),
        lambda logits, gumbel, temperature: F.softmax(logits / temperature + gumbel, -1),
        lambda logits, gumbel, temperature: F.softmax((logits + gumbel) * temperature, -1),
        lambda logits, gumbel, temperature: F.softmax((logits + gumbel) / temperature, 0),
        lambda logits, gumbel, temperature: F.softmax((logits + gumbel) / temperature, 1),
        lambda logits, gumbel, temperature: F.softmax(logits + gumbel, -1) / temperature,
        lambda logits, gumbel, temperature: F.softmax(logits + gumbel, -1),
        lambda logits, gumbel, temperature: F.softmax(logits / temperature, -1),
        lambda logits, gumbel, temperature: F.softmax(logits, -1) + gumbel / temperature,
        lambda logits, gumbel, temperature: F.softmax((F.softmax(logits, -1) + gumbel) / temperature, -1),
        lambda logits, gumbel, temperature: F.softmax((logits - gumbel) / temperature, -1),
        lambda logits, gumbel, temperature: F.log_softmax((logits + gumbel) / temperature, -1),
        lambda logits, gumbel, temperature: torch.sigmoid((logits + gumbel) / temperature),
        lambda logits, gumbel, temperature: torch.exp((logits + gumbel) / temperature),
        lambda logits, gumbel, temperature: (logits + gumbel) / temperature,
        lambda logits, gumbel, temperature: F.gumbel_softmax(logits, temperature),
        lambda logits, gumbel, temperature: F.gumbel_softmax(logits + gumbel, temperature),
        lambda logits, gumbel, temperature: F.gumbel_softmax(logits, temperature, hard=True),
        lambda logits, gumbel, temperature: F.one_hot((logits + gumbel).argmax(-1), logits.shape[-1]),
        lambda logits, gumbel, temperature: (logits + gumbel).argmax(-1),
        straight_through,
        lambda logits, gumbel, temperature: weights(logits.detach(), gumbel, temperature),
        lambda logits, gumbel, temperature: weights(logits, gumbel, temperature).detach(),
        lambda logits, gumbel, temperature: weights(logits, gumbel, temperature).float(),
        lambda logits, gumbel, temperature: weights(logits, gumbel, max(temperature, 0.5)),
        lambda logits, gumbel, temperature: weights(logits, gumbel, temperature + 0.1),
        lambda logits, gumbel, temperature: weights(logits, gumbel - gumbel.mean(), temperature) + 1e-3,
        lambda logits, gumbel, temperature: torch.tensor(weights(logits.detach(), gumbel, temperature).tolist()),
        lambda logits, gumbel, temperature: weights(logits, gumbel, temperature).sum(-1),
    ],
}

TOLD = {
    "03.1": [
        (lambda f_z, log_q: (log_q.detach() * f_z).mean(), "holds the wrong factor fixed"),
        (lambda f_z, log_q: 0.5 * (f_z.detach() * log_q).mean(), "its part ['gradient with respect to log_q'] is"),
    ],
    "03.2": [
        (scaled(lambda mu: torch.randn_like(mu).abs()), "one sign only"),
        (scaled(lambda mu: -torch.randn_like(mu).abs()), "one sign only"),
        (scaled(lambda mu: torch.distributions.Exponential(1.0).sample(mu.shape)), "one sign only"),
        (scaled(lambda mu: 0.58 * torch.randn_like(mu)), "the standard deviation of the draws is not"),
        (scaled(lambda mu: torch.randn_like(mu).clamp(-0.7, 0.7)), "the standard deviation of the draws is not"),
        (scaled(lambda mu: torch.rand_like(mu) - 0.5), "the noise is uniform"),
        (scaled(lambda mu: 2 * torch.rand_like(mu) - 1), "the noise is uniform"),
    ],
    "03.3": [
        (slopes_by_the_variance, "reads log_var as the log of the standard deviation"),
        (slopes_of_another_sign(1, -1), "the sign of the second is flipped"),
        (slopes_of_another_sign(-1, -1), "both signs are flipped"),
    ],
    "03.6": [(relaxed_by_exponentials, "it overflows")],
}
