"""LOBSTER: message files, with or without their orderbook files, as order-by-order events.

A pair is two CSV files, or two members of a zip; which is which is seen from the names (`..._message_10.csv`,
`..._orderbook_10.csv`) or from the number of columns. Symbol and day are taken from the name. Without the book file
only the messages are told, and those about orders from before the start are unknown references. Prices have four
decimals, times are seconds after midnight of New York. How rows are settled is said in `lobster_replay`.

Message types are counted by LOBSTER's numbers: 1 new, 2 partial cancel, 3 delete, 4 visible execution, 5 hidden
execution, 6 cross, 7 halt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Instrument
from nanotick.core.records import EVENT
from nanotick.data.archive import Source
from nanotick.data.format import SKIPPED, Listing, Options, Reading, day_of, midnight_ns
from nanotick.data.lobster_book import LADDER_ROOM, LOBSTER, LOBSTER_LEVEL, LOBSTER_ORDER, PAIR, index_orders
from nanotick.data.lobster_replay import SEED, replay_rows
from nanotick.data.quality import Anomaly, BadDataError, QualityReport
from nanotick.data.rows import RowReader
from nanotick.wire.decimal_rows import ROUNDED

_ROWS = 4096
_MESSAGE_SCALES = (ROUNDED + 9, 0, 0, 0, 0, 0)  # times passed through floats have more digits than they mean
_NAME = re.compile(r"^([A-Za-z.]+)_(?=\d{4}-\d\d-\d\d)")
_LINE = re.compile(rb"^(-?\d+(?:\.\d+)?,)+-?\d+(?:\.\d+)?\r?$")
_RESULTS = ("matched", "undetermined", "mismatched")


def _columns(source: Source) -> int:
    """Columns of a LOBSTER file: 6, or 4 per level; 0 if it is neither."""
    first = source.head(1 << 14).partition(b"\n")[0]
    columns = first.count(b",") + 1
    return columns if _LINE.match(first) and (columns == 6 or columns % 4 == 0) else 0


def pairs(sources: Sequence[Source]) -> list[tuple[Source, Source | None]]:
    """Message files with their book files, in the order of the message files.

    Raises
    ------
    BadDataError
        A file is of neither kind, or a book file has no message file.
    """
    messages: list[Source] = []
    books: list[Source] = []
    for source in sources:
        columns = _columns(source)
        if not columns:
            if source.name.lower().endswith((".txt", ".md")):
                continue  # the readme in LOBSTER's own zips
            raise BadDataError(f"{source.label}: expected 6 columns (messages) or 4 a level (book), found neither")
        (books if "orderbook" in source.name or columns != 6 else messages).append(source)
    found: list[tuple[Source, Source | None]] = []
    for message in messages:
        wanted = message.name.replace("message", "orderbook")
        book = next((b for b in books if b.name == wanted), None)
        if book is None and len(messages) == len(books) == 1:
            book = books[0]
        if book is not None:
            books.remove(book)
        found.append((message, book))
    if books or not found:
        what = books[0].label if books else "these sources"
        raise BadDataError(f"{what}: no message file belongs to it; name MESSAGES and ORDERBOOK together")
    return found


def _seed(message: npt.NDArray[Any], row: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The book before the first message, as a row with a message of type `SEED`: the first row, the message undone."""
    time, kind, _, size, price, direction = (int(x) for x in message)
    undo = {1: -size, 2: size, 3: size, 4: size}.get(kind, 0)
    before = row.copy().reshape(-1, 2, 2)  # level, ask or bid, price and size
    if direction in (1, -1):
        side = before[:, (direction + 1) // 2]
        levels = {int(p): int(q) for p, q in side if q > 0}
        levels[price] = levels.get(price, 0) + undo
        kept = sorted(((p, q) for p, q in levels.items() if q > 0), key=lambda level: -direction * level[0])
        side[:] = 0
        for k, level in enumerate(kept[: len(side)]):
            side[k] = level
    return np.array([[time, SEED, 0, 0, 0, 0]], dtype=np.int64), np.ascontiguousarray(before).reshape(1, -1)


class Replay:
    """One message file, with its book file if there is one, turned into events.

    Attributes
    ----------
    state : numpy.void
        The LOBSTER record: `total`, `matched`, `undetermined`, `mismatched`, `deltas`, `deltas_matched` and the rest.
    """

    def __init__(self, message: Source, book: Source | None, number: int, midnight: int, report: QualityReport) -> None:
        self._report = report
        self._message, self._book = message, book
        self.levels = _columns(book) // 4 if book else 0
        self._record = np.zeros(1, dtype=LOBSTER)
        self.state = self._record[0]
        self._address = int(self._record.ctypes.data)
        self._orders = np.zeros(1 << 15, dtype=LOBSTER_ORDER)
        self._ladder = np.zeros(2 * LADDER_ROOM, dtype=LOBSTER_LEVEL)
        self._before = np.zeros(2 * max(1, self.levels), dtype=PAIR)
        self._expected = np.zeros(2 * (self.levels + 1), dtype=PAIR)
        self._events = np.zeros(1 << 14, dtype=EVENT)
        self.state["order_used"] = 1
        self.state["levels"], self.state["midnight"], self.state["instrument"] = self.levels, midnight, max(0, number)
        for name, table in (("ladder", self._ladder), ("before", self._before), ("expected", self._expected)):
            self.state[f"{name}_address"] = table.ctypes.data
        self._place_orders(len(self._orders))
        self._place_events(len(self._events))

    def _place_orders(self, capacity: int) -> None:
        grown = np.zeros(capacity, dtype=LOBSTER_ORDER)
        grown[: min(capacity, len(self._orders))] = self._orders[:capacity]
        self._orders = grown
        self._index = np.zeros(2 * capacity, dtype=np.int32)
        self.state["orders_address"], self.state["index_address"] = grown.ctypes.data, self._index.ctypes.data
        self.state["index_mask"] = 2 * capacity - 1
        index_orders(self._address)

    def _place_events(self, capacity: int) -> None:
        self._events = np.zeros(capacity, dtype=EVENT)
        self.state["events_address"], self.state["capacity"] = self._events.ctypes.data, capacity

    def _take(self) -> npt.NDArray[Any]:
        count = int(self.state["count"])
        self.state["count"] = 0
        return self._events[:count]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """Chunks of events; a chunk ends with whole rows."""
        messages = RowReader(self._message.open(), _MESSAGE_SCALES, self._report, _ROWS)
        books = RowReader(self._book.open(), [0] * (4 * self.levels), self._report, _ROWS) if self._book else None
        while True:
            table = messages.read()
            rows = len(table)
            if books is not None:
                shown = books.read()
                if len(shown) != rows:
                    self._unequal(messages, books, rows, len(shown))
                    rows = min(rows, len(shown))
            for kind, count in zip(*np.unique(table[:rows, 1], return_counts=True), strict=True):
                self._report.message(str(int(kind)), int(count))
            if not rows:
                break
            while self.state["order_used"] + rows >= len(self._orders):
                self._place_orders(2 * len(self._orders))
            if books is not None and not self.state["total"]:
                yield from self._run(*_seed(table[0], shown[0]))
            yield from self._run(table[:rows], shown if books is not None else None)
        self._report_findings()

    def _run(self, table: npt.NDArray[Any], shown: npt.NDArray[Any] | None) -> Iterator[npt.NDArray[Any]]:
        """Events of rows that lie in memory."""
        state = self.state
        state["messages_address"], state["rows"], state["row"] = table.ctypes.data, len(table), 0
        state["book_address"] = 0 if shown is None else shown.ctypes.data
        while stop := replay_rows(self._address):
            if stop == 2:
                raise BadDataError(
                    f"{self._message.label}: more than {LADDER_ROOM:,} price levels; is it a LOBSTER file?"
                )
            if state["count"]:
                yield self._take()
            else:
                self._place_events(2 * len(self._events))
        if state["count"]:
            yield self._take()

    def _unequal(self, messages: RowReader, books: RowReader, rows: int, shown: int) -> None:
        more, fewer = (messages, books) if rows > shown else (books, messages)
        where = f"{fewer.name} line {fewer.line + 1}"
        self._report.anomaly(Anomaly.TRUNCATED, where, f"ends here, but {more.name} goes on; the rest is left out")

    def _report_findings(self) -> None:
        state, label = self.state, self._message.label
        if state["mismatched"]:
            where = f"{label} row {int(state['mismatch_row']) + 1}"
            reason = "the book row is not what the row before it and the message determine"
            self._report.anomaly(Anomaly.CHECKSUM, where, reason, int(state["mismatched"]))
        if state["unknown"] and self.levels:
            self._report.note(
                f"{label}: {int(state['unknown']):,} messages are about orders that came while their price was outside "
                "the recorded depth; their levels were settled by the book rows"
            )
        elif state["unknown"]:
            where = f"{label} row {int(state['unknown_row']) + 1}"
            reason = "an order that was never added; without the orderbook file nothing is known of it"
            self._report.anomaly(Anomaly.UNKNOWN_REFERENCE, where, reason, int(state["unknown"]))
        if state["bad"]:
            where = f"{label} row {int(state['bad_row']) + 1}"
            reason = "a message of unknown type, or of impossible price, size or direction"
            self._report.anomaly(Anomaly.MALFORMED, where, reason, int(state["bad"]))
        if state["duplicates"]:
            self._report.anomaly(
                Anomaly.DUPLICATE, label, "an order id is added while it rests", int(state["duplicates"])
            )


class LobsterFormat:
    """LOBSTER message and orderbook files."""

    name = "lobster"
    description = "LOBSTER message file, with its orderbook file: zip, or two CSV files"
    extensions = (".csv", ".zip", ".csv.xz")

    def sniff(self, head: bytes, source: Source) -> bool:
        """By the name LOBSTER gives its files, and the columns."""
        return ("_message_" in source.name or "_orderbook_" in source.name) and _columns(source) > 0

    def replays(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[Replay]:
        """One replay per message file."""
        for message, book in pairs(sources):
            day = day_of(options, message.name)
            if day is None:
                report.note(f"{message.label}: no date in the name: times count from 1970-01-01; --date gives one")
            named = _NAME.match(message.name)
            stem = message.name.partition("_")[0].partition(".")[0]
            symbol = options.setting("symbol") or (named[1] if named else stem)
            number = listing.number(Instrument(symbol, "XNAS", 4, 0, "0.01"))
            midnight = midnight_ns(day) if day else midnight_ns(date(1970, 1, 1), "UTC")
            if number != SKIPPED:
                yield Replay(message, book, number, midnight, report)

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of each pair in turn."""
        for replay in self.replays(sources, options, report, listing):
            yield from replay

    def validate(self, reading: Reading, chunks: Iterable[npt.NDArray[Any]]) -> tuple[dict[str, Any], bool]:
        """Compare every book row with what the messages determine.

        Returns
        -------
        dict
            `rows`, `matched`, `undetermined`, `mismatched`, and `visible_deltas`: messages of types 1 to 4 after the
            first row, of which `visible_deltas_matched` changed the size at their price by exactly their size.
        bool
            Whether nothing is mismatched.
        """
        result = dict.fromkeys(("rows", *_RESULTS, "visible_deltas", "visible_deltas_matched"), 0)
        sources = [source for found, group in reading.groups for source in group if found.name == self.name]
        report = reading.report
        for replay in self.replays(sources, reading.options, report, reading.listing):
            if not replay.levels:
                raise BadDataError("validate needs the orderbook file too: --format lobster MESSAGES ORDERBOOK")
            for chunk in replay:
                report.count_events(chunk)
            result["rows"] += int(replay.state["total"])
            for name in _RESULTS:
                result[name] += int(replay.state[name])
            result["visible_deltas"] += int(replay.state["deltas"])
            result["visible_deltas_matched"] += int(replay.state["deltas_matched"])
        good = result["mismatched"] == 0 and not report.count(Anomaly.TRUNCATED) and not report.count(Anomaly.MALFORMED)
        return {**result, "anomalies": report.as_dict()["anomalies"]}, good


FORMAT = LobsterFormat()
