"""Scores of scenes taken apart, against values worked out by hand and what must be true of them."""

import pytest
import torch

from vae_helpers.evaluation.scenes import ari, foreground_ari, match, mean_iou, order_accuracy
from vae_helpers.rendering import scenes


def squares(*boxes, size=10):
    """Masks (1, K, size, size), one for each (top, left, height, width)."""
    masks = torch.zeros(1, len(boxes), size, size)
    for mask, (top, left, height, width) in zip(masks[0], boxes, strict=True):
        mask[top : top + height, left : left + width] = 1
    return masks


def random_labels(n, size, groups, seed):
    return torch.randint(groups, (n, size, size), generator=torch.Generator().manual_seed(seed))


# --- Groups of pixels -------------------------------------------------------------------------------------------------


def test_the_rand_index_does_not_ask_for_names_and_is_zero_for_chance():
    labels = scenes.labels(scenes.sample(20, 1), 32)
    assert ari(labels, labels).tolist() == [1.0] * 20
    renamed = torch.tensor([3, 0, 7, 1, 2])[labels]
    assert ari(labels, renamed).tolist() == foreground_ari(labels, renamed).tolist() == [1.0] * 20
    for score in (ari, foreground_ari):
        chance = score(labels, random_labels(20, 32, 5, 2))
        assert chance.dtype == torch.float64 and chance.shape == (20,)
        assert chance.mean().abs() < 0.01


