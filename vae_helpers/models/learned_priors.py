"""VAEs whose prior is learned with the rest: a mixture of Gaussians, or one of encoded pseudo-pictures (VampPrior).

Notebook 04 mends a prior after training; here the prior and the codes come to meet each other during it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily

from vae_helpers import checking
from vae_helpers.distributions import diagonal_gaussian
from vae_helpers.models.protocol import Elbo
from vae_helpers.models.vae import VAE


class _MixtureVAE(VAE):
    """A VAE whose p(z) is a mixture; its KL has no closed form and is estimated at the draws of q."""

    def __init__(self, vae: VAE, components: int):
        super().__init__(vae.encoder, vae.decoder, vae.likelihood, vae.latent_dim)
        self.logits = nn.Parameter(vae.prior.mean.new_zeros(checking.integer(components, "components")))

    def components(self) -> Independent:
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
