"""A patient of notebook 12 is ill in one line: with the right one it is trained as every model of the package."""

import inspect
import math

import pytest
import torch
from torch import nn

from vae_helpers.data import Dataset, load
from vae_helpers.distributions import BernoulliLikelihood, GaussianLikelihood, kl_to_standard_normal, soft_bound
from vae_helpers.evaluation.diseases import DISEASES
from vae_helpers.lessons import patients
from vae_helpers.lessons.patients import PATIENTS, Ward
from vae_helpers.models import VAE, conv_vae, mlp_vae
from vae_helpers.objectives import negative_elbo
from vae_helpers.training import TrainingDiverged

DIGITS = load("digits")
FEW = Dataset("few", DIGITS.train[:96], DIGITS.validation[:40], DIGITS.test[:20], 17, DIGITS.classes, "")
WARD = Ward(FEW, lambda likelihood: mlp_vae((1, 8, 8), 2, (16, 12), likelihood), steps=3, batch_size=32)
LINES = [(letter, right) for letter in PATIENTS for right in (False, True)]


def line_of(letter, right):
    return PATIENTS[letter].right if right else PATIENTS[letter].wrong


class Admitted(Exception):
    """What a patient would have been trained with."""


@pytest.fixture
def admitted(monkeypatch):
    """(letter, right) -> the model before its training, the pictures and the settings of `fit`."""

    def stop(model, seen, **settings):
        raise Admitted(model, seen, settings)

    monkeypatch.setattr(patients, "fit", stop)

    def admit(letter, right):
        with pytest.raises(Admitted) as caught:
            PATIENTS[letter].train(WARD, line_of(letter, right))
        return caught.value.args

    return admit


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_every_patient_has_a_disease_of_the_report_and_two_lines_that_differ():
    assert list(PATIENTS) == list("ABCDEFGHIJKL")
    diseases = [patient.disease for patient in PATIENTS.values()]
    assert set(diseases) <= set(DISEASES) and len(set(diseases)) == 12
    for patient in PATIENTS.values():
        assert inspect.getsource(patient.wrong).splitlines()[-1] != inspect.getsource(patient.right).splitlines()[-1]
        assert inspect.signature(patient.wrong) == inspect.signature(patient.right)
        assert inspect.getdoc(patient.wrong) == inspect.getdoc(patient.right)  # the name alone tells them apart


@pytest.mark.parametrize("letter", PATIENTS)
def test_both_lines_are_trained_and_the_line_makes_the_difference(letter):
    sick, well, again = (PATIENTS[letter].train(WARD, line) for line in (None, PATIENTS[letter].right, None))
    for treated in (sick, well):
        assert isinstance(treated.model, VAE) and treated.history.step[-1] == 3
        assert treated.history.losses() and treated.history.losses("validation")
        assert len(treated.held_out) == 40 and treated.seen.dtype == torch.uint8
    assert same(state(sick.model), state(again.model))  # no other difference, then
    if letter == "K":
        assert same(state(sick.model), state(well.model))
    else:
        assert not same(state(sick.model), state(well.model))


@pytest.mark.parametrize("letter", [letter for letter in PATIENTS if letter not in "FGL"])
def test_both_begin_with_the_same_weights(letter, admitted):
    (sick, seen, settings), (well, other, others) = (admitted(letter, right) for right in (False, True))
    assert same(state(sick), state(well))
    healthy = WARD.vae()
    if letter == "E":  # whose sigma is no weight
        sick.likelihood = healthy.likelihood
    vae = sick.vae if letter == "H" else sick
    assert same(state(vae), state(healthy))
    different = {name for name in settings if name != "validation" and settings[name] != others[name]}
    assert different <= {"A": {"objective"}, "B": {"objective"}, "C": {"objective"}, "E": {"objective"},
                         "H": {"phases"}, "J": {"learning_rate"}}.get(letter, set())  # fmt: skip
    assert torch.equal(settings["validation"], others["validation"]) and (torch.equal(seen, other) or letter == "I")


