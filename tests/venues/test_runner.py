import json

import msgspec
import numpy as np
import pytest

from nanotick.core.arena import Arena
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.journal_reader import JournalReader
from nanotick.core.records import ControlAction, Kind
from nanotick.core.secret import Secret
from nanotick.engine.changes import load_class
from nanotick.engine.journaling import SessionMark
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.engine.session_replay import replay
from nanotick.engine.view import RunView
from nanotick.risk.limits import RiskLimits
from nanotick.strategy.base import Strategy
from nanotick.venues.alpaca.trader import AlpacaTrader
from nanotick.venues.feed import Feed
from nanotick.venues.runner import Phase, Runner
from nanotick.venues.trader_base import engine_orders
from tests.venues.scripted import MS, S, ScriptedHost

SMALL = Capacity(book_orders=1 << 12, book_levels=1 << 12, orders=1 << 12, output=1 << 16, arena_bytes=1 << 28)


class TakeOffer(Strategy):
    """Buy once a book, at the offer."""

    size: int = 10
    starts: int = 0
    fills: int = 0

    def on_start(self, ctx):
        self.starts += 1

    def on_book(self, ctx):
        if ctx.position() == 0 and ctx.open_orders() == 0:
            ctx.buy(self.size, ctx.best_ask())

    def on_fill(self, ctx, fill):
        self.fills += 1


class Quotes(Feed):
    """Polygon's messages without its session."""

    PROTOCOL = "polygon"

    def greet(self, talk):
        self.live(talk)


def quote(bid, ask, seq=1, now=0):
    item = {"ev": "Q", "sym": "AAPL", "bp": bid, "bs": 300, "ap": ask, "as": 100, "t": now // MS, "q": seq}
    return msgspec.json.encode([item])


class Desk:
    """A runner on a scripted host, and the other ends of its wires."""

    def __init__(self, directory, strategy=None):
        self.table = InstrumentTable([Instrument("AAPL", "ALPACA", 2, 0)])
        setups = [StrategySetup(strategy or TakeOffer(), cash=10**12)]
        self.local = LocalSide(Arena(SMALL.arena_bytes), self.table, setups, RiskLimits(), SMALL)
        self.directory = directory
        self.session = Session(self.local, directory)
        self.host = ScriptedHost()
        self.runner = Runner(self.host, self.session)
        self.feed = Quotes(self.host, self.table, "ALPACA", self.runner.deliver, ["wss://prices"])
        self.trader = AlpacaTrader(
            self.host, self.table, "ALPACA", 7, engine_orders(self.local.orders), self.runner.deliver,
            key="K", secret=Secret("S"), position=self.local.portfolio.position,
        )  # fmt: skip
        self.trader.watch.start = lambda: None  # questions for the time are tested in test_venue_clocks
        self.runner.add_feed(self.feed)
        self.runner.add_account(0, self.trader)
        self.runner.start()
        self.host.run(1)
        self.prices, self.private = self.host.links
        self.seq = 0

    def connect(self, fills=(), orders=(), positions=()):
        self.prices.accept()
        self.private.accept()
        self.private.say('{"stream":"authorization","data":{"status":"authorized","action":"authenticate"}}')
        self.private.say('{"stream":"listening","data":{"streams":["trade_updates"]}}')
        self.host.run(1)
        for found in (orders, fills, positions):
            self.host.answer(200, msgspec.json.encode(list(found)))
        self.host.run(MS)

    def quote(self, bid, ask):
        self.seq += 1
        self.prices.say(quote(bid, ask, self.seq, self.host.time))

    def update(self, event, order, **more):
        data = {"event": event, "timestamp": "2023-11-14T22:13:21Z", "order": order, "execution_id": "x1", **more}
        self.private.say(msgspec.json.encode({"stream": "trade_updates", "data": data}))

    def order(self, body, **more):
        made = {"id": "v-1", "symbol": "AAPL", "client_order_id": body["client_order_id"], "side": body["side"],
                "qty": body["qty"], "filled_qty": "0", "limit_price": body.get("limit_price"), "type": "limit",
                "time_in_force": "gtc", "status": "new", "order_class": "", "replaces": None}  # fmt: skip
        return {**made, **more}


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "session")
    yield desk
    desk.session.close()


def test_nothing_is_sent_before_the_account_is_compared(desk):
    desk.quote(150.0, 150.02)
    assert desk.runner.phase == Phase.CONNECTING and not desk.host.asked
    desk.connect()
    assert desk.runner.phase == Phase.TRADING
    desk.quote(150.0, 150.01)
    _, request, _ = desk.host.asked[0]
    assert (request.method, request.path) == ("POST", "/v2/orders")
    assert msgspec.json.decode(request.body)["limit_price"] == "150.01"


