"""Edited source is never served by code compiled from what stood there before, and other code is not compiled again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nanotick
from nanotick.core import source
from nanotick.core.mode import INTERPRET

if INTERPRET:
    pytest.skip("interpreted kernels are not cached", allow_module_level=True)

PACKAGE = Path(nanotick.__file__).parent

MODULES = {
    "book/zz_constants.py": "FACTOR = 3\n",
    "book/zz_layout.py": """
import numpy as np
from nanotick.core.memory import record_at
PAIR = np.dtype([("left", "<i8"), ("right", "<i8")])
pair_at = record_at(PAIR, "Pair")
""",
    "book/zz_helper.py": """
from nanotick.core.kernel import kernel
from nanotick.book.zz_constants import FACTOR
from nanotick.book.zz_layout import pair_at

@kernel
def right(pair):
    return pair.right

@kernel
def scaled(address: int) -> int:
    return FACTOR * right(pair_at(address)) + 0
""",
    "book/zz_entry.py": """
from nanotick.core.kernel import kernel
from nanotick.book.zz_helper import scaled

@kernel("i8(i8)")
def run(address):
    return scaled(address)
""",
    "book/zz_other.py": """
from nanotick.core.kernel import kernel
from nanotick.book.zz_helper import scaled

@kernel("i8(i8)")
def other(address):
    return scaled(address) + 1
""",
    "book/zz_elsewhere.py": "NOTHING = 1\n",
}

PROGRAM = """
import importlib, json, sys
import numpy as np
from nanotick.core.cache import KernelCache
from nanotick.core.inner_cache import InnerCache
from nanotick.core.kernel import REGISTRY, compile_entry
module, name = sys.argv[1].rsplit(".", 1)
function = getattr(importlib.import_module(module), name)
for entry in list(REGISTRY.values()):
    if entry.dispatcher is function:
        compile_entry(entry)
words = np.array([5, 7, 11], np.int64)
answer = int(function(int(words.ctypes.data)))
print(json.dumps({"answer": answer, "compiled": KernelCache.compiled, "loaded": KernelCache.loaded,
                  "inner": [InnerCache.lowered, InnerCache.loaded]}))
"""


HELPED = """
import json, time
from pathlib import Path
from nanotick.core import parallel
from nanotick.core.inner_cache import InnerCache
from nanotick.core.kernel import REGISTRY, compile_entry
from nanotick.book import zz_entry
entry = next(e for e in REGISTRY.values() if e.dispatcher is zz_entry.run)
below = parallel.reached(entry.dispatcher)
parallel.helpers = lambda: 1
until = time.monotonic() + 120
with parallel.Helpers([entry]) as helping:
    while parallel._missing(below) and time.monotonic() < until:
        time.sleep(0.05)
