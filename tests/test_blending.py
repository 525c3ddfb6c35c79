"""Gradient-domain blending: the Poisson equation, against a dense solve and against what defines it."""

import math

import numpy as np
import pytest
import torch

from vae_helpers import blending
from vae_helpers.blending import fill_smoothly, poisson_blend


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blob_masks():
    """Masks of many forms on 9 x 11 pixels: a box, two islands, touching the border, a ring, nearly everything."""
    masks = torch.zeros(6, 1, 9, 11, dtype=torch.float64)
    masks[0, :, 2:6, 3:8] = 1
    masks[1, :, 1:3, 1:3] = masks[1, :, 6:8, 5:9] = 1
    masks[2, :, :4, :5] = 1
    masks[3, :, 1:8, 1:8] = 1
    masks[3, :, 3:6, 3:6] = 0
    masks[4] = 1
    masks[4, :, 8, 10] = 0
    masks[5, :, 4, :] = 1
    return masks


def neighbours(y, x, height, width):
    return [
        (y + dy, x + dx)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= y + dy < height and 0 <= x + dx < width
    ]


def dense_blend(source, target, mask, mixed=False):
    """One picture (C, H, W), pixel by pixel, by numpy's dense solver."""
    channels, height, width = target.shape
    places = [tuple(p) for p in np.argwhere(mask[0].numpy() > 0.5)]
    result = target.clone()
    for c in range(channels):
        matrix, right = np.zeros((len(places), len(places))), np.zeros(len(places))
        for i, p in enumerate(places):
            for q in neighbours(*p, height, width):
                v, own = source[(c, *p)] - source[(c, *q)], target[(c, *p)] - target[(c, *q)]
                matrix[i, i] += 1
                right[i] += own if mixed and abs(own) > abs(v) else v
                if q in places:
                    matrix[i, places.index(q)] -= 1
                else:
                    right[i] += target[(c, *q)]
        for p, value in zip(places, np.linalg.solve(matrix, right), strict=True):
            result[(c, *p)] = value
    return result


@pytest.mark.parametrize("guidance", ["source", "mixed"])
def test_blending_agrees_with_a_dense_solve_for_masks_of_any_form(guidance):
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    result = poisson_blend(source, target, masks, guidance)
    for n in range(6):
        expected = dense_blend(source[n], target[n], masks[n], mixed=guidance == "mixed")
        assert torch.allclose(result[n], expected, atol=1e-10), n


def test_the_defining_equation_laplacian_of_the_source_inside_target_outside():
    source, target, masks = rand(6, 2, 9, 11, seed=1), rand(6, 2, 9, 11, seed=2), blob_masks()
    result = poisson_blend(source, target, masks)
    inside = masks[:, 0] > 0.5
    assert torch.equal(result.movedim(1, -1)[~inside], target.movedim(1, -1)[~inside])

    def laplacian(x):
        return 4 * x[..., 1:-1, 1:-1] - x[..., 2:, 1:-1] - x[..., :-2, 1:-1] - x[..., 1:-1, 2:] - x[..., 1:-1, :-2]

    within = inside[:, 1:-1, 1:-1]
    assert torch.allclose(
        laplacian(result).movedim(1, -1)[within], laplacian(source).movedim(1, -1)[within], atol=1e-10
    )


def test_the_result_has_the_least_squared_difference_from_the_sources_gradients():
    source, target, mask = rand(1, 1, 9, 11, seed=1), rand(1, 1, 9, 11, seed=2), blob_masks()[3:4]

    def energy(f):
        rows, columns = ((f - source).diff(dim=2), (f - source).diff(dim=3))
        return rows.square().sum() + columns.square().sum()

    best = poisson_blend(source, target, mask)
    for seed in range(5):
        assert energy(best) < energy(best + 0.05 * mask * (rand(1, 1, 9, 11, seed=seed) - 0.5))


