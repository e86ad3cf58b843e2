"""Who trades in a described market: agents and their tables, collected and laid into an arena."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanotick.core.arena import Arena
from nanotick.core.instruments import InstrumentTable
from nanotick.core.kernel import python_body
from nanotick.core.memory import wrap_i64
from nanotick.core.records import COMMAND
from nanotick.exchange.agents import records
from nanotick.exchange.agents.description import (
    AuctionTrader,
    Execution,
    Flow,
    InstrumentDescription,
    MarketDescription,
    MarketMaker,
    Profile,
    Sizes,
    Taker,
)
from nanotick.exchange.agents.hawkes import branching_matrix
from nanotick.exchange.agents.records import AgentKind
from nanotick.exchange.agents.tables import alias_table, limit_rates, size_table
from nanotick.exchange.draws import mix64

_mix = python_body(mix64)
_TAKERS = (
    ("momentum", AgentKind.MOMENTUM),
    ("mean_reversion", AgentKind.MEAN_REVERSION),
    ("informed", AgentKind.INFORMED),
    ("value", AgentKind.VALUE),
    ("noise", AgentKind.NOISE),
)


class _Rows:
    """Rows of one kind, collected before the arena knows how many there are."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.list: list[dict[str, Any]] = []

    def add(self, **values: Any) -> int:
        self.list.append(values)
        return len(self.list) - 1

    def lay(self, arena: Arena, name: str) -> Any:
        region = arena.region(name, self.dtype, max(1, len(self.list)))
        for row, values in zip(region.view, self.list, strict=False):
            for key, value in values.items():
                if np.ndim(value):
                    row[key][: len(value)] = value
                else:
                    row[key] = value
        return region


