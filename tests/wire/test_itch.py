"""ITCH 5.0: the specification's bytes, both directions, and every kind of damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind, TradingStatus
from nanotick.data.format import Listing, Options
from nanotick.data.itch import ItchDecoding
from nanotick.wire.itch import MESSAGES, SIZES, STOCK_AT, ItchError, decode, encode, frame
from nanotick.wire.itch_events import (
    ITCH_ENCODER,
    MAX_FRAME,
    Stop,
    decode_frames,
    encode_frames,
    find_frame,
)
from tests.guarded import Guarded, mutations

ADD = bytes.fromhex("4104d200021f1aced9f07b000000003ade68b1420000012c4141504c202020200016ed24")
EXECUTED = bytes.fromhex("4504d200021f1aced9f07b000000003ade68b10000006400000000000015af")
# totals of the specification's table
SPEC_SIZES = dict(
    S=12, R=39, H=25, Y=20, L=26, V=35, W=12, K=28, J=35, h=21, A=36, F=40, E=31, C=36, X=23, D=19, U=35, P=44, Q=40,
    B=19, I=50, N=20, O=48,
)  # fmt: skip


def decoding_of(data: bytes, midnight: int = 0) -> tuple[ItchDecoding, np.ndarray]:
    """Decode frames whose locates are all known as themselves."""
    decoding = ItchDecoding(Listing(Options()))
    decoding.locates[:] = np.arange(len(decoding.locates))
    buffer = np.frombuffer(data, dtype=np.uint8).copy()
    decoding.state["source_address"] = buffer.ctypes.data
    decoding.state["size"], decoding.state["midnight"] = len(buffer), midnight
    decode_frames(decoding.address)
    return decoding, decoding.take().copy()


def test_lengths_are_those_of_the_specification() -> None:
    assert {letter: message.size for letter, message in MESSAGES.items()} == SPEC_SIZES
    assert {chr(i): int(n) for i, n in enumerate(SIZES) if n} == SPEC_SIZES


def test_known_answers() -> None:
    add = decode(ADD)
    assert (add["stock_locate"], add["tracking_number"], add["order"], add["side"]) == (1234, 2, 987654321, b"B")
    assert (add["shares"], add["stock"], add["price"]) == (300, b"AAPL    ", 1502500)
    assert add["timestamp"] == (9 * 3600 + 30 * 60) * 10**9 + 123
    assert encode(add) == ADD
    assert encode({**add, "side": "B", "stock": "AAPL"}) == ADD
    executed = decode(EXECUTED)
    assert (executed["order"], executed["shares"], executed["match"]) == (987654321, 100, 5551)
    assert encode(executed) == EXECUTED
    _, events = decoding_of(frame(ADD) + frame(EXECUTED), midnight=10**18)
    first, second = events
    assert (first["kind"], first["id"], first["qty"], first["price"], first["side"]) == (
        Kind.ADD,
        987654321,
        300,
        1502500,
        1,
    )
    assert first["ts_venue"] == first["ts_recv"] == 10**18 + 34_200_000_000_123 and first["instrument"] == 1234
    assert (second["kind"], second["id"], second["qty"], second["word"], second["price"]) == (
        Kind.EXECUTE,
        987654321,
        100,
        5551,
        0,
    )
    assert second["flags"] == BOTH_SIDES | Flag.LAST | Flag.PRINTABLE and list(events["seq"]) == [1, 2]


@given(st.sampled_from(sorted(MESSAGES)), st.binary(min_size=60, max_size=60))
def test_every_type_survives_decoding_and_encoding_bit_for_bit(letter: str, noise: bytes) -> None:
    message = letter.encode() + noise[: MESSAGES[letter].size - 1]
    assert encode(decode(message)) == message


@given(st.sampled_from(sorted(MESSAGES)), st.binary(min_size=60, max_size=60))
def test_the_kernel_says_what_the_field_decoder_says(letter: str, noise: bytes) -> None:
    message = letter.encode() + noise[: MESSAGES[letter].size - 1]
    values = decode(message)
    _, events = decoding_of(frame(message))
    side = {b"B": 1, b"S": -1}
    wrap = np.uint64(values.get("order", 0)).astype(np.int64)
    if letter in "YLVWKJNO" or (letter == "Q" and not values["shares"]):
        assert len(events) == 0
        return
    (event,) = events
    assert event["ts_venue"] == values["timestamp"]
    assert event["instrument"] == values["stock_locate"]
    if letter in "AF":
        expected = (Kind.ADD, wrap, values["shares"], values["price"], side.get(values["side"], 0))
        assert tuple(event[n] for n in ("kind", "id", "qty", "price", "side")) == expected
    elif letter in "EC":
        assert event["kind"] == Kind.EXECUTE and event["id"] == wrap and event["qty"] == values["shares"]
        assert event["word"] == np.uint64(values["match"]).astype(np.int64) and event["price"] == values.get("price", 0)
        assert bool(event["flags"] & Flag.PRINTABLE) == (values.get("printable") != b"N")
    elif letter in "XD":
        assert event["kind"] == (Kind.REDUCE if letter == "X" else Kind.DELETE) and event["id"] == wrap
        assert event["qty"] == values.get("shares", 0)
    elif letter == "U":
        new = np.uint64(values["new_order"]).astype(np.int64)
        assert tuple(event[n] for n in ("kind", "id", "word", "qty", "price")) == (
            Kind.REPLACE, wrap, new, values["shares"], values["price"],
        )  # fmt: skip
    elif letter in "PQ":
        assert event["kind"] == Kind.TRADE and event["price"] == values["price"]
        assert bool(event["flags"] & Flag.AUCTION) == (letter == "Q")
        assert bool(event["flags"] & Flag.HIDDEN) == (letter == "P")
    elif letter == "H":
        status = {
            b"T": TradingStatus.TRADING,
            b"H": TradingStatus.HALTED,
            b"P": TradingStatus.PAUSED,
            b"Q": TradingStatus.QUOTE_ONLY,
        }
        assert event["kind"] == Kind.STATUS and event["word"] == status.get(values["trading_state"], 0)
        assert int(event["id"]).to_bytes(8, "little")[:4] == values["reason"]
    elif letter == "R":
        assert int(event["id"]).to_bytes(8, "little", signed=True) == values["stock"]
    elif letter == "I":
        assert event["kind"] == Kind.IMBALANCE and event["price"] == values["reference_price"]
        assert event["id"] == values["near_price"] and event["side"] == side.get(values["imbalance_direction"], 0)


@pytest.mark.parametrize("message", [b"", b"?123", ADD[:-1], ADD + b"x"])
def test_what_is_no_message_is_refused_with_what_was_found(message: bytes) -> None:
    with pytest.raises(ItchError, match=r"ITCH"):
        decode(message)


@pytest.mark.parametrize("change", [{"shares": 1 << 32}, {"shares": -1}, {"stock": "TOOLONGNAME"}, {"type": "?"}])
def test_values_that_do_not_fit_are_refused(change: dict) -> None:
    with pytest.raises(ItchError):
        encode({**decode(ADD), **change})


BOOK_TYPES = "AXDUECPB"


@given(st.lists(st.tuples(st.sampled_from(BOOK_TYPES), st.binary(min_size=60, max_size=60)), max_size=20))
def test_events_encode_to_bytes_that_decode_to_the_same_events(items: list[tuple[str, bytes]]) -> None:
    data = b""
    for letter, noise in items:
        values = decode(letter.encode() + noise[: MESSAGES[letter].size - 1])
        values["timestamp"] %= 1 << 46
        values["stock_locate"] = 1 + values["stock_locate"] % 200
        if "side" in values:
            values["side"] = b"B" if values["side"][0] & 1 else b"S"
        if letter == "C":
            values["price"] = max(1, values["price"])
        data += frame(encode(values))
    _, events = decoding_of(data)
    events["instrument"] -= 1
    target = np.zeros(MAX_FRAME * max(1, len(events)), dtype=np.uint8)
    symbols = np.zeros(256, dtype="S8")
    symbols[:] = b"NAME    "
    record = np.zeros(1, dtype=ITCH_ENCODER)
    record["events_address"], record["target_address"] = events.ctypes.data, target.ctypes.data
    record["symbols_address"], record["count"] = symbols.ctypes.data, len(events)
    size = encode_frames(int(record.ctypes.data))
    assert record["left_out"][0] == 0
    _, again = decoding_of(target[:size].tobytes())
    again["instrument"] -= 1
    assert again.tobytes() == events.tobytes()


def seeds() -> list[bytes]:
    random = np.random.default_rng(7)
    one = []
    for letter, message in MESSAGES.items():
        body = random.integers(0, 256, message.size - 1, dtype=np.uint8).tobytes()
        one.append(frame(letter.encode() + body))
    return [*one, frame(ADD) + frame(EXECUTED), b"".join(one[:5]), b"\0\0" + ADD]


def test_a_hundred_thousand_damaged_inputs_stay_in_bounds_and_lose_nothing_silently() -> None:
    decoding = ItchDecoding(Listing(Options()), capacity=4)
    decoding.locates[:] = 0
    decoding.locates[::3] = -1
    source, target = Guarded(4096), Guarded(4096)
    room = 4 * EVENT.itemsize
    decoding.state["events_address"] = target.room(room)
    for data in mutations(seeds(), 100_000, seed=1):
        decoding.state["source_address"], decoding.state["size"], decoding.state["at"] = source.put(data), len(data), 0
        decoding.state["count"] = 0
        before = int(decoding.counts.sum())
        stop = decode_frames(decoding.address)
        at, count = int(decoding.state["at"]), int(decoding.state["count"])
        assert 0 <= at <= len(data) and 0 <= count <= 4
        # what was consumed is whole messages of known types, one count each
        place = taken = 0
        while place < at:
            place += 2 + int(SIZES[data[place + 2]])
            taken += 1
        assert place == at and int(decoding.counts.sum()) - before == taken >= count
        if stop == Stop.INPUT and len(data) - at >= 3:
            assert at + 2 + int(SIZES[data[at + 2]]) > len(data)
        elif stop == Stop.FRAME:
            size, said = int(SIZES[data[at + 2]]), int(data[at]) << 8 | int(data[at + 1])
            assert size == 0 or said not in (0, size)
        elif stop == Stop.NAME:
            decoding.name(bytes(data[at + 2 : at + 52]))
            decoding.locates[::3] = -1
        found = find_frame(source.end - len(data), len(data), min(at + 1, len(data)), int(SIZES.ctypes.data), 1)
        assert at < found <= len(data) or len(data) == at
    assert (STOCK_AT[SIZES == 0] == 0).all()
