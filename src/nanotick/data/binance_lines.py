"""Binance WebSocket recordings: lines `<local stamp> <raw frame>`, spot, USD-M and COIN-M, at the speed of the disk.

The stamp is in s, ms, us or ns; lines without one are taken to arrive when they were sent. REST depth snapshots among
the lines restart the book: CLEAR, then LEVEL rows, then again the levels of diffs that arrived before the snapshot but
are newer than it, since a snapshot by REST is older than the stream by then.

Scales: the fields of an instrument specification, else an exchangeInfo body among the lines, else the places that the
recording's own digits need, found by reading it once before (stated in the notes). Mark and index prices are finer than
the tick and are rounded. Spot bookTicker carries no time; its rows take the latest venue time seen before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Contract, Instrument
from nanotick.core.records import BOTH_SIDES, BUY, EVENT, SELL, Flag, Kind
from nanotick.data.archive import Blocks, Source, Stream
from nanotick.data.format import Listing, Options
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire import binance_scan as scan
from nanotick.wire.binance import decode_frame
from nanotick.wire.binance_chain import DROP, GAP, IN_CHAIN, MARKET, MAX_SYMBOL, take_diff, take_snapshot
from nanotick.wire.json_scan import REASONS, REPEATED
from nanotick.wire.json_text import WireError, epoch_ns, places, rounded, scaled
from nanotick.wire.messages import Depth, Listed, Mark, Message, Other, Quote, Trade

ROWS = 1 << 15  # events of one chunk
_RING = 4  # chunks kept, for what a late snapshot must not undo
MAX_LINE = 16 << 20  # bytes
_SAMPLE = 64  # every so many rows, one latency is kept
VENUES = ("BINANCE", "BINANCE_USDM", "BINANCE_COINM")  # by the market's `futures` bits
_SETTINGS = {"spot": 0, "usdm": 1, "coinm": 2}
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "JPY", "DAI")
_STAMPED = re.compile(rb"[0-9]{10,19} +\{")
_MARKERS = (b'"depthUpdate"', b'"bookTicker"', b"@bookTicker", b'"aggTrade"', b"@trade", b'"lastUpdateId"', b"@depth")

Opened = tuple[str, Callable[[], Stream]]  # label, opener


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


class Markets:
    """The symbols of one venue: names, scales and update-id chains, in records that the kernel reads."""

    def __init__(self) -> None:
        self.records: npt.NDArray[Any] = np.zeros(scan.MAX_MARKETS, dtype=MARKET)
        self.numbers: dict[str, int] = {}
        self._table: npt.NDArray[np.int64] = np.zeros(scan.TABLE_SIZE, dtype=np.int64)
        self.state: npt.NDArray[Any] = np.zeros(1, dtype=scan.SCAN)
        self.state["markets_address"] = _address(self.records)
        self.state["table_address"] = _address(self._table)
        self.listed: dict[str, Listed] = {}

    def add(self, symbol: str) -> int:
        """Number of a symbol, entered if new.

        Raises
        ------
        WireError
            There are too many, or its name is too long.
        """
        number = self.numbers.get(symbol)
        if number is None:
            name = symbol.encode()
            number = len(self.numbers)
            if len(name) > MAX_SYMBOL or number == len(self.records):
                raise WireError(f"symbol {symbol!r}: at most {MAX_SYMBOL} bytes and {len(self.records)} symbols")
            self.numbers[symbol] = number
            raw = np.zeros(MAX_SYMBOL, dtype=np.uint8)
            raw[: len(name)] = list(name)
            self.records["name"][number] = raw.view("<i8")
            scan.enter_market(_address(self.state), number)
        return number

    def measure(self, message: Message) -> None:
        """Take the places a message's digits need."""
        if isinstance(message, Listed):
            self.listed[message.symbol] = message
            return
        prices: list[str] = []
        sizes: list[str] = []
        symbol = getattr(message, "symbol", "")
        if isinstance(message, Depth):
            symbol = symbol or self.only()
            prices = [price for price, _ in message.bids + message.asks]
            sizes = [qty for _, qty in message.bids + message.asks]
        elif isinstance(message, Trade):
            prices, sizes = [message.price], [message.qty]
        elif isinstance(message, Quote):
            prices, sizes = [message.bid, message.ask], [message.bid_qty, message.ask_qty]
        if not symbol:
            return
        record = self.records[self.add(symbol)]
        record["price_places"] = max([record["price_places"], *map(places, prices)])
        record["qty_places"] = max([record["qty_places"], *map(places, sizes)])
        if isinstance(message, Trade):
            record["trades"] |= 2 if message.kind == "aggTrade" else 1
        if isinstance(message, Depth) and message.previous >= 0:
            record["futures"] |= 1

    def only(self) -> str:
        """The one symbol there is, or an empty string."""
        return next(iter(self.numbers)) if len(self.numbers) == 1 else ""


