"""Trades undone and corrected after the fact.

A trade is known by its number as long as the table of trades has not gone past it. Undoing one sends FILL_BUST to both
sides, carrying the `seq`, price, quantity and fee of the fill it undoes, and BREAK to the public. A correction is a
bust and the same trade again at another price, under a new number. What rests is not touched.
"""

from __future__ import annotations

from nanotick.core.kernel import called
from nanotick.core.records import RECORD_SIZE, FillReason, Flag, Kind, event_at
from nanotick.exchange.market.crossing import book_fill, keep_position
from nanotick.exchange.market.feed import answer, end_message, tell
from nanotick.exchange.market.records import MARKET_BYTES, exchange_at, market_at, trade_row_at

_FILL, _FILL_BUST, _BREAK, _TRADE = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.BREAK), int(Kind.TRADE)
_PRINTABLE, _VENUE = int(Flag.PRINTABLE), int(FillReason.VENUE)


@called
def _undo(
    exchange: int,
    owner: int,
    instrument: int,
    side: int,
    price: int,
    qty: int,
    ident: int,
    seq: int,
    fee: int,
    now: int,
) -> None:
    """Tell a participant that a fill is void."""
    root = exchange_at(exchange)
    keep_position(exchange, owner, instrument, -side * qty)
    place = root.reports_address + (root.report_end & root.report_mask) * RECORD_SIZE
    before = root.report_end
    answer(exchange, now, owner, _FILL_BUST, instrument, side, price, qty, ident, fee, 0)
    if root.report_end != before:
        event_at(place).seq = seq  # the fill's, as the kind demands


@called
def exchange_bust(exchange: int, trade: int, now: int) -> int:
    """Undo a trade.

    Returns
    -------
    int
        Its quantity; -1 when the number is unknown, too old or undone already.
    """
    root = exchange_at(exchange)
    row = trade_row_at(root.trades_address, trade & root.trade_mask)
    if trade <= 0 or row.number != trade or row.busted != 0:
        return -1
    row.busted = 1
    start = root.feed_end
    instrument = row.instrument
    _undo(
        exchange, row.taker, instrument, row.side, row.price, row.qty, row.taker_id, row.taker_seq, row.taker_fee, now
    )
    _undo(
        exchange, row.maker, instrument, -row.side, row.price, row.qty, row.maker_id, row.maker_seq, row.maker_fee, now
    )
    market_at(root.markets_address + instrument * MARKET_BYTES).volume -= row.qty
    tell(exchange, now, _BREAK, instrument, 0, row.price, row.qty, trade, 0, 0)
    end_message(exchange, start)
    return row.qty


@called
def exchange_correct(exchange: int, trade: int, price: int, now: int) -> int:
    """Undo a trade and book it again at another price.

    Returns
    -------
    int
        Number of the new trade; -1 as for a bust, or when the price is not one of the instrument.
    """
    root = exchange_at(exchange)
    row = trade_row_at(root.trades_address, trade & root.trade_mask)
    instrument = row.instrument
    market = market_at(root.markets_address + instrument * MARKET_BYTES)
    if price < market.price_low or price > market.price_high:
        return -1
    if exchange_bust(exchange, trade, now) < 0:
        return -1
    start = root.feed_end
    number = root.trades + 1
    root.trades = number
    qty, side, buyer, seller = row.qty, row.side, row.taker, row.maker
    taker_id, maker_id, auction = row.taker_id, row.maker_id, row.auction
    taker_fee = book_fill(exchange, buyer, instrument, now, side, 0, price, qty)
    maker_fee = book_fill(exchange, seller, instrument, now, -side, 1 - auction, price, qty)
    fresh = trade_row_at(root.trades_address, number & root.trade_mask)
    fresh.number = number
    fresh.price = price
    fresh.qty = qty
    fresh.taker_id = taker_id
    fresh.maker_id = maker_id
    fresh.taker_fee = taker_fee
    fresh.maker_fee = maker_fee
    fresh.instrument = instrument
    fresh.taker = buyer
    fresh.maker = seller
    fresh.side = side
    fresh.busted = 0
    fresh.auction = auction
    fresh.taker_seq = root.report_end
    answer(exchange, now, buyer, _FILL, instrument, side, price, qty, taker_id, taker_fee, _VENUE)
    fresh.maker_seq = root.report_end
    answer(exchange, now, seller, _FILL, instrument, -side, price, qty, maker_id, maker_fee, _VENUE)
    market.volume += qty
    tell(exchange, now, _TRADE, instrument, side, price, qty, number, 0, _PRINTABLE)
    end_message(exchange, start)
    return number
