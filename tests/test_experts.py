"""Experts for views against exact posteriors, densities and bounds."""

import math

import pytest
import torch
from torch import nn

from vae_helpers import BernoulliLikelihood, GaussianFactor, Phase, fit, mlp_vae
from vae_helpers.distributions import standard_normal
from vae_helpers.models import ProbabilisticPCA
from vae_helpers.models.experts import Crop, Edges, LinearExpert, MultiViewVAE, random_subsets, tiles


def model_of(fusion="product", dims=3):
    torch.manual_seed(0)
    views = tiles((4, 4), 2, 2)
    experts = [nn.Sequential(nn.Flatten(), nn.Linear(4, 2 * dims)) for _ in views]
    for expert in experts:
        expert[1].weight.data *= 0.1  # opinions that differ, and none so sure that draws of it are all alike
    vae = mlp_vae((1, 4, 4), dims, (8,), BernoulliLikelihood())
    return MultiViewVAE(vae, views, experts, fusion)


def pictures(n=5, seed=1):
    return torch.bernoulli(torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)))


def only(*views, n=5):
    seen = torch.zeros(n, 4, dtype=torch.bool)
    seen[:, list(views)] = True
    return seen


def test_tiles_cover_each_pixel_once_and_a_view_is_what_its_mask_shows():
    picture = torch.arange(24.0).view(1, 1, 4, 6)
    views = tiles((4, 6), 2, 3)
    assert (sum(view.mask.int() for view in views) == 1).all()
    for view in views:
        assert torch.equal(view(picture).flatten(), picture[0, 0][view.mask])
    assert [view(picture)[0, 0, 0, 0].item() for view in views] == [0, 2, 4, 12, 14, 16]  # row by row


def test_tiles_that_do_not_fit_and_empty_crops_are_refused():
    with pytest.raises(ValueError, match="cannot be cut into 3 x 2"):
        tiles((4, 4), 3, 2)
    with pytest.raises(ValueError, match="leave nothing"):
        Crop((4, 4), (2, 2), (0, 4))


def test_edges_are_where_brightness_changes():
    picture = torch.zeros(1, 3, 4, 4)
    picture[..., 2:] = 0.5
    edges = Edges()(picture)
    assert edges.shape == (1, 1, 4, 4)
    assert torch.allclose(edges[0, 0, :, 1], torch.tensor(0.5), atol=1e-4) and edges[0, 0, :, [0, 2, 3]].max() < 2e-4


def test_one_view_alone_is_the_prior_times_what_its_network_says():
    model, x = model_of(), pictures()
    shift, raw = (10 * model.experts[2](model.views[2](x))).chunk(2, -1)
    precision = 1 + nn.functional.softplus(raw)  # the prior's is 1
    q = model.encode(x, only(2))
    assert torch.allclose(q.variance, 1 / precision, atol=1e-6)
    assert torch.allclose(q.mean, shift / precision, atol=1e-5)


def test_a_product_of_two_views_is_that_of_their_posteriors_with_one_prior_divided_out():
    model, x = model_of(), pictures()
    prior = GaussianFactor.of(standard_normal(3))
    alone = [GaussianFactor.of(model.encode(x, only(v))) for v in (0, 3)]
    fused, expected = model.encode(x, only(0, 3)), (alone[0] * alone[1] / prior).normalised()
    assert torch.allclose(fused.mean, expected.mean, atol=1e-5)
    assert torch.allclose(fused.variance, expected.variance, atol=1e-5)


@pytest.mark.parametrize("fusion", ["product", "mixture"])
def test_what_was_not_seen_has_no_influence(fusion):
    model, x = model_of(fusion), pictures()
    z = torch.randn(5, 3)
    changed = torch.where(model.seen_pixels(only(1, 2))[:, None], x, 1 - x)
    assert torch.allclose(model.encode(x, only(1, 2)).log_prob(z), model.encode(changed, only(1, 2)).log_prob(z))
    assert not torch.allclose(model.encode(x, only(0, 2)).log_prob(z), model.encode(changed, only(0, 2)).log_prob(z))


@pytest.mark.parametrize("fusion", ["product", "mixture"])
def test_seeing_nothing_leaves_the_prior(fusion):
    z = torch.randn(5, 3)
    q = model_of(fusion).encode(pictures(), only())
    assert torch.allclose(q.log_prob(z), standard_normal(3).log_prob(z), atol=1e-5)


def test_a_mixture_is_the_mean_of_the_densities_of_those_that_saw():
    model, x, z = model_of("mixture"), pictures(), torch.randn(5, 3)
    alone = torch.stack([model.encode(x, only(v)).log_prob(z) for v in (0, 1, 3)])
    expected = torch.logsumexp(alone, 0) - math.log(3)
    assert torch.allclose(model.encode(x, only(0, 1, 3)).log_prob(z), expected, atol=1e-5)


