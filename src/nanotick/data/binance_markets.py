"""The symbols of a Binance recording: names, scales and update-id chains in records that kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Contract, Instrument
from nanotick.data.inferred import inferred_instrument
from nanotick.wire.binance_chain import MARKET, MAX_SYMBOL
from nanotick.wire.binance_state import MAX_MARKETS, SCAN, TABLE_SIZE, enter_market
from nanotick.wire.json_text import WireError, places
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


class Markets:
    """The symbols of one venue: names, scales and update-id chains, in records that the kernel reads."""

    def __init__(self) -> None:
        self.records: npt.NDArray[Any] = np.zeros(MAX_MARKETS, dtype=MARKET)
        self.numbers: dict[str, int] = {}
        self._table: npt.NDArray[np.int64] = np.zeros(TABLE_SIZE, dtype=np.int64)
        self.state: npt.NDArray[Any] = np.zeros(1, dtype=SCAN)
        self.state["markets_address"] = self.records.ctypes.data
        self.state["table_address"] = self._table.ctypes.data
        self.listed: dict[str, Listed] = {}

    def add(self, symbol: str) -> int:
        """Number of a symbol, entered if new.

        Raises
        ------
        WireError
            There are too many, or its name is too long.
        """
        number = self.numbers.get(symbol)
        if number is None:
            name = symbol.encode()
            number = len(self.numbers)
            if len(name) > MAX_SYMBOL or number == len(self.records):
                raise WireError(f"symbol {symbol!r}: at most {MAX_SYMBOL} bytes and {len(self.records)} symbols")
            self.numbers[symbol] = number
            raw = np.zeros(MAX_SYMBOL, dtype=np.uint8)
            raw[: len(name)] = list(name)
            self.records["name"][number] = raw.view("<i8")
            enter_market(int(self.state.ctypes.data), number)
        return number

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
