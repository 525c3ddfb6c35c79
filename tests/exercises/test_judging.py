"""`exercise` on the lesson of made_up.py: what it says, what it returns, and what it survives."""

import dataclasses
import json
import os
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from tests.exercises.made_up import WRONG_KL, gaussian_kl
from vae_helpers import exercise
from vae_helpers.exercises import UnknownExercise, judging, progress_record
from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import find


def said_about(answer, capsys, id="99.1"):
    """What is printed about an answer that is not right; the reference must come back."""
    given = exercise(id, answer)
    assert given is gaussian_kl if id == "99.1" else given == 3.5
    return capsys.readouterr().out


def verdict(answer, id="99.1"):
    found = judge(find(id), answer)
    return found.status, found.message


def test_a_right_function_comes_back(capsys):
    def mine(mu, log_var):
        return (mu.square() + log_var.exp() - 1 - log_var).sum(dim=1) / 2

    assert exercise("99.1", mine) is mine
    assert capsys.readouterr() == ("Exercise 99.1 solved. Your answer is used below.\n", "")


def test_a_right_value_comes_back(capsys):
    mine = torch.tensor(3.5)
    assert exercise("99.2", mine) is mine
    assert capsys.readouterr().out == "Exercise 99.2 solved. Your answer is used below.\n"


def test_a_wrong_answer_is_told_its_misconception(capsys):
    assert said_about(WRONG_KL[0].answer, capsys) == (
        "Exercise 99.1 is not right yet: it is the mean over the latents where the sum is asked for."
        ' The reference answer is used below. Help: hint("99.1")\n'
    )
    assert "it is the variance. The reference answer is used below." in said_about(35 / 12, capsys, "99.2")


# Not attempted


def docstring_only(mu, log_var):
    """KL."""


def dots(mu, log_var):
    """KL."""
    ...  # your code here


def passes(mu, log_var):
    pass


def refuses(mu, log_var):
    """KL."""
    raise NotImplementedError("your turn")


def returns_dots(mu, log_var):
    return ...


def gap_then_code(mu, log_var):
    variance = ...  # your code here
    return (mu**2 + variance.log()).sum(-1)


@pytest.mark.parametrize(
    "answer",
    [None, ..., docstring_only, dots, passes, refuses, returns_dots, gap_then_code, lambda mu, log_var: ...],
)
def test_not_attempted(answer, capsys):
    assert said_about(answer, capsys) == (
        'Exercise 99.1 is not attempted yet: the reference answer is used below. A nudge: hint("99.1")\n'
    )


def test_a_stub_whose_source_is_gone_is_not_attempted():
    names = {}
    exec("def f(mu, log_var):\n    raise NotImplementedError\ndef g(mu, log_var): ...", names)
    assert verdict(names["f"])[0] == verdict(names["g"])[0] == "open"


def test_a_forgotten_return_is_pointed_out(capsys):
    def forgetful(mu, log_var):
        gaussian_kl(mu, log_var)

    assert "is not attempted yet" in (said := said_about(forgetful, capsys))
    assert "It returns nothing: is a `return` missing?" in said


def test_a_value_of_blanks_is_not_attempted():
    assert verdict((None, ...), "99.2") == ("open", "")
    assert verdict([], "99.2")[0] == "wrong"


def test_dots_left_above_the_code_do_not_hide_a_right_or_a_wrong_answer():
    def right(mu, log_var):
        """KL."""
        ...  # your code here
        return gaussian_kl(mu, log_var)

    def wrong(mu, log_var):
        """KL."""
        ...
        return gaussian_kl(mu[..., :2], log_var[..., :2])

    def breaks(mu, log_var):
        ...
        return mu[..., 0] + unknown_name  # noqa: F821

    assert verdict(right) == ("solved", "")
    assert verdict(wrong)[0] == "wrong"
    assert "NameError" in verdict(breaks)[1]


def test_not_implemented_by_torch_is_an_error_of_the_answer():
    def answer(mu, log_var):
        return torch.distributions.Distribution().entropy() + mu

    status, message = verdict(answer)
    assert status == "wrong" and "NotImplementedError" in message


# What an answer may do


def test_an_exception_is_shown_with_its_line():
    def answer(mu, log_var):
        scale = 1 / 0
        return mu * scale

    assert verdict(answer) == ("wrong", "it raises ZeroDivisionError (division by zero) in the line `scale = 1 / 0`")


