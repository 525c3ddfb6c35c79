"""The probe must find what is there, also where no line finds it, and nothing where there is nothing."""

import pytest
import torch

from vae_helpers.evaluation.leaks import probe_r2


def known(n, seed):
    """Codes, and targets: one that is linear in them, one that is not, one that they say nothing of."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 3, generator=generator)
    noise = torch.randn(n, generator=generator)
    return z, torch.stack([2 * z[:, 0] - z[:, 1] + 5, z[:, 2].square(), noise], 1)


def test_it_reads_what_is_there_however_it_is_hidden_and_nothing_else():
    z, targets = known(4000, seed=0)
    r2 = probe_r2(z, targets, *known(1000, seed=1), steps=800)
    assert r2.shape == (3,) and r2[0] > 0.98 and r2[1] > 0.9 and abs(r2[2]) < 0.2


def test_half_of_a_variance_is_an_r2_of_a_half():
    z, targets = known(4000, seed=0)
    other, other_targets = known(1000, seed=1)
    noisy = z + torch.randn(z.shape, generator=torch.Generator().manual_seed(2))
    other_noisy = other + torch.randn(other.shape, generator=torch.Generator().manual_seed(3))
    r2 = probe_r2(noisy, targets[:, :1], other_noisy, other_targets[:, :1], steps=400)
    assert 0.35 < r2.item() < 0.55


def test_units_do_not_matter_and_the_random_state_is_left_alone():
    z, targets = known(600, seed=0)
    other = known(200, seed=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = probe_r2(z, targets, *other, steps=40, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    scaled = probe_r2(100 * z - 7, targets / 50 + 1, 100 * other[0] - 7, other[1] / 50 + 1, steps=40, seed=3)
    torch.testing.assert_close(one, scaled, atol=0.02, rtol=0.0)
    assert torch.equal(one, probe_r2(z, targets, *other, steps=40, seed=3))
    assert not torch.equal(one, probe_r2(z, targets, *other, steps=40, seed=4))


def test_what_cannot_be_judged_is_refused():
    z, targets = known(20, seed=0)
    with pytest.raises(ValueError, match="do not belong together"):
        probe_r2(z, targets[:10], z, targets)
    with pytest.raises(ValueError, match="target 1 does not vary"):
        probe_r2(z, targets * torch.tensor([1.0, 0.0, 1.0]), z, targets)
    with pytest.raises(ValueError, match=r"codes must have shape \(N, D\)"):
        probe_r2(z[:, 0], targets, z, targets)
