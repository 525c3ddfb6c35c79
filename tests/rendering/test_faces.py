"""The truth about a portrait must be true: its masks, and what each factor does, against the definitions."""

import math
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d

from vae_helpers.rendering import faces
from vae_helpers.rendering.faces import FACTORS, NAMES, PARTS, STYLES, masks, render, sample, with_factors

HEAD = {"skin", "hair", "brows", "eyes", "mouth", "glasses"}
AFFECTS = {  # factor -> the parts that it may change
    "skin": {"skin", "brows", "mouth"},
    "hair_colour": {"hair", "brows"},
    "hair_length": {"hair"},
    "hair_texture": {"hair"},
    "fringe": {"hair"},
    "eye_size": {"eyes", "brows"},
    "gaze": {"eyes"},
    "brows": {"brows"},
    "smile": {"mouth"},
    "glasses": {"glasses"},
    "face_width": {"skin", "hair", "glasses"},
    "tilt": HEAD,
    "clothes": {"clothes"},
    "background": {"background"},
}
COLOURS = ("skin", "hair_colour", "clothes", "background")


def portrait(**values):
    """One upright portrait with short straight hair, without glasses, and with what is asked for."""
    plain = {"tilt": 0.0, "gaze": 0.0, "hair_texture": 0.0, "hair_length": 0.0, "fringe": 0.0, "glasses": 0.0}
    middle = torch.tensor([[(factor.low + factor.high) / 2 for factor in FACTORS]])
    return with_factors(middle, **plain | values)


def corners(n, seed=0):
    """Portraits with each factor at one end of its range."""
    low, high = (torch.tensor([getattr(factor, end) for factor in FACTORS]) for end in ("low", "high"))
    return (
        low
        + (high - low) * torch.randint(0, 2, (n, len(FACTORS)), generator=torch.Generator().manual_seed(seed)).float()
    )


def share(parts, names):
    return sum(parts[name] for name in names)


def area(mask):
    """In units of length, of which the picture is 2 wide."""
    return mask.sum().item() * (2 / mask.shape[-1]) ** 2


def centre(weights):
    """(x, y) of the centroid of (1, 1, size, size) weights."""
    along = (torch.arange(weights.shape[-1]) + 0.5) * 2 / weights.shape[-1] - 1
    weights = weights[0, 0].double() / weights.double().sum()
    return (weights.sum(0) @ along.double()).item(), (weights.sum(1) @ along.double()).item()


def place(x, size=256):
    """The pixel that has the coordinate x."""
    return math.floor((x + 1) / 2 * size)


# --- Factors ----------------------------------------------------------------------------------------------------------


def test_factors_are_uniform_and_independent():
    n = 20_000
    x = sample(n, seed=1).double()
    assert x.shape == (n, 14)
    uniform = [i for i, name in enumerate(NAMES) if name != "glasses"]
    u = torch.stack([(x[:, i] - FACTORS[i].low) / (FACTORS[i].high - FACTORS[i].low) for i in range(14)], dim=1)
    assert u.min() >= 0 and u.max() <= 1
    assert (u[:, uniform].mean(0) - 1 / 2).abs().max() < 5 * (1 / 12 / n) ** 0.5
    assert (u[:, uniform].var(0) - 1 / 12).abs().max() < 5 * ((1 / 80 - 1 / 144) / n) ** 0.5
    glasses = x[:, NAMES.index("glasses")]
    assert set(glasses.tolist()) == {0.0, 1.0}
    assert abs(glasses.mean() - 0.35) < 5 * (0.35 * 0.65 / n) ** 0.5
    assert (torch.corrcoef(x.T) - torch.eye(14)).abs().max() < 5 / n**0.5


def test_a_sample_depends_on_its_seed_alone_and_begins_like_a_smaller_one():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x = sample(1000, seed=7)
    for style in STYLES:
        render(x[:2], 32, style)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    for n in (1, 2, 37):
        assert torch.equal(sample(n, seed=7), x[:n])
    assert not torch.equal(sample(1000, seed=8), x) and torch.equal(sample(3), sample(3, seed=0))


