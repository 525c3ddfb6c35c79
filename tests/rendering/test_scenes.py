"""The truth about a scene must be true: its layers, their order, what is hidden, and what each factor does."""

import math
from functools import reduce

import pytest
import torch
from torch.nn.functional import avg_pool2d

from vae_helpers import alpha
from vae_helpers.rendering import scenes
from vae_helpers.rendering.drawing import along
from vae_helpers.rendering.scenes import (
    KINDS,
    NAMES,
    SHAPES,
    SPRITE_NAMES,
    TEXTURES,
    labels,
    layers,
    masks,
    overlaps,
    parts,
    render,
    sample,
    sample_sprites,
    scene,
    sprites,
    with_factors,
    with_sprite_factors,
)


def column(factors, name):
    """Of each sprite, (N, 4)."""
    return parts(factors)[0][..., SPRITE_NAMES.index(name)]


def made_of(*things, **background):
    """One scene of sprites given by their factors; an upright opaque plain disc in the middle unless told."""
    x = torch.zeros(1, len(NAMES))
    x[:, [i for i, name in enumerate(NAMES) if name.endswith("size")]] = 0.4
    values = {f"background_{name}": value for name, value in background.items()}
    for k, thing in enumerate(things, 1):
        whole = {"there": 1, "opacity": 1, "shape": SHAPES.index(thing.get("kind", "disc"))}
        values |= {f"sprite{k}_{name}": value for name, value in (whole | thing).items() if name != "kind"}
    return with_factors(x, **values)


def alone(kind, texture="plain", **values):
    """One sprite that fills its picture, unless told."""
    plain = dict.fromkeys(SPRITE_NAMES, 0) | {"there": 1, "size": 1, "opacity": 1, "second": 1}
    which = {"shape": SHAPES.index(kind), "texture": TEXTURES.index(texture)}
    return with_sprite_factors(torch.zeros(1, len(SPRITE_NAMES)), **plain | which | values)


def centre(mask):
    """(x, y) of the centroid of (size, size) weights."""
    line = (torch.arange(len(mask)) + 0.5) * 2 / len(mask) - 1
    return torch.stack([mask.sum(0) @ line, mask.sum(1) @ line]) / mask.sum()


# --- Factors ----------------------------------------------------------------------------------------------------------


def test_samples_are_in_range_and_vary_as_told():
    x = scenes.check_factors(sample(4000, 1, "transparent"))
    assert x.shape == (4000, 44) and x.dtype == torch.float32
    there = column(x, "there")
    count = there.sum(1)
    assert torch.equal(there, (torch.arange(4) < count[:, None]).float())  # from the back
    for number in (2, 3, 4):
        assert (count == number).float().mean().item() == pytest.approx(1 / 3, abs=0.04)
    for name, kinds in (("shape", SHAPES), ("texture", TEXTURES)):
        shares = torch.bincount(column(x, name).flatten().long()) / 16_000
        assert len(shares) == len(kinds) and (shares * len(kinds) - 1).abs().max() < 0.1
    for name, low, high in (("size", *scenes.SIZES), ("angle", -scenes.LEAN, scenes.LEAN), ("colour", 0, 1)):
        values = column(x, name)
        assert low <= values.min() and values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    opacity = column(x, "opacity")
    assert (opacity == 1).float().mean().item() == pytest.approx(0.5, abs=0.02)
    clear = opacity[opacity < 1]
    assert clear.min() >= 0.35 and clear.mean().item() == pytest.approx(0.675, abs=0.01)
    difference = (column(x, "colour") - column(x, "second")).abs()
    assert difference.min() >= scenes.LEAST_DIFFERENCE - 1e-6


def test_kinds_are_the_same_scenes_with_more_to_them():
    plain, textured, transparent = (sample(200, 3, kind) for kind in KINDS)
    assert (column(plain, "texture") == 0).all() and (column(textured, "texture") > 0).any()
    assert (column(plain, "opacity") == 1).all() and (column(textured, "opacity") == 1).all()
    assert (column(transparent, "opacity") < 1).any()
    different = {NAMES[i] for i in (plain != transparent).any(0).nonzero().flatten()}
    assert different == {f"sprite{k}_{name}" for k in (1, 2, 3, 4) for name in ("texture", "opacity")}
    assert torch.equal(column(textured, "texture"), column(transparent, "texture"))


