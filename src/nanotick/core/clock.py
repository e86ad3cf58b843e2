"""Clocks: UTC nanoseconds that never go back, the virtual clock of simulations, and a counter for measuring latency.

State never reads a clock: a run takes its time from events. Clocks stamp events where they enter (`ts_recv`), drive
timers of the runners, and measure.

`UtcClock` is anchored: UTC is read once and carried on by the monotonic counter, so a step of the system's clock cannot
reorder stamps. `resync` looks again. UTC ahead of us: we step forward. UTC behind us: we run slower, by at most
500 parts in a million as NTP slews, until it has caught up; time never stands still or goes back.

In kernels `counter_ns(clock_address)` gives the same nanoseconds from the processor's time stamp counter, about 10 ns
a reading; `monotonic_ns(scratch_address)` asks the system (vDSO, about 20 ns) where the counter is not to be trusted.
Both are for measuring only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, record_at
from nanotick.core.mode import INTERPRET

SLEW_PPM = 500
_BILLION = 1_000_000_000

# the processor's time stamp counter; interpreted, the monotonic clock stands in for it
cycle_counter: Any = time.monotonic_ns

if INTERPRET:

    def _system_monotonic(clock_id: int, scratch_address: int) -> int:
        import ctypes

        ctypes.c_int64.from_address(scratch_address).value = time.clock_gettime_ns(clock_id) // _BILLION
        ctypes.c_int64.from_address(scratch_address + 8).value = time.clock_gettime_ns(clock_id) % _BILLION
        return 0

else:
    from numba import types

    from nanotick.core.lowering import I64, _define, _llvm_call

    _read_counter = _llvm_call("llvm.readcyclecounter", I64)
    cycle_counter = _define(
        "cycle_counter",
        types.int64(),
        lambda context, builder, signature, args: _read_counter(builder),
        time.monotonic_ns,
    )
    _system_monotonic = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))

_CLOCK_MONOTONIC = int(getattr(time, "CLOCK_MONOTONIC", 1))


class Clock(Protocol):
    """What gives the time: `now` never goes back."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        ...


class VirtualClock:
    """A clock that stands until it is set: the time of a simulation or replay.

    >>> clock = VirtualClock(1_000)
    >>> clock.advance(5), clock.now()
    (1005, 1005)
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now = start_ns

    def now(self) -> int:
        """Nanoseconds UTC, as last set."""
        return self._now

    def set(self, now_ns: int) -> None:
        """Move to a time.

        Raises
        ------
        ValueError
            It lies in the past.
        """
        if now_ns < self._now:
            raise ValueError(f"virtual clock: cannot go back from {self._now} to {now_ns} ns")
        self._now = now_ns

    def advance(self, duration_ns: int) -> int:
        """Move on by a duration; gives the new time."""
        self.set(self._now + duration_ns)
        return self._now


@dataclass(frozen=True)
class Resync:
    """What a look at the system's UTC showed.

    Attributes
    ----------
    offset_ns : int
        UTC minus our time, before anything was corrected.
    uncertainty_ns : int
        How long the look took: the true offset is within half of it.
    """

    offset_ns: int
    uncertainty_ns: int


class UtcClock:
    """UTC carried by the monotonic clock.

    Parameters
    ----------
    utc, monotonic : callable, optional
        Where nanoseconds come from; the system's clocks by default.
    """

    def __init__(self, utc: Any = time.time_ns, monotonic: Any = time.monotonic_ns) -> None:
        self._utc = utc
        self._monotonic = monotonic
        self._anchor_monotonic, self._anchor_utc, _ = self._look()
        self._behind_ns = 0  # by how much UTC was behind us at the anchor: what is left to lose
        self._last = self._anchor_utc

    def _look(self) -> tuple[int, int, int]:
        """Monotonic and UTC time of one moment, and how sharp it is: the best of a few, for one may be interrupted."""
        best: tuple[int, int, int] | None = None
        for _ in range(5):
            before = self._monotonic()
            utc = self._utc()
            after = self._monotonic()
            if best is None or after - before < best[2]:
                best = ((before + after) // 2, utc, after - before)
        assert best is not None
        return best

    def at(self, monotonic_ns: int) -> int:
        """Nanoseconds UTC of a reading of the monotonic clock taken since the last `resync`."""
        elapsed = monotonic_ns - self._anchor_monotonic
        return self._anchor_utc + elapsed - min(self._behind_ns, elapsed * SLEW_PPM // 1_000_000)

    def now(self) -> int:
        """Nanoseconds UTC; never less than what an earlier call gave."""
        now = self.at(self._monotonic())
        if now > self._last:
            self._last = now
        return self._last

    @property
    def shift_ns(self) -> int | None:
        """UTC minus the monotonic clock, good until the next `resync`; None while we run slower than it."""
        elapsed = self._monotonic() - self._anchor_monotonic
        if elapsed * SLEW_PPM // 1_000_000 < self._behind_ns:
            return None
        return int(self._anchor_utc - self._anchor_monotonic - self._behind_ns)

    def resync(self) -> Resync:
        """Compare with the system's UTC, and step forward or begin to slew. Call it about once a second."""
        monotonic, utc, uncertainty = self._look()
        ours = self.at(monotonic)
        self._anchor_monotonic = monotonic
        self._anchor_utc, self._behind_ns = (utc, 0) if utc >= ours else (ours, ours - utc)
        return Resync(utc - ours, uncertainty)


