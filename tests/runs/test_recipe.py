"""The model for a folder: it begins as its simplest opponent, and chooses the transform that suits the pictures."""

import re

import pytest
import torch

from vae_helpers import Diagnosis, History, evaluate, fit, load
from vae_helpers.models import ProbabilisticPCA
from vae_helpers.runs.measuring import OPPONENTS, _until, verdict
from vae_helpers.runs.recipe import RATE, RECIPES, begin, folder_vae, proposal, proposed_shift


@pytest.fixture(scope="module")
def faces():
    data = load("faces", size=32, n=400)
    return data.train.images, data.validation.images[:100]


def test_smooth_pictures_take_the_wavelet_and_pixels_of_two_values_do_not(faces):
    assert proposal(*faces)["model"] == "wavelet"
    ink = 255 * (torch.rand(300, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.9).to(torch.uint8)
    assert proposal(ink[:200], ink[200:])["model"] == "pixels"


def test_the_beginning_is_probabilistic_pca_of_the_coarse_coefficients(faces):
    """Its posterior means are those of the formula, and held-out pictures are far cheaper than without it."""
    torch.manual_seed(0)
    vae = begin(folder_vae((3, 32, 32), "wavelet", 24), faces[0])
    with torch.no_grad():
        coefficients = vae.likelihood.coefficients(vae.prepare(faces[0]))
        coarse = coefficients.clamp(-10, 10).flatten(1)
        pca = ProbabilisticPCA.maximum_likelihood(coarse, 24)
        held_out = vae.likelihood.coefficients(vae.prepare(faces[1])).clamp(-10, 10).flatten(1)
        exact = pca.posterior(held_out).mean
        x = vae.likelihood.encoder_input(vae.prepare(faces[1]))
        straight = vae.encoder.straight(vae.encoder.coarse(vae.likelihood.coefficients(vae.prepare(faces[1]))))
        moved = pca.posterior(coarse.mean(0, keepdim=True)).mean - vae.encoder.straight(coarse.mean(0))
        torch.testing.assert_close(straight + moved, exact, rtol=1e-2, atol=1e-2)
        assert x.shape == (100, 3, 32, 32)
    torch.manual_seed(0)
    plain = folder_vae((3, 32, 32), "wavelet", 24)
    plain.likelihood.begin(faces[0])
    with_it, without = (evaluate(model, faces[1], samples=2)["elbo"].mean for model in (vae, plain))
    assert with_it > without + 500


@pytest.mark.parametrize("model", RECIPES)
def test_it_learns_from_its_beginning(model, faces):
    torch.manual_seed(0)
    vae = begin(folder_vae((3, 32, 32), model, 16), faces[0])
    before = evaluate(vae, faces[1], samples=1)["elbo"].mean
    fit(vae, faces[0], steps=60, batch_size=32, learning_rate=2e-3, progress=False)
    assert evaluate(vae, faces[1], samples=1)["elbo"].mean > before + 100


def test_its_first_steps_do_not_lose_the_beginning(faces):
    torch.manual_seed(0)
    vae = begin(folder_vae((3, 32, 32), "wavelet", 64), faces[0])
    looks = []
    fit(
        vae,
        faces[0],
        steps=40,
        batch_size=32,
        learning_rate=RATE,
        progress=False,
        callback=lambda step, vae: looks.append(evaluate(vae, faces[1], samples=1)["elbo"].mean),
        callback_every=10,
    )
    assert looks[0] < min(looks[1:]) and looks[-1] > looks[0] + 100


def test_pictures_are_moved_where_places_do_not_matter_and_each_is_seen_often(faces):
    """Cuts from a picture with no middle, and portraits whose eyes lie where all others' do."""
    torch.manual_seed(0)
    ground = torch.rand(3, 600, 600)
    for _ in range(3):  # smooth, the same everywhere
        ground = torch.nn.functional.avg_pool2d(ground[None], 5, 1, 2)[0]
    ground = ((ground - ground.mean()) / ground.std() * 40 + 128).clamp(0, 255).to(torch.uint8)
    corners = torch.randint(0, 568, (500, 2)).tolist()
    cuts = torch.stack([ground[:, y : y + 32, x : x + 32] for y, x in corners])
    for train, held_out, wanted in ((cuts[:400], cuts[400:], 1), (*faces, 0)):
        vae = begin(folder_vae((3, 32, 32), "wavelet", 24), train)
        before = torch.get_rng_state()
        assert proposed_shift(vae, held_out, seen=16.0) == wanted
        assert torch.equal(torch.get_rng_state(), before)
        assert proposed_shift(vae, held_out, seen=15.9) == 0 == proposed_shift(vae, held_out[:1], seen=16.0)


@pytest.mark.parametrize("n", [3, 10])
def test_a_few_pictures_are_enough_to_begin_with(n, faces):
    torch.manual_seed(0)
    vae = begin(folder_vae((3, 32, 32), "wavelet", 64), faces[0][:n])
    assert torch.isfinite(vae.elbo(vae.prepare(faces[1][:4])).elbo).all()


def test_a_model_that_was_not_begun_is_a_model(faces):
    vae = folder_vae((3, 64, 64), "wavelet", 8)
    assert vae.sample(2).shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match="model"):
        folder_vae((3, 64, 64), "conv", 8)


