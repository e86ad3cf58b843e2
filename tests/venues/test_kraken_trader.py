"""A Kraken account over scripted links: token, orders with a deadline, executions, dead-man switch, unknowns."""

import base64
import ctypes
import json
from urllib.parse import parse_qsl

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import CommandFlag, Kind, OrderType, RejectReason, ReportFlag, TimeInForce
from nanotick.core.secret import Secret
from nanotick.venues.kraken.listing import listed
from nanotick.venues.kraken.names import asset_of, symbols_of
from nanotick.venues.kraken.trader import KrakenTrader
from nanotick.venues.limiter import Decaying, RateLimiter
from nanotick.venues.working import NoLimit, TraderState
from nanotick.wire.json_text import rfc3339_ns, rfc3339_text
from nanotick.wire.requests import Command, Response
from tests.venues.scripted import MS, Delivered, S, ScriptedHost

TABLE = InstrumentTable([Instrument("BTC/USD", "KRAKEN", 1, 8, "0.1", "0.0001", currency="USD"),
                         Instrument("ETH/USD", "KRAKEN", 2, 8, "0.01", "0.001", currency="USD")])  # fmt: skip
SECRET = base64.b64encode(b"a secret of the account").decode()
ID = (1 << 20) | 5
FIELDS = (
    "filled_qty", "busted_qty", "state", "pending", "seen", "ts_sent", "ts_accepted", "answer_ts", "pending_price",
    "pending_qty",
)  # fmt: skip
ORDER = "OABCDE-12345-FGHIJK"


class Account:
    """A trader with the other end of its links and requests, and a stand-in for the engine's orders."""

    def __init__(self, limiter=None, positions=None, **settings):
        self.host, self.got = ScriptedHost(), Delivered()
        self.rows, self.positions, self.sequence = {}, positions or {}, 0
        self.trader = KrakenTrader(
            self.host, TABLE, "KRAKEN", 7, self.rows.get, self.got, key="the-key", secret=Secret(SECRET),
            position=lambda number: self.positions.get(number, 0), limiter=limiter or NoLimit(),
            rest="https://k", stream="wss://k", **settings,
        )  # fmt: skip
        self.trader.watch.start = lambda: None  # questions for the time are tested in test_venue_clocks

    @property
    def link(self):
        return self.host.link

    # what was asked

    def sent(self, method, link=None):
        asked = [json.loads(data) for data in (link or self.link).sent]
        return next(message for message in reversed(asked) if message["method"] == method)

    def count(self, method):
        return sum(json.loads(data)["method"] == method for link in self.host.links for data in link.sent)

    def rest(self, name, result=None, errors=(), status=200):
        """Answer the oldest REST request, which must be of that name; gives its parameters."""
        _, request, _ = self.host.asked[0]
        assert request.path == f"/0/private/{name}", request.path
        body = {"error": list(errors)} | ({} if result is None else {"result": result})
        self.host.asked.pop(0)[2](Response(status, (), json.dumps(body).encode()))
        return dict(parse_qsl(request.body.decode()))

    # what is said

    def say(self, message):
        self.link.say(json.dumps(message))

    def reply(self, asked, result=None, error=""):
        body = {"method": asked["method"], "req_id": asked["req_id"], "success": not error}
        self.say(body | ({"error": error} if error else {"result": result or {}}))

    def execution(self, kind, client=True, **more):
        self.sequence += 1
        item = {"exec_type": kind, "order_id": ORDER, "timestamp": rfc3339_text(self.host.time), **more}
        if client:
            item |= {"cl_ord_id": self.trader.ids.text(ID), "symbol": "BTC/USD", "side": "buy", "order_qty": 1.0}
        self.say({"channel": "executions", "type": "update", "sequence": self.sequence, "data": [item]})

    def fill(self, execution, qty, filled, client=False, fee="0.1"):
        self.execution("trade", client, exec_id=execution, last_qty=qty, last_price=10.0, cum_qty=filled,
                       liquidity_ind="m", fees=[{"asset": "USD", "qty": float(fee)}])  # fmt: skip

    def greet(self, token="the-token"):
        self.host.run()
        self.link.accept()
        self.rest("GetWebSocketsToken", {"token": token, "expires": 900})
        asked = self.sent("subscribe")
        assert asked["params"]["token"] == token and asked["params"]["snap_orders"]
        self.reply(asked, {"channel": "executions"})
        self.sequence = 1
        self.say({"channel": "executions", "type": "snapshot", "sequence": 1, "data": []})

    def reconcile(self, orders=None, fills=None, balances=None):
        self.rest("OpenOrders", {"open": orders or {}})
        self.rest("TradesHistory", {"trades": fills or {}, "count": len(fills or {})})
        self.rest("Balance", balances or {"ZUSD": "1000.0", "XXBT": "0.0"})

    def ready(self):
        self.trader.start()
        self.greet()
        self.reconcile()
        assert self.trader.state == TraderState.READY, self.trader.reason
        return self

    def command(self, kind=Kind.NEW, number=ID, price=100, qty=10**8, tif=TimeInForce.GTC, flags=0, instrument=0,
                order_type=OrderType.LIMIT):  # fmt: skip
        record = Command(0, 0, 0, price, qty, number, int(order_type), int(tif), 0, 0, instrument, 0, int(kind), 1,
                         int(flags)).record()  # fmt: skip
        self._record = ctypes.create_string_buffer(record, 64)
        if kind == Kind.NEW:
            self.rows[number] = dict.fromkeys(FIELDS, 0) | {"state": 2, "ts_sent": self.host.time, "pending": 1}
        self.trader.send(ctypes.addressof(self._record))

    def place(self):
        self.command()
        self.reply(self.sent("add_order"), {"order_id": ORDER, "cl_ord_id": self.trader.ids.text(ID)})
        self.execution("new", order_status="new")

    def kinds(self):
        return [Kind(kind) for kind in self.got.kinds()]


