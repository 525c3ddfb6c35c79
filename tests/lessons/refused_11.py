"""Wrong answers to the exercises of notebook 11, written from the statements alone: each has to be refused.

Those of TOLD are misconceptions that a message names, in other words than the lesson's: answer, a piece of the message.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Normal


def scaled(of=lambda codes: codes, spread=lambda f: f.std(), last=lambda spread: 1 / spread):
    """latent_scale with one of its steps replaced."""
    return lambda codes: last(spread(of(codes)))


def one_pass(codes):
    """A small difference of large numbers."""
    return 1 / (codes.square().mean() - codes.mean() ** 2).sqrt()


def scaled_in_place(codes):
    codes -= codes.mean()
    return 1 / codes.square().mean().sqrt()


def some_of_the_codes(n):
    return lambda codes: 1 / codes.flatten()[:n].std()


def placed(
    noise=lambda t: 1 - t,
    code=lambda t: t,
    velocity=lambda z, eps, t, z_t: z - eps,
    time=lambda t: t[:, None],
    last=lambda z_t, velocity: (z_t, velocity),
):
    """path with one of its steps replaced."""

    def answer(z, eps, t):
        t = time(t)
        z_t = noise(t) * eps + code(t) * z
        return last(z_t, velocity(z, eps, t, z_t))

    return answer


def noise_used_up(z, eps, t):
    t = t[:, None]
    return eps.mul_(1 - t).add_(t * z), z - eps


def coded_in_place(z, eps, t):
    velocity = z - eps
    z.mul_(t[:, None]).add_((1 - t[:, None]) * eps)
    return z, velocity


@torch.inference_mode()
def placed_in_inference_mode(z, eps, t):
    return torch.lerp(eps, z, t[:, None]), z - eps


def kept_from_the_ends(e):
    def answer(z, eps, t):
        return placed()(z, eps, t.clamp(e, 1 - e))

    return answer


def velocities(
    v=lambda t, s: (1 - t) ** 2 + t**2 * s**2,
    centre=lambda t, m: t * m,
    weigh=lambda log_p: log_p.softmax(1),
    exponent=lambda away, v: -away.square() / (2 * v),
    gain=lambda t, s, v: (t * s**2 - (1 - t)) / v,
    start=lambda t, m: m,
    pool=lambda each: each.sum(1),
):
    """mean_velocity with one of its steps replaced."""

    def answer(z_t, t, means, sigma):
        variance, away = v(t, sigma), z_t[:, None] - centre(t, means)
        r = weigh(exponent(away, variance))
        return pool(r * (start(t, means) + gain(t, sigma, variance) * away))

    return answer


def hard(log_p):
    return (log_p == log_p.amax(1, keepdim=True)).to(log_p)


def by_ratio(floor=lambda total: total):
    def weigh(log_p):
        p = log_p.exp()
        return p / floor(p.sum(1, keepdim=True))

    return velocities(weigh=weigh)


def shifted_for_all(log_p):
    """One place's largest log is another's underflow."""
    p = (log_p - log_p.max()).exp()
    return p / p.sum(1, keepdim=True)


def from_expected_code(z_t, t, means, sigma):
    """Zero over zero at t = 1."""
    z = velocities(gain=lambda t, s, v: t * s**2 / v)(z_t, t, means, sigma)
    return (z - z_t) / (1 - t)


def from_expected_noise(z_t, t, means, sigma):
    eps = velocities(start=lambda t, m: 0 * m, gain=lambda t, s, v: (1 - t) / v)(z_t, t, means, sigma)
    return (z_t - eps) / t


def in_single_precision(z_t, t, means, sigma):
    return velocities()(z_t.float(), t, means.float(), sigma).to(z_t)


def squeezed(z_t, t, means, sigma):
    return velocities()(z_t, t, means, sigma).squeeze()


def velocity_in_place(z_t, t, means, sigma):
    means *= t
    return velocities(centre=lambda t, m: m, start=lambda t, m: m / t)(z_t, t, means, sigma)


def stepped(
    place=lambda z, u, h: z + h * u,
    time=lambda t, h: t + h,
    mix=lambda u, w: (u + w) / 2,
    last=lambda z, h, u: z + h * u,
):
    """heun_step with one of its steps replaced."""

    def answer(velocity, z, t, h):
        u = velocity(z, t)
        w = velocity(place(z, u, h), time(t, h))
        return last(z, h, mix(u, w))

    return answer


def stepped_in_place(velocity, z, t, h):
    u = velocity(z, t)
    z += h * u
    return z + h * (velocity(z, t + h) - u) / 2


def euler_at_the_end(velocity, z, t, h):
    """As samplers do whose velocity is not known at the last time."""
    u = velocity(z, t)
    return z + h * u if t + h >= 1 else stepped()(velocity, z, t, h)


def euler_at_the_beginning(velocity, z, t, h):
    return stepped()(velocity, z, t, h) if t > 0 else z + h * velocity(z, t)


def stepped_with_a_time_for_each(velocity, z, t, h):
    def u(z, t):
        return velocity(z, torch.full((len(z),), float(t)))

    return stepped()(u, z, t, h)


def third_order(velocity, z, t, h):
    a = velocity(z, t)
    b = velocity(z + h / 2 * a, t + h / 2)
    c = velocity(z - h * a + 2 * h * b, t + h)
    return z + h * (a + 4 * b + c) / 6


def leapfrog(velocity, z, t, h):
    return z + 2 * h * velocity(z, t + h / 2)


def stepped_row_by_row(velocity, z, t, h):
    """velocity gets (D,), for which the notebook's has no axis."""
    return torch.stack([stepped()(velocity, one, t, h) for one in z])


