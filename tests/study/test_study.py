"""Studies: what is done, what is stale, who does it, and what comes out."""

import json
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from toy_notebook import rows

from genbound.book.parameters import ParameterError
from genbound.study import Study, tables
from genbound.study.processes import ProcessDied, Processes
from genbound.study.report import averaged, write
from genbound.study.slurm import script
from genbound.study.source import hashed, read
from genbound.study.store import Store

pytestmark = pytest.mark.xdist_group("study")

DRAW = "import random\nrandom.seed(f'{seed} {n}')\nkeep('mean', T + random.gauss(0, 1) / n**0.5)"


@pytest.fixture
def study(toy, tmp_path: Path):
    """Makes a study of a notebook of the given cells."""

    def make(*cells: str, grid=None, seeds=None, name="toy") -> Study:
        grid = {"T": [0.5, 1.0], "n": [10, 100]} if grid is None else grid
        return Study(toy(*cells, name=name), grid, tmp_path / "runs", seeds=seeds)

    return make


class Here(Executor):
    """Runs in this very process, so that its interpreter is shared by the tests."""

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_a_study_is_done_once(study) -> None:
    first = study(DRAW, seeds=2)
    with Here() as executor:
        table = first.run(executor=executor)
        assert (table["status"] == "done").all() and len(table) == 8
        assert table[["T", "n", "seed"]].drop_duplicates().shape == (8, 3)
        assert table.attrs == {
            "parameters": ["n", "T", "seed", "name", "flag", "maybe", "steps", "folder"],
            "records": ["mean"],
        }
        ended = {run: row["ended"] for run, row in rows(first.root).items()}
        again = study(DRAW, grid={"n": [100, 10, 5], "T": [0.5]}, seeds=2).run(executor=executor)
        assert len(again) == 6 and (again["status"] == "done").all()
        now = {run: row["ended"] for run, row in rows(first.root).items()}
    assert len(now) == 10 and all(now[run] == ended[run] for run in ended)


