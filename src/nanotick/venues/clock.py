"""How far a venue's clock is from ours, how sure that is, and when it must be said aloud.

    offset = server time - (sent + received) / 2          wrong by at most half the round trip (Cristian, 1989)

Of the latest answers the surest counts: the one with the shortest round trip, each widened by what two clocks may have
drifted apart since (500 parts in a million, MAXFREQ of RFC 5905). An answer that contradicts the estimate by more than
both may err is a step of one of the clocks once a second answer agrees with it. A clock that does not go on is told
from a step by its own time, which stands.

The venue's time is for signing requests and for watching. What orders events is the host's clock, which never goes
back, whatever the venue's does. Alarms follow FINRA 4590 and CAT (50 ms to UTC) by default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from nanotick.venues.host import Host, Timer

_MS, _S = 1_000_000, 1_000_000_000
ALARM_NS = 50 * _MS
DRIFT_PPM = 500
KEPT = 16  # answers
_AGREE = 2  # answers that must contradict the estimate before it is given up
# when it was asked, the venue's time (0: no answer that can be read), and the step of its stamps, all ns
Told = Callable[[int, int, int], None]
Question = Callable[[Told], None]  # asks a venue once, and has it told
_STANDS_AFTER = 500 * _MS  # of our time, before a venue's time that does not go on is called stopped


class ClockState(IntEnum):
    """What is known."""

    UNKNOWN = 0  # no answer yet, or none that counts any more
    GOOD = 1  # within the alarm threshold for certain
    UNSURE = 2  # the answers are too slow to say
    ALARM = 3  # off by more than the threshold for certain
    STOPPED = 4  # the venue's time does not go on


class VenueClock:
    """Estimate of a venue's clock.

    Parameters
    ----------
    alarm_ns : int
        Distance from which on the clocks must not differ.
    resolution_ns : int
        Step of the venue's stamps, which are cut off to it (a millisecond, a second).

    Attributes
    ----------
    offset : int
        ns to add to our time.
    error : int
        ns by which that may be wrong, when it was told; -1 before the first answer.
    steps : int
        Times that one of the clocks has been set.

    Examples
    --------
    >>> clock = VenueClock()
    >>> clock.sample(1_000, 3_000, 12_000); clock.offset, clock.error
    (10000, 1000)
    """

    def __init__(self, alarm_ns: int = ALARM_NS, resolution_ns: int = 0) -> None:
        self.alarm_ns, self._resolution = alarm_ns, resolution_ns
        self.offset, self.error = 0, -1
        self.steps = 0
        self._samples: deque[tuple[int, int, int, int]] = deque(maxlen=KEPT)  # received, error, offset, server
        self._against: list[tuple[int, int, int, int]] = []
        self._moved = (0, 0)  # venue's time when it last went on, and ours then
        self._stands = False

    def sample(self, sent: int, received: int, server: int, resolution_ns: int = 0) -> None:
        """An answer: when the request was sent and the answer received, and the venue's time in it, ns UTC.

        `resolution_ns` is the step of this stamp, where it is coarser than the clock's others.

        An answer before its request, or one of another machine's imagination (a time before 1), counts for nothing.
        """
        if received < sent or server < 1:
            return
        step = max(self._resolution, resolution_ns)
        half = (received - sent + 1) // 2 + step // 2
        new = (received, half, server + step // 2 - (sent + received) // 2, server)
        self._watch_moving(server, received, step)
        if self._samples and not self._agrees(new, self._best(received)):
            self._against.append(new)
            if len(self._against) < _AGREE or not self._agrees(self._against[-1], self._against[-2]):
                del self._against[:-1]
                return
            self.steps += 1
            self._samples.clear()
            self._samples.extend(self._against)
        else:
            self._samples.append(new)
        self._against.clear()
        best = self._best(received)
        self.offset, self.error = best[2], self._error(best, received)

    def forget(self) -> None:
        """The venue says that we are wrong (Binance -1021): only what it answers from now on counts."""
        self._samples.clear()
        self._against.clear()

    def time(self, now: int) -> int:
        """The venue's time at a time of ours; ours while nothing is known."""
        return now + self.offset

    def error_at(self, now: int) -> int:
        """ns by which the offset may be wrong at a time; -1 if nothing is known."""
        return self._error(self._best(now), now) if self._samples else -1

    def state(self, now: int) -> ClockState:
        """What is known at a time."""
        if not self._samples:
            return ClockState.UNKNOWN
        if self._stands:
            return ClockState.STOPPED
        error = self.error_at(now)
        if abs(self.offset) - error > self.alarm_ns:
            return ClockState.ALARM
        return ClockState.GOOD if abs(self.offset) + error <= self.alarm_ns else ClockState.UNSURE

    def status(self, now: int) -> dict[str, Any]:
        """For people and programs."""
        return {
            "state": self.state(now).name, "offset_ns": self.offset, "error_ns": self.error_at(now),
            "drift_ppm": round(self.drift_ppm, 1), "steps": self.steps,
        }  # fmt: skip

    @property
    def drift_ppm(self) -> float:
        """Parts in a million by which the venue's clock runs faster than ours; least squares over the answers kept."""
        if len(self._samples) < 3:
            return 0.0
        origin = self._samples[0][0]
        times = [(received - origin) / _S for received, _, _, _ in self._samples]
        offsets = [(offset - self._samples[0][2]) / _S for _, _, offset, _ in self._samples]
        weights = [1.0 / (error + 1) ** 2 for _, error, _, _ in self._samples]
        total = sum(weights)
        mean = sum(w * t for w, t in zip(weights, times, strict=True)) / total
        middle = sum(w * o for w, o in zip(weights, offsets, strict=True)) / total
        spread = sum(w * (t - mean) ** 2 for w, t in zip(weights, times, strict=True))
        shared = sum(w * (t - mean) * (o - middle) for w, t, o in zip(weights, times, offsets, strict=True))
        return shared / spread * 1e6 if spread > 0 else 0.0

    def _error(self, sample: tuple[int, int, int, int], now: int) -> int:
        return sample[1] + max(0, now - sample[0]) * DRIFT_PPM // 1_000_000

    def _best(self, now: int) -> tuple[int, int, int, int]:
        return min(self._samples, key=lambda sample: (self._error(sample, now), -sample[0]))

    def _agrees(self, new: tuple[int, int, int, int], old: tuple[int, int, int, int]) -> bool:
        return abs(new[2] - old[2]) <= new[1] + self._error(old, new[0])

    def _watch_moving(self, server: int, received: int, step: int) -> None:
        last, when = self._moved
        if server != last:
            self._moved, self._stands = (server, received), False
        elif received - when > max(_STANDS_AFTER, 2 * step):
            self._stands = True


