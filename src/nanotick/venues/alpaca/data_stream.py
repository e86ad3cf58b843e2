"""The market data stream of a served Alpaca: trades, quotes, minute bars, halts and cancelled trades.

A message is written once for all links that want it, as JSON or as MessagePack (a link that opens with
`Content-Type: application/msgpack`, as alpaca-py does, speaks that), and what the exchange published in one slice goes
out as one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.records import Kind, TradingStatus
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_bars import Bar, Bars
from nanotick.venues.desk_terms import Listing
from nanotick.venues.host import Link
from nanotick.venues.stamps import stamp
from nanotick.wire.alpaca_server import ERRORS

AUTH_NS = 10_000_000_000
MAX_WAITING = 4 << 20
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "corrections", "cancelErrors")
_COUNTED = ("trades", "quotes")  # against the symbol limit
_KINDS = {int(Kind.TRADE): "trades", int(Kind.QUOTE): "quotes", int(Kind.BREAK): "cancelErrors",
          int(Kind.STATUS): "statuses"}  # fmt: skip
_STATUS = {
    TradingStatus.HALTED: ("H", "Trading Halt"), TradingStatus.TRADING: ("T", "Trading Resumption"),
    TradingStatus.PAUSED: ("P", "Volatility Trading Pause"),
}  # fmt: skip
_SECOND = 1_000_000_000
_json = msgspec.json.encode
_pack = msgspec.msgpack.encode


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _time_ext(ns: int) -> msgspec.msgpack.Ext:
    """A MessagePack timestamp with nanoseconds."""
    seconds, rest = divmod(ns, _SECOND)
    return msgspec.msgpack.Ext(-1, (rest << 34 | seconds).to_bytes(8, "big"))


def trade_item(listing: Listing, row: tuple[Any, ...], text: Callable[[str], Any], time: Callable[[int], Any]) -> Any:
    """A trade; `text` writes a number, `time` a time."""
    return {
        "T": "t", "S": listing.symbol, "i": row[5], "x": "V", "p": text(listing.price_text(row[3])),
        "s": text(listing.qty_text(row[4])), "c": ["@"], "z": "C", "t": time(row[0]),
    }  # fmt: skip


def quote_item(listing: Listing, row: tuple[Any, ...], text: Callable[[str], Any], time: Callable[[int], Any]) -> Any:
    """A quote."""
    bid, ask = row[3], row[5]
    return {
        "T": "q", "S": listing.symbol, "bx": "V", "bp": text(listing.price_text(bid) if bid != EMPTY_BID else "0"),
        "bs": text(listing.qty_text(row[4])), "ax": "V",
        "ap": text(listing.price_text(ask) if ask != EMPTY_ASK else "0"), "as": text(listing.qty_text(row[6])),
        "c": ["R"], "z": "C", "t": time(row[0]),
    }  # fmt: skip


def _break_item(listing: Listing, row: tuple[Any, ...], text: Callable[[str], Any], time: Callable[[int], Any]) -> Any:
    return {
        "T": "x", "S": listing.symbol, "i": row[5], "x": "V", "p": text(listing.price_text(row[3])),
        "s": text(listing.qty_text(row[4])), "a": "C", "z": "C", "t": time(row[0]),
    }  # fmt: skip


def _status_item(listing: Listing, row: tuple[Any, ...], text: Callable[[str], Any], time: Callable[[int], Any]) -> Any:
    code, words = _STATUS.get(TradingStatus(row[6]), ("", ""))
    return {"T": "s", "S": listing.symbol, "sc": code, "sm": words, "rc": "", "rm": "", "z": "C", "t": time(row[0])}


def bar_item(bar: Bar, text: Callable[[str], Any], time: Callable[[int], Any]) -> dict[str, Any]:
    """A bar."""
    price = bar.listing.price_text
    return {
        "T": "b", "S": bar.listing.symbol, "o": text(price(bar.open)), "h": text(price(bar.high)),
        "l": text(price(bar.low)), "c": text(price(bar.close)), "v": text(bar.listing.qty_text(bar.volume)),
        "t": time(bar.start), "n": bar.count, "vw": text(bar.mean_text),
    }  # fmt: skip


_ITEMS = {"trades": trade_item, "quotes": quote_item, "cancelErrors": _break_item, "statuses": _status_item}


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


class DataHub:
    """What links want of the exchange's rows."""

    def __init__(self, desk: Desk, bars: Bars) -> None:
        self.desk = desk
        self._wanted: dict[tuple[str, str], set[DataTalk]] = {}
        self._interest = np.zeros((256, len(desk.exchange.instruments)), bool)
        self.talks: dict[str, list[DataTalk]] = {}
        desk.watch(None, self._rows)
        bars.watch(self._bars)

    def changed(self, talk: DataTalk, channel: str, symbol: str, on: bool) -> None:
        """A link subscribes or no longer does."""
        held = self._wanted.setdefault((channel, symbol), set())
        if on:
            held.add(talk)
        else:
            held.discard(talk)
        codes = [code for code, name in _KINDS.items() if name == channel]
        for code in codes:
            everywhere = bool(self._wanted.get((channel, "*")))
            self._interest[code] = everywhere
            if not everywhere:
                for (name, which), talks in self._wanted.items():
                    if name == channel and talks and which in self.desk.listings:
                        self._interest[code, self.desk.listings[which].number] = True

    def _to(self, channel: str, symbol: str) -> set[DataTalk]:
        one, all_ = self._wanted.get((channel, symbol)), self._wanted.get((channel, "*"))
        return (one | all_ if one and all_ else one or all_) or set()

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        chosen = rows[self._interest[rows["kind"], rows["instrument"]]]
        if not len(chosen):
            return
        listings = self.desk.by_number
        found: list[tuple[str, Listing, Any]] = [
            (_KINDS[row[9]], listings[row[7]], row) for row in chosen.tolist() if row[7] in listings
        ]
        self._send([(channel, listing.symbol, _ITEMS[channel], (listing, row)) for channel, listing, row in found])

    def _bars(self, bars: list[Bar]) -> None:
        self._send([("bars", bar.listing.symbol, bar_item, (bar,)) for bar in bars])

    def _send(self, items: list[tuple[str, str, Any, tuple[Any, ...]]]) -> None:
        frames: dict[DataTalk, list[bytes]] = {}
        for channel, symbol, write, arguments in items:
            talks = self._to(channel, symbol)
            texts: list[bytes | None] = [None, None]
            for talk in talks:
                packed = talk.packed
                text = texts[packed]
                if text is None:
                    item = write(*arguments, _number, _time_ext) if packed else write(*arguments, _raw, stamp)
                    text = texts[packed] = (_pack if packed else _json)(item)
                frames.setdefault(talk, []).append(text)
        for talk, parts in frames.items():
            talk.parts(parts)


