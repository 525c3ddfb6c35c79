"""Every disease is found in a model that has it by construction, and not in its neighbour that lacks it.

The healthy model needs no training: its decoder is the linear one that the pictures were drawn from, and its encoder
gives their posterior in closed form. Each sick one differs from it in one respect.
"""

import json
import math
import threading

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_helpers.data import load
from vae_helpers.distributions import (
    DiscretisedGaussianLikelihood,
    GaussianLikelihood,
    GreyBernoulliLikelihood,
    diagonal_gaussian,
)
from vae_helpers.evaluation import Diagnosis, Estimate, Finding, Prices, case, diagnose, diagnosis, neighbours
from vae_helpers.evaluation.diseases import DISEASES
from vae_helpers.models import (
    VAE,
    VQVAE,
    AdversarialPair,
    Autoencoder,
    LatentVariableModel,
    MixturePriorVAE,
    PatchDiscriminator,
    VectorQuantiser,
    mlp_hierarchy,
    mlp_vae,
)
from vae_helpers.training import History, fit

S = 0.1  # the pictures' noise
STRENGTHS = torch.tensor([60.0, 30.0, 15.0], dtype=torch.float64)  # |W_d|^2 / S^2


def generator(seed):
    return torch.Generator().manual_seed(seed)


DIRECTIONS = torch.linalg.qr(torch.randn(16, 3, dtype=torch.float64, generator=generator(1))).Q
W = DIRECTIONS * STRENGTHS.sqrt() * S  # (16, 3)
B = 0.3 + 0.4 * torch.rand(16, dtype=torch.float64, generator=generator(2))


def drawn(n, seed, noise=S):
    """Pictures (n, 1, 4, 4) of p(x | z) = N(W z + b, noise^2)."""
    z, eps = (torch.randn(n, d, dtype=torch.float64, generator=generator(seed + d)) for d in (3, 16))
    return (z @ W.T + B + noise * eps).unflatten(1, (1, 4, 4))


SEEN, OTHERS = drawn(400, 100), drawn(200, 200)


@torch.no_grad()
def model(sigma=S, beta=1.0, kind=VAE):
    """Its decoder says W z + b with noise sigma; its codes are the best for that and a KL weighed by beta."""
    encoder, decoder = nn.Linear(16, 6), nn.Linear(3, 16)
    vae = kind(
        nn.Sequential(nn.Flatten(), encoder), nn.Sequential(decoder, nn.Unflatten(1, (1, 4, 4))),
        GaussianLikelihood(sigma), 3,
    ).double()  # fmt: skip
    decoder.weight.copy_(W), decoder.bias.copy_(B)
    a = W.square().sum(0) / sigma**2
    encoder.weight.zero_(), encoder.weight[:3].copy_(W.T / sigma**2 / (a + beta)[:, None])
    encoder.bias[:3].copy_(-encoder.weight[:3] @ B)
    encoder.bias[3:].copy_(20 * torch.atanh((beta / (a + beta)).log() / 20))  # the encoder's soft bound, inverted
    return vae


def examined(vae=None, history=None, data=SEEN, held_out=OTHERS, **settings):
    return diagnose(model() if vae is None else vae, data, history, held_out=held_out, **settings)


def names(*args, **settings):
    return examined(*args, **settings).names


def record(losses, **parts):
    return History(list(range(len(losses))), {"loss": list(losses), **parts})


# --- health ---------------------------------------------------------------------------------------------------------


def test_the_model_that_made_the_pictures_is_healthy_and_its_numbers_are_those_of_theory():
    report = examined()
    m, a = report.measured, STRENGTHS
    assert report.healthy and report.names == () and report.findings == []
    assert abs(m["price of a nat, by the noise"] - 1) < 4 * m["price of a nat, by the noise, standard error"] < 0.2
    assert math.isclose(m["price of a nat, by the means"], 1, rel_tol=1e-6)
    assert torch.allclose(torch.tensor(m["price by latent"]), torch.ones(3), atol=0.15)
    assert math.isclose(m["sigma of the decoder"], S, rel_tol=1e-6)
    assert abs(m["root of the mean squared error"] / S - 1) < 0.03
    nats = (1 + a).log() / 2  # of the posterior N(mu, 1 / (1 + a)) of a latent on average: (E mu^2 + var - 1) is 0
    assert torch.allclose(torch.tensor(m["KL by latent, nats"]).double(), nats, atol=0.15)
    assert math.isclose(m["KL, nats"], sum(m["KL by latent, nats"]), rel_tol=1e-6)
    assert m["active units"] == m["latents"] == 3
    assert torch.allclose(torch.tensor(m["root mean square of codes, by latent"]), torch.ones(3), atol=0.1)
    assert m["KL of all codes' Gaussian to the prior, nats"] < 0.1
    assert 3 < m["what a code says about its picture, nats"] < m["... at most, log N"] == math.log(400)
    total = (W.square().sum() / (W.square().sum() + 16 * S**2)).item()
    assert abs(m["share of the pictures' variance that codes decide"] - total) < 0.1
    assert abs(m["noise of sample(), of the decoder's"] - 1) < 0.1
    assert m["samples that are copies of training pictures"] < 0.02
    assert abs(m["ELBO of training pictures, nats"] - m["ELBO of held-out pictures, nats"]) < 1.5
    marginal = MultivariateNormal(B, W @ W.T + S**2 * torch.eye(16).double())
    assert abs(m["ELBO of training pictures, nats"] - marginal.log_prob(SEEN.flatten(1)).mean().item()) < 0.3
    assert math.isclose(m["largest |log_var|"], math.log(61), rel_tol=1e-4)
    assert math.isclose(m["largest number that the first layer sees"], SEEN[:100].abs().max().item())
    assert m["weights at several places"] == m["held-out pictures in the training set"] == 0
    assert m["held-out pictures nearer than 99 % of training pictures"] < 0.05
    assert m["code moved by the rest of the batch"] < 1e-9
    assert math.isclose(m["squared error in eval(), times that in train()"], 1, rel_tol=1e-9)
    assert math.isclose(m["spread of the picture of code 0"], B.std().item(), rel_tol=1e-6)
    assert set(report.skipped) == {"critic", "training"}
    assert "no history" in report.skipped["training"] and "no critic" in report.skipped["critic"]


def test_a_small_network_that_was_trained_is_healthy_too():
    torch.manual_seed(0)
    vae = mlp_vae((1, 4, 4), 3, (32,), GaussianLikelihood(0.3, learn_sigma=True))
    train = SEEN.float()
    history = fit(vae, train, steps=1200, learning_rate=1e-2, seed=0, validation=OTHERS.float(), progress=False)
    report = diagnose(vae, train, history, held_out=OTHERS.float())
    assert report.healthy, str(report)
    assert "highest jump of the loss, of its fall" in report.measured
    assert "dead units, in the worst layer" in report.measured
    assert "rise of the validation curve since its best, nats" in report.measured


# --- the weight of the KL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beta", "found"),
    [(0.2, "the KL weighs too little"), (0.8, None), (1.4, None), (5.0, "the KL weighs too much")],
)
def test_a_weight_of_the_kl_is_found_unless_it_was_meant(beta, found):
    report = examined(model(beta=beta))
    assert report.names == ((found,) if found else ())
    assert abs(report.measured["price of a nat, by the noise"] / beta - 1) < 0.1
    assert names(model(beta=beta), beta=beta) == ()
    if found:
        assert report.findings[0].evidence.startswith("a nat of it costs ") and "not 1" in report.findings[0].evidence


TOO_LITTLE, TOO_MUCH, CONFUSED = "the KL weighs too little", "the KL weighs too much", "log_var and log_std confused"


