"""`nanotick bench`: run the repository's benchmarks, beside their peers where those are installed.

The benchmarks are not part of the installed package: they are the `benchmarks` directory of a checkout, found from the
working directory or from where an editable install lies.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _find_benchmarks() -> Path | None:
    checkout = Path(__file__).resolve().parents[3]
    return next((root for root in (Path.cwd(), checkout) if (root / "benchmarks" / "registry.py").is_file()), None)


def bench(*names: str, json: bool = False, list_: bool = False) -> int:
    """Measure, and compare with other programs on the same generated events.

    Parameters
    ----------
    names : str
        Benchmarks to run, by name or the beginning of one; all of them when none is named.
    json : bool
        Print a list of objects: name, value, unit, peer, peer_value, ratio, reach.
    list_ : bool
        Print the names and what they measure, and run nothing.

    Returns
    -------
    int
        Exit code: 0, or 2 when there is nothing to run.
    """
    root = _find_benchmarks()
    if root is None:
        print(
            "The benchmarks are part of the repository, not of the installed package: "
            "run `nanotick bench` in a checkout, or `make bench` there.",
            file=sys.stderr,
        )
        return 2
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    registry = importlib.import_module("benchmarks.registry")
    report = importlib.import_module("benchmarks.report")

    try:
        chosen = registry.select(list(names))
    except KeyError as unknown:
        print(unknown.args[0], file=sys.stderr)
        return 2
    if list_:
        for each in chosen:
            print(f"{each.name:32} {each.what}")
        return 0

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    results = []
    try:
        for result in registry.measure(chosen, say):
            results.append(result)
    except KeyboardInterrupt:
        say(f"stopped after {len(results)} of {len(chosen)} benchmarks")
    if json:
        print(report.as_json(results))
    else:
        from rich.console import Console

        report.print_table(results, Console())
    return 0
