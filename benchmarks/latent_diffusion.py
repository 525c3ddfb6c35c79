"""Priors on the codes of one autoencoder, and portraits from sentences: by flow matching, and by what is simpler.

    python -m benchmarks.latent_diffusion                      what docs quote: half an hour of one core
    python -m benchmarks.latent_diffusion --seeds 1 --steps 600 --portraits 3000                     a quick look

Portraits of 64 x 64, float32, one thread. All codes are those of the shipped sharp VAE, and all pictures are decoded by
it; the judge has seen no loss. Sentences are written about test portraits. Four combinations are held out: no training
sentence is about a portrait that shows one.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from benchmarks.measuring import description, one_thread, table
from vae_helpers import (
    VAE,
    Flow,
    WordsInContext,
    face_distance,
    fit,
    flow_matching_error,
    freedom,
    load,
    obeyed,
    pretrained,
    psnr,
    redrawn,
    seed_everything,
    to_float,
)
from vae_helpers.models.flow import euler, heun
from vae_helpers.models.layers import mlp
from vae_helpers.rendering import captions, faces

SIZE = 64
SETTINGS = {"batch_size": 256, "learning_rate": 2e-3, "betas": (0.9, 0.99), "progress": False}
COPIES = 4  # sentences about each training portrait
FEW = 5  # things mentioned
GUIDANCE = (1.0, 2.0, 3.0)
LEFT_OUT = ("drawn to order", "flow, bag of words, w = 1", "flow, bag of words, w = 3")  # of the last two tables
HELD_OUT = (  # and as rare a pair that is in the training data
    ({"hair_colour": "silver", "glasses": "with"}, {"hair_colour": "black", "glasses": "with"}),
    ({"clothes": "green", "background": "lilac"}, {"clothes": "teal", "background": "sky"}),
    ({"hair_colour": "black", "smile": "broad"}, {"hair_colour": "silver", "smile": "broad"}),
    ({"clothes": "plum", "eye_size": "large"}, {"clothes": "navy", "eye_size": "large"}),
)
SIDES = ({"gaze": "left", "tilt": "right"}, {"gaze": "right", "tilt": "left"})
QUALITY = ("judge's distance", "redrawn PSNR, dB", "CPU seconds")
COLUMNS = (
    *(f"{asked} asked: {what}" for asked in (FEW, len(faces.NAMES)) for what in ("done", "redrawn PSNR, dB")),
    "freedom",
    "left and right",
    "held-out pairs",
    "seen pairs",
)

Draw = Callable[[Sequence[str]], Tensor]  # sentences -> pictures (N, 3, S, S) in [0, 1]
Row = tuple[str, str, list[float]]  # table, row, numbers


# --- codes ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def encoded(vae: VAE, images: Tensor) -> Tensor:
    """The mean code of each picture, (N, D)."""
    return torch.cat([vae.encode(vae.prepare(x)).mean for x in images.split(250)])


@torch.no_grad()
def decoded(vae: VAE, z: Tensor) -> Tensor:
    """Mean pictures, (N, 3, S, S) in [0, 1]."""
    return torch.cat([vae.decode(z).mean for z in z.split(250)]).clamp(0, 1)


def gaussian(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and a root of the covariance (D, D): mean + eps @ root has both."""
    values, axes = torch.linalg.eigh(z.double().T.cov())
    return z.mean(0), (axes * values.clamp(min=0).sqrt()).T.float()


def mixture(z: Tensor, n: int, components: int = 30) -> Tensor:
    """n draws from a mixture of Gaussians with full covariances, fitted to the codes in double precision."""
    from sklearn.mixture import GaussianMixture

    seed = int(torch.randint(2**31 - 1, ()))
    fitted = GaussianMixture(components, reg_covar=1e-4, random_state=seed).fit(z.double().numpy())
    return torch.from_numpy(fitted.sample(n)[0]).float()


def trained(flow: Flow, data: Tensor | tuple[Tensor, Tensor], steps: int, seed: int) -> Flow:
    """The flow after so many steps of flow matching."""
    fit(flow, data, steps=steps, objective=flow_matching_error, seed=seed, **SETTINGS)
    return flow


def priors(z: Tensor, n: int, steps: int, seed: int) -> Iterator[tuple[str, Tensor, float]]:
    """Name, n codes, and the CPU seconds that the prior took to be fitted and to be drawn from."""
    eps = torch.randn(n, z.shape[1])

    def timed(make: Callable[[], Tensor]) -> tuple[Tensor, float]:
        begun = time.process_time()
        return make(), time.process_time() - begun

    def as_gaussian() -> Tensor:
        mean, root = gaussian(z)
        return mean + eps @ root

    yield "N(0, I)", eps, 0.0
    yield "Gaussian", *timed(as_gaussian)
    yield "mixture of 30 Gaussians", *timed(lambda: mixture(z, n))
    begun = time.process_time()
    flow = trained(Flow(z), z, steps, seed)
    training = time.process_time() - begun
    yield from by_steps(flow, eps, training)


