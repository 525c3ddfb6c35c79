"""The networks that the package carries: each caller's own, as good as is said, and made by the tools."""

import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tools import (
    train_denoiser,
    train_factor_reader,
    train_portrait_vae,
    train_sharp_portrait_vae,
    train_style_vae,
    train_view_vae,
)
from vae_helpers import (
    ResidualDenoiser,
    checkpoints,
    face_distance,
    factor_r2,
    pretrained,
    psnr,
    read_factors,
    sharpness,
    to_float,
)
from vae_helpers.colour_transfer import covariance_transfer
from vae_helpers.data.faces import SEEDS as SEEDS_OF_DATA
from vae_helpers.data.faces import STYLE_SEEDS
from vae_helpers.data.photos import photographs
from vae_helpers.data.shapes import SEEDS as SHAPE_SEEDS
from vae_helpers.models.factor_reader import FactorReader, PortraitJudge
from vae_helpers.rendering import faces, shapes, styles

SIGMA = 25 / 255
SEED = 4711  # neither the reader nor the data sets of the course have seen portraits of it
DENOISER, FACTOR_READER, PORTRAIT_JUDGE, PORTRAIT_VAE, SHARP_PORTRAIT_VAE, STYLE_VAE, VIEW_VAE = (
    Path(pretrained.__file__).parent / name
    for name in (
        pretrained.DENOISER,
        pretrained.FACTOR_READER,
        pretrained.PORTRAIT_JUDGE,
        pretrained.PORTRAIT_VAE,
        pretrained.SHARP_PORTRAIT_VAE,
        pretrained.STYLE_VAE,
        pretrained.VIEW_VAE,
    )
)
NETWORKS = [
    pretrained.denoiser,
    pretrained.factor_reader,
    pretrained.portrait_judge,
    pretrained.portrait_vae,
    pretrained.sharp_portrait_vae,
    pretrained.style_vae,
    pretrained.view_vae,
]


@pytest.fixture(scope="module")
def small():
    return faces.render(faces.sample(40, SEED), 32)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def crop(name="flower"):
    return to_float(photographs("validation", colour=False)[name][..., 150:278, 200:328])


def test_the_shipped_network_cleans_a_photograph_it_never_saw_at_every_level():
    x, model = crop(), pretrained.denoiser()
    for level, gain in ((10, 2), (25, 4), (50, 6)):
        y = x + level / 255 * noise(*x.shape)
        cleaned = model(y, level / 255).clamp(0, 1)
        assert (psnr(x, cleaned) - psnr(x, y.clamp(0, 1))).item() > gain, f"sigma {level}/255"


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_frozen_and_the_callers_own(network):
    theirs = network().half().train().requires_grad_()
    with torch.no_grad():
        for p in theirs.parameters():
            p.zero_()
    ours = network()
    assert ours is not theirs and not any(part.training for part in ours.modules())
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ours.parameters())
    assert all(p.any() for name, p in ours.named_parameters() if "weight" in name)


def test_what_a_caller_does_to_a_reader_does_not_change_what_is_read():
    images = faces.render(faces.sample(5, 4711), 32)
    before = [read_factors(images, judge=judge) for judge in (False, True)]
    pretrained.factor_reader().half(), pretrained.portrait_judge().half()
    assert all(torch.equal(read_factors(images, judge=judge), before[judge]) for judge in (False, True))


def test_a_network_draws_no_random_numbers():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for network in NETWORKS:
        network()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_wrong_level_costs_quality():
    x, model = crop(), pretrained.denoiser()
    y = x + SIGMA * noise(*x.shape)
    right, low, high = (psnr(x, model(y, factor * SIGMA).clamp(0, 1)).item() for factor in (1, 0.5, 2))
    assert right > low + 1 and right > high + 0.5


def test_the_shipped_reader_is_a_small_checkpoint_of_this_network():
    tensors, kind, notes = checkpoints.read(FACTOR_READER)
    assert FACTOR_READER.stat().st_size < 1e6
    assert kind == "FactorReader" and set(notes) == {"steps", "portraits"}
    own = FactorReader().state_dict()
    assert [name for name in own if "weight" in name] == [
        *(f"body.{stage}.{layer}.weight" for stage in range(1, 6) for layer in (0, 1)),
        "body.7.weight",
        "head.weight",
    ]  # other names would make the shipped file worthless
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    assert {t.dtype for name, t in tensors.items() if "num_batches" not in name} == {torch.float16}
    loaded = pretrained.factor_reader().state_dict()
    assert all(torch.equal(loaded[name], t.to(loaded[name].dtype)) for name, t in tensors.items())


