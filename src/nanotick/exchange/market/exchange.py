"""The Python face of the matching engine: an exchange laid into an arena, to be told things and read.

arena = Arena(MatchingExchange.reserve(instruments=1))
exchange = MatchingExchange(arena, [Instrument("ABC", "SIM")])
exchange.submit(0, 1, side=1, price=10_000, qty=100, participant=1)
exchange.submit(0, 1, side=-1, price=10_000, qty=40, participant=2)
exchange.reports()["kind"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import BookStore
from nanotick.book.records import EMPTY_ASK, EMPTY_BID
from nanotick.core.arena import HUGE_PAGE, Arena
from nanotick.core.instruments import INSTRUMENT, Instrument, InstrumentTable
from nanotick.core.kernel import python_body
from nanotick.core.records import COMMAND, EVENT, Kind, OrderType, RejectReason, TimeInForce
from nanotick.exchange.market import records
from nanotick.exchange.market.bands import set_reference
from nanotick.exchange.market.config import ExchangeConfig, MarketRules, Participant
from nanotick.exchange.market.engine import Call, exchange_batch, exchange_call


class ExchangeError(RuntimeError):
    """The exchange cannot go on: a ring was not read in time, or its state is inconsistent."""


def _pow2(n: int) -> int:
    return 1 << max(4, (n - 1).bit_length())


class MatchingExchange:
    """An exchange with a book, a public feed and private reports.

    Parameters
    ----------
    arena : Arena
    instruments : InstrumentTable or iterable of Instrument
        Numbered from 0 in the order given.
    config : ExchangeConfig, optional
        Rules, participants, fees.
    name : str
        Prefix of the regions.
    feed, reports, trades : int
        Room of the rings in records, rounded up to powers of two.
    book : mapping, optional
        `max_orders`, `max_levels` of the BookStore.

    Attributes
    ----------
    address : int
        Of the EXCHANGE record: what kernels take.
    book : BookStore
        Displayed book of instrument i under number i; other parts as in `records.Part`.
    """

    def __init__(
        self,
        arena: Arena,
        instruments: InstrumentTable | Iterable[Instrument],
        config: ExchangeConfig | None = None,
        *,
        name: str = "market",
        feed: int = 1 << 16,
        reports: int = 1 << 16,
        trades: int = 1 << 16,
        book: Mapping[str, int] | None = None,
    ) -> None:
        self.config = config if config is not None else ExchangeConfig()
        self.instruments = instruments if isinstance(instruments, InstrumentTable) else InstrumentTable(instruments)
        self.name = name
        self._arena = arena
        count = len(self.instruments)
        sizes = {"max_orders": 1 << 20, "max_levels": 1 << 18, **(book or {})}
        ticks = [item.price(item.tick_size) for item in self.instruments]
        self.book = BookStore(arena, f"{name}.book", records.PARTS * count, ticks * records.PARTS, **sizes)
        slots = sizes["max_orders"] + 1
        root = arena.region(f"{name}.exchange", records.EXCHANGE, 1)
        self._root = root.view
        self.address = root.address
        table = self.instruments.bind(arena, f"{name}.instruments")
        self._commands = arena.region(f"{name}.command", COMMAND, 1, transient=True)
        regions: dict[str, Any] = {"instruments": table}
        used = self.book.regions["store"].address + records_offset("order_next")
        for part, dtype, size, counter in (
            ("markets", records.MARKET, count, 0),
            ("orders", records.MARKET_ORDER, slots, used),
            ("expire_times", np.dtype("<i8"), slots, used),
            ("participants", records.PARTICIPANT, self.config.max_participants, 0),
            ("feed", EVENT, _pow2(feed), 0),
            ("reports", EVENT, _pow2(reports), 0),
            ("report_owners", np.dtype("<i4"), _pow2(reports), 0),
            ("taker", records.TAKER, 1, 0),
            ("trades", records.TRADE_ROW, _pow2(trades), 0),
            ("expiries", records.EXPIRY, slots, root.address + records.EXCHANGE.fields["expiries"][1]),  # type: ignore[index]
        ):
            regions[part] = arena.region(f"{name}.{part}", dtype, size, counter)
        regions["auction"] = arena.region(
            f"{name}.auction", records.AUCTION_ROW, 2 * sizes["max_levels"], transient=True
        )
        regions["ahead"] = arena.region(f"{name}.ahead", np.dtype("<i8"), records.AHEAD_PLACES, transient=True)
        rows = sorted(self.config.schedule, key=lambda row: row[0])
        regions["schedule"] = arena.region(f"{name}.schedule", records.SCHEDULE, max(1, len(rows)))
        for row, (ts, instrument, phase) in zip(regions["schedule"].view, rows, strict=False):
            row["ts"], row["instrument"], row["phase"] = ts, instrument, int(phase)
        self.regions = regions
        row = self._root[0]
        row["book_address"] = self.book.address
        for part, region in regions.items():
            row[f"{part}_address"] = region.address
        row["instruments"] = count
        row["participants"] = self.config.max_participants
        row["feed_mask"] = regions["feed"].count - 1
        row["report_mask"] = regions["reports"].count - 1
        row["trade_mask"] = regions["trades"].count - 1
        row["expiry_capacity"] = slots
        row["auction_capacity"] = sizes["max_levels"]
        row["schedule_end"] = len(rows)
        row["market_deadline"] = records.NEVER
        row["next_deadline"] = rows[0][0] if rows else records.NEVER
        self._lay_participants()
        for number in range(count):
            rules = self.config.rules_of(self.instruments[number].symbol)
            self._lay_market(number, rules)
            python_body(set_reference)(self.address, number, rules.reference)

    def _lay_participants(self) -> None:
        view = self.regions["participants"].view
        view["firm"] = np.arange(len(view))
        view["max_orders"] = (1 << 31) - 1
        view["max_qty"] = records.QTY_LIMIT
        shared = self._lay_fees(self.config.fees, "fees") if self.config.fees is not None else 0
        view["fees_address"] = shared
        for number, entry in self.config.participants.items():
            self.set_participant(number, entry)

    def _lay_fees(self, fees: Any, name: str) -> int:
        from nanotick.exchange.market.config import lay_fees

        return lay_fees(self._arena, fees, f"{self.name}.{name}")

    def set_participant(self, number: int, entry: Participant) -> None:
        """Give a participant its firm, self-trade prevention, limits, fees."""
        row = self.regions["participants"].view[number]
        row["firm"] = entry.firm if entry.firm is not None else number
        row["self_trade"] = int(entry.self_trade)
        row["max_orders"] = min(entry.max_orders, (1 << 31) - 1)
        row["max_qty"] = min(entry.max_qty, records.QTY_LIMIT)
        row["max_value"] = entry.max_value
        row["blocked"] = entry.blocked
        if entry.fees is not None and row["fees_address"] in (0, self._shared_fees()):
            row["fees_address"] = self._lay_fees(entry.fees, f"fees.{number}")
        if entry.positions and not row["positions_address"]:
            region = self._arena.region(f"{self.name}.positions.{number}", np.dtype("<i8"), len(self.instruments))
            row["positions_address"] = region.address

    def _shared_fees(self) -> int:
        name = f"{self.name}.fees"
        return self._arena[name].address if name in self._arena else 0

    def _lay_market(self, number: int, rules: MarketRules) -> None:
        row = self.regions["markets"].view[number]
        facts = self.regions["instruments"].view[number]
        assert facts.dtype == INSTRUMENT
        row["phase"] = int(rules.phase)
        row["feeds"] = int(rules.feeds)
        row["watch"] = int(records.Watch.QUOTES) if int(rules.feeds) & int(records.Feeds.QUOTES) else 0
        row["allocation"] = int(rules.allocation)
        row["tick"], row["lot"] = facts["tick_size"], facts["lot_size"]
        row["min_qty"] = max(1, int(facts["min_qty"]))
        row["max_qty"] = int(facts["max_qty"]) or records.QTY_LIMIT
        row["notional"] = facts["min_notional"]
        row["price_low"] = rules.price_low if rules.price_low is not None else int(facts["tick_size"])
        row["price_high"] = rules.price_high if rules.price_high is not None else records.QTY_LIMIT
        row["venue"] = facts["venue"]
        row["band_rate"] = round(rules.band * 1e9)
        row["band_action"] = int(rules.band_auction)
        row["limit_since"] = records.NEVER
        row["limit_ns"] = rules.limit_ns
        row["auction_ns"] = rules.auction_ns
        row["auction_end"] = records.NEVER
        row["indicative_ns"] = rules.indicative_ns
        row["indicative_next"] = records.NEVER
        row["window_ns"] = rules.window_ns
        row["reference_step"] = round(rules.reference_step * 1e9)
        row["auction_rule"] = int(rules.auction_rule)
        row["quote_bid"], row["quote_ask"] = EMPTY_BID, EMPTY_ASK

    @staticmethod
    def reserve(
        instruments: int,
        max_orders: int = 1 << 20,
        max_levels: int = 1 << 18,
        feed: int = 1 << 16,
        reports: int = 1 << 16,
        trades: int = 1 << 16,
        participants: int = 1024,
    ) -> int:
        """Bytes of address space an arena must have left for such an exchange."""
        own = (max_orders + 1) * (records.MARKET_ORDER.itemsize + 8 + records.EXPIRY.itemsize)
        own += _pow2(feed) * 64 + _pow2(reports) * 68 + _pow2(trades) * records.TRADE_ROW.itemsize
        own += max_levels * 2 * records.AUCTION_ROW.itemsize + participants * records.PARTICIPANT.itemsize
        own += instruments * (records.MARKET.itemsize + INSTRUMENT.itemsize) + 16 * HUGE_PAGE + (4 << 20)
        return own + BookStore.reserve(records.PARTS * instruments, max_orders, max_levels)

    # --- telling ----------------------------------------------------------------------------------------------------

    def _call(self, call: Call, a: int, b: int, now: int) -> int:
        answer = int(exchange_call(self.address, int(call), a, b, now))
        self._check()
        return answer

    def _check(self) -> None:
        status = records.ExchangeStatus(int(self._root[0]["status"]))
        if status:
            raise ExchangeError(
                f"exchange {self.name!r} stopped: {status.name}; read events() and reports() more often or make the "
                "rings larger (feed=, reports=)"
            )

    def command(self, record: npt.NDArray[Any] | np.void, now: int) -> RejectReason:
        """Work a COMMAND record; returns why it was refused, NONE if it was not."""
        self._commands.view.view(np.uint8)[...] = np.frombuffer(record.tobytes(), np.uint8)
        return RejectReason(self._call(Call.COMMAND, self._commands.address, 0, now))

    def submit(
        self,
        instrument: int,
        ident: int,
        side: int,
        qty: int,
        price: int = 0,
        *,
        participant: int = 0,
        order_type: OrderType = OrderType.LIMIT,
        tif: TimeInForce = TimeInForce.GTC,
        flags: int = 0,
        stop_price: int = 0,
        expire_s: int = 0,
        now: int = 0,
    ) -> RejectReason:
        """Enter an order."""
        row = self._commands.view[0]
        for field in COMMAND.names or ():
            row[field] = 0
        row["ts"], row["kind"], row["instrument"], row["id"] = now, int(Kind.NEW), instrument, ident
        row["side"], row["qty"], row["price"], row["stop_price"] = side, qty, price, stop_price
        row["strategy"], row["order_type"], row["tif"] = participant, int(order_type), int(tif)
        row["flags"], row["expire_s"] = int(flags), expire_s
        return RejectReason(self._call(Call.COMMAND, self._commands.address, 0, now))

    def _request(self, kind: Kind, now: int, **fields: int) -> RejectReason:
        row = self._commands.view[0]
        for field in COMMAND.names or ():
            row[field] = fields.get(field, 0)
        row["ts"], row["kind"] = now, int(kind)
        return RejectReason(self._call(Call.COMMAND, self._commands.address, 0, now))

    def cancel(self, instrument: int, ident: int, *, participant: int = 0, now: int = 0) -> RejectReason:
        """Cancel an order."""
        return self._request(Kind.CANCEL, now, instrument=instrument, id=ident, strategy=participant)

    def replace(
        self,
        instrument: int,
        ident: int,
        price: int,
        qty: int,
        *,
        participant: int = 0,
        stop_price: int = 0,
        now: int = 0,
    ) -> RejectReason:
        """Give an order a new price and total quantity."""
        return self._request(
            Kind.REPLACE_ORDER, now, instrument=instrument, id=ident, strategy=participant, price=price, qty=qty,
            stop_price=stop_price,
        )  # fmt: skip

    def cancel_all(
        self, participant: int, instrument: int = records.ALL_INSTRUMENTS, side: int = 0, now: int = 0
    ) -> RejectReason:
        """Cancel the orders of a participant (or ALL_PARTICIPANTS)."""
        return self._request(Kind.CANCEL_ALL, now, strategy=participant, instrument=instrument, side=side)

    def clock(self, now: int) -> int:
        """Do what is due by now; returns how many things were done."""
        return self._call(Call.CLOCK, 0, 0, now)

    def phase(self, instrument: int, phase: records.Phase, now: int = 0) -> int:
        """Put an instrument into a phase; returns the quantity traded in the auction that ended."""
        if not 0 <= instrument < len(self.instruments):
            raise IndexError(f"exchange {self.name!r}: no instrument {instrument}, there are {len(self.instruments)}")
        return self._call(Call.PHASE, instrument, int(phase), now)

    def bust(self, trade: int, now: int = 0) -> bool:
        """Undo a trade by its number; False when it is unknown, too old or undone already."""
        return self._call(Call.BUST, trade, 0, now) >= 0

    def correct(self, trade: int, price: int, now: int = 0) -> int:
        """Book a trade again at another price; the new trade's number, -1 as for a bust."""
        return self._call(Call.CORRECT, trade, price, now)

    def batch(self, commands: npt.NDArray[Any]) -> int:
        """Work COMMAND records, each at its own `ts`; returns how many (see `exchange_batch`)."""
        if commands.dtype != COMMAND or not commands.flags.c_contiguous:
            raise TypeError(f"expected a contiguous array of COMMAND records, found {commands.dtype}")
        done = int(exchange_batch(self.address, commands.ctypes.data, len(commands)))
        self._check()
        return done

    # --- reading ----------------------------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> int:
        """When `clock` has something to do, `records.NEVER` for never."""
        return int(self._root[0]["next_deadline"])

    def _read(self, ring: str, prefix: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        row = self._root[0]
        first, end = int(row[f"{prefix}_first"]), int(row[f"{prefix}_end"])
        places = np.arange(first, end) & int(row[f"{prefix}_mask"])
        row[f"{prefix}_first"] = end
        return self.regions[ring].view[places], places

    def events(self) -> npt.NDArray[Any]:
        """Public EVENT records since the last call."""
        return self._read("feed", "feed")[0]

    def reports(self) -> npt.NDArray[Any]:
        """Private EVENT records since the last call, of all participants."""
        return self.owned_reports()[1]

    def owned_reports(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Participants and EVENT records of the reports since the last call."""
        rows, places = self._read("reports", "report")
        return self.regions["report_owners"].view[places], rows

    def market(self, instrument: int) -> np.void:
        """The MARKET record of an instrument: phase, last price, counts."""
        return self.regions["markets"].view[instrument]

    def check(self) -> None:
        """Check every book; raises BookInvariantError."""
        for number in range(self.book.instruments):
            self.book.check(number)


def records_offset(field: str) -> int:
    """Offset of a field of the book store's root."""
    from nanotick.book.records import STORE

    assert STORE.fields is not None
    return int(STORE.fields[field][1])
