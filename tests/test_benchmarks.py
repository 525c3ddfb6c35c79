"""The benchmarks: they take turns, throw disturbed samples away and compute honest ratios, and their peers learn."""

import math

import pytest
import torch

from benchmarks import __main__ as page
from benchmarks import digits_likelihood, measuring, mlp_epoch, peers
from benchmarks.measuring import MachineBusy, Timing, in_turns, ratio
from vae_helpers import evaluate, mlp_vae, seed_everything, to_float


@pytest.fixture
def clock(monkeypatch):
    """CPU seconds that others take at each call of a work, to be set by the test."""
    state = {"others": 0.0}
    monkeypatch.setattr(measuring, "cpu_seconds_of_others", lambda: state["others"])
    return state


def test_works_take_turns(clock):
    seen = []
    times = in_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=3)
    assert seen == ["a", "b"] * 3
    assert all(len(timing.rounds) == 3 for timing in times.values())


def test_what_is_shared_with_other_work_is_measured_in_cpu_seconds(clock):
    def work():
        clock["others"] += 9.0
        start = measuring.time.process_time()
        while measuring.time.process_time() - start < 0.05:
            pass
        measuring.time.sleep(0.1)

    timing = in_turns({"work": work}, rounds=2, shared=True)["work"]
    assert len(timing.rounds) == 2 and min(timing.rounds) > 0.15
    assert all(0.05 <= seconds < 0.12 for seconds in timing.cpu.rounds)


def test_a_sample_beside_other_work_is_taken_again(clock):
    left = [5.0, 0.0, 0.0]

    def work():
        clock["others"] += left.pop(0)
        return 1.0 + len(left)

    assert in_turns({"work": work}, rounds=2)["work"].rounds == (2.0, 1.0)  # the first, 3.0, was disturbed


def test_a_machine_that_stays_busy_is_an_error_that_says_so(clock):
    def work():
        clock["others"] += 1

    with pytest.raises(MachineBusy, match=r"'work'.*4 times.*Close them"):
        in_turns({"work": work}, rounds=1, patience=3)


def test_others_are_all_but_this_process_and_its_children(monkeypatch):
    stat = "cpu  100 20 50 9000 300 1 2 10 0 0\ncpu0 1 2 3\n"  # user nice system idle iowait irq softirq steal
    monkeypatch.setattr(measuring.Path, "read_text", lambda self: stat)
    monkeypatch.setattr(measuring.os, "sysconf", lambda name: 100)
    monkeypatch.setattr(measuring.os, "times", lambda: (0.5, 0.2, 0.1, 0.03, 77.0))
    assert measuring.cpu_seconds_of_others() == pytest.approx(1.83 - 0.83)


def test_where_nothing_tells_what_others_take_nothing_is_thrown_away(monkeypatch):
    def missing(self):
        raise FileNotFoundError

    monkeypatch.setattr(measuring.Path, "read_text", missing)
    assert measuring.cpu_seconds_of_others() is None
    assert len(in_turns({"work": lambda: 1.0}, rounds=2)["work"].rounds) == 2


def test_ratios_are_taken_round_by_round():
    assert ratio(Timing((2.0, 4.0, 9.0)), Timing((1.0, 1.0, 3.0))) == "3.00 (2.00 to 4.00)"


def test_a_section_replaces_its_like_and_nothing_else():
    before = "# Page\n\n## One\n\nold\n\n## Two\n\nkept\n"
    assert page.with_section(before, "One", "new") == "# Page\n\n## One\n\nnew\n\n## Two\n\nkept\n"
    assert page.with_section(before, "Three", "more").endswith("## Two\n\nkept\n\n## Three\n\nmore\n")
    twice = page.with_section(page.with_section(before, "Two", "x"), "Two", "x")
    assert twice == "# Page\n\n## One\n\nold\n\n## Two\n\nx\n"


def images(n=600):
    torch.manual_seed(0)
    rows = torch.arange(28)[:, None] < torch.randint(5, 23, (n, 1, 1))
    return (255 * rows[:, None].expand(n, 1, 28, 28)).byte().contiguous()


