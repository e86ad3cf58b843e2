"""IEX DEEP and TOPS messages to events, in a kernel: the same for captures and live sockets.

    8 5 LEVEL (LAST when the event is complete)    Q QUOTE    T TRADE    B BREAK    A IMBALANCE
    H STATUS, O STATUS when halted    S SYSTEM    D INSTRUMENT    E I P X none (counted only)

Symbols are eight bytes in every message; a hash table from them to instruments is kept by the kernel and filled by the
caller, who is asked (`STOPPED_NAME`) when a symbol is new.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import (
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    mul_wrap,
    record_at,
    shift_right,
    store_i32,
    store_i64,
)
from nanotick.core.records import BOTH_SIDES, Flag, Kind, TradingStatus, event_at

SYMBOL_CELLS = 1 << 16  # 16 bytes each: symbol, number + 2 (0: free, 1: left out)


class IexStop(IntEnum):
    """Why `decode_messages` came back."""

    INPUT = 0  # all messages are read
    OUTPUT = 1  # the event buffer is full
    NAME = 2  # the message at `at` has a symbol the table does not hold
    BAD = 3  # the message at `at` is shorter than its type, or longer than what is left
    UNKNOWN = 4  # the message at `at` is of no known type


STOPPED_INPUT, STOPPED_OUTPUT, STOPPED_NAME, STOPPED_BAD, STOPPED_UNKNOWN = (int(s) for s in IexStop)

IEX_DECODER = np.dtype(
    [
        ("events_address", "<i8"),
        ("symbols_address", "<i8"),
        ("sizes_address", "<i8"),
        ("counts_address", "<i8"),  # messages by type, i8
        ("source", "<i8"),  # address of the messages
        ("size", "<i8"),
        ("at", "<i8"),
        ("count", "<i8"),
        ("capacity", "<i8"),
        ("recv", "<i8"),  # ns UTC of arrival, 0: not known
        ("seq", "<i8"),
        ("skip", "<i8"),  # messages to pass over: seen before
        ("stop", "<i8"),
    ]
)
iex_decoder_at = record_at(IEX_DECODER, "IexDecoder")

_HASH = -7046029254386353131
_FLAGS = BOTH_SIDES | int(Flag.LAST)
_LAST, _PRINTABLE, _AUCTION = int(Flag.LAST), int(Flag.PRINTABLE), int(Flag.AUCTION)
_LEVEL, _QUOTE, _TRADE, _BREAK = int(Kind.LEVEL), int(Kind.QUOTE), int(Kind.TRADE), int(Kind.BREAK)
_STATUS, _IMBALANCE, _INSTRUMENT, _SYSTEM = (
    int(Kind.STATUS),
    int(Kind.IMBALANCE),
    int(Kind.INSTRUMENT),
    int(Kind.SYSTEM),
)
_TRADING, _HALTED, _PAUSED = int(TradingStatus.TRADING), int(TradingStatus.HALTED), int(TradingStatus.PAUSED)
_PRE_OPEN, _UNKNOWN_STATUS = int(TradingStatus.PRE_OPEN), int(TradingStatus.UNKNOWN)
_8, _5, _A, _B, _D, _H, _O, _P, _Q, _S, _T = (ord(c) for c in "85ABDHOPQST")


@kernel
def symbol_cell(symbols: int, symbol: int) -> int:
    """Address of the cell of a symbol, or of the free cell where it would go."""
    i = shift_right(mul_wrap(symbol, _HASH), 48) & (SYMBOL_CELLS - 1)
    while True:
        cell = symbols + 16 * i
        if load_i32(cell + 8) == 0 or load_i64(cell) == symbol:
            return cell
        i = (i + 1) & (SYMBOL_CELLS - 1)


@kernel("i8(i8,i8,i8)")
def set_symbol(symbols: int, symbol: int, number: int) -> int:
    """Say which instrument a symbol is (-1: left out). The caller sees to it that the table is never full."""
    cell = symbol_cell(symbols, symbol)
    store_i64(cell, symbol)
    store_i32(cell + 8, number + 2)
    return 0


@kernel
def _status(letter: int) -> int:
    if letter == _T:
        return _TRADING
    if letter == _H:
        return _HALTED
    if letter == _P:
        return _PAUSED
    return _PRE_OPEN if letter == _O else _UNKNOWN_STATUS  # O: order acceptance before trading resumes


@kernel
def decode_iex(message: int, target: int) -> int:
    """Fill an event from a message of known type and sufficient length; 1 if it gives one."""
    event = event_at(target)
    letter = load_u8(message)
    first = load_u8(message + 1)
    event.price = 0
    event.qty = 0
    event.id = 0
    event.word = 0
    event.side = 0
    event.flags = _FLAGS
    if letter == _8 or letter == _5:
        event.kind = _LEVEL
        event.side = 1 if letter == _8 else -1
        event.qty = load_u32(message + 18)
        event.price = load_i64(message + 22)
        event.flags = BOTH_SIDES | (_LAST if first & 1 else 0)
        return 1
    if letter == _Q:
        event.kind = _QUOTE
        event.qty = load_u32(message + 18)
        event.price = load_i64(message + 22)
        event.id = load_i64(message + 30)
        event.word = load_u32(message + 38)
        return 1
    if letter == _T:
        event.kind = _TRADE
        event.qty = load_u32(message + 18)
        event.price = load_i64(message + 22)
        event.id = load_i64(message + 30)
        event.flags = _FLAGS | _PRINTABLE | (_AUCTION if first & 0x08 else 0)
        return 1
    if letter == _B:
        event.kind = _BREAK
        event.id = load_i64(message + 30)
        return 1
    if letter == _H:
        event.kind = _STATUS
        event.word = _status(first)
        event.id = load_u32(message + 18)  # four bytes of reason, as they stand
        return 1
    if letter == _O:
        event.kind = _STATUS
        event.word = _HALTED
        return 1 if first == _O else 0
    if letter == _A:
        event.kind = _IMBALANCE
        event.qty = load_u32(message + 18)
        event.price = load_i64(message + 22)
        event.id = load_i64(message + 30)
        event.word = load_u32(message + 38)
        side = load_u8(message + 42)
        event.side = 1 if side == _B else (-1 if side == _S else 0)
        event.flags = _FLAGS | _AUCTION
        return 1
    if letter == _D:
        event.kind = _INSTRUMENT
        event.id = load_i64(message + 10)
        event.qty = load_u32(message + 18)
        return 1
    if letter == _S:
        event.kind = _SYSTEM
        event.word = first
        return 1
    return 0


@kernel("i8(i8)")
def decode_messages(state: int) -> int:
    """Decode the length-prefixed messages of a segment until input, output or knowledge runs out.

    Parameters
    ----------
    state : int
        Address of an IEX_DECODER.

    Returns
    -------
    int
        `IexStop`; the message at `at` is not consumed.
    """
    d = iex_decoder_at(state)
    at, size, source = d.at, d.size, d.source
    stop = STOPPED_INPUT
    while at < size:
        if at + 2 > size or at + 2 + load_u16(source + at) > size:
            stop = STOPPED_BAD
            break
        length = load_u16(source + at)
        message = source + at + 2
        if d.skip > 0:
            d.skip -= 1
            at += 2 + length
            continue
        if d.count >= d.capacity:
            stop = STOPPED_OUTPUT
            break
        letter = load_u8(message) if length > 0 else 0
        least = load_u8(d.sizes_address + letter)
        if least == 0 or length < least:
            stop = STOPPED_UNKNOWN if least == 0 else STOPPED_BAD
            break
        number = 0
        if letter != _S:
            cell = symbol_cell(d.symbols_address, load_i64(message + 10))
            number = load_i32(cell + 8) - 2
            if number == -2:
                stop = STOPPED_NAME
                break
        if number >= 0:
            target = d.events_address + 64 * d.count
            if decode_iex(message, target) != 0:
                event = event_at(target)
                event.ts_venue = load_i64(message + 2)
                event.ts_recv = d.recv if d.recv != 0 else event.ts_venue
                event.seq = d.seq
                event.instrument = number
                event.venue = 0
                d.count += 1
        counter = d.counts_address + 8 * letter
        store_i64(counter, load_i64(counter) + 1)
        d.seq += 1
        at += 2 + length
    d.at = at
    d.stop = stop
    return stop
