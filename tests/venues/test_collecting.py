"""Garbage goes when the timer says so, and Python's own collection is as it was afterwards."""

import gc
import weakref

from nanotick.venues.collecting import EVERY_NS, collecting_between
from tests.venues.hosts import ScriptedHost


class Cycle:
    def __init__(self):
        self.self = self


def test_cycles_are_collected_by_the_timer_alone():
    host = ScriptedHost()
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    with collecting_between(host):
        assert not gc.isenabled() and gc.get_freeze_count() > frozen
        gone = weakref.ref(Cycle())
        kept = [Cycle() for _ in range(5_000)]
        assert gone() is not None
        host.run(EVERY_NS / 1e9)
        assert gone() is None and len(kept) == 5_000
        found = weakref.ref(kept[0])
        host.run(0.9)  # it has survived
        kept.clear()
        host.run(1.1)
        assert found() is None
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_a_collection_that_was_off_stays_off():
    gc.disable()
    try:
        with collecting_between(ScriptedHost()):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
