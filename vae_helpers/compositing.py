"""One picture out of several: layers with alpha, feathering, gradient-domain blending, and a VAE's codes.

Pictures are floating point, (N, C, H, W), about [0, 1] and never clipped here; masks are (N, 1, H, W) or (1, 1, H, W),
in [0, 1], 1 where a picture counts. Every function checks its arguments: a TypeError for what is no floating-point
tensor, a ValueError for shapes that do not match, NaN, and values out of their domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent

from vae_helpers import checking
from vae_helpers.distributions import diagonal_gaussian, kl_to_standard_normal
from vae_helpers.evaluation.reader import to_unit
from vae_helpers.images import check_pictures
from vae_helpers.rendering import faces

UNKNOWNS_AT_A_TIME = 100_000  # pixels solved for in one factorisation, bounds the memory
RUNAWAY = 80.0  # log-variances beyond it are no search for a code any more, and overflow soon
KNOTS = 6  # places of each factor at which a fitted attribute may bend: those of the paths of colours, and more
FEATURES = ("linear", "knots", "products")
GUIDANCE = ("source", "mixed")


# --- layers ------------------------------------------------------------------------------------------------------


def premultiply(rgba: Tensor) -> Tensor:
    """Straight colours to premultiplied ones: (r, g, b, a) -> (r a, g a, b a, a).

    Args:
        rgba: (N, 4, H, W), alpha last among the channels, in [0, 1].
    """
    _check_rgba(rgba, "rgba")
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], dim=1)


def unpremultiply(rgba: Tensor) -> Tensor:
    """Premultiplied colours to straight ones; a pixel with alpha 0 has no colour and becomes black.

    Args:
        rgba: (N, 4, H, W), premultiplied.
    """
    _check_rgba(rgba, "rgba")
    alpha = rgba[:, 3:]
    colour = torch.where(alpha > 0, rgba[:, :3] / torch.where(alpha > 0, alpha, 1), 0)
    return torch.cat([colour, alpha], dim=1)


def over(front: Tensor, back: Tensor) -> Tensor:
    """The layer `front` laid over the layer `back`: front + (1 - alpha of front) back, in all four channels.

    Associative: over(over(a, b), c) = over(a, over(b, c)) (Porter & Duff 1984, section 4.3).

    Args:
        front, back: (N, 4, H, W) with premultiplied colours; an N of 1 serves all pictures of the other.
    Returns:
        (N, 4, H, W), premultiplied.
    """
    _check_rgba(front, "front")
    _check_rgba(back, "back")
    _check_sizes(front, back, "front", "back")
    return front + (1 - front[:, 3:]) * back


def feather(mask: Tensor, radius: float) -> Tensor:
    """A mask with a soft edge: averaged with weights that fall linearly to zero beyond `radius` pixels, in each axis.

    A straight edge becomes a ramp that reaches `radius` pixels to either side; the mask is continued beyond the
    picture's border by its outermost pixels.

    Args:
        mask: (N, 1, H, W) in [0, 1].
        radius: pixels, at least 0; 0 leaves the mask as it is. At most the picture's shorter side.
    """
    check_pictures(mask, "mask", "(N, 1, H, W)")
    shorter = min(mask.shape[2:])
    radius = checking.number(radius, "radius", 0, shorter, "It counts pixels, at most those of the shorter side.")
    reach = int(radius)
    steps = torch.arange(-reach, reach + 1, dtype=mask.dtype, device=mask.device)
    weights = radius + 1 - steps.abs()
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    padded = F.pad(mask, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, weights), weights.transpose(2, 3)).clamp(0, 1)


# --- gradient-domain blending ------------------------------------------------------------------------------------


def poisson_blend(source: Tensor, target: Tensor, mask: Tensor, guidance: str = "source") -> Tensor:
    """Put a part of one picture into another by its differences, not its values (Perez, Gangnet & Blake 2003).

    Inside the mask the result f has, as nearly as squares allow, the differences v between neighbours that `guidance`
    names; outside it is the target. In each pixel p inside, with its neighbours q in the picture (their equation 7),

        sum over q of (f_p - f_q) = sum over q of v_pq.

    At the picture's own border nothing is held. The sparse linear system is factorised exactly.

    Args:
        source, target: (N, C, H, W); an N of 1 serves all pictures of the other.
        mask: (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; inside is where it is above 1/2. A picture with nothing
            inside stays the target.
        guidance: "source" for the source's differences; "mixed" for the source's or the target's, whichever is larger
            in size at each pair of neighbours and in each channel (their equation 12).
    Returns:
        (N, C, H, W) like the target, not clipped: it may leave [0, 1] a little.
    Raises:
        ValueError: also where a mask covers a whole picture, so that no target pixel holds the result.
    """
    checking.tensor(source, "source", "(N, C, H, W)")
    checking.tensor(target, "target", "(N, C, H, W)")
    if source.shape[1] != target.shape[1]:
        raise ValueError(f"source has {source.shape[1]} channels and target {target.shape[1]}: give both the same.")
    _check_sizes(source, target, "source", "target")
    checking.choice(guidance, "guidance", GUIDANCE)
    n = max(len(source), len(target))
    return _blend(source, target, interior_mask(mask, n, target, "mask"), guidance)


def _blend(source: Tensor, target: Tensor, inside: Tensor, guidance: str) -> Tensor:
    """What `poisson_blend` says, for checked pictures; inside is bool (n, H, W)."""
    n = len(inside)
    source, target = (x.expand(n, -1, -1, -1) for x in (source, target))
    pieces = zip(
        *(x.split(max(1, UNKNOWNS_AT_A_TIME // inside[0].numel())) for x in (source, target, inside)), strict=True
    )
    return torch.cat([_solve_poisson(s, t, m, guidance) for s, t, m in pieces])


def fill_smoothly(pictures: Tensor, hole: Tensor) -> Tensor:
    """Fill holes from their edges, as smoothly as possible: each pixel is the mean of its neighbours (a membrane).

    This is `poisson_blend` with no differences at all.

    Args:
        pictures: (N, C, H, W).
        hole: (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; what is above 1/2 is filled.
    """
    checking.tensor(pictures, "pictures", "(N, C, H, W)")
    return _blend(torch.zeros_like(pictures), pictures, interior_mask(hole, len(pictures), pictures, "hole"), "source")


def _solve_poisson(source: Tensor, target: Tensor, inside: Tensor, guidance: str) -> Tensor:
    """The solution for some pictures at once: source, target (n, C, H, W), inside bool (n, H, W)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import splu

    count = int(inside.sum())
    if count == 0:
        return target.clone()
    on_cpu = inside.cpu()
    number = torch.full(on_cpu.shape, -1)
    number[on_cpu] = torch.arange(count)
    known, wanted = target.detach().cpu().double(), source.detach().cpu().double()
    diagonal, right = torch.zeros(count, dtype=torch.float64), torch.zeros(count, target.shape[1], dtype=torch.float64)
    rows, columns = [], []
    for axis in (1, 2):  # neighbours in a column, then in a row
        length = on_cpu.shape[axis] - 1
        for p, q in ((0, 1), (1, 0)):  # each pair serves both of its pixels
            number_p, number_q = number.narrow(axis, p, length), number.narrow(axis, q, length)
            v = wanted.narrow(axis + 1, p, length) - wanted.narrow(axis + 1, q, length)  # (n, C, ...)
            own = known.narrow(axis + 1, p, length) - known.narrow(axis + 1, q, length)
            if guidance == "mixed":
                v = torch.where(own.abs() > v.abs(), own, v)
            here = number_p >= 0
            i, j = number_p[here], number_q[here]
            diagonal.index_add_(0, i, torch.ones(len(i), dtype=torch.float64))
            held = torch.where(j[:, None] < 0, known.narrow(axis + 1, q, length).movedim(1, -1)[here], 0.0)
            right.index_add_(0, i, v.movedim(1, -1)[here] + held)
            rows.append(i[j >= 0])
            columns.append(j[j >= 0])
    i, j = torch.cat(rows), torch.cat(columns)
    index = torch.arange(count)
    values = torch.cat([diagonal, -torch.ones(len(i), dtype=torch.float64)])
    places = (torch.cat([index, i]).numpy(), torch.cat([index, j]).numpy())
    matrix = coo_matrix((values.numpy(), places), shape=(count, count)).tocsc()
    solved = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right.numpy())
    result = known.movedim(1, -1).clone()  # (n, H, W, C); a copy even where float64 on the CPU needs no conversion
    result[on_cpu] = torch.from_numpy(solved)
    return result.movedim(-1, 1).to(target).contiguous()


# --- drawn portraits ---------------------------------------------------------------------------------------------


def align(pictures: Tensor, factors_from: Tensor, factors_to: Tensor) -> Tensor:
    """Turn and widen drawn heads, from the tilt and face width that they have to those that they shall have.

    A warp of the plane by the drawing's own geometry: back about the neck by the old tilt, stretched along the face's
    axis, forward by the new tilt; bilinear. Everything in the picture turns, as if it were head, so what belongs to
    the body (clothes, background) is wrong afterwards; take only parts of the head from the result. A wider drawn face
    has wider hair and ears, but its eyes and mouth stay in place: for these, give both the same face_width.

    Args:
        pictures: (N, C, H, W), portraits or masks of their parts, H = W.
        factors_from, factors_to: (N, 14), see `vae_helpers.rendering.faces`; only tilt and face_width matter.
    Returns:
        (N, C, H, W); beyond the old picture's border its outermost pixels are repeated.
    """
    checking.tensor(pictures, "pictures", "(N, C, S, S)", "Drawn portraits are square.")
    width = pictures.shape[3]
    for name, factors in (("factors_from", factors_from), ("factors_to", factors_to)):
        faces.check_factors(factors)
        if len(factors) != len(pictures):
            raise ValueError(f"{name} has {len(factors)} rows for {len(pictures)} pictures: give one row for each.")
    tilt_from, width_from = _pose(factors_from.to(pictures))
    tilt_to, width_to = _pose(factors_to.to(pictures))
    centres = (torch.arange(width, device=pictures.device, dtype=pictures.dtype) + 0.5) * (2 / width) - 1
    x, y = centres[None, None, :], centres[None, :, None] - faces.NECK
    u = (x * tilt_to.cos() + y * tilt_to.sin()) * width_from / width_to  # across the head, (N, H, W)
    v = y * tilt_to.cos() - x * tilt_to.sin()  # along it
    x, y = u * tilt_from.cos() - v * tilt_from.sin(), u * tilt_from.sin() + v * tilt_from.cos() + faces.NECK
    places = torch.stack([x, y], dim=-1)  # where to look in the old picture, (N, H, W, 2)
    return F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)


