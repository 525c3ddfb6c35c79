"""Does a portrait do what a sentence asks? True portraits do, others as chance has it; and freedom, from 0 to 1."""

import math

import pytest
import torch

from vae_helpers.evaluation import freedom, obeyed
from vae_helpers.evaluation.reader import read_portraits
from vae_helpers.images import to_float
from vae_helpers.rendering import captions, faces

N = 600


@pytest.fixture(scope="module")
def portraits():
    """Factors, pictures, and a sentence about each."""
    factors = faces.sample(N, 4711)
    return factors, faces.render(factors, 64), captions.write(factors, 1)


def test_true_portraits_do_what_is_asked_of_them(portraits):
    _, images, told = portraits
    done, asked = obeyed(images, told), captions.wanted(told) >= 0
    assert done.shape == (N, 14) and torch.equal(done.isnan(), ~asked)
    assert set(done[asked].tolist()) == {0.0, 1.0}
    judged = captions.classes(read_portraits(images, judge=True)) == captions.wanted(told)
    assert torch.equal(done[asked], judged[asked].float())
    assert done.nanmean() >= 0.93 and done.nanmean(0).min() > 0.85
    torch.testing.assert_close(obeyed(to_float(images[:50]), told[:50]), done[:50], equal_nan=True)


def test_what_is_drawn_to_order_does_it_too():
    told = captions.write(faces.sample(200, 5), 2, torch.ones(200, 14, dtype=torch.bool))
    assert obeyed(faces.render(captions.draw(told, 3), 64), told).mean() >= 0.93


def test_portraits_of_other_sentences_do_it_as_often_as_their_classes_occur(portraits):
    factors, images, told = portraits
    shuffled = [*told[1:], told[0]]
    wanted = captions.wanted(shuffled)
    share = torch.stack([captions.classes(factors).eq(k).float().mean(0) for k in range(6)])  # (6, 14)
    expected = share.gather(0, wanted.clamp(min=0))
    expected[wanted < 0] = torch.nan
    done = obeyed(images, shuffled)
    error = math.sqrt(0.25 / (wanted >= 0).sum())
    assert done.nanmean().item() == pytest.approx(expected.nanmean().item(), abs=4 * error)
    assert (done.nanmean(0) - expected.nanmean(0)).abs().max() < 0.12 and 0.3 < done.nanmean() < 0.4


def test_one_thing_that_is_wrong_is_counted_as_one(portraits):
    factors, _, _ = portraits
    told = captions.write(factors[:150], 3, torch.ones(150, 14, dtype=torch.bool))
    other = faces.with_factors(factors[:150], glasses=1 - factors[:150, faces.index("glasses")])
    done = obeyed(faces.render(other, 64), told)
    assert done[:, faces.index("glasses")].max() == 0 and done.mean() > 12 / 14 * 0.96


def test_where_nothing_is_asked_nothing_is_done(portraits):
    assert obeyed(portraits[1][:3], ["a portrait"] * 3).isnan().all()


def test_portraits_drawn_to_order_are_free_and_copies_are_not():
    told = captions.write(faces.sample(10, 6), 4, torch.rand(10, 14, generator=torch.Generator().manual_seed(0)) < 0.4)
    sets = torch.stack([faces.render(captions.draw([one] * 40, seed), 64) for seed, one in enumerate(told)])
    free = freedom(sets, told)
    assert free.shape == (10,) and free.mean().item() == pytest.approx(1, abs=0.08) and free.min() > 0.7
    pairs = freedom(sets.unflatten(1, (20, 2)).flatten(0, 1), [one for one in told for _ in range(20)])
    assert pairs.mean().item() == pytest.approx(1, abs=0.12)  # also of two, on average
    assert freedom(sets[:, :1].expand(-1, 2, -1, -1, -1), told).max() < 1e-6
    half = torch.cat([sets[:, :1].expand(-1, 20, -1, -1, -1), sets[:, 20:]], 1)  # a mixture of a point and all
    assert 0.35 < freedom(half, told).mean() < 0.85


def test_only_what_is_left_open_counts():
    told = ["a portrait with a broad smile", "a portrait with light skin"]
    base = faces.sample(1, 7)
    varied = faces.with_factors(base.expand(40, -1), skin=faces.sample(40, 8)[:, 0])  # in nothing but the skin
    sets = faces.render(varied, 64).expand(2, -1, -1, -1, -1)
    open_, asked = freedom(sets, told).tolist()
    spread = (varied[:, 0].var() / faces.sample(10_000).var(0)[0]).item()
    assert open_ == pytest.approx(spread / 13, rel=0.15) and asked < 0.2 * open_
    complete = captions.write(base, 0, torch.ones(1, 14, dtype=torch.bool))
    assert freedom(sets[:1, :3], complete).isnan().all()
    assert freedom(faces.render(faces.sample(300, 9), 64)[None], ["a portrait"]).item() == pytest.approx(1, abs=0.06)


def test_numbers_of_pictures_and_sentences_must_match(portraits):
    _, images, told = portraits
    with pytest.raises(ValueError, match="3 images and 2 sentences do not match"):
        obeyed(images[:3], told[:2])
    with pytest.raises(ValueError, match="1 sets of images and 2 sentences do not match"):
        freedom(images[None, :2], told[:2])
    with pytest.raises(ValueError, match=r"images must have shape \(M, K, 3, S, S\).* K of at least 2"):
        freedom(images[:2, None], told[:2])
    with pytest.raises(TypeError, match="images must be"):
        obeyed("pictures", told[:2])
    with pytest.raises(TypeError, match="images must be"):
        freedom([images], told[:1])
    with pytest.raises(ValueError, match="the word 'nose' is not known"):
        obeyed(images[:1], ["a portrait with a nose"])
    for score, pictures in ((obeyed, images[:1]), (freedom, images[None, :2])):
        with pytest.raises(TypeError, match=r"sentences must be a list of them, not one string: \['a portrait"):
            score(pictures, told[0])


def test_numbers_are_compared_before_anything_is_read(portraits, monkeypatch):
    images = portraits[1]
    monkeypatch.setattr("vae_helpers.evaluation.obedience.read_portraits", None)
    monkeypatch.setattr(captions, "wanted", None)
    with pytest.raises(ValueError, match=r"3 images and 1 sentences do not match: .*\[sentence\] \* n"):
        obeyed(images[:3], ["not understood"])
    with pytest.raises(ValueError, match="2 sets of images and 1 sentences do not match"):
        freedom(images[:4].unflatten(0, (2, 2)), ["not understood"])