def test_changed_sets_what_is_named_in_a_copy():
    x = sample(5)
    before = x.clone()
    smile, tilt = NAMES.index("smile"), NAMES.index("tilt")
    y = with_factors(x, smile=torch.linspace(0, 1, 5), tilt=-1, glasses=torch.tensor(1.0))
    assert torch.equal(x, before)
    assert torch.equal(y[:, smile], torch.linspace(0, 1, 5)) and (y[:, tilt] == -1).all()
    others = [i for i in range(14) if NAMES[i] not in ("smile", "tilt", "glasses")]
    assert torch.equal(y[:, others], x[:, others])
    x[0, smile] = math.nan
    assert torch.equal(with_factors(x, smile=0.5)[1:, others], x[1:, others])  # the cure that the error names


# --- Masks and pictures agree -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [32, 48, 100, 256])
def test_masks_are_shares(style, size):
    x = sample(4, seed=size)
    parts = masks(x, size, style)
    assert tuple(parts) == PARTS
    for mask in parts.values():
        assert mask.shape == (4, 1, size, size) and mask.dtype == torch.float32
        assert mask.min() >= 0 and mask.max() <= 1 + 1e-6
    assert (sum(parts.values()) - 1).abs().max() < 1e-5
    picture = render(x, size, style)
    assert picture.shape == (4, 3, size, size) and picture.dtype == torch.uint8


@pytest.mark.parametrize("style", ["flat", "soft", "sketch"])
def test_layers_painted_one_over_the_other_give_the_same_picture_and_masks(style):
    x, size = sample(6, seed=2), 64
    canvas, parts = torch.zeros(6, 3, size, size), torch.zeros(6, len(PARTS), size, size)
    for layer in faces._portrait(faces._Scene.of(x, size, style)):
        assert layer.coverage.min() >= 0 and layer.coverage.max() <= 1
        cover = torch.zeros(6, 1, size, size)
        cover[..., *layer.window] = layer.coverage[:, None]
        canvas = torch.lerp(canvas, layer.colour[:, :, None, None], cover)
        parts = parts * (1 - cover)
        parts[:, PARTS.index(layer.part)] += cover[:, 0]
    assert (canvas * 255 - render(x, size, style)).abs().max() < 0.502
    assert (parts - torch.cat(list(masks(x, size, style).values()), dim=1)).abs().max() < 1e-5


def test_light_changes_masks_at_edges_alone_and_tiles_average_them():
    x, size, tile = sample(8, seed=4), 100, 3
    flat, soft, mosaic = (torch.cat(list(masks(x, size, style).values()), 1) for style in ("flat", "soft", "mosaic"))
    edge = (flat > 1e-4) & (flat < 1 - 1e-4)
    assert ((flat - soft).abs() * ~edge).max() < 1e-3
    assert (
        flat - soft
    ).abs().max() < 0.6 / 4  # light of strength a covers a more of what an edge c leaves: a c (1 - c)
    whole = size // tile * tile  # the last tile of a row is cut off
    means = avg_pool2d(flat[..., :whole, :whole], tile).repeat_interleave(tile, 2).repeat_interleave(tile, 3)
    assert (mosaic[..., :whole, :whole] - means).abs().max() < 1e-5
    assert (mosaic[..., whole:, :3] - flat[..., whole:, :3].mean((2, 3), keepdim=True)).abs().max() < 1e-5


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", NAMES)
def test_a_factor_changes_the_picture_and_only_where_its_parts_are(name, style):
    x = with_factors(sample(12, seed=6), glasses=1.0, hair_length=0.4)
    factor = FACTORS[NAMES.index(name)]
    one, other = (with_factors(x, **{name: end}) for end in (factor.low, factor.high))
    differs = (render(one, 64, style) != render(other, 64, style)).any(1, keepdim=True)
    assert differs.flatten(1).any(1).all()
    before, after = masks(one, 64, style), masks(other, 64, style)
    affected = share(before, AFFECTS[name]) + share(after, AFFECTS[name]) > 0
    assert not (differs & ~affected).any()
    for part in AFFECTS[name]:
        assert (differs & (before[part] + after[part] > 0)).any(), part
    if name in COLOURS:
        assert all(torch.equal(before[part], after[part]) for part in PARTS)
    if name in COLOURS and style == "flat":
        assert differs[share(before, {name} & set(PARTS) or {"hair"}) > 0.1].all()