def test_the_shipped_judge_is_a_small_checkpoint_of_its_network():
    tensors, kind, notes = checkpoints.read(PORTRAIT_JUDGE)
    assert PORTRAIT_JUDGE.stat().st_size < 1e6
    assert kind == "PortraitJudge" and notes == {"steps": 6000, "portraits": 60_000}
    own = PortraitJudge().state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    loaded = pretrained.portrait_judge()
    assert isinstance(loaded, PortraitJudge)
    assert all(torch.equal(loaded.state_dict()[name], t.float()) for name, t in tensors.items())


def kinds(network):
    return {type(module) for module in network.modules()}


def test_the_judge_is_built_otherwise_than_the_reader():
    judge, reader = pretrained.portrait_judge(), pretrained.factor_reader()
    shared = kinds(judge) & kinds(reader)
    assert shared == {torch.nn.Sequential, torch.nn.Conv2d, torch.nn.Flatten, torch.nn.Linear}, shared
    strides = [[m.stride for m in net.modules() if isinstance(m, torch.nn.Conv2d)] for net in (judge, reader)]
    assert len(strides[0]) != len(strides[1]) and set(strides[0]) == {(1, 1)} and (2, 2) in strides[1]
    assert judge.body[0].in_channels == 3 and reader.body[1][0].in_channels == 12  # full resolution, and not
    x = torch.rand(2, 3, 32, 32)
    assert judge(x).shape == reader(x).shape == (2, 14) and judge.body(x).shape == (2, 64)


def test_the_judge_says_of_a_portrait_the_same_whoever_else_is_in_the_batch(small):
    x, judge = to_float(small[:8]), pretrained.portrait_judge()
    assert torch.allclose(judge.train()(x)[:1], judge(x[:1]), atol=1e-5)  # no normalisation over a batch


# --- the tool that trains the denoiser -------------------------------------------------------------------------------


def test_the_tool_trains_a_denoiser_and_writes_a_file_that_loads(tmp_path, monkeypatch, capsys):
    path, before = tmp_path / "denoiser.safetensors", DENOISER.read_bytes()
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "3", "--patches", "20", "--to", str(path)])
    train_denoiser.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "ResidualDenoiser" and notes == {"steps": 3, "patches": 20}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert "flower" in capsys.readouterr().out and DENOISER.read_bytes() == before


def test_the_shipped_denoiser_is_what_the_tool_writes_unless_told_otherwise():
    tensors, kind, notes = checkpoints.read(DENOISER)
    assert kind == "ResidualDenoiser" and notes == {"steps": 64_000, "patches": 19_990}
    own = ResidualDenoiser(widths=pretrained.DENOISER_WIDTHS).state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}


# --- the tool that trains the reader of factors and the judge ---------------------------------------------------------


def test_the_tool_trains_a_reader_and_writes_a_file_that_loads(tmp_path, monkeypatch, small):
    bytes_before, path = FACTOR_READER.read_bytes(), tmp_path / "reader.safetensors"
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "3", "--portraits", "64", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_factor_reader.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "FactorReader" and notes == {"steps": 3, "portraits": 64}
    assert {t.dtype for t in tensors.values()} == {torch.float16, torch.int64}
    assert tensors["body.1.1.num_batches_tracked"] == 3
    network = FactorReader()
    network.load_state_dict(tensors)
    read = network.eval()(to_float(small[:5]))
    assert read.shape == (5, 14) and torch.isfinite(read).all()
    assert FACTOR_READER.read_bytes() == bytes_before


