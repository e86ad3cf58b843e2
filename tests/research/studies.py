"""A small market and strategies for tests of studies: one that trades, one that can be told to fail."""

import importlib.util
import os

import pytest

import nanotick as nt
from nanotick.data.eventfile import write_events
from nanotick.data.synthetic import synthetic_day


class Taker(nt.Strategy):
    """Buys and sells in turn every few seconds."""

    size: int = 100
    wait: float = 2.0
    last: int = 0

    def on_book(self, ctx):
        if ctx.has_book() and ctx.now() - self.last > self.wait * nt.SECOND and ctx.open_orders() == 0:
            self.last = ctx.now()
            if ctx.position() > 0:
                ctx.sell(self.size, ctx.best_bid(), nt.IOC)
            else:
                ctx.buy(self.size, ctx.best_ask(), nt.IOC)


def write_day(folder, seed=3, seconds=180.0):
    """A short generated day as an event file."""
    made = synthetic_day(seed=seed, seconds=seconds)
    path = folder / "day.nt"
    write_events(path, [made.events], list(made.instruments))
    return path


class StopAfter:
    """An executor that is interrupted, as by Ctrl-C, after so many runs."""

    def __init__(self, inner, runs):
        self.inner, self.runs, self.workers = inner, runs, inner.workers

    def run(self, job, tasks):
        found = self.inner.run(job, tasks)
        try:
            for number, outcome in enumerate(found):
                if number == self.runs:
                    raise KeyboardInterrupt
                yield outcome
        finally:
            found.close()


class Echo:
    """A job without a backtest: what it does is in the task's settings."""

    def open(self):
        return self._run

    def _run(self, task):
        from nanotick.research.job import Outcome

        told = dict(task.settings)
        if "die" in told:
            os._exit(int(told["die"]))
        return Outcome(task, statistics={"value": float(told.get("value", 0))}, worker=os.getpid())


class Unopenable:
    """A job no worker can open."""

    def open(self):
        raise ValueError("the data is gone")


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'nanotick[ray]'"
)
