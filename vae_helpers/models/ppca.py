"""Linear-Gaussian models, where evidence, posterior and optimum are known exactly: probabilistic PCA.

z ~ N(0, I_D), x | z ~ N(W z + b, sigma^2 I). Tipping & Bishop (1999), "Probabilistic principal component analysis".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from vae_helpers import checking
from vae_helpers.devices import forked_random_state
from vae_helpers.distributions import diagonal_gaussian, kl_to_standard_normal
from vae_helpers.models.protocol import LatentVariableModel

LARGEST_COVARIANCE = 2048  # rows of data that have more columns: no (P, P) matrix is made of them


class ProbabilisticPCA:
    """The model with given W (P, D), b (P,) and sigma > 0.

    Args:
        W: loadings.
        b: mean of x.
        sigma: standard deviation of the noise, a scalar.
    """

    def __init__(self, W: Tensor, b: Tensor, sigma: Tensor | float):
        self.W, self.b = _exact(W, "W", "(P, D)"), _exact(b, "b", "(P,)")
        if len(b) != len(W):
            raise ValueError(f"b has {len(b)} numbers for the {len(W)} rows of W: give one for each.")
        checking.positive(sigma.item() if isinstance(sigma, Tensor) and sigma.dim() == 0 else sigma, "sigma")
        self.sigma = torch.as_tensor(sigma, dtype=W.dtype, device=W.device)
        if not self.sigma.square() > torch.finfo(W.dtype).eps * W.square().sum():
            raise ValueError(
                f"sigma = {float(sigma):.3g} is too small beside W for {checking.kind_of(W)}: W.double() may do."
            )

    @classmethod
    def maximum_likelihood(cls, x: Tensor, latent_dim: int) -> ProbabilisticPCA:
        """The parameters that maximise the evidence of the rows of x (Tipping & Bishop 1999, equations 7 and 8).

        With more than 2,048 columns, as pictures have, the D leading directions come from `torch.svd_lowrank`: the
        variances of the last few are then a little too small, those of the others right to many digits.

        Args:
            x: data (N, P), N > P is not needed, but the P - D smallest variances must not all be zero.
            latent_dim: D, 1 <= D < P, and D < N where P is above 2,048.
        Raises:
            ValueError: D out of range, or no variance left for sigma: the density would be degenerate.
        """
        n, p = _exact(x, "x", "(N, P)", P=2).shape
        large = p > LARGEST_COVARIANCE
        latent_dim = checking.integer(latent_dim, "latent_dim", 1, min(n, p) - 1 if large else p - 1)
        b = x.mean(0)
        variances, directions, noise = principal_directions(x - b, latent_dim)  # eq. 8
        if not noise > 1e-12 * variances[0]:
            raise ValueError("x has no variance outside the subspace: sigma would be 0 and the evidence infinite.")
        W = directions * (variances - noise).clamp_min(0).sqrt()  # eq. 7, with R = I
        return cls(W, b, noise.sqrt())

    @property
    def marginal(self) -> LowRankMultivariateNormal:
        """p(x) = N(b, W W^T + sigma^2 I)."""
        return LowRankMultivariateNormal(self.b, self.W, self.sigma.square().expand_as(self.b))

    def evidence(self, x: Tensor) -> Tensor:
        """log p(x), exactly, in nats per row: (N, P) -> (N,)."""
        return self.marginal.log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z | x) = N(M^-1 W^T (x - b), sigma^2 M^-1) with M = W^T W + sigma^2 I (Tipping & Bishop, section 3.2)."""
        M = self._spread()
        return MultivariateNormal(self._posterior_mean(x), precision_matrix=M / self.sigma.square())

    def _spread(self) -> Tensor:
        """M = W^T W + sigma^2 I, (D, D), symmetric to the last digit, as a precision has to be."""
        square = self.W.T @ self.W
        return (square + square.T) / 2 + self.sigma.square() * torch.eye(len(square)).to(square)

    def _posterior_mean(self, x: Tensor) -> Tensor:
        """M^-1 W^T (x - b): (N, P) -> (N, D)."""
        return torch.linalg.solve(self._spread(), self.W.T @ (x - self.b).T).T

    def restore(self, y: Tensor, noise_sigma: float = 0.0, known: Tensor | None = None) -> Tensor:
        """E[x | y], the best answer in squared error to rows that are noisy, or known in part.

        With y = x + noise_sigma eps on the known entries, z has the posterior of the model whose sigma^2 is
        sigma^2 + noise_sigma^2; x is then W E[z | y] + b and, where y is known, the share
        sigma^2 / (sigma^2 + noise_sigma^2) of what y differs from that.

        Args:
            y: (N, P); what stands at unknown entries has no influence.
            noise_sigma: standard deviation of the noise, >= 0; 0 returns the known entries as they are.
            known: bool, (P,) or (N, P), True where y was seen, by default everywhere. Rows with equal masks share work.
        Returns:
            (N, P).
        """
        _exact(y, "y", "(N, P)")
        if y.shape[1] != len(self.b):
            raise ValueError(f"y has {y.shape[1]} columns, the model {len(self.b)}: give one for each.")
        noise_sigma = checking.number(noise_sigma, "noise_sigma", 0, 1e6)
        if known is None:
            return self._restore_alike(y, noise_sigma, torch.ones_like(self.b, dtype=torch.bool))
        if not isinstance(known, Tensor) or known.dtype != torch.bool or known.shape not in (self.b.shape, y.shape):
            raise ValueError(
                f"known must be a bool tensor of shape ({y.shape[1]},) or {tuple(y.shape)}, "
                f"not {checking.kind_of(known) if isinstance(known, Tensor) else checking.shown(known)}."
            )
        masks, which = known.expand_as(y).unique(dim=0, return_inverse=True)
        restored = torch.empty_like(y)
        for k, mask in enumerate(masks):
            restored[which == k] = self._restore_alike(y[which == k], noise_sigma, mask)
        return restored

    def _restore_alike(self, y: Tensor, noise_sigma: float, known: Tensor) -> Tensor:
        """`restore` for rows with one mask (P,)."""
        seen = ProbabilisticPCA(self.W[known], self.b[known], (self.sigma.square() + noise_sigma**2).sqrt())
        decoded = seen._posterior_mean(y[:, known]) @ self.W.T + self.b  # (N, P)
        share = self.sigma.square() / seen.sigma.square()
        decoded[:, known] += share * (y - decoded)[:, known]
        return decoded


