"""A name that has moved is still found for a release, and says where it is now."""

import importlib

import pytest

from vae_helpers.rendering import faces


def test_a_former_name_gives_the_same_thing_and_says_the_new_name():
    with pytest.warns(FutureWarning, match=r"faces\.changed is now vae_helpers\.rendering\.faces\.with_factors"):
        assert faces.changed is faces.with_factors


def test_any_other_name_is_as_unknown_as_ever():
    with pytest.raises(AttributeError, match="has no attribute 'chagned'"):
        faces.chagned  # noqa: B018


@pytest.mark.parametrize(
    ("module", "name", "home"),
    [
        ("vae_helpers.lessons", "claim", "vae_helpers.exercises"),
        ("vae_helpers.lessons", "exercise", "vae_helpers.exercises"),
        ("vae_helpers.lessons.checkup", "checkup", "vae_helpers.exercises.checkup"),
        ("vae_helpers.lessons.checkup", "step_seconds", "vae_helpers.exercises.checkup"),
        ("vae_helpers.lessons.nbgrading", "configure", "vae_helpers.grading.nbgrading"),
    ],
)
def test_what_older_notebooks_and_course_folders_import_is_still_there(module, name, home):
    with pytest.warns(FutureWarning, match=rf"{module}\.{name} is now {home}\.{name};"):
        found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(home), name)
