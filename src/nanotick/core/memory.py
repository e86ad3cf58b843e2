"""Raw memory by integer address: the only way kernels touch state.

A kernel receives integer addresses and reads typed records at them. No NumPy array ever crosses a call inside a
kernel, so Numba emits no reference counting and every helper inlines. Each primitive here is one object with two
bodies: an LLVM lowering when kernels are compiled, and a ctypes body that runs when the same source is interpreted or
called from plain Python.

    BOOK = np.dtype([("bid_price", "i8"), ("bid_qty", "i8")])
    book_at = record_at(BOOK)

    @kernel
    def spread(books_address, i):
        book = book_at(books_address, i)      # record i of an array of records
        return book.ask_price - book.bid_price

Reading an integer field of any width gives int64, a float field float64, a `?` field bool; writing narrows. Mixed
unsigned arithmetic (which Numba turns into floats) therefore cannot arise. Fields whose name ends in `_address` are
taken to be constant while a kernel runs and their loads are hoisted: only Python, between kernel calls, may set them.
A field with a shape is a flat array: `record.levels[i]`; it has no bounds check.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nanotick.core.mode import INTERPRET

_MASK64 = (1 << 64) - 1


def wrap_i64(value: int) -> int:
    """Two's complement int64 of any Python integer."""
    value &= _MASK64
    return value - (1 << 64) if value >> 63 else value


_CTYPES: dict[str, Any] = {
    "i1": ctypes.c_int8,
    "u1": ctypes.c_uint8,
    "i2": ctypes.c_int16,
    "u2": ctypes.c_uint16,
    "i4": ctypes.c_int32,
    "u4": ctypes.c_uint32,
    "i8": ctypes.c_int64,
    "u8": ctypes.c_uint64,
    "f4": ctypes.c_float,
    "f8": ctypes.c_double,
    "b1": ctypes.c_bool,
}


class FlatArray:
    """The interpreted face of a record's array field."""

    __slots__ = ("_address", "_code", "_ctype", "_size")

    def __init__(self, address: int, code: str) -> None:
        self._address = address
        self._code = code
        self._ctype = _CTYPES[code]
        self._size = ctypes.sizeof(self._ctype)

    def __getitem__(self, i: int) -> Any:
        value = self._ctype.from_address(self._address + i * self._size).value
        return wrap_i64(value) if self._code == "u8" else value

    def __setitem__(self, i: int, value: Any) -> None:
        self._ctype.from_address(self._address + i * self._size).value = value


def field_code(dtype: np.dtype[Any]) -> str:
    """The two-letter code of a scalar field's type (`i8`, `f8`, `b1`, ...)."""
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in _CTYPES:
        raise TypeError(f"a flat record holds integers, floats and bools, not {dtype}")
    return code


def _proxy_property(offset: int, code: str) -> property:
    ctype = _CTYPES[code]

    def get(self: Any) -> Any:
        value = ctype.from_address(self._address + offset).value
        return wrap_i64(value) if code == "u8" else value

    def set_(self: Any, value: Any) -> None:
        ctype.from_address(self._address + offset).value = value

    return property(get, set_)


def _flat_property(offset: int, code: str) -> property:
    return property(lambda self: FlatArray(self._address + offset, code))


def _part_property(offset: int, part: Any) -> property:
    return property(lambda self: part.view(self._address + offset))


def proxy_class(dtype: np.dtype[Any], name: str = "Record", parts: Mapping[str, Any] | None = None) -> type:
    """A class whose instances are live views of one record at an address (the interpreted face of a record).

    Fields that are records themselves are named in `parts`: field -> object whose `view(address)` gives their face.
    """
    parts = parts or {}

    def __init__(self: Any, address: int) -> None:
        self._address = address

    def __repr__(self: Any) -> str:
        assert dtype.names is not None
        return f"{name}({', '.join(f'{n}={getattr(self, n)!r}' for n in dtype.names if dtype[n].kind != 'V')})"

    namespace: dict[str, Any] = {"__slots__": ("_address",), "__init__": __init__, "__repr__": __repr__}
    assert dtype.names is not None and dtype.fields is not None
    for field in dtype.names:
        sub, offset = dtype.fields[field][:2]
        if field in parts:
            namespace[field] = _part_property(offset, parts[field])
        elif sub.shape:
            code = field_code(sub.base)
            namespace[field] = _flat_property(offset, code)
        else:
            namespace[field] = _proxy_property(offset, field_code(sub))
    return type(name, (), namespace)


