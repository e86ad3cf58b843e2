"""What a strategy may see through `ctx`: time, instruments, books, the tape, its position and account.

Prices and quantities are integers at the instrument's scale (`ctx.best_bid()` of 150.25 at two decimals is 15025);
methods that average, such as `mid` and `microprice`, give floats *in the same units*, so `ctx.mid() + 0.5 *
ctx.tick_size()` is half a tick above the mid. `to_price`, `price_float` convert from and to the currency. `instrument`
is always optional and means the instrument of the event being handled.
"""

from __future__ import annotations

import math
from typing import Any

from nanotick.book.depth import best_price, best_qty
from nanotick.book.depth import depth_price as book_depth_price
from nanotick.book.depth import depth_qty as book_depth_qty
from nanotick.book.depth import level_qty as book_level_qty
from nanotick.book.depth import next_price as book_next_price
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.instruments import Contract, instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import BUY, SELL
from nanotick.core.tape import tape_at
from nanotick.portfolio.accounts import account_of, holding_of, position_of, signed_value
from nanotick.strategy.records import context_at
from nanotick.strategy.types import context_address, context_method

_INVERSE = int(Contract.INVERSE)


@kernel
def context_fields(ctx: Any) -> Any:
    """The CONTEXT record behind `ctx`."""
    return context_at(context_address(ctx))


@kernel
def which_instrument(ctx: Any, instrument: int) -> int:
    """The instrument meant: the event's own for a number that is none of the run's, which must not be read with."""
    fields = context_fields(ctx)
    return instrument if 0 <= instrument < fields.instrument_count else fields.instrument


@kernel
def asked_instrument(ctx: Any, instrument: int) -> int:
    """The instrument an order names, as given: risk refuses one that is not there."""
    return context_fields(ctx).instrument if instrument < 0 else instrument


# --- time and instruments -------------------------------------------------------------------------------------------


@context_method
def now(ctx: Any) -> int:
    """Local time of the event being handled, ns UTC."""
    return context_fields(ctx).now


@context_method
def instrument(ctx: Any) -> int:
    """Number of the instrument the event being handled is about."""
    return context_fields(ctx).instrument


@context_method
def instruments(ctx: Any) -> int:
    """How many instruments the run has."""
    return context_fields(ctx).instrument_count


@context_method
def tick_size(ctx: Any, instrument: int = -1) -> int:
    """Smallest price step, price units."""
    return instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).tick_size


@context_method
def lot_size(ctx: Any, instrument: int = -1) -> int:
    """Smallest quantity step, quantity units."""
    return instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).lot_size


@context_method
def min_qty(ctx: Any, instrument: int = -1) -> int:
    """Smallest quantity of an order, quantity units; at least a lot."""
    terms = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument))
    return max(terms.min_qty, terms.lot_size)


@context_method
def qty_float(ctx: Any, qty: float, instrument: int = -1) -> float:
    """Shares, coins or contracts in a quantity given in quantity units."""
    decimals = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).qty_decimals
    return qty / 10.0**decimals


@context_method
def floor_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Highest price on the tick grid that is not above `price` (price units, may be fractional)."""
    tick = tick_size(ctx, instrument)
    return math.floor(price / tick) * tick


@context_method
def ceil_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Lowest price on the tick grid that is not below `price`."""
    tick = tick_size(ctx, instrument)
    return math.ceil(price / tick) * tick


@context_method
def round_price(ctx: Any, price: float, instrument: int = -1) -> int:
    """Price on the tick grid nearest to `price`, halves upward."""
    tick = tick_size(ctx, instrument)
    return math.floor(price / tick + 0.5) * tick


@context_method
def round_qty(ctx: Any, qty: float, instrument: int = -1) -> int:
    """Largest quantity on the lot grid that is not above `qty` (quantity units)."""
    lot = lot_size(ctx, instrument)
    return math.floor(qty / lot) * lot


