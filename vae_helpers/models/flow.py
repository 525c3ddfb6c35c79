"""Flow matching: a density learned as a velocity (Lipman et al. 2023; Liu et al. 2023; Albergo & Vanden-Eijnden 2023).

    z_t = (1 - t) eps + t z,  eps ~ N(0, I)     a straight path from noise (t = 0) to a code (t = 1)
    u(z_t, t) = E[z - eps | z_t]                 the mean velocity of all paths through a point
    dz/dt = u(z, t)                              carries N(0, I) to the density of the codes

A `Flow` learns u by regression (`vae_helpers.objectives.flow_matching_error`), listens to sentences if it is given a
network that reads them, and draws codes by following u.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_helpers import checking
from vae_helpers.models.layers import not_halved
from vae_helpers.models.protocol import evaluating

Velocity = Callable[[Tensor, Tensor], Tensor]  # of z (N, D) and t (N,): (N, D)
FREQUENCIES = torch.logspace(0, 2, 16)  # radians per unit of time
LARGEST_GUIDANCE = 100.0
SPREAD_OF_SENTENCES = math.sqrt(10)  # keeps sums over words of order one: 0.7 of 10 tokens, 1.5 of 23, 2.8 of 45
CURE = "vae_helpers.rendering.captions.tokens makes them of sentences."
LABELS = "One label each, counted from 1 (0 is the empty word): labels[:, None]."


class WordsInContext(nn.Module):
    """Sentences -> vectors: each word with its neighbours on either side, summed over the sentence.

    h = sum_i SiLU(sum_j A_j[word_{i + j}]), j = -reach ... reach: a convolution over one-hot words (Kim 2014), written
    as the look-ups that it is. With a reach of 0 it is a bag of words, which cannot tell "no smile, glasses" from
    "no glasses, smile".

    Args:
        words: how many there are, with the empty one, number 0, which says nothing.
        dim: of the vectors.
        reach: neighbours on either side.
    """

    def __init__(self, words: int, dim: int = 128, reach: int = 1):
        super().__init__()
        words, dim = checking.integer(words, "words"), checking.integer(dim, "dim")
        offsets = 2 * checking.integer(reach, "reach", 0, 10) + 1
        self.tables = nn.ModuleList(nn.Embedding(words, dim) for _ in range(offsets))
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.5)
        self.dim, self.reach = dim, reach

    def forward(self, tokens: Tensor) -> Tensor:
        """`int64` (N, L) from 0 to `words` - 1 -> (N, dim); sentences of empty words alone give zero."""
        check_tokens(tokens)
        if tokens.device.type == "cpu" or not self.training:  # a look at the values would make a GPU wait at each step
            self._check(tokens)
        length, padded = tokens.shape[1], F.pad(tokens, (self.reach, self.reach))
        heard = sum(table(padded[:, j : j + length]) for j, table in enumerate(self.tables))  # (N, L, dim)
        return (F.silu(heard) * (tokens > 0)[..., None]).sum(1) / SPREAD_OF_SENTENCES

    def _check(self, tokens: Tensor) -> None:
        low, high = (int(end) for end in torch.func.debug_unwrap(tokens).aminmax())  # of all of them under vmap, too
        words = self.tables[0].num_embeddings
        if low < 0 or high >= words:
            raise ValueError(
                f"tokens run from {low} to {high}, the text encoder knows {words} words, 0 to {words - 1}: "
                "WordsInContext(words) takes the number of all of them, len(captions.vocabulary()) for portraits."
            )


def check_tokens(tokens: Tensor, n: int | None = None) -> Tensor:
    """Sentences, `int64` or `int32` (N, L), unchanged; of which there must be `n`.

    Raises:
        TypeError, ValueError: they are something else, or another number of them.
    """
    flat = isinstance(tokens, Tensor) and tokens.dim() == 1
    checking.shape(tokens, "tokens", "(N, L)", LABELS if flat else CURE)
    if tokens.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"tokens must be whole numbers, int64, not {checking.kind_of(tokens)}. {CURE}")
    if n is not None and len(tokens) != n:
        raise ValueError(f"tokens must have a row for each of the {n} codes, not {len(tokens)}.")
    return tokens


class VelocityNetwork(nn.Module):
    """u(z_t, t, told): residual blocks whose channels are scaled and shifted as time and sentence say (FiLM).

    Args:
        dim: of the codes.
        width: of the layers.
        blocks: how many.
        told_dim: of what a sentence is turned into; 0 if there are none.
    """

    def __init__(self, dim: int, width: int = 256, blocks: int = 3, told_dim: int = 0):
        super().__init__()
        width, blocks = checking.integer(width, "width", 2), checking.integer(blocks, "blocks")
        self.of_time = nn.Sequential(
            nn.Linear(2 * len(FREQUENCIES), width // 2), nn.SiLU(), nn.Linear(width // 2, width // 2)
        )
        self.of_told = nn.Linear(told_dim, width // 2) if told_dim else None
        self.enter = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(_Block(width, width // 2) for _ in range(blocks))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))
        nn.init.zeros_(self.leave[1].weight)

    def forward(self, z_t: Tensor, t: Tensor, told: Tensor | None = None) -> Tensor:
        """(N, D), (N,) and (N, told_dim) -> (N, D)."""
        angles = t[:, None] * FREQUENCIES.to(z_t)  # (N, 16)
        context = self.of_time(torch.cat([angles.sin(), angles.cos()], 1))
        if self.of_told is not None:
            context = context + self.of_told(told)
        context, h = F.silu(context), self.enter(z_t)
        for block in self.blocks:
            h = block(h, context)
        return not_halved(self.leave(h))


class _Block(nn.Module):
    """h + what two layers make of it; to begin with the context says nothing."""

    def __init__(self, width: int, context: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.said = nn.Linear(context, 3 * width)
        nn.init.zeros_(self.said.weight), nn.init.zeros_(self.said.bias)

    def forward(self, h: Tensor, context: Tensor) -> Tensor:
        """(N, width) and (N, context) -> (N, width)."""
        scale, shift, gate = self.said(context).chunk(3, dim=-1)
        inner = self.norm(h) * (1 + scale) + shift
        return h + (1 + gate) * self.second(F.silu(self.first(inner)))


class Flow(nn.Module):
    """A density of codes, given by the velocity that makes them out of noise; told sentences if it has a text encoder.

    Codes are centred and divided by their standard deviations before anything else: noise has variance one, and a code
    that is much smaller, or larger, spends nearly all of the time hidden in it, or bare.

    Args:
        codes: (N, D), some of those that it will learn, for their means and standard deviations.
        text_encoder: sentences -> (N, text_encoder.dim), such as a `WordsInContext`; None for a flow that is told
            nothing.
        width, blocks: of the `VelocityNetwork`.
    """

    def __init__(self, codes: Tensor, text_encoder: nn.Module | None = None, width: int = 256, blocks: int = 3):
        super().__init__()
        checking.tensor(codes, "codes", "(N, D)", N=2)
        told_dim = 0 if text_encoder is None else getattr(text_encoder, "dim", None)
        if not isinstance(told_dim, int):
            raise TypeError(
                f"text_encoder must be a network such as WordsInContext(words), not {checking.shown(text_encoder)}."
            )
        self.register_buffer("mean", codes.detach().mean(0).float())
        self.register_buffer("std", codes.detach().std(0).float().clamp_min(1e-8))
        self.text_encoder = text_encoder
        self.network = VelocityNetwork(codes.shape[1], width, blocks, told_dim)

    def standardised(self, codes: Tensor) -> Tensor:
        """Codes (N, D) with mean 0 and standard deviation 1 in each dimension."""
        checking.floating(codes, "codes")
        checking.shape(codes, "codes", f"(N, {len(self.mean)})")
        return (codes.to(self.mean.dtype) - self.mean) / self.std

    def velocity(self, z_t: Tensor, t: Tensor | float, tokens: Tensor | None = None) -> Tensor:
        """u(z_t, t), given sentences or none.

        Args:
            z_t: (N, D), standardised.
            t: (N,), within [0, 1]; or a number, which stands for all rows.
            tokens: (N, L).
        Returns:
            (N, D), in the flow's precision, `float32` or `float64`, whatever that of z_t is.
        Raises:
            TypeError, ValueError: arguments of another kind or shape, or sentences without a text encoder.
        """
        checking.shape(checking.floating(z_t, "z_t"), "z_t", f"(N, {len(self.mean)})")
        z_t = z_t.to(self.mean.dtype)
        t = _time_of_each(t, z_t)
        if tokens is not None:
            check_tokens(tokens, len(z_t))
        if self.text_encoder is None:
            if tokens is not None:
                raise ValueError(
                    "this flow reads no sentences: give it a text encoder, Flow(codes, WordsInContext(...))."
                )
            return self.network(z_t, t)
        if tokens is None:
            tokens = torch.zeros(len(z_t), 1, dtype=torch.long, device=z_t.device)
        return self.network(z_t, t, self.text_encoder(tokens))

    def guided(self, z_t: Tensor, t: Tensor, tokens: Tensor | None, guidance: float) -> Tensor:
        """u + w (u_told - u): classifier-free guidance (Ho & Salimans 2022), w = 1 for what was learned."""
        told = self.velocity(z_t, t, tokens)
        if guidance == 1.0 or tokens is None:
            return told
        untold = self.velocity(z_t, t)
        return untold + guidance * (told - untold)

    @torch.no_grad()
    def sample(
        self,
        n: int | None = None,
        tokens: Tensor | None = None,
        steps: int = 8,
        guidance: float = 1.0,
        eps: Tensor | None = None,
    ) -> Tensor:
        """Codes, by Heun's method from noise at t = 0 to t = 1.

        Args:
            n: how many; by default as many as there are rows of noise, or sentences.
            tokens: (n, L), a sentence for each.
            steps: two evaluations of the network each, four with guidance.
            guidance: w >= 0, see `guided`; other than 1 it takes tokens.
            eps: (n, D), the noise to begin with, instead of a new draw.
        Returns:
            (n, D), in the units of the codes.
        Raises:
            TypeError, ValueError: arguments of another kind, or that differ in their number of rows.
        """
        guidance = checking.number(guidance, "guidance", 0, LARGEST_GUIDANCE)
        if tokens is not None:
            check_tokens(tokens)
        elif guidance != 1:
            raise ValueError(
                f"guidance = {guidance:g} says how much a sentence counts: give tokens, or leave guidance at 1."
            )
        if eps is not None:
            n = len(checking.tensor(eps, "eps", f"({'N' if n is None else n}, {len(self.mean)})"))
        elif n is None and tokens is not None:
            n = len(tokens)
        n = checking.integer(n, "n", cure="Or give tokens or eps, a row for each.")
        if eps is None:
            eps = torch.randn(n, len(self.mean), device=self.mean.device, dtype=self.mean.dtype)
        eps = eps.to(self.mean.dtype)
        with evaluating(self):
            z = heun(lambda z, t: self.guided(z, t, tokens, guidance), eps, steps)
        return self.mean + self.std * z

    @torch.no_grad()
    def log_prob(self, codes: Tensor, tokens: Tensor | None = None, steps: int = 32) -> Tensor:
        """log p(z) by the instantaneous change of variables, (N,) in nats (Chen et al. 2018, theorem 1).

        log p(z_1) = log N(z_0; 0, I) - integral of div u(z_t, t) dt, followed back from t = 1 to 0 by Heun's method,
        the divergence in full: D backward passes for one. What is wrong is the discretisation alone.

        Args:
            codes: (N, D).
            tokens: (N, L), for log p(z | sentence).
            steps: of the integration.
        """
        z = self.standardised(checking.tensor(codes, "codes", "(N, D)"))
        with evaluating(self):
            start, lost = followed_back(lambda z, t: self.velocity(z, t, tokens), z, steps)
        noise = -0.5 * (start.square() + math.log(2 * math.pi)).sum(1)
        return noise - lost - self.std.log().sum()


def euler(velocity: Velocity, z: Tensor, steps: int) -> Tensor:
    """z (N, D) at t = 0 carried to t = 1, in straight steps along the velocity at their beginnings."""
    h = 1 / checking.integer(steps, "steps")
    for step in range(steps):
        z = z + h * velocity(z, _times(step * h, z))
    return z


def heun(velocity: Velocity, z: Tensor, steps: int) -> Tensor:
    """The same along the mean of the velocities at the beginning and at the end of each Euler step: second order."""
    h = 1 / checking.integer(steps, "steps")
    for step in range(steps):
        u = velocity(z, _times(step * h, z))
        u_next = velocity(z + h * u, _times((step + 1) * h, z))
        z = z + h * (u + u_next) / 2
    return z


def followed_back(velocity: Velocity, z: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Where z (N, D) at t = 1 came from at t = 0, and the integral of the divergence of u on the way, (N,).

    The steps, 1 - (1 - k / steps)^2 for k = steps ... 0, are small near the codes, where thin directions make u steep.
    """
    k, total = torch.arange(checking.integer(steps, "steps"), -1, -1), z.new_zeros(len(z))
    for t, t_before in pairwise((1 - (1 - k / steps) ** 2).tolist()):
        h = t - t_before
        u, divergence = velocity_and_divergence(velocity, z, _times(t, z))
        u_before, divergence_before = velocity_and_divergence(velocity, z - h * u, _times(t_before, z))
        z, total = z - h * (u + u_before) / 2, total + h * (divergence + divergence_before) / 2
    return z, total


