"""From (instrument, order id) to order slot: pages where ids come nearly in sequence, a hash table for the rest.

A *page* holds the slots of 4,096 consecutive ids, 4 bytes each. Exchange references rise by small steps, so a page
costs a few bytes an order and finding a slot costs two predictable loads. A page is made when its predecessor has one
that is well filled, or when the hash table has taken `PAGE_TRIAL` ids of its range; once later pages exist and few of
its orders still rest (`PAGE_KEEP`), they move to the hash table and the page is free again: stragglers of a long day
cost 32 bytes, not a page each.

The *hash table* is open addressing with linear probing under a multiplicative (Fibonacci) hash of both keys, at most
half full, with backward-shift deletion, so there are no tombstones and no rehash in steady state. It doubles in place
(see `_grow`); reserve it large at the start and it never does. Low bits of the id alone never choose a place: on real
days they repeat and linear probing over them collapses.

Order id spaces of different venues may overlap: a page's entry belongs to whichever came first, the other is hashed.
"""

from __future__ import annotations

import numpy as np

from nanotick.book.records import order_at, store_at
from nanotick.core.kernel import called, inlined, kernel
from nanotick.core.memory import clear_bytes, copy_bytes, load_i32, mul_wrap, record_at, shift_right, store_i32

FIBONACCI = -7046029254386353131  # 2^64 / golden ratio, as a signed integer
SECOND = -4417276706812531889  # an odd constant to fold the instrument in
PAGE_BITS = 12
PAGE_IDS = 1 << PAGE_BITS
PAGE_TRIAL = 32  # hashed ids of a range that earn it a page
PAGE_DENSE = 256  # ids a page must have seen for its successor to be made at once
PAGE_KEEP = 16  # orders left in a passed page at which they move to the hash table
PAGE_PASSED = 4  # pages made since, and its successor too: the stream of ids has gone past
TRIALS = 64
DIRECTORY = 1 << 16  # places; wrong only where pages 268 million ids apart are both in use
NO_PAGE = 1 << 62  # page number of a free page: no id has it
HASHED_BITS = 12  # binary logarithm of the classes of page numbers by which hashed ids are counted

ENTRY = np.dtype([("id", "<i8"), ("value", "<i4"), ("key", "<i4")])  # value 0: the place is free
TABLE = np.dtype(
    [
        ("entries_address", "<i8"),
        ("scratch_address", "<i8"),
        ("bits", "<i8"),  # binary logarithm of the size in use
        ("size", "<i8"),
        ("count", "<i8"),
        ("max_bits", "<i8"),
    ]
)
PAGE = np.dtype(
    [
        ("number", "<i8"),  # id >> PAGE_BITS, NO_PAGE when free
        ("live", "<i4"),  # orders whose slot is here
        ("seen", "<i4"),  # ids that ever came
        ("spilled", "<i4"),  # 1: an id of this range may be in the hash table
        ("born", "<i4"),  # pages made before it; the free list
    ]
)
PAGE_SLOTS = np.dtype([("slots", "<i4", (PAGE_IDS,))])
TRIAL = np.dtype([("number", "<i8"), ("count", "<i8")])
INDEX = np.dtype(
    [
        ("orders_address", "<i8"),  # TABLE of orders: (id, instrument) -> slot
        ("numbers_address", "<i8"),  # TABLE of pages: (page number, 0) -> page
        ("pages_address", "<i8"),
        ("slots_address", "<i8"),
        ("directory_address", "<i8"),  # i4: latest page by the low bits of its number
        ("trials_address", "<i8"),
        ("page_next", "<i8"),
        ("page_free", "<i8"),
        ("page_capacity", "<i8"),
        ("pages_made", "<i8"),
        ("hashed_address", "<i8"),  # i4: ids in the hash table by class of their page number
    ]
)
entry_at = record_at(ENTRY, "IndexEntry")
table_at = record_at(TABLE, "IndexTable")
page_at = record_at(PAGE, "IdPage")
trial_at = record_at(TRIAL, "PageTrial")
index_at = record_at(INDEX, "OrderIndex")


# --- hash table -----------------------------------------------------------------------------------------------------


@inlined
def _home(bits: int, ident: int, key: int) -> int:
    return shift_right(mul_wrap(ident ^ mul_wrap(key, SECOND), FIBONACCI), 64 - bits)


@inlined
def table_find(table_address: int, ident: int, key: int) -> int:
    """Place of a pair of keys, or -1."""
    table = table_at(table_address)
    mask = table.size - 1
    place = _home(table.bits, ident, key)
    while True:
        entry = entry_at(table.entries_address, place)
        if entry.value == 0:
            return -1
        if entry.id == ident and entry.key == key:
            return place
        place = (place + 1) & mask


@kernel
def _put(table_address: int, ident: int, key: int, value: int) -> None:
    table = table_at(table_address)
    mask = table.size - 1
    place = _home(table.bits, ident, key)
    while entry_at(table.entries_address, place).value != 0:
        place = (place + 1) & mask
    entry = entry_at(table.entries_address, place)
    entry.id = ident
    entry.key = key
    entry.value = value


