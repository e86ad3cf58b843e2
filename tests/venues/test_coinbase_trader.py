"""A Coinbase account over scripted links: cumulative states, fills told once whoever tells them, unknown outcomes."""

import ctypes
import json
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import Kind, OrderType, TimeInForce
from nanotick.core.secret import Secret
from nanotick.venues.coinbase.listing import listed, listed_in
from nanotick.venues.coinbase.served import private_key
from nanotick.venues.coinbase.trader import CoinbaseTrader, told_beyond
from nanotick.venues.working import NoLimit, TraderState
from nanotick.wire.coinbase_trading import BASE
from nanotick.wire.json_text import rfc3339_text
from nanotick.wire.reports import Report
from nanotick.wire.requests import Command, Response
from tests.venues.scripted import Delivered, S, ScriptedHost

TABLE = InstrumentTable([Instrument("BTC-USD", "COINBASE", 2, 8, "0.01", "0.00000001", currency="USD")])
ID = (1 << 20) | 5
ORDER = "11111111-2222-4333-8444-555555555555"
FIELDS = ("filled_qty", "busted_qty", "state", "pending", "seen", "ts_sent", "ts_accepted", "answer_ts",
          "pending_price", "pending_qty")  # fmt: skip
STAMP = "2026-04-07T14:30:01.456789Z"


class Account:
    def __init__(self):
        self.host, self.got, self.rows, self.number = ScriptedHost(), Delivered(), {}, 0
        self.position = 0
        self.trader = CoinbaseTrader(
            self.host, TABLE, "COINBASE", 7, self.rows.get, self._take, key="organizations/o/apiKeys/k",
            secret=Secret(private_key("a")), position=lambda number: self.position, limiter=NoLimit(),
            rest="https://c", stream="wss://c",
        )  # fmt: skip
        self.trader.watch.start = lambda: None  # questions for the time are tested in test_venue_clocks

    def _take(self, address, count):
        """As an engine would: book fills, each number once."""
        at = len(self.got.rows)
        self.got(address, count)
        for row in self.got.rows[at:]:
            if row["kind"] == Kind.FILL:
                seen = self.rows[int(row["id"])].setdefault("fills", set())
                if int(row["seq"]) not in seen:
                    seen.add(int(row["seq"]))
                    self.rows[int(row["id"])]["filled_qty"] += int(row["qty"])

    def say(self, channel, *events, number=None):
        if number is None:
            number, self.number = self.number, self.number + 1
        body = {"channel": channel, "client_id": "", "timestamp": STAMP, "sequence_num": number, "events": events}
        self.host.link.say(json.dumps(body))

    def state(self, filled, average="100", status="OPEN", fees="0", total="1", **more):
        left = "0" if status != "OPEN" else f"{Decimal(total) - Decimal(filled)}"
        row = {"order_id": ORDER, "client_order_id": self.trader.ids.text(ID), "cumulative_quantity": filled,
               "leaves_quantity": left, "avg_price": average, "total_fees": fees, "status": status,
               "product_id": "BTC-USD", "creation_time": STAMP, "order_side": "BUY", "order_type": "Limit",
               "time_in_force": "GOOD_UNTIL_CANCELLED"}  # fmt: skip
        self.say("user", {"type": "update", "orders": [row | more]})

    def rest(self, path, body=None, status=200):
        """Answer the oldest request, which must be of that path; gives its query."""
        _, request, answer = self.host.asked.pop(0)
        asked, _, query = request.path.partition("?")
        assert asked == BASE + path, asked
        assert any(name == "Authorization" for name, _ in request.headers)
        answer(Response(status, (), json.dumps(body or {}).encode()))
        return parse_qs(query) if query else json.loads(request.body) if request.body else {}

    def greet(self):
        self.number = 0
        self.host.link.accept()
        assert [json.loads(d)["channel"] for d in self.host.link.sent] == ["heartbeats", "user"]
        assert all(json.loads(d)["jwt"].count(".") == 2 for d in self.host.link.sent)
        self.say("subscriptions", {"subscriptions": {"user": ["x"]}})
        self.say("user", {"type": "snapshot", "orders": []})

    def accounts(self, btc="0", usd="1000"):
        rows = [{"currency": name, "available_balance": {"value": value, "currency": name},
                 "hold": {"value": "0", "currency": name}} for name, value in (("BTC", btc), ("USD", usd))]  # fmt: skip
        self.rest("/accounts", {"accounts": rows, "has_next": False, "cursor": ""})

    def ready(self):
        self.trader.start()
        self.host.run()
        self.greet()
        self.rest("/orders/historical/batch", {"orders": [], "has_next": False})
        self.rest("/orders/historical/fills", {"fills": [], "cursor": ""})
        self.accounts()
        assert self.trader.state == TraderState.READY, self.trader.reason
        return self

    def command(self, kind=Kind.NEW, price=10_000, qty=10**8):
        record = Command(0, 0, 0, price, qty, ID, int(OrderType.LIMIT), int(TimeInForce.GTC), 0, 0, 0, 0, int(kind), 1,
                         0).record()  # fmt: skip
        self._record = ctypes.create_string_buffer(record, 64)
        if kind == Kind.NEW:
            self.rows[ID] = dict.fromkeys(FIELDS, 0) | {"state": 2, "ts_sent": self.host.time, "pending": 1}
        self.trader.send(ctypes.addressof(self._record))

    def place(self):
        self.command()
        self.rest("/orders", {"success": True, "success_response": {"order_id": ORDER}})
        self.state("0")
        self.rows[ID] |= {"state": 3, "pending": 0}

    def kinds(self):
        return [Kind(kind) for kind in self.got.kinds()]


