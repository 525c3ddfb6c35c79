"""Wrong answers to the exercises of notebook 06, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from vae_helpers.lessons.lesson_06 import attribute_direction as right_direction
from vae_helpers.lessons.lesson_06 import best_code as right_code
from vae_helpers.lessons.lesson_06 import chosen_log_likelihood as right_nats
from vae_helpers.lessons.lesson_06 import gaussian_fill as right_fill
from vae_helpers.lessons.lesson_06 import laplacian as right_laplacian
from vae_helpers.lessons.lesson_06 import over as right_over
from vae_helpers.lessons.lesson_06 import tents as right_tents

CROSS = [[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]


def with_alpha(alpha):
    return lambda front, back: torch.cat([right_over(front, back)[:, :3], alpha(front[:, 3:], back[:, 3:])], 1)


def over_by_straight_colours(front, back):
    a, b = front[:, 3:], back[:, 3:]
    alpha = a + (1 - a) * b
    colours = (a * (front[:, :3] / a) + (1 - a) * b * (back[:, :3] / b)) / alpha
    return torch.cat([colours * alpha, alpha], 1)


def halved(
    div=lambda colours, alpha: colours / alpha.clamp(min=1e-8),
    pre=lambda colours, alpha: colours * alpha,
    al=lambda alpha, small: small,
    pool=lambda x: F.avg_pool2d(x, 2),
):
    """halve with one of its steps replaced: the division, the product, the new alpha, the mean."""

    def answer(rgba):
        alpha = rgba[:, 3:]
        small = pool(torch.cat([pre(rgba[:, :3], alpha), alpha], 1))
        return torch.cat([div(small[:, :3], small[:, 3:]), al(alpha, small[:, 3:])], 1)

    return answer


def conv(x, mask, padding=1):
    return F.conv2d(x, torch.tensor(mask).expand(x.shape[1], 1, 3, 3), padding=padding, groups=x.shape[1])


def around(x, mode):
    p = F.pad(x, (1, 1, 1, 1), mode=mode)
    return p[..., 2:, 1:-1] + p[..., :-2, 1:-1] + p[..., 1:-1, 2:] + p[..., 1:-1, :-2]


def nats(x, mean, sigma):
    return -0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)


def searched(loss, after=lambda z, decode: z.detach(), steps=150):
    """A search for the code with another loss(z, mean, sources, masks, sigma) or another result."""

    def answer(decode, sources, masks, start, sigma, steps=steps, learning_rate=0.1):
        z = start.clone().requires_grad_()
        adam = torch.optim.Adam([z], lr=learning_rate)
        for step in range(steps):
            adam.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
            adam.zero_grad()
            loss(z, decode(z), sources, masks, sigma).backward()
            adam.step()
        return after(z, decode)

    return answer


def stepped(rate=lambda lr, t: lr * (1 - t), count=lambda n: n, begin=lambda z: z, rule=torch.optim.Adam):
    """The right search with another rate at the share t of the way, other steps, another start, another optimiser."""

    def answer(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
        z, steps = begin(start.clone()).requires_grad_(), count(steps)
        search = rule([z], lr=learning_rate)
        for step in range(steps):
            search.param_groups[0]["lr"] = rate(learning_rate, step / steps)
            search.zero_grad()
            code_loss(z, decode(z), sources, masks, sigma).backward()
            search.step()
        return z.detach()

    return answer


def blended(x, m):
    """One picture of all sources, and where any of them was chosen: overlaps add up."""
    return [sum(k * y for k, y in zip(m, x, strict=True))], [sum(m).clamp(max=1)]


def misses(mean, sources, masks):
    return sum((m * (x - mean).square()).sum() for x, m in zip(sources, masks, strict=True))


def code_loss(z, mean, sources, masks, sigma):
    return misses(mean, sources, masks) / (2 * sigma**2) + 0.5 * z.square().sum()


def filled(
    rows=lambda W, known: W[known], ridge=lambda s: s**2, y_of=lambda y, b, k: (y - b)[k], out=lambda W, z, b: W @ z + b
):
    """gaussian_fill with one of its steps replaced."""

    def answer(y, known, W, b, sigma):
        seen = rows(W, known)
        z = torch.linalg.solve(seen.T @ seen + ridge(sigma) * torch.eye(W.shape[1]), seen.T @ y_of(y, b, known))
        return out(W, z, b)

    return answer


REFUSED = {
    "06.1": [
        lambda front, back: torch.cat(
            [
                front[:, 3:] * front[:, :3] + (1 - front[:, 3:]) * back[:, :3],
                front[:, 3:] + (1 - front[:, 3:]) * back[:, 3:],
            ],
            1,
        ),
        lambda front, back: front[:, 3:] * front + (1 - front[:, 3:]) * back,
        lambda front, back: front + (1 - back[:, 3:]) * back,
        lambda front, back: front + back,
        lambda front, back: front + front[:, 3:] * back,
        lambda front, back: right_over(back, front),
        with_alpha(lambda a, b: a),
        with_alpha(lambda a, b: a + b),
        with_alpha(lambda a, b: (a + b).clamp(max=1)),
        with_alpha(torch.maximum),
        with_alpha(lambda a, b: a * b),
        with_alpha(lambda a, b: torch.ones_like(a)),
        with_alpha(lambda a, b: b),
        lambda front, back: right_over(front, back)[:, :3],
        lambda front, back: (lambda o: torch.cat([o[:, :3] / o[:, 3:], o[:, 3:]], 1))(right_over(front, back)),
        lambda front, back: front + (1 - front[:, :1]) * back,
        lambda front, back: front + (1 - front[:, 3]) * back,
        lambda front, back: (
            lambda a, A: torch.cat([front[:, :3] * a + back[:, :3] * A * (1 - a), a + A * (1 - a)], 1)
        )(front[:, 3:], back[:, 3:]),
        lambda front, back: front.add_((1 - front[:, 3:]) * back),
        lambda front, back: back.mul_(1 - front[:, 3:]).add_(front),
        lambda front, back: right_over(front.double(), back.double()),
        lambda front, back: torch.where(front[:, 3:] > 0.5, front, back),
        lambda front, back: torch.where(front[:, 3:] > 0, front, back),
        lambda front, back: (front + back) / 2,
        with_alpha(lambda a, b: (a + b) / 2),
        lambda front, back: front + (1 - front[:, 3:]) * back * back[:, 3:],
        lambda front, back: (right_over(front, back)[:, :3], right_over(front, back)[:, 3:]),
        lambda front, back: torch.cat([right_over(front, back)[:, 3:], right_over(front, back)[:, :3]], 1),
        lambda front, back: front + (1 - front[:, 3:] + 0.0001) * back,
        lambda front, back: right_over(front, back).numpy(),
        lambda front, back: front.detach().add_((1 - front[:, 3:]) * back),
        lambda front, back: front + (1 - front[:, 3:].mean()) * back,
        lambda front, back: right_over(front, back) * (right_over(front, back)[:, 3:] > 0.01),
        lambda front, back: torch.where(front[:, 3:] > 0.01, right_over(front, back), back),
        over_by_straight_colours,
    ],
    "06.2": [
        lambda rgba: F.avg_pool2d(rgba, 2),
        lambda rgba: rgba[..., ::2, ::2],
        halved(lambda c, a: c),
        halved(lambda c, a: c / a),
        halved(lambda c, a: c / (4 * a)),
        halved(al=lambda a, s: 4 * s),
        halved(al=lambda a, s: F.max_pool2d(a, 2)),
        halved(al=lambda a, s: F.avg_pool2d(a * a, 2)),
        halved(al=lambda a, s: s.round()),
        halved(al=lambda a, s: -F.max_pool2d(-a, 2)),
        halved(pre=lambda c, a: c * a * a),
        lambda rgba: halved()(rgba)[:, :3],
        lambda rgba: F.max_pool2d(rgba, 2),
        halved(lambda c, a: torch.where(a > 0.01, c / a, 0.0)),
        halved(lambda c, a: torch.where(a > 0.5, c / a, 0.0)),
        halved(lambda c, a: torch.where(a > 0, c / a, 1.0)),
        lambda rgba: torch.where(F.avg_pool2d(rgba[:, 3:], 2) > 0, halved()(rgba), F.avg_pool2d(rgba, 2)),
        halved(lambda c, a: torch.nan_to_num(c / a, nan=1.0)),
        halved(pool=lambda x: F.avg_pool2d(x, 2, 1)),
        halved(pool=lambda x: F.avg_pool2d(x, 4)),
        halved(pool=lambda x: F.avg_pool2d(x, 3, 2, 1)),
        halved(pool=lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 2)[..., : x.shape[2] // 2, : x.shape[3] // 2]),
        halved(pool=lambda x: F.interpolate(x, scale_factor=0.5)),
        lambda rgba: torch.stack([rgba[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).median(0).values,
        lambda rgba: (rgba[:, :3].mul_(rgba[:, 3:]), halved(pre=lambda c, a: c)(rgba))[1],
        lambda rgba: halved()(rgba.double()),
        lambda rgba: torch.cat(
            [F.avg_pool2d(rgba[:, :3] * rgba[:, 3:] / rgba[:, 3:].clamp(min=1e-08), 2), F.avg_pool2d(rgba[:, 3:], 2)], 1
        ),
        halved(lambda c, a: c / a.amax().clamp(min=1e-08)),
        halved(pool=lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=True)),
        halved(pool=lambda x: F.interpolate(x, scale_factor=0.5, mode="bicubic")),
        halved(pre=lambda c, a: c * (a > 0), div=lambda c, a: c / a.clamp(min=1e-08)),
        lambda rgba: (lambda s: torch.cat([s[:, :3] / s[:, 3:].clamp(min=1e-08), s[:, 3:]], 1))(
            F.avg_pool2d(rgba * rgba[:, 3:], 2)
        ),
    ],
    "06.3": [
        lambda x: -right_laplacian(x),
        lambda x: 4 * x - around(x, "constant"),
        lambda x: 4 * x - sum(torch.roll(x, s, d) for d in (2, 3) for s in (1, -1)),
        lambda x: 4 * x - around(x, "circular"),
        lambda x: 4 * x - around(x, "reflect"),
        lambda x: F.pad(-x.diff(dim=2), (0, 0, 0, 1)) + F.pad(-x.diff(dim=3), (0, 1)),
        lambda x: F.pad(x.diff(dim=2), (0, 0, 1, 0)) + F.pad(x.diff(dim=3), (1, 0)),
        lambda x: F.pad(x.diff(dim=3), (1, 0)) - F.pad(x.diff(dim=3), (0, 1)),
        lambda x: F.pad(x.diff(dim=2), (0, 0, 1, 0)) - F.pad(x.diff(dim=2), (0, 0, 0, 1)),
        lambda x: right_laplacian(x) / conv(torch.ones_like(x), CROSS),
        lambda x: right_laplacian(x) / 4,
        lambda x: 8 * x - conv(x, [[1.0, 1, 1], [1, 0, 1], [1, 1, 1]]),
        lambda x: (
            conv(torch.ones_like(x), [[1.0, 1, 1], [1, 0, 1], [1, 1, 1]]) * x
            - conv(x, [[1.0, 1, 1], [1, 0, 1], [1, 1, 1]])
        ),
        lambda x: conv(x, CROSS),
        lambda x: x - conv(x, CROSS),
        lambda x: right_laplacian(x).abs(),
        lambda x: right_laplacian(x)[..., 1:-1, 1:-1],
        lambda x: F.pad(right_laplacian(x)[..., 1:-1, 1:-1], (1, 1, 1, 1)),
        lambda x: conv(x, [[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]], 0),
        lambda x: 2 * right_laplacian(x),
        lambda x: (x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum(),
        lambda x: right_laplacian(x.double()),
        lambda x: right_laplacian(x).sum(1, keepdim=True),
        lambda x: right_laplacian(x.mean(1, keepdim=True)).expand_as(x),
        lambda x: F.conv2d(
            x, torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]).expand(x.shape[1], x.shape[1], 3, 3), padding=1
        ),
        lambda x: x.mul_(4).sub_(around(x, "replicate")),
        lambda x: x.copy_(right_laplacian(x)),
        lambda x: right_laplacian(x).clamp(-1, 1),
        lambda x: right_laplacian(x.permute(2, 3, 0, 1)).permute(2, 3, 0, 1),
        lambda x: F.pad(right_laplacian(x)[..., 1:-1, 1:-1], (1, 1, 1, 1), mode="replicate"),
        lambda x: (lambda y: right_laplacian(y))(x.clone().requires_grad_()),
        lambda x: 4 * x - F.pad(around(x, "replicate")[..., 1:-1, :], (0, 0, 1, 1)),
    ],
    "06.4": [
        lambda u, knots: 1 - (u[:, None] * (knots - 1) - torch.arange(knots)).abs(),
        lambda u, knots: (1 - (u[:, None] * knots - torch.arange(knots)).abs()).clamp(min=0),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(1, knots + 1)).abs()).clamp(min=0),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(knots))).clamp(min=0),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(knots))).clamp(0, 1),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(knots)).square()).clamp(min=0),
        lambda u, knots: F.one_hot((u * (knots - 1)).round().long(), knots).float(),
        lambda u, knots: F.one_hot((u * (knots - 1)).floor().long(), knots).float(),
        lambda u, knots: right_tents(u, knots).T,
        lambda u, knots: (1 - (u[:, None] - torch.linspace(0, 1, knots)).abs()).clamp(min=0),
        lambda u, knots: (u[:, None] * (knots - 1) - torch.arange(knots)).abs().clamp(max=1),
        lambda u, knots: 0.5 + 0.5 * torch.cos(math.pi * (u[:, None] * (knots - 1) - torch.arange(knots)).clamp(-1, 1)),
        lambda u, knots: torch.exp(-0.5 * (u[:, None] * (knots - 1) - torch.arange(knots)) ** 2),
        lambda u, knots: (-(u[:, None] * (knots - 1) - torch.arange(knots)).abs()).softmax(1),
        lambda u, knots: (lambda t: t / t.norm(dim=1, keepdim=True))(right_tents(u, knots)),
        lambda u, knots: (1 - (u[:, None] * (knots - 2) - torch.arange(knots)).abs()).clamp(min=0),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(knots - 1)).abs()).clamp(min=0),
        lambda u, knots: right_tents(u, knots + 1),
        lambda u, knots: (1 - (u * (knots - 1)).frac().abs()[:, None]).expand(-1, knots),
        lambda u, knots: (u[:, None] * (knots - 1) - torch.arange(knots)).clamp(min=0),
        lambda u, knots: (1 - 2 * (u[:, None] * (knots - 1) - torch.arange(knots)).abs()).clamp(min=0),
        lambda u, knots: (1 - (u[:, None] * (knots - 1) - torch.arange(knots)).abs()).clamp(max=0),
        lambda u, knots: right_tents(u.double(), knots),
        lambda u, knots: torch.from_numpy(
            np.maximum(0, 1 - np.abs(u.double().numpy()[:, None] * (knots - 1) - np.arange(knots)))
        ),
        lambda u, knots: right_tents(u, knots).numpy(),
        lambda u, knots: right_tents(u, knots).tolist(),
        lambda u, knots: (u.mul_(knots - 1), (1 - (u[:, None] - torch.arange(knots)).abs()).clamp(min=0))[1],
        lambda u, knots: right_tents(u, knots).flip(1),
        lambda u, knots: right_tents(u, knots)[0],
        lambda u, knots: right_tents(u, knots) + 0.001,
        lambda u, knots: right_tents(u, knots) * ((u > 0) & (u < 1))[:, None],
    ],
    "06.5": [
        lambda x, mean, mask, sigma: nats(mask * x, mask * mean, sigma).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: nats(mask * x, mean, sigma).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: nats(x, mean, sigma).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: ((1 - mask) * nats(x, mean, sigma)).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma)).mean((1, 2, 3)),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma) / mask.sum((1, 2, 3)),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma) / mask.expand_as(x).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: -right_nats(x, mean, mask, sigma),
        lambda x, mean, mask, sigma: (
            mask * (-(((x - mean) / sigma) ** 2) - math.log(sigma) - 0.5 * math.log(2 * math.pi))
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma**0.5)).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * -0.5 * ((x - mean) / sigma) ** 2).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * (-0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma))).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (
            -0.5 * mask * ((x - mean) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma).sum(),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma).mean(),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma)).sum((2, 3)),
        lambda x, mean, mask, sigma: mask * nats(x, mean, sigma),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma).exp().log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: torch.log((mask * nats(x, mean, sigma).exp()).clamp(min=1e-12)).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (nats(x, mean, sigma).exp() ** mask).flatten(1).prod(1).log(),
        lambda x, mean, mask, sigma: (mask * (nats(x, mean, sigma).exp() + 1e-12).log()).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (
            -(mask * (x - mean) ** 2).sum((1, 2, 3)) / (2 * sigma**2)
            - mask.sum((1, 2, 3)) * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
        ),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma).detach(),
        lambda x, mean, mask, sigma: right_nats(x, mean.detach(), mask, sigma),
        lambda x, mean, mask, sigma: right_nats(x.double(), mean.double(), mask.double(), sigma),
        lambda x, mean, mask, sigma: (
            mask * (-0.5 * (x - mean) ** 2 / sigma - math.log(sigma) - 0.5 * math.log(2 * math.pi))
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (
            mask * (-0.5 * ((x - mean) / sigma) ** 2 + math.log(sigma) - 0.5 * math.log(2 * math.pi))
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (
            mask * (-0.5 * ((x - mean) / sigma) ** 2 - 0.5 * math.log(sigma) - 0.5 * math.log(2 * math.pi))
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (
            mask * (-0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma) - math.log(2 * math.pi))
        ).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: nats(x, mean, sigma)[mask.bool().expand_as(x)].sum(),
        lambda x, mean, mask, sigma: right_nats(x, mean, mask, sigma)[:, None],
        lambda x, mean, mask, sigma: nats(mask * (x - mean), torch.zeros_like(x), sigma).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma + 0.001)).sum((1, 2, 3)),
        lambda x, mean, mask, sigma: (mask * nats(x, mean, sigma))[:, :1].sum((1, 2, 3)),
        lambda x, mean, mask, sigma: right_nats(x, mean.clamp(0, 1), mask, sigma),
        lambda x, mean, mask, sigma: torch.where(mask.bool(), nats(x, mean, sigma), torch.nan).flatten(1).nanmean(1),
        lambda x, mean, mask, sigma: (mask.detach().mul_(1.0), right_nats(x, mean, mask.clone().fill_(1), sigma))[1],
    ],
    "06.6": [
        lambda codes, has: -right_direction(codes, has),
        lambda codes, has: codes[has].mean(0) - codes.mean(0),
        lambda codes, has: codes[has].mean(0),
        lambda codes, has: codes[~has].mean(0),
        lambda codes, has: F.normalize(right_direction(codes, has), dim=0),
        lambda codes, has: codes[has].sum(0) - codes[~has].sum(0),
        lambda codes, has: (codes[has].sum(0) - codes[~has].sum(0)) / len(codes),
        lambda codes, has: ((codes - codes.mean(0)) * (has.float() - has.float().mean())[:, None]).mean(0),
        lambda codes, has: codes[has].median(0).values - codes[~has].median(0).values,
        lambda codes, has: codes[has].mean() - codes[~has].mean(),
        lambda codes, has: codes[has].mean(1)[:2] - codes[~has].mean(1)[:2],
        lambda codes, has: right_direction(codes, has) / 2,
        lambda codes, has: codes[has.long()].mean(0) - codes[1 - has.long()].mean(0),
        lambda codes, has: (codes * has[:, None]).mean(0) - (codes * (~has)[:, None]).mean(0),
        lambda codes, has: right_direction(codes, has) / codes.std(0),
        lambda codes, has: codes[has].mean(0, keepdim=True) - codes[~has].mean(0, keepdim=True),
        lambda codes, has: right_direction(codes.double(), has),
        lambda codes, has: right_direction(codes, has).tolist(),
        lambda codes, has: right_direction(codes, has).numpy(),
        lambda codes, has: has.float() @ codes / (has.float() @ has.float()),
        lambda codes, has: (has.logical_not_(), -right_direction(codes, has))[1],
        lambda codes, has: (codes.sub_(codes.mean(0)), right_direction(codes, has))[1],
        lambda codes, has: codes[has][0] - codes[~has][0],
        lambda codes, has: torch.stack(
            [torch.corrcoef(torch.stack([codes[:, d], has.float()]))[0, 1] for d in range(codes.shape[1])]
        ),
        lambda codes, has: (lambda a: a @ (codes - codes.mean(0)) / (a @ a + 0.1))(has.float() - has.float().mean()),
        lambda codes, has: (lambda a: a @ (codes - codes.mean(0)) / (a @ a + 0.001))(has.float() - has.float().mean()),
        lambda codes, has: (
            (codes * has[:, None]).sum(0) / (has.sum() + 0.001)
            - (codes * (~has)[:, None]).sum(0) / ((~has).sum() + 0.001)
        ),
        lambda codes, has: codes[has].sum(0) / (has.sum() - 1) - codes[~has].sum(0) / ((~has).sum() - 1),
        lambda codes, has: (2 * has.float() - 1) @ codes / len(codes),
        lambda codes, has: (codes[has][:3] - codes[~has][:3]).mean(0),
    ],
    "06.7": [
        stepped(rate=lambda lr, t: lr),
        stepped(rate=lambda lr, t: 0.1 * (1 - t)),
        stepped(count=lambda n: 150),
        stepped(begin=torch.zeros_like),
        stepped(begin=lambda z: z.mean(0).expand_as(z).clone()),
        stepped(rule=torch.optim.SGD),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, *blended(x, m), s)),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s**2)),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s**2) - 0.5 * z.square().sum()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s**2) + z.square().sum()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / s**2 + 0.5 * z.square().sum()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s) + 0.5 * z.square().sum()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) + 0.5 * z.square().sum()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / len(x) + 0.5 * z.square().mean()),
        searched(lambda z, mean, x, m, s: -code_loss(z, mean, x, m, s)),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, x[:1], m[:1], s)),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, x[-1:], m[-1:], s)),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, x, [torch.ones_like(k) for k in m], s)),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, x, [1 - k for k in m], s)),
        searched(lambda z, mean, x, m, s: code_loss(z, mean, [sum(x) / len(x)], [sum(m)], s)),
        searched(lambda z, mean, x, m, s: code_loss(z, sum(m) * mean, [sum(m) * x[0]], [torch.ones_like(m[0])], s)),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s**2) + 0.5 * z.norm()),
        searched(lambda z, mean, x, m, s: misses(mean, x, m) / (2 * s**2) + z.abs().sum()),
        searched(lambda z, mean, x, m, s: code_loss(z, mean.detach(), x, m, s)),
        searched(code_loss, after=lambda z, decode: decode(z).detach()),
        searched(code_loss, after=lambda z, decode: z.detach().numpy()),
        searched(code_loss, after=lambda z, decode: z),
        searched(code_loss, after=lambda z, decode: z.detach().mean(0)),
        searched(code_loss, after=lambda z, decode: z.detach().double()),
        searched(code_loss, after=lambda z, decode: z.detach().clamp(-3, 3)),
        searched(code_loss, after=lambda z, decode: (z.detach(), decode(z).detach())),
        lambda decode, sources, masks, start, sigma, steps=150, learning_rate=0.1: right_code(
            decode, sources, masks, start, sigma, 1
        ),
        lambda decode, sources, masks, start, sigma, steps=150, learning_rate=0.1: start,
        lambda decode, sources, masks, start, sigma, steps=150, learning_rate=0.1: torch.zeros_like(start),
        lambda decode, sources, masks, start, sigma, steps=150, learning_rate=0.1: start.copy_(
            right_code(decode, sources, masks, start, sigma)
        ),
    ],
    "06.8": [
        filled(rows=lambda W, known: W, y_of=lambda y, b, k: y - b),
        filled(rows=lambda W, known: W, y_of=lambda y, b, k: torch.where(k, y - b, 0)),
        filled(rows=lambda W, known: W[~known], y_of=lambda y, b, k: (y - b)[~k]),
        filled(ridge=lambda s: 0.0),
        filled(ridge=lambda s: s),
        filled(ridge=lambda s: 1 / s**2),
        filled(ridge=lambda s: 1.0),
        filled(ridge=lambda s: 2 * s**2),
        filled(y_of=lambda y, b, k: y[k]),
        filled(y_of=lambda y, b, k: b[k]),
        filled(y_of=lambda y, b, k: (b - y)[k]),
        filled(y_of=lambda y, b, k: y[k] - b.mean()),
        filled(out=lambda W, z, b: W @ z),
        filled(out=lambda W, z, b: W @ z - b),
        filled(out=lambda W, z, b: z),
        filled(out=lambda W, z, b: b),
        filled(out=lambda W, z, b: W @ z + b.mean()),
        filled(out=lambda W, z, b: (W @ z + b).numpy()),
        filled(out=lambda W, z, b: (W @ z + b).double()),
        filled(out=lambda W, z, b: (W @ z + b)[None]),
        filled(out=lambda W, z, b: (W @ z + b).clamp(0, 1)),
        lambda y, known, W, b, sigma: torch.where(known, y, right_fill(y, known, W, b, sigma)),
        lambda y, known, W, b, sigma: torch.where(known, y, b),
        lambda y, known, W, b, sigma: torch.where(known, y, y[known].mean()),
        lambda y, known, W, b, sigma: right_fill(y, known, W, b, sigma)[known],
        lambda y, known, W, b, sigma: right_fill(y, known, W, b, sigma)[~known],
        lambda y, known, W, b, sigma: y.copy_(right_fill(y, known, W, b, sigma)),
        lambda y, known, W, b, sigma: W @ (torch.linalg.pinv(W) @ (y - b)) + b,
    ],
}

TOLD = {
    "06.1": [(over_by_straight_colours, "divides by nothing")],
}
