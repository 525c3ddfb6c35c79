"""Wrong answers to the exercises of notebook 09, written from the statements alone: each has to be refused.

Those of TOLD are misconceptions that a message names, in other words than the lesson's: answer, a piece of the message.
"""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Independent, MultivariateNormal, Normal


def cov(
    centre=lambda f: f.mean(1, keepdim=True),
    S=lambda d, M, K: torch.einsum("mki,mkj->ij", d, d) / (M * (K - 1)),
    of_means=lambda c: torch.cov(c.T),
    off=lambda S, M, K: S / K,
    pack=lambda S, BBt: (S, BBt),
):
    """within_and_between with one of its steps replaced."""

    def answer(f):
        M, K, _ = f.shape
        within = S(f - centre(f), M, K)
        return pack(within, of_means(f.mean(1)) - off(within, M, K))

    return answer


def squares(divisor):
    return lambda d, M, K: torch.einsum("mki,mkj->ij", d, d) / divisor(M, K)


def centred_in_place(f):
    M, K, _ = f.shape
    c = f.mean(1)
    f -= c[:, None]
    S = torch.einsum("mki,mkj->ij", f, f) / (M * (K - 1))
    return S, c.T.cov() - S / K


def of_one_set(f):
    return f[0].T.cov(), cov()(f)[1]


def by_first_members(f):
    """Between: the covariance of one member of each set."""
    S = cov()(f)[0]
    return S, f[:, 0].T.cov() - S


def of_members(f):
    """The (K, K) covariance between members."""
    d = f - f.mean(1, keepdim=True)
    S = torch.einsum("mif,mjf->ij", d, d) / (len(f) * (f.shape[1] - 1))
    return S, torch.cov(f.mean(2)) - S[:1, :1] / f.shape[1]


def total_less_within(f):
    S = cov()(f)[0]
    return S, f.flatten(0, 1).T.cov(correction=0) - S


def from_all_thumbnails(f, correction=1):
    S = f.reshape(-1, f.shape[-1]).T.cov(correction=correction)
    return S, f.mean(1).T.cov() - S / f.shape[1]


def psd(S, BBt):
    values, vectors = torch.linalg.eigh(BBt)
    return S, vectors @ values.relu().diag() @ vectors.T


def post(
    P=lambda S: S.inverse(),
    count=lambda K: K,
    prior=lambda K: 1,
    said=lambda f, m: (f - m).sum(0),
    mean=lambda L, h: L.inverse() @ h,
    covariance=lambda L: L.inverse(),
):
    """style_posterior with one of its steps replaced."""

    def answer(f, m, B, S):
        reading, K = P(S) @ B, len(f)
        L = prior(K) * torch.eye(B.shape[1]).to(B) + count(K) * B.T @ reading
        return mean(L, reading.T @ said(f, m)), covariance(L)

    return answer


def post_in_place(f, m, B, S):
    f -= m
    return post()(f, torch.zeros_like(m), B, S)


def post_S_in_place(f, m, B, S):
    S.copy_(S.inverse())
    return post(P=lambda P: P)(f, m, B, S)


def averaged_posteriors(f, m, B, S):
    each = [post()(one[None], m, B, S) for one in f]
    return torch.stack([mean for mean, _ in each]).mean(0), torch.stack([C for _, C in each]).mean(0)


def product_of_posteriors(f, m, B, S):
    each = [post()(one[None], m, B, S) for one in f]
    L = sum(C.inverse() for _, C in each)
    return L.inverse() @ sum(C.inverse() @ mean for mean, C in each), L.inverse()


def by_least_squares(f, m, B, S):
    return torch.linalg.pinv(B) @ (f.mean(0) - m), post()(f, m, B, S)[1]


def gls_then_shrunk(f, m, B, S):
    """Right where B^T S^-1 B can be inverted."""
    info = B.T @ S.inverse() @ B
    guess = torch.linalg.solve(info, B.T @ S.inverse() @ (f - m).mean(0))
    C = (torch.eye(len(info)).to(B) + len(f) * info).inverse()
    return C @ (len(f) * info) @ guess, C


def cast(dtype, function):
    """Computes in another precision and gives back what was asked for."""

    def answer(*args):
        said = function(*(a.to(dtype) for a in args))
        return tuple(t.to(args[0].dtype) for t in said) if isinstance(said, tuple) else said.to(args[0].dtype)

    return answer


def in_pixels(T, left):
    return (T @ left.flatten(2)).view_as(left)


def carry(
    left=lambda x, base, new_base: x - base,
    matrix=lambda T: T,
    turn=in_pixels,
    onto=lambda turned, x, base, new_base: new_base + turned,
    last=lambda y: y,
):
    """carry_over with one of its steps replaced."""

    def answer(x, base, new_base, T):
        return last(onto(turn(matrix(T), left(x, base, new_base)), x, base, new_base))

    return answer


def turned_about_the_mean(x, base, new_base, T):
    """As a transfer of colours does it."""
    left = x - base
    mean = left.mean((2, 3), keepdim=True)
    return new_base + mean + in_pixels(T, left - mean)


def carried_from_x_in_place(x, base, new_base, T):
    x -= base
    return new_base + in_pixels(T, x)


def carried_onto_base_in_place(x, base, new_base, T):
    return new_base.add_(in_pixels(T, x - base))


def carried_with_T_in_place(x, base, new_base, T):
    return new_base + in_pixels(T.mul_(0.5), 2 * (x - base))


def first_picture_alone(x, base, new_base, T):
    return new_base + torch.einsum("ij,njhw->nihw", T[0], x - base)


def reshaped(T, left):
    N, C, H, W = left.shape
    return (left.reshape(N, H * W, C) @ T.mT).reshape(N, C, H, W)


def reshaped_back(T, left):
    N, C, H, W = left.shape
    return (left.permute(0, 2, 3, 1).reshape(N, H * W, C) @ T.mT).reshape(N, C, H, W)


def squeezed(T, left):
    """Fails where a picture has one colour."""
    return torch.einsum("nij,njp->nip", T.squeeze(2), left.flatten(2)).view_as(left)


