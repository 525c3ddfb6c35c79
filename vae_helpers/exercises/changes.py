"""A function with pieces of its source exchanged: most wrong answers are the reference with one thing wrong."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def changed(function: Callable[..., Any], change: tuple[str, ...]) -> Callable[..., Any]:
    """The function that results from replacing pieces of a function's code.

    Args:
        function: written with def; its module's source can be read.
        change: OLD, NEW, OLD, NEW, ...; each OLD occurs exactly once in the code below the docstring, in what the
            replacements before it have left. Comments count as code.
    Returns:
        a function with the same name and arguments, compiled in the namespace of the function's module.
    Raises:
        ValueError: `change` is not such a row of texts, an OLD does not occur exactly once, or what results is not
            Python.
    """
    if not change or len(change) % 2 or not all(isinstance(text, str) for text in change):
        raise ValueError(f"a change is a row of texts (OLD, NEW, OLD, NEW, ...), got {change!r}")
    head, body = _source(function)
    for old, new in zip(change[::2], change[1::2], strict=True):
        count = body.count(old)
        if count != 1:
            times = f"{count} times" if count else "nowhere"
            raise ValueError(
                f"{old!r} occurs {times} in the code of {function.__name__}, and has to occur exactly once"
                + (": take in more of what stands around it" if count else "")
            )
        body = body.replace(old, new)
    try:
        code = compile(head + body, f"<{function.__module__}.{function.__name__}, changed>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ValueError(f"{function.__name__} is not Python after the change {change!r}: {error}") from error
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)  # the lesson's own text; the module's names stay as they are
    return made[function.__name__]


@functools.lru_cache
def _source(function: Callable[..., Any]) -> tuple[str, str]:
    """The lines down to the docstring's last, and those below."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines(keepends=True)
    (definition,) = ast.parse("".join(lines)).body
    assert isinstance(definition, ast.FunctionDef)
    has_docstring = ast.get_docstring(definition) is not None
    first = definition.body[has_docstring:][0].lineno - 1
    return "".join(lines[:first]), "".join(lines[first:])