def test_the_rand_index_is_that_of_its_formula():
    labels, others = torch.tensor([[[0, 0, 0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    together, in_one, in_other, pairs = 1 + 1, 3 + 3, 1 + 1 + 1, 15  # pairs in both, in labels, in others, in all
    expected = (together - in_one * in_other / pairs) / ((in_one + in_other) / 2 - in_one * in_other / pairs)
    assert ari(labels, others).item() == pytest.approx(expected)


def test_the_foreground_alone_counts():
    labels = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    assert foreground_ari(labels, torch.tensor([[[5, 1, 1, 1, 2, 2]]])).item() == 1
    assert ari(labels, torch.tensor([[[5, 1, 1, 1, 2, 2]]])).item() < 1
    assert foreground_ari(labels, torch.tensor([[[0, 0, 1, 2, 1, 2]]])).item() == pytest.approx(-0.5)
    assert foreground_ari(labels, torch.tensor([[[0, 0, 0, 0, 2, 2]]])).item() == 1  # 0 is a group like any other
    with pytest.raises(ValueError, match="labels has no foreground, all 0, in picture 1"):
        foreground_ari(torch.tensor([[[0, 1]], [[0, 0]]]), torch.zeros(2, 1, 2).long())


# --- Masks ------------------------------------------------------------------------------------------------------------


def test_masks_are_matched_so_that_the_sum_is_largest():
    true = squares((0, 0, 4, 4), (0, 5, 4, 4), (6, 0, 2, 2))
    found = squares((0, 5, 4, 2), (0, 0, 4, 3))  # half of the second, three quarters of the first
    of, iou, there = match(true, found)
    assert of.tolist() == [[1, 0, -1]] and there.all()
    assert iou.tolist() == [[pytest.approx(0.75), pytest.approx(0.5), 0.0]]
    assert mean_iou(true, found).item() == pytest.approx(1.25 / 3)
    greedy = torch.zeros(1, 2, 1, 10)  # the best single pair, 0 with 0, would leave nothing for 1
    greedy[0, 0, 0, :6], greedy[0, 1, 0, 6:] = 1, 1
    other = torch.zeros(1, 2, 1, 10)
    other[0, 0, 0, 1:8], other[0, 1, 0, :3] = 1, 1  # 5/8 + 0 is less than 1/2 + 2/9
    assert match(greedy, other).of.tolist() == [[1, 0]]
    assert mean_iou(greedy, other).item() == pytest.approx((3 / 6 + 2 / 9) / 2)


def test_intersection_over_union_of_shares():
    true, found = torch.tensor([0.5, 1.0, 0.0]).view(1, 1, 1, 3), torch.tensor([1.0, 0.5, 0.25]).view(1, 1, 1, 3)
    assert mean_iou(true, found).item() == pytest.approx((0.5 + 0.5) / (1 + 1 + 0.25))


def test_the_truth_has_full_marks_in_any_order_and_absent_things_do_not_count():
    x = scenes.sample(30, 2, "transparent")
    seen = scenes.masks(x, 32).visible
    assert torch.allclose(mean_iou(seen[:, 1:], seen[:, [3, 0, 4, 2, 1]]), torch.ones(30).double())
    assert torch.equal(match(seen[:, 1:], seen).there, scenes.parts(x)[0][..., 0] > 0)
    assert mean_iou(seen[:, 1:], torch.zeros(30, 1, 32, 32)).tolist() == [0.0] * 30
    with pytest.raises(ValueError, match="masks are all empty in picture 1"):
        mean_iou(torch.stack([torch.ones(1, 2, 2), torch.zeros(1, 2, 2)]), torch.ones(2, 1, 2, 2))


# --- Order ------------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_matched_masks():
    true = squares((0, 0, 4, 4), (2, 2, 4, 4), (7, 7, 2, 2))
    overlaps = torch.zeros(1, 3, 3, dtype=torch.bool)
    overlaps[0, 0, 1] = True
    found = true[:, [1, 2, 0]]  # found 0 is the one in front, found 2 the one behind
    for depth, right in (([2.0, 0.0, 1.0], 1), ([1.0, 0.0, 2.0], 0), ([1.0, 0.0, 1.0], 0)):
        assert order_accuracy(true, found, torch.tensor([depth]), overlaps).tolist() == [right]
    for without in (true[:, [2, 1]], true[:, [2, 1, 2]]):  # the one behind has no mask, or one that is elsewhere
        assert match(true, without).of[0, :2].tolist() == [-1, 1]
        assert order_accuracy(true, without, torch.arange(without.shape[1])[None].float(), overlaps).tolist() == [0]
    overlaps[0, 1, 2] = True
    both = order_accuracy(true, found, torch.tensor([[2.0, 3.0, 2.5]]), overlaps)
    assert both.tolist() == [0, 1] and both.dtype == torch.float64


def test_true_scenes_are_in_order_and_reversed_ones_are_not():
    x = scenes.sample(40, 3)
    visible, over = scenes.masks(x, 32).visible[:, 1:], scenes.overlaps(x, 32)
    depth = torch.arange(4.0).expand(40, 4)
    assert order_accuracy(visible, visible, depth, over).tolist() == [1.0] * int(over.sum())
    assert not order_accuracy(visible, visible, -depth, over).any()
    shuffled = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    assert 0.2 < order_accuracy(visible, visible, shuffled, over).mean() < 0.8


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [ari, foreground_ari])
def test_groups_that_do_not_fit_are_refused(score):
    labels = torch.ones(2, 3, 4).long()
    with pytest.raises(ValueError, match=r"must have shape \(2, 3, 4\).*not \(2, 3, 5\)"):
        score(labels, torch.ones(2, 3, 5).long())
    with pytest.raises(TypeError, match=r"labels must be whole numbers, not float32; labels\.long"):
        score(labels.float(), labels)
    with pytest.raises(ValueError, match=r"labels must have shape \(N, H, W\)"):
        score(labels[0], labels[0])


def test_masks_and_orders_that_do_not_fit_are_refused():
    masks, depth, overlaps = torch.rand(2, 3, 4, 4), torch.rand(2, 3), torch.ones(2, 3, 3).bool()
    with pytest.raises(ValueError, match="masks and found must be as many and as large"):
        mean_iou(masks, masks[:1])
    with pytest.raises(ValueError, match=r"found must lie in \[0, 1\]"):
        mean_iou(masks, 2 + masks)
    with pytest.raises(ValueError, match=r"depth must have shape \(2, 3\)"):
        order_accuracy(masks, masks, depth[:, :2], overlaps)
    with pytest.raises(TypeError, match="overlaps must hold True and False, not float32"):
        order_accuracy(masks, masks, depth, overlaps.float())
    with pytest.raises(ValueError, match="overlaps has no True"):
        order_accuracy(masks, masks, depth, ~overlaps)
