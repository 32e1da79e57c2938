"""One run: what arrives, what is kept, and that nothing leaks into the next."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from toy_notebook import rows

from genbound.study import warm
from genbound.study.source import PACKAGE, read
from genbound.study.store import Store, StoreError
from genbound.study.work import ELSEWHERE, LOST, NOTEBOOK, Order, give_up, imported, perform

pytestmark = pytest.mark.xdist_group("study")


@pytest.fixture
def order(toy, tmp_path: Path):
    """Makes the order of a run of a notebook of the given cells."""

    def make(*cells: str, **parameters) -> Order:
        source = read(toy(*cells))
        values = {p.name: p.default for p in source.parameters} | parameters
        return Order(
            run=source.run(values),
            root=tmp_path / "out",
            notebook=source.name,
            source=str(source.path),
            text=source.text,
            folder=str(tmp_path),
            parameters=values,
            identity=source.identity,
            paths=(str(PACKAGE.parent),),
        )

    return make


def record(order: Order, name: str):
    return rows(order.root)[order.run]["records"][name]["value"]


def test_values_arrive_as_what_they_are(order) -> None:
    given = {
        "n": 7,
        "T": 1e-3,
        "name": "a 'quoted' \\ line\n",
        "flag": False,
        "maybe": None,
        "steps": [0.1, 1e300],
    }
    done = order("keep('all', [repr((n, T, name, flag, maybe, steps, folder))])", **given)
    assert perform(done) == "done"
    assert eval(record(done, "all")[0]) == (*given.values(), "data")


def test_a_long_path_of_temporary_files_is_no_obstacle(order, tmp_path, monkeypatch) -> None:
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert perform(order("keep('x', 1)")) == "done"


def test_a_tuple_stays_a_tuple(order) -> None:
    done = replace(order("keep('kind', type(steps).__name__)"), parameters={"steps": (1.0,)})
    assert perform(done) == "done" and record(done, "kind") == "tuple"


def test_a_record_is_a_number_an_estimate_or_a_file(order) -> None:
    done = order(
        "from genbound import Estimate, record\nimport torch, matplotlib.pyplot as plt\n"
        "record('tensor', torch.tensor(2.5))\nrecord('word', 'yes')\n"
        "record('estimate', Estimate(1.0, 0.1, 9, 'by hand', 'upper'))\n"
        "record('a/curve', torch.arange(3.0))\nrecord('a-curve', torch.ones(2))\n"
        "record('figure', plt.figure())\nplt.close()"
    )
    assert perform(done) == "done"
    row = rows(done.root)[done.run]
    assert row["records"]["tensor"] == {"value": 2.5}
    assert row["records"]["word"] == {"value": "yes"}
    assert row["records"]["estimate"] == {
        "value": 1.0,
        "stderr": 0.1,
        "n": 9,
        "method": "by hand",
        "side": "upper",
    }
    folder = Store(done.root).folder(done.run)
    np.testing.assert_array_equal(np.load(folder / "a-curve.npy"), [1.0, 1.0])
    other = row["records"]["a/curve"]["file"]
    assert Path(other).parent == Path(".") and other.startswith("a-curve-")
    np.testing.assert_array_equal(np.load(folder / other), [0.0, 1.0, 2.0])
    assert row["records"]["figure"] == {"file": "figure.svg"} and (folder / "figure.svg").exists()
    assert row["versions"]["torch"] and row["device"] and row["seconds"] > 0


LEAK = """
import builtins, os, random, sys, numpy
seen = [hasattr(builtins, "left"), "LEFT" in os.environ, os.getcwd(), "left" in sys.modules]
keep("before", [*seen, numpy.get_printoptions()["precision"], "left" in globals()])
keep("chance", [random.random(), numpy.random.random()])
builtins.left = left = os.environ["LEFT"] = sys.modules["left"] = 1 and "left"
numpy.set_printoptions(precision=2)
numpy.random.seed(0)
os.chdir("/")
"""


def test_no_state_of_one_run_leaks_into_the_next(order, tmp_path: Path) -> None:
    orders = [order(LEAK, seed=seed) for seed in range(3)]
    assert [perform(each) for each in orders] == ["done"] * 3
    for each in orders:
        assert record(each, "before") == [False, False, str(tmp_path), False, 8, False]
    chance = [number for each in orders for number in record(each, "chance")]
    assert len(set(chance)) == 6


def test_equal_runs_leave_equal_notebooks(order) -> None:
    books = []
    for _ in range(2):
        done = order("import random\nrandom.seed(seed)\nrandom.random(), {'b', 'a', 'c'}")
        assert perform(done) == "done"
        books.append((Store(done.root).folder(done.run) / NOTEBOOK).read_bytes())
        (done.root / "rows" / f"{done.run}.json").unlink()
    assert books[0] == books[1]


def test_a_failed_run_is_a_row_with_the_notebook_up_to_the_cell(order) -> None:
    done = order("keep('early', 1)", "1 / 0", "keep('late', 1)")
    assert perform(done) == "failed"
    row = rows(done.root)[done.run]
    assert row["status"] == "failed" and "ZeroDivisionError" in row["error"]
    assert list(row["records"]) == ["early"]
    book = nbformat.read(Store(done.root).folder(done.run) / NOTEBOOK, 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert any(o.output_type == "error" for cell in code for o in cell.outputs)
    assert code[-1].execution_count is None


def test_a_dead_kernel_is_tried_again_and_then_told(order) -> None:
    done = order("import os; os._exit(3)")
    assert perform(done) == LOST
    assert rows(done.root) == {} and not list((done.root / "work").iterdir())
    assert perform(replace(done, attempt=3)) == "failed"
    row = rows(done.root)[done.run]
    assert "the kernel died in cell [5]" in row["error"] and row["attempts"] == 3


def test_a_process_that_dies_every_time_is_a_row_as_well(order) -> None:
    done = order("1")
    assert give_up(done, "ProcessDied: its process ended with status -9") == "failed"
    assert rows(done.root)[done.run]["error"].startswith("ProcessDied")


def test_a_claimed_run_is_somebody_elses(order) -> None:
    done = order("1")
    with Store(done.root).claimed(done.run) as mine:
        assert mine and perform(done) == ELSEWHERE
    assert perform(done) == "done" and not list((done.root / "locks").iterdir())


def test_what_ended_is_not_done_again(order) -> None:
    done = order("import time; keep('when', time.time())")
    assert perform(done) == "done"
    first = record(done, "when")
    assert perform(done) == "done" and record(done, "when") == first


def test_a_failed_run_is_done_again_by_a_later_study(order, tmp_path: Path) -> None:
    done = order(f"assert os.path.exists({str(tmp_path / 'now')!r})")
    assert perform(done) == "failed"
    (tmp_path / "now").touch()
    assert perform(done) == "failed"  # it ended after this study began
    assert perform(replace(done, since=rows(done.root)[done.run]["ended"] + 1)) == "done"


def test_a_folder_that_refuses_is_told(order, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(StoreError, match="what ended before is kept"):
        perform(order("1"))


def test_a_broken_row_is_told(order) -> None:
    done = order("1")
    assert perform(done) == "done"
    (done.root / "rows" / f"{done.run}.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        perform(done)


def interpreter_of(order: Order) -> warm.Interpreter:
    return warm.interpreter(imported(order.text), order.paths, order.identity["sources"])


def test_a_killed_interpreter_is_replaced(order) -> None:
    done = order("1")
    assert perform(done) == "done"
    os.kill(interpreter_of(done).pid, signal.SIGKILL)
    assert perform(order("2")) == "done"


def test_an_interpreter_whose_driver_was_killed_ends_in_silence() -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, str(warm.SCRIPT)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        process.stdin.write(b"[]\n")
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait() == -signal.SIGKILL


def test_a_kernel_that_dies_before_it_listens_keeps_nobody_waiting(order, tmp_path) -> None:
    done = order("1")
    interpreter = interpreter_of(done)
    before = interpreter.pid
    with pytest.raises(RuntimeError, match="[Kk]ernel died"):
        perform(replace(done, folder=str(tmp_path / "nowhere")))
    assert perform(done) == "done"
    assert interpreter.pid == before


def test_a_dead_kernel_that_nobody_buries_counts_as_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        kernel = warm._Kernel(process.pid)
        assert kernel.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        # Its parent, this process, has not asked for its status: it is a zombie.
        assert kernel.wait() == 1
        assert process.returncode is None
    assert warm._Kernel(process.pid).poll() == 1
