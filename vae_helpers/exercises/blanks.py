"""Tells an answer that was never begun from a wrong one."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any


def is_blank(answer: Any) -> bool:
    """Is this None, `...`, a row of these, or a function with an empty body?

    A body counts as empty if it holds only a docstring, `...`, pass, an empty return or `raise NotImplementedError`.
    """
    parts = answer if type(answer) in (tuple, list) and answer else [answer]
    if all(part is None or part is Ellipsis for part in parts):
        return True
    body = _body(answer)
    return bool(body) and all(_is_empty(statement) for statement in body)


def has_gap(answer: Any) -> bool:
    """Does the function still hold a `...` where a value should stand, as in `eps = ...`?"""
    return any(_gap_in(statement) for statement in _body(answer))


def _body(answer: Any) -> list[ast.stmt]:
    """The statements of a function written with def; none where its source cannot be had."""
    if not inspect.isfunction(answer):
        return []
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return []
    first = tree.body[0] if tree.body else None
    return first.body if isinstance(first, ast.FunctionDef) and first.name == answer.__name__ else []


def _is_empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):  # a docstring or `...`
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Return):
        return statement.value is None or _is_constant(statement.value, None, ...)
    if isinstance(statement, ast.Raise):
        name = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(name, ast.Name) and name.id == "NotImplementedError"
    return False


def _gap_in(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        return _gap_in(node.value)  # x[..., 0] is an index
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return False  # on a line of its own it does not stop the code below from running
    if isinstance(node, ast.expr) and _is_constant(node, ...):
        return True
    return any(_gap_in(child) for child in ast.iter_child_nodes(node))


def _is_constant(node: ast.expr, *values: Any) -> bool:
    return isinstance(node, ast.Constant) and any(node.value is value for value in values)
