"""A model is left as it was: modes, running statistics, torch's switches; and a running average of its weights."""

import threading

import pytest
import torch
from torch import nn
from torch.distributions import Distribution

from vae_helpers import evaluate, log_likelihood
from vae_helpers.distributions import GreyBernoulliLikelihood, validate_first_batch
from vae_helpers.evaluation import active_units, aggregate_posterior, kl_decomposition
from vae_helpers.images import to_float
from vae_helpers.inference import infer_code
from vae_helpers.models import VAE, mlp_vae
from vae_helpers.training import TrainingDiverged, fit, weight_average

IMAGES = torch.randint(0, 256, (64, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def with_batch_norm():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, 4))
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Unflatten(-1, (1, 4, 4)))
    return VAE(encoder, decoder, GreyBernoulliLikelihood(), 2)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def reconstruction(model, images):
    return model.reconstruct(to_float(images)).sum().item()


def drawn(model, images):
    torch.manual_seed(0)
    return model.sample(5).sum().item(), model.sample_means(5).sum().item()


def inferred(model, images):
    return infer_code(model, [to_float(images)], [torch.ones(1, 1, 4, 4)], steps=3).mean.sum().item()


MEASURES = [evaluate, log_likelihood, active_units, aggregate_posterior, kl_decomposition]


@pytest.mark.parametrize("measure", [*MEASURES, reconstruction, drawn, inferred])
def test_an_evaluation_changes_no_model_and_does_not_depend_on_its_mode(measure):
    model = with_batch_norm()
    fit(model, IMAGES, steps=20, batch_size=16, progress=False)
    before, found = state(model), []
    for mode in (True, False):
        model.train(mode)
        found.append(str(measure(model, IMAGES)))
        assert same(before, state(model)) and all(module.training == mode for module in model.modules())
    assert found[0] == found[1]


def test_each_submodule_is_left_in_the_mode_it_came_in():
    model = with_batch_norm().train()
    model.encoder.eval()
    fit(model, IMAGES, steps=2, batch_size=16, validation=IMAGES, callback=lambda *_: None, progress=False)
    assert model.training and model.decoder.training and not any(m.training for m in model.encoder.modules())
    evaluate(model, IMAGES)
    assert model.training and model.decoder.training and not any(m.training for m in model.encoder.modules())


def test_after_divergence_the_running_statistics_are_the_last_finite_ones():
    model, seen = with_batch_norm(), []

    def overflowing(model, x):
        seen.append(state(model))
        scale = 1e38 if len(seen) == 5 else 1.0  # squares overflow in the variance of batch normalisation
        return {"loss": model.encode(x * scale).mean.square().sum(-1)}

    with pytest.raises(TrainingDiverged, match="keeps its last finite weights"):
        fit(model, IMAGES, steps=10, batch_size=16, objective=overflowing, progress=False)
    assert same(
        {k: v for k, v in state(model).items() if "num_batches" not in k},
        {k: v for k, v in seen[-1].items() if "num_batches" not in k},
    )


def test_buffers_that_a_model_replaces_or_counts_with_go_back_too():
    class Running(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.calls = nn.Linear(16, 1), 0
            self.register_buffer("mean", torch.zeros(16))
            self.register_buffer("count", torch.tensor(0))

        def forward(self, x):
            self.calls += 1
            x = x.flatten(1) * (float("nan") if self.calls == 4 else 1.0)
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.count += 1
            return self.layer(x)

    model = Running()
    with pytest.raises(TrainingDiverged, match="step 4"):
        fit(model, IMAGES, steps=9, objective=lambda m, x: {"loss": m(x).square().sum(1)}, progress=False)
    assert torch.isfinite(model.mean).all() and model.mean.any() and model.count == 3


def test_a_frozen_judge_in_eval_mode_keeps_its_running_statistics():
    torch.manual_seed(0)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8)).requires_grad_(False).eval()
    model = nn.ModuleDict({"judge": judge, "mine": nn.Sequential(nn.Linear(8, 1), nn.Dropout())}).eval()
    before, modes = state(judge), []

    def objective(model, x):
        modes.append((model["judge"][2].training, model["mine"].training))
        return {"loss": model["mine"](model["judge"](x)).square().sum(1)}

    fit(model, IMAGES, steps=3, objective=objective, progress=False)
    assert same(before, state(judge)) and set(modes) == {(False, True)}


