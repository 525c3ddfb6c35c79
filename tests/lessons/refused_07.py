"""Wrong answers to the exercises of notebook 07, written from the statements alone: each has to be refused."""

import math

import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence


def fused(
    prec=lambda S: S.inverse(),
    count=lambda V: V - 1,
    shift=lambda P, m: (P[:, None] @ m[..., None])[..., 0].sum(0),
    mean=lambda C, h: h @ C,
    cov=lambda L: L.inverse(),
    dtype=None,
):
    """fuse with one of its steps replaced; count is how many priors are taken out."""

    def answer(means, covariances):
        m, S = means.to(dtype or means.dtype), covariances.to(dtype or means.dtype)
        P = prec(S)
        C = cov(P.sum(0) - count(len(P)) * torch.eye(P.shape[-1], dtype=P.dtype))
        return mean(C, shift(P, m)), C

    return answer


def inverted_in_place(means, covariances):
    covariances.copy_(covariances.inverse())
    C = (covariances.sum(0) - (len(means) - 1) * torch.eye(means.shape[-1])).inverse()
    return torch.einsum("vij,vnj->ni", covariances, means) @ C, C


def shifted_in_place(means, covariances):
    P = covariances.inverse()
    means.copy_(torch.einsum("vij,vnj->vni", P, means))
    C = (P.sum(0) - (len(P) - 1) * torch.eye(P.shape[-1])).inverse()
    return means.sum(0) @ C, C


def quantile(p):
    return math.sqrt(2) * torch.erfinv(torch.tensor(2 * p - 1, dtype=torch.float64)).item()


def held(
    z=lambda level: quantile((1 + level) / 2),
    s=lambda sigma: sigma,
    share=lambda inside: inside.double().mean().item(),
    cmp=lambda t, z: t.abs() < z,
):
    """coverage with one of its steps replaced."""

    def answer(mean, sigma, truth, level):
        return share(cmp((truth - mean) / s(sigma), z(level)))

    return answer


def sampled(q):
    with torch.no_grad():
        return q.sample()


def kl_of(m, v, mean, variance):
    r = v / variance
    return 0.5 * (r - 1 - r.log() + (m - mean) ** 2 / variance).sum(-1)


def level(
    Lq=lambda v, P: 1 / v + P,
    h=lambda m, v, s, P: m / v + s,
    kl=kl_of,
    mu=lambda L, h: h / L,
):
    """ladder_level with one of its steps replaced: the precision, the shift, the KL, the mean."""

    def answer(mean, variance, shift, precision):
        L = Lq(variance, precision)
        m = mu(L, h(mean, variance, shift, precision))
        return m, 1 / L, kl(m, 1 / L, mean, variance)

    return answer


def log_ratio(z, q, p):
    return q.log_prob(z) - p.log_prob(z)


def shares(one, pack=torch.stack):
    return lambda draws, q, p: pack([one(z, a, b) for z, a, b in zip(draws, q, p, strict=True)])


def drawn_anew(
    order=lambda below: reversed(range(below)),
    start=list,
    above=lambda old, new, k: new[k + 1] if k + 1 < len(new) else None,
    make=lambda p, e: p.mean + p.stddev * e,
    idx=lambda k: k,
):
    """redraw with one of its steps replaced."""

    def answer(levels, below, from_above, noise):
        new = start(levels)
        for k in order(below):
            new[k] = make(from_above(idx(k), above(levels, new, k)), noise[k])
        return new

    return answer


