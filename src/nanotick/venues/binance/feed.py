"""Binance spot market data: depth diffs with their snapshots, best quotes and trades, over combined streams.

A connection carries at most 1024 streams and takes at most five messages a second from us; `feeds` spreads symbols
over as many connections as they need. Before maintenance the venue says `serverShutdown`, and it cuts every connection
after 24 hours: both ways a second connection is opened and follows the first before that is dropped. Source:
binance-spot-api-docs, web-socket-streams.md; limits of rest-api.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from nanotick.core.instruments import InstrumentTable
from nanotick.venues.backoff import BackoffLimits
from nanotick.venues.binance.depth_sync import BinanceConversation
from nanotick.venues.feed import Conversation, Deliver, Feed, Pace, State
from nanotick.venues.host import Host, Timer
from nanotick.venues.working import Limiter, NoLimit
from nanotick.wire.binance import decode_frame
from nanotick.wire.binance_orders import CHANNELS, encode_session
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Depth, Notice
from nanotick.wire.requests import Request, Response, Subscribe

STREAMS = (
    "wss://stream.binance.com:9443",
    "wss://stream.binance.com:443",
    "wss://data-stream.binance.vision",  # market data only
)
RESTS = ("https://api.binance.com", "https://api-gcp.binance.com", "https://data-api.binance.vision")
TEST_STREAM, TEST_REST = "wss://stream.testnet.binance.vision", "https://testnet.binance.vision"
MAX_STREAMS = 1024  # a connection
_MS, _S = 1_000_000, 1_000_000_000
_CHUNK = 200  # streams a message
_SEND_EVERY = _S // 4  # the venue takes five messages a second, and the pongs count
_ASKING = 4  # snapshots asked for at once
_RETRY = 100 * _MS  # first wait before a snapshot is fetched again; doubles
_RETRY_MOST = 10 * _S
_OVERLAP = _S  # from the confirmation of a following connection to its taking over
_FOLLOW_MOST = 5 * _S
_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))  # levels of a snapshot and what it costs
_MINUTE_WEIGHT = 6000
PACE = Pace(
    ready_ns=15 * _S,
    quiet_ns=10 * _S,
    dead_ns=30 * _S,
    life_ns=(23 * 60 + 50) * 60 * _S,
    backoff=BackoffLimits(floor_ns=100 * _MS, base_ns=500 * _MS, cap_ns=30 * _S, attempts=250, window_ns=300 * _S),
)


class BinanceFeed(Feed):
    """One market data connection; parameters as in `Feed`.

    Parameters
    ----------
    rests : sequence of str, optional
        REST addresses for snapshots, tried in turn; those that belong to the endpoints if not given.
    channels : sequence of str
        Of `depth`, `quote`, `trade`, `aggregate`.
    levels : int
        Of a snapshot, a side: 100, 500, 1000 or 5000. Deeper levels are unknown until they change.
    limiter : Limiter, optional
        Of request weight, shared by all that use this address.

    Raises
    ------
    ValueError
        More streams than a connection carries, or an unknown channel.
    """

    PROTOCOL = "binance"
    PACE = PACE
    CONVERSATION = BinanceConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = STREAMS,
        *,
        rests: Sequence[str] = (),
        channels: Sequence[str] = ("depth", "quote", "trade"),
        levels: int = 1000,
        limiter: Limiter | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        for channel in channels:
            if channel not in CHANNELS:
                raise ValueError(f"channels: expected {', '.join(CHANNELS)}, found {channel!r}")
        streams = len(channels) * len(self.symbols)
        if streams > MAX_STREAMS:
            raise ValueError(f"{streams} streams; a connection carries {MAX_STREAMS}: use `feeds`")
        self.with_depth = "depth" in channels
        self._channels, self._rests, self._levels = tuple(channels), tuple(rests) or rests_of(endpoints), levels
        self._weight = next((weight for most, weight in _WEIGHTS if levels <= most), _WEIGHTS[-1][1])
        if self.with_depth:  # snapshots of many symbols take minutes of the address's weight
            minutes = len(self.symbols) * self._weight / _MINUTE_WEIGHT
            self.pace = replace(self.pace, ready_ns=self.pace.ready_ns + int(2 * minutes * 60) * _S)
        self._limiter: Limiter = limiter or NoLimit()
        self._rest = 0
        self._wanted: deque[tuple[BinanceConversation, int]] = deque()
        self._asking = 0
        self._pumping: Timer | None = None
        self._requests = 0
        self.snapshots = self.stale_snapshots = 0
        self.longest_sync_ns = 0

    def url(self, endpoint: str) -> str:
        """As `Feed.url`: combined streams, times in microseconds."""
        return f"{endpoint}/stream?timeUnit=MICROSECOND"

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`: subscribe, a part at a time."""
        assert isinstance(talk, BinanceConversation)
        pairs = tuple((channel, symbol) for symbol in self.symbols for channel in self._channels)
        parts = [pairs[begin : begin + _CHUNK] for begin in range(0, len(pairs), _CHUNK)]
        numbered = []
        for part in parts:
            self._requests += 1
            talk.asked.add(self._requests)
            numbered.append((self._requests, part))
        if not parts:
            self._confirmed(talk)
        self._subscribe(talk, deque(numbered))

    def _subscribe(self, talk: BinanceConversation, parts: deque[tuple[int, tuple[tuple[str, str], ...]]]) -> None:
        if parts and not talk.over:
            number, part = parts.popleft()
            talk.send(encode_session(Subscribe(part), str(number)))
            if parts:
                self.host.at(self.host.now() + _SEND_EVERY, lambda: self._subscribe(talk, parts))

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, BinanceConversation)
        if notice.status == "serverShutdown":
            self._say("warning", "the venue shuts this connection's server down", url=talk.url)
            if talk is self.current:
                self.renew()
            else:
                self.fail(talk, "server shutdown")
        elif notice.status == "error":
            self.fail(talk, f"refused: {notice.text}")
        elif notice.code in talk.asked:
            talk.asked.discard(notice.code)
            if not talk.asked:
                self._confirmed(talk)

    def _confirmed(self, talk: BinanceConversation) -> None:
        """Everything is subscribed."""
        talk.confirmed = True
        self.authenticated(talk)
        if talk is self.successor:
            until = self.host.now() + _FOLLOW_MOST
            self.host.at(self.host.now() + _OVERLAP, lambda: self._follow(talk, until))
            return
        for number in list(talk.syncs):
            self.want_snapshot(talk, number)
        self._perhaps_live(talk)

    def _perhaps_live(self, talk: BinanceConversation) -> None:
        if talk.confirmed and not talk.syncs and talk is self.current and not talk.live_ns:
            self.live(talk)

    def ping(self, talk: Conversation) -> None:
        """As `Feed.ping`: any request is answered."""
        self._requests += 1
        talk.send(msgspec.json.encode({"method": "LIST_SUBSCRIPTIONS", "id": self._requests}))

    # --- one connection after another ---------------------------------------------------------------------------------

    def _connect(self) -> None:
        super()._connect()
        if self.successor is not None and isinstance(self.current, BinanceConversation):
            self.current.trades.clear()
            self.current.settle()

    def _follow(self, talk: BinanceConversation, until: int) -> None:
        """Let a confirmed connection take over, as soon as the old one has reached what it has heard."""
        old = self.current
        if talk.over or talk is not self.successor:
            return
        now = self.host.now()
        if now < until and isinstance(old, BinanceConversation) and not talk.follows(old):
            self.host.at(now + _SEND_EVERY, lambda: self._follow(talk, until))
            return
        self.live(talk)

    def fail(self, talk: Conversation, reason: str, denied: bool = False) -> None:
        """As `Feed.fail`; a confirmed successor takes over instead, and books told before LIVE are told to be lost."""
        assert isinstance(talk, BinanceConversation)
        after = self.successor
        if talk is self.current and talk.live_ns and isinstance(after, BinanceConversation) and after.confirmed:
            self.live(after)
            return
        told = talk is self.current and not talk.over and talk.live_ns == 0 and self.with_depth
        lost = [symbol for symbol, number in self.numbers.items() if told and number not in talk.syncs]
        super().fail(talk, reason, denied)
        self.tell_gap(lost)
        if isinstance(self.current, BinanceConversation):
            self.current.settle()

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def want_snapshot(self, talk: BinanceConversation, number: int) -> None:
        """Fetch the snapshot of a book, as soon as the limits allow."""
        self._wanted.append((talk, number))
        self._pump()

    def _pump(self) -> None:
        now = self.host.now()
        while self._wanted and self._asking < _ASKING:
            talk, number = self._wanted[0]
            if talk.over or number not in talk.syncs:
                self._wanted.popleft()
                continue
            when = self._limiter.take(now, weight=self._weight)
            if when > now:
                if self._pumping is not None:
                    self._pumping.cancel()
                self._pumping = self.host.at(when, self._pump)
                return
            self._wanted.popleft()
            self._ask(talk, number)

    def _ask(self, talk: BinanceConversation, number: int) -> None:
        self._asking += 1
        symbol = self.instruments[number].symbol
        request = Request("GET", f"/api/v3/depth?symbol={symbol}&limit={self._levels}")
        rest = self._rests[self._rest]
        self.host.ask(rest, request, lambda response: self._answered(talk, number, response))

    def _answered(self, talk: BinanceConversation, number: int, response: Response) -> None:
        self._asking -= 1
        sync = talk.syncs.get(number)
        if sync is not None and not talk.over:
            self._take(talk, number, response)
        self._pump()

    def _take(self, talk: BinanceConversation, number: int, response: Response) -> None:
        sync, symbol = talk.syncs[number], self.instruments[number].symbol
        try:
            if response.status != 200:
                raise WireError(f"HTTP status {response.status} {response.body[:100].decode(errors='replace')}")
            found = decode_frame(response.body)
            if not (len(found) == 1 and isinstance(found[0], Depth) and found[0].snapshot):
                raise WireError("expected a depth snapshot")
            if talk.snapshot(number, found[0], _date_of(response)):
                self.snapshots += 1
                self.longest_sync_ns = max(self.longest_sync_ns, self.host.now() - sync.began_ns)
                self._perhaps_live(talk)
                return
            self.stale_snapshots += 1
        except WireError as error:
            self._say("warning", "no depth snapshot", symbol=symbol, reason=str(error))
            if response.status in (418, 429):
                after = next((value for name, value in response.headers if name.lower() == "retry-after"), "")
                self._limiter.blocked(self.host.now() + (int(after) if after.isdigit() else 60) * _S)
            else:
                self._rest = (self._rest + 1) % len(self._rests)
        wait = min(_RETRY << min(sync.tries, 20), _RETRY_MOST)
        sync.tries += 1
        self.host.at(self.host.now() + wait, lambda: self.want_snapshot(talk, number))

    def status(self) -> dict[str, Any]:
        """As `Feed.status`."""
        syncs = self.current.syncs if isinstance(self.current, BinanceConversation) else {}
        if self.current is not None and self.current.state < State.SYNCING:
            syncs = {}
        return {
            **super().status(),
            "syncing": len(syncs),
            "snapshots": self.snapshots,
            "stale_snapshots": self.stale_snapshots,
            "longest_sync_ns": self.longest_sync_ns,
        }


