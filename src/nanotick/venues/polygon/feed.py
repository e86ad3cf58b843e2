"""Market data of Polygon (Massive): one connection for stocks, one for indices.

    connected ─▶ auth ─▶ auth_success ─▶ subscribe ─▶ success, once a channel ─▶ LIVE

The venue allows one connection to a cluster and account, so there is no overlap of an old and a new one, and a second
program with the same key throws the first out. Its sequence numbers order messages and have holes by nature: they prove
no loss. Source: massive.com/docs, WebSocket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from nanotick.core.instruments import InstrumentTable
from nanotick.core.secret import Secret
from nanotick.venues.feed import Conversation, Deliver, Feed, Pace
from nanotick.venues.host import Host
from nanotick.wire.messages import Notice
from nanotick.wire.polygon import CHANNELS, encode
from nanotick.wire.requests import Login, Subscribe

REAL_TIME = ("wss://socket.massive.com", "wss://socket.polygon.io")
DELAYED = ("wss://delayed.massive.com", "wss://delayed.polygon.io")  # by a quarter of an hour
CLUSTERS = {"stocks": ("trade", "quote"), "indices": ("value",)}
INDEX = "I:"  # how the symbols of indices begin
_CHUNK = 200  # channels a frame
_SUBSCRIBED = "subscribed to: "


class PolygonConversation(Conversation):
    """A connection and the subscriptions it waits for."""

    def __init__(self, feed: Feed, url: str, delivering: bool, now: int) -> None:
        super().__init__(feed, url, delivering, now)
        self.wanted: set[str] = set()


class PolygonFeed(Feed):
    """One cluster of Polygon; further parameters as for `Feed`.

    Parameters
    ----------
    key : Secret
    cluster : str
        `stocks` or `indices`.
    channels : sequence of str, optional
        Of `trade`, `quote`, `bar` (a minute), `second` (a second's bar), `value` (of an index).

    Raises
    ------
    ValueError
        An unknown cluster or channel.
    """

    PROTOCOL = "polygon"
    PACE = replace(Pace(), ready_ns=30_000_000_000)
    CONVERSATION = PolygonConversation

    def __init__(
        self,
        host: Host,
        instruments: InstrumentTable,
        venue: str,
        deliver: Deliver,
        endpoints: Sequence[str] = REAL_TIME,
        *,
        key: Secret,
        cluster: str = "stocks",
        channels: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(host, instruments, venue, deliver, endpoints, **settings)
        if cluster not in CLUSTERS:
            raise ValueError(f"cluster: expected {' or '.join(CLUSTERS)}, found {cluster!r}")
        self.cluster, self._key = cluster, key
        self._channels = tuple(CLUSTERS[cluster] if channels is None else channels)
        for channel in self._channels:
            if channel not in CHANNELS:
                raise ValueError(f"channels: expected {', '.join(CHANNELS)}, found {channel!r}")

    def url(self, endpoint: str) -> str:
        """As `Feed.url`."""
        return f"{endpoint}/{self.cluster}"

    def greet(self, talk: Conversation) -> None:
        """As `Feed.greet`: the venue speaks first."""

    def heard(self, talk: Conversation, notice: Notice) -> None:
        """As `Feed.heard`."""
        assert isinstance(talk, PolygonConversation)
        status, text = notice.status, notice.text
        if status == "connected":
            talk.send(encode(Login(self._key.reveal())))
        elif status == "auth_success":
            self.authenticated(talk)
            self._subscribe(talk)
        elif status == "success" and text.startswith(_SUBSCRIBED):
            talk.wanted.difference_update(name.strip() for name in text[len(_SUBSCRIBED) :].split(","))
            if not talk.wanted:
                self.live(talk)
        elif status == "auth_failed":
            self.fail(talk, f"login refused: {text}", denied=True)
        elif status in ("auth_timeout", "max_connections", "force_disconnect"):
            self.fail(talk, f"{status}: {text}")
        elif status in ("error", "not_authorized"):
            # the plan does not include it, or the symbol is none: asking again will not help
            self.fail(talk, f"refused: {text}", denied=True)

    def _subscribe(self, talk: PolygonConversation) -> None:
        pairs = [(channel, symbol) for symbol in self.symbols for channel in self._channels]
        talk.wanted = {f"{CHANNELS[channel]}.{symbol}" for channel, symbol in pairs}
        if not pairs:
            self.live(talk)
        for begin in range(0, len(pairs), _CHUNK):
            talk.send(encode(Subscribe(tuple(pairs[begin : begin + _CHUNK]))))


def feeds(
    host: Host,
    instruments: InstrumentTable,
    venue: str,
    deliver: Deliver,
    *,
    key: Secret,
    delayed: bool = False,
    endpoints: Sequence[str] | None = None,
    symbols: Iterable[str] | None = None,
    **settings: Any,
) -> list[PolygonFeed]:
    """A connection for the stocks and one for the indices among the symbols.

    Parameters
    ----------
    delayed : bool
        Prices of a quarter of an hour ago, for plans that have no others.
    endpoints : sequence of str, optional
        Addresses without the cluster, in place of the venue's own.
    """
    chosen = [item.symbol for item in instruments if item.venue == venue] if symbols is None else list(symbols)
    addresses = endpoints or (DELAYED if delayed else REAL_TIME)
    groups = {
        "stocks": [symbol for symbol in chosen if not symbol.startswith(INDEX)],
        "indices": [symbol for symbol in chosen if symbol.startswith(INDEX)],
    }
    return [
        PolygonFeed(host, instruments, venue, deliver, addresses, key=key, cluster=cluster, symbols=group, **settings)
        for cluster, group in groups.items()
        if group
    ]
