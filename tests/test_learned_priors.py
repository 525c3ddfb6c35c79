"""Priors that are learned with the rest: densities, and a KL that numerical integration confirms."""

import math

import pytest
import torch

from tests.training.small import interrupt_at, quiet, some_images, weights
from vae_helpers import MixturePriorVAE, VampPriorVAE, evaluate, importance_weighted_bound, log_likelihood
from vae_helpers.distributions import GaussianLikelihood, GreyBernoulliLikelihood, standard_normal
from vae_helpers.models import mlp_vae

GRID = torch.linspace(-30, 30, 60_001).double()[:, None]  # codes (G, 1)
KINDS = pytest.mark.parametrize("kind", ["mixture", "vamp"])


def model_of(kind, latent_dim=1, seed=0, likelihood=None):
    """Four components, in double, of unlike weights, places and widths."""
    torch.manual_seed(seed)
    vae = mlp_vae((1, 4, 4), latent_dim, (8,), likelihood or GreyBernoulliLikelihood()).double()
    with torch.no_grad():
        for p in vae.encoder.parameters():
            p.mul_(4)
    if kind == "vamp":
        model = VampPriorVAE(vae, vae.prepare(some_images(4)))
    else:
        model = MixturePriorVAE(vae, 4)
        model.log_vars.data.copy_(torch.randn(4, latent_dim))
    model.logits.data.copy_(torch.tensor([0.3, -1.0, 0.0, 1.2]))
    return model


@KINDS
def test_the_prior_is_the_weighted_sum_of_its_components_and_integrates_to_one(kind):
    model = model_of(kind)
    with torch.no_grad():
        density, parts = model.prior.log_prob(GRID).exp(), model.components()
        shares = model.logits.exp() / model.logits.exp().sum()
        expected = sum(
            share * torch.exp(-((GRID[:, 0] - m) ** 2) / (2 * v)) / (2 * math.pi * v).sqrt()
            for share, m, v in zip(shares, parts.mean[:, 0], parts.variance[:, 0], strict=True)
        )
        assert parts.batch_shape == (4,) and parts.mean.std() > 0.1
        torch.testing.assert_close(density, expected)
        assert torch.trapezoid(density, GRID[:, 0]).item() == pytest.approx(1, abs=1e-6)
        torch.manual_seed(0)
        drawn = model.prior.sample((100_000,))
    assert drawn.shape == (100_000, 1)
    mean = torch.trapezoid(density * GRID[:, 0], GRID[:, 0])
    assert (drawn.mean() - mean).abs() < 4.5 * drawn.std() / math.sqrt(100_000)


@KINDS
def test_the_elbos_kl_is_that_of_numerical_integration(kind):
    model = model_of(kind)
    x = model.prepare(some_images(12)[6:])
    with torch.no_grad():
        log_q, log_p = (distribution.log_prob(GRID[:, None]) for distribution in (model.encode(x), model.prior))
        exact = torch.trapezoid(log_q.exp() * (log_q - log_p), GRID, dim=0)  # (6,)
        draws = torch.stack([model.elbo(x, samples=500).kl for _ in range(40)])
        bound = model.elbo(x, samples=3)
    assert exact.std() > 0.01 and exact.min() > 0
    assert ((draws.mean(0) - exact).abs() < 4.5 * draws.std(0) / math.sqrt(40)).all()
    assert torch.equal(bound.elbo, bound.log_likelihood - bound.kl) and bound.elbo.shape == (6,)


@KINDS
def test_importance_weights_tend_to_the_evidence_under_the_learned_prior(kind):
    torch.manual_seed(0)
    model = model_of(kind, likelihood=GaussianLikelihood(0.5))
    x = model.prepare(some_images(3))
    with torch.no_grad():
        log_joint = model.decode(GRID[:, None]).log_prob(x) + model.prior.log_prob(GRID)[:, None]  # (G, N)
        exact = torch.logsumexp(log_joint, 0) + math.log(GRID[1] - GRID[0])
        found = importance_weighted_bound(model, x, samples=5000)
        lower = model.elbo(x, samples=5000).elbo
    assert (found - exact).abs().max() < 0.05 and (lower < exact + 0.01).all() and (lower < exact).any()


