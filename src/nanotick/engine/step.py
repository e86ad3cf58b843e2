"""The step: one event in, the state changed, commands out.

    event ─ market data ─▶ book, tape, mark ──▶ on_trade, on_bar, on_book ───┐
          ├ report ──────▶ order, portfolio ──▶ on_fill, on_order ───────────┤
          ├ timer ───────────────────────────▶ on_timer ─────────────────────┤
          └ control ─────▶ risk                                              ▼
                                            intents ─▶ risk ─▶ commands, refusals

Every callback is followed by `settle`: the intents it wrote pass risk one by one, in order, each against a state that
already holds the ones before it. Nothing else writes commands. All records the step adds (reports, commands, refusals,
signals) go to the output in that order under one sequence of numbers: they are the run's journal.
"""

from __future__ import annotations

from nanotick.book.apply import apply_event
from nanotick.book.depth import best_price
from nanotick.book.gap import gap_after
from nanotick.book.order_by_order import order_find as book_order_find
from nanotick.book.order_by_order import order_price as book_order_price
from nanotick.book.order_by_order import order_side as book_order_side
from nanotick.book.records import EMPTY_ASK, EMPTY_BID, BookChange
from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.memory import call2, copy_bytes, trailing_zeros
from nanotick.core.records import RECORD_SIZE, Flag, HoldingFlag, Kind, command_at, event_at
from nanotick.core.tape import tape_at
from nanotick.engine.control import ask, control_event, watch_alarm, watch_market, work_closing, work_instrument
from nanotick.engine.put import put_command, put_out, put_refusal, put_report
from nanotick.engine.records import engine_at, slot_at, subscription_at
from nanotick.engine.sample import schedule_markouts
from nanotick.orders.adoption import order_adopt, order_adopted
from nanotick.orders.open_list import order_find, order_record
from nanotick.orders.records import OrderChange, OrderRequest
from nanotick.orders.reports import order_report
from nanotick.orders.table import (
    order_address,
    order_cancel_sent,
    order_refuse,
    order_release,
    order_replace_sent,
)
from nanotick.portfolio.accounts import holding_of, portfolio_mark
from nanotick.portfolio.ledger import portfolio_bust, portfolio_fill, portfolio_open
from nanotick.risk.check import risk_check, risk_check_cancel, risk_check_replace
from nanotick.risk.exposure import risk_refresh
from nanotick.risk.guards import rebase
from nanotick.risk.records import Closing, guard_at, risk_at
from nanotick.risk.watch import watch_fill, watch_reject
from nanotick.strategy.records import SCRATCH_BAR, SCRATCH_TRADE, Callback, bar_at, context_at, scratch_at

_EXECUTE, _TRADE, _BAR = int(Kind.EXECUTE), int(Kind.TRADE), int(Kind.BAR)
_STATUS, _MARK, _GAP = int(Kind.STATUS), int(Kind.MARK), int(Kind.GAP)
_QUOTE, _CLEAR = int(Kind.QUOTE), int(Kind.CLEAR)
_FIRST_REPORT, _FIRST_RUN = 32, 64
_TIMER, _CONTROL, _RISK = int(Kind.TIMER), int(Kind.CONTROL), int(Kind.RISK)
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_LAST, _PRINTABLE = int(Flag.LAST), int(Flag.PRINTABLE)
_CHANGE_FILL, _CHANGE_BUST = int(OrderChange.FILL), int(OrderChange.BUST)
_CHANGE_UNKNOWN, _CHANGE_REFUSED = int(OrderChange.UNKNOWN_ORDER), int(OrderChange.REFUSED)
_CHANGE_DUPLICATE, _CHANGE_BREAK = int(OrderChange.DUPLICATE), int(OrderChange.BREAK)
_ADOPTED, _HOLDING, _MARGINED = int(Kind.ADOPTED), int(Kind.HOLDING), int(HoldingFlag.MARGINED)
_CANCELLING, _VENUE_REJECTED = int(Closing.CANCEL), int(Kind.REJECTED)
_OK = int(OrderRequest.OK)
_START, _BOOK, _ON_TRADE, _ON_BAR = int(Callback.START), int(Callback.BOOK), int(Callback.TRADE), int(Callback.BAR)
_ORDER, _ON_FILL, _ON_TIMER, _STOP = int(Callback.ORDER), int(Callback.FILL), int(Callback.TIMER), int(Callback.STOP)
_BEST_CHANGED, _DEPTH_CHANGED = int(BookChange.BEST_CHANGED), int(BookChange.DEPTH_CHANGED)
_FULL = int(BookChange.FULL)
_UNKNOWN_ORDER, _REFUSED = int(BookChange.UNKNOWN_ORDER), int(BookChange.BAD_VALUE | BookChange.FULL)


