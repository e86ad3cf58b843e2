"""Call auctions: one price at which the most can be traded, and the trades at it.

The price, among the limits in the books of the auction:

1. the greatest volume that can be executed;
2. of these the least surplus (what stays unexecuted at the price);
3. if all that is left have their surplus on the buy side the highest of them, on the sell side the lowest (market
   pressure; left out under `auction_rule` 1);
4. else the price nearest to the reference, which may lie between two limits: between the highest with a buy surplus and
   the lowest with a sell surplus as much is executed, with no surplus at all.

With market orders alone on both sides the price is the reference, and without one there is no auction. Displayed,
hidden and at-the-open or at-the-close orders take part, with their reserves; pegs do not. Priority: market orders,
price, displayed before auction-only before hidden, time. Self-trade prevention and minimum quantities do not apply.

References
----------
Xetra Market Model Equities, "Price determination in an auction" (rules 1 to 4, examples 1 to 7); London Stock Exchange
Guide to the Trading System, "Uncrossing algorithm"; NASDAQ Rule 4752(d)(2) (volume, imbalance, the entered price at
which shares remain unexecuted, midpoint).
"""

from __future__ import annotations

from nanotick.book.ladder import cell_below, cell_rank
from nanotick.book.order_by_order import shrink_order
from nanotick.book.records import EMPTY_RANK, cell_at, order_at, side_at, store_at
from nanotick.core.kernel import called, kernel
from nanotick.core.records import FillReason, Flag, Kind
from nanotick.exchange.market.bands import set_reference
from nanotick.exchange.market.crossing import book_fill
from nanotick.exchange.market.feed import answer, publish_level, tell
from nanotick.exchange.market.records import (
    AUCTION_ROW,
    CALL,
    CLOSE,
    HIDDEN,
    LIT,
    MARKET_BYTES,
    MARKET_RANK,
    PARTS,
    Feeds,
    Phase,
    auction_row_at,
    exchange_at,
    market_at,
    market_order_at,
    trade_row_at,
)
from nanotick.exchange.market.resting import client_id, drop, entry_of, refill, reserve_of

_EXECUTE, _TRADE, _FILL, _IMBALANCE = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.FILL), int(Kind.IMBALANCE)
_PRINTABLE, _AUCTION_FLAG = int(Flag.PRINTABLE), int(Flag.AUCTION)
_AUCTION = int(FillReason.AUCTION)
_ORDERS = int(Feeds.ORDERS)
_CLOSING = int(Phase.CLOSING_AUCTION)
_ROW = AUCTION_ROW.itemsize


@kernel
def _takes_part(part: int, closing: int) -> bool:
    return part == LIT or part == CALL or part == HIDDEN or (part == CLOSE and closing != 0)


@called
def _best_rank(exchange: int, instrument: int, side: int, closing: int) -> int:
    """Rank of the best order of a side in the books of the auction."""
    root = exchange_at(exchange)
    best = EMPTY_RANK
    for part in range(PARTS):
        if _takes_part(part, closing):
            owner = 2 * (part * root.instruments + instrument) + ((1 - side) >> 1)
            best = max(best, side_at(store_at(root.book_address).sides_address, owner).best)
    return best


@kernel
def _level_total(exchange: int, cell: int, walk: bool) -> int:
    """Quantity of a level with its reserves."""
    root = exchange_at(exchange)
    store = store_at(root.book_address)
    level = cell_at(store.cells_address, cell)
    if not walk:
        return level.qty
    total = level.qty
    slot = level.head
    while slot != 0:
        total += reserve_of(exchange, slot)
        slot = order_at(store.orders_address, slot).next
    return total


@called
def _gather(exchange: int, instrument: int, side: int, closing: int, bound: int, rows: int) -> int:
    """Write the levels of a side that the other side (best rank `bound`) can meet, best first, quantities summed up."""
    root = exchange_at(exchange)
    store = root.book_address
    sides = store_at(store).sides_address
    ask = (1 - side) >> 1
    lit = side_at(sides, 2 * instrument + ask).best_cell
    hidden = side_at(sides, 2 * (HIDDEN * root.instruments + instrument) + ask).best_cell
    call = side_at(sides, 2 * (CALL * root.instruments + instrument) + ask).best_cell
    close = 0
    if closing != 0:
        close = side_at(sides, 2 * (CLOSE * root.instruments + instrument) + ask).best_cell
    walk = market_at(root.markets_address + instrument * MARKET_BYTES).icebergs != 0
    count, total = 0, 0
    while count < root.auction_capacity:
        rank = EMPTY_RANK
        if lit != 0:
            rank = max(rank, cell_rank(store, lit))
        if hidden != 0:
            rank = max(rank, cell_rank(store, hidden))
        if call != 0:
            rank = max(rank, cell_rank(store, call))
        if close != 0:
            rank = max(rank, cell_rank(store, close))
        if rank == EMPTY_RANK or rank + bound < 0:
            break
        if lit != 0 and cell_rank(store, lit) == rank:
            total += _level_total(exchange, lit, walk)
            lit = cell_below(store, lit)
        if hidden != 0 and cell_rank(store, hidden) == rank:
            total += _level_total(exchange, hidden, False)
            hidden = cell_below(store, hidden)
        if call != 0 and cell_rank(store, call) == rank:
            total += _level_total(exchange, call, False)
            call = cell_below(store, call)
        if close != 0 and cell_rank(store, close) == rank:
            total += _level_total(exchange, close, False)
            close = cell_below(store, close)
        row = auction_row_at(rows, count)
        row.rank = rank
        row.qty = total
        count += 1
    return count


