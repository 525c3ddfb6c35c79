"""Codes that are whole numbers: vector quantisation (van den Oord et al. 2017), and a prior that is learned afterwards.

An encoder says vectors, the nearest vector of a codebook stands for each, and its number is the token. There is no
sampling and no KL: what a VQ-VAE cannot say is p(tokens), which a second network learns token by token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.images import to_float
from vae_helpers.models.convolutional import spatial_decoder, spatial_encoder
from vae_helpers.models.layers import mlp, not_halved
from vae_helpers.models.protocol import evaluating


class Quantised(NamedTuple):
    """What a `VectorQuantiser` makes of vectors (N, ..., d)."""

    vectors: Tensor  # (N, ..., d): those of the codebook; their gradient goes straight through to what came in
    tokens: Tensor  # (N, ...), `int64`: their numbers in the codebook
    commitment: Tensor  # (N,): squared distance of what came in to its code, summed over vectors and dimensions
    perplexity: Tensor  # a scalar from 1 to K, see `perplexity`
    in_use: Tensor  # a scalar in (0, 1]: the share of codes that these vectors use


class VectorQuantiser(nn.Module):
    """A codebook of K vectors; each vector that comes in is replaced by the nearest.

    Van den Oord et al. (2017), equations 1 and 2: the gradient of what comes out is handed to what came in as it is.
    In training mode, and in no other, each call moves the codes to the running means of the vectors that they stand
    for (appendix A.1 there), and a code that none of the last `patience` batches has used is put at a vector of this
    batch, drawn at random (Dhariwal et al. 2020, section 3.1). As every code starts unused, the first batch places
    them. In several processes all of them take part, and their codebooks stay the same.

    All of its state, codebook and counts, are buffers: checkpoints keep it, and no optimiser touches it.

    Args:
        codes: K.
        dim: d.
        books: of several codebooks the k-th is for the k-th of the vectors along the axis before d, of which there must
            be as many (product quantisation, Jegou et al. 2011).
        decay: gamma of the running means, in [0, 1).
        patience: batches; None for no revival, in which case the codes start at draws of N(0, I).
    """

    def __init__(self, codes: int, dim: int, books: int = 1, decay: float = 0.99, patience: int | None = 20):
        super().__init__()
        self.codes, self.dim = checking.integer(codes, "codes", 2), checking.integer(dim, "dim")
        self.books, self.decay = checking.integer(books, "books"), checking.number(decay, "decay", 0)
        self.patience = None if patience is None else checking.integer(patience, "patience")
        if self.decay >= 1:
            raise ValueError(f"decay must be at least 0 and below 1, such as 0.99, not {decay}.")
        self.register_buffer("codebook", torch.randn(self.books, self.codes, self.dim))
        self.register_buffer("counts", torch.ones(self.books, self.codes))  # N_k, a running mean over batches
        self.register_buffer("unused", torch.full((self.books, self.codes), self.patience or 0))  # batches in a row

    def forward(self, z: Tensor) -> Quantised:
        """(N, ..., d) -> see `Quantised`; with several codebooks (N, ..., books, d)."""
        tokens = self.nearest(z)
        vectors = self._codes_of(tokens)
        by_book = self._by_book(z.detach().to(self.codebook))  # (books, n, d)
        chosen = F.one_hot(self._rows(tokens), self.codes).to(by_book)  # (books, n, K)
        counts = chosen.sum(1)
        if self.training:
            self._learn(by_book, chosen, counts)
        z = z.to(vectors)
        commitment = (z - vectors).square().flatten(1).sum(1)  # (N,); codes get no gradient
        through = vectors + (z - z.detach())  # the codes exactly, but the gradient is that of z
        return Quantised(through, tokens, commitment, _perplexity(counts), (counts > 0).to(counts).mean())

    @torch.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """The number of the nearest code of each vector: (N, ..., d) -> `int64` (N, ...); equation 1.

        Distances are computed in the codebook's precision, `float32` or `float64`, under autocast too.
        """
        self._check(z)
        with torch.autocast(z.device.type, enabled=False):
            by_book, half_square = self._by_book(z.to(self.codebook)), self.codebook.square().sum(-1) / 2
            nearness = torch.baddbmm(-half_square[:, None], by_book, self.codebook.mT)  # (books, n, K): z e - e e / 2
        return nearness.argmax(-1).T.reshape(z.shape[:-1])  # |z - e|^2 is smallest where this is largest

    def lookup(self, tokens: Tensor) -> Tensor:
        """The codes of these numbers: `int64` (N, ...) -> (N, ..., d)."""
        _check_kind(tokens)
        if self.books > 1 and tokens.shape[-1:] != (self.books,):
            raise ValueError(f"tokens must have shape (N, ..., {self.books}), one for each codebook, not "
                             f"{tuple(tokens.shape)}.")  # fmt: skip
        return self._codes_of(_check_range(tokens, self.codes))

    def _codes_of(self, tokens: Tensor) -> Tensor:
        book = torch.arange(self.books, device=tokens.device)[:, None]
        return self.codebook[book, self._rows(tokens)].transpose(0, 1).reshape(*tokens.shape, self.dim)

    def perplexity(self, tokens: Tensor) -> Tensor:
        """exp(entropy) of how often each code is used, a mean over codebooks: K if all are equally, 1 if one alone is.

        Args:
            tokens: `int64` (N, ...); of n tokens it is n at most.
        """
        _check_range(_check_kind(tokens), self.codes)
        return _perplexity(F.one_hot(self._rows(tokens), self.codes).to(self.counts).sum(1))

    @torch.no_grad()
    def _learn(self, z: Tensor, chosen: Tensor, counts: Tensor) -> None:
        """Move the codes to the means of their vectors, and put unused ones at vectors of the batch.

        With m the running sums of appendix A.1, equations 6 to 8, e = m / N throughout. Kept as e and N the same reads
        e <- e + (1 - gamma) (sum of z - n e) / N, in which an unused code divides nothing by nothing.
        """
        order = torch.randperm(z.shape[1], device=z.device)
        candidates = z[:, order[torch.arange(self.codes, device=z.device) % len(order)]]  # (books, K, d)
        with torch.autocast(z.device.type, enabled=False):
            sums = chosen.mT @ z  # (books, K, d)
        counts, sums, candidates = _of_all_processes(counts, sums, candidates)
        self.counts.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        towards = (sums - counts[..., None] * self.codebook) / self.counts.clamp_min(SMALLEST_COUNT)[..., None]
        self.codebook.add_(towards, alpha=1 - self.decay)
        if self.patience is None:
            return
        self.unused.add_(1).mul_(counts == 0)
        dead = self.unused >= self.patience
        self.codebook.copy_(torch.where(dead[..., None], candidates, self.codebook))
        self.counts.masked_fill_(dead, 1.0)
        self.unused.masked_fill_(dead, 0)

    def _by_book(self, z: Tensor) -> Tensor:
        """(N, ..., d) -> (books, n, d)."""
        return z.reshape(-1, self.books, self.dim).transpose(0, 1)

    def _rows(self, tokens: Tensor) -> Tensor:
        """(N, ...) -> (books, n)."""
        return tokens.reshape(-1, self.books).T

    def _check(self, z: Tensor) -> None:
        checking.floating(z, "z", f"(N, ..., {self.dim})")
        if z.dim() < 2 or z.shape[-1] != self.dim:
            raise ValueError(f"z must have shape (N, ..., {self.dim}), not {tuple(z.shape)}.")
        if self.books > 1 and (z.dim() < 3 or z.shape[-2] != self.books):
            raise ValueError(
                f"z must have shape (N, ..., {self.books}, {self.dim}), a vector for each codebook, not "
                f"{tuple(z.shape)}."
            )


SMALLEST_COUNT = 1e-6  # of a code, beside 1 - decay or more where one has been used


def _perplexity(counts: Tensor) -> Tensor:
    """(books, K) -> the mean over books of exp(entropy), a scalar."""
    shares = counts / counts.sum(-1, keepdim=True)
    return torch.special.entr(shares).sum(-1).exp().mean()


def _of_all_processes(counts: Tensor, sums: Tensor, candidates: Tensor) -> tuple[Tensor, ...]:
    """Counts and sums added up over the processes that train together, and the candidates of the first."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return counts, sums, candidates
    if dist.get_rank():
        candidates = torch.zeros_like(candidates)
    flat = torch.cat([tensor.flatten() for tensor in (counts, sums, candidates)])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in (counts, sums, candidates)])
    return tuple(part.view_as(tensor) for part, tensor in zip(parts, (counts, sums, candidates), strict=True))


