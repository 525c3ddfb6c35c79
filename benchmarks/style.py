"""How near are swaps of style to the truth, and what does each code know that it should not? Three seeds.

    python -m benchmarks.style                        what docs quote: an hour of one core
    python -m benchmarks.style --seeds 1 --steps 300 --split validation               a quick look

Portraits of 32 x 32, float32, one thread; 1,000 styles of 16 portraits to train with, styles and people of the test
split new to all. A swap takes what one portrait shows and the style of a set of others, of which it sees 1, 4 or 16,
and as many of the portrait's own set, itself among them. Settings were chosen on validation sets.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.measuring import description, one_thread, table
from benchmarks.sharper_images import spread
from vae_helpers import AdversarialPair, Phase, conv_vae, fit, load, negative_elbo, psnr, seed_everything, to_float
from vae_helpers.colour_transfer import covariance_transfer, match_histograms, reinhard
from vae_helpers.data.dataset import Split
from vae_helpers.distributions import gaussian_transport
from vae_helpers.evaluation.leaks import probe_r2
from vae_helpers.models.convolutional import ConvEncoder
from vae_helpers.models.ladder import as_factor
from vae_helpers.models.layers import mlp
from vae_helpers.models.style import (
    ColourOfStyle,
    GroupVAE,
    StyleVAE,
    colour_of_style,
    infer_style,
    linear_style,
    quadratic,
    quadratic_ridge,
)
from vae_helpers.objectives import negative_elbo_without_leak, negative_group_elbo, style_reading_error
from vae_helpers.rendering import faces, styles

SIZE, LATENTS, STYLE_DIM, WIDTH = 32, 40, 8, 48
SETTINGS = {"batch_size": 32, "learning_rate": 3e-3, "betas": (0.9, 0.99), "progress": False}
PRICE = 300.0  # nats, for a nat that the critic reads of the style
PER_STYLE, SWAPS = 16, 1000
PENALTY = 200.0  # of the regressions of codes on styles
GIVEN = (1, 4, 16)  # pictures of a set that are seen
VARIED = slice(len(faces.NAMES), len(faces.NAMES) + 6)  # the columns of factors that hold a style; nothing is hatched
COLUMNS = (*(f"{k} seen, dB" for k in GIVEN), "itself, dB", "style from content, R²", "content from style, R²")


class Swaps(NamedTuple):
    """Portraits, the sets that they belong to and those whose style they are to take, and the true pictures."""

    x: Tensor  # (N, 3, S, S)
    own: Tensor  # (N, 16, 3, S, S), x the first of them
    wanted: Tensor  # (N, 16, 3, S, S)
    own_style: Tensor  # (N, 6), the true factors, -1 ... 1
    wanted_style: Tensor
    truth: Tensor  # (N, 3, S, S)


def swaps_of(split: Split, n: int = SWAPS) -> Swaps:
    """The same random swaps for all."""
    generator = torch.Generator().manual_seed(0)
    images, factors = (t.unflatten(0, (-1, PER_STYLE)) for t in (split.images, split.factors))
    sets = len(images)
    own = torch.randint(sets, (n,), generator=generator)
    wanted = (own + torch.randint(1, sets, (n,), generator=generator)) % sets
    order = torch.rand(n, PER_STYLE, generator=generator).argsort(1)
    others = torch.rand(n, PER_STYLE, generator=generator).argsort(1)
    people, style = factors[own, order[:, 0], : len(faces.NAMES)], factors[wanted, 0, len(faces.NAMES) :]
    x = to_float(images[own[:, None], order].flatten(0, 1)).unflatten(0, (-1, PER_STYLE))
    references = to_float(images[wanted[:, None], others].flatten(0, 1)).unflatten(0, (-1, PER_STYLE))
    unit = styles.TABLE.to_unit(factors[:, 0, len(faces.NAMES) :])[:, :6]
    return Swaps(x[:, 0], x, references, unit[own], unit[wanted], to_float(faces.render(people, SIZE, style)))


def nearness(pictures: Tensor, truth: Tensor) -> float:
    """Mean PSNR in dB."""
    return psnr(pictures.clamp(0, 1), truth).mean().item()


# --- without learning -------------------------------------------------------------------------------------------------


def untrained(swaps: Swaps) -> Iterator[tuple[str, list[float]]]:
    """Name -> what swaps come out, for each number of pictures seen."""
    methods: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "copy": lambda x, own, wanted: x,
        "mean of the references": lambda x, own, wanted: wanted.mean(1),
        "histograms": lambda x, own, wanted: match_histograms(x, wanted),
        "Reinhard": lambda x, own, wanted: reinhard(x, wanted),
        "covariance": lambda x, own, wanted: covariance_transfer(x, wanted),
        "Reinhard, its own set seen": lambda x, own, wanted: reinhard(x, wanted, own),
        "covariance, its own set seen": lambda x, own, wanted: covariance_transfer(x, wanted, own),
        "means of pixels, its own set seen": lambda x, own, wanted: x + wanted.mean(1) - own.mean(1),
    }
    for name, method in methods.items():
        yield name, [nearness(method(swaps.x, swaps.own[:, :k], swaps.wanted[:, :k]), swaps.truth) for k in GIVEN]


# --- learned without styles -------------------------------------------------------------------------------------------


@torch.no_grad()
def code_statistics(vae: nn.Module, sets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the codes of sets (N, K, 3, S, S), (N, D) each."""
    codes = vae.encode(sets.flatten(0, 1)).mean.unflatten(0, sets.shape[:2])
    return codes.mean(1), codes.std(1, correction=0).clamp(min=1e-3)


