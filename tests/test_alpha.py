"""Layers with alpha: premultiplied colours, the over operator, feathering."""

import math

import pytest
import torch

from vae_helpers import alpha


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(seed):
    return alpha.premultiply(rand(3, 4, 5, 6, seed=seed))


def test_premultiplying_multiplies_the_colours_and_keeps_alpha():
    rgba = rand(2, 4, 3, 3)
    result = alpha.premultiply(rgba)
    for c in range(3):
        assert torch.equal(result[:, c], rgba[:, c] * rgba[:, 3])
    assert torch.equal(result[:, 3], rgba[:, 3])


def test_unpremultiply_undoes_premultiply_and_is_finite_where_alpha_is_zero():
    rgba = rand(2, 4, 3, 3)
    assert torch.allclose(alpha.unpremultiply(alpha.premultiply(rgba)), rgba)
    rgba[:, 3, 0] = 0
    back = alpha.unpremultiply(alpha.premultiply(rgba))
    assert torch.isfinite(back).all() and (back[:, :, 0] == 0).all()


def test_light_without_alpha_has_no_colour_and_a_little_alpha_has():
    glow = torch.full((1, 4, 2, 2), 0.5)
    glow[:, 3] = 0
    assert (alpha.unpremultiply(glow) == 0).all()
    faint = torch.tensor([4e-4, 3e-4, 2e-4, 5e-4]).view(1, 4, 1, 1)
    assert torch.allclose(alpha.unpremultiply(faint)[:, :3].flatten(), torch.tensor([0.8, 0.6, 0.4]))


def test_where_alpha_is_zero_unpremultiplying_has_a_finite_gradient():
    rgba = torch.zeros(1, 4, 2, 2, requires_grad=True)
    alpha.unpremultiply(rgba).sum().backward()
    assert torch.isfinite(rgba.grad).all()


def test_over_of_an_opaque_and_of_a_clear_layer():
    front, back = layer(1), layer(2)
    opaque, clear = front.clone(), torch.zeros_like(front)
    opaque[:, 3] = 1
    assert torch.equal(alpha.over(opaque, back), opaque)
    assert torch.equal(alpha.over(clear, back), back)
    assert torch.equal(alpha.over(front, clear), front)


def test_over_is_associative_and_not_commutative():
    a, b, c = layer(1), layer(2), layer(3)
    over = alpha.over
    assert torch.allclose(over(over(a, b), c), over(a, over(b, c)), atol=1e-14)
    assert not torch.allclose(over(a, b), over(b, a), atol=0.1)


def test_over_on_an_opaque_back_is_a_weighted_mean_of_straight_colours():
    straight, back = rand(2, 4, 3, 3, seed=1), rand(2, 4, 3, 3, seed=2)
    back[:, 3] = 1
    share = straight[:, 3:]
    result = alpha.over(alpha.premultiply(straight), back)
    assert torch.allclose(result[:, :3], share * straight[:, :3] + (1 - share) * back[:, :3])
    assert torch.allclose(result[:, 3], torch.ones_like(result[:, 3]))


def test_layers_that_add_light_are_not_clipped():
    glow, back = torch.full((1, 4, 2, 2), 0.75), torch.full((1, 4, 2, 2), 0.5)
    glow[:, 3], back[:, 3] = 0, 1
    assert torch.equal(alpha.over(glow, back)[:, :3], torch.full((1, 3, 2, 2), 1.25))


def test_one_layer_serves_many_pictures():
    assert alpha.over(layer(1)[:1], layer(2)).shape == (3, 4, 5, 6)


# --- feathering --------------------------------------------------------------------------------------------------


def edge():
    mask = torch.zeros(1, 1, 12, 20, dtype=torch.float64)
    mask[..., 10:] = 1
    return mask


@pytest.mark.parametrize("radius", [1, 2, 3.5])
def test_a_straight_edge_becomes_a_ramp_of_the_given_reach(radius):
    ramp = alpha.feather(edge(), radius)[0, 0, 6]
    reach = int(radius)
    assert (ramp[: 10 - reach] == 0).all() and torch.allclose(ramp[10 + reach :], torch.ones(10 - reach).double())
    assert (ramp[10 - reach : 10 + reach].diff() > 0).all() and ramp[10 - reach] > 0 and ramp[9 + reach] < 1
    assert torch.allclose(ramp[9] + ramp[10], torch.tensor(1.0).double())  # symmetric about the edge


def test_the_weights_of_the_window_fall_linearly():
    spot = torch.zeros(1, 1, 11, 11, dtype=torch.float64)
    spot[..., 5, 5] = 1
    line = torch.tensor([1, 2, 3, 2, 1]).double() / 9
    assert torch.allclose(alpha.feather(spot, 2)[0, 0, 3:8, 3:8], torch.outer(line, line))
    line = torch.tensor([1.5, 2.5, 1.5]).double() / 5.5
    assert torch.allclose(alpha.feather(spot, 1.5)[0, 0, 4:7, 4:7], torch.outer(line, line))


def test_beyond_the_border_the_outermost_pixels_go_on():
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mask[..., 0] = 1
    assert torch.allclose(alpha.feather(mask, 1)[0, 0, 3], torch.tensor([3, 1, 0, 0, 0, 0]).double() / 4)


def test_feathering_keeps_a_constant_a_sum_and_the_mask_itself_at_radius_0():
    assert torch.allclose(alpha.feather(torch.ones(1, 1, 8, 8), 3), torch.ones(1, 1, 8, 8))
    spot = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    spot[..., 7, 7] = 1
    assert math.isclose(alpha.feather(spot, 3).sum().item(), 1.0)
    assert torch.equal(alpha.feather(edge(), 0), edge())


def test_feathering_is_the_same_in_rows_and_columns():
    mask = rand(1, 1, 9, 9)
    assert torch.allclose(alpha.feather(mask.mT, 2), alpha.feather(mask, 2).mT)


# --- what is wrong is said ---------------------------------------------------------------------------------------


X, M = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
BAD = {
    "no tensor": (lambda: alpha.feather([[1]], 1), TypeError, "mask must be a floating-point tensor"),
    "no alpha": (lambda: alpha.over(X, X), ValueError, r"front must have shape \(N, 4, H, W\).*alpha"),
    "alpha above 1": (lambda: alpha.premultiply(torch.full((1, 4, 2, 2), 2.0)), ValueError, "alpha of rgba"),
    "sizes of layers": (
        lambda: alpha.over(torch.rand(1, 4, 3, 3), torch.rand(1, 4, 4, 4)),
        ValueError,
        "front .* and back .* one size",
    ),
    "radius": (lambda: alpha.feather(M, -1), ValueError, "radius must .* not -1"),
    "radius NaN": (lambda: alpha.feather(M, math.nan), ValueError, "radius must .* not nan"),
    "radius too large": (lambda: alpha.feather(M, 9), ValueError, "0 to 8"),
    "mask of three channels": (lambda: alpha.feather(X, 1), ValueError, r"mask must have shape \(N, 1, H, W\)"),
    "mask above one": (lambda: alpha.feather(3 * M, 1), ValueError, "mask must lie in"),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
