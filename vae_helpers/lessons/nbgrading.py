"""The former place of `vae_helpers.grading.nbgrading`, which course folders made for nbgrader import from here."""

from vae_helpers.moved import former_names

__getattr__ = former_names(__name__, configure="vae_helpers.grading.nbgrading.configure")
