"""The patients of notebook 12: VAEs that are healthy but for one line, which is a bug met in public code.

`PATIENTS[letter].train(ward)` trains one on the pictures of a ward with its wrong line, `train(ward, line)` with the
learner's. Nothing else differs, so that what one sees is what the line does. The notebook names each bug's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from vae_helpers.data.dataset import Dataset
from vae_helpers.devices import seed_everything
from vae_helpers.distributions import GaussianLikelihood, diagonal_gaussian
from vae_helpers.distributions.gaussian import kl_by_latent
from vae_helpers.models import VAE, AdversarialPair, PatchDiscriminator
from vae_helpers.objectives import negative_elbo_with_critic
from vae_helpers.training import History, Phase, TrainingDiverged, fit

Line = Callable[..., Any]


class Treated(NamedTuple):
    """A model after its training, and what it was trained on."""

    model: VAE
    history: History | None
    seen: Tensor  # uint8 (N, C, H, W)
    held_out: Tensor


@dataclass(frozen=True)
class Ward:
    """Where patients are trained: pictures, a healthy architecture, and how long.

    Attributes:
        data: its training and validation splits are used.
        build: likelihood -> a healthy VAE.
        steps, batch_size, learning_rate, seed: for `fit`.
        progress: whether to show how far training is.
    """

    data: Dataset
    build: Callable[[nn.Module], VAE]
    steps: int
    batch_size: int = 64
    learning_rate: float = 8e-3
    seed: int = 0
    progress: bool = False

    def vae(self, likelihood: nn.Module | None = None) -> VAE:
        """A healthy VAE, the same for each call but for its likelihood: a Gaussian with a learned sigma unless told."""
        seed_everything(self.seed)
        return self.build(likelihood or GaussianLikelihood(0.1, learn_sigma=True, levels=self.data.levels))

    def vae_of(self, kind: type[VAE]) -> VAE:
        """The parts of a healthy VAE in one of another class."""
        healthy = self.vae()
        return kind(healthy.encoder, healthy.decoder, healthy.likelihood, healthy.latent_dim)

    def treated(
        self, model: nn.Module, seen: Tensor | None = None, held_out: Tensor | None = None, **changes: Any
    ) -> Treated:
        """The model after its training on the ward's pictures, or on those given, with changed settings of `fit`."""
        seen = self.data.train.images if seen is None else seen
        held_out = self.data.validation.images if held_out is None else held_out
        settings = {
            "learning_rate": self.learning_rate,
            "betas": (0.9, 0.98),
            "seed": self.seed,
            "progress": self.progress,
        }
        sizes = {"steps": self.steps, "batch_size": self.batch_size, "validation": held_out[:500]}
        try:
            history = fit(model, seen, **sizes | settings | changes)
        except TrainingDiverged:
            history = None
        return Treated(model, history, seen, held_out)


@dataclass(frozen=True)
class Patient:
    """A bug in one line.

    Attributes:
        disease: what `diagnose` calls it.
        wrong, right: the line as a function, as it was met and as it should be.
        course: (ward, line) -> Treated.
    """

    disease: str
    wrong: Line
    right: Line
    course: Callable[[Ward, Line], Treated]

    def train(self, ward: Ward, line: Line | None = None) -> Treated:
        """The patient with its wrong line, or with the one given."""
        return self.course(ward, self.wrong if line is None else line)


# --- how the KL is weighed ------------------------------------------------------------------------------------------


def averaged(distortion, kl):
    """The loss of a batch: nats of the pictures (N,), nats of the latents (N, D) -> a scalar."""
    return distortion.mean() + kl.mean()


def summed_over_all(distortion, kl):
    """The loss of a batch: nats of the pictures (N,), nats of the latents (N, D) -> a scalar."""
    return (distortion + kl.sum()).mean()


def weighed(distortion, kl):
    """The loss of a batch: nats of the pictures (N,), nats of the latents (N, D) -> a scalar."""
    per_picture = distortion + kl.sum(1)  # (N,), what one picture costs: its latents add up as its pixels did
    return per_picture.mean()


def _with_loss(ward: Ward, line: Line) -> Treated:
    def objective(model: VAE, x: Tensor) -> dict[str, Tensor]:
        mu, sigma = _moments(model, x)
        distortion = -model.decode(mu + sigma * torch.randn_like(mu)).log_prob(x)
        kl = kl_by_latent(mu, 2 * sigma.log())
        return _parts(line(distortion, kl), distortion, kl.sum(1))

    return ward.treated(ward.vae(), objective=objective)


