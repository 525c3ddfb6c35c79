"""Factors found, drawn, checked and set by name."""

import math
from operator import attrgetter

import pytest
import torch

from vae_helpers.rendering import faces, scenes, shapes, styles
from vae_helpers.rendering.factors import Factor, FactorTable

TABLE = FactorTable(
    (Factor("tilt", -1, 3, "left ... right"), Factor("kind", 2, 4, "b, c, d", whole=True)),
    module="made",
    picture="picture",
)


def test_factors_have_columns_and_names():
    assert TABLE.names == ("tilt", "kind") and TABLE.index("kind") == 1
    with pytest.raises(ValueError, match=r"a factor must be one of tilt, kind, not 'tlit'\. Did you mean 'tilt'"):
        TABLE.index("tlit")


@pytest.mark.parametrize(
    ("module", "table"),
    [
        (faces, faces.TABLE),
        (styles, styles.TABLE),
        (scenes, scenes.TABLE),
        (scenes, scenes.SPRITE_TABLE),
        (shapes, shapes.TABLE),
    ],
)
def test_messages_name_functions_that_are_there(module, table):
    assert module.__name__.endswith(f".{table.module}")
    x = attrgetter(table.drawing)(module)(3)
    assert table.check(x) is x
    name = table.names[0]
    with pytest.raises(ValueError, match=rf"{table.module}\.{table.setting}\(factors, {name}=\.\.\.\)\.$"):
        table.check(x + 99)
    assert (attrgetter(table.setting)(module)(x + torch.eye(x.shape[1])[0] * 99, **{name: 1.0})[:, 0] == 1).all()


def test_uniform_factors_have_the_moments_of_their_range_or_whole_numbers():
    n = 20_000
    x = TABLE.uniform(n, seed=3)
    assert TABLE.check(x) is x and torch.equal(TABLE.uniform(7, seed=3), x[:7])
    assert not torch.equal(TABLE.uniform(7, seed=4), x[:7])
    tilt, kind = x.double().T
    assert abs(tilt.mean() - 1) < 5 * (16 / 12 / n) ** 0.5
    assert abs(tilt.var() - 16 / 12) < 5 * 16 * ((1 / 80 - 1 / 144) / n) ** 0.5
    for value in (2, 3, 4):
        assert abs((kind == value).double().mean() - 1 / 3) < 5 * (2 / 9 / n) ** 0.5
    assert abs(((tilt - 1) * (kind - 3)).mean()) < 5 * (16 / 12 * 2 / 3 / n) ** 0.5


def test_units_span_the_range_and_lead_back_to_whole_numbers():
    x = torch.tensor([[-1.0, 2.0], [3.0, 4.0], [1.0, 3.0], [2.0, 4.0]])
    unit = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [0.5, 1.0]])
    assert torch.equal(TABLE.to_unit(x), unit) and torch.equal(TABLE.from_unit(unit), x)
    assert TABLE.from_unit(torch.tensor([0.25, 0.4])).tolist() == [1.5, 3.0]  # as read by a model: to the nearest
    assert torch.equal(torch.stack(TABLE.ranges(x)), x[:2])


def test_factors_in_range_are_returned_as_they_are():
    x = torch.tensor([[-1.0, 2.0], [3.0, 4.0]])
    for y in (x, x.double(), x.half()):
        assert TABLE.check(y) is y


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        ([[0.5, 1.0]], TypeError, r"factors must .* not list\. made.sample\(n\) draws some"),
        (torch.zeros(2, 2, dtype=torch.long), TypeError, r"not int64.*factors.float\(\)"),
        (
            torch.zeros(2),
            ValueError,
            r"factors must .* \(N, 2\).* not \(2,\).* made.sample\(n\); one picture is factors\[:1\]",
        ),
        (torch.zeros(0, 2), ValueError, r"no empty axis, not \(0, 2\)"),
        (torch.tensor([[0, 2], [3.5, 2]]), ValueError, r"tilt = 3\.5 in row 1 is outside its range of -1 to 3"),
        (
            torch.tensor([[math.nan, 2]]),
            ValueError,
            r"tilt = nan .*left \.\.\. right.*made.with_factors\(factors, tilt=",
        ),
        (
            torch.tensor([[0, 2.5]]),
            ValueError,
            r"kind = 2\.5 in row 0 is not one of its whole numbers from 2 to 4 \(b, c, d\)\. .*kind=",
        ),
        (torch.tensor([[0, 5.0]]), ValueError, r"kind = 5 in row 0"),
        (torch.tensor([[0, 1.0]]), ValueError, r"kind = 1 in row 0"),
        (torch.tensor([[0, math.inf]]), ValueError, r"kind = inf in row 0"),
    ],
)
def test_bad_factors_are_named_with_a_cure(bad, error, words):
    with pytest.raises(error, match=words):
        TABLE.check(bad)


def test_with_factors_sets_what_is_named_in_a_copy():
    x = torch.tensor([[0.5, 2.0], [0.25, 5.0]])  # the second kind is out of range until it is set
    y = TABLE.with_factors(x, kind=torch.tensor([3, 4]))
    assert y.tolist() == [[0.5, 3.0], [0.25, 4.0]] and x[1, 1] == 5
    assert TABLE.with_factors(y, tilt=-1, kind=2).tolist() == [[-1.0, 2.0]] * 2


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"tlit": 1.0}, ValueError, "Did you mean 'tilt'"),
        ({"tilt": 3.5}, ValueError, r"tilt = 3\.5 in row 0"),
        ({"kind": 2.5}, ValueError, r"kind = 2\.5 in row 0"),
        ({"tilt": torch.zeros(3)}, ValueError, r"tilt has shape \(3,\), but there are 2 pictures.*shape \(2,\)"),
        ({"tilt": "left"}, TypeError, "tilt must be a real number .* not 'left'"),
        ({"tilt": 1j}, TypeError, "tilt must be a real number"),
        ({"tilt": torch.zeros(2, dtype=torch.complex64)}, TypeError, "not Tensor complex64"),
    ],
)
def test_bad_changes_are_named_with_a_cure(values, error, words):
    with pytest.raises(error, match=words):
        TABLE.with_factors(torch.full((2, 2), 2.0), **values)