def fill(number, size, price="100", minute=31):
    return {"entry_id": f"e{number}", "trade_id": f"t{number}", "order_id": ORDER, "trade_type": "FILL",
            "trade_time": f"2026-04-07T14:{minute}:{number:02d}Z", "price": price, "size": size, "commission": "0.1",
            "product_id": "BTC-USD", "side": "BUY", "liquidity_indicator": "MAKER"}  # fmt: skip


@pytest.fixture
def account():
    return Account().ready()


def test_states_become_an_acceptance_and_fills(account):
    account.command()
    sent = account.rest("/orders", {"success": True, "success_response": {"order_id": ORDER}})
    held = sent["order_configuration"]["limit_limit_gtc"]
    assert (held["base_size"], held["limit_price"], sent["client_order_id"]) == (
        "1",
        "100",
        account.trader.ids.text(ID),
    )
    account.state("0")
    account.state("0.4", "100", fees="0.1")
    account.state("1", "100.6", "FILLED", fees="0.3")
    assert account.kinds() == [Kind.ACCEPTED, Kind.ACCEPTED, Kind.FILL, Kind.FILL]  # by answer and by channel
    first, second = account.got.rows[2:]
    assert (int(first["qty"]), int(first["price"])) == (40_000_000, 10_000)
    assert (int(second["qty"]), int(second["price"])) == (60_000_000, 10_100)  # (100.6 - 0.4 * 100) / 0.6


def test_the_same_state_told_twice_is_one_fill_and_a_stale_number_is_left_out(account):
    account.place()
    account.state("0.4")
    account.state("0.4")
    account.number -= 1
    account.state("0.9")  # an old number
    assert account.kinds().count(Kind.FILL) == 1


def test_a_missing_message_ends_the_connection_and_fills_are_told_once_whoever_tells_them(account):
    account.place()
    account.state("0.4")
    account.number += 1
    account.state("0.5")
    assert account.trader.sequence_gaps == 1 and account.trader.state == TraderState.CONNECTING
    account.host.run(S)
    account.greet()
    order = {"order_id": ORDER, "client_order_id": account.trader.ids.text(ID), "product_id": "BTC-USD",
             "side": "BUY", "status": "OPEN", "filled_size": "0.7", "average_filled_price": "100",
             "created_time": STAMP, "order_configuration": {"limit_limit_gtc": {"base_size": "1",
                                                                              "limit_price": "100"}}}  # fmt: skip
    account.rest("/orders/historical/batch", {"orders": [order], "has_next": False})
    account.rest("/orders/historical/fills", {"fills": [fill(4, "0.2")], "cursor": ""})
    # of the order everything: 0.1, 0.3 are booked as one of 0.4, then 0.1 and 0.2 are new
    asked = account.rest("/orders/historical/fills", {"fills": [fill(4, "0.2"), fill(3, "0.1"), fill(2, "0.3"),
                                                                fill(1, "0.1")], "cursor": ""})  # fmt: skip
    assert asked["order_ids"] == [ORDER]
    assert account.rows[ID]["filled_qty"] == 70_000_000
    account.state("0.7")  # and the channel says it again
    account.state("0.8")
    assert account.rows[ID]["filled_qty"] == 80_000_000
    account.position = 80_000_000