def test_adding_a_constant_to_the_source_changes_nothing_and_blending_with_oneself_neither():
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    plain = poisson_blend(source, target, masks)
    assert torch.allclose(poisson_blend(source + 0.7, target, masks), plain, atol=1e-10)
    assert torch.allclose(poisson_blend(target, target, masks), target, atol=1e-10)


def test_many_pictures_in_groups_give_what_they_give_alone(monkeypatch):
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    together = poisson_blend(source, target, masks)
    monkeypatch.setattr(blending, "UNKNOWNS_AT_A_TIME", 100)
    assert torch.allclose(poisson_blend(source, target, masks), together, atol=1e-12)
    one_source = poisson_blend(source[:1], target, masks)
    assert torch.allclose(one_source[2], dense_blend(source[0], target[2], masks[2]), atol=1e-10)
    one_target = poisson_blend(source, target[:1], masks)
    assert torch.allclose(one_target[2], dense_blend(source[2], target[0], masks[2]), atol=1e-10)


def test_an_empty_mask_and_bools_and_float32():
    source, target = rand(2, 3, 9, 11, seed=1).float(), rand(2, 3, 9, 11, seed=2).float()
    mask = torch.zeros(2, 1, 9, 11, dtype=torch.bool)
    assert torch.equal(poisson_blend(source, target, mask), target)
    mask[1, :, 2:5, 2:5] = True
    result = poisson_blend(source, target, mask)
    assert result.dtype == torch.float32 and torch.equal(result[0], target[0])
    assert not torch.equal(result[1], target[1])


def test_inside_is_where_the_mask_is_above_one_half():
    source, target, soft = rand(1, 2, 9, 11, seed=1), rand(1, 2, 9, 11, seed=2), torch.zeros(1, 1, 9, 11)
    soft[..., 1:8, 1:8], soft[..., 2:7, 2:7], soft[..., 3:6, 3:6] = 0.2, 0.5, 0.51
    assert torch.equal(poisson_blend(source, target, soft), poisson_blend(source, target, soft > 0.505))


def test_a_hole_in_a_plane_is_filled_with_the_plane():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    plane = (0.02 * x + 0.05 * y + 0.1).expand(1, 2, 9, 11).double()
    hole = blob_masks()[:1]
    filled = fill_smoothly(torch.where(hole > 0, 9.0, plane), hole)
    assert torch.allclose(filled, plane, atol=1e-10)


def test_a_filled_hole_stays_between_the_values_at_its_edge():
    picture, masks = rand(6, 3, 9, 11), blob_masks()
    filled = fill_smoothly(picture, masks)
    assert filled.min() >= picture.min() and filled.max() <= picture.max()
    assert filled[4].movedim(0, -1).reshape(-1, 3).std(0).max() < 1e-10  # held by one pixel: flat


# --- what is wrong is said ---------------------------------------------------------------------------------------


X, M = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
HALF = torch.zeros(2, 1, 8, 8)
HALF[..., :4] = 1
NAN = torch.full_like(X, math.nan)
BAD = {
    "one picture": (lambda: fill_smoothly(X[0], HALF), ValueError, r"image\[None\]"),
    "NaN": (lambda: poisson_blend(NAN, X, HALF), ValueError, "source holds 384 values that are NaN"),
    "sizes": (lambda: poisson_blend(X[..., :4], X, HALF), ValueError, "source .* and target"),
    "channels": (lambda: poisson_blend(X[:, :1], X, HALF), ValueError, "source has 1 channels"),
    "mask's size": (lambda: poisson_blend(X, X, HALF[..., :5]), ValueError, "mask has shape"),
    "masks' number": (lambda: poisson_blend(X, X, HALF[[0, 1, 1]]), ValueError, "mask has shape"),
    "all of it": (lambda: poisson_blend(X, X, M), ValueError, "covers the whole of picture 0"),
    "guidance": (lambda: poisson_blend(X, X, HALF, "both"), ValueError, "guidance must be"),
    "hole": (lambda: fill_smoothly(X, HALF[..., 1:]), ValueError, "hole has shape"),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
