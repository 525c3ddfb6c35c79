"""What models promise: distributions with the right shapes, known evidence where it is known, honest names."""

import math

import numpy as np
import pytest
import torch

from vae_helpers import load, to_float
from vae_helpers.distributions import BernoulliLikelihood, GaussianLikelihood
from vae_helpers.images import dequantise
from vae_helpers.models import Autoencoder, LinearGaussianVAE, ProbabilisticPCA, conv_vae, mlp_vae, ppca
from vae_helpers.models.layers import mlp
from vae_helpers.training import fit


def correlated_data(n=400, p=6, d=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(p, d, generator=g, dtype=torch.float64)
    z = torch.randn(n, d, generator=g, dtype=torch.float64)
    return z @ W.T + 0.3 * torch.randn(n, p, generator=g, dtype=torch.float64) + 1.0


# --- probabilistic PCA ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_ppca_is_scikit_learns(latent_dim):
    from sklearn.decomposition import PCA

    x = correlated_data()
    ours = ProbabilisticPCA.maximum_likelihood(x, latent_dim)
    theirs = PCA(latent_dim, svd_solver="full").fit(x.numpy())
    # scikit-learn divides variances by n - 1; the maximum of the likelihood divides by n.
    scale = np.sqrt((len(x) - 1) / len(x))
    same = ProbabilisticPCA(ours.W / scale, ours.b, ours.sigma / scale)
    assert math.isclose(same.evidence(x).mean().item(), theirs.score(x.numpy()), rel_tol=1e-9)
    assert ours.evidence(x).mean() >= same.evidence(x).mean()


def test_ppca_on_the_digits_is_scikit_learns_too():
    from sklearn.decomposition import PCA

    x = dequantise(load("digits").train.images, 17, torch.Generator().manual_seed(0)).flatten(1).double()
    ours = ProbabilisticPCA.maximum_likelihood(x, 10).evidence(x).mean().item()
    assert abs(ours - PCA(10, svd_solver="full").fit(x.numpy()).score(x.numpy())) < 1e-3 * abs(ours)


def test_ppca_evidence_is_the_integral_over_the_prior():
    x = torch.tensor([[0.7, -0.2]], dtype=torch.float64)
    model = ProbabilisticPCA(torch.tensor([[1.5], [0.5]]).double(), torch.tensor([0.1, 0.2]).double(), 0.4)
    z = torch.linspace(-10, 10, 40_001, dtype=torch.float64)[:, None]
    joint = (
        torch.distributions.Normal(z @ model.W.T + model.b, model.sigma).log_prob(x).sum(-1)
        + torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0])
    ).exp()
    assert math.isclose(torch.trapezoid(joint, z[:, 0]).log().item(), model.evidence(x).item(), rel_tol=1e-8)
    mean = torch.trapezoid(joint * z[:, 0], z[:, 0]) / torch.trapezoid(joint, z[:, 0])
    assert math.isclose(mean.item(), model.posterior(x).mean.item(), rel_tol=1e-8)


def test_ppca_by_bayes_rule():
    """log p(x) = log p(x | z) + log p(z) - log p(z | x) at any z."""
    x, z = correlated_data(3), torch.randn(3, 2, dtype=torch.float64)
    model = ProbabilisticPCA.maximum_likelihood(correlated_data(), 2)
    likelihood = torch.distributions.Normal(z @ model.W.T + model.b, model.sigma).log_prob(x).sum(-1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    assert torch.allclose(likelihood + prior - model.posterior(x).log_prob(z), model.evidence(x))


def test_ppca_of_pictures_needs_no_covariance_matrix(monkeypatch):
    """The randomised decomposition gives the exact one's variances, and leaves torch's random state alone."""
    generator = torch.Generator().manual_seed(3)
    spread = 1.0 / torch.arange(1, 61).double()  # a spectrum that falls as that of pictures does
    x = torch.randn(500, 60, generator=generator).double() * spread
    exact, state = ProbabilisticPCA.maximum_likelihood(x, 8), torch.get_rng_state()
    monkeypatch.setattr(ppca, "LARGEST_COVARIANCE", 59)
    found = ProbabilisticPCA.maximum_likelihood(x, 8)
    assert (torch.get_rng_state() == state).all()
    torch.testing.assert_close(found.sigma, exact.sigma, rtol=1e-3, atol=0)
    torch.testing.assert_close(found.marginal.covariance_matrix, exact.marginal.covariance_matrix, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="latent_dim"):
        ProbabilisticPCA.maximum_likelihood(x[:5], 8)


@pytest.mark.parametrize("noise_sigma", [0.3, 1.7])
def test_ppca_restores_by_the_conditional_of_the_joint_gaussian(noise_sigma):
    """E[x | y] = b + C[:, k] (C[k, k] + s^2 I)^-1 (y_k - b_k) with C the covariance of x: no code in sight."""
    x = correlated_data()
    model = ProbabilisticPCA.maximum_likelihood(x, 2)
    C = model.marginal.covariance_matrix
    y = x[:6] + noise_sigma * torch.randn(6, x.shape[1], generator=torch.Generator().manual_seed(1)).double()
    known = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]] * 2).bool()[:, : x.shape[1]]
    spoiled = torch.where(known, y, 1e6)  # what was not seen has no influence
    restored = model.restore(spoiled, noise_sigma, known)
    for row, k, answer in zip(y, known, restored, strict=True):
        seen = C[k][:, k] + noise_sigma**2 * torch.eye(int(k.sum())).double()
        torch.testing.assert_close(answer, model.b + C[:, k] @ torch.linalg.solve(seen, (row - model.b)[k]))
    torch.testing.assert_close(model.restore(y, noise_sigma), model.restore(y, noise_sigma, torch.ones_like(known)))