def test_fits_that_overlap_in_threads_leave_torchs_checks_as_they_were():
    first_is_in, second_is_in, first_has_left = (threading.Event() for _ in range(3))
    seen = {}

    def first(model, x):
        seen["first"] = seen.get("first", 0) + 1
        if seen["first"] == 2:  # past its own first batch
            first_is_in.set()
            assert second_is_in.wait(20)
        return {"loss": model(x.flatten(1)).square().sum(-1)}

    def second(model, x):
        second_is_in.set()
        seen.setdefault("second", Distribution._validate_args)
        assert first_has_left.wait(20)
        return {"loss": model(x.flatten(1)).square().sum(-1)}

    def run(objective):
        fit(nn.Linear(16, 1), IMAGES, steps=2, batch_size=8, objective=objective, progress=False)

    threads = [threading.Thread(target=run, args=(objective,)) for objective in (first, second)]
    threads[0].start()
    assert first_is_in.wait(20)
    threads[1].start()
    threads[0].join(20)
    first_has_left.set()
    threads[1].join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert Distribution._validate_args and seen == {"first": 2, "second": True}


def test_a_block_inside_another_leaves_the_others_first_batch_alone():
    with validate_first_batch() as enough:
        with validate_first_batch() as enough_inside:
            enough_inside()
            assert not Distribution._validate_args
        assert Distribution._validate_args
        enough()
        with validate_first_batch():
            assert not Distribution._validate_args
    assert Distribution._validate_args


def test_the_first_batch_is_checked_also_after_an_evaluation_by_the_callback():
    model, seen = with_batch_norm(), []

    def objective(model, x):
        seen.append(Distribution._validate_args)
        return {"loss": -model.elbo(x).elbo}

    fit(model, IMAGES, steps=2, batch_size=8, objective=objective, callback=lambda *_: evaluate(model, IMAGES))
    assert seen == [True, False]


def test_checks_that_the_user_has_switched_off_stay_off():
    Distribution.set_default_validate_args(False)
    try:
        with validate_first_batch() as enough:
            assert not Distribution._validate_args
            enough()
        assert not Distribution._validate_args
    finally:
        Distribution.set_default_validate_args(True)


def test_the_average_follows_the_weights_and_can_be_evaluated():
    torch.manual_seed(0)
    model = mlp_vae((1, 4, 4), 2, (8,), GreyBernoulliLikelihood())
    average, weights = weight_average(model, decay=0.9), []

    def note(step, model):
        weights.append(nn.utils.parameters_to_vector(model.parameters()))

    fit(model, IMAGES, steps=12, average=average, callback=note, callback_every=1, progress=False)
    expected = weights[1]  # after the first step
    for w in weights[2:]:
        expected = 0.9 * expected + 0.1 * w
    found = nn.utils.parameters_to_vector(average.module.parameters())
    assert torch.allclose(found, expected, atol=1e-6) and not torch.allclose(found, weights[-1], atol=1e-4)
    assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), weights[-1])
    assert evaluate(average.module, IMAGES)["elbo"] != evaluate(model, IMAGES)["elbo"]


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9", float("nan")])
def test_a_decay_out_of_its_range_is_named(decay):
    with pytest.raises(ValueError, match="decay must be"):
        weight_average(nn.Linear(1, 1), decay)


def test_an_average_of_another_model_is_refused():
    with pytest.raises(ValueError, match="average must be made of this model"):
        fit(nn.Linear(16, 1), IMAGES, steps=1, average=weight_average(nn.Linear(16, 2)))


def test_an_average_copies_whole_numbers_and_averages_running_statistics():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 1))
    model.register_buffer("order", torch.arange(100))
    model.register_buffer("known", torch.tensor([True, False]))
    average, means = weight_average(model, decay=0.9), []

    def objective(model, x):
        return {"loss": model(x).square().sum(1)}

    def note(step, model):
        means.append(model[1].running_mean.clone())

    fit(
        model,
        IMAGES,
        steps=12,
        batch_size=16,
        objective=objective,
        average=average,
        callback=note,
        callback_every=1,
        progress=False,
    )
    expected = means[1]
    for mean in means[2:]:
        expected = 0.9 * expected + 0.1 * mean
    assert torch.allclose(average.module[1].running_mean, expected, atol=1e-6)
    assert average.module[1].num_batches_tracked == model[1].num_batches_tracked == 12
    assert torch.equal(average.module.order, torch.arange(100)) and torch.equal(average.module.known, model.known)
