"""From a frame's bytes to the commands it leads to in one compiled call.

    frame ─▶ LiveFrames' kernel ─▶ EVENT records ─▶ take_events (journal, step, journal) ─▶ commands for the gateway
                                                                                           └▶ the first one's request

Python runs before it to say when the frame came, and after it only when there is something that the kernel leaves:
commands to send, a journal or output without room, a frame or record that wants to be looked at. What happens is what
`LiveFrames.read` and `Runner.deliver` would have done one after the other, with one border crossed instead of two. Of
the first command the request is there already, where its account has an outlet (`venues.outlet`): Python only hands it
to the transport.

A GAP is left to the feed, which may have to fetch a book anew before what follows counts. While commands are being sent
(the gateway's buffer is not empty) nothing is taken: the runner keeps what comes until they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nanotick.core.crash_points import ARMED
from nanotick.core.fastcall import frame_entry
from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.mode import INTERPRET
from nanotick.core.records import RECORD_SIZE, Kind, event_at
from nanotick.engine.session_loop import SessionState, session_at, take_events
from nanotick.venues.feed import Turn
from nanotick.venues.outlet import write_first
from nanotick.wire.live_frames import LiveFrames, binance_frame, equity_frame

if TYPE_CHECKING:
    from nanotick.venues.runner import Runner

TURN = np.dtype(
    [
        ("frame_address", "<i8"),  # FRAME of the connection
        ("session_address", "<i8"),
        ("events_address", "<i8"),  # where the frame's records are put
        ("outlets_address", "<i8"),  # of the accounts, by venue
        ("count", "<i8"),  # records of the last frame
        ("taken", "<i8"),  # of these, by the session
        ("turns", "<i8"),  # frames that had records, since the connection began
        ("events", "<i8"),  # and their records
        ("written", "<i8"),  # size of the first command's request, where its account's outlet has it; 0 if it has not
    ]
)
turn_at = record_at(TURN, "LiveTurn")
_COUNT, _TAKEN, _TURNS, _EVENTS, _WRITTEN = range(4, 9)
_TS_RECV = 3  # in FRAME
_DONE, _GAP = int(SessionState.DONE), int(Kind.GAP)
_AFTER = 1  # commands to send, or records left for want of room; above it: records, none of them taken


@kernel
def take_frame(state: int, count: int) -> int:
    """Run the session over a frame's records; 0 when that is all, `_AFTER`, or 1 + count when nothing was taken."""
    if count <= 0:
        return count
    turn = turn_at(state)
    session = session_at(turn.session_address)
    if session.gateway_count != 0 or event_at(turn.events_address).kind == _GAP:
        return _AFTER + count
    taken = take_events(turn.session_address, turn.events_address, count)
    turn.count = count
    turn.taken = taken
    turn.turns += 1
    turn.events += taken
    if session.gateway_count != 0:
        turn.written = write_first(turn.outlets_address, session.gateway_address, session.now)
        return _AFTER
    turn.written = 0
    return 0 if session.state == _DONE else _AFTER


@kernel
def equity_turn(state: int, data: int, size: int) -> int:
    """A frame of Polygon or Alpaca."""
    return take_frame(state, equity_frame(turn_at(state).frame_address, data, size))


@kernel
def binance_turn(state: int, data: int, size: int) -> int:
    """A frame of Binance."""
    return take_frame(state, binance_frame(turn_at(state).frame_address, data, size))


class FrameTurn:
    """The frames of one connection; called as a `Turn`.

    Parameters
    ----------
    runner : Runner
    frames : LiveFrames
        With a kernel.
    """

    __slots__ = ("_address", "_counter", "_enter", "_fields", "_record", "_runner", "_stamp")

    def __init__(self, runner: Runner, frames: LiveFrames) -> None:
        handler, frame_address = frames.kernel  # type: ignore[misc]
        self._runner, self._counter = runner, runner.counter
        self._record = np.zeros(1, TURN)
        self._address = int(frames.events.ctypes.data)
        self._record["frame_address"], self._record["session_address"] = frame_address, runner.session.address
        self._record["events_address"], self._record["outlets_address"] = self._address, runner.outlets.address
        self._fields, self._stamp = self._record.view(np.int64).data, frames.fields
        whole = binance_turn if handler is binance_frame else equity_turn
        state = int(self._record.ctypes.data)
        self._enter: Callable[[bytes | memoryview], int] = frame_entry(whole, f"{__name__}.{whole.__name__}", state)

    def __call__(self, data: bytes | memoryview, now: int) -> int:
        """As `Turn`."""
        if ARMED.label:
            return -1
        self._stamp[_TS_RECV] = now
        began = self._counter()
        left = self._enter(data)
        if left == _AFTER:
            fields = self._fields
            taken = fields[_TAKEN]
            left_over = fields[_COUNT] - taken
            self._runner.finish(self._address + taken * RECORD_SIZE, left_over, began, fields[_WRITTEN])
            return 0
        return left - _AFTER if left > 0 else left

    @property
    def done(self) -> tuple[int, int]:
        """Frames with records, and records taken."""
        return int(self._fields[_TURNS]), int(self._fields[_EVENTS])


def frame_turn(runner: Runner, frames: LiveFrames) -> FrameTurn | None:
    """The short way for a connection's frames; None where there is none (the general path, interpreted)."""
    if INTERPRET or frames.kernel is None:
        return None
    return FrameTurn(runner, frames)


__all__ = ["FrameTurn", "Turn", "frame_turn"]
