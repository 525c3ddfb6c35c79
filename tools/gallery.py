"""Make the pictures of docs/gallery.md, with the numbers behind them.

    python -m tools.gallery                        what needs no data, into docs/images
    python -m tools.gallery --only walk photograph some of it
    python -m tools.gallery --fashion FOLDER       Fashion-MNIST too; FOLDER as torchvision keeps it
    python -m tools.gallery --celeba FOLDER        pictures of CelebA too, any folder of faces; into build/gallery
    python -m tools.gallery --quick --folder TRY   tiny models in a few seconds, to see that all of it runs

Seeds are fixed, and pictures show the first images of a test split, not chosen ones. Settings were chosen on validation
images. What a picture was measured to show, and the seconds of CPU time that it took with its models, are written into
the PNG file itself, as the texts Measured and Seconds; docs/gallery.md repeats them, and a test compares the two.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor
from torch.distributions import MultivariateNormal

from vae_helpers import (
    VAE,
    BernoulliLikelihood,
    Dataset,
    Flow,
    GaussianFactor,
    WordsInContext,
    bits_per_dim,
    conv_vae,
    evaluate,
    factor_r2,
    fit,
    flow_matching_error,
    freedom,
    load,
    log_likelihood,
    machine,
    mean_and_error,
    noise,
    obeyed,
    pretrained,
    psnr,
    redrawn,
    seed_everything,
    sharpness,
    to_float,
)
from vae_helpers.attributes import fit_attributes
from vae_helpers.blending import fill_smoothly, poisson_blend
from vae_helpers.colour_transfer import covariance_transfer
from vae_helpers.data.faces import PER_STYLE
from vae_helpers.data.photos import photographs
from vae_helpers.evaluation.scenes import match
from vae_helpers.images import grid
from vae_helpers.inference import infer_code
from vae_helpers.lessons.patients import PATIENTS, Ward
from vae_helpers.models import ProbabilisticPCA
from vae_helpers.models.experts import LinearExpert, tiles
from vae_helpers.models.scenes import Apart, compose, visible_shares
from vae_helpers.rendering import captions, faces, scenes, styles
from vae_helpers.rendering.alignment import align

ROOT = Path(__file__).resolve().parent.parent
IMAGES, CELEBA_IMAGES = ROOT / "docs" / "images", ROOT / "build" / "gallery"
FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
LETTERS, GAP = 26, 4  # pixels: height of the letters, and paper between pictures
COLOURS = 256  # of a PNG with a palette, a third as large as one without
HAIR = ("hair_colour", "hair_length", "hair_texture", "fringe")
SET = {
    "surprise": {"brows": 1.0, "eye_size": 1.0},
    "silver hair": {"hair_colour": 1.0},
    "long curls": {"hair_length": 1.0, "hair_texture": 1.0},
    "ochre shirt": {"clothes": 0.6},
}  # edits that give some factors a value
TURNED = {"glasses": "glasses", "smile": "smile", "fringe": "fringe", "lean": "tilt"}  # those that reverse a factor
PORTRAIT_NOISE, PHOTOGRAPH_NOISE = 0.4, 25 / 255  # standard deviation, as a share of white
PEOPLE, SEEN = 4, 4  # portraits that are restyled, and pictures that are seen of a set
SCENE_SIZE, SCENE_SEED, THINGS = 64, 4010, 3  # of scenes that are taken apart; a seed that no data set has
TAKEN_APART = {"textured": 4, "transparent": 2}  # kind of scene -> how many are shown
SENTENCES = (
    "a portrait with long curly auburn hair, glasses and a mint wall",
    "a portrait with dark skin, a broad smile and a mustard shirt",
    "a portrait with short silver hair, no smile and eyes looking right",
    "a portrait with a full fringe, raised brows and eyes looking left",
)
EACH, MENTIONED, GUIDANCE = 5, 5, 2.0  # portraits of a sentence, factors that measured ones mention, and w
WARD_SIZE, COMPANY = 32, 7  # pixels of the portraits of a patient, and how many others are in a batch
KNOWN_SHAPES = ("disc", "ring", "square", "triangle", "moon")  # those that the model has learned from


@dataclass(frozen=True)
class Scale:
    """How large everything is made."""

    portraits: int = 10_000  # whose codes, and whose mean and directions, are used
    directions: int = 1_000  # of a Gaussian of portraits
    celeba_steps: int = 5000
    fashion_steps: int = 6000
    tested: int = 10_000  # test pictures, at most, for the ELBO
    measured: int = 200  # test pictures, or pairs of them, for what is compared with a truth
    bound: tuple[int, int] = (200, 100)  # portraits, and draws K for each, for log p(x)
    fashion_bound: tuple[int, int] = (2_000, 500)
    search_steps: int = 150
    told_steps: int = 4000  # of a flow that reads sentences
    told_portraits: int = 20_000  # that they are about
    patient_steps: int = 1000
    mixture: int = 30  # Gaussians of a mended prior
    shown: int = 6  # portraits in a row


QUICK = Scale(
    portraits=400,
    directions=10,
    celeba_steps=2,
    fashion_steps=2,
    tested=10,
    measured=10,
    bound=(10, 2),
    fashion_bound=(10, 2),
    search_steps=1,
    told_steps=2,
    told_portraits=400,
    patient_steps=2,
    mixture=2,
    shown=4,
)


class Studio:
    """Data and trained models, each made when it is first asked for; `seconds` of CPU time that each took."""

    def __init__(self, scale: Scale, fashion: Path | None = None, celeba: Path | None = None):
        self.scale, self.fashion_folder, self.celeba_folder = scale, fashion, celeba
        self.seconds: dict[str, float] = {}

    @cached_property
    def portraits(self) -> Dataset:
        """The drawn portraits."""
        return load("faces", size=pretrained.PORTRAIT_SIZE, n=self.scale.portraits).to(machine().device)

    @cached_property
    def many_portraits(self) -> Dataset:
        """The same, and as many again."""
        return load("faces", size=pretrained.PORTRAIT_SIZE, n=self.scale.told_portraits).to(machine().device)

    @cached_property
    def sets(self) -> Dataset:
        """Drawn portraits, sixteen in a row in one style."""
        return load("faces", size=pretrained.PORTRAIT_SIZE, styles=1).to(machine().device)

    @cached_property
    def portrait_vae(self) -> VAE:
        """The VAE of portraits that the package carries."""
        return pretrained.portrait_vae(machine().device)

    @cached_property
    def portrait_gaussian(self) -> ProbabilisticPCA:
        """The simplest model of the same portraits: their mean, and how they vary about it."""
        return ProbabilisticPCA.maximum_likelihood(
            to_float(self.portraits.train.images).flatten(1), self.scale.directions
        )

    @cached_property
    def celeba(self) -> Dataset:
        """The middle squares of the pictures in a folder."""
        return load("folder", self.celeba_folder, size=32).to(machine().device)

    @cached_property
    def celeba_vae(self) -> VAE:
        """A VAE of CelebA with a code of 32 numbers."""
        seed_everything(0)
        model = conv_vae(self.celeba.image_shape, latent_dim=32)
        settings = {"batch_size": 32, "learning_rate": 4e-3, "betas": (0.9, 0.98), "weights": warm_up(400)}
        return self._trained("celeba_vae", model, self.celeba, partial(fit, steps=self.scale.celeba_steps, **settings))

    @cached_property
    def fashion(self) -> Dataset:
        """Fashion-MNIST."""
        return load("fashion-mnist", self.fashion_folder).to(machine().device)

    @cached_property
    def fashion_vae(self) -> VAE:
        """A VAE of Fashion-MNIST, each pixel black or white with a probability equal to its grey value."""
        seed_everything(0)
        model = conv_vae((1, 28, 28), 32, width=48, hidden=512, colours=None, likelihood=BernoulliLikelihood())
        steps = self.scale.fashion_steps
        train = partial(fit, steps=steps, learning_rate=2e-3, betas=(0.9, 0.99), weights=warm_up(steps // 10))
        return self._trained("fashion_vae", model, self.fashion, train)

    def _trained(self, name: str, model: torch.nn.Module, data: Dataset, train: Callable) -> torch.nn.Module:
        begun = time.process_time()
        print(f"{name}: {train(model, data.train.images, progress=False)}", flush=True)
        self.seconds[name] = time.process_time() - begun
        return model.eval()


def warm_up(steps: int) -> Callable[[int], dict[str, float]]:
    """Weights of the KL that grow from 0 to 1 over the first steps."""
    return lambda step: {"beta": min(1.0, step / max(1, steps))}


# --- what the pictures hold ---


@torch.no_grad()
def in_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of a batch, applied to some of it at a time."""
    return torch.cat([function(part) for part in x.split(100)])


