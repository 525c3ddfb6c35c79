"""The benchmarks: they take turns, throw disturbed samples away and compute honest ratios, and their peers learn."""

import copy
import functools
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks import __main__ as page
from benchmarks import (
    clinic,
    denoising,
    digits_likelihood,
    latent_diffusion,
    measuring,
    mlp_epoch,
    peers,
    portrait_vae,
    sharper_images,
)
from benchmarks import scenes as scene_benchmark
from benchmarks.measuring import MachineBusy, Timing, in_turns, ratio
from vae_helpers import (
    Flow,
    ProbabilisticPCA,
    conv_vae,
    evaluate,
    feature_nats,
    mlp_vae,
    psnr,
    seed_everything,
    to_float,
)
from vae_helpers.models.scenes import Apart, compose
from vae_helpers.objectives import negative_elbo
from vae_helpers.rendering import captions, faces, scenes


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


# --- sharper images ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """A small VAE, and two steps in place of a trial and many; portraits with their factors."""
    monkeypatch.setattr(sharper_images, "new_vae", lambda: conv_vae((3, 32, 32), 4, 4, hidden=8))
    monkeypatch.setattr(sharper_images, "steps_in", lambda seconds, train: 2)
    factors = faces.sample(40, 4711)
    return faces.render(factors, 32), factors


