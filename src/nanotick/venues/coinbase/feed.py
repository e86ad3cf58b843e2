"""Coinbase Advanced Trade market data: level2, market_trades and heartbeats, numbered over the whole connection.

    sequence_num ─▶ one more than the last: taken ─▶ LEVEL, TRADE records
                    lower: stale, left out
                    higher: something is lost ─▶ GAP, a connection from the beginning

Every message of a connection is numbered from 0, whatever its channel, so a gap says nothing of which book is broken:
all are told anew over a new connection. Channels close after a minute without updates unless heartbeats are subscribed.
Source: docs.cdp.coinbase.com, Advanced Trade WebSocket (overview, channels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanotick.core.instruments import InstrumentTable
from nanotick.core.secret import Secret
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.coinbase.tokens import Tokens
from nanotick.venues.feed import Conversation, Deliver, Feed, Pace
from nanotick.venues.host import Host
from nanotick.wire import fields
from nanotick.wire.coinbase import decode_message
from nanotick.wire.coinbase_trading import encode_session
from nanotick.wire.json_text import MAX_SIZE, decode
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.messages import Depth, Message, Notice, Other
from nanotick.wire.messages import Sequence as Sequence_
from nanotick.wire.requests import Login, Subscribe

STREAMS = ("wss://advanced-trade-ws.coinbase.com",)
_S, _MS = 1_000_000_000, 1_000_000
_EVERY = _S // 8  # between messages to the venue
MAX_LEVELS = 1 << 17  # of a snapshot: the whole book comes in one message
_CHUNK = 20  # products a subscription: their snapshots are large
PACE = Pace(
    ready_ns=30 * _S, quiet_ns=5 * _S, dead_ns=15 * _S,
    backoff=BackoffLimits(floor_ns=200 * _MS, base_ns=500 * _MS, cap_ns=30 * _S, attempts=60, window_ns=60 * _S),
)  # fmt: skip


class CoinbaseFrames(LiveFrames):
    """Reader of one connection's frames, which notices snapshots and refusals too.

    Attributes
    ----------
    waiting : set of str
        Products whose snapshot has not come: their updates are left out.
    expected : int
        Number of the next message, -1 before the first.
    stale : int
        Messages with an old number, which are left out.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, symbols: Sequence[str]) -> None:
        super().__init__(instruments, venue, "coinbase", MAX_LEVELS, max_frame=MAX_SIZE)
        self._decode = self._noticed
        self.waiting = set(symbols)
        self.expected = -1
        self.stale = 0

    def _noticed(self, data: bytes) -> list[Message]:
        message = decode(data)
        found: list[Message] = []
        for item in decode_message(message):
            if isinstance(item, Sequence_):
                number, expected = item.number, self.expected
                if 0 <= expected and number != expected:
                    if number > expected:
                        return [Notice("lost", f"number {number} follows {expected - 1}")]
                    self.stale += 1
                    return [Other("stale")]
                self.expected = number + 1
            elif isinstance(item, Depth):
                if item.snapshot and item.symbol in self.waiting:
                    self.waiting.discard(item.symbol)
                    found.append(Notice("book", item.symbol))
                elif item.symbol in self.waiting:
                    continue
            elif isinstance(item, Other) and item.kind == "subscriptions" and isinstance(message, dict):
                found.append(Notice("subscribed", _channels(message)))
            found.append(item)
        return found


def _channels(message: dict[str, Any]) -> str:
    """Names of the channels that a subscriptions message shows."""
    names: set[str] = set()
    for event in fields.sequence(message.get("events") or [], "events"):
        if isinstance(event, dict) and isinstance(event.get("subscriptions"), dict):
            names |= {name for name, what in event["subscriptions"].items() if what}
    return " ".join(sorted(names))


class CoinbaseConversation(Conversation):
    """One connection.

    Attributes
    ----------
    channels : set of str
        That have not been confirmed.
    """

    frames: CoinbaseFrames

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self.channels: set[str] = set()


class CoinbaseFeed(Feed):
    """One market data connection; parameters as in `Feed`.

    Parameters
    ----------
    key, secret : str, Secret, optional
        Name and private key (PEM) of an API key: subscriptions are then signed, which the venue recommends.
    trades : bool
        Whether trades are wanted too.

    Attributes
    ----------
    lost : int
        Times that a message was missing.
    """

    PROTOCOL = "coinbase"
    PACE = PACE
    CONVERSATION = CoinbaseConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = STREAMS,
        *,
        key: str = "",
        secret: Secret | None = None,
        trades: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        self._tokens = Tokens(host, key, secret) if secret is not None else None
        self._trades = trades
        self.lost = 0

    def new_frames(self) -> LiveFrames:
        """As `Feed.new_frames`."""
        return CoinbaseFrames(self.instruments, self.venue, self.symbols)

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`: heartbeats first, for the venue wants a subscription within five seconds."""
        assert isinstance(talk, CoinbaseConversation)
        self.authenticated(talk)
        parts: list[tuple[str, Sequence[str]]] = [("heartbeat", ("",))]
        for begin in range(0, len(self.symbols), _CHUNK):
            symbols = self.symbols[begin : begin + _CHUNK]
            parts += [("depth", symbols)] + ([("trade", symbols)] if self._trades else [])
        talk.channels = {"heartbeats", "level2"} | ({"market_trades"} if self._trades else set())
        self._subscribe(talk, parts)

    def _subscribe(self, talk: Conversation, parts: list[tuple[str, Sequence[str]]]) -> None:
        if talk.over or not parts:
            return
        (channel, symbols), *rest = parts
        login = Login("", proof=self._tokens.token()) if self._tokens is not None else None
        for frame in encode_session(Subscribe(tuple((channel, symbol) for symbol in symbols), login=login)):
            talk.send(frame)
        self.host.at(self.host.now() + _EVERY, lambda: self._subscribe(talk, rest))

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, CoinbaseConversation)
        if notice.status == "lost":
            self.lost += 1
            self.fail(talk, f"messages are lost: {notice.text}")
            return
        if notice.kind == "error":
            words = notice.text.lower()
            self.fail(talk, f"refused: {notice.text}", denied="auth" in words or "permission" in words)
            return
        if notice.status == "subscribed":
            talk.channels -= set(notice.text.split())
        if not talk.live_ns and not talk.channels and not talk.frames.waiting:
            self.live(talk)

    def status(self) -> dict[str, Any]:
        """As `Feed.status`."""
        talk = self.current
        waiting = len(talk.frames.waiting) if isinstance(talk, CoinbaseConversation) else 0
        return {**super().status(), "syncing": waiting, "lost": self.lost}
