"""Flow matching: velocities with known answers, the order of the integrators, densities, guidance, words in context."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import MultivariateNormal

from tests.training.small import interrupt_at, quiet, weights
from vae_helpers import Flow, WordsInContext, checkpoints, flow_matching_error
from vae_helpers.models import flow as module
from vae_helpers.models.flow import VelocityNetwork, euler, followed_back, heun, velocity_and_divergence
from vae_helpers.rendering import captions

MEAN = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
ROOT = torch.tensor([[0.9, 0.2, 0.0], [0.2, 0.6, -0.1], [0.0, -0.1, 1.3]], dtype=torch.float64)  # symmetric
EYE = torch.eye(3, dtype=torch.float64)
COVARIANCE = ROOT @ ROOT


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class ToGaussian(nn.Module):
    """E[z - eps | z_t] where z ~ N(MEAN, COVARIANCE): by regression of one Gaussian on another."""

    def forward(self, z_t, t, told=None):
        u = []
        for row, time in zip(z_t, t.tolist(), strict=True) if len(set(t.tolist())) > 1 else ((z_t, t[0].item()),):
            spread = (1 - time) ** 2 * EYE + time**2 * COVARIANCE  # of z_t
            gain = torch.linalg.solve(spread, time * COVARIANCE - (1 - time) * EYE)  # all of them commute
            u.append(MEAN + (row - time * MEAN) @ gain)
        return torch.stack(u).view_as(z_t)


def to_gaussian():
    """A flow whose velocity is exact, of codes that are not standardised otherwise: mean 3, deviations 2, 1, 0.5."""
    flow = Flow(normal(9, 3)).double()
    flow.network = ToGaussian()
    flow.mean, flow.std = torch.full((3,), 3.0).double(), torch.tensor([2.0, 1.0, 0.5]).double()
    return flow


def told_flow(seed=0, dim=3, words=9, reach=1):
    """One that listens, with weights at which time, place and sentence all count."""
    torch.manual_seed(seed)
    flow = Flow(torch.randn(50, dim), WordsInContext(words, 8, reach), width=16, blocks=2)
    for parameter in flow.network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return flow.double()


def some_tokens(n, length=5, words=9, seed=0):
    return torch.randint(1, words, (n, length), generator=torch.Generator().manual_seed(seed))


# --- the integrators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "order"), [(euler, 1), (heun, 2)])
def test_noise_is_carried_to_the_gaussian_with_errors_of_the_methods_order(method, order):
    eps, flow = normal(200, 3), to_gaussian()
    exact = MEAN + eps @ ROOT
    errors = [(method(flow.velocity, eps, steps) - exact).abs().mean().item() for steps in (16, 32, 64)]
    for larger, smaller in itertools.pairwise(errors):
        assert math.log2(larger / smaller) == pytest.approx(order, abs=0.15)
    assert errors[-1] < 0.05


def test_one_step_by_hand():
    velocity = lambda z, t: z.square() + t[:, None]  # noqa: E731
    z = torch.tensor([[1.0, 2.0]]).double()
    assert torch.equal(euler(velocity, z, 1), z + z.square())
    first = z + 0.5 * z.square()
    assert torch.equal(euler(velocity, z, 2), first + 0.5 * (first.square() + 0.5))
    ahead = z + z.square()
    torch.testing.assert_close(heun(velocity, z, 1), z + (z.square() + ahead.square() + 1) / 2)
    back, lost = followed_back(velocity, z, 1)
    before = z - (z.square() + 1)
    torch.testing.assert_close(back, z - (z.square() + 1 + before.square()) / 2)
    torch.testing.assert_close(lost, (2 * z + 2 * before).sum(1) / 2)


@pytest.mark.parametrize("steps", [0, -1, 1.5, None, True])
def test_steps_are_counted(steps):
    z = torch.zeros(2, 3)
    for method in (euler, heun, followed_back):
        with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
            method(lambda z, t: z, z, steps)
    flow = to_gaussian()
    for call in (lambda: flow.sample(2, steps=steps), lambda: flow.log_prob(z, steps=steps)):
        with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
            call()


def test_what_is_followed_back_comes_from_where_it_began():
    flow, eps = told_flow(), normal(20, 3)
    velocity = lambda z, t: flow.velocity(z, t, some_tokens(20))  # noqa: E731
    end = heun(velocity, eps, 500)
    apart = [(followed_back(velocity, end, k)[0] - eps).abs().max().item() for k in (64, 128)]
    assert apart[1] < 5e-3 and apart[0] / apart[1] > 3.5


# --- the divergence and the density -----------------------------------------------------------------------------------


def test_the_divergence_of_a_linear_field_is_the_trace():
    A, z = normal(4, 4, seed=1), normal(7, 4)
    u, divergence = velocity_and_divergence(lambda z, t: z @ A.T + t[:, None], z, torch.full((7,), 0.3).double())
    torch.testing.assert_close(u, z @ A.T + 0.3)
    torch.testing.assert_close(divergence, A.trace().expand(7), rtol=1e-13, atol=1e-13)


def test_the_divergence_of_a_curved_field_is_the_trace_of_its_jacobian():
    flow, z, t = told_flow(), normal(6, 3), torch.linspace(0, 1, 6).double()
    tokens = some_tokens(6)
    u, divergence = velocity_and_divergence(lambda z, t: flow.velocity(z, t, tokens), z, t)
    for row in range(6):
        one = slice(row, row + 1)
        jacobian = torch.autograd.functional.jacobian(lambda z, one=one: flow.velocity(z, t[one], tokens[one]), z[one])
        torch.testing.assert_close(divergence[row], jacobian[0, :, 0].trace(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(u, flow.velocity(z, t, tokens))
    assert not u.requires_grad and not divergence.requires_grad and divergence.abs().min() > 1e-4
    _, nothing = velocity_and_divergence(lambda z, t: t[:, None].expand(6, 3), z, t)
    assert torch.equal(nothing, torch.zeros(6).double())
    field = lambda z, t: torch.stack([z[:, 0] ** 3 * z[:, 1], (z[:, 0] * z[:, 1]).sin()], 1)  # noqa: E731
    x, y = normal(5, 2).unbind(1)
    _, divergence = velocity_and_divergence(field, torch.stack([x, y], 1), torch.zeros(5).double())
    torch.testing.assert_close(divergence, 3 * x**2 * y + x * (x * y).cos(), rtol=1e-13, atol=1e-13)


def test_the_density_of_the_exact_flow_is_the_gaussians_with_an_error_of_second_order():
    flow = to_gaussian()
    scale = flow.std.diag()
    target = MultivariateNormal(flow.mean + scale @ MEAN, scale @ COVARIANCE @ scale)
    codes = target.mean + 1.5 * normal(100, 3) @ torch.linalg.cholesky(target.covariance_matrix).T
    exact = target.log_prob(codes)
    errors = [(flow.log_prob(codes, steps=steps) - exact).abs().mean().item() for steps in (16, 32, 64)]
    assert errors[0] < 0.05 and errors[2] < 0.003
    assert all(math.log2(a / b) == pytest.approx(2, abs=0.2) for a, b in itertools.pairwise(errors))


@pytest.mark.parametrize("told", [False, True])
def test_any_flow_is_a_density_also_one_that_is_told_something(told):
    flow = told_flow(dim=1)
    flow.mean, flow.std = torch.tensor([5.0]).double(), torch.tensor([3.0]).double()
    codes = torch.linspace(-40, 50, 501).double()[:, None]
    tokens = some_tokens(1, seed=2).expand(501, -1) if told else None
    density = flow.log_prob(codes, tokens, steps=32).exp()
    assert torch.trapezoid(density, codes[:, 0]).item() == pytest.approx(1, abs=2e-3)
    assert density.max() > 0.05 and (density - flow.log_prob(codes, steps=32).exp()).abs().max() > (
        0.01 if told else -1
    )


def test_the_density_is_that_of_the_samples():
    """By the change of variables: the Jacobian of the whole way from noise to code."""
    flow, eps, tokens = told_flow(), normal(5, 3), some_tokens(5)
    codes = flow.sample(tokens=tokens, eps=eps, steps=100)
    carried = lambda eps: heun(lambda z, t: flow.velocity(z, t, tokens), eps, 100)  # noqa: E731
    jacobian = torch.autograd.functional.jacobian(lambda eps: carried(eps).sum(0), eps).transpose(0, 1)  # (N, D, D)
    expected = -0.5 * (eps.square() + math.log(2 * math.pi)).sum(1) - (flow.std[:, None] * jacobian).logdet()
    torch.testing.assert_close(codes, flow.mean + flow.std * carried(eps))
    torch.testing.assert_close(flow.log_prob(codes, tokens, steps=200), expected, atol=2e-3, rtol=0)


def test_a_density_is_a_number_without_a_gradient_whatever_the_type_of_the_codes():
    flow = told_flow().float()
    codes = normal(4, 3).requires_grad_()
    found = flow.log_prob(codes)
    assert found.dtype == torch.float32 and not found.requires_grad
    torch.testing.assert_close(found, flow.log_prob(codes.detach().float()))


# --- what is learned --------------------------------------------------------------------------------------------------


def test_the_exact_velocity_leaves_the_conditional_variance_and_nothing_is_better():
    """E |z - eps - u|^2 = tr Var[z - eps | z_t], averaged over t."""
    torch.manual_seed(0)
    flow, n = to_gaussian(), 20_000
    flow.network.forward = vectorised(flow.network)
    codes = flow.mean + flow.std * (MEAN + normal(n, 3, seed=5) @ ROOT)
    expected = 0.0
    for k in range(1000):
        t = (k + 0.5) / 1000
        cross = t * COVARIANCE - (1 - t) * EYE
        spread = (1 - t) ** 2 * EYE + t**2 * COVARIANCE
        expected += (EYE + COVARIANCE - cross @ torch.linalg.solve(spread, cross)).trace().item() / 1000
    losses = {}
    for name, change in {"exact": 0.0, "shifted": 0.2}.items():
        torch.manual_seed(1)
        exact = vectorised(ToGaussian())
        flow.network.forward = lambda z, t, told=None, exact=exact, change=change: exact(z, t) + change
        losses[name] = flow_matching_error(flow, codes)["loss"]
        assert losses[name].shape == (n,)
    error = losses["exact"].std() / math.sqrt(n)
    assert losses["exact"].mean().item() == pytest.approx(expected, abs=4 * error.item())
    more = losses["shifted"] - losses["exact"] - 3 * 0.2**2  # what is left does not know the velocity
    assert abs(more.mean()) < 4 * more.std() / math.sqrt(n)


def vectorised(exact):
    """The same velocity for rows of different times, by the eigenvectors of the covariance."""
    values, axes = torch.linalg.eigh(COVARIANCE)

    def forward(z_t, t, told=None):
        t = t[:, None]
        gain = (t * values - (1 - t)) / ((1 - t) ** 2 + t**2 * values)
        return MEAN + (((z_t - t * MEAN) @ axes) * gain) @ axes.T

    z, t = normal(5, 3), torch.linspace(0.1, 0.9, 5).double()
    torch.testing.assert_close(forward(z, t), ToGaussian.forward(exact, z, t))
    return forward


def test_two_points_are_learned_with_the_velocity_that_bayes_gives():
    """z = -1 or 1: E[z | z_t] = tanh(t z_t / (1 - t)^2), and u = (E[z | z_t] - z_t) / (1 - t)."""
    torch.manual_seed(0)
    codes = torch.tensor([[-1.0], [1.0]]).repeat(256, 1) * 5 + 2
    flow = Flow(codes, width=32, blocks=2)
    settings = {"learning_rate": 1e-2, "batch_size": 512, "objective": flow_matching_error}
    quiet(flow, codes, steps=500, **settings)
    x = torch.linspace(-1.2, 1.2, 25)[:, None]
    for t in (0.1, 0.3, 0.5, 0.7):
        exact = ((t * x / (1 - t) ** 2).tanh() - x) / (1 - t)
        with torch.no_grad():
            learned = flow.velocity(x, torch.full((25,), t))
        assert (learned - exact).abs().mean() < 0.12, t
    made = flow.sample(1000, steps=32)
    assert ((made - 7).abs().minimum((made + 3).abs()) < 1).float().mean() > 0.9
    assert made.gt(2).float().mean() == pytest.approx(0.5, abs=0.07)


class Heard(nn.Module):
    """A stand-in for a flow that keeps what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def standardised(self, codes):
        return codes - 3

    def velocity(self, z_t, t, tokens=None):
        self.asked.append((z_t, t, tokens))
        return torch.zeros_like(z_t)