SETTINGS = {"steps": 3, "batch_size": 32, "learning_rate": 8e-3, "betas": (0.9, 0.98), "seed": 0, "progress": False}


@pytest.mark.parametrize(("letter", "right"), LINES)
def test_a_patient_is_trained_on_the_ward_with_its_settings(letter, right, admitted):
    _, seen, settings = admitted(letter, right)
    validation = settings.pop("validation")
    if letter != "I":
        assert torch.equal(seen, FEW.train.images) and torch.equal(validation, FEW.validation.images)
    expected = SETTINGS | ({"learning_rate": 8e-3 * 32} if (letter, right) == ("J", False) else {})
    settings = {name: value for name, value in settings.items() if name not in ("objective", "phases")}
    assert settings == expected


# --- A, B: how the KL is weighed ------------------------------------------------------------------------------------


def by_hand(n=5, d=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, generator=generator), torch.rand(n, d, generator=generator)


def test_the_kl_of_each_latent_adds_up_to_the_kl():
    mu, log_var = torch.randn(5, 3), torch.randn(5, 3)
    q = torch.distributions.Independent(torch.distributions.Normal(mu, (log_var / 2).exp()), 1)
    assert torch.allclose(patients.kl_by_latent(mu, log_var).sum(1), kl_to_standard_normal(q))


def test_the_lines_weigh_the_kl_by_the_numbers_of_latents_and_pictures():
    distortion, kl = by_hand()
    elbo = (distortion + kl.sum(1)).mean()
    assert torch.allclose(patients.weighed(distortion, kl), elbo)
    assert torch.allclose(patients.averaged(distortion, kl), distortion.mean() + kl.sum(1).mean() / 3)
    assert torch.allclose(patients.summed_over_all(distortion, kl), distortion.mean() + 5 * kl.sum(1).mean())


def prepared(model, n=32):
    torch.manual_seed(1)
    return model.prepare(FEW.train.images[:n])


def at_the_same_draws(measure, *arguments):
    torch.manual_seed(2)
    return measure(*arguments)


def losses(parts):
    """Means over pictures of the loss and of what is recorded."""
    return torch.stack([parts[name].mean() for name in ("loss", "distortion", "kl")])


@pytest.mark.parametrize("letter", "ABC")
def test_with_the_right_line_the_loss_is_the_negative_elbo(letter, admitted):
    model, _, settings = admitted(letter, True)
    x = prepared(model)
    objective = at_the_same_draws(settings["objective"], model, x)
    expected = at_the_same_draws(negative_elbo, model, x)
    assert torch.allclose(losses(objective), losses(expected), rtol=1e-5)
    assert objective["distortion"].shape == objective["kl"].shape == (32,)
    sick, _, settings = admitted(letter, False)
    wrong = at_the_same_draws(settings["objective"], sick, x)
    assert not torch.allclose(losses(wrong), losses(expected), rtol=1e-5)


def test_the_parts_of_a_wrong_loss_are_recorded_as_they_are(admitted):
    for letter, times in (("A", 1 / 2), ("B", 32)):  # two latents, 32 pictures
        model, _, settings = admitted(letter, False)
        parts = at_the_same_draws(settings["objective"], model, prepared(model))
        assert torch.allclose(parts["loss"], parts["distortion"].mean() + times * parts["kl"].mean(), rtol=1e-5)


# --- C, D: how codes are drawn --------------------------------------------------------------------------------------


def test_half_of_a_log_variance_is_that_of_a_deviation(admitted):
    log_var = torch.tensor([[-2.0, 0.0, 1.0]])
    assert torch.allclose(patients.scale(log_var).square(), log_var.exp())
    assert torch.allclose(patients.scale_without_half(log_var), patients.scale(log_var).square())
    sick, _, settings = admitted("C", False)
    well, *_ = admitted("C", True)
    x = prepared(sick)
    assert torch.allclose(sick.encode(x).stddev, well.encode(x).variance)
    assert torch.equal(sick.encode(x).mean, well.encode(x).mean)
    _mu, log_var = sick.heads(x)
    assert torch.allclose(log_var, well.encode(x).variance.log(), atol=1e-6)
    told = at_the_same_draws(settings["objective"], sick, x)["kl"]  # with exp(log_var) for the variance
    assert torch.allclose(told, kl_to_standard_normal(well.encode(x)), rtol=1e-5)


