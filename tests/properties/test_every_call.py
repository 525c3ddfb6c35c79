"""Every public function with one good argument exchanged for anything, and with its arguments anyhow in memory."""

import pytest
import torch

from tests.properties.calls import CALLS
from tests.properties.ground import (
    COVERED,
    MANY,
    REFUSED,
    anything,
    documented,
    layouts,
    leaves,
    number_is_nan,
    try_out,
)


def each_call(test):
    """The test for every call of the table."""
    names = [call.name for call in CALLS]
    COVERED.update(dict.fromkeys(names, test))
    ids = [f"{name}-{names[:i].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]
    efforts = pytest.mark.parametrize("examples", [10, pytest.param(MANY, marks=pytest.mark.soak)], ids=["few", "many"])
    return pytest.mark.parametrize("call", CALLS, ids=ids)(efforts(test))


@each_call
def test_an_argument_that_may_be_anything_is_refused_by_name_or_gives_what_is_documented(call, examples):
    for name in call.attacked:
        try_out(attack_on(call, name), examples, value=anything())


def attack_on(call, name):
    """A check of one argument."""

    def attack(value):
        arguments = {**call.good(), name: value}
        torch.manual_seed(0)
        result = documented(call.function, also=call.also, elementwise=call.elementwise, **arguments)
        if result is not REFUSED and not any(map(number_is_nan, leaves(result))):  # NaN that `documented` excuses
            assert call.holds(result, **arguments), f"{name} = {value!r} gave {result!r}"

    return attack


@each_call
def test_it_does_not_matter_how_numbers_are_held_in_memory(call, examples):
    if call.in_memory_order:
        pytest.skip("its random numbers follow the order in which the pictures stand in memory")

    def held(layout):
        torch.manual_seed(0)
        expected = call.function(**call.good())
        arguments = {name: layout(v) if isinstance(v, torch.Tensor) else v for name, v in call.good().items()}
        torch.manual_seed(0)
        result = documented(call.function, also=call.also, elementwise=call.elementwise, **arguments)
        assert result is not REFUSED and call.holds(result, **arguments)
        for a, b in zip(leaves(expected), leaves(result), strict=True):
            torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=1e-4, atol=1e-5)

    try_out(held, min(examples, 5), layout=layouts())
