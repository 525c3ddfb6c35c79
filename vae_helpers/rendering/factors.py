"""What pictures are drawn from: a table of named factors, and tensors with a column for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

from vae_helpers import checking


class Factor(NamedTuple):
    """One thing that varies between pictures."""

    name: str
    low: float
    high: float
    meaning: str  # what low ... high stand for
    whole: bool = False  # a whole number, such as the index of a shape


@dataclass(frozen=True)
class FactorTable:
    """The factors of one kind of picture, in the order of the columns of a tensor (N, F).

    Attributes:
        factors: its rows.
        module: whose functions an error message points to, such as "faces".
        picture: what a row of a tensor stands for, such as "portrait".
        drawing: the module's function that draws some factors.
        setting: the one that sets some.
    """

    factors: tuple[Factor, ...]
    module: str
    picture: str
    drawing: str = "sample"
    setting: str = "with_factors"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the factors."""
        return tuple(factor.name for factor in self.factors)

    def index(self, name: str) -> int:
        """The column of a factor."""
        return self.names.index(checking.choice(name, "a factor", self.names))

    def ranges(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value of each factor, (F,) each, of the type and on the device of `like`."""
        return tuple(like.new_tensor([getattr(f, end) for f in self.factors]) for end in ("low", "high"))

    def to_unit(self, factors: Tensor) -> Tensor:
        """Factors in their own units (..., F) -> low ... high of each as -1 ... 1."""
        low, high = self.ranges(factors)
        return 2 * (factors - low) / (high - low) - 1

    def from_unit(self, unit: Tensor) -> Tensor:
        """The inverse of `to_unit`; what has to be a whole number becomes the nearest."""
        low, high = self.ranges(unit)
        factors = low + (high - low) * (unit + 1) / 2
        return torch.where(self._whole(unit), factors.round(), factors)

    def uniform(self, n: int, seed: int) -> Tensor:
        """Uniform, independent factors of n pictures, (n, F), whole where they have to be.

        The first of a larger n are those of a smaller one.

        Raises:
            ValueError: n or seed is no whole number, or out of its range.
        """
        n, seed = checking.integer(n, "n"), checking.seed(seed)
        unit = torch.rand(n, len(self.factors), generator=torch.Generator().manual_seed(seed), device="cpu")
        low, high = self.ranges(unit)
        each = low + ((high - low + 1) * unit).floor()  # of the whole numbers, as likely
        return torch.where(self._whole(unit), each, low + (high - low) * unit)

    def check(self, factors: Tensor) -> Tensor:
        """Return the factors if they are (N, F), floating point, in range and whole where they have to be.

        Raises:
            TypeError, ValueError: they are not; the message says where, and what sets it right.
        """
        low, high = self.ranges(self.check_form(factors))
        wrong = ~((factors >= low) & (factors <= high))  # NaN too
        wrong |= self._whole(factors) & (factors != factors.round())
        if wrong.any():
            row, column = (int(i) for i in wrong.nonzero()[0])
            factor, value = self.factors[column], factors[row, column].item()
            wanted = "is not one of its whole numbers from" if factor.whole else "is outside its range of"
            raise ValueError(
                f"{factor.name} = {value:g} in row {row} {wanted} {factor.low} to {factor.high} ({factor.meaning}). "
                f"Give it another value: {self.module}.{self.setting}(factors, {factor.name}=...)."
            )
        return factors

    def check_form(self, factors: Tensor) -> Tensor:
        """Return the factors if they are floating point and (N, F), whatever their values."""
        drawing = f"{self.module}.{self.drawing}(n)"
        cure = f"{drawing} draws some; factors.float() converts whole numbers."
        checking.floating(factors, "factors", cure=cure)
        columns = f"The columns are those of {drawing}; one {self.picture} is factors[:1]."
        return checking.shape(factors, "factors", f"(N, {len(self.factors)})", columns)

    def with_factors(self, factors: Tensor, **values: float | Tensor) -> Tensor:
        """A copy of the factors with some set by name.

        Args:
            factors: (N, F).
            values: name -> one number for all, or (N,).
        Raises:
            TypeError: a value that is not a real number or a tensor of them.
            ValueError: a name that is no factor, or a value of the wrong shape or outside the factor's range.
        """
        result = self.check_form(factors).clone()  # its values may be out of range until they are set
        for name, value in values.items():
            column = self.index(name)
            if not isinstance(value, Real | Tensor) or (isinstance(value, Tensor) and value.is_complex()):
                raise TypeError(
                    f"{name} must be a real number or a tensor of them (torch.tensor makes one), "
                    f"not {checking.shown(value)}."
                )
            if isinstance(value, Tensor) and value.shape not in ((), (len(result),)):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, but there are {len(result)} {self.picture}s: "
                    f"give one number for all, or a tensor of shape ({len(result)},)."
                )
            result[:, column] = torch.as_tensor(value, dtype=result.dtype, device=result.device)
        return self.check(result)

    def _whole(self, like: Tensor) -> Tensor:
        """Which factors are whole numbers, bool (F,), on the device of `like`."""
        return torch.tensor([factor.whole for factor in self.factors], device=like.device)
