"""Train the model of scenes that the package carries, and write its weights (half an hour of a core).

    python tools/train_scene_model.py                 what is shipped
    python tools/train_scene_model.py --scenes 2000 --steps 100 --sprite-steps 100 --to /tmp/scenes.safetensors    a try
    python tools/train_scene_model.py --seed 2 --to /tmp/scenes2.safetensors --test    another one, and the test split

It dreams: the true layers of drawn scenes are known. First the network of votes learns from pictures which pixels show
a thing and where its middle is. Then the VAE of sprites is shown the things that the trained votes find, others in
front of them, and learns what they look like on their own. No heart and no star is among them: those are for the test.
Having written the file it prints, for opaque and for transparent scenes, how well they are taken apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from vae_helpers import checkpoints, fit, load, machine, mean_and_error, pretrained, psnr, seed_everything, to_float
from vae_helpers.evaluation.scenes import foreground_ari, mean_iou, order_accuracy
from vae_helpers.models.scenes import Apart, SceneModel, cut, group_votes, seen_of
from vae_helpers.objectives import negative_elbo_of_hidden, vote_error
from vae_helpers.rendering import scenes

SIZE, UNSEEN, KINDS = 64, ("star", "heart"), ("textured", "transparent")
VOTES = {"batch_size": 32, "learning_rate": 2e-3, "betas": (0.9, 0.99)}
SPRITES = {"batch_size": 64, "learning_rate": 3e-3, "betas": (0.9, 0.99)}
X = scenes.SPRITE_NAMES.index("x")


def middles(factors: Tensor) -> Tensor:
    """x and y of the sprites of scenes, (N, 44) -> (N, 4, 2)."""
    return scenes.parts(factors)[0][..., X : X + 2]


def trained(images: Tensor, factors: Tensor, steps: int, sprite_steps: int, seed: int = 0) -> SceneModel:
    """The model after so many steps of either network on scenes with these factors."""
    seed_everything(seed)
    model = pretrained.new_scene_model()
    labels = torch.cat([scenes.labels(f, SIZE).byte() for f in factors.split(1000)])
    data = (images, labels, middles(factors))
    print(machine(), fit(model.votes, data, objective=vote_error, steps=steps, seed=seed, **VOTES))
    whole, seen = things_to_learn(model, images, factors)
    history = fit(
        model.sprites,
        (whole, seen),
        objective=negative_elbo_of_hidden,
        steps=sprite_steps,
        weights=lambda step: {"beta": min(1.0, (step + 1) / (0.1 * sprite_steps))},
        seed=seed,
        **SPRITES,
    )
    print(len(whole), "things", history)
    return model


@torch.no_grad()
def things_to_learn(model: SceneModel, images: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Of each thing that the votes find: the true sprite, (M, 4, side, side), and what is seen of it."""
    model.votes.eval()
    pairs = [_found(model, *batch) for batch in zip(images.split(500), factors.split(500), strict=True)]
    whole, seen = zip(*pairs, strict=True)
    return torch.cat(whole), torch.cat(seen)


def _found(model: SceneModel, images: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    x = to_float(images)
    groups = group_votes(*model.votes(x))
    seen, picture, k = seen_of(x, groups, model.side)
    own = groups.labels[picture] == (k + 1)[:, None, None]  # (M, S, S)
    true = scenes.labels(factors, SIZE)[picture]
    shares = torch.stack([(own & (true == j + 1)).flatten(1).sum(1) for j in range(scenes.SPRITES)], 1)
    layers = scenes.layers(factors, SIZE)[picture, 1 + shares.argmax(1)]  # of the sprite that most of its pixels show
    return cut(layers, groups.centres[picture, k], model.side), seen


def scores(apart: Apart, factors: Tensor) -> dict[str, tuple[float, float]]:
    """How well scenes were taken apart, each with its standard error."""
    true, labels = scenes.masks(factors, SIZE), scenes.labels(factors, SIZE)
    found = apart.visible[:, 1:].clamp(0, 1)
    depth = torch.arange(found.shape[1]).float().expand(len(found), -1)
    values = {
        "foreground ARI": foreground_ari(labels, apart.labels),
        "mean IoU": mean_iou(true.visible[:, 1:], found),
        "order": order_accuracy(true.visible[:, 1:], found, depth, scenes.overlaps(factors, SIZE)),
        "PSNR, dB": psnr(apart.pictures.clamp(0, 1), to_float(scenes.render(factors, SIZE))).clamp(max=60),
    }
    return {name: mean_and_error(value) for name, value in values.items()}


def main() -> None:
    """Train, write, read back, and print how good it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7_000)
    parser.add_argument("--sprite-steps", type=int, default=14_000)
    parser.add_argument("--scenes", type=int, default=14_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path(pretrained.__file__).parent / pretrained.SCENE_MODEL)
    parser.add_argument("--test", action="store_true", help="also read the test split, of unseen shapes")
    args = parser.parse_args()
    data = {kind: load("scenes", size=SIZE, kind=kind, unseen=UNSEEN, n=args.scenes) for kind in KINDS}
    images, factors = (torch.cat([getattr(d.train, name) for d in data.values()]) for name in ("images", "factors"))
    model = trained(images, factors, args.steps, args.sprite_steps, args.seed)
    checkpoints.save_shipped(args.to, model, eight_bits=True, steps=args.steps, scenes=args.scenes)
    model = checkpoints.load_shipped(args.to, pretrained.new_scene_model)
    for kind, d in data.items():
        for split in ("validation", "test")[: 1 + args.test]:
            pictures = getattr(d, split)
            print(kind, split, scores(model.take_apart(to_float(pictures.images)), pictures.factors))


if __name__ == "__main__":
    main()
