"""What is trained on: pictures with their conditions, codes, and which rows make up a batch."""

import hashlib

import pytest
import torch
from torch import nn

from vae_helpers import evaluate, log_likelihood
from vae_helpers.distributions import GreyBernoulliLikelihood, diagonal_gaussian
from vae_helpers.images import to_float
from vae_helpers.models import LatentVariableModel, mlp_vae
from vae_helpers.training import batches, engine, fit
from vae_helpers.training.batches import Batches

IMAGES = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1).expand(40, 1, 4, 4).contiguous()
LABELS = torch.arange(40)
FACTORS = torch.arange(40.0)[:, None].expand(40, 3) / 10


class Conditional(LatentVariableModel):
    """p(x | z, label): a VAE that is told a label."""

    def __init__(self):
        super().__init__()
        self.latent_dim, self.likelihood = 2, GreyBernoulliLikelihood()
        self.embed = nn.Embedding(40, 3)
        self.encoder, self.decoder = nn.Linear(16 + 3, 4), nn.Linear(2 + 3, 16)

    def encode(self, x, label):
        return diagonal_gaussian(*self.encoder(torch.cat([x.flatten(1), self.embed(label)], -1)).chunk(2, -1))

    def decode(self, z, label):
        given = self.embed(label).expand(*z.shape[:-1], -1)
        return self.likelihood(self.decoder(torch.cat([z, given], -1)).unflatten(-1, (1, 4, 4)))


def test_batches_index_all_tensors_alike():
    seen = []

    def objective(model, x, label, factors):
        seen.append((x[:, 0, 0, 0] * 255, label, factors))
        return {"loss": (model.weight - label).square().flatten()}

    data = (IMAGES, LABELS, FACTORS)
    fit(nn.Linear(1, 1), data, steps=6, batch_size=16, objective=objective, validation=data, progress=False)
    assert len(seen) == 6 + 6  # a validation after each of six steps
    for x, label, factors in seen:
        assert torch.equal(x.round().long(), label) and torch.equal(factors, FACTORS[label])
        assert label.dtype == torch.int64


def test_floating_point_data_are_taken_as_they_are():
    codes, seen = torch.randn(20, 5) * 3, []

    class Codes(nn.Linear):
        def prepare(self, images):
            raise AssertionError("codes are no pictures")

    def objective(model, z):
        seen.append(z)
        return {"loss": model(z).square().sum(-1)}

    fit(Codes(5, 1), codes, steps=1, batch_size=20, objective=objective, progress=False)
    assert torch.equal(seen[0].sort(0).values, codes.sort(0).values)


def test_a_conditional_model_is_trained_and_evaluated_with_its_conditions():
    torch.manual_seed(0)
    images = torch.where(torch.rand(40, 1, 4, 4) < 0.5, 20, 230).to(torch.uint8)  # a picture of its own for each label
    model = Conditional()
    history = fit(model, (images, LABELS), steps=400, batch_size=40, learning_rate=0.05, progress=False)
    told, shuffled = evaluate(model, (images, LABELS)), evaluate(model, (images, LABELS.roll(1)))
    assert told["elbo"].mean > shuffled["elbo"].mean + 5
    assert abs(told["elbo"].mean + history.train["loss"][-1]) < 0.5
    assert log_likelihood(model, (images, LABELS), samples=50).mean >= told["elbo"].mean - 0.1


def test_conditions_that_do_not_fit_are_named():
    for data in [(IMAGES, LABELS[:3]), (IMAGES, torch.tensor(1))]:
        with pytest.raises(ValueError, match="data must have as many rows"):
            fit(Conditional(), data, steps=1)
    with pytest.raises(ValueError, match="differ in shape"):
        fit(Conditional(), (IMAGES, FACTORS), steps=1, validation=(IMAGES, LABELS))


def test_a_share_is_a_part_of_the_same_batch_and_a_huge_seed_is_a_seed():
    for seed in (0, 2**63 - 1):
        drawn = Batches((LABELS,), 7, seed)
        for number in range(20):  # across epochs
            (whole,) = drawn.get(number)
            parts = [drawn.get(number, slice(first, last))[0] for first, last in ((0, 2), (2, 4), (4, 7))]
            assert torch.equal(torch.cat(parts), whole)
    order = torch.cat([Batches((LABELS,), 8, 3).get(number)[0] for number in range(5)])
    assert torch.equal(order.sort().values, LABELS) and not torch.equal(order, LABELS)