@torch.no_grad()
def by_codes(vae: nn.Module, swaps: Swaps) -> Iterator[tuple[str, list[float]]]:
    """Arithmetic with the codes of a VAE that knows of no styles."""
    z = vae.encode(swaps.x).mean
    added, matched = [], []
    for k in GIVEN:
        (m, a), (n, b) = (code_statistics(vae, sets[:, :k]) for sets in (swaps.own, swaps.wanted))
        added.append(nearness(vae.decode(z + n - m).mean, swaps.truth))
        scale = b / a if k > 1 else 1.0
        matched.append(nearness(vae.decode(n + scale * (z - m)).mean, swaps.truth))
    yield "codes of a VAE, means", added
    yield "codes of a VAE, means and deviations", matched


@torch.no_grad()
def true_pairs(vae: nn.Module, train: Split, swaps: Swaps, ridge: float = 1.0) -> float:
    """The bound: a bilinear ridge regression from code and both styles to the code of the true swap, on true pairs."""
    x = to_float(train.images)
    unit = styles.TABLE.to_unit(train.factors[:, len(faces.NAMES) :])
    other = train.factors[:, len(faces.NAMES) :].roll(PER_STYLE * 7, 0)
    truth = to_float(faces.render(train.factors[:, : len(faces.NAMES)], SIZE, other))
    z, target = (torch.cat([vae.encode(part).mean for part in pictures.split(500)]) for pictures in (x, truth))
    features = bilinear(z, unit[:, :6], styles.TABLE.to_unit(other)[:, :6])
    normal = features.T @ features + ridge * torch.eye(features.shape[1])
    weights = torch.linalg.solve(normal.double(), (features.T @ target).double()).float()
    asked = bilinear(vae.encode(swaps.x).mean, swaps.own_style, swaps.wanted_style)
    return nearness(vae.decode(asked @ weights).mean, swaps.truth)


