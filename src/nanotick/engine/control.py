"""Operator control and breakers: cancelling what is open and closing what is held.

Whatever has to be cancelled or closed is noted on the PAIR of its strategy and instrument (`Closing`) and worked off
whenever something about the pair is heard: at once, at each of its reports, at market data of the instrument, at
samples. So nothing is lost when a step has no room for all of it, a cancel is refused, or the market is halted:

    KILL, a breaker, CANCEL_EVERYTHING   ─▶ CANCEL   a cancel for every open order, then done
    FLATTEN                              ─▶ FLATTEN  cancels; when no order is open, a market order IOC for the whole
                                                     position (at most the venue's largest order); repeated until flat

While a position is being flattened risk refuses every other order for it. The closing order passes risk like any other
and is exempt from what would keep a position from becoming smaller: kill switch, breakers, pause, rates, the checks
against our own limits and the market. What the venue would refuse (halt, lot, restricted) is refused here, too: the
refusal is put out once, and the order is tried again every `RETRY_NS`.
"""

from __future__ import annotations

from nanotick.core.instruments import instrument_at
from nanotick.core.kernel import kernel
from nanotick.core.records import (
    ALL_INSTRUMENTS,
    ALL_STRATEGIES,
    CommandFlag,
    ControlAction,
    KillReason,
    Kind,
    OrderType,
    TimeInForce,
    event_at,
)
from nanotick.engine.put import put_command, put_refusal, put_report, put_risk_event
from nanotick.engine.records import engine_at
from nanotick.orders.open_list import order_find, order_record
from nanotick.orders.records import OrderRequest
from nanotick.orders.table import (
    cancel_pending,
    first_open,
    next_open,
    open_orders,
    order_cancel_sent,
    order_refuse,
    order_release,
    order_reserve_closing,
)
from nanotick.portfolio.accounts import holding_of
from nanotick.portfolio.ledger import position_qty
from nanotick.risk.check import risk_check, risk_force_cancel
from nanotick.risk.exposure import pair_of
from nanotick.risk.guards import kill, pause_strategy, resume, risk_update
from nanotick.risk.records import Closing, risk_at
from nanotick.risk.watch import watch_feed, watch_price, watch_silence
from nanotick.strategy.records import context_at

RETRY_NS = 100_000_000
_CANCELS_ROOM = 1_024  # kept free of cancels in a step's commands
_OK = int(OrderRequest.OK)
_NEW, _CANCEL = int(Kind.NEW), int(Kind.CANCEL)
_MARKET, _IOC = int(OrderType.MARKET), int(TimeInForce.IOC)
_CLOSE_ALL, _REDUCE_ONLY = int(CommandFlag.CLOSE_ALL), int(CommandFlag.REDUCE_ONLY)
_CANCELLING, _FLATTENING = int(Closing.CANCEL), int(Closing.FLATTEN)
_KILL, _RESUME = int(ControlAction.KILL), int(ControlAction.RESUME)
_PAUSE, _CONTINUE = int(ControlAction.PAUSE_STRATEGY), int(ControlAction.RESUME_STRATEGY)
_LOST_FEED = int(KillReason.LOST_FEED)
_FLATTEN, _CANCEL_EVERYTHING = int(ControlAction.FLATTEN), int(ControlAction.CANCEL_EVERYTHING)


@kernel
def _cancel_open(engine: int, strategy: int, instrument: int, now: int) -> int:
    """Cancel what is open and has no cancel on its way, past the message rate; how many, -1 when room ran out."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    orders = context.orders_address
    sent = 0
    slot = first_open(orders, strategy, instrument)
    while slot >= 0:
        order = order_record(orders, slot)
        order_id = order.id
        due = not cancel_pending(orders, slot) and order.flags & _CLOSE_ALL == 0
        slot = next_open(orders, slot)
        if due:
            if root.command_count >= root.command_limit - _CANCELS_ROOM:
                return -1
            passed = risk_force_cancel(context.risk_address, order_id, now) == 0
            if passed and order_cancel_sent(orders, order_id, now) == _OK:
                put_command(engine, _CANCEL, order_id, 0, 0)
                sent += 1
    return sent


@kernel
def _close(engine: int, strategy: int, instrument: int, held: int, now: int) -> None:
    """Send a market order that closes the position, through risk."""
    context = context_at(engine_at(engine).context_address)
    orders, risk = context.orders_address, context.risk_address
    pair = pair_of(risk, strategy, instrument)
    rules = instrument_at(context.instruments_address, instrument)
    side = -1 if held > 0 else 1
    qty = abs(held)
    if rules.max_qty != 0:
        qty = min(qty, rules.max_qty // rules.lot_size * rules.lot_size)
    pair.close_next = now + RETRY_NS
    order_id = order_reserve_closing(orders, strategy, instrument, side, 0, qty, _MARKET, _IOC, now)
    if order_id == 0:
        return
    check = risk_check(risk, order_id, now)
    if check != 0:
        order_refuse(orders, order_id, now)
        if check != pair.closing_check:
            put_refusal(engine, strategy, order_id, check)
        pair.closing_check = check
        return
    pair.closing_check = 0
    order_release(orders, order_id, now)
    if -side * holding_of(context.portfolio_address, instrument).qty < qty:
        # the venue knows one account: what closes this strategy's position would open or enlarge the account's
        order = order_record(orders, order_find(orders, order_id))
        order.flags = order.flags & ~_REDUCE_ONLY
    put_command(engine, _NEW, order_id, 0, qty)


@kernel
def work_closing(engine: int, strategy: int, instrument: int, now: int) -> None:
    """Do what is due of what was asked for of a strategy in an instrument."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    pair = pair_of(context.risk_address, strategy, instrument)
    if pair.closing == 0:
        return
    if now >= pair.cancel_next:
        sent = _cancel_open(engine, strategy, instrument, now)
        if sent < 0:
            return
        if sent > 0:
            pair.cancel_next = now + RETRY_NS
    done = pair.closing == _CANCELLING
    if not done:
        if open_orders(context.orders_address, strategy, instrument) > 0:
            return
        held = position_qty(context.portfolio_address, strategy, instrument)
        done = held == 0
        if not done and now >= pair.close_next and root.command_count < root.command_limit - 1:
            _close(engine, strategy, instrument, held, now)
    if done:
        pair.closing = 0
        pair.closing_check = 0
        pair.cancel_next = 0
        pair.close_next = 0
        root.closing -= 1


