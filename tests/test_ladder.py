"""Hierarchies: chains against joint Gaussians, products against their formula, bounds against a known evidence."""

import functools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from tests.training.small import interrupt_at, quiet, some_images, weights
from vae_helpers import distributions as d
from vae_helpers import evaluate, importance_weighted_bound, log_likelihood, mlp_hierarchy, negative_elbo_by_level
from vae_helpers.models import BottomUpVAE, GaussianChain, LadderVAE
from vae_helpers.models.ladder import SCALE, Stages
from vae_helpers.training import TrainingDiverged

BOTH = pytest.mark.parametrize("bottom_up", [False, True], ids=["ladder", "bottom up"])
SIZES = (3, 2, 1)


def hierarchy(bottom_up=False, sizes=SIZES, seed=0, loudness=3.0, likelihood=None):
    """Not trained, in double, with weights so large that no level is near the prior and no two images alike."""
    torch.manual_seed(seed)
    model = mlp_hierarchy((1, 4, 4), sizes, 8, likelihood or d.LogisticMixtureLikelihood(2), bottom_up).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(loudness)
    return model


def pictures(model, n=5):
    return model.prepare(some_images(n))


# --- chains -----------------------------------------------------------------------------------------------------------


def linear_chain(order, batch=()):
    """Levels of 2, 1 and 3 numbers, each A parent + a with its own variances, and their joint N(mean, covariance)."""
    g, sizes = torch.Generator().manual_seed(0), (2, 1, 3)
    matrices = {(i, j): torch.randn(sizes[i], sizes[j], generator=g).double() for i in range(3) for j in range(3)}
    offsets = [torch.randn(n, generator=g).double() for n in sizes]
    log_vars = [0.5 * torch.randn(n, generator=g).double() for n in sizes]
    before = dict(zip(order[1:], order[:-1], strict=True))

    def conditional(level, parent):
        mean = offsets[level].expand(*batch, -1)
        mean = mean if parent is None else parent @ matrices[level, before[level]].T + mean
        return d.diagonal_gaussian(mean, log_vars[level].expand_as(mean))

    place = [slice(0, 2), slice(2, 3), slice(3, 6)]
    arrows = torch.zeros(6, 6).double()  # z = arrows z + offset + noise
    for child, parent in before.items():
        arrows[place[child], place[parent]] = matrices[child, parent]
    spread = torch.linalg.inv(torch.eye(6).double() - arrows)
    joint = MultivariateNormal(spread @ torch.cat(offsets), spread @ torch.cat(log_vars).exp().diag() @ spread.T)
    return GaussianChain(conditional, sizes, order, torch.Size(batch)), joint


@pytest.mark.parametrize("order", [(2, 1, 0), (0, 1, 2), (1, 2, 0)])
def test_a_chain_of_linear_conditionals_is_one_gaussian(order):
    chain, joint = linear_chain(order)
    z = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(1)).double()
    assert chain.batch_shape == () and chain.event_shape == (6,)
    torch.testing.assert_close(chain.log_prob(z), joint.log_prob(z))
    torch.testing.assert_close(chain.mean, joint.mean)
    torch.manual_seed(0)
    drawn = chain.rsample((100_000,))
    deviations = joint.stddev
    assert ((drawn.mean(0) - joint.mean) / deviations).abs().max() < 0.015
    scaled = (drawn.T.cov() - joint.covariance_matrix) / deviations[:, None] / deviations
    assert scaled.abs().max() < 0.025


def test_a_chain_has_a_batch_and_draws_have_gradients():
    chain, joint = linear_chain((2, 1, 0), batch=(7,))
    assert chain.rsample((4,)).shape == (4, 7, 6) and chain.sample().shape == (7, 6)
    assert chain.log_prob(joint.sample((4, 7))).shape == (4, 7)
    shift = torch.zeros(3, requires_grad=True)
    moved = GaussianChain(
        lambda level, _: d.diagonal_gaussian(shift[level : level + 1], torch.zeros(1)), (1, 1, 1), (0, 1, 2)
    )
    moved.rsample().sum().backward()
    assert torch.equal(shift.grad, torch.ones(3)) and not moved.sample().requires_grad


# --- inference ----------------------------------------------------------------------------------------------------


