"""A live session whose network is cut off at the socket: feed, engine, journal, trader and client are real.

    with AlpacaBench() as bench:
        for _ in range(n):
            bench.frame()                     # frame bytes in, order bytes out into `bench.wire`

What is real: `Conversation.message`, the frame kernel, the session with its journal on a disk, risk, the trader with
its books of what is working, the HTTP client's pool (or the link's `send`). What is not: the system's socket calls;
`Wire` takes the bytes and notes when. Orders are settled by reports between two frames, outside of what is measured.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nanotick as nt
from nanotick.core.arena import Arena
from nanotick.core.clock import UtcClock
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.kernel import REGISTRY, compile_entry
from nanotick.core.records import Kind
from nanotick.core.secret import Secret
from nanotick.engine.local import Capacity, LocalSide, StrategySetup
from nanotick.engine.session import Session
from nanotick.engine.session_loop import run_due, run_events, run_next
from nanotick.risk.limits import RiskLimits
from nanotick.venues.alpaca.feed import AlpacaFeed
from nanotick.venues.alpaca.trader import AlpacaTrader
from nanotick.venues.binance.feed import BinanceFeed
from nanotick.venues.binance.trader import BinanceTrader
from nanotick.venues.feed import Conversation, Feed, State
from nanotick.venues.http_client import Connection, Pool, PooledPost
from nanotick.venues.latency import Latencies
from nanotick.venues.limiter import FixedWindow, RateLimiter, SlidingWindow
from nanotick.venues.runner import Phase, Runner
from nanotick.venues.trader import Trader
from nanotick.venues.trader_base import engine_orders
from nanotick.venues.working import NoLimit, TraderState
from nanotick.wire.reports import Report
from nanotick.wire.requests import Request, Response

SYMBOLS = 69
EACH = 10  # frames to an order
_SMALL = Capacity(book_orders=1 << 14, book_levels=1 << 14, orders=1 << 16, output=1 << 18, arena_bytes=4 << 30)
_FAST = RiskLimits(
    max_orders_per_second=1_000_000, max_messages_per_second=1_000_000
)  # the rest as they are by default
_clock = time.perf_counter_ns


class TenFeatures(nt.Strategy):
    """Ten indicators of every quote, and an immediate-or-cancel order on every tenth."""

    each: int = EACH
    seen: int = 0
    sent: int = 0
    wanted: float = -1e9
    fast: nt.Array = nt.each(nt.EMA(12))
    slow: nt.Array = nt.each(nt.EMA(26))
    average: nt.Array = nt.each(nt.SMA(20))
    micro: nt.Array = nt.each(nt.Microprice())
    flow: nt.Array = nt.each(nt.OrderFlowImbalance(50))
    score: nt.Array = nt.each(nt.ZScore(50))
    bands: nt.Array = nt.each(nt.Bollinger(20))
    strength: nt.Array = nt.each(nt.RSI(14))
    convergence: nt.Array = nt.each(nt.MACD())
    volatility: nt.Array = nt.each(nt.RealisedVolatility(50))

    def on_book(self, ctx: Any) -> None:
        i = ctx.instrument()
        bid, ask = float(ctx.best_bid()), float(ctx.best_ask())
        mid = 0.5 * (bid + ask)
        bid_qty, ask_qty = float(ctx.bid_qty()), float(ctx.ask_qty())
        signal = self.fast[i].update(mid) - self.slow[i].update(mid)
        signal += self.average[i].update(mid) - mid
        signal += self.micro[i].update(bid, bid_qty, ask, ask_qty) - mid
        signal += self.flow[i].update(bid, bid_qty, ask, ask_qty)
        signal += self.score[i].update(mid)
        signal += self.bands[i].update(mid)
        signal += self.strength[i].update(mid)
        signal += self.convergence[i].update(mid)
        signal += self.volatility[i].update(mid)
        self.seen += 1
        if self.seen % self.each == 0 and signal > self.wanted:
            ctx.buy(ctx.lot_size(), ctx.best_bid(), nt.IOC)
            self.sent += 1


class Wire:
    """Where the bytes end: a transport and a link that note the time."""

    def __init__(self) -> None:
        self.data: bytes | bytearray | memoryview = b""
        self.at = 0
        self.count = 0
        self.waiting = 0

    def write(self, data: Any) -> None:
        """As a transport's."""
        self.at = _clock()
        self.data = data
        self.count += 1

    def send(self, data: Any, binary: bool = False) -> None:
        """As a link's."""
        self.at = _clock()
        self.data = data
        self.count += 1

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing to abort."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Nothing to close."""


class _Handle:
    def cancel(self) -> None:
        pass

    def when(self) -> float:
        return 0.0


class _Loop:
    """What a pool needs of an event loop that never turns."""

    def __init__(self) -> None:
        self.time = time.monotonic

    def call_at(self, when: float, call: Any) -> Any:
        return _Handle()

    def call_soon(self, call: Any, *arguments: Any) -> Any:
        return _Handle()