@pytest.fixture
def account():
    return Account().ready()


def test_names_of_assets_and_pairs():
    names = symbols_of(["BTC/USD", "ETH/BTC", "DOGE/USDT"])
    assert {names[n] for n in ("XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD")} == {"BTC/USD"}
    assert names["XETHXXBT"] == names["ETHXBT"] == "ETH/BTC" and names["XDGUSDT"] == "DOGE/USDT"
    assert [asset_of(n) for n in ("XXBT", "ZEUR", "XXDG", "XTZ", "ZRX", "USDT")] == [
        "BTC", "EUR", "DOGE", "XTZ", "ZRX", "USDT"
    ]  # fmt: skip


def test_every_connection_has_a_token_of_its_own(account):
    account.link.drop()
    assert account.trader.state == TraderState.CONNECTING
    account.host.run(6 * S)
    account.greet("another-token")
    account.reconcile()
    account.command()
    assert account.sent("add_order")["params"]["token"] == "another-token"


def test_nonces_rise_and_requests_wait_for_each_other():
    account = Account()
    account.trader.start()
    account.host.run()
    account.link.accept()
    seen = []
    account.trader.private.ask("Balance", {}, lambda response: None)
    for name in ("GetWebSocketsToken", "Balance"):
        assert len(account.host.asked) == 1  # the other waits: nonces must not overtake each other
        seen.append(int(account.rest(name, {"token": "t"} if name != "Balance" else {})["nonce"]))
    assert seen[0] < seen[1]


def test_a_nonce_that_was_overtaken_is_asked_again(account):
    told = []
    account.trader.private.ask("Balance", {}, lambda response: told.append(response))
    first = account.rest("Balance", errors=["EAPI:Invalid nonce"])
    again = account.rest("Balance", {"ZUSD": "1"})
    assert len(told) == 1 and int(again["nonce"]) > int(first["nonce"])


def test_a_wrong_key_is_denied():
    account = Account()
    account.trader.start()
    account.host.run()
    account.link.accept()
    account.rest("GetWebSocketsToken", errors=["EAPI:Invalid key"])
    assert "Invalid key" in account.trader.stream.error
    account.host.run(60 * S)
    assert len(account.host.links) == 1


