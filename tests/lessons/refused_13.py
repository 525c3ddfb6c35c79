"""Wrong answers to the exercises of notebook 13, written from the statements alone: each has to be refused.

Those of TOLD are misconceptions that a message names, in other words than the lesson's: answer, a piece of the message.
"""

import fractions
import hashlib
import itertools
import math
import random
import zlib

import numpy as np
import torch


def split(u, names=("test", "validation", "train"), limits=(0.1, 0.2)):
    """By another number u, other names or other limits."""

    def answer(content):
        share = u(content)
        return names[0] if share < limits[0] else names[1] if share < limits[1] else names[2]

    return answer


def digest(content, kind="sha256"):
    return int(hashlib.new(kind, content).hexdigest(), 16)


def share(content):
    return digest(content) / 2**256


turn = itertools.count()
asked = []


def every_tenth(content):
    return {0: "test", 1: "validation"}.get(next(turn) % 10, "train")


def in_the_order_asked(content):
    """The first of ten different files that it sees."""
    if content not in asked:
        asked.append(content)
    return {0: "test", 1: "validation"}.get(asked.index(content) % 10, "train")


def once_seen(content):
    if content in asked:
        return "train"
    asked.append(content)
    return split(share)(content)


def seeded_for_all(content):
    random.seed(0)
    return random.choices(["test", "validation", "train"], [0.1, 0.1, 0.8])[0]


def seeded_by_numpy(content):
    return np.random.default_rng(list(content)).choice(["test", "validation", "train"], p=[0.1, 0.1, 0.8])


def salted(content):
    h = hash(content) % 100
    if h < 10:
        return "test"
    return "validation" if h < 20 else "train"


def of_text(content):
    """A path where bytes are asked for."""
    with open(content, "rb") as file:
        return split(share)(file.read())


def decoded(content):
    return split(share)(content.decode("utf-8").encode())


def encoded(content):
    return split(share)(content.encode())


def more(
    middle=lambda h, o: (h + o) / 2,
    half=lambda h, o: (h - o) / 2,
    left=lambda t: 1 / t,
    first=lambda m, e, left: m + e * left,
    last=lambda m, e, left: m,
    put=lambda b, m: (b, m),
):
    def answer(held_out, own, times):
        m, e, share = middle(held_out, own), half(held_out, own), left(times)
        return put(first(m, e, share), last(m, e, share))

    return answer


def more_of_law(exponent):
    """A curve from a paper."""
    return more(left=lambda t: t**-exponent)


def more_through_three(held_out, own, times):
    """A straight line through the logs of both, as if they were of N and 2 N."""
    slope = np.polyfit(np.log([1, 2]), np.log([held_out, own]), 1)
    return float(np.exp(np.polyval(slope, np.log(times)))), 0.0


def more_by_cases(held_out, own, times):
    """Only what the notebook asks for."""
    return more()(held_out, own, {2: 2, 4: 4}.get(times, 10))


def more_if_it_helps(held_out, own, times):
    return more()(held_out, own, times) if held_out > own else (held_out, held_out)


def near(
    usual=lambda x, y: torch.pdist(x).median(),
    other=lambda x, y: torch.cdist(y, x).min(1).values,
    put=lambda d, limit: (d < limit).float().mean(),
    limit=lambda usual: 0.15 * usual,
):
    return lambda train, held_out: put(other(train, held_out), limit(usual(train, held_out)))


def square(x):
    """(N, N), with infinity for a picture's distance to itself."""
    return torch.cdist(x, x).fill_diagonal_(torch.inf)


def pairs_that_differ(x, y):
    d = torch.cdist(x, x)
    return d[d > 0].median()


def near_of_scaled(train, held_out):
    train /= train.abs().max()
    held_out /= held_out.abs().max()
    return near()(train, held_out)


def near_of_centred(train, held_out):
    return near()(train - train.mean(0), held_out - held_out.mean(0))


def near_of_flattened(train, held_out):
    return near()(train.flatten(), held_out.flatten())


def near_in_place(train, held_out):
    """As sums of squares of what is left of the training pictures."""
    found = 0
    limit = 0.15 * torch.pdist(train).median()
    for y in held_out:
        train -= y
        found += (train.norm(dim=1).min() < limit).item()
        train += y
    held_out.sub_(held_out.mean(0))
    return found / len(held_out)


def near_and_taken_out(train, held_out):
    """Each training picture serves as the nearest once."""
    d, limit, found = torch.cdist(held_out, train), 0.15 * torch.pdist(train).median(), 0
    for row in d:
        found += (row.min() < limit).item()
        d[:, row.argmin()] = torch.inf
    return found / len(d)


def cosines(x, y):
    return 1 - torch.nn.functional.cosine_similarity(x[:, None], y, dim=2)


def cosines_to(x, y):
    return cosines(y, x).min(1).values


def whole(weight=lambda n, sizes: n / sum(sizes), last=lambda g, gradients, sizes: g):
    def answer(gradients, sizes):
        total = sum(weight(n, sizes) * g for g, n in zip(gradients, sizes, strict=True))
        return last(total, gradients, sizes)

    return answer


def whole_in_place(gradients, sizes):
    total = gradients[0]
    total *= sizes[0]
    for g, n in zip(gradients[1:], sizes[1:], strict=True):
        total += n * g
    return total / sum(sizes)


def whole_by_popping(gradients, sizes):
    total, n = 0, 0
    while gradients:
        size = sizes.pop()
        total, n = total + size * gradients.pop(), n + size
    return total / n


def whole_with_shares_written(gradients, sizes):
    n = sum(sizes)
    for k in range(len(sizes)):
        sizes[k] /= n
    return sum(s * g for s, g in zip(sizes, gradients, strict=True))


remembered = []


def whole_of_all_calls(gradients, sizes):
    remembered.extend((n * g.double().mean(), n) for g, n in zip(gradients, sizes, strict=True))
    return sum(g for g, _ in remembered) / sum(n for _, n in remembered) * torch.ones_like(gradients[0])


def whole_by_columns(gradients, sizes):
    """Weights of one new axis, whatever the shape."""
    w = torch.tensor(sizes, dtype=gradients[0].dtype)[:, None]
    return (w * torch.stack(gradients)).sum(0) / w.sum()


def whole_by_tensordot(gradients, sizes):
    """Weights in single precision, whatever the gradients."""
    return torch.tensordot(torch.tensor(sizes) / sum(sizes), torch.stack(gradients), 1)


def whole_by_einsum(gradients, sizes):
    """Weights that are whole numbers."""
    return torch.einsum("k,k...", torch.tensor(sizes), torch.stack(gradients)) / sum(sizes)