def test_the_tool_trains_a_judge_and_writes_a_file_that_loads(tmp_path, monkeypatch, capsys):
    before, path = [file.read_bytes() for file in (FACTOR_READER, PORTRAIT_JUDGE)], tmp_path / "judge.safetensors"
    monkeypatch.setattr(sys, "argv", ["tool", "--judge", "--steps", "3", "--portraits", "64", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_factor_reader.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "PortraitJudge" and notes == {"steps": 3, "portraits": 64}
    PortraitJudge().load_state_dict(tensors)
    assert [file.read_bytes() for file in (FACTOR_READER, PORTRAIT_JUDGE)] == before
    assert "32 x 32" not in capsys.readouterr().out


@pytest.mark.parametrize("judge", [False, True])
def test_without_to_the_tool_writes_the_shipped_file_and_says_how_well_it_reads(judge, tmp_path, monkeypatch, capsys):
    (tmp_path / "pretrained_weights").mkdir()
    monkeypatch.setattr(pretrained, "__file__", str(tmp_path / "pretrained.py"))
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "5", *["--judge"] * judge])
    monkeypatch.setattr(train_factor_reader.faces, "sample", lambda n, seed, sample=faces.sample: sample(30, seed))
    asked, tasks = [], []
    monkeypatch.setattr(train_factor_reader, "train", lambda steps, n, task: tasks.append((n, task)) or task.build())
    monkeypatch.setattr(train_factor_reader, "factor_r2", lambda *_, judge: asked.append(judge) or {"skin": 0.5})
    train_factor_reader.main()
    (written,) = (tmp_path / "pretrained_weights").iterdir()
    assert f"pretrained_weights/{written.name}" == (pretrained.PORTRAIT_JUDGE if judge else pretrained.FACTOR_READER)
    assert tasks == [(60_000, train_factor_reader.JUDGE if judge else train_factor_reader.READER)]
    assert asked == [judge, judge] and "64 x 64: skin 0.500" in capsys.readouterr().out


def test_each_network_learns_from_portraits_that_nobody_else_has(monkeypatch):
    seeds = [*train_factor_reader.SEEDS.values(), *SEEDS_OF_DATA.values()]
    assert len(set(seeds)) == len(seeds) == 6 and SEED not in seeds and min(seeds) > 1000
    drawn, spoiled, portraits = [], [], train_factor_reader.portraits
    monkeypatch.setattr(train_factor_reader, "portraits", lambda n, seed: drawn.append(seed) or portraits(n, seed))
    for task in (train_factor_reader.READER, train_factor_reader.JUDGE):
        with torch.random.fork_rng(devices=[]):
            train_factor_reader.train(1, 8, task._replace(spoil=lambda x: spoiled.append(x.shape) or x))
    assert drawn == [3001, 3003] and spoiled == [(128, 3, 32, 32)] * 2
    assert (train_factor_reader.READER.spoil, train_factor_reader.JUDGE.spoil) == (
        train_factor_reader.worsened,
        train_factor_reader.rescaled,
    )


@pytest.mark.parametrize(
    ("task", "share"),
    [(train_factor_reader.READER, 0.8), (train_factor_reader.JUDGE, 0.95)],  # which has no batches' statistics
    ids=["reader", "judge"],
)
def test_a_network_in_training_gets_better(task, share):
    with torch.random.fork_rng(devices=[]):
        few, more = (train_factor_reader.train(steps, 256, task) for steps in (1, 25))
    factors, pictures = train_factor_reader.portraits(200, SEED + 1)
    with torch.no_grad():
        losses = [
            (network.cpu().train()(to_float(pictures)) - faces.to_unit(factors)).square().mean().item()
            for network in (few, more)
        ]
    assert losses[1] < share * losses[0]


def test_the_tool_draws_every_second_portrait_larger():
    factors, pictures = train_factor_reader.portraits(12, SEED)
    assert torch.equal(factors, faces.sample(12, SEED)) and pictures.dtype == torch.uint8
    assert torch.equal(pictures[1::2], faces.render(factors, 32)[1::2])
    averaged = F.avg_pool2d(to_float(faces.render(factors, 64)), 2)[::2]
    assert (to_float(pictures[::2]) - averaged).abs().max() <= 0.5 / 255 + 1e-6
    assert SEED not in train_factor_reader.SEEDS.values()