def test_masks_say_how_much_of_an_edited_colour_is_seen():
    x = sample(10, seed=9)
    one, other = (with_factors(x, clothes=value) for value in (0.0, 1.0))
    navy, plum = (255 * torch.tensor(colour) for colour in (faces.CLOTHES[0], faces.CLOTHES[-1]))
    change = render(other).float() - render(one).float()
    expected = masks(one)["clothes"] * (plum - navy)[:, None, None]
    along = (torch.arange(64) - 31.5) / 32
    beside_the_collar = (along.abs() > 0.33) | (along[:, None] > 0.88)
    assert ((change - expected).abs() * beside_the_collar).max() < 1.01
    assert ((change - 0.8 * expected).abs() * ~beside_the_collar).max() < 0.2 * (plum - navy).abs().max() + 1.01
    assert (change * expected >= 0).all()


def test_glasses_fade_in_evenly():
    x = sample(10, seed=11)
    none, half, full = (with_factors(x, glasses=value) for value in (0.0, 0.5, 1.0))
    assert masks(none)["glasses"].max() == 0
    assert torch.allclose(masks(half)["glasses"], masks(full)["glasses"] / 2)
    between = (render(none).float() + render(full).float()) / 2
    assert (render(half).float() - between).abs().max() < 1.01


# --- Nothing depends on how it is computed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "size", "n"),
    [
        ("flat", 32, 200),
        ("flat", 64, 200),
        ("flat", 128, 200),
        ("soft", 64, 60),
        ("sketch", 32, 200),
        ("sketch", 64, 60),
    ],
)
def test_no_layer_reaches_beyond_its_window(style, size, n, monkeypatch):
    x = corners(n, seed=size)
    in_windows = render(x, size, style)
    view = faces._Scene.view
    monkeypatch.setattr(faces._Scene, "view", lambda scene, *_, **__: view(scene))
    assert all(
        layer.window == (slice(0, size), slice(0, size))
        for layer in faces._portrait(faces._Scene.of(x[:1], size, style))
    )
    assert (render(x, size, style).int() - in_windows.int()).abs().max() <= 1


@pytest.mark.parametrize("style", STYLES)
def test_a_portrait_does_not_depend_on_its_batch_or_on_threads(style):
    x, size = sample(37, seed=3), 64
    together, parts = render(x, size, style), masks(x, size, style)
    assert torch.equal(render(x, size, style), together)
    assert torch.equal(torch.cat([render(row[None], size, style) for row in x]), together)
    alone = masks(x[20:21], size, style)
    assert all(torch.equal(alone[part], parts[part][20:21]) for part in PARTS)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(render(x, size, style), together)
        assert all(torch.equal(mask, parts[part]) for part, mask in masks(x, size, style).items())
    finally:
        torch.set_num_threads(threads)


def test_other_floating_point_types_and_gradients_do_not_disturb():
    x = with_factors(sample(2), **dict.fromkeys(NAMES, 0.5))
    expected = render(x)
    for y in (x.double(), x.half(), x.bfloat16(), x.clone().requires_grad_()):
        assert torch.equal(render(y), expected)
        assert not masks(y)["hair"].requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("style", STYLES)
def test_a_gpu_draws_the_same(style):
    x = sample(50, seed=1)
    on_gpu = render(x.cuda(), 64, style)
    assert on_gpu.is_cuda and (on_gpu.cpu().int() - render(x, 64, style).int()).abs().max() <= 1


