"""Other right answers to the exercises of notebook 01."""

import numpy as np
import torch
import torch.nn.functional as F


def pca_by_eigenvectors(x, D):
    mean = x.mean(dim=0, keepdim=True)
    centred = x - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(x))
    order = variances.argsort(descending=True)
    return mean[0], directions[:, order[:D]]


def pca_by_numpy(x, D):
    array = x.numpy()
    mean = array.mean(axis=0)
    _, _, rows = np.linalg.svd(array - mean)
    return torch.from_numpy(mean), torch.from_numpy(-rows[:D].T.copy())


def pca_by_scikit_learn(x, D):
    from sklearn.decomposition import PCA

    fitted = PCA(D, svd_solver="full").fit(x.numpy())
    return torch.from_numpy(fitted.mean_), torch.from_numpy(fitted.components_).T


def pca_by_lowrank(x, D):
    return x.mean(0), torch.pca_lowrank(x, q=min(x.shape))[2][:, :D]


def pca_by_covariance(x, D):
    U, _, _ = torch.linalg.svd(torch.cov(x.T))
    return x.mean(0), U[:, :D]


def error_by_mse(x, x_hat):
    return F.mse_loss(x_hat, x, reduction="sum") / len(x)


def error_by_mean_and_size(x, x_hat):
    return F.mse_loss(x, x_hat) * x[0].numel()


def error_by_numpy_of_the_target(x, x_hat):
    return (torch.from_numpy(x.numpy()) - x_hat).pow(2).sum() / len(x)


def error_by_axes(x, x_hat):
    return ((x_hat - x) ** 2).sum(dim=(1, 2, 3)).mean(dim=0)


def error_by_loop(x, x_hat):
    total = 0.0
    for picture, other in zip(x, x_hat, strict=True):
        total = total + torch.sum((picture - other) ** 2)
    return total / x.shape[0]


def angles_by_svd(A, B):
    left = torch.linalg.svd(A, full_matrices=False)[0]
    right = torch.linalg.svd(B, full_matrices=False)[0]
    _, cosines, _ = torch.linalg.svd(left.T @ right)
    return torch.acos(torch.clamp(cosines, -1.0, 1.0)) * 180 / torch.pi


def angles_by_sines(A, B):
    first, second = torch.linalg.qr(A).Q, torch.linalg.qr(B).Q
    sines = torch.linalg.svdvals(second - first @ (first.T @ second))
    return torch.rad2deg(torch.arcsin(sines.clamp(max=1))).sort().values


def angles_by_scipy(A, B):
    from scipy.linalg import subspace_angles

    return torch.rad2deg(torch.from_numpy(subspace_angles(A.numpy(), B.numpy())[::-1].copy()))


def path_in_evaluation_mode(model, x_a, x_b, steps):
    model.eval()
    device = next(model.parameters()).device
    t = torch.linspace(0, 1, steps).to(device).unsqueeze(-1)
    z_a, z_b = model.encoder(x_a), model.encoder(x_b)
    return model.decoder(z_a + t * (z_b - z_a))


@torch.no_grad()
def path_by_numpy(model, x_a, x_b, steps):
    z_a, z_b = model.encode(x_a).numpy(), model.encode(x_b).numpy()
    line = [(1 - t) * z_a + t * z_b for t in np.linspace(0, 1, steps)]
    return model.decode(torch.tensor(np.concatenate(line), dtype=torch.float32))


def path_by_loop(model, x_a, x_b, steps):
    z_a, z_b = model.encode(x_a), model.encode(x_b)
    pictures = [model.decode(z_a + k / (steps - 1) * (z_b - z_a)) for k in range(steps)]
    return torch.cat(pictures)


def path_by_lerp(model, x_a, x_b, steps):
    z_a, z_b = model.encode(torch.cat([x_a, x_b]))
    t = torch.linspace(0, 1, steps).to(x_a.device).unsqueeze(1)
    return model.decode(torch.lerp(z_a.expand(steps, -1), z_b.expand(steps, -1), t))


@torch.no_grad()
def trip_by_layers(model, z):
    assert sum(p.numel() for p in model.parameters())
    return torch.stack([torch.dist(model.encoder(model.decoder(code[None]))[0], code) for code in z])


def trip_by_pairs(model, z):
    return torch.cdist(model.eval().encode(model.decode(z)), z).diagonal()


def trip_by_root(model, z):
    back = model.encode(model.decode(z))
    return ((back - z) ** 2).sum(-1).sqrt()


def trip_by_distance(model, z):
    return F.pairwise_distance(model.encode(model.decode(z)), z, eps=0.0)


ACCEPTED = {
    "01.1": [pca_by_eigenvectors, pca_by_numpy, pca_by_scikit_learn, pca_by_lowrank, pca_by_covariance],
    "01.2": [error_by_mse, error_by_axes, error_by_loop, error_by_mean_and_size, error_by_numpy_of_the_target],
    "01.3": [21.0, torch.tensor(21), np.int64(21)],
    "01.4": [angles_by_svd, angles_by_sines, angles_by_scipy],
    "01.5": [path_by_loop, path_by_lerp, path_in_evaluation_mode, path_by_numpy],
    "01.6": [trip_by_root, trip_by_distance, trip_by_layers, trip_by_pairs],
}
