"""Other right answers to the exercises of notebook 09, in other styles."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from vae_helpers.distributions import GaussianFactor
from vae_helpers.models.protocol import evaluating
from vae_helpers.objectives import style_leak


def covariances_by_loop(f):
    M, K, count = f.shape
    S, between = torch.zeros(count, count).to(f), torch.zeros(count, count).to(f)
    for members in f:
        for one in members:
            S += torch.outer(one - members.mean(0), one - members.mean(0))
        away = members.mean(0) - f.mean((0, 1))
        between += torch.outer(away, away)
    S /= M * (K - 1)
    return S, between / (M - 1) - S / K


def covariances_by_torch(f):
    """Pooled covariances of sets that are equally large are their mean."""
    S = torch.stack([members.T.cov() for members in f]).mean(0)
    return S, torch.cov(f.mean(1).T) - S / f.shape[1]


def covariances_by_einsum(f):
    M, K, _ = f.shape
    d = f - f.mean(1, keepdim=True)
    S = torch.einsum("mki,mkj->ij", d, d) / (M * K - M)
    c = f.mean(dim=1) - f.flatten(0, 1).mean(0)
    return [S, torch.einsum("mi,mj->ij", c, c) / (M - 1) - S / K]


def covariances_by_mean_squares(f):
    """As an analysis of variance has it: the mean squares between and within, and a K-th of their difference."""
    M, K, _ = f.shape
    total, centres = (f - f.mean((0, 1))).flatten(0, 1), f.mean(1)
    between = K * (centres - centres.mean(0)).T @ (centres - centres.mean(0))
    S = (total.T @ total - between) / (M * (K - 1))
    return S, (between / (M - 1) - S) / K


def covariances_by_pairs(f):
    """What two members of a set have together, they have from their style; the differences of two are noise."""
    M, K, _ = f.shape
    pairs = [(i, j) for i in range(K) for j in range(K) if i != j]
    apart = torch.cat([f[:, i] - f[:, j] for i, j in pairs])
    S = apart.T @ apart / (2 * len(apart))
    sums = (f - f.mean((0, 1))).sum(1) / K
    return S, sums.T @ sums / (M - 1) - S / K


class Covariances(nn.Module):
    def forward(self, f):
        (M, K, _), centres = f.shape, f.mean(1)
        S = sum(d.T.cov(correction=0) for d in f - centres[:, None]) / M * K / (K - 1)
        return S, centres.T.cov().sub(S, alpha=1 / K)


def posterior_by_inverses(f, m, B, S):
    P = torch.linalg.inv(S)
    cov = torch.linalg.inv(torch.eye(B.shape[1]).to(B) + f.shape[0] * (B.T @ P @ B))
    return cov @ B.T @ P @ torch.sum(f - m, dim=0), cov


def posterior_by_the_mean_member(f, m, B, S):
    """The mean of K members is one member with the noise S / K."""
    P = torch.linalg.inv(S / len(f))
    precision = torch.eye(B.shape[1], dtype=B.dtype) + B.T @ P @ B
    return torch.linalg.solve(precision, B.T @ P @ (f.mean(0) - m)), torch.linalg.inv(precision)


def posterior_one_by_one(f, m, B, S):
    """Each member's posterior is the next one's prior."""
    mean, cov = torch.zeros(B.shape[1]).to(B), torch.eye(B.shape[1]).to(B)
    for one in f:
        gain = cov @ B.T @ torch.linalg.inv(B @ cov @ B.T + S)
        mean, cov = mean + gain @ (one - m - B @ mean), cov - gain @ B @ cov
    return mean, (cov + cov.T) / 2


def posterior_by_conditioning(f, m, B, S):
    """Style and mean member are Gaussian together."""
    both = B @ B.T + S / len(f)
    gain = torch.linalg.solve(both, B).mT
    return gain @ (f.mean(0) - m), torch.eye(B.shape[1]).to(B) - gain @ B


def posterior_by_loop(f, m, B, S):
    precision, shift = torch.eye(B.shape[1]).to(B), torch.zeros(B.shape[1]).to(B)
    for one in f.unbind():
        precision = precision + B.T @ torch.linalg.solve(S, B)
        shift = shift + B.T @ torch.linalg.solve(S, one - m)
    return torch.linalg.solve(precision, shift), torch.cholesky_inverse(torch.linalg.cholesky(precision))


def posterior_by_einsum(f, m, B, S):
    P = MultivariateNormal(m, S).precision_matrix
    precision = torch.einsum("fd,fg,ge->de", B, P, B) * len(f) + torch.diag(torch.ones_like(B[0]))
    q = MultivariateNormal(torch.zeros_like(B[0]), precision_matrix=precision)
    return torch.einsum("de,fe,fg,kg->d", q.covariance_matrix, B, P, f - m), q.covariance_matrix


def posterior_by_factors(f, m, B, S):
    """In the coordinates in which B^T S^-1 B is diagonal, styles are factors of one number each."""
    values, axes = torch.linalg.eigh(B.T @ torch.linalg.solve(S, B))
    said = GaussianFactor((f - m) @ torch.linalg.solve(S, B) @ axes, values.clamp(min=0).expand(len(f), -1))
    q = GaussianFactor(said.shift.sum(0), 1 + said.precision.sum(0)).normalised()
    return axes @ q.mean, axes * q.variance @ axes.T


class Posterior(nn.Module):
    def forward(self, f, m, B, S):
        root = torch.linalg.cholesky(S.double())
        white = torch.linalg.solve_triangular(root, B.double(), upper=False)
        members = torch.linalg.solve_triangular(root, (f - m).double().T, upper=False).sum(1)
        cov = (torch.eye(B.shape[1]).double() + len(f) * white.T @ white).inverse()
        return (cov @ white.T @ members).to(f.dtype), cov.to(f.dtype)


def carried_in_a_line(x, base, new_base, T):
    return new_base + (T @ (x - base).flatten(2)).view_as(x)


def carried_by_loop(x, base, new_base, T):
    y = new_base.clone()
    for n in range(x.shape[0]):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                y[n, :, i, j] += T[n] @ (x[n, :, i, j] - base[n, :, i, j])
    return y


def carried_colour_by_colour(x, base, new_base, T):
    colours, left = [], x.sub(base).unbind(1)
    for row, start in zip(T.unbind(1), new_base.unbind(1), strict=True):
        colours.append(start + sum(t[:, None, None] * one for t, one in zip(row.unbind(1), left, strict=True)))
    return torch.stack(colours, dim=1)


def carried_by_einsum(x, base, new_base, T):
    """A difference of two turned pictures is the turned difference."""
    return torch.einsum("ncd,nd...->nc...", T, x) - torch.einsum("ncd,ndhw->nchw", T, base) + new_base


def carried_by_bmm(x, base, new_base, T):
    left = (x - base).reshape(*x.shape[:2], -1)
    return torch.baddbmm(new_base.flatten(2), T, left).unflatten(2, x.shape[2:])


def carried_by_permute(x, base, new_base, T):
    """The result is a view that is not contiguous."""
    pixels = (x - base).permute(0, 2, 3, 1) @ T.mT[:, None]
    return (pixels + new_base.movedim(1, -1)).permute(0, 3, 1, 2)


def carried_by_unfold(x, base, new_base, T):
    blocks = F.unfold(x - base, 1)  # (N, C, H W)
    return new_base + F.fold(T @ blocks, x.shape[2:], 1)


def carried_by_convolution(x, base, new_base, T):
    """A layer with kernels of 1 x 1, of as many groups as pictures."""
    N, C, H, W = x.shape
    turned = F.conv2d((x - base).reshape(1, N * C, H, W), T.reshape(N * C, C, 1, 1), groups=N)
    return turned.reshape(N, C, H, W) + new_base


def carried_with_one_more_colour(x, base, new_base, T):
    """new_base - T base and T side by side, applied to 1 and x."""
    shift = new_base - torch.matmul(T, base.flatten(2)).view(base.shape)
    return torch.cat([shift[:, :, None], (T[..., None, None] * x[:, None])], 2).sum(2)


class Carry(nn.Module):
    def forward(self, x, base, new_base, T):
        left = x.double() - base.double()
        turned = (T.double()[..., None, None] * left.unsqueeze(1)).sum(2)
        return (new_base.double() + turned).to(x.dtype)


def bound_by_loop(log_px, kl_z, kl_s):
    nats = []
    for members, prices, price in zip(log_px, kl_z, kl_s, strict=True):
        total = -price
        for one, paid in zip(members, prices, strict=True):
            total = total + one - paid
        nats.append(total)
    return torch.stack(nats)


def bound_by_shares(log_px, kl_z, kl_s):
    """Each member pays its share of the style."""
    return (log_px - kl_z - kl_s.unsqueeze(1) / log_px.shape[1]).sum(dim=-1)


def bound_by_einsum(log_px, kl_z, kl_s):
    return torch.einsum("mk->m", log_px) - torch.einsum("mk->m", kl_z) - kl_s


def bound_by_means(log_px, kl_z, kl_s):
    return log_px.shape[1] * (log_px - kl_z).mean(1) - kl_s


def bound_by_cat(log_px, kl_z, kl_s):
    return torch.cat([log_px, -kl_z, -kl_s[:, None]], 1).sum(1)


class Bound(nn.Module):
    def forward(self, log_px, kl_z, kl_s):
        ones = torch.ones(log_px.shape[1]).double()
        return ((log_px - kl_z).double() @ ones - kl_s.double()).to(log_px.dtype)


def restyle_in_a_line(vae, x, own, wanted):
    return vae.decode(vae.encode(x, own).mean, wanted).mean


@torch.no_grad()
def restyle_without_graph(vae, x, own, wanted):
    q = vae.encode(x, s=own)
    return vae.decode(z=q.base_dist.loc, s=wanted).mean.clone()


def restyle_clamped(vae, x, own, wanted):
    """The pictures of the lesson lie in [0, 1]; what lies beyond would be drawn so anyway."""
    return vae.decode(vae.encode(x, own).mean.detach(), wanted).mean.clamp(0, 1)


def restyle_one_by_one(vae, x, own, wanted):
    pictures = []
    for one, a, b in zip(x, own, wanted, strict=True):
        z = vae.encode(one.unsqueeze(0), a[None]).mean
        pictures.append(vae.decode(z, b[None]).mean.squeeze(0))
    return torch.stack(pictures)


def restyle_by_the_mode(vae, x, own, wanted):
    """Of a Gaussian content the mode is the mean."""
    with evaluating(vae):
        picture = vae.decode(vae.encode(x, own).mode, wanted)
    return picture.mean


class Restyle(nn.Module):
    def forward(self, vae, x, own, wanted):
        with torch.inference_mode():
            z = vae.encode(x.clone(), own).mean
            return vae.decode(z[None], wanted[None]).mean[0]


def _painted(vae, x, own, wanted, detach):
    z = vae.encode(x, own).mean
    return vae.decode(z.detach() if detach else z, wanted).mean


def leak_by_loop(guessed, s):
    total = 0.0
    for mine, true in zip(guessed.T, s.T, strict=True):
        mse = torch.mean((mine - true) ** 2)
        total = total + torch.relu(0.5 * torch.log(true.var(unbiased=False) / mse))
    return total


def leak_by_r2(guessed, s):
    """-log(1 - R2) / 2."""
    left = (guessed - s).pow(2).sum(0) / (s - s.mean(0)).pow(2).sum(0)
    r2 = (1 - left).clamp(min=0)
    return torch.where(r2 > 0, -left.log() / 2, 0).sum()


def leak_by_logs(guessed, s):
    rmse, std = (guessed - s).square().mean(dim=0).sqrt(), s.std(dim=0, correction=0)
    return (std.log() - rmse.log()).clamp_min(0).sum()


def leak_by_the_larger_ratio(guessed, s):
    ratio = s.var(0, correction=0) / (guessed - s).square().mean(0)
    return torch.maximum(ratio, torch.ones_like(ratio)).log().sum() / 2


def leak_with_an_epsilon(guessed, s):
    """An epsilon so small that it does no harm."""
    error = (guessed - s).square().mean(0) + 1e-14
    return F.relu(0.5 * (s.var(0, correction=0) / error).log()).sum()


def leak_by_entropies(guessed, s):
    """How far the entropy of a Gaussian falls."""
    before = Normal(0.0, s.std(0, correction=0)).entropy()
    after = Normal(0.0, (guessed - s).norm(dim=0) / len(s) ** 0.5).entropy()
    return (before - after).clamp(min=0).sum()


def leak_by_densities(guessed, s):
    """How much likelier the reader's Gaussian makes the styles than the one that knows nothing."""
    reader = Normal(guessed, (guessed - s).square().mean(0).sqrt()).log_prob(s)
    nobody = Normal(s.mean(0), s.std(0, correction=0)).log_prob(s)
    return (reader - nobody).mean(0).clamp(min=0).sum()


