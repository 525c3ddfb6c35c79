"""How fast is the importance-weighted log-likelihood, K = 500, beside that of pythae?

    python -m benchmarks.likelihood_speed [FOLDER] [--rounds 5] [--images 20]

Both use the very same networks: pythae's fully connected ones, which it takes unless told otherwise, and its
convolutional ones for MNIST, each briefly trained here on grey values under the Bernoulli formula; one thread. pythae
(Chadebec et al. 2022) is installed into a temporary folder and read from there; its `get_nll` draws a hundred codes at
a time, for one image at a time. `log_likelihood` is run in float32, and in bfloat16 with the same noise to see what the
shorter numbers cost. What must be computed for an image, one encoding and K decodings, is counted, so that the table
can say which share of the machine's peak in that precision each reaches: one divided by it is the most that any program
could gain.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.measuring import description, in_turns, mnist_like, one_thread, ratio, table
from benchmarks.options import parser
from benchmarks.peak import operations, probes
from vae_helpers import GreyBernoulliLikelihood, fit, log_likelihood, seed_everything, to_float
from vae_helpers.models.vae import VAE

PYTHAE, ITS_NEEDS = ["pythae==0.1.2", "imageio", "cloudpickle"], ["pydantic"]  # the others are the course's, too
K, LATENT = 500, 16


class FirstOf(nn.Module):
    """One entry of the dictionary that a network of pythae returns."""

    def __init__(self, network: nn.Module, *names: str):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, x: Tensor) -> Tensor:
        """The entries, side by side."""
        out = self.network(x)
        return torch.cat([out[name] for name in self.names], -1)


class Logits(nn.Module):
    """A decoder of pythae without its last sigmoid: (N, D) -> (N, 1, 28, 28)."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.layers = decoder.layers

    def forward(self, z: Tensor) -> Tensor:
        """Logits of the pixels."""
        h = self.layers[0](z)
        if len(self.layers) > 2:  # the convolutional one
            h = h.reshape(len(z), 1024, 4, 4)
        for layer in self.layers[1:-1]:
            h = layer(h)
        return self.layers[-1][0](h).reshape(len(z), 1, 28, 28)


def their_vae(convolutional: bool) -> nn.Module:
    """pythae's VAE for MNIST."""
    from pythae.models import VAE as TheirVAE
    from pythae.models import VAEConfig
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    if not convolutional:
        return TheirVAE(config)
    return TheirVAE(config, encoder=Encoder_Conv_VAE_MNIST(config), decoder=Decoder_Conv_AE_MNIST(config))


def measure(folder: str | None, rounds: int = 5, images: int = 20) -> str:
    """The section of docs/performance.md."""
    one_thread()
    train, test, name = mnist_like(folder)
    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", place]
        subprocess.run([*pip, *ITS_NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", *PYTHAE], check=True)
        sys.path.append(place)
        models = {"fully connected": their_vae(False), "convolutional": their_vae(True)}
        rows = [
            [networks, *row]
            for networks, theirs in models.items()
            for row in compared(theirs, train, test[:images], rounds)
        ]
        sys.path.remove(place)
    said = (
        f"{name}, {images} images, K = {K}, one thread, {rounds} rounds in turns. Of the peak: the operations that one "
        "encoding and K decodings need, beside what the machine does at most in the same precision; the rest is what "
        "a better program could still gain."
    )
    return f"{said}\n\n" + table(
        ["networks", "", "milliseconds an image", "times faster", "of the peak", "log p(x), nats"], rows
    )


def compared(theirs: nn.Module, train: Tensor, stored: Tensor, rounds: int) -> list[list[str]]:
    """The lines of the table for one pair of networks."""
    encoder = FirstOf(theirs.encoder, "embedding", "log_covariance")
    ours = VAE(encoder, Logits(theirs.decoder), GreyBernoulliLikelihood(), LATENT)
    seed_everything(0)
    fit(ours, train, steps=60, batch_size=64, learning_rate=2e-3, progress=False)
    theirs.eval()
    nats: dict[str, list[float]] = {}

    def timed(kind: str, work: Callable[[], float]) -> float:
        start = time.perf_counter()
        value = work()
        seconds = time.perf_counter() - start
        nats.setdefault(kind, []).append(value)
        return seconds

    def in_precision(precision: torch.dtype) -> float:
        return log_likelihood(ours, stored, samples=K, precision=precision).mean

    @torch.no_grad()
    def get_nll() -> float:
        return theirs.get_nll(to_float(stored), n_samples=K, batch_size=100)

    def needed() -> None:
        with torch.no_grad():
            ours.encode(to_float(stored[:1]))
            ours.decode(torch.zeros(K, LATENT))

    works = {
        "pythae's `get_nll`": get_nll,
        "`log_likelihood`, float32": lambda: in_precision(torch.float32),
        "`log_likelihood`, bfloat16": lambda: in_precision(torch.bfloat16),
    }
    peaks = {precision: peak(precision, rounds) for precision in (torch.float32, torch.bfloat16)}
    times = in_turns({kind: (lambda k=kind, w=work: timed(k, w)) for kind, work in works.items()}, rounds)
    peer = next(iter(works))
    rows = []
    for kind, values in nats.items():
        seconds = times[kind].median / len(stored)
        reached = operations(needed) / seconds / peaks[torch.bfloat16 if "bfloat16" in kind else torch.float32]
        faster, mean = ratio(times[peer], times[kind]), sum(values) / len(values)
        rows.append([kind, f"{1000 * seconds:.3g}", faster, f"{reached:.0%}", f"{mean:.3f}"])
    return rows


def peak(precision: torch.dtype, rounds: int) -> float:
    """Operations a second of the best that torch does here in this precision."""
    works = probes(precision)
    return max(works[name].operations / timing.median for name, timing in in_turns(works, rounds).items())


if __name__ == "__main__":
    args = parser(__doc__, rounds=5, images=20).parse_args()
    measured = measure(args.folder, args.rounds, args.images)
    print(description(), measured, sep="\n\n")
