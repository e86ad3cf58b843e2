"""Which core does what in a pinned session, and what of it this machine allows.

    cores: {feeds: 1, engine: 2, gateway: 3}        in the YAML; feeds may be a list, one for each

Without a word about cores they are chosen where there are enough: from the ones that the kernel keeps free of other
work first, then from the last, for the first serves interrupts. One is left to everything else. What is asked for and
cannot be had is said, and the session goes on without pinning: its parts are then put wherever the system likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanotick.core.machine import format_cpus, isolated_cpus, parse_cpus

ROLES = ("feeds", "engine", "gateway")


@dataclass(frozen=True)
class Cores:
    """Processors by part; None where the system may choose.

    Attributes
    ----------
    feeds : tuple of int
        In turn, one to a feed.
    """

    feeds: tuple[int, ...] = ()
    engine: int | None = None
    gateway: int | None = None

    def feed(self, number: int) -> int | None:
        """Of a feed."""
        return self.feeds[number % len(self.feeds)] if self.feeds else None

    @property
    def alone(self) -> bool:
        """Whether no two parts share a core: only then may they spin."""
        named = [*self.feeds, self.engine, self.gateway]
        return None not in named and len(set(named)) == len(named) and bool(self.feeds)

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {"feeds": list(self.feeds), "engine": self.engine, "gateway": self.gateway}


def usable() -> set[int]:
    """Processors that this process may run on."""
    try:
        return set(os.sched_getaffinity(0))
    except AttributeError:
        return set(range(os.cpu_count() or 1))


def cores_from(values: Any, where: str) -> dict[str, tuple[int, ...]]:
    """The `cores` of a configuration: processors by part.

    Raises
    ------
    ValueError
        Not processors; the message names the place.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, value in dict(values or {}).items():
        numbers = value if isinstance(value, list) else [value]
        good = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 4096 for n in numbers)
        if not good or not numbers or (name != "feeds" and len(numbers) > 1):
            wanted = "a processor's number" + (" or a list of them" if name == "feeds" else "")
            raise ValueError(f"{where}.{name}: expected {wanted}, found {value!r}")
        found[name] = tuple(numbers)
    return found


def planned(
    asked: Mapping[str, Sequence[int]],
    feeds: int,
    available: Iterable[int] | None = None,
    isolated: Iterable[int] | None = None,
) -> tuple[Cores, list[str]]:
    """Cores for a session, and what has to be said about them.

    Parameters
    ----------
    asked : mapping of str to sequence of int
        Processors by part (`feeds`, `engine`, `gateway`); empty: choose.
    feeds : int
        How many there are.
    available, isolated : iterable of int, optional
        Of this process and of the kernel.

    Examples
    --------
    >>> planned({}, 1, range(8), [6, 7])[0]
    Cores(feeds=(5,), engine=7, gateway=6)
    >>> planned({}, 1, range(2), [])
    (Cores(feeds=(), engine=None, gateway=None), ['not pinned: 1 feed, engine, gateway and the rest want 4 cores, ...
    """
    ours = usable() if available is None else set(available)
    if asked:
        missing = sorted({n for numbers in asked.values() for n in numbers} - ours)
        if missing:
            return Cores(), [
                f"not pinned: processors {format_cpus(missing)} were asked for, this process may use "
                f"{format_cpus(ours)}"
            ]
        engine, gateway = (asked[name][0] if name in asked else None for name in ("engine", "gateway"))
        chosen = Cores(tuple(asked.get("feeds", ())), engine, gateway)
        notes = [] if chosen.alone else ["parts share cores, or have none of their own: they wait instead of spinning"]
        return chosen, notes
    words = f"{feeds} feed" + ("s" if feeds != 1 else "")
    if len(ours) < feeds + 3:
        return Cores(), [
            f"not pinned: {words}, engine, gateway and the rest want {feeds + 3} cores, this process may use "
            f"{len(ours)}; inline is the faster mode here"
        ]
    quiet = set(parse_cpus(isolated_cpus())) if isolated is None else set(isolated)
    ranked = sorted(ours, key=lambda n: (n not in quiet, -n))
    return Cores(tuple(ranked[2 : 2 + feeds]), ranked[0], ranked[1]), []
