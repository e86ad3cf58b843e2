"""What a source format is: a name, how to recognise it, and a reader that turns sources into events.

A format is one module in this package with a `FORMAT` object in it, listed here and imported when asked for. Its
`read` is a generator of EVENT arrays (chunks of any size, in order of arrival, valid until the next one is asked for);
it names instruments to the `Listing` on the way and reports to the `QualityReport`. Flags VENUE and LOCAL are set by
the reader (both, unless it knows better); times that disagree are settled later by `data.ordering`.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Contract, Instrument
from nanotick.data.archive import Source
from nanotick.data.quality import BadDataError, QualityReport

# name -> module with FORMAT (or module:OBJECT), in the order in which content is tried
FORMATS: dict[str, str] = {
    "event": "nanotick.data.events_format",
    "itch": "nanotick.data.itch",
    "cryptofeed": "nanotick.data.cryptofeed",
    "binance": "nanotick.data.binance_lines",
    "lobster": "nanotick.data.lobster",
    "kraken": "nanotick.data.venue_files:KRAKEN",
    "coinbase": "nanotick.data.venue_files:COINBASE",
    "bybit": "nanotick.data.venue_files:BYBIT",
    "bitstamp": "nanotick.data.venue_files:BITSTAMP",
    "bitfinex": "nanotick.data.venue_files:BITFINEX",
    "tardis": "nanotick.data.tardis",
    "hftbacktest": "nanotick.data.hftbacktest_npz",
    "binance-csv": "nanotick.data.binance_csv",
    "moldudp64": "nanotick.data.moldudp64",
    "iex": "nanotick.data.iex",
    "databento": "nanotick.data.databento",
    "table": "nanotick.data.table",
}

SKIPPED = -1


@dataclass(frozen=True)
class Options:
    """What a user says about a source.

    Attributes
    ----------
    symbols : tuple of str
        Read these only; all when empty.
    specs : dict
        `Instrument` fields by symbol (or `*` for all), over what the format knows.
    day : date, optional
        The trading day, for formats whose times are since midnight; otherwise taken from the file's name.
    venue : str
        Name of the venue, over the format's own.
    settings : dict
        Further options of the format, by name (`--set NAME=VALUE`).
    """

    symbols: tuple[str, ...] = ()
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    day: date | None = None
    venue: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def setting(self, name: str, default: str = "") -> str:
        """One of the format's own options."""
        return self.settings.get(name, default)


class Listing:
    """The instruments found so far, numbered in the order found."""

    def __init__(self, options: Options) -> None:
        self.instruments: list[Instrument] = []
        self._options = options
        self._numbers: dict[tuple[str, str], int] = {}

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.instruments)

    def __len__(self) -> int:
        return len(self.instruments)

    def number(self, instrument: Instrument) -> int:
        """Number of an instrument, listed now if it is new; `SKIPPED` when the user did not ask for its symbol."""
        symbol = instrument.symbol
        venue = self._options.venue or instrument.venue
        known = self._numbers.get((symbol, venue))
        if known is not None:
            return known
        number = SKIPPED
        if not self._options.symbols or symbol in self._options.symbols:
            number = len(self.instruments)
            self.instruments.append(self.specified(replace(instrument, venue=venue)))
        self._numbers[symbol, venue] = number
        return number

    def specified(self, instrument: Instrument) -> Instrument:
        """The instrument with the user's fields over it."""
        for key in ("*", instrument.symbol, f"{instrument.symbol}@{instrument.venue}"):
            fields = self._options.specs.get(key)
            if fields:
                try:
                    instrument = replace(instrument, **fields)
                except (TypeError, ValueError) as error:
                    raise BadDataError(f"instrument spec of {key}: {error}") from error
        return instrument

    def rename(self, number: int, instrument: Instrument) -> int:
        """Give a number that was listed under a placeholder its real name; the number that now stands for it."""
        known = self._numbers.get((instrument.symbol, self._options.venue or instrument.venue))
        if known is not None:
            return known
        if self._options.symbols and instrument.symbol not in self._options.symbols:
            return SKIPPED
        venue = self._options.venue or instrument.venue
        self.instruments[number] = self.specified(replace(instrument, venue=venue))
        self._numbers[instrument.symbol, venue] = number
        return number


