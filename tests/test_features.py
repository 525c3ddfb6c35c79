"""Features: each channel counts alike, gradients pass and nothing else changes; VGG16 from a file."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from vae_helpers import Features, feature_nats, fit
from vae_helpers.images import to_float
from vae_helpers.models import features as module
from vae_helpers.models.convolutional import ConvEncoder
from vae_helpers.models.features import VGG16_FILE, VGG16_LAYERS, Standardised, vgg16_features


def stored(n=40, size=8, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator)


def network(seed=0):
    """Convolutions and a dense layer, with channels of very different sizes."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(4, 5, 3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(80, 6),
    )
    with torch.no_grad():
        layers[0].weight.mul_(torch.tensor([0.1, 1.0, 5.0, 20.0]).view(4, 1, 1, 1))
    return layers


# --- the scale of a channel -------------------------------------------------------------------------------------------


def test_every_channel_has_a_standard_deviation_of_one_on_the_pictures_given():
    images = stored()
    for given in (images, to_float(images)):
        first, second, dense = Features(network(), (0, 2, 4), given)(to_float(images))
        assert first.shape == (40, 4, 8, 8) and second.shape == (40, 5, 4, 4) and dense.shape == (40, 6)
        for one in (first, second, dense):
            spread = one.transpose(0, 1).flatten(1).std(1)
            assert torch.allclose(spread, torch.ones(one.shape[1]), atol=1e-4)


def test_the_maps_are_the_networks_divided_by_one_number_for_each_channel():
    images, plain = stored(), network()
    x, raw = to_float(images), network()[:3](to_float(images))
    told = Features(plain, [2], images)(x)[0]
    ratio = (raw / told).transpose(0, 1).flatten(1)
    assert torch.allclose(ratio, raw.transpose(0, 1).flatten(1).std(1, keepdim=True).expand_as(ratio), rtol=1e-3)


def test_other_pictures_are_divided_by_the_same_numbers():
    images, others = stored(), stored(seed=1) // 4
    features = Features(network(), (0,), images)
    assert (features(to_float(others))[0].transpose(0, 1).flatten(1).std(1) < 0.5).all()


def test_a_channel_that_says_the_same_of_all_pictures_does_not_outvote_the_rest():
    layers = network()
    with torch.no_grad():
        layers[0].weight[1] = 0
        layers[4].weight[2] = 0
    images = stored()
    features = Features(layers, (0, 4), images)
    convolved, dense = features(to_float(images))
    assert torch.isfinite(convolved).all() and torch.isfinite(dense).all()
    largest = layers[0](to_float(images)).transpose(0, 1).flatten(1).std(1).max().item()
    assert features.scale0.flatten()[1].item() == pytest.approx(module.SMALLEST_SCALE * largest, rel=1e-3)
    assert features.scale1.min().item() == pytest.approx(module.SMALLEST_SCALE * features.scale1.max().item(), rel=1e-3)


def test_pictures_that_are_all_the_same_give_no_scale():
    with pytest.raises(ValueError, match="layer 2 says the same of all images"):
        Features(network(), (2,), torch.zeros(4, 3, 8, 8))


def test_only_the_first_thousand_pictures_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "LOOKED_AT", 10)
    images = stored()
    alone = Features(network(), (0,), images[:10])
    images[10:] = 0
    assert torch.equal(Features(network(), (0,), images).scale0, alone.scale0)


# --- which layers -----------------------------------------------------------------------------------------------------


def test_maps_come_in_the_networks_order_each_layer_once():
    images = stored(4)
    x = to_float(images)
    expected = Features(network(), (0, 2, 4), images)(x)
    for layers in ((4, 0, 2), [2, 4, 0, 2], (0, 2, 4)):
        features = Features(network(), layers, images)
        assert features.layers == [0, 2, 4]
        assert all(torch.equal(a, b) for a, b in zip(features(x), expected, strict=True))


def test_layers_behind_the_last_one_are_not_computed():
    class Broken(nn.Module):
        def forward(self, x):
            raise AssertionError("nobody asked for this layer")

    images = stored(4)
    assert len(Features(nn.Sequential(*network(), Broken()), (1, 4), images)(to_float(images))) == 2


@pytest.mark.parametrize("layers", [(5,), (-1,), (0, 17), (1.0,), ("0",), (True,)])
def test_a_layer_that_is_not_there_is_named(layers):
    with pytest.raises(ValueError, match="layers must be a whole number from 0 to 4, not"):
        Features(network(), layers, stored(4))