def test_a_sample_depends_on_its_seed_alone_and_begins_like_a_smaller_one():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    for draw in (sample, sample_sprites):
        more = draw(100, 7)
        assert torch.equal(draw(100, 7), more) and not torch.equal(draw(100, 8), more)
        for n in (1, 2, 9):
            assert torch.equal(draw(n, 7), more[:n])
    assert torch.equal(before, torch.random.get_rng_state())


def test_scenes_have_as_many_sprites_and_only_the_shapes_that_are_asked_for():
    x = sample(300, 2, fewest=1, most=3, shapes=("heart", "disc"))
    assert set(column(x, "there").sum(1).tolist()) == {1, 2, 3}
    assert {SHAPES[int(i)] for i in column(x, "shape").unique()} == {"heart", "disc"}
    assert {SHAPES[int(i)] for i in sample_sprites(50, shapes=["moon"])[:, 1].unique()} == {"moon"}
    assert torch.equal(sample(9, shapes=("disc", "heart", "disc")), sample(9, shapes=["heart", "disc"]))


def test_hardly_a_sprite_is_hidden_and_many_overlap():
    x = sample(1500, 4)
    there, seen = column(x, "there") > 0, masks(x, 32)
    share = seen.visible[:, 1:].sum((2, 3))[there] / seen.amodal.sum((2, 3))[there]
    assert share.min() > 0.05 and share.quantile(0.01) > 0.4
    assert overlaps(x, 32).any(2).any(1).float().mean() > 0.5
    area = seen.amodal.sum((2, 3))[there]
    assert area.min() > 25 and area.max() < 32 * 32 / 6  # pixels


def test_scenes_come_apart_and_together():
    x = sample(5, 1)
    things, background = parts(x)
    assert things.shape == (5, 4, 10) and background.shape == (5, 4)
    assert torch.equal(scene(things, background), x)
    assert torch.equal(things[:, 2, SPRITE_NAMES.index("x")], x[:, scenes.index("sprite3_x")])
    assert torch.equal(background[:, 3], x[:, scenes.index("background_angle")])
    things.zero_()
    assert x.any()  # a copy


def test_factors_are_set_by_name():
    x = sample(3)
    y = with_factors(x, sprite2_x=torch.tensor([0.1, 0.2, 0.3]), background_kind=1)
    assert torch.allclose(column(y, "x")[:, 1], torch.tensor([0.1, 0.2, 0.3]))
    assert {NAMES[i] for i in (x != y).any(0).nonzero().flatten()} <= {"sprite2_x", "background_kind"}


# --- Layers and masks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 50, 128])
def test_layers_laid_over_each_other_are_the_picture(kind, size):
    x = sample(12, 5, kind)
    rgba = layers(x, size)
    assert rgba.shape == (12, 5, 4, size, size) and rgba.dtype == torch.float32
    over = reduce(lambda back, front: alpha.over(front, back), rgba.unbind(1))
    assert (over[:, 3] - 1).abs().max() < 1e-6
    assert (render(x, size) - 255 * over[:, :3]).abs().max() < 0.5 + 1e-3


def test_layers_are_premultiplied_and_those_of_absent_sprites_empty():
    x = sample(50, 5, "transparent")
    rgba, there = layers(x, 32), column(x, "there") > 0
    assert rgba.min() >= 0 and (rgba[:, :, :3] <= rgba[:, :, 3:] + 1e-6).all()
    assert (rgba[:, 0, 3] == 1).all()
    assert not rgba[:, 1:][~there].any() and rgba[:, 1:][there].amax((1, 2, 3)).min() > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_visible_shares_sum_to_one_weigh_the_colours_and_are_no_more_than_what_is_there(kind):
    x = sample(30, 6, kind)
    visible, amodal = masks(x, 48)
    assert visible.shape == (30, 5, 48, 48) and amodal.shape == (30, 4, 48, 48)
    assert visible.min() >= 0 and amodal.min() >= 0 and amodal.max() <= 1
    assert (visible.sum(1) - 1).abs().max() < 1e-5
    assert (visible[:, 1:] <= amodal + 1e-6).all()
    straight = alpha.unpremultiply(layers(x, 48).flatten(0, 1)).unflatten(0, (30, 5))
    assert ((straight[:, :, :3] * visible[:, :, None]).sum(1) * 255 - render(x, 48)).abs().max() < 0.51
    assert torch.allclose(layers(x, 48)[:, 1:, 3], amodal * column(x, "opacity")[..., None, None])


