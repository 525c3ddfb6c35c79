"""A name that has moved is still found for a release, and says where it is now."""

import pytest

from vae_helpers.rendering import faces


def test_a_former_name_gives_the_same_thing_and_says_the_new_name():
    with pytest.warns(FutureWarning, match=r"faces\.changed is now vae_helpers\.rendering\.faces\.with_factors"):
        assert faces.changed is faces.with_factors


def test_any_other_name_is_as_unknown_as_ever():
    with pytest.raises(AttributeError, match="has no attribute 'chagned'"):
        faces.chagned  # noqa: B018