def rests_of(endpoints: Sequence[str]) -> tuple[str, ...]:
    """REST addresses that belong to stream addresses: the venue's, its test network's, or the same host and port."""
    if any(endpoint in STREAMS for endpoint in endpoints):
        return RESTS
    found = (TEST_REST if each == TEST_STREAM else each.replace("ws", "http", 1) for each in endpoints)
    return tuple(dict.fromkeys(found))


def _date_of(response: Response) -> int:
    """The venue's time in an answer's headers, ns UTC to the second; 0 if there is none."""
    text = next((value for name, value in response.headers if name.lower() == "date"), "")
    try:
        return int(parsedate_to_datetime(text).timestamp()) * _S if text else 0
    except ValueError:
        return 0


def feeds(
    host: Host,
    instruments: InstrumentTable,
    venue: str,
    deliver: Deliver,
    *,
    symbols: Iterable[str] | None = None,
    channels: Sequence[str] = ("depth", "quote", "trade"),
    **settings: Any,
) -> list[BinanceFeed]:
    """As many connections as the symbols need; parameters as in `BinanceFeed`."""
    chosen = [item.symbol for item in instruments if item.venue == venue] if symbols is None else list(symbols)
    size = max(1, MAX_STREAMS // max(1, len(channels)))
    return [
        BinanceFeed(host, instruments, venue, deliver, symbols=chosen[i : i + size], channels=channels, **settings)
        for i in range(0, len(chosen), size)
    ]
