"""The numbers and pictures of a run's model, on pictures that it was not trained on."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import __version__
from vae_helpers.data import Dataset
from vae_helpers.data.folder import PARTS, sub_folder
from vae_helpers.devices import forked_random_state, machine
from vae_helpers.distributions import GaussianLikelihood, bits_per_dim
from vae_helpers.evaluation import Diagnosis, Estimate, diagnose, evaluate, log_likelihood, mean_and_error, psnr
from vae_helpers.evaluation.bounds import elbo_of_each
from vae_helpers.evaluation.neighbours import near_copies, nearest
from vae_helpers.evaluation.opponents import simplest_opponents
from vae_helpers.images import to_float
from vae_helpers.models.learned_priors import MendedVAE
from vae_helpers.models.protocol import evaluating, prepared
from vae_helpers.models.vae import VAE
from vae_helpers.runs.folder_run import FolderRun
from vae_helpers.runs.recipe import RECIPES
from vae_helpers.training import History

TESTED = 1000  # pictures
WEIGHED, DRAWS = 100, 30  # pictures, and draws of each, for the importance-weighted bound
COMPARED = 20_000  # training pictures among which copies and neighbours are sought
SHOWN, SAMPLES = 8, 48
DIRECTIONS, STEPS, REACH = 6, 7, 2.5  # of the codes' variance, pictures of each, standard deviations
PAIRS = 4
MOST_CLASSES = 20
SEEN_AT = 32  # pixels of a side at which near copies are sought
MANY_NEAR_COPIES = 0.1  # of the test pictures
FEWEST_DIAGNOSED = 20  # pictures
OPPONENTS = ("mean picture", "Gaussian")  # that the verdict compares with; PNG and WebP draw nothing
SURE = 2.0  # standard errors
ROSE = 0.02  # of all that the held-out loss had fallen
STILL_FALLING = 0.02  # bits per dimension that the second half of training has gained


@dataclass
class Measured:
    """What was found about a run's model.

    Attributes:
        numbers: plain values, for metrics.json.
        pictures: name -> (n, C, H, W) in [0, 1], for the report.
        diagnosis: what `diagnose` says.
        history: of the training.
        verdict: some sentences.
    """

    numbers: dict[str, Any]
    pictures: dict[str, Tensor]
    diagnosis: Diagnosis
    history: History
    verdict: str = field(default="")


def thinned(images: Tensor, n: int) -> Tensor:
    """At most n rows, evenly spaced: a view, so that of pictures on disk nothing else is read."""
    return images[:: max(1, -(-len(images) // n))]


@torch.no_grad()
def measure(run: FolderRun, data: Dataset) -> Measured:
    """All of it; takes about a minute on a laptop.

    Args:
        run: one that is trained.
        data: its folder's pictures.
    """
    start = time.perf_counter()
    model, history, test = run.model, run.history, data.test
    images = thinned(test.images, TESTED)
    with forked_random_state(), evaluating(model):
        torch.manual_seed(0)
        bits = _bits_of_each(model, images, data)
        gain = _gain_of_weights(model, thinned(images, WEIGHED))
        report = _diagnosed(model, data, history, run.notes["step"])
        pictures, distances = _pictures(model, data, images)
        errors = psnr(pictures.pop("all reconstructions"), to_float(images))
    numbers = {
        "vae_helpers": __version__,
        "machine": machine().reason,
        "settings": {k: v for k, v in run.plan.items() if k != "about"},
        "weights": sum(p.numel() for p in model.plain.parameters()),
        "pictures": {
            "training": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
            "skipped": len(data.skipped),
            "classes": len(data.classes),
            "sub-folders": len(set(map(sub_folder, data.files))),
        },
        "bits_per_dim": {name: _estimate(each) for name, each in bits.items()}
        | {"VAE, importance-weighted": _estimate(bits["VAE"] - gain)},
        "ahead_of": {name: _estimate(bits[name] - bits["VAE"]) for name in OPPONENTS},  # picture by picture
        "test": {
            "sha256": hashlib.sha256(images.cpu().numpy().tobytes()).hexdigest(),
            "bits_per_dim": [round(each, 5) for each in bits["VAE"].tolist()],
        },
        "bits_per_dim_by_class": _by_class(model, data),
        "psnr_db": {"mean": errors.mean().item(), "worst": errors.min().item(), "best": errors.max().item()},
        "dimensions": images[0].numel(),
        "kept_step": run.notes["step"],
        "components of the prior": len(model.logits),
        "nearest_training_picture": distances,
        "near_copies": _near_copies(data),
        "diagnosis": report.to_dict(),
        "seconds": {"training": history.seconds, "measuring": time.perf_counter() - start},
        "history": history.to_dict(),
    }
    measured = Measured(numbers, pictures, report, history)
    measured.verdict = verdict(numbers, report)
    numbers["verdict"] = measured.verdict
    return measured


def _bits_of_each(model: MendedVAE, images: Tensor, data: Dataset) -> dict[str, Tensor]:
    """Bits per dimension of each of (N, C, H, W), (N,), by the model's ELBO and by its opponents."""
    seen, choosing = thinned(data.train.images, COMPARED), thinned(data.validation.images, TESTED)
    ours = {"VAE": model, "VAE, prior not mended": model.plain}
    return {
        name: bits_per_dim(-elbo_of_each(one, images, samples=5)[:, 0], images[0].numel(), _levels(one))
        for name, one in ours.items()
    } | simplest_opponents(seen, choosing, images)


