"""Styles and contents: exact posteriors, bounds, leaks and swaps, against their definitions."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_helpers import AdversarialPair, GaussianFactor, Phase, evaluate, fit, kl, log_likelihood
from vae_helpers.distributions import GaussianLikelihood, gaussian_transport, standard_normal
from vae_helpers.models.layers import mlp
from vae_helpers.models.protocol import Elbo
from vae_helpers.models.style import (
    ColourOfStyle,
    FiLM,
    GroupVAE,
    LinearStyle,
    Palette,
    StyleVAE,
    colour_of_style,
    infer_style,
    linear_style,
    quadratic,
    thumbnails,
)
from vae_helpers.objectives import (
    negative_elbo_without_leak,
    negative_group_elbo,
    style_leak,
    style_reading_error,
)


def small_vae(seed=0, likelihood=None):
    torch.manual_seed(seed)
    vae = StyleVAE((3, 16, 16), latent_dim=3, style_dim=2, width=4, hidden=8, colours=4, likelihood=likelihood)
    for module in vae.modules():  # so that the style says something
        if isinstance(module, FiLM | Palette):
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.3)
    return vae


def pictures(*shape, seed=1):
    return torch.rand(*shape, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def styles(n, seed=2):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


def drawn_sets(sets=400, members=6, seed=0):
    """Sets of 2 x 2 pictures from the linear-Gaussian model itself, with its m, B and S; not bound to [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    m, B, root = 0.5 + 0.1 * draw(12), 0.3 * draw(12, 2), 0.1 * torch.eye(12) + 0.03 * draw(12, 12)
    s, e = draw(sets, 1, 2), draw(sets, members, 12)
    f = m + s @ B.T + e @ root.T
    return f.unflatten(2, (3, 2, 2)), s[:, 0], m, B, root @ root.T


# --- what sets share --------------------------------------------------------------------------------------------------


def expert_of(m, B, S):
    """The linear expert with these numbers, whatever B^T S^-1 B is."""
    expert = LinearStyle(B.shape[1], side=2).double()
    reading = torch.linalg.solve(S, B)
    expert.m, expert.reading, expert.precision = m, reading, (B.T @ reading).diagonal()
    return expert


def test_the_style_of_a_set_is_the_exact_posterior():
    x, _, m, B, S = drawn_sets(sets=3, members=4)
    V = torch.linalg.eigh(B.T @ torch.linalg.solve(S, B)).eigenvectors
    B = B @ V  # the same model with a diagonal precision
    q = infer_style(expert_of(m, B, S), x)
    for one, f in enumerate(x.flatten(2)):  # by conditioning the joint Gaussian of s and all members
        K, F = f.shape
        stacked = B.repeat(K, 1)  # (K F, d)
        joint = stacked @ stacked.T + torch.block_diag(*[S] * K)
        gain = torch.linalg.solve(joint, stacked).T  # (d, K F)
        mean, covariance = gain @ (f - m).flatten(), torch.eye(2) - gain @ stacked
        torch.testing.assert_close(q.mean[one], mean)
        torch.testing.assert_close(torch.diag(q.variance[one]), covariance.double(), atol=1e-10, rtol=1e-8)
        assert len(stacked) == K * F


def test_members_that_are_not_seen_say_nothing_and_nobody_is_the_prior():
    x, _, m, B, S = drawn_sets(sets=3, members=4)
    expert = expert_of(m, B, S)
    seen = torch.tensor([[True, False, True, False]] * 3)
    some, alone = infer_style(expert, x, seen), infer_style(expert, x[:, [0, 2]])
    torch.testing.assert_close(some.mean, alone.mean)
    torch.testing.assert_close(some.variance, alone.variance)
    nobody = infer_style(expert, x, torch.zeros(3, 4, dtype=torch.bool))
    torch.testing.assert_close(nobody.mean, torch.zeros(3, 2).double())
    torch.testing.assert_close(nobody.variance, torch.ones(3, 2).double())


def stored(x):
    """The pictures as `uint8`, on a scale on which rounding hardly counts."""
    return (64 * x + 96).clamp(0, 255).round().to(torch.uint8)


def test_a_fitted_expert_finds_the_directions_the_ratios_and_the_styles():
    x, s, _, B, S = drawn_sets(sets=3000)
    expert, ratios = linear_style(stored(x), style_dim=2, side=2, ridge=0.0)
    exact = torch.linalg.eigvalsh(B.T @ torch.linalg.solve(S, B)).flip(0)  # the non-zero ones of S^-1 B B^T
    torch.testing.assert_close(ratios[:2].double(), exact, rtol=0.1, atol=0.0)
    assert ratios[2:].max() < 0.05 and len(ratios) == 12
    found = infer_style(expert, stored(x)).mean.double()
    design = torch.cat([found, torch.ones(len(found), 1)], 1)
    left = s - design @ torch.linalg.lstsq(design, s).solution
    assert (left.square().mean(0) / s.square().mean(0)).max() < 0.05
    torch.testing.assert_close(found.var(0), torch.ones(2).double(), rtol=0.1, atol=0.1)


def test_its_posterior_is_as_wide_as_its_errors():
    x, s, m, B, S = drawn_sets(sets=4000, members=2)
    V = torch.linalg.eigh(B.T @ torch.linalg.solve(S, B)).eigenvectors
    q = infer_style(expert_of(m, B @ V, S), x)
    z = (s @ V - q.mean) / q.stddev  # the same style in the axes of the expert
    torch.testing.assert_close(z.square().mean(0), torch.ones(2).double(), atol=0.1, rtol=0.0)
    fitted, _ = linear_style(stored(x), style_dim=2, side=2, ridge=0.0)
    width = infer_style(fitted, stored(x)).stddev[0].sort().values.double()
    torch.testing.assert_close(width, q.stddev[0].sort().values, rtol=0.1, atol=0.0)


def test_thumbnails_are_means_of_tiles_and_keep_the_leading_axes():
    x = pictures(2, 3)
    small = thumbnails(x, 4)
    assert small.shape == (2, 3, 48)
    torch.testing.assert_close(
        small[1, 2].view(3, 4, 4), x[1, 2].unflatten(1, (4, 4)).unflatten(3, (4, 4)).mean((2, 4))
    )
    as_bytes = (255 * x).round().byte()
    torch.testing.assert_close(thumbnails(as_bytes, 4), small, atol=2e-3, rtol=0.0)


def test_sets_that_have_nothing_in_common_are_refused():
    x = torch.randint(0, 255, (40, 3, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"differ in \d+ directions only"):
        linear_style(x, style_dim=150, side=8)
    with pytest.raises(ValueError, match=r"sets must have shape \(M, K, C, H, W\)"):
        linear_style(x[0])


# --- the VAE that is told ---------------------------------------------------------------------------------------------


def test_layers_that_are_told_say_nothing_to_begin_with_and_then_what_they_should():
    x, s = torch.randn(5, 3, 4, 4), styles(5)
    for layer in (FiLM(2, 3), Palette(2)):
        torch.testing.assert_close(layer(x, s), x)
    film, palette = FiLM(2, 3), Palette(2, hidden=4)
    for parameter in (*film.parameters(), *palette.parameters()):
        nn.init.normal_(parameter)
    scale, shift = film.said(s).chunk(2, 1)
    torch.testing.assert_close(film(x, s), x * (1 + scale[:, :, None, None]) + shift[:, :, None, None])
    A_and_b = palette.said(s).view(5, 3, 4)
    expected = x + torch.einsum("ncd,ndhw->nchw", A_and_b[:, :, :3], x) + A_and_b[:, :, 3, None, None]
    torch.testing.assert_close(palette(x, s), expected)


def test_content_and_style_both_count_and_codes_broadcast():
    vae, x, s = small_vae(), pictures(4), styles(4)
    q = vae.encode(x, s)
    assert q.batch_shape == (4,) and q.event_shape == (3,)
    assert not torch.allclose(q.mean, vae.encode(x, s.flip(0)).mean)
    z = torch.randn(2, 4, 3)
    p = vae.decode(z, s)
    assert p.batch_shape == (2, 4) and p.event_shape == (3, 16, 16)
    torch.testing.assert_close(p.mean[1, 3], vae.decode(z[1, 3:], s[3:]).mean[0])
    assert not torch.allclose(p.mean, vae.decode(z, s.flip(0)).mean)


def test_it_is_a_model_like_every_other():
    vae, data = small_vae(), ((255 * pictures(6)).byte(), styles(6))
    bound = evaluate(vae, data, samples=200)["elbo"].mean
    assert bound <= log_likelihood(vae, data, samples=200).mean + 1
    before = [parameter.clone() for parameter in vae.parameters()]
    fit(vae, data, steps=3, batch_size=4, progress=False)
    assert all(not torch.equal(a, b) for a, b in zip(before, vae.parameters(), strict=True))
    assert math.isfinite(bound) and math.isfinite(evaluate(vae, data)["elbo"].mean)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_it_paints_pictures_of_each_size(size):
    vae = StyleVAE((3, size, size), latent_dim=2, style_dim=2, width=4, hidden=8)
    x = torch.rand(2, 3, size, size)
    assert vae.reconstruct(x, styles(2)).shape == x.shape


# --- sets -------------------------------------------------------------------------------------------------------------


class Says(nn.Module):
    """An expert that says what it is told to, whatever it sees."""

    def __init__(self, shift, precision):
        super().__init__()
        self.shift, self.precision = nn.Parameter(shift), precision

    def forward(self, images):
        return GaussianFactor(self.shift.expand(*images.shape[:-3], 2), self.precision.expand(*images.shape[:-3], 2))


def test_the_bound_of_a_set_is_that_of_its_contents_less_the_styles_kl_once():
    group = GroupVAE(Says(torch.tensor([0.7, -0.2]), torch.tensor([0.5, 1.5])), small_vae())
    sets = pictures(3, 4)
    q = group.infer_style(sets)
    torch.testing.assert_close(q.variance, (1 / (1 + 4 * torch.tensor([0.5, 1.5]))).expand(3, 2))
    torch.testing.assert_close(q.mean, 4 * torch.tensor([0.7, -0.2]) * q.variance)
    torch.manual_seed(0)
    found = group.elbo(sets).elbo
    torch.manual_seed(0)
    s = q.rsample()
    by_hand = torch.stack([group.vae.elbo(sets.flatten(0, 1), s.repeat_interleave(4, 0)).elbo]).view(3, 4).sum(1)
    torch.testing.assert_close(found, by_hand - kl(q, standard_normal(2)))


def test_with_the_exact_posteriors_the_bound_of_a_set_is_its_evidence():
    """In a model whose evidence is known: a decoder that is linear in z and s, with Gaussian pixels."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.W, self.V, self.sigma = 0.5 * torch.randn(4, 1), 0.5 * torch.randn(4, 2), 0.4
            member = self.W @ self.W.T + self.sigma**2 * torch.eye(4)
            self.V = self.V @ torch.linalg.eigh(self.V.T @ torch.linalg.solve(member, self.V)).eigenvectors

        def encode(self, x, s):
            residual = x.flatten(1) - s @ self.V.T
            variance = 1 / (1 + (self.W.T @ self.W) / self.sigma**2)
            return Independent(
                Normal(residual @ self.W / self.sigma**2 * variance, variance.sqrt().expand(len(x), 1)), 1
            )

        def decode(self, z, s):
            mean = (z @ self.W.T + s @ self.V.T).unflatten(-1, (1, 2, 2))
            return Independent(Normal(mean, self.sigma), 3)

        def elbo(self, x, s):
            q = self.encode(x, s)
            z = q.rsample((64,))
            log_likelihood = self.decode(z, s).log_prob(x).mean(0)
            divergence = kl(q, standard_normal(1))
            return Elbo(log_likelihood - divergence, log_likelihood, divergence)

    model = Linear()
    member = model.W @ model.W.T + model.sigma**2 * torch.eye(4)
    joint = torch.block_diag(*[member] * 3) + model.V.repeat(3, 1) @ model.V.repeat(3, 1).T
    x = MultivariateNormal(torch.zeros(12), joint).sample((50,)).view(50, 3, 1, 2, 2)
    evidence = MultivariateNormal(torch.zeros(12), joint).log_prob(x.flatten(1))
    exact, prior_too_often = Says(torch.zeros(2), torch.ones(2)), Says(torch.zeros(2), torch.ones(2))
    reading = torch.linalg.solve(member, model.V)
    precision = (model.V.T @ reading).diagonal()  # V was turned so that there is no other part

    exact.forward = lambda images: GaussianFactor(images.flatten(-3) @ reading, precision.expand(*images.shape[:-3], 2))
    prior_too_often.forward = lambda images: GaussianFactor(
        images.flatten(-3) @ reading, (precision + 1).expand(*images.shape[:-3], 2)
    )
    draws = torch.stack([GroupVAE(exact, model).elbo(x).elbo for _ in range(400)])
    error = draws.std(0) / 20
    assert ((draws.mean(0) - evidence).abs() < 5 * error + 0.02).all()  # q is the posterior: the bound is the evidence
    below = torch.stack([GroupVAE(prior_too_often, model).elbo(x).elbo for _ in range(400)]).mean(0)
    assert (evidence - below).mean() > 0.1 and (below < evidence + 0.1).all()


def test_an_expert_is_trained_with_the_rest():
    group = GroupVAE(Says(torch.tensor([0.7, -0.2]), torch.tensor([0.5, 1.5])), small_vae())
    before = group.expert.shift.clone()
    sets = pictures(6, 2)
    parts = negative_group_elbo(group, sets)
    assert parts["loss"].shape == (6,)
    torch.testing.assert_close(parts["loss"], -parts["elbo"])
    torch.manual_seed(0)
    whole = group.elbo(sets)
    torch.testing.assert_close(whole.elbo, whole.log_likelihood - whole.kl)
    torch.manual_seed(0)
    cheap = negative_group_elbo(group, sets, beta=0.25)
    torch.testing.assert_close(cheap["loss"], (0.25 * whole.kl - whole.log_likelihood) / 2)
    torch.testing.assert_close(cheap["elbo"], whole.elbo / 2)
    fit(group, sets, steps=3, batch_size=3, objective=negative_group_elbo, progress=False)
    assert not torch.equal(before, group.expert.shift)


def test_a_swap_encodes_in_the_old_style_and_decodes_in_the_new():
    group = GroupVAE(LinearStyle(2), small_vae())
    x, own, wanted = pictures(4), styles(4), styles(4, seed=5)
    made = group.restyle(x, own, wanted)
    torch.testing.assert_close(made, group.vae.decode(group.vae.encode(x, own).mean, wanted).mean)
    torch.testing.assert_close(group.restyle(x, own[:1], wanted[:1])[2], group.restyle(x[2:3], own[:1], wanted[:1])[0])
    torch.testing.assert_close(group.restyle(x, own, own), group.vae.reconstruct(x, own))
    assert not made.requires_grad


def test_the_colours_of_a_style_are_those_of_its_sets():
    """Sets whose colours are scaled by a style: their covariance is a quadratic function of it."""
    generator = torch.Generator().manual_seed(0)
    s = torch.rand(300, 2, generator=generator)
    patterns = torch.randn(300, 4, 3, 8, 8, generator=generator)
    mix = torch.zeros(300, 3, 3)
    mix[:, 0, 0], mix[:, 1, 1], mix[:, 2, 2], mix[:, 2, 0] = 10 + 10 * s[:, 0], 15.0, 10 + 10 * s[:, 1], 8.0
    sets = (128 + torch.einsum("mij,mkjhw->mkihw", mix, patterns)).round().clamp(0, 255).to(torch.uint8)
    colour = colour_of_style(sets, s, ridge=0.1)
    expected = (mix @ mix.mT) / 255**2
    torch.testing.assert_close(colour(s), expected, atol=3e-4, rtol=0.1)
    assert torch.linalg.eigvalsh(colour(torch.randn(50, 2))).min() >= -1e-9
    terms = quadratic(torch.tensor([[2.0, 3.0]]))
    assert terms.tolist() == [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]


def test_what_a_content_does_not_hold_is_carried_over_with_its_colours_turned():
    colour = ColourOfStyle(2)
    colour.weights = 0.3 * torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    group = GroupVAE(LinearStyle(2), small_vae(), colour)
    x, own, wanted = pictures(4), styles(4), styles(4, seed=5)
    T = gaussian_transport(colour(own), colour(wanted))
    rest = x - group.restyle(x, own, own)
    expected = group.restyle(x, own, wanted) + torch.einsum("nij,njhw->nihw", T, rest)
    torch.testing.assert_close(group.carry_over(x, own, wanted), expected)
    torch.testing.assert_close(group.carry_over(x, own, own), x, atol=1e-3, rtol=0.0)  # nothing is lost at home
    torch.testing.assert_close(
        group.carry_over(x, own[:1], wanted[:1])[1:2], group.carry_over(x[1:2], own[:1], wanted[:1])
    )
    with pytest.raises(ValueError, match="colour_of_style"):
        GroupVAE(LinearStyle(2), small_vae()).carry_over(x, own, wanted)


# --- leaks ------------------------------------------------------------------------------------------------------------


def test_a_leak_is_the_information_of_a_gaussian_reader():
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(200_000, 2, generator=generator, dtype=torch.float64)
    noisy = s + torch.tensor([0.5, 2.0]) * torch.randn(s.shape, generator=generator, dtype=torch.float64)
    gain = 1 / (1 + torch.tensor([0.25, 4.0]))
    information = (0.5 * torch.log(1 + 1 / torch.tensor([0.25, 4.0]))).sum()  # of a Gaussian channel
    torch.testing.assert_close(style_leak(gain * noisy, s).float(), information, rtol=0.01, atol=0.0)
    assert style_leak(torch.zeros_like(s), s).abs() < 1e-4
    assert style_leak(3 * torch.randn(s.shape, generator=generator), s) == 0


def pair_of(seed=0):
    vae = small_vae(seed, GaussianLikelihood(0.2))
    return AdversarialPair(vae, mlp([3, 8, 2]))


def test_each_loss_is_that_of_its_own_network():
    pair, x, s = pair_of(), pictures(6), styles(6)
    torch.manual_seed(0)
    read = style_reading_error(pair, x, s)
    torch.manual_seed(0)
    z = pair.vae.encode(x, s).rsample()
    torch.testing.assert_close(read["loss"], (pair.critic(z) - s).square().sum(1))
    read["loss"].sum().backward()
    assert all(parameter.grad is None for parameter in pair.vae.parameters())
    pair.zero_grad()
    torch.manual_seed(0)
    parts = negative_elbo_without_leak(pair, x, s, price=7.0, beta=0.5)
    torch.testing.assert_close(parts["leak"], style_leak(pair.critic(z), s))
    expected = 0.5 * parts["kl"] + parts["distortion"] + 7 * parts["leak"]
    torch.testing.assert_close(parts["loss"], expected)
    torch.testing.assert_close(parts["elbo"], -parts["distortion"] - parts["kl"])


def test_in_turns_the_critic_learns_to_read_and_the_vae_to_hide():
    """Contents that begin as the style itself: a reader finds it, and with a price it is gone."""
    torch.manual_seed(0)
    s = torch.randn(512, 2)
    x = (0.5 + 0.1 * s)[:, :1, None, None].expand(-1, 3, 16, 16).clamp(0, 1).contiguous()
    leaks = {}
    for price in (0.0, 100.0):
        pair = pair_of()
        phases = [
            Phase("critic", style_reading_error, "critic", learning_rate=1e-2, updates=2),
            Phase("vae", lambda p, a, b, price=price: negative_elbo_without_leak(p, a, b, price), "vae"),
        ]
        fit(pair, (x, s), steps=150, batch_size=64, learning_rate=3e-3, phases=phases, progress=False, seed=0)
        z = pair.vae.encode(x, s).sample()
        design = torch.cat([z, z.square(), torch.ones(len(z), 1)], 1)
        guessed = design @ torch.linalg.lstsq(design, s).solution
        leaks[price] = style_leak(guessed, s).item()
    assert leaks[100.0] < 0.5 * leaks[0.0]
