"""What a scan of Binance lines keeps between messages: counters, the output, and symbols found by name in kernels."""

from __future__ import annotations

import numpy as np

from nanotick.core.kernel import kernel
from nanotick.core.memory import load_i64, load_u8, record_at, store_i64
from nanotick.wire.binance_chain import market_at
from nanotick.wire.json_text import EPOCH_MS_END, EPOCH_S_END, EPOCH_US_END

SCAN = np.dtype(
    [
        ("markets_address", "<i8"),  # MARKET records
        ("table_address", "<i8"),  # TABLE_SIZE int64: number of the market + 1 by hash of its name
        ("out_address", "<i8"),  # EVENT records
        ("capacity", "<i8"),  # rows of it
        ("rows", "<i8"),  # rows written
        ("position", "<i8"),  # address of the line at which the scan stopped, or the end
        ("status", "<i8"),
        ("reason", "<i8"),  # of status ODD: a negative reason of json_scan
        ("measure", "<i8"),
        ("latest", "<i8"),  # market of the latest message
        ("depth", "<i8"),  # messages read, by type
        ("levels", "<i8"),  # levels in them
        ("trade", "<i8"),
        ("agg_trade", "<i8"),
        ("book_ticker", "<i8"),
        ("duplicate_agg", "<i8"),  # aggTrade messages left out because the symbol has trade messages too
        ("empty_trades", "<i8"),  # trades of no quantity (insurance fund, liquidation markers)
        ("untimed", "<i8"),  # messages without a time of their own
    ]
)
scan_at = record_at(SCAN, "Scan")

TABLE_SIZE = 1 << 14
MAX_MARKETS = TABLE_SIZE // 2

_MICROS, _MILLIS = 1_000, 1_000_000


@kernel
def epoch(value: int) -> int:
    """Nanoseconds of a stamp in s, ms, us or ns, by its size; the same rule as `json_text.epoch_ns`."""
    if value < EPOCH_S_END:
        return value * 1_000_000_000
    if value < EPOCH_MS_END:
        return value * _MILLIS
    if value < EPOCH_US_END:
        return value * _MICROS
    return value


@kernel
def name_word(p: int, length: int) -> int:
    """The first `length` (at most 8) bytes as a little-endian integer, zero padded."""
    word = 0
    i = 0
    while i < length:
        word |= load_u8(p + i) << (8 * i)
        i += 1
    return word


@kernel
def _slot(w0: int, w1: int, w2: int, w3: int) -> int:
    mixed = w0 ^ (w1 >> 3) ^ (w2 >> 7) ^ (w3 >> 11)
    mixed ^= mixed >> 32
    mixed ^= mixed >> 16
    mixed ^= mixed >> 7
    return mixed & (TABLE_SIZE - 1)


@kernel
def find_market(s, p: int, length: int) -> int:  # type: ignore[no-untyped-def]
    """Number of the market whose name is at `p`, or -1."""
    w0 = name_word(p, min(length, 8))
    w1 = name_word(p + 8, min(length - 8, 8)) if length > 8 else 0
    w2 = name_word(p + 16, min(length - 16, 8)) if length > 16 else 0
    w3 = name_word(p + 24, min(length - 24, 8)) if length > 24 else 0
    slot = _slot(w0, w1, w2, w3)
    while True:
        number = load_i64(s.table_address + 8 * slot) - 1
        if number < 0:
            return -1
        name = market_at(s.markets_address, number).name
        if name[0] == w0 and name[1] == w1 and name[2] == w2 and name[3] == w3:
            return number
        slot = (slot + 1) & (TABLE_SIZE - 1)


@kernel("i8(i8,i8)")
def enter_market(state: int, number: int) -> int:
    """Put market `number`, whose name is written already, into the table; always 0."""
    s = scan_at(state)
    name = market_at(s.markets_address, number).name
    slot = _slot(name[0], name[1], name[2], name[3])
    while load_i64(s.table_address + 8 * slot) != 0:
        slot = (slot + 1) & (TABLE_SIZE - 1)
    store_i64(s.table_address + 8 * slot, number + 1)
    return 0