def leak_with_the_same_correction(guessed, s):
    """N - 1 in both cancels."""
    error = torch.linalg.vector_norm(guessed - s, dim=0) / (len(s) - 1) ** 0.5
    return torch.log(s.std(0) / error).maximum(torch.zeros(1).to(s)).sum()


class Leak(nn.Module):
    def forward(self, guessed, s):
        baseline = F.mse_loss(s.mean(0).expand_as(s), s, reduction="none").mean(0)
        error = F.mse_loss(guessed, s, reduction="none").mean(0)
        known = error < baseline
        return 0.5 * (baseline[known].log() - error[known].log()).sum()


def direction_by_covariance(s, rating):
    both = torch.cov(torch.cat([s, rating[:, None]], 1).T)
    return both[:-1, -1] / both[-1, -1]


def direction_by_lstsq(s, rating):
    line = torch.stack([torch.ones_like(rating), rating - rating.mean()], 1)
    return torch.linalg.lstsq(line, s).solution[1]


def direction_by_pinv(s, rating):
    return (torch.linalg.pinv((rating - rating.mean())[:, None]) @ (s - s.mean(0)))[0]


def direction_by_loop(s, rating):
    slopes, mean = [], sum(rating) / len(rating)
    for column in s.T:
        above = sum((r - mean) * (c - column.mean()) for r, c in zip(rating, column, strict=True))
        slopes.append(above / sum((r - mean) ** 2 for r in rating))
    return torch.stack(slopes)


