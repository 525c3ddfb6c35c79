"""The package is a house of rooms, and imports run downwards: a room imports from rooms on lower floors only.

A room is a module or a folder directly in `vae_helpers`. What a folder's files import of each other is its own matter.
Names that have moved (`vae_helpers.moved`) and exercises are found by name when they are asked for: no import says so.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vae_helpers

PACKAGE = Path(vae_helpers.__file__).parent
FLOORS = (  # from the ground up; rooms on one floor do not know each other
    ("checking", "moved", "writing"),
    ("images",),
    ("devices",),
    ("alpha", "blending"),  # blending stands below inference, whose search starts from holes that it has filled
    ("rendering",),
    ("data",),
    ("distributions",),
    ("models",),
    ("objectives",),
    ("checkpoints",),
    ("training",),
    ("pretrained",),
    ("evaluation",),
    ("inference",),
    ("noise", "patches", "attributes", "colour_transfer"),
    ("plots",),
    ("widgets", "diagrams"),
    ("runs",),
    ("compositing",),  # former names only
    ("exercises",),
    ("lessons",),
    ("grading",),
    ("__main__",),
)
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"
)  # it only says where names are
LARGE = ("sklearn", "skimage", "matplotlib.pyplot")  # imported where they are used, for they take seconds to import
DRAWS = ("plots.py", "diagrams.py")  # all of these use pyplot


def rooms() -> set[str]:
    inside = {path for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    return {path.stem for path in inside} - {"__init__"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def rooms_imported(tree: ast.Module) -> Iterator[str]:
    """The rooms that a module imports from, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            assert ["vae_helpers"] not in names, "`import vae_helpers` does not say which room is meant"
            yield from (parts[1] for parts in names if parts[0] == "vae_helpers")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            parts = node.module.split(".")
            if parts == ["vae_helpers"]:
                names = (alias.name for alias in node.names if alias.name != "__version__")
                yield from (vae_helpers._HOME_OF.get(name, name) for name in names)
            elif parts[0] == "vae_helpers":
                yield parts[1]


def imported_at_the_top(node: ast.AST) -> Iterator[str]:
    """What is imported when a module is: not what stands in functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_at_the_top(child)


def wrong_arrows(room: str, tree: ast.Module) -> list[str]:
    other = [to for to in rooms_imported(tree) if to != room]
    return [f"{room} -> {to}" for to in other if HEIGHT[to] >= HEIGHT[room]]


def test_every_room_stands_on_one_floor():
    assert len(HEIGHT) == sum(map(len, FLOORS))
    assert rooms() - set(HEIGHT) == set(), "add the room to FLOORS, above those that it imports from"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_downwards(path):
    assert wrong_arrows(room_of(path), ast.parse(path.read_text("utf-8"))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_large_packages_are_imported_where_they_are_used(path):
    names = imported_at_the_top(ast.parse(path.read_text("utf-8")))
    large = [name for name in names if f"{name}.".startswith(tuple(f"{package}." for package in LARGE))]
    assert (large == []) == (path.name not in DRAWS), large


@pytest.mark.parametrize(
    ("room", "code", "wrong"),
    [
        ("models", "from vae_helpers.objectives import elbo", ["models -> objectives"]),
        ("models", "def f():\n    from vae_helpers import fit, images", ["models -> training"]),
        ("models", "import torch, vae_helpers.plots as plots", ["models -> plots"]),
        ("models", "if TYPE_CHECKING:\n    from vae_helpers import pretrained", ["models -> pretrained"]),
        ("noise", "from vae_helpers.patches import window", ["noise -> patches"]),  # on the same floor
        ("models", "from vae_helpers.models.layers import mlp\nfrom vae_helpers import checking", []),
    ],
)
def test_a_wrong_arrow_is_seen_wherever_it_stands(room, code, wrong):
    assert wrong_arrows(room, ast.parse(code)) == wrong


def test_what_stands_in_a_function_is_not_at_the_top():
    code = "import a.b\ntry:\n    from c import d\nexcept ImportError:\n    pass\ndef f():\n    import sklearn"
    assert list(imported_at_the_top(ast.parse(code))) == ["a.b", "c.d"]