# --- from intents to commands -----------------------------------------------------------------------------------------


@kernel
def settle(engine: int, strategy: int) -> int:
    """Take the intents of the callback that just ran through risk; gives how many new orders were refused."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    orders, risk, now = context.orders_address, context.risk_address, context.now
    refused = 0
    for i in range(context.signal_count):
        source = context.signals_address + i * RECORD_SIZE
        address = put_out(engine)
        copy_bytes(address, source, RECORD_SIZE)
        event_at(address).seq = root.seq
    context.signal_count = 0
    count = context.intent_count
    slot_at(root.slots_address, strategy).intents += count
    for i in range(count):
        intent = command_at(context.intents_address, i)
        order_id, kind = intent.id, intent.kind
        slot = order_find(orders, order_id)
        if slot < 0:
            continue
        order = order_record(orders, slot)
        if order.strategy != strategy:
            continue  # another strategy's order: an id is no capability
        if kind == _NEW:
            check = risk_check(risk, order_id, now)
            if check == 0:
                order_release(orders, order_id, now)
                put_command(engine, _NEW, order_id, order.price, order.qty)
            else:
                order_refuse(orders, order_id, now)
                put_refusal(engine, strategy, order_id, check)
                if root.watching != 0:
                    watch_reject(risk, strategy, now)
                slot_refused = event_at(root.refused_address, refused)
                slot_refused.id = order_id
                refused += 1
        elif kind == _CANCEL:
            check = risk_check_cancel(risk, order_id, now)
            if check != 0:
                put_refusal(engine, strategy, order_id, check)
            elif order_cancel_sent(orders, order_id, now) == _OK:
                put_command(engine, _CANCEL, order_id, order.price, order.qty)
        elif kind == _REPLACE:
            check = risk_check_replace(risk, order_id, intent.price, intent.qty, now)
            if check != 0:
                put_refusal(engine, strategy, order_id, check)
            elif order_replace_sent(orders, order_id, intent.price, intent.qty, now) == _OK:
                put_command(engine, _REPLACE, order_id, intent.price, intent.qty)
    context.intent_count = 0
    return refused


@kernel
def call(engine: int, which: int, strategy: int) -> None:
    """Run one callback of one strategy and settle what it asked for.

    A refused order is told to `on_order`; what that callback asks for is settled too, but a second refusal in the same
    step is told no further, so a strategy that repeats a refused order cannot keep the step from ending.
    """
    root = engine_at(engine)
    slot = slot_at(root.slots_address, strategy)
    function = slot.call_function[which]
    if function == 0 or guard_at(root.guards_address, strategy).paused != 0:
        return
    context = context_at(root.context_address)
    context.strategy = strategy
    slot.calls[which] += 1
    call2(function, slot.self_address, root.context_address)
    if context.intent_count + context.signal_count == 0:
        return
    refused = settle(engine, strategy)
    function = slot.call_function[_ORDER]
    if refused == 0 or function == 0:
        return
    scratch = scratch_at(context.scratch_address)
    instrument = context.instrument
    for i in range(refused):
        order_slot = order_find(context.orders_address, event_at(root.refused_address, i).id)
        if order_slot >= 0:
            order = order_record(context.orders_address, order_slot)
            context.instrument = order.instrument
            scratch.order = order_address(context.orders_address, order.id)
            slot.calls[_ORDER] += 1
            call2(function, slot.self_address, root.context_address)
    context.instrument = instrument
    if context.intent_count + context.signal_count > 0:
        settle(engine, strategy)


@kernel
def tell(engine: int, which: int, instrument: int) -> None:
    """Run a callback of every strategy that listens to the instrument."""
    mask = subscription_at(engine_at(engine).masks_address, instrument).mask[which]
    while mask != 0:
        strategy = trailing_zeros(mask)
        mask &= mask - 1
        call(engine, which, strategy)


# --- kinds of events --------------------------------------------------------------------------------------------------


@kernel
def _print(engine: int, event_address: int, now: int) -> None:
    """A trade on the tape: from TRADE, or from EXECUTE with the resting order's price and side when it names none."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    event = event_at(event_address)
    price, side = event.price, event.side
    if event.kind == _EXECUTE:
        slot = book_order_find(context.books_address, event.instrument, event.id)
        if slot >= 0:
            if price == 0:
                price = book_order_price(context.books_address, slot)
            side = -book_order_side(context.books_address, slot)
    tape = tape_at(context.tape_address, event.instrument)
    tape.price = price
    tape.qty = event.qty
    tape.side = side
    tape.ts = now
    tape.trades += 1
    if event.flags & _PRINTABLE != 0 or event.kind == _TRADE:
        tape.volume += event.qty


