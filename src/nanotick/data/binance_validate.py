"""A Binance recording against itself: unbroken update ids, and a rebuilt book that agrees with bookTicker.

A bookTicker message with update id u says what the best bid and offer were after update u. After every depth message
that ends with id u, the rebuilt book's best must therefore be that of the last bookTicker whose id is at most u. Both
streams come over connections of their own, so the comparison is by id and waits until the whole recording is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import BookStore
from nanotick.book.apply import apply_events
from nanotick.core.arena import Arena
from nanotick.core.records import BUY, SELL, Flag, Kind
from nanotick.data.format import Reading
from nanotick.data.quality import OBSERVATIONS, Anomaly

DIFFERS_AT_MOST = 1000  # one message in so many
_SHOWN = 3


def _states(store: BookStore, rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Update id and best bid and offer after every depth message, shape (n, 5), from the first snapshot on."""
    found: list[tuple[int, int, int, int, int]] = []
    ends = np.flatnonzero(rows["flags"] & int(Flag.LAST)) + 1
    start, known = 0, False
    for end in ends.tolist():
        part = np.ascontiguousarray(rows[start:end])
        start = end
        known = known or bool((part["kind"] == Kind.CLEAR).any())
        apply_events(store.address, int(part.ctypes.data), len(part), 0)
        if known:
            found.append(
                (
                    int(part["seq"][-1]),
                    store.best_price(0, BUY),
                    store.best_qty(0, BUY),
                    store.best_price(0, SELL),
                    store.best_qty(0, SELL),
                )
            )
    return np.array(found, dtype=np.int64).reshape(-1, 5)


def _compare(rows: npt.NDArray[Any], tick: int) -> tuple[int, int, list[str]]:
    """Depth messages whose best agrees with bookTicker, those that differ, and the first differences."""
    levels = rows[np.isin(rows["kind"], [int(Kind.LEVEL), int(Kind.CLEAR)])].copy()
    quotes = rows[rows["kind"] == Kind.QUOTE]
    if not len(levels) or not len(quotes):
        return 0, 0, []
    levels["instrument"] = 0
    size = BookStore.reserve(1, max_orders=1 << 10, max_levels=1 << 20)
    store = BookStore(Arena(size), "book.validate", 1, tick, max_orders=1 << 10, max_levels=1 << 20)
    states = _states(store, levels)
    order = np.argsort(quotes["seq"], kind="stable")
    ids = quotes["seq"][order]
    at = np.searchsorted(ids, states[:, 0], side="right") - 1
    inside = (at >= 0) & (states[:, 0] < ids[-1])
    states, best = states[inside], quotes[order][at[inside]]
    wanted = np.stack([best["price"], best["qty"], best["id"], best["word"]], axis=1)
    same = (states[:, 1:] == wanted).all(axis=1)
    first = [
        f"after update id {row[0]}: book {row[1:].tolist()}, bookTicker {quote.tolist()}"
        for row, quote in zip(states[~same][:_SHOWN], wanted[~same][:_SHOWN], strict=True)
    ]
    return int(same.sum()), int((~same).sum()), first


def validate_binance(reading: Reading, chunks: Iterable[npt.NDArray[Any]]) -> tuple[dict[str, Any], bool]:
    """Check recordings.

    Returns
    -------
    dict
        `gaps` of update ids, `checksums_ok` and `checksums_bad` (0: Binance sends none), `best_agrees` and
        `best_differs` of the rebuilt book's best against bookTicker, and the report.
    bool
        Whether there is no gap, nothing is damaged, and the book differs after at most one message in a thousand:
        spot now and then sends no bookTicker for the last of several updates at once.
    """
    wanted = [int(Kind.LEVEL), int(Kind.CLEAR), int(Kind.QUOTE)]
    parts = [chunk[np.isin(chunk["kind"], wanted)].copy() for chunk in chunks]
    report = reading.report
    agrees = differs = 0
    if parts:
        events = np.concatenate(parts)
        for number, item in enumerate(reading.listing):
            same, other, first = _compare(events[events["instrument"] == number], item.price(item.tick_size))
            agrees, differs = agrees + same, differs + other
            for text in first:
                report.note(f"{item.symbol}@{item.venue} {text}")
    result = {
        "checksums_ok": 0,
        "checksums_bad": 0,
        "gaps": report.count(Anomaly.GAP),
        "best_agrees": agrees,
        "best_differs": differs,
        **report.as_dict(),
    }
    agreed = differs * DIFFERS_AT_MOST <= agrees + differs
    return result, agreed and not any(kind not in OBSERVATIONS for kind in report.anomalies)