def test_ppca_with_orthogonal_columns_in_float32_has_a_posterior():
    """Rounding makes W^T W unlike its transpose where entries nearly vanish, and torch.distributions refuses that."""
    W = torch.linalg.qr(torch.randn(300, 10, generator=torch.Generator().manual_seed(0)))[0] * torch.linspace(
        0.1, 3, 10
    )
    model = ProbabilisticPCA(W, torch.zeros(300), 0.1)
    torch.testing.assert_close(model.posterior(W.T).mean, W.T @ W @ torch.linalg.inv(W.T @ W + 0.01 * torch.eye(10)))


def test_ppca_keeps_what_is_known_without_noise():
    x = correlated_data()[:4]
    model, known = ProbabilisticPCA.maximum_likelihood(correlated_data(), 2), torch.arange(x.shape[1]) % 2 == 0
    torch.testing.assert_close(model.restore(x, 0.0, known)[:, known], x[:, known])
    assert not torch.allclose(model.restore(x, 0.0, known)[:, ~known], x[:, ~known])


@pytest.mark.parametrize("bad", [torch.ones(6), torch.ones(3, 6).bool(), [True] * 6])
def test_ppca_says_which_mask_it_needs(bad):
    model = ProbabilisticPCA.maximum_likelihood(correlated_data(), 2)
    with pytest.raises(ValueError, match="known must be a bool tensor"):
        model.restore(correlated_data()[:4], 0.1, bad)
    with pytest.raises(ValueError, match="columns"):
        model.restore(torch.ones(2, 4).double(), 0.1)


def test_ppca_says_what_is_wrong():
    with pytest.raises(ValueError, match="from 1 to 5, not 6"):
        ProbabilisticPCA.maximum_likelihood(correlated_data(), 6)
    flat = correlated_data() @ torch.diag(torch.tensor([1.0, 1, 0, 0, 0, 0]).double())
    with pytest.raises(ValueError, match="no variance outside"):
        ProbabilisticPCA.maximum_likelihood(flat, 3)
    with pytest.raises(ValueError, match="sigma must be a positive number, not 0"):
        ProbabilisticPCA(torch.ones(3, 1), torch.ones(3), 0.0)


def test_the_linear_vae_reaches_the_maximum_of_the_evidence():
    x = correlated_data()
    torch.manual_seed(0)
    model = LinearGaussianVAE(6, 2).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -model.analytic_elbo(x).mean()
        value.backward()
        return value

    for _ in range(5):
        optimizer.step(loss)
    best = ProbabilisticPCA.maximum_likelihood(x, 2)
    assert abs(-loss().item() - best.evidence(x).mean().item()) < 1e-4
    learned = model.as_ppca()
    assert torch.allclose(learned.evidence(x).mean(), best.evidence(x).mean(), atol=1e-4)
    assert torch.allclose(learned.W @ learned.W.T, best.W @ best.W.T, atol=1e-2)
    assert math.isclose(learned.sigma.item(), best.sigma.item(), rel_tol=1e-2)


def test_the_analytic_elbo_is_what_sampling_estimates_and_stays_below_the_evidence():
    from vae_helpers.objectives import elbo

    torch.manual_seed(0)
    x, model = correlated_data(20), LinearGaussianVAE(6, 2).double()
    with torch.no_grad():
        exact = model.analytic_elbo(x)
        draws = torch.stack([elbo(model, x, samples=200).elbo for _ in range(50)])
    error = draws.std(0) / math.sqrt(50)
    assert ((draws.mean(0) - exact).abs() < 4.5 * error).all()
    assert (exact <= model.as_ppca().evidence(x) + 1e-9).all()


