"""A checkpoint holds all of a run, goes on to the same bits, and continues nothing else."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.small import interrupt_at, quiet, some_images, vae, weights
from vae_helpers import checkpoints
from vae_helpers.checkpoints import CheckpointError
from vae_helpers.distributions import GreyBernoulliLikelihood
from vae_helpers.images import to_float
from vae_helpers.models import Autoencoder, conv_vae, mlp_vae
from vae_helpers.objectives import negative_elbo, squared_error
from vae_helpers.training import Phase, TrainingDiverged, resuming, run, weight_average


def encoder_phase(model, x):
    return {"loss": -model.elbo(x).elbo}


def phases():
    return [
        Phase("encoder", encoder_phase, "encoder", updates=2),
        Phase("decoder", negative_elbo, "decoder", learning_rate=3e-3, start=7),
    ]


def test_phases_average_and_conditions_resume_to_the_same_bits(tmp_path):
    path, data = tmp_path / "run.safetensors", (some_images(), torch.arange(60))

    def run(model, **settings):
        average = weight_average(model, 0.8)

        def encoder(model, x, label):
            return encoder_phase(model, x)

        def decoder(model, x, label):
            return negative_elbo(model, x)

        turns = [Phase("encoder", encoder, "encoder", updates=2), Phase("decoder", decoder, "decoder", start=7)]
        history = quiet(model, data, phases=turns, average=average, **settings)
        return torch.cat([weights(model), weights(average)]), history

    whole, _ = run(vae())
    run(vae(), checkpoint=path, callback=interrupt_at(11), callback_every=11)
    resumed, history = run(vae(seed=9), checkpoint=path, resume=True)
    assert torch.equal(resumed, whole)
    assert history.step[-1] == 30 and all(len(v) == len(history.step) for v in history.train.values())


def began(path, model, data, **settings):
    quiet(model, data, checkpoint=path, callback=interrupt_at(11), callback_every=11, **settings)


def refused(path, model, data, words, **settings):
    before = weights(model)
    with pytest.raises(CheckpointError, match=words):
        quiet(model, data, checkpoint=path, resume=True, **settings)
    assert torch.equal(weights(model), before)


def test_other_pictures_of_the_same_shape_are_refused(tmp_path):
    path, other = tmp_path / "run", some_images()
    other[59, 0, 3, 3] ^= 1
    began(path, vae(), some_images())
    refused(path, vae(), other, "other data of the same shape")
    refused(path, vae(), some_images(30), r"shapes \(there \[\[60, 1, 4, 4\]\], here \[\[30")
    refused(path, vae(), (some_images(), torch.zeros(60)), "shapes")


def test_another_objective_is_refused_by_its_name_or_by_its_parts(tmp_path):
    path = tmp_path / "run"
    began(path, Autoencoder((1, 4, 4), 2), some_images(), objective=squared_error)

    def another(model, x):
        return squared_error(model, x)

    model, images = Autoencoder((1, 4, 4), 2), some_images()
    refused(path, model, images, "objective .there squared_error, here .*another", objective=another)

    path = tmp_path / "nameless"
    began(path, Autoencoder((1, 4, 4), 2), images, objective=lambda m, x: squared_error(m, x) | {"extra": x.mean()})
    kept = path.read_bytes()
    with pytest.raises(CheckpointError, match="had the parts loss, extra, this one has loss"):
        quiet(model, images, checkpoint=path, resume=True, objective=lambda m, x: squared_error(m, x))
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({"beta": 4.0}, {"beta": 2.0}),
        ({"beta": torch.full((16,), 4.0)}, {"beta": torch.full((16,), 2.0)}),
        ({}, {"samples": 2}),
    ],
)
def test_a_partial_objective_with_other_arguments_is_refused(tmp_path, there, here):
    path, images = tmp_path / "run", some_images()
    began(path, vae(), images, objective=functools.partial(negative_elbo, **there))
    words = r"objective \(there negative_elbo\(.*\), here negative_elbo\(.*\)"
    refused(path, vae(), images, words, objective=functools.partial(negative_elbo, **here))
    whole, resumed = vae(), vae()
    quiet(whole, images, objective=functools.partial(negative_elbo, **there))
    quiet(resumed, images, objective=functools.partial(negative_elbo, **there), checkpoint=path, resume=True)
    assert torch.equal(weights(whole), weights(resumed))


def test_the_arguments_of_a_partial_are_named_by_what_they_are():
    def named(*args, **keywords):
        return resuming._name_of(functools.partial(negative_elbo, *args, **keywords))

    assert named(beta=2) == named(beta=np.float32(2)) == named(beta=2.0) == "negative_elbo(beta=2.0)"
    assert named("a", None, True, (1, squared_error)) == "negative_elbo('a', None, True, (1.0, squared_error))"
    assert named(beta=vae()) == "negative_elbo(beta=VAE)" and named(beta=torch.eye(2).to_sparse()).endswith("Tensor)")
    assert named(beta=torch.ones(2)) == named(beta=torch.ones(4)[::2]) != named(beta=torch.zeros(2))
    assert resuming._name_of(functools.partial(lambda model, x: {}, beta=2)) == "(beta=2.0)"


def test_other_phases_and_an_average_that_was_not_there_are_refused(tmp_path):
    path = tmp_path / "run"
    began(path, vae(), some_images(), phases=phases())
    refused(path, vae(), some_images(), "phases", phases=phases()[:1])
    refused(path, vae(), some_images(), "phases")
    slower = [phases()[0], Phase("decoder", negative_elbo, "decoder", learning_rate=1e-4, start=7)]
    refused(path, vae(), some_images(), r"decoder.learning_rate \(there 0.003, here 0.0001\)", phases=slower)
    model = vae()
    refused(
        path,
        model,
        some_images(),
        r"average \(there None, here 0.999\)",
        phases=phases(),
        average=weight_average(model),
    )


def turns(updates=1, start=0, names="ab"):
    return [Phase(name, negative_elbo, updates=updates, start=start) for name in names]


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        ({}, {"steps": 31}, r"steps \(there 30, here 31\)"),
        ({}, {"batch_size": 15}, r"batch_size \(there 16, here 15\)"),
        ({}, {"seed": 1}, r"seed \(there 0, here 1\)"),
        ({"precision": torch.float32}, {"precision": torch.bfloat16}, r"precision \(there torch.float32, here torch.b"),
        ({"phases": turns()}, {"phases": turns(updates=2)}, r"a.updates \(there 1, here 2\)"),
        ({"phases": turns()}, {"phases": turns(start=5)}, r"a.start \(there 0, here 5\)"),
        ({"phases": turns()}, {"phases": turns(names="ba")}, r"phases \(there \['a', 'b'\], here \['b', 'a'\]\)"),
    ],
)
def test_each_setting_that_changes_what_is_learned_is_compared(tmp_path, there, here, words):
    began(tmp_path / "run", vae(), some_images(), **there)
    refused(tmp_path / "run", vae(), some_images(), words, **here)


def test_an_average_with_another_decay_is_refused(tmp_path):
    model = vae()
    began(tmp_path / "run", model, some_images(), average=weight_average(model, 0.9))
    words = r"average \(there 0.9, here 0.8\)"
    refused(tmp_path / "run", model, some_images(), words, average=weight_average(model, 0.8))


def test_a_checkpoint_has_the_record_of_all_its_steps(tmp_path):
    calls = []

    def objective(model, x):
        calls.append(0)
        if len(calls) == 9:
            raise RuntimeError("the power is gone")
        return negative_elbo(model, x)

    with pytest.raises(RuntimeError, match="power"):
        quiet(vae(), some_images(), steps=800, objective=objective, checkpoint=tmp_path / "run", checkpoint_every=7)
    assert checkpoints.read(tmp_path / "run")[2]["history"]["step"] == [4, 7]  # a record for every four steps


def test_a_part_that_is_new_in_the_resumed_run_is_no_other_objective(tmp_path):
    path, images = tmp_path / "run", some_images()
    began(path, Autoencoder((1, 4, 4), 2), images, objective=lambda m, x: squared_error(m, x))
    model = Autoencoder((1, 4, 4), 2)
    history = quiet(
        model, images, checkpoint=path, resume=True, objective=lambda m, x: squared_error(m, x) | {"late": x.mean()}
    )
    assert np.isnan(history.train["late"][:11]).all() and np.isfinite(history.train["late"][11:]).all()


def test_other_weights_to_train_are_refused(tmp_path):
    """Adam's moments would go to weights of other shapes, or silently to others of the same."""
    path = tmp_path / "run"

    def model(frozen):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.Linear(2, 600), nn.Linear(600, 16))
        layers[frozen].requires_grad_(False)
        return layers

    def objective(model, x):
        return {"loss": (model(x) - x.flatten(1)).square().sum(1)}

    began(path, model(1), some_images(), objective=objective)
    refused(path, model(2), some_images(), "trained weights .there .*2.weight.*, here .*1.weight", objective=objective)


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(16, 16), nn.Linear(16, 16)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(torch.tanh(self.one(x.flatten(1)))).reshape(x.shape)


