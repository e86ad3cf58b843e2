"""Files that a user names are written whole, and what is no file is not replaced."""

import os
import threading
from pathlib import Path

import pytest

from nanotick.core.files import beside, put_in_place, write_text


def test_a_file_is_written_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(tmp_path) == ["out.json"]


def test_an_unfinished_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_text(tmp_path / "out.json", "old")
    beside(path).write_text("half")
    assert path.read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    temporary = beside(pipe)
    temporary.write_text("content")
    put_in_place(temporary, pipe)
    reader.join(10)
    assert read == ["content"]
    assert pipe.is_fifo()
    assert not temporary.exists()
