"""Colour transfers against the moments and histograms that they promise."""

import pytest
import torch

from vae_helpers.colour_transfer import covariance_transfer, match_histograms, reinhard


def sets(n=3, members=4, seed=0):
    """Sets of pictures of mid-range colours that are correlated, each set in its own way: (n, members, 3, 6, 5)."""
    generator = torch.Generator().manual_seed(seed)
    mix = 0.2 * torch.eye(3) + 0.04 * torch.randn(n, 3, 3, generator=generator, dtype=torch.float64)
    colours = mix @ torch.rand(n, 3, members * 30, generator=generator, dtype=torch.float64)
    centre = 0.4 + 0.2 * torch.rand(n, 3, 1, generator=generator, dtype=torch.float64)
    colours = centre + colours - colours.mean(2, keepdim=True)
    return colours.unflatten(2, (members, 6, 5)).transpose(1, 2)


def moments(pictures):
    """Of (n, K, 3, H, W): mean (n, 3) and covariance (n, 3, 3)."""
    colours = pictures.transpose(1, 2).flatten(2)
    return colours.mean(2), torch.stack([torch.cov(c, correction=0) for c in colours])


def test_reinhard_gives_each_channel_the_references_mean_and_deviation():
    x, references = sets(members=1)[:, 0], sets(seed=1)
    mean, covariance = moments(reinhard(x, references)[:, None])
    wanted = moments(references)
    torch.testing.assert_close(mean, wanted[0])
    torch.testing.assert_close(
        covariance.diagonal(dim1=1, dim2=2), wanted[1].diagonal(dim1=1, dim2=2), rtol=0.05, atol=1e-5
    )
    assert (covariance - wanted[1]).abs().max() > 1e-4  # the channels' correlation stays that of x


def test_covariance_transfer_gives_all_of_the_covariance_and_moves_colours_least():
    x, references = sets(members=1)[:, 0], sets(seed=1)
    result = covariance_transfer(x, references)
    mean, covariance = moments(result[:, None])
    wanted = moments(references)
    torch.testing.assert_close(mean, wanted[0])
    torch.testing.assert_close(covariance, wanted[1], rtol=0.02, atol=1e-5)
    for before, after in zip(x.flatten(2), result.flatten(2), strict=True):  # the map is symmetric: optimal transport
        T = torch.linalg.lstsq((before - before.mean(1, keepdim=True)).T, (after - after.mean(1, keepdim=True)).T)
        torch.testing.assert_close(T.solution, T.solution.T, rtol=1e-3, atol=1e-4)
        assert torch.linalg.eigvalsh((T.solution + T.solution.T) / 2).min() > 0


@pytest.mark.parametrize("transfer", [reinhard, covariance_transfer])
def test_own_colours_change_nothing_and_a_source_is_believed(transfer):
    x, own, references = sets(members=1)[:, 0], sets(seed=2), sets(seed=1)
    torch.testing.assert_close(transfer(x, x[:, None]), x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(transfer(x, references, x[:, None]), transfer(x, references))
    torch.testing.assert_close(transfer(x, own, own), x, rtol=1e-4, atol=1e-4)
    told = torch.cat([transfer(own[:, i], references, own)[:, None] for i in range(own.shape[1])], 1)
    torch.testing.assert_close(moments(told)[0], moments(references)[0], rtol=1e-3, atol=1e-3)
    assert transfer(x.float(), references.float()).dtype == torch.float32


def test_matched_histograms_are_those_of_the_references_and_ranks_stay():
    x, references = sets(members=1)[:, 0], sets(members=1, seed=1)
    result = match_histograms(x, references)
    torch.testing.assert_close(result.flatten(2).sort(2).values, references[:, 0].flatten(2).sort(2).values)
    assert torch.equal(result.flatten(2).argsort(2), x.flatten(2).argsort(2))
    four = match_histograms(x, references.repeat(1, 4, 1, 1, 1))
    torch.testing.assert_close(four, result)


def test_results_are_pictures_even_where_colours_are_one_or_extreme():
    flat = torch.full((1, 3, 4, 4), 0.3)
    wild = torch.randint(0, 2, (1, 2, 3, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    for transfer in (reinhard, covariance_transfer, match_histograms):
        for x, references in ((flat, wild), (wild[:, 0], flat[:, None])):
            result = transfer(x, references)
            assert result.shape == x.shape and result.isfinite().all() and result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize("transfer", [reinhard, covariance_transfer, match_histograms])
def test_what_does_not_belong_together_is_refused(transfer):
    x = torch.rand(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"references must have shape \(2, K, 3, 4, 4\)"):
        transfer(x, torch.rand(2, 3, 4, 4))
    with pytest.raises(TypeError, match="x must be a floating-point tensor"):
        transfer((255 * x).byte(), torch.rand(2, 1, 3, 4, 4))
    with pytest.raises(ValueError, match="references"):
        transfer(x, 2 * torch.ones(2, 1, 3, 4, 4))
