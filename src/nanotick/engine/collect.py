"""What a run puts out, gathered while it runs and handed over as one `RunOutput`: the same for every runner."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import REGISTRY
from nanotick.core.mode import INTERPRET
from nanotick.core.records import EVENT
from nanotick.engine.local import LocalSide, StrategySetup
from nanotick.engine.output import FINAL_POSITION, MARK_SAMPLE, RunCounters, RunOutput, StrategyRun
from nanotick.risk.records import CHECK_NAMES, CHECK_UNITS


@dataclass
class Collector:
    """Takes what the step's kernels put out between two slices of a run."""

    arena: Arena
    instruments: InstrumentTable
    setups: Sequence[StrategySetup]
    local: LocalSide
    records: list[npt.NDArray[Any]] = field(default_factory=list)
    marks: list[npt.NDArray[Any]] = field(default_factory=list)

    def drain(self) -> None:
        """Take what the kernels have put out."""
        self.records.append(self.local.drain())
        self.marks.append(self.local.drain_marks())

    def output(self, counters: RunCounters, **rest: Any) -> RunOutput:
        """Everything so far as one value; `rest` goes into `RunOutput` as it is."""
        records = np.concatenate(self.records) if self.records else np.empty(0, EVENT)
        return RunOutput(
            records=records,
            instruments=self.instruments,
            strategies=tuple(self._strategy(n) for n in range(len(self.setups))),
            counters=counters,
            marks=np.concatenate(self.marks) if self.marks else np.empty(0, MARK_SAMPLE),
            positions=self._positions(),
            check_names=CHECK_NAMES,
            check_units=CHECK_UNITS,
            journal_hash=hashlib.blake2b(records.tobytes(), digest_size=16).hexdigest(),
            state_hash=self.arena.digest().hex(),
            **rest,
        )

    def _strategy(self, number: int) -> StrategyRun:
        setup, cls = self.setups[number], type(self.setups[number].strategy)
        doc = (cls.__doc__ or "").strip().splitlines()
        return StrategyRun(
            name=self.local.names[number],
            parameters=setup.strategy.parameters,
            instruments=setup.instruments or tuple(range(len(self.instruments))),
            cash=setup.cash,
            calls=self.local.calls(number),
            intents=int(self.local.slots_region.view[number]["intents"]),
            class_name=cls.__qualname__,
            doc=doc[0] if doc else "",
        )

    def _positions(self) -> npt.NDArray[Any]:
        count = max(1, len(self.instruments))
        held = self.local.portfolio.positions.view
        rows = np.flatnonzero(held["trades"] > 0)
        final = np.zeros(len(rows), FINAL_POSITION)
        final["strategy"], final["instrument"] = rows // count, rows % count
        for name in ("qty", "cost", "realised", "fees"):
            final[name] = held[name][rows]
        return final


def make_ready(kernel: Any) -> bool:
    """Compile or load an entry now; True when nothing had to be compiled."""
    if INTERPRET:
        return True
    from nanotick.core.cache import KernelCache
    from nanotick.core.parallel import compile_with_helpers

    before = KernelCache.compiled
    for entry in REGISTRY.values():
        if entry.dispatcher is kernel:
            compile_with_helpers(entry)
    return KernelCache.compiled == before
