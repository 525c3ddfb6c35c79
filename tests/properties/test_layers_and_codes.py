"""What is true of layers, blends and codes whatever the pictures show."""

import torch
from hypothesis import assume
from hypothesis import strategies as st

from tests.properties.calls import gaussian_vae, unit, varied
from tests.properties.ground import pictures, property_of
from vae_helpers import alpha, attributes, blending, inference
from vae_helpers.rendering import faces
from vae_helpers.rendering.alignment import align

PRECISE = (torch.float32, torch.float64)


def layers():
    return pictures((4,), dtypes=PRECISE).map(alpha.premultiply)


def of_one_kind(*batches):
    """Cut to the same size and number, in one type."""
    n, h, w = (min(b.shape[axis] for b in batches) for axis in (0, 2, 3))
    return [b[:n, :, :h, :w].to(batches[0]) for b in batches]


@property_of(x=pictures((4,), dtypes=PRECISE))
def test_colours_come_back_where_there_is_any_alpha(x):
    back = alpha.unpremultiply(alpha.premultiply(x))
    seen = x[:, 3:] > 1e-30
    assert torch.allclose(torch.where(seen, back, 0), torch.where(seen, x, 0), atol=1e-5)
    assert not back[:, :3][(x[:, 3:] == 0).expand(-1, 3, -1, -1)].any()


@property_of(a=layers(), b=layers(), c=layers())
def test_over_is_associative_and_nothing_is_its_neutral_element(a, b, c):
    over = alpha.over
    a, b, c = of_one_kind(a, b, c)
    assert torch.allclose(over(over(a, b), c), over(a, over(b, c)), atol=1e-5)
    nothing = torch.zeros_like(a)
    assert torch.equal(over(nothing, a), a) and torch.equal(over(a, nothing), a)


@property_of(mask=pictures((1,)), share=st.floats(0, 1))
def test_a_feathered_mask_stays_between_its_extremes_and_an_even_one_as_it_is(mask, share):
    radius = share * min(mask.shape[2:])
    soft = alpha.feather(mask, radius)
    rounding = 0.02 if mask.dtype in (torch.float16, torch.bfloat16) else 1e-5
    assert soft.min() >= mask.min() - rounding and soft.max() <= mask.max() + rounding
    assert torch.allclose(alpha.feather(mask, 0), mask)


@property_of(x=pictures(dtypes=PRECISE), seed=st.integers(0, 99), shift=st.floats(-0.5, 0.5))
def test_blending_a_picture_into_itself_changes_nothing_at_any_brightness(x, seed, shift):
    mask = unit(len(x), 1, *x.shape[2:], seed=seed)
    mask[..., 0, 0] = 0
    for guidance in blending.GUIDANCE:
        assert torch.allclose(blending.poisson_blend(x + shift, x, mask, guidance), x, atol=1e-5)


@property_of(x=pictures(dtypes=PRECISE), seed=st.integers(0, 99))
def test_what_is_filled_lies_between_what_is_around_it(x, seed):
    hole = unit(len(x), 1, *x.shape[2:], seed=seed) > 0.5
    hole[..., 0, 0] = False
    filled = blending.fill_smoothly(x, hole)
    for before, after, lost in zip(x, filled, hole, strict=True):
        kept = before.masked_select(~lost)
        assert torch.equal(after.masked_select(~lost), kept)
        assert kept.min() - 1e-5 <= after.min() and after.max() <= kept.max() + 1e-5


def test_precise_pictures_of_one_channel_are_not_overwritten():
    x, hole = unit(2, 1, 4, 4).double(), torch.zeros(1, 1, 4, 4)
    hole[..., 1:3, 1:3] = 1
    before = x.clone()
    blending.fill_smoothly(x, hole)
    blending.poisson_blend(1 - x, x, hole)
    assert torch.equal(x, before)


@property_of(seed=st.integers(0, 99), size=st.integers(4, 20))
def test_a_head_that_is_to_stay_stays(seed, size):
    x, factors = unit(2, 3, size, size, seed=seed), varied(2, seed)
    assert torch.allclose(align(x, factors, factors), x, atol=1e-4)


@property_of(
    few=4,
    many=30,
    seed=st.integers(0, 99),
    features=st.sampled_from(attributes.FEATURES),
)
def test_edits_there_and_back_cancel_and_linear_codes_are_learned(seed, features):
    factors, others = varied(60, seed), varied(60, seed + 100)
    codes = factors @ unit(14, 3, seed=seed) + 1
    fitted = attributes.fit_attributes(codes, factors, features, ridge=1e-6)
    there = fitted.edit(codes, factors, others)
    assert torch.allclose(fitted.edit(there, others, factors), codes, atol=1e-3)
    if features == "linear":
        assert torch.allclose(fitted.predict(others), others @ unit(14, 3, seed=seed) + 1, atol=1e-3)


@property_of(few=2, many=20, seed=st.integers(0, 99))
def test_a_code_depends_on_its_own_picture_and_seed_only(seed):
    model, x, mask = gaussian_vae(), unit(3, 1, 4, 4, seed=seed), unit(3, 1, 4, 4, seed=seed + 1)
    once, again = (inference.infer_code(model, [x], [mask], steps=3, seed=seed) for _ in range(2))
    assert torch.equal(once.mean, again.mean) and torch.equal(once.variance, again.variance)
    unseen = torch.where(mask > 0, x, 0.5)
    assume(mask.min() > 0)
    assert torch.equal(inference.infer_code(model, [unseen], [mask], steps=3, seed=seed).mean, once.mean)
    assert len(faces.NAMES) == 14