class Format(Protocol):
    """A source format."""

    name: str
    description: str
    extensions: tuple[str, ...]

    def sniff(self, head: bytes, source: Source) -> bool:
        """Whether a source with these first 4096 (expanded) bytes is of the format."""
        ...

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the sources, which belong together and are in order."""
        ...


def get_format(name: str) -> Format:
    """The format of a name.

    Raises
    ------
    BadDataError
        There is none.
    """
    module = FORMATS.get(name)
    if module is None:
        raise BadDataError(f"format {name!r}: there are {', '.join(sorted(FORMATS))}")
    place, _, attribute = module.partition(":")
    found: Format = getattr(importlib.import_module(place), attribute or "FORMAT")
    return found


def detect_format(source: Source) -> Format:
    """The format a source's content shows.

    Raises
    ------
    BadDataError
        No format recognises it.
    """
    head = source.head(4096)
    for name in FORMATS:
        found = get_format(name)
        if found.sniff(head, source):
            return found
    raise BadDataError(
        f"{source.label}: no format recognises it (it starts with {head[:16]!r}); "
        f"name one with --format: {', '.join(sorted(FORMATS))}"
    )


class Reading:
    """A reading under way: iterate it for the events, then look at its report and instruments.

    Parameters
    ----------
    sources : sequence of Source
        In the order in which they are read. Neighbours of one format are read together.
    format_name : str
        The format of all of them; recognised by content, one by one, when empty.
    options : Options, optional
    report : QualityReport, optional

    Raises
    ------
    BadDataError
        There is nothing to read, the format is unknown, or no source is recognised.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        format_name: str = "",
        options: Options | None = None,
        report: QualityReport | None = None,
    ) -> None:
        if not sources:
            raise BadDataError("nothing to read; give at least one file")
        self.options = options or Options()
        self.report = report or QualityReport()
        self.listing = Listing(self.options)
        self.groups: list[tuple[Format, list[Source]]] = []
        self._opened: list[tuple[Any, int]] = []
        unknown: list[BadDataError] = []
        for source in sources:
            try:
                found = get_format(format_name) if format_name else detect_format(source)
            except BadDataError as error:
                if format_name or len(sources) == 1:
                    raise
                unknown.append(error)  # a readme among the members of an archive
                continue
            if not self.groups or self.groups[-1][0] is not found:
                self.groups.append((found, []))
            self.groups[-1][1].append(self._watched(source))
        if not self.groups:
            raise unknown[0]
        for problem in unknown:
            self.report.note(f"left out: {problem}")
        self.total = sum(source.size for _, group in self.groups for source in group)

    def _watched(self, source: Source) -> Source:
        def reopen() -> Any:
            raw = source.reopen()
            self._opened.append((raw, source.size))
            return raw

        return replace(source, reopen=reopen)

    @property
    def format_names(self) -> str:
        """The formats read, for metadata."""
        return "+".join(dict.fromkeys(found.name for found, _ in self.groups))

    def progress(self) -> int:
        """Stored bytes read so far, of `total`."""
        return sum(size if raw.closed else min(raw.tell(), size) for raw, size in self._opened)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for found, group in self.groups:
            for chunk in found.read(group, self.options, self.report, self.listing):
                self.report.count_events(chunk)
                yield chunk

    def events(self) -> npt.NDArray[Any]:
        """All events in one array, shape (n,); for what fits into memory."""
        from nanotick.core.records import EVENT

        chunks = [chunk.copy() for chunk in self]
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=EVENT)


_DAY = re.compile(r"(?<!\d)(?:(20\d\d|19\d\d)[-_]?([01]\d)[-_]?([0-3]\d)|([01]\d)([0-3]\d)(20\d\d|19\d\d))(?!\d)")


def day_of(options: Options, name: str) -> date | None:
    """The trading day the user named, else the one in a file's name (YYYYMMDD, YYYY-MM-DD or MMDDYYYY)."""
    if options.day is not None:
        return options.day
    for found in _DAY.finditer(name):
        year, month, day = (found[1], found[2], found[3]) if found[1] else (found[6], found[4], found[5])
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def midnight_ns(day: date, zone: str = "America/New_York") -> int:
    """Midnight of a day in a time zone, ns UTC.

    Raises
    ------
    BadDataError
        This machine's time zone database does not know the zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        local = datetime(day.year, day.month, day.day, tzinfo=UTC if zone == "UTC" else ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadDataError(f"time zone {zone!r} is not known here: {error}; pip install tzdata brings them") from error
    return round(local.timestamp()) * 1_000_000_000


_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "tick": ("tick_size", str),
    "lot": ("lot_size", str),
    **{
        name: (name, str)
        for name in ("tick_size", "lot_size", "min_qty", "max_qty", "min_notional", "multiplier", "currency", "symbol")
    },
    "venue": ("venue", str),
    "price_decimals": ("price_decimals", int),
    "qty_decimals": ("qty_decimals", int),
    "contract": ("contract", lambda text: Contract[text.upper()] if not text.isdigit() else Contract(int(text))),
}


def parse_specs(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Instrument specifications of the command line.

    Parameters
    ----------
    texts : iterable of str
        `SYMBOL:tick=0.01,lot=1,price_decimals=2` (`*` for every symbol), or the path of a JSON or YAML file with a
        mapping of symbol to fields.

    Raises
    ------
    BadDataError
        A field is unknown or its value is not of its type.
    """
    specs: dict[str, dict[str, Any]] = {}
    for text in texts:
        if text.endswith((".json", ".yaml", ".yml")):
            held = Path(text).read_text()
            if text.endswith(".json"):
                mapping = json.loads(held)
            else:
                import yaml

                mapping = yaml.safe_load(held)
            items = [(symbol, [(k, str(v)) for k, v in fields.items()]) for symbol, fields in mapping.items()]
        else:
            symbol, _, rest = text.partition(":")
            pairs = [part.partition("=") for part in rest.split(",") if part]
            items = [(symbol, [(name.strip(), value.strip()) for name, _, value in pairs])]
        for symbol, fields in items:
            for name, value in fields:
                if name not in _FIELDS:
                    raise BadDataError(
                        f"instrument spec {text!r}: no field {name!r}; there are {', '.join(sorted(_FIELDS))}"
                    )
                target, convert = _FIELDS[name]
                try:
                    specs.setdefault(symbol, {})[target] = convert(value)
                except (ValueError, KeyError) as error:
                    raise BadDataError(f"instrument spec {text!r}: {name}={value}: {error}") from error
    return specs
