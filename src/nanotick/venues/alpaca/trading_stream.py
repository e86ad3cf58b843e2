"""The trading stream of a served Alpaca: authenticate, listen, trade updates."""

from __future__ import annotations

from nanotick.core.records import Kind
from nanotick.venues.alpaca.bodies import identity, update
from nanotick.venues.desk import Desk
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder
from nanotick.venues.host import Link
from nanotick.wire.alpaca_server import decode_stream_request, encode_notice
from nanotick.wire.json_text import WireError
from nanotick.wire.messages import Notice
from nanotick.wire.reports import Report
from nanotick.wire.requests import Login, Subscribe

MAX_WAITING = 8 << 20  # bytes behind which a reader is cut off
_EVENTS = {Kind.CANCELLED: "canceled", Kind.EXPIRED: "expired", Kind.ACCEPTED: "new", Kind.REPLACED: "new"}
_FILL, _BUST, _REPLACED = int(Kind.FILL), int(Kind.FILL_BUST), int(Kind.REPLACED)
_NAMES = {int(kind): name for kind, name in _EVENTS.items()}


class Updates:
    """Trade updates of all accounts: each frame is made once and sent to every link that listens."""

    def __init__(self, desk: Desk, binary: bool) -> None:
        self._desk, self._binary = desk, binary
        self._listening: dict[str, list[Link]] = {}

    def listen(self, account: DeskAccount, link: Link) -> None:
        """A link wants an account's updates."""
        links = self._listening.get(account.key)
        if links is None:
            links = self._listening[account.key] = []
            self._desk.follow(account, self.told)
        if link not in links:
            links.append(link)

    def leave(self, account: DeskAccount, link: Link) -> None:
        """And no longer."""
        links = self._listening.get(account.key, [])
        if link in links:
            links.remove(link)

    def told(self, report: Report, order: DeskOrder) -> None:
        """Something has happened to an order."""
        account = order.account
        if not self._listening.get(account.key):
            return
        now, kind = report.ts_venue, report.kind
        if kind == _FILL:
            event = "partial_fill" if order.open else "fill"
            self.say(account, update(event, order, now, report.execution, order.fills[-1]))
        elif kind == _BUST:
            fill = next((f for f in order.fills if f.execution == report.execution), None)
            self.say(account, update("trade_bust", order, now, report.execution, fill))
        else:
            if kind == _REPLACED:
                old = account.orders.get(order.replaces)
                if old is None or order.created_ns != now:
                    return  # the order stays what it is: a trailing stop has moved
                self.event("replaced", old, now)
            name = _NAMES.get(kind)
            if name is not None:
                self.event(name, order, now)

    def event(self, name: str, order: DeskOrder, now: int) -> None:
        """Say that something has happened which is no fill."""
        if self._listening.get(order.account.key):
            self.say(order.account, update(name, order, now, identity(order.order, name, now)))

    def say(self, account: DeskAccount, frame: bytes) -> None:
        """Send a frame to all that listen."""
        for link in tuple(self._listening.get(account.key, ())):
            if link.waiting > MAX_WAITING:
                link.close(1008, "slow client")
            else:
                link.send(frame, binary=self._binary)


class TradingTalk:
    """One connection to /stream."""

    def __init__(self, desk: Desk, updates: Updates, binary: bool) -> None:
        self._desk, self._updates, self._binary = desk, updates, binary
        self._account: DeskAccount | None = None

    def opened(self, link: Link) -> None:
        """Nothing is said until the client has authenticated."""

    def message(self, link: Link, data: bytes | memoryview, now: int) -> None:
        """Authenticate or listen."""
        try:
            asked = decode_stream_request(bytes(data))
        except WireError as fault:
            self._say(link, Notice("unauthorized" if self._account is None else "error", str(fault)[:120]))
            return
        if isinstance(asked, Login):
            self._account = self._desk.login(asked.key, asked.secret)
            status = "authorized" if self._account is not None else "unauthorized"
            self._say(link, Notice(status, "authenticate"))
        elif isinstance(asked, Subscribe):
            if self._account is None:
                self._say(link, Notice("unauthorized", "listen"))
                return
            if asked.channels:
                self._updates.listen(self._account, link)
            else:
                self._updates.leave(self._account, link)
            self._say(link, Notice("listening", "trade_updates" if asked.channels else ""))

    def _say(self, link: Link, notice: Notice) -> None:
        link.send(encode_notice(notice), binary=self._binary)

    def closed(self, link: Link | None, reason: str) -> None:
        """It is gone."""
        if self._account is not None and link is not None:
            self._updates.leave(self._account, link)
