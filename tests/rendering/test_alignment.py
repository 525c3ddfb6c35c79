"""Heads turned and widened: against the same heads drawn in the other pose."""

import pytest
import torch

from vae_helpers.rendering import faces
from vae_helpers.rendering.alignment import align


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_constants_of_the_face_are_the_renderers():
    width = torch.tensor([-1.0, 0.0, 0.5, 1.0])
    drawn = faces._face_width({"face_width": width})
    assert torch.allclose(drawn, faces.HALF_WIDTH + faces.WIDENING * width)


def in_pose(factors, pose, *names):
    """The factors, with the named ones of another portrait."""
    return faces.with_factors(factors, **{name: pose[:, faces.index(name)] for name in names})


@pytest.mark.parametrize("parts, pose", [(("eyes", "mouth", "brows"), ("tilt",)), (("hair",), ("tilt", "face_width"))])
def test_an_aligned_part_is_near_the_part_drawn_in_the_other_pose(parts, pose):
    old = faces.with_factors(faces.sample(30, seed=5), glasses=0.0, hair_texture=0.0)
    new = in_pose(old, faces.sample(30, seed=6), *pose)
    before, truth = (sum(faces.masks(f, 128)[part] for part in parts) for f in (old, new))
    after = align(before, old, new)
    assert (after - truth).abs().mean() < 0.3 * (before - truth).abs().mean()
    picture, drawn = (faces.render(f, 128).float() / 255 for f in (old, new))
    inside = (truth > 0.99).expand_as(drawn)
    errors = [(x - drawn)[inside].square().mean() for x in (align(picture, old, new), picture)]
    assert errors[0] < 0.3 * errors[1]


def test_aligning_to_its_own_pose_is_the_identity_and_there_and_back_nearly():
    factors, other = faces.sample(4, seed=1), faces.sample(4, seed=2)
    smooth = torch.nn.functional.interpolate(rand(4, 3, 5, 5), size=(64, 64), mode="bicubic").clamp(0, 1)
    assert torch.allclose(align(smooth, factors, factors), smooth, atol=1e-5)
    back = align(align(smooth, factors, other), other, factors)
    assert (back - smooth)[..., 20:44, 20:44].abs().max() < 0.05


def test_what_comes_from_beyond_the_border_is_the_outermost_pixels():
    upright = faces.with_factors(faces.sample(1), tilt=0.0, face_width=0.0)
    turned = faces.with_factors(upright, tilt=1.0, face_width=-1.0)
    grey = torch.full((1, 3, 32, 32), 0.6)
    assert torch.allclose(align(grey, upright, turned), grey, atol=1e-6)


def test_a_positive_tilt_moves_the_top_of_the_head_to_the_right():
    upright = faces.with_factors(faces.sample(1), tilt=0.0, face_width=0.0)
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 8:12, 31:33] = 1
    moved = align(spot, upright, faces.with_factors(upright, tilt=1.0))
    columns = torch.arange(64.0)
    assert (moved.sum((0, 1, 2)) * columns).sum() / moved.sum() > 40
    wider = align(spot, upright, faces.with_factors(upright, face_width=1.0))
    assert 1.05 < wider.sum() / spot.sum() < 1.25


# --- what is wrong is said ---------------------------------------------------------------------------------------


X = torch.rand(2, 3, 8, 8)
F14 = faces.sample(2)
BAD = {
    "uint8": (lambda: align(X.byte(), F14, F14), TypeError, "pictures must .* uint8"),
    "not square": (lambda: align(X[..., 1:], F14, F14), ValueError, "square"),
    "rows": (lambda: align(X, F14[:1], F14), ValueError, "factors_from has 1 rows for 2"),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