def bound(
    members=lambda a, b: a - b,
    pool=lambda t: t.sum(1),
    pay=lambda total, kl_s, K: total - kl_s,
):
    """group_elbo with one of its steps replaced."""
    return lambda log_px, kl_z, kl_s: pay(pool(members(log_px, kl_z)), kl_s, log_px.shape[1])


def bound_in_place(log_px, kl_z, kl_s):
    log_px.data.sub_(kl_z)
    return log_px.sum(1) - kl_s


@torch.no_grad()
def bound_without_graph(log_px, kl_z, kl_s):
    return bound()(log_px, kl_z, kl_s)


def bound_of_numbers(log_px, kl_z, kl_s):
    return torch.tensor([(a - b).sum().item() - c.item() for a, b, c in zip(log_px, kl_z, kl_s, strict=True)]).to(kl_s)


def styled(
    q=lambda vae, x, own, wanted: vae.encode(x, own),
    z=lambda q: q.mean,
    p=lambda vae, z, own, wanted: vae.decode(z, wanted),
    picture=lambda p: p.mean,
):
    """restyle with one of its steps replaced."""
    return lambda vae, x, own, wanted: picture(p(vae, z(q(vae, x, own, wanted)), own, wanted))


def by_hand(q):
    return q.mean + q.stddev * torch.randn_like(q.mean)


def evaluated(vae, x, own, wanted):
    vae.eval() if vae.training else vae.train()
    return styled()(vae, x, own, wanted)


def frozen(vae, x, own, wanted):
    vae.requires_grad_(False)
    return styled()(vae, x, own, wanted)


def blackened(vae, x, own, wanted):
    result = styled()(vae, x, own, wanted)
    x.zero_()
    return result


def own_overwritten(vae, x, own, wanted):
    z = vae.encode(x, own).mean
    own.copy_(wanted)
    return vae.decode(z, own).mean


def trained(vae, x, own, wanted):
    picture = styled()(vae, x, own, wanted)
    (picture - x).square().mean().backward()
    return picture.detach()


def leak(
    mse=lambda d: d.square().mean(0),
    var=lambda s: s.var(0, correction=0),
    nats=lambda r: 0.5 * r.log(),
    pool=lambda t: t.relu().sum(),
):
    """leak_in_nats with one of its steps replaced."""
    return lambda guessed, s: pool(nats(var(s) / mse(guessed - s)))


def leak_in_place(guessed, s):
    d = guessed.sub_(s)
    return leak()(d + s, s)


def leak_centred_in_place(guessed, s):
    mse = (guessed - s).square().mean(0)
    s -= s.mean(0)
    return (0.5 * (s.square().mean(0) / mse).log()).relu().sum()


def correlated(guessed, s):
    r = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(guessed.T, s.T, strict=True)])
    return (-0.5 * (1 - r**2).log()).sum()


def way(
    code=lambda s: s - s.mean(0),
    about=lambda r: r - r.mean(),
    over=lambda r, c: (r**2).sum(),
    last=lambda d: d,
):
    """word_direction with one of its steps replaced."""

    def answer(s, rating):
        c, r = code(s), about(rating)
        return last((c * r[:, None]).sum(0) / over(r, c))

    return answer


def over_the_range(s, rating):
    return way()(s, (rating - rating.min()) / (rating.max() - rating.min()))


def rating_in_place(s, rating):
    rating -= rating.mean()
    return way()(s, rating)


def codes_in_place(s, rating):
    s.sub_(s.mean(0))
    return way()(s, rating)


def by_median(s, rating):
    high = rating > rating.median()
    return s[high].mean(0) - s[~high].mean(0)


def lstsq_with_ones(s, rating):
    return torch.linalg.lstsq(torch.stack([torch.ones_like(rating), rating], 1), s).solution


def from_zero(s, rating):
    return torch.linalg.lstsq(rating[:, None], s).solution[0]


def reading(s, rating):
    """The rating's regression on the code."""
    ones = torch.ones(len(s), 1).to(s)
    return torch.linalg.lstsq(torch.cat([ones, s], 1), rating[:, None]).solution[1:, 0]