def state(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_every_row_goes_on_from_a_model_and_leaves_it_as_it_was(tiny, monkeypatch):
    stored, factors = tiny
    monkeypatch.setattr(sharper_images, "with_critic", functools.partial(sharper_images.with_critic, alone=1))
    found, before = {}, {}
    for name, model in sharper_images.rows(stored, 2, 0.1, seed=0):
        assert all(torch.equal(state(found[other]), weights) for other, weights in before.items()), name
        found[name], before[name] = model, state(model).clone()
    assert len({weights.numpy().tobytes() for weights in before.values()}) == len(found) == 13  # all differ
    assert all(torch.isfinite(weights).all() for weights in before.values())
    scores = sharper_images.scores(found["pixels for as long"], stored, stored, factors)
    assert len(scores) == len(sharper_images.COLUMNS) == 8 and all(map(math.isfinite, scores))
    again = dict(sharper_images.rows(stored, 2, 0.1, seed=0))
    assert torch.equal(state(again["the start"]), before["the start"])


def test_rows_of_portraits_are_judged_beside_the_truth_and_somebody_elses(monkeypatch):
    factors = faces.sample(60, 4711)
    half = SimpleNamespace(images=faces.render(factors[:30], 32), factors=factors[:30])
    other = SimpleNamespace(images=faces.render(factors[30:], 32), factors=factors[30:])
    monkeypatch.setattr(portrait_vae, "load", lambda name, size: SimpleNamespace(train=half, validation=other))
    monkeypatch.setattr(portrait_vae, "small_vae", lambda size: conv_vae((3, size, size), 4, 4, hidden=8))
    found = list(portrait_vae.rows([32], [2, 3], seeds=2, shipped=False))
    names = [name for name, _ in found]
    assert names[2:] == ["small, 32 x 32, 2 steps", "small, 32 x 32, 3 steps"] * 2
    assert all(len(columns) == len(portrait_vae.COLUMNS) for _, columns in found)
    truth, strangers, brief = (columns[2:-1] for _, columns in found[:3])
    assert min(truth) > 0.8 > max(strangers) and sum(truth) > sum(brief)
    assert all(map(math.isfinite, found[2][1])) and found[2][1] != found[4][1]  # a seed is another training
    assert [portrait_vae.told(values) for values in ((math.nan, math.nan), (1.0, 3.0))] == ["–", "2.00 ± 1.41"]


def test_the_sweep_names_when_the_critic_starts_and_leaves_the_vae_alone_until_then(tiny, monkeypatch):
    stored, _ = tiny
    monkeypatch.setattr(sharper_images, "CRITIC_ALONE", 1)
    found = dict(sharper_images.sweep(stored, 10, 0.1, seed=0))
    assert list(found)[:3] == [
        "after 0 of 10 steps, the critic 0 steps ahead",
        "after 0 of 10 steps, the critic 1 steps ahead",
        "after 2 of 10 steps, the critic 0 steps ahead",
    ]
    assert len(found) == 9 and list(found)[-1] == "no critic"
    start = sharper_images.new_vae()
    for alone, moves in ((0, True), (1, True), (2, False)):  # of two steps
        moved = sharper_images.with_critic(start, stored, 2, 0, alone=alone)
        assert moved is not start and torch.equal(state(moved), state(start)) != moves


def test_a_row_has_as_many_steps_as_its_seconds_allow_after_a_trial(monkeypatch):
    clock, asked = [0.0], []

    def train(steps):
        asked.append(steps)
        clock[0] += 0.02 * steps if len(asked) > 1 else 100.0  # the first one is slow, and does not count

    monkeypatch.setattr(sharper_images.time, "process_time", lambda: clock[0])
    assert sharper_images.steps_in(3.0, train) == pytest.approx(150, abs=1) and asked == [10, 50]
    assert sharper_images.steps_in(1e-9, train) == 1


def test_the_trial_leaves_the_model_and_the_steps_are_those_of_the_trial(tiny, monkeypatch):
    stored, _ = tiny
    start, tried = sharper_images.new_vae(), []
    before = state(start).clone()

    def steps_in(seconds, train):
        train(1)
        tried.append((seconds, torch.equal(state(start), before)))
        return 3

    monkeypatch.setattr(sharper_images, "steps_in", steps_in)
    model = sharper_images.trained_on(start, stored, negative_elbo, 7.0, seed=1)
    assert tried == [(7.0, True)] and torch.equal(state(start), before) and not torch.equal(state(model), before)
    by_hand = copy.deepcopy(start)
    sharper_images.fit(by_hand, stored, steps=3, seed=1, objective=negative_elbo, **sharper_images.SETTINGS)
    assert torch.equal(state(by_hand), state(model))


def test_differences_see_edges_and_no_brightness():
    differences = sharper_images.Differences()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = differences(x)
    assert [tuple(one.shape) for one in maps] == [(2, 6, side - 1, side - 1) for side in (32, 16, 8, 4)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(maps, differences(x + 0.3), strict=True))
    ramp = (torch.arange(32.0)[:, None] / 32).expand(1, 1, 32, 32)  # grows downwards
    for scale, one in enumerate(differences(ramp)):
        assert torch.allclose(one[:, 0], torch.tensor(2**scale / 32)) and (one[:, 1].abs() < 1e-6).all()


def test_absolute_errors_are_nats_of_a_laplace_distribution_at_its_likeliest_scale():
    torch.manual_seed(0)
    vae, x = conv_vae((3, 16, 16), 2, 4, hidden=8), torch.rand(5, 3, 16, 16)
    torch.manual_seed(1)
    q = vae.encode(x)
    divergence, error = sharper_images.kl(q, vae.prior), (vae.decode(q.rsample()).mean - x).abs()
    scale = error.mean()
    nats = (error / scale + (2 * scale).log()).flatten(1).sum(1).mean() - 768 * (1 + math.log(2))
    torch.manual_seed(1)
    assert torch.allclose(sharper_images.laplace(vae, x)["loss"], divergence + nats, rtol=1e-4)


def test_the_spaces_are_five_and_see_the_sharp_and_the_soft_apart(tiny):
    stored, _ = tiny
    found = sharper_images.spaces(sharper_images.new_vae(), stored)
    x = to_float(stored)
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (1,) * 4, mode="replicate"), 3, stride=1)
    assert len(found) == 5
    for name, features in found.items():
        told = features(x)
        assert len(told) in (3, 4) and all(len(one) == 40 for one in told), name
        assert torch.isfinite(feature_nats(x, soft, features)), name
        assert not any(p.requires_grad for p in features.parameters()), name
    random = sharper_images.random_reader(stored)
    means = [m.running_mean.abs().sum().item() for m in random.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(means) == 5 and min(means) > 0  # its normalisation has seen portraits


def test_pictures_as_they_are_score_as_well_as_the_judge_can_read(tiny):
    stored, factors = tiny
    x = to_float(stored)
    perfect = sharper_images.compared(x, x, factors)
    assert perfect[0] == math.inf and min(perfect[1:5]) > 0.85 and perfect[5] == pytest.approx(0, abs=1e-3)
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (2,) * 4, mode="replicate"), 5, stride=1)
    scores = sharper_images.compared(soft, x, factors)
    assert scores[0] < 40 and all(a < b for a, b in zip(scores[1:5], perfect[1:5], strict=True)) and scores[5] > 1


