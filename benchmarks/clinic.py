"""How often is `diagnose` right? Twelve known bugs and twelve healthy kinds of VAE, on several data sets, three seeds.

    python -m benchmarks.clinic FOLDER                              what docs quote: half an hour of one core
    python -m benchmarks.clinic --seeds 1 --shorter 2 --only digits portraits                       a quick look

FOLDER holds MNIST and Fashion-MNIST as torchvision keeps them; without it they are left out. Float32, one thread. The
bounds of `diagnose` were chosen on digits and portraits; the other sets had no part in making it.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.measuring import description, one_thread, table
from vae_helpers import VAE, conv_vae, diagnose, load, mlp_vae, to_float
from vae_helpers.data.dataset import Dataset
from vae_helpers.distributions import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretisedGaussianLikelihood,
    GreyBernoulliLikelihood,
)
from vae_helpers.lessons.patients import PATIENTS, Patient, Treated, Ward
from vae_helpers.models.convolutional import spatial_vae

BETA = 4.0  # where it is meant
DROPPED = 0.1  # of the units, by dropout
Build = Callable[[nn.Module, int], VAE]  # likelihood, number of latents


class Place(NamedTuple):
    """Where VAEs are trained: settings under which healthy ones get healthy, by their curves."""

    load: Callable[[str | None], Dataset]  # the folder of real data
    build: Build
    latents: int
    steps: int
    learning_rate: float
    kept_out: bool = True  # of the making of `diagnose`
    real: bool = False  # data from the folder
    logits: float = 1.0  # times the steps where the decoder gives logits and the curve falls later

    def ward(self, data: Dataset, seed: int, times: float = 1, latents: float = 1) -> Ward:
        """A ward with this seed, so many times the usual steps, and so many times the usual number of latents."""
        build = functools.partial(self.build, latents=round(latents * self.latents))
        return Ward(data, build, max(1, round(self.steps * times)), learning_rate=self.learning_rate, seed=seed)


def dense(likelihood: nn.Module, latents: int, image_shape: Sequence[int], hidden: Sequence[int]) -> VAE:
    """Fully connected layers."""
    return mlp_vae(image_shape, latents, hidden, likelihood)


def convolutional(likelihood: nn.Module, latents: int, image_shape: Sequence[int]) -> VAE:
    """Convolutions and dense layers; a palette where the decoder gives means, none where it gives logits."""
    colours = 16 if hasattr(likelihood, "sigma") else None
    return conv_vae(image_shape, latents, 16, 128, colours, likelihood)


def spatial(likelihood: nn.Module, latents: int, image_shape: Sequence[int]) -> VAE:
    """A code of small pictures, 8 x 8, residual blocks, GELU between the other layers."""
    model = spatial_vae(image_shape, latents // 64, 8, 16, likelihood)
    for name, _ in activations(model):
        model.set_submodule(name, nn.GELU())
    return model


def activations(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The names of its SiLU and GELU, and these."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, nn.SiLU | nn.GELU)]


GREY, COLOUR = (1, 28, 28), (3, 32, 32)
PLACES = {
    "digits": Place(
        lambda _: load("digits"),
        functools.partial(dense, image_shape=(1, 8, 8), hidden=(128, 128)),
        *(8, 1500, 8e-3),
        kept_out=False,
    ),
    "portraits": Place(
        lambda _: load("faces", size=32),
        functools.partial(convolutional, image_shape=COLOUR),
        *(16, 500, 4e-3),
        kept_out=False,
    ),
    "MNIST, convolutions": Place(
        lambda folder: load("mnist", folder),
        functools.partial(convolutional, image_shape=GREY),
        *(16, 500, 8e-3),
        real=True,
    ),
    "MNIST, five layers": Place(
        lambda folder: load("mnist", folder),
        functools.partial(dense, image_shape=GREY, hidden=(192,) * 4),
        *(16, 800, 3e-3),
        real=True,
        logits=2.0,
    ),
    "Fashion-MNIST": Place(
        lambda folder: load("fashion-mnist", folder),
        functools.partial(dense, image_shape=GREY, hidden=(256,)),
        *(16, 800, 4e-3),
        real=True,
    ),
    "portraits, codes of 8 x 8": Place(
        lambda _: load("faces", size=32),
        functools.partial(spatial, image_shape=COLOUR),
        *(256, 400, 6e-3),
    ),
}


# --- patients of networks without dense layers ------------------------------------------------------------------------


def norm_of_the_batch(channels: int) -> nn.Module:
    """The bug of patient F for maps (N, channels, H, W)."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _with_norm(ward: Ward, line: Callable[[int], nn.Module]) -> Treated:
    model = ward.vae()
    for name, layer in [(n, m) for n, m in model.encoder.named_modules() if isinstance(m, nn.Conv2d)][:-1]:
        model.encoder.set_submodule(name, nn.Sequential(layer, line(layer.out_channels)))
    return ward.treated(model)


def one_block(first: nn.Module, second: nn.Module) -> nn.Module:
    """The bug of patient G: the same residual block twice."""
    return first


