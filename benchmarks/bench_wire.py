"""Live frames to EVENT records, and orders to bytes: ns a message, beside msgspec on the same frames.

`read` is the whole path of a client with a frame in hand: `LiveFrames.read` from the bytes to records in place, every
byte checked. msgspec decodes the same bytes into a typed struct with prices as Decimal (its only exact form) and stops
there: no record, no symbol looked up, no scale.
"""

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import COMMAND, Kind
from nanotick.core.secret import Secret
from nanotick.wire import alpaca_trading
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.live_frames import LiveFrames
from nanotick.wire.order_text import BinanceOrderWriter, OrderWriter
from nanotick.wire.requests import Command, entry_of
from nanotick.wire.signing import BinanceHmac

MESSAGES = 20_000
_TABLE = InstrumentTable(
    [
        Instrument("MSFT", "POLYGON", 4, 0),
        Instrument("AMD", "ALPACA", 4, 0),
        Instrument("BNBUSDT", "BINANCE", 4, 5, "0.0001", "0.00001", currency="USDT"),
    ]
)
_QUOTES = {
    "polygon": b'[{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
    b'"t":1536036818784,"q":50385480,"z":3}]',
    "alpaca": b'[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,'
    b'"t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}]',
    "binance": b'{"stream":"bnbusdt@bookTicker","data":{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":'
    b'"31.21000000","a":"25.36520000","A":"40.66000000"}}',
}


class _PolygonQuote(msgspec.Struct):
    ev: str
    sym: str
    bp: Decimal
    bs: int
    ap: Decimal
    as_: int = msgspec.field(name="as")
    t: int
    q: int


class _AlpacaQuote(msgspec.Struct):
    T: str
    S: str
    bp: Decimal
    bs: int
    ap: Decimal
    as_: int = msgspec.field(name="as")
    t: str


class _BinanceQuote(msgspec.Struct):
    u: int
    s: str
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal


class _BinanceFrame(msgspec.Struct):
    stream: str
    data: _BinanceQuote


_TYPES: dict[str, Any] = {"polygon": list[_PolygonQuote], "alpaca": list[_AlpacaQuote], "binance": _BinanceFrame}


def _repeat(call: Any) -> float:
    def run(nothing: None) -> None:
        for _ in range(MESSAGES):
            call()

    return median_cpu_seconds(run, lambda: None) / MESSAGES * 1e9


def _read(protocol: str) -> float:
    frames = LiveFrames(_TABLE, protocol.upper(), protocol)
    data = _QUOTES[protocol]
    value = _repeat(lambda: frames.read(data, 1_700_000_000_000_000_000))
    if frames.scanned != frames.frames:
        raise RuntimeError("the kernel left frames to the general path")
    return value


def _msgspec(protocol: str) -> Peer:
    def value() -> float:
        decoder = msgspec.json.Decoder(_TYPES[protocol])
        data = _QUOTES[protocol]
        return _repeat(lambda: decoder.decode(data))

    return Peer("msgspec to a struct", value)


def _declare(protocol: str, what: str) -> None:
    @benchmark(
        f"wire_{protocol}_quote", f"{what} frame -> QUOTE record", unit="ns", peer=_msgspec(protocol), reach="<= 1x"
    )
    def read() -> float:
        return _read(protocol)


_declare("polygon", "Polygon Q")
_declare("alpaca", "Alpaca q")
_declare("binance", "Binance bookTicker, combined stream,")

_COMMAND = Command(1, 0, 0, 253_519, 100_000, (1 << 20) | 7, 0, 0, 1, 0, 2, 0, int(Kind.NEW), 1, 0)


def _record(instrument: int) -> Any:
    data = np.zeros(1, dtype=COMMAND)
    data.view(np.uint8)[:] = np.frombuffer(_COMMAND._replace(instrument=instrument).record(), dtype=np.uint8)
    return data


@benchmark(
    "wire_alpaca_order", "COMMAND record -> body of an Alpaca order, client id included", unit="ns", reach="<= 1000"
)
def wire_alpaca_order() -> float:
    """Nanoseconds an order, written by the kernel."""
    writer = OrderWriter(_TABLE, ClientIds(7), lambda entry, stamp: alpaca_trading.encode(entry).body)
    writer.prepare(1, 1, 0, 0)
    record = _record(1)
    address = int(record.ctypes.data)
    return _repeat(lambda: writer.write(address))


@benchmark(
    "wire_binance_order", "COMMAND record -> Binance order.place frame signed by HMAC", unit="ns", reach="<= 4000"
)
def wire_binance_order() -> float:
    """Nanoseconds an order, client id and signature included."""
    writer = BinanceOrderWriter(_TABLE, ClientIds(7), BinanceHmac("key", Secret("secret-of-a-benchmark")))
    writer.prepare(2, 1, 0, 0)
    record = _record(2)
    address = int(record.ctypes.data)
    return _repeat(lambda: writer.write(address, 1_700_000_000_000))


@benchmark("wire_order_general", "COMMAND record -> Alpaca order request by the general encoder", unit="ns")
def wire_order_general() -> float:
    """Nanoseconds an order."""
    ids, item, record = ClientIds(7), _TABLE[1], _COMMAND._replace(instrument=1).record()

    def encode() -> None:
        command = Command.of(record)
        alpaca_trading.encode(entry_of(command, item, ids.text(command.id)))

    return _repeat(encode)