def velocity_and_divergence(velocity: Velocity, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """u (N, D) and the sum over d of du_d/dz_d (N,), exactly: one backward pass for each dimension."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        u = velocity(z, t) + 0 * z  # also where it does not depend on z
        slopes = [torch.autograd.grad(u[:, d].sum(), z, retain_graph=True)[0][:, d] for d in range(z.shape[1])]
    return u.detach(), torch.stack(slopes).sum(0)  # rows do not know each other


def _time_of_each(t: Tensor | float, z: Tensor) -> Tensor:
    """Times (N,), or a number for all, as (N,) in the precision and on the device of z (N, D)."""
    if isinstance(t, Tensor):
        if t.dtype == torch.bool or t.is_complex():
            raise TypeError(f"t must hold times from 0 to 1, not {checking.kind_of(t)}.")
        if t.dim() > 1 or (t.dim() == 1 and len(t) != len(z)):
            cure = " t[:, 0] has one axis." if t.dim() == 2 and t.shape[1] == 1 else ""
            raise ValueError(
                f"t must have shape ({len(z)},), a time for each row, or be a number, not {tuple(t.shape)}.{cure}"
            )
        return t.to(z).expand(len(z))
    if not checking.is_number(t) or not -1e-6 <= t <= 1 + 1e-6:
        raise ValueError(f"t must be a time from 0 to 1, or a tensor ({len(z)},) of them, not {checking.shown(t)}.")
    return _times(t, z)


def _times(t: float, z: Tensor) -> Tensor:
    return z.new_full((len(z),), t)
