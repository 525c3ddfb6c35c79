"""How well are scenes taken apart and put together otherwise? By what learns nothing, and by the model of the package.

    python -m benchmarks.scenes                                what docs quote: five minutes of a core
    python -m benchmarks.scenes --scenes 20 --chosen-on 5 --kinds plain                              a quick look
    python -m benchmarks.scenes --scenes 3 --chosen-on 2 --untrained          a try of the script, without weights

Scenes of 64 x 64, one thread: new ones of the shapes that the model has seen, and the test split, of hearts and stars.
What the opponents leave open was chosen, for each kind of scene, on validation scenes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from benchmarks.measuring import description, one_thread, table
from vae_helpers import load, mean_and_error, pretrained, psnr, to_float
from vae_helpers.blending import fill_smoothly
from vae_helpers.evaluation.scenes import foreground_ari, match, mean_iou, order_accuracy
from vae_helpers.models.scenes import EDGE, Apart, SceneModel, compose, group_votes, pixel_places
from vae_helpers.rendering import scenes

SIZE, UNSEEN = 64, ("star", "heart")
SEEN = tuple(shape for shape in scenes.SHAPES if shape not in UNSEEN)
NEW = 3010  # a seed that no data set has
KINDS = ("textured", "transparent", "plain")
THERE, Y = scenes.SPRITE_NAMES.index("there"), scenes.SPRITE_NAMES.index("y")
COLUMNS = ("foreground ARI", "mean IoU", "order of pairs")
SHIFT = 20  # pixels, 0.625 of the picture's half side
CHANGED = 0.02  # in a channel; a pixel that differs by less has not been edited
BEST = 60.0  # dB: nearer to the truth than the 256 levels of pictures is not told apart

Value = tuple[float, float]  # mean and standard error
Segmentation = Callable[[Tensor, int], Tensor]  # picture (3, S, S), number of things -> the group of each pixel (S, S)


# --- without learning -------------------------------------------------------------------------------------------------


def k_means(x: Tensor, clusters: int, place: float) -> Tensor:
    """Pixels by colour and place, which weighs so much: its squares from -1 to 1 beside those of colours, 0 to 1."""
    from sklearn.cluster import KMeans

    features = torch.cat([x, place * pixel_places(x[None])]).flatten(1).T.numpy()
    groups = KMeans(clusters, n_init=2, random_state=0).fit_predict(features)
    return torch.from_numpy(groups).long().view(x.shape[1:])


def flat_zones(x: Tensor, step: float, least: int) -> Tensor:
    """Neighbours nearer in colour than `step` are of one zone; one of less than `least` pixels joins the nearest."""
    from scipy.ndimage import distance_transform_edt
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    number, pairs = torch.arange(x[0].numel()).view(x.shape[1:]), []
    for axis in (0, 1):
        alike = x.diff(dim=1 + axis).norm(dim=0) < step
        length = alike.shape[axis]
        pairs.append(torch.stack([number.narrow(axis, 0, length)[alike], number.narrow(axis, 1, length)[alike]]))
    row, column = torch.cat(pairs, 1).numpy()
    graph = coo_matrix((np.ones(len(row)), (row, column)), shape=(number.numel(),) * 2)
    zones = connected_components(graph, directed=False)[1].reshape(number.shape)
    small = np.bincount(zones.ravel())[zones] < least
    if not small.all():
        zones = zones[tuple(distance_transform_edt(small, return_distances=False, return_indices=True))]
    return torch.from_numpy(zones).long()


def felzenszwalb(x: Tensor, scale: float, sigma: float, least: int) -> Tensor:
    """Zones whose borders differ more than their insides (Felzenszwalb & Huttenlocher 2004)."""
    from skimage import segmentation

    picture = x.permute(1, 2, 0).numpy()
    return torch.from_numpy(segmentation.felzenszwalb(picture, scale, sigma, least)).long()


# Name -> what makes a segmentation of some settings, and which are tried.
OPPONENTS: dict[str, tuple[Callable[..., Segmentation], dict[str, tuple]]] = {
    "k-means": (
        lambda clusters, place: lambda x, things: k_means(x, clusters, place),
        {"clusters": (4, 6, 8, 10, 13, 16), "place": (0.05, 0.15, 0.3, 0.5)},
    ),
    "k-means, told how many things": (
        lambda grounds, place: lambda x, things: k_means(x, things + grounds, place),
        {"grounds": (1, 2, 4, 6, 9), "place": (0.05, 0.15, 0.3, 0.5)},
    ),
    "flat zones": (
        lambda step, least: lambda x, things: flat_zones(x, step, least),
        {"step": (0.02, 0.04, 0.08, 0.12, 0.18, 0.25), "least": (8, 20, 50)},
    ),
    "Felzenszwalb": (
        lambda scale, sigma, least: lambda x, things: felzenszwalb(x, scale, sigma, least),
        {"scale": (30, 100, 300, 1000), "sigma": (0.0, 0.5), "least": (20, 60)},
    ),
}


def fullness(mask: Tensor) -> float:
    """How much of its convex hull a mask fills: what is overlapped has a piece missing."""
    from scipy.spatial import ConvexHull

    inside = mask.nonzero()
    corners = torch.cat([inside + torch.tensor(corner) for corner in itertools.product((0, 1), repeat=2)])
    return len(inside) / ConvexHull(corners.numpy()).volume


# --- scores -----------------------------------------------------------------------------------------------------------


class Scenes(NamedTuple):
    """Some scenes and their truth."""

    factors: Tensor  # (N, 44)
    x: Tensor  # (N, 3, S, S)
    labels: Tensor  # (N, S, S)
    visible: Tensor  # (N, 4, S, S), of the things
    overlaps: Tensor  # (N, 4, 4)

    @property
    def things(self) -> list[int]:
        """How many there are."""
        return scenes.parts(self.factors)[0][..., THERE].sum(1).int().tolist()


class Found(NamedTuple):
    """What was found in each of them."""

    labels: Tensor  # (N, S, S)
    masks: Sequence[Tensor]  # (K, S, S) each
    depth: Sequence[Tensor]  # (K,) each


def known(factors: Tensor) -> Scenes:
    """The truth of the scenes with these factors."""
    seen = scenes.masks(factors, SIZE).visible[:, 1:]
    x = to_float(scenes.render(factors, SIZE))
    return Scenes(factors, x, scenes.labels(factors, SIZE), seen, scenes.overlaps(factors, SIZE))


def segmented(segmentation: Segmentation, of: Scenes) -> Tensor:
    """The group of each pixel, (N, S, S)."""
    return torch.stack([segmentation(x, things) for x, things in zip(of.x, of.things, strict=True)])


def masks_of(labels: Tensor) -> list[Tensor]:
    """The groups of each picture, (K, S, S) floats."""
    return [(one == one.unique()[:, None, None]).float() for one in labels]


def by_fullness(labels: Tensor) -> Found:
    """Groups, of which the fuller is in front."""
    masks = masks_of(labels)
    return Found(labels, masks, [torch.tensor([fullness(mask) for mask in of_one]) for of_one in masks])


def grouping(of: Scenes, labels: Tensor, masks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Foreground ARI and mean IoU of each scene, (N,)."""
    iou = [mean_iou(true[None], found[None]) for true, found in zip(of.visible, masks, strict=True)]
    return foreground_ari(of.labels, labels), torch.cat(iou)


