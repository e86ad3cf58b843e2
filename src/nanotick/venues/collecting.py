"""Garbage collection at times of our own: from a timer between two events, never inside of one.

Python collects when so many objects have been made, which is most likely while an order is booked, and looks at all
objects of the process now and then, which takes a tenth of a second where compilers are loaded. Here what exists at the
start is set aside for good, and what is made later is looked at in small pieces.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from nanotick.venues.host import Host, Timer

EVERY_NS = 50_000_000
_MIDDLE, _ALL = 20, 12_000  # every second what has survived once, every ten minutes what has survived twice


@contextmanager
def collecting_between(host: Host) -> Iterator[None]:
    """Collect from the host's timer alone; as it was before at the end."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    turns = 0
    timer: Timer

    def turn() -> None:
        nonlocal timer, turns
        turns += 1
        gc.collect(2 if turns % _ALL == 0 else 1 if turns % _MIDDLE == 0 else 0)
        timer = host.at(host.now() + EVERY_NS, turn)

    timer = host.at(host.now() + EVERY_NS, turn)
    try:
        yield
    finally:
        timer.cancel()
        gc.unfreeze()
        if enabled:
            gc.enable()