def _moments(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    q = model.encode(x)
    return q.base_dist.loc, q.base_dist.scale


def _parts(loss: Tensor, distortion: Tensor, kl: Tensor) -> dict[str, Tensor]:
    return {"loss": loss, "distortion": distortion, "kl": kl}


# --- how codes are drawn --------------------------------------------------------------------------------------------


def scale(log_var):
    """The standard deviation of codes: log-variances of any shape -> the same shape."""
    return torch.exp(log_var / 2)  # the root of a variance: half of its log


def scale_without_half(log_var):
    """The standard deviation of codes: log-variances of any shape -> the same shape."""
    return torch.exp(log_var)


def _with_scale(ward: Ward, line: Line) -> Treated:
    class Scaled(VAE):
        """Its sigma is made by the line from what its encoder calls log_var."""

        def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.encoder(self.likelihood.encoder_input(x)).float().chunk(2, dim=-1)  # (N, D) each

        def encode(self, x: Tensor) -> Independent:
            mu, log_var = self.heads(x)
            return Independent(Normal(mu, line(log_var)), 1)

    def objective(model: Scaled, x: Tensor) -> dict[str, Tensor]:
        mu, log_var = model.heads(x)
        distortion = -model.decode(model.encode(x).rsample()).log_prob(x)
        kl = kl_by_latent(mu, log_var).sum(1)
        return _parts(distortion + kl, distortion, kl)

    return ward.treated(ward.vae_of(Scaled), objective=objective)


def as_in_the_file(levels):
    """What the encoder sees of levels 0 .. 255: (N, C, H, W), float32 -> the same shape."""
    return levels


def of_one(levels):
    """What the encoder sees of levels 0 .. 255: (N, C, H, W), float32 -> the same shape."""
    return levels / 255


def _with_input(ward: Ward, line: Line) -> Treated:
    class Unbounded(VAE):
        """Nothing keeps its log_var from growing, and its encoder sees what the line makes of the levels."""

        def encode(self, x: Tensor) -> Independent:
            mu, log_var = self.encoder(line(255 * self.likelihood.encoder_input(x))).float().chunk(2, dim=-1)
            return diagonal_gaussian(mu, log_var)

    return ward.treated(ward.vae_of(Unbounded))


# --- what the decoder says ------------------------------------------------------------------------------------------


def one(x, mean):
    """The decoder's sigma for pictures x and their means, (N, C, H, W) each -> a scalar."""
    return torch.ones(())


def error(x, mean):
    """The decoder's sigma for pictures x and their means, (N, C, H, W) each -> a scalar."""
    return (x - mean).square().mean().sqrt()  # over pixels and pictures: the sigma under which x is likeliest


def _with_sigma(ward: Ward, line: Line) -> Treated:
    model = ward.vae()
    model.likelihood = _Remembered(ward.data.levels)

    def objective(model: VAE, x: Tensor) -> dict[str, Tensor]:
        mu, sigma = _moments(model, x)
        mean = model.decode(mu + sigma * torch.randn_like(mu)).mean
        noise = line(x, mean)
        model.likelihood.remember(noise)
        distortion = -Normal(mean, noise).log_prob(x).flatten(1).sum(1)
        kl = kl_by_latent(mu, 2 * sigma.log()).sum(1)
        return _parts(distortion + kl, distortion, kl)

    return ward.treated(model, objective=objective)


class _Remembered(GaussianLikelihood):
    """A Gaussian whose sigma is a running mean of what it was said to be."""

    def __init__(self, levels: int):
        super().__init__(1.0, levels=levels)
        self.register_buffer("said", torch.ones(()))

    @property
    def sigma(self) -> Tensor:
        return self.said

    def remember(self, sigma: Tensor) -> None:
        if self.training:
            self.said.lerp_(sigma.detach(), 0.02)


def means_only(mean, sigma):
    """Draws of p(x | z): its means (N, C, H, W) and its sigma, a scalar -> (N, C, H, W)."""
    return mean


def with_noise(mean, sigma):
    """Draws of p(x | z): its means (N, C, H, W) and its sigma, a scalar -> (N, C, H, W)."""
    return mean + sigma * torch.randn_like(mean)  # a number of its own for each pixel


def _with_sample(ward: Ward, line: Line) -> Treated:
    class Sampler(VAE):
        """Its sample() is made by the line, `draw`, which has no part in its training."""

        draw = staticmethod(line)

        @torch.no_grad()
        def sample(self, n: int) -> Tensor:
            return self.draw(self.decode(self.prior.sample((n,))).mean, self.likelihood.sigma)

    return ward.treated(ward.vae_of(Sampler))


# --- how networks are built -----------------------------------------------------------------------------------------


def statistics_of_the_batch(features):
    """A layer that normalises (N, features)."""
    return nn.BatchNorm1d(features, track_running_stats=False)


def statistics_of_training(features):
    """A layer that normalises (N, features)."""
    return torch.nn.BatchNorm1d(features)  # in eval() by running statistics, which training has left


def _with_norm(ward: Ward, line: Line) -> Treated:
    model = ward.vae()
    for network in (model.encoder, model.decoder):
        for name, dense in list(network.named_modules()):
            if isinstance(dense, nn.Linear) and name != _last(network):
                network.set_submodule(name, nn.Sequential(dense, line(dense.out_features)))
    return ward.treated(model)


def _last(network: nn.Module) -> str:
    return [name for name, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]


def repeated(make, n):
    """n layers one after the other: a function that makes one, and how many -> a module."""
    return nn.Sequential(*[make()] * n)


def stacked(make, n):
    """n layers one after the other: a function that makes one, and how many -> a module."""
    return torch.nn.Sequential(*[make() for _ in range(n)])  # made n times, not written down n times


def _with_stack(ward: Ward, line: Line) -> Treated:
    model = ward.vae()
    name = _last(model.encoder)
    last = model.encoder.get_submodule(name)
    width = last.in_features

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(width, width), nn.SiLU())

    model.encoder.set_submodule(name, nn.Sequential(line(make, 3), last))
    return ward.treated(model)