def test_the_one_in_front_is_seen_whole_and_hides_what_is_behind():
    x = made_of({"x": -0.1}, {"x": 0.1})
    visible, amodal = masks(x, 64)
    assert torch.equal(visible[0, 2], amodal[0, 1])
    assert torch.allclose(visible[0, 1], amodal[0, 0] * (1 - amodal[0, 1]))
    assert (amodal[0, 0] * amodal[0, 1]).sum() > 250  # the hidden part is known


@pytest.mark.parametrize("shape", SHAPES)
def test_opacity_mixes_what_is_with_and_without_a_sprite(shape):
    pictures = {}
    for opacity in (0.0, 0.4, 1.0):
        x = made_of({"x": -0.2, "colour": 0.3}, {"kind": shape, "colour": 0.8, "opacity": opacity}, colour=0.5)
        pictures[opacity] = render(x, 64).float()
        assert torch.equal(masks(x, 64).amodal, masks(with_factors(x, sprite2_opacity=1), 64).amodal)
    assert torch.equal(pictures[0.0], render(with_factors(x, sprite2_there=0), 64).float())
    assert not torch.equal(pictures[0.0], pictures[1.0])
    assert (pictures[0.4] - 0.6 * pictures[0.0] - 0.4 * pictures[1.0]).abs().max() <= 1


@pytest.mark.parametrize("size", [32, 64, 100])
def test_a_sprite_moved_by_pixels_moves_its_layer(size):
    x = with_factors(sample(20, 8, "transparent"), sprite1_x=-0.2, sprite1_y=0.1)
    moved = with_factors(x, sprite1_x=-0.2 + 3 * 2 / size, sprite1_y=0.1 - 2 / size)
    before, after = layers(x, size)[:, 1], layers(moved, size)[:, 1]
    assert (after - before.roll((-1, 3), (2, 3))).abs().max() < 1e-3
    assert (after - before).abs().max() > 0.3
    assert torch.equal(layers(moved, size)[:, 2:], layers(x, size)[:, 2:])


def test_a_wrong_order_changes_the_picture_in_overlaps_alone():
    x = sample(60, 9)
    things, background = parts(x)
    swapped = scene(things[:, [1, 0, 2, 3]], background)
    amodal = masks(x, 64).amodal
    both = amodal[:, 0] * amodal[:, 1] > 0
    changed = (render(x).int() - render(swapped).int()).abs().amax(1) > 1
    assert not changed[~both].any()
    seen = both & (amodal[:, 2:].amax(1) == 0) & (amodal[:, 0] + amodal[:, 1] > 1.9)
    apart = (column(x, "colour")[:, 0] - column(x, "colour")[:, 1]).abs() > 0.1
    assert seen.sum() > 500 and changed[apart & seen.any(2).any(1)][seen[apart & seen.any(2).any(1)]].all()


def test_labels_tell_what_is_in_front_however_transparent():
    x = sample(40, 10, "transparent")
    name, amodal = labels(x, 64), masks(x, 64).amodal
    assert name.dtype == torch.int64 and name.shape == (40, 64, 64)
    for k in range(1, 5):
        in_front = (amodal[:, k - 1] > 0.5) & (amodal[:, k:] <= 0.5).all(1)
        assert torch.equal(name == k, in_front)
    assert torch.equal(name == 0, (amodal <= 0.5).all(1))
    x = sample(40, 10)
    share, most = masks(x, 64).visible.max(1)
    assert torch.equal(labels(x, 64)[share > 0.5], most[share > 0.5])


def test_overlaps_are_pairs_with_enough_in_common_from_back_to_front():
    side = 2 * 0.74 * 0.4  # of a square of size 0.4
    square = {"kind": "square", "size": 0.4}
    for common in (0.0, 0.03, 0.08, 0.5):
        x = made_of(square, {**square, "x": side * (1 - common)})
        expected = torch.zeros(4, 4, dtype=torch.bool)
        expected[0, 1] = common > 0.05
        assert torch.equal(overlaps(x, 256)[0], expected)
        assert overlaps(x, 256, least=common + 0.02).sum() == 0
    small = made_of(square, {**square, "size": 0.1}, square)  # all of the small one, a sixteenth of the large one
    assert overlaps(small, 128, least=0.9).nonzero().tolist() == [[0, 0, 1], [0, 0, 2], [0, 1, 2]]


def test_a_scene_does_not_depend_on_its_batch_or_on_threads():
    x = sample(40, 3, "transparent")
    together, rgba = render(x, 64), layers(x, 64)
    assert torch.equal(torch.cat([render(row[None], 64) for row in x]), together)
    assert torch.equal(layers(x[20:21], 64), rgba[20:21])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(render(x, 64), together) and torch.equal(layers(x, 64), rgba)
    finally:
        torch.set_num_threads(threads)


