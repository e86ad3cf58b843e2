"""What a desk shows everybody: the book, the last prices, the rows of the exchange as they come, and a tape of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.records import EVENT, Kind
from nanotick.exchange.market.exchange import MatchingExchange
from nanotick.venues.desk_terms import Listing
from nanotick.venues.host import Host
from nanotick.wire.messages import Depth, Quote

TAPE_ROWS = 1 << 18
_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)

OnRows = Callable[[npt.NDArray[Any]], None]


class Tape:
    """The latest rows of one kind, oldest first, found by instrument and time."""

    def __init__(self, size: int = TAPE_ROWS) -> None:
        self._rows = np.zeros(size, EVENT)
        self._end = 0

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append rows; the oldest go."""
        size = len(self._rows)
        rows = rows[-size:]
        at = self._end % size
        first = min(len(rows), size - at)
        self._rows[at : at + first] = rows[:first]
        self._rows[: len(rows) - first] = rows[first:]
        self._end += len(rows)

    def of(self, instrument: int, since: int = 0, until: int = 1 << 62) -> npt.NDArray[Any]:
        """Rows of an instrument with `ts_venue` from `since` to `until`, both included, oldest first."""
        size = len(self._rows)
        if self._end <= size:
            held = self._rows[: self._end]
        else:
            at = self._end % size
            held = np.concatenate((self._rows[at:], self._rows[:at]))
        stamps = held["ts_venue"]
        return held[(held["instrument"] == instrument) & (stamps >= since) & (stamps <= until)]


class PublicRows:
    """The public side of a desk."""

    host: Host

    def __init__(self, exchange: MatchingExchange, listings: dict[str, Listing]) -> None:
        self.exchange = exchange
        self.listings = listings
        self.by_number: dict[int, Listing] = {listing.number: listing for listing in listings.values()}
        self.trades, self.quotes = Tape(), Tape()
        self._markets = exchange.regions["markets"].view
        self._watchers: list[tuple[npt.NDArray[Any] | None, OnRows]] = []

    def watch(self, symbols: Iterable[str] | None, callback: OnRows) -> Callable[[], None]:
        """Hear the exchange's public rows, as EVENT arrays in host time; call what is returned to stop.

        Rows are LEVEL (price, what rests there now, `word` orders), QUOTE (price, qty, id, word: bid and ask; a side
        that is empty has EMPTY_BID or EMPTY_ASK and 0), TRADE (`side` the aggressor's, `id` the trade's number), BREAK,
        STATUS, IMBALANCE; in a market by order also ADD, EXECUTE, REDUCE, DELETE, REPLACE. `by_number` has the listing
        of a row's instrument. The array is shared: do not write into it.

        Parameters
        ----------
        symbols : iterable of str, or None
            None for all.
        """
        mask = None
        if symbols is not None:
            mask = np.zeros(len(self.exchange.instruments), bool)
            mask[[self.listings[symbol].number for symbol in symbols]] = True
        entry = (mask, callback)
        self._watchers.append(entry)

        def stop() -> None:
            self._watchers[:] = [held for held in self._watchers if held is not entry]

        return stop

    def on_rows(self, rows: npt.NDArray[Any]) -> None:
        """The exchange has published."""
        kinds = rows["kind"]
        for kind, tape in ((_TRADE, self.trades), (_QUOTE, self.quotes)):
            chosen = kinds == kind
            if chosen.any():
                tape.add(rows[chosen])
        numbers = None
        for mask, callback in tuple(self._watchers):
            if mask is None:
                callback(rows)
                continue
            numbers = rows["instrument"] if numbers is None else numbers
            chosen = mask[numbers]
            if chosen.any():
                callback(rows if chosen.all() else rows[chosen])

    def quote_of(self, row: Any) -> Quote:
        """A QUOTE row in the venue's digits."""
        listing = self.by_number[int(row["instrument"])]
        bid, ask = int(row["price"]), int(row["id"])
        return Quote(
            listing.symbol, int(row["ts_venue"]),
            listing.price_text(bid) if bid != EMPTY_BID else "0", listing.qty_text(int(row["qty"])),
            listing.price_text(ask) if ask != EMPTY_ASK else "0", listing.qty_text(int(row["word"])),
        )  # fmt: skip

    def depth(self, symbol: str, levels: int) -> Depth:
        """The best levels of both sides now, a snapshot."""
        listing = self.listings[symbol]
        book, price, qty = self.exchange.book, listing.price_text, listing.qty_text
        bids, asks = (
            [(price(p), qty(q)) for p, q in book.depth(listing.number, side, levels).tolist()] for side in (1, -1)
        )
        return Depth(symbol, self.host.now(), bids, asks, snapshot=True)

    def last(self, symbol: str) -> str:
        """Price of the last trade, else the middle of the quote, else where the market began; decimal text."""
        listing = self.listings[symbol]
        return listing.price_text(self.mark(listing.number))

    def quote(self, symbol: str) -> Quote:
        """Best bid and offer now; a side that is empty has price and quantity `0`."""
        listing = self.listings[symbol]
        book, number = self.exchange.book, listing.number
        bid, ask = book.best_price(number, 1), book.best_price(number, -1)
        bid_qty, ask_qty = book.best_qty(number, 1), book.best_qty(number, -1)
        return Quote(
            symbol, self.host.now(),
            listing.price_text(bid) if bid != EMPTY_BID else "0", listing.qty_text(bid_qty),
            listing.price_text(ask) if ask != EMPTY_ASK else "0", listing.qty_text(ask_qty),
        )  # fmt: skip

    def mark(self, number: int) -> int:
        """As `last`, in price units, of an instrument by its number."""
        last = int(self._markets[number]["last_price"])
        if last:
            return last
        book = self.exchange.book
        bid, ask = book.best_price(number, 1), book.best_price(number, -1)
        if bid != EMPTY_BID and ask != EMPTY_ASK:
            return (bid + ask) // 2
        return bid if bid != EMPTY_BID else ask if ask != EMPTY_ASK else 0

    def _cost(self, listing: Listing, side: int, qty: int) -> int | None:
        """Amount that buying so much would cost now (selling: bring); None when nothing is offered."""
        levels, left, total, price = 8, qty, 0, 0
        while True:
            rows = self.exchange.book.depth(listing.number, -side, levels)
            left, total = qty, 0
            for price, there in rows.tolist():
                take = min(left, there)
                total += price * take
                left -= take
                if left == 0:
                    return total * listing.value_unit
            if len(rows) < levels:
                break
            levels *= 8
        return (total + left * price) * listing.value_unit if price else None