def test_portraits_are_made_at_codes_of_training_portraits_and_the_same_each_time(tiny):
    stored, _ = tiny
    model = sharper_images.new_vae()
    made = sharper_images.portraits_made(model, stored, 7, components=3)
    assert made.shape == (7, 3, 32, 32) and 0 <= made.min() <= made.max() <= 1 and not made.requires_grad
    assert torch.equal(made, sharper_images.portraits_made(model, stored, 7, components=3))


def test_the_table_has_a_line_for_each_row_with_mean_and_deviation_over_seeds(monkeypatch, capsys):
    monkeypatch.setenv("VAE_HELPERS_PRECISION", "")  # put back afterwards
    monkeypatch.setattr(sharper_images, "one_thread", lambda: None)
    split = SimpleNamespace(images=torch.zeros(4, 3, 32, 32, dtype=torch.uint8), factors=torch.zeros(4, 14))
    monkeypatch.setattr(sharper_images, "load", lambda *_, **__: SimpleNamespace(train=split, test=split))
    monkeypatch.setattr(sharper_images, "rows", lambda images, start, seconds, seed: [("pixels", seed), ("all", 5)])
    monkeypatch.setattr(sharper_images, "scores", lambda model, *_: [float(model)] * 8)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--seeds", "3"])
    sharper_images.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 4 and lines[0].count("|") == lines[2].count("|") == 10
    assert lines[2].startswith("| pixels | 1.00 ± 1.00 |") and lines[3].startswith("| all | 5.00 ± 0.00 |")
    assert sharper_images.spread((2.0,)) == "2.00"


# --- scenes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some_scenes():
    """Scenes of two things, so that none stands between the two that are edited, and their pairs."""
    of = scene_benchmark.known(scenes.sample(40, 5, "textured", most=2))
    return of, *scene_benchmark.pairs_of(of)


def test_flat_zones_are_neighbours_of_nearly_the_same_colour_and_specks_join_the_nearest():
    x = torch.linspace(0.1, 0.3, 12).expand(3, 12, 12).clone()  # steps of 0.03 in all three channels together
    x[:, 2:6, 2:6], x[:, 3, 3], x[:, 11, 0] = 0.9, 0.0, 0.9
    zones = scene_benchmark.flat_zones(x, 0.05, 3)
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert len(zones.unique()) == 2 and torch.equal(zones == zones[2, 2], expected)
    assert len(scene_benchmark.flat_zones(x, 0.05, 1).unique()) == 4
    assert len(scene_benchmark.flat_zones(x, 0.01, 1).unique()) == 12 + 7  # columns, pieces of them, and specks
    assert scene_benchmark.flat_zones(x, 0.01, 1000).shape == (12, 12)  # all too small: left as they are


@pytest.mark.parametrize("segment", ["k_means", "felzenszwalb"])
def test_opponents_find_two_squares_on_a_ground(segment):
    x = torch.full((3, 32, 32), 0.5)
    x[0, 4:14, 4:14], x[1, 18:28, 18:28] = 1.0, 1.0
    settings = {"k_means": (3, 0.0), "felzenszwalb": (30.0, 0.0, 20)}[segment]
    groups = getattr(scene_benchmark, segment)(x, *settings)
    assert len(groups.unique()) == 3
    assert all(len(groups[cut].unique()) == 1 for cut in ((slice(4, 14),) * 2, (slice(18, 28),) * 2))
    far = torch.zeros(3, 32, 32)
    left = scene_benchmark.k_means(far, 2, 1.0) if segment == "k_means" else groups
    assert left[0, 0] != left[31, 31] or segment != "k_means"  # where colours say nothing, places do


