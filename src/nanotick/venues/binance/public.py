"""Market data of a served Binance: books with update ids, and the streams made of them.

    rows of the exchange ─▶ book (levels by price, last update id) ─▶ @bookTicker, @trade, @aggTrade    at once
                                 └─ changed since the last one ─────▶ @depth, @depth@100ms, @depth5/10/20, @ticker

Every change of a level is an update id. A diff covers the ids after the last one, so a stream's diffs follow each other
as the venue's do, and a snapshot is the book at its `lastUpdateId`. Messages are written once for all who hear them.
Source: binance-spot-api-docs, web-socket-streams.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy.typing as npt

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.records import BUY, Kind
from nanotick.venues.binance.bodies import eight
from nanotick.venues.desk import Desk
from nanotick.venues.desk_bars import Bar
from nanotick.venues.desk_terms import Listing
from nanotick.venues.host import Timer
from nanotick.wire.requests import number_text

Hear = Callable[[str, Any], None]  # stream, message before its encoding
_MS, _US = 1_000_000, 1_000
_LEVEL, _QUOTE, _TRADE = int(Kind.LEVEL), int(Kind.QUOTE), int(Kind.TRADE)
_TICK_NS = 100 * _MS
_SLOW = 10  # ticks of the streams that come once a second
_PARTIAL = (5, 10, 20)
KINDS = frozenset(
    ["trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "depth@1000ms", "ticker", "miniTicker"]
    + [f"depth{n}{speed}" for n in _PARTIAL for speed in ("", "@100ms", "@1000ms")]
)
_FIELDS = ["kind", "instrument", "side", "price", "qty", "id", "word", "ts_venue"]


class Book:
    """Levels of one instrument, and what has changed since each stream's last message."""

    __slots__ = ("asks", "bids", "changed", "first", "last", "listing")

    def __init__(self, listing: Listing, desk: Desk) -> None:
        self.listing = listing
        self.last = 1
        book = desk.exchange.book
        self.bids: dict[int, int] = dict(book.depth(listing.number, 1, 1 << 20).tolist())
        self.asks: dict[int, int] = dict(book.depth(listing.number, -1, 1 << 20).tolist())
        # of the fast diffs and the slow ones: quantity by (side, price)
        self.changed: tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]] = {}, {}
        self.first = [self.last + 1, self.last + 1]

    def set(self, side: int, price: int, qty: int) -> None:
        """A level has changed."""
        levels = self.bids if side == BUY else self.asks
        if qty:
            levels[price] = qty
        else:
            levels.pop(price, None)
        self.last += 1
        self.changed[0][side, price] = self.changed[1][side, price] = qty

    def levels(self, limit: int) -> dict[str, Any]:
        """The best levels of both sides."""
        text = self._text
        return {
            "lastUpdateId": self.last,
            "bids": [text(price, self.bids[price]) for price in sorted(self.bids, reverse=True)[:limit]],
            "asks": [text(price, self.asks[price]) for price in sorted(self.asks)[:limit]],
        }

    def _text(self, price: int, qty: int) -> list[str]:
        return [eight(self.listing.price_text(price)), eight(self.listing.qty_text(qty))]

    def diff(self, slow: int) -> dict[str, Any] | None:
        """What has changed since the last diff of that speed; None if nothing."""
        changed = self.changed[slow]
        if not changed:
            return None
        first, self.first[slow] = self.first[slow], self.last + 1
        rows: dict[int, list[list[str]]] = {1: [], -1: []}
        for (side, price), qty in changed.items():
            rows[side].append(self._text(price, qty))
        changed.clear()
        return {"e": "depthUpdate", "E": 0, "s": self.listing.symbol, "U": first, "u": self.last,
                "b": rows[1], "a": rows[-1]}  # fmt: skip


