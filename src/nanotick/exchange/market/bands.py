"""Price bands, and the change of a market's phase.

A band is the reference price plus and minus a share of it. The reference is the mean price of the trades of a window
(LULD: five minutes, moved only by a change of one per cent), or the price of the last auction. While a market has a
band no execution is outside of it: what would be is priced at the band and, when the book rests at the band for
`limit_ns`, the market pauses into an auction; or the market goes into a volatility auction at once (`band_action`).

References
----------
Plan to Address Extraordinary Market Volatility (Limit Up-Limit Down), sections V (reference price, bands), VI (limit
states) and VII (trading pauses).
"""

from __future__ import annotations

from nanotick.book.order_by_order import unlink_order
from nanotick.book.records import EMPTY_RANK, order_at, side_at, store_at
from nanotick.core.kernel import called, kernel
from nanotick.core.memory import mul_div
from nanotick.core.records import Kind, TradingStatus
from nanotick.exchange.market.feed import tell
from nanotick.exchange.market.records import (
    MARKET_BYTES,
    NEVER,
    Phase,
    Watch,
    exchange_at,
    market_at,
    market_order_at,
)

_STATUS = int(Kind.STATUS)
_TRADING, _HALTED_STATUS, _PAUSED = int(TradingStatus.TRADING), int(TradingStatus.HALTED), int(TradingStatus.PAUSED)
_PRE_OPEN_STATUS, _AUCTION_STATUS = int(TradingStatus.PRE_OPEN), int(TradingStatus.AUCTION)
_CLOSED_STATUS = int(TradingStatus.CLOSED)
_CONTINUOUS, _PRE_OPEN, _VOLATILITY = int(Phase.CONTINUOUS), int(Phase.PRE_OPEN), int(Phase.VOLATILITY_AUCTION)
_HALTED, _CLOSED = int(Phase.HALTED), int(Phase.CLOSED)
_WATCH_BANDS = int(Watch.BANDS)
_ONE = 1_000_000_000
_TENTHS = 10


@called
def set_reference(exchange: int, instrument: int, price: int) -> None:
    """Give a market its reference price, and the band around it."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    market.reference = price
    if market.band_rate == 0 or price <= 0:
        return
    half = mul_div(price, market.band_rate, _ONE)
    low, high = price - half, price + half
    market.band_low = low + (-low) % market.tick  # whole ticks inside: an order priced at the band is displayed there
    market.band_high = high - high % market.tick
    market.watch = market.watch | _WATCH_BANDS


@called
def note_trade(exchange: int, instrument: int, price: int, now: int) -> None:
    """A trade of a market with bands: the mean of the window may move the reference."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    if market.reference == 0:
        set_reference(exchange, instrument, price)
        return
    if market.window_ns == 0:
        return
    number = now // max(1, market.window_ns // _TENTHS)
    steps = min(number - market.window_slot, _TENTHS)
    for i in range(steps):
        slot = (number - i) % _TENTHS
        market.window_sum[slot] = 0
        market.window_count[slot] = 0
    market.window_slot = max(number, market.window_slot)
    slot = market.window_slot % _TENTHS
    market.window_sum[slot] += price
    market.window_count[slot] += 1
    total, count = 0, 0
    for i in range(_TENTHS):
        total += market.window_sum[i]
        count += market.window_count[i]
    mean = total // count
    if abs(mean - market.reference) >= mul_div(market.reference, market.reference_step, _ONE):
        set_reference(exchange, instrument, mean)


@called
def watch_limit_state(exchange: int, instrument: int, now: int) -> None:
    """Note when the book begins to rest at its band, and when it leaves it."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if market.phase != _CONTINUOUS or market.band_high == 0 or market.band_action != 0:
        market.limit_since = NEVER
        return
    sides = store_at(root.book_address).sides_address
    bid, ask = side_at(sides, 2 * instrument).best, side_at(sides, 2 * instrument + 1).best
    # within one tick of the band: nothing can rest any closer
    up = bid != EMPTY_RANK and bid > market.band_high - market.tick
    down = ask != EMPTY_RANK and -ask < market.band_low + market.tick
    if not up and not down:
        market.limit_since = NEVER
    elif market.limit_since == NEVER:
        market.limit_since = now
        look_at(exchange, now + market.limit_ns)


@kernel
def look_at(exchange: int, ts: int) -> None:
    """Have `exchange_clock` look at the markets at a time."""
    root = exchange_at(exchange)
    root.market_deadline = min(root.market_deadline, ts)
    root.next_deadline = min(root.next_deadline, ts)


@called
def _park_pegs(exchange: int, instrument: int, now: int) -> None:
    """Pegs follow a continuous market only: outside of it they lie in no queue."""
    root = exchange_at(exchange)
    slot = market_at(root.markets_address + instrument * MARKET_BYTES).peg_first
    while slot != 0:
        resting = order_at(store_at(root.book_address).orders_address, slot)
        if resting.level != 0:
            unlink_order(root.book_address, slot, now)
            resting.level = 0
        slot = market_order_at(root.orders_address, slot).reserve


@kernel
def _status_of(phase: int) -> int:
    if phase == _CONTINUOUS:
        return _TRADING
    if phase == _PRE_OPEN:
        return _PRE_OPEN_STATUS
    if phase == _VOLATILITY:
        return _PAUSED
    if phase == _HALTED:
        return _HALTED_STATUS
    if phase == _CLOSED:
        return _CLOSED_STATUS
    return _AUCTION_STATUS


@called
def set_phase(exchange: int, instrument: int, phase: int, now: int) -> None:
    """Change a market's phase, tell the public, wind its clocks. Auctions and expiries are the caller's."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    market.phase = phase
    market.limit_since = NEVER
    market.auction_end = NEVER
    market.indicative_next = NEVER
    if phase != _CONTINUOUS:
        _park_pegs(exchange, instrument, now)
    if _PRE_OPEN <= phase < _HALTED and market.indicative_ns != 0:
        market.indicative_next = now + market.indicative_ns
        look_at(exchange, market.indicative_next)
    if phase == _VOLATILITY and market.auction_ns != 0:
        market.auction_end = now + market.auction_ns
        look_at(exchange, market.auction_end)
    tell(exchange, now, _STATUS, instrument, 0, 0, 0, 0, _status_of(phase), 0)
