"""Labelled places at which a test may kill the process, to see that what is left can be gone on with.

    crash_point("snapshot.renamed")

does nothing, at the cost of a call, unless a test has armed that label: in the environment (`NANOTICK_CRASH_POINT`,
with `=N` for the N-th time it is reached), for a process it starts, or by `arm` for one it forks. Then the process gets
SIGKILL there, which nothing can catch and after which nothing is flushed, closed or said.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "NANOTICK_CRASH_POINT"

CRASH_POINTS = (
    "take.before",  # events have come and the journal has none of them
    "fill.before",  # the same, a fill among them
    "take.journaled",  # events stepped; their commands are in the journal and nowhere else
    "fill.booked",  # the same, a fill among them
    "new.before",  # a new order is about to be given to the gateway
    "new.sent",  # the gateway has it
    "cancel.before",
    "cancel.sent",
    "replace.before",
    "replace.sent",
    "resume.journaled",  # commands that a killed session had not handed on are in the journal
    "snapshot.written",  # the file is whole, beside its place
    "snapshot.renamed",  # in its place, the directory not yet durable
    "snapshot.kept",  # older ones not yet dropped
)


class _Armed:
    label = ""
    count = 0


ARMED = _Armed()  # `if ARMED.label` spares a hot path the call


def arm(label: str, count: int = 1) -> None:
    """Let this process die at the `count`-th arrival at a label.

    Raises
    ------
    ValueError
        There is no such label.
    """
    if label not in CRASH_POINTS:
        raise ValueError(f"crash point: expected one of {', '.join(CRASH_POINTS)}, found {label!r}")
    ARMED.label, ARMED.count = label, count


def crash_point(label: str) -> None:
    """Die here if it is armed."""
    if ARMED.label != label:
        return
    ARMED.count -= 1
    if ARMED.count == 0:
        os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get(VARIABLE):
    arm(os.environ[VARIABLE].partition("=")[0], int(os.environ[VARIABLE].partition("=")[2] or 1))