@kernel
def market_event(engine: int, event_address: int, now: int) -> None:
    """Market data: book, tape and mark first, then the strategies."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    event = event_at(event_address)
    instrument, kind = event.instrument, event.kind
    if instrument >= context.instrument_count:
        root.bad_events += 1
        return
    context.now = now
    context.instrument = instrument
    root.events += 1
    tape = tape_at(context.tape_address, instrument)
    traded = kind == _TRADE or kind == _EXECUTE
    if traded:
        _print(engine, event_address, now)
    change = tape.changes
    if kind < _TRADE:
        applied = apply_event(context.books_address, event_address)
        change |= applied
        tape.book_ts = now
        if tape.gap != 0:
            tape.gap = gap_after(tape.gap, event_address, tape.depth == 0)
        if tape.depth == 0 and kind != _QUOTE and kind != _CLEAR:
            tape.depth = 1
        if applied & (_UNKNOWN_ORDER | _REFUSED) != 0:
            if applied & _UNKNOWN_ORDER != 0:
                root.unknown_orders += 1
            else:
                root.bad_events += 1
                if applied & _FULL != 0:
                    root.book_full += 1
        if applied & _BEST_CHANGED != 0:
            bid = best_price(context.books_address, instrument, 1)
            ask = best_price(context.books_address, instrument, -1)
            if bid != EMPTY_BID and ask != EMPTY_ASK:
                portfolio_mark(context.portfolio_address, instrument, (bid + ask) // 2)
    if root.watching != 0:
        watch_market(engine, instrument, event.flags & _LAST != 0 or kind >= _TRADE, now)
    scratch = scratch_at(context.scratch_address)
    if traded:
        if subscription_at(root.masks_address, instrument).mask[_ON_TRADE] != 0:
            scratch.event = event_address
            if kind == _EXECUTE:
                copy_bytes(context.scratch_address + SCRATCH_TRADE, event_address, RECORD_SIZE)
                scratch.event = context.scratch_address + SCRATCH_TRADE
                event_at(scratch.event).price = tape.price
                event_at(scratch.event).side = tape.side
                event_at(scratch.event).id = event.word
            tell(engine, _ON_TRADE, instrument)
    elif kind == _BAR:
        _bar(engine, event_address, now)
    elif kind == _STATUS:
        instrument_at(context.instruments_address, instrument).status = event.word
    elif kind == _GAP:
        tape.gap = gap_after(tape.gap, event_address, tape.depth == 0)
        tell(engine, _BOOK, instrument)
    elif kind == _MARK:
        portfolio_mark(context.portfolio_address, instrument, event.price)
    if event.flags & _LAST != 0 and change & (_BEST_CHANGED | _DEPTH_CHANGED) != 0:
        tape.changes = 0
        tell(engine, _BOOK, instrument)
    else:
        tape.changes = change
    if root.closing != 0:
        work_instrument(engine, instrument, now)


@kernel
def _bar(engine: int, event_address: int, now: int) -> None:
    root = engine_at(engine)
    context = context_at(root.context_address)
    event = event_at(event_address)
    bar = bar_at(context.scratch_address + SCRATCH_BAR)
    bar.ts = now
    bar.open = event.id
    bar.close = event.price
    bar.high = max(event.id, event.price) + (event.word >> 32)
    bar.low = min(event.id, event.price) - (event.word & 0xFFFFFFFF)
    bar.volume = event.qty
    bar.instrument = event.instrument
    tape = tape_at(context.tape_address, event.instrument)
    tape.price = event.price
    tape.ts = now
    tape.book_ts = now  # with bars alone, a bar is the news of the market
    tape.volume += event.qty
    portfolio_mark(context.portfolio_address, event.instrument, event.price)
    tell(engine, _ON_BAR, event.instrument)


@kernel
def _opening(engine: int, event_address: int, now: int) -> None:
    """What the account has that is not of this session: an order at the venue, a position."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    event = event_at(event_address)
    orders, risk, portfolio = context.orders_address, context.risk_address, context.portfolio_address
    if event.kind == _ADOPTED:
        change = order_adopt(orders, event_address)
        if change & _CHANGE_BREAK != 0:
            root.stray_reports += 1
        if change & (_CHANGE_BREAK | _CHANGE_DUPLICATE) != 0:
            return
        order_id = order_adopted(orders, event.id)
        order = order_record(orders, order_find(orders, order_id))
        strategy, instrument = order.strategy, order.instrument
        if event.price > 0 and holding_of(portfolio, instrument).marked == 0:
            portfolio_mark(portfolio, instrument, event.price)  # before the market is known it is worth its own price
        risk_refresh(risk, strategy, instrument)
        context.instrument = instrument
        scratch_at(context.scratch_address).order = order_address(orders, order_id)
        call(engine, _ORDER, strategy)
        stopped = guard_at(root.guards_address, strategy).breaker != 0
        stopped = stopped or guard_at(root.guards_address, context.strategy_count).breaker != 0
        if stopped or risk_at(risk).killed != 0:
            ask(engine, strategy, instrument, _CANCELLING, now)
        elif root.closing != 0:
            work_closing(engine, strategy, instrument, now)
    elif event.kind == _HOLDING and event.instrument < context.instrument_count:
        strategy = event.id if 0 <= event.id < context.strategy_count else 0
        margined = event.flags & _MARGINED != 0
        change = portfolio_open(portfolio, strategy, event.instrument, event.qty, event.price, margined, now)
        rebase(risk, strategy, change)
        risk_refresh(risk, strategy, event.instrument)
    else:
        root.stray_reports += 1


