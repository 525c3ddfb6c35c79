"""Wrong answers to the exercises of notebook 01, written from the statements alone: each has to be refused."""

import numpy as np
import torch
import torch.nn.functional as F


def svd(x):
    return torch.linalg.svd(x - x.mean(0), full_matrices=False)


def basis(A):
    return torch.linalg.qr(A)[0]


def cosines(A, B):
    return torch.linalg.svdvals(basis(A).T @ basis(B))


def degrees(cosines):
    return torch.rad2deg(torch.acos(cosines.clamp(max=1)))


def angles(A, B):
    return degrees(cosines(A, B))


def fade(a, b, steps):
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def path(model, x_a, x_b, steps):
    return model.decode(fade(model.encode(x_a), model.encode(x_b), steps))


def mixed(x_a, x_b, steps):
    return fade(x_a.flatten(1), x_b.flatten(1), steps).reshape(-1, *x_a.shape[1:])


def path_on_an_arc(model, x_a, x_b, steps):
    t = torch.linspace(0, np.pi / 2, steps)[:, None]
    return model.decode(torch.cos(t) * model.encode(x_a) + torch.sin(t) * model.encode(x_b))


def path_at_random(model, x_a, x_b, steps):
    t = torch.rand(steps, 1)
    return model.decode((1 - t) * model.encode(x_a) + t * model.encode(x_b))


def path_in_double(model, x_a, x_b, steps):
    t = torch.tensor(np.linspace(0, 1, steps))[:, None]
    return model.decode((1 - t) * model.encode(x_a) + t * model.encode(x_b))


def path_that_adds(model, x_a, x_b, steps):
    return model.decode(model.encode(x_a) + torch.linspace(0, 1, steps)[:, None] * model.encode(x_b))


def path_that_stands_still(model, x_a, x_b, steps):
    return model.decode((model.encode(x_a) + model.encode(x_b)) / 2).expand(steps, -1, -1, -1)


def path_on_the_sphere(model, x_a, x_b, steps):
    return model.decode(F.normalize(fade(model.encode(x_a), model.encode(x_b), steps)))


def path_that_changes_the_weights(model, x_a, x_b, steps):
    for p in model.parameters():
        p.data.mul_(0.999)
    return model.decode(fade(model.encode(x_a), model.encode(x_b), steps))


