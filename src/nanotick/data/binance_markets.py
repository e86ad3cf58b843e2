"""The symbols of a Binance recording: names, scales and update-id chains in records that kernels read."""

from __future__ import annotations

from typing import Any

from nanotick.core.instruments import Contract, Instrument
from nanotick.data.inferred import inferred_instrument
from nanotick.wire.json_text import places
from nanotick.wire.markets import MarketTable
from nanotick.wire.messages import Depth, Listed, Message, Quote, Trade

VENUES = ("BINANCE", "BINANCE_USDM", "BINANCE_COINM")  # by the market's `futures` bits
_QUOTES = (
    "USDT",
    "USDC",
    "FDUSD",
    "BUSD",
    "TUSD",
    "USD",
    "BTC",
    "ETH",
    "BNB",
    "EUR",
    "TRY",
    "BRL",
    "GBP",
    "JPY",
    "DAI",
)


class Markets(MarketTable):
    """The symbols of one recorded venue, and what its directory says of them."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: dict[str, Listed] = {}

    def measure(self, message: Message) -> None:
        """Take the places a message's digits need."""
        if isinstance(message, Listed):
            self.listed[message.symbol] = message
            return
        prices: list[str] = []
        sizes: list[str] = []
        symbol = getattr(message, "symbol", "")
        if isinstance(message, Depth):
            symbol = symbol or self.only()
            prices = [price for price, _ in message.bids + message.asks]
            sizes = [qty for _, qty in message.bids + message.asks]
        elif isinstance(message, Trade):
            prices, sizes = [message.price], [message.qty]
        elif isinstance(message, Quote):
            prices, sizes = [message.bid, message.ask], [message.bid_qty, message.ask_qty]
        if not symbol:
            return
        record = self.records[self.add(symbol)]
        record["price_places"] = max([record["price_places"], *map(places, prices)])
        record["qty_places"] = max([record["qty_places"], *map(places, sizes)])
        if isinstance(message, Trade):
            record["trades"] |= 2 if message.kind == "aggTrade" else 1
        if isinstance(message, Depth) and message.previous >= 0:
            record["futures"] |= 1

    def only(self) -> str:
        """The one symbol there is, or an empty string."""
        return next(iter(self.numbers)) if len(self.numbers) == 1 else ""


def instrument_of(symbol: str, record: Any, listed: Listed | None, venue: int) -> Instrument:
    """What is known of a symbol: from the venue's directory, else from its digits and its name."""
    fields: dict[str, Any] = {}
    base = symbol.partition("_")[0]
    if venue == 2:
        coin = base.removesuffix("USD")
        fields.update(contract=Contract.INVERSE, multiplier="100" if coin == "BTC" else "10", currency=coin)
    else:
        fields["currency"] = next((quote for quote in _QUOTES if base.endswith(quote) and base != quote), "")
    price_places, qty_places = int(record["price_places"]), int(record["qty_places"])
    return inferred_instrument(symbol, VENUES[venue], price_places, qty_places, listed, **fields)
