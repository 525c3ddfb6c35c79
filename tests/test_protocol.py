"""The models' protocol: bounds from a model's own prior, encoder and decoder; hierarchies say theirs themselves."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal

from vae_helpers import elbo, evaluate, importance_weighted_bound, log_likelihood
from vae_helpers.distributions import diagonal_gaussian
from vae_helpers.models import Elbo, LatentVariableModel, mlp_vae
from vae_helpers.models.protocol import evaluating, prepared

X = torch.linspace(-1, 5, 7, dtype=torch.float64)[:, None]  # (7, 1)


class Shifted(LatentVariableModel):
    """z ~ N(3, 4), x | z ~ N(z, 1), so x ~ N(3, 5); q is the exact posterior, moved by `off` standard deviations."""

    latent_dim = 1

    def __init__(self, off=0.0):
        super().__init__()
        self.off, self.unused = off, nn.Parameter(torch.zeros(()))

    @property
    def prior(self):
        return Independent(Normal(torch.full((1,), 3.0, dtype=torch.float64), 2.0), 1)

    def encode(self, x):
        variance = torch.full_like(x, 4 / 5)
        return diagonal_gaussian((3 + 4 * x) / 5 + self.off * variance.sqrt(), variance.log())

    def decode(self, z):
        return Independent(Normal(z, 1.0), 1)

    def evidence(self, x):
        return Normal(3.0, math.sqrt(5)).log_prob(x).squeeze(-1)


def test_the_elbo_is_that_of_the_models_own_prior():
    torch.manual_seed(0)
    exact = Shifted().evidence(X)
    bound = elbo(Shifted(), X, samples=100_000)
    assert torch.allclose(bound.elbo, exact, atol=0.02)  # q is the posterior: the bound is met
    off = elbo(Shifted(1.0), X, samples=100_000)
    assert torch.allclose(off.elbo, exact - 0.5, atol=0.02)  # KL(q || posterior) of a shift by one deviation
    weighted = importance_weighted_bound(Shifted(1.0), X, samples=2000)
    assert (off.elbo < weighted).all() and (weighted < exact + 0.05).all()


def test_a_prior_without_a_closed_form_is_refused_with_what_to_do():
    class Mixture(Shifted):
        @property
        def prior(self):
            components = Independent(Normal(torch.tensor([[0.0], [3.0]]), 1.0), 1)
            return MixtureSameFamily(Categorical(torch.ones(2)), components)

    with pytest.raises(TypeError, match=r"KL\(Normal \|\| MixtureSameFamily\)\. Override `elbo`.*kl_monte_carlo"):
        elbo(Mixture(), X)
    assert importance_weighted_bound(Mixture(), X, samples=5).shape == (7,)  # needs no closed form


def test_a_pair_that_torch_knows_has_its_closed_form():
    class Peaked(Shifted):
        @property
        def prior(self):
            return Independent(Laplace(torch.zeros(1, dtype=torch.float64), 1.0), 1)

        def encode(self, x):
            return Independent(Laplace(x, 0.5), 1)

    assert torch.equal(elbo(Peaked(), X).kl, torch.distributions.kl_divergence(Peaked().encode(X), Peaked().prior))


class TwoLevels(LatentVariableModel):
    """z2 ~ N(0, 1), z1 | z2 ~ N(z2, 1), x | z1 ~ N(z1, 1), so x ~ N(0, 3): a hierarchy overrides two methods."""

    def __init__(self):
        super().__init__()
        self.unused, self.encoded = nn.Parameter(torch.zeros(())), 0

    def _draw(self, x, samples):
        self.encoded += 1
        q2 = Normal(x.squeeze(-1) / 3, 0.9)
        z2 = q2.rsample((samples,))
        q1 = Normal((x.squeeze(-1) + z2) / 2, 0.8)
        z1 = q1.rsample()
        log_likelihood = Normal(z1, 1.0).log_prob(x.squeeze(-1))
        log_ratio = q1.log_prob(z1) - Normal(z2, 1.0).log_prob(z1) + q2.log_prob(z2) - Normal(0.0, 1.0).log_prob(z2)
        return log_likelihood, log_ratio

    def elbo(self, x, *, samples=1):
        log_likelihood, log_ratio = (value.mean(0) for value in self._draw(x, samples))
        return Elbo(log_likelihood - log_ratio, log_likelihood, log_ratio)

    def log_weights(self, x):
        def draw(samples):
            log_likelihood, log_ratio = self._draw(x, samples)
            return log_likelihood - log_ratio

        return draw


def test_a_hierarchy_is_evaluated_like_every_model():
    torch.manual_seed(0)
    x = math.sqrt(3) * torch.randn(500, 1)
    exact = Normal(0.0, math.sqrt(3)).log_prob(x).mean().item()
    bound, tight = evaluate(TwoLevels(), x, samples=50)["elbo"].mean, log_likelihood(TwoLevels(), x, samples=500).mean
    assert bound < tight - 0.02 and abs(tight - exact) < 0.02


def test_a_model_that_is_no_module_is_evaluated_on_the_cpu():
    class Bare:
        prior, encode, decode = Shifted().prior, Shifted().encode, Shifted().decode

    assert evaluate(Bare(), X)["elbo"] == evaluate(Shifted(), X)["elbo"]
    assert log_likelihood(Bare(), X).mean == log_likelihood(Shifted(), X).mean


def test_pixels_and_codes_that_are_not_put_together_are_refused():
    class Loose(Shifted):
        def decode(self, z):
            return Normal(z, 1.0)

    for bound in (elbo, importance_weighted_bound):
        with pytest.raises(ValueError, match=r"a number for each draw and image, .* Independent\(Normal\(mean, sigma"):
            bound(Loose(), X, samples=3)

    class Wide(Shifted):
        @property
        def prior(self):
            return Independent(Normal(torch.zeros(2, dtype=torch.float64), 1.0), 1)

    with pytest.raises(ValueError, match=r"the same event shape, not \(1,\) and \(2,\)"):
        elbo(Wide(), X)


def test_an_evaluation_leaves_the_callers_tensors_alone():
    class Changing(Shifted):
        def encode(self, x, shift):
            shift -= 1
            x += 1
            return super().encode(x)

        def decode(self, z, shift):
            return super().decode(z)

    x, shift = X.clone(), torch.zeros(7, 1)
    evaluate(Changing(), (x, shift))
    assert torch.equal(x, X) and not shift.any()


def test_what_is_not_defined_says_so():
    with pytest.raises(NotImplementedError, match="LatentVariableModel does not define encode"):
        LatentVariableModel().encode(X)
    with pytest.raises(NotImplementedError, match="does not define decode"):
        LatentVariableModel().decode(X)


def test_stored_pictures_are_prepared_and_anything_else_is_left():
    images = torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)
    assert set(prepared(mlp_vae((1, 4, 4), 2), images).unique().tolist()) == {1.0}
    assert torch.equal(prepared(nn.Linear(1, 1), images), torch.ones(2, 1, 4, 4))
    assert prepared(mlp_vae((1, 4, 4), 2), X) is X


def test_modes_are_put_back_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Linear(1, 1)).train()
    model[0].eval()
    with pytest.raises(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert model.training and model[1].training and not model[0].training
