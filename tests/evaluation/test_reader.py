"""The reader of factors and the judge: how well they read, what its numbers mean, and that reading leaves no trace."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import r2_score

from vae_helpers import pretrained
from vae_helpers.evaluation import (
    face_distance,
    factor_features,
    factor_r2,
    frechet_distance,
    psnr,
    read_factors,
    reader,
)
from vae_helpers.images import to_float
from vae_helpers.models.factor_reader import FEATURE_DIM
from vae_helpers.rendering import faces

SEED = 4711  # neither the reader nor the data sets of the course have seen portraits of it
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def factors():
    return faces.sample(1500, SEED)


@pytest.fixture(scope="module")
def small(factors):
    return faces.render(factors, 32)


@pytest.fixture(scope="module")
def large(factors):
    return faces.render(factors, 64)


def noisy(images, sigma):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (to_float(images) + sigma * noise).clamp(0, 1)


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "large"])
def test_every_factor_is_read_from_new_portraits(size, factors, request):
    scores = factor_r2(request.getfixturevalue(size), factors)
    assert tuple(scores) == faces.NAMES
    assert min(scores.values()) >= 0.97, scores


def test_what_is_read_is_in_the_units_of_the_factors(factors, small):
    read = read_factors(small)
    assert read.shape == factors.shape and read.dtype == torch.float32
    assert ((read - factors).abs().mean(0) < 0.04 * (faces.ranges(factors)[1] - faces.ranges(factors)[0])).all()


@pytest.mark.parametrize("name", faces.NAMES)
def test_a_change_of_one_factor_is_read_as_that_and_as_little_else(name, factors):
    factor, column = faces.FACTORS[faces.index(name)], faces.index(name)
    margin = 0 if name == "glasses" else 0.2  # there are portraits with or without them, nothing in between
    span = (1 - 2 * margin) * (factor.high - factor.low)
    low = factor.low + margin * (factor.high - factor.low)
    before, after = (
        read_factors(faces.render(faces.with_factors(factors[:120], **{name: value}), 32))
        for value in (low, low + span)
    )
    own = (after - before)[:, column]
    assert own.min() > 0 and math.isclose(own.mean(), span, rel_tol=0.03)
    others = (faces.to_unit(after) - faces.to_unit(before)).abs().mean(0)
    others[column] = 0
    assert others.max() < 0.15  # of the 2 from low to high


def test_larger_pictures_are_averaged(factors, large):
    for size, images in ((64, large[:40]), (96, faces.render(factors[:40], 96))):
        averaged = F.avg_pool2d(to_float(images), size // 32)
        assert torch.allclose(read_factors(images), read_factors(averaged), atol=1e-5)
    odd = faces.render(factors[:40], 50)  # windows of different sizes
    assert (read_factors(odd) - factors[:40]).abs().mean() < 0.1


def test_how_many_pictures_are_read_at_a_time_does_not_matter(small):
    images = small[:20]
    for function in (read_factors, factor_features):
        whole = function(images)
        for batch_size in (1, 7, 20, 10_000):
            assert torch.allclose(function(images, batch_size), whole, atol=1e-5)


def test_stored_pictures_and_floats_are_read_alike(small):
    x = to_float(small[:20])
    assert torch.equal(read_factors(small[:20]), read_factors(x))
    assert torch.equal(factor_features(small[:20]), factor_features(x))
    assert torch.allclose(read_factors(x.double()), read_factors(x), atol=1e-5)
    assert (read_factors(x.half()) - read_factors(x)).abs().max() < 0.05


def test_features_are_what_the_factors_are_read_from(small):
    for judge in (False, True):
        network, features = reader._reader(CPU, judge), factor_features(small[:20], judge=judge)
        assert features.shape == (20, FEATURE_DIM) and features.std(0).min() > 0
        read = faces.from_unit(network.head(features).clamp(-1.5, 1.5))
        assert torch.allclose(read, read_factors(small[:20], judge=judge), atol=1e-6)


def test_nonsense_is_read_as_at_most_a_little_out_of_range():
    generator = torch.Generator().manual_seed(0)
    for x in (torch.rand(50, 3, 32, 32, generator=generator), torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)):
        assert faces.to_unit(read_factors(x)).abs().max() <= 1.5 + 1e-5
    checks = (torch.rand(50, 3, 32, 32, generator=generator) > 0.5).float()
    assert faces.to_unit(read_factors(checks)).abs().max() > 1


# --- R2 ------------------------------------------------------------------------------------------------------------


def test_r2_is_scikit_learns(factors, small):
    for images in (small, noisy(small, 0.15), small.roll(1, 0)):
        expected = r2_score(factors.numpy(), read_factors(images).numpy(), multioutput="raw_values")
        ours = factor_r2(images, factors)
        assert np.allclose(list(ours.values()), expected, atol=1e-4)
        assert all(isinstance(value, float) for value in ours.values())
    assert max(ours.values()) < -0.5  # of other people's factors: worse than guessing the mean
    assert np.allclose(list(factor_r2(images, factors.double()).values()), expected, atol=1e-4)


def test_blur_takes_the_smile_before_the_skin(factors, small):
    coarse = F.interpolate(F.avg_pool2d(to_float(small), 2), scale_factor=2, mode="bilinear").clamp(0, 1)
    sharp, blurred = factor_r2(small, factors), factor_r2(coarse, factors)
    assert blurred["smile"] < 0.9 < 0.98 < blurred["skin"]
    assert all(blurred[name] < sharp[name] - 0.05 for name in ("smile", "gaze", "eye_size", "brows", "hair_texture"))


def test_a_factor_that_does_not_vary_has_no_r2(factors, small):
    for n in (5, 7, 10):
        constant = faces.with_factors(factors[:n], smile=0.3)
        with pytest.raises(ValueError, match=r"smile is the same in all rows of factors: its R2 is not defined"):
            factor_r2(small[:n], constant)
    with pytest.raises(ValueError, match="skin is the same"):
        factor_r2(small[:1], factors[:1])


def test_pictures_and_factors_that_do_not_match_are_refused(factors, small):
    with pytest.raises(ValueError, match="9 images and 10 rows of factors do not match"):
        factor_r2(small[:9], factors[:10])
    with pytest.raises(ValueError, match=r"factors must have shape \(N, 14\)"):
        factor_r2(small[:9], factors[:9, :13])
    with pytest.raises(TypeError, match="images must be a torch tensor"):
        factor_r2(factors[:9].numpy(), factors[:9])


# --- distance ------------------------------------------------------------------------------------------------------


def test_a_set_is_at_distance_zero_from_itself_and_near_another_of_its_kind(small):
    a, b = small[:700], small[700:1400]
    shuffled = a[torch.randperm(700, generator=torch.Generator().manual_seed(0))]
    scale = factor_features(a).var(0).sum().item()
    assert 0 <= face_distance(a, a) < 1e-6 * scale and 0 <= face_distance(a, shuffled) < 1e-6 * scale
    assert 0 < face_distance(a, b) < 0.05 * scale
    assert isinstance(face_distance(a, b), float)


def test_the_distance_is_the_same_both_ways(small):
    a, b = small[:300], noisy(small[300:700], 0.1)
    assert math.isclose(face_distance(a, b), face_distance(b, a), rel_tol=1e-6)


def test_the_distance_grows_with_noise(small):
    a = small[:600]
    distances = [face_distance(a, noisy(a, sigma)) for sigma in (0, 0.05, 0.1, 0.2, 0.4)]
    assert all(after > 1.5 * before for before, after in itertools.pairwise(distances))


@pytest.mark.parametrize("name", ["skin", "smile", "clothes"])
def test_the_distance_grows_as_the_people_become_others(name, factors, small):
    a, others = small[:600], factors[600:1200]
    value = others[:, faces.index(name)]
    shifted = (faces.with_factors(others, **{name: share + (1 - share) * value}) for share in (0, 0.25, 0.5, 1))
    distances = [face_distance(a, faces.render(f, 32)) for f in shifted]
    assert all(after > 1.2 * before for before, after in itertools.pairwise(distances))


def test_the_distance_says_what_it_is_not():
    assert "No FID" in face_distance.__doc__ and "equal numbers" in face_distance.__doc__
    assert "no judge of photographs" in " ".join(reader.__doc__.split())


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["portrait.png", None, [1.0], np.zeros((2, 3, 32, 32)), torch.zeros(2, 3, 32, 32).long()]
)
def test_what_is_no_tensor_of_pictures_is_refused_with_a_way_out(bad):
    kind = "int64" if isinstance(bad, torch.Tensor) else type(bad).__name__
    words = rf"images must be a torch tensor \(N, 3, S, S\), uint8 or floats in \[0, 1\], not {kind}.*torch.from_numpy"
    for function in (read_factors, factor_features):
        with pytest.raises(TypeError, match=words):
            function(bad)
    with pytest.raises(TypeError, match=words.replace("images", "others")):
        face_distance(torch.zeros(2, 3, 32, 32), bad)


@pytest.mark.parametrize(
    "shape",
    [(3, 32, 32), (0, 3, 32, 32), (2, 1, 32, 32), (2, 4, 32, 32), (2, 3, 31, 31), (2, 3, 32, 40), (2, 32, 32, 3)],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pictures_of_another_shape_are_refused(shape, dtype):
    with pytest.raises(ValueError, match=r"images must have shape \(N, 3, S, S\) .* S of at least 32, not") as caught:
        read_factors(torch.zeros(shape, dtype=dtype))
    assert ("image[None]" in str(caught.value)) == (len(shape) == 3)


@pytest.mark.parametrize(
    ("value", "words"), [(math.nan, "1 values that are NaN"), (math.inf, "NaN or infinite"), (255.0, r"in \[0, 1\]")]
)
def test_values_that_are_no_pixels_are_refused(value, words):
    x = torch.zeros(2, 3, 32, 32)
    x[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=words):
        read_factors(x)
    with pytest.raises(ValueError, match=f"others .*{words}"):
        face_distance(torch.zeros(2, 3, 32, 32), x)


def test_other_bad_arguments_are_named(small):
    for batch_size in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
            read_factors(small[:2], batch_size)
    with pytest.raises(ValueError, match=r"others must have shape .* N of at least 2.* not \(1, 3, 32, 32\)"):
        face_distance(small, small[:1])


# --- the judge -----------------------------------------------------------------------------------------------------


def blurred(x, sigma):
    weights = torch.exp(-0.5 * (torch.arange(-3, 4) / sigma) ** 2)
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    return F.conv2d(F.pad(x, (3,) * 4, mode="replicate"), kernel.expand(3, 1, 7, 7), groups=3).clamp(0, 1)


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_judge_reads_every_factor_from_new_portraits(size, factors, request):
    scores = factor_r2(request.getfixturevalue(size), factors, judge=True)
    assert tuple(scores) == faces.NAMES and min(scores.values()) >= 0.94, scores


def test_the_judge_reads_soft_portraits_and_the_softer_the_worse(factors, small):
    soft, softer = (factor_r2(blurred(to_float(small), sigma), factors, judge=True) for sigma in (0.7, 1.0))
    assert min(soft.values()) > 0.9, soft
    assert min(softer.values()) > 0.65 and softer["smile"] > 0.9, softer
    assert all(softer[name] < soft[name] < 1 for name in ("smile", "gaze", "eye_size", "brows"))


def test_the_judge_reads_nothing_from_other_peoples_portraits(factors, small):
    shuffled = factor_r2(small.roll(1, 0), factors, judge=True)
    assert max(shuffled.values()) < -0.5


def test_the_judge_is_another_network_in_every_question(factors, small):
    images, rows = small[:200], factors[:200]
    network = pretrained.portrait_judge()
    with torch.no_grad():
        x = to_float(images)
        read, told = faces.from_unit(network(x).clamp(-1.5, 1.5)), network.body(x)
    assert torch.allclose(read_factors(images, judge=True), read, atol=1e-5)
    assert torch.allclose(factor_features(images, judge=True), told, atol=1e-5)
    assert (read_factors(images) - read).abs().max() > 0.01 and not torch.allclose(factor_features(images), told)
    assert torch.equal(read_factors(images), read_factors(images, judge=False))
    error = (read - rows).square().mean(0) / rows.var(0, correction=0)
    assert list(factor_r2(images, rows, judge=True).values()) == pytest.approx((1 - error).tolist(), abs=1e-5)
    others = noisy(small[200:400], 0.1)
    expected = frechet_distance(told, factor_features(others, judge=True))
    assert face_distance(images, others, judge=True) == pytest.approx(expected, rel=1e-5)
    assert face_distance(images, others) != pytest.approx(expected, rel=0.01)


def test_the_two_networks_errors_are_not_the_same_ones(factors, small):
    """A judge that errs where the reader errs would not see what a loss with the reader's features does to pictures."""
    mistakes = [faces.to_unit(read_factors(small, judge=judge)) - faces.to_unit(factors) for judge in (False, True)]
    a, b = (one - one.mean(0) for one in mistakes)
    correlation = (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt()  # (14,)
    assert correlation.abs().mean() < 0.5, correlation


def test_what_is_neither_true_nor_false_asks_no_judge(factors, small):
    for judge in (1, "yes", None, []):
        for call in (
            lambda judge: read_factors(small[:2], judge=judge),
            lambda judge: factor_features(small[:2], judge=judge),
            lambda judge: face_distance(small[:2], small[:2], judge),
            lambda judge: factor_r2(small[:9], factors[:9], judge),
        ):
            with pytest.raises(ValueError, match="judge must be True or False"):
                call(judge)


# --- the network ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", [False, True])
def test_there_is_one_network_of_each_kind_and_it_cannot_be_trained(small, judge):
    network = reader._reader(CPU, judge)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    assert reader._reader(CPU, judge) is network is not reader._reader(CPU, not judge)
    assert not any(part.training for part in network.modules())
    assert not any(p.requires_grad for p in network.parameters())
    read_factors(small[:300], judge=judge)
    face_distance(small[:200], small[200:400], judge)
    assert all(torch.equal(t, before[name]) for name, t in reader._reader(CPU, judge).state_dict().items())
    assert not any(t.is_meta for t in before.values())


def test_reading_takes_no_gradient(small):
    x = to_float(small[:4]).requires_grad_()
    with torch.enable_grad():
        assert not read_factors(x).requires_grad and not factor_features(x).requires_grad
        face_distance(x, x)
        assert torch.is_grad_enabled()
    assert x.grad is None


def test_reading_draws_no_random_numbers_not_even_the_first_time(small):
    reader._reader.cache_clear()
    torch.manual_seed(0)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = read_factors(small[:50])
    face_distance(small[:20], small[20:40])
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert torch.equal(read_factors(small[:50]), first)


def test_the_pictures_are_left_as_they_are(small):
    x = to_float(small[:10])
    before = x.clone()
    read_factors(x)
    assert torch.equal(x, before)


# --- drawn anew ------------------------------------------------------------------------------------------------------


def test_what_is_read_as_a_portrait_can_be_drawn(small):
    strange = torch.rand(200, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for judge in (False, True):
        for images in (small[:200], strange):
            read, raw = reader.read_portraits(images, judge), read_factors(images, judge=judge)
            assert torch.equal(faces.check_factors(read), read)
            low, high = faces.ranges(read)
            inside = (raw >= low) & (raw <= high)
            glasses = faces.index("glasses")
            assert torch.equal(read[:, glasses], (raw[:, glasses] > 0.5).float())
            inside[:, glasses] = False
            assert torch.equal(read[inside], raw[inside])
    assert torch.equal(reader.read_portraits(small[:9]), reader.read_portraits(small[:9], judge=True))


def test_a_portrait_is_near_to_the_one_that_is_seen_in_it_and_what_is_none_is_not(large):
    images = large[:100]
    x = to_float(images)

    def near(x):
        return psnr(x, to_float(reader.redrawn(x))).mean().item()

    true, soft = near(x), near(F.avg_pool2d(F.pad(x, (2,) * 4, mode="replicate"), 5, stride=1))
    ghosts = near((x + x.flip(0)) / 2)
    assert true > 32 and true > soft + 5 and true > ghosts + 8 and near(torch.rand(20, 3, 64, 64)) < 12
    drawn = reader.redrawn(images)
    assert drawn.dtype == torch.uint8 and drawn.shape == images.shape
    assert torch.equal(drawn, faces.render(reader.read_portraits(images), 64))
    assert torch.equal(reader.redrawn(images, judge=False), faces.render(reader.read_portraits(images, False), 64))
