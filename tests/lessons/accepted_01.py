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


def error_by_mse(x, x_hat):
    return F.mse_loss(x_hat, x, reduction="sum") / len(x)


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


def path_by_loop(model, x_a, x_b, steps):
    z_a, z_b = model.encode(x_a), model.encode(x_b)
    pictures = [model.decode(z_a + k / (steps - 1) * (z_b - z_a)) for k in range(steps)]
    return torch.cat(pictures)


def path_by_lerp(model, x_a, x_b, steps):
    z_a, z_b = model.encode(torch.cat([x_a, x_b]))
    t = torch.linspace(0, 1, steps).to(x_a.device).unsqueeze(1)
    return model.decode(torch.lerp(z_a.expand(steps, -1), z_b.expand(steps, -1), t))


def trip_by_root(model, z):
    back = model.encode(model.decode(z))
    return ((back - z) ** 2).sum(-1).sqrt()


def trip_by_distance(model, z):
    return F.pairwise_distance(model.encode(model.decode(z)), z, eps=0.0)


ACCEPTED = {
    "01.1": [pca_by_eigenvectors, pca_by_numpy, pca_by_scikit_learn],
    "01.2": [error_by_mse, error_by_axes, error_by_loop],
    "01.3": [21.0, torch.tensor(21), np.int64(21)],
    "01.4": [angles_by_svd, angles_by_sines],
    "01.5": [path_by_loop, path_by_lerp],
    "01.6": [trip_by_root, trip_by_distance],
}
