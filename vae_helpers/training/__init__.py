"""`fit`: one robust and fast training loop for every model.

engine      fit(), and the loop over steps
run         the state of a run, and the step that changes it
phases      an objective, the part of the model that it trains, and its optimiser
history     what happened, as plain data
batches     which rows make up the batch of each update
parallel    several processes that train one model
resuming    the run's state in a checkpoint, and what a checkpoint continues
surroundings   Stop, threads, random state: what is global, and is put back afterwards
progress    the bar
"""

from vae_helpers.training.engine import fit
from vae_helpers.training.history import History
from vae_helpers.training.parallel import ProcessLost
from vae_helpers.training.phases import Phase, warm_up_and_cosine
from vae_helpers.training.run import TrainingDiverged, weight_average

__all__ = ["History", "Phase", "ProcessLost", "TrainingDiverged", "fit", "warm_up_and_cosine", "weight_average"]