def without_bias(n_in, n_out):
    """A dense layer (N, n_in) -> (N, n_out)."""
    return nn.Linear(n_in, n_out, bias=False)


def with_bias(n_in, n_out):
    """A dense layer (N, n_in) -> (N, n_out)."""
    return nn.Linear(n_in, n_out)


def _with_layer(ward: Ward, line: Line) -> Treated:
    model = ward.vae()
    for name, layer in list(model.decoder.named_modules()):
        if isinstance(layer, nn.Linear):
            made = line(layer.in_features, layer.out_features)
            made.load_state_dict(layer.state_dict(), strict=False)  # the weights it had: biases make the difference
            model.decoder.set_submodule(name, made)
        elif isinstance(layer, nn.Conv2d) and line(1, 1).bias is None:
            layer.bias = None
    return ward.treated(model)


# --- how they are trained -------------------------------------------------------------------------------------------


def times_pictures(base, machines, batch_size):
    """Adam's learning rate on so many machines, each with its batch."""
    return base * machines * batch_size


def as_it_is(base, machines, batch_size):
    """Adam's learning rate on so many machines, each with its batch."""
    return base


MACHINES, EACH = 8, 4


def _with_rate(ward: Ward, line: Line) -> Treated:
    return ward.treated(ward.vae(), learning_rate=float(line(ward.learning_rate, MACHINES, EACH)))


def held_out_of_all(images, order, n):
    """Training and held-out pictures: images (N, C, H, W), their numbers in a random order (N,), how many to hold out.

    Returns two tensors of images, the second with n.
    """
    return images[order], images[order[:n]]


def two_parts(images, order, n):
    """Training and held-out pictures: images (N, C, H, W), their numbers in a random order (N,), how many to hold out.

    Returns two tensors of images, the second with n.
    """
    return images[order[n:]], images[order[:n]]  # all but the first n of the order, and these


def _with_split(ward: Ward, line: Line) -> Treated:
    images = torch.cat([ward.data.train.images, ward.data.validation.images])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(ward.seed))
    return ward.treated(ward.vae(), *line(images, order, len(ward.data.validation.images)))


def both_real(d_real, d_made):
    """The critic's loss from its logits for real and made pictures, (N, places) each -> a scalar."""
    return F.softplus(-d_real).mean() + F.softplus(-d_made).mean()


def real_and_made(d_real, d_made):
    """The critic's loss from its logits for real and made pictures, (N, places) each -> a scalar."""
    return F.softplus(-d_real).mean() + F.softplus(d_made).mean()  # -log sigmoid(d), and -log(1 - sigmoid(d))


def _with_critic(ward: Ward, line: Line) -> Treated:
    pair = AdversarialPair(ward.vae(), PatchDiscriminator(ward.data.image_shape[0], 16))

    def critics(pair: AdversarialPair, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            made = pair.vae.decode(pair.vae.encode(x).rsample()).mean.clamp(0, 1)
        d_real, d_made = (pair.critic(pictures).flatten(1) for pictures in (x, made))
        right = ((d_real > 0).float().mean() + (d_made < 0).float().mean()) / 2
        return {"loss": line(d_real, d_made), "right": right}

    def vaes(pair: AdversarialPair, x: Tensor) -> dict[str, Tensor]:
        return negative_elbo_with_critic(pair, x, price=0.1 * x[0].numel(), loss="non-saturating")

    phases = [Phase("critic", critics, "critic", 1e-3, (0.5, 0.99)), Phase("vae", vaes, "vae")]
    return ward.treated(pair, phases=phases)._replace(model=pair.vae)


PATIENTS = {
    "A": Patient("the KL weighs too little", averaged, weighed, _with_loss),
    "B": Patient("the KL weighs too much", summed_over_all, weighed, _with_loss),
    "C": Patient("log_var and log_std confused", scale_without_half, scale, _with_scale),
    "D": Patient("pictures out of scale", as_in_the_file, of_one, _with_input),
    "E": Patient("sigma is not the error", one, error, _with_sigma),
    "F": Patient("the batch or the mode matters", statistics_of_the_batch, statistics_of_training, _with_norm),
    "G": Patient("layers share their weights", repeated, stacked, _with_stack),
    "H": Patient("the critic never learned", both_real, real_and_made, _with_critic),
    "I": Patient("held-out pictures in training", held_out_of_all, two_parts, _with_split),
    "J": Patient("training broke", times_pictures, as_it_is, _with_rate),
    "K": Patient("means returned as samples", means_only, with_noise, _with_sample),
    "L": Patient("no biases", without_bias, with_bias, _with_layer),
}