def _check_kind(tokens: Tensor, places: Sequence[int] | None = None) -> Tensor:
    """`int64` (N, *places); (N, ...) where no places are known."""
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
        raise TypeError(f"tokens must be a tensor int64 (N, ...), not {checking.shown(tokens)}.")
    if places is not None and (tokens.dim() != 1 + len(places) or tuple(tokens.shape[1:]) != tuple(places)):
        flat = len(places) > 1 and tokens.dim() == 2 and tokens.shape[1] == math.prod(places)
        single = tuple(tokens.shape) == tuple(places)
        cure = f" tokens.unflatten(1, {tuple(places)}) has it." if flat else " tokens[None] has it." if single else ""
        raise ValueError(f"tokens must have shape {_form(places)}, not {tuple(tokens.shape)}.{cure}")
    return tokens


def _check_range(tokens: Tensor, codes: int) -> Tensor:
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < codes:
        raise ValueError(
            f"tokens must be from 0 to {codes - 1}, the numbers of the codes, but run from {int(tokens.min())} to "
            f"{int(tokens.max())}."
        )
    return tokens


def _form(shape: Sequence[int]) -> str:
    """(8, 8) -> "(N, 8, 8)"."""
    return f"({', '.join(map(str, ('N', *shape)))})"


class VQVAE(nn.Module):
    """Encoder, quantiser, decoder: x -> tokens -> x_hat (van den Oord et al. 2017). No model of x until it has a prior.

    `fit` trains it by `objectives.quantised_error`; a `CausalPrior` then learns its tokens.

    Args:
        encoder: (N, ...) -> vectors (N, ..., d).
        decoder: vectors (N, ..., d) -> the shape of x, not bounded.
        quantiser: between them.
        shape: of one x, such as (3, 64, 64); None if it is not to be checked.
        places: the shape of one x's tokens, such as (8, 8); None if it is not to be checked.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        quantiser: VectorQuantiser,
        shape: Sequence[int] | None = None,
        places: Sequence[int] | None = None,
    ):
        super().__init__()
        self.shape = None if shape is None else checking.integers(shape, "shape")
        self.places = None if places is None else checking.integers(places, "places")
        self.encoder, self.decoder, self.quantiser = encoder, decoder, quantiser

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images `uint8` (N, C, H, W) -> of the codebook's precision, in [0, 1]."""
        return to_float(images).to(self.quantiser.codebook.dtype)

    def encode(self, x: Tensor) -> Tensor:
        """x (N, ...), floating-point -> vectors (N, ..., d), not yet quantised."""
        self._check(x)
        return not_halved(self.encoder(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Quantised]:
        """x (N, ...) -> x_hat, of the same shape, and what was quantised; in training mode the codebook learns."""
        quantised = self.quantiser(self.encode(x))
        return not_halved(self.decoder(quantised.vectors)), quantised

    @torch.no_grad()
    def tokens(self, x: Tensor) -> Tensor:
        """x (N, ...) -> `int64` (N, ...): (N, places, places) for pictures, (N, groups) for vectors."""
        with evaluating(self):
            return self.quantiser.nearest(self.encode(x))

    @torch.no_grad()
    def decode_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens, `int64` (N, ...), of the shape that `tokens` gives, -> x_hat (N, ...)."""
        _check_kind(tokens, self.places)
        with evaluating(self):
            return not_halved(self.decoder(self.quantiser.lookup(tokens)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """x (N, ...) -> x_hat of the same shape, in eval mode: nothing learns."""
        return self.decode_tokens(self.tokens(x))

    def _check(self, x: Tensor) -> None:
        form = "(N, ...)" if self.shape is None else _form(self.shape)
        stored = isinstance(x, Tensor) and x.dtype == torch.uint8
        checking.floating(x, "x", form, "Stored images become x with model.prepare(images)." if stored else "")
        if self.shape is not None:
            checking.shape(x, "x", form)


def picture_vqvae(
    image_shape: Sequence[int], codes: int = 256, dim: int = 16, places: int = 8, width: int = 64, **quantiser
) -> VQVAE:
    """A VQ-VAE of convolutions; its code is a picture of places x places tokens.

    Args:
        image_shape: (C, S, S); S is 4, 8, 16, ... times `places`.
        codes, dim: K and d of the codebook.
        places: of a side of the code.
        width: channels of all convolutions.
        quantiser: further arguments of `VectorQuantiser`: decay, patience.
    Raises:
        ValueError: a shape that this does not divide, or a number below one.
    """
    encoder = nn.Sequential(spatial_encoder(image_shape, dim, places, width), _Axes(0, 2, 3, 1))  # (N, h, w, d)
    decoder = nn.Sequential(_Axes(0, 3, 1, 2), spatial_decoder(image_shape, dim, places, width))
    return VQVAE(encoder, decoder, VectorQuantiser(codes, dim, **quantiser), image_shape, (places, places))


def vector_vqvae(
    numbers: int, groups: int = 16, codes: int = 64, dim: int = 4, hidden: Sequence[int] = (), **quantiser
) -> VQVAE:
    """A VQ-VAE of plain vectors, such as another autoencoder's codes: each becomes `groups` tokens.

    Product quantisation (Jegou et al. 2011) behind a learned map: each group has a codebook of its own.

    Args:
        numbers: D of the vectors (N, D), on a scale of about one.
        groups: tokens of a vector.
        codes, dim: K and d of each codebook.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them. Empty: both maps are affine.
        quantiser: further arguments of `VectorQuantiser`: decay, patience.
    """
    hidden = checking.integers(hidden, "hidden", fewest=0)
    numbers, groups, dim = (checking.integer(n, name) for n, name in ((numbers, "numbers"), (groups, "groups"),
                                                                      (dim, "dim")))  # fmt: skip
    encoder = nn.Sequential(mlp([numbers, *hidden, groups * dim]), nn.Unflatten(1, (groups, dim)))
    decoder = nn.Sequential(nn.Flatten(), mlp([groups * dim, *reversed(hidden), numbers]))
    return VQVAE(encoder, decoder, VectorQuantiser(codes, dim, books=groups, **quantiser), (numbers,), (groups,))


class _Axes(nn.Module):
    """A tensor with its axes in another order."""

    def __init__(self, *order: int):
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class CausalPrior(nn.Module):
    """p(tokens) = prod_i p(token_i | the tokens before it), from one masked network (Germain et al. 2015, equation 4).

    Tokens are read row by row. Each place has an embedding of its tokens, hidden units and a head of its own: groups of
    a product quantiser have codebooks of their own, and a 7 at one place has nothing to do with a 7 at another. In
    the dense layers between, masks let the units of a place see the places before it, never itself. (On the codes of
    portraits it beats a transformer and a recurrent network, which share their weights over places, by a third of all
    nats after the same 30 seconds.)

    Args:
        codes: K, how many tokens there are.
        places: the shape of one image's tokens: (8, 8) for a picture of them, (16,) for groups.
        width: hidden units of each place in each layer.
        layers: of hidden units.
        dim: numbers of an embedded token.
    """

    def __init__(self, codes: int, places: Sequence[int], width: int = 32, layers: int = 2, dim: int = 8):
        super().__init__()
        self.codes, self.places = checking.integer(codes, "codes", 2), checking.integers(places, "places")
        width, dim = checking.integer(width, "width"), checking.integer(dim, "dim")
        self.length = math.prod(self.places)
        self.embedding = nn.Parameter(torch.randn(self.length, self.codes, dim))
        inputs = [dim, *[width] * (checking.integer(layers, "layers") - 1)]
        self.layers = nn.ModuleList(_Masked(self.length, n, width, itself=k > 0) for k, n in enumerate(inputs))
        self.to_logits = nn.Parameter(torch.randn(self.length, width, self.codes) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(self.length, self.codes))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """log p(tokens), summed over places: `int64` (N, *places) -> (N,), nats per image."""
        tokens = _check_range(_check_kind(tokens, self.places), self.codes).flatten(1)  # (N, L)
        log_p = self.logits(tokens).log_softmax(-1)  # (N, L, K)
        return log_p.gather(-1, tokens[..., None]).squeeze(-1).sum(1)

    def logits(self, tokens: Tensor) -> Tensor:
        """Tokens in their order, `int64` (N, L), -> (N, L, K): of each, given those before it."""
        x = self._embedded(tokens, slice(None))  # (N, L, dim)
        for layer in self.layers:
            x = layer(x)  # (N, L, width)
        return self._head(x, slice(None))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n draws, `int64` (n, *places), token by token; what a place's units say is kept for those that follow."""
        n, width = checking.integer(n, "n"), self.to_logits.shape[1]
        tokens = torch.zeros(n, self.length, dtype=torch.int64, device=self.bias.device)
        seen = [self.embedding.new_zeros(n, self.length, self.embedding.shape[-1])]  # what each layer is given
        seen += [self.embedding.new_zeros(n, self.length, width) for _ in self.layers]
        for place in range(self.length):
            for layer, given, said in zip(self.layers, seen, seen[1:], strict=False):
                said[:, place] = layer.at(place, given)
            here = slice(place, place + 1)
            p = self._head(seen[-1][:, here], here).squeeze(1).softmax(-1)  # (n, K)
            tokens[:, place] = torch.multinomial(p, 1).squeeze(1)
            seen[0][:, here] = self._embedded(tokens[:, here], here)
        return tokens.reshape(n, *self.places)

    def _embedded(self, tokens: Tensor, here: slice) -> Tensor:
        """(N, l) -> (N, l, dim), for the l places `here`."""
        table = self.embedding[here]
        rows = tokens + self.codes * torch.arange(len(table), device=tokens.device)
        return F.embedding(rows, table.flatten(0, 1))

    def _head(self, x: Tensor, here: slice) -> Tensor:
        """(N, l, width) -> (N, l, K), for the l places `here`."""
        logits = torch.bmm(x.transpose(0, 1), self.to_logits[here])  # (l, N, K)
        return not_halved(logits).transpose(0, 1) + self.bias[here]


class _Masked(nn.Module):
    """A dense layer (N, L, inputs) -> (N, L, outputs) in which a place sees those before it, and `itself` or not.

    Where it may see itself and as many numbers come out as went in, it adds to them what it found.
    """

    def __init__(self, length: int, inputs: int, outputs: int, itself: bool):
        super().__init__()
        self.added = itself and inputs == outputs
        self.weight = nn.Parameter(torch.randn(length, inputs, length, outputs) * math.sqrt(2 / (length * inputs)))
        self.bias = nn.Parameter(torch.zeros(length, outputs))
        earlier = torch.ones(length, length).triu(0 if itself else 1)  # [from, to]: from < to, or from <= to
        self.register_buffer("mask", earlier[:, None, :, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.mask).flatten(2).flatten(0, 1)  # (L inputs, L outputs)
        said = F.silu((x.flatten(1) @ weight).unflatten(1, self.bias.shape) + self.bias)
        return x + said if self.added else said

    def at(self, place: int, x: Tensor) -> Tensor:
        """What `forward` gives for one place, (N, outputs); what x holds for later places does not matter."""
        weight = (self.weight[:, :, place] * self.mask[:, :, place]).flatten(0, 1)  # (L inputs, outputs)
        said = F.silu(x.flatten(1) @ weight + self.bias[place])
        return x[:, place] + said if self.added else said
