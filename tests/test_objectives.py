"""The bounds against models whose evidence is known, and the bookkeeping that the field keeps getting wrong."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from vae_helpers import log_likelihood
from vae_helpers.distributions import GaussianLikelihood, GreyBernoulliLikelihood, diagonal_gaussian, standard_normal
from vae_helpers.models import Autoencoder, ProbabilisticPCA, mlp_hierarchy, mlp_vae
from vae_helpers.objectives import (
    denoising_error,
    elbo,
    importance_weighted_bound,
    negative_elbo,
    negative_elbo_by_level,
    squared_error,
)


class Misspecified:
    """A linear-Gaussian model, evidence known, with a q that is shifted and too narrow by known amounts."""

    def __init__(self, shift=0.5, log_narrow=-0.5):
        g = torch.Generator().manual_seed(0)
        self.ppca = ProbabilisticPCA(
            torch.randn(6, 2, generator=g, dtype=torch.float64), torch.zeros(6, dtype=torch.float64), 0.7
        )
        self.prior = Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1)
        self.shift, self.log_narrow = shift, log_narrow
        self.data = self.ppca.marginal.sample((40,))

    def encode(self, x):
        exact = self.ppca.posterior(x)
        log_var = exact.variance.log() + self.log_narrow
        return diagonal_gaussian(exact.mean + self.shift * exact.stddev, log_var.expand_as(exact.mean))

    def decode(self, z):
        return Independent(Normal(z @ self.ppca.W.T + self.ppca.b, self.ppca.sigma), 1)


def paired(a, b):
    """Mean of b - a and its standard error, over repetitions (R, N) averaged over N."""
    difference = (b - a).mean(1)
    return difference.mean().item(), difference.std().item() / math.sqrt(len(difference))


def test_bounds_are_in_order_below_the_exact_evidence():
    torch.manual_seed(0)
    model = Misspecified()
    repeat = range(200)
    bound = functools.partial(importance_weighted_bound, model, model.data)
    values = {k: torch.stack([bound(samples=k) for _ in repeat]) for k in (1, 10, 100)}
    values["elbo"] = torch.stack([elbo(model, model.data).elbo for _ in repeat])
    exact = model.ppca.evidence(model.data).expand(len(repeat), -1)
    for lower, higher in (("elbo", 10), (10, 100)):
        mean, error = paired(values[lower], values[higher])
        assert mean > 3 * error, (lower, higher)
    mean, error = paired(values[100], exact)
    assert mean > -3 * error and mean < 0.05
    mean, error = paired(values[1], values["elbo"])  # K = 1 is the ELBO, in expectation
    assert abs(mean) < 4 * error


def test_the_gap_is_the_kl_to_the_true_posterior():
    torch.manual_seed(0)
    model = Misspecified()
    x = model.data
    estimate = torch.stack([elbo(model, x, samples=500).elbo for _ in range(40)])
    q, p = model.encode(x), model.ppca.posterior(x)
    dense = torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.variance))
    expected = model.ppca.evidence(x) - torch.distributions.kl_divergence(dense, p)
    error = estimate.std(0) / math.sqrt(40)
    assert ((estimate.mean(0) - expected).abs() < 4.5 * error).all()


def test_with_the_exact_posterior_one_weight_is_the_evidence():
    model = Misspecified(shift=0.0, log_narrow=0.0)
    model.encode = lambda x: model.ppca.posterior(x)  # a full covariance is fine for the weighted bound
    bound = importance_weighted_bound(model, model.data, samples=1)
    assert torch.allclose(bound, model.ppca.evidence(model.data), atol=1e-9)


def test_the_weighted_bound_is_the_log_of_a_mean_whatever_the_chunk():
    model = Misspecified()
    for chunk in (1, 7, 100):
        torch.manual_seed(0)
        bound = importance_weighted_bound(model, model.data, samples=30, chunk=chunk)
        torch.manual_seed(0)
        q = model.encode(model.data)
        z = torch.cat([q.rsample((min(chunk, 30 - i),)) for i in range(0, 30, chunk)])
        log_w = model.decode(z).log_prob(model.data) + model.prior.log_prob(z) - q.log_prob(z)
        assert torch.allclose(bound, log_w.exp().mean(0).log(), atol=1e-9)
        assert (bound > log_w.mean(0)).all()  # the mean of logs would be lower


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return mlp_vae((1, 4, 4), 3, (16,), GreyBernoulliLikelihood())


def test_elbo_is_its_parts_and_each_image_stands_alone(vae):
    x = torch.rand(5, 1, 4, 4)
    torch.manual_seed(0)
    whole = elbo(vae, x, samples=4000)
    assert whole.elbo.shape == (5,)
    assert torch.allclose(whole.elbo, whole.log_likelihood - whole.kl)
    torch.manual_seed(1)
    alone = torch.cat([elbo(vae, x[i : i + 1], samples=4000).elbo for i in range(5)])
    assert torch.allclose(whole.elbo, alone, atol=0.05)
    assert torch.allclose(whole.kl, torch.cat([elbo(vae, x[i : i + 1]).kl for i in range(5)]), atol=1e-6)


def test_train_and_eval_mode_do_not_change_the_elbo(vae):
    x, values = torch.rand(3, 1, 4, 4), []
    for mode in (True, False):
        vae.train(mode)
        torch.manual_seed(0)
        values.append(elbo(vae, x).elbo)
    assert torch.equal(*values)
    torch.manual_seed(1)
    assert not torch.equal(elbo(vae.eval(), x).elbo, values[0])  # sampling is never switched off


def test_beta_weighs_the_kl_in_the_loss_and_never_in_the_elbo(vae):
    x = torch.rand(3, 1, 4, 4)
    parts = {}
    for beta in (0.0, 1.0, 4.0):
        torch.manual_seed(0)
        parts[beta] = negative_elbo(vae, x, beta=beta)
        assert torch.allclose(parts[beta]["loss"], parts[beta]["distortion"] + beta * parts[beta]["kl"])
        assert torch.allclose(parts[beta]["elbo"], -parts[beta]["distortion"] - parts[beta]["kl"])
    assert torch.equal(parts[0.0]["elbo"], parts[4.0]["elbo"])


@pytest.fixture
def ladder():
    torch.manual_seed(0)
    return mlp_hierarchy((1, 4, 4), (3, 2), 16, GreyBernoulliLikelihood())


def by_level(model, x, **settings):
    torch.manual_seed(0)
    return negative_elbo_by_level(model, x, **settings)


def test_by_level_the_loss_is_the_negative_elbo_and_each_level_is_named(ladder):
    x = torch.rand(5, 1, 4, 4)
    parts = by_level(ladder, x, samples=3)
    torch.manual_seed(0)
    shares = ladder.by_level(x, 3).kl
    assert list(parts) == ["loss", "elbo", "distortion", "kl", "kl 1", "kl 2"]
    assert torch.equal(parts["kl 1"], shares[0]) and torch.equal(parts["kl 2"], shares[1])
    torch.manual_seed(0)
    usual = negative_elbo(ladder, x, samples=3)
    assert all(torch.allclose(parts[name], value) and value.shape == (5,) for name, value in usual.items())
    twice = by_level(ladder, x, samples=3, beta=2.0)
    assert torch.allclose(twice["loss"], parts["loss"] + parts["kl"]) and torch.equal(twice["elbo"], parts["elbo"])


def test_free_nats_are_of_each_level_and_of_the_mean_over_the_batch(ladder):
    x = torch.rand(5, 1, 4, 4)
    plain = by_level(ladder, x)
    levels = plain["kl 1"].mean().item(), plain["kl 2"].mean().item()
    low, high = sorted(levels)
    assert plain["kl 1"].std() > 0 and high > low
    for free, paid in ((low / 2, low + high), ((low + high) / 2, (low + high) / 2 + high), (2 * high, 4 * high)):
        parts = by_level(ladder, x, free_nats=free, beta=3.0)
        assert torch.allclose(parts["loss"], parts["distortion"] + 3 * paid)
        assert all(torch.equal(parts[name], plain[name]) for name in plain if name != "loss")


def test_a_level_below_its_free_nats_has_no_gradient_from_its_kl(ladder):
    x = torch.rand(5, 1, 4, 4)
    plain = by_level(ladder, x)
    low, high = sorted(plain[name].mean().item() for name in ("kl 1", "kl 2"))
    for free, moves in ((2 * high, False), (low / 2, True)):
        parts = by_level(ladder, x, free_nats=free)
        gradients = torch.autograd.grad(
            (parts["loss"] - parts["distortion"]).mean(), ladder.messages.parameters(), allow_unused=True
        )
        assert any(g is not None and g.abs().sum() > 0 for g in gradients) == moves


def test_by_level_says_what_is_wrong(ladder, vae):
    x = torch.rand(1, 1, 4, 4)
    with pytest.raises(TypeError, match=r"model must have by_level\(x, samples\).* negative_elbo trains"):
        negative_elbo_by_level(vae, x)
    with pytest.raises(ValueError, match="free_nats must be a number from 0 to"):
        negative_elbo_by_level(ladder, x, free_nats=-1)
    with pytest.raises(ValueError, match="beta must be a finite number of at least 0"):
        negative_elbo_by_level(ladder, x, beta=-1)
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1"):
        negative_elbo_by_level(ladder, x, samples=0)


def test_the_elbos_gradient_is_the_analytic_one():
    """One latent, one pixel, linear decoder: d ELBO / d mu = w (x - w mu) / sigma^2 - mu in expectation."""
    torch.manual_seed(0)
    w, sigma, x = 1.7, 0.6, torch.full((1, 1, 1, 1), 0.9)
    mu = torch.tensor(0.4, requires_grad=True)
    log_var = torch.tensor(-1.0, requires_grad=True)
    vae = mlp_vae((1, 1, 1), 1, ())
    vae.encode = lambda x: diagonal_gaussian(mu.expand(1, 1), log_var.expand(1, 1))
    vae.decode = lambda z: Independent(Normal(w * z[..., None, None], sigma), 3)
    elbo(vae, x, samples=200_000).elbo.sum().backward()
    assert math.isclose(mu.grad.item(), w * (0.9 - w * 0.4) / sigma**2 - 0.4, abs_tol=0.03)
    var = math.exp(-1.0)
    assert math.isclose(log_var.grad.item(), -0.5 * w**2 * var / sigma**2 - 0.5 * (var - 1), abs_tol=0.03)


def test_squared_error_is_summed_over_pixels():
    model = Autoencoder((1, 2, 3), 2)
    x = torch.rand(4, 1, 2, 3)
    loss = squared_error(model, x)["loss"]
    assert torch.allclose(loss, ((model(x) - x) ** 2).flatten(1).sum(1))


@pytest.mark.parametrize("function", [elbo, importance_weighted_bound])
def test_no_samples_are_refused(vae, function):
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1"):
        function(vae, torch.rand(1, 1, 4, 4), samples=0)
    with pytest.raises(TypeError, match=r"a condition must be a tensor .*, not 5\. The other arguments .* samples=10"):
        function(vae, torch.rand(1, 1, 4, 4), 5)  # as it was written in an earlier version


def test_the_package_vae_keeps_bounds_in_order():
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), 2, (16,), GaussianLikelihood(0.3))
    x = torch.rand(64, 1, 4, 4)
    with torch.no_grad():
        bound = functools.partial(importance_weighted_bound, vae, x)
        bounds = [torch.stack([bound(samples=k) for _ in range(30)]).mean(1) for k in (1, 5, 50)]
    assert bounds[0].mean() < bounds[1].mean() < bounds[2].mean()
    assert vae.prior.event_shape == standard_normal(2).event_shape


# --- denoising --------------------------------------------------------------------------------------------------------


def pixels(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


class Returns(nn.Module):
    """Notes what it is given and returns the noisy picture."""

    def forward(self, y, sigma):
        self.y, self.sigma = y, sigma
        return y


def test_the_error_of_the_noisy_picture_itself_is_the_variance_of_the_noise():
    model, x = Returns(), pixels(400, 1, 16, 16)
    loss = denoising_error(model, x, sigma=0.2)["loss"]
    assert loss.shape == (400,) and torch.equal(model.sigma, torch.full((400,), 0.2))
    assert loss.mean().item() == pytest.approx(16 * 16 * 0.2**2, rel=0.02)  # summed, not averaged, over pixels
    torch.testing.assert_close(loss, (model.y - x).square().sum((1, 2, 3)))


def test_levels_fill_the_range_and_each_picture_has_its_own():
    model, x = Returns(), pixels(2000, 1, 8, 8)
    denoising_error(model, x, sigma=(0.1, 0.3))
    assert 0.1 <= model.sigma.min() < 0.11 and 0.29 < model.sigma.max() <= 0.3
    assert model.sigma.mean().item() == pytest.approx(0.2, abs=0.01)
    found = (model.y - x).std((1, 2, 3))
    assert torch.corrcoef(torch.stack([found, model.sigma]))[0, 1] > 0.95


@pytest.mark.parametrize("sigma", [-0.1, (0.3, 0.1), (-0.1, 0.1), math.inf, math.nan])
def test_impossible_levels_are_refused(sigma):
    with pytest.raises(ValueError, match="sigma must be a number of at least 0, or a range"):
        denoising_error(Returns(), pixels(1, 1, 8, 8), sigma=sigma)


@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (5, 3), (3, 5, 4), None])
def test_log_weights_of_another_shape_are_refused(shape):
    """Those of pixels or codes, or turned by a quarter, would be added up to some number without a word."""

    class Mistaken:
        def log_weights(self, x):
            return lambda samples: None if shape is None else torch.zeros(shape)

    for measure in (importance_weighted_bound, log_likelihood):
        with pytest.raises(ValueError, match=r"log_weights\(x\) returns must give a tensor \(K, N\).* \(3, 5\), not "):
            measure(Mistaken(), torch.rand(5, 1, 2, 2), samples=3)
