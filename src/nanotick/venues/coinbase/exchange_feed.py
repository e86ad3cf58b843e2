"""Order-by-order books of Coinbase Exchange: the full channel, and the level-3 snapshot it goes on from.

    full    received, open, match, change, done ─▶ kept until the snapshot is here, then handed on
    REST         └ book?level=3, sequence S ─▶ CLEAR and an ADD an order; what is kept and not after S is dropped

A product's messages are numbered one by one. A jump is a GAP: its book is not to be traded on and is built anew, the
others go on. Source: docs.cdp.coinbase.com, Exchange WebSocket (full channel, "Real-time book"), REST (product book).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import RECORD_SIZE
from nanotick.core.secret import Secret
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.feed import Conversation, Deliver, Feed, Pace
from nanotick.venues.host import Host
from nanotick.wire.coinbase import decode_book, decode_message
from nanotick.wire.coinbase_trading import encode_exchange_session
from nanotick.wire.json_text import WireError, decode
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.messages import Depth, Message, Notice, Order, Other, Trade
from nanotick.wire.requests import Request, Response, Subscribe
from nanotick.wire.signing import CoinbaseExchangeSigner

STREAMS = ("wss://ws-feed.exchange.coinbase.com", "wss://ws-direct.exchange.coinbase.com")
REST = "https://api.exchange.coinbase.com"
MAX_KEPT = 1 << 18  # messages that wait for a snapshot, of one product
_S, _MS = 1_000_000_000, 1_000_000
_RETRY, _RETRY_MOST = 250 * _MS, 10 * _S
PACE = Pace(
    ready_ns=60 * _S, quiet_ns=5 * _S, dead_ns=15 * _S,
    backoff=BackoffLimits(floor_ns=200 * _MS, base_ns=500 * _MS, cap_ns=30 * _S, attempts=60, window_ns=60 * _S),
)  # fmt: skip
Numbered = Order | Trade | Other


class Product:
    """Where one product's book stands.

    Attributes
    ----------
    last : int
        Number of the last message taken, -1 while it waits for its snapshot.
    kept : list
        Messages that wait.
    """

    __slots__ = ("kept", "last", "tries")

    def __init__(self) -> None:
        self.last, self.tries = -1, 0
        self.kept: list[Numbered] = []


class ExchangeFrames(LiveFrames):
    """Reader of one connection's frames that follows the numbers of each product."""

    def __init__(self, instruments: InstrumentTable, venue: str, symbols: Sequence[str]) -> None:
        super().__init__(instruments, venue, "coinbase", by_order=True)
        self._decode = self._followed
        self.products = {symbol: Product() for symbol in symbols}
        self.stale = 0

    def _followed(self, data: bytes) -> list[Message]:
        message = decode(data)
        found: list[Message] = []
        for item in decode_message(message):
            if isinstance(item, Order | Trade | Other) and item.symbol in self.products and item.seq:
                found += self.follow(item)
            elif isinstance(item, Other) and item.kind == "subscriptions":
                found.append(Notice("subscribed"))
            elif isinstance(item, Notice):
                found.append(item)
        return found

    def follow(self, item: Numbered) -> list[Message]:
        """What a message gives now: itself, nothing while its book waits, or that others are missing before it."""
        product, seq = self.products[item.symbol], item.seq
        beat = isinstance(item, Other) and item.kind == "heartbeat"
        if product.last < 0:
            if not beat:
                product.kept.append(item)
                if len(product.kept) > MAX_KEPT:
                    return [Notice("error", f"{item.symbol}: {MAX_KEPT} messages wait for a snapshot", kind="error")]
            return []
        if seq <= product.last:
            self.stale += not beat
            return []
        if beat or seq != product.last + 1:
            words = f"{item.symbol} {product.last} {seq}"
            product.last, product.kept = -1, [] if beat else [item]
            return [Notice("gap", words)]
        product.last = seq
        return [item]

    def snapshot(self, symbol: str, orders: list[Message], sequence: int) -> list[Message] | None:
        """The book as it stands after a snapshot and what was kept; None if that begins too late for it."""
        product = self.products[symbol]
        kept = [item for item in product.kept if item.seq > sequence]
        if kept and kept[0].seq != sequence + 1:
            return None
        product.last, product.kept, product.tries = sequence, [], 0
        found: list[Message] = [Depth(symbol, 0, [], [], snapshot=True), *orders]
        for item in kept:
            found += self.follow(item)
        return found


