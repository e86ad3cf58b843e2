"""Filters of a served Binance: which orders an instrument takes. Source: binance-spot-api-docs, filters.md."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from nanotick.venues.binance.bodies import PREVENTION, Refused, eight
from nanotick.venues.binance.limits import Limits
from nanotick.venues.desk_terms import Listing

TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT")
MOST_PRICE, MOST_QTY, MOST_NOTIONAL = "1000000.00", "9000000.00", "9000000.00"
LEAST_NOTIONAL: Mapping[str, str] = {"USDT": "5", "USDC": "5", "BTC": "0.0001", "ETH": "0.001"}
UP, DOWN = Decimal(5), Decimal("0.2")  # a price may be so many times the average of five minutes
_PLACES = 8


def number(params: Mapping[str, str], name: str) -> Decimal:
    """A parameter that must be a number above 0.

    Raises
    ------
    Refused
    """
    text = params.get(name, "")
    if not text:
        raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    try:
        value = Decimal(text) if len(text) <= 40 else Decimal("nan")
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise Refused(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'.",
        )
    if -int(value.as_tuple().exponent) > _PLACES and value != value.quantize(Decimal("1e-8")):
        raise Refused(-1111, f"Parameter '{name}' has too much precision.")
    if value <= 0:
        raise Refused(-1013, f"Invalid {name}.")
    return value


class Filters:
    """Filters of one instrument."""

    def __init__(self, listing: Listing, limits: Limits) -> None:
        item = listing.item
        self.listing, self.limits = listing, limits
        self.tick, self.lot = Decimal(item.tick_size), Decimal(item.lot_size)
        self.most_price = Decimal(MOST_PRICE)
        self.least_qty = max(Decimal(item.min_qty), self.lot)
        self.most_qty = Decimal(item.max_qty) or Decimal(MOST_QTY)
        least = item.min_notional if item.min_notional != "0" else LEAST_NOTIONAL.get(listing.quote, "0")
        self.least_notional = Decimal(least)

    def price(self, price: Decimal, name: str = "PRICE_FILTER") -> None:
        """PRICE_FILTER; raises Refused."""
        if not self.tick <= price <= self.most_price or price % self.tick:
            raise Refused(-1013, f"Filter failure: {name}")

    def percent(self, price: Decimal, average: Decimal) -> None:
        """PERCENT_PRICE_BY_SIDE; raises Refused."""
        if average and not average * DOWN <= price <= average * UP:
            raise Refused(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")

    def qty(self, qty: Decimal) -> None:
        """LOT_SIZE; raises Refused."""
        if not self.least_qty <= qty <= self.most_qty or qty % self.lot:
            raise Refused(-1013, "Filter failure: LOT_SIZE")

    def notional(self, value: Decimal) -> None:
        """NOTIONAL; raises Refused."""
        if value < self.least_notional:
            raise Refused(-1013, "Filter failure: NOTIONAL")

    def counts(self, orders: int, stops: int) -> None:
        """MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS; raises Refused."""
        if self.limits.open_orders and orders >= self.limits.open_orders:
            raise Refused(-1013, "Filter failure: MAX_NUM_ORDERS")
        if self.limits.open_stops and stops > self.limits.open_stops:
            raise Refused(-1013, "Filter failure: MAX_NUM_ALGO_ORDERS")

    def body(self) -> dict[str, Any]:
        """The symbol in exchangeInfo."""
        listing, tick = self.listing, eight(f"{self.tick:f}")
        return {
            "symbol": listing.symbol, "status": "TRADING", "baseAsset": listing.base, "baseAssetPrecision": 8,
            "quoteAsset": listing.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8, "orderTypes": list(TYPES), "icebergAllowed": False, "ocoAllowed": False,
            "otoAllowed": False, "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": False,
            "cancelReplaceAllowed": True, "amendAllowed": False, "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": eight(MOST_PRICE), "tickSize": tick},
                {"filterType": "LOT_SIZE", "minQty": eight(f"{self.least_qty:f}"),
                 "maxQty": eight(f"{self.most_qty:f}"), "stepSize": eight(f"{self.lot:f}")},
                {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": str(UP), "bidMultiplierDown": str(DOWN),
                 "askMultiplierUp": str(UP), "askMultiplierDown": str(DOWN), "avgPriceMins": 5},
                {"filterType": "NOTIONAL", "minNotional": eight(f"{self.least_notional:f}"), "applyMinToMarket": True,
                 "maxNotional": eight(MOST_NOTIONAL), "applyMaxToMarket": False, "avgPriceMins": 5},
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.limits.open_orders},
                {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.limits.open_stops},
            ],
            "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": PREVENTION,
            "allowedSelfTradePreventionModes": [PREVENTION],
        }  # fmt: skip