@pytest.mark.parametrize(
    ("noise", "means", "beta", "found"),
    [
        ((1.0, 0.01), (1.0, 0.01), 1, None),
        ((0.61, 0.01), (0.61, 0.01), 1, None),
        ((0.59, 0.01), (0.59, 0.01), 1, TOO_LITTLE),
        ((1.65, 0.01), (1.65, 0.01), 1, None),
        ((1.69, 0.01), (1.69, 0.01), 1, TOO_MUCH),
        ((0.65, 0.01), (1.0, 0.01), 1, None),
        ((1.55, 0.01), (1.0, 0.01), 1, None),
        ((0.49, 0.01), (1.0, 0.01), 1, TOO_LITTLE),
        ((0.48, 0.01), (1.0, 0.01), 1, CONFUSED),  # 0.423 for this model's sigma, and 2.07 the other way round
        ((0.42, 0.01), (1.0, 0.01), 1, CONFUSED),
        ((0.37, 0.01), (1.0, 0.01), 1, CONFUSED),
        ((0.36, 0.01), (1.0, 0.01), 1, TOO_LITTLE),
        ((1.79, 0.01), (1.0, 0.01), 1, TOO_MUCH),
        ((1.82, 0.01), (1.0, 0.01), 1, CONFUSED),
        ((2.36, 0.01), (1.0, 0.01), 1, CONFUSED),
        ((2.41, 0.01), (1.0, 0.01), 1, TOO_MUCH),
        ((2.07, 0.01), (1.4, 0.01), 1, TOO_MUCH),
        ((0.42, 0.01), (0.65, 0.01), 1, TOO_LITTLE),  # the means say that nothing is as it should be
        ((0.42, 0.01), (0.68, 0.01), 1, CONFUSED),
        ((0.42, 0.01), (9.0, 5.0), 1, CONFUSED),
        ((0.36, 0.01), (1.6, 0.01), 1, TOO_LITTLE),
        ((0.42, 0.01), (0.42, 0.01), 1, TOO_LITTLE),
        ((2.0, 0.01), (2.0, 0.01), 2, None),
        ((1.0, 0.01), (1.0, 0.01), 2, TOO_LITTLE),
        ((4.0, 0.01), (4.0, 0.01), 2, TOO_MUCH),
        ((0.84, 0.01), (2.0, 0.01), 2, CONFUSED),
        ((0.84, 0.01), (3.2, 0.01), 2, CONFUSED),
        ((0.42, 0.041), (1.0, 0.01), 1, CONFUSED),
        ((0.42, 0.043), (1.0, 0.01), 1, None),  # the noise is not sure, and the means are right
        ((0.42, 0.043), (2.0, 0.01), 1, TOO_MUCH),
        ((-0.5, 0.01), (0.2, 0.01), 1, TOO_LITTLE),
        ((5.0, 0.1), (math.nan, math.nan), 1, TOO_MUCH),
        ((2.15, 0.18), (-5.9, 3.0), 1, TOO_MUCH),
        ((2.15, 0.18), (-6.1, 3.0), 1, "not positive: training has not come to rest"),
        ((0.36, 0.01), (-6.1, 3.0), 1, TOO_LITTLE),
        ((5.0, 2.0), (5.0, 2.0), 1, "unsure"),
        ((-5.0, 0.1), (math.nan, math.nan), 1, "not positive: training has not come to rest"),
        ((-5.0, 3.0), (0.1, 0.1), 1, "unsure"),
        ((0.5, 0.3), (-1.0, 0.1), 1, "not positive: training has not come to rest"),
        ((math.nan, math.nan), (math.nan, math.nan), 1, "unsure"),
    ],
)
def test_what_the_two_readings_of_the_price_mean(monkeypatch, noise, means, beta, found):
    read = Prices(Estimate(*noise), Estimate(*means), torch.tensor([noise[0], math.nan]))
    monkeypatch.setattr(diagnosis, "kl_price", lambda *_, **__: read)
    report = examined(beta=beta)
    if found == "unsure" or (found or "").startswith("not"):
        words = "neither reading is sure" if found == "unsure" else found
        assert report.skipped["price of the KL"].endswith(words) and report.healthy
    else:
        assert report.names == ((found,) if found else ())
    assert report.measured["price of a nat, by the noise"] is noise[0]
    assert report.measured["price of a nat, by the means"] is means[0]
    assert report.measured["price of a nat, by the noise, standard error"] is noise[1]
    sure = next((p[0] for p in (noise, means) if p[1] < 0.1 * p[0]), None)
    assert report.measured.get("price of a nat") is sure


@pytest.mark.parametrize(
    ("further", "named"),
    [
        (["disbelief"], "disbelief"),
        (["kl 1", "kl 2", "grad_norm", "elbo", "distortion", "kl"], None),
        (["features"], "features"),
        (["vae.kl", "critic.loss", "vae.disbelief", "vae.loss"], "vae.kl, critic.loss, vae.disbelief"),
    ],
)
def test_where_the_loss_had_further_terms_the_price_is_a_number_and_no_finding(further, named):
    report = examined(model(beta=5.0), record([1.0] * 300, **{name: [1.0] * 300 for name in further}))
    assert abs(report.measured["price of a nat"] / 5 - 1) < 0.1
    assert report.names == (() if named else (TOO_MUCH,))
    if named:
        why = report.skipped["price of the KL"]
        assert f"further terms ({named})" in why and "against the likelihood alone" in why


@pytest.mark.parametrize(("steps", "judged"), [(199, False), (200, True)])
def test_a_training_of_few_steps_has_a_price_that_is_not_judged(steps, judged):
    report = examined(model(beta=5.0), History([steps], {"loss": [1.0]}))
    assert abs(report.measured["price of a nat"] / 5 - 1) < 0.1
    assert report.names == ((TOO_MUCH,) if judged else ())
    assert judged or f"after {steps} steps no training has come to rest" in report.skipped["price of the KL"]


class WithoutHalf(VAE):
    """What its encoder calls log_var is the log of its standard deviation, and its KL has not been told."""

    def encode(self, x):
        log_var = super().encode(x).variance.log()
        return Independent(Normal(super().encode(x).mean, log_var.exp()), 1)


def test_a_missing_half_is_told_from_a_weight():
    sick, a = model(kind=WithoutHalf), STRENGTHS
    sigma = ((1 + 8 * a).sqrt() - 1) / (4 * a)  # at rest: see test_balance.py
    with torch.no_grad():
        sick.encoder[1].bias[3:] = 20 * torch.atanh(sigma.log() / 20)
    report = examined(sick)
    assert report.names == (CONFUSED,)
    expected = ((1 - sigma).sum() / 2 / (1 - sigma.square()).sum()).item()
    assert abs(report.measured["price of a nat, by the noise"] / expected - 1) < 0.1
    assert f"{report.measured['price of a nat, by the noise']:.3g} by the noise" in report.findings[0].evidence
    with torch.no_grad():  # what is drawn with is at the best for the true KL: nothing to see from outside
        sick.encoder[1].bias[3:] = 20 * torch.atanh((1 / (1 + a)).log() / 2 / 20)
    assert names(sick) == ()


class Fixed(VAE):
    """Its codes have a sigma that nobody learned."""

    def encode(self, x):
        return Independent(Normal(super().encode(x).mean, torch.full((3,), 0.3).double()), 1)


def test_where_no_weight_moves_the_noise_the_means_are_priced(monkeypatch):
    fixed, asked = model(kind=Fixed), model().requires_grad_(False)
    means = {"fixed": fixed, "frozen": asked}
    report = {name: examined(vae) for name, vae in means.items()}
    assert report["fixed"].measured["price of a nat, by the noise"] > 1.67  # (12.3) says nothing of it
    assert TOO_MUCH not in report["fixed"].names
    assert report["fixed"].measured["price of a nat"] == report["fixed"].measured["price of a nat, by the means"]
    assert report["frozen"].measured["price of a nat"] == report["frozen"].measured["price of a nat, by the noise"]
    assert not any(p.requires_grad for p in asked.parameters())
    del report
    assert not any(p.requires_grad for p in asked.parameters())
    unsure = Prices(Estimate(5.0, 0.01), Estimate(1.0, 0.5), torch.ones(3))
    monkeypatch.setattr(diagnosis, "kl_price", lambda *_, **__: unsure)
    assert "no weight moves the codes' sigma" in examined(fixed).skipped["price of the KL"]


# --- what the decoder says ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("times", "sick"), [(3, True), (1.8, True), (1.4, False), (0.72, False), (0.4, True)])
def test_a_sigma_that_is_not_the_error_is_found_though_the_codes_have_settled_on_it(times, sick):
    report = examined(model(sigma=times * S))
    assert report.names == (("sigma is not the error",) if sick else ())
    assert math.isclose(report.measured["sigma of the decoder"], times * S, rel_tol=1e-6)
    if sick:
        assert f"sigma is {times * S:.3g} and the error " in report.findings[0].evidence


def test_the_sigma_of_pixels_that_differ_is_the_root_of_their_mean_variance():
    class Uneven(VAE):
        def decode(self, z):
            sigma = S * torch.tensor([0.5, 1.5]).double().repeat(8).reshape(4, 4)
            return Independent(Normal(super().decode(z).mean, sigma), 3)

    assert math.isclose(examined(model(kind=Uneven)).measured["sigma of the decoder"], S * math.sqrt(1.25))


def test_one_that_knows_no_greys_has_no_sigma():
    report = diagnose(mlp_vae((1, 4, 4), 3, (8,), GreyBernoulliLikelihood()).double(), SEEN.clamp(0, 1))
    assert "no variance" in report.skipped["sigma"] and "sigma of the decoder" not in report.measured


class Means(VAE):
    """sample() forgets the noise, or some of it."""

    share = 0.0

    @torch.no_grad()
    def sample(self, n):
        p = self.decode(self.prior.sample((n,)))
        return p.mean + self.share * (p.sample() - p.mean)


def test_samples_that_are_means_are_found():
    sick = model(kind=Means)
    report = examined(sick)
    assert report.names == ("means returned as samples",) and "has 0% of the pixel noise" in report.findings[0].evidence
    sick.share = 0.65  # 0.42 of the variance
    assert names(sick) == ("means returned as samples",)
    sick.share = 0.73  # 0.53 of it
    assert names(sick) == ()
    sick.share = 0.77  # 0.59 of it
    assert names(sick) == ()
    assert abs(examined(sick).measured["noise of sample(), of the decoder's"] - 0.59) < 0.03