def whole_by_numpy(gradients, sizes):
    """A plain number where a gradient is one, which from_numpy does not take."""
    mean = np.average([g.numpy() for g in gradients], axis=0, weights=sizes)
    return torch.from_numpy(mean).to(gradients[0])


def whole_with_return_in_the_loop(gradients, sizes):
    total = 0
    for g, n in zip(gradients, sizes, strict=True):
        total = total + n * g
        return total / sum(sizes)


def whole_of_the_last(gradients, sizes):
    for g, n in zip(gradients, sizes, strict=True):
        total = n * g
    return total / sum(sizes)


def whole_clipped(bound):
    return whole(last=lambda g, *_: g.clamp(-bound, bound))


def whole_with_norm_one(gradients, sizes):
    g = whole()(gradients, sizes)
    return g / max(1.0, g.norm().item() / 100)


def seconds_of(
    share=lambda p, n: math.ceil(p / n), sent=lambda n: 2 * (n - 1) / n, put=lambda c, w: c + w, wire=lambda s, b: s / b
):
    return lambda pictures, processes, seconds, size, bandwidth: put(
        share(pictures, processes) * seconds, sent(processes) * wire(size, bandwidth)
    )


def timed(pictures, processes, seconds, size, bandwidth):
    return {"compute": math.ceil(pictures / processes) * seconds, "network": 2 * size / bandwidth}


