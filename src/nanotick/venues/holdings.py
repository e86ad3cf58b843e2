"""What an account tells the step that is no report: whether it can be traded, orders and positions it had before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nanotick.core.log import Logger
from nanotick.core.records import (
    BOTH_SIDES,
    EVENT,
    Flag,
    Kind,
    OrderType,
    TimeInForce,
    TradingStatus,
    adopted_flags,
)
from nanotick.engine.local import LocalSide
from nanotick.wire.fields import ident
from nanotick.wire.json_text import WireError, rounded, scaled
from nanotick.wire.reports import OrderStatus

_STATUS_FLAGS = int(BOTH_SIDES | Flag.LAST)


class Holdings:
    """Rows of STATUS, ADOPTED and HOLDING for a local side.

    Parameters
    ----------
    now : callable
        The session's time, ns UTC.
    local : LocalSide
    deliver : callable
        `deliver(address, count)`: takes consecutive EVENT records.
    log : Logger, optional
    """

    def __init__(
        self, now: Callable[[], int], local: LocalSide, deliver: Callable[[int, int], None], log: Logger | None = None
    ) -> None:
        self._now, self._local, self._deliver, self._log = now, local, deliver, log
        self._instruments = local.instruments
        self._rows = np.zeros(max(1, len(self._instruments)), EVENT)
        self._address = int(self._rows.ctypes.data)

    def tradable(self, venue: int, trading: bool) -> None:
        """A venue's instruments can be traded from now on, or not."""
        now, count = self._now(), 0
        name = self._instruments.venues[venue]
        status = TradingStatus.TRADING if trading else TradingStatus.PAUSED
        self._rows[:] = 0
        for number, item in enumerate(self._instruments):
            if item.venue == name:
                row = self._rows[count]
                row["ts_venue"] = row["ts_recv"] = now
                row["instrument"], row["venue"], row["kind"] = number, venue, int(Kind.STATUS)
                row["word"], row["flags"] = int(status), _STATUS_FLAGS
                count += 1
        if count:
            self._deliver(self._address, count)

    def _owner(self, instrument: int) -> int:
        """The strategy that what was there before us belongs to: the first that hears of the instrument."""
        for number, setup in enumerate(self._local.setups):
            if not setup.instruments or instrument in setup.instruments:
                return number
        return 0

    def _row(self, instrument: int, kind: Kind) -> Any:
        row = self._rows[0]
        self._rows[:1] = 0
        row["ts_venue"] = row["ts_recv"] = self._now()
        row["instrument"], row["kind"] = instrument, int(kind)
        row["venue"] = self._instruments.venues.index(self._instruments[instrument].venue)
        return row

    def adopt(self, status: OrderStatus, instrument: int) -> int:
        """Take an order into the engine that is not of this session; gives its id, 0 if it cannot be taken."""
        item = self._instruments[instrument]
        try:
            price = scaled(status.price or status.stop or "0", item.price_decimals, "price")
            left = scaled(status.qty, item.qty_decimals) - scaled(status.filled or "0", item.qty_decimals)
        except WireError as error:
            if self._log is not None:
                self._log.error("an order that cannot be adopted", order=status.order, reason=str(error))
            return 0
        row = self._row(instrument, Kind.ADOPTED)
        row["id"] = row["word"] = ident(status.order)
        row["price"], row["qty"], row["side"], row["seq"] = price, left, status.side, self._owner(instrument)
        order_type = OrderType(status.order_type) if status.order_type >= 0 else OrderType.LIMIT
        row["flags"] = adopted_flags(order_type, TimeInForce(max(0, status.tif)))
        self._deliver(self._address, 1)
        return self._local.orders.adopted(ident(status.order))

    def hold(self, instrument: int, qty: int, price: str) -> None:
        """Take a position into the engine that the account had before."""
        row = self._row(instrument, Kind.HOLDING)
        row["id"], row["qty"] = self._owner(instrument), qty
        row["price"] = rounded(price or "0", self._instruments[instrument].price_decimals, "average price")
        self._deliver(self._address, 1)
