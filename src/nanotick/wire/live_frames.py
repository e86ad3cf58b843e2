"""Frames of a live market data stream into EVENT records: the kernel first, the general path for what it leaves.

    frames = LiveFrames(instruments, "POLYGON", "polygon")
    count = frames.read(data, ts_recv)            # records are frames.events[:count], valid until the next read
    frames.notices                                # what the venue said about the session

One object a connection: it keeps the update-id chain of a Binance stream. Malformed frames are refused with the venue,
the place and the reason, and counted; everything after them is read as if they had not been.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.fastcall import frame_entry
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import kernel
from nanotick.core.memory import copy_bytes, load_u8, record_at, store_u8
from nanotick.core.records import BOTH_SIDES, EVENT, RECORD_SIZE, Kind
from nanotick.wire import alpaca, binance, coinbase, finnhub, kraken, polygon
from nanotick.wire.binance_chain import DROP, GAP, MARKET, take_diff
from nanotick.wire.binance_scan import read_frame
from nanotick.wire.equity_scan import ALPACA, EQUITIES, POLYGON, read_equities
from nanotick.wire.json_scan import SHAPE
from nanotick.wire.json_text import WireError
from nanotick.wire.markets import listed_markets
from nanotick.wire.messages import Depth, Message, Notice, Quote, Sequence, Trade
from nanotick.wire.reports import EVENT_STRUCT
from nanotick.wire.rows import MarketRows

MAX_FRAME = 1 << 20  # bytes
_CODECS: dict[str, Callable[[bytes], list[Message]]] = {
    "polygon": polygon.decode_frame,
    "alpaca": alpaca.decode_frame,
    "binance": binance.decode_frame,
    "coinbase": coinbase.decode_frame,
    "kraken": kraken.decode_frame,
    "finnhub": finnhub.decode_frame,
}
_BOTH = int(BOTH_SIDES)

FRAME = np.dtype(
    [
        ("scan_address", "<i8"),  # SCAN or EQUITIES
        ("buffer_address", "<i8"),  # room for `capacity` bytes and the line feed that ends every scan
        ("capacity", "<i8"),
        ("ts_recv", "<i8"),  # ns UTC, of the frame to be read
        ("scanned", "<i8"),  # frames that the kernel has read whole
    ]
)
_TS_RECV, _SCANNED = 3, 4  # their places in the record
frame_at = record_at(FRAME, "LiveFrame")


@kernel
def equity_frame(state: int, data: int, size: int) -> int:
    """Read a frame of Polygon or Alpaca, wherever it lies; the rows it gave, or a negative reason."""
    frame = frame_at(state)
    if size > frame.capacity:
        return SHAPE
    begin = frame.buffer_address
    copy_bytes(begin, data, size)
    store_u8(begin + size, 10)
    count = read_equities(frame.scan_address, begin, size, frame.ts_recv)
    if count >= 0:
        frame.scanned += 1
    return count


@kernel
def binance_frame(state: int, data: int, size: int) -> int:
    """Read a frame of Binance, wherever it lies; the rows it gave, or a negative reason."""
    frame = frame_at(state)
    if size > frame.capacity:
        return SHAPE
    begin = frame.buffer_address
    copy_bytes(begin, data, size)
    feeds = 0  # the scanner ends at the first line feed, which JSON may hold between its tokens
    for i in range(size):
        feeds += 1 if load_u8(begin + i) == 10 else 0
    if feeds != 0:
        return SHAPE
    store_u8(begin + size, 10)
    count = read_frame(frame.scan_address, begin, size, frame.ts_recv)
    if count >= 0:
        frame.scanned += 1
    return count


class LiveFrames:
    """Reader of one connection's frames.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Name of the venue in the table; its symbols are the venue's own.
    protocol : str
        `polygon`, `alpaca`, `binance`, `coinbase`, `kraken` or `finnhub`.
    capacity : int
        Records that one frame may give.
    kernel : bool
        Whether hot messages are read by the kernel; without it the general path reads everything.
    by_order : bool
        As for `MarketRows`.
    max_frame : int
        Bytes of the largest frame that is read, where the general path reads all of them.

    Attributes
    ----------
    events : ndarray of EVENT
    notices, sequences : list
        Of the last frame: what was said about the session, and the connection's message numbers.
    told : bool
        Whether the last frame had any of either.
    frames, scanned, refused : int
        Frames read, those that the kernel read whole, and those that were refused.
    """

    def __init__(
        self,
        instruments: InstrumentTable,
        venue: str,
        protocol: str,
        capacity: int = 1 << 14,
        kernel: bool = True,
        by_order: bool = False,
        max_frame: int = MAX_FRAME,
    ) -> None:
        if protocol not in _CODECS:
            raise ValueError(f"protocol: expected one of {', '.join(_CODECS)}, found {protocol!r}")
        self.venue, self.protocol = venue, protocol
        self.events: npt.NDArray[Any] = np.zeros(capacity, dtype=EVENT)
        self._out = self.events.view(np.uint8).data
        self.rows = MarketRows(instruments, venue, by_order)
        self.notices: list[Notice] = []
        self.sequences: list[int] = []
        self._read = self.refused = 0  # by the general path
        self._decode = _CODECS[protocol]
        self._most = max_frame
        self.told = False
        self._markets = listed_markets(instruments, venue)
        self._scan: Callable[[bytes | memoryview], int] | None = None
        self._frame = np.zeros(1, dtype=FRAME)
        self.fields = self._frame.view(np.int64).data
        if not kernel or protocol not in ("polygon", "alpaca", "binance"):
            return
        handler = binance_frame if protocol == "binance" else equity_frame
        self._state: npt.NDArray[Any] = self._markets.state
        if protocol != "binance":
            self._state = np.zeros(1, dtype=EQUITIES)
            self._state["markets_address"] = self._markets.state["markets_address"]
            self._state["table_address"] = self._markets.state["table_address"]
            self._state["dialect"] = POLYGON if protocol == "polygon" else ALPACA
        self._state["out_address"], self._state["capacity"] = self.events.ctypes.data, capacity
        self._buffer = np.zeros(MAX_FRAME + 1, dtype=np.uint8)
        self._frame["scan_address"], self._frame["buffer_address"] = self._state.ctypes.data, self._buffer.ctypes.data
        self._frame["capacity"] = MAX_FRAME
        self._scan = frame_entry(handler, f"{__name__}.{handler.__name__}", int(self._frame.ctypes.data))

    @property
    def scanned(self) -> int:
        """Frames that the kernel has read whole."""
        return int(self.fields[_SCANNED])

    @property
    def frames(self) -> int:
        """Frames read."""
        return self._read + self.scanned

    @property
    def kernel(self) -> tuple[Callable[[int, int, int], int], int] | None:
        """What reads hot frames: the kernel and the address of its FRAME; None where the general path reads all."""
        if self._scan is None:
            return None
        return binance_frame if self.protocol == "binance" else equity_frame, int(self._frame.ctypes.data)

    @property
    def chains(self) -> npt.NDArray[Any]:
        """Update-id chains of the venue's instruments in the table: `binance_chain.MARKET` records."""
        return self._markets.records[: len(self._markets.numbers)]

    def read(self, frame: bytes | memoryview, ts_recv: int) -> int:
        """Records of one frame.

        Raises
        ------
        WireError
            The frame is no message of the protocol, too large, or gives more records than there is room for.
        """
        if self._scan is not None:
            self.fields[_TS_RECV] = ts_recv
            count = self._scan(frame)
            if count >= 0:
                if self.told:
                    self.forget()
                return count
        return self._general(bytes(frame), ts_recv)

    def forget(self) -> None:
        """Nothing was said besides market data."""
        self.notices, self.sequences, self.told = [], [], False

    def _general(self, frame: bytes, ts_recv: int) -> int:
        self._read += 1
        try:
            if len(frame) > self._most:
                raise WireError(f"a frame of {len(frame):,} bytes; expected at most {self._most:,}")
            messages = self._decode(frame)
            self.notices = [m for m in messages if isinstance(m, Notice)]
            self.sequences = [m.number for m in messages if isinstance(m, Sequence)]
            self.told = bool(self.notices or self.sequences)
            if self.protocol == "binance":
                data = b"".join(self._chained(message, ts_recv) for message in messages)
            else:
                data = self.rows.write(messages, ts_recv)
            count = len(data) // RECORD_SIZE
            if count > len(self.events):
                raise WireError(f"{count:,} records in a frame; expected at most {len(self.events):,}")
        except WireError as error:
            self.refused += 1
            raise WireError(f"{self.venue}: {error}") from None
        self._out[: len(data)] = data
        return count

    def _chained(self, message: Message, ts_recv: int) -> bytes:
        """Records of a Binance message, in the chain of its symbol as the kernel keeps it."""
        if not isinstance(message, Depth | Trade | Quote):
            return self.rows.write([message], ts_recv)
        number = self._markets.numbers.get(message.symbol)
        if number is None or (isinstance(message, Depth) and message.snapshot):
            return self.rows.write([message], ts_recv)
        record = self._markets.records[number : number + 1]
        before = sum(self.rows.refused.values())
        stamped = message.ts_venue > 0
        if not stamped:
            message.ts_venue = int(record["latest_ns"][0])
        data = self.rows.write([message], ts_recv)
        if sum(self.rows.refused.values()) != before:
            return b""
        if stamped:
            record["latest_ns"] = max(int(record["latest_ns"][0]), message.ts_venue)
        if isinstance(message, Trade):
            empty = not message.qty.strip("0.") or not message.price.strip("0.")
            return b"" if empty else data
        if isinstance(message, Quote):
            return data
        address = self._markets.records.ctypes.data + number * MARKET.itemsize
        action = take_diff(address, message.first, message.last, message.previous)
        if action == DROP:
            return b""
        if action == GAP:
            gap = EVENT_STRUCT.pack(
                message.ts_venue or ts_recv, ts_recv, int(record["gap_first"][0]), 0, 0, 0, int(record["gap_count"][0]),
                int(record["number"][0]), int(record["venue"][0]), int(Kind.GAP), 0, _BOTH,
            )  # fmt: skip
            return gap + data
        return data
