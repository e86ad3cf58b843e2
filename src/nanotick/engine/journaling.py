"""What a session writes into its journal, and how: the same for every loop that drives the step.

    HEADER...  what the session is: enough to build the local side again
    input      market data, report, timer, control, parameter, or a mark of the session; ts_recv is the local time
    command... what the step answered, each written before the gateway has it
    input
    ...
    END

Inputs are all that the step learns; commands follow from them, and stand there so that a replay can be held to them and
so that an order which may have been sent is known after a crash. A mark says what came from no record: that strategies
start or stop, that the clock has reached something due. A record's place in the journal is its number.
"""

from __future__ import annotations

from enum import IntEnum

from nanotick.core.journal_kernel import journal_append
from nanotick.core.kernel import kernel
from nanotick.core.memory import clear_bytes
from nanotick.core.records import RECORD_SIZE, Kind, event_at
from nanotick.engine.records import OUTPUT_RESERVE, engine_at

STEP_RECORDS = OUTPUT_RESERVE + 2  # most that one input can add: itself, a mark before it, its commands
_SESSION = int(Kind.SESSION)


class SessionMark(IntEnum):
    """`word` of a SESSION record; ts_recv is the local time."""

    HEADER = 1  # seq place of the piece, instrument bytes of the whole; 40 bytes in ts_venue, ts_recv, price, qty, id
    START = 2  # on_start
    STOP = 3  # on_stop
    SAMPLE = 4  # accounts are sampled
    DUE = (
        5  # id the time at which something was due, price that of the next event if known, qty that of the next sample
    )
    MUTE = 6  # strategies hear nothing from here on
    HEAR = 7  # they do again
    END = 8  # nothing follows
    LIMIT = 9  # seq strategy, or their number for the account; id the `Limit`, price its new value
    CODE = 10  # seq strategy, id the beginning of the digest of its new code, which lies beside the journal


@kernel
def journal_mark(journal: int, mark: int, what: int, now: int, due: int, next_row: int, next_sample: int) -> int:
    """Journal a mark of the session, built in the scratch record at `mark`."""
    clear_bytes(mark, RECORD_SIZE)
    record = event_at(mark)
    record.ts_venue = now
    record.ts_recv = now
    record.kind = _SESSION
    record.word = what
    record.id = due
    record.price = next_row
    record.qty = next_sample
    return journal_append(journal, mark)


@kernel
def journal_commands(journal: int, engine: int) -> int:
    """Journal the commands of the present step; gives how many were taken."""
    root = engine_at(engine)
    for i in range(root.command_count):
        if journal_append(journal, root.commands_address + i * RECORD_SIZE) <= 0:
            return i
    return root.command_count