@called
def _grow(table_address: int) -> None:
    """Double the table: its entries go aside, the doubled area is cleared, they come back."""
    table = table_at(table_address)
    kept = 0
    for i in range(table.size):
        if entry_at(table.entries_address, i).value != 0:
            copy_bytes(table.scratch_address + kept * 16, table.entries_address + i * 16, 16)
            kept += 1
    clear_bytes(table.entries_address, table.size * 16)
    table.bits += 1
    table.size = table.size * 2
    for i in range(kept):
        entry = entry_at(table.scratch_address, i)
        _put(table_address, entry.id, entry.key, entry.value)


@kernel
def table_insert(table_address: int, ident: int, key: int, value: int) -> bool:
    """Insert keys known to be absent; False when the table is at its limit."""
    table = table_at(table_address)
    if table.count * 2 >= table.size:
        if table.bits >= table.max_bits:
            return False
        _grow(table_address)
    _put(table_address, ident, key, value)
    table.count += 1
    return True


@kernel
def table_remove(table_address: int, place: int) -> None:
    """Remove the entry at a place and close the gap by shifting later entries back."""
    table = table_at(table_address)
    mask = table.size - 1
    hole = place
    scan = place
    while True:
        scan = (scan + 1) & mask
        entry = entry_at(table.entries_address, scan)
        if entry.value == 0:
            break
        home = _home(table.bits, entry.id, entry.key)
        if ((scan - home) & mask) >= ((scan - hole) & mask):
            copy_bytes(table.entries_address + hole * 16, table.entries_address + scan * 16, 16)
            hole = scan
    clear_bytes(table.entries_address + hole * 16, 16)
    table.count -= 1


# --- pages ----------------------------------------------------------------------------------------------------------


@kernel
def find_page(index: int, number: int) -> int:
    """Page of a page number, or 0."""
    root = index_at(index)
    place = table_find(root.numbers_address, number, 0)
    if place < 0:
        return 0
    return entry_at(table_at(root.numbers_address).entries_address, place).value


@kernel
def _hashed_class(index: int, number: int) -> int:
    """Address of the count of hashed ids of all pages that share this page's class: 0 says that it has none."""
    return index_at(index).hashed_address + (shift_right(mul_wrap(number, FIBONACCI), 64 - HASHED_BITS) << 2)


@kernel
def _hash_order(index: int, ident: int, instrument: int, slot: int) -> bool:
    root = index_at(index)
    if not table_insert(root.orders_address, ident, instrument, slot):
        return False
    place = _hashed_class(index, ident >> PAGE_BITS)
    store_i32(place, load_i32(place) + 1)
    return True


@called
def _make_page(index: int, number: int) -> int:
    root = index_at(index)
    page = root.page_free
    if page != 0:
        root.page_free = page_at(root.pages_address, page).born
    elif root.page_next < root.page_capacity:
        page = root.page_next
        root.page_next = page + 1
    else:
        return 0
    if not table_insert(root.numbers_address, number, 0, page):
        page_at(root.pages_address, page).born = root.page_free
        root.page_free = page
        return 0
    record = page_at(root.pages_address, page)
    store_i32(root.directory_address + ((number & (DIRECTORY - 1)) << 2), page)
    record.number = number
    record.live = 0
    record.seen = 0
    record.spilled = 0
    if load_i32(_hashed_class(index, number)) != 0:
        record.spilled = 1
    record.born = root.pages_made & 0x7FFFFFFF
    root.pages_made += 1
    return page


@called
def _page_wanted(index: int, number: int) -> int:
    """Page for a number that has none yet, if it has earned one, else 0."""
    root = index_at(index)
    before = find_page(index, number - 1)
    if before != 0 and page_at(root.pages_address, before).seen >= PAGE_DENSE:
        return _make_page(index, number)
    trial = trial_at(root.trials_address, shift_right(mul_wrap(number, FIBONACCI), 58))
    if trial.number != number:
        trial.number = number
        trial.count = 0
    trial.count += 1
    if trial.count < PAGE_TRIAL:
        return 0
    trial.count = 0
    return _make_page(index, number)


@called
def _retire_page(store: int, page: int) -> None:
    """Move a passed page's last orders to the hash table and free it."""
    index = store_at(store).index_address
    root = index_at(index)
    record = page_at(root.pages_address, page)
    base = root.slots_address + (page << PAGE_BITS) * 4
    first = record.number << PAGE_BITS
    left = record.live
    for i in range(PAGE_IDS):
        if left == 0:
            break
        slot = load_i32(base + i * 4)
        if slot != 0:
            order = order_at(store_at(store).orders_address, slot)
            if not _hash_order(index, first + i, order.owner >> 1, slot):
                return  # the table is full: the page stays, with fewer orders
            store_i32(base + i * 4, 0)
            record.live -= 1
            record.spilled = 1
            left -= 1
    table_remove(root.numbers_address, table_find(root.numbers_address, record.number, 0))
    directory = root.directory_address + ((record.number & (DIRECTORY - 1)) << 2)
    if load_i32(directory) == page:
        store_i32(directory, 0)
    record.number = NO_PAGE
    record.live = 0
    record.seen = 0
    record.spilled = 0
    record.born = root.page_free
    root.page_free = page


