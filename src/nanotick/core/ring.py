"""Rings of 64-byte records in shared memory: one producer and one consumer (SPSC), or many of each (MPMC).

    arena = Arena(1 << 20)                      # or Arena(size, path) under /dev/shm: between processes
    ring = Ring.create(arena, "feed", 4096)     # the other process: Ring.attach(Arena.open(path), "feed")
    spsc_push(ring.address, record)             # kernels, from any thread without the interpreter's lock
    spsc_pop(ring.address, out)

    header   0    what never changes: capacity mask, where the slots are, kind
             64   producer's line: records ever pushed, pushes refused
             128  consumer's line: records ever popped
    slots    SPSC 64 bytes each: a record. MPMC 128: a record, then its turn on a line of its own

In the SPSC ring the slots themselves say who may use them (FastForward: Giacomoni, Moseley and Vachharajani, PPoPP
2008). A record's last eight bytes are never zero, since `kind` is among them and never is, so zero there means empty.
The producer stores them last, with release; the consumer waits on them and stores zero when it is done. Neither side
reads the other's counter, so a hand-over moves one cache line where a ring of head and tail moves two. The MPMC ring
is Vyukov's bounded queue (2011): a slot's turn says whose it is, producers and consumers claim by compare-and-exchange.

Nothing is ever overwritten: a push into a full ring is refused and counted. A process that dies between claiming and
publishing an MPMC slot holds that slot, and the ring stops there: give each producer an SPSC ring where that matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena, Region
from nanotick.core.kernel import kernel
from nanotick.core.memory import (
    clear_bytes,
    compare_exchange,
    fetch_add,
    load_acquire,
    load_i64,
    record_at,
    store_i64,
    store_release,
)
from nanotick.core.records import EVENT, RECORD_SIZE

SPSC = 1
MPMC = 2
MPMC_SLOT_SIZE = 128

RING = np.dtype(
    [
        ("mask", "<i8"),  # capacity - 1, capacity a power of two
        ("slots_offset", "<i8"),  # bytes from the header to the first slot: the same in every process
        ("kind", "<i8"),  # SPSC or MPMC
        ("fixed_pad", "<i8", (5,)),
        ("tail", "<i8"),  # records ever pushed
        ("refused", "<i8"),  # pushes into a full ring
        ("producer_pad", "<i8", (6,)),
        ("head", "<i8"),  # records ever popped
        ("consumer_pad", "<i8", (7,)),
    ]
)
assert RING.itemsize == 192
ring_at = record_at(RING, "Ring")
_TAIL, _HEAD, _REFUSED = (int(RING.fields[name][1]) for name in ("tail", "head", "refused"))  # type: ignore[index]
_TURN = RECORD_SIZE  # offset of an MPMC slot's turn
_LAST = RECORD_SIZE - 8  # offset of the word that is zero in an empty SPSC slot


@kernel
def _copy_record(target: int, source: int) -> None:
    for k in range(8):
        store_i64(target + 8 * k, load_i64(source + 8 * k))


@kernel
def spsc_claim(ring_address: int) -> int:
    """Address of the slot to write next, or 0 when the ring is full. One producer.

    Write the first 56 bytes there and finish with `spsc_publish`, which writes the last eight.
    """
    ring = ring_at(ring_address)
    slot = ring_address + ring.slots_offset + (ring.tail & ring.mask) * RECORD_SIZE
    if load_acquire(slot + _LAST) != 0:
        ring.refused += 1
        return 0
    return slot


@kernel
def spsc_publish(ring_address: int, slot: int, last_word: int) -> None:
    """Hand the claimed slot to the consumer; `last_word` (instrument, venue, kind, side, flags) is not zero."""
    store_release(slot + _LAST, last_word)
    store_release(ring_address + _TAIL, ring_at(ring_address).tail + 1)


@kernel
def spsc_push(ring_address: int, record_address: int) -> bool:
    """Push a copy of a record; False when the ring is full, or the record is none (its last eight bytes are zero)."""
    last_word = load_i64(record_address + _LAST)
    if last_word == 0:
        return False
    slot = spsc_claim(ring_address)
    if slot == 0:
        return False
    for k in range(7):
        store_i64(slot + 8 * k, load_i64(record_address + 8 * k))
    spsc_publish(ring_address, slot, last_word)
    return True


@kernel
def spsc_peek(ring_address: int) -> int:
    """Address of the oldest record, or 0 when the ring is empty. One consumer; finish with `spsc_release`."""
    ring = ring_at(ring_address)
    slot = ring_address + ring.slots_offset + (ring.head & ring.mask) * RECORD_SIZE
    return slot if load_acquire(slot + _LAST) != 0 else 0


@kernel
def spsc_release(ring_address: int, slot: int) -> None:
    """Give the slot last peeked at back to the producer."""
    store_release(slot + _LAST, 0)
    store_release(ring_address + _HEAD, ring_at(ring_address).head + 1)


@kernel
def spsc_pop(ring_address: int, out_address: int) -> bool:
    """Pop the oldest record into `out_address`; False when the ring is empty."""
    slot = spsc_peek(ring_address)
    if slot == 0:
        return False
    _copy_record(out_address, slot)
    spsc_release(ring_address, slot)
    return True


@kernel
def spsc_pop_batch(ring_address: int, out_address: int, limit: int) -> int:
    """Pop up to `limit` records to consecutive places; gives how many."""
    ring = ring_at(ring_address)
    head, mask, slots = ring.head, ring.mask, ring_address + ring.slots_offset
    for i in range(limit):
        slot = slots + ((head + i) & mask) * RECORD_SIZE
        if load_acquire(slot + _LAST) == 0:
            store_release(ring_address + _HEAD, head + i)
            return i
        _copy_record(out_address + i * RECORD_SIZE, slot)
        store_release(slot + _LAST, 0)
    store_release(ring_address + _HEAD, head + limit)
    return limit


@kernel
def mpmc_push(ring_address: int, record_address: int) -> bool:
    """Push a copy of a record from any of many producers; False when the ring is full."""
    ring = ring_at(ring_address)
    mask = ring.mask
    slots = ring_address + ring.slots_offset
    tail = load_acquire(ring_address + _TAIL)
    while True:
        slot = slots + (tail & mask) * MPMC_SLOT_SIZE
        turn = load_acquire(slot + _TURN)
        if turn == tail:
            if compare_exchange(ring_address + _TAIL, tail, tail + 1):
                _copy_record(slot, record_address)
                store_release(slot + _TURN, tail + 1)
                return True
        elif turn < tail:
            # the slot still waits for its consumer of a whole round ago
            fetch_add(ring_address + _REFUSED, 1)
            return False
        tail = load_acquire(ring_address + _TAIL)


@kernel
def mpmc_pop(ring_address: int, out_address: int) -> bool:
    """Pop the oldest record from any of many consumers; False when the ring is empty."""
    ring = ring_at(ring_address)
    mask = ring.mask
    slots = ring_address + ring.slots_offset
    head = load_acquire(ring_address + _HEAD)
    while True:
        slot = slots + (head & mask) * MPMC_SLOT_SIZE
        turn = load_acquire(slot + _TURN)
        if turn == head + 1:
            if compare_exchange(ring_address + _HEAD, head, head + 1):
                _copy_record(out_address, slot)
                store_release(slot + _TURN, head + mask + 1)
                return True
        elif turn <= head:
            return False
        head = load_acquire(ring_address + _HEAD)


@kernel("i8(i8,i8,i8)")
def push_records(ring_address: int, records_address: int, count: int) -> int:
    """Push consecutive records; gives how many went in before the ring was full."""
    many = ring_at(ring_address).kind == MPMC
    for i in range(count):
        record = records_address + i * RECORD_SIZE
        pushed = mpmc_push(ring_address, record) if many else spsc_push(ring_address, record)
        if not pushed:
            return i
    return count


@kernel("i8(i8,i8,i8)")
def pop_records(ring_address: int, out_address: int, limit: int) -> int:
    """Pop up to `limit` records to consecutive places; gives how many."""
    if ring_at(ring_address).kind == SPSC:
        return spsc_pop_batch(ring_address, out_address, limit)
    for i in range(limit):
        if not mpmc_pop(ring_address, out_address + i * RECORD_SIZE):
            return i
    return limit


class Ring:
    """The Python face of a ring that lies in an arena.

    Attributes
    ----------
    address : int
        Of the `RING` header in this process, for kernels.
    """

    def __init__(self, header: Region) -> None:
        self._header = header
        self.address = header.address
        self._state = ring_at(header.address)

    @classmethod
    def create(cls, arena: Arena, name: str, capacity: int, kind: int = SPSC) -> Ring:
        """Reserve a ring in an arena, outside its hashes and snapshots.

        Parameters
        ----------
        arena : Arena
        name : str
            Of the region; the slots' region is `name.slots`.
        capacity : int
            Records, a power of two.
        kind : int
            `SPSC` or `MPMC`.

        Raises
        ------
        ValueError
            The capacity is no power of two, or the kind is unknown.
        """
        if capacity < 2 or capacity & capacity - 1:
            raise ValueError(f"ring {name}: capacity must be a power of two of at least 2, found {capacity}")
        if kind not in (SPSC, MPMC):
            raise ValueError(f"ring {name}: kind must be SPSC ({SPSC}) or MPMC ({MPMC}), found {kind}")
        header = arena.region(name, RING, 1, transient=True)
        words = capacity * (RECORD_SIZE if kind == SPSC else MPMC_SLOT_SIZE) // 8
        slots = arena.region(f"{name}.slots", np.int64, words, transient=True)
        if kind == MPMC:
            slots.view.reshape(capacity, -1)[:, _TURN // 8] = np.arange(capacity)
        state = ring_at(header.address)
        state.mask = capacity - 1
        state.slots_offset = slots.address - header.address
        state.kind = kind
        return cls(header)

    @classmethod
    def attach(cls, arena: Arena, name: str) -> Ring:
        """A ring that another process created in a shared arena."""
        return cls(arena[name])

    @property
    def capacity(self) -> int:
        """Records the ring holds at most."""
        return int(self._state.mask) + 1

    def __len__(self) -> int:
        """Records waiting, as seen from outside: both ends may be moving."""
        tail = load_acquire(self.address + _TAIL)
        return max(0, int(tail - load_acquire(self.address + _HEAD)))

    def push(self, records: npt.NDArray[Any]) -> int:
        """Push the records of a contiguous array of 64-byte records; gives how many went in.

        Raises
        ------
        ValueError
            The records are not of 64 bytes, or the last eight of one are zero (its kind is none).
        """
        data = np.ascontiguousarray(records).reshape(-1)
        if data.dtype.itemsize != RECORD_SIZE:
            raise ValueError(f"a ring holds records of {RECORD_SIZE} bytes, found {data.dtype.itemsize}")
        if not data.view(np.int64).reshape(-1, RECORD_SIZE // 8)[:, -1].all():
            raise ValueError("a record without a kind: its last eight bytes are zero")
        return int(push_records(self.address, int(data.ctypes.data), len(data)))

    def pop(self, limit: int = 4096) -> npt.NDArray[Any]:
        """Pop up to `limit` records as an EVENT array."""
        out = np.empty(limit, EVENT)
        return out[: int(pop_records(self.address, int(out.ctypes.data), limit))]

    def reset(self) -> None:
        """Make an SPSC ring as it was when it was made, for a new producer: one that died may have left half a push.

        Nobody may be at either end.
        """
        state = self._state
        clear_bytes(self.address + int(state.slots_offset), self.capacity * RECORD_SIZE)
        state.tail = state.head = state.refused = 0

    def statistics(self) -> dict[str, int]:
        """Counters: records pushed and popped, pushes refused by a full ring."""
        state = self._state
        return {"pushed": int(state.tail), "popped": int(state.head), "refused": int(state.refused)}