def test_the_ladders_q_is_the_product_of_what_is_expected_from_above_and_what_the_picture_says():
    model = hierarchy()
    x, q = pictures(model), model.encode(pictures(model))
    features = model.features(model.likelihood.encoder_input(x))
    parent = None
    for level in (2, 1, 0):
        p, given = model.from_above(level, parent), q.conditional(level, parent)
        shift, raw = (SCALE * model.messages[level](features[level])).chunk(2, -1)
        precision = 1 / p.variance + F.softplus(raw)
        assert (given.variance - 1 / precision).abs().max() < 1e-12
        assert (given.mean - (p.mean / p.variance + shift) / precision).abs().max() < 1e-12
        assert (given.variance < p.variance).all()  # a message never makes less sure
        parent = given.sample()
    top = d.standard_normal(1, dtype=torch.float64)
    assert torch.equal(model.from_above(2, None).mean, top.mean)
    assert torch.equal(model.encode(x).mean[:, 3:5], q.conditional(1, q.mean[:, 5:]).mean)  # z_1 first, the top last


def test_bottom_up_each_level_sees_only_the_one_below():
    model = hierarchy(bottom_up=True)
    x = pictures(model)
    q, (z_1, z_2, z_3) = model.encode(x), torch.randn(5, 6).double().split(SIZES, -1)
    first = d.diagonal_gaussian(*model.encoders[0](model.likelihood.encoder_input(x)).chunk(2, -1))
    assert (q.conditional(0, None).mean - first.mean).abs().max() < 1e-12
    expected = sum(
        q.conditional(level, z).log_prob(w) for level, z, w in ((0, None, z_1), (1, z_1, z_2), (2, z_2, z_3))
    )
    torch.testing.assert_close(q.log_prob(torch.cat([z_1, z_2, z_3], -1)), expected)


@BOTH
def test_the_shares_of_the_levels_are_their_kl_and_sum_to_that_of_the_chains(bottom_up):
    torch.manual_seed(0)
    model = hierarchy(bottom_up, loudness=1.2)
    x, n = pictures(model), 20_000
    with torch.no_grad():
        found = model.by_level(x, n)
        q, p = model.encode(x), model.prior
        z = q.sample((n,))
        levels = z.split(SIZES, -1)
        below, above = (None, *levels[:-1]), (*levels[1:], None)
        shares = torch.stack(
            [
                q.conditional(i, (below if bottom_up else above)[i]).log_prob(levels[i])
                - p.conditional(i, above[i]).log_prob(levels[i])
                for i in range(3)
            ]
        )  # (L, n, N)
        together = q.log_prob(z) - p.log_prob(z)
        likelihood = model.decode(z).log_prob(x)
    assert found.kl.shape == (3, 5) and found.log_likelihood.shape == (5,) and found.kl.sum(0).min() > 0.5

    def agree(estimate, draws):
        return ((estimate - draws.mean(-2)).abs() < 4.5 * math.sqrt(2 / n) * draws.std(-2) + 1e-9).all()

    assert agree(found.kl, shares) and agree(found.kl.sum(0), together) and agree(found.log_likelihood, likelihood)
    bound = model.elbo(x, samples=50)
    assert torch.equal(bound.elbo, bound.log_likelihood - bound.kl) and bound.elbo.shape == (5,)


