from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier

import pytest

from genbound.files import whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with whole(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        assert partial.suffix != path.suffix and partial.name.startswith(".")
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("wrong", [OSError, KeyboardInterrupt])
def test_what_goes_wrong_leaves_the_former_file_alone(tmp_path: Path, wrong: type) -> None:
    path = tmp_path / "file.txt"
    path.write_text("former")
    with suppress(wrong), whole(path) as partial:
        partial.write_text("half")
        raise wrong
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path, both = tmp_path / "file.txt", Barrier(2)

    def write(text: str) -> Path:
        with whole(path) as partial:
            partial.write_text(text)
            both.wait(timeout=10)
            assert partial.read_text() == text
        return partial

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(write, ["first", "second"])
    assert first != second and path.read_text() in {"first", "second"}
    assert list(tmp_path.iterdir()) == [path]