def ordering(of: Scenes, found: Found) -> Value:
    """The share of overlapping pairs in order; its standard error is that of scenes, whose pairs go together."""
    right, pairs = [], []
    for true, over, masks, depth in zip(of.visible, of.overlaps, found.masks, found.depth, strict=True):
        if over.any():
            right.append(order_accuracy(true[None], masks[None], depth[None], over[None]).sum())
            pairs.append(over.sum())
    right, pairs = torch.stack(right), torch.stack(pairs)
    share = right.sum() / pairs.sum()
    return share.item(), ((right - share * pairs).square().sum().sqrt() / pairs.sum()).item()


def scores(of: Scenes, found: Found) -> list[Value]:
    """What `COLUMNS` say."""
    return [*map(mean_and_error, grouping(of, found.labels, found.masks)), ordering(of, found)]


def chosen(make: Callable[..., Segmentation], grid: dict[str, tuple], validation: Scenes) -> dict[str, float]:
    """The settings with the largest sum of foreground ARI and mean IoU."""

    def worth(settings: dict[str, float]) -> float:
        labels = segmented(make(**settings), validation)
        return sum(score.mean().item() for score in grouping(validation, labels, masks_of(labels)))

    return max((dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())), key=worth)


@torch.no_grad()
def voted(model: SceneModel, x: Tensor) -> Tensor:
    """The groups of the model's votes, (N, S, S)."""
    return torch.cat([group_votes(*model.votes(part)).labels for part in x.split(100)])


def layered(apart: Apart) -> Found:
    """The model's layers, in the order that it found."""
    masks = apart.visible[:, 1:].clamp(0, 1)
    return Found(apart.labels, masks, torch.arange(masks.shape[1]).float().expand(masks.shape[:2]))


