"""Signatures by a kernel are those of hashlib."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nanotick.core.secret import Secret
from nanotick.wire.sha256 import PADDING, sign_hex
from nanotick.wire.signing import BinanceHmac, HmacKey


def signed(key: bytes, message: bytes) -> str:
    record = HmacKey(key).record()
    room = np.full(len(message) + PADDING, 0xAB, np.uint8)
    room[: len(message)] = np.frombuffer(message, np.uint8)
    out = np.zeros(65, np.uint8)
    end = sign_hex(int(record.ctypes.data), int(room.ctypes.data), len(message), int(out.ctypes.data))
    assert end == out.ctypes.data + 64 and out[64] == 0
    return bytes(out[:64]).decode()


@given(st.binary(max_size=150), st.binary(max_size=400))
@example(b"", b"")
@example(b"k" * 64, b"m" * 55)
@example(b"k" * 65, b"m" * 56)
@example(b"k" * 63, b"m" * 64)
def test_a_kernel_signs_as_hashlib_does(key, message):
    assert signed(key, message) == hmac.new(key, message, hashlib.sha256).hexdigest()


def test_the_vector_of_rfc_4231():
    found = signed(b"Jefe", b"what do ya want for nothing?")
    assert found == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_one_record_signs_message_after_message():
    signer = BinanceHmac("key", Secret("secret"))
    record = signer.record()
    room, out = np.zeros(1000, np.uint8), np.zeros(64, np.uint8)
    for size in range(0, 300, 7):
        message = bytes(range(256))[: size % 256] * 2
        room[: len(message)] = np.frombuffer(message, np.uint8)
        sign_hex(int(record.ctypes.data), int(room.ctypes.data), len(message), int(out.ctypes.data))
        assert bytes(out).decode() == signer.sign(message)


def test_there_is_no_kernel_for_another_digest():
    with pytest.raises(ValueError, match="SHA256"):
        HmacKey(b"key", hashlib.sha512).record()
