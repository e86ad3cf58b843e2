"""A Binance account over scripted links: log-on, orders, answers, what is not answered, reconnection, balances."""

import json

import pytest

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, RejectReason, ReportFlag, TimeInForce
from nanotick.core.secret import Secret
from nanotick.orders.records import FILLED
from nanotick.venues.binance.trader import BinanceTrader
from nanotick.venues.limits import limits_of
from nanotick.venues.working import NoLimit, TraderConfig, TraderState
from nanotick.wire.requests import Command
from nanotick.wire.signing import BinanceHmac, sorted_text
from tests.venues.scripted import MS, Delivered, S, ScriptedHost

TABLE = InstrumentTable([Instrument("BTCUSDT", "BINANCE", 2, 8, "0.01", "0.00001", currency="USDT"),
                         Instrument("ETHUSDT", "BINANCE", 2, 8, "0.01", "0.0001", currency="USDT"),
                         Instrument("ETHBTC", "BINANCE", 5, 5, "0.00001", "0.0001", currency="BTC")])  # fmt: skip
KEY, SECRET = "the-api-key", "the-secret-of-the-key"
ID = (1 << 20) | 5
BEHIND = 300 * MS  # of our clock
FIELDS = (
    "qty", "filled_qty", "busted_qty", "state", "pending", "seen", "ts_sent", "ts_accepted", "answer_ts",
    "pending_price", "pending_qty",
)  # fmt: skip


