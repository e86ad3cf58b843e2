"""A venue's frames through codec and order state machine: each fill is booked once, whatever tells it and how often."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import EVENT, Kind
from nanotick.orders import OrderChange, OrderState
from nanotick.wire import (
    alpaca_server,
    alpaca_trading,
    binance_reports,
    binance_server,
    coinbase_server,
    coinbase_trading,
    kraken_server,
    kraken_trading,
)
from nanotick.wire.client_ids import ClientIds
from nanotick.wire.messages import Other, Sequence
from nanotick.wire.reports import OrderStatus, Reply, Report, ReportRows
from tests.orders.play import Played, event

IDS = ClientIds(3)
CLIENT = IDS.text(5)
T = 1_700_000_000_000_000_000
ROWS = ReportRows(InstrumentTable([Instrument("ABC", "V")]), "V", IDS)
HEAD = ("ABC", T, CLIENT, "28", 1)
ACCEPTED = Report(int(Kind.ACCEPTED), *HEAD, "10.05", "10")
FILL = Report(int(Kind.FILL), *HEAD, "10.05", "4", "77")
GONE = Report(int(Kind.CANCELLED), *HEAD, qty="6")


def status(state: str, filled: str, is_open: bool) -> OrderStatus:
    average = "10.05" if filled != "0" else "0"
    return OrderStatus("ABC", CLIENT, "28", 1, 0, 0, "10.05", "", "10", filled, state, is_open, T, average)


def alpaca() -> "list[bytes]":
    return [
        alpaca_server.encode_update(ACCEPTED, status("new", "0", True)),
        alpaca_server.encode_update(FILL, status("partially_filled", "4", True)),
        alpaca_server.encode_update(GONE, status("canceled", "4", False)),
    ]


def binance() -> "list[bytes]":
    return [
        binance_server.encode_event(binance_server.execution_report(report, status(state, filled, is_open), "web_1"))
        for report, state, filled, is_open in (
            (ACCEPTED, "NEW", "0", True), (FILL, "PARTIALLY_FILLED", "4", True), (GONE, "CANCELED", "4", False),
        )
    ]  # fmt: skip


def kraken() -> "list[bytes]":
    return [
        kraken_server.encode_executions([(report, status(state, filled, is_open))], n)
        for n, (report, state, filled, is_open) in enumerate(
            ((ACCEPTED, "new", "0", True), (FILL, "partially_filled", "4", True), (GONE, "canceled", "4", False))
        )
    ]


def coinbase() -> "list[bytes]":
    steps = (("OPEN", "0", True), ("OPEN", "4", True), ("CANCELLED", "4", False))
    return [coinbase_server.encode_orders([status(*step)], ["0"], n, T) for n, step in enumerate(steps)]


SESSIONS: dict[str, tuple[Any, Any]] = {
    "alpaca": (alpaca, lambda: alpaca_trading.decode_stream),
    "binance": (binance, lambda: binance_reports.UserEvents().decode_frame),
    "kraken": (kraken, lambda: kraken_trading.Executions().decode_frame),
    "coinbase": (coinbase, lambda: coinbase_trading.UserOrders(2).decode_frame),
}


def played(reports: "list[Report]") -> np.ndarray:
    rows = [event(Kind.NEW, qty=10, price=1005)]
    for report in reports:
        data = ROWS.row(report, T + 1)
        assert data is not None
        row = np.frombuffer(data, dtype=EVENT).copy()
        assert row["id"][0] == 5
        row["id"] = 0  # the order made last
        rows.append(row)
    return Played(1 << 10, arena_size=1 << 24)(np.concatenate(rows))


@pytest.mark.parametrize("venue", SESSIONS)
@pytest.mark.parametrize("times", [1, 2])
def test_an_order_s_life_over_the_wire_ends_as_the_venue_says(venue, times) -> None:
    frames, decoder = SESSIONS[venue]
    decode = decoder()
    found = [m for frame in frames() for _ in range(times) for m in decode(frame)]
    assert all(isinstance(m, Report | Sequence | Other) for m in found)
    steps = played([m for m in found if isinstance(m, Report)])
    end = steps[-1]
    assert (end["state"], end["filled_qty"], end["cancelled_qty"], end["fills"]) == (OrderState.CANCELLED, 4, 6, 1)
    assert not np.any(steps["result"][1:] & int(OrderChange.BREAK))


def test_a_fill_told_by_stream_reply_and_history_is_one_fill() -> None:
    (streamed,) = binance_reports.UserEvents().decode_frame(binance()[1])
    fill = {"price": "10.05", "qty": "4", "commission": "0", "commissionAsset": "USD", "tradeId": 77}
    placed = binance_server.ack_body("ABC", "28", CLIENT, T) | {"status": "PARTIALLY_FILLED", "side": "BUY",
        "price": "10.05",
                                                               "origQty": "10", "executedQty": "4",
                                                               "fills": [fill]}  # fmt: skip
    reply, accepted, answered = binance_reports.UserEvents().decode_frame(binance_server.encode_result("r", placed))
    _, historic = binance_reports.decode_reply(200, binance_server.rest_response([binance_server.fill_body(FILL)]).body)
    assert isinstance(reply, Reply) and isinstance(accepted, Report) and isinstance(streamed, Report)
    assert isinstance(answered, Report) and isinstance(historic, Report) and historic.client == ""
    # history names the venue's id alone: whoever keeps the map of ids puts ours in
    steps = played([streamed, accepted, answered, replace(historic, client=CLIENT)])
    assert steps[-1]["fills"] == 1 and steps[-1]["filled_qty"] == 4
    assert not np.any(steps["result"][1:] & int(OrderChange.BREAK))
