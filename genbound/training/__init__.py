"""Training of an ensemble: members that differ in seed, rate or data, in one program.

- `loop`: `train`, from an objective, a builder, data and a `grid` of members to a `Run`;
- `ensemble`: the members' modules as one, and a random `stream` for each purpose;
- `optim`: `adam`, `sgd`, with one learning rate per member;
- `noisy`: `noisy_sgd`, whose weights keep a bounded information of the data;
- `checkpoint`: the file from which a broken run goes on.
"""

from genbound.training.ensemble import stream
from genbound.training.loop import Run, grid, progress_bar, train
from genbound.training.noisy import noisy_sgd
from genbound.training.optim import Transform, adam, sgd

__all__ = [
    "Run",
    "Transform",
    "adam",
    "grid",
    "noisy_sgd",
    "progress_bar",
    "sgd",
    "stream",
    "train",
]