@pytest.mark.parametrize("layers", [(), [], 3, None, "012"])
def test_what_names_no_layers_is_refused(layers):
    with pytest.raises(ValueError, match=r"layers must be indices of layers, such as \(4, 5, 8\), not"):
        Features(network(), layers, stored(4))


def test_a_network_whose_layers_have_no_indices_is_refused_with_a_way_out():
    for wrong in (nn.Conv2d(3, 4, 3), nn.ModuleList([nn.Conv2d(3, 4, 3)]), torch.sigmoid):
        with pytest.raises(TypeError, match=r"network must be an nn\.Sequential.* nn\.Sequential\(\*modules\) makes"):
            Features(wrong, (0,), stored(4))


def test_a_kind_of_sequential_with_arguments_of_its_own_will_do():
    class Own(nn.Sequential):
        def __init__(self):
            super().__init__(*network())

    torch.manual_seed(0)
    images, small = stored(size=16), stored()
    assert len(Features(Own(), (0, 2), small)(to_float(small))) == 2
    assert len(Features(ConvEncoder((3, 16, 16), 4, width=4, hidden=8), (2, 6), images)(to_float(images))) == 2


def test_a_layer_that_works_in_place_does_not_write_over_the_map_before_it():
    images, layers = stored(), network()
    x = to_float(images)
    expected = Features(copy.deepcopy(layers), (0,), images)(x)[0]
    layers[1] = nn.ReLU(inplace=True)
    features = Features(layers, (0, 1, 2), images)
    before = x.clone()
    told = features(x)
    assert torch.allclose(told[0], expected) and told[0].min() < 0 <= told[1].min()
    leading = Features(nn.Sequential(nn.ReLU(inplace=True), *layers), (0, 1), images)
    leading(x - 0.5), leading(x.requires_grad_())
    assert torch.equal(x, before)


# --- which pictures ---------------------------------------------------------------------------------------------------


def test_what_are_not_at_least_two_pictures_is_refused():
    with pytest.raises(ValueError, match="images must be at least two pictures: the scale"):
        Features(network(), (0,), stored(1))
    with pytest.raises(ValueError, match=r"images must have shape \(N, C, H, W\) .* not \(3, 8, 8\)"):
        Features(network(), (0,), stored(2)[0])
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
        Features(network(), (0,), stored().float())
    with pytest.raises(TypeError, match="images must be"):
        Features(network(), (0,), stored().numpy())


# --- frozen -----------------------------------------------------------------------------------------------------------


def test_the_network_is_frozen_and_the_gradient_passes_to_the_pictures():
    images = stored()
    features = Features(network().train(), (2, 4), images)
    assert not any(p.requires_grad for p in features.parameters())
    x = to_float(images[:3]).requires_grad_()
    for told in features(x):
        (gradient,) = torch.autograd.grad(told.square().sum(), x, retain_graph=True)
        assert (gradient.flatten(1).abs().sum(1) > 0).all()
    assert not features.scale0.requires_grad


def test_a_network_handed_over_in_training_mode_is_in_eval_mode_from_then_on_and_has_learned_nothing():
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9)).train()
    before = {name: t.clone() for name, t in layers.state_dict().items()}
    features, x = Features(layers, (2,), stored()), to_float(stored(5))
    assert not any(part.training for part in features.network.modules())
    assert torch.equal(features(x)[0], features(x)[0])
    assert torch.allclose(features(x)[0][:1], features(x[:1])[0], atol=1e-5)
    assert all(torch.equal(t, before[name]) for name, t in layers.state_dict().items())


class WithFeatures(nn.Module):
    """A picture that is learned, and features that a careless learner has put inside the model."""

    def __init__(self, images):
        super().__init__()
        torch.manual_seed(0)
        self.picture = nn.Parameter(torch.rand(1, 3, 8, 8))
        self.features = Features(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9)), (2,), images)


def test_it_stays_in_eval_mode_and_as_it_was_also_as_part_of_a_model_in_training():
    images, modes = stored(), []
    model = WithFeatures(images)
    before = {name: t.clone() for name, t in model.features.state_dict().items()}

    def objective(model, x):
        modes.append((model.training, any(part.training for part in model.features.modules())))
        return {"loss": feature_nats(x, model.picture.expand_as(x), model.features)}

    picture = model.picture.clone()
    fit(model, images, steps=3, batch_size=8, objective=objective, progress=False)
    assert modes == [(True, False)] * 3 and not torch.equal(model.picture, picture)
    assert all(torch.equal(t, before[name]) for name, t in model.features.state_dict().items())
    assert model.features.train() is model.features and not model.features.training


