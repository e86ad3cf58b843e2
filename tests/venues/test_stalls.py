"""Disk, log and terminal may stall: decisions go on meanwhile, and nothing of them is lost.

A stall lasts until enough orders have been sent during it, so a decision that waited for it would wait for ever: the
tests need no clock, and GIVE_UP_S only ends one that has failed.
"""

import threading

import pytest

from benchmarks.live_session import AlpacaBench
from nanotick.cli import run_session
from nanotick.core import journal_sync
from nanotick.core.log import Log
from nanotick.core.mode import INTERPRET
from nanotick.engine.session_replay import replay

GIVE_UP_S = 120
FRAMES, ORDERS = 200, 10
pytestmark = pytest.mark.skipif(INTERPRET, reason="thousands of frames, for which the interpreter is too slow")


class Stall:
    """Something stands still the first time, until `release`."""

    def __init__(self):
        self.begun, self.released = threading.Event(), threading.Event()
        self.gave_up = False

    def wait(self):
        if not self.begun.is_set():
            self.begun.set()
            self.gave_up = not self.released.wait(GIVE_UP_S)

    def end(self):
        assert not self.gave_up, "decisions waited for what stood still"
        self.released.set()


class Slow(Stall):
    """A stream whose first write stands still."""

    def __init__(self):
        super().__init__()
        self.text = []

    def write(self, text):
        self.wait()
        self.text.append(text)

    def flush(self):
        pass


def trade(bench, also=lambda: None):
    """Frames and the orders they lead to."""
    before = bench.trader.counts.sent
    for _ in range(FRAMES):
        bench.frame()
        also()
    assert bench.trader.counts.sent - before > ORDERS


def warmed():
    bench = AlpacaBench()
    for _ in range(800):
        bench.frame()
    return bench


def test_a_disk_that_stalls_delays_no_decision(monkeypatch):
    with warmed() as bench:
        stall, real = Stall(), journal_sync._msync

        def slow(segment, size):
            stall.wait()
            real(segment, size)

        monkeypatch.setattr(journal_sync, "_msync", slow)
        bench.frame()
        assert stall.begun.wait(GIVE_UP_S)
        trade(bench)
        stall.end()
        commands = bench.runner.status()["commands"]
        bench.session.close()
        found = replay(bench.directory / "journal")
        assert found.difference is None and found.commands == commands


def test_a_log_that_stalls_delays_no_decision_and_loses_no_line():
    with warmed() as bench:
        slow = Slow()
        with Log(slow) as log:
            logger = log.bind()
            bench.trader._log, bench.runner._log = logger, logger
            logger.info("before")
            assert slow.begun.wait(GIVE_UP_S)
            lines = 0

            def say():
                nonlocal lines
                logger.info("order", number=lines)
                lines += 1

            trade(bench, say)
            slow.end()
        text = "".join(slow.text)
        assert log.dropped + text.count('"number"') == lines == FRAMES and text.count('"number"') > 0


def test_a_terminal_that_stalls_delays_no_decision(monkeypatch):
    with warmed() as bench:
        slow = Slow()
        monkeypatch.setattr(run_session.sys, "stderr", slow)
        run_session._print_later("a trade")
        assert slow.begun.wait(GIVE_UP_S)
        trade(bench, lambda: run_session._print_later("another"))
        slow.end()
