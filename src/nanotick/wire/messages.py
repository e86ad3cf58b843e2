"""What a venue's market data message says, in the venue's own digits: the common form of the general codecs.

Prices and quantities are decimal text until somebody knows the scale (`wire.json_text.scaled`); times are ns UTC, 0
where the message has none. A codec is a function from a frame's bytes to a list of these; it keeps no state, so rules
that span messages (update ids, checksums) belong to whoever reads a stream of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nanotick.core.records import BUY, SELL

Level = tuple[str, str]  # price, quantity


@dataclass(slots=True)
class Depth:
    """Price levels, absolute; quantity 0 deletes. `first`, `last` and `previous` are update ids, -1 if not sent."""

    symbol: str
    ts_venue: int
    bids: list[Level]
    asks: list[Level]
    snapshot: bool = False
    first: int = -1
    last: int = -1
    previous: int = -1
    checksum: int = -1
    kind: str = "depth"


@dataclass(slots=True)
class Trade:
    """One execution. `side` is the aggressor's, 0 if not told; `order` the resting order's id, 0 if not told."""

    symbol: str
    ts_venue: int
    price: str
    qty: str
    side: int
    trade_id: int = 0
    order: int = 0
    printable: bool = True
    snapshot: bool = False
    kind: str = "trade"
    seq: int = 0  # the venue's number of this message, where it has one


@dataclass(slots=True)
class Quote:
    """Best bid and offer."""

    symbol: str
    ts_venue: int
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    last: int = -1
    kind: str = "quote"


@dataclass(slots=True)
class Mark:
    """Mark price, index price and funding rate of a derivative."""

    symbol: str
    ts_venue: int
    mark: str
    index: str
    rate: str
    kind: str = "mark"


@dataclass(slots=True)
class Order:
    """One order of an order-by-order book. `action` is a `Kind` (ADD, MODIFY, DELETE)."""

    symbol: str
    ts_venue: int
    action: int
    order_id: int
    side: int
    price: str
    qty: str
    snapshot: bool = False
    kind: str = "order"
    seq: int = 0  # the venue's number of this message in its product, where it has one


@dataclass(slots=True)
class Listed:
    """An instrument as the venue's directory has it; empty fields are not told."""

    symbol: str
    tick_size: str = ""
    lot_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    min_notional: str = ""
    multiplier: str = ""
    inverse: bool = False
    currency: str = ""
    price_decimals: int = -1  # of the venue's own text, -1 if not told
    qty_decimals: int = -1
    kind: str = "instrument"


@dataclass(slots=True)
class Bar:
    """Prices and volume of an interval; `ts_venue` is its start."""

    symbol: str
    ts_venue: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    kind: str = "bar"


@dataclass(slots=True)
class Status:
    """Trading state of an instrument: a `TradingStatus`, and the venue's reason of at most eight characters."""

    symbol: str
    ts_venue: int
    status: int
    reason: str = ""
    kind: str = "status"


@dataclass(slots=True)
class Void:
    """A trade that did not happen."""

    symbol: str
    ts_venue: int
    trade_id: int
    kind: str = "cancel"


@dataclass(slots=True)
class Notice:
    """What the venue says about the session: connected, authenticated, subscribed, or an error with its code."""

    status: str
    text: str = ""
    code: int = 0
    kind: str = "notice"


@dataclass(slots=True)
class Sequence:
    """The connection's own message number, where the venue counts messages."""

    number: int
    kind: str = "sequence"


@dataclass(slots=True)
class Other:
    """A well-formed message without market data (heartbeat, subscription reply) or without an event for it.

    `seq` is its number in its product where the venue counts it among the others (Coinbase Exchange).
    """

    kind: str
    symbol: str = ""
    seq: int = 0


Message = Depth | Trade | Quote | Mark | Order | Listed | Bar | Status | Void | Notice | Sequence | Other


@dataclass(slots=True)
class Frame:
    """A frame with where it came from. `data` is its bytes, or its JSON where that was decoded with the file."""

    data: Any
    ts_recv: int
    where: str
    connection: str = ""
    url: str = ""


def side_of(buyer_is_maker: bool) -> int:
    """Side of the aggressor."""
    return SELL if buyer_is_maker else BUY
