"""VAEs whose prior is learned: with the rest, as a mixture of Gaussians or of encoded pseudo-pictures (VampPrior);
or mended after training, as notebook 04 does, by a mixture that is fitted to the codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal

from vae_helpers import checking
from vae_helpers.devices import forked_random_state
from vae_helpers.distributions import diagonal_gaussian
from vae_helpers.models.protocol import Elbo, evaluating, prepared
from vae_helpers.models.vae import VAE


class _MixtureVAE(VAE):
    """A VAE whose p(z) is a mixture; its KL has no closed form and is estimated at the draws of q."""

    def __init__(self, vae: VAE, components: int):
        super().__init__(vae.encoder, vae.decoder, vae.likelihood, vae.latent_dim)
        self.logits = nn.Parameter(vae.prior.mean.new_zeros(checking.integer(components, "components")))

    def components(self) -> Distribution:
        """The K Gaussians of the mixture, batch shape (K,), event shape (D,)."""
        raise NotImplementedError

    @property
    def prior(self) -> MixtureSameFamily:
        """p(z) = sum_k pi_k N(z; mean_k, diag(var_k)), event shape (D,)."""
        return MixtureSameFamily(Categorical(logits=self.logits), self.components())

    def elbo(self, x: Tensor, samples: int = 1) -> Elbo:
        """The bound, with log q(z | x) - log p(z) at the draws in place of the KL in closed form."""
        q, prior = self.encode(x), self.prior
        z = q.rsample((checking.integer(samples, "samples"),))  # (samples, N, D)
        log_likelihood = self.decode(z).log_prob(x).mean(0)
        divergence = (q.log_prob(z) - prior.log_prob(z)).mean(0)
        return Elbo(log_likelihood - divergence, log_likelihood, divergence)


class MixturePriorVAE(_MixtureVAE):
    """p(z) = a mixture of K Gaussians, all of whose numbers are learned.

    Args:
        vae: its encoder, decoder and likelihood are taken over, not copied.
        components: K; they begin at draws of N(0, I), each of width one.
    """

    def __init__(self, vae: VAE, components: int = 50):
        super().__init__(vae, components)
        self.means = nn.Parameter(vae.prior.sample((components,)))
        self.log_vars = nn.Parameter(torch.zeros_like(self.means))

    def components(self) -> Independent:
        """N(mean_k, diag(var_k))."""
        return diagonal_gaussian(self.means, self.log_vars)


class VampPriorVAE(_MixtureVAE):
    """p(z) = sum_k pi_k q(z | u_k): the encoder's own codes of K pseudo-pictures u_k, which are learned.

    Tomczak & Welling (2018), "VAE with a VampPrior", equation 9, with weights pi_k that are learned too.

    Args:
        vae: its encoder, decoder and likelihood are taken over, not copied.
        pictures: (K, C, H, W), prepared data where the pseudo-pictures begin: some of the training pictures, say.
    """

    def __init__(self, vae: VAE, pictures: Tensor):
        checking.tensor(pictures, "pictures", "(K, C, H, W)", cure="vae.prepare(stored) makes them of stored ones.")
        super().__init__(vae, len(pictures))
        self.pseudo_pictures = nn.Parameter(pictures.detach().clone().to(self.logits))

    def components(self) -> Independent:
        """q(z | u_k)."""
        return self.encode(self.pseudo_pictures)


class MendedVAE(_MixtureVAE):
    """A trained VAE whose p(z) is a mixture of K Gaussians with covariances, fitted to its codes: see `mend_prior`.

    The bound on log p(x) holds for it as for any prior; encoder and decoder are the VAE's own.

    Args:
        vae: its encoder, decoder and likelihood are taken over, not copied.
        components: K; until they are fitted all of them are N(0, I).
    """

    def __init__(self, vae: VAE, components: int = 1):
        super().__init__(vae, components)
        like, dim = self.logits.detach(), self.latent_dim
        self.logits.requires_grad_(False)
        self.register_buffer("means", like.new_zeros(components, dim))
        self.register_buffer("scale_trils", torch.eye(dim).to(like).repeat(components, 1, 1))

    def components(self) -> MultivariateNormal:
        """N(mean_k, L_k L_k^T)."""
        return MultivariateNormal(self.means, scale_tril=self.scale_trils, validate_args=False)

    @property
    def plain(self) -> VAE:
        """The same networks with the prior N(0, I) that they were trained with."""
        return VAE(self.encoder, self.decoder, self.likelihood, self.latent_dim)


@torch.no_grad()
def mend_prior(
    vae: VAE, images: Tensor, held_out: Tensor, components: Sequence[int] = (1, 8, 32), seed: int = 0
) -> MendedVAE:
    """The VAE with the prior that fits its codes best: N(0, I), a Gaussian, or a mixture of Gaussians.

    One draw z ~ q(z | x) for each picture is fitted, and the number of components is the one under which draws of
    held-out pictures are most likely on average: that mean is all of the bound that depends on the prior.

    Args:
        vae: trained; it is left as it is.
        images: what it was trained on, or some thousands of it, `uint8` (N, C, H, W); N >= 2.
        held_out: pictures that it was not trained on, as many as make a mean.
        components: numbers K that are tried. A mixture is left out where it would have fewer than 2 D codes for each of
            its Gaussians, and a single Gaussian has its covariance shrunk (Ledoit & Wolf 2004).
        seed: of the draws and of the mixtures' beginnings.
    Returns:
        a MendedVAE.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.mixture import GaussianMixture

    z, others = (_drawn_codes(vae, x, seed) for x in (images, held_out))
    best, most = MendedVAE(vae), vae.prior.log_prob(others.to(vae.device)).mean().item()
    for k in checking.integers(components, "components"):
        if k > 1 and len(z) < 2 * k * vae.latent_dim:
            continue
        if k == 1:
            fitted = LedoitWolf().fit(z.double().numpy())
            shares, means, covariances = np.ones(1), fitted.location_[None], fitted.covariance_[None]
        else:
            mixture = GaussianMixture(k, reg_covar=1e-4, random_state=seed, max_iter=50, tol=0.01)
            mixture.fit(z.double().numpy())
            shares, means, covariances = mixture.weights_, mixture.means_, mixture.covariances_
        one = MendedVAE(vae, k)
        for mine, values in (
            (one.logits, np.log(shares)),
            (one.means, means),
            (one.scale_trils, np.linalg.cholesky(covariances)),
        ):
            mine.copy_(torch.from_numpy(values))
        here = one.prior.log_prob(others.to(vae.device)).mean().item()
        if here > most:
            best, most = one, here
    return best


def _drawn_codes(vae: VAE, images: Tensor, seed: int) -> Tensor:
    """One draw z ~ q(z | x) for each picture, on the CPU: (N, C, H, W) -> (N, D)."""
    with forked_random_state(), evaluating(vae):
        torch.manual_seed(seed)
        return torch.cat([vae.encode(prepared(vae, part.to(vae.device))).sample().cpu() for part in images.split(500)])
