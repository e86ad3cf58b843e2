"""Finding out what became of an order whose outcome is not known.

1. The order stays UNKNOWN in the engine: its full size counts as exposure, and nothing is sent that assumes failure.
2. The private stream is listened to all the while; whatever it says is applied.
3. The venue is asked by client order id, with back-off. An answer that knows the order settles it: missing fills are
   fetched first, then its state is told.
4. "Not found" settles nothing at first, for reads may lag the matching engine: at least three times, and for at least
   15 s after the request. Then a cancel by client order id is sent, where the venue has one: accepted or "unknown
   order" both settle it. The same patience holds for a replace that the order does not show, since it may be on its
   way still.
5. Only then the order is REJECTED, or the replace refused. A later report of it is still applied.
6. A cancel whose order is found open is sent again, a few times: it is the one request that does no harm twice.

Where a replaced order is a new one under a fresh client id (`renames`) all ids that it can have are asked for, the
newest first: an old one that has ended says nothing while a newer one may exist.

A venue that does not answer at all is asked for as long as it takes. Time is counted in the waits between questions, so
a step of the clock neither shortens nor lengthens it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nanotick.core.records import CancelReason, Kind, RejectReason, ReportFlag
from nanotick.orders.records import FILLED, Pending, Seen
from nanotick.wire.json_text import scaled
from nanotick.wire.reports import ALL_OF_IT, OrderStatus, Outcome, Private, Reply, Report
from nanotick.wire.requests import Cancel

if TYPE_CHECKING:
    from nanotick.venues.host import Timer
    from nanotick.venues.trader import Trader
    from nanotick.venues.working import Working

SECOND = 1_000_000_000
WAITS = (
    SECOND // 2,
    3 * SECOND // 2,
    3 * SECOND,
    5 * SECOND,
)  # before the first question, the second, ...; then the last
FEW = 10  # unknown orders; with more the waits grow, for questions use up the venue's limits
LEAST_ANSWERS = 3
LEAST_TIME = 15 * SECOND
# fills are fetched from so long before the order was sent: first for clocks that differ a little, then, where a history
# goes on lacking them, for one of ours that was an hour ahead, or a day
BEFORE = (5 * SECOND, 2 * 3600 * SECOND, 24 * 3600 * SECOND)
AHEAD = 3  # fresh names that an order of a killed session may have got without our knowing
CANCELS_AT_MOST = 5  # times that a cancel found undone is sent again
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_PENDING_REPLACE = int(Pending.REPLACE)


class Inquiry:
    """One order's. Lives in `working.inquiry` until it is settled.

    Parameters
    ----------
    kind : int
        Kind of the command whose outcome is not known.
    sure : bool
        Only the venue's answer or the order's end settles it; otherwise a report that leaves nothing pending does too.
    """

    def __init__(self, trader: Trader, working: Working, kind: int, sure: bool = False) -> None:
        self.trader, self.working, self.sure = trader, working, sure
        self.kinds = {kind}
        self.asked = self.absent = self.waited = self._lagged = 0
        self._version = 0  # answers to what was asked before the last request do not count
        self._names: list[str] = []
        self._over = False
        self._timer: Timer | None = None
        self._wait(WAITS[0])

    def widen(self, kind: int, sure: bool = False) -> None:
        """Another request of the same order is in doubt, or on its way: what is not there yet may still come.

        A cancel brings nothing that would have to be waited for; a strategy that goes on cancelling must not keep the
        question open for ever.
        """
        self.kinds.add(kind)
        self.sure = self.sure or sure
        if kind != _CANCEL:
            self.absent = self.waited = 0
            self._version += 1

    def hurry(self) -> None:
        """The venue answers again: ask at once."""
        if self._timer is not None:
            self._wait(0)

    def _next(self) -> None:
        wait = WAITS[min(self.asked, len(WAITS) - 1)]
        self._wait(wait * max(1, self.trader.unknown // FEW))

    def _wait(self, wait: int) -> None:
        if self._timer is not None:
            self._timer.cancel()

        def ask() -> None:
            self._timer = None
            self.waited += wait
            self._ask()

        host = self.trader.host
        self._timer = host.at(host.now() + wait, ask)

    def _ask(self) -> None:
        if self._over or self.working.inquiry is not self:
            return
        if self._settled_meanwhile():
            self._end("stream")
            return
        self.asked += 1
        self._names = self.trader.names(self.working)
        self._ask_name()

    def _ask_name(self) -> None:
        version, client = self._version, self._names[0]
        self.trader.query(self.working, client, lambda told: self._told(told, client, version))

    def _settled_meanwhile(self) -> bool:
        """Whether the stream has said all: the engine holds nothing pending or unknown of the order."""
        row = self.trader.engine_order(self.working)
        return row is None or int(row["state"]) >= FILLED or (not self.sure and int(row["pending"]) == 0)

    def _told(self, told: list[Private] | None, client: str, version: int) -> None:
        if self._over:
            return
        status = next((item for item in told or () if isinstance(item, OrderStatus)), None)
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if version != self._version:
            self._next()
        elif status is not None:
            self._found(status, client)
        elif reply is not None and (
            reply.outcome == Outcome.DONE
            or (reply.outcome == Outcome.REFUSED and reply.reason == RejectReason.UNKNOWN_ORDER)
        ):
            self._names.pop(0)
            if self._names:
                self._ask_name()
            else:
                self._not_found()
        else:
            self._next()

    def _patience_over(self) -> bool:
        """Count one more answer without it: whether it has been asked for often and long enough to believe that."""
        self.absent += 1
        return self.absent >= LEAST_ANSWERS and self.waited >= LEAST_TIME

    # --- it is there --------------------------------------------------------------------------------------------------

    def _found(self, status: OrderStatus, client: str) -> None:
        trader, working = self.trader, self.working
        trader.named(working, status.order, client)
        if client != working.client:
            self._next()  # a newer name has been heard of meanwhile: this one's state is of the past
            return
        row = trader.engine_order(working)
        if row is None:
            self._end("forgotten")
            return
        if self._in_doubt(status, row) and not self._patience_over():
            self._next()
            return
        filled = self._filled(status)
        if filled > int(row["filled_qty"]) + int(row["busted_qty"]):
            version = self._version
            before = BEFORE[min(self._lagged, len(BEFORE) - 1)]
            trader.fills(working.since - before, lambda fills: self._fills(fills, status, filled, version))
        else:
            self._conclude(status)

    def _filled(self, status: OrderStatus) -> int:
        return scaled(status.filled or "0", self.trader.instruments[self.working.instrument].qty_decimals, "filled")

    def _in_doubt(self, status: OrderStatus, row: Any) -> bool:
        """Whether what was found may not be the last that there is of the order."""
        trader, working = self.trader, self.working
        replacing = bool(int(row["pending"]) & _PENDING_REPLACE)
        if trader.renames:
            newer = trader.names(working)[0] != working.client
            return newer and (replacing or not status.open)
        return replacing and status.open and not self._shows_replace(status, row)

    def _shows_replace(self, status: OrderStatus, row: Any) -> bool:
        item = self.trader.instruments[self.working.instrument]
        return scaled(status.price or "0", item.price_decimals, "price") == int(row["pending_price"]) and scaled(
            status.qty or "0", item.qty_decimals, "quantity"
        ) == int(row["pending_qty"])

    def _fills(self, fills: list[Report] | None, status: OrderStatus, filled: int, version: int) -> None:
        if self._over:
            return
        trader, working = self.trader, self.working
        trader.emit(fills or (), trader.host.now())
        row = trader.engine_order(working)
        if version != self._version or (row is not None and int(row["filled_qty"]) + int(row["busted_qty"]) < filled):
            self._lagged += fills is not None
            self._next()  # the history lags the order's state
        else:
            self._conclude(status)

    def _conclude(self, status: OrderStatus) -> None:
        trader, working = self.trader, self.working
        now = trader.host.now()
        base = Report(0, working.symbol, status.ts_venue or now, working.client, status.order, working.side)
        row = trader.engine_order(working)
        reports = []
        if row is not None and (int(row["pending"]) & _PENDING_REPLACE or trader.renamed(working)):
            reports.append(self._of_replace(status, row, base))
        if status.open:
            told = _like(base, Kind.ACCEPTED)
            told.flags = int(ReportFlag.STATUS)
            reports.append(told)
        elif Decimal(status.filled or "0") < Decimal(status.qty or "0"):
            ended = _like(base, Kind.REJECTED if "reject" in status.state.lower() else Kind.CANCELLED)
            ended.qty = ALL_OF_IT if ended.kind == Kind.CANCELLED else "0"
            ended.reason = int(CancelReason.VENUE if ended.kind == Kind.CANCELLED else RejectReason.OTHER)
            reports.append(ended)
        self._end("found")
        if status.open and _CANCEL in self.kinds and working.cancels < CANCELS_AT_MOST:
            working.cancels += 1
            working.cancel_wanted = True  # it was lost: asking once more can do no harm, and a kill depends on it
        trader.emit(reports, now)
        trader.ready_to_cancel(working)

    def _of_replace(self, status: OrderStatus, row: Any, base: Report) -> Report:
        """What the order's state says of a replace: an answer newer than any before, for the state may be older."""
        trader, working = self.trader, self.working
        if trader.renames:  # the name that the last replace was given is there, whether or not it was told
            last = working.revision > 0 and trader.revision(working.client) == working.revision
            done = trader.renamed(working) or (last and bool(int(row["pending"]) & _PENDING_REPLACE))
        else:
            done = self._shows_replace(status, row)
        told = _like(base, Kind.REPLACED if done else Kind.CANCEL_REJECTED)
        told.ts_venue = max(base.ts_venue, int(row["answer_ts"]) + 1)
        if done:
            told.price, told.qty = status.price or "0", status.qty
        else:
            told.reason, told.flags = int(RejectReason.OTHER), int(ReportFlag.OF_REPLACE)
        return told

    # --- it is not there ----------------------------------------------------------------------------------------------

    def _not_found(self) -> None:
        if not self._patience_over():
            self._next()
        elif self.trader.needs_order:
            self._gone()
        else:
            working = self.working
            self.trader.ask_about(Cancel(working.symbol, working.client, working.order), working, self._cancelled)

    def _cancelled(self, told: list[Private] | None) -> None:
        """The answer to the cancel that settles it."""
        if self._over:
            return
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if reply is None or reply.outcome in (Outcome.UNKNOWN, Outcome.LIMITED, Outcome.DENIED):
            self._next()
        elif reply.outcome == Outcome.DONE:  # it was there after all, and is not any more: its fills, then its end
            self.asked = self.absent = self.waited = 0
            self._next()
        else:
            self._gone()

    def _gone(self) -> None:
        """The venue has no such order. If it ever had it, fills may be all that is left of it."""
        self.trader.fills(self.working.since - BEFORE[0], self._last_fills)

    def _last_fills(self, fills: list[Report] | None) -> None:
        if self._over:
            return
        if fills is None:
            self._next()
            return
        trader, working = self.trader, self.working
        now = trader.host.now()
        trader.emit(fills, now)
        row = trader.engine_order(working)
        known = row is not None and (int(row["seen"]) & int(Seen.ACCEPTED) or int(row["filled_qty"]))
        kind = Kind.CANCELLED if known else Kind.REJECTED
        told = Report(int(kind), working.symbol, trader.venue_time(), working.client, working.order, working.side)
        told.qty = ALL_OF_IT if known else "0"
        told.reason = int(CancelReason.VENUE if known else RejectReason.UNKNOWN_ORDER)
        self._end("not placed")
        trader.emit([told], now)

    def _end(self, how: str) -> None:
        self._over = True
        self.working.inquiry = None
        settled = self.trader.counts.settled
        settled[how] = settled.get(how, 0) + 1


def _like(base: Report, kind: Kind) -> Report:
    return Report(int(kind), base.symbol, base.ts_venue, base.client, base.order, base.side)