def taken_apart(model: SceneModel, validation: Scenes, sets: Sequence[Scenes]) -> Iterator[tuple[str, list[Value]]]:
    """Name -> the columns of each set in turn."""
    across = lambda find: [score for of in sets for score in scores(of, find(of))]  # noqa: E731
    for name, (make, grid) in OPPONENTS.items():
        settings = chosen(make, grid, validation)
        shown = ", ".join(f"{key} {value:g}" for key, value in settings.items())
        segment = make(**settings)
        yield f"{name} ({shown})", across(lambda of, segment=segment: by_fullness(segmented(segment, of)))
    yield "the model's votes", across(lambda of: by_fullness(voted(model, of.x)))
    yield "the model's layers", across(lambda of: layered(model.take_apart(of.x)))
    yield "true labels, order by fullness", across(lambda of: by_fullness(of.labels))


# --- put together otherwise -------------------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Two things that overlap in each scene, by the numbers of their layers, (N,); 0 for one that was not found."""

    behind: Tensor
    front: Tensor
    shift: Tensor  # (N,), pixels that the front one is moved down, to where there is room


def pairs_of(of: Scenes) -> tuple[Scenes, Pairs]:
    """The scenes in which things overlap, and the last such pair of each."""
    rows = of.overlaps.flatten(1).any(1)
    of = Scenes(*(part[rows] for part in of))
    count = of.overlaps.shape[1]
    last = count**2 - 1 - of.overlaps.flatten(1).flip(1).int().argmax(1)
    behind, front = last // count, last % count
    y = scenes.parts(of.factors)[0][torch.arange(len(last)), front, Y]
    return of, Pairs(1 + behind, 1 + front, torch.where(y > 0, -SHIFT, SHIFT))


def removed(stack: Tensor, pairs: Pairs) -> Tensor:
    """Layers (N, L, ...) without the front one."""
    k = torch.arange(stack.shape[1])
    away = (k == pairs.front[:, None]) & (k > 0)
    return stack * ~away.view(*away.shape, *[1] * (stack.dim() - 2))


def raised(stack: Tensor, pairs: Pairs) -> Tensor:
    """Layers with the one behind before all others."""
    k = torch.arange(stack.shape[1])
    rank = k + len(k) * ((k == pairs.behind[:, None]) & (k > 0))  # (N, L)
    return stack[torch.arange(len(stack))[:, None], rank.argsort(1)]


def moved(stack: Tensor, pairs: Pairs) -> Tensor:
    """Layers (N, L, C, S, S) with the front one moved; what leaves the picture is gone."""
    stack = stack.clone()
    for layers, k, shift in zip(stack, pairs.front, pairs.shift.tolist(), strict=True):
        if k > 0:
            layer = layers[k].roll(shift, 1)
            layer[:, slice(0, shift) if shift > 0 else slice(shift, None)] = 0
            layers[k] = layer
    return stack


EDITS = {"the front one removed": removed, "the back one to the front": raised, "the front one moved": moved}


def true_edit(name: str, of: Scenes, pairs: Pairs) -> Tensor:
    """The edited scenes as they truly look, (N, 3, S, S)."""
    things, background = scenes.parts(of.factors)
    row = torch.arange(len(things))
    if EDITS[name] is removed:
        things[row, pairs.front - 1, THERE] = 0
    elif EDITS[name] is moved:
        things[row, pairs.front - 1, Y] += pairs.shift * 2 / SIZE
    else:  # things are numbered like layers once a row stands before them
        things = raised(torch.cat([things[:, :1], things], 1), pairs)[:, 1:]
    return to_float(scenes.render(scenes.scene(things, background), SIZE))


def cut_out(x: Tensor, labels: Tensor, background: Tensor) -> Tensor:
    """Layers that are the pixels with their label, and the background filled in: nothing hidden is invented."""
    masks = (labels[:, None] == torch.arange(1, 1 + scenes.SPRITES)[:, None, None])[:, :, None].float()
    ground = torch.cat([background, torch.ones_like(background[:, :1])], 1)[:, None]
    return torch.cat([ground, torch.cat([masks * x[:, None], masks], 2)], 1)


def carried_over(x: Tensor, apart: Apart) -> Tensor:
    """Layers that take with them what the decoded ones miss of the picture, where most of it is theirs."""
    share, alpha = apart.visible[:, :, None], apart.layers[:, :, 3:]  # (N, L, 1, S, S)
    through = share.clamp(min=0.5) / alpha.clamp(
        min=0.5
    )  # what those in front let through, where the share is so large
    rest = (x - apart.pictures)[:, None] * (share > 0.5) / through
    return apart.layers + torch.cat([rest, torch.zeros_like(share)], 2)


def found_pairs(of: Scenes, apart: Apart, pairs: Pairs) -> Pairs:
    """The same pairs among the layers that were found."""
    layer = 1 + match(of.visible, apart.visible[:, 1:].clamp(0, 1)).of  # (N, K), 0 for none
    row = torch.arange(len(layer))
    return Pairs(layer[row, pairs.behind - 1], layer[row, pairs.front - 1], pairs.shift)


