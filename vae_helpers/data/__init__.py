"""Data sets: `load(name)` gives disjoint train, validation and test images with their labels."""

from vae_helpers.data.dataset import Dataset, Split
from vae_helpers.data.loading import load
from vae_helpers.data.photos import PHOTOGRAPHS, photo_credits, photographs

__all__ = ["PHOTOGRAPHS", "Dataset", "Split", "load", "photo_credits", "photographs"]
