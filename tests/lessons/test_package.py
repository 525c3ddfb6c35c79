"""What learners write once, and the package does for good: both give the same numbers."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from vae_helpers.data import load
from vae_helpers.distributions import GaussianLikelihood
from vae_helpers.evaluation.balance import kl_price
from vae_helpers.evaluation.neighbours import near_copies
from vae_helpers.lessons import lesson_05, lesson_10, lesson_11, lesson_12, lesson_13
from vae_helpers.models import flow, mlp_vae, scenes
from vae_helpers.objectives import flow_matching_error
from vae_helpers.rendering import scenes as drawn


@pytest.fixture(scope="module")
def things():
    """Layers of eight scenes, each with four things."""
    return drawn.layers(drawn.sample(8, 1), 32)


def test_shares_of_drawn_layers(things):
    alphas = things[:, :, 3]
    shares = lesson_10.visible_shares(alphas)
    torch.testing.assert_close(shares, scenes.visible_shares(alphas))
    colours = torch.where(alphas[:, :, None] > 0, things[:, :, :3] / alphas[:, :, None], 0)
    torch.testing.assert_close((shares[:, :, None] * colours).sum(1), scenes.compose(things))


def test_pixels_grouped_by_votes_about_places():
    """Votes crowd about three places, and one in ten lies anywhere."""
    generator = torch.Generator().manual_seed(1)
    places = torch.tensor([[-0.5, -0.4], [0.6, -0.2], [0.0, 0.55]])
    mine = torch.randint(3, (1, 48, 48), generator=generator)
    votes = places[mine].permute(0, 3, 1, 2) + 0.04 * torch.randn(1, 2, 48, 48, generator=generator)
    astray = torch.rand(1, 1, 48, 48, generator=generator) < 0.1
    votes = torch.where(astray, 2 * torch.rand(1, 2, 48, 48, generator=generator) - 1, votes)
    logits = torch.randn(1, 48, 48, generator=generator)
    labels, centres, there = scenes.group_votes(logits, votes)
    assert there.sum() == 3
    torch.testing.assert_close(lesson_10.group_pixels(logits[0] > 0, votes[0], centres[0, there[0]]), labels[0])


def test_the_posterior_of_orders(things):
    x = scenes.compose(things) + 0.1 * torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    orders, log_likelihood = scenes.order_log_likelihood(x, things, sigma=0.1)
    assert orders.tolist() == [list(order) for order in itertools.permutations(range(1, things.shape[1]))]
    pictures = torch.stack([scenes.compose(things[:, [0, *order]]) for order in orders.tolist()], 1)
    mine = lesson_10.log_posterior_of_orders(x, pictures, 0.1)
    torch.testing.assert_close(mine, log_likelihood.log_softmax(1), rtol=1e-4, atol=1e-3)


def test_the_mean_error_of_a_layer_on_any_ground():
    """Against a million grounds, drawn."""
    e = 0.3 * torch.randn(2, 4, 1, 1, generator=torch.Generator().manual_seed(1))
    b = torch.rand(10**6, 3, generator=torch.Generator().manual_seed(2))
    for one, mean in zip(e[:, :, 0, 0], lesson_10.composite_error(e), strict=True):
        assert (one[:3] - one[3] * b).square().sum(1).mean().item() == pytest.approx(mean.item(), rel=5e-3)


def bent(z, t):
    """A velocity that changes with place and time; t is a number, or one for each row."""
    t = torch.as_tensor(t).reshape(-1, 1)
    return (1 + t) * torch.sin(2 * z) - z.flip(1) * t


@pytest.fixture(scope="module")
def codes():
    return 3 * torch.randn(64, 4, generator=torch.Generator().manual_seed(1)) - 1


@pytest.fixture(scope="module")
def listening(codes):
    """A flow with a text encoder; none of its layers is zero, as they are before training."""
    torch.manual_seed(1)
    made = flow.Flow(codes, flow.WordsInContext(9, dim=16), width=32, blocks=2)
    for layer in (made.network.leave[1], *(block.said for block in made.network.blocks)):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return made.eval()


def test_steps_of_heuns_method():
    """From t = 0 to 1, one and several."""
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).double()
    for steps in (1, 7):
        mine = z
        for step in range(steps):
            mine = lesson_11.heun_step(bent, mine, step / steps, 1 / steps)
        torch.testing.assert_close(mine, flow.heun(bent, z, steps))


@pytest.mark.parametrize("w", [0.0, 1.0, 3.0])
def test_guidance_by_a_sentence(listening, codes, w):
    z_t, tokens = listening.standardised(codes), torch.arange(1, 9).repeat(16, 1).view(64, 2)
    t = torch.full((64,), 0.3)
    theirs = listening.guided(z_t, t, tokens, w)
    torch.testing.assert_close(lesson_11.guided(listening.velocity, z_t, t, tokens, w), theirs)
    if w != 1:
        assert not torch.allclose(theirs, listening.velocity(z_t, t, tokens), atol=1e-3)  # the sentence is heard


def test_codes_drawn_with_guidance(listening):
    """The learner's step and the learner's guidance, and the package's sampler."""
    eps, tokens = torch.randn(8, 4, generator=torch.Generator().manual_seed(2)), torch.arange(1, 9).view(8, 1)

    def velocity(z, t, tokens):
        return listening.velocity(z, torch.full((len(z),), t), tokens)

    z = eps
    with torch.no_grad():
        for step in range(4):
            z = lesson_11.heun_step(lambda z, t: lesson_11.guided(velocity, z, t, tokens, 2.0), z, step / 4, 1 / 4)
    drawn = listening.sample(tokens=tokens, steps=4, guidance=2.0, eps=eps)
    torch.testing.assert_close(listening.mean + listening.std * z, drawn, rtol=1e-4, atol=1e-4)