def test_strategies_hear_nothing_before_they_have_started_not_even_after_a_crash(desk):
    desk.quote(150.0, 150.02)
    assert desk.local.books.best_price(0, 1) == 15000 and int(desk.local.selves[0]["starts"][0]) == 0
    assert int(desk.local.slots_region.view[0]["calls"].sum()) == 0 and int(desk.session.row["commands"]) == 0
    desk.session.close(ended=False)  # killed before anything stood
    again = Session.resume(desk.directory)
    try:
        assert not again.begun and again.local.muted
        runner = Runner(desk.host, again)
        runner.start()
        assert runner.phase == Phase.TRADING and not again.local.muted
        assert int(again.local.selves[0]["starts"][0]) == 1
        records = np.concatenate([batch.copy() for batch in JournalReader(desk.directory).batches()])
        words = records["word"][records["kind"] == Kind.SESSION].tolist()
        assert words.count(SessionMark.MUTE) == words.count(SessionMark.HEAR) == words.count(SessionMark.START) == 1
    finally:
        again.close(ended=False)
    assert replay(desk.directory).difference is None


def test_an_order_is_filled_and_the_position_known(desk):
    desk.connect()
    desk.quote(150.0, 150.01)
    body = msgspec.json.decode(desk.host.asked[0][1].body)
    desk.host.answer(200, msgspec.json.encode(desk.order(body)))
    desk.update("new", desk.order(body))
    desk.update("fill", desk.order(body, filled_qty="10", status="filled"), price="150.01", qty="10")
    assert desk.local.portfolio.position(0) == 10
    assert int(desk.local.selves[0]["fills"][0]) == 1
    assert desk.runner.open_orders == 0
    desk.update("fill", desk.order(body, filled_qty="10", status="filled"), price="150.01", qty="10")
    assert desk.local.portfolio.position(0) == 10


def test_a_view_tells_what_happened_in_plain_values(desk):
    view = RunView(desk.local)
    desk.runner._on_records = lambda records, marks: view.take(records)
    desk.connect()
    desk.quote(150.0, 150.01)
    desk.host.run(S)
    body = msgspec.json.decode(desk.host.asked[0][1].body)
    seen = view.snapshot()
    assert [(o["symbol"], o["side"], o["price"], o["state"]) for o in seen["orders"]] == [
        ("AAPL", "buy", 150.01, "pending_new")
    ]
    assert seen["ladder"]["bids"] == [[150.0, 300.0]] and seen["ladder"]["own"] == [["buy", 150.01, 10.0]]
    desk.host.answer(200, msgspec.json.encode(desk.order(body)))
    desk.update("fill", desk.order(body, filled_qty="10", status="filled"), price="150.01", qty="10")
    desk.quote(151.0, 151.02)
    desk.host.run(S)
    seen = json.loads(json.dumps(view.snapshot()))
    assert seen["orders"] == [] and seen["strategies"][0]["parameters"]["size"] == 10
    [trade], [position] = seen["trades"], seen["positions"]
    assert (trade["side"], trade["qty"], trade["price"], trade["strategy"]) == ("buy", 10, 150.01, "TakeOffer")
    assert position["unrealised"] == pytest.approx(10 * (position["mark"] - 150.01))
    assert seen["total"]["pnl"] == pytest.approx(position["unrealised"])
    assert (seen["total"]["orders"], seen["total"]["fills"]) == (1, 1)


def test_a_lost_stream_pauses_the_instruments_and_no_answer_makes_an_outcome_unknown(desk):
    desk.connect()
    desk.quote(150.0, 150.01)
    body = msgspec.json.decode(desk.host.asked[0][1].body)
    desk.private.drop()
    desk.host.run(MS)
    assert desk.trader.unknown == 0  # the answer comes over another connection, and may come still
    desk.host.answer(0)
    assert desk.trader.unknown == 1
    row = desk.trader.engine_order(next(iter(desk.trader._working.values())))
    assert int(row["state"]) == 6  # UNKNOWN: counts as exposure
    desk.host.run(S)
    desk.host.link.accept()
    assert body["client_order_id"].startswith("n0007")
    before = len(desk.host.asked)
    desk.quote(150.0, 150.02)
    assert len(desk.host.asked) == before


