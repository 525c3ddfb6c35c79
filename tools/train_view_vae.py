"""Train the VAE of lit solids that the package carries, and write its weights (three quarters of an hour of a core).

    python -m tools.train_view_vae                   what is shipped
    python -m tools.train_view_vae --steps 40 --objects 100 --to /tmp/views.safetensors    a quick try
    python -m tools.train_view_vae --checkpoint /tmp/views.pt --resume                      go on after a stop

It learns from objects that are seen four times, `load("shapes")`, as many as one asks for, and is told camera and lamp
but neither what an object is nor its factors. Having written the file it prints, on validation objects, how near new
views are to the truth when one, two or three pictures are given. Run it again when the drawing of shapes changes.
"""

from __future__ import annotations

import torch

from tools.training_options import options
from vae_helpers import checkpoints, fit, load, machine, mean_and_error, pretrained, psnr, seed_everything, to_float
from vae_helpers.data.dataset import Split
from vae_helpers.data.shapes import VIEWS
from vae_helpers.models.views import ViewVAE
from vae_helpers.objectives import negative_view_elbo
from vae_helpers.rendering import shapes

SETTINGS = {"batch_size": 16, "learning_rate": 2.5e-3, "betas": (0.9, 0.99)}


def by_object(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures `uint8` (M, 4, 3, S, S), and their views (M, 4, 6)."""
    views = shapes.as_inputs(split.factors, shapes.VIEW)
    return split.images.unflatten(0, (-1, VIEWS)), views.unflatten(0, (-1, VIEWS))


def report(model: ViewVAE, split: Split) -> None:
    """Print how near new views are to the truth, each picture of an object in turn the last of those that are given."""
    images, v = by_object(split)
    x = to_float(images.flatten(0, 1)).view(images.shape)
    for given in range(1, VIEWS):
        scores = []
        for first in range(VIEWS):
            order = [(first + place) % VIEWS for place in range(VIEWS)]
            seen, wanted = order[:given], order[given:]
            made = model.novel_views(x[:, seen], v[:, seen], v[:, wanted]).clamp(0, 1)
            scores.append(psnr(made.flatten(0, 1), x[:, wanted].flatten(0, 1)).view(len(x), -1))
        print(f"PSNR in dB of new views, {given} given: {mean_and_error(torch.cat(scores, 1).mean(1))}")


def main() -> None:
    """Train, write, read back, and print how good it is."""
    args, files = options(__doc__, steps=20_000, to=pretrained.VIEW_VAE, objects=16_000)
    data = load("shapes", size=pretrained.SHAPE_SIZE, n=args.objects)
    seed_everything(0)
    model = pretrained.new_view_vae()
    weights = {"weights": lambda step: {"beta": min(1.0, (step + 1) / (0.1 * args.steps))}}
    settings = SETTINGS | files | weights
    print(machine(), fit(model, by_object(data.train), steps=args.steps, objective=negative_view_elbo, **settings))
    checkpoints.save_shipped(args.to, model, steps=args.steps, objects=args.objects)
    report(checkpoints.load_shipped(args.to, pretrained.new_view_vae), data.validation)


if __name__ == "__main__":
    main()
