"""Other right answers to the exercises of notebook 06, in other styles."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Normal


def over_in_parts(front, back):
    alpha = front[:, 3:4]
    colours = front[:, :3] + back[:, :3] - alpha * back[:, :3]
    return torch.cat([colours, alpha + back[:, 3:4] - alpha * back[:, 3:4]], dim=1)


def over_by_unbinding(front, back):
    shows = 1 - front.unbind(1)[-1]
    return torch.stack([f + shows * b for f, b in zip(front.unbind(1), back.unbind(1), strict=True)], 1)


def over_by_lerp(front, back):
    return front + torch.lerp(back, torch.zeros_like(back), front[:, -1:])


def over_by_careful_division(front, back):
    a, b = front[:, 3:], back[:, 3:]
    colour = back[:, :3] / b.clamp(min=1e-12)
    return torch.cat([front[:, :3] + (1 - a) * b * colour, 1 - (1 - a) * (1 - b)], 1)


def halve_by_blocks(rgba):
    n, _, h, w = rgba.shape
    blocks = rgba.reshape(n, 4, h // 2, 2, w // 2, 2)
    weight = blocks[:, 3:]
    total = weight.sum((3, 5))
    colours = (blocks[:, :3] * weight).sum((3, 5)) / torch.where(total > 0, total, 1.0)
    return torch.cat([colours, total / 4], 1)


def halve_by_slices(rgba):
    four = [rgba[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    alpha = sum(x[:, 3:] for x in four) / 4
    colour = sum(x[:, :3] * x[:, 3:] for x in four) / 4
    return torch.cat([torch.nan_to_num(colour / alpha), alpha], 1)


def halve_by_interpolation(rgba):
    a = rgba[:, 3:]
    c, a = (F.interpolate(x, scale_factor=0.5, mode="area") for x in (rgba[:, :3] * a, a))
    return torch.cat([c / (a + (a == 0)), a], 1)


def laplacian_by_replicating(x):
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")  # a pixel's copy of itself adds nothing
    return 4 * x - p[..., 2:, 1:-1] - p[..., :-2, 1:-1] - p[..., 1:-1, 2:] - p[..., 1:-1, :-2]


def laplacian_by_convolution(x):
    kernel = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=x.dtype).expand(x.shape[1], 1, 3, 3)
    around, count = (F.conv2d(y, kernel, padding=1, groups=x.shape[1]) for y in (x, torch.ones_like(x)))
    return count * x - around


def laplacian_by_loops(x):
    out = torch.zeros_like(x)
    _, _, h, w = x.shape
    for i in range(h):
        for j in range(w):
            for k, m in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= k < h and 0 <= m < w:
                    out[:, :, i, j] += x[:, :, i, j] - x[:, :, k, m]
    return out


def tents_by_relu(u, knots):
    k = torch.linspace(0, 1, knots)
    return F.relu(1 - (knots - 1) * (u.unsqueeze(1) - k).abs())


def tents_by_two_weights(u, knots):
    place = u * (knots - 1)
    below = place.floor().clamp(max=knots - 2).long()
    share = (place - below)[:, None]
    return F.one_hot(below, knots) * (1 - share) + F.one_hot(below + 1, knots) * share


def tents_by_loop(u, number):
    columns = [torch.maximum(1 - torch.abs(u * (number - 1) - k), torch.zeros_like(u)) for k in range(number)]
    return torch.stack(columns, dim=1)


def chosen_by_distribution(x, mean, mask, sigma):
    return (Normal(mean, sigma).log_prob(x) * mask).sum(dim=(1, 2, 3))


def chosen_by_einsum(x, mean, mask, sigma):
    nats = ((x - mean) ** 2 / sigma**2 + math.log(2 * math.pi * sigma**2)) / -2
    return torch.einsum("nchw,nhw->n", nats, mask[:, 0])


def chosen_in_two_sums(x, mean, mask, sigma):
    error = (mask * (x - mean).square()).sum((1, 2, 3)) / (2 * sigma**2)
    count = mask.sum((1, 2, 3)) * x.shape[1]
    return -error - count * (math.log(sigma) + 0.5 * math.log(2 * math.pi))


def direction_by_weights(codes, has):
    weights = has.to(codes)
    return (weights @ codes) / weights.sum() - ((1 - weights) @ codes) / (1 - weights).sum()


def direction_by_regression(codes, has):
    y = has.to(codes)
    y = y - y.mean()
    return y @ (codes - codes.mean(0)) / (y @ y)


def direction_by_loop(codes, has):
    groups = {True: [], False: []}
    for code, flag in zip(codes, has.tolist(), strict=True):
        groups[flag].append(code)
    return torch.stack(groups[True]).mean(dim=0) - torch.stack(groups[False]).mean(dim=0)


def halve_by_a_kernel(rgba):
    alpha = rgba[:, 3:]
    four = torch.cat([rgba[:, :3] * alpha, alpha], 1)
    small = F.conv2d(four, torch.full((4, 1, 2, 2), 0.25), stride=2, groups=4)
    return torch.cat([torch.where(small[:, 3:] > 0, small[:, :3] / small[:, 3:], 0.0), small[:, 3:]], 1)


def halve_with_a_harmless_epsilon(rgba):
    alpha = rgba[:, 3:]
    small = F.avg_pool2d(torch.cat([rgba[:, :3] * alpha, alpha], 1), 2)
    return torch.cat([small[:, :3] / (small[:, 3:] + 1e-6), small[:, 3:]], 1)


def laplacian_by_a_plain_kernel(x):
    kernel = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


def laplacian_by_matrices(x):
    def along(n):
        step = torch.eye(n)[1:] - torch.eye(n)[:-1]
        return step.T @ step

    return along(x.shape[2]) @ x + x @ along(x.shape[3])


def tents_by_scattering(u, knots):
    place = u * (knots - 1)
    below = place.long().clamp(max=knots - 2)
    share = (place - below)[:, None]
    out = torch.zeros(len(u), knots).scatter_(1, below[:, None], 1 - share)
    return out.scatter_(1, below[:, None] + 1, share)


def chosen_by_a_boolean_mask(x, mean, mask, sigma):
    nats = Normal(mean, sigma).log_prob(x)
    return torch.where(mask.bool(), nats, 0.0).sum((1, 2, 3))


def chosen_by_indexing(x, mean, mask, sigma):
    chosen = (mask > 0).expand_as(x)
    return torch.stack([Normal(m[c], sigma).log_prob(a[c]).sum() for a, m, c in zip(x, mean, chosen, strict=True)])


def chosen_with_masked_misses(x, mean, mask, sigma):
    misses = (mask * (x - mean)).square().flatten(1).sum(1)  # of 0 and 1, the square is the same
    count = x.shape[1] * mask.flatten(1).sum(1)
    return -misses / (2 * sigma**2) - count * math.log(sigma * math.sqrt(2 * math.pi))


def direction_in_float(codes, has):
    one = has.float()
    return one @ codes / one.sum() - (1 - one) @ codes / (1 - one).sum()


def direction_by_least_squares(codes, has):
    return torch.linalg.lstsq(torch.stack([torch.ones(len(has)), has.float()], 1), codes).solution[1]


def code_by_cosine(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
    z = start.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([z], lr=learning_rate)
    fading = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        x_hat = decode(z)
        energy = z.pow(2).sum() / 2
        for x, m in zip(sources, masks, strict=True):
            energy = energy - (m * Normal(x_hat, sigma).log_prob(x)).sum()
        adam.zero_grad()
        energy.backward()
        adam.step()
        fading.step()
    return z.detach()


def code_by_weight_decay(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
    z = start.detach().clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=learning_rate, weight_decay=1.0)  # adds z, the slope of |z|^2 / 2
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, steps)
    for _ in range(steps):
        mean = decode(z)
        fits = [(m * Normal(mean, sigma).log_prob(x)).sum() for x, m in zip(sources, masks, strict=True)]
        adam.zero_grad()
        (-sum(fits)).backward()
        adam.step()
        falling.step()
    return z.detach()


def code_by_a_parameter(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
    z = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([z], lr=learning_rate, betas=(0.9, 0.98))
    for step in range(steps):
        mean = decode(z)
        fit = 0
        for x, m in zip(sources, masks, strict=True):
            fit = fit - 0.5 * (m * ((x - mean) / sigma) ** 2).flatten(1).sum(1)
        z.grad = torch.autograd.grad((0.5 * z.square().sum(1) - fit).sum(), z)[0]
        adam.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
        adam.step()
    return z.detach()


def code_by_stacked_sources(decode, sources, masks, start, sigma, steps=150, learning_rate=0.1):
    x, m = torch.stack(list(sources)), torch.stack(list(masks))
    z = start.clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=learning_rate)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda t: 1 - t / steps)
    for _ in range(steps):
        misses = (m * (x - decode(z)).square()).sum() / (2 * sigma**2)
        adam.zero_grad(set_to_none=True)
        (misses + 0.5 * torch.einsum("nd,nd->", z, z)).backward()
        adam.step()
        falling.step()
    return z.detach()


def fill_by_covariance(y, known, W, b, sigma):
    """The textbook's conditional mean of the clean picture, with the covariance of all pixels."""
    C = W @ W.T
    noisy = C[known][:, known] + sigma**2 * torch.eye(int(known.sum()))
    return b + C[:, known] @ torch.linalg.solve(noisy, (y - b)[known])