def test_the_line_shown_is_the_learners_even_if_torch_raised():
    def answer(mu, log_var):
        return mu @ log_var

    status, message = verdict(answer)
    assert status == "wrong" and message.endswith("in the line `return mu @ log_var`") and "RuntimeError" in message


def test_other_arguments_than_asked_for():
    assert verdict(lambda mu: mu) == ("wrong", "it takes the arguments (mu), where (mu, log_var) is asked for")
    assert verdict(lambda *both: gaussian_kl(*both)) == ("solved", "")
    assert verdict(lambda mu, log_var, base=2.0: gaussian_kl(mu, log_var)) == ("solved", "")


def test_endless_recursion():
    def answer(mu, log_var):
        return answer(mu, log_var)

    assert verdict(answer) == ("wrong", "it calls itself without end (RecursionError)")


@pytest.mark.parametrize(
    "leave", [sys.exit, lambda: (_ for _ in ()).throw(GeneratorExit()), lambda: exec("raise BaseException")]
)
def test_leaving_the_program(leave):
    def answer(mu, log_var):
        leave()

    assert verdict(answer)[0] == "wrong"


def test_an_interrupt_gets_through():
    def answer(mu, log_var):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercise("99.1", answer)


def test_printing_and_warning_is_kept_back_and_said(capsys, recwarn):
    def answer(mu, log_var):
        print("shape", mu.shape)
        print("loud", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        return gaussian_kl(mu, log_var)

    exercise("99.1", answer)
    said = (
        "Exercise 99.1 solved. Your answer is used below. (What your function printed during the check is not shown.)\n"
    )
    assert capsys.readouterr() == (said, "")
    assert not recwarn.list


def test_a_right_answer_that_changes_its_argument_is_told_so():
    def answer(mu, log_var):
        result = gaussian_kl(mu, log_var)
        mu.data.zero_()
        return result

    status, message = verdict(answer)
    assert status == "wrong" and "changes its argument `mu` in place" in message


def test_arguments_that_an_answer_spoils_do_not_spoil_the_diagnosis():
    def mean_then_spoil(mu, log_var):
        return WRONG_KL[0].answer(mu, log_var) + 0 * mu.data.fill_(7).sum()

    status, message = verdict(mean_then_spoil)
    assert status == "wrong" and "2.3333 times" not in message
    assert verdict(gaussian_kl) == ("solved", "")


class Hostile:
    def __getattr__(self, name):
        raise RuntimeError("no")

    def __eq__(self, other):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")

    __hash__ = None


@pytest.mark.parametrize("id", ["99.1", "99.2"])
@pytest.mark.parametrize(
    "value",
    [
        "text", 7, 3.0 + 4j, float("nan"), True, [], {}, (1, (2, [3])), {1: 2, "a": 3}, np.zeros(4), np.array("x"),
        np.array([None, 1]), torch.zeros(4), torch.zeros(0), torch.zeros(4, dtype=torch.complex64), range(3),
        torch.zeros(4).to_sparse(), torch.full((4,), torch.nan), torch.zeros(4, dtype=torch.bool), object, Hostile,
        torch.distributions.Normal(0.0, 1.0), torch.distributions.Cauchy(0.0, 1.0), torch.nn.Linear(2, 2),
        torch.zeros(4, device="meta"), float("inf"), 10**400, torch.zeros(4).half(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_whatever_comes_back_is_wrong_and_nothing_breaks(id, value, capsys):
    value = Hostile() if value is Hostile else value  # pytest could not hold one
    answer = (lambda mu, log_var: value) if id == "99.1" else value
    assert "is not right yet: " in said_about(answer, capsys, id)


@pytest.mark.parametrize("answer", [3, "text", torch.zeros(3), [gaussian_kl], Hostile])
def test_a_function_is_asked_for(answer, capsys):
    answer = Hostile() if answer is Hostile else answer
    assert "is asked for" in said_about(answer, capsys)


def test_a_value_is_asked_for(capsys):
    assert "call it" in said_about(lambda: 3.5, capsys, "99.2")


def test_other_callables_are_functions_too():
    class Kl(torch.nn.Module):
        def forward(self, mu, log_var):
            return gaussian_kl(mu, log_var)

    class Called:
        __call__ = staticmethod(gaussian_kl)

    import functools

    for answer in (Kl(), Called(), functools.partial(lambda a, mu, log_var: a * gaussian_kl(mu, log_var), 1.0)):
        assert exercise("99.1", answer) is answer


# What stays as it was


def states():
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()


def test_random_states_and_torch_settings_are_restored():
    def answer(mu, log_var):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.rand(3), np.random.rand(), random.random()
        return gaussian_kl(mu, log_var)

    before = states()
    exercise("99.1", answer)
    exercise("99.1", None)
    exercise("99.2", None)
    assert states() == before
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def settings():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        np.geterr(),
        os.getcwd(),
    )


CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic mode": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "cudnn.deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "np.seterr": lambda: np.seterr(all="raise"),
    "working directory": lambda: os.chdir("/"),
    "gradient mode": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_an_answer_changes_is_restored_and_the_answer_is_told(name):
    def answer(mu, log_var):
        result = gaussian_kl(mu, log_var)
        CHANGES[name]()
        return result

    before = settings()
    status, message = verdict(answer)
    assert status == "wrong" and name in message and "for all that the notebook does below" in message
    assert settings() == before and torch.is_grad_enabled()


def test_what_a_notebook_has_set_changes_no_verdict_and_stays_set():
    torch.set_default_dtype(torch.float64), torch.set_default_device("meta"), np.seterr(all="raise")
    try:
        before = settings()
        assert verdict(gaussian_kl) == ("solved", "")
        assert verdict(WRONG_KL[0].answer) == ("wrong", WRONG_KL[0].message)
        assert exercise("99.2", None) == 3.5
        assert settings() == before
    finally:
        torch.set_default_dtype(torch.float32), torch.set_default_device(None), np.seterr(all="warn")


@pytest.mark.parametrize(("id", "wrong"), [("99.1", WRONG_KL[0].answer), ("99.2", 21), ("99.1", None)])
def test_the_reference_that_came_back_is_not_taken_for_an_answer(id, wrong, capsys):
    name = exercise(id, wrong)
    capsys.readouterr()
    name = exercise(id, name)  # the line is run again, without the answer above it
    said = capsys.readouterr().out
    assert said == (
        f"Exercise {id}: this is the reference answer that was handed back before, not yours, and it counts for "
        f'nothing. Run the cell with your own answer again. Help: hint("{id}")\n'
    )
    assert not progress_record._memory.get(id, progress_record.EMPTY)["solved"]
    assert exercise(id, exercise(id, name)) is name


def test_a_small_whole_number_is_told_from_the_reference_that_came_back(capsys, monkeypatch):
    task = dataclasses.replace(find("99.2"), reference=sum_of_faces)
    monkeypatch.setattr(judging, "find", lambda id: task)
    given = exercise("99.2", 6)
    assert given == 21
    exercise("99.2", given)
    assert "was handed back before" in capsys.readouterr().out
    exercise("99.2", 21)
    assert "solved" in capsys.readouterr().out


def sum_of_faces():
    """The sum of a die's faces."""
    return 21


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_verdict_is_the_same_where_gradients_are_off(mode):
    with mode():
        assert verdict(gaussian_kl) == ("solved", "")
        assert verdict(WRONG_KL[3].answer) == ("wrong", WRONG_KL[3].message)
        assert not torch.is_grad_enabled()


def test_an_unknown_exercise_lists_those_that_exist(monkeypatch):
    from vae_helpers.exercises import registry

    monkeypatch.setattr(registry, "lesson_numbers", lambda: ("99",))
    for id in ("99.7", "98.1", "kl", "", 99.1, None):
        with pytest.raises(UnknownExercise, match=r"Known exercises: 99\.1, 99\.2"):
            exercise(id, None)
    with pytest.raises(UnknownExercise, match="in quotes"):
        exercise(99.1, None)


# Grading


def test_grading_mode_falls_back_to_nothing_and_writes_a_line_for_each_check(tmp_path, monkeypatch, capsys):
    results = tmp_path / "results.jsonl"
    monkeypatch.setenv("VAE_HELPERS_GRADING", str(results))
    wrong, right = WRONG_KL[0].answer, lambda mu, log_var: gaussian_kl(mu, log_var)
    assert exercise("99.1", None) is None
    assert exercise("99.1", wrong) is wrong
    assert exercise("99.1", right) is right
    assert exercise("99.2", 4) == 4
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["id"], line["solved"], line["attempted"]) for line in lines] == [
        ("99.1", False, False),
        ("99.1", False, True),
        ("99.1", True, True),
        ("99.2", False, True),
    ]
    assert lines[1]["message"] == WRONG_KL[0].message
    assert "reference" not in capsys.readouterr().out
    assert not (tmp_path / "progress.json").exists()
