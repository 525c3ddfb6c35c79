"""Model files: what is written is read back, and nothing else is ever let in."""

import errno
import json
import math
import os
import pickle
import random
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vae_helpers import checkpoints
from vae_helpers.checkpoints import CheckpointError
from vae_helpers.objectives import squared_error
from vae_helpers.training import History, fit


def model(width=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))


def weights(m):
    return {name: t.clone() for name, t in m.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_model_comes_back_bit_for_bit_with_its_notes(tmp_path):
    path = checkpoints.save(tmp_path / "new" / "m.safetensors", model(), latent_dim=3, name="första")
    other = model(seed=1)
    assert not same(weights(other), weights(model()))
    assert checkpoints.load(path, other) == {"latent_dim": 3, "name": "första"}
    assert same(weights(other), weights(model()))


class Tied(nn.Module):
    """Two layers with one weight, as in a tied autoencoder; or, not `tied`, with two of the same shape."""

    def __init__(self, tied=True, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 4)
        if tied:
            self.decoder.weight = self.encoder.weight
        everything = torch.randn(6)
        self.register_buffer("all", everything)
        self.register_buffer("some", everything[2:5])

    def forward(self, x):
        return self.decoder(self.encoder(x.flatten(1))).view_as(x).sigmoid()


def test_a_shared_parameter_and_views_come_back_and_are_shared_as_before(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", Tied())
    other = Tied(seed=1)
    other.encoder.weight.data.fill_(math.nan)
    checkpoints.load(checkpoints.save(tmp_path / "nan.safetensors", other), Tied())
    checkpoints.load(path, other)
    assert other.decoder.weight is other.encoder.weight and same(weights(other), weights(Tied()))
    assert other.some.data_ptr() == other.all[2:].data_ptr()


def test_a_file_of_shared_parameters_fills_a_model_that_has_two(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", Tied())
    apart = Tied(tied=False, seed=1)
    checkpoints.load(path, apart)
    assert apart.decoder.weight is not apart.encoder.weight and same(weights(apart), weights(Tied()))


def test_what_two_parameters_held_is_not_put_into_a_shared_one(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", Tied(tied=False))
    refused(path, "different numbers in encoder.weight and decoder.weight, which are one in the model", Tied(seed=1))


def test_training_keeps_and_resumes_a_model_that_shares_a_parameter(tmp_path, capsys):
    images = torch.randint(0, 256, (8, 1, 2, 2), dtype=torch.uint8)

    def train(steps_stop=None, **options):
        trained = Tied()

        def stop(step, _):
            if step == steps_stop:
                signal.raise_signal(signal.SIGINT)

        fit(
            trained,
            images,
            steps=4,
            objective=squared_error,
            callback=stop,
            callback_every=1,
            progress=False,
            **options,
        )
        assert trained.decoder.weight is trained.encoder.weight
        return weights(trained)

    whole = train()
    path = tmp_path / "run.safetensors"
    assert not same(train(2, checkpoint=path), whole)
    assert same(train(checkpoint=path, resume=True), whole)


def test_a_shipped_network_is_rounded_to_half_precision_and_frozen(tmp_path):
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", model())
    found, original = checkpoints.load_shipped(path, model), model()
    assert torch.equal(found[0].weight, original[0].weight.half().float())
    assert not found.training and not any(p.requires_grad for p in found.parameters())


class Large(nn.Module):
    """Rows of very different size, one of zeros and one of which half precision keeps little, and small tensors."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        rows = torch.tensor([1e-7, 1e-3, 1.0, 300.0, 0.0]).repeat(8)[:, None]
        self.matrix = nn.Parameter(torch.randn(40, 500, generator=generator) * rows)  # 20,000 numbers
        self.kernel = nn.Parameter((torch.randn(40, 504, generator=generator) * rows).unflatten(1, (56, 3, 3)))
        self.small = nn.Parameter(torch.randn(39, 500, generator=generator))
        self.bias = nn.Parameter(torch.randn(30_000, generator=generator))
        self.register_buffer("count", torch.arange(20_000).view(2, -1))


ROUNDED = ("matrix", "kernel")


def test_with_eight_bits_each_weight_is_off_by_half_a_step_of_its_row_at_most(tmp_path):
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", Large(), eight_bits=True)
    found = checkpoints.load_shipped(path, Large)
    for name in ROUNDED:
        ours, theirs = (getattr(m, name).detach().flatten(1).double() for m in (Large(), found))
        step = ours.abs().amax(1, keepdim=True) / 127
        error = (theirs - ours).abs()
        assert (error <= step / 2 * (1 + 1e-4)).all(), name
        torch.testing.assert_close(error.square().mean(1), step.square()[:, 0] / 12, rtol=0.2, atol=0)  # spread evenly
        torch.testing.assert_close(theirs.abs().amax(1), ours.abs().amax(1), rtol=1e-6, atol=0)  # the largest is exact
        assert not theirs[4::5].any() and theirs.isfinite().all()
    assert not found.training and not any(p.requires_grad for p in found.parameters())


def test_with_eight_bits_the_file_holds_whole_numbers_and_steps_and_its_network_their_product_exactly(tmp_path):
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", Large(), eight_bits=True, steps=5)
    tensors, kind, notes = checkpoints.read(path)
    assert kind == "Large" and notes == {"steps": 5}
    own, found = weights(Large()), weights(checkpoints.load_shipped(path, Large))
    assert tensors.keys() == own.keys() | {f"{name}/step" for name in ROUNDED} and found.keys() == own.keys()
    for name in ROUNDED:
        whole, step = tensors[name], tensors[f"{name}/step"]
        assert whole.dtype == torch.int8 and whole.shape == own[name].shape and whole.min() >= -127
        assert step.dtype == torch.float32 and step.shape == (40, *[1] * (whole.dim() - 1))
        assert (step > 0).all() and not whole[4::5].any()  # a row of zeros is divided by a step, too
        assert torch.equal(found[name], whole.float() * step) and found[name].dtype == torch.float32
    for name in ("small", "bias"):
        assert tensors[name].dtype == torch.float16 and torch.equal(found[name], own[name].half().float())
    assert torch.equal(found["count"], own["count"])
    size = checkpoints.save_shipped(tmp_path / "half.safetensors", Large()).stat().st_size - path.stat().st_size
    assert size == pytest.approx(sum(own[name].numel() for name in ROUNDED), rel=0.03)  # a byte for each


def test_what_was_rounded_is_rounded_to_the_same_again(tmp_path):
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", Large(), eight_bits=True)
    once = checkpoints.load_shipped(path, Large)
    twice = checkpoints.load_shipped(checkpoints.save_shipped(path, once, eight_bits=True), Large)
    for name in ROUNDED:
        torch.testing.assert_close(getattr(twice, name), getattr(once, name), rtol=1e-6, atol=0)


def test_with_eight_bits_what_is_not_a_number_does_not_become_one(tmp_path):
    broken = Large()
    broken.matrix.data[1, 7], broken.matrix.data[2, 7] = math.nan, math.inf
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", broken, eight_bits=True)
    finite = checkpoints.load_shipped(path, Large).matrix.isfinite().all(1)
    assert (~finite).nonzero().flatten().tolist() == [1, 2]


def test_a_damaged_file_of_eight_bits_is_refused(tmp_path):
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", Large(), eight_bits=True)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    assert {"matrix", "matrix/step", "small"} < header.keys()
    for first, last in (header[name]["data_offsets"] for name in header.keys() - {"__metadata__"}):
        bad = bytearray(content)
        bad[start + (first + last) // 2] ^= 0x10
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="do not match the digest"):
            checkpoints.load_shipped(path, Large)
    for length in (0, 50, start, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoints.load_shipped(path, Large)


def test_changes_may_be_of_eight_bits(tmp_path, monkeypatch):
    package, file = carried(tmp_path, monkeypatch)
    path = checkpoints.save_shipped(tmp_path / package / file, Large(seed=1), eight_bits=True)
    changed = checkpoints.shipped_changes(Large(), package, file)
    assert same(weights(changed), weights(checkpoints.load_shipped(path, Large)))


def stack(seed=0, width=3):
    """Layers whose names begin alike."""
    torch.manual_seed(seed)
    whole = nn.Module()
    whole.encoder = nn.Sequential(*(nn.Linear(width, width) for _ in range(11)))
    whole.norm = nn.BatchNorm1d(width)
    return whole


def carried(tmp_path, monkeypatch, **settings):
    """The name of a package of this test's own, and of a file in it that `stack(seed=1)` was written to."""
    package = f"carrier_of_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    checkpoints.save_shipped(tmp_path / package / "changes.safetensors", stack(seed=1), **settings)
    return package, "changes.safetensors"


def test_a_file_of_changes_has_all_but_what_is_left_out_and_names_that_begin_alike_are_kept(tmp_path):
    left_out = ("encoder.1", "norm")
    path = checkpoints.save_shipped(tmp_path / "m.safetensors", stack(), besides=left_out, steps=5)
    tensors, kind, notes = checkpoints.read(path)
    expected = {f"encoder.{k}.{name}" for k in (0, *range(2, 11)) for name in ("weight", "bias")}
    assert tensors.keys() == expected and "encoder.10.weight" in tensors
    assert kind == "Module" and notes == {"steps": 5}
    whole, _, _ = checkpoints.read(checkpoints.save_shipped(tmp_path / "whole.safetensors", stack()))
    assert whole.keys() == stack().state_dict().keys() and {t.dtype for t in tensors.values()} == {torch.float16}


def test_changes_replace_what_the_file_has_and_leave_the_rest(tmp_path, monkeypatch):
    where = carried(tmp_path, monkeypatch, besides=("encoder.1", "norm"))
    model, before, other = stack(), weights(stack()), weights(stack(seed=1))
    model.norm.running_mean.fill_(7)
    assert checkpoints.shipped_changes(model.requires_grad_(False).eval(), *where) is model
    for name, t in model.state_dict().items():
        if name == "norm.running_mean":
            assert (t == 7).all()
        elif name.startswith(("encoder.1.", "norm.")):
            assert torch.equal(t, before[name]), name
        else:
            assert torch.equal(t, other[name].half().float()) and not torch.equal(t, before[name]), name
    assert not any(p.requires_grad for p in model.parameters()) and not model.training


def test_changes_of_another_model_are_refused_and_the_model_is_as_it_was(tmp_path, monkeypatch):
    where = carried(tmp_path, monkeypatch)
    smaller = stack()
    del smaller.encoder[10]
    for target, words in (
        (smaller, r"it has encoder\.10\.(weight|bias), which the model lacks; has encoder\.10"),
        (stack(width=4), r"has encoder\.0\.weight as float32 \(3, 3\), the model as float32 \(4, 4\)"),
    ):
        before = weights(target)
        with pytest.raises(CheckpointError, match=words):
            checkpoints.shipped_changes(target, *where)
        assert same(weights(target), before)


def test_a_misspelt_name_of_what_is_left_out_is_refused_and_nothing_written(tmp_path):
    for besides in (("encoder.11",), ("encoder.1", "Norm"), ("encoder.1.",), "norm", ("encoder.1.weight",)):
        with pytest.raises(ValueError, match=r"besides names '.*', but the model has no submodule of that name"):
            checkpoints.save_shipped(tmp_path / "m.safetensors", stack(), besides=besides)
    assert os.listdir(tmp_path) == []


def refused(path, words, target=None):
    target = target or model(seed=1)
    before = weights(target)
    with pytest.raises(CheckpointError, match=words):
        checkpoints.load(path, target)
    assert same(weights(target), before)


def test_a_truncated_file_is_refused(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", model())
    content = path.read_bytes()
    for length in (0, 5, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "damaged")


def test_a_flipped_bit_is_refused(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", model())
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x10
    path.write_bytes(content)
    refused(path, "digest")


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trap"),))

    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "no safetensors file")
    torch.save({"weight": torch.zeros(2)}, path)
    refused(path, "no safetensors file")
    assert not (tmp_path / "trap").exists()


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file(weights(model()), path)
    refused(path, "not one of this package's")


def test_another_models_file_is_refused_with_the_difference(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", model(width=5))
    refused(path, r"0.weight as float32 \(5, 4\), the model as float32 \(3, 4\)")
    refused(path, "lacks weight; lacks bias; has 0", nn.Linear(4, 5))
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "absent.safetensors", model())


@pytest.mark.parametrize("n", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_mutated_files_are_refused_or_say_the_same(tmp_path, n):
    path = checkpoints.save(tmp_path / "m.safetensors", model(), note="x")
    content, choice = path.read_bytes(), random.Random(0)
    target, good = model(), weights(model())
    refusals = 0
    for _ in range(n):
        bad = bytearray(content)
        for _ in range(choice.randint(1, 4)):
            at = choice.randrange(len(bad))
            action = choice.randrange(3)
            if action == 0:
                bad[at] = choice.randrange(256)
            elif action == 1:
                del bad[at : at + choice.randint(1, 9)]
            else:
                bad[at:at] = choice.randbytes(choice.randint(1, 9))
        path.write_bytes(bad)
        try:
            checkpoints.load(path, target)
        except CheckpointError:
            refusals += 1
        assert same(weights(target), good)
    assert refusals > 0.9 * n  # a changed letter of the notes is harmless; of anything else it is not


def test_what_is_no_file_is_refused_at_once(tmp_path):
    refused(tmp_path, "is a folder, not a file")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero"):  # a pipe would be waited for; zeros never end
        refused(path, f"{path} is a device or a pipe")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        checkpoints.save(tmp_path, model())


def test_a_file_in_a_folders_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file/m\.safetensors"):
        checkpoints.save(tmp_path / "file" / "m.safetensors", model())
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "file" / "m.safetensors", model())


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    path = checkpoints.save(tmp_path / "m.safetensors", model())

    def forbidden(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", forbidden)  # root may read everything
    with pytest.raises(PermissionError, match=r"m\.safetensors"):
        checkpoints.load(path, model())


def test_notes_that_are_not_finite_come_back(tmp_path):
    record = History(step=[1], train={"loss": [math.nan]}, validation_step=[1], validation={"loss": [-math.inf]})
    path = checkpoints.save(tmp_path / "m.safetensors", model(), history=record.to_dict())
    back = History.from_dict(checkpoints.load(path, model())["history"])
    assert math.isnan(back.train["loss"][0]) and back.validation == {"loss": [-math.inf]}


def test_a_note_that_is_not_plain_leaves_the_old_file(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", model())
    before = path.read_bytes()
    with pytest.raises(TypeError, match="plain values"):
        checkpoints.save(path, model(seed=1), bad={1, 2})
    assert path.read_bytes() == before


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = checkpoints.save(tmp_path / "m.safetensors", model())
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, model(seed=1))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.safetensors"]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path, kills):
    script = (
        "import sys, torch; from vae_helpers import checkpoints\n"
        "m = torch.nn.Linear(500, 2000)\n"
        "print('ready', flush=True)\n"
        "while True: checkpoints.save(sys.argv[1], m)"
    )
    choice = random.Random(0)
    path = tmp_path / "m.safetensors"
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        while not path.exists():
            assert process.poll() is None
        try:
            process.wait(timeout=choice.uniform(0.0, 0.3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        checkpoints.load(path, torch.nn.Linear(500, 2000))


def test_the_header_is_plain_json(tmp_path):
    path = checkpoints.save(tmp_path / "m.safetensors", model(), latent_dim=3)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert header["format"] == "vae_helpers/1" and header["kind"] == "Sequential" and len(header["digest"]) == 64