def test_nanoseconds_are_a_seed():
    fit(mlp_vae((1, 4, 4), 2, (4,)), IMAGES, steps=2, seed=1_764_000_000_000_000_000, progress=False)


def test_digests_tell_data_apart():
    def digest(*data):
        return Batches(data, 4, 0).digest

    changed = IMAGES.clone()
    changed[39, 0, 3, 3] += 1
    found = [digest(IMAGES), digest(changed), digest(IMAGES.flip(0)), digest(IMAGES, LABELS), digest(to_float(IMAGES))]
    assert len(set(found)) == 5 and digest(IMAGES.clone()) == found[0]
    zeros = torch.zeros(4, 2)
    found = [digest(x) for x in (zeros, zeros.int(), zeros.T, zeros + 1)] + [
        digest(zeros, x) for x in (zeros + 1, zeros + 2)
    ]
    assert len(set(found)) == 6
    turned = torch.tensor([1 + 2j, 3j])  # its conjugate is the same memory, read in another way
    assert digest(turned.conj()) == digest(turned.conj().resolve_conj()) != digest(turned)


def test_of_a_huge_tensor_evenly_spaced_rows_are_digested(monkeypatch):
    changed = IMAGES.clone()
    changed[39, 0, 3, 3] += 1
    for whole, told_apart in ((IMAGES.nbytes, True), (IMAGES.nbytes - 1, False)):
        monkeypatch.setattr(batches, "DIGESTED_WHOLE", whole)
        assert (Batches((IMAGES,), 4, 0).digest != Batches((changed,), 4, 0).digest) == told_apart


def test_a_batch_has_at_most_as_many_rows_as_there_are():
    seen = []

    def objective(model, x):
        seen.append(len(x))
        return {"loss": model(x.flatten(1)).sum(1)}

    fit(nn.Linear(16, 1), IMAGES, steps=2, objective=objective, progress=False)
    assert seen == [40, 40]


def test_a_digest_is_of_the_bytes_however_few_are_copied_at_a_time(monkeypatch):
    expected = hashlib.sha256(b"torch.uint8 (40, 1, 4, 4) " + IMAGES.numpy().tobytes())
    expected.update(b"torch.int64 (40,) " + LABELS.numpy().tobytes())
    for at_a_time in (1, 100, 2**22):
        monkeypatch.setattr(batches, "AT_A_TIME", at_a_time)
        assert Batches((IMAGES, LABELS), 4, 0).digest == expected.hexdigest()[:16]


def test_data_that_would_crowd_a_gpu_stay_on_the_cpu(monkeypatch):
    cpu, gpu, half = torch.device("cpu"), torch.device("cuda"), IMAGES.nbytes + LABELS.nbytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * half, 10**9))
    assert batches.home_of((IMAGES, LABELS), gpu) == gpu and batches.home_of((IMAGES, LABELS), cpu) == cpu
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * half - 1, 10**9))
    assert batches.home_of((IMAGES, LABELS), gpu) == cpu and batches.home_of((IMAGES, LABELS), cpu) == cpu


def test_batches_go_to_the_device_that_wants_them_and_the_data_stay():
    elsewhere = Batches((IMAGES, LABELS), 16, 0, torch.device("meta"))
    assert [x.device.type for x in elsewhere.get(0)] == ["meta"] * 2
    assert elsewhere.data[0].data_ptr() == IMAGES.data_ptr()
    run = engine_run(IMAGES)
    assert run.batches.data[0].data_ptr() == IMAGES.data_ptr() == run.validation[0].data_ptr()  # nothing was copied


def engine_run(images):
    """The `Run` that `fit` makes of these images, for training and validation."""
    found = []
    original = engine.Run

    class Seen(original):
        def __init__(self, **settings):
            super().__init__(**settings)
            found.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "Run", Seen)
        fit(mlp_vae((1, 4, 4), 2, (4,)), images, steps=1, validation=images, progress=False)
    return found[0]