@pytest.mark.parametrize("fusion", ["product", "mixture"])
def test_the_bound_is_below_the_evidence_of_the_seen_pixels_and_is_what_plain_sampling_gives(fusion):
    model, x, seen = model_of(fusion), pictures(), only(0, 3)
    mask = model.seen_pixels(seen)[:, None]
    with torch.no_grad():
        torch.manual_seed(2)
        bound = model.elbo(x, seen, samples=4000)
        q = model.encode(x, seen)
        z = q.sample((8000,))
        likelihood = (model.decode(z).base_dist.log_prob(x) * mask).sum((-3, -2, -1))
        log_weights = likelihood + model.prior.log_prob(z) - q.log_prob(z)  # (8000, 5)
        evidence = torch.logsumexp(log_weights, 0) - math.log(len(z))
    assert (bound.elbo < evidence + 0.02).all()
    error = log_weights.std(0) * math.sqrt(1 / 8000 + 1 / 4000)
    assert ((bound.elbo - log_weights.mean(0)).abs() < 5 * error).all()
    assert torch.allclose(bound.log_likelihood - bound.kl, bound.elbo, atol=1e-5)


def test_experts_are_trained_and_the_rest_is_left_alone():
    model, data = model_of(), (255 * pictures(64)).to(torch.uint8)
    before = {name: p.clone() for name, p in model.named_parameters()}

    def bound(model, x):
        return {"loss": -model.elbo(x, random_subsets(len(x), 4)).elbo}

    fit(model, data, steps=20, batch_size=16, phases=[Phase("experts", bound, trains="experts")], progress=False)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.startswith("experts.")}


def test_subsets_are_never_empty_and_equally_likely():
    torch.manual_seed(0)
    subsets = random_subsets(30_000, 3)
    number = (subsets * torch.tensor([1, 2, 4])).sum(1)
    counts = torch.bincount(number, minlength=8)
    assert counts[0] == 0 and ((counts[1:] - 30_000 / 7).abs() < 5 * math.sqrt(30_000 / 7)).all()


def test_a_linear_expert_learns_the_exact_posterior_of_a_linear_model():
    torch.manual_seed(0)
    W = torch.randn(16, 2) / 8
    z = torch.randn(6000, 2)
    x = (0.5 + z @ W.T + 0.05 * torch.randn(6000, 16)).clamp(0, 1)
    images = (255 * x).round().to(torch.uint8).view(-1, 1, 4, 4)
    view = Crop((4, 4), (0, 2), (0, 4))  # the first eight pixels
    exact = ProbabilisticPCA(W[:8], torch.full((8,), 0.5), 0.05).posterior(x[:100, :8])
    q = LinearExpert(view, images, z + 3, ridge=1e-6)(images[:100])
    assert (q.mean - 3 - exact.mean).abs().mean() < 0.03
    assert torch.allclose(q.covariance_matrix[0], exact.covariance_matrix[0], atol=0.01)


def test_more_parameters_than_pictures_do_not_make_a_linear_expert_look_sure():
    """Codes that have nothing to do with the pictures: the covariance comes from those that were held out."""
    torch.manual_seed(0)
    images, z = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8), torch.randn(60, 1)
    assert LinearExpert(nn.Identity(), images, z, ridge=1e-6).S.item() > 0.8


def test_an_expert_that_knows_nothing_is_no_vaguer_than_the_codes_are():
    torch.manual_seed(0)
    images, z = torch.randint(0, 256, (300, 1, 4, 4), dtype=torch.uint8), torch.randn(300, 3) @ torch.randn(3, 3)
    said, prior = LinearExpert(nn.Identity(), images, z).S, torch.cov(z.T)
    assert torch.linalg.eigvalsh(prior - said).min() > -1e-4
    assert said.trace() > 0.7 * prior.trace()


def test_too_few_pictures_for_a_covariance_are_refused():
    images = torch.randint(0, 256, (100, 1, 4, 4), dtype=torch.uint8)
    with pytest.raises(ValueError, match="20 of 100 pictures are held out for a covariance of 30 numbers"):
        LinearExpert(nn.Identity(), images, torch.randn(100, 30))


def test_wrong_arguments_are_named():
    model = model_of()
    with pytest.raises(ValueError, match=r"seen must be a bool tensor \(5, 4\)"):
        model.encode(pictures(), torch.ones(5, 4))
    with pytest.raises(ValueError, match="each view needs an expert"):
        MultiViewVAE(model.vae, list(model.views), list(model.experts)[:3])
    with pytest.raises(ValueError, match="fusion must be"):
        MultiViewVAE(model.vae, list(model.views), list(model.experts), "sum")
