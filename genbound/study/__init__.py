"""Studies: one notebook over many parameters, resumable, on one machine or many.

- `study`: `Study`, the whole of it; what was done once is not done again;
- `axes`: what is varied, from Python, from words or from YAML;
- `source`: the notebook, and what its outcome depends on;
- `store`: the folder: a row for each run that ended, written last and whole;
- `work`: one run, wherever it is handed to; `warm` and `interpreter`: kernels that start fast;
- `drive`: hands out the runs and tells how far it is; `processes`: where they run by default;
- `tables`, `report`, `slurm`: what comes out, and how to go to a cluster.
"""

from genbound.study.drive import RunFailed
from genbound.study.store import StoreError
from genbound.study.study import Plan, Study

__all__ = ["Plan", "RunFailed", "StoreError", "Study"]
