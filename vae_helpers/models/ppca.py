"""Linear-Gaussian models, where evidence, posterior and optimum are known exactly: probabilistic PCA.

z ~ N(0, I_D), x | z ~ N(W z + b, sigma^2 I). Tipping & Bishop (1999), "Probabilistic principal component analysis".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from vae_helpers import checking
from vae_helpers.distributions import diagonal_gaussian, kl_to_standard_normal
from vae_helpers.models.protocol import LatentVariableModel


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

        Args:
            x: data (N, P), N > P is not needed, but the P - D smallest variances must not all be zero.
            latent_dim: D, 1 <= D < P.
        Raises:
            ValueError: D out of range, or no variance left for sigma: the density would be degenerate.
        """
        n, p = _exact(x, "x", "(N, P)", P=2).shape
        latent_dim = checking.integer(latent_dim, "latent_dim", 1, p - 1)
        b = x.mean(0)
        variances, directions = torch.linalg.eigh((x - b).T @ (x - b) / n)  # ascending
        variances, directions = variances.flip(0), directions.flip(1)
        noise = variances[latent_dim:].mean()  # eq. 8
        if not noise > 1e-12 * variances[0]:
            raise ValueError("x has no variance outside the subspace: sigma would be 0 and the evidence infinite.")
        W = directions[:, :latent_dim] * (variances[:latent_dim] - noise).clamp_min(0).sqrt()  # eq. 7, with R = I
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
        M = self.W.T @ self.W + self.sigma.square() * torch.eye(
            self.W.shape[1], dtype=self.W.dtype, device=self.W.device
        )
        mean = torch.linalg.solve(M, self.W.T @ (x - self.b).T).T  # (N, D)
        return MultivariateNormal(mean, precision_matrix=M / self.sigma.square())


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


def _exact(x: Tensor, name: str, form: str, **least: int) -> Tensor:
    """A finite tensor of that shape, in one of the types that matrices can be factorised in."""
    checking.tensor(x, name, form, **least)
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} must be float32 or float64, not {checking.kind_of(x)}: {name}.double() makes it so.")
    return x
