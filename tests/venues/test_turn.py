"""The short way of a frame through the session, and of an order to its transport, against the general one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.live_session import AlpacaBench, BinanceBench
from nanotick.core.mode import INTERPRET
from nanotick.engine.session_replay import replay
from nanotick.venues.feed import State
from nanotick.venues.limiter import Decaying, FixedWindow, RateLimiter, SlidingWindow
from nanotick.wire.requests import Response

MS, S = 1_000_000, 1_000_000_000
FRAMES = 700
pytestmark = pytest.mark.skipif(INTERPRET, reason="interpreted kernels take the general way alone")


class Clock:
    """The same time for two runs."""

    def __init__(self):
        self.time = 1_790_000_000 * S

    def __call__(self):
        self.time += 10_000
        return self.time


def run(bench, short, frames=FRAMES):
    """Orders' bytes, and the session's journal as records, of one run."""
    clock = Clock()
    bench.host.now = clock
    if not short:
        bench.talk.turn = None
    sent = []
    for _ in range(frames):
        bench.wire.at = 0
        bench.frame()
        if bench.wire.at:
            sent.append(bytes(bench.wire.data))
    return sent, bench.runner.events, bench.talk.frames.frames


@pytest.mark.parametrize("kind", [AlpacaBench, BinanceBench])
def test_the_short_way_sends_what_the_general_one_sends(kind):
    with kind() as one, kind() as other:
        assert one.talk.turn is not None
        assert run(one, True) == run(other, False)
        assert one.trader.counts.sent == other.trader.counts.sent > 10
        assert one.runner.status()["commands"] == other.runner.status()["commands"]
        mine, theirs = one.local.selves[0], other.local.selves[0]
        assert mine.tobytes() == theirs.tobytes()


def test_what_the_short_way_has_journaled_is_repeated_by_a_replay():
    with AlpacaBench() as bench:
        run(bench, True)
        journal = bench.directory / "journal"
        commands = bench.runner.status()["commands"]
        bench.session.close()
        found = replay(journal)
        assert found.difference is None and found.commands == commands > 10


def test_frames_that_the_kernel_leaves_go_the_general_way():
    with AlpacaBench() as bench:
        before = bench.runner.events
        talk, link = bench.talk, bench.wire
        talk.message(link, b'[{"T":"success","msg":"connected"}]', bench.host.now())  # said, not told
        talk.message(link, b"[{]", bench.host.now())
        assert bench.feed.refused.total() == 1 and bench.runner.events == before
        talk.message(link, bench.text(1), bench.host.now())
        assert bench.runner.events == before + 1 and not talk.frames.told
        talk.delivering = False
        talk.message(link, bench.text(2), bench.host.now())
        assert bench.runner.events == before + 1


def test_a_full_output_is_drained_and_the_rest_of_the_frame_taken():
    drained = []
    with AlpacaBench() as bench:
        bench.runner._on_records = lambda records, marks: drained.append(len(records))
        engine = bench.local.engine_region.view[0]
        limit = int(engine["output_limit"])
        before = bench.runner.events
        engine["output_limit"] = 0  # as if it were full
        many = b"[" + b",".join(bench.text(n)[1:-1] for n in range(20)) + b"]"
        real = bench.session.drain

        def drain():
            engine["output_limit"] = limit
            return real()

        bench.session.drain = drain
        bench.talk.message(bench.wire, many, bench.host.now())
        del bench.session.drain
        assert bench.runner.events == before + 20
        assert bench.local.selves[0]["seen"][0] == 20


def test_an_order_is_known_when_its_bytes_are_out_and_its_answer_settles_it():
    with AlpacaBench() as bench:
        bench.settle = lambda: None
        while not bench.wire.count:
            bench.frame()
        bench.frame()
        [(client, sent)] = bench.trader._sent.items()
        [working] = bench.trader._working.values()
        assert sent.working is working and sent.client == sent.request == working.client == client
        assert client.encode() in bytes(bench.wire.data)
        order = f'{{"id":"v1","client_order_id":"{client}","symbol":"{working.symbol}","status":"new","qty":"1",'
        order += '"filled_qty":"0","side":"buy","type":"limit","time_in_force":"ioc","limit_price":"1"}'
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(order)}\r\n\r\n{order}".encode()
        bench.host.connections[0].data_received(answer)
        assert not bench.trader._sent and bench.trader.counts.answered == 1
        assert bench.trader._working[working.id].order == "v1"


def test_a_connection_that_ends_while_an_order_is_written_leaves_its_outcome_unknown():
    with AlpacaBench() as bench:
        later, bench.settle = [], lambda: None
        bench.host.at = lambda when, call: later.append(call)

        def hand_over(data, answer):
            bench.wire.at = 1
            answer(Response(0, body=b"connection lost"))  # at once, which a host should not do
            return True

        bench.trader.hand_over = hand_over
        bench.trader.limiter.look(bench.host.now())
        while not bench.wire.at:
            bench.frame()
        assert len(bench.trader._sent) == 1
        for call in list(later):
            call()
        assert not bench.trader._sent and bench.trader.counts.unknown == 1


def test_an_error_while_an_order_is_written_keeps_the_order_on_the_books():
    with AlpacaBench() as bench:
        bench.settle = lambda: None

        def broken(*_):
            raise RuntimeError("a bug")

        bench.trader.hand_over = broken
        bench.trader.limiter.look(bench.host.now())
        with pytest.raises(RuntimeError, match="a bug"):
            for _ in range(2000):
                bench.frame()
        assert len(bench.trader._sent) == len(bench.trader._working) == 1


def test_a_gap_is_left_to_the_feed():
    with BinanceBench() as bench:
        heads = []
        bench.talk.deliver = lambda address, count: heads.append(count)
        bench.talk._head = memoryview(np.frombuffer(bytearray(64), np.uint8))
        left = bench.talk.turn
        bench.talk.turn = lambda data, now: 2  # two records, none taken
        bench.talk.message(bench.wire, bench.text(1), bench.host.now())
        assert heads == [2]
        bench.talk.turn = left
        bench.talk.message(bench.wire, bench.text(2), bench.host.now())
        assert heads == [2] and bench.talk.state == State.LIVE


RULES = (
    lambda: [FixedWindow(5, S), FixedWindow(7, S // 2, charge="orders")],
    lambda: [SlidingWindow(6, S, charge="requests"), FixedWindow(9, S)],
    lambda: [Decaying(4, 3.0, key="A"), Decaying(5, 2.0, key="B"), SlidingWindow(20, S)],
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 2),
    st.lists(
        st.tuples(st.integers(0, 400 * MS), st.sampled_from("AB"), st.sampled_from("look take cancel block".split()))
    ),
)
def test_what_a_limiter_calls_spare_passes_at_any_later_time(which, steps):
    limits, now = RateLimiter(RULES[which]()), S
    for wait, key, what in steps:
        now += wait
        if what == "look":
            limits.look(now, key)
        elif what == "block":
            limits.blocked(now + 50 * MS)
            assert not limits.spare(key)
        elif (count := limits.spare(key)) and what == "take":
            for _ in range(count):
                assert limits.take(now, False, 1, 1, key) <= now
        else:
            limits.take(now, what == "cancel", 1, 1, key)
            assert not limits.spare(key)
