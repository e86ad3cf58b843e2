"""Market data of a served Kraken: books of each depth with their checksums, and trades.

    rows of the exchange ─▶ which books changed ─▶ best N now, against what was told ─▶ one update a depth, with CRC-32

A level that better ones have pushed out of the depth is not deleted: the client cuts its book, as the rules say.
Messages are written once for all who hear them. Source: docs.kraken.com, WebSocket v2 (book, trade).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from nanotick.core.records import BUY, SELL, Kind
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing
from nanotick.venues.kraken.bodies import digits
from nanotick.wire.kraken import book_checksum
from nanotick.wire.kraken_server import encode_messages
from nanotick.wire.messages import Depth, Level, Trade

DEPTHS = (10, 25, 100, 500, 1000)
Hear = Callable[[bytes], None]
_LEVEL, _TRADE = int(Kind.LEVEL), int(Kind.TRADE)


class Book:
    """The best levels of one instrument at one depth, as its hearers know them."""

    def __init__(self, desk: Desk, listing: Listing, depth: int) -> None:
        self._desk, self.listing, self.depth = desk, listing, depth
        self.hearers: list[Hear] = []
        self._held: dict[int, dict[int, int]] = {side: self._best(side) for side in (BUY, SELL)}

    def _best(self, side: int) -> dict[int, int]:
        rows = self._desk.exchange.book.depth(self.listing.number, side, self.depth)
        return dict(rows.tolist())

    def _text(self, price: int, qty: int) -> Level:
        return digits(price, self.listing.price_decimals), digits(qty, self.listing.qty_decimals)

    def _message(self, bids: list[Level], asks: list[Level], snapshot: bool) -> bytes:
        best = [[self._text(*level) for level in list(self._held[side].items())[:10]] for side in (SELL, BUY)]
        told = Depth(self.listing.symbol, self._desk.host.now(), bids, asks, snapshot)
        told.checksum = book_checksum(*best)
        return encode_messages([told])

    def snapshot(self) -> bytes:
        """The book as the updates go on from it."""
        bids, asks = ([self._text(*level) for level in self._held[side].items()] for side in (BUY, SELL))
        return self._message(bids, asks, True)

    def update(self) -> bytes | None:
        """What has changed since the last message; None if nothing."""
        changes: dict[int, list[Level]] = {}
        for side in (BUY, SELL):
            before, after = self._held[side], self._best(side)
            worst = next(reversed(after), 0)
            full = len(after) >= self.depth
            gone = [
                self._text(price, 0)
                for price in before
                if price not in after and not (full and (price - worst) * side < 0)
            ]
            changes[side] = gone + [
                self._text(price, qty) for price, qty in after.items() if before.get(price) != qty
            ]  # fmt: skip
            self._held[side] = after
        if not changes[BUY] and not changes[SELL]:
            return None
        return self._message(changes[BUY], changes[SELL], False)


class PublicHub:
    """Books and trades of a desk, for who subscribes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.books: dict[int, dict[int, Book]] = {}  # instrument -> depth -> book
        self.trades: dict[int, list[Hear]] = {}
        desk.watch(None, self._rows)

    def hear_book(self, listing: Listing, depth: int, hear: Hear) -> bytes:
        """Subscribe; gives the snapshot."""
        held = self.books.setdefault(listing.number, {})
        book = held.get(depth)
        if book is None:
            book = held[depth] = Book(self.desk, listing, depth)
        else:  # what has changed and is not told yet goes to the others first
            self._publish(book)
        book.hearers.append(hear)
        return book.snapshot()

    def leave_book(self, listing: Listing, depth: int, hear: Hear) -> None:
        """Not any more."""
        held = self.books.get(listing.number, {})
        book = held.get(depth)
        if book is not None and hear in book.hearers:
            book.hearers.remove(hear)
            if not book.hearers:
                del held[depth]

    def hear_trades(self, listing: Listing, hear: Hear) -> bytes | None:
        """Subscribe; gives the last trades, None if there were none."""
        self.trades.setdefault(listing.number, []).append(hear)
        rows = self.desk.trades.of(listing.number)[-50:]
        if not len(rows):
            return None
        columns: Any = [rows[name].tolist() for name in ("side", "price", "qty", "id", "ts_venue")]
        return encode_messages(
            [self._trade(listing, a, b, c, d, e, True) for a, b, c, d, e in zip(*columns, strict=True)]
        )

    def leave_trades(self, listing: Listing, hear: Hear) -> None:
        """Not any more."""
        hearers = self.trades.get(listing.number, [])
        if hear in hearers:
            hearers.remove(hear)

    @staticmethod
    def _trade(
        listing: Listing, side: int, price: int, qty: int, ident: int, stamp: int, snapshot: bool = False
    ) -> Trade:
        return Trade(
            listing.symbol, stamp, digits(price, listing.price_decimals), digits(qty, listing.qty_decimals), side,
            ident, snapshot=snapshot,
        )  # fmt: skip

    def _publish(self, book: Book) -> None:
        data = book.update()
        if data is not None:
            for hear in tuple(book.hearers):
                hear(data)

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        """The exchange has published."""
        kinds = rows["kind"]
        for number in dict.fromkeys(rows["instrument"][kinds == _LEVEL].tolist()):
            for book in tuple(self.books.get(number, {}).values()):
                self._publish(book)
        chosen = rows[kinds == _TRADE]
        if not len(chosen) or not self.trades:
            return
        told: dict[int, list[Trade]] = {}
        columns = (chosen[name].tolist() for name in ("instrument", "side", "price", "qty", "id", "ts_venue"))
        for number, *row in zip(*columns, strict=True):
            if self.trades.get(number):
                told.setdefault(number, []).append(self._trade(self.desk.by_number[number], *row))
        for number, trades in told.items():
            data = encode_messages(list(trades))
            for hear in tuple(self.trades[number]):
                hear(data)