def test_the_tool_blurs_half_of_a_batch_and_adds_a_little_noise(small):
    x = to_float(small[:40])
    flat = torch.full((2, 3, 32, 32), 0.4)
    assert torch.allclose(train_factor_reader.blurred(flat, 0.7), flat, atol=1e-6)
    assert torch.allclose(train_factor_reader.blurred(x, 0.05), x, atol=1e-6)
    point = F.pad(torch.ones(1, 3, 1, 1), (15, 16, 15, 16))
    spread = train_factor_reader.blurred(point, 0.8)[0, 0]
    assert math.isclose(spread[15, 17] / spread[15, 15], math.exp(-0.5 * (2 / 0.8) ** 2), rel_tol=1e-4)
    assert math.isclose(spread.sum(), 1, rel_tol=1e-5) and torch.equal(spread, spread.T)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        worse = train_factor_reader.worsened(x)
    change = (worse - x).square().mean((1, 2, 3)).sqrt()
    assert change[20:].max() < 0.021 and change[:20].mean() > 2 * change[20:].mean()


def test_the_tool_takes_pixels_from_half_of_a_batch_and_lights_all_of_it_from_one_side(small):
    x = to_float(small[:40])
    sides = set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(30):
            spoiled = train_factor_reader.rescaled(x)
            assert spoiled.shape == x.shape and spoiled.min() > -0.5 and spoiled.max() < 1.5
            left_whole = (spoiled - x).square().mean((1, 2, 3)).sqrt()
            assert left_whole[20:].max() < 0.12 and left_whole[:20].mean() > 1.3 * left_whole[20:].mean()
            sides.add(round(left_whole[:20].mean().item(), 3))
        flat = torch.full((400, 3, 32, 32), 0.5)
        lit = train_factor_reader.rescaled(flat).mean((1, 2))  # (N, columns)
    assert len(sides) > 5  # pixels a side are drawn for each batch
    slope = 32 * (lit[:, 16:].mean(1) - lit[:, :16].mean(1)) / 16 / 2  # what is gained from the left edge to the middle
    assert lit.mean().item() == pytest.approx(0.5, abs=0.005) and abs(slope.mean()) < 0.003
    assert slope.std().item() == pytest.approx(0.5 * 0.03, rel=0.2)  # in the half with fewer pixels and in the other
    assert slope[:200].std().item() == pytest.approx(slope[200:].std().item(), rel=0.3)


# --- the VAE of portraits --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rebuilt():
    """200 portraits that nobody has seen, 64 x 64, with their factors, and what the VAE makes of them."""
    factors = faces.sample(200, SEED)
    x = to_float(faces.render(factors, pretrained.PORTRAIT_SIZE))
    return factors, x, pretrained.portrait_vae().reconstruct(x).clamp(0, 1)


def test_the_shipped_vae_rebuilds_portraits_it_never_saw(rebuilt):
    _, x, x_hat = rebuilt
    assert psnr(x, x_hat).mean() > 35


def test_what_it_rebuilds_still_shows_the_factors(rebuilt):
    factors, _, x_hat = rebuilt
    scores = factor_r2(x_hat, factors)
    hardest = {name: scores.pop(name) for name in ("brows", "fringe")}
    assert min(scores.values()) > 0.92 and min(hardest.values()) > 0.7, (scores, hardest)


def test_its_sigma_is_how_far_its_means_are_off(rebuilt):
    _, x, x_hat = rebuilt
    root_mean_square = (x - x_hat).square().mean().sqrt().item()
    assert pretrained.portrait_vae().likelihood.sigma.item() == pytest.approx(root_mean_square, rel=0.3)


def all_of_the_portrait_vae(tensors):
    """Whether a file has all weights of the VAE, its large ones as whole numbers, and nothing else."""
    own = pretrained.new_portrait_vae().state_dict()
    large = {name for name, t in own.items() if t.dim() > 1 and t.numel() >= 20_000}
    assert large > {f"{name}.weight" for name in pretrained.LARGEST_LAYERS}
    expected = {name: (t.shape, torch.int8 if name in large else torch.float16) for name, t in own.items()}
    expected |= {f"{name}/step": ((len(own[name]), *[1] * (own[name].dim() - 1)), torch.float32) for name in large}
    return {name: (t.shape, t.dtype) for name, t in tensors.items()} == expected


