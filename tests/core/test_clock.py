"""Clocks: never back, whatever the system's clock does; the counter agrees with the system."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.clock import SLEW_PPM, CounterClock, UtcClock, VirtualClock, read_monotonic_ns

SECOND = 1_000_000_000


class System:
    """A machine whose UTC drifts and is stepped."""

    def __init__(self) -> None:
        self.elapsed = 0
        self.utc_offset = 1_700_000_000 * SECOND
        self.drift_ppm = 0

    def monotonic(self) -> int:
        self.elapsed += 20  # reading takes time
        return 5 * SECOND + self.elapsed

    def utc(self) -> int:
        return self.utc_offset + self.elapsed + self.elapsed * self.drift_ppm // 1_000_000


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 10 * SECOND)),
    st.tuples(st.just("step"), st.integers(-3600 * SECOND, 3600 * SECOND)),
    st.tuples(st.just("drift"), st.integers(-200, 200)),
    st.tuples(st.just("resync"), st.just(0)),
)


@given(st.lists(STEPS, max_size=40))
def test_utc_never_goes_back_whatever_the_system_does(steps) -> None:
    system = System()
    clock = UtcClock(system.utc, system.monotonic)
    last = clock.now()
    for what, amount in steps:
        if what == "pass":
            system.elapsed += amount
        elif what == "step":
            system.utc_offset += amount
        elif what == "drift":
            system.drift_ppm = amount
        else:
            clock.resync()
        before, passed = last, system.elapsed
        last = clock.now()
        assert last >= before
        now = clock.now()
        assert now > last or system.elapsed == passed
        last = now


def test_a_step_forward_is_followed_and_a_step_back_is_slewed() -> None:
    system = System()
    clock = UtcClock(system.utc, system.monotonic)
    system.utc_offset += 3600 * SECOND
    assert abs(clock.now() - (system.utc() - 3600 * SECOND)) < 1000
    assert abs(clock.resync().offset_ns - 3600 * SECOND) < 1000
    assert abs(clock.now() - system.utc()) < 1000
    system.utc_offset -= SECOND // 1000
    result = clock.resync()
    assert abs(result.offset_ns + SECOND // 1000) < 1000 and result.uncertainty_ns < 100
    start = clock.now()
    system.elapsed += SECOND
    assert abs(clock.now() - start - (SECOND - SECOND * SLEW_PPM // 1_000_000)) < 1000  # a second is a little shorter
    system.elapsed += 2 * SECOND
    assert abs(clock.now() - system.utc()) < 1000  # caught up after two seconds, and no further


def test_durations_come_from_the_monotonic_clock_between_resyncs() -> None:
    system = System()
    clock = UtcClock(system.utc, system.monotonic)
    start = clock.now()
    system.utc_offset -= 7200 * SECOND
    system.elapsed += 50
    assert 0 < clock.now() - start < 200


def test_the_real_clock_is_utc() -> None:
    before, now, after = time.time_ns(), UtcClock().now(), time.time_ns()
    assert before - 1_000_000 <= now <= after + 1_000_000


def test_a_virtual_clock_stands_and_refuses_to_go_back() -> None:
    clock = VirtualClock(10)
    assert clock.now() == clock.now() == 10
    assert clock.advance(5) == 15
    clock.set(15)
    with pytest.raises(ValueError, match="from 15 to 14"):
        clock.set(14)
    assert clock.now() == 15


def test_the_counter_follows_the_monotonic_clock() -> None:
    clock = CounterClock()
    assert clock.ns_per_count > 0
    previous = clock.now()
    for _ in range(100):
        now = clock.now()
        assert now >= previous
        previous = now
    # a stretch as long as the calibration is off by its error at most, about; a hundred times that is a wrong scale
    before = time.monotonic_ns()
    reading = clock.now()
    after = time.monotonic_ns()
    assert before - 5_000_000 < reading < after + 5_000_000


def test_kernels_read_the_systems_monotonic_clock() -> None:
    scratch = np.zeros(2, np.int64)
    before = time.monotonic_ns()
    reading = read_monotonic_ns(int(scratch.ctypes.data))
    assert before <= reading <= time.monotonic_ns()


@given(st.lists(STEPS, max_size=40))
def test_the_shift_to_the_monotonic_clock_gives_the_same_time_as_the_clock(steps) -> None:
    system = System()
    clock = UtcClock(system.utc, system.monotonic)
    last = 0
    for what, amount in steps:
        if what == "pass":
            system.elapsed += amount
        elif what == "step":
            system.utc_offset += amount
        elif what == "drift":
            system.drift_ppm = amount
        else:
            clock.resync()
        shift = clock.shift_ns
        moment = system.monotonic()
        now = clock.at(moment) if shift is None else moment + shift
        assert now == clock.at(moment) and now >= last
        last = now
