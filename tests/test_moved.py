"""A name that has moved is still found for a release, and says where it is now."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import vae_helpers
from vae_helpers import pretrained
from vae_helpers.rendering import faces

PACKAGE = Path(vae_helpers.__file__).parent


def modules_with_former_names():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "\n__getattr__ = former_names(" in path.read_text("utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("module", [*modules_with_former_names()])
def test_every_former_name_gives_the_same_thing_and_says_the_new_name(module):
    former = importlib.import_module(module)
    homes = inspect.getclosurevars(former.__getattr__).nonlocals["homes"]
    assert homes
    for name, new in homes.items():
        home, _, new_name = new.rpartition(".")
        with pytest.warns(FutureWarning, match=re.escape(f"{module}.{name} is now {new};")) as caught:
            assert getattr(former, name) is getattr(importlib.import_module(home), new_name)
        assert caught[0].filename == __file__  # it is laid to the line that names it
        assert name not in vars(former)  # it warns each time


def test_what_an_older_notebook_imports_is_found():
    with pytest.warns(FutureWarning, match="blend"):
        from vae_helpers.compositing import poisson_blend
    from vae_helpers.blending import poisson_blend as now

    assert poisson_blend is now
    with pytest.warns(FutureWarning, match=r"vae_helpers\.shipped_denoiser is now vae_helpers\.pretrained\.denoiser"):
        from vae_helpers import shipped_denoiser
    assert shipped_denoiser is pretrained.denoiser
    from vae_helpers import compositing

    assert compositing is vae_helpers.compositing


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
