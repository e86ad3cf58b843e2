"""Bars of the past from Yahoo, as an event file: input for research, never a price to trade at.

Yahoo has no official interface; yfinance (the extra `yahoo`) follows the one behind its pages. What comes is a 32-bit
float a price, consolidated and revised without notice, one-minute bars for some 30 days back. Prices are rounded to the
instrument's decimals, half to even, and asked for unadjusted, as they were traded. A bar is stamped at its end, when it
could be known, and one that has not ended is left out. Saved answers of the chart interface (`/v8/finance/chart`) are
read by `decode_chart` without any extra.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from nanotick.core.instruments import Instrument, InstrumentTable
from nanotick.core.records import EVENT
from nanotick.data.eventfile import write_events
from nanotick.wire.messages import Bar
from nanotick.wire.rows import MarketRows

VENUE = "YAHOO"
_NS = 1_000_000_000
_MINUTE, _DAY = 60, 86_400
# seconds; months are left out: they have no one length
INTERVALS = {
    "1m": _MINUTE, "2m": 2 * _MINUTE, "5m": 5 * _MINUTE, "15m": 15 * _MINUTE, "30m": 30 * _MINUTE, "60m": 60 * _MINUTE,
    "90m": 90 * _MINUTE, "1h": 60 * _MINUTE, "1d": _DAY, "5d": 5 * _DAY, "1wk": 7 * _DAY,
}  # fmt: skip


class HistoryError(Exception):
    """No bars; the text says for what, why, and what to do."""


class Price(NamedTuple):
    """A bar as Yahoo has it; `start` in ns UTC."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def interval_ns(interval: str) -> int:
    """Length of an interval.

    Raises
    ------
    HistoryError
    """
    if interval not in INTERVALS:
        raise HistoryError(f"interval: expected one of {', '.join(INTERVALS)}, found {interval!r}")
    return INTERVALS[interval] * _NS


def fetch(symbol: str, interval: str, start: date, end: date, outside_hours: bool = False) -> list[Price]:
    """Ask Yahoo for the bars of a symbol.

    Parameters
    ----------
    start, end : date
        First day, and the day after the last.
    outside_hours : bool
        Before the open and after the close too.

    Raises
    ------
    ImportError
        yfinance is not installed.
    HistoryError
        Yahoo refused, or has nothing.
    """
    interval_ns(interval)
    try:
        import yfinance
    except ImportError:
        raise ImportError("Yahoo's bars need yfinance: pip install 'nanotick[yahoo]'") from None
    try:
        frame = yfinance.Ticker(symbol).history(
            interval=interval,
            start=start.isoformat(),
            end=end.isoformat(),
            prepost=outside_hours,
            auto_adjust=False,
            actions=False,
            raise_errors=True,
        )
    except Exception as error:  # yfinance and what it stands on raise whatever they like
        raise HistoryError(
            f"{symbol}: Yahoo gave no {interval} bars from {start} to {end}: {type(error).__name__}: {error}; it keeps "
            "about 30 days of one-minute bars, a week at a time, and refuses who asks too often: try later or for less"
        ) from None
    if len(frame) == 0:
        raise HistoryError(f"{symbol}: Yahoo has no {interval} bars from {start} to {end}: is the symbol its own?")
    starts = [int(stamp.timestamp()) * _NS for stamp in frame.index]
    columns = [[float(value) for value in frame[name]] for name in ("Open", "High", "Low", "Close", "Volume")]
    return [Price(*row) for row in zip(starts, *columns, strict=True)]


def decode_chart(body: bytes) -> tuple[str, list[Price]]:
    """Symbol and bars of a saved answer of `/v8/finance/chart`; rows without prices are left out.

    Raises
    ------
    HistoryError
        It is none, or tells of an error.
    """
    try:
        chart = msgspec.json.decode(body)["chart"]
        if chart.get("error"):
            raise HistoryError(f"Yahoo says {chart['error'].get('code')}: {chart['error'].get('description')}")
        result = chart["result"][0]
        quote = result["indicators"]["quote"][0]
        columns = [quote[name] for name in ("open", "high", "low", "close", "volume")]
        rows = zip(result.get("timestamp", []), *columns, strict=True)
        prices = [
            Price(int(stamp) * _NS, float(first), float(high), float(low), float(last), float(volume or 0))
            for stamp, first, high, low, last, volume in rows
            if None not in (first, high, low, last)
        ]
        return str(result["meta"]["symbol"]), prices
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise HistoryError(f"no answer of Yahoo's chart interface: {type(error).__name__}: {error}") from None


def _bar(item: Instrument, price: Price, end: int) -> Bar | None:
    numbers = price[1:5]
    if not all(math.isfinite(value) and value > 0 for value in numbers):
        return None
    first, high, low, last = (f"{value:.{item.price_decimals}f}" for value in numbers)
    volume = price.volume if math.isfinite(price.volume) and price.volume > 0 else 0.0
    return Bar(item.symbol, end, first, high, low, last, f"{volume:.{item.qty_decimals}f}")


def write_bars(
    target: Path, bars: Mapping[Instrument, Iterable[Price]], interval: str, now: int
) -> tuple[int, Counter[str]]:
    """Write bars as an event file, in the order of their ends.

    Parameters
    ----------
    bars : mapping of Instrument to bars
        Their venue is `YAHOO`, whatever the instrument says.
    now : int
        ns UTC; bars that end later are left out.

    Returns
    -------
    int
        Events written.
    Counter
        Bars left out, by reason.

    Raises
    ------
    HistoryError
        Nothing is left to write.
    """
    length = interval_ns(interval)
    instruments = [replace(item, venue=VENUE) for item in bars]
    rows = MarketRows(InstrumentTable(instruments), VENUE)
    left_out: Counter[str] = Counter()
    found: list[tuple[int, bytes]] = []
    for item, prices in zip(instruments, bars.values(), strict=True):
        before = 0
        for price in prices:
            end = price.start + length
            bar = _bar(item, price, end)
            if bar is None:
                left_out["without prices"] += 1
            elif end > now:
                left_out["not ended"] += 1
            elif price.start <= before:
                left_out["not after the one before"] += 1
            else:
                before = price.start
                found.append((end, rows.write([bar], end)))
    left_out.update(rows.refused)
    found.sort(key=lambda each: each[0])
    data = b"".join(record for _, record in found)
    if not data:
        raise HistoryError(f"no bar to write; left out: {dict(left_out) or 'none, since there was none'}")
    events = np.frombuffer(data, dtype=EVENT)
    write_events(target, [events], instruments, {"source": "Yahoo", "format": "yahoo", "interval": interval})
    return len(events), left_out


def history(
    target: Path,
    instruments: Iterable[Instrument],
    interval: str,
    start: date,
    end: date,
    now: datetime,
    outside_hours: bool = False,
) -> tuple[int, Counter[str]]:
    """Fetch the bars of instruments and write them as an event file; as `fetch` and `write_bars`."""
    bars = {item: fetch(item.symbol, interval, start, end, outside_hours) for item in instruments}
    return write_bars(target, bars, interval, int(now.astimezone(UTC).timestamp()) * _NS)
