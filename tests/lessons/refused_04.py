"""Wrong answers to the exercises of notebook 04, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from vae_helpers.distributions import kl_to_standard_normal
from vae_helpers.exercises.changes import changed
from vae_helpers.lessons.lesson_04 import aggregate_moments as right_moments
from vae_helpers.lessons.lesson_04 import autoencoder_loss, conv_cost, split_kl
from vae_helpers.lessons.lesson_04 import best_sigma as right_sigma
from vae_helpers.lessons.lesson_04 import free_bits as right_bits
from vae_helpers.lessons.lesson_04 import gaussian_nll as right_nll

CONSTANT = 0.5 * math.log(2 * math.pi)


def density(x, mean, sigma):
    return torch.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


CONV_COST = (
    ("//", "/"),
    ("stride + 1", "stride"),
    ("2 * padding", "padding"),
    (" + 2 * padding", ""),
    ("(size + 2 * padding - kernel) // stride + 1", "size // stride"),
    ("(size + 2 * padding - kernel) // stride + 1", "-(-size // stride)"),
    ("(size + 2 * padding - kernel) // stride + 1", "round((size + 2 * padding - kernel) / stride) + 1"),
    ("kernel**2 + 1)", "kernel**2)"),
    ("(c_in * kernel**2 + 1)", "c_in * kernel**2 + c_in"),
    ("(c_in * kernel**2 + 1)", "c_in * (kernel**2 + 1)"),
    ("(c_in * kernel**2 + 1)", "c_in * kernel**2 + 1"),
    ("kernel**2 + 1", "kernel + 1"),
    ("kernel**2 + 1", "size**2 + 1"),
    ("kernel**2 *", "kernel *"),
    ("size_out**2", "size**2"),
    ("size_out**2", "size_out"),
    ("c_out * c_in *", "c_out *"),
    ("c_out * c_in *", "c_in *"),
    (" * size_out**2", ""),
    ("c_out * c_in * kernel**2", "parameters"),
    ("c_out * c_in", "2 * c_out * c_in"),
    ("return size_out, parameters, multiplications", "return str(size_out), parameters, multiplications"),
    ("return size_out, parameters, multiplications", "return size_out, parameters"),
    ("return size_out, parameters, multiplications", "return torch.tensor([size_out, parameters, multiplications])"),
    ("return size_out, parameters, multiplications", "return (size_out, size_out), parameters, multiplications"),
    ("return size_out, parameters, multiplications", "return size_out, multiplications, parameters"),
)

SPLIT_KL = (
    (" - math.log(len(z))", ""),
    ("- math.log(len(z))", "+ math.log(len(z))"),
    ("- math.log(len(z))", "- math.log(len(z) - 1)"),
    ("- math.log(len(z))", "- math.log(mu.shape[1])"),
    ("pairs.logsumexp(1)", "pairs.exp().mean(1).log()"),
    ("pairs.logsumexp(1)", "pairs.logsumexp(0)"),
    ("pairs.logsumexp(1)", "pairs.amax(1)"),
    ("pairs.logsumexp(1) - math.log(len(z))", "pairs.mean(1)"),
    ("pairs.diagonal()", "pairs[0]"),
    ("pairs.diagonal()", "pairs[:, 0]"),
    ("0.5 * log_var", "log_var"),
    ("0.5 * log_var", "2 * log_var"),
    (".sum(2)", ".mean(2)"),
    (".sum(-1)", ".mean(-1)"),
    (" * eps", ""),
    (" + width * eps", ""),
    ("log_q - log_p", "log_p"),
    ("log_q - log_p", "pairs.diagonal() - log_p"),
    ("z.square()", "(z - mu.mean(0)).square()"),
    ("pairs.diagonal() - log_q", "log_q - pairs.diagonal()"),
)


def naive_split(mu, log_var, eps):
    """Right, but densities are formed on the way."""
    z = mu + (0.5 * log_var).exp() * eps
    density = torch.stack([Normal(mu, (0.5 * log_var).exp()).log_prob(one).sum(1).exp() for one in z])
    log_q = (density.mean(1) + 1e-30).log()
    log_p = Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z).sum(1)
    return density.diagonal().log() - log_q, log_q - log_p


REFUSED = {
    "04.1": [
        *(changed(conv_cost, change) for change in CONV_COST),
    ],
    "04.2": [
        lambda x, mean, sigma: -density(x, mean, sigma).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -torch.log(Normal(mean, sigma).log_prob(x).exp()).sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).flatten(1).prod(1).log(),
        lambda x, mean, sigma: -(density(x, mean, sigma) + 1e-12).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).clamp(min=1e-30).log().sum((1, 2, 3)),
        lambda x, mean, sigma: right_nll(x, mean, sigma).detach(),
        lambda x, mean, sigma: right_nll(x, mean.detach(), sigma),
        lambda x, mean, sigma: torch.from_numpy(right_nll(x.detach(), mean.detach(), sigma).numpy()),
        lambda x, mean, sigma: right_nll(x.double(), mean.double(), sigma),
        lambda x, mean, sigma: right_nll(x, mean, sigma).half(),
        lambda x, mean, sigma: [v.item() for v in right_nll(x, mean, sigma)],
        lambda x, mean, sigma: right_nll(x, mean, sigma)[:, None],
        lambda x, mean, sigma: right_nll(x, mean, sigma).mean(),
        lambda x, mean, sigma: right_nll(x, mean, sigma).sum(),
        lambda x, mean, sigma: right_nll(x, mean, sigma) / x[0].numel(),
        lambda x, mean, sigma: -right_nll(x, mean, sigma),
        lambda x, mean, sigma: right_nll(x, mean, sigma) / math.log(2),
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma) ** 2 + math.log10(sigma) + CONSTANT).sum((1, 2, 3)),
        lambda x, mean, sigma: right_nll(x, mean, math.sqrt(sigma)),
        lambda x, mean, sigma: (0.5 * (x - mean) ** 2 / sigma + math.log(sigma) + CONSTANT).sum((1, 2, 3)),
        lambda x, mean, sigma: right_nll(x, mean, sigma) - x[0].numel() * CONSTANT,
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma) ** 2 + math.log(sigma)).sum((1, 2, 3)) + CONSTANT,
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma) ** 2 + CONSTANT).sum((1, 2, 3)) + math.log(sigma),
        lambda x, mean, sigma: (((x - mean) / sigma).abs() + math.log(2 * sigma)).sum((1, 2, 3)),
        lambda x, mean, sigma: (0.5 * ((x - mean) / (sigma + 0.001)) ** 2 + math.log(sigma + 0.001) + CONSTANT).sum(
            (1, 2, 3)
        ),
        lambda x, mean, sigma: right_nll(x, mean, max(sigma, 0.1)),
        lambda x, mean, sigma: F.gaussian_nll_loss(mean, x, torch.full_like(x, sigma**2), reduction="none").sum(
            (1, 2, 3)
        ),
        lambda x, mean, sigma: F.gaussian_nll_loss(mean, x, torch.full_like(x, sigma), full=True, reduction="none").sum(
            (1, 2, 3)
        ),
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma) ** 2 + math.log(sigma) + CONSTANT).sum((2, 3)),
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma) ** 2 + math.log(sigma) + CONSTANT).sum((0, 2, 3)),
        lambda x, mean, sigma: (0.5 * ((x - mean) / sigma).clamp(-5, 5) ** 2 + math.log(sigma) + CONSTANT).sum(
            (1, 2, 3)
        ),
        lambda x, mean, sigma: (
            right_nll(x, mean, sigma) if x.requires_grad else (x.requires_grad_(), right_nll(x, mean, sigma))[1]
        ),
    ],
    "04.3": [
        lambda x, x_hat: torch.exp(0.5 * torch.log((x - x_hat).square().mean() + 1e-08)),
        lambda x, x_hat: (x - x_hat).square().mean(),
        lambda x, x_hat: (x - x_hat).square().sum().sqrt(),
        lambda x, x_hat: (x - x_hat).std(),
        lambda x, x_hat: (x - x_hat).std(correction=0),
        lambda x, x_hat: (x - x_hat).abs().mean(),
        lambda x, x_hat: (x - x_hat).abs().mean().sqrt(),
        lambda x, x_hat: (x - x_hat).square().mean((1, 2, 3)).sqrt(),
        lambda x, x_hat: (x - x_hat).square().mean((1, 2, 3)).sqrt().mean(),
        lambda x, x_hat: right_sigma(x, x_hat).item(),
        lambda x, x_hat: right_sigma(x.double(), x_hat.double()),
        lambda x, x_hat: right_sigma(x, x_hat)[None],
        lambda x, x_hat: right_sigma(x, x_hat) / 2,
        lambda x, x_hat: ((x - x_hat).square().mean() / 2).sqrt(),
        lambda x, x_hat: ((x - x_hat).square().sum() / (x.numel() - 1)).sqrt(),
        lambda x, x_hat: torch.logspace(-3, 1, 401)[
            (torch.logspace(-3, 1, 401) - right_sigma(x, x_hat)).abs().argmin()
        ],
        lambda x, x_hat: (x - x_hat).abs().median() / 0.6745,
        lambda x, x_hat: x.std(),
        lambda x, x_hat: (x - x_hat).square().sum((2, 3)).mean().sqrt(),
        lambda x, x_hat: ((x - x_hat) / x).square().mean().sqrt(),
        lambda x, x_hat: right_sigma(x, x_hat).log(),
        lambda x, x_hat: right_sigma(x.clamp(0, 1), x_hat.clamp(0, 1)),
        lambda x, x_hat: right_sigma(x.half(), x_hat.half()).to(x.dtype),
        lambda x, x_hat: np.sqrt(np.mean((x.numpy() - x_hat.numpy()) ** 2)),
    ],
    "04.4": [
        lambda mu, threshold=0.01: int((mu.std(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.var(1) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.mean(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.square().mean(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.abs().mean(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.var(0) < threshold).sum()),
        lambda mu, threshold=0.01: (mu.var(0) > threshold).float().mean().item(),
        lambda mu, threshold=0.01: mu.var(0) > threshold,
        lambda mu, threshold=0.01: mu.var(0),
        lambda mu, threshold=0.01: int((mu.var(0) > 0.01).sum()),
        lambda mu, threshold=0.1: int((mu.var(0) > threshold).sum()),
        lambda mu, threshold: int((mu.var(0) > threshold).sum()),
        lambda mu, threshold=0.01: mu.shape[1],
        lambda mu, threshold=0.01: torch.where(mu.var(0) > threshold)[0],
        lambda mu, threshold=0.01: int((mu.max(0).values - mu.min(0).values > threshold).sum()),
        lambda mu, threshold=0.01: int(((mu - mu.mean(0)).square().sum(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu > threshold).any(0).sum()),
        lambda mu, threshold=0.01: int((mu.var() > threshold).sum()),
        lambda mu, threshold=0.01: (mu.var(0, keepdim=True) > threshold).sum(1),
        lambda mu, threshold=0.01: bool((mu.var(0) > threshold).any()),
        lambda mu: int((mu.var(0) > 0.01).sum()),
        lambda mu, threshold=0.01: int((mu.var(0) > threshold**2).sum()),
        lambda mu, threshold=0.01: int((mu.sub_(mu.mean(0)).square().mean(0) > threshold).sum()),
        lambda mu, threshold=0.01: int((mu.var(0) >= threshold).sum()),
        lambda mu, threshold=0.01: int((mu[:, :32].var(0) > threshold).sum()),
    ],
    "04.5": [
        lambda mu, log_var: (
            mu.mean(0),
            torch.from_numpy(np.cov(mu.numpy().T, bias=True)) + torch.diag(log_var.exp().mean(0)),
        ),
        lambda mu, log_var: right_moments(mu.double(), log_var.double()),
        lambda mu, log_var: tuple(v.half() for v in right_moments(mu, log_var)),
        lambda mu, log_var: tuple(v.numpy() for v in right_moments(mu, log_var)),
        lambda mu, log_var: right_moments(mu, log_var)[::-1],
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T) + torch.diag(log_var.exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0)),
        lambda mu, log_var: (mu.mean(0), torch.diag(log_var.exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.diag(mu.var(0, correction=0) + log_var.exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), mu.var(0, correction=0) + log_var.exp().mean(0)),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag(log_var.mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag(log_var.mean(0).exp())),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag((log_var / 2).exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag((log_var / 2).exp().mean(0) ** 2)),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag((2 * log_var).exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + log_var.exp().mean(0)),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.eye(mu.shape[1]) * log_var.exp().mean()),
        lambda mu, log_var: (mu.mean(0), mu.T @ mu / len(mu) + torch.diag(log_var.exp().mean(0))),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu, correction=0)),
        lambda mu, log_var: (mu.sum(0), right_moments(mu, log_var)[1]),
        lambda mu, log_var: (mu.mean(1), right_moments(mu, log_var)[1]),
        lambda mu, log_var: (mu.mean(0, keepdim=True), right_moments(mu, log_var)[1]),
        lambda mu, log_var: (mu.mean(0), torch.corrcoef(mu.T)),
        lambda mu, log_var: right_moments(mu, log_var.clamp(-2, 2)),
        lambda mu, log_var: right_moments(mu, log_var.clamp(-5, 5)),
        lambda mu, log_var: (mu.mean(0), right_moments(mu, log_var)[1] + 0.001 * torch.eye(mu.shape[1])),
        lambda mu, log_var: (mu.mean(0), right_moments(mu, log_var)[1] + 0.0001 * torch.eye(mu.shape[1])),
        lambda mu, log_var: (mu.mean(0), torch.cov((mu + torch.randn_like(mu) * (log_var / 2).exp()).T, correction=0)),
        lambda mu, log_var: (*right_moments(mu, log_var), 0),
        lambda mu, log_var: right_moments(mu, log_var)[1],
        lambda mu, log_var: (lambda m: (m, mu.sub_(m).T @ mu / len(mu) + torch.diag(log_var.exp().mean(0))))(
            mu.mean(0)
        ),
        lambda mu, log_var: (mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag(log_var.exp_().mean(0))),
    ],
    "04.6": [
        lambda kl, floor: right_bits(kl, floor).item(),
        lambda kl, floor: right_bits(kl, floor).detach(),
        lambda kl, floor: kl.clamp(min=floor).mean(0).sum(),
        lambda kl, floor: kl.clamp(min=floor).sum(1).mean(),
        lambda kl, floor: kl.mean(0).sum().clamp(min=floor),
        lambda kl, floor: kl.sum(1).clamp(min=floor).mean(),
        lambda kl, floor: kl.mean(0).sum().clamp(min=floor * kl.shape[1]),
        lambda kl, floor: kl.mean(0).clamp(max=floor).sum(),
        lambda kl, floor: (kl.mean(0) + floor).sum(),
        lambda kl, floor: (kl.mean(0) - floor).sum(),
        lambda kl, floor: F.relu(kl.mean(0) - floor).sum(),
        lambda kl, floor: kl.mean(0).clamp(min=floor).mean(),
        lambda kl, floor: kl.mean(1).clamp(min=floor).sum(),
        lambda kl, floor: kl.sum(0).clamp(min=floor).sum(),
        lambda kl, floor: kl.mean(0).sum(),
        lambda kl, floor: kl.mean(0).clamp(min=floor),
        lambda kl, floor: torch.where(kl.mean(0) > floor, kl.mean(0), 0.0).sum(),
        lambda kl, floor: (floor + F.softplus(kl.mean(0) - floor)).sum(),
        lambda kl, floor: (floor + F.softplus(kl.mean(0) - floor, beta=50)).sum(),
        lambda kl, floor: (kl.mean(0) + F.relu(floor - kl.mean(0)).detach()).sum(),
        lambda kl, floor: right_bits(kl.double(), floor),
        lambda kl, floor: torch.tensor([max(k.item(), floor) for k in kl.mean(0)]).sum(),
        lambda kl, floor: sum(max(k, floor) for k in kl.mean(0)),
        lambda kl, floor: max(kl.mean(0).sum(), floor),
        lambda kl, floor: kl.mean(0, keepdim=True).clamp(min=floor).sum(1),
        lambda kl, floor: kl.median(0).values.clamp(min=floor).sum(),
        lambda kl, floor: kl.mean(0).clamp(min=floor / kl.shape[1]).sum(),
        lambda kl, floor: kl.mean(0).clamp(min=0.5).sum(),
        lambda kl, floor: torch.where(kl.mean(0) < floor, kl.mean(0), floor).sum(),
        lambda kl, floor: kl.detach().clamp_(min=floor).mean(0).sum() + 0 * kl.sum(),
        lambda kl, floor: kl.mean(0).div(math.log(2)).clamp(min=floor).sum(),
        lambda kl, floor: kl.mean(0).clamp(floor, 10).sum(),
    ],
    "04.7": [
        *(changed(split_kl, change) for change in SPLIT_KL),
        lambda mu, log_var, eps: split_kl(mu, log_var, torch.randn_like(eps)),
        lambda mu, log_var, eps: split_kl(mu, log_var.clamp(-1, 1), eps),
        lambda mu, log_var, eps: split_kl(mu.half(), log_var.half(), eps.half()),
        lambda mu, log_var, eps: torch.stack(split_kl(mu, log_var, eps)),
        lambda mu, log_var, eps: split_kl(mu, log_var, eps)[0],
        lambda mu, log_var, eps: tuple(part.sum() for part in split_kl(mu, log_var, eps)),
        lambda mu, log_var, eps: tuple(part / math.log(2) for part in split_kl(mu, log_var, eps)),
        lambda mu, log_var, eps: (split_kl(mu, log_var, eps)[0].clamp(max=math.log(len(mu) - 1)), mu[:, 0]),
        lambda mu, log_var, eps: (torch.full((len(mu),), math.log(len(mu))), split_kl(mu, log_var, eps)[1]),
        naive_split,
    ],
    "04.8": [
        lambda model, x: -model.decode(model.encode(x).sample()).log_prob(x),
        lambda model, x: -model.decode(model.encode(x).rsample()).log_prob(x),
        lambda model, x: -model.decode(model.encode(x).mean.detach()).log_prob(x),
        lambda model, x: autoencoder_loss(model, x).detach(),
        lambda model, x: autoencoder_loss(model, x).mean(),
        lambda model, x: autoencoder_loss(model, x).sum(),
        lambda model, x: -autoencoder_loss(model, x),
        lambda model, x: {"loss": autoencoder_loss(model, x)},
        lambda model, x: autoencoder_loss(model, x) + kl_to_standard_normal(model.encode(x)),
        lambda model, x: autoencoder_loss(model, x) + 0.01 * model.encode(x).mean.square().sum(1),
        lambda model, x: F.mse_loss(model.reconstruct(x), x),
        lambda model, x: (model.decode(model.encode(x).mean).mean - x).square().sum((1, 2, 3)) / 2,
        lambda model, x: (model.decode(model.encode(x).mean).mean - x).abs().sum((1, 2, 3)),
        lambda model, x: -model.decode(model.encode(x).mean).log_prob(model.decode(model.encode(x).mean).mean),
        lambda model, x: -Normal(model.decode(model.encode(x).mean).mean, 0.4).log_prob(x.detach()).sum((1, 2, 3)),
        lambda model, x: -model.decode(torch.zeros_like(model.encode(x).mean)).log_prob(x),
        lambda model, x: autoencoder_loss(model, x)[:, None],
        lambda model, x: autoencoder_loss(model, x).abs(),
        lambda model, x: autoencoder_loss(model, x).clamp(min=0),
        lambda model, x: F.relu(autoencoder_loss(model, x)),
    ],
}

TOLD = {
    "04.4": [(lambda mu, threshold=0.01: (mu.std(0) > threshold).sum(), "standard deviation")],
}