def test_of_a_history_only_what_is_not_booked_is_told():
    fills = [Report(int(Kind.FILL), "BTC-USD", n, "", ORDER, 1, "100", qty, f"t{n}", "0.2")
             for n, qty in enumerate(("1", "2", "3"))]  # fmt: skip
    assert [(f.qty, f.execution) for f in told_beyond(fills, Decimal(0))] == [
        ("1", f"{ORDER}:1"), ("2", f"{ORDER}:3"), ("3", f"{ORDER}:6")
    ]  # fmt: skip
    beyond = told_beyond(fills, Decimal("1.5"))
    assert [(f.qty, f.execution) for f in beyond] == [("1.5", f"{ORDER}:3"), ("3", f"{ORDER}:6")]
    assert Decimal(beyond[0].fee) == Decimal("0.15") and told_beyond(fills, Decimal(6)) == []


def test_a_cancel_waits_for_the_venue_s_id(account):
    account.command()
    account.command(Kind.CANCEL)
    assert len(account.host.asked) == 1
    account.rest("/orders", {"success": True, "success_response": {"order_id": ORDER}})
    account.host.run()
    asked = account.rest("/orders/batch_cancel", {"results": [{"success": True, "order_id": ORDER}]})
    assert asked["order_ids"] == [ORDER]
    account.state("0")
    account.state("0", status="CANCELLED")
    row = account.got.rows[-1]
    assert row["kind"] == Kind.CANCELLED and int(row["qty"]) == 10**8


def test_an_edit_keeps_the_order_and_its_answer_is_the_report(account):
    account.place()
    account.command(Kind.REPLACE_ORDER, price=9_900, qty=2 * 10**8)
    asked = account.rest("/orders/edit", {"success": True, "errors": []})
    assert (asked["order_id"], asked["price"], asked["size"]) == (ORDER, "99", "2")
    row = account.got.rows[-1]
    assert row["kind"] == Kind.REPLACED and (int(row["price"]), int(row["qty"])) == (9_900, 2 * 10**8)


def test_an_order_whose_answer_is_lost_is_looked_for_by_its_client_id(account):
    account.command()
    account.rest("/orders", status=502)
    assert account.kinds() == [Kind.UNKNOWN]
    account.host.run(S)
    order = {"order_id": ORDER, "client_order_id": account.trader.ids.text(ID), "product_id": "BTC-USD",
             "side": "BUY", "status": "OPEN", "filled_size": "0", "created_time": rfc3339_text(account.host.time),
             "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": "100"}}}  # fmt: skip
    asked = account.rest("/orders/historical/batch", {"orders": [order | {"client_order_id": "x"}, order]})
    assert "start_date" in asked
    assert account.kinds() == [Kind.UNKNOWN, Kind.ACCEPTED] and account.trader.unknown == 0


def test_a_refusal_says_why(account):
    account.command()
    account.rest("/orders", {"success": False, "error_response": {"error": "INSUFFICIENT_FUND", "message": "no"}})
    assert account.kinds() == [Kind.REJECTED] and account.trader.unknown == 0


def test_what_coinbase_lists_has_its_scales():
    row = {"product_id": "BTC-USD", "price_increment": "0.01", "base_increment": "0.00000001", "base_min_size": "0.001",
           "base_max_size": "3400", "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT",
           "alias_to": ["BTC-USDC"]}  # fmt: skip
    found = listed_in(json.dumps({"products": [row, row | {"product_id": "X", "product_type": "FUTURE"}]}).encode())
    item, rules = found["BTC-USD"]
    assert list(found) == ["BTC-USD"] and (item.price_decimals, item.qty_decimals, item.currency) == (2, 8, "USD")
    assert rules.trading and rules.alias_to == ("BTC-USDC",)
    host, told = ScriptedHost(), []
    listed(host, "https://c", ["BTC/USD"], lambda found, why: told.append((found, why)))
    host.answer(200, json.dumps({"products": [row]}).encode())
    assert told == [(None, "https://c: lists no BTC/USD; symbols are written as BTC-USD")]


def test_prices_beyond_a_thousand_and_averages_between_ticks_are_read(account):
    account.command(price=9_600_000)
    account.rest("/orders", {"success": True, "success_response": {"order_id": ORDER}})
    account.state("0.3", "96001.28571429")
    account.state("1", "96003.47368421", "FILLED")
    fills = [row for row in account.got.rows if row["kind"] == Kind.FILL]
    assert [int(row["qty"]) for row in fills] == [30_000_000, 70_000_000]
    assert [int(row["price"]) for row in fills] == [9_600_129, 9_600_441]
