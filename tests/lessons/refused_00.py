"""Wrong answers to the exercises of notebook 00, written from the statements alone: each has to be refused."""

import math

import numpy as np
import torch


def slope_by_backward(w, z, x):
    w.requires_grad_()
    ((torch.sigmoid(w * z) - x) ** 2).sum().backward()
    return w.grad


def slope_on_a_graph(w, z, x):
    a = (w * z).detach().requires_grad_()
    p = torch.sigmoid(a)
    return 2 * (p - x) * p * (1 - p) * z


def slope_by_loop(w, z, x):
    p = torch.sigmoid(w * z)
    return torch.stack([2 * (p[i] - x[i]) * p[i] * (1 - p[i]) * z[i] for i in range(len(w))])


def slope_by_numpy(w, z, x):
    w, z, x = w.numpy(), z.numpy(), x.numpy()
    p = 1 / (1 + np.exp(-w * z))
    return torch.from_numpy(np.asarray(2 * (p - x) * p * (1 - p) * z))


REFUSED = {
    "00.1": [
        lambda images: images.double() / 255,
        lambda images: torch.from_numpy(images.numpy() / 255),
        lambda images: torch.tensor(images.numpy().astype("float64") / 255.0),
        lambda images: images.half() / 255,
        lambda images: (images.float() / 255).to(torch.bfloat16),
        lambda images: images / 255 > 0.5,
        lambda images: (images - images.min()) / (images.max() - images.min()),
        lambda images: images / images.amax((1, 2, 3), keepdim=True),
        lambda images: images.float() / 255 - 0.5,
        lambda images: (images.float() / 255 - 0.1307) / 0.3081,
        lambda images: images.float() / 127.5 - 1,
        lambda images: (images / 255).round(),
        lambda images: (images / 255).flatten(1),
        lambda images: (images / 255)[:, 0],
        lambda images: (images / 255).squeeze(0),
        lambda images: (images / 255).squeeze(),
        lambda images: (images / 255) ** 2.2,
        lambda images: images.float().div(255).requires_grad_(),
        lambda images: (images / 255).numpy(),
        lambda images: [image / 255 for image in images],
        lambda images: images.clamp(0, 1).float(),
        lambda images: images.float() / 16,
        lambda images: (images + 1) / 256,
        lambda images: images.to(torch.float32).normal_(),
    ],
    "00.2": [
        lambda mu, log_var: mu**2 + log_var.clamp(-5, 5).exp(),
        lambda mu, log_var: mu**2 + log_var.clamp(-10, 10).exp(),
        lambda mu, log_var: mu**2 + log_var.clamp(max=20).exp(),
        lambda mu, log_var: mu**2 + log_var.exp() + 1e-3,
        lambda mu, log_var: mu**2 + (log_var.exp() + 1e-2),
        lambda mu, log_var: (mu**2 + log_var.exp()).double(),
        lambda mu, log_var: (mu**2 + log_var.exp()).float(),
        lambda mu, log_var: torch.from_numpy(np.square(mu.numpy()) + np.exp(np.float64(1) * log_var.numpy())),
        lambda mu, log_var: (mu**2 + log_var.exp()).sum(),
        lambda mu, log_var: (mu**2 + log_var.exp()).mean(),
        lambda mu, log_var: (mu + log_var.exp()) ** 2,
        lambda mu, log_var: mu**2 * log_var.exp(),
        lambda mu, log_var: mu**2 + log_var.exp() ** 2,
        lambda mu, log_var: mu**2 + log_var**2,
        lambda mu, log_var: mu**2 + math.e * log_var,
        lambda mu, log_var: mu.abs() + log_var.exp(),
        lambda mu, log_var: mu**2 + 10**log_var,
        lambda mu, log_var: mu**2 + torch.log(log_var),
        lambda mu, log_var: mu**2 + torch.nn.functional.softplus(log_var),
        lambda mu, log_var: (mu + (log_var / 2).exp() * torch.randn(100_000, len(mu))).square().mean(0),
        lambda mu, log_var: (mu + (log_var / 2).exp() * torch.randn_like(mu)).square(),
        lambda mu, log_var: 2 * mu + log_var.exp(),
        lambda mu, log_var: mu.pow_(2) + log_var.exp(),
        lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var),
    ],
    "00.3": [
        89,
        88,
        87.0,
        90,
        100,
        0,
        1,
        64,
        -88.5517,
        1.38,
        64 * math.log10(3.989),
        127.75,
        141,
        3.989,
        3.989**64,
        255.3,
        math.log(64 * 3.989),
        147.365,
        29.4,
        -58.8,
        [88.5517],
        (88.5517,),
        "88.55",
        torch.tensor([88.5517]),
        np.array([88.5517]),
        torch.full((64,), 88.5517 / 64),
        88.5517 + 1j,
        lambda: 88.5517,
        float("inf"),
    ],
    "00.4": [
        lambda w: torch.log(w.mean() + 1e-8) - torch.log(w + 1e-8).mean(),
        lambda w: torch.log(w.mean()) - torch.log(w.clamp(min=1e-6)).mean(),
        lambda w: torch.log(w.mean()) - torch.log(w.clamp(min=1e-12)).mean(),
        lambda w: torch.log(w.mean()) - torch.log(w + 1e-12).mean(),
        lambda w: w.log().var() / 2,
        lambda w: w.log().var(unbiased=False) / 2,
        lambda w: w.log().std(),
        lambda w: (w.mean().log() - w.log().mean()).item(),
        lambda w: (w.mean().log() - w.log().mean()).double(),
        lambda w: (w.mean().log() - w.log().mean()).float(),
        lambda w: (w.mean().log() - w.log().mean())[None],
        lambda w: w.mean().log() / w.log().mean(),
        lambda w: w.log().mean().exp() - w.mean(),
        lambda w: w.mean() - w.log().mean().exp(),
        lambda w: w.mean().log() - w.log().median(),
        lambda w: torch.log1p(w.mean()) - torch.log1p(w).mean(),
        lambda w: torch.logsumexp(w, 0) - math.log(len(w)) - w.mean(),
        lambda w: torch.logsumexp(w.log(), 0) - w.log().mean(),
        lambda w: (w.mean().log() - w.log().mean()) / len(w),
        lambda w: w.mean().log() - w.log(),
        lambda w: (w / w.sum()).mean().log() - w.log().mean(),
        lambda w: np.log(w.mean().item()) - np.log(w.numpy()).mean(),
        lambda w: w.div_(w.mean()).log().mean().neg(),
        lambda w: torch.log(w.mean(0, keepdim=True)) - torch.log(w).mean(0, keepdim=True),
    ],
    "00.5": [
        slope_by_backward,
        slope_on_a_graph,
        slope_by_loop,
        slope_by_numpy,
        lambda w, z, x: (lambda p: (p - x) * p * (1 - p) * z)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).sigmoid().clamp(0.05, 0.95)),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).clamp(-5, 5).sigmoid()),
        lambda w, z, x: (lambda p: 2 * (p - x) * (1 - p**2) * z)((w * z).tanh()),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * z)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: 2 * (p - x) * (1 - p) * z)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: 2 * p * (1 - p) * z)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: (p - x) * z)((w * z).sigmoid()),
        lambda w, z, x: 2 * (w * z - x) * z,
        lambda w, z, x: (lambda p: (p - x) ** 2 * p * (1 - p) * z)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).sigmoid()).sum(),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).sigmoid()).mean(0),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).sigmoid()).double(),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * z)((w * z).sigmoid()).float(),
        lambda w, z, x: (lambda p: 2 * (p - x) * p * (1 - p) * x)((w * z).sigmoid()),
        lambda w, z, x: (lambda p: 2 * (x - p) * p * (p - 1) * w)((w * z).sigmoid()),
        lambda w, z, x: (((w + 0.1) * z).sigmoid().sub(x).square() - (w * z).sigmoid().sub(x).square()) / 0.1,
    ],
}