def first_velocity_used_up(velocity, z, t, h):
    u = velocity(z, t)
    end = z + h * u
    u += velocity(end, t + h)
    return z + h * u / 2


def first_way_in_place(velocity, z, t, h):
    way = velocity(z, t).mul_(h)
    return z + (way + h * velocity(z + way, t + h)) / 2


def mixed(mix):
    """Something made of what is told and what is not."""
    return lambda velocity, z, t, tokens, w: mix(velocity(z, t, tokens), velocity(z, t, None), w)


def guided_in_place(velocity, z, t, tokens, w):
    untold = velocity(z, t, None)
    change = velocity(z, t, tokens) - untold
    z.copy_(untold + w * change)
    return z


def told_used_up(velocity, z, t, tokens, w):
    told, untold = velocity(z, t, tokens), velocity(z, t, None)
    told -= untold
    return untold + w * told


def untold_used_up(velocity, z, t, tokens, w):
    untold = velocity(z, t, None)
    change = velocity(z, t, tokens) - untold
    untold += w * change
    return untold


def guided_row_by_row(velocity, z, t, tokens, w):
    return torch.stack([mixed(torch.lerp)(velocity, *row, w) for row in zip(z, [t] * len(z), tokens, strict=True)])


def tokens_blotted_out(velocity, z, t, tokens, w):
    told = velocity(z, t, tokens)
    tokens.zero_()
    untold = velocity(z, t, None)
    return untold + w * (told - untold)


def ended(
    code=lambda z_t, t, u: z_t + (1 - t) * u,
    noise=lambda z_t, t, u: z_t - t * u,
    time=lambda t: t[:, None],
    last=lambda z, eps: (z, eps),
):
    """expected_ends with one of its steps replaced."""

    def answer(z_t, t, u):
        t = time(t)
        return last(code(z_t, t, u), noise(z_t, t, u))

    return answer


def ended_in_place(z_t, t, u):
    eps = z_t - t[:, None] * u
    z_t += (1 - t[:, None]) * u
    return z_t, eps


def velocity_used_up(z_t, t, u):
    u *= t[:, None]
    return z_t - u + u / t[:, None], z_t - u


def code_from_noise(z_t, t, u):
    """Zero over zero at t = 0."""
    t = t[:, None]
    eps = z_t - t * u
    return (z_t - (1 - t) * eps) / t, eps


def noise_from_code(z_t, t, u):
    """Zero over zero at t = 1."""
    t = t[:, None]
    z = z_t + (1 - t) * u
    return z, (z_t - t * z) / (1 - t)


