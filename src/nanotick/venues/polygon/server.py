"""A served Polygon (Massive): the WebSocket clusters `stocks` and `indices`, past trades and quotes, tickers.

    site = PolygonSite(desk)     # ws://.../stocks, ws://.../indices, http://.../v3/trades/AAPL

Only the desk's accounts' keys matter; nothing is traded here. A message is written once for all that want it. The
indices cluster has one index, `I:NTX`: 1,000 times the mean of all stocks' prices over their first ones, every second.
Source: massive.com/docs, WebSocket and REST of stocks and indices.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.records import Kind
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_bars import MINUTE, SECOND, Bar, Bars
from nanotick.venues.desk_terms import Listing
from nanotick.venues.host import Headers, Link, LinkUser
from nanotick.venues.polygon.rest import PolygonRest
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Mark, Notice
from nanotick.wire.polygon_server import (
    AUTH_FAILED,
    AUTHENTICATED,
    CONNECTED,
    MAX_CONNECTIONS,
    NOT_AUTHENTICATED,
    decode_request,
    encode_messages,
)
from nanotick.wire.requests import Login, Response, Subscribe, number_text

AUTH_NS = 10_000_000_000
MAX_WAITING = 4 << 20
INDEX = "I:NTX"
CLUSTERS = ("stocks", "indices")
_MS = 1_000_000
_CHANNELS = {"trade": "T", "quote": "Q", "bar": "AM", "second": "A", "value": "V"}
_KINDS = {int(Kind.TRADE): "T", int(Kind.QUOTE): "Q"}
_INDEX_PLACES = 4
_json = msgspec.json.encode


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def trade_item(listing: Listing, row: tuple[Any, ...]) -> dict[str, Any]:
    """A trade."""
    return {
        "ev": "T", "sym": listing.symbol, "x": 12, "i": str(row[5]), "z": 3, "p": _raw(listing.price_text(row[3])),
        "s": _raw(listing.qty_text(row[4])), "c": [], "t": row[0] // _MS, "q": row[2],
    }  # fmt: skip


def quote_item(listing: Listing, row: tuple[Any, ...]) -> dict[str, Any]:
    """A quote."""
    bid, ask = row[3], row[5]
    return {
        "ev": "Q", "sym": listing.symbol, "bx": 12, "bp": _raw(listing.price_text(bid) if bid != EMPTY_BID else "0"),
        "bs": _raw(listing.qty_text(row[4])), "ax": 12,
        "ap": _raw(listing.price_text(ask) if ask != EMPTY_ASK else "0"), "as": _raw(listing.qty_text(row[6])), "c": 1,
        "t": row[0] // _MS, "q": row[2], "z": 3,
    }  # fmt: skip


def bar_item(bar: Bar, kind: str, length: int) -> dict[str, Any]:
    """A bar of a second (A) or a minute (AM)."""
    price = bar.listing.price_text
    start, mean = bar.start // _MS, _raw(bar.mean_text)
    return {
        "ev": kind, "sym": bar.listing.symbol, "v": _raw(bar.listing.qty_text(bar.volume)), "vw": mean, "a": mean,
        "o": _raw(price(bar.open)), "c": _raw(price(bar.close)), "h": _raw(price(bar.high)), "l": _raw(price(bar.low)),
        "z": max(1, bar.volume // max(1, bar.count)), "s": start, "e": start + length // _MS,
    }  # fmt: skip


class Hub:
    """What links of both clusters want."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._wanted: dict[tuple[str, str], set[Talk]] = {}
        self._interest = np.zeros((256, len(desk.exchange.instruments)), bool)
        self.talks: dict[tuple[str, str], list[Talk]] = {}
        self._first: dict[int, int] = {}
        desk.watch(None, self._rows)
        for kind, length in (("A", SECOND), ("AM", MINUTE)):
            Bars(desk, length).watch(lambda bars, kind=kind, length=length: self._bars(bars, kind, length))  # type: ignore[misc]
        self._tick()

    def changed(self, talk: Talk, channel: str, symbol: str, on: bool) -> None:
        """A link subscribes or no longer does."""
        held = self._wanted.setdefault((channel, symbol), set())
        if on:
            held.add(talk)
        else:
            held.discard(talk)
        for code, name in _KINDS.items():
            if name == channel:
                self._interest[code] = bool(self._wanted.get((channel, "*")))
                for (other, which), talks in self._wanted.items():
                    if other == channel and talks and which in self.desk.listings:
                        self._interest[code, self.desk.listings[which].number] = True

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        chosen = rows[self._interest[rows["kind"], rows["instrument"]]]
        listings, items = self.desk.by_number, []
        for row in chosen.tolist():
            listing = listings.get(row[7])
            if listing is not None:
                channel = _KINDS[row[9]]
                item = trade_item(listing, row) if channel == "T" else quote_item(listing, row)
                items.append((channel, listing.symbol, _json(item)))
        self._send(items)

    def _bars(self, bars: list[Bar], kind: str, length: int) -> None:
        if any(channel == kind and talks for (channel, _), talks in self._wanted.items()):
            self._send([(kind, bar.listing.symbol, _json(bar_item(bar, kind, length))) for bar in bars])

    def index(self) -> str:
        """The index's value now."""
        total = count = 0
        for number in self.desk.by_number:
            mark = self.desk.mark(number)
            first = self._first.setdefault(number, mark)
            if first:
                total += mark * 1_000 * 10**_INDEX_PLACES // first
                count += 1
        return number_text(total // max(1, count), _INDEX_PLACES)

    def _tick(self) -> None:
        """Every second: the index."""
        now = self.desk.host.now()
        if self._wanted.get(("V", INDEX)) or self._wanted.get(("V", "*")):
            self._send([("V", INDEX, encode_messages([Mark(INDEX, now, self.index(), "0", "0", "V")])[1:-1])])
        self.desk.host.at(now - now % SECOND + SECOND, self._tick)

    def _send(self, items: list[tuple[str, str, bytes]]) -> None:
        frames: dict[Talk, list[bytes]] = {}
        for channel, symbol, text in items:
            one, all_ = self._wanted.get((channel, symbol)), self._wanted.get((channel, "*"))
            for talk in (one | all_ if one and all_ else one or all_) or ():
                frames.setdefault(talk, []).append(text)
        for talk, parts in frames.items():
            talk.parts(parts)


class Talk:
    """One connection to a cluster."""

    def __init__(self, hub: Hub, cluster: str, connections: int) -> None:
        self._hub, self._cluster, self._connections = hub, cluster, connections
        self._account: DeskAccount | None = None
        self._link: Link | None = None
        self._subscribed: set[tuple[str, str]] = set()

    def parts(self, parts: list[bytes]) -> None:
        """Send messages as one frame."""
        link = self._link
        if link is None:
            return
        if link.waiting > MAX_WAITING:  # a reader this slow is cut off
            self._say(Notice("slow_consumer", "You have been disconnected as you are consuming messages too slowly."))
            self._link = None
            self._forget()
            link.close(1008, "slow consumer")
            return
        link.send(b"[" + b",".join(parts) + b"]")

    def _say(self, *notices: Notice) -> None:
        if self._link is not None:
            self._link.send(encode_messages(notices))

    def opened(self, link: Link) -> None:
        """Welcome."""
        self._link = link
        self._say(CONNECTED)
        host = self._hub.desk.host
        self._timer = host.at(host.now() + AUTH_NS, self._late)

    def _late(self) -> None:
        if self._account is None and self._link is not None:
            self._say(Notice("auth_timeout", "Timed out waiting for authentication."))
            self._link.close(1008, "auth timeout")

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """Authenticate, subscribe, unsubscribe."""
        try:
            asked = decode_request(bytes(data))
        except WireError as fault:
            self._say(Notice("error", str(fault)[:160]))
            return
        if isinstance(asked, Login):
            self._auth(asked.key, link)
        elif self._account is None:
            self._say(NOT_AUTHENTICATED)
        else:
            self._subscribe(asked)

    def _auth(self, key: str, link: Link) -> None:
        account = self._hub.desk.login(key)
        if account is None:
            self._say(AUTH_FAILED)
            link.close(1008, "auth failed")
            return
        if self._account is None:
            talks = self._hub.talks.setdefault((key, self._cluster), [])
            if len(talks) >= self._connections:
                self._say(MAX_CONNECTIONS)
                link.close(1008, "max connections")
                return
            talks.append(self)
            self._account = account
        self._say(AUTHENTICATED)

    def _subscribe(self, asked: Subscribe) -> None:
        notices = []
        for name, symbol in asked.channels:
            channel = _CHANNELS[name]
            if (channel == "V") != (self._cluster == "indices") and channel not in ("A", "AM"):
                notices.append(Notice("error", f"{channel}.{symbol} is not of the {self._cluster} cluster"))
                continue
            pair = channel, symbol
            if asked.on:
                self._subscribed.add(pair)
            else:
                self._subscribed.discard(pair)
            self._hub.changed(self, channel, symbol, asked.on)
            word = "subscribed" if asked.on else "unsubscribed"
            notices.append(Notice("success", f"{word} to: {channel}.{symbol}"))
        self._say(*notices)

    def closed(self, link: Link | None, reason: str) -> None:
        """It is gone."""
        self._link = None
        self._timer.cancel()
        self._forget()

    def _forget(self) -> None:
        for channel, symbol in self._subscribed:
            self._hub.changed(self, channel, symbol, False)
        self._subscribed.clear()
        if self._account is not None:
            talks = self._hub.talks.get((self._account.key, self._cluster), [])
            if self in talks:
                talks.remove(self)


class PolygonSite(PolygonRest):
    """A `Site` that is Polygon.

    Parameters
    ----------
    desk : Desk
    connections : int
        Of one key to one cluster at a time.
    rate_limit : int
        REST requests a minute and key, 0: as many as one likes.
    """

    def __init__(self, desk: Desk, *, connections: int = 1, rate_limit: int = 0) -> None:
        super().__init__(desk, rate_limit)
        self.hub = Hub(desk)
        self._connections = connections

    def upgrade(self, path: str, headers: Headers, peer: str) -> LinkUser | Response:
        """See `Site`."""
        cluster = path.partition("?")[0].strip("/")
        if cluster not in CLUSTERS:
            return Response(404, body=b"404 page not found")
        return Talk(self.hub, cluster, self._connections)
