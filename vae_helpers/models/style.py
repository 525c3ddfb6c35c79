"""What a set of pictures shares, and what is left of each: a style and a content.

    s ~ N(0, I)                     once for a set of pictures
    z_i ~ N(0, I)                   once for each of them
    x_i | z_i, s ~ the decoder      all of them painted in one style

With the style given, `StyleVAE` is a conditional VAE (Sohn et al. 2015). With the style inferred from a set it is a
group VAE (Bouchacourt et al. 2018; Hosoya 2019): q(s | x_1 ... x_K) is the product of what each picture says about s,
with the prior counted once. Of the experts that say it `LinearStyle` is the simplest, and known in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from vae_helpers import checking
from vae_helpers.distributions import (
    GaussianFactor,
    GaussianLikelihood,
    diagonal_gaussian,
    gaussian_transport,
    kl,
    soft_bound,
    standard_normal,
)
from vae_helpers.images import to_float
from vae_helpers.models.convolutional import PATCH, check_shape, counts
from vae_helpers.models.experts import fused
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import Elbo, LatentVariableModel, evaluating


class FiLM(nn.Module):
    """Each channel scaled and shifted as the style says (Perez et al. 2018); to begin with, not at all."""

    def __init__(self, style_dim: int, channels: int):
        super().__init__()
        self.said = _silent(nn.Linear(style_dim, 2 * channels))

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """(N, channels, ...) and (N, style_dim) -> (N, channels, ...)."""
        scale, shift = self.said(s).unflatten(1, (-1, *[1] * (x.dim() - 2))).chunk(2, dim=1)
        return x * (1 + scale) + shift


class Palette(nn.Module):
    """Colours to colours, by the affine map that the style says: c -> (1 + A(s)) c + b(s); to begin with, c -> c."""

    def __init__(self, style_dim: int, channels: int = 3, hidden: int = 32):
        super().__init__()
        self.said = nn.Sequential(
            nn.Linear(style_dim, hidden), nn.SiLU(), _silent(nn.Linear(hidden, channels * (channels + 1)))
        )

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Colours (N, C, ...) and styles (N, style_dim) -> (N, C, ...)."""
        A_and_b = not_halved(self.said(s)).unflatten(1, (x.shape[1], -1))  # (N, C, C + 1)
        with torch.autocast(x.device.type, enabled=False):  # colours keep their digits
            colours = not_halved(x).flatten(2)  # (N, C, M)
            return (colours + torch.baddbmm(A_and_b[..., -1:], A_and_b[..., :-1], colours)).view_as(x)


class Styled(nn.Sequential):
    """Layers in a row, of which those that ask for the style are given it."""

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """(N, ...) and (N, style_dim) -> what the last layer makes of it."""
        for layer in self:
            x = layer(x, s) if isinstance(layer, FiLM | Palette) else layer(x)
        return x


