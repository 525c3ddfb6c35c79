"""The ladder of two levels for square pictures, and the diagram of the ways to infer."""

import matplotlib.pyplot as plt
import pytest
import torch

from vae_helpers import GaussianLikelihood, diagrams, fit, log_likelihood, negative_elbo_by_level, seed_everything
from vae_helpers.models.ladder import conv_ladder


def tiny(**numbers):
    seed_everything(0)
    return conv_ladder((3, 16, 16), **{"channels": 2, "top": 3, "width": 4, "hidden": 8} | numbers)


def test_codes_and_pictures_have_their_shapes():
    model = tiny()
    x = torch.rand(5, 3, 16, 16)
    assert model.sizes == (2 * 4 * 4, 3)
    z = model.encode(x).rsample((7,))
    assert z.shape == (7, 5, 35)
    assert model.decode(z).mean.shape == (7, 5, 3, 16, 16)
    assert model.redraw(z, 1).shape == z.shape
    assert model.sample_means(2).shape == (2, 3, 16, 16)
    log_likelihood, kl = model.by_level(x, samples=2)
    assert log_likelihood.shape == (5,) and kl.shape == (2, 5) and (kl >= 0).all()


def test_a_place_of_z_1_paints_around_itself():
    model = tiny()
    z = torch.zeros(1, 35, requires_grad=True)
    model.decode(z).mean[..., :4, :4].sum().backward()
    touched = z.grad[0, :32].reshape(2, 4, 4).abs().sum(0) > 0
    assert touched[0, 0] and not touched[3, 3] and (z.grad[0, 32:] == 0).all()


def test_it_learns_and_has_a_bound():
    model = tiny(likelihood=GaussianLikelihood(0.2))
    images = torch.randint(0, 256, (64, 1, 1, 1), dtype=torch.uint8).expand(64, 3, 16, 16).contiguous()
    history = fit(model, images, steps=60, batch_size=32, learning_rate=1e-2, objective=negative_elbo_by_level)
    assert history.train["loss"][-1] < 0.7 * history.train["loss"][0]
    assert torch.isfinite(torch.tensor(log_likelihood(model, images[:8], samples=4).mean))


@pytest.mark.parametrize("shape", [(3, 16, 24), (3, 12, 12)])
def test_a_shape_that_does_not_divide_is_refused(shape):
    with pytest.raises(ValueError, match="multiple of 8"):
        conv_ladder(shape)


def test_the_diagram_has_three_panels():
    figure = diagrams.hierarchy()
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "the model draws",
        "bottom-up infers",
        "the ladder infers",
    ]
    assert not plt.get_fignums()
