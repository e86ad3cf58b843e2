"""Orders to bytes at speed: the general encoder's text with its numbers replaced, by a kernel straight from the record.

For every kind of order (instrument, side, type, time in force, post-only) the general encoder is asked once, with marks
for price, quantity, stop, client id and time; the text between the marks is kept, and from then on a kernel writes it
with the numbers of the COMMAND in their places. What the kernel writes is what the general encoder would have written.

    writer = OrderWriter(instruments, ids, lambda entry, stamp: alpaca_trading.encode(entry).body)
    body = writer.write(command_address)            # valid until the next write

Good-till-date orders carry one more time and take the general path.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_i64, record_at, store_u8
from nanotick.core.records import CommandFlag, OrderType, TimeInForce, command_at
from nanotick.wire.binance_orders import encode as encode_binance
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.requests import Entry, Unsupported
from nanotick.wire.signing import BinanceSigner

QTY, PRICE, STOP, CLIENT, STAMP = range(5)
_MARKS = ("8181818.1", "7171717.1", "9191919.1", "", "1234567890123")
_MARK_ID = 0x7A5B_3C1D_2E4F_6071
MAX_SLOTS = 12
MAX_ORDER = 4096  # bytes
KINDS = 128  # of orders of one instrument
_POST_ONLY = int(CommandFlag.POST_ONLY)
_GTD = int(TimeInForce.GTD)

TEMPLATE = np.dtype(
    [
        ("text_address", "<i8"),  # the text without its marks
        ("length", "<i8"),
        ("slots", "<i8"),
        ("slot_at", "<i8", (MAX_SLOTS,)),  # where in the text each number goes, rising
        ("slot_kind", "<i8", (MAX_SLOTS,)),
        ("price_decimals", "<i8"),
        ("qty_decimals", "<i8"),
        ("prefix", "<i8"),  # of client ids: five bytes, little-endian
    ]
)
template_at = record_at(TEMPLATE, "OrderTemplate")


@kernel
def write_number(out: int, value: int, decimals: int) -> int:
    """Decimal text of a scaled integer, 0 or more, without zeros at its end; the address after it."""
    while decimals > 0 and value % 10 == 0:
        value //= 10
        decimals -= 1
    digits = 1
    rest = value // 10
    while rest > 0:
        digits += 1
        rest //= 10
    if digits <= decimals:
        digits = decimals + 1
    end = out + digits + (1 if decimals > 0 else 0)
    p = end - 1
    place = 0
    while p >= out:
        if place == decimals and decimals > 0:
            store_u8(p, 46)
            p -= 1
        store_u8(p, 48 + value % 10)
        value //= 10
        place += 1
        p -= 1
    return end


@kernel
def write_client(out: int, prefix: int, client_id: int) -> int:
    """Text of a client order id (`ClientIds.text`); the address after it."""
    i = 0
    while i < 5:
        store_u8(out + i, (prefix >> (8 * i)) & 255)
        i += 1
    p = out + 17
    while p > out + 4:
        digit = client_id % 36
        store_u8(p, digit + (48 if digit < 10 else 87))
        client_id //= 36
        p -= 1
    return out + 18


@kernel
def order_kind(order_type: int, tif: int, side: int, flags: int) -> int:
    """Number below KINDS of a kind of order, or -1."""
    if order_type < 0 or order_type > 3 or tif < 0 or tif > 7:
        return -1
    number = order_type * 8 + tif
    number = number * 2 + (1 if side > 0 else 0)
    return number * 2 + (1 if flags & _POST_ONLY else 0)


@kernel
def order_text(templates: int, instruments: int, command_address: int, stamp: int, out: int) -> int:
    """Write the text of a NEW command.

    Parameters
    ----------
    templates : int
        Address of KINDS i8 an instrument: addresses of TEMPLATE records, 0 where there is none yet.
    instruments : int
        How many.
    command_address : int
    stamp : int
        ms UTC, where the text has a time.
    out : int
        Address of MAX_ORDER bytes.

    Returns
    -------
    int
        Length, or -1 when there is no template for it.
    """
    command = command_at(command_address)
    kind = order_kind(command.order_type, command.tif, command.side, command.flags)
    instrument = command.instrument
    if kind < 0 or instrument >= instruments:
        return -1
    found = load_i64(templates + 8 * (instrument * KINDS + kind))
    if found == 0 or command.id < 0 or command.price < 0 or command.qty <= 0 or command.stop_price < 0:
        return -1
    if command.flags & ~_POST_ONLY != 0:
        return -1
    t = template_at(found)
    to, begin, i = out, 0, 0
    text = t.text_address
    while i < t.slots:
        at = t.slot_at[i]
        copy_bytes(to, text + begin, at - begin)
        to += at - begin
        begin = at
        what = t.slot_kind[i]
        if what == QTY:
            to = write_number(to, command.qty, t.qty_decimals)
        elif what == PRICE:
            to = write_number(to, command.price, t.price_decimals)
        elif what == STOP:
            to = write_number(to, command.stop_price, t.price_decimals)
        elif what == CLIENT:
            to = write_client(to, t.prefix, command.id)
        else:
            to = write_number(to, stamp, 0)
        i += 1
    copy_bytes(to, text + begin, t.length - begin)
    return to + t.length - begin - out


@kernel("i8(i8,i8,i8,i8,i8)")
def write_order(templates: int, instruments: int, command_address: int, stamp: int, out: int) -> int:
    """`order_text`, from Python."""
    return order_text(templates, instruments, command_address, stamp, out)


Encoder = Callable[[Entry, int], bytes]


class OrderWriter:
    """Writer of new orders of a run's instruments at one venue.

    Parameters
    ----------
    instruments : InstrumentTable
    ids : ClientIds
    encode : callable
        The general encoder: an `Entry` and a time in ms to bytes; raises `Unsupported` for what the venue has not.
    """

    def __init__(self, instruments: InstrumentTable, ids: ClientIds, encode: Encoder) -> None:
        self._instruments, self._ids, self._encode = instruments, ids, encode
        self.count = len(instruments)
        self._addresses = np.zeros(max(1, self.count) * KINDS, dtype=np.int64)
        self._held: list[npt.NDArray[np.generic]] = []  # templates and texts, where the addresses point
        self._out = np.zeros(MAX_ORDER, dtype=np.uint8)
        self._view = self._out.data
        self._at = (int(self._addresses.ctypes.data), self.count)
        self._out_at = int(self._out.ctypes.data)
        self._prefix = int.from_bytes(ids.text(0)[:5].encode(), "little")

    def prepare(self, instrument: int, side: int, order_type: int, tif: int, post_only: bool = False) -> None:
        """Make the template of a kind of order, before it is needed.

        Raises
        ------
        Unsupported
            The venue has no such order, or the kernel cannot write it (good till a date, more than MAX_SLOTS numbers).
        """
        if tif == _GTD:
            raise Unsupported("good-till-date orders are written by the general encoder")
        item = self._instruments[instrument]
        client = self._ids.text(_MARK_ID)
        priced = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        stopped = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        entry = Entry(
            item.symbol, client, side, _MARKS[QTY], _MARKS[PRICE] if priced else "", _MARKS[STOP] if stopped else "",
            order_type, tif, 0, post_only,
        )  # fmt: skip
        marks = [mark or client for mark in _MARKS]
        parts = re.split(
            b"(" + b"|".join(re.escape(m.encode()) for m in marks) + b")", self._encode(entry, int(_MARKS[STAMP]))
        )
        template = np.zeros(1, dtype=TEMPLATE)
        texts, slots = parts[0::2], parts[1::2]
        text = b"".join(texts)
        if len(slots) > MAX_SLOTS or len(text) + 40 * len(slots) > MAX_ORDER:
            raise Unsupported(
                f"an order of {len(slots)} numbers and {len(text)} bytes; expected at most {MAX_SLOTS} and {MAX_ORDER}"
            )
        place = 0
        for i, (before, slot) in enumerate(zip(texts, slots, strict=False)):
            place += len(before)
            template["slot_at"][0, i], template["slot_kind"][0, i] = place, marks.index(slot.decode())
        data = np.frombuffer(text + b"\0", dtype=np.uint8)
        template["text_address"], template["length"], template["slots"] = data.ctypes.data, len(text), len(slots)
        template["price_decimals"], template["qty_decimals"] = item.price_decimals, item.qty_decimals
        template["prefix"] = self._prefix
        self._held += [template, data]
        kind = ((order_type * 8 + tif) * 2 + (side > 0)) * 2 + post_only
        self._addresses[instrument * KINDS + kind] = template.ctypes.data

    @property
    def templates(self) -> int:
        """Address of the templates' addresses, for `order_text`; good for the writer's life."""
        return int(self._addresses.ctypes.data)

    def write(self, command_address: int, stamp_ms: int = 0) -> memoryview | None:
        """The text of the NEW command at an address; None when its kind of order has not been prepared."""
        size = write_order(*self._at, command_address, stamp_ms, self._out_at)
        return None if size < 0 else self._view[:size]


class _Unsigned:
    """A signer that signs nothing and keeps what it should have signed."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.payload = b""

    def sign(self, payload: bytes) -> str:
        self.payload = payload
        return ""