def test_other_floating_point_types_and_gradients_do_not_disturb():
    x = made_of({"x": 0.25, "size": 0.5}, {"kind": "star", "texture": 2, "size": 0.5, "y": -0.25}, second=0.5)
    expected = render(x)
    for y in (x.double(), x.half(), x.bfloat16(), x.clone().requires_grad_()):
        assert torch.equal(render(y), expected) and not layers(y).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same():
    x = sample(50, 1, "transparent")
    on_gpu = render(x.cuda())
    assert on_gpu.is_cuda and (on_gpu.cpu().int() - render(x).int()).abs().max() <= 1
    assert overlaps(x.cuda()).is_cuda and labels(x.cuda()).is_cuda


# --- Sprites ----------------------------------------------------------------------------------------------------------


def test_a_sprite_alone_is_its_layer_in_a_scene():
    x = sample(10, 11, "transparent")
    things = parts(x)[0].flatten(0, 1)
    assert torch.equal(sprites(things, 48), layers(x, 48)[:, 1:].flatten(0, 1))
    single = sample_sprites(200, 1, "transparent")
    rgba = sprites(single, 32)
    assert rgba.shape == (200, 4, 32, 32)
    assert not rgba[:, :, [0, -1]].any() and not rgba[..., [0, -1]].any()  # all of it is in the picture
    assert (rgba[:, 3] > 0).float().mean((1, 2)).min() > 0.1


SQUARE = 4 * 0.74**2 - (4 - math.pi) * 0.12**2
STAR = 5 * 0.5 * math.sin(math.pi / 5)
HEART = 1.45**2 * (1 / 2 + math.pi / 8)


def moon():
    """A disc of radius R, less what it has in common with another of radius r at a distance d."""
    R, r, d = 0.95, 0.72, math.hypot(0.45, 0.12)
    a, b = (d * d + R * R - r * r) / (2 * d), (d * d + r * r - R * R) / (2 * d)  # from either centre to the chord
    lens = (
        R * R * math.acos(a / R)
        - a * math.sqrt(R * R - a * a)
        + r * r * math.acos(b / r)
        - b * math.sqrt(r * r - b * b)
    )
    return math.pi * R * R - lens


AREAS = (math.pi * 0.9**2, math.pi * (0.96**2 - 0.44**2), SQUARE, 1.24, STAR, HEART, moon())


@pytest.mark.parametrize(("shape", "area"), list(zip(SHAPES, AREAS, strict=True)))
def test_shapes_have_their_areas_at_every_size_and_lie_within_their_circle(shape, area):
    for size, pixels, error in ((1.0, 256, 0.01), (0.7, 256, 0.01), (0.7, 64, 0.02), (0.4, 32, 0.05)):
        inside = sprites(alone(shape, size=size), pixels)[0, 3]
        assert inside.mean().item() * 4 == pytest.approx(area * size**2, rel=error)
    line = (torch.arange(256) + 0.5) / 128 - 1
    radius = (line.square() + line[:, None].square()).sqrt()
    inside = sprites(alone(shape, size=0.8), 256)[0, 3]
    assert radius[inside > 0].max() < 0.8 + 0.015
    assert radius[inside > 0.5].max() > 0.8 * 0.85


@pytest.mark.parametrize("shape", SHAPES)
def test_an_angle_turns_clockwise_about_the_place(shape):
    upright = sprites(alone(shape, "checks", size=0.9), 64)
    for quarters in (-2, -1, 1, 2):
        turned = sprites(alone(shape, "checks", size=0.9, angle=quarters / 4), 64)
        assert (turned - torch.rot90(upright, -quarters, (2, 3))).abs().max() < 1e-3
    if shape in ("heart", "triangle"):
        assert torch.allclose(upright[:, 3], upright[:, 3].flip(2), atol=1e-5)
    if shape not in ("disc", "ring"):
        assert (sprites(alone(shape, angle=0.125), 64) - sprites(alone(shape), 64)).abs().max() > 0.9


