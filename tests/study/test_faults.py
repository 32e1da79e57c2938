"""Everything that can die dies, and nothing is lost."""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from toy_notebook import KEEP, rows, write

from genbound.study import Study
from genbound.study.work import NOTEBOOK

pytestmark = pytest.mark.xdist_group("faults")

CELL = """
import hashlib, time
time.sleep(0.05)
digest = hashlib.sha256(f"{n} {T} {seed}".encode()).hexdigest()
keep("digest", digest)
print(digest)
"""
GRID = {"n": list(range(1, 11)), "T": [0.25, 0.5, 1.0, 1.5], "seed": list(range(5))}
WORDS = ["-p", "n=arange(1,11)", "-p", "T=0.25,0.5,1,1.5", "--seeds", "5", "--jobs", "2"]


def drive(page: Path, root: Path, *, most_bytes: int | None = None) -> subprocess.Popen:
    """Start a driver; perhaps no file may grow beyond some bytes, as on a full disk."""

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return subprocess.Popen(
        [sys.executable, "-m", "genbound", "sweep", str(page), *WORDS, "--out", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def victims(driver: subprocess.Popen) -> dict[str, list[psutil.Process]]:
    """Who is alive below a driver: its processes, their interpreters, and kernels."""
    found = {"process": [], "interpreter": [], "kernel": []}
    with suppress(psutil.Error):
        for process in psutil.Process(driver.pid).children():
            found["process"].append(process)
            for interpreter in process.children():
                found["interpreter"].append(interpreter)
                found["kernel"] += interpreter.children()
    return found


def kill(kind: str, driver: subprocess.Popen, chance: random.Random) -> bool:
    """Kill one of a kind, if there is one."""
    if kind == "driver":
        driver.kill()
        return True
    with suppress(psutil.Error):
        alive = [v for v in victims(driver)[kind] if v.status() != psutil.STATUS_ZOMBIE]
        if alive:
            chance.choice(alive).kill()
            return True
    return False


def test_whatever_dies_every_run_is_there_once_and_right(tmp_path: Path) -> None:
    page = write(tmp_path / "toy.ipynb", KEEP, CELL)
    study, twin = (Study(page, GRID, tmp_path / name) for name in ("runs", "twin"))
    assert len(study.runs) == 200
    chance, killed = random.Random(0), Counter[str]()
    aims = ["kernel"] * 10 + ["interpreter"] * 3 + ["process"] * 3 + ["driver"] * 2
    chance.shuffle(aims)

    full = drive(page, study.root, most_bytes=150)
    assert full.wait(timeout=120) == 1
    told = full.stderr.read()
    full.stderr.close()
    assert "File too large; what ended before is kept" in told and told.count("\n") == 1
    assert rows(study.root) == {}

    in_the_way = False
    until = time.monotonic() + 400
    while time.monotonic() < until:
        driver = drive(page, study.root)
        while driver.poll() is None and (aims or not in_the_way) and time.monotonic() < until:
            time.sleep(chance.uniform(0.3, 0.9))
            started = len(rows(study.root))
            if started > 30 and not in_the_way:
                in_the_way = True
                block(study.root, driver)
            elif started and aims and kill(aims[-1], driver, chance):
                killed[aims.pop()] += 1
        status = end(driver, until, study.root)
        if (
            status == 0
            and not aims
            and all(r["status"] == "done" for r in rows(study.root).values())
        ):
            break
    assert killed == {"kernel": 10, "interpreter": 3, "process": 3, "driver": 2} and in_the_way

    twin.run(jobs=2)
    mine, other = rows(study.root), rows(twin.root)
    assert set(mine) == set(other) == set(study.runs)
    for run, row in mine.items():
        same = ("run", "status", "parameters", "records", "error", "code", "sources", "versions")
        assert {key: row[key] for key in same} == {key: other[run][key] for key in same}
        books = [(root / "runs" / run / NOTEBOOK).read_bytes() for root in (study.root, twin.root)]
        assert books[0] == books[1]
    assert {path.name for path in (study.root / "runs").iterdir()} == set(study.runs)
    assert {path.name for path in (study.root / "rows").iterdir()} == {f"{r}.json" for r in mine}
    assert not list((study.root / "work").iterdir()) and not list((study.root / "locks").iterdir())
    assert sorted(os.listdir(study.root)) == ["locks", "rows", "runs", "work"]


def end(driver: subprocess.Popen, until: float, root: Path) -> int:
    """A driver's status; if it does not end, who keeps it waiting."""
    try:
        return driver.wait(timeout=max(until - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        alive = victims(driver)
        driver.kill()
        pytest.fail(f"{len(rows(root))} runs ended; alive are {alive}; {driver.stderr.read()}")
    finally:
        driver.stderr.close()


def block(root: Path, driver: subprocess.Popen) -> None:
    """Nothing can be written for a while; the driver says so and ends."""
    for attempt in range(1000):
        # A run that begins in between makes the folder anew.
        with suppress(OSError):
            (root / "work").rename(root / f"aside-{attempt}")
            (root / "work").touch(exist_ok=False)
            break
    assert driver.wait(timeout=120) == 1
    (root / "work").unlink()
    for aside in root.glob("aside-*"):
        shutil.rmtree(aside)
