"""`fit`: one robust and fast training loop for every model.

- engine: fit(), and the loop over steps
- run: the state of a run, and the step that changes it
- phases: an objective, the part of the model that it trains, and its optimiser
- schedule: the learning rate, from step to step
- batches: which rows make up the batch of each update
- history: what happened, as plain data
- parallel: several processes that train one model
- resuming: the run's state in a checkpoint, and what a checkpoint continues
- surroundings: Stop, threads, tiny numbers: what is global, and is put back afterwards
- progress: the bar, in `fit` and around loops of one's own
"""

from vae_helpers.training.engine import fit
from vae_helpers.training.history import History
from vae_helpers.training.parallel import ProcessLost
from vae_helpers.training.phases import Phase
from vae_helpers.training.progress import steps
from vae_helpers.training.run import TrainingDiverged, weight_average
from vae_helpers.training.schedule import warm_up_and_cosine

__all__ = [
    "History",
    "Phase",
    "ProcessLost",
    "TrainingDiverged",
    "fit",
    "steps",
    "warm_up_and_cosine",
    "weight_average",
]
