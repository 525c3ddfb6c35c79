"""Wrong answers to the exercises of notebook 08, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Normal


def blur(
    each=lambda a, b, s: (a - b) ** 2 / (8 * s**2),
    pool=lambda t: t.flatten(1).sum(1),
):
    """price_of_blur with one of its steps replaced."""
    return lambda a, b, sigma: pool(each(a, b, sigma))


def blurred_in_place(a, b, sigma):
    return a.sub_(b).square().sum((1, 2, 3)) / (8 * sigma**2)


def swallowed_in_place(a, b, sigma):
    b.mul_(-1).add_(a)
    return b.square().sum((1, 2, 3)) / (8 * sigma**2)


def mixed(a, b, sigma):
    """Minus the log of the even mixture of both, against knowing which."""
    far = ((a - b) ** 2).sum((1, 2, 3)) / (2 * sigma**2)
    return math.log(2) - torch.log1p((-far).exp())


def nats(
    n=lambda f: f[0].numel() / 2,
    mse=lambda d: d.square().mean(),
    log=torch.log,
    join=sum,
    pairs=lambda real, made: zip(real, made, strict=True),
):
    """feature_nats with one of its steps replaced."""
    return lambda real, made: join([n(f) * log(mse(g - f)) for f, g in pairs(real, made)])


def nats_together(real, made):
    d = torch.cat([(g - f).flatten(1) for f, g in zip(real, made, strict=True)], 1)
    return d.shape[1] / 2 * d.square().mean().log()


def nats_in_place(real, made):
    return sum(g[0].numel() / 2 * g.sub_(f).square().mean().log() for f, g in zip(real, made, strict=True))


def nats_real_in_place(real, made):
    return sum(g[0].numel() / 2 * (f.mul_(-1).add_(g)).square().mean().log() for f, g in zip(real, made, strict=True))


def nats_eating(real, made):
    total = 0
    while made:
        f, g = real.pop(), made.pop()
        total = total + g[0].numel() / 2 * (g - f).square().mean().log()
    return total


def nats_backward(real, made):
    loss = nats()(real, made)
    loss.backward(retain_graph=True)
    return loss


def nats_flagged(real, made):
    return nats()([f.requires_grad_() for f in real], made)


def nats_without_grad(real, made):
    with torch.no_grad():
        return nats()(real, made)


def hinge(
    real=lambda d: F.relu(1 - d),
    fake=lambda d: F.relu(1 + d),
    cut=torch.detach,
    pool=torch.mean,
    see=lambda critic, x: critic(x),
):
    """critic_loss with one of its steps replaced."""
    return lambda critic, x, x_hat: pool(real(see(critic, x))) + pool(fake(see(critic, cut(x_hat))))


def no_grad(function):
    def answer(*args):
        with torch.no_grad():
            return function(*args)

    return answer


def before(do, function):
    """Does something to the critic first and forgets it."""

    def answer(critic, *rest):
        do(critic)
        return function(critic, *rest)

    return answer


def after(do, function):
    """Does something with the critic and the loss in the end."""

    def answer(critic, *rest):
        loss = function(critic, *rest)
        do(critic, loss)
        return loss

    return answer


def step(critic, loss):
    loss.backward(retain_graph=True)
    with torch.no_grad():
        for w in critic.parameters():
            w -= 0.01 * w.grad


def freeze(critic):
    critic.requires_grad_(False)


def shrink(critic):
    """As WGAN clips weights."""
    for w in critic.parameters():
        w.data.clamp_(-0.01, 0.01)


def hinge_of_made_without_grad(critic, x, x_hat):
    with torch.no_grad():
        d_hat = critic(x_hat)
    return F.relu(1 - critic(x)).mean() + F.relu(1 + d_hat).mean()


def hinge_cut_in_place(critic, x, x_hat):
    return hinge(cut=lambda made: made.detach_())(critic, x, x_hat)


def hinge_one_cut(critic, x, x_hat):
    """Half of the gradient gets through to x_hat."""
    return F.relu(1 - critic(x)).mean() + F.relu(1 + critic((x_hat + x_hat.detach()) / 2)).mean()


def hinge_with_another_slope(critic, x, x_hat):
    """The right value, the gradient of another loss."""
    soft = hinge(real=lambda d: F.softplus(-d), fake=F.softplus)(critic, x, x_hat)
    return soft + (hinge()(critic, x, x_hat) - soft).detach()


def backward_into(*places):
    """Leaves a gradient in x_hat, or in the critic, alone."""

    def do(critic, x_hat):
        loss = disbelieved()(critic, x_hat)
        inputs = [x_hat] if "x_hat" in places else list(critic.parameters())
        loss.backward(inputs=inputs, retain_graph=True)
        return loss

    return do


def frozen_where_it_began(critic, x_hat):
    critic.head.weight.requires_grad_(False) if hasattr(critic, "head") else None
    return disbelieved()(critic, x_hat)


def moved(x, real, made):
    """Changes one of the distributions."""
    result = logit(x, real, made)
    (made.loc if hasattr(made, "loc") else made.component_distribution.loc).add_(1)
    return result


def disbelieved(of=lambda d: -d, pool=torch.mean, see=lambda critic, x: critic(x)):
    """disbelief with one of its steps replaced."""
    return lambda critic, x_hat: pool(of(see(critic, x_hat)))


def straight_through(critic, x_hat):
    """The right value, the gradient of another loss."""
    d = critic(x_hat)
    hinged = F.relu(1 - d).mean()
    return hinged + (-d.mean() - hinged).detach()


def logit(x, real, made):
    return real.log_prob(x) - made.log_prob(x)


def shifting(x, real, made):
    """Changes what it was given."""
    result = logit(x, real, made)
    x.add_(1)
    return result


REFUSED = {
    "08.1": [
        blur(lambda a, b, s: (a - b) ** 2 / (2 * s**2)),
        blur(lambda a, b, s: (a - b) ** 2 / (4 * s**2)),
        blur(lambda a, b, s: (a - b) ** 2 / (16 * s**2)),
        blur(lambda a, b, s: (a - b) ** 2 / s**2),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * s)),
        blur(lambda a, b, s: (a - b) ** 2 / 8),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * s**4)),
        blur(lambda a, b, s: (a - b).abs() / (2 * s)),
        blur(lambda a, b, s: -((a - b) ** 2) / (8 * s**2)),
        blur(lambda a, b, s: (a + b) ** 2 / (8 * s**2)),
        blur(lambda a, b, s: (a - (a + b) / 2) / (2 * s**2)),
        blur(lambda a, b, s: -Normal((a + b) / 2, s).log_prob(a)),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * s**2) + math.log(s)),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * (s**2 + 1e-6))),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * max(s, 0.01) ** 2)),
        blur(lambda a, b, s: (a - b) ** 2 / (8 * s**2) / math.log(2)),
        blur(pool=lambda t: t.flatten(1).mean(1)),
        blur(pool=torch.sum),
        blur(pool=torch.mean),
        blur(pool=lambda t: t.sum((1, 2, 3)).mean()),
        blur(pool=lambda t: t.sum(1)),
        blur(pool=lambda t: t.sum((2, 3))),
        blur(pool=lambda t: t.sum((2, 3)).mean(1)),
        blur(pool=lambda t: t.sum(0)),
        blur(pool=lambda t: t.flatten(1).sum(1, keepdim=True)),
        blur(pool=lambda t: t.flatten(1).sum(1).squeeze()),
        blur(pool=lambda t: t.flatten(1).sum(1).tolist()),
        blur(pool=lambda t: t.flatten(1).sum(1).numpy()),
        blur(pool=lambda t: t.flatten(1).sum(1).double()),
        blur(pool=lambda t: t.flatten(1).sum(1).float()),
        blur(pool=lambda t: t.flatten(1).sum(1).sqrt()),
        blur(pool=lambda t: t.flatten(1).sum(1).clamp(max=100)),
        blur(pool=lambda t: t.sum((1, 2, 3)).requires_grad_()),
        blurred_in_place,
        swallowed_in_place,
        mixed,
        lambda a, b, sigma: (a - b).flatten(1).norm(dim=1) / (2 * sigma),
        lambda a, b, sigma: (a - b).flatten(1).sum(1) ** 2 / (8 * sigma**2),
        lambda a, b, sigma: blur()(a.clamp(0, 1), b.clamp(0, 1), sigma) * 0 + blur()(a, b, sigma)[:1],
        lambda a, b, sigma: blur()(a.clamp(0, 1), b.clamp(0, 1), sigma),
        lambda a, b, sigma: blur()(a[:, :3], b[:, :3], sigma),
        blur(lambda a, b, s: ((a - b) / (2 * s)) ** 4 / ((a - b) / (2 * s)) ** 2 / 2),  # NaN where they are equal
    ],
    "08.2": [
        nats(n=lambda f: f[0].numel()),
        nats(n=lambda f: f.numel() / 2),
        nats(n=lambda f: f.shape[1] / 2),
        nats(n=lambda f: f[0, 0].numel() / 2),
        nats(n=lambda f: 0.5),
        nats(n=lambda f: f[0].numel() / 4),
        nats(n=lambda f: -f[0].numel() / 2),
        nats(mse=lambda d: d.square().sum()),
        nats(mse=lambda d: d.square().flatten(1).sum(1).mean()),
        nats(mse=lambda d: d.square().sum(0).mean()),
        nats(mse=lambda d: d.abs().mean()),
        nats(mse=lambda d: d.square().mean().sqrt()),
        nats(mse=lambda d: d.mean().square()),
        nats(mse=lambda d: d.var()),
        nats(mse=lambda d: d.square().flatten().median()),
        nats(mse=lambda d: d.square(), log=lambda e: e.log().mean()),
        nats(mse=lambda d: d.square().flatten(1).mean(1), log=lambda e: e.log().mean()),
        nats(mse=lambda d: d.square().flatten(1).mean(1), log=lambda e: e.log().sum()),
        nats(mse=lambda d: d.square().flatten(1).mean(1)),
        nats(mse=lambda d: d.square().transpose(0, 1).flatten(1).mean(1), log=lambda e: e.log().mean()),
        nats(mse=lambda d: d.square().mean(0), log=lambda e: e.log().mean()),
        nats(log=torch.log10),
        nats(log=torch.log2),
        nats(log=torch.log1p),
        nats(log=lambda e: e),
        nats(log=lambda e: e.log() + math.log(2 * math.pi)),
        nats(log=lambda e: e.log() + math.log(2 * math.pi) + 1),
        nats(log=lambda e: (e + 1e-3).log()),
        nats(log=lambda e: (e + 1e-6).log()),
        nats(log=lambda e: (e + 1e-8).log()),
        nats(log=lambda e: e.clamp(min=1e-6).log()),
        nats(log=lambda e: e.clamp(max=1e4).log()),
        nats(log=lambda e: e.detach().log()),
        nats(log=lambda e: e.log().item()),
        nats(join=lambda parts: sum(parts) / len(parts)),
        nats(join=lambda parts: parts[-1]),
        nats(join=lambda parts: parts[0]),
        nats(join=torch.stack),
        nats(join=lambda parts: parts),
        nats(join=lambda parts: sum(parts).reshape(1)),
        nats(join=lambda parts: sum(parts).double()),
        nats(join=lambda parts: sum(parts).float()),
        nats(join=lambda parts: sum(parts).exp()),
        nats(pairs=lambda real, made: zip(real, [g.detach() for g in made], strict=True)),
        nats(pairs=lambda real, made: zip(real, [*made[:-1], made[-1].detach()], strict=True)),
        nats(pairs=lambda real, made: zip(real, [made[0].detach(), *made[1:]], strict=True)),
        nats(pairs=lambda real, made: zip(real[:2], made[:2], strict=True)),
        nats(pairs=lambda real, made: zip([f.mean(0) for f in real], [g.mean(0) for g in made], strict=True)),
        nats(
            pairs=lambda real, made: zip(
                [f / f.std() for f in real], [g / f.std() for f, g in zip(real, made, strict=True)], strict=True
            )
        ),
        nats_together,
        nats_in_place,
        nats_real_in_place,
        nats_eating,
        nats_backward,
        nats_flagged,
        nats_without_grad,
        lambda real, made: nats()(real, made) / len(real[0]),
        lambda real, made: nats()(real, made) * len(real[0]),
        lambda real, made: sum((g - f).square().flatten(1).sum(1).mean() for f, g in zip(real, made, strict=True)),
        lambda real, made: sum(((g - f).square().mean() for f, g in zip(real, made, strict=True))).log(),
    ],
    "08.4": [
        hinge(cut=lambda made: made),
        hinge(cut=torch.clone),
        hinge(real=lambda d: F.relu(1 + d), fake=lambda d: F.relu(1 - d)),
        hinge(real=lambda d: F.relu(d - 1)),
        hinge(real=lambda d: 1 - d, fake=lambda d: 1 + d),
        hinge(real=lambda d: -d, fake=lambda d: d),
        hinge(real=lambda d: F.relu(-d), fake=F.relu),
        hinge(real=lambda d: F.relu(2 - d), fake=lambda d: F.relu(2 + d)),
        hinge(real=lambda d: F.relu(1 - d) ** 2, fake=lambda d: F.relu(1 + d) ** 2),
        hinge(real=lambda d: F.softplus(1 - d), fake=lambda d: F.softplus(1 + d)),
        hinge(real=lambda d: F.softplus(-d), fake=F.softplus),
        hinge(real=lambda d: F.gelu(1 - d), fake=lambda d: F.gelu(1 + d)),
        hinge(real=lambda d: F.leaky_relu(1 - d, 0.2), fake=lambda d: F.leaky_relu(1 + d, 0.2)),
        hinge(real=lambda d: (1 - d).abs(), fake=lambda d: (1 + d).abs()),
        hinge(real=lambda d: F.relu(1 - d.sigmoid()), fake=lambda d: F.relu(1 + d.sigmoid())),
        hinge(real=lambda d: F.relu(1 - d.tanh()), fake=lambda d: F.relu(1 + d.tanh())),
        hinge(real=lambda d: F.relu(1 - d).clamp(max=2), fake=lambda d: F.relu(1 + d).clamp(max=2)),
        hinge(real=lambda d: F.relu(1 - d).clamp(max=20), fake=lambda d: F.relu(1 + d).clamp(max=20)),
        hinge(real=lambda d: 0 * d),
        hinge(fake=lambda d: 0 * d),
        hinge(fake=lambda d: -F.relu(1 + d)),
        hinge(pool=torch.sum),
        hinge(pool=lambda t: t.flatten(1).mean(1)),
        hinge(pool=lambda t: t.flatten(1).sum(1).mean()),
        hinge(pool=lambda t: t.mean(0)),
        hinge(pool=lambda t: t),
        hinge(pool=lambda t: t.mean().reshape(1)),
        hinge(pool=lambda t: t.mean().double()),
        hinge(pool=lambda t: t.mean().float()),
        hinge(pool=lambda t: t.mean() / 2),
        hinge(pool=lambda t: t.mean().item()),
        lambda critic, x, x_hat: F.relu(1 - critic(x).mean()) + F.relu(1 + critic(x_hat.detach()).mean()),
        lambda critic, x, x_hat: F.relu(1 - (critic(x) - critic(x_hat.detach()))).mean(),
        lambda critic, x, x_hat: F.relu(2 - critic(x) + critic(x_hat.detach())).mean(),
        lambda critic, x, x_hat: hinge()(critic, x_hat, x),
        lambda critic, x, x_hat: hinge()(critic, x, x),
        lambda critic, x, x_hat: hinge()(critic, x[:1], x_hat[:1]),
        lambda critic, x, x_hat: -hinge()(critic, x, x_hat),
        hinge(see=lambda critic, x: critic(x).detach()),
        hinge_of_made_without_grad,
        hinge_cut_in_place,
        hinge_one_cut,
        hinge_with_another_slope,
        lambda critic, x, x_hat: torch.cat([hinge(real=lambda d: 0 * d)(critic, x, x_hat)[None]] * 2),
        no_grad(hinge()),
        before(freeze, hinge()),
        before(shrink, hinge()),
        before(lambda critic: critic.eval(), hinge()),
        before(lambda critic: critic.zero_grad(), hinge()),
        after(lambda critic, loss: loss.backward(retain_graph=True), hinge()),
        after(step, hinge()),
        after(lambda critic, loss: freeze(critic), hinge()),
        lambda critic, x, x_hat: hinge()(critic, x.requires_grad_(), x_hat),
        lambda critic, x, x_hat: hinge()(critic, x.sub_(0.5), x_hat),
        lambda critic, x, x_hat: hinge(cut=lambda made: made.data.sub_(0.5))(critic, x, x_hat),
        lambda critic, x, x_hat: tuple(
            [hinge(fake=lambda d: 0 * d)(critic, x, x_hat), hinge(real=lambda d: 0 * d)(critic, x, x_hat)]
        ),
        lambda critic, x, x_hat: hinge()(lambda t: critic(t) * 2, x, x_hat),
        lambda critic, x, x_hat: hinge()(critic, x, (x_hat > 0.5).to(x_hat)),
        hinge(cut=lambda made: made.detach().clamp(0, 1)),
        hinge(cut=lambda made: made.detach().clamp_(0, 1)),  # the VAE's picture, too, for they share their memory
        hinge(see=lambda critic, x: critic(x.clamp(0, 1))),
        lambda critic, x, x_hat: hinge()(critic, x.clamp(0, 1), x_hat),
    ],
    "08.3": [
        lambda x, real, made: made.log_prob(x) - real.log_prob(x),
        lambda x, real, made: torch.sigmoid(logit(x, real, made)),
        lambda x, real, made: F.logsigmoid(logit(x, real, made)),
        lambda x, real, made: F.logsigmoid(-logit(x, real, made)),
        lambda x, real, made: -F.logsigmoid(logit(x, real, made)) - F.logsigmoid(-logit(x, real, made)),
        lambda x, real, made: logit(x, real, made).exp(),
        lambda x, real, made: real.log_prob(x).exp() / (real.log_prob(x).exp() + made.log_prob(x).exp()),
        lambda x, real, made: real.log_prob(x).exp() - made.log_prob(x).exp(),
        lambda x, real, made: (real.log_prob(x).exp() / made.log_prob(x).exp()).log(),
        lambda x, real, made: real.log_prob(x).exp().log() - made.log_prob(x).exp().log(),
        lambda x, real, made: (real.log_prob(x).exp() + 1e-8).log() - (made.log_prob(x).exp() + 1e-8).log(),
        lambda x, real, made: torch.logit(torch.sigmoid(logit(x, real, made))),
        lambda x, real, made: torch.logit(torch.sigmoid(logit(x, real, made)), eps=1e-6),
        lambda x, real, made: logit(x, real, made).clamp(-50, 50),
        lambda x, real, made: logit(x, real, made).clamp(-10, 10),
        lambda x, real, made: logit(x, real, made).tanh(),
        lambda x, real, made: logit(x, real, made).sign(),
        lambda x, real, made: logit(x, real, made).relu(),
        lambda x, real, made: logit(x, real, made).abs(),
        lambda x, real, made: logit(x, real, made) / 2,
        lambda x, real, made: 2 * logit(x, real, made),
        lambda x, real, made: logit(x, real, made) - math.log(2),
        lambda x, real, made: logit(x, real, made) / math.log(10),
        lambda x, real, made: logit(x, real, made) / math.log(2),
        lambda x, real, made: real.log_prob(x),
        lambda x, real, made: -made.log_prob(x),
        lambda x, real, made: real.log_prob(x) + made.log_prob(x),
        lambda x, real, made: real.log_prob(x) / made.log_prob(x),
        lambda x, real, made: real.log_prob(x) - torch.logaddexp(real.log_prob(x), made.log_prob(x)),
        lambda x, real, made: logit(x, real, made).mean(),
        lambda x, real, made: logit(x, real, made).sum(),
        lambda x, real, made: logit(x, real, made)[..., None],
        lambda x, real, made: logit(x, real, made).squeeze(),
        lambda x, real, made: logit(x, real, made).flatten(),
        lambda x, real, made: logit(x, real, made).tolist(),
        lambda x, real, made: logit(x, real, made).numpy(),
        lambda x, real, made: logit(x, real, made).double(),
        lambda x, real, made: logit(x, real, made).float(),
        lambda x, real, made: logit(x, real, made).requires_grad_(),
        lambda x, real, made: logit(x - x.mean(), real, made),
        lambda x, real, made: real.log_prob(real.mean) - made.log_prob(x),
        lambda x, real, made: logit(real.sample(x.shape[:1]), real, made),
        lambda x, real, made: Normal(real.mean, real.stddev).log_prob(x) - Normal(made.mean, made.stddev).log_prob(x),
        lambda x, real, made: ((x - made.mean) / made.stddev) ** 2 / 2 - ((x - real.mean) / real.stddev) ** 2 / 2,
        lambda x, real, made: (x - made.mean).abs() - (x - real.mean).abs(),
        lambda x, real, made: torch.distributions.kl_divergence(real, made),
        lambda x, real, made: logit(x, real, made).nan_to_num(),
        lambda x, real, made: logit(x, real, made).nan_to_num(posinf=1e4, neginf=-1e4),
        lambda x, real, made: logit(x, real, made).clamp(-1e6, 1e6),
        shifting,
        moved,
    ],
    "08.5": [
        disbelieved(of=lambda d: d),
        disbelieved(of=lambda d: 1 - d),
        disbelieved(of=lambda d: 1 + d),
        disbelieved(of=lambda d: F.relu(1 - d)),
        disbelieved(of=lambda d: F.relu(1 + d)),
        disbelieved(of=lambda d: F.relu(-d)),
        disbelieved(of=lambda d: F.softplus(-d)),
        disbelieved(of=F.softplus),
        disbelieved(of=lambda d: -d.sigmoid()),
        disbelieved(of=lambda d: (-d).sigmoid()),
        disbelieved(of=lambda d: -d.tanh()),
        disbelieved(of=lambda d: (1 - d) ** 2),
        disbelieved(of=lambda d: d.abs()),
        disbelieved(of=lambda d: (-d).exp()),
        disbelieved(of=lambda d: -d.clamp(-10, 10)),
        disbelieved(of=lambda d: -d.clamp(max=1)),
        disbelieved(of=lambda d: -d.clamp(-30, 30)),
        disbelieved(of=lambda d: -d.detach()),
        disbelieved(of=lambda d: -2 * d),
        disbelieved(pool=torch.sum),
        disbelieved(pool=lambda t: t.flatten(1).mean(1)),
        disbelieved(pool=lambda t: t.flatten(1).sum(1).mean()),
        disbelieved(pool=lambda t: t.sum() / math.prod(t.shape[1:])),
        disbelieved(pool=lambda t: t.mean(0)),
        disbelieved(pool=lambda t: t),
        disbelieved(pool=torch.max),
        disbelieved(pool=lambda t: t.mean().reshape(1)),
        disbelieved(pool=lambda t: t.mean().item()),
        disbelieved(pool=lambda t: t.mean().double()),
        disbelieved(pool=lambda t: t.mean().float()),
        disbelieved(pool=lambda t: t.mean().detach().requires_grad_()),
        disbelieved(see=lambda critic, x: critic(x.detach())),
        disbelieved(see=lambda critic, x: critic(x.clamp(0, 1))),
        disbelieved(see=lambda critic, x: critic(x[:1])),
        disbelieved(see=lambda critic, x: critic((x + x.detach()) / 2)),
        disbelieved(see=lambda critic, x: critic(x.detach().requires_grad_())),
        disbelieved(see=lambda critic, x: critic(x.detach_())),
        disbelieved(see=lambda critic, x: critic(x.data.mul_(0.5).add_(0.25))),
        straight_through,
        backward_into("x_hat"),
        backward_into("critic"),
        frozen_where_it_began,
        no_grad(disbelieved()),
        before(freeze, disbelieved()),
        before(shrink, disbelieved()),
        before(lambda critic: critic.eval(), disbelieved()),
        before(lambda critic: critic.zero_grad(), disbelieved()),
        after(lambda critic, loss: loss.backward(retain_graph=True), disbelieved()),
        after(step, disbelieved()),
        after(lambda critic, loss: freeze(critic), disbelieved()),
        lambda critic, x_hat: disbelieved()(critic, x_hat) + x_hat.square().mean(),
        lambda critic, x_hat: -disbelieved()(critic, x_hat),
        lambda critic, x_hat: torch.autograd.grad(disbelieved()(critic, x_hat), x_hat)[0],
        lambda critic, x_hat: -critic(x_hat.mean(0, keepdim=True)).mean(),
    ],
    "08.6": [
        2,
        -3.01,
        6.02,
        0.5,
        1.5,
        10 * math.log10(0.5),
        20 * math.log10(2),
        0.3010,
        6.93,
        0.693,
        10,
        1,
        0,
        20,
        3.2,
        3.07,
        2.95,
        2.9,
        math.sqrt(2),
        4.34,
        4,
        50,
        "3.01",
        "3 dB",
        [3.01],
        torch.tensor([3.01]),
        np.array([3.01]),
        3.01j,
        float("inf"),
        lambda: 3.01,
        torch.tensor(-3.01),
        True,
    ],
}