def test_scales_are_buffers_and_come_back_with_the_weights():
    one, other = Features(network(), (0, 4), stored()), Features(network(1), (0, 4), stored(seed=1))
    x = to_float(stored(3, seed=2))
    assert {"scale0", "scale1"} <= set(one.state_dict()) and {"scale0", "scale1"} <= dict(one.named_buffers()).keys()
    assert not torch.allclose(other(x)[0], one(x)[0])
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other(x), one(x), strict=True))
    assert copy.deepcopy(one).double()(x.double())[0].dtype == torch.float64


def test_pictures_are_measured_where_the_network_is(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "device_of", lambda network: asked.append(network) or torch.device("cpu"))
    layers = network()
    Features(layers, (0,), stored())
    assert asked == [layers]
    if torch.cuda.is_available():
        monkeypatch.undo()
        on_gpu = Features(network().cuda(), (0, 4), stored())
        assert on_gpu.scale0.device.type == "cuda"
        assert torch.allclose(on_gpu.scale0.cpu(), Features(network(), (0, 4), stored()).scale0, rtol=1e-2)


def test_half_precision_inside_comes_out_as_float32():
    images = stored()
    features = Features(network(), (0, 4), images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert {told.dtype for told in features(to_float(images))} == {torch.float32}


# --- VGG16 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A folder with a file as torchvision's is, of random weights: the old format, and all layers' names."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vgg")
    layers = make_layers(cfgs["D"], batch_norm=False)
    weights = {f"features.{name}": t for name, t in layers.state_dict().items()} | {"classifier.0.bias": torch.zeros(3)}
    torch.save(weights, folder / VGG16_FILE, _use_new_zipfile_serialization=False)
    return folder, layers


def test_vgg16s_layers_see_standardised_pictures(vgg):
    folder, layers = vgg
    images = stored(6, 32)
    x = to_float(images)
    features = vgg16_features(folder, images)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = [layers[: index + 1]((x - mean) / std) for index in VGG16_LAYERS]
        told = features(x)
    assert [one.shape[1] for one in told] == [64, 128, 256, 512]  # after a ReLU of each block, before its pooling
    assert [one.shape[2] for one in told] == [32, 16, 8, 4] and all(one.min() == 0 for one in told)
    for k, (one, raw) in enumerate(zip(told, expected, strict=True)):
        assert torch.allclose(one * getattr(features, f"scale{k}"), raw, atol=1e-4 * raw.max().item())
    assert not any(p.requires_grad for p in features.parameters())


def test_vgg16s_layers_may_be_chosen_also_before_a_relu(vgg):
    folder, layers = vgg
    images = stored(3, 16)
    features = vgg16_features(folder, images, (2, 3))
    before, after = features(to_float(images))
    with torch.no_grad():
        raw = layers[:3](Standardised()(to_float(images)))
    assert torch.allclose(before * features.scale0, raw, atol=1e-4 * raw.max().item())
    assert before.min() < 0 <= after.min()
    for layers in ((-1,), (31,)):
        with pytest.raises(ValueError, match="layers must be a whole number from 0 to 30"):
            vgg16_features(folder, images, layers)


def test_a_missing_file_is_named_with_a_way_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"there is no .*{VGG16_FILE}.*torchvision\.models\.vgg16\(weights="):
        vgg16_features(tmp_path, stored(3, 32))


@pytest.mark.parametrize(
    "content",
    [{"weight": torch.zeros(3)}, torch.zeros(3), [1, 2], {"features.0.weight": torch.zeros(3)}, b"", b"no weights"],
)
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / VGG16_FILE
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=f"{VGG16_FILE} does not hold torchvision's VGG16"):
        vgg16_features(tmp_path, stored(3, 32))


def test_standardised_pictures_have_the_mean_zero_and_a_deviation_of_one():
    x = torch.rand(50, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, std = x.mean((0, 2, 3)).tolist(), x.std((0, 2, 3)).tolist()
    y = Standardised(mean, std)(x)
    assert y.mean((0, 2, 3)).abs().max() < 1e-5 and torch.allclose(y.std((0, 2, 3)), torch.ones(3), atol=1e-5)
    assert list(Standardised().state_dict()) == ["mean", "std"] and not list(Standardised().parameters())
