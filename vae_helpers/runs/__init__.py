"""A folder of pictures in; a checked model, a verdict with evidence, a report and a gallery out.

- settings: what a run is asked for, as arguments, as options or as a file
- survey: what lies in the folder, and what to make of it
- recipe: the model for pictures of a shape
- folder_run: what a run writes, and `load_run`
- folder_training: `train_folder`
- measuring: the numbers of a finished run
- report: the same numbers and pictures as one page
- comparison: several runs side by side
"""

from vae_helpers.runs.comparison import compare_runs
from vae_helpers.runs.folder_run import FolderRun, RunError, load_run
from vae_helpers.runs.folder_training import train_folder
from vae_helpers.runs.measuring import bits_of
from vae_helpers.runs.recipe import folder_vae
from vae_helpers.runs.settings import Settings
from vae_helpers.runs.survey import Survey, survey

__all__ = [
    "FolderRun",
    "RunError",
    "Settings",
    "Survey",
    "bits_of",
    "compare_runs",
    "folder_vae",
    "load_run",
    "survey",
    "train_folder",
]