@kernel
def work_instrument(engine: int, instrument: int, now: int) -> None:
    """`work_closing` of every strategy in an instrument."""
    for strategy in range(context_at(engine_at(engine).context_address).strategy_count):
        work_closing(engine, strategy, instrument, now)


@kernel
def _work_all(engine: int, now: int) -> None:
    for instrument in range(context_at(engine_at(engine).context_address).instrument_count):
        work_instrument(engine, instrument, now)


@kernel
def ask(engine: int, strategy: int, instrument: int, what: int, now: int) -> None:
    """Ask for a `Closing` of a strategy or all of them, in an instrument or all of them, and begin with it.

    A strategy or instrument that does not exist is nobody's.
    """
    root = engine_at(engine)
    context = context_at(root.context_address)
    strategies, instruments = context.strategy_count, context.instrument_count
    first = 0 if strategy == ALL_STRATEGIES else strategy
    last = strategies if strategy == ALL_STRATEGIES else min(strategy + 1, strategies)
    first_instrument = 0 if instrument == ALL_INSTRUMENTS else instrument
    last_instrument = instruments if instrument == ALL_INSTRUMENTS else min(instrument + 1, instruments)
    for s in range(max(0, first), last):
        for i in range(max(0, first_instrument), last_instrument):
            pair = pair_of(context.risk_address, s, i)
            if pair.closing == 0:
                root.closing += 1
            pair.closing = max(pair.closing, what)
            pair.cancel_next = 0
            pair.close_next = 0
    _work_all(engine, now)


@kernel
def control_event(engine: int, event_address: int, now: int) -> None:
    """An operator's command: journaled, then obeyed."""
    context = context_at(engine_at(engine).context_address)
    risk = context.risk_address
    event = event_at(event_address)
    context.now = now
    put_report(engine, event_address, now)
    action = event.word
    known = 0 <= event.id < context.strategy_count
    if action == _KILL:
        kill(risk, event.id)
        ask(engine, ALL_STRATEGIES, ALL_INSTRUMENTS, _CANCELLING, now)
    elif action == _RESUME:
        resume(risk)
    elif (action == _PAUSE or action == _CONTINUE) and known:
        pause_strategy(risk, event.id, action == _PAUSE)
    elif action == _CANCEL_EVERYTHING:
        ask(engine, event.id, event.instrument, _CANCELLING, now)
    elif action == _FLATTEN:
        ask(engine, event.id, event.instrument, _FLATTENING, now)


@kernel
def _watch_feed(engine: int, now: int) -> None:
    """Market data that does not come: of an instrument its orders are cancelled, of all everything is killed."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    risk, account = context.risk_address, context.strategy_count
    check = watch_feed(risk, now)
    if check != 0:
        put_risk_event(engine, account, 0, check)
        kill(risk, _LOST_FEED)
        ask(engine, ALL_STRATEGIES, ALL_INSTRUMENTS, _CANCELLING, now)
        return
    for instrument in range(context.instrument_count):
        check = watch_silence(risk, instrument, now)
        if check != 0:
            put_risk_event(engine, account, instrument, check)
            ask(engine, ALL_STRATEGIES, instrument, _CANCELLING, now)


@kernel
def watch_market(engine: int, instrument: int, whole: bool, now: int) -> None:
    """Market data has come: an instrument whose price has jumped has its orders cancelled."""
    context = context_at(engine_at(engine).context_address)
    check = watch_price(context.risk_address, instrument, whole, now)
    if check != 0:
        put_risk_event(engine, context.strategy_count, instrument, check)
        ask(engine, ALL_STRATEGIES, instrument, _CANCELLING, now)


@kernel
def watch_breakers(engine: int, now: int) -> None:
    """Look at the loss limits between orders; a strategy whose limit is broken has its orders cancelled."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    risk = context.risk_address
    context.now = now
    if root.closing != 0:
        _work_all(engine, now)
    if root.watching != 0:
        _watch_feed(engine, now)
    check = risk_update(risk, now)
    while check != 0 and root.command_count < root.command_limit - _CANCELS_ROOM:
        put_refusal(engine, risk_at(risk).scope, 0, check)
        scope = risk_at(risk).scope
        ask(engine, ALL_STRATEGIES if scope == context.strategy_count else scope, ALL_INSTRUMENTS, _CANCELLING, now)
        check = risk_update(risk, now)


@kernel
def watch_alarm(engine: int, now: int) -> None:
    """Behind a step: tell what has tripped in it, and cancel what has to be cancelled."""
    context = context_at(engine_at(engine).context_address)
    if risk_at(context.risk_address).alarm != 0:
        watch_breakers(engine, now)
