"""What the exchange does by itself when its time has come: `next_deadline` says when that is.

In order: the phases of the schedule, orders whose date has come, the clocks of the markets (indicative prices, auctions
that end, limit states that have lasted).
"""

from __future__ import annotations

from nanotick.book.records import order_at, store_at
from nanotick.core.kernel import called
from nanotick.core.records import CancelReason, Kind
from nanotick.exchange.market.auction import tell_imbalance
from nanotick.exchange.market.commands import settle_quietly
from nanotick.exchange.market.crossing import cancel_resting
from nanotick.exchange.market.expiry import first_expiry, pop_expired
from nanotick.exchange.market.phases import exchange_phase
from nanotick.exchange.market.records import MARKET_BYTES, NEVER, Phase, exchange_at, market_at, schedule_at

_EXPIRED, _GTD_EXPIRED = int(Kind.EXPIRED), int(CancelReason.GTD_EXPIRED)
_CONTINUOUS, _VOLATILITY = int(Phase.CONTINUOUS), int(Phase.VOLATILITY_AUCTION)


@called
def _run_schedule(exchange: int, now: int) -> int:
    root = exchange_at(exchange)
    done = 0
    while root.schedule_next < root.schedule_end and schedule_at(root.schedule_address, root.schedule_next).ts <= now:
        row = schedule_at(root.schedule_address, root.schedule_next)
        root.schedule_next += 1
        done += 1
        if row.instrument >= 0:
            exchange_phase(exchange, row.instrument, row.phase, now)
        else:
            for instrument in range(root.instruments):
                exchange_phase(exchange, instrument, row.phase, now)
    return done


@called
def _run_markets(exchange: int, now: int) -> int:
    """Look at every market's clocks, and note when to look again."""
    root = exchange_at(exchange)
    done = 0
    root.market_deadline = NEVER
    for instrument in range(root.instruments):
        market = market_at(root.markets_address + instrument * MARKET_BYTES)
        if market.indicative_next <= now:
            start = root.feed_end
            tell_imbalance(exchange, instrument, now)
            settle_quietly(exchange, instrument, start, now)
            market.indicative_next = now + market.indicative_ns
            done += 1
        if 0 <= market.auction_end <= now:
            exchange_phase(exchange, instrument, _CONTINUOUS, now)
            done += 1
        limit = NEVER
        if market.limit_since != NEVER:
            limit = market.limit_since + market.limit_ns
            if limit <= now:
                exchange_phase(exchange, instrument, _VOLATILITY, now)
                limit = NEVER
                done += 1
        end = market.auction_end if market.auction_end >= 0 else NEVER
        root.market_deadline = min(root.market_deadline, min(min(market.indicative_next, end), limit))
    return done


@called
def exchange_clock(exchange: int, now: int) -> int:
    """Do what is due by now. Returns how many things were done."""
    root = exchange_at(exchange)
    done = 0
    while root.next_deadline <= now and root.status == 0:
        done += _run_schedule(exchange, now)
        slot = pop_expired(exchange, now)
        while slot != 0:
            instrument = (order_at(store_at(root.book_address).orders_address, slot).owner >> 1) % root.instruments
            start = root.feed_end
            cancel_resting(exchange, slot, _EXPIRED, _GTD_EXPIRED, now)
            settle_quietly(exchange, instrument, start, now)
            done += 1
            slot = pop_expired(exchange, now)
        if root.market_deadline <= now:
            done += _run_markets(exchange, now)
        following = min(first_expiry(exchange), root.market_deadline)
        if root.schedule_next < root.schedule_end:
            following = min(following, schedule_at(root.schedule_address, root.schedule_next).ts)
        root.next_deadline = following
    return done