def _gain_of_weights(model: MendedVAE, images: Tensor) -> float:
    """Bits per dimension by which the importance-weighted bound is tighter: of some pictures, since it takes long."""
    bound, weighted = evaluate(model, images, samples=5)["elbo"], log_likelihood(model, images, samples=DRAWS)
    return bits_per_dim(weighted.mean - bound.mean, images[0].numel())


def _estimate(values: Tensor) -> dict[str, float]:
    """Their mean and its standard error, as plain values."""
    return mean_and_error(values)._asdict()


def _levels(model: VAE) -> int | None:
    """Of a bin, where the likelihood is a density of dequantised pictures; None: it is a probability of levels."""
    return model.likelihood.levels if isinstance(model.likelihood, GaussianLikelihood) else None


def bits_of(model: VAE, bound: Estimate, dimensions: int) -> Estimate:
    """A bound on log p(x), nats per picture, as bits per dimension, with the constant of a density where it is one.

    Args:
        model: whose likelihood says whether it is a density of dequantised pictures or a probability of levels.
        bound: of `evaluate` or `log_likelihood`.
        dimensions: C H W.
    """
    scale = bits_per_dim(1.0, dimensions)
    return Estimate(bits_per_dim(-bound.mean, dimensions, _levels(model)), bound.standard_error * scale)


def _by_class(model: MendedVAE, data: Dataset) -> dict[str, float]:
    """The VAE's bits per dimension of each class's test pictures, where there are a few classes."""
    if not 2 <= len(data.classes) <= MOST_CLASSES:
        return {}
    found = {}
    for number, name in enumerate(data.classes):
        images = thinned(data.test.images[data.test.labels == number], 100)
        if len(images) >= 2:
            found[name] = bits_of(model, evaluate(model, images, samples=2)["elbo"], images[0].numel()).mean
    return found


def _diagnosed(model: MendedVAE, data: Dataset, history: History, step: int) -> Diagnosis:
    """The diagnosis of the model with the prior that it was trained with, as far as there are pictures for it."""
    seen, held_out = thinned(data.train.images, COMPARED), thinned(data.validation.images, TESTED)
    if len(seen) < FEWEST_DIAGNOSED:
        return Diagnosis(skipped={"use of the code": f"{len(seen)} training pictures are too few to take shares of"})
    return diagnose(
        model.plain, seen, _until(history, step), held_out=held_out if len(held_out) >= FEWEST_DIAGNOSED else None
    )


def _near_copies(data: Dataset) -> float:
    """Share of test pictures that have a near copy among the training pictures, as pictures of SEEN_AT pixels."""

    def small(images: Tensor, n: int) -> Tensor:
        x = F.interpolate(thinned(images, n).float(), size=min(SEEN_AT, images.shape[-1]), mode="area")
        return x.round().to(torch.uint8)

    return near_copies(small(data.train.images, COMPARED), small(data.test.images, 300))


def _until(history: History, step: int) -> History:
    """The part of a history that the weights of a step have behind them."""
    seen = sum(recorded <= step for recorded in history.step)
    held_out = sum(recorded <= step for recorded in history.validation_step)
    return History(
        history.step[:seen],
        {name: values[:seen] for name, values in history.train.items()},
        history.validation_step[:held_out],
        {name: values[:held_out] for name, values in history.validation.items()},
        history.seconds,
        history.stopped,
    )


def _pictures(model: MendedVAE, data: Dataset, images: Tensor) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What the report shows, in [0, 1] on the CPU; and how near samples are to training pictures."""
    codes = torch.cat([model.encode(prepared(model, part.to(model.device))).mean for part in images.split(250)])
    rebuilt = _painted(model, codes)
    errors = (rebuilt - to_float(images)).square().flatten(1).mean(1)
    few = min(SHOWN, len(errors))
    chosen = errors.argsort()[torch.linspace(0, len(errors) - 1, few).long()]  # from the best to the worst
    shown, again = to_float(images[chosen]), rebuilt[chosen]
    torch.manual_seed(0)
    z = model.prior.sample((SAMPLES,))
    samples = _painted(model, z)
    among = thinned(data.train.images, COMPARED)
    near = nearest(samples[:SHOWN], among, 2, to_float)
    held_out = nearest(shown, among, 1, to_float)
    pictures = {
        "all reconstructions": rebuilt,
        "pictures": shown,
        "reconstructions": again,
        "errors": (again - shown).abs().mean(1, keepdim=True).mul(4).clamp(0, 1),
        "samples": samples,
        "with noise": model.decode(z[:SHOWN]).sample().cpu() / 255,  # levels
        "nearest to the samples": to_float(among[near.rows[:, 0].cpu()]),
        "from the prior N(0, I)": _painted(model, torch.randn(SHOWN, model.latent_dim, device=model.device)),
        "directions": _directions(model, codes),
        "interpolations": _interpolations(model, codes),
    }
    distances = {
        "of samples": near.distances[:, 0].mean().item(),
        "of held-out pictures": held_out.distances[:, 0].mean().item(),
        "looked through": len(among),
    }
    return pictures, distances


def _painted(model: MendedVAE, z: Tensor) -> Tensor:
    """The decoder's means, in [0, 1] on the CPU: (N, D) -> (N, C, H, W)."""
    return torch.cat([model.decode(part).mean.clamp(0, 1).cpu() for part in z.split(250)])