def test_pixels_that_are_always_black_do_not_hide_that_samples_of_levels_are_means():
    vae = model()
    vae.likelihood = DiscretisedGaussianLikelihood(S).double()
    stored = [(256 * x).clamp(0, 255).to(torch.uint8) for x in (SEEN, OTHERS)]
    for pictures in stored:
        pictures[..., 0, :] = 0
    with torch.no_grad():
        vae.decoder[0].bias[:4] = torch.tensor([-5.0, -9.0, -5.0, -9.0])  # the first level reaches to minus infinity
    report = examined(vae, data=stored[0], held_out=stored[1])
    share = report.measured["noise of sample(), of the decoder's"]
    assert share > 0.9 and "means returned as samples" not in report.names
    vae.sample = vae.sample_means
    assert "means returned as samples" in names(vae, data=stored[0], held_out=stored[1])


def test_samples_of_other_codes_are_judged_too():
    sick, well = model(sigma=4 * S, kind=Means), model(sigma=4 * S)  # noise that shows beside what pictures differ by
    sick.sample = lambda n: torch.flip(Means.sample(sick, n), (0,))
    assert names(sick) == ("sigma is not the error", "means returned as samples")
    well.sample = lambda n: torch.flip(VAE.sample(well, n), (0,))
    assert names(well) == ("sigma is not the error",)
    sick, well = model(kind=Means), model()  # noise that does not
    for vae in (sick, well):
        vae.sample = lambda n, vae=vae: torch.flip(type(vae).sample(vae, n), (0,))
        assert "too small beside its pictures" in examined(vae).skipped["samples"]


def test_means_are_drawn_at_the_codes_of_samples_whatever_was_drawn_before():
    asked, vae = case.Case(model(), (SEEN,), None, None, 1.0, 50, 7), model()
    with torch.no_grad():
        means, draws = asked.drawn
    assert torch.equal(means, at_seed(7, lambda: vae.sample_means(300)))
    assert torch.equal(draws, at_seed(7, lambda: vae.sample(300)))


def at_seed(seed, draw):
    torch.manual_seed(seed)
    return draw()


def test_samples_that_cannot_be_judged_are_left_out():
    vae = model()
    vae.sample = lambda n: torch.zeros(n, 3)
    assert "does not give n pictures" in examined(vae).skipped["samples"]
    for mistake, words in (
        (lambda n, labels: None, "missing 1 required positional argument: 'labels'"),
        (lambda n: {}["no such key"], "no such key"),
        (lambda n: None, "no attribute 'to'"),
    ):
        vae.sample = mistake
        report = examined(vae)
        assert report.healthy and report.skipped["samples"].startswith("sample(300) failed: ")
        assert words in report.skipped["samples"]

    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.vae = model()
            self.encode, self.decode, self.prior = self.vae.encode, self.vae.decode, self.vae.prior

    report = examined(Bare())
    assert report.healthy and report.skipped["samples"] == "the model has no sample(n)"


# --- how networks are built -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("largest", "sick"), [(255, True), (21, True), (-21, True), (19, False)])
def test_pictures_out_of_scale_are_found(largest, sick):
    factor = largest / SEEN[:100].max().item()

    class Scaled(VAE):
        def encode(self, x):
            return super().encode(factor * x)

    vae = model(kind=Scaled)
    with torch.no_grad():
        vae.encoder[1].weight /= factor
    report = examined(vae)
    assert report.names == (("pictures out of scale",) if sick else ())
    assert SEEN[:100].min() > -SEEN[:100].max()
    assert math.isclose(report.measured["largest number that the first layer sees"], abs(largest), rel_tol=1e-9)
    assert not sick or report.findings[0].evidence == f"the first layer sees numbers up to {abs(largest):.3g}"


def test_the_first_layer_is_the_one_that_is_called_first():
    class Backwards(LatentVariableModel):
        def __init__(self):
            super().__init__()
            vae, self.latent_dim = model(), 3
            self.decoder, self.likelihood, self.encoder = vae.decoder, vae.likelihood, vae.encoder

        encode, decode = VAE.encode, VAE.decode

    report = examined(Backwards())
    assert report.healthy and report.measured["largest number that the first layer sees"] < 3


def test_what_later_layers_see_may_be_larger():
    first, second = rotation(), rotation()
    with torch.no_grad():
        first.weight *= 100
        second.weight /= 100
    assert names(with_layers(first, second)) == ()


def test_a_model_without_such_layers_is_measured_otherwise():
    class ByHand(LatentVariableModel):
        latent_dim = 3

        def __init__(self):
            super().__init__()
            self.W, self.b = nn.Parameter(W.clone()), nn.Parameter(B.clone())

        def encode(self, x):
            a = self.W.square().sum(0) / S**2
            mu = (x.flatten(1) - self.b) @ self.W / S**2 / (1 + a)
            return diagonal_gaussian(mu, -(1 + a).log().expand_as(mu))

        def decode(self, z):
            return Independent(Normal((z @ self.W.T + self.b).unflatten(-1, (1, 4, 4)), S), 3)

    report = examined(ByHand())
    assert report.healthy and report.skipped["scale of the pictures"].startswith("the encoder has no dense")


def with_layers(*layers):
    """The healthy model with layers put before its encoder's, of which the first two undo each other."""
    vae = model()
    vae.encoder = nn.Sequential(vae.encoder[0], *layers, vae.encoder[1])
    return vae


def rotation():
    layer = nn.Linear(16, 16).double()
    nn.init.eye_(layer.weight), nn.init.zeros_(layer.bias)
    return layer


def test_layers_that_share_their_weights_are_found():
    report = examined(with_layers(*[rotation()] * 2))
    assert report.names == ("layers share their weights",)
    assert report.measured["weights at several places"] == 2
    assert "encoder.1.weight = encoder.2.weight" in report.findings[0].evidence
    assert names(with_layers(*[rotation() for _ in range(2)])) == ()


def test_a_second_name_for_a_layer_is_no_sharing_and_one_tensor_in_two_layers_is():
    vae = model()
    vae.first = vae.encoder[1]
    report = examined(vae)
    assert report.healthy and report.measured["weights at several places"] == 0
    first, second = rotation(), rotation()
    second.weight = first.weight
    report = examined(with_layers(first, second))
    assert report.names == ("layers share their weights",) and report.measured["weights at several places"] == 1
    vae = with_layers(first)
    vae.kept = second  # which is never called
    assert names(vae) == ()


def test_a_layer_that_one_place_uses_twice_is_meant_to_be_so():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = rotation()

        def forward(self, h):
            return self.layer(self.layer(h))

    assert examined(with_layers(Twice())).measured["weights at several places"] == 0


def normed(**settings):
    """The healthy model with a batch normalisation of its pictures, which the encoder takes into account."""
    pixels = SEEN.flatten(1)
    mean, variance = pixels.mean(0), pixels.var(0)
    norm = nn.BatchNorm1d(16, affine=False, eps=1e-12, **settings).double()
    vae = with_layers(norm)
    with torch.no_grad():
        last = vae.encoder[-1]
        last.bias += last.weight @ mean
        last.weight *= variance.sqrt()
    if norm.track_running_stats:
        norm.running_mean.copy_(mean), norm.running_var.copy_(variance)
    return vae


def test_a_batch_normalisation_that_looks_at_the_batch_is_found():
    report = examined(normed(track_running_stats=False))
    assert "the batch or the mode matters" in report.names
    assert report.measured["code moved by the rest of the batch"] > 0.1
    assert "moves by" in report.findings[0].evidence and "with its batch" in report.findings[0].evidence
    assert names(normed()) == ()


@pytest.mark.parametrize("size", [1, 0.01])
@pytest.mark.parametrize(("shift", "found"), [(0.01, False), (0.03, True)])
def test_rounding_is_no_batch_that_matters_and_one_code_that_moves_by_its_spread_is_enough(shift, found, size):
    class Leaky(VAE):
        def encode(self, x):
            q = super().encode(x)
            moved = size * q.mean
            if len(x) == 5:
                moved[2, 1] -= shift * size * super().encode(SEEN[:200]).mean.std()
            return Independent(Normal(moved, q.stddev), 1)

    assert ("the batch or the mode matters" in names(model(kind=Leaky))) is found


def test_statistics_that_have_not_followed_are_found():
    vae = normed()
    vae.encoder[1].running_var *= 9
    vae.encoder[1].running_mean += 0.3
    report = examined(vae)
    evidence = {finding.name: finding.evidence for finding in report.findings}
    assert "times that in train()" in evidence["the batch or the mode matters"]
    assert report.measured["squared error in eval(), times that in train()"] > 1.25


@pytest.mark.parametrize(("times", "sick"), [(1.2, False), (1.3, True)])
def test_a_model_that_is_worse_in_eval_is_found(times, sick):
    class Darker(VAE):
        dark = 0.0

        def decode(self, z):
            p = super().decode(z)
            return p if self.training else Independent(Normal(p.mean - self.dark, p.stddev), 3)

    vae = model(kind=Darker)
    with torch.no_grad():
        away = vae.decode(vae.encode(SEEN[:200]).mean).mean - SEEN[:200]
    a, b = away.square().mean().item(), away.mean().item()  # a - 2 b dark + dark^2 is to be so many times a
    vae.dark = b + math.sqrt(b**2 + (times - 1) * a)
    report = examined(vae)
    assert math.isclose(report.measured["squared error in eval(), times that in train()"], times, rel_tol=1e-6)
    assert ("the batch or the mode matters" in report.names) is sick


