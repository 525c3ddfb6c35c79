"""Blocks and their overlap: what treats nothing changes nothing, and seams are where one expects them."""

import weakref

import pytest
import torch

from vae_helpers.patches import blockwise, window


def test_shifted_windows_sum_to_one():
    w = window(16)
    assert w.shape == (16, 16) and w.min() > 0 and torch.equal(w, w.T) and torch.allclose(w, w.flip(0))
    folded = w[:8, :8] + w[8:, :8] + w[:8, 8:] + w[8:, 8:]
    assert torch.allclose(folded, torch.ones(8, 8), atol=1e-6)
    assert w[0, 0] < 0.01 * w[8, 8]


@pytest.mark.parametrize("stride", [None, 1, 3, 4, 5, 8])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 21, 34), (1, 1, 40, 16)])
def test_blocks_left_alone_give_the_picture_back(stride, shape):
    x = torch.rand(shape)
    assert torch.allclose(blockwise(lambda b: b, x, 8, stride), x, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("size", "stride"), [(64, 64), (256, None), (256, 256)])
def test_weights_too_small_for_half_precision_are_not_lost(dtype, size, stride):
    """At the corner of a block of 256 the weight is 1.4e-9, of which float16 makes 0."""
    x = torch.rand(1, 1, 256, 256).to(dtype)
    y = blockwise(lambda b: b, x, size, stride)
    assert y.dtype == dtype and torch.equal(y, x)


def test_every_pixel_is_covered_by_as_many_blocks():
    """If block k answers with its index, uncovered or half-covered pixels would have other numbers of answers."""
    counts = []

    def ones(blocks):
        counts.append(len(blocks))
        return torch.ones_like(blocks)

    assert torch.allclose(blockwise(ones, torch.rand(1, 1, 20, 20), 8, 4), torch.ones(1, 1, 20, 20))
    assert sum(counts) == 6 * 6  # (20 + 4) / 4 starts along each axis


def test_without_overlap_each_pixel_is_its_blocks_own():
    x = torch.rand(1, 1, 16, 24)
    y = blockwise(lambda b: b.mean((2, 3), keepdim=True).expand_as(b), x, 8, 8)
    for top in (0, 8):
        for left in (0, 8, 16):
            block = (..., slice(top, top + 8), slice(left, left + 8))
            assert torch.allclose(y[block], x[block].mean())


def test_overlap_weighs_each_block_by_its_window():
    """Against the definition, pixel by pixel, for blocks whose answer depends on where they are."""
    x = torch.rand(1, 1, 12, 12)

    def treat(blocks):
        return blocks * 2 - blocks.mean((2, 3), keepdim=True)

    y, w = blockwise(treat, x, 6, 3), window(6)
    padded = torch.nn.functional.pad(x, (3, 3, 3, 3), mode="reflect")
    total, share = torch.zeros(18, 18), torch.zeros(18, 18)
    for top in range(0, 13, 3):
        for left in range(0, 13, 3):
            block = treat(padded[..., top : top + 6, left : left + 6])[0, 0]
            total[top : top + 6, left : left + 6] += w * block
            share[top : top + 6, left : left + 6] += w
    assert torch.allclose(y[0, 0], (total / share)[3:15, 3:15], atol=1e-5)


@pytest.mark.parametrize("size, half", [(1, 1), (6, 3), (7, 3)])
def test_blocks_overlap_by_half_unless_told_otherwise(size, half):
    def treat(blocks):
        return blocks - blocks.amax((2, 3), keepdim=True)

    x = torch.rand(1, 1, 20, 20)
    assert torch.equal(blockwise(treat, x, size), blockwise(treat, x, size, half))


def test_the_number_of_blocks_at_a_time_does_not_matter():
    x = torch.rand(3, 2, 17, 19)
    sizes = []

    def treat(blocks):
        sizes.append(len(blocks))
        return blocks.square()

    small = blockwise(treat, x, 6, 2, batch_size=10)
    assert max(sizes) == 10
    assert torch.allclose(small, blockwise(torch.square, x, 6, 2), atol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 12, 40, 150, 1000])
def test_blocks_in_groups_of_any_size_are_treated_once_each(batch_size):
    """11 x 12 blocks in each of 3 pictures: parts of a row, whole rows, whole pictures, all at once."""
    x, sizes = torch.rand(3, 2, 17, 19, dtype=torch.float64), []

    def treat(blocks):
        sizes.append(len(blocks))
        return blocks * 2 - blocks.mean((1, 2, 3), keepdim=True)

    grouped = blockwise(treat, x, 6, 2, batch_size)
    assert sum(sizes) == 3 * 11 * 12 and max(sizes) <= batch_size
    assert torch.allclose(grouped, blockwise(treat, x, 6, 2), atol=1e-12)


def test_no_more_blocks_are_cut_out_than_are_treated_at_a_time():
    """Blocks that overlap hold each pixel many times: those of a large picture, all together, would fill the memory."""
    alive = []

    def treat(blocks):
        assert blocks.untyped_storage().nbytes() <= 50 * 16 * 16 * 4  # no view of a larger store
        assert sum(block() is not None for block in alive) <= 1  # those of the round before, at most
        alive.append(weakref.ref(blocks))
        return blocks

    x = torch.rand(1, 1, 60, 60)
    assert torch.allclose(blockwise(treat, x, 16, 4, batch_size=50), x, atol=1e-6)
    assert len(alive) >= 18 * 18 / 50


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((torch.zeros(1, 1, 8, 8), 0), ValueError, "size must be a whole number of at least 1, not 0"),
        ((torch.zeros(1, 1, 8, 8), 4, 0), ValueError, "stride must be a whole number of at least 1, not 0"),
        ((torch.zeros(1, 1, 8, 8), 4, 5), ValueError, "stride = 5 leaves gaps between blocks of 4"),
        ((torch.zeros(1, 1, 8, 8), 9), ValueError, r"H and W of at least 9, not \(1, 1, 8, 8\)"),
        ((torch.zeros(1, 8, 8), 4), ValueError, r"not \(1, 8, 8\)"),
        ((torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 4), TypeError, "pictures must be a floating-point .* uint8"),
    ],
)
def test_bad_input_is_named(arguments, error, said):
    with pytest.raises(error, match=said):
        blockwise(lambda b: b, *arguments)


def test_a_treatment_must_keep_the_shape():
    with pytest.raises(ValueError, match="treat made blocks of shape"):
        blockwise(lambda b: b[:, :, 1:], torch.zeros(1, 1, 8, 8), 4)
