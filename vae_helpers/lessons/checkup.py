"""The former place of `vae_helpers.exercises.checkup`, which older copies of notebook 00 import from here."""

from vae_helpers.moved import former_names

_HOME = "vae_helpers.exercises.checkup"

__getattr__ = former_names(__name__, checkup=f"{_HOME}.checkup", step_seconds=f"{_HOME}.step_seconds")
