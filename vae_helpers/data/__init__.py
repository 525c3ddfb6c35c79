"""Data sets: `load(name)` gives disjoint train, validation and test images with their labels."""

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.data.loading import load

__all__ = ["Dataset", "Split", "load"]