def test_kill_cancels_and_stop_ends_and_the_journal_repeats_it(desk):
    desk.connect()
    desk.quote(150.0, 150.05)
    body = msgspec.json.decode(desk.host.asked[0][1].body)
    desk.host.answer(200, msgspec.json.encode(desk.order(body)))
    desk.update("new", desk.order(body))
    assert desk.runner.kill() == 1
    _, request, _ = desk.host.asked[0]
    assert (request.method, request.path) == ("DELETE", "/v2/orders/v-1")
    desk.host.answer(204)
    desk.update("canceled", desk.order(body, status="canceled"))
    assert desk.runner.open_orders == 0
    desk.quote(150.0, 150.06)
    assert not desk.host.asked  # killed
    desk.runner.control(ControlAction.RESUME)
    desk.quote(150.0, 150.07)
    assert len(desk.host.asked) == 1
    desk.runner.stop("test")
    desk.host.run(6 * S)
    assert desk.runner.phase == Phase.STOPPED
    commands = int(desk.session.row["commands"])
    desk.session.close()
    found = replay(desk.directory)
    assert found.difference is None
    assert found.commands == commands


def test_events_wait_while_commands_are_taken(desk):
    """A report that sending itself brings about is stepped after the event that led to it."""
    desk.connect()
    desk.trader.limiter.blocked(desk.host.time + S)
    desk.quote(150.0, 150.01)
    assert not desk.host.asked
    row = desk.local.orders.orders.view[1]
    assert int(row["state"]) == 9  # REJECTED
    kinds = [int(k) for k in desk.session.drain()[0]["kind"]]
    assert kinds.index(int(Kind.NEW)) < kinds.index(int(Kind.REJECTED))
    assert np.all(desk.local.portfolio.positions.view["qty"] == 0)


def test_what_the_account_had_before_is_taken_in(desk):
    body = {"client_order_id": "by-hand", "side": "sell", "qty": "40", "limit_price": "151.00"}
    held = {"symbol": "AAPL", "qty": "100", "side": "long", "avg_entry_price": "149.50", "asset_id": "a"}
    order = desk.order(body, filled_qty="15", status="partially_filled", submitted_at="2023-11-14T00:00:00Z")
    desk.connect(orders=[order], positions=[held])
    assert desk.runner.phase == Phase.TRADING
    assert desk.local.portfolio.position(0) == 100
    assert desk.runner.open_orders == 1
    desk.quote(150.0, 150.01)
    assert not desk.host.asked  # the strategy holds something and has an order open
    desk.update("fill", desk.order(body, filled_qty="40", status="filled"), price="151.00", qty="25")
    assert desk.local.portfolio.position(0) == 75
    assert desk.runner.open_orders == 0


SOURCE = """
import nanotick as nt

class Taker(nt.Strategy):
    size: int = 10

    def on_book(self, ctx):
        if ctx.position() == 0 and ctx.open_orders() == 0:
            ctx.buy(SIZE, ctx.best_ask())
"""


def test_limits_and_code_change_while_it_runs_and_the_journal_repeats_it(tmp_path):
    file = tmp_path / "taker.py"
    file.write_text(SOURCE.replace("SIZE", "self.size"))
    first = load_class(file, "Taker", "nanotick_user_taker")
    desk = Desk(tmp_path / "session", first())
    desk.connect()
    desk.quote(150.0, 150.01)
    wanted = []

    def settle():
        body = msgspec.json.decode(desk.host.asked[0][1].body)
        wanted.append(int(body["qty"]))
        desk.host.answer(422, b'{"code":42210000,"message":"not today"}')

    settle()
    file.write_text(SOURCE.replace("SIZE", "self.size + 7"))
    desk.runner.reload(0, load_class(file, "Taker", "nanotick_user_taker"))
    desk.quote(150.0, 150.02)
    settle()
    desk.runner.set_limit(1, "max_order_qty", 12)
    desk.quote(150.0, 150.03)
    assert not desk.host.asked
    refused = desk.session.drain()[0]
    assert int(refused[refused["kind"] == Kind.RISK][-1]["qty"]) == 12
    desk.runner.set_limit(1, "max_order_qty", "unlimited")
    desk.quote(150.0, 150.04)
    settle()
    assert wanted == [10, 17, 17]
    with pytest.raises(ValueError, match="did you mean 'max_order_qty'"):
        desk.runner.set_limit(1, "max_orderqty", 12)
    file.write_text(SOURCE.replace("SIZE", "1").replace("size: int", "other: float = 1.0\n    size: int"))
    with pytest.raises(ValueError, match="fields of the old"):
        desk.runner.reload(0, load_class(file, "Taker", "nanotick_user_taker"))
    commands = int(desk.session.row["commands"])
    desk.session.close()
    file.write_text("nothing of it is left")
    found = replay(desk.directory)
    assert found.difference is None and found.commands == commands == 3