def test_less_noise_in_eval_is_not_none():
    class Quieter(VAE):
        def encode(self, x):
            q = super().encode(x)
            return q if self.training else Independent(Normal(q.mean, 0.4 * q.stddev), 1)

    assert "the batch or the mode matters" not in names(model(kind=Quieter))


@pytest.mark.parametrize("off", [True, False])
def test_sampling_that_eval_switches_off_is_found(off):
    class Switched(VAE):
        def encode(self, x):
            q = super().encode(x)
            return q if self.training or not off else Independent(Normal(q.mean, 1e-6), 1)

    report = examined(model(kind=Switched))
    assert ("the batch or the mode matters" in report.names) is off
    if off:
        evidence = {finding.name: finding.evidence for finding in report.findings}["the batch or the mode matters"]
        assert evidence.startswith("the codes' sigma is 1e-06 in eval(), 0.1")


def test_running_statistics_are_put_back_and_models_need_not_be_copied():
    vae = normed()
    vae.lock, vae.graph = threading.Lock(), (torch.ones(2, requires_grad=True) ** 2)  # which deepcopy refuses
    norm, before = vae.encoder[1], {name: value.clone() for name, value in vae.state_dict().items()}
    buffers = dict(vae.named_buffers())
    assert examined(vae).healthy
    assert all(value is buffers[name] for name, value in vae.named_buffers())
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    with pytest.raises(RuntimeError), diagnosis._in_training(vae):
        vae.encode(SEEN)
        norm.running_mean = norm.running_mean + 1
        raise RuntimeError
    assert norm.running_mean is buffers["encoder.1.running_mean"]
    assert torch.equal(norm.running_mean, before["encoder.1.running_mean"])


def test_a_decoder_without_biases_is_found():
    vae = model()
    vae.decoder[0].bias = None
    report = examined(vae, data=SEEN - B.reshape(4, 4), held_out=OTHERS - B.reshape(4, 4))
    assert report.names[0] == "no biases"
    assert "one flat value, 0; 1 layers have no bias, decoder.0 first" in report.findings[0].evidence
    assert report.measured["spread of the picture of code 0"] == 0
    vae = model()
    with torch.no_grad():
        vae.decoder[0].bias.zero_()
    findings = {finding.name: finding.evidence for finding in examined(vae).findings}
    with torch.no_grad():  # hardly a picture, but one
        vae.decoder[0].bias.copy_(B / 2000)
    assert "no biases" not in names(vae)
    assert findings["no biases"] == "the code 0 is painted as one flat value, 0"


# --- how they were trained ------------------------------------------------------------------------------------------


def test_held_out_pictures_that_were_trained_on_are_found():
    for copies, sick in ((2, True), (1, False)):  # of 200: more than 0.5 %
        report = examined(held_out=torch.cat([OTHERS[copies:], SEEN[:copies]]))
        assert report.names == (("held-out pictures in training",) if sick else ())
        assert report.measured["held-out pictures in the training set"] == copies / 200
    assert "1.0% of the held-out pictures are in the training set" in examined(
        held_out=torch.cat([OTHERS[2:], SEEN[:2]])
    ).findings[0].evidence  # fmt: skip


def test_duplicates_are_sought_among_all():
    assert names(data=torch.cat([SEEN, OTHERS[-2:], SEEN[:1]]), pictures=20)[:1] == ("held-out pictures in training",)


def test_held_out_pictures_that_nearly_are_in_the_training_set_are_found():
    eps = 1e-3 * torch.randn(SEEN.shape, dtype=torch.float64, generator=generator(5))
    report = examined(held_out=torch.cat([OTHERS[30:], (SEEN + eps)[:30]]))
    assert report.names == ("held-out pictures in training",) and "are nearer to" in report.findings[0].evidence
    assert 0.15 <= report.measured["held-out pictures nearer than 99 % of training pictures"] < 0.19
    assert names(held_out=torch.cat([OTHERS[25:], (SEEN + eps)[:25]])) == ("held-out pictures in training",)
    assert names(held_out=torch.cat([OTHERS[12:], (SEEN + eps)[:12]])) == ()


def test_near_is_nearer_than_all_but_a_hundredth_of_the_training_set():
    pixels = SEEN.flatten(1)
    theirs = torch.cdist(pixels, pixels).topk(2, largest=False).values[:, 1]
    away = torch.nn.functional.normalize(torch.randn(40, 16, dtype=torch.float64, generator=generator(6)), dim=1)
    for times, found in ((0.95, True), (1.2, False)):
        copies = SEEN[:40] + (times * theirs.quantile(0.01) * away).unflatten(1, (1, 4, 4))
        report = examined(held_out=torch.cat([OTHERS[:160], copies]))
        assert ("held-out pictures in training" in report.names) is found


FALL = [100 / (1 + 0.1 * k) for k in range(200)]  # from 100 to 4.8


@pytest.mark.parametrize(
    ("at", "loss", "sick"),
    [
        (100, 70.0, True),
        (100, 50.0, False),
        (5, 1e6, False),
        (10, 1e6, False),
        (11, 1e6, True),
        (199, 70.0, True),
        (50, math.nan, False),
    ],
)
def test_a_jump_of_the_loss_is_found_but_in_the_first_twentieth(at, loss, sick):
    losses = [*FALL[:at], loss, *FALL[at + 1 :]]
    assert names(history=record(losses)) == (("training broke",) if sick else ())


def test_a_jump_is_measured_by_all_that_the_loss_has_fallen():
    losses = [*FALL[:100], FALL[99] + 0.6 * (FALL[0] - FALL[-1]), *FALL[101:], FALL[-1] + 20]  # not at its lowest
    report = examined(history=record(losses))
    assert math.isclose(report.measured["highest jump of the loss, of its fall"], 0.6, rel_tol=1e-3)
    assert "the loss once rose by 0.6 times all that it fell" in report.findings[0].evidence


@pytest.mark.parametrize(("spike", "sick"), [(0.0, False), (60.0, True)])
def test_the_noise_of_records_is_no_jump_where_the_loss_hardly_falls(spike, sick):
    noise = 3 * torch.randn(200, generator=torch.Generator().manual_seed(0))
    losses = (torch.linspace(104, 100, 200) + noise).tolist()
    losses[120] += spike
    assert names(history=record(losses)) == (("training broke",) if sick else ())


def test_a_jump_is_measured_from_the_lowest_before_it():
    fall = FALL[0] - FALL[-1]
    stairs = [FALL[99] + part * fall for part in (0.2, 0.4, 0.6)]
    report = examined(history=record([*FALL[:100], *stairs, *FALL[103:]]))
    assert math.isclose(report.measured["highest jump of the loss, of its fall"], 0.6, rel_tol=1e-3)


def test_the_loss_that_may_not_jump_is_the_negative_elbo_where_its_parts_are_known():
    warm_up = record([100 - k if k < 60 else 200.0 for k in range(100)], distortion=FALL[:100], kl=[2.0] * 100)
    assert names(history=warm_up) == ()
    jump = [*FALL[:50], 150.0, *FALL[51:100]]
    assert names(history=record(FALL[:100], distortion=jump, kl=[2.0] * 100)) == ("training broke",)
    assert names(history=record(FALL[:100], distortion=FALL[:100], kl=jump)) == ("training broke",)
    with_phases = History(list(range(100)), {"vae.distortion": jump, "vae.kl": [2.0] * 100, "critic.loss": FALL[:100]})
    assert names(history=with_phases) == ("training broke",)
    assert names(history=record(jump[40:60])) == ()  # 20 records or fewer say nothing


def rectified(dead):
    """The healthy model with x = relu(x) - relu(-x) before its encoder, and so many units more that are dead."""
    vae = model()
    first, last = nn.Linear(16, 32 + dead).double(), nn.Linear(32 + dead, 6).double()
    with torch.no_grad():
        nn.init.zeros_(first.weight), nn.init.zeros_(first.bias), nn.init.zeros_(last.weight)
        first.weight[:16], first.weight[16:32] = torch.eye(16), -torch.eye(16)
        first.bias[:16], first.bias[16:32] = -B, B  # so that each is sometimes on
        linear = vae.encoder[1]
        last.weight[:, :16], last.weight[:, 16:32] = linear.weight, -linear.weight
        last.bias.copy_(linear.bias + linear.weight @ B)
        first.bias[32:] = -1.0
    vae.encoder = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
    return vae


def test_dead_units_are_found_where_hardly_one_lives_or_the_loss_jumped():
    report = examined(rectified(288))
    assert report.names == ("training broke",)
    assert math.isclose(report.measured["dead units, in the worst layer"], 0.9)
    assert report.findings[0].evidence == "90% of the units of encoder.2 say the same of every picture"
    for dead in (64, 181):  # with ReLU no rarity
        report = examined(rectified(dead))
        assert report.healthy and math.isclose(report.measured["dead units, in the worst layer"], dead / (32 + dead))
    jumped = record([*FALL[:100], 70.0, *FALL[101:]])
    both = examined(rectified(12), jumped)
    assert both.findings[0].evidence.endswith("; 27% of the units of encoder.2 say the same of every picture")
    assert both.names == ("training broke",) and ";" not in examined(rectified(0), jumped).findings[0].evidence