def _instrument(symbol: str, record: Any, listed: Listed | None, venue: int) -> Instrument:
    """What is known of a symbol: from the venue's directory, else from its digits and its name."""
    price_places, qty_places = int(record["price_places"]), int(record["qty_places"])
    fields: dict[str, Any] = {}
    base = symbol.partition("_")[0]
    if venue == 2:
        coin = base.removesuffix("USD")
        fields.update(contract=Contract.INVERSE, multiplier="100" if coin == "BTC" else "10", currency=coin)
    else:
        fields["currency"] = next((quote for quote in _QUOTES if base.endswith(quote) and base != quote), "")
    if listed is not None:
        for name in ("tick_size", "lot_size", "min_qty", "max_qty", "min_notional", "multiplier", "currency"):
            if value := getattr(listed, name):
                fields[name] = value
        price_places = max(price_places, places(listed.tick_size or "0"))
        qty_places = max(qty_places, places(listed.lot_size or "0"))
    fields.setdefault("tick_size", f"{10**-price_places:.{price_places}f}")
    fields.setdefault("lot_size", f"{10**-qty_places:.{qty_places}f}")
    decimals = {"price_decimals": price_places, "qty_decimals": qty_places}
    for name, kind in (("min_qty", qty_places), ("max_qty", qty_places), ("min_notional", price_places + qty_places)):
        if name in fields and places(fields[name]) > kind:
            del fields[name]
    return Instrument(symbol, VENUES[venue], **decimals, **fields)


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
        if symbol := _symbol_in(label):
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
                for message in decode_frame(_frame(data)[1]):
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
        known = _instrument(symbol, record, listed, self._venue)
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
        symbol = _symbol_in(label)
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
                f"{label}: in the median received {-median / 1e6:,.0f} ms before the venue's time (the recorder's clock "
                "was behind); --correct-latency NS shifts the receive times"
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
                tail = Blocks(_memory(label, bytes(blocks.data[:end]) + last + b"\n"), size + 1)
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
                if rows is not None and count and (status != scan.NEW_SYMBOL or count > ROWS // 2):
                    yield rows[:count]
                    rows = buffer()
                    self._point(rows)
                    if status == scan.FULL:
                        continue
                if status in (scan.ODD, scan.FULL, scan.NEW_SYMBOL):
                    line = bytes(blocks.data[at : _find(blocks.data, at, end)])
                    if status == scan.NEW_SYMBOL and self._learn(line):
                        continue
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
            symbol = next((m.symbol for m in decode_frame(_frame(line)[1]) if not isinstance(m, Other)), "")  # type: ignore[union-attr]
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
            ts_recv, data = _frame(line)
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
            self.markets.measure(message)
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
            rows["kind"], rows["side"], rows["id"], rows["word"] = Kind.TRADE, message.side, message.trade_id, message.order
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
            rows["qty"], rows["word"] = (scaled(q, qty_decimals, "quantity") for q in (message.bid_qty, message.ask_qty))
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

    def _chained(self, message: Depth, record: npt.NDArray[Any], rows: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
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


def _find(data: npt.NDArray[np.uint8], at: int, end: int) -> int:
    """Offset of the next line feed."""
    step = 4096
    while at < end:
        found = bytes(data[at : at + step]).find(b"\n")
        if found >= 0:
            return at + found
        at += step
    return end


def _memory(label: str, body: bytes) -> Stream:
    parts = [body]
    return Stream(label, lambda: parts.pop() if parts else b"")


def _frame(line: bytes) -> tuple[int, bytes]:
    """Receive time (0 when there is none) and frame of a line."""
    stamp, space, frame = line.partition(b" ")
    if line[:1].isdigit():
        if not (space and stamp.isdigit() and len(stamp) <= 19 and int(stamp) < 9 * 10**18):
            raise WireError(f"expected a local time stamp and a message, found {line[:40]!r}")
        return epoch_ns(int(stamp)), frame.strip(b" \t\r")
    return 0, line.strip(b" \t\r")


def _symbol_in(name: str) -> str:
    """The symbol a recording is named after: btcusdt_20240808.gz, btcusd_perp_20240808.gz."""
    found = re.match(r"([A-Za-z0-9]{4,20}?(?:_perp|_\d{6})?)(?:[._-]|\Z)", name.rsplit("/", 1)[-1].rsplit(":", 1)[-1], re.I)
    return found[1].upper() if found else ""


class BinanceLines:
    """Raw recordings of Binance streams."""

    name = "binance"
    description = "Binance WebSocket recordings, lines of local stamp and frame: spot, USD-M, COIN-M"
    extensions = (".gz", ".dat.gz", ".log")

    def sniff(self, head: bytes, source: Source) -> bool:
        """Lines of stamp and frame, or bare frames, with Binance's message names among the first."""
        plain = head.startswith(b"{") and not head.startswith((b'{"t":', b"{\n", b"{\r"))
        return (plain or _STAMPED.match(head) is not None) and any(marker in head for marker in _MARKERS)

    def read(
        self, sources: Sequence[Source], options: Options, report: QualityReport, listing: Listing
    ) -> Iterator[npt.NDArray[Any]]:
        """Events of the recordings, one after the other; chains of update ids go on from file to file."""
        return read_streams([(source.label, source.open) for source in sources], options, report, listing)


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