def test_points_are_where_they_are_said_to_be():
    heart, triangle, star, moon = (sprites(alone(kind), 256)[0, 3] for kind in ("heart", "triangle", "star", "moon"))
    widths = [(mask > 0.5).sum(1) for mask in (heart, triangle, star)]
    assert widths[0][20:].argmax() < 110 and widths[1].argmax() > 150  # a heart is wide above, a triangle below
    assert (star[:8] > 0.5).any() and not (star[-20:] > 0.5).any()
    assert centre(moon)[0] < -0.2  # bitten from the right
    for k in range(5):  # corners between the points
        turn = math.pi / 5 + k * 2 * math.pi / 5
        for radius, is_inside in ((0.46, True), (0.54, False)):
            row, col = (int((w * radius + 1) * 128) for w in (-math.cos(turn), math.sin(turn)))
            assert (star[row, col] > 0.5) == is_inside


@pytest.mark.parametrize("shape", ["disc", "ring", "square"])
def test_a_sprite_is_at_its_place(shape):
    for x, y in ((-0.4, 0.3), (0.111, -0.222)):
        mask = masks(made_of({"kind": shape, "x": x, "y": y, "size": 0.45}), 64).amodal[0, 0]
        assert centre(mask).tolist() == pytest.approx([x, y], abs=0.002)


def test_sizes_agree():
    x = sample(20, 3, "transparent")
    large = layers(x, 256)
    for size in (32, 64, 128):
        difference = avg_pool2d(large.flatten(0, 1), 256 // size) - layers(x, size).flatten(0, 1)
        assert difference.abs().mean() < 0.03 / size  # twice the measured
    shifted = avg_pool2d(large.roll((2, 2), (3, 4)).flatten(0, 1), 4) - layers(x, 64).flatten(0, 1)
    assert shifted.abs().mean() > 5 * 0.03 / 64  # by half a pixel


def test_shapes_can_be_told_apart_at_32_pixels():
    x = sample_sprites(400, 3)
    places = torch.rand(2, 400, generator=torch.Generator().manual_seed(0)) / 16  # within a pixel
    x = with_sprite_factors(x, size=scenes.SIZES[0], x=places[0], y=places[1])
    inside = sprites(x, 32)[:, 3].flatten(1)
    nearest = torch.cdist(inside, inside).fill_diagonal_(math.inf).argmin(1)
    assert (x[nearest, 1] == x[:, 1]).float().mean() > 0.98


# --- Colours and textures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 1.0])
def test_plain_sprites_have_the_colour_of_their_place_on_the_path(place):
    expected = along(scenes.COLOURS, torch.tensor([place]))[0]
    rgba = sprites(alone("square", colour=place, second=1 - place), 32)[0]
    assert torch.allclose(rgba[:3, 10:22, 10:22], expected[:, None, None].expand(3, 12, 12), atol=1e-6)
    picture = render(made_of({"colour": place, "size": 0.5}), 64)[0, :, 32, 32]
    assert (picture - 255 * expected).abs().max() <= 0.51


def share_of_second(texture, size=256):
    """How far colours go from the first to the second, (size, size), on a square that covers the middle."""
    first, second = scenes.COLOURS[0], scenes.COLOURS[-1]
    red = sprites(alone("square", texture), size)[0, 0]
    return (red - first[0]) / (second[0] - first[0])


def at(picture, u, v):
    return picture[int((v + 1) * len(picture) / 2), int((u + 1) * len(picture) / 2)].item()


def test_textures_are_as_coarse_as_defined():
    stripes, checks, dots, gradient = map(share_of_second, ("stripes", "checks", "dots", "gradient"))
    for v in (-0.475, 0.0, 0.475):
        assert [at(stripes, u, v) for u in (-0.5, 0.0, 0.5)] == pytest.approx([float(v == 0)] * 3, abs=1e-4)
    for u in (-0.28, 0.28):
        assert [at(checks, u, v) for v in (-0.28, 0.28)] == pytest.approx([float(u > 0), float(u < 0)], abs=1e-4)
    assert checks[57:199, 57:199].mean().item() == pytest.approx(0.5, abs=0.02)  # four fields
    inner = dots[128 - 51 : 128 + 51, 128 - 51 : 128 + 51]  # one period
    assert at(dots, 0, 0) == pytest.approx(1, abs=1e-4)
    assert inner.mean().item() == pytest.approx(math.pi * 0.25**2 / 0.8**2, rel=0.03)
    assert [at(gradient, 0, v) for v in (-0.5, 0, 0.5)] == pytest.approx([0.2, 0.5, 0.8], abs=0.01)


@pytest.mark.parametrize("texture", TEXTURES[1:])
def test_textures_are_seen_at_32_pixels_on_every_shape(texture):
    x = sample_sprites(200, 2)
    x = with_sprite_factors(x, texture=TEXTURES.index(texture), size=0.36, colour=0.0, second=1.0)
    rgba = alpha.unpremultiply(sprites(x, 32))
    first, second = scenes.COLOURS[0], scenes.COLOURS[-1]
    share, inside = (rgba[:, 0] - first[0]) / (second[0] - first[0]), rgba[:, 3] > 0.9
    spread = torch.stack([s[i].std() for s, i in zip(share, inside, strict=True)])
    assert spread.min() > 0.15 and spread.median() > 0.2  # 1/2 for two halves


def test_backgrounds_lead_from_one_colour_to_the_other():
    ends = along(scenes.BACKGROUND, torch.tensor([0.1, 0.7]))
    nothing = made_of(colour=0.1, second=0.7)
    for quarter, (first, last) in enumerate(((0, -1), (-1, 0))):
        gradient = render(with_factors(nothing, background_angle=quarter / 2), 64)[0].float() / 255
        assert torch.allclose(gradient, gradient[:, :, :1].expand(3, 64, 64))  # downwards
        halfway = gradient[:, 31:33].mean((1, 2))
        assert torch.allclose(halfway, ends.mean(0), atol=0.005)
        share = 0.5 - 0.5 * (63 / 64) / math.sqrt(2)
        assert torch.allclose(gradient[:, first, 0], torch.lerp(*ends, share), atol=0.004)
        assert torch.allclose(gradient[:, last, 0], torch.lerp(*ends, 1 - share), atol=0.004)
    waves = render(with_factors(nothing, background_kind=1), 128)[0].float() / 255
    share = (waves[0] - ends[0, 0]) / (ends[1, 0] - ends[0, 0])
    assert share.min() > -0.02 and share.max() < 1.02 and share.std() > 0.25
    assert (share[:, 1:] - share[:, :-1]).abs().max() < 0.05  # soft
    sideways = with_factors(nothing, background_kind=1, background_angle=0.25)
    turned = torch.rot90(render(with_factors(nothing, background_kind=1), 128), -1, (2, 3))
    assert (render(sideways, 128).int() - turned.int()).abs().max() <= 1


def test_sprites_stand_out_from_every_background():
    places = torch.linspace(0, 1, 201)
    assert torch.cdist(along(scenes.COLOURS, places), along(scenes.BACKGROUND, places)).min() > 0.4


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be"),
        ({"kind": "plane"}, "kind must be one of plain, textured, transparent, not 'plane'. Did you mean 'plain'"),
        ({"most": 5}, "most must be a whole number from 1 to 4, not 5"),
        ({"fewest": 0}, "fewest must be a whole number from 1 to 4, not 0"),
        (
            {"fewest": 3, "most": 2},
            "fewest must be a whole number from 1 to 2, not 3. It is at most as large as `most`",
        ),
        ({"shapes": "star"}, "shapes must be a tuple of some of disc, .* not 'star'"),
        ({"shapes": ("stat",)}, "each of shapes must be one of disc, .* Did you mean 'star'"),
        ({"shapes": ()}, "shapes must name at least one of disc"),
    ],
)
def test_a_bad_wish_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        sample(**{"n": 1} | arguments)