def test_an_activation_that_stands_at_two_places_is_as_dead_as_at_the_worse():
    vae = rectified(12)
    relu = vae.encoder[2]
    vae.encoder = nn.Sequential(*vae.encoder, Bent(relu))
    assert math.isclose(examined(vae).measured["dead units, in the worst layer"], 12 / 44)


class Bent(nn.Module):
    """Uses an activation, and passes on what it was given."""

    def __init__(self, activation):
        super().__init__()
        self.activation = activation

    def forward(self, h):
        self.activation(h[:, :3] + 100)
        return h


class Beside(nn.Module):
    """Passes on what it is given; what an activation sees is made of it beside."""

    def __init__(self, make):
        super().__init__()
        self.activation, self.make = nn.ReLU(), make

    def forward(self, x):
        self.activation(self.make(x.flatten(1)))
        return x


@pytest.mark.parametrize("size", [1.0, 1e-4])
@pytest.mark.parametrize(("part", "dead"), [(5e-4, 0.25), (2e-3, 0.0)])
def test_a_unit_is_dead_that_hardly_moves_beside_the_others_whatever_their_size(size, part, dead):
    scales = size * torch.tensor([1.0] * 12 + [part] * 4).double()
    vae, spread = model(), SEEN.flatten(1).std(0)
    vae.encoder = nn.Sequential(Beside(lambda h: (h / spread + 100) * scales), *vae.encoder)
    assert examined(vae).measured["dead units, in the worst layer"] == dead


def test_a_unit_that_says_something_of_some_pictures_lives():
    def rarely(h):
        return torch.cat([h[:, :4] + 100, (torch.arange(len(h))[:, None] >= 100).double().expand(-1, 4)], 1)

    vae = model()
    vae.encoder = nn.Sequential(Beside(rarely), *vae.encoder)
    assert examined(vae).measured["dead units, in the worst layer"] == 0


def test_what_moves_with_the_noise_of_a_silent_code_lives():
    vae = model()
    with torch.no_grad():
        vae.encoder[1].weight.zero_(), vae.encoder[1].bias.zero_()
    vae.decoder = nn.Sequential(Beside(lambda h: h + 100), *vae.decoder)
    assert examined(vae).measured["dead units, in the worst layer"] == 0


@pytest.mark.parametrize("activation", [nn.PReLU, nn.SELU, nn.ReLU6, nn.Hardswish, nn.CELU])
def test_the_last_axis_of_tokens_is_their_units_whatever_bends_them(activation):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.activation = activation().double()

        def forward(self, x):
            h = x.flatten(1)[:, None].expand(-1, 4, -1).clone()
            h[..., :4] = 1.0  # of 16 units
            self.activation(h)
            return x

    vae = model()
    vae.encoder = nn.Sequential(Tokens(), *vae.encoder)
    assert examined(vae).measured["dead units, in the worst layer"] == 0.25


def test_channels_are_the_units_of_convolutions():
    vae = model()
    convolution = nn.Conv2d(1, 4, 1).double()
    with torch.no_grad():  # two channels that are on for every picture, two that are off
        convolution.weight.copy_(torch.tensor([1.0, 1.0, 1.0, -1.0])[:, None, None, None])
        convolution.bias.copy_(torch.tensor([9.0, 9.0, -9.0, -9.0]))
        linear = vae.encoder[1]
        last = nn.Linear(64, 6).double()
        last.weight.zero_(), last.weight[:, :16].copy_(linear.weight)
        last.bias.copy_(linear.bias - 9 * linear.weight.sum(1))
    vae.encoder = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), last)
    report = examined(vae)
    assert report.healthy and report.measured["dead units, in the worst layer"] == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_weight_that_is_no_number_ends_the_examination(value):
    vae = model()
    with torch.no_grad():
        vae.decoder[0].weight[0, 0] = value
    report = examined(vae)
    assert report.names == ("numbers overflow",) and report.pictures == {}
    assert report.findings[0].evidence == "1 parameters hold NaN or infinity, decoder.0.weight first"
    assert set(report.skipped) == {"all else"} and report.measured == {}


def test_an_infinite_loss_is_found_in_whichever_phase():
    losses = [*FALL[:30], math.inf, *FALL[31:]]
    report = examined(history=record(losses))
    assert report.names == ("numbers overflow",) and report.findings[0].evidence == "the loss was infinite at step 30"
    two = History(list(range(200)), {"critic.loss": FALL, "vae.loss": losses})
    assert names(history=two) == ("numbers overflow",)
    assert names(history=record([math.nan, *FALL[1:]])) == ()  # a part that was not computed at that step


def test_a_loss_that_is_no_number_at_last_is_found():
    report = examined(history=record([*FALL[:30], math.nan, math.nan]))
    assert report.names == ("numbers overflow",) and report.findings[0].evidence == (
        "the loss was NaN at the last step, 31"
    )
    idle = [1.0, 1.0, math.nan]  # a phase that was not trained last
    assert names(history=History([0, 1, 2], {"critic.loss": idle, "vae.loss": [3.0, 2.0, 1.0]})) == ()
    assert names(history=History([0, 1, 2], {"critic.loss": idle, "vae.loss": idle})) == ("numbers overflow",)
    assert names(history=History([], {"loss": []})) == ()


class FarOut(VAE):
    """One of its latents has this log_var."""

    log_var = 0.0

    def encode(self, x):
        q = super().encode(x)
        log_var = q.variance.log()
        log_var[:, 0] = self.log_var
        return diagonal_gaussian(q.mean, log_var)


@pytest.mark.parametrize(
    ("log_var", "evidence"),
    [
        (-18.5, "up to 18.5, 33% of all"),
        (-17.5, None),
        (17.5, None),
        (18.5, "up to 18.5, 33% of all"),
        (300.0, "up to 300, 33% of all"),
        (1e3, "up to 1e+03, 33% of all"),
        (2e3, "log_var is infinite"),
        (-2e3, "q(z | x) is no distribution"),
        (math.nan, "q(z | x) is no distribution"),
    ],
)
def test_a_log_var_that_is_far_out_is_found_and_no_number_is_too_large(log_var, evidence):
    vae = model(kind=FarOut)
    vae.log_var = log_var
    report = examined(vae)
    said = {finding.name: finding.evidence for finding in report.findings}
    assert ("numbers overflow" in said) is (evidence is not None)
    assert evidence is None or evidence in said["numbers overflow"]
    assert ("all else" in report.skipped) is not math.isfinite(report.measured.get("largest |log_var|", math.inf))
    json.loads(json.dumps(report.to_dict(), allow_nan=False))


