"""The shortest way from bytes in Python into a kernel: a compiled function as a CPython builtin, about 20 ns a call.

    entry = frame_entry(on_frame, "feed.on_frame", state_address)
    entry(frame)                      # bytes, bytearray, memoryview, array: whatever has a buffer

`on_frame(state_address, data_address, size)` is a kernel giving an integer, which the call returns. Numba's dispatcher
takes 220 to 260 ns to unpack a bytes object and a state array; a builtin that takes one object (METH_O) gets the
object's address, and a kernel can read a bytes object's size and data there itself.

That leans on where CPython keeps them. Both places are measured on a probe at import, and before the first entry is
handed out a trial sends all kinds of frames through one. Objects other than bytes go through PyObject_GetBuffer, the
public interface. Where the trial fails (another Python, no lock, an unknown layout) an entry is an ordinary Python
function that copies the frame to a known place and calls the dispatcher with integers.

The kernel runs with the interpreter's lock held and must not keep the frame's address.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np

from nanotick.core.kernel import REGISTRY, callback, compile_entry, entry, kernel
from nanotick.core.memory import load_i64, record_at
from nanotick.core.mode import INTERPRET

Handler = Callable[[int, int, int], int]

_METH_O = 0x0008
_PY_BUFFER_SIZE = 256  # struct Py_buffer is 80 bytes on 64-bit systems

# What a builtin knows, at the address it is given as `self`'s bytes.
ENTRY = np.dtype(
    [
        ("state_address", "<i8"),
        ("bytes_type", "<i8"),  # address of the type object of bytes
        ("size_offset", "<i8"),  # where a bytes object keeps its size
        ("data_offset", "<i8"),  # and its data
        ("buffer", "<i8"),  # room for a Py_buffer
    ]
)
entry_at = record_at(ENTRY, "Entry")
_TYPE_OFFSET = 8  # ob_type after ob_refcnt, on every build with the lock and without debugging lists


def _bytes_layout() -> tuple[int, int] | None:
    """Offsets of size and data in a bytes object, found on a probe; None where they cannot be found."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    probe = bytes(range(200, 256)) * 3
    size = len(probe)
    as_string = ctypes.pythonapi.PyBytes_AsString
    as_string.restype, as_string.argtypes = ctypes.c_void_p, [ctypes.py_object]
    data_offset = int(as_string(probe) or 0) - id(probe)
    if not 16 <= data_offset <= 64 or ctypes.c_int64.from_address(id(probe) + _TYPE_OFFSET).value != id(bytes):
        return None
    places = [o for o in range(0, data_offset, 8) if ctypes.c_int64.from_address(id(probe) + o).value == size]
    return (places[0], data_offset) if len(places) == 1 else None


_LAYOUT = None if INTERPRET else _bytes_layout()


def _builtin_body(handler: Any) -> Callable[[int, int], int]:
    from numba import types

    get_buffer = types.ExternalFunction("PyObject_GetBuffer", types.int32(types.int64, types.int64, types.int32))
    release_buffer = types.ExternalFunction("PyBuffer_Release", types.void(types.int64))
    to_integer = types.ExternalFunction("PyLong_FromLongLong", types.int64(types.int64))
    assert _LAYOUT is not None
    self_data = _LAYOUT[1]

    def call(self_object: int, frame_object: int) -> int:
        entry = entry_at(load_i64(self_object + self_data))
        if load_i64(frame_object + _TYPE_OFFSET) == entry.bytes_type:
            result = handler(
                entry.state_address, frame_object + entry.data_offset, load_i64(frame_object + entry.size_offset)
            )
            return to_integer(result)
        if get_buffer(frame_object, entry.buffer, 0) != 0:
            return 0  # NULL: CPython has set the exception
        result = handler(entry.state_address, load_i64(entry.buffer), load_i64(entry.buffer + 16))
        release_buffer(entry.buffer)
        return to_integer(result)

    return call


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_KEPT: list[Any] = []  # method definitions and entries live as long as the process: CPython holds bare addresses