def _directions(model: MendedVAE, codes: Tensor) -> Tensor:
    """Along each of the codes' principal directions, STEPS pictures through their mean: (DIRECTIONS STEPS, C, H, W)."""
    centre = codes.mean(0)
    _, sizes, axes = torch.linalg.svd(codes - centre, full_matrices=False)
    deviations = sizes / len(codes) ** 0.5
    steps = torch.linspace(-REACH, REACH, STEPS, device=codes.device)
    lines = [
        centre + steps[:, None] * deviation * axis
        for deviation, axis in zip(deviations[:DIRECTIONS], axes, strict=False)
    ]
    return _painted(model, torch.cat(lines))


def _interpolations(model: MendedVAE, codes: Tensor) -> Tensor:
    """From one held-out picture's code to another's, in equal steps: (PAIRS STEPS, C, H, W)."""
    few = min(PAIRS, len(codes) // 2)
    pairs = codes[torch.linspace(0, len(codes) - 1, 2 * few).long().to(codes.device)]
    steps = torch.linspace(0, 1, STEPS, device=codes.device)[:, None]
    return _painted(model, torch.cat([a + steps * (b - a) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]))


def verdict(numbers: dict[str, Any], report: Diagnosis) -> str:
    """Whether the model is healthy and better than its opponents, and if not, why, in sentences."""
    bits = numbers["bits_per_dim"]
    mine = bits["VAE"]["mean"]
    said = []
    if report.healthy:
        said.append(f"Healthy: nothing was found by {report.checks - len(report.skipped)} of {report.checks} checks.")
    else:
        said.append(
            "Found: " + "; ".join(report.names) + "." if report.names else "Whether it is healthy is not known."
        )
    opponent = min(OPPONENTS, key=lambda name: bits[name]["mean"])
    theirs, ahead = bits[opponent]["mean"], numbers["ahead_of"][opponent]
    margin = SURE * ahead["standard_error"]
    compared = f"{mine:.3f} bits per dimension on held-out pictures, the best simple opponent ({opponent}) {theirs:.3f}"
    if ahead["mean"] > margin:
        said.append(f"Better than what is simplest: {compared}.")
    elif ahead["mean"] > -margin:
        said.append(f"Not told apart from what is simplest: {compared}. {_why(numbers, report)}")
    else:
        said.append(f"Worse than what is simplest: {compared}. {_why(numbers, report)}")
    if numbers["near_copies"] > MANY_NEAR_COPIES:
        said.append(
            f"But {numbers['near_copies']:.0%} of these pictures have a near copy among those trained on: the number "
            f"tells how well it knows them, and not how well it would know others. {_without_near_copies(numbers)}"
        )
    return " ".join(said)


def _without_near_copies(numbers: dict[str, Any]) -> str:
    """What to do against them."""
    if numbers["settings"]["split_by"] == "picture" and numbers["pictures"]["sub-folders"] >= len(PARTS):
        return "To learn that, train with --split-by folder, if near copies share a sub-folder; or thin them out."
    return "Thin them out to learn that."


def _why(numbers: dict[str, Any], report: Diagnosis) -> str:
    """The likeliest reason that the model is no better, by what was measured."""
    losses = numbers["history"]["validation"].get("loss", [])
    rose = len(losses) > 5 and losses[-1] - min(losses) > ROSE * (losses[0] - min(losses))
    if rose or "overfitting" in report.names:
        few = numbers["pictures"]["training"]
        which = "some that are near copies of none" if numbers["near_copies"] > MANY_NEAR_COPIES else "some"
        return (
            f"{few:,} pictures are too few for it: it came to know them better than others of their kind. Add {which}."
        )
    gained = 0.0 if len(losses) < 6 else bits_per_dim(losses[len(losses) // 2] - losses[-1], numbers["dimensions"])
    if gained > STILL_FALLING:
        return f"It was still learning: the second half of training gained {gained:.3f} bits. Give it more minutes."
    others = " or ".join(f"--model {name}" for name in RECIPES if name != numbers["settings"]["model"])
    return f"It had come to rest, and more minutes would not help. Look at the pictures as it gets them; try {others}."