@pytest.mark.parametrize(
    ("right", "found"),
    [
        ([0.5] * 20 + [0.98] * 20, "the critic has won"),
        ([0.99] * 30 + [0.96] * 10, None),  # it lost again
        ([0.5] * 20 + [0.75] * 20, None),
        ([0.5] * 20 + [0.99] * 19 + [0.91], "the critic has won"),
        ([0.5] * 20 + [0.56] * 10 + [0.5] * 10, None),
        ([0.5] * 20 + [0.56] * 20, None),
        ([0.5] * 30 + [0.52] * 10, "the critic never learned"),
        ([0.5] * 20 + [0.7] * 10 + [0.5] * 10, None),  # it once did
        ([0.5] * 20 + [0.7] + [0.5] * 19, "the critic never learned"),  # once is chance
        ([0.4, 0.6, 0.5], None),
        ([0.5, 0.5, 0.52], "the critic never learned"),
        ([math.nan] * 5 + [0.75] * 20, None),
        ([math.nan] * 5, "unknown"),
    ],
)
def test_what_a_critics_share_of_right_answers_says(right, found):
    history = History(list(range(len(right))), {"critic.right": right})
    report = examined(history=history)
    if found == "unknown":
        assert report.healthy and "critic" in report.skipped
        return
    assert report.names == ((found,) if found else ()) and "critic" not in report.skipped
    late = [r for r in right if not math.isnan(r)][-max(1, len(right) // 4) :]
    assert math.isclose(
        report.measured["critic's share of right answers, at last"], sum(late) / len(late), rel_tol=0.02
    )


@pytest.mark.parametrize(
    ("validation", "sick"),
    [
        ([200.0, 100.0, 150.0], True),
        ([200.0, 100.0, 108.0], False),  # less than a tenth of the fall
        ([200.0, 100.0, 112.0], True),
        ([100.2, 100.0, 100.1], False),  # less than chance
        ([200.0, 150.0, 100.0], False),
        ([110.0, 300.0, 100.0, 115.0], True),  # of its fall from where it began
        ([100.0, 150.0], False),  # two points are no curve
    ],
)
def test_a_validation_curve_that_turned_is_found(validation, sick):
    history = record(FALL)
    history.validation_step, history.validation = list(range(len(validation))), {"loss": validation}
    report = examined(history=history)
    assert report.names == (("overfitting",) if sick else ())
    if len(validation) > 2:
        assert report.measured["rise of the validation curve since its best, nats"] == validation[-1] - min(validation)
    assert not sick or "nats lower before" in report.findings[0].evidence


def test_a_gap_between_the_bounds_is_found_where_it_is_more_than_the_code_says():
    said = (1 + STRENGTHS).log().sum().item() / 2  # nats of the KL, 5.2
    for times, sick in ((1.3, True), (0.7, False)):
        # 16 - 3 directions of noise: with variance c S^2 they cost 13 (c - 1) / 2 nats more
        noise = S * math.sqrt(1 + 2 * times * said / 13)
        report = examined(held_out=drawn(200, 200, noise))
        assert report.names == (("overfitting",) if sick else ()), times
    m = examined(held_out=drawn(200, 200, 2 * S)).measured
    assert m["ELBO of training pictures, nats"] - m["ELBO of held-out pictures, nats"] > 15
    report = examined(data=drawn(400, 100, 2 * S), held_out=SEEN[:200])
    assert "overfitting" not in report.names  # it fits them better, not worse


@pytest.mark.parametrize(("error", "found"), [(2.4, False), (2.3, True)])
def test_a_gap_is_none_within_three_of_its_errors(monkeypatch, error, found):
    bounds = iter([30.0, 20.0])  # 10 nats between them, with an error of sqrt(2) times that of each
    monkeypatch.setattr(
        diagnosis, "evaluate", lambda *_, **__: {"elbo": Estimate(next(bounds), error), "kl": Estimate(5.0, 0.1)}
    )
    assert names() == (("overfitting",) if found else ())


class Copier(VAE):
    """Each code is painted as one of the pictures of a table, by where its first number lies."""

    table = SEEN

    def decode(self, z):
        place = (Normal(0.0, 1.0).cdf(z[..., 0]) * len(self.table)).long().clamp(0, len(self.table) - 1)
        return Independent(Normal(self.table[place] + 0 * z[..., :1, None, None], S), 3)


@pytest.mark.parametrize("held_out", [None, drawn(200, 200)])
def test_samples_that_are_copies_are_found(held_out):
    sick = model(kind=Copier)
    report = examined(sick, held_out=held_out)
    assert "samples are copies" in report.names and report.measured["samples that are copies of training pictures"] == 1
    assert report.findings[-1].evidence == (
        "100% of the samples are twice as near to one training picture as to any other"
    )
    sick.table = drawn(400, 900)
    assert "samples are copies" not in names(sick, held_out=held_out)
    for copies, found in ((240, True), (160, False)):
        sick.table = torch.cat([SEEN[:copies], drawn(400 - copies, 900)])
        assert ("samples are copies" in names(sick, held_out=held_out)) is found
    sick.table = SEEN[:1]  # always the same one
    assert "samples are copies" in names(sick, held_out=held_out)


def test_copies_are_pictures_that_are_much_nearer_to_one_than_to_another_one():
    sick, place = model(kind=Copier), SEEN.flatten(1)
    second = torch.cdist(place, place).topk(2, largest=False)
    for part, found in ((0.3, True), (0.36, False)):  # of the way: 0.3 / 0.7 and 0.36 / 0.64 of the distance
        sick.table = SEEN + part * (SEEN[second.indices[:, 1]] - SEEN)
        assert ("samples are copies" in names(sick)) is found
    sick.table = SEEN
    assert "samples are copies" in names(sick, data=torch.cat([SEEN, SEEN]))  # each of which stands there twice
    assert examined(data=SEEN[:1].repeat(30, 1, 1, 1)).skipped["copies"] == "all training pictures are the same"


def test_copies_and_neighbours_are_sought_among_all_pictures_in_parts(monkeypatch):
    sick = model(kind=Copier)
    sick.table = SEEN[1::2]
    monkeypatch.setattr(neighbours, "NUMBERS_AT_A_TIME", 300 * 70)
    assert "samples are copies" in names(sick, pictures=20)
    eps = 1e-3 * torch.randn(SEEN.shape, dtype=torch.float64, generator=generator(5))
    report = examined(held_out=torch.cat([OTHERS[30:], (SEEN + eps)[1:60:2]]), pictures=40)
    assert report.names == ("held-out pictures in training",) and "are nearer to" in report.findings[0].evidence


# --- the code -------------------------------------------------------------------------------------------------------


def test_a_collapsed_code_is_found_and_what_a_linear_model_would_use():
    sigma = SEEN.flatten(1).var(0).mean().sqrt().item()  # that of a model which knows the mean picture only
    vae = model(sigma=sigma)
    with torch.no_grad():
        vae.encoder[1].weight.zero_(), vae.encoder[1].bias.zero_(), vae.decoder[0].weight.zero_()
    report = examined(vae)
    assert report.names == ("the code is not used",) and report.measured["active units"] == 0
    # sigma^2 is (sum a + 16) S^2 / 16 = 7.6 S^2: all three directions vary more, 61, 31 and 16 S^2
    assert report.findings[0].evidence.endswith("a linear VAE with the same noise would use 3")
    assert "no mean of q(z | x) moves" in report.findings[0].evidence
    assert "neither reading is sure" in report.skipped["price of the KL"]
    priced = examined(vae, beta=3.0)  # noise worth 23 S^2: two of them
    assert priced.measured["latents that a linear VAE with its noise would use"] == 2
    vae.likelihood = GaussianLikelihood(0.99 * sigma * 1.6)  # 19 S^2
    assert examined(vae).measured["latents that a linear VAE with its noise would use"] == 2


@pytest.mark.parametrize(("times", "active"), [(0.2, 3), (0.05, 0)])
def test_a_unit_is_active_whose_means_have_a_variance_above_a_hundredth(times, active):
    class Faint(VAE):
        def encode(self, x):
            q = super().encode(x)
            return Independent(Normal(times * q.mean, q.stddev), 1)

    assert examined(model(kind=Faint)).measured["active units"] == active


def test_directions_in_which_pictures_vary_by_chance_are_worth_nothing():
    vae = model()
    with torch.no_grad():
        vae.encoder[1].weight.zero_(), vae.encoder[1].bias.zero_(), vae.decoder[0].weight.zero_()
    eps = torch.randn(400, 1, 4, 4, dtype=torch.float64, generator=generator(8))
    report = examined(vae, data=B.reshape(4, 4) + 0.8 * S * eps, held_out=None)
    assert report.measured["latents that a linear VAE with its noise would use"] == 0


def test_a_decoder_that_does_not_listen_is_found():
    vae = model()
    with torch.no_grad():
        vae.decoder[0].weight *= 0.01
    report = examined(vae)
    assert "the code is not used" in report.names and report.measured["active units"] == 3
    evidence = {finding.name: finding.evidence for finding in report.findings}["the code is not used"]
    assert evidence.startswith("codes of the prior decide 0.0% of the pictures' variance")
    for share, sick in ((0.007, True), (0.013, False)):
        with torch.no_grad():  # W z has (sum a) / (sum a + 16) of the variance, 0.868
            vae.decoder[0].weight.copy_(W * math.sqrt(share / 0.868))
        assert ("the code is not used" in names(vae)) is sick


def test_a_codebook_that_is_hardly_used_is_found():
    codes = torch.rand(40, 2, generator=generator(0))
    vqvae = VQVAE(nn.Identity(), nn.Identity(), VectorQuantiser(40, 2), (2,), (1,))
    vqvae.encoder = nn.Unflatten(1, (1, 2))
    vqvae.quantiser.codebook.copy_(codes)
    report = diagnose(vqvae, codes.repeat(10, 1))
    assert report.healthy and report.measured["share of codes in use"] == 1 and report.pictures == {}
    assert math.isclose(report.measured["perplexity of tokens"], 40, rel_tol=1e-4)
    report = diagnose(vqvae, codes[:3].repeat(20, 1))
    assert report.names == ("the codebook is hardly used",)
    assert report.findings[0].evidence == "60 pictures use 7.5% of the codes"
    assert {"splits", "critic"} == set(report.skipped)
    assert diagnose(vqvae, codes[:6].repeat(20, 1)).healthy  # 15 % of them


def test_books_have_codes_of_their_own_and_few_pictures_cannot_use_many():
    codes = torch.randn(4, 30, 2, generator=generator(0))
    vqvae = VQVAE(nn.Unflatten(1, (4, 2)), nn.Flatten(), VectorQuantiser(30, 2, books=4), (8,), (4,))
    vqvae.quantiser.codebook.copy_(codes)
    report = diagnose(vqvae, codes.transpose(0, 1).flatten(1))
    assert report.healthy and report.measured["share of codes in use"] == 1
    vqvae = VQVAE(nn.Unflatten(1, (1, 2)), nn.Flatten(), VectorQuantiser(1000, 2), (2,), (1,))
    assert diagnose(vqvae, vqvae.quantiser.codebook[0, :20].clone()).measured["share of codes in use"] == 1


# --- models and data of other kinds ---------------------------------------------------------------------------------


def test_a_hierarchy_is_examined_without_the_checks_that_need_one_gaussian():
    for bottom_up in (False, True):
        torch.manual_seed(0)
        vae = mlp_hierarchy((1, 4, 4), (3, 2), 8, GaussianLikelihood(0.5), bottom_up=bottom_up).double()
        report = examined(vae)
        for name in ("numbers", "price of the KL", "use of the code"):
            assert report.skipped[name].endswith("but a GaussianChain")
        assert set(report.pictures) == {"pictures", "reconstructions", "drawn from the prior"}
        assert "ELBO of held-out pictures, nats" in report.measured and "noise of sample(), of the decoder's" in (
            report.measured
        )
        assert "the batch or the mode matters" not in report.names


@pytest.mark.parametrize("likelihood", [GaussianLikelihood, DiscretisedGaussianLikelihood])
def test_stored_pictures_are_compared_on_the_scale_of_means(likelihood):
    """Pictures five times as flat, as 256 levels: x is in [0, 1] for the density, 0 ... 255 for probabilities."""
    vae = model()
    vae.likelihood = likelihood(S / 5).double()
    stored = [(256 * (0.5 + (x - B.reshape(4, 4)) / 5)).clamp(0, 255).to(torch.uint8) for x in (SEEN, OTHERS)]
    with torch.no_grad():
        vae.decoder[0].weight /= 5
        vae.decoder[0].bias.fill_(0.5)
        linear = vae.encoder[1]
        linear.weight *= 5
        linear.bias += linear.weight @ (B / 5 - 0.5)
    report = examined(vae, data=stored[0], held_out=stored[1])
    m, theory = report.measured, examined().measured
    assert report.names in ((), ("no biases",)) and m["spread of the picture of code 0"] < 1e-9
    for name in ("price of a nat, by the noise", "KL, nats", "share of the pictures' variance that codes decide",
                 "noise of sample(), of the decoder's"):  # fmt: skip
        assert abs(m[name] / theory[name] - 1) < 0.1, name
    assert math.isclose(m["squared error in eval(), times that in train()"], 1, rel_tol=1e-9)
    assert all(pictures.min() > 0.2 and pictures.max() < 0.8 for pictures in report.pictures.values())
    with torch.no_grad():
        linear.weight.zero_(), linear.bias.zero_(), vae.decoder[0].weight.zero_()
    report = examined(vae, data=stored[0], held_out=stored[1])
    evidence = {finding.name: finding.evidence for finding in report.findings}["the code is not used"]
    known = "no mean of q(z | x) moves from picture to picture; the decoder's noise is unknown"
    assert (evidence == known) is (likelihood is DiscretisedGaussianLikelihood)


def test_a_prior_of_its_own_has_no_price():
    vae = MixturePriorVAE(model(), 5).double()
    report = examined(vae)
    for name in ("price of the KL", "use of the code"):
        assert report.skipped[name].startswith("the prior is not N(0, I)")
    assert "sigma of the decoder" in report.measured and "largest |log_var|" in report.measured

    class Wide(VAE):
        @property
        def prior(self):
            return Independent(Normal(self.mean.expand(3), self.scale), 1)

    for mean, scale in ((0.0, 2.0), (0.5, 1.0)):
        vae = model(kind=Wide)
        vae.mean, vae.scale = torch.tensor(mean).double(), torch.tensor(scale).double()
        assert "price of the KL" in examined(vae).skipped


def test_a_distribution_without_a_mean_is_no_reason_to_stop():
    class Meanless(Independent):
        @property
        def mean(self):
            raise NotImplementedError

    class Odd(VAE):
        def decode(self, z):
            p = super().decode(z)
            return Meanless(p.base_dist, 3)

    report = examined(model(kind=Odd))
    assert report.skipped["modes"] == "one of the model's distributions does not know its mean"
    assert report.names == () and "price of a nat, by the noise" in report.measured
    assert "use of the code" in report.skipped and not report.healthy
    assert set(report.pictures) == {"pictures"}


class Told(VAE):
    """Each picture has something added, of which both halves are told."""

    def encode(self, x, shift):
        return super().encode(x - shift)

    def decode(self, z, shift):
        p = super().decode(z)
        return Independent(Normal(p.mean + shift, p.base_dist.scale), 3)


def test_conditions_stay_with_their_pictures_and_what_needs_draws_of_the_prior_is_left_out():
    shifts = [0.1 * torch.arange(len(x)).double().sub(len(x) / 2)[:, None, None, None] for x in (SEEN, OTHERS)]
    report = examined(model(kind=Told), data=(SEEN + shifts[0], shifts[0]), held_out=[OTHERS + shifts[1], shifts[1]])
    assert report.healthy, str(report)
    assert abs(report.measured["root of the mean squared error"] / S - 1) < 0.03
    assert math.isclose(report.measured["price of a nat, by the means"], 1, rel_tol=1e-6)
    for name in ("biases", "samples", "copies"):
        assert report.skipped[name].startswith("the model wants conditions")
    assert set(report.pictures) == {"pictures", "reconstructions"}
    rebuilt = report.pictures["reconstructions"]
    assert torch.allclose(rebuilt, report.pictures["pictures"], atol=5 * S)


def test_a_dataset_gives_both_its_parts():
    digits = load("digits")
    torch.manual_seed(0)
    vae = mlp_vae((1, 8, 8), 2, (8,), GaussianLikelihood(0.3, levels=17))
    whole, parts = diagnose(vae, digits), diagnose(vae, digits.train.images, held_out=digits.validation.images)
    assert str(whole) == str(parts) and "held-out pictures in the training set" in whole.measured
    leaked = diagnose(vae, digits, held_out=digits.train.images[:50])
    assert leaked.measured["held-out pictures in the training set"] == 1
    alone = diagnose(vae, digits.train.images)
    for name in ("splits", "generalisation"):
        assert alone.skipped[name].startswith("there are no held-out pictures")
    assert whole.pictures["pictures"].shape == (8, 1, 8, 8)


def test_rows_of_numbers_have_no_pictures():
    class Flat(VAE):
        def decode(self, z):
            p = super().decode(z)
            return Independent(Normal(p.mean.flatten(-3), p.base_dist.scale.flatten(-3)), 1)

    report = examined(model(kind=Flat), data=SEEN.flatten(1), held_out=OTHERS.flatten(1))
    assert report.healthy and report.pictures == {}


def test_pictures_are_looked_at_evenly_over_them_all():
    assert case._spread(10, 4).tolist() == [0, 3, 6, 9] and case._spread(3, 9).tolist() == [0, 1, 2]
    held_out = case.Case(model(), (SEEN,), (OTHERS,), None, 1.0, 50, 0).held_out
    assert torch.equal(held_out[0], OTHERS[case._spread(200, 50)])
    report = examined(pictures=50)
    assert report.measured["... at most, log N"] == math.log(50)
    sorted_by_size = SEEN[SEEN.flatten(1).norm(dim=1).argsort()]
    first, spread = examined(data=sorted_by_size[:100]), examined(data=sorted_by_size, pictures=100)
    truth = examined().measured["KL, nats"]
    assert abs(spread.measured["KL, nats"] - truth) < 0.15 < abs(first.measured["KL, nats"] - truth)


def test_the_model_and_the_random_state_are_left_as_they_were():
    torch.manual_seed(0)
    vae = normed()
    vae.train(), vae.decoder.eval(), vae.encoder[-1].weight.requires_grad_(False)
    vae.decoder[0].bias.grad = torch.ones(16).double()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    modes, asked = [m.training for m in vae.modules()], [p.requires_grad for p in vae.parameters()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vae.modules()]
    data, state = SEEN.clone(), torch.get_rng_state()
    first, again = examined(vae), examined(vae)
    assert torch.equal(state, torch.get_rng_state()) and str(first) == str(again)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    assert [m.training for m in vae.modules()] == modes and [p.requires_grad for p in vae.parameters()] == asked
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vae.modules()] == hooks
    assert [p.grad is None for p in vae.parameters()].count(False) == 1 and (vae.decoder[0].bias.grad == 1).all()
    assert torch.equal(data, SEEN)
    assert examined(vae, seed=1).measured != first.measured


def test_what_it_thinks_of_a_check_does_not_depend_on_the_others(monkeypatch):
    whole = examined().measured
    monkeypatch.setattr(diagnosis, "OF_CODES", {"sigma": diagnosis._sigma, "generalisation": diagnosis._generalises})
    for name, value in examined().measured.items():
        assert whole[name] == value, name


# --- the report -----------------------------------------------------------------------------------------------------


def test_diseases_are_told_causes_first_with_what_they_mean_and_what_to_do():
    vae = with_layers(*[rotation()] * 2)
    vae.likelihood = GaussianLikelihood(4 * S)
    report = examined(vae, held_out=SEEN[:100])
    assert report.names[:3] == ("layers share their weights", "held-out pictures in training", "sigma is not the error")
    assert not report.healthy and [f.place for f in report.findings] == sorted(f.place for f in report.findings)
    text = str(report)
    assert text.startswith(f"Found: {'; '.join(report.names)}.\n\nLAYERS SHARE THEIR WEIGHTS\n  evidence  2 tensors ")
    for f in report.findings:
        assert f.meaning == DISEASES[f.name].meaning and f.cure == DISEASES[f.name].cure
        assert f"{f.name.upper()}\n  evidence  {f.evidence}\n  meaning   {f.meaning}\n  cure      {f.cure}\n" in text
    assert "\n\nMeasured\n  largest |log_var|" in text and "\n\nNot measured\n" in text
    for name, why in report.skipped.items():
        assert name in text and why in text


def test_the_text_of_a_healthy_model_says_so_and_lists_are_cut():
    report = Diagnosis(measured={"few": [1.0, 2.5], "many": [0.123456] * 9, "n": 3, "x": 1234.5678, "none": math.nan})
    lines = str(report).splitlines()
    assert lines[0].startswith("A clean bill of health: ") and "Not measured" not in lines
    assert [line.split(None, 1)[1] for line in lines[3:]] == [
        "1 2.5", " ".join(["0.123"] * 8) + " ...", "3", "1.23e+03", "nan"
    ]  # fmt: skip
    assert str(Diagnosis(measured={"m": [1.0] * 8})).endswith("1 1 1 1 1 1 1 1")


def test_a_report_says_how_many_checks_found_nothing():
    report = examined()
    assert str(report).startswith("A clean bill of health: nothing was found by 12 of 14 checks.\n")
    assert report.checks == len(diagnosis.STRUCTURE | diagnosis.OF_CODES) == 12 + len(report.skipped)
    blind = Diagnosis(skipped={"use of the code": "q is no Gaussian", "splits": ""}, checks=14)
    assert not blind.healthy and blind.names == () and not blind.to_dict()["healthy"]
    assert str(blind).startswith("Nothing was found by 12 of 14 checks, and whether its code is used is not known.\n")
    assert Diagnosis(skipped={"splits": ""}, checks=14).healthy


def test_a_report_becomes_json_with_none_for_what_is_no_number():
    finding = Finding("no biases", "here")
    report = Diagnosis([finding], {"a": [1.0, math.nan, math.inf], "b": -math.inf, "c": 2}, {"d": "why"})
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data == {
        "healthy": False,
        "findings": [{"name": "no biases", "evidence": "here", "meaning": finding.meaning, "cure": finding.cure}],
        "measured": {"a": [1.0, None, None], "b": None, "c": 2},
        "skipped": {"d": "why"},
    }
    assert math.isnan(report.measured["a"][1])
    assert json.loads(json.dumps(examined().to_dict(), allow_nan=False))["healthy"] is True


def test_pictures_of_a_report_are_the_models():
    report, vae = examined(), model()
    low, high = SEEN[:8].min(), SEEN[:8].max()  # below 0 and above 1
    assert torch.equal(report.pictures["pictures"], (SEEN[:8] - low) / (high - low))
    with torch.no_grad():
        rebuilt = (vae.reconstruct(SEEN[:8]) - low) / (high - low)
        assert torch.allclose(report.pictures["reconstructions"], rebuilt.clamp(0, 1))
    whole = examined(data=SEEN.clamp(0, 0.9), held_out=None).pictures["pictures"]
    assert torch.equal(whole, SEEN[:8].clamp(0, 0.9))  # black and white are 0 and 1 where pictures lie between
    prior = report.pictures["drawn from the prior"]
    assert prior.shape == (8, 1, 4, 4) and torch.isfinite(prior).all() and 0 <= prior.min() <= prior.max() <= 1

    class Levels(GaussianLikelihood):
        def prepare(self, images):
            return images.double()

        def encoder_input(self, x):
            return x / 255

    vae = model()
    vae.likelihood = Levels(S)
    stored = (255 * SEEN.clamp(0, 1)).round().to(torch.uint8)
    levels = diagnose(vae, stored).pictures["pictures"]
    assert torch.allclose(levels, SEEN[:8].clamp(0, 1), atol=0.02)


def test_every_disease_has_a_meaning_and_a_cure():
    for name, disease in DISEASES.items():
        assert disease.meaning.endswith(".") and disease.cure.endswith(".") and name == name.strip()
    with pytest.raises(KeyError):
        Finding("a cold", "it sneezes").cure  # noqa: B018


# --- what it is given -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"data": "pictures"}, TypeError, "data must be a tensor of pictures"),
        ({"held_out": [OTHERS, 3]}, TypeError, "held_out must be a tensor of pictures"),
        ({"data": SEEN[:19]}, ValueError, "data must hold at least 20 pictures, not 19"),
        ({"held_out": OTHERS[:19]}, ValueError, "held_out must hold at least 20 pictures, not 19"),
        ({"held_out": OTHERS[..., :3]}, ValueError, "held_out must be in the same form as data"),
        ({"held_out": OTHERS.float()}, ValueError, "held_out must be in the same form as data"),
        ({"held_out": (OTHERS, torch.zeros(200))}, ValueError, "held_out must be in the same form as data"),
        ({"data": SEEN / 0}, ValueError, "data holds .* NaN or infinite"),
        ({"history": {"loss": [1.0]}}, TypeError, "history must be a History, as fit returns it, not a dict"),
        ({"beta": 0}, ValueError, "beta must be a positive number"),
        ({"pictures": 19}, ValueError, "pictures must be a whole number of at least 20"),
        ({"seed": -1}, ValueError, "seed must be a whole number"),
        ({"vae": 3}, TypeError, "model must be a torch module, not a int"),
        ({"vae": nn.Linear(16, 2)}, TypeError, "must have encode, decode and prior, or a codebook: a Linear has not"),
        ({"vae": Autoencoder((1, 4, 4), 2)}, TypeError, "Wrap it in a LatentVariableModel"),
        ({"vae": AdversarialPair(model(), PatchDiscriminator(1, 8))}, TypeError, "Give its vae"),
        ({"vae": nn.DataParallel(model())}, TypeError, "Give its module"),
        ({"vae": Autoencoder((1, 4, 4), 2)}, TypeError, "notebook 12, section 9"),
    ],
)
def test_bad_input_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        examined(**arguments)


