"""Value conventions: what is exact must be exact, and bad input must be named."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vae_helpers.images import (
    CHUNK,
    binarise,
    check_floats,
    check_images,
    dequantise,
    enlarge,
    grid,
    levels_of,
    random_shift,
    random_turn,
    to_float,
    to_uint8,
)


def every_level(levels=256):
    return (torch.arange(levels).double() * 255 / (levels - 1)).round().to(torch.uint8).reshape(1, 1, 1, levels)


def test_floats_and_back_is_the_identity():
    images = every_level()
    assert to_float(images).min() == 0 and to_float(images).max() == 1
    assert torch.equal(to_uint8(to_float(images)), images)


def test_to_uint8_rounds_to_the_nearest():
    assert to_uint8(torch.tensor([0.4999 / 255, 0.5001 / 255, 254.6 / 255])).tolist() == [0, 1, 255]


@pytest.mark.parametrize("levels", [2, 16, 17, 256])
def test_levels_are_recovered_and_dequantised_into_their_own_bin(levels):
    images = every_level(levels)
    level = levels_of(images, levels)
    assert level.flatten().tolist() == list(range(levels))
    x = dequantise(images.expand(50, 1, 20, levels).contiguous(), levels)
    inside = x * levels - level  # u
    assert inside.min() >= 0 and inside.max() <= 1 and x.max() <= 1
    assert abs(inside.mean() - 0.5) < 0.02 and abs(inside.var() - 1 / 12) < 0.005


def test_a_level_half_way_between_two_grey_values_may_be_stored_as_either():
    images = torch.tensor([25, 26], dtype=torch.uint8).view(1, 1, 1, 2)  # 20 * 255 / 200 = 25.5
    assert levels_of(images, 201).flatten().tolist() == [20, 20]


def test_levels_refuse_images_that_have_more():
    with pytest.raises(ValueError, match="do not lie on 17"):
        levels_of(every_level(256), 17)
    with pytest.raises(ValueError, match="from 2 to 256, not 1"):
        levels_of(every_level(), 1)


def test_binarise_is_bernoulli_of_the_grey_value():
    images = torch.tensor([0, 51, 204, 255], dtype=torch.uint8).reshape(1, 1, 1, 4).expand(20_000, -1, -1, -1)
    x = binarise(images)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(x.mean((0, 1, 2)), torch.tensor([0.0, 0.2, 0.8, 1.0]), atol=0.015)
    assert not x[..., 0].any() and x[..., 3].all()  # black and white are certain
    assert not torch.equal(binarise(images), x)  # dynamic: a fresh draw each time
    again = [binarise(images, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*again)


def test_enlarging_keeps_the_mean_and_grows_no_rank():
    images = torch.randint(0, 256, (200, 1, 4, 4), dtype=torch.uint8)
    large = enlarge(images, 12)
    assert large.shape == (200, 1, 12, 12)
    assert abs(large.float().mean() - images.float().mean()) < 4
    x = large.flatten(1).double()
    values = torch.linalg.svdvals(x - x.mean(0))
    assert values[16] < 0.02 * values[0]  # 16 numbers still say (almost: rounding) everything


class Floats(TorchDispatchMode):
    """Notes the most numbers that any floating-point tensor had."""

    most = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.most = max(self.most, result.numel())
        return result


@pytest.mark.parametrize("size", [4, 90])
def test_enlarging_many_images_takes_little_more_memory_than_the_result(size):
    images = torch.randint(0, 256, (500, 3, 28, 36), dtype=torch.uint8)
    with Floats() as floats:
        resized = enlarge(images, size)
    assert 0 < floats.most <= CHUNK < images.numel() < 500 * 3 * 90 * 90
    one_by_one = torch.cat([enlarge(image[None], size) for image in images])
    assert torch.equal(resized, one_by_one), "images do not depend on those beside them"


def test_an_image_larger_than_a_chunk_is_enlarged_whole(monkeypatch):
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    expected = enlarge(images, 20)
    monkeypatch.setattr("vae_helpers.images.CHUNK", 50)
    assert torch.equal(enlarge(images, 20), expected)


def test_random_shift_moves_whole_pixels_and_repeats_edges():
    torch.manual_seed(0)
    images = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5).repeat(300, 1, 1, 1)
    moved = random_shift(images, 1)
    centres = set(moved[:, 0, 2, 2].tolist())
    assert centres == {6, 7, 8, 11, 12, 13, 16, 17, 18}  # the nine neighbours of the centre, each seen
    for image in moved[:, 0].int():
        assert set((image[1:4, 2] - image[0:3, 2]).tolist()) <= {0, 5}
    assert torch.equal(random_shift(images, 0), images)


def test_random_turn_gives_all_eight_positions_to_single_images_and_nothing_else():
    picture = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
    torch.manual_seed(0)
    turned = random_turn(picture.expand(400, 1, 3, 3))
    seen = Counter(tuple(p.flatten().tolist()) for p in turned)
    allowed = [torch.rot90(p, k, (-2, -1)) for p in (picture, picture.flip(-1)) for k in range(4)]
    assert turned.dtype == torch.uint8 and set(seen) == {tuple(p.flatten().tolist()) for p in allowed}
    assert min(seen.values()) > 25  # 50 are expected, give or take 7
    with pytest.raises(ValueError, match=r"\(N, C, S, S\).* not \(1, 1, 2, 3\).* square"):
        random_turn(torch.zeros(1, 1, 2, 3))


def test_grid_places_images_row_by_row():
    images = torch.stack([torch.full((1, 2, 2), v) for v in (0.0, 0.25, 0.5)])
    picture = grid(images, columns=2, padding=1, fill=1.0)
    assert picture.shape == (5, 5, 3)
    assert picture[0, 0, 0] == 0 and picture[0, 3, 1] == 0.25 and picture[3, 0, 2] == 0.5
    assert picture[0, 2, 0] == 1 and picture[4, 4, 0] == 1  # padding, and the empty place
    assert [grid(torch.zeros(n, 1, 1, 1), padding=0).shape[1] for n in (1, 2, 4, 5, 9, 10)] == [1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ([1, 2], TypeError, "torch tensor"),
        (torch.zeros(1, 1, 2, 2), TypeError, "to_uint8"),
        (torch.zeros(1, 2, 2, dtype=torch.uint8), ValueError, r"image\[None\]"),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), ValueError, "empty axis"),
        (torch.zeros(4, 8, 8, 3, dtype=torch.uint8), ValueError, "permute"),
    ],
)
def test_bad_images_are_named_with_a_cure(bad, error, words):
    with pytest.raises(error, match=words):
        check_images(bad)


@pytest.mark.parametrize(
    ("bad", "words"),
    [(torch.tensor([float("nan")]), "NaN"), (torch.tensor([1.5]), "from 1.5 to 1.5"), (torch.tensor([-1.0]), "clip")],
)
def test_bad_floats_are_named_with_a_cure(bad, words):
    with pytest.raises(ValueError, match=words):
        check_floats(bad)
    with pytest.raises(TypeError, match="to_float"):
        check_floats(torch.tensor([1]))
