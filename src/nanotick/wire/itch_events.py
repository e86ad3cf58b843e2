"""ITCH 5.0 bytes to events and back, in kernels: the same for day files, MoldUDP64 packets and live sockets.

Input is a run of frames (two-byte big-endian length, message), which is what day files hold and what follows the
20-byte head of a MoldUDP64 packet. Each message gives one event or none:

    A F ADD    E C EXECUTE    X REDUCE    D DELETE    U REPLACE    P Q TRADE    B BREAK    I IMBALANCE    R INSTRUMENT
    H h STATUS    S SYSTEM    Y L V W K J N O none (counted only), and Q of no shares, which is no trade

An E carries no price: its event says 0, the resting order's own. Executions and hidden trades count in volume
(PRINTABLE) unless C says no. Stock locates are numbers of the day; the caller keeps the table from locate to
instrument and is asked (`STOPPED_NAME`) when one appears that it does not hold.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import (
    load_be16,
    load_be32,
    load_be64,
    load_i32,
    load_i64,
    load_u8,
    record_at,
    store_i64,
    store_u8,
)
from nanotick.core.records import BOTH_SIDES, EVENT, Flag, Kind, TradingStatus, event_at

LOCATES = 1 << 16
UNKNOWN = -1  # nobody has said what this locate is
LEFT_OUT = -2  # the caller does not want it
UNNAMED = -3  # not wanted as long as it has no name
# a table entry of -(n + 16) is instrument n under a placeholder name: the next message that names the stock asks again
PLACEHOLDER = 16


class Stop(IntEnum):
    """Why `decode_frames` came back."""

    INPUT = 0  # no whole frame is left
    OUTPUT = 1  # the event buffer is full
    NAME = 2  # the message at `at` has a locate the table does not hold
    FRAME = 3  # the bytes at `at` are no frame of ITCH 5.0


STOPPED_INPUT, STOPPED_OUTPUT, STOPPED_NAME, STOPPED_FRAME = (int(s) for s in Stop)

ITCH_DECODER = np.dtype(
    [
        ("source_address", "<i8"),  # frames
        ("events_address", "<i8"),  # EVENT records to fill
        ("locates_address", "<i8"),  # instrument by stock locate, i4
        ("sizes_address", "<i8"),  # message length by type, u1
        ("stocks_address", "<i8"),  # offset of the stock's name by type, u1
        ("counts_address", "<i8"),  # messages by type, i8
        ("size", "<i8"),  # bytes of frames
        ("at", "<i8"),  # next frame
        ("count", "<i8"),  # events written
        ("capacity", "<i8"),  # events that fit
        ("midnight", "<i8"),  # ns UTC of the day's midnight in New York
        ("recv", "<i8"),  # ns UTC when the frames arrived, 0: not known, the venue's stamp stands in
        ("seq", "<i8"),  # sequence number of the next message
        ("stop", "<i8"),  # Stop
    ]
)
itch_decoder_at = record_at(ITCH_DECODER, "ItchDecoder")

_FLAGS = BOTH_SIDES | int(Flag.LAST)
_PRINTED = _FLAGS | int(Flag.PRINTABLE)
_HIDDEN = _PRINTED | int(Flag.HIDDEN)
_CROSS = _PRINTED | int(Flag.AUCTION)
_ADD, _REDUCE, _DELETE, _EXECUTE = int(Kind.ADD), int(Kind.REDUCE), int(Kind.DELETE), int(Kind.EXECUTE)
_REPLACE, _TRADE, _BREAK, _STATUS = int(Kind.REPLACE), int(Kind.TRADE), int(Kind.BREAK), int(Kind.STATUS)
_IMBALANCE, _INSTRUMENT, _SYSTEM = int(Kind.IMBALANCE), int(Kind.INSTRUMENT), int(Kind.SYSTEM)
_UNKNOWN_STATUS, _TRADING = int(TradingStatus.UNKNOWN), int(TradingStatus.TRADING)
_HALTED, _PAUSED, _QUOTE_ONLY = int(TradingStatus.HALTED), int(TradingStatus.PAUSED), int(TradingStatus.QUOTE_ONLY)
_TIME_MASK = (1 << 48) - 1
_PRINTABLE_FLAG, _AUCTION_FLAG, _HIDDEN_FLAG = int(Flag.PRINTABLE), int(Flag.AUCTION), int(Flag.HIDDEN)
_A, _B, _C, _D, _E, _F, _H, _I = (ord(c) for c in "ABCDEFHI")
_P, _Q, _R, _S, _U, _V, _W, _X, _h = (ord(c) for c in "PQRSUVWXh")


@kernel
def _side(letter: int) -> int:
    """1 for B, -1 for S, 0 for anything else."""
    if letter == 66:
        return 1
    return -1 if letter == 83 else 0


@kernel
def _status(letter: int) -> int:
    if letter == 84:  # T
        return _TRADING
    if letter == 72:  # H
        return _HALTED
    if letter == 80:  # P
        return _PAUSED
    return _QUOTE_ONLY if letter == 81 else _UNKNOWN_STATUS


@kernel
def decode_message(message: int, target: int) -> int:
    """Fill an event from a message of known type and length; what the head says is filled by the caller.

    Parameters
    ----------
    message : int
        Address of the type byte.
    target : int
        Address of the EVENT.

    Returns
    -------
    int
        1 if the message is an event, 0 if it gives none.
    """
    event = event_at(target)
    letter = load_u8(message)
    event.price = 0
    event.qty = 0
    event.id = 0
    event.word = 0
    event.side = 0
    event.flags = _FLAGS
    if letter == _A or letter == _F:
        event.kind = _ADD
        event.id = load_be64(message + 11)
        event.side = _side(load_u8(message + 19))
        event.qty = load_be32(message + 20)
        event.price = load_be32(message + 32)
        return 1
    if letter == _D:
        event.kind = _DELETE
        event.id = load_be64(message + 11)
        return 1
    if letter == _E:
        event.kind = _EXECUTE
        event.id = load_be64(message + 11)
        event.qty = load_be32(message + 19)
        event.word = load_be64(message + 23)
        event.flags = _PRINTED
        return 1
    if letter == _X:
        event.kind = _REDUCE
        event.id = load_be64(message + 11)
        event.qty = load_be32(message + 19)
        return 1
    if letter == _U:
        event.kind = _REPLACE
        event.id = load_be64(message + 11)
        event.word = load_be64(message + 19)
        event.qty = load_be32(message + 27)
        event.price = load_be32(message + 31)
        return 1
    if letter == _C:
        event.kind = _EXECUTE
        event.id = load_be64(message + 11)
        event.qty = load_be32(message + 19)
        event.word = load_be64(message + 23)
        event.price = load_be32(message + 32)
        event.flags = _FLAGS if load_u8(message + 31) == 78 else _PRINTED
        return 1
    if letter == _P:
        event.kind = _TRADE
        event.word = load_be64(message + 11)
        event.qty = load_be32(message + 20)
        event.price = load_be32(message + 32)
        event.id = load_be64(message + 36)
        event.flags = _HIDDEN
        return 1
    return _decode_rare(message, target, letter)


@kernel
def _decode_rare(message: int, target: int, letter: int) -> int:
    event = event_at(target)
    if letter == _I:
        event.kind = _IMBALANCE
        event.qty = load_be64(message + 11)
        event.word = load_be64(message + 19)
        event.side = _side(load_u8(message + 27))
        event.id = load_be32(message + 40)
        event.price = load_be32(message + 44)
        event.flags = _FLAGS | _AUCTION_FLAG
        return 1
    if letter == _Q:
        event.kind = _TRADE
        event.qty = load_be64(message + 11)
        event.price = load_be32(message + 27)
        event.id = load_be64(message + 31)
        event.flags = _CROSS
        return 1 if event.qty != 0 else 0
    if letter == _B:
        event.kind = _BREAK
        event.id = load_be64(message + 11)
        return 1
    if letter == _R:
        event.kind = _INSTRUMENT
        event.id = load_i64(message + 11)  # the symbol's eight bytes
        event.qty = load_be32(message + 21)  # round lot
        return 1
    if letter == _H:
        event.kind = _STATUS
        event.word = _status(load_u8(message + 19))
        event.id = load_i32(message + 21) & 0xFFFFFFFF  # four bytes of reason, as they stand
        return 1
    if letter == _h:
        event.kind = _STATUS
        event.word = _HALTED if load_u8(message + 20) == 72 else _TRADING
        event.id = load_u8(message + 19)  # the market's code
        return 1
    if letter == _S:
        event.kind = _SYSTEM
        event.word = load_u8(message + 11)
        return 1
    return 0


@kernel
def decode_run(state: int, source: int, start: int, size: int) -> int:
    """Decode the frames in bytes `start` to `size` of `source`; `at`, `count`, `seq` and `stop` say how far it came."""
    d = itch_decoder_at(state)
    at, count, seq = start, d.count, d.seq
    capacity, midnight, recv = d.capacity, d.midnight, d.recv
    stop = STOPPED_INPUT
    while at + 3 <= size:
        if count >= capacity:
            stop = STOPPED_OUTPUT
            break
        message = source + at + 2
        said = load_be16(message - 2)
        letter = load_u8(message)
        length = load_u8(d.sizes_address + letter)
        if length == 0 or (said != length and said != 0):
            stop = STOPPED_FRAME
            break
        if at + 2 + length > size:
            break
        number = load_i32(d.locates_address + 4 * load_be16(message + 1))
        if number < 0:
            if letter == _S or letter == _V or letter == _W:  # about the venue: locate 0
                number = 0
            elif number == UNKNOWN or (number <= UNNAMED and load_u8(d.stocks_address + letter) != 0):
                stop = STOPPED_NAME
                break
            elif number <= -PLACEHOLDER:
                number = -number - PLACEHOLDER
        if number >= 0:
            target = d.events_address + count * 64
            if decode_message(message, target) != 0:
                event = event_at(target)
                stamp = midnight + (load_be64(message + 3) & _TIME_MASK)
                event.ts_venue = stamp
                event.ts_recv = recv if recv != 0 else stamp
                event.seq = seq
                event.instrument = number
                event.venue = 0
                count += 1
        counter = d.counts_address + 8 * letter
        store_i64(counter, load_i64(counter) + 1)
        seq += 1
        at += 2 + length
    d.at = at
    d.count = count
    d.seq = seq
    d.stop = stop
    return stop


@kernel("i8(i8)")
def decode_frames(state: int) -> int:
    """Decode the frames at `source_address` until input, output or knowledge runs out.

    Parameters
    ----------
    state : int
        Address of an ITCH_DECODER.

    Returns
    -------
    int
        `Stop`; the frame at `at` is not consumed.
    """
    d = itch_decoder_at(state)
    return decode_run(state, d.source_address, d.at, d.size)


@kernel
def _plausible(source: int, size: int, at: int, sizes: int) -> int:
    """Bytes of the frame at `at` if it looks like one, 0 if it cannot be one, -1 if it is cut."""
    if at + 3 > size:
        return -1
    length = load_u8(sizes + load_u8(source + at + 2))
    said = load_be16(source + at)
    if length == 0 or (said != length and said != 0):
        return 0
    if at + 2 + length > size:
        return -1
    # later than a day and a quarter after midnight no message is sent
    if load_be64(source + at + 5) & _TIME_MASK > 108_000_000_000_000:
        return 0
    return 2 + length


@kernel("i8(i8,i8,i8,i8,i8)")
def find_frame(source: int, size: int, start: int, sizes: int, final: int) -> int:
    """Next offset from `start` at which three frames follow each other; `size` if there is none.

    A run that the end of the buffer cuts is trusted if it is `final`; otherwise its offset is given as -1 - offset and
    the caller asks again with more bytes.
    """
    for at in range(start, size):
        place, found, step = at, 0, 1
        while found < 3 and step > 0:
            step = _plausible(source, size, place, sizes)
            if step > 0:
                place += step
                found += 1
        if found == 3:
            return at
        if step < 0:
            if final == 0:
                return -1 - at
            if found > 0:
                return at
    return size


# --- events to bytes --------------------------------------------------------------------------------------------------

ITCH_ENCODER = np.dtype(
    [
        ("events_address", "<i8"),
        ("target_address", "<i8"),  # room for 52 bytes an event
        ("symbols_address", "<i8"),  # eight bytes of name by instrument
        ("count", "<i8"),  # events
        ("size", "<i8"),  # bytes written
        ("midnight", "<i8"),  # ns UTC
        ("left_out", "<i8"),  # events ITCH cannot say, or whose values do not fit
    ]
)
itch_encoder_at = record_at(ITCH_ENCODER, "ItchEncoder")
MAX_FRAME = 52


@kernel
def _store_be(target: int, value: int, size: int) -> None:
    for i in range(size):
        store_u8(target + i, (value >> (8 * (size - 1 - i))) & 0xFF)


@kernel
def _stock(target: int, symbols: int, instrument: int) -> None:
    store_i64(target, load_i64(symbols + 8 * instrument))


@kernel
def encode_event(event_address: int, message: int, symbols: int, midnight: int) -> int:
    """Write the ITCH message of an event; its length, or 0 if ITCH has none for it.

    ADD is A, REDUCE X, DELETE D, REPLACE U, EXECUTE E (C if it names a price), TRADE P (Q if of an auction), BREAK B,
    SYSTEM S. Stock locate is instrument + 1, the tracking number 0.
    """
    event = event_at(event_address)
    kind, qty, price = event.kind, event.qty, event.price
    stamp = event.ts_venue - midnight
    if not 0 <= stamp <= _TIME_MASK or event.instrument >= LOCATES - 1:
        return 0
    if not 0 <= price <= 0xFFFFFFFF or qty < 0 or (qty > 0xFFFFFFFF and event.flags & _AUCTION_FLAG == 0):
        return 0
    letter, length = 0, 0
    if kind == _ADD:
        letter, length = _A, 36
        _store_be(message + 11, event.id, 8)
        store_u8(message + 19, 66 if event.side > 0 else 83)
        _store_be(message + 20, qty, 4)
        _stock(message + 24, symbols, event.instrument)
        _store_be(message + 32, price, 4)
    elif kind == _REDUCE:
        letter, length = _X, 23
        _store_be(message + 11, event.id, 8)
        _store_be(message + 19, qty, 4)
    elif kind == _DELETE:
        letter, length = _D, 19
        _store_be(message + 11, event.id, 8)
    elif kind == _REPLACE:
        letter, length = _U, 35
        _store_be(message + 11, event.id, 8)
        _store_be(message + 19, event.word, 8)
        _store_be(message + 27, qty, 4)
        _store_be(message + 31, price, 4)
    elif kind == _EXECUTE and event.flags & _HIDDEN_FLAG == 0:
        letter, length = _E, 31
        _store_be(message + 11, event.id, 8)
        _store_be(message + 19, qty, 4)
        _store_be(message + 23, event.word, 8)
        if price != 0:
            letter, length = _C, 36
            store_u8(message + 31, 89 if event.flags & _PRINTABLE_FLAG else 78)
            _store_be(message + 32, price, 4)
    elif kind == _TRADE and event.flags & _AUCTION_FLAG:
        letter, length = _Q, 40
        _store_be(message + 11, qty, 8)
        _stock(message + 19, symbols, event.instrument)
        _store_be(message + 27, price, 4)
        _store_be(message + 31, event.id, 8)
        store_u8(message + 39, 79)
    elif kind == _TRADE:
        letter, length = _P, 44
        _store_be(message + 11, event.word, 8)
        store_u8(message + 19, 66)
        _store_be(message + 20, qty, 4)
        _stock(message + 24, symbols, event.instrument)
        _store_be(message + 32, price, 4)
        _store_be(message + 36, event.id, 8)
    elif kind == _BREAK:
        letter, length = _B, 19
        _store_be(message + 11, event.id, 8)
    elif kind == _SYSTEM:
        letter, length = _S, 12
        store_u8(message + 11, event.word & 0xFF)
    if length:
        store_u8(message, letter)
        _store_be(message + 1, 0 if letter == _S else event.instrument + 1, 2)
        _store_be(message + 3, 0, 2)
        _store_be(message + 5, stamp, 6)
    return length


@kernel("i8(i8)")
def encode_frames(state: int) -> int:
    """Encode events as frames.

    Parameters
    ----------
    state : int
        Address of an ITCH_ENCODER.

    Returns
    -------
    int
        Bytes written.
    """
    e = itch_encoder_at(state)
    size, left_out = 0, 0
    for i in range(e.count):
        target = e.target_address + size
        length = encode_event(e.events_address + i * 64, target + 2, e.symbols_address, e.midnight)
        if length:
            _store_be(target, length, 2)
            size += 2 + length
        else:
            left_out += 1
    e.size = size
    e.left_out = left_out
    return size


assert EVENT.itemsize == 64