def _pose(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Tilt in radians and half the width of the face, (N, 1, 1) each."""
    tilt, width = (factors[:, faces.index(name), None, None] for name in ("tilt", "face_width"))
    return tilt * faces.LARGEST_TILT, faces.HALF_WIDTH + faces.WIDENING * width


# --- codes -------------------------------------------------------------------------------------------------------


def infer_code(
    model: nn.Module,
    pictures: Sequence[Tensor],
    masks: Sequence[Tensor],
    start: Tensor | None = None,
    steps: int = 30,
    learning_rate: float = 0.05,
    seed: int = 0,
    batch_size: int = 250,
) -> Independent:
    """q(z) for codes whose picture agrees with chosen regions of several pictures at once.

    Maximises, by Adam on the mean and log-variance of one Gaussian for each composite, the bound

        E_q[ sum over sources s and pixels i of m_si log p(x_si | z) ] - KL(q || p),

    the ELBO of the pixels that the masks choose; the others are left out, as if never seen. A pixel chosen in two
    sources counts twice.

    Args:
        model: a `VAE` whose likelihood treats pixels as independent given z.
        pictures: sources, (N, C, H, W) each, on the scale that the likelihood is defined on (Gaussian: [0, 1]).
        masks: a mask for each source, (N, 1, H, W) or (1, 1, H, W), bool or in [0, 1]; they may overlap.
        start: (N, C, H, W), pictures whose encoding q starts at; by default the sources, averaged by their masks, with
            `fill_smoothly` where there is none.
        steps: of Adam, its rate falling linearly.
        learning_rate: the first step's.
        seed: of the samples of q; the same seed gives the same q. torch's random state is left alone.
        batch_size: composites at a time, bounds the memory.
    Returns:
        q, batch shape (N,), event shape (D,): `q.mean` is the best code, `q.sample()` draws others as plausible.
    Raises:
        ValueError: also where the masks choose no pixel at all for some composite.
    """
    sources, weights = _check_sources(pictures, masks)
    steps, batch_size = checking.integer(steps, "steps"), checking.integer(batch_size, "batch_size")
    learning_rate, seed = checking.number(learning_rate, "learning_rate", 1e-9, 1e3), checking.seed(seed)
    if start is None:
        start = _pasted(sources, weights)
    checking.tensor(start, "start", "(N, C, H, W)")
    if start.shape != sources[0].shape:
        raise ValueError(
            f"start has shape {tuple(start.shape)}, the pictures {tuple(sources[0].shape)}: give equal ones."
        )
    generator, found = torch.Generator().manual_seed(seed), []
    for first in range(0, len(start), batch_size):
        part = slice(first, first + batch_size)
        found.append(
            _ascend(
                model,
                [x[part] for x in sources],
                [m[part] for m in weights],
                start[part],
                steps,
                learning_rate,
                generator,
            )
        )
    mu, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
    return diagonal_gaussian(mu, log_var)


def _ascend(
    model: nn.Module,
    sources: list[Tensor],
    weights: list[Tensor],
    start: Tensor,
    steps: int,
    learning_rate: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean and log-variance (n, D) each of the best q for some composites."""
    with torch.no_grad():
        q = model.encode(start)
    parameters = [q.mean.clone().requires_grad_(), q.variance.log().requires_grad_()]
    optimiser = torch.optim.Adam(parameters, learning_rate, betas=(0.9, 0.98))
    with torch.enable_grad():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = learning_rate * (1 - 0.95 * step / steps)
            mu, log_var = parameters
            eps = torch.randn(mu.shape, generator=generator).to(mu)
            p = model.decode(mu + eps * torch.exp(0.5 * log_var)).base_dist  # pixels one by one
            fit = sum((m * p.log_prob(x)).flatten(1).sum(1) for x, m in zip(sources, weights, strict=True))
            loss = (kl_to_standard_normal(diagonal_gaussian(mu, log_var)) - fit).sum()
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            optimiser.step()
            if not (mu.isfinite().all() and log_var.abs().max() < RUNAWAY):
                raise ValueError(
                    f"learning_rate = {learning_rate:g} is too large: the search ran away at step {step + 1}."
                )
    return parameters[0].detach(), parameters[1].detach()


def _pasted(sources: list[Tensor], weights: list[Tensor]) -> Tensor:
    """The sources averaged by their masks, holes filled smoothly: (N, C, H, W)."""
    total = sum(weights)
    mean = sum(m * x for x, m in zip(sources, weights, strict=True)) / total.clamp(min=1e-12)
    return fill_smoothly(mean, total == 0)


@dataclass(frozen=True)
class Attributes:
    """How codes depend on known factors, on average; made by `fit_attributes`."""

    features: Callable[[Tensor], Tensor]  # factors (N, 14) -> (N, F)
    weights: Tensor  # (F, D)

    def predict(self, factors: Tensor) -> Tensor:
        """The mean code of portraits with these factors: (N, 14) -> (N, D)."""
        faces.check_factors(factors)
        return self.features(factors.to(self.weights)) @ self.weights

    def edit(self, z: Tensor, factors_from: Tensor, factors_to: Tensor) -> Tensor:
        """Move codes by the difference of the mean codes: z + predict(factors_to) - predict(factors_from).

        What a code holds beyond its factors is kept.

        Args:
            z: (N, D), codes of portraits with `factors_from`.
            factors_from, factors_to: (N, 14).
        """
        checking.tensor(z, "z", f"(N, {self.weights.shape[1]})")
        for name, factors in (("factors_from", factors_from), ("factors_to", factors_to)):
            if len(faces.check_factors(factors)) != len(z):
                raise ValueError(f"{name} has {len(factors)} rows for {len(z)} codes: give one row for each.")
        return z + self.predict(factors_to) - self.predict(factors_from)


def fit_attributes(codes: Tensor, factors: Tensor, features: str = "products", ridge: float = 1.0) -> Attributes:
    """Learn the mean code of each combination of factors, by ridge regression.

    Args:
        codes: (N, D), such as the means that an encoder gives to training portraits.
        factors: (N, 14), those of the same portraits.
        features: what the mean code is linear in. "linear": the factors, so that each has one direction in the space
            of codes. "knots": each factor's path may bend at six places (piecewise linear). "products": besides, a
            factor's path may depend on each other factor (products of the two).
        ridge: weight of the squared regression weights, >= 0, against a sum over portraits of squared errors; the
            factors are scaled to [-1, 1].
    Raises:
        ValueError: also with fewer than two portraits, or features that a ridge of 0 cannot determine.
    """
    checking.tensor(codes, "codes", "(N, D)")
    faces.check_factors(factors)
    if len(codes) != len(factors) or len(codes) < 2:
        raise ValueError(
            f"codes has {len(codes)} rows, factors {len(factors)}: give two or more of each, equally many."
        )
    checking.choice(features, "features", FEATURES)
    ridge = checking.number(ridge, "ridge", 0)
    describe = {"linear": _linear, "knots": _knots, "products": _products}[features]
    x, y = describe(factors.detach().cpu().double()), codes.detach().cpu().double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    centred = x - x_mean
    gram = centred.T @ centred + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    if ridge == 0 and torch.linalg.matrix_rank(gram, hermitian=True) < len(gram):
        raise ValueError(
            f"ridge = 0 leaves the {len(gram)} weights undetermined by these factors: give a positive ridge."
        )
    slopes = torch.linalg.solve(gram, centred.T @ (y - y_mean))  # (F, D)
    weights = torch.cat([slopes, (y_mean - x_mean @ slopes)[None]])  # the mean itself is not shrunk
    return Attributes(lambda f: F.pad(describe(f), (0, 1), value=1.0), weights.to(codes))


def _linear(factors: Tensor) -> Tensor:
    """The factors on [-1, 1], (N, 14)."""
    return to_unit(factors)


def _knots(factors: Tensor) -> Tensor:
    """For each factor a tent about each of its six knots, 1 at its own and 0 at the others: (N, 14 * 6)."""
    place = (to_unit(factors) + 1) * ((KNOTS - 1) / 2)  # 0 ... 5
    knots = torch.arange(KNOTS, dtype=factors.dtype, device=factors.device)
    return (1 - (place[:, :, None] - knots).abs()).clamp(min=0).flatten(1)


def _products(factors: Tensor) -> Tensor:
    """The tents, and each of them times each of the factors: (N, 84 * 15)."""
    tents, others = _knots(factors), F.pad(to_unit(factors), (0, 1), value=1.0)
    return (tents[:, :, None] * others[:, None, :]).flatten(1)


# --- checks ------------------------------------------------------------------------------------------------------


def _check_rgba(x: Tensor, name: str) -> None:
    checking.tensor(
        x, name, "(N, 4, H, W)", "The channels are red, green, blue, alpha: torch.cat([picture, alpha], 1)."
    )
    checking.unit(x[:, 3], f"the alpha of {name}")


def _check_sizes(a: Tensor, b: Tensor, name_a: str, name_b: str) -> None:
    if a.shape[2:] != b.shape[2:] or (len(a) != len(b) and 1 not in (len(a), len(b))):
        raise ValueError(
            f"{name_a} {tuple(a.shape)} and {name_b} {tuple(b.shape)} must be of one size and equally many (or one for "
            "all). vae_helpers.enlarge or torch.nn.functional.interpolate changes a size."
        )


def _weights(mask: Tensor, n: int, like: Tensor, name: str) -> Tensor:
    """A mask as weights in [0, 1], (n, 1, H, W), on the device and of the type of `like`."""
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        mask = mask.to(like.dtype)
    check_pictures(mask, name, "(N, 1, H, W)")
    if mask.shape[2:] != like.shape[2:] or len(mask) not in (1, n):
        raise ValueError(
            f"{name} has shape {tuple(mask.shape)}, but there are {n} pictures of {like.shape[2]} x {like.shape[3]} "
            f"pixels: give ({n}, 1, {like.shape[2]}, {like.shape[3]}), or one mask for all."
        )
    return mask.to(like).expand(n, -1, -1, -1)


def interior_mask(mask: Tensor, n: int, like: Tensor, name: str) -> Tensor:
    """Where a mask is above one half, bool (n, H, W): not everywhere."""
    inside = _weights(mask, n, like, name)[:, 0] > 0.5
    whole = inside.flatten(1).all(1)
    if whole.any():
        raise ValueError(
            f"{name} covers the whole of picture {int(whole.nonzero()[0])}: no pixel is left to hold the result. "
            "Leave out at least one pixel."
        )
    return inside


def _check_sources(pictures: Sequence[Tensor], masks: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The sources and their masks (N, 1, H, W), all of the same size."""
    for name, value in (("pictures", pictures), ("masks", masks)):
        if isinstance(value, Tensor) or not isinstance(value, Sequence):
            raise TypeError(f"{name} must be a list with one tensor for each source, not {checking.shown(value)}.")
    if len(pictures) != len(masks) or not pictures:
        raise ValueError(f"{len(pictures)} pictures and {len(masks)} masks: give one mask for each, and at least one.")
    for k, x in enumerate(pictures):
        checking.tensor(x, f"pictures[{k}]", "(N, C, H, W)")
        if x.shape != pictures[0].shape:
            raise ValueError(
                f"pictures[{k}] has shape {tuple(x.shape)}, pictures[0] {tuple(pictures[0].shape)}: all sources need "
                "the same size and number. torch.nn.functional.interpolate changes a size."
            )
    first = pictures[0]
    weights = [_weights(m, len(first), first, f"masks[{k}]") for k, m in enumerate(masks)]
    nothing = sum(weights).flatten(1).sum(1) == 0
    if nothing.any():
        raise ValueError(
            f"the masks choose no pixel at all for composite {int(nothing.nonzero()[0])}: choose a region, or leave "
            "this one out; without any pixel the posterior is the prior."
        )
    return list(pictures), weights