def test_the_shipped_vae_is_a_checkpoint_of_this_model_with_a_byte_for_a_weight():
    tensors, kind, notes = checkpoints.read(PORTRAIT_VAE)
    assert (
        kind == "VAE"
        and notes == {"steps": 14_000, "more": 10_000, "portraits": 20_000}
        and all_of_the_portrait_vae(tensors)
    )
    assert PORTRAIT_VAE.stat().st_size < 3.8e6
    loaded = pretrained.portrait_vae().state_dict()
    for name, t in loaded.items():
        assert torch.equal(t, tensors[name].float() * tensors.get(f"{name}/step", torch.ones(()))), name


def test_the_tool_trains_a_portrait_vae_and_writes_a_file_that_loads(tmp_path, monkeypatch, capsys):
    path, before = tmp_path / "vae.safetensors", PORTRAIT_VAE.read_bytes()
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "2", "--more", "2", "--portraits", "40", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_portrait_vae.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "VAE" and notes == {"steps": 2, "more": 2, "portraits": 40} and all_of_the_portrait_vae(tensors)
    assert "factors read from them, R2: skin" in capsys.readouterr().out and PORTRAIT_VAE.read_bytes() == before


# --- the sharp VAE of portraits ---------------------------------------------------------------------------------------


def test_the_shipped_changes_are_all_of_the_portrait_vae_but_its_largest_layers():
    tensors, kind, notes = checkpoints.read(SHARP_PORTRAIT_VAE)
    own = pretrained.new_portrait_vae().state_dict()
    left_out = {f"{layer}.{name}" for layer in pretrained.LARGEST_LAYERS for name in ("weight", "bias")}
    assert kind == "VAE" and set(notes) == {"steps", "portraits"}
    assert tensors.keys() == own.keys() - left_out and left_out < own.keys()
    assert all(t.shape == own[name].shape and t.dtype == torch.float16 for name, t in tensors.items())
    assert sum(t.numel() for t in tensors.values()) < sum(t.numel() for t in own.values()) / 6


def test_the_sharp_vae_is_the_shipped_one_with_these_changes():
    soft, sharp = pretrained.portrait_vae().state_dict(), pretrained.sharp_portrait_vae().state_dict()
    tensors, _, _ = checkpoints.read(SHARP_PORTRAIT_VAE)
    assert all(torch.equal(t, tensors[name].float() if name in tensors else soft[name]) for name, t in sharp.items())
    assert sum(not torch.equal(sharp[name], soft[name]) for name in tensors) > 0.9 * len(tensors)


def test_the_sharp_vaes_portraits_are_sharper_and_nearer_by_the_judge_and_its_pixels_further_off(rebuilt):
    factors, x, soft = rebuilt
    sharp = pretrained.sharp_portrait_vae().reconstruct(x).clamp(0, 1)
    shares = [(sharpness(seen) / sharpness(x)).mean().item() for seen in (soft, sharp)]
    assert shares[0] < shares[1] < 1.2, shares
    distances = [face_distance(seen, x, judge=True) for seen in (soft, sharp)]
    assert distances[1] < distances[0], distances
    assert 30 < psnr(sharp, x).mean() < psnr(soft, x).mean() + 1
    read = [factor_r2(seen, factors, judge=True) for seen in (soft, sharp)]
    assert min(read[1].values()) > 0.7 and sum(read[1].values()) > sum(read[0].values()), read


def test_the_tool_sharpens_a_portrait_vae_and_writes_what_changed(tmp_path, monkeypatch, capsys):
    path, before = tmp_path / "sharp.safetensors", [file.read_bytes() for file in (PORTRAIT_VAE, SHARP_PORTRAIT_VAE)]
    monkeypatch.setattr(train_sharp_portrait_vae, "CRITIC_ALONE", 1)
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "2", "--portraits", "40", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_sharp_portrait_vae.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "VAE" and notes == {"steps": 2, "portraits": 40}
    assert tensors.keys() == checkpoints.read(SHARP_PORTRAIT_VAE)[0].keys()
    soft = pretrained.portrait_vae().state_dict()
    assert any(not torch.equal(t.float(), soft[name]) for name, t in tensors.items())
    assert "factors read by the judge, R2: skin" in capsys.readouterr().out
    assert [file.read_bytes() for file in (PORTRAIT_VAE, SHARP_PORTRAIT_VAE)] == before