class CutHost:
    """A host whose connections end in `Wire`."""

    spin = False

    def __init__(self, wire: Wire) -> None:
        self.wire, self.loop, self.now = wire, _Loop(), UtcClock().now
        self.pools: dict[str, Pool] = {}
        self.connections: list[Connection] = []

    def at(self, when: int, call: Callable[[], None]) -> Any:
        """Never."""
        return _Handle()

    def uniform(self) -> float:
        """A constant."""
        return 0.5

    def connect(self, url: str, user: Any, headers: Any = ()) -> None:
        """Nowhere."""

    def guard(self, transport: Any) -> None:
        """Nothing to guard."""

    def broken(self, error: BaseException) -> None:
        """A callback raised."""
        raise error

    def pool(self, base: str) -> Pool:
        """As `Sockets` keeps one for each address."""
        found = self.pools.get(base)
        if found is None:
            found = self.pools[base] = Pool(self, base, None, None)  # type: ignore[arg-type]
        return found

    def free(self, pool: Pool) -> None:
        """Let a connection be free."""
        if not pool.idle:
            connection = Connection(pool)
            connection.connection_made(self.wire)
            pool.idle.append(connection)
            self.connections.append(connection)

    def ask(self, base: str, request: Request, answer: Callable[[Response], None], timeout_ns: int = 0) -> None:
        """Over a connection that is always free."""
        pool = self.pool(base)
        self.free(pool)
        pool.ask(request, answer, timeout_ns)

    def post(self, base: str, path: str, headers: Any, timeout_ns: int = 0) -> PooledPost:
        """As `Host.post`, with a connection that stands."""
        pool = self.pool(base)
        self.free(pool)
        return PooledPost(pool, path, headers, timeout_ns)


