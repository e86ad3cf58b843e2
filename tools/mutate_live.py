"""Put one mistake at a time into the order code, and count how many of them its checks notice.

    python -m tools.mutate_live                       # all of them
    python -m tools.mutate_live --only 12 40          # some, by number
    python -m tools.mutate_live --only 12 --stages 1  # and only with the first check
    python -m tools.mutate_live --markdown            # print the table of docs/reliability.md

A mistake (`tools/live_mistakes.py`) is a replacement of source text, made while its module is imported: no file is
changed, and compiled kernels come from the usual cache. Each check runs in a process of its own, the cheapest first;
the first that fails has noticed the mistake. A mistake inside a kernel is run interpreted.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from tools.live_mistakes import MISTAKES, Mistake

LEAST_SHARE = 0.95
TIMEOUT_S = 300
NOT_LOADED = 70
SLOW = "not day and not ten_thousand and not sample and not 4 and not bounded"
IN_FLIGHT, INTERLEAVINGS = "tests/venues/test_orders_in_flight.py", "tests/venues/test_order_interleavings.py"
PYTEST = ("pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header")
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("what alone holds a danger off", (*PYTEST, "tests/venues/test_order_barriers.py")),
    ("8 short hours", ("tools.simulate_live", "--count", "8", "--hours", "0.3")),
    ("orders in flight", (*PYTEST, IN_FLIGHT, "-k", SLOW)),
    ("interleavings", (*PYTEST, INTERLEAVINGS, "-k", SLOW)),
    ("40 hours", ("tools.simulate_live", "--seed", "100", "--count", "40")),
    ("4 hours at the served Alpaca", ("tools.simulate_live", "--venue", "alpaca", "--count", "4")),
)


class _Changed(SourceFileLoader):
    """Loads a module with the mistake in it, and never from or into a file of bytecode."""

    def __init__(self, name: str, path: str, mistake: Mistake) -> None:
        super().__init__(name, path)
        self._mistake = mistake

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError("no bytecode of what is not in the file")

    def get_data(self, path: str) -> bytes:
        text = Path(path).read_text()
        for old, new in self._mistake.changes[self.name]:
            if text.count(old) != 1:
                raise SystemExit(f"{path}: expected this text once, found it {text.count(old)} times:\n{old}")
            text = text.replace(old, new)
        return text.encode()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mistake: Mistake) -> None:
        self._mistake = mistake

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._mistake.changes:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Changed(name, spec.origin, self._mistake)
        return spec


def inside(number: int, arguments: Sequence[str]) -> int:
    """Run a module with a mistake in what it imports; its exit status."""
    mistake = MISTAKES[number - 1] if number else None
    if mistake is not None:
        sys.meta_path.insert(0, _Finder(mistake))
    sys.argv = list(arguments)
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    if mistake is not None and not mistake.changes.keys() <= sys.modules.keys():
        return NOT_LOADED
    return status


def noticed(number: int, stages: Sequence[int]) -> str:
    """The check that fails; empty if none does."""
    mistake = MISTAKES[number - 1] if number else None
    environment = dict(os.environ)
    if mistake is not None and mistake.kernel:
        environment["NANOTICK_INTERPRET"] = "1"
    more = [
        (name, tuple(name.split()) if name.startswith("tools.") else (*PYTEST, *name.split()))
        for name in (mistake.tests if mistake is not None else ())
    ]
    for name, stage in [*more, *(STAGES[which - 1] for which in stages)]:
        command = [sys.executable, "-m", "tools.mutate_live", "--inside", str(number), *stage]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            return f"{name}, by never ending"
        if b"expected this text once" in done.stderr:
            raise SystemExit(done.stderr.decode())
        if done.returncode not in (0, NOT_LOADED):
            return name
    return ""


def main() -> int:
    """Try the mistakes; 1 if too many pass unnoticed."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(int(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of mistakes, from 1; 0: none, all must pass")
    parser.add_argument("--stages", type=int, nargs="*", default=range(1, len(STAGES) + 1), help="numbers of checks")
    parser.add_argument("--markdown", action="store_true", help="print rows of a table")
    asked = parser.parse_args()
    caught = tried = 0
    for number in asked.only or range(1, len(MISTAKES) + 1):
        began = time.monotonic()
        found = noticed(number, asked.stages)
        name = MISTAKES[number - 1].name if number else "no mistake"
        tried += 1
        caught += bool(found)
        if asked.markdown:
            print(f"| {name} | {found or '**nothing**'} |", flush=True)
        else:
            print(f"{number:3d} {found or 'UNNOTICED':30s} {time.monotonic() - began:5.0f} s  {name}", flush=True)
    print(f"{caught} of {tried} noticed")
    return 0 if caught >= LEAST_SHARE * tried else 1


if __name__ == "__main__":
    raise SystemExit(main())
