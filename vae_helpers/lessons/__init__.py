"""A file a lesson: `lesson_NN.py` holds the exercises of notebook NN, each stated once.

`vae_helpers.exercises.registry` finds a lesson by the name of its file.
"""

from vae_helpers.moved import former_names

_MOVED = (
    *("Exercise", "Misconception", "NotAttempted", "UnknownExercise", "Wrong"),
    *("claim", "claims", "close_to", "compares", "exercise", "hint", "progress", "solution"),
)

__getattr__ = former_names(__name__, **{name: f"vae_helpers.exercises.{name}" for name in _MOVED})
