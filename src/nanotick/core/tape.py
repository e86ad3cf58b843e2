"""The tape: what is known of an instrument's market besides its book, as seen on the local side."""

from __future__ import annotations

import numpy as np

from nanotick.core.memory import record_at

TAPE = np.dtype(
    [
        ("price", "<i8"),  # last trade, 0: none
        ("qty", "<i8"),
        ("side", "<i4"),  # of its aggressor
        ("gap", "<i2"),  # state of the book after a gap in its feed (book.gap), 0: trusted
        ("depth", "<i2"),  # 1: the feed tells more than best quotes
        ("ts", "<i8"),  # ns UTC, local
        ("volume", "<i8"),  # printable quantity so far
        ("trades", "<i8"),
        ("book_ts", "<i8"),  # ns UTC, local time of the last book event, 0: none
        ("changes", "<i8"),  # BookChange bits not yet told to strategies
    ]
)
tape_at = record_at(TAPE, "Tape")
