"""No hint contains the answer: nothing that stands in the hints, run as code, solves the exercise.

Hints mix prose, formulas and code with holes. Whatever in them can be computed from the exercise's arguments is
computed: each piece of a line that is an expression, and each block of lines that is code.
"""

import ast
import builtins
import contextlib
import copy
import dataclasses
import inspect
import math
import re

import pytest
import torch
import torch.nn.functional as F

from tests.exercises import made_up
from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import all_exercises

TASKS = all_exercises()
TOKEN = re.compile(r"[A-Za-z_][\w.]*|\d+\.?\d*(?:e-?\d+)?|\*\*|//|\S")
BINDING = {"+", "-", "*", "/", "**", "//", "@", "%"}
OPERATORS = BINDING | {"(", ")", "[", "]", ",", ":", "<", ">", "~", "="}
PLAIN = {name: getattr(builtins, name) for name in ("abs", "enumerate", "float", "int", "len", "range", "round", "zip")}
MODULES = {"torch": torch, "math": math, "F": F}


def either(name):
    """torch's function of that name for tensors, Python's own for anything else."""
    mine, theirs = getattr(torch, name), getattr(builtins, name)
    return lambda x, *more: (mine if isinstance(x, torch.Tensor) else theirs)(x, *more)


KNOWN = {name: value for name, value in vars(torch).items() if callable(value) and name.islower() and name[0] != "_"}
KNOWN |= {"pi": math.pi} | MODULES | PLAIN | {name: either(name) for name in ("sum", "max", "min", "any", "all")}


def answers_in(task):
    """The pieces of a task's hints that solve it."""
    pieces = [piece for hint in task.hints for piece in expressions(hint, task)] + list(blocks("\n".join(task.hints)))
    answers = {piece: as_answer(piece, task) for piece in dict.fromkeys(pieces)}
    is_near = nearness(task)
    return [piece for piece, answer in answers.items() if answer and is_near(answer) and solves(task, answer)]


def solves(task, function):
    """Whether a piece of a hint is an answer: as a function, or by the value that it computes."""
    return judge(task, function if task.kind == "function" else result_of(function, ())).status == "solved"


def nearness(task):
    """A quick look, for the check takes long: does a piece give something like the answer at the first probe?"""
    if task.kind == "value":
        return lambda function: True
    probe = first_probe(task)
    right = result_of(task.reference, probe)
    exact = task.check.__qualname__.startswith("compares")

    def is_near(function):
        mine = result_of(function, probe)
        if not isinstance(mine, torch.Tensor) or not isinstance(right, torch.Tensor):
            return type(mine) is type(right)
        return mine.shape == right.shape and (not exact or torch.allclose(mine.double(), right.double(), rtol=1e-3))

    return is_near


def first_probe(task):
    """The arguments with which the check first calls an answer."""
    seen = []

    def spy(*arguments):
        seen.append(copy.deepcopy(arguments))
        raise ZeroDivisionError

    with contextlib.suppress(Exception):
        task.check(spy, task)
    return seen[0]


def result_of(function, arguments):
    """What a call gives, None if it raises."""
    torch.manual_seed(0)
    try:
        return function(*copy.deepcopy(arguments))
    except Exception:
        return None


def expressions(text, task):
    """The pieces of lines that may be expressions of the arguments; x^2 is a power, 2 x and p (1 - p) are products.

    A piece ends where the expression does: 1 + 2 is none in 1 + 2 + 6.
    """
    arguments = set(arguments_of(task))
    for line in text.replace("^", "**").splitlines():
        tokens = TOKEN.findall(line.partition("  #")[0])
        for start in range(len(tokens)):
            if start and tokens[start - 1] in BINDING:
                continue
            depth = 0
            for stop, token in enumerate(tokens[start:], start + 1):
                depth += (token in "([") - (token in ")]")
                if depth < 0 or not is_known(token, arguments):
                    break
                goes_on = tokens[stop : stop + 1] and tokens[stop] in BINDING
                if depth == 0 and not goes_on and (token in ")]" or token not in OPERATORS):
                    yield from {joined(tokens[start:stop], product) for product in (" ", " * ")}


