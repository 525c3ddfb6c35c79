"""Every public name of the package has a property test that uses it, or a reason why not."""

import importlib
import inspect

import vae_helpers
from tests.properties import (
    calls,
    test_every_call,
    test_files_and_seeds,
    test_layers_and_codes,
    test_learners,
    test_pictures,
    test_probabilities,
)
from tests.properties.ground import COVERED

IMPORTED = (
    test_every_call,
    test_files_and_seeds,
    test_layers_and_codes,
    test_learners,
    test_pictures,
    test_probabilities,
)
WITHOUT = {  # "module.name": why
    "distributions.validate_first_batch": "takes no argument, and computes nothing",
    "devices.adapt_threads": "takes no argument, and does what other programs make it do",
    "devices.fast_float32_products": "takes no argument, and changes who computes, not what",
}


def public_names():
    """ "module.name" of every public function and class."""
    for module in (*vae_helpers._MODULES, "rendering.alignment"):
        home = importlib.import_module(f"vae_helpers.{module}")
        if hasattr(home, "__all__"):
            names = [name for name in home.__all__ if callable(getattr(home, name))]
        else:
            made_here = lambda value, home=home: callable(value) and getattr(value, "__module__", "") == home.__name__  # noqa: E731
            names = [name for name, value in vars(home).items() if not name.startswith("_") and made_here(value)]
        yield from (f"{module}.{name}" for name in names)


def test_every_public_name_is_covered():
    missing = sorted(set(public_names()) - set(COVERED) - set(WITHOUT))
    assert not missing, f"no property test is about {', '.join(missing)}"
    assert not set(WITHOUT) & set(COVERED)


def test_the_names_that_are_exported_are_among_them():
    names = {name.rpartition(".")[2] for name in public_names()}
    assert {name for exported in vae_helpers._HOMES.values() for name in exported} <= names


def test_a_test_uses_what_it_is_about():
    known = set(public_names())
    for name, test in COVERED.items():
        assert name in known, f"{name} is covered, but is no public name"
        source = inspect.getsource(calls if test.__module__.endswith("every_call") else inspect.getmodule(test))
        assert name.rpartition(".")[2] in source, f"{name} does not occur in {test.__module__}"