class Account:
    """A trader with the other end of its links, and a stand-in for the engine's orders."""

    def __init__(self, secret=SECRET, positions=None, **settings):
        self.host, self.got = ScriptedHost(), Delivered()
        self.rows, self.positions, self.states = {}, positions or {}, []
        self.trader = BinanceTrader(
            self.host, TABLE, "BINANCE", 7, self.rows.get, self.got, key=KEY, secret=Secret(secret),
            position=lambda number: self.positions.get(number, 0), limiter=NoLimit(), **settings,
        )  # fmt: skip
        self.trader.on_state = lambda trader: self.states.append(trader.state.name)
        self.done = {}

    @property
    def link(self):
        return self.host.link

    def sent(self, method, link=None):
        """The latest request of a method, and its parameters."""
        asked = [json.loads(data) for data in (link or self.link).sent]
        return next(message for message in reversed(asked) if message["method"] == method)

    def reply(self, request, result=None, error=None, status=200, **more):
        body = {"id": request["id"], "status": status, **more}
        body |= {"error": error} if error else {"result": result}
        self.link.say(json.dumps(body))

    def answer(self, method, result=None, **more):
        self.reply(self.sent(method), result, **more)

    def event(self, kind="NEW", state="NEW", client=None, order=28, **more):
        client = client or self.trader.ids.text(ID)
        now = (self.host.time + BEHIND) // MS
        event = {"e": "executionReport", "E": now, "s": "BTCUSDT", "c": client, "S": "BUY", "o": "LIMIT", "f": "GTC",
                 "q": "1.0", "p": "100.0", "P": "0", "C": "", "x": kind, "X": state, "r": "NONE", "i": order,
                 "l": "0", "z": "0", "L": "0", "n": "0", "N": None, "T": now, "t": -1,
                 "w": True, "m": False, "O": now}  # fmt: skip
        self.link.say(json.dumps({"subscriptionId": 0, "event": event | more}))

    def fill(self, trade, qty, price="100.0", fee="0.001", asset="BTC", state="PARTIALLY_FILLED", **more):
        self.event("TRADE", state, l=qty, z=qty, L=price, n=fee, N=asset, t=trade, m=True, **more)

    def greet(self):
        self.host.run()
        self.link.accept()
        self.answer("time", {"serverTime": (self.host.time + BEHIND) // MS})
        self.answer("userDataStream.subscribe.signature", {"subscriptionId": 0})

    def reconcile(self, orders=(), balances=None, fills=None):
        self.answer("openOrders.status", list(orders))
        if fills is not None:
            self.answer("myTrades", fills)
        held = balances or {"USDT": "1000", "BTC": "0", "ETH": "0"}
        rows = [{"asset": name, "free": free, "locked": "0"} for name, free in held.items()]
        self.answer("account.status", {"balances": rows})

    def ready(self, **more):
        self.trader.start()
        self.greet()
        self.reconcile(**more)
        assert self.trader.state == TraderState.READY, self.trader.reason
        return self

    def command(self, kind=Kind.NEW, number=ID, price=10_000, qty=10**8, tif=TimeInForce.GTC, flags=0, instrument=0,
                order_type=OrderType.LIMIT):  # fmt: skip
        record = Command(0, 0, 0, price, qty, number, int(order_type), int(tif), 0, 0, instrument, 0, int(kind), 1,
                         int(flags)).record()  # fmt: skip
        import ctypes

        self._record = ctypes.create_string_buffer(record, 64)
        if kind == Kind.NEW:
            self.rows[number] = dict.fromkeys(FIELDS, 0) | {
                "state": 2, "ts_sent": self.host.time, "pending": 1, "qty": qty,
            }  # fmt: skip
        self.trader.send(ctypes.addressof(self._record))

    def place(self, **more):
        """An order that the venue takes."""
        self.command(**more)
        sent = self.sent("order.place")
        self.reply(sent, {"symbol": sent["params"]["symbol"], "orderId": 28, "clientOrderId": sent["id"],
                          "transactTime": 1})  # fmt: skip

    def kinds(self):
        return [Kind(kind) for kind in self.got.kinds()]


@pytest.fixture
def account():
    return Account().ready()


def test_the_clock_is_set_before_the_user_stream_is_signed(account):
    sent = account.sent("userDataStream.subscribe.signature")["params"]
    assert sent["timestamp"] == (account.host.time + BEHIND) // MS
    assert account.states == ["CONNECTING", "RECONCILING", "READY"]
    assert account.trader.status()["clock_offset_ns"] == pytest.approx(BEHIND, abs=MS)


def test_an_order_is_signed_and_its_answer_and_events_become_reports(account):
    account.command()
    sent = account.sent("order.place")
    params = {name: str(value) for name, value in sent["params"].items()}
    signature = params.pop("signature")
    assert BinanceHmac(KEY, Secret(SECRET)).sign(sorted_text(params).encode()) == signature
    assert params["timestamp"] == str((account.host.time + BEHIND) // MS) and params["quantity"] == "1"
    assert sent["id"] == params["newClientOrderId"] == account.trader.ids.text(ID)
    account.reply(sent, {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": sent["id"], "transactTime": 1})
    account.event()
    account.fill(5, "0.4")
    assert account.kinds() == [Kind.ACCEPTED, Kind.ACCEPTED, Kind.FILL]
    fill = account.got.rows[-1]
    assert (int(fill["seq"]), int(fill["qty"]), int(fill["id"])) == (5, 40_000_000, ID)
    assert int(fill["word"]) == 10_000 * 100_000  # 0.001 BTC at the fill's price, at the value scale


def test_an_ed25519_key_logs_on_and_signs_no_order():
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as form

    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    account = Account(secret=pem.decode())
    account.trader.start()
    account.host.run()
    account.link.accept()
    account.answer("time", {"serverTime": account.host.time // MS})
    assert "signature" in account.sent("session.logon")["params"]
    account.answer("session.logon", {"apiKey": KEY})
    account.answer("userDataStream.subscribe", {"subscriptionId": 0})
    account.reconcile()
    assert account.trader.state == TraderState.READY
    account.command()
    assert not {"signature", "apiKey"} & account.sent("order.place")["params"].keys()


@pytest.mark.parametrize("flags, order_type, tif, name", [
    (CommandFlag.POST_ONLY, OrderType.LIMIT, TimeInForce.GTC, "LIMIT_MAKER"),
    (0, OrderType.MARKET, TimeInForce.IOC, "MARKET"), (0, OrderType.LIMIT, TimeInForce.FOK, "LIMIT"),
])  # fmt: skip
def test_kinds_of_orders(flags, order_type, tif, name):
    account = Account(self_trade="EXPIRE_MAKER").ready()
    account.command(flags=flags, order_type=order_type, tif=tif)
    params = account.sent("order.place")["params"]
    assert params["type"] == name and params["selfTradePreventionMode"] == "EXPIRE_MAKER"


def test_what_binance_has_not_is_refused_here(account):
    account.command(order_type=OrderType.PEG_MID)
    assert account.kinds() == [Kind.REJECTED]
    with pytest.raises(StopIteration):
        account.sent("order.place")


def test_a_cancel_goes_by_the_id_that_is_known_and_its_event_by_the_original_client_id(account):
    account.command()
    account.command(Kind.CANCEL)
    assert account.sent("order.cancel")["params"]["origClientOrderId"] == account.trader.ids.text(ID)
    account.answer("order.place", {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "x", "transactTime": 1})
    account.event()
    account.command(Kind.CANCEL)
    assert account.sent("order.cancel")["params"]["orderId"] == 28
    account.event("CANCELED", "CANCELED", client="made-by-binance", C=account.trader.ids.text(ID), z="0.4")
    row = account.got.rows[-1]
    assert row["kind"] == Kind.CANCELLED and int(row["id"]) == ID and int(row["qty"]) == 60_000_000
    assert int(row["word"]) == CancelReason.USER


def test_a_refusal_says_why(account):
    account.command()
    account.answer("order.place", error={"code": -2010, "msg": "Order would immediately match and take."}, status=400)
    assert account.kinds() == [Kind.REJECTED]
    assert int(account.got.rows[0]["word"]) == RejectReason.POST_ONLY_WOULD_CROSS


def test_a_replace_has_a_fresh_id_and_is_refused_by_the_venue_once_the_order_has_filled(account):
    account.place()
    account.event()
    account.command(Kind.REPLACE_ORDER, price=9_900)
    params = account.sent("order.cancelReplace")["params"]
    assert params["quantity"] == "1" and params["newClientOrderId"] == account.trader.ids.text(ID, 1)
    assert params["cancelRestrictions"] == "ONLY_NEW"
    client = account.trader.ids.text(ID)
    account.event("CANCELED", "CANCELED", client="." + client, C=client)
    account.event("NEW", "NEW", client=client + "r1", order=29, p="99.00")
    row = account.got.rows[-1]
    assert row["kind"] == Kind.REPLACED and int(row["qty"]) == 10**8 and int(row["price"]) == 9_900
    account.command(Kind.CANCEL)
    assert account.sent("order.cancel")["params"]["orderId"] == 29


def taken_off(account, done, status="CANCELED"):
    """The answer to the first half of a replace."""
    client = account.trader.ids.text(ID)
    account.event("CANCELED", "CANCELED", client="." + client, C=client, z=done)
    account.answer("order.cancel", {
        "symbol": "BTCUSDT", "origClientOrderId": client, "clientOrderId": "." + client, "orderId": 28,
        "transactTime": 5, "origQty": "1.0", "executedQty": done, "status": status, "side": "BUY",
        "timeInForce": "GTC", "type": "LIMIT", "price": "100.0",
    })  # fmt: skip


def test_a_partly_filled_order_is_taken_off_first_and_the_new_one_gets_what_is_left_then(account):
    account.place()
    account.event()
    account.rows[ID]["filled_qty"] = 25_000_000
    account.command(Kind.REPLACE_ORDER, price=9_900)
    client, first = account.trader.ids.text(ID), account.sent("order.cancel")["params"]
    assert first["orderId"] == 28 and first["newClientOrderId"] == "." + client
    account.fill(5, "0.15")  # on its way meanwhile
    taken_off(account, "0.40")
    params = account.sent("order.place")["params"]
    assert params["quantity"] == "0.6" and float(params["price"]) == 99
    assert params["newClientOrderId"] == client + "r1"
    account.event("NEW", "NEW", client=client + "r1", order=29, q="0.6", p="99.00")
    row = account.got.rows[-1]
    assert row["kind"] == Kind.REPLACED and int(row["qty"]) == 10**8 and int(row["price"]) == 9_900


@pytest.mark.parametrize("how", ["refused", "nothing left"])
def test_a_partly_filled_order_whose_second_half_comes_to_nothing_is_cancelled(account, how):
    account.place()
    account.event()
    account.rows[ID]["filled_qty"] = 25_000_000
    account.command(Kind.REPLACE_ORDER, price=9_900, qty=30_000_000 if how == "nothing left" else 10**8)
    taken_off(account, "0.40")
    if how == "refused":
        account.answer("order.place", error={"code": -2010, "msg": "Account has insufficient balance"}, status=400)
    assert account.kinds()[-2:] == [Kind.CANCEL_REJECTED, Kind.CANCELLED]
    assert int(account.got.rows[-1]["qty"]) == 60_000_000 and account.trader.status()["unanswered"] == 0


def test_a_first_half_without_an_answer_is_asked_about(account):
    account.place()
    account.event()
    account.rows[ID]["filled_qty"] = 25_000_000
    account.command(Kind.REPLACE_ORDER, price=9_900)
    account.link.drop()
    account.host.run(S)
    assert account.kinds()[-1] == Kind.UNKNOWN and account.trader.unknown == 1


def test_a_wrong_clock_refuses_an_order_and_is_set_and_a_cancel_is_sent_again(account):
    account.command()
    account.answer("order.place", error={"code": -1021, "msg": "Timestamp outside of recvWindow."}, status=400)
    assert account.kinds() == [Kind.REJECTED] and account.trader.state == TraderState.READY
    account.answer("time", {"serverTime": (account.host.time + 2 * S) // MS})
    account.host.run(MS)
    account.command(number=ID + 1)
    assert account.sent("order.place")["params"]["timestamp"] == (account.host.time + 2 * S) // MS
    account.event(client=account.trader.ids.text(ID + 1))
    account.command(Kind.CANCEL, number=ID + 1)
    first = account.sent("order.cancel")
    account.reply(first, error={"code": -1021, "msg": "Timestamp outside of recvWindow."}, status=400)
    account.host.run(S)
    assert account.sent("order.cancel")["id"] != first["id"]


@pytest.mark.parametrize("how", ["timeout", "-1007", "lost"])
def test_no_answer_is_unknown_and_is_settled_by_asking(account, how):
    account.command()
    if how == "timeout":
        account.host.run(6 * S)
    elif how == "-1007":
        account.answer("order.place", error={"code": -1007, "msg": "Timeout waiting for response."}, status=504)
    else:
        account.link.drop()
        account.host.run(S // 4)
        account.greet()
        account.reconcile(fills=[])
    assert Kind.UNKNOWN in account.kinds() and Kind.REJECTED not in account.kinds()
    account.host.run(S)
    asked = account.sent("order.status")
    assert asked["params"]["origClientOrderId"] == account.trader.ids.text(ID)
    status = {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": account.trader.ids.text(ID), "price": "100",
              "origQty": "1.0", "executedQty": "0", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT",
              "side": "BUY", "time": 1, "updateTime": 1}  # fmt: skip
    account.reply(asked, status)
    row = account.got.rows[-1]
    assert row["kind"] == Kind.ACCEPTED and int(row["flags"]) & ReportFlag.STATUS
    assert len([d for link in account.host.links for d in link.sent if b"order.place" in d]) == 1


def test_not_found_is_believed_after_three_answers_fifteen_seconds_and_a_cancel(account):
    account.command()
    account.host.run(6 * S)
    began, answered = account.host.time, 0
    while Kind.REJECTED not in account.kinds():
        for request in [json.loads(data) for data in account.link.sent]:
            if request["id"] in account.done or request["method"] in ("order.place", "time"):
                continue
            account.done[request["id"]] = 1
            if request["method"] == "order.status":
                answered += 1
                account.reply(request, error={"code": -2013, "msg": "Order does not exist."}, status=400)
            elif request["method"] == "order.cancel":
                assert answered >= 3 and account.host.time - began >= 14 * S
                account.reply(request, error={"code": -2011, "msg": "Unknown order sent."}, status=400)
            elif request["method"] == "myTrades":
                account.reply(request, [])
        account.host.run(S // 4)
        assert account.host.time - began < 60 * S
    assert account.trader.unknown == 0


def trade_line(number, order=28, qty="0.4"):
    return {"symbol": "BTCUSDT", "id": number, "orderId": order, "price": "100.0", "qty": qty, "commission": "0.001",
            "commissionAsset": "BTC", "time": 1_700_000_001_000, "isBuyer": True, "isMaker": True}  # fmt: skip


def test_missed_fills_are_fetched_from_the_one_after_the_last_told_and_count_once(account):
    account.place()
    account.event()
    account.fill(5, "0.4")
    account.link.drop("reset")
    assert account.trader.state == TraderState.CONNECTING
    account.host.run(S)
    account.greet()
    assert account.trader.state == TraderState.RECONCILING
    account.fill(8, "0.1")  # after the reconnection, before what was missed
    account.answer("openOrders.status", [])
    assert account.sent("myTrades")["params"]["fromId"] == 6
    account.answer("myTrades", [trade_line(6), trade_line(7, qty="0.1"), trade_line(8, qty="0.1")])
    fills = [int(row["seq"]) for row in account.got.rows if row["kind"] == Kind.FILL]
    assert fills == [5, 8, 6, 7, 8]  # the engine books each number once
    balances = {"USDT": "900", "BTC": "0.996", "ETH": "0"}
    account.positions[0] = 10**8
    account.reconcile(balances=balances)
    assert account.trader.state == TraderState.READY, account.trader.reason


def test_a_fill_of_an_order_whose_answer_was_lost_is_asked_about_by_the_venues_id(account):
    account.command()
    account.link.drop("reset")
    account.host.run(S // 4)
    account.greet()
    account.answer("openOrders.status", [])
    account.answer("myTrades", [trade_line(6, order=77)])
    asked = account.sent("order.status")
    assert asked["params"]["orderId"] == 77 and asked["params"]["symbol"] == "BTCUSDT"
    account.reply(asked, {"symbol": "BTCUSDT", "orderId": 77, "clientOrderId": account.trader.ids.text(ID),
                          "price": "100", "origQty": "1.0", "executedQty": "0.4", "status": "PARTIALLY_FILLED",
                          "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "time": 1,
                          "updateTime": 1})  # fmt: skip
    assert [int(row["seq"]) for row in account.got.rows if row["kind"] == Kind.FILL] == [6]


def test_balances_follow_fills_and_fees_and_a_difference_is_a_break(account):
    account.place()
    account.event()
    account.fill(5, "0.4", state="FILLED")
    account.positions[0] = 40_000_000
    account.rows[ID]["state"] = FILLED
    account.host.run(60 * S)
    account.reconcile(balances={"USDT": "960", "BTC": "0.399", "ETH": "0"}, fills=[])
    assert account.trader.state == TraderState.READY and not account.trader.breaks
    account.host.run(60 * S)
    account.reconcile(balances={"USDT": "960", "BTC": "0.299", "ETH": "0"}, fills=[])
    for _ in range(4):  # looked at again before it counts
        assert account.trader.state == TraderState.READY
        account.host.run(2 * S)
        account.reconcile(balances={"USDT": "960", "BTC": "0.299", "ETH": "0"}, fills=[])
    assert account.trader.state == TraderState.BROKEN and "BTCUSDT" in account.trader.reason


def test_coins_that_are_there_can_be_left_alone():
    account = Account(config=TraderConfig(holdings="leave"))
    taken = []
    account.trader.on_holding = lambda *holding: taken.append(holding)
    account.ready(balances={"USDT": "1000", "BTC": "2", "ETH": "1"})
    account.place()
    account.event()
    account.fill(5, "0.4", state="FILLED")
    account.positions[0] = 40_000_000  # of what was traded, and nothing else
    account.rows[ID]["state"] = FILLED
    account.host.run(60 * S)
    account.reconcile(balances={"USDT": "960", "BTC": "2.399", "ETH": "1"}, fills=[])
    assert account.trader.state == TraderState.READY and not taken


def test_coins_paid_for_other_coins_are_no_break():
    account = Account().ready(balances={"USDT": "1000", "BTC": "2", "ETH": "1"})
    account.positions.update({0: 2 * 10**8, 1: 10**8})  # adopted
    account.place(instrument=2, price=5_000, qty=10**5)
    client = account.trader.ids.text(ID)
    account.event(client=client, s="ETHBTC", p="0.05", q="1")
    account.fill(9, "1", price="0.05", asset="BNB", client=client, s="ETHBTC", state="FILLED")
    account.positions[2] = 10**5
    account.host.run(60 * S)
    account.reconcile(balances={"USDT": "1000", "BTC": "1.95", "ETH": "2"}, fills=[])
    assert account.trader.state == TraderState.READY, account.trader.reason


class Said:
    """Takes the place of a log."""

    def __init__(self):
        self.lines = []

    def __getattr__(self, level):
        return lambda message, **fields: self.lines.append((level, message, fields))


def test_a_fee_in_a_third_asset_is_booked_at_the_last_known_price():
    prices, said = {0: 10_000, 1: 400, 2: 0}, Said()  # 100.00 and 4.00 USDT
    account = Account(price=prices.get, log=said).ready()
    account.place()
    account.event()
    account.fill(5, "0.4", fee="0.25", asset="ETH")
    prices[1] = 800
    account.fill(5, "0.4", fee="0.25", asset="ETH")  # told again
    account.fill(6, "0.4", fee="0.25", asset="ETH", state="FILLED")
    fees = [int(row["word"]) for row in account.got.rows if row["kind"] == Kind.FILL]
    assert fees == [10**10, 10**10, 2 * 10**10]  # at ten decimals
    assert account.trader.status()["fees_unconverted"] == {}
    assert not [line for line in said.lines if line[1] != "the venue's clock"]


def test_a_fee_of_no_known_price_is_0_and_said_once():
    said = Said()
    account = Account(log=said).ready()
    account.place()
    account.event()
    for trade in (5, 6, 6):
        account.fill(trade, "0.2", fee="0.003", asset="BNB")
    account.fill(7, "0.2", fee="1", asset="ETH")  # in the table, but without a price yet
    assert [int(row["word"]) for row in account.got.rows if row["kind"] == Kind.FILL] == [0] * 4
    assert account.trader.status()["fees_unconverted"] == {"BNB": "0.006", "ETH": "1"}
    warned = [(level, fields["asset"], fields["currency"]) for level, message, fields in said.lines if "fee" in message]
    assert warned == [("warning", "BNB", "USDT"), ("warning", "ETH", "USDT")]


def test_a_ban_holds_everything_back_until_it_is_over(account):
    account.command()
    until = account.host.time // MS + 30_000
    account.answer("order.place", status=418, error={"code": -1003, "msg": "banned", "data": {"retryAfter": until}})
    assert account.kinds() == [Kind.REJECTED]
    account.command(number=ID + 1)
    assert account.kinds() == [Kind.REJECTED] * 2 and account.trader.counts.limited == 1
    account.host.run(31 * S)
    account.command(number=ID + 2)
    assert account.sent("order.place")["id"] == account.trader.ids.text(ID + 2)


def test_rate_limits_used_are_kept_and_told_to_the_limiter(account):
    account.trader.limiter = limits = limits_of("binance")
    account.command()
    account.answer("order.place", {"symbol": "BTCUSDT", "orderId": 28, "clientOrderId": "x", "transactTime": 1},
                   rateLimits=[{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50,
                                "count": 12}])  # fmt: skip
    assert account.trader.status()["used"] == {"ORDERS 10s": 12}
    assert [rule["used"] for rule in limits.status(account.host.time)] == [1, 1, 12, 1]


def test_server_shutdown_opens_a_second_connection_and_loses_nothing(account):
    account.place()
    account.event()
    old = account.link
    old.say('{"event":{"e":"serverShutdown","E":1770123456789}}')
    account.host.run()
    assert account.link is not old and not old.is_closed
    account.command(number=ID + 1)  # goes over the old one, which is still the account's
    asked = account.sent("order.place", old)
    account.link.accept()
    account.answer("time", {"serverTime": account.host.time // MS})
    account.answer("userDataStream.subscribe.signature", {"subscriptionId": 0})
    account.host.run(100 * MS)
    assert not old.is_closed  # an answer is waited for
    new = account.link
    old.say(json.dumps({"id": asked["id"], "status": 200, "result": {
        "symbol": "BTCUSDT", "orderId": 29, "clientOrderId": asked["id"], "transactTime": 1}}))  # fmt: skip
    account.host.run(100 * MS)
    assert old.is_closed and account.trader.state == TraderState.READY
    assert Kind.UNKNOWN not in account.kinds()
    account.command(Kind.CANCEL, number=ID + 1)
    assert account.sent("order.cancel", new)


def test_a_cancel_without_a_connection_goes_over_rest(account):
    account.place()
    account.event()
    account.link.drop()
    account.command(number=ID + 1)
    assert account.kinds()[-1] == Kind.REJECTED  # not ready: not sent
    account.command(Kind.CANCEL)
    _, request, _ = account.host.asked[-1]
    assert request.method == "DELETE" and request.path.startswith("/api/v3/order?symbol=BTCUSDT")


def test_a_denied_key_is_not_tried_again_at_once():
    account = Account()
    account.trader.start()
    account.host.run()
    account.link.accept()
    account.answer("time", {"serverTime": account.host.time // MS})
    account.answer("userDataStream.subscribe.signature", status=401, error={"code": -2015, "msg": "Invalid API-key"})
    account.host.run(200 * S)
    assert len(account.host.links) == 1
    account.host.run(101 * S)
    assert len(account.host.links) == 2
