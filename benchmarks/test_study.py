"""What a run of a sweep costs beside its work, against papermill as it comes."""

import itertools
import time

import nbformat
import papermill
import pytest

from genbound.study import Study
from genbound.study.processes import Processes

RUNS = 8
pytestmark = pytest.mark.benchmark(timer=time.perf_counter)


@pytest.fixture
def page(tmp_path):
    """A notebook of three cells that imports torch and does next to nothing."""
    new = nbformat.v4.new_code_cell
    cells = [
        new("seed: int = 0\nround: int = 0", metadata={"tags": ["parameters"]}),
        new("import torch\ntorch.manual_seed(seed)"),
        new("torch.randn(2)"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_overhead_of_a_run(versus, page, tmp_path, jobs):
    rounds = itertools.count()

    def plain(seeds):
        """In processes that have papermill imported, as ours have."""
        for future in [
            processes.submit(
                papermill.execute_notebook,
                str(page),
                str(tmp_path / f"{seed}.ipynb"),
                parameters={"seed": seed},
                progress_bar=False,
            )
            for seed in seeds
        ]:
            future.result()

    def ours():
        grid = {"round": next(rounds), "seed": list(range(RUNS))}
        table = Study(page, grid, tmp_path / "runs").run(executor=processes)
        assert (table["status"] == "done").all()

    with Processes(jobs) as processes:
        plain(range(jobs))
        versus(
            f"{RUNS} runs with torch imported, {jobs} at a time, against papermill",
            ours,
            lambda: plain(range(RUNS)),
            target=5,
        )