REFUSED = {
    "01.1": [
        lambda x, D: (x.mean(0), svd(x)[2][:D]),
        lambda x, D: (x.mean(0, keepdim=True), svd(x)[2][:D].T),
        lambda x, D: (x.mean(1), svd(x)[2][:D].T),
        lambda x, D: (x.mean(), svd(x)[2][:D].T),
        lambda x, D: (svd(x)[2][:D].T, x.mean(0)),
        lambda x, D: svd(x)[2][:D].T,
        lambda x, D: (x.mean(0), svd(x)[2][-D:].T),
        lambda x, D: (x.mean(0), svd(x)[2].T),
        lambda x, D: (x.mean(0), svd(x)[2][:, :D]),
        lambda x, D: (x.mean(0), svd(x)[0][:, :D]),
        lambda x, D: (x.mean(0), svd(x)[2][:D].T * svd(x)[1][:D]),
        lambda x, D: (x.mean(0), torch.linalg.svd(x, full_matrices=False)[2][:D].T),
        lambda x, D: (0 * x.mean(0), svd(x)[2][:D].T),
        lambda x, D: (x.median(0).values, svd(x)[2][:D].T),
        lambda x, D: (x.mean(0), svd(x)[2][:D].T.double() if x.dtype == torch.float32 else svd(x)[2][:D].T.float()),
        lambda x, D: (x.mean(0).numpy(), svd(x)[2][:D].T.numpy()),
        lambda x, D: (x.mean(0).tolist(), svd(x)[2][:D].T),
        lambda x, D: (x.mean(0), torch.linalg.eigh(torch.cov(x.T))[1][:, :D]),
        lambda x, D: (x.mean(0), torch.linalg.eigh(torch.cov(x.T))[1][:, -D:]),
        lambda x, D: (x.mean(0), torch.linalg.eigh(x.T @ x)[1].flip(1)[:, :D]),
        lambda x, D: (x.mean(0), svd(x / x.std(0))[2][:D].T),
        lambda x, D: (x.mean(0), torch.linalg.qr((x - x.mean(0)).T)[0][:, :D]),
        lambda x, D: (x.mean(0), svd(x)[2][:D].T, svd(x)[1][:D]),
        lambda x, D: (x.mean(0), x.sub_(x.mean(0)) @ svd(x)[2][:D].T),
        lambda x, D: (x.mean(0), svd(x)[2][1 : D + 1].T),
    ],
    "01.2": [
        lambda x, x_hat: F.mse_loss(x, x_hat),
        lambda x, x_hat: F.mse_loss(x, x_hat, reduction="sum"),
        lambda x, x_hat: F.mse_loss(x, x_hat, reduction="sum") / x.shape[1],
        lambda x, x_hat: (x - x_hat).square().sum(1).mean(),
        lambda x, x_hat: (x - x_hat).square().sum(0).mean(),
        lambda x, x_hat: (x - x_hat).square().mean(0).mean(),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1),
        lambda x, x_hat: (x - x_hat).square().flatten(1).mean(1).sum(),
        lambda x, x_hat: (x - x_hat).flatten(1).norm(dim=1).mean(),
        lambda x, x_hat: (x - x_hat).norm(),
        lambda x, x_hat: (x - x_hat).abs().flatten(1).sum(1).mean(),
        lambda x, x_hat: 0.5 * (x - x_hat).square().flatten(1).sum(1).mean(),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean().item(),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean().detach(),
        lambda x, x_hat: (x - x_hat.detach()).square().flatten(1).sum(1).mean(),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean().double(),
        lambda x, x_hat: torch.tensor((x - x_hat).square().flatten(1).sum(1).mean().item()),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean(0, keepdim=True),
        lambda x, x_hat: -(x - x_hat).square().flatten(1).sum(1).mean(),
        lambda x, x_hat: F.binary_cross_entropy(x_hat, x, reduction="sum") / len(x),
        lambda x, x_hat: (x.square() - x_hat.square()).flatten(1).sum(1).mean(),
        lambda x, x_hat: (x - x_hat).flatten(1).sum(1).square().mean(),
        lambda x, x_hat: F.smooth_l1_loss(x, x_hat, reduction="sum") / len(x),
        lambda x, x_hat: (x - x_hat).square().flatten(1).sum(1).mean() + 1e-3,
        lambda x, x_hat: np.square((x - x_hat).numpy()).sum() / len(x),
        lambda x, x_hat: x.sub_(x_hat).square().flatten(1).sum(1).mean(),
    ],
    "01.3": [
        20,
        22,
        37,
        34,
        9,
        58,
        57,
        43,
        28,
        7,
        8,
        64,
        0.9,
        90,
        21.5,
        "21",
        [21],
        (21,),
        torch.tensor([21]),
        np.array([21]),
        torch.tensor([[21]]),
        21 + 1j,
        lambda: 21,
        -21,
        30,
        15,
        19,
        44,
        True,
    ],
    "01.4": [
        lambda A, B: torch.rad2deg(torch.acos(cosines(A, B))),
        lambda A, B: torch.acos(cosines(A, B).clamp(max=1)),
        lambda A, B: angles(A, B).flip(0),
        lambda A, B: angles(A, B).max(),
        lambda A, B: torch.rad2deg(torch.acos(cosines(A, B).clamp(max=1 - 1e-6))),
        lambda A, B: angles(A, B).float(),
        lambda A, B: angles(A, B).tolist(),
        lambda A, B: torch.rad2deg(torch.acos((basis(A).T @ basis(B)).clamp(-1, 1))),
        lambda A, B: degrees((basis(A).T @ basis(B)).diagonal().abs()),
        lambda A, B: degrees(torch.linalg.svdvals(A.T @ B)),
        lambda A, B: degrees(torch.linalg.svdvals(F.normalize(A, dim=0).T @ F.normalize(B, dim=0))),
        lambda A, B: torch.rad2deg(torch.acos(F.cosine_similarity(A, B, dim=0))),
        lambda A, B: degrees(torch.linalg.svdvals(basis(A) @ basis(B).T)),
        lambda A, B: degrees(torch.linalg.eigvals(basis(A).T @ basis(B)).abs()),
        lambda A, B: degrees(cosines(A, B).square()),
        lambda A, B: cosines(A, B),
        lambda A, B: 90 - angles(A, B),
        lambda A, B: torch.rad2deg(cosines(A, B).clamp(max=1)),
    ],
    "01.5": [
        path_that_changes_the_weights,
        path_on_an_arc,
        path_at_random,
        path_in_double,
        path_that_adds,
        path_that_stands_still,
        path_on_the_sphere,
        lambda model, x_a, x_b, steps: model(mixed(x_a, x_b, steps)),
        lambda model, x_a, x_b, steps: mixed(model(x_a), model(x_b), steps),
        lambda model, x_a, x_b, steps: mixed(x_a, x_b, steps),
        lambda model, x_a, x_b, steps: fade(model.encode(x_a), model.encode(x_b), steps),
        lambda model, x_a, x_b, steps: path(model, x_b, x_a, steps),
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps + 1),
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps + 2)[1:-1],
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps + 1)[:-1],
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps + 1)[1:],
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps)[:, 0],
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps)[:, None],
        lambda model, x_a, x_b, steps: path(model, x_a, x_b, steps).double(),
        lambda model, x_a, x_b, steps: list(path(model, x_a, x_b, steps)),
        lambda model, x_a, x_b, steps: path(model, x_a.zero_(), x_b, steps),
    ],
    "01.6": [
        lambda model, z: (model.encode(model.decode(z)) - z).square().sum(1),
        lambda model, z: (model.encode(model.decode(z)) - z).square().mean(1).sqrt(),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(dim=0),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(dim=1, keepdim=True),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(dim=1).mean(),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(dim=1).double(),
        lambda model, z: (model.encode(model.decode(z)) - z).abs().sum(1),
        lambda model, z: (model.encode(model.decode(z)) - z).abs().max(1).values,
        lambda model, z: model.encode(model.decode(z)) - z,
        lambda model, z: torch.cdist(model.encode(model.decode(z)), z),
        lambda model, z: torch.cdist(model.encode(model.decode(z)), z).min(1).values,
        lambda model, z: torch.dist(model.encode(model.decode(z)), z),
        lambda model, z: (model(model.decode(z)) - model.decode(z)).flatten(1).norm(dim=1),
        lambda model, z: (model.encode(model.decode(z)).norm(dim=1) - z.norm(dim=1)).abs(),
        lambda model, z: 1 - F.cosine_similarity(model.encode(model.decode(z)), z),
        lambda model, z: F.mse_loss(model.encode(model.decode(z)), z),
        lambda model, z: (model.encode(model.decode(z)) - z).norm(dim=1) / z.norm(dim=1),
        lambda model, z: (model.encode(model.decode(model.encode(model.decode(z)))) - z).norm(dim=1),
        lambda model, z: F.pairwise_distance(model.encode(model.decode(z)), z, p=1),
        lambda model, z: [row.norm().item() for row in model.encode(model.decode(z)) - z],
        lambda model, z: z.sub_(model.encode(model.decode(z))).norm(dim=1),
    ],
}