@torch.no_grad()
def by_steps(flow: Flow, eps: Tensor, training: float) -> Iterator[tuple[str, Tensor, float]]:
    """The same noise, carried to codes in few steps and in many."""
    for method in (euler, heun):
        for steps in (1, 2, 4, 8, 16):
            begun = time.process_time()
            z = flow.mean + flow.std * method(flow.velocity, eps, steps)
            name = f"flow, {method.__name__.capitalize()}, {steps} step{'s' * (steps > 1)}"
            yield name, z, training + time.process_time() - begun


# --- sentences --------------------------------------------------------------------------------------------------------


def shows_held_out(factors: Tensor) -> Tensor:
    """Which portraits show a combination that is held out, (N,) of bool."""
    return torch.stack([captions.shows(factors, **pair) for pair, _ in HELD_OUT]).any(0)


def mentions(n: int, count: int, seed: int, certain: Sequence[str] = ()) -> Tensor:
    """Which factors n sentences mention: `count` of them, drawn at random but for those that are certain, (N, 14)."""
    draws = torch.rand(n, len(faces.NAMES), generator=torch.Generator().manual_seed(seed))
    draws[:, [faces.index(name) for name in certain]] -= 1
    return draws.argsort(1).argsort(1) < count


def about(words: dict[str, str], n: int, seed: int) -> list[str]:
    """n sentences that ask for these words and, to make `FEW`, for other things that come with no held-out pair."""
    factors = faces.sample(100 * n + 1000, seed)  # of which 1 in 40 shows the rarest pair
    other = [captions.shows(factors, **pair) for pair, _ in HELD_OUT if pair != words]
    factors = factors[captions.shows(factors, **words) & ~torch.stack(other).any(0)][:n]
    return captions.write(factors, seed, mentions(len(factors), FEW, seed, tuple(words)))


def one_hot(sentences: Sequence[str]) -> Tensor:
    """What is asked as zeros and ones, nothing where a sentence is silent, and 1 at the end: (N, 49)."""
    asked = captions.one_hot(captions.wanted(sentences))
    return torch.cat([asked, torch.ones(len(asked), 1)], 1).double()


class Regression:
    """Codes as a linear function of what is asked, with Gaussian residuals, all of one covariance."""

    def __init__(self, sentences: Sequence[str], z: Tensor):
        x = one_hot(sentences)
        self.weights = torch.linalg.lstsq(x, z.double()).solution
        _, self.root = gaussian(z - self.mean(sentences))

    def mean(self, sentences: Sequence[str]) -> Tensor:
        """(N, D)."""
        return (one_hot(sentences) @ self.weights).float()

    def sample(self, sentences: Sequence[str]) -> Tensor:
        """(N, D)."""
        mean = self.mean(sentences)
        return mean + torch.randn_like(mean) @ self.root


def retrieved(z: Tensor, factors: Tensor, sentences: Sequence[str]) -> Tensor:
    """The code of the portrait that does most of what is asked; among equals any."""
    wanted, found = captions.wanted(sentences), captions.classes(factors)
    best = []
    for rows in wanted.split(100):
        done = sum((rows[:, [j]] == found[:, j]).float() for j in range(found.shape[1]))  # (100, N)
        best.append((done + 0.5 * torch.rand_like(done)).argmax(1))
    return z[torch.cat(best)]


class FilledIn:
    """What is asked, the rest as a training portrait has it, and a small network from fourteen classes to a code.

    Told the class of every factor of each portrait, and what a sentence asks of each: more than a flow is.
    """

    def __init__(self, z: Tensor, factors: Tensor, seed: int, steps: int = 1000):
        self.classes, self.network = captions.classes(factors), mlp([48, 256, z.shape[1]])
        data = (captions.one_hot(self.classes), z)
        fit(self.network, data, steps=steps, objective=squared_distance, seed=seed, **SETTINGS)

    @torch.no_grad()
    def sample(self, sentences: Sequence[str]) -> Tensor:
        """(N, D)."""
        asked = captions.wanted(sentences)
        rest = self.classes[torch.randint(len(self.classes), (len(asked),))]
        return self.network(captions.one_hot(torch.where(asked < 0, rest, asked)))


def squared_distance(network: nn.Module, rows: Tensor, z: Tensor) -> dict[str, Tensor]:
    """Of codes (N, D) to what is made of rows, summed over dimensions: (N,)."""
    return {"loss": (network(rows) - z).square().sum(1)}


