"""What an outlet's kernel writes is what the general way sends, byte for byte, and what it must not write it leaves."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.live_session import AlpacaBench
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.mode import INTERPRET
from nanotick.core.records import BUY, SELL, Kind, OrderType, TimeInForce
from nanotick.core.secret import Secret
from nanotick.venues.http_client import encode_request
from nanotick.venues.limiter import RateLimiter, SlidingWindow
from nanotick.venues.outlet import MAX_HEAD, Outlet
from nanotick.wire import alpaca_trading, binance_orders
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.order_text import BinanceOrderWriter, OrderWriter
from nanotick.wire.requests import Command, Request, entry_of
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
FIXED = "Host: api.example\r\nAccept-Encoding: identity\r\n"
HEADERS = (("APCA-API-KEY-ID", "k" * 20), ("Content-Type", "application/json"))
KINDS = [(OrderType.LIMIT, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.IOC), (OrderType.MARKET, TimeInForce.IOC)]


def alpaca_body(entry, stamp):
    return alpaca_trading.encode(entry).body


def short_body(entry, stamp):
    return f"{entry.qty}@{entry.price}".encode()  # some two digits of length, some one


def long_body(entry, stamp):
    return alpaca_body(entry, stamp).ljust(1010)  # three digits or four, as its numbers are


BODIES = {"alpaca": alpaca_body, "short": short_body, "long": long_body}


def prepared(writer):
    for instrument in range(len(TABLE)):
        for side in (BUY, SELL):
            for order_type, tif in KINDS:
                writer.prepare(instrument, side, int(order_type), int(tif))
    return writer


def opened(outlet, passes=1):
    cell = memoryview(array("q", [passes]))
    outlet.limited(cell)
    outlet.set_open(True)
    return outlet


def head_of(headers=HEADERS):
    return encode_request(Request("POST", "/v2/orders", headers), FIXED)[: -len("0\r\n\r\n")]


POSTS = {name: opened(Outlet(prepared(OrderWriter(TABLE, IDS, body)), head_of())) for name, body in BODIES.items()}
SIGNED = opened(Outlet(prepared(BinanceOrderWriter(TABLE, IDS, SIGNER)), key=SIGNER.record()))


def order(instrument=0, kind=0, side=BUY, price=1_000, qty=100, ident=7, **more):
    order_type, tif = KINDS[kind]
    fields = {
        "ts": 1, "stop_price": 0, "seq": 0, "price": price, "qty": qty, "id": ident, "order_type": int(order_type),
        "tif": int(tif), "strategy": 1, "expire_s": 0, "instrument": instrument, "venue": 0, "kind": int(Kind.NEW),
        "side": side, "flags": 0,
    }  # fmt: skip
    return Command(**{**fields, **more})


ORDERS = st.builds(
    order, st.integers(0, 2), st.integers(0, 2), st.sampled_from([BUY, SELL]), st.integers(0, 10**12),
    st.integers(1, 10**15), st.integers(0, 2**63 - 1),
)  # fmt: skip


def written(outlet, command):
    size = outlet.write(bytes(command.record()))
    return bytes(outlet.data[:size]) if size else None


@given(st.sampled_from(sorted(BODIES)), ORDERS)
def test_a_post_is_the_one_that_the_general_encoders_make(name, command):
    entry = entry_of(command, TABLE[command.instrument], IDS.text(command.id))
    request = Request("POST", "/v2/orders", HEADERS, BODIES[name](entry, 0))
    found = written(POSTS[name], command)
    if name == "long":  # its blanks belong to the template
        assert found is not None and found.rstrip() == _of_length(found, request)
    else:
        assert found == encode_request(request, FIXED)


def _of_length(found, request):
    """The request, with as long a body as was found."""
    body = found.partition(b"\r\n\r\n")[2]
    assert body.rstrip() == request.body.rstrip()
    return encode_request(request._replace(body=body), FIXED).rstrip()


@given(ORDERS, st.integers(1, 2 * 10**18), st.integers(-(10**12), 10**12))
def test_a_signed_frame_is_the_one_that_the_general_encoder_makes(command, now, ahead):
    SIGNED.at(now)
    SIGNED.set_ahead(ahead)
    entry = entry_of(command, TABLE[command.instrument], IDS.text(command.id))
    stamp = (now + ahead) // 1_000_000
    if stamp >= 0:
        assert written(SIGNED, command) == binance_orders.encode(entry, entry.client, stamp, SIGNER)


def test_lengths_of_one_to_four_digits_were_among_them():
    sizes = set()
    for name, command in (
        ("short", order(price=1, qty=1)), ("short", order(price=10**12, qty=10**12)), ("alpaca", order()),
        ("long", order(price=1, qty=1, instrument=1)), ("long", order(price=10**12, qty=10**15, instrument=1)),
    ):  # fmt: skip
        found = written(POSTS[name], command)
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.endswith(b"Content-Length: %d" % len(body))
        sizes.add(len(str(len(body))))
    assert sizes >= {1, 2, 3, 4}


def test_what_must_not_go_out_is_left():
    outlet = POSTS["alpaca"]
    assert written(outlet, order())
    for change in ({"kind": int(Kind.CANCEL)}, {"qty": 0}, {"instrument": 99}, {"flags": 2}, {"tif": 3}):
        assert written(outlet, order()._replace(**change)) is None
    outlet.set_open(False)
    assert written(outlet, order()) is None
    outlet.set_open(True)
    cell = memoryview(array("q", [0]))
    outlet.limited(cell)
    assert written(outlet, order()) is None
    cell[0] = 1
    assert written(outlet, order())
    outlet.of(1)
    assert written(outlet, order()) is None and written(outlet, order(instrument=1))
    outlet.of(-1)


def test_a_head_that_is_too_long_and_a_key_that_is_missing_are_said():
    with pytest.raises(ValueError, match="at most 4,096 bytes, found 4,097"):
        Outlet(OrderWriter(TABLE, IDS, alpaca_body), b"x" * (MAX_HEAD + 1))
    with pytest.raises(ValueError, match="key"):
        Outlet(BinanceOrderWriter(TABLE, IDS, SIGNER))


def send_all(bench, *commands):
    """As a turn with these commands."""
    gateway, session = bench.session._gateway.view, bench.session
    for place, command in enumerate(commands):
        gateway.view(np.uint8)[64 * place : 64 * place + 64] = np.frombuffer(command.record(), np.uint8)
    session.row["gateway_count"] = len(commands)
    session.send(bench.runner)


def test_several_orders_of_a_turn_are_sent_before_any_is_booked_and_a_cancel_finds_its_order():
    with AlpacaBench() as bench:
        sent = []
        trader = bench.trader
        trader.keep_books()
        trader.limiter.look(bench.host.now())

        def hand_over(data, answer):
            sent.append((bytes(data), len(trader._working)))
            return True

        trader.hand_over = hand_over
        two = [order(n, 1, ident=100 + n, strategy=0) for n in range(2)]
        send_all(bench, *two)
        assert [working for _, working in sent] == [0, 0] and set(trader._working) == {100, 101}
        assert trader.counts.sent == 2 and not trader._unbooked
        assert trader._working[100].symbol == "SYM0" and trader._working[101].side == BUY
        third = order(2, 1, ident=102)
        send_all(bench, third, third._replace(kind=int(Kind.CANCEL)))
        assert trader._working[102].cancel_wanted  # goes out with the venue's id


def test_an_order_without_a_free_connection_waits_for_one():
    with AlpacaBench() as bench:
        [pool] = bench.host.pools.values()
        bench.trader.keep_books()
        bench.trader.limiter.look(bench.host.now())
        pool.idle.clear()
        before = bench.wire.count
        waiting = []
        bench.host.ask = lambda base, request, answer, timeout=0: waiting.append(request)
        send_all(bench, order(0, 1, ident=100))
        assert bench.wire.count == before and b"SYM0" in waiting[0].body
        assert set(bench.trader._working) == {100} and bench.trader.counts.sent == 1


@pytest.mark.skipif(INTERPRET, reason="the turn is compiled")
def test_a_turn_leaves_its_order_to_the_general_way_where_no_connection_is_free():
    with AlpacaBench() as bench:
        waiting = []
        bench.host.ask = lambda base, request, answer, timeout=0: waiting.append(request)
        bench.frame()
        [pool] = bench.host.pools.values()
        while not waiting:
            pool.idle.clear()
            bench.frame()
        assert len(bench.trader._working) == bench.trader.counts.sent == 1 and not bench.wire.count


@pytest.mark.skipif(INTERPRET, reason="the turn is compiled")
def test_a_session_that_counts_alone_in_its_file_of_limits_goes_the_short_way(tmp_path):
    with AlpacaBench() as bench:
        trader = bench.trader
        trader.limiter = RateLimiter([SlidingWindow(200, 60 * 10**9, charge="requests")], tmp_path / "limits")
        short, real = [], trader.send_written
        trader.send_written = lambda record, size: short.append(size) or real(record, size)
        while trader.counts.sent < 3:
            bench.frame()
        assert len(short) == 2  # but for the first, of which nobody knew whether it would pass
        trader.limiter.close()