REFUSED = {
    "07.1": [
        fused(count=lambda V: 0),
        fused(count=lambda V: V),
        fused(count=lambda V: -1),
        fused(count=lambda V: 1),
        fused(count=lambda V: 3),
        fused(prec=lambda S: torch.diag_embed(1 / S.diagonal(dim1=1, dim2=2))),
        fused(prec=lambda S: torch.diag_embed(S.inverse().diagonal(dim1=1, dim2=2))),
        fused(prec=lambda S: S),
        fused(prec=lambda S: 1 / S),
        lambda m, S: (fused()(m, S)[0], torch.linalg.inv(fused()(m, S)[1])),
        lambda m, S: (m.mean(0), fused()(m, S)[1]),
        fused(mean=lambda C, h: h),
        fused(dtype=torch.float32),
        lambda m, S: tuple(t.to(m.dtype) for t in fused(dtype=torch.float32)(m, S)),
        fused(prec=lambda S: (S + 1e-06 * torch.eye(S.shape[-1], dtype=S.dtype)).inverse()),
        fused(cov=lambda L: (L + 1e-08 * torch.eye(L.shape[-1], dtype=L.dtype)).inverse()),
        fused(cov=lambda L: (L + 0.0001 * torch.eye(L.shape[-1], dtype=L.dtype)).inverse()),
        lambda m, S: (
            lambda P: ((P[:, None] @ m[..., None])[..., 0].mean(0) @ P.mean(0).inverse(), P.mean(0).inverse())
        )(S.inverse()),
        lambda m, S: (fused()(m, S)[0], fused()(m, S)[1].diagonal().sqrt()),
        lambda m, S: (fused()(m, S)[0], fused()(m, S)[1].diagonal()),
        lambda m, S: (fused()(m, S)[0], fused()(m, S)[1].expand(m.shape[1], -1, -1)),
        fused(shift=lambda P, m: (P[:, None] @ m[..., None])[..., 0].mean(0)),
        lambda m, S: MultivariateNormal(*fused()(m, S)),
        lambda m, S: (fused()(m, S)[0][..., None], fused()(m, S)[1]),
        lambda m, S: fused()(m, S)[::-1],
        lambda m, S: tuple(t.numpy() for t in fused()(m, S)),
        lambda m, S: tuple(t.round(decimals=4) for t in fused()(m, S)),
        fused(prec=lambda S: S.inverse().clamp(-100, 100)),
        lambda m, S: fused()(m[:-1], S[:-1]) if len(m) > 1 else fused()(m, S),
        inverted_in_place,
        shifted_in_place,
    ],
    "07.2": [
        held(z=quantile),
        held(z=lambda k: quantile(1 - k / 2)),
        held(z=lambda k: 1.96),
        held(z=lambda k: 1.6448536),
        held(z=lambda k: k),
        held(s=lambda s: s**2),
        held(s=lambda s: s.sqrt()),
        held(cmp=lambda t, z: t < z),
        held(cmp=lambda t, z: t > -z),
        held(cmp=lambda t, z: t.abs() > z),
        held(share=lambda i: i.all(1).double().mean().item()),
        held(share=lambda i: i.any(1).double().mean().item()),
        held(share=lambda i: i.double().mean(0)),
        held(share=lambda i: i.double().mean(1)),
        held(share=lambda i: i.sum().item()),
        held(share=lambda i: i.sum().item() / len(i)),
        held(share=lambda i: i.sum().item() / i.shape[1]),
        held(share=lambda i: 100 * i.double().mean().item()),
        lambda m, s, t, k: held()(m, s, t, k) - k,
        lambda m, s, t, k: k,
        lambda m, s, t, k: round(held()(m, s, t, k), 2),
        lambda m, s, t, k: round(held()(m, s, t, k), 3),
        held(s=lambda s: s.mean()),
        lambda m, s, t, k: held()(m.sub_(t), s, torch.zeros_like(t), k),
        held(s=lambda s: 1),
        lambda m, s, t, k: (
            ((m - s * quantile((1 + k) / 2) < t) | (t < m + s * quantile((1 + k) / 2))).double().mean().item()
        ),
        lambda m, s, t, k: (lambda d: (d.abs() < d.abs().quantile(k)).double().mean().item())((t - m) / s),
        held(z=lambda k: quantile((1 + k) / 2) / 2),
        held(z=lambda k: 2 * quantile((1 + k) / 2)),
        held(share=lambda i: i.double().mean().reshape(1)),
        held(z=lambda k: -math.log(1 - k)),
        lambda m, s, t, k: held()(m[:, -1:], s[-1:], t[:, -1:], k),
        lambda m, s, t, k: (t - m < s * quantile((1 + k) / 2)).double().mean().item(),
        held(z=lambda k: quantile((1 + min(k, 0.95)) / 2)),
        held(s=lambda s: s + 0.01),
        held(s=lambda s: s + 1e-06),
        held(s=lambda s: s.clamp(min=0.001)),
        held(s=lambda s: s.clamp(min=0.1)),
        held(z=lambda k: quantile(1 - (1 - k))),
        lambda m, s, t, k: held(s=lambda x: x / math.sqrt(len(m)))(m, s, t, k),
        lambda m, s, t, k: held()(torch.zeros_like(m), s, t, k),
        held(share=lambda i: i.double().mean(0).min().item()),
    ],
    "07.3": [
        lambda S: (1 / S.inverse().diagonal(), S.diagonal()),
        lambda S: (S.diagonal(), S.diagonal()),
        lambda S: (S.diagonal(), 1 / S.diagonal()),
        lambda S: (S.diagonal(), S.inverse().diagonal()),
        lambda S: (S.diagonal().sqrt(), S.inverse().diagonal().rsqrt()),
        lambda S: (S.diagonal().sqrt(), 1 / S.inverse().diagonal()),
        lambda S: (S.diagonal(), S.inverse().diagonal().rsqrt()),
        lambda S: (torch.diag(S.diagonal()), torch.diag(1 / S.inverse().diagonal())),
        lambda S: (S.diagonal(), torch.linalg.eigvalsh(S)),
        lambda S: (S.diagonal(), 1 / (1 / S).diagonal()),
        lambda S: (S.diagonal(), 1 / S.inverse().sum(1)),
        lambda S: (S.sum(1), 1 / S.inverse().diagonal()),
        lambda S: (S.diagonal(), torch.diag(S.diagonal()).inverse().diagonal()),
        lambda S: (S.diagonal(), torch.linalg.cholesky(S).diagonal() ** 2),
        lambda S: (S.diagonal(), torch.linalg.cholesky(S).diagonal()),
        lambda S: (S.diagonal().log(), -S.inverse().diagonal().log()),
        lambda S: (S.diagonal() / 2, 1 / S.inverse().diagonal() / 2),
        lambda S: (S.diagonal(), 1 / (S + 0.0001 * torch.eye(len(S)).to(S)).inverse().diagonal()),
        lambda S: (S.diagonal(), 1 / (S + 1e-06 * torch.eye(len(S)).to(S)).inverse().diagonal()),
        lambda S: (S.diagonal(), 1 / (S.inverse().diagonal() + 1e-06)),
        lambda S: (S.diagonal(), 1 / (S.inverse().diagonal() + 0.001)),
        lambda S: (S.diagonal(), (1 / S.inverse().diagonal()).clamp(min=0.001)),
        lambda S: (S.diagonal(), (1 / S.inverse().diagonal()).clamp(min=1e-06)),
        lambda S: (S.diagonal(), 1 / torch.linalg.pinv(S, rcond=0.01).diagonal()),
        lambda S: (S.diagonal().float(), 1 / S.float().inverse().diagonal()),
        lambda S: (S.diagonal(), (1 / S.float().inverse().diagonal()).to(S.dtype)),
        lambda S: torch.stack([S.diagonal(), 1 / S.inverse().diagonal()]),
        lambda S: (S.diagonal(), S.diagonal() - S[0, 1] ** 2 / S.diagonal().flip(0)),
        lambda S: (
            S.diagonal(),
            S.diagonal() - torch.cat([S.diagonal(1) ** 2 / S.diagonal()[1:], S[-1:, 0] ** 2 / S[:1, 0]]),
        ),
        lambda S: (S.diagonal().mean().expand(len(S)), 1 / S.inverse().diagonal()),
        lambda S: (S.diagonal(), S.det() ** (1 / len(S)) * S.diagonal() / S.diagonal().prod() ** (1 / len(S))),
        lambda S: 1 / S.inverse().diagonal(),
        lambda S: (S.diagonal(), 1 / (S / torch.outer(S.diagonal().sqrt(), S.diagonal().sqrt())).inverse().diagonal()),
        lambda S: (S.diagonal().tolist(), (1 / S.inverse().diagonal()).tolist()),
        lambda S: (S.diagonal(), 1 / (1 / S.diagonal() + 1)),
        lambda S: (1 / S.inverse().diagonal(), 1 / S.diagonal()),
    ],
    "07.4": [
        lambda m, x, s: m.encode(x, s).log_prob(sampled(m.vae.encode(x))),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x))).mean(),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x))).sum(),
        lambda m, x, s: -m.encode(x, s).log_prob(m.vae.encode(x).mean.detach()),
        lambda m, x, s: -m.encode(x, s).log_prob(m.vae.encode(x).rsample()),
        lambda m, x, s: -m.vae.encode(x).log_prob(m.encode(x, s).sample()),
        lambda m, x, s: -m.vae.encode(x).log_prob(m.encode(x, s).rsample()),
        lambda m, x, s: (lambda q, r: kl_divergence(q, r))(m.vae.encode(x), m.encode(x, s)),
        lambda m, x, s: (lambda q, z: q.log_prob(z) - m.encode(x, s).log_prob(z))(
            m.vae.encode(x), sampled(m.vae.encode(x))
        ),
        lambda m, x, s: (-m.encode(x, s).log_prob(sampled(m.vae.encode(x)))).detach(),
        lambda m, x, s: torch.no_grad()(lambda: -m.encode(x, s).log_prob(m.vae.encode(x).sample()))(),
        lambda m, x, s: -m.encode(x, torch.ones_like(s)).log_prob(sampled(m.vae.encode(x))),
        lambda m, x, s: -m.encode(x, ~s).log_prob(sampled(m.vae.encode(x))),
        lambda m, x, s: (lambda z: -m.encode(x, s).log_prob(z) / z.shape[-1])(sampled(m.vae.encode(x))),
        lambda m, x, s: -m.vae.encode(x).log_prob(sampled(m.vae.encode(x))),
        lambda m, x, s: (lambda q: -q.log_prob(q.sample()))(m.encode(x, s)),
        lambda m, x, s: -m.encode(x, s).log_prob(m.vae.encode(x).sample((7,))).mean(0),
        lambda m, x, s: -m.encode(x, s).log_prob(m.vae.encode(x).sample((1,))),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x)))[:, None],
        lambda m, x, s: 0.5 * (m.encode(x, s).mean - sampled(m.vae.encode(x))).square().sum(-1),
        lambda m, x, s: (lambda q, z: 0.5 * ((q.mean - z) / q.stddev).square().sum(-1) + q.stddev.log().sum(-1))(
            m.encode(x, s), sampled(m.vae.encode(x))
        ),
        lambda m, x, s: (lambda q, z: -Independent(Normal(q.mean, q.stddev), 1).log_prob(z))(
            m.encode(x, s), sampled(m.vae.encode(x))
        ),
        lambda m, x, s: (lambda q: -m.encode(x, s).log_prob((q.mean + q.variance * torch.randn_like(q.mean)).detach()))(
            m.vae.encode(x)
        ),
        lambda m, x, s: -m.encode(x, s).log_prob(torch.randn_like(m.vae.encode(x).mean)),
        lambda m, x, s: (lambda z: -m.encode(x, s).log_prob(z) + Normal(0, 1).log_prob(z).sum(-1))(
            sampled(m.vae.encode(x))
        ),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x))).double(),
        lambda m, x, s: (-m.encode(x, s).log_prob(sampled(m.vae.encode(x)))).clamp(min=0),
        lambda m, x, s: (-m.encode(x, s).log_prob(sampled(m.vae.encode(x)))).clamp(max=100),
        lambda m, x, s: (
            lambda q: -m.encode(x, s).log_prob((q.mean + q.stddev * torch.randn(q.mean.shape[-1])).detach())
        )(m.vae.encode(x)),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x))[:1]),
        lambda m, x, s: -m.encode(x, s.fill_(True)).log_prob(sampled(m.vae.encode(x))),
        lambda m, x, s: -m.encode(x, s).log_prob(sampled(m.vae.encode(x))).exp(),
        lambda m, x, s: (lambda q, z: -Independent(Normal(q.mean.detach(), q.stddev), 1).log_prob(z))(
            m.encode(x, s), sampled(m.vae.encode(x))
        ),
    ],
    "07.5": [
        level(h=lambda m, v, s, P: m / v + P * s),
        level(h=lambda m, v, s, P: s),
        level(Lq=lambda v, P: P),
        level(Lq=lambda v, P: 1 + P),
        level(Lq=lambda v, P: 1 / v + 1 / P),
        level(Lq=lambda v, P: v + P),
        level(Lq=lambda v, P: 1 / v.sqrt() + P, h=lambda m, v, s, P: m / v.sqrt() + s),
        level(h=lambda m, v, s, P: m + s),
        level(h=lambda m, v, s, P: (m + s / P) / 2, mu=lambda L, h: h),
        lambda m, v, s, P: (lambda a: (a[0], 1 / a[1], a[2]))(level()(m, v, s, P)),
        lambda m, v, s, P: (lambda a: (a[0], a[1].sqrt(), a[2]))(level()(m, v, s, P)),
        lambda m, v, s, P: (lambda a: (a[0] / a[1], a[1], a[2]))(level()(m, v, s, P)),
        level(kl=lambda *a: 2 * kl_of(*a)),
        level(kl=lambda m, v, mp, vp: kl_of(mp, vp, m, v)),
        level(kl=lambda m, v, mp, vp: kl_of(m, v, torch.zeros_like(m), torch.ones_like(v))),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 + (v / vp).log() + (m - mp) ** 2 / vp).sum(-1)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp).log() + (m - mp) ** 2 / v).sum(-1)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp).log() + (m - mp) ** 2).sum(-1)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp).sqrt().log() + (m - mp) ** 2 / vp).sum(-1)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp).log() + (m - mp).abs() / vp).sum(-1)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - (v / vp).log() + (m - mp) ** 2 / vp).sum(-1)),
        level(kl=lambda m, v, mp, vp: kl_of(m, v, mp, vp) / m.shape[-1]),
        level(kl=lambda *a: kl_of(*a).mean()),
        level(kl=lambda *a: kl_of(*a).sum()),
        level(kl=lambda m, v, mp, vp: (0.5 * (v / vp - 1 - (v / vp).log() + (m - mp) ** 2 / vp)).sum(0)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp).log() + (m - mp) ** 2 / vp)),
        level(kl=lambda *a: kl_of(*a)[:, None]),
        level(kl=lambda *a: -kl_of(*a)),
        level(kl=lambda m, v, mp, vp: 0.5 * (v / vp - 1 - (v / vp + 1e-06).log() + (m - mp) ** 2 / vp).sum(-1)),
        level(Lq=lambda v, P: 1 / v + P + 1e-06),
        level(Lq=lambda v, P: 1 / v + P + 0.001),
        level(Lq=lambda v, P: 1 / (v + 1e-06) + P, h=lambda m, v, s, P: m / (v + 1e-06) + s),
        level(Lq=lambda v, P: 1 / v.clamp(min=0.001) + P, h=lambda m, v, s, P: m / v.clamp(min=0.001) + s),
        level(Lq=lambda v, P: 1 / v + P.clamp(min=0.001)),
        level(Lq=lambda v, P: 1 / v + P.clamp(max=1000.0)),
        level(kl=lambda *a: kl_of(*a).clamp(max=50)),
        level(h=lambda m, v, s, P: m / v + P * (s / P)),
        level(h=lambda m, v, s, P: m / v + P * (s / (P + 1e-06))),
        lambda m, v, s, P: (lambda w: level(Lq=lambda v, P: 1 / v + 1 / w)(m, v, s, P))(1 / P),
        lambda m, v, s, P: level()(m, v, s.detach(), P),
        lambda m, v, s, P: level()(m.detach(), v.detach(), s, P),
        lambda m, v, s, P: level()(m.detach(), v, s, P),
        lambda m, v, s, P: level()(m, v, s, P.detach()),
        level(kl=lambda *a: kl_of(*a).detach()),
        level(kl=lambda m, v, mp, vp: kl_of(m, v, mp.detach(), vp.detach())),
        lambda m, v, s, P: tuple(t.detach() for t in level()(m, v, s, P)),
        level(Lq=lambda v, P: 2 / v + P),
        level(Lq=lambda v, P: 1 / v + P - 1),
        lambda m, v, s, P: (lambda a: (a[1], a[0], a[2]))(level()(m, v, s, P)),
        lambda m, v, s, P: (lambda a: (Normal(a[0], a[1].sqrt()), a[2]))(level()(m, v, s, P)),
        lambda m, v, s, P: level()(m.float(), v.float(), s.float(), P.float()),
        level(
            kl=lambda m, v, mp, vp: (
                lambda z: (Normal(m, v.sqrt()).log_prob(z) - Normal(mp, vp.sqrt()).log_prob(z)).sum(-1)
            )(m + v.sqrt() * torch.randn_like(m))
        ),
        level(Lq=lambda v, P: (-v).exp() + P, h=lambda m, v, s, P: m * (-v).exp() + s),
        lambda m, v, s, P: (lambda L: (lambda mu: (mu, 1 / L, kl_of(mu, 1 / L, m, v)))((m / v + s) / L))(
            P.data.add_(1 / v)
        ),
        lambda m, v, s, P: level()(m, v.data.mul_(1.0).add_(0.0), s.data.mul_(2).div_(2), P),
        lambda m, v, s, P: tuple(x.squeeze() for x in level()(m, v, s, P)),
        level(kl=lambda m, v, mp, vp: kl_divergence(Normal(m, v), Normal(mp, vp)).sum(-1)),
    ],
    "07.6": [
        shares(lambda z, q, p: p.log_prob(z) - q.log_prob(z)),
        shares(lambda z, q, p: kl_divergence(q, p)),
        lambda d, q, p: torch.stack(
            [*[log_ratio(*a) for a in list(zip(d, q, p, strict=True))[:-1]], kl_divergence(q[-1], p[-1])]
        ),
        lambda d, q, p: shares(log_ratio)(d, q, p).sum(0),
        lambda d, q, p: shares(log_ratio)(d, q, p).mean(1),
        lambda d, q, p: shares(log_ratio)(d, q, p).T,
        lambda d, q, p: [log_ratio(*a) for a in zip(d, q, p, strict=True)],
        lambda d, q, p: torch.cat([log_ratio(*a) for a in zip(d, q, p, strict=True)]),
        lambda d, q, p: shares(log_ratio)(d, q, p).flip(0),
        shares(lambda z, q, p: q.log_prob(z)),
        shares(lambda z, q, p: -p.log_prob(z)),
        shares(lambda z, q, p: log_ratio(z, q, p).exp()),
        shares(lambda z, q, p: log_ratio(q.mean, q, p)),
        shares(lambda z, q, p: log_ratio(q.sample(), q, p)),
        shares(lambda z, q, p: log_ratio(z, q, p) / z.shape[-1]),
        lambda d, q, p: torch.stack([log_ratio(d[0], q[0], p[0]), log_ratio(d[1], q[1], p[1])]),
        lambda d, q, p: torch.stack([log_ratio(d[0], q[0], p[0]), log_ratio(d[-1], q[-1], p[-1])]),
        lambda d, q, p: torch.stack(
            [
                *[log_ratio(*a) for a in list(zip(d, q, p, strict=True))[:-1]],
                q[-1].log_prob(d[-1]) - Normal(0, 1).log_prob(d[-1]).sum(-1),
            ]
        ),
        shares(lambda z, q, p: q.log_prob(z) - Normal(0, 1).log_prob(z).sum(-1)),
        shares(lambda z, q, p: log_ratio(z, q, p).clamp(min=0)),
        shares(lambda z, q, p: log_ratio(z, q, p).abs()),
        shares(lambda z, q, p: 0.5 * (((z - p.mean) / p.stddev) ** 2 - ((z - q.mean) / q.stddev) ** 2).sum(-1)),
        shares(
            lambda z, q, p: (
                0.5
                * (
                    ((z - p.mean) / p.stddev) ** 2 - ((z - q.mean) / q.stddev) ** 2 + p.stddev.log() - q.stddev.log()
                ).sum(-1)
            )
        ),
        shares(
            lambda z, q, p: (Normal(q.mean, q.variance).log_prob(z) - Normal(p.mean, p.variance).log_prob(z)).sum(-1)
        ),
        shares(lambda z, q, p: log_ratio(z, q, p).double()),
        lambda d, q, p: shares(log_ratio)(d, q, p)[..., None],
        lambda d, q, p: shares(log_ratio)(d, q, p).cumsum(0),
        lambda d, q, p: (lambda r: (d.clear(), r)[1])(shares(log_ratio)(d, q, p)),
        lambda d, q, p: (lambda r: (d.reverse(), r)[1])(shares(log_ratio)(d, q, p)),
        shares(lambda z, q, p: log_ratio(z, q, p).clamp(max=30)),
        shares(lambda z, q, p: q.log_prob(z).clamp(min=-50) - p.log_prob(z).clamp(min=-50)),
        shares(lambda z, q, p: (q.log_prob(z).exp() / p.log_prob(z).exp()).log()),
        shares(lambda z, q, p: (q.log_prob(z).exp() + 1e-10).log() - (p.log_prob(z).exp() + 1e-10).log()),
        lambda d, q, p: shares(log_ratio)(d, q, p).squeeze(),
        lambda d, q, p: shares(log_ratio)(d, q, p).detach().numpy(),
        shares(lambda z, q, p: (q.base_dist.log_prob(z) - p.base_dist.log_prob(z)).mean(-1)),
    ],
    "07.7": [
        drawn_anew(order=range),
        drawn_anew(above=lambda lv, new, k: lv[k + 1] if k + 1 < len(lv) else None),
        drawn_anew(start=lambda x: x),
        lambda lv, b, f, e: drawn_anew()(lv, min(b + 1, len(lv)), f, e),
        lambda lv, b, f, e: drawn_anew()(lv, max(b - 1, 0), f, e),
        drawn_anew(order=lambda b: []),
        drawn_anew(make=lambda p, e: p.mean),
        drawn_anew(make=lambda p, e: p.mean + p.stddev * torch.randn_like(e)),
        drawn_anew(make=lambda p, e: p.sample()),
        drawn_anew(make=lambda p, e: p.mean + p.stddev**2 * e),
        drawn_anew(make=lambda p, e: p.mean + p.stddev.sqrt() * e),
        drawn_anew(make=lambda p, e: p.mean - p.stddev * e),
        drawn_anew(make=lambda p, e: p.stddev * e),
        drawn_anew(make=lambda p, e: p.mean + e),
        lambda lv, b, f, e: (
            drawn_anew()(lv, 0, f, e)
            if b == 0
            else (
                lambda new: [
                    *[lv[k] + f(k, lv[k + 1] if k + 1 < len(lv) else None).stddev * e[k] for k in range(b)],
                    *lv[b:],
                ]
            )(0)
        ),
        lambda lv, b, f, e: (lambda new: [*lv[:b], *new[b:]])(drawn_anew()(lv, len(lv), f, e)),
        lambda lv, b, f, e: drawn_anew()(lv, len(lv), f, e),
        drawn_anew(order=lambda b: [b - 1] if b else []),
        drawn_anew(order=lambda b: [0] if b else []),
        drawn_anew(above=lambda lv, new, k: new[k + 1]),
        lambda lv, b, f, e: (lambda new: drawn_anew()(new, min(b, len(lv) - 1), f, e))(
            [*lv[:-1], e[-1]] if b == len(lv) else list(lv)
        ),
        drawn_anew(above=lambda lv, new, k: new[min(k + 1, len(new) - 1)]),
        drawn_anew(idx=lambda k: k + 1),
        drawn_anew(above=lambda lv, new, k: None),
        lambda lv, b, f, e: drawn_anew()(lv, b, f, e)[:b],
        lambda lv, b, f, e: torch.cat(drawn_anew()(lv, b, f, e), -1),
        lambda lv, b, f, e: drawn_anew()(lv, b, f, e)[::-1],
        lambda lv, b, f, e: drawn_anew()(lv, b, f, e[::-1]),
        lambda lv, b, f, e: [
            *drawn_anew()(lv, b, f, e)[:b],
            *[f(k, lv[k + 1] if k + 1 < len(lv) else None).mean for k in range(b, len(lv))],
        ],
        drawn_anew(make=lambda p, e: p.mean + p.stddev * e[:1]),
        lambda lv, b, f, e: drawn_anew()(lv, min(b, 1), f, e),
        drawn_anew(order=lambda b: range(b, 0, -1), above=lambda lv, new, k: new[k + 1] if k + 1 < len(new) else None),
        drawn_anew(order=lambda b: range(b - 1, 0, -1)),
        drawn_anew(make=lambda p, e: p.mean + p.stddev * e.clamp(-2, 2)),
        drawn_anew(make=lambda p, e: p.mean + p.stddev.clamp(max=1) * e),
        drawn_anew(make=lambda p, e: p.mean + p.stddev.clamp(min=0.1) * e),
        lambda lv, b, f, e: [t.copy_(n) for t, n in zip(lv, drawn_anew()(lv, b, f, e), strict=True)],
        drawn_anew(make=lambda p, e: e.mul_(p.stddev).add_(p.mean)),
    ],
}