# --- autoencoder and VAE -------------------------------------------------------------------------------------------


def test_a_linear_autoencoder_is_affine_and_a_deep_one_is_not():
    a, b = torch.rand(2, 1, 1, 3, 4)
    for hidden, is_affine in (((), True), ((8,), False)):
        torch.manual_seed(0)
        model = Autoencoder((1, 3, 4), 2, hidden)
        middle = (model(a) + model(b)) / 2
        assert torch.allclose(model((a + b) / 2), middle, atol=1e-6) == is_affine
        assert model.encode(a).shape == (1, 2) and model.decode(torch.zeros(5, 2)).shape == (5, 1, 3, 4)
    assert model(a).min() > 0 and model(a).max() < 1


def test_a_vae_speaks_in_distributions():
    vae = mlp_vae((3, 4, 5), 2, (16,))
    x = to_float(torch.randint(0, 256, (7, 3, 4, 5), dtype=torch.uint8))
    q = vae.encode(x)
    assert q.batch_shape == (7,) and q.event_shape == (2,)
    p = vae.decode(q.rsample((6,)))
    assert p.batch_shape == (6, 7) and p.event_shape == (3, 4, 5)
    assert vae.prior.event_shape == (2,)


def test_decoding_many_codes_is_decoding_each():
    vae = mlp_vae((1, 2, 2), 2, (8,))
    z = torch.randn(3, 4, 2)
    together = vae.decode(z).base_dist.logits
    assert torch.allclose(together[2, 1], vae.decode(z[2, 1:2]).base_dist.logits[0], atol=1e-6)


def test_reconstruction_is_a_mean_and_samples_have_pixel_noise():
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), 2, (8,), BernoulliLikelihood())
    x = vae.prepare(torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8))
    for mode in (True, False):
        vae.train(mode)
        assert torch.equal(vae.reconstruct(x), vae.reconstruct(x))
    assert torch.allclose(vae.reconstruct(x), vae.decode(vae.encode(x).mean).mean)
    assert set(vae.sample(50).unique().tolist()) == {0.0, 1.0}
    means = vae.sample_means(50)
    assert means.min() > 0 and means.max() < 1 and not means.requires_grad


def test_an_encoder_that_shouts_is_kept_finite():
    vae = mlp_vae((1, 2, 2), 2, ())
    with torch.no_grad():
        vae.encoder[-1][-1].bias.fill_(1e6)
    q = vae.encode(torch.zeros(1, 1, 2, 2))
    assert torch.isfinite(q.base_dist.scale).all() and (q.base_dist.scale > 0).all()


def test_a_learned_sigma_is_a_parameter_of_the_vae():
    vae = mlp_vae((1, 2, 2), 2, (4,), GaussianLikelihood(0.2, learn_sigma=True))
    assert "likelihood.raw_sigma" in dict(vae.named_parameters())


@pytest.mark.parametrize("sizes", [[3], [3, 0]])
def test_mlp_says_what_is_wrong(sizes):
    with pytest.raises(ValueError, match="sizes"):
        mlp(sizes)


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood, GaussianLikelihood])
def test_a_vae_in_float64_keeps_its_digits_and_draws_its_own_codes(likelihood):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8)
    model = mlp_vae((1, 4, 4), 2, (8,), likelihood()).double()
    x = model.prepare(images)
    mu = model.encoder(x).chunk(2, -1)[0]
    assert x.dtype == model.prior.mean.dtype == torch.float64
    assert torch.equal(model.encode(x).mean, mu) and torch.equal(model.reconstruct(x), model.decode(mu).mean)
    for result in (model.elbo(x).elbo, model.log_weights(x)(3), model.sample(2), model.sample_means(2)):
        assert result.dtype == torch.float64 and torch.isfinite(result).all()
    fit(model, images, steps=2, progress=False)
    assert all(p.dtype == torch.float64 for p in model.parameters())


def test_networks_in_float64_keep_their_digits():
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    for model in (Autoencoder((1, 16, 16), 2), conv_vae((1, 16, 16), latent_dim=2, width=4, hidden=8, colours=3)):
        code = model.double().encode(x)
        picture = model.decode(code if isinstance(code, torch.Tensor) else code.mean)
        picture = picture if isinstance(picture, torch.Tensor) else picture.mean
        assert picture.dtype == torch.float64 and not torch.equal(picture, picture.float().double())
