"""Make the small finished run that `tests/runs/kept` holds, as this version of the package writes it.

    python -m tests.runs.keep_run

To be done when what a run writes, or its model, changes on purpose: then FORMAT in `vae_helpers.runs.folder_run` is
raised first, so that a run of before is told from one of now. The run is of 40 grey discs, 16 x 16, with two latents
and 24 steps. Its model file is what the run wrote, but for the numbers of large tensors, of which every 293rd is kept
and the others are 0: 1.5 MB of numbers that nobody needs become some kB when they are packed.
"""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import torch

KEPT = Path(__file__).with_name("kept")
LARGE, EACH = 1000, 293  # numbers of a tensor that is thinned out; one of so many is kept
FILES = ("settings.toml", "metrics.json")


def discs(folder):
    """40 pictures."""
    from tests.runs.conftest import draw

    return draw(folder, 40, seed=7)


def answers(run):
    """What the run's model says: pictures of given codes, codes and pictures of given pictures, its prior."""
    model = run.model.cpu()
    ramp = torch.arange(256).reshape(1, 1, 16, 16)
    pictures = torch.cat([ramp, 255 - ramp, ramp.mT]).to(torch.uint8)
    with torch.no_grad():
        codes = model.encode(model.prepare(pictures)).mean
        z = torch.tensor([[0.0, 0.0], [1.0, -1.0], [-2.0, 0.5]])
        return {
            "codes": codes,
            "reconstructions": model.decode(codes).mean,
            "pictures of codes": model.decode(z).mean,
            "log-density of the prior": model.prior.log_prob(z),
            "log-likelihood": model.decode(codes).log_prob(model.prepare(pictures)),
        }


def thinned_out(path):
    """Write the model's file again, with most numbers of its large tensors 0."""
    from vae_helpers import checkpoints

    tensors, kind, notes = checkpoints.read(path)
    for tensor in tensors.values():
        if tensor.numel() > LARGE:
            kept = tensor.flatten()[::EACH].clone()
            tensor.zero_().view(-1)[::EACH] = kept
    checkpoints.write(path, tensors, kind, notes)


def main():
    """Train, thin out, write."""
    from safetensors.torch import save

    from vae_helpers.runs import load_run, train_folder

    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"VAE_HELPERS_CACHE": "off", "VAE_HELPERS_DEVICE": "cpu"}
        pictures, run = discs(Path(home) / "pictures"), Path(home) / "run"
        train_folder(pictures, run, size=16, grey=True, latents=2, steps=24, seed=3, model="wavelet")
        thinned_out(run / "model.safetensors")
        (KEPT / "model.safetensors.gz").write_bytes(gzip.compress((run / "model.safetensors").read_bytes(), mtime=0))
        (KEPT / "answers.safetensors").write_bytes(save({n: x.contiguous() for n, x in answers(load_run(run)).items()}))
        for name in FILES:
            (KEPT / name).write_text((run / name).read_text().replace(str(pictures.resolve()), "pictures"))


if __name__ == "__main__":
    main()
