"""Live frames to EVENT records, and orders to bytes: ns a message, beside msgspec on the same frames.

`read` is the whole path of a client with a frame in hand: `LiveFrames.read` from the bytes to records in place, every
byte checked. msgspec decodes the same bytes into a typed struct with prices as Decimal (its only exact form) and stops
there: no record, no symbol looked up, no scale.
"""

from decimal import Decimal
from typing import Any

import msgspec

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from benchmarks.timing import median_cpu_seconds
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind
from nanotick.core.secret import Secret
from nanotick.wire import alpaca_trading, binance_orders
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.live_frames import LiveFrames
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

_COMMAND = Command(1, 0, 0, 253_519, 100_000, (1 << 20) | 7, 0, 0, 1, 0, 2, 0, int(Kind.NEW), 1, 0).record()


@benchmark("wire_alpaca_order", "COMMAND record -> Alpaca order request", unit="ns")
def wire_alpaca_order() -> float:
    """Nanoseconds an order, client id text included."""
    ids, item = ClientIds(7), _TABLE[1]

    def encode() -> None:
        command = Command.of(_COMMAND)
        alpaca_trading.encode(entry_of(command, item, ids.text(command.id)))

    return _repeat(encode)


@benchmark("wire_binance_order", "COMMAND record -> signed Binance order.place frame (HMAC)", unit="ns")
def wire_binance_order() -> float:
    """Nanoseconds an order, client id text and signature included."""
    ids, item, signer = ClientIds(7), _TABLE[2], BinanceHmac("key", Secret("secret-of-a-benchmark"))

    def encode() -> None:
        command = Command.of(_COMMAND)
        entry = entry_of(command, item, ids.text(command.id))
        binance_orders.encode(entry, "1", 1_700_000_000_000, signer)

    return _repeat(encode)