def test_an_encoder_sees_levels_or_numbers_up_to_one(admitted):
    sick, well, healthy = admitted("D", False)[0], admitted("D", True)[0], WARD.vae()
    seen = []
    for model in (sick, well, healthy):
        model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        model.encode(prepared(model))
    assert torch.allclose(seen[1], seen[2]) and torch.allclose(seen[0], 255 * seen[2])
    x = prepared(well)
    assert torch.allclose(well.encode(x).mean, healthy.encode(x).mean, atol=1e-6)
    assert torch.allclose(soft_bound(well.encode(x).variance.log()), healthy.encode(x).variance.log(), atol=1e-5)


# --- E, K: what the decoder says ------------------------------------------------------------------------------------


def test_with_the_error_as_its_sigma_the_loss_is_the_negative_elbo(admitted):
    model, _, settings = admitted("E", True)
    x = prepared(model)
    objective = at_the_same_draws(settings["objective"], model.eval(), x)
    assert model.likelihood.sigma == 1  # in eval mode nothing is remembered
    torch.manual_seed(2)
    mean = model.decode(model.encode(x).rsample()).mean
    model.likelihood.said.fill_((x - mean).square().mean().sqrt())
    assert torch.allclose(losses(objective), losses(at_the_same_draws(negative_elbo, model, x)), rtol=1e-5)
    sick, _, settings = admitted("E", False)
    assert torch.allclose(
        losses(at_the_same_draws(settings["objective"], sick, x)), losses(at_the_same_draws(negative_elbo, sick, x))
    )  # its sigma is one, and it says so
    assert patients.one(x, mean) == 1
    assert torch.allclose(patients.error(x, x + 0.3), torch.tensor(0.3))


def test_the_sigma_is_a_running_mean_of_what_was_said():
    likelihood = patients._Remembered(17)
    for sigma in (0.5, 0.5):
        likelihood.remember(torch.tensor(sigma))
    assert math.isclose(likelihood.sigma.item(), 0.5 + 0.5 * 0.98**2, rel_tol=1e-6)
    likelihood.eval().remember(torch.tensor(9.0))
    assert math.isclose(likelihood.sigma.item(), 0.5 + 0.5 * 0.98**2, rel_tol=1e-6)
    assert likelihood(torch.zeros(1, 1, 2, 2)).stddev.eq(likelihood.sigma).all() and likelihood.levels == 17
    assert "said" in likelihood.state_dict()


def test_the_remembered_sigma_is_of_the_training(admitted):
    model, _, settings = admitted("E", True)
    settings["objective"](model, prepared(model))
    assert 0.98 < model.likelihood.sigma < 1 and not model.likelihood.sigma.requires_grad


def test_samples_have_noise_or_not(admitted):
    sick, well = admitted("K", False)[0], admitted("K", True)[0]
    draw = [at_the_same_draws(model.sample, 2000) for model in (sick, well)]
    assert torch.equal(draw[0], at_the_same_draws(WARD.vae().sample_means, 2000))
    assert draw[0].shape == (2000, 1, 8, 8) and not draw[1].requires_grad
    assert math.isclose((draw[1] - draw[0]).std().item(), 0.1, rel_tol=0.02)
    mean = torch.rand(3, 1, 4, 4)
    assert patients.means_only(mean, torch.tensor(0.5)) is mean
    assert torch.equal(patients.with_noise(mean, torch.tensor(0.0)), mean)


# --- F, G, L: how networks are built --------------------------------------------------------------------------------