class ExchangeConversation(Conversation):
    """One connection."""

    frames: ExchangeFrames

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self.confirmed = False

    def hand_on(self, messages: list[Message], now: int) -> None:
        """Deliver messages that no frame brought."""
        data = self.frames.rows.write(messages, now)
        if data and self.delivering:
            rows = np.frombuffer(data, np.uint8)
            self.deliver(int(rows.ctypes.data), len(data) // RECORD_SIZE)


class CoinbaseExchangeFeed(Feed):
    """Order-by-order market data; parameters as in `Feed`.

    Parameters
    ----------
    rest : str
        Address of the snapshots; the one that belongs to the first endpoint if empty.
    key, secret, passphrase : optional
        Of an API key, where the feed wants one (`wss://ws-direct.exchange.coinbase.com`).

    Attributes
    ----------
    snapshots, old_snapshots : int
        Taken, and asked for again since the messages kept begin after them.
    """

    PROTOCOL = "coinbase-exchange"
    PACE = PACE
    CONVERSATION = ExchangeConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = STREAMS[:1],
        *,
        rest: str = "",
        key: str = "",
        secret: Secret | None = None,
        passphrase: Secret | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        self._rest = rest or (REST if endpoints[0] in STREAMS else endpoints[0].replace("ws", "http", 1))
        self._signer = CoinbaseExchangeSigner(key, secret, passphrase or Secret("")) if secret is not None else None
        self._wanted: deque[tuple[ExchangeConversation, str]] = deque()
        self._asking = False
        self.snapshots = self.old_snapshots = 0

    def new_frames(self) -> LiveFrames:
        """As `Feed.new_frames`."""
        return ExchangeFrames(self.instruments, self.venue, self.symbols)

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`: messages are kept from the subscription on, then the books are asked for."""
        self.authenticated(talk)
        channels = tuple((channel, symbol) for channel in ("orders", "heartbeat") for symbol in self.symbols)
        talk.send(encode_exchange_session(Subscribe(channels), self._signer, str(self.host.now() // _S)))

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, ExchangeConversation)
        if notice.status == "subscribed":
            if not talk.confirmed:
                talk.confirmed = True
                for symbol in self.symbols:
                    self._want(talk, symbol)
        elif notice.status == "gap":
            symbol, last, number = notice.text.split(" ")
            self._say("warning", "messages are lost", symbol=symbol, last=last, number=number)
            if talk.delivering:
                self.tell_gap([symbol])
            self._want(talk, symbol)
        elif notice.kind == "error":
            self.fail(talk, f"refused: {notice.text}", denied="auth" in notice.text.lower())

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _want(self, talk: ExchangeConversation, symbol: str) -> None:
        self._wanted.append((talk, symbol))
        self._ask()

    def _ask(self) -> None:
        while self._wanted and not self._asking:
            talk, symbol = self._wanted.popleft()
            if not talk.over and talk.frames.products[symbol].last < 0:
                self._asking = True
                request = Request("GET", f"/products/{symbol}/book?level=3")
                self.host.ask(self._rest, request, lambda response: self._take(talk, symbol, response), 20 * _S)  # noqa: B023

    def _take(self, talk: ExchangeConversation, symbol: str, response: Response) -> None:
        self._asking = False
        if not talk.over:
            self._book(talk, symbol, response)
        self._ask()

    def _book(self, talk: ExchangeConversation, symbol: str, response: Response) -> None:
        product, now = talk.frames.products[symbol], self.host.now()
        try:
            if response.status != 200:
                raise WireError(f"HTTP status {response.status} {response.body[:100].decode(errors='replace')}")
            orders, sequence = decode_book(response.body, symbol)
            for order in orders:
                if isinstance(order, Order):
                    order.symbol = symbol
            found = talk.frames.snapshot(symbol, orders, sequence)
            if found is None:
                self.old_snapshots += 1
                raise WireError("the snapshot is older than what was kept")
        except WireError as error:
            self._say("info", "no snapshot", symbol=symbol, reason=str(error))
            wait = min(_RETRY << min(product.tries, 10), _RETRY_MOST)
            product.tries += 1
            self.host.at(now + wait, lambda: self._want(talk, symbol))
            return
        self.snapshots += 1
        notices = [item for item in found if isinstance(item, Notice)]
        talk.hand_on([item for item in found if not isinstance(item, Notice)], now)
        for notice in notices:  # a jump within what was kept
            self.heard(talk, notice)
        if not talk.live_ns and all(item.last >= 0 for item in talk.frames.products.values()):
            self.live(talk)

    def status(self) -> dict[str, Any]:
        """As `Feed.status`."""
        talk = self.current
        products = talk.frames.products.values() if isinstance(talk, ExchangeConversation) else ()
        return {**super().status(), "syncing": sum(item.last < 0 for item in products), "snapshots": self.snapshots}