def test_paths_lead_straight_from_noise_to_codes_at_uniform_times():
    torch.manual_seed(0)
    flow, codes = Heard(), 3 + normal(20_000, 2, seed=1)
    loss = flow_matching_error(flow, codes)["loss"]
    ((z_t, t, tokens),) = flow.asked
    assert t.shape == (20_000,) and tokens is None
    assert t.min() >= 0 and t.mean() == pytest.approx(0.5, abs=0.01) and t.var() == pytest.approx(1 / 12, abs=0.003)
    z, some = codes - 3, t < 0.9
    eps = (z_t - t[:, None] * z) / (1 - t[:, None])
    torch.testing.assert_close(loss[some], (z - eps).square().sum(1)[some])
    assert eps[some].mean(0).abs().max() < 0.03 and eps[some].var(0).sub(1).abs().max() < 0.05
    assert torch.corrcoef(torch.cat([eps, z, t[:, None]], 1)[some].T).sub(torch.eye(5)).abs().max() < 0.03


def test_some_sentences_are_withheld_whole_and_the_others_left_alone():
    torch.manual_seed(0)
    flow, tokens = Heard(), some_tokens(5000)
    before = tokens.clone()
    for untold in (0.1, 0.0, 1.0):
        flow_matching_error(flow, torch.zeros(5000, 2), tokens, untold)
        told = flow.asked[-1][2]
        silent = (told == 0).all(1)
        assert torch.equal(told[~silent], tokens[~silent])
        assert silent.float().mean() == pytest.approx(untold, abs=4 * math.sqrt(untold * (1 - untold) / 5000))
    flow_matching_error(flow, torch.zeros(5000, 2), tokens)
    assert (flow.asked[-1][2] == 0).all(1).float().mean() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(tokens, before)
    for wrong in (-0.1, 1.1, math.nan, "all"):
        with pytest.raises(ValueError, match="untold must be a number from 0 to 1"):
            flow_matching_error(flow, torch.zeros(5000, 2), tokens, wrong)


