"""The bounds against models whose evidence is known, and the bookkeeping that the field keeps getting wrong."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Normal

from vae_helpers import log_likelihood
from vae_helpers.distributions import GaussianLikelihood, GreyBernoulliLikelihood, diagonal_gaussian, standard_normal
from vae_helpers.models import (
    AdversarialPair,
    Autoencoder,
    Flow,
    PatchDiscriminator,
    ProbabilisticPCA,
    mlp_hierarchy,
    mlp_vae,
)
from vae_helpers.models.quantised import vector_vqvae
from vae_helpers.objectives import (
    SMALLEST_ERROR,
    critic_error,
    denoising_error,
    elbo,
    feature_nats,
    importance_weighted_bound,
    negative_elbo,
    negative_elbo_by_level,
    negative_elbo_with_critic,
    negative_elbo_with_features,
    squared_error,
)
from vae_helpers.training import fit


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


# --- features ---------------------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """Two layers, (N, 4, 3, 3) and (N, 6), that may be told in other units."""

    def __init__(self, *units):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 4, 2), nn.Linear(36, 6)
        self.units = units or (1.0, 1.0)

    def forward(self, x):
        first = self.first(x).tanh()
        return [self.units[0] * first, self.units[1] * self.second(first.flatten(1))]


def two_batches(n=7, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, 1, 4, 4, dtype=dtype, generator=generator) for _ in range(2))


def test_feature_nats_are_those_of_a_gaussian_at_its_likeliest_sigma_up_to_a_constant():
    x, x_hat = two_batches()
    features = Layers(1.0, 300.0).double()
    expected = 0.0
    for real, made in zip(features(x), features(x_hat), strict=True):
        n, s = real[0].numel(), (real - made).square().mean().sqrt()
        nats = [-Normal(made, k * s).log_prob(real).flatten(1).sum(1).mean() for k in (1, 0.9, 1.1)]
        assert nats[0] < min(nats[1:])  # the likeliest
        expected += nats[0] - n / 2 * (1 + math.log(2 * math.pi))
    told = feature_nats(x, x_hat, features)
    assert told.shape == () and torch.allclose(told, expected)


def test_feature_nats_of_pixels_are_half_their_number_times_the_log_of_the_mean_squared_error():
    x, x_hat = two_batches()
    expected = 16 / 2 * math.log((x - x_hat).square().mean().item())
    assert feature_nats(x, x_hat, lambda x: [x]).item() == pytest.approx(expected)
    assert feature_nats(x, x_hat, lambda x: [x, 2 * x]).item() == pytest.approx(2 * expected + 16 * math.log(2))
    assert feature_nats(x, x_hat, lambda x: [x[:, 0, 0, 0]]).item() == pytest.approx(
        math.log((x - x_hat)[:, 0, 0, 0].square().mean().item()) / 2
    )  # one number for each picture


def test_the_units_of_a_layer_do_not_change_the_gradient():
    x, x_hat = two_batches()
    x_hat.requires_grad_()
    gradients = [
        torch.autograd.grad(feature_nats(x, x_hat, Layers(*units).double()), x_hat)[0]
        for units in ((1.0, 1.0), (1e-3, 50.0))
    ]
    assert gradients[0].abs().min() > 0 and torch.allclose(*gradients)


def test_the_gradient_of_feature_nats_is_the_numerical_one_and_goes_to_the_made_picture_only():
    x, x_hat = two_batches(3)
    features = Layers().double().requires_grad_(False)
    assert torch.autograd.gradcheck(lambda made: feature_nats(x, made, features), x_hat.requires_grad_())
    feature_nats(x.requires_grad_(), x_hat, features).backward()
    assert x.grad is None and x_hat.grad.abs().sum() > 0
    assert not feature_nats(x, x_hat.detach(), features).requires_grad


def test_equal_pictures_are_as_near_as_the_smallest_error_and_no_nearer():
    x, _ = two_batches()
    assert feature_nats(x, x, lambda x: [x]).item() == pytest.approx(8 * math.log(SMALLEST_ERROR))
    made = x.clone().requires_grad_()
    feature_nats(x, made, Layers().double()).backward()
    assert torch.isfinite(made.grad).all()
    close = x + 2 * math.sqrt(SMALLEST_ERROR)
    assert feature_nats(x, close, lambda x: [x]).item() == pytest.approx(8 * math.log(4 * SMALLEST_ERROR), rel=1e-6)


def test_features_that_say_more_of_one_picture_than_of_another_are_refused():
    x, x_hat = two_batches()
    with pytest.raises(ValueError, match=r"(shorter|longer) than argument"):
        feature_nats(x, x_hat, lambda pictures: [pictures] * (2 if pictures is x else 1))


def test_pictures_that_would_be_compared_in_all_pairs_are_refused():
    x, x_hat = two_batches()
    for bad in (x_hat[:1], x_hat[:, :, :1], x_hat[0]):
        with pytest.raises(ValueError, match=r"x and x_hat must have the same shape, not \(7, 1, 4, 4\) and"):
            feature_nats(x, bad, lambda pictures: [pictures])
    with pytest.raises(TypeError, match="x must be a floating-point tensor, not"):
        feature_nats((255 * x).byte(), x_hat, lambda pictures: [pictures])


@pytest.fixture
def gaussian():
    torch.manual_seed(0)
    return mlp_vae((1, 4, 4), 3, (16,), GaussianLikelihood(0.3, learn_sigma=True))


def seeded(objective, model, x, *conditions, **settings):
    torch.manual_seed(0)
    return objective(model, x, *conditions, **settings)


def picture(vae, x):
    """The mean at the same draw."""
    torch.manual_seed(0)
    return vae.decode(vae.encode(x).rsample()).mean


def test_features_that_cost_nothing_leave_the_negative_elbo(gaussian):
    x = torch.rand(5, 1, 4, 4)
    for beta in (1.0, 0.3):
        plain = seeded(negative_elbo, gaussian, x, beta=beta)
        parts = seeded(negative_elbo_with_features, gaussian, x, features=Layers(), price=0, beta=beta)
        assert list(parts) == [*plain, "features"] == ["loss", "elbo", "distortion", "kl", "features"]
        assert all(torch.allclose(parts[name], plain[name]) and parts[name].shape == (5,) for name in plain)


def test_a_nat_of_features_costs_its_price_and_the_elbo_is_still_that_of_pixels(gaussian):
    x, features = torch.rand(5, 1, 4, 4), Layers()
    plain = seeded(negative_elbo, gaussian, x)
    told = feature_nats(x, picture(gaussian, x), features)
    for price in (1.0, 2.5):
        parts = seeded(negative_elbo_with_features, gaussian, x, features=features, price=price)
        assert torch.allclose(parts["features"], told) and parts["features"].shape == ()
        assert torch.allclose(parts["loss"], plain["loss"] + price * told)
        assert torch.allclose(parts["elbo"], plain["elbo"])
    default = seeded(negative_elbo_with_features, gaussian, x, features=features)
    assert torch.allclose(default["loss"], plain["loss"] + told)


class Labelled(nn.Module):
    """A VAE that notes the conditions with which it is called."""

    def __init__(self, vae):
        super().__init__()
        self.vae, self.seen = vae, []
        self.prior = vae.prior

    def encode(self, x, label):
        self.seen.append(("encode", label))
        return self.vae.encode(x)

    def decode(self, z, label):
        self.seen.append(("decode", label))
        return self.vae.decode(z)


def test_conditions_reach_encoder_and_decoder(gaussian):
    x, label, model = torch.rand(5, 1, 4, 4), torch.arange(5), Labelled(gaussian)
    both = AdversarialPair(model, nn.Flatten())
    for objective, subject, settings in (
        (negative_elbo_with_features, model, {"features": Layers()}),
        (negative_elbo_with_critic, both, {}),
        (critic_error, both, {}),
    ):
        model.seen.clear()
        objective(subject, x, label, **settings)
        assert [name for name, _ in model.seen] == ["encode", "decode"] and all(seen is label for _, seen in model.seen)
        with pytest.raises(TypeError, match=r"a condition must be a tensor .*, not 5"):
            objective(subject, x, 5, **settings)


def test_a_vae_learns_by_features_alone_what_they_see(gaussian):
    """Features that see the upper half only: it gets better, with pixels for next to nothing."""
    images = torch.randint(0, 256, (64, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, :, :2] = images[:, :, :1, :1]  # one number for each picture, in the upper half
    objective = functools.partial(negative_elbo_with_features, features=lambda x: [x[:, :, :2]], price=20.0)
    history = fit(gaussian, images, steps=150, batch_size=32, objective=objective, learning_rate=5e-3, progress=False)
    assert history.train["features"][-1] < history.train["features"][0] - 2
    errors = (picture(gaussian, images / 255) - images / 255).square().mean((0, 1, 3))
    assert errors[:2].max() < 0.5 * errors[2:].min()


@pytest.mark.parametrize("objective", [negative_elbo_with_features, negative_elbo_with_critic])
def test_a_bad_price_or_beta_is_named(gaussian, objective):
    pair = AdversarialPair(gaussian, nn.Flatten())
    subject = gaussian if objective is negative_elbo_with_features else pair
    for name in ("price", "beta"):
        for value in (-1, math.nan, "1", None):
            with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0"):
                objective(subject, torch.rand(2, 1, 4, 4), features=Layers(), **{name: value})


# --- a critic ---------------------------------------------------------------------------------------------------------


class Fixed(nn.Module):
    """A critic with given logits: first those of real pictures, then those of made ones."""

    def __init__(self, *logits):
        super().__init__()
        self.logits, self.given = list(logits), []

    def forward(self, x):
        self.given.append(x)
        return self.logits[len(self.given) - 1]


REAL, MADE = torch.tensor([[2.0, 0.5], [-1.0, 0.0]]), torch.tensor([[-3.0, 0.5], [-0.5, 0.0]])  # (N, places)


def test_hinge_and_non_saturating_are_what_they_are_on_given_logits(gaussian):
    x = torch.rand(2, 1, 4, 4)
    for shape in ((2, 2), (2, 1, 2), (2, 2, 1, 1)):  # places, however they are arranged
        parts = {
            loss: critic_error(AdversarialPair(gaussian, Fixed(REAL.view(shape), MADE.view(shape))), x, loss=loss)
            for loss in ("hinge", "non-saturating")
        }
        assert torch.allclose(parts["hinge"]["loss"], torch.tensor([(0 + 0.5 + 0 + 1.5) / 2, (2 + 1 + 0.5 + 1) / 2]))
        log = -F.logsigmoid(REAL).mean(1) - F.logsigmoid(-MADE).mean(1)
        assert torch.allclose(parts["non-saturating"]["loss"], log)
        for told in parts.values():
            assert list(told) == ["loss", "real", "made", "right"]
            assert told["real"].item() == 0.375 and told["made"].item() == -0.75
            assert told["right"].item() == (2 / 4 + 2 / 4) / 2  # a logit of 0 is right about neither
            assert told["real"].shape == told["made"].shape == told["right"].shape == ()
    default = critic_error(AdversarialPair(gaussian, Fixed(REAL, MADE)), x)
    assert torch.equal(default["loss"], parts["hinge"]["loss"])


def test_a_critic_that_is_always_right_or_always_wrong_says_so(gaussian):
    x, yes, no = torch.rand(4, 1, 4, 4), torch.full((4, 3), 5.0), torch.full((4, 3), -5.0)
    for real, made, right in ((yes, no, 1.0), (no, yes, 0.0), (yes, yes, 0.5), (no, no, 0.5)):
        assert critic_error(AdversarialPair(gaussian, Fixed(real, made)), x)["right"].item() == right


def test_a_critic_may_have_one_logit_for_each_picture(gaussian):
    parts = critic_error(AdversarialPair(gaussian, Fixed(REAL[:, 0], MADE[:, 0])), torch.rand(2, 1, 4, 4))
    assert torch.allclose(parts["loss"], torch.tensor([0.0, 2.0 + 0.5]))


def test_the_critic_sees_the_picture_and_the_mean_at_a_draw_within_what_is_shown(gaussian):
    x, critic = torch.rand(2, 1, 4, 4), Fixed(REAL, MADE)
    with torch.no_grad():
        gaussian.decoder[0][-1].bias.add_(torch.linspace(-0.5, 1.5, 16))
    seeded(critic_error, AdversarialPair(gaussian, critic), x)
    mean = picture(gaussian, x)
    assert mean.min() < 0 and mean.max() > 1
    assert critic.given[0] is x and torch.equal(critic.given[1], mean.clamp(0, 1))


def test_large_logits_make_large_losses_and_no_infinity(gaussian):
    x, far = torch.rand(2, 1, 4, 4), torch.full((2, 2), 1e4)
    for loss in ("hinge", "non-saturating"):
        parts = critic_error(AdversarialPair(gaussian, Fixed(-far, far)), x, loss=loss)
        assert torch.allclose(parts["loss"], torch.tensor(2e4), rtol=1e-3)
        pair = AdversarialPair(gaussian, Fixed(-far))
        assert negative_elbo_with_critic(pair, x, loss=loss)["disbelief"].item() == pytest.approx(1e4)


@pytest.fixture
def pair(gaussian):
    torch.manual_seed(1)
    return AdversarialPair(gaussian, PatchDiscriminator(channels=1, width=4))


def test_the_critics_loss_sends_no_gradient_to_the_vae_and_one_to_all_of_the_critic(pair):
    assert all(p.requires_grad for p in pair.vae.parameters())
    x = torch.rand(5, 1, 4, 4)
    for loss in ("hinge", "non-saturating"):
        pair.zero_grad()
        critic_error(pair, x, loss=loss)["loss"].mean().backward()
        assert all(p.grad is None for p in pair.vae.parameters())
        weights = [p for name, p in pair.critic.named_parameters() if name != "head.bias"]
        assert all(p.grad.abs().sum() > 0 for p in weights)  # that one pulls both ways alike as long as it is unsure


def test_the_vaes_loss_reaches_all_of_the_vae_through_the_critic(pair):
    x = torch.rand(5, 1, 4, 4)
    disbelief = negative_elbo_with_critic(pair, x)["disbelief"]
    learns = {name: p for name, p in pair.vae.named_parameters() if "sigma" not in name}  # not a matter of the mean
    assert len(learns) > 3
    for gradient in torch.autograd.grad(disbelief, learns.values()):
        assert gradient.abs().sum() > 0


def test_disbelief_costs_its_price_in_nats(pair):
    x = torch.rand(5, 1, 4, 4)
    plain, made = seeded(negative_elbo, pair.vae, x, beta=0.5), picture(pair.vae, x)
    logits = pair.critic(made)
    bce = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    for loss, disbelief in (("hinge", -logits.mean()), ("non-saturating", bce)):
        for price in (0, 1.0, 700.0):
            parts = seeded(negative_elbo_with_critic, pair, x, price=price, loss=loss, beta=0.5)
            assert list(parts) == [*plain, "disbelief"] and parts["disbelief"].shape == ()
            assert torch.allclose(parts["disbelief"], disbelief)
            assert torch.allclose(parts["loss"], plain["loss"] + price * disbelief, rtol=1e-5)
            assert all(torch.allclose(parts[name], plain[name]) for name in ("elbo", "distortion", "kl"))


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_a_step_down_the_disbelief_makes_the_critic_believe_more(pair, loss):
    made = torch.rand(5, 1, 4, 4, requires_grad=True)
    pair.vae.decode = lambda z: Independent(Normal(made, 1.0), 3)
    parts = negative_elbo_with_critic(pair, torch.rand(5, 1, 4, 4), loss=loss)
    (gradient,) = torch.autograd.grad(parts["disbelief"], made)
    assert pair.critic(made - 0.1 * gradient / gradient.norm()).mean() > pair.critic(made).mean()


def test_features_may_be_compared_beside_the_critic_also_its_own(pair):
    x = torch.rand(5, 1, 4, 4)
    plain, made = seeded(negative_elbo_with_critic, pair, x, price=50.0), picture(pair.vae, x)
    for features in (Layers(), pair.critic.features):
        parts = seeded(negative_elbo_with_critic, pair, x, price=50.0, features=features)
        told = feature_nats(x, made, features)
        assert list(parts) == [*plain, "features"] and torch.allclose(parts["features"], told)
        assert torch.allclose(parts["loss"], plain["loss"] + told)  # whose price is one
        assert torch.allclose(parts["disbelief"], plain["disbelief"])
    gradients = torch.autograd.grad(told, [p for name, p in pair.vae.named_parameters() if "sigma" not in name])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("objective", [critic_error, negative_elbo_with_critic])
def test_a_loss_of_another_name_is_refused_with_a_guess(pair, objective):
    with pytest.raises(ValueError, match=r"loss must be one of hinge, non-saturating, not 'hing'.* mean 'hinge'"):
        objective(pair, torch.rand(2, 1, 4, 4), loss="hing")
    with pytest.raises(ValueError, match="loss must be one of hinge, non-saturating, not None"):
        objective(pair, torch.rand(2, 1, 4, 4), loss=None)


# --- odd inputs, found by an adversary --------------------------------------------------------------------------------


def test_features_in_half_precision_are_compared_in_single_precision():
    """float16 knows no 1e-12 and no 1e5, and bfloat16 rounds a mean: such as autocast gives."""
    x = torch.rand(3, 3, 8, 8)
    for half in (torch.float16, torch.bfloat16):
        close, far = x + 2e-3, 1 - x
        for made, unit in ((close, 1.0), (far, 300.0)):
            told = feature_nats(x, made, lambda v, half=half, unit=unit: [(unit * v).to(half)])
            exact = feature_nats(x, made, lambda v, half=half, unit=unit: [(unit * v).to(half).double()])
            assert told.dtype == torch.float32 and told.item() == pytest.approx(exact.item(), rel=1e-5)
        assert feature_nats(x, x, lambda v, half=half: [v.to(half)]).isfinite()


def test_features_that_give_nothing_are_refused():
    x = torch.rand(2, 1, 4, 4)
    with pytest.raises(ValueError, match="features gives no tensor"):
        feature_nats(x, x, lambda v: [])


def test_what_has_no_vae_and_no_critic_is_no_pair():
    for objective in (critic_error, negative_elbo_with_critic):
        with pytest.raises(TypeError, match="Identity has not both"):
            objective(nn.Identity(), torch.rand(3, 3, 4, 4))


@pytest.mark.parametrize(
    ("model", "lacks"),
    [
        (Flow(torch.randn(9, 3)), "a Flow has no encode and no decode and no prior, so it has no ELBO"),
        (vector_vqvae(3, groups=2), "a VQVAE has no decode and no prior"),
    ],
)
def test_a_model_without_latent_variables_is_told_of_its_own_objective(model, lacks):
    x = torch.randn(9, 3)
    with pytest.raises(TypeError, match=f"{lacks}.*Give fit the objective .*=flow_matching_error for a Flow"):
        fit(model, x, steps=1, batch_size=3, progress=False)
    for objective in (elbo, importance_weighted_bound, negative_elbo):
        with pytest.raises(TypeError, match=lacks):
            objective(model, x)
    with pytest.raises(TypeError, match=lacks):
        negative_elbo_with_features(model, x, features=lambda v: [v])