@kernel
def _nearest(exchange: int, instrument: int, low: int, high: int) -> int:
    """The tick from low to high that is nearest to the reference; the middle when there is none."""
    market = market_at(exchange_at(exchange).markets_address + instrument * MARKET_BYTES)
    reference = market.reference
    if reference == 0:
        reference = market.last_price
    if reference == 0:
        reference = (low + high) >> 1
    return max(low, min(high, reference - reference % market.tick))


@called
def find_price(exchange: int, instrument: int) -> int:
    """Whether an auction now would have a price; then price, volume and surplus (buys less sells) are in the root."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    closing = 1 if market.phase == _CLOSING else 0
    bid = _best_rank(exchange, instrument, 1, closing)
    ask = _best_rank(exchange, instrument, -1, closing)
    root.auction_price = 0
    root.auction_volume = 0
    root.auction_surplus = 0
    if bid == EMPTY_RANK or ask == EMPTY_RANK or bid + ask < 0:
        return 0
    buys = root.auction_address
    sells = root.auction_address + root.auction_capacity * _ROW
    j = _gather(exchange, instrument, 1, closing, ask, buys) - 1
    count = _gather(exchange, instrument, -1, closing, bid, sells)
    i, supply = 0, 0
    if auction_row_at(sells, 0).rank == MARKET_RANK:
        supply = auction_row_at(sells, 0).qty
        i = 1
    volume, least = 0, 0
    lowest, highest, highest_buy, lowest_sell = 0, 0, 0, 0
    buy_surplus, sell_surplus = False, False
    while True:
        more_buys = j >= 0 and auction_row_at(buys, j).rank != MARKET_RANK
        if not more_buys and i >= count:
            break
        price = auction_row_at(buys, j).rank if more_buys else -auction_row_at(sells, i).rank
        if i < count:
            price = min(price, -auction_row_at(sells, i).rank)
            if price == -auction_row_at(sells, i).rank:
                supply = auction_row_at(sells, i).qty
                i += 1
        demand = auction_row_at(buys, j).qty if j >= 0 else 0
        executed, surplus = min(demand, supply), demand - supply
        if executed > volume or (executed == volume and volume > 0 and abs(surplus) < least):
            volume, least = executed, abs(surplus)
            lowest = price
            buy_surplus, sell_surplus = False, False
            root.auction_surplus = surplus
        if executed == volume and volume > 0 and abs(surplus) == least:
            highest = price
            if surplus > 0:
                buy_surplus = True
                highest_buy = price
            elif surplus < 0:
                if not sell_surplus:
                    lowest_sell = price
                sell_surplus = True
        if more_buys and auction_row_at(buys, j).rank == price:
            j -= 1
    if volume == 0:
        return _market_orders_alone(exchange, instrument, supply, buys)
    if market.auction_rule == 0 and buy_surplus and not sell_surplus:
        price = highest
    elif market.auction_rule == 0 and sell_surplus and not buy_surplus:
        price = lowest
    elif buy_surplus and sell_surplus:
        price = _nearest(exchange, instrument, highest_buy, lowest_sell)
        if price != highest_buy and price != lowest_sell:
            root.auction_surplus = 0
        elif price == lowest_sell:
            root.auction_surplus = -least
        else:
            root.auction_surplus = least
    else:
        price = _nearest(exchange, instrument, lowest, highest)
    root.auction_price = price
    root.auction_volume = volume
    return 1


@kernel
def _market_orders_alone(exchange: int, instrument: int, supply: int, buys: int) -> int:
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    price = market.reference if market.reference != 0 else market.last_price
    if price == 0 or supply == 0 or auction_row_at(buys, 0).rank != MARKET_RANK:
        return 0
    demand = auction_row_at(buys, 0).qty
    root.auction_price = price - price % market.tick
    root.auction_volume = min(demand, supply)
    root.auction_surplus = demand - supply
    return 1


@called
def tell_imbalance(exchange: int, instrument: int, now: int) -> None:
    """Publish what an auction would do now."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    find_price(exchange, instrument)
    surplus = root.auction_surplus
    side = 0
    if surplus != 0:
        side = 1 if surplus > 0 else -1
    tell(
        exchange, now, _IMBALANCE, instrument, side, market.reference, root.auction_volume, root.auction_price,
        abs(surplus), 0,
    )  # fmt: skip


