"""The desk: an embedded exchange as a venue shows it to its customers. Every served venue is protocol in front of one.

    desk = Desk(host, "crypto", venue="BINANCE", accounts=[Account("key", "secret", balances={"USDT": "10000"})])
    me = desk.accounts["key"]
    desk.follow(me, lambda report, order: ...)              # private: what happened, the order after it
    desk.watch(["BTCUSDT"], lambda rows: ...)               # public: EVENT rows (LEVEL, QUOTE, TRADE, BREAK, STATUS)
    desk.start()
    order = desk.enter(me, Entry("BTCUSDT", "mine-1", 1, "0.01", "95000"))
    if isinstance(order, Refusal): ...                      # reason, words; nothing happened
    desk.cancel(me, order.order)                            # or client="mine-1"

What it says is in decimal text and the venue's own terms (`VenueTerms`: ids, client id rule, words for states, how
money is held, fees). All times are the host's, ns UTC. A `DeskOrder` is alive: its fields change as things happen.

A command is worked at once: the market lives up to the present, the exchange answers, followers hear of all of it
before `enter`, `cancel` or `amend` returns. A follower must not give commands itself (`host.at(host.now(), ...)`).
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nanotick.core.records import CancelReason, CommandFlag, Kind, OrderType, RejectReason, TimeInForce
from nanotick.exchange.agents.description import MarketDescription
from nanotick.exchange.market import Participant
from nanotick.venues.desk_accounts import RATE_UNIT, DeskAccount, Follower, MarginLedger, SpotLedger
from nanotick.venues.desk_orders import DeskOrder, Fill
from nanotick.venues.desk_public import PublicRows
from nanotick.venues.desk_reports import ORDERS_KEPT, DeskReports
from nanotick.venues.desk_terms import Account, ClientRule, Listing, Money, Refusal, VenueTerms, amount_text
from nanotick.venues.host import Host
from nanotick.venues.paced_market import PacedMarket, Source
from nanotick.wire.json_text import WireError, scaled
from nanotick.wire.reports import Account as AccountFigures
from nanotick.wire.reports import Balance, Position
from nanotick.wire.requests import Entry

_COMMAND = struct.Struct("<6qBBHIIBBbB")
_TRADE = struct.Struct("<9q")  # number, price, qty, taker id, maker id, taker seq, maker seq, fees
_NS = 1_000_000_000
_DIGITS = 18  # that always fit 64 bits
_NEW, _CANCEL, _REPLACE = int(Kind.NEW), int(Kind.CANCEL), int(Kind.REPLACE_ORDER)
_ACCEPTED, _FILL, _CANCELLED = int(Kind.ACCEPTED), int(Kind.FILL), int(Kind.CANCELLED)
_EXPIRED, _REPLACED, _TRIGGERED = int(Kind.EXPIRED), int(Kind.REPLACED), int(Kind.TRIGGERED)
_REJECTED, _CANCEL_REJECTED, _BUST = int(Kind.REJECTED), int(Kind.CANCEL_REJECTED), int(Kind.FILL_BUST)
_MARKET, _STOP, _STOP_LIMIT = int(OrderType.MARKET), int(OrderType.STOP), int(OrderType.STOP_LIMIT)
_POST_ONLY, _REDUCE_ONLY = int(CommandFlag.POST_ONLY), int(CommandFlag.REDUCE_ONLY)
_GTD = int(TimeInForce.GTD)
_DUPLICATE, _UNKNOWN, _TOO_LATE = (
    int(RejectReason.DUPLICATE_ID), int(RejectReason.UNKNOWN_ORDER), int(RejectReason.TOO_LATE)
)  # fmt: skip
_BAD_PRICE, _BAD_QTY = int(RejectReason.INVALID_PRICE), int(RejectReason.INVALID_QUANTITY)
_NO_SYMBOL, _BLOCKED, _OTHER = (
    int(RejectReason.UNKNOWN_INSTRUMENT), int(RejectReason.BLOCKED), int(RejectReason.OTHER)
)  # fmt: skip
_VENUE_CANCEL = int(CancelReason.VENUE)
_WORDS = {
    RejectReason.UNKNOWN_ORDER: "no such order", RejectReason.POST_ONLY_WOULD_CROSS: "a post-only order would take",
    RejectReason.INVALID_PRICE: "price is off the tick or out of bounds",
    RejectReason.INVALID_QUANTITY: "quantity is off the lot or out of bounds",
    RejectReason.MARKET_CLOSED: "market is closed", RejectReason.HALTED: "trading is halted",
    RejectReason.UNSUPPORTED: "this type of order does not exist here, or not now",
    RejectReason.TOO_LATE: "too late", RejectReason.LIMIT_REACHED: "a limit of the account is reached",
    RejectReason.BLOCKED: "account is blocked", RejectReason.BOOK_FULL: "the exchange takes no more orders",
    RejectReason.REDUCE_ONLY: "there is no position to reduce",
}  # fmt: skip


def units(text: str, decimals: int, what: str) -> int:
    """As `wire.json_text.scaled`; plain decimals, which nearly all are, take a shorter way.

    >>> units("100.5", 2, "price"), units("7", 0, "quantity")
    (10050, 7)
    """
    whole, _, fraction = text.partition(".")
    if whole.isdigit() and len(fraction) <= decimals and len(whole) + decimals <= _DIGITS and text.isascii():
        if not fraction:
            return int(whole) * 10**decimals if whole == text else scaled(text, decimals, what)
        if fraction.isdigit():
            return int(whole + fraction) * 10 ** (decimals - len(fraction))
    return scaled(text, decimals, what)


class Desk(PublicRows, DeskReports):
    """An exchange with accounts, in a venue's terms.

    Parameters
    ----------
    host : Host
    market : str, Path, MarketDescription, Source or PacedMarket
        A description by name or file, a recording, or a market that other desks share (then `speed`, `seed` and
        `market_settings` are its own).
    venue : str
        The exchange's name in the market; its first if empty.
    accounts : iterable of Account
    speed, seed
        Of a market of its own, see `PacedMarket`. The seed also makes the ids.
    terms : VenueTerms
    market_settings
        As in `PacedMarket`: symbols, warm_up, by_order.

    Attributes
    ----------
    market : PacedMarket
    listings : dict of symbol to Listing
        Under the venue's names.
    accounts : dict of API key to DeskAccount

    Raises
    ------
    ValueError
        No such exchange in the market, or an account with assets or symbols it cannot have.
    """

    def __init__(
        self,
        host: Host,
        market: str | Path | MarketDescription | Source | PacedMarket,
        venue: str = "",
        accounts: Iterable[Account] = (),
        speed: str | float = 1,
        seed: int = 1,
        *,
        terms: VenueTerms | None = None,
        **market_settings: Any,
    ) -> None:
        self.host = host
        self.terms = terms if terms is not None else VenueTerms()
        if not isinstance(market, PacedMarket):
            market = PacedMarket(host, market, speed=speed, seed=seed, **market_settings)
        elif market_settings:
            raise ValueError(f"settings of a shared market are its own: {', '.join(market_settings)}")
        self.market = market
        self.seed = seed
        venues = market.instruments.venues
        if venue and venue not in venues:
            raise ValueError(f"venue: the market has {', '.join(venues)}, found {venue!r}")
        self.venue = venue or venues[0]
        self.exchange_number = venues.index(self.venue)
        self.exchange = market.exchanges[self.exchange_number]
        self.listings: dict[str, Listing] = {}
        for number, item in enumerate(market.instruments):
            if item.venue == self.venue:
                symbol = self.terms.symbol(item)
                self.listings[symbol] = Listing(number, symbol, item)
        PublicRows.__init__(self, self.exchange, self.listings)
        DeskReports.__init__(self, self.exchange, market, self.terms, seed)
        self._fees = market.source.fees_of(self.venue)
        self.accounts: dict[str, DeskAccount] = {}
        self._known: dict[tuple[str, str | None], DeskAccount] = {}  # what was shown and found right
        for account in accounts:
            self.open_account(account)
        market.watch(self.exchange_number, self.on_rows)

    # --- accounts ---------------------------------------------------------------------------------------------------

    @property
    def instruments(self) -> list[Listing]:
        """What is traded here, in the market's order."""
        return list(self.listings.values())

    def open_account(self, account: Account) -> DeskAccount:
        """Take on a customer, before or during the session."""
        if account.key in self.accounts:
            raise ValueError(f"account: key {account.key!r} is taken")
        fees = account.fees or (self._fees if self.terms.fees else None)
        ledger: SpotLedger | MarginLedger
        if self.terms.money == Money.SPOT:
            rate = int(RATE_UNIT * float(fees.taker_rate)) if fees is not None else 0
            ledger = SpotLedger(account, self.terms.fee_in, rate, self.terms.fee_decimals)
        else:
            for symbol in account.positions:
                if symbol not in self.listings:
                    raise ValueError(f"account {account.key}: no symbol {symbol!r} at {self.venue}")
            ledger = MarginLedger(account, self.listings, self.mark)
        held = DeskAccount(account, f"NT{self.seed:03d}{len(self.accounts) + 1:06d}", ledger)
        held.participant = self.market.enrol(
            self.exchange_number,
            Participant(self_trade=self.terms.self_trade, fees=fees, blocked=account.blocked),
            lambda raw, owner=held: self._on_report(owner, raw),  # type: ignore[misc]
        )
        self.accounts[account.key] = held
        return held

    def login(self, key: str, secret: str | None = None) -> DeskAccount | None:
        """The account of a key (and its secret, where one is sent); None when that is not right."""
        known = self._known.get((key, secret))
        if known is not None:
            return known
        account = self.accounts.get(key)
        if account is None:
            return None
        if secret is not None and not hmac.compare_digest(secret.encode(), account.terms.secret.encode()):
            return None
        self._known[key, secret] = account
        return account

    def follow(self, account: DeskAccount, callback: Follower) -> Callable[[], None]:
        """Hear what happens to an account's orders, `callback(Report, DeskOrder)`; call what is returned to stop.

        Kinds: ACCEPTED, FILL, CANCELLED, EXPIRED, REPLACED, TRIGGERED, FILL_BUST. Refusals are answers, not reports.
        """
        account.followers.append(callback)

        def stop() -> None:
            if callback in account.followers:
                account.followers.remove(callback)

        return stop

    # --- running ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the market live (shared ones once)."""
        self.market.start()

    def stop(self) -> None:
        """No more time passes."""
        self.market.stop()

    # --- commands ---------------------------------------------------------------------------------------------------

    def enter(self, account: DeskAccount, entry: Entry, now: int = 0, ident: str = "") -> DeskOrder | Refusal:
        """A new order.

        Parameters
        ----------
        now : int
            Host time; the host's if left out.
        ident : str
            Its id, where the venue has told one already; made by the terms if empty.

        Returns
        -------
        DeskOrder or Refusal
            The order as it stands after all that it set off at once; a refusal has left no trace.
        """
        listing = self.listings.get(entry.symbol)
        if listing is None:
            return Refusal(_NO_SYMBOL, f"no symbol {entry.symbol!r}")
        client = entry.client
        if client and self.terms.client_ids != ClientRule.ANY:
            earlier = account.clients.get(client)
            if earlier is not None and (self.terms.client_ids == ClientRule.EVER or earlier.open):
                return Refusal(_DUPLICATE, "client order id must be unique")
        reason = _BAD_QTY
        try:
            qty = units(entry.qty, listing.qty_decimals, "quantity")
            reason = _BAD_PRICE
            price = units(entry.price, listing.price_decimals, "price") if entry.price else 0
            stop = units(entry.stop, listing.price_decimals, "stop price") if entry.stop else 0
        except WireError as error:
            return Refusal(reason, str(error))
        if qty <= 0:
            return Refusal(_BAD_QTY, "quantity must be more than 0")
        order_type = entry.order_type
        if order_type == _MARKET:
            price = stop = 0
        flags = (_POST_ONLY if entry.post_only else 0) | (_REDUCE_ONLY if entry.reduce_only else 0)
        now = now or self.host.now()
        market = self.market
        arrives = market.advance(now)
        if market._stopped:
            return Refusal(_OTHER, f"the market stopped: {market._stopped}")
        self._orders += 1
        account.last_number += 1
        ident = ident or self.terms.order_id(self.seed, self._orders)
        order = DeskOrder(
            entry.symbol, client, ident, entry.side, order_type, entry.tif,
            listing.price_text(price) if price else "", listing.price_text(stop) if stop else "", listing.qty_text(qty),
            "0", "", True, now, "0",
            account, listing, account.last_number, self._orders, price, stop, qty,
            created_ns=now, updated_ns=now, expire_ns=entry.expire_ns if entry.tif == _GTD else 0, flags=flags,
        )  # fmt: skip
        refusal = account.ledger.need(order, self._cost)
        if refusal is not None:
            return refusal
        expire = 0
        if order.expire_ns:
            expire = max(0, min((1 << 32) - 1, -(-market.session(order.expire_ns) // _NS)))
        self._say(order, "new")
        account.add(order)
        account.ledger.lock(order, qty)
        reason = market.command(
            self.exchange_number,
            _COMMAND.pack(
                arrives, stop, 0, price, qty, order.number, order_type, entry.tif, account.participant, expire,
                listing.number, self.exchange_number, _NEW, entry.side, flags,
            ),
        )  # fmt: skip
        if reason:
            account.ledger.lock(order, -order.lock_qty)
            account.ended(order, ORDERS_KEPT)
            account.orders.pop(order.order, None)
            if account.clients.get(client) is order:
                del account.clients[client]
            return Refusal(reason, _WORDS.get(RejectReason(reason), RejectReason(reason).name.lower()))
        return order

    def find(self, account: DeskAccount, order: str = "", client: str = "") -> DeskOrder | None:
        """An order of the account by the venue's id, or by the client's."""
        return account.orders.get(order) if order else account.clients.get(client)

    def cancel(self, account: DeskAccount, order: str = "", client: str = "", now: int = 0) -> DeskOrder | Refusal:
        """Take an order off. UNKNOWN_ORDER: there is none; TOO_LATE: it is no longer open."""
        found = account.orders.get(order) if order else account.clients.get(client)
        if found is None:
            return Refusal(_UNKNOWN, "no such order")
        arrives = self.market.advance(now or self.host.now())
        if not found.open:
            return Refusal(_TOO_LATE, f"order is {found.state}")
        reason = self._command(found, _CANCEL, arrives)
        if reason:
            return Refusal(reason, _WORDS.get(RejectReason(reason), "not cancelled"))
        return found

    def cancel_all(self, account: DeskAccount, symbol: str = "", now: int = 0) -> list[DeskOrder]:
        """Take off all open orders, of one symbol or all; gives those that were, oldest first."""
        now = now or self.host.now()
        asked = [o for o in account.open.values() if not symbol or o.symbol == symbol]
        return [o for o in asked if o.open and isinstance(self.cancel(account, o.order, now=now), DeskOrder)]

    def amend(
        self,
        account: DeskAccount,
        order: str = "",
        client: str = "",
        *,
        qty: str = "",
        price: str = "",
        stop: str = "",
        renew: bool = False,
        new_client: str = "",
        now: int = 0,
    ) -> DeskOrder | Refusal:
        """Give an open order another total quantity, price or stop price; what is left empty stays.

        It keeps its place in the queue where only the quantity falls.

        Parameters
        ----------
        renew : bool
            The venue makes a new order of it, with its own id, and `new_client` or the old client id; the old one ends
            as `replaced`. What is filled counts in the new one. Without it the order stays what it is (Kraken), and
            `new_client`, if given, becomes its client id.

        Returns
        -------
        DeskOrder or Refusal
            The order that lives on.
        """
        found = account.orders.get(order) if order else account.clients.get(client)
        if found is None:
            return Refusal(_UNKNOWN, "no such order")
        now = now or self.host.now()
        arrives = self.market.advance(now)
        if not found.open:
            return Refusal(_TOO_LATE, f"order is {found.state}")
        if new_client and new_client != found.client and self.terms.client_ids != ClientRule.ANY:
            earlier = account.clients.get(new_client)
            if earlier is not None and (self.terms.client_ids == ClientRule.EVER or earlier.open):
                return Refusal(_DUPLICATE, "client order id must be unique")
        listing = found.listing
        reason = _BAD_QTY
        try:
            qty_units = scaled(qty, listing.qty_decimals, "quantity") if qty else found.qty_units
            reason = _BAD_PRICE
            price_units = scaled(price, listing.price_decimals, "price") if price else found.price_units
            stop_units = scaled(stop, listing.price_decimals, "stop price") if stop else found.stop_units
        except WireError as error:
            return Refusal(reason, str(error))
        if qty_units <= found.filled_units:
            return Refusal(_BAD_QTY, f"quantity must be more than the {found.filled} filled")
        refusal = account.ledger.more(found, price_units, stop_units, qty_units)
        if refusal is not None:
            return refusal
        ident = ""
        if renew:
            self._orders += 1
            ident = self.terms.order_id(self.seed, self._orders)
        self._amending = found.number, stop_units, ident, new_client or found.client
        reason = self._command(found, _REPLACE, arrives, price_units, qty_units, stop_units)
        self._amending = None
        if reason:
            return Refusal(reason, _WORDS.get(RejectReason(reason), "not replaced"))
        if new_client and not renew:
            account.clients.pop(found.client, None)
            found.client = new_client
            account.clients[new_client] = found
        return account.orders.get(found.replaced_by, found)

    def _command(self, order: DeskOrder, kind: int, arrives: int, price: int = 0, qty: int = 0, stop: int = 0) -> int:
        return self.market.command(
            self.exchange_number,
            _COMMAND.pack(
                arrives, stop, 0, price, qty, order.number, 0, 0, order.account.participant, 0, order.listing.number,
                self.exchange_number, kind, order.side, 0,
            ),
        )  # fmt: skip

    def bust(self, trade: int) -> bool:
        """Undo a trade by its number: both sides hear FILL_BUST, the public BREAK. False: unknown, too old, undone."""
        self.market.advance(self.host.now())
        return self.market.bust(self.exchange_number, trade)

    # --- asking -----------------------------------------------------------------------------------------------------

    def order(self, account: DeskAccount, order: str = "", client: str = "") -> DeskOrder | None:
        """An order by the venue's id or the client's (the latest with it)."""
        return account.orders.get(order) if order else account.clients.get(client)

    def orders(self, account: DeskAccount, open_only: bool = False, symbol: str = "") -> list[DeskOrder]:
        """Orders, oldest first."""
        held = account.open if open_only else account.orders
        return [o for o in held.values() if not symbol or o.symbol == symbol]

    def fills(self, account: DeskAccount, since: int = 0, symbol: str = "") -> list[Fill]:
        """Executions from a host time on (ns UTC, included), oldest first; not those undone."""
        found = []
        for fill in reversed(account.fills):
            if fill.ts < since:
                break
            if not fill.busted and (not symbol or fill.order.symbol == symbol):
                found.append(fill)
        found.reverse()
        return found

    def balances(self, account: DeskAccount) -> list[Balance]:
        """Assets of a spot account, free and locked; cash of a margin account."""
        ledger = account.ledger
        if isinstance(ledger, MarginLedger):
            return [Balance("USD", amount_text(ledger.cash), "0", self.host.now())]
        now = self.host.now()
        return [
            Balance(name, amount_text(free), amount_text(ledger.locked.get(name, 0)), now)
            for name, free in ledger.free.items()
        ]

    def positions(self, account: DeskAccount) -> list[Position]:
        """What a margin account holds; nothing for a spot account, whose coins are balances."""
        ledger = account.ledger
        if not isinstance(ledger, MarginLedger):
            return []
        found = []
        for listing in self.listings.values():
            row = ledger.positions.get(listing.number)
            if row is not None:
                found.append(Position(listing.symbol, listing.qty_text(row[0]), amount_text(self._mean(listing, *row))))
        return found

    @staticmethod
    def _mean(listing: Listing, qty: int, cost: int) -> int:
        """Mean price of a position as an amount."""
        shares = abs(qty) * listing.qty_unit
        mean = cost * 10**18 // shares
        return mean // 10**10 * 10**10  # to eight places

    def account(self, account: DeskAccount) -> AccountFigures:
        """Cash, buying power and equity of a margin account; of a spot account cash is its first asset."""
        ledger = account.ledger
        if isinstance(ledger, MarginLedger):
            return AccountFigures(
                account.number, "USD", amount_text(ledger.cash), amount_text(max(0, ledger.power())),
                amount_text(ledger.equity()), account.terms.blocked, account.terms.shorting,
            )  # fmt: skip
        name = next(iter(ledger.free), "")
        free = amount_text(ledger.free.get(name, 0))
        total = amount_text(ledger.free.get(name, 0) + ledger.locked.get(name, 0))
        return AccountFigures(account.number, name, total, free, total, account.terms.blocked, False)
