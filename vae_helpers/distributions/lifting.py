"""Reversible transforms of whole numbers: colours into grey and two differences, pictures into wavelets.

Both are made of lifting steps: to some numbers a rounded function of the *others* is added. Whatever the function, to
subtract it again is the inverse, without loss; so a probability of the transformed numbers is one of the pictures, and
bits stay bits. What is left after them is mostly near zero where pictures are smooth, as most are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_helpers import checking

Rounding = Callable[[Tensor], Tensor]


class Lifting:
    """Pictures of whole numbers to as many coefficients and back, in their shape.

    Args:
        levels: of the wavelet; each halves the picture's sides, and needs them even. 0 is none.
        colours: whether three channels become grey and two differences (YCoCg-R; Malvar & Sullivan 2003).
    """

    def __init__(self, levels: int, colours: bool):
        self.levels, self.colours = checking.integer(levels, "levels", 0), checking.flag(colours, "colours")

    def __call__(self, x: Tensor) -> Tensor:
        """Levels (..., C, H, W), whole numbers as floats -> coefficients; coarse ones lie 2^levels places apart."""
        x = _to_differences(x) if self.colours and x.shape[-3] == 3 else x.clone()
        for level in range(self.levels):
            part = x[..., :: 2**level, :: 2**level]
            _forward(part.transpose(-1, -2)), _forward(part)
        return x

    def inverse(self, y: Tensor, exact: bool = True) -> Tensor:
        """The pictures of coefficients.

        Args:
            y: (..., C, H, W).
            exact: with the rounding that makes it the inverse for whole numbers; without it the transform is linear,
                and takes means to means.
        """
        rounding = torch.floor if exact else _as_it_is
        y = y.clone()
        for level in reversed(range(self.levels)):
            part = y[..., :: 2**level, :: 2**level]
            _backward(part, rounding), _backward(part.transpose(-1, -2), rounding)
        return _from_differences(y, rounding) if self.colours and y.shape[-3] == 3 else y


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _to_differences(x: Tensor) -> Tensor:
    red, green, blue = x.unbind(-3)
    orange = red - blue
    rest = blue + torch.floor(orange / 2)
    green_less = green - rest
    return torch.stack([rest + torch.floor(green_less / 2), orange, green_less], -3)


def _from_differences(y: Tensor, rounding: Rounding) -> Tensor:
    grey, orange, green_less = y.unbind(-3)
    rest = grey - rounding(green_less / 2)
    blue = rest - rounding(orange / 2)
    return torch.stack([blue + orange, green_less + rest, blue], -3)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every second number along the last axis, and those between them; views."""
    return x[..., ::2], x[..., 1::2]


def _forward(x: Tensor) -> None:
    """One level along the last axis, in place: the 5/3 wavelet of JPEG 2000 (Le Gall & Tabatabai 1988)."""
    even, odd = _halves(x)
    odd.sub_(torch.floor((even + _next(even)) / 2))  # what a line between two neighbours misses
    even.add_(torch.floor((_before(odd) + odd + 2) / 4))  # so that means stay means


def _backward(x: Tensor, rounding: Rounding) -> None:
    even, odd = _halves(x)
    even.sub_(rounding((_before(odd) + odd + 2 * (rounding is torch.floor)) / 4))
    odd.add_(rounding((even + _next(even)) / 2))


def _next(x: Tensor) -> Tensor:
    """Each number's right neighbour; the last one's is itself, as in a mirror."""
    return torch.cat([x[..., 1:], x[..., -1:]], -1)


def _before(x: Tensor) -> Tensor:
    return torch.cat([x[..., :1], x[..., :-1]], -1)
