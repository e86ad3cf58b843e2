"""Market data messages of a live stream into EVENT records: the last step of the general path, for every venue.

The kernels that read hot messages straight from the frame write the same records; this is what they are tested against
and what reads everything else. A message that does not fit its instrument's scale is refused and counted by itself, the
others of its frame are kept. Trades and orders of a subscription's snapshot happened before and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BOTH_SIDES, BUY, SELL, Flag, Kind
from nanotick.wire.json_text import WireError, rounded, scaled
from nanotick.wire.messages import (
    Bar,
    Depth,
    Listed,
    Mark,
    Message,
    Notice,
    Order,
    Other,
    Quote,
    Sequence,
    Status,
    Trade,
    Void,
)
from nanotick.wire.reports import EVENT_STRUCT, LAST_FLAGS

_BOTH, _LAST, _SNAPSHOT, _PRINTABLE = int(BOTH_SIDES), int(Flag.LAST), int(Flag.SNAPSHOT), int(Flag.PRINTABLE)
_CLEAR, _LEVEL, _QUOTE, _TRADE, _MARK, _BAR, _STATUS, _BREAK = (
    int(k) for k in (Kind.CLEAR, Kind.LEVEL, Kind.QUOTE, Kind.TRADE, Kind.MARK, Kind.BAR, Kind.STATUS, Kind.BREAK)
)
_EXECUTE, _DELETE = int(Kind.EXECUTE), int(Kind.DELETE)
_WITHOUT_ROWS = (Other, Notice, Listed, Sequence)
Row = tuple[int, int, int, int, int, int, int, int, int, int, int, int]


def reason_code(text: str) -> int:
    """The first eight ASCII characters as an integer, as `id` of a STATUS holds them."""
    return int.from_bytes(text.encode("ascii", "replace")[:8].ljust(8, b"\0"), "little", signed=True)


def bar_word(high: int, low: int, opening: int, close: int) -> int:
    """`word` of a BAR: how far high and low are from the body, 31 bits each.

    Raises
    ------
    WireError
        High or low inside the body, or too far from it.
    """
    above, below = high - max(opening, close), min(opening, close) - low
    if not (0 <= above < 1 << 31 and 0 <= below < 1 << 31):
        raise WireError("a bar whose high and low do not contain its open and close, or too wide")
    return above << 32 | below


class MarketRows:
    """EVENT records of one venue's messages.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table; symbols are the venue's own.
    by_order : bool
        Whether the stream tells every order (Coinbase Exchange full): a trade that names the resting order is then an
        EXECUTE of that order.

    Attributes
    ----------
    refused : Counter
        Messages that gave no record, by reason.
    counts : Counter
        Messages by kind.
    unlisted : int
        Messages of symbols that are not in the table.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, by_order: bool = False) -> None:
        self._by_order = by_order
        self._symbols = {item.symbol: (n, item) for n, item in enumerate(instruments) if item.venue == venue}
        self._venue = instruments.venues.index(venue)
        self.refused: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.unlisted = 0

    def write(self, messages: Iterable[Message], ts_recv: int) -> bytes:
        """Records of the messages of one frame, 64 bytes each."""
        out: list[bytes] = []
        for message in messages:
            self.counts[message.kind] += 1
            if isinstance(message, _WITHOUT_ROWS):
                continue
            found = self._symbols.get(getattr(message, "symbol", ""))
            if found is None:
                self.unlisted += bool(getattr(message, "symbol", ""))
                continue
            try:
                out += [EVENT_STRUCT.pack(*row) for row in self._rows(message, *found, ts_recv)]
            except WireError as error:
                self.refused[str(error)[:120]] += 1
        return b"".join(out)

    def _rows(self, message: Message, number: int, item: Instrument, recv: int) -> list[Row]:
        tail = (number, self._venue)
        stamp = message.ts_venue or recv  # type: ignore[union-attr]
        if isinstance(message, Depth):
            return self._depth(message, number, item, recv, stamp)
        if isinstance(message, Trade):
            if message.snapshot:
                return []
            price, qty = item_price(item, message.price), item_qty(item, message.qty)
            flags = LAST_FLAGS | (_PRINTABLE if message.printable else 0)
            if self._by_order and message.order:
                resting, trade = message.order, message.trade_id
                return [(stamp, recv, message.seq, price, qty, resting, trade, *tail, _EXECUTE, -message.side, flags)]
            return [
                (stamp, recv, message.seq, price, qty, message.trade_id, message.order, *tail, _TRADE,
                    message.side, flags)
            ]  # fmt: skip
        if isinstance(message, Quote):
            bid, ask = item_price(item, message.bid), item_price(item, message.ask)
            bid_qty, ask_qty = item_qty(item, message.bid_qty), item_qty(item, message.ask_qty)
            return [(stamp, recv, max(0, message.last), bid, bid_qty, ask, ask_qty, *tail, _QUOTE, 0, LAST_FLAGS)]
        if isinstance(message, Mark):
            mark, index = (rounded(text, item.price_decimals, "price") for text in (message.mark, message.index))
            return [(stamp, recv, 0, mark, 0, index, rounded(message.rate, 9, "rate"), *tail, _MARK, 0, LAST_FLAGS)]
        if isinstance(message, Bar):
            opening, high, low, close = (
                item_price(item, text) for text in (message.open, message.high, message.low, message.close)
            )
            word, volume = bar_word(high, low, opening, close), item_qty(item, message.volume)
            return [(stamp, recv, 0, close, volume, opening, word, *tail, _BAR, 0, LAST_FLAGS)]
        if isinstance(message, Status):
            code = reason_code(message.reason)
            return [(stamp, recv, 0, 0, 0, code, message.status, *tail, _STATUS, 0, LAST_FLAGS)]
        if isinstance(message, Void):
            return [(stamp, recv, 0, 0, 0, message.trade_id, 0, *tail, _BREAK, 0, LAST_FLAGS)]
        if isinstance(message, Order):
            price, qty = item_price(item, message.price), item_qty(item, message.qty)
            flags = LAST_FLAGS | (_SNAPSHOT if message.snapshot else 0)
            if self._by_order and message.action == _DELETE and qty == 0:
                return []  # filled: its executions have taken it off already
            seq = message.seq
            return [(stamp, recv, seq, price, qty, message.order_id, 0, *tail, message.action, message.side, flags)]
        return []

    def _depth(self, message: Depth, number: int, item: Instrument, recv: int, stamp: int) -> list[Row]:
        seq = max(0, message.last)
        flags = _BOTH | (_SNAPSHOT if message.snapshot else 0)
        rows: list[Row] = []
        if message.snapshot:
            rows.append((stamp, recv, seq, 0, 0, 0, 0, number, self._venue, _CLEAR, 0, flags))
        for side, levels in ((BUY, message.bids), (SELL, message.asks)):
            for price, qty in levels:
                units, lots = item_price(item, price), item_qty(item, qty)
                rows.append((stamp, recv, seq, units, lots, 0, 0, number, self._venue, _LEVEL, side, flags))
        if rows:
            rows[-1] = (*rows[-1][:11], flags | _LAST)
        return rows


def item_price(item: Instrument, text: str) -> int:
    """Scaled price.

    Raises
    ------
    WireError
    """
    return scaled(text, item.price_decimals, "price")


def item_qty(item: Instrument, text: str) -> int:
    """Scaled quantity.

    Raises
    ------
    WireError
    """
    return scaled(text, item.qty_decimals, "quantity")
