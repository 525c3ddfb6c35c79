"""Other right answers to the exercises of notebook 11, in other styles."""

import collections
import functools
import math
import statistics

import numpy as np
import torch
from scipy.special import logsumexp, softmax
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal


def scale_by_numpy(codes):
    return 1 / codes.numpy().std()


def scale_as_a_number(codes):
    return float(1 / codes.double().std(correction=0))


def scale_by_hand(codes):
    away = codes - codes.mean()
    return away.square().mean().rsqrt()


def scale_by_statistics(codes):
    return 1 / statistics.pstdev(codes.flatten().tolist())


def scale_by_loops(codes):
    numbers = codes.flatten().tolist()
    mean = sum(numbers) / len(numbers)
    total = 0.0
    for number in numbers:
        total += (number - mean) ** 2
    return math.sqrt((len(numbers) - 1) / total)


def scale_by_norm(codes):
    return codes.numel() ** 0.5 / torch.linalg.vector_norm(codes - codes.mean())


def scale_by_variance_and_mean(codes):
    variance, _ = torch.var_mean(codes)
    return variance**-0.5


def scale_by_parts(codes):
    """Within dimensions and between them."""
    f = codes.double().flatten(1)
    return (f.var(0, correction=0).mean() + f.mean(0).var(correction=0)).sqrt().reciprocal()


def scale_by_pairs(codes):
    """The variance is half of the mean squared difference of any two."""
    f = codes.double().flatten()
    return (2 / (f[:, None] - f).square().mean()) ** 0.5


def scale_by_covariance(codes):
    return 1 / torch.cov(codes.flatten()).sqrt().item()


def scale_by_einsum(codes):
    away = (codes - codes.mean()).flatten()
    return math.sqrt(len(away)) / torch.einsum("i,i->", away, away).sqrt()


class Scale(nn.Module):
    def forward(self, codes):
        return torch.exp(-codes.std().log())


def path_by_lerp(z, eps, t):
    return torch.lerp(eps, z, t.unsqueeze(1)), z - eps


def path_from_noise(z, eps, t):
    velocity = z - eps
    return [eps + t.view(-1, 1) * velocity, velocity]


def path_by_einsum(z, eps, t):
    return torch.einsum("n,nd->nd", t, z) + torch.einsum("n,nd->nd", 1 - t, eps), z.sub(eps)


def path_by_loops(z, eps, t):
    z_t, velocity = torch.zeros_like(z), torch.zeros_like(z)
    for n in range(len(z)):
        for d in range(z.shape[1]):
            z_t[n, d] = (1 - t[n]) * eps[n, d] + t[n] * z[n, d]
            velocity[n, d] = z[n, d] - eps[n, d]
    return z_t, velocity


def path_by_rows(z, eps, t):
    rows = [(1 - s) * e + s * c for c, e, s in zip(z, eps, t.tolist(), strict=True)]
    return torch.stack(rows), torch.stack([c - e for c, e in zip(z, eps, strict=True)])


def path_turned_over(z, eps, t):
    return (t * z.T + (1 - t) * eps.T).T, -(eps - z)


def path_by_numpy(z, eps, t):
    c, e, s = z.numpy(), eps.numpy(), t.numpy()[:, None]
    return torch.from_numpy((1 - s) * e + s * c), torch.from_numpy(c - e)


def path_by_derivative(z, eps, t):
    """The velocity by forward differentiation."""

    def place(t):
        return (1 - t[:, None]) * eps + t[:, None] * z

    return torch.func.jvp(place, (t,), (torch.ones_like(t),))


def path_backwards(z, eps, t):
    """From the code, with the time that is left."""
    left = (1 - t)[:, None]
    return z - left * (z - eps), z - eps


def path_by_matrices(z, eps, t):
    return torch.diag(t) @ z + torch.diag(1 - t) @ eps, torch.add(z, eps, alpha=-1)


def path_in_place(z, eps, t):
    z_t = eps.clone()
    z_t *= 1 - t[:, None]
    z_t += t[:, None] * z
    return z_t, z.clone().sub_(eps)


def path_row_by_row(z, eps, t):
    return torch.vmap(lambda z, eps, t: ((1 - t) * eps + t * z, z - eps))(z, eps, t)


def path_as_a_named_tuple(z, eps, t):
    ends = torch.stack([eps, z])
    weights = torch.stack([1 - t, t])
    return Place(torch.einsum("en,end->nd", weights, ends), torch.diff(ends, dim=0)[0])


Place = collections.namedtuple("Place", "z_t velocity")


