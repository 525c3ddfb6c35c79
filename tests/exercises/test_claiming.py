import numpy as np
import pytest
import torch

from vae_helpers import claim, claims


def test_a_claim_prints_one_exact_line_whether_it_holds_or_not(capsys):
    claim("two is even", 2 % 2 == 0)
    claim("three is even", 3 % 2 == 0)
    assert capsys.readouterr().out == "claim holds: two is even\nclaim DOES NOT HOLD: three is even\n"


def test_a_claim_over_several_lines_prints_one(capsys):
    claim("the KL is\n    positive", True)
    assert capsys.readouterr().out == "claim holds: the KL is positive\n"


@pytest.mark.parametrize("yes", [True, np.bool_(True), np.array(True), torch.tensor(True), torch.ones(3).sum() > 2])
def test_one_bool_of_any_library_is_a_condition(yes, capsys):
    claim("this", yes)
    claim("that", not yes)
    assert capsys.readouterr().out == "claim holds: this\nclaim DOES NOT HOLD: that\n"


@pytest.mark.parametrize(
    "condition",
    [1, 0.0, None, "yes", torch.tensor(1.0), torch.tensor([True]), torch.tensor([True, False]), np.array([True]), []],
)
def test_what_is_not_one_bool_is_refused(condition, capsys):
    with pytest.raises(TypeError, match="one bool"):
        claim("this", condition)
    assert capsys.readouterr().out == ""


def test_swapped_arguments_are_refused():
    with pytest.raises(TypeError, match="the text comes first"):
        claim(True, "this")


def test_claims_lists_what_was_claimed(capsys):
    claim("first", True)
    claim("second", False)
    capsys.readouterr()
    claims()
    assert capsys.readouterr().out == "holds: first\nDOES NOT HOLD: second\n1 of 2 hold\n"


def test_a_claim_made_again_replaces_the_earlier_one(capsys):
    claim("first", False)
    claim("second", True)
    claim("first", True)
    capsys.readouterr()
    claims()
    assert capsys.readouterr().out == "holds: first\nholds: second\n2 of 2 hold\n"


def test_claims_before_any_claim_says_so(capsys):
    claims()
    assert "No claim" in capsys.readouterr().out
