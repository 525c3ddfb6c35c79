"""The critic: what it sees, and that each of the two is trained in its turn by its own loss."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

from tests.training.small import interrupt_at
from vae_helpers import (
    AdversarialPair,
    PatchDiscriminator,
    Phase,
    conv_vae,
    critic_error,
    evaluate,
    fit,
    mlp_vae,
    negative_elbo_with_critic,
)
from vae_helpers.distributions import GaussianLikelihood
from vae_helpers.images import to_float
from vae_helpers.objectives import ADVERSARIAL


def stored(n=40, size=8, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator)


def pair(seed=0):
    torch.manual_seed(seed)
    return AdversarialPair(mlp_vae((3, 8, 8), 2, (8,), GaussianLikelihood(0.2)), PatchDiscriminator(width=4))


# --- the critic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("h", "w"), [(8, 8), (32, 32), (6, 10), (2, 2), (20, 34)])
def test_there_is_a_logit_for_every_fourth_place(h, w):
    critic = PatchDiscriminator(width=4)
    x = torch.rand(3, 3, h, w)
    assert critic(x).shape == (3, -(-h // 4), -(-w // 4))
    shapes = [tuple(told.shape) for told in critic.features(x)]
    half, quarter = (h // 2, w // 2), (-(-h // 4), -(-w // 4))
    assert shapes == [(3, 4, *half), (3, 8, *quarter), (3, 8, *quarter)]


def test_a_logit_sees_18_x_18_pixels_and_no_other():
    torch.manual_seed(0)
    critic = PatchDiscriminator(channels=1, width=16).double()
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    seen = torch.zeros(64, 64)
    for _ in range(3):  # a LeakyReLU has a slope everywhere, so every pixel counts
        (gradient,) = torch.autograd.grad(critic(x)[0, 8, 8], x)
        seen += (gradient[0, 0] != 0).float()
    rows, columns = seen.sum(1).nonzero().squeeze(1), seen.sum(0).nonzero().squeeze(1)
    assert rows.tolist() == columns.tolist() == list(range(24, 42)) and (seen[24:42, 24:42] > 0).all()
    outside = torch.rand(1, 1, 64, 64, dtype=torch.float64)
    outside[..., 24:42, 24:42] = x.detach()[..., 24:42, 24:42]
    assert torch.equal(critic(outside)[0, 8, 8], critic(x)[0, 8, 8])
    assert not torch.allclose(critic(outside)[0, 8, 9], critic(x)[0, 8, 9])
    assert "18 x 18 pixels" in PatchDiscriminator.__doc__


def test_its_logits_are_the_head_on_the_last_of_its_features():
    critic, x = PatchDiscriminator(width=4), torch.rand(3, 3, 8, 8)
    assert torch.equal(critic(x), critic.head(critic.features(x)[-1])[:, 0])
    assert not torch.equal(critic(x), critic(1 - x))


def test_beyond_its_edge_a_picture_is_grey():
    told = PatchDiscriminator(width=4).features(torch.full((1, 3, 16, 16), 0.5))
    assert torch.allclose(told[0], told[0][..., :1, :1].expand_as(told[0]), atol=1e-6)  # no frame around it


def test_half_precision_inside_comes_out_as_float32_and_float64_stays():
    critic, x = PatchDiscriminator(width=4), torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert critic(x).dtype == torch.float32 and {told.dtype for told in critic.features(x)} == {torch.float32}
    assert critic.double()(x.double()).dtype == torch.float64
    assert critic.features(x.double())[0].dtype == torch.float64


def test_pictures_that_it_cannot_see_are_refused():
    critic = PatchDiscriminator(width=4)
    for h, w in ((7, 8), (8, 7)):
        with pytest.raises(RuntimeError, match=r"(height|width) to be divisible by"):
            critic(torch.rand(2, 3, h, w))
    with pytest.raises(RuntimeError, match="channels"):
        critic(torch.rand(2, 1, 8, 8))
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1, not 0"):
        PatchDiscriminator(0)
    with pytest.raises(ValueError, match=r"width must be a whole number of at least 1, not 2\.5"):
        PatchDiscriminator(3, 2.5)


# --- the two in turns -------------------------------------------------------------------------------------------------


def phases(start=0, **settings):
    return [
        Phase("critic", critic_error, "critic", learning_rate=1e-3, betas=(0.5, 0.99)),
        Phase("vae", functools.partial(negative_elbo_with_critic, **settings), "vae", start=start),
    ]


def train(trained, images, steps, **settings):
    return fit(trained, images, **({"steps": steps, "batch_size": 8, "progress": False, "seed": 0} | settings))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_in_its_phase_the_critic_learns_and_the_vae_stays_as_it_was():
    both = pair()
    vae, critic = weights(both.vae), weights(both.critic)
    train(both, stored(), 3, phases=phases()[:1])
    assert torch.equal(weights(both.vae), vae) and not torch.equal(weights(both.critic), critic)
    critic = weights(both.critic)
    train(both, stored(), 3, phases=phases()[1:])
    assert torch.equal(weights(both.critic), critic) and not torch.equal(weights(both.vae), vae)
    assert all(p.requires_grad and p.grad is None for p in both.parameters())


def test_the_vae_listens_from_its_start_on():
    both, seen = pair(), {}
    first = weights(both.vae), weights(both.critic)

    def look(step, model):
        seen[step] = torch.equal(weights(model.vae), first[0]), torch.equal(weights(model.critic), first[1])

    history = train(both, stored(), 6, phases=phases(start=4), callback=look, callback_every=1)
    assert seen == {0: (True, True)} | {n: (n <= 4, False) for n in range(1, 7)}
    assert {"critic.loss", "critic.right", "vae.disbelief", "vae.elbo"} <= set(history.train)


def test_a_critic_alone_learns_to_tell_soft_pictures_from_noisy_ones():
    both = pair()
    history = train(both, stored(200), 60, phases=[Phase("critic", critic_error, "critic", learning_rate=5e-3)])
    right = history.train["critic.right"]
    assert right[-1] > 0.95 and history.train["critic.real"][-1] > 0 > history.train["critic.made"][-1]


def test_a_pair_resumes_from_a_checkpoint_to_the_same_bits(tmp_path):
    path, settings = tmp_path / "pair.safetensors", {"phases": phases(start=3, loss="non-saturating")}
    whole, stopped, resumed = pair(), pair(), pair(seed=9)
    train(whole, stored(), 8, **settings)
    train(stopped, stored(), 8, checkpoint=path, callback=interrupt_at(5), callback_every=5, **settings)
    assert not torch.equal(weights(stopped), weights(whole))
    train(resumed, stored(), 8, checkpoint=path, resume=True, **settings)
    assert torch.equal(weights(resumed), weights(whole))


def test_the_vae_of_a_pair_is_a_vae_like_any_other():
    both = pair()
    alone = copy.deepcopy(both.vae)
    assert evaluate(both.vae, stored(), seed=0)["elbo"].mean == evaluate(alone, stored(), seed=0)["elbo"].mean
    train(both, stored(), 3, phases=phases())
    assert evaluate(both.vae, stored(), seed=0)["elbo"].mean != evaluate(alone, stored(), seed=0)["elbo"].mean
    assert both.vae.state_dict().keys() == alone.state_dict().keys()
    assert {name.split(".")[0] for name in both.state_dict()} == {"vae", "critic"}


def test_stored_pictures_are_prepared_as_the_vae_prepares_them():
    class Binary(nn.Module):
        def prepare(self, images):
            return (to_float(images) > 0.5).float()

        def encode(self, x):
            raise NotImplementedError

    images = stored(5)
    assert torch.equal(AdversarialPair(Binary(), nn.Identity()).prepare(images), (to_float(images) > 0.5).float())
    both, drawn = pair(), []
    for prepare in (both.prepare, both.vae.prepare):  # this one adds noise below a grey level
        torch.manual_seed(0)
        drawn.append(prepare(images))
    assert torch.equal(*drawn) and 0 < (drawn[0] - to_float(images)).abs().max() < 1 / 255
    assert torch.equal(both.prepare(to_float(images)), to_float(images))


def test_a_convolutional_vae_is_trained_with_its_critics_features():
    torch.manual_seed(0)
    both = AdversarialPair(conv_vae((1, 16, 16), 2, 4, hidden=8), PatchDiscriminator(1, 4))
    turns = phases(features=both.critic.features, price=10.0)
    before = weights(both.vae)
    history = train(both, stored(16, 16, 1), 3, phases=turns)
    assert not torch.equal(weights(both.vae), before)
    assert all(value == value for values in history.train.values() for value in values)  # no NaN


# --- what the non-saturating loss finds -------------------------------------------------------------------------------


def test_at_the_optimum_the_logit_is_the_log_of_how_much_likelier_a_picture_is_real():
    """On four pictures with known probabilities p and q; Goodfellow et al. (2014), proposition 1: D = p / (p + q)."""
    p, q = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.1, 0.3, 0.2]).double()
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    of_real, of_made, _ = ADVERSARIAL["non-saturating"]
    optimizer = torch.optim.LBFGS([logits], max_iter=100, tolerance_change=1e-15, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (p * of_real(logits) + q * of_made(logits)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert torch.allclose(logits.detach(), (p / q).log(), atol=1e-5)
    mixture = (p + q) / 2  # there the loss is 2 log 2 less twice the Jensen-Shannon divergence (theorem 1)
    divergence = ((p * (p / mixture).log()).sum() + (q * (q / mixture).log()).sum()) / 2
    assert loss().item() == pytest.approx(2 * torch.tensor(2.0).log().item() - 2 * divergence.item(), abs=1e-6)


class Coin(nn.Module):
    """In a VAE's place: its pictures, of one pixel, are black or white with known probability, whatever it sees."""

    def __init__(self, white):
        super().__init__()
        self.white = white

    def encode(self, x):
        code = Independent(Bernoulli(torch.full((len(x), 1), self.white)), 1)
        code.rsample = code.sample
        return code

    def decode(self, z):
        return Independent(Bernoulli(z[:, :, None, None]), 3)


class Table(nn.Module):
    """A critic that has one logit for black and one for white."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.logits[(x > 0.5).long()].flatten(1).mean(1)  # (N,): one logit for each picture


def test_a_critic_trained_by_fit_finds_the_log_ratio_of_real_and_made():
    images = torch.zeros(1000, 1, 1, 1, dtype=torch.uint8)
    images[:800] = 255  # four of five are white, of the made ones one of three
    both = AdversarialPair(Coin(1 / 3), Table())
    objective = functools.partial(critic_error, loss="non-saturating")
    torch.manual_seed(0)
    turns = [Phase("critic", objective, "critic", learning_rate=0.05)]
    fit(both, images, steps=250, batch_size=500, phases=turns, progress=False, seed=0)
    black, white = both.critic.logits.tolist()
    expected = torch.tensor([0.2 / (2 / 3), 0.8 / (1 / 3)]).log()
    assert [black, white] == pytest.approx(expected.tolist(), abs=0.1)