class StyleVAE(LatentVariableModel):
    """A VAE of square pictures whose encoder and decoder are told the style.

    The encoder undoes a palette before it looks, the decoder paints in one. Both are affine maps of colours, as changes
    of light and paint are, to good approximation; what no palette can do, such as ink, is left to FiLM.

    Args:
        image_shape: (C, S, S), as for `conv_vae`.
        latent_dim: D, numbers for the content.
        style_dim: numbers for the style.
        width, hidden: channels, and units of the dense layers.
        colours: K that the decoder mixes, see `PaletteDecoder`.
        likelihood: of values in [0, 1], for the decoder mixes colours and gives no logits; by default a Gaussian whose
            sigma, one number, is learned.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 40,
        style_dim: int = 8,
        width: int = 48,
        hidden: int = 256,
        colours: int = 16,
        likelihood: nn.Module | None = None,
    ):
        super().__init__()
        channels, places, doublings = check_shape(image_shape)
        latent_dim, style_dim, width, hidden, colours = counts(
            latent_dim=latent_dim, style_dim=style_dim, width=width, hidden=hidden, colours=colours
        )
        self.latent_dim, self.style_dim = latent_dim, style_dim
        self.likelihood = likelihood or GaussianLikelihood(0.05, learn_sigma=True)
        stages = [width, *[2 * width] * (doublings + 1)]
        looking: list[nn.Module] = [Palette(style_dim, channels), nn.PixelUnshuffle(2)]
        for c_in, c_out in zip([4 * channels, *stages], stages, strict=False):
            looking += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), FiLM(style_dim, c_out), nn.SiLU()]
        looking += [nn.Flatten(), nn.Linear(stages[-1] * (-(-places // 2)) ** 2, hidden), FiLM(style_dim, hidden)]
        self.encoder = Styled(*looking, nn.SiLU(), nn.Linear(hidden, 2 * latent_dim))
        painting = [nn.Linear(latent_dim, hidden), FiLM(style_dim, hidden), nn.SiLU()]
        painting += [nn.Linear(hidden, width * places**2), nn.Unflatten(1, (width, places, places)), nn.SiLU()]
        for _ in range(doublings):
            painting += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]
        painting += [nn.Conv2d(width, width, 3, padding=1), FiLM(style_dim, width), nn.SiLU()]
        self.to_shares = Styled(*painting, nn.Conv2d(width, colours * PATCH**2, 1), nn.PixelShuffle(PATCH))
        self.to_colours = nn.Sequential(nn.Linear(latent_dim, channels * colours), nn.Unflatten(1, (-1, colours)))
        self.palette = Palette(style_dim, channels)

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) as the data that the likelihood is defined on."""
        return self.likelihood.prepare(images).to(self.dtype)

    def encode(self, x: Tensor, s: Tensor) -> Independent:
        """q(z | x, s): pictures (N, C, H, W) and styles (N, style_dim) -> batch shape (N,), event shape (D,)."""
        s = s.expand(len(x), -1)
        mu, raw_log_var = not_halved(self.encoder(self.likelihood.encoder_input(x), s)).chunk(2, dim=-1)
        return diagonal_gaussian(mu, soft_bound(raw_log_var))

    def decode(self, z: Tensor, s: Tensor) -> Independent:
        """p(x | z, s): contents (..., D) and styles that broadcast, (..., style_dim) -> batch shape (...)."""
        s = s.expand(*z.shape[:-1], -1).reshape(-1, self.style_dim)
        z, shape = z.reshape(-1, self.latent_dim), z.shape[:-1]
        shares = not_halved(self.to_shares(z, s)).softmax(1)  # (M, K, H, W)
        colours = self.palette(not_halved(self.to_colours(z)), s)  # (M, C, K), about 0
        with torch.autocast(z.device.type, enabled=False):
            picture = 0.5 + torch.bmm(colours, shares.flatten(2)).unflatten(2, shares.shape[2:])
        return self.likelihood(picture.reshape(*shape, *picture.shape[1:]))


class LinearStyle(nn.Module):
    """What each picture says about the style of its set, in a linear-Gaussian model of sets; `linear_style` fits one.

    A picture's thumbnail f, all its numbers in a row, is taken for f_i = m + B s + e_i: s ~ N(0, I) once for a set, and
    e_i ~ N(0, S) anew for each picture. Then a picture says of s a factor with precision B^T S^-1 B, and with shift
    B^T S^-1 (f_i - m).

    Args:
        style_dim: numbers of s.
        channels: C of the pictures.
        side: pixels of a thumbnail's side.
    """

    def __init__(self, style_dim: int, channels: int = 3, side: int = 8):
        super().__init__()
        style_dim, channels, side = counts(style_dim=style_dim, channels=channels, side=side)
        self.side, features = side, channels * side**2
        self.register_buffer("m", torch.zeros(features))
        self.register_buffer("reading", torch.zeros(features, style_dim))  # S^-1 B
        self.register_buffer("precision", torch.ones(style_dim))  # the diagonal of B^T S^-1 B, which has no other part

    def forward(self, images: Tensor) -> GaussianFactor:
        """What each picture says beyond the prior: `uint8` or floats in [0, 1] (..., C, H, W) -> batch shape (...)."""
        shift = (thumbnails(images, self.side) - self.m) @ self.reading
        return GaussianFactor(shift, self.precision.expand_as(shift))


