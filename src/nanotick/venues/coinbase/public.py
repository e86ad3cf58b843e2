"""Market data of a served Coinbase: levels as they change, and trades, for who subscribes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nanotick.core.records import BUY, Kind
from nanotick.venues.desk import Desk
from nanotick.venues.desk_terms import Listing
from nanotick.wire.messages import Depth, Level, Trade

if TYPE_CHECKING:
    from nanotick.venues.coinbase.talk import Talk

_LEVEL, _TRADE = int(Kind.LEVEL), int(Kind.TRADE)
_MOST = 1 << 16  # levels of a snapshot, a side
_SHOWN = 50  # trades of a snapshot


class PublicHub:
    """Levels and trades of a desk.

    Attributes
    ----------
    depth, trades : dict of int to list of Talk
        Who hears what, by instrument.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.depth: dict[int, list[Talk]] = {}
        self.trades: dict[int, list[Talk]] = {}
        desk.watch(None, self._rows)

    def leave(self, talk: Talk, numbers: set[int] | None = None, channel: str = "") -> None:
        """Not any more: of these instruments and this channel, or at all."""
        for name, held in (("depth", self.depth), ("trade", self.trades)):
            if channel and name != channel:
                continue
            for number, talks in held.items():
                if (numbers is None or number in numbers) and talk in talks:
                    talks.remove(talk)

    def snapshot(self, listing: Listing) -> Depth:
        """The whole book."""
        return self.desk.depth(listing.symbol, _MOST)

    @staticmethod
    def _trade(listing: Listing, side: int, price: int, qty: int, ident: int, stamp: int, snapshot: bool) -> Trade:
        return Trade(
            listing.symbol, stamp, listing.price_text(price), listing.qty_text(qty), side, ident, snapshot=snapshot
        )

    def last_trades(self, listing: Listing) -> list[Trade]:
        """The latest trades, the latest first."""
        rows = self.desk.trades.of(listing.number)[-_SHOWN:][::-1]
        columns: Any = [rows[name].tolist() for name in ("side", "price", "qty", "id", "ts_venue")]
        return [self._trade(listing, a, b, c, d, e, True) for a, b, c, d, e in zip(*columns, strict=True)]

    def _rows(self, rows: npt.NDArray[Any]) -> None:
        """The exchange has published."""
        if not self.depth and not self.trades:
            return
        levels: dict[int, dict[tuple[int, int], int]] = {}
        trades: dict[int, list[Trade]] = {}
        columns: Any = [rows[n].tolist() for n in ("kind", "instrument", "side", "price", "qty", "id", "ts_venue")]
        for kind, number, side, price, qty, ident, stamp in zip(*columns, strict=True):
            if kind == _LEVEL and self.depth.get(number):
                levels.setdefault(number, {})[side, price] = qty
            elif kind == _TRADE and self.trades.get(number):
                listing = self.desk.by_number[number]
                trades.setdefault(number, []).append(self._trade(listing, side, price, qty, ident, stamp, False))
        now = self.desk.host.now()
        for number, changed in levels.items():
            listing = self.desk.by_number[number]
            sides: dict[bool, list[Level]] = {True: [], False: []}
            for (side, price), qty in changed.items():
                sides[side == BUY].append((listing.price_text(price), listing.qty_text(qty)))
            told = Depth(listing.symbol, now, sides[True], sides[False])
            for talk in tuple(self.depth[number]):
                talk.depth(told)
        for number, found in trades.items():
            found.reverse()
            for talk in tuple(self.trades[number]):
                talk.traded(found)
