"""The emulated products are those of torch's autocast, whose own without a unit for them may round more often."""

import pytest
import torch
from torch.nn import functional as F

from tools.bfloat16 import PRODUCTS, emulated

CASES = {
    "linear": ((50, 40), (30, 40), (30,)),
    "conv2d": ((4, 8, 9, 9), (6, 8, 3, 3), (6,)),
    "conv_transpose2d": ((4, 8, 5, 5), (8, 6, 4, 4), (6,)),
    "matmul": ((50, 40), (40, 30)),
    "bmm": ((3, 50, 40), (3, 40, 30)),
    "mm": ((50, 40), (40, 30)),
    "addmm": ((50, 30), (50, 40), (40, 30)),
    "__matmul__": ((50, 40), (40, 30)),
}


@pytest.mark.parametrize(("place", "name"), PRODUCTS, ids=[name for _, name in PRODUCTS])
def test_products_and_gradients_are_autocasts(place, name):
    generator = torch.Generator().manual_seed(0)
    operands = [torch.randn(shape, generator=generator) for shape in CASES[name]]
    results = []
    for product in (getattr(place, name), emulated(getattr(place, name))):
        leaves = [x.clone().requires_grad_() for x in operands]
        with torch.autocast("cpu", torch.bfloat16):
            y = product(*leaves)
        assert y.dtype == torch.bfloat16
        results.append([y.detach().float(), *torch.autograd.grad(y.float().square().sum(), leaves)])
    for theirs, ours in zip(*results, strict=True):
        assert (theirs - ours).abs().max() < 0.02 * theirs.abs().max()
        assert (theirs - ours).square().mean() < 1e-4 * theirs.square().mean()
    exact = getattr(place, name)(*(x.bfloat16().double() for x in operands)).bfloat16()
    assert (exact == results[1][0]).float().mean() > 0.97  # operands left unrounded change half of them


def test_outside_of_autocast_nothing_changes():
    x, w = torch.randn(5, 4), torch.randn(3, 4)
    assert torch.equal(emulated(F.linear)(x, w), F.linear(x, w))
    assert torch.equal(emulated(F.linear)(x.double(), w.double()), F.linear(x.double(), w.double()))
