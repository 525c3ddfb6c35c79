"""Epsilons, clamps and logs of densities, of whatever size: wrong where they show, and said so in one sentence."""

import hashlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import find
from vae_helpers.lessons import (
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_10,
    lesson_11,
    lesson_12,
    lesson_13,
)


def overlap(divide):
    def answer(blocks, places, weights, height, width):
        total, share = torch.zeros(2, height, width)
        for block, (top, left) in zip(blocks, places, strict=True):
            total[top : top + len(weights), left : left + len(weights)] += weights * block
            share[top : top + len(weights), left : left + len(weights)] += weights
        return divide(total, share)

    return answer


def halve(divide):
    def answer(rgba):
        small = F.avg_pool2d(torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1), 2)
        return torch.cat([divide(small[:, :3], small[:, 3:]), small[:, 3:]], 1)

    return answer


def density(x, mean, sigma):
    return (-0.5 * ((x - mean) / sigma) ** 2).exp() / (sigma * math.sqrt(2 * math.pi))


def fuse(before=lambda S: S):
    def answer(means, covariances):
        precisions = torch.linalg.inv(before(covariances))
        eye = torch.eye(means.shape[-1]).to(means)
        covariance = torch.linalg.inv(precisions.sum(0) - (len(means) - 1) * eye)
        return torch.einsum("vde,vne->nd", precisions, means) @ covariance, covariance

    return answer


def ladder_level(v=lambda v: v, precision=lambda P: P, kl=lambda kl: kl, e=0.0):
    def answer(mean, variance, shift, message):
        variance_q = 1 / (1 / v(variance) + precision(message))
        mean_q = variance_q * (mean / v(variance) + shift)
        ratio = variance_q / v(variance)
        each = ratio - 1 - (ratio + e).log() + (mean_q - mean) ** 2 / v(variance)
        return mean_q, variance_q, kl(0.5 * each.sum(-1))

    return answer


def feature_nats(of):
    def answer(real, made):
        errors = [(g[0].numel() / 2, (g - f).square().mean()) for f, g in zip(real, made, strict=True)]
        return sum(half * of(error).log() for half, error in errors)

    return answer


def within_and_between(S=lambda S: S, BBt=lambda BBt: BBt):
    def answer(f):
        within, between = lesson_09.within_and_between(f)
        return S(within), BBt(between)

    return answer


def no_variance_below_zero(C):
    return torch.where(torch.eye(len(C)) > 0, C.clamp(min=0), C)


def eye(C):
    return torch.eye(len(C)).to(C)


def carry_over(left):
    def answer(x, base, new_base, T):
        return lesson_09.carry_over(left(x - base), torch.zeros_like(base), new_base, T)

    return answer


def leak_in_nats(ratio):
    def answer(guessed, s):
        variance, error = s.var(0, correction=0), (guessed - s).square().mean(0)
        return (ratio(variance, error).log() / 2).clamp(min=0).sum()

    return answer


def word_direction(slope):
    def answer(s, rating):
        codes, about = s - s.mean(0), rating - rating.mean()
        return slope(about @ codes / len(s), about.square().mean())

    return answer


def composite_error(each):
    def answer(e):
        c, a = e.double()[:, :3], e.double()[:, 3:]
        return each(c, a).flatten(1).sum(1).to(e)

    return answer


def squared(c, a):
    return c * c - c * a + a * a / 3


def visible_shares(rest):
    """What all in front and the layer itself let through, divided by what the layer does."""

    def answer(alphas):
        through = (1 - alphas).flip(1).cumprod(1).flip(1)
        return alphas * through / rest(1 - alphas)

    return answer


def group_pixels(thing):
    def answer(inside, votes, centres):
        away = (votes - centres[:, :, None, None]).norm(dim=1)
        return torch.where(inside, thing(away), 0)

    return answer


def of_orders(normalised):
    def answer(x, pictures, sigma):
        return normalised(-(pictures - x[:, None]).square().sum((2, 3, 4)) / (2 * sigma**2))

    return answer


def latent_scale(spread):
    """Of all numbers, the mean taken off."""
    return lambda codes: 1 / spread((codes - codes.mean()).double()).to(codes)


def path(weights=lambda t: (1 - t, t), velocity=lambda z, eps, t, z_t: z - eps, last=lambda x: x):
    def answer(z, eps, t):
        t = t[:, None]
        of_eps, of_z = weights(t)
        z_t = of_eps * eps + of_z * z
        return last(z_t), last(velocity(z, eps, t, z_t))

    return answer


