"""What every stream of events is checked for, whatever its format: time order and silence.

One kernel walks the events with the state it needs in a record, so the checks cost a few nanoseconds an event and a
stream may come in chunks of any size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import record_at
from nanotick.core.records import Flag, event_at
from nanotick.data.quality import Anomaly, QualityReport

STALE_AFTER_NS = 300_000_000_000
_VENUE, _LOCAL = int(Flag.VENUE), int(Flag.LOCAL)

CHECKS = np.dtype(
    [
        ("row", "<i8"),  # events seen
        ("venue_time", "<i8"),  # latest so far, ns
        ("local_time", "<i8"),
        ("stale_after", "<i8"),  # ns
        ("venue_back", "<i8"),  # rows whose venue time steps back
        ("venue_back_row", "<i8"),  # the first of them
        ("venue_back_by", "<i8"),  # ns, the largest step
        ("local_back", "<i8"),
        ("local_back_row", "<i8"),
        ("local_back_by", "<i8"),
        ("stale", "<i8"),  # silences longer than stale_after
        ("stale_row", "<i8"),
        ("stale_for", "<i8"),  # ns, the longest
    ]
)
checks_at = record_at(CHECKS, "Checks")


@kernel("i8(i8,i8,i8)")
def check_times(state: int, events: int, count: int) -> int:
    """Walk the time stamps of `count` events; always 0."""
    c = checks_at(state)
    for i in range(count):
        row = event_at(events, i)
        if row.flags & _VENUE:
            back = c.venue_time - row.ts_venue
            if back > 0:
                if c.venue_back == 0:
                    c.venue_back_row = c.row
                c.venue_back += 1
                c.venue_back_by = max(c.venue_back_by, back)
            else:
                c.venue_time = row.ts_venue
        if row.flags & _LOCAL:
            step = row.ts_recv - c.local_time
            if step < 0:
                if c.local_back == 0:
                    c.local_back_row = c.row
                c.local_back += 1
                c.local_back_by = max(c.local_back_by, -step)
            else:
                if step > c.stale_after and c.local_time > 0:
                    if c.stale == 0:
                        c.stale_row = c.row
                    c.stale += 1
                    c.stale_for = max(c.stale_for, step)
                c.local_time = row.ts_recv
        c.row += 1
    return 0


class EventChecks:
    """The checks of one stream: `feed` every chunk, then `finish`.

    Parameters
    ----------
    report : QualityReport
        Where findings go.
    stale_after_ns : int
        A longer silence is reported as stale.
    """

    def __init__(self, report: QualityReport, stale_after_ns: int = STALE_AFTER_NS) -> None:
        self._report = report
        self._state = np.zeros(1, dtype=CHECKS)
        self._state["venue_time"] = self._state["local_time"] = np.iinfo(np.int64).min // 2
        self._state["stale_after"] = stale_after_ns

    def feed(self, events: npt.NDArray[Any]) -> None:
        """Check the next events, shape (n,)."""
        if len(events):
            events = np.ascontiguousarray(events)
            check_times(int(self._state.ctypes.data), int(events.ctypes.data), len(events))

    def finish(self) -> None:
        """Report what was found."""
        found = self._state[0]
        for count, row, by, side in (
            ("venue_back", "venue_back_row", "venue_back_by", "venue times"),
            ("local_back", "local_back_row", "local_back_by", "receive times"),
        ):
            if found[count]:
                self._report.anomaly(
                    Anomaly.DISORDER,
                    f"event {found[row]}",
                    f"{side} step back, by up to {int(found[by]):,} ns; convert puts them in order",
                    int(found[count]),
                )
        if found["stale"]:
            self._report.anomaly(
                Anomaly.STALE,
                f"event {found['stale_row']}",
                f"nothing for longer than {int(found['stale_after']) / 1e9:g} s, "
                f"at most {int(found['stale_for']) / 1e9:.1f} s",
                int(found["stale"]),
            )