@BOTH
def test_the_elbo_lies_below_the_importance_weighted_bound(bottom_up):
    torch.manual_seed(0)
    model = hierarchy(bottom_up, loudness=1.2)
    x = pictures(model, 20)
    with torch.no_grad():
        bounds = [model.elbo(x, samples=500).elbo.mean()]
        bounds += [importance_weighted_bound(model, x.repeat(500 // k, 1, 1, 1), samples=k).mean() for k in (5, 50)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_a_ladder_of_one_rung_is_a_vae_whose_q_is_prior_times_message():
    model = hierarchy(sizes=(2,))
    x = pictures(model)
    q, message = model.encode(x).conditional(0, None), model.messages_of(x)[0]
    torch.testing.assert_close(q.variance, 1 / (1 + message.precision))
    torch.testing.assert_close(model.by_level(x).kl, d.kl_to_standard_normal(q)[None])


# --- a model whose evidence is known ----------------------------------------------------------------------------------


def constant_width(linear, log_var):
    """A network z -> (linear(z), raw log-variance of which `soft_bound` makes log_var)."""
    out = nn.Linear(linear.in_features, 2 * linear.out_features).double()
    with torch.no_grad():
        out.weight.zero_()[: linear.out_features] = linear.weight
        out.bias[: linear.out_features] = linear.bias
        out.bias[linear.out_features :] = 20 * math.atanh(log_var / 20)
    return out


def affine(matrix, offset):
    layer = nn.Linear(*matrix.T.shape).double()
    with torch.no_grad():
        layer.weight.copy_(matrix), layer.bias.copy_(offset)
    return layer


def linear_gaussian(bottom_up=False, off=0.0):
    """z_2 ~ N(0, I), z_1 = A z_2 + a + s noise, x = W z_1 + b + sigma noise, with A and W of orthogonal columns, so
    that the exact posterior is a ladder, and (A being square) one from the bottom up. `off` moves shifts or means."""
    g = torch.Generator().manual_seed(0)
    d_1, d_2 = (2, 2) if bottom_up else (3, 2)
    size, s, w, sigma = 1.3, 0.6, 1.7, 0.5
    A = size * torch.linalg.qr(torch.randn(d_1, d_2, generator=g).double())[0]
    W = w * torch.linalg.qr(torch.randn(6, d_1, generator=g).double())[0]
    a, b = torch.randn(d_1, generator=g).double(), torch.randn(6, generator=g).double()
    flat = nn.Flatten().double()
    decoder = nn.Sequential(affine(W, b), nn.Unflatten(-1, (1, 2, 3)))
    likelihood = d.GaussianLikelihood(sigma).double()
    likelihood.raw_sigma = torch.tensor(math.log(math.expm1(sigma - likelihood.floor)), dtype=torch.float64)
    top_down = [constant_width(affine(A, a), 2 * math.log(s))]
    spread = size**2 + s**2  # variance of each number in z_1
    evidence = MultivariateNormal(b + W @ a, W @ W.T * s**2 + W @ A @ A.T @ W.T + sigma**2 * torch.eye(6).double())
    if bottom_up:
        precision = 1 / spread + w**2 / sigma**2
        up = W.T / sigma**2 / precision
        first = affine(up, a / spread / precision - up @ b + off)
        second = affine(A.T / spread, -A.T @ a / spread + off)
        variances = 1 / precision, 1 - size**2 / spread
        encoders = [constant_width(e, math.log(v)) for e, v in zip((first, second), variances, strict=True)]
        model = BottomUpVAE([nn.Sequential(flat, encoders[0]), encoders[1]], top_down, decoder, likelihood, (d_1, d_2))
        return SimpleNamespace(model=model, evidence=evidence)
    to_z2 = A.T @ W.T / (w**2 * s**2 + sigma**2)  # W^T C^-1 with C the covariance of x given z_2
    precisions = w**2 / sigma**2, size**2 * w**2 / (w**2 * s**2 + sigma**2)
    messages = []
    for shift, bias, precision in (
        (W.T / sigma**2, -W.T @ b / sigma**2, precisions[0]),
        (to_z2, -to_z2 @ (b + W @ a), precisions[1]),
    ):
        raw = torch.full_like(bias, math.log(math.expm1(precision)))
        weight = torch.cat([shift, torch.zeros_like(shift)])
        messages.append(affine(weight / SCALE, torch.cat([bias + off, raw]) / SCALE))
    features = Stages([flat, nn.Identity()])
    return SimpleNamespace(
        model=LadderVAE(features, messages, top_down, decoder, likelihood, (d_1, d_2)), evidence=evidence
    )


@BOTH
def test_with_the_exact_posterior_every_weight_is_the_evidence_and_the_bound_meets_it(bottom_up):
    torch.manual_seed(0)
    exact = linear_gaussian(bottom_up)
    rows = exact.evidence.sample((20,))
    x, evidence = rows.view(20, 1, 2, 3), exact.evidence.log_prob(rows)
    with torch.no_grad():
        torch.testing.assert_close(exact.model.log_weights(x)(3), evidence.expand(3, -1), rtol=1e-9, atol=1e-9)
        draws = torch.stack([exact.model.elbo(x, samples=100).elbo for _ in range(40)])
    assert ((draws.mean(0) - evidence).abs() < 4.5 * draws.std(0) / math.sqrt(40) + 1e-9).all()


def joint_of(chain, sizes, n):
    """The Gaussian (N, D) that a chain of affine conditionals is, by its means at unit vectors."""
    mean, D = chain.mean, sum(sizes)
    place = [slice(0, sizes[0]), slice(sizes[0], D)]
    first, second = chain.order
    q = chain.conditional(first, None)
    base = chain.conditional(second, torch.zeros(n, sizes[first]).double())
    units = [chain.conditional(second, e.expand(n, -1)).mean - base.mean for e in torch.eye(sizes[first]).double()]
    arrows = torch.zeros(n, D, D).double()
    arrows[:, place[second], place[first]] = torch.stack(units, -1)
    variance = torch.zeros(n, D).double()
    variance[:, place[first]], variance[:, place[second]] = q.variance.expand(n, -1), base.variance.expand(n, -1)
    spread = torch.linalg.inv(torch.eye(D).double() - arrows)
    return MultivariateNormal(mean.expand(n, -1), spread @ torch.diag_embed(variance) @ spread.mT)


@BOTH
def test_the_gap_to_the_evidence_is_the_kl_to_the_exact_posterior(bottom_up):
    torch.manual_seed(0)
    exact, moved = linear_gaussian(bottom_up), linear_gaussian(bottom_up, off=0.15 if bottom_up else 0.8)
    rows, sizes = exact.evidence.sample((10,)), exact.model.sizes
    x = rows.view(10, 1, 2, 3)
    with torch.no_grad():
        q, p = (joint_of(m.model.encode(x), sizes, 10) for m in (moved, exact))
        expected = exact.evidence.log_prob(rows) - kl_divergence(q, p)
        draws = torch.stack([moved.model.elbo(x, samples=100).elbo for _ in range(40)])
        tight = importance_weighted_bound(moved.model, x, samples=2000)
    assert kl_divergence(q, p).min() > 0.1
    assert ((draws.mean(0) - expected).abs() < 4.5 * draws.std(0) / math.sqrt(40)).all()
    assert ((tight - exact.evidence.log_prob(rows)).abs() < 0.1).all()


# --- what levels hold -------------------------------------------------------------------------------------------------


@BOTH
def test_levels_below_are_drawn_again_given_those_above_and_these_are_left(bottom_up):
    torch.manual_seed(0)
    model = hierarchy(bottom_up)
    z = model.prior.sample((4, 5))
    assert torch.equal(model.redraw(z, 0), z)
    for below, kept in ((1, 3), (2, 5), (3, 6)):
        drawn = model.redraw(z, below)
        assert torch.equal(drawn[..., kept:], z[..., kept:]) and (drawn[..., :kept] != z[..., :kept]).all()
    assert torch.equal(model.redraw(z, 1, temperature=0)[..., :3], model.from_above(0, z[..., 3:5]).mean)
    still = model.redraw(z, 3, temperature=0)
    assert torch.allclose(still, model.prior.mean.expand_as(z)) and not still.requires_grad
    p = model.from_above(0, z[:1, :1, 3:5])
    for temperature in (0.5, 1.0):
        drawn = model.redraw(z[:1, :1].expand(20_000, 1, 6), 1, temperature)[:, 0, :3]
        torch.testing.assert_close(drawn.std(0), temperature * p.stddev[0, 0], rtol=0.03, atol=0)


def test_redrawing_all_levels_draws_from_the_prior():
    torch.manual_seed(0)
    model = linear_gaussian().model
    drawn = model.redraw(torch.zeros(100_000, 5).double(), 2)
    joint = joint_of(model.prior, (3, 2), 1)
    assert (drawn.mean(0) - joint.mean[0]).abs().max() < 0.03
    assert (drawn.T.cov() - joint.covariance_matrix[0]).abs().max() < 0.06


@BOTH
def test_pictures_come_from_the_lowest_level_alone(bottom_up):
    torch.manual_seed(0)
    model = hierarchy(bottom_up)
    x, z = pictures(model), model.prior.sample((6, 7))
    p = model.decode(z)
    assert p.batch_shape == (6, 7) and p.event_shape == (1, 4, 4)
    other = torch.cat([z[..., :3], torch.randn(6, 7, 3)], -1)
    assert torch.equal(model.decode(other).mean, p.mean)
    torch.testing.assert_close(model.decode(z[2, 1:2]).mean, p.mean[2, 1:2])
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x).mean).mean)
    assert model.sample_means(9).shape == (9, 1, 4, 4) and not model.sample_means(2).requires_grad
    assert set(model.sample(50).unique().tolist()) <= set(range(256))