def test_a_mistake_of_the_model_is_not_hidden():
    class Broken(VAE):
        def decode(self, z):
            raise ValueError("something of the learner's")

    class BrokenEncoder(VAE):
        def encode(self, x):
            raise ValueError("something of the learner's")

    for kind in (Broken, BrokenEncoder):
        with pytest.raises(ValueError, match="something of the learner's") as caught:
            examined(model(kind=kind))
        assert caught.value.__notes__ == ["This happened in the check 'numbers' of diagnose."]


def test_a_model_that_cannot_be_examined_is_told_so_at_the_door():
    class Undecided(LatentVariableModel):
        def __init__(self):
            super().__init__()
            self.vae, self.latent_dim = model(), 3

    with pytest.raises(NotImplementedError, match="Undecided does not define encode"):
        examined(Undecided())
    Undecided.encode = lambda self, x: self.vae.encode(x)
    with pytest.raises(NotImplementedError, match="Undecided does not define decode"):
        examined(Undecided())
    Undecided.decode = lambda self, z: self.vae.decode(z).mean
    with pytest.raises(TypeError, match=r"model.decode must return a torch Distribution, not a Tensor.*section 9"):
        examined(Undecided())
    with pytest.raises(TypeError) as caught:
        examined(Undecided())
    assert caught.value.__notes__ == ["This happened in the check 'numbers' of diagnose."]
    Undecided.encode = lambda self, x: (self.vae.encode(x).mean, self.vae.encode(x).mean)
    with pytest.raises(TypeError, match=r"model\.encode must return a torch Distribution, not a tuple"):
        examined(Undecided())