def roomy(venue: str) -> RateLimiter:
    """The venue's kinds of limits (`venues.limits`), each too wide to be met here."""
    much, minute = 1_000_000_000, 60_000_000_000
    if venue == "alpaca":
        return RateLimiter([SlidingWindow(much, minute, charge="requests")])
    return RateLimiter(
        [
            FixedWindow(much, minute),
            FixedWindow(much, 5 * minute, charge="requests"),
            FixedWindow(much, minute // 6, charge="orders"),
            FixedWindow(much, 1440 * minute, charge="orders"),
        ]
    )


def stock_quote(number: int) -> bytes:
    """A frame of Alpaca's stream."""
    bid = 100 + number % SYMBOLS + (number * 7 % 20) / 100
    return (
        b'[{"T":"q","S":"SYM%d","bx":"V","bp":%.2f,"bs":%d,"ax":"V","ap":%.2f,"as":%d,"c":["R"],"z":"C",'
        b'"t":"2026-11-20T15:30:01.%09dZ"}]'
        % (number % SYMBOLS, bid, 1 + number % 9, bid + 0.02, 1 + number % 7, number)
    )


def coin_quote(number: int) -> bytes:
    """A frame of Binance's streams."""
    name = number % SYMBOLS
    bid = 100 + name + (number * 7 % 20) / 100
    return (
        b'{"stream":"coin%dusdt@bookTicker","data":{"u":%d,"s":"COIN%dUSDT","b":"%.2f","B":"%d.25000","a":"%.2f",'
        b'"A":"%d.50000"}}' % (name, 1000 + number, name, bid, 1 + number % 9, bid + 0.02, 1 + number % 7)
    )


def equities() -> InstrumentTable:
    """As many stocks as the streams of a day's trading list."""
    return InstrumentTable([Instrument(f"SYM{n}", "ALPACA", 4, 0, tick_size="0.01") for n in range(SYMBOLS)])


def coins() -> InstrumentTable:
    """As many pairs."""
    return InstrumentTable(
        [Instrument(f"COIN{n}USDT", "BINANCE", 2, 5, tick_size="0.01", currency="USDT") for n in range(SYMBOLS)]
    )


class Bench:
    """One session; see the module."""

    venue = ""
    lot = "1"

    def __init__(self, limited: bool = True, host: Any = None, rest: str = "https://there") -> None:
        self.wire = Wire()
        self.host, self.rest = host or CutHost(self.wire), rest
        self.directory = Path(tempfile.mkdtemp(prefix="nanotick-bench-"))
        self.table = self.instruments()
        for entry in (run_events, run_due, run_next):
            compile_entry(REGISTRY[f"{entry.__module__}.{entry.__name__}"])
        setup = StrategySetup(TenFeatures(), cash=10**15)
        self.local = LocalSide(Arena(_SMALL.arena_bytes), self.table, [setup], _FAST, _SMALL)
        self.session = Session(self.local, self.directory / "journal", sample_interval_ns=0)
        self.runner = self.make_runner()
        self.trader = self.make_trader(roomy(self.venue) if limited else NoLimit())
        self.runner.add_account(0, self.trader)
        self.feed = self.make_feed()
        self.runner.add_feed(self.feed)
        self.talk = self.feed.CONVERSATION(self.feed, "wss://here", True, self.host.now())
        self.talk.link = self.wire  # type: ignore[assignment]
        self.feed.current = self.talk
        self.talk.state, self.talk.live_ns = State.LIVE, self.host.now()
        self.ready()
        self.trader.warm()
        self.trader.state = TraderState.READY
        self.runner.phase = Phase.TRADING
        self.session.start(self.host.now())
        self.count = 0

    def instruments(self) -> InstrumentTable:
        """The table."""
        raise NotImplementedError

    def make_runner(self) -> Runner:
        """What joins them."""
        return Runner(self.host, self.session, latency=Latencies(self.table.venues))

    def make_trader(self, limiter: Any) -> Trader:
        """The account."""
        raise NotImplementedError

    def make_feed(self) -> Feed:
        """The feed."""
        raise NotImplementedError

    def ready(self) -> None:
        """Make the trader's connection stand."""

    def text(self, number: int) -> bytes:
        """A market data frame."""
        raise NotImplementedError

    def frame(self) -> tuple[int, int]:
        """The next frame: ns until its order's bytes were with the transport (0 for none), and until all was done."""
        data, wire, talk = self.text(self.count), self.wire, self.talk
        self.count += 1
        now, wire.at = self.host.now(), 0
        begin = _clock()
        talk.message(wire, data, now)  # type: ignore[arg-type]
        end = _clock()
        at = wire.at
        if at:
            self.settle()
        return (at - begin if at else 0), end - begin

    def settle(self) -> None:
        """The venue cancels what was sent, and the connection is free again."""
        self.cancel()
        for pool in self.host.pools.values():
            pool.idle[:] = self.host.connections
        for connection in self.host.connections:
            connection._answer = None

    def cancel(self) -> None:
        """The venue cancels what was sent."""
        trader, now = self.trader, self.host.now()
        for working in list(trader._working.values()):
            client = working.client
            trader.emit([Report(int(Kind.ACCEPTED), working.symbol, now, client, "v" + client),
                         Report(int(Kind.CANCELLED), working.symbol, now, client, "v" + client, qty=self.lot)],
                        now)  # fmt: skip
        trader._working.clear()
        trader._by_order.clear()
        trader._sent.clear()
        self.session.drain()

    def close(self) -> None:
        """End it."""
        self.session.close()
        shutil.rmtree(self.directory)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_KEYS: dict[str, Any] = {"key": "k" * 20, "secret": Secret("s" * 40)}


class AlpacaBench(Bench):
    """Quotes of Alpaca's stream in, orders to its REST interface out."""

    venue = "alpaca"

    def instruments(self) -> InstrumentTable:
        """As `Bench.instruments`."""
        return equities()

    def make_feed(self) -> Feed:
        """As `Bench.make_feed`."""
        return AlpacaFeed(self.host, self.table, "ALPACA", self.runner.deliver, stream="sip", **_KEYS)

    def make_trader(self, limiter: Any) -> Trader:
        """As `Bench.make_trader`."""
        return AlpacaTrader(
            self.host, self.table, "ALPACA", 7, engine_orders(self.local.orders), self.runner.deliver,
            limiter=limiter, rest=self.rest, **_KEYS,
        )  # fmt: skip

    def text(self, number: int) -> bytes:
        """As `Bench.text`."""
        return stock_quote(number)


class BinanceBench(Bench):
    """Best quotes of Binance's streams in, signed orders to its WebSocket API out."""

    venue = "binance"

    def instruments(self) -> InstrumentTable:
        """As `Bench.instruments`."""
        return coins()

    def make_feed(self) -> Feed:
        """As `Bench.make_feed`."""
        return BinanceFeed(self.host, self.table, "BINANCE", self.runner.deliver, channels=("quote",))  # type: ignore[arg-type]

    def make_trader(self, limiter: Any) -> Trader:
        """As `Bench.make_trader`."""
        return BinanceTrader(
            self.host, self.table, "BINANCE", 7, engine_orders(self.local.orders), self.runner.deliver,
            limiter=limiter, rest=self.rest, **_KEYS,
        )  # fmt: skip

    def ready(self) -> None:
        """As `Bench.ready`."""
        stream = self.trader.stream  # type: ignore[attr-defined]
        talk = Conversation(stream, "wss://there", True, self.host.now())
        talk.link, talk.state, talk.live_ns = self.wire, State.LIVE, self.host.now()  # type: ignore[assignment]
        stream.current = talk

    def text(self, number: int) -> bytes:
        """As `Bench.text`."""
        return coin_quote(number)