TOLD = {
    "11.1": [
        (scaled(last=lambda s: s), "it is the standard deviation itself"),
        (lambda codes: codes.numpy().std(), "it is the standard deviation itself"),
        (lambda codes: 1 / float(codes.var(correction=0)), "one over the variance"),
        (lambda codes: 1 / codes.numpy().var(), "one over the variance"),
        (scaled(spread=lambda f: f.pow(2).mean().pow(0.5)), "the mean is forgotten"),
        (lambda codes: codes.numel() ** 0.5 / codes.norm(), "the mean is forgotten"),
        (scaled(spread=lambda f: f.std(dim=0).mean()), "every dimension's standard deviation"),
        (scaled(spread=lambda f: f.var(0, correction=0).mean().sqrt()), "deviations are taken from its own mean"),
        (scaled(spread=lambda f: f.abs().amax()), "one over the largest size"),
        (scaled(spread=lambda f: torch.std(f.mean(dim=0))), "the dimensions' means"),
        (scaled(spread=lambda f: torch.stack([one.std() for one in f]).mean()), "each image's standard deviation"),
        (scaled(spread=lambda f: f.std(0)), "one number for each dimension"),
        (lambda codes: codes * (1 / codes.std()), "it is the codes, scaled"),
        (one_pass, "mean square minus a squared mean"),
        (scaled(spread=lambda f: (f.pow(2).mean() - f.mean().pow(2)).clamp(min=0).sqrt()), "small difference of large"),
        (scaled(spread=lambda f: f.std() + 1e-8), "add nothing"),
        (scaled(spread=lambda f: f.std().clamp(max=1e3)), "no largest value"),
        (scaled(of=lambda codes: codes[:100]), "some of the codes alone"),
        (scaled(of=lambda codes: codes[:1000]), "some of the codes alone"),
        (scaled(of=lambda codes: codes.flatten(1)[:, :48]), "some of the codes alone"),
        (some_of_the_codes(256), "some of the codes alone"),
    ],
    "11.2": [
        (placed(lambda t: t, lambda t: 1 - t, lambda z, eps, t, z_t: eps - z), "time runs the other way"),
        (placed(lambda t: t, lambda t: 1 - t), "exchanged in z_t"),
        (placed(velocity=lambda z, eps, t, z_t: -z + eps), "wrong sign"),
        (placed(velocity=lambda z, eps, t, z_t: -(z_t - z)), "z - z_t"),
        (placed(velocity=lambda z, eps, t, z_t: t * (z - eps)), "t times the velocity"),
        (placed(velocity=lambda z, eps, t, z_t: (1 - t) * (z - eps)), "1 - t times the velocity"),
        (placed(velocity=lambda z, eps, t, z_t: (z - z_t) / (1 - t)), "off at the ends"),
        (placed(velocity=lambda z, eps, t, z_t: (z_t - eps) / t), "off at the ends"),
        (placed(velocity=lambda z, eps, t, z_t: (z - z_t) / (1 - t + 1e-6)), "off at the ends"),
        (placed(noise=lambda t: 1 - (1 - 1e-6) * t), "off at the ends"),
        (kept_from_the_ends(1e-6), "off at the ends"),
        (placed(time=lambda t: t), "where N = D"),
        (placed(time=lambda t: t[0]), "first row's time"),
        (placed(lambda t: torch.sqrt(1 - t), torch.sqrt), "the roots of 1 - t and t"),
        (placed(last=lambda z_t, velocity: (velocity, z_t)), "the two are exchanged"),
        (placed(last=lambda z_t, velocity: z_t), "place alone"),
        (noise_used_up, "eps is changed in place"),
        (placed(last=lambda z_t, velocity: (z_t.clamp(-30, 30), velocity)), "cuts something off"),
        (placed(last=lambda z_t, velocity: (z_t, velocity.clamp(-9, 9))), "cuts something off"),
        (coded_in_place, "changes its argument `z`"),
        (placed(last=lambda z_t, velocity: (z_t.clamp(-1e3, 1e3), velocity)), "cuts something off"),
        (placed_in_inference_mode, "inference_mode"),
    ],
    "11.3": [
        (velocities(weigh=lambda log_p: 0 * log_p + 1 / log_p.shape[1]), "the same weight, 1/K"),
        (velocities(weigh=hard), "likeliest Gaussian alone"),
        (velocities(gain=lambda t, s, v: 0.0), "second term is missing"),
        (velocities(gain=lambda t, s, v: (1 - t - t * s**2) / v), "second term has the wrong sign"),
        (velocities(v=lambda t, s: 1 - t + t * s**2), "where their squares belong"),
        (velocities(v=lambda t, s: (1 - t) ** 2 + t**2 * s), "v has sigma where"),
        (velocities(gain=lambda t, s, v: t * s**2 / v), "this is E[z | z_t]"),
        (velocities(start=lambda t, m: 0 * m, gain=lambda t, s, v: (1 - t) / v), "this is E[eps | z_t]"),
        (velocities(exponent=lambda away, v: -(away**2) / (2 * v**0.5)), "divide by the standard deviation"),
        (velocities(exponent=lambda away, v: Normal(0, v).log_prob(away)), "2 v^2"),
        (velocities(weigh=lambda log_p: log_p.softmax(0)), "axis 0"),
        (velocities(weigh=torch.exp), "not normalised"),
        (velocities(centre=lambda t, m: m), "compared with m_k"),
        (by_ratio(), "zero over zero"),
        (by_ratio(lambda total: total + 1e-12), "zero over zero"),
        (by_ratio(lambda total: total.clamp(min=1e-30)), "zero over zero"),
        (velocities(weigh=shifted_for_all), "of each place for itself"),
        (from_expected_code, "at t = 0 or at t = 1"),
        (from_expected_noise, "at t = 0 or at t = 1"),
        (velocities(v=lambda t, s: (1 - t) ** 2 + t**2 * s**2 + 1e-8), "sigma is tiny"),
        (velocities(v=lambda t, s: max((1 - t) ** 2 + t**2 * s**2, 1e-4)), "sigma is tiny"),
        (velocities(v=lambda t, s: max((1 - t) ** 2 + t**2 * s**2, 1e-8)), "sigma is tiny"),
        (lambda z_t, t, means, sigma: velocities()(z_t, t, means, max(sigma, 5e-5)), "sigma is tiny"),
        (lambda z_t, t, means, sigma: velocities()(z_t, t, means, min(sigma, 5.0)), "cuts something off"),
        (lambda z_t, t, means, sigma: velocities()(z_t.clamp(-100, 100), t, means, sigma), "cuts something off"),
        (squeezed, "one mean or one place"),
    ],
    "11.4": [
        (lambda velocity, z, t, h: z + velocity(z, t) * h, "this is Euler's step"),
        (lambda velocity, z, t, h: z + h * velocity(z + velocity(z, t) * h * 0.5, t + 0.5 * h), "midpoint method"),
        (stepped(time=lambda t, h: t), "asked for at the time t"),
        (stepped(place=lambda z, u, h: z), "asked for at z"),
        (stepped(mix=torch.add), "not halved"),
        (stepped(last=lambda z, h, u: z + h * h * u), "h is squared"),
        (stepped(mix=lambda u, w: u + (u + w) / 2), "begins where Euler's ended"),
        (stepped(mix=lambda u, w: w), "only the second velocity"),
        (stepped(last=lambda z, h, u: h * u), "the way alone"),
        (stepped(last=lambda z, h, u: z + u), "h is missing"),
        (stepped(place=lambda z, u, h: z + h * u / 2, time=lambda t, h: t + h / 2), "the mean with the first"),
        (euler_at_the_end, "first step or the last"),
        (euler_at_the_beginning, "first step or the last"),
        (stepped(time=lambda t, h: t + abs(h)), "h is negative"),
        (stepped_with_a_time_for_each, "takes one number for t"),
        (stepped_in_place, "changes its argument `z`"),
        (stepped_row_by_row, "takes places (N, D)"),
        (first_velocity_used_up, "what velocity returned"),
        (first_way_in_place, "what velocity returned"),
        (stepped(last=lambda z, h, u: (z + h * u).clamp(-100, 100)), "cuts something off"),
    ],
    "11.5": [
        (mixed(lambda a, b, w: (1 - w) * a + w * b), "told and untold are exchanged"),
        (mixed(lambda a, b, w: a + w * (a - b)), "Ho & Salimans"),
        (mixed(lambda a, b, w: (1 + w) * a - w * b), "Ho & Salimans"),
        (mixed(lambda a, b, w: w * a), "drives faster"),
        (mixed(lambda a, b, w: w * a - w * b), "w times the difference alone"),
        (mixed(lambda a, b, w: 0.5 * a + 0.5 * b), "the mean of both"),
        (mixed(lambda a, b, w: torch.lerp(b, a, min(w, 1.0))), "kept below 1"),
        (lambda velocity, z, t, tokens, w: velocity(z, t, tokens), "w has to be used"),
        (lambda velocity, z, t, tokens, w: velocity(z, t, None), "velocity without a sentence"),
        (mixed(lambda a, b, w: a - w * b), "the weights have to sum to one"),
        (lambda u, z, t, tokens, w: u(z, t, 0 * tokens) * (1 - w) + w * u(z, t, tokens), "empty words"),
        (mixed(lambda a, b, w: (b + w * (a - b)).clamp(-20, 20)), "cuts something off"),
        (mixed(lambda a, b, w: b + w * (a - b).clamp(-10, 10)), "cuts something off"),
        (guided_in_place, "changes its argument `z`"),
        (tokens_blotted_out, "changes its argument `tokens`"),
        (mixed(lambda a, b, w: b + abs(w) * (a - b)), "w is negative"),
        (mixed(lambda a, b, w: b + max(w, 0) * (a - b)), "w is negative"),
        (told_used_up, "what velocity returned"),
        (untold_used_up, "what velocity returned"),
        (guided_row_by_row, "takes places (N, D)"),
    ],
    "11.6": [
        (ended(last=lambda z, eps: (eps, z)), "the two are exchanged"),
        (ended(lambda z_t, t, u: z_t + t * u, lambda z_t, t, u: z_t - (1 - t) * u), "t and 1 - t are exchanged"),
        (ended(lambda z_t, t, u: z_t - (1 - t) * u, lambda z_t, t, u: z_t + t * u), "both signs are flipped"),
        (ended(lambda z_t, t, u: z_t + u), "the whole velocity is added to z_t"),
        (ended(noise=lambda z_t, t, u: z_t - u), "the whole velocity is taken off"),
        (ended(lambda z_t, t, u: z_t - (t - 1) * u / (1 - t) ** 2), "divided by 1 - t"),
        (ended(noise=lambda z_t, t, u: z_t + t * u), "the noise's sign"),
        (ended(time=lambda t: t), "where N = D"),
        (ended(time=lambda t: t.mean()), "the mean time"),
        (ended(lambda z_t, t, u: (z_t - (1 - t) * u) / t, lambda z_t, t, u: u + 0), "u is taken for the noise"),
        (code_from_noise, "off at t = 0 or t = 1"),
        (noise_from_code, "off at t = 0 or t = 1"),
        (ended(time=lambda t: t[:, None].clamp(1e-5, 1 - 1e-5)), "off at t = 0 or t = 1"),
        (ended(last=lambda z, eps: (z.clamp(-20, 20), eps)), "cuts something off"),
        (ended_in_place, "changes its argument `z_t`"),
        (velocity_used_up, "changes its argument `u`"),
    ],
}

