"""One account at one venue: commands out, reports in, and what to do when an answer does not come.

    COMMAND ─▶ asked ─▶ limiter ─▶ request or frame ─▶ venue
    EVENT  ◀─ rows  ◀── answers, private stream, queries ◀─┘

`Trader` is what all venues have in common; a venue's package says how a request is written, what an answer means and
how the private stream is opened. It is a set of callbacks over a `Host`: it runs on sockets and in virtual time alike.

Every command ends in reports, whatever happens to its request: refused here (`Unsupported`, rate limit, no connection:
certainly not sent) or there (certainly not done) is REJECTED or CANCEL_REJECTED at once; no answer, a lost connection
or a 5xx is UNKNOWN, and `venues.inquiry` asks until it is settled. Nothing but a lost cancel is sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nanotick.core.records import ALL_INSTRUMENTS, RECORD_SIZE, CommandFlag, Kind, RejectReason, ReportFlag
from nanotick.orders.records import FILLED
from nanotick.venues.inquiry import Inquiry
from nanotick.venues.reconcile import GRACE, Reconciliation
from nanotick.venues.trader_base import SECOND, TraderBase
from nanotick.venues.working import NotSent, Sent, TraderState, Working
from nanotick.wire.reports import Balance, OrderStatus, Outcome, Position, Private, Reply, Report, settled
from nanotick.wire.requests import Amend, Asked, Cancel, Command, Unsupported, asked_of, number_text

_NEW, _CANCEL, _REPLACE, _CANCEL_ALL = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER), int(Kind.CANCEL_ALL)
_ASKED_AT_MOST = 8  # times for an order that a fill names and the venue does not show
UNHEARD = 3 * SECOND  # after a good answer to a cancel or a replace the stream is not waited for any longer
_FOREIGN_KEPT = 4096  # venue ids of orders known not to be ours
_CLOSE_ALL, _REDUCE_ONLY = int(CommandFlag.CLOSE_ALL), int(CommandFlag.REDUCE_ONLY)


class Trader(TraderBase):
    """Base of the venues' traders; parameters and attributes as in `TraderBase`.

    Attributes
    ----------
    name : str
        Of the protocol.
    renames : bool
        A replaced order gets a fresh client id.
    needs_order : bool
        Cancels and replaces go by the venue's id.
    reduces : bool
        The venue has reduce-only orders.
    """

    name = ""
    renames = False
    needs_order = False
    answers_by_stream = True  # what is sent is answered over the private stream, and lost with it
    reduces = False
    _reconciliation: Reconciliation | None = None

    # --- what a venue says --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the private stream and reconcile; `on_state` tells when it is READY."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    def warm(self) -> None:
        """Compile and prepare what the first order would have to wait for."""

    def _transmit(self, asked: Asked, sent: Sent) -> None:
        """Write and send one request; its answer comes to `_answered`. Raises Unsupported or NotSent before sending."""
        raise NotImplementedError

    def _transmit_written(self, address: int, sent: Sent) -> bool:
        """Write a NEW command by a kernel and send it; False if it is to go the general way. Raises nothing."""
        return False

    def query(self, working: Working, client: str, done: Callable[[list[Private] | None], None]) -> None:
        """Ask how an order stands; `done(None)` when there was no good answer."""
        raise NotImplementedError

    def fetch_open(self, done: Callable[[list[OrderStatus] | None], None]) -> None:
        """All open orders of the account."""
        raise NotImplementedError

    def fetch_fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """Fills since a time, ns UTC."""
        raise NotImplementedError

    def fetch_holdings(self, done: Callable[[list[Position | Balance] | None], None]) -> None:
        """Positions or balances."""
        raise NotImplementedError

    # --- commands out -------------------------------------------------------------------------------------------------

    def send(self, address: int) -> None:
        """Take one COMMAND record, of an instrument of this venue."""
        self.take(Command.of(_bytes_at(address)), address)

    def take(self, command: Command, address: int = 0) -> None:
        """As `send`, from its fields."""
        kind = command.kind
        if kind == _CANCEL_ALL:
            self._cancel_all(command)
            return
        item = self._items[command.instrument]
        working = self._working.get(command.id)
        if kind == _NEW:
            if self.state != TraderState.READY and not command.flags & _CLOSE_ALL:
                self._unready(command, item.symbol)
                return
            working = Working(command.id, command.instrument, item.symbol, command.side, self.ids.text(command.id))
            self._working[command.id] = working
        elif working is None:
            self._refuse_request(command, item.symbol, RejectReason.UNKNOWN_ORDER, "the venue was never sent it")
            return
        elif kind == _CANCEL and self.needs_order and not working.order:
            working.cancel_wanted = True  # goes out with the venue's id
            return
        self._limited(command, working, address)

    def _unready(self, command: Command, symbol: str) -> None:
        """A new order while the account is not connected and compared: not sent."""
        self.counts.refused += 1
        now = self.host.now()
        report = Report(int(Kind.REJECTED), symbol, now, self.ids.text(command.id), reason=int(RejectReason.BLOCKED))
        report.detail = f"{self.venue} is {self.state.name.lower()}: {self.reason}"
        self.emit([report], now)

    def _limited(self, command: Command, working: Working, address: int = 0) -> None:
        now = self.host.now()
        cancel = command.kind == _CANCEL or bool(command.flags & _CLOSE_ALL)
        weight = self._weight(command, working, now)
        when = self.limiter.take(now, cancel, weight, orders=command.kind != _CANCEL, key=working.symbol)
        if when <= now:
            self._ask(command, working, now, address)
        elif cancel:  # late is better than never
            self.counts.limited += 1
            self.host.at(when, lambda: self._limited(command, working))
        else:
            self.counts.limited += 1
            self._refuse(command, working, RejectReason.LIMIT_REACHED, "our own rate limit")

    def _weight(self, command: Command, working: Working, now: int) -> int:
        """What a request costs of the venue's limits."""
        return 1

    def _ask(self, command: Command, working: Working, now: int, address: int) -> None:
        if working.inquiry is not None:
            working.inquiry.widen(command.kind)
        if command.kind == _NEW:
            working.ts_sent, working.since = now, self.venue_time()
            sent = Sent(working.client, _NEW, working, working.symbol, now, working.client)
            self._sent[sent.request] = sent
            if address and self._transmit_written(address, sent):
                self.counts.sent += 1
                return
            del self._sent[sent.request]
        renamed = ""
        if command.kind == _REPLACE and self.renames:
            working.revision = working.newest = working.revision + 1
            renamed = self.ids.text(command.id, working.revision)
        item = self._items[working.instrument]
        if command.flags & _CLOSE_ALL and not self.reduces:
            # the engine's own closing order: risk has held it against the position, and the venue has no such flag
            command = command._replace(flags=command.flags & ~_REDUCE_ONLY)
        sent = Sent(self._request(), command.kind, working, working.symbol, now, renamed or working.client)
        try:
            asked = asked_of(command, item, working.client, working.order, renamed)
            if isinstance(asked, Amend):
                row = self._engine_order(command.id)
                asked.filled = "0" if row is None else number_text(int(row["filled_qty"]), item.qty_decimals)
                sent.amend = asked
            self._sent[sent.request] = sent
            self._transmit(asked, sent)
            self.counts.sent += 1
        except (Unsupported, NotSent) as error:
            self._sent.pop(sent.request, None)
            reason = error.reason if isinstance(error, Unsupported) else RejectReason.OTHER
            self._refuse(command, working, reason, str(error))

    def ask_about(self, asked: Asked, working: Working, done: Callable[[list[Private] | None], None]) -> None:
        """Send a request whose answer goes to `done`; None if it could not be sent or answered."""
        now = self.host.now()
        sent = Sent(self._request(), _CANCEL, working, working.symbol, now, done=done)
        self._sent[sent.request] = sent
        try:
            self._transmit(asked, sent)
        except (Unsupported, NotSent):
            del self._sent[sent.request]
            done(None)

    def _cancel_all(self, command: Command) -> None:
        """Cancel every order of ours, one by one: what the venue's own cancel-all says of each is not told by all."""
        for working in list(self._working.values()):
            if not working.ended and command.instrument in (ALL_INSTRUMENTS, working.instrument):
                one = command._replace(kind=_CANCEL, id=working.id, instrument=working.instrument)
                self.take(one)

    def _request(self) -> str:
        self._requests += 1
        return f"{self._requests}"

    def _refuse(self, command: Command, working: Working, reason: int, words: str) -> None:
        self.counts.refused += 1
        self.refusal = words
        self.note("warning", "refused here", order=working.client, reason=words)
        reply = Reply("", Outcome.REFUSED, reason, detail=words)
        self._settle(reply, command.kind, working, self.host.now())

    def _refuse_request(self, command: Command, symbol: str, reason: int, words: str) -> None:
        now = self.host.now()
        report = Report(int(Kind.CANCEL_REJECTED), symbol, now, self.ids.text(command.id), reason=int(reason))
        report.flags = int(ReportFlag.OF_REPLACE) if command.kind == _REPLACE else 0
        self.emit([report], now)

    # --- answers and reports in ---------------------------------------------------------------------------------------

    def answer(self, sent: Sent, told: list[Private] | None) -> None:
        """What came back for a request: its reply and what else it holds; None for no answer that can be read."""
        if not sent.request:  # an end of the connection that was noticed while it was being sent
            self.host.at(self.host.now(), lambda: self.answer(sent, told))
            return
        if self._sent.pop(sent.request, None) is None:
            return  # settled by a timeout before; what the answer says comes by inquiry
        if sent.timer is not None:
            sent.timer.cancel()
        now = self.host.now()
        self.counts.answered += 1
        if sent.done is not None:
            sent.done(told)
            return
        reply = next((item for item in told or () if isinstance(item, Reply)), None)
        if told is None or reply is None:
            reply = Reply(sent.request, Outcome.UNKNOWN, detail="no answer that can be read")
        if reply.outcome == Outcome.DONE:
            self.on_latency("ack", now - sent.ts_sent)
            self._done(sent, told or [], now)
            return
        if reply.outcome == Outcome.LIMITED:
            until = reply.retry_ns if reply.retry_absolute else now + (reply.retry_ns or SECOND)
            self.limiter.blocked(until)
            if sent.kind == _CANCEL and sent.working is not None:
                working = sent.working
                self.host.at(until, lambda: self._again(working))
                return
        if reply.outcome == Outcome.DENIED:
            self.note("error", "the venue denies us", reason=reply.detail, code=reply.code)
            self._state(TraderState.BROKEN, f"denied: {reply.detail or reply.code}")
        if sent.working is not None:
            self._settle(reply, sent.kind, sent.working, now)
        if told:
            self.emit([item for item in told if isinstance(item, Report)], now)

    def _again(self, working: Working) -> None:
        """A cancel that came to nothing for want of a rate: once more."""
        if not working.ended:
            command = Command(0, 0, 0, 0, 0, working.id, 0, 0, 0, 0, working.instrument, 0, _CANCEL, working.side, 0)
            self._limited(command, working)

    def _done(self, sent: Sent, told: list[Private], now: int) -> None:
        working = sent.working
        reports = [item for item in told if isinstance(item, Report)]
        for status in told:
            if isinstance(status, OrderStatus) and working is not None:
                if sent.kind == _REPLACE and self.renames:
                    continue  # of the new order: its own report makes it ours
                self.named(working, status.order, status.client)
                self.ready_to_cancel(working)
                if sent.kind == _NEW and status.open and not reports:
                    reports.append(self._accepted(working, status))  # the stream may be lost before it says so
        if sent.kind == _REPLACE and working is not None and not reports:
            reports = self._replace_done(sent, told, now)
        self.emit(reports, now)
        if sent.kind != _NEW and working is not None and not reports:
            self.host.at(now + UNHEARD, lambda: self._unheard(working, sent.kind))

    def _unheard(self, working: Working, kind: int) -> None:
        """A while after a good answer: ask, if the stream has not told what has come of it."""
        row = self._engine_order(working.id)
        waits = row is not None and int(row["state"]) < FILLED and int(row["pending"]) != 0
        if waits and not working.ended and working.inquiry is None and not self.on_its_way(working):
            self.inquire(working, kind)

    def _accepted(self, working: Working, status: OrderStatus) -> Report:
        report = Report(int(Kind.ACCEPTED), working.symbol, status.ts_venue, working.client, status.order, working.side)
        report.price, report.qty = status.price or "0", status.qty
        return report

    def _replace_done(self, sent: Sent, told: list[Private], now: int) -> list[Report]:
        """Reports for a replace whose good answer is all that the venue says of it; none where the stream tells."""
        return []

    def ready_to_cancel(self, working: Working) -> None:
        """Send the cancel that has waited for the venue's id."""
        if working.cancel_wanted and (working.order or not self.needs_order):
            working.cancel_wanted = False
            self._again(working)

    def stray(self, working: Working, order: str) -> None:
        """An order that has ended here is open at the venue: it must not trade unseen."""
        self.note("error", "an order taken for ended is open at the venue; cancelling it", order=order)
        self.counts.strays += 1
        asked = Cancel(working.symbol, working.client, order)
        self.host.at(self.host.now(), lambda: self.ask_about(asked, working, lambda told: None))

    def _settle(self, reply: Reply, kind: int, working: Working, now: int) -> None:
        """The report that a bad answer amounts to, and an inquiry if it leaves anything open."""
        unknown = reply.outcome == Outcome.UNKNOWN
        report = settled(reply, kind, working.symbol, self.ids.text(working.id), now)
        if report is not None:
            if kind == _REPLACE:
                report.ts_venue = self._answered_at(working)
            self.emit([report], now)
        lost = kind != _NEW and reply.reason in (RejectReason.UNKNOWN_ORDER, RejectReason.TOO_LATE)
        if unknown or lost:
            self.counts.unknown += unknown
            self.inquire(working, kind, lost)

    def _answered_at(self, working: Working) -> int:
        """A stamp for an answer to a replace that has none of the venue's: newer than the last, older than any to come.

        By our own clock, were it ahead of the venue's, every later answer would be taken for an old one.
        """
        row = self._engine_order(working.id)
        if row is None:
            return working.since
        return max(int(row["answer_ts"]), int(row["ts_accepted"])) + 1

    def inquire(self, working: Working, kind: int, sure: bool = False) -> None:
        """Find out how an order stands; one inquiry an order at a time, the widest question wins."""
        if working.inquiry is not None:
            working.inquiry.widen(kind, sure)
            return
        working.inquiry = Inquiry(self, working, kind, sure)

    def fills(self, since: int, done: Callable[[list[Report] | None], None]) -> None:
        """Fills of our orders since a time of the venue's clock; None if they could not be read.

        A history that names orders by the venue's ids alone may name some that this process never heard of (an order
        answered while we were down): these are asked for.
        """

        def take(found: list[Report] | None) -> None:
            if found is None:
                done(None)
                return
            strange = [
                fill.order
                for fill in found
                if fill.order
                and not fill.client
                and fill.order not in self._by_order
                and self._foreign_orders.get(fill.order, 0) < _ASKED_AT_MOST
            ]
            self._resolve(list(dict.fromkeys(strange)), lambda good: done(found if good else None))

        self.fetch_fills(max(0, since), take)

    def _resolve(self, orders: list[str], done: Callable[[bool], None]) -> None:
        """Find out whose orders these are, one after another."""
        if not orders:
            done(True)
            return
        order = orders.pop()

        def take(told: list[Private] | None) -> None:
            status = next((item for item in told or () if isinstance(item, OrderStatus)), None)
            working = self.find(status) if status is not None else None
            if working is not None and status is not None:
                self.named(working, order, status.client)
            else:  # somebody else's; or not shown yet, which it is given a few tries for
                tries = self._foreign_orders.pop(order, 0) + 1
                self._foreign_orders[order] = tries if status is None and told != [] else _ASKED_AT_MOST
                if len(self._foreign_orders) > _FOREIGN_KEPT:
                    del self._foreign_orders[next(iter(self._foreign_orders))]
                if self._foreign_orders[order] < _ASKED_AT_MOST:
                    done(False)
                    return
            self._resolve(orders, done)

        self.query_order(order, take)

    def query_order(self, order: str, done: Callable[[list[Private] | None], None]) -> None:
        """Ask how an order stands by the venue's id; nothing is said of it where the venue's history has our ids."""
        done([])

    def timed_out(self, sent: Sent) -> None:
        """No answer in time over a stream."""
        if sent.request in self._sent:
            self.answer(sent, [Reply(sent.request, Outcome.UNKNOWN, detail="no answer in time")])

    def lost(self, why: str) -> None:
        """The connection over which requests are answered is gone: their outcomes are unknown."""
        for sent in list(self._sent.values()):
            self.answer(sent, [Reply(sent.request, Outcome.UNKNOWN, detail=why)])

    def told(self, items: Iterable[Private], now: int) -> None:
        """What the private stream said."""
        for item in items:
            if isinstance(item, Report):
                self.emit([item], now)
            elif isinstance(item, Reply):
                sent = self._sent.get(item.request)
                if sent is not None:
                    self.answer(sent, [item])

    # --- comparing with the venue -------------------------------------------------------------------------------------

    def connected(self) -> None:
        """The private stream tells; what was missed is fetched before anything is sent."""
        self._state(TraderState.RECONCILING)
        for working in list(self._working.values()):
            if working.inquiry is not None:
                working.inquiry.hurry()
        self.reconcile()

    def disconnected(self, why: str) -> None:
        """The private stream is gone: nothing is sent until it is back and compared."""
        if self._reconciliation is not None:
            self._reconciliation.stop()
            self._reconciliation = None
        if self.answers_by_stream:
            self.lost(why)
        if self.state != TraderState.DOWN:
            self._state(TraderState.CONNECTING, why)

    def reconcile(self) -> None:
        """Compare with what the venue has, unless that is being done."""
        if self._reconciliation is None or self._reconciliation.over:
            opening = not self._opened
            self._reconciliation = Reconciliation(self, self._position, self._since, self._reconciled, opening)

    def _reconciled(self, found: Reconciliation) -> None:
        self.counts.reconciled += 1
        for status in found.foreign:
            self._foreign(status, found)
        for number, (qty, price) in found.holdings.items():
            if self.config.holdings == "adopt":
                self.on_holding(number, qty, price)
            else:
                item = self._items[number]
                found.breaks.append(f"{item.symbol}: {item.qty_decimal(qty)} held at the venue, unknown here")
        self.breaks = found.breaks
        if found.breaks:
            self._state(TraderState.BROKEN, "; ".join(found.breaks))
        else:
            self._opened = True
            self._since = found.since
            self._state(TraderState.READY)
        if self._timer is not None:
            self._timer.cancel()
        if self.config.reconcile_interval > 0:
            wait = int(self.config.reconcile_interval * SECOND)
            if found.skipped:  # too young to be judged: soon again
                wait = min(wait, GRACE + SECOND)
            self._timer = self.host.at(self.host.now() + wait, self._reconcile_again)

    def _reconcile_again(self) -> None:
        if self.state in (TraderState.READY, TraderState.BROKEN):
            self.reconcile()

    def _foreign(self, status: OrderStatus, found: Reconciliation) -> None:
        """An open order that is not of this session."""
        policy = self.config.foreign_orders
        what = f"{status.symbol} order {status.order or status.client}"
        number = next((n for n, item in enumerate(self._items) if self._ours(item, status.symbol)), -1)
        self.note("warning", "an order that is not of this session", order=status.order, policy=policy)
        if policy == "cancel":
            working = Working(0, max(number, 0), status.symbol, status.side, status.client, status.order)
            self.ask_about(Cancel(status.symbol, status.client, status.order), working, lambda told: None)
            return
        taken = self.on_foreign(status, number) if policy == "adopt" and number >= 0 else 0
        if taken:
            self.adopt(taken, status, number)
        elif number >= 0 or policy == "refuse":
            found.breaks.append(f"{what}: open at the venue, not of this session")

    def _ours(self, item: Any, symbol: str) -> bool:
        return bool(item.venue == self.venue and item.symbol == symbol)

    def find(self, status: OrderStatus) -> Working | None:
        """The order of ours that a status is about."""
        working = self._by_order.get(status.order) if status.order else None
        if working is not None:
            return working
        number = self.ids.decode(status.client)
        return None if number is None else self._working.get(number)

    def hold_balance(self, item: Balance, there: dict[int, int]) -> None:
        """Count a balance as a position, where the venue has balances instead of positions."""


def _bytes_at(address: int) -> memoryview:
    import ctypes

    return memoryview((ctypes.c_char * RECORD_SIZE).from_address(address)).cast("B")