class BinanceOrderWriter:
    """New orders as signed frames of the Binance WebSocket API; their request id is the client id.

    Parameters
    ----------
    instruments : InstrumentTable
    ids : ClientIds
    signer : BinanceHmac or BinanceEd25519
    recv_window_ms : int
    self_trade : str
        As in `binance_orders.method_of`.
    """

    END = b'"}}'  # of a frame, after its signature

    def __init__(
        self,
        instruments: InstrumentTable,
        ids: ClientIds,
        signer: BinanceSigner,
        recv_window_ms: int = 5000,
        self_trade: str = "",
    ) -> None:
        self._signer, self._settings = signer, (recv_window_ms, self_trade)
        self.frame = OrderWriter(instruments, ids, self._head)  # up to the signature
        self.signed = OrderWriter(instruments, ids, self._payload)  # what is signed

    def _head(self, entry: Entry, stamp: int) -> bytes:
        frame = encode_binance(entry, entry.client, stamp, _Unsigned(self._signer.key), *self._settings)  # type: ignore[arg-type]
        if not frame.endswith(self.END):
            raise Unsupported("a frame that does not end with its signature")
        return frame[: -len(self.END)]

    def _payload(self, entry: Entry, stamp: int) -> bytes:
        unsigned = _Unsigned(self._signer.key)
        encode_binance(entry, entry.client, stamp, unsigned, *self._settings)  # type: ignore[arg-type]
        return unsigned.payload

    def prepare(self, instrument: int, side: int, order_type: int, tif: int, post_only: bool = False) -> None:
        """As `OrderWriter.prepare`.

        Raises
        ------
        Unsupported
        """
        self.frame.prepare(instrument, side, order_type, tif, post_only)
        self.signed.prepare(instrument, side, order_type, tif, post_only)

    def write(self, command_address: int, stamp_ms: int) -> bytes | None:
        """The signed frame of the NEW command at an address; None when its kind of order has not been prepared."""
        payload = self.signed.write(command_address, stamp_ms)
        head = self.frame.write(command_address, stamp_ms)
        if payload is None or head is None:
            return None
        return b"".join((head, self._signer.sign(payload).encode(), self.END))  # type: ignore[arg-type]