# --- in kernels ---------------------------------------------------------------------------------------------------

CLOCK = np.dtype(
    [
        ("base_count", "<i8"),  # the counter at calibration
        ("base_ns", "<i8"),  # the time then
        ("ns_per_count", "<f8"),
        ("scratch", "<i8", (2,)),  # a struct timespec
    ]
)
clock_at = record_at(CLOCK, "Clock")


@kernel
def counter_ns(clock_address: int) -> int:
    """Nanoseconds from the time stamp counter, on the scale `CounterClock` calibrated. For measuring latency."""
    clock = clock_at(clock_address)
    return clock.base_ns + int(float(cycle_counter() - clock.base_count) * clock.ns_per_count)


@kernel
def monotonic_ns(scratch_address: int) -> int:
    """The system's monotonic clock; `scratch_address` is room for a timespec (16 bytes)."""
    _system_monotonic(_CLOCK_MONOTONIC, scratch_address)
    return load_i64(scratch_address) * _BILLION + load_i64(scratch_address + 8)


@kernel("i8(i8)")
def read_counter_ns(clock_address: int) -> int:
    """`counter_ns`, from Python."""
    return counter_ns(clock_address)


@kernel("i8(i8)")
def read_monotonic_ns(scratch_address: int) -> int:
    """`monotonic_ns`, from Python."""
    return monotonic_ns(scratch_address)


@kernel("i8(i8)")
def read_cycle_counter(unused: int) -> int:
    """`cycle_counter`, from Python."""
    return cycle_counter()


class CounterClock:
    """The time stamp counter on the monotonic clock's scale.

    Parameters
    ----------
    calibration_s : float
        How long to compare the two; ten milliseconds give about 10 parts in a million.

    Attributes
    ----------
    address : int
        Of the `CLOCK` record, for `counter_ns`.
    trusted : bool
        Whether the processor says that its counter runs at one rate on all cores and in all power states. Where it
        does not, use `monotonic_ns`.
    """

    def __init__(self, calibration_s: float = 0.01) -> None:
        self._memory = np.zeros(1, CLOCK)
        self.address = int(self._memory.ctypes.data)
        self.trusted = counter_is_steady()
        first_count, first_ns = self._pair()
        time.sleep(calibration_s)
        count, now = self._pair()
        clock = clock_at(self.address)
        clock.base_count, clock.base_ns = count, now
        clock.ns_per_count = (now - first_ns) / max(1, count - first_count)

    def _pair(self) -> tuple[int, int]:
        best: tuple[int, int, int] | None = None
        for _ in range(20):
            before = int(read_cycle_counter(0))
            now = time.monotonic_ns()
            after = int(read_cycle_counter(0))
            if best is None or after - before < best[2]:
                best = (before + (after - before) // 2, now, after - before)
        assert best is not None
        return best[0], best[1]

    @property
    def ns_per_count(self) -> float:
        """Nanoseconds from one count to the next."""
        return float(clock_at(self.address).ns_per_count)

    def now(self) -> int:
        """Nanoseconds of the monotonic clock, by the counter."""
        return int(read_counter_ns(self.address))


def counter_is_steady() -> bool:
    """Whether Linux reports a constant, never stopping time stamp counter; False where it cannot be known."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace").split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        return False
    return "constant_tsc" in flags and "nonstop_tsc" in flags
