"""The ready-made checks: what they take for right, and the words they find for what is not."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vae_helpers.exercises import Misconception, Wrong, checks


def compares(reference, probes, wrong, **options):
    """The check of an exercise with this reference and these wrong answers, as a function of the answer."""
    task = SimpleNamespace(reference=reference, wrong=wrong)
    check = checks.compares(probes, **options)
    return lambda answer: check(answer, task)


def close_to(reference, wrong, **options):
    task = SimpleNamespace(reference=reference if callable(reference) else lambda: reference, wrong=wrong)
    check = checks.close_to(**options)
    return lambda answer: check(answer, task)


def double(x):
    return 2.0 * x


def three_probes():
    return [(torch.tensor([1.0, 2.0, -3.0]),), (torch.tensor([0.5]),)]


def message(check, answer):
    with pytest.raises(Misconception) as caught:
        check(answer)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: -2 * x, "its sign is flipped"),
        (lambda x: 5 * x, "it is 2.5 times what it should be"),
        (lambda x: 2.00003 * x, "it is off by a factor of 1.000015"),
        (lambda x: 2 * x + 0.25, "it is 0.25 too large everywhere"),
        (lambda x: 2 * x - 0.25, "it is 0.25 too small everywhere"),
        (lambda x: x**2, "it is 1 at [0] where 2 is right (at x = [1.0, 2.0, -3.0])"),
        (lambda x: 2 * x.sum(), "it has the shape () where (3,) is asked for (at x = [1.0, 2.0, -3.0])"),
        (lambda x: 2 * x[None], "it has the shape (1, 3) where (3,) is asked for (at x = [1.0, 2.0, -3.0])"),
        (lambda x: (2 * x).tolist(), "it has 3 parts ([0], [1], [2]) where a tensor of shape (3,) is asked for"),
        (lambda x: (2 * x).numpy(), "it is an array of shape (3,) where a tensor of shape (3,) is asked for"),
        (lambda x: 2.0, "it is a number (float) where a tensor of shape (3,) is asked for"),
        (lambda x: x.log(), "it contains NaN (at x = [1.0, 2.0, -3.0])"),
        (lambda x: x / 0, "it contains infinity"),
        (lambda x: (2 * x).to("meta"), "it is on the device meta where its arguments are on cpu"),
        (lambda x: x.to_sparse(), "it is 0.5 times what it should be"),
        (lambda x: (2 * x, x), "it has 2 parts ([0], [1]) where a tensor of shape (3,) is asked for"),
    ],
)
def test_what_differs_is_said_where_no_wrong_answer_matches(answer, said):
    assert message(compares(double, three_probes, ()), answer).startswith(said)


def test_a_wrong_answer_matches_only_if_it_does_the_same_at_every_probe():
    wrong = (Wrong("it takes the absolute value of the double", lambda x: 2 * x.abs()),)
    check = compares(double, three_probes, wrong)
    assert message(check, lambda x: x.abs() + x.abs()) == "it takes the absolute value of the double"
    assert message(check, lambda x: x.abs() * 2 if len(x) == 3 else x) != "it takes the absolute value of the double"


def test_the_tolerance_is_relative_plus_absolute():
    check = compares(double, lambda: [(torch.tensor([100.0, 0.0]),)], (), tolerance=1e-2)
    check(lambda x: 2 * x + 0.009)
    check(lambda x: 2 * x * 1.009)
    message(check, lambda x: 2 * x + 3)
    message(check, lambda x: 2 * x * 1.02)
    message(check, lambda x: 2 * x + torch.tensor([0.0, 0.02]))


def test_another_dtype_is_not_right_and_the_message_says_what_would_stop():
    check = compares(double, lambda: [*three_probes(), (torch.ones(2, dtype=torch.float64),)], ())
    check(lambda x: x + x)
    said = message(check, lambda x: 2 * x.double())
    assert said.startswith("its values are right, but it has the type torch.float64 where torch.float32 is asked for")
    assert said.endswith(
        "NumPy and .double() make such numbers, and a cell below that puts them beside torch.float32 would stop"
    )
    said = message(check, lambda x: 2 * x.float())
    assert "has the type torch.float32 where torch.float64 is asked for: it has lost digits" in said

    def count(x):
        return (x > 0).sum(0, keepdim=True)

    check = compares(count, three_probes, ())
    check(lambda x: torch.tensor([int((x > 0).sum())]))
    assert "where torch.int64 is asked for" in message(check, lambda x: torch.tensor([int((x > 0).sum())]).int())
    assert "has the type torch.float32 where torch.int64 is asked for" in message(check, lambda x: count(x) * 1.0)


def test_a_small_tolerance_holds_double_precision_to_it_and_single_precision_to_what_it_can():
    check = compares(double, lambda: [*three_probes(), (torch.rand(9, dtype=torch.float64),)], (), tolerance=1e-12)
    check(lambda x: x / 0.5)
    check(lambda x: 2 * x + (5e-6 if x.dtype == torch.float32 else 0))
    assert "not to the sixteen of float64" in message(check, lambda x: (2 * x.float()).to(x))
    assert "not to the sixteen of float64" in message(check, lambda x: 2.000001 * x)
    assert "too large everywhere" in message(check, lambda x: 2 * x + 1e-4)
    assert "sixteen" not in message(check, lambda x: x.mul_(2.000001))  # it changes its argument, which matters more


def test_a_misconception_is_named_before_a_dtype_and_wrong_values_before_both():
    check = compares(double, three_probes, (Wrong("it is four times x", lambda x: 4 * x),))
    assert message(check, lambda x: 4 * x.double()) == "it is four times x"
    assert message(
        check, lambda x: 2 * x.double() if len(x) == 3 else 3 * x
    ) == "it is 1.5 at [0] where 1 is right " + ("(at x = [0.5])")


def test_a_function_may_give_a_number_in_any_wrapping_but_a_tensor_with_dimensions():
    check = compares(lambda x: len(x), three_probes, ())
    for right in (
        lambda x: x.numel(),
        lambda x: float(len(x)),
        lambda x: torch.tensor(len(x)),
        lambda x: np.int8(len(x)),
    ):
        check(right)
    assert "take it out with .item()" in message(check, lambda x: torch.tensor([len(x)]))
    one_more = Wrong("it counts one more", lambda x: (len(x) + 1, 2 * x))
    check = compares(lambda x: (len(x), 2 * x), three_probes, (one_more,))
    for more in (torch.tensor, np.array, float):
        assert message(check, lambda x, more=more: (more(len(x) + 1), 2 * x)) == "it counts one more"
    only = compares(lambda x: x.sum(), three_probes, (Wrong("it is a plain number", lambda x: x.sum().item()),))
    assert message(only, lambda x: x.sum().item()) == "it is a plain number"
    assert "float64" in message(only, lambda x: x.sum().double())


def test_a_result_on_a_graph_of_its_own_or_sparse_is_not_right():
    check = compares(double, three_probes, ())
    assert "hangs on a graph of your own" in message(check, lambda x: 2 * x.clone().requires_grad_())
    assert "is of the layout torch.sparse_coo" in message(check, lambda x: (2 * x).to_sparse())
    compares(double, three_probes, (), gradients=True)(lambda x: x + x)


def test_more_numbers_than_memory_holds_are_refused_before_they_are_copied():
    said = message(compares(double, three_probes, ()), lambda x: x[:1].expand(10**9))
    assert said == "it returns a tensor of shape (1000000000,): far more numbers than are asked for"
    large = torch.zeros(1).expand(10**12)
    assert "has the shape (1000000000000,)" in message(close_to(3.5, ()), large)


def test_gradients_are_compared_if_asked_for():
    loose, strict = compares(double, three_probes, ()), compares(double, three_probes, (), gradients=True)
    for answer in (lambda x: (2 * x).detach(), lambda x: torch.tensor((2 * x.detach()).tolist())):
        loose(answer)
        assert message(strict, answer) == "its values are right, but no gradient reaches `x`"
    half = lambda x: x + x.detach()  # noqa: E731
    loose(half)
    assert message(strict, half) == "its values are right, but its gradient with respect to `x` is not"
    strict(lambda x: x + x)


def test_only_the_gradients_that_are_named_are_compared():
    def product(x, y):
        return x * y

    def probes():
        return [(torch.ones(3), torch.arange(3.0))]

    check = compares(product, probes, (), gradients=("y",))
    check(lambda x, y: x.detach() * y)
    check(lambda x, y: torch.from_numpy(x.numpy()) * y)
    assert message(check, lambda x, y: x * y.detach()) == "its values are right, but no gradient reaches `y`"
    with pytest.raises(ValueError, match="the reference has no z"):
        compares(product, probes, (), gradients=("z",))(product)


def test_what_becomes_of_the_arguments_is_compared():
    def by_backward(x):
        x.requires_grad_()
        x.square().sum().backward()
        return x.grad.detach().clone()

    check = compares(double, three_probes, ())
    assert message(check, by_backward).startswith("it sets requires_grad at its argument `x`")
    assert "in place" in message(check, lambda x: x.mul_(2))
    strict = compares(double, three_probes, (), gradients=True)
    said = message(strict, lambda x: (x.square().sum().backward(), 2 * x)[1])
    assert said.startswith("it leaves a gradient in its argument `x`, to which the caller's own would be added")


def test_lists_and_networks_are_arguments_too():
    def weight(model, xs):
        return model.weight.detach().sum() + xs[0]

    def probes():
        torch.manual_seed(1)
        return [(torch.nn.Linear(2, 2), [torch.ones(2), torch.zeros(2)])]

    check = compares(weight, probes, ())
    check(lambda model, xs: weight(model.eval(), xs))
    assert "`xs` in place" in message(check, lambda model, xs: weight(model, [xs.pop(0)]))
    assert "`xs` in place" in message(check, lambda model, xs: (weight(model, xs), xs[1].add_(1))[0])
    assert "`model` in place" in message(check, lambda model, xs: (weight(model, xs), model.double())[0])
    assert "requires_grad at its argument `model`" in message(
        check, lambda model, xs: weight(model.requires_grad_(False), xs)
    )


def test_wrong_answers_are_told_apart_by_their_gradients():
    wrong = (
        Wrong("it detaches everything", lambda x: 2 * x.detach()),
        Wrong("it detaches one", lambda x: x + x.detach()),
    )
    check = compares(double, three_probes, wrong, gradients=True)
    assert message(check, lambda x: x.detach() + x) == "it detaches one"
    assert message(check, lambda x: (x + x).detach()) == "it detaches everything"


def test_an_argument_that_the_reference_ignores_may_be_ignored_or_used_without_effect():
    check = compares(lambda x, y: 2 * x, lambda: [(torch.ones(3), torch.ones(3))], (), gradients=True)
    check(lambda x, y: 2 * x + 0 * y)
    check(lambda x, y: x + x)


def test_tuples_dictionaries_and_distributions_are_compared_part_by_part():
    def parts(x):
        return {"loss": x.sum(), "q": torch.distributions.Normal(x, 1.0), "pair": (x, 3)}

    def other(x, scale=1.0, three=3):
        return {"pair": [x, three], "loss": x.sum(), "q": torch.distributions.Normal(x, scale)}

    check = compares(parts, three_probes, ())
    check(other)
    assert message(check, lambda x: other(x, scale=2.0)).startswith(
        "its part ['q'].stddev is 2 at [0] where 1 is right"
    )
    assert message(check, lambda x: other(x, three=4)).startswith("its part ['pair'][1] is 4, which is not right")
    assert "parts" in message(check, lambda x: {"loss": x.sum()})


def test_harder_probes_have_a_message_of_their_own_for_those_that_are_right_before_them():
    def far():
        return [(torch.tensor([500.0]),)]

    wrong = (Wrong("it is x itself", lambda x: x), Wrong("it is three times x", lambda x: 3 * x))
    check = compares(double, three_probes, wrong, harder=[("it overflows far out", far), ("never reached", far)])
    check(lambda x: x + x)
    for fragile in (
        lambda x: 2 * x.exp().log(),
        lambda x: 2 * x.clamp(-5, 5),
        lambda x: 2 * x if x.max() < 9 else None.f,
    ):
        assert message(check, fragile) == "it overflows far out"
    assert message(check, lambda x: x.clamp(-5, 5)) == "it is x itself"
    assert "torch.float64 where torch.float32" in message(check, lambda x: 2 * x.double() if x.max() > 9 else 2 * x)


def test_an_answer_that_draws_like_the_reference_is_right():
    def noisy(x):
        return x + torch.randn_like(x)

    check = compares(noisy, three_probes, (Wrong("it draws uniform noise", lambda x: x + torch.rand_like(x)),))
    check(lambda x: torch.randn(x.shape) + x)
    assert message(check, lambda x: torch.rand(x.shape) + x) == "it draws uniform noise"


def test_probes_may_draw_from_the_global_generator():
    compares(double, lambda: [(torch.randn(3),), (torch.randn(2),)], (), gradients=True)(lambda x: x + x)


def test_answers_that_are_equally_right_are_made_equal():
    def unsigned(function):
        return lambda x: function(x).abs()

    wrong = (Wrong("it is a quarter of it", lambda x: x / 2),)
    check = compares(double, three_probes, wrong, canonical=unsigned)
    check(lambda x: -2 * x)
    assert message(check, lambda x: -x / 2) == "it is a quarter of it"


def test_a_broken_reference_is_not_blamed_on_the_answer():
    def broken(x):
        raise ZeroDivisionError("in the reference")

    with pytest.raises(ZeroDivisionError, match="in the reference"):
        compares(broken, three_probes, ())(double)


# Values

DICE = (Wrong("it is the middle face", 3), Wrong("it is the sum", 21))


@pytest.mark.parametrize(
    "answer", [3.5, 3.5005, np.float32(3.5), np.array(3.5), torch.tensor(3.5), torch.tensor(3.5).double()]
)
def test_a_number_may_come_in_any_wrapping(answer):
    close_to(3.5, DICE)(answer)
    close_to(lambda: 3.5, DICE)(answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (3, "it is the middle face"),
        (torch.tensor(21), "it is the sum"),
        (3.6, "it is 3.6, which is not right"),
        (float("nan"), "it is NaN"),
        ("three", "it is a text where a number (float) is asked for"),
        ([3.5, 1], "it has 2 parts ([0], [1]) where a number (float) is asked for"),
        (torch.ones(2), "it has the shape (2,) where () is asked for"),
        (torch.tensor([3.5]), "it has the shape (1,) where one number is asked for: take it out with .item()"),
        (np.array([[3.5]]), "it has the shape (1, 1) where one number is asked for: take it out with .item()"),
        (Fraction(7, 2), "it is something of type Fraction where a number (float) is asked for"),
        (3.5 + 1j, "it is complex where a real number is asked for"),
    ],
)
def test_a_wrong_value_is_told_what_it_is(answer, said):
    assert message(close_to(3.5, DICE), answer) == said


def test_texts_shapes_tensors_and_truth_values():
    close_to("decoder", ())(" Decoder ")
    assert "'encoder', which is not right" in message(close_to("decoder", ()), "encoder")
    close_to((3, 8, 8), ())(torch.Size([3, 8, 8]))
    assert message(close_to((3, 8, 8), ()), (8, 8, 3)).startswith("its part [0] is 8")
    close_to(torch.eye(2), ())(torch.eye(2).double())
    message(close_to(torch.eye(2), ()), torch.ones(2, 2))
    close_to(True, ())(True)
    message(close_to(True, ()), False)


def test_a_value_that_takes_long_is_computed_once():
    calls = []

    def reference():
        calls.append(1)
        return 1.0

    check = close_to(reference, ())
    check(1.0)
    check(1.0)
    assert len(calls) == 1
