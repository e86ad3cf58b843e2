"""Frames into kernels: every kind of frame by both routes, references balanced, errors as Python gives them."""

import array
import functools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotick.core import fastcall
from nanotick.core.fastcall import frame_entry
from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, load_u8, mul_wrap, store_i64
from nanotick.core.mode import INTERPRET

STATE = np.zeros(2, np.int64)


@kernel
def fold(state: int, data: int, size: int) -> int:
    """A hash of the frame's bytes; counts frames in the state."""
    h = size
    for i in range(size):
        h = mul_wrap(h, 31) + load_u8(data + i)
        h = h & 0xFFFFFFFFFFFF
    store_i64(state, load_i64(state) + 1)
    return h


def reference(frame: bytes) -> int:
    h = len(frame)
    for byte in frame:
        h = (h * 31 + byte) & 0xFFFFFFFFFFFF
    return h


@functools.cache
def entries() -> list:
    address = int(STATE.ctypes.data)
    routes = [frame_entry(fold, "tests.fold", address, builtin=False)]
    if fastcall.available():
        routes.append(frame_entry(fold, "tests.fold", address))
    return routes


def test_the_short_route_works_on_this_python() -> None:
    # CPython with the lock: on anything else the ordinary route stands in, and the two are tested alike
    assert fastcall.available() == (not INTERPRET and sys.implementation.name == "cpython")


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_any_frame_arrives_whole_by_either_route(data, a, b) -> None:
    first, last = sorted((a, b))
    frames = [
        data,
        bytearray(data),
        memoryview(data)[first:last],
        array.array("B", data),
        np.frombuffer(data, np.uint8),
    ]
    for entry in entries():
        for frame in frames:
            before = int(STATE[0])
            assert entry(frame) == reference(bytes(frame))
            assert STATE[0] == before + 1


def test_large_frames_arrive_whole() -> None:
    data = bytes(range(256)) * 1000
    for entry in entries():
        assert entry(data) == reference(data)


@pytest.mark.parametrize("wrong", [None, 5, "text", 1.5, [1, 2], object()])
def test_what_is_not_bytes_like_is_a_type_error_and_reaches_no_kernel(wrong) -> None:
    for entry in entries():
        before = int(STATE[0])
        with pytest.raises(TypeError):
            entry(wrong)
        assert STATE[0] == before


def test_a_view_with_gaps_is_an_error_or_read_whole() -> None:
    gaps = memoryview(bytes(range(16)))[::2]
    for entry in entries():
        try:
            assert entry(gaps) == reference(bytes(gaps))
        except BufferError as error:
            assert "contiguous" in str(error)


def test_references_stay_balanced() -> None:
    growing = bytearray(50)
    frames = [bytes(50), growing, memoryview(bytes(50))]
    for entry in entries():
        counts = [sys.getrefcount(frame) for frame in frames] + [sys.getrefcount(None)]
        for _ in range(1000):
            for frame in frames:
                entry(frame)
        del frame  # the loop's own reference
        after = [sys.getrefcount(frame) for frame in frames] + [sys.getrefcount(None)]
        assert counts[:3] == after[:3] and abs(counts[3] - after[3]) < 50
    growing.extend(b"x")  # no export was left behind


def test_results_are_whole_signed_integers() -> None:
    @kernel
    def first(state, data, size):
        return load_i64(data)

    for value in (0, -1, 2**63 - 1, -(2**63)):
        frame = value.to_bytes(8, "little", signed=True)
        for builtin in (False, fastcall.available()):
            assert frame_entry(first, "tests.first", 0, builtin=builtin)(frame) == value


def test_an_unknown_layout_falls_back_to_the_ordinary_route(monkeypatch) -> None:
    monkeypatch.setattr(fastcall, "_LAYOUT", None)
    monkeypatch.setattr(fastcall, "_AVAILABLE", None)
    entry = frame_entry(fold, "tests.fold", int(STATE.ctypes.data))
    assert not fastcall.available()
    assert entry(b"abc") == reference(b"abc")


@pytest.mark.skipif(INTERPRET, reason="there is no short route to refuse")
def test_a_wrong_layout_is_found_by_the_trial(monkeypatch) -> None:
    assert fastcall._LAYOUT is not None
    size, data = fastcall._LAYOUT
    monkeypatch.setattr(fastcall, "_AVAILABLE", None)
    # data one word late: where the trial's first word is not; the size is still read from a readable place
    probe = fastcall._make_builtin

    def shifted(handler, key, state_address):
        entry = probe(handler, key, state_address)
        fastcall.entry_at(int(fastcall._KEPT[-1][0].ctypes.data)).data_offset = data + 1
        return entry

    monkeypatch.setattr(fastcall, "_make_builtin", shifted)
    assert not fastcall.available()
    assert size < data