def _with_block(ward: Ward, line: Callable[[nn.Module, nn.Module], nn.Module]) -> Treated:
    model = ward.vae()
    layers = model.encoder[0]  # ..., block, block, the last convolution
    layers[-2] = line(layers[-3], layers[-2])
    return ward.treated(model)


def two_blocks(first: nn.Module, second: nn.Module) -> nn.Module:
    """As it should be."""
    return second


WITHOUT_DENSE = {
    "F": Patient(PATIENTS["F"].disease, norm_of_the_batch, nn.BatchNorm2d, _with_norm),
    "G": Patient(PATIENTS["G"].disease, one_block, two_blocks, _with_block),
}


def patients(ward: Ward) -> dict[str, Patient]:
    """All twelve, of layers that the ward's networks have."""
    is_dense = any(isinstance(module, nn.Linear) for module in ward.vae().modules())
    return PATIENTS if is_dense else PATIENTS | WITHOUT_DENSE


# --- healthy models ---------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A healthy kind of VAE: how it is trained, with how many times the usual latents, and which beta is meant.

    `logits` are what its decoder gives.
    """

    train: Callable[[Ward], Treated]
    latents: float = 1.0
    beta: float = 1.0
    logits: bool = False


def usual(ward: Ward) -> Treated:
    """Nothing special: a Gaussian with a learned sigma."""
    return ward.treated(ward.vae())


def with_likelihood(likelihood: Callable[[Dataset], nn.Module]) -> Callable[[Ward], Treated]:
    """Training with another likelihood, made for the data."""
    return lambda ward: ward.treated(ward.vae(likelihood(ward.data)))


def black_and_white(data: Dataset) -> nn.Module:
    """Bernoulli on binarised pictures, continuous Bernoulli where they have colours."""
    return BernoulliLikelihood() if data.image_shape[0] == 1 else ContinuousBernoulliLikelihood()


def of_levels(data: Dataset) -> nn.Module:
    """A discretised Gaussian with a learned sigma."""
    return DiscretisedGaussianLikelihood(0.1, learn_sigma=True, levels=data.levels)


def cured(letter: str) -> Callable[[Ward], Treated]:
    """A patient with the right line."""
    return lambda ward: patients(ward)[letter].train(ward, patients(ward)[letter].right)


def with_dropout(ward: Ward) -> Treated:
    """Dropout after each activation of encoder and decoder."""
    model = ward.vae()
    for name, activation in activations(model):
        model.set_submodule(name, nn.Sequential(activation, nn.Dropout(DROPPED)))
    return ward.treated(model)


def warmed_up(ward: Ward) -> Treated:
    """The KL's weight rises over the first third."""
    return ward.treated(ward.vae(), weights=lambda step: {"beta": min(1.0, 3 * (step + 1) / ward.steps)})


def with_beta(ward: Ward) -> Treated:
    """A beta that is not 1."""
    return ward.treated(ward.vae(), weights=lambda _: {"beta": BETA})


def with_relu(ward: Ward) -> Treated:
    """Units that are silent below zero, of which many end so for all pictures."""
    model = ward.vae()
    for name, _ in activations(model):
        model.set_submodule(name, nn.ReLU())
    return ward.treated(model)


HEALTHY = {
    "Gaussian, learned sigma": Kind(usual),
    "grey Bernoulli": Kind(with_likelihood(lambda _: GreyBernoulliLikelihood()), logits=True),
    "Bernoulli, or continuous": Kind(with_likelihood(black_and_white), logits=True),
    "discretised Gaussian": Kind(with_likelihood(of_levels)),
    "batch normalisation": Kind(cured("F")),
    "dropout": Kind(with_dropout),
    "ReLU": Kind(with_relu),
    "KL warm-up": Kind(warmed_up),
    "beta = 4, meant": Kind(with_beta, beta=BETA),
    "a quarter of the latents": Kind(usual, latents=0.25),
    "four times the latents": Kind(usual, latents=4),
    "with a critic": Kind(cured("H")),
}


# --- examined ---------------------------------------------------------------------------------------------------------


class Examined(NamedTuple):
    """A model, and what was said of it."""

    place: str
    seed: int
    name: str  # a letter of PATIENTS, or one of HEALTHY
    disease: str | None  # None: healthy
    said: tuple[str, ...]  # names of findings
    evidence: tuple[str, ...]
    explained: float  # of the variance of the training pictures, by reconstructions
    training: float  # seconds
    diagnosing: float

    @property
    def found(self) -> bool:
        """The disease is among the names."""
        return self.disease in self.said

    @property
    def named(self) -> bool:
        """The disease is the first name."""
        return self.said[:1] == (self.disease,)

    @property
    def beside(self) -> tuple[str, ...]:
        """Names that are not the disease's; of a healthy model all are false alarms."""
        return tuple(name for name in self.said if name != self.disease)

    def __str__(self) -> str:
        verdict = "named" if self.named else "found" if self.found else "missed" if self.disease else "healthy"
        said = "; ".join(f"{name} ({why})" for name, why in zip(self.said, self.evidence, strict=True))
        seconds = f"{self.training:.1f} + {self.diagnosing:.1f} s"
        return f"{self.place} | {self.seed} | {self.name} | {verdict} | {self.explained:.3f} | {seconds} | {said}"