def test_a_history_is_cut_at_the_step_whose_weights_were_kept():
    history = History([1, 2, 3], {"loss": [3.0, 2.0, 1.0]}, [2, 3], {"loss": [5.0, 6.0]}, 7.0)
    kept = _until(history, 2)
    assert (kept.step, kept.train, kept.validation_step, kept.validation) == (
        [1, 2],
        {"loss": [3.0, 2.0]},
        [2],
        {"loss": [5.0]},
    )
    assert history.step == [1, 2, 3] and _until(history, 3) == history


def numbers(vae, gaussian=4.0, mean_picture=5.0, near=0.0, losses=(9000.0,) * 9, sub_folders=1, split_by="picture"):
    bits = {"VAE": vae, "Gaussian": gaussian, "mean picture": mean_picture, "PNG": 1.0, "WebP": 1.0}
    return {
        "bits_per_dim": {name: {"mean": mean, "standard_error": 0.01} for name, mean in bits.items()},
        "ahead_of": {name: {"mean": bits[name] - vae, "standard_error": 0.01} for name in OPPONENTS},
        "near_copies": near,
        "history": {"validation": {"loss": list(losses)}},
        "pictures": {"training": 321, "sub-folders": sub_folders},
        "dimensions": 3072,
        "settings": {"model": "wavelet", "split_by": split_by},
    }


OVERFITTED = [9000, 8000, 7000, 7500, 7900, 8000, 8100]


@pytest.mark.parametrize(
    ("given", "said", "not_said"),
    [
        (numbers(3.0), "Better than what is simplest: 3.000", "But"),
        (numbers(4.5, gaussian=6.0), r"Better .*best simple opponent \(mean picture\) 5.000", "Gaussian"),
        (numbers(3.985), "Not told apart .* come to rest.*--model pixels", "Better"),
        (numbers(4.015), "Not told apart", "Worse"),
        (numbers(3.975), "Better than", "Not told apart"),  # by the differences of pictures, not by both spreads
        (numbers(4.5), "Worse than .* come to rest", "Better"),
        (numbers(3.0, near=0.5), "Better .*But 50% of these pictures have a near copy.* Thin them out", "--split-by"),
        (numbers(3.0, near=0.5, sub_folders=3), "To learn that, train with --split-by folder", "Thin"),
        (numbers(3.0, near=0.5, sub_folders=3, split_by="folder"), "Thin them out to learn that", "--split-by"),
        (numbers(4.5, losses=range(9000, 8100, -100)), "Worse .*second half of training gained", "come to rest"),
        (numbers(4.5, losses=OVERFITTED), "321 pictures are too few .*Add some[.]", "minutes"),
        (numbers(4.5, near=0.5, losses=OVERFITTED), "Add some that are near copies of none", "minutes"),
    ],
)
def test_the_verdict_sets_the_number_beside_the_best_simple_opponent_and_says_why(given, said, not_said):
    told = verdict(given, Diagnosis(checks=3))
    assert re.search(said, told) and not_said not in told and told.startswith("Healthy")
