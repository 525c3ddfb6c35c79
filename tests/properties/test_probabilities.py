"""What is true of distributions, bounds, estimates and models whatever their parameters."""

import math

import torch
from hypothesis import strategies as st

from tests.properties.calls import small_denoiser, unit, vae
from tests.properties.ground import pictures, property_of, stored
from vae_helpers import distributions as d
from vae_helpers import evaluation, models, objectives, pretrained
from vae_helpers.models.factor_reader import to_reading_size
from vae_helpers.training import warm_up_and_cosine

LIKELIHOODS = {
    "bernoulli": d.BernoulliLikelihood,
    "grey": d.GreyBernoulliLikelihood,
    "continuous": d.ContinuousBernoulliLikelihood,
    "gaussian": d.GaussianLikelihood,
    "discretised": d.DiscretisedGaussianLikelihood,
}
moderate = st.floats(-8, 8)


def codes(seed, n=3, dims=4):
    """A Gaussian for each of n images."""
    draw = torch.randn(2, n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return d.diagonal_gaussian(*draw)


@property_of(
    "distributions.kl",
    "distributions.kl_to_standard_normal",
    "distributions.diagonal_gaussian",
    "distributions.standard_normal",
    seed=st.integers(0, 10**6),
)
def test_a_divergence_is_zero_between_equals_and_positive_otherwise(seed):
    q, p = codes(seed), codes(seed + 1)
    assert d.kl(q, p).gt(0).all() and d.kl(q, q).abs().max() < 1e-12
    prior = d.diagonal_gaussian(torch.zeros(3, 4).double(), torch.zeros(3, 4).double())
    assert torch.allclose(d.kl_to_standard_normal(q), d.kl(q, prior)) and d.kl_to_standard_normal(q).gt(0).all()
    assert d.kl_to_standard_normal(prior).eq(0).all() and d.standard_normal(4).variance.eq(1).all()


@property_of("distributions.kl_monte_carlo", few=4, many=20, seed=st.integers(0, 10**6))
def test_the_sampled_divergence_is_unbiased(seed):
    torch.manual_seed(seed)
    q, p = codes(seed), codes(seed + 1)
    draws = torch.stack([d.kl_monte_carlo(q, p, 50) for _ in range(60)])
    assert ((draws.mean(0) - d.kl(q, p)).abs() <= 6 * draws.std(0) / math.sqrt(60) + 1e-9).all()


@property_of(
    "distributions.DiscretisedGaussian",
    mean=st.floats(-1e4, 1e4),
    sigma=st.floats(1e-4, 1e3),
    levels=st.integers(2, 256),
)
def test_the_levels_of_a_discretised_gaussian_have_probabilities_that_sum_to_one(mean, sigma, levels):
    p = d.DiscretisedGaussian(torch.full((levels,), mean, dtype=torch.float64), sigma, levels)
    log_p = p.log_prob(torch.arange(levels).double())
    assert log_p.max() <= 1e-12 and math.isclose(log_p.exp().sum(), 1, abs_tol=1e-4)


@property_of("distributions.ContinuousBernoulli", logit=st.floats(-60, 60))
def test_a_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    p = d.ContinuousBernoulli(torch.full((20_001,), logit, dtype=torch.float64))
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    density = p.log_prob(x).exp()
    assert math.isclose(torch.trapezoid(density, x), 1, rel_tol=1e-4)
    assert math.isclose(torch.trapezoid(density * x, x), p.mean[0], abs_tol=1e-4)


@property_of("distributions.GreyBernoulli", logit=st.floats(-1e4, 1e4), x=st.floats(0, 1, width=32))
def test_cross_entropy_is_never_positive(logit, x):
    assert d.GreyBernoulli(torch.tensor([logit])).log_prob(torch.tensor([x])).max() <= 1e-6


@property_of("distributions.Bernoulli", logit=st.floats(-1e4, 1e4), x=st.sampled_from([0.0, 1.0]))
def test_the_probabilities_of_black_and_white_sum_to_one(logit, x):
    p = d.Bernoulli(logits=torch.tensor([logit]))
    assert p.log_prob(torch.tensor([x])).max() <= 0
    assert math.isclose(sum(p.log_prob(torch.tensor([x])).exp() for x in (0.0, 1.0)), 1, rel_tol=1e-6)


@property_of(
    "distributions.softplus",
    a=st.floats(-1e15, 1e15),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_softplus_lies_on_or_above_its_corner_and_differs_by_its_argument_across_it(a, dtype):
    a = torch.tensor([a]).clamp(-6e4, 6e4).to(dtype)
    above, below = d.softplus(a), d.softplus(-a)
    assert above.dtype == dtype and (above >= a.relu()).all()
    assert torch.allclose((above - below).float(), a.float(), rtol=0.02, atol=0.02)


@property_of("training.warm_up_and_cosine", steps=st.integers(1, 10_000), data=st.data())
def test_the_learning_rate_rises_to_its_peak_and_falls(steps, data):
    at = data.draw(st.integers(0, steps - 1))
    rates = [warm_up_and_cosine(step, steps) for step in range(steps)]
    peak = max(range(steps), key=rates.__getitem__)
    assert 0 < rates[at] <= 1 == rates[peak] and peak <= min(100, max(1, steps // 20))
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)


@property_of(
    "distributions.log_ndtr",
    x=st.floats(-1e15, 1e15),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_a_log_probability_grows_with_its_argument_and_has_a_gradient(x, dtype):
    x = torch.tensor([x, x + abs(x) / 8 + 1]).clamp(-6e4, 6e4).to(dtype).requires_grad_()
    y = d.log_ndtr(x)
    assert y.dtype == dtype and y[0] <= y[1] <= 0
    assert torch.autograd.grad(y.float().sum(), x)[0].ge(0).all()


@property_of("distributions.soft_bound", x=moderate, step=st.floats(1e-3, 5), bound=st.floats(0.5, 100))
def test_a_soft_bound_is_odd_increasing_and_kept(x, step, bound):
    a, b = d.soft_bound(torch.tensor([x, x + step]).double(), bound)
    assert -bound <= a <= b <= bound
    assert math.isclose(d.soft_bound(torch.tensor([-x]).double(), bound), -a, abs_tol=1e-12)


@property_of("distributions.bits_per_dim", dims=st.integers(1, 10**6), levels=st.integers(2, 256))
def test_the_uniform_distribution_has_log2_of_its_levels(dims, levels):
    assert math.isclose(d.bits_per_dim(0.0, dims, levels), math.log2(levels))  # of density 1 on [0, 1]
    assert math.isclose(d.bits_per_dim(dims * math.log(levels), dims), math.log2(levels))


@property_of(
    *(f"distributions.{c.__name__}" for c in LIKELIHOODS.values()),
    "distributions.Likelihood",
    "models.VAE",
    "models.mlp_vae",
    x=stored(),
    name=st.sampled_from(sorted(LIKELIHOODS)),
)
def test_every_likelihood_is_defined_on_what_it_prepares(x, name):
    likelihood = LIKELIHOODS[name]()
    model = models.mlp_vae(x.shape[1:], 2, (3,), likelihood)
    assert isinstance(likelihood, d.Likelihood)
    ready = model.prepare(x)
    assert likelihood.encoder_input(ready).min() >= 0 and likelihood.encoder_input(ready).max() <= 1
    q = model.encode(ready)
    p = model.decode(q.rsample((2,)))
    assert p.log_prob(ready).shape == (2, len(x)) and p.log_prob(ready).isfinite().all()
    assert model.reconstruct(ready).shape == model.sample(len(x)).shape == model.sample_means(len(x)).shape == x.shape


@property_of(
    "objectives.elbo",
    "objectives.Elbo",
    "objectives.importance_weighted_bound",
    "objectives.negative_elbo",
    "models.LinearGaussianVAE",
    "models.ProbabilisticPCA",
    few=4,
    many=20,
    seed=st.integers(0, 10**6),
    dims=st.integers(1, 6),
    latent=st.integers(1, 3),
)
def test_elbo_below_importance_weighted_bound_below_evidence(seed, dims, latent):
    torch.manual_seed(seed)
    model, x = models.LinearGaussianVAE(dims, latent).double(), torch.randn(40, dims, dtype=torch.float64)
    with torch.no_grad():
        analytic, evidence = model.analytic_elbo(x), model.as_ppca().evidence(x)
        assert (analytic <= evidence + 1e-9).all()
        bound = objectives.elbo(model, x, samples=500)
        assert torch.allclose(bound.elbo, bound.log_likelihood - bound.kl)
        assert abs((bound.elbo - analytic).mean()) < 0.2
        tight = objectives.importance_weighted_bound(model, x, samples=500)
    assert analytic.mean() - 0.05 <= tight.mean() <= evidence.mean() + 0.05
    loss = objectives.negative_elbo(model, x, beta=1.0)
    assert torch.allclose(loss["loss"], -loss["elbo"]) and torch.allclose(
        loss["elbo"], -loss["distortion"] - loss["kl"]
    )


@property_of("models.ProbabilisticPCA", seed=st.integers(0, 10**6), n=st.integers(6, 30))
def test_no_other_parameters_have_more_evidence_than_those_of_maximum_likelihood(seed, n):
    torch.manual_seed(seed)
    x = torch.randn(n, 4, dtype=torch.float64) * torch.tensor([3.0, 2, 1, 0.5]).double()
    best = models.ProbabilisticPCA.maximum_likelihood(x, 2)
    other = models.ProbabilisticPCA(best.W + 0.1 * torch.randn_like(best.W), best.b + 0.1, 1.1 * best.sigma)
    assert other.evidence(x).sum() <= best.evidence(x).sum()


@property_of("objectives.squared_error", x=pictures(dtypes=(torch.float32,)))
def test_the_squared_error_is_zero_for_a_perfect_model_only(x):
    assert objectives.squared_error(torch.clone, x)["loss"].eq(0).all()
    off = objectives.squared_error(lambda y: y + 1, x)["loss"]
    assert torch.allclose(off, torch.full_like(off, x[0].numel()), rtol=1e-5)


@property_of(
    "models.ResidualDenoiser",
    "objectives.denoising_error",
    "pretrained.denoiser",
    few=4,
    many=40,
    x=pictures((1,), (1, 20), (torch.float32, torch.float64)),
)
def test_without_noise_a_denoiser_returns_what_it_is_given(x):
    for model in (small_denoiser(), pretrained.denoiser()):
        assert torch.equal(model(x, 0), x.float())
        assert model(x, 0.1).isfinite().all()
        assert objectives.denoising_error(model, x.float(), 0.0)["loss"].eq(0).all()


@property_of(
    "models.Autoencoder",
    "models.conv_vae",
    "models.ConvEncoder",
    "models.ConvDecoder",
    "models.PaletteDecoder",
    few=4,
    many=30,
    channels=st.integers(1, 4),
    side=st.sampled_from([16, 20, 24, 28, 32, 40, 64]),
    colours=st.none() | st.integers(1, 5),
)
def test_networks_are_made_for_every_size_that_is_promised(channels, side, colours):
    shape = (channels, side, side)
    vae_ = models.conv_vae(shape, 3, width=2, hidden=4, colours=colours)
    assert isinstance(vae_.encoder, models.ConvEncoder)
    assert isinstance(vae_.decoder, models.ConvDecoder if colours is None else models.PaletteDecoder)
    assert vae_.reconstruct(torch.rand(2, *shape)).shape == (2, *shape)
    x = torch.rand(2, *shape)
    output = models.Autoencoder(shape, 2, (3,))(x)
    assert output.shape == x.shape and output.min() >= 0 and output.max() <= 1


@property_of(
    "evaluation.mean_and_error",
    "evaluation.Estimate",
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    shift=st.floats(-100, 100),
)
def test_a_mean_moves_with_its_values_and_its_error_does_not(values, shift):
    first, second = (evaluation.mean_and_error(torch.tensor(values).double() + s) for s in (0, shift))
    assert math.isclose(first.mean + shift, second.mean, abs_tol=1e-6)
    assert math.isclose(first.standard_error, second.standard_error, rel_tol=1e-6, abs_tol=1e-6)
    low, high = first.interval
    assert low <= first.mean <= high and isinstance(str(first), str)


@property_of(
    "evaluation.frechet_distance",
    seed=st.integers(0, 10**6),
    n=st.integers(2, 20),
    m=st.integers(2, 20),
    shift=st.floats(-3, 3),
)
def test_the_frechet_distance_is_symmetric_zero_to_itself_and_the_square_of_a_shift(seed, n, m, shift):
    a, b = unit(n, 4, seed=seed).double(), unit(m, 4, seed=seed + 1).double()
    distance = evaluation.frechet_distance
    assert math.isclose(distance(a, b), distance(b, a), rel_tol=1e-6, abs_tol=1e-9)
    assert distance(a, a) < 1e-6 and math.isclose(distance(a, a + shift), 4 * shift**2, rel_tol=1e-5, abs_tol=1e-5)


@property_of(
    "evaluation.evaluate",
    "evaluation.log_likelihood",
    "evaluation.active_units",
    "evaluation.aggregate_posterior",
    "evaluation.kl_decomposition",
    few=3,
    many=20,
    seed=st.integers(0, 2**63 - 1),
    batch=st.integers(1, 50),
)
def test_what_is_measured_agrees_with_itself_and_leaves_the_random_state_alone(seed, batch):
    model, x = vae(), unit(12, 1, 4, 4, seed=seed % 1000).mul(255).to(torch.uint8)
    before = torch.random.get_rng_state()
    found = evaluation.evaluate(model, x, 4, batch, seed)
    assert math.isclose(found["elbo"].mean, -found["distortion"].mean - found["kl"].mean, rel_tol=1e-4)
    assert evaluation.log_likelihood(model, x, 50, batch, seed=seed).mean >= found["elbo"].mean - 0.5
    moments, parts = (
        evaluation.aggregate_posterior(model, x, batch),
        evaluation.kl_decomposition(model, x, 4, batch, seed),
    )
    assert math.isclose(parts.mean_kl, parts.mutual_information.mean + parts.marginal_kl.mean, abs_tol=1e-6)
    assert math.isclose(parts.mean_kl, found["kl"].mean, rel_tol=1e-3)
    units = evaluation.active_units(model, x, batch_size=batch)
    assert (units.variances <= moments.covariance.diag() + 1e-9).all() and units.count == int(units.active.sum())
    assert torch.equal(torch.random.get_rng_state(), before)


@property_of(
    "evaluation.read_factors",
    "evaluation.factor_features",
    "evaluation.face_distance",
    "pretrained.factor_reader",
    few=2,
    many=20,
    seed=st.integers(0, 99),
    side=st.integers(32, 40),
)
def test_a_portrait_is_read_alike_in_any_company(seed, side):
    x = unit(3, 3, side, side, seed=seed)
    together = evaluation.read_factors(x)
    assert torch.allclose(torch.cat([evaluation.read_factors(one[None]) for one in x]), together, atol=1e-4)
    assert pretrained.factor_reader().body(to_reading_size(x)).allclose(evaluation.factor_features(x), atol=1e-4)
    assert evaluation.face_distance(x, x) < 1e-3 * evaluation.factor_features(x).square().sum()