def test_the_peer_loop_learns_and_its_elbo_is_that_of_its_own_loss():
    seed_everything(0)
    model, stored = peers.ExamplesVAE(), images()
    before = evaluate(model, stored)["elbo"].mean
    seconds = peers.examples_loop(model, model.loss, stored, lambda epochs, _: epochs == 3)
    after = evaluate(model, stored)["elbo"].mean
    assert seconds > 0 and after > before + 200
    torch.manual_seed(0)
    with torch.no_grad():
        own = torch.stack([-model.loss(stored.float() / 255) / len(stored) for _ in range(20)])
    assert own.mean().item() == pytest.approx(after, abs=1.0)


def test_the_pil_images_are_the_stored_ones_and_binary_ones_are_drawn():
    stored = images(5)
    stored[0, 0, 0, 0] = 51
    served = peers.PilImages(stored)
    assert len(served) == 5 and torch.equal(torch.stack([served[i] for i in range(5)]), stored.float() / 255)
    drawn = torch.stack([peers.PilImages(stored, binary=True)[0] for _ in range(200)])[:, 0, 0, 0]
    assert set(drawn.tolist()) == {0.0, 1.0} and 0.1 < drawn.mean() < 0.3


def test_the_bare_and_the_plainest_loop_do_what_fit_does():
    stored = images()
    found = {}
    for kind in ("fit", "bare", "plain"):
        seed_everything(0)
        model = mlp_vae((1, 28, 28), 20, (400,), mlp_epoch.GreyBernoulliLikelihood())
        if kind == "fit":
            mlp_epoch.fit(model, stored, steps=40, progress=False, **mlp_epoch.SAME)
        elif kind == "bare":
            mlp_epoch.bare_loop(model, stored, 40)
        else:
            mlp_epoch.plain_loop(model, to_float(stored).flatten(1), 40)
        found[kind] = evaluate(model, stored)["elbo"].mean
    assert found["bare"] == pytest.approx(found["fit"], rel=0.15)
    assert found["plain"] > 1.15 * found["fit"]  # without a warm-up it is ahead after 40 steps
    assert torch.distributions.Distribution._validate_args


def test_a_mixture_of_categoricals_knows_two_kinds_of_pictures_and_independent_pixels_do_not():
    torch.manual_seed(0)
    kinds = 255 * (torch.rand(1, 1, 8, 8) < 0.5).byte()
    pictures = torch.cat([kinds, 255 - kinds]).repeat(50, 1, 1, 1)
    alone, together = (digits_likelihood.mixture_of_categoricals(pictures, k, 1e-6)(pictures) for k in (1, 2))
    assert together.shape == (100,) and torch.allclose(together, torch.tensor(math.log(2)), atol=1e-3)
    assert torch.allclose(alone, torch.tensor(64 * math.log(2)), atol=1e-2)
    smooth = digits_likelihood.mixture_of_categoricals(pictures, 1, 1.0)(pictures[:1])
    assert smooth.item() == pytest.approx(-64 * math.log(51 / 117), rel=1e-5)


def test_the_density_of_dequantised_digits_bounds_their_probability():
    """Of pixels that are uniform on all levels and independent, the best bound is 64 log 17; no density is better."""
    torch.manual_seed(0)
    levels = torch.randint(0, 17, (2000, 1, 8, 8))
    pictures = (levels * 255 / 16).round().byte()
    costs = digits_likelihood.dequantised_ppca(pictures, 5, draws=2)(pictures)
    uniform = 64 * math.log(17)
    assert costs.shape == (2000,) and uniform < costs.mean() < uniform + 64 * 0.5 * math.log(2 * math.pi * math.e / 12)


def test_what_is_chosen_is_the_best_on_validation_digits():
    best = digits_likelihood.chosen(lambda a, b: lambda x: x + (a - 2) ** 2 + b, torch.zeros(3), (1, 2, 3), (0, 1))
    assert torch.equal(best(torch.zeros(3)), torch.zeros(3))