def courses(place: Place, data: Dataset, seed: int, times: float = 1) -> Iterator[tuple]:
    """Name, disease, what trains the model, and the beta that is meant: first patients, then healthy ones."""
    ward = place.ward(data, seed, times)
    for letter, patient in patients(ward).items():
        yield letter, patient.disease, functools.partial(patient.train, ward), 1.0
    for name, kind in HEALTHY.items():
        ward = place.ward(data, seed, times * (place.logits if kind.logits else 1), kind.latents)
        yield name, None, functools.partial(kind.train, ward), kind.beta


def examined(where: str, seed: int, name: str, disease: str | None, train: Callable, beta: float) -> Examined:
    """Train and diagnose."""
    begun = time.process_time()
    treated = train()
    trained = time.process_time()
    report = diagnose(treated.model, treated.seen, treated.history, held_out=treated.held_out, beta=beta)
    seconds = (trained - begun, time.process_time() - trained)
    evidence = tuple(finding.evidence for finding in report.findings)
    return Examined(where, seed, name, disease, report.names, evidence, explained(treated), *seconds)


@torch.no_grad()
def explained(treated: Treated, n: int = 500) -> float:
    """Share of the training pictures' variance about the mean picture that reconstructions from means hold."""
    images, model = treated.seen[:n], treated.model.eval()
    try:
        rebuilt = model.decode(model.encode(model.prepare(images)).mean).mean.clamp(0, 1)
    except ValueError:  # numbers that are not finite
        return math.nan
    x = to_float(images)
    return 1 - ((rebuilt - x).square().sum() / (x - x.mean(0)).square().sum()).item()


# --- tables -----------------------------------------------------------------------------------------------------------


def tables(found: Sequence[Examined]) -> Iterator[str]:
    """A sentence and a table of each kind."""
    places = list(dict.fromkeys(one.place for one in found))
    groups = {place: [one for one in found if one.place == place] for place in places}
    for name, kept_out in (("seen in the making", False), ("kept out", True)):
        together = [one for one in found if PLACES[one.place].kept_out == kept_out]
        if together:
            groups[f"all that were {name}"] = together
    yield "Each data set:"
    yield table(
        ["", "patients found", "named first", "other names", "false alarms", "seconds of training", "of `diagnose`"],
        [[name, *_counts(group)] for name, group in groups.items()],
    )
    yield "Each patient, how often it was named first; in brackets, how often found where it was not always first:"
    yield table(
        ["", *places],
        [
            [f"{letter}: {patient.disease}", *(_named([o for o in groups[p] if o.name == letter]) for p in places)]
            for letter, patient in PATIENTS.items()
        ],
    )
    yield "Each healthy kind, what was found:"
    yield table(
        ["", *places],
        [[kind, *(_alarms([o for o in groups[p] if o.name == kind]) for p in places)] for kind in HEALTHY],
    )


def _counts(group: Sequence[Examined]) -> list[str]:
    ill, healthy = [o for o in group if o.disease], [o for o in group if not o.disease]
    shares = [f"{sum(getattr(o, what) for o in ill)} of {len(ill)}" for what in ("found", "named")]
    shares += [str(sum(len(o.beside) for o in ill)), f"{sum(bool(o.said) for o in healthy)} of {len(healthy)}"]
    return shares + [f"{statistics.mean(getattr(o, what) for o in group):.1f}" for what in ("training", "diagnosing")]


def _named(group: Sequence[Examined]) -> str:
    named, found = (sum(getattr(o, what) for o in group) for what in ("named", "found"))
    return f"{named} of {len(group)}" + (f" ({found})" if found != named else "")


def _alarms(group: Sequence[Examined]) -> str:
    names = [name for one in group for name in one.said]
    return ", ".join(f"{name} {names.count(name)} of {len(group)}" for name in dict.fromkeys(names)) or "–"


def main() -> None:
    """Train and examine everything with each seed, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="MNIST and Fashion-MNIST as torchvision keeps them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shorter", type=float, default=1, help="train for so many times fewer steps")
    parser.add_argument("--only", nargs="+", choices=PLACES, default=list(PLACES), metavar="NAME")
    args = parser.parse_args()
    os.environ["VAE_HELPERS_PRECISION"] = "float32"
    one_thread()
    found = []
    for where in args.only:
        place = PLACES[where]
        if place.real and args.folder is None:
            print(f"{where}: left out, no folder with real data was given", flush=True)
            continue
        data = place.load(args.folder)
        for seed in range(args.seeds):
            for course in courses(place, data, seed, 1 / args.shorter):
                found.append(examined(where, seed, *course))
                print(found[-1], flush=True)
    print(f"\n{description()}\n\n{args.seeds} seeds.\n")
    for text in tables(found):
        print(f"{text}\n")


if __name__ == "__main__":
    main()
