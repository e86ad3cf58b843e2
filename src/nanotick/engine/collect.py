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
from nanotick.engine.output import FINAL_POSITION, MARK_SAMPLE, FinalIndicator, RunCounters, RunOutput, StrategyRun
from nanotick.features import Each
from nanotick.risk.records import CHECK_NAMES, CHECK_UNITS
from nanotick.strategy.base import Strategy

MOST_INDICATORS = 256  # of one attribute that a run's output tells of


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
        heard = setup.instruments or tuple(range(len(self.instruments)))
        indicators, left_out = final_indicators(cls, self.local.selves[number], heard)
        return StrategyRun(
            name=self.local.names[number],
            parameters=setup.strategy.parameters,
            instruments=heard,
            cash=setup.cash,
            calls=self.local.calls(number),
            intents=int(self.local.slots_region.view[number]["intents"]),
            class_name=cls.__qualname__,
            doc=doc[0] if doc else "",
            indicators=indicators,
            indicators_left_out=left_out,
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


def final_indicators(
    cls: type[Strategy], record: npt.NDArray[Any], instruments: Sequence[int]
) -> tuple[tuple[FinalIndicator, ...], int]:
    """A strategy's indicators as its record holds them, and how many were left out.

    Parameters
    ----------
    cls : type
        The strategy's class.
    record : numpy.ndarray
        Shape (1,), its state.
    instruments : sequence of int
        Those of which one-for-each attributes are told.
    """
    parts = cls.parts()
    if not parts:
        return (), 0
    # a copy: what a reading of somebody's own indicator might change is not the run's
    copied = np.frombuffer(bytearray(record.tobytes()), np.uint8)
    found, left_out = [], 0
    for name, part in parts.items():
        address = copied.ctypes.data + int(record.dtype.fields[name][1])  # type: ignore[index]
        view = part.view(address)
        if not isinstance(part.value, Each):
            found.append(_final(name, view, -1))
            continue
        fixed = part.value.length
        places = range(fixed) if fixed else instruments
        left_out += max(0, len(places) - MOST_INDICATORS)
        for place in places[:MOST_INDICATORS]:
            found.append(_final(f"{name}[{place}]" if fixed else name, view[place], -1 if fixed else place))
    return tuple(found), left_out


def _final(name: str, indicator: Any, instrument: int) -> FinalIndicator:
    return FinalIndicator(name, repr(indicator), instrument, bool(indicator.ready()), indicator.figures())


def make_ready(kernel: Any) -> bool:
    """Compile or load an entry now; True when nothing had to be compiled."""
    if INTERPRET:
        return True
    from nanotick.core.cache import KernelCache, mark_ready
    from nanotick.core.parallel import compile_with_helpers

    before = KernelCache.compiled
    for entry in REGISTRY.values():
        if entry.dispatcher is kernel:
            compile_with_helpers(entry)
            mark_ready(kernel.py_func.__name__)
    return KernelCache.compiled == before