def dtype_digest(dtype: np.dtype[Any]) -> str:
    """Short stable name of a record layout: what snapshots, journals and compiled code are checked against."""
    assert dtype.names is not None and dtype.fields is not None

    def told(field: np.dtype[Any]) -> str:
        inner = field.base
        return f"{field.str}{field.shape}" + (f"<{dtype_digest(inner)}>" if inner.names else "")

    text = ";".join(f"{n}:{told(dtype.fields[n][0])}@{dtype.fields[n][1]}" for n in dtype.names)
    return hashlib.blake2b(f"{text}|{dtype.itemsize}".encode(), digest_size=6).hexdigest()


# --- interpreted bodies -------------------------------------------------------------------------------------------


def _load(ctype: Any, swap: int = 0) -> Callable[[int], int]:
    def body(address: int) -> int:
        value = int(ctype.from_address(address).value)
        if swap:
            value = int.from_bytes(value.to_bytes(swap, "little"), "big")
        return wrap_i64(value)

    return body


def _store(ctype: Any) -> Callable[[int, Any], None]:
    def body(address: int, value: Any) -> None:
        ctype.from_address(address).value = value

    return body


def _fetch_add(address: int, delta: int) -> int:
    cell = ctypes.c_int64.from_address(address)
    before = int(cell.value)
    cell.value = before + delta
    return before


def _compare_exchange(address: int, expected: int, value: int) -> bool:
    cell = ctypes.c_int64.from_address(address)
    if cell.value != expected:
        return False
    cell.value = value
    return True


def _trailing_zeros(x: int) -> int:
    x &= _MASK64
    return 64 if x == 0 else (x & -x).bit_length() - 1


_CRC32C_TABLE: list[int] = []


def crc32c_table() -> list[int]:
    """The reflected CRC-32C (Castagnoli, 0x82F63B78) byte table."""
    if not _CRC32C_TABLE:
        for i in range(256):
            c = i
            for _ in range(8):
                c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
            _CRC32C_TABLE.append(c)
    return _CRC32C_TABLE


