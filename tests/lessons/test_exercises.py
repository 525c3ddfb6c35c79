"""Every exercise of every lesson: its check knows right from wrong, and says what is wrong.

Other right answers than the reference stand in accepted_NN.py, as ACCEPTED = {"NN.1": [answer, answer], ...}; wrong
ones, written from the statements alone, in refused_NN.py, as REFUSED, or with a piece of what is said of them as TOLD.
"""

import importlib
import importlib.util
import inspect
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.exercises import made_up
from vae_helpers.exercises import exercise
from vae_helpers.exercises.hints import source_of
from vae_helpers.exercises.judging import judge
from vae_helpers.exercises.registry import exercises_of, lesson_numbers
from vae_helpers.grading.exercise_cells import reference_source

ROOT = Path(__file__).parents[2]
LESSONS = {number: exercises_of(number) for number in lesson_numbers()}
TASKS = [*made_up.EXERCISES, *(task for tasks in LESSONS.values() for task in tasks)]
each_task = pytest.mark.parametrize("task", TASKS, ids=[task.id for task in TASKS])
each_lesson = pytest.mark.parametrize("number", [*LESSONS, "99"])


def right_answer(task):
    return task.reference if task.kind == "function" else task.reference()


def nothing_yet(*arguments):
    """What a learner finds."""
    ...


def words(text):
    return re.sub(r"\W+", " ", text.casefold()).split()


def outcome_of(task, answer):
    verdict = judge(task, answer)
    return verdict.status, verdict.message