class Path(nn.Module):
    def forward(self, z, eps, t):
        weights = torch.stack([1 - t, t], 1).double()  # (N, 2)
        z_t = (weights[..., None] * torch.stack([eps, z], 1)).sum(1)
        return z_t.to(z.dtype), (z.double() - eps).to(z.dtype)


def velocity_by_normal(z_t, t, means, sigma):
    v = (1 - t) ** 2 + t**2 * sigma**2
    log_p = Normal(t * means, math.sqrt(v)).log_prob(z_t[:, None])
    r = (log_p - log_p.logsumexp(1, keepdim=True)).exp()
    slope = (t * sigma**2 - (1 - t)) / v
    return (r * (means + slope * (z_t[:, None] - t * means))).sum(dim=-1)


def velocity_by_loops(z_t, t, means, sigma):
    v, result = (1 - t) ** 2 + (t * sigma) ** 2, []
    for z in z_t.tolist():
        logs = [-((z - t * m) ** 2) / (2 * v) for m in means.tolist()]
        p = [math.exp(one - max(logs)) for one in logs]
        each = [m + (t * sigma**2 - 1 + t) * (z - t * m) / v for m in means.tolist()]
        result.append(sum(a * b for a, b in zip(p, each, strict=True)) / sum(p))
    return torch.tensor(result, dtype=z_t.dtype)


def velocity_by_both_ends(z_t, t, means, sigma):
    """E[z | z_t] - E[eps | z_t]."""
    v = (1 - t) ** 2 + t**2 * sigma**2
    away = z_t.unsqueeze(1) - t * means.unsqueeze(0)
    r = torch.softmax(-0.5 * away**2 / v, dim=1)
    z = r @ means + t * sigma**2 / v * (r * away).sum(1)
    eps = (1 - t) / v * (r * away).sum(1)
    return z - eps


def velocity_by_weighted_mean(z_t, t, means, sigma):
    """It is linear in m: so the mean of m under the weights is enough."""
    v = (1 - t) ** 2 + (t * sigma) ** 2
    r = Categorical(logits=-((z_t[:, None] - t * means) ** 2) / (2 * v)).probs
    m = torch.einsum("nk,k->n", r, means)
    return m + (t * sigma**2 - (1 - t)) / v * (z_t - t * m)


def velocity_by_scipy(z_t, t, means, sigma):
    z, m = z_t.numpy()[:, None], means.numpy()
    v = (1 - t) ** 2 + t**2 * sigma**2
    r = softmax(-((z - t * m) ** 2) / (2 * v), axis=1)
    return torch.from_numpy((r * (m + (t * sigma**2 - (1 - t)) * (z - t * m) / v)).sum(1)).to(z_t)


def velocity_by_numpy(z_t, t, means, sigma):
    z, m = z_t.double().numpy(), means.double().numpy()
    v = (1 - t) ** 2 + t**2 * sigma**2
    away = z[:, None] - t * m
    log_p = -(away**2) / (2 * v)
    r = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    return torch.from_numpy(np.einsum("nk,nk->n", r, m + (t * sigma**2 - (1 - t)) * away / v)).to(z_t)


def velocity_by_covariances(z_t, t, means, sigma):
    """From the joint covariance of (z, eps), by the weights of z - eps and of z_t."""
    S = torch.diag(torch.tensor([sigma**2, 1.0], dtype=torch.float64))
    difference, mixture = torch.tensor([1.0, -1.0]).double(), torch.tensor([t, 1.0 - t]).double()
    gain = (difference @ S @ mixture) / (mixture @ S @ mixture)
    away = z_t.double()[:, None] - t * means.double()
    r = (-(away**2) / (2 * mixture @ S @ mixture)).softmax(1)
    return (r * (means + gain * away)).sum(1).to(z_t)


def velocity_by_score(z_t, t, means, sigma):
    """Weights as slopes of the log of the sum."""
    v = (1 - t) ** 2 + t**2 * sigma**2
    away = z_t[:, None] - t * means
    with torch.enable_grad():
        logits = (-away.square() / (2 * v)).detach().requires_grad_()
        (r,) = torch.autograd.grad(logits.logsumexp(1).sum(), logits)
    return (r * means).sum(1) + (t * sigma**2 - (1 - t)) * (r * away).sum(1) / v


def velocity_by_mixture(z_t, t, means, sigma):
    """The density by torch.distributions, each part of it relative to the whole."""
    v = (1 - t) ** 2 + t**2 * sigma**2
    parts = Normal((t * means).double(), v**0.5)
    whole = MixtureSameFamily(Categorical(torch.ones(len(means)).double()), parts)
    z = z_t.double()
    r = (parts.log_prob(z[:, None]) - math.log(len(means)) - whole.log_prob(z)[:, None]).exp()
    return (r * (means + (t * sigma**2 - (1 - t)) * (z[:, None] - t * means) / v)).sum(1).to(z_t)


