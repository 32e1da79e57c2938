"""A checkpoint appears whole or not at all, and only its own run may go on from it."""

from pathlib import Path

import pytest
import torch

from genbound.training.checkpoint import checksum, load, save

IDENTITY = {"members": "[1, 2]", "steps": 10, "capture_every": None}
STATE = {"step": 3, "params": {"w": torch.arange(4.0)}, "streams": [torch.zeros(2, dtype=int)]}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.pt"
    save(path, IDENTITY, STATE)
    state = load(path, IDENTITY, device="cpu")
    assert state["step"] == 3
    assert torch.equal(state["params"]["w"], STATE["params"]["w"])
    assert torch.equal(state["streams"][0], STATE["streams"][0])
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "run.pt", IDENTITY, device="cpu") is None


def test_another_run_is_refused_and_told_what_differs(tmp_path: Path) -> None:
    save(tmp_path / "run.pt", IDENTITY, STATE)
    other = IDENTITY | {"steps": 11, "optimiser": "sgd"}
    with pytest.raises(ValueError, match="differs in optimiser, steps$"):
        load(tmp_path / "run.pt", other, device="cpu")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.raises(ValueError, match="can't be read"):
        load(tmp_path / "run.pt", IDENTITY, device="cpu")


def test_a_save_that_dies_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"
    save(path, IDENTITY, STATE)

    def die(_content: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", die)
        with pytest.raises(OSError, match="disk full"):
            save(path, IDENTITY, STATE | {"step": 4})
    assert load(path, IDENTITY, device="cpu")["step"] == 3
    save(path, IDENTITY, STATE | {"step": 5})
    assert load(path, IDENTITY, device="cpu")["step"] == 5


def test_a_checksum_sees_values_shapes_types_and_places() -> None:
    base = torch.arange(6.0)
    same = {"a": [base, base.clone()]}
    assert checksum(same) == checksum({"a": [base.clone(), base]})
    changed = base.clone()
    changed[3] += 1e-6
    trees = [
        same,
        {"a": [base, changed]},
        {"a": [changed, base]},
        {"a": [base, base.reshape(2, 3)]},
        {"a": [base, base.int()]},
        {"a": [base]},
        {"a": [base.reshape(2, 3).T, base]},
    ]
    assert len({checksum(tree) for tree in trees}) == len(trees)
    assert checksum(torch.tensor(True)) != checksum(torch.tensor(False))
    assert checksum(torch.empty(0, 2)) != checksum(torch.empty(0, 3))