# --- with everything else ---------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("free_nats", [0.0, 2.0])
def test_a_hierarchy_is_trained_and_evaluated_as_every_model(bottom_up, free_nats):
    images = 255 * (some_images(200) < some_images(200)[:, :, :1, :1]).byte()  # dark or light as a whole
    torch.manual_seed(0)
    model = mlp_hierarchy((1, 4, 4), (3, 2), 16, d.LogisticMixtureLikelihood(2), bottom_up)
    before = evaluate(model, images)["elbo"].mean
    objective = functools.partial(negative_elbo_by_level, free_nats=free_nats)
    history = quiet(
        model,
        images,
        steps=200,
        learning_rate=1e-2,
        objective=objective,
        weights=lambda step: {"beta": min(1, step / 50)},
    )
    parts, tight = evaluate(model, images), log_likelihood(model, images, samples=100)
    assert parts["elbo"].mean > before + 10 and tight.mean >= parts["elbo"].mean
    assert {"kl 1", "kl 2"} <= set(history.train)
    if free_nats:
        assert all(history.train[f"kl {level}"][-1] > 0.5 * free_nats for level in (1, 2))


@BOTH
def test_an_interrupted_run_resumes_to_the_same_bits(bottom_up, tmp_path):
    def run(seed=0, **settings):
        torch.manual_seed(seed)
        model = mlp_hierarchy((1, 4, 4), (3, 2), 8, d.LogisticMixtureLikelihood(2), bottom_up)
        quiet(model, some_images(), objective=negative_elbo_by_level, **settings)
        return weights(model)

    whole, path = run(), tmp_path / "run"
    assert not torch.equal(run(checkpoint=path, callback=interrupt_at(11), callback_every=11), whole)
    assert torch.equal(run(seed=9, checkpoint=path, resume=True), whole)


