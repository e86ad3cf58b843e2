"""Samples: accounts, positions and best prices at regular times, from which equity curves and mark-outs are made.

An account's SAMPLE carries cash, equity and gross exposure in micro units; a position's carries its exact cash flow and
fees at the instrument's value scale and its quantity. Marks hold the best bid and ask of every instrument while there
are at most `MARKED_INSTRUMENTS`, beyond that of those a strategy has traded. Every fill also orders marks of its
instrument at once and after each of the mark-out horizons, in one ring a horizon, so the earliest is always a head.
"""

from __future__ import annotations

from nanotick.book.depth import best_price
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import Kind, event_at
from nanotick.engine.output import ACCOUNT, MARK_SAMPLE
from nanotick.engine.put import put_out
from nanotick.engine.records import HORIZONS, MARKOUT_RING, engine_at, markout_at
from nanotick.portfolio.accounts import account_of, account_refresh, position_cash, position_of
from nanotick.strategy.records import context_at

mark_at = record_at(MARK_SAMPLE, "MarkSample")
MARKED_INSTRUMENTS = 64
_SAMPLE = int(Kind.SAMPLE)
MARKOUT_HORIZONS_NS = (100_000_000, 1_000_000_000, 10_000_000_000, 60_000_000_000)
assert len(MARKOUT_HORIZONS_NS) == HORIZONS
NOTHING_DUE = (1 << 63) - 1


@kernel
def _account_sample(engine: int, ts: int, strategy: int) -> None:
    root = engine_at(engine)
    portfolio = context_at(root.context_address).portfolio_address
    account_refresh(portfolio, strategy)
    account = account_of(portfolio, strategy)
    record = event_at(put_out(engine))
    record.ts_venue = ts
    record.ts_recv = ts
    record.kind = _SAMPLE
    record.instrument = ACCOUNT
    record.id = strategy
    record.price = account.cash
    record.qty = account.equity
    record.word = account.gross_exposure


@kernel
def _position_sample(engine: int, ts: int, strategy: int, instrument: int) -> None:
    position = position_of(context_at(engine_at(engine).context_address).portfolio_address, strategy, instrument)
    record = event_at(put_out(engine))
    record.ts_venue = ts
    record.ts_recv = ts
    record.kind = _SAMPLE
    record.instrument = instrument
    record.id = strategy
    record.price = position_cash(position)
    record.qty = position.fees
    record.word = position.qty


@kernel
def mark_sample(engine: int, ts: int, instrument: int) -> None:
    """Best bid and ask of an instrument as they are known here."""
    root = engine_at(engine)
    books = context_at(root.context_address).books_address
    bid = best_price(books, instrument, 1)
    ask = best_price(books, instrument, -1)
    mark = mark_at(root.marks_address, root.marks_count)
    mark.ts = ts
    mark.bid = 0 if bid == EMPTY_BID else bid
    mark.ask = 0 if ask == EMPTY_ASK else ask
    mark.instrument = instrument
    root.marks_count += 1


@kernel
def take_sample(engine: int, ts: int) -> None:
    """Sample every account, every position that was ever traded, and the marks."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    portfolio = context.portfolio_address
    everything = context.instrument_count <= MARKED_INSTRUMENTS
    for strategy in range(context.strategy_count):
        _account_sample(engine, ts, strategy)
    for instrument in range(context.instrument_count):
        touched = everything
        for strategy in range(context.strategy_count):
            position = position_of(portfolio, strategy, instrument)
            if position.trades > 0 or position.opening_qty != 0:
                _position_sample(engine, ts, strategy, instrument)
                touched = True
        if touched and root.marks_count < root.marks_limit:
            mark_sample(engine, ts, instrument)


@kernel
def _next_markout(engine: int) -> int:
    root = engine_at(engine)
    due = NOTHING_DUE
    for h in range(HORIZONS):
        if root.markout_first[h] < root.markout_end[h]:
            head = h * MARKOUT_RING + (root.markout_first[h] & (MARKOUT_RING - 1))
            due = min(due, markout_at(root.markouts_address, head).due)
    return due


@kernel
def schedule_markouts(engine: int, instrument: int, now: int) -> None:
    """After a fill: a mark now and one at each horizon."""
    root = engine_at(engine)
    if root.marks_count < root.marks_limit:
        mark_sample(engine, now, instrument)
    for h in range(HORIZONS):
        if root.markout_end[h] - root.markout_first[h] >= MARKOUT_RING:
            root.markouts_lost += 1
            continue
        markout = markout_at(root.markouts_address, h * MARKOUT_RING + (root.markout_end[h] & (MARKOUT_RING - 1)))
        markout.due = now + MARKOUT_HORIZONS_NS[h]
        markout.instrument = instrument
        root.markout_end[h] = root.markout_end[h] + 1
    root.next_markout = _next_markout(engine)


@kernel
def take_markouts(engine: int, now: int) -> None:
    """Take the marks that are due."""
    root = engine_at(engine)
    for h in range(HORIZONS):
        while root.markout_first[h] < root.markout_end[h]:
            markout = markout_at(root.markouts_address, h * MARKOUT_RING + (root.markout_first[h] & (MARKOUT_RING - 1)))
            if markout.due > now or root.marks_count >= root.marks_limit:
                break
            mark_sample(engine, markout.due, markout.instrument)
            root.markout_first[h] = root.markout_first[h] + 1
    root.next_markout = _next_markout(engine)
