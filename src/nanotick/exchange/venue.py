"""The replay exchange's Python face: lays records and models into an arena and links them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book import BookStore
from nanotick.core.arena import Arena, Region
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import COMMAND, EVENT, RECORD_SIZE
from nanotick.core.zone import lay_zone
from nanotick.exchange import records
from nanotick.exchange.config import CROSS_NAMES, ConfigError, Fees, Impact, Latency, VenueConfig, check_name, scaled
from nanotick.exchange.custom import VenueModel, compile_model
from nanotick.exchange.draws import mix64
from nanotick.exchange.fees import FEES, FeeKind, FeeModel
from nanotick.exchange.impact import IMPACT, IMPACT_NAMES, ImpactKind, ImpactModel
from nanotick.exchange.latency import (
    LATENCY_NAMES,
    LATENCY_PATH,
    LATENCY_ROW,
    PATH_ENTRY,
    PATH_FEED,
    PATH_RESPONSE,
    LatencyKind,
    LatencyModel,
    latency_rows,
)
from nanotick.exchange.queue import QUEUE, QUEUE_NAMES, QueueKind, QueueModel
from nanotick.exchange.replay import Verb, venue_call

_INT64_MAX = (1 << 63) - 1


class ReplayVenue:
    """Our orders against recorded data that does not react.

    Parameters
    ----------
    arena : Arena
    instruments : InstrumentTable
    config : VenueConfig or mapping of str to VenueConfig
        One for all exchanges, or one by name of the exchange (`Instrument.venue`).
    name : str
        Prefix of the regions.
    max_orders : int
        Slots for our orders: client order ids with higher low bits are rejected.
    reports, commands : int
        Capacity of the two queues, powers of two.
    depletions, trace : int
        Levels that can be remembered as taken from at once; rows of the queue trace.
    book : mapping, optional
        Capacities of the venue's `BookStore`: max_orders, max_levels, max_depth, expected_orders.

    Attributes
    ----------
    address : int
        The root record, for the kernels of `exchange.replay`.
    book : BookStore
        The recorded book as the venue sees it.

    Raises
    ------
    ConfigError
        A configuration names what does not exist, or an exchange has none.
    """

    def __init__(
        self,
        arena: Arena,
        instruments: InstrumentTable,
        config: VenueConfig | Mapping[str, VenueConfig] | None = None,
        *,
        name: str = "venue",
        max_orders: int = 1 << records.ORDER_SLOT_BITS,
        reports: int = 1 << 15,
        commands: int = 1 << 15,
        depletions: int = 1 << 12,
        trace: int = 1 << 16,
        book: Mapping[str, Any] | None = None,
    ) -> None:
        for what, size in (("reports", reports), ("commands", commands)):
            if size < 2 or size & (size - 1):
                raise ValueError(f"{name}: {what} must be a power of two, found {size}")
        if not 0 < max_orders <= 1 << records.ORDER_SLOT_BITS:
            raise ValueError(f"{name}: max_orders must be 1 to {1 << records.ORDER_SLOT_BITS}, found {max_orders}")
        self.name = name
        self._arena = arena
        self._table = instruments
        count = max(1, len(instruments))
        ticks = [item.price(item.tick_size) for item in instruments] or [1]
        table = arena["instruments"] if "instruments" in arena else instruments.bind(arena)
        self.book = BookStore(arena, f"{name}.book", count, ticks, **dict(book or {}))
        self._root = arena.region(f"{name}.root", records.VENUE, 1)
        self.address = self._root.address
        root = self._root.view[0]
        markets = arena.region(f"{name}.markets", records.MARKET, count)
        book_orders = arena[f"{name}.book.orders"]
        places = {
            "orders": arena.region(f"{name}.orders", records.OWN_ORDER, max_orders, self._field("order_used")),
            "arrivals": arena.region(
                f"{name}.arrivals", np.dtype("<i8"), book_orders.count, arena.address + book_orders.counter
            ),
            "depletions": arena.region(
                f"{name}.depletions", records.DEPLETION, depletions + 1, self._field("depletion_used")
            ),
            "trade_fills": arena.region(f"{name}.trade_fills", records.TRADE_FILL, records.BUST_MEMORY),
            "reports": arena.region(f"{name}.reports", EVENT, reports),
            "commands": arena.region(f"{name}.commands", COMMAND, commands),
            "command_times": arena.region(f"{name}.command_times", np.dtype("<i8"), commands),
            "change": arena.region(f"{name}.change", records.MODEL_CHANGE, 1, transient=True),
            "trace": arena.region(f"{name}.trace", records.QUEUE_TRACE, max(1, trace), self._field("trace_count")),
        }
        for part, region in places.items():
            root[f"{part}_address"] = region.address
        self._trace = places["trace"]
        self._change = places["change"].address
        root["book_address"] = self.book.address
        root["instruments_address"] = table.address
        root["markets_address"] = markets.address
        root["instruments"] = len(instruments)
        root["order_capacity"] = max_orders
        root["next_expiry"] = records.NEVER
        root["report_mask"] = reports - 1
        root["command_mask"] = commands - 1
        root["depletion_capacity"] = depletions + 1
        root["depletion_used"] = 1
        root["trace_capacity"] = trace
        self._link_markets(markets, table, config if config is not None else VenueConfig())

    def _field(self, field: str) -> int:
        fields = records.VENUE.fields
        assert fields is not None
        return self.address + fields[field][1]

    def _link_markets(self, markets: Region, table: Region, config: VenueConfig | Mapping[str, VenueConfig]) -> None:
        exchanges = self._table.venues or ["SIM"]
        by_name = config if isinstance(config, Mapping) else dict.fromkeys(exchanges, config)
        for given in by_name:
            check_name(f"{self.name}: exchange", given, exchanges)
        for venue in exchanges:
            check_name(f"{self.name}: configuration for exchange", venue, by_name)
        self.profiles = self._arena.region(f"{self.name}.profiles", records.PROFILE, len(exchanges))
        for number, venue in enumerate(exchanges):
            self._lay_profile(self.profiles.view[number], by_name[venue], f"{self.name}.{number}")
        for number, row in enumerate(markets.view):
            venue_number = int(table.view[number]["venue"])
            row["profile_address"] = self.profiles.address + venue_number * records.PROFILE.itemsize
            row["instrument_address"] = table.address + number * table.dtype.itemsize
            row["best"] = -records.NEVER
            row["scale"] = 10.0 ** -int(table.view[number]["qty_decimals"])

    def _lay_profile(self, profile: Any, config: VenueConfig, prefix: str) -> None:
        profile["exact_queue"] = config.exact_queue
        profile["whole_fills"] = config.fills == "whole"
        profile["displayed_cross"] = config.cross_fills == CROSS_NAMES[1]
        profile["best_left_fills"] = config.best_left_fills
        profile["depletion"] = config.depletion
        profile["post_only_slide"] = config.post_only == "slide"
        profile["stop_on_quote"] = config.stop_trigger == "quote"
        profile["ignore_gaps"] = config.gaps == "ignore"
        profile["zone_address"] = lay_zone(self._arena, config.time_zone, f"{prefix}.zone")
        profile["session_close"] = config.session_close_ns()
        profile["queue_address"] = self._lay_queue(config, f"{prefix}.queue")
        for path, what in ((PATH_ENTRY, "entry"), (PATH_RESPONSE, "response"), (PATH_FEED, "feed")):
            profile[f"{what}_address"] = self._lay_path(config, path, what, f"{prefix}.{what}")
        profile["fees_address"] = self._lay_fees(config.fees, f"{prefix}.fees")
        profile["impact_address"] = self._lay_impact(config.impact, f"{prefix}.impact")

    def _lay_model(self, row: Any, model: VenueModel, subject_at: Any, returns_value: bool, name: str) -> None:
        row["self_address"] = model.lay(self._arena, f"{name}.model")
        for verb, address in compile_model(model, subject_at, returns_value).items():
            row[f"{verb}_function"] = address

    def _lay_queue(self, config: VenueConfig, name: str) -> int:
        region = self._arena.region(name, QUEUE, 1)
        row = region.view[0]
        row["power"] = config.queue_power
        if isinstance(config.queue, QueueModel):
            row["kind"] = QueueKind.CUSTOM
            self._lay_model(row, config.queue, records.own_at, False, name)
        else:
            row["kind"] = QUEUE_NAMES[config.queue]
        return region.address

    def _lay_path(self, config: VenueConfig, path: int, what: str, name: str) -> int:
        value = getattr(config, f"{what}_latency")
        region = self._arena.region(name, LATENCY_PATH, 1)
        row = region.view[0]
        row["path"] = path
        row["recorded"] = config.feed_from == "recorded"
        row["plain"] = path == PATH_FEED and value is None and config.feed_from == "recorded"
        row["change_address"] = self._change
        row["key"] = mix64(mix64(config.seed) + path)
        row["last"] = -records.NEVER
        if isinstance(value, LatencyModel):
            row["kind"] = LatencyKind.CUSTOM
            self._lay_model(row, value, None, True, name)
            return region.address
        settings = Latency(ns=value or 0) if not isinstance(value, Latency) else value
        row["kind"] = LATENCY_NAMES[settings.model]
        row["ns"], row["spread"], row["shape"] = settings.ns, settings.spread, settings.shape
        row["offset"], row["minimum"] = settings.offset_ns, settings.minimum_ns
        if settings.rows is not None:
            rows = latency_rows(settings.rows, PATH_RESPONSE if path == PATH_RESPONSE else PATH_ENTRY)
            laid = self._arena.region(f"{name}.rows", LATENCY_ROW, len(rows))
            laid.view[:] = rows
            row["rows_address"], row["rows"] = laid.address, len(rows)
        return region.address

    def _lay_fees(self, fees: Fees | FeeModel, name: str) -> int:
        region = self._arena.region(name, FEES, 1)
        row = region.view[0]
        row["change_address"] = self._change
        if isinstance(fees, FeeModel):
            row["kind"] = FeeKind.CUSTOM
            self._lay_model(row, fees, None, True, name)
            return region.address
        for field, source in (
            ("maker_rate", "maker_rate"),
            ("taker_rate", "taker_rate"),
            ("buy_rate", "buy_rate"),
            ("sell_rate", "sell_rate"),
            ("maker_unit", "maker_per_unit"),
            ("taker_unit", "taker_per_unit"),
            ("maker_flat", "maker_flat"),
            ("taker_flat", "taker_flat"),
        ):
            row[field] = scaled(f"fees.{source}", getattr(fees, source))
        largest = max(abs(int(row["maker_unit"])), abs(int(row["taker_unit"])))
        for item in self._table:
            places = item.value_decimals - item.qty_decimals
            if largest and (places < 0 or largest * 10**places > _INT64_MAX):
                raise ConfigError(f"fees per unit do not fit the value scale of {item.symbol}@{item.venue}")
        row["tiers"], row["days"] = len(fees.tiers), fees.tier_days
        for i, (volume, maker, taker) in enumerate(fees.tiers):
            row["tier_volume"][i] = scaled("fees.tiers volume", volume, 6)
            row["tier_maker_rate"][i] = scaled("fees.tiers maker_rate", maker)
            row["tier_taker_rate"][i] = scaled("fees.tiers taker_rate", taker)
        return region.address

    def _lay_impact(self, impact: str | Impact | ImpactModel, name: str) -> int:
        region = self._arena.region(name, IMPACT, 1)
        row = region.view[0]
        row["change_address"] = self._change
        if isinstance(impact, ImpactModel):
            row["kind"] = ImpactKind.CUSTOM
            self._lay_model(row, impact, None, True, name)
            return region.address
        settings = Impact(model=impact) if isinstance(impact, str) else impact
        row["kind"] = IMPACT_NAMES[settings.model]
        row["temporary"], row["permanent"] = settings.temporary, settings.permanent
        row["half_life"], row["nearest"] = settings.half_life_ns, settings.rounding == "nearest"
        return region.address

    # --- calls from Python ------------------------------------------------------------------------------------------

    def events(self, rows: npt.NDArray[Any]) -> int:
        """Recorded events (dtype EVENT), in venue-time order; 0 or minus the `VenueStatus`."""
        if rows.dtype != EVENT or not rows.flags.c_contiguous:
            raise TypeError(f"{self.name}: expected a contiguous array of EVENT, found {rows.dtype}")
        return int(venue_call(self.address, int(Verb.EVENTS), rows.ctypes.data, len(rows)))

    def command(self, row: npt.NDArray[Any], now: int) -> int:
        """One COMMAND (shape (1,)) arrives at the venue now; 0 or minus the `VenueStatus`."""
        return int(venue_call(self.address, int(Verb.COMMAND), row.ctypes.data, now))

    def push(self, row: npt.NDArray[Any], now: int) -> int:
        """One COMMAND (shape (1,)) leaves the local side now; when it arrives."""
        return int(venue_call(self.address, int(Verb.COMMAND_PUSH), row.ctypes.data, now))

    def arrive(self) -> int:
        """The command at the head of the queue arrives, at its time."""
        now = int(venue_call(self.address, int(Verb.COMMAND_HEAD_TS), 0, 0))
        head = int(venue_call(self.address, int(Verb.COMMAND_HEAD), 0, 0))
        if head == 0:
            return 0
        status = int(venue_call(self.address, int(Verb.COMMAND), head, now))
        venue_call(self.address, int(Verb.COMMAND_POP), 0, 0)
        return status

    def advance(self, now: int) -> int:
        """Time passes; 0 or minus the `VenueStatus`."""
        return int(venue_call(self.address, int(Verb.ADVANCE), 0, now))

    def reports(self) -> npt.NDArray[Any]:
        """Take all reports that wait, dtype EVENT, in order of arrival."""
        taken = []
        while True:
            head = int(venue_call(self.address, int(Verb.REPORT_HEAD), 0, 0))
            if head == 0:
                break
            taken.append(ctypes.string_at(head, RECORD_SIZE))
            venue_call(self.address, int(Verb.REPORT_POP), 0, 0)
        return np.frombuffer(b"".join(taken), EVENT).copy()

    def ahead(self, ident: int) -> int:
        """Quantity ahead of one of our orders in its queue, -1 unknown."""
        return int(venue_call(self.address, int(Verb.ORDER_AHEAD), ident, 0))

    def feed_arrival(self, row: npt.NDArray[Any]) -> int:
        """When a recorded row (shape (1,)) arrives here."""
        return int(venue_call(self.address, int(Verb.FEED_DELAY), row.ctypes.data, 0))

    @property
    def trace(self) -> npt.NDArray[Any]:
        """Where in their queues our ended orders stood, dtype QUEUE_TRACE."""
        return self._trace.view[: int(self._root.view[0]["trace_count"])]

    @property
    def trace_lost(self) -> int:
        """Ended orders that found the trace full."""
        return int(self._root.view[0]["trace_lost"])

    @property
    def status(self) -> records.VenueStatus:
        """What went wrong so far."""
        return records.VenueStatus(int(self._root.view[0]["status"]))

    @staticmethod
    def reserve(instruments: int, max_orders: int = 1 << 20, book_orders: int = 1 << 20, levels: int = 1 << 18) -> int:
        """Bytes of address space an arena must have left for such a venue (latency rows and models besides)."""
        own = instruments * records.MARKET.itemsize + max_orders * records.OWN_ORDER.itemsize + book_orders * 8
        return BookStore.reserve(instruments, book_orders, levels) + own + (64 << 20)