def mean_velocity(v=lambda v: v, r=lambda log_p: log_p.softmax(1)):
    def answer(z_t, t, means, sigma):
        variance, away = v((1 - t) ** 2 + (t * sigma) ** 2), z_t[:, None] - t * means
        each = means + (t * sigma**2 - (1 - t)) * away / variance
        return (r(-away.square() / (2 * variance)) * each).sum(1)

    return answer


def by_densities(divide):
    def r(log_p):
        p = log_p.exp()
        return divide(p, p.sum(1, keepdim=True))

    return mean_velocity(r=r)


def through_the_code(left):
    """(E[z | z_t] - z_t) / (1 - t)."""

    def answer(z_t, t, means, sigma):
        code = lesson_11.mean_velocity(z_t, t, means, sigma) * (1 - t)
        return code / left(1 - t)

    return answer


def heun_step(place=lambda x: x, u=lambda u: u):
    return lambda velocity, z, t, h: place(lesson_11.heun_step(lambda z, t: u(velocity(z, t)), z, t, h))


def guided(change=lambda d: d, last=lambda u: u, w=lambda w: w):
    def answer(velocity, z, t, tokens, guidance):
        untold = velocity(z, t, None)
        return last(untold + w(guidance) * change(velocity(z, t, tokens) - untold))

    return answer


def expected_ends(t=lambda t: t, last=lambda x: x):
    return lambda z_t, time, u: tuple(last(x) for x in lesson_11.expected_ends(z_t, t(time), u))


def price(saved=lambda saved: saved, slope=lambda slope: slope, last=lambda price: price):
    def answer(distortion, mu, log_var, eps):
        leaf = log_var.detach().requires_grad_()
        (by_log_var,) = torch.autograd.grad(distortion(mu + (leaf / 2).exp() * eps).sum(), leaf)
        return last(slope(by_log_var).sum() / saved(((1 - log_var.detach().exp()) / 2).sum()))

    return answer


def critic(log):
    return lambda real, made: -log(real.sigmoid()).mean() - log(1 - made.sigmoid()).mean()


def split_of(u):
    """By another u, made of the digest as a whole number below 2^256."""

    def answer(content):
        share = u(int(hashlib.sha256(content).hexdigest(), 16))
        return "test" if share < 0.1 else "validation" if share < 0.2 else "train"

    return answer


def more_pictures(half=lambda half: half, times=lambda times: times, last=lambda bits: bits):
    def answer(held_out, own, n):
        middle = (held_out + own) / 2
        return last(middle + half((held_out - own) / 2) / times(n)), last(middle)

    return answer


def right_usual(apart):
    return apart[torch.triu_indices(len(apart), len(apart), 1).unbind()].median()


def near_copies(usual=right_usual, to_train=lambda apart: apart):
    def answer(train, held_out):
        apart = torch.stack([(train - x).norm(dim=1) for x in train])
        return (to_train(torch.cdist(held_out, train)).amin(1) < 0.15 * usual(apart)).float().mean()

    return answer


def whole_gradient(n=lambda n: n, last=lambda g: g):
    def answer(gradients, sizes):
        sizes = [n(size) for size in sizes]
        return last(sum(size * g for g, size in zip(gradients, sizes, strict=True)) / sum(sizes))

    return answer