def velocity_by_hand(z_t, t, means, sigma):
    """The largest log of each place is taken off first."""
    v = (1 - t) ** 2 + t**2 * sigma**2
    away = z_t[:, None] - t * means[None]
    log_p = -(away**2) / (2 * v)
    p = (log_p - log_p.max(1, keepdim=True).values).exp()
    each = means + ((t * sigma**2 - (1 - t)) / v) * away
    return (p * each).sum(1) / p.sum(1)


def velocity_by_sigmoids(z_t, t, means, sigma):
    """Each weight by its ratios to all of them; the gain as half of the slope of log v."""
    v, slope = math.hypot(1 - t, t * sigma) ** 2, 2 * t * sigma**2 - 2 * (1 - t)
    log_p = -torch.cdist(z_t[:, None], t * means[:, None]).square() / (2 * v)
    r = 1 / (log_p[:, None, :] - log_p[:, :, None]).exp().sum(2)
    m = r @ means
    return m + slope / (2 * v) * (z_t - t * m)


def velocity_by_one_place(z_t, t, means, sigma):
    v, c = (1 - t) ** 2 + (t * sigma) ** 2, t * sigma**2 - (1 - t)

    def one(z):
        away = z - t * means
        return torch.nn.functional.softmin(away.square() / (2 * v), 0) @ (means + c / v * away)

    return torch.vmap(one)(z_t)


class MeanVelocity(nn.Module):
    def forward(self, z_t, t, means, sigma):
        t = torch.as_tensor(t, dtype=torch.float64)
        m, z = means.double()[:, None], z_t.double()  # (K, 1), (N,)
        v = (1 - t) ** 2 + t**2 * sigma**2
        r = (-0.5 * (z - t * m) ** 2 / v).softmax(0)
        return (r * (m + (t * (1 + sigma**2) - 1) * (z - t * m) / v)).sum(0).to(z_t.dtype)


def heun_as_two_eulers(velocity, z, t, h):
    """The mean of z and of where two steps of Euler's lead to."""
    first = z + h * velocity(z, t)
    second = first + h * velocity(first, t + h)
    return (z + second) / 2


def heun_as_two_ends(velocity, z, t, h):
    """The mean of two places."""
    u = velocity(z, t)
    return 0.5 * ((z + h * u) + (z + h * velocity(z + h * u, t + h)))


def heun_as_corrected_euler(velocity, z, t, h):
    end = z + h * velocity(z, t)
    return end + h / 2 * (velocity(end, t + h) - velocity(z, t))  # the first is asked for twice


def heun_by_stack(velocity, z, t, h):
    u = velocity(z, t)
    return z + h * torch.stack([u, velocity(z + u * h, t + h)]).mean(0)


def heun_by_tableau(velocity, z, t, h):
    """Butcher's: where, with which earlier velocities, and the weights."""
    nodes, rows, weights = (0.0, 1.0), ((), (1.0,)), (0.5, 0.5)
    slopes = []
    for c, row in zip(nodes, rows, strict=True):
        place = z
        for a, slope in zip(row, slopes, strict=True):
            place = place + h * a * slope
        slopes.append(velocity(place, t + c * h))
    return z + h * sum(b * slope for b, slope in zip(weights, slopes, strict=True))


def heun_on_a_copy(velocity, z, t, h):
    end = z.clone()
    end += h * velocity(z, t)
    result = z.clone()
    result += h * (velocity(z, t) + velocity(end, t + h)) / 2
    return result


def heun_within_time(velocity, z, t, h):
    """With the sum of times kept from rounding beyond 1."""
    u = velocity(z, t)
    u_next = velocity(z + h * u, min(t + h, 1.0))
    return z + (h / 2) * (u + u_next)


def heun_without_graph(velocity, z, t, h):
    with torch.no_grad():
        u = velocity(z, t)
        return torch.add(z, u + velocity(torch.add(z, u, alpha=h), t + h), alpha=h / 2)


def heun_in_doubles(velocity, z, t, h):
    x = z.double()
    u = velocity(x, t)
    return (x + h * torch.lerp(u, velocity(x + h * u, t + h), 0.5)).to(z)


def heun_by_numpy(velocity, z, t, h):
    u = velocity(z, t).numpy()
    u_next = velocity(torch.from_numpy(z.numpy() + h * u), t + h).numpy()
    return torch.from_numpy(z.numpy() + h * (u + u_next) / 2)