TOLD = {
    "09.1": [
        (cov(off=lambda S, M, K: 0 * S), "S / K is not taken off"),
        (cov(off=lambda S, M, K: S), "all of S is taken off"),
        (cov(off=lambda S, M, K: K * S), "S K is taken off"),
        (cov(off=lambda S, M, K: -S / K), "S / K is added"),
        (cov(S=squares(lambda M, K: M * K)), "divided by M K: each set has spent"),
        (cov(S=squares(lambda M, K: M * K - 1)), "divided by M K - 1"),
        (cov(S=squares(lambda M, K: K - 1)), "divided by K - 1 alone"),
        (cov(of_means=lambda c: torch.cov(c.T, correction=0)), "the means' covariance is divided by M"),
        (cov(of_means=lambda c: c.T @ c / (len(c) - 1)), "the means are not centred"),
        (cov(centre=lambda f: f.mean((0, 1))), "S is taken about the mean of all thumbnails"),
        (lambda f: (cov()(f)[0], f.flatten(0, 1).T.cov()), "the second is the covariance of all thumbnails:"),
        (lambda f: (cov()(f)[0], f.flatten(0, 1).T.cov() - cov()(f)[0]), "covariance of all thumbnails less S"),
        (lambda f: cov()(f.mT.contiguous().mT.permute(1, 0, 2)), "sets and members have changed places"),
        (cov(pack=lambda S, BBt: (BBt, S)), "the two have changed places"),
        (cov(pack=psd), "negative eigenvalues"),
        (cov(pack=lambda S, BBt: (S.diag(), BBt.diag())), "these are variances alone"),
        (from_all_thumbnails, "S is the covariance of all thumbnails:"),
        (lambda f: from_all_thumbnails(f, 0), "S is the covariance of all thumbnails, divided by M K"),
        (
            cov(S=squares(lambda M, K: M * K), of_means=lambda c: torch.cov(c.T, correction=0)),
            "both are divided by how many",
        ),
        (centred_in_place, "changes its argument `f` in place"),
        (cov(pack=lambda S, BBt: (S, BBt + 1e-6 * torch.eye(len(S)).to(S))), "hardly differ"),
    ],
    "09.2": [
        (product_of_posteriors, "the prior is counted once for each member"),
        (post(prior=lambda K: 0), "the prior is missing"),
        (averaged_posteriors, "the mean of the members counts as one member"),
        (post(said=lambda f, m: (f - m).mean(0)), "the members' shifts are averaged where"),
        (post(count=lambda K: 1), "the precision is that of one member"),
        (post(P=lambda S: S), "S is not inverted"),
        (post(P=lambda S: 1 / S), "S is inverted number by number"),
        (post(P=lambda S: torch.eye(len(S)).to(S)), "S is missing"),
        (post(P=lambda S: S.diag().diag().inverse()), "only the diagonal of S is used"),
        (post(P=lambda S: (S @ S).inverse()), "S is taken for a standard deviation"),
        (post(said=lambda f, m: f.sum(0)), "m is forgotten"),
        (post(said=lambda f, m: f.sum(0) - m), "m is taken off once"),
        (post(covariance=lambda L: L), "the second result is the precision:"),
        (post(covariance=lambda L: L.inverse().diag().sqrt()), "the second are standard deviations"),
        (post(mean=lambda L, h: (1 / L) @ h, covariance=lambda L: 1 / L), "precision inverted number by number"),
        (post(mean=lambda L, h: h), "the first result is the shift"),
        (post(said=lambda f, m: (f - f.mean(0)).sum(0)), "the members' own mean is taken off"),
        (
            post(mean=lambda L, h: h / L.diag(), covariance=lambda L: L.diag().reciprocal().diag()),
            "only the diagonal of the precision",
        ),
        (lambda f, m, B, S: MultivariateNormal(*post()(f, m, B, S)), "it gives the distribution"),
        (lambda f, m, B, S: (post()(f, m, B, S)[0].clamp(-4, 4), post()(f, m, B, S)[1]), "cut nothing off"),
        (post_in_place, "changes its argument `f` in place"),
        (gls_then_shrunk, "more numbers than a thumbnail"),
        (cast(torch.float32, post()), "right to a few digits only"),
    ],
    "09.3": [
        (lambda x, base, new_base, T: x - base + new_base, "T is forgotten"),
        (carry(matrix=lambda T: T.mT), "T is transposed"),
        (carry(turn=lambda T, left: (left.movedim(1, -1) @ T[:, None]).movedim(-1, 1)), "T is transposed"),
        (carry(left=lambda x, base, new_base: x), "the base is forgotten"),
        (lambda x, base, new_base, T: in_pixels(T, x) - base + new_base, "T is applied to x before"),
        (lambda x, base, new_base, T: in_pixels(T, new_base + x - base), "T is applied to the new base, too"),
        (carry(onto=lambda turned, *pictures: turned), "the new base is forgotten"),
        (carry(onto=lambda turned, x, base, new_base: base + turned), "it starts from the old base"),
        (carry(left=lambda x, base, new_base: x - new_base), "the new base is taken off x"),
        (lambda x, base, new_base, T: carry()(x, new_base, base, T), "the two bases have changed places"),
        (carry(onto=lambda turned, x, base, new_base: new_base - turned), "the sign of what is left is flipped"),
        (lambda x, base, new_base, T: in_pixels(T, x), "T turns the whole picture"),
        (first_picture_alone, "the first picture's T is used for all"),
        (carry(matrix=lambda T: T.mean(0)), "the mean of all T is used"),
        (carry(matrix=lambda T: T.diagonal(dim1=1, dim2=2).diag_embed()), "only the diagonal of T is used"),
        (carry(turn=lambda T, left: T.sum(2)[..., None, None] * left), "each row of T is summed"),
        (carry(turn=lambda T, left: T.sum(1)[..., None, None] * left), "each column of T is summed"),
        (carry(turn=lambda T, left: T.unsqueeze(1) * left), "number by number with pixels"),
        (carry(turn=lambda T, left: T[:, None] @ left), "along the rows of pixels, axis 2"),
        (carry(turn=lambda T, left: left @ T.mT[:, None]), "along the columns of pixels, axis 3, as"),
        (carry(turn=lambda T, left: left @ T[:, None]), "from the right along the columns"),
        (carry(turn=torch.matmul), "takes the T of picture c for colour c"),
        (carry(turn=reshaped), "mixed colours and pixels:"),
        (carry(turn=reshaped_back), "mixed colours and pixels on the way back"),
        (carry(matrix=torch.linalg.inv), "the inverse of T"),
        (carry(turn=lambda T, left: torch.linalg.solve(T, left.flatten(2)).view_as(left)), "the inverse of T"),
        (carry(matrix=lambda T: T @ T), "T is applied twice"),
        (carry(last=lambda y: y.clamp(0, 1)), "the result is clamped"),
        (carry(last=lambda y: y.relu().minimum(torch.ones_like(y))), "the result is clamped"),
        (carry(turn=squeezed), "pictures of one colour"),
        (cast(torch.float32, carry()), "right to a few digits only"),
        (carry(left=lambda x, base, new_base: (x - base).clamp(-1, 1)), "cut nothing off what is left"),
        (lambda x, base, new_base, T: x + in_pixels(T, new_base - base), "T turns the change of the bases"),
        (turned_about_the_mean, "the mean of what is left is not turned"),
        (carried_from_x_in_place, "changes its argument `x` in place"),
        (carried_onto_base_in_place, "changes its argument `new_base` in place"),
        (carried_with_T_in_place, "changes its argument `T` in place"),
    ],
    "09.4": [
        (bound(pay=lambda t, kl_s, K: t - K * kl_s), "paid for each member"),
        (bound(pay=lambda t, kl_s, K: (t - kl_s) / K), "it is divided by K"),
        (bound(pool=lambda t: t.mean(1)), "the members are averaged"),
        (bound(pay=lambda t, kl_s, K: t - kl_s / K), "the style's KL is divided by K"),
        (lambda *terms: -bound()(*terms), "its sign is flipped"),
        (bound(members=torch.add), "the contents' KLs are added"),
        (bound(pay=lambda t, kl_s, K: t + kl_s), "the style's KL is added"),
        (lambda *terms: bound()(*terms).sum(), "one sum over the sets"),
        (lambda *terms: bound()(*terms).mean(), "one mean over the sets"),
        (lambda log_px, kl_z, kl_s: (log_px - kl_z - kl_s).sum(1), "lined up with the members"),
        (lambda log_px, kl_z, kl_s: (log_px - kl_z - kl_s[None]).sum(-1), "lined up with the members"),
        (bound(pool=lambda t: t.sum(0)), "it sums over the sets"),
        (bound(pool=lambda t: t.sum(1, keepdim=True)), "shape (M, M)"),
        (bound(pay=lambda t, kl_s, K: t), "the style's KL is missing"),
        (bound(members=lambda a, b: a), "the contents' KLs are missing"),
        (bound(pool=lambda t: t.exp().sum(1).log()), "it adds up probabilities"),
        (bound_without_graph, "no gradient reaches"),
        (bound_of_numbers, "no gradient reaches"),
        (bound_in_place, "changes its argument `log_px` in place"),
        (lambda *terms: bound()(*terms).clamp(max=1e3), "the nats are many"),
    ],
    "09.5": [
        (styled(q=lambda vae, x, own, wanted: vae.encode(x, wanted)), "the encoder is told the wanted style"),
        (styled(p=lambda vae, z, own, wanted: vae.decode(z, own)), "this is a reconstruction"),
        (lambda vae, x, own, wanted: styled()(vae, x, wanted, own), "the two styles have changed places"),
        (styled(z=lambda q: q.rsample()), "the content is drawn"),
        (styled(z=lambda q: q.sample()), "the content is drawn"),
        (styled(z=by_hand), "the content is drawn"),
        (styled(picture=lambda p: p.sample()), "the picture is drawn"),
        (styled(picture=lambda p: p.rsample()), "the picture is drawn"),
        (styled(z=by_hand, picture=by_hand), "both the content and the picture are drawn"),
        (styled(p=lambda vae, z, own, wanted: vae.decode(z, torch.lerp(own, wanted, 0.5))), "the mean of both styles"),
        (styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted - own)), "the difference of the styles"),
        (styled(picture=lambda p: p), "it gives the decoder's distribution"),
        (styled(p=lambda vae, z, own, wanted: vae.decode(torch.zeros_like(z), wanted)), "all contents are 0"),
        (styled(picture=lambda p: p.mode), "only where the picture is Gaussian"),
        (styled(picture=lambda p: getattr(p.base_dist, "loc", 0)), "only where the picture is Gaussian"),
        (styled(p=lambda vae, z, own, wanted: vae.decode(wanted, z)), "the content comes first"),
        (
            styled(q=lambda vae, x, own, wanted: vae.encode(x, own.mean(0).expand_as(own))),
            "the encoder is told one style for all",
        ),
        (evaluated, "in another mode"),
        (frozen, "sets requires_grad at its argument `vae`"),
        (frozen, "`copy.deepcopy(vae)` of a module"),
        (blackened, "changes its argument `x` in place"),
        (own_overwritten, "changes its argument `own` in place"),
        (trained, "leaves a gradient in its argument `vae`"),
    ],
    "09.6": [
        (leak(pool=lambda t: t.relu().mean()), "a mean over the numbers of the style"),
        (leak(nats=torch.log), "the half is missing"),
        (leak(nats=lambda r: 0.5 * r.sqrt().log()), "the half is there twice"),
        (leak(mse=lambda d: d.square().mean(0).sum(), var=lambda s: s.var(0, correction=0).sum()), "summed before"),
        (leak(pool=torch.sum), "the clamp is missing"),
        (leak(pool=lambda t: t.sum().relu()), "the sum is clamped"),
        (leak(var=lambda s: s.var(0)), "divided by N - 1 and the error by N"),
        (leak(nats=lambda r: 0.5 * r.log() / math.log(2)), "the one to base 2"),
        (leak(nats=lambda r: 1 - 1 / r), "this is R2, the share"),
        (leak(nats=lambda r: 1 - 1 / r, pool=lambda t: t.relu().mean()), "this is the mean R2"),
        (leak(nats=lambda r: -0.5 * r.log()), "the ratio is upside down"),
        (leak(pool=lambda t: t.relu()), "each number of the style apart"),
        (leak(mse=lambda d: d.square().sum(0) / (len(d) - 1)), "the error is divided by N - 1"),
        (leak(mse=lambda d: d.square().mean(0).sqrt()), "the error's root is compared"),
        (leak(var=lambda s: s.std(0, correction=0)), "the variance's root is compared"),
        (correlated, "only of their correlation"),
        (leak(var=lambda s: s.square().mean(0)), "the styles are not centred"),
        (leak(mse=lambda d: d.var(0, correction=0)), "the error's own mean is forgiven"),
        (leak(mse=lambda d: d.abs().mean(0)), "the errors are not squared"),
        (leak(pool=lambda t: t.relu().sum().item()), "it is a Python number"),
        (leak_in_place, "changes its argument `guessed` in place"),
        (leak_centred_in_place, "changes its argument `s` in place"),
        (leak(mse=lambda d: d.square().mean(0) + 1e-8), "no epsilon"),
    ],
    "09.7": [
        (way(over=lambda r, c: (c**2).sum(0)), "the other way round, of the rating on each number"),
        (reading, "the other way round, of the rating on the whole code"),
        (from_zero, "neither is centred"),
        (way(about=lambda r: r), "the rating is not centred"),
        (way(over=lambda r, c: (len(r) - 1) * r.std() * c.std(0)), "it is the correlation"),
        (way(over=lambda r, c: len(r) - 1), "it is the covariance, over N - 1"),
        (way(over=lambda r, c: len(r)), "it is the covariance, over N:"),
        (way(over=lambda r, c: 1), "it is a sum of products"),
        (way(over=lambda r, c: (len(r) - 1) * r.std()), "the rating's standard deviation: that"),
        (way(over=lambda r, c: (len(r) - 1) * r.var(correction=0)), "the covariance has N - 1 and the variance N:"),
        (way(over=lambda r, c: len(r) * r.var()), "the covariance has N and the variance N - 1"),
        (lambda s, r: s[r > r.mean()].mean(0) - s[r <= r.mean()].mean(0), "high ratings less that of low ones"),
        (way(last=lambda d: d / d.norm()), "the length one"),
        (way(last=torch.neg), "its sign is flipped"),
        (lambda s, r: (s * r[:, None]).sum(0) / r.sum(), "weighted by the ratings"),
        (way(last=torch.reciprocal), "it is upside down"),
        (way(last=torch.sum), "adds up the numbers of the code"),
        (lambda s, r: (s * r[:, None]).mean(0) / r.var(correction=0), "Cov(s, rating) is not centred"),
        (over_the_range, "from the lowest rating to the highest"),
        (rating_in_place, "changes its argument `rating` in place"),
        (codes_in_place, "changes its argument `s` in place"),
        (way(over=lambda r, c: (r**2).sum() + 1e-8), "ratings differ little"),
    ],
}


