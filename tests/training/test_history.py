"""Records are matched by name, per image or scalar, and are means over what was computed."""

import math

import pytest
import torch
from torch import nn

from vae_helpers.training import History, fit, progress, steps, surroundings
from vae_helpers.training.history import Pending
from vae_helpers.training.progress import ProgressBar
from vae_helpers.training.surroundings import Clock

DATA = torch.arange(1.0, 11.0)[:, None]


def train(objective, **settings):
    settings = {"steps": 4, "batch_size": 10, "progress": False} | settings
    return fit(nn.Linear(1, 1), DATA, objective=objective, **settings)


def test_scalar_parts_are_recorded_alike_in_training_and_validation():
    def objective(model, x):
        loss = (model(x) * 0).sum(-1)
        return {"loss": loss, "each": x.sum(-1), "scalar": x.mean()}

    history = train(objective, validation=torch.cat([DATA] * 70))  # 700 rows: batches of 500 and 200
    for records in (history.train, history.validation):
        assert math.isclose(records["each"][-1], 5.5, rel_tol=1e-5)
        assert math.isclose(records["scalar"][-1], 5.5, rel_tol=1e-5)


def test_parts_are_matched_by_name_whatever_their_order():
    calls = []

    def objective(model, x):
        calls.append(0)
        loss = (model(x) * 0).sum(-1)
        one, two = torch.full((len(x),), 1.0), torch.full((len(x),), 2.0)
        return {"one": one, "loss": loss, "two": two} if len(calls) % 2 else {"two": two, "one": one, "loss": loss}

    history = train(objective, steps=400)  # a record for every two steps
    assert set(history.train["one"]) == {1.0} and set(history.train["two"]) == {2.0}


def test_a_part_that_appears_later_is_nan_until_then_and_its_record_a_mean_over_the_steps_that_have_it():
    calls = []

    def objective(model, x):
        calls.append(0)
        parts = {"loss": (model(x) * 0).sum(-1)}
        return parts if len(calls) <= 201 else parts | {"late": x.mean() * 0 + 3}

    history = train(objective, steps=400)
    assert all(map(math.isnan, history.train["late"][:100])) and set(history.train["late"][100:]) == {3.0}
    assert len(history.train["late"]) == len(history.step) == 200


def test_means_over_updates_with_different_parts():
    pending = Pending()
    pending.add(1, ("a", "b"), torch.tensor([1.0, 10.0]))
    pending.add(2, ("b",), torch.tensor([20.0]))
    pending.add(3, ("b", "a"), torch.tensor([30.0, 3.0]))
    pending.add(4, ("b", "a"), torch.tensor([40.0, 8.0]))
    assert pending.take_means() == {"a": 4.0, "b": 25.0} and not pending


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_update_that_is_not_finite_is_found(bad):
    pending = Pending()
    for step in (1, 2, 3):
        pending.add(step, ("loss", "kl"), torch.tensor([1.0, bad if step > 1 else 2.0]))
    step, values = pending.first_not_finite()
    assert step == 2 and list(values) == ["loss", "kl"] and values["loss"] == 1.0
    pending.rows = pending.rows[:1]
    assert pending.first_not_finite() is None


def test_records_that_lack_a_name_are_nan():
    history = History()
    history.add(10, {"loss": 1.0})
    history.add(20, {"kl": 2.0})
    assert history.train["loss"][0] == 1.0 and math.isnan(history.train["loss"][1])
    assert math.isnan(history.train["kl"][0]) and history.train["kl"][1] == 2.0


def test_numbers_that_are_finite_are_no_divergence_even_where_their_sum_overflows():
    pending = Pending()
    pending.add(1, ("loss", "kl"), torch.full((2,), 1.5e308, dtype=torch.float64))
    assert pending.first_not_finite() is None


def test_a_history_shows_its_losses_and_why_it_ended():
    history = History(step=[1, 2, 3], seconds=2.0, stopped="stopped by hand after step 3 of 9")
    history.train = {"loss": [3.0, 2.0, 1.0], "kl_loss": [7.0, 7.0, 7.0]}
    history.add_validation(3, {"loss": 4.0})
    assert history.validation == {"loss": [4.0]}
    expected = "History: 3 steps in 2.0 s, train loss 1.00, validation loss 4.00 (stopped by hand after step 3 of 9)"
    assert repr(history) == expected


def test_the_gradients_norm_is_that_of_all_weights_together():
    model = nn.Linear(1, 1)
    history = fit(model, DATA, steps=1, batch_size=10, objective=lambda m, x: {"loss": m(x).squeeze(1)}, progress=False)
    assert math.isclose(history.train["grad_norm"][0], math.hypot(5.5, 1.0), rel_tol=1e-5)  # mean of x, and 1


def test_the_bar_begins_where_the_run_goes_on_and_shows_losses_of_both_kinds():
    history = History(train={"loss": [3.0, 1.0], "grad_norm": [5.0, 5.0]}, validation={"loss": [2.0], "kl": [9.0]})
    with ProgressBar(10, 4, wanted=True) as shown:
        assert shown.bar.n == 4
        shown.update_to(6, history)
        assert shown.bar.n == 6 and shown.bar.postfix == "loss=1.00, validation=2.00"


def test_the_seconds_of_a_resumed_run_are_those_of_all_sessions():
    history = History(seconds=5.0)
    Clock(history).read()
    assert 5.0 < history.seconds < 6.0
    assert train(lambda model, x: {"loss": model(x).squeeze(1)}).seconds > 0


def test_a_loop_of_ones_own_counts_its_steps_with_the_same_bar_and_care_for_threads(capfd, monkeypatch):
    looks, clock = [], {"now": 0.0}
    for module in (progress, surroundings):
        monkeypatch.setattr(module, "adapt_threads", lambda: looks.append(clock["now"]))
    monkeypatch.setattr(surroundings.time, "perf_counter", lambda: clock["now"])
    counted = []
    for step in steps(70):
        counted.append(step)
        clock["now"] += 0.1 if step < 40 else 1.0  # after forty steps something else takes the core
    assert counted == list(range(70))
    assert looks == [0.0, pytest.approx(24.0)]
    assert "/70" in capfd.readouterr().err
    monkeypatch.setenv("VAE_HELPERS_STATIC", "1")
    assert list(steps(30)) == list(range(30))
    assert capfd.readouterr() == ("", "")
    assert list(steps(3, progress=False)) == [0, 1, 2]


@pytest.mark.parametrize("number", [0, 2.5, "3", None])
def test_a_loop_of_ones_own_says_at_once_what_is_wrong_with_its_number(number):
    with pytest.raises((TypeError, ValueError), match="number must be"):
        steps(number)
