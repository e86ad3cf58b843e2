"""The estimate of a venue's clock: steps both ways, drift, slow answers, a clock that stands, and what -1021 does."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nanotick.venues.clock import ALARM_NS, DRIFT_PPM, ClockState, ClockWatch, VenueClock
from nanotick.wire.requests import Request, Response
from tests.venues.scripted import MS, START, S, ScriptedHost

HOUR = 3600 * S


def answer(clock, now, offset, there=5 * MS, back=5 * MS):
    """One question at `now`, with the time to get there and back; when the answer is here."""
    clock.sample(now, now + there + back, now + there + offset)
    return now + there + back


@example(0, [(1, 0)])
@given(st.integers(-HOUR, HOUR), st.lists(st.tuples(st.integers(0, 300 * MS), st.integers(0, 300 * MS)), min_size=1))
def test_the_offset_is_never_further_off_than_the_error_says(offset, legs):
    clock, now = VenueClock(), START
    for there, back in legs:
        now = answer(clock, now, offset, there, back) + S
        assert abs(clock.offset - offset) <= clock.error <= clock.error_at(now)
        assert abs(clock.time(now) - (now + offset)) <= clock.error_at(now)
    assert clock.steps == 0


@given(st.floats(-DRIFT_PPM, DRIFT_PPM), st.integers(0, 1 << 30))
def test_a_drift_within_what_clocks_may_is_followed_without_a_step(ppm, seed):
    draw, clock, now = random.Random(seed), VenueClock(), START
    for _ in range(60):
        offset = int((now - START) * ppm / 1e6)
        there, back = draw.randrange(1 * MS, 80 * MS), draw.randrange(1 * MS, 80 * MS)
        now = answer(clock, now, offset, there, back) + 10 * S
        truth = int((now - START) * ppm / 1e6)
        assert abs(clock.offset - truth) <= clock.error_at(now) + MS
    assert clock.steps == 0


def test_the_drift_itself_is_told():
    clock, now = VenueClock(), START
    for _ in range(16):
        now = answer(clock, now, int((now - START) * 200 / 1e6)) + 60 * S
    assert clock.drift_ppm == pytest.approx(200, abs=5)


@pytest.mark.parametrize("step", [S, -S, HOUR, -HOUR, 200 * MS, -200 * MS])
def test_a_step_of_a_clock_is_followed_at_the_second_answer(step):
    clock, now = VenueClock(), START
    for _ in range(10):
        now = answer(clock, now, 0) + S
    now = answer(clock, now, step) + S
    assert abs(clock.offset) <= 5 * MS and clock.steps == 0  # one answer may lie
    now = answer(clock, now, step) + S
    assert abs(clock.offset - step) <= 5 * MS and clock.steps == 1
    assert clock.state(now) == ClockState.ALARM


def test_one_answer_that_lies_is_ignored():
    clock, now = VenueClock(), START
    for number in range(40):
        now = answer(clock, now, HOUR if number % 5 == 4 else 3 * MS) + S
        assert abs(clock.offset - 3 * MS) <= 5 * MS
    assert clock.steps == 0


def test_a_smeared_leap_second_is_followed():
    clock, now, worst = VenueClock(), START, 0
    while now < START + 24 * HOUR:
        smeared = -int((now - START) / (24 * HOUR) * S)  # 11.6 parts in a million over a day
        now = answer(clock, now, smeared, 2 * MS, 2 * MS) + 60 * S
        worst = max(worst, abs(clock.offset - smeared))
    assert worst <= 35 * MS and clock.steps == 0


def test_states_by_threshold_and_certainty():
    clock = VenueClock()
    assert clock.state(START) == ClockState.UNKNOWN and clock.error_at(START) == -1
    now = answer(clock, START, 30 * MS)
    assert clock.state(now) == ClockState.GOOD
    assert clock.state(now + HOUR) == ClockState.UNSURE  # an hour later nobody knows
    slow = VenueClock()
    assert slow.state(answer(slow, START, 30 * MS, 200 * MS, 200 * MS)) == ClockState.UNSURE
    far = VenueClock()
    assert far.state(answer(far, START, ALARM_NS + 20 * MS)) == ClockState.ALARM


def test_a_clock_that_stands_is_said_to():
    clock, now = VenueClock(resolution_ns=MS), START
    for _ in range(5):
        now = answer(clock, now, 0) + S
    for _ in range(3):
        clock.sample(now, now + 10 * MS, START + 5 * S)
        now += S
    assert clock.state(now) == ClockState.STOPPED
    now = answer(clock, now, 0) + S
    assert clock.state(now) != ClockState.STOPPED


def test_stamps_cut_to_milliseconds_make_no_bias():
    draw, clock, now, sums = random.Random(7), VenueClock(resolution_ns=MS), START, []
    for _ in range(500):
        now += draw.randrange(S)
        clock.sample(now, now + 2 * MS, (now + MS) // MS * MS)
        clock.forget()
        sums.append(clock.offset)
    assert abs(sum(sums) / len(sums)) < 50_000


def test_answers_that_make_no_sense_count_for_nothing():
    clock = VenueClock()
    clock.sample(START, START - 1, START)
    clock.sample(START, START + 1, 0)
    assert clock.state(START) == ClockState.UNKNOWN and clock.offset == 0


class Asked(ScriptedHost):
    """A host whose every question for the time is answered after 10 ms by a venue that is `offset` ahead."""

    def __init__(self):
        super().__init__()
        self.offset, self.questions, self.broken = 0, [], False

    def ask(self, base, request, answer, timeout_ns=0):
        self.questions.append((self.time, base, request.path))
        body = b"nonsense" if self.broken else str(self.time + 5 * MS + self.offset).encode()
        self.at(self.time + 10 * MS, lambda: answer(Response(200, (), body)))


def watch(host, said):
    def question(told):
        sent = host.now()

        def take(response):
            told(sent, int(response.body) if response.body.isdigit() else 0, 0)

        host.ask("https://venue", Request("GET", "/time"), take)

    return ClockWatch(host, question, VenueClock(), said.append)


def test_a_watch_asks_often_at_first_and_says_what_changes():
    host, said = Asked(), []
    watching = watch(host, said)
    watching.start()
    host.run(10 * S)
    assert 7 <= len(host.questions) <= 9 and said == [ClockState.GOOD]
    host.run(300 * S)
    assert len(host.questions) <= 14
    host.offset = 80 * MS
    host.run(200 * S)
    assert said == [ClockState.GOOD, ClockState.ALARM] and watching.status()["steps"] == 1
    host.offset = 0
    host.run(60 * S)
    assert said[-1] == ClockState.GOOD
    watching.stop()
    count = len(host.questions)
    host.run(600 * S)
    assert len(host.questions) == count


def test_a_venue_that_says_our_time_is_wrong_is_asked_at_once():
    host, said = Asked(), []
    watching = watch(host, said)
    watching.start()
    host.run(100 * S)
    host.offset, count = HOUR, len(host.questions)
    watching.again()
    host.run(11 * MS)
    assert len(host.questions) == count + 1 and abs(watching.clock.time(host.time) - host.time - HOUR) <= 5 * MS
    host.broken = True
    host.run(3 * S)
    assert watching.failures >= 2 and abs(watching.clock.offset - HOUR) <= 5 * MS