def _crc32c_u64(crc: int, word: int) -> int:
    table = crc32c_table()
    for byte in (word & _MASK64).to_bytes(8, "little"):
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def _mul_div(a: int, b: int, c: int) -> int:
    return wrap_i64(a * b // c) if c else 0


_FUNCTIONS: dict[int, Callable[..., int]] = {}


def register_function(function: Callable[..., int]) -> int:
    """A number by which interpreted `call2` finds a Python function; compiled code uses machine addresses instead."""
    handle = len(_FUNCTIONS) + 1
    _FUNCTIONS[handle] = function
    return handle


def _call2(function: int, a: int, b: int) -> int:
    return int(_FUNCTIONS[function](a, b) or 0)


def _copy(target: int, source: int, size: int) -> None:
    ctypes.memmove(target, source, size)


def _clear(target: int, size: int) -> None:
    ctypes.memset(target, 0, size)


_INTERPRETED: dict[str, Callable[..., Any]] = {
    "load_u8": _load(ctypes.c_uint8),
    "load_i16": _load(ctypes.c_int16),
    "load_u16": _load(ctypes.c_uint16),
    "load_i32": _load(ctypes.c_int32),
    "load_u32": _load(ctypes.c_uint32),
    "load_i64": _load(ctypes.c_int64),
    "load_f64": lambda address: float(ctypes.c_double.from_address(address).value),
    "load_be16": _load(ctypes.c_uint16, 2),
    "load_be32": _load(ctypes.c_uint32, 4),
    "load_be64": _load(ctypes.c_uint64, 8),
    "store_u8": _store(ctypes.c_uint8),
    "store_i16": _store(ctypes.c_int16),
    "store_i32": _store(ctypes.c_int32),
    "store_i64": _store(ctypes.c_int64),
    "store_f64": _store(ctypes.c_double),
    "load_acquire": _load(ctypes.c_int64),
    "store_release": _store(ctypes.c_int64),
    "fetch_add": _fetch_add,
    "compare_exchange": _compare_exchange,
    "prefetch": lambda address: None,
    "pause": lambda: None,
    "trailing_zeros": _trailing_zeros,
    "leading_zeros": lambda x: 64 - (x & _MASK64).bit_length(),
    "popcount": lambda x: (x & _MASK64).bit_count(),
    "shift_right": lambda x, n: wrap_i64((x & _MASK64) >> n),
    "rotate_right_32": lambda x, n: ((x >> n) | (x << (32 - n))) & 0xFFFF_FFFF,
    "mul_wrap": lambda a, b: wrap_i64(a * b),
    "crc32c_u64": _crc32c_u64,
    "mul_div": _mul_div,
    "copy_bytes": _copy,
    "clear_bytes": _clear,
    "call2": _call2,
    "float_bits": lambda x: int(np.float64(x).view(np.int64)),
    "bits_float": lambda x: float(np.int64(wrap_i64(x)).view(np.float64)),
}

if INTERPRET:

    def _primitive(name: str) -> Any:
        return _INTERPRETED[name]

    def record_at(dtype: np.dtype[Any], name: str = "Record") -> Any:
        """Accessor `f(address, index=0)` of the records of this dtype stored one after the other from an address."""
        cls, size = proxy_class(dtype, name), dtype.itemsize

        def at(address: int, index: int = 0) -> Any:
            return cls(address + index * size)

        return at

else:
    from nanotick.core.lowering import make_primitive, make_record_at

    def _primitive(name: str) -> Any:
        return make_primitive(name, _INTERPRETED[name])

    def record_at(dtype: np.dtype[Any], name: str = "Record") -> Any:
        """Accessor `f(address, index=0)` of the records of this dtype stored one after the other from an address."""
        return make_record_at(dtype, name, proxy_class(dtype, name))


load_u8 = _primitive("load_u8")
load_i16 = _primitive("load_i16")
load_u16 = _primitive("load_u16")
load_i32 = _primitive("load_i32")
load_u32 = _primitive("load_u32")
load_i64 = _primitive("load_i64")
load_f64 = _primitive("load_f64")
load_be16 = _primitive("load_be16")
load_be32 = _primitive("load_be32")
load_be64 = _primitive("load_be64")
store_u8 = _primitive("store_u8")
store_i16 = _primitive("store_i16")
store_i32 = _primitive("store_i32")
store_i64 = _primitive("store_i64")
store_f64 = _primitive("store_f64")
load_acquire = _primitive("load_acquire")
store_release = _primitive("store_release")
fetch_add = _primitive("fetch_add")
compare_exchange = _primitive("compare_exchange")
prefetch = _primitive("prefetch")
pause = _primitive("pause")
trailing_zeros = _primitive("trailing_zeros")
leading_zeros = _primitive("leading_zeros")
popcount = _primitive("popcount")
shift_right = _primitive("shift_right")
rotate_right_32 = _primitive("rotate_right_32")
mul_wrap = _primitive("mul_wrap")
crc32c_u64 = _primitive("crc32c_u64")
mul_div = _primitive("mul_div")
copy_bytes = _primitive("copy_bytes")
clear_bytes = _primitive("clear_bytes")
call2 = _primitive("call2")
float_bits = _primitive("float_bits")
bits_float = _primitive("bits_float")
