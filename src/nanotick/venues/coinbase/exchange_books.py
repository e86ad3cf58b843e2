"""Market data of a served Coinbase Exchange: every order of every product, numbered, for who subscribes.

The numbers of a product count the messages of its full channel; a level-3 book says which of them it holds already.
Source: docs.cdp.coinbase.com, Exchange WebSocket channels (full, matches, level2) and REST (product book).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from nanotick.core.records import BUY, SELL, Flag, Kind
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing
from nanotick.wire.coinbase_server import encode_exchange, encode_received
from nanotick.wire.messages import Depth, Level, Order, Trade

Hear = Callable[[bytes], None]
CHANNELS = ("orders", "trade", "depth", "depth_batch", "heartbeat")
_ADD, _EXECUTE, _REDUCE, _DELETE, _REPLACE, _LEVEL, _TRADE = (
    int(k) for k in (Kind.ADD, Kind.EXECUTE, Kind.REDUCE, Kind.DELETE, Kind.REPLACE, Kind.LEVEL, Kind.TRADE)
)
_HIDDEN = int(Flag.HIDDEN)
_BATCH_NS = 50_000_000
_COLUMNS = ("kind", "instrument", "side", "price", "qty", "id", "word", "ts_venue", "flags")


class Product:
    """One product's orders as the full channel has told them.

    Attributes
    ----------
    sequence : int
        Number of the last message.
    resting : dict of int to list
        Side, price and quantity of each order by its number; those of one price in the order of their queue.
    heard : dict of str to list
        Who hears each channel.
    """

    def __init__(self, listing: Listing, sequence: int) -> None:
        self.listing, self.sequence = listing, sequence
        self.last_trade = 0
        self.resting: dict[int, list[int]] = {}
        self.heard: dict[str, list[Hear]] = {channel: [] for channel in CHANNELS}
        self.changed: dict[tuple[int, int], int] = {}  # levels that the next batch tells
        self._out: list[bytes] = []

    def tell(self, channel: str, data: bytes) -> None:
        """Send a message to all who hear a channel."""
        for hear in tuple(self.heard[channel]):
            hear(data)

    def levels(self, changed: dict[tuple[int, int], int], now: int) -> bytes:
        """An l2update of levels."""
        sides: dict[int, list[Level]] = {BUY: [], SELL: []}
        for (side, price), qty in changed.items():
            sides[side].append((self.listing.price_text(price), self.listing.qty_text(qty)))
        return encode_exchange(Depth(self.listing.symbol, now, sides[BUY], sides[SELL]))

    # --- order by order -----------------------------------------------------------------------------------------------

    def _order(self, action: Kind, ident: int, side: int, price: int, qty: int, stamp: int) -> Order:
        self.sequence += 1
        text, size = self.listing.price_text(price), self.listing.qty_text(qty)
        return Order(self.listing.symbol, stamp, int(action), ident, side, text, size, seq=self.sequence)

    def add(self, ident: int, side: int, price: int, qty: int, stamp: int) -> None:
        """An order comes to rest."""
        self.tell("orders", encode_received(self._order(Kind.ADD, ident, side, price, qty, stamp)))
        self.resting[ident] = [side, price, qty]
        self.tell("orders", encode_exchange(self._order(Kind.ADD, ident, side, price, qty, stamp)))

    def match(self, ident: int, side: int, price: int, qty: int, trade: int, stamp: int) -> None:
        """A resting order (number 0: one that was not shown) has traded; `side` is the maker's."""
        self.sequence, self.last_trade = self.sequence + 1, trade
        item = self.listing
        data = encode_exchange(
            Trade(
                item.symbol, stamp, item.price_text(price), item.qty_text(qty), -side, trade, ident, seq=self.sequence
            )
        )
        self.tell("orders", data)
        self.tell("trade", data)
        held = self.resting.get(ident)
        if held is not None:
            held[2] -= qty
            if held[2] <= 0:
                self.done(ident, stamp)

    def reduce(self, ident: int, qty: int, stamp: int) -> None:
        """An order has become smaller."""
        held = self.resting.get(ident)
        if held is None:
            return
        held[2] -= qty
        if held[2] <= 0:
            held[2] += qty
            self.done(ident, stamp)
        else:
            side, price, left = held
            self.tell("orders", encode_exchange(self._order(Kind.MODIFY, ident, side, price, left, stamp)))

    def done(self, ident: int, stamp: int) -> None:
        """An order rests no longer."""
        held = self.resting.pop(ident, None)
        if held is not None:
            side, price, qty = held
            self.tell("orders", encode_exchange(self._order(Kind.DELETE, ident, side, price, max(0, qty), stamp)))