@pytest.mark.parametrize("draw", [render, layers, masks, labels, overlaps])
def test_bad_sizes_and_factors_are_refused(draw):
    for size in (31, 257, 64.0, "64", None, True):
        with pytest.raises(ValueError, match=f"size must be a whole number from 32 to 256, not {size!r}"):
            draw(sample(1), size)
        with pytest.raises(ValueError, match="size must be"):
            sprites(sample_sprites(1), size)
    with pytest.raises(ValueError, match=r"factors must have shape \(N, 44\).* not \(2, 10\).*scenes\.sample\(n\)"):
        draw(sample_sprites(2))
    wrong = sample(2)
    wrong[1, scenes.index("sprite2_shape")] = 1.5
    words = r"sprite2_shape = 1\.5 in row 1 is not one of its whole numbers from 0 to 6 .*scenes\.with_factors\("
    with pytest.raises(ValueError, match=words):
        draw(wrong)


def test_parts_that_do_not_fit_are_refused():
    things, background = parts(sample(3))
    with pytest.raises(ValueError, match=r"sprites must have shape \(N, 4, 10\)"):
        scene(things[:, :3], background)
    with pytest.raises(ValueError, match=r"background must have shape \(3, 4\).*not \(2, 4\)"):
        scene(things, background[:2])