def step_seconds(network=lambda n, s, b: 2 * (n - 1) / n * s / b, share=lambda p, n: -(-p // n), last=lambda x: x):
    def answer(pictures, processes, seconds, size, bandwidth):
        return last(share(pictures, processes) * seconds + network(processes, size, bandwidth))

    return answer


ANSWERS = {
    "04.2": (
        lesson_04.UNDERFLOW,
        lambda x, mean, sigma: -density(x, mean, sigma).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).flatten(1).double().prod(1).log().float(),
        lambda x, mean, sigma: -(density(x, mean, sigma) + 1e-12).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -density(x, mean, sigma).clamp(min=1e-30).log().sum((1, 2, 3)),
        lambda x, mean, sigma: -Normal(mean, max(sigma, 0.01)).log_prob(x).sum((1, 2, 3)),
    ),
    "04.3": (
        lesson_04.NO_FLOOR,
        *(lambda x, x_hat, e=e: ((x - x_hat).square().mean() + e).sqrt() for e in (1e-6, 1e-8, 1e-12)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt() + e for e in (1e-5, 1e-6, 1e-8)),
        *(lambda x, x_hat, e=e: (x - x_hat).square().mean().sqrt().clamp(min=e) for e in (0.05, 1e-3, 1e-6)),
    ),
    "05.5": (
        lesson_05.FADED,
        *(overlap(lambda total, share, e=e: total / (share + e)) for e in (1e-6, 1e-7)),
        *(overlap(lambda total, share, e=e: total / share.clamp(min=e)) for e in (1e-2, 1e-3)),
    ),
    "06.2": (
        lesson_06.FAINT,
        *(halve(lambda colours, alpha, e=e: colours / alpha.clamp(min=e)) for e in (0.1, 0.01, 1e-3)),
        halve(lambda colours, alpha: torch.where(alpha > 0.01, colours / alpha, 0.0)),
    ),
    "06.5": (
        lesson_06.UNDERFLOW,
        lambda x, mean, mask, sigma: (mask * density(x, mean, sigma).log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * (density(x, mean, sigma) + 1e-12).log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: torch.where(mask > 0, density(x, mean, sigma), 1.0).log().sum((1, 2, 3)),
    ),
    "07.1": (
        lesson_07.INEXACT,
        *(fuse(lambda S, e=e: S + e * torch.eye(S.shape[-1]).to(S)) for e in (1e-6, 1e-8)),
        lambda means, covariances: tuple(x.to(means) for x in fuse()(means.float(), covariances.float())),
    ),
    "07.2": (
        lesson_07.NARROW,
        *(
            lambda mean, sigma, truth, level, e=e: lesson_07.coverage(mean, sigma.clamp(min=e), truth, level)
            for e in (0.1, 1e-3, 1e-6)
        ),
        *(
            lambda mean, sigma, truth, level, e=e: lesson_07.coverage(mean, sigma + e, truth, level)
            for e in (1e-6, 1e-8)
        ),
    ),
    "07.3": (
        lesson_07.UNITS,
        *(lambda S, e=e: (S.diag(), 1 / (S + e * torch.eye(len(S)).to(S)).inverse().diag()) for e in (1e-6, 1e-8)),
        *(lambda S, e=e: (S.diag(), (1 / S.inverse().diag()).clamp(min=e)) for e in (1e-3, 1e-6)),
        *(lambda S, e=e: (S.diag(), 1 / (S.inverse().diag() + e)) for e in (1e-6, 1e-8)),
        lambda S: (S.diag(), (1 / S.float().inverse().diag()).to(S)),
    ),
    "07.5": (
        lesson_07.FAR_LEVEL,
        *(ladder_level(e=e) for e in (1e-6, 1e-8)),
        *(ladder_level(v=lambda v, e=e: v.clamp(min=e)) for e in (1e-2, 1e-3)),
        ladder_level(precision=lambda P: P.clamp(max=1e3)),
        ladder_level(kl=lambda kl: kl.clamp(max=100)),
    ),
    "07.6": (
        lesson_07.MANY,
        lambda draws, q, p: torch.stack(
            [(a.log_prob(z).exp() / b.log_prob(z).exp()).log() for z, a, b in zip(draws, q, p, strict=True)]
        ),
        lambda draws, q, p: lesson_07.level_shares(draws, q, p).clamp(-100, 100),
    ),
    "08.1": (
        lesson_08.SURE,
        *(lambda a, b, sigma, e=e: lesson_08.price_of_blur(a, b, sigma + e) for e in (1e-6, 1e-7)),
        *(lambda a, b, sigma, e=e: lesson_08.price_of_blur(a, b, (sigma**2 + e) ** 0.5) for e in (1e-6, 1e-8)),
        *(lambda a, b, sigma, e=e: lesson_08.price_of_blur(a, b, max(sigma, e)) for e in (0.1, 0.01)),
        *(lambda a, b, sigma, e=e: lesson_08.price_of_blur(a, b, sigma).clamp(max=e) for e in (1e2, 1e4)),
    ),
    "08.2": (
        lesson_08.NEAR_AND_FAR,
        *(feature_nats(lambda error, e=e: error + e) for e in (1e-6, 1e-8, 1e-10)),
        *(feature_nats(lambda error, e=e: error.clamp(min=e)) for e in (1e-3, 1e-6)),
        feature_nats(lambda error: error.sqrt().add(1e-6).square()),
        *(feature_nats(lambda error, e=e: error.clamp(max=e)) for e in (1e2, 1e6)),
    ),
    "08.4": (
        lesson_08.CERTAIN,
        *(
            lambda critic, x, x_hat, e=e: lesson_08.critic_loss(lambda x: critic(x).clamp(-e, e), x, x_hat)
            for e in (10, 20, 50)
        ),
    ),
    "08.3": (
        lesson_08.FAR_OUT,
        lambda x, real, made: (real.log_prob(x).exp() / made.log_prob(x).exp()).log(),
        lambda x, real, made: real.log_prob(x).double().exp().log().sub(made.log_prob(x).double().exp().log()).to(x),
        *(
            lambda x, real, made, e=e: (real.log_prob(x).exp() + e).log() - (made.log_prob(x).exp() + e).log()
            for e in (1e-8, 1e-12)
        ),
        *(lambda x, real, made, e=e: lesson_08.best_logit(x, real, made).clamp(-e, e) for e in (10, 88)),
        lambda x, real, made: torch.logit(lesson_08.best_logit(x, real, made).sigmoid()),
    ),
    "08.5": (
        lesson_08.CERTAIN,
        *(lambda critic, x_hat, e=e: -critic(x_hat).clamp(-e, e).mean() for e in (10, 20, 50)),
    ),
    "09.1": (
        lesson_09.FAINT,
        *(within_and_between(S=lambda S, e=e: S + e * eye(S)) for e in (1e-6, 1e-8)),
        *(within_and_between(BBt=lambda BBt, e=e: BBt + e * eye(BBt)) for e in (1e-6, 1e-8)),
        within_and_between(BBt=no_variance_below_zero),
        lambda f: tuple(C.to(f) for C in lesson_09.within_and_between(f.float())),
    ),
    "09.2": (
        lesson_09.INEXACT,
        *(lambda f, m, B, S, e=e: lesson_09.style_posterior(f, m, B, S + e * eye(S)) for e in (1e-6, 1e-8)),
        lambda f, m, B, S: lesson_09.style_posterior(f, m, B, S.where(eye(S) == 0, S.clamp(min=1e-3))),
        lambda *model: tuple(q.to(model[0]) for q in lesson_09.style_posterior(*(t.float() for t in model))),
    ),
    "09.3": (
        lesson_09.LARGE_AND_SMALL,
        *(lambda x, base, new, T, e=e: lesson_09.carry_over(x, base, new, T + e * eye(T[0])) for e in (1e-6, 1e-8)),
        *(carry_over(lambda left, e=e: left.clamp(-e, e)) for e in (1, 2)),
        *(carry_over(lambda left, e=e: left.where(left.abs() > e, 0)) for e in (1e-4, 1e-5)),
        lambda *pictures: lesson_09.carry_over(*(t.float() for t in pictures)).to(pictures[0]),
    ),
    "09.4": (
        lesson_09.FAR_ELBO,
        *(lambda *terms, e=e: lesson_09.group_elbo(*terms).clamp(-e, e) for e in (100, 1e4)),
        *(lambda log_px, *kls, e=e: lesson_09.group_elbo(log_px.clamp(-e, e), *kls) for e in (100, 1e3)),
        *(lambda a, kl_z, kl_s, e=e: lesson_09.group_elbo(a, kl_z.clamp(min=e), kl_s) for e in (0.01, 0.1)),
        *(lambda a, kl_z, kl_s, e=e: lesson_09.group_elbo(a, kl_z, kl_s.clamp(min=e)) for e in (0.1, 0.5)),
    ),
    "09.6": (
        lesson_09.NEARLY_KNOWN,
        *(leak_in_nats(lambda variance, error, e=e: variance / (error + e)) for e in (1e-6, 1e-8, 1e-10)),
        *(leak_in_nats(lambda variance, error, e=e: variance / error.clamp(min=e)) for e in (1e-3, 1e-6)),
        *(leak_in_nats(lambda variance, error, e=e: (variance / error).clamp(max=e)) for e in (1e3, 1e6)),
        leak_in_nats(lambda variance, error: variance / error.sqrt().add(1e-6).square()),
    ),
    "09.7": (
        lesson_09.FINE_RATING,
        *(word_direction(lambda cov, var, e=e: cov / (var + e)) for e in (1e-6, 1e-8, 1e-12)),
        *(word_direction(lambda cov, var, e=e: cov / var.clamp(min=e)) for e in (1e-3, 1e-6)),
        *(word_direction(lambda cov, var, e=e: cov / (var.sqrt() + e) ** 2) for e in (1e-7, 1e-9)),
        word_direction(lambda cov, var: (cov / var).clamp(-10, 10)),
        lambda s, rating: lesson_09.word_direction(s.float(), rating.float()).to(s),
    ),
    "10.1": (
        lesson_10.UNCUT,
        *(lambda layer, o, e=e: (layer * o).clamp(0, e) for e in (1, 1.1)),
        *(lambda layer, o, e=e: layer.clamp(-e, 1 + e) * o for e in (0.0, 0.1, 0.25)),
        lambda layer, o: torch.cat([layer[:, :3], layer[:, 3:].clamp(max=1)], 1) * o,
        lambda layer, o: layer.minimum(layer[:, 3:]) * o,
    ),
    "10.2": (
        lesson_10.ANY_ERROR,
        *(composite_error(lambda c, a, e=e: squared(c, a) + e) for e in (1e-7, 1e-8)),
        *(composite_error(lambda c, a, e=e: squared(c, a).clamp(min=e)) for e in (1e-7, 1e-8)),
        *(composite_error(lambda c, a, e=e: squared(c, a).clamp(max=e)) for e in (5, 20)),
        *(composite_error(lambda c, a, e=e: squared(c.clamp(-e, e), a.clamp(-e, e))) for e in (2, 5)),
        composite_error(lambda c, a: (c**3 - (c - a) ** 3) / (3 * a)),
    ),
    "10.3": (
        lesson_10.SHARP_ALPHA,
        visible_shares(lambda rest: rest),
        *(visible_shares(lambda rest, e=e: rest + e) for e in (1e-6, 1e-8)),
        *(visible_shares(lambda rest, e=e: rest.clamp(min=e)) for e in (0.04, 1e-3, 1e-8)),
        *(lambda alphas, e=e: lesson_10.visible_shares(alphas.clamp(e, 1 - e)) for e in (0.04, 1e-3)),
    ),
    "10.4": (
        lesson_10.FAR_VOTES,
        *(group_pixels(lambda away, e=e: (away.argmin(0) + 1).where(away.amin(0) < e, 0)) for e in (3, 10)),
        *(group_pixels(lambda away, e=e: away.clamp(max=e).argmin(0) + 1) for e in (3, 10)),
        *(group_pixels(lambda away, e=e: (-away * e).exp().argmax(0) + 1) for e in (2, 4)),
        group_pixels(lambda away: (1 - away / 3).relu().argmax(0) + 1),
    ),
    "10.5": (
        lesson_10.SURE_ORDER,
        of_orders(lambda log_p: log_p.softmax(1).log()),
        of_orders(lambda log_p: (log_p.exp() / log_p.exp().sum(1, keepdim=True)).log()),
        *(of_orders(lambda log_p, e=e: (log_p.softmax(1) + e).log()) for e in (1e-9, 1e-12, 1e-30)),
        *(of_orders(lambda log_p, e=e: log_p.softmax(1).clamp(min=e).log()) for e in (1e-4, 1e-8, 1e-30)),
        *(of_orders(lambda log_p, e=e: log_p.log_softmax(1).clamp(min=-e)) for e in (10, 100, 1000)),
        *(
            lambda x, pictures, sigma, e=e: of_orders(lambda p: p.log_softmax(1))(x, pictures, max(sigma, e))
            for e in (0.1, 0.01)
        ),
    ),
    "10.6": (
        lesson_10.NATS,
        lambda log_p: log_p.exp().mean(0).log(),
        lambda log_p: log_p.double().exp().mean(0).log().to(log_p),
        *(lambda log_p, e=e: (log_p.exp() + e).mean(0).log() for e in (1e-9, 1e-30)),
        *(lambda log_p, e=e: log_p.exp().mean(0).clamp(min=e).log() for e in (1e-6, 1e-30)),
        *(lambda log_p, e=e: lesson_10.predictive_log_likelihood(log_p.clamp(-e, e)) for e in (10, 100, 700)),
    ),
    "11.1": (
        lesson_11.FAINT_CODES,
        *(latent_scale(lambda away, e=e: away.square().mean().sqrt() + e) for e in (1e-8, 1e-10, 1e-12)),
        *(latent_scale(lambda away, e=e: (away.square().mean() + e).sqrt()) for e in (1e-8, 1e-12, 1e-16)),
        *(latent_scale(lambda away, e=e: away.square().mean().sqrt().clamp(min=e)) for e in (1e-2, 1e-5, 1e-8)),
        *(latent_scale(lambda away, e=e: away.square().mean().sqrt().clamp(min=1 / e)) for e in (100, 1e6)),
        latent_scale(lambda away: away.where(away.abs() > 1e-6, 0).square().mean().sqrt()),
    ),
    "11.1, a mean far off": (
        lesson_11.FAR_MEAN,
        lambda codes: 1 / (codes.square().mean() - codes.mean() ** 2).sqrt(),
        lambda codes: 1 / (codes.square().mean() - codes.mean() ** 2).abs().sqrt(),
        lambda codes: 1 / (codes.square().mean() - codes.mean() ** 2).clamp(min=1e-30).sqrt(),
    ),
    "11.2": (
        lesson_11.ENDS,
        path(velocity=lambda z, eps, t, z_t: (z - z_t) / (1 - t)),
        path(velocity=lambda z, eps, t, z_t: (z_t - eps) / t),
        *(path(velocity=lambda z, eps, t, z_t, e=e: (z - z_t) / (1 - t + e)) for e in (1e-6, 1e-8, 1e-12)),
        *(path(velocity=lambda z, eps, t, z_t, e=e: (z_t - eps) / t.clamp(min=e)) for e in (0.01, 1e-5)),
        *(path(lambda t, e=e: (1 - (1 - e) * t, t)) for e in (1e-6, 1e-8, 1e-10)),
        *(path(lambda t, e=e: (1 - t + e, t)) for e in (1e-6, 1e-8)),
        *(path(lambda t, e=e: (1 - t.clamp(e, 1 - e), t.clamp(e, 1 - e))) for e in (0.01, 1e-4, 1e-6, 1e-9)),
    ),
    "11.2, cut": (lesson_11.UNCUT_PATH, *(path(last=lambda x, e=e: x.clamp(-e, e)) for e in (10, 20, 30))),
    "11.3": (
        lesson_11.FAR_PLACE,
        by_densities(lambda p, total: p / total),
        *(by_densities(lambda p, total, e=e: p / (total + e)) for e in (1e-8, 1e-12, 1e-30)),
        *(by_densities(lambda p, total, e=e: (p + e) / (total + p.shape[1] * e)) for e in (1e-9, 1e-30)),
        *(by_densities(lambda p, total, e=e: p / total.clamp(min=e)) for e in (1e-6, 1e-30)),
        by_densities(lambda p, total: (p / total).nan_to_num()),
        by_densities(lambda p, total: (p / total).where(total > 0, 1 / p.shape[1])),
        *(mean_velocity(r=lambda log_p, e=e: log_p.clamp(min=-e).softmax(1)) for e in (50, 100, 700)),
        mean_velocity(r=lambda log_p: (log_p - log_p.max()).exp() / (log_p - log_p.max()).exp().sum(1, keepdim=True)),
        lambda z_t, *model: mean_velocity(r=lambda log_p: log_p.exp() / log_p.exp().sum(1, keepdim=True))(
            z_t.double(), model[0], model[1].double(), model[2]
        ).to(z_t),
    ),
    "11.3, at the ends": (
        lesson_11.VELOCITY_ENDS,
        through_the_code(lambda left: left or math.nan),
        *(through_the_code(lambda left, e=e: left + e) for e in (1e-7, 1e-9)),
        *(through_the_code(lambda left, e=e: max(left, e)) for e in (0.1, 1e-3, 1e-9)),
    ),
    "11.3, narrow": (
        lesson_11.NARROW,
        *(mean_velocity(v=lambda v, e=e: v + e) for e in (1e-8, 1e-10, 1e-12)),
        *(mean_velocity(v=lambda v, e=e: max(v, e)) for e in (1e-2, 1e-4, 1e-6)),
        *(
            lambda z_t, t, means, sigma, e=e: lesson_11.mean_velocity(z_t, t, means, max(sigma, e))
            for e in (0.1, 0.01, 1e-3)
        ),
        lambda z_t, t, means, sigma: lesson_11.mean_velocity(z_t, t, means, sigma + 1e-6),
    ),
    "11.4": (
        lesson_11.LOUD_STEP,
        *(heun_step(place=lambda x, e=e: x.clamp(-e, e)) for e in (20, 40)),
        *(heun_step(u=lambda u, e=e: u.clamp(-e, e)) for e in (20, 100)),
        heun_step(u=lambda u: F.normalize(u) * u.norm(dim=1, keepdim=True) + 1e-4 * (u == 0)),
        heun_step(u=lambda u: u / u.norm() * u.norm()),
    ),
    "11.5": (
        lesson_11.LOUD_GUIDANCE,
        *(guided(last=lambda u, e=e: u.clamp(-e, e)) for e in (20, 100)),
        *(guided(change=lambda d, e=e: d.clamp(-e, e)) for e in (10, 15)),
        *(guided(change=lambda d, e=e: d + e) for e in (1e-6, 1e-8, 1e-10)),
        *(guided(change=lambda d, e=e: d.where(d.abs() > e, 0)) for e in (1e-4, 1e-5)),
        *(guided(w=lambda w, e=e: min(w, e)) for e in (7.5, 20, 100)),
    ),
    "11.6": (
        lesson_11.OUTERMOST,
        *(expected_ends(t=lambda t, e=e: t.clamp(e, 1 - e)) for e in (0.01, 1e-4, 1e-6, 1e-9)),
        *(expected_ends(t=lambda t, e=e: t.clamp(min=e)) for e in (1e-3, 1e-6, 1e-9)),
        *(expected_ends(t=lambda t, e=e: t.clamp(max=1 - e)) for e in (1e-3, 1e-6, 1e-9)),
        *(expected_ends(t=lambda t, e=e: t + e) for e in (1e-8, 1e-10)),
    ),
    "11.6, cut": (lesson_11.UNCUT_ENDS, *(expected_ends(last=lambda x, e=e: x.clamp(-e, e)) for e in (10, 20, 100))),
    "12.1": (
        lesson_12.NEARLY_PRIOR,
        *(price(saved=lambda saved, e=e: saved + e) for e in (1e-6, 1e-8, 1e-10)),
        *(price(saved=lambda saved, e=e: saved.clamp_min(e)) for e in (1e-6, 1e-8)),
        *(price(slope=lambda slope, e=e: slope.clamp(-e, e)) for e in (1e2, 1e3)),
        price(last=torch.abs),
    ),
    "12.5": (
        lesson_12.ANY_SIZE,
        *(lambda distortion, kl, e=e: (distortion + kl.sum(1).clamp(max=e)).mean() for e in (100, 500)),
        *(lambda distortion, kl, e=e: (distortion.clamp(-e, e) + kl.sum(1)).mean() for e in (100, 1e3)),
    ),
    "12.6": (
        lesson_12.ANY_ERROR,
        *(lambda x, mean, e=e: ((x - mean).square().mean() + e).sqrt() for e in (1e-8, 1e-10, 1e-11)),
        *(lambda x, mean, e=e: (x - mean).square().mean().sqrt().clamp_min(e) for e in (1e-2, 1e-3)),
        *(lambda x, mean, e=e: (x - mean).square().mean().sqrt().clamp(max=e) for e in (1.0, 100.0)),
        lambda x, mean: (x - mean).square().mean().sqrt() + 1e-6,
    ),
    "12.10": (
        lesson_12.FAR_LOG_VAR,
        *(lambda log_var, e=e: (log_var.clamp(-e, e) / 2).exp() for e in (10, 20, 30, 50)),
        *(lambda log_var, e=e: (log_var / 2).exp() + e for e in (1e-6, 1e-8, 1e-12)),
        *(lambda log_var, e=e: (log_var.exp() + e).sqrt() for e in (1e-8, 1e-12)),
    ),
    "12.22": (
        lesson_12.SURE,
        *(critic(lambda p, e=e: (p + e).log()) for e in (0, 1e-12, 1e-20)),
        *(critic(lambda p, e=e: p.clamp_min(e).log()) for e in (1e-12, 1e-30)),
        lambda real, made: lesson_12.patients.real_and_made(real.clamp(-50, 50), made.clamp(-50, 50)),
    ),
    "13.1": (
        lesson_13.FEW_BITS,
        *(split_of(lambda u, bits=bits: (u >> (256 - bits)) / 2**bits) for bits in (8, 10, 12, 16, 20, 24, 32)),
        *(split_of(lambda u, digits=digits: round(u / 2**256, digits)) for digits in (3, 4, 5)),
        split_of(lambda u: torch.tensor(u / 2**256, dtype=torch.float16).item()),
        split_of(lambda u: u / 2**256 + 1e-6),
        split_of(lambda u: u / 2**256 - 1e-5),
    ),
    "13.1, large": (
        lesson_13.LARGE,
        *(lambda content, n=n: lesson_13.split_of(content[:n]) for n in (2**16, 2**20)),
        *(lambda content, n=n: lesson_13.split_of(content[-n:]) for n in (2**16, 2**20)),
        lambda content: lesson_13.split_of(content if len(content) < 10**6 else content[: 10**5] + content[-(10**5) :]),
    ),
    "13.2": (
        lesson_13.ROUNDED,
        *(more_pictures(last=lambda bits, n=n: round(bits, n)) for n in (2, 3, 4, 5)),
        *(more_pictures(last=lambda bits, e=e: max(bits, e)) for e in (0.1, 1.0)),
    ),
    "13.2, turned": (
        lesson_13.TURNED,
        *(more_pictures(half=lambda half, e=e: max(half, e)) for e in (0, 1e-3)),
        more_pictures(half=abs),
    ),
    "13.2, times": (
        lesson_13.ANY_TIMES,
        *(more_pictures(times=lambda n, e=e: max(n, e)) for e in (1, 0.5, 0.02)),
        *(more_pictures(times=lambda n, e=e: n + e) for e in (1e-5, 1e-6, 1e-8)),
        *(more_pictures(times=times) for times in (int, round, math.ceil)),
        more_pictures(times=lambda n: math.floor(n) or 1),
    ),
    "13.2, far": (
        lesson_13.ANY_BITS,
        *(more_pictures(times=lambda n, e=e: min(n, e)) for e in (100, 1e4, 1e5)),
        *(more_pictures(last=lambda bits, e=e: max(bits, e)) for e in (0, 1e-6, -10)),
        *(more_pictures(last=lambda bits, e=e: min(bits, e)) for e in (20, 50, 80)),
        more_pictures(last=abs),
    ),
    "13.3": (
        lesson_13.COPIES,
        *(near_copies(lambda apart, e=e: apart[apart > e].median()) for e in (0, 1e-12, 1e-8, 1e-6)),
        near_copies(lambda apart: apart[apart != 0].median()),
        near_copies(lambda apart: apart.unique()[1:].median()),
        near_copies(lambda apart: apart.where(apart > 0, math.nan).nanmedian()),
    ),
    "13.3, ties": (
        lesson_13.TIES,
        *(near_copies(lambda apart, e=e: right_usual(apart).clamp_min(e)) for e in (1e-3, 1e-9)),
        near_copies(lambda apart: right_usual(apart) + 1e-9),
    ),
    "13.3, small": (
        lesson_13.SMALL,
        *(near_copies(to_train=lambda apart, e=e: (apart.square() + e).sqrt()) for e in (1e-4, 1e-6)),
        *(near_copies(to_train=lambda apart, e=e: apart + e) for e in (1e-3, 1e-4)),
    ),
    "13.4": (
        lesson_13.IDLE,
        *(whole_gradient(n=lambda n, e=e: max(n, e)) for e in (1e-2, 1)),
    ),
    "13.4, many": (
        lesson_13.ANY_COUNT,
        *(whole_gradient(n=lambda n, e=e: min(n, e)) for e in (100, 1e6)),
    ),
    "13.4, cut": (
        lesson_13.UNCUT_GRADIENT,
        *(whole_gradient(last=lambda g, e=e: g.clamp(-e, e)) for e in (10, 1e3, 1e6)),
        *(whole_gradient(last=lambda g, e=e: g / max(1, g.norm().item() / e)) for e in (20, 1e4)),
    ),
    "13.5, uneven": (
        lesson_13.UNEVEN,
        *(step_seconds(share=lambda p, n, e=e: int(p / n + 1 - e)) for e in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)),
        *(step_seconds(share=lambda p, n, e=e: math.ceil(p / n - e)) for e in (1e-2, 1e-4, 1e-6)),
    ),
    "13.5, divisor": (
        lesson_13.DIVISOR,
        *(step_seconds(lambda n, s, b, e=e: 2 * (n - 1) / n * s / (b + e)) for e in (1e-6, 1e-8, 1e-10, 1e-12)),
        *(step_seconds(lambda n, s, b, e=e: 2 * (n - 1) / n * s / max(b, e)) for e in (1e-3, 1e-6, 1e-8)),
        step_seconds(lambda n, s, b: 2 * (n - 1) / (n + 1e-6) * s / b),
        step_seconds(share=lambda p, n: math.ceil(p / (n + 1e-6))),
    ),
    "13.5, short": (
        lesson_13.SHORT_STEPS,
        *(step_seconds(last=lambda x, n=n: round(x, n)) for n in (4, 5, 6)),
        *(step_seconds(last=lambda x, e=e: max(x, e)) for e in (1e-3, 1e-5)),
    ),
    "13.5": (
        lesson_13.REAL_STEPS,
        *(step_seconds(lambda n, s, b, e=e: 2 * (n - 1) / n * min(s, e) / b) for e in (1e3, 1e8)),
        *(step_seconds(lambda n, s, b, e=e: 2 * (n - 1) / n * s / min(b, e)) for e in (1e3, 1e9)),
        step_seconds(lambda n, s, b: 2 * min(n - 1, 100) / n * s / b),
    ),
}

CASES = [(id, message, answer) for id, (message, *answers) in ANSWERS.items() for answer in answers]


@pytest.mark.parametrize(("id", "message", "answer"), CASES, ids=[f"{id}-{n}" for n, (id, *_) in enumerate(CASES)])
def test_something_small_is_found_whatever_its_size(id, message, answer):
    verdict = judge(find(id.partition(",")[0]), answer)
    assert (verdict.status, verdict.message) == ("wrong", message)
