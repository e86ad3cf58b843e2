"""Vendor CSV rows to events: prices and quantities read exactly at a wide scale, then brought to each symbol's own.

A file may hold many symbols with different scales, and the scales are only known when all of it was read. So numbers
are read at 10 (price) and 8 (quantity) decimals, a first pass finds the places that each symbol needs, and the second
divides without remainder. A value finer than a scale the user gave is reported and its row left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.core.records import BOTH_SIDES, EVENT, Flag
from nanotick.data.format import SKIPPED, Listing
from nanotick.data.inferred import inferred_instrument
from nanotick.data.quality import Anomaly, QualityReport
from nanotick.wire.decimal_rows import MISSING

PRICE_WIDE, QTY_WIDE = 10, 8
Ints = npt.NDArray[np.int64]


def places_of(values: Ints, wide: int) -> int:
    """Decimal places that integers at `10**-wide` need."""
    common = int(np.gcd.reduce(values, initial=0)) if len(values) else 0
    places = wide
    while places and common % 10 == 0 and common:
        common //= 10
        places -= 1
    return places if common else 0


class ScaledSymbols:
    """Symbols of one venue with the scales their digits need."""

    def __init__(self, listing: Listing, report: QualityReport, **fields: Any) -> None:
        self._listing = listing
        self._report = report
        self._fields = fields
        self._places: dict[tuple[str, str], list[int]] = {}
        self.numbers: dict[tuple[str, str], int] = {}

    def measure(self, venue: str, symbol: str, prices: Ints, sizes: Ints) -> None:
        """Take the places of numbers at the wide scales; `MISSING` ones do not count."""
        found = self._places.setdefault((venue, symbol), [0, 0])
        for i, (values, wide) in enumerate(((prices, PRICE_WIDE), (sizes, QTY_WIDE))):
            found[i] = max(found[i], places_of(values[values != MISSING], wide))

    def list_all(self) -> None:
        """Number the symbols."""
        for (venue, symbol), (price_places, qty_places) in self._places.items():
            known = inferred_instrument(symbol, venue, price_places, qty_places, **self._fields)
            number = self.numbers[venue, symbol] = self._listing.number(known)
            if number != SKIPPED and self._listing.instruments[number].price_decimals == price_places:
                self._report.note(
                    f"{symbol}@{venue}: {price_places} price and {qty_places} quantity decimals, inferred from the "
                    "digits seen"
                )

    def decimals(self, venue: str, symbol: str) -> tuple[int, int, int]:
        """Listing number and scales; the number is `SKIPPED` when the symbol was not asked for."""
        number = self.numbers.get((venue, symbol), SKIPPED)
        if number == SKIPPED:
            return SKIPPED, 0, 0
        item = self._listing.instruments[number]
        return number, item.price_decimals, item.qty_decimals

    def venue_number(self, number: int) -> int:
        """Number of an instrument's venue in the order of the listing."""
        venues = list(dict.fromkeys(item.venue for item in self._listing))
        return venues.index(self._listing.instruments[number].venue)


Group = tuple[tuple[str, str], Ints, dict[str, list[str]]]  # venue and symbol, numbers, texts


def whole_messages(groups: Iterable[Group], column: int) -> Iterator[Group]:
    """The same rows, regrouped so that no group ends inside a message: rows in turn that are equal in `column`."""
    held: Group | None = None
    for key, table, texts in groups:
        if held is not None:
            if held[0] == key and held[1][0, column] == table[0, column]:
                table = np.concatenate([held[1], table])
                texts = {name: held[2][name] + values for name, values in texts.items()}
            else:
                yield held
        values = table[:, column]
        others = np.flatnonzero(values != values[-1])
        cut = int(others[-1]) + 1 if len(others) else 0
        if cut:
            yield key, table[:cut], {name: items[:cut] for name, items in texts.items()}
        held = key, table[cut:].copy(), {name: items[cut:] for name, items in texts.items()}
    if held is not None:
        yield held


def narrowed(values: Ints, wide: int, decimals: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Values at their scale, and which of them fit it; missing ones are 0."""
    held = np.where(values == MISSING, 0, values)
    if decimals >= wide:
        widened = held * 10 ** (decimals - wide)
        return widened, widened // 10 ** (decimals - wide) == held
    unit = 10 ** (wide - decimals)
    return held // unit, held % unit == 0


def rounded_to(values: Ints, wide: int, decimals: int) -> Ints:
    """Values rounded half away from zero, for what is never traded at; missing ones are 0."""
    held = np.where(values == MISSING, 0, values)
    if decimals >= wide:
        return held * 10 ** (decimals - wide)
    unit = 10 ** (wide - decimals)
    return np.sign(held) * ((np.abs(held) + unit // 2) // unit)


def stamps_ns(values: Ints) -> Ints:
    """Nanoseconds of epoch stamps in s, ms, us or ns, told apart by size."""
    from nanotick.wire.json_text import EPOCH_MS_END, EPOCH_S_END, EPOCH_US_END

    unit = np.select(
        [values < EPOCH_S_END, values < EPOCH_MS_END, values < EPOCH_US_END], [10**9, 10**6, 10**3], default=1
    )
    return np.where(values == MISSING, 0, values * unit)


def event_rows(count: int, kind: int, ts_venue: Ints, ts_recv: Ints, number: int, venue: int) -> npt.NDArray[Any]:
    """Rows of one kind and instrument with their times; each closes its message."""
    rows = np.zeros(count, dtype=EVENT)
    rows["kind"], rows["instrument"], rows["venue"] = kind, number, venue
    rows["ts_venue"] = ts_venue
    rows["ts_recv"] = np.where(ts_recv > 0, ts_recv, ts_venue)
    rows["flags"] = int(BOTH_SIDES | Flag.LAST)
    return rows


def keep_exact(
    rows: npt.NDArray[Any], fits: npt.NDArray[np.bool_], where: str, symbol: str, report: QualityReport
) -> npt.NDArray[Any]:
    """The rows whose numbers fit their scale; the others are reported."""
    if fits.all():
        return rows
    missing = int((~fits).sum())
    reason = f"{symbol}: a number is finer than the instrument's scale; give its decimals with --instrument-spec"
    report.anomaly(Anomaly.MALFORMED, where, reason, missing)
    return rows[fits]
