"""Fills the exercises of a notebook with answers: the references, or any others."""

from __future__ import annotations

import ast
import copy

from nbformat import NotebookNode

from vae_helpers.exercises.hints import source_of
from vae_helpers.exercises.registry import find


def paste(notebook: NotebookNode, sources: dict[str, str] | None = None) -> NotebookNode:
    """A copy of a notebook in which the answers of its exercises are written out.

    In every cell whose last line is `name = exercise("ID", name)`, the `def name` or `name = ...` above that
    line is replaced.

    Args:
        notebook: as nbformat reads it; it is left as it is.
        sources: exercise id -> code that binds `name`. Exercises that it does not name keep their cells.
            Without it, every exercise gets its reference.
    Raises:
        ValueError: a cell calls `exercise` but not in that form, or an id in `sources` is not in the notebook.
        UnknownExercise: without `sources`, a cell's id belongs to no exercise.
    """
    notebook = copy.deepcopy(notebook)
    found = set()
    for cell in notebook.cells:
        place = locate(cell.source) if cell.cell_type == "code" else None
        if place is None:
            continue
        id, name, first, last = place
        found.add(id)
        code = reference_source(id, name) if sources is None else sources.get(id)
        if code is not None:
            lines = cell.source.splitlines()
            cell.source = "\n".join([*lines[: first - 1], code, *lines[last:]])
    missing = set(sources or ()) - found
    if missing:
        raise ValueError(f"paste: the notebook has no exercise {', '.join(sorted(missing))}.")
    return notebook


def reference_source(id: str, name: str) -> str:
    """Code that binds `name` to the reference answer (for a value exercise, to the value it computes)."""
    task = find(id)
    function = task.reference.__name__
    call = "()" if task.kind == "value" else ""
    binding = "" if function == name and not call else f"\n\n\n{name} = {function}{call}"
    return source_of(task.reference) + binding


def locate(source: str) -> tuple[str, str, int, int] | None:
    """(id, name, first line, last line) of the answer in an exercise's cell; None for any other cell.

    Raises:
        ValueError: the cell calls `exercise` but does not end in `name = exercise("ID", name)` with the
            answer, a def or an assignment, above.
    """
    if "exercise(" not in source:
        return None
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ValueError(f"An exercise's cell is not Python: {error}.\n{source}") from error
    calls = [node for node in ast.walk(ast.Module(statements, [])) if _is_exercise(node)]
    if not calls:
        return None
    match statements[-1]:
        case ast.Assign([ast.Name(name)], ast.Call(args=[ast.Constant(str(id)), ast.Name(passed)])) if (
            calls == [statements[-1].value] and name == passed
        ):
            for statement in reversed(statements[:-1]):
                if _binds(statement, name):
                    decorators = [d.lineno for d in getattr(statement, "decorator_list", [])]
                    return (
                        id,
                        name,
                        min([statement.lineno, *decorators]),
                        statement.end_lineno or statement.lineno,
                    )
    raise ValueError(
        'An exercise\'s cell must end in `name = exercise("ID", name)`, below the def or the assignment of `name`:\n'
        + source
    )


def _is_exercise(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return getattr(node.func, "id", getattr(node.func, "attr", None)) == "exercise"


def _binds(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name == name
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)
