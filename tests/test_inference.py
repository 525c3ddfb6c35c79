"""Codes inferred from parts of several pictures, against posteriors that are known exactly."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence

from vae_helpers import inference
from vae_helpers.blending import fill_smoothly
from vae_helpers.distributions import BernoulliLikelihood, GaussianLikelihood, diagonal_gaussian, standard_normal
from vae_helpers.inference import infer_code
from vae_helpers.models import VAE


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear_vae(sigma=0.3, dims=3):
    """x = W z + b + sigma eps, whose posteriors are known; the encoder says N(0, e^-2 I) to everything."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(dims, 12), nn.Unflatten(1, (1, 3, 4)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 2 * dims))
    nn.init.zeros_(encoder[1].weight)
    with torch.no_grad():
        encoder[1].bias.copy_(torch.tensor([0.0] * dims + [-2.0] * dims))
        decoder[0].weight.mul_(3)
    return VAE(encoder, decoder, GaussianLikelihood(sigma), dims)


def exact_posterior(model, sources, masks):
    """Mean (N, D) and precision (N, D, D) of p(z | chosen pixels) of the linear model."""
    w, b = model.decoder[0].weight.detach(), model.decoder[0].bias.detach()
    precision = torch.eye(w.shape[1]).expand(len(sources[0]), -1, -1)
    right = torch.zeros(len(sources[0]), w.shape[1])
    for x, m in zip(sources, masks, strict=True):
        chosen = m.float().expand(len(x), -1, -1, -1).flatten(1) / model.likelihood.sigma.item() ** 2
        precision = precision + torch.einsum("nd,di,dj->nij", chosen, w, w)
        right = right + (chosen * (x.flatten(1) - b)) @ w
    return torch.linalg.solve(precision, right), precision


def two_sources():
    left = torch.zeros(1, 1, 3, 4)
    left[..., :2] = 1
    return [rand(5, 1, 3, 4, seed=1).float(), rand(5, 1, 3, 4, seed=2).float()], [left, 1 - left]


def test_the_inferred_code_is_the_exact_posterior_of_a_linear_model():
    model, (sources, masks) = linear_vae(), two_sources()
    masks[1][..., 0, 3] = 0
    masks[0][..., 0, :2] = masks[1][..., 0, 1:3] = 0.3  # half-hearted, and one pixel chosen in both
    q = infer_code(model, sources, masks, steps=1500, learning_rate=0.05)
    mean, precision = exact_posterior(model, sources, masks)
    assert torch.allclose(q.mean, mean, atol=0.05)
    # of the best diagonal Gaussian: one over the diagonal of the precision
    assert torch.allclose(q.variance, 1 / precision.diagonal(dim1=1, dim2=2), rtol=0.25)


def test_pixels_outside_all_masks_do_not_matter_beyond_the_start():
    model, (sources, masks) = linear_vae(), two_sources()
    masks[0][..., 0, 0] = 0
    changed = [x.clone() for x in sources]
    changed[0][..., 0, 0] = 0.123
    changed[1][..., 2, 1] = 0.987  # the other source's region
    a, b = (infer_code(model, x, masks) for x in (sources, changed))
    assert torch.equal(a.mean, b.mean)


def test_a_source_of_more_weight_pulls_harder_and_three_sources_are_welcome():
    model, (sources, _) = linear_vae(), two_sources()
    ones = torch.ones(1, 1, 3, 4)

    def distance(weight):
        q = infer_code(model, sources, [ones, weight * ones], steps=300)
        return (model.decode(q.mean).mean - sources[0]).square().mean().item()

    assert distance(0.05) < distance(1.0)
    third = [*sources, rand(5, 1, 3, 4, seed=3).float()]
    assert infer_code(model, third, [ones] * 3).mean.shape == (5, 3)


def test_the_inference_is_seeded_leaves_torchs_state_and_the_weights_alone():
    model, (sources, masks) = linear_vae(), two_sources()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with torch.no_grad():
        first = infer_code(model, sources, masks)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.mean, infer_code(model, sources, masks).mean)
    assert not torch.equal(first.mean, infer_code(model, sources, masks, seed=1).mean)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not first.mean.requires_grad


