"""The truth about a lit solid: camera, lamp, colours and shares against their definitions."""

import math

import pytest
import torch
from torch.nn.functional import avg_pool2d

from vae_helpers import alpha
from vae_helpers.rendering import shapes, solids
from vae_helpers.rendering.shapes import (
    FACTORS,
    KINDS,
    NAMES,
    OBJECT,
    VIEW,
    layers,
    masks,
    render,
    sample,
    with_factors,
)
from vae_helpers.rendering.solids import SOLIDS, length
from vae_helpers.rendering.tracing import NEAR


def solid(kind, n=1, **values):
    """A matt plain solid of middling shape, seen and lit from the front unless told otherwise."""
    middle = torch.tensor([[(factor.low + factor.high) / 2 for factor in FACTORS]]).repeat(n, 1)
    plain = {"stripes": 0.0, "gloss": 0.0, "camera_azimuth": 0.0, "light_azimuth": 0.0}
    return with_factors(middle, kind=KINDS.index(kind), **plain | values)


def corners(n, seed=0):
    """Factors at either end of their ranges, kinds in turn."""
    low, high = shapes.TABLE.ranges(torch.zeros(()))
    ends = torch.randint(0, 2, (n, len(FACTORS)), generator=torch.Generator().manual_seed(seed)).float()
    factors = low + (high - low) * ends
    factors[:, 0] = torch.arange(n) % len(KINDS)
    return factors


def brightness(layer):
    return layer[:, :3].mean(1)


def turn_mugs_into_balls(monkeypatch, radius):
    """Mugs become balls about what the camera looks at."""

    def parts(points, sizes):
        gap = length(points[0], points[1], points[2] - shapes.MIDDLE) - radius
        return gap, gap + 9

    def bounds(sizes):
        return torch.full_like(sizes[0], radius + 0.01), torch.full_like(sizes[0], shapes.MIDDLE + radius + 0.01)

    plain = SOLIDS["mug"]._replace(parts=parts, bounds=bounds, colours=lambda points, sizes, gaps, paint: paint.body)
    monkeypatch.setitem(SOLIDS, "mug", plain)


@pytest.fixture
def a_ball(monkeypatch):
    turn_mugs_into_balls(monkeypatch, 0.4)


@pytest.fixture
def without_handle(monkeypatch):
    """Mugs become bodies of revolution."""

    def parts(points, sizes):
        body, _ = solids.mug_parts(points, sizes)
        return body, body + 9

    monkeypatch.setitem(SOLIDS, "mug", SOLIDS["mug"]._replace(parts=parts))


# --- Factors ----------------------------------------------------------------------------------------------------------


def test_factors_are_uniform_and_independent():
    n = 20_000
    x = sample(n, seed=1).double()
    assert x.shape == (n, 12)
    for k in range(len(KINDS)):
        assert abs((x[:, 0] == k).double().mean() - 1 / 4) < 5 * (3 / 16 / n) ** 0.5
    low, high = shapes.TABLE.ranges(x)
    u = ((x - low) / (high - low))[:, 1:]
    assert u.min() >= 0 and u.max() <= 1
    assert (u.mean(0) - 1 / 2).abs().max() < 5 * (1 / 12 / n) ** 0.5
    assert (u.var(0) - 1 / 12).abs().max() < 5 * ((1 / 80 - 1 / 144) / n) ** 0.5
    assert (torch.corrcoef(x.T) - torch.eye(12)).abs().max() < 5 / n**0.5


def test_a_sample_depends_on_its_seed_alone_and_begins_like_a_smaller_one():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x = sample(100, seed=7)
    render(x[:2], 32)
    assert torch.equal(before, torch.get_rng_state())
    for n in (1, 2, 37):
        assert torch.equal(sample(n, seed=7), x[:n])
    assert not torch.equal(sample(100, seed=8), x) and torch.equal(sample(3), sample(3, seed=0))


