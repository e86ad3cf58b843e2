"""Replaces that never buy or sell more than was asked for.

cancelReplace gives the new order a quantity that was written before the old order was taken off: what the old one
filled meanwhile would come on top of it, beyond what risk has let pass. So

- an order that has not filled is replaced with `cancelRestrictions=ONLY_NEW`: once it has filled the venue refuses;
- one that is partly filled is taken off first (under the name of a cancel that is half of a replace), and the new
  order gets what the answer says is left. That is a second round trip, and the order is out of the book meanwhile.

Source: binance-spot-api-docs, web-socket-api.md, "Cancel and replace order", "Cancel order".
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from nanotick.core.records import Kind, RejectReason
from nanotick.venues.working import NotSent, Sent
from nanotick.wire.binance_orders import REPLACING
from nanotick.wire.reports import Outcome, Private, Reply, Report, plain
from nanotick.wire.requests import Amend, Asked, Entry

if TYPE_CHECKING:
    from nanotick.venues.binance.trader import BinanceTrader

_CANCELLED = int(Kind.CANCELLED)


class Replacing:
    """Replaces of partly filled orders of one account."""

    def __init__(self, trader: BinanceTrader) -> None:
        self._trader = trader
        self._taken: dict[str, Report] = {}  # how the old order ended, by the request that places the new one

    def begin(self, asked: Asked, sent: Sent) -> bool:
        """Take a partly filled order off, if that is what a request is about. Raises NotSent."""
        if not isinstance(asked, Amend) or Decimal(asked.filled) <= 0:
            return False
        session = self._trader.session
        params = {"symbol": asked.entry.symbol, "newClientOrderId": REPLACING + asked.client}
        params |= {"orderId": asked.order} if asked.order else {"origClientOrderId": asked.client}
        request = sent.request
        if not session.call("order.cancel", params, lambda told: self._taken_off(asked, sent, request, told)):
            raise NotSent("no connection to the venue")
        return True

    def _taken_off(self, asked: Amend, sent: Sent, request: str, told: list[Private] | None) -> None:
        trader = self._trader
        if sent.request != request or not trader.waits_for(request):
            return  # given up meanwhile: an inquiry finds out
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        ended = next((item for item in told or () if isinstance(item, Report) and item.kind == _CANCELLED), None)
        if told is None or reply is None or reply.outcome != Outcome.DONE or ended is None:
            unknown = reply is None or reply.outcome == Outcome.DONE
            trader.answer(sent, None if unknown else [reply])  # type: ignore[list-item]
            return
        entry = self._rest(asked, sent, ended)
        if entry is None or not trader.place_instead(entry, sent):
            trader.answer(sent, [Reply(request, Outcome.REFUSED, int(RejectReason.TOO_LATE)), ended])
            return
        self._taken[sent.request] = ended

    def _rest(self, asked: Amend, sent: Sent, ended: Report) -> Entry | None:
        """The new order, with what is left of the total that is wanted; None if nothing is."""
        trader, working = self._trader, sent.working
        row = trader.engine_order(working) if working is not None else None
        if row is None or working is None:
            return None
        total = trader.instruments[working.instrument].qty_decimal(int(row["qty"]))
        left = Decimal(asked.entry.qty) - (total - Decimal(ended.qty))
        return replace(asked.entry, qty=plain(left)) if left > 0 else None

    def with_end(self, sent: Sent, told: list[Private] | None) -> list[Private] | None:
        """An answer to the new order; one that refuses it says that nothing is left, too."""
        ended = self._taken.pop(sent.request, None)
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if ended is None or told is None or reply is None or reply.outcome in (Outcome.DONE, Outcome.UNKNOWN):
            return told
        return [*told, ended]


__all__ = ["Replacing"]