def test_small_batches_find_the_same_code():
    model, (sources, _) = linear_vae(), two_sources()
    masks = [(rand(5, 1, 3, 4, seed=s) < 0.6).float() for s in (8, 9)]  # each picture its own
    whole, parts = (infer_code(model, sources, masks, steps=600, batch_size=b) for b in (5, 2))
    assert torch.allclose(whole.mean, parts.mean, atol=0.05)


def test_the_bound_is_better_than_at_the_start():
    model, (sources, masks) = linear_vae(), two_sources()

    def bound(q):
        torch.manual_seed(0)
        p = model.decode(q.rsample((200,))).base_dist
        fit = sum((m * p.log_prob(x)).flatten(2).sum(2).mean(0) for x, m in zip(sources, masks, strict=True))
        return fit - kl_divergence(q, standard_normal(3))

    with torch.no_grad():
        start = diagonal_gaussian(torch.zeros(5, 3), torch.full((5, 3), -2.0))
        assert (bound(infer_code(model, sources, masks)) > bound(start) + 1).all()


def test_the_start_is_the_sources_pasted_by_their_masks_and_the_rest_filled():
    (sources, masks) = two_sources()
    masks[1][..., 1, 2:] = 0
    start = inference._pasted(sources, masks)
    assert torch.equal(start[..., :2], sources[0][..., :2])
    assert torch.equal(start[..., 0, 2:], sources[1][..., 0, 2:])
    hole = 1 - masks[0] - masks[1]
    assert torch.allclose(start, fill_smoothly(start * (1 - hole), hole))
    both = inference._pasted(sources, [torch.ones(1, 1, 3, 4), 3 * torch.ones(1, 1, 3, 4) / 3])
    assert torch.allclose(both, (sources[0] + sources[1]) / 2)
    faint = inference._pasted(sources, [0.1 * m for m in masks])  # little is said here, but more than nothing
    assert torch.allclose(faint, start)


def test_the_inference_starts_at_the_encoding_of_the_start():
    model, (sources, masks) = linear_vae(), two_sources()
    nn.init.normal_(model.encoder[1].weight)
    start = rand(5, 1, 3, 4, seed=7).float()
    q = infer_code(model, sources, masks, start=start, steps=1, learning_rate=1e-7)
    encoded = model.encode(start)
    assert torch.allclose(q.mean, encoded.mean, atol=1e-5) and torch.allclose(q.stddev, encoded.stddev, rtol=1e-4)


def test_the_rate_falls_linearly_from_the_given_one(monkeypatch):
    rates = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: rates.append(self.param_groups[0]["lr"]))
    infer_code(linear_vae(), *two_sources(), steps=5, learning_rate=0.1)
    assert len(rates) == 5 and rates[0] == 0.1 and 0 < rates[-1] < 0.03
    assert np.allclose(np.diff(rates), rates[1] - rates[0])


def test_other_likelihoods_work():
    model = linear_vae()
    model.likelihood = BernoulliLikelihood()
    sources, masks = two_sources()
    q = infer_code(model, [x.round() for x in sources], masks)
    assert torch.isfinite(q.mean).all()


# --- what is wrong is said ---------------------------------------------------------------------------------------


X, M = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
NAN = torch.full_like(X, math.nan)
BAD = {
    "no list": (lambda: infer_code(None, X, [M]), TypeError, "pictures must be a list"),
    "no mask": (lambda: infer_code(None, [X], []), ValueError, "1 pictures and 0 masks"),
    "sources' sizes": (
        lambda: infer_code(None, [X, X[..., 1:]], [M, M]),
        ValueError,
        r"pictures\[1\] has shape",
    ),
    "source's mask": (lambda: infer_code(None, [X], [M[..., 1:]]), ValueError, r"masks\[0\] has shape"),
    "nothing chosen": (lambda: infer_code(None, [X, X], [0 * M] * 2), ValueError, "no pixel at all"),
    "NaN source": (lambda: infer_code(None, [NAN], [M]), ValueError, r"pictures\[0\] holds"),
    "steps": (lambda: infer_code(None, [X], [M], steps=0), ValueError, "steps must"),
    "rate": (lambda: infer_code(None, [X], [M], learning_rate=-1), ValueError, "learning_rate must"),
    "start": (lambda: infer_code(None, [X], [M], start=X[:1]), ValueError, "start has shape"),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