def heun_by_keywords(velocity, z, t, h):
    now, then = functools.partial(velocity, t=t), functools.partial(velocity, t=t + h)
    u = now(z=z)
    return sum((z, h / 2 * u, h / 2 * then(z=z + h * u)))


def heun_with_times_of_torch(velocity, z, t, h):
    now, then = torch.tensor([float(t), float(t + h)], dtype=torch.float64)
    u = velocity(z, now)
    return torch.einsum(
        "k,knd->nd", torch.tensor([1, h / 2, h / 2]).to(z), torch.stack([z, u, velocity(z + h * u, then)])
    )


class Heun(nn.Module):
    def forward(self, velocity, z, t, h):
        t = torch.tensor(float(t), dtype=torch.float64)  # a time of torch's own
        u = velocity(z, t)
        return z + h * (u + velocity(z + h * u, t + h)).div(2).to(z)


def step_by_weights(velocity, z, t, h, weights):
    u = velocity(z, t)
    return z + h * (weights[0] * u + weights[1] * velocity(z + h * u, t + h))


def guided_by_weights(velocity, z, t, tokens, w):
    return w * velocity(z, t, tokens) + (1 - w) * velocity(z, t, None)


def guided_by_lerp(velocity, z, t, tokens, w):
    return torch.lerp(velocity(z, t, None), velocity(z, t, tokens), w)


def guided_from_the_sentence(velocity, z, t, tokens, w):
    """Ho & Salimans', whose w is less by one."""
    told, untold = velocity(z, t, tokens), velocity(z, t, None)
    return told + (w - 1) * (told - untold)


def guided_as_they_write(velocity, z, t, tokens, w):
    w = w - 1
    return (1 + w) * velocity(z, t, tokens) - w * velocity(z, t, None)


def guided_with_cases(velocity, z, t, tokens, w):
    """Nothing is asked for twice that is not needed."""
    if w == 1:
        return velocity(z, t, tokens)
    untold = velocity(z, t, None)
    return untold if w == 0 else untold + w * (velocity(z, t, tokens) - untold)


def guided_without_a_third(velocity, z, t, tokens, w):
    untold = velocity(z, t)
    return untold + w * (velocity(z, t, tokens=tokens) - untold)


def guided_row_by_row(velocity, z, t, tokens, w):
    rows = []
    for one, sentence in zip(z.split(1), tokens.split(1), strict=True):
        untold = velocity(one, t, None)
        rows.append(untold + w * (velocity(one, t, sentence) - untold))
    return torch.cat(rows)


def guided_by_einsum(velocity, z, t, tokens, w):
    both = torch.stack([velocity(z, t, tokens), velocity(z, t, None)])
    return torch.einsum("i,ind->nd", torch.tensor([w, 1.0 - w], dtype=z.dtype), both)


def guided_in_place(velocity, z, t, tokens, w):
    result = velocity(z, t, tokens).clone()
    untold = velocity(z, t, None)
    result -= untold
    result *= w
    return result.add_(untold)


def guided_by_numpy(velocity, z, t, tokens, w):
    told, untold = (velocity(z, t, words).double().numpy() for words in (tokens, None))
    return torch.from_numpy(untold + w * (told - untold)).to(z)


def guided_by_keywords(velocity, z, t, tokens, w):
    ask = functools.partial(velocity, z=z, t=t)
    return sum(weight * ask(tokens=words) for weight, words in ((w, tokens), (1 - w, None)))


def guided_with_a_strength_of_torch(velocity, z, t, tokens, w):
    return velocity(z, t, None).lerp(velocity(z, t, tokens), torch.tensor(w).to(z))


class Guided(nn.Module):
    def forward(self, velocity, z, t, tokens, w):
        untold = velocity(z.double(), t, None)
        change = velocity(z.double(), t, tokens).sub(untold)
        return torch.add(untold, change, alpha=w).to(z.dtype)


def ends_by_difference(z_t, t, u):
    z_hat = z_t + (1 - t.unsqueeze(-1)) * u
    return z_hat, z_hat - u


def ends_from_noise(z_t, t, u):
    eps_hat = z_t - t.reshape(-1, 1) * u
    return [eps_hat + u, eps_hat]


def ends_by_solving(z_t, t, u):
    """t z + (1 - t) eps = z_t and z - eps = u."""
    A = torch.stack([torch.stack([t, 1 - t], 1), torch.tensor([[1.0, -1.0]]).to(t).expand(len(t), 2)], 1)  # (N, 2, 2)
    found = torch.linalg.solve(A.double(), torch.stack([z_t, u], 1).double()).to(z_t)
    return found[:, 0], found[:, 1]