class Population:
    """The agents of a market, in the order of their numbers.

    Parameters
    ----------
    description : MarketDescription
    instruments : InstrumentTable
    seed : int
    states : numpy.ndarray
        STATE records of the instruments; each is told the number of its flow.
    whole_day : bool
        With the opening and the closing auction.
    """

    def __init__(
        self,
        description: MarketDescription,
        instruments: InstrumentTable,
        seed: int,
        states: Any,
        whole_day: bool = False,
    ) -> None:
        self.description = description
        self.instruments = instruments
        self.seed = seed
        self._agents = _Rows(records.AGENT)
        self._flows = _Rows(records.FLOW_RECORD)
        self._makers = _Rows(records.MAKER)
        self._takers = _Rows(records.TAKER)
        self._executions = _Rows(records.EXECUTION_RECORD)
        self._callers = _Rows(records.CALLER)
        self._sizes: dict[bytes, int] = {}
        self._cells = self._lives = self._pending = 0
        self._populate(states)
        if whole_day or description.bands is not None:
            self._call(whole_day)  # last: whoever is there without auctions keeps number and randomness

    def __len__(self) -> int:
        return len(self._agents.list)

    @property
    def cells(self) -> int:
        """Orders that all of them can have resting."""
        return self._cells

    def lay(self, arena: Arena) -> dict[str, Any]:
        """Reserve and fill the regions of the agents, by the name of their field in the root."""
        sizes = arena.region("world.sizes", records.SIZES, max(1, len(self._sizes)))
        for row, table in enumerate(self._sizes):
            sizes.view[row]["lots"] = np.frombuffer(table, np.int32)
        return {
            "agents": self._agents.lay(arena, "world.agents"),
            "flows": self._flows.lay(arena, "world.flows"),
            "makers": self._makers.lay(arena, "world.makers"),
            "takers": self._takers.lay(arena, "world.takers"),
            "executions": self._executions.lay(arena, "world.executions"),
            "callers": self._callers.lay(arena, "world.callers"),
            "cells": arena.region("world.cells", records.CELL, max(1, self._cells)),
            "lives": arena.region("world.lives", "<i4", max(1, self._lives)),
            "pending": arena.region("world.pending", COMMAND, max(1, self._pending)),
            "sizes": sizes,
        }

    def _size_row(self, sizes: Sizes, factor: float) -> int:
        table = size_table(sizes, factor)
        return self._sizes.setdefault(table.tobytes(), len(self._sizes))

    def _agent(self, kind: AgentKind, index: int, instrument: int, venue: int, **values: Any) -> int:
        """One agent; `cells` and `pending` are how many it needs."""
        number = len(self._agents.list)
        cells, pending = values.pop("cells", 0), values.pop("pending", 0)
        key = wrap_i64(_mix(wrap_i64(_mix(wrap_i64(self.seed + 1)) ^ (number + 1))))
        self._agents.add(
            key=key,
            kind=int(kind),
            index=index,
            instrument=instrument,
            venue=venue,
            pending_first=self._pending,
            cell_first=self._cells,
            cell_count=cells,
            live_first=self._lives,
            **values,
        )
        self._cells += cells
        self._lives += 2 * cells if kind == AgentKind.FLOW else 0
        self._pending += pending
        return number

    def _flow(self, flow: Flow, item: InstrumentDescription, number: int, venue: int) -> int:
        rates = limit_rates(flow)
        chance, alias = alias_table(rates)
        cancels = np.array(flow.cancel_rates or (1.0 / flow.lifetime,), float)
        cancels = np.concatenate([cancels, np.full(max(0, len(rates) - len(cancels)), cancels[-1])])[: len(rates)]
        most = float(cancels.max())
        values: dict[str, Any] = {}
        wild = flow.excitation
        if wild is not None:
            decay = np.array(wild.decay)
            matrix = branching_matrix(np.array(wild.same), np.array(wild.opposite))
            values = {"excited": 1, "decay": decay, "kick": (matrix * decay[:, None, None]).reshape(-1)}
        index = self._flows.add(
            limit_rate=float(rates.sum()) * item.activity,
            market_rate=flow.market_rate * item.activity,
            cancel_rate=most * item.activity,
            lean=flow.lean,
            lean_ticks=flow.lean_ticks,
            inside=0.0 if flow.inside >= 1.0 else max(flow.inside, 1e-9),
            sweep=flow.sweep,
            distances=len(rates),
            limit_sizes=self._size_row(flow.limit_sizes, item.size),
            market_sizes=self._size_row(flow.market_sizes, item.size),
            cancel_share=cancels / most if most > 0 else cancels,
            alias_chance=chance,
            alias=alias,
            seed_depth=flow.seed_depth,
            seed_orders=flow.seed_orders,
            **values,
        )
        return self._agent(AgentKind.FLOW, index, number, venue, cells=flow.cells, pending=1)

    def _maker(self, maker: MarketMaker, item: InstrumentDescription, number: int, venue: int) -> None:
        lot = item.instrument().qty(item.instrument().lot_size)
        index = self._makers.add(
            half_spread=maker.half_spread,
            volatility_spread=maker.volatility_spread,
            weight=maker.weight,
            skew=maker.skew,
            tolerance=maker.tolerance,
            levels=maker.levels,
            step=maker.step,
            size=max(1, round(maker.size * item.size)) * lot,
            limit=max(1, round(maker.limit * item.size)) * lot,
        )
        self._agent(
            AgentKind.MARKET_MAKER,
            index,
            number,
            venue,
            rate=maker.rate,
            latency_ns=int(maker.latency_us * 1_000),
            cells=4 * records.MAX_LEVELS,
            pending=2 * records.MAX_LEVELS,
        )

    def _taker(self, kind: AgentKind, taker: Taker, item: InstrumentDescription, number: int, venue: int) -> None:
        lot = item.instrument().qty(item.instrument().lot_size)
        day = item.volatility * float(item.price) * 10**item.price_decimals
        depth = taker.depth / taker.count * item.size * item.activity * lot
        index = self._takers.add(
            depth=depth / (day * day) if day > 0 else 0.0,
            fast=1.0 / taker.fast_s,
            slow=1.0 / taker.slow_s,
            threshold=taker.threshold,
            noise=taker.noise,
            slippage=taker.slippage,
            limit=max(1, round(taker.limit * item.size)) * lot,
            sizes=self._size_row(taker.sizes, item.size),
        )
        rate = taker.rate * item.activity
        self._agent(kind, index, number, venue, rate=rate, latency_ns=int(taker.latency_us * 1_000), pending=1)

    def _execution(self, execution: Execution, item: InstrumentDescription, number: int, venue: int) -> None:
        seconds = self.description.session.hours * 3_600
        index = self._executions.add(
            arrival=execution.per_day / seconds,
            participation=execution.participation,
            least=execution.least * (1.0 if execution.participation else item.size),
            most=execution.most * (1.0 if execution.participation else item.size),
            exponent=execution.exponent,
            slice=max(1.0, execution.slice * item.size),
            interval=execution.interval_s / item.activity,
            flip=execution.flip,
        )
        self._agent(AgentKind.EXECUTION, index, number, venue, latency_ns=int(execution.latency_us * 1_000), pending=1)

    def _caller(
        self, caller: AuctionTrader, item: InstrumentDescription, number: int, venue: int, whole_day: bool
    ) -> None:
        index = self._callers.add(
            rate=caller.rate * item.activity,
            close_rate=caller.close_rate * item.activity,
            close_ns=int(caller.close_s * 1e9) if whole_day else 0,
            market=caller.market,
            noise=caller.noise,
            sizes=self._size_row(caller.sizes, item.size),
        )
        latency = int(caller.latency_us * 1_000)
        self._agent(AgentKind.AUCTION, index, number, venue, latency_ns=latency, cells=caller.cells, pending=1)

    def _call(self, whole_day: bool) -> None:
        for number, item in enumerate(self.description.instruments):
            for caller in self.description.profiles[item.profile].auction:
                for _ in range(caller.count):
                    self._caller(caller, item, number, self.instruments.venues.index(item.venue), whole_day)

    def _populate(self, states: Any) -> None:
        self._agent(AgentKind.ENVIRONMENT, 0, 0, 0)
        for number, item in enumerate(self.description.instruments):
            profile: Profile = self.description.profiles[item.profile]
            venue = self.instruments.venues.index(item.venue)
            if profile.flow is not None:
                states[number]["flow"] = self._flow(profile.flow, item, number, venue)
            for maker in profile.market_makers:
                for _ in range(maker.count):
                    self._maker(maker, item, number, venue)
            for name, kind in _TAKERS:
                for taker in getattr(profile, name):
                    for _ in range(taker.count):
                        self._taker(kind, taker, item, number, venue)
            for execution in profile.executions:
                for _ in range(execution.count):
                    self._execution(execution, item, number, venue)
