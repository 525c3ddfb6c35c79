"""The Frechet distance against closed forms, and against the formula with matrix square roots as it is printed."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from vae_helpers.evaluation import frechet_distance


def draws(n, f, seed=0):
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean, covariance, n=50, seed=0):
    """Features (n, F) whose sample mean and sample covariance are exactly these."""
    mean, covariance = torch.tensor(mean).double(), torch.tensor(covariance).double()
    x = draws(n, len(mean), seed)
    white = torch.linalg.qr(x - x.mean(0)).Q * math.sqrt(n - 1)
    return mean + white @ torch.linalg.cholesky(covariance).T


def as_printed(a, b):
    mean_a, mean_b, cov_a, cov_b = a.mean(0), b.mean(0), np.cov(a.T), np.cov(b.T)
    root = sqrtm(cov_a)
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * sqrtm(root @ cov_b @ root)).real


def test_one_dimension():
    a, b = with_moments([1.0], [[4.0]]), with_moments([-2.0], [[0.25]], n=30, seed=1)
    assert math.isclose(frechet_distance(a, b), 3**2 + 1.5**2, rel_tol=1e-12)


def test_diagonal_covariances():
    a = with_moments([0, 1, 2], [[1, 0, 0], [0, 4, 0], [0, 0, 9]])
    b = with_moments([0, 1, 2], [[4, 0, 0], [0, 4, 0], [0, 0, 1]], seed=1)
    assert math.isclose(frechet_distance(a, b), 1 + 0 + 4, rel_tol=1e-12)


def test_commuting_covariances():
    base = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    a, b = with_moments([0, 0], base.tolist()), with_moments([0, 0], (base @ base).tolist(), seed=1)
    roots = torch.linalg.eigvalsh(base).sqrt()
    assert math.isclose(frechet_distance(a, b), (roots.square() - roots).square().sum(), rel_tol=1e-6)


def test_a_shift_counts_by_its_square():
    a = draws(20, 3)
    assert math.isclose(frechet_distance(a, a + torch.tensor([1.0, 2.0, 2.0])), 9, rel_tol=1e-12)


@pytest.mark.parametrize(("n", "m", "f"), [(200, 150, 5), (40, 60, 12), (2, 300, 1)])
def test_it_is_the_printed_formula(n, m, f):
    a, b = draws(n, f) @ draws(f, f, 1), draws(m, f, 2) @ draws(f, f, 3) + 0.5
    if f == 1:
        expected = (a.mean() - b.mean()).square() + (a.std() - b.std()).square()
    else:
        expected = as_printed(a.numpy(), b.numpy())
    assert math.isclose(frechet_distance(a, b), expected, rel_tol=1e-9)
    assert math.isclose(frechet_distance(a.float(), b.float()), expected, rel_tol=1e-5)


@pytest.mark.parametrize(("n", "f"), [(100, 4), (2, 3), (10, 200)])
def test_the_same_set_is_at_distance_zero_whatever_its_rank(n, f):
    a = 1000 * draws(n, f)
    assert 0 <= frechet_distance(a, a) < 1e-14 * 1e6 * f * 10
    constant = a[:1].expand(5, f)
    assert 0 <= frechet_distance(constant, constant) < 1e-20
    assert math.isclose(frechet_distance(constant, a), ((constant[0] - a.mean(0)) ** 2 + a.var(0)).sum(), rel_tol=1e-9)


def test_sets_of_few_features_in_many_dimensions():
    """Covariances of rank 4 and 6 in 50 dimensions, against the printed formula on the subspace that both span."""
    a, b = draws(5, 10), draws(7, 10, 1)
    embedding = torch.linalg.qr(draws(50, 10, 2)).Q.T  # (10, 50), orthonormal rows
    padded = frechet_distance(a @ embedding, b @ embedding)
    # S_a S_b has the eigenvalues of S_a^1/2 S_b S_a^1/2, of which four are not zero.
    product = np.linalg.eigvals(np.cov(a.numpy().T) @ np.cov(b.numpy().T)).real
    expected = (a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum()
    expected = expected.item() - 2 * np.sqrt(np.sort(product)[-4:]).sum()
    assert math.isclose(padded, expected, rel_tol=1e-9)
    assert math.isclose(padded, frechet_distance(a, b), rel_tol=1e-12)


def test_it_is_symmetric_and_blind_to_rotation_and_to_the_order_of_the_rows():
    a, b = draws(30, 6) @ draws(6, 6, 1), draws(25, 6, 2)
    turn, distance = torch.linalg.qr(draws(6, 6, 3)).Q, frechet_distance(a, b)
    assert math.isclose(distance, frechet_distance(b, a), rel_tol=1e-12)
    assert math.isclose(distance, frechet_distance(a @ turn, b @ turn), rel_tol=1e-12)
    assert math.isclose(distance, frechet_distance(a.flip(0), b), rel_tol=1e-12)
    assert math.isclose(9 * distance, frechet_distance(3 * a, 3 * b), rel_tol=1e-12)  # squared units


def test_the_root_is_a_distance():
    for seed in range(20):
        a, b, c = (draws(12, 4, 3 * seed + i) @ draws(4, 4, 100 + 3 * seed + i) for i in range(3))
        ab, bc, ac = (math.sqrt(frechet_distance(*pair)) for pair in ((a, b), (b, c), (a, c)))
        assert ac <= ab + bc + 1e-9


def test_it_is_biased_upwards_the_more_the_fewer_the_images():
    means = []
    for n in (10, 40, 160):
        pairs = [(draws(n, 5, 2 * seed), draws(n, 5, 2 * seed + 1)) for seed in range(20)]
        means.append(sum(frechet_distance(a, b) for a, b in pairs) / len(pairs))
    assert means[0] > 2 * means[1] > 4 * means[2] > 0  # the truth is 0


def test_it_leaves_its_arguments_alone_and_needs_no_gradient():
    a = draws(5, 3).requires_grad_()
    before = a.detach().clone()
    assert isinstance(frechet_distance(a, a + 1), float)
    assert torch.equal(a.detach(), before) and a.grad is None


def test_the_docstring_says_that_it_is_no_fid():
    assert "no FID" in frechet_distance.__doc__ and "equal N" in frechet_distance.__doc__


def test_bad_features_are_named():
    good = draws(5, 3)
    with pytest.raises(ValueError, match=r"features_a must have shape .* N of at least 2"):
        frechet_distance(good[:1], good)
    with pytest.raises(ValueError, match="features_b must have shape"):
        frechet_distance(good, good[:, 0])
    with pytest.raises(ValueError, match=r"features_b must have shape .*no empty axis"):
        frechet_distance(good, good[:, :0])
    with pytest.raises(ValueError, match="same F, not 3 and 2"):
        frechet_distance(good, good[:, :2])
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="features_b holds 1 values"):
            frechet_distance(good, good.index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(bad).double()))
    with pytest.raises(TypeError, match="int64"):
        frechet_distance(good.long(), good)
    with pytest.raises(TypeError, match="ndarray"):
        frechet_distance(good.numpy(), good)
