"""What a teacher should look at in a submission: code that reaches for the answers or replaces what the check uses.

`reasons` reads a submission's code, and `odd_results` the results that it left. `remember` and `tell` run in the
kernel of the submission, before its first cell and after its last. Whoever sets out to get around them can; they find
what is tried first, and they never take a mark away.
"""

from __future__ import annotations

import ast
import importlib
import json
import operator
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from types import BuiltinFunctionType, ModuleType
from typing import Any

CALL = re.compile(r"\bexercise\(\s*(?:id\s*=\s*)?[\"'](\d\d\.\d+)[\"']")
# What stands in the code, or in a text in it, and what is wrong with it. Comments are not looked at.
NAMED = (
    (r"VAE_HELPERS_GRADING|NBGRADER_EXECUTION|results\.jsonl", "which only grading itself uses"),
    (r"\blesson_\d\d\b|\bEXERCISES\b|\.reference\b|['\"]reference['\"]|\breference_source\b", "where the answers are"),
    (r"PATIENTS\[(?!['\"][JL]['\"]\])[^\]]*\]\.right\b", "where the answers are"),  # there is no exercise for J and L
    (r"\b_getframe\b|\bcurrentframe\b|\bf_back\b|\bf_locals\b|\bget_objects\b", "which sees the check at work"),
    (r"\bmock\b|\b[mM]onkey_?[pP]atch\b|\b__setattr__\b|sys\.modules\[[^\]]*\] = ", "which can replace functions"),
)
# Parts of the package that a notebook has no need of; what it has need of there.
INNER = re.compile(r"(?:vae_helpers|vh)\.(?:exercises|lessons|grading)\b")
OUTER = {"exercise", "hint", "solution", "progress", "claim", "claims", "checkup", "step_seconds"}
OUTER |= {"PATIENTS", "Ward", "MACHINES", "EACH"}  # of lessons.patients, whose lines are answers: see NAMED
WATCHED = ("torch", "numpy", "math", "random", "builtins", "vae_helpers")
SETTINGS = re.compile(r"\w+\.backends\.|\w+\.options\.")  # of torch, made to be assigned to
EXECUTE = ("exec", "eval", "run_line_magic", "run_cell_magic")  # what executes a text

_first: dict[str, Any] = {}  # where -> the function that was there before the submission's first cell


def reasons(cells: Sequence[str]) -> list[str]:
    """Why a teacher should look at these cells: a clause for each cell in which there is something, with its number.

    Args:
        cells: the code of a notebook's cells, in order.
    """
    trees = [_tree(cell) for cell in cells]
    modules = {name for tree in trees for name in _imported(tree)}
    found = []
    for number, (cell, tree) in enumerate(zip(cells, trees, strict=True), 1):
        text = ast.unparse(tree) if tree else cell
        why = [f"names {match[0]}, {what}" for pattern, what in NAMED if (match := re.search(pattern, text))]
        why += [f"names {name}, a part of the machinery that checks" for name in _inner(tree)]
        why += [f"replaces {name}, which a check may use" for name in _assigned(tree, modules)]
        if why:
            found.append(f"cell {number} {' and '.join(why[:3])}")
    return found


def shadows(names: Iterable[str]) -> list[str]:
    """Those of the files and folders beside a notebook that Python would import where a check's own are meant."""
    return [f"{name} lies beside the notebook and can be imported as {name.removesuffix('.py')}"
            for name in sorted(names) if name.removesuffix(".py") in WATCHED]  # fmt: skip


def odd_results(results: Iterable[tuple[int, str]], cells: Sequence[str]) -> list[str]:
    """Results that no call of `exercise` in their cell accounts for, as clauses.

    Args:
        results: (number of the cell that was running, 0 if none was; exercise) for each result.
        cells: the code of the cells; where it is not known nothing is odd.
    """
    found = []
    for (number, id), times in Counter(results).items() if cells else ():
        asked = calls(cells[number - 1]).count(id) if 0 < number <= len(cells) else 0
        if times > asked:
            found.append(f"cell {number} checks {id} {_times(asked)} and left {times} result{'s' * (times > 1)} for it")
    return found


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def calls(cell: str) -> list[str]:
    """The exercises that a cell's code checks, as often as it does; what is commented out does not count."""
    tree = _tree(cell)
    return CALL.findall(ast.unparse(tree) if tree else cell)