def test_what_is_named_is_set_in_a_copy():
    x = sample(5)
    before = x.clone()
    y = with_factors(x, kind=torch.tensor([0, 1, 2, 3, 0]), tall=torch.linspace(0, 1, 5), camera_azimuth=-180)
    assert torch.equal(x, before)
    assert y[:, 0].tolist() == [0, 1, 2, 3, 0] and torch.equal(y[:, 1], torch.linspace(0, 1, 5))
    assert (y[:, shapes.index("camera_azimuth")] == -180).all()
    others = [i for i, name in enumerate(NAMES) if name not in ("kind", "tall", "camera_azimuth")]
    assert torch.equal(y[:, others], x[:, others])
    assert OBJECT + VIEW == NAMES and len(VIEW) == 4


def test_views_of_a_solid_share_what_it_is_and_differ_in_camera_and_lamp():
    x = sample(6, seed=3)
    y = shapes.with_views(x, 3, seed=5)
    assert y.shape == (18, 12)
    assert torch.equal(y[:, :8], x[:, :8].repeat_interleave(3, 0))
    assert all(len(y[:, i].unique()) == 18 for i in range(8, 12))
    low, high = shapes.TABLE.ranges(y)
    assert ((y >= low) & (y <= high)).all()
    assert torch.equal(shapes.with_views(x[:2], 3, seed=5), y[:6])
    assert not torch.equal(shapes.with_views(x, 3, seed=6), y)


def test_inputs_of_a_network_are_one_hot_periodic_and_within_one():
    x = with_factors(sample(50, seed=2), kind=torch.arange(50) % 4)
    inputs = shapes.as_inputs(x)
    assert inputs.shape == (50, 17) and inputs.abs().max() <= 1
    assert torch.equal(inputs[:, :4], torch.eye(4).repeat(13, 1)[:50])
    assert torch.allclose(inputs[:, 4], 2 * x[:, 1] - 1)
    assert torch.equal(torch.cat([shapes.as_inputs(x, OBJECT), shapes.as_inputs(x, VIEW)], 1), inputs)
    view = shapes.as_inputs(x, VIEW)
    angle = torch.atan2(view[:, 1], view[:, 0]).rad2deg()
    assert torch.allclose(angle, x[:, 8], atol=1e-3)
    ends = torch.stack([shapes.as_inputs(with_factors(x, camera_azimuth=end), VIEW) for end in (-180.0, 180.0)])
    assert torch.allclose(ends[0], ends[1], atol=1e-6)
    assert torch.allclose(view[:, 2], (x[:, 9] - 29) / 21, atol=1e-6)


# --- Pictures and layers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 48, 100, 256])
def test_pictures_and_layers_have_their_form(size):
    x = with_factors(sample(4, seed=size), kind=torch.arange(4))
    picture, layer = render(x, size), layers(x, size)
    assert picture.shape == (4, 3, size, size) and picture.dtype == torch.uint8
    assert layer.shape == (4, 4, size, size) and layer.dtype == torch.float32
    assert layer.min() >= 0 and (layer[:, :3] <= layer[:, 3:] + 1e-6).all() and layer.max() <= 1
    assert torch.equal(masks(x, size), layer[:, 3:])
    assert ((layer[:, 3] * 4).round() / 4 - layer[:, 3]).abs().max() < 1e-6  # of four rays
    assert (layer[:, 3].mean((1, 2)) > 0.05).all()


def test_a_picture_is_its_layer_over_its_floor():
    x = sample(8, seed=1)
    layer, picture = layers(x), render(x).float() / 255
    opaque, clear = layer[:, 3:] == 1, layer[:, 3:] == 0
    assert ((picture - layer[:, :3]) * opaque).abs().max() < 0.502 / 255
    assert (picture.amin(1, keepdim=True)[clear] > 0.3).all()  # a light floor, in shadow too
    floor = torch.cat([torch.full((8, 3, 64, 64), 0.8), torch.ones(8, 1, 64, 64)], 1)
    laid = alpha.over(layer, floor)
    assert torch.allclose(laid[:, 3], torch.ones(8, 64, 64), atol=1e-6)
    edge = ~opaque & ~clear
    behind = (picture - layer[:, :3]) / (1 - layer[:, 3:]).clamp(min=0.25)
    assert (behind.masked_select(edge) > 0.3).all() and (behind.masked_select(edge) < 1.01).all()


