"""Styles must be what they say: an affine map of colours, light from a side, ink along edges; and content stays."""

import math

import pytest
import torch

from vae_helpers import psnr
from vae_helpers.rendering import faces, styles
from vae_helpers.rendering.styles import FACTORS, NAMES, TABLE, palette, plain, sample


def style(**values):
    return TABLE.with_factors(plain(), **values)


def test_styles_are_uniform_and_begin_like_a_smaller_sample_and_are_hatched_only_when_asked():
    n = 20_000
    x = sample(n, seed=1).double()
    assert x.shape == (n, 7) and torch.equal(sample(9, seed=1).double(), x[:9])
    assert (x[:, NAMES.index("hatching")] == 0).all()
    assert torch.equal(sample(9, 1, hatching=True)[:, :-1].double(), x[:9, :-1])
    u = (TABLE.to_unit(sample(n, 1, hatching=True).double()) + 1) / 2
    assert (u.mean(0) - 1 / 2).abs().max() < 5 * (1 / 12 / n) ** 0.5
    assert (u.var(0) - 1 / 12).abs().max() < 5 * ((1 / 80 - 1 / 144) / n) ** 0.5


@pytest.mark.parametrize("size", [32, 64])
def test_the_plain_style_is_none(size):
    x = faces.sample(5, seed=2)
    assert torch.equal(faces.render(x, size, plain()), faces.render(x, size))


@pytest.mark.parametrize("name", ["hue", "saturation", "warmth", "paleness"])
@pytest.mark.parametrize("end", [-1, 1])
def test_a_palette_is_an_affine_map_of_each_pixel(name, end):
    if name == "paleness" and end < 0:
        pytest.skip("paleness has no other side")
    x, shown = faces.sample(4, seed=3), style(**{name: float(end)})
    A, b = palette(shown)
    expected = torch.einsum("ij,njhw->nihw", A[0], faces.render(x, 64).double().float() / 255) + b[0, :, None, None]
    found = faces.render(x, 64, shown).float() / 255
    assert (found - expected.clamp(0, 1)).abs().max() < 1.5 / 255
    assert (found - faces.render(x, 64).float() / 255).abs().max() > 0.1


def test_greys_keep_their_grey_when_hue_and_saturation_change():
    grey = torch.tensor([0.4, 0.4, 0.4])
    for values in ({"hue": 1.0}, {"hue": -0.7, "saturation": 1.0}, {"saturation": -1.0}):
        A, b = palette(style(**values))
        torch.testing.assert_close(A[0] @ grey + b[0], grey)


def test_the_hue_turns_by_a_tenth_of_a_turn_about_the_greys():
    A, _ = palette(style(hue=1.0))
    torch.testing.assert_close(A[0] @ A[0].T, torch.eye(3))
    assert math.isclose(A[0].trace().item(), 1 + 2 * math.cos(2 * math.pi / 10), rel_tol=1e-5)
    there, back = palette(style(hue=0.6))[0][0], palette(style(hue=-0.6))[0][0]
    torch.testing.assert_close(there @ back, torch.eye(3))


def test_saturation_scales_the_distance_from_grey():
    colour = torch.tensor([0.7, 0.4, 0.3])
    grey = colour.mean()
    for value, factor in ((-1.0, styles.LEAST), (-0.5, (1 + styles.LEAST) / 2), (0.0, 1.0), (1.0, styles.MOST)):
        A, b = palette(style(saturation=value))
        torch.testing.assert_close(A[0] @ colour + b[0], grey + factor * (colour - grey))


def test_pale_is_half_way_to_paper_and_warm_is_yellower_than_cool():
    colour = torch.tensor([0.2, 0.5, 0.9])
    A, b = palette(style(paleness=1.0))
    torch.testing.assert_close(A[0] @ colour + b[0], (colour + torch.tensor(styles.PAPER)) / 2)
    white = torch.ones(3)
    warm, cool = (palette(style(warmth=value))[0][0] @ white for value in (1.0, -1.0))
    assert warm[0] == 1 and warm[2] < 0.8 and cool[2] == 1 and cool[0] < 0.85


def test_light_brightens_its_own_side_and_mirrors():
    x = faces.with_factors(faces.sample(3, seed=4), tilt=0.0, gaze=0.0)
    left, right = (faces.render(x, 64, style(light=value)).float().mean((0, 1, 2)) for value in (-1.0, 1.0))
    plainly = faces.render(x, 64).float().mean((0, 1, 2))
    assert (left[:20] > right[:20]).all() and (left[-20:] < right[-20:]).all()
    assert (left[:4] > plainly[:4]).all() and (right[:4] < plainly[:4]).all()
    torch.testing.assert_close(left, right.flip(0), atol=6, rtol=0)


def test_more_ink_is_darker_along_outlines_and_nowhere_else():
    x = faces.sample(6, seed=5)
    none, some, much = (faces.render(x, 64, style(ink=value)).float() for value in (0.0, 0.4, 1.0))
    darker = (none - much).amax(1)
    assert ((none - some).mean(), (none - much).mean()) > (1.0, 3.0)
    assert (none - much).mean() > (none - some).mean()
    inside_of_disc = darker[:, 10:16, 2:6]  # the background has no outline
    assert (darker > 60).float().mean() > 0.05 and inside_of_disc.max() == 0
    faint = faces.render(x, 64, style(ink=0.01)).float()
    assert (none - faint).abs().max() < 8  # lines fade in


def test_hatching_strokes_what_is_dark_more_than_what_is_light():
    x = faces.with_factors(faces.sample(2, seed=6), hair_colour=0.0, hair_length=1.0)
    none, hatched = (faces.render(x, 64, style(hatching=value)).float() for value in (0.0, 1.0))
    assert (hatched - none).abs().mean() > 10
    parts = faces.masks(x, 64)
    stroked = (hatched < none).float().mean(1, keepdim=True)
    hair, paper = (stroked[parts[part] > 0.99].mean() for part in ("hair", "background"))
    assert hair > 0.6 > 0.5 > paper


def test_each_portrait_may_have_its_own_style_and_masks_follow():
    x, shown = faces.sample(6, seed=7), sample(6, seed=7)
    together = faces.render(x, 32, shown)
    alone = torch.cat([faces.render(x[i : i + 1], 32, shown[i : i + 1]) for i in range(6)])
    assert torch.equal(together, alone)
    assert psnr(together, faces.render(x, 32)).max() < 35
    parts = faces.masks(x, 32, shown)
    assert (sum(parts.values()) - 1).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (torch.zeros(2, 6), r"factors must have shape \(N, 7\)"),
        (torch.zeros(3, 7), "there are 2 portraits and 3 styles"),
        (torch.full((1, 7), 1.5), "hue = 1.5 in row 0"),
    ],
)
def test_what_is_no_style_is_refused(shown, message):
    with pytest.raises(ValueError, match=message):
        faces.render(faces.sample(2), 32, shown)
    assert len(FACTORS) == 7
