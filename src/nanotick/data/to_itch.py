"""Order-by-order events written as a NASDAQ ITCH 5.0 day file: any order-by-order source becomes input of anything that
reads ITCH, ours and others'.

The file begins with a system event and a directory message per instrument. A MODIFY is a delete and an add: ITCH has no
way to change an order in place. What ITCH cannot say (price levels, bars, quotes) is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import Kind
from nanotick.data.format import Reading, midnight_ns
from nanotick.data.quality import Anomaly, BadDataError
from nanotick.wire.itch import encode, frame
from nanotick.wire.itch_events import ITCH_ENCODER, MAX_FRAME, encode_frames

_MAX_INSTRUMENTS = (1 << 16) - 2


def in_itch_terms(events: npt.NDArray[Any], own_price: bool) -> npt.NDArray[Any]:
    """Events with every MODIFY as DELETE and ADD; with `own_price`, executions at the order's price name none."""
    modify = events["kind"] == Kind.MODIFY
    out = np.repeat(events, 1 + modify)
    first = np.flatnonzero(modify) + np.arange(int(modify.sum()))
    out["kind"][first], out["price"][first], out["qty"][first] = Kind.DELETE, 0, 0
    out["kind"][first + 1] = Kind.ADD
    if own_price:
        out["price"][out["kind"] == Kind.EXECUTE] = 0
    return out


def write_itch(reading: Reading, chunks: Iterable[npt.NDArray[Any]], target: Path) -> Path:
    """Write the events of a reading as a length-prefixed ITCH 5.0 file.

    Parameters
    ----------
    reading : Reading
    chunks : iterable of numpy.ndarray
        The reading itself, or a wrapper around it.
    target : Path

    Raises
    ------
    BadDataError
        Nothing of it can be said in ITCH, or prices do not have four decimals.
    """
    record = np.zeros(1, dtype=ITCH_ENCODER)
    state, written, left_out, midnight = record[0], 0, 0, 0
    body = target.with_name(f".{target.name}.body")
    try:
        with open(body, "wb") as file:
            for chunk in chunks:
                if not len(chunk):
                    continue
                if not midnight:
                    from zoneinfo import ZoneInfo

                    first = datetime.fromtimestamp(int(chunk["ts_venue"][0]) // 1_000_000_000, UTC)
                    midnight = midnight_ns(first.astimezone(ZoneInfo("America/New_York")).date())
                names = [item.symbol[:8].ljust(8).encode("ascii", "replace") for item in reading.listing]
                symbols = np.array(names or [b" " * 8], dtype="S8")
                events = in_itch_terms(chunk, own_price=reading.format_names == "lobster")
                buffer = np.zeros(MAX_FRAME * len(events), dtype=np.uint8)
                state["events_address"], state["target_address"] = events.ctypes.data, buffer.ctypes.data
                state["symbols_address"], state["count"], state["midnight"] = symbols.ctypes.data, len(events), midnight
                size = encode_frames(int(record.ctypes.data))
                file.write(buffer[:size].data)
                left_out += int(state["left_out"])
                written += len(events) - int(state["left_out"])
        _check(reading, written)
        with open(target, "wb") as whole, open(body, "rb") as rest:
            head = {"stock_locate": 0, "tracking_number": 0, "timestamp": 0}
            whole.write(frame(encode({"type": "S", **head, "event_code": "O"})))
            for number, item in enumerate(reading.listing, 1):
                whole.write(frame(encode(_directory(item.symbol, number))))
            while block := rest.read(1 << 20):
                whole.write(block)
    finally:
        body.unlink(missing_ok=True)
    if left_out:
        reason = "ITCH has no message for it (clear, level, quote, bar), or a value does not fit"
        reading.report.anomaly(Anomaly.UNSUPPORTED, target.name, reason, left_out)
    return target


def _check(reading: Reading, written: int) -> None:
    if not written:
        raise BadDataError("nothing of the sources can be said in ITCH: it needs order-by-order events")
    if len(reading.listing) > _MAX_INSTRUMENTS:
        raise BadDataError(f"{len(reading.listing):,} instruments; stock locates number {_MAX_INSTRUMENTS:,}")
    for item in reading.listing:
        if item.price_decimals != 4 or item.qty_decimals != 0:
            raise BadDataError(
                f"{item.symbol}: ITCH prices have 4 decimals and shares none, "
                f"found {item.price_decimals} and {item.qty_decimals}"
            )


def _directory(symbol: str, locate: int) -> dict[str, Any]:
    text = dict.fromkeys(("market_category", "round_lots_only", "issue_classification", "ipo_flag", "luld_tier"), " ")
    text |= {"financial_status": " ", "issue_sub_type": "  ", "authenticity": "P", "short_sale_threshold": " "}
    numbers = {"stock_locate": locate, "tracking_number": 0, "timestamp": 0, "round_lot_size": 100, "etp_leverage": 0}
    return {"type": "R", "stock": symbol[:8], "etp_flag": " ", "inverse": " ", **text, **numbers}