@pytest.mark.parametrize(("style", "error"), [("flat", 2.1), ("soft", 2.3), ("sketch", 3.0)])  # twice the measured
def test_sizes_agree(style, error):
    x = sample(20, seed=3)
    large = render(x, 256, style).float()
    for size in (32, 64, 128):
        difference = avg_pool2d(large, 256 // size) - render(x, size, style).float()
        assert difference.abs().mean() < error * (64 / size if size < 64 else 1)
    shifted = avg_pool2d(large.roll(2, 3), 4) - render(x, 64, style).float()  # by half a pixel
    assert shifted.abs().mean() > 1.5 * error


def test_units_run_from_minus_one_to_one_and_back():
    ends = torch.tensor([[f.low, f.high, (f.low + f.high) / 2] for f in FACTORS]).T
    expected = torch.tensor([-1.0, 1.0, 0.0])[:, None].expand(3, 14)
    assert torch.equal(faces.to_unit(ends), expected) and torch.equal(faces.from_unit(expected), ends)
    factors = sample(1500, 4711)
    assert torch.allclose(faces.from_unit(faces.to_unit(factors)), factors, atol=1e-6)
    assert faces.from_unit(faces.to_unit(factors.double())).dtype == torch.float64


# --- Symmetry ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_tones(monkeypatch):
    """Strands and shine of hair are not symmetric, and reach a little beyond its edge: leave all tones out."""
    monkeypatch.setattr(faces._Scene, "tint", lambda *_: iter(()))


@pytest.mark.parametrize("style", ["flat", "sketch"])
@pytest.mark.parametrize("size", [32, 64, 100])
def test_an_upright_straight_haired_portrait_is_its_mirror_image(style, size, without_tones):
    x = with_factors(sample(12, seed=12), tilt=0, gaze=0, hair_texture=0)
    parts = masks(x, size, style)
    for part, mask in parts.items():
        assert (mask - mask.flip(3)).abs().max() < 1e-4, part
    picture = render(x, size, style).int()
    difference = (picture - picture.flip(3)).abs().amax(1, keepdim=True)
    assert difference[parts["eyes"] == 0].max() <= 1
    assert (difference[parts["eyes"] > 0.9] > 1).float().mean() < 0.5  # the glint alone


def test_leaning_left_mirrors_leaning_right(without_tones):
    x = sample(12, seed=13)
    x = with_factors(x, hair_texture=0, gaze=x[:, NAMES.index("gaze")] / 2)  # at the rim of an eye the glint would show
    other = with_factors(x, tilt=-x[:, NAMES.index("tilt")], gaze=-x[:, NAMES.index("gaze")])
    left, right = masks(x, 64), masks(other, 64)
    for part in PARTS:
        assert (left[part] - right[part].flip(3)).abs().max() < 1e-4, part
    difference = (render(x).int() - render(other).flip(3).int()).abs().amax(1, keepdim=True)
    assert difference[left["eyes"] == 0].max() <= 1
    assert (difference[left["eyes"] > 0.9] > 1).float().mean() < 0.5


def test_tones_do_not_reach_beyond_an_edge():
    x = with_factors(sample(12, seed=12), tilt=0, gaze=0, hair_texture=0)
    for mask in masks(x).values():
        assert (mask - mask.flip(3)).abs().max() < 0.48 / 4  # 0.16 of strands and 0.32 of shine, each a c (1 - c)


# --- Lengths, areas and colours from the definitions ------------------------------------------------------------------


def test_a_straight_edge_covers_exactly_its_share_of_a_pixel():
    scene = faces._Scene.of(sample(1), 64, "flat")
    x, edge = scene.view().x, 0.123
    assert torch.allclose(x.flatten()[[0, -1]], torch.tensor([-63 / 64, 63 / 64]))
    assert torch.allclose(scene.cover(x - edge), ((edge - (x - 1 / 64)) * 32).clamp(0, 1), atol=1e-5)


def test_shoulders_are_an_ellipse():
    clothes = masks(portrait(), 256)["clothes"][0, 0]
    y = 1 - 1 / 256  # the last row
    assert clothes[-1].sum().item() / 128 == pytest.approx(1.6 * (1 - ((y - 1.18) / 0.56) ** 2) ** 0.5, abs=0.004)
    x = (place(0.5) + 0.5) / 128 - 1
    top = 1.18 - 0.56 * (1 - (x / 0.80) ** 2) ** 0.5
    assert clothes[:, place(0.5)].sum().item() / 128 == pytest.approx(1 - top, abs=0.004)


@pytest.mark.parametrize("wide", [-1.0, 0.0, 1.0])
def test_a_face_is_as_wide_as_defined(wide):
    y = (place(0.15) + 0.5) / 128 - 1  # below the ears, above the mouth
    v = y - 0.62 + 0.69
    half = (0.40 + 0.055 * wide) * (1 - 0.30 * v) * (1 - ((v - 0.02) / 0.52) ** 2) ** 0.5
    parts = masks(portrait(face_width=wide), 256)
    assert (parts["skin"] + parts["mouth"])[0, 0, place(0.15)].sum().item() / 128 == pytest.approx(2 * half, abs=0.006)
    ears = (parts["skin"][0, 0, place(-0.01)] > 0.5).nonzero().flatten()
    assert (ears[-1] - ears[0] + 1).item() / 128 == pytest.approx(2 * (0.395 + 0.055 * wide + 0.075), abs=0.02)


def test_brows_and_mouth_have_their_areas():
    brows = 2 * 0.23 * 0.04 * 1.12
    assert area(masks(portrait(), 256)["brows"]) == pytest.approx(brows, rel=0.03)
    half, opening = 0.2, 0.115
    reach = half + 0.012
    lips = opening * 2 * (reach - reach**3 / (3 * half**2)) + 0.038 * 2 * reach
    assert area(masks(portrait(smile=1), 256)["mouth"]) == pytest.approx(lips, rel=0.03)
    grows = [area(masks(portrait(smile=value), 256)["mouth"]) for value in (0, 0.25, 0.5, 0.75, 1)]
    assert all(b > 1.1 * a for a, b in pairwise(grows))
    rims = 2 * math.pi * 0.15 * 0.13 * 2 * 0.03 / (0.15 * 0.13) ** 0.5
    bars = 0.026 * (2 * 0.05 + 0.06)  # what the rims leave uncovered of temples and bridge, roughly
    assert area(masks(portrait(glasses=1), 256)["glasses"]) == pytest.approx(rims + bars, rel=0.05)


def test_eyes_grow_and_look_where_they_are_told():
    sizes = [area(masks(portrait(eye_size=value), 256)["eyes"]) for value in (0, 0.5, 1)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] / sizes[0] == pytest.approx((1.22 / 0.80) ** 2, rel=0.06)
    assert sizes[1] > 2 * math.pi * 0.100 * 0.092 * 1.01**2  # the whites
    assert centre(masks(portrait(), 256)["eyes"])[0] == pytest.approx(0, abs=1e-3)
    left = masks(portrait(), 256)["eyes"]
    left[..., 128:] = 0
    assert centre(left)[0] == pytest.approx(-0.185, abs=0.003)
    for eye in (-0.185, 0.185):
        near = ((torch.arange(256) + 0.5) / 128 - 1 - eye).abs() < 0.185
        pupils = []
        for gaze in (-1.0, 0.0, 1.0):
            x = portrait(gaze=gaze)
            dark = (render(x, 256).float().mean(1, keepdim=True) < 20) & (masks(x, 256)["eyes"] > 0.9) & near
            pupils.append(centre(dark.float())[0])
        assert [pupil - eye for pupil in pupils] == pytest.approx([-0.048, 0, 0.048], abs=0.006)


@pytest.mark.parametrize("tilt", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_heads_lean_about_the_neck(tilt):
    angle = math.radians(14) * tilt
    brows = masks(portrait(tilt=tilt), 256)["brows"]
    above = 0.69 + 0.200 + 0.01 + 0.026 * (0.6 - 1 / 3)  # the neck, brows of an average height
    x, y = centre(brows)
    assert x == pytest.approx(above * math.sin(angle), abs=0.004)
    assert y == pytest.approx(0.62 - above * math.cos(angle), abs=0.004)


def test_brows_rise():
    low, high = (centre(masks(portrait(brows=value), 256)["brows"])[1] for value in (-1, 1))
    assert low - high == pytest.approx(0.11, abs=0.002)


@pytest.mark.parametrize(("length", "end"), [(0.3, 0.174), (0.6, 0.468), (0.8, 0.664)])
def test_hair_is_as_long_as_defined(length, end):
    hair = masks(portrait(hair_length=length), 256)["hair"][0, 0]
    rows = (hair > 0.5).any(1).nonzero().flatten()
    assert (rows[-1] + 1).item() / 128 - 1 == pytest.approx(end - 0.69 + 0.62, abs=0.012)
    assert rows[0].item() / 128 - 1 == pytest.approx(-0.02 - 0.675 - 0.69 + 0.62, abs=0.012)


@pytest.mark.parametrize("fringe", [0.0, 0.4, 0.8])
def test_a_fringe_comes_down_the_forehead(fringe):
    column = masks(portrait(fringe=fringe), 256)["hair"][0, 0, :, 128]
    hairline = (column > 0.5).nonzero().flatten()[-1].item() + 1
    assert hairline / 128 - 1 == pytest.approx(-0.46 + 0.22 * fringe - 0.69 + 0.62, abs=0.012)


@pytest.mark.parametrize(
    ("name", "path", "x", "y", "shade"),
    [
        ("background", faces.BACKGROUND, -0.99, -0.99, 0.93),
        ("clothes", faces.CLOTHES, 0.0, 0.97, 1.0),
        ("skin", faces.SKIN, 0.0, 0.42, 1.0),
    ],
)
def test_colours_are_those_of_the_paths(name, path, x, y, shade):
    places = torch.linspace(0, 1, 2 * len(path) - 1)  # each colour, and half-way to the next
    picture = render(with_factors(portrait().repeat(len(places), 1), **{name: places}), 64)
    stops = torch.tensor(path)
    expected = torch.stack(
        [stops[i // 2] if i % 2 == 0 else stops[i // 2 : i // 2 + 2].mean(0) for i in range(len(places))]
    )
    assert (picture[:, :, place(y, 64), place(x, 64)] - 255 * shade * expected).abs().max() < 0.51


# --- Styles -----------------------------------------------------------------------------------------------------------


def test_light_comes_from_the_upper_left():
    x = portrait(clothes=0.5)
    brighter = render(x, 128, "soft").float().mean((0, 1)) - render(x, 128, "flat").float().mean((0, 1))
    inside = masks(x, 128)
    skin, clothes = inside["skin"][0, 0] > 0.99, inside["clothes"][0, 0] > 0.99
    row, column = torch.arange(128)[:, None], torch.arange(128)
    assert brighter[skin & (row + column < 92)].mean() > 3
    assert brighter[skin & (row + column > 140) & (row < 90)].mean() < -5
    assert brighter[clothes & (torch.arange(128) > 90)].mean() < brighter[clothes & (torch.arange(128) < 38)].mean() - 5
    assert brighter[inside["background"][0, 0] == 1].abs().max() == 0


def test_ink_lines_are_there_and_thin():
    x = with_factors(sample(8, seed=5), hair_colour=1, skin=0, clothes=0.6, glasses=0)
    x = with_factors(x, hair_texture=torch.linspace(0, 1, 8))
    picture, parts = render(x, 256, "sketch"), masks(x, 256, "sketch")
    distance = (picture - 255 * torch.tensor(faces.INK)[:, None, None]).abs().amax(1, keepdim=True)
    ink = ((distance < 30) & (parts["eyes"] == 0)).float()
    assert (ink.mean((1, 2, 3)) > 0.01).all()
    assert (-max_pool2d(-ink, 7)).max() == 0  # no blot: nowhere 7 x 7 pixels, where a line is 0.022 * 128 wide
    assert ink[:, 0, 255].sum(1).min() >= 4  # both ends of the shoulders


@pytest.mark.parametrize(("size", "tile"), [(32, 2), (64, 2), (100, 3), (256, 8)])
def test_tiles_have_one_colour_each(size, tile):
    picture = render(sample(3, seed=1), size, "mosaic").int()
    count = size // tile
    tiles = picture[..., : count * tile, : count * tile].unflatten(3, (count, tile)).unflatten(2, (count, tile))
    inner = tiles[:, :, :, : tile - 1 if tile >= 4 else tile, :, : tile - 1 if tile >= 4 else tile]
    assert torch.equal(inner.amax((3, 5)), inner.amin((3, 5)))
    flat = avg_pool2d(render(sample(3, seed=1), size).float()[..., : count * tile, : count * tile], tile)
    brightness = inner[:, :, :, 0, :, 0] / flat.clamp(min=1)
    bright = (flat > 100) & (flat < 240)
    assert brightness[bright].min() > 0.92 and brightness[bright].max() < 1.06
    assert brightness[bright].std() > 0.02
    if tile >= 4:
        assert (tiles[:, :, :, -1, :, 0].float() / inner[:, :, :, 0, :, 0].clamp(min=1))[bright].mean() < 0.9


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -3, 2.0, "3", None, True])
def test_a_bad_number_of_portraits_is_refused(n):
    with pytest.raises(ValueError, match=f"n must be a whole number of at least 1, not {n!r}"):
        sample(n)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "3", None, False])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed must be a whole number .*, not {seed!r}"):
        sample(1, seed)


