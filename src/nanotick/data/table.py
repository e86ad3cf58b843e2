"""CSV and Parquet of quotes, trades and bars, by a mapping of columns.

What a table holds and which column is what is seen from the column names (`COLUMNS` lists the names understood), from
the file's name for LEAN's headerless zips, or said with `--set`:

    kind=quotes|trades|bars          what a row is
    time=COLUMN bid=COLUMN ...       a column for a role: time recv bid bid_size ask ask_size price size side id open
                                     high low close volume symbol exchange
    columns=a,b,c                    names of the columns of a file without a header
    symbol=NAME                      the instrument, if no column says it
    unit=s|ms|us|ns                  of numeric times (otherwise judged by their size)
    base=midnight zone=ZONE          times are since midnight of the file's day in a time zone
    price_decimals=N size_decimals=N scale of the integers (otherwise as many as the first rows have, at most 9;
                                     further digits are rounded)
    scaled=yes                       prices are written as integers of that scale
    bar=SECONDS                      length of a bar whose time is its start: its event comes at its end

A quote that names one side only (LEAN's ticks) is completed with the other side's last of the same exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data.archive import Source
from nanotick.data.format import SKIPPED, Listing, Options, day_of, midnight_ns
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.data.rows import RowReader
from nanotick.wire.decimal_rows import IGNORED, MISSING, ROUNDED, TEXT

COLUMNS: dict[str, str] = {
    "time": "time timestamp ts date datetime dt ts_event time_key open_time local_timestamp",
    "recv": "recv ts_recv received receive_time",
    "bid": "bid bid_price bidprice bid_px best_bid",
    "bid_size": "bid_size bidsize bidsiz bid_qty bid_amount bid_sz best_bid_qty",
    "ask": "ask ask_price askprice ofr offer ask_px best_ask",
    "ask_size": "ask_size asksize ofrsiz ask_qty ask_amount ask_sz best_ask_qty",
    "price": "price px last trade_price",
    "size": "size qty quantity amount shares trade_size",
    "side": "side buyer_or_seller taker_side",
    "id": "id trade_id tradeid",
    "open": "open o",
    "high": "high h",
    "low": "low l",
    "close": "close c",
    "volume": "volume v vol",
    "symbol": "symbol ticker sym instrument",
    "exchange": "exchange ex venue",
}
_ROLE_OF = {name: role for role, names in COLUMNS.items() for name in names.split()}
_NEEDED = {"quotes": ("bid", "ask"), "trades": ("price", "size"), "bars": ("open", "high", "low", "close")}
_PRICES = ("bid", "ask", "price", "open", "high", "low", "close")
_SIZES = ("bid_size", "ask_size", "size", "volume")
_TEXTS = ("side", "symbol", "exchange")
_UNITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
_NUMBER = re.compile(r"^\d+(\.\d*)?$")
_LEAN = re.compile(r"^(\d{8})_([^_]+)_(?:(Trade|Quote)_Tick|(minute|second)_(trade|quote))\.csv$", re.IGNORECASE)
_LEAN_COLUMNS = {
    ("trade", True): "time,price,size,exchange,condition,suspicious",
    ("quote", True): "time,bid,bid_size,ask,ask_size,exchange,condition,suspicious",
    ("trade", False): "time,open,high,low,close,volume",
    ("quote", False): "time,o1,h1,l1,bid,bid_size,o2,h2,l2,ask,ask_size",
}
_SIDES = dict.fromkeys(("b", "buy", "bid", "buyer", "1"), 1) | dict.fromkeys(("s", "sell", "ask", "seller", "-1"), -1)
_FLAGS = BOTH_SIDES | int(Flag.LAST)


@dataclass
class Layout:
    """What the columns of a table are."""

    kind: str
    roles: list[str]  # by column, empty for one that is not used
    settings: dict[str, str]
    header: bool = True
    decimals: dict[str, int] = field(default_factory=dict)  # of prices and sizes

    def scale(self, role: str) -> int:
        """How a column is read."""
        if role in _PRICES:
            return 0 if self.settings.get("scaled") == "yes" else ROUNDED + self.decimals["price"]
        if role in _SIZES:
            return ROUNDED + self.decimals["size"]
        if role == "id":
            return 0
        return TEXT if role in (*_TEXTS, "time", "recv") else IGNORED


def layout_of(source: Source, head: bytes, options: Options) -> Layout | None:
    """The layout of a CSV, or None if its columns are not understood."""
    settings = dict(options.settings)
    lean = _LEAN.match(source.name)
    if lean:
        tick = lean[3] is not None
        what = (lean[3] or lean[5]).lower()
        length = {"minute": "60", "second": "1"}.get((lean[4] or "").lower(), "0")
        preset = {"columns": _LEAN_COLUMNS[what, tick], "symbol": lean[2].upper(), "unit": "ms", "base": "midnight"}
        settings = {**preset, "scaled": "yes", "price_decimals": "4", "bar": length, **settings}
    text = head.decode("utf-8", "replace")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    names = settings["columns"].split(",") if "columns" in settings else [n.strip('" ') for n in lines[0].split(",")]
    said = {settings[role]: role for role in COLUMNS if settings.get(role) in names}
    roles = [said.get(name) or ("" if said.get(name) else _ROLE_OF.get(name.lower(), "")) for name in names]
    for i, role in enumerate(roles):
        if role and role in roles[:i]:
            roles[i] = ""  # the first of several columns for a role
    kind = settings.get("kind") or next((k for k, needed in _NEEDED.items() if set(needed) <= set(roles)), "")
    if kind not in _NEEDED or "time" not in roles or not set(_NEEDED[kind]) <= set(roles):
        return None
    layout = Layout(kind, roles, settings, "columns" not in settings)
    sample = [line.split(",") for line in lines[1:-1] if line][:5000]
    for name, group in (("price", _PRICES), ("size", _SIZES)):
        places = [row[i] for i, role in enumerate(roles) if role in group for row in sample if i < len(row)]
        most = max((len(p.partition(".")[2].rstrip("0")) for p in places if "e" not in p.lower()), default=0)
        most = min(9, max(most, 2 if name == "price" else 0))
        if name == "price" and kind == "bars":
            largest = max((float(p) for p in places if _NUMBER.match(p)), default=0.0)
            while most > 2 and largest * 10**most >= 1 << 31:  # a bar's wicks have 31 bits
                most -= 1
        layout.decimals[name] = int(settings.get(f"{name}_decimals", most))
    return layout


def times_ns(texts: list[str], layout: Layout, midnight: int) -> npt.NDArray[np.int64]:
    """Times of a column, ns UTC; `MISSING` where there is none.

    Numbers are of the stated unit, or judged by their size as s, ms, us or ns since 1970. Anything else is a date, with
    or without a time and an offset from UTC.
    """
    unit = layout.settings.get("unit")
    if texts and unit and all(map(str.isdigit, texts)) and max(map(len, texts)) < 19 - _UNITS[unit]:
        return midnight + np.array(texts, dtype=np.int64) * 10 ** _UNITS[unit]
    out = np.full(len(texts), MISSING, dtype=np.int64)
    for i, text in enumerate(texts):
        try:
            whole, _, fraction = text.partition(".")
            if whole.isdigit():
                guess = next(
                    (unit for unit, digits in (("s", 12), ("ms", 15), ("us", 18)) if len(whole) < digits), "ns"
                )
                power = _UNITS[layout.settings.get("unit", guess)]
                out[i] = midnight + int(whole) * 10**power + int(fraction[:power].ljust(power, "0") or 0)
            else:
                out[i] = _date_ns(text) + midnight
        except (ValueError, KeyError, OverflowError):
            continue
    return out


def _date_ns(text: str) -> int:
    from datetime import datetime

    cleaned = text.strip('" ').replace("Z", "+00:00")
    head, dot, tail = cleaned.partition(".")
    digits = re.match(r"\d*", tail)
    fraction = digits[0] if digits and dot else ""
    stamp = datetime.fromisoformat(head + tail[len(fraction) :])
    from datetime import UTC

    stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    return round(stamp.timestamp()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


class _Converter:
    """Tables of integers and texts into events."""

    def __init__(
        self, layout: Layout, source: Source, options: Options, report: QualityReport, listing: Listing
    ) -> None:
        self._layout, self._source, self._report, self._listing = layout, source, report, listing
        self._numbers: dict[str, int] = {}
        self._last: dict[tuple[int, str, str], tuple[int, int]] = {}
        self._midnight = 0
        self._symbol = layout.settings.get("symbol", "") if "symbol" not in layout.roles else ""
        if not self._symbol and "symbol" not in layout.roles:
            self._symbol = re.split(r"[._]", source.name)[0]
            report.note(f"{source.label}: no column names the instrument; taken as {self._symbol} (--set symbol=NAME)")
        if layout.settings.get("base") == "midnight":
            day = day_of(options, source.name)
            if day is None:
                raise BadDataError(f"{source.label}: times are since midnight; say of which day with --date YYYY-MM-DD")
            self._midnight = midnight_ns(day, layout.settings.get("zone", "America/New_York"))
        self._bar_ns = int(float(layout.settings.get("bar", "0")) * 1e9)
        if layout.kind == "bars" and not self._bar_ns:
            report.note(f"{source.label}: bars are stamped as written; --set bar=SECONDS moves them to their end")

    def _instrument(self, symbol: str) -> int:
        number = self._numbers.get(symbol)
        if number is None:
            d = self._layout.decimals
            tick = "1" if d["price"] == 0 else f"0.{'0' * (d['price'] - 1)}1"
            lot = "1" if d["size"] == 0 else f"0.{'0' * (d['size'] - 1)}1"
            item = Instrument(symbol, "TABLE", d["price"], d["size"], tick, lot)
            number = self._numbers[symbol] = self._listing.number(item)
        return number

    def events(self, columns: dict[str, npt.NDArray[np.int64]], texts: dict[str, list[str]], first: int) -> Any:
        """Events of rows; those that cannot be are reported by their row number."""
        layout = self._layout
        count = len(texts["time"])
        stamp = times_ns(texts["time"], layout, self._midnight)
        events = np.zeros(count, dtype=EVENT)
        events["ts_venue"] = stamp
        recv = times_ns(texts["recv"], layout, self._midnight) if "recv" in texts else stamp
        events["ts_recv"] = np.where(recv == MISSING, stamp, recv)
        events["flags"] = _FLAGS
        events["seq"] = first + np.arange(count)
        if "symbol" in texts:
            numbers = np.array([self._instrument(symbol) for symbol in texts["symbol"]], dtype=np.int64)
        else:
            numbers = np.full(count, self._instrument(self._symbol), dtype=np.int64)
        events["instrument"] = np.maximum(numbers, 0)
        good = stamp != MISSING
        for role in _NEEDED[layout.kind]:
            good &= columns[role] != MISSING
        wrong = getattr(self, f"_{layout.kind}")(events, columns, texts)
        good &= ~wrong
        if not good.all():
            where = f"{self._source.label} row {first + int(np.argmin(good))}"
            reason = "no time, or a price, size or bar that cannot be"
            self._report.anomaly(Anomaly.MALFORMED, where, reason, int((~good).sum()))
        self._report.message(layout.kind, int(good.sum()))
        return events[good & (numbers != SKIPPED)]

    def _quotes(self, events: Any, columns: dict[str, Any], texts: dict[str, list[str]]) -> npt.NDArray[np.bool_]:
        events["kind"] = Kind.QUOTE
        exchanges = np.array(texts.get("exchange", [""] * len(events)))
        for side, price, size in (("bid", "price", "qty"), ("ask", "id", "word")):
            value = columns[side].copy()
            volume = columns.get(f"{side}_size", np.zeros(len(events), dtype=np.int64)).copy()
            volume[volume == MISSING] = 0
            value[value == MISSING] = 0
            for exchange in np.unique(exchanges):
                for number in np.unique(events["instrument"]):
                    rows = np.flatnonzero((exchanges == exchange) & (events["instrument"] == number))
                    if not len(rows):
                        continue
                    key = (int(number), str(exchange), side)
                    before = self._last.get(key, (0, 0))
                    known = np.where(value[rows] > 0, np.arange(1, len(rows) + 1), 0)
                    place = np.maximum.accumulate(known)
                    value[rows] = np.concatenate([[before[0]], value[rows]])[place]
                    volume[rows] = np.concatenate([[before[1]], volume[rows]])[place]
                    self._last[key] = (int(value[rows[-1]]), int(volume[rows[-1]]))
            events[price], events[size] = value, volume
        return (events["qty"] < 0) | (events["word"] < 0)

    def _trades(self, events: Any, columns: dict[str, Any], texts: dict[str, list[str]]) -> npt.NDArray[np.bool_]:
        events["kind"] = Kind.TRADE
        events["price"], events["qty"] = columns["price"], columns["size"]
        events["flags"] |= int(Flag.PRINTABLE)
        if "id" in columns:
            events["id"] = np.where(columns["id"] == MISSING, 0, columns["id"])
        if "side" in texts:
            events["side"] = [_SIDES.get(text.strip('" ').lower(), 0) for text in texts["side"]]
        wrong: npt.NDArray[np.bool_] = (columns["price"] <= 0) | (columns["size"] < 0)
        return wrong

    def _bars(self, events: Any, columns: dict[str, Any], texts: dict[str, list[str]]) -> npt.NDArray[np.bool_]:
        events["kind"] = Kind.BAR
        first, high, low, last = (columns[name] for name in ("open", "high", "low", "close"))
        events["price"], events["id"] = last, first
        volume = columns.get("volume", np.zeros(len(events), dtype=np.int64))
        events["qty"] = np.where(volume == MISSING, 0, volume)
        above, below = high - np.maximum(first, last), np.minimum(first, last) - low
        events["word"] = above << 32 | below
        events["ts_venue"] += self._bar_ns
        events["ts_recv"] += self._bar_ns
        wrong: npt.NDArray[np.bool_] = (above < 0) | (below < 0) | (above >= 1 << 31) | (below >= 1 << 31)
        return wrong


class TableFormat:
    """Tables of quotes, trades and bars."""

    name = "table"
    description = "CSV or Parquet of quotes, trades or bars, columns by name or by --set ROLE=COLUMN; LEAN zips"
    extensions = (".csv", ".parquet", ".zip")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By the names of its columns, or LEAN's file names."""
        if head.startswith(b"PAR1"):
            return True
        return head[:1] != b"{" and b"\0" not in head[:512] and layout_of(source, head, Options()) is not None

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of each table in turn."""
        for source in sources:
            if source.head(4) == b"PAR1":
                yield from _read_parquet(source, options, report, listing)
                continue
            layout = layout_of(source, source.head(1 << 18), options)
            if layout is None:
                names = source.head(300).partition(b"\n")[0].decode("utf-8", "replace")
                raise BadDataError(
                    f"{source.label}: cannot tell what the columns are ({names}); say so with --set, for example "
                    "--set kind=trades --set time=T --set price=P --set size=Q, and --set columns=... without a header"
                )
            converter = _Converter(layout, source, options, report, listing)
            scales = [layout.scale(role) for role in layout.roles]
            rows = RowReader(source.open(), scales, report, 1 << 14, extra=True, skip=int(layout.header))
            first = 1
            while len(table := rows.read()):
                places = {role: i for i, role in enumerate(layout.roles) if role}
                texts = {r: rows.texts(table[:, i]) for r, i in places.items() if scales[i] == TEXT}
                columns = {r: table[:, i] for r, i in places.items() if scales[i] not in (TEXT, IGNORED)}
                yield converter.events(columns, texts, first)
                first += len(table)


def _read_parquet(
    source: Source, options: Options, report: QualityReport, listing: Listing
) -> Iterator[npt.NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source.path)
        names = file.schema_arrow.names
        sample = next(file.iter_batches(5000), None)
        head = pa.table({n: pc.cast(sample[n], pa.string()) for n in names}) if sample is not None else None
        lines = [",".join(names)]
        if head is not None:
            lines += [",".join(str(value) for value in row.values()) for row in head.to_pylist()]
        layout = layout_of(source, "\n".join([*lines, ""]).encode(), options)
        if layout is None:
            told = ", ".join(names)
            raise BadDataError(f"{source.label}: cannot tell what the columns are ({told}); say so with --set")
        converter = _Converter(layout, source, options, report, listing)
        first = 1
        for batch in file.iter_batches(1 << 14):
            columns: dict[str, Any] = {}
            texts: dict[str, list[str]] = {}
            for name, role in zip(names, layout.roles, strict=True):
                scale = layout.scale(role) if role else IGNORED
                column = batch[name]
                if scale == TEXT:
                    if pa.types.is_timestamp(column.type):
                        column = pc.cast(pc.cast(column, pa.timestamp("ns", column.type.tz)), pa.int64())
                    texts[role] = ["" if v is None else str(v) for v in column.to_pylist()]
                elif scale != IGNORED:
                    factor = 10 ** (scale % ROUNDED)
                    values = np.array([np.nan if v is None else float(v) * factor for v in column.to_pylist()])
                    columns[role] = np.where(np.isfinite(values), np.rint(values), MISSING).astype(np.int64)
            yield converter.events(columns, texts, first)
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise BadDataError(f"{source.label}: not readable as Parquet: {error}") from error


FORMAT = TableFormat()