@context_method
def to_price(ctx: Any, value: float, instrument: int = -1) -> int:
    """Price units of a price in currency, rounded to the tick grid."""
    return round_price(
        ctx,
        value
        * 10.0
        ** instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).price_decimals,
        instrument,
    )


@context_method
def to_qty(ctx: Any, value: float, instrument: int = -1) -> int:
    """Quantity units of a quantity in shares, coins or contracts, rounded down to the lot grid."""
    return round_qty(
        ctx,
        value
        * 10.0
        ** instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).qty_decimals,
        instrument,
    )


@context_method
def price_float(ctx: Any, price: float, instrument: int = -1) -> float:
    """Price in currency of a price in price units."""
    decimals = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument)).price_decimals
    return price / 10.0**decimals


# --- the book -------------------------------------------------------------------------------------------------------


@context_method
def best_bid(ctx: Any, instrument: int = -1) -> int:
    """Best bid, price units; far below any price when there is no bid (see `has_book`)."""
    return best_price(context_fields(ctx).books_address, which_instrument(ctx, instrument), BUY)


@context_method
def best_ask(ctx: Any, instrument: int = -1) -> int:
    """Best ask, price units; far above any price when there is no ask."""
    return best_price(context_fields(ctx).books_address, which_instrument(ctx, instrument), SELL)


@context_method
def bid_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity at the best bid."""
    return best_qty(context_fields(ctx).books_address, which_instrument(ctx, instrument), BUY)


@context_method
def ask_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity at the best ask."""
    return best_qty(context_fields(ctx).books_address, which_instrument(ctx, instrument), SELL)


@context_method
def has_book(ctx: Any, instrument: int = -1) -> bool:
    """Whether both sides have a price, neither crossed nor locked, and the feed had no gap since the last full book."""
    fields = context_fields(ctx)
    if tape_at(fields.tape_address, which_instrument(ctx, instrument)).gap != 0:
        return False
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    return bid != EMPTY_BID and ask != EMPTY_ASK and bid < ask


@context_method
def spread(ctx: Any, instrument: int = -1) -> int:
    """Best ask less best bid, price units; 0 without a two-sided book."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return 0
    return ask - bid


@context_method
def mid(ctx: Any, instrument: int = -1) -> float:
    """Mean of the best prices, price units; nan without a two-sided book."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return math.nan
    return 0.5 * (bid + ask)


@context_method
def microprice(ctx: Any, instrument: int = -1) -> float:
    """Size-weighted mid (bid * ask size + ask * bid size) / (sum of sizes), price units."""
    bid, ask = best_bid(ctx, instrument), best_ask(ctx, instrument)
    if bid == EMPTY_BID or ask == EMPTY_ASK:
        return math.nan
    b, a = bid_qty(ctx, instrument), ask_qty(ctx, instrument)
    return (float(bid) * a + float(ask) * b) / float(a + b)


@context_method
def imbalance(ctx: Any, levels: int = 1, instrument: int = -1) -> float:
    """Order book imbalance (bid - ask) / (bid + ask) of the quantity in the best `levels` levels, -1 to 1."""
    books, i = context_fields(ctx).books_address, which_instrument(ctx, instrument)
    b = best_qty(books, i, BUY)
    a = best_qty(books, i, SELL)
    for n in range(1, levels):
        b += book_depth_qty(books, i, BUY, n)
        a += book_depth_qty(books, i, SELL, n)
    if a + b == 0:
        return 0.0
    return (b - a) / float(a + b)


@context_method
def depth_price(ctx: Any, side: int, n: int, instrument: int = -1) -> int:
    """Price of the n-th best level of a side (0 is the best)."""
    return book_depth_price(context_fields(ctx).books_address, which_instrument(ctx, instrument), side, n)


@context_method
def depth_qty(ctx: Any, side: int, n: int, instrument: int = -1) -> int:
    """Quantity of the n-th best level of a side."""
    return book_depth_qty(context_fields(ctx).books_address, which_instrument(ctx, instrument), side, n)


@context_method
def level_qty(ctx: Any, side: int, price: int, instrument: int = -1) -> int:
    """Quantity resting at a price."""
    return book_level_qty(context_fields(ctx).books_address, which_instrument(ctx, instrument), side, price)