@pytest.mark.parametrize("size", [32, 100])
def test_rays_sent_one_by_one_see_the_same(size):
    """Without cones: every ray of every pixel from the camera, in double precision, by many small steps."""
    x = with_factors(sample(4, seed=11), kind=torch.arange(4), camera_elevation=torch.tensor([8.0, 20, 35, 50]))
    x = with_factors(x, tall=1.0, wide=1.0) if size == 100 else x  # almost to the border
    found = masks(x, size)[:, 0]
    for row, kind in enumerate(KINDS):
        values = dict(zip(NAMES, x[row].double().tolist(), strict=True))
        turn, rise = math.radians(values["camera_azimuth"]), math.radians(values["camera_elevation"])
        back = [math.sin(turn) * math.cos(rise), -math.cos(turn) * math.cos(rise), math.sin(rise)]
        back = torch.tensor(back, dtype=torch.float64)
        right = torch.tensor([math.cos(turn), math.sin(turn), 0], dtype=torch.float64)
        up = torch.linalg.cross(back, right)
        share = 0
        for dx, dy in shapes.SAMPLES:
            line = torch.arange(size, dtype=torch.float64) + 0.5
            across, down = ((line + d) * 2 / size - 1 for d in (dx, dy))
            way = -back + shapes.HALF * (across[None, :, None] * right - down[:, None, None] * up)
            way = (way / way.norm(dim=2, keepdim=True)).flatten(0, 1).T  # (3, size^2)
            camera = shapes.AWAY * back + torch.tensor([0, 0, shapes.MIDDLE])
            sizes = SOLIDS[kind].sizes(*x[row, 1:4].double()[:, None]).expand(-1, size * size)
            gone = torch.full((size * size,), 3.5, dtype=torch.float64)
            for _ in range(300):
                gap = SOLIDS[kind].distance(camera[:, None] + gone * way, sizes)
                gone = gone + torch.where(gap < NEAR, 0, gap)
            points = camera[:, None] + gone * way
            share = share + ((gap < NEAR) & (points[2] > 0)).view(size, size).double() / 4
        assert (share - found[row]).abs().mean() < 1e-4, kind
        assert (share - found[row]).abs().max() <= 0.5, kind


def test_nothing_reaches_beyond_the_picture():
    share = masks(corners(256), 64)[:, 0]
    assert max(share[:, [0, -1]].max(), share[:, :, [0, -1]].max()) == 0


def test_a_picture_does_not_depend_on_its_batch_or_on_threads():
    x = sample(37, seed=3)
    together, shares = render(x, 48), masks(x, 48)
    assert torch.equal(render(x, 48), together)
    assert torch.equal(torch.cat([render(row[None], 48) for row in x]), together)
    assert torch.equal(masks(x[20:21], 48), shares[20:21])
    assert torch.equal(render(x.flip(0), 48), together.flip(0))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(render(x, 48), together)
    finally:
        torch.set_num_threads(threads)


def test_other_floating_point_types_and_gradients_do_not_disturb():
    x = with_factors(solid("bird"), camera_elevation=20.0, camera_azimuth=32.0, light_azimuth=-64.0)
    expected = render(x)
    for y in (x.double(), x.half(), x.bfloat16(), x.clone().requires_grad_()):
        assert torch.equal(render(y), expected)
        assert not layers(y).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same():
    x = sample(50, seed=1)
    on_gpu = render(x.cuda())
    assert on_gpu.is_cuda and (on_gpu.cpu().int() - render(x).int()).abs().float().mean() < 0.05


