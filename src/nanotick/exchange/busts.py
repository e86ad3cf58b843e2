"""Broken trades: a recorded trade that filled us is declared void, and our fills with it.

While a recorded trade is being worked the venue knows its number; every fill that it gives is remembered under that
number, the last `BUST_MEMORY` of them. A BREAK of the number undoes them by FILL_BUST reports, each with the execution
it undoes. Fills that no recorded trade gave (taking, a crossing book) have no number and stand.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.records import Kind, event_at
from nanotick.exchange.records import BUST_MEMORY, market_at, trade_fill_at, venue_at
from nanotick.exchange.reports import emit
from nanotick.exchange.working import market_of

_FILL_BUST = int(Kind.FILL_BUST)


@kernel
def bust_fills(venue: int, event_address: int) -> None:
    """BREAK: undo what the trade of this number gave us."""
    v = venue_at(venue)
    event = event_at(event_address)
    if event.id == 0:
        return
    for n in range(max(0, v.trade_fills - BUST_MEMORY), v.trade_fills):
        given = trade_fill_at(v.trade_fills_address, n & (BUST_MEMORY - 1))
        if given.trade != event.id or given.instrument != event.instrument:
            continue
        given.trade = 0
        market = market_at(market_of(venue, event.instrument))
        market.position -= given.side * given.qty
        address = emit(
            venue, event.ts_venue, _FILL_BUST, given.id, given.instrument, given.side, given.price, given.qty, given.fee
        )
        if address != 0:
            event_at(address).seq = given.seq