def encode(model: VAE, x: Tensor) -> Tensor:
    """Mean codes: (N, C, H, W) -> (N, D)."""
    return in_parts(lambda part: model.encode(part).mean, x)


def decode(model: VAE, z: Tensor) -> Tensor:
    """The decoder's mean pictures, cut to [0, 1]: (N, D) -> (N, C, H, W)."""
    return in_parts(lambda part: model.decode(part).mean.clamp(0, 1), z)


def drawn_from_prior(model: VAE, n: int, seed: int = 0) -> Tensor:
    """The decoder's mean pictures at n draws from the prior: (n, C, H, W)."""
    z = torch.randn(n, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    return decode(model, z.to(model.device))


@torch.no_grad()
def drawn_from_codes(model: VAE, images: Tensor, n: int, parts: int, seed: int = 0) -> Tensor:
    """The same at draws from a mixture of Gaussians fitted to the codes of images: a mended prior."""
    from sklearn.mixture import GaussianMixture

    q = [model.encode(to_float(part)) for part in images.split(100)]
    generator = torch.Generator().manual_seed(seed)
    mu, sd = (torch.cat(x).cpu() for x in ([p.mean for p in q], [p.variance.sqrt() for p in q]))
    z = mu + sd * torch.randn(mu.shape, generator=generator)
    mixture = GaussianMixture(parts, reg_covar=1e-4, random_state=seed).fit(z.double().numpy())
    drawn = torch.from_numpy(mixture.sample(1000)[0]).float()  # ordered by the Gaussian that they are from
    return decode(model, drawn[torch.randperm(1000, generator=generator)[:n]].to(model.device))


def painted(factors: Tensor, style: Tensor | None = None) -> Tensor:
    """The portraits with these factors, in [0, 1], flat or in styles (N, 7): (N, 14) -> (N, 3, 64, 64)."""
    style = "flat" if style is None else style.cpu()
    return to_float(faces.render(factors.cpu(), pretrained.PORTRAIT_SIZE, style)).to(machine().device)


def bounds(model: VAE, images: Tensor, how_many: tuple[int, int], precision: torch.dtype) -> tuple[str, float]:
    """The ELBO of images and log p(x) of the first of them, in words; and the ELBO."""
    n, draws = how_many
    elbo = evaluate(model, images, samples=4, batch_size=100)["elbo"]
    tight = log_likelihood(model, images[:n], samples=draws, precision=precision)
    n = min(n, len(images))
    return f"ELBO {elbo}, log p(x) {tight} (K = {draws}, {n:,} of them) nats per image", elbo.mean


def decibels(truth: Tensor, pictures: Tensor) -> str:
    """The mean PSNR with its standard error, in words."""
    return f"{mean_and_error(psnr(truth, pictures.clamp(0, 1)))} dB"


@dataclass(frozen=True)
class Board:
    """Rows of pictures with names, and what was measured."""

    rows: Sequence[Tensor]  # (N, C, H, W) each
    measured: str
    names: Sequence[str] = ()  # of the rows, to the left
    columns: Sequence[str] = ()  # above
    sentences: Sequence[str] = ()  # one above each row
    enlarged: int = 3


# --- the pictures ---


def overview(studio: Studio) -> Board:
    """Portraits with and without noise, with the hair of others, and invented ones."""
    clean, noisy, estimates = noisy_portraits(studio)
    trial = hair_trial(studio)
    made = composites(studio, trial)
    n, codes_of = studio.scale.shown, studio.portraits.train.images
    rows = [clean, noisy.clamp(0, 1), estimates["by VAE"], trial.givers, made["by VAE"]]
    rows = [row[:n] for row in rows] + [drawn_from_codes(studio.portrait_vae, codes_of, n, studio.scale.mixture)]
    names = ("portrait", "noise added", "noise removed", "another", "with that hair", "invented")
    removed = f"noise removed: PSNR {decibels(clean, noisy)} with the noise cut to [0, 1]"
    removed += f", {decibels(clean, estimates['by VAE'])} without it"
    return Board(rows, f"{removed}; hair: {decibels(trial.truth, made['by VAE'])}", names)


def portraits(studio: Studio) -> Board:
    """Invented portraits."""
    return invented(studio, studio.portrait_vae, studio.portraits)


def invented(studio: Studio, model: VAE, data: Dataset) -> Board:
    """The decoder's means at draws from the prior, and below from the prior mended."""
    n, test = studio.scale.shown, data.test.images[: studio.scale.tested]
    words, elbo = bounds(model, test, studio.scale.bound, torch.float32)
    bits = bits_per_dim(-elbo, test[0].numel(), levels=data.levels)
    mended = drawn_from_codes(model, data.train.images, 3 * n, studio.scale.mixture)
    rows = [drawn_from_prior(model, n), *mended.chunk(3)]
    return Board(rows, f"{words}; the ELBO is {bits:.2f} bits/dim", ("prior", *3 * ["mended"]))


def walk(studio: Studio) -> Board:
    """From one portrait to the next, by way of codes and by fading."""
    model, n = studio.portrait_vae, studio.scale.measured
    factors = studio.portraits.test.factors
    first, last = (to_float(studio.portraits.test.images[part]) for part in (slice(n), slice(n, 2 * n)))
    codes = encode(model, first), encode(model, last)
    halfway = painted((factors[:n] + factors[n : 2 * n]) / 2)
    places = torch.linspace(0, 1, studio.scale.shown + 1, device=first.device)[:, None]
    rows, names = [], []
    for k in range(3):
        rows += [decode(model, torch.lerp(codes[0][k], codes[1][k], places))]
        rows += [torch.lerp(first[k], last[k], places[:, :, None, None])]
        names += ["codes", "pixels"]
    by_code, by_pixel = decode(model, (codes[0] + codes[1]) / 2), (first + last) / 2
    measured = f"halfway, PSNR against the portrait drawn from the mean of the factors, {n} test pairs: "
    return Board(rows, f"{measured}codes {decibels(halfway, by_code)}, pixels {decibels(halfway, by_pixel)}", names)


def arithmetic(studio: Studio) -> Board:
    """Portraits with one attribute changed by moving their codes, above the truth."""
    model, data, n = studio.portrait_vae, studio.portraits, studio.scale.measured
    attributes = fit_attributes(encode(model, to_float(data.train.images)), data.train.factors)
    own, factors = to_float(data.test.images[:n]), data.test.factors[:n]
    codes = encode(model, own)
    edits = {name: {factor: reversed_factor(factors, factor)} for name, factor in TURNED.items()} | SET
    edited, truths = [], []
    for values in edits.values():
        wanted = faces.with_factors(factors, **values)
        change = decode(model, attributes.edit(codes, factors, wanted)) - decode(model, codes)
        edited.append((own + change).clamp(0, 1))
        truths.append(painted(wanted))
    rows = [torch.stack([own[k], *(x[k] for x in these)]) for k in range(3) for these in (edited, truths)]
    scores = [
        mean_and_error(torch.stack([psnr(*pair) for pair in zip(truths, given, strict=True)]).mean(0))
        for given in (edited, [own] * len(edits))
    ]  # the edits of a portrait are not independent: first their mean, then the spread over portraits
    measured = f"PSNR against the truth, {n} test portraits, {len(edits)} edits of each: "
    measured += f"edited {scores[0]} dB, not edited {scores[1]} dB"
    return Board(rows, measured, ("by code", "truth") * 3, ("portrait", *edits), enlarged=2)


def reversed_factor(factors: Tensor, name: str) -> Tensor:
    """The far end of a factor's range: its highest value where it is in the lower half, and the reverse: (N,)."""
    low, high = (bound[faces.index(name)] for bound in faces.ranges(factors))
    return torch.where(factors[:, faces.index(name)] < (low + high) / 2, high, low)


@dataclass(frozen=True)
class Trial:
    """Portraits that get the hair of others, and what is known about both; (N, C, H, W) or (N, 1, H, W)."""

    takers: Tensor
    givers: Tensor
    truth: Tensor
    turned: Tensor  # the givers, turned and widened until their heads stand like the takers'
    hair: Tensor  # which share of a pixel is hair: that of the taker, of the turned giver and of the giver
    turned_hair: Tensor
    givers_hair: Tensor


def hair_trial(studio: Studio) -> Trial:
    """Test portraits, each with the next one's hair to get."""
    n, side = studio.scale.measured, pretrained.PORTRAIT_SIZE
    own, other = studio.portraits.test.factors[:n], studio.portraits.test.factors[n : 2 * n]
    wanted = faces.with_factors(own, **{name: other[:, faces.index(name)] for name in HAIR})
    posed = faces.with_factors(other, **{name: own[:, faces.index(name)] for name in ("tilt", "face_width")})
    hair, givers_hair = (faces.masks(x.cpu(), side)["hair"].to(own.device) for x in (own, other))
    takers, givers, truth = (painted(x) for x in (own, other, wanted))
    turned, turned_hair = (align(x, other, posed) for x in (givers, givers_hair))
    return Trial(takers, givers, truth, turned, hair, turned_hair.clamp(0, 1), givers_hair)


def composites(studio: Studio, trial: Trial) -> dict[str, Tensor]:
    """The hair pasted; pasted by the best recipe of notebook 06, brows undyed; by the best code, own pixels kept."""
    t = trial
    pasted = t.givers_hair * t.givers + (1 - t.givers_hair) * t.takers
    both = torch.maximum(t.hair, t.turned_hair) > 0.1
    cleared = poisson_blend(t.turned, t.takers, both)
    best = (t.turned_hair * t.turned + (1 - t.turned_hair) * cleared).clamp(0, 1)
    rest = ((t.hair < 0.1) & (t.turned_hair < 0.1)).float()
    chosen = (t.turned_hair > 0.5).float()
    model, steps = studio.portrait_vae, studio.scale.search_steps
    q = infer_code(model, [t.takers, t.turned], [rest, chosen], start=best, steps=steps)
    inferred = rest * t.takers + (1 - rest) * decode(model, q.mean)
    return {"pasted": pasted, "best pasting": best, "by VAE": inferred}


def hair(studio: Studio) -> Board:
    """One portrait with the hair of another, by scissors and by a VAE."""
    trial = hair_trial(studio)
    made = composites(studio, trial)
    named = {"portrait": trial.takers, "hair of": trial.givers, **made, "truth": trial.truth}
    scores = ", ".join(f"{name} {decibels(trial.truth, x)}" for name, x in made.items())
    measured = f"PSNR against the truth, {len(trial.truth)} test pairs: {scores}"
    return Board([x[: studio.scale.shown] for x in named.values()], measured, tuple(named))


def views(studio: Studio) -> Board:
    """Portraits of which two observers saw a quarter each, completed by the product of what both say."""
    data, model = studio.portraits, studio.portrait_vae
    codes = encode(model, to_float(data.train.images))
    prior = GaussianFactor.of(MultivariateNormal(codes.mean(0), torch.cov(codes.T)))
    people = data.test.images[: studio.scale.measured]
    truth, seen, fused, alone = to_float(people), torch.zeros(64, 64, dtype=torch.bool), prior, {}
    for name, view in zip(("by the upper", "", "by the lower", ""), tiles((64, 64), 2, 2), strict=True):
        if name:  # the two quarters on the left
            said = LinearExpert(view.to(codes.device), data.train.images, codes)(people)
            alone[name], fused = decode(model, said.mean), fused * (GaussianFactor.of(said) / prior)
            seen |= view.mask.cpu()
    hidden = ~seen.to(truth.device)
    made = {**alone, "by both": decode(model, fused.normalised().mean)}
    right = truth[..., hidden].unsqueeze(-1)  # (N, 3, pixels, 1), pictures of what was hidden
    scores = ", ".join(f"{name} {decibels(right, x[..., hidden].unsqueeze(-1))}" for name, x in made.items())
    named = {"seen": torch.where(hidden, 0.5, truth), **made, "portrait": truth}
    measured = f"PSNR of the hidden half, {len(truth)} test portraits: {scores}"
    return Board([x[: studio.scale.shown] for x in named.values()], measured, tuple(named))


def sharpened(studio: Studio) -> Board:
    """Faces as drawn, and as they are rebuilt by the VAE and by the VAE trained on with features and a critic."""
    n = studio.scale.measured
    truth, factors = to_float(studio.portraits.test.images[:n]), studio.portraits.test.factors[:n]
    artists = {"pixels alone": studio.portrait_vae, "sharpened": pretrained.sharp_portrait_vae(machine().device)}
    made = {name: decode(artist, encode(artist, truth)) for name, artist in artists.items()}
    scores = []
    for name, pictures in made.items():
        share, read = sharpness(pictures) / sharpness(truth), factor_r2(pictures, factors, judge=True)
        told = ", ".join(f"{factor} {read[factor]:.2f}" for factor in ("brows", "fringe"))
        scores.append(f"{name} {decibels(truth, pictures)}, sharpness {mean_and_error(share)}, R2 of {told}")
    close = [x[: studio.scale.shown, :, 18:50, 16:48] for x in (truth, *made.values())]
    measured = f"{n} test portraits, R2 by a judge that no loss has seen: {'; '.join(scores)}"
    return Board(close, measured, ("portrait", *made), enlarged=6)


def restyled(studio: Studio) -> Board:
    """People of the first sets in styles from grey to vivid, of each of which four portraits are seen."""
    artist, test = pretrained.style_vae(machine().device), studio.sets.test
    pictures, factors = (x.unflatten(0, (-1, PER_STYLE)) for x in (to_float(test.images), test.factors))
    m, n = len(pictures), studio.scale.measured

    def swapped(member: Tensor, own: Tensor, wanted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The true pictures of members (N,) of sets (N,) in the styles of sets (N,), and what is made of them."""
        which = (member[:, None] + torch.arange(SEEN)) % PER_STYLE  # the portrait itself is the first of its set
        x, of_own, of_wanted = pictures[own, member], pictures[own[:, None], which], pictures[wanted[:, None], which]
        codes = artist.infer_style(of_own).mean, artist.infer_style(of_wanted).mean
        made = {
            "by colours alone": covariance_transfer(x, of_wanted, of_own),
            "decoded": artist.restyle(x, *codes),
            "restyled": artist.carry_over(x, *codes).clamp(0, 1),
        }
        people, style = factors[own, member, : len(faces.NAMES)], factors[wanted, 0, len(faces.NAMES) :]
        return painted(people, style), made

    place = torch.arange(n)
    truth, made = swapped(place // m % PER_STYLE, place % m, (place + 1) % m)
    scores = ", ".join(f"{name} {decibels(truth, x)}" for name, x in made.items())
    vivid, across = len(faces.NAMES) + styles.TABLE.index("saturation"), studio.scale.shown - 1
    wanted = factors[:, 0, vivid].argsort().cpu()[(2 * torch.arange(across) + 1) * m // (2 * across)]
    blank = torch.ones(1, 3, *2 * [2 * pretrained.PORTRAIT_SIZE], device=pictures.device)
    rows = [torch.cat([blank, in_fours(pictures[wanted, :SEEN])])]
    for own in torch.arange(PEOPLE) % m:
        others = swapped(torch.zeros_like(wanted), own.expand_as(wanted), wanted)[1]["restyled"]
        rows.append(doubled(torch.cat([pictures[own, :1], others])))
    measured = f"PSNR against the truth, {n} test portraits, {SEEN} seen of each set: {scores}"
    return Board(rows, measured, enlarged=2)


def in_fours(sets: Tensor) -> Tensor:
    """Four pictures as one, two by two: (N, 4, C, H, W) -> (N, C, 2 H, 2 W)."""
    rows = torch.cat([sets[:, ::2], sets[:, 1::2]], -1)  # (N, 2, C, H, 2 W)
    return torch.cat([rows[:, 0], rows[:, 1]], -2)


def doubled(pictures: Tensor) -> Tensor:
    """Each pixel as four: (N, C, H, W) -> (N, C, 2 H, 2 W)."""
    return pictures.repeat_interleave(2, -1).repeat_interleave(2, -2)


def taken_apart(studio: Studio) -> Board:
    """Scenes of three things, their layers, and two other scenes made of them beside the true ones."""
    n = studio.scale.measured
    edited = [edited_scenes(kind, n, SCENE_SEED + place) for place, kind in enumerate(TAKEN_APART)]
    shown = zip(edited, TAKEN_APART.values(), strict=True)
    rows = [torch.stack([x[k] for _, x in scene.columns]) for scene, count in shown for k in range(count)]
    measured = f"PSNR where the true picture changes, {n} textured scenes of three things: {edited[0].measured}"
    return Board(rows, measured, columns=[name for name, _ in edited[0].columns], enlarged=2)


def told(studio: Studio) -> Board:
    """Portraits drawn from sentences, by a flow on the codes of the sharp VAE that reads them."""
    artist, test = pretrained.sharp_portrait_vae(machine().device), studio.many_portraits.test
    flow = trained_reader(studio, artist)

    def drawn_from(sentences: Sequence[str], guidance: float) -> Tensor:
        tokens = captions.tokens([one for one in sentences for _ in range(EACH)]).to(machine().device)
        return decode(artist, flow.sample(tokens=tokens, guidance=guidance)).unflatten(0, (-1, EACH))

    seed_everything(0)
    rows = list(drawn_from(SENTENCES, GUIDANCE))
    factors = test.factors[: studio.scale.measured].cpu()
    order = torch.rand(factors.shape, generator=torch.Generator().manual_seed(0)).argsort(1).argsort(1)
    asked, scores = captions.write(factors, 0, order < MENTIONED), []
    for guidance in (1.0, GUIDANCE):
        pictures = drawn_from(asked, guidance)
        free = mean_and_error(freedom(pictures, asked))
        done = obeyed(pictures.flatten(0, 1), [one for one in asked for _ in range(EACH)]).nanmean(1)
        done = mean_and_error(done.unflatten(0, (-1, EACH)).mean(1))  # of a sentence: its portraits are not independent
        again = pictures.flatten(0, 1)
        near = mean_and_error(psnr(to_float(redrawn(again)), again).unflatten(0, (-1, EACH)).mean(1))
        scores.append(f"guidance {guidance:.0f}, obedience {done}, freedom {free}, redrawn {near} dB")
    measured = f"{len(asked)} sentences about test portraits, {MENTIONED} factors mentioned, {EACH} portraits of each: "
    return Board(rows, measured + "; ".join(scores), sentences=SENTENCES)


def company(studio: Studio) -> Board:
    """One portrait in four companies, by a VAE with one wrong line and by the same with that line mended."""
    data = load("faces", size=WARD_SIZE, n=studio.scale.portraits).to(machine().device)
    ward = Ward(data, small_portrait_vae, steps=studio.scale.patient_steps, batch_size=32)
    own, skin = data.test.images[: studio.scale.measured], data.test.factors[:, faces.index("skin")]
    order = skin.argsort()
    others = {"anybody": slice(-COMPANY, None), "the palest": order[:COMPANY], "the darkest": order[-COMPANY:]}
    beside = {"its copies": None, **{name: data.test.images[which] for name, which in others.items()}}
    rows, scores = [], []
    for name, line in (("patient", PATIENTS["F"].wrong), ("mended", PATIENTS["F"].right)):
        model = PATIENTS["F"].train(ward, line).model.eval()
        made = {who: among(model, own, theirs) for who, theirs in beside.items()}
        rows.append(torch.cat([to_float(own[:1]), *(pictures[:1] for pictures in made.values())]))
        by_company = ", ".join(f"{who} {decibels(to_float(own), pictures)}" for who, pictures in made.items())
        scores.append(f"{name}, beside {by_company}")
    measured = f"PSNR against the portrait, {len(own)} test portraits: {'; '.join(scores)}"
    columns = ("portrait", *(f"beside {who}" for who in beside))
    return Board(rows, measured, ("patient", "mended"), columns, enlarged=6)


def small_portrait_vae(likelihood: torch.nn.Module) -> VAE:
    """The healthy VAE of portraits of notebook 12."""
    return conv_vae((3, WARD_SIZE, WARD_SIZE), 16, width=16, hidden=128, likelihood=likelihood)


@torch.no_grad()
def among(model: VAE, own: Tensor, others: Tensor | None) -> Tensor:
    """Each picture's reconstruction in a batch with others, or with copies of itself: (N, C, H, W)."""
    made = []
    for picture in own[:, None]:
        batch = to_float(torch.cat([picture, picture.expand(COMPANY, -1, -1, -1) if others is None else others]))
        made.append(decode(model, encode(model, batch))[:1])
    return torch.cat(made)


def trained_reader(studio: Studio, artist: VAE) -> Flow:
    """A flow that is told sentences, four of each training portrait, as in notebook 11."""
    train = studio.many_portraits.train
    codes = torch.cat([encode(artist, to_float(part)) for part in train.images.split(1000)])
    factors = train.factors.cpu()
    sentences = [one for seed in range(4) for one in captions.write(factors, seed)]
    seed_everything(0)
    flow = Flow(codes, WordsInContext(len(captions.vocabulary()))).to(codes.device)
    examples = codes.repeat(4, 1), captions.tokens(sentences).to(codes.device)
    settings = {"batch_size": 256, "learning_rate": 2e-3, "betas": (0.9, 0.99), "objective": flow_matching_error}
    print(f"flow: {fit(flow, examples, steps=studio.scale.told_steps, progress=False, **settings)}", flush=True)
    return flow.eval()


class Edited(NamedTuple):
    """Scenes, their layers and what was made of these, column by column, and how near that is to the truth."""

    columns: list[tuple[str, Tensor]]  # name, and (N, 3, S, S)
    measured: str


def edited_scenes(kind: str, n: int, seed: int) -> Edited:
    """n scenes taken apart; of two things that overlap the one in front is taken away, or the other put before all."""
    factors = overlapping(kind, n, seed)
    x, true = to_float(scenes.render(factors, SCENE_SIZE)), scenes.layers(factors, SCENE_SIZE)
    last = scenes.overlaps(factors, SCENE_SIZE).flatten(1).float().cumsum(1).argmax(1)  # pair of each scene
    behind, front = 1 + last // scenes.SPRITES, 1 + last % scenes.SPRITES
    visible, amodal = scenes.masks(factors, SCENE_SIZE)
    row, device = torch.arange(n), machine().device
    found = Apart(*(part.cpu() for part in pretrained.scene_model(device).take_apart(x.to(device))))
    layers = carried(x, found.layers)
    of = match(visible[:, 1:], found.visible[:, 1:].clamp(0, 1)).of + 1  # (N, 4), 0 where nothing was found
    things = (found.there * torch.arange(1, 1 + found.there.shape[1])).sort(1).values[:, -THINGS:]
    layer = [torch.where((k > 0)[:, None, None, None], found.layers[row, k], 0) for k in things.unbind(1)]
    columns = [("picture", x), ("background", found.layers[:, 0, :3])]
    columns += zip(("back", "middle", "front"), map(on_checks, layer), strict=True)
    filled, told = fill_smoothly(x, amodal[row, front - 1, None] > 0.02), []
    for name, edit, k, without_layers in (("one gone", without, front, filled), ("one raised", to_front, behind, x)):
        truth, made = compose(edit(true, k)), compose(edit(layers, of[row, k - 1])).clamp(0, 1)
        changed = (truth - x).abs().amax(1, keepdim=True) > 0.02  # (N, 1, S, S)
        before, after = (mean_and_error(psnr_within(y, truth, changed)) for y in (without_layers, made))
        opponent = "filled from around" if edit is without else "unchanged"
        told.append(f"{name}, {opponent} {before} dB, by layers {after} dB")
        columns += [(name, made), ("truth", truth)]
    return Edited([(name, pictures.clamp(0, 1)) for name, pictures in columns], "; ".join(told))


def overlapping(kind: str, n: int, seed: int) -> Tensor:
    """The first n scenes of three things in which two pairs overlap, (n, 44)."""
    factors = scenes.sample(20 * n, seed, kind, THINGS, THINGS, KNOWN_SHAPES)
    return factors[scenes.overlaps(factors, SCENE_SIZE).flatten(1).sum(1) >= 2][:n]


def without(layers: Tensor, k: Tensor) -> Tensor:
    """Layers (N, L, 4, S, S) without the k-th of each, (N,); 0, the background, stays."""
    here = torch.arange(layers.shape[1], device=layers.device)
    return layers * ((here != k[:, None]) | (here == 0))[..., None, None, None]


def to_front(layers: Tensor, k: Tensor) -> Tensor:
    """Layers (N, L, 4, S, S) with the k-th of each, (N,), before all others; 0, the background, stays."""
    here = torch.arange(layers.shape[1], device=layers.device)
    rank = here + len(here) * ((here == k[:, None]) & (here > 0))
    return layers[torch.arange(len(layers), device=k.device)[:, None], rank.argsort(1)]


def carried(x: Tensor, layers: Tensor) -> Tensor:
    """The layers, with what they miss of the picture given to the one that has nine tenths of the pixel."""
    has = visible_shares(layers[:, :, 3])[:, :, None] > 0.9  # (N, L, 1, S, S)
    missing = (x - compose(layers))[:, None]
    return torch.cat([layers[:, :, :3] + missing * has, layers[:, :, 3:]], 2)


def on_checks(layers: Tensor) -> Tensor:
    """Premultiplied layers over a grey check, which shows where they are clear: (N, 4, S, S) -> (N, 3, S, S)."""
    line = torch.arange(layers.shape[-1], device=layers.device) // 8
    return layers[:, :3] + (1 - layers[:, 3:]) * (0.72 + 0.16 * ((line + line[:, None]) % 2))


def psnr_within(y: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """PSNR in some pixels of each picture: (N, 3, S, S) twice and (N, 1, S, S) -> (N,), dB."""
    error = ((y.clamp(0, 1) - truth).square().mean(1, keepdim=True) * where).flatten(1).sum(1)
    return -10 * (error / where.flatten(1).sum(1)).clamp(min=1e-6).log10()


def noisy_portraits(studio: Studio) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Test portraits, the same with strong noise, and what a filter and two priors make of that."""
    clean = to_float(studio.portraits.test.images[: min(100, studio.scale.measured)])
    noisy = noise.gaussian(clean, PORTRAIT_NOISE, seed=0)
    restored = studio.portrait_gaussian.restore(noisy.flatten(1), PORTRAIT_NOISE).reshape(noisy.shape).clamp(0, 1)
    variance = studio.portrait_vae.likelihood.sigma.item() ** 2  # of a pixel given its code
    trust = torch.full_like(noisy[:, :1], variance / (variance + PORTRAIT_NOISE**2))
    steps = studio.scale.search_steps
    q = infer_code(studio.portrait_vae, [noisy], [trust], start=restored, steps=steps)
    estimates = {"non-local means": non_local_means(noisy, PORTRAIT_NOISE, 0.5), "Gaussian": restored}
    return clean, noisy, estimates | {"by VAE": decode(studio.portrait_vae, q.mean)}


def non_local_means(y: Tensor, sigma: float, strength: float) -> Tensor:
    """Non-local means by scikit-image: (N, C, H, W) of the same shape. Strengths were chosen on validation images."""
    from skimage.restoration import denoise_nl_means

    options = {"patch_size": 5, "patch_distance": 6, "h": strength * sigma, "sigma": sigma}
    colour = y.shape[1] > 1
    arrays = [(x.permute(1, 2, 0) if colour else x[0]).double().cpu().numpy() for x in y]
    cleaned = torch.from_numpy(
        np.stack([denoise_nl_means(x, channel_axis=2 if colour else None, **options) for x in arrays])
    )
    return (cleaned.permute(0, 3, 1, 2) if colour else cleaned[:, None]).to(y).clamp(0, 1)


def denoising(studio: Studio) -> Board:
    """Portraits under noise as strong as the picture, and without it."""
    clean, noisy, estimates = noisy_portraits(studio)
    scores = ", ".join(f"{name} {decibels(clean, x)}" for name, x in estimates.items())
    measured = f"PSNR against the truth, {len(clean)} test portraits, sigma = {PORTRAIT_NOISE}: {scores}"
    named = {"noisy": noisy.clamp(0, 1), **estimates, "truth": clean}
    return Board([x[: studio.scale.shown] for x in named.values()], measured, tuple(named))


def photograph(studio: Studio) -> Board:
    """A photograph of a cat under noise, and what the shipped network and non-local means make of it."""
    clean = to_float(photographs("test", colour=False)["chelsea"])
    noisy = noise.gaussian(clean, PHOTOGRAPH_NOISE, seed=0)
    with torch.no_grad():
        by_network = pretrained.denoiser()(noisy, PHOTOGRAPH_NOISE).clamp(0, 1)
    named = {"noisy": noisy.clamp(0, 1), "non-local means": non_local_means(noisy, PHOTOGRAPH_NOISE, 0.8)}
    named |= {"network": by_network, "photograph": clean}
    scores = ", ".join(f"{name} {psnr(clean, x).item():.2f} dB" for name, x in list(named.items())[1:3])
    eyes = torch.cat([x[:, :, 30:190, 110:270] for x in named.values()])
    measured = f"PSNR of the whole picture, sigma = 25/255, one draw: {scores}"
    return Board([eyes], measured, columns=tuple(named), enlarged=2)


def fashion(studio: Studio) -> Board:
    """Invented clothes: the decoder's means at draws from the prior."""
    images = studio.fashion.test.images[: studio.scale.tested]
    words, _ = bounds(studio.fashion_vae, images, studio.scale.fashion_bound, torch.bfloat16)
    return Board(drawn_from_prior(studio.fashion_vae, 8 * studio.scale.shown).chunk(4), words, enlarged=2)


def fashion_reconstructions(studio: Studio) -> Board:
    """Clothes, two of each class, above what is left of them after 32 numbers."""
    split, model = studio.fashion.test, studio.fashion_vae
    x = to_float(split.images[: studio.scale.measured])
    again = decode(model, encode(model, x))
    first = [int((split.labels == k).nonzero()[place]) for k in range(10) for place in range(2)]
    chosen = to_float(split.images[first])
    rows = (chosen, decode(model, encode(model, chosen)))
    measured = f"PSNR against the grey values, the first {len(x)} test images: {decibels(x, again)}"
    return Board(rows, measured, ("picture", "from code"), enlarged=2)


def celeba(studio: Studio) -> Board:
    """Invented faces after those of a folder."""
    return invented(studio, studio.celeba_vae, studio.celeba)


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery: how it is made, and with which models of the studio."""

    make: Callable[[Studio], Board]
    models: tuple[str, ...] = ()
    data: str = "built-in"


PICTURES = {
    "overview": Picture(overview),
    "portraits": Picture(portraits),
    "walk": Picture(walk),
    "arithmetic": Picture(arithmetic),
    "hair": Picture(hair),
    "views": Picture(views),
    "sharpened": Picture(sharpened),
    "restyled": Picture(restyled),
    "taken_apart": Picture(taken_apart),
    "told": Picture(told),
    "company": Picture(company),
    "denoising": Picture(denoising),
    "photograph": Picture(photograph),
    "fashion": Picture(fashion, ("fashion_vae",), "fashion"),
    "fashion_reconstructions": Picture(fashion_reconstructions, ("fashion_vae",), "fashion"),
    "celeba": Picture(celeba, ("celeba_vae",), "celeba"),
}


# --- drawing and writing them ---


def drawn(board: Board) -> Image.Image:
    """The rows below each other, pixel by pixel enlarged, with the names beside and above, or a sentence above each."""
    most = max(map(len, board.rows))
    stripes = [as_image(row, most, board.enlarged) for row in board.rows]
    font = ImageFont.truetype(str(FONT), LETTERS)
    left = max((int(font.getlength(name)) for name in board.names), default=-4 * GAP) + 4 * GAP
    top = LETTERS + 3 * GAP if board.columns else 0
    over = LETTERS + 4 * GAP if board.sentences else 0
    wide, high = stripes[0].size
    canvas = Image.new("RGB", (left + wide, top + len(stripes) * (over + high + GAP) - GAP), "white")
    pen = ImageDraw.Draw(canvas)
    for place, stripe in enumerate(stripes):
        canvas.paste(stripe, (left, top + place * (over + high + GAP) + over))
    for place, words in enumerate(board.sentences):
        middle = left + wide / 2, top + place * (over + high + GAP) + LETTERS + GAP
        pen.text(middle, f'"{words}"', "black", fitting(f'"{words}"', wide), anchor="ms")
    for place, name in enumerate(board.names):
        pen.text((left - 3 * GAP, top + place * (high + GAP) + high // 2), name, "black", font, anchor="rm")
    for place, name in enumerate(board.columns):
        pen.text((left + (place + 0.5) * wide / most, LETTERS), name, "black", fitting(name, wide / most), anchor="ms")
    return canvas


def as_image(row: Tensor, most: int, enlarged: int) -> Image.Image:
    """A row of pictures side by side, on white where there are fewer than most."""
    blank = row.new_ones(most - len(row), *row.shape[1:])
    array = grid(torch.cat([row, blank]), columns=most, padding=GAP // enlarged)
    image = Image.fromarray(np.rint(255 * array).astype(np.uint8))
    return image.resize((image.width * enlarged, image.height * enlarged), Image.Resampling.NEAREST)


def fitting(name: str, width: float) -> ImageFont.FreeTypeFont:
    """The letters, smaller where the name would be wider than its column."""
    font = ImageFont.truetype(str(FONT), LETTERS)
    return font.font_variant(size=min(LETTERS, int(LETTERS * 0.96 * width / font.getlength(name))))


def write(image: Image.Image, path: Path, texts: Mapping[str, str]) -> None:
    """A PNG file with a palette, and with texts in it."""
    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    small.save(path, pnginfo=info, optimize=True)


def make(name: str, studio: Studio, folder: Path) -> None:
    """Make one picture and say what it shows."""
    picture = PICTURES[name]
    for model in picture.models:
        getattr(studio, model)  # trained here, if not yet, and timed by itself
    begun = time.process_time()
    board = picture.make(studio)
    seconds = math.ceil(time.process_time() - begun + sum(studio.seconds[model] for model in picture.models))
    path = folder / f"gallery_{name}.png"
    write(drawn(board), path, {"Measured": board.measured, "Seconds": str(seconds)})
    size = path.stat().st_size / 1000
    print(f"{path.name}: {size:.0f} kB, {seconds} s of CPU time\n    {board.measured}", flush=True)


def parser() -> argparse.ArgumentParser:
    """What the command line may say; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PICTURES, metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--fashion", type=Path, metavar="FOLDER", help="where torchvision keeps Fashion-MNIST")
    parser.add_argument("--celeba", type=Path, metavar="FOLDER", help="pictures of CelebA")
    parser.add_argument("--folder", type=Path, help="where to put the pictures")
    parser.add_argument("--quick", action="store_true", help="tiny models: to see that it runs; needs --folder")
    return parser


def given(options: argparse.Namespace) -> set[str]:
    """The data that pictures can be made from."""
    return {"built-in", *(data for data in ("fashion", "celeba") if getattr(options, data))}


def main(arguments: list[str] | None = None) -> None:
    """Make what was asked for."""
    options = parser().parse_args(arguments)
    if options.quick and options.folder is None:
        parser().error("--quick needs --folder: its pictures are not for docs/images.")
    for name in options.only or ():
        if PICTURES[name].data not in given(options):
            parser().error(f"the picture {name} needs --{PICTURES[name].data} FOLDER.")
    studio = Studio(QUICK if options.quick else Scale(), options.fashion, options.celeba)
    print(machine())
    for name, picture in PICTURES.items():
        if picture.data in given(options) and name in (options.only or PICTURES):
            folder = CELEBA_IMAGES if picture.data == "celeba" else IMAGES
            make(name, studio, options.folder or folder)


if __name__ == "__main__":
    main()