def test_sizes_agree():
    x = sample(24, seed=3)
    large, share = render(x, 256).float(), masks(x, 256)
    for size in (32, 64, 128):
        difference = avg_pool2d(large, 256 // size) - render(x, size).float()
        assert difference.abs().mean() < 0.9 * (64 / size) ** 0.5
        off = avg_pool2d(share, 256 // size) - masks(x, size)
        assert off.abs().max() < 0.45 and off.mean().abs() < 1e-3
    shifted = avg_pool2d(large.roll(2, 3), 4) - render(x, 64).float()  # by half a pixel
    assert shifted.abs().mean() > 1.5 * 0.9


# --- The camera -------------------------------------------------------------------------------------------------------


def test_a_full_turn_changes_nothing():
    x = sample(8, seed=5)
    for name in ("camera_azimuth", "light_azimuth"):
        assert torch.equal(render(with_factors(x, **{name: -180.0})), render(with_factors(x, **{name: 180.0}))), name
        assert not torch.equal(render(with_factors(x, **{name: -180.0})), render(with_factors(x, **{name: 0.0})))


@pytest.mark.parametrize("turn", [-150.0, 40.0, 90.0])
def test_camera_and_lamp_turned_together_about_a_body_of_revolution_change_nothing(turn, without_handle):
    x = with_factors(sample(6, seed=6), kind=0, camera_azimuth=0.0, light_azimuth=60.0)
    turned = with_factors(x, camera_azimuth=turn, light_azimuth=(60 + turn + 180) % 360 - 180)
    one, other = layers(x), layers(turned)
    assert (one - other).abs().mean() < 1e-3
    assert (render(x).int() - render(turned).int()).abs().float().mean() < 0.4
    alone = layers(with_factors(x, camera_azimuth=turn))  # the lamp stays: it comes from elsewhere then
    assert torch.allclose(alone[:, 3], one[:, 3], atol=0.51) and (alone - one).abs().mean() > 5e-3


def test_a_turned_mug_with_a_handle_is_another_picture():
    one, other = (masks(solid("mug", camera_azimuth=angle)) for angle in (0.0, 90.0))
    assert (one - other).abs().mean() > 0.01


@pytest.mark.parametrize(("azimuth", "side"), [(0.0, 1), (180.0, -1), (90.0, 0), (-90.0, 0)])
def test_the_handle_is_to_the_right_seen_from_the_front(azimuth, side):
    share = masks(solid("mug", camera_azimuth=azimuth, camera_elevation=10.0), 128)[0, 0]
    columns = (share.sum(0) > 0).nonzero()[:, 0]
    assert (columns[0] + columns[-1] - 127).sign() * (abs(columns[0] + columns[-1] - 127) > 6) == side


def test_the_bird_looks_at_who_stands_in_front_and_to_the_left_of_who_stands_at_its_left():
    front, right = (layers(solid("bird", camera_azimuth=a, camera_elevation=10.0), 128) for a in (0.0, 90.0))
    head = slice(20, 64)
    eyes = ((front[:, :3].amax(1) < 0.3) & (front[:, 3] == 1))[0, head]
    columns = eyes.any(0).nonzero()[:, 0]
    assert columns[0] < 60 and columns[-1] > 67 and not eyes[:, 63:65].any()  # two of them
    amber = ((right[:, 0] - right[:, 2] > 0.35) & (right[:, 3] == 1))[0, head]
    assert amber.any(0).nonzero()[:, 0].float().mean() < 50  # its beak, to the left of the picture's middle


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.0, 8.0), (70.0, 30.0), (-130.0, 50.0)])
def test_rays_come_from_the_camera_through_their_places(azimuth, elevation):
    x = with_factors(solid("mug"), camera_azimuth=azimuth, camera_elevation=elevation)
    scene = shapes._Scene.of(x, SOLIDS["mug"])
    places = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the middle, right, below
    rays = scene.rays(torch.zeros(3, dtype=torch.long), places)
    assert torch.allclose(rays.way.norm(dim=0), torch.ones(3), atol=1e-6)
    turn, rise = math.radians(azimuth), math.radians(elevation)
    camera = rays.origin[:, 0]
    assert camera[2].item() == pytest.approx(shapes.MIDDLE + shapes.AWAY * math.sin(rise), abs=1e-5)
    assert math.degrees(math.atan2(camera[0], -camera[1])) == pytest.approx(azimuth, abs=1e-3)
    middle = torch.tensor([0, 0, shapes.MIDDLE])
    assert torch.allclose(camera + shapes.AWAY * rays.way[:, 0], middle, atol=1e-5)
    sides = [camera + rays.way[:, i] * shapes.AWAY / (rays.way[:, i] @ rays.way[:, 0]) - middle for i in (1, 2)]
    half = shapes.HALF * shapes.AWAY
    assert torch.allclose(sides[0], half * torch.tensor([math.cos(turn), math.sin(turn), 0]), atol=1e-5)
    assert sides[1][2].item() == pytest.approx(-half * math.cos(rise), abs=1e-5)


