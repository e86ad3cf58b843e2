"""Binance's public CSV files: trades, aggTrades, bookTicker and T_DEPTH, with or without a header, stamps in ms or us.

The symbol and the kind of file are in its name (`BTCUSDT-aggTrades-2024-03-01.csv`), except for depth files, which have
a symbol column. A file without a header is told by its columns where its name does not say. There is no time of
arrival: rows are taken to arrive when they happened. Source: github.com/binance/binance-public-data, README.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    stamps_ns,
    whole_messages,
)
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.data.rows import RowReader
from nanotick.wire.binance_chain import APPLY, DROP, MARKET, take_diff, take_snapshot
from nanotick.wire.decimal_rows import IGNORED, TEXT

_NAME = re.compile(r"([A-Z0-9]{3,24}(?:_[A-Z0-9]+)?)[-_](trades|aggTrades|bookTicker|T_DEPTH|depth)", re.IGNORECASE)
_COLUMNS = {  # kind: columns in order; p price, q quantity, i integer, t time, b truth value, x not read, s text
    "trades": "ipqxtb",
    "aggTrades": "ipqxxtb",
    "bookTicker": "ipqpqtx",
    "depth": "stiisspqi",
}
_SCALES = {"i": 0, "t": 0, "p": PRICE_WIDE, "q": QTY_WIDE, "b": TEXT, "s": TEXT, "x": IGNORED}
_HEADERS = {
    b"id,price,qty": "trades",
    b"trade_id,price,qty": "trades",
    b"agg_trade_id,price": "aggTrades",
    b"update_id,best_bid": "bookTicker",
    b"symbol,timestamp,first_update_id": "depth",
}
_ROW = re.compile(
    rb"\d+,[\d.]+,[\d.]+,[\d.]+,(?:[\d.]+,)?\d{13,16}(?:,\d{13,16})?(?:,(?:true|false|True|False)){0,2}\s*\Z"
)
_MARKETS = {"spot": "BINANCE", "usdm": "BINANCE_USDM", "coinm": "BINANCE_COINM"}


def _kind_of(line: bytes, name: str) -> str:
    for start, kind in _HEADERS.items():
        if line.startswith(start):
            return kind
    if _ROW.match(line) is None:
        return ""
    named = _NAME.search(name)
    if named:
        return next(kind for kind in _COLUMNS if kind.lower() == named[2].lower().removeprefix("t_"))
    cells = line.strip().split(b",")
    if not cells[-1].strip().isalpha():
        return "bookTicker" if len(cells) == 7 else ""
    return "aggTrades" if len(cells[4]) < 13 else "trades"


class BinanceCsv:
    """CSV files as Binance publishes them."""

    name = "binance-csv"
    description = "Binance public CSV: trades, aggTrades, bookTicker, T_DEPTH"
    extensions = (".csv", ".zip")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By its header, or a first line of the right form."""
        return bool(_kind_of(head.partition(b"\n")[0], source.name))

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the files, one after the other."""
        venue = _MARKETS.get(options.setting("market"), "")
        symbols = ScaledSymbols(listing, report)
        files = [_File(source, options, venue) for source in sources]
        for file in files:
            for (_, symbol), table, _ in file.groups(QualityReport()):
                prices = table[:, [i for i, c in enumerate(file.columns) if c == "p"]].ravel()
                sizes = table[:, [i for i, c in enumerate(file.columns) if c == "q"]].ravel()
                symbols.measure(file.venue, symbol, prices, sizes)
        symbols.list_all()
        for file in files:
            for (_, symbol), table, texts in file.groups(report):
                report.message(file.kind, len(table))
                number, price_decimals, qty_decimals = symbols.decimals(file.venue, symbol)
                if number == SKIPPED:
                    continue
                rows, fits = file.rows(
                    table, texts, (price_decimals, qty_decimals), number, symbols.venue_number(number)
                )
                if file.kind == "depth":
                    rows = file.chained(symbol, table, rows[fits], fits, report)
                else:
                    rows = keep_exact(rows, fits, file.label, symbol, report)
                if len(rows):
                    yield rows


class _File:
    def __init__(self, source: Source, options: Options, venue: str) -> None:
        self._source = source
        self.label = source.label
        first = source.head(4096).partition(b"\n")[0]
        self.kind = _kind_of(first, source.name)
        if not self.kind:
            raise BadDataError(f"{source.label}: no Binance CSV starts with {first[:80]!r}")
        width = len(first.split(b","))
        self.columns = _COLUMNS[self.kind][:width].ljust(width, "x")
        needed = set(_COLUMNS[self.kind]) - {"x"}
        if not needed <= set(self.columns) or (self.kind == "depth" and width != len(_COLUMNS["depth"])):
            raise BadDataError(f"{source.label}: {self.kind} has columns that are not there: {first[:80]!r}")
        self._header = not first[:1].isdigit() and first[:1] != b"\xef"
        named = _NAME.search(source.name)
        self._symbol = options.setting("symbol") or (named[1].upper() if named else "")
        if not self._symbol and self.kind != "depth":
            raise BadDataError(f"{source.label}: the name says no symbol; name one with --set symbol=BTCUSDT")
        futures = "BINANCE_COINM" if "_" in self._symbol and "USDT" not in self._symbol else "BINANCE_USDM"
        spot = self.kind in ("trades", "aggTrades") and width in (7, 8) and width == len(_COLUMNS[self.kind]) + 1
        self.venue = venue or ("BINANCE" if spot else futures)
        self._chains: dict[str, npt.NDArray[Any]] = {}

    def groups(self, report: QualityReport) -> Iterator[Group]:
        """Venue and symbol, numbers and texts of successive rows of one symbol; depth messages whole."""
        parts = self._parts(report)
        return whole_messages(parts, 3) if self.kind == "depth" else parts

    def _parts(self, report: QualityReport) -> Iterator[Group]:
        scales = [_SCALES[column] for column in self.columns]
        reader = RowReader(self._source.open(), scales, report, skip=int(self._header), extra=True)
        while len(table := reader.read()):
            if self.kind != "depth":
                flag = self.columns.find("b")
                texts = {"maker": reader.texts(table[:, flag])} if flag >= 0 else {}
                yield (self.venue, self._symbol), table, texts
                continue
            held = {name: reader.texts(table[:, at]) for name, at in (("symbol", 0), ("side", 4), ("type", 5))}
            start = 0
            for i in range(1, len(table) + 1):
                if i == len(table) or held["symbol"][i] != held["symbol"][start]:
                    part = {name: values[start:i] for name, values in held.items()}
                    yield (self.venue, held["symbol"][start]), table[start:i], part
                    start = i

    def rows(
        self, table: Ints, texts: dict[str, list[str]], scales: tuple[int, int], number: int, venue: int
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Events of rows of one symbol, and which of them fit their scale."""
        stamps = stamps_ns(table[:, self.columns.index("t")])
        count = len(table)
        if self.kind == "bookTicker":
            rows = event_rows(count, Kind.QUOTE, stamps, stamps, number, venue)
            rows["seq"] = table[:, 0]
            fits = np.ones(count, dtype=np.bool_)
            for at, target in ((1, "price"), (2, "qty"), (3, "id"), (4, "word")):
                wide, decimals = (PRICE_WIDE, scales[0]) if at in (1, 3) else (QTY_WIDE, scales[1])
                rows[target], exact = narrowed(table[:, at], wide, decimals)
                fits &= exact
            return rows, fits
        kind = Kind.LEVEL if self.kind == "depth" else Kind.TRADE
        rows = event_rows(count, kind, stamps, stamps, number, venue)
        rows["price"], fits = narrowed(table[:, self.columns.index("p")], PRICE_WIDE, scales[0])
        rows["qty"], exact = narrowed(table[:, self.columns.index("q")], QTY_WIDE, scales[1])
        if kind == Kind.TRADE:
            rows["id"] = table[:, 0]
            rows["side"] = [SELL if text.lower() == "true" else BUY for text in texts["maker"]]
            rows["flags"] |= int(Flag.PRINTABLE)
        else:
            rows["seq"] = table[:, 3]
            rows["side"] = [BUY if text == "b" else SELL for text in texts["side"]]
            snapshot = np.array([text == "snap" for text in texts["type"]])
            rows["flags"] = int(BOTH_SIDES) | np.where(snapshot, int(Flag.SNAPSHOT), 0)
        return rows, fits & exact

    def chained(
        self, symbol: str, table: Ints, rows: npt.NDArray[Any], fits: npt.NDArray[np.bool_], report: QualityReport
    ) -> npt.NDArray[Any]:
        """Depth rows grouped by message: snapshots cleared first, stale diffs dropped, gaps marked."""
        keep_exact(rows, fits, self.label, symbol, report)
        chain = self._chains.setdefault(symbol, np.zeros(1, dtype=MARKET))
        address = int(chain.ctypes.data)
        ids = table[fits]
        parts: list[npt.NDArray[Any]] = []
        start = 0
        for i in range(1, len(rows) + 1):
            if i < len(rows) and rows["seq"][i] == rows["seq"][start] and rows["flags"][i] == rows["flags"][start]:
                continue
            part = rows[start:i].copy()
            part["flags"][-1] |= int(Flag.LAST)
            first, last, previous = (int(x) for x in (ids[start, 2], ids[start, 3], ids[start, 8]))
            snapshot = bool(part["flags"][0] & int(Flag.SNAPSHOT))
            head = part[:1].copy()
            head["side"], head["price"], head["qty"] = 0, 0, 0
            if snapshot:
                result = take_snapshot(address, last)
                head["kind"], head["flags"] = Kind.CLEAR, int(BOTH_SIDES | Flag.SNAPSHOT)
                parts.append(head)
            else:
                result = take_diff(address, first, last, previous if previous >= 0 else -1)
            if result not in (APPLY, DROP):
                gap = head.copy()
                gap["kind"], gap["flags"] = Kind.GAP, int(BOTH_SIDES)
                gap["seq"], gap["word"] = chain["gap_first"][0], chain["gap_count"][0]
                parts.append(gap)
                report.anomaly(Anomaly.GAP, f"{self.label} {symbol} update id {first}", "update ids missing before it")
            if result != DROP:
                parts.append(part)
            start = i
        return np.concatenate(parts) if parts else rows[:0]


FORMAT = BinanceCsv()