def published():
    """Exercise id -> name and arguments of its reference, as learners' notebooks know them."""
    lines = Path(__file__).with_name("published.txt").read_text("utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


@each_lesson
def test_a_lesson_holds_its_own_exercises(number):
    ids = [task.id for task in exercises_of(number)]
    assert all(id.startswith(f"{number}.") for id in ids)
    assert len(ids) >= (2 if number == "99" else 4)


def test_an_exercise_that_learners_have_keeps_its_id():
    """Their copies of the notebooks and their progress name it; so a new one gets a new number wherever it stands."""
    now = {
        task.id: f"{task.reference.__name__}({', '.join(inspect.signature(task.reference).parameters)})"
        for tasks in LESSONS.values()
        for task in tasks
    }
    for id, call in published().items():
        assert now.get(id) == call, f"{id} was {call} when it was published and is {now.get(id)} now"
    new = [f"{id} {call}" for id, call in now.items() if id not in published()]
    assert not new, "\n".join(["these lines are missing in tests/lessons/published.txt:", *new])


@each_task
def test_the_reference_is_right(task):
    assert outcome_of(task, right_answer(task)) == ("solved", "")


@each_task
def test_the_check_gives_the_same_verdict_in_any_state_of_the_random_generator(task):
    torch.manual_seed(123)  # the other tests judge in the state that they find
    assert outcome_of(task, right_answer(task)) == ("solved", "")
    for wrong in task.wrong:
        assert outcome_of(task, wrong.answer) == ("wrong", wrong.message)


@pytest.mark.parametrize(
    ("task", "wrong"),
    [(task, wrong) for task in TASKS for wrong in task.wrong],
    ids=[f"{task.id}-{place}" for task in TASKS for place, _ in enumerate(task.wrong, 1)],
)
def test_a_wrong_answer_gets_its_own_message(task, wrong):
    assert outcome_of(task, wrong.answer) == ("wrong", wrong.message)


@each_task
def test_five_wrong_answers_are_known_and_each_message_names_a_misconception(task):
    messages = [wrong.message for wrong in task.wrong]
    assert len(messages) >= 5
    assert len({" ".join(words(message)) for message in messages}) == len(messages)
    for message in messages:
        assert len(words(message)) >= 4, f"{message!r} says too little"
        assert not message.rstrip().endswith("."), f"{message!r} is put into a sentence that has its own full stop"
        assert "\n" not in message


@each_task
def test_other_right_answers_are_right(task):
    accepted = importlib.import_module(f"tests.lessons.accepted_{task.id[:2]}").ACCEPTED.get(task.id, [])
    assert len(accepted) >= 2, f"accepted_{task.id[:2]}.py has {len(accepted)} other right answers to {task.id}"
    for answer in accepted:
        assert answer is not task.reference
        assert outcome_of(task, answer) == ("solved", "")


WRONG = {
    number: importlib.import_module(f"tests.lessons.refused_{number}")
    for number in LESSONS
    if importlib.util.find_spec(f"tests.lessons.refused_{number}")
}
REFUSED = [(task, answer) for number in WRONG for task in LESSONS[number] for answer in WRONG[number].REFUSED[task.id]]
TOLD = [
    (task, *told)
    for number in WRONG
    for task in LESSONS[number]
    for told in getattr(WRONG[number], "TOLD", {}).get(task.id, [])
]


@pytest.mark.parametrize(
    ("task", "answer"), REFUSED, ids=[f"{task.id}-{place}" for place, (task, _) in enumerate(REFUSED)]
)
def test_wrong_answers_written_from_the_statement_are_refused(task, answer):
    verdict = judge(task, answer)
    assert verdict.status == "wrong" and "the check cannot use" not in verdict.message


@pytest.mark.parametrize(
    ("task", "answer", "said"), TOLD, ids=[f"{task.id}-{place}" for place, (task, *_) in enumerate(TOLD)]
)
def test_a_misconception_in_other_words_than_the_lessons_is_named(task, answer, said):
    verdict = judge(task, answer)
    assert verdict.status == "wrong" and said in verdict.message


def one_axis_too_many(*arguments):
    """Each picture, draw or row of an argument with each of the next."""
    tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
    return sum(a[:, None] + b for a in tensors for b in tensors)


def one_number_for_all(*arguments):
    return torch.zeros(1).expand(10**11)


def use_of_every_check():
    """Print the seconds of the slowest check and the bytes that they needed at most: for a process of its own."""
    from tools.notebooks import peak_bytes

    for task in TASKS:
        judge(task, right_answer(task))  # what is loaded for it, such as a data set, is no part of the check
    before, slowest = peak_bytes(), 0.0
    for task in TASKS:
        for answer in (right_answer(task), one_axis_too_many, one_number_for_all):
            began = time.process_time()
            judge(task, answer)
            slowest = max(slowest, time.process_time() - began)
    print(slowest, peak_bytes() - before)


def test_no_check_needs_gigabytes_or_half_a_minute():
    code = "from tests.lessons.test_exercises import use_of_every_check as use; use()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    seconds, peak = done.stdout.split()
    assert float(seconds) < 10 and int(peak) < 1e9


@each_lesson
def test_every_accepted_answer_belongs_to_an_exercise(number):
    accepted = importlib.import_module(f"tests.lessons.accepted_{number}").ACCEPTED
    assert set(accepted) <= {task.id for task in exercises_of(number)}


@each_task
def test_three_hints_lead_up_to_the_answer_and_do_not_give_it(task):
    hints = [words(hint) for hint in task.hints]
    assert all(hints) and len({tuple(hint) for hint in hints}) == 3
    source = reference_source(task.id, task.reference.__name__)
    code = source.split('"""')[-1].partition("\n\n\n")[0] if '"""' in source else source.partition(":\n")[2]
    for hint in hints:
        assert " ".join(words(code)) not in " ".join(hint), "a hint gives the answer"


@each_task
def test_the_solution_can_be_pasted_and_stands_alone(task):
    """Nothing but what a notebook's set-up cell imports is there for it."""
    names = {"torch": torch, "math": math, "F": F}
    exec(compile(reference_source(task.id, "answer"), "<cell>", "exec"), names)
    assert outcome_of(task, names["answer"]) == ("solved", "")
    assert '"""' in source_of(task.reference), "the reference has a docstring"


@each_task
def test_an_exercise_never_attempted_lets_the_notebook_run_on(task, capsys):
    for answer in (None, ..., *([nothing_yet] if task.kind == "function" else [])):
        assert judge(task, answer).status == "open"
        given = exercise(task.id, answer)
        assert capsys.readouterr().out == (
            f'Exercise {task.id} is not attempted yet: the reference answer is used below. A nudge: hint("{task.id}")\n'
        )
        if task.kind == "function":
            assert given is task.reference
        else:
            assert outcome_of(task, given) == ("solved", "")


@each_task
def test_nonsense_is_wrong_and_never_an_error(task):
    nonsense = ["a text", 1e30, float("nan"), torch.zeros(7, 7), [torch.tensor(1.0), "two"], {"a": 1}, object()]
    for value in nonsense:
        answer = (lambda *_, value=value: value) if task.kind == "function" else value
        verdict = judge(task, answer)
        assert verdict.status == "wrong" and verdict.message


def test_ids_are_given_once():
    ids = [task.id for task in TASKS]
    assert len(ids) == len(set(ids))