def fill_by_a_weighted_ridge(y, known, W, b, sigma):
    m = known.to(W)
    A = W.T @ (m[:, None] * W) / sigma**2 + torch.eye(W.shape[1])
    return b + W @ torch.linalg.inv(A) @ (W.T @ (m * (y - b))) / sigma**2


def fill_by_least_squares(y, known, W, b, sigma):
    rows = torch.cat([W[known], sigma * torch.eye(W.shape[1])])
    right = torch.cat([y[known] - b[known], torch.zeros(W.shape[1])])
    return b + W @ torch.linalg.lstsq(rows, right[:, None]).solution[:, 0]


def fill_by_cholesky(y, known, W, b, sigma):
    A = W[known]
    L = torch.linalg.cholesky(A.mT @ A + torch.diag(torch.full((W.shape[1],), float(sigma) ** 2)))
    z = torch.cholesky_solve((A.mT @ (y[known] - b[known]))[:, None], L)
    return (W @ z)[:, 0] + b


ACCEPTED = {
    "06.1": [over_in_parts, over_by_careful_division, over_by_unbinding, over_by_lerp],
    "06.2": [
        halve_by_blocks,
        halve_by_slices,
        halve_by_interpolation,
        halve_by_a_kernel,
        halve_with_a_harmless_epsilon,
    ],
    "06.3": [
        laplacian_by_replicating,
        laplacian_by_convolution,
        laplacian_by_loops,
        laplacian_by_a_plain_kernel,
        laplacian_by_matrices,
    ],
    "06.4": [tents_by_relu, tents_by_two_weights, tents_by_loop, tents_by_scattering],
    "06.5": [
        chosen_by_distribution,
        chosen_by_einsum,
        chosen_in_two_sums,
        chosen_by_a_boolean_mask,
        chosen_by_indexing,
        chosen_with_masked_misses,
    ],
    "06.6": [
        direction_by_weights,
        direction_by_regression,
        direction_by_loop,
        direction_in_float,
        direction_by_least_squares,
    ],
    "06.7": [code_by_cosine, code_by_weight_decay, code_by_a_parameter, code_by_stacked_sources],
    "06.8": [fill_by_covariance, fill_by_a_weighted_ridge, fill_by_least_squares, fill_by_cholesky],
}