class DataTalk:
    """One connection to a market data stream."""

    def __init__(self, desk: Desk, hub: DataHub, packed: bool, symbol_limit: int, connections: int) -> None:
        self._desk, self._hub, self.packed = desk, hub, packed
        self._limit, self._connections = symbol_limit, connections
        self._account: DeskAccount | None = None
        self._link: Link | None = None
        self._subscribed: dict[str, set[str]] = {name: set() for name in CHANNELS}

    def __hash__(self) -> int:
        return id(self)

    # --- what is said -----------------------------------------------------------------------------------------------

    def parts(self, parts: list[bytes]) -> None:
        """Send messages as one frame."""
        link = self._link
        if link is None:
            return
        if link.waiting > MAX_WAITING:
            self._fault(407)
            link.close(1008, "slow client")
            self._forget()
            return
        if self.packed:
            count = len(parts)
            head = bytes((0x90 | count,)) if count < 16 else (
                b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")
            )  # fmt: skip
            link.send(head + b"".join(parts), binary=True)
        else:
            link.send(b"[" + b",".join(parts) + b"]")

    def _say(self, item: dict[str, Any]) -> None:
        if self._link is not None:
            data = [item]
            self._link.send(_pack(data) if self.packed else _json(data), binary=self.packed)

    def _fault(self, code: int) -> None:
        self._say({"T": "error", "code": code, "msg": ERRORS[code]})

    # --- LinkUser ---------------------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """Welcome."""
        self._link = link
        self._say({"T": "success", "msg": "connected"})
        self._timer = self._desk.host.at(self._desk.host.now() + AUTH_NS, self._late)

    def _late(self) -> None:
        if self._account is None and self._link is not None:
            self._fault(404)
            self._link.close(1008, "auth timeout")

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """Authenticate, subscribe, unsubscribe."""
        try:
            asked = msgspec.msgpack.decode(data) if self.packed else msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._fault(400)
            return
        action = asked.get("action") if isinstance(asked, dict) else None
        if action == "auth":
            self._auth(asked, link)
        elif action in ("subscribe", "unsubscribe"):
            if self._account is None:
                self._fault(401)
            else:
                self._subscribe(asked, action == "subscribe")
        else:
            self._fault(400)

    def closed(self, link: Link | None, reason: str) -> None:
        """It is gone."""
        self._link = None
        self._timer.cancel()
        self._forget()

    def _forget(self) -> None:
        for channel, symbols in self._subscribed.items():
            for symbol in tuple(symbols):
                self._hub.changed(self, channel, symbol, False)
            symbols.clear()
        if self._account is not None:
            talks = self._hub.talks.get(self._account.key, [])
            if self in talks:
                talks.remove(self)

    def _auth(self, asked: dict[str, Any], link: Link) -> None:
        if self._account is not None:
            self._fault(403)
            return
        key, secret = asked.get("key"), asked.get("secret")
        account = self._desk.login(key, secret) if isinstance(key, str) and isinstance(secret, str) else None
        if account is None:
            self._fault(402)
            return
        talks = self._hub.talks.setdefault(account.key, [])
        if len(talks) >= self._connections:
            self._fault(406)
            link.close(1008, "connection limit exceeded")
            return
        talks.append(self)
        self._account = account
        self._say({"T": "success", "msg": "authenticated"})

    def _subscribe(self, asked: dict[str, Any], on: bool) -> None:
        wanted: list[tuple[str, str]] = []
        for channel, symbols in asked.items():
            if channel == "action":
                continue
            if channel not in CHANNELS or not isinstance(symbols, list):
                self._fault(400)
                return
            for symbol in symbols:
                if not isinstance(symbol, str) or not 0 < len(symbol) <= 32:
                    self._fault(400)
                    return
                wanted.append((channel, symbol))
        if on and self._limit and self._too_many(wanted):
            self._fault(405)
            return
        for channel, symbol in wanted:
            self._change(channel, symbol, on)
            if channel == "trades":  # corrections and cancelled trades come with trades
                self._change("corrections", symbol, on)
                self._change("cancelErrors", symbol, on)
        self._say({"T": "subscription", **{name: sorted(held) for name, held in self._subscribed.items()}})

    def _change(self, channel: str, symbol: str, on: bool) -> None:
        held = self._subscribed[channel]
        if on == (symbol in held):
            return
        if on:
            held.add(symbol)
        else:
            held.discard(symbol)
        self._hub.changed(self, channel, symbol, on)

    def _too_many(self, wanted: list[tuple[str, str]]) -> bool:
        symbols = set()
        for channel in _COUNTED:
            symbols |= self._subscribed[channel]
        symbols |= {symbol for channel, symbol in wanted if channel in _COUNTED}
        return len(symbols) > self._limit or "*" in symbols