def bilinear(z: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Code, one, and their products with both styles and the styles' squares: (N, (D + 1) 25)."""
    one = torch.ones(len(z), 1)
    style = torch.cat([one, own, wanted, own.square(), wanted.square()], 1)
    return (torch.cat([one, z], 1)[:, :, None] * style[:, None]).flatten(1)


# --- learned with styles ----------------------------------------------------------------------------------------------


def told_the_style(images: Tensor, s: Tensor, steps: int, seed: int, critic: bool) -> StyleVAE:
    """A `StyleVAE` after so many steps, with or without the critic that reads s from the content."""
    seed_everything(seed)
    vae = StyleVAE((3, SIZE, SIZE), LATENTS, s.shape[1], WIDTH)
    warm_up = functools.partial(beta_at, steps=steps)
    if not critic:
        fit(vae, (images, s), steps=steps, weights=warm_up, seed=seed, **SETTINGS)
        return vae
    pair = AdversarialPair(vae, mlp([LATENTS, 128, 128, s.shape[1]]))
    without_leak = functools.partial(negative_elbo_without_leak, price=PRICE)
    phases = [
        Phase("critic", style_reading_error, "critic", betas=(0.5, 0.99), updates=2),
        Phase("vae", without_leak, "vae", weights=warm_up),
    ]
    fit(pair, (images, s), steps=steps, phases=phases, seed=seed, **SETTINGS)
    return vae


def beta_at(step: int, steps: int) -> dict[str, float]:
    """The KL's weight rises over the first fifth."""
    return {"beta": min(1.0, 5 * (step + 1) / steps)}


class NetworkStyle(nn.Module):
    """An expert for the style that is a network, to be trained with the rest (Bouchacourt et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = ConvEncoder((3, SIZE, SIZE), 2 * STYLE_DIM, 24, 128)

    def forward(self, images: Tensor):
        """(..., 3, S, S) -> a factor for each picture."""
        return as_factor(self.network(images.flatten(0, -4)).unflatten(0, images.shape[:-3]))


def end_to_end(images: Tensor, steps: int, seed: int, rising: bool) -> GroupVAE:
    """A group VAE whose expert is trained with the rest, on sets of four; the KL's weight is one or rises to one."""
    seed_everything(seed)
    model = GroupVAE(NetworkStyle(), StyleVAE((3, SIZE, SIZE), LATENTS, STYLE_DIM, WIDTH))
    settings = SETTINGS | {"batch_size": 8}
    sets = to_float(images).unflatten(0, (-1, 4))
    warm_up = functools.partial(beta_at, steps=steps) if rising else None
    fit(model, sets, steps=steps, objective=negative_group_elbo, weights=warm_up, seed=seed, **settings)
    return model


def score(
    vae: StyleVAE,
    style_of: Callable[[Tensor], Tensor] | None,
    colour: ColourOfStyle,
    train: Split,
    split: Split,
    swaps: Swaps,
) -> Iterator[tuple[str, list[float]]]:
    """The columns for a model told the style, by `style_of` sets (N, K, 3, S, S), or by the true factors."""
    group, decoded, carried = GroupVAE(nn.Identity(), vae, colour), [], []
    for k in GIVEN:
        own, wanted = (
            (swaps.own_style, swaps.wanted_style)
            if style_of is None
            else (style_of(swaps.own[:, :k]).detach(), style_of(swaps.wanted[:, :k]).detach())
        )
        decoded.append(nearness(group.restyle(swaps.x, own, wanted), swaps.truth))
        carried.append(nearness(group.carry_over(swaps.x, own, wanted), swaps.truth))
    itself = nearness(group.restyle(swaps.x, own, own), swaps.x)
    yield ", decoded", [*decoded, itself, *leaks(vae, style_of, train, split)]
    yield ", carried over", carried


def by_mean_picture(
    expert: nn.Module, sets: Tensor, s: Tensor, colour: ColourOfStyle, swaps: Swaps, flat: bool = False
) -> list[float]:
    """No network: the mean picture of a style, a quadratic ridge regression on it, and the rest carried over.

    If flat, its mean colour takes the place of the picture.
    """
    weights = quadratic_ridge(s, torch.stack([to_float(one).mean(0).flatten() for one in sets]))
    found = []
    for k in GIVEN:
        own, wanted = (infer_style(expert, seen[:, :k]).mean for seen in (swaps.own, swaps.wanted))
        means = [(quadratic(style) @ weights).view_as(swaps.x) for style in (own, wanted)]
        if flat:
            means = [mean.mean((2, 3), keepdim=True).expand_as(mean) for mean in means]
        T = gaussian_transport(colour(own), colour(wanted))
        carried = (T @ (swaps.x - means[0]).flatten(2)).view_as(swaps.x)
        found.append(nearness(means[1] + carried, swaps.truth))
    return found


@torch.no_grad()
def codes_transported(
    vae: StyleVAE, style_of: Callable[[Tensor], Tensor], colour: ColourOfStyle, train: Split, swaps: Swaps
) -> Iterator[tuple[str, list[float]]]:
    """The critic's simplest opponent: contents as the VAE has them, their mean and covariance in the old style made
    those in the new one. Mean and covariance are regressed on the style, with a penalty chosen on validation sets."""
    sets = train.images.unflatten(0, (-1, PER_STYLE))
    s = style_of(to_float(train.images).unflatten(0, (-1, PER_STYLE)))  # (M, style_dim)
    z = torch.stack(
        [vae.encode(to_float(one), own.expand(PER_STYLE, -1)).mean for one, own in zip(sets, s, strict=True)]
    )
    centre = z.mean((0, 1))
    weights = quadratic_ridge(s, z.mean(1) - centre, PENALTY)
    rest = z - centre - (quadratic(s) @ weights)[:, None]
    covariance = rest.mT @ rest / PER_STYLE  # (M, D, D)
    usual, linear = covariance.mean(0), torch.cat([torch.ones_like(s[:, :1]), s], 1)
    normal = linear.T @ linear + PENALTY * torch.eye(linear.shape[1])
    slopes = torch.linalg.solve(normal, linear.T @ (covariance - usual).flatten(1))

    def moments(style: Tensor) -> tuple[Tensor, Tensor]:
        terms = torch.cat([torch.ones_like(style[:, :1]), style], 1)
        estimate = usual + (terms @ slopes).unflatten(1, usual.shape)
        values, vectors = torch.linalg.eigh((estimate + estimate.mT) / 2)
        return centre + quadratic(style) @ weights, vectors * values.clamp(min=0.02)[:, None] @ vectors.mT

    decoded, carried = [], []
    for k in GIVEN:
        own, wanted = style_of(swaps.own[:, :k]), style_of(swaps.wanted[:, :k])
        (m, A), (n, B) = moments(own), moments(wanted)
        code = vae.encode(swaps.x, own).mean
        moved = n + (gaussian_transport(A, B) @ (code - m)[..., None])[..., 0]
        base, painted = vae.decode(code, own).mean, vae.decode(moved, wanted).mean
        rest_of_x = gaussian_transport(colour(own), colour(wanted)) @ (swaps.x - base).flatten(2)
        decoded.append(nearness(painted, swaps.truth))
        carried.append(nearness(painted + rest_of_x.view_as(swaps.x), swaps.truth))
    yield ", decoded", decoded
    yield ", carried over", carried


@torch.no_grad()
def codes_of(vae: StyleVAE, style_of: Callable[[Tensor], Tensor] | None, split: Split) -> tuple[Tensor, ...]:
    """Drawn contents, styles of single pictures, and the true factors of both, -1 ... 1."""
    content, alone = [], []
    true_style = styles.TABLE.to_unit(split.factors[:, len(faces.NAMES) :])[:, :6]
    for first in range(0, len(split), 32 * PER_STYLE):
        here = slice(first, first + 32 * PER_STYLE)
        x = to_float(split.images[here])
        sets = x.unflatten(0, (-1, PER_STYLE))
        s = true_style[here] if style_of is None else style_of(sets).repeat_interleave(PER_STYLE, 0)
        content.append(vae.encode(x, s).sample())
        alone.append(true_style[here] if style_of is None else style_of(x[:, None]))
    people = faces.to_unit(split.factors[:, : len(faces.NAMES)])
    return torch.cat(content), torch.cat(alone), true_style, people


def leaks(vae: StyleVAE, style_of: Callable | None, train: Split, split: Split) -> tuple[float, float]:
    """Mean R2 of the style's factors read from contents, and of the portraits' read from styles of single pictures."""
    z, s, style, people = codes_of(vae, style_of, train)
    other_z, other_s, other_style, other_people = codes_of(vae, style_of, split)
    from_content, from_style = probe_r2(z, style, other_z, other_style), probe_r2(s, people, other_s, other_people)
    return from_content.mean().item(), from_style.mean().item()


def trained(train: Split, split: Split, swaps: Swaps, steps: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """Name -> columns, of everything that learns."""
    images = train.images
    seed_everything(seed)
    plain = conv_vae((3, SIZE, SIZE), LATENTS + STYLE_DIM, WIDTH)
    fit(plain, images, steps=steps, objective=negative_elbo, seed=seed, **SETTINGS)
    yield from by_codes(plain, swaps)
    yield "ridge on true pairs, which nobody has", [true_pairs(plain, train, swaps)]
    sets = images.unflatten(0, (-1, PER_STYLE))
    expert, _ = linear_style(sets, STYLE_DIM)
    by_set = infer_style(expert, sets).mean
    inferred = by_set.repeat_interleave(PER_STYLE, 0)
    known = styles.TABLE.to_unit(train.factors[:, len(faces.NAMES) :])[:, :6]
    colour, true_colour = colour_of_style(sets, by_set), colour_of_style(sets, known[::PER_STYLE])
    yield "style of the set, no network", by_mean_picture(expert, sets, by_set, colour, swaps)
    yield "style of the set, mean colours", by_mean_picture(expert, sets, by_set, colour, swaps, flat=True)
    by_expert = lambda seen: infer_style(expert, seen).mean  # noqa: E731
    for name, s, style_of, turned in (
        ("true style", known, None, true_colour),
        ("style of the set", inferred, by_expert, colour),
    ):
        for critic, times in ((False, 1), (True, 1), (False, 2), (True, 2)):
            if style_of is None and times == 2:
                continue
            begun = time.process_time()
            vae = told_the_style(images, s, times * steps, seed, critic)
            print(f"{time.process_time() - begun:.0f} s", flush=True)
            what = f"{name}{', critic' if critic else ''}{', twice as long' if times == 2 else ''}"
            for how, scores in score(vae, style_of, turned, train, split, swaps):
                yield what + how, scores
            if style_of is not None and not critic:
                for how, scores in codes_transported(vae, style_of, turned, train, swaps):
                    yield f"{what}, codes transported{how}", scores
    yield from groups(train, split, swaps, steps, seed)


def shared_by(group: GroupVAE, sets: Tensor) -> Tensor:
    """The mean style of each set, (M, K, C, S, S) -> (M, style_dim)."""
    return group.infer_style(sets).mean


def groups(train: Split, split: Split, swaps: Swaps, steps: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """The columns of the group VAEs whose expert is a network, trained with the rest."""
    sets = train.images.unflatten(0, (-1, PER_STYLE))
    for rising in (False, True):
        group = end_to_end(train.images, steps, seed, rising)
        with torch.no_grad():
            parts = (to_float(some.flatten(0, 1)).unflatten(0, some.shape[:2]) for some in sets.split(50))
            by_network = torch.cat([shared_by(group, some) for some in parts])
        turned = colour_of_style(sets, by_network)
        for how, scores in score(group.vae, functools.partial(shared_by, group), turned, train, split, swaps):
            yield f"group VAE, a network for the style{', warm-up' if rising else ''}{how}", scores


def main() -> None:
    """Train everything with each seed, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    os.environ["VAE_HELPERS_PRECISION"] = "float32"
    one_thread()
    data = load("faces", size=SIZE, styles=1000)
    split = getattr(data, args.split)
    swaps = swaps_of(split)
    found: dict[str, list[list[float]]] = {name: [scores] for name, scores in untrained(swaps)}
    for seed in range(args.seeds):
        for name, scores in trained(data.train, split, swaps, args.steps, seed):
            found.setdefault(name, []).append(scores)
            print(seed, name, [round(score, 3) for score in scores], flush=True)
    print(f"\n{description()}\n\n{SWAPS} swaps of {args.split} portraits, {args.seeds} seeds, {args.steps} steps.\n")
    rows = [[name, *map(spread, zip(*of_seeds, strict=True))] for name, of_seeds in found.items()]
    print(table(["", *COLUMNS], [[*row, *[""] * (len(COLUMNS) + 1 - len(row))] for row in rows]))


if __name__ == "__main__":
    main()