@BOTH
def test_in_float64_a_hierarchy_keeps_its_digits(bottom_up):
    model = hierarchy(bottom_up)
    x = pictures(model)
    results = [*model.elbo(x), *model.by_level(x), model.log_weights(x)(3), model.sample(2), model.sample_means(2)]
    results += [model.encode(x).mean, model.prior.sample(), model.redraw(model.prior.sample((2,)), 2)]
    assert all(result.dtype == torch.float64 and torch.isfinite(result).all() for result in results)
    quiet(model, some_images(), steps=2)
    assert all(p.dtype == torch.float64 for p in model.parameters())


@BOTH
def test_a_training_that_diverges_says_so(bottom_up):
    torch.manual_seed(0)
    model = mlp_hierarchy((1, 4, 4), (3, 2), 8, d.GaussianLikelihood(0.1), bottom_up)
    with pytest.raises(TrainingDiverged):
        quiet(model, some_images(), steps=300, learning_rate=1e15)


def test_what_is_wrong_is_named():
    model = hierarchy()
    parts = model.top_down, model.decoder, model.likelihood
    with pytest.raises(ValueError, match="3 levels need 2 networks from one level to the next, not 1"):
        LadderVAE(model.features, model.messages, model.top_down[:1], *parts[1:], SIZES)
    with pytest.raises(ValueError, match="messages must hold a network for each of the 3 levels, not 2"):
        LadderVAE(model.features, model.messages[:2], *parts, SIZES)
    with pytest.raises(ValueError, match="encoders must hold a network for each of the 3 levels, not 2"):
        BottomUpVAE(model.messages[:2], *parts, SIZES)
    with pytest.raises(ValueError, match="sizes must be"):
        mlp_hierarchy((1, 4, 4), (3, 0), 8, model.likelihood)
    with pytest.raises(ValueError, match="hidden must be a whole number of at least 1"):
        mlp_hierarchy((1, 4, 4), (3,), 0, model.likelihood)
    with pytest.raises(ValueError, match="samples must be a whole number of at least 1"):
        model.elbo(pictures(model), samples=0)
    z = model.prior.sample((2,))
    with pytest.raises(ValueError, match="below must be a whole number from 0 to 3"):
        model.redraw(z, 4)
    with pytest.raises(ValueError, match="temperature must be a number from 0 to"):
        model.redraw(z, 1, -1.0)
    with pytest.raises(ValueError, match=r"z must have shape \(\.\.\., 6\), all levels together, not \(2, 3\)"):
        model.redraw(z[:, :3], 1)