def test_an_order_has_a_deadline_and_its_executions_become_reports(account):
    account.command(flags=CommandFlag.POST_ONLY)
    params = account.sent("add_order")["params"]
    assert rfc3339_ns(params["deadline"]) == account.host.time + 5 * S
    assert (params["limit_price"], params["order_qty"], params["post_only"]) == (10, 1, True)
    assert params["cl_ord_id"] == account.trader.ids.text(ID) and len(params["cl_ord_id"]) == 18
    account.reply(account.sent("add_order"), {"order_id": ORDER})
    account.execution("new", order_status="new")
    account.fill("TAAAAA-BBBBB-CCCCCC", 0.4, 0.4)
    account.fill("TAAAAA-BBBBB-DDDDDD", 0.6, 1.0)
    account.execution("filled", False, order_status="filled")
    assert account.kinds() == [Kind.ACCEPTED, Kind.FILL, Kind.FILL]
    fill = account.got.rows[1]
    assert (int(fill["qty"]), int(fill["id"]), int(fill["price"])) == (40_000_000, ID, 100)
    assert int(fill["word"]) == 10**8  # 0.1 USD at the value scale of 9 decimals


def test_an_execution_told_twice_has_the_same_number(account):
    account.place()
    account.fill("TAAAAA-BBBBB-CCCCCC", 0.4, 0.4)
    account.fill("TAAAAA-BBBBB-CCCCCC", 0.4, 0.4)
    numbers = [int(row["seq"]) for row in account.got.rows if row["kind"] == Kind.FILL]
    assert numbers[0] == numbers[1]  # the engine books it once


@pytest.mark.parametrize(("error", "reason"), [
    ("EService:Deadline elapsed", RejectReason.TOO_LATE), ("EOrder:Insufficient funds", RejectReason.OTHER),
    ("EOrder:Post only order", RejectReason.POST_ONLY_WOULD_CROSS),
])  # fmt: skip
def test_refusals_are_definite(account, error, reason):
    account.command()
    account.reply(account.sent("add_order"), error=error)
    assert account.kinds() == [Kind.REJECTED] and int(account.got.rows[0]["word"]) == reason
    account.host.run(30 * S)
    assert account.host.asked == [] and account.trader.unknown == 0


def test_a_replace_is_an_amend_that_keeps_the_order(account):
    account.place()
    account.command(Kind.REPLACE_ORDER, price=99, qty=2 * 10**8)
    params = account.sent("amend_order")["params"]
    assert (params["order_id"], params["limit_price"], params["order_qty"]) == (ORDER, 9.9, 2)
    account.reply(account.sent("amend_order"), {"amend_id": "TX", "order_id": ORDER})
    account.execution("amended", limit_price=9.9, order_status="new")
    assert account.kinds()[-1] == Kind.REPLACED and int(account.got.rows[-1]["price"]) == 99


def test_a_cancel_goes_by_the_venue_s_id_and_its_execution_ends_the_order(account):
    account.command()
    account.command(Kind.CANCEL)
    assert account.sent("cancel_order")["params"]["cl_ord_id"] == [account.trader.ids.text(ID)]
    account.reply(account.sent("add_order"), {"order_id": ORDER})
    account.execution("new", order_status="new")
    account.command(Kind.CANCEL)
    assert account.sent("cancel_order")["params"]["order_id"] == [ORDER]
    account.execution("canceled", False, order_status="canceled", cum_qty=0.4)
    assert account.kinds()[-1] == Kind.CANCELLED and int(account.got.rows[-1]["qty"]) == 60_000_000


def test_without_a_connection_a_cancel_goes_over_rest_and_an_order_not_at_all(account):
    account.place()
    account.link.drop()
    account.command(Kind.CANCEL)
    assert account.rest("CancelOrder", {"count": 1})["txid"] == ORDER
    account.command(number=ID + 1)
    assert account.kinds()[-1] == Kind.REJECTED and account.count("add_order") == 1


