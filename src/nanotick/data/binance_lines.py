"""Binance WebSocket recordings: lines `<local stamp> <raw frame>`, spot, USD-M and COIN-M, at the speed of the disk.

The stamp is in s, ms, us or ns; lines without one are taken to arrive when they were sent. REST depth snapshots among
the lines restart the book: CLEAR, then LEVEL rows, then again the levels of diffs that arrived before the snapshot but
are newer than it, since a snapshot by REST is older than the stream by then.

Scales: the fields of an instrument specification, else an exchangeInfo body among the lines, else the places that the
recording's own digits need, found by reading it once before (stated in the notes). Mark and index prices are finer than
the tick and are rounded. Spot bookTicker carries no time; its rows take the latest venue time seen before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, BUY, EVENT, SELL, Flag, Kind
from nanotick.data.archive import Blocks, Source, Stream
from nanotick.data.binance_markets import Markets, instrument_of
from nanotick.data.format import Listing, Options, Reading
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.data.recorded_lines import STAMPED, line_end, memory_stream, split_line, symbol_in
from nanotick.wire import binance_scan as scan
from nanotick.wire.binance import decode_frame
from nanotick.wire.binance_chain import DROP, GAP, IN_CHAIN, take_diff, take_snapshot
from nanotick.wire.json_scan import REASONS, REPEATED
from nanotick.wire.json_text import WireError, rounded, scaled
from nanotick.wire.messages import Depth, Listed, Mark, Message, Quote, Trade

ROWS = 1 << 15  # events of one chunk
_RING = 4  # chunks kept, for what a late snapshot must not undo
MAX_LINE = 16 << 20  # bytes
_SAMPLE = 64  # every so many rows, one latency is kept
_SETTINGS = {"spot": 0, "usdm": 1, "coinm": 2}
_MARKERS = (b'"depthUpdate"', b'"bookTicker"', b"@bookTicker", b'"aggTrade"', b"@trade", b'"lastUpdateId"', b"@depth")

Opened = tuple[str, Callable[[], Stream]]  # label, opener


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


class BinanceReader:
    """One reading of Binance sources: markets by venue, chunks of events out."""

    def __init__(self, options: Options, report: QualityReport, listing: Listing) -> None:
        self._options = options
        self._report = report
        self._listing = listing
        self._venues: dict[int, Markets] = {}
        self._ring = [np.zeros(ROWS, dtype=EVENT) for _ in range(_RING)]
        self._turn = 0
        self._kept: list[npt.NDArray[Any]] = []  # recent chunks, oldest first
        self.markets = Markets()
        self._venue = 0
        self._gaps = 0

    # --- first pass -----------------------------------------------------------------------------------------------

    def _specified(self) -> bool:
        fields = self._options.specs.get("*", {})
        return "price_decimals" in fields and "qty_decimals" in fields

    def measure(self, opened: Opened) -> int:
        """Read a source for its symbols, scales and market; which venue it is of."""
        label, opener = opened
        found = Markets()
        self.markets = found
        found.state["measure"] = 1
        if symbol := symbol_in(label):
            guess = symbol
        else:
            guess = ""
        snapshots: list[Message] = []
        head_only = self._specified()
        for line in self._lines(label, opener(), lambda: None, head_only):
            if not isinstance(line, tuple):
                continue
            _, data, _ = line
            try:
                for message in decode_frame(split_line(data)[1]):
                    if isinstance(message, Depth) and not message.symbol:
                        snapshots.append(message)
                    else:
                        found.measure(message)
            except WireError:
                continue  # the second pass reports it
        for message in snapshots:
            if not found.only() and guess:
                found.add(guess)
            found.measure(message)
        bits = int(np.bitwise_or.reduce(found.records["futures"][: max(1, len(found.numbers))]))
        setting = self._options.setting("market")
        venue = _SETTINGS.get(setting, 2 if bits & 2 else bits & 1)
        markets = self._venues.setdefault(venue, Markets())
        markets.listed.update(found.listed)
        for symbol, number in found.numbers.items():
            target, source = markets.records[markets.add(symbol)], found.records[number]
            for name in ("price_places", "qty_places"):
                target[name] = max(target[name], source[name])
            target["trades"] |= source["trades"]
        return venue

    def list_instruments(self) -> None:
        """Give every symbol found its number and scales."""
        for venue, markets in self._venues.items():
            self._venue, self.markets = venue, markets
            for symbol in markets.numbers:
                self._list(symbol)

    def _list(self, symbol: str) -> None:
        markets = self.markets
        record = markets.records[markets.numbers[symbol]]
        listed = markets.listed.get(symbol)
        known = instrument_of(symbol, record, listed, self._venue)
        if self._options.venue:
            known = replace(known, venue=self._options.venue)
        number = self._listing.number(known)
        record["number"] = number
        if number < 0:
            return
        item = self._listing.instruments[number]
        venues = list(dict.fromkeys(i.venue for i in self._listing))
        record["price_decimals"], record["qty_decimals"] = item.price_decimals, item.qty_decimals
        record["venue"] = venues.index(item.venue)
        if listed is None and (item.price_decimals, item.qty_decimals) == (known.price_decimals, known.qty_decimals):
            self._report.note(
                f"{symbol}@{item.venue}: {item.price_decimals} price and {item.qty_decimals} quantity decimals, "
                f"inferred from the digits seen; tick {item.tick_size} and lot {item.lot_size} are their smallest steps"
            )

    # --- second pass ----------------------------------------------------------------------------------------------

    def read(self, opened: Opened, venue: int) -> Iterator[npt.NDArray[Any]]:
        """Events of one source."""
        label, opener = opened
        self._venue = venue
        self.markets = markets = self._venues[venue]
        markets.state["measure"] = 0
        self._kept = []
        before = markets.state[0].copy()
        self._gaps = int(markets.records["gaps"].sum())
        stale = int(markets.records["stale"].sum())
        latencies: list[npt.NDArray[np.int64]] = []
        symbol = symbol_in(label)
        for item in self._lines(label, opener(), self._next_buffer, False):
            if isinstance(item, tuple):
                where, data, reason = item
                for chunk in self._general(where, data, reason, symbol):
                    self._keep(chunk)
                    yield chunk
                continue
            self._report_gaps(label, item)
            part = item[::_SAMPLE]
            latencies.append(part["ts_recv"] - part["ts_venue"])
            self._kept.append(item)
            yield item
            self._kept = self._kept[-(_RING - 1) :]
        self._count(label, before, stale)
        if latencies and (median := float(np.median(np.concatenate(latencies)))) < 0:
            self._report.note(
                f"{label}: in the median received {-median / 1e6:,.0f} ms before the venue's time (the recorder's "
                "clock was behind); --correct-latency NS shifts the receive times"
            )

    def _keep(self, chunk: npt.NDArray[Any]) -> None:
        if len(chunk):
            self._kept = [*self._kept[-(_RING - 1) :], chunk]

    def _next_buffer(self) -> npt.NDArray[Any]:
        self._turn = (self._turn + 1) % _RING
        return self._ring[self._turn]

    def _lines(
        self, label: str, stream: Stream, buffer: Callable[[], npt.NDArray[Any] | None], head_only: bool
    ) -> Iterator[npt.NDArray[Any] | tuple[str, bytes, int]]:
        """Chunks of rows, and lines the kernel does not settle as (place, line, reason), in their order."""
        state = self.markets.state
        address = _address(state)
        blocks = Blocks(stream)
        rows = buffer()
        self._point(rows)
        used, more = 0, True
        while more:
            more = blocks.advance(used)
            size = blocks.size
            newline = bytes(blocks.data[max(0, size - MAX_LINE) :]).rfind(b"\n") if size else -1
            end = size - min(size, MAX_LINE) + newline + 1 if newline >= 0 else 0
            if not more and end < size and not blocks.cut:
                last = bytes(blocks.data[end:])
                tail = Blocks(memory_stream(label, bytes(blocks.data[:end]) + last + b"\n"), size + 1)
                tail.advance(0)
                tail.position, blocks, size, end = blocks.position, tail, size + 1, size + 1
            if end == 0 and size > MAX_LINE:
                yield f"{label} byte {blocks.position}", b"", REPEATED + REPEATED
                used = size
                continue
            base, at = blocks.address, 0
            while at < end:
                scan.scan_lines(address, base + at, base + end)
                at = int(state["position"][0]) - base
                status, count = int(state["status"][0]), int(state["rows"][0])
                odd = status in (scan.ODD, scan.FULL, scan.NEW_SYMBOL)
                line = bytes(blocks.data[at : line_end(blocks.data, at, end)]) if odd else b""
                if status == scan.NEW_SYMBOL and self._learn(line):
                    continue
                if rows is not None and count:
                    yield rows[:count]
                    rows = buffer()
                    self._point(rows)
                    if status == scan.FULL:
                        continue
                if odd:
                    yield f"{label} byte {blocks.position + at}", line, int(state["reason"][0])
                    at += len(line) + 1
            used = end
            if head_only:
                return
        if blocks.cut and buffer() is not None:
            self._report.anomaly(
                Anomaly.TRUNCATED, f"{label} byte {blocks.position + blocks.size}", f"{blocks.cut}; all before is read"
            )

    def _point(self, rows: npt.NDArray[Any] | None) -> None:
        state = self.markets.state
        state["rows"] = 0
        state["capacity"] = 0 if rows is None else len(rows)
        state["out_address"] = 0 if rows is None else _address(rows)

    def _learn(self, line: bytes) -> bool:
        """Enter the symbol of a line that the kernel does not know."""
        try:
            messages = decode_frame(split_line(line)[1])
            symbol = next((m.symbol for m in messages if isinstance(m, Depth | Trade | Quote | Mark)), "")
            if not symbol or symbol in self.markets.numbers:
                return False
            self.markets.add(symbol)
        except WireError:
            return False
        if not self.markets.state["measure"][0]:
            self._list(symbol)
        return True

    # --- the general path -----------------------------------------------------------------------------------------

    def _general(self, where: str, line: bytes, reason: int, symbol: str) -> Iterator[npt.NDArray[Any]]:
        report = self._report
        try:
            if not line:
                raise WireError(f"a line of more than {MAX_LINE:,} bytes")
            ts_recv, data = split_line(line)
            messages = decode_frame(data)
        except WireError as error:
            report.anomaly(Anomaly.MALFORMED, where, f"{error} ({REASONS.get(reason, 'unread')})")
            return
        for message in messages:
            report.message(message.kind)
            try:
                rows = self.rows_of(message, ts_recv, symbol, where)
            except WireError as error:
                report.anomaly(Anomaly.MALFORMED, where, str(error))
                continue
            if len(rows):
                yield rows

    def rows_of(self, message: Message, ts_recv: int, symbol: str = "", where: str = "") -> npt.NDArray[Any]:
        """Events of one message, exactly as the kernel would write them.

        Raises
        ------
        WireError
            The message does not fit its instrument.
        """
        none = np.zeros(0, dtype=EVENT)
        if isinstance(message, Listed):
            self.markets.listed.setdefault(message.symbol, message)
            return none
        if not isinstance(message, Depth | Trade | Quote | Mark):
            return none
        name = message.symbol or self.markets.only() or symbol
        if not name:
            raise WireError("a snapshot without a symbol among several; expected the symbol in the file's name")
        known = name in self.markets.numbers
        number = self.markets.add(name)
        if not known:
            self._list(name)
        record = self.markets.records[number : number + 1]
        market = record[0]
        if market["number"] < 0:
            return none
        price_decimals, qty_decimals = int(market["price_decimals"]), int(market["qty_decimals"])
        rows = none
        if isinstance(message, Depth):
            rows = _level_rows(message, price_decimals, qty_decimals)
            if not message.snapshot:
                self._count_levels(len(rows))
        elif isinstance(message, Trade):
            rows = np.zeros(1, dtype=EVENT)
            rows["kind"], rows["side"], rows["id"], rows["word"] = (
                Kind.TRADE,
                message.side,
                message.trade_id,
                message.order,
            )
            rows["price"] = scaled(message.price, price_decimals, "price")
            rows["qty"] = scaled(message.qty, qty_decimals, "quantity")
            rows["flags"] = BOTH_SIDES | Flag.LAST | (Flag.PRINTABLE if message.printable else 0)
            if message.kind == "aggTrade" and market["trades"] & 1:
                self._report.note(_NO_AGGREGATES)
                return none
        elif isinstance(message, Quote):
            rows = np.zeros(1, dtype=EVENT)
            rows["kind"], rows["seq"] = Kind.QUOTE, message.last
            rows["price"], rows["id"] = (scaled(p, price_decimals, "price") for p in (message.bid, message.ask))
            rows["qty"], rows["word"] = (
                scaled(q, qty_decimals, "quantity") for q in (message.bid_qty, message.ask_qty)
            )
            rows["flags"] = BOTH_SIDES | Flag.LAST
        else:
            rows = np.zeros(1, dtype=EVENT)
            rows["kind"] = Kind.MARK
            rows["price"], rows["id"] = (rounded(p, price_decimals, "price") for p in (message.mark, message.index))
            rows["word"] = rounded(message.rate, 9, "funding rate")
            rows["flags"] = BOTH_SIDES | Flag.LAST
            self._report.note("mark and index prices are rounded to the price scale")
        ts_venue = message.ts_venue
        if ts_venue > 0:
            market["latest_ns"] = max(int(market["latest_ns"]), ts_venue)
        else:
            ts_venue = int(market["latest_ns"]) or ts_recv
        if isinstance(message, Trade) and not (rows["price"][0] and rows["qty"][0]):
            self._empty_trades(1, where)
            return none
        rows["instrument"], rows["venue"] = market["number"], market["venue"]
        rows["ts_venue"], rows["ts_recv"] = ts_venue, ts_recv or ts_venue
        if isinstance(message, Depth):
            rows["seq"] = message.last
            return self._chained(message, record, rows, where)
        return rows

    def _chained(
        self, message: Depth, record: npt.NDArray[Any], rows: npt.NDArray[Any], where: str
    ) -> npt.NDArray[Any]:
        """The rows of a depth message with what the chain of update ids puts before or after them."""
        address = _address(record)
        head = np.zeros(1, dtype=EVENT)
        for name in ("ts_venue", "ts_recv", "instrument", "venue"):
            head[name] = rows[name][0] if len(rows) else 0
        parts = [rows]
        if message.snapshot:
            result = take_snapshot(address, message.last)
            market = record[0]
            if len(rows):
                head["kind"], head["flags"], head["seq"] = Kind.CLEAR, BOTH_SIDES | Flag.SNAPSHOT, message.last
                parts = [head, rows]
            if market["mode"] == IN_CHAIN:
                parts.append(self._newer(int(market["number"]), message.last, rows))
        else:
            result = take_diff(address, message.first, message.last, message.previous)
            if result == DROP:
                return np.zeros(0, dtype=EVENT)
        if result == GAP:
            market = record[0]
            gap = head.copy()
            gap["kind"], gap["seq"], gap["word"] = Kind.GAP, market["gap_first"], market["gap_count"]
            gap["flags"] = BOTH_SIDES
            if not len(rows):
                gap["instrument"], gap["venue"] = market["number"], market["venue"]
                gap["ts_venue"] = gap["ts_recv"] = market["latest_ns"]
            parts.insert(0, gap)
            self._report_gaps(where, gap)
        return np.concatenate(parts)

    def _newer(self, instrument: int, last: int, snapshot: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Levels that arrived before a snapshot but are newer than it, to be applied again after it."""
        parts = [
            chunk[(chunk["instrument"] == instrument) & (chunk["kind"] == Kind.LEVEL) & (chunk["seq"] > last)]
            for chunk in self._kept
        ]
        again = np.concatenate([np.zeros(0, dtype=EVENT), *parts])
        if len(again) and len(snapshot):
            again["ts_recv"] = snapshot["ts_recv"][0]
            again["ts_venue"] = np.maximum(again["ts_venue"], snapshot["ts_venue"][0])
            self._report.note("levels newer than a REST snapshot that arrived before it are applied again after it")
        return again

    # --- the report -----------------------------------------------------------------------------------------------

    def _count_levels(self, count: int) -> None:
        self._report.checks["depth_levels"] += count

    def _empty_trades(self, count: int, where: str) -> None:
        self._report.anomaly(Anomaly.UNSUPPORTED, where, "a trade of no price or quantity is no event", count)

    def _report_gaps(self, where: str, rows: npt.NDArray[Any]) -> None:
        gaps = int(self.markets.records["gaps"].sum())
        if gaps == self._gaps:
            return
        self._gaps = gaps
        for row in rows[rows["kind"] == Kind.GAP]:
            symbol = self._listing.instruments[int(row["instrument"])].symbol
            self._report.anomaly(
                Anomaly.GAP,
                f"{where} {symbol} update id {row['seq']}",
                f"up to {row['word']:,} update ids missing; the book is not to be trusted until the next snapshot",
            )

    def _count(self, label: str, before: Any, stale: int) -> None:
        after, report = self.markets.state[0], self._report
        for name, kind in (
            ("depth", "depthUpdate"),
            ("trade", "trade"),
            ("agg_trade", "aggTrade"),
            ("book_ticker", "bookTicker"),
        ):
            if count := int(after[name] - before[name]):
                report.message(kind, count)
        self._count_levels(int(after["levels"] - before["levels"]))
        if count := int(after["empty_trades"] - before["empty_trades"]):
            self._empty_trades(count, label)
        if after["duplicate_agg"] > before["duplicate_agg"]:
            report.note(_NO_AGGREGATES)
        if after["untimed"] > before["untimed"]:
            report.note("messages without a time of their own take the latest venue time seen before them")
        if dropped := int(self.markets.records["stale"].sum()) - stale:
            report.note(f"{label}: {dropped:,} diffs that the book had already were dropped")


