"""What a lesson needs: claims that are checked, exercises that answer back, hints, solutions and progress.

The exercises of notebook NN (references, hints, plausible wrong answers) stand in `lesson_NN.py`.
"""

from vae_helpers.lessons.checks import close_to, compares
from vae_helpers.lessons.claiming import claim, claims
from vae_helpers.lessons.definition import Exercise, Misconception, NotAttempted, Wrong
from vae_helpers.lessons.helping import hint, solution
from vae_helpers.lessons.judging import exercise
from vae_helpers.lessons.record import progress
from vae_helpers.lessons.registry import UnknownExercise

__all__ = [
    "Exercise",
    "Misconception",
    "NotAttempted",
    "UnknownExercise",
    "Wrong",
    "claim",
    "claims",
    "close_to",
    "compares",
    "exercise",
    "hint",
    "progress",
    "solution",
]
