"""A venue in Alpaca's protocol that does to orders what a test, or a seed, says: a `Site` for the virtual network."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from nanotick.core.records import Kind, RejectReason, ReportFlag
from nanotick.wire.alpaca_server import (
    decode_request,
    decode_stream_request,
    encode_error,
    encode_notice,
    encode_reply,
    encode_update,
)
from nanotick.wire.json_text import rfc3339_ns, rfc3339_text
from nanotick.wire.messages import Notice
from nanotick.wire.reports import OrderStatus, Position, Reply, Report
from nanotick.wire.requests import Amend, Cancel, CancelAll, Entry, Login, Query, Response

MS = 1_000_000
PAGE = 100


@dataclass
class Execution:
    """A fill as the history has it."""

    number: int
    order: OrderStatus
    price: str
    qty: int
    ts: int
    busted: bool = False

    @property
    def id(self) -> str:
        """What names it in stream and history."""
        return f"00000000-0000-4000-8000-{self.number:012d}"


class Talk:
    """A client's connection to `trade_updates`."""

    def __init__(self, venue: SmallAlpaca) -> None:
        self.venue = venue
        self.link: Any = None
        self.known = self.listens = False

    def opened(self, link) -> None:
        self.link = link

    def message(self, link, data, now) -> None:
        asked = decode_stream_request(bytes(data))
        if isinstance(asked, Login):
            self.known = asked.key == "key"
            link.send(encode_notice(Notice("authorized" if self.known else "unauthorized", "auth")), True)
        elif self.known:
            self.listens = asked.on
            link.send(encode_notice(Notice("listening", "trade_updates" if asked.on else "")), True)

    def closed(self, link, reason) -> None:
        self.listens = False
        if self in self.venue.talks:
            self.venue.talks.remove(self)