def test_the_error_of_a_velocity_on_straight_paths(listening, codes):
    torch.manual_seed(3)
    loss = flow_matching_error(listening, codes)["loss"]
    torch.manual_seed(3)
    z = listening.standardised(codes)
    eps, t = torch.randn_like(z), torch.rand(len(z), 1)[:, 0]  # as it draws them
    z_t, velocity = lesson_11.path(z, eps, t)
    torch.testing.assert_close((listening.velocity(z_t, t) - velocity).square().sum(1), loss)


def test_a_code_scaled_by_one_number(codes):
    """Of one dimension, a flow standardises as the scale does, but for the mean."""
    one = codes[:, :1]
    torch.testing.assert_close(flow.Flow(one).standardised(one), (one - one.mean()) * lesson_11.latent_scale(one))


def test_the_mean_velocity_of_a_mixture():
    """Against a million paths that are sorted by where they are at t; and its flow has the mixture's moments."""
    generator, means, sigma, t = torch.Generator().manual_seed(1), torch.tensor([-1.5, 0.2, 2.0]), 0.4, 0.55
    n = 10**6
    z = means[torch.randint(3, (n,), generator=generator)] + sigma * torch.randn(n, generator=generator)
    z_t, velocity = lesson_11.path(z[:, None], torch.randn(n, generator=generator)[:, None], torch.tensor(t).expand(n))
    where = ((z_t[:, 0] + 1.5) / 0.05).floor().long()
    for i in range(0, 80, 8):
        u = lesson_11.mean_velocity(z_t[where == i, 0], t, means, sigma)
        error = velocity[where == i, 0].std() / (where == i).sum().sqrt()
        assert abs((u.mean() - velocity[where == i].mean()) / error) < 4.5

    def u(z, t):
        return lesson_11.mean_velocity(z[:, 0], t, means.double(), sigma)[:, None]

    z = torch.special.ndtri((torch.arange(2000).double() + 0.5) / 2000)[:, None]
    for step in range(100):
        z = lesson_11.heun_step(u, z, step / 100, 1 / 100)
    assert z.mean().item() == pytest.approx(means.mean().item(), abs=2e-3)
    assert z.var().item() == pytest.approx(means.var(correction=0).item() + sigma**2, rel=5e-3)


def test_ends_that_are_expected_are_the_ends_of_a_known_path(codes):
    """One path alone leads to its own ends; of many, the code is the posterior mean of notebook 05."""
    generator = torch.Generator().manual_seed(1)
    eps, t = torch.randn(64, 4, generator=generator), torch.rand(64, generator=generator)
    z_t, velocity = lesson_11.path(codes, eps, t)
    torch.testing.assert_close(lesson_11.expected_ends(z_t, t, velocity), (codes, eps), rtol=1e-4, atol=1e-5)

    means, z_t, time = torch.tensor([-1.5, 0.2, 2.0]).double(), torch.linspace(-3, 3, 9).double(), 0.6
    u = lesson_11.mean_velocity(z_t, time, means, 0.4)
    z_hat, _ = lesson_11.expected_ends(z_t[:, None], torch.full((9,), time).double(), u[:, None])
    noisy, share = z_t / time, torch.ones(3).double() / 3  # the code and noise of standard deviation (1 - t) / t
    theirs = lesson_05.posterior_mean(noisy, (1 - time) / time, share, means, torch.full((3,), 0.4).double())
    torch.testing.assert_close(z_hat[:, 0], theirs)


def test_the_price_of_a_nat():
    """Of an untrained model, with other draws of the noise."""
    torch.manual_seed(1)
    images = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8)
    model = mlp_vae((1, 4, 4), 3, (16,), GaussianLikelihood(0.2)).eval()
    with torch.no_grad():
        x = model.likelihood.prepare(images)
        q = model.encode(x).base_dist
    prices = []
    for eps in torch.randn(300, *q.loc.shape):
        of_pair = [
            lesson_12.price_of_a_nat(lambda z: -model.decode(z).log_prob(x), q.loc, 2 * q.scale.log(), noise)
            for noise in (eps, -eps)
        ]
        prices.append(sum(of_pair) / 2)
    spread = torch.stack(prices).std().item() / 300**0.5
    theirs = kl_price(model, images, samples=100).of_noise
    assert sum(prices).item() / 300 == pytest.approx(theirs.mean, abs=4 * (spread + theirs.standard_error))
    assert spread + theirs.standard_error < 0.2 * abs(theirs.mean)