@kernel
def report_event(engine: int, event_address: int, now: int) -> None:
    """A private report: journaled, booked on order and portfolio, told to the order's strategy."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    event = event_at(event_address)
    context.now = now
    put_report(engine, event_address, now)
    if event.kind >= _ADOPTED:
        _opening(engine, event_address, now)
        return
    change = order_report(context.orders_address, event_address)
    if change & _CHANGE_UNKNOWN != 0:
        root.stray_reports += 1
        return
    slot = order_find(context.orders_address, event.id)
    order = order_record(context.orders_address, slot)
    strategy = order.strategy
    context.instrument = order.instrument
    portfolio = context.portfolio_address
    scratch = scratch_at(context.scratch_address)
    if change & _CHANGE_FILL != 0:
        realised = portfolio_fill(
            portfolio, strategy, order.instrument, order.side, event.price, event.qty, event.word, now
        )
        if root.watching != 0:
            watch_fill(context.risk_address, strategy, realised)
    elif change & _CHANGE_BUST != 0:
        portfolio_bust(portfolio, strategy, order.instrument, order.side, event.price, event.qty, event.word, now)
    risk_refresh(context.risk_address, strategy, order.instrument)
    if root.watching != 0 and event.kind == _VENUE_REJECTED and change & _CHANGE_REFUSED != 0:
        watch_reject(context.risk_address, strategy, now)
    if change & _CHANGE_FILL != 0:
        schedule_markouts(engine, order.instrument, now)
        scratch.event = event_address
        call(engine, _ON_FILL, strategy)
    scratch.order = order_address(context.orders_address, event.id)
    call(engine, _ORDER, strategy)
    if root.closing != 0:
        work_closing(engine, strategy, order.instrument, now)


@kernel
def timer_event(engine: int, event_address: int, now: int) -> None:
    """A strategy's timer is due."""
    context = context_at(engine_at(engine).context_address)
    context.now = now
    scratch_at(context.scratch_address).event = event_address
    call(engine, _ON_TIMER, event_at(event_address).word)


@kernel
def step(engine: int, event_address: int, now: int) -> None:
    """The transition: `now` is the local time at which the event is known here."""
    kind = event_at(event_address).kind
    if kind < _FIRST_REPORT:
        market_event(engine, event_address, now)
    elif kind < _FIRST_RUN:
        report_event(engine, event_address, now)
    elif kind == _TIMER:
        timer_event(engine, event_address, now)
    elif kind == _CONTROL:
        control_event(engine, event_address, now)
    if engine_at(engine).watching != 0:
        watch_alarm(engine, now)


@kernel("i8(i8,i8,i8)")
def step_one(engine: int, event_address: int, now: int) -> int:
    """`step` for Python: one event; gives the number of commands it made."""
    root = engine_at(engine)
    before = root.command_count
    step(engine, event_address, now)
    return root.command_count - before


@kernel
def start_or_stop(engine: int, which: int, now: int) -> None:
    """Run `on_start` or `on_stop` of every strategy."""
    context = context_at(engine_at(engine).context_address)
    context.now = now
    context.instrument = 0
    for strategy in range(context.strategy_count):
        call(engine, which, strategy)
