"""What is maximised: the ELBO and importance-weighted bounds on log p(x), in nats per image; and what may be added.

Each bound works with any model of the protocol in `vae_helpers.models.protocol`, also one that only has `encode`,
`decode` and `prior`, such as a learner writes. Whether the model is in train or eval mode does not change what is
computed here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import checking
from vae_helpers.distributions import kl, validate_first_batch
from vae_helpers.models.experts import checked_seen, fused
from vae_helpers.models.flow import check_tokens
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import Elbo, check_latent_variables, standard_elbo, standard_log_weights
from vae_helpers.models.views import random_seen


def elbo(model: Any, x: Tensor, *conditions: Tensor, samples: int = 1) -> Elbo:
    """Evidence lower bound E_q[log p(x | z)] - KL(q(z | x) || p(z)) (Kingma & Welling 2014, equation 7).

    Unbiased for the ELBO; differentiable through reparameterised samples.

    Args:
        model: see the module's text.
        x: data as the likelihood wants it (`model.prepare`), (N, ...).
        conditions: what the model is told beside x, a row for each image.
        samples: draws of z per image, >= 1.
    Returns:
        Elbo of (N,) tensors.
    Raises:
        TypeError: no closed form is known for the KL between the model's q and its prior; or the model has no such
            thing, and is trained by another objective.
    """
    _check_conditions(conditions)
    bound = getattr(model, "elbo", functools.partial(standard_elbo, model))
    return bound(x, *conditions, samples=samples)


def importance_weighted_bound(model: Any, x: Tensor, *conditions: Tensor, samples: int = 50, chunk: int = 50) -> Tensor:
    """log (1/K) sum_k p(x, z_k) / q(z_k | x), z_k ~ q: a tighter bound (Burda et al. 2016, equation 8).

    Its expectation does not decrease in K and tends to log p(x); K = 1 is the ELBO with a sampled KL. The log is
    taken of the mean, not the mean of logs.

    Args:
        model, x, conditions: as for `elbo`.
        samples: K >= 1.
        chunk: how many samples are held in memory at a time; the result does not depend on it (up to rounding),
            though which random numbers are drawn may.
    Returns:
        (N,), nats per image.
    Raises:
        ValueError: the model's `log_weights` are not of shape (K, N).
    """
    _check_conditions(conditions)
    samples, chunk = checking.integer(samples, "samples"), checking.integer(chunk, "chunk")
    weights_of = getattr(model, "log_weights", functools.partial(standard_log_weights, model))
    draw = weights_of(x, *conditions)  # K -> (K, N)
    parts = []
    with validate_first_batch() as enough:
        for start in range(0, samples, chunk):
            count = min(chunk, samples - start)
            parts.append(torch.logsumexp(_checked_log_weights(draw(count), count, len(x)), 0))  # (N,)
            enough()
    return torch.logsumexp(torch.stack(parts), 0) - math.log(samples)


def negative_elbo(
    model: Any, x: Tensor, *conditions: Tensor, beta: float | Tensor = 1.0, samples: int = 1
) -> dict[str, Tensor]:
    """The training loss of a VAE and its parts.

    With beta other than 1 the loss is -(log_likelihood - beta kl) (Higgins et al. 2017), which is not an ELBO; the part
    called "elbo" always is.

    Args:
        model, x, conditions, samples: as for `elbo`.
        beta: weight of the KL, >= 0; a number, or (N,) for one of each image.
    Returns:
        "loss", "elbo", "distortion" (= -log_likelihood) and "kl", each (N,), nats per image.
    """
    if not isinstance(beta, Tensor):
        beta = checking.number(beta, "beta", 0)
    elif tuple(beta.shape) not in ((), (len(x),)):
        raise ValueError(
            f"beta must be a number or have shape ({len(x)},), one for each image, not {tuple(beta.shape)}."
        )
    bound, log_likelihood, kl = elbo(model, x, *conditions, samples=samples)
    return {"loss": beta * kl - log_likelihood, "elbo": bound, "distortion": -log_likelihood, "kl": kl}


def negative_elbo_by_level(
    model: Any, x: Tensor, beta: float = 1.0, free_nats: float = 0.0, samples: int = 1
) -> dict[str, Tensor]:
    """The training loss of a hierarchy and its parts, with each level's share of the KL under its own name.

    Free bits (Kingma et al. 2016, equation 15): the mean over the batch of a level's KL costs nothing below
    `free_nats`, so that no level gains anything by falling silent.

    Args:
        model: with `by_level(x, samples)`, such as a `LadderVAE`.
        x: data as the likelihood wants it, (N, ...).
        beta: weight of the KL, >= 0.
        free_nats: of each level, >= 0. With 0 the loss is the negative beta-ELBO.
        samples: draws of z per image.
    Returns:
        "loss", "elbo", "distortion" and "kl", and "kl 1" for z_1, "kl 2" ...; each (N,), nats per image.
    """
    beta, free_nats = checking.number(beta, "beta", 0), checking.number(free_nats, "free_nats", 0, 1e6)
    if not hasattr(model, "by_level"):
        raise TypeError(
            f"model must have by_level(x, samples), as a LadderVAE has; a {type(model).__name__} has none. "
            "negative_elbo trains every model."
        )
    log_likelihood, by_level = model.by_level(x, samples)  # (N,), (L, N)
    paid = by_level.sum(0) if free_nats == 0 else by_level.mean(1).clamp_min(free_nats).sum()
    kl = by_level.sum(0)
    parts = {"loss": beta * paid - log_likelihood, "elbo": log_likelihood - kl, "distortion": -log_likelihood, "kl": kl}
    return parts | {f"kl {level}": share for level, share in enumerate(by_level, 1)}


FeatureMaps = Callable[[Tensor], list[Tensor]]


def feature_nats(x: Tensor, x_hat: Tensor, features: FeatureMaps) -> Tensor:
    """How far pictures are from each other in a space of features: sum over layers of (n / 2) log(mean squared error).

    Up to a constant this is -log N(f(x); f(x_hat), s^2 I), summed over the layers, each with the s that makes its
    features of this batch most likely (the optimal variance of Rybkin et al. 2021, in feature space). A layer of n
    numbers counts like n pixels would, in whatever units it speaks; its s shrinks as the pictures get better.

    Args:
        x, x_hat: (N, C, H, W) in [0, 1]; the gradient goes to x_hat only.
        features: pictures -> a list of tensors (N, ...), such as `Features` or a critic's `features`.
    Returns:
        a scalar, nats per image.
    Raises:
        TypeError, ValueError: no floating-point tensors, or of different shapes, which would be compared in all pairs;
            features that give nothing.
    """
    checking.floating(x, "x"), checking.floating(x_hat, "x_hat")
    if x.shape != x_hat.shape:
        raise ValueError(f"x and x_hat must have the same shape, not {tuple(x.shape)} and {tuple(x_hat.shape)}.")
    with torch.no_grad():
        real = features(x)
    pairs = [(not_halved(a), not_halved(b)) for a, b in zip(real, features(x_hat), strict=True)]
    if not pairs:
        raise ValueError("features gives no tensor: there is nothing to compare the pictures by.")
    return sum(a[0].numel() / 2 * (b - a).square().mean().clamp_min(SMALLEST_ERROR).log() for a, b in pairs)


SMALLEST_ERROR = 1e-12  # of features; equal pictures are not infinitely near


def negative_elbo_with_features(
    model: Any, x: Tensor, *conditions: Tensor, features: FeatureMaps, price: float = 1.0, beta: float = 1.0
) -> dict[str, Tensor]:
    """The training loss of a VAE whose mean pictures are also compared by features; no bound on log p(x).

    Features are functions of the pixels, whose likelihood is there already: the sum counts the picture several times
    and is no density of it. The part called "elbo" is still the ELBO of the pixels.

    Args:
        model, x, conditions: as for `elbo`.
        features: see `feature_nats`.
        price: what a nat of features costs, >= 0.
        beta: weight of the KL.
    Returns:
        "loss", "elbo", "distortion" and "kl", each (N,), and "features", a scalar; nats per image.
    """
    price, beta = checking.number(price, "price", 0), checking.number(beta, "beta", 0)
    _, p, parts = _one_draw(model, x, conditions, beta)
    told = feature_nats(x, p.mean, features)
    return parts | {"loss": parts["loss"] + price * told, "features": told}


def critic_error(pair: Any, x: Tensor, *conditions: Tensor, loss: str = "hinge") -> dict[str, Tensor]:
    """The critic's loss: how well does it tell real pictures from the VAE's reconstructions? Trains `pair.critic`.

    Args:
        pair: with `vae` and `critic`, such as an `AdversarialPair`.
        x, conditions: as for `elbo`.
        loss: "hinge" (Lim & Ye 2017): max(0, 1 - d(x)) + max(0, 1 + d(x_hat)); or "non-saturating" (Goodfellow et al.
            2014, equation 1): -log sigmoid(d(x)) - log sigmoid(-d(x_hat)).
    Returns:
        "loss" (N,), averaged over the places of a picture; "real" and "made", the mean logits; "right", the share of
        places of both that the critic tells rightly: 0.5 is a guess.
    """
    checking.choice(loss, "loss", ADVERSARIAL)
    _check_conditions(conditions)
    _check_pair(pair)
    with torch.no_grad():  # the VAE is not to learn from the critic's loss
        made = pair.vae.decode(pair.vae.encode(x, *conditions).rsample(), *conditions).mean
    d_real, d_made = (pair.critic(pictures).reshape(len(x), -1) for pictures in (x, made.clamp(0, 1)))  # (N, places)
    of_real, of_made, _ = ADVERSARIAL[loss]
    right = ((d_real > 0).float().mean() + (d_made < 0).float().mean()) / 2
    error = of_real(d_real).mean(1) + of_made(d_made).mean(1)
    return {"loss": error, "real": d_real.mean(), "made": d_made.mean(), "right": right}


def negative_elbo_with_critic(
    pair: Any,
    x: Tensor,
    *conditions: Tensor,
    price: float = 600.0,
    features: FeatureMaps | None = None,
    loss: str = "hinge",
    beta: float = 1.0,
) -> dict[str, Tensor]:
    """The VAE's loss beside a critic: the negative ELBO, and `price` nats for each unit of the critic's disbelief.

    Trains `pair.vae`. With "hinge" the disbelief is -d(x_hat), with "non-saturating" -log sigmoid(d(x_hat)), averaged
    over places.

    Args:
        pair, x, conditions, loss: as for `critic_error`.
        price: nats, >= 0; fixed. (VQGAN's adaptive weight divides two gradients, one of which means nothing as long as
            the critic knows nothing.)
        features: also compare features, see `feature_nats`; `pair.critic.features` for the feature matching of Larsen
            et al. (2016).
        beta: weight of the KL.
    Returns:
        "loss", "elbo", "distortion" and "kl", each (N,); "disbelief", and "features" where there are some: scalars.
    """
    checking.choice(loss, "loss", ADVERSARIAL)
    price, beta = checking.number(price, "price", 0), checking.number(beta, "beta", 0)
    _check_pair(pair)
    _, p, parts = _one_draw(pair.vae, x, conditions, beta)
    disbelief = ADVERSARIAL[loss][2](pair.critic(p.mean)).mean()
    parts |= {"loss": parts["loss"] + price * disbelief, "disbelief": disbelief}
    if features is None:
        return parts
    told = feature_nats(x, p.mean, features)
    return parts | {"loss": parts["loss"] + told, "features": told}


# of a logit: the critic's loss on a real and on a made picture, and the generator's loss
ADVERSARIAL: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "hinge": (lambda d: F.relu(1 - d), lambda d: F.relu(1 + d), lambda d: -d),
    "non-saturating": (lambda d: F.softplus(-d), F.softplus, lambda d: F.softplus(-d)),
}


def style_reading_error(pair: Any, x: Tensor, s: Tensor) -> dict[str, Tensor]:
    """The critic's loss: how badly does it read the style from the content? Trains `pair.critic`.

    Args:
        pair: an `AdversarialPair` of a `StyleVAE` and a network from contents (N, D) to styles (N, style_dim).
        x: (N, C, H, W).
        s: (N, style_dim), the styles.
    Returns:
        "loss" (N,), the squared error, summed over the style; "leak", see `style_leak`.
    """
    _check_pair(pair)
    with torch.no_grad():  # the VAE is not to learn from the critic's loss
        z = pair.vae.encode(x, s).rsample()
    guessed = not_halved(pair.critic(z))  # (N, style_dim)
    return {"loss": (guessed - s).square().sum(-1), "leak": style_leak(guessed, s)}


def style_leak(guessed: Tensor, s: Tensor) -> Tensor:
    """How much a reader knows of the styles, in nats: the sum over the style of log(variance / squared error) / 2.

    A lower bound on what contents tell about styles, were styles Gaussian and independent (Barber & Agakov 2003).

    Args:
        guessed, s: (N, style_dim).
    Returns:
        a scalar, >= 0: what is guessed worse than by the mean counts as nothing known.
    """
    if guessed.shape != s.shape:
        raise ValueError(f"guessed {tuple(guessed.shape)} and s {tuple(s.shape)} must be of one shape, (N, style_dim).")
    error, variance = (guessed - s).square().mean(0), s.var(0, correction=0)  # (style_dim,)
    known = error < variance  # a number that does not vary is not: cut before the log, whose slope at 0 is infinite
    return 0.5 * (torch.where(known, variance, 1.0) / torch.where(known, error, 1.0)).log().sum()


def negative_elbo_without_leak(
    pair: Any, x: Tensor, s: Tensor, price: float = 300.0, beta: float = 1.0
) -> dict[str, Tensor]:
    """The loss of a conditional VAE whose content is to know nothing of the style: trains `pair.vae`.

    Args:
        pair, x, s: as for `style_reading_error`.
        price: what a nat that the critic knows costs, >= 0.
        beta: weight of the KL.
    Returns:
        "loss", "elbo", "distortion" and "kl", each (N,), nats per image; "leak", nats, see `style_leak`.
    """
    price, beta = checking.number(price, "price", 0), checking.number(beta, "beta", 0)
    _check_pair(pair)
    z, _, parts = _one_draw(pair.vae, x, (s,), beta)
    leak = style_leak(not_halved(pair.critic(z)), s)
    return parts | {"loss": parts["loss"] + price * leak, "leak": leak}


def negative_group_elbo(model: Any, sets: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """The loss of a group VAE, for each picture: contents and pictures, and its share of the style's KL.

    Args:
        model: with `elbo(sets)`, such as a `GroupVAE`.
        sets: (M, K, C, H, W), prepared.
        beta: weight of the KL of style and contents.
    Returns:
        "loss" and "elbo", (M,), nats per picture.
    """
    parts = model.elbo(checking.shape(sets, "sets", "(M, K, C, H, W)"))
    loss = beta * parts.kl - parts.log_likelihood
    return {"loss": loss / sets.shape[1], "elbo": parts.elbo / sets.shape[1]}


def negative_elbo_of_hidden(model: Any, x: Tensor, seen: Tensor, beta: float = 1.0) -> dict[str, Tensor]:
    """The negative ELBO of a VAE that is shown less than it is to draw: E_{q(z | seen)}[-log p(x | z)] + beta KL.

    Args:
        model: a VAE whose `encode` takes what is seen, such as `vae_helpers.models.scenes.sprite_vae()`.
        x: what is to be drawn, (N, C, H, W).
        seen: what is seen of it, (N, ...).
        beta: weight of the KL.
    Returns:
        "loss", "elbo", "distortion" and "kl", each (N,), nats.
    """
    if len(x) != len(seen):
        raise ValueError(f"x and seen must have as many rows, not {len(x)} and {len(seen)}.")
    q = model.encode(seen)
    log_likelihood, divergence = model.decode(q.rsample()).log_prob(x), kl(q, model.prior)
    loss = checking.number(beta, "beta", 0) * divergence - log_likelihood
    return {"loss": loss, "elbo": log_likelihood - divergence, "distortion": -log_likelihood, "kl": divergence}


def vote_error(model: Any, x: Tensor, labels: Tensor, centres: Tensor) -> dict[str, Tensor]:
    """An objective for `fit`: does each pixel know what it shows, and where that thing's middle is?

    Args:
        model: a `VoteNetwork`.
        x: (N, 3, S, S).
        labels: whole numbers (N, S, S): 0 for the background, k for the k-th thing.
        centres: (N, K, 2), the things' true middles.
    Returns:
        "loss": (N,), nats for showing a thing, averaged over pixels, and four times the "miss"; "miss": (N,), how far
        votes are off, |dx| + |dy|, averaged over the pixels that show things.
    """
    logits, votes = model(x)
    checking.shape(labels, "labels", f"({', '.join(map(str, logits.shape))})")
    checking.shape(centres, "centres", f"({len(logits)}, K, 2)")
    thing = (labels > 0).to(votes)  # (N, S, S)
    wrong = F.binary_cross_entropy_with_logits(logits, thing, reduction="none").flatten(1).mean(1)
    which = (labels.long() - 1).clamp(min=0).flatten(1)  # (N, pixels)
    true = centres.to(votes).gather(1, which[:, :, None].expand(-1, -1, 2)).mT.unflatten(2, labels.shape[1:])
    off = (votes - true).abs().sum(1) * thing
    miss = off.flatten(1).sum(1) / thing.flatten(1).sum(1).clamp(min=1)
    return {"loss": wrong + 4 * miss, "miss": miss}


def negative_view_elbo(
    model: Any, x: Tensor, v: Tensor, beta: float = 1.0, seen: Tensor | None = None
) -> dict[str, Tensor]:
    """The loss of a model of things seen in several pictures: what some of them leave open, the others tell.

    E_q(z | all)[sum_k log p(x_k | z, v_k)] - KL(q(z | all) || q(z | some)), as neural processes are trained (Garnelo et
    al. 2018, section 2). With none seen it is the ELBO. With some, q(z | some) stands in the prior's place and learns
    to hold whatever all of them may show; this bounds no log p(x), for what is seen counts in both terms.

    Args:
        model: with `factors`, `prior` and `log_likelihoods`, such as a `ViewVAE`.
        x: (M, K, C, H, W), prepared: K pictures of each thing.
        v: their views, (M, K, view_dim).
        beta: weight of the KL, >= 0.
        seen: bool (M, K), the some; by default drawn anew, see `random_seen`.
    Returns:
        "loss", "bound" (the above, one only where none is seen), "distortion" and "kl", each (M,), nats for a thing.
    """
    beta = checking.number(beta, "beta", 0)
    checking.shape(x, "x", "(M, K, C, H, W)")
    said = model.factors(x, v)
    seen = random_seen(*x.shape[:2], device=x.device) if seen is None else checked_seen(seen, *x.shape[:2])
    q, some = fused(model.prior, said), fused(model.prior, said, seen)
    log_likelihood, divergence = model.log_likelihoods(q.rsample(), x, v).sum(-1), kl(q, some)  # (M,)
    parts = {"bound": log_likelihood - divergence, "distortion": -log_likelihood, "kl": divergence}
    return {"loss": beta * divergence - log_likelihood} | parts


def squared_error(model: Any, x: Tensor) -> dict[str, Tensor]:
    """The training loss of an autoencoder: squared error summed over pixels.

    Args:
        model: maps (N, C, H, W) to a reconstruction of the same shape.
        x: (N, C, H, W).
    Returns:
        "loss" (N,), summed over the pixels of an image.
    """
    if checking.floating(x, "x").dim() < 2:
        raise ValueError(f"x must have shape (N, C, H, W), not {tuple(x.shape)}: an image for each row.")
    return {"loss": (model(x) - x).square().flatten(1).sum(-1)}


def quantised_error(model: Any, x: Tensor, price: float = 0.25) -> dict[str, Tensor]:
    """The training loss of a VQ-VAE: |x - x_hat|^2 + price |z - code|^2 (van den Oord et al. 2017, equation 3).

    The term of that equation which draws codes to vectors is not here: the codebook follows by running means.

    Args:
        model: maps x to (x_hat, `Quantised`), a `VQVAE` for instance.
        x: (N, ...).
        price: beta there, what a unit of commitment costs, >= 0: it keeps the encoder near its codes.
    Returns:
        "loss", "distortion" (squared error, summed over the numbers of an x) and "commitment" (before its price), each
        (N,); "perplexity" of the codes in the batch and the share of them "in use", scalars.
    """
    price = checking.number(price, "price", 0)
    if checking.floating(x, "x").dim() < 2:
        raise ValueError(f"x must have shape (N, ...), not {tuple(x.shape)}: a picture or vector for each row.")
    x_hat, quantised = model(x)
    if x_hat.shape != x.shape:
        raise ValueError(f"x_hat must have the shape of x, {tuple(x.shape)}, not {tuple(x_hat.shape)}.")
    distortion = (x_hat - x).square().flatten(1).sum(1)
    parts = {"distortion": distortion, "commitment": quantised.commitment}
    used = {"perplexity": quantised.perplexity, "in use": quantised.in_use}
    return {"loss": distortion + price * quantised.commitment} | parts | used


def negative_log_likelihood_of_tokens(model: Any, tokens: Tensor) -> dict[str, Tensor]:
    """The training loss of a prior over tokens: -log p(tokens), in nats.

    Args:
        model: with `log_prob(tokens)`, such as a `CausalPrior`.
        tokens: `int64` (N, ...).
    Returns:
        "loss" (N,), nats per image, summed over its tokens.
    """
    return {"loss": -model.log_prob(tokens)}


def flow_matching_error(flow: Any, z: Tensor, tokens: Tensor | None = None, untold: float = 0.1) -> dict[str, Tensor]:
    """The squared error of a velocity along straight paths (Lipman et al. 2023, equation 9, sigma_min = 0).

    |u(z_t, t) - (z - eps)|^2 with z_t = (1 - t) eps + t z, t uniform: its minimum over u is the mean velocity.

    Args:
        flow: a `Flow`.
        z: codes (N, D), in their own units.
        tokens: a sentence for each, `int64` (N, L); of labels (N,), counted from 1, labels[:, None].
        untold: the share of sentences that are withheld, so that the flow learns to do without, too (Ho & Salimans
            2022).
    Returns:
        "loss", (N,), summed over the dimensions of standardised codes.
    Raises:
        TypeError, ValueError: arguments of another kind or shape, or a flow that reads no sentences.
    """
    z = flow.standardised(z)
    eps, t = torch.randn_like(z), torch.rand(len(z), 1, device=z.device, dtype=z.dtype)
    if tokens is not None:
        check_tokens(tokens, len(z))
        withheld = torch.rand(len(z), 1, device=z.device) < checking.number(untold, "untold", 0, 1)
        tokens = tokens.masked_fill(withheld, 0)
    u = flow.velocity((1 - t) * eps + t * z, t[:, 0], tokens)
    return {"loss": (u - (z - eps)).square().sum(1)}


DENOISING_SIGMAS = (0.0, 55 / 255)  # as Zhang et al. (2017, DnCNN) train one network for all levels


def denoising_error(model: Any, x: Tensor, sigma: float | tuple[float, float] = DENOISING_SIGMAS) -> dict[str, Tensor]:
    """An objective for `fit`: squared error of the estimates for pictures with fresh Gaussian noise.

    Its minimum over all functions is the posterior mean E[x | y].

    Args:
        model: called as `model(y, sigma)`, a `ResidualDenoiser` for instance.
        x: clean pictures (B, C, H, W) in [0, 1].
        sigma: standard deviation of the noise, or the range from which each picture's is drawn uniformly.
    Returns:
        "loss": (B,), summed over pixels and channels.
    """
    checking.floating(checking.shape(x, "x", "(B, C, H, W)"), "x")
    low, high = sigma if isinstance(sigma, tuple) and len(sigma) == 2 else (sigma, sigma)
    if not (checking.is_number(low) and checking.is_number(high) and 0 <= low <= high):
        raise ValueError(
            f"sigma must be a number of at least 0, or a range (low, high) of such, not {checking.shown(sigma)}."
        )
    levels = low + (high - low) * torch.rand(len(x), device=x.device)  # (B,)
    noise = torch.randn(x.shape, dtype=x.dtype, device=x.device)  # the same draws whatever the layout of x in memory
    y = x + levels[:, None, None, None] * noise
    return {"loss": (model(y, levels) - x).square().flatten(1).sum(1)}


def _one_draw(model: Any, x: Tensor, conditions: tuple, beta: float) -> tuple[Tensor, Any, dict[str, Tensor]]:
    """One draw z of q, p(x | z), and the parts of the negative beta-ELBO at that draw, each (N,)."""
    _check_conditions(conditions)
    check_latent_variables(model)
    q = model.encode(x, *conditions)
    z = q.rsample()
    p = model.decode(z, *conditions)
    log_likelihood, divergence = p.log_prob(x), kl(q, model.prior)
    parts = {"elbo": log_likelihood - divergence, "distortion": -log_likelihood, "kl": divergence}
    return z, p, {"loss": beta * divergence - log_likelihood} | parts


def _check_pair(pair: Any) -> None:
    if not (hasattr(pair, "vae") and hasattr(pair, "critic")):
        raise TypeError(
            f"the pair must have a vae and a critic; a {type(pair).__name__} has not both. "
            "AdversarialPair(vae, critic) makes one."
        )


def _checked_log_weights(log_weights: Any, samples: int, n: int) -> Tensor:
    shape = tuple(log_weights.shape) if isinstance(log_weights, Tensor) else checking.shown(log_weights)
    if shape != (samples, n):
        raise ValueError(
            f"what a model's log_weights(x) returns must give a tensor (K, N) for K draws of each of N images, "
            f"{(samples, n)}, not {shape}."
        )
    return log_weights


def _check_conditions(conditions: tuple) -> None:
    for condition in conditions:
        if not isinstance(condition, Tensor):
            raise TypeError(
                f"a condition must be a tensor with a row for each image, not {checking.shown(condition)}. "
                "The other arguments are given by name: samples=10."
            )