def layers(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def test_every_dense_layer_but_the_last_is_normalised(admitted):
    for right in (False, True):
        model, *_ = admitted("F", right)
        healthy = WARD.vae()
        for network, plain in ((model.encoder, healthy.encoder), (model.decoder, healthy.decoder)):
            norms = layers(network, nn.BatchNorm1d)
            assert len(norms) == 2 and all(norm.track_running_stats is right for norm in norms)
            dense, theirs = layers(network, nn.Linear), layers(plain, nn.Linear)
            assert [norm.num_features for norm in norms] == [layer.out_features for layer in dense[:-1]]
            assert all(torch.equal(one.weight, other.weight) for one, other in zip(dense, theirs, strict=True))
            order = [m for m in network.modules() if isinstance(m, nn.Linear | nn.BatchNorm1d)]
            assert [isinstance(m, nn.Linear) for m in order] == [True, False, True, False, True]


def test_three_layers_more_before_the_last_are_one_or_three(admitted):
    for right in (False, True):
        model, *_ = admitted("G", right)
        dense = layers(model.encoder, nn.Linear)  # each module once
        assert [(m.in_features, m.out_features) for m in dense] == [
            (64, 16), (16, 12), *[(12, 12)] * (3 if right else 1), (12, 4)
        ]  # fmt: skip
        assert len(layers(model.encoder, nn.SiLU)) == (3 if right else 1) + 2
        theirs = layers(WARD.vae().encoder, nn.Linear)
        for mine, healthy in ((dense[0], theirs[0]), (dense[1], theirs[1]), (dense[-1], theirs[-1])):
            assert torch.equal(mine.weight, healthy.weight)
        x = torch.rand(2, 12)
        stack = model.encoder.get_submodule(patients._last(WARD.vae().encoder))[0]
        assert len(stack) == 3
        expected = x
        for one in [dense[2:-1], [dense[2]] * 3][not right]:
            expected = nn.functional.silu(one(expected))
        assert torch.allclose(stack(x), expected)


def _decoders_bias(name):
    return name.startswith("decoder.") and name.endswith(".bias")


def test_biases_are_left_out_of_the_decoder_alone(admitted):
    for right in (False, True):
        model, *_ = admitted("L", right)
        assert all((layer.bias is not None) is right for layer in layers(model.decoder, nn.Linear))
        healthy = state(WARD.vae())
        assert same(state(model), {name: v for name, v in healthy.items() if right or not _decoders_bias(name)})
        shapes = [(m.in_features, m.out_features) for m in layers(model.decoder, nn.Linear)]
        assert shapes == [(2, 12), (12, 16), (16, 64)]
        if not right:
            assert torch.equal(model.decode(torch.zeros(1, 2)).mean, torch.zeros(1, 1, 8, 8))


def test_convolutions_lose_theirs_too(monkeypatch):
    monkeypatch.setattr(patients, "fit", lambda *_, **__: None)
    small = Ward(FEW, lambda likelihood: conv_vae((1, 16, 16), 2, width=4, likelihood=likelihood), steps=1)
    for line, left in ((PATIENTS["L"].wrong, False), (PATIENTS["L"].right, True)):
        model = PATIENTS["L"].train(small, line).model
        found = layers(model.decoder, nn.Linear | nn.Conv2d)
        assert len(layers(model.decoder, nn.Conv2d)) > 0 and all((layer.bias is not None) is left for layer in found)


# --- H, I, J: how they are trained ----------------------------------------------------------------------------------


def test_a_critic_is_told_what_is_real_and_what_is_made():
    real, made = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 3.0]])
    right = -(torch.sigmoid(real).log().mean() + torch.sigmoid(-made).log().mean())
    assert torch.allclose(patients.real_and_made(real, made), right)
    wrong = -(torch.sigmoid(real).log().mean() + torch.sigmoid(made).log().mean())
    assert torch.allclose(patients.both_real(real, made), wrong)