def test_a_missing_message_ends_the_connection_and_the_next_compares(account):
    account.place()
    account.sequence += 1
    account.fill("TAAAAA-BBBBB-CCCCCC", 0.4, 0.4)
    assert account.trader.sequence_gaps == 1 and account.trader.state == TraderState.CONNECTING
    account.host.run(6 * S)
    account.greet()
    assert account.trader.state == TraderState.RECONCILING
    order = {"refid": None, "cl_ord_id": account.trader.ids.text(ID), "status": "open", "opentm": 1700000000.1,
             "vol": "1", "vol_exec": "0.4", "price": "10", "stopprice": "0", "timeinforce": "GTC",
             "descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "limit",
                       "price": "10", "price2": "0"}}  # fmt: skip
    account.rest("OpenOrders", {"open": {ORDER: order}})
    trade = {"ordertxid": ORDER, "pair": "XXBTZUSD", "time": 1700000001.5, "type": "buy", "ordertype": "limit",
             "price": "10", "cost": "4", "fee": "0.1", "vol": "0.4", "maker": True}  # fmt: skip
    account.rest("TradesHistory", {"trades": {"TAAAAA-BBBBB-CCCCCC": trade}, "count": 1})
    fills = [int(row["seq"]) for row in account.got.rows if row["kind"] == Kind.FILL]
    assert len(fills) == 2 and fills[0] == fills[1]  # told by both, with one number
    account.rows[ID] |= {"filled_qty": 40_000_000, "pending": 0}
    account.positions[0] = 40_000_000
    while account.host.asked:
        account.rest(account.host.asked[0][1].path.rpartition("/")[2], {"XXBT": "0.4", "ZUSD": "995.9"})
    assert account.trader.state == TraderState.READY, account.trader.reason


@pytest.mark.parametrize("how", ["timeout", "EGeneral:Internal error", "lost"])
def test_no_answer_is_unknown_and_is_settled_by_asking(account, how):
    account.command()
    if how == "timeout":
        for _ in range(60):
            account.host.run(100 * MS)
            account.link.say('{"channel":"heartbeat"}')
    elif how == "lost":
        account.link.drop()  # REST answers still
    else:
        account.reply(account.sent("add_order"), error=how)
    assert Kind.UNKNOWN in account.kinds() and Kind.REJECTED not in account.kinds()
    account.host.run(S)
    order = {"cl_ord_id": account.trader.ids.text(ID), "status": "open", "vol": "1", "vol_exec": "0", "price": "0",
             "descr": {"pair": "XBTUSD", "type": "buy", "ordertype": "limit",
                       "price": "10", "price2": "0"}}  # fmt: skip
    asked = account.rest("OpenOrders", {"open": {ORDER: order}})
    assert asked["cl_ord_id"] == account.trader.ids.text(ID)
    row = account.got.rows[-1]
    assert row["kind"] == Kind.ACCEPTED and int(row["flags"]) & ReportFlag.STATUS
    assert account.count("add_order") == 1


def test_not_found_is_believed_after_three_answers_fifteen_seconds_and_a_cancel(account):
    account.command()
    account.reply(account.sent("add_order"), error="EService:Timeout")
    began, absent = account.host.time, 0
    for _ in range(600):
        if Kind.REJECTED in account.kinds():
            break
        account.host.run(100 * MS)
        account.link.say('{"channel":"heartbeat"}')
        while account.host.asked:
            name = account.host.asked[0][1].path.rpartition("/")[2]
            absent += name == "ClosedOrders"
            account.rest(name, {"open": {}, "closed": {}, "trades": {}})
        if account.count("cancel_order"):
            assert absent >= 3 and account.host.time - began >= 14 * S
            account.reply(account.sent("cancel_order"), error="EOrder:Unknown order")
    assert account.kinds()[-1] == Kind.REJECTED and account.trader.unknown == 0


def test_the_dead_man_switch_is_renewed_while_connected_and_switched_off_at_the_end(account):
    assert account.sent("cancel_all_orders_after")["params"]["timeout"] == 60
    for _ in range(60):
        account.host.run(S)
        account.say({"channel": "heartbeat"})
        while account.host.asked:
            account.rest(account.host.asked[0][1].path.rpartition("/")[2], {"open": {}, "trades": {}, "ZUSD": "1000"})
    assert account.count("cancel_all_orders_after") == 4
    account.trader.stop()
    assert account.sent("cancel_all_orders_after")["params"]["timeout"] == 0
    left = Account().ready()
    left.place()
    left.trader.stop()  # orders are left: the venue shall cancel them
    assert left.sent("cancel_all_orders_after")["params"]["timeout"] == 60


