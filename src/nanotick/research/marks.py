"""What things were worth when: best bid and offer over time, and money from integer prices and quantities.

Profit of `qty` held from price p0 to p1 is `qty * (worth(p1) - worth(p0))` for every contract: `worth` is the price
times the multiplier for a linear one, and minus the multiplier over the price for an inverse one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.instruments import Contract, Instrument, InstrumentTable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def worth(instrument: Instrument, price: Any) -> Any:
    """Currency of one quantity unit at a price in price units (see the module's docstring); NaN stays NaN."""
    multiplier = float(Decimal(instrument.multiplier))
    if instrument.contract == Contract.LINEAR:
        return np.asarray(price, np.float64) * (multiplier / 10.0**instrument.value_decimals)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            -multiplier * 10.0 ** (instrument.price_decimals - instrument.qty_decimals) / np.asarray(price, np.float64)
        )


def notional(instrument: Instrument, price: int, qty: int) -> int:
    """Value of a quantity at a price, in value units, without sign: exact for linear contracts, floored for inverse.

    Parameters
    ----------
    price, qty : int
        Price and quantity units.
    """
    multiplier = Decimal(instrument.multiplier)
    if instrument.contract == Contract.LINEAR:
        return int(price * qty * multiplier)
    if price == 0:
        return 0
    # contracts * face / decimal price, at the value scale: every power of ten in one exponent, as the engine folds them
    exponent = instrument.value_decimals + instrument.price_decimals - instrument.qty_decimals
    top, bottom = multiplier.scaleb(exponent).as_integer_ratio()
    return qty * top // (price * bottom)


class MarkSeries:
    """Best bid and offer of each instrument over time.

    Parameters
    ----------
    marks : numpy.ndarray
        Dtype `MARK_SAMPLE`.
    instruments : InstrumentTable
    interval_ns : int
        Time between samples: what a look-up cannot resolve.
    """

    def __init__(self, marks: npt.NDArray[Any], instruments: InstrumentTable, interval_ns: int) -> None:
        self.instruments = instruments
        self.interval_ns = interval_ns
        self._ts: list[Ints] = []
        self._bid: list[Ints] = []
        self._ask: list[Ints] = []
        self._mid: list[Floats] = []
        for number in range(len(instruments)):
            rows = marks[marks["instrument"] == number]
            rows = rows[np.argsort(rows["ts"], kind="stable")]
            bid, ask = rows["bid"].astype(np.int64), rows["ask"].astype(np.int64)
            mid = (bid + ask) / 2.0
            mid[(bid <= 0) | (ask <= 0)] = np.nan
            self._ts.append(rows["ts"].astype(np.int64))
            self._bid.append(bid)
            self._ask.append(ask)
            self._mid.append(_carry_forward(mid))

    def times(self, instrument: int) -> Ints:
        """Sample times, ns UTC."""
        return self._ts[instrument]

    def quotes(self, instrument: int) -> tuple[Ints, Ints, Ints]:
        """Times, best bids and best asks; a price of 0 is an empty side."""
        return self._ts[instrument], self._bid[instrument], self._ask[instrument]

    def mids(self, instrument: int) -> Floats:
        """Mid prices at the sample times, price units; while a side is empty the last mid stands."""
        return self._mid[instrument]

    def mid_at(self, instrument: int, ts: Any, oldest_ns: int | None = None) -> Floats:
        """Mid price last seen at or before each time; NaN before the first sample and after the last.

        Parameters
        ----------
        instrument : int
        ts : array of int
            ns UTC.
        oldest_ns : int, optional
            A sample that is older than this at its time counts as none.
        """
        times = self._ts[instrument]
        ts = np.asarray(ts, np.int64)
        if not len(times):
            return np.full(ts.shape, np.nan)
        place = np.searchsorted(times, ts, "right") - 1
        seen = np.maximum(place, 0)
        unknown = (place < 0) | (ts > times[-1] + self.interval_ns)
        if oldest_ns is not None:
            unknown |= ts - times[seen] > oldest_ns
        return np.where(unknown, np.nan, self._mid[instrument][seen])

    def last_mid(self, instrument: int) -> float:
        """The last mid price, NaN if there never was one."""
        mids = self._mid[instrument]
        return float(mids[-1]) if len(mids) else float("nan")


def _carry_forward(values: Floats) -> Floats:
    """Replace each NaN by the last number before it."""
    if not len(values):
        return values
    place = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(place)]
