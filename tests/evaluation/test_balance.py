"""The price of a nat, read from linear models whose codes are known to be the best for a price in closed form."""

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_helpers.distributions import GreyBernoulliLikelihood
from vae_helpers.evaluation import Estimate, Prices, kl_price
from vae_helpers.models import LinearGaussianVAE, mlp_vae

STRENGTHS = torch.tensor([30.0, 3.0, 0.7, 8.0], dtype=torch.float64)  # a = |W_d|^2 / s^2 of each latent
SIGMA = 0.4


def rows(n, seed=0, columns=7):
    return torch.randn(n, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Linear(LinearGaussianVAE):
    """x | z ~ N(W z + b, s^2 I), columns of W orthogonal: the best q(z | x) for each x is a diagonal Gaussian.

    Of each latent E[d] + beta KL is a (mu^2 + sigma^2) / 2 - mu W_d^T (x - b) / s^2 + beta (mu^2 + sigma^2 -
    log sigma^2) / 2 and a constant, which is least at sigma^2 = beta / (a + beta) and
    mu = W_d^T (x - b) / s^2 / (a + beta).
    """

    def __init__(self, beta=1.0, strengths=STRENGTHS, columns=7):
        super().__init__(columns, len(strengths))
        self.double()
        with torch.no_grad():
            directions = torch.linalg.qr(rows(columns, 5, len(strengths))).Q
            self.decoder.weight.copy_(directions * strengths.sqrt() * SIGMA)
            self.decoder.bias.copy_(rows(1, 6, columns)[0])
            self.log_sigma.fill_(math.log(SIGMA))
            self.mean_for(beta), self.log_var.copy_((beta / (strengths + beta)).log())

    @torch.no_grad()
    def mean_for(self, beta):
        a = self.decoder.weight.square().sum(0) / SIGMA**2
        self.encoder.weight.copy_(self.decoder.weight.T / SIGMA**2 / (a + beta)[:, None])
        self.encoder.bias.copy_(-self.encoder.weight @ self.decoder.bias)
        return self


@pytest.mark.parametrize("beta", [0.1, 1.0, 7.0])
def test_the_best_codes_for_a_price_say_that_price(beta):
    prices = kl_price(Linear(beta), rows(1000), samples=64)
    noise, means, by_latent = prices
    assert abs(noise.mean / beta - 1) < 0.01 and abs(noise.mean - beta) < 4 * noise.standard_error
    assert noise.standard_error < 0.005 * beta
    # Of a quadratic distortion the draws come in pairs z = mu +- sigma eps whose gradients average to that at mu.
    assert math.isclose(means.mean, beta, rel_tol=1e-9) and means.standard_error < 1e-9 * beta
    assert by_latent.shape == (4,) and torch.allclose(by_latent, torch.full((4,), beta).double(), rtol=0.03)
    assert isinstance(prices, Prices) and isinstance(noise, Estimate) and isinstance(means, Estimate)


def test_away_from_the_best_codes_it_says_another():
    model, a = Linear(), STRENGTHS
    with torch.no_grad():
        model.log_var += math.log(1.2)
    variance = 1.2 / (a + 1)  # dd / dlog sigma^2 = a sigma^2 / 2 stands against (1 - sigma^2) / 2
    prices = kl_price(model, rows(1000), samples=64)
    expected = ((a * variance).sum() / (1 - variance).sum()).item()
    assert expected > 1.2 and abs(prices.of_noise.mean / expected - 1) < 0.01
    assert torch.allclose(prices.by_latent, a * variance / (1 - variance), rtol=0.03)
    assert math.isclose(prices.of_means.mean, 1, rel_tol=1e-9)

    model = Linear(strengths=STRENGTHS[:1])
    with torch.no_grad():  # mu = 0.9 mu*: dd / dmu = a 0.9 mu* - (a + 1) mu*, to be -price 0.9 mu*
        model.encoder.weight.mul_(0.9), model.encoder.bias.mul_(0.9)
    prices = kl_price(model, rows(1000))
    assert math.isclose(prices.of_means.mean, ((a[0] + 1) / 0.9 - a[0]).item(), rel_tol=1e-9)
    assert abs(prices.of_noise.mean - 1) < 0.05


def test_where_all_means_stand_does_not_matter():
    model = Linear(0.5)
    with torch.no_grad():
        model.encoder.bias += 3.0  # (mu - m) dd / dmu is left as it is on average
    assert math.isclose(kl_price(model, rows(300)).of_means.mean, 0.5, rel_tol=1e-9)


class HalfForgotten(Linear):
    """Codes drawn with exp(l) in place of exp(l / 2), and a KL that takes exp(l) for the variance.

    With sigma = exp(l) the KL in the loss is (mu^2 + sigma - 1 - log sigma) / 2, whose slope along log sigma^2 is
    -(1 - sigma) / 4. At rest E[dd / dlog sigma^2] is its opposite, and the price, that over (1 - sigma^2) / 2,
    1 / (2 (1 + sigma)): between 1/4 and 1/2. As a sigma^2 / 2 = (1 - sigma) / 4, 2 a sigma^2 + sigma - 1 = 0. Nothing
    has changed for the means.
    """

    def __init__(self):
        super().__init__()
        a = STRENGTHS
        self.sigma = ((1 + 8 * a).sqrt() - 1) / (4 * a)
        with torch.no_grad():
            self.log_var.copy_(2 * self.sigma.log())


def test_the_missing_half_shows_in_the_noise_alone():
    model = HalfForgotten()
    prices, sigma = kl_price(model, rows(1000), samples=64), model.sigma
    expected = ((1 - sigma).sum() / 4 / ((1 - sigma.square()).sum() / 2)).item()
    assert 0.25 < expected < 0.5 and abs(prices.of_noise.mean / expected - 1) < 0.01
    assert torch.allclose(prices.by_latent, 1 / (2 * (1 + sigma)), rtol=0.03)
    assert math.isclose(prices.of_means.mean, 1, rel_tol=1e-9)


def test_the_error_of_the_noise_is_its_spread_over_draws():
    model, x = Linear(), rows(60)
    runs = [kl_price(model, x, samples=2, seed=seed).of_noise for seed in range(200)]
    spread = torch.tensor([run.mean for run in runs]).std().item()
    errors = torch.tensor([run.standard_error for run in runs])
    assert 0.85 < errors.square().mean().sqrt().item() / spread < 1.15
    assert abs(sum(run.mean for run in runs) / 200 - 1) < 4 * spread / 200**0.5


def test_the_error_of_the_means_is_its_spread_over_pictures():
    model = Linear()
    with torch.no_grad():  # one latent too small, so that the price depends on who is asked
        model.encoder.weight[0] *= 0.97
    runs = [kl_price(model, rows(80, seed), samples=1).of_means for seed in range(200)]
    spread = torch.tensor([run.mean for run in runs]).std().item()
    errors = torch.tensor([run.standard_error for run in runs])
    assert spread > 0.005 and 0.85 < errors.square().mean().sqrt().item() / spread < 1.15


def test_the_size_of_batches_does_not_matter():
    model = Linear(2.0)
    runs = [kl_price(model, rows(203), samples=32, batch_size=size) for size in (203, 50, 1)]
    assert all(math.isclose(run.of_means.mean, 2, rel_tol=1e-9) for run in runs)
    assert all(abs(run.of_noise.mean - 2) < 4 * run.of_noise.standard_error for run in runs)


def with_variance(nats):
    """The log_var < 0 at which a code of mean 0 costs so many nats."""
    low, high = -5.0, 0.0
    for _ in range(60):
        half = (low + high) / 2
        low, high = (half, high) if (math.exp(half) - 1 - half) / 2 > nats else (low, half)
    return low


def test_a_latent_that_says_less_than_a_fiftieth_of_a_nat_has_no_price():
    model = Linear()
    with torch.no_grad():
        model.encoder.weight.zero_(), model.encoder.bias.zero_()
        model.log_var.copy_(torch.tensor([with_variance(nats) for nats in (0.0, 0.019, 0.021, 1.0)]))
    assert kl_price(model, rows(50)).by_latent.isnan().tolist() == [True, True, False, False]
    with torch.no_grad():  # 0.021 nats of a mean, which say as much as those of the noise
        model.log_var.zero_(), model.encoder.bias.fill_(math.sqrt(0.042))
        model.log_var[0] = -1e-3
    assert kl_price(model, rows(50)).by_latent.isnan().tolist() == [False] * 4


def test_where_no_code_says_anything_there_is_no_price():
    model = Linear()
    with torch.no_grad():
        model.encoder.weight.zero_(), model.encoder.bias.zero_(), model.log_var.zero_(), model.decoder.weight.zero_()
    prices = kl_price(model, rows(50))
    assert all(math.isnan(number) for estimate in prices[:2] for number in estimate)
    assert prices.by_latent.isnan().all()


class Shifted(Linear):
    """Each picture has something added, of which both halves are told."""

    def encode(self, x, shift):
        return super().encode(x - shift)

    def decode(self, z, shift):
        return Independent(Normal(self.decoder(z) + shift, self.log_sigma.exp()), 1)


def test_conditions_stay_with_their_pictures():
    x, shift = rows(103), rows(103, 9)
    prices = kl_price(Shifted(3.0), (x + 5 * shift, 5 * shift), batch_size=20)
    assert math.isclose(prices.of_means.mean, 3, rel_tol=1e-9)


class OfPictures(Linear):
    """The same of stored pictures (C, H, W)."""

    def __init__(self, beta):
        super().__init__(beta, columns=12)

    def encode(self, x):
        return super().encode(x.flatten(1))

    def decode(self, z):
        mean = self.decoder(z).unflatten(-1, (3, 2, 2))
        return Independent(Normal(mean, self.log_sigma.exp()), 3)


def test_stored_pictures_are_prepared_once_and_others_taken_as_they_are():
    model = OfPictures(0.3)
    stored = torch.randint(0, 256, (150, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first, second = kl_price(model, stored), kl_price(model, model.prepare(stored))
    assert first[:2] == second[:2] and torch.equal(first.by_latent, second.by_latent)
    assert math.isclose(first.of_means.mean, 0.3, rel_tol=1e-9)
    small = kl_price(model.float(), stored)
    assert small.by_latent.dtype == torch.float64 and abs(small.of_means.mean / 0.3 - 1) < 1e-4


def test_it_reads_and_changes_nothing():
    torch.manual_seed(0)
    model = mlp_vae((1, 4, 4), 2, (8,), GreyBernoulliLikelihood())
    model.encoder.append(torch.nn.BatchNorm1d(4))
    model.decoder.eval(), model.encoder[1].requires_grad_(False)
    images = torch.randint(0, 256, (70, 1, 4, 4), dtype=torch.uint8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes, asked = ([m.training for m in model.modules()], [p.requires_grad for p in model.parameters()])
    state = torch.get_rng_state()
    one, two, other = (kl_price(model, images, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert one[:2] == two[:2] and one[:2] != other[:2]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes and [p.requires_grad for p in model.parameters()] == asked
    assert all(p.grad is None for p in model.parameters()) and not one.by_latent.requires_grad


def test_without_a_gradient_outside_it_takes_its_own():
    with torch.no_grad():
        assert math.isclose(kl_price(Linear(), rows(20)).of_means.mean, 1, rel_tol=1e-9)


def test_bad_input_is_named():
    model = Linear()
    with pytest.raises(ValueError, match=r"data must hold at least two images.*only one"):
        kl_price(model, rows(1))
    with pytest.raises(TypeError, match="data must be a tensor of pictures"):
        kl_price(model, "pictures")
    for name, value in (("samples", 0), ("batch_size", 0), ("seed", -1)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            kl_price(model, rows(4), **{name: value})
    model.encode = lambda x: MultivariateNormal(torch.zeros(len(x), 4).double(), torch.eye(4).double())
    with pytest.raises(TypeError, match=r"encode must return a diagonal Gaussian.*MultivariateNormal"):
        kl_price(model, rows(4))


def test_a_decoder_that_takes_no_gradient_is_named_and_one_that_ignores_codes_gives_a_price_of_zero():
    model = Linear()
    model.decode = torch.no_grad()(model.decode)
    with pytest.raises(TypeError, match=r"model.decode must let a gradient through.*no_grad"):
        kl_price(model, rows(4))
    model = Linear()
    model.decode = lambda z: Linear.decode(model, torch.zeros_like(z))
    noise, means, by_latent = kl_price(model, rows(20))
    assert noise.mean == means.mean == 0 and (by_latent == 0).all()


def test_a_prior_that_is_not_the_standard_one_is_named():
    model = Linear()
    with pytest.raises(TypeError, match=r"model.prior must be N\(0, I\)"):
        Linear.prior, kept = (
            property(lambda self: Independent(Normal(torch.zeros(4), 2 * torch.ones(4)), 1)),
            Linear.prior,
        )
        try:
            kl_price(model, rows(4))
        finally:
            Linear.prior = kept


def test_memory_does_not_grow_with_the_number_of_samples():
    model, sizes = Linear(), []
    decode = model.decode
    model.decode = lambda z: sizes.append(len(z) * z.shape[1]) or decode(z)
    kl_price(model, rows(200), samples=25)
    assert max(sizes) == 500
    kl_price(model, rows(3), samples=400)
    assert max(sizes) == 800
