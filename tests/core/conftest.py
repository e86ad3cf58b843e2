"""Directories in memory, for tests that write or recover thousands of journals."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_shm_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """A function that makes an empty directory under /dev/shm where there is one, else an ordinary temporary one."""
    memory = Path("/dev/shm")
    root = (
        Path(tempfile.mkdtemp(dir=memory, prefix="nanotick-test-"))
        if memory.is_dir()
        else tmp_path_factory.mktemp("shm")
    )
    yield lambda: Path(tempfile.mkdtemp(dir=root))
    shutil.rmtree(root)


@pytest.fixture
def shm_path(make_shm_path: Callable[[], Path]) -> Path:
    """An empty directory in memory."""
    return make_shm_path()