def test_how_full_a_mask_is():
    mask = torch.zeros(9, 9)
    mask[2:4, 2:4] = 1
    assert scene_benchmark.fullness(mask) == pytest.approx(1.0)
    mask[2, 2] = 0
    assert scene_benchmark.fullness(mask) == pytest.approx(3 / 3.5)


def test_the_error_of_an_order_is_that_of_scenes(some_scenes):
    of, picked, _ = some_scenes
    assert 5 < len(picked.x) < 40 and picked.overlaps.flatten(1).any(1).all()
    true = scene_benchmark.Found(of.labels, of.visible, torch.arange(4.0).expand(40, 4))
    assert scene_benchmark.ordering(of, true) == (1.0, 0.0)
    wrong = len(picked.x) // 3
    rows = of.overlaps.flatten(1).any(1).nonzero().flatten()[:wrong]
    depth = true.depth.clone()
    depth[rows] *= -1
    n, p = len(picked.x), 1 - wrong / len(picked.x)
    share, error = scene_benchmark.ordering(of, true._replace(depth=depth))
    assert share == pytest.approx(p) and error == pytest.approx(math.sqrt(p * (1 - p) / n))  # a pair in each


def test_true_groups_and_true_layers_have_full_marks(some_scenes):
    of = some_scenes[0]
    ari, iou = scene_benchmark.grouping(of, of.labels, scene_benchmark.masks_of(of.labels))
    assert ari.eq(1).all() and iou.min() > 0.85  # edges are shared, and labels are not
    told = []
    segmentation = lambda x, things: told.append(things) or x[0].round().long()  # noqa: E731
    assert scene_benchmark.segmented(segmentation, of).shape == of.labels.shape and told == [2] * 40
    worst = {"ok": (0, 1)}
    make = lambda ok: lambda x, things: of.labels[(of.x == x).flatten(1).all(1)][0] * ok  # noqa: E731
    assert scene_benchmark.chosen(make, worst, of) == {"ok": 1}


@pytest.mark.parametrize("edit", scene_benchmark.EDITS)
def test_true_layers_that_are_edited_are_the_true_edit(some_scenes, edit):
    _, of, pairs = some_scenes
    stack, truth = scenes.layers(of.factors, 64), scene_benchmark.true_edit(edit, of, pairs)
    made = scene_benchmark.laid(scene_benchmark.EDITS[edit](stack, pairs))
    y = scenes.parts(of.factors)[0][torch.arange(len(of.x)), pairs.front - 1, 3].abs()
    whole = y < 0.5 if edit == "the front one moved" else y < 1  # what the border cuts off cannot be moved back
    assert psnr(made, truth)[whole].min() > 50 and whole.sum() > 5
    assert psnr(made, of.x).median() < 40
    assert torch.equal(stack, scenes.layers(of.factors, 64))
    nobody = pairs._replace(front=torch.zeros_like(pairs.front), behind=torch.zeros_like(pairs.behind))
    assert torch.equal(scene_benchmark.EDITS[edit](stack, nobody), stack)  # what was not found is left alone


def test_the_pairs_are_found_among_other_layers(some_scenes):
    _, of, pairs = some_scenes
    layers = scenes.layers(of.factors, 64)[:, [0, 2, 1, 3, 4]]
    n = len(layers)
    apart = Apart(
        layers, torch.zeros(n, 4, 2), torch.ones(n, 4, dtype=torch.bool), torch.zeros(n, 4, 1), torch.zeros(n)
    )
    found = scene_benchmark.found_pairs(of, apart, pairs)
    swapped = (3 - pairs.front, 3 - pairs.behind)  # the transparent order differs, the masks are matched all the same
    assert torch.equal(found.front, swapped[0]) and torch.equal(found.behind, swapped[1])