# --- the trades -----------------------------------------------------------------------------------------------------


@called
def _head(exchange: int, instrument: int, side: int, closing: int) -> int:
    """The order of a side that is executed next."""
    root = exchange_at(exchange)
    store = store_at(root.book_address)
    best, slot = EMPTY_RANK, 0
    for i in range(4):
        part = LIT
        if i == 1:
            part = CALL
        elif i == 2:
            part = CLOSE
        elif i == 3:
            part = HIDDEN
        if _takes_part(part, closing):
            line = side_at(store.sides_address, 2 * (part * root.instruments + instrument) + ((1 - side) >> 1))
            if line.best > best:
                best = line.best
                slot = cell_at(store.cells_address, line.best_cell).head
    return slot


@called
def _execute(exchange: int, instrument: int, slot: int, side: int, qty: int, price: int, number: int, now: int) -> None:
    """An order has traded `qty` in the auction: its fill is reported, its book changed, the display's change told."""
    root = exchange_at(exchange)
    store = root.book_address
    order = market_order_at(root.orders_address, slot)
    resting = order_at(store_at(store).orders_address, slot)
    order.filled += qty
    shown = min(qty, resting.qty)
    cell = resting.level
    lit = order.part == LIT
    rank = cell_rank(store, cell)
    if lit and market_at(root.markets_address + instrument * MARKET_BYTES).feeds & _ORDERS:
        tell(exchange, now, _EXECUTE, instrument, side, price, shown, order.ref, number, _AUCTION_FLAG)
    if qty < resting.qty:
        shrink_order(store, slot, qty, now)
    elif lit and order.reserve > qty - shown:
        order.reserve -= qty - shown
        refill(exchange, slot, now)
    else:
        drop(exchange, slot, now, entry_of(exchange, slot))
    if lit:
        publish_level(exchange, now, instrument, side, side * rank, cell)


@called
def uncross(exchange: int, instrument: int, now: int) -> int:
    """Hold the auction of an instrument; returns the quantity traded."""
    root = exchange_at(exchange)
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    closing = 1 if market.phase == _CLOSING else 0
    if find_price(exchange, instrument) == 0:
        return 0
    price, volume = root.auction_price, root.auction_volume
    left = volume
    store = store_at(root.book_address)
    buy, sell, buy_left, sell_left = 0, 0, 0, 0
    while left > 0:
        # an order is executed to its end before the next: a refill does not cost an iceberg its place in an auction
        if buy_left == 0:
            buy = _head(exchange, instrument, 1, closing)
            buy_left = order_at(store.orders_address, buy).qty + reserve_of(exchange, buy)
        if sell_left == 0:
            sell = _head(exchange, instrument, -1, closing)
            sell_left = order_at(store.orders_address, sell).qty + reserve_of(exchange, sell)
        if buy == 0 or sell == 0:
            root.status = root.status | 8
            break
        buying, selling = order_at(store.orders_address, buy), order_at(store.orders_address, sell)
        qty = min(min(buy_left, sell_left), left)
        buy_left -= qty
        sell_left -= qty
        left -= qty
        number = root.trades + 1
        root.trades = number
        row = trade_row_at(root.trades_address, number & root.trade_mask)
        buyer, seller = (
            market_order_at(root.orders_address, buy).participant,
            market_order_at(root.orders_address, sell).participant,
        )
        row.number = number
        row.price = price
        row.qty = qty
        row.taker_id = client_id(buying.id)
        row.maker_id = client_id(selling.id)
        row.taker_fee = book_fill(exchange, buyer, instrument, now, 1, 0, price, qty)
        row.maker_fee = book_fill(exchange, seller, instrument, now, -1, 0, price, qty)
        row.taker_seq = root.report_end
        answer(exchange, now, buyer, _FILL, instrument, 1, price, qty, row.taker_id, row.taker_fee, _AUCTION)
        row.maker_seq = root.report_end
        answer(exchange, now, seller, _FILL, instrument, -1, price, qty, row.maker_id, row.maker_fee, _AUCTION)
        row.instrument = instrument
        row.taker = buyer
        row.maker = seller
        row.side = 1
        row.busted = 0
        row.auction = 1
        _execute(exchange, instrument, buy, 1, qty, price, number, now)
        _execute(exchange, instrument, sell, -1, qty, price, number, now)
    market.last_price = price
    market.volume += volume
    tell(exchange, now, _TRADE, instrument, 0, price, volume, root.trades, 0, _PRINTABLE | _AUCTION_FLAG)
    set_reference(exchange, instrument, price)
    return volume
