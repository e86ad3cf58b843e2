"""Disk, log and terminal may stall: decisions go on meanwhile, and nothing of them is lost."""

import threading
import time

import pytest

from benchmarks.live_session import AlpacaBench
from nanotick.cli import run_session
from nanotick.core import journal_sync
from nanotick.core.log import Log
from nanotick.core.mode import INTERPRET
from nanotick.engine.session_replay import replay

STALL_S = 1.5
LATE_NS = 700_000_000  # far below the stall, far above what a busy machine does to a frame
pytestmark = pytest.mark.skipif(INTERPRET, reason="needs compiled speed to tell a stall from work")


def longest(bench, stalled, frames=200):
    """The longest frame, ns, and the orders sent, over at least so many frames and while something is stalled."""
    worst = done = 0
    before = bench.trader.counts.sent
    while done < frames or stalled():
        worst = max(worst, bench.frame()[1])
        done += 1
    return worst, bench.trader.counts.sent - before


def warmed():
    bench = AlpacaBench()
    for _ in range(800):
        bench.frame()
    return bench


class Slow:
    """A stream whose first write stands still for a while."""

    def __init__(self):
        self.begun, self.over = threading.Event(), threading.Event()
        self.text = []

    def write(self, text):
        if not self.begun.is_set():
            self.begun.set()
            time.sleep(STALL_S)
            self.over.set()
        self.text.append(text)

    def flush(self):
        pass


def test_a_disk_that_stalls_delays_no_decision(monkeypatch):
    with warmed() as bench:
        begun, over, real = threading.Event(), threading.Event(), journal_sync._msync

        def slow(segment, size):
            if not begun.is_set():
                begun.set()
                time.sleep(STALL_S)
                over.set()
            real(segment, size)

        monkeypatch.setattr(journal_sync, "_msync", slow)
        bench.frame()
        assert begun.wait(10)
        worst, sent = longest(bench, lambda: not over.is_set())
        assert worst < LATE_NS and sent > 10
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
            assert slow.begun.wait(10)
            lines = [0]

            def stalled():
                logger.info("order", number=lines[0])
                lines[0] += 1
                return not slow.over.is_set()

            worst, sent = longest(bench, stalled)
            assert worst < LATE_NS and sent > 10
        text = "".join(slow.text)
        assert log.dropped + text.count('"number"') == lines[0] and text.count('"number"') > 0


def test_a_terminal_that_stalls_delays_no_decision(monkeypatch):
    with warmed() as bench:
        slow = Slow()
        monkeypatch.setattr(run_session.sys, "stderr", slow)
        run_session._print_later("a trade")
        assert slow.begun.wait(10)

        def stalled():
            run_session._print_later("another")
            return not slow.over.is_set()

        worst, sent = longest(bench, stalled)
        assert worst < LATE_NS and sent > 10