def test_the_share_of_right_answers_is_a_mean_over_places_and_both_kinds(admitted):
    pair, _, settings = admitted("H", True)
    critic, vae = settings["phases"]
    assert (critic.name, critic.trains, vae.name, vae.trains) == ("critic", "critic", "vae", "vae")
    assert critic.learning_rate == 1e-3 and critic.betas == (0.5, 0.99) and vae.learning_rate is None

    class Reads(nn.Module):
        """Positive where the picture is the real one, at three places of four; negative for made ones everywhere."""

        def forward(self, x):
            real = (x[:, :, None] == self.real[:, :, None]).flatten(1).all(1)
            return torch.where(real[:, None], torch.tensor([1.0, 1, 1, -1]), -torch.ones(4)).unflatten(1, (1, 2, 2))

    x = prepared(pair.vae)
    pair.critic = Reads()
    pair.critic.real = x
    parts = critic.objective(pair, x)
    assert math.isclose(parts["right"].item(), (0.75 + 1) / 2)
    softplus = torch.nn.functional.softplus
    expected = 0.75 * softplus(torch.tensor(-1.0)) + 0.25 * softplus(torch.tensor(1.0)) + softplus(torch.tensor(-1.0))
    assert torch.allclose(parts["loss"], expected)


def test_the_critic_teaches_the_vae_and_its_loss_does_not_reach_it(admitted):
    pair, _, settings = admitted("H", False)
    x = prepared(pair.vae)
    critic, vae = settings["phases"]
    critic.objective(pair, x)["loss"].backward()
    assert all(p.grad is None for p in pair.vae.parameters()) and any(
        p.grad is not None for p in pair.critic.parameters()
    )
    parts = vae.objective(pair, x)
    assert {"distortion", "kl"} <= set(parts)


def test_a_split_shares_pictures_or_not(admitted):
    (_, leaked, settings), (_, seen, others) = admitted("I", False), admitted("I", True)
    rows = [{image.numpy().tobytes() for image in images} for images in (leaked, settings["validation"], seen)]
    everything = {image.numpy().tobytes() for image in torch.cat([FEW.train.images, FEW.validation.images])}
    assert len(everything) == 136  # no two of these digits are the same
    assert len(leaked) == 136 and rows[0] == everything and rows[1] < rows[0] and len(rows[1]) == 40
    assert len(seen) == 96 and not rows[2] & rows[1] and rows[2] | rows[1] == everything
    assert torch.equal(settings["validation"], others["validation"])
    assert rows[1] != {image.numpy().tobytes() for image in FEW.validation.images}  # drawn from both


def test_a_learning_rate_is_multiplied_or_not():
    assert patients.times_pictures(1e-3, 8, 4) == 32e-3 and patients.as_it_is(1e-3, 8, 4) == 1e-3


# --- the ward -------------------------------------------------------------------------------------------------------


def test_a_ward_builds_the_same_model_each_time():
    first = WARD.vae()
    torch.rand(3)
    assert same(state(first), state(WARD.vae()))
    assert isinstance(first.likelihood, GaussianLikelihood) and first.likelihood.levels == 17
    assert math.isclose(first.likelihood.sigma.item(), 0.1, rel_tol=1e-5) and first.likelihood.sigma.requires_grad
    assert not same(state(first), state(Ward(FEW, WARD.build, 3, seed=1).vae()))
    assert isinstance(WARD.vae(BernoulliLikelihood()).likelihood, BernoulliLikelihood)


def test_a_training_that_broke_off_has_no_history(monkeypatch):
    def diverge(*_, **__):
        raise TrainingDiverged("gone")

    monkeypatch.setattr(patients, "fit", diverge)
    treated = PATIENTS["D"].train(WARD)
    assert treated.history is None and isinstance(treated.model, VAE) and torch.equal(treated.seen, FEW.train.images)


def test_validation_during_training_is_on_five_hundred_at_most(monkeypatch):
    seen = {}
    monkeypatch.setattr(patients, "fit", lambda model, images, **settings: seen.update(settings))
    many = torch.zeros(600, 1, 8, 8, dtype=torch.uint8)
    treated = WARD.treated(WARD.vae(), many, many, steps=7)
    assert len(seen["validation"]) == 500 and seen["steps"] == 7 and seen["batch_size"] == 32
    assert len(treated.held_out) == len(treated.seen) == 600
