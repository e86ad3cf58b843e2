"""What the run adds to its journal: reports as they were known, commands, refusals, samples.

The output is a buffer of 64-byte records that the runner empties between slices; it is kept roomy enough for a whole
step, so a kernel never has to stop in the middle of one.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes, copy_bytes
from nanotick.core.records import RECORD_SIZE, Kind, command_at, event_at
from nanotick.engine.records import engine_at
from nanotick.orders.open_list import order_find, order_record
from nanotick.risk.records import risk_at
from nanotick.strategy.records import context_at

_RISK = int(Kind.RISK)


@kernel
def put_out(engine: int) -> int:
    """Address of the next record of the output, zeroed and numbered; runners keep enough room for a whole step."""
    root = engine_at(engine)
    address = root.output_address + root.output_count * RECORD_SIZE
    root.output_count += 1
    root.seq += 1
    clear_bytes(address, RECORD_SIZE)
    event_at(address).seq = root.seq
    return address


@kernel
def put_report(engine: int, event: int, now: int) -> None:
    """Journal a report as it was known here. Its own `seq` (the execution number) stays: it is what makes it unique."""
    address = put_out(engine)
    copy_bytes(address, event, RECORD_SIZE)
    event_at(address).ts_recv = now


@kernel
def put_command(engine: int, kind: int, order_id: int, price: int, qty: int) -> None:
    """A command that risk has passed: journaled, and handed to the gateway."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    order = order_record(context.orders_address, order_find(context.orders_address, order_id))
    address = put_out(engine)
    command = command_at(address)
    command.ts = context.now
    command.id = order_id
    command.kind = kind
    command.price = price
    command.qty = qty
    command.stop_price = order.stop_price
    command.order_type = order.order_type
    command.tif = order.tif
    command.strategy = order.strategy
    command.expire_s = order.expire_s
    command.instrument = order.instrument
    command.venue = order.venue
    command.side = order.side
    command.flags = order.flags
    copy_bytes(root.commands_address + root.command_count * RECORD_SIZE, address, RECORD_SIZE)
    root.command_count += 1


@kernel
def put_refusal(engine: int, strategy: int, order_id: int, check: int) -> None:
    """A refusal of risk, with the check, what it found and the limit."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    risk = risk_at(context.risk_address)
    slot = order_find(context.orders_address, order_id)
    record = event_at(put_out(engine))
    record.ts_venue = context.now
    record.ts_recv = context.now
    record.kind = _RISK
    record.id = order_id
    record.word = check
    record.price = risk.found
    record.qty = risk.limit
    record.seq = strategy
    if slot >= 0:
        order = order_record(context.orders_address, slot)
        record.instrument = order.instrument
        record.side = order.side


@kernel
def put_risk_event(engine: int, scope: int, instrument: int, check: int) -> None:
    """What risk has noticed between orders: of a strategy, or (their number) the account, in an instrument."""
    root = engine_at(engine)
    context = context_at(root.context_address)
    risk = risk_at(context.risk_address)
    record = event_at(put_out(engine))
    record.ts_venue = context.now
    record.ts_recv = context.now
    record.kind = _RISK
    record.word = check
    record.price = risk.found
    record.qty = risk.limit
    record.seq = scope
    record.instrument = instrument