@pytest.mark.parametrize("draw", [render, masks])
def test_bad_sizes_and_styles_are_refused(draw):
    for size in (31, 257, 64.0, "64", None, True):
        with pytest.raises(ValueError, match=f"size must be a whole number from 32 to 256, not {size!r}"):
            draw(sample(1), size)
    for style in ("oil", "Flat", None, 3, ["flat"]):
        with pytest.raises(ValueError, match="style must be one of flat, soft, sketch, mosaic, not "):
            draw(sample(1), 64, style)


@pytest.mark.parametrize("use", [render, masks, with_factors, faces.check_factors])
@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ([0.5] * 14, TypeError, r"factors must .* not list\. faces.sample\(n\) draws some"),
        (torch.zeros(2, 14, dtype=torch.long), TypeError, r"not int64.*factors.float\(\)"),
        (torch.zeros(2, 14, dtype=torch.complex64), TypeError, "not complex64"),
        (torch.zeros(14), ValueError, r"shape \(N, 14\).* not \(14,\).* one portrait is factors\[:1\]"),
        (torch.zeros(2, 13), ValueError, r"shape \(N, 14\).* not \(2, 13\)"),
        (torch.zeros(0, 14), ValueError, r"no empty axis, not \(0, 14\)"),
        (torch.zeros(1, 2, 14), ValueError, r"not \(1, 2, 14\)"),
        (torch.full((1, 14), math.nan), ValueError, "skin = nan in row 0 is outside its range of 0 to 1"),
        (
            torch.full((1, 14), -0.1),
            ValueError,
            r"skin = -0.1 in row 0 .*light ... dark.* faces.with_factors\(factors, skin=",
        ),
        (torch.full((1, 14), 1.01), ValueError, "skin = 1.01 in row 0"),
        (torch.full((1, 14), math.inf), ValueError, "skin = inf in row 0"),
    ],
)
def test_bad_factors_are_named_with_a_cure(use, bad, error, words):
    with pytest.raises(error, match=words):
        use(bad)


