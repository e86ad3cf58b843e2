"""Tardis.dev CSV: incremental_book_L2, trades, quotes, book_snapshot_N and derivative_ticker, known by their header.

Times are microseconds; `timestamp` is the venue's, `local_timestamp` that of arrival. Rows of one `local_timestamp` and
symbol are one message. A run of `is_snapshot` rows empties the book first. Source: docs.tardis.dev, "Downloadable CSV
files: data types".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, BUY, SELL, Flag, Kind
from nanotick.data.archive import Source
from nanotick.data.csv_rows import (
    PRICE_WIDE,
    QTY_WIDE,
    Group,
    Ints,
    ScaledSymbols,
    event_rows,
    keep_exact,
    narrowed,
    rounded_to,
    stamps_ns,
    whole_messages,
)
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.quality import BadDataError, QualityReport
from nanotick.data.rows import RowReader
from nanotick.wire.decimal_rows import IGNORED, ROUNDED, TEXT
from nanotick.wire.fields import ident

_START = "exchange,symbol,timestamp,local_timestamp,"
_KINDS = {
    "is_snapshot,side,price,amount": "incremental_book_L2",
    "id,side,price,amount": "trades",
    "ask_amount,ask_price,bid_price,bid_amount": "quotes",
}
_LEVEL = ("price", "amount")
_TEXTS = frozenset({"exchange", "symbol", "id", "side", "is_snapshot"})
_SIDES = {"bid": BUY, "ask": SELL, "buy": BUY, "sell": SELL}
_RATE_PLACES = 9


def _kind_of(header: str) -> str:
    rest = header.removeprefix(_START)
    if rest in _KINDS:
        return _KINDS[rest]
    names = rest.split(",")
    if "asks[0].price" in names:
        levels = [f"{side}[{i}].{name}" for side, i, name in product(("asks", "bids"), range(len(names) // 4), _LEVEL)]
        return "book_snapshot" if sorted(names) == sorted(levels) else ""
    return "derivative_ticker" if {"mark_price", "index_price", "funding_rate"} <= set(names) else ""


def _scale(column: str) -> int:
    if column in _TEXTS:
        return TEXT
    if column in ("timestamp", "local_timestamp"):
        return 0
    if column in ("mark_price", "index_price"):
        return PRICE_WIDE + ROUNDED
    if column == "funding_rate":
        return _RATE_PLACES + ROUNDED
    if column.endswith("price") and column != "last_price":
        return PRICE_WIDE
    return QTY_WIDE if column.endswith("amount") else IGNORED


class _File:
    """One CSV file: its kind, its columns, and its rows in groups of one symbol."""

    def __init__(self, source: Source, report: QualityReport) -> None:
        self.label = source.label
        header = source.head(16_384).partition(b"\n")[0].strip().decode("utf-8", "replace")
        self.kind = _kind_of(header)
        if not self.kind:
            raise BadDataError(f"{source.label}: no Tardis data type has the columns {header[:120]!r}")
        names = header.split(",")
        self.columns = {name: i for i, name in enumerate(names)}
        self._reader = RowReader(source.open(), [_scale(name) for name in names], report, skip=1)

    def groups(self) -> Iterator[Group]:
        """Exchange and symbol, numbers and texts of successive rows of one symbol, messages whole."""
        return whole_messages(self._parts(), self.columns["local_timestamp"])

    def _parts(self) -> Iterator[Group]:
        texts = [name for name in self.columns if name in _TEXTS]
        while len(table := self._reader.read()):
            held = {name: self._reader.texts(table[:, self.columns[name]]) for name in texts}
            keys = list(zip(held["exchange"], held["symbol"], strict=True))
            start = 0
            for i in range(1, len(keys) + 1):
                if i == len(keys) or keys[i] != keys[start]:
                    part = {name: values[start:i] for name, values in held.items()}
                    yield keys[start], table[start:i], part
                    start = i

    @property
    def line(self) -> int:
        """Lines read so far."""
        return self._reader.line

    def column(self, table: Ints, name: str) -> Ints:
        """A column by name."""
        return table[:, self.columns[name]]

    def prices_and_sizes(self, table: Ints) -> tuple[Ints, Ints]:
        """All prices and quantities, flat, for measuring."""
        prices = [i for name, i in self.columns.items() if _scale(name) == PRICE_WIDE]
        sizes = [i for name, i in self.columns.items() if _scale(name) == QTY_WIDE]
        return table[:, prices].ravel(), table[:, sizes].ravel()


class TardisCsv:
    """Tardis CSV files."""

    name = "tardis"
    description = "Tardis CSV: incremental_book_L2, trades, quotes, book_snapshot_N, derivative_ticker"
    extensions = (".csv", ".csv.gz")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By the header."""
        return head.startswith(_START.encode())

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the files, one after the other."""
        symbols = ScaledSymbols(listing, report)
        for source in sources:
            file = _File(source, QualityReport())
            for (exchange, symbol), table, _ in file.groups():
                symbols.measure(exchange, symbol, *file.prices_and_sizes(table))
        symbols.list_all()
        for source in sources:
            file = _File(source, report)
            open_snapshots: set[tuple[str, str]] = set()
            for (exchange, symbol), table, texts in file.groups():
                report.message(file.kind, len(table))
                number, price_decimals, qty_decimals = symbols.decimals(exchange, symbol)
                if number == SKIPPED:
                    continue
                scales = (price_decimals, qty_decimals)
                rows, fits = self._rows(file, table, texts, scales, (number, symbols.venue_number(number)))
                rows = keep_exact(rows, fits, f"{file.label} line {file.line}", symbol, report)
                if file.kind == "incremental_book_L2":
                    rows = _with_clears(rows, (exchange, symbol), open_snapshots)
                if len(rows):
                    yield rows

    def _rows(
        self, file: _File, table: Ints, texts: dict[str, list[str]], scales: tuple[int, int], place: tuple[int, int]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        ts_venue = stamps_ns(file.column(table, "timestamp"))
        ts_recv = stamps_ns(file.column(table, "local_timestamp"))
        count = len(table)
        if file.kind == "book_snapshot":
            return _snapshots(file, table, scales, place, ts_venue, ts_recv)
        if file.kind == "derivative_ticker":
            rows = event_rows(count, Kind.MARK, ts_venue, ts_recv, *place)
            rows["price"] = rounded_to(file.column(table, "mark_price"), PRICE_WIDE, scales[0])
            rows["id"] = rounded_to(file.column(table, "index_price"), PRICE_WIDE, scales[0])
            rows["word"] = rounded_to(file.column(table, "funding_rate"), _RATE_PLACES, _RATE_PLACES)
            return rows, np.ones(count, dtype=np.bool_)
        if file.kind == "quotes":
            rows = event_rows(count, Kind.QUOTE, ts_venue, ts_recv, *place)
            fits = np.ones(count, dtype=np.bool_)
            for target, name, wide, decimals in (
                ("price", "bid_price", PRICE_WIDE, scales[0]),
                ("id", "ask_price", PRICE_WIDE, scales[0]),
                ("qty", "bid_amount", QTY_WIDE, scales[1]),
                ("word", "ask_amount", QTY_WIDE, scales[1]),
            ):
                rows[target], exact = narrowed(file.column(table, name), wide, decimals)
                fits &= exact
            return rows, fits
        kind = Kind.TRADE if file.kind == "trades" else Kind.LEVEL
        rows = event_rows(count, kind, ts_venue, ts_recv, *place)
        rows["price"], fits = narrowed(file.column(table, "price"), PRICE_WIDE, scales[0])
        rows["qty"], exact = narrowed(file.column(table, "amount"), QTY_WIDE, scales[1])
        rows["side"] = [_SIDES.get(side, 0) for side in texts["side"]]
        if kind == Kind.TRADE:
            rows["id"] = [ident(text) for text in texts["id"]]
            rows["flags"] |= int(Flag.PRINTABLE)
            return rows, fits & exact
        snapshot = np.array([text.lower() == "true" for text in texts["is_snapshot"]])
        last = np.ones(count, dtype=np.bool_)
        last[:-1] = ts_recv[1:] != ts_recv[:-1]
        rows["flags"] = int(BOTH_SIDES) | np.where(last, int(Flag.LAST), 0) | np.where(snapshot, int(Flag.SNAPSHOT), 0)
        return rows, fits & exact & (rows["side"] != 0)


def _with_clears(
    rows: npt.NDArray[Any], key: tuple[str, str], open_snapshots: set[tuple[str, str]]
) -> npt.NDArray[Any]:
    """A CLEAR before every run of snapshot rows; a run may go on in the next group."""
    snapshot = rows["flags"] & int(Flag.SNAPSHOT) != 0
    before = np.concatenate([[key in open_snapshots], snapshot[:-1]])
    if len(rows):
        (open_snapshots.add if snapshot[-1] else open_snapshots.discard)(key)
    starts = np.flatnonzero(snapshot & ~before)
    if not len(starts):
        return rows
    clears = rows[starts].copy()
    clears["kind"], clears["side"], clears["price"], clears["qty"] = Kind.CLEAR, 0, 0, 0
    clears["flags"] = int(BOTH_SIDES | Flag.SNAPSHOT)
    return np.insert(rows, starts, clears)


def _snapshots(
    file: _File, table: Ints, scales: tuple[int, int], place: tuple[int, int], ts_venue: Ints, ts_recv: Ints
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Every line as a CLEAR and a LEVEL for each price that is there, bids first."""
    depth = sum(name.startswith("asks[") and name.endswith("price") for name in file.columns)
    width = 1 + 2 * depth
    rows = event_rows(len(table) * width, Kind.LEVEL, ts_venue.repeat(width), ts_recv.repeat(width), *place)
    grid = rows.reshape(len(table), width)
    grid["flags"] = int(BOTH_SIDES | Flag.SNAPSHOT)
    grid["kind"][:, 0] = Kind.CLEAR
    fits = np.ones(grid.shape, dtype=np.bool_)
    there = np.ones(grid.shape, dtype=np.bool_)
    for offset, (side, name) in enumerate(((BUY, "bids"), (SELL, "asks"))):
        for i in range(depth):
            at = 1 + offset * depth + i
            price, qty = file.column(table, f"{name}[{i}].price"), file.column(table, f"{name}[{i}].amount")
            grid["price"][:, at], one = narrowed(price, PRICE_WIDE, scales[0])
            grid["qty"][:, at], two = narrowed(qty, QTY_WIDE, scales[1])
            grid["side"][:, at] = side
            fits[:, at] = one & two
            there[:, at] = price > 0
    last = width - 1 - np.argmax(there[:, ::-1], axis=1)
    grid["flags"][np.arange(len(table)), last] |= int(Flag.LAST)
    return rows[there.ravel()], fits.ravel()[there.ravel()]


FORMAT = TardisCsv()