class SmallAlpaca:
    """One account. Quantities are whole shares.

    `answer_first` says whether an answer is given before the stream tells. `late_ns` is how long a cancel or replace
    is pending after its good answer; fills may come meanwhile. `lag_ns` is how far queries lag behind the truth.
    """

    def __init__(self, host, late_ns: int = 0, lag_ns: int = 0, answer_first: bool = True) -> None:
        self.host, self.late_ns, self.lag_ns, self.answer_first = host, late_ns, lag_ns, answer_first
        self.orders: dict[str, OrderStatus] = {}
        self.by_client: dict[str, str] = {}
        self.born: dict[str, int] = {}
        self.executions: list[Execution] = []
        self.held: dict[str, int] = {}
        self.talks: list[Talk] = []
        self.replaced: dict[str, str] = {}  # old order to new
        self.deaf: set[str] = set()  # client ids that queries do not find
        self.placed = 0  # POST requests that made an order
        self._open: list[OrderStatus] = []
        self._open_at = -1
        self.changes = 0  # of orders and positions
        self.quiet = False  # the stream says nothing

    # --- protocol -----------------------------------------------------------------------------------------------------

    def upgrade(self, path, headers, peer):
        talk = Talk(self)
        self.talks.append(talk)
        return talk

    def request(self, request, peer, answer) -> None:
        asked = decode_request(request)
        if isinstance(asked, Entry):
            answer(self._enter(asked))
        elif isinstance(asked, Cancel):
            answer(self._cancel(asked.order))
        elif isinstance(asked, Amend):
            answer(self._amend(asked))
        elif isinstance(asked, Query):
            answer(self._query(asked))
        elif isinstance(asked, CancelAll):
            answer(Response(207, (), b"[]"))
        else:
            answer(self._read(str(asked), request.path))

    def _refuse(self, status: int, words: str, code: str = "") -> Response:
        return encode_error(Reply("", 1, RejectReason.OTHER, f"{status}{code}", words))

    def _enter(self, entry: Entry) -> Response:
        if entry.client in self.by_client:
            return self._refuse(422, "client_order_id must be unique")
        order = self._new(entry.symbol, entry.client, entry.side, entry.price, entry.qty)
        self.placed += 1
        body = encode_reply(order)
        self._told(Report(int(Kind.ACCEPTED), order.symbol, order.ts_venue, order.client, order.order), order)
        return body

    def _new(self, symbol: str, client: str, side: int, price: str, qty: str, filled: str = "0") -> OrderStatus:
        number = len(self.orders) + 1
        self.changes += 1
        order = OrderStatus(
            symbol, client, f"61e69015-8549-4bfd-b9c3-{number:012d}", side, 0, 0, price, "", qty, filled,
            "new" if filled == "0" else "partially_filled", True, self.host.now(),
        )  # fmt: skip
        self.orders[order.order] = order
        self.by_client[client] = order.order
        self.born[order.order] = self.host.now()
        return order

    def _cancel(self, ident: str) -> Response:
        order = self.orders.get(ident)
        if order is None:
            return self._refuse(404, "order not found")
        if not order.open:
            return self._refuse(422, "order is not cancelable")
        self._later(lambda: self.end(order) if order.open else self._late_cancel(order))
        return Response(204)

    def _late_cancel(self, order: OrderStatus) -> None:
        told = Report(int(Kind.CANCEL_REJECTED), order.symbol, self.host.now(), order.client, order.order)
        self._told(told, order)

    def _amend(self, asked: Amend) -> Response:
        order = self.orders.get(asked.order)
        if order is None:
            return self._refuse(404, "order not found")
        if not order.open or int(asked.entry.qty or order.qty) <= int(order.filled):
            return self._refuse(422, "cannot replace order")
        if asked.entry.client in self.by_client:
            return self._refuse(422, "client_order_id must be unique")
        promised = replace(order, client=asked.entry.client, price=asked.entry.price, qty=asked.entry.qty)
        self._later(lambda: self._replace(order, asked))
        return encode_reply(promised)

    def _replace(self, order: OrderStatus, asked: Amend) -> None:
        now = self.host.now()
        if not order.open or int(asked.entry.qty) <= int(order.filled):
            told = Report(int(Kind.CANCEL_REJECTED), order.symbol, now, order.client, order.order)
            told.flags = int(ReportFlag.OF_REPLACE)
            self._told(told, order)
            return
        order.open, order.state, order.ts_venue = False, "replaced", now
        self.changes += 1
        new = self._new(order.symbol, asked.entry.client, order.side, asked.entry.price, asked.entry.qty, order.filled)
        self.replaced[order.order] = new.order
        told = Report(int(Kind.REPLACED), new.symbol, now, new.client, new.order, new.side, new.price, new.qty)
        self._told(told, new, order.order)

    def _query(self, asked: Query) -> Response:
        ident = asked.order or self.by_client.get(asked.client, "")
        order = self.orders.get(ident)
        if order is None or order.client in self.deaf or self.host.now() - self.born[ident] < self.lag_ns:
            return self._refuse(404, "order not found")
        return encode_reply(order)

    def _read(self, path: str, whole: str) -> Response:
        query = parse_qs(whole.partition("?")[2])
        if path == "/v2/orders":
            after = rfc3339_ns(query["after"][0]) if "after" in query else 0
            found = [o for o in self.orders.values() if o.open and o.ts_venue > after]
            return encode_reply(found[:500])
        if path == "/v2/positions":
            return encode_reply([Position(s, str(q), "100") for s, q in self.held.items() if q])
        if path == "/v2/account/activities/FILL":
            return self._activities(query)
        return self._refuse(404, "not found")

    def _activities(self, query) -> Response:
        after = rfc3339_ns(query["after"][0])
        token = query.get("page_token", [""])[0]
        seen = int(token.rpartition("-")[2]) if token else 0
        now = self.host.now()
        found = [
            e for e in self.executions
            if e.ts > after and e.number > seen and not e.busted and now - e.ts >= self.lag_ns
        ][:PAGE]  # fmt: skip
        body = [
            {
                "activity_type": "FILL", "id": f"20200101000000000::{e.id}", "transaction_time": rfc3339_text(e.ts),
                "type": "fill", "price": e.price, "qty": str(e.qty), "side": "buy" if e.order.side > 0 else "sell",
                "symbol": e.order.symbol, "order_id": e.order.order, "leaves_qty": "0", "cum_qty": str(e.qty),
            }
            for e in found
        ]  # fmt: skip
        return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(body))

    # --- what happens to orders ---------------------------------------------------------------------------------------

    def _later(self, call) -> None:
        if self.late_ns:
            self.host.at(self.host.now() + self.late_ns, call)
        else:
            call()

    def _told(self, report: Report, order: OrderStatus, replaces: str = "") -> None:
        frame = encode_update(report, order, replaces)
        for talk in list(self.talks):
            if talk.listens and not self.quiet:
                talk.link.send(frame, True)

    def open_orders(self) -> list[OrderStatus]:
        if self._open_at != self.changes:
            self._open, self._open_at = [order for order in self.orders.values() if order.open], self.changes
        return self._open

    def order(self, client: str) -> OrderStatus:
        return self.orders[self.by_client[client]]

    def fill(self, order: OrderStatus, qty: int, price: str = "") -> Execution:
        """Trade a part of an open order."""
        now = self.host.now()
        made = Execution(len(self.executions) + 1, order, price or order.price, qty, now)
        self.executions.append(made)
        filled = int(order.filled) + qty
        self.changes += 1
        assert order.open and 0 < filled <= int(order.qty)
        order.filled, order.ts_venue = str(filled), now
        order.open = filled < int(order.qty)
        order.state = "partially_filled" if order.open else "filled"
        self.held[order.symbol] = self.held.get(order.symbol, 0) + order.side * qty
        self._told(self._fill_report(made, Kind.FILL), order)
        return made

    def bust(self, made: Execution) -> None:
        made.busted = True
        self.changes += 1
        self.held[made.order.symbol] -= made.order.side * made.qty
        self._told(self._fill_report(made, Kind.FILL_BUST), made.order)

    def _fill_report(self, made: Execution, kind: Kind) -> Report:
        order = made.order
        return Report(
            int(kind), order.symbol, self.host.now(), order.client, order.order, order.side, made.price, str(made.qty),
            made.id,
        )  # fmt: skip

    def end(self, order: OrderStatus, kind: Kind = Kind.CANCELLED) -> None:
        """Take off what is left."""
        order.open, order.ts_venue = False, self.host.now()
        self.changes += 1
        order.state = "canceled" if kind == Kind.CANCELLED else "expired"
        self._told(Report(int(kind), order.symbol, order.ts_venue, order.client, order.order), order)

    def cash(self) -> Decimal:
        return -sum((Decimal(e.price) * e.qty * e.order.side for e in self.executions if not e.busted), Decimal(0))

    # --- a life of its own --------------------------------------------------------------------------------------------

    def live(self, seed: int, every_ns: int) -> None:
        """Fill and end open orders by chance from now on."""
        source = random.Random(seed)

        def turn() -> None:
            found = self.open_orders()
            if found:
                order = source.choice(found)
                left = int(order.qty) - int(order.filled)
                if source.random() < 0.8:
                    self.fill(order, source.randint(1, left) if source.random() < 0.7 else left)
                elif source.random() < 0.2:
                    self.end(order, Kind.EXPIRED)
            self.host.at(self.host.now() + int(source.expovariate(1.0 / every_ns)), turn)

        self.host.at(self.host.now() + every_ns, turn)