def _make_builtin(handler: Any, key: str, state_address: int) -> Callable[[Any], int]:
    assert _LAYOUT is not None
    address = callback(_builtin_body(handler), f"fastcall|{key}|{_LAYOUT}")
    memory = np.zeros(ENTRY.itemsize + _PY_BUFFER_SIZE, np.uint8)
    entry = entry_at(int(memory.ctypes.data))
    entry.state_address = state_address
    entry.bytes_type = id(bytes)
    entry.size_offset, entry.data_offset = _LAYOUT
    entry.buffer = int(memory.ctypes.data) + ENTRY.itemsize
    holder = int(memory.ctypes.data).to_bytes(8, "little")
    definition = _MethodDef(key.encode(), address, _METH_O, None)
    _KEPT.append((memory, holder, definition))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(definition), holder, None)


def _make_dispatched(handler: Any, key: str, state_address: int) -> Callable[[Any], int]:
    def run(state: int, data: int, size: int) -> int:
        return handler(state, data, size)

    name = f"{__name__}.dispatched|{key}"
    dispatched = entry(run, "i8(i8,i8,i8)", name)
    compile_entry(REGISTRY.pop(name))  # warm-up cannot know the handlers of a run: nothing to keep in its list
    # a copy to a place whose address is known costs less than finding out where the frame lies
    buffer = np.zeros(65_536, np.uint8)
    view, address = buffer.data, int(buffer.ctypes.data)

    def call(frame: Any) -> int:
        nonlocal buffer, view, address
        size = len(frame)
        if size > len(view):
            buffer = np.zeros(2 * size, np.uint8)
            view, address = buffer.data, int(buffer.ctypes.data)
        view[:size] = frame
        return int(dispatched(state_address, address, size))

    return call


# --- the trial ----------------------------------------------------------------------------------------------------


@kernel
def _probe_handler(state_address: int, data_address: int, size: int) -> int:
    return load_i64(data_address) + size + state_address


def _works(entry: Callable[[Any], int]) -> bool:
    """Whether a builtin reads every kind of frame right, refuses what is none, and keeps references balanced."""
    head = (77).to_bytes(8, "little")
    for size in (8, 9, 300):
        data = head + bytes(size - 8)
        frames = [data, bytearray(data), memoryview(data), memoryview(bytearray(b"x" + data))[1:]]
        for frame in frames:
            before = sys.getrefcount(frame)
            for _ in range(3):
                if entry(frame) != 77 + size + 1000:
                    return False
            if sys.getrefcount(frame) != before:
                return False
    for wrong in (None, 5, "text"):
        try:
            entry(wrong)
        except (TypeError, BufferError):
            continue
        return False
    return True


def _trial() -> bool:
    if _LAYOUT is None:
        return False
    return _works(_make_builtin(_probe_handler, "nanotick.core.fastcall.probe", 1000))


_AVAILABLE: bool | None = None


def available() -> bool:
    """Whether entries are builtins in this Python; found out once."""
    global _AVAILABLE
    if _AVAILABLE is None:
        _AVAILABLE = _trial()
    return _AVAILABLE


def frame_entry(handler: Any, key: str, state_address: int, builtin: bool | None = None) -> Callable[[Any], int]:
    """A kernel as a Python callable that takes a frame.

    Parameters
    ----------
    handler : kernel
        `handler(state_address, data_address, size) -> int`, decorated with a bare `@kernel`.
    key : str
        What identifies the handler's content for the cache: its qualified name, and whatever changes its code.
    state_address : int
        Given to each call.
    builtin : bool, optional
        False for the ordinary route; by default the short one where it works.

    Returns
    -------
    callable
        Takes one contiguous bytes-like object and gives the handler's integer.

    Raises
    ------
    TypeError, BufferError
        From the call, when the object is not bytes-like, or (the short route) not contiguous.
    """
    if builtin is None:
        builtin = available()
    return _make_builtin(handler, key, state_address) if builtin else _make_dispatched(handler, key, state_address)
