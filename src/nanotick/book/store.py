"""The books of all instruments of one side of a run, laid into an arena, and their Python face.

    arena = Arena(BookStore.reserve(instruments=2))
    books = BookStore(arena, "book.local", 2, tick_sizes=[1, 5])
    books.order_add(0, ident=7, side=1, price=100, qty=10, ts=0)
    books.best_price(0, 1)

Kernels take `books.address` and the functions of `nanotick.book` by the same names. Capacities are limits, not memory:
pages of the arena are committed when first written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import order_index, queue_position, records
from nanotick.book.calls import Ask, Change, book_ask, book_change, book_depth
from nanotick.book.check import Invariant
from nanotick.book.ladder import set_unit
from nanotick.book.radix import IDLE_MIN
from nanotick.book.records import BookChange
from nanotick.core.arena import HUGE_PAGE, Arena, Region
from nanotick.core.kernel import python_body

_FIRST_HASH_BITS = 10
_MAX_LEVELS_LIMIT = (1 << 25) - 1  # cells are numbered in 31 bits
_MAX_ORDERS_LIMIT = (1 << 31) - 2


class BookInvariantError(Exception):
    """A book is not what it must be: the program, not the data, is wrong."""


def _pool_sizes(instruments: int, max_orders: int, max_levels: int) -> dict[str, tuple[np.dtype[Any], int]]:
    """Layout and capacity of each region of a store, slot 0 included."""
    leaves = min(max_levels + IDLE_MIN, _MAX_LEVELS_LIMIT) + 1
    pages = max(256, max_orders // 64) + 1
    order_bits = max(_FIRST_HASH_BITS, (2 * max_orders - 1).bit_length())
    page_bits = (2 * pages - 1).bit_length()
    return {
        "store": (records.STORE, 1),
        "books": (records.BOOK, instruments),
        "sides": (records.SIDE, 2 * instruments),
        "nodes": (records.NODE, leaves),
        "leaves": (records.LEAF, leaves),
        "cells": (records.CELLS, leaves),
        "links": (records.LINK, leaves),
        "orders": (records.ORDER, max_orders + 1),
        "places": (np.dtype("<i4"), max_orders + 1),
        "queues": (queue_position.QUEUE, max(1024, max_levels // 8) + 1),
        "fenwick": (queue_position.FENWICK, 4 * max_orders + 65_536),
        "index": (order_index.INDEX, 1),
        "id_table": (order_index.TABLE, 1),
        "id_entries": (order_index.ENTRY, 1 << order_bits),
        "id_scratch": (order_index.ENTRY, (1 << order_bits) // 4 + 1),
        "page_table": (order_index.TABLE, 1),
        "page_entries": (order_index.ENTRY, 1 << page_bits),
        "page_scratch": (order_index.ENTRY, (1 << page_bits) // 4 + 1),
        "pages": (order_index.PAGE, pages),
        "page_slots": (order_index.PAGE_SLOTS, pages),
        "trials": (order_index.TRIAL, order_index.TRIALS),
        "directory": (np.dtype("<i4"), order_index.DIRECTORY),
        "hashed": (np.dtype("<i4"), 1 << order_index.HASHED_BITS),
    }


class BookStore:
    """Books of `instruments` instruments, numbered from 0.

    Parameters
    ----------
    arena : Arena
    name : str
        Prefix of the regions, for example `book.local`.
    instruments : int
    tick_sizes : int or sequence of int
        Smallest price step of each instrument, in price units. A hint: other prices are legal, see `grid`.
    max_orders, max_levels : int
        How many orders and levels may rest at once, all books together.
    max_depth : int or sequence of int
        Levels a side keeps of price-level news, 0 for all.
    expected_orders : int
        Orders outside id pages for which the hash table is laid out at once, so that it does not grow during a run.

    Raises
    ------
    ValueError
        A size or tick is out of range.
    """

    def __init__(
        self,
        arena: Arena,
        name: str,
        instruments: int,
        tick_sizes: int | Sequence[int] = 1,
        *,
        max_orders: int = 1 << 20,
        max_levels: int = 1 << 18,
        max_depth: int | Sequence[int] = 0,
        expected_orders: int = 0,
    ) -> None:
        where = f"book store {name!r}"
        if not 0 < instruments < 1 << 30:
            raise ValueError(f"{where}: expected 1 to 2^30 - 1 instruments, found {instruments}")
        if not 0 < max_orders <= _MAX_ORDERS_LIMIT or not 0 < max_levels <= _MAX_LEVELS_LIMIT:
            raise ValueError(
                f"{where}: expected max_orders up to {_MAX_ORDERS_LIMIT} and max_levels up to {_MAX_LEVELS_LIMIT}, "
                f"found {max_orders} and {max_levels}"
            )
        ticks = [tick_sizes] * instruments if isinstance(tick_sizes, int) else [int(t) for t in tick_sizes]
        depths = [max_depth] * instruments if isinstance(max_depth, int) else [int(d) for d in max_depth]
        if len(ticks) != instruments or len(depths) != instruments:
            raise ValueError(
                f"{where}: expected {instruments} tick sizes and depths, found {len(ticks)}, {len(depths)}"
            )
        for number, tick in enumerate(ticks):
            if not 0 < tick <= records.MAX_PRICE or depths[number] < 0:
                raise ValueError(f"{where}: instrument {number}: tick {tick} or depth {depths[number]} is out of range")
        self.name = name
        self.instruments = instruments
        sizes = _pool_sizes(instruments, max_orders, max_levels)
        self._lay(arena, sizes)
        self._link(sizes, expected_orders)
        unit_of = python_body(set_unit)
        sides, books = self.regions["sides"], self.regions["books"]
        sides.view["best"] = records.EMPTY_RANK
        known: dict[int, np.void] = {}
        for number, tick in enumerate(ticks):
            row = books.view[number]
            if tick not in known:
                unit_of(books.address + number * records.BOOK.itemsize, tick)
                known[tick] = row.copy()
            else:
                books.view[number] = known[tick]
            books.view[number]["max_depth"] = depths[number]

    def _lay(self, arena: Arena, sizes: dict[str, tuple[np.dtype[Any], int]]) -> None:
        self.regions: dict[str, Region] = {}

        def lay(part: str, counter: tuple[str, str] | None = None) -> None:
            dtype, count = sizes[part]
            address = 0
            if counter is not None:
                holder = self.regions[counter[0]]
                assert holder.dtype.fields is not None
                address = holder.address + holder.dtype.fields[counter[1]][1]
            transient = part.endswith("_scratch")
            self.regions[part] = arena.region(f"{self.name}.{part}", dtype, count, address, transient)

        for part in ("store", "index", "id_table", "page_table", "trials", "directory", "hashed", "books", "sides"):
            lay(part)
        for part in ("leaves", "cells", "links"):
            lay(part, ("store", "leaf_next"))
        lay("nodes", ("store", "node_next"))
        lay("orders", ("store", "order_next"))
        lay("places", ("store", "order_next"))
        lay("queues", ("store", "queue_next"))
        lay("fenwick", ("store", "fenwick_next"))
        lay("pages", ("index", "page_next"))
        lay("page_slots", ("index", "page_next"))
        lay("id_entries", ("id_table", "size"))
        lay("page_entries", ("page_table", "size"))
        lay("id_scratch")
        lay("page_scratch")
        self.address = self.regions["store"].address

    def _link(self, sizes: dict[str, tuple[np.dtype[Any], int]], expected_orders: int) -> None:
        root = self.regions["store"].view
        for part in ("books", "sides", "nodes", "leaves", "cells", "links", "orders", "places", "queues", "fenwick"):
            root[f"{part}_address"] = self.regions[part].address
        root["index_address"] = self.regions["index"].address
        root["instruments"] = self.instruments
        for pool, part in (("node", "nodes"), ("leaf", "leaves"), ("order", "orders"), ("queue", "queues")):
            root[f"{pool}_next"] = 1
            root[f"{pool}_capacity"] = sizes[part][1]
        root["fenwick_next"] = 1
        root["fenwick_capacity"] = sizes["fenwick"][1]
        index = self.regions["index"].view
        index["orders_address"] = self.regions["id_table"].address
        index["numbers_address"] = self.regions["page_table"].address
        index["pages_address"] = self.regions["pages"].address
        index["slots_address"] = self.regions["page_slots"].address
        index["trials_address"] = self.regions["trials"].address
        index["directory_address"] = self.regions["directory"].address
        index["page_next"] = 1
        index["page_capacity"] = sizes["pages"][1]
        index["hashed_address"] = self.regions["hashed"].address
        self.regions["pages"].view[0]["number"] = order_index.NO_PAGE
        self.regions["pages"].view[0]["spilled"] = 1  # page 0 stands for "no page": look in the hash table
        for part, first in (("id", max(_FIRST_HASH_BITS, (2 * expected_orders).bit_length())), ("page", 7)):
            table = self.regions[f"{part}_table"].view
            limit = sizes[f"{part}_entries"][1].bit_length() - 1
            table["entries_address"] = self.regions[f"{part}_entries"].address
            table["scratch_address"] = self.regions[f"{part}_scratch"].address
            table["bits"] = min(first, limit)
            table["size"] = 1 << min(first, limit)
            table["max_bits"] = limit

    def prefault(self, orders: int, levels: int) -> None:
        """Commit the memory for so many resting orders and levels now, so that no page fault falls into the session."""
        leaves = min(levels, len(self.regions["leaves"].view))
        wanted = {"orders": orders, "pages": orders // 512, "page_slots": orders // 512}
        for part, region in self.regions.items():
            if (
                part in ("store", "index", "id_table", "page_table", "books", "sides", "trials", "directory", "hashed")
                or "scratch" in part
            ):
                continue
            used = int(self._used(region))
            count = wanted.get(part, leaves if part in ("leaves", "cells", "links", "nodes") else 0)
            rest = region.view[used : min(max(used, count), region.count)]
            rest.view(np.uint8)[...] = 0

    @staticmethod
    def reserve(instruments: int, max_orders: int = 1 << 20, max_levels: int = 1 << 18) -> int:
        """Bytes of address space an arena must have left for such a store."""
        sizes = _pool_sizes(instruments, max_orders, max_levels)
        return sum(dtype.itemsize * count + HUGE_PAGE for dtype, count in sizes.values()) + (1 << 20)

    def used_bytes(self) -> int:
        """Bytes of the pools that are in use or were: what the store's memory has grown to."""
        return sum(r.dtype.itemsize * int(self._used(r)) for part, r in self.regions.items() if "scratch" not in part)

    def _used(self, region: Region) -> int:
        if not region.counter:
            return region.count
        base = region.address - region.offset
        for holder in ("store", "index", "id_table", "page_table"):
            owner = self.regions[holder]
            inside = base + region.counter - owner.address
            if 0 <= inside < owner.dtype.itemsize:
                return int(owner.view.view("<i8")[inside // 8])
        raise AssertionError(region.name)

    def _ask(self, what: Ask, instrument: int, side: int = 0, x: int = 0) -> int:
        if not 0 <= instrument < self.instruments:
            raise IndexError(f"book store {self.name!r}: no instrument {instrument}, there are {self.instruments}")
        return int(book_ask(self.address, int(what), instrument, side, x))

    def _change(self, verb: Change, instrument: int, *arguments: int) -> BookChange:
        padded = [int(a) for a in arguments] + [0] * (5 - len(arguments))
        return BookChange(int(book_change(self.address, int(verb), instrument, *padded)))

    # --- reading ----------------------------------------------------------------------------------------------------

    def best_price(self, instrument: int, side: int) -> int:
        """Best price; `EMPTY_BID` or `EMPTY_ASK` when nothing rests."""
        return self._ask(Ask.BEST_PRICE, instrument, side)

    def best_qty(self, instrument: int, side: int) -> int:
        """Quantity at the best price."""
        return self._ask(Ask.BEST_QTY, instrument, side)

    def level_qty(self, instrument: int, side: int, price: int) -> int:
        """Quantity at a price."""
        return self._ask(Ask.LEVEL_QTY, instrument, side, price)

    def level_orders(self, instrument: int, side: int, price: int) -> int:
        """Number of orders at a price."""
        return self._ask(Ask.LEVEL_ORDERS, instrument, side, price)

    def level_head(self, instrument: int, side: int, price: int) -> int:
        """Slot of the first order of a level, or -1."""
        return self._ask(Ask.LEVEL_HEAD, instrument, side, price)

    def next_price(self, instrument: int, side: int, price: int) -> int:
        """Next occupied level strictly worse than a price."""
        return self._ask(Ask.NEXT_PRICE, instrument, side, price)

    def depth_price(self, instrument: int, side: int, n: int) -> int:
        """Price of the n-th best level, 0 the best."""
        return self._ask(Ask.DEPTH_PRICE, instrument, side, n)

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        """Quantity of the n-th best level, 0 the best."""
        return self._ask(Ask.DEPTH_QTY, instrument, side, n)

    def side_levels(self, instrument: int, side: int) -> int:
        """Number of occupied levels."""
        return self._ask(Ask.SIDE_LEVELS, instrument, side)

    def side_orders(self, instrument: int, side: int) -> int:
        """Number of orders known one by one."""
        return self._ask(Ask.SIDE_ORDERS, instrument, side)

    def order_find(self, instrument: int, ident: int) -> int:
        """Slot of an order, or -1."""
        return self._ask(Ask.ORDER_FIND, instrument, 0, ident)

    def order_qty(self, slot: int) -> int:
        """Resting quantity of a slot."""
        return self._ask(Ask.ORDER_QTY, 0, 0, slot)

    def order_price(self, slot: int) -> int:
        """Price of a slot."""
        return self._ask(Ask.ORDER_PRICE, 0, 0, slot)

    def order_side(self, slot: int) -> int:
        """Side of a slot."""
        return self._ask(Ask.ORDER_SIDE, 0, 0, slot)

    def order_id(self, slot: int) -> int:
        """Id of a slot."""
        return self._ask(Ask.ORDER_ID, 0, 0, slot)

    def next_order(self, slot: int) -> int:
        """Slot behind a slot, or -1."""
        return self._ask(Ask.NEXT_ORDER, 0, 0, slot)

    def queue_orders_ahead(self, slot: int) -> int:
        """Orders ahead of a resting order."""
        return self._ask(Ask.ORDERS_AHEAD, 0, 0, slot)

    def queue_qty_ahead(self, slot: int) -> int:
        """Quantity ahead of a resting order."""
        return self._ask(Ask.QTY_AHEAD, 0, 0, slot)

    def depth(self, instrument: int, side: int, n: int) -> npt.NDArray[Any]:
        """The n best levels (fewer when there are fewer), best first, as rows of `DEPTH_ROW`."""
        rows = np.zeros(max(0, min(n, self.side_levels(instrument, side))), dtype=records.DEPTH_ROW)
        count = int(book_depth(self.address, instrument, side, len(rows), rows.ctypes.data))
        return rows[:count]

    def check(self, instrument: int) -> None:
        """Check every invariant of a book.

        Raises
        ------
        BookInvariantError
            Naming the first that does not hold.
        """
        broken = self._ask(Ask.CHECK, instrument)
        if broken:
            name = Invariant(broken).name.lower().replace("_", " ")
            raise BookInvariantError(f"book store {self.name!r}, instrument {instrument}: broken invariant: {name}")

    # --- changing ---------------------------------------------------------------------------------------------------

    def level_set(self, instrument: int, side: int, price: int, qty: int, orders: int = 0, ts: int = 0) -> BookChange:
        """Total quantity at a price."""
        return self._change(Change.LEVEL_SET, instrument, side, price, qty, orders, ts)

    def level_add(self, instrument: int, side: int, price: int, qty: int, orders: int = 0, ts: int = 0) -> BookChange:
        """Change of quantity at a price."""
        return self._change(Change.LEVEL_ADD, instrument, side, price, qty, orders, ts)

    def quote_set(self, instrument: int, bid: int, bid_qty: int, ask: int, ask_qty: int, ts: int = 0) -> BookChange:
        """Best bid and offer."""
        return self._change(Change.QUOTE_SET, instrument, bid, bid_qty, ask, ask_qty, ts)

    def clear(self, instrument: int, side: int = 0) -> BookChange:
        """Empty a book or one side of it."""
        return self._change(Change.CLEAR, instrument, side)

    def truncate(self, instrument: int, side: int, depth: int) -> BookChange:
        """Keep the best levels only."""
        return self._change(Change.TRUNCATE, instrument, side, depth)

    def order_add(self, instrument: int, ident: int, side: int, price: int, qty: int, ts: int = 0) -> BookChange:
        """A new order at the back of its queue."""
        return self._change(Change.ORDER_ADD, instrument, ident, side, price, qty, ts)

    def order_reduce(self, instrument: int, ident: int, qty: int, ts: int = 0) -> BookChange:
        """Quantity off an order (a partial cancel or an execution)."""
        return self._change(Change.ORDER_REDUCE, instrument, ident, qty, ts)

    def order_delete(self, instrument: int, ident: int, ts: int = 0) -> BookChange:
        """An order leaves."""
        return self._change(Change.ORDER_DELETE, instrument, ident, ts)

    def order_modify(self, instrument: int, ident: int, price: int, qty: int, ts: int = 0) -> BookChange:
        """New price and total quantity."""
        return self._change(Change.ORDER_MODIFY, instrument, ident, price, qty, ts)

    def order_replace(self, instrument: int, old: int, new: int, price: int, qty: int) -> BookChange:
        """An order leaves and a new id joins."""
        return self._change(Change.ORDER_REPLACE, instrument, old, new, price, qty)
