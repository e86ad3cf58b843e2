"""The local side: everything the step works on, laid into one arena.

`LocalSide` is what backtest, simulation, paper and live have in common. A runner gives it events (`engine.step`) and
takes its commands; it never touches the market itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nanotick.book.store import BookStore
from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.records import ALL_INSTRUMENTS, ALL_STRATEGIES, COMMAND, EVENT, ControlAction, Kind
from nanotick.core.tape import TAPE
from nanotick.engine.output import MARK_SAMPLE
from nanotick.engine.records import ENGINE, HORIZONS, MARKOUT, MARKOUT_RING, OUTPUT_RESERVE, STRATEGY_SLOT, SUBSCRIPTION
from nanotick.engine.sample import NOTHING_DUE
from nanotick.engine.step import step_one
from nanotick.orders.table import OrderTable
from nanotick.portfolio.portfolio import Portfolio
from nanotick.risk.limits import RiskLimits
from nanotick.risk.stage import RiskStage
from nanotick.strategy.base import Strategy
from nanotick.strategy.compile import compile_strategy
from nanotick.strategy.records import (
    CONTEXT,
    MAX_INTENTS,
    MAX_SIGNALS,
    MAX_STRATEGIES,
    MAX_TIMERS,
    NO_TIMER,
    SCRATCH,
    TIMER,
    Callback,
)

DEFAULT_CASH = 50_000_000_000  # 50,000 in micro units
OUTPUT_RECORDS = 1 << 16
MARKS = 1 << 16
WATCHED = "watched"  # a strategy's field, one number an instrument: set to 1 for those that it was given


@dataclass(frozen=True)
class StrategySetup:
    """A strategy and what it may work with.

    Attributes
    ----------
    strategy : Strategy
    instruments : tuple of int
        Numbers of the instruments whose market data it hears; empty: all.
    cash : int
        Starting cash, micro units (1e-6) of the account currency.
    limits : RiskLimits, optional
        Its own limits; the run's when left out.
    name : str
        Unique in the run; the class's name when empty.
    """

    strategy: Strategy
    instruments: tuple[int, ...] = ()
    cash: int = DEFAULT_CASH
    limits: RiskLimits | None = None
    name: str = ""


@dataclass(frozen=True)
class Capacity:
    """How much the arena can hold; address space only until it is used."""

    book_orders: int = 1 << 22
    book_levels: int = 1 << 21
    orders: int = 1 << 18
    output: int = OUTPUT_RECORDS
    arena_bytes: int = 16 << 30


@dataclass
class LocalSide:
    """The state of the step.

    Attributes
    ----------
    currency : str
        Of accounts; by default the one that all instruments settle in, else USD.
    rates : mapping of str to decimal
        Units of it in one unit of each other settlement currency; constant over the run.
    time_zone : str
        IANA name: whose midnight begins a trading day.
    masks : ndarray of int64
        Shape (instruments, callbacks): bit s is set where strategy s hears of it, unless all are muted.

    Raises
    ------
    ValueError
        More than 64 strategies, or two of one name.
    """

    arena: Arena
    instruments: InstrumentTable
    setups: Sequence[StrategySetup]
    limits: RiskLimits
    capacity: Capacity = field(default_factory=Capacity)
    seed: int = 1
    currency: str = ""
    rates: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if not 1 <= len(self.setups) <= MAX_STRATEGIES:
            raise ValueError(f"a run takes 1 to {MAX_STRATEGIES} strategies, found {len(self.setups)}")
        self.names = _unique_names(self.setups)
        before = {region.name for region in self.arena.regions}
        arena, table, capacity = self.arena, self.instruments, self.capacity
        strategies, count = len(self.setups), max(1, len(table))
        self.callbacks = [compile_strategy(type(s.strategy), count) for s in self.setups]
        self.instrument_region = table.bind(arena)
        ticks = [int(row["tick_size"]) for row in self.instrument_region.view]
        self.books = BookStore(
            arena, "book.local", count, ticks, max_orders=capacity.book_orders, max_levels=capacity.book_levels
        )
        self.orders = OrderTable(arena, strategies, table, capacity=capacity.orders)
        # an account is kept in what its instruments settle in, when that is one currency
        currency = self.currency or (table.currencies[0] if len(table.currencies) == 1 else "USD")
        cash = [s.cash for s in self.setups]
        self.portfolio = Portfolio(
            arena, strategies, table, cash, currency=currency, rates=self.rates, time_zone=self.time_zone
        )
        self.risk = RiskStage(arena, strategies, table, self.limits, [s.limits or self.limits for s in self.setups])
        self._lay_context(strategies, count)
        self.risk.connect(self.orders, self.portfolio, self.books.address, self.tape_region.address)
        self._lay_engine(strategies, count)
        self.region_names = tuple(r.name for r in self.arena.regions if r.name not in before)

    def _lay_context(self, strategies: int, count: int) -> None:
        arena = self.arena
        self.context_region = arena.region("context", CONTEXT, 1)
        self.tape_region = arena.region("tape", TAPE, count)
        context = self.context_region.view
        context["strategy_count"], context["instrument_count"] = strategies, len(self.instruments)
        context["instruments_address"] = self.instrument_region.address
        context["books_address"] = self.books.address
        context["orders_address"] = self.orders.address
        context["portfolio_address"] = self.portfolio.address
        context["risk_address"] = self.risk.address
        context["tape_address"] = self.tape_region.address
        context["timers_address"] = arena.region("timers", TIMER, MAX_TIMERS).address
        context["intents_address"] = arena.region("intents", COMMAND, MAX_INTENTS, transient=True).address
        context["signals_address"] = arena.region("signals", EVENT, MAX_SIGNALS, transient=True).address
        context["scratch_address"] = arena.region("scratch", SCRATCH, 1, transient=True).address
        context["next_timer"] = NO_TIMER
        # the generator needs a state other than zero; the golden ratio spreads small seeds
        context["random_state"] = np.int64((self.seed * 0x9E3779B97F4A7C15 + 1) & ((1 << 63) - 1) or 1)

    def _lay_engine(self, strategies: int, count: int) -> None:
        arena = self.arena
        self.slots_region = arena.region("strategies", STRATEGY_SLOT, strategies)
        self.masks_region = arena.region("subscriptions", SUBSCRIPTION, count)
        self.selves: list[npt.NDArray[Any]] = []
        for number, (setup, name) in enumerate(zip(self.setups, self.names, strict=True)):
            region = arena.region(f"strategy.{name}", setup.strategy.dtype_for(count), 1)
            setup.strategy.write(region.view)
            self.selves.append(region.view)
            hears = setup.instruments or range(count)
            if WATCHED in (region.view.dtype.names or ()):
                region.view[WATCHED][0, list(hears)] = 1
            slot = self.slots_region.view[number]
            slot["self_address"] = region.address
            for which, address in self.callbacks[number].items():
                slot["call_function"][which] = address
                for instrument in hears:
                    self.masks_region.view[instrument]["mask"][which] |= np.int64(_bit(number))
        self.masks = self.masks_region.view["mask"].copy()
        self.output_region = arena.region("output", EVENT, self.capacity.output, transient=True)
        self.marks_region = arena.region("marks", MARK_SAMPLE, MARKS, transient=True)
        self.engine_region = arena.region("engine", ENGINE, 1)
        engine = self.engine_region.view
        engine["context_address"] = self.context_region.address
        engine["slots_address"] = self.slots_region.address
        engine["guards_address"] = self.risk.guards.address
        engine["watching"] = int(self.risk.watching)
        engine["masks_address"] = self.masks_region.address
        engine["output_address"] = self.output_region.address
        engine["commands_address"] = arena.region("commands", COMMAND, OUTPUT_RESERVE, transient=True).address
        engine["refused_address"] = arena.region("refused", EVENT, MAX_INTENTS, transient=True).address
        engine["marks_address"] = self.marks_region.address
        engine["markouts_address"] = arena.region("markouts", MARKOUT, HORIZONS * MARKOUT_RING).address
        engine["next_markout"] = NOTHING_DUE
        engine["output_limit"], engine["command_limit"] = self.capacity.output, OUTPUT_RESERVE
        engine["marks_limit"] = MARKS

    @property
    def address(self) -> int:
        """Address of the ENGINE record: what the step takes."""
        return self.engine_region.address

    def mute(self) -> None:
        """Let strategies hear nothing until `hear`; books, orders and accounts are kept all the same."""
        self.masks_region.view["mask"] = 0

    def hear(self) -> None:
        """Let strategies hear again."""
        self.masks_region.view["mask"] = self.masks

    @property
    def muted(self) -> bool:
        """Whether strategies hear nothing of what they subscribed to."""
        return not np.array_equal(self.masks_region.view["mask"], self.masks)

    def control(
        self,
        action: ControlAction,
        now: int,
        strategy: int = ALL_STRATEGIES,
        instrument: int = ALL_INSTRUMENTS,
        reason: int = 1,
    ) -> int:
        """An operator's command at local time `now`, through the step as from the log.

        Parameters
        ----------
        action : ControlAction
        now : int
            ns UTC.
        strategy, instrument : int
            What it is about, where the action has a scope: numbers, or all.
        reason : int
            Of a kill, 1 or more: what refusals will show.

        Returns
        -------
        int
            Commands it made.
        """
        event = np.zeros(1, EVENT)
        event["kind"], event["word"], event["ts_venue"], event["ts_recv"] = Kind.CONTROL, action, now, now
        event["id"] = reason if action == ControlAction.KILL else strategy
        event["instrument"] = instrument
        return int(step_one(self.address, event.ctypes.data, now))

    def drain(self) -> npt.NDArray[Any]:
        """Take the records put out since the last call (a copy, dtype EVENT)."""
        engine = self.engine_region.view[0]
        count = int(engine["output_count"])
        records = self.output_region.view[:count].copy()
        engine["output_count"] = 0
        return records

    def drain_marks(self) -> npt.NDArray[Any]:
        """Take the marks sampled since the last call (a copy, dtype MARK_SAMPLE)."""
        engine = self.engine_region.view[0]
        marks = self.marks_region.view[: int(engine["marks_count"])].copy()
        engine["marks_count"] = 0
        return marks

    def calls(self, strategy: int) -> dict[str, int]:
        """How often each callback of a strategy ran."""
        counts = self.slots_region.view[strategy]["calls"]
        defined = self.callbacks[strategy]
        return {f"on_{c.name.lower()}": int(counts[c]) for c in Callback if c in defined}


def _bit(number: int) -> int:
    return (1 << number) - (1 << 64 if number == 63 else 0)


def _unique_names(setups: Sequence[StrategySetup]) -> list[str]:
    names: list[str] = []
    for setup in setups:
        base = setup.name or setup.strategy.name
        name, n = base, 2
        while name in names:
            if setup.name:
                raise ValueError(f"two strategies are named {base!r}")
            name, n = f"{base}-{n}", n + 1
        names.append(name)
    return names