def linear_style(sets: Tensor, style_dim: int = 8, side: int = 8, ridge: float = 0.01) -> tuple[LinearStyle, Tensor]:
    """The linear-Gaussian model of sets, by their covariances: S within sets, and B B^T between them (Ioffe 2006).

    Nothing has to be trained. Of all B with this product the one is taken for which B^T S^-1 B is diagonal: its columns
    are the directions in which sets differ most for how much their members do.

    Args:
        sets: `uint8` (M, K, C, H, W): M sets of K pictures each, at least 2.
        style_dim: how many of those directions are taken for style.
        side: pixels of a thumbnail's side.
        ridge: added to the variances within sets, as a share of their mean.
    Returns:
        the expert; and of each direction the variance between sets over that within, the largest first, (F,).
    Raises:
        ValueError: the sets do not differ in so many directions.
    """
    cure = "load('faces', styles=1000) has sets of 16: train.images.unflatten(0, (-1, 16))."
    checking.shape(sets, "sets", "(M, K, C, H, W)", cure, M=2, K=2)
    f = torch.stack([thumbnails(pictures, side) for pictures in sets])  # (M, K, F)
    m, members = f.mean((0, 1)), f.shape[1]
    within = (f - f.mean(1, keepdim=True)).flatten(0, 1)
    S = within.T @ within / (len(f) * (members - 1))  # (F, F)
    centres = f.mean(1) - m
    between = centres.T @ centres / (len(f) - 1) - S / members  # of a mean of K members S / K is left
    S.diagonal().add_(checking.number(ridge, "ridge", 0) * S.diagonal().mean())
    ratios, axes = _common_axes(between, S)
    if ratios[checking.integer(style_dim, "style_dim", 1, len(ratios)) - 1] <= 0:
        raise ValueError(
            f"style_dim = {style_dim}, but the sets differ in {int((ratios > 0).sum())} directions only. "
            "Ask for fewer, or give more sets."
        )
    expert = LinearStyle(style_dim, sets.shape[2], side).to(f)
    expert.m, expert.precision = m, ratios[:style_dim].clone()
    expert.reading = axes[:, :style_dim] * expert.precision.sqrt()  # S^-1 B: notebook 09, eq. (9.5)
    return expert, ratios