REFUSED = {
    "11.1": [
        scaled_in_place,
        scaled(spread=lambda f: f.std(unbiased=True) ** 3),
        scaled(spread=lambda f: f.std(-1).mean()),
        scaled(spread=lambda f: f.std(-1).amax()),
        scaled(spread=lambda f: f.std(0).amax()),
        scaled(spread=lambda f: f.std(0).square().sum().sqrt()),
        scaled(spread=lambda f: f.std(0).log().mean().exp()),
        scaled(spread=lambda f: f.std(0).median()),
        scaled(spread=lambda f: f.quantile(0.841) - f.median()),
        scaled(spread=lambda f: (f.quantile(0.75) - f.quantile(0.25)) / 1.349),
        scaled(spread=lambda f: (f - f.median()).square().mean().sqrt()),
        scaled(spread=lambda f: (f - f.mean()).abs().mean() * math.sqrt(math.pi / 2)),
        scaled(spread=lambda f: f.flatten(1).norm(dim=1).mean() / math.sqrt(f[0].numel())),
        scaled(spread=lambda f: f.flatten(1).T.cov().det() ** (1 / (2 * f[0].numel()))),
        scaled(spread=lambda f: torch.linalg.matrix_norm(f.flatten(1), 2)),
        scaled(spread=lambda f: f.std() / math.sqrt(f.numel())),
        scaled(spread=lambda f: (f - f.mean()).square().sum().div(len(f)).sqrt()),
        scaled(spread=lambda f: (f - f.mean()).square().sum().div(f.numel() - f.shape[1]).sqrt()),
        scaled(spread=lambda f: f.half().std().float() * 1.001),
        scaled(of=lambda codes: codes[:1]),
        scaled(of=lambda codes: codes[:, :1]),
        scaled(of=lambda codes: codes[:, 0]),
        scaled(of=lambda codes: codes - codes.mean(0)),
        scaled(of=lambda codes: codes.abs()),
        scaled(of=lambda codes: codes.clamp(-2, 2)),
        scaled(last=lambda s: 1 / (s + 1e-5)),
        scaled(last=lambda s: 1 / s.clamp(min=1e-6)),
        scaled(last=lambda s: s.log()),
        scaled(last=lambda s: (-s).exp()),
        scaled(last=lambda s: 1 - s),
        scaled(last=lambda s: 2 / s),
        scaled(last=lambda s: -1 / s),
        scaled(last=lambda s: (1 / s)[None]),
        scaled(last=lambda s: (1 / s).expand(3)),
        scaled(last=lambda s: round(1 / s.item(), 2)),
        scaled(last=lambda s: f"{1 / s:.5f}"),
        scaled(last=lambda s: (1 / s, s)),
        scaled(last=lambda s: 1 / s if s > 1 else s),
        scaled(last=lambda s: (1 / s).clamp(max=100)),
        lambda codes: F.layer_norm(codes, codes.shape),
        lambda codes: np.full(codes.shape[1], 1 / codes.numpy().std()),
    ],
    "11.2": [
        lambda z, eps, t: placed()(z.sub_(z.mean()), eps, t),
        placed(noise=lambda t: 1 + t),
        placed(noise=lambda t: -t),
        placed(noise=lambda t: (1 - t) ** 2),
        placed(noise=lambda t: 1 - t**2),
        placed(code=lambda t: t**2),
        placed(code=lambda t: t.sqrt()),
        placed(code=lambda t: 1),
        placed(noise=lambda t: 0.1, code=lambda t: 1),
        placed(noise=lambda t: 1 - (1 - 1e-4) * t),
        placed(noise=lambda t: (-t).exp(), code=lambda t: 1 - (-t).exp()),
        placed(noise=lambda t: 1 - 3 * t**2 + 2 * t**3, code=lambda t: 3 * t**2 - 2 * t**3),
        placed(velocity=lambda z, eps, t, z_t: z - 2 * eps),
        placed(velocity=lambda z, eps, t, z_t: (z - eps).abs()),
        placed(velocity=lambda z, eps, t, z_t: (z - eps).norm(dim=1)),
        placed(velocity=lambda z, eps, t, z_t: (z - eps).sum(1)),
        placed(velocity=lambda z, eps, t, z_t: (z - eps).mean(1, keepdim=True)),
        placed(velocity=lambda z, eps, t, z_t: z - (1 - 1e-3) * eps),
        placed(velocity=lambda z, eps, t, z_t: z_t - z_t.mean(0)),
        placed(velocity=lambda z, eps, t, z_t: z - torch.randn_like(z)),
        placed(velocity=lambda z, eps, t, z_t: (z_t - eps) / (t + 1e-4)),
        placed(velocity=lambda z, eps, t, z_t: (z - z_t) / (1 - t).clamp(min=1e-3)),
        placed(velocity=lambda z, eps, t, z_t: (z - eps).clamp(-10, 10)),
        placed(velocity=lambda z, eps, t, z_t: torch.where(t < 1, z - eps, 0)),
        placed(time=lambda t: t[None, :, None]),
        placed(time=lambda t: t.mean()),
        placed(time=lambda t: t[0]),
        placed(time=lambda t: t[-1]),
        placed(time=lambda t: t[:, None].round()),
        placed(time=lambda t: t.sort().values[:, None]),
        placed(time=lambda t: t.flip(0)[:, None]),
        placed(time=lambda t: t[:, None].clamp(0.001, 0.999)),
        placed(time=lambda t: 1 - t[:, None]),
        placed(time=lambda t: 0.5),
        placed(time=lambda t: t[:, None] * 1000),
        placed(last=lambda z_t, velocity: torch.stack([z_t, velocity])),
        placed(last=lambda z_t, velocity: torch.cat([z_t, velocity], 1)),
        placed(last=lambda z_t, velocity: {"z_t": z_t, "velocity": velocity}),
        placed(last=lambda z_t, velocity: (z_t, velocity, 0)),
        placed(last=lambda z_t, velocity: (z_t.double(), velocity.double())),
        placed(last=lambda z_t, velocity: (z_t.float(), velocity.float())),
        placed(last=lambda z_t, velocity: (z_t.numpy(), velocity.numpy())),
        placed(last=lambda z_t, velocity: (z_t.requires_grad_(), velocity)),
        placed(last=lambda z_t, velocity: (z_t, velocity.square().sum(1))),
        placed(last=lambda z_t, velocity: (z_t.clamp(-30, 30), velocity)),
        placed(last=lambda z_t, velocity: (z_t.tanh(), velocity)),
    ],
    "11.3": [
        in_single_precision,
        velocity_in_place,
        velocities(v=lambda t, s: 1.0),
        velocities(v=lambda t, s: s**2),
        velocities(v=lambda t, s: (1 - t) ** 2 + s**2),
        velocities(v=lambda t, s: (1 - t) ** 2 - t**2 * s**2),
        velocities(v=lambda t, s: 1 - t**2 + t**2 * s**2),
        velocities(v=lambda t, s: (1 - t) ** 2 + t**2 * s**2 + 1e-10),
        velocities(v=lambda t, s: (((1 - t) ** 2 + t**2 * s**2) ** 0.5 + 1e-6) ** 2),
        velocities(v=lambda t, s: (1 - t) ** 2 + t**2 * max(s, 0.01) ** 2),
        velocities(v=lambda t, s: max(1 - t, 1e-3) ** 2 + t**2 * s**2),
        velocities(centre=lambda t, m: (1 - t) * m),
        velocities(centre=lambda t, m: 0 * m),
        velocities(centre=lambda t, m: t * m.sort().values),
        velocities(weigh=lambda log_p: log_p.sigmoid()),
        velocities(weigh=lambda log_p: log_p.softmax(1).square()),
        velocities(weigh=lambda log_p: log_p.softmax(1) / log_p.shape[1]),
        velocities(weigh=lambda log_p: log_p / log_p.sum(1, keepdim=True)),
        velocities(weigh=lambda log_p: F.normalize(log_p.exp(), dim=1)),
        velocities(weigh=lambda log_p: (log_p.exp() + 1e-8) / (log_p.exp() + 1e-8).sum(1, keepdim=True)),
        velocities(weigh=lambda log_p: log_p.clamp(min=-50).softmax(1)),
        velocities(weigh=lambda log_p: log_p.softmax(1).nan_to_num() * (log_p.amax(1, keepdim=True) > -700)),
        velocities(weigh=lambda log_p: (log_p / 2).softmax(1)),
        velocities(weigh=lambda log_p: F.gumbel_softmax(log_p, dim=1)),
        velocities(weigh=lambda log_p: F.gumbel_softmax(log_p, hard=True, dim=1)),
        velocities(exponent=lambda away, v: -away.abs() / v),
        velocities(exponent=lambda away, v: 1 / (away.square() + v)),
        velocities(gain=lambda t, s, v: t * s**2 - (1 - t)),
        velocities(gain=lambda t, s, v: (t * s - (1 - t)) / v),
        velocities(gain=lambda t, s, v: (t * s**2 - 1) / v),
        velocities(gain=lambda t, s, v: (s**2 - 1) / v),
        velocities(gain=lambda t, s, v: ((1 - t) * s**2 - t) / v),
        velocities(gain=lambda t, s, v: -1 / v),
        velocities(gain=lambda t, s, v: t * s**2 - (1 - t) / v),
        velocities(start=lambda t, m: -m),
        velocities(start=lambda t, m: m - m.mean()),
        velocities(start=lambda t, m: (1 - t) * m),
        velocities(pool=lambda each: each.sum()),
        velocities(pool=lambda each: each.sum(1, keepdim=True)),
        velocities(pool=lambda each: each.sum(1).double()),
        velocities(pool=lambda each: each.sum(1).float()),
        velocities(pool=lambda each: each.sum(1).tolist()),
        velocities(pool=lambda each: each.sum(1).numpy()),
        velocities(pool=lambda each: each.sum(1).requires_grad_()),
        velocities(pool=lambda each: each.amax(1)),
        velocities(pool=lambda each: each.sum(1).clamp(-20, 20)),
        lambda z_t, t, means, sigma: -z_t,
        lambda z_t, t, means, sigma: means[(z_t[:, None] - means).abs().argmin(1)] - z_t,
        lambda z_t, t, means, sigma: means.mean() + (t * (sigma**2 + means.var()) - (1 - t)) * (z_t - t * means.mean()),
        lambda z_t, t, means, sigma: means[torch.randint(len(means), z_t.shape)] - torch.randn_like(z_t),
    ],
    "11.4": [
        third_order,
        leapfrog,
        stepped(place=lambda z, u, h: z + h),
        stepped(place=lambda z, u, h: z * (1 + h)),
        stepped(place=lambda z, u, h: z + h**2 * u),
        stepped(place=lambda z, u, h: z + 2 * h * u),
        stepped(place=lambda z, u, h: (z + h * u).clamp(-10, 10)),
        stepped(place=lambda z, u, h: z + h * u + 1e-3 * torch.randn_like(z)),
        stepped(place=lambda z, u, h: z + h * u.mean(0)),
        stepped(time=lambda t, h: 0.0),
        stepped(time=lambda t, h: 1 - t),
        stepped(time=lambda t, h: t + 2 * h),
        stepped(time=lambda t, h: t * (1 + h)),
        stepped(time=lambda t, h: min(t + h, 0.99)),
        stepped(time=lambda t, h: max(t + h, t)),
        stepped(time=lambda t, h: round(t + h, 2)),
        stepped(mix=lambda u, w: u),
        stepped(mix=lambda u, w: (2 * u + w) / 3),
        stepped(mix=lambda u, w: (u * w).abs().sqrt()),
        stepped(mix=torch.maximum),
        stepped(mix=lambda u, w: 2 * u - w),
        stepped(mix=lambda u, w: 2 * u * w / (u + w)),
        stepped(mix=lambda u, w: F.normalize(u + w)),
        stepped(mix=lambda u, w: ((u + w) / 2).mean(0)),
        stepped(mix=lambda u, w: (u + w) / 2 + 1e-3),
        stepped(mix=lambda u, w: (u + w).clamp(-50, 50) / 2),
        stepped(last=lambda z, h, u: z - h * u),
        stepped(last=lambda z, h, u: z + abs(h) * u),
        stepped(last=lambda z, h, u: z * (1 + h * u)),
        stepped(last=lambda z, h, u: z + h / 2 * u),
        stepped(last=lambda z, h, u: z + 2 * h * u),
        stepped(last=lambda z, h, u: (1 - h) * z + h * u),
        stepped(last=lambda z, h, u: (z + h * u).double()),
        stepped(last=lambda z, h, u: (z + h * u).float()),
        stepped(last=lambda z, h, u: (z + h * u).numpy()),
        stepped(last=lambda z, h, u: (z + h * u)[0]),
        stepped(last=lambda z, h, u: (z + h * u).requires_grad_()),
        stepped(last=lambda z, h, u: (z + h * u, u)),
        stepped(last=lambda z, h, u: (z + h * u).clamp(-8, 8)),
        stepped(last=lambda z, h, u: z + u * h * (1 + 1e-3)),
        lambda velocity, z, t, h: z,
        lambda velocity, z, t, h: velocity(z, t),
        lambda velocity, z, t, h: z + h * (velocity(z, t) + velocity(z, t + h)) / 2,
        lambda velocity, z, t, h: z + h * velocity(z, t + h / 2),
        lambda velocity, z, t, h: z + h * velocity(z + h * velocity(z, t), t + h / 2),
        lambda velocity, z, t, h: stepped()(velocity, z, t, 0.1),
        lambda velocity, z, t, h: stepped()(velocity, z, 0.0, h),
        lambda velocity, z, t, h: stepped()(lambda z, t: velocity(t, z), z, t, h),
        lambda velocity, z, t, h: stepped()(lambda z, t: velocity(z), z, t, h),
        lambda z, t, h: z + h,
    ],
    "11.5": [
        mixed(lambda a, b, w: a + w),
        mixed(lambda a, b, w: b + w * (a - b) if w > 1 else a),
        mixed(lambda a, b, w: w * a + b),
        mixed(lambda a, b, w: w * a + w * b),
        mixed(lambda a, b, w: w * b + (1 - w) * b),
        mixed(lambda a, b, w: (1 - w) * b + a),
        mixed(lambda a, b, w: (a + w * b) / (1 + w)),
        mixed(lambda a, b, w: (b + w * (a - b)) / w),
        mixed(lambda a, b, w: a / (1 + w) + b * w / (1 + w)),
        mixed(lambda a, b, w: b + math.log(w) * (a - b)),
        mixed(lambda a, b, w: b + math.exp(w) * (a - b)),
        mixed(lambda a, b, w: b + int(w) * (a - b)),
        mixed(lambda a, b, w: b + 2 * w * (a - b)),
        mixed(lambda a, b, w: b + w * (a - b) / 2),
        mixed(lambda a, b, w: b + w * (a - b).square()),
        mixed(lambda a, b, w: b + w * (a - b).relu()),
        mixed(lambda a, b, w: b + w * (a - b).tanh()),
        mixed(lambda a, b, w: b + w * (a - b).sign()),
        mixed(lambda a, b, w: b + w * F.normalize(a - b, dim=1) * b.norm(dim=1, keepdim=True)),
        mixed(lambda a, b, w: (b + w * (a - b)) * b.norm() / (b + w * (a - b)).norm()),
        mixed(lambda a, b, w: (b + w * (a - b)) * a.std(1, keepdim=True) / (b + w * (a - b)).std(1, keepdim=True)),
        mixed(lambda a, b, w: b + w * (a - b).mean()),
        mixed(lambda a, b, w: b.mean(0) + w * (a - b)),
        mixed(lambda a, b, w: b + min(w, 7.5) * (a - b)),
        mixed(lambda a, b, w: b + max(w, 0.1) * (a - b)),
        mixed(lambda a, b, w: b + (w + 1e-3) * (a - b)),
        mixed(lambda a, b, w: torch.where((a - b).abs() > 1e-3, b + w * (a - b), b)),
        mixed(lambda a, b, w: a if w == 0 else b + w * (a - b)),
        mixed(lambda a, b, w: b if w <= 1 else b + w * (a - b)),
        mixed(lambda a, b, w: (b + w * (a - b)).clamp(-30, 30)),
        mixed(lambda a, b, w: (b + w * (a - b)).double()),
        mixed(lambda a, b, w: (b + w * (a - b)).float()),
        mixed(lambda a, b, w: (b + w * (a - b)).numpy()),
        mixed(lambda a, b, w: (b + w * (a - b)).requires_grad_()),
        mixed(lambda a, b, w: (b + w * (a - b)).sum(1)),
        mixed(lambda a, b, w: (b + w * (a - b))[:1]),
        mixed(lambda a, b, w: (b + w * (a - b), b)),
        mixed(lambda a, b, w: [a, b, w]),
        lambda velocity, z, t, tokens, w: z,
        lambda velocity, z, t, tokens, w: velocity(z, t, w * tokens),
        lambda velocity, z, t, tokens, w: velocity(z, t, tokens.flip(1)),
        lambda velocity, z, t, tokens, w: w * (velocity(z, t, tokens) - velocity(z, t, None)),
        lambda velocity, z, t, tokens, w: velocity(z, t, None) + w * (velocity(z, t, tokens) - velocity(z, 0.5, None)),
        lambda velocity, z, t, tokens, w: (
            velocity(z, t, None) + w * (velocity(z, t, tokens) - velocity(0 * z, t, None))
        ),
        lambda velocity, z, t, tokens, w: (
            velocity(z, t, None) + w * (velocity(z, t, tokens[:1]) - velocity(z, t, None))
        ),
        lambda velocity, z, t, tokens, w: velocity(z, t, "") + w * (velocity(z, t, tokens) - velocity(z, t, "")),
        lambda velocity, z, t, tokens, w: velocity(z, t, None) + w * velocity(z, t, tokens) - velocity(z, t, None),
    ],
    "11.6": [
        ended(lambda z_t, t, u: z_t + (1 + t) * u),
        ended(lambda z_t, t, u: z_t + (t - 1) * u),
        ended(lambda z_t, t, u: z_t * (1 - t) + u),
        ended(lambda z_t, t, u: (z_t + (1 - t) * u) / t),
        ended(lambda z_t, t, u: z_t / t + (1 - t) * u),
        ended(lambda z_t, t, u: t * (z_t + (1 - t) * u)),
        ended(lambda z_t, t, u: z_t + (1 - t) * u.abs()),
        ended(lambda z_t, t, u: z_t + (1 - t) * u.mean(1, keepdim=True)),
        ended(lambda z_t, t, u: z_t + (1 - t) * F.normalize(u)),
        ended(lambda z_t, t, u: z_t + (1 - t - 1e-3) * u),
        ended(lambda z_t, t, u: z_t + (1 - t).clamp(min=1e-3) * u),
        ended(lambda z_t, t, u: (z_t + (1 - t) * u).clamp(-30, 30)),
        ended(lambda z_t, t, u: (z_t + (1 - t) * u).tanh()),
        ended(noise=lambda z_t, t, u: t * u),
        ended(noise=lambda z_t, t, u: t * u - z_t),
        ended(noise=lambda z_t, t, u: u - t * z_t),
        ended(noise=lambda z_t, t, u: (z_t - t * u) / (1 - t)),
        ended(noise=lambda z_t, t, u: (1 - t) * (z_t - t * u)),
        ended(noise=lambda z_t, t, u: z_t - t * u - (z_t - t * u).mean(0)),
        ended(noise=lambda z_t, t, u: F.normalize(z_t - t * u)),
        ended(noise=lambda z_t, t, u: torch.randn_like(z_t)),
        ended(noise=lambda z_t, t, u: torch.zeros_like(z_t)),
        ended(noise=lambda z_t, t, u: z_t - t.clamp(min=1e-3) * u),
        ended(time=lambda t: t[None, :, None]),
        ended(time=lambda t: t[0]),
        ended(time=lambda t: t[-1:, None]),
        ended(time=lambda t: 1 - t[:, None]),
        ended(time=lambda t: 0.5),
        ended(time=lambda t: t.flip(0)[:, None]),
        ended(time=lambda t: t[:, None].clamp(0.01, 0.99)),
        ended(time=lambda t: t[:, None] + 1e-4),
        ended(last=lambda z, eps: torch.stack([z, eps])),
        ended(last=lambda z, eps: {"z": z, "eps": eps}),
        ended(last=lambda z, eps: (z, eps, z - eps)),
        ended(last=lambda z, eps: (z - eps, z)),
        ended(last=lambda z, eps: (z, -eps)),
        ended(last=lambda z, eps: (-z, eps)),
        ended(last=lambda z, eps: (z.double(), eps.double())),
        ended(last=lambda z, eps: (z.float(), eps.float())),
        ended(last=lambda z, eps: (z.numpy(), eps.numpy())),
        ended(last=lambda z, eps: (z, eps.requires_grad_())),
        ended(last=lambda z, eps: (z.mean(0), eps.mean(0))),
        ended(last=lambda z, eps: (z.sum(1), eps.sum(1))),
        ended(last=lambda z, eps: ((z + eps) / 2, eps)),
        ended(last=lambda z, eps: (z, eps / eps.std(0))),
        lambda z_t, t, u: z_t + (1 - t[:, None]) * u,
        lambda z_t, t, u: (z_t, u),
    ],
}