REFUSED = {
    "09.1": [
        cov(S=squares(lambda M, K: M * (K + 1))),
        cov(S=squares(lambda M, K: K)),
        cov(S=squares(lambda M, K: M)),
        cov(S=squares(lambda M, K: M - 1)),
        cov(S=squares(lambda M, K: (M - 1) * (K - 1))),
        cov(S=squares(lambda M, K: 1)),
        cov(centre=lambda f: f.mean(0)),
        cov(centre=lambda f: f.mean(2, keepdim=True)),
        cov(centre=lambda f: f[:, :1]),
        cov(centre=lambda f: f.median(1, keepdim=True).values),
        cov(off=lambda S, M, K: S / M),
        cov(off=lambda S, M, K: S / (M * K)),
        cov(off=lambda S, M, K: S / K**2),
        cov(off=lambda S, M, K: S / K**0.5),
        cov(off=lambda S, M, K: S / 3),
        cov(of_means=lambda c: torch.cov(c)[: c.shape[1], : c.shape[1]]),
        cov(of_means=lambda c: torch.corrcoef(c.T)),
        cov(pack=lambda S, BBt: torch.stack([S, BBt])),
        cov(pack=lambda S, BBt: (S, BBt, S + BBt)),
        cov(pack=lambda S, BBt: S),
        cov(pack=lambda S, BBt: BBt),
        cov(pack=lambda S, BBt: S + BBt),
        cov(pack=lambda S, BBt: (S, torch.linalg.inv(S) @ BBt)),
        cov(pack=lambda S, BBt: (S, BBt / S)),
        cov(pack=lambda S, BBt: (S, BBt.abs())),
        cov(pack=lambda S, BBt: (S, BBt.clamp(min=0))),
        cov(pack=lambda S, BBt: (S, torch.where(torch.eye(len(S)) > 0, BBt.clamp(min=0), BBt))),
        cov(pack=lambda S, BBt: (S.sqrt(), BBt.sqrt())),
        cov(pack=lambda S, BBt: (torch.linalg.cholesky(S), BBt)),
        cov(pack=lambda S, BBt: (S + 1e-4 * torch.eye(len(S)).to(S), BBt)),
        cov(pack=lambda S, BBt: (S + 1e-8 * torch.eye(len(S)).to(S), BBt)),
        cov(pack=lambda S, BBt: (S.double(), BBt.double())),
        cov(pack=lambda S, BBt: (S.float(), BBt.float())),
        cov(pack=lambda S, BBt: (S.numpy(), BBt.numpy())),
        cov(pack=lambda S, BBt: (S.tolist(), BBt.tolist())),
        cov(pack=lambda S, BBt: (S, BBt.requires_grad_())),
        cast(torch.float32, cov()),
        of_one_set,
        by_first_members,
        of_members,
        total_less_within,
        lambda f: cov()(f[:, :2]),
        lambda f: cov()(f - f.mean((0, 1)))[::-1],
        lambda f: cov()(f.mul_(1.0 + 1e-3)),
    ],
    "09.2": [
        post(count=lambda K: K - 1),
        post(count=lambda K: K + 1),
        post(count=lambda K: 1 / K),
        post(count=lambda K: K**0.5),
        post(prior=lambda K: K),
        post(prior=lambda K: 1 / K),
        post(prior=lambda K: -1),
        post(prior=lambda K: 1e-6),
        post(P=lambda S: torch.linalg.cholesky(S).inverse()),
        post(P=lambda S: S.inverse().diag().diag()),
        post(P=lambda S: (S + 1e-4 * torch.eye(len(S)).to(S)).inverse()),
        post(P=lambda S: (S + 1e-8 * torch.eye(len(S)).to(S)).inverse()),
        post(P=lambda S: torch.linalg.pinv(S, rtol=0.3)),
        post(P=lambda S: S.inverse().clamp(-100, 100)),
        post(said=lambda f, m: (f + m).sum(0)),
        post(said=lambda f, m: (m - f).sum(0)),
        post(said=lambda f, m: (f - f.mean(0)).sum(0)),
        post(said=lambda f, m: (f - m)[0]),
        post(said=lambda f, m: (f - m)[-1] * len(f)),
        post(said=lambda f, m: (f - m).median(0).values * len(f)),
        post(said=lambda f, m: (f - m).T),
        post(mean=lambda L, h: L @ h),
        post(mean=lambda L, h: h / L.diag()),
        post(mean=lambda L, h: (L.inverse() @ h)[:, None]),
        post(mean=lambda L, h: L.inverse() @ h + 1),
        post(mean=lambda L, h: torch.zeros_like(h)),
        post(covariance=lambda L: L.inverse().sqrt()),
        post(covariance=lambda L: L.inverse().diag()),
        post(covariance=lambda L: L.inverse().diag().diag()),
        post(covariance=lambda L: torch.linalg.cholesky(L.inverse())),
        post(covariance=lambda L: L.inverse().logdet()),
        post(covariance=lambda L: L.inverse()[None]),
        post(covariance=lambda L: L.inverse().float()),
        post(covariance=lambda L: L.inverse().double()),
        post(covariance=lambda L: L.inverse().numpy()),
        post(covariance=lambda L: (L + 1e-6 * torch.eye(len(L)).to(L)).inverse()),
        lambda f, m, B, S: post()(f, m, B, S)[::-1],
        lambda f, m, B, S: post()(f, m, B, S)[0],
        lambda f, m, B, S: MultivariateNormal(*post()(f, m, B, S)),
        lambda f, m, B, S: Normal(post()(f, m, B, S)[0], post()(f, m, B, S)[1].diag().sqrt()),
        lambda f, m, B, S: post()(f, m, B.mT.contiguous(), S),
        lambda f, m, B, S: post()(f, m, B, S / len(f)),
        lambda f, m, B, S: post()(f, m, B, S + B @ B.T),
        lambda f, m, B, S: post()(f.sub_(0.1), m, B, S),
        by_least_squares,
        post_S_in_place,
    ],
    "09.3": [
        carry(left=lambda x, base, new_base: x + base),
        carry(left=lambda x, base, new_base: x / base),
        carry(left=lambda x, base, new_base: x - base.mean((2, 3), keepdim=True)),
        carry(left=lambda x, base, new_base: x - base.mean(0)),
        carry(left=lambda x, base, new_base: x - base[:1]),
        carry(left=lambda x, base, new_base: x - x.mean((2, 3), keepdim=True)),
        carry(left=lambda x, base, new_base: (x - base).relu()),
        carry(left=lambda x, base, new_base: (x - base).clamp(0, 1)),
        carry(left=lambda x, base, new_base: (x - base).mean(1, keepdim=True).expand_as(x)),
        carry(left=lambda x, base, new_base: (x - base).flip(1)),
        carry(left=lambda x, base, new_base: torch.where((x - base).abs() > 0.1, x - base, 0)),
        carry(left=lambda x, base, new_base: x - (base + new_base) / 2),
        carry(matrix=lambda T: T[:1]),
        carry(matrix=lambda T: T[-1]),
        carry(matrix=lambda T: T.flip(0)),
        carry(matrix=lambda T: T.flip(1)),
        carry(matrix=lambda T: T.triu()),
        carry(matrix=lambda T: (T + T.mT) / 2),
        carry(matrix=lambda T: T - torch.eye(T.shape[-1]).to(T)),
        carry(matrix=lambda T: T + torch.eye(T.shape[-1]).to(T)),
        carry(matrix=lambda T: T + 1e-3),
        carry(matrix=lambda T: T + 1e-6 * torch.eye(T.shape[-1]).to(T)),
        carry(matrix=lambda T: T.mT @ T),
        carry(matrix=lambda T: T.softmax(2)),
        carry(matrix=lambda T: T / T.sum(2, keepdim=True)),
        carry(matrix=lambda T: T / T.det()[:, None, None].abs()),
        carry(matrix=lambda T: torch.linalg.svd(T)[0] @ torch.linalg.svd(T)[2]),
        carry(matrix=torch.matrix_exp),
        carry(matrix=lambda T: T.abs()),
        carry(turn=lambda T, left: T * left),
        carry(turn=lambda T, left: T[..., None, None] * left[:, None]),
        carry(turn=lambda T, left: T.mean((1, 2))[:, None, None, None] * left),
        carry(turn=lambda T, left: torch.einsum("nij,njhw->nih", T, left)[..., None].expand_as(left)),
        carry(turn=lambda T, left: torch.einsum("nij,njhw->ihw", T, left)),
        carry(turn=lambda T, left: torch.einsum("nij,mjhw->mihw", T, left)),
        carry(onto=lambda turned, x, base, new_base: x + turned),
        carry(onto=lambda turned, x, base, new_base: new_base + turned / 2),
        carry(onto=lambda turned, x, base, new_base: new_base + x - base + turned),
        carry(onto=lambda turned, x, base, new_base: new_base * turned),
        carry(onto=lambda turned, x, base, new_base: new_base * (1 + turned)),
        carry(onto=lambda turned, x, base, new_base: (base + new_base) / 2 + turned),
        carry(onto=lambda turned, x, base, new_base: new_base.mean(0) + turned),
        carry(onto=lambda turned, x, base, new_base: new_base),
        carry(last=lambda y: y.clamp(min=0)),
        carry(last=lambda y: y.clamp(max=1)),
        carry(last=torch.sigmoid),
        carry(last=lambda y: (y - y.amin()) / (y.amax() - y.amin())),
        carry(last=lambda y: (255 * y).round() / 255),
        carry(last=lambda y: (255 * y).to(torch.uint8)),
        carry(last=lambda y: y.permute(0, 2, 3, 1)),
        carry(last=lambda y: y.flatten(2)),
        carry(last=lambda y: y[0]),
        carry(last=lambda y: y.squeeze()),
        carry(last=lambda y: y.mean(0)),
        carry(last=lambda y: y.double()),
        carry(last=lambda y: y.float()),
        carry(last=lambda y: y.numpy()),
        carry(last=lambda y: [y]),
        carry(last=lambda y: y.requires_grad_()),
        cast(torch.float16, carry()),
        lambda x, base, new_base, T: x,
        lambda x, base, new_base, T: x + new_base - in_pixels(T, base),
        lambda x, base, new_base, T: carry()(x, base.sub_(0.1), new_base, T),
    ],
    "09.4": [
        bound(members=lambda a, b: a * b),
        bound(members=lambda a, b: b - a),
        bound(members=lambda a, b: a - b.mean(1, keepdim=True) / 2),
        bound(members=lambda a, b: a - 0.5 * b),
        bound(members=lambda a, b: a - b.detach()),
        bound(members=lambda a, b: a.detach() - b),
        bound(members=lambda a, b: a - b.clamp(min=0.5)),
        bound(members=lambda a, b: (a - b).clamp(max=0)),
        bound(members=lambda a, b: a.exp() - b),
        bound(pool=lambda t: t.sum()),
        bound(pool=lambda t: t.mean()),
        bound(pool=lambda t: t.mean(0)),
        bound(pool=lambda t: t[:, 0]),
        bound(pool=lambda t: t.prod(1)),
        bound(pool=lambda t: t.max(1).values),
        bound(pool=lambda t: t.logsumexp(1) - math.log(t.shape[1])),
        bound(pool=lambda t: t.cumsum(1)[:, 0]),
        bound(pay=lambda t, kl_s, K: t - kl_s.sum()),
        bound(pay=lambda t, kl_s, K: t - kl_s.mean()),
        bound(pay=lambda t, kl_s, K: t - kl_s.detach()),
        bound(pay=lambda t, kl_s, K: t - kl_s.clamp(min=1)),
        bound(pay=lambda t, kl_s, K: t - kl_s / 2),
        bound(pay=lambda t, kl_s, K: t - kl_s * len(kl_s)),
        bound(pay=lambda t, kl_s, K: t - kl_s[:, None]),
        bound(pay=lambda t, kl_s, K: t - kl_s / t.shape[0]),
        bound(pay=lambda t, kl_s, K: (t - kl_s).squeeze()),
        bound(pay=lambda t, kl_s, K: (t - kl_s)[:, None]),
        bound(pay=lambda t, kl_s, K: (t - kl_s).double()),
        bound(pay=lambda t, kl_s, K: (t - kl_s).float()),
        bound(pay=lambda t, kl_s, K: (t - kl_s).tolist()),
        bound(pay=lambda t, kl_s, K: (t - kl_s).detach().numpy()),
        bound(pay=lambda t, kl_s, K: (t - kl_s).detach().requires_grad_()),
        bound(pay=lambda t, kl_s, K: (t - kl_s).clamp(-500, 500)),
        bound(pay=lambda t, kl_s, K: (t - kl_s) / math.log(2)),
        bound(pay=lambda t, kl_s, K: (t - kl_s).exp()),
        bound(pay=lambda t, kl_s, K: (t, kl_s)),
        lambda log_px, kl_z, kl_s: -(log_px + kl_z).sum(1) - kl_s,
        lambda log_px, kl_z, kl_s: (log_px.T - kl_z.T - kl_s).sum(1),
        lambda log_px, kl_z, kl_s: (log_px.mT - kl_z.mT - kl_s).sum(0),
        lambda log_px, kl_z, kl_s: bound()(log_px, kl_z, kl_s) - kl_z.sum(1),
        lambda log_px, kl_z, kl_s: log_px.sum(1) - kl_z.sum() - kl_s,
    ],
    "09.5": [
        styled(q=lambda vae, x, own, wanted: vae.encode(x, torch.zeros_like(own))),
        styled(q=lambda vae, x, own, wanted: vae.encode(x, own.mean(0, keepdim=True))),
        styled(q=lambda vae, x, own, wanted: vae.encode(x, (own + wanted) / 2)),
        styled(q=lambda vae, x, own, wanted: vae.encode(x, own - wanted)),
        styled(q=lambda vae, x, own, wanted: vae.encode(x.round(), own)),
        styled(q=lambda vae, x, own, wanted: vae.encode(x.flip(0), own)),
        styled(q=lambda vae, x, own, wanted: vae.encode(x.mT.reshape(x.shape), own)),
        styled(q=lambda vae, x, own, wanted: vae.encode(x[:1], own[:1])),
        styled(z=lambda q: q.stddev),
        styled(z=lambda q: q.mean + q.stddev),
        styled(z=lambda q: q.mean.tanh()),
        styled(z=lambda q: q.mean / q.mean.norm(dim=1, keepdim=True)),
        styled(z=lambda q: q.mean.mean(0, keepdim=True).expand_as(q.mean)),
        styled(z=lambda q: q.sample((100,)).mean(0)),
        styled(z=lambda q: torch.randn_like(q.mean)),
        styled(z=lambda q: q.mean + 1e-3),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, torch.zeros_like(wanted))),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted.mean(0, keepdim=True))),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted[:1])),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted.flip(0))),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, 2 * wanted)),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted + own)),
        styled(p=lambda vae, z, own, wanted: vae.decode(z, wanted / wanted.norm(dim=1, keepdim=True))),
        styled(picture=lambda p: p.stddev),
        styled(picture=lambda p: p.variance),
        styled(picture=lambda p: p.sample((100,)).mean(0)),
        styled(picture=lambda p: p.mean.clamp(0.2, 0.8)),
        styled(picture=lambda p: p.mean.round()),
        styled(picture=lambda p: (255 * p.mean).round() / 255),
        styled(picture=lambda p: (255 * p.mean).to(torch.uint8)),
        styled(picture=lambda p: 255 * p.mean),
        styled(picture=lambda p: p.mean.sigmoid()),
        styled(picture=lambda p: p.mean / p.mean.max()),
        styled(picture=lambda p: p.mean[0]),
        styled(picture=lambda p: p.mean.mean(0)),
        styled(picture=lambda p: p.mean.permute(0, 2, 3, 1)),
        styled(picture=lambda p: p.mean.flatten(1)),
        styled(picture=lambda p: p.mean.double()),
        styled(picture=lambda p: p.mean.float()),
        styled(picture=lambda p: p.mean.detach().numpy()),
        styled(picture=lambda p: [p.mean]),
        styled(picture=lambda p: Independent(Normal(p.mean, 1), 3)),
        lambda vae, x, own, wanted: vae.decode(wanted, vae.encode(x, own).mean).mean,
        lambda vae, x, own, wanted: x,
        lambda vae, x, own, wanted: (x + styled()(vae, x, own, wanted)) / 2,
        lambda vae, x, own, wanted: x + styled()(vae, x, own, wanted) - styled()(vae, x, own, own),
        lambda vae, x, own, wanted: styled()(vae, x.mul_(0.5), own, wanted),
        lambda vae, x, own, wanted: styled()(vae, x, own, wanted.add_(1)),
        lambda vae, x, own, wanted: styled()(vae, F.pad(x, (1, 1)), own, wanted),
    ],
    "09.6": [
        leak(mse=lambda d: d.square().mean()),
        leak(mse=lambda d: d.square().sum(0)),
        leak(mse=lambda d: d.square().sum(0) / (len(d) - 1)),
        leak(mse=lambda d: d.var(0)),
        leak(mse=lambda d: d.square().median(0).values),
        leak(mse=lambda d: d.square().mean(1)),
        leak(mse=lambda d: d.square().mean(0).sqrt()),
        leak(mse=lambda d: d.mean(0).square()),
        leak(mse=lambda d: d.square().mean(0) + 1e-3),
        leak(mse=lambda d: d.square().mean(0) + 1e-6),
        leak(mse=lambda d: d.square().mean(0).clamp(min=1e-6)),
        leak(mse=lambda d: (d + 1e-6).square().mean(0)),
        leak(var=lambda s: s.var()),
        leak(var=lambda s: s.var(correction=0)),
        leak(var=lambda s: s.std(0, correction=0)),
        leak(var=lambda s: torch.ones_like(s[0])),
        leak(var=lambda s: s.var(0, correction=0).mean()),
        leak(var=lambda s: s.abs().mean(0)),
        leak(var=lambda s: s.var(1)),
        leak(nats=lambda r: r),
        leak(nats=lambda r: r.sqrt()),
        leak(nats=lambda r: r.log1p() / 2),
        leak(nats=lambda r: r.log10() / 2),
        leak(nats=lambda r: -(1 - r).log() / 2),
        leak(nats=lambda r: 0.5 * r.log().clamp(max=5)),
        leak(nats=lambda r: 0.5 * (r + 1e-3).log()),
        leak(nats=lambda r: r.log() / 4),
        leak(pool=lambda t: t.abs().sum()),
        leak(pool=lambda t: t.clamp(max=0).sum()),
        leak(pool=lambda t: t.clamp(0, 1).sum()),
        leak(pool=lambda t: t.max()),
        leak(pool=lambda t: t.relu().prod()),
        leak(pool=lambda t: F.softplus(t).sum()),
        leak(pool=lambda t: t.relu().sum().reshape(1)),
        leak(pool=lambda t: t.relu().sum().double()),
        leak(pool=lambda t: t.relu().sum().float()),
        leak(pool=lambda t: t.relu().sum().numpy()),
        leak(pool=lambda t: -t.relu().sum()),
        leak(pool=lambda t: t.relu().sum().requires_grad_()),
        lambda guessed, s: leak()(guessed, s) / len(s),
        lambda guessed, s: leak()(s, guessed),
        lambda guessed, s: leak()(guessed - guessed.mean(0) + s.mean(0), s),
        lambda guessed, s: leak()(guessed.T, s.T),
        lambda guessed, s: leak()(guessed[:, :1], s[:, :1]),
        lambda guessed, s: (guessed - s).square().mean(),
        lambda guessed, s: leak(pool=lambda t: t[~t.isnan() & (t > 0)].mean())(guessed, s),
        cast(torch.float32, leak(nats=lambda r: (0.5 * r.log() * 1000).round() / 1000)),
    ],
    "09.7": [
        way(code=lambda s: s, about=lambda r: r),
        way(code=lambda s: s - s.mean(1, keepdim=True)),
        way(code=lambda s: (s - s.mean(0)) / s.std(0)),
        way(code=lambda s: s / s.norm(dim=1, keepdim=True)),
        way(code=lambda s: (s - s.mean(0)).abs()),
        way(code=lambda s: (s - s.mean(0)).sign()),
        way(about=lambda r: (r - r.mean()) / r.std()),
        way(about=lambda r: (r - r.mean()).sign()),
        way(about=lambda r: r - r.median()),
        way(about=lambda r: r.argsort().argsort().to(r) - (len(r) - 1) / 2),
        way(about=lambda r: r - r.min()),
        way(about=lambda r: r.mean() - r, over=lambda r, c: -(r**2).sum() - 1e-6),
        way(over=lambda r, c: (r**2).mean()),
        way(over=lambda r, c: r.var()),
        way(over=lambda r, c: r.std()),
        way(over=lambda r, c: r.abs().sum()),
        way(over=lambda r, c: (r**2).sum().sqrt()),
        way(over=lambda r, c: (r**2).sum() + (c**2).sum()),
        way(over=lambda r, c: (r**2).sum() + 1),
        way(over=lambda r, c: (r**2).sum() + 1e-4),
        way(over=lambda r, c: (r**2).sum().clamp(min=1e-3)),
        way(over=lambda r, c: (c**2).sum()),
        way(over=lambda r, c: r.max() - r.min()),
        way(last=lambda d: d[None]),
        way(last=lambda d: d[:, None]),
        way(last=lambda d: d.squeeze()),
        way(last=lambda d: d.sum()),
        way(last=lambda d: d.norm()),
        way(last=lambda d: d.abs()),
        way(last=lambda d: d / d.abs().max()),
        way(last=lambda d: d / d.abs().sum()),
        way(last=lambda d: d.softmax(0)),
        way(last=lambda d: d.clamp(-1, 1)),
        way(last=lambda d: d.double()),
        way(last=lambda d: d.float()),
        way(last=lambda d: d.numpy()),
        way(last=lambda d: d.tolist()),
        way(last=lambda d: d.requires_grad_()),
        cast(torch.float32, way()),
        by_median,
        lstsq_with_ones,
        lambda s, r: s[r.argmax()],
        lambda s, r: s[r.argmax()] - s[r.argmin()],
        lambda s, r: (s[r.argmax()] - s[r.argmin()]) / (r.max() - r.min()),
        lambda s, r: s.diff(dim=0).mean(0) / r.diff().mean(),
        lambda s, r: (s.diff(dim=0) / r.diff()[:, None]).mean(0),
        lambda s, r: ((s - s.mean(0)) / (r - r.mean())[:, None]).mean(0),
        lambda s, r: torch.linalg.svd(s - s.mean(0)).Vh[0],
        lambda s, r: torch.linalg.pinv(s) @ r,
        lambda s, r: r @ s / (r @ r) - s.mean(0) / r.mean(),
        lambda s, r: s.mean(0),
    ],
}