compile_entry(entry)
names = [kernel.py_func.__name__ for kernel in below]
print(json.dumps({"below": names, "inner": [InnerCache.lowered, InnerCache.loaded]}))
"""


class Tree:
    """A copy of the package with a few modules of ours, and a cache of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache = root, root / "cache"
        self.inner: list[int] = []  # inner kernels lowered and loaded by the last run
        shutil.copytree(PACKAGE, root / "nanotick", ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in MODULES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.root / "nanotick" / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / "nanotick" / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, entry: str = "nanotick.book.zz_entry.run", program: str = PROGRAM, **environment: str) -> dict:
        env = {**os.environ, "NANOTICK_CACHE_DIR": str(self.cache), "PYTHONPATH": str(self.root)} | environment
        done = subprocess.run(
            [sys.executable, "-c", program, entry], env=env, cwd=self.root, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        self.inner = found.pop("inner")
        return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


def test_an_edit_anywhere_below_an_entry_is_noticed_and_one_elsewhere_is_not(tree: Tree) -> None:
    assert tree.run() == {"answer": 21, "compiled": 1, "loaded": 0}
    assert tree.inner == [2, 0]
    assert tree.run() == {"answer": 21, "compiled": 0, "loaded": 1}
    assert tree.inner == [0, 0]
    tree.edit("book/zz_elsewhere.py", "1", "2")
    tree.edit("data/__init__.py", '"""', '"""Edited. ')
    assert tree.run() == {"answer": 21, "compiled": 0, "loaded": 1}
    # a constant two modules away
    tree.edit("book/zz_constants.py", "3", "10")
    assert tree.run() == {"answer": 70, "compiled": 1, "loaded": 0}
    assert tree.inner == [2, 0]
    # the body of a helper
    tree.edit("book/zz_helper.py", "+ 0", "+ 100")
    assert tree.run() == {"answer": 170, "compiled": 1, "loaded": 0}
    assert tree.inner == [2, 0]
    # the layout of a record
    tree.edit("book/zz_layout.py", '("right", "<i8")', '("mid", "<i8"), ("right", "<i8")')
    assert tree.run() == {"answer": 210, "compiled": 1, "loaded": 0}
    assert tree.inner == [2, 0]
    # the entry itself: what it calls is read
    tree.edit("book/zz_entry.py", "scaled(address)", "-scaled(address)")
    assert tree.run() == {"answer": -210, "compiled": 1, "loaded": 0}
    assert tree.inner == [0, 2]
    tree.edit("book/zz_entry.py", "-scaled(address)", "scaled(address)")
    # and back: what was compiled from this very source is there still
    tree.edit("book/zz_layout.py", '("mid", "<i8"), ', "")
    assert tree.run() == {"answer": 170, "compiled": 0, "loaded": 1}


def test_another_entry_in_another_process_lowers_nothing_twice(tree: Tree) -> None:
    answer = tree.run()["answer"]
    assert tree.run("nanotick.book.zz_other.other") == {"answer": answer + 1, "compiled": 1, "loaded": 0}
    assert tree.inner == [0, 2]


def test_a_helper_lowers_what_an_entry_reaches_and_its_starter_loads_it(tree: Tree) -> None:
    tree.edit("book/zz_constants.py", "FACTOR", "UNUSED = 1\nFACTOR")
    assert tree.run(program=HELPED)["below"] == ["right", "scaled"]
    assert tree.inner == [0, 2]


def test_damaged_or_missing_inner_kernels_are_lowered_again(tree: Tree) -> None:
    answer = tree.run()["answer"]
    for damage in (
        lambda data: data[:40],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"",
    ):
        for path in tree.cache.glob("*/*.nbc"):
            path.unlink()
        for path in tree.cache.glob("*/right-*.nbi"):
            path.write_bytes(damage(path.read_bytes()))
        assert tree.run() == {"answer": answer, "compiled": 1, "loaded": 0}
        assert sum(tree.inner) >= 2
    for path in tree.cache.glob("*/right-*.nbi"):
        path.unlink()
    for path in tree.cache.glob("*/*.nbc"):
        path.unlink()
    assert tree.run() == {"answer": answer, "compiled": 1, "loaded": 0}


def test_other_settings_of_numba_are_other_code(tree: Tree) -> None:
    before = tree.run()["answer"]
    assert tree.run(NUMBA_OPT="1") == {"answer": before, "compiled": 1, "loaded": 0}


def test_the_scan_for_imports_misses_none() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        parsed = {(base, name) for base, names in source.parsed_imports(text) for name in names}
        scanned = {(base, name) for base, names in source.scanned_imports(text) for name in names}
        assert parsed <= scanned, path


def test_the_closure_of_a_module_is_what_importing_it_loads() -> None:
    """Whatever a kernel module loads of nanotick is in its closure: nothing reaches it by another way."""
    for module in ("nanotick.book.apply", "nanotick.engine.replay", "nanotick.strategy.compile"):
        program = f"import sys, {module}; print(*(m for m in sys.modules if m.startswith('nanotick.')))"
        env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300, check=True
        )
        loaded = {name for name in done.stdout.split() if (PACKAGE.parent / name.replace(".", "/")).is_dir() is False}
        assert loaded <= set(source.module_closure(module)), module


def test_a_function_made_at_run_time_is_told_by_what_it_closes_over() -> None:
    def make(value: object) -> Callable[[int], object]:
        def inner(x: int) -> object:
            return value

        return inner

    one, same, other = (source.function_digest(make(value)) for value in (1, 1, 2))
    assert one == same != other