def generators(vae: VAE, z: Tensor, factors: Tensor, steps: int, seed: int) -> Iterator[tuple[str, Draw]]:
    """Name -> what draws portraits from sentences, from the truth and the simplest on.

    Args:
        vae: encodes and decodes.
        z, factors: of the training portraits that show nothing that is held out.
    """
    drawn = functools.partial(drawn_to_order, seed=7000 + seed)
    yield "drawn to order", lambda sentences: to_float(drawn(sentences))
    yield "drawn to order, decoded", lambda sentences: decoded(vae, encoded(vae, drawn(sentences)))
    yield "drawn at random", lambda sentences: to_float(drawn(["a portrait"] * len(sentences)))
    sentences = [s for copy in range(COPIES) for s in captions.write(factors, 100 * (seed + 1) + copy)]
    codes, told = z.repeat(COPIES, 1), captions.tokens(sentences)
    regression = Regression(sentences, codes)
    yield "retrieved", lambda s: decoded(vae, retrieved(z, factors, s))
    yield "linear regression, its mean", lambda s: decoded(vae, regression.mean(s))
    yield "linear regression, Gaussian residuals", lambda s: decoded(vae, regression.sample(s))
    seed_everything(seed)
    filled_in = FilledIn(z, factors, seed)
    yield "filled in", lambda s: decoded(vae, filled_in.sample(s))
    for name, reach in (("bag of words", 0), ("words in context", 1)):
        seed_everything(seed)
        flow = Flow(z, WordsInContext(len(captions.vocabulary()), reach=reach))
        trained(flow, (codes, told), steps, seed)
        for guidance in GUIDANCE:
            yield f"flow, {name}, w = {guidance:g}", functools.partial(follow, vae, flow, guidance)


def drawn_to_order(sentences: Sequence[str], seed: int) -> Tensor:
    """The truth, `uint8`."""
    return faces.render(captions.draw(sentences, seed), SIZE)


def follow(vae: VAE, flow: Flow, guidance: float, sentences: Sequence[str]) -> Tensor:
    """What a flow makes of sentences."""
    return decoded(vae, flow.sample(tokens=captions.tokens(sentences), guidance=guidance))


# --- scores -----------------------------------------------------------------------------------------------------------


def redrawn_psnr(pictures: Tensor) -> float:
    """Mean PSNR to the portraits that the judge sees in the pictures, dB; 60 at most for one."""
    return psnr(pictures, to_float(redrawn(pictures))).clamp(max=60).mean().item()


def both_done(pictures: Tensor, sentences: Sequence[str], names: Sequence[str]) -> float:
    """The share of portraits that do what is asked of all of these factors."""
    return obeyed(pictures, sentences)[:, [faces.index(name) for name in names]].all(1).float().mean().item()


def pair_scores(draw: Draw, n: int, seed: int) -> list[tuple[float, float]]:
    """For each combination that is held out: the share of portraits that show it, and of the seen one as rare."""
    scores = []
    for pairs in HELD_OUT:
        told = [about(pair, n, 300 + seed) for pair in pairs]
        scores.append(tuple(both_done(draw(s), s, tuple(pair)) for s, pair in zip(told, pairs, strict=True)))
    return scores


def side_score(draw: Draw, n: int, seed: int) -> float:
    """The share of portraits whose eyes and head go to opposite sides, each to its own."""
    told = [s for words in SIDES for s in about(words, n, 400 + seed)]
    return both_done(draw(told), told, ("gaze", "tilt"))


def freedom_score(draw: Draw, factors: Tensor, each: int, seed: int) -> float:
    """The mean freedom over sentences about these portraits, `each` pictures of each."""
    told = captions.write(factors, 500 + seed, mentions(len(factors), FEW, 500 + seed))
    pictures = draw([s for s in told for _ in range(each)])
    return freedom(pictures.unflatten(0, (len(told), each)), told).mean().item()


def scores(draw: Draw, factors: Tensor, seed: int) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """`COLUMNS`; the share of what is asked of each factor that is done, few asked; `pair_scores`."""
    found, of_factors = [], []
    for count in (FEW, len(faces.NAMES)):
        told = captions.write(factors, 200 + seed, mentions(len(factors), count, 200 + seed))
        pictures = draw(told)
        done = obeyed(pictures, told)
        found += [done.nanmean().item(), redrawn_psnr(pictures)]
        of_factors.append(done.nanmean(0).tolist())
    n = math.ceil(len(factors) / 4)
    pairs = pair_scores(draw, n, seed)
    held, seen = (statistics.mean(share) for share in zip(*pairs, strict=True))
    free = freedom_score(draw, factors[: math.ceil(n / 4)], 25, seed)
    return [*found, free, side_score(draw, n, seed), held, seen], of_factors[0], pairs


