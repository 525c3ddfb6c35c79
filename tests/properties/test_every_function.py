"""What every public function keeps to, and no test of its own looks at.

It refuses a bad argument itself, with an error that names the argument; it leaves its arguments as they were, and with
a seed torch's random state too; and its result does not depend on how the numbers are held in memory.
"""

import pytest
import torch
from torch.distributions import Distribution

from tests.properties.calls import GOOD, function_of
from tests.properties.ground import LAYOUTS, MANY, REFUSED, anything, documented, leaves, try_out
from vae_helpers.rendering import faces, shapes

# Part of a training step, where a look at the values would make a GPU wait: NaN in, NaN out.
ELEMENTWISE = {
    *("random_shift", "random_turn", "diagonal_gaussian", "soft_bound", "log_ndtr", "GreyBernoulli", "bits_per_dim"),
    *("ContinuousBernoulli", "DiscretisedGaussian", "negative_elbo", "squared_error", "blockwise"),
    *("DiscretisedLogistic", "LogisticMixtureLikelihood.forward", "negative_elbo_by_level"),
    *("feature_nats", "negative_elbo_with_features", "critic_error", "negative_elbo_with_critic"),
    "flow_matching_error",
}
# For the same reason their x is not checked at all.
TRUSTED = {
    **{"elbo": "x", "importance_weighted_bound": "x", "negative_elbo": "x", "negative_elbo_by_level": "x"},
    **{"negative_elbo_with_features": "x", "critic_error": "x", "negative_elbo_with_critic": "x"},
}
# What errors name besides arguments: see `documented`.
ALSO = {
    **dict.fromkeys(
        ("diagonal_gaussian", "GreyBernoulli", "ContinuousBernoulli", "DiscretisedGaussian", "DiscretisedLogistic"),
        ("torch.distributions",),
    ),
    "LogisticMixtureLikelihood.forward": ("torch.distributions",),
    **dict.fromkeys(
        ("evaluate", "log_likelihood", "active_units", "aggregate_posterior", "kl_decomposition"),
        ("torch.nn", "values"),
    ),
    "HierarchicalVAE.redraw": ("torch.nn", "torch.distributions"),
    "denoising_error": ("y",),
    "feature_nats": ("torch.nn",),
    "align": ("factors",),
    "sprite_vae": ("image_shape",),
    "factor_r2": faces.NAMES,
    "redrawn": ("size",),
    **dict.fromkeys(("shows", "say"), ("smile",)),
    "flow_matching_error": ("codes",),
    **dict.fromkeys(("captions.read", "wanted", "captions.draw", "tokens", "obeyed", "freedom"), ("word",)),
    **dict.fromkeys(("shapes.layers", "with_views", "as_inputs"), shapes.NAMES),
}
IN_MEMORY_ORDER = {"denoising_error", "flow_matching_error"}  # whose random numbers follow the order in memory

every_function = pytest.mark.parametrize("name", GOOD)


def called(name, arguments):
    """The result of a call that begins with the same random state each time, as `documented` gives it."""
    torch.manual_seed(0)
    return documented(function_of(name), also=ALSO.get(name, ()), elementwise=name in ELEMENTWISE, **arguments)


@pytest.mark.parametrize("examples", [10, pytest.param(MANY, marks=pytest.mark.soak)], ids=["few", "many"])
@every_function
def test_a_bad_argument_is_refused_by_name_and_none_makes_nan(name, examples):
    for argument, good in GOOD[name]().items():
        if not (callable(good) or isinstance(good, Distribution) or TRUSTED.get(name) == argument):
            try_out(exchange(name, argument), examples, value=anything())


def exchange(name, argument):
    """A check of the function with one good argument exchanged."""

    def check(value):
        called(name, {**GOOD[name](), argument: value})

    return check


@every_function
def test_it_does_not_matter_how_numbers_are_held_in_memory(name):
    expected = called(name, GOOD[name]())
    assert expected is not REFUSED
    for layout in () if name in IN_MEMORY_ORDER else LAYOUTS:
        held = {k: layout(v) if isinstance(v, torch.Tensor) else v for k, v in GOOD[name]().items()}
        for a, b in zip(leaves(expected), leaves(called(name, held)), strict=True):
            torch.testing.assert_close(torch.as_tensor(b), torch.as_tensor(a), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, good in GOOD.items() if "seed" in good()])
def test_with_a_seed_the_result_is_the_same_and_the_random_state_is_left_alone(name):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again = (function_of(name)(**GOOD[name]()) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for a, b in zip(leaves(first), leaves(again), strict=True):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))
