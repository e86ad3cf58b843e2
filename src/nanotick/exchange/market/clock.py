"""What the exchange does by itself when its time has come: `next_deadline` says when that is."""

from __future__ import annotations

from nanotick.book.records import order_at, store_at
from nanotick.core.kernel import kernel
from nanotick.core.records import CancelReason, Kind
from nanotick.exchange.market.commands import settle_quietly
from nanotick.exchange.market.crossing import cancel_resting
from nanotick.exchange.market.expiry import first_expiry, pop_expired
from nanotick.exchange.market.records import exchange_at

_EXPIRED, _GTD_EXPIRED = int(Kind.EXPIRED), int(CancelReason.GTD_EXPIRED)


@kernel
def exchange_clock(exchange: int, now: int) -> int:
    """Do what is due by now: expiries. Returns how many things were done."""
    root = exchange_at(exchange)
    done = 0
    while root.next_deadline <= now and root.status == 0:
        slot = pop_expired(exchange, now)
        if slot != 0:
            instrument = (order_at(store_at(root.book_address).orders_address, slot).owner >> 1) % root.instruments
            start = root.feed_end
            cancel_resting(exchange, slot, _EXPIRED, _GTD_EXPIRED, now)
            settle_quietly(exchange, instrument, start, now)
            done += 1
            continue
        root.next_deadline = first_expiry(exchange)
    return done
