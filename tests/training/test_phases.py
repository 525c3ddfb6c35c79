"""Several objectives that take turns: each trains its part and nothing else."""

import copy
import math

import pytest
import torch
from torch import nn

from vae_helpers.training import Phase, TrainingDiverged, fit, weight_average

DATA = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))


class Two(nn.Module):
    """A generator and a critic, each a linear map."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.critic = nn.Linear(3, 3), nn.Linear(3, 1)


def fool(model, x):
    """The generator's loss: its gradient passes through the critic."""
    return {"loss": -model.critic(model.generator(x)).squeeze(-1), "size": model.generator(x).square().sum(-1)}


def judge(model, x):
    """The critic's loss, with the detach forgotten."""
    return {"loss": model.critic(model.generator(x)).squeeze(-1) + model.critic(x).square().squeeze(-1)}


def phases(**critic):
    return [
        Phase("generator", fool, "generator"),
        Phase("critic", judge, trains="critic", **({"learning_rate": 4e-3, "betas": (0.5, 0.9)} | critic)),
    ]


def train(model, phases, steps=10, **settings):
    return fit(model, DATA, steps=steps, batch_size=16, phases=phases, progress=False, **settings)


def test_it_trains_as_two_optimisers_by_hand_with_the_detach_in_its_place():
    engine, hand = Two(), Two()
    train(engine, phases(), learning_rate=1e-3, seed=4)
    adams = {
        "generator": torch.optim.Adam(hand.generator.parameters(), lr=1e-3),
        "critic": torch.optim.Adam(hand.critic.parameters(), lr=4e-3, betas=(0.5, 0.9)),
    }
    order = torch.cat([torch.randperm(64, generator=torch.Generator().manual_seed(4_000_012 + e)) for e in range(6)])
    for step in range(10):
        share = 1.0 if step == 0 else 0.5 * (1 + math.cos(math.pi * (step - 1) / 9))  # a warm-up of one step
        for k, (name, base) in enumerate((("generator", 1e-3), ("critic", 4e-3))):
            x = DATA[order[(2 * step + k) * 16 : (2 * step + k + 1) * 16]]
            if name == "generator":
                loss = -hand.critic(hand.generator(x)).mean()
            else:
                loss = (hand.critic(hand.generator(x).detach()) + hand.critic(x).square()).mean()
            hand.zero_grad()
            loss.backward()
            adams[name].param_groups[0]["lr"] = base * share
            adams[name].step()
    for mine, theirs in zip(engine.parameters(), hand.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_a_missing_detach_reaches_no_other_network():
    model = Two()
    before = copy.deepcopy(model)
    train(model, [Phase("critic", judge, "critic")])
    assert all(
        torch.equal(a, b) for a, b in zip(model.generator.parameters(), before.generator.parameters(), strict=True)
    )
    assert not torch.equal(model.critic.weight, before.critic.weight)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_what_the_caller_froze_stays_frozen():
    model = Two()
    model.generator.bias.requires_grad_(False)
    before = model.generator.bias.clone()
    train(model, phases())
    assert torch.equal(model.generator.bias, before)
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["generator.bias"]


def test_parts_have_their_phases_name_and_validation_has_them_too():
    history = train(Two(), phases(), validation=DATA[:20])
    names = {"generator.loss", "generator.size", "generator.grad_norm", "critic.loss", "critic.grad_norm"}
    assert set(history.train) == names and set(history.validation) == names - {
        "generator.grad_norm",
        "critic.grad_norm",
    }
    assert "generator.loss" in repr(history) and "critic.loss" in repr(history)
    assert all(len(values) == len(history.step) for values in history.train.values())


def test_rhythm_and_start():
    calls = []

    def noting(name, objective):
        def noted(model, x):
            calls.append(name)
            return objective(model, x)

        return noted

    turns = [
        Phase("generator", noting("g", fool), "generator", start=2),
        Phase("critic", noting("c", judge), "critic", updates=3),
    ]
    history = train(Two(), turns, steps=4)
    assert "".join(calls) == "ccc" + "ccc" + "gccc" + "gccc"
    size = history.train["generator.size"]
    assert len(size) == 4 and all(map(lambda v: v != v, size[:2])) and all(v == v for v in size[2:])  # NaN until then


def test_a_phase_may_train_several_parts():
    model = Two()
    before = copy.deepcopy(model)
    train(model, [Phase("both", judge, ("generator", "critic"))])
    assert not torch.equal(model.generator.weight, before.generator.weight)
    assert not torch.equal(model.critic.weight, before.critic.weight)


def test_the_first_batch_of_each_phase_is_checked_and_the_average_follows_once_a_step():
    model, seen = Two(), []
    average = weight_average(model)

    def noting(model, x):
        seen.append(torch.distributions.Distribution._validate_args)
        return fool(model, x)

    train(model, [Phase(name, noting, "generator", updates=2) for name in "ab"], steps=2, average=average)
    assert seen == [True] * 4 + [False] * 4 and average.n_averaged == 2


def test_each_phase_has_weights_of_its_own():
    seen = []

    def weighted(model, x, strength):
        seen.append(strength)
        return fool(model, x)

    turns = [Phase("generator", weighted, "generator", weights=lambda step: {"strength": step / 2}), phases()[1]]
    train(Two(), turns, steps=3)
    assert seen == [0, 0.5, 1.0]


def test_divergence_names_the_phase():
    def spoilt(model, x):
        return {"loss": judge(model, x)["loss"] * float("nan")}

    model = Two()
    with pytest.raises(TrainingDiverged, match=r"step 1 of 10: critic.loss = nan"):
        train(model, [phases()[0], Phase("critic", spoilt, "critic")])
    assert all(torch.isfinite(p).all() and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([], "phases must be a list of Phase"),
        ([fool], "phases must be a list of Phase"),
        ([Phase("a", fool), Phase("a", judge)], "names that differ"),
        ([Phase("", fool)], "names that differ"),
        ([Phase("a.b", fool)], "names that differ"),
        ([Phase("a", "fool")], "objective must be a function, not 'fool'"),
        ([Phase("a", fool, weights={"beta": 1.0})], "weights must be a function"),
        ([Phase("a", fool, "critics")], "no submodule 'critics' to train; it has: generator, critic"),
        ([Phase("a", fool, updates=0)], "updates must be a whole number"),
        ([Phase("a", fool, start=-1)], "start must be a whole number"),
        ([Phase("a", fool, learning_rate=0.0)], "learning_rate must be a positive number"),
        ([Phase("a", fool, learning_rate=3e38)], "learning_rate must be at most 1e.30"),
        ([Phase("a", fool, betas=(0.9, 1.0))], "betas must be two numbers"),
    ],
)
def test_bad_phases_are_named(turns, words):
    with pytest.raises((TypeError, ValueError), match=words):
        train(Two(), turns)


def test_phases_and_an_objective_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        train(Two(), phases(), objective=fool)
    with pytest.raises(ValueError, match="not both"):
        train(Two(), phases(), weights=lambda step: {})
    frozen = Two()
    frozen.critic.requires_grad_(False)
    with pytest.raises(ValueError, match="critic has no parameter that requires a gradient"):
        train(frozen, phases())


@pytest.mark.parametrize(
    "value",
    [None, torch.zeros(3), {"total": torch.zeros(3)}, {"loss": 1.0}, {"loss": torch.zeros((), dtype=torch.cfloat)}],
)
def test_an_objective_that_returns_something_else_is_told_what_to_return(value):
    with pytest.raises(TypeError, match='dictionary of tensors with the key "loss"'):
        fit(Two(), DATA, steps=1, objective=lambda model, x: value, progress=False)
