"""Attribute arithmetic: how codes depend on factors, and where an edit leads."""

import pytest
import torch

from vae_helpers import attributes
from vae_helpers.attributes import fit_attributes
from vae_helpers.rendering import faces


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_linear_dependence_is_found_and_edits_keep_the_rest():
    factors, other = faces.sample(300, seed=1), faces.sample(300, seed=2)
    slopes = rand(14, 4).float()
    rest = 0.1 * torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    codes = factors @ slopes + 2 + rest
    fitted = fit_attributes(codes, factors, "linear", ridge=0.0)
    assert torch.allclose(fitted.predict(other), other @ slopes + 2, atol=0.15)
    edited = fitted.edit(codes, factors, other)
    assert torch.allclose(edited - codes, (other - factors) @ slopes, atol=0.25)
    assert torch.allclose(fitted.edit(codes, factors, factors), codes, atol=1e-5)
    there = fitted.edit(fitted.edit(codes, factors, other), other, factors)
    assert torch.allclose(there, codes, atol=1e-4)


def test_knots_follow_a_bent_path_and_products_a_path_that_depends_on_another_factor():
    factors, new = faces.sample(4000, seed=1), faces.sample(500, seed=2)

    def bent(f):
        return torch.stack([(f[:, 1] * 5 - 2).abs(), (f[:, 12] * 2.5).sin()], 1)

    def tied(f):
        return (f[:, 1] * f[:, 11])[:, None]

    def error(of, features):
        fitted = fit_attributes(of(factors), factors, features, ridge=0.1)
        return ((fitted.predict(new) - of(new)).square().mean() / of(new).var()).item()

    assert error(bent, "linear") > 0.1 and error(bent, "knots") < 0.02
    assert error(tied, "knots") > 0.1 and error(tied, "products") < 0.02


def test_the_tents_stand_on_knots_in_equal_steps_and_sum_to_one():
    place = torch.tensor([0.0, 0.1, 0.2, 0.5, 1.0])
    factors = faces.with_factors(faces.sample(5), skin=place)
    skin = attributes._knots(factors)[:, :6]
    wanted = [
        [1, 0, 0, 0, 0, 0],
        [0.5, 0.5, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0.5, 0.5, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert torch.allclose(skin, torch.tensor(wanted).float(), atol=1e-5)
    products = attributes._products(factors).view(5, 84, 15)  # each tent times each factor, and by itself
    assert torch.equal(products[..., -1], attributes._knots(factors))


def test_the_ridge_counts_against_the_sum_of_squared_errors():
    """The same by ordinary least squares: for each slope one more row, that asks for sqrt(ridge) slope = 0."""
    factors, new, codes = faces.sample(30, seed=1), faces.sample(10, seed=2), rand(30, 2)
    low, high = faces.ranges(codes)
    x, x_new = (2 * (f - low) / (high - low) - 1 for f in (factors, new))
    rows = torch.nn.functional.pad(torch.cat([x, 7**0.5 * torch.eye(14)]), (0, 1))
    rows[:30, -1] = 1
    weights = torch.linalg.lstsq(rows, torch.cat([codes, torch.zeros(14, 2)])).solution
    fitted = fit_attributes(codes, factors, "linear", ridge=7.0)
    assert torch.allclose(fitted.predict(new), x_new @ weights[:-1] + weights[-1], atol=1e-6)


def test_a_ridge_shrinks_the_slopes_and_not_the_mean():
    factors = faces.sample(200, seed=1)
    codes = factors @ rand(14, 2).float() + 5
    loose, tight = (fit_attributes(codes, factors, "linear", ridge=r) for r in (0.0, 1e6))
    assert loose.predict(factors).std() > 100 * tight.predict(factors).std(0).max()
    assert torch.allclose(tight.predict(factors).mean(0), codes.mean(0), atol=1e-3)


# --- what is wrong is said ---------------------------------------------------------------------------------------


F14 = faces.sample(2)
CODES = torch.zeros(2, 3)
BAD = {
    "codes": (lambda: fit_attributes([1], F14), TypeError, "codes must"),
    "codes and factors": (lambda: fit_attributes(CODES[:1], F14), ValueError, "codes has 1 rows"),
    "NaN codes": (lambda: fit_attributes(CODES / 0, F14), ValueError, "codes holds 6 values"),
    "features": (lambda: fit_attributes(CODES, F14, "cubic"), ValueError, "features must be one of"),
    "ridge": (lambda: fit_attributes(CODES, F14, ridge=-1), ValueError, "ridge must"),
    "undetermined": (lambda: fit_attributes(CODES, F14, ridge=0), ValueError, "undetermined"),
    "codes' length": (
        lambda: fit_attributes(CODES, F14).edit(CODES[:, :2], F14, F14),
        ValueError,
        r"z must have shape \(N, 3\)",
    ),
    "edit's rows": (
        lambda: fit_attributes(CODES, F14).edit(CODES, F14[:1], F14),
        ValueError,
        "factors_from has 1 rows for 2 codes",
    ),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
