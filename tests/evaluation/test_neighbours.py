"""The nearest pictures, found in parts, and what counts as a near copy."""

import pytest
import torch

from vae_helpers.evaluation import neighbours
from vae_helpers.evaluation.neighbours import fingerprints, near_copies, nearest


def pictures(n, seed=0, side=6):
    return torch.randint(0, 256, (n, 1, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("at_a_time", [10**9, 36 * 7, 1])
def test_the_nearest_are_those_of_all_distances_whatever_the_parts(at_a_time, monkeypatch):
    monkeypatch.setattr(neighbours, "NUMBERS_AT_A_TIME", at_a_time)
    wanted, images = pictures(5, 1).float(), pictures(50, 2)
    found = nearest(wanted, images, 3)
    every = torch.stack([(image.float() - wanted).square().sum((1, 2, 3)).sqrt() for image in images], 1)  # (5, 50)
    expected = every.sort(1)
    torch.testing.assert_close(found.distances, expected.values[:, :3], rtol=1e-4, atol=1e-2)
    assert torch.equal(found.rows, expected.indices[:, :3])


@pytest.mark.parametrize(("wanted", "side", "most"), [(5, 6, 10), (72, 6, 5), (5, 12, 2)])
def test_neither_pictures_nor_distances_are_too_many_at_a_time(wanted, side, most, monkeypatch):
    monkeypatch.setattr(neighbours, "NUMBERS_AT_A_TIME", 360)
    sizes = []

    def seen(part):
        sizes.append(len(part))
        return part.float()

    nearest(pictures(wanted, 1, side).float(), pictures(20, 2, side), 1, seen)
    assert sizes == [most] * (20 // most)


def test_pictures_are_compared_as_they_are_seen_and_in_the_precision_that_is_wanted():
    images = pictures(20)
    wanted = images.double() / 255 + 1e-9
    found = nearest(wanted, images, 2, lambda part: part.double() / 255)
    assert found.distances.dtype == torch.float64 and found.rows[:, 0].tolist() == list(range(20))
    assert (found.distances[:, 0] < 1e-6).all() and (found.distances[:, 1] > 0.1).all()
    many = nearest(wanted, images, 20, lambda part: part.double() / 255).distances
    assert torch.equal(many, many.sort(1).values)


def test_fingerprints_are_those_of_whole_pictures_and_of_their_order():
    images = pictures(4, side=4)
    images[1] = images[0]
    images[2] = images[0].flip(2)
    images[3] = images[0]
    images[3, 0, 3, 3] ^= 1
    first, same, turned, changed = fingerprints(images)
    assert first == same and len({first, turned, changed}) == 3 and len(first) == 16


def test_pictures_that_are_new_have_no_near_copies():
    assert near_copies(pictures(200), pictures(60, 1)) == 0


def test_the_share_that_was_copied_with_little_changes_is_told():
    train, others = pictures(200), pictures(60, 1)
    noise = torch.randint(-8, 9, (15, 1, 6, 6), generator=torch.Generator().manual_seed(2))
    others[:15] = (train[:15].int() + noise).clamp(0, 255).to(torch.uint8)
    assert near_copies(train, others) == 0.25
    assert near_copies(train, train[:20]) == 1


def test_near_is_relative_to_how_far_pictures_usually_are_from_each_other():
    """All pictures a tenth as bright, the copies' changes with them: the share stays."""
    train, others = pictures(200), pictures(60, 1)
    others[:15] = train[:15]
    others[:15, :, 0, 0] ^= 32
    assert near_copies(train // 10, others // 10) == near_copies(train, others) == 0.25


@pytest.mark.parametrize(("share", "near"), [(0.1, 1), (0.2, 0)])
def test_a_tenth_of_the_usual_distance_is_near_and_a_fifth_is_not(share, near):
    spread, one = pictures(100, 3, 40), torch.full((1, 1, 40, 40), 100, dtype=torch.uint8)
    train = torch.cat([spread, one])
    usual = torch.pdist(train.float().flatten(1)).median()
    moved = (one + share * usual / 40).to(torch.uint8)  # every one of 1600 pixels by a fortieth of it
    assert near_copies(train, moved) == near
