"""The kernel cache: loaded when whole, compiled again when not, survived when it cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanotick.core.mode import INTERPRET

if INTERPRET:
    pytest.skip("interpreted kernels are not cached", allow_module_level=True)

# A process with kernels of its own and no others: what it prints is its answers and what the cache did.
PROGRAM = """
import json, sys, warnings
from nanotick.core import warmup
from nanotick.core.cache import KernelCache, cache_directory
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64
import numpy as np

@kernel("i8(i8,i8)")
def add_up(address, count):
    total = 0
    for i in range(count):
        total += load_i64(address + 8 * i)
    return total

@kernel("i8(i8)")
def double(x):
    return 2 * x

warmup.KERNEL_MODULES.clear()
seen = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    manifest = warmup.warm(lambda name, number, total: seen.append((name, number, total)))
array = np.arange(5)
print(json.dumps({
    "answers": [int(add_up(int(array.ctypes.data), 5)), int(double(21))],
    "compiled": KernelCache.compiled, "loaded": KernelCache.loaded, "kernels": manifest.kernels,
    "directory": str(cache_directory()), "warnings": [str(w.message) for w in caught], "seen": seen,
    "warm": warmup.is_warm(), "manifest": manifest.__dict__,
}))
"""


def start(script: Path, cache: Path | None, **environment: str) -> subprocess.Popen[str]:
    script.write_text(PROGRAM)
    env = {k: v for k, v in os.environ.items() if k != "NANOTICK_CACHE_DIR"}
    env |= {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment}
    if cache is not None:
        env["NANOTICK_CACHE_DIR"] = str(cache)
    return subprocess.Popen(
        [sys.executable, str(script)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["answers"] == [10, 42]
    return result


def run(script: Path, cache: Path | None, **environment: str) -> dict:
    return finish(start(script, cache, **environment))


def kernel_files(directory: str) -> list[Path]:
    return sorted(Path(directory).glob("*.nbc"))


def test_the_second_process_loads_and_damaged_files_are_compiled_again(tmp_path) -> None:
    script, cache = tmp_path / "program.py", tmp_path / "cache"
    # two at once, cold: one compiles under the lock, the other waits and loads
    both = [start(script, cache) for _ in range(2)]
    first, second = (finish(process) for process in both)
    assert first["compiled"] + second["compiled"] == 2 and first["loaded"] + second["loaded"] == 2
    assert [n for n, _, _ in first["seen"]][-1] == "" and first["seen"][-1][1:] == [2, 2]
    assert first["warm"] and {first["manifest"]["compiled"], second["manifest"]["compiled"]} == {0, 2}
    files = kernel_files(first["directory"])
    assert len(files) == 2
    # one truncated, one with a flipped bit; and a killed writer's leftover
    whole = [file.read_bytes() for file in files]
    files[0].write_bytes(whole[0][: len(whole[0]) // 2])
    files[1].write_bytes(whole[1][:100] + bytes([whole[1][100] ^ 4]) + whole[1][101:])
    (Path(first["directory"]) / (files[0].name + "xyz")).write_bytes(b"")
    third = run(script, cache)
    assert (third["compiled"], third["loaded"]) == (2, 0)
    files[0].write_bytes(b"")
    manifest = next(Path(first["directory"]).glob("manifest-*.json"))
    manifest.write_text("{")
    fourth = run(script, cache)
    assert (fourth["compiled"], fourth["loaded"]) == (1, 1)
    assert json.loads(manifest.read_text())["kernels"] == 2


def test_without_a_home_or_a_directory_that_can_be_written_it_still_runs(tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")  # also for root, whom no permission stops
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    nowhere = run(tmp_path / "a.py", blocked, TMPDIR=str(temporary), HOME=str(blocked))
    assert nowhere["compiled"] == 2 and nowhere["directory"].startswith(str(temporary)) and not nowhere["warnings"]


_REFUSED = """
import tempfile
tempfile.gettempdir = lambda: {blocked!r}
"""


def test_when_nothing_can_be_written_it_says_so_once_and_compiles(tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    script = tmp_path / "program.py"
    process = start(script, blocked)
    process.kill()
    process.communicate()
    script.write_text(_REFUSED.format(blocked=str(blocked)) + PROGRAM)
    env = {**os.environ, "NANOTICK_CACHE_DIR": str(blocked), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["answers"] == [10, 42] and result["directory"] == "None" and not result["warm"]
    assert len(result["warnings"]) == 1 and "set NANOTICK_CACHE_DIR" in result["warnings"][0]


CALLBACK_PROGRAM = """
import json
from nanotick.core import warmup
from nanotick.core.cache import KernelCache
from nanotick.core.kernel import kernel, lasting_callback
from nanotick.core.memory import call2

@lasting_callback("test.difference")
def difference(a, b):
    return a - b

@kernel("i8(i8,i8,i8)")
def through(function, a, b):
    return call2(function, a, b)

warmup.KERNEL_MODULES.clear()
seen = []
manifest = warmup.warm(lambda name, number, total: seen.append((name, number, total)))
counts = [KernelCache.compiled, KernelCache.loaded]
answer = int(through(difference(), 44, 2))
assert [KernelCache.compiled, KernelCache.loaded] == counts, "nothing is left for the first use"
print(json.dumps({"answer": answer, "counts": counts, "kernels": manifest.kernels, "seen": seen}))
"""


def test_warm_up_compiles_what_kernels_call_by_address(tmp_path) -> None:
    script = tmp_path / "program.py"
    script.write_text(CALLBACK_PROGRAM)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "NANOTICK_CACHE_DIR": str(tmp_path)}
    runs = [
        json.loads(subprocess.run([sys.executable, str(script)], env=env, capture_output=True, check=True).stdout)
        for _ in range(2)
    ]
    assert [run["answer"] for run in runs] == [42, 42]
    assert [run["counts"] for run in runs] == [[2, 0], [0, 2]]
    assert runs[0]["kernels"] == 2 and runs[0]["seen"] == [
        ["__main__.through", 0, 2], ["test.difference", 1, 2], ["", 2, 2],
    ]  # fmt: skip