class PublicHub:
    """Books and streams of a desk.

    Attributes
    ----------
    heard : dict of str to list
        Who hears a stream.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.books: dict[int, Book] = {}
        self.heard: dict[str, list[Hear]] = {}
        self._names = {listing.number: listing.symbol.lower() for listing in desk.instruments}
        self._ticks = 0
        self._timer: Timer | None = None
        self.day_of: Callable[[Listing], dict[str, Any]] | None = None
        desk.watch(None, self._rows)

    def start(self) -> None:
        """Publish from now on."""
        if self._timer is None:
            self._tick()

    def book(self, listing: Listing) -> Book:
        """The book of an instrument."""
        book = self.books.get(listing.number)
        if book is None:
            book = self.books[listing.number] = Book(listing, self.desk)
        return book

    def snapshot(self, listing: Listing, limit: int) -> dict[str, Any]:
        """A REST depth snapshot."""
        return self.book(listing).levels(limit)

    # --- who hears what -----------------------------------------------------------------------------------------------

    def knows(self, stream: str) -> bool:
        """Whether there is such a stream."""
        symbol, _, kind = stream.partition("@")
        return symbol.upper() in self.desk.listings and symbol == symbol.lower() and kind in KINDS

    def hear(self, streams: Iterable[str], callback: Hear) -> None:
        """Hand a stream's messages on from now on."""
        for stream in streams:
            self.book(self.desk.listings[stream.partition("@")[0].upper()])
            callbacks = self.heard.setdefault(stream, [])
            if callback not in callbacks:
                callbacks.append(callback)

    def leave(self, streams: Iterable[str], callback: Hear) -> None:
        """Not any more."""
        for stream in streams:
            callbacks = self.heard.get(stream, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self.heard.pop(stream, None)

    def _tell(self, stream: str, item: Any) -> None:
        for callback in tuple(self.heard.get(stream, ())):
            callback(stream, item)

    # --- rows and ticks -----------------------------------------------------------------------------------------------

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        """What the exchange has published."""
        fresh = set()
        columns = [rows[name].tolist() for name in _FIELDS]
        for kind, number, side, price, qty, ident, word, stamp in zip(*columns, strict=True):
            if kind == _LEVEL:
                book = self.books.get(number)
                if book is None:
                    self.book(self.desk.by_number[number])  # as it is after all of these rows
                    fresh.add(number)
                elif number not in fresh:
                    book.set(side, price, qty)
            elif kind == _QUOTE:
                self._quote(number, price, qty, ident, word)
            elif kind == _TRADE:
                self._trade(number, side, price, qty, ident, stamp)

    def _quote(self, number: int, bid: int, bid_qty: int, ask: int, ask_qty: int) -> None:
        stream = f"{self._names[number]}@bookTicker"
        if stream in self.heard:
            listing = self.desk.by_number[number]
            item = {
                "u": self.book(listing).last, "s": listing.symbol,
                "b": eight(listing.price_text(bid) if bid != EMPTY_BID else "0"), "B": eight(listing.qty_text(bid_qty)),
                "a": eight(listing.price_text(ask) if ask != EMPTY_ASK else "0"), "A": eight(listing.qty_text(ask_qty)),
            }  # fmt: skip
            self._tell(stream, item)

    def _trade(self, number: int, side: int, price: int, qty: int, ident: int, stamp: int) -> None:
        name = self._names[number]
        for kind in ("trade", "aggTrade"):
            stream = f"{name}@{kind}"
            if stream not in self.heard:
                continue
            listing = self.desk.by_number[number]
            item: dict[str, Any] = {"e": kind, "E": self.desk.host.now(), "s": listing.symbol}
            item["t" if kind == "trade" else "a"] = ident
            item |= {"p": eight(listing.price_text(price)), "q": eight(listing.qty_text(qty))}
            if kind == "aggTrade":
                item |= {"f": ident, "l": ident}
            self._tell(stream, item | {"T": stamp, "m": side < 0, "M": True})

    def _tick(self) -> None:
        """Ten times a second: diffs, and what comes once a second."""
        now = self.desk.host.now()
        self._ticks += 1
        slow = self._ticks % _SLOW == 0
        for number, book in self.books.items():
            name = self._names[number]
            self._depth(book, name, now, 0, ("@depth@100ms",))
            if slow:
                self._depth(book, name, now, 1, ("@depth", "@depth@1000ms"))
                self._day(book.listing, name, now)
        self._timer = self.desk.host.at(now + _TICK_NS, self._tick)

    def _depth(self, book: Book, name: str, now: int, slow: int, streams: tuple[str, ...]) -> None:
        partial = [f"@depth{n}{speed}" for n in _PARTIAL for speed in (("", "@1000ms") if slow else ("@100ms",))]
        if not book.changed[slow]:
            return
        if not any(name + stream in self.heard for stream in streams):
            book.changed[slow].clear()
            book.first[slow] = book.last + 1
        else:
            item = book.diff(slow)
            assert item is not None
            item["E"] = now
            for stream in streams:
                self._tell(name + stream, item)
        for stream in partial:
            if name + stream in self.heard:
                levels = int(stream.removeprefix("@depth").partition("@")[0])
                self._tell(name + stream, book.levels(levels))

    def _day(self, listing: Listing, name: str, now: int) -> None:
        if self.day_of is None or not (f"{name}@ticker" in self.heard or f"{name}@miniTicker" in self.heard):
            return
        day = self.day_of(listing)
        mini = {
            "e": "24hrMiniTicker", "E": now, "s": listing.symbol, "c": day["lastPrice"], "o": day["openPrice"],
            "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"], "q": day["quoteVolume"],
        }  # fmt: skip
        self._tell(f"{name}@miniTicker", mini)
        self._tell(f"{name}@ticker", mini | {
            "e": "24hrTicker", "p": day["priceChange"], "P": day["priceChangePercent"], "w": day["weightedAvgPrice"],
            "x": day["prevClosePrice"], "Q": day["lastQty"], "b": day["bidPrice"], "B": day["bidQty"],
            "a": day["askPrice"], "A": day["askQty"], "O": day["openTime"] * _MS, "C": day["closeTime"] * _MS,
            "F": day["firstId"], "L": day["lastId"], "n": day["count"],
        })  # fmt: skip

    def day(self, listing: Listing, bars: list[Bar]) -> dict[str, Any]:
        """Figures of the last 24 hours."""
        desk, now = self.desk, self.desk.host.now()
        last, quote = desk.mark(listing.number), desk.quote(listing.symbol)
        first = bars[0].open if bars else last
        volume, value = sum(bar.volume for bar in bars), sum(bar.value for bar in bars)
        rows = desk.trades.of(listing.number)
        text = listing.price_text
        return {
            "symbol": listing.symbol, "priceChange": eight(text(last - first)),
            "priceChangePercent": number_text((last - first) * 100_000 // first if first else 0, 3),
            "weightedAvgPrice": eight(text(value // volume) if volume else "0"), "prevClosePrice": eight(text(first)),
            "lastPrice": eight(text(last)),
            "lastQty": eight(listing.qty_text(int(rows["qty"][-1])) if len(rows) else "0"),
            "bidPrice": eight(quote.bid), "bidQty": eight(quote.bid_qty), "askPrice": eight(quote.ask),
            "askQty": eight(quote.ask_qty), "openPrice": eight(text(first)),
            "highPrice": eight(text(max([bar.high for bar in bars], default=last))),
            "lowPrice": eight(text(min([bar.low for bar in bars], default=last))),
            "volume": eight(listing.qty_text(volume)),
            "quoteVolume": eight(number_text(value * listing.value_unit // 10**10, 8)),
            "openTime": (bars[0].start if bars else now) // _MS, "closeTime": now // _MS,
            "firstId": int(rows["id"][0]) if len(rows) else -1, "lastId": int(rows["id"][-1]) if len(rows) else -1,
            "count": sum(bar.count for bar in bars),
        }  # fmt: skip


_STAMPS = ("E", "T", "O", "C")


def encode_item(item: Any, stream: str, micros: bool) -> bytes:
    """A message of a stream as it is sent; its times are ns before. `stream` empty: not in a wrapper."""
    unit = _US if micros else _MS
    timed = {name: value // unit if name in _STAMPS else value for name, value in item.items()}
    return msgspec.json.encode({"stream": stream, "data": timed} if stream else timed)