def test_the_row_and_factor_out_of_range_are_named():
    for name, value in (("gaze", -1.5), ("hair_colour", -0.5), ("tilt", 1.5)):
        x = sample(5)
        x[3, NAMES.index(name)] = value
        with pytest.raises(ValueError, match=f"{name} = {value} in row 3"):
            render(x)
    assert render(with_factors(sample(2), gaze=-1.0, brows=-1.0, tilt=1.0)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"smiel": 1.0}, ValueError, "a factor must be one of skin, hair_colour.* not 'smiel'. Did you mean 'smile'"),
        ({"smile": 1.5}, ValueError, "smile = 1.5 in row 0 is outside its range of 0 to 1"),
        ({"smile": math.nan}, ValueError, "smile = nan"),
        ({"smile": torch.zeros(2)}, ValueError, r"smile has shape \(2,\), but there are 3 portraits.*shape \(3,\)"),
        ({"smile": torch.zeros(3, 1)}, ValueError, r"smile has shape \(3, 1\)"),
        ({"smile": torch.zeros(1)}, ValueError, r"smile has shape \(1,\)"),
        ({"smile": "broad"}, TypeError, "smile must be a real number .*torch.tensor.* not 'broad'"),
        ({"smile": [0.0, 0.5, 1.0]}, TypeError, r"smile must be .* not \[0.0, 0.5, 1.0\]"),
        ({"smile": 1j}, TypeError, "smile must be a real number .* not 1j"),
        ({"smile": torch.zeros(3, dtype=torch.complex64)}, TypeError, r"smile must .* not Tensor complex64 \(3,\)"),
        ({"smile": None}, TypeError, "smile must .* not None"),
    ],
)
def test_bad_changes_are_named_with_a_cure(values, error, words):
    with pytest.raises(error, match=words):
        with_factors(sample(3), **values)
