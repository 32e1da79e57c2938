"""Training of an ensemble: members that differ in seed, rate or data, in one program.

- `loop`: `train`, from an objective, a builder, data and a `grid` of members to a `Run`;
- `ensemble`: the members' modules as one, and a random `stream` for each purpose;
- `optim`: `adam`, `sgd`, with one learning rate per member;
- `noisy`: `noisy_sgd`, whose weights keep a bounded information of the data;
- `sgld`: `sgld`, whose weights sample a posterior, at a temperature for each member;
- `schedules`: how a rate changes from step to step;
- `settings`: `train_settings`, for members whose draws differ in shape (batch sizes, say);
- `checkpoint`: the file from which a broken run goes on;
- `progress`: `progress_bar`.
"""

from genbound.training import schedules
from genbound.training.ensemble import stream
from genbound.training.loop import Run, grid, train
from genbound.training.noisy import noisy_sgd
from genbound.training.optim import Transform, adam, sgd
from genbound.training.progress import progress_bar
from genbound.training.settings import Sweep, train_settings
from genbound.training.sgld import sgld

__all__ = [
    "Run",
    "Sweep",
    "Transform",
    "adam",
    "grid",
    "noisy_sgd",
    "progress_bar",
    "schedules",
    "sgd",
    "sgld",
    "stream",
    "train",
    "train_settings",
]
