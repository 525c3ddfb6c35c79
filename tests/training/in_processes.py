"""What the processes of test_parallel.py do: `torchrun --nproc-per-node 2 in_processes.py WHAT`, in the folder OUT."""

import atexit
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from vae_helpers import TrainingDiverged, fit, mlp_vae, negative_elbo, weight_average
from vae_helpers.distributions import GreyBernoulliLikelihood, kl
from vae_helpers.training import Phase

OUT, RANK = Path(os.environ["OUT"]), int(os.environ.get("RANK", "0"))
IMAGES = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
EPS = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))


def say(words):
    """A whole line in one write, so that those of two processes cannot mix."""
    os.write(1, f"{words}\n".encode())


def threads_of_gloo():
    """How many the system lists; one that ends meanwhile is none."""
    count = 0
    for task in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):
            count += "gloo" in task.read_text()
    return count


def left():
    """Runs after the package has left the process group, whose threads must not outlive Python: they would abort it.

    A thread that has been waited for stays listed for a millisecond or two more; one that goes on stays for good.
    """
    deadline = time.monotonic() + 5
    while threads_of_gloo() and time.monotonic() < deadline:
        time.sleep(0.01)
    say(f"threads of gloo: {threads_of_gloo()}")


def vae(seed):
    torch.manual_seed(seed)
    return mlp_vae((1, 4, 4), 2, (8,), GreyBernoulliLikelihood())


def flat(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def with_given_noise(model, x, eps):
    """The ELBO with the draws of z made from noise that comes with the data, the same however a batch is shared."""
    q = model.encode(x)
    log_likelihood = model.decode(q.mean + q.stddev * eps).log_prob(x)
    divergence = kl(q, model.prior)
    return {"loss": divergence - log_likelihood, "kl": divergence, "scalar": x.mean()}


def keep(what, **values):
    torch.save(values, OUT / f"{what}-{RANK}.pt")


def train():
    model = vae(seed=RANK)  # ranks begin with different weights; those of rank 0 count
    average = weight_average(model, 0.9)
    before = flat(vae(seed=0))
    phases = [Phase("encoder", with_given_noise, "encoder"), Phase("decoder", with_given_noise, "decoder", updates=2)]
    history = fit(
        model,
        (IMAGES, EPS),
        steps=100,
        batch_size=15,
        learning_rate=3e-3,
        phases=phases,
        average=average,
        validation=(IMAGES, EPS),
        callback=lambda step, model: say("called back"),
        callback_every=100,
        precision=torch.float32,
        progress=False,
    )
    moved = (flat(model) - before).abs().max()
    validated = bool(history.validation)
    keep("train", weights=flat(model), average=flat(average), moved=moved, history=history.train, validated=validated)


def noise():
    model, drawn, heeded = vae(0), [], []

    def objective(model, x):
        drawn.append(torch.rand(()).item())
        heeded.append(callable(signal.getsignal(signal.SIGTERM)))
        return negative_elbo(model, x)

    fit(model, IMAGES, steps=5, batch_size=16, objective=objective, progress=False)
    keep("noise", drawn=drawn, heeded=heeded, weights=flat(model))


def resumable(what, stop_at=None):
    steps = []

    def objective(model, x):
        steps.append(0)
        if RANK == 1 and len(steps) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return negative_elbo(model, x)

    objective.__qualname__ = "objective"
    model = vae(RANK)
    history = fit(
        model, IMAGES, steps=40, batch_size=16, objective=objective, checkpoint=OUT / "run", resume=True, progress=False
    )
    keep(what, weights=flat(model), step=history.step[-1])


def diverge():
    calls = []

    def objective(model, x):
        calls.append(0)
        bad = RANK == 1 and len(calls) == 3
        return {"loss": negative_elbo(model, x)["loss"] * (float("nan") if bad else 1.0)}

    try:
        fit(vae(0), IMAGES, steps=20, batch_size=16, objective=objective, progress=False)
    except TrainingDiverged as error:
        assert "loss = nan" in str(error)
        say(f"diverged at {str(error).split('stopped at ')[1][:6]}")


def endless():
    (OUT / f"rank-{RANK}.pid").write_text(str(os.getpid()))
    file = OUT / "endless.safetensors"
    fit(vae(0), IMAGES, steps=10**7, batch_size=16, checkpoint=file, checkpoint_every=20, progress=False)


def differ():
    try:
        fit(vae(0), IMAGES[: 60 - 10 * RANK], steps=2, batch_size=16, progress=False)
    except ValueError as error:
        say(error)


def one_sided():
    """From the third step on, rank 1 returns a part more."""
    calls = []

    def objective(model, x):
        calls.append(0)
        parts = negative_elbo(model, x)
        return parts | {"extra": x.mean()} if len(calls) > 2 and RANK == 1 else parts

    try:
        fit(vae(0), IMAGES, steps=5, batch_size=16, objective=objective, progress=False)
    except ValueError as error:
        say(f"{len(calls)} {error}")


class Rotated(nn.Module):
    """A map with complex weights, in double precision, and one that is used in some steps only."""

    def __init__(self):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.turn = nn.Parameter(torch.randn(16, 4, dtype=torch.complex128, generator=g))
        self.bias = nn.Parameter(torch.ones(4, dtype=torch.float64))
        self.norm = nn.BatchNorm1d(16).double()


def widest():
    """Complex weights and float64, parts that come and go in all processes at once, a weight that is used at first."""
    model, calls = Rotated(), []

    def objective(model, x):
        calls.append(0)
        norm = model.norm(x.flatten(1).double())  # its running statistics are those of each share
        y = (x.flatten(1).to(torch.complex128) @ model.turn).abs() + norm.sum() * 0
        parts = {"loss": (y - 1 + (model.bias if len(calls) < 4 else 0)).square().sum(1)}
        late = {"late": x.mean()} if len(calls) % 2 == 0 else {}
        return parts | late if RANK == 0 else late | parts  # in whatever order

    average = weight_average(model, 0.5)
    history = fit(model, IMAGES, steps=8, batch_size=16, objective=objective, average=average, progress=False)
    buffers = torch.cat([b.double().flatten() for b in (*model.buffers(), *average.buffers())])
    state = {"turn": torch.view_as_real(model.turn.detach()), "bias": model.bias.detach(), "buffers": buffers}
    keep("widest", **state, late=history.train["late"])


def inner():
    """A fit in a callback, which rank 0 alone calls, waits for nobody."""

    def callback(step, model):
        if step == 0:
            fit(vae(1), IMAGES, steps=2, progress=False)
            say("trained inside")

    fit(vae(0), IMAGES, steps=2, batch_size=16, callback=callback, progress=False)


def refused(**settings):
    try:
        fit(vae(0), IMAGES, steps=2, progress=False, **settings)
    except (ValueError, FileExistsError) as error:
        say(error)


if __name__ == "__main__":
    atexit.register(left)
    {
        "train": train,
        "noise": noise,
        "whole": lambda: resumable("whole"),
        "stop": lambda: resumable("stop", stop_at=11),
        "diverge": diverge,
        "endless": endless,
        "small": lambda: refused(batch_size=1),
        "differ": lambda: differ(),
        "inner": lambda: inner(),
        "one_sided": one_sided,
        "widest": widest,
        "exists": lambda: refused(checkpoint=OUT / "exists.safetensors"),
    }[sys.argv[1]]()
