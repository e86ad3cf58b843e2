"""IEX DEEP and TOPS: known bytes, both directions, and damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import BOTH_SIDES, Flag, Kind
from nanotick.data.format import Listing, Options
from nanotick.data.iex import IexDecoding
from nanotick.wire.iex import HEAD, MESSAGES, SIZES, IexError, Segment, decode, decode_head, encode, encode_segment
from nanotick.wire.iex_events import IexStop, decode_messages
from tests.guarded import Guarded, mutations

BUY = bytes.fromhex("3801ac63c02096866d145a49455854202020e4250000241d0f0000000000")


def test_known_answer() -> None:
    values = decode(BUY)
    assert (values["symbol"], values["size"], values["price"], values["event_flags"]) == (b"ZIEXT   ", 9700, 990500, 1)
    assert encode(values) == BUY
    decoding = IexDecoding(Listing(Options()))
    data = np.frombuffer(len(BUY).to_bytes(2, "little") + BUY, dtype=np.uint8)
    decoding.state["source"], decoding.state["size"] = data.ctypes.data, len(data)
    assert decode_messages(decoding.address) == IexStop.NAME
    decoding.name(BUY)
    assert decode_messages(decoding.address) == IexStop.INPUT
    (event,) = decoding.take()
    assert (event["kind"], event["side"], event["qty"], event["price"]) == (Kind.LEVEL, 1, 9700, 990500)
    assert event["flags"] == BOTH_SIDES | Flag.LAST and event["ts_venue"] == values["timestamp"]


@given(st.sampled_from(sorted(MESSAGES)), st.binary(min_size=90, max_size=90), st.integers(0, 9))
def test_every_type_survives_decoding_and_encoding_bit_for_bit(letter: str, noise: bytes, longer: int) -> None:
    message = letter.encode() + noise[: MESSAGES[letter].size - 1 + longer]
    assert encode(decode(message)) == message


def test_lengths_are_those_of_the_specification() -> None:
    spec = {"S": 10, "D": 31, "H": 22, "I": 18, "O": 18, "P": 19, "E": 18, "8": 30, "5": 30, "T": 38, "X": 26, "B": 38}
    assert {k: m.size for k, m in MESSAGES.items()} == {**spec, "A": 80, "Q": 42}


@pytest.mark.parametrize("message", [b"", b"?12345678", BUY[:-1]])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(IexError, match="IEX"):
        decode(message)


def test_segments_survive_both_ways() -> None:
    head = Segment(0x8004, 1, 7, 0, 0, 5, 42, 99)
    data = encode_segment(head, [BUY, BUY])
    assert decode_head(data) == head._replace(payload_size=64, count=2) and len(data) == HEAD.size + 64
    assert decode_head(b"\2" + data[1:]) is None and decode_head(data[:39]) is None


def seeds() -> list[bytes]:
    random = np.random.default_rng(2)
    one = []
    for letter, message in MESSAGES.items():
        body = letter.encode() + random.integers(0, 256, message.size - 1, dtype=np.uint8).tobytes()
        one.append(len(body).to_bytes(2, "little") + body)
    return [*one, b"".join(one[:4]), len(BUY).to_bytes(2, "little") + BUY]


def test_a_hundred_thousand_damaged_inputs_stay_in_bounds_and_lose_nothing_silently() -> None:
    decoding = IexDecoding(Listing(Options()), capacity=4)
    source, target = Guarded(4096), Guarded(4096)
    decoding.state["events_address"] = target.room(4 * 64)
    for data in mutations(seeds(), 100_000, seed=4):
        decoding.state["source"], decoding.state["size"], decoding.state["at"] = source.put(data), len(data), 0
        decoding.state["count"] = decoding.state["skip"] = 0
        before = int(decoding.counts.sum())
        stop = decode_messages(decoding.address)
        at = int(decoding.state["at"])
        place = taken = 0
        while place < at:
            place += 2 + (int(data[place]) | int(data[place + 1]) << 8)
            taken += 1
        assert place == at <= len(data) and int(decoding.counts.sum()) - before == taken
        assert int(decoding.state["count"]) <= min(4, taken)
        if stop == IexStop.INPUT:
            assert at == len(data)
        elif stop == IexStop.NAME and decoding.state["count"] < 2:
            if taken % 7 == 0 and decoding._named < 1000:
                decoding.name(data[at + 2 : at + 20].tobytes())
        elif stop == IexStop.UNKNOWN:
            assert not (data[at] or data[at + 1]) or not SIZES[data[at + 2]]