def ends_by_einsum(z_t, t, u):
    return z_t + torch.einsum("n,nd->nd", 1 - t, u), z_t - torch.einsum("n,nd->nd", t, u)


def ends_by_loops(z_t, t, u):
    z_hat, eps_hat = z_t.clone(), z_t.clone()
    for n, time in enumerate(t.tolist()):
        for d in range(z_t.shape[1]):
            z_hat[n, d] += (1 - time) * u[n, d]
            eps_hat[n, d] -= time * u[n, d]
    return z_hat, eps_hat


def ends_turned_over(z_t, t, u):
    return (z_t.T + (1 - t) * u.T).T, (z_t.T - t * u.T).T


def ends_by_numpy(z_t, t, u):
    place, time, velocity = z_t.numpy(), t.numpy()[:, None], u.numpy()
    return torch.from_numpy(place + (1 - time) * velocity), torch.from_numpy(place - time * velocity)


def ends_by_addcmul(z_t, t, u):
    t = t[:, None].expand_as(u)
    return torch.addcmul(z_t, 1 - t, u), torch.addcmul(z_t, t, u, value=-1)


def ends_by_matrices(z_t, t, u):
    return z_t + torch.diag(1 - t) @ u, z_t - torch.diag(t) @ u


def ends_by_a_function(z_t, t, u):
    """Where the straight line is at a time."""

    def at(s):
        return z_t + (s - t)[:, None] * u

    return at(torch.ones_like(t)), at(torch.zeros_like(t))


def ends_by_lerp(z_t, t, u):
    t = t.unsqueeze(1)
    return torch.lerp(z_t + u, z_t, t), torch.lerp(z_t, z_t - u, t)


def ends_by_products(z_t, t, u):
    ways = torch.bmm(torch.stack([1 - t, -t], 1)[:, :, None], u[:, None])  # (N, 2, D)
    return (z_t[:, None] + ways).unbind(1)


class Ends(nn.Module):
    def forward(self, z_t, t, u):
        way = t[:, None].double() * u
        eps_hat = z_t.double() - way
        return (eps_hat + u).to(z_t.dtype), eps_hat.to(z_t.dtype)


ACCEPTED = {
    "11.1": [
        scale_by_numpy,
        scale_as_a_number,
        scale_by_hand,
        scale_by_statistics,
        scale_by_loops,
        scale_by_norm,
        scale_by_variance_and_mean,
        scale_by_parts,
        scale_by_pairs,
        scale_by_covariance,
        scale_by_einsum,
        Scale(),
        functools.partial(lambda correction, codes: 1 / codes.std(correction=correction), 0),
    ],
    "11.2": [
        path_by_lerp,
        path_from_noise,
        path_by_einsum,
        path_by_loops,
        path_by_rows,
        path_turned_over,
        path_by_numpy,
        path_by_derivative,
        path_backwards,
        path_by_matrices,
        path_in_place,
        path_row_by_row,
        path_as_a_named_tuple,
        Path(),
    ],
    "11.3": [
        velocity_by_normal,
        velocity_by_loops,
        velocity_by_both_ends,
        velocity_by_weighted_mean,
        velocity_by_scipy,
        velocity_by_numpy,
        velocity_by_covariances,
        velocity_by_score,
        velocity_by_mixture,
        velocity_by_hand,
        velocity_by_sigmoids,
        velocity_by_one_place,
        MeanVelocity(),
    ],
    "11.4": [
        heun_as_two_eulers,
        heun_as_two_ends,
        heun_as_corrected_euler,
        heun_by_stack,
        heun_by_tableau,
        heun_on_a_copy,
        heun_within_time,
        heun_without_graph,
        heun_in_doubles,
        heun_by_numpy,
        heun_by_keywords,
        heun_with_times_of_torch,
        Heun(),
        functools.partial(step_by_weights, weights=(0.5, 0.5)),
    ],
    "11.5": [
        guided_by_weights,
        guided_by_lerp,
        guided_from_the_sentence,
        guided_as_they_write,
        guided_with_cases,
        guided_without_a_third,
        guided_row_by_row,
        guided_by_einsum,
        guided_in_place,
        guided_by_numpy,
        guided_by_keywords,
        guided_with_a_strength_of_torch,
        Guided(),
    ],
    "11.6": [
        ends_by_difference,
        ends_from_noise,
        ends_by_solving,
        ends_by_einsum,
        ends_by_loops,
        ends_turned_over,
        ends_by_numpy,
        ends_by_addcmul,
        ends_by_matrices,
        ends_by_a_function,
        ends_by_lerp,
        ends_by_products,
        Ends(),
    ],
}