def is_known(token, arguments):
    """Whether a token can be computed with: a number, an operator, an argument, a method, a function of torch."""
    first = token.split(".")[0]
    return token in OPERATORS or token[0].isdigit() or first in arguments or first in KNOWN


def joined(tokens, product):
    """The tokens as text, with `product` between two that have no operator between them, unless it is a call."""
    text = ""
    for left, right in zip([None, *tokens], tokens, strict=False):
        is_operand = left and (left == ")" or left == "]" or left[0].isalnum() or left[0] == "_")
        opens = right[0].isalnum() or right[0] == "_" or right == "("
        called = left and left[0].isalpha() and right == "(" and ("." in left or left in KNOWN)
        text += (product if is_operand and opens and not called else "") + right
    return text


def blocks(text):
    """Neighbouring lines that are code together."""
    lines = text.splitlines()
    for start in range(len(lines)):
        for stop in range(start + 1, len(lines) + 1):
            yield "\n".join(lines[start:stop])


def as_answer(piece, task):
    """A piece of a hint as a function of the exercise's arguments, or None if it is no code of what is known."""
    try:
        body = ast.parse(piece).body
    except SyntaxError:
        return None
    match body[-1] if body else None:
        case ast.Expr(value):
            body[-1] = ast.Return(value)
        case ast.Assign([ast.Name(name)], _):
            body.append(ast.Return(ast.Name(name, ast.Load())))
        case ast.Return(value) if value is not None:
            pass
        case _:
            return None
    function = ast.parse(f"def given({', '.join(arguments_of(task))}): ...").body[0]
    function.body = body
    if not names_are_known(function):
        return None
    known = dict(KNOWN)
    try:
        exec(compile(ast.fix_missing_locations(ast.Module([function], [])), "<hint>", "exec"), known)
    except SyntaxError:  # what is no expression after all, such as *x
        return None
    return known["given"]


def names_are_known(function):
    """Whether every name that the code reads is an argument, was bound in it, or is one of torch's."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {a.arg for a in function.args.args}
    return all(node.id in bound or node.id in KNOWN for node in names)


def arguments_of(task):
    return list(inspect.signature(task.reference).parameters)  # none, for a value


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("task", TASKS, ids=[task.id for task in TASKS])
def test_no_hint_contains_the_answer(task):
    found = answers_in(task)
    assert not found, f"the hints of exercise {task.id} give its answer: {found}"


KL, DIE = made_up.EXERCISES


@pytest.mark.parametrize(
    ("task", "level", "hint"),
    [
        (KL, 3, "return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)"),
        (KL, 3, "a = mu.square() + torch.exp(log_var)\nb = a - 1 - log_var  # (N, D)\nreturn b.sum(1) / 2"),
        (KL, 3, "It is easy:\nv = log_var.exp()\n(mu * mu + v - log_var - 1).sum(-1) / 2"),
        (KL, 2, "KL = 1/2 sum(mu^2 + exp(log_var) - 1 - log_var, 1), over the latents"),
        (KL, 1, "Have you tried 0.5 sum(mu mu + exp(log_var) - (1 + log_var), -1) yet?"),
        (DIE, 1, "Is it 3, or 3.5, or 4?"),
        (DIE, 2, "E[x] = (1 + 2 + 3 + 4 + 5 + 6) / 6"),
        (DIE, 3, "faces = range(1, 7)\ntotal = sum(faces)\ntotal / len(faces)"),
    ],
)
def test_an_answer_in_a_hint_is_found(task, level, hint):
    hints = [*("Which sum?", "Over what?", "A hole: ...")[: level - 1], hint]
    assert answers_in(dataclasses.replace(task, hints=(*hints, "More.", "More still.")[:3]))


def test_an_answer_in_two_halves_is_found():
    hints = ("Look at each.", "each = mu**2 + log_var.exp() - 1 - log_var", "return 0.5 * each.sum(-1)")
    assert answers_in(dataclasses.replace(KL, hints=hints))