def test_a_sentence_that_is_withheld_is_no_sentence():
    flow, codes = told_flow(), normal(40, 3)
    losses = []
    for tokens, untold in ((some_tokens(40), 1.0), (None, 0.1), (some_tokens(40), 0.0)):
        torch.manual_seed(3)
        losses.append(flow_matching_error(flow, codes, tokens, untold)["loss"])
    torch.testing.assert_close(losses[0], losses[1])
    assert (losses[0] - losses[2]).abs().min() > 1e-6


def test_half_precision_inside_comes_out_as_float32():
    flow, codes, tokens = told_flow().float(), torch.randn(30, 3), some_tokens(30)
    torch.manual_seed(0)
    expected = flow_matching_error(flow, codes, tokens)["loss"]
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert flow.velocity(codes, torch.rand(30), tokens).dtype == torch.float32
        assert flow.sample(4).dtype == torch.float32
        torch.manual_seed(0)
        loss = flow_matching_error(flow, codes, tokens)["loss"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.1)


def test_training_goes_on_to_the_same_bits(tmp_path):
    path, data = tmp_path / "run.safetensors", (torch.randn(60, 3), some_tokens(60))
    settings = {"objective": flow_matching_error, "learning_rate": 2e-3}

    def new(seed=0):
        return told_flow(seed).float()

    whole = new()
    quiet(whole, data, **settings)
    quiet(new(), data, checkpoint=path, callback=interrupt_at(11), callback_every=11, **settings)
    resumed = new(1)
    quiet(resumed, data, checkpoint=path, resume=True, **settings)
    assert torch.equal(weights(resumed), weights(whole))
    assert torch.equal(resumed.mean, whole.mean) and torch.equal(resumed.std, whole.std)


