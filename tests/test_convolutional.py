"""Convolutional models: what they see, what they paint, how large they are, and that they learn."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from vae_helpers.distributions import (
    BernoulliLikelihood,
    DiscretisedGaussianLikelihood,
    GaussianLikelihood,
    LogisticMixtureLikelihood,
)
from vae_helpers.models import VAE, ConvDecoder, ConvEncoder, PaletteDecoder, conv_vae, spatial_vae
from vae_helpers.objectives import negative_elbo
from vae_helpers.rendering import faces
from vae_helpers.training import fit

SIZES = (16, 20, 24, 28, 32, 40, 48, 64, 128)
SMALL = {"latent_dim": 3, "width": 4, "hidden": 8}


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def small_vae(image_shape, **settings):
    torch.manual_seed(0)
    return conv_vae(image_shape, **(SMALL | settings))


def lively_palette(image_shape, colours=5):
    """A palette decoder whose shares are not all about one K-th, as they are before training."""
    torch.manual_seed(0)
    decoder = PaletteDecoder(image_shape, 3, 4, 8, colours)
    with torch.no_grad():
        decoder.to_shares[-2].weight.mul_(100)
    return decoder


# --- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [None, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_these_sizes_come_back_in_their_shape(size, channels, colours):
    vae = small_vae((channels, size, size), colours=colours)
    x = pixels(2, channels, size, size)
    assert vae.encoder(x).shape == (2, 6) and vae.decoder(noise(2, 3)).shape == x.shape
    assert vae.reconstruct(x).shape == x.shape
    p = vae.decode(noise(4, 2, 3))
    assert p.batch_shape == (4, 2) and p.event_shape == (channels, size, size)


def test_the_coarsest_features_have_few_places_whatever_the_size():
    for size in SIZES:
        coarsest = ConvEncoder((1, size, size), 2, 4, 8)[:-4](pixels(1, 1, size, size))  # all but the dense layers
        assert coarsest.shape[2] == coarsest.shape[3] and 2 <= coarsest.shape[2] <= 4


@pytest.mark.parametrize(
    "shape",
    [(1, 12, 12), (3, 36, 36), (3, 44, 44), (3, 30, 30), (1, 33, 33), (3, 72, 72), (3, 32, 16), (3, 16, 32), (3, 8, 8)],
)
def test_other_sizes_are_refused_with_those_that_will_do(shape):
    for build in (small_vae, lively_palette, lambda s: ConvEncoder(s, 2), lambda s: ConvDecoder(s, 2)):
        with pytest.raises(
            ValueError, match=r"must be square, of 16, 20, 24, 28 or 32 pixels .* load\(name, size=32\)"
        ):
            build(shape)


@pytest.mark.parametrize("shape", [(), (32,), (32, 32), (0, 32, 32), (5, 3, 32, 32), (3, 32.0, 32.0), 32, "RGB", None])
def test_what_is_no_shape_of_an_image_is_refused_before_anything_is_built(shape):
    for build in (small_vae, lively_palette, lambda s: ConvEncoder(s, 2), lambda s: ConvDecoder(s, 2)):
        with pytest.raises(ValueError, match=r"image_shape must be \(C, S, S\), whole numbers .*images.shape\[1:\]"):
            build(shape)


@pytest.mark.parametrize("name", ["latent_dim", "width", "hidden", "colours"])
@pytest.mark.parametrize("value", [0, -2, 2.5])
def test_a_network_without_units_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not {value}"):
        small_vae((3, 32, 32), **{name: value})


def test_a_part_of_the_encoder_is_a_network_too():
    encoder, x = small_vae((3, 32, 32)).encoder, pixels(2, 3, 32, 32)
    assert isinstance(encoder[1], nn.Conv2d) and encoder[-1] is list(encoder)[-1]
    assert torch.equal(encoder[5:](encoder[:5](x)), encoder(x)) and encoder[:5](x).shape == (2, 8, 4, 4)
    assert encoder[:3][1] is encoder[1]  # the same weights, not copies


def test_the_names_of_the_weights_are_those_of_models_saved_before():
    names = {name.removesuffix(".weight") for name in small_vae((3, 64, 64)).state_dict() if name.endswith(".weight")}
    encoder = {f"encoder.{i}" for i in (1, 3, 5, 8, 10)}
    body = {str(i) for i in (0, 2, 5, 8, 10)}
    assert names == encoder | {f"decoder.to_shares.{i}" for i in body} | {"decoder.to_colours.0"}
    plain = {name for name in small_vae((3, 64, 64), colours=None).state_dict() if name.startswith("decoder")}
    assert plain == {f"decoder.body.{i}.{kind}" for i in body for kind in ("weight", "bias")}


def test_one_picture_does_not_depend_on_the_others_of_its_batch():
    vae = small_vae((3, 16, 16)).train()
    x, z = pixels(4, 3, 16, 16), noise(4, 3)
    assert torch.allclose(vae.encoder(x)[2:3], vae.encoder(x[2:3]), atol=1e-6)
    assert torch.allclose(vae.decoder(z)[2:3], vae.decoder(z[2:3]), atol=1e-6)


# --- what is seen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 20, 28])
def test_the_code_depends_on_each_single_pixel(size):
    torch.manual_seed(0)
    encoder = ConvEncoder((1, size, size), 4, 4, 8).double()
    x = pixels(1, 1, size, size).double()
    each = x + 0.5 * torch.eye(size * size).double().reshape(-1, 1, size, size)  # one pixel is brighter in each
    moved = (encoder(each) - encoder(x)).abs().amax(1)
    assert moved.min() > 1e-9


@pytest.mark.parametrize("size", [32, 64])
def test_the_code_depends_on_each_pixel_in_each_channel(size):
    torch.manual_seed(0)
    encoder = ConvEncoder((3, size, size), 4, 4, 8).double()
    x = pixels(1, 3, size, size).double().requires_grad_()
    (encoder(x) * noise(4).double()).sum().backward()
    assert (x.grad != 0).all()


def test_the_first_stage_moves_with_the_picture():
    """Four pixels are one place after PixelUnshuffle(2) and a convolution of stride 2."""
    torch.manual_seed(0)
    stage = ConvEncoder((3, 32, 32), 4, 8, 8)[:2]
    assert isinstance(stage[0], nn.PixelUnshuffle) and isinstance(stage[1], nn.Conv2d)
    x = pixels(2, 3, 32, 32)
    here = stage(x)
    assert here.shape == (2, 8, 8, 8)
    for down, right in ((4, 0), (0, 4), (4, 4)):
        there = stage(x.roll((down, right), (2, 3)))
        expected = here.roll((down // 4, right // 4), (2, 3))
        assert torch.allclose(there[..., 2:, 2:], expected[..., 2:, 2:], atol=1e-6)
        assert not torch.allclose(there[..., 2:, 2:], here[..., 2:, 2:], atol=1e-2)
    other_edge = x.clone()
    other_edge[..., -8:] = 0
    assert torch.equal(stage(other_edge)[..., :5], here[..., :5])  # the left edge does not see the right one
    half_a_place = stage(x.roll(2, 3))
    assert not torch.allclose(half_a_place[..., 2:], here.roll(1, 3)[..., 2:], atol=1e-2)


# --- what is painted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [ConvDecoder, PaletteDecoder])
@pytest.mark.parametrize("size", [16, 28, 40])
def test_each_pixel_depends_on_each_latent(build, size):
    torch.manual_seed(0)
    decoder = build((3, size, size), 3, 4, 8)
    z = noise(1, 3)
    for change in torch.eye(3):
        assert ((decoder(z + change) - decoder(z)) != 0).all(1).float().mean() > 0.999  # two may be equal by rounding


@pytest.mark.parametrize("size", [32, 64])
def test_each_place_paints_its_own_four_by_four_pixels(size):
    torch.manual_seed(0)
    body = ConvDecoder((3, size, size), 3, 4, 8).body
    features = body[:-2](noise(1, 3))
    assert features.shape == (1, 4, size // 4, size // 4)
    changed = features.clone()
    changed[:, :, 5, 2] += 1
    differs = (body[-2:](changed) != body[-2:](features)).any(1)[0]
    expected = torch.zeros(size, size, dtype=torch.bool)
    expected[20:24, 8:12] = True
    assert torch.equal(differs, expected)


def test_the_decoder_moves_pictures_with_its_features():
    """From the first convolution to the pixels of a 64 x 64 picture: one place is eight pixels, not at the border."""
    torch.manual_seed(0)
    body = ConvDecoder((1, 64, 64), 3, 4, 8).body
    features = noise(1, 4, 8, 8)
    here, there = body[4:](features), body[4:](features.roll(1, 3))
    assert torch.allclose(there[..., 24:48], here[..., 16:40], atol=1e-6)
    assert not torch.allclose(there[..., 24:48], here[..., 24:48], atol=1e-3)


def test_shares_are_shares():
    decoder = lively_palette((3, 20, 20))
    shares = decoder.shares(noise(6, 3))
    assert shares.shape == (6, 5, 20, 20) and shares.min() >= 0
    assert torch.allclose(shares.sum(1), torch.ones(6, 20, 20), atol=1e-6)
    assert shares.std((2, 3)).mean() > 0.1  # and differ from pixel to pixel


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_the_sum_of_shares_times_colours(channels):
    decoder, z = lively_palette((channels, 16, 16)), noise(3, 3)
    picture, palette, shares = decoder(z), decoder.palette(z), decoder.shares(z)
    assert palette.shape == (3, channels, 5)
    for n in range(3):
        for c in range(channels):
            expected = sum(shares[n, k] * palette[n, c, k] for k in range(5))
            assert torch.allclose(picture[n, c], expected, atol=1e-6)


def test_no_pixel_leaves_the_hull_of_the_palette():
    """In every direction of colour space some colour of the palette reaches as far as any pixel."""
    decoder, z = lively_palette((3, 16, 16)), noise(8, 3)
    directions = noise(300, 3, seed=1)
    colours = (directions @ decoder.palette(z)).amax(2)  # (8, 300)
    reached = (directions @ decoder(z).flatten(2)).amax(2)
    assert (reached <= colours + 1e-5).all()
    assert (colours - reached).median() < 0.5 * colours.std()  # and the pixels are not all in its middle


def test_the_palette_is_one_affine_layer_about_grey():
    decoder, z = lively_palette((3, 16, 16)), noise(2, 3)
    weight, bias = decoder.to_colours[0].weight, decoder.to_colours[0].bias
    assert torch.allclose(decoder.palette(z), 0.5 + (z @ weight.T + bias).reshape(2, 3, 5), atol=1e-6)


def test_a_plain_decoder_is_not_bounded():
    torch.manual_seed(0)
    decoder = ConvDecoder((1, 16, 16), 3, 4, 8)
    far = decoder(1e4 * noise(4, 3))
    assert far.min() < -1 and far.max() > 2


# --- the model -----------------------------------------------------------------------------------------------------


def test_the_number_of_weights_is_what_the_formulas_say():
    def conv(c_in, c_out, kernel):
        return c_out * (c_in * kernel**2 + 1)

    def dense(inputs, outputs):
        return outputs * (inputs + 1)

    encoder = conv(3 * 4, 64, 3) + conv(64, 128, 3) + dense(128 * 4 * 4, 256) + dense(256, 2 * 32)
    shares = dense(32, 256) + dense(256, 64 * 8 * 8) + conv(64, 64, 3) + conv(64, 16 * 4 * 4, 1)
    vae = conv_vae((3, 32, 32))
    count = sum(p.numel() for p in vae.parameters())
    assert count == encoder + shares + dense(32, 3 * 16) + 1 == 1_738_097  # the 1 is sigma
    plain = conv_vae((3, 32, 32), colours=None)
    fewer = dense(32, 3 * 16) + conv(64, 16 * 4 * 4, 1) - conv(64, 3 * 4 * 4, 1)
    assert sum(p.numel() for p in plain.parameters()) == count - fewer
    twice = conv_vae((3, 64, 64))  # one more convolution in either network
    more = conv(128, 128, 3) + conv(64, 4 * 64, 3)
    assert sum(p.numel() for p in twice.parameters()) == count + more


def test_the_default_likelihood_is_a_gaussian_that_learns_its_sigma():
    vae = small_vae((3, 16, 16))
    assert isinstance(vae, VAE) and isinstance(vae.likelihood, GaussianLikelihood) and vae.latent_dim == 3
    assert "likelihood.raw_sigma" in dict(vae.named_parameters())
    assert math.isclose(vae.likelihood.sigma.item(), 0.05, rel_tol=1e-4)
    with torch.no_grad():
        vae.likelihood.raw_sigma.fill_(-50)
    assert math.isclose(vae.likelihood.sigma.item(), 0.01, rel_tol=1e-4)
    assert isinstance(vae.decoder, PaletteDecoder) and vae.decoder.palette(noise(1, 3)).shape == (1, 3, 16)
    other = GaussianLikelihood(0.3)
    assert small_vae((3, 16, 16), likelihood=other).likelihood is other


@pytest.mark.parametrize("colours", [None, 5])
@pytest.mark.parametrize("size", [16, 40])
def test_every_parameter_gets_a_gradient(size, colours):
    vae = small_vae((3, size, size), colours=colours)
    negative_elbo(vae, pixels(4, 3, size, size))["loss"].mean().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("colours", [None, 8])
def test_sixty_steps_on_faces_lower_the_loss(colours):
    images = faces.render(faces.sample(200, 4712), 32)
    vae = small_vae((3, 32, 32), latent_dim=8, width=16, hidden=64, colours=colours)
    x = images / 255
    error = (x - vae.reconstruct(x)).square().mean()
    record = fit(vae, images, steps=60, batch_size=32, learning_rate=1e-2, progress=False)
    vae.cpu()
    assert record.train["loss"][-1] < 0.25 * record.train["loss"][0]
    assert (x - vae.reconstruct(x)).square().mean() < 0.6 * error


def test_two_hundred_steps_beat_the_mean_picture():
    """What the code says about a picture is used: the best answer without a code is the mean of all pictures."""
    images = faces.render(faces.sample(200, 4712), 32)
    vae = small_vae((3, 32, 32), latent_dim=8, width=16, hidden=64, colours=8)
    fit(vae, images, steps=200, batch_size=32, learning_rate=1e-2, betas=(0.9, 0.98), progress=False)
    vae.cpu()
    x = images / 255
    of_the_model, of_the_mean = (x - vae.reconstruct(x)).square().mean(), (x - x.mean(0)).square().mean()
    assert of_the_model < 0.7 * of_the_mean


def test_under_autocast_the_picture_is_float32_and_nearly_the_same():
    vae = small_vae((3, 32, 32), width=16, hidden=32)
    x, z = pixels(4, 3, 32, 32), noise(4, 3)
    with torch.no_grad():
        exact, palette, code = vae.decoder(z), vae.decoder.palette(z), vae.encode(x).mean
        with torch.autocast("cpu", dtype=torch.bfloat16):
            picture, shares, mean = vae.decoder(z), vae.decoder.shares(z), vae.encode(x).mean
            assert torch.equal(vae.decoder.palette(z), palette)  # colours keep their digits
            from_a_coarse_code = vae.decoder(z.bfloat16())
            assert vae.decode(z).mean.dtype == torch.float32
    assert picture.dtype == shares.dtype == mean.dtype == from_a_coarse_code.dtype == torch.float32
    assert not torch.equal(picture, exact) and (picture - exact).abs().max() < 0.01
    assert torch.allclose(shares.sum(1), torch.ones(4, 32, 32), atol=1e-6)
    assert torch.allclose(picture.flatten(2), torch.bmm(palette, shares.flatten(2)), atol=1e-6)
    assert (from_a_coarse_code - exact).abs().max() < 0.02 and (mean - code).abs().max() < 0.02


def test_a_plain_decoder_serves_a_bernoulli_likelihood():
    vae = small_vae((1, 28, 28), colours=None, likelihood=BernoulliLikelihood())
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parts = negative_elbo(vae, vae.prepare(images))
    assert parts["loss"].shape == (5,) and torch.isfinite(parts["loss"]).all()
    p = vae.decode(noise(2, 3))
    assert isinstance(p.base_dist, Bernoulli) and p.event_shape == (1, 28, 28)
    assert torch.allclose(p.base_dist.logits, vae.decoder(noise(2, 3)), atol=1e-6)
    assert set(vae.sample(4).unique().tolist()) == {0.0, 1.0}


# --- a code that is a small picture ----------------------------------------------------------------------------------


def small_spatial_vae(image_shape, **settings):
    torch.manual_seed(0)
    return spatial_vae(image_shape, **({"channels": 2, "places": 4, "width": 6} | settings))


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize(("size", "places"), [(16, 4), (32, 4), (32, 8), (64, 16), (128, 4), (28, 7), (12, 3), (4, 1)])
def test_the_code_of_a_spatial_vae_is_flat_and_pictures_come_back(size, places, colours):
    vae, x = small_spatial_vae((colours, size, size), places=places), pixels(2, colours, size, size)
    q = vae.encode(x)
    assert vae.latent_dim == 2 * places**2 and q.batch_shape == (2,) and q.event_shape == (2 * places**2,)
    p = vae.decode(q.rsample((3,)))
    assert p.batch_shape == (3, 2) and p.event_shape == x.shape[1:] and vae.reconstruct(x).shape == x.shape
    assert vae.prior.event_shape == q.event_shape and vae.sample(2).shape == x.shape


def test_no_layer_of_a_spatial_vae_is_dense_and_it_has_the_weights_that_are_promised():
    vae = spatial_vae((3, 64, 64))
    assert not any(isinstance(module, nn.Linear) for module in vae.modules()) and vae.latent_dim == 4 * 8 * 8

    def conv(c_in, c_out, kernel=3):
        return c_out * (c_in * kernel**2 + 1)

    encoder = conv(12, 64) + conv(64, 64) + 4 * conv(64, 64) + conv(64, 8, 1)
    decoder = conv(4, 64) + 4 * conv(64, 64) + conv(64, 256) + conv(64, 64) + conv(64, 3 * 16, 1)
    assert sum(p.numel() for p in vae.parameters()) == encoder + decoder + 1 == 529_977  # the 1 is sigma
    assert sum(p.numel() for p in spatial_vae((3, 128, 128), places=16).parameters()) == 529_977


def test_means_come_before_variances_channel_by_channel_and_row_by_row():
    vae, x = small_spatial_vae((3, 32, 32)), pixels(2, 3, 32, 32)
    said = vae.encoder[0](x)  # (2, 4, 4, 4): two channels of means, then two of log-variances
    q = vae.encode(x)
    for channel, row, column in ((0, 0, 0), (1, 2, 3), (1, 3, 0)):
        index = channel * 16 + row * 4 + column
        assert torch.equal(q.mean[:, index], said[:, channel, row, column])
        assert torch.allclose(q.variance[:, index].log(), said[:, 2 + channel, row, column], atol=1e-3)
    picture = q.mean.unflatten(-1, (2, 4, 4))
    assert torch.allclose(vae.decoder(q.mean), vae.decoder[1](picture))


def test_a_place_of_the_code_speaks_of_its_neighbourhood():
    vae = small_spatial_vae((1, 128, 128), places=16).double()
    x, z = pixels(1, 1, 128, 128).double(), noise(1, 512).double()
    there = x.clone()
    there[..., :8, 120:] += 1  # the last place of the first row
    moved = (vae.encode(there).mean - vae.encode(x).mean).abs().reshape(2, 16, 16).sum(0)
    assert moved[0, 15] > 1e-3 and moved[:, :8].max() == 0 and moved[8:].max() == 0
    code = z.clone().unflatten(1, (2, 16, 16))
    code[:, :, 0, 15] += 1
    painted = (vae.decoder(code.flatten(1)) - vae.decoder(z)).abs()[0, 0]
    assert painted[:8, 120:].min() > 0 and painted[:, :64].max() == 0 and painted[64:].max() == 0


def test_the_elbo_of_a_spatial_vae_is_the_one_written_by_hand():
    vae, x = small_spatial_vae((3, 16, 16)).double(), pixels(4, 3, 16, 16).double()
    torch.manual_seed(3)
    parts = negative_elbo(vae, x)
    torch.manual_seed(3)
    mean, log_var = vae.encoder(x).chunk(2, 1)  # soft_bound leaves small log-variances as they are
    sigma = (0.5 * log_var).exp()
    z = mean + sigma * torch.randn(1, 4, 32, dtype=torch.float64)[0]
    log_likelihood = Normal(vae.decoder(z), vae.likelihood.sigma).log_prob(x).sum((1, 2, 3))
    divergence = kl_divergence(Normal(mean, sigma), Normal(torch.zeros_like(mean), 1.0)).sum(1)
    assert torch.allclose(parts["kl"], divergence, rtol=1e-3)
    assert torch.allclose(parts["distortion"], -log_likelihood, rtol=1e-3)
    assert torch.allclose(parts["elbo"], parts["loss"].neg())


@pytest.mark.parametrize("size", [16, 32])
def test_every_parameter_of_a_spatial_vae_gets_a_gradient(size):
    vae = small_spatial_vae((3, size, size))
    negative_elbo(vae, pixels(4, 3, size, size))["loss"].mean().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "likelihood", [BernoulliLikelihood, DiscretisedGaussianLikelihood, LogisticMixtureLikelihood, GaussianLikelihood]
)
def test_a_spatial_vae_serves_every_likelihood(likelihood):
    vae = small_spatial_vae((3, 16, 16), likelihood=likelihood())
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parts = negative_elbo(vae, vae.prepare(images))
    assert parts["loss"].shape == (5,) and torch.isfinite(parts["loss"]).all()


def test_three_hundred_steps_of_a_spatial_vae_beat_the_mean_picture():
    images = faces.render(faces.sample(200, 4712), 32)
    vae = small_spatial_vae((3, 32, 32), channels=3, places=8, width=12)
    fit(vae, images, steps=300, batch_size=32, learning_rate=1e-2, betas=(0.9, 0.98), progress=False)
    vae.cpu()
    x = images / 255
    assert (x - vae.reconstruct(x)).square().mean() < 0.85 * (x - x.mean(0)).square().mean()


@pytest.mark.parametrize("shape", [(3, 32, 16), (3, 24, 24), (3, 8, 8), (3, 30, 30), (1, 2, 2)])
def test_sizes_that_a_spatial_vae_cannot_halve_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"square, 4, 8, 16, ... times as many pixels a side as the code has places \(4"
    ):
        small_spatial_vae(shape)
    with pytest.raises(ValueError, match="channels must be a whole number of at least 1, not 0"):
        small_spatial_vae((3, 16, 16), channels=0)
    with pytest.raises(ValueError, match=r"image_shape must be \(C, S, S\)"):
        small_spatial_vae((16, 16))