class ExchangeBooks:
    """All products of a desk whose market publishes order by order.

    Parameters
    ----------
    desk : Desk

    Attributes
    ----------
    products : dict of str to Product
        By symbol; empty until the market has published for the first time.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.products: dict[str, Product] = {}
        self._by_number: dict[int, Product] = {}
        self._batching = False
        desk.market.publish_orders(desk.exchange_number)
        desk.watch(None, self._rows)

    def product(self, symbol: str) -> Product | None:
        """A product, up to what has happened now; None if there is none of that name."""
        self.desk.market.publish()
        if not self.products:
            self._begin()
        return self.products.get(symbol)

    def _begin(self) -> None:
        """Take the orders that rest already, when everything that is published has been handed over."""
        book, orders = self.desk.exchange.book, self.desk.exchange.regions["orders"].view
        for listing in self.desk.instruments:
            product = Product(listing, 0)
            for side in (BUY, SELL):
                for price in (int(row[0]) for row in book.depth(listing.number, side, 1 << 20)):
                    slot = book.level_head(listing.number, side, price)
                    while slot >= 0:
                        product.resting[int(orders[slot]["ref"])] = [side, price, book.order_qty(slot)]
                        slot = book.next_order(slot)
            self.products[listing.symbol] = self._by_number[listing.number] = product

    def book(self, product: Product, level: int) -> dict[str, list[list[Any]]]:
        """Bids and asks, best first: the best (1), all levels with their number of orders (2), or all orders (3)."""
        item = product.listing
        found: dict[str, list[list[Any]]] = {}
        for name, side in (("bids", BUY), ("asks", SELL)):
            queues: dict[int, list[tuple[int, int]]] = {}
            for ident, (where, price, qty) in product.resting.items():
                if where == side:
                    queues.setdefault(price, []).append((qty, ident))
            prices = sorted(queues, reverse=side == BUY)
            if level == 3:
                found[name] = [[item.price_text(p), item.qty_text(q), str(n)] for p in prices for q, n in queues[p]]
            else:
                found[name] = [
                    [item.price_text(p), item.qty_text(sum(q for q, _ in queues[p])), len(queues[p])]
                    for p in prices[: 1 if level == 1 else None]
                ]
        return found

    # --- what the market publishes ------------------------------------------------------------------------------------

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        if not self.products:
            self._begin()  # holds these rows already
            return
        levels: dict[int, dict[tuple[int, int], int]] = {}
        columns = [rows[name].tolist() for name in _COLUMNS]
        for kind, number, side, price, qty, ident, word, stamp, flags in zip(*columns, strict=True):
            product = self._by_number.get(number)
            if product is None:
                continue
            if kind == _LEVEL:
                levels.setdefault(number, {})[side, price] = qty
            elif kind == _ADD:
                product.add(ident, side, price, qty, stamp)
            elif kind == _EXECUTE:
                product.match(ident, side, price, qty, word, stamp)
            elif kind == _TRADE and flags & _HIDDEN:
                product.match(0, -side, price, qty, ident, stamp)
            elif kind == _REDUCE:
                product.reduce(ident, qty, stamp)
            elif kind == _DELETE:
                product.done(ident, stamp)
            elif kind == _REPLACE:
                held = product.resting.get(ident)
                product.done(ident, stamp)
                if held is not None:
                    product.add(word, held[0], price, qty, stamp)
        now = self.desk.host.now()
        for number, changed in levels.items():
            product = self._by_number[number]
            if product.heard["depth"]:
                product.tell("depth", product.levels(changed, now))
            if product.heard["depth_batch"]:
                product.changed |= changed
                self._batch()

    def _batch(self) -> None:
        if not self._batching:
            self._batching = True
            self.desk.host.at(self.desk.host.now() + _BATCH_NS, self._tell_batch)

    def _tell_batch(self) -> None:
        self._batching = False
        now = self.desk.host.now()
        for product in self.products.values():
            if product.changed:
                product.tell("depth_batch", product.levels(product.changed, now))
                product.changed = {}
