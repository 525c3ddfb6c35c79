"""The map between two Gaussians: it arrives, it is symmetric, and no other map moves less."""

import pytest
import torch

from vae_helpers.distributions import gaussian_transport


def covariances(n=5, d=3, seed=0):
    root = torch.randn(n, d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.mT + 0.1 * torch.eye(d)


def test_it_makes_one_covariance_of_the_other_and_is_symmetric_and_positive():
    A, B = covariances(), covariances(seed=1)
    T = gaussian_transport(A, B)
    torch.testing.assert_close(T @ A @ T.mT, B, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(T, T.mT)
    assert torch.linalg.eigvalsh(T).min() > 0
    torch.testing.assert_close(gaussian_transport(A, A), torch.eye(3).double().expand(5, 3, 3), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(gaussian_transport(B, A) @ T, torch.eye(3).double().expand(5, 3, 3), atol=1e-4, rtol=0.0)


def test_no_other_map_to_the_same_covariance_moves_less():
    A, B = covariances(1), covariances(1, seed=1)
    moved = lambda T: ((T - torch.eye(3)) @ A @ (T - torch.eye(3)).mT)[0].trace()  # noqa: E731
    T = gaussian_transport(A, B)
    root = torch.linalg.cholesky(B)
    for seed in range(20):  # all maps that arrive are root Q A^-1/2 with Q orthogonal
        Q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q
        other = root @ Q @ torch.linalg.inv(torch.linalg.cholesky(A))
        torch.testing.assert_close(other @ A @ other.mT, B)
        assert moved(other) >= moved(T) - 1e-5


def test_of_numbers_it_is_the_ratio_of_deviations():
    T = gaussian_transport(torch.tensor([[4.0]]), torch.tensor([[9.0]]))
    torch.testing.assert_close(T, torch.tensor([[1.5]]))
    assert T.dtype == torch.float32


def test_what_is_no_covariance_is_refused_and_none_is_infinite():
    assert gaussian_transport(torch.zeros(3, 3), torch.eye(3)).isfinite().all()
    with pytest.raises(ValueError, match=r"B must have shape \(\.\.\., D, D\)"):
        gaussian_transport(torch.eye(3), torch.zeros(3))
    with pytest.raises(TypeError, match="A must be a floating-point tensor"):
        gaussian_transport(torch.eye(3).long(), torch.eye(3))
