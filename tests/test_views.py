"""Things seen in several pictures: what is known of them from some, the bound, and new views, against definitions."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_helpers import GaussianFactor, evaluate, fit, kl, log_likelihood
from vae_helpers.distributions import standard_normal
from vae_helpers.models.experts import fused
from vae_helpers.models.style import FiLM
from vae_helpers.models.views import ViewVAE, random_seen
from vae_helpers.objectives import negative_view_elbo


def small_vae(seed=0, size=16):
    torch.manual_seed(seed)
    vae = ViewVAE((3, size, size), view_dim=2, latent_dim=3, width=4, hidden=8, colours=4)
    for module in vae.modules():  # so that the view says something
        if isinstance(module, FiLM):
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.3)
    return vae


def pictures(*shape, seed=1):
    return torch.rand(*shape, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def views(*shape, seed=2):
    return torch.randn(*shape, 2, generator=torch.Generator().manual_seed(seed))


# --- what is known from some pictures ---------------------------------------------------------------------------------


def test_what_is_seen_together_counts_the_prior_once():
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    said, q = vae.factors(x, v), vae.encode(x, v)
    precision = 1 + said.precision.sum(1)  # the prior's, once, and what each picture says
    torch.testing.assert_close(q.variance, 1 / precision)
    torch.testing.assert_close(q.mean, said.shift.sum(1) / precision)
    assert (said.precision > 0).all() and q.batch_shape == (3,) and q.event_shape == (3,)


def test_the_order_of_pictures_does_not_matter_but_which_view_belongs_to_which_does():
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    order = torch.tensor([2, 0, 3, 1])
    q, other, mixed = vae.encode(x, v), vae.encode(x[:, order], v[:, order]), vae.encode(x[:, order], v)
    torch.testing.assert_close(q.mean, other.mean)
    torch.testing.assert_close(q.variance, other.variance)
    assert not torch.allclose(q.mean, mixed.mean, atol=1e-3)


def test_pictures_that_are_not_seen_say_nothing_and_nothing_seen_is_the_prior():
    vae, x, v = small_vae(), pictures(2, 4), views(2, 4)
    some = vae.encode(x, v, torch.tensor([[True, False, True, False], [False] * 4]))
    torch.testing.assert_close(some.mean[0], vae.encode(x[:, [0, 2]], v[:, [0, 2]]).mean[0])
    torch.testing.assert_close(some.variance[0], vae.encode(x[:, [0, 2]], v[:, [0, 2]]).variance[0])
    assert torch.equal(some.mean[1], torch.zeros(3)) and torch.equal(some.variance[1], torch.ones(3))
    assert (vae.encode(x, v).variance < vae.encode(x[:, :1], v[:, :1]).variance).all()  # who sees more knows more


def test_what_is_seen_at_random_leaves_one_open_at_least_and_every_number_is_as_likely():
    torch.manual_seed(0)
    seen = random_seen(8000, 4)
    share = torch.bincount(seen.sum(1), minlength=5) / 8000
    torch.testing.assert_close(share, torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0]), atol=0.02, rtol=0.0)
    torch.testing.assert_close(seen.float().mean(0), torch.full((4,), 1.5 / 4), atol=0.02, rtol=0.0)
    assert not random_seen(5, 1).any()


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_codes_and_views_broadcast_and_both_count():
    vae, z, v = small_vae(), torch.randn(5, 2, 3), views(2, 4)
    p = vae.decode(z[..., None, :], v)  # five codes of two things, each from four views
    assert p.batch_shape == (5, 2, 4) and p.event_shape == (3, 16, 16)
    torch.testing.assert_close(p.mean[3, 1, 2], vae.decode(z[3, 1], v[1, 2]).mean)
    assert not torch.allclose(p.mean[0, 0, 0], p.mean[0, 0, 1], atol=1e-4)
    assert not torch.allclose(p.mean[0, 0, 0], vae.decode(z[1, 0], v[0, 0]).mean, atol=1e-4)


def test_a_new_view_is_the_decoders_mean_at_what_is_known():
    vae, x, v, wanted = small_vae(), pictures(3, 2), views(3, 2), views(3, 5, seed=7)
    made, q = vae.novel_views(x, v, wanted), vae.encode(x, v)
    assert made.shape == (3, 5, 3, 16, 16) and not made.requires_grad
    torch.testing.assert_close(made[1, 4], vae.decode(q.mean[1], wanted[1, 4]).mean)
    torch.testing.assert_close(
        vae.novel_views(x, v, wanted[0])[2], vae.novel_views(x, v, wanted[:1].repeat(3, 1, 1))[2]
    )
    torch.testing.assert_close(vae.reconstruct(x, v), vae.novel_views(x, v, v))
    torch.manual_seed(0)
    drawn = vae.novel_views(x, v, wanted, draws=6)
    torch.manual_seed(0)
    z = q.sample((6,))
    assert drawn.shape == (6, 3, 5, 3, 16, 16)
    torch.testing.assert_close(drawn[5, 2, 1], vae.decode(z[5, 2], wanted[2, 1]).mean)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_it_paints_pictures_of_each_size(size):
    x = torch.rand(2, 2, 3, size, size)
    assert small_vae(size=size).reconstruct(x, views(2, 2)).shape == x.shape


# --- the bound --------------------------------------------------------------------------------------------------------


def test_the_bound_pays_for_a_code_once_whatever_the_number_of_pictures():
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    torch.manual_seed(0)
    bound = vae.elbo(x, v)
    torch.manual_seed(0)
    q = vae.encode(x, v)
    z = q.rsample((1,))[0]
    by_hand = sum(vae.decode(z, v[:, k]).log_prob(x[:, k]) for k in range(4))
    torch.testing.assert_close(bound.log_likelihood, by_hand)
    torch.testing.assert_close(bound.kl, kl(q, standard_normal(3)))
    torch.testing.assert_close(bound.elbo, bound.log_likelihood - bound.kl)


def test_the_loss_is_the_negative_elbo_where_nothing_is_seen_and_costs_no_kl_where_all_is():
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    q, some = vae.encode(x, v), torch.tensor([[True, False, False, True]] * 3)
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    parts = negative_view_elbo(vae, x, v, seen=nothing)
    torch.testing.assert_close(parts["kl"], kl(q, standard_normal(3)))
    torch.testing.assert_close(negative_view_elbo(vae, x, v, seen=~nothing)["kl"], torch.zeros(3))
    torch.testing.assert_close(negative_view_elbo(vae, x, v, seen=some)["kl"], kl(q, vae.encode(x, v, some)))
    torch.manual_seed(0)
    half = negative_view_elbo(vae, x, v, beta=0.5, seen=some)
    torch.manual_seed(0)
    log_likelihoods = vae.log_likelihoods(q.rsample(), x, v)
    assert log_likelihoods.shape == (3, 4)
    torch.testing.assert_close(half["distortion"], -log_likelihoods.sum(1))
    torch.testing.assert_close(half["loss"], half["distortion"] + 0.5 * half["kl"])
    torch.testing.assert_close(half["bound"], -half["distortion"] - half["kl"])


class LinearViews(nn.Module):
    """A model whose evidence is known: x_k = W(v_k) z + noise, W linear in the view, and the exact factors."""

    prior, sigma = standard_normal(1, dtype=torch.float64), 0.5

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).double())

    def factors(self, x, v):
        w = v @ self.W  # (M, K, 4)
        shift, precision = (x.flatten(2) * w).sum(-1, keepdim=True), w.square().sum(-1, keepdim=True)
        return GaussianFactor(shift / self.sigma**2, precision / self.sigma**2)

    def log_likelihoods(self, z, x, v):
        return Independent(Normal(z[..., None, :] * (v @ self.W), self.sigma), 1).log_prob(x.flatten(2))


def test_with_the_exact_factors_the_bound_is_the_evidence():
    model, v = LinearViews(), views(6, 3).double()
    stacked = (v @ model.W).flatten(1)[:, :, None]  # (M, 12, 1)
    joint = MultivariateNormal(torch.zeros(12).double(), stacked @ stacked.mT + 0.25 * torch.eye(12).double())
    flat = joint.sample()
    x = flat.view(6, 3, 1, 2, 2)
    nothing = torch.zeros(6, 3, dtype=torch.bool)
    draws = torch.stack([negative_view_elbo(model, x, v, seen=nothing)["bound"] for _ in range(3000)])
    torch.testing.assert_close(draws.mean(0), joint.log_prob(flat), atol=0.15, rtol=0.0)


def test_what_is_known_from_some_is_pulled_to_what_is_known_from_all():
    """The KL reaches the factors of what is seen: the way in which partial posteriors learn."""
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    negative_view_elbo(vae, x, v, seen=torch.tensor([[True, False, False, False]] * 3))["kl"].sum().backward()
    assert vae.encoder[-1].weight.grad.abs().sum() > 0 and vae.of_view[0].weight.grad.abs().sum() > 0


def test_it_is_a_model_like_every_other_and_learns_from_stored_sets():
    vae, data = small_vae(), ((255 * pictures(6, 4)).byte(), views(6, 4))
    bound = evaluate(vae, data, samples=50)["elbo"].mean
    assert bound <= log_likelihood(vae, data, samples=200).mean + 1
    before = [parameter.clone() for parameter in vae.parameters()]
    history = fit(vae, data, steps=3, batch_size=4, objective=negative_view_elbo, progress=False)
    assert all(not torch.equal(a, b) for a, b in zip(before, vae.parameters(), strict=True))
    assert len(history.train["kl"]) and torch.equal(vae.prepare(data[0]) // (1 / 256), data[0].float())


def test_when_trained_pictures_given_say_what_others_show():
    """A colour that all pictures of a thing share, brightness that the view sets: both are used."""
    torch.manual_seed(0)
    colour, v = torch.rand(256, 1, 3), torch.rand(256, 4, 2) * 2 - 1
    x = (0.3 + 0.4 * colour + 0.2 * v[..., :1])[..., None, None].expand(-1, -1, -1, 16, 16)
    vae = ViewVAE((3, 16, 16), view_dim=2, latent_dim=4, width=8, hidden=64)
    images = (255 * x).byte()
    settings = {"batch_size": 16, "learning_rate": 5e-3, "objective": negative_view_elbo, "progress": False}
    fit(vae, (images[:200], v[:200]), steps=500, **settings)
    made = vae.novel_views(x[200:, :1], v[200:, :1], v[200:])
    copied = x[200:, :1].expand_as(made)
    error, of_copies = ((one - x[200:])[:, 1:].square().mean() for one in (made, copied))
    assert error < 0.5 * of_copies
    q = vae.encode(x[200:], v[200:], torch.tensor([[True, False, False, False]] * 56))
    assert q.stddev.min() < 0.5  # and it knows that it knows


# --- errors -----------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_with_a_cure():
    vae, x, v = small_vae(), pictures(3, 4), views(3, 4)
    with pytest.raises(ValueError, match=r"x must have shape \(M, K, C, S, S\).*x\[:, None\] has one picture of each"):
        vae.encode(x[:, 0], v[:, 0])
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 3, 16, 16\), the pictures that this model"):
        vae.encode(torch.rand(3, 4, 3, 32, 32), v)
    with pytest.raises(ValueError, match=r"views must be \(\.\.\., 2\), not \(3, 4, 6\).*shapes\.VIEW"):
        vae.encode(x, torch.zeros(3, 4, 6))
    with pytest.raises(ValueError, match=r"views \(3, 3, 2\) do not belong to pictures or codes \(3, 4\)"):
        vae.encode(x, v[:, :3])
    with pytest.raises(ValueError, match=r"seen must be a bool tensor \(3, 4\)"):
        vae.encode(x, v, torch.ones(3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"seen must be a bool tensor \(3, 4\)"):
        negative_view_elbo(vae, x, v, seen=torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"codes \(2, 3\) and views \(4, 2\) do not belong together"):
        vae.decode(torch.zeros(2, 3), v[0])
    with pytest.raises(ValueError, match="draws"):
        vae.novel_views(x, v, v, draws=0)
    with pytest.raises(ValueError, match="pictures must be a whole number of at least 1"):
        random_seen(3, 0)
    with pytest.raises(ValueError, match=r"must have shape \(M, K, C, H, W\)"):
        negative_view_elbo(vae, x[0], v[0])
    with pytest.raises(ValueError, match="expected 1 "):
        fit(vae, (torch.zeros(4, 4, 16, 16, 3, dtype=torch.uint8), views(4, 4)), steps=1)


def test_a_fusion_needs_no_model():
    said = GaussianFactor(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0]]))
    q = fused(standard_normal(1), said)
    torch.testing.assert_close(q.mean, torch.tensor([0.75]))
    torch.testing.assert_close(q.variance, torch.tensor([0.25]))
    assert torch.equal(fused(standard_normal(1), said, torch.tensor([False, False])).variance, torch.ones(1))