def measured(vae: VAE, train: tuple[Tensor, Tensor], test: Tensor, steps: int, n: int, seed: int) -> Iterator[Row]:
    """Everything with one seed.

    Args:
        vae: encodes and decodes.
        train: pictures and factors.
        test: factors of the portraits that sentences are about and that distances are measured from.
        steps: of training with sentences; half as many without.
        n: sentences.
        seed: of noise, sentences and training.
    """
    seed_everything(seed)
    images, factors = train
    real, z = faces.render(test, SIZE), encoded(vae, images)

    def quality(pictures: Tensor) -> list[float]:
        return [face_distance(pictures, real, judge=True), redrawn_psnr(pictures)]

    yield "priors", "other portraits", [*quality(to_float(images[-len(test) :])), math.nan]
    yield "priors", "reconstructions", [*quality(decoded(vae, encoded(vae, real))), math.nan]
    for name, made, seconds in priors(z, len(test), steps // 2, seed):
        yield "priors", name, [*quality(decoded(vae, made)), seconds]
    kept, asked = ~shows_held_out(factors), test[~shows_held_out(test)][:n]
    for name, draw in generators(vae, z[kept], factors[kept], steps, seed):
        numbers, of_factors, pairs = scores(draw, asked, seed)
        yield "sentences", name, numbers
        yield "factors", name, of_factors
        yield "pairs", name, [share for pair in pairs for share in pair]


# --- tables -----------------------------------------------------------------------------------------------------------


def spread(values: Sequence[float], digits: int) -> str:
    """Mean ± standard error over seeds."""
    if any(map(math.isnan, values)):
        return ""
    error = f" ± {statistics.stdev(values) / math.sqrt(len(values)):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{error}"


def tables(found: dict[str, dict[str, list[list[float]]]]) -> Iterator[str]:
    """A sentence and a table of each kind: table -> row -> seed -> numbers."""

    def rows(kind: str, digits: Sequence[int]) -> list[list[str]]:
        return [
            [name, *(spread(values, d) for values, d in zip(zip(*seeds, strict=True), digits, strict=True))]
            for name, seeds in found[kind].items()
        ]

    yield "Priors on codes:"
    yield table(["", *QUALITY], rows("priors", (2, 2, 1)))
    yield "Portraits from sentences:"
    yield table(["", *COLUMNS], rows("sentences", (3, 2, 3, 2, 2, 3, 3, 3)))
    yield f"What is asked and done, each factor, {FEW} asked:"
    yield from turned(rows("factors", [2] * len(faces.NAMES)), [name.replace("_", " ") for name in faces.NAMES])
    yield "Pairs that are held out, and as rare ones that are not: both done"
    yield from turned(rows("pairs", [2] * 2 * len(HELD_OUT)), list(pair_names()))


def pair_names() -> Iterator[str]:
    """Such as "hair colour silver, glasses with (held out)"."""
    for pairs in HELD_OUT:
        for pair, kind in zip(pairs, ("held out", "seen"), strict=True):
            yield f"{', '.join(f'{name} {word}' for name, word in pair.items())} ({kind})".replace("_", " ")


def turned(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Iterator[str]:
    """The table with a column for each row."""
    header, *lines = zip(*(row for row in rows if row[0] not in LEFT_OUT), strict=True)
    yield table(["", *header], [[name, *line] for name, line in zip(names, lines, strict=True)])


def main() -> None:
    """Measure with each seed, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--portraits", type=int, default=20_000, help="to train with")
    parser.add_argument("--steps", type=int, default=6000, help="with sentences; half as many without")
    parser.add_argument("--judged", type=int, default=2000, help="portraits that a distance is measured from")
    parser.add_argument("--sentences", type=int, default=700)
    args = parser.parse_args()
    os.environ["VAE_HELPERS_PRECISION"] = "float32"
    one_thread()
    data, vae = load("faces", size=SIZE, n=args.portraits), pretrained.sharp_portrait_vae()
    train, judged = (data.train.images, data.train.factors), getattr(data, args.split).factors[: args.judged]
    found: dict[str, dict[str, list[list[float]]]] = {}
    for seed in range(args.seeds):
        for kind, name, numbers in measured(vae, train, judged, args.steps, args.sentences, seed):
            found.setdefault(kind, {}).setdefault(name, []).append(numbers)
            print(seed, kind, name, [round(number, 3) for number in numbers], flush=True)
    print(f"\n{description()}\n\n{len(judged)} {args.split} portraits, {args.seeds} seeds.\n")
    for text in tables(found):
        print(f"{text}\n")


if __name__ == "__main__":
    main()