def test_a_flow_is_kept_in_a_file_with_its_units(tmp_path):
    one, other = told_flow().float(), told_flow(1).float()
    eps, tokens = torch.randn(5, 3), some_tokens(5)
    checkpoints.save(tmp_path / "flow.safetensors", one)
    assert not torch.allclose(other.sample(eps=eps, tokens=tokens), one.sample(eps=eps, tokens=tokens))
    checkpoints.load(tmp_path / "flow.safetensors", other)
    assert torch.equal(other.sample(eps=eps, tokens=tokens), one.sample(eps=eps, tokens=tokens))
    with pytest.raises(checkpoints.CheckpointError, match="lacks text_encoder"):
        checkpoints.save(tmp_path / "untold.safetensors", Flow(torch.randn(50, 3), width=16, blocks=2))
        checkpoints.load(tmp_path / "untold.safetensors", other)


# --- codes in their own units -----------------------------------------------------------------------------------------


def test_codes_are_centred_and_scaled_by_their_own_numbers():
    codes = normal(500, 4) * torch.tensor([0.1, 1.0, 10.0, 100.0]) + 7
    flow = Flow(codes).double()
    z = flow.standardised(codes)
    assert z.mean(0).abs().max() < 1e-5 and (z.std(0) - 1).abs().max() < 1e-5
    torch.testing.assert_close(flow.mean + flow.std * z, codes)
    assert {"mean", "std"} <= set(flow.state_dict()) and not {"mean", "std"} & dict(flow.named_parameters()).keys()
    same = Flow(torch.full((5, 2), 3.0))  # a dimension that says nothing
    assert same.standardised(torch.full((5, 2), 3.0)).eq(0).all() and (same.sample(4) - 3).abs().max() < 1e-5


