"""How much memory a replay takes: a mapped recording passes through, it is never in memory as a whole."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanotick as nt
from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.mode import INTERPRET
from nanotick.core.pages import release_pages
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind
from nanotick.data.eventfile import EventFile, EventWriter
from nanotick.engine.backtest import Backtest, Recording
from nanotick.engine.local import StrategySetup

MIB = 1 << 20
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TABLE = InstrumentTable([Instrument("P", "V", 1, 0, "0.1", "1")])


class Watcher(nt.Strategy):
    """Looks now and then."""

    seen: int = 0

    def on_start(self, ctx: Any) -> None:
        ctx.every(1_000_000)

    def on_timer(self, ctx: Any) -> None:
        self.seen += ctx.best_bid()


def resident(what: str) -> int:
    """Bytes that the system says are in memory: VmRSS now, VmHWM at most since it was reset."""
    return int(next(line for line in STATUS.read_text().splitlines() if line.startswith(what)).split()[1]) * 1024


def reset_peak() -> None:
    try:
        RESET.write_text("5")
    except OSError:
        pytest.skip("this system does not let a process reset its peak of memory")


def long_file(path: Path, blocks: int) -> Path:
    """Blocks of 16 MiB of best quotes."""
    rows = np.zeros(16 * MIB // EVENT.itemsize, EVENT)
    rows["kind"], rows["flags"], rows["qty"], rows["word"] = int(Kind.QUOTE), BOTH_SIDES | int(Flag.LAST), 5, 5
    rows["price"] = 1_000 + np.arange(len(rows)) % 7
    rows["id"] = rows["price"] + 1
    with EventWriter(path, TABLE) as writer:
        for block in range(blocks):
            rows["ts_venue"] = 1_000_000_000 + 1_000 * (block * len(rows) + np.arange(len(rows)))
            rows["ts_recv"] = rows["ts_venue"] + 500
            writer.append(rows)
    return path


@pytest.mark.skipif(INTERPRET, reason="four million rows take too long interpreted")
def test_a_recording_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    file = EventFile.open(long_file(tmp_path / "long.nt", 16))
    before = resident("VmRSS")
    reset_peak()
    setup = StrategySetup(Watcher(), cash=10**9)
    out = Backtest([Recording(file.events)], TABLE, [setup], sample_interval_ns=0).run()
    assert out.counters.events == len(file.events) == 4 * MIB
    assert resident("VmHWM") - before < 128 * MIB  # of 256 in the file: engine and books are in it, compiling too


def test_only_pages_that_a_file_still_has_are_given_back(tmp_path: Path) -> None:
    whole = EventFile.open(long_file(tmp_path / "short.nt", 1))
    rows = whole.events[1_000:2_000]
    text = rows.tobytes()
    assert release_pages(rows)
    assert rows.tobytes() == text
    assert not release_pages(rows.copy())
    assert not release_pages(rows[:0])
    private = np.frombuffer(mmap.mmap(-1, 4 * mmap.PAGESIZE), np.int64)
    private[:] = 7
    private.flags.writeable = False
    assert not release_pages(private)
    assert (private == 7).all()
