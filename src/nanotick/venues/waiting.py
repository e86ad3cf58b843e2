"""Waiting and waking in kernels: a sleep, and a byte into a pipe, without the interpreter.

    sleep_ns(scratch_address, 50_000)          # scratch: 16 bytes
    wake(descriptor, scratch_address)          # whoever waits for the other end of a pipe to be readable wakes up

Both are system calls of a microsecond or so (and the sleep itself): for loops that have nothing to do, and for telling
somebody who sleeps. A pipe that is full has woken its reader already; the byte that does not fit is not missed.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

from nanotick.core.kernel import kernel
from nanotick.core.memory import store_i64
from nanotick.core.mode import INTERPRET

_BILLION = 1_000_000_000
_nanosleep: Any
_write: Any

if INTERPRET:

    def _nanosleep(wanted_address: int, left_address: int) -> int:
        words = (ctypes.c_int64 * 2).from_address(wanted_address)
        time.sleep(words[0] + words[1] / _BILLION)
        return 0

    def _write(descriptor: int, data_address: int, size: int) -> int:
        try:
            return os.write(descriptor, ctypes.string_at(data_address, size))
        except BlockingIOError:
            return -1

else:
    from numba import types

    _nanosleep = types.ExternalFunction("nanosleep", types.int32(types.int64, types.int64))
    _write = types.ExternalFunction("write", types.int64(types.int32, types.int64, types.int64))


@kernel
def sleep_ns(scratch_address: int, duration_ns: int) -> None:
    """Sleep about so long, or less if a signal comes."""
    store_i64(scratch_address, duration_ns // _BILLION)
    store_i64(scratch_address + 8, duration_ns % _BILLION)
    _nanosleep(scratch_address, 0)


@kernel
def wake(descriptor: int, scratch_address: int) -> None:
    """Write a byte to a pipe, which must not block."""
    _write(descriptor, scratch_address, 1)
