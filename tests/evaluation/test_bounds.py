"""Numbers about models: means over images, honest errors, the same whatever the batch."""

import math

import pytest
import torch
from torch.distributions import Distribution

from vae_helpers.distributions import GreyBernoulliLikelihood, validate_first_batch
from vae_helpers.evaluation import (
    Estimate,
    active_units,
    aggregate_posterior,
    evaluate,
    kl_decomposition,
    log_likelihood,
    mean_and_error,
)
from vae_helpers.models import mlp_vae


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return mlp_vae((1, 4, 4), 2, (16,), GreyBernoulliLikelihood())


IMAGES = torch.randint(0, 256, (70, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_error_is_that_of_the_mean():
    values = torch.arange(10.0)
    estimate = mean_and_error(values)
    assert estimate.mean == 4.5 and math.isclose(
        estimate.standard_error, values.std().item() / math.sqrt(10), rel_tol=1e-6
    )
    assert str(Estimate(-12.345, 0.021)) == "-12.35 ± 0.02" or str(Estimate(-12.345, 0.021)) == "-12.34 ± 0.02"


def test_the_error_covers_the_truth_as_often_as_it_should():
    torch.manual_seed(0)
    inside = 0
    for _ in range(1000):
        mean, error = mean_and_error(torch.randn(50) + 3)
        inside += abs(mean - 3) < 1.96 * error
    assert 0.92 < inside / 1000 < 0.97


def test_a_last_smaller_batch_counts_by_its_images(vae):
    exact = [evaluate(vae, IMAGES, samples=400, batch_size=size)["elbo"].mean for size in (70, 32, 1)]
    assert max(exact) - min(exact) < 0.02
    kls = [evaluate(vae, IMAGES, batch_size=size)["kl"].mean for size in (70, 32)]
    assert math.isclose(*kls, rel_tol=1e-5)


def test_elbo_is_minus_distortion_minus_kl_and_below_the_likelihood(vae):
    parts = evaluate(vae, IMAGES, samples=50)
    assert math.isclose(parts["elbo"].mean, -parts["distortion"].mean - parts["kl"].mean, rel_tol=1e-5)
    assert log_likelihood(vae, IMAGES, samples=200).mean > parts["elbo"].mean


@pytest.fixture
def decoded(vae):
    """Notes for each call of the decoder how many pictures it made, and whether the distributions were checked."""
    notes, decode = [], vae.decode

    def spy(z):
        notes.append((z[..., 0].numel(), Distribution._validate_args))
        return decode(z)

    vae.decode = spy
    return notes


@pytest.mark.parametrize(
    ("measure", "most"),
    [
        (lambda vae: log_likelihood(vae, IMAGES, samples=101, batch_size=20, chunk=10), 200),
        (lambda vae: log_likelihood(vae, IMAGES, samples=101), 490),  # 70 images, 7 draws
        (lambda vae: evaluate(vae, IMAGES, samples=20), 500),  # 25 images, 20 draws
        (lambda vae: evaluate(vae, IMAGES, samples=600), 600),
        (lambda vae: evaluate(vae, IMAGES, samples=20, batch_size=30), 600),
    ],
)
def test_memory_is_bounded_by_the_pictures_decoded_at_a_time(vae, decoded, measure, most):
    measure(vae)
    assert max(count for count, _ in decoded) == most and len(decoded) > 1


def test_the_first_batch_alone_is_checked(vae, decoded):
    evaluate(vae, IMAGES, batch_size=20)
    log_likelihood(vae, IMAGES, samples=20, chunk=5)
    assert [checked for _, checked in decoded] == [True, False, False, False, True, False, False, False]
    assert Distribution._validate_args
    with pytest.raises(ValueError, match="within the support"), validate_first_batch() as enough:
        vae.decode(torch.zeros(2, 2)).log_prob(torch.full((2, 1, 4, 4), 3.0))
    with pytest.raises(KeyError), validate_first_batch() as enough:
        enough()
        vae.decode(torch.zeros(2, 2)).log_prob(torch.full((2, 1, 4, 4), 3.0))
        raise KeyError
    assert Distribution._validate_args


def test_evaluation_repeats_itself_and_leaves_the_random_state_alone(vae):
    before = torch.get_rng_state()
    assert evaluate(vae, IMAGES) == evaluate(vae, IMAGES)
    assert evaluate(vae, IMAGES, seed=1) != evaluate(vae, IMAGES)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(p.grad is not None for p in vae.parameters())


def test_bad_input_is_named(vae):
    with pytest.raises(ValueError, match="values holds 1 values that are NaN"):
        mean_and_error(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match=r"values must have shape .* N of at least 2, not \(1,\)"):
        mean_and_error(torch.zeros(1))
    with pytest.raises(TypeError, match="data must be a tensor of pictures, or several"):
        evaluate(vae, [IMAGES, "labels"])
    with pytest.raises(ValueError, match=r"as many rows in each tensor, at least one, not \[70, 3\]"):
        evaluate(vae, (IMAGES, torch.zeros(3)))


@pytest.mark.parametrize("measure", [evaluate, log_likelihood, active_units, aggregate_posterior, kl_decomposition])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (torch.zeros(70), r"must begin with pictures .* not Tensor float32 \(70,\)\. .* row\[None\]"),  # a flat picture
        ([torch.arange(70), IMAGES], r"must begin with pictures .* not Tensor int64 .*\(images, labels\)"),
        (IMAGES[:, 0], r"must have shape \(N, C, H, W\) .* not \(70, 4, 4\)"),
        ((IMAGES, torch.full((70,), math.nan)), "holds 70 values that are NaN"),
    ],
    ids=["flat", "labels", "stored", "NaN"],
)
def test_what_are_no_pictures_is_named_before_the_model_sees_it(vae, measure, data, words):
    with pytest.raises(ValueError, match=f"data {words}"):
        measure(vae, data)