class ClockWatch:
    """Asks a venue for its time, again and again, and says when the clocks are too far apart.

    Parameters
    ----------
    host : Host
    question : callable
        `question(told)` asks once; `told(sent, server, step)` follows, or nothing.
    clock : VenueClock
    changed : callable
        Takes the new state, at the first answer and whenever it changes.
    every_ns, first_ns : int
        From one question to the next, and between the first eight.
    """

    def __init__(
        self,
        host: Host,
        question: Question,
        clock: VenueClock,
        changed: Callable[[ClockState], None],
        every_ns: int = 60 * _S,
        first_ns: int = _S,
    ) -> None:
        self._host, self._question = host, question
        self.clock, self._changed = clock, changed
        self._every, self._first = every_ns, first_ns
        self._asked = 0
        self.failures = 0  # questions without an answer that can be read
        self.state = ClockState.UNKNOWN
        self._timer: Timer | None = None

    def start(self) -> None:
        """Ask now, and on."""
        self.stop()
        self._ask()

    def stop(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def again(self) -> None:
        """The venue says that our time is wrong: forget, and ask at once and often."""
        self.clock.forget()
        self._asked = 0
        self.start()

    def _ask(self) -> None:
        self._asked += 1
        sent = self._host.now()
        after = (
            self._first if self._asked < 8 or self.state not in (ClockState.GOOD, ClockState.UNKNOWN) else self._every
        )
        self._timer = self._host.at(sent + after, self._ask)
        self._question(self._told)

    def _told(self, sent: int, server: int, step: int) -> None:
        received = self._host.now()
        if server > 0:
            self.clock.sample(sent, received, server, step)
        else:
            self.failures += 1
        self.look()

    def look(self) -> None:
        """Say what has changed; for who samples the clock, too."""
        received = self._host.now()
        state = self.clock.state(received)
        if state != self.state:
            self.state = state
            self._changed(state)

    def status(self) -> dict[str, Any]:
        """For people and programs."""
        return {**self.clock.status(self._host.now()), "failures": self.failures}
