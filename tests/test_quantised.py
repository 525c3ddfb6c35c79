"""Vector quantisation, the autoencoders around it, and the prior over tokens."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from vae_helpers import CausalPrior, VectorQuantiser, fit, weight_average
from vae_helpers.models.quantised import VQVAE, Quantised, picture_vqvae, vector_vqvae
from vae_helpers.objectives import negative_log_likelihood_of_tokens, quantised_error


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def quantiser(codes=5, dim=3, **settings):
    torch.manual_seed(0)
    return VectorQuantiser(codes, dim, **settings)


def small_picture_vqvae(size=16, **settings):
    torch.manual_seed(0)
    return picture_vqvae((3, size, size), **({"codes": 6, "dim": 3, "places": 4, "width": 4} | settings))


def small_prior(codes=3, places=(2, 2), **settings):
    """With weights large enough that tokens matter to one another."""
    torch.manual_seed(0)
    prior = CausalPrior(codes, places, **({"width": 6, "dim": 4} | settings))
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(2)
    return prior.double()


# --- the nearest code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 3), (4, 6, 3), (4, 2, 5, 3)])
def test_each_vector_is_replaced_by_the_nearest_code(shape):
    q, z = quantiser().eval(), noise(*shape)
    found = q(z)
    distance = (z[..., None, :] - q.codebook[0]).square().sum(-1)  # (N, ..., K), from the definition
    assert isinstance(found, Quantised) and found.tokens.dtype == torch.int64
    assert torch.equal(found.tokens, distance.argmin(-1)) and torch.equal(found.tokens, q.nearest(z))
    assert torch.equal(found.vectors, q.codebook[0][found.tokens]) and torch.equal(
        found.vectors, q.lookup(found.tokens)
    )
    assert found.commitment.shape == (4,)
    assert torch.allclose(found.commitment, distance.amin(-1).flatten(1).sum(1) if z.dim() > 2 else distance.amin(-1))


def test_with_several_codebooks_each_vector_asks_its_own():
    q, z = quantiser(books=2).eval(), noise(7, 4, 2, 3)
    for k in range(2):
        one = quantiser().eval()
        one.codebook.copy_(q.codebook[k : k + 1])
        assert torch.equal(q.nearest(z)[..., k], one.nearest(z[:, :, k]))
        assert torch.equal(q(z).vectors[:, :, k], one(z[:, :, k]).vectors)
    assert not torch.equal(q.codebook[0], q.codebook[1])


def test_the_gradient_goes_straight_through():
    q, z, weight = quantiser().eval(), noise(4, 6, 3).requires_grad_(), noise(4, 6, 3, seed=1)
    (q(z).vectors * weight).sum().backward()
    assert torch.equal(z.grad, weight)


def test_commitment_draws_vectors_to_their_codes_and_no_code_learns_by_gradient():
    q, z = quantiser().train(), noise(4, 6, 3).requires_grad_()
    before = q.codebook[0].clone()
    found = q(z)
    found.commitment.sum().backward()
    assert torch.allclose(z.grad, 2 * (z.detach() - before[found.tokens]))
    assert list(q.parameters()) == [] and set(q.state_dict()) == {"codebook", "counts", "unused"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_precision_is_the_codebooks_whatever_comes_in(dtype):
    q = quantiser().eval()
    assert q(noise(4, 3, dtype=dtype)).vectors.dtype == torch.float32
    q.double()
    found = q(noise(4, 3, dtype=dtype))
    assert found.vectors.dtype == found.commitment.dtype == found.perplexity.dtype == torch.float64


def test_distances_are_exact_under_autocast():
    """Two codes so near to each other that eight bits cannot tell them apart."""
    q = quantiser(codes=2, dim=2).eval()
    q.codebook.copy_(torch.tensor([[[10.0, 1.000], [10.0, 1.002]]]))
    z = torch.tensor([[10.0, 0.999], [10.0, 1.003]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert q(z).tokens.tolist() == [0, 1]
        q.train()(z)
    assert torch.allclose(q.codebook[0, 1, 1], torch.tensor(1.002 + 0.01 * 0.001), atol=2e-6)


def test_perplexity_and_the_share_of_codes_in_use():
    q = quantiser(codes=4)
    for tokens, expected in (([2, 2, 2, 2], 1), ([0, 1, 2, 3], 4), ([0, 0, 1, 1], 2), ([0, 0, 0, 1], 1.7548)):
        tokens = torch.tensor(tokens)
        assert math.isclose(q.perplexity(tokens).item(), expected, rel_tol=1e-4)
        found = q.eval()(q.codebook[0][tokens])
        assert torch.allclose(found.perplexity, q.perplexity(tokens))
        assert math.isclose(found.in_use.item(), len(tokens.unique()) / 4)
    pair = quantiser(codes=4, books=2)  # a mean over codebooks, not the perplexity of all of them together
    assert math.isclose(
        pair.perplexity(torch.tensor([[0, 0], [0, 1], [0, 2], [0, 3]])).item(), (1 + 4) / 2, rel_tol=1e-5
    )


# --- how the codebook learns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.99])
def test_codes_follow_running_means_as_the_article_has_them(decay):
    """Appendix A.1, equations 6 to 8, with N and m kept apart as there."""
    q = quantiser(decay=decay, patience=None).double().train()
    q.codebook.mul_(0.3)
    count, total = torch.ones(5, dtype=torch.float64), q.codebook[0].clone()
    for seed in range(6):
        z = noise(30, 2, 3, seed=seed, dtype=torch.float64)
        one_hot = nn.functional.one_hot(q(z).tokens.flatten(), 5).double()
        count = decay * count + (1 - decay) * one_hot.sum(0)
        total = decay * total + (1 - decay) * one_hot.T @ z.reshape(-1, 3)
        assert (one_hot.sum(0) > 0).all()
        assert torch.allclose(q.counts[0], count) and torch.allclose(q.codebook[0], total / count[:, None])


def test_the_codebook_learns_in_training_mode_only():
    q, z = quantiser(patience=1), noise(8, 3)
    before = copy.deepcopy(q.state_dict())
    q.eval()(z), q.train().nearest(z)
    assert all(torch.equal(q.state_dict()[name], before[name]) for name in before)
    q.train()(z)
    assert not any(torch.equal(q.state_dict()[name], before[name]) for name in before)


def test_the_first_batch_places_all_codes_that_it_does_not_use():
    q, z = quantiser(codes=20), 5 + noise(100, 3)
    used = q.train()(z).tokens.unique()
    others = [k for k in range(20) if k not in used]
    assert len(others) > 10
    hits = (q.codebook[0][others][:, None] == z).all(-1)  # (codes, n)
    assert hits.any(1).all() and hits.any(0).sum() == len(others)  # at vectors of the batch, no two at the same


def test_a_code_is_put_at_a_vector_when_it_was_unused_for_a_while_and_not_before():
    q = quantiser(codes=3, dim=1, patience=4).train()
    q.codebook.copy_(torch.tensor([[[0.0], [1.0], [100.0]]]))
    q.unused.zero_()
    z = torch.tensor([[0.0], [1.0]])
    for _ in range(3):
        q(z)
        assert q.codebook[0, 2, 0] == 100
    assert q.unused[0].tolist() == [0, 0, 3] and q.counts[0, 2] < 1
    q(z)
    assert q.codebook[0, 2, 0].item() in (0.0, 1.0) and q.unused[0, 2] == 0 and q.counts[0, 2] == 1
    used_now_and_then = quantiser(codes=3, dim=1, patience=4).train()
    used_now_and_then.codebook.copy_(torch.tensor([[[0.0], [1.0], [100.0]]]))
    for step in range(12):
        used_now_and_then(torch.tensor([[0.0], [1.0], [100.0 if step % 4 == 0 else 0.0]]))
        assert used_now_and_then.codebook[0, 2, 0] == 100


def test_without_patience_a_dead_code_stays_where_it_is():
    q = quantiser(codes=3, dim=1, patience=None, decay=0.5).train()
    q.codebook.copy_(torch.tensor([[[0.0], [1.0], [100.0]]]))
    for _ in range(300):  # its count runs to zero
        q(torch.tensor([[0.1], [0.9]]))
    assert q.codebook[0, 2, 0] == 100 and torch.allclose(q.codebook[0, :2, 0], torch.tensor([0.1, 0.9]))
    assert torch.isfinite(q.codebook).all() and not q.unused.any()


def test_processes_that_train_together_keep_one_codebook(monkeypatch):
    """Two processes, half a batch each, do what one does with the whole; the candidates are those of the first."""
    q, z = quantiser(codes=40).train(), noise(80, 3)
    halves, sent = [copy.deepcopy(q), copy.deepcopy(q)], [torch.zeros(())]  # what the other process has sent last

    def add_up(flat):
        sent.append(flat.clone())
        flat.add_(sent[-2])

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", add_up)
    for rank, one in ((1, copy.deepcopy(q)), (0, halves[0]), (1, halves[1])):  # the first only to have sent something
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        torch.manual_seed(rank)
        one(z[:40] if rank == 0 else z[40:])
    assert all(torch.allclose(a, b) for a, b in zip(*(half.state_dict().values() for half in halves), strict=True))
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: False)
    used = q(z).tokens.unique()
    assert torch.allclose(halves[0].codebook[0][used], q.codebook[0][used], atol=1e-6)
    assert torch.allclose(halves[0].counts, q.counts)
    placed = [k for k in range(40) if k not in used]
    assert (halves[1].codebook[0][placed][:, None] == z[:40]).all(-1).any(1).all()


def test_more_codes_than_vectors_are_placed_too():
    q = quantiser(codes=50).train()
    q(noise(4, 3))
    assert torch.isfinite(q.codebook).all() and (q.codebook[0][:, None] == noise(4, 3)).all(-1).any(1).sum() >= 46


def test_all_codes_come_to_be_used():
    """Forty clusters, forty codes: revival leaves hardly any idle, without it most are."""
    centres = 10 * noise(40, 2)
    used = {}
    for patience in (None, 5):
        q = quantiser(codes=40, dim=2, patience=patience, decay=0.9).train()
        for seed in range(60):
            z = (centres + 0.1 * noise(40, 2, seed=seed))[:, None]
            found = q(z)
        used[patience] = found.in_use.item()
    assert used[5] > 0.9 and used[None] < 0.7


# --- the autoencoders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "places"), [(16, 4), (32, 8), (32, 4), (28, 7), (64, 8), (64, 16)])
def test_pictures_become_small_pictures_of_tokens(size, places):
    vae, x = small_picture_vqvae(size, places=places), torch.rand(2, 3, size, size)
    tokens = vae.tokens(x)
    assert tokens.shape == (2, places, places) and tokens.dtype == torch.int64
    assert vae.encode(x).shape == (2, places, places, 3)
    assert vae.decode_tokens(tokens).shape == x.shape and torch.equal(vae.reconstruct(x), vae.decode_tokens(tokens))


def test_tokens_lie_in_the_picture_where_what_they_speak_of_does():
    vae = small_picture_vqvae(64, places=8, codes=200)
    x = torch.rand(1, 3, 64, 64)
    other = x.clone()
    other[..., :8, 56:] = 0
    moved = (vae.encode(x) - vae.encode(other)).abs().sum(-1)[0]
    assert moved[0, 7] == moved.max() and moved[7, 0] == 0
    tokens = vae.tokens(x)
    changed = tokens.clone()
    changed[0, 0, 7] = (tokens[0, 0, 7] + 1) % 200
    painted = (vae.decode_tokens(changed) - vae.decode_tokens(tokens)).abs().sum(1)[0]
    assert painted[:16, 48:].mean() > 5 * painted[:16, :32].mean()
    assert painted[:16, 48:].mean() > 5 * painted[32:].mean()


def test_vectors_become_groups_of_tokens():
    torch.manual_seed(0)
    vae, x = vector_vqvae(10, groups=4, codes=5, dim=2, hidden=(6,)), noise(7, 10)
    assert vae.tokens(x).shape == (7, 4) and vae.encode(x).shape == (7, 4, 2) and vae.reconstruct(x).shape == (7, 10)
    assert vae.quantiser.codebook.shape == (4, 5, 2)
    affine = vector_vqvae(10, groups=4, codes=5, dim=2)
    assert torch.allclose(affine.encode(x) + affine.encode(-x), 2 * affine.encode(0 * x), atol=1e-5)


def test_the_error_is_that_of_the_article():
    vae, x = small_picture_vqvae().eval(), torch.rand(5, 3, 16, 16)
    parts = quantised_error(vae, x, price=0.7)
    assert set(parts) == {"loss", "distortion", "commitment", "perplexity", "in use"}
    z, codes = vae.encode(x), vae.quantiser.lookup(vae.tokens(x))
    distortion, commitment = (x - vae.reconstruct(x)).square().sum((1, 2, 3)), (z - codes).square().sum((1, 2, 3))
    assert torch.allclose(parts["distortion"], distortion) and torch.allclose(parts["commitment"], commitment)
    assert torch.allclose(parts["loss"], distortion + 0.7 * commitment)
    assert torch.allclose(quantised_error(vae, x)["loss"], distortion + 0.25 * commitment)
    assert torch.allclose(parts["perplexity"], vae.quantiser.perplexity(vae.tokens(x)))


@pytest.mark.parametrize(
    ("build", "shape"),
    [(small_picture_vqvae, (4, 3, 16, 16)), (lambda: vector_vqvae(12, 3, 4, 2, hidden=(5,)), (4, 12))],
)
def test_every_parameter_gets_a_gradient(build, shape):
    vae = build()
    quantised_error(vae, noise(*shape))[
        "distortion"
    ].sum().backward()  # no commitment: the encoder learns through codes
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_fit_trains_it_and_a_stop_changes_nothing(tmp_path):
    """Bit-identical: codebook, counts and the random vectors at which codes are revived."""
    x = noise(120, 12)

    def trained(steps_at_first=None):
        torch.manual_seed(0)
        vae = vector_vqvae(12, groups=3, codes=30, dim=2, patience=2)
        settings = {"steps": 30, "batch_size": 16, "objective": quantised_error, "progress": False, "validation": x}
        if steps_at_first:
            path = tmp_path / "run.safetensors"

            def stop(step, model):
                if step == steps_at_first:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                fit(vae, x, **settings, checkpoint=path, checkpoint_every=4, callback=stop, callback_every=1)
            vae = vector_vqvae(12, groups=3, codes=30, dim=2, patience=2)
            return vae, fit(vae, x, **settings, checkpoint=path, resume=True)
        return vae, fit(vae, x, **settings)

    (vae, history), (again, resumed) = trained(), trained(14)
    assert all(torch.equal(a, b) for a, b in zip(vae.state_dict().values(), again.state_dict().values(), strict=True))
    assert history.train == resumed.train and history.train["loss"][-1] < history.train["loss"][0]
    assert set(history.validation) >= {"loss", "distortion", "commitment", "perplexity"}


def test_training_and_its_average_in_double_precision():
    torch.manual_seed(0)
    vae, x = vector_vqvae(6, groups=2, codes=4, dim=2).double(), noise(64, 6, dtype=torch.float64)
    average = weight_average(vae, 0.9)
    fit(vae, x, steps=20, batch_size=32, objective=quantised_error, average=average, progress=False)
    assert vae.reconstruct(x).dtype == torch.float64 == average.module.reconstruct(x).dtype
    assert average.module.quantiser.unused.dtype == torch.int64
    assert small_picture_vqvae().double().prepare(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).dtype == torch.float64


def test_it_learns_what_can_be_said_in_tokens():
    """Vectors with two choices of eight each. Without any code the error would be that of the mean, 1."""
    torch.manual_seed(0)
    which = torch.randint(0, 8, (2, 600))
    x = torch.cat([2 * noise(8, 5)[which[0]], 2 * noise(8, 5, seed=1)[which[1]]], 1)
    vae = vector_vqvae(10, groups=2, codes=16, dim=3, decay=0.9)
    fit(vae, x, steps=300, batch_size=64, learning_rate=1e-2, objective=quantised_error, progress=False)
    left = (x - vae.reconstruct(x)).square().mean() / (x - x.mean(0)).square().mean()
    assert left < 0.3 and vae.quantiser.perplexity(vae.tokens(x)) > 10


# --- the prior -------------------------------------------------------------------------------------------------------


def all_tokens(codes, places):
    every = torch.tensor(list(itertools.product(range(codes), repeat=math.prod(places))))
    return every.reshape(-1, *places)


@pytest.mark.parametrize("places", [(4,), (2, 2)])
def test_probabilities_of_all_pictures_sum_to_one(places):
    log_p = small_prior(3, places).log_prob(all_tokens(3, places))
    assert log_p.shape == (81,) and math.isclose(log_p.exp().sum().item(), 1, rel_tol=1e-9)
    assert log_p.std() > 0.3  # and they differ


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_no_token_sees_itself_or_what_follows(layers):
    prior = small_prior(5, (6,), layers=layers)
    tokens = torch.arange(6)[None] % 5
    logits = prior.logits(tokens)
    for place in range(6):
        changed = tokens.clone()
        changed[0, place] = (tokens[0, place] + 1) % 5
        moved = (prior.logits(changed) - logits).abs().sum(-1)[0]
        assert moved[: place + 1].max() == 0
        assert place == 5 or moved[place + 1 :].min() > 1e-6  # and each token is seen by all that follow


def test_log_prob_is_the_sum_of_the_log_probabilities_of_tokens():
    prior, tokens = small_prior(3, (2, 2)), all_tokens(3, (2, 2))[::7]
    flat = tokens.flatten(1)
    expected = torch.zeros(len(flat), dtype=torch.float64)
    for i in range(4):
        p = prior.logits(flat)[:, i].softmax(-1)
        expected += torch.stack([p[n, flat[n, i]] for n in range(len(flat))]).log()
    assert torch.allclose(prior.log_prob(tokens), expected)
    assert torch.equal(negative_log_likelihood_of_tokens(prior, tokens)["loss"], -prior.log_prob(tokens))


def test_samples_are_draws_of_that_distribution():
    prior = small_prior(3, (3,))
    torch.manual_seed(1)
    drawn = prior.sample(20_000)
    assert drawn.shape == (20_000, 3) and drawn.dtype == torch.int64
    every = all_tokens(3, (3,))
    seen = (drawn[:, None] == every).all(-1).double().mean(0)
    p = prior.log_prob(every).exp()
    assert ((seen - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-9).all()
    assert small_prior(3, (2, 2)).sample(5).shape == (5, 2, 2)


@pytest.mark.parametrize("layers", [1, 3])
def test_what_is_kept_while_drawing_is_what_is_computed_at_once(layers, monkeypatch):
    prior, seen = small_prior(4, (5,), layers=layers), []
    monkeypatch.setattr(torch, "multinomial", lambda p, _: seen.append(p) or p.argmax(1, keepdim=True))
    tokens = prior.sample(3)
    assert torch.allclose(torch.stack(seen, 1), prior.logits(tokens).softmax(-1))


def test_the_prior_learns_what_tokens_have_to_do_with_each_other():
    """The second is the first, the fourth the third plus one: two free choices of four."""
    torch.manual_seed(0)
    free = torch.randint(0, 4, (2, 500))
    tokens = torch.stack([free[0], free[0], free[1], (free[1] + 1) % 4], 1)
    prior = CausalPrior(4, (4,))
    fit(prior, tokens, steps=250, batch_size=64, learning_rate=5e-3, objective=negative_log_likelihood_of_tokens,
        progress=False)  # fmt: skip
    nats = -prior.log_prob(tokens).mean().item()
    assert 2 * math.log(4) - 0.1 < nats < 2 * math.log(4) + 0.2
    drawn = prior.sample(300)
    assert (drawn[:, 0] == drawn[:, 1]).double().mean() > 0.95


def test_every_parameter_of_the_prior_gets_a_gradient():
    prior = small_prior(3, (2, 2))
    negative_log_likelihood_of_tokens(prior, all_tokens(3, (2, 2))[::5])["loss"].sum().backward()
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_under_autocast_probabilities_are_float32():
    prior = CausalPrior(5, (3,))
    tokens = prior.sample(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_p = prior.log_prob(tokens)
        assert prior.sample(3).shape == (3, 3)
    assert log_p.dtype == torch.float32 and torch.allclose(log_p, prior.log_prob(tokens), atol=0.1)


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VectorQuantiser(1, 3), "codes must be a whole number of at least 2, not 1"),
        (lambda: VectorQuantiser(4, 0), "dim must be a whole number of at least 1"),
        (lambda: VectorQuantiser(4, 3, books=0), "books must be a whole number of at least 1"),
        (lambda: VectorQuantiser(4, 3, decay=1.0), "decay must be at least 0 and below 1"),
        (lambda: VectorQuantiser(4, 3, decay=-0.1), "decay must be a finite number of at least 0"),
        (lambda: VectorQuantiser(4, 3, patience=0), "patience must be a whole number of at least 1"),
        (lambda: picture_vqvae((3, 30, 30)), "must be square"),
        (lambda: vector_vqvae(0), "numbers must be a whole number of at least 1"),
        (lambda: vector_vqvae(8, groups=0), "groups must be a whole number of at least 1"),
        (lambda: CausalPrior(4, (2,), layers=0), "layers must be a whole number of at least 1"),
        (lambda: CausalPrior(4, ()), "places must be a sequence"),
        (lambda: CausalPrior(4, (2,)).sample(0), "n must be a whole number of at least 1"),
        (lambda: quantiser()(noise(4, 2)), r"z must have shape \(N, ..., 3\), not \(4, 2\)"),
        (lambda: quantiser()(noise(3)), r"z must have shape \(N, ..., 3\), not \(3,\)"),
        (lambda: quantiser(books=2)(noise(4, 3, 3)), r"z must have shape \(N, ..., 2, 3\), a vector for each codebook"),
        (lambda: quantiser().lookup(torch.tensor([5])), "tokens must be from 0 to 4, .* from 5 to 5"),
        (lambda: quantiser(books=2).lookup(torch.tensor([[1, 1, 1]])), r"tokens must have shape \(N, ..., 2\)"),
        (lambda: CausalPrior(4, (2, 2)).log_prob(torch.zeros(3, 4).long()), r"shape \(N, 2, 2\), not \(3, 4\)"),
        (lambda: CausalPrior(4, (2,)).log_prob(torch.full((3, 2), 4)), "tokens must be from 0 to 3"),
        (lambda: CausalPrior(4, (2, 2)).log_prob(torch.full((3, 4), 9)), r"\(N, 2, 2\), .*unflatten\(1, \(2, 2\)\)"),
        (lambda: CausalPrior(4, (2,)).log_prob(torch.tensor(9)), r"tokens must have shape \(N, 2\), not \(\)"),
        (lambda: CausalPrior(4, (2,)).log_prob(torch.tensor([1, 9])), r"shape \(N, 2\), not \(2,\)\. tokens\[None\]"),
        (lambda: quantiser(books=2).lookup(torch.tensor([9, 9, 9])), r"tokens must have shape \(N, ..., 2\)"),
        (lambda: quantiser(books=2).lookup(torch.tensor(1)), r"tokens must have shape \(N, ..., 2\)"),
        (lambda: small_picture_vqvae().encode(noise(2, 1, 16, 16)), r"x must have shape \(N, 3, 16, 16\)"),
        (lambda: small_picture_vqvae().tokens(noise(2, 16, 16, 3)), r"x must have shape \(N, 3, 16, 16\)"),
        (lambda: small_picture_vqvae()(noise(2, 3, 32, 32)), r"x must have shape \(N, 3, 16, 16\)"),
        (lambda: small_picture_vqvae().reconstruct(noise(3, 16, 16)), r"not \(3, 16, 16\)\. A single image"),
        (lambda: vector_vqvae(6, 2).encode(noise(3, 5)), r"x must have shape \(N, 6\)"),
        (lambda: small_picture_vqvae().decode_tokens(torch.full((2, 16), 9)), r"\(N, 4, 4\), .*unflatten\(1, \(4, 4\)"),
        (lambda: small_picture_vqvae().decode_tokens(torch.full((4, 4), 9)), r"\(N, 4, 4\), .*tokens\[None\]"),
        (lambda: small_picture_vqvae().decode_tokens(torch.full((2, 4, 4), 9)), "tokens must be from 0 to 5"),
        (lambda: vector_vqvae(6, 2).decode_tokens(torch.ones(4, 3).long()), r"\(N, 2\), not \(4, 3\)"),
        (lambda: quantised_error(small_picture_vqvae(), noise(2, 3, 16, 16), -1.0), "price must be a finite number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_what_are_no_tokens_or_vectors_is_refused():
    with pytest.raises(TypeError, match="tokens must be a tensor int64"):
        CausalPrior(4, (2,)).log_prob(torch.zeros(3, 2))
    with pytest.raises(TypeError, match="z must be a floating-point tensor"):
        quantiser()(torch.zeros(3, 3).long())
    stored = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    for call in ("encode", "tokens", "reconstruct", "forward"):
        with pytest.raises(TypeError, match=r"x must be .* \(N, 3, 16, 16\), not uint8\. .*model\.prepare\(images\)"):
            getattr(small_picture_vqvae(), call)(stored)
    with pytest.raises(TypeError, match=r"x must be a floating-point tensor \(N, 6\), not int64\.$"):
        vector_vqvae(6, 2).encode(torch.zeros(3, 6).long())
    with pytest.raises(TypeError, match="tokens must be a tensor int64"):
        vector_vqvae(6, 2).decode_tokens(noise(3, 2))


def test_parts_of_ones_own_are_checked_only_if_their_shapes_are_told():
    parts = (nn.Identity(), nn.Identity(), quantiser())
    free, told = VQVAE(*parts), VQVAE(*parts, shape=(4, 3), places=(4,))
    assert free.reconstruct(noise(2, 5, 3)).shape == (2, 5, 3) and told.reconstruct(noise(2, 4, 3)).shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"x must have shape \(N, 4, 3\)"):
        told.encode(noise(2, 5, 3))
    with pytest.raises(ValueError, match=r"tokens must have shape \(N, 4\)"):
        told.decode_tokens(torch.zeros(2, 5).long())
