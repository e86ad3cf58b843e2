"""An account's way out for plain new orders: from the COMMAND record to the whole request, in one kernel.

    COMMAND ─▶ open? passes? ─▶ text by its template, signed ─▶ HTTP head and length, or none ─▶ bytes to be handed over

What the kernel has to know of the account lies in a flat record: whether it may trade, how many orders its limits are
sure to let pass, where the templates and the key are. So the same kernel serves inside of a frame's turn
(`venues.turn`) and on its own, and what it leaves (0) goes the way of all commands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nanotick.core.fastcall import frame_entry
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, record_at, store_u8
from nanotick.core.records import Kind, command_at
from nanotick.wire.order_text import MAX_ORDER, BinanceOrderWriter, OrderWriter, order_text, write_number
from nanotick.wire.sha256 import PADDING, hmac_sha256, write_hex
from nanotick.wire.sha256 import STATE as HASH_STATE

VENUES = 256
MAX_HEAD = 4096  # bytes before a body's length
_NEW = int(Kind.NEW)
_SIGNATURE = 64
_USUAL = 3  # digits of a body's length, for which room is left before it is known
_MS = 1_000_000

OUTLET = np.dtype(
    [
        ("open", "<i8"),  # whether the account takes new orders
        ("instrument", "<i8"),  # the one that `passes` is of; -1 for all
        ("ahead", "<i8"),  # ns by which the venue's clock is before ours
        ("now", "<i8"),  # ns UTC, for `write_one`
        ("instruments", "<i8"),  # that have templates
        ("head_size", "<i8"),  # of a POST, up to the body's length; 0: a message without a head
        ("tail_size", "<i8"),  # after a signature
        ("passes_address", "<i8"),  # orders that the limits let pass (`RateLimiter.passes`)
        ("texts_address", "<i8"),  # templates of what is sent (`OrderWriter.templates`)
        ("signed_address", "<i8"),  # templates of what is signed; 0: nothing is
        ("key_address", "<i8"),  # a HMAC record
        ("head_address", "<i8"),
        ("tail_address", "<i8"),
        ("scratch_address", "<i8"),  # for what is signed
        ("out_address", "<i8"),
    ]
)
outlet_at = record_at(OUTLET, "Outlet")


@kernel
def write_request(outlet: int, command_address: int, now: int) -> int:
    """Write the request for a command.

    Parameters
    ----------
    outlet : int
        Address of an OUTLET record.
    command_address : int
    now : int
        ns UTC, for requests that say when they were made.

    Returns
    -------
    int
        Its size, at `out_address`; 0 for a command that is to go the general way.
    """
    way = outlet_at(outlet)
    command = command_at(command_address)
    if way.open == 0 or command.kind != _NEW or load_i64(way.passes_address) <= 0:
        return 0
    if way.instrument >= 0 and way.instrument != command.instrument:
        return 0
    stamp = (now + way.ahead) // _MS
    body = way.out_address
    if way.head_size > 0:
        body += way.head_size + _USUAL + 4
    size = order_text(way.texts_address, way.instruments, command_address, stamp, body)
    if size <= 0:
        return 0
    if way.signed_address != 0:
        signed = order_text(way.signed_address, way.instruments, command_address, stamp, way.scratch_address)
        if signed <= 0:
            return 0
        hmac_sha256(way.key_address, way.scratch_address, signed)
        write_hex(body + size, way.key_address + HASH_STATE)
        copy_bytes(body + size + _SIGNATURE, way.tail_address, way.tail_size)
        size += _SIGNATURE + way.tail_size
    if way.head_size == 0:
        return size
    copy_bytes(way.out_address, way.head_address, way.head_size)
    end = write_number(way.out_address + way.head_size, size, 0)
    for i in range(4):
        store_u8(end + i, 13 if i % 2 == 0 else 10)
    if end + 4 != body:  # a length of another number of digits: once more, where it belongs
        body = end + 4
        order_text(way.texts_address, way.instruments, command_address, stamp, body)
    return body + size - way.out_address


@kernel
def write_one(outlet: int, data: int, size: int) -> int:
    """`write_request` of a COMMAND's bytes, at the record's own time."""
    return write_request(outlet, data, outlet_at(outlet).now)


class Outlet:
    """The record of one account, and the memory that it points to.

    Parameters
    ----------
    writer : OrderWriter or BinanceOrderWriter
    head : bytes
        What a POST begins with, up to its body's length; empty for messages.
    key : array of HMAC, optional
        Of a `BinanceOrderWriter`'s signer.

    Attributes
    ----------
    address : int
    data : memoryview
        Where requests are written.
    write : callable
        A COMMAND's 64 bytes to the size of its request, 0 for one that is to go the general way.

    Raises
    ------
    ValueError
        A head of more than 4,096 bytes.
    """

    def __init__(
        self,
        writer: OrderWriter | BinanceOrderWriter,
        head: bytes = b"",
        key: npt.NDArray[np.void] | None = None,
    ) -> None:
        if len(head) > MAX_HEAD:
            raise ValueError(f"expected a head of at most {MAX_HEAD:,} bytes, found {len(head):,}")
        self._record = np.zeros(1, OUTLET)
        out = np.zeros(MAX_HEAD + MAX_ORDER + _SIGNATURE + 64, np.uint8)
        scratch = np.zeros(MAX_ORDER + PADDING, np.uint8)
        self._held = [writer, np.frombuffer(head + b"\0", np.uint8), key, out, scratch]
        record = self._record
        record["instrument"] = -1
        if isinstance(writer, BinanceOrderWriter):
            if key is None:
                raise ValueError("expected the key that orders are signed with")
            tail = np.frombuffer(writer.END, np.uint8)
            self._held.append(tail)
            record["tail_address"], record["tail_size"] = tail.ctypes.data, len(tail)
            record["signed_address"], record["key_address"] = writer.signed.templates, key.ctypes.data
            record["scratch_address"] = scratch.ctypes.data
            writer = writer.frame
        record["instruments"], record["texts_address"] = writer.count, writer.templates
        record["head_size"], record["head_address"] = len(head), self._held[1].ctypes.data  # type: ignore[union-attr]
        record["out_address"] = out.ctypes.data
        self.data = out.data
        self.address = int(record.ctypes.data)
        self._words = record.view(np.int64).data
        self.write = frame_entry(write_one, f"{__name__}.write_one", self.address)

    def limited(self, passes: memoryview) -> None:
        """Let the record's limits be these."""
        self._passes = np.frombuffer(passes, np.int64)
        self._record["passes_address"] = self._passes.ctypes.data

    def set_open(self, wanted: bool) -> None:
        """Whether orders may go out."""
        self._words[0] = wanted

    def of(self, instrument: int) -> None:
        """Which instrument the limits have been looked at for; -1 for all."""
        self._words[1] = instrument

    def set_ahead(self, ns: int) -> None:
        """How far the venue's clock is before ours."""
        self._words[2] = ns

    def at(self, now: int) -> None:
        """The time for what `write` writes."""
        self._words[3] = now


class Outlets:
    """The outlets of a run's accounts, by number of the venue, where a kernel finds them."""

    def __init__(self) -> None:
        self._addresses = np.zeros(VENUES, np.int64)
        self.address = int(self._addresses.ctypes.data)

    def put(self, venue: int, outlet: Outlet) -> None:
        """Let a venue's orders go out this way."""
        self._addresses[venue] = outlet.address


@kernel
def write_first(outlets: int, command_address: int, now: int) -> int:
    """`write_request` at the outlet of the command's venue; 0 where it has none."""
    outlet = load_i64(outlets + 8 * command_at(command_address).venue)
    return write_request(outlet, command_address, now) if outlet != 0 else 0