def test_a_ball_is_as_large_as_perspective_has_it(a_ball):
    x = with_factors(sample(6, seed=8), kind=0)
    radius = math.tan(math.asin(0.4 / shapes.AWAY)) / shapes.HALF
    for size in (32, 256):
        area = masks(x, size).mean((1, 2, 3)) * 4
        assert torch.allclose(area, torch.full((6,), math.pi * radius**2), rtol=0.01 if size == 256 else 0.04)


@pytest.mark.parametrize("size", [64, 100])
def test_what_is_larger_than_the_picture_is_seen_up_to_its_border(size, monkeypatch):
    turn_mugs_into_balls(monkeypatch, 1.1)
    share = masks(solid("mug", camera_elevation=50.0), size)[0, 0]
    assert (share[size // 2, [0, -1]] == 1).all() and share[0, size // 2] == 1


# --- Light and colour -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("light", "camera"), [(90.0, 0.0), (-90.0, 0.0), (0.0, 90.0), (170.0, 80.0)])
def test_the_side_that_faces_the_lamp_is_brighter(light, camera, a_ball):
    layer = layers(solid("mug", light_azimuth=light, camera_azimuth=camera), 64)
    bright = brightness(layer)[0]
    left, right = bright[:, :32].sum().item(), bright[:, 32:].sum().item()
    assert (right > 1.1 * left) == (math.sin(math.radians(light - camera)) > 0)
    assert (left > 1.1 * right) == (math.sin(math.radians(light - camera)) < 0)


def test_a_ball_is_lit_by_the_cosine_law(a_ball):
    x = solid("mug", light_azimuth=50.0, light_elevation=40.0, camera_elevation=20.0)
    scene = shapes._Scene.of(x, SOLIDS["mug"])
    rays = shapes._met(scene, 64)
    lit = shapes._lit(scene, rays)
    normal = (rays.points() - torch.tensor([0, 0, shapes.MIDDLE])[:, None]) / 0.4
    facing = (normal * scene.lamp).sum(0)
    turn, rise = math.radians(50), math.radians(40)
    lamp = [math.sin(turn) * math.cos(rise), -math.cos(turn) * math.cos(rise), math.sin(rise)]
    assert torch.allclose(scene.lamp[:, 0], torch.tensor(lamp), atol=1e-6)
    body = shapes.along(shapes.BODY, torch.tensor([0.5]))[0]
    sky = (0.82 + 0.28 * normal[2]) * (0.75 + 0.25 * (rays.points()[2] / 0.25).clamp(0, 1))
    from_lamp = lit / body[:, None] - torch.tensor(shapes.SKY)[:, None] * sky
    expected = torch.tensor(shapes.LAMP)[:, None] * facing.clamp(min=0)
    bright = (facing > 0.25) & (lit < 0.999).all(0)
    assert (from_lamp - expected)[:, bright].abs().max() < 0.03
    assert (from_lamp - expected)[:, facing < -0.05].abs().max() < 0.01


def test_shadows_lie_away_from_the_lamp_and_lengthen_as_it_sinks():
    """On the floor, beside a mug, seen from the front."""

    def shade(**values):
        x = solid("mug", camera_elevation=40.0, **values)
        floor = shapes._floor(shapes._Scene.of(x, SOLIDS["mug"]), torch.zeros(1, 64, 64))[0].mean(0)
        return (floor < 0.80).float()

    left, right, low, high = (
        shade(light_azimuth=azimuth, light_elevation=elevation)
        for azimuth, elevation in ((90.0, 50.0), (-90.0, 50.0), (90.0, 30.0), (90.0, 70.0))
    )
    assert left[:, :20].sum() > 50 and left[:, 50:].sum() == 0
    assert right[:, 50:].sum() > 30 and right[:, :14].sum() == 0
    assert low.sum() > 1.15 * high.sum()
    assert shade(light_azimuth=180.0)[48:].sum() > 3 * shade(light_azimuth=0.0)[48:].sum()  # towards the camera


def test_a_long_shadow_is_seen_to_its_end():
    def floor_at(y, light):
        """The brightness of the floor at (0, y, 0) behind a house, through it, seen from the front."""
        x = solid("house", tall=1.0, detail=1.0, camera_elevation=30.0, light_azimuth=light, light_elevation=30.0)
        scene = shapes._Scene.of(x, SOLIDS["house"])
        _, down, ahead = scene.axes[:, :, 0]
        away = torch.tensor([0.0, y, 0.0]) - scene.camera[:, 0]
        row = ((away @ down) / (away @ ahead) / shapes.HALF + 1) * 32
        return shapes._floor(scene, torch.zeros(1, 64, 64))[0, :, int(row), 32].mean().item()

    for y in (1.2, 1.6):
        assert floor_at(y, 0.0) < 0.93 * floor_at(y, 180.0)
    assert floor_at(2.9, 0.0) == pytest.approx(floor_at(2.9, 180.0))


def test_a_solid_throws_a_shadow_on_itself(monkeypatch):
    x = solid("chair", light_azimuth=180.0, light_elevation=45.0, camera_elevation=40.0)
    shaded = layers(x)
    monkeypatch.setattr(shapes._Scene, "light_at", lambda scene, picture, points: torch.ones_like(points[0]))
    open_ = layers(x)
    assert torch.equal(shaded[:, 3], open_[:, 3]) and (shaded <= open_ + 1e-6).all()
    darker = (open_ - shaded)[:, 1] > 0.1
    seat = shaded[:, 3].sum() / 3  # a third of the chair, or more: the panel lies between the seat and the lamp
    assert 0.2 * seat < darker.sum() < 2 * seat


def test_a_bird_lit_and_seen_from_the_left_is_the_mirror_image_of_one_from_the_right():
    x = with_factors(sample(6, seed=14), kind=2)
    turn, light = x[:, shapes.index("camera_azimuth")], x[:, shapes.index("light_azimuth")]
    mirrored = with_factors(x, camera_azimuth=-turn, light_azimuth=-light)
    difference = (render(x, 128).int() - render(mirrored, 128).flip(3).int()).abs().float()
    assert difference.mean() < 0.8  # the four rays of a pixel are no mirror image of themselves
    assert (render(x, 128).int() - render(x, 128).flip(3).int()).abs().float().mean() > 5 * 0.8


@pytest.mark.parametrize("name", ["body_colour", "part_colour", "stripes", "gloss", "light_azimuth", "light_elevation"])
def test_colour_and_light_change_pictures_and_no_shares(name):
    x = with_factors(sample(12, seed=6), kind=torch.arange(12) % 4, stripes=0.5, camera_elevation=30.0)
    factor = FACTORS[shapes.index(name)]
    middle = (factor.low + factor.high) / 2
    one, other = (layers(with_factors(x, **{name: value})) for value in (factor.low, middle))
    assert torch.equal(one[:, 3], other[:, 3])
    changed = (one - other).abs().amax((1, 2, 3))
    assert (changed > 0.02).float().mean() > 0.9


@pytest.mark.parametrize("name", ["kind", "tall", "wide", "detail", "camera_azimuth", "camera_elevation"])
def test_shape_and_camera_change_shares(name):
    x = with_factors(sample(12, seed=6), kind=torch.arange(12) % 3)
    factor = FACTORS[shapes.index(name)]
    one, other = (
        masks(with_factors(x, **{name: value})) for value in (factor.low, (factor.low + factor.high) // 2 + 1)
    )
    assert ((one - other).abs().mean((1, 2, 3)) > 1e-3).float().mean() > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_those_of_the_paths(kind):
    """What is painted with a colour is that colour times the light, whatever the colour."""
    places = torch.linspace(0, 1, 2 * len(shapes.BODY) - 1)
    x = solid(kind, len(places), light_azimuth=180.0, camera_elevation=8.0)  # lit from behind: by the sky, never white
    path = torch.tensor(shapes.BODY)
    stops = torch.stack([path[i // 2] if i % 2 == 0 else path[i // 2 : i // 2 + 2].mean(0) for i in range(len(places))])
    layer = layers(with_factors(x, body_colour=places))
    light = layer[:, :3] / stops[:, :, None, None]
    painted = (layer[:, 3] == 1).all(0) & ((light.amax(0) - light.amin(0)).amax(0) < 0.004)
    assert painted.float().mean() > 0.03
    other = layers(with_factors(x, part_colour=torch.linspace(0, 1, len(places))))
    assert (other - other[:1]).abs().amax((0, 1))[painted].max() < 1e-6  # the second colour is elsewhere
    assert (other - other[:1]).abs().max() > 0.1


def test_gloss_adds_light_and_takes_none():
    x = with_factors(sample(8, seed=9), light_azimuth=20.0, camera_azimuth=0.0)
    matt, glossy = (layers(with_factors(x, gloss=value)) for value in (0.0, 1.0))
    assert (glossy - matt).min() > -1e-6 and ((glossy - matt).amax((1, 2, 3)) > 0.1).float().mean() > 0.8


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -3, 2.0, "3", None, True])
def test_a_bad_number_of_pictures_is_refused(n):
    with pytest.raises(ValueError, match=f"n must be a whole number of at least 1, not {n!r}"):
        sample(n)
    with pytest.raises(ValueError, match=f"views must be a whole number of at least 1, not {n!r}"):
        shapes.with_views(sample(2), n)


@pytest.mark.parametrize("draw", [render, layers, masks])
def test_a_bad_size_is_refused(draw):
    for size in (31, 257, 64.0, "64", None, True):
        with pytest.raises(ValueError, match=f"size must be a whole number from 32 to 256, not {size!r}"):
            draw(sample(1), size)


@pytest.mark.parametrize("use", [render, layers, masks, with_factors, shapes.check_factors, shapes.as_inputs])
@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ([0.5] * 12, TypeError, r"factors must .* not list\. shapes.sample\(n\) draws some"),
        (torch.zeros(12), ValueError, r"shape \(N, 12\).* not \(12,\).* one picture is factors\[:1\]"),
        (torch.full((1, 12), math.nan), ValueError, "kind = nan in row 0 is not one of its whole numbers from 0 to 3"),
        (torch.full((1, 12), 0.5), ValueError, "kind = 0.5 in row 0 is not one .*mug, chair, bird, house"),
        (
            torch.full((1, 12), 1.0),
            ValueError,
            r"camera_elevation = 1 in row 0 .*shapes.with_factors\(factors, camera_",
        ),
    ],
)
def test_bad_factors_are_named_with_a_cure(use, bad, error, words):
    with pytest.raises(error, match=words):
        use(bad)


@pytest.mark.parametrize("name", ["camera_azimuth", "light_azimuth"])
def test_an_angle_beyond_a_half_turn_is_told_its_like(name):
    with pytest.raises(ValueError, match=rf"{name} = 190 in row 0 .*\(angle \+ 180\) % 360 - 180"):
        with_factors(sample(2), **{name: 190.0})


def test_names_that_are_no_factors_are_refused():
    with pytest.raises(ValueError, match=r"each of names must be one of .* not 'smile'"):
        shapes.as_inputs(sample(2), ("smile",))
    for names in ("kind", (), None):
        with pytest.raises(TypeError, match=r"names must be factors such as shapes\.VIEW"):
            shapes.as_inputs(sample(2), names)