def _common_axes(between: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """Ratios (F,), the largest first, and axes V (F, F) with between V = S V diag(ratios) and V^T S V = I."""
    from scipy.linalg import eigh

    ratios, axes = eigh(between.cpu().double().numpy(), S.cpu().double().numpy())
    return torch.from_numpy(ratios).to(S).flip(0), torch.from_numpy(axes).to(S).flip(1)


def thumbnails(images: Tensor, side: int) -> Tensor:
    """Pictures averaged down, `uint8` or floats in [0, 1] (..., C, H, W) -> (..., C side^2)."""
    checking.integer(side, "side", 1, images.shape[-1])
    flat = images.reshape(-1, *images.shape[-3:])
    small = nn.functional.adaptive_avg_pool2d(to_float(flat) if flat.dtype == torch.uint8 else flat, side)
    return small.reshape(*images.shape[:-3], -1)


def infer_style(expert: nn.Module, sets: Tensor, seen: Tensor | None = None) -> Independent:
    """q(s | the seen members of a set): the product of what each says, and the prior once (notebook 07).

    Args:
        expert: pictures -> a `GaussianFactor` for each, such as a `LinearStyle`.
        sets: (..., K, C, H, W), `uint8` or floats in [0, 1].
        seen: bool (..., K), which members count; all of them by default.
    Returns:
        batch shape (...), event shape (style_dim,).
    """
    said = expert(sets)  # batch shape (..., K)
    prior = standard_normal(said.shift.shape[-1], said.shift.device, said.shift.dtype)
    return fused(prior, said, seen)  # notebook 09, eq. (9.4)


class ColourOfStyle(nn.Module):
    """The covariance of the colours of pictures in a style, a quadratic function of it; `colour_of_style` fits one.

    Args:
        style_dim: numbers of the style.
        channels: C of the pictures.
    """

    def __init__(self, style_dim: int, channels: int = 3):
        super().__init__()
        style_dim, self.channels = counts(style_dim=style_dim, channels=channels)
        terms = quadratic(torch.zeros(1, style_dim)).shape[1]
        self.register_buffer("weights", torch.zeros(terms, channels**2))

    def forward(self, s: Tensor) -> Tensor:
        """Styles (N, style_dim) -> covariances (N, C, C), positive."""
        root = (quadratic(s) @ self.weights).unflatten(1, (self.channels, -1))  # a Cholesky factor is what was fitted
        return root @ root.mT


def colour_of_style(sets: Tensor, s: Tensor, ridge: float = 1.0) -> ColourOfStyle:
    """A ridge regression from styles to the Cholesky factors of the covariances of all pixels of each set.

    Args:
        sets: `uint8` (M, K, C, H, W).
        s: their styles, (M, style_dim).
        ridge: penalty, > 0.
    """
    colours = [to_float(pictures).transpose(0, 1).flatten(1) for pictures in sets]  # (C, K H W) each
    roots = torch.stack([torch.linalg.cholesky(torch.cov(c) + 1e-6 * torch.eye(len(c)).to(c)) for c in colours])
    colour = ColourOfStyle(s.shape[1], sets.shape[2]).to(s)
    colour.weights = quadratic_ridge(s, roots.flatten(1).to(s), ridge)
    return colour


def quadratic_ridge(s: Tensor, targets: Tensor, ridge: float = 1.0) -> Tensor:
    """Weights W with `quadratic(s) @ W` near the targets: a ridge regression on styles and their products.

    Args:
        s: (M, style_dim).
        targets: (M, T), such as the mean pictures of sets.
        ridge: penalty, > 0; 1 is little beside a thousand sets.
    Returns:
        (1 + d + d (d + 1) / 2, T) for d = style_dim.
    """
    terms = quadratic(s)
    normal = terms.T @ terms + checking.positive(ridge, "ridge") * torch.eye(terms.shape[1]).to(terms)
    return torch.linalg.solve(normal, terms.T @ targets)


def quadratic(s: Tensor) -> Tensor:
    """1, the numbers of s, and their products: (N, d) -> (N, 1 + d + d (d + 1) / 2)."""
    rows, columns = torch.triu_indices(s.shape[1], s.shape[1], device=s.device)
    return torch.cat([torch.ones_like(s[:, :1]), s, s[:, rows] * s[:, columns]], 1)


class GroupVAE(nn.Module):
    """A style for each set of pictures, inferred from all of them, and a content for each picture.

    Args:
        expert: what a picture says about the style, see `infer_style`.
        vae: a `StyleVAE`, told that style.
        colour: of styles, for `carry_over`.
    """

    def __init__(self, expert: nn.Module, vae: StyleVAE, colour: ColourOfStyle | None = None):
        super().__init__()
        self.expert, self.vae, self.colour = expert, vae, colour

    def infer_style(self, sets: Tensor, seen: Tensor | None = None) -> Independent:
        """q(s | the seen members), see the function of the same name."""
        return infer_style(self.expert, sets, seen)

    def elbo(self, sets: Tensor) -> Elbo:
        """A bound on log p(x_1 ... x_K), estimated by one draw: the contents' bounds, less KL(q(s) || p(s)) once.

        Args:
            sets: (M, K, C, H, W), prepared.
        Returns:
            the bound and its parts, each (M,), nats for each set; the KL is that of the style and all contents.
        """
        q, (members, *shape) = self.infer_style(sets), sets.shape[1:]
        s = q.rsample()[:, None].expand(-1, members, -1).flatten(0, 1)  # (M K, style_dim): one draw for a set
        contents = self.vae.elbo(sets.reshape(-1, *shape), s)
        log_px, kl_z = (part.unflatten(0, (-1, members)).sum(1) for part in (contents.log_likelihood, contents.kl))
        price = kl_z + kl(q, standard_normal(s.shape[-1], s.device, s.dtype))
        return Elbo(log_px - price, log_px, price)

    @torch.no_grad()
    def restyle(self, x: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
        """What x shows, in another style: the decoder's mean at the mean of q(z | x, own).

        Args:
            x: (N, C, H, W), prepared pictures.
            own, wanted: their styles and those that are wanted, (N, style_dim) or (1, style_dim).
        Returns:
            (N, C, H, W).
        """
        return self._decoded(x, own, wanted)[1]

    @torch.no_grad()
    def carry_over(self, x: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
        """The same, and what the content does not hold of x is carried over, its colours turned as the styles' are.

        Args and returns:
            as of `restyle`. Not bound to [0, 1].
        """
        if self.colour is None:
            raise ValueError("this GroupVAE knows no colours of styles: give it colour=colour_of_style(sets, s).")
        in_own, in_wanted = self._decoded(x, own, wanted)
        T = gaussian_transport(self.colour(own), self.colour(wanted))  # (N or 1, C, C)
        return in_wanted + (T @ (x - in_own).flatten(2)).view_as(x)  # notebook 09, eq. (9.10)

    def _decoded(self, x: Tensor, *styles: Tensor) -> list[Tensor]:
        """The decoder's means in several styles, the first of which x is in."""
        styles = [s.expand(len(x), -1) for s in styles]
        with evaluating(self):
            z = self.vae.encode(x, styles[0]).mean
            return [self.vae.decode(z, s).mean for s in styles]


def _silent(layer: nn.Linear) -> nn.Linear:
    """The layer, saying nothing to begin with."""
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    return layer
