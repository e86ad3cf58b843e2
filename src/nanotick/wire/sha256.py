"""SHA-256 and HMAC in kernels, for requests that are signed where they are written.

A key is hashed once: of a signature what remains are the blocks of its message and one more. Sources: FIPS 180-4,
sections 4.1.2, 4.2.2, 5 and 6.2; RFC 2104.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nanotick.core.kernel import kernel
from nanotick.core.memory import (
    clear_bytes,
    copy_bytes,
    load_be32,
    load_i64,
    record_at,
    rotate_right_32,
    store_i64,
    store_u8,
)

BLOCK = 64  # bytes
PADDING = 72  # bytes that must be writable after a message: a one, zeros and the length, to the end of a block
_WORD = 0xFFFF_FFFF

HMAC = np.dtype(
    [
        ("inner", "<i8", (8,)),  # state after the key's inner block
        ("outer", "<i8", (8,)),
        ("rounds", "<i8", (64,)),  # the constants of the rounds
        ("schedule", "<i8", (64,)),  # scratch
        ("state", "<i8", (8,)),  # of the last message: its HMAC
        ("block", "u1", (BLOCK,)),  # scratch
    ]
)
hmac_at = record_at(HMAC, "Hmac")
_OUTER, _ROUNDS, _SCHEDULE, STATE, _BLOCK = (
    int(HMAC.fields[name][1])  # type: ignore[index]
    for name in ("outer", "rounds", "schedule", "state", "block")
)


def _primes(count: int) -> list[int]:
    found: list[int] = []
    n = 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found


def _cube_root(n: int) -> int:
    root = 1 << -(-n.bit_length() // 3)
    while True:
        better = (2 * root + n // (root * root)) // 3
        if better >= root:
            return root
        root = better


INITIAL = tuple(math.isqrt(p << 64) & _WORD for p in _primes(8))
ROUNDS = tuple(_cube_root(p << 96) & _WORD for p in _primes(64))


@kernel
def sha256_block(state: int, data: int, rounds: int, schedule: int) -> None:
    """Take one block of 64 bytes in.

    Parameters
    ----------
    state : int
        Address of 8 i8: the words of the hash.
    data : int
        Address of the block.
    rounds, schedule : int
        Addresses of 64 i8: the constants, and room.
    """
    for i in range(16):
        store_i64(schedule + 8 * i, load_be32(data + 4 * i))
    for i in range(16, 64):
        x, y = load_i64(schedule + 8 * (i - 15)), load_i64(schedule + 8 * (i - 2))
        early = rotate_right_32(x, 7) ^ rotate_right_32(x, 18) ^ (x >> 3)
        late = rotate_right_32(y, 17) ^ rotate_right_32(y, 19) ^ (y >> 10)
        word = load_i64(schedule + 8 * (i - 16)) + early + load_i64(schedule + 8 * (i - 7)) + late
        store_i64(schedule + 8 * i, word & _WORD)
    a, b, c, d = load_i64(state), load_i64(state + 8), load_i64(state + 16), load_i64(state + 24)
    e, f, g, h = load_i64(state + 32), load_i64(state + 40), load_i64(state + 48), load_i64(state + 56)
    for i in range(64):
        mixed = rotate_right_32(e, 6) ^ rotate_right_32(e, 11) ^ rotate_right_32(e, 25)
        first = h + mixed + ((e & f) ^ (~e & g)) + load_i64(rounds + 8 * i) + load_i64(schedule + 8 * i)
        mixed = rotate_right_32(a, 2) ^ rotate_right_32(a, 13) ^ rotate_right_32(a, 22)
        second = mixed + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e, d, c, b, a = g, f, e, (d + first) & _WORD, c, b, a, (first + second) & _WORD
    store_i64(state, (load_i64(state) + a) & _WORD)
    store_i64(state + 8, (load_i64(state + 8) + b) & _WORD)
    store_i64(state + 16, (load_i64(state + 16) + c) & _WORD)
    store_i64(state + 24, (load_i64(state + 24) + d) & _WORD)
    store_i64(state + 32, (load_i64(state + 32) + e) & _WORD)
    store_i64(state + 40, (load_i64(state + 40) + f) & _WORD)
    store_i64(state + 48, (load_i64(state + 48) + g) & _WORD)
    store_i64(state + 56, (load_i64(state + 56) + h) & _WORD)


@kernel
def _pad(message: int, size: int, hashed: int) -> int:
    """End a message of which `hashed` bytes went before; gives its size with the padding."""
    padded = (size + 8) // BLOCK * BLOCK + BLOCK
    store_u8(message + size, 0x80)
    clear_bytes(message + size + 1, padded - size - 1)
    bits = 8 * (size + hashed)
    for i in range(8):
        store_u8(message + padded - 1 - i, (bits >> (8 * i)) & 255)
    return padded


@kernel
def hmac_sha256(key: int, message: int, size: int) -> None:
    """The HMAC of a message, left in the record's `state`.

    Parameters
    ----------
    key : int
        Address of a HMAC record.
    message : int
        Address; up to `PADDING` bytes behind it are overwritten.
    size : int
        Bytes.
    """
    state, rounds, schedule, block = key + STATE, key + _ROUNDS, key + _SCHEDULE, key + _BLOCK
    copy_bytes(state, key, 64)
    for begin in range(0, _pad(message, size, BLOCK), BLOCK):
        sha256_block(state, message + begin, rounds, schedule)
    for i in range(32):
        store_u8(block + i, (load_i64(state + 8 * (i // 4)) >> (24 - 8 * (i % 4))) & 255)
    _pad(block, 32, BLOCK)
    copy_bytes(state, key + _OUTER, 64)
    sha256_block(state, block, rounds, schedule)


@kernel
def write_hex(out: int, state: int) -> int:
    """The words of a hash in lower-case hex; the address after them."""
    for i in range(64):
        digit = (load_i64(state + 8 * (i // 8)) >> (28 - 4 * (i % 8))) & 15
        store_u8(out + i, digit + (48 if digit < 10 else 87))
    return out + 64


@kernel("i8(i8,i8,i8,i8)")
def sign_hex(key: int, message: int, size: int, out: int) -> int:
    """`hmac_sha256` from Python, its 64 hex digits written at `out`; gives the address after them."""
    hmac_sha256(key, message, size)
    return write_hex(out, key + STATE)


@kernel("i8(i8,i8)")
def _take_pads(key: int, pads: int) -> int:
    sha256_block(key, pads, key + _ROUNDS, key + _SCHEDULE)
    sha256_block(key + _OUTER, pads + BLOCK, key + _ROUNDS, key + _SCHEDULE)
    return 0


def hmac_record(inner: bytes, outer: bytes) -> npt.NDArray[np.void]:
    """The record of a key, from the key's two blocks (RFC 2104: the key exclusive-or the pads)."""
    record = np.zeros(1, HMAC)
    record["inner"] = record["outer"] = INITIAL
    record["rounds"] = ROUNDS
    pads = np.frombuffer(inner + outer, np.uint8)
    _take_pads(int(record.ctypes.data), int(pads.ctypes.data))
    record["schedule"] = 0
    return record