# --- the VAE of portraits in many styles ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sets():
    """50 sets of four portraits that nobody has seen: people (50, 4, 14), styles (50, 7), (50, 4, 3, 64, 64)."""
    people, style = faces.sample(200, SEED + 2), styles.sample(50, SEED)
    pictures = to_float(faces.render(people, pretrained.PORTRAIT_SIZE, style.repeat_interleave(4, 0)))
    return people.unflatten(0, (50, 4)), style, pictures.unflatten(0, (50, 4))


def test_the_shipped_style_vae_is_a_small_checkpoint_of_this_model():
    tensors, kind, notes = checkpoints.read(STYLE_VAE)
    assert STYLE_VAE.stat().st_size < 1.5e6
    assert kind == "GroupVAE" and notes == {"steps": 36_000, "styles": 3_000}
    own = pretrained.new_style_vae().state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    assert all(t.isfinite().all() for t in tensors.values())  # the precisions, too, which are in the thousands
    loaded = pretrained.style_vae().state_dict()
    assert all(torch.equal(loaded[name], t.float()) for name, t in tensors.items())


def test_no_set_or_portrait_of_these_tests_is_one_that_it_has_learned_from():
    assert not {SEED, SEED + 2} & {*SEEDS_OF_DATA.values(), *STYLE_SEEDS.values(), *train_factor_reader.SEEDS.values()}


def test_two_halves_of_a_set_tell_the_style_vae_the_same_style(sets):
    model, (_, style, pictures) = pretrained.style_vae(), sets
    one, other = (model.infer_style(half) for half in pictures.split(2, dim=1))
    assert (torch.cdist(one.mean, other.mean).argmin(1) == torch.arange(50)).float().mean() > 0.8  # of 50, by two each
    agreement = [
        torch.corrcoef(torch.stack(codes))[0, 1].item() for codes in zip(one.mean.T, other.mean.T, strict=True)
    ]
    assert min(agreement[:6]) > 0.85 and (model.infer_style(pictures).stddev < one.stddev).all(), agreement
    light = style[:, styles.TABLE.index("light")]
    assert abs(torch.corrcoef(torch.stack([one.mean[:, 0], light]))[0, 1]) > 0.95  # the direction told best


def test_the_style_vae_swaps_styles_far_better_than_colours_alone_and_best_with_the_rest_carried_over(sets):
    model, (people, style, pictures) = pretrained.style_vae(), sets
    x, s = pictures[:, 0], model.infer_style(pictures).mean
    truth = to_float(faces.render(people[:, 0], pretrained.PORTRAIT_SIZE, style.roll(1, 0)))
    by_colours = covariance_transfer(x, pictures.roll(1, 0), pictures)
    made = by_colours, *(paint(x, s, s.roll(1, 0)).clamp(0, 1) for paint in (model.restyle, model.carry_over))
    colours, decoded, carried = (psnr(swap, truth).mean().item() for swap in made)
    assert decoded > colours + 6 and carried > decoded + 0.3, (colours, decoded, carried)
    torch.testing.assert_close(model.carry_over(x, s, s), x, rtol=0, atol=1e-3)  # in its own style nothing changes


def test_a_portrait_turned_into_the_plain_style_still_shows_who_it_is(sets):
    model, (people, _, pictures) = pretrained.style_vae(), sets
    own = model.infer_style(pictures).mean.repeat_interleave(4, 0)
    plain = model.infer_style(faces.render(faces.sample(64, seed=1), pretrained.PORTRAIT_SIZE)[None]).mean
    x, people = pictures.flatten(0, 1), people.flatten(0, 1)
    before, after = (
        factor_r2(seen, people, judge=True) for seen in (x, model.carry_over(x, own, plain).clamp(0, 1))
    )  # the judge knows the plain style only
    assert min(after.values()) > 0.7, after
    assert sum(after.values()) > sum(before.values()) + 2, (before, after)


