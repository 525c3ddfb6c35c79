"""Other right answers to the exercises of notebook 13, in other styles."""

import bisect
import fractions
import functools
import hashlib
import itertools
import math
import statistics

import numpy as np
import torch


def split_by_bytes(content):
    u = (int.from_bytes(hashlib.sha256(content).digest()[:7], "big") >> 4) / 2**52
    if u < 0.1:
        return "test"
    if u < 0.2:
        return "validation"
    return "train"


def split_by_bits(content):
    """Equation (13.1) as it stands."""
    digest = hashlib.sha256(content).digest()
    bits = [digest[(k - 1) // 8] >> (7 - (k - 1) % 8) & 1 for k in range(1, 53)]
    u = sum(bit * 2.0**-k for k, bit in enumerate(bits, 1))
    return ("test", "validation", "train")[bisect.bisect_right((0.1, 0.2), u)]


def split_by_the_whole_digest(content):
    h = hashlib.new("sha256")
    h.update(content)
    return {0: "test", 1: "validation"}.get(int(h.hexdigest(), 16) * 10 // 2**256, "train")


def split_by_a_text_of_bits(content):
    text = bin(int("1" + hashlib.sha256(content).hexdigest(), 16))[3:55]
    u = fractions.Fraction(int(text, 2), 2**52)
    for name, limit in {"test": 0.1, "validation": 0.2, "train": 1.0}.items():
        if u < limit:
            return name


def split_in_parts(content):
    """A large file is read piece by piece."""
    h = hashlib.sha256()
    for start in range(0, len(content), 1000):
        h.update(memoryview(content)[start : start + 1000])
    share = np.frombuffer(h.digest()[:8], ">u8")[0] / 2.0**64
    return str(np.select([share < 0.1, share < 0.2], ["test", "validation"], "train"))


@functools.lru_cache
def split_remembered(content):
    u = float.fromhex("0x0." + hashlib.sha256(content).hexdigest()[:13])
    return "train" if u >= 0.2 else "validation" if u >= 0.1 else "test"


def split_by_numpy_text(content):
    return np.array(["test", "validation", "train"])[np.digitize(split_share(content), [0.1, 0.2])]


def split_share(content):
    return int.from_bytes(hashlib.sha256(content).digest()) / 2**256


def split_by_torch(content):
    digits = hashlib.sha256(content).hexdigest()[:13]
    bits = torch.tensor([int(bit) for digit in digits for bit in f"{int(digit, 16):04b}"], dtype=torch.float64)
    u = bits @ 0.5 ** torch.arange(1, 53, dtype=torch.float64)
    return "test" if u < 0.1 else "validation" if u < 0.2 else "train"


def split_at(limits, content):
    u = int(hashlib.sha256(content).hexdigest()[:13], 16) / 2**52
    return "test" if u < limits[0] else "validation" if u < limits[1] else "train"


class Split:
    def __call__(self, content):
        return next(name for limit, name in self.limits if split_share(content) < limit)

    limits = ((0.1, "test"), (0.2, "validation"), (2, "train"))


def more_by_one_fraction(held_out, own, times):
    """(13.4) as it stands."""
    b_inf = (held_out + own) / 2
    return b_inf + (held_out - own) / (2 * times), b_inf


def more_by_what_is_gained(held_out, own, times):
    gap = held_out - own
    return held_out - gap / 2 * (1 - 1 / times), held_out - gap / 2


def more_from_own(held_out, own, times):
    """From below: own pictures' bits rise by half the gap."""
    floor = own + 0.5 * (held_out - own)
    return [floor + (held_out - floor) / times, floor]


def more_by_weights(held_out, own, times):
    near, far = (1 + 1 / times) / 2, (1 - 1 / times) / 2
    return near * held_out + far * own, statistics.fmean((held_out, own))


def more_by_both_curves(held_out, own, times):
    """Two unknowns of two equations: b_inf + e and b_inf - e."""
    b_inf, e = np.linalg.solve([[1, 1], [1, -1]], [held_out, own])
    return np.array([b_inf + e / times, b_inf])


def more_of_tensors(held_out, own, times):
    b = torch.tensor([held_out, own], dtype=torch.float64)
    return torch.stack([b.mean() - b.diff()[0] / 2 / times, b.mean()])


def more_in_single_precision(held_out, own, times):
    mean, half = (torch.tensor(held_out) + own) / 2, (torch.tensor(held_out) - own) / 2
    return mean + half / times, mean


def more_by_lerp(held_out, own, times):
    """The share of the way down to own pictures' bits."""
    share = torch.tensor([0.5 - 0.5 / times, 0.5], dtype=torch.float64)
    return torch.lerp(torch.full_like(share, held_out), torch.full_like(share, own), share).unbind()


def more_by_a_matrix(held_out, own, times):
    """Both from both, in single precision."""
    weights = torch.tensor([[0.5 + 0.5 / times, 0.5 - 0.5 / times], [0.5, 0.5]])
    return tuple(weights @ torch.tensor([held_out, own]))


def more_than_half(half, held_out, own, times):
    return half * (held_out + own) + half * (held_out - own) / times, half * (held_out + own)


def more_generated(held_out, own, times):
    return tuple((held_out + own + (held_out - own) * left) / 2 for left in (1 / times, 0))


def more_of_fractions(held_out, own, times):
    held_out, own, times = map(fractions.Fraction, (held_out, own, times))
    mean = (held_out + own) / 2
    return float(mean + (held_out - mean) / times), float(mean)


def more_by_the_parameters(held_out, own, times, n=1000):
    """k of (13.3) first, as if with N pictures: any N gives the same."""
    k = n * (held_out - own)
    b_inf = held_out - k / (2 * n)
    return np.float64(b_inf + k / (2 * times * n)), np.float64(b_inf)


def more_of_infinitely_many(held_out, own, times):
    """One curve, asked twice."""

    def curve(t):
        return held_out - (held_out - own) / 2 + (held_out - own) / 2 * t**-1.0

    return curve(times), curve(math.inf)


def near_by_numpy(train, held_out):
    x, y = train.numpy(), held_out.numpy()
    apart = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    usual = np.median(apart[np.triu_indices(len(x), k=1)])
    return np.mean(np.sqrt(((y[:, None] - x[None]) ** 2).sum(-1)).min(-1) < 0.15 * usual)


def near_by_squares(train, held_out):
    """Squares on both sides, of 0.15, too, and no root."""
    own = (train[:, None] - train).square().sum(2)
    usual = own[~torch.eye(len(train), dtype=torch.bool)].median()
    return ((held_out[:, None] - train).square().sum(2).min(dim=1)[0] < 0.0225 * usual).float().mean().item()


def near_by_any(train, held_out):
    """Whichever training picture it is."""
    usual = torch.pdist(train.double()).quantile(0.5)
    return (torch.cdist(train.double(), held_out.double()) < 0.15 * usual).any(0).sum() / len(held_out)


def near_by_scipy(train, held_out):
    from scipy.spatial.distance import cdist, pdist

    usual = np.median(pdist(train.numpy()))
    return float((cdist(held_out.numpy(), train.numpy()).min(axis=1) / usual < 0.15).mean())


def near_by_scikit(train, held_out):
    from sklearn.metrics import pairwise_distances
    from sklearn.neighbors import NearestNeighbors

    n, k = np.tril_indices(len(train), -1)
    usual = np.percentile(pairwise_distances(train.double().numpy())[n, k], 50)
    other, _ = NearestNeighbors(n_neighbors=1).fit(train.numpy()).kneighbors(held_out.numpy())
    return float((other < 0.15 * usual).mean())


def near_by_loops(train, held_out):
    own = sorted(math.dist(x, y) for x, y in itertools.combinations(train.tolist(), 2))
    limit = 15 * own[len(own) // 2] / 100  # the upper one of an even number
    found = [min(math.dist(x, y) for x in train.tolist()) for y in held_out[:5].tolist()]
    found += [(train - y).norm(dim=1).min().item() for y in held_out[5:]]
    return sum(d < limit for d in found) / len(found)


def near_by_mean_squares(train, held_out):
    """The root of the mean square difference of a number, on both sides."""
    scale = train.shape[1] ** 0.5
    usual = (torch.pdist(train) / scale).median().item()
    nearest = (torch.cdist(held_out, train) / scale).min(1).values
    return torch.count_nonzero(nearest < 0.15 * usual) / len(nearest)


def near_both_ways(train, held_out):
    """Each pair twice, as (n, k) and as (k, n), which is the same median."""
    own = torch.cdist(train, train)[1 - torch.eye(len(train)) > 0]
    near = (torch.cdist(held_out, train).min(1).values < 0.15 * own.median()).sum()
    return fractions.Fraction(int(near), len(held_out))


def near_in_parts(train, held_out):
    """As of a large folder: a part of the training pictures at a time."""
    rows = [torch.cdist(train[n : n + 1], train[n + 1 :])[0] for n in range(len(train))]
    best = torch.full((len(held_out),), math.inf, dtype=train.dtype)
    for part in train.split(7):
        best = torch.minimum(best, torch.cdist(held_out, part).amin(1))
    return best.lt(torch.cat(rows).median() * 0.15).to(train.dtype).mean()


def near_by_nan(train, held_out):
    own = torch.cdist(train, train).fill_diagonal_(math.nan)
    return (torch.cdist(held_out, train).topk(1, largest=False).values < 0.15 * own.nanmedian()).float().mean()


def near_by_products(train, held_out):
    """|x - y|^2 = |x|^2 - 2 x y + |y|^2, about the mean picture."""
    x, y = (t.double() - train.double().mean(0) for t in (train, held_out))

    def apart(a, b):
        return (a.square().sum(1)[:, None] - 2 * a @ b.T + b.square().sum(1)).clamp(min=0).sqrt()

    n, k = torch.triu_indices(len(x), len(x), offset=1)
    own = apart(x, x)[n, k].sort().values
    return (apart(y, x).min(1)[0] < 0.15 * own[(len(own) - 1) // 2]).double().mean().numpy()


def near_by_statistics(train, held_out):
    pairs = [float((x - y).norm()) for i, x in enumerate(train[:20]) for y in train[:i]]
    if len(train) > 20:
        pairs = torch.pdist(train).tolist()
    limit = 0.15 * statistics.median(pairs)
    return statistics.fmean(float((train - y).norm(dim=1).min()) < limit for y in held_out)


def near_by_pairwise_distance(train, held_out):
    """Which adds 1e-6 to each difference."""
    apart = torch.nn.functional.pairwise_distance
    usual = torch.cat([apart(train[k], train[:k]) for k in range(1, len(train))]).median()
    return torch.stack([(apart(y, train).min() < 0.15 * usual).float() for y in held_out]).mean()


class Near(torch.nn.Module):
    """Compared as they are, without a product in between."""

    def forward(self, train, held_out):
        apart = functools.partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
        usual = apart(train, train)[~torch.eye(len(train), dtype=torch.bool)].quantile(0.5)
        return (apart(held_out, train) < 0.15 * usual).any(1).float().mean()


def near_to_share(share, train, held_out):
    return (torch.cdist(held_out, train).min(1).values < share * torch.pdist(train).median()).sum() / len(held_out)


def gradient_by_weights(gradients, sizes):
    n = sum(sizes)
    return sum((size / n) * gradient for gradient, size in zip(gradients, sizes, strict=True))


def gradient_by_stack(gradients, sizes):
    weights = torch.tensor(sizes, dtype=gradients[0].dtype)
    return torch.tensordot(weights / weights.sum(), torch.stack(gradients), dims=1)


def gradient_by_einsum(gradients, sizes):
    G = torch.stack(gradients)
    return torch.einsum("k,k...->...", torch.tensor(sizes).to(G), G) / sum(sizes)


def gradient_by_loop(gradients, sizes):
    total = torch.zeros_like(gradients[0])
    for k in range(len(sizes)):
        total += sizes[k] * gradients[k]
    return total.div_(sum(sizes))


def gradient_by_running_mean(gradients, sizes):
    mean, seen = torch.zeros_like(gradients[0]), 0
    for gradient, n in zip(gradients, sizes, strict=True):
        if n:
            seen += n
            mean = mean + (gradient - mean) * (n / seen)
    return mean


def gradient_by_repeats(gradients, sizes):
    """A mean stands for each of its pictures; of many the weights are taken."""
    if sum(sizes) > 100:
        return gradient_by_weights(gradients, sizes)
    return torch.stack([g for g, n in zip(gradients, sizes, strict=True) for _ in range(n)]).mean(0)


def gradient_by_numpy(gradients, sizes):
    mean = np.average([g.double().numpy() for g in gradients], axis=0, weights=sizes)
    return torch.as_tensor(mean).to(gradients[0].dtype)


def gradient_from_numpy(gradients, sizes):
    """NumPy gives a plain number where a gradient is one."""
    each = np.stack([g.numpy() for g in gradients])
    return torch.from_numpy(np.asarray(np.tensordot(np.array(sizes) / sum(sizes), each, 1))).to(gradients[0])


def gradient_by_single_weights(gradients, sizes):
    """Of float64, too: single precision is enough for the weights."""
    weights, each = torch.tensor(sizes) / sum(sizes), torch.stack(gradients)
    return (each * weights.reshape(-1, *[1] * (each.ndim - 1))).sum(0)


def gradient_by_any_sum(add, gradients, sizes):
    return add(g * n for g, n in zip(gradients, sizes, strict=True)) / add(sizes)


class Whole(torch.nn.Module):
    """In double precision within."""

    def forward(self, gradients, sizes):
        total = torch.zeros_like(gradients[0], dtype=torch.float64)
        for g, n in zip(gradients, sizes, strict=True):
            total.add_(g.double(), alpha=n)
        return total.div(sum(sizes)).to(gradients[0].dtype)


def gradient_by_reduce(gradients, sizes):
    return functools.reduce(torch.add, map(torch.mul, gradients, map(torch.tensor, sizes))) / torch.tensor(sizes).sum()


def step_by_floor(pictures, processes, seconds, size, bandwidth):
    share = -(-pictures // processes)
    return share * seconds + 2 * (1 - 1 / processes) * size / bandwidth


def step_by_ring(pictures, processes, seconds, size, bandwidth):
    """Piece by piece."""
    share = max(len(range(k, pictures, processes)) for k in range(processes))
    steps = 2 * (processes - 1)
    return share * seconds + sum(size / processes / bandwidth for _ in range(steps))


def step_by_case(pictures, processes, seconds, size, bandwidth):
    if processes == 1:
        return pictures * seconds
    most = (pictures + processes - 1) // processes
    sums = copies = (processes - 1) * (size / processes) / bandwidth
    return most * seconds + sums + copies


def step_by_numpy(pictures, processes, seconds, size, bandwidth):
    return np.ceil(pictures / processes) * seconds + np.divide(2 * size, bandwidth) * (processes - 1) / processes


def step_of_tensors(pictures, processes, seconds, size, bandwidth):
    n, size = torch.tensor(processes, dtype=torch.float64), torch.tensor(size, dtype=torch.float64)
    return torch.ceil(pictures / n) * seconds + 2 * (n - 1) / n * size / bandwidth


def step_in_single_precision(pictures, processes, seconds, size, bandwidth):
    share = torch.tensor(pictures / processes).ceil()
    return share * seconds + 2 * (processes - 1) / processes * size / bandwidth


def step_by_divmod(pictures, processes, seconds, size, bandwidth):
    whole, left = divmod(pictures, processes)
    there = size / bandwidth
    return np.float32((whole + (left > 0)) * seconds + 2 * (there - there / processes))


def step_rounded_by(up, pictures, processes, seconds, size, bandwidth):
    return up(pictures / processes) * seconds + 2 * (processes - 1) * size / (processes * bandwidth)


def step_of_a_hair_less(pictures, processes, seconds, size, bandwidth):
    """A guard against rounding, which is wrong for more than a billion processes only: nobody has as many."""
    return math.ceil(pictures / processes - 1e-9) * seconds + 2 * (processes - 1) / processes * size / bandwidth


class Step:
    def __call__(self, pictures, processes, seconds, size, bandwidth):
        return math.fsum((math.ceil(pictures / processes) * seconds, 2 * size / bandwidth * (1 - 1 / processes)))


def step_of_fractions(pictures, processes, seconds, size, bandwidth):
    n = fractions.Fraction(processes)
    share = math.ceil(pictures / n)
    return share * fractions.Fraction(seconds) + 2 * (n - 1) / n * fractions.Fraction(size) / fractions.Fraction(
        bandwidth
    )


ACCEPTED = {
    "13.1": [
        *(split_by_bytes, split_by_bits, split_by_the_whole_digest, split_by_a_text_of_bits, split_in_parts),
        *(split_remembered, split_by_numpy_text, Split(), split_by_torch, functools.partial(split_at, (0.1, 0.2))),
    ],
    "13.2": [
        *(more_by_one_fraction, more_by_what_is_gained, more_from_own, more_by_weights, more_by_both_curves),
        *(more_of_tensors, more_in_single_precision, more_by_lerp, more_generated, more_of_fractions),
        *(more_by_the_parameters, more_of_infinitely_many, more_by_a_matrix, functools.partial(more_than_half, 0.5)),
    ],
    "13.3": [
        *(near_by_numpy, near_by_squares, near_by_any, near_by_scipy, near_by_scikit, near_by_loops),
        *(near_by_mean_squares, near_both_ways, near_in_parts, near_by_nan, near_by_products, near_by_statistics),
        *(near_by_pairwise_distance, Near(), functools.partial(near_to_share, 0.15)),
    ],
    "13.4": [
        *(gradient_by_weights, gradient_by_stack, gradient_by_einsum, gradient_by_loop, gradient_by_running_mean),
        *(gradient_by_repeats, gradient_by_numpy, gradient_by_reduce, gradient_from_numpy, gradient_by_single_weights),
        *(functools.partial(gradient_by_any_sum, sum), Whole()),
    ],
    "13.5": [
        *(step_by_floor, step_by_ring, step_by_case, step_by_numpy, step_of_tensors, step_of_fractions),
        *(step_in_single_precision, step_by_divmod, functools.partial(step_rounded_by, np.ceil), Step()),
        step_of_a_hair_less,
    ],
}