_NO_AGGREGATES = "aggTrade messages are left out where the symbol's trade messages are there too"


def _level_rows(message: Depth, price_decimals: int, qty_decimals: int) -> npt.NDArray[Any]:
    rows = np.zeros(len(message.bids) + len(message.asks), dtype=EVENT)
    rows["kind"] = Kind.LEVEL
    rows["flags"] = BOTH_SIDES | (Flag.SNAPSHOT if message.snapshot else 0)
    rows["side"][: len(message.bids)] = BUY
    rows["side"][len(message.bids) :] = SELL
    levels = message.bids + message.asks
    rows["price"] = [scaled(price, price_decimals, "price") for price, _ in levels]
    rows["qty"] = [scaled(qty, qty_decimals, "quantity") for _, qty in levels]
    rows["flags"][-1:] |= int(Flag.LAST)
    return rows


class BinanceLines:
    """Raw recordings of Binance streams."""

    name = "binance"
    description = "Binance WebSocket recordings, lines of local stamp and frame: spot, USD-M, COIN-M"
    extensions = (".gz", ".dat.gz", ".log")

    def sniff(self, head: bytes, source: Source) -> bool:
        """Lines of stamp and frame, or bare frames, with Binance's message names among the first."""
        plain = head.startswith(b"{") and not head.startswith((b'{"t":', b"{\n", b"{\r"))
        return (plain or STAMPED.match(head) is not None) and any(marker in head for marker in _MARKERS)

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the recordings, one after the other; chains of update ids go on from file to file."""
        return read_streams([(source.label, source.open) for source in sources], options, report, listing)

    def validate(self, reading: Reading, chunks: Iterable[npt.NDArray[Any]]) -> tuple[dict[str, Any], bool]:
        """Update ids, and the rebuilt book against bookTicker."""
        from nanotick.data.binance_validate import validate_binance

        return validate_binance(reading, chunks)


def read_streams(
    opened: Sequence[Opened], options: Options, report: QualityReport, listing: Listing
) -> Iterator[npt.NDArray[Any]]:
    """Events of streams of lines, each opened twice: for its scales and for its events."""
    reader = BinanceReader(options, report, listing)
    venues = [reader.measure(item) for item in opened]
    reader.list_instruments()
    for item, venue in zip(opened, venues, strict=True):
        yield from reader.read(item, venue)


FORMAT = BinanceLines()