@context_method
def next_price(ctx: Any, side: int, price: int, instrument: int = -1) -> int:
    """The next occupied price of a side that is worse than `price`."""
    return book_next_price(context_fields(ctx).books_address, which_instrument(ctx, instrument), side, price)


@context_method
def book_age(ctx: Any, instrument: int = -1) -> int:
    """Nanoseconds since the book last heard of the venue."""
    fields = context_fields(ctx)
    return fields.now - tape_at(fields.tape_address, which_instrument(ctx, instrument)).book_ts


@context_method
def last_price(ctx: Any, instrument: int = -1) -> int:
    """Price of the last trade; 0 before the first."""
    return tape_at(context_fields(ctx).tape_address, which_instrument(ctx, instrument)).price


@context_method
def last_qty(ctx: Any, instrument: int = -1) -> int:
    """Quantity of the last trade."""
    return tape_at(context_fields(ctx).tape_address, which_instrument(ctx, instrument)).qty


@context_method
def last_side(ctx: Any, instrument: int = -1) -> int:
    """Side of the last trade's aggressor: 1, -1, or 0 if unknown."""
    return tape_at(context_fields(ctx).tape_address, which_instrument(ctx, instrument)).side


@context_method
def volume(ctx: Any, instrument: int = -1) -> int:
    """Quantity traded in the market since the run began."""
    return tape_at(context_fields(ctx).tape_address, which_instrument(ctx, instrument)).volume


# --- position and account -------------------------------------------------------------------------------------------


@kernel
def _position(ctx: Any, instrument: int) -> Any:
    fields = context_fields(ctx)
    return position_of(fields.portfolio_address, fields.strategy, which_instrument(ctx, instrument))


@context_method
def position(ctx: Any, instrument: int = -1) -> int:
    """This strategy's position, quantity units, negative when short."""
    return _position(ctx, instrument).qty


@context_method
def average_price(ctx: Any, instrument: int = -1) -> float:
    """Average entry price of the position, price units; nan when flat."""
    held = _position(ctx, instrument)
    if held.qty == 0 or held.cost == 0:
        return math.nan
    terms = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument))
    face = float(held.qty) * float(terms.multiplier)
    if terms.contract == _INVERSE:
        return abs(face * 10.0 ** (terms.price_decimals - terms.qty_decimals) / held.cost)
    return held.cost / face


@context_method
def realised(ctx: Any, instrument: int = -1) -> float:
    """Realised profit before fees, in the settlement currency."""
    terms = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument))
    return _position(ctx, instrument).realised / float(terms.value_unit)


@context_method
def trading_cash(ctx: Any, instrument: int = -1) -> float:
    """Money that trading the instrument has brought so far, less fees, in the settlement currency."""
    held = _position(ctx, instrument)
    terms = instrument_at(context_fields(ctx).instruments_address, which_instrument(ctx, instrument))
    return (held.flow - held.fees) / float(terms.value_unit)


@context_method
def unrealised(ctx: Any, instrument: int = -1) -> float:
    """Unrealised profit of the position at the current mark, in the settlement currency."""
    held = _position(ctx, instrument)
    if held.qty == 0:
        return 0.0
    fields = context_fields(ctx)
    i = which_instrument(ctx, instrument)
    mark = holding_of(fields.portfolio_address, i).mark_price
    value = signed_value(fields.portfolio_address, i, mark, held.qty)
    return (value - held.cost) / float(instrument_at(fields.instruments_address, i).value_unit)


@context_method
def equity(ctx: Any) -> float:
    """This strategy's cash and the value of its positions, account currency."""
    fields = context_fields(ctx)
    return account_of(fields.portfolio_address, fields.strategy).equity * 1e-6


@context_method
def cash(ctx: Any) -> float:
    """This strategy's cash, account currency."""
    fields = context_fields(ctx)
    return account_of(fields.portfolio_address, fields.strategy).cash * 1e-6