def test_samples_and_densities_move_with_the_units():
    one = told_flow()
    other = copy.deepcopy(one)
    other.mean, other.std = 10 * one.mean + 1, 10 * one.std
    eps = normal(6, 3)
    codes = one.sample(eps=eps)
    torch.testing.assert_close(other.sample(eps=eps), 10 * codes + 1)
    torch.testing.assert_close(other.log_prob(10 * codes + 1), one.log_prob(codes) - 3 * math.log(10))


def test_samples_of_the_exact_flow_have_its_mean_and_covariance():
    torch.manual_seed(0)
    flow = to_gaussian()
    made = flow.sample(20_000, steps=20)
    assert made.shape == (20_000, 3)
    torch.testing.assert_close(made.mean(0), flow.mean + flow.std * MEAN, atol=0.06, rtol=0)
    torch.testing.assert_close(made.T.cov(), flow.std[:, None] * COVARIANCE * flow.std, atol=0.1, rtol=0.03)
    assert torch.equal(flow.sample(eps=normal(4, 3)), flow.sample(4, eps=normal(4, 3), steps=8))


# --- sentences --------------------------------------------------------------------------------------------------------


def test_guidance_goes_beyond_what_is_told():
    flow, z, t, tokens = told_flow(), normal(6, 3), torch.linspace(0, 1, 6).double(), some_tokens(6)
    told, untold = flow.velocity(z, t, tokens), flow.velocity(z, t)
    assert (told - untold).abs().min() > 1e-6
    for w, expected in ((0.0, untold), (1.0, told), (2.0, 2 * told - untold), (0.5, (told + untold) / 2)):
        torch.testing.assert_close(flow.guided(z, t, tokens, w), expected)
    torch.testing.assert_close(flow.guided(z, t, None, 3.0), untold)
    eps = normal(6, 3, seed=1)
    torch.testing.assert_close(flow.sample(tokens=tokens, eps=eps, guidance=0.0), flow.sample(eps=eps))
    by_hand = heun(lambda z, t: 3 * flow.velocity(z, t, tokens) - 2 * flow.velocity(z, t), eps, 5)
    guided = flow.sample(tokens=tokens, eps=eps, guidance=3.0, steps=5)
    torch.testing.assert_close(guided, flow.mean + flow.std * by_hand)
    asked = []
    flow.velocity = lambda z, t, tokens=None: asked.append(tokens is None) or torch.zeros_like(z)
    flow.sample(tokens=tokens, steps=2), flow.sample(tokens=tokens, steps=2, guidance=2.0)
    assert asked == [False] * 4 + [False, True] * 4