def test_the_mixtures_numbers_are_means_and_log_variances():
    model = model_of("mixture", latent_dim=3)
    parts = model.components()
    torch.testing.assert_close(parts.mean, model.means)
    torch.testing.assert_close(parts.variance.log(), model.log_vars)


def test_the_vampprior_is_made_of_the_encoders_own_codes():
    model = model_of("vamp", latent_dim=3)
    q = model.encode(model.pseudo_pictures)
    z = torch.randn(50, 1, 3).double()
    torch.testing.assert_close(model.components().log_prob(z), q.log_prob(z))
    torch.testing.assert_close(
        model.prior.log_prob(z[:, 0]), torch.logsumexp(model.logits.log_softmax(-1) + q.log_prob(z), -1)
    )
    assert torch.equal(model.pseudo_pictures, model.prepare(some_images(4)))
    model.prior.log_prob(z[:, 0]).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in (model.pseudo_pictures, model.logits, *model.encoder.parameters()))


def test_a_mixture_of_components_that_are_all_standard_is_the_standard_prior():
    model = model_of("mixture", latent_dim=3)
    torch.nn.init.zeros_(model.means), torch.nn.init.zeros_(model.log_vars)
    z = torch.randn(50, 3).double()
    torch.testing.assert_close(model.prior.log_prob(z), standard_normal(3).log_prob(z))


@KINDS
def test_training_moves_prior_and_codes_towards_each_other(kind):
    torch.manual_seed(0)
    images = 255 * (torch.rand(200, 1, 4, 4) < (torch.rand(200, 1, 1, 1) < 0.5) * 0.8 + 0.1).byte()  # dark or light
    vae = mlp_vae((1, 4, 4), 2, (16,), GreyBernoulliLikelihood())
    model = MixturePriorVAE(vae, 3) if kind == "mixture" else VampPriorVAE(vae, vae.prepare(images[:3]))
    assert model.encoder is vae.encoder  # taken over, not copied
    before = evaluate(model, images)["elbo"].mean
    kept = [p.detach().clone() for p in model.parameters()]
    quiet(model, images, steps=200, learning_rate=1e-2)
    after, tight = evaluate(model, images)["elbo"].mean, log_likelihood(model, images, samples=100).mean
    assert after > before + 1 and tight >= after
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), kept, strict=True))
    assert model.sample(5).shape == model.sample_means(5).shape == model.reconstruct(vae.prepare(images[:5])).shape


@KINDS
def test_an_interrupted_run_resumes_to_the_same_bits(kind, tmp_path):
    def run(seed=0, **settings):
        model = model_of(kind, 2, seed).float()
        quiet(model, some_images(), **settings)
        return weights(model)

    whole, path = run(), tmp_path / "run"
    assert not torch.equal(run(checkpoint=path, callback=interrupt_at(11), callback_every=11), whole)
    assert torch.equal(run(seed=9, checkpoint=path, resume=True), whole)


@KINDS
def test_a_model_in_float64_has_a_prior_in_float64(kind):
    model = model_of(kind, 2)
    x = model.prepare(some_images(5))
    assert all(p.dtype == torch.float64 for p in model.parameters())
    for result in (*model.elbo(x), model.log_weights(x)(3), model.prior.sample(), model.sample(2)):
        assert result.dtype == torch.float64 and torch.isfinite(result).all()


def test_what_is_wrong_is_named():
    vae = mlp_vae((1, 4, 4), 2)
    with pytest.raises(ValueError, match="components must be a whole number of at least 1"):
        MixturePriorVAE(vae, 0)
    with pytest.raises(TypeError, match=r"pictures must be a floating-point tensor .*vae\.prepare"):
        VampPriorVAE(vae, some_images(3))
    with pytest.raises(ValueError, match=r"pictures must have shape \(K, C, H, W\)"):
        VampPriorVAE(vae, torch.rand(3, 4))
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1"):
        MixturePriorVAE(vae, 3).elbo(torch.rand(2, 1, 4, 4), samples=0)
