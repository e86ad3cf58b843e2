"""What the exchange reports of a desk's orders, booked and told on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from nanotick.core.records import MAKER, Kind
from nanotick.exchange.market.records import EXCHANGE, TRADE_ROW
from nanotick.venues.desk_accounts import DeskAccount
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_terms import VenueTerms, amount_text
from nanotick.venues.paced_market import PacedMarket, Raw, bytes_of, word_at, words_of
from nanotick.wire.reports import Report

if TYPE_CHECKING:
    from nanotick.exchange.market.exchange import MatchingExchange

ORDERS_KEPT = 1 << 18  # an account: the oldest that have ended are forgotten
_TRADE = struct.Struct("<9q")  # number, price, qty, taker id, maker id, taker seq, maker seq, fees
_ACCEPTED, _FILL = int(Kind.ACCEPTED), int(Kind.FILL)
_EXPIRED, _REPLACED, _TRIGGERED = int(Kind.EXPIRED), int(Kind.REPLACED), int(Kind.TRIGGERED)
_REJECTED, _CANCEL_REJECTED, _BUST = int(Kind.REJECTED), int(Kind.CANCEL_REJECTED), int(Kind.FILL_BUST)


class DeskReports:
    """The private side of a desk: reports into orders, money and followers."""

    def __init__(self, exchange: MatchingExchange, market: PacedMarket, terms: VenueTerms, seed: int) -> None:
        self.market, self.terms, self.seed = market, terms, seed
        self._trades = bytes_of(exchange.regions["trades"].view)
        self._trades_made, self._trade_mask = word_at(EXCHANGE, "trades"), word_at(EXCHANGE, "trade_mask")
        self._root = words_of(exchange._root)
        self._orders = self._executions = 0
        self._amending: tuple[int, int, str, str] | None = None  # number, stop price, new ids if it is renewed

    def _say(self, order: DeskOrder, basic: str) -> None:
        order.basic = basic
        order.state = self.terms.states.get(basic, basic)

    def _end(self, order: DeskOrder, basic: str, now: int) -> None:
        self._say(order, basic)
        order.open, order.ended_ns = False, now
        if order.lock_qty:
            order.account.ledger.lock(order, -order.lock_qty)
        order.account.ended(order, ORDERS_KEPT)

    def _on_report(self, account: DeskAccount, raw: Raw) -> None:
        stamp, _, seq, price, qty, number, word, _, _, kind, _side, flags = raw
        if kind == _REJECTED or kind == _CANCEL_REJECTED:
            return  # the caller has it as an answer
        now = self.market.wall(stamp)
        if kind == _BUST:
            self._busted(account, seq, now)
            return
        order = account.by_number.get(number)
        if order is None:
            return
        now = order.updated_ns = order.ts_venue = max(now, order.updated_ns)
        fill = None
        if kind == _FILL:
            fill = self._filled(account, order, seq, now, price, qty, word, flags & MAKER != 0)
        elif kind == _REPLACED:
            order = self._replaced(account, order, price, qty, now)
        elif kind == _TRIGGERED:
            order.triggered = True
        elif kind != _ACCEPTED:
            order.reason = word
            self._end(order, "expired" if kind == _EXPIRED else "canceled", now)
        if account.followers:
            self._tell(account, order, kind, now, qty, word, fill)

    @staticmethod
    def _tell(
        account: DeskAccount, order: DeskOrder, kind: int, now: int, qty: int, word: int, fill: Fill | None
    ) -> None:
        """Tell the followers what has happened."""
        report = Report(kind, order.symbol, now, order.client, order.order, order.side)
        if fill is not None:
            report.price, report.qty = fill.price_text, fill.qty_text
            report.execution, report.maker = fill.execution, fill.maker
            report.fee, report.fee_asset = amount_text(fill.fee), fill.fee_asset
        elif kind == _ACCEPTED or kind == _REPLACED:
            report.price, report.qty = order.price, order.qty
        elif kind != _TRIGGERED:
            report.reason, report.qty = word, order.listing.qty_text(qty)
        for follower in tuple(account.followers):
            follower(report, order)

    def _filled(
        self, account: DeskAccount, order: DeskOrder, seq: int, now: int, price: int, qty: int, fee: int, maker: bool
    ) -> Fill:
        listing, ledger = order.listing, account.ledger
        ledger.lock(order, -min(qty, order.lock_qty))
        order.book_fill(price, qty)
        paid, asset, position = ledger.fill(order, price, qty, fee * listing.value_unit if fee else 0)
        order.fees[asset] = order.fees.get(asset, 0) + paid
        self._executions += 1
        execution = self.terms.execution_id(self.seed + 1, self._executions)
        fill = Fill(
            self._trade_of(seq),
            execution,
            seq,
            now,
            order,
            price,
            qty,
            paid,
            asset,
            maker,
            position,
            order.filled_units,
        )
        order.fills.append(fill)
        account.fills.append(fill)
        account.by_seq[seq] = fill
        if order.filled_units >= order.qty_units:
            self._end(order, "filled", now)
        else:
            self._say(order, "partially_filled")
        return fill

    def _trade_of(self, seq: int) -> int:
        """Number of the trade whose fill has this sequence number; 0 when it is out of reach."""
        mask = self._root[self._trade_mask]
        number = self._root[self._trades_made]
        for back in range(min(mask, number)):
            row = _TRADE.unpack_from(self._trades, ((number - back) & mask) * TRADE_ROW.itemsize)
            if row[5] == seq or row[6] == seq:
                return int(row[0])
            if row[5] < seq and row[6] < seq:
                break
        return 0

    def _replaced(self, account: DeskAccount, order: DeskOrder, price: int, qty: int, now: int) -> DeskOrder:
        ledger, listing = account.ledger, order.listing
        ledger.lock(order, -order.lock_qty)
        amending, self._amending = self._amending, None
        if amending is not None and amending[0] == order.number:
            _, stop, ident, client = amending
            if ident:
                old, order = order, order.renewed(ident, client, self._orders, now)
                old.replaced_by = ident
                self._end(old, "replaced", now)
                account.add(order)
                self._say(order, "partially_filled" if order.filled_units else "new")
            order.stop_units = stop
        order.price_units, order.qty_units = price, qty
        order.price = listing.price_text(price) if price else ""
        order.stop = listing.price_text(order.stop_units) if order.stop_units else ""
        order.qty = listing.qty_text(qty)
        ledger.relock(order)
        return order

    def _busted(self, account: DeskAccount, seq: int, now: int) -> None:
        fill = account.by_seq.get(seq)
        if fill is None or fill.busted:
            return
        order, listing = fill.order, fill.order.listing
        fill.busted = True
        order.book_fill(fill.price, -fill.qty)
        order.updated_ns = order.ts_venue = now
        account.ledger.undo(fill)
        order.fees[fill.fee_asset] -= fill.fee
        report = Report(
            _BUST, order.symbol, now, order.client, order.order, order.side, listing.price_text(fill.price),
            listing.qty_text(fill.qty), fill.execution, amount_text(fill.fee), fill.fee_asset, fill.maker,
        )  # fmt: skip
        for follower in tuple(account.followers):
            follower(report, order)
