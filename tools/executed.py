"""What each notebook was last executed with, so that only those that are out of date need to be executed again.

docs/executed.json holds for each notebook a digest of its cells and one of each file of the package that its kernel
had imported when the last cell had run, shipped weights included. Comments, docstrings, layout and the times that are
measured do not count. The package's own `__init__.py` does not count either: it holds the table of exported names and
the version; what is behind a name lies in another file.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_helpers.exercises.notebook_digest import digest
from vae_helpers.writing import write_whole

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "vae_helpers"
RECORD = ROOT / "docs" / "executed.json"
# Run as a notebook's last cell: the modules of the package that all cells together have imported.
ASKING = f"import sys\nprint(*sorted(name for name in sys.modules if name.split('.')[0] == {PACKAGE.name!r}))"


def read_record() -> dict[str, dict[str, Any]]:
    """{"00_start_here": {"cells": digest, "package": {"models/vae.py": digest}}}; empty if nothing was recorded."""
    return json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}


def note(path: Path, modules: Iterable[str]) -> None:
    """Record that a notebook has just been executed and has imported these modules of the package."""
    package = {file.relative_to(PACKAGE).as_posix(): code_digest(file) for file in files_of(modules)}
    entry = {"cells": digest(path.read_bytes()), "package": package}
    known = {name: old for name, old in read_record().items() if path.with_stem(name).exists()}
    write_whole(RECORD, (json.dumps(known | {path.stem: entry}, indent=1, sort_keys=True) + "\n").encode())


def reasons(path: Path) -> list[str]:
    """Why a notebook has to be executed again, a few words each; empty if its outputs are up to date."""
    entry = read_record().get(path.stem)
    if entry is None:
        return ["it was not executed since this is recorded"]
    found = ["its own cells"] if digest(path.read_bytes()) != entry["cells"] else []
    for name, before in entry["package"].items():
        file = PACKAGE / name
        if not file.exists():
            found.append(f"{name} is gone")
        elif code_digest(file) != before:
            found.append(name)
    return found


def files_of(modules: Iterable[str]) -> list[Path]:
    """The files of these modules, and the data files beside and below them that their code names."""
    sources = set()
    for module in modules:
        stem = PACKAGE.joinpath(*module.split(".")[1:])
        sources.add(stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py"))
    sources.discard(PACKAGE / "__init__.py")
    named = {
        data
        for source in sources
        for data in source.parent.rglob("*")
        if data.is_file() and data.suffix != ".py" and data.name in source.read_text("utf-8")
    }
    return sorted(sources | named)


def code_digest(file: Path) -> str:
    """A short name for what a file does: of Python its code, without comments, docstrings and layout."""
    content = file.read_bytes()
    if file.suffix == ".py":
        content = repr(_plain(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists: the same with every Python that can parse it."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_text(node.body[:1]):
        fields["body"] = node.body[1:]
    # Newer Pythons have fields that are empty where an older one has none.
    return [type(node).__name__, *((name, _plain(value)) for name, value in fields.items() if value not in (None, []))]


def _is_text(body: list[ast.stmt]) -> bool:
    return any(isinstance(s, ast.Expr) and isinstance(getattr(s.value, "value", None), str) for s in body)