def direction_centred_once(s, rating):
    """One of the two has to be centred."""
    r = rating - rating.mean()
    return torch.einsum("nd,n->d", s, r) / torch.einsum("n,n->", r, r)


def direction_by_polyfit(s, rating):
    return torch.from_numpy(np.polyfit(rating.cpu().numpy(), s.cpu().numpy(), 1)[0]).to(s)


def direction_by_correlation(s, rating):
    z, r = (s - s.mean(0)) / s.std(0), (rating - rating.mean()) / rating.std()
    correlation = (z * r[:, None]).sum(0) / (len(s) - 1)
    return correlation * s.std(0) / rating.std()


class Direction(nn.Module):
    def forward(self, s, rating):
        r = rating.double() - rating.double().mean()
        return ((s.double() * r[:, None]).mean(0) / r.var(correction=0)).to(s.dtype)


def direction_by_pairs(s, rating):
    """Each pair of styles has a slope; a pair counts as the square of how far apart its ratings are."""
    codes, ratings = s[:, None] - s, rating[:, None] - rating
    return (codes * ratings[..., None]).sum((0, 1)) / ratings.square().sum()


ACCEPTED = {
    "09.1": [
        covariances_by_loop,
        covariances_by_torch,
        covariances_by_einsum,
        covariances_by_mean_squares,
        covariances_by_pairs,
        Covariances(),
    ],
    "09.2": [
        posterior_by_inverses,
        posterior_by_the_mean_member,
        posterior_one_by_one,
        posterior_by_conditioning,
        posterior_by_loop,
        posterior_by_einsum,
        posterior_by_factors,
        Posterior(),
    ],
    "09.3": [
        carried_in_a_line,
        carried_by_loop,
        carried_colour_by_colour,
        carried_by_einsum,
        carried_by_bmm,
        carried_by_permute,
        carried_by_unfold,
        carried_by_convolution,
        carried_with_one_more_colour,
        Carry(),
    ],
    "09.4": [bound_by_loop, bound_by_shares, bound_by_einsum, bound_by_means, bound_by_cat, Bound()],
    "09.5": [
        restyle_in_a_line,
        restyle_without_graph,
        restyle_clamped,
        restyle_one_by_one,
        restyle_by_the_mode,
        functools.partial(_painted, detach=True),
        Restyle(),
    ],
    "09.6": [
        style_leak,
        leak_by_loop,
        leak_by_r2,
        leak_by_logs,
        leak_by_the_larger_ratio,
        leak_with_an_epsilon,
        leak_by_entropies,
        leak_by_densities,
        leak_with_the_same_correction,
        Leak(),
    ],
    "09.7": [
        direction_by_covariance,
        direction_by_lstsq,
        direction_by_pinv,
        direction_by_loop,
        direction_by_polyfit,
        direction_centred_once,
        direction_by_correlation,
        direction_by_pairs,
        Direction(),
    ],
}