class LinearGaussianVAE(LatentVariableModel):
    """The same model as a VAE: affine decoder with one sigma, affine encoder with one variance per latent.

    Its ELBO needs no sampling. At its maximum it meets the evidence of probabilistic PCA exactly: the columns of
    W become orthogonal, the true posterior is then diagonal, and q reaches it (Lucas et al. 2019, section 4).

    Args:
        data_dim: P.
        latent_dim: D.
    """

    def __init__(self, data_dim: int, latent_dim: int):
        super().__init__()
        data_dim, latent_dim = checking.integer(data_dim, "data_dim"), checking.integer(latent_dim, "latent_dim")
        self.latent_dim = latent_dim
        self.decoder = nn.Linear(latent_dim, data_dim)  # W, b
        self.encoder = nn.Linear(data_dim, latent_dim)
        self.log_var = nn.Parameter(torch.zeros(latent_dim))  # of q, the same for every x
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor) -> Independent:
        """(N, P) -> q(z | x), batch shape (N,), event shape (D,)."""
        mu = self.encoder(x)
        return diagonal_gaussian(mu, self.log_var.expand_as(mu))

    def decode(self, z: Tensor) -> Independent:
        """(..., D) -> p(x | z), batch shape (...), event shape (P,)."""
        return Independent(Normal(self.decoder(z), self.log_sigma.exp()), 1)

    def analytic_elbo(self, x: Tensor) -> Tensor:
        """E_q[log p(x | z)] - KL(q || p(z)) without sampling, nats per row: (N, P) -> (N,).

        E_q |x - W z - b|^2 = |x - W mu - b|^2 + sum_d var_d |W_d|^2, with W_d the columns of W.
        """
        q = self.encode(x)
        spread = (q.variance * self.decoder.weight.square().sum(0)).sum(-1)  # (N,)
        error = (x - self.decoder(q.mean)).square().sum(-1) + spread  # (N,)
        log_likelihood = -0.5 * (
            error / torch.exp(2 * self.log_sigma) + x.shape[-1] * (math.log(2 * math.pi) + 2 * self.log_sigma)
        )
        return log_likelihood - kl_to_standard_normal(q)

    def as_ppca(self) -> ProbabilisticPCA:
        """The generative half, with its exact evidence and posterior."""
        return ProbabilisticPCA(self.decoder.weight.detach(), self.decoder.bias.detach(), self.log_sigma.detach().exp())


def principal_directions(centred: Tensor, latent_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The D directions of largest variance; by `torch.svd_lowrank` where there are more than 2,048 columns.

    Args:
        centred: (N, P), rows less their mean.
        latent_dim: D, 1 <= D < P, and D < N where P is above 2,048.
    Returns:
        their variances (D,), largest first; the directions, columns of (P, D); the mean of the other P - D variances.
    """
    return (_leading if centred.shape[1] > LARGEST_COVARIANCE else _from_covariance)(centred, latent_dim)


def _from_covariance(centred: Tensor, latent_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The D largest variances of the rows (N, P), their directions (P, D), and the mean of the other variances."""
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    kept = variances[-latent_dim:].flip(0), directions[:, -latent_dim:].flip(1)
    return *kept, variances[:-latent_dim].mean()


def _leading(centred: Tensor, latent_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same without a (P, P) matrix, by a randomised decomposition (the same each time)."""
    n, p = centred.shape
    with forked_random_state():
        torch.manual_seed(0)
        _, values, directions = torch.svd_lowrank(centred, q=min(latent_dim + 20, n, p), niter=2)
    variances = values[:latent_dim].square() / n
    rest = centred.square().sum() / n - variances.sum()
    return variances, directions[:, :latent_dim], rest / (p - latent_dim)


def _exact(x: Tensor, name: str, form: str, **least: int) -> Tensor:
    """A finite tensor of that shape, in one of the types that matrices can be factorised in."""
    checking.tensor(x, name, form, **least)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, not {checking.kind_of(x)}: {name}.double() makes it so.")
    return x