def test_what_is_cut_out_or_carried_over_is_the_picture_again(some_scenes):
    of = some_scenes[0]
    stack = scene_benchmark.cut_out(of.x, of.labels, of.x)
    assert torch.equal(compose(stack), of.x) and torch.equal(stack[:, 1:, 3].sum(1), (of.labels > 0).float())
    layers = scenes.layers(of.factors, 64)
    layers[:, :, :3] *= 0.9
    apart = Apart(layers, *[torch.zeros(40, 4)] * 3, torch.zeros(40))
    carried = scene_benchmark.carried_over(of.x, apart)
    most = (apart.visible > 0.5).any(1)
    off = (compose(carried) - of.x).abs().amax(1)
    assert off[most].max() < 1e-5 < (apart.pictures - of.x).abs().amax(1)[most].min()
    assert torch.equal(carried[:, :, 3], layers[:, :, 3]) and most.float().mean() > 0.95


def test_what_is_in_front_is_filled_from_around():
    x = torch.full((2, 3, 12, 12), 0.4)
    x[:, :, 4:8, 4:8], x[:, :, 3, 3] = 0.9, 0.8  # a pixel of its edge
    labels = torch.zeros(2, 12, 12, dtype=torch.long)
    labels[:, 4:8, 4:8] = 2
    made = scene_benchmark.filled(x, labels, torch.tensor([2, 0]))
    torch.testing.assert_close(made[0], torch.full((3, 12, 12), 0.4))
    assert torch.equal(made[1], x[1])


def test_psnr_of_some_pixels():
    x, y, where = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)
    y[0, :, 0, :2], where[0, 0, :4] = 0.1, True
    assert scene_benchmark.psnr_where(x, y, where).item() == pytest.approx(-10 * math.log10(0.005))


def test_the_tables_of_scenes_are_whole(monkeypatch, capsys):
    monkeypatch.setattr(scene_benchmark, "one_thread", lambda: None)
    make, _ = scene_benchmark.OPPONENTS["flat zones"]
    monkeypatch.setattr(scene_benchmark, "OPPONENTS", {"flat zones": (make, {"step": (0.03, 0.1), "least": (20,)})})
    splits = {split: SimpleNamespace(factors=scenes.sample(4, 7, "transparent")) for split in ("validation", "test")}
    monkeypatch.setattr(scene_benchmark, "load", lambda *_, **__: SimpleNamespace(**splits))
    argv = ["benchmark", "--scenes", "4", "--chosen-on", "2", "--kinds", "transparent", "--untrained"]
    monkeypatch.setattr(sys, "argv", argv)
    scene_benchmark.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    apart, again = lines[:6], lines[6:]
    assert [line.count("|") for line in apart] == [8] * 6 and apart[2].startswith("| flat zones (step 0")
    assert [line.count("|") for line in again] == [7] * (2 + 3 * 6 + 2)
    assert "the back one to the front | true layers" in "".join(again) and "nan" not in "".join(lines)


# --- latent diffusion -------------------------------------------------------------------------------------------------


def test_gaussian_codes_have_the_mean_and_the_covariance():
    torch.manual_seed(0)
    z = torch.randn(500, 4) @ torch.randn(4, 4) + 3
    mean, root = latent_diffusion.gaussian(z)
    assert torch.allclose(mean, z.mean(0)) and torch.allclose(root.T @ root, z.T.cov(), atol=1e-4)
    _, root = latent_diffusion.gaussian(z[:2])  # no full rank
    assert torch.isfinite(root).all() and torch.allclose(root.T @ root, z[:2].T.cov(), atol=1e-3)


def test_a_mixture_has_its_parts():
    torch.manual_seed(0)
    z = torch.cat([torch.randn(200, 3) * 0.1 + 5, torch.randn(100, 3) * 0.1 - 5])
    drawn = latent_diffusion.mixture(z, 600, components=2)
    assert drawn.dtype == torch.float32 and ((drawn.abs() - 5).abs() < 1).all()
    assert (drawn[:, 0] > 0).float().mean() == pytest.approx(2 / 3, abs=0.08)


def test_the_same_noise_is_carried_in_few_steps_and_in_many():
    flow = Flow(3 + 2 * torch.randn(50, 2))
    flow.velocity = lambda z, t, tokens=None: 2 * t[:, None].expand_as(z)  # z_1 = z_0 + 1
    eps = torch.randn(5, 2)
    found = list(latent_diffusion.by_steps(flow, eps, 7.0))
    assert [name for name, _, _ in found][::9] == ["flow, Euler, 1 step", "flow, Heun, 16 steps"]
    assert all(7 <= seconds < 8 for *_, seconds in found)
    for k, (_, z, _) in enumerate(found):
        end = eps + 1 - (2.0 ** -(k % 5) if k < 5 else 0)
        assert torch.allclose(z, flow.mean + flow.std * end, atol=1e-4)


