"""What a file holds and what is wrong with it: the quality report every reader fills.

Readers count source messages and report anomalies with the place and the reason; whoever consumes the events counts
kinds and time stamps. Under `strict` the first anomaly that is an error of the data raises `BadDataError`; locked
books, silences and disorder that the two time orders can express are facts about a market and never do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, Flag, Kind

if TYPE_CHECKING:
    from rich.table import Table

FIRST_PLACES = 5  # places kept of each anomaly


class Anomaly(StrEnum):
    """What can be wrong with recorded data."""

    TRUNCATED = "truncated"  # the file, archive or capture ends in the middle of something
    MALFORMED = "malformed"  # a record that does not parse, or contradicts itself
    UNKNOWN_MESSAGE = "unknown_message"  # well framed, of a type the protocol does not have
    GAP = "gap"  # sequence numbers are missing
    DUPLICATE = "duplicate"  # a sequence number, update or order id a second time
    DISORDER = "disorder"  # time stamps go backwards
    CLOCK_SKEW = "clock_skew"  # received before it was sent
    CROSSED = "crossed"  # best bid above best ask
    LOCKED = "locked"  # best bid equal to best ask
    STALE = "stale"  # nothing arrived for longer than allowed
    UNKNOWN_REFERENCE = "unknown_reference"  # an order or trade id that was never announced
    OVERFILL = "overfill"  # more taken off an order than rests in it
    CHECKSUM = "checksum"  # the venue's checksum does not match the book
    UNSUPPORTED = "unsupported"  # understood, but events cannot say it


OBSERVATIONS = frozenset({Anomaly.LOCKED, Anomaly.STALE, Anomaly.UNSUPPORTED, Anomaly.DISORDER})


class BadDataError(Exception):
    """The data is not usable as asked: damaged, of another format, or imperfect under `strict`."""


@dataclass
class Places:
    """How often an anomaly occurred, and where first."""

    count: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)


class QualityReport:
    """Counts and anomalies of one reading.

    Parameters
    ----------
    strict : bool
        Raise `BadDataError` at the first anomaly that is not an observation.

    Attributes
    ----------
    messages : collections.Counter
        Count per type of source message.
    events : collections.Counter
        Count per kind name.
    anomalies : dict
        `Places` per `Anomaly`.
    notes : list of str
        What was assumed or done to the data, in words.
    checks : collections.Counter
        Results of verification (`checksums_ok`, `checksums_bad`).
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.messages: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.anomalies: dict[str, Places] = {}
        self.checks: Counter[str] = Counter()
        self.notes: list[str] = []
        self.first_ts: int | None = None
        self.last_ts: int | None = None

    def message(self, kind: str, count: int = 1) -> None:
        """Count source messages of a type."""
        self.messages[kind] += count

    def note(self, text: str) -> None:
        """Say once what was assumed or changed."""
        if text not in self.notes:
            self.notes.append(text)

    def anomaly(self, kind: Anomaly, where: str, reason: str, count: int = 1) -> None:
        """Report `count` occurrences of an anomaly, the first of them at a place.

        Parameters
        ----------
        kind : Anomaly
        where : str
            File and position, for example `day.itch byte 4080` or `btc.gz line 17`.
        reason : str
            What was found and what was expected.

        Raises
        ------
        BadDataError
            Under `strict`, unless the kind is an observation.
        """
        places = self.anomalies.setdefault(kind.value, Places())
        places.count += count
        if len(places.first) < FIRST_PLACES:
            places.first.append({"where": where, "reason": reason})
        if self.strict and kind not in OBSERVATIONS:
            raise BadDataError(f"{where}: {kind.value}: {reason}; without --strict the record is skipped and reported")

    def recall(self, meta: dict[str, Any]) -> None:
        """Take over what an event file remembers of its own conversion; nothing of it is an error again."""
        self.messages.update(meta.get("messages", {}))
        self.checks.update(meta.get("checks", {}))
        for text in meta.get("notes", []):
            self.note(text)
        for kind, held in meta.get("anomalies", {}).items():
            places = self.anomalies.setdefault(kind, Places())
            places.count += held["count"]
            places.first.extend(held["first"][: FIRST_PLACES - len(places.first)])

    def count(self, kind: Anomaly) -> int:
        """How often an anomaly occurred."""
        places = self.anomalies.get(kind.value)
        return places.count if places else 0

    def count_events(self, events: npt.NDArray[Any]) -> None:
        """Add events, shape (n,), to the counts per kind and to the span of venue times.

        The LOCAL half of a row that was split to keep both time orders is the same event and not counted again.
        """
        if not len(events):
            return
        once = events["flags"] & BOTH_SIDES != Flag.LOCAL
        for kind, number in enumerate(np.bincount(events["kind"][once], minlength=1)):
            if number:
                self.events[kind_name(kind)] += int(number)
        stamps = events["ts_venue"]
        first, last = int(stamps.min()), int(stamps.max())
        self.first_ts = first if self.first_ts is None else min(self.first_ts, first)
        self.last_ts = last if self.last_ts is None else max(self.last_ts, last)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: `messages`, `events`, `first_ts`, `last_ts`, `anomalies`, `notes`, and `checks` if any."""
        values: dict[str, Any] = {
            "messages": dict(sorted(self.messages.items())),
            "events": dict(sorted(self.events.items())),
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "anomalies": {
                kind: {"count": places.count, "first": places.first} for kind, places in sorted(self.anomalies.items())
            },
            "notes": self.notes,
        }
        if self.checks:
            values["checks"] = dict(sorted(self.checks.items()))
        return values

    def tables(self) -> list[Table]:
        """The same for people: tables for a rich console."""
        from rich.table import Table

        counts = Table(title="counts", title_justify="left")
        for name in ("", "type", "count"):
            counts.add_column(name, justify="right" if name == "count" else "left")
        for label, counter in (("message", self.messages), ("event", self.events), ("check", self.checks)):
            for name, number in sorted(counter.items()):
                counts.add_row(label, name, f"{number:,}")
        if not self.anomalies:
            return [counts]
        found = Table(title="anomalies", title_justify="left")
        for name in ("kind", "count", "first at", "reason"):
            found.add_column(name, justify="right" if name == "count" else "left")
        for kind, places in sorted(self.anomalies.items()):
            for i, place in enumerate(places.first):
                found.add_row(*((kind, f"{places.count:,}") if i == 0 else ("", "")), place["where"], place["reason"])
        return [counts, found]


def kind_name(kind: int) -> str:
    """Name of an event kind, or its number when there is no such kind."""
    try:
        return Kind(kind).name
    except ValueError:
        return str(kind)