def remember() -> None:
    """Keep in mind which functions a check may use."""
    _first.update(_functions())


def replaced() -> list[str]:
    """The functions that are no longer those that `remember` saw."""
    now = _functions()
    return sorted(name for name, function in _first.items() if now.get(name) is not function)


def tell(report: str) -> None:
    """Add the replaced functions, if there are any, to the report of the run."""
    if found := replaced():
        with open(report, "a", encoding="utf-8") as file:
            file.write(json.dumps({"replaced": found}) + "\n")


def _functions() -> dict[str, Any]:
    """The compiled functions of PyTorch and Python, and all that the machinery of the exercises defines."""
    torch = importlib.import_module("torch")
    importlib.import_module("vae_helpers.exercises.judging")
    places = {"torch": torch, "torch.Tensor": torch.Tensor, "torch.autograd": torch.autograd}
    places |= {"torch.Tensor (C)": torch._C.TensorBase, "builtins": sys.modules["builtins"]}
    found = {
        f"{place}.{name}": value
        for place, owner in places.items()
        for name, value in vars(owner).items()
        if isinstance(value, BuiltinFunctionType) or type(value).__name__ in ("method_descriptor", "wrapper_descriptor")
    }
    others = ("autograd.grad", "manual_seed", "default_generator")
    found |= {f"torch.{name}": operator.attrgetter(name)(torch) for name in others}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name.startswith("vae_helpers.exercises."):
            own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == name}
            found |= {f"{name}.{key}": value for key, value in own.items()}
    return found


def _tree(cell: str) -> ast.Module | None:
    """A cell as Python, with the code in its magics and in texts that it executes; None if it is not Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    def parsed(text: str) -> ast.Module | None:
        try:
            return ast.parse(TransformerManager().transform_cell(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    tree = parsed(cell)
    for node in list(ast.walk(tree)) if tree else ():
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in EXECUTE:
            texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            inner = [parsed(text) for text in texts if isinstance(text, str)]
            tree.body += [statement for part in inner if part for statement in part.body]
    return tree


def _imported(tree: ast.Module | None) -> Iterable[str]:
    """The names under which code knows a watched module, or something out of it."""
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", None)
            for alias in node.names:
                if (module or alias.name).partition(".")[0] in WATCHED:
                    yield alias.asname or alias.name.partition(".")[0]


def _inner(tree: ast.Module | None) -> list[str]:
    """What code names of the machinery, and a notebook has no need of."""
    names = set()
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r"vae_helpers(?:\.\w+)+", node.value))
    inner = sorted(name for name in names if INNER.match(name) and not OUTER & set(name.split(".")[2:]))
    return [name for name in inner if not any(other.startswith(f"{name}.") for other in names)]


def _assigned(tree: ast.Module | None, modules: set[str]) -> list[str]:
    """What code assigns to, in a module that it has imported."""
    found = []
    for node in ast.walk(tree or ast.Module([], [])):
        targets = [target for target in getattr(node, "targets", [])] + [getattr(node, "target", None)]
        for target in targets:
            for part in getattr(target, "elts", [target]):
                if isinstance(part, (ast.Attribute, ast.Subscript)):
                    found.append(ast.unparse(part))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("setattr", "delattr") and node.args:
            found.append(".".join(ast.unparse(argument).strip("'\"") for argument in node.args[:2]))
    return [name for name in found if _in_a_module(name, modules)]


def _in_a_module(name: str, modules: set[str]) -> bool:
    """Is this `torch.allclose`, `torch.__dict__['allclose']` or `vars(torch)['allclose']`, and no setting?"""
    first = re.match(r"(?:vars\()?(\w+)", name)
    whole = re.fullmatch(r"[\w.]+|[\w.]+\.__dict__\[.*\]|vars\(.*\)\[.*\]|__import__\(.*", name, re.DOTALL)
    return bool(whole and first) and first[1] in (*modules, "__import__") and not SETTINGS.match(name)