def test_only_what_is_stale_is_done_again(study, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("shift = 1")
    use = "import helper\nkeep('value', T + helper.shift)"
    with Here() as executor:
        assert study(use).run(executor=executor)["value"].tolist() == [1.5, 1.5, 2.0, 2.0]
        assert study(DRAW, name="other").plan().done == 0
        other = study(DRAW, name="other").run(executor=executor)

        helper.write_text("shift = 2.25")
        changed = study(use)
        assert (changed.plan().done, changed.plan().stale) == (0, 4)
        everything = tables.of_folder(changed.root)
        assert sorted(everything["stale"]) == [""] * 4 + ["sources"] * 4
        assert set(everything[everything["stale"] == ""]["run"]) == set(other["run"])
        # The process that lives on imported the former helper.
        assert changed.run(executor=executor)["value"].tolist() == [2.75, 2.75, 3.25, 3.25]
    assert "4 rows of older code, sources or versions" in str(changed.plan())


def test_sources_are_watched_wherever_nothing_is_installed(study, tmp_path, monkeypatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    cell = "from folder import inner\nimport far, numpy"
    files = [tmp_path / name for name in ("folder/inner.py", "folder/deep.py", "elsewhere/far.py")]
    files[0].write_text("from . import deep")
    seen = set()
    for file in files:
        for text in ("x = 1", "from . import deep" if file == files[0] else "x = 2"):
            file.write_text(text)
            seen.add(study(cell).source.identity["sources"])
    assert len(seen) == 6 and "numpy" in study(cell).source.identity["versions"]
    files[1].write_text("def f(:")
    with pytest.raises(ParameterError, match=r"cannot import .*deep.py, line 1"):
        study(cell).plan()


def test_prose_makes_nothing_stale_but_code_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = (
        "---\nkernelspec:\n  name: python3\n  display_name: P\n---\n# A\n\n"
        "```{code-cell}\n:tags: [parameters]\nx: int = 1\n```\n\n```{code-cell}\nprint(x)\n```\n"
    )
    page.write_text(text)
    before = read(page).run({"x": 1})
    page.write_text(text.replace("# A", "# B"))
    assert read(page).run({"x": 1}) == before
    page.write_text(text.replace("print(x)", "print(-x)"))
    assert read(page).run({"x": 1}) != before


def test_outputs_of_a_notebook_are_not_its_code(toy) -> None:
    path = toy("1")
    before = read(path).run({})
    book = json.loads(path.read_text())
    book["cells"][-1] |= {"execution_count": 3, "outputs": []}
    book["metadata"]["signature"] = "x"
    path.write_text(json.dumps(book))
    assert read(path).run({}) == before


def test_failed_runs_are_rows_and_are_tried_again(study, tmp_path: Path) -> None:
    cell = f"assert n < 100 or os.path.exists({str(tmp_path / 'now')!r}), 'not yet'\nkeep('x', n)"
    with Here() as executor:
        table = study(cell).run(executor=executor)
        assert table["status"].tolist() == ["done", "failed"] * 2
        assert table["error"].dropna().str.contains("AssertionError: not yet").all()
        assert table["notebook"].map(lambda path: Path(path).exists()).all()
        (tmp_path / "now").touch()
        assert (study(cell).run(executor=executor)["status"] == "done").all()


def test_a_person_is_told_how_far_it_is(study, capsys, monkeypatch) -> None:
    monkeypatch.setattr("genbound.study.drive.SILENCE", 0.0)
    monkeypatch.setattr("genbound.study.study.QUEUE", 2)
    with Here() as executor:
        study("assert n < 100", grid={"n": [1, 2, 100]}).run(executor=executor)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "0 done, 0 failed, 2 running of 3; 0 a minute, none ended yet"
    assert second.startswith("2 done, 0 failed, 1 running of 3; ") and second.endswith(" s left")


def test_parts_of_a_study_make_the_whole(study) -> None:
    whole = study(DRAW)
    with Here() as executor:
        statuses = [
            (whole.run(executor=executor, part=(i, 3))["status"] == "missing").sum()
            for i in range(3)
        ]
    assert statuses == [2, 1, 0]


def test_two_drivers_share_a_folder(study) -> None:
    """Each run leaves a mark when it begins; no mark is made twice."""
    cell = "open(f'mark-{T}-{n}-{seed}', 'x').close()\nimport time; time.sleep(0.05)"
    both = study(cell, seeds=3)
    with ThreadPoolExecutor(2) as drivers:
        for driving in [drivers.submit(both.run, jobs=1) for _ in range(2)]:
            assert (driving.result()["status"] == "done").all()
    assert len(list(both.source.path.parent.glob("mark-*"))) == 12


def test_processes_are_replaced_when_they_die() -> None:
    import os

    with Processes(2) as processes:
        assert processes.submit(max, 1, 2).result() == 2
        with pytest.raises(ProcessDied, match="status 3"):
            processes.submit(os._exit, 3).result()
        with pytest.raises(ZeroDivisionError):
            processes.submit(divmod, 1, 0).result()
        assert [f.result() for f in [processes.submit(max, i, 2) for i in range(4)]] == [
            2,
            2,
            2,
            3,
        ]
        sleeping = processes.submit(time.sleep, 100)
        time.sleep(0.3)
        processes.shutdown(cancel_futures=True)
        with pytest.raises(ProcessDied):
            sleeping.result(timeout=20)


def test_a_dask_cluster_gives_the_same_table(study, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("dask")
    import dask

    here = study(DRAW, seeds=2)
    local = here.run(jobs=1)
    there = Study(here.source.path, {"T": [0.5, 1.0], "n": [10, 100]}, tmp_path / "two", seeds=2)
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        remote = there.run(executor=client)
    differing = ["seconds", "notebook"]
    pd.testing.assert_frame_equal(local.drop(columns=differing), remote.drop(columns=differing))


def fake(root: Path, study: Study) -> None:
    """Rows of a study, as if it had been run."""
    (root / "rows").mkdir(parents=True)
    for number, (run, parameters) in enumerate(study.runs.items()):
        row = {
            "run": run,
            "status": "done",
            "source": str(study.source.path),
            "parameters": parameters,
            "records": {f"r{k}": {"value": number * k, "stderr": 0.1} for k in range(5)},
            "error": None,
            "seconds": 1.0,
            "ended": 0.0,
            "attempts": 1,
            "host": "h",
            "device": "d",
            **study.source.identity,
        }
        (root / "rows" / f"{run}.json").write_text(json.dumps(row))


def test_ten_thousand_runs_load_fast_and_are_known_to_be_complete(study, tmp_path: Path) -> None:
    grid = {"n": "arange(1, 101)", "T": "linspace(0.1, 1.9, 10)", "seed": "arange(0, 10)"}
    large = study("1", grid=grid)
    fake(large.root, large)
    large = study("1", grid=grid)
    began = time.process_time(), time.monotonic()
    table = large.table()
    seconds = time.process_time() - began[0]
    assert len(table) == 10_000 and (table["r3_stderr"] == 0.1).all()
    assert seconds < 2.0

    complete = study("1", grid=grid)
    began = time.process_time()
    assert complete.plan().done == 10_000
    assert (complete.run(executor=Refusing())["status"] == "done").all()
    assert time.process_time() - began < 5.0
    tables.save(table, tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["r4"].tolist() == table["r4"].tolist()


class Refusing:
    """An executor for a study that has nothing to do."""

    def submit(self, *_arguments):
        raise AssertionError("nothing should run")


def test_means_and_intervals_are_over_seeds() -> None:
    table = pd.DataFrame(
        {
            "T": [1, 1, 1, 1, 2],
            "n": [1, 2, 1, 2, 1],
            "seed": [0, 0, 1, 1, 0],
            "y": [1, 3, 3, 5, 7.0],
        }
    )
    found = averaged(table, "y", ["T"])
    assert found["mean"].tolist() == [3.0, 7.0]
    half = 12.706204736 * 1.0  # Student's t with one degree of freedom; means of seeds 2 and 4
    assert found["high"][0] - found["mean"][0] == pytest.approx(half)
    assert found["low"].isna().tolist() == [False, True]


def test_a_report_shows_curves_failures_and_links(study) -> None:
    with Here() as executor:
        one = study(DRAW + "\nassert seed < 2, '<odd>'", seeds=3)
        one.run(executor=executor)
    text = one.report().read_text()
    assert text.count("<svg") == 2 and "8 done, 4 failed" in text
    assert "&lt;odd&gt;" in text and text.count(">notebook</a>") == 12
    for run in one.runs:
        assert f'href="runs/{run}/executed.ipynb"' in text


def page(folder: Path, **axes: list) -> str:
    """The report of runs that record their number, and of one that failed."""
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    told = {"source": "a.md"}
    runs = [row(k, point, {"y": k, "no": True}, **told) for k, point in enumerate(points)]
    failed = row(99, points[-1], {"y": 1}, **told) | {"status": "failed", "error": "bad"}
    table = tables.frame([*runs, failed] if len(runs) > 1 else [failed], folder / "a #b")
    table["notebook"] = str(folder / "a #b" / "n.ipynb")
    return write(table, folder / "r.html").read_text()


def test_a_report_tells_words_apart(tmp_path: Path) -> None:
    curves = page(tmp_path, n=[1, 10, 100], method=["<u>", "v"], h=[[1.0], [2.0]], seed=[0, 1])
    assert curves.count("<svg role=") == 1 and "y over n: means over h, seed; bands" in curves
    assert "method = v, h = [2.0], seed = 1: bad" in curves
    assert "<td>&lt;u&gt;</td>" in curves and 'href="a%20%23b/n.ipynb"' in curves
    words = page(tmp_path, method=["u", "v"], flag=[False, True], seed=[0, 1])
    assert "<svg" not in words and words.count("<td>0.5</td>") == 1 and "95 % from" in words
    assert "<td>all</td>" in page(tmp_path, seed=[0, 1, 2])
    assert "<h2>y</h2>" not in page(tmp_path, seed=[0])  # nothing is done


def test_a_script_for_a_cluster_names_every_part() -> None:
    text = script(["sweep", "a b.md", "-p", "x=1,2"], runs=7, tasks=20)
    assert "#SBATCH --array=0-6\n" in text
    assert "-m genbound sweep 'a b.md' -p x=1,2 --part \"$SLURM_ARRAY_TASK_ID/7\"" in text


def row(number: int, parameters: dict, records: dict, **more) -> dict:
    """As a store holds it."""
    kept = {name: {"value": value} for name, value in records.items()}
    return {"run": str(number), "status": "done", "parameters": parameters, "records": kept} | more


def test_a_parameter_and_a_record_may_have_another_columns_name(tmp_path: Path) -> None:
    rows = [row(0, {"device": "cpu", "run": 3}, {"seconds": 7}, device="2 CPU cores", seconds=1.5)]
    table = tables.frame(rows, tmp_path)
    assert table.columns.is_unique and table.attrs["parameters"] == [
        "parameter_device",
        "parameter_run",
    ]
    assert table.loc[0, ["parameter_device", "device"]].tolist() == ["cpu", "2 CPU cores"]
    assert table.loc[0, ["run", "parameter_run"]].tolist() == ["0", 3]
    assert table.loc[0, ["record_seconds", "seconds"]].tolist() == [7, 1.5]


def test_what_a_table_holds_comes_back_from_its_files(tmp_path: Path) -> None:
    """Whole numbers with gaps keep their digits; columns of several types can be saved."""
    large, larger = 2**60 + 1, 2**70 + 1
    rows = [
        row(0, {"maybe": None}, {"whole": large, "odd": larger, "mixed": 1, "text": '\u00fc,"\n'}),
        row(1, {"maybe": 2}, {"mixed": "a", "real": float("inf")}, error="e" * 1000),
    ]
    table = tables.frame(rows, tmp_path)
    assert table["whole"][0] == large and table["maybe"][1] == 2 and table["maybe"].isna()[0]
    assert len(table["error"][1]) < 400
    tables.save(table, tmp_path / "t.parquet")
    tables.save(table, tmp_path / "t.csv")
    parquet = pd.read_parquet(tmp_path / "t.parquet")
    csv = pd.read_csv(tmp_path / "t.csv", dtype={"whole": "Int64", "maybe": "Int64"})
    for found in (parquet, csv):
        assert found["whole"][0] == large and found["maybe"][1] == 2 and found["maybe"].isna()[0]
        assert str(found["odd"][0]) == str(larger) and found["text"][0] == '\u00fc,"\n'
        assert found["real"][1] == float("inf")
    assert parquet["mixed"].tolist() == ["1", '"a"'] and csv["mixed"].tolist() == ["1", "a"]


def test_a_folders_table_is_sorted_by_the_parameters(study) -> None:
    one = study("1", grid={"n": [30, 4, 200], "maybe": [1.5, None]})
    fake(one.root, one)
    found = tables.of_folder(one.root)
    assert found["n"].tolist() == [4, 4, 30, 30, 200, 200]
    assert found["maybe"].isna().tolist() == [False, True] * 3


def test_what_a_study_is_not(study, toy, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="anything with submit"):
        study("1").run(executor=3)
    with pytest.raises(ParameterError, match="not with a list of runs"):
        Study(toy("1"), [{"n": 1}], tmp_path / "runs", seeds=2)
    assert len(Study(toy("1"), [{"n": 1}, {"n": 2}], tmp_path / "runs").runs) == 2


def test_leftovers_of_killed_runs_are_removed_but_not_those_at_work(tmp_path: Path) -> None:
    store, dead, alive = Store(tmp_path), hashed("dead"), hashed("alive")
    for name in (dead, alive):
        (tmp_path / "work" / name).mkdir(parents=True)
    with store.claimed(alive):
        store.tidy()
    assert [path.name for path in (tmp_path / "work").iterdir()] == [alive]


def test_a_folder_of_somebody_elses_that_is_called_work_is_left_alone(tmp_path: Path) -> None:
    for name in ("project", ".hidden", hashed("run")[:-1], hashed("run").upper()):
        (tmp_path / "work" / name).mkdir(parents=True)
        (tmp_path / "work" / name / "thesis.tex").write_text("years")
    before = sorted(tmp_path.rglob("*"))
    Store(tmp_path).tidy()
    assert sorted(tmp_path.rglob("*")) == before
