"""Benchmarks by name: declared beside what they measure, run in turn, printed with their peer and their aim.

    @benchmark("l2_noop", "price-level replay, no-op strategy each 100 ms", unit="rows/s",
               peer=hftbacktest("noop", "levels_hft", "best"), reach=">= 2.5x")
    def l2_noop() -> float:
        return rate(len(events), run, prepare)

A benchmark returns one number in its unit. Its peer is another program run right after it on the same generated input,
a published constant, or nothing. `reach` is a comparison: `>= 2.5x` and `<= 1.2x` judge the ratio (value divided by the
peer's), `<= 24` judges the value. All files named `benchmarks/bench_*.py` are imported; no list is kept.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.peer import Peer, PeerUnavailable

_REACH = re.compile(r"(>=|<=) ([0-9.]+)(x?)")


@dataclass(frozen=True)
class Benchmark:
    """One thing measured: its name, what it is in a few words, unit, peer and aim."""

    name: str
    what: str
    unit: str
    run: Callable[[], float]
    peer: Peer | None
    reach: str | None


@dataclass(frozen=True)
class Result:
    """What one benchmark gave; the field names are those of `nanotick bench --json`."""

    name: str
    value: float
    unit: str
    peer: str | None
    peer_value: float | None
    ratio: float | None
    reach: str | None

    @property
    def reached(self) -> bool | None:
        """Whether the aim is met; None when there is no aim, or no peer value to judge it by."""
        if self.reach is None:
            return None
        sign, bound, of_ratio = parse_reach(self.reach)
        judged = self.ratio if of_ratio else self.value
        if judged is None:
            return None
        return judged >= bound if sign == ">=" else judged <= bound


BENCHMARKS: dict[str, Benchmark] = {}


def parse_reach(reach: str) -> tuple[str, float, bool]:
    """Return (sign, bound, whether it bounds the ratio) of an aim such as `>= 2.5x` or `<= 24`."""
    match = _REACH.fullmatch(reach)
    if match is None:
        raise ValueError(
            f"reach {reach!r} is not a comparison such as '>= 2.5x' (of the ratio) or '<= 24' (of the value)"
        )
    return match[1], float(match[2]), match[3] == "x"


def benchmark(
    name: str, what: str, *, unit: str, peer: Peer | None = None, reach: str | None = None
) -> Callable[[Callable[[], float]], Callable[[], float]]:
    """Declare the decorated function a benchmark.

    Parameters
    ----------
    name : str
        What `nanotick bench` calls it: lower case, words joined by underscores.
    what : str
        What is measured, in a few words.
    unit : str
        Unit of the number the function returns (`rows/s`, `ns`, `MiB`).
    peer : Peer, optional
        What it is compared with.
    reach : str, optional
        The aim (see the module's docstring).
    """
    if reach is not None:
        parse_reach(reach)

    def declare(function: Callable[[], float]) -> Callable[[], float]:
        if name in BENCHMARKS:
            raise ValueError(f"two benchmarks are named {name!r}")
        BENCHMARKS[name] = Benchmark(name, what, unit, function, peer, reach)
        return function

    return declare


def load() -> dict[str, Benchmark]:
    """Import every `benchmarks/bench_*.py` and return all benchmarks by name."""
    import benchmarks

    for module in sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__)):
        if module.startswith("bench_"):
            importlib.import_module(f"benchmarks.{module}")
    return BENCHMARKS


def select(names: list[str]) -> list[Benchmark]:
    """Return the benchmarks whose names start with one of `names`, all of them for an empty list.

    Raises
    ------
    KeyError
        If a name matches nothing; the message lists the names.
    """
    known = load()
    for name in names:
        if not any(candidate.startswith(name) for candidate in known):
            raise KeyError(f"no benchmark is named {name!r}; there are: {', '.join(sorted(known))}")
    return [b for b in known.values() if not names or any(b.name.startswith(name) for name in names)]


def measure(chosen: list[Benchmark], say: Callable[[str], None]) -> Iterator[Result]:
    """Run the benchmarks in turn; a peer that cannot be run is said and left out of its result."""
    for each in chosen:
        say(f"{each.name}: {each.what}")
        value = each.run()
        peer_value = None
        if each.peer is not None:
            try:
                peer_value = each.peer.value()
            except PeerUnavailable as reason:
                say(f"{each.name}: {reason}")
        ratio = value / peer_value if peer_value else None
        yield Result(each.name, value, each.unit, each.peer.label if each.peer else None, peer_value, ratio, each.reach)
