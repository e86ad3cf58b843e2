"""The kernel writes what the general encoders write, order by order, and leaves what it has not prepared."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import BUY, COMMAND, SELL, Kind, TimeInForce
from nanotick.core.secret import Secret
from nanotick.wire import alpaca_trading, binance_orders, coinbase_trading, kraken_trading
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.order_text import BinanceOrderWriter, OrderWriter
from nanotick.wire.requests import Command, Unsupported, entry_of
from nanotick.wire.signing import BinanceHmac

TABLE = InstrumentTable(
    [
        Instrument("AMD", "X", 4, 0),
        Instrument("BNBUSDT", "X", 4, 5, lot_size="0.00001"),
        Instrument("Z", "X", 0, 8, "1"),
    ]
)
IDS = ClientIds(7)
SIGNER = BinanceHmac("key", Secret("secret-of-a-test"))
ENCODERS = {
    "alpaca": (alpaca_trading._PAIRS, lambda entry, stamp: alpaca_trading.encode(entry).body, False),
    "binance": (binance_orders._PAIRS, lambda e, stamp: binance_orders.encode(e, e.client, stamp, None), True),
    "kraken": (kraken_trading._PAIRS, lambda entry, stamp: kraken_trading.encode(entry, 5, "T"), True),
    "coinbase": (coinbase_trading._PAIRS, lambda entry, stamp: coinbase_trading.encode(entry).body, True),
}
NS = int(TimeInForce.GTD)


def prepared(venue: str) -> OrderWriter:
    pairs, encode, post = ENCODERS[venue]
    writer = OrderWriter(TABLE, IDS, encode)
    for instrument in range(len(TABLE)):
        for order_type, tif in pairs:
            if tif != NS and tif < 5:
                for side in (BUY, SELL):
                    writer.prepare(instrument, side, order_type, tif)
                    if post and (order_type, tif) == (0, 0):
                        writer.prepare(instrument, side, order_type, tif, True)
    return writer


WRITERS = {venue: prepared(venue) for venue in ENCODERS}
BINANCE = BinanceOrderWriter(TABLE, IDS, SIGNER)
BINANCE.prepare(1, BUY, 0, 0)
CELL = np.zeros(1, dtype=COMMAND)
AT = int(CELL.ctypes.data)


def put(command: Command) -> int:
    CELL.view(np.uint8)[:] = np.frombuffer(command.record(), dtype=np.uint8)
    return AT


@given(
    st.sampled_from(sorted(ENCODERS)), st.integers(0, 2), st.integers(0, 3), st.integers(0, 3),
    st.sampled_from([BUY, SELL]),
    st.integers(0, 10**12), st.integers(1, 10**15), st.integers(0, 10**12), st.integers(0, 2**63 - 1), st.booleans(),
    st.integers(10**12, 10**13 - 1),
)  # fmt: skip
def test_the_kernel_writes_what_the_general_encoder_writes(
    venue, instrument, order_type, tif, side, price, qty, stop, ident, post, stamp
) -> None:
    command = Command(
        1, stop, 0, price, qty, ident, order_type, tif, 1, 0, instrument, 0, int(Kind.NEW), side, int(post)
    )
    written = WRITERS[venue].write(put(command), stamp)
    pairs, encode, has_post = ENCODERS[venue]
    if written is None:
        assert (order_type, tif) not in pairs or (post and (not has_post or (order_type, tif) != (0, 0)))
    else:
        assert bytes(written) == encode(entry_of(command, TABLE[instrument], IDS.text(ident)), stamp)


def test_a_signed_binance_frame_is_the_general_one() -> None:
    command = Command(1, 0, 0, 253_519, 100_000, (1 << 20) | 7, 0, 0, 1, 0, 1, 0, int(Kind.NEW), 1, 0)
    frame = BINANCE.write(put(command), 1_700_000_000_000)
    entry = entry_of(command, TABLE[1], IDS.text(command.id))
    assert frame == binance_orders.encode(entry, entry.client, 1_700_000_000_000, SIGNER)
    assert json.loads(frame)["params"]["price"] == "25.3519"


def test_what_has_not_been_prepared_is_left_to_the_general_encoder() -> None:
    command = Command(1, 0, 0, 253_519, 100_000, 7, 0, 0, 1, 0, 1, 0, int(Kind.NEW), 1, 0)
    for change in (
        {"side": -1},
        {"flags": 2},
        {"qty": 0},
        {"instrument": 99},
        {"order_type": 9},
        {"id": -1},
        {"price": -1},
    ):
        assert BINANCE.write(put(command._replace(**change)), 1) is None
    writer = OrderWriter(TABLE, IDS, lambda entry, stamp: alpaca_trading.encode(entry).body)
    with pytest.raises(Unsupported, match="good-till-date"):
        writer.prepare(0, BUY, 0, NS)
    with pytest.raises(Unsupported, match="no post-only"):
        writer.prepare(0, BUY, 0, 0, True)
    assert writer.write(put(command), 1) is None
    assert msgspec.json.decode(bytes(WRITERS["alpaca"].write(put(command), 1) or b""))["qty"] == "1"