def test_rows_do_not_know_each_other_and_silence_is_the_empty_sentence():
    flow, z, t, tokens = told_flow(), normal(6, 3), torch.linspace(0, 1, 6).double(), some_tokens(6)
    u = flow.velocity(z, t, tokens)
    torch.testing.assert_close(torch.cat([flow.velocity(z[k:][:1], t[k:][:1], tokens[k:][:1]) for k in range(6)]), u)
    for length in (1, 5, 48):
        torch.testing.assert_close(flow.velocity(z, t, torch.zeros(6, length).long()), flow.velocity(z, t))


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_words_in_context_are_a_convolution_over_one_hot_words(reach):
    torch.manual_seed(0)
    encoder, tokens = WordsInContext(9, 6, reach).double(), some_tokens(4)
    tokens[1, 3:] = 0
    one_hot = F.one_hot(F.pad(tokens, (reach, reach)), 9).double().transpose(1, 2)  # (N, words, L + 2 reach)
    kernel = torch.stack([table.weight.T for table in encoder.tables], 2)  # (dim, words, 2 reach + 1)
    heard = F.silu(F.conv1d(one_hot, kernel)) * (tokens > 0)[:, None]
    torch.testing.assert_close(encoder(tokens), heard.sum(2) / math.sqrt(10))
    assert len(encoder.tables) == 2 * reach + 1 and encoder.dim == 6


def test_the_empty_sentence_says_nothing_and_what_is_filled_up_counts_for_nothing():
    encoder, tokens = WordsInContext(9, 6), some_tokens(4)
    assert torch.equal(encoder(torch.zeros(2, 7).long()), torch.zeros(2, 6))
    torch.testing.assert_close(encoder(F.pad(tokens, (0, 9))), encoder(tokens))


def test_a_bag_of_words_knows_no_order_and_words_in_context_do():
    bag, context = (WordsInContext(len(captions.vocabulary()), 32, reach) for reach in (0, 1))
    pairs = [
        ("a portrait with no smile, glasses", "a portrait with no glasses, smile"),
        ("eyes looking left and a head leaning right", "eyes looking right and a head leaning left"),
    ]
    for pair in pairs:
        one, other = captions.tokens(pair)[:, None]
        torch.testing.assert_close(bag(one), bag(other))
        assert (context(one) - context(other)).norm() > 0.1 * context(one).norm()


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (torch.full((5, 3), math.nan), ValueError, "codes holds 15 values that are NaN"),
        (torch.zeros(1, 3), ValueError, "N of at least 2, not"),
        (torch.zeros(5), ValueError, r"codes must have shape \(N, D\)"),
        (torch.zeros(5, 3).long(), TypeError, "codes must be a floating-point tensor"),
        ([[1.0]], TypeError, "codes must be a floating-point tensor"),
    ],
)
def test_codes_that_have_no_spread_or_are_none_are_refused(codes, error, message):
    with pytest.raises(error, match=message):
        Flow(codes)


