"""REST of a served Polygon: past trades and quotes page by page, the last of each, tickers, the market's status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing, uuid_ids
from nanotick.venues.stamps import stamp
from nanotick.wire.requests import Request, Response

PAGE, PAGE_MOST = 1_000, 50_000
_MINUTE = 60_000_000_000
_JSON = (("Content-Type", "application/json"),)
_EDGES = ("timestamp", "timestamp.gte", "timestamp.gt", "timestamp.lte", "timestamp.lt")


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def trade_result(listing: Listing, row: tuple[Any, ...]) -> dict[str, Any]:
    """A trade of a page."""
    return {
        "exchange": 12, "id": str(row[5]), "participant_timestamp": row[0], "price": _raw(listing.price_text(row[3])),
        "sequence_number": row[2], "sip_timestamp": row[0], "size": _raw(listing.qty_text(row[4])), "tape": 3,
    }  # fmt: skip


def quote_result(listing: Listing, row: tuple[Any, ...]) -> dict[str, Any]:
    """A quote of a page."""
    bid, ask = row[3], row[5]
    return {
        "ask_exchange": 12, "ask_price": _raw(listing.price_text(ask) if ask != EMPTY_ASK else "0"),
        "ask_size": _raw(listing.qty_text(row[6])), "bid_exchange": 12,
        "bid_price": _raw(listing.price_text(bid) if bid != EMPTY_BID else "0"),
        "bid_size": _raw(listing.qty_text(row[4])), "participant_timestamp": row[0], "sequence_number": row[2],
        "sip_timestamp": row[0], "tape": 3,
    }  # fmt: skip


class Refused(Exception):
    """An answer that ends the request."""

    def __init__(self, status: int, words: str, name: str = "ERROR") -> None:
        super().__init__(words)
        self.status, self.words, self.name = status, words, name


class PolygonRest:
    """The REST half of a served Polygon."""

    def __init__(self, desk: Desk, rate_limit: int) -> None:
        self.desk = desk
        self.rate_limit = rate_limit
        self._requests = 0
        self._used: dict[str, list[int]] = {}

    def request(self, request: Request, peer: str, answer: Callable[[Response], None]) -> None:
        """See `Site`."""
        self._requests += 1
        ident = uuid_ids(0, self._requests).replace("-", "")
        try:
            body = self._respond(request)
            answer(Response(200, _JSON, msgspec.json.encode({"request_id": ident, **body})))
        except Refused as refused:
            body = {"status": refused.name, "request_id": ident, "error": refused.words}
            answer(Response(refused.status, _JSON, msgspec.json.encode(body)))

    def _respond(self, request: Request) -> dict[str, Any]:
        path, _, query = request.path.partition("?")
        try:
            asked = dict(parse_qsl(query, max_num_fields=64))
        except ValueError:
            raise Refused(400, "query is invalid") from None
        headers = {name.lower(): value for name, value in request.headers}
        key = asked.pop("apiKey", "") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key:
            raise Refused(401, "API Key was not provided")
        if self.desk.login(key) is None:
            raise Refused(401, "Unknown API Key")
        self._count(key)
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if request.method == "GET":
            if len(parts) == 3 and parts[:2] in (["v3", "trades"], ["v3", "quotes"]):
                return self._page(parts[1], parts[2], path, asked, headers.get("host", ""))
            if parts[:3] == ["v3", "reference", "tickers"] and len(parts) <= 4:
                return self._tickers(parts[3:], asked)
            if parts[:2] == ["v2", "last"] and len(parts) == 4 and parts[2] in ("trade", "nbbo"):
                return self._last(parts[2], parts[3])
            if parts == ["v1", "marketstatus", "now"]:
                state = "open" if self.desk.market.is_open else "closed"
                return {"market": state, "serverTime": stamp(self.desk.host.now()), "exchanges": {"nasdaq": state}}
        raise Refused(404, "page not found", "NOT_FOUND")

    def _count(self, key: str) -> None:
        if not self.rate_limit:
            return
        now = self.desk.host.now()
        used = self._used.setdefault(key, [now, 0])
        if now - used[0] >= _MINUTE:
            used[0], used[1] = now, 0
        used[1] += 1
        if used[1] > self.rate_limit:
            raise Refused(429, "You've exceeded the maximum requests per minute, please wait or upgrade.")

    def _listing(self, symbol: str) -> Listing:
        found = self.desk.listings.get(symbol)
        if found is None:
            raise Refused(404, "Ticker not found.", "NOT_FOUND")
        return found

    @staticmethod
    def _moment(text: str, name: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= 19:
            return int(text)
        try:
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000
        except ValueError:
            raise Refused(400, f"{name}: expected nanoseconds or a date, found {text[:32]!r}") from None

    def _page(self, what: str, symbol: str, path: str, asked: dict[str, str], server: str) -> dict[str, Any]:
        listing = self._listing(symbol)
        edges = {name: self._moment(asked[name], name) for name in _EDGES if name in asked}
        since = max(edges.get("timestamp", 0), edges.get("timestamp.gte", 0), edges.get("timestamp.gt", -1) + 1)
        until = min(edges.get("timestamp.lte", 1 << 62), edges.get("timestamp.lt", 1 << 62) - 1)
        if "timestamp" in edges:
            until = min(until, edges["timestamp"])
        limit_text = asked.get("limit", str(PAGE))
        if not limit_text.isascii() or not limit_text.isdigit() or not 0 < int(limit_text[:9]) <= PAGE_MOST:
            raise Refused(400, f"limit: expected 1 to {PAGE_MOST}, found {limit_text[:16]!r}")
        limit = int(limit_text)
        rows = (self.desk.trades if what == "trades" else self.desk.quotes).of(listing.number, since, until)
        falling = asked.get("order", "desc") == "desc"
        cursor = asked.get("cursor", "")
        if cursor:
            if not cursor.isascii() or not cursor.isdigit():
                raise Refused(400, "cursor is not valid")
            rows = rows[rows["seq"] < int(cursor)] if falling else rows[rows["seq"] > int(cursor)]
        if falling:
            rows = rows[::-1]
        write = trade_result if what == "trades" else quote_result
        body: dict[str, Any] = {
            "status": "OK", "results": [write(listing, row) for row in rows[:limit].tolist()],
        }  # fmt: skip
        if len(rows) > limit:
            kept = {**asked, "cursor": str(int(rows[limit - 1]["seq"]))}
            body["next_url"] = f"http://{server}{path}?{urlencode(kept)}"
        return body

    def _last(self, what: str, symbol: str) -> dict[str, Any]:
        listing = self._listing(symbol)
        if what == "nbbo":
            now = self.desk.quote(symbol)
            return {"status": "OK", "results": {
                "T": symbol, "p": _raw(now.bid), "s": _raw(now.bid_qty), "P": _raw(now.ask), "S": _raw(now.ask_qty),
                "t": now.ts_venue, "q": 0, "x": 12, "X": 12, "z": 3,
            }}  # fmt: skip
        rows = self.desk.trades.of(listing.number)
        if not len(rows):
            raise Refused(404, "No trades yet.", "NOT_FOUND")
        row = rows[-1].tolist()
        return {"status": "OK", "results": {
            "T": symbol, "p": _raw(listing.price_text(row[3])), "s": _raw(listing.qty_text(row[4])), "t": row[0],
            "i": str(row[5]), "q": row[2], "x": 12, "z": 3,
        }}  # fmt: skip

    def _tickers(self, rest: list[str], asked: dict[str, str]) -> dict[str, Any]:
        if rest:
            return {"status": "OK", "results": _ticker(self._listing(rest[0]))}
        wanted = asked.get("ticker")
        found = [_ticker(item) for item in self.desk.listings.values() if wanted is None or item.symbol == wanted]
        return {"status": "OK", "count": len(found), "results": found}


def _ticker(listing: Listing) -> dict[str, Any]:
    return {
        "ticker": listing.symbol, "name": listing.symbol, "market": "stocks", "locale": "us",
        "primary_exchange": "XNAS", "type": "CS", "active": True, "currency_name": "usd",
    }  # fmt: skip