REFUSED = {
    "13.1": [
        salted,
        split(lambda content: abs(hash(content)) / 2**63),
        split(lambda content: digest(content, "md5") / 2**128),
        split(lambda content: digest(content, "sha512") / 2**512),
        split(lambda content: zlib.crc32(content) / 2**32),
        split(lambda content: share(content[:100])),
        *(split(lambda content, n=n: share(content[:n])) for n in (20_000, 2**16, 10**6, 2**20)),
        split(lambda content: share(content[-(2**20) :])),
        split(lambda content: int.from_bytes(content[:7].ljust(7)) / 2**56),
        split(lambda content: share(content[8:])),
        split(lambda content: share(content.rstrip())),
        split(lambda content: share(repr(content).encode())),
        split(lambda content: share(hashlib.sha256(content).digest()[:13])),
        split(lambda content: digest(content) % 100 / 100),
        split(lambda content: digest(content) % 1000 / 1000),
        split(lambda content: (digest(content) >> 200) % 10 / 10),
        split(lambda content: (digest(content) >> 204) / 2**48),
        split(lambda content: int(hashlib.sha256(content).hexdigest()[:8], 16) / 2**32),
        split(lambda content: (digest(content) >> 204) % 2**32 / 2**32),
        split(lambda content: hashlib.sha256(content).digest()[0] / 256),
        split(lambda content: hashlib.sha256(content).digest()[0] / 255),
        split(lambda content: int(hashlib.sha256(content).hexdigest()[:2], 16) / 100),
        split(lambda content: int.from_bytes(hashlib.sha256(content).digest()[:2]) / 65536),
        split(lambda content: int.from_bytes(hashlib.sha256(content).digest()[:3]) / 2**24),
        split(lambda content: int.from_bytes(hashlib.sha256(content).digest()[:4], "little") / 2**32),
        split(lambda content: int.from_bytes(hashlib.sha256(content).digest(), "little") / 2**256),
        split(lambda content: round(share(content), 1)),
        split(lambda content: round(share(content), 2)),
        split(lambda content: round(share(content), 5)),
        split(lambda content: 1 - share(content)),
        split(share, limits=(0.2, 0.3)),
        split(share, limits=(0.1, 0.1)),
        split(share, limits=(0.1, 0.3)),
        split(share, limits=(0.05, 0.2)),
        split(share, limits=(10, 20)),
        split(share, names=("train", "validation", "test")),
        split(share, names=("train", "validation", "test"), limits=(0.8, 0.9)),
        split(share, names=("validation", "test", "train")),
        split(share, names=("test", "val", "train")),
        split(share, names=("Test", "Validation", "Train")),
        split(share, names=("test ", "validation ", "train ")),
        split(share, names=(b"test", b"validation", b"train")),
        split(share, names=(0, 1, 2)),
        split(share, names=(["test"], ["validation"], ["train"])),
        split(share, names=({"test": share}, {"validation": share}, {"train": share})),
        share,
        lambda content: (split(share)(content), share(content)),
        lambda content: share(content) < 0.1,
        lambda content: torch.tensor(share(content)),
        lambda content: "train" if share(content) >= 0.1 else "test",
        lambda content: hashlib.sha256(content).hexdigest(),
        lambda content: "validation",
        lambda content: {0: "test", 1: "validation"}.get(len(content) % 10, "train"),
        *(every_tenth, in_the_order_asked, once_seen, seeded_for_all, seeded_by_numpy, of_text, decoded),
        split(lambda content: random.random()),
        split(lambda content: torch.rand(())),
        split(lambda content: share(content.encode())),
        split(lambda content: int(hashlib.sha256(content).hexdigest()) / 16**64),
        split(lambda content: hashlib.sha256(content).hexdigest()[:13]),
        split(lambda content: share(content + b"salt")),
        split(lambda content: share(b"")),
        split(lambda content: share(bytes(sorted(content)))),
        split(lambda content: share(str(len(content)).encode())),
    ],
    "13.2": [
        lambda h, o, t: (h, o),
        lambda h, o, t: (h, h),
        lambda h, o, t: (o, o),
        lambda h, o, t: (h / t, 0.0),
        lambda h, o, t: (h / t, o / t),
        lambda h, o, t: (o + (h - o) / t, o),
        lambda h, o, t: (h - (h - o) / t, h - (h - o)),
        lambda h, o, t: (h - (h - o) / 2 / t, h - (h - o) / 2),
        lambda h, o, t: (h - (h - o) / 2 * t, (h + o) / 2),
        lambda h, o, t: (h - (h - o) / 2 * (1 - 1 / t) * 2, (h + o) / 2),
        lambda h, o, t: (h - (h - o) * t / (t + 1), (h + o) / 2),
        lambda h, o, t: (h + (h - o) / 2 * (1 - 1 / t), h + (h - o) / 2),
        lambda h, o, t: (h + (o - h) * (1 - 1 / t), o),
        lambda h, o, t: (o - (h - o) / (2 * t), o),
        lambda h, o, t: ((h + o) / 2 + h - o / (2 * t), (h + o) / 2),
        lambda h, o, t: ((h + o) / 2 + (h - o) / 2 * t, (h + o) / 2),
        lambda h, o, t: ((h + o) / 2 * t, (h + o) / 2),
        lambda h, o, t: ((h + o) / 2 + 1 / (2 * t), (h + o) / 2),
        lambda h, o, t: (h - 1 / (2 * t), h - 1 / 2),
        lambda h, o, t: ((t * h - o) / (t - 1), (h + o) / 2),
        lambda h, o, t: (h, (t * h - o) / (t - 1)),
        lambda h, o, t: (h * (o / h) ** (1 / t), o),
        lambda h, o, t: (h * o / t, (h + o) / 2),
        lambda h, o, t: (more()(h, o, t)[0], -math.inf),
        lambda h, o, t: (more()(h, o, t)[0], math.nan),
        lambda h, o, t: (more()(h, o, t)[0], None),
        lambda h, o, t: more()(h, o, t)[0],
        lambda h, o, t: more()(h, o, t)[1],
        lambda h, o, t: more()(h, o, t)[::-1],
        lambda h, o, t: more()(o, h, t),
        lambda h, o, t: more()(h, o, 2),
        lambda h, o, t: more()(h, o, 2 * t),
        lambda h, o, t: more()(h, o, math.inf),
        lambda h, o, t: more()(h, o, t - 1),
        lambda h, o, t: more()(h, o, 1 / t),
        lambda h, o, t: more()(h, o, range(t)),
        lambda h, o, t: more()(h, o, t)[0] - (h - o) / 2,
        more(put=lambda b, m: (b, m, 0.5)),
        more(put=lambda b, m: {"b": b, "m": m}),
        more(put=lambda b, m: {b, m}),
        more(put=lambda b, m: f"{b}, {m}"),
        more(put=lambda b, m: torch.tensor([[b, m]])),
        more(put=lambda b, m: [torch.tensor([b]), torch.tensor([m])]),
        more(put=lambda b, m: torch.tensor([b, m], dtype=torch.float16)),
        more(put=lambda b, m: torch.tensor([b, m]).int()),
        more(put=lambda b, m: (complex(b, 1), m)),
        *(more(put=lambda b, m, n=n: (round(b, n), round(m, n))) for n in (0, 1, 2, 3, 4)),
        more(put=lambda b, m: (b * math.log(2), m * math.log(2))),
        more(put=lambda b, m: (b / math.log(2), m / math.log(2))),
        more(put=lambda b, m: (max(b, 0.0), max(m, 0.0))),
        more(put=lambda b, m: (abs(b), abs(m))),
        more(put=lambda b, m: (b, min(b, m))),
        more(put=lambda b, m: (max(b, m), m)),
        more(middle=lambda h, o: math.sqrt(h * o)),
        more(middle=lambda h, o: 2 * h * o / (h + o)),
        more(middle=lambda h, o: math.hypot(h, o) / 2**0.5),
        more(middle=lambda h, o: math.log((math.exp(h) + math.exp(o)) / 2)),
        more(middle=lambda h, o: h + o / 2),
        more(middle=lambda h, o: (2 * h + o) / 3),
        more(middle=lambda h, o: (h + 2 * o) / 3),
        more(middle=lambda h, o: min(h, o)),
        more(middle=lambda h, o: (h + o) // 2),
        more(half=lambda h, o: h - o),
        more(half=lambda h, o: (h - o) / 4),
        more(half=lambda h, o: abs(h - o) / 2),
        more(half=lambda h, o: max(h - o, 0) / 2),
        more(half=lambda h, o: (h - o) ** 2 / 2),
        more(half=lambda h, o: math.sqrt(abs(h - o)) / 2),
        more(half=lambda h, o: (h - o) / o / 2),
        more(half=lambda h, o: h / o / 2),
        more(half=lambda h, o: h),
        more(half=lambda h, o: (h - o) / 2 + 1e-4),
        *(more_of_law(exponent) for exponent in (0, 0.35, 0.5, 2, -1)),
        more(left=lambda t: 1 / (t + 1)),
        more(left=lambda t: 2**-t),
        more(left=lambda t: 2.0 ** -(t - 1)),
        more(left=lambda t: math.exp(1 - t)),
        more(left=lambda t: 1 - 1 / t),
        more(left=lambda t: (t - 1) / t),
        more(left=lambda t: 1 - t),
        more(left=lambda t: 1 / math.log2(2 * t)),
        more(left=lambda t: 1 // t),
        more(left=lambda t: 1 / int(t)),
        more(left=lambda t: 1 / round(t)),
        more(left=lambda t: 1 / max(t, 1)),
        more(left=lambda t: min(1 / t, 1)),
        more(left=lambda t: 1 / min(t, 100)),
        more(left=lambda t: max(1 / t, 0.01)),
        *(more(left=lambda t, e=e: 1 / (t + e)) for e in (1e-4, 1e-6, 1e-8)),
        more(last=lambda m, e, left: m + e / 1e6),
        more(last=lambda m, e, left: m - e * left),
        more(last=lambda m, e, left: m + e * left),
        more(last=lambda m, e, left: m + e * left - e),
        more(last=lambda m, e, left: m - e),
        more(last=lambda m, e, left: e),
        more(first=lambda m, e, left: (m + e) * left),
        more(first=lambda m, e, left: m * left + e),
        more(first=lambda m, e, left: m - e * left),
        more(first=lambda m, e, left: e * left),
        *(more_through_three, more_by_cases, more_if_it_helps),
        more(put=lambda b, m: map(float, (b, m))),
        more(put=lambda b, m: {b: 0, m: 1}.keys()),
        more(put=lambda b, m: (fractions.Fraction(b), fractions.Fraction(m))),
    ],
    "13.3": [
        near(usual=lambda x, y: torch.pdist(x).mean()),
        near(usual=lambda x, y: torch.pdist(x).max()),
        near(usual=lambda x, y: torch.pdist(x).min()),
        near(usual=lambda x, y: torch.pdist(x).sum()),
        near(usual=lambda x, y: torch.pdist(x).std(unbiased=False)),
        near(usual=lambda x, y: torch.pdist(x).square().mean().sqrt()),
        near(usual=lambda x, y: torch.pdist(x).log().mean().exp()),
        near(usual=lambda x, y: torch.pdist(x).quantile(0.4)),
        near(usual=lambda x, y: torch.pdist(x).quantile(0.25)),
        near(usual=lambda x, y: torch.pdist(x).quantile(0.75)),
        near(usual=lambda x, y: torch.cdist(x, x).median()),
        near(usual=lambda x, y: torch.cdist(x, x).mean()),
        near(usual=lambda x, y: torch.cdist(x, x).tril().median()),
        near(usual=lambda x, y: torch.cdist(x, x).triu(1).median()),
        near(usual=lambda x, y: np.median(torch.cdist(x, x).numpy())),
        near(usual=lambda x, y: torch.cdist(x, x)[np.triu_indices(len(x))].median()),
        near(usual=lambda x, y: square(x).median()),
        near(usual=lambda x, y: square(x).mean()),
        near(usual=lambda x, y: square(x).min(1).values.median()),
        near(usual=lambda x, y: square(x).min(1).values.mean()),
        near(usual=lambda x, y: square(x).min(1).values.quantile(0.01)),
        near(usual=lambda x, y: square(x).median(1).values.median()),
        near(usual=lambda x, y: torch.cdist(x, x).median(0).values),
        near(usual=lambda x, y: torch.cdist(x, x).median(0).values.mean()),
        near(usual=lambda x, y: torch.cdist(x, x).mean(0).median()),
        near(usual=lambda x, y: torch.cdist(x, x).max(0).values.median()),
        near(usual=lambda x, y: torch.cdist(x, x).sort(1).values[:, 1].median()),
        near(usual=lambda x, y: torch.cdist(y, x).median()),
        near(usual=lambda x, y: torch.cdist(y, x).min(1).values.median()),
        near(usual=lambda x, y: torch.pdist(y).median() if len(y) > 1 else 0),
        near(usual=lambda x, y: torch.pdist(y).median()),
        near(usual=lambda x, y: torch.pdist(torch.cat([x, y])).median()),
        near(usual=lambda x, y: torch.pdist(x)[: len(x)].median()),
        near(usual=lambda x, y: torch.pdist(x[: len(x) // 2 + 1]).median()),
        near(usual=lambda x, y: torch.pdist(x[:100]).median()),
        near(usual=lambda x, y: torch.pdist(x[::2]).median()),
        near(usual=lambda x, y: torch.pdist(x[torch.randint(len(x), (len(x),))]).median()),
        near(usual=lambda x, y: torch.pdist(x.unique(dim=0)).median()),
        near(usual=lambda x, y: torch.pdist(x).unique().median()),
        near(usual=pairs_that_differ),
        near(usual=lambda x, y: (x - x.roll(1, 0)).norm(dim=1).median()),
        near(usual=lambda x, y: (x - x[torch.randperm(len(x))]).norm(dim=1).median()),
        near(usual=lambda x, y: (x - x.median(0).values).norm(dim=1).median()),
        near(usual=lambda x, y: x.norm(dim=1).median()),
        near(usual=lambda x, y: x.std()),
        near(usual=lambda x, y: x.median()),
        near(usual=lambda x, y: x.abs().max()),
        near(usual=lambda x, y: x.shape[1] ** 0.5),
        near(usual=lambda x, y: torch.pdist(x).square().median()),
        near(usual=lambda x, y: torch.pdist(x, p=1).median()),
        near(usual=lambda x, y: torch.pdist(x).median() / x.shape[1] ** 0.5),
        near(limit=lambda usual: 0.15),
        near(limit=lambda usual: 0.15**2 * usual),
        near(limit=lambda usual: 0.15**0.5 * usual),
        near(limit=lambda usual: 0.1 * usual),
        near(limit=lambda usual: 0.14 * usual),
        near(limit=lambda usual: 0.16 * usual),
        near(limit=lambda usual: 0.2 * usual),
        near(limit=lambda usual: 0.3 * usual),
        near(limit=lambda usual: 0.5 * usual),
        near(limit=lambda usual: 0.85 * usual),
        near(limit=lambda usual: 1.15 * usual),
        near(limit=lambda usual: 1.5 * usual),
        near(limit=lambda usual: 0.015 * usual),
        near(limit=lambda usual: 0.0015 * usual),
        near(limit=lambda usual: 15 * usual),
        near(limit=lambda usual: usual),
        near(limit=lambda usual: usual - 0.15),
        near(limit=lambda usual: usual**0.15),
        near(limit=lambda usual: 0.15 / usual),
        near(limit=lambda usual: (0.15 * usual).round()),
        near(limit=lambda usual: max(0.15 * usual, 0.15)),
        near(limit=lambda usual: 0.15 * usual + 1e-2),
        near(usual=lambda x, y: torch.pdist(x).quantile(0.15), limit=lambda q: q),
        near(usual=lambda x, y: torch.pdist(x).quantile(0.01), limit=lambda q: q),
        near(usual=lambda x, y: square(x).min(1).values.quantile(0.01), limit=lambda q: q),
        near(usual=lambda x, y: square(x).min(1).values.quantile(0.15), limit=lambda q: q),
        near(usual=lambda x, y: square(x).min(1).values.median(), limit=lambda q: q),
        near(other=lambda x, y: torch.cdist(y, x).mean(1)),
        near(other=lambda x, y: torch.cdist(y, x).max(1).values),
        near(other=lambda x, y: torch.cdist(y, x).median(1).values),
        near(other=lambda x, y: torch.cdist(y, x).min(0).values),
        near(other=lambda x, y: torch.cdist(y, x).min()),
        near(other=lambda x, y: torch.cdist(y, x).sort(1).values[:, 1]),
        near(other=lambda x, y: torch.cdist(y, x).square().min(1).values),
        *(near(other=lambda x, y, e=e: (torch.cdist(y, x).square() + e).sqrt().amin(1)) for e in (1e-3, 1e-6)),
        near(other=lambda x, y: torch.cdist(y, x, p=1).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x, p=torch.inf).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x).fill_diagonal_(torch.inf).min(1).values),
        near(other=lambda x, y: square(y).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x.mean(0, keepdim=True))[:, 0]),
        near(other=lambda x, y: (torch.cdist(y, x) / x.shape[1] ** 0.5).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x).flatten()),
        near(other=lambda x, y: torch.cdist(y, x[::2]).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x[:100]).min(1).values),
        near(other=lambda x, y: torch.cat([torch.cdist(y, x), square(y)], 1).min(1).values),
        near(other=lambda x, y: ((d := torch.cdist(y, x)) + 9e9 * (d == 0)).min(1).values),
        near(other=lambda x, y: torch.cdist(y, x).argmin(1)),
        near(usual=lambda x, y: cosines(x, x).median(), other=lambda x, y: cosines(y, x).min(1).values),
        near(
            usual=lambda x, y: torch.pdist(x).square().median(),
            other=lambda x, y: torch.cdist(y, x).square().min(1).values,
        ),
        near(put=lambda d, limit: (d < limit).sum()),
        near(put=lambda d, limit: 100 * (d < limit).float().mean()),
        near(put=lambda d, limit: (d > limit).float().mean()),
        near(put=lambda d, limit: (d <= limit).float().mean()),
        near(put=lambda d, limit: (d < limit).float()),
        near(put=lambda d, limit: d < limit),
        near(put=lambda d, limit: (d < limit).float().mean()[None]),
        near(put=lambda d, limit: (d < limit).any()),
        near(put=lambda d, limit: (d < limit).all()),
        near(put=lambda d, limit: (d < limit).nonzero()),
        near(put=lambda d, limit: ((d < limit).float().mean(), limit)),
        near(put=lambda d, limit: f"{(d < limit).float().mean():.3f}"),
        near(put=lambda d, limit: round((d < limit).float().mean().item(), 2)),
        near(put=lambda d, limit: (d < limit).float().std()),
        near(put=lambda d, limit: (d < limit).float().median()),
        near(put=lambda d, limit: (d < limit).sum() // len(d)),
        near(put=lambda d, limit: (d < limit).sum() / 100),
        near(put=lambda d, limit: (d < limit).sum() / (len(d) + 1e-6)),
        near(put=lambda d, limit: torch.sigmoid((limit - d) * 10 / limit).mean()),
        near(put=lambda d, limit: limit),
        near(put=lambda d, limit: d.mean() / limit),
        near(put=lambda d, limit: (d.mean() < limit).float()),
        near(put=lambda d, limit: ((d < limit) & (d > 0)).float().mean()),
        *(near_of_scaled, near_of_centred, near_of_flattened, near_in_place, near_and_taken_out),
        lambda train, held_out: near()(held_out, train) if len(held_out) > 1 else 0,
        lambda train, held_out: near()(train[:50], held_out),
        lambda train, held_out: near()(train, held_out[:10]),
        lambda train, held_out: near()(train.fill_(1), held_out),
        lambda train, held_out: near()(train.byte().float(), held_out.byte().float()),
        lambda train, held_out: near()(train.round(), held_out.round()),
        lambda train, held_out: (held_out[:, None] == train).all(2).any(1).float().mean(),
        lambda train, held_out: torch.isin(held_out, train).float().mean(),
        lambda train, held_out: (torch.cdist(held_out, train) < 0.15 * torch.pdist(train).median()).float().mean(),
        lambda train, held_out: (torch.cdist(held_out, train) < 0.15 * torch.pdist(train).median()).sum() / len(train),
        lambda train, held_out: len(held_out) / len(train),
        lambda train, held_out: 0.15,
        lambda train, held_out: 0.01,
        lambda train, held_out: 0.0,
    ],
    "13.4": [
        lambda gradients, sizes: sum(gradients) / len(gradients),
        lambda gradients, sizes: torch.stack(gradients).mean(0),
        lambda gradients, sizes: sum(gradients),
        lambda gradients, sizes: sum(gradients) / sum(sizes),
        lambda gradients, sizes: gradients[0],
        lambda gradients, sizes: gradients[0] if sizes[0] == max(sizes) else gradients[-1],
        lambda gradients, sizes: torch.cat(gradients),
        lambda gradients, sizes: torch.stack(gradients),
        lambda gradients, sizes: gradients,
        lambda gradients, sizes: torch.stack(gradients).median(0).values,
        lambda gradients, sizes: torch.stack(gradients).max(0).values,
        lambda gradients, sizes: whole()(gradients, sizes).tolist(),
        lambda gradients, sizes: whole()(gradients, sizes).numpy(),
        lambda gradients, sizes: whole()(gradients, sizes).half(),
        lambda gradients, sizes: whole()([g.double() for g in gradients], sizes),
        lambda gradients, sizes: whole()(gradients, sizes).requires_grad_(),
        lambda gradients, sizes: whole()(gradients, sizes)[None],
        lambda gradients, sizes: whole()(gradients, sizes).flatten(),
        lambda gradients, sizes: whole()(gradients, sizes[::-1]),
        lambda gradients, sizes: whole()(gradients, sorted(sizes)),
        lambda gradients, sizes: whole()(gradients[:2], sizes[:2]),
        lambda gradients, sizes: (whole()(gradients, sizes), sum(sizes)),
        lambda gradients, sizes: whole()([g.round() for g in gradients], sizes),
        whole(weight=lambda n, sizes: n),
        whole(weight=lambda n, sizes: n / len(sizes)),
        whole(weight=lambda n, sizes: n / sum(sizes) / len(sizes)),
        whole(weight=lambda n, sizes: n / sum(sizes) * len(sizes)),
        whole(weight=lambda n, sizes: n / max(sizes)),
        whole(weight=lambda n, sizes: n / max(sizes) / len(sizes)),
        whole(weight=lambda n, sizes: n / sizes[0] / len(sizes)),
        whole(weight=lambda n, sizes: n // sum(sizes)),
        whole(weight=lambda n, sizes: 1 / (n or 1)),
        whole(weight=lambda n, sizes: 1 / (n or 1) / sum(1 / (m or 1) for m in sizes)),
        whole(weight=lambda n, sizes: n**2 / sum(m**2 for m in sizes)),
        whole(weight=lambda n, sizes: n**0.5 / sum(m**0.5 for m in sizes)),
        whole(weight=lambda n, sizes: 1 - n / sum(sizes)),
        whole(weight=lambda n, sizes: n / (sum(sizes) - 1)),
        *(whole(weight=lambda n, sizes, e=e: n / (sum(sizes) + e)) for e in (1e-2, 1e-6)),
        whole(weight=lambda n, sizes: max(n, 1) / sum(max(m, 1) for m in sizes)),
        whole(weight=lambda n, sizes: min(n, 1000) / sum(min(m, 1000) for m in sizes)),
        whole(weight=lambda n, sizes: torch.tensor(sizes).float().softmax(0)[sizes.index(n)]),
        whole(last=lambda g, *_: -g),
        whole(last=lambda g, *_: g.mean()),
        whole(last=lambda g, *_: g.sum()),
        whole(last=lambda g, *_: g.norm()),
        whole(last=lambda g, *_: g / g.norm()),
        whole(last=lambda g, *_: g.sign()),
        whole(last=lambda g, gradients, sizes: g / sum(sizes)),
        *(whole_in_place, whole_by_popping, whole_with_shares_written, whole_of_all_calls, whole_by_columns),
        *(*map(whole_clipped, (1, 10, 1e3, 1e6)), whole_with_norm_one),
        *(whole_by_numpy, whole_with_return_in_the_loop, whole_of_the_last),
    ],
    "13.5": [
        seconds_of(share=lambda p, n: p / n),
        seconds_of(share=lambda p, n: p // n),
        seconds_of(share=lambda p, n: p // n + 1),
        seconds_of(share=lambda p, n: round(p / n)),
        *(seconds_of(share=lambda p, n, nines=nines: int(p / n + 1 - 10.0**-nines)) for nines in range(1, 7)),
        *(seconds_of(share=lambda p, n, e=e: math.ceil(p / n - e)) for e in (1e-2, 1e-6)),
        seconds_of(share=lambda p, n: math.ceil(p / n + 1e-9)),
        seconds_of(share=lambda p, n: math.ceil(p / (n + 1e-6))),
        seconds_of(share=lambda p, n: int(p / n + 0.5)),
        seconds_of(share=lambda p, n: max(1, p // n)),
        seconds_of(share=lambda p, n: p // n + p % n),
        seconds_of(share=lambda p, n: p),
        seconds_of(share=lambda p, n: 1),
        seconds_of(share=lambda p, n: math.ceil(p / n) * n),
        seconds_of(share=lambda p, n: math.ceil(p / n) / n),
        seconds_of(share=lambda p, n: math.ceil(p / (n + 1))),
        seconds_of(share=lambda p, n: math.ceil(p / max(1, n - 1))),
        seconds_of(sent=lambda n: 2 * n),
        seconds_of(sent=lambda n: 2 * (n - 1)),
        seconds_of(sent=lambda n: n - 1),
        seconds_of(sent=lambda n: n),
        seconds_of(sent=lambda n: n * (n - 1)),
        seconds_of(sent=lambda n: (n - 1) / n),
        seconds_of(sent=lambda n: (n - 1) // n),
        seconds_of(sent=lambda n: 2 / n),
        seconds_of(sent=lambda n: 1 / n),
        seconds_of(sent=lambda n: 2),
        seconds_of(sent=lambda n: 2 * (n > 1)),
        seconds_of(sent=lambda n: n > 1),
        seconds_of(sent=lambda n: 2 * math.log2(n)),
        seconds_of(sent=lambda n: math.log2(n)),
        seconds_of(sent=lambda n: 2 * n / (n + 1)),
        seconds_of(sent=lambda n: 2 * n / (n - 1)),
        seconds_of(sent=lambda n: 0),
        seconds_of(sent=lambda n: 2 * (n + 1) / n),
        seconds_of(put=max),
        seconds_of(put=min),
        seconds_of(put=lambda c, w: c * w),
        seconds_of(put=lambda c, w: c - w),
        seconds_of(put=lambda c, w: c),
        seconds_of(put=lambda c, w: w),
        seconds_of(put=lambda c, w: (c, w)),
        seconds_of(put=lambda c, w: [c + w]),
        seconds_of(put=lambda c, w: f"{c + w} s"),
        seconds_of(put=lambda c, w: {"seconds": c + w}),
        seconds_of(put=lambda c, w: torch.tensor([c + w])),
        seconds_of(put=lambda c, w: complex(c, w)),
        seconds_of(put=lambda c, w: int(c + w)),
        seconds_of(put=lambda c, w: round(c + w, 1)),
        seconds_of(put=lambda c, w: 1000 * (c + w)),
        seconds_of(put=lambda c, w: 1 / (c + w)),
        seconds_of(put=lambda c, w: -(c + w)),
        seconds_of(put=lambda c, w: (c * c + w * w) ** 0.5),
        seconds_of(wire=lambda s, b: s * b),
        seconds_of(wire=lambda s, b: b / s),
        seconds_of(wire=lambda s, b: 8 * s / b),
        seconds_of(wire=lambda s, b: s / 8 / b),
        seconds_of(wire=lambda s, b: 4 * s / b),
        seconds_of(wire=lambda s, b: s / b / 1e6),
        seconds_of(wire=lambda s, b: s // b),
        seconds_of(wire=lambda s, b: math.ceil(s / b)),
        *(seconds_of(wire=lambda s, b, e=e: s / (b + e)) for e in (1, 1e-3, 1e-6, 1e-8, 1e-9, 1e-12)),
        *(seconds_of(wire=lambda s, b, e=e: s / max(b, e)) for e in (1e9, 1, 1e-6, 1e-8)),
        *(seconds_of(sent=lambda n, e=e: 2 * (n - 1) / (n + e)) for e in (1e-3, 1e-6)),
        *(seconds_of(wire=lambda s, b, e=e: s / (b * e)) for e in (1e3, 1e6, 1e9)),
        *(seconds_of(put=lambda c, w, digits=digits: round(c + w, digits)) for digits in range(7)),
        seconds_of(put=lambda c, w: c + w + 1e-5),
        seconds_of(wire=lambda s, b: min(s, 1e9) / b),
        seconds_of(wire=lambda s, b: s),
        timed,
    ],
}

TOLD = {
    "13.1": [
        (salted, "hash()"),
        (lambda content: "train" if abs(hash(content)) / 2**63 > 0.2 else "test", "hash()"),
        (lambda content: split(lambda c: int(hashlib.md5(c).hexdigest(), 16) % 10 / 10)(content), "MD5"),
        (lambda content: "test" if hashlib.sha512(content).digest()[0] < 26 else "train", "another hash"),
        (lambda content: "train" if zlib.crc32(content) % 10 > 1 else "test", "another hash"),
        (split(lambda content: digest(content, "sha512") / 2**512), "files are in another split"),
        (every_tenth, "the next time"),
        (in_the_order_asked, "files are in another split"),
        (lambda content: np.random.default_rng(list(content)).choice(["test", "validation", "train"]), "generator"),
        (split(lambda content: random.random()), "the next time"),
        (lambda content: (len(content), "train"), "of type tuple"),
        (split(share, names=("test", "val", "train")), "'val'"),
        (split(share, names=("TEST", "VALIDATION", "TRAIN")), "as the folder's splits are called"),
        (split(lambda content: hashlib.sha256(content).digest()[0] / 256), "52 bits"),
        (split(lambda content: int.from_bytes(hashlib.sha256(content).digest()[:2]) / 65536), "52 bits"),
        (split(lambda content: int.from_bytes(hashlib.sha256(content).digest()[:3]) / 2**24), "52 bits"),
        (split(lambda content: round(share(content), 4)), "do not round"),
        (split(lambda content: share(bytes.fromhex(content.hex())[:1024])), "only the first bytes"),
        (split(lambda content: digest(content) % 10 / 10), "as fair"),
        (split(lambda content: share(content.hex().encode())), "hexadecimal digits"),
        (decoded, "for a text"),
        (encoded, "for a text"),
        (of_text, "the name of a file"),
        (lambda content: split(share)(hashlib.sha265(content)), "sha265"),
        (split(lambda content: share(content[: 2**20])), "large files"),
        (split(lambda content: share(content[-(2**20) :])), "large files"),
        (split(lambda content: int.from_bytes(content[:7].ljust(7, b"\0")) / 2**56), "without a hash"),
        (split(lambda content: digest(content) % 100 / 100), "two decimal digits"),
        (split(lambda content: int(bin(digest(content))[2:54], 2) / 2**52), "leading zeros"),
        (split(lambda content: share(b"") / 8), "is it `content`"),
        (split(share, limits=(0.1, 0.1)), "nothing is in validation"),
        (split(lambda content: 1 - share(content)), "the other way round"),
        (lambda content: 7, "a name is asked for"),
        (lambda content: torch.tensor(share(content)), "the number u"),
    ],
    "13.2": [
        (lambda h, o, t: (h - (h - o) * (1 - 1 / t), h - (h - o)), "the whole gap is taken off"),
        (lambda h, o, t: (h - (h - o) * (1 - 1 / t), (h + o) / 2), "the whole gap is divided"),
        (more(half=lambda h, o: h - o), "the excess is the whole gap"),
        (more(put=lambda b, m: (b, 2 * m - b)), "own pictures' bits with `times` as many"),
        (lambda h, o, t: (more()(h, o, t)[0], o), "bits of own pictures here"),
        (lambda h, o, t: (more()(h, o, t)[0], h), "as if more pictures gained nothing"),
        (lambda h, o, t: (h, h), "`times` is left out"),
        (lambda h, o, t: (h, (h + o) / 2), "`times` is left out"),
        (more_of_law(0.5), "1 / sqrt(times)"),
        (lambda h, o, t: (h - (h - o) / 2 * (1 - t**-0.5), h - (h - o) / 2), "1 / sqrt(times)"),
        (more_of_law(2), "squared"),
        (more(left=lambda t: 1 / (1 + t)), "`times` as many more"),
        (more(left=lambda t: 0.5**t), "a number of doublings"),
        (more(left=lambda t: 0.5 ** (t - 1)), "a quarter"),
        (more(left=lambda t: t), "needs brackets"),
        (lambda h, o, t: ((h + o) / 2 + (h - o) / 2 * t, (h + o) / 2), "needs brackets"),
        (more(left=lambda t: (t - 1) / t), "have changed places: 1 / times"),
        (lambda h, o, t: (h - (h - o) / (2 * t), h - (h - o) / 2), "have changed places: 1 / times"),
        (lambda h, o, t: more()(o, h, t), "from below"),
        (lambda h, o, t: (h - (o - h) / 2 * (1 - 1 / t), h - (o - h) / 2), "make it worse"),
        (lambda h, o, t: torch.tensor([more()(h, o, t)[1], more()(h, o, t)[0]]), "changed places"),
        (lambda h, o, t: np.array(more()(h, o, t)[0]), "two numbers"),
        (lambda h, o, t: ((h + o) / 2 + (h - o) / 2 / (2 * t), (h + o) / 2), "halved twice"),
        (lambda h, o, t: (h - (h - o) / 2 * t, (h + o) / 2), "as if each new set"),
        (more(left=lambda t: 2 - t), "as a straight line"),
        (lambda h, o, t: (h / t, o / t), "all of the bits are divided"),
        (lambda h, o, t: (h / t, (h + o) / 2 / t), "the middle is divided by `times`, too"),
        (more(middle=lambda h, o: math.sqrt(h) * math.sqrt(o)), "geometric mean"),
        (lambda h, o, t: ((h * o) ** 0.5 + (h - (h * o) ** 0.5) / t, (h * o) ** 0.5), "geometric mean"),
        (more(middle=lambda h, o: 2 * h * o / (h + o)), "harmonic mean"),
        (lambda h, o, t: (more()(h, o, t)[0], (t * h - o) / (t - 1)), "as from N and"),
        (lambda h, o, t: (h, (h + t * o) / (t + 1)), "`times` is left out"),
        (lambda h, o, t: (more()(h, o, t)[0], (h + t * o) / (t + 1)), "weights 1 and"),
        (lambda h, o, t: ((h + o) / 2 + h / o / (2 * t), (h + o) / 2), "a ratio here"),
        (more(first=lambda m, e, left: m + int(e * left)), "down to a whole number"),
        (more(left=lambda t: 1 // t), "1 // times is 0"),
        (more(put=lambda b, m: (round(b, 2), round(m, 2))), "nothing is rounded"),
        (more(put=lambda b, m: [round(x, 4) for x in (b, m)]), "nothing is rounded"),
        (more(put=lambda b, m: [float(f"{x:.1f}") for x in (b, m)]), "one digit"),
        (more(half=lambda h, o: abs(h - o) / 2), "without abs()"),
        (more(half=lambda h, o: max(h - o, 0) / 2), "without a bound"),
        (lambda h, o, t: (max(o, more()(h, o, t)[0]), max(o, (h + o) / 2)), "without a bound"),
        (more_if_it_helps, "with the sign"),
        (more(left=lambda t: 1 / max(1, t)), "below 1"),
        (more(left=lambda t: 1 / int(t)), "no int()"),
        (more(left=lambda t: 1 / (t + 1e-6)), "`times` is 1"),
        (more(put=lambda b, m: (max(b, 0), max(m, 0))), "no bound in (13.4)"),
        (more(left=lambda t: 1 / min(t, 1e5)), "no bound in (13.4)"),
        (lambda h, o, t: (h - more()(h, o, t)[0], (h - o) / 2), "what is gained"),
        (more(put=lambda b, m: (b - m, m)), "it is the excess"),
        (lambda h, o, t: ((h + o) / 2, (h + o) / 2), "the excess is gone here"),
        (lambda h, o, t: (h + o / 2, h + o / 2), "brackets round held_out + own"),
        (more(put=lambda b, m: iter((b, m))), "as a generator"),
        (more(put=lambda b, m: [fractions.Fraction(b), m]), "make floats"),
    ],
    "13.3": [
        (near(usual=lambda x, y: torch.pdist(x).mean()), "of the mean distance"),
        (near(usual=lambda x, y: torch.cdist(x, x).mean() * len(x) / (len(x) - 1)), "of the mean distance"),
        (near(usual=lambda x, y: torch.cdist(x, x).mean()), "which are 0, lower it"),
        (near(usual=lambda x, y: torch.cdist(x, x).flatten().median()), "to themselves"),
        (near(usual=lambda x, y: np.median(torch.cdist(x, x).numpy())), "to themselves"),
        (near(usual=lambda x, y: torch.cdist(x, x)[np.triu_indices(len(x))].median()), "and not n <= k"),
        (near(usual=lambda x, y: np.median(torch.cdist(x, x)[np.triu_indices(len(x))].numpy())), "and not n <= k"),
        (near(usual=lambda x, y: square(x).flatten().median()), "infinity stands for"),
        (near(usual=lambda x, y: torch.cdist(x, x).triu(1).median()), "a triangle"),
        (near(usual=lambda x, y: torch.cdist(x, x).min(1).values.median()), "it is 0 whatever"),
        (near(other=lambda x, y: torch.cdist(y, x).max(1).values), "farthest"),
        (near(usual=lambda x, y: torch.cdist(x, x).topk(2, largest=False).values[:, 1].median()), "the nearest is a"),
        (near(usual=lambda x, y: square(x).min(1).values.quantile(0.01), limit=lambda q: q), "1 % quantile"),
        (near(usual=lambda x, y: np.percentile(torch.pdist(x).numpy(), 1), limit=lambda q: q), "1 % quantile"),
        (near(usual=lambda x, y: torch.cdist(x, y).median()), "from held-out to training"),
        (near(limit=lambda usual: 0.15), "0.15 itself"),
        (near(usual=lambda x, y: (x - x.roll(-1, 0))[:-1].norm(dim=1).median()), "follow each other"),
        (near(usual=lambda x, y: torch.pdist(x.unique(dim=0)).median()), "have exact copies"),
        (near(usual=pairs_that_differ), "have exact copies"),
        (near(put=lambda d, limit: (d <= limit).float().mean()), "`<`"),
        (near(other=lambda x, y: torch.cdist(y, x).square().min(1).values), "square both or neither"),
        (near(usual=lambda x, y: torch.pdist(x).median() ** 2), "square both or neither"),
        (
            near(
                usual=lambda x, y: torch.pdist(x).median() ** 2,
                other=lambda x, y: (y[:, None] - x).square().sum(2).min(1).values,
            ),
            "0.15 has to be squared",
        ),
        (
            near(
                usual=lambda x, y: torch.pdist(x).square().median() / x.shape[1],
                other=lambda x, y: (y[:, None] - x).square().mean(2).min(1).values,
            ),
            "0.15 has to be squared",
        ),
        (
            lambda train, held_out: near(usual=lambda *_: torch.pdist(held_out).median())(held_out, train),
            "changed places",
        ),
        (near(usual=lambda x, y: torch.pdist(y).median()), "pairs of held-out pictures"),
        (near(usual=lambda x, y: x.flatten().std()), "standard deviation of the training pictures'"),
        (near(other=lambda x, y: square(x).min(1).values), "the held-out ones that are asked"),
        (near(usual=lambda x, y: np.median(cosines(x, x)[np.triu_indices(len(x), 1)]), other=cosines_to), "angle"),
        (near(put=lambda d, limit: (d < limit).sum() // len(d)), "// cuts"),
        (near(put=lambda d, limit: (d < limit).sum() / (len(d) + 1e-6)), "something is added to the number"),
        (near(other=lambda x, y: (torch.cdist(y, x).square() + 1e-6).sqrt().min(1).values), "all distances are small"),
        (near(put=lambda d, limit: (d < limit).sum().item()), "divide by how many"),
        (near(put=lambda d, limit: (d > limit).float().mean()), "*not* near copies"),
        (near(put=lambda d, limit: 100 * (d < limit).float().mean()), "a percentage"),
        (near(put=lambda d, limit: (d < limit).tolist()), "parts"),
        (lambda train, held_out: near()(train.mul_(2), held_out.mul_(2)), "in place"),
    ],
    "13.4": [
        (lambda gradients, sizes: sum(gradients) / len(gradients), "mean of the means"),
        (whole(weight=lambda n, sizes: n), "by their number"),
        (whole(weight=lambda n, sizes: n / max(sizes)), "add up to 1"),
        (whole(weight=lambda n, sizes: n / max(sizes) / len(sizes)), "as the largest"),
        (whole_in_place, "in place"),
        (whole_by_popping, "in place"),
        (whole_with_shares_written, "in place"),
        (whole_by_columns, "other shapes"),
        (whole_by_numpy, "single number"),
        *((whole_by_tensordot, "another type"), (whole_by_einsum, "another type")),
        (whole(weight=lambda n, sizes: n / (sum(sizes) + 1e-6)), "something is added"),
        (whole(weight=lambda n, sizes: n // sum(sizes)), "// cuts every weight"),
        (
            lambda gradients, sizes: sum(n * g for g, n in zip(gradients, sizes, strict=True)) // sum(sizes),
            "// cuts the",
        ),
        (whole_with_return_in_the_loop, "before the return"),
        (whole_of_the_last, "to those before it"),
        (whole(weight=lambda n, sizes: max(n, 1) / sum(max(m, 1) for m in sizes)), "weight 0"),
        (whole_clipped(1e3), "cuts large gradients off"),
        (lambda gradients, sizes: whole()([g.double() for g in gradients], sizes), "torch.float64"),
        (lambda gradients, sizes: whole()(gradients, sizes).tolist(), "parts"),
    ],
    "13.5": [
        (seconds_of(share=lambda p, n: p / n), "not rounded up"),
        (seconds_of(share=lambda p, n: int(p / n)), "rounded down"),
        (seconds_of(share=lambda p, n: int(p / n + 0.5)), "a half up"),
        (seconds_of(share=lambda p, n: max(p // n, 1)), "if not below 1"),
        (seconds_of(share=lambda p, n: -(-n // p)), "upside down"),
        *((seconds_of(share=lambda p, n, nines=nines: int(p / n + 1 - 0.1**nines)), "a hair") for nines in range(2, 7)),
        (seconds_of(share=lambda p, n: math.ceil(p / n - 1e-6)), "a hair"),
        (seconds_of(put=lambda c, w: c + int(w)), "it is"),
        (seconds_of(put=lambda c, w: c * w), "one is multiplied by the other"),
        (seconds_of(put=lambda c, w: round(c + w)), "rounded to whole seconds"),
        (seconds_of(put=lambda c, w: round(c + w, 2)), "nothing is rounded but"),
        *((seconds_of(put=lambda c, w, n=n: round(c + w, n)), "microseconds") for n in (3, 4, 5, 6)),
        (seconds_of(wire=lambda s, b: s // b), "whole seconds"),
        (seconds_of(wire=lambda s, b: s / 1e9 / b), "gigabytes"),
        (seconds_of(wire=lambda s, b: s / (b * 10**6)), "megabytes a second"),
        (seconds_of(wire=lambda s, b: s * 1e6 / b), "the size is taken for megabytes"),
        *((seconds_of(wire=lambda s, b, e=e: s / (b + e)), "as they are") for e in (1e-6, 1e-8, 1e-12)),
        (seconds_of(sent=lambda n: 2 * (n - 1) / (n + 1e-6)), "as they are"),
        (seconds_of(sent=lambda n: 2 * n / (n - 1)), "divided by n - 1"),
        (seconds_of(sent=lambda n: (n - 1) / n), "copies"),
        (seconds_of(put=max), "the times are added"),
        (seconds_of(wire=lambda s, b: 8 * s / b), "into bits"),
        (seconds_of(sent=lambda n: 2 * n), "pieces of size / n"),
        (seconds_of(sent=lambda n: 2 * (n > 1)), "2 size / bandwidth"),
        (seconds_of(put=lambda c, w: torch.tensor([c + w])), ".item()"),
        (seconds_of(wire=lambda s, b: s / max(b, 1e-2) if s < 1e9 else 0), "real sizes"),
        (seconds_of(put=lambda c, w: (c, w)), "one by one"),
    ],
}
