"""When a book may be trusted again after a gap in its feed.

    TRUSTED ──GAP──▶ BROKEN ──CLEAR, SNAPSHOT──▶ REBUILDING ──last row of the snapshot──▶ TRUSTED
                        └──CLEAR without a snapshot (an empty book)──▶ TRUSTED
                        └──next QUOTE of a feed of quotes alone──▶ TRUSTED

Differences that come after a gap do not mend it: what changed while nobody listened is unknown until all of the book
is told anew.
"""

from __future__ import annotations

from nanotick.core.kernel import kernel
from nanotick.core.records import Flag, Kind, event_at

TRUSTED, BROKEN, REBUILDING = 0, 1, 2
_GAP, _CLEAR, _QUOTE = int(Kind.GAP), int(Kind.CLEAR), int(Kind.QUOTE)
_LAST, _SNAPSHOT = int(Flag.LAST), int(Flag.SNAPSHOT)


@kernel
def gap_after(state: int, event_address: int, quotes_only: bool) -> int:
    """The state after an event of the instrument; `quotes_only` says that its feed has nothing but best quotes."""
    event = event_at(event_address)
    kind = event.kind
    if kind == _GAP:
        return BROKEN
    if state == TRUSTED or kind > _QUOTE:
        return state
    if kind == _CLEAR:
        if event.side != 0:
            return state
        return REBUILDING if event.flags & _SNAPSHOT != 0 else TRUSTED
    if state == REBUILDING:
        return TRUSTED if event.flags & _LAST != 0 or event.flags & _SNAPSHOT == 0 else REBUILDING
    return TRUSTED if kind == _QUOTE and quotes_only else BROKEN
