"""Market data connections of a served Binance: raw and combined streams, SUBSCRIBE and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from nanotick.venues.host import Link, Timer
from nanotick.wire.json_text import Digits, WireError, decode

if TYPE_CHECKING:
    from nanotick.venues.binance.server import BinanceSite

_S = 1_000_000_000
_SLOW_READER = 8 << 20  # bytes that wait


class StreamTalk:
    """One connection.

    Parameters
    ----------
    path : str
        `/ws/<stream>`, `/ws`, `/stream` or `/stream?streams=<a>/<b>`, with `timeUnit` in its query.
    """

    def __init__(self, site: BinanceSite, path: str) -> None:
        self._site, self._hub = site, site.hub
        where, _, query = path.partition("?")
        asked = parse_qs(query)
        self._micros = asked.get("timeUnit", [""])[0].upper() == "MICROSECOND"
        self.combined = where.rstrip("/") == "/stream"
        named = asked.get("streams", [""])[0] if self.combined else where.removeprefix("/ws").strip("/")
        self._first = [name for name in named.split("/") if name]
        self.streams: dict[str, None] = {}
        self._link: Link | None = None
        self._second = self._messages = 0
        self._life: Timer | None = None

    def opened(self, link: Link) -> None:
        """See `LinkUser`."""
        self._link = link
        self._site.talks.add(self)
        self._subscribe(self._first)
        if self._site.life_ns:
            host = self._site.host
            self._life = host.at(host.now() + self._site.life_ns, lambda: link.close(1008, "24 hours"))

    def closed(self, link: Link | None, reason: str) -> None:
        """See `LinkUser`."""
        self._site.talks.discard(self)
        self._hub.leave(self.streams, self._hear)
        self.streams.clear()
        if self._life is not None:
            self._life.cancel()

    def shut_down(self, now: int) -> None:
        """Say that this server will be gone."""
        self._send({"e": "serverShutdown", "E": now // 1_000_000})

    def cut(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close(1001, "server shutdown")

    def _hear(self, stream: str, item: Any) -> None:
        link = self._link
        if link is None:
            return
        if link.waiting > _SLOW_READER:
            link.close(1008, "slow reader")
            return
        link.send(self._site.written(stream, item, self.combined, self._micros))

    def _subscribe(self, streams: list[str]) -> None:
        # as at the venue, a stream that there is not is taken and says nothing (ccxt opens /ws/0)
        self._hub.hear([name for name in streams if self._hub.knows(name)], self._hear)
        self.streams.update(dict.fromkeys(streams))

    def _send(self, body: dict[str, Any]) -> None:
        if self._link is not None:
            self._link.send(msgspec.json.encode(body))

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """See `LinkUser`."""
        most = self._site.limits.messages
        if now // _S != self._second:
            self._second, self._messages = now // _S, 0
        self._messages += 1
        if most and self._messages > most:
            link.close(1008, "Too many requests")
            return
        try:
            asked = decode(bytes(data))
        except WireError as error:
            self._refuse(None, 3, f"Invalid JSON: {error}")
            return
        if not isinstance(asked, dict):
            self._refuse(None, 2, "Invalid request: request must be an object")
            return
        ident: Any = asked.get("id")
        ident = int(ident) if isinstance(ident, Digits) and ident.isdigit() and len(ident) < 19 else ident
        method, params = asked.get("method"), asked.get("params")
        if method == "LIST_SUBSCRIPTIONS":
            self._send({"result": list(self.streams), "id": ident})
        elif method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                self._refuse(ident, 2, "Invalid request: params must be a list of streams")
            else:
                self._change(ident, method, [str(name) for name in params])
        elif method == "GET_PROPERTY":
            self._send({"result": self.combined, "id": ident})
        elif method == "SET_PROPERTY" and isinstance(params, list) and len(params) == 2 and params[0] == "combined":
            self.combined = params[1] is True
            self._send({"result": None, "id": ident})
        else:
            self._refuse(ident, 2, f"Invalid request: unknown variant `{str(method)[:40]}`")

    def _change(self, ident: Any, method: str, names: list[str]) -> None:
        odd = [name for name in names if "@" not in name]
        if odd:
            self._refuse(ident, 2, f"Invalid request: {odd[0][:40]} is no stream")
            return
        if method == "UNSUBSCRIBE":
            self._hub.leave(names, self._hear)
            for name in names:
                self.streams.pop(name, None)
        elif self._site.limits.streams and len(self.streams.keys() | names) > self._site.limits.streams:
            self._refuse(ident, 2, f"Invalid request: more than {self._site.limits.streams} streams")
            return
        else:
            self._subscribe(names)
        self._send({"result": None, "id": ident})

    def _refuse(self, ident: Any, code: int, words: str) -> None:
        self._send({"error": {"code": code, "msg": words}, "id": ident})
