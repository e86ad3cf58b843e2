"""Kraken spot market data over WebSocket v2: books whose every message is checked, trades, and the venue's state.

    snapshot, update ─▶ KrakenBook (digits as sent) ─▶ CRC-32 equal? ─▶ LEVEL records
                                                         └ no ─▶ GAP, unsubscribe, subscribe, wait for the snapshot

A message whose checksum does not fit is not delivered. The book is asked for anew at once; if that fails again within a
minute, after a wait that doubles. Levels that fall out of the subscribed depth are not updated by the venue any more:
they are told as deleted. Source: docs.kraken.com, WebSocket v2 (book, trade, status, heartbeat, ping).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import BUY, SELL, TradingStatus
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.feed import Conversation, Deliver, Feed, Pace
from nanotick.venues.host import Host
from nanotick.wire import fields
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.kraken import KrakenBook, decode_message
from nanotick.wire.kraken_trading import encode_session
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.messages import Depth, Level, Message, Notice, Other, Status
from nanotick.wire.requests import Subscribe, number_text

STREAMS = ("wss://ws.kraken.com/v2",)
DEPTHS = (10, 25, 100, 500, 1000)
STATES = {
    "online": TradingStatus.TRADING, "post_only": TradingStatus.QUOTE_ONLY, "limit_only": TradingStatus.TRADING,
    "cancel_only": TradingStatus.HALTED, "maintenance": TradingStatus.CLOSED,
}  # fmt: skip
_S = 1_000_000_000
_CHUNK = 100  # symbols a subscription
_AGAIN_NS, _AGAIN_MOST_NS, _FORGIVEN_NS, _SNAPSHOT_NS = _S, 60 * _S, 60 * _S, 10 * _S
PACE = Pace(
    ready_ns=15 * _S, quiet_ns=5 * _S, dead_ns=15 * _S,
    # about 150 attempts in ten minutes are allowed
    backoff=BackoffLimits(floor_ns=_S, base_ns=5 * _S, cap_ns=30 * _S, attempts=140, window_ns=600 * _S),
)  # fmt: skip


class KrakenFrames(LiveFrames):
    """Reader of one connection's frames that keeps each book and checks it.

    What it notices is said in notices: `checksum` (a book that is wrong), `book` (one that was told whole),
    `subscribed`.

    Attributes
    ----------
    books : dict of symbol to KrakenBook
    waiting : set of str
        Symbols whose snapshot has not come: their updates are left out.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, symbols: Sequence[str], depth: int) -> None:
        super().__init__(instruments, venue, "kraken")
        self._decode = self._checked
        self._items = {item.symbol: item for item in instruments if item.venue == venue}
        self.books = {symbol: KrakenBook(self._items[symbol].price_decimals, depth) for symbol in symbols}
        self.waiting = set(symbols)

    def _checked(self, data: bytes) -> list[Message]:
        message = decode(data)
        if isinstance(message, dict) and isinstance(message.get("method"), str):
            return [_answer(message)]
        found: list[Message] = []
        for item in decode_message(message):
            if isinstance(item, Depth):
                found += self._book(item)
            else:
                found.append(item)
                if isinstance(item, Notice) and item.kind == "status":
                    state = int(STATES.get(item.status, TradingStatus.UNKNOWN))
                    found += [Status(symbol, 0, state, item.status) for symbol in self.books]
        return found

    def _book(self, told: Depth) -> list[Message]:
        symbol = told.symbol
        book = self.books.get(symbol)
        if book is None or (symbol in self.waiting and not told.snapshot):
            return []
        if told.snapshot:
            book.clear()
        try:
            for side, levels in ((BUY, told.bids), (SELL, told.asks)):
                for price, qty in levels:
                    book.set(side, price, qty)
        except WireError:
            self.waiting.add(symbol)
            return [Notice("checksum", symbol, kind="checksum")]
        dropped = book.truncate()
        if told.checksum >= 0 and book.checksum() != told.checksum:
            self.waiting.add(symbol)
            return [Notice("checksum", symbol, kind="checksum")]
        item = self._items[symbol]
        told.bids, told.asks = _fitting(told.bids, item.qty_decimals), _fitting(told.asks, item.qty_decimals)
        for side, units in dropped:
            (told.bids if side == BUY else told.asks).append((number_text(units, item.price_decimals), "0"))
        if symbol not in self.waiting:
            return [told]
        self.waiting.discard(symbol)
        return [told, Notice("book", symbol, kind="book")]


def _fitting(levels: list[Level], decimals: int) -> list[Level]:
    """Levels with quantities no finer than the scale: a finer digit must not keep a level from being known."""
    return [
        (price, qty[: qty.index(".") + 1 + decimals].rstrip(".")) if len(qty.partition(".")[2]) > decimals
        else (price, qty)
        for price, qty in levels
    ]  # fmt: skip