def test_every_held_out_pair_has_a_seen_one_that_is_as_rare():
    factors = faces.sample(40_000, 3)
    for held, seen in latent_diffusion.HELD_OUT:
        shares = [captions.shows(factors, **pair).float().mean().item() for pair in (held, seen)]
        assert shares[0] == pytest.approx(shares[1], rel=0.15) and min(shares) > 0.02
        assert not captions.shows(factors, **held)[captions.shows(factors, **seen)].any()
    share = latent_diffusion.shows_held_out(factors).float().mean().item()
    assert share == pytest.approx(0.12, abs=0.01)


def test_sentences_about_a_pair_ask_for_five_things_and_no_other_held_out_pair():
    mask = latent_diffusion.mentions(500, 5, 1, ("smile", "tilt"))
    assert mask.sum(1).eq(5).all() and mask[:, [faces.index("smile"), faces.index("tilt")]].all()
    others = mask.float().mean(0)[[faces.index(name) for name in ("skin", "brows", "background")]]
    assert (others - 3 / 12).abs().max() < 0.08
    assert not torch.equal(mask, latent_diffusion.mentions(500, 5, 2, ("smile", "tilt")))
    for words in (*latent_diffusion.HELD_OUT[1], *latent_diffusion.SIDES):
        told = latent_diffusion.about(words, 30, 4)
        assert len(told) == 30 and all(words.items() <= captions.read(one).items() for one in told)
        assert (captions.wanted(told) >= 0).sum(1).eq(5).all()
        for pair, _ in latent_diffusion.HELD_OUT:
            assert pair == words or not any(pair.items() <= captions.read(one).items() for one in told)


def test_regression_finds_codes_that_are_linear_in_what_is_asked():
    torch.manual_seed(0)
    told = captions.write(faces.sample(3000, 5), 6)
    x = latent_diffusion.one_hot(told)
    assert x.shape == (3000, 48 + 1) and torch.equal(x[:, :-1].sum(1), (captions.wanted(told) >= 0).sum(1).double())
    exact = x @ torch.randn(49, 3).double()
    noise = torch.randn(3000, 3) @ torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.1]])
    regression = latent_diffusion.Regression(told, exact.float() + noise)
    assert (regression.mean(told) - exact).square().mean() < 0.03
    assert torch.allclose(regression.root.T @ regression.root, noise.T.cov(), atol=0.06)
    drawn = torch.stack([regression.sample(told[:50]) for _ in range(400)])
    assert (drawn.mean(0) - regression.mean(told[:50])).abs().max() < 0.25
    assert torch.allclose(
        drawn.flatten(0, 1).sub(regression.mean(told[:50]).repeat(400, 1)).T.cov(), noise.T.cov(), atol=0.1
    )


def test_what_is_retrieved_does_most_of_what_is_asked_and_among_equals_any():
    torch.manual_seed(0)
    factors = faces.sample(400, 7)
    z = torch.arange(400.0)[:, None]
    complete = captions.write(factors, 8, torch.ones(400, 14, dtype=torch.bool))
    found = latent_diffusion.retrieved(z, factors, complete)[:, 0].long()
    assert torch.equal(captions.classes(factors[found]), captions.classes(factors))
    loose = latent_diffusion.retrieved(z, factors, ["a portrait with glasses and a broad smile"] * 300)[:, 0].long()
    assert captions.shows(factors[loose], glasses="with", smile="broad").all() and len(loose.unique()) > 20


