"""What an asset is worth in another, by the last known prices of the instruments in the table.

    BNB in USDT    BNBUSDT                          price
    USDT in BTC    BTCUSDT the other way            1 / price
    BNB in BTC     BNBUSDT, BTCUSDT the other way   one over the other, where no instrument has both

Rates are pairs of integers. An instrument without a price yet leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from nanotick.core.instruments import Contract, InstrumentTable, assets_of

_Step = tuple[str, int, bool]  # the asset it leads to, the instrument, whether that is its base


class AssetRates:
    """Rates between the assets of a table.

    Parameters
    ----------
    instruments : InstrumentTable
    venue : str
        Whose instruments are asked first.
    price : callable
        Gives the last known price of an instrument, price units; 0 if none.
    """

    def __init__(self, instruments: InstrumentTable, venue: str, price: Callable[[int], int]) -> None:
        self._price = price
        self._units = [10**item.price_decimals for item in instruments]
        self._steps: dict[str, list[_Step]] = {}
        for number in sorted(range(len(instruments)), key=lambda number: instruments[number].venue != venue):
            item = instruments[number]
            base, quote = assets_of(item)
            if item.contract == Contract.LINEAR and item.multiplier == "1" and base != quote:
                self._steps.setdefault(base, []).append((quote, number, False))
                self._steps.setdefault(quote, []).append((base, number, True))

    def rate(self, asset: str, currency: str) -> tuple[int, int] | None:
        """What one unit of an asset is worth, as numerator and denominator; None if no prices tell.

        One instrument, or two with an asset between them.
        """
        near: dict[str, tuple[int, int]] = {asset: (1, 1)}
        for _ in range(2):
            far: dict[str, tuple[int, int]] = {}
            for held, (over, under) in near.items():
                for other, number, back in self._steps.get(held, ()):
                    price, unit = self._price(number), self._units[number]
                    if price > 0 and other != asset:
                        step = (unit, price) if back else (price, unit)
                        far.setdefault(other, (over * step[0], under * step[1]))
            if currency in far:
                return far[currency]
            near = far
        return None
