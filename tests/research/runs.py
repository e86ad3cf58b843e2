"""Runs written by hand, and one traded by a few lines of Python, for the tests of results and reports."""

import numpy as np

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import COMMAND, EVENT, MAKER, Kind
from nanotick.engine.output import MARK_SAMPLE, QUEUE_SAMPLE, RunCounters, RunOutput, StrategyRun

SECOND = 1_000_000_000
START = 1_767_623_400 * SECOND  # 2026-01-05 14:30 UTC


class RunBuilder:
    """Collects records in journal order; times are seconds from START."""

    def __init__(self, instruments=None, strategies=("maker",), cash=100_000_000_000, interval=SECOND):
        self.instruments = InstrumentTable(instruments or [Instrument("ALFA", "SIM")])
        self.strategies = [
            StrategyRun(name, {"size": 100}, tuple(range(len(self.instruments))), cash, {"on_book": 10})
            for name in strategies
        ]
        self.rows, self.marks, self.queue = [], [], []
        self.interval = interval
        self.options = {}

    @staticmethod
    def at(seconds):
        return START + round(seconds * SECOND)

    def _row(self, dtype, **fields):
        row = np.zeros(1, dtype)
        for name, value in fields.items():
            row[name] = value
        self.rows.append(row.view(EVENT))
        row.view(EVENT)["seq"] = len(self.rows) if "seq" not in fields else fields["seq"]
        return self

    def new(self, t, order, side, price, qty, strategy=0, instrument=0):
        return self._row(
            COMMAND, ts=self.at(t), id=order, side=side, price=price, qty=qty, strategy=strategy,
            instrument=instrument, kind=Kind.NEW,
        )  # fmt: skip

    def report(self, kind, t, order, known=None, **fields):
        return self._row(
            EVENT, ts_venue=self.at(t), ts_recv=self.at(t if known is None else known), id=order, kind=kind, **fields
        )

    def fill(self, t, order, side, price, qty, fee=0, maker=True, reason=2, instrument=0, known=None):
        flags = reason | (MAKER if maker else 0)
        return self.report(
            Kind.FILL, t, order, known, side=side, price=price, qty=qty, word=fee, flags=flags, instrument=instrument
        )

    def mark(self, t, bid, ask, instrument=0):
        self.marks.append((self.at(t), bid, ask, instrument, 0))
        return self

    def queued(self, t, order, start, end, ticks):
        self.queue.append((order, self.at(t), start, end, ticks))
        return self

    def output(self, **options):
        records = np.concatenate(self.rows) if self.rows else np.empty(0, EVENT)
        marks = np.array(self.marks, MARK_SAMPLE)
        last = int(marks["ts"][-1]) if len(marks) else START
        values = {
            "counters": RunCounters(1_000, 0.01, 0.0, 0.02, True, START, last, {0: 1_000}),
            "sample_interval_ns": self.interval,
            "check_names": {3: "position"},
            "check_units": {3: "qty"},
            **self.options,
            **options,
        }
        return RunOutput(
            records, self.instruments, tuple(self.strategies), marks=marks,
            queue=np.array(self.queue, QUEUE_SAMPLE), **values,
        )  # fmt: skip