def test_settings_of_the_networks_are_checked():
    for reach in (-1, 11, 0.5):
        with pytest.raises(ValueError, match="reach must be a whole number from 0 to 10"):
            WordsInContext(9, 6, reach)
    with pytest.raises(ValueError, match="words must be a whole number"):
        WordsInContext(0)
    with pytest.raises(ValueError, match="dim must be a whole number"):
        WordsInContext(9, 0)
    for wrong in (True, 9, nn.Linear(3, 3)):
        with pytest.raises(TypeError, match=r"text_encoder must be a network such as WordsInContext\(words\), not"):
            Flow(torch.randn(5, 3), wrong)
    for name, wrong in (("width", 1), ("blocks", 0), ("width", 8.0)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least"):
            Flow(torch.randn(5, 3), **{name: wrong})


def test_numbers_of_rows_must_match():
    flow, tokens = told_flow(), some_tokens(4)
    for call in (
        lambda: flow.sample(3, tokens),
        lambda: flow.sample(tokens=tokens, eps=normal(3, 3)),
        lambda: flow.log_prob(normal(3, 3), tokens),
        lambda: flow.velocity(normal(3, 3), torch.zeros(3).double(), tokens),
    ):
        with pytest.raises(ValueError, match=r"tokens must have a row for each of the 3 codes, not 4"):
            call()
    with pytest.raises(ValueError, match=r"tokens must have a row for each of the 3 codes, not 1"):
        flow_matching_error(flow, normal(3, 3), tokens[:1])
    for eps in (normal(4, 2), normal(5, 3), normal(3)):
        with pytest.raises(ValueError, match=r"eps must have shape \(4, 3\)"):
            flow.sample(4, eps=eps)
    with pytest.raises(ValueError, match=r"n must be a whole number of at least 1, not None\. Or give tokens or eps"):
        flow.sample()
    for n in (0, -2, 2.0, "two"):
        with pytest.raises(ValueError, match="n must be a whole number"):
            flow.sample(n)
    for wrong in (normal(4), normal(4, 1), normal(4, 4)):
        with pytest.raises(ValueError, match=r"codes must have shape"):
            flow.log_prob(wrong)
        with pytest.raises(ValueError, match=r"codes must have shape \(N, 3\)"):
            flow_matching_error(flow, wrong)


@pytest.mark.parametrize("tokens", [torch.ones(4, 5), torch.ones(4, 5).bool(), [[1, 2]] * 4])
def test_tokens_are_whole_numbers(tokens):
    flow = told_flow()
    with pytest.raises(TypeError, match=r"tokens must be .*captions\.tokens makes them of sentences"):
        flow.sample(tokens=tokens)
    with pytest.raises(TypeError, match=r"tokens must be .*captions\.tokens makes them of sentences"):
        flow_matching_error(flow, normal(4, 3), tokens)


def test_labels_are_given_as_sentences_of_one_word():
    """Of shape (N,) they would be spread over (N, N), and a flow would learn nonsense without a word."""
    flow, labels, z = told_flow(), torch.arange(1, 5), normal(4, 3)
    for call in (
        lambda tokens: flow.sample(tokens=tokens),
        lambda tokens: flow.velocity(z, 0.5, tokens),
        lambda tokens: flow_matching_error(flow, z, tokens),
    ):
        with pytest.raises(ValueError, match=r"tokens must have shape \(N, L\).*counted from 1.*: labels\[:, None\]\."):
            call(labels)
        call(labels[:, None]), call(labels[:, None].int())
    assert (flow.velocity(z, 0.5, labels[:, None]) - flow.velocity(z, 0.5)).abs().min() > 1e-6


@pytest.mark.parametrize(("token", "said"), [(41, "from 1 to 41"), (9, "from 1 to 9"), (-1, "from -1 to 8")])
def test_words_that_are_not_known_are_refused(token, said):
    flow, tokens = told_flow(), torch.arange(1, 9).view(4, 2)
    tokens[-1 if token > 0 else 0, -1] = token
    with pytest.raises(ValueError, match=rf"tokens run {said}, the text encoder knows 9 words, 0 to 8: WordsInContext"):
        flow.sample(tokens=tokens)


def test_in_training_an_accelerator_does_not_wait_for_a_look_at_the_words():
    encoder, tokens = WordsInContext(9, 6).to("meta"), some_tokens(4).to("meta")  # which has no values to look at
    assert encoder(tokens).shape == (4, 6)


# --- the velocity's door ----------------------------------------------------------------------------------------------


def test_a_number_stands_for_the_times_of_all_rows():
    flow, z, tokens = told_flow(), normal(4, 3), some_tokens(4)
    expected = flow.velocity(z, torch.full((4,), 1.0).double(), tokens)
    for t in (1, 1.0, 1 + 1e-9, np.float32(1), torch.tensor(1.0), torch.tensor(1), torch.ones(4).long()):
        torch.testing.assert_close(flow.velocity(z, t, tokens), expected)


def test_the_velocity_has_the_precision_of_the_flow():
    flow, z = told_flow().float(), normal(4, 3)
    for t in (0.5, torch.full((4,), 0.5), torch.full((4,), 0.5).double()):
        assert flow.velocity(z, t).dtype == torch.float32
        torch.testing.assert_close(flow.velocity(z, t), flow.velocity(z.float(), 0.5))
    assert flow.double().velocity(z.float(), 0.5).dtype == torch.float64


@pytest.mark.parametrize(
    ("z", "t", "error", "message"),
    [
        (normal(3), 0.5, ValueError, r"z_t must have shape \(N, 3\).* not \(3,\)"),
        (normal(4, 2), 0.5, ValueError, r"z_t must have shape \(N, 3\).* not \(4, 2\)"),
        (torch.ones(4, 3).long(), 0.5, TypeError, "z_t must be a floating-point tensor, not int64"),
        ([[1.0] * 3], 0.5, TypeError, "z_t must be a floating-point tensor, not list"),
        (normal(4, 3), normal(4, 1), ValueError, r"t must have shape \(4,\).* not \(4, 1\)\. t\[:, 0\] has one axis"),
        (normal(4, 3), normal(1), ValueError, r"t must have shape \(4,\), .*, or be a number, not \(1,\)"),
        (normal(4, 3), normal(3), ValueError, r"t must have shape \(4,\)"),
        (normal(4, 3), torch.ones(4).bool(), TypeError, "t must hold times from 0 to 1, not bool"),
        (normal(4, 3), 1.5, ValueError, "t must be a time from 0 to 1, .* not 1.5"),
        (normal(4, 3), math.nan, ValueError, "t must be a time from 0 to 1, .* not nan"),
        (normal(4, 3), True, ValueError, "t must be a time from 0 to 1, .* not True"),
        (normal(4, 3), [0.5] * 4, ValueError, r"t must be a time from 0 to 1, or a tensor \(4,\) of them"),
    ],
)  # fmt: skip
def test_places_and_times_are_checked(z, t, error, message):
    for flow in (told_flow(), Flow(normal(9, 3))):
        with pytest.raises(error, match=message):
            flow.velocity(z, t)


def test_the_velocity_can_be_differentiated_row_by_row():
    """By torch.func: times and sentences are then wrapped, too."""
    flow, z, t, tokens = told_flow(), normal(4, 3), torch.linspace(0, 1, 4).double(), some_tokens(4)
    one = lambda z, t, tokens: flow.velocity(z[None], t, tokens[None])[0]  # noqa: E731
    torch.testing.assert_close(torch.func.vmap(one)(z, t, tokens), flow.velocity(z, t, tokens))
    jacobians = torch.func.vmap(torch.func.jacrev(one))(z, t, tokens)
    _, divergence = velocity_and_divergence(lambda z, t: flow.velocity(z, t, tokens), z, t)
    torch.testing.assert_close(jacobians.diagonal(dim1=1, dim2=2).sum(1), divergence)


def test_guidance_without_a_sentence_is_refused():
    for flow in (told_flow(), Flow(normal(9, 3))):
        for guidance in (3.0, 0):
            with pytest.raises(ValueError, match=rf"guidance = {guidance:g} says how much .*: give tokens"):
                flow.sample(4, guidance=guidance)
        assert flow.sample(4, guidance=1).shape == (4, 3)


def test_noise_is_checked_before_it_is_counted():
    for wrong in ([[0.0] * 3] * 4, 3.0, torch.ones(4, 3).long()):
        with pytest.raises(TypeError, match="eps must be a floating-point tensor"):
            told_flow().sample(eps=wrong)
    for wrong in (torch.tensor(0.0), torch.zeros(0, 3), torch.zeros(3)):
        with pytest.raises(ValueError, match=r"eps must have shape \(N, 3\)"):
            told_flow().sample(eps=wrong)


def test_a_flow_without_a_text_encoder_says_so():
    flow = Flow(torch.randn(5, 3))
    for call in (
        lambda: flow.sample(tokens=some_tokens(4)),
        lambda: flow.log_prob(torch.zeros(4, 3), some_tokens(4)),
        lambda: flow_matching_error(flow, torch.zeros(4, 3), some_tokens(4)),
    ):
        with pytest.raises(ValueError, match=r"reads no sentences: give it a text encoder, Flow\(codes, Words"):
            call()


@pytest.mark.parametrize("guidance", [-1, math.inf, math.nan, 101, "much", None])
def test_guidance_is_a_number(guidance):
    with pytest.raises(ValueError, match="guidance must be a number from 0 to 100"):
        told_flow().sample(tokens=some_tokens(4), guidance=guidance)


def test_a_model_in_training_mode_is_sampled_and_judged_in_eval_mode_and_left_in_its_mode():
    class Listening(WordsInContext):
        def forward(self, tokens):
            modes.append(self.training)
            return super().forward(tokens)

    modes, flow = [], Flow(torch.randn(5, 3), Listening(9, 6), width=8, blocks=1).train()
    flow.sample(4), flow.log_prob(torch.zeros(2, 3), steps=1)
    assert not any(modes) and flow.training and flow.text_encoder.training


def test_to_begin_with_neither_time_nor_place_count():
    torch.manual_seed(0)
    network = VelocityNetwork(3, 16, 2)
    u = network(torch.randn(5, 3), torch.rand(5))
    assert torch.equal(u, u[:1].expand(5, 3)) and u.abs().max() < 1
    assert module.FREQUENCIES.min() == 1 and module.FREQUENCIES.max().item() == pytest.approx(100)
