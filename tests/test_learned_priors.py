"""Priors that are learned with the rest: densities, and a KL that numerical integration confirms."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from tests.training.small import interrupt_at, quiet, some_images, weights
from vae_helpers import (
    MendedVAE,
    MixturePriorVAE,
    VampPriorVAE,
    checkpoints,
    evaluate,
    importance_weighted_bound,
    log_likelihood,
    mend_prior,
)
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


def a_vae_with_codes_far_from_the_prior(latent_dim=2):
    """An encoder whose means lie in two heaps, by the picture's brightness."""
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), latent_dim, (8,), GaussianLikelihood(0.1))
    dark = (100 * torch.rand(400, 1, 4, 4)).to(torch.uint8)
    bright = (155 + 100 * torch.rand(400, 1, 4, 4)).to(torch.uint8)
    encoder = vae.encoder
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
        first, last = encoder[1][0], encoder[1][-1]
        first.weight.fill_(1.0)
        first.bias.fill_(-8.0)  # positive for bright pictures only
        last.weight[:latent_dim] = 0.1
        last.bias[:latent_dim] = -2.0
        last.bias[latent_dim:] = -3.0
    return vae, torch.cat([dark, bright])[torch.randperm(800, generator=torch.Generator().manual_seed(0))]


def test_the_mended_prior_is_the_density_that_held_out_codes_are_likeliest_under():
    vae, images = a_vae_with_codes_far_from_the_prior()
    mended = mend_prior(vae, images[:600], images[600:], components=(1, 2))
    assert len(mended.logits) == 2  # two heaps
    with torch.no_grad():
        z = vae.encode(vae.prepare(images[600:])).sample()
        torch.testing.assert_close(
            mended.prior.log_prob(z),
            torch.logsumexp(
                torch.stack(
                    [
                        weight.log() + MultivariateNormal(mean, root @ root.T).log_prob(z)
                        for weight, mean, root in zip(
                            mended.logits.softmax(0), mended.means, mended.scale_trils, strict=True
                        )
                    ]
                ),
                0,
            ),
            rtol=1e-4,
            atol=1e-3,
        )
        gains = mended.prior.log_prob(z).mean() - vae.prior.log_prob(z).mean()
        x = vae.prepare(images[600:])
        torch.manual_seed(0)
        plain = vae.elbo(x, samples=20)
        torch.manual_seed(0)
        better = mended.elbo(x, samples=20)
    assert gains > 1
    # Only the prior's part of the bound differs, and by what held-out codes gain.
    torch.testing.assert_close(plain.log_likelihood, better.log_likelihood)
    assert (better.elbo - plain.elbo).mean() == pytest.approx(gains.item(), abs=0.2)


def test_one_gaussians_kl_is_the_closed_form():
    vae, images = a_vae_with_codes_far_from_the_prior()
    mended = mend_prior(vae, images[:600], images[600:], components=(1,))
    x = vae.prepare(images[600:610])
    with torch.no_grad():
        q, parts = vae.encode(x), mended.components()
        mean, covariance = parts.mean[0], parts.covariance_matrix[0]
        exact = torch.stack(
            [
                kl_divergence(MultivariateNormal(m, v.diag()), MultivariateNormal(mean, covariance))
                for m, v in zip(q.mean, q.variance, strict=True)
            ]
        )
        torch.manual_seed(1)
        estimated = mended.elbo(x, samples=4000).kl
    torch.testing.assert_close(estimated, exact, rtol=0, atol=0.15)


def test_codes_that_are_like_the_prior_keep_it():
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), 2, (8,), GaussianLikelihood(0.1))
    with torch.no_grad():
        for p in vae.encoder.parameters():
            p.zero_()  # q(z | x) = N(0, I) for every picture
    images = some_images(500)
    mended = mend_prior(vae, images[:300], images[300:], components=(1, 8))
    assert len(mended.logits) == 1
    assert mended.means.abs().max() < 0.2 and (mended.scale_trils[0] - torch.eye(2)).abs().max() < 0.2


def test_a_mixture_is_not_tried_on_too_few_codes():
    vae, images = a_vae_with_codes_far_from_the_prior()
    assert len(mend_prior(vae, images[:30], images[600:], components=(8,)).logits) == 1  # 30 < 2 * 8 * 2


def test_a_mended_vae_is_kept_and_read_and_its_plain_half_is_the_vae_it_came_from(tmp_path):
    vae, images = a_vae_with_codes_far_from_the_prior()
    mended = mend_prior(vae, images[:600], images[600:], components=(2,))
    checkpoints.save(tmp_path / "m.safetensors", mended)
    again = MendedVAE(mlp_vae((1, 4, 4), 2, (8,), GaussianLikelihood(0.1)), 2)
    checkpoints.load(tmp_path / "m.safetensors", again)
    z = torch.randn(5, 2)
    assert torch.equal(again.prior.log_prob(z), mended.prior.log_prob(z))
    assert torch.equal(again.decode(z).mean, mended.decode(z).mean)
    assert mended.plain.encoder is vae.encoder and torch.equal(mended.plain.prior.mean, torch.zeros(2))
    assert not [name for name, p in mended.named_parameters() if p.requires_grad and name == "logits"]