def test_what_is_filled_in_has_the_asked_classes_and_the_rest_of_some_portrait():
    torch.manual_seed(0)
    factors = faces.sample(3000, 21)
    z = captions.one_hot(captions.classes(factors)) @ torch.randn(48, 60)  # what a code is made of can be read back
    filled = latent_diffusion.FilledIn(z, factors, seed=0)
    asked = captions.say(hair_colour="silver", smile="no")
    made = filled.sample([asked] * 400)
    read = torch.linalg.lstsq(z, captions.one_hot(filled.classes), driver="gelsd").solution
    silver, no_smile = ((made @ read)[:, place] for place in _places(hair_colour="silver", smile="no"))
    assert (silver - 1).abs().mean() < 0.2 and (no_smile - 1).abs().mean() < 0.2
    dark = (made @ read)[:, _places(skin="dark")[0]]
    assert 0.25 < (dark > 0.5).float().mean() < 0.42  # a third of portraits have it


def _places(**words: str) -> list[int]:
    """Columns of `captions.one_hot`."""
    rows = [captions.one_hot(captions.wanted([captions.say(**{name: word})]))[0] for name, word in words.items()]
    return [int(row.argmax()) for row in rows]


def test_pictures_drawn_to_order_have_full_marks_and_those_drawn_at_random_those_of_chance():
    draws = {
        "order": lambda told: to_float(latent_diffusion.drawn_to_order(told, 1)),
        "chance": lambda told: to_float(latent_diffusion.drawn_to_order(["a portrait"] * len(told), 1)),
    }
    factors = faces.sample(60, 9)
    found = {name: latent_diffusion.scores(draw, factors, 0) for name, draw in draws.items()}
    (order, of_factors, pairs), (chance, *_) = found["order"], found["chance"]
    assert len(order) == len(latent_diffusion.COLUMNS) and len(of_factors) == 14 and len(pairs) == 4
    assert min(order[0], order[2], *order[5:]) > 0.85 and min(order[1], order[3]) > 32
    assert max(chance[0], chance[2]) < 0.42 and max(chance[5:]) < 0.25
    assert order[4] == pytest.approx(1, abs=0.25)


def test_the_tables_of_latent_diffusion_are_whole(monkeypatch, capsys):
    monkeypatch.setenv("VAE_HELPERS_PRECISION", "")  # put back afterwards
    monkeypatch.setattr(latent_diffusion, "one_thread", lambda: None)
    portraits = faces.sample(150, 10)
    split = SimpleNamespace(images=faces.render(portraits, 64), factors=portraits)
    monkeypatch.setattr(latent_diffusion, "load", lambda *_, **__: SimpleNamespace(train=split, test=split))
    settings = {"batch_size": 8, "progress": False}
    monkeypatch.setattr(latent_diffusion, "SETTINGS", settings)
    argv = ["benchmark", "--seeds", "1", "--steps", "2", "--judged", "20", "--sentences", "3"]
    monkeypatch.setattr(sys, "argv", argv)
    latent_diffusion.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    priors, sentences, of_factors, pairs = lines[:17], lines[17:32], lines[32:48], lines[48:]
    assert [line.count("|") for line in priors] == [5] * 17 and [line.count("|") for line in sentences] == [10] * 15
    assert [line.count("|") for line in of_factors] == [12] * 16 and [line.count("|") for line in pairs] == [12] * 10
    assert pairs[2].startswith("| hair colour silver, glasses with (held out) |") and "nan" not in "".join(sentences)
    assert latent_diffusion.spread((1.0, 2.0, 3.0), 2) == "2.00 ± 0.58" and latent_diffusion.spread((2.0,), 1) == "2.0"
    assert latent_diffusion.spread((math.nan,) * 2, 1) == ""


# --- the clinic -------------------------------------------------------------------------------------------------------


def examined(name, disease, said, place="digits"):
    return clinic.Examined(place, 0, name, disease, said, ("why",) * len(said), 0.5, 2.0, 1.0)


def test_found_is_among_the_names_and_named_is_the_first():
    ill = [examined("A", "a", said) for said in (("a",), ("b", "a"), ("b",), ())]
    assert [one.found for one in ill] == [True, True, False, False]
    assert [one.named for one in ill] == [True, False, False, False]
    assert [one.beside for one in ill] == [(), ("b",), ("b",), ()]
    assert [str(one).split(" | ")[3] for one in ill] == ["named", "found", "missed", "missed"]
    well = [examined("dropout", None, said) for said in ((), ("a", "b"))]
    assert [one.found or one.named for one in well] == [False, False] and well[1].beside == ("a", "b")
    assert clinic._counts([*ill, *well]) == ["2 of 4", "1 of 4", "2", "1 of 2", "2.0", "1.0"]
    assert clinic._named(ill) == "1 of 4 (2)" and clinic._alarms(well) == "a 1 of 2, b 1 of 2"
    assert clinic._alarms(well[:1]) == "–"


