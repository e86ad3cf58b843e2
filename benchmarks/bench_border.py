"""What it costs to get from Python into a kernel with one message in hand."""

import time

import numpy as np
from numba import njit

from benchmarks.peer import Peer
from benchmarks.registry import benchmark
from nanotick.core.kernel import REGISTRY, compile_entry, kernel
from nanotick.core.memory import load_i64, load_u8, store_i64

CALLS = 200_000
MESSAGE = bytes(range(41))


@kernel("i8(i8,i8,i8)")
def enter(message_address: int, size: int, state_address: int) -> int:
    """Add the message's length and first byte to the state: the least that proves the kernel was there."""
    total = load_i64(state_address) + size + load_u8(message_address)
    store_i64(state_address, total)
    return total


@njit
def _dispatched(message, state):  # type: ignore[no-untyped-def]
    state[0] += len(message) + message[0]
    return state[0]


def _ns_per_call(call: object, *arguments: object) -> float:
    """Median of five of the processor time of a call, in nanoseconds, less that of the empty loop."""
    assert callable(call)
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


def _through_dispatcher() -> float:
    return _ns_per_call(_dispatched, MESSAGE, np.zeros(1, np.int64))


@benchmark(
    "border_addresses",
    "message in a receive buffer -> kernel entered, by integer addresses",
    unit="ns",
    peer=Peer("Numba dispatcher, bytes and array", _through_dispatcher),
    reach="<= 130",
)
def border_addresses() -> float:
    """The message lies in a buffer whose address is known, as a socket's receive buffer does."""
    buffer = np.frombuffer(MESSAGE, np.uint8).copy()
    state = np.zeros(1, np.int64)
    entry = REGISTRY[f"{enter.__module__}.enter"]
    compile_entry(entry)
    return _ns_per_call(enter, buffer.ctypes.data, len(MESSAGE), state.ctypes.data)
