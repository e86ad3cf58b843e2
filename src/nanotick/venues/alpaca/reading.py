"""What a served Alpaca tells on request: account, positions, fills, assets, the clock, the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from nanotick.venues.alpaca.bodies import (
    account_body,
    activity_body,
    activity_id,
    asset_body,
    asset_id,
    good,
    position_body,
)
from nanotick.venues.alpaca.orders import moment, whole
from nanotick.venues.alpaca.requests import refuse
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount, MarginLedger
from nanotick.venues.desk_terms import Listing
from nanotick.venues.stamps import stamp
from nanotick.wire.requests import Response

if TYPE_CHECKING:
    from nanotick.venues.alpaca.server import AlpacaSite

PAGE = 100
_DAY_NS = 86_400_000_000_000
_AMOUNT = 1e-18
_MOST_DAYS = 3_660


def _ledger(account: DeskAccount) -> MarginLedger:
    assert isinstance(account.ledger, MarginLedger)
    return account.ledger


def listing_of(desk: Desk, name: str) -> Listing | None:
    """By symbol or asset id."""
    found = desk.listings.get(name.upper())
    if found is None and len(name) == 36:
        return next((listing for listing in desk.listings.values() if asset_id(listing.symbol) == name), None)
    return found


def account(site: AlpacaSite, held: DeskAccount) -> Response:
    """GET /v2/account."""
    opening = site.opening_equity.setdefault(held.key, _ledger(held).equity())
    return good(account_body(held, site.created, opening))


def configuration(held: DeskAccount) -> Response:
    """GET /v2/account/configurations."""
    return good(
        {
            "dtbp_check": "entry", "fractional_trading": False, "max_margin_multiplier": str(held.terms.multiplier),
            "no_shorting": not held.terms.shorting, "pdt_check": "entry", "suspend_trade": held.terms.blocked,
            "trade_confirm_email": "none", "ptp_no_exception_entry": False, "max_options_trading_level": 0,
        }
    )  # fmt: skip


def _position(site: AlpacaSite, ledger: MarginLedger, number: int) -> dict[str, Any]:
    return position_body(ledger, site.desk.by_number[number], site.desk.mark(number), site.opening[number])


def positions(site: AlpacaSite, held: DeskAccount) -> Response:
    """GET /v2/positions."""
    ledger = _ledger(held)
    return good([_position(site, ledger, number) for number in ledger.positions])


def position(site: AlpacaSite, held: DeskAccount, name: str) -> Response:
    """GET /v2/positions/{symbol or asset id}."""
    ledger, listing = _ledger(held), listing_of(site.desk, name)
    if listing is None or not ledger.held(listing.number):
        raise refuse(404, 40410000, "position does not exist")
    return good(_position(site, ledger, listing.number))


def activities(held: DeskAccount, kind: str, asked: dict[str, str]) -> Response:
    """GET /v2/account/activities[/FILL]: after, until, date, direction, page_size, page_token. There are only fills."""
    kinds = [kind] if kind else asked.get("activity_types", "FILL").split(",")
    if asked.get("category", "") == "non_trade_activity" or "FILL" not in kinds:
        return good([])
    direction = asked.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise refuse(422, 40010001, "invalid direction")
    size = whole(asked, "page_size", PAGE, PAGE)
    after = moment(asked["after"], "after") if asked.get("after") else 0
    until = moment(asked["until"], "until") if asked.get("until") else 1 << 62
    if asked.get("date"):
        after = moment(asked["date"][:10], "date") - 1
        until = after + _DAY_NS + 1
    token = asked.get("page_token", "")
    waiting = bool(token)
    found: list[dict[str, Any]] = []
    for fill in held.fills if direction == "asc" else reversed(held.fills):
        if waiting:
            waiting = activity_id(fill) != token
            continue
        if fill.busted or not after < fill.ts < until:
            continue
        found.append(activity_body(held, fill))
        if len(found) == size:
            break
    return good(found)


def history(site: AlpacaSite, held: DeskAccount) -> Response:
    """GET /v2/account/portfolio/history: equity minute by minute since the venue was started."""
    rows = site.equity.get(held.key, ())
    base = site.opening_equity.get(held.key, 0)
    profits = [(ts, equity, equity - base) for ts, equity in rows]
    return good(
        {
            "timestamp": [ts // 1_000_000_000 for ts, _, _ in profits],
            "equity": [equity * _AMOUNT for _, equity, _ in profits],
            "profit_loss": [gain * _AMOUNT for _, _, gain in profits],
            "profit_loss_pct": [gain / base if base else None for _, _, gain in profits],
            "base_value": base * _AMOUNT, "base_value_asof": site.created[:10], "timeframe": "1Min", "cashflow": {},
        }
    )  # fmt: skip


def assets(site: AlpacaSite, asked: dict[str, str]) -> Response:
    """GET /v2/assets: status, asset_class, exchange."""
    if asked.get("status", "active") != "active" or asked.get("asset_class", "us_equity") != "us_equity":
        return good([])
    if asked.get("exchange", "NASDAQ") != "NASDAQ":
        return good([])
    return good([asset_body(listing) for listing in site.desk.listings.values()])


def asset(site: AlpacaSite, name: str) -> Response:
    """GET /v2/assets/{symbol or asset id}."""
    listing = listing_of(site.desk, name)
    if listing is None:
        raise refuse(404, 40410000, f"asset not found for {name[:40]}")
    return good(asset_body(listing))


def clock(site: AlpacaSite) -> Response:
    """GET /v2/clock: the market's session as its clock goes here."""
    market = site.desk.market
    now = site.host.now()
    closes = min(market.closes_ns, now + 365 * _DAY_NS)
    opens = market.opens_ns + _DAY_NS
    while opens <= now:
        opens += _DAY_NS
    if not market.is_open:
        closes = opens + (closes - market.opens_ns)
    return good(
        {"timestamp": stamp(now), "is_open": market.is_open, "next_open": stamp(opens), "next_close": stamp(closes)}
    )


def calendar(site: AlpacaSite, asked: dict[str, str]) -> Response:
    """GET /v2/calendar: weekdays; holidays are not known here."""
    today = datetime.fromtimestamp(site.host.now() // 1_000_000_000, UTC).date()
    try:
        first = date.fromisoformat(asked["start"][:10]) if asked.get("start") else today - timedelta(days=365)
        last = date.fromisoformat(asked["end"][:10]) if asked.get("end") else today + timedelta(days=365)
    except ValueError:
        raise refuse(422, 40010001, "invalid start or end") from None
    days = []
    for n in range(min(_MOST_DAYS, max(0, (last - first).days + 1))):
        day = first + timedelta(days=n)
        if day.weekday() < 5:
            days.append(
                {
                    "date": day.isoformat(), "open": "09:30", "close": "16:00", "session_open": "0400",
                    "session_close": "2000", "settlement_date": (day + timedelta(days=1)).isoformat(),
                }
            )  # fmt: skip
    return good(days)