def test_the_split_of_a_file(tmp_path):
    """A folder of a hundred pictures in two formats."""
    pixels = np.random.default_rng(1).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)
    of_name = {}
    for i, picture in enumerate(pixels):
        path = tmp_path / f"{i}.{('png', 'bmp')[i % 2]}"
        Image.fromarray(picture).save(path)
        of_name[picture.tobytes()] = lesson_13.split_of(path.read_bytes())
    data = load("folder", root=tmp_path, size=8)
    for name in ("train", "validation", "test"):
        images = getattr(data, name).images.permute(0, 2, 3, 1).contiguous().numpy()
        assert len(images) >= 3 and {of_name[picture.tobytes()] for picture in images} == {name}
    assert len(of_name) == 100


def test_bits_with_more_pictures():
    """Noise about one picture, and the mean of N as the model; measured 4000 times, at N and at 4 N."""
    generator = torch.Generator().manual_seed(1)
    n, times, d, scale = 6, 4, 20, 0.3
    mu = torch.rand(d, generator=generator)
    pictures, others = (
        mu + scale * torch.randn(4000, m, d, generator=generator, dtype=torch.float64) for m in (times * n, 60)
    )

    def bits(x, own):
        """(4000,), bits per dimension of pictures x by the mean of their own."""
        model = torch.distributions.Normal(own.mean(1, keepdim=True), scale)
        return -model.log_prob(x).mean((1, 2)) / math.log(2)

    few = pictures[:, :n]
    held_out, own, right = bits(others, few), bits(few, few), bits(others, pictures)
    limit = math.log2(scale * math.sqrt(2 * math.pi * math.e))
    for mine, wanted in zip(lesson_13.more_pictures(held_out, own, times), (right, limit), strict=True):
        off = mine - wanted
        error = off.std().item() / len(off) ** 0.5
        assert abs(off.mean().item()) < 4 * error and error < 0.03 * (held_out - wanted).mean().item()
    assert (held_out - limit).mean().item() == pytest.approx(1 / (2 * n) / math.log(2), rel=0.05)  # D / 2N nats


def test_held_out_pictures_that_are_near_copies():
    """Half of them are copies with a little noise; of stored pictures, of which some are brighter than others."""
    generator = torch.Generator().manual_seed(1)
    bright = torch.rand(360, 1, 1, 1, generator=generator) ** 3
    images = (256 * bright * torch.rand(360, 3, 4, 4, generator=generator)).to(torch.uint8)
    train, held_out = images[:300], images[300:]
    held_out[::2] = train[:30] // 16 * 16  # the darkest become copies of each other
    mine = lesson_13.near_copies(train.float().flatten(1), held_out.float().flatten(1)).item()
    assert mine == pytest.approx(near_copies(train, held_out)) and 0.2 < mine < 0.9
    mean = torch.pdist(train.float().flatten(1)).mean() / torch.pdist(train.float().flatten(1)).median()
    assert mean > 1.1


def test_the_gradient_of_several_processes():
    """That of all pictures in one; of shares that are not equal."""
    generator = torch.Generator().manual_seed(1)
    x, weights = torch.randn(11, 3, generator=generator), torch.randn(3, 2, generator=generator, requires_grad=True)

    def gradient(x):
        (g,) = torch.autograd.grad((x @ weights).tanh().square().sum(1).mean(), weights)
        return g

    parts = x.split(4)  # 4, 4 and 3
    whole = lesson_13.whole_gradient([gradient(part) for part in parts], [len(part) for part in parts])
    torch.testing.assert_close(whole, gradient(x))
    assert not torch.allclose(sum(map(gradient, parts)) / 3, gradient(x), rtol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_seconds_of_a_ring(n):
    """Pieces sent round one after the other: sums until each process has one whole piece, then copies of it."""
    pieces = torch.randn(n, n, 3, generator=torch.Generator().manual_seed(n)).double()  # of each process, by place
    right, sent = pieces.sum(0), 0
    for step in range(2 * (n - 1)):
        before = pieces.clone()
        for k in range(n):
            place = (k - step) % n if step < n - 1 else (k - (step - n)) % n
            to = (k + 1) % n
            pieces[to, place] = before[k, place] + (before[to, place] if step < n - 1 else 0)
        sent += 1
    torch.testing.assert_close(pieces, right.expand(n, n, 3))
    seconds = lesson_13.step_seconds(8 * n - (n > 1), n, 0.5, 1000, 250)
    assert seconds == pytest.approx(4 + sent * (1000 / n) / 250)
