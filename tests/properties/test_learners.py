"""What learners call: exercises, hints, figures, widgets. Whatever they are given, a kernel goes on."""

import contextlib
import dataclasses
import functools
import io
import os
import tempfile
from unittest import mock

import matplotlib.pyplot as plt
import pytest
import torch
from hypothesis import strategies as st
from matplotlib.figure import Figure

from tests.properties.calls import unit
from tests.properties.ground import REFUSED, anything, documented, pictures, property_of
from vae_helpers import exercises, plots, training, widgets
from vae_helpers.exercises import registry

IDS = [exercise.id for exercise in registry.all_exercises()]


def printed(function, *arguments):
    """What a call prints, and what it returns."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), mock.patch.dict(os.environ, VAE_HELPERS_PROGRESS="off"):
        result = function(*arguments)
    return text.getvalue(), result


@property_of(few=30, many=200, id=st.sampled_from(IDS), answer=anything())
def test_any_answer_to_an_exercise_gets_one_paragraph(id, answer):
    said, result = printed(exercises.exercise, id, answer)
    assert said.startswith(f"Exercise {id} ") and said.count("\n") == 1
    task = registry.find(id)
    assert result is answer or (callable(result) if task.kind == "function" else result is not None)


@property_of(
    few=20,
    id=anything() | st.text(max_size=5),
)
def test_an_exercise_that_does_not_exist_is_named(id):
    if id in IDS if isinstance(id, str) else False:
        return
    for call in (lambda: exercises.exercise(id, None), lambda: exercises.hint(id), lambda: exercises.solution(id)):
        with pytest.raises(exercises.UnknownExercise, match="Known exercises"):
            call()


@property_of(id=st.sampled_from(IDS), level=anything())
def test_hints_have_three_levels_and_every_exercise_a_solution(id, level):
    with contextlib.redirect_stdout(io.StringIO()), mock.patch.dict(os.environ, VAE_HELPERS_PROGRESS="off"):
        result = documented(exercises.hint, id, level)
    assert result is None or result is REFUSED
    assert "return" in printed(exercises.solution, id)[0] and "exercise" in printed(exercises.progress)[0].lower()


@property_of(
    value=st.floats(-100, 100),
    given=anything(),
)
def test_checks_take_the_right_answer_and_raise_nothing_but_misconceptions(value, given):
    def right():
        return value

    wrong = exercises.wrong_answers("too large by one", value + 1)
    task = exercises.Exercise("98.1", "A value", right, ("", "", ""), exercises.close_to(), wrong, "value")
    check = functools.partial(task.check, exercise=task)
    check(value), check(torch.tensor(value).double())
    with pytest.raises(exercises.Misconception, match="too large by one"):
        check(value + 1)
    with contextlib.suppress(exercises.Misconception, exercises.NotAttempted):
        check(given)

    def sine(x):
        return torch.sin(x)

    comparison = exercises.compares(lambda: [(torch.ones(2),), (torch.zeros(3),)])
    compare = functools.partial(comparison, exercise=dataclasses.replace(task, reference=sine, kind="function"))
    compare(lambda x: x.sin())
    with pytest.raises(exercises.Misconception):
        compare(lambda x: x.cos())
    assert all(isinstance(task, exercises.Exercise) for task in registry.all_exercises())


ALSO = ("images", "columns")  # what errors name besides arguments
ENDINGS = (".png", ".pdf", ".svg")


def drawn(function, *arguments, **named):
    """A figure or a documented error; no half-drawn figure that the notebook would show."""
    figure = documented(function, *arguments, also=ALSO, **named)
    assert not plt.get_fignums(), [plt.close("all"), f"{function.__name__} left a figure open"]
    assert figure is REFUSED or isinstance(figure, Figure)
    return figure


@property_of(few=4, many=40, x=pictures(), odd=anything())
def test_pictures_are_drawn_or_refused(x, odd):
    assert drawn(plots.images, x) is not REFUSED and drawn(plots.rows, {"a": x, "b": x[:1]}) is not REFUSED
    drawn(plots.images, odd)
    drawn(plots.images, x, odd)
    drawn(plots.rows, odd)
    drawn(plots.rows, {"a": x, "b": odd})


@property_of(few=5, many=60, odd=anything(), n=st.integers(1, 5))
def test_numbers_are_drawn_or_refused(odd, n):
    y = unit(n)
    assert drawn(plots.curves, y, {"a": y}, "x", "y") is not REFUSED
    drawn(plots.curves, odd, {"a": y}, "x", "y")
    drawn(plots.curves, y, {"a": odd}, "x", "y")
    drawn(plots.curves, y, odd, "x", "y")
    assert drawn(plots.latent_map, unit(n, 2), torch.zeros(n).long(), ["a", "bc"]) is not REFUSED
    drawn(plots.latent_map, odd, torch.zeros(n).long(), ["a", "bc"])
    drawn(plots.latent_map, unit(n, 2), odd, ["a", "bc"])
    record = training.History(step=[1], train={"loss": [1.0]})
    assert drawn(plots.history, record) is not REFUSED
    with pytest.raises(KeyError, match="there are: loss"):
        plots.history(record, ("kl",))


@property_of(few=6, many=60, name=st.text(max_size=12), odd=anything())
def test_a_figure_is_saved_or_refused(name, odd):
    figure = plots.images(torch.full((1, 1, 2, 2), 0.5))
    with tempfile.TemporaryDirectory() as folder:
        saved = documented(plots.save, figure, name, folder, also=ALSO)
        assert len(os.listdir(folder)) == (0 if saved is REFUSED else (1 if name[-4:].lower() in ENDINGS else 2))
        documented(plots.save, odd, "a", folder)
        documented(plots.save, figure, odd, folder)
        if not isinstance(odd, str):
            assert documented(plots.save, figure, "a", odd) is REFUSED


@property_of(few=10, many=60, spec=anything())
def test_a_control_is_made_or_refused_by_name(spec):
    def draw(amount):
        return plots.images(torch.full((1, 1, 2, 2), 0.5))

    try:
        box = widgets.explore(draw, amount=spec)
    except (TypeError, ValueError) as error:
        assert "amount" in str(error)
    else:
        assert "amount" in box.controls
