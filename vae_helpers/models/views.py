"""Several pictures of one thing, each from a known view: a code for the thing, and pictures from any other view.

    z ~ N(0, I)                 once for a thing
    x_k | z ~ p(x | z, v_k)     for each of its pictures: v_k says from where it is seen, and in what light

Each picture says of z a Gaussian factor, and what is seen together is their product, the prior counted once
(`vae_helpers.models.experts`): in any order, as many as there are, and nothing seen is the prior. Trained by
`negative_view_elbo`, as neural processes are (Garnelo et al. 2018), q(z | some pictures) knows what the others may
show; with pictures and cameras this is the setting of Eslami et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vae_helpers import checking
from vae_helpers.distributions import GaussianFactor, GaussianLikelihood, kl
from vae_helpers.models.convolutional import PATCH, check_shape, counts
from vae_helpers.models.experts import checked_seen, fused
from vae_helpers.models.ladder import as_factor
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import Elbo, LatentVariableModel, evaluating
from vae_helpers.models.style import FiLM, Styled

TOLD = 64  # units that a view is told in


class ViewVAE(LatentVariableModel):
    """A VAE of things seen in several square pictures, whose encoder and decoder are told the view of each.

    Args:
        image_shape: (C, S, S), as for `conv_vae`.
        view_dim: numbers that say a view, about [-1, 1]: 6 of `shapes.as_inputs(factors, shapes.VIEW)`.
        latent_dim: D, numbers for the thing.
        width: channels of the decoder; the encoder, which has less to do, begins with half as many.
        hidden: units of the dense layers.
        colours: K that the decoder mixes, see `PaletteDecoder`; which they are depends on the light, so on the view.
        likelihood: of values in [0, 1], for the decoder mixes colours and gives no logits; by default a Gaussian whose
            sigma, one number, is learned.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        view_dim: int = 6,
        latent_dim: int = 48,
        width: int = 48,
        hidden: int = 128,
        colours: int = 16,
        likelihood: nn.Module | None = None,
    ):
        super().__init__()
        channels, places, doublings = check_shape(image_shape)
        view_dim, latent_dim, width, hidden, colours = counts(
            view_dim=view_dim, latent_dim=latent_dim, width=width, hidden=hidden, colours=colours
        )
        self.image_shape, self.view_dim, self.latent_dim = tuple(image_shape), view_dim, latent_dim
        self.likelihood = likelihood or GaussianLikelihood(0.1, learn_sigma=True)
        self.of_view = nn.Sequential(nn.Linear(view_dim, TOLD), nn.SiLU(), nn.Linear(TOLD, TOLD), nn.SiLU())
        half = max(1, width // 2)
        stages = [half, *[2 * half] * (doublings + 1)]
        looking: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for c_in, c_out in zip([4 * channels, *stages], stages, strict=False):
            looking += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), *_told(c_out)]
        looking += [nn.Flatten(), nn.Linear(stages[-1] * (-(-places // 2)) ** 2, hidden), *_told(hidden)]
        looking += [nn.Linear(hidden, hidden), *_told(hidden), nn.Linear(hidden, 2 * latent_dim)]
        self.encoder = Styled(*looking)
        painting = [nn.Linear(latent_dim, hidden), *_told(hidden), nn.Linear(hidden, hidden), *_told(hidden)]
        painting += [nn.Linear(hidden, width * places**2), nn.Unflatten(1, (width, places, places)), *_told(width)]
        for _ in range(doublings):
            painting += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), *_told(width)]
        painting += [nn.Conv2d(width, width, 3, padding=1), *_told(width)]
        self.to_shares = Styled(*painting, nn.Conv2d(width, colours * PATCH**2, 1), nn.PixelShuffle(PATCH))
        mixing = [nn.Linear(latent_dim, TOLD), *_told(TOLD), nn.Linear(TOLD, channels * colours)]
        self.to_colours = Styled(*mixing, nn.Unflatten(1, (-1, colours)))

    def prepare(self, images: Tensor) -> Tensor:
        """Stored pictures `uint8` (..., C, H, W) as the data that the likelihood is defined on."""
        return self.likelihood.prepare(images.flatten(0, -4)).view(images.shape).to(self.dtype)

    def factors(self, x: Tensor, v: Tensor) -> GaussianFactor:
        """What each picture says of z beyond the prior.

        Args:
            x: prepared pictures (..., C, S, S).
            v: their views (..., view_dim), or fewer that broadcast.
        Returns:
            batch shape (...).
        """
        shape = self._checked_pictures(x).shape[:-3]
        raw = self.encoder(self.likelihood.encoder_input(x).flatten(0, -4), self.of_view(self._rows(v, shape)))
        return as_factor(raw.unflatten(0, shape))

    def encode(self, x: Tensor, v: Tensor, seen: Tensor | None = None) -> Independent:
        """q(z | the seen pictures of a thing), whatever their order and number.

        Args:
            x: prepared pictures (M, K, C, S, S), K of each of M things.
            v: their views (M, K, view_dim).
            seen: bool (M, K), which of them count; all by default. None of a thing: the prior.
        Returns:
            batch shape (M,), event shape (D,).
        """
        checking.shape(x, "x", "(M, K, C, S, S)", "x[:, None] has one picture of each thing.")
        seen = seen if seen is None else checked_seen(seen, *x.shape[:2])
        return fused(self.prior, self.factors(x, v), seen)

    def decode(self, z: Tensor, v: Tensor) -> Independent:
        """p(x | z, v): codes (..., D) and views that broadcast, (..., view_dim) -> batch shape (...), a picture each.

        Codes (M, 1, D) and views (M, T, view_dim) give T pictures of each of M things.
        """
        try:
            shape = torch.broadcast_shapes(z.shape[:-1], v.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"codes {tuple(z.shape)} and views {tuple(v.shape)} do not belong together: z[:, None] with views "
                "(M, T, ...) gives T pictures of each thing."
            ) from error
        told = self.of_view(self._rows(v, shape))
        z = z.expand(*shape, -1).reshape(-1, self.latent_dim)
        shares = not_halved(self.to_shares(z, told)).softmax(1)  # (N, K, S, S)
        colours = not_halved(self.to_colours(z, told))  # (N, C, K), about 0
        with torch.autocast(z.device.type, enabled=False):
            picture = 0.5 + torch.bmm(colours, shares.flatten(2)).unflatten(2, shares.shape[2:])
        return self.likelihood(picture.reshape(*shape, *picture.shape[1:]))

    def elbo(self, x: Tensor, v: Tensor, samples: int = 1) -> Elbo:
        """The bound on log p of all pictures of a thing together: one code, and its KL paid once.

        Args:
            x, v: as for `encode`.
            samples: draws of z for a thing.
        Returns:
            Elbo of (M,) tensors, nats for a thing.
        """
        q = self.encode(x, v)
        z = q.rsample((checking.integer(samples, "samples"),))  # (samples, M, D)
        log_likelihood = self.log_likelihoods(z, x, v).sum(-1).mean(0)  # (M,)
        divergence = kl(q, self.prior)
        return Elbo(log_likelihood - divergence, log_likelihood, divergence)

    def log_weights(self, x: Tensor, v: Tensor) -> Callable[[int], Tensor]:
        """A function of the number of draws z ~ q: log p(x_1 ... x_K, z | v) - log q(z | x, v), (draws, M), nats."""
        q, prior = self.encode(x, v), self.prior

        def draw(samples: int) -> Tensor:
            z = q.rsample((samples,))  # (samples, M, D)
            return self.log_likelihoods(z, x, v).sum(-1) + prior.log_prob(z) - q.log_prob(z)

        return draw

    def log_likelihoods(self, z: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """log p(x_k | z, v_k) of each picture: codes (..., M, D), x and v as for `encode` -> (..., M, K), nats."""
        return self.decode(z[..., None, :], v).log_prob(x)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, v: Tensor) -> Tensor:
        """The pictures themselves, by the mean code of all of them: (M, K, C, S, S)."""
        return self.novel_views(x, v, v)

    @torch.no_grad()
    def novel_views(self, x: Tensor, v: Tensor, wanted: Tensor, draws: int | None = None) -> Tensor:
        """How the things look from other views: the decoder's means.

        Args:
            x, v: the pictures seen and their views, as for `encode`.
            wanted: views (M, T, view_dim), or (T, view_dim) alike for all.
            draws: codes drawn of q for each thing, which differ in what the pictures did not show; by default its mean.
        Returns:
            (M, T, C, S, S), or (draws, M, T, C, S, S).
        """
        with evaluating(self):
            q = self.encode(x, v)
            z = q.mean if draws is None else q.sample((checking.integer(draws, "draws"),))
            return self.decode(z[..., None, :], wanted).mean

    def _checked_pictures(self, x: Tensor) -> Tensor:
        if checking.floating(x, "x").dim() < 4 or x.shape[-3:] != self.image_shape:
            raise ValueError(
                f"x must have shape (..., {', '.join(map(str, self.image_shape))}), the pictures that this model is "
                f"made for, not {tuple(x.shape)}."
            )
        return x

    def _rows(self, v: Tensor, shape: Sequence[int]) -> Tensor:
        """Views in a row for a batch of that shape, (N, view_dim)."""
        if checking.floating(v, "views").shape[-1] != self.view_dim:
            raise ValueError(
                f"views must be (..., {self.view_dim}), not {tuple(v.shape)}: shapes.as_inputs(factors, shapes.VIEW) "
                "makes them of factors."
            )
        try:
            return v.expand(*shape, -1).reshape(-1, self.view_dim)
        except RuntimeError as error:
            raise ValueError(
                f"views {tuple(v.shape)} do not belong to pictures or codes {tuple(shape)}: each has a view."
            ) from error


def _told(channels: int) -> list[nn.Module]:
    """What the view says to so many channels, and a bend."""
    return [FiLM(TOLD, channels), nn.SiLU()]


def random_seen(things: int, pictures: int, device: torch.device | str | None = None) -> Tensor:
    """For each thing how many of its pictures are seen, 0 to all but one and equally likely, and which: bool (M, K)."""
    things, pictures = checking.integer(things, "things"), checking.integer(pictures, "pictures")
    rank = torch.rand(things, pictures, device=device).argsort(1).argsort(1)
    return rank < torch.randint(0, pictures, (things, 1), device=device)
