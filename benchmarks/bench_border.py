"""What it costs to get from Python into a kernel with one message in hand."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.fastcall import frame_entry
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import load_i64, load_u8, store_i64

CALLS = 200_000
MESSAGE = bytes(range(256)) * 5
STATE = np.dtype([("total", "<i8"), ("calls", "<i8")])


@kernel
def enter(state: int, message: int, size: int) -> int:
    """Add the message's length and first byte to the state: the least that proves the kernel was there."""
    total = load_i64(state) + size + load_u8(message)
    store_i64(state, total)
    return total


@kernel("i8(i8,i8,i8)")
def enter_addresses(state: int, message: int, size: int) -> int:
    """Enter through the dispatcher, with integers only."""
    return enter(state, message, size)


@njit
def _dispatched(message, state):  # type: ignore[no-untyped-def]
    state[0].total += len(message) + message[0]
    return state[0].total


def _ns_per_call(call: Callable[..., Any], *arguments: Any) -> float:
    """Median of five of the processor time of a call, in nanoseconds, less that of the empty loop."""
    call(*arguments)
    samples = []
    for _ in range(5):
        start = time.process_time_ns()
        for _ in range(CALLS):
            call(*arguments)
        middle = time.process_time_ns()
        for _ in range(CALLS):
            pass
        samples.append((middle - start - (time.process_time_ns() - middle)) / CALLS)
    return sorted(samples)[2]


DISPATCHER = Peer(
    "Numba dispatcher, bytes and record array", lambda: _ns_per_call(_dispatched, MESSAGE, np.zeros(1, STATE))
)


@benchmark("border_bytes", "message bytes in Python -> kernel entered", unit="ns", peer=DISPATCHER, reach="<= 130")
def border_bytes() -> float:
    """A bytes object, as a socket's read or a WebSocket frame gives it, through `frame_entry`."""
    state = np.zeros(1, STATE)
    return _ns_per_call(frame_entry(enter, "benchmarks.border", state.ctypes.data), MESSAGE)


@benchmark("border_addresses", "three integer addresses in Python -> kernel entered", unit="ns", peer=DISPATCHER)
def border_addresses() -> float:
    """The message lies in a buffer whose address is known, as a socket's receive buffer does."""
    buffer = np.frombuffer(MESSAGE, np.uint8).copy()
    state = np.zeros(1, STATE)
    compile_entry(REGISTRY[f"{__name__}.enter_addresses"])
    return _ns_per_call(enter_addresses, state.ctypes.data, buffer.ctypes.data, len(MESSAGE))