def test_places_are_what_they_say():
    kept_out = {name for name, place in clinic.PLACES.items() if place.kept_out}
    assert kept_out == set(clinic.PLACES) - {"digits", "portraits"}
    for name in ("digits", "portraits, codes of 8 x 8"):
        place = clinic.PLACES[name]
        data = SimpleNamespace(levels=256, image_shape=(3, 32, 32))
        wards = [place.ward(data, 0, 1, times) for times in (0.25, 1, 4)]
        assert [ward.vae().latent_dim for ward in wards] == [place.latents // 4, place.latents, 4 * place.latents]
        assert place.ward(data, 0, 0.1).steps == place.steps // 10
        model = clinic.with_dropout(ward := SimpleNamespace(vae=wards[1].vae, treated=lambda model: model))
        assert sum(isinstance(m, torch.nn.Dropout) for m in model.modules()) == len(clinic.activations(ward.vae())) > 2


@pytest.mark.parametrize("letter", ["F", "G"])
def test_networks_without_dense_layers_have_patients_of_their_own(letter):
    data = SimpleNamespace(levels=256, image_shape=(3, 32, 32))
    images = faces.render(faces.sample(60, 1), 32)
    data.train, data.validation = SimpleNamespace(images=images[:40]), SimpleNamespace(images=images[40:])
    ward = clinic.PLACES["portraits, codes of 8 x 8"].ward(data, 0, 1 / 200)
    patient = clinic.patients(ward)[letter]
    for line, ill in ((patient.wrong, True), (patient.right, False)):
        treated = patient.train(ward, line)
        names = clinic.diagnose(treated.model, treated.seen, held_out=treated.held_out).names
        assert (patient.disease in names) == ill


def test_the_tables_of_the_clinic_are_whole(monkeypatch, capsys):
    monkeypatch.setenv("VAE_HELPERS_PRECISION", "")  # put back afterwards
    monkeypatch.setattr(clinic, "one_thread", lambda: None)
    argv = ["benchmark", "--seeds", "1", "--shorter", "300", "--only", "digits", "Fashion-MNIST"]
    monkeypatch.setattr(sys, "argv", argv)
    clinic.main()
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("digits | 0 |") for line in said) == 12 + len(clinic.HEALTHY)
    assert "Fashion-MNIST: left out, no folder with real data was given" in said
    lines = [line for line in said if line.startswith("|")]
    assert [line.count("|") for line in lines] == [8] * 4 + [3] * (2 + 12) + [3] * (2 + len(clinic.HEALTHY))
    assert lines[2].startswith("| digits | ") and lines[3].startswith("| all that were seen in the making |")
    assert "| G: layers share their weights | 1 of 1 |" in lines


def test_the_gaussian_with_all_directions_restores_as_ppca_does_and_its_moments_are_those_of_the_pictures():
    seed_everything(0)
    model = ProbabilisticPCA(W=torch.randn(12, 4), b=torch.rand(12), sigma=torch.tensor(0.2))
    covariance = model.W @ model.W.T + model.sigma**2 * torch.eye(12)
    y = torch.rand(3, 3, 2, 2)
    restored = denoising.gaussian_mean(y, 0.1, model.b, covariance)
    assert torch.allclose(restored.flatten(1), model.restore(y.flatten(1), 0.1), atol=1e-5)
    images = torch.randint(0, 256, (50, 3, 2, 2), dtype=torch.uint8)
    b, found = denoising.mean_and_covariance(images)
    assert torch.allclose(b, to_float(images).flatten(1).mean(0), atol=1e-6)
    assert torch.allclose(found, torch.cov(to_float(images).flatten(1).T, correction=0), atol=1e-6)