def test_cancels_of_young_orders_cost_more_and_have_a_reserve():
    account = Account(limiter=RateLimiter([Decaying(60, 1.0, key="BTC/USD")])).ready()
    sent = 0
    for number in range(60):
        account.command(number=ID + number)
        sent += 1
    accepted = account.count("add_order")
    assert accepted == 48  # 20 % are kept for cancels
    assert account.kinds() == [Kind.REJECTED] * (sent - accepted)
    account.command(Kind.CANCEL)  # costs 8: 48 + 8 are within 60
    assert account.count("cancel_order") == 1
    account.command(Kind.CANCEL, number=ID + 1)  # not any more; it goes out when the counter has fallen
    assert account.count("cancel_order") == 1
    account.host.run(5 * S)
    assert account.count("cancel_order") == 2


def test_over_the_engine_s_limit_a_cancel_is_sent_again_and_an_order_is_refused(account):
    account.place()
    account.command(Kind.CANCEL)
    account.reply(account.sent("cancel_order"), error="EOrder:Rate limit exceeded")
    account.host.run(S + MS)
    assert account.count("cancel_order") == 2


def test_settings_that_kraken_has_not_are_refused():
    for settings, words in (({"deadline": 0.1}, "deadline"), ({"dead_man": 2}, "dead_man"), ({"tier": "x"}, "tier")):
        with pytest.raises(ValueError, match=words):
            Account(**settings)


def test_what_kraken_lists_has_its_scales():
    host, told = ScriptedHost(), []
    listed(host, "https://k", ["BTC/USDT"], lambda found, why: told.append((found, why)))
    pair = {"altname": "XBTUSDT", "wsname": "XBT/USDT", "base": "XXBT", "quote": "USDT", "pair_decimals": 1,
            "lot_decimals": 8, "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1",
            "status": "online"}  # fmt: skip
    body = {"error": [], "result": {"XBTUSDT": pair, "DARK": {**pair, "wsname": ""}}}
    host.answer(200, json.dumps(body).encode())
    (found, why), *_ = told
    item, rules = found["BTC/USDT"]
    assert why == "" and list(found) == ["BTC/USDT"] and (rules.base, rules.trading) == ("BTC", True)
    assert (item.price_decimals, item.qty_decimals, item.tick_size, item.min_qty) == (1, 8, "0.1", "0.00005")
    listed(host, "https://k", ["XBT/USDT"], lambda found, why: told.append((found, why)))
    host.answer(200, json.dumps(body).encode())
    assert told[1] == (None, "https://k: lists no XBT/USDT; symbols are written as BTC/USD")


def test_a_token_that_is_no_longer_good_is_replaced_and_the_cancel_is_sent_again(account):
    account.place()
    account.command(Kind.CANCEL)
    refused = account.sent("cancel_order")
    first = account.link
    account.reply(refused, error="ESession:Invalid session")
    assert account.trader.state != TraderState.BROKEN and first.is_closed
    account.host.run(3 * S)  # meanwhile there is no connection: over REST
    assert account.rest("CancelOrder", {"count": 1})["txid"] == ORDER


def test_an_amend_that_is_told_while_another_is_on_its_way_does_not_confirm_that_one(account):
    account.place()
    row = account.rows[ID]
    row |= {"state": 5, "pending": 4, "pending_price": 120, "pending_qty": 10**8, "price": 100, "qty": 10**8}
    before = len(account.got.rows)
    account.execution("amended", limit_price=11.0, order_status="new")
    assert len(account.got.rows) == before and account.trader.unknown == 1
    account.execution("amended", limit_price=12.0, order_status="new")
    assert account.kinds()[-1] == Kind.REPLACED and int(account.got.rows[-1]["price"]) == 120
