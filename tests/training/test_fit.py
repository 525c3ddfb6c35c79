"""The engine: it learns, it repeats itself, it stops well, it goes on where it stopped."""

import contextlib
import copy
import itertools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

from tests.training.small import interrupt_at, quiet, some_images, vae, weights
from vae_helpers import checkpoints
from vae_helpers.distributions import GreyBernoulliLikelihood
from vae_helpers.images import random_shift, to_float
from vae_helpers.models import Autoencoder, mlp_vae
from vae_helpers.objectives import negative_elbo, squared_error
from vae_helpers.training import History, TrainingDiverged, engine, fit, run, surroundings
from vae_helpers.training.schedule import warm_up_and_cosine


@pytest.mark.parametrize("settings", [{}, {"betas": (0.5, 0.98)}, {"betas": (0.0, 0.9)}])
def test_it_learns_what_a_bare_loop_learns(settings):
    """The same model, batches and schedule in a dozen lines: the same weights, to rounding."""
    images, steps = some_images(), 40
    torch.manual_seed(0)
    engine, bare = Autoencoder((1, 4, 4), 2, (8,)), Autoencoder((1, 4, 4), 2, (8,))
    bare.load_state_dict(engine.state_dict())
    quiet(engine, images, steps=steps, objective=squared_error, seed=5, **settings)

    optimizer = torch.optim.Adam(bare.parameters(), **settings)
    order = torch.cat(
        [torch.randperm(60, generator=torch.Generator().manual_seed(5 * 1_000_003 + e)) for e in range(12)]
    )
    for step in range(steps):
        warm = min(100, steps // 20)
        share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        optimizer.param_groups[0]["lr"] = 1e-3 * share
        x = to_float(images[order[step * 16 : (step + 1) * 16]])
        loss = ((bare(x) - x) ** 2).sum((1, 2, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.allclose(weights(engine), weights(bare), atol=1e-6)


def test_every_image_is_seen_equally_often_and_all_batches_are_full():
    seen = []

    def spy(model, x):
        seen.append(x)
        return squared_error(model, x)

    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 1, 4, 4).contiguous()
    quiet(Autoencoder((1, 4, 4), 2), images, steps=25, batch_size=4, objective=spy)
    assert {len(x) for x in seen} == {4}
    counts = torch.bincount((torch.cat(seen)[:, 0, 0, 0] * 255).round().long(), minlength=10)
    assert counts.tolist() == [10] * 10  # 25 steps of 4 are 10 epochs of 10, across epoch boundaries
    epoch = (torch.cat(seen)[:10, 0, 0, 0] * 255).round().long()
    assert sorted(epoch.tolist()) == list(range(10)) and epoch.tolist() != list(range(10))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    results = []
    for outside in (1, 2):
        model = vae()
        torch.manual_seed(outside)
        before = torch.get_rng_state()
        quiet(model, some_images(), augment=random_shift, seed=3)
        assert torch.equal(before, torch.get_rng_state())
        results.append(weights(model))
    assert torch.equal(*results)
    other = vae()
    quiet(other, some_images(), augment=random_shift, seed=4)
    assert not torch.equal(results[0], weights(other))


def test_watching_does_not_change_what_is_learned():
    plain, watched, steps = vae(), vae(), []
    quiet(plain, some_images())

    def callback(step, model):
        assert not model.training and not torch.is_grad_enabled()
        torch.rand(7)
        steps.append(step)

    record = quiet(
        watched, some_images(), validation=some_images(25), validate_every=7, callback=callback, callback_every=10
    )
    assert torch.equal(weights(plain), weights(watched))
    assert steps == [0, 10, 20, 30] and record.validation_step == [7, 14, 21, 28, 30]


def test_validation_averages_over_images_not_batches(monkeypatch):
    model, images = Autoencoder((1, 4, 4), 2), some_images(1500)
    record = quiet(model, some_images(), steps=1, objective=squared_error, validation=images)
    with torch.no_grad():
        expected = squared_error(model, to_float(images))["loss"].mean()
    assert math.isclose(record.validation["loss"][-1], expected.item(), rel_tol=1e-4)  # 1,000 and 500 images


def test_history_is_plain_data_and_means_over_the_steps_between():
    record = quiet(vae(), some_images(), steps=400)
    assert record.step == list(range(2, 401, 2))
    assert set(record.train) == {"loss", "elbo", "distortion", "kl", "grad_norm"}
    assert record.train["loss"][-1] < record.train["loss"][0]
    assert all(
        math.isclose(e, -d - k, abs_tol=1e-3)
        for e, d, k in zip(*(record.train[n] for n in ("elbo", "distortion", "kl")), strict=True)
    )
    assert History.from_dict(record.to_dict()) == record
    assert "400 steps" in repr(record)


def test_the_warm_up_takes_a_hundred_steps_at_most():
    shares = [warm_up_and_cosine(step, 10_100) for step in (0, 49, 99, 100, 5_100)]
    assert shares == pytest.approx([0.01, 0.5, 1.0, 1.0, 0.5])
    assert 0 < warm_up_and_cosine(10_099, 10_100) < 1e-6


def test_whatever_the_rhythms_the_last_step_is_recorded_validated_kept_and_told(tmp_path):
    told, path = [], tmp_path / "run"
    record = quiet(
        vae(),
        some_images(),
        steps=405,
        validation=some_images(9),
        callback=lambda step, model: told.append(step),
        checkpoint=path,
    )
    assert record.step == [*range(2, 405, 2), 405]
    assert record.validation_step == [*range(40, 405, 40), 405] and told == [0, *record.validation_step]
    assert checkpoints.read(path)[2]["step"] == 405
    assert quiet(vae(), some_images(), steps=405).step == record.step  # without a checkpoint, which records too


def test_validation_has_the_same_noise_each_time():
    record = quiet(vae(), some_images(), validation=some_images(20), learning_rate=1e-30)
    assert len(record.validation["loss"]) == 10 and len(set(record.validation["loss"])) == 1


def test_an_augmentation_is_of_training_data_only():
    seen = []

    def objective(model, x):
        seen.append(x.max().item())
        return squared_error(model, x)

    settings = {"objective": objective, "augment": torch.zeros_like, "validation": some_images()}
    quiet(Autoencoder((1, 4, 4), 2), some_images(), steps=2, **settings)
    assert seen[0] == seen[2] == 0 and seen[1] == seen[3] > 0.9


def test_weights_change_with_the_step():
    betas = []

    def objective(model, x, beta):
        betas.append(beta)
        return squared_error(model, x)

    quiet(Autoencoder((1, 4, 4), 2), some_images(), steps=4, objective=objective, weights=lambda s: {"beta": s / 4})
    assert betas == [0, 0.25, 0.5, 0.75]


def test_the_mode_of_the_model_is_kept():
    for mode in (True, False):
        model = vae().train(mode)
        quiet(model, some_images(), steps=2)
        assert model.training == mode and all(p.grad is None for p in model.parameters())


def test_validation_of_distributions_is_on_for_the_first_step_and_restored():
    seen = []

    def objective(model, x):
        seen.append(torch.distributions.Distribution._validate_args)
        return squared_error(model, x)

    quiet(Autoencoder((1, 4, 4), 2), some_images(), steps=3, objective=objective)
    assert seen == [True, False, False] and torch.distributions.Distribution._validate_args


# --- stopping ------------------------------------------------------------------------------------------------------


class Diverging(Autoencoder):
    """Its loss becomes NaN at the fifth call."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (float("nan") if self.calls == 5 else 1.0)


@pytest.mark.parametrize("before", [False, True])
def test_tiny_numbers_are_zero_during_training_only(before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor cannot")
    seen = []
    quiet(vae(), some_images(), callback=lambda step, model: seen.append((torch.tensor(1e-40) * 1).item()))
    after = (torch.tensor(1e-40) * 1).item()
    torch.set_flush_denormal(False)
    assert len(seen) > 1 and set(seen) == {0.0}
    assert (after == 0) == before


@pytest.mark.parametrize("check_each_step", [True, False])
def test_nan_stops_at_once_with_the_step_and_finite_weights(monkeypatch, check_each_step):
    model = Diverging((1, 4, 4), 2)
    untrained = copy.deepcopy(model.state_dict())
    if not check_each_step:  # as on a GPU: checks only when records are made
        original = run.Run.__init__

        def as_on_a_gpu(self, **settings):
            original(self, **settings)
            self.log_every = 3

        monkeypatch.setattr(run.Run, "__init__", as_on_a_gpu)
        monkeypatch.setattr(run, "looks_at_each_update", lambda device: False)
    with pytest.raises(TrainingDiverged, match=r"step 5 of 30: loss = nan, grad_norm = nan.*learning rate") as caught:
        quiet(model, some_images(), objective=squared_error)
    assert "last finite weights" in str(caught.value)
    assert all(p.grad is None for p in model.parameters())
    expected = Autoencoder((1, 4, 4), 2)
    expected.load_state_dict(untrained)
    known = 4 if check_each_step else 3  # the steps before the fifth, or those of the last record
    callback = interrupt_at(known)
    quiet(expected, some_images(), objective=squared_error, callback=callback, callback_every=known)
    assert torch.equal(weights(model), weights(expected))


def test_gradients_that_the_learners_own_loop_left_are_no_part_of_the_first_batch():
    fresh, used = vae(), vae()
    quiet(fresh, some_images())
    for p in used.parameters():
        p.grad = torch.full_like(p, 100.0)
    quiet(used, some_images())
    assert torch.equal(weights(fresh), weights(used))


@pytest.mark.parametrize("shape", [(16, 1, 4, 4), (16, 16), (16, 1), (1,)])
def test_a_loss_that_is_no_number_for_each_image_is_refused(shape):
    """Its mean would run over pixels too, and weigh the other parts of a sum by accident."""
    with pytest.raises(ValueError, match=r"its 'loss' has shape .*Sum over the pixels or latents of an image"):
        quiet(vae(), some_images(), objective=lambda model, x: {"loss": model.reconstruct(x).new_zeros(shape)})


def test_the_bar_goes_away_when_training_fails(monkeypatch):
    gone = []

    class Bar(engine.ProgressBar):
        def __exit__(self, *error):
            super().__exit__(*error)
            gone.append(True)

    monkeypatch.setattr(engine, "ProgressBar", Bar)
    with pytest.raises(TrainingDiverged):
        quiet(Diverging((1, 4, 4), 2), some_images(), objective=squared_error)
    assert gone == [True]


def test_a_fit_inside_a_callback_or_without_gradients_trains_all_the_same():
    alone, inner, outer = vae(), vae(), vae()
    quiet(alone, some_images())

    def callback(step, model):
        if step == 0:
            quiet(inner, some_images())

    with torch.no_grad():
        quiet(outer, some_images(), callback=callback)
        assert not torch.is_grad_enabled()
    assert torch.equal(weights(alone), weights(inner)) and torch.equal(weights(alone), weights(outer))


def test_a_weight_that_is_a_slice_of_another_tensor_is_trained_and_the_rest_left_alone():
    """As where a first layer for grey pictures is cut out of one for colours."""
    torch.manual_seed(0)
    colours = nn.Conv2d(3, 4, 3).weight.data
    before, layer = colours.clone(), nn.Conv2d(1, 4, 3)
    layer.weight = nn.Parameter(colours[:, :1])
    quiet(layer, some_images(), objective=lambda model, x: {"loss": model(x).square().flatten(1).sum(1)})
    assert (layer.weight != before[:, :1]).all() and torch.equal(colours[:, 1:], before[:, 1:])


def test_data_that_require_a_gradient_are_data_all_the_same():
    w = torch.ones(4, 3, requires_grad=True)
    codes = torch.randn(20, 4) @ w
    quiet(nn.Linear(3, 1), codes, objective=lambda model, z: {"loss": model(z).square().sum(1)}, validation=codes)
    assert w.grad is None


def test_what_an_objective_does_to_its_arguments_stays_there():
    images, labels = some_images(), torch.zeros(60, 2)

    def objective(model, x, label):
        x.mul_(0.5)
        label += 1
        return {"loss": model(x.flatten(1)).square().sum(1) + label.sum(1)}

    floats = to_float(images)
    record = quiet(nn.Linear(16, 1), (floats, labels), objective=objective, validation=(floats, labels))
    assert torch.equal(floats, to_float(images)) and not labels.any()
    assert len(record.validation["loss"]) == 10


@pytest.mark.parametrize("augment", [lambda x: torch.cat([x, x]), lambda x: None, lambda x: x.float()])
def test_an_augmentation_has_to_return_a_batch_of_the_same_kind(augment):
    with pytest.raises(ValueError, match="augment must return a batch like the one that it is given, Tensor uint8"):
        quiet(vae(), some_images(), augment=augment)


def test_parts_may_be_whole_numbers_or_truth_values():
    def objective(model, x):
        loss = model(x.flatten(1)).square().sum(1)
        return {"loss": loss, "bright": x.mean((1, 2, 3)) > 0, "three": torch.tensor(3)}

    record = quiet(nn.Linear(16, 1), some_images(), objective=objective, validation=some_images())
    for records in (record.train, record.validation):
        assert records["bright"][-1] == 1.0 and records["three"][-1] == 3.0


@pytest.mark.parametrize("name", ["grad_norm", "critic.loss", 7])
def test_a_part_that_could_be_taken_for_another_is_refused(name):
    with pytest.raises(ValueError, match="cannot be the name of a part"):
        quiet(vae(), some_images(), objective=lambda model, x: squared_error(lambda x: x, x) | {name: x.mean()})


def test_validation_data_of_another_kind_are_refused():
    with pytest.raises(TypeError, match=r"validation data \[.float32.\] and training data \[.uint8.\] differ in type"):
        quiet(vae(), some_images(), validation=to_float(some_images()))


def test_a_gradient_that_is_not_finite_is_noticed_before_it_is_applied():
    def objective(model, x):  # the root of zero: finite value, infinite gradient
        return {"loss": torch.sqrt((model(x) * 0).square().sum((1, 2, 3)))}

    model = Autoencoder((1, 4, 4), 2)
    with pytest.raises(TrainingDiverged, match="step 1 of 30: loss = 0, grad_norm = nan"):
        quiet(model, some_images(), objective=objective)
    assert torch.isfinite(weights(model)).all()


def test_stop_keeps_what_was_learned_and_resumes_to_the_same_bits(tmp_path, capsys):
    path, images = tmp_path / "run.safetensors", some_images()
    whole, parts = vae(), vae()
    quiet(whole, images)
    handler = signal.getsignal(signal.SIGINT)
    record = quiet(parts, images, checkpoint=path, callback=interrupt_at(11), callback_every=11)
    assert signal.getsignal(signal.SIGINT) is handler
    assert record.stopped == "stopped by hand after step 11 of 30" and record.step[-1] == 11
    assert "keeps what it learned" in capsys.readouterr().out
    assert not torch.equal(weights(parts), weights(vae()))
    fresh = vae(seed=9)  # other weights: everything must come from the file
    record = quiet(fresh, images, checkpoint=path, resume=True)
    assert torch.equal(weights(fresh), weights(whole)) and record.step[-1] == 30 and not record.stopped
    again = vae(seed=8)
    quiet(again, images, checkpoint=path, resume=True)  # finished: nothing more to do
    assert torch.equal(weights(again), weights(whole))


def test_a_stop_is_recorded_and_validated_once_and_a_resumed_run_continues_the_record(tmp_path):
    path, told, seen = tmp_path / "run", [], []
    settings = {"steps": 400, "validation": some_images(9), "validate_every": 12}
    for step in (11, 12):  # neither recorded nor validated yet; both already
        record = quiet(vae(), some_images(), **settings, callback=interrupt_at(step), callback_every=step)
        assert record.step == [*range(2, step, 2), step] and record.validation_step == [step]

    def objective(model, x):
        seen.append(torch.distributions.Distribution._validate_args)
        return negative_elbo(model, x)

    settings |= {"objective": objective, "checkpoint": path}
    began = quiet(vae(), some_images(), **settings, callback=interrupt_at(11), callback_every=11)
    seen.clear()
    record = quiet(
        vae(),
        some_images(),
        **settings,
        resume=True,
        callback=lambda step, model: told.append(step),
        callback_every=100,
    )
    assert record.step == [2, 4, 6, 8, 10, 11, *range(12, 401, 2)] and told == [100, 200, 300, 400]
    assert record.train["loss"][:6] == began.train["loss"] and not any(seen)
    assert record.validation_step == [11, *range(12, 400, 12), 400]


def test_a_second_ctrl_c_interrupts_and_sigterm_only_asks():
    usual = signal.getsignal(signal.SIGTERM)
    with surroundings.Interrupts(also_terminate=True) as interrupts:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    with surroundings.Interrupts() as interrupts:
        assert signal.getsignal(signal.SIGTERM) is usual and not interrupts.asked
    assert signal.getsignal(signal.SIGTERM) is usual


@pytest.mark.parametrize(("error", "left"), [(ValueError, signal.SIG_IGN), (KeyboardInterrupt, None), (None, None)])
def test_an_error_is_told_before_the_launcher_may_end_the_process(error, left):
    """torchrun ends all processes when one fails; the error of another would be lost on its way to the screen."""
    usual = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.suppress(ValueError, KeyboardInterrupt), surroundings.Interrupts(also_terminate=True):
            if error:
                raise error
        assert signal.getsignal(signal.SIGTERM) == (usual if left is None else left)
    finally:
        signal.signal(signal.SIGTERM, usual)


@pytest.mark.parametrize("betas", [(0.9, 0.98), (0.5, 0.999)])
def test_other_betas_give_other_weights_and_resume_to_the_same_bits(tmp_path, betas):
    path, images = tmp_path / "run.safetensors", some_images()
    usual, whole, resumed = vae(), vae(), vae()
    quiet(usual, images)
    quiet(whole, images, betas=betas)
    assert not torch.allclose(weights(usual), weights(whole), atol=1e-5)
    quiet(resumed, images, betas=betas, checkpoint=path, callback=interrupt_at(11), callback_every=11)
    assert not torch.equal(weights(resumed), weights(whole))
    fresh = vae(seed=9)
    quiet(fresh, images, betas=list(betas), checkpoint=path, resume=True)  # a list from a file of settings is as good
    assert torch.equal(weights(fresh), weights(whole))
    with pytest.raises(checkpoints.CheckpointError, match=r"betas \(there \[.*\], here \[0.9, 0.999\]\)"):
        quiet(vae(), images, checkpoint=path, resume=True)


def test_a_resumed_run_has_the_threads_it_began_with_and_gives_them_back(tmp_path):
    path, before, seen = tmp_path / "run.safetensors", torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        quiet(vae(), some_images(), checkpoint=path, callback=interrupt_at(11), callback_every=11)
        torch.set_num_threads(1)

        def note(step, model):
            seen.append(torch.get_num_threads())

        quiet(vae(), some_images(), checkpoint=path, resume=True, callback=note, callback_every=1)
        assert set(seen) == {2} and torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_without_the_main_thread_it_trains_all_the_same():
    results = []
    thread = threading.Thread(target=lambda: results.append(quiet(vae(), some_images(), steps=3)))
    thread.start()
    thread.join()
    assert results[0].step[-1] == 3


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, kills):
    """Each life of the run is killed a moment after it wrote a checkpoint, or while it writes the next."""
    steps = 400 + 200 * kills  # more than so many lives can do
    script = (
        "import sys, torch\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from small import vae, some_images, weights\n"
        "from vae_helpers.training import fit\n"
        "model = vae()\n"
        f"fit(model, some_images(), steps={steps}, batch_size=16, checkpoint=sys.argv[1], checkpoint_every=20,"
        " resume=True, progress=False)\n"
        "torch.save(weights(model), sys.argv[1] + '.pt')"
    )
    choice = random.Random(0)

    def start(path):
        return subprocess.Popen([sys.executable, "-c", script, str(path), os.path.dirname(__file__)])

    def stamp(path):
        return path.stat().st_mtime_ns if path.exists() else None

    whole, killed, reached = tmp_path / "whole", tmp_path / "killed", [0]
    assert start(whole).wait() == 0
    for _ in range(kills):
        process = start(killed)
        before = stamp(killed)
        while stamp(killed) == before:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(choice.uniform(0.0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        reached.append(checkpoints.read(killed)[2]["step"])
    assert all(earlier < later < steps for earlier, later in itertools.pairwise(reached))
    assert start(killed).wait() == 0
    assert torch.equal(torch.load(f"{whole}.pt", weights_only=True), torch.load(f"{killed}.pt", weights_only=True))


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failing", "lines"), [([False, True, True, False], 1), ([False, True, False, True, False], 2)]
)
def test_a_checkpoint_that_cannot_be_written_costs_one_line_and_no_step(tmp_path, monkeypatch, capsys, failing, lines):
    path, write, left = tmp_path / "run.safetensors", checkpoints.write, failing.copy()

    def sometimes(*args, **kwargs):
        if left and left.pop(0):
            raise OSError(28, "No space left on device")
        return write(*args, **kwargs)

    monkeypatch.setattr(checkpoints, "write", sometimes)
    model = vae()
    history = quiet(model, some_images(), steps=10, checkpoint=path, checkpoint_every=2)
    said = capsys.readouterr().out
    assert history.step[-1] == 10 and said.count("No space left") == lines and "after step 4" in said
    assert checkpoints.read(path)[2]["step"] == 10


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    path = tmp_path / "run.safetensors"
    quiet(vae(), some_images(), checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume=True"):
        quiet(vae(), some_images(), checkpoint=path)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_run_or_model_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    quiet(vae(), some_images(), checkpoint=path)
    with pytest.raises(checkpoints.CheckpointError, match=r"learning_rate \(there 0.001, here 0.01\), betas"):
        quiet(vae(), some_images(), checkpoint=path, resume=True, learning_rate=1e-2, betas=(0.9, 0.98))
    other = mlp_vae((1, 4, 4), 3, (8,), GreyBernoulliLikelihood())
    before = weights(other)
    with pytest.raises(checkpoints.CheckpointError, match="another model"):
        quiet(other, some_images(), checkpoint=path, resume=True)
    assert torch.equal(weights(other), before)
    checkpoints.save(tmp_path / "model.safetensors", vae())
    with pytest.raises(checkpoints.CheckpointError, match="not the state of a training run"):
        quiet(vae(), some_images(), checkpoint=tmp_path / "model.safetensors", resume=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be a whole number"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"batch_size": -1}, "batch_size"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"betas": ("a", 0.9)}, "betas"),
        ({"seed": -1}, "seed"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"validate_every": 1.5}, "validate_every"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": 1e39}, "learning_rate must be at most 1e.30, not 1e.39"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"betas": (0.9,)}, "betas"),
        ({"betas": 0.9}, "betas"),
        ({"precision": torch.float16}, "precision must be torch.float32 or torch.bfloat16, not torch.float16"),
        ({"precision": torch.float64}, "precision must be"),
        ({"resume": True}, "resume=True needs the file"),
        ({"average": 0.999}, r"average=weight_average\(model"),
        ({"validation": torch.zeros(3, 1, 5, 5, dtype=torch.uint8)}, "differ in shape"),
    ],
)
def test_bad_settings_are_named(settings, words):
    model = vae()
    with pytest.raises(ValueError, match=words):
        quiet(model, some_images(), **settings)
    assert torch.equal(weights(model), weights(vae()))


def test_data_that_are_no_pictures_and_frozen_models_are_refused():
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        quiet(vae(), some_images().flatten(1))
    with pytest.raises(ValueError, match="data holds 1 values that are NaN"):
        quiet(vae(), torch.tensor([[0.5], [float("nan")]]))
    with pytest.raises(TypeError, match=r"\(images, factors\), not 3"):
        quiet(vae(), 3)
    with pytest.raises(ValueError, match=r"as many rows in each tensor, at least one, not \[60, 59\]"):
        quiet(vae(), (some_images(), torch.zeros(59)))
    with pytest.raises(ValueError, match="nothing to train"):
        quiet(vae().requires_grad_(False), some_images())


def test_what_is_no_function_is_refused():
    for name in ("objective", "weights"):
        with pytest.raises(TypeError, match=f"{name} must be a function, not 3"):
            quiet(vae(), some_images(), **{name: 3})


def test_data_that_do_not_suit_the_likelihood_stop_the_first_step():
    model = vae()
    model.prepare = lambda images: to_float(images) * 2
    with pytest.raises(ValueError, match="support"):
        quiet(model, some_images())


def test_a_model_in_bfloat16_learns_nearly_the_same():
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        model = vae()
        record = quiet(model, some_images(), steps=200, precision=precision)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        losses.append(record.train["loss"][-1])
    assert losses[0] != losses[1] and abs(losses[0] - losses[1]) < 0.02 * losses[0]


def test_a_run_that_becomes_slow_has_its_threads_chosen_anew_but_not_one_to_be_resumed(monkeypatch, tmp_path):
    looks, clock = [], {"now": 0.0}
    for module in (engine, surroundings):
        monkeypatch.setattr(module, "adapt_threads", lambda: looks.append(clock["now"]))
    monkeypatch.setattr(surroundings.time, "perf_counter", lambda: clock["now"])

    def objective(model, x):
        clock["now"] += 1.0 if clock["now"] < 10 else 4.0  # after ten steps something else takes the core
        return squared_error(model, x)

    quiet(Autoencoder((1, 4, 4), 2), some_images(), steps=14, objective=objective)
    assert looks == [0.0, 14.0, 22.0]  # at the start, then no more often than every five seconds
    looks.clear()
    clock["now"] = 0.0
    quiet(Autoencoder((1, 4, 4), 2), some_images(), steps=14, objective=objective, checkpoint=tmp_path / "run")
    assert looks == [0.0]


def test_steps_of_half_as_long_again_are_no_reason_to_choose_threads_anew(monkeypatch):
    looks, now = [], 0.0
    monkeypatch.setattr(surroundings, "adapt_threads", lambda: looks.append(now))
    monkeypatch.setattr(surroundings.time, "perf_counter", lambda: now)
    pace = surroundings.Pace(fixed=False)
    for step, seconds in enumerate([1.0] * 6 + [1.4] * 6 + [1.6], 1):
        now += seconds
        pace.keep(step)
    assert looks == [now]


def test_the_progress_bar_shows_live_numbers_and_can_be_off(capfd, monkeypatch):
    fit(vae(), some_images(), steps=400)
    assert "loss=" in capfd.readouterr().err
    monkeypatch.setenv("VAE_HELPERS_STATIC", "1")
    fit(vae(), some_images(), steps=5)
    assert capfd.readouterr() == ("", "")


def test_modules_without_prepare_get_floats():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            assert x.dtype == torch.float32 and x.max() <= 1
            return self.shift.expand_as(x)

    model = Plain()
    quiet(model, some_images(), steps=300, objective=squared_error, learning_rate=0.02)
    assert abs(model.shift.item() - to_float(some_images()).mean().item()) < 0.03
