"""The distributions of a VAE: Gaussian codes, decoder likelihoods, divergences between them, bits per dimension.

Everything is a `torch.distributions` object whose `log_prob` sums over the dimensions of one image: nats per
image, shape (N,). A *likelihood* is a small module that turns the decoder network's output into p(x | z) and
knows, by `prepare`, what stored images have to become before p(x | z) may be asked about them.
"""

from vae_helpers.distributions.bernoulli import GreyBernoulli
from vae_helpers.distributions.bits import bits_per_dim
from vae_helpers.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_helpers.distributions.discretised_gaussian import FAR_TAIL, DiscretisedGaussian, log_ndtr
from vae_helpers.distributions.discretised_logistic import DiscretisedLogistic
from vae_helpers.distributions.divergences import kl, kl_monte_carlo
from vae_helpers.distributions.gaussian import diagonal_gaussian, kl_to_standard_normal, soft_bound, standard_normal
from vae_helpers.distributions.likelihoods import (
    LARGEST_SIGMA,
    SMALLEST_FLOOR,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretisedGaussianLikelihood,
    GaussianLikelihood,
    GreyBernoulliLikelihood,
    Likelihood,
    LogisticMixtureLikelihood,
)
from vae_helpers.distributions.natural import GaussianFactor
from vae_helpers.distributions.transport import gaussian_transport
from vae_helpers.distributions.validation import validate_first_batch

__all__ = [
    "FAR_TAIL",
    "LARGEST_SIGMA",
    "SMALLEST_FLOOR",
    "BernoulliLikelihood",
    "ContinuousBernoulli",
    "ContinuousBernoulliLikelihood",
    "DiscretisedGaussian",
    "DiscretisedGaussianLikelihood",
    "DiscretisedLogistic",
    "GaussianFactor",
    "GaussianLikelihood",
    "GreyBernoulli",
    "GreyBernoulliLikelihood",
    "Likelihood",
    "LogisticMixtureLikelihood",
    "bits_per_dim",
    "diagonal_gaussian",
    "gaussian_transport",
    "kl",
    "kl_monte_carlo",
    "kl_to_standard_normal",
    "log_ndtr",
    "soft_bound",
    "standard_normal",
    "validate_first_batch",
]