# --- what the book uses ---------------------------------------------------------------------------------------------


@inlined
def page_of(index: int, entry: int) -> int:
    """Page in which an id's place lies."""
    return (entry - index_at(index).slots_address) >> (PAGE_BITS + 2)


@inlined
def likely_entry(store: int, ident: int) -> int:
    """Address of an id's 4-byte place in its page, if the directory is right about the page; readable in any case."""
    root = index_at(store_at(store).index_address)
    number = ident >> PAGE_BITS
    page = load_i32(root.directory_address + ((number & (DIRECTORY - 1)) << 2))
    return root.slots_address + (((page << PAGE_BITS) + (ident & (PAGE_IDS - 1))) << 2)


@inlined
def sure_entry(store: int, ident: int, entry: int) -> int:
    """The address in any case: `entry` if it is right, else looked up; in page 0, which stays empty, for no page."""
    index = store_at(store).index_address
    root = index_at(index)
    if page_at(root.pages_address, page_of(index, entry)).number == ident >> PAGE_BITS:
        return entry
    return _looked_up_entry(store, ident)


@called
def _looked_up_entry(store: int, ident: int) -> int:
    index = store_at(store).index_address
    page = find_page(index, ident >> PAGE_BITS)
    return index_at(index).slots_address + (((page << PAGE_BITS) + (ident & (PAGE_IDS - 1))) << 2)


@inlined
def id_entry(store: int, ident: int) -> int:
    """Address of an id's place; good until the next id is indexed or forgotten."""
    return sure_entry(store, ident, likely_entry(store, ident))


@called
def find_hashed(store: int, instrument: int, ident: int) -> int:
    """Slot of an order that may be in the hash table, or 0."""
    table = index_at(store_at(store).index_address).orders_address
    if table_at(table).count == 0:
        return 0
    place = table_find(table, ident, instrument)
    if place < 0:
        return 0
    return entry_at(table_at(table).entries_address, place).value


@inlined
def index_find(store: int, instrument: int, ident: int, entry: int) -> int:
    """Slot of an order, or 0; `entry` is the id's `id_entry`."""
    root = store_at(store)
    slot = load_i32(entry)
    if slot != 0 and order_at(root.orders_address, slot).owner >> 1 == instrument:
        return slot
    index = root.index_address
    if page_at(index_at(index).pages_address, page_of(index, entry)).spilled == 0:  # page 0 has always spilled
        return 0
    return find_hashed(store, instrument, ident)


@called
def _insert_hashed(store: int, instrument: int, ident: int, slot: int, entry: int) -> bool:
    index = store_at(store).index_address
    root = index_at(index)
    page = page_of(index, entry)
    if page == 0:
        page = _page_wanted(index, ident >> PAGE_BITS)
        if page == 0:
            return _hash_order(index, ident, instrument, slot)
        store_i32(id_entry(store, ident), slot)
        record = page_at(root.pages_address, page)
        record.live = 1
        record.seen = 1
        return True
    page_at(root.pages_address, page).spilled = 1
    return _hash_order(index, ident, instrument, slot)


@inlined
def index_insert(store: int, instrument: int, ident: int, slot: int, entry: int) -> bool:
    """Index a slot under an id known to be absent; False when the table is exhausted."""
    index = store_at(store).index_address
    page = page_of(index, entry)
    if page == 0 or load_i32(entry) != 0:
        return _insert_hashed(store, instrument, ident, slot, entry)
    store_i32(entry, slot)
    record = page_at(index_at(index).pages_address, page)
    record.live += 1
    record.seen += 1
    return True


@called
def _remove_hashed(store: int, instrument: int, ident: int) -> None:
    index = store_at(store).index_address
    root = index_at(index)
    place = table_find(root.orders_address, ident, instrument)
    if place >= 0:
        table_remove(root.orders_address, place)
        place = _hashed_class(index, ident >> PAGE_BITS)
        store_i32(place, load_i32(place) - 1)


@inlined
def index_remove(store: int, instrument: int, ident: int, slot: int, entry: int) -> None:
    """Forget an id known to be indexed."""
    if load_i32(entry) != slot:
        _remove_hashed(store, instrument, ident)
        return
    store_i32(entry, 0)
    index = store_at(store).index_address
    root = index_at(index)
    page = page_of(index, entry)
    record = page_at(root.pages_address, page)
    record.live -= 1
    if record.live <= PAGE_KEEP and root.pages_made - record.born >= PAGE_PASSED:
        if find_page(index, record.number + 1) != 0:  # else other streams of ids have, and this one is still here
            _retire_page(store, page)