def test_a_model_that_wants_conditions_is_told_how_they_are_given():
    with pytest.raises(TypeError) as caught:
        examined(model(kind=Told))
    assert "Give data=(images, *conditions)." in caught.value.__notes__[0]

    class ToldTwice(Told):
        def encode(self, x, shift, other):
            return super().encode(x, shift)

    with pytest.raises(TypeError, match="argument") as caught:  # it knows how, and gave too few
        examined(model(kind=ToldTwice), data=(SEEN, 0 * SEEN), held_out=None)
    assert not any("Give data" in note for note in caught.value.__notes__)


def test_a_failure_says_in_which_check():
    class Fragile(VAE):
        def decode(self, z):
            if z.shape[0] == 2 and (z == 0).all():
                raise RuntimeError("code zero is not for me")
            return super().decode(z)

    with pytest.raises(RuntimeError) as caught:
        examined(model(kind=Fragile))
    assert caught.value.__notes__ == ["This happened in the check 'biases' of diagnose."]


def test_a_decoder_that_stops_the_gradient_or_ignores_codes_has_no_price():
    class Stopped(VAE):
        @torch.no_grad()
        def decode(self, z):
            return super().decode(z)

    report = examined(model(kind=Stopped))
    assert report.healthy and "must let a gradient through" in report.skipped["price of the KL"]

    class Deaf(VAE):
        def decode(self, z):
            return super().decode(torch.zeros_like(z))

    report = examined(model(kind=Deaf))
    assert "the code is not used" in report.names and "neither reading is sure" in report.skipped["price of the KL"]