def test_a_model_with_tied_weights_is_trained_with_checkpoints(tmp_path):
    path, whole, resumed = tmp_path / "run", Tied(), Tied()
    quiet(whole, some_images(), objective=squared_error)
    began(path, Tied(), some_images(), objective=squared_error)
    quiet(resumed, some_images(), objective=squared_error, checkpoint=path, resume=True)
    assert torch.equal(weights(whole), weights(resumed)) and resumed.one.weight is resumed.two.weight


def test_convolutions_in_channels_last_resume_to_the_same_bits(tmp_path, monkeypatch):
    path, images = tmp_path / "run", some_images(40, 16)
    as_here = run.machine()
    monkeypatch.setattr(run, "machine", lambda: dataclasses.replace(as_here, channels_last=True))

    def conv(seed):
        torch.manual_seed(seed)
        return conv_vae((1, 16, 16), latent_dim=2, width=4, hidden=8)

    whole, resumed = conv(0), conv(9)
    quiet(whole, images)
    assert any(p.dim() == 4 and not p.is_contiguous() for p in whole.parameters())  # the layout is another, indeed
    began(path, conv(0), images)
    quiet(resumed, images, checkpoint=path, resume=True)
    assert torch.equal(weights(whole), weights(resumed))


def test_where_numbers_are_looked_at_seldom_a_divergence_goes_back_to_what_was_resumed(tmp_path, monkeypatch):
    """As on a GPU: a resumed run and its average, with NaN before the first record."""
    path, model, fresh = tmp_path / "run", vae(), vae(seed=9)
    monkeypatch.setattr(run, "looks_at_each_update", lambda device: False)

    def objective(model, x):
        return {"loss": negative_elbo(model, x)["loss"] * factor}

    factor, average = 1.0, weight_average(model)
    began(path, model, some_images(), objective=objective, average=average)
    expected, factor, resumed = weights(model), float("nan"), weight_average(fresh)
    with pytest.raises(TrainingDiverged, match="keeps its last finite weights"):
        quiet(fresh, some_images(), objective=objective, average=resumed, checkpoint=path, resume=True)
    assert torch.equal(weights(fresh), expected) and torch.equal(weights(resumed), weights(average))


def test_the_checkpoint_holds_the_average(tmp_path):
    path, model = tmp_path / "run", mlp_vae((1, 4, 4), 2, (8,), GreyBernoulliLikelihood())
    average = weight_average(model, 0.5)
    quiet(model, some_images(), average=average, checkpoint=path)
    tensors, _, _ = checkpoints.read(path)
    assert torch.equal(tensors["average.module.encoder.1.0.weight"], average.module.state_dict()["encoder.1.0.weight"])
    assert not torch.equal(tensors["model.encoder.1.0.weight"], tensors["average.module.encoder.1.0.weight"])


def test_floats_are_data_too(tmp_path):
    path, codes = tmp_path / "run", to_float(some_images())
    whole, resumed = Autoencoder((1, 4, 4), 2), Autoencoder((1, 4, 4), 2)
    resumed.load_state_dict(whole.state_dict())
    quiet(whole, codes, objective=squared_error)
    began(path, resumed, codes, objective=squared_error)
    quiet(resumed, codes, objective=squared_error, checkpoint=path, resume=True)
    assert torch.equal(weights(whole), weights(resumed))
