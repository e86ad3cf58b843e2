"""The market data API of a served Alpaca: latest and past trades, quotes and bars, snapshots.

The past is what the desk's tapes hold: the last quarter of a million trades and quotes, and bars since the start.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nanotick.venues.alpaca.bodies import good
from nanotick.venues.alpaca.data_stream import bar_item, quote_item, trade_item
from nanotick.venues.alpaca.orders import moment, whole
from nanotick.venues.alpaca.requests import refuse
from nanotick.venues.desk import Desk
from nanotick.venues.desk_bars import MINUTE, Bar, Bars
from nanotick.venues.desk_terms import Listing
from nanotick.venues.stamps import stamp
from nanotick.wire.requests import Response

PAGE, PAGE_MOST = 1_000, 10_000
_UNITS = {"Min": MINUTE, "T": MINUTE, "Hour": 60 * MINUTE, "H": 60 * MINUTE, "Day": 1_440 * MINUTE, "D": 1_440 * MINUTE}
_ONE = {"trades": "trade", "quotes": "quote", "bars": "bar"}


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _bare(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in ("T", "S")}


def _latest(desk: Desk, bars: Bars, what: str, listing: Listing) -> dict[str, Any] | None:
    if what == "bars":
        bar = bars.last(listing)
        return None if bar is None else _bare(bar_item(bar, _raw, stamp))
    if what == "quotes":
        now = desk.quote(listing.symbol)
        return {
            "ap": _raw(now.ask), "as": _raw(now.ask_qty), "ax": "V", "bp": _raw(now.bid), "bs": _raw(now.bid_qty),
            "bx": "V", "c": ["R"], "t": stamp(now.ts_venue), "z": "C",
        }  # fmt: skip
    rows = desk.trades.of(listing.number)
    return _bare(trade_item(listing, rows[-1].tolist(), _raw, stamp)) if len(rows) else None


def _snapshot(desk: Desk, bars: Bars, listing: Listing) -> dict[str, Any]:
    day = merged(bars.of(listing), 1_440 * MINUTE)
    return {
        "latestTrade": _latest(desk, bars, "trades", listing), "latestQuote": _latest(desk, bars, "quotes", listing),
        "minuteBar": _latest(desk, bars, "bars", listing),
        "dailyBar": _bare(bar_item(day[-1], _raw, stamp)) if day else None, "prevDailyBar": None,
    }  # fmt: skip


def merged(bars: list[Bar], length: int) -> list[Bar]:
    """Longer bars of shorter ones."""
    found: list[Bar] = []
    for bar in bars:
        start = bar.start - bar.start % length
        if not found or found[-1].start != start:
            found.append(Bar(bar.listing, start, bar.open))
        last = found[-1]
        last.high, last.low, last.close = max(last.high, bar.high), min(last.low, bar.low), bar.close
        last.volume += bar.volume
        last.count += bar.count
        last.value += bar.value
    return found


def _length(text: str) -> int:
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    unit = _UNITS.get(text[len(digits) :])
    if unit is None or (digits and not 0 < int(digits) < 60):
        raise refuse(400, 40010001, f"invalid timeframe {text[:16]!r}")
    return int(digits or 1) * unit


def _past(desk: Desk, bars: Bars, what: str, listing: Listing, asked: dict[str, str], since: int) -> list[Any]:
    """What there is from a time on, oldest first, as (time, item)."""
    until = moment(asked["end"], "end") if asked.get("end") else 1 << 62
    if what == "bars":
        chosen = merged(bars.of(listing, since, until), _length(asked.get("timeframe", "1Min")))
        return [(bar.start, _bare(bar_item(bar, _raw, stamp))) for bar in chosen]
    rows = (desk.trades if what == "trades" else desk.quotes).of(listing.number, since, until)
    write = trade_item if what == "trades" else quote_item
    return [(row[0], _bare(write(listing, row, _raw, stamp))) for row in rows.tolist()]


def respond(desk: Desk, bars: Bars, parts: list[str], asked: dict[str, str]) -> Response | None:
    """GET /v2/stocks/...: `parts` are what follows; None when there is no such thing."""
    single = None
    if parts and parts[0] not in ("trades", "quotes", "bars", "snapshots"):
        single, parts = parts[0].upper(), parts[1:]
    names = [single] if single else [name for name in asked.get("symbols", "").upper().split(",") if name]
    if not names:
        raise refuse(400, 40010001, "symbols is required")
    found = {name: desk.listings[name] for name in names if name in desk.listings}
    if single and not found:
        raise refuse(400, 40010001, f"invalid symbol: {single[:32]}")
    what = parts[0] if parts else ""
    if what in ("snapshots", "snapshot") and len(parts) == 1:
        shots = {name: _snapshot(desk, bars, listing) for name, listing in found.items()}
        return good({"symbol": single, **shots[single]}) if single else good(shots)
    if what not in _ONE:
        return None
    if parts[1:] == ["latest"]:
        items = {name: _latest(desk, bars, what, listing) for name, listing in found.items()}
        items = {name: item for name, item in items.items() if item is not None}
        one = _ONE[what]
        return good({"symbol": single, one: items.get(single)}) if single else good({what: items})
    if len(parts) > 1:
        return None
    limit = whole(asked, "limit", PAGE, PAGE_MOST)
    since = moment(asked["start"], "start") if asked.get("start") else 0
    token = asked.get("page_token", "")
    first, _, seen = token.partition("|")
    pages: dict[str, list[Any]] = {}
    left, following = limit, None
    for name in sorted(found):
        if first and name < first:
            continue
        rows = _past(desk, bars, what, found[name], asked, since)
        if asked.get("sort") == "desc":
            rows.reverse()
        skip = int(seen) if name == first and seen.isdigit() else 0
        pages[name] = [item for _, item in rows[skip : skip + left]]
        left -= len(pages[name])
        if skip + len(pages[name]) < len(rows):
            following = f"{name}|{skip + len(pages[name])}"
            break
        if left == 0:
            later = [other for other in sorted(found) if other > name]
            following = f"{later[0]}|0" if later else None
            break
    if single:
        return good({"symbol": single, what: pages.get(single, []), "next_page_token": following})
    return good({what: pages, "next_page_token": following})