def _answer(message: dict[str, Any]) -> Message:
    """What the venue answers to a subscription, or anything else that was asked."""
    method = message["method"]
    if message.get("success") is False:
        return Notice("error", fields.optional_text(message, "error"), kind="error")
    result = message.get("result")
    if method == "subscribe" and isinstance(result, dict):
        name = f"{fields.optional_text(result, 'channel')} {fields.optional_text(result, 'symbol')}"
        return Notice("subscribed", name)
    return Other(str(method)[:40])


class KrakenConversation(Conversation):
    """One connection.

    Attributes
    ----------
    asked : set of str
        Channel and symbol of what has not been confirmed.
    """

    frames: KrakenFrames

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self.asked: set[str] = set()


class KrakenFeed(Feed):
    """One market data connection; parameters as in `Feed`.

    Parameters
    ----------
    depth : int
        Levels a side: 10, 25, 100, 500 or 1000.
    trades : bool
        Whether trades are wanted too.

    Attributes
    ----------
    mismatches : int
        Messages whose checksum did not fit.

    Raises
    ------
    ValueError
        A depth that Kraken has not.
    """

    PROTOCOL = "kraken"
    PACE = PACE
    CONVERSATION = KrakenConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = STREAMS,
        *,
        depth: int = 100,
        trades: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        if depth not in DEPTHS:
            raise ValueError(f"depth: expected one of {', '.join(map(str, DEPTHS))}, found {depth}")
        self._depth, self._trades = depth, trades
        self.mismatches = 0
        self._failures: dict[str, tuple[int, int]] = {}  # symbol -> mismatches in a row, time of the last
        self._requests = 0

    def new_frames(self) -> LiveFrames:
        """As `Feed.new_frames`."""
        return KrakenFrames(self.instruments, self.venue, self.symbols, self._depth)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def _subscribe(self, talk: Conversation, channel: str, symbols: Sequence[str], on: bool = True) -> None:
        asked = Subscribe(tuple((channel, symbol) for symbol in symbols), on, depth=self._depth)
        for frame in encode_session(asked, self._requests + 1):
            self._requests += 1
            talk.send(frame)

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`."""
        assert isinstance(talk, KrakenConversation)
        self.authenticated(talk)
        channels = ("depth", "trade") if self._trades else ("depth",)
        talk.asked = {f"{'book' if c == 'depth' else c} {symbol}" for c in channels for symbol in self.symbols}
        for begin in range(0, len(self.symbols), _CHUNK):
            for channel in channels:
                self._subscribe(talk, channel, self.symbols[begin : begin + _CHUNK])
        self._perhaps_live(talk)

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, KrakenConversation)
        if notice.kind == "checksum":
            self._mismatch(talk, notice.text)
        elif notice.status == "subscribed":
            talk.asked.discard(notice.text)
        elif notice.kind == "status":
            self._say("info", "venue state", state=notice.status)
        elif notice.kind == "error":
            if "already subscribed" not in notice.text.lower() and "not found" not in notice.text.lower():
                self.fail(talk, f"refused: {notice.text}", denied="not supported" in notice.text.lower())
                return
        self._perhaps_live(talk)

    def _perhaps_live(self, talk: KrakenConversation) -> None:
        if not talk.live_ns and not talk.asked and not talk.frames.waiting:
            self.live(talk)

    def ping(self, talk: Conversation) -> None:
        """As `Feed.ping`."""
        self._requests += 1
        talk.send(msgspec.json.encode({"method": "ping", "req_id": self._requests}))

    # --- a book that is wrong -----------------------------------------------------------------------------------------

    def _mismatch(self, talk: KrakenConversation, symbol: str) -> None:
        now = self.host.now()
        self.mismatches += 1
        if talk.delivering:
            self.tell_gap([symbol])
        times, latest = self._failures.get(symbol, (0, 0))
        times = times + 1 if now - latest < _FORGIVEN_NS else 1
        self._failures[symbol] = times, now
        wait = 0 if times == 1 else min(_AGAIN_NS << min(times - 2, 16), _AGAIN_MOST_NS)
        self._say("warning", "a book's checksum is wrong", symbol=symbol, again_ms=wait // 1_000_000)
        if wait:
            self.host.at(now + wait, lambda: self._book_again(talk, symbol))
        else:
            self._book_again(talk, symbol)

    def _book_again(self, talk: KrakenConversation, symbol: str) -> None:
        if talk.over:
            return
        self._subscribe(talk, "depth", (symbol,), on=False)
        self._subscribe(talk, "depth", (symbol,))
        begun = self._failures[symbol]

        def look() -> None:
            if not talk.over and symbol in talk.frames.waiting and self._failures[symbol] == begun:
                self.fail(talk, f"{symbol}: no snapshot {_SNAPSHOT_NS // _S} s after it was asked for")

        self.host.at(self.host.now() + _SNAPSHOT_NS, look)

    def status(self) -> dict[str, Any]:
        """As `Feed.status`."""
        talk = self.current
        waiting = len(talk.frames.waiting) if isinstance(talk, KrakenConversation) else 0
        return {**super().status(), "mismatches": self.mismatches, "syncing": waiting}