def psnr_where(x: Tensor, y: Tensor, where: Tensor) -> Tensor:
    """PSNR in some pixels of each picture, (N,), dB: where (N, S, S)."""
    error = (x - y).square().mean(1) * where
    return -10 * (error.flatten(1).sum(1) / where.flatten(1).sum(1)).log10()


@torch.no_grad()
def remade(model: SceneModel, of: Scenes) -> dict[tuple[str, str], list[Value]]:
    """Edit and method -> PSNR in the pixels that the edit changes, and in all, dB."""
    of, pairs = pairs_of(of)
    apart = model.take_apart(of.x)
    theirs = found_pairs(of, apart, pairs)
    stacks = {
        "cut out": (cut_out(of.x, apart.labels, apart.layers[:, 0, :3]), theirs),
        "cut out, true labels": (cut_out(of.x, of.labels, model.background(of.x, of.labels)), pairs),
        "layers, decoded": (apart.layers, theirs),
        "layers, carried over": (carried_over(of.x, apart), theirs),
        "true layers": (scenes.layers(of.factors, SIZE), pairs),
    }
    found = {}
    for name, edit in EDITS.items():
        truth = true_edit(name, of, pairs)
        changed = (truth - of.x).abs().amax(1) > CHANGED
        some = changed.flatten(1).any(1)
        made = {"unchanged": of.x}
        if edit is removed:
            made["filled from around"] = filled(of.x, apart.labels, theirs.front)
            made["filled from around, true labels"] = filled(of.x, of.labels, pairs.front)
        made |= {method: laid(edit(stack, which)) for method, (stack, which) in stacks.items()}
        for method, picture in made.items():
            where = psnr_where(picture[some], truth[some], changed[some])
            found[name, method] = [mean_and_error(dB.clamp(max=BEST)) for dB in (where, psnr(picture, truth))]
    return found


def laid(stack: Tensor) -> Tensor:
    """The picture of layers, (N, 3, S, S) in [0, 1]."""
    return compose(stack).clamp(0, 1)


def filled(x: Tensor, labels: Tensor, front: Tensor) -> Tensor:
    """The pictures with the pixels of this label, and as many about them as an edge has, filled from around."""
    own = (labels == front[:, None, None]) & (labels > 0)
    hole = max_pool2d(own.float()[:, None], 2 * EDGE + 1, stride=1, padding=EDGE)
    return fill_smoothly(x, hole).clamp(0, 1)


# --- tables -----------------------------------------------------------------------------------------------------------


def spread(value: Value, digits: int) -> str:
    """Mean ± standard error over scenes."""
    return f"{value[0]:.{digits}f} ± {value[1]:.{digits}f}"


def tables(model: SceneModel, kind: str, n: int, chosen_on: int) -> Iterator[str]:
    """Both tables of a kind of scenes, with a sentence before each."""
    data = load("scenes", size=SIZE, kind=kind, unseen=UNSEEN, n=1)
    sets = {
        "seen": known(scenes.sample(n, NEW, kind, shapes=SEEN)),
        "unseen": known(data.test.factors[:n]),
    }
    head = functools.partial(headed, names=tuple(sets))
    validation = known(data.validation.factors[:chosen_on])
    rows = [
        [name, *(spread(v, 3) for v in values)] for name, values in taken_apart(model, validation, [*sets.values()])
    ]
    yield f"{kind.capitalize()} scenes taken apart, {n} of seen and {n} of unseen shapes:"
    yield table(["", *head(COLUMNS)], rows)
    columns = [remade(model, of) for of in sets.values()]
    keys = columns[0]
    counts = [len(pairs_of(of)[0].x) for of in sets.values()]
    yield f"{kind.capitalize()} scenes put together otherwise, {counts[0]} and {counts[1]} in which things overlap:"
    rows = [[*key, *(spread(value, 2) for found in columns for value in found[key])] for key in keys]
    yield table(["edit", "", *head(("changed pixels, dB", "whole, dB"))], rows)


def headed(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """The columns of each set in turn."""
    return [f"{name}: {column}" for name in names for column in columns]


def main() -> None:
    """Measure, and print the tables of each kind as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=300, help="of seen and of unseen shapes each")
    parser.add_argument("--chosen-on", type=int, default=100, help="validation scenes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--untrained", action="store_true", help="a model that has learned nothing")
    args = parser.parse_args()
    one_thread()
    torch.manual_seed(0)
    model = (pretrained.new_scene_model() if args.untrained else pretrained.scene_model()).eval()
    print(f"{description()}\n", flush=True)
    for kind in args.kinds:
        for text in tables(model, kind, args.scenes, args.chosen_on):
            print(f"{text}\n", flush=True)


if __name__ == "__main__":
    main()