def test_the_tool_trains_a_style_vae_and_writes_a_file_that_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vae_helpers.data.faces.SIZES", {"train": 16, "validation": 32, "test": 16})
    path, before = tmp_path / "style.safetensors", STYLE_VAE.read_bytes()
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "2", "--styles", "30", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_style_vae.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "GroupVAE" and notes == {"steps": 2, "styles": 30}
    own = pretrained.new_style_vae().state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    said = capsys.readouterr().out
    assert "PSNR in dB, swapped, carried over" in said and said.count("factors read by the judge, R2: skin") == 2
    assert STYLE_VAE.read_bytes() == before


# --- the VAE of lit solids --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def solids():
    """40 solids that nobody has seen, each from four views: factors (160, 12), (40, 4, 3, 64, 64), (40, 4, 6)."""
    factors = shapes.with_views(shapes.sample(40, SEED), 4, SEED + 1)
    x, v = to_float(shapes.render(factors, pretrained.SHAPE_SIZE)), shapes.as_inputs(factors, shapes.VIEW)
    return factors, x.unflatten(0, (40, 4)), v.unflatten(0, (40, 4))


def test_the_shipped_view_vae_is_a_small_checkpoint_of_this_model():
    tensors, kind, notes = checkpoints.read(VIEW_VAE)
    assert VIEW_VAE.stat().st_size < 1.5e6
    assert kind == "ViewVAE" and notes == {"steps": 20_000, "objects": 16_000}
    own = pretrained.new_view_vae().state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    loaded = pretrained.view_vae().state_dict()
    assert all(torch.equal(loaded[name], t.float()) for name, t in tensors.items())


def test_no_solid_of_these_tests_is_one_that_it_has_learned_from():
    assert not {SEED, SEED + 1} & {seed + more for seed in SHAPE_SEEDS.values() for more in (0, 1000)}


def test_new_views_are_near_the_truth_and_nearer_the_more_was_seen(solids):
    model, (_, x, v) = pretrained.view_vae(), solids
    by_given = [
        psnr(model.novel_views(x[:, :k], v[:, :k], v[:, 3:])[:, 0].clamp(0, 1), x[:, 3]).mean() for k in (1, 2, 3)
    ]
    copied = psnr(x[:, 0], x[:, 3]).mean()
    assert by_given[0] > copied + 8 and by_given == sorted(by_given), (by_given, copied)


def test_what_was_not_shown_varies_more_than_what_was():
    """A mug with its handle behind it: drawn codes differ in the handle; once it was shown, they differ less."""
    mug = shapes.with_factors(shapes.sample(8, SEED), kind=torch.zeros(8), camera_elevation=torch.full((8,), 12.0))
    behind, beside, wanted = (shapes.with_factors(mug, camera_azimuth=torch.full((8,), a)) for a in (-90.0, 90.0, 40.0))
    x, v = (
        torch.stack([make(view) for view in (behind, beside)], 1)
        for make in (
            lambda f: to_float(shapes.render(f, pretrained.SHAPE_SIZE)),
            lambda f: shapes.as_inputs(f, shapes.VIEW),
        )
    )
    red, slate = (
        shapes.render(shapes.with_factors(wanted, part_colour=torch.full((8,), c)), 64).int() for c in (0.5, 1)
    )
    handle = (red - slate).abs().amax(1) > 20  # (8, 64, 64)
    torch.manual_seed(0)
    spread = [
        pretrained.view_vae()
        .novel_views(x[:, :k], v[:, :k], shapes.as_inputs(wanted, shapes.VIEW)[:, None], draws=20)[:, :, 0]
        .std(0)
        .mean(1)[handle]
        .mean()
        for k in (1, 2)
    ]
    assert spread[0] > 1.2 * spread[1], spread


def test_the_tool_trains_a_view_vae_and_writes_a_file_that_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vae_helpers.data.shapes.OBJECTS", {"train": 8, "validation": 4, "test": 4})
    path, before = tmp_path / "views.safetensors", VIEW_VAE.read_bytes()
    monkeypatch.setattr(sys, "argv", ["tool", "--steps", "2", "--objects", "8", "--to", str(path)])
    with torch.random.fork_rng(devices=[]):
        train_view_vae.main()
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "ViewVAE" and notes == {"steps": 2, "objects": 8}
    own = pretrained.new_view_vae().state_dict()
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}
    assert capsys.readouterr().out.count("PSNR in dB of new views") == 3 and VIEW_VAE.read_bytes() == before
