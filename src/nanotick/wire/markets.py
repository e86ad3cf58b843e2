"""Symbols of one venue in records that kernels find by name: for recordings that reveal them and for live streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import InstrumentTable
from nanotick.wire.binance_chain import MARKET, MAX_SYMBOL
from nanotick.wire.binance_state import MAX_MARKETS, SCAN, TABLE_SIZE, enter_market
from nanotick.wire.json_text import WireError


class MarketTable:
    """Names, scales and update-id chains of symbols, and the state of a scan over them.

    Parameters
    ----------
    capacity : int
        Symbols at most.
    """

    def __init__(self, capacity: int = MAX_MARKETS) -> None:
        self.records: npt.NDArray[Any] = np.zeros(capacity, dtype=MARKET)
        self.numbers: dict[str, int] = {}
        self._table: npt.NDArray[np.int64] = np.zeros(TABLE_SIZE, dtype=np.int64)
        self.state: npt.NDArray[Any] = np.zeros(1, dtype=SCAN)
        self.state["markets_address"] = self.records.ctypes.data
        self.state["table_address"] = self._table.ctypes.data

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


def listed_markets(instruments: InstrumentTable, venue: str) -> MarketTable:
    """The symbols of a venue in an instrument table, with the table's numbers and scales."""
    rows = [(number, item) for number, item in enumerate(instruments) if item.venue == venue]
    markets = MarketTable(max(1, len(rows)))
    for number, item in rows:
        record = markets.records[markets.add(item.symbol)]
        record["number"], record["venue"] = number, instruments.venues.index(venue)
        record["price_decimals"], record["qty_decimals"] = item.price_decimals, item.qty_decimals
    return markets
