"""Frames of any venue into events: scales found first, then rows, with the rules that span messages kept per symbol.

What a codec (`wire.kraken`, `wire.coinbase`, ...) says in the venue's digits becomes EVENT rows at the instrument's
scale. Rules by venue: Kraken's checksum is recomputed after every book message; Coinbase's `sequence_num` must rise by
one on a connection, Bybit's `u` by one for a symbol; a diff older than a REST snapshot is dropped; orders that were
never announced are counted, and added if the message says all of them. A broken rule is an anomaly and a GAP event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, BUY, EVENT, SELL, Flag, Kind
from nanotick.data.format import SKIPPED, Listing, Options
from nanotick.data.inferred import inferred_instrument
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.json_text import WireError, places, rounded, scaled
from nanotick.wire.kraken import KrakenBook
from nanotick.wire.messages import Depth, Frame, Listed, Mark, Message, Order, Quote, Sequence, Trade

Decoder = Callable[[Frame], list[Message]]
Row = tuple[int, int, int, int, int, int, int, int, int, int, int, int]

CHUNK = 1 << 14  # rows
_SNAPSHOT, _LAST, _PRINTABLE = int(Flag.SNAPSHOT), int(Flag.LAST), int(Flag.PRINTABLE)
_BOTH = int(BOTH_SIDES)
_LATEST_NS = 1 << 62


@dataclass(slots=True)
class Tracked:
    """What is remembered of one symbol."""

    symbol: str
    number: int = SKIPPED
    venue: int = 0
    price_decimals: int = 0
    qty_decimals: int = 0
    price_places: int = 0
    qty_places: int = 0
    latest_ns: int = 0
    last_id: int = -1
    book: KrakenBook | None = None
    orders: set[int] = field(default_factory=set)
    recent: list[Depth] = field(default_factory=list)  # diffs, until a snapshot by REST has come


class VenueReader:
    """One reading of frames of one venue.

    Parameters
    ----------
    venue : str
    make_decoder : callable
        Gives a fresh decoder; each pass uses its own.
    frames : callable
        Gives the frames from the start, in order of arrival.
    """

    def __init__(
        self,
        venue: str,
        make_decoder: Callable[[], Decoder],
        frames: Callable[[], Iterator[Frame]],
        options: Options,
        report: QualityReport,
        listing: Listing,
    ) -> None:
        self._venue = venue
        self._make_decoder = make_decoder
        self._frames = frames
        self._options = options
        self._report = report
        self._listing = listing
        self._tracked: dict[str, Tracked] = {}
        self._listed: dict[str, Listed] = {}
        self._sequences: dict[str, int] = {}
        self._rows: list[Row] = []
        self._frame = Frame(b"", 0, "")
        self._frames_read = 0

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        self._measure()
        decode = self._make_decoder()
        for frame in self._frames():
            self._take(decode, frame)
            if len(self._rows) >= CHUNK:
                yield self._flush()
        if self._rows:
            yield self._flush()

    def _flush(self) -> npt.NDArray[Any]:
        rows = np.array(self._rows, dtype=EVENT)
        self._rows.clear()
        return rows

    # --- scales ---------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        decode = self._make_decoder()
        for frame in self._frames():
            try:
                for message in decode(frame):
                    self._measure_message(message)
            except WireError:
                continue  # the second pass reports it
        for tracked in self._tracked.values():
            self._list(tracked)

    def _measure_message(self, message: Message) -> None:
        if isinstance(message, Listed):
            self._listed[message.symbol] = message
            return
        prices: list[str] = []
        sizes: list[str] = []
        if isinstance(message, Depth):
            prices = [price for price, _ in message.bids + message.asks]
            sizes = [qty for _, qty in message.bids + message.asks]
        elif isinstance(message, Trade | Order):
            prices, sizes = [message.price], [message.qty]
        elif isinstance(message, Quote):
            prices, sizes = [message.bid, message.ask], [message.bid_qty, message.ask_qty]
        if not prices and not isinstance(message, Depth):
            return
        symbol = message.symbol  # type: ignore[union-attr]
        tracked = self._tracked.setdefault(symbol, Tracked(symbol))
        tracked.price_places = max([tracked.price_places, *map(places, prices)])
        tracked.qty_places = max([tracked.qty_places, *map(places, sizes)])

    def _list(self, tracked: Tracked) -> None:
        listed = self._listed.get(tracked.symbol)
        known = inferred_instrument(tracked.symbol, self._venue, tracked.price_places, tracked.qty_places, listed)
        tracked.number = self._listing.number(known)
        if tracked.number == SKIPPED:
            return
        item = self._listing.instruments[tracked.number]
        tracked.venue = list(dict.fromkeys(i.venue for i in self._listing)).index(item.venue)
        tracked.price_decimals, tracked.qty_decimals = item.price_decimals, item.qty_decimals
        if listed is None and (item.price_decimals, item.qty_decimals) == (known.price_decimals, known.qty_decimals):
            self._report.note(
                f"{item.symbol}@{item.venue}: {item.price_decimals} price and {item.qty_decimals} quantity decimals, "
                f"inferred from the digits seen; tick {item.tick_size} and lot {item.lot_size} are their smallest steps"
            )

    # --- messages -------------------------------------------------------------------------------------------------

    def _take(self, decode: Decoder, frame: Frame) -> None:
        self._frame = frame
        self._frames_read += 1
        try:
            messages = decode(frame)
        except WireError as error:
            self._report.anomaly(Anomaly.MALFORMED, frame.where, str(error))
            return
        kinds = dict.fromkeys(message.kind for message in messages)
        for kind in kinds:
            if kind != "sequence":
                self._report.message(kind)
        for message in messages:
            before = len(self._rows)
            try:
                if isinstance(message, Sequence):
                    if not self._in_sequence(message.number):
                        return
                    continue
                symbol = getattr(message, "symbol", "")
                tracked = self._tracked.get(symbol)
                if tracked is None or tracked.number == SKIPPED:
                    continue
                self._emit(tracked, message)
            except WireError as error:
                del self._rows[before:]
                self._report.anomaly(Anomaly.MALFORMED, frame.where, str(error))

    def _emit(self, tracked: Tracked, message: Message) -> None:
        if isinstance(message, Depth):
            self._depth(tracked, message)
        elif isinstance(message, Trade):
            self._trade(tracked, message)
        elif isinstance(message, Order):
            self._order(tracked, message)
        elif isinstance(message, Quote):
            bid, ask = (scaled(p, tracked.price_decimals, "price") for p in (message.bid, message.ask))
            sizes = (scaled(q, tracked.qty_decimals, "quantity") for q in (message.bid_qty, message.ask_qty))
            bid_qty, ask_qty = sizes
            stamp = self._time(tracked, message.ts_venue)
            self._row(tracked, Kind.QUOTE, stamp, 0, bid, bid_qty, ask, ask_qty, max(0, message.last))
        elif isinstance(message, Mark):
            mark, index = (rounded(p, tracked.price_decimals, "price") for p in (message.mark, message.index))
            stamp = self._time(tracked, message.ts_venue)
            self._row(tracked, Kind.MARK, stamp, 0, mark, 0, index, rounded(message.rate, 9, "rate"))
            self._report.note("mark and index prices are rounded to the price scale")

    def _row(
        self, tracked: Tracked, kind: int, stamp: int, side: int, price: int, qty: int,
        ident: int = 0, word: int = 0, seq: int = 0, flags: int = _BOTH | _LAST,
    ) -> None:  # fmt: skip
        recv = self._frame.ts_recv or stamp
        self._rows.append(
            (stamp, recv, seq, price, qty, ident, word, tracked.number, tracked.venue, int(kind), side, flags)
        )

    def _time(self, tracked: Tracked, stamp: int) -> int:
        if stamp > 0:
            if stamp >= _LATEST_NS:
                raise WireError(f"a time of {stamp} ns; expected one before the year 2116")
            tracked.latest_ns = max(tracked.latest_ns, stamp)
            return stamp
        if tracked.latest_ns == 0 and self._frame.ts_recv == 0:
            self._report.note("no times are recorded: rows carry the number of their message, in nanoseconds")
            return self._frames_read
        self._report.note("messages without a time of their own take the latest venue time seen before them")
        return tracked.latest_ns or self._frame.ts_recv

    def _trade(self, tracked: Tracked, message: Trade) -> None:
        if message.snapshot:
            self._report.note("trades in a subscription's snapshot happened before the recording and are left out")
            return
        price = scaled(message.price, tracked.price_decimals, "price")
        qty = scaled(message.qty, tracked.qty_decimals, "quantity")
        stamp = self._time(tracked, message.ts_venue)
        flags = _BOTH | _LAST | (_PRINTABLE if message.printable else 0)
        self._row(tracked, Kind.TRADE, stamp, message.side, price, qty, message.trade_id, message.order, 0, flags)

    def _depth(self, tracked: Tracked, message: Depth) -> None:
        if not message.snapshot and self._stale(tracked, message):
            return
        stamp = self._time(tracked, message.ts_venue)
        seq = max(0, message.last)
        flags = _BOTH | (_SNAPSHOT if message.snapshot else 0)
        if message.snapshot:
            tracked.last_id = message.last
            tracked.orders.clear()
            self._row(tracked, Kind.CLEAR, stamp, 0, 0, 0, seq=seq, flags=_BOTH | _SNAPSHOT)
        for side, levels in ((BUY, message.bids), (SELL, message.asks)):
            for price, qty in levels:
                units = scaled(price, tracked.price_decimals, "price")
                lots = scaled(qty, tracked.qty_decimals, "quantity")
                self._row(tracked, Kind.LEVEL, stamp, side, units, lots, seq=seq, flags=flags)
        if message.kind.startswith("book") and self._venue == "KRAKEN":
            self._check(tracked, message, stamp)
        if self._rows and self._rows[-1][7] == tracked.number:
            self._rows[-1] = (*self._rows[-1][:11], self._rows[-1][11] | _LAST)
        if message.kind == "rest_order_book":
            recent, tracked.recent = tracked.recent, []
            for diff in recent:
                if diff.last > message.last:
                    self._depth(tracked, diff)

    def _stale(self, tracked: Tracked, message: Depth) -> bool:
        """Whether the book has a diff already; reports ids missing before one it has not."""
        if message.last < 0:
            return False
        if tracked.last_id < 0 and len(tracked.recent) < 4096 and message.kind == "diff_order_book":
            tracked.recent.append(message)
        if tracked.last_id >= 0:
            if message.last <= tracked.last_id:
                self._report.note(f"{tracked.symbol}: diffs older than the snapshot are dropped")
                return True
            if message.first == message.last and message.last != tracked.last_id + 1:
                self._gap(tracked, tracked.last_id + 1, message.last - tracked.last_id - 1, "update ids")
        if message.first >= 0 or tracked.last_id >= 0:
            tracked.last_id = message.last
        return False

    def _gap(self, tracked: Tracked, first: int, count: int, what: str) -> None:
        stamp = tracked.latest_ns or self._frame.ts_recv
        self._row(tracked, Kind.GAP, stamp, 0, 0, 0, 0, count, first, _BOTH)
        self._report.anomaly(
            Anomaly.GAP, self._frame.where, f"{tracked.symbol}: {count:,} {what} missing from {first}; expected none"
        )

    def _in_sequence(self, number: int) -> bool:
        connection = self._frame.connection
        expected = self._sequences.get(connection)
        if expected is not None and 0 < number < expected:
            self._report.anomaly(
                Anomaly.DUPLICATE, self._frame.where, f"message {number} of the connection, expected {expected}"
            )
            return False
        self._sequences[connection] = number + 1
        if expected is not None and number > expected:
            missing = number - expected
            self._report.anomaly(
                Anomaly.GAP, self._frame.where, f"{missing:,} messages of the connection missing from {expected}"
            )
            for tracked in self._tracked.values():
                if tracked.number != SKIPPED:
                    stamp = tracked.latest_ns or self._frame.ts_recv
                    self._row(tracked, Kind.GAP, stamp, 0, 0, 0, 0, missing, expected, _BOTH)
        return True

    # --- venue rules ----------------------------------------------------------------------------------------------

    def _check(self, tracked: Tracked, message: Depth, stamp: int) -> None:
        """Apply a Kraken book message to the book at its depth, drop what falls out, and compare the checksum."""
        checks = self._report.checks
        if tracked.book is None:
            named = message.kind.partition("-")[2]
            widest = max(len(message.bids), len(message.asks))
            depth = (
                int(named) if named.isdigit() else next((d for d in (10, 25, 100, 500, 1000) if d >= widest), widest)
            )
            depth = int(self._options.setting("depth") or depth)
            wanted = [int(text) for text in self._options.setting("precision", "-1,-1").split(",")]
            tracked.book = KrakenBook(tracked.price_decimals, depth, wanted[0], wanted[-1])
        book = tracked.book
        if message.snapshot:
            book.clear()
        for side, levels in ((BUY, message.bids), (SELL, message.asks)):
            for price, qty in levels:
                book.set(side, price, qty)
        for side, units in book.truncate():
            self._row(tracked, Kind.LEVEL, stamp, side, units, 0, flags=_BOTH)
        if message.checksum < 0:
            return
        found = book.checksum()
        if found == message.checksum:
            checks["checksums_ok"] += 1
            return
        checks["checksums_bad"] += 1
        reason = f"{tracked.symbol}: the book's checksum is {found}, expected {message.checksum}"
        self._report.anomaly(Anomaly.CHECKSUM, self._frame.where, f"{reason}; it is not to be trusted until a snapshot")
        self._row(tracked, Kind.GAP, stamp, 0, 0, 0, flags=_BOTH)

    def _order(self, tracked: Tracked, message: Order) -> None:
        price = scaled(message.price, tracked.price_decimals, "price")
        qty = scaled(message.qty, tracked.qty_decimals, "quantity")
        action, order, where = message.action, message.order_id, self._frame.where
        known = order in tracked.orders
        if action == Kind.DELETE:
            if not known:
                if message.kind != "done":  # orders that never rested are done without having been open
                    self._report.anomaly(
                        Anomaly.UNKNOWN_REFERENCE, where, f"{message.kind} of order {order}, never seen"
                    )
                return
            tracked.orders.discard(order)
        elif action == Kind.MODIFY and not known:
            self._report.anomaly(
                Anomaly.UNKNOWN_REFERENCE, where, f"{message.kind} of order {order}, never seen; taken as new"
            )
            action = int(Kind.ADD)
        elif action == Kind.ADD and known:
            self._report.anomaly(Anomaly.DUPLICATE, where, f"{message.kind} of order {order}, which rests already")
            action = int(Kind.MODIFY)
        if action != Kind.DELETE:
            tracked.orders.add(order)
        flags = _BOTH | _LAST | (_SNAPSHOT if message.snapshot else 0)
        self._row(tracked, action, self._time(tracked, message.ts_venue), message.side, price, qty, order, flags=flags)
